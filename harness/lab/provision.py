"""Engines put onto a device: wheels for its Python, in a folder of the harness's own.

The wheels are fetched here, by uv, so the device needs neither pip nor a network: a Python 3,
``tar`` and ``gzip`` suffice. They arrive as a virtual environment, made without the module
``venv``, which many boards lack. It is renamed into place, and kept only if the engine loads there.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tarfile
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import uv

from harness.core.errors import LabError, SpecificationError
from harness.core.text import megabytes
from harness.core.yamlfile import edit
from harness.engines.base import ENGINE_MODULE
from harness.lab.emulated.tools import run_tool
from harness.lab.inventory import load_device
from harness.lab.probe import probe
from harness.lab.sending import Gzipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from harness.engines.base import Engine
    from harness.lab.inventory import Device
    from harness.lab.probe import Facts, Python
    from harness.transports.base import Completed, Transport
    from harness.workspace import Workspace

__all__ = ["Provisioned", "provision", "remove"]

_MACHINES: Final = {"arm64-linux": "aarch64", "x86_64-linux": "x86_64"}
# The minor versions of glibc 2 whose wheels uv can be asked for.
_GLIBC_MINORS: Final = (17, 28, *range(31, 41))
_HOME: Final = ".local/share/edge-harness"
_PIN: Final = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==", re.MULTILINE)
_CHECK_FOLDER: Final = "check"
_CHECK_TIMEOUT: Final = 300.0
_SLOWEST_BYTES_PER_S: Final = 250_000
# What loads an engine in the Python runner loads it here: its libraries, on that processor.
_CHECK: Final = """\
import sys
sys.path.insert(0, sys.argv[1])
import edge_runner
edge_runner.engine_class()()
from importlib import metadata
print()
print(sys.argv[2] + "==" + metadata.version(sys.argv[2]))
"""
_ITSELF: Final = """\
import os, sys
print(os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable))
"""
_UNPACK: Final = """\
set -e
mkdir -p "${1%/*}"
rm -rf "$1.partial"
mkdir "$1.partial"
tar -xzf - -C "$1.partial" || { rm -rf "$1.partial"; exit 1; }
rm -rf "$1"
mv "$1.partial" "$1"
"""


@dataclass(frozen=True)
class Provisioned:
    """An engine that was put onto a device.

    Attributes
    ----------
    version
        Of the engine's package, as the device says it.
    here
        The version that the harness is tested with, where that is another.
    python
        The interpreter that has it, on the device.
    size
        Bytes on the device, before Python has compiled anything.
    """

    engine: str
    version: str
    here: str | None
    python: str
    size: int


def provision(
    workspace: Workspace,
    device: Device,
    transport: Transport,
    engine: Engine,
    progress: Callable[[str], None],
    *,
    python: str | None = None,
) -> Provisioned:
    """Put an engine onto a device, and name it in the device's file.

    Parameters
    ----------
    python
        The interpreter on the device to use; by default its ``python3``.

    Raises
    ------
    SpecificationError
        The engine is not a Python package, or the device's file names another one already.
    LabError
        There are no wheels for the device's Python, the device has no Python or no room, or the
        engine does not load there.
    TransportError
        As for :meth:`harness.transports.base.Transport.run`.
    """
    if not engine.packages:
        raise SpecificationError(
            f"{engine.name} is not a Python package",
            hint=(
                f"see its page in the documentation; for a native runner: harness runners "
                f"build {engine.name}"
            ),
        )
    base = _base(device, transport)
    before = device.spec.engines.get(engine.name)
    if before and not (before.python and before.python.startswith(f"{base}/")):
        where = before.python or before.runner or "its own way"
        raise SpecificationError(
            f"{device.name} has {engine.name} already: {where}",
            hint=f"to replace it, remove it from devices/{device.name}.yaml first",
        )
    progress(f"probing {device.name}")
    facts = probe(transport, [python] if python else ())
    interpreter = _interpreter(device, facts, transport)
    platform = _platform(device, facts)
    with tempfile.TemporaryDirectory(prefix="edge-harness-") as scratch:
        root = Path(scratch) / "root"
        progress(f"fetching {engine.name} for Python {interpreter.version} on {platform}")
        _fetch(engine, interpreter, platform, root)
        _complete(engine, interpreter, root)
        size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
        folder = f"{base}/{engine.name}-{_digest(root)}"
        _check_room(device, transport, base, size)
        progress(f"sending {engine.name} to {device.name}: {megabytes(size)} unpacked")
        with _packed(root) as archive:
            answer = transport.run(
                ["sh", "-c", _UNPACK, "sh", folder],
                stdin=Gzipped(archive),
                timeout=120 + size / _SLOWEST_BYTES_PER_S,
            )
        if answer.returncode != 0:
            raise LabError(f"{device.name}: {folder} could not be written: {_last(answer)}")
    progress(f"loading {engine.name} on {device.name}")
    path = f"{folder}/bin/python"
    version = _check(device, transport, engine, folder, path)
    file = workspace.devices / f"{device.name}.yaml"
    with edit(file) as content:
        content.setdefault("engines", {}).setdefault(engine.name, {})["python"] = path
    load_device(workspace, device.name)  # what was written is read by all that follows
    if before and before.python and before.python != path:
        _discard(transport, base, before.python)
    here = _pinned(engine).get(engine.packages[0])
    return Provisioned(engine.name, version, here if here != version else None, path, size)


def remove(workspace: Workspace, device: Device, transport: Transport, engine: str) -> str:
    """Remove an engine that was put onto a device; return the folder that it was in.

    Raises
    ------
    SpecificationError
        It was not put there by :func:`provision`.
    TransportError
        As for :meth:`harness.transports.base.Transport.run`.
    """
    base = _base(device, transport)
    spec = device.spec.engines.get(engine)
    if not (spec and spec.python and spec.python.startswith(f"{base}/")):
        raise SpecificationError(
            f"{engine} on {device.name} was not provisioned",
            hint=f"only what is below {base} on the device is removed",
        )
    folder = _discard(transport, base, spec.python)
    with edit(workspace.devices / f"{device.name}.yaml") as content:
        del content["engines"][engine]
    return folder


def _base(device: Device, transport: Transport) -> str:
    """Return the folder of all engines; unlike the default work folder it outlives a reboot."""
    if device.spec.workdir:
        return f"{device.spec.workdir}/engines"
    home = transport.run(["sh", "-c", 'printf %s "$HOME"']).text
    if not re.fullmatch(r"/[A-Za-z0-9._/-]*", home):
        raise LabError(
            f"{device.name}: its home folder is unusable: {home!r}",
            hint=f"set 'workdir' in devices/{device.name}.yaml",
        )
    return f"{home.rstrip('/')}/{_HOME}/engines"


def _interpreter(device: Device, facts: Facts, transport: Transport) -> Python:
    """Return the device's Python: the program itself, behind links, shims and environments."""
    if (facts.abi or device.spec.abi).startswith("android"):
        raise LabError(
            f"{device.name}: Android has no Python",
            hint="measure it with a native runner: harness runners build --help",
        )
    found = next((each for each in facts.pythons if each.version), None)
    if found is None:
        raise LabError(
            f"{device.name} has no Python 3",
            hint="install python3 there or name one (--python), or use a native runner: "
            "harness runners build --help",
        )
    answer = transport.run([found.path, "-I", "-c", _ITSELF]).text.strip()
    if not answer.startswith("/") or "\n" in answer:
        raise LabError(
            f"{device.name}: {found.path} does not report its own path: {answer[:200]!r}"
        )
    return found.model_copy(update={"path": answer})


