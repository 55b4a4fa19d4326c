"""Devices' files: how a device is reached, and how its engines are started."""

from __future__ import annotations

import pytest

from harness.core.errors import LabError, SpecificationError
from harness.lab.connect import connect, ssh_target
from harness.lab.inventory import load_device


@pytest.fixture
def write(workspace):
    def write(text):
        (workspace.devices / "demo.yaml").write_text(text)
        return load_device(workspace, "demo")

    return write


@pytest.mark.parametrize("address", ["0123456789ABCDEF", "phone.lab:5555", "'[2001:db8::1]:5555'"])
def test_an_adb_device_is_a_serial_or_an_address(write, address):
    device = write(f"transport: adb\naddress: {address}\nabi: android-arm64\n")
    assert (device.host, device.emulated) == ("demo", False)
    assert device.workdir == "/data/local/tmp/edge-harness"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "needs either 'address' or 'board'"),
        ("address: root@board", "a serial number or host:port"),
        ("address: a:kill:features", "a serial number or host:port"),
        ("address: phone:5555x", "a serial number or host:port"),
        ("address: '-s'", "a serial number or host:port"),
        ("address: X\nidentity_file: key", "'identity_file' is for ssh"),
        ("address: X\nengines: {onnxruntime: {environment: onnxruntime}}", "is for local devices"),
    ],
)
def test_a_wrong_adb_device_is_refused(write, line, message):
    with pytest.raises(SpecificationError, match=message):
        write(f"transport: adb\nabi: android-arm64\n{line}\n")


def test_an_adb_device_has_no_ssh_address(write):
    device = write("transport: adb\naddress: X\nabi: android-arm64\n")
    with pytest.raises(SpecificationError, match="demo has no SSH address"):
        ssh_target(device)


def test_a_board_is_one_host_whatever_it_is_reached_by(workspace, write):
    recipe = (
        "image: {suites: [trixie], architecture: arm64, kernel: k1, modules: [], packages: []}\n"
        "machine: {cpu: cortex-a53, cores: 1, memory_mb: 128}\n"
    )
    workspace.boards.mkdir()
    (workspace.boards / "board.yaml").write_text(recipe)
    devices = [
        write(f"transport: {transport}\nboard: board\nabi: arm64-linux\n")
        for transport in ("ssh", "adb")
    ]
    assert {(device.host, device.emulated) for device in devices} == {("this-machine", True)}
    for device in devices:
        with pytest.raises(LabError, match="the emulated board board is not running"):
            connect(workspace, device)


@pytest.mark.parametrize(
    ("engines", "said"),
    [
        ("onnxruntime: {}", "onnxruntime: give one of 'python', 'environment' and 'runner'"),
        ("onnxruntime: {python: p, runner: r}", "give one of 'python', 'environment' and 'runner'"),
        ("calibration: {python: p}", "the harness brings calibration itself"),
    ],
)
def test_an_engine_is_started_in_one_way(workspace, engines, said):
    text = f"transport: local\nabi: x86_64-linux\nengines: {{{engines}}}\n"
    (workspace.devices / "here.yaml").write_text(text)
    with pytest.raises(SpecificationError, match=r"here\.yaml:3: ") as caught:
        load_device(workspace, "here")
    assert said in caught.value.message
