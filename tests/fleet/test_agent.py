"""Agents as they run: processes of their own, with this machine as the device."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3

from harness import api
from harness.analysis.comparison import Verdict
from harness.core.records import Status
from harness.fleet.agent import check


def _measured(submitter, run, wanted):
    """All launches are there once, in their slots, and went well."""
    launches = submitter.launches(run)
    assert sorted((each.slot, each.attempt) for each in launches) == [(n, 0) for n in range(wanted)]
    assert {each.status for each in launches} == {Status.OK}
    assert submitter.states(run) == ["done"]
    return launches


def test_what_is_submitted_is_measured_as_a_local_run_would(lab, submitter, cli):
    lab.start()
    path = submitter.campaign(launches=3)
    said = cli("submit", path, "--wait", "--seed", "7", "--json")
    assert said.code == 0, said.err
    sent = api.results(json.loads(said.out)["id"], workspace=submitter.workspace)
    assert min(ns for each in sent.launches for ns in each.samples_ns) >= 500_000
    assert "pc" in cli("fleet").out
    assert 'edge_fleet_agent_up{agent="lab_a"' in cli("fleet", "metrics").out
    lab.end()
    # The same campaign, measured by the lab alone: what differs is the name of the host.
    own = lab.workspace
    (own.root / "harness.yaml").unlink()
    for folder, name in (("models", "spin.yaml"), ("campaigns", "c.yaml")):
        shutil.copy(submitter.workspace.root / folder / name, own.root / folder)
    local = api.measure(own.campaigns / "c.yaml", workspace=own, seed=7)

    def alike(run):
        (case,), (device,) = run.cases, run.devices
        artifact = case.artifact.model_copy(update={"provenance": {}})
        launches = sorted((each.position, each.slot, each.role) for each in run.launches)
        return (
            case.model_copy(update={"artifact": artifact}),
            device.model_copy(update={"facts": device.facts.keys(), "host": ""}),
            launches,
            (run.campaign, run.specification, run.seed, run.protocol, run.models),
        )

    assert alike(sent) == alike(local)


def test_an_agent_that_is_killed_loses_nothing_and_doubles_nothing(fleet, lab, submitter):
    agent = lab.start()
    run = submitter.submit(submitter.campaign(launches=4, spin_us=100_000)).id
    submitter.awaits(lambda: submitter.launches(run))
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    # Its lease would keep others off for minutes; the same agent goes on at once.
    lab.start()
    lab.says("taken up again")
    submitter.awaits(lambda: submitter.states(run) == ["done"])
    _measured(submitter, run, 4)
    assert fleet.execute("SELECT fence > 1 FROM fleet.shares") == [(True,)]


def test_measuring_goes_on_while_the_centre_is_away(fleet, lab, submitter):
    lab.start()
    run = submitter.submit(submitter.campaign(launches=4, spin_us=100_000)).id
    submitter.awaits(lambda: submitter.launches(run))
    fleet.server.stop()

    def spooled():
        (path,) = (lab.workspace.state / "spool").glob("*.sqlite")
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            return database.execute("SELECT count(*) FROM launches").fetchone()[0] == 4

    submitter.awaits(spooled)
    fleet.server.start()
    submitter.awaits(lambda: submitter.states(run) == ["done"])
    _measured(submitter, run, 4)
    assert not list((lab.workspace.state / "spool").iterdir())


def test_an_agent_that_is_ended_leaves_the_rest_to_the_next(lab, submitter):
    agent = lab.start()
    run = submitter.submit(submitter.campaign(launches=4, spin_us=100_000)).id
    submitter.awaits(lambda: submitter.launches(run))
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(60) == 0
    lab.start()
    submitter.awaits(lambda: submitter.states(run) == ["done"])
    _measured(submitter, run, 4)


def test_a_cancelled_run_frees_its_device(lab, submitter):
    lab.start()
    path = submitter.campaign(launches=50, spin_us=100_000)
    waits = submitter.start("submit", path, "--wait")
    run = submitter.awaits(submitter.jobs)[0].run
    submitter.awaits(lambda: submitter.launches(run))
    waits.send_signal(signal.SIGTERM)  # as CI systems cancel
    _, err = waits.communicate(timeout=60)
    assert (waits.returncode, "the run is cancelled" in err) == (130, True), err
    submitter.awaits(lambda: submitter.states(run) == ["cancelled"])
    assert len(submitter.launches(run)) < 50
    again = submitter.submit(submitter.campaign(launches=1)).id
    submitter.awaits(lambda: submitter.states(again) == ["done"])


def test_a_second_agent_on_a_machine_or_with_a_login_is_refused(
    fleet, lab, tmp_path, cli, monkeypatch
):
    lab.start()
    second = fleet.workspace(tmp_path / "second", "lab_a")
    monkeypatch.setenv("EDGE_HARNESS_WORKSPACE", str(second.root))
    said = cli("agent", "--check")
    assert (said.code, "on this machine already" in said.err) == (3, True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    said = cli("agent", "--check")
    assert (said.code, "of this login is at work already" in said.err) == (3, True)


def test_a_check_says_what_would_be_offered_and_claims_nothing(fleet, lab):
    found = check(lab.workspace)
    assert (found.name, found.devices, found.taken) == ("lab_a", ["pc"], [])
    assert fleet.execute("SELECT seen < now() - interval '30 s' FROM fleet.agents") == [(True,)]


def test_a_gate_is_decided_in_the_labs(lab, submitter, cli):
    lab.start()
    path = submitter.campaign(launches=5, spin_us=20_000)
    submitter.submit(path, wait=True)
    assert cli("baseline", "set", "good").code == 0
    said = cli("check", "--baseline", "good", "--submit", "1h", "--blocks", "4")
    assert said.code in {0, 4}, said.err  # this machine may be busy, but nothing regressed
    submitter.campaign(launches=5, spin_us=40_000)
    found = api.check(
        "good", workspace=submitter.workspace, away=True, deadline_s=3600, blocks=4
    )  # fmt: skip
    (comparison,) = found.comparisons
    assert comparison.verdict is Verdict.REGRESSED
    assert (comparison.confirmed_by or "").startswith("check-c-")
