"""What a device is and has: one shell script, run there in one call, and its answer parsed.

The answer is untrusted: bounded, cleaned of control characters, and what does not parse is
unknown. Nothing is guessed: a quantity that the device does not tell is absent.
"""

from __future__ import annotations

import re
from collections import defaultdict
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from harness.engines import ENGINES
from harness.lab.classes import library_names
from harness.lab.inventory import ABI
from harness.transports.base import TransferError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from harness.transports.base import Transport

__all__ = [
    "Battery",
    "Clock",
    "Cpus",
    "Facts",
    "Library",
    "Npu",
    "Python",
    "Unit",
    "clean",
    "parse",
    "probe",
]

PROBE_TIMEOUT = 60.0
OUTPUT_LIMIT = 256 << 10
_MAX_TEXT = 200
_MAX_ENTRIES = 64

# Importing an engine takes seconds on a small board; its metadata tells the version, too.
_PYTHON_PROGRAM = """\
import sys
print("version " + sys.version.split()[0])
from importlib import metadata
for name in {packages!r}:
    try:
        print(name + " " + metadata.version(name))
    except metadata.PackageNotFoundError:
        pass
"""

# Implementer and part of the processor's main ID register, as util-linux's lscpu-arm.c has them.
_CORES = {
    (0x41, 0xC05): "Cortex-A5",
    (0x41, 0xC07): "Cortex-A7",
    (0x41, 0xC08): "Cortex-A8",
    (0x41, 0xC09): "Cortex-A9",
    (0x41, 0xC0D): "Cortex-A17",
    (0x41, 0xC0E): "Cortex-A17",
    (0x41, 0xC0F): "Cortex-A15",
    (0x41, 0xD01): "Cortex-A32",
    (0x41, 0xD02): "Cortex-A34",
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD04): "Cortex-A35",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD09): "Cortex-A73",
    (0x41, 0xD0A): "Cortex-A75",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse-N1",
    (0x41, 0xD0D): "Cortex-A77",
    (0x41, 0xD40): "Neoverse-V1",
    (0x41, 0xD41): "Cortex-A78",
    (0x41, 0xD42): "Cortex-A78AE",
    (0x41, 0xD44): "Cortex-X1",
    (0x41, 0xD46): "Cortex-A510",
    (0x41, 0xD47): "Cortex-A710",
    (0x41, 0xD48): "Cortex-X2",
    (0x41, 0xD49): "Neoverse-N2",
    (0x41, 0xD4D): "Cortex-A715",
    (0x41, 0xD4E): "Cortex-X3",
    (0x41, 0xD80): "Cortex-A520",
    (0x41, 0xD81): "Cortex-A720",
    (0x4E, 0x004): "Carmel",
    (0x51, 0x800): "Kryo-2XX-Gold",
    (0x51, 0x801): "Kryo-2XX-Silver",
    (0x51, 0x802): "Kryo-3XX-Gold",
    (0x51, 0x803): "Kryo-3XX-Silver",
    (0x51, 0x804): "Kryo-4XX-Gold",
    (0x51, 0x805): "Kryo-4XX-Silver",
}

_ANDROID_ABIS: dict[str, ABI] = {"arm64-v8a": "android-arm64", "armeabi-v7a": "android-armv7"}

# Android's BatteryManager.
_BATTERY_STATES: dict[str | None, Literal["charging", "discharging", "not charging", "full"]] = {
    "2": "charging",
    "3": "discharging",
    "4": "not charging",
    "5": "full",
}

_EM_ARM, _EM_X86_64, _EM_AARCH64 = 40, 62, 183
_EF_ARM_ABI_FLOAT_HARD = 0x400
_ELF_HEADER_BYTES = 40  # of a 32-bit one, up to the end of its flags