def _platform(device: Device, facts: Facts) -> str:
    """Return uv's name for what wheels have to run on.

    Raises
    ------
    LabError
        PyPI has no wheels for it.
    """
    abi = facts.abi or device.spec.abi
    machine = _MACHINES.get(abi)
    if machine is None:
        raise LabError(
            f"{device.name}: PyPI has no wheels for {abi}",
            hint="install the engine there and name its Python in the device's file, or use a "
            "native runner: harness runners build --help",
        )
    if facts.libc == "musl":
        return f"{machine}-unknown-linux-musl"
    minor = re.fullmatch(r"2\.(\d+).*", facts.libc_version or "")
    fitting = [each for each in _GLIBC_MINORS if minor and each <= int(minor[1])]
    if not fitting:
        raise LabError(
            f"{device.name}: its C library, {facts.libc or 'unknown'} "
            f"{facts.libc_version or ''}, is older than glibc 2.17, which wheels need",
            hint="use a native runner: harness runners build --help",
        )
    return f"{machine}-manylinux_2_{fitting[-1]}"


def _fetch(engine: Engine, python: Python, platform: str, root: Path) -> None:
    """Install an engine's wheels into a folder: those of its lock, or the newest that fit."""
    version = ".".join((python.version or "").split(".")[:2])
    site = root / "lib" / f"python{version}" / "site-packages"
    site.mkdir(parents=True)
    command = [
        *(uv.find_uv_bin(), "pip", "install", "--only-binary", ":all:", "--link-mode", "copy"),
        *("--python", sys.executable, "--python-version", version),
        *("--python-platform", platform, "--target", str(site)),
    ]
    if lock := _lock(engine):
        listed = root.parent / "lock.txt"
        listed.write_text(lock, encoding="utf-8")
        try:
            run_tool(*command, "--no-deps", "--require-hashes", "--requirements", listed)
        except LabError:  # of other versions there may be wheels that fit
            shutil.rmtree(site)
            site.mkdir()
        else:
            return
    try:
        run_tool(*command, *engine.packages, "numpy")
    except LabError as error:
        why = error.message.splitlines()[-1].strip().removeprefix("hint: ")
        raise LabError(
            f"no wheels of {engine.name} for Python {version} on {platform}: {why}",
            hint="name a newer Python of the device (--python), or use a native runner: "
            "harness runners build --help",
        ) from error


