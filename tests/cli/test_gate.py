"""Baselines, comparisons and the gate, as far as they need no device."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest

from harness.core.contract import InputSpec
from harness.core.errors import LabError
from harness.core.records import SCHEMA_VERSION, Expectation
from tests.analysis.conftest import FACTS, make_case, make_run

CPU = make_case()
NPU = make_case("rknn", backend="npu:rk3588", precision="fp16")
STEADY = [10.0, 10.02, 9.98, 10.01, 9.99]


@pytest.fixture
def keep_run(workspace):
    """Store runs; a later one is newer."""
    stored = []

    def store_run(figures, name, *, campaign="c", revision=None, expect=(), **more):
        run = make_run(figures, name=name, **more).model_copy(
            update={
                "campaign": campaign,
                "revision": revision,
                "expectations": list(expect),
                "started": datetime(2026, 1, len(stored) + 1, tzinfo=UTC),
                "finished": datetime(2026, 1, len(stored) + 1, 1, tzinfo=UTC),
            }
        )
        with workspace.store() as store:
            store.create(run)
            for launch in run.launches:
                store.add(run.id, launch)
        stored.append(run)
        return run

    return store_run


def scaled(factor):
    return [factor * value for value in STEADY]


def test_a_baseline_is_set_listed_and_shown(keep_run, cli, workspace):
    keep_run({CPU: STEADY}, "one", revision="1f62bb4abcde")
    said = cli("baseline", "set", "good")
    assert (said.code, said.out) == (0, "baseline good: run one, 1 case\n")
    # A run of before runners were kept.
    assert "its runner (measured before runners were kept)" in said.err
    assert "unconfirmable" in said.err
    (row,) = json.loads(cli("baseline", "list", "--json").out)
    assert (row["run"], row["revision"], row["launches"]) == ("one", "1f62bb4abcde", 5)
    assert "10.00 ms" in cli("baseline", "show", "good").out
    content = json.loads((workspace.baselines / "good.json").read_text())
    assert content["schema_version"] == SCHEMA_VERSION
    assert content["run"]["devices"][0]["facts"]["machine_id"] == FACTS["machine_id"]
    assert not any(launch["samples_ns"] for launch in content["run"]["launches"])


def test_a_baseline_of_nothing_or_with_a_bad_name(keep_run, cli):
    keep_run({CPU: {"figure_ms": STEADY, "status": ["failed"] * 5, "figure_ns": [None] * 5}}, "one")
    said = cli("baseline", "set", "good")
    assert said.code == 4
    assert "run one has no latency to compare with" in said.err
    assert cli("baseline", "set", "../good").code == 2
    assert cli("baseline", "show", "godo").code == 2


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text[: len(text) // 2], "not a valid baseline file"),
        (lambda text: "", "not a valid baseline file"),
        (lambda text: "[1, 2]", "not a valid baseline file"),
        (lambda text: text.replace('"format": 1', '"format": 2'), "has format 2"),
        (
            lambda text: text.replace(
                f'"schema_version": {SCHEMA_VERSION}', '"schema_version": 99, "unheard": "of"'
            ),
            "schema version 99; this harness knows 1 and",
        ),
        (lambda text: text.replace('"figure_ns": 10000000.0', '"figure_ns": NaN'), "invalid time"),
        (lambda text: text.replace('"figure_ns": 10000000.0', '"figure_ns": -7'), "invalid time"),
        (lambda text: text.replace('"figure_ns": 10000000.0', '"figure_ns": 0'), "invalid time"),
        (lambda text: text.replace('"figure_ns": 10000000.0', '"figure_ns": 1e30'), "invalid time"),
        (lambda text: text.replace('"slot": 1', '"slot": 0'), "appears twice"),
        (lambda text: text.replace('"launches"', '"lunches"', 1), "not a valid baseline file"),
    ],
)
def test_a_baselines_file_that_is_not_one(keep_run, cli, workspace, spoil, said):
    keep_run({CPU: STEADY}, "one")
    cli("baseline", "set", "good")
    path = workspace.baselines / "good.json"
    text = path.read_text()
    assert spoil(text) != text
    path.write_text(spoil(text))
    for command in (("check", "--baseline", "good", "--run", "one"), ("baseline", "show", "good")):
        found = cli(*command)
        assert found.code == 4
        assert said in found.err
        assert "Traceback" not in found.err
    assert "good" in cli("baseline", "list").out


def test_a_copied_baseline_goes_by_its_files_name(keep_run, cli, workspace):
    keep_run({CPU: STEADY}, "one")
    cli("baseline", "set", "good")
    copy = workspace.baselines / "before.json"
    copy.write_bytes((workspace.baselines / "good.json").read_bytes())
    rows = json.loads(cli("baseline", "list", "--json").out)
    assert [row["name"] for row in rows] == ["before", "good"]


def test_an_unchanged_run_passes_the_gate(keep_run, cli, workspace):
    keep_run({CPU: STEADY}, "one")
    cli("baseline", "set", "good")
    keep_run({CPU: scaled(1.001)}, "two", expect=[Expectation(latency_ms=20)])
    junit, markdown = workspace.root / "check.xml", workspace.root / "check.md"
    said = cli(
        "check", "--baseline", "good", "--run", "two", "--junit", junit, "--markdown", markdown
    )
    assert said.code == 0
    assert "1 case against good: 1 unchanged" in said.out
    (suite,) = ET.fromstring(junit.read_text())
    assert suite.attrib["tests"] == "2"
    assert (suite.attrib["failures"], suite.attrib["errors"], suite.attrib["skipped"]) == (
        "0", "0", "0",
    )  # fmt: skip
    assert "✅ unchanged" in markdown.read_text()
    found = json.loads(cli("check", "--baseline", "good", "--run", "two", "--json").out)
    assert found["comparisons"][0]["verdict"] == "unchanged"
    assert found["alarms_expected"] < 1e-6


def test_a_missed_expectation_fails_the_gate(keep_run, cli, workspace):
    keep_run({CPU: STEADY}, "one", expect=[Expectation(latency_ms=5)])
    cli("baseline", "set", "good")
    junit = workspace.root / "check.xml"
    said = cli("check", "--baseline", "good", "--run", "one", "--junit", junit)
    assert said.code == 1
    assert "latency missed: 10 ms [9.98, 10.02], expected at most 5 ms" in said.out
    assert "1 expectation missed" in said.out
    (suite,) = ET.fromstring(junit.read_text())
    assert suite.attrib["failures"] == "1"


def test_what_must_not_be_compared_is_invalid(keep_run, cli):
    keep_run({CPU: STEADY}, "one", inputs=[InputSpec(name="x", shape=(1, 4))])
    cli("baseline", "set", "good")
    keep_run({CPU: STEADY}, "two", inputs=[InputSpec(name="x", shape=(1, 8))])
    said = cli("check", "--baseline", "good", "--run", "two")
    assert said.code == 4
    assert "not comparable: inputs of m differ" in " ".join(said.out.split())


def test_one_launch_only_is_inconclusive(keep_run, cli):
    keep_run({CPU: [10.0]}, "one")
    cli("baseline", "set", "good")
    said = cli("compare", "good", "one")
    assert said.code == 0
    assert "too few launches for an interval" in " ".join(said.out.split())
    assert cli("compare", "good", "one", "--strict").code == 4


def test_a_gate_without_the_lab_judges_what_it_can(keep_run, cli, workspace):
    """The device's file is gone, so that no fresh launches can be made."""
    keep_run({CPU: STEADY}, "one")
    cli("baseline", "set", "good")
    keep_run({CPU: scaled(1.2)}, "two")
    said = cli("check", "--baseline", "good", "--run", "two")
    assert said.code == 2
    assert "unknown device 'd'" in said.err


