from __future__ import annotations

import os
import platform
import sys

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drill.doubles import FakeTransport
from harness.lab.probe import (
    Battery,
    Clock,
    Cpus,
    Facts,
    Library,
    Npu,
    Python,
    parse,
    probe,
)
from harness.transports.base import Completed, TransferError
from harness.transports.local.transport import LocalTransport

# As an RK3588 board with vendor's kernel 5.10 answers, by the kernel's documented formats:
# composed for this test, not recorded.
RK3588 = """\
architecture\taarch64
kernel\t5.10.160
model\tRadxa ROCK 5B\0
compatible\tradxa,rock-5b rockchip,rk3588
elf\t7f454c4602010100000000000000000003 00
load\t0.10 0.20 0.30 1/200 1234
MemTotal\t8000000
MemAvailable\t7000000
libc\tglibc 2.31
cpuinfo\tprocessor : 0
cpuinfo\tCPU implementer : 0x41
cpuinfo\tCPU part : 0xd05
cpuinfo\tprocessor : 1
cpuinfo\tCPU implementer : 0x41
cpuinfo\tCPU part : 0xd0b
cpuinfo\tprocessor : 2
cpuinfo\tCPU implementer : 0x41
cpuinfo\tCPU part : 0xd0b
cpuinfo\tprocessor : 3
cpuinfo\tCPU implementer : 0x41
cpuinfo\tCPU part : 0xfff
cpuinfo\tSerial : 0123456789abcdef
max_khz 0\t1800000
min_khz 0\t408000
current_khz 0\t1008000
governor 0\tondemand
max_khz 1\t2400000
max_khz 2\t2400000
current_khz 1\t1200000
temperature soc-thermal\t45307
temperature gpu-thermal\t-1500
temperature soc-thermal\t46000
temperature broken\tnone
temperature whole-degrees\t71
temperature tenths\t385
temperature modem\t-273000
temperature parked\t125000
temperature parked\t0
cpus_offline\t4-5,7-127
cpus_present\t0-7
uid\t1000
npu rknpu\tRKNPU driver: v0.9.8
npu_node rknpu\tno /dev/dri/renderD128
npu_node rknpu\tyes /dev/dri/renderD129
npu galcore\tpresent
library librknnrt.so\t/usr/lib/librknnrt.so
library_version librknnrt.so\tlibrknnrt version: 2.3.0
library libGAL.so\tno path
clock_hz fdab0000.npu\t1000000000
clock_max_hz fdab0000.npu\t1000000000
clock_governor fdab0000.npu\trknpu_ondemand
clock_hz dmc\tfast
python /usr/bin/python3\tversion 3.9.2
python /usr/bin/python3\tonnxruntime 1.19.0
python /usr/bin/python3\tsomething-else 1.0
tool\ttimeout
end\tyes
"""


def test_an_old_arm_kernel_tells_the_kind_of_core_once_for_all_processors():
    once = [
        *(f"cpuinfo\tprocessor : {number}" for number in range(4)),
        "cpuinfo\tCPU implementer : 0x41",
        "cpuinfo\tCPU part : 0xc0d",
        "cpuinfo\tSerial : 0000000000000000",
    ]
    assert parse("\n".join(once).encode()).cpus == (Cpus(numbers=(0, 1, 2, 3), core="Cortex-A17"),)


def test_what_a_board_tells_is_read():
    facts = parse(RK3588.encode())
    assert facts == Facts(
        model="Radxa ROCK 5B",
        soc="rockchip,rk3588",
        compatible=("radxa,rock-5b", "rockchip,rk3588"),
        root=False,
        serial="0123456789abcdef",
        kernel="5.10.160",
        architecture="aarch64",
        libc="glibc",
        libc_version="2.31",
        cpus=(
            Cpus(
                numbers=(0,),
                core="Cortex-A55",
                min_khz=408_000,
                max_khz=1_800_000,
                current_khz=(1_008_000,),
                governor="ondemand",
            ),
            Cpus(numbers=(1, 2), core="Cortex-A76", max_khz=2_400_000),
            Cpus(numbers=(3,), core="ARM 0x41/0xfff"),
        ),
        memory_total_bytes=8_192_000_000,
        memory_available_bytes=7_168_000_000,
        load1=0.1,
        cpus_offline=(4, 5, 7),
        temperatures_c={"soc-thermal": 45.307, "gpu-thermal": -1.5, "soc-thermal 2": 46.0},
        temperatures_unknown={
            "whole-degrees": 71,
            "tenths": 385,
            "modem": -273_000,
            "parked": 125_000,
            "parked 2": 0,
        },
        npus=(
            Npu(driver="rknpu", version="0.9.8", node="/dev/dri/renderD129", accessible=True),
            Npu(driver="galcore"),
        ),
        libraries={"librknnrt.so": Library(path="/usr/lib/librknnrt.so", version="2.3.0")},
        clocks={
            "fdab0000.npu": Clock(
                current_hz=1_000_000_000, max_hz=1_000_000_000, governor="rknpu_ondemand"
            ),
            "dmc": Clock(),
        },
        pythons=(
            Python(path="/usr/bin/python3", version="3.9.2", engines={"onnxruntime": "1.19.0"}),
        ),
        tools=("timeout",),
    )


