"""What is said where an interval is read."""

from __future__ import annotations

import re
from contextlib import closing

import pytest

from harness.report.render import render
from tests.analysis.conftest import make_case, make_run

EVEN = [10.0, 10.02, 9.98, 10.01, 9.99, 10.0, 10.03, 9.97]
SHAPES = {
    "bimodal": [10.0, 10.01, 12.0, 9.99, 12.01, 11.99, 10.0, 12.0],
    "outlier": [10.0, 10.02, 9.98, 10.01, 9.99, 10.0, 10.03, 14.0],
    "drift": [10.0, 10.2, 10.4, 10.6, 10.8, 11.0, 11.2, 11.4],
}


@pytest.mark.parametrize(("kind", "figures"), [("", EVEN), *SHAPES.items()])
def test_launches_that_contradict_an_interval_are_named_next_to_it(cli, workspace, kind, figures):
    run = make_run({make_case(): figures})
    with closing(workspace.store()) as store:
        store.create(run)
        for launch in run.launches:
            store.add(run.id, launch)
    said = cli("results", "show", run.id).out
    assert [word for word in SHAPES if re.search(rf"\d {word}\b", said)] == ([kind] if kind else [])
    row = render(run).partition('id="latency"')[2].partition("</section>")[0]
    assert ("uneven launches</small>" in row) == bool(kind)
