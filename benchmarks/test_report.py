"""What rendering a report takes, in time, memory and bytes, and how that grows with the cases.

Each size is rendered in a process of its own, of whose CPU time and peak memory the rendering's
share is told: nothing else on the machine is in it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SIZES = (200, 2_000)  # cases, of five launches each

RENDER = """
import json, resource, sys, time
from tests.report.conftest import large_run
run = large_run(int(sys.argv[1]))
from harness.report.render import render
begun = time.process_time()
html = render(run)
print(json.dumps({
    "seconds": time.process_time() - begun,
    "bytes": len(html.encode()),
    "peak_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
}))
"""


@pytest.fixture(scope="module")
def rendered():
    """Render reports of all sizes."""

    def render(cases):
        command = [sys.executable, "-c", RENDER, str(cases)]
        root = Path(__file__).parent.parent
        said = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
        return json.loads(said.stdout)

    return {cases: render(cases) for cases in SIZES}


def test_a_report_is_rendered_fast_and_small(rendered, at_most):
    bounds = {200: (1.5, 250, 3), 2_000: (5, 500, 8)}
    for cases, (seconds, megabytes, size) in bounds.items():
        found, name = rendered[cases], f"report of {cases} cases × 5 launches"
        at_most(f"{name}: CPU time", found["seconds"], "s", seconds, "one process, both languages")
        at_most(f"{name}: peak memory", found["peak_kb"] / 1e3, "MB", megabytes, "ru_maxrss, all")
        at_most(f"{name}: size", found["bytes"] / 1e6, "MB", size, "the file")


def test_rendering_grows_no_faster_than_the_cases(rendered, at_most):
    few, many = (rendered[cases]["seconds"] for cases in SIZES)
    growth = SIZES[1] / SIZES[0]
    at_most(
        "report: growth of time over growth of cases",
        many / few / growth,
        "",
        1.2,
        "10 × the cases",
    )