def test_what_is_not_told_is_unknown():
    assert parse(b"end\tyes\n").model_dump(exclude_defaults=True) == {}


def elf(machine, flags=0, bits=2):
    header = bytearray(40)
    header[:5] = b"\x7fELF" + bytes([bits])
    header[18:20] = machine.to_bytes(2, "little")
    header[36:40] = flags.to_bytes(4, "little")
    return header.hex()


@pytest.mark.parametrize(
    ("architecture", "header", "libc", "abi"),
    [
        ("aarch64", elf(183), "glibc 2.31", "arm64-linux"),
        ("aarch64", elf(40, 0x05000400, bits=1), "glibc 2.31", "armv7hf-linux"),
        ("armv7l", elf(40, 0x05000400, bits=1), "musl 1.2.3", "armv7hf-linux"),
        ("armv7l", elf(40, 0x05000200, bits=1), "glibc 2.28", None),
        ("armv6l", elf(40, 0x05000400, bits=1), "glibc 2.31", None),
        ("aarch64", elf(183), "bionic", "android-arm64"),
        ("armv8l", elf(40, bits=1), "bionic", "android-armv7"),
        ("x86_64", elf(62), "none", "x86_64-linux"),
        ("riscv64", elf(243), "glibc 2.36", None),
        ("aarch64", "7f454c46", "glibc 2.36", None),
    ],
)
def test_the_abi_is_that_of_the_userland(architecture, header, libc, abi):
    told = f"architecture\t{architecture}\nelf\t{header}\nlibc\t{libc}\nend\tyes\n"
    assert parse(told.encode()).abi == abi


# As Android's BatteryService and ThermalManagerService print: composed for this test.
BATTERY = """\
Current Battery Service state:
  AC powered: false
  USB powered: true
  Max charging current: 500000
  status: 2
  health: 2
  present: true
  level: 42
  scale: 50
  voltage: 4200
  temperature: 285
  Capacity level: -1
"""
THERMAL = """\
IsStatusOverride: false
Thermal Status: 1
Cached temperatures:
\tTemperature{mValue=99.0, mType=0, mName=stale, mStatus=4}
HAL Ready: true
Current temperatures from HAL:
\tTemperature{mValue=62.500004, mType=0, mName=CPU0, mStatus=0}
\tTemperature{mValue=NaN, mType=3, mName=skin, mStatus=0}
\tTemperature{mValue=-5.0, mType=2, mName=$(reboot), mStatus=0}
Current cooling devices from HAL:
\tCoolingDevice{mValue=0, mType=2, mName=fan}
\tTemperature{mValue=98.0, mType=0, mName=elsewhere, mStatus=4}
"""
PROPERTIES = """\
case $1 in
ro.product.manufacturer) echo HUAWEI ;;
ro.product.model) echo LIO-AN00 ;;
ro.board.platform) echo kirin990 ;;
ro.serialno) echo DEMO01 ;;
ro.config.hiaiversion) echo 100.320.010.022 ;;
ro.build.version.release) echo 10 ;;
ro.build.version.sdk) echo 29 ;;
ro.product.cpu.abi) echo arm64-v8a ;;
esac
"""


@pytest.fixture
def android(tmp_path, monkeypatch):
    """Make this machine answer as Android does: doubles of its getprop and dumpsys."""
    for name, script in (("getprop", PROPERTIES), ("dumpsys", 'cat "${0%/*}/$1"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_android_tells_of_itself_its_battery_and_its_sensors(android):
    (android / "battery").write_text(BATTERY)
    (android / "thermalservice").write_text(THERMAL)
    facts = probe(LocalTransport())
    assert (facts.model, facts.soc, facts.serial) == ("HUAWEI LIO-AN00", "kirin990", "DEMO01")
    assert (facts.os, facts.android_api) == ("Android 10", 29)
    assert facts.battery == Battery(level_percent=84, status="charging", temperature_c=28.5)
    assert facts.thermal_status == 1
    assert Npu(driver="hiai", version="100.320.010.022") in facts.npus
    assert facts.temperatures_c["CPU0"] == 62.5
    assert facts.temperatures_c["$(reboot)"] == -5
    assert not {"stale", "skin", "elsewhere"} & set(facts.temperatures_c)


def test_what_android_does_not_tell_is_unknown(android):
    (android / "battery").write_text(BATTERY.replace("present: true", "present: false"))
    facts = probe(LocalTransport())
    assert (facts.battery, facts.thermal_status) == (None, None)


def test_androids_own_word_for_its_abi_counts_where_its_shell_cannot_be_read():
    assert parse(b"android_abi\tarmeabi-v7a\nend\tyes\n").abi == "android-armv7"
    assert parse(b"android_abi\tmips\nend\tyes\n").abi is None


ANDROID = ["android_api", "android_abi", "soc", "battery", "thermal", "thermal_status"]
KEYS = sorted(
    {*ANDROID, "battery   level", "battery   scale"}
    | {line.partition("\t")[0] for line in RK3588.splitlines()}
)
LINES = st.tuples(st.sampled_from(KEYS), st.text(max_size=300)).map("\t".join)


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("Galcore version 6.4.3.p1.305572", "6.4.3.p1.305572"),
        ("Galcore version 6.4.4.3.310723AAA", "6.4.4.3.310723AAA"),
        ("initialized rknpu 0.9.8", "0.9.8"),
        ("6.4.6.5.351518", "6.4.6.5.351518"),
        ("present", None),
        ("galcore version", None),
    ],
)
def test_a_drivers_version_is_read_as_its_makers_write_it(said, version):
    assert parse(f"npu d\t{said}\n".encode()).npus == (Npu(driver="d", version=version),)