class _Fact(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cpus(_Fact):
    """Processors that are alike: a cluster, on most boards.

    Attributes
    ----------
    numbers
        Those that are online.
    core
        The kind of core; of an unlisted ARM one, implementer and part in hexadecimal.
    current_khz
        In the order of ``numbers``; empty where one is unknown.
    """

    numbers: tuple[int, ...]
    core: str | None = None
    min_khz: int | None = None
    max_khz: int | None = None
    current_khz: tuple[int, ...] = ()
    governor: str | None = None


class Npu(_Fact):
    """An NPU's driver; its version often needs root to be read.

    Attributes
    ----------
    node
        The device file by which it is used.
    accessible
        Whether the user who was asked may read and write that.
    """

    driver: str
    version: str | None = None
    node: str | None = None
    accessible: bool | None = None


class Library(_Fact):
    """A shared library of an NPU's, and the version that is in it."""

    path: str
    version: str | None = None


class Clock(_Fact):
    """A clock that is no processor's, as devfreq tells of it, in Hz."""

    current_hz: int | None = None
    max_hz: int | None = None
    governor: str | None = None


class Battery(_Fact):
    """A phone's battery, as Android tells of it."""

    level_percent: int | None = None
    status: Literal["charging", "discharging", "not charging", "full"] | None = None
    temperature_c: float | None = None


class Python(_Fact):
    """A Python interpreter, and the engines that it has: name to version."""

    path: str
    version: str | None = None
    engines: dict[str, str] = {}


class Unit(_Fact):
    """An accelerator, as the runtime of the engine that would use it finds it on the device.

    Attributes
    ----------
    usable
        None where the engine did not answer.
    said
        What it found, or why not.
    """

    engine: str
    backend: str
    usable: bool | None
    said: str


class Facts(_Fact):
    """What a device told of itself; what is ``None`` or empty it did not tell.

    Attributes
    ----------
    model, soc
        Of the device tree: the board, and the last and most general of its compatible names; of
        Android: its properties.
    compatible
        All compatible names of the device tree's root, the most special first.
    root
        Whether the user who was asked is root.
    abi
        What programs must be built for, by the header of the device's own shell.
    libc
        ``none`` where the shell is static and no loader is there.
    cpus_offline
        The numbers of the processors that are there and switched off.
    temperatures_c
        Sensor to degrees Celsius.
    temperatures_unknown
        Sensor to what it reads instead of thousandths of a degree: it is parked, not there, or
        counts in another unit.
    android_api
        Android's API level.
    thermal_status
        How far Android throttles: 0 not at all, to 6, shutting down.
    libraries
        Of those that a backend of any class needs, by name: the first that was found.
    clocks
        Those that devfreq has, by its names for them: the NPU's and the memory's, often.
    tools
        Programs found, of those that the harness uses.
    units
        The accelerators of the device's file, where their engines were asked for them.
    load1
        Mean number of processes that ran or waited in the last minute.
    """

    model: str | None = None
    soc: str | None = None
    compatible: tuple[str, ...] = ()
    root: bool | None = None
    serial: str | None = None
    machine_id: str | None = None
    boot_id: str | None = None
    os: str | None = None
    kernel: str | None = None
    kernel_build: str | None = None
    architecture: str | None = None
    abi: ABI | None = None
    libc: Literal["glibc", "musl", "bionic", "none"] | None = None
    libc_version: str | None = None
    cpus: tuple[Cpus, ...] = ()
    cpus_offline: tuple[int, ...] = ()
    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None
    load1: float | None = None
    temperatures_c: dict[str, float] = {}
    temperatures_unknown: dict[str, int] = {}
    android_api: int | None = None
    battery: Battery | None = None
    thermal_status: int | None = None
    npus: tuple[Npu, ...] = ()
    libraries: dict[str, Library] = {}
    clocks: dict[str, Clock] = {}
    pythons: tuple[Python, ...] = ()
    tools: tuple[str, ...] = ()
    units: tuple[Unit, ...] = ()

    @property
    def says_of_itself(self) -> tuple[str | None, ...]:
        """What tells its class: the names of its chip and its board."""
        return (self.soc, self.model, *self.compatible)


def probe(transport: Transport, pythons: Sequence[str] = (), folders: Sequence[str] = ()) -> Facts:
    """Ask a device what it is.

    Parameters
    ----------
    pythons
        Interpreters there that are asked for the engines they have; without any, the
        ``python3`` that its shell finds.
    folders
        Where NPUs' libraries are, beside the usual folders.

    Raises
    ------
    TransferError
        Its shell did not get through the script.
    TransportError
        As for :meth:`harness.transports.base.Transport.run`.
    """
    script = files("harness.lab").joinpath("probe.sh").read_text(encoding="utf-8")
    answer = transport.run(
        [
            # Not in the command itself: dropbear takes none of more than 9000 bytes.
            *("sh", "-c", 'eval "$(cat)"', "probe.sh"),
            _PYTHON_PROGRAM.format(packages=tuple(_engine_packages())),
            *(":".join(folders), " ".join(library_names())),
            *dict.fromkeys(pythons),
        ],
        stdin=script.encode(),
        timeout=PROBE_TIMEOUT,
        output_limit=OUTPUT_LIMIT,
    )
    if not answer.stdout.endswith(b"end\tyes\n"):
        said = clean((answer.stderr or answer.stdout[-_MAX_TEXT:]).decode(errors="replace"))
        raise TransferError(f"probing was cut short (exit status {answer.returncode}): {said}")
    return parse(answer.stdout)


def _engine_packages() -> dict[str, list[str]]:
    """Return the Python packages that are engines, each with the engines' names."""
    found: dict[str, list[str]] = defaultdict(list)
    for engine in ENGINES:
        for package in engine.packages[:1]:
            found[package].append(engine.name)
    return found


def parse(output: bytes) -> Facts:
    """Read what the script printed, whatever it is: what is not understood is left out."""
    told: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for line in output[:OUTPUT_LIMIT].decode(errors="replace").split("\n"):
        head, _, value = line.partition("\t")
        key, _, detail = head.partition(" ")
        if cleaned := clean(value):
            told[key].append((clean(detail), cleaned))

    def first(key: str) -> str | None:
        return told[key][0][1] if key in told else None

    cpuinfo = [value for _, value in told["cpuinfo"]]
    sensors = _sensors([*told["temperature"], *_thermal(told["thermal"])])
    compatible = tuple((first("compatible") or "").split())
    uid = _number(first("uid"))
    libc, _, libc_version = (first("libc") or "").partition(" ")
    return Facts(
        model=first("model"),
        soc=first("soc") or (compatible[-1] if compatible else None),
        compatible=compatible,
        root=None if uid is None else uid == 0,
        serial=first("serial") or _serial(cpuinfo),
        machine_id=first("machine_id"),
        boot_id=first("boot_id"),
        os=first("os"),
        kernel=first("kernel"),
        kernel_build=first("kernel_build"),
        architecture=first("architecture"),
        abi=_abi(first("elf") or "", first("architecture") or "", libc)
        or _ANDROID_ABIS.get(first("android_abi") or ""),
        libc=libc if libc in ("glibc", "musl", "bionic", "none") else None,
        libc_version=libc_version or None,
        cpus=_cpus(cpuinfo, told),
        cpus_offline=tuple(sorted(_listed(first("cpus_offline")) & _listed(first("cpus_present")))),
        memory_total_bytes=_kibibytes(first("MemTotal")),
        memory_available_bytes=_kibibytes(first("MemAvailable")),
        load1=_load(first("load")),
        temperatures_c={k: v / 1000 for k, v in sensors.items() if _is_temperature(v)},
        temperatures_unknown={k: v for k, v in sensors.items() if not _is_temperature(v)},
        android_api=_number(first("android_api")),
        battery=_battery(dict(told["battery"])),
        thermal_status=_number(first("thermal_status")),
        npus=_npus(told["npu"], told["npu_node"]),
        libraries=_libraries(told["library"], dict(told["library_version"])),
        clocks=_clocks(told),
        pythons=_pythons(told["python"]),
        tools=tuple(dict.fromkeys(value for _, value in told["tool"]))[:_MAX_ENTRIES],
    )


def clean(text: str) -> str:
    """Return text without control and other invisible characters, and not too long."""
    return "".join(c if c.isprintable() else " " for c in text[:_MAX_TEXT]).strip()


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch("[0-9]{1,12}", text, re.ASCII) else None


def _listed(text: str | None) -> set[int]:
    """Return the numbers of a list in the kernel's words, such as 0-3,5."""
    found: set[int] = set()
    for part in (text or "").split(","):
        if match := re.fullmatch("([0-9]{1,4})(?:-([0-9]{1,4}))?", part.strip(), re.ASCII):
            found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return found


def _kibibytes(text: str | None) -> int | None:
    number = _number(text)
    return None if number is None else number * 1024


def _load(text: str | None) -> float | None:
    match = re.match(r"([0-9]{1,6}\.[0-9]{2}) ", text or "", re.ASCII)
    return float(match[1]) if match else None


def _abi(elf: str, architecture: str, libc: str) -> ABI | None:
    if not re.fullmatch(rf"7f454c46[0-9a-f]{{{2 * _ELF_HEADER_BYTES - 8}}}", elf):
        return None
    header = bytes.fromhex(elf)
    machine = int.from_bytes(header[18:20], "little")
    hard_float = bool(int.from_bytes(header[36:40], "little") & _EF_ARM_ABI_FLOAT_HARD)
    android = libc == "bionic"
    if machine == _EM_AARCH64:
        return "android-arm64" if android else "arm64-linux"
    if machine == _EM_X86_64:
        return None if android else "x86_64-linux"
    if machine == _EM_ARM and re.match("armv[78]|aarch64", architecture):
        return "android-armv7" if android else "armv7hf-linux" if hard_float else None
    return None


def _serial(cpuinfo: Iterable[str]) -> str | None:
    for entry in cpuinfo:
        key, _, value = entry.partition(":")
        if key.strip() == "Serial" and value.strip().strip("0"):
            return value.strip()
    return None


def _cpus(cpuinfo: Iterable[str], told: dict[str, list[tuple[str, str]]]) -> tuple[Cpus, ...]:
    """Group the processors that are alike in kind of core, frequencies and governor."""
    described: dict[int, dict[str, str]] = {}
    number: int | None = None
    for entry in cpuinfo:
        key, _, value = (part.strip() for part in entry.partition(":"))
        if key == "processor":
            number = _number(value)
        elif number is not None:
            described.setdefault(number, {})[key] = value
        if number is not None:
            described.setdefault(number, {})
    # Before Linux 3.8, ARM's kernel tells the kind of core once, after all processors.
    if number is not None and not any(described[each] for each in described if each != number):
        described = dict.fromkeys(described, described[number])
    of = {
        key: {_number(cpu): value for cpu, value in told[key]}
        for key in ("min_khz", "max_khz", "current_khz", "governor")
    }
    groups: dict[tuple[str | None, int | None, int | None, str | None], list[int]] = {}
    for cpu in sorted(described):
        alike = (
            _core(described[cpu]),
            _number(of["min_khz"].get(cpu)),
            _number(of["max_khz"].get(cpu)),
            of["governor"].get(cpu),
        )
        groups.setdefault(alike, []).append(cpu)
    found = []
    for (core, low, high, governor), numbers in list(groups.items())[:_MAX_ENTRIES]:
        current = [_number(of["current_khz"].get(cpu)) for cpu in numbers]
        known = tuple(khz for khz in current if khz is not None)
        found.append(
            Cpus(
                numbers=tuple(numbers),
                core=core,
                min_khz=low,
                max_khz=high,
                current_khz=known if len(known) == len(numbers) else (),
                governor=governor,
            )
        )
    return tuple(found)


def _core(described: dict[str, str]) -> str | None:
    numbers = [described.get(key, "") for key in ("CPU implementer", "CPU part")]
    if all(re.fullmatch("0x[0-9a-f]{1,4}", number) for number in numbers):
        implementer, part = (int(number, 16) for number in numbers)
        return _CORES.get((implementer, part), f"ARM {implementer:#04x}/{part:#05x}")
    return described.get("model name")


def _is_temperature(millidegrees: int) -> bool:
    """Whether thousandths of a degree are a running device's; as the supervisor has it.

    A zone without a sensor may read anything (-274000, -40000, 0, 125000), and some drivers count
    in whole degrees or tenths.
    """
    return -40_000 < millidegrees < 125_000 and abs(millidegrees) >= 1000  # noqa: PLR2004


def _sensors(told: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return sensor to what it reads, which should be thousandths of a degree."""
    found: dict[str, int] = {}
    for sensor, value in list(told)[:_MAX_ENTRIES]:
        if re.fullmatch("-?[0-9]{1,6}", value, re.ASCII) and sensor:
            name, others = sensor, 1
            while name in found:
                others += 1
                name = f"{sensor} {others}"
            found[name] = int(value)
    return found


def _thermal(told: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Give the sensors that Android's thermal service tells of: name, thousandths of a degree."""
    for _, entry in told:
        if match := re.fullmatch(
            r"Temperature\{mValue=(-?[0-9]{1,3}(?:\.[0-9]{1,9})?), mType=-?[0-9]+, "
            r"mName=([^,}]+), mStatus=[0-9]+\}",
            entry,
            re.ASCII,
        ):
            yield match[2], str(round(float(match[1]) * 1000))


def _battery(told: dict[str, str]) -> Battery | None:
    level, scale = _number(told.get("level")), _number(told.get("scale"))
    tenths = told.get("temperature", "")
    found = Battery(
        level_percent=round(100 * level / scale) if level is not None and scale else None,
        status=_BATTERY_STATES.get(told.get("status")),
        temperature_c=int(tenths) / 10 if re.fullmatch("-?[0-9]{1,4}", tenths, re.ASCII) else None,
    )
    return None if told.get("present") != "true" or found == Battery() else found


def _npus(
    told: Iterable[tuple[str, str]], told_nodes: Iterable[tuple[str, str]]
) -> tuple[Npu, ...]:
    # The first device node that may be used, or else the first there is.
    nodes: dict[str, tuple[bool, str]] = {}
    for driver, value in list(told_nodes)[:_MAX_ENTRIES]:
        access, _, node = value.partition(" ")
        if node.startswith("/"):
            nodes[driver] = max(
                nodes.get(driver, (False, node)), (access == "yes", node), key=lambda x: x[0]
            )
    versions: dict[str, str | None] = dict.fromkeys(nodes)
    for driver, value in list(told)[:_MAX_ENTRIES]:
        # As in "Galcore version 6.4.3.p1.305572" and "RKNPU driver: v0.9.8".
        match = re.search(r"[0-9]+(?:\.[0-9A-Za-z]+)+", value, re.ASCII)
        if driver:
            versions[driver] = versions.get(driver) or (match[0] if match else None)
    return tuple(
        Npu(
            driver=driver,
            version=version,
            node=nodes[driver][1] if driver in nodes else None,
            accessible=nodes[driver][0] if driver in nodes else None,
        )
        for driver, version in versions.items()
        if driver
    )


def _libraries(told: Iterable[tuple[str, str]], versions: dict[str, str]) -> dict[str, Library]:
    found: dict[str, Library] = {}
    for name, path in list(told)[:_MAX_ENTRIES]:
        version = re.search(r"version:? ([0-9]+(?:\.[0-9]+)+)", versions.get(name, ""), re.ASCII)
        if name and path.startswith("/"):
            found.setdefault(name, Library(path=path, version=version[1] if version else None))
    return found


def _clocks(told: dict[str, list[tuple[str, str]]]) -> dict[str, Clock]:
    current, most, governors = (
        dict(told[key][:_MAX_ENTRIES]) for key in ("clock_hz", "clock_max_hz", "clock_governor")
    )
    return {
        name: Clock(
            current_hz=_number(value),
            max_hz=_number(most.get(name)),
            governor=governors.get(name),
        )
        for name, value in current.items()
        if name
    }


def _pythons(told: Iterable[tuple[str, str]]) -> tuple[Python, ...]:
    engines = _engine_packages()
    entries: dict[str, dict[str, str]] = defaultdict(dict)
    for path, value in list(told)[:_MAX_ENTRIES]:
        name, _, version = value.partition(" ")
        if version and (name == "version" or name in engines):
            for told_of in engines.get(name, [name]):
                entries[path][told_of] = version
    return tuple(
        Python(path=path, version=found.pop("version", None), engines=found)
        for path, found in entries.items()
    )