def test_wrong_uses_of_the_gate(keep_run, cli, workspace):
    keep_run({CPU: STEADY}, "one")
    cli("baseline", "set", "good")
    assert cli("check", "--baseline", "good", "x.yaml", "--run", "one").code == 2
    assert cli("check").code == 2
    said = cli("check", "--baseline", "good", "--run", "one", "--junit", "no/such/folder.xml")
    assert said.code == 2
    assert "no such folder" in said.err
    assert cli("check", "--baseline", "god", "--run", "one").code == 2


def test_two_runs_are_compared_by_whatever_names_them(keep_run, cli):
    keep_run({CPU: STEADY}, "one", campaign="then", revision="v1-3-g1f62bb4abcde")
    cli("baseline", "set", "good")
    keep_run({CPU: scaled(1.1)}, "two", campaign="now", revision="70a1890abcde")
    for names in (
        ("one", "two"),
        ("good", "now"),
        ("1f62bb4", "70a1890"),
        ("baseline:good", "run:two"),
        ("campaign:then", "commit:70a1890"),
    ):
        said = cli("compare", *names, "--json")
        assert said.code == 0, said.err
        (found,) = json.loads(said.out)["comparisons"]
        latency = found["findings"][0]
        assert latency["ratio"]["center"] == pytest.approx(1.1)
        assert (found["verdict"], latency["note"]) == ("inconclusive", "suspected")
    assert cli("compare", "one", "two", "--strict").code == 4
    assert "+10.0 %" in cli("compare", "one", "two").out


def test_a_commit_with_changes_to_it_is_no_commit(keep_run, cli):
    keep_run({CPU: STEADY}, "one", revision="1f62bb4abcde+")
    keep_run({CPU: STEADY}, "two")
    assert cli("compare", "1f62bb4", "two").code == 2


