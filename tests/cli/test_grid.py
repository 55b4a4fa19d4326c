"""Tables on terminals of any width."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from harness.cli.grid import Column, Grid
from tests.report.conftest import demo_run
from tests.report.nightly import add

WIDTHS = (20, 80, 100, 160)
NAMES = ("mobilenet_v1_025_96", "ppocrv4_cls", "onnxruntime", "paddle-lite")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\].*?(?:\x07|\x1b\\)")


def squeezed(text):
    """Return text without the white space that wrapping moves."""
    return re.sub(r"\s", "", text)


def printed(grid, width, *, terminal=True):
    out = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    grid.print(out)
    return out.file.getvalue()


WORDS = st.text("abc-_·ü漢 ", min_size=1, max_size=24).filter(str.strip)
CELLS = st.lists(st.tuples(WORDS, WORDS, WORDS, WORDS), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(CELLS, st.integers(8, 140))
def test_no_line_is_too_long_and_nothing_that_has_to_show_is_cut(rows, width):
    grid = Grid(Column("Model"), Column("Device"), Column("Engine", wrap=6), Column("Extra", 1))
    for row in rows:
        grid.add(*row)
    shown = printed(grid, width)
    assert all(cell_len(line.rstrip()) <= width for line in shown.splitlines())
    if "not shown: " in shown and "Model" in shown.splitlines()[0]:
        assert "Extra" in shown.partition("not shown: ")[2]
    for model, device, *_ in rows:
        if width >= 2 * 24 + 12:
            assert model.strip() in shown
            assert device.strip() in shown
        assert set(squeezed(model + device)) <= set(shown)


def test_columns_are_dropped_by_rank_and_named():
    grid = Grid(Column("Name"), Column("First", 1), Column("Second", 2))
    grid.add("mobilenet", "1" * 10, "2" * 10)
    assert "not shown" not in printed(grid, 40)
    narrow = printed(grid, 25)
    assert ("1" * 10 in narrow, "2" * 10 in narrow) == (True, False)
    assert "not shown: Second (--wide)" in squeezed_lines(narrow)
    assert "2" * 10 in printed(grid, 25, terminal=False)


def squeezed_lines(text):
    return " ".join(text.split())


def test_a_column_that_knows_nothing_is_left_out_on_a_terminal():
    grid = Grid(Column("Name"), Column("Driver", 1))
    grid.add("mobilenet", "unknown")
    assert "Driver" in printed(grid, 60).partition("not shown:")[2]
    assert "unknown" in printed(grid, 60, terminal=False)


def test_cells_are_counted():
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        Grid(Column("a"), Column("b")).add("x")


@pytest.fixture
def on_terminal(workspace):
    """Run the command line on a terminal of some width."""

    def run(columns, *arguments, **environment):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        given = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        command = [sys.executable, "-m", "harness", "--workspace", workspace.root, *arguments]
        process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave,
            env=given | {"TERM": "xterm-256color"} | environment,
        )  # fmt: skip
        os.close(slave)
        raw = b""
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:  # the other side is closed
                break
            if not part:
                break
            raw += part
        os.close(master)
        assert process.wait(60) == 0, raw.decode()
        return raw.decode()

    return run


@pytest.mark.parametrize("columns", WIDTHS)
def test_results_are_readable_at_any_width(workspace, on_terminal, columns):
    run = demo_run()
    add(workspace, run)
    shown = _ESCAPES.sub("", on_terminal(columns, "results", "show", "demo"))
    assert all(cell_len(line) <= columns for line in shown.splitlines())
    for name in NAMES:
        assert name in (shown if columns > 20 else squeezed(shown))
    assert "…" not in shown
    assert ("Repeats" in shown.partition("not shown")[0]) == (columns in (20, 160))
    assert ("not shown:" in shown) == (columns > 20)


def test_wide_and_colours(workspace, on_terminal):
    add(workspace, demo_run())
    wide = on_terminal(80, "results", "show", "--wide")
    assert "CPU time" in wide
    assert "\x1b[3" in wide
    plain = on_terminal(80, "results", "show", NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", plain)
    assert "\x1b" not in on_terminal(80, "results", "show", TERM="dumb")
