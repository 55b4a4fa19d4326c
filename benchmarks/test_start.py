"""How long the command line takes to answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HARNESS = Path(sys.executable).with_name("harness")


def test_help(benchmark, at_most):
    benchmark.pedantic(
        lambda: subprocess.run([HARNESS, "--help"], check=True, stdout=subprocess.DEVNULL),
        rounds=10,
        warmup_rounds=1,
    )
    at_most("harness --help", benchmark.stats.stats.median, "s", 0.4, "median of 10 starts")
