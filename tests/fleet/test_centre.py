"""The centre's rules: who may write what, one holder at a time, files by their content."""

from __future__ import annotations

import psycopg
import pytest

from harness.core.errors import LabError, SpecificationError
from harness.core.records import DeviceEvent, DeviceEventKind
from harness.fleet.centre import (
    AwayError,
    Centre,
    File,
    LostError,
    NameTakenError,
    RefusedError,
    conninfo,
)
from harness.fleet.setup import collect, init
from harness.results.postgresql import PostgresqlStore
from tests.fleet.conftest import FILE, device, launch_of, submitted
from tests.postgres import PASSWORD
from tests.results.conftest import CASE, NOW


@pytest.fixture
def agent(fleet):
    with fleet.as_("lab_a") as centre:
        centre.hello("one", "machine", "0", [device(host="h")])
        yield centre


@pytest.fixture
def held(fleet, agent):
    """A share that the agent holds."""
    run, share = submitted(fleet)
    return run, share, agent.claim(share, "one").fence


def test_a_centre_is_made_once(fleet):
    assert not init(fleet.url)


def test_a_database_that_is_none_says_how_to_make_one(postgres):
    with Centre(postgres.new_database()) as centre, pytest.raises(SpecificationError) as caught:
        centre.devices()
    assert caught.value.hint == "harness store init"


@pytest.mark.parametrize(("version", "older"), [(0, "the centre"), (9, "this harness")])
def test_a_centre_of_another_version_is_refused_with_what_to_upgrade(fleet, version, older):
    fleet.execute(f"UPDATE fleet.about SET version = {version}")
    with fleet.as_("ci") as centre, pytest.raises(SpecificationError) as caught:
        centre.devices()
    assert f"upgrade {older}" in caught.value.hint


def test_a_launch_is_stored_once_however_often_it_is_sent(fleet, agent, held):
    run, share, fence = held
    launch = launch_of(run, log="printed \0 this")
    agent.add(share, fence, launch)
    agent.add(share, fence, launch)
    assert fleet.execute("SELECT id, device FROM launches") == [(launch.id, "d")]
    with pytest.raises(RefusedError, match=r"another launch"):
        agent.add(share, fence, launch.model_copy(update={"log": "other"}))


def test_nobody_writes_under_an_old_fence(agent, held):
    run, share, fence = held
    newer = agent.claim(share, "one").fence
    assert newer == fence + 1
    for write in (
        lambda: agent.add(share, fence, launch_of(run)),
        lambda: agent.renew(share, fence),
        lambda: agent.report(share, fence, {CASE.id: {}}, {}),
        lambda: agent.leave(share, fence, "done"),
        lambda: agent.launches(share, fence),
    ):
        with pytest.raises(LostError):
            write()
    agent.add(share, newer, launch_of(run))


def test_a_lease_keeps_others_off_until_it_lapses(fleet, agent, held):
    _, share, fence = held
    assert agent.claim(share, "two") == "held"
    fleet.execute("UPDATE fleet.shares SET lease_until = now() - interval '1 s'")
    assert agent.claim(share, "two").fence == fence + 1


def test_who_was_cut_off_longer_than_a_lease_goes_on_where_nobody_came(fleet, agent, held):
    run, share, fence = held
    fleet.execute("UPDATE fleet.shares SET lease_until = now() - interval '1 h'")
    agent.add(share, fence, launch_of(run))
    assert agent.renew(share, fence) == "measuring"


def test_an_agent_writes_for_its_own_shares_alone(fleet, agent, held):
    run, share, fence = held
    with fleet.as_("lab_b") as other:
        other.hello("three", "elsewhere", "0", [device("e", host="h")])
        with pytest.raises(RefusedError):
            other.claim(share, "three")
        with pytest.raises(LostError):
            other.add(share, fence, launch_of(run))
        assert other._one("SELECT fleet.fetch(%s, %s)", share, "0" * 64) is None
        mine, its = submitted(fleet, "r2", "lab_b")
        held_there = other.claim(its, "three")
        foreign = launch_of(run)  # of r1, for which it holds nothing
        with pytest.raises(RefusedError):
            other.add(its, held_there.fence, foreign)
        event = DeviceEvent(device="x", at=NOW, kind=DeviceEventKind.REACHED, run=mine.id)
        with pytest.raises(RefusedError):
            other.note(its, held_there.fence, event)
        with pytest.raises(RefusedError):
            other.report(its, held_there.fence, {"0" * 12: {}}, {})


def test_what_became_known_is_put_into_its_own_cases_and_devices(fleet, agent, held):
    run, share, fence = held
    agent.report(share, fence, {CASE.id: {"macs": 7, "case": {"model": "forged"}}},
                 {"d": {"facts": {"kernel": "\0 6"}, "name": "forged"}})  # fmt: skip
    stored = _load(fleet, run.id)
    assert (stored.cases[0].macs, stored.cases[0].case) == (7, CASE)
    assert stored.devices[0].facts == {"kernel": "\ufffd 6"}
    assert stored.devices[0].name == "d"


