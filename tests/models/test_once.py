from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from harness.core.errors import LabError
from harness.models.once import make_once


@pytest.fixture
def make(tmp_path, steps):
    """Makes ``tmp_path/things/one`` with a function that fills it."""

    def call(fill, sound=lambda _: True):
        make_once(tmp_path / "things" / "one", fill, sound=sound, progress=steps.append)
        return tmp_path / "things" / "one"

    return call


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_it_is_filled_once(make):
    calls = []

    def fill(folder):
        calls.append(folder)
        (folder / "file").write_text("content")

    assert (make(fill) / "file").read_text() == "content"
    assert (make(fill) / "file").read_text() == "content"
    assert len(calls) == 1


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_nothing(make, tmp_path, error):
    def fill(folder):
        (folder / "half").write_text("")
        raise error

    with pytest.raises(error):
        make(fill)
    assert visible(tmp_path / "things") == []
    assert (make(lambda folder: (folder / "whole").touch()) / "whole").exists()


def test_what_is_unsound_is_made_again(make):
    make(lambda folder: (folder / "old").touch())
    folder = make(
        lambda folder: (folder / "new").touch(), sound=lambda folder: (folder / "new").exists()
    )
    assert visible(folder) == ["new"]


def test_a_place_that_cannot_be_written_is_one_clear_line(make, tmp_path):
    (tmp_path / "things").write_text("a file where the folder should be")
    with pytest.raises(LabError, match="things cannot be written"):
        make(lambda _: None)


def test_several_at_once_wait_for_the_first(make, steps):
    calls = []
    begun = threading.Event()
    others_wait = threading.Event()

    def fill(folder):
        calls.append(folder)
        begun.set()
        assert others_wait.wait(30)

    first = threading.Thread(target=make, args=(fill,))
    first.start()
    assert begun.wait(30)
    second = threading.Thread(target=make, args=(fill,))
    second.start()
    while not steps:  # ends when the second says that it waits
        second.join(0.01)
        assert second.is_alive()
    others_wait.set()
    first.join(30)
    second.join(30)
    assert len(calls) == 1
    assert "waiting for another process" in steps[0]


def test_a_killed_maker_holds_no_one_up_and_leaves_nothing(make, tmp_path):
    script = (
        "import sys, signal\n"
        "from pathlib import Path\n"
        "from harness.models.once import make_once\n"
        "def fill(folder):\n"
        "    (folder / 'half').touch()\n"
        "    print('filling', flush=True)\n"
        "    signal.pause()\n"
        "make_once(Path(sys.argv[1]), fill, sound=bool, progress=print)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "things" / "one")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as maker:
        assert maker.stdout.readline() == b"filling\n"
        assert [name for name in visible(tmp_path / "things") if name.endswith(".partial")]
        os.kill(maker.pid, signal.SIGKILL)
    assert visible(make(lambda folder: (folder / "whole").touch())) == ["whole"]
    assert visible(tmp_path / "things") == ["one"]
