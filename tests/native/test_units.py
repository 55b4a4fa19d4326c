"""Unit tests of the pure parts of supervisor and runners, by the compiler here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.native.program import SOURCES

UNITS = Path(__file__).parent / "units" / "units.cc"
PARTS = ("base/*.cc", "core/inputs.cc", "core/measure.cc")
FLAGS = ("-std=c++17", "-Wall", "-Wextra", "-Werror", "-fno-exceptions", "-ffp-contract=off")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Compile the tests; a change to the sources may be tried by what replaces one of them."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++")
    program = tmp_path_factory.mktemp("units") / "units"
    sources = [path for part in PARTS for path in sorted(SOURCES.glob(part))]
    command = [compiler, *FLAGS, f"-I{SOURCES}", UNITS, *sources, "-o", program]
    subprocess.run(command, check=True)
    return program


def test_the_pure_parts(compiled):
    done = subprocess.run([compiled], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