def test_a_run_ends_with_the_last_of_its_shares(fleet, agent, held):
    run, share, fence = held
    assert _load(fleet, run.id).finished is None
    agent.leave(share, fence, "done")
    assert _load(fleet, run.id).finished
    with pytest.raises(LostError):
        agent.add(share, fence, launch_of(run))


def _load(fleet, run):
    with PostgresqlStore(fleet.url_of("wall")) as store:
        return store.load(run)


@pytest.mark.parametrize(
    ("login", "statement"),
    [
        ("lab_a", "SELECT record FROM runs"),
        ("lab_a", "SELECT record FROM launches"),
        ("lab_a", "SELECT content FROM fleet.chunks"),
        ("lab_a", "SELECT content FROM fleet.shares"),
        ("lab_a", "UPDATE fleet.shares SET fence = 0"),
        ("lab_a", "INSERT INTO launches SELECT * FROM launches"),
        ("lab_a", "SELECT fleet.settle('r1/h', 'done', '')"),
        ("lab_a", "SELECT fleet.cancel('r1', '')"),
        ("lab_a", "INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('x', 'y')"),
        ("ci", "INSERT INTO launches SELECT * FROM launches"),
        ("ci", "UPDATE runs SET record = ''"),
        ("ci", "DELETE FROM runs"),
        ("ci", "SELECT content FROM fleet.chunks"),
        ("ci", "SELECT content FROM fleet.shares"),
        ("ci", "SELECT fleet.claim('r1/h', 'x')"),
        ("ci", "SELECT fleet.collect('0')"),
        ("ci", "UPDATE procrastinate_jobs SET status = 'failed'"),
        ("ci", "CREATE TABLE public.runs2 ()"),
        ("wall", "SELECT fleet.put('x')"),
        ("wall", "UPDATE runs SET record = ''"),
    ],
)
def test_a_role_has_no_more_than_its_rights(fleet, agent, held, login, statement):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        fleet.execute(statement, login)


def test_an_agent_sees_its_own_jobs_alone(fleet, agent, held):
    assert fleet.execute("SELECT queue_name FROM procrastinate_jobs", "lab_a") == [("lab_a/h",)]
    assert fleet.execute("SELECT queue_name FROM procrastinate_jobs", "lab_b") == []


def test_a_run_is_cancelled_and_retried_by_its_submitter_alone(fleet, agent, held):
    run, share, fence = held
    with fleet.as_("other") as other:
        assert (other.cancel(run.id, "mine"), other.retry(run.id)) == (0, 0)
    with fleet.as_("ci") as centre:
        assert centre.cancel(run.id, "enough") == 1
        assert agent.renew(share, fence) == "cancelling"
        agent.add(share, fence, launch_of(run))  # what was measured until then stays
        agent.leave(share, fence, "cancelled")
        (job,) = centre.jobs(run.id)
        assert (job.state, job.reason) == ("cancelled", "enough")
        assert centre.retry(run.id) == 1
        assert (centre.jobs(run.id)[0].state, _load(fleet, run.id).finished) == ("waiting", None)
    assert agent.claim(share, "one").fence == fence + 1


def test_a_share_that_waits_is_cancelled_at_once(fleet, agent):
    run, share = submitted(fleet)
    with fleet.as_("ci") as centre:
        centre.cancel(run.id, "enough")
        (job,) = centre.jobs(run.id)
    assert (job.state, job.reason) == ("cancelled", "enough")
    assert agent.claim(share, "one") == "cancelled"


def test_a_cancelled_share_whose_agent_is_gone_ends_with_its_lease(fleet, agent, held):
    run, _, _ = held
    with fleet.as_("ci") as centre:
        centre.cancel(run.id, "enough")
        assert centre.jobs(run.id)[0].state == "cancelling"
        fleet.execute("UPDATE fleet.shares SET lease_until = now() - interval '1 s'")
        assert centre.jobs(run.id)[0].state == "cancelled"


def test_a_deadline_ends_what_waits_and_what_is_measured(fleet, agent):
    _, share = submitted(fleet, deadline_s=3600)
    late, waits = submitted(fleet, "r2", deadline_s=3600)
    fence = agent.claim(share, "one").fence
    fleet.execute("UPDATE fleet.shares SET deadline = now() - interval '1 s'")
    assert agent.renew(share, fence) == "cancelling"
    assert agent.claim(waits, "one") == "cancelled"
    with fleet.as_("ci") as centre:
        assert centre.jobs(late.id)[0].reason == "its deadline passed"


def test_one_agent_for_each_login(fleet, agent):
    with fleet.as_("lab_a") as second:
        with pytest.raises(NameTakenError, match=r"at work already, on machine"):
            second.hello("two", "elsewhere", "0", [])
        fleet.execute("UPDATE fleet.agents SET seen = now() - interval '2 minutes'")
        second.hello("two", "elsewhere", "0", [])
    with pytest.raises(NameTakenError, match=r"elsewhere"):
        agent.hello("one", "machine", "0", [])


