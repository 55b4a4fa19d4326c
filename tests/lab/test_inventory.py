"""Devices' files: how a device is reached, and how its engines are started."""

from __future__ import annotations

import pytest

from harness.core.errors import LabError, SpecificationError
from harness.core.yamlfile import dump
from harness.fleet.centre import profile
from harness.lab.connect import connect, identity
from harness.lab.inventory import DeviceSpec, load_device
from harness.transports import COMMON


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


def test_what_a_device_proves_itself_by(write, workspace):
    assert identity(workspace, write("transport: adb\naddress: X\nabi: android-arm64\n")) is None
    ssh = write("transport: ssh\naddress: root@board:2222\nabi: arm64-linux\n")
    assert (identity(workspace, ssh).host, identity(workspace, ssh).recorded()) == (
        "[board]:2222",
        [],
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "transport: sshh\nabi: arm64-linux",
            "1: transport: unknown transport 'sshh'; did you mean 'ssh'",
        ),
        ("abi: arm64-linux", "1: transport: field required"),
        (
            "transport: local\naddress: X\nabi: x86_64-linux",
            "2: address: 'address' is for adb and ssh",
        ),
        ("transport: local\nboard: b\nabi: x86_64-linux", "transport local reaches no 'board'"),
        (
            "transport: ssh\nadress: X\nabi: arm64-linux",
            "2: unknown key 'adress'; did you mean 'address'",
        ),
        ("transport: ssh\naddress: 'a b'\nabi: arm64", "2: address: string should match"),
        ("transport: ssh\naddress: 'a b'\nabi: arm64", "3: abi: input should be"),
        ("transport: ssh\nlink: X\nabi: arm64-linux", "2: unknown key 'link'"),
        ("transport: [ssh]\nabi: arm64-linux", "1: transport: input should be a valid string"),
    ],
)
def test_a_wrong_file_is_told_line_by_line(write, text, said):
    with pytest.raises(SpecificationError) as caught:
        write(f"{text}\n")
    assert said in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "transport: local\nabi: x86_64-linux\n",
        "transport: ssh\naddress: root@b\nidentity_file: k\nabi: arm64-linux\nclass: arm-linux\n",
        "transport: adb\naddress: X\nabi: android-arm64\n",
    ],
)
def test_a_device_is_written_as_it_is_read(write, text):
    spec = write(text).spec
    assert dump(spec) == text
    again = DeviceSpec.model_validate_json(spec.model_dump_json(by_alias=True))
    assert (again, again.link) == (spec, spec.link)


def test_what_is_left_out_of_a_file_is_left_out_of_its_transports_fields_too(write):
    spec = write("transport: ssh\naddress: root@b\nidentity_file: k\nabi: arm64-linux\n").spec
    assert spec.model_dump(exclude={"address"}, exclude_defaults=True) == {
        "transport": "ssh",
        "identity_file": "k",
        "abi": "arm64-linux",
    }
    assert profile(spec) == {"transport": "ssh", "abi": "arm64-linux"}


def test_common_fields_are_those_of_every_device():
    assert set(DeviceSpec.model_fields) | {"class"} == COMMON


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
