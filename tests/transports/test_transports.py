"""What holds of every real transport: to this machine, over SSH, and over adb (to doubles)."""

from __future__ import annotations

import io
import os
import stat
import time

import psutil
import pytest

from harness.transports.base import CommandTimeoutError, TransferError
from harness.transports.local.transport import LocalTransport

HOSTILE = ["it's", "$(touch owned)", "a b\n`c`", "--flag", "*", "ümläut", '"', "\\", "é\udcff"]


@pytest.fixture(params=["local", "ssh", "adb", "old_adb"])
def device(request):
    if request.param == "local":
        return LocalTransport()
    return request.getfixturevalue(request.param)


def wait_until(condition):
    """Poll what another process brings about; a test that would wait for ever fails instead."""
    give_up = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up, "it did not come about"
        time.sleep(0.01)


def test_output_and_status_come_back(device):
    answer = device.run(["sh", "-c", "cat; echo oops >&2; exit 7"], stdin=b"in\0put")
    assert (answer.returncode, answer.stdout) == (7, b"in\0put")
    assert answer.stderr == b"oops\n"
    assert not answer.truncated


def test_arguments_arrive_as_they_are(device):
    answer = device.run(["printf", "%s\\0", *HOSTILE])
    assert answer.stdout.split(b"\0")[:-1] == [os.fsencode(name) for name in HOSTILE]


def test_a_missing_program_gives_127(device):
    answer = device.run(["no-such-program"])
    assert answer.returncode == 127
    assert b"no-such-program" in answer.stderr


def test_a_signal_n_gives_128_plus_n(device):
    assert device.run(["sh", "-c", "kill -SEGV $$"]).returncode == 139


def test_a_command_need_not_read_its_input(device):
    assert device.run(["true"], stdin=bytes(8 << 20)).returncode == 0


@pytest.mark.parametrize("piece", [1 << 10, 100_001])
def test_input_may_come_piece_by_piece(device, piece):
    content = os.urandom(3_000_000)

    class Pieces(io.BytesIO):
        def read(self, size):
            return super().read(min(size, piece))

    answer = device.run(["sh", "-c", "cat"], stdin=Pieces(content), output_limit=4_000_000)
    assert answer.stdout == content


def test_a_hundred_megabytes_of_output_are_bounded(device):
    process = psutil.Process()
    before = process.memory_info().rss
    script = "head -c 100000000 /dev/zero; echo end >&2"
    answer = device.run(["sh", "-c", script], output_limit=1000, timeout=120)
    assert answer.stdout == bytes(1000)
    assert answer.stderr == b"end\n"
    assert answer.truncated
    assert process.memory_info().rss - before < 50 << 20


def test_a_timed_out_command_is_killed_with_its_children(device, tmp_path):
    script = 'sleep 1000 & echo $! $$ >"$1.new"; mv "$1.new" "$1"; wait'
    pids = tmp_path / "pids"
    with pytest.raises(CommandTimeoutError, match="'sh' did not finish within 2 s"):
        device.run(["sh", "-c", script, "sh", str(pids)], timeout=2)
    for pid in pids.read_text().split():
        wait_until(lambda pid=int(pid): not psutil.pid_exists(pid) or is_zombie(pid))
    assert device.run(["echo", "usable"]).text == "usable\n"


def is_zombie(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("name", ["it's a $(name)", "-n", "ünï\ncode"])
def test_files_go_there_and_back(device, tmp_path, name):
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3 << 20))
    source.chmod(0o755)
    target = tmp_path / name
    device.push(source, str(target))
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_mode & stat.S_IXUSR
    device.pull(str(target), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()


def test_an_empty_file_goes_there_and_back(device, tmp_path):
    source = tmp_path / "source"
    source.touch()
    device.push(source, str(tmp_path / "target"))
    device.pull(str(tmp_path / "target"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b""


def test_push_into_a_missing_folder_says_so(device, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(bytes(4 << 20))
    with pytest.raises(TransferError, match=r"(?i)no such file|nonexistent"):
        device.push(source, str(tmp_path / "missing" / "target"))


def test_push_onto_a_full_disk_says_so(device, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(bytes(1 << 20))
    with pytest.raises(TransferError, match="No space left on device"):
        device.push(source, "/dev/full")


def test_push_of_a_missing_file_says_so(device, tmp_path):
    with pytest.raises(TransferError, match="No such file"):
        device.push(tmp_path / "missing", str(tmp_path / "target"))


@pytest.mark.parametrize(
    ("what", "message"),
    [("missing", "(?i)no such file"), ("folder", "not a regular file"), ("fifo", "not a regular")],
)
def test_pull_takes_regular_files_only(device, tmp_path, what, message):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(TransferError, match=message):
        device.pull(str(tmp_path / what), tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_pull_stops_at_its_limit_and_leaves_nothing(device, tmp_path):
    (tmp_path / "large").write_bytes(bytes(5 << 20))
    (tmp_path / "to").mkdir()
    with pytest.raises(TransferError, match="larger than 100000 bytes"):
        device.pull(str(tmp_path / "large"), tmp_path / "to" / "back", limit=100_000)
    assert list((tmp_path / "to").iterdir()) == []
    assert device.run(["echo", "usable"]).text == "usable\n"
