"""Results on a real PostgreSQL server: away, restarted, refusing, read-only."""

from __future__ import annotations

import sys
import threading

import pytest

from harness.core.errors import LabError, SpecificationError
from harness.core.records import Status
from harness.results.postgresql import PostgresqlStore
from tests.campaign.conftest import Bench
from tests.conftest import BreakableLink
from tests.postgres import PASSWORD, USER
from tests.results.conftest import make_launch, make_run

ANYWHERE = f"postgresql://{USER}@127.0.0.1:1/results"


def _settle(workspace, url):
    (workspace.root / "harness.yaml").write_text(f"results: {url}\n")


def test_a_workspace_has_its_results_there(postgres, workspace, cli):
    _settle(workspace, postgres.new_database())
    with workspace.store() as store:
        store.create(make_run())
    assert "r1" in cli("results", "list").out
    assert not workspace.database.exists()


@pytest.mark.parametrize("url", [f"postgresql://u:{PASSWORD}@h/d", "postgresql://u@h/d?password=x"])
def test_a_password_in_the_file_is_refused_and_not_repeated(workspace, cli, url):
    _settle(workspace, f"'{url}'")
    said = cli("results", "list")
    assert said.code == 2
    assert "PGPASSWORD" in said.err
    assert PASSWORD not in said.err


@pytest.mark.parametrize(
    "url", ["results.sqlite", "mysql://u@h/d", "postgresql://u@h:port/d", "[]"]
)
def test_what_is_no_url_of_it_is_refused(workspace, cli, url):
    _settle(workspace, f"'{url}'")
    said = cli("results", "list")
    assert said.code == 2
    assert "postgresql://USER@HOST:PORT/DATABASE" in said.err


def test_without_psycopg_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SpecificationError) as caught:
        PostgresqlStore(ANYWHERE)
    assert "edge-harness[postgresql]" in caught.value.hint


def test_a_server_that_is_away_fails_at_once(workspace, cli):
    _settle(workspace, ANYWHERE)
    said = cli("results", "list")
    assert (said.code, said.err.count("\n")) == (3, 2), said.err
    assert ANYWHERE in said.err


def test_a_password_that_is_wrong_or_missing(postgres, workspace, cli, monkeypatch):
    _settle(workspace, postgres.new_database())
    monkeypatch.setenv("PGPASSWORD", "a wrong one")
    said = cli("results", "list")
    assert (said.code, said.err.count("\n")) == (3, 2), said.err
    assert "password authentication failed" in said.err
    assert "a wrong one" not in said.err
    monkeypatch.delenv("PGPASSWORD")
    monkeypatch.setenv("PGPASSFILE", str(workspace.root / "pgpass"))
    assert cli("results", "list").code == 3
    (workspace.root / "pgpass").write_text(f"127.0.0.1:*:*:{USER}:{PASSWORD}\n")
    (workspace.root / "pgpass").chmod(0o600)
    assert cli("results", "list").code == 0


def test_a_server_restarted_during_a_run_loses_and_doubles_nothing(postgres, tmp_path, supervisor):
    restarts = []

    def restart():
        if len(restarts) < 2:
            postgres.stop()
            restarts.append(threading.Thread(target=postgres.start))
            restarts[-1].start()  # comes up while the next launch is made and stored

    with PostgresqlStore(postgres.new_database(), patience_s=60) as store:
        bench = Bench(tmp_path, store, supervisor)
        bench.double("open('../../journal', 'a').write('x')\nall_of_it()")
        run = bench.run(launches=4)
        observer = bench.recorder(on_ended=restart)
        bench.execution(run, observer).measure()
        for each in restarts:
            each.join()
        launches = store.load(run.id).launches
    assert [(each.slot, each.status) for each in launches] == [(n, Status.OK) for n in range(4)]
    assert (tmp_path / "work" / "journal").read_text() == "xxxx"
    assert len(restarts) == 2


def test_a_link_that_breaks_at_any_message_doubles_nothing(postgres):
    """Also where what was written is stored, and only its answer is lost."""
    link = BreakableLink(postgres.port)
    url = postgres.new_database().replace(f":{postgres.port}/", f":{link.port}/")
    cuts = 0
    try:
        with PostgresqlStore(url, patience_s=30) as store:
            store.create(make_run())
            for number in range(12):
                left = iter(range(number))
                link.cut_when(lambda _, left=left: next(left, None) is None)
                before = link.connections
                store.add("r1", make_launch(number))
                link.cut_when(None)
                cuts += link.connections > before
            assert [each.slot for each in store.load("r1").launches] == list(range(12))
    finally:
        link.close()
    assert cuts >= 5


def test_a_server_that_stays_away_ends_the_wait(postgres):
    with PostgresqlStore(postgres.new_database(), patience_s=0) as store:
        store.create(make_run())
        postgres.stop()
        with pytest.raises(LabError, match="connection failed") as caught:
            store.add("r1", make_launch())
    assert "harness.yaml" in caught.value.hint


def test_a_replica_is_read_and_refuses_writes(postgres):
    url = postgres.new_database()
    with PostgresqlStore(url) as store:
        store.create(make_run())
        replica = postgres.replica()
        try:
            with PostgresqlStore(replica.url(url.rpartition("/")[2])) as there:
                assert there.load("r1") == make_run()
                with pytest.raises(LabError, match="read-only transaction") as caught:
                    there.add("r1", make_launch())
            with pytest.raises(LabError, match="read-only transaction"):
                PostgresqlStore(replica.url("postgres"))  # has no tables, and cannot get any
        finally:
            replica.close()
    assert "primary" in caught.value.hint
