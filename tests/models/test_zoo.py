"""The whole zoo, from nothing, for all kinds of targets, with the real tools."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.workspace import cache_dir

pytestmark = [pytest.mark.e2e, pytest.mark.full]

REPOSITORY = Path(__file__).parents[2]
TARGETS = "arm,x86,rockchip_npu,verisilicon_timvx,rknn:rk3588,onnx"
CHECKED = {("nb", "x86"), ("onnx", "any")}


def test_the_whole_zoo_is_built_and_what_runs_here_is_right(tmp_path, monkeypatch):
    own = tmp_path / "cache" / "edge-harness"
    own.mkdir(parents=True)
    (own / "environments").symlink_to(cache_dir() / "environments")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    command = [sys.executable, "-m", "harness", "--workspace", str(REPOSITORY), "models", "build"]

    def timed():
        began = time.monotonic()
        ended = subprocess.run(
            [*command, "--all", "--targets", TARGETS, "--json"],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        return ended.returncode, json.loads(ended.stdout), time.monotonic() - began

    code, rows, first_s = timed()
    assert [(row["model"], row["reason"]) for row in rows if row["state"] != "built"] == []
    checked = {(row["model"], row["format"], row["target"]): row["outputs"] for row in rows}
    for (model, *kind), outputs in checked.items():
        assert (outputs is not None) == (tuple(kind) in CHECKED)
        assert outputs is None or outputs["passed"], (model, kind, outputs)
    assert len({row["model"] for row in rows}) == 13
    assert code == 0

    code, again, second_s = timed()
    assert {row["state"] for row in again} == {"was there"}
    assert [row["artifact"]["id"] for row in again] == [row["artifact"]["id"] for row in rows]
    assert code == 0
    # How long each may take is for benchmarks; that nothing is built again shows on any machine.
    assert second_s < first_s / 20