def test_a_device_of_another_lab_keeps_its_name(fleet, agent):
    with fleet.as_("lab_b") as other:
        assert other.hello("three", "m", "0", [device("d"), device("e")]) == ["d"]
    with fleet.as_("ci") as centre:
        owners = {name: each.agent.name for name, each in centre.devices().items()}
    assert owners == {"d": "lab_a", "e": "lab_b"}


def test_the_centre_does_not_learn_how_a_device_is_reached(fleet, agent):
    secret = device(
        "s", transport="ssh", address="root@10.0.0.7", identity_file="/k", workdir="/w",
        soc="rk3588", power_cycle={"command": ["relay", "off"]},
    )  # fmt: skip
    agent.hello("one", "m", "0", [secret])
    ((told,),) = fleet.execute("SELECT profile::text FROM fleet.devices")
    assert "rk3588" in told
    assert not [each for each in ("10.0.0.7", "/k", "/w", "relay") if each in told]


def test_a_device_whose_transport_is_not_known_here_is_listed_all_the_same(fleet, agent):
    fleet.execute("""UPDATE fleet.devices SET profile = profile || '{"transport": "carrier"}'""")
    with fleet.as_("ci") as centre:
        assert centre.devices()["d"].device.spec.abi == "x86_64-linux"


def test_files_are_sent_once_and_arrive_as_they_were(fleet, agent, tmp_path, monkeypatch):
    monkeypatch.setattr("harness.fleet.centre.CHUNK", 3)
    submitted(fleet)
    chunks = fleet.execute("SELECT count(*) FROM fleet.chunks")
    _, again = submitted(fleet, "r2")
    assert fleet.execute("SELECT count(*) FROM fleet.chunks") == chunks == [(3,)]
    file = agent.claim(again, "one").files[0]
    agent.fetch(again, file, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == FILE
    (tmp_path / "got").unlink()
    for wrong in (File("0" * 64, file.size, file.chunks), File(file.sha256, 7, file.chunks[:2])):
        with pytest.raises(LabError, match=r"not what its hash says"):
            agent.fetch(again, wrong, tmp_path / "got")
    assert not list(tmp_path.iterdir())


def test_files_go_when_nothing_open_needs_them(fleet, agent, held):
    run, share, fence = held
    fleet.execute("UPDATE fleet.chunks SET used = now() - interval '1 day'")
    assert collect(fleet.url, 0) == 0
    agent.leave(share, fence, "done")
    assert collect(fleet.url, 1) == 0
    assert collect(fleet.url, 0) == len(FILE)
    with fleet.as_("ci") as centre, pytest.raises(RefusedError, match=r"not at the centre"):
        centre.retry(run.id)


def test_a_share_over_the_limit_is_refused_whole(fleet, agent):
    init(fleet.url, limit_bytes=3)
    with pytest.raises(RefusedError, match=r"7 bytes, more than the centre takes"):
        submitted(fleet)
    assert fleet.execute("SELECT count(*) FROM runs") == [(0,)]


def test_a_wrong_password_and_a_login_that_expired(fleet, monkeypatch):
    fleet.execute("ALTER ROLE other VALID UNTIL '2001-01-01'")
    try:
        with fleet.as_("other") as centre, pytest.raises(LabError) as expired:
            centre.devices()
    finally:
        fleet.execute("ALTER ROLE other VALID UNTIL 'infinity'")
    monkeypatch.setenv("PGPASSWORD", "a wrong one")
    with fleet.as_("ci") as centre, pytest.raises(LabError) as wrong:
        centre.devices()
    for caught in (expired, wrong):
        assert not isinstance(caught.value, AwayError)
        assert "expired" in caught.value.hint
        assert PASSWORD not in caught.value.message


def test_a_login_without_a_role_is_told_which_it_needs(fleet):
    with fleet.as_("wall") as centre, pytest.raises(SpecificationError) as caught:
        centre.hello("one", "m", "0", [])
    assert "edge_agent" in caught.value.hint


def test_a_server_that_went_away_is_found_again(fleet, agent, held):
    _, share, fence = held
    fleet.server.stop()
    with pytest.raises(AwayError):
        agent.renew(share, fence)
    fleet.server.start()
    assert agent.renew(share, fence) == "measuring"


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("postgresql://u@centre/d", "sslmode=verify-full&sslrootcert=system"),
        ("postgresql://u@centre/d?sslrootcert=ca.pem", "sslmode=verify-full"),
    ],
)
def test_the_centre_is_verified(url, asked):
    assert asked in conninfo(url)


def test_this_machine_needs_no_certificate():
    assert "ssl" not in conninfo("postgresql://u@127.0.0.1:5/d")


def test_a_connection_that_verifies_nothing_is_refused():
    with pytest.raises(SpecificationError, match=r"sslmode=require"):
        conninfo("postgresql://u@centre/d?sslmode=require")