def test_backends_are_contrasted_with_a_speed_up(keep_run, cli):
    keep_run({CPU: STEADY, NPU: scaled(0.25)}, "one")
    said = cli("compare", "cpu", "npu:rk3588")
    assert said.code == 0, said.err
    shown = " ".join(said.out.split())
    assert "Speed-up" in shown
    assert "4.00× [3.99×, 4.01×]" in shown
    assert "engine: onnxruntime → rknn; backend: cpu → npu:rk3588" in shown
    (found,) = json.loads(cli("compare", "onnxruntime", "rknn", "--json").out)["comparisons"]
    assert found["verdict"] is None


def test_contrasts_that_must_not_be(keep_run, cli):
    keep_run({CPU: STEADY, NPU: {"figure_ms": scaled(0.25), "outputs": [None] * 5}}, "one")
    said = cli("compare", "cpu", "npu:rk3588")
    assert said.code == 4
    assert "were not checked" in said.out
    said = cli("compare", "cpu", "d")
    assert said.code == 2
    assert "cannot be compared with each other" in said.err
    said = cli("compare", "cpu", "gpu")
    assert said.code == 2
    assert "nothing is called 'gpu'" in said.err


def test_runs_without_a_case_in_common(keep_run, cli):
    keep_run({CPU: STEADY}, "one")
    keep_run({NPU: STEADY}, "two")
    said = cli("compare", "one", "two")
    assert said.code == 4
    assert "no case in common" in said.err


def test_a_name_that_stands_for_two_things(keep_run, cli):
    keep_run({CPU: STEADY}, "good")
    cli("baseline", "set", "good")
    assert cli("compare", "good", "good").code == 0  # of one run
    keep_run({CPU: STEADY}, "two")
    cli("baseline", "set", "good", "two")
    said = cli("compare", "good", "two")
    assert said.code == 2
    assert "say run:good or baseline:good" in said.err


def test_a_run_that_decides_suspicions_is_not_the_newest(keep_run, cli):
    keep_run({CPU: STEADY}, "one")
    keep_run({CPU: scaled(9)}, "two", campaign="check:c")
    assert "10.00 ms" in cli("results", "show").out


def test_the_verdict_comes_first_and_what_is_undecided_is_grouped(keep_run, cli):
    cases = [make_case("onnxruntime", threads=threads) for threads in (1, 2, 3)]
    keep_run(dict.fromkeys(cases, STEADY), "one")
    cli("baseline", "set", "good")
    wild = [8.0, 12.0, 9.0, 11.0, 10.0]
    keep_run(dict.fromkeys(cases, wild), "two")
    shown = cli("compare", "good", "two").out
    assert shown.splitlines()[0] == "? 3 cases against good: 3 inconclusive"
    assert shown.count("inconclusive 3 cases: latency") == 1
    assert "inconclusive 3 cases" not in cli("compare", "good", "two", "--wide").out


def test_one_launch_on_a_side_is_warned_of(keep_run, cli):
    keep_run({CPU: STEADY}, "one")
    keep_run({CPU: STEADY[:1]}, "two")
    assert "1 case: one launch on a side has no interval" in cli("compare", "one", "two").out
    assert "one launch on a side" not in cli("compare", "one", "one").out
    keep_run({CPU: STEADY[:1], NPU: scaled(0.25)}, "three")
    assert "one launch on a side" in cli("compare", "cpu", "npu:rk3588").out


def test_files_for_ci_are_written_where_the_lab_failed_too(keep_run, cli, workspace, monkeypatch):
    def away(*_, **__):
        raise LabError("no device <here> can be reached", hint="harness devices probe d")

    keep_run({CPU: STEADY}, "one")
    cli("baseline", "set", "good")
    (workspace.campaigns / "c.yaml").write_text("")
    monkeypatch.setattr("harness.api.measure", away)
    junit, markdown = workspace.root / "check.xml", workspace.root / "check.md"
    said = cli("check", "--baseline", "good", "--junit", junit, "--markdown", markdown)
    assert said.code == 3
    (suite,) = ET.fromstring(junit.read_text())
    (test,) = suite
    assert (suite.attrib["errors"], suite.attrib["failures"]) == ("1", "0")
    assert "no device <here> can be reached" in test[0].attrib["message"]
    assert "the lab failed" in markdown.read_text()
    assert "<here>" not in markdown.read_text()


def test_a_case_in_junit_has_the_time_that_its_launches_took(keep_run, cli, workspace):
    keep_run({CPU: {"figure_ms": STEADY, "wall_s": [1.5] * 5}}, "one")
    cli("baseline", "set", "good")
    junit = workspace.root / "check.xml"
    cli("check", "--baseline", "good", "--run", "one", "--junit", junit)
    (suite,) = ET.fromstring(junit.read_text())
    assert float(suite[0].attrib["time"]) == pytest.approx(7.5)
