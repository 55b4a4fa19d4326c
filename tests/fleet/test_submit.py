"""Submitting: devices by name and by what they are, refusals before anything is sent."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from harness import api
from harness.core.errors import LabError, SpecificationError
from harness.fleet.submit import AgentAwayError
from harness.lab.labels import NobodyHasError
from tests.fleet.conftest import device


@pytest.fixture
def offered(fleet):
    """Devices of two labs, whose agents are only said to be there."""
    with fleet.as_("lab_a") as a, fleet.as_("lab_b") as b:
        a.hello("one", "m", "0", [
            device("a1", soc="rk3588", labels={"rig": "x"}), device("a2", soc="rk3566", host="p"),
        ])  # fmt: skip
        b.hello("two", "m", "0", [device("b1", soc="rk3588"), device("b2", soc="rk3588", host="p")])
    return fleet


def _submit(submitter, devices, **more):
    return submitter.submit(submitter.campaign(devices), **more)


def test_devices_are_taken_by_name_and_by_what_they_are(offered, submitter):
    run = _submit(submitter, "[a2, {soc: rk3588, count: 2}]")
    assert [each.name for each in run.devices] == ["a1", "a2", "b1"]
    jobs = submitter.jobs(run.id)
    assert sorted((job.agent, job.host, job.devices) for job in jobs) == [
        ("lab_a", "p", ["a2"]),
        ("lab_a", "this-machine", ["a1"]),
        ("lab_b", "this-machine", ["b1"]),
    ]
    # Where there is least to do, next time.
    run = _submit(submitter, "[{soc: rk3588}]")
    assert [each.name for each in run.devices] == ["b2"]


def test_what_nobody_has_says_what_is_nearest(offered, submitter):
    with pytest.raises(NobodyHasError) as caught:
        _submit(submitter, "[{soc: rk3588, labels: {rig: y}}]")
    assert caught.value.message == "1 device with {soc: rk3588, rig: y} asked for, and there are 0"
    assert caught.value.hint == "the nearest is a1: rig x"
    with pytest.raises(NobodyHasError, match=r"4 devices with {soc: rk3588} asked for.*are 3"):
        _submit(submitter, "[{soc: rk3588, count: 4}]")
    with pytest.raises(SpecificationError, match=r"unknown device 'a3'"):
        _submit(submitter, "[a3]")
    assert offered.execute("SELECT count(*) FROM runs") == [(0,)]


def test_devices_whose_agent_is_away_are_waited_for_only_if_asked(offered, submitter, monkeypatch):
    offered.execute("UPDATE fleet.agents SET seen = now() - interval '1 h' WHERE name = 'lab_a'")
    with pytest.raises(AgentAwayError, match=r"a1: its agent lab_a was last heard of at"):
        _submit(submitter, "[a1]")
    monkeypatch.setattr("harness.fleet.submit.LOOK_S", 0.01)

    class Told(api.Observer):
        def preparing(self, step):
            if step.startswith("waiting for devices"):
                offered.execute("UPDATE fleet.agents SET seen = now()")

    run = _submit(submitter, "[a1]", devices_within_s=600, observer=Told())
    assert [each.name for each in run.devices] == ["a1"]


@pytest.mark.parametrize(("form", "older"), [(0, "it"), (9, "this harness")])
def test_an_agent_of_another_version_is_refused_with_what_to_upgrade(
    offered, submitter, form, older
):
    offered.execute(f"UPDATE fleet.agents SET format = {form} WHERE name = 'lab_a'")
    with pytest.raises(LabError) as caught:
        _submit(submitter, "[a1]")
    assert f"upgrade {older}, or ask for another device" in caught.value.hint


def test_what_is_too_large_is_refused_before_it_is_sent(offered, submitter):
    offered.execute("UPDATE fleet.about SET limit_bytes = 10")
    with pytest.raises(SpecificationError, match=r"the centre takes 0 MB"):
        _submit(submitter, "[a1]")
    assert offered.execute("SELECT count(*) FROM fleet.chunks") == [(0,)]


def test_a_campaign_of_refused_cases_is_not_sent(offered, submitter):
    path = submitter.campaign("[a1]")
    path.write_text(path.read_text().replace("[calibration]", "[onnxruntime]"))
    with pytest.raises(SpecificationError, match=r"no case of c.yaml can be measured"):
        submitter.submit(path)


def test_runs_of_one_second_get_names_of_their_own(offered, submitter, monkeypatch):
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 1, 2, tzinfo=tz or UTC)

    monkeypatch.setattr("harness.fleet.submit.datetime", Clock)
    assert [_submit(submitter, "[a1]").id for _ in range(2)] == [
        "c-20260102-000000",
        "c-20260102-000000.2",
    ]


def test_jobs_are_listed_cancelled_and_retried(offered, submitter, cli):
    run = cli("submit", submitter.campaign("[a1]")).out.strip()
    assert run in cli("jobs", "list").out
    assert cli("jobs", "cancel", run).code == 0
    (job,) = json.loads(cli("jobs", "show", run, "--json").out)
    assert (job["state"], job["open"]) == ("cancelled", False)
    assert run not in cli("jobs", "list").out
    assert cli("jobs", "retry", run).code == 0
    assert submitter.states(run) == ["waiting"]
    assert cli("jobs", "show", "none").code == 2


def test_a_workspace_without_a_centre_says_what_is_missing(workspace, cli):
    for command in (("jobs", "list"), ("fleet",), ("agent",), ("store", "init")):
        said = cli(*command)
        assert (said.code, "results: postgresql://" in said.err) == (2, True)


def test_labels_choose_among_a_workspaces_own_devices(submitter, cli):
    (submitter.workspace.root / "harness.yaml").unlink()
    for name, soc in (("a", "x"), ("b", "y")):
        (submitter.workspace.devices / f"{name}.yaml").write_text(
            f"transport: local\nabi: x86_64-linux\nsoc: {soc}\nengines: {{calibration: {{}}}}\n"
        )
    planned = cli("plan", submitter.campaign("[{soc: y}]"), "--json")
    assert [case["device"] for case in json.loads(planned.out)["cases"]] == ["b"]
    said = cli("plan", submitter.campaign("[{soc: z}]"))
    assert (said.code, "the nearest is a: soc x" in said.err) == (2, True)
    said = cli("plan", submitter.campaign("[{chip: z}]"))
    assert (said.code, "chip" in said.err) == (2, True)