def _lock(engine: Engine) -> str | None:
    """Return the part of an engine's lock that a device needs: without converters."""
    own = {each.name: each for each in engine.environments if each.locks == engine.folder}
    environment = own.get(engine.environment or "")
    if environment is None:
        return None
    tools = set(environment.tools) - {*engine.packages, "numpy"}
    entries = re.split(r"\n(?=[A-Za-z0-9])", environment.lock)
    kept = [entry for entry in entries if (pin := _PIN.match(entry)) and pin[1] not in tools]
    return "\n".join(kept) + "\n"


def _pinned(engine: Engine) -> dict[str, str]:
    own = {each.name: each for each in engine.environments}
    environment = own.get(engine.environment or "")
    return environment.tools if environment else {}


def _complete(engine: Engine, python: Python, root: Path) -> None:
    """Make a virtual environment of a folder with packages, and add what checks the engine."""
    (root / "bin").mkdir()
    (root / "bin" / "python").symlink_to(python.path)
    (root / "lib64").symlink_to("lib")  # where some distributions look for what is compiled
    home = PurePosixPath(python.path).parent
    (root / "pyvenv.cfg").write_text(
        f"home = {home}\ninclude-system-site-packages = false\nversion = {python.version}\n",
        encoding="utf-8",
    )
    check = root / _CHECK_FOLDER
    check.mkdir()
    runner = files("harness.runner").joinpath("python", "edge_runner.py")
    (check / "edge_runner.py").write_bytes(runner.read_bytes())
    shutil.copyfile(engine.device_module, check / ENGINE_MODULE)


def _digest(root: Path) -> str:
    """Return what tells versions apart: a hash of what is installed, and for which Python."""
    installed = sorted(path.name for path in root.glob("lib/*/site-packages/*.dist-info"))
    told = "\n".join([*installed, (root / "pyvenv.cfg").read_text(encoding="utf-8")])
    return hashlib.sha256(told.encode()).hexdigest()[:12]


@contextmanager
def _packed(root: Path) -> Iterator[BinaryIO]:
    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return entry

    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            archive.add(root, arcname=".", filter=plain)
        file.seek(0)
        yield file


def _check_room(device: Device, transport: Transport, base: str, size: int) -> None:
    made = transport.run(["mkdir", "-p", base])
    if made.returncode != 0:
        raise LabError(
            f"{device.name}: {base} cannot be created: {_last(made)}",
            hint=f"set 'workdir' in devices/{device.name}.yaml to a folder of this user's own",
        )
    columns = transport.run(["df", "-Pk", base]).text.strip().rpartition("\n")[2].split()
    free = int(columns[3]) << 10 if len(columns) > 3 and columns[3].isdecimal() else None  # noqa: PLR2004 - POSIX
    if free is not None and free < size:
        raise LabError(
            f"{device.name} has too little space: {base} needs {megabytes(size)}, "
            f"{megabytes(free)} are free",
            hint=f"set 'workdir' in devices/{device.name}.yaml to a folder on a larger disk",
        )


def _check(device: Device, transport: Transport, engine: Engine, folder: str, python: str) -> str:
    """Load an engine as a launch does; what does not load is removed."""
    package = engine.packages[0]
    program = [python, "-I", "-c", _CHECK, f"{folder}/{_CHECK_FOLDER}", package]
    answer = transport.run(program, timeout=_CHECK_TIMEOUT)
    # Engines print of their own, too.
    found = re.search(
        rf"^{re.escape(package)}==([0-9A-Za-z.+!-]{{1,50}})$", answer.text, re.MULTILINE
    )
    if answer.returncode == 0 and found:
        return found[1]
    transport.run(["rm", "-rf", folder])
    ended = "" if answer.returncode > 0 else f" (signal {-answer.returncode})"
    raise LabError(
        f"{device.name}: {engine.name} does not load there{ended}: {_last(answer)}",
        hint=(
            "it was removed again; try another version, or use a native runner: harness "
            "runners build --help"
        ),
    )


def _discard(transport: Transport, base: str, python: str) -> str:
    """Remove the folder of an engine's interpreter, which is in the one of all engines."""
    name = PurePosixPath(python).relative_to(base).parts[0]
    if name in {".", ".."}:
        raise SpecificationError(f"{python} is not below {base}")
    folder = f"{base}/{name}"
    transport.run(["rm", "-rf", folder])
    return folder


def _last(answer: Completed) -> str:
    lines = (answer.stderr or answer.stdout).decode(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else f"exit status {answer.returncode}"
