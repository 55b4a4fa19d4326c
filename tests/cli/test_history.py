"""Histories on the command line: over the runs of a workspace that is a git repository."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from harness.cli.app import harness
from harness.core.records import (
    Case,
    CaseRecord,
    DeviceRecord,
    Launch,
    Protocol,
    Run,
    Status,
)
from harness.core.revisions import revision

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git here")

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FAST = Case(model="net", device="rk3588", engine="lite", backend="npu:rknn")
SLOW = Case(model="net", device="rk3588", engine="lite")


def run_of(day, latency, commit):
    launches = [
        Launch(
            id=f"r{day}-{case.id}-{slot}", case_id=case.id, slot=slot, attempt=0, position=slot,
            started=NOW, status=Status.OK, figure_ns=figure * 1e6 * (1 + slot / 1000),
        )
        for case, figure in ((FAST, latency), (SLOW, 50.0))
        for slot in range(5)
    ]  # fmt: skip
    return Run(
        id=f"r{day}", campaign="c", description="", specification="", seed=1, revision=commit,
        started=NOW + timedelta(days=day), finished=NOW, harness_version="0", protocol=Protocol(),
        models=[], cases=[CaseRecord(case=case, launches=5) for case in (FAST, SLOW)],
        devices=[
            DeviceRecord(
                name="rk3588", description="", transport="ssh", host="h", emulated=False,
                facts={"machine_id": "a" * 32},
            )
        ],
        launches=launches,
    )  # fmt: skip


@pytest.fixture
def lab(workspace, monkeypatch):
    """A workspace in git with eight commits and a run of each; the NPU slowed in the sixth."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(workspace.root.parent))

    def git(*arguments):
        user = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *user, *arguments], cwd=workspace.root, check=True)

    git("init", "--quiet", "-b", "main")
    (workspace.root / ".gitignore").write_text(".harness/\n")
    made = []
    for day in range(8):
        (workspace.root / "driver").write_text(f"{day}")
        git("add", ".")
        git("commit", "--quiet", "-m", f"driver {day}")
        if day != 4:  # nobody measured on that day
            made.append(run_of(day, 10.0 if day < 5 else 11.5, revision(workspace.root)))
    with workspace.store() as store:
        for run in made:
            store.create(run.model_copy(update={"launches": []}))
            for launch in run.launches:
                store.add(run.id, launch)
    return workspace


def test_a_change_and_the_commits_to_suspect(lab, cli):
    said = cli("history")
    assert said.code == 0
    row = next(line for line in said.out.splitlines() if FAST.id in line)
    assert "▁▁▁▁│" in row
    assert "+15.0 %" in row
    steady = next(line for line in said.out.splitlines() if SLOW.id in line)
    assert ("none" in steady, "0.0 %" in steady) == (True, True)
    assert "slower: +15.0 % [" in said.out
    assert "since r5" in said.out
    assert "last before: r3 (" in said.out
    assert "suspect: 2 commits in " in said.out
    assert "driver 5\n" in said.out
    assert "driver 4\n" in said.out
    assert "driver 3\n" not in said.out


def test_json(lab, cli):
    (case,) = json.loads(cli("history", FAST.id[:6], "--json").out)
    assert (case["case"], case["instance"]) == (FAST.id, "a" * 32)
    assert [point["run"] for point in case["points"]] == [f"r{n}" for n in (0, 1, 2, 3, 5, 6, 7)]
    (change,) = case["changes"]
    assert (change["last_before"], change["first_after"]) == ("r3", "r5")
    assert change["commits"]["count"] == 2
    assert change["low"] < 1.15 < change["high"]


def test_patterns_margin_and_since(lab, cli):
    def labels(*arguments):
        return {each["label"] for each in json.loads(cli("history", "--json", *arguments).out)}

    assert labels("rk3588", "npu:*") == {FAST.label}
    assert len(labels("net")) == 2
    said = cli("history", "gpu")
    assert (said.code, "no case was measured that matches gpu" in said.err) == (2, True)
    (case,) = json.loads(cli("history", "npu:*", "--margin", "20", "--json").out)
    assert case["changes"] == []
    (case,) = json.loads(cli("history", "npu:*", "--since", "2026-01-08", "--json").out)
    assert [point["run"] for point in case["points"]] == ["r6", "r7"]


def test_in_the_order_of_commits(lab, cli):
    """An old commit that was measured last, as in a bisection, takes its place."""
    with lab.store() as store:
        old = store.load("r1").revision
        for day, commit in ((20, old), (21, "0123456789ab")):
            run = run_of(day, 10.0, commit)
            store.create(run.model_copy(update={"launches": []}))
            for launch in run.launches:
                store.add(run.id, launch)
    said = cli("history", "npu:*", "--by", "commit", "--json")
    (case,) = json.loads(said.out)
    assert [point["run"] for point in case["points"]][:4] == ["r0", "r1", "r20", "r2"]
    assert len(case["changes"]) == 1
    said = cli("history", "--by", "commit")
    assert "left out: 1 run" in said.err


def test_nothing_measured_yet(workspace, cli):
    assert cli("history").code == 2


def test_completion_offers_names_and_cases(lab):
    from click.shell_completion import ShellComplete  # noqa: PLC0415

    def offered(text, command="history"):
        complete = ShellComplete(harness, {}, "harness", "_HARNESS_COMPLETE")
        return [item.value for item in complete.get_completions([command], text)]

    assert offered("rk") == ["rk3588"]
    assert offered(FAST.id[:8]) == [FAST.id]
    assert offered("r7", "audit") == ["r7"]