class Relocated(LocalTransport):
    """This machine, with another root for what probing reads of NPUs: a double of a board."""

    def __init__(self, root):
        self.root = root

    def run(self, argv, *, stdin, **options):
        script = stdin.decode()
        for folder in ("/sys/", "/dev/galcore", "/dev/rknpu", "/dev/dri/"):
            script = script.replace(f" {folder}", f" {self.root}{folder}")
            script = script.replace(f'"{folder}', f'"{self.root}{folder}')
        return super().run(argv, stdin=script.encode(), **options)


def put(path, content=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_what_verdicts_need_is_read_from_where_boards_have_it(tmp_path, elf_double):
    put(tmp_path / "sys/module/galcore/version", "6.4.6.5.351518\n")
    put(tmp_path / "dev/galcore")
    put(tmp_path / "sys/module/rknpu/version", "0.9.6\n")
    put(tmp_path / "dev/dri/renderD128")
    put(tmp_path / "dev/dri/renderD129")
    for number, driver in ((128, "panfrost"), (129, "RKNPU")):
        device = tmp_path / f"sys/class/drm/renderD{number}/device"
        device.mkdir(parents=True)
        (device / "driver").symlink_to(f"../{driver}")
    put(tmp_path / "sys/class/devfreq/fdab0000.npu/cur_freq", "1000000000\n")
    put(tmp_path / "sys/class/devfreq/fdab0000.npu/max_freq", "1000000000\n")
    folder, other = tmp_path / "npu libraries", tmp_path / "32 bits"
    runtime = b"\0librknnrt version: 2.3.0 (c949ad889d@2024-11-07T11:35:33)\0"
    for place, machine in ((other, "arm"), (folder, "x86_64")):
        place.mkdir()
        (place / "librknnrt.so").write_bytes(elf_double(machine) + runtime)
    (folder / "libGAL.so").write_bytes(elf_double("arm"))

    facts = probe(Relocated(tmp_path), folders=[str(other), str(folder)])
    assert facts.root == (os.geteuid() == 0)
    assert {npu.driver: npu for npu in facts.npus} == {
        "rknpu": Npu(
            driver="rknpu",
            version="0.9.6",
            node=f"{tmp_path}/dev/dri/renderD129",
            accessible=True,
        ),
        "galcore": Npu(
            driver="galcore",
            version="6.4.6.5.351518",
            node=f"{tmp_path}/dev/galcore",
            accessible=True,
        ),
    }
    assert facts.clocks["fdab0000.npu"] == Clock(current_hz=10**9, max_hz=10**9)
    # Neither libGAL.so nor the first librknnrt.so is for the word size of this machine's programs.
    assert facts.libraries == {
        "librknnrt.so": Library(path=f"{folder}/librknnrt.so", version="2.3.0")
    }


@given(
    st.one_of(
        st.binary(max_size=2000),
        st.lists(LINES).map(lambda x: "\n".join(x).encode(errors="replace")),
    )
)
def test_any_answer_is_read_and_what_is_read_is_clean(answer):
    told = parse(answer)
    assert Facts.model_validate_json(told.model_dump_json()) == told
    for text in (told.model, told.soc, told.kernel, *told.tools, *told.temperatures_c):
        assert text is None or (text.isprintable() and 0 < len(text) <= 210)


def test_an_endless_answer_is_bounded():
    answer = b"".join(b"temperature t%d\t1000\n" % n for n in range(100_000))
    facts = parse(answer + b"tool\tx\n" * 100_000)
    assert len(facts.model_dump_json()) < 10_000


def test_an_answer_that_is_cut_short_is_an_error():
    shell_less = FakeTransport(lambda argv, stdin: Completed(127, stderr=b"sh: not found\n"))
    with pytest.raises(TransferError, match=r"cut short \(exit status 127\): sh: not found"):
        probe(shell_less)


def test_this_machine_is_probed_for_real():
    facts = probe(LocalTransport(), [sys.executable])
    assert facts.architecture == platform.machine()
    assert facts.kernel == platform.release()
    assert facts.memory_total_bytes == psutil.virtual_memory().total
    assert sum(len(cpus.numbers) for cpus in facts.cpus) == psutil.cpu_count()
    assert facts.libc == platform.libc_ver()[0]
    assert facts.libc_version == platform.libc_ver()[1]
    assert [python.path for python in facts.pythons] == [sys.executable]
    assert facts.pythons[0].version == platform.python_version()
    assert {"timeout", "sha256sum"} <= set(facts.tools)
