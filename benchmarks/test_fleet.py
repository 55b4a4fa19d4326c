"""What a fleet's centre bears: launches stored a second, the queue's latency, two million launches.

Agents are doubles: each has a login and a connection of its own and calls what an agent calls, but
has a launch ready at once. So this is the centre's share, with clients on the same machine.
"""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from procrastinate import App, PsycopgConnector
from procrastinate.jobs import Status

from harness.fleet.centre import Centre
from harness.fleet.setup import init
from harness.results.postgresql import PostgresqlStore
from tests.fleet.conftest import Fleet, device, launch_of, submitted
from tests.postgres import PASSWORD, postgres, postgres_server

__all__ = ["postgres", "postgres_server"]

AGENTS, EACH = 20, 60
RUNS, LAUNCHES, SMALL = 1_000, 2_000, 1


@pytest.fixture
def fleet(postgres):
    url = postgres.new_database()
    init(url)
    with postgres.connect() as connection:
        for number in range(AGENTS):
            connection.execute(f"CREATE ROLE agent{number} LOGIN PASSWORD '{PASSWORD}' "
                               "IN ROLE edge_agent")  # fmt: skip
        connection.execute(f"CREATE ROLE ci LOGIN PASSWORD '{PASSWORD}' IN ROLE edge_submit")
    yield Fleet(postgres, url)
    with postgres.connect() as connection:
        for login in ("ci", *(f"agent{number}" for number in range(AGENTS))):
            connection.execute(f"DROP ROLE {login}")


def _cpu_s(server):
    """Return the CPU time of a server and its processes, those that have ended included."""
    living = sum(sum(each.cpu_times()[:2]) for each in server.children(recursive=True))
    return living + sum(server.cpu_times()[:4])


def _launches(fleet, agents, first):
    """Let so many agents store launches at once; return launches a second, and CPU s of each."""
    samples = [5_000_000 + n for n in range(200)]
    start = threading.Barrier(agents + 1)

    def work(number):
        name = f"agent{number}"
        run, share = submitted(fleet, f"r{first}-{number}", name)
        made = [launch_of(run, slot, samples_ns=samples) for slot in range(EACH)]
        with fleet.as_(name) as centre:
            fence = centre.claim(share, name).fence
            start.wait()
            for launch in made:
                centre.add(share, fence, launch)

    server = psutil.Process(fleet.server.process.pid)
    with ThreadPoolExecutor(agents) as pool:
        done = [pool.submit(work, number) for number in range(agents)]
        start.wait()
        before, begun = _cpu_s(server), time.monotonic()
        for each in done:
            each.result()
        took = time.monotonic() - begun
        used = _cpu_s(server) - before
    return agents * EACH / took, used / (agents * EACH)


def test_agents_store_launches_at_once(fleet, at_most):
    for number in range(AGENTS):
        with fleet.as_(f"agent{number}") as centre:
            centre.hello(f"agent{number}", "m", "0", [device(f"d{number}", host="h")])
    rates = {}
    for agents in (1, 5, AGENTS):
        rates[agents], cpu_s = _launches(fleet, agents, agents)
        how = f"{EACH} launches each, 200 samples; double agents, one machine"
        at_most(f"fleet: {agents} agents, seconds for 1,000 launches", 1_000 / rates[agents], "s",
                None, how)  # fmt: skip
        at_most(f"fleet: {agents} agents, PostgreSQL's CPU a launch", cpu_s * 1e3, "ms", 10, how)


def test_the_queue_hands_out_jobs(fleet, at_most):
    with fleet.as_("agent0") as centre:
        centre.hello("agent0", "m", "0", [device("d", host="h")])
        conninfo = centre.conninfo
    for number in range(50):
        submitted(fleet, f"q{number}", "agent0")

    async def fetch():
        app = App(connector=PsycopgConnector(conninfo=conninfo, min_size=1, max_size=1))
        took = []
        async with app.open_async():
            manager = app.job_manager
            worker = await manager.register_worker()
            while True:
                begun = time.monotonic()
                job = await manager.fetch_job(["agent0/h"], worker)
                if job is None:
                    return took
                took.append((time.monotonic() - begun) * 1e3)
                await manager.finish_job(job, Status.SUCCEEDED, delete_job=False)

    took = sorted(asyncio.run(fetch()))
    assert len(took) == 50
    how = "50 waiting; an agent looks once a second, which comes on top"
    at_most("fleet: a job is taken, p50", statistics.median(took), "ms", None, how)
    at_most("fleet: a job is taken, p99", took[-1], "ms", None, how)


def _filled(fleet, runs):
    """Fill a centre with copies of one run's launches, and open a run of the middle."""
    run, share = submitted(fleet, "r0", "agent0")
    with Centre(fleet.url_of("agent0")) as centre:
        centre.hello("agent0", "m", "0", [device("d", host="h")])
        fence = centre.claim(share, "agent0").fence
        samples = [5_000_000 + n for n in range(50)]
        centre.add(share, fence, launch_of(run, 0, samples_ns=samples))
    fleet.execute(
        f"""
        INSERT INTO runs SELECT 'r' || n, campaign,
            to_char(timestamp '2026-01-02' + n * interval '1 minute', 'YYYY-MM-DD"T"HH24:MI:SS')
                || '+00:00', finished, replace(record, '"id":"r0"', '"id":"r' || n || '"')
            FROM runs, generate_series(1, {runs}) AS n WHERE id = 'r0'
        """
    )
    fleet.execute(
        f"""
        INSERT INTO launches SELECT 'r' || n || '-' || k, 'r' || n, case_id, k, 0, status, wall_s,
            device, category, started,
            replace(record, '"slot":0', '"slot":' || k)
            FROM launches, generate_series(1, {runs}) AS n, generate_series(1, {LAUNCHES}) AS k
            WHERE run_id = 'r0'
        """
    )
    fleet.execute("VACUUM ANALYZE")


@pytest.mark.full
def test_two_million_launches_open_as_fast_as_two_thousand(fleet, at_most):
    with fleet.as_("agent0") as centre:
        centre.hello("agent0", "m", "0", [device("d", host="h")])
    small = Fleet(fleet.server, fleet.server.new_database())
    init(small.url)
    with small.as_("agent0") as centre:
        centre.hello("agent0", "m", "0", [device("d", host="h")])
    _filled(small, SMALL)
    _filled(fleet, RUNS)
    took = {}
    with PostgresqlStore(small.url) as few, PostgresqlStore(fleet.url) as many:
        for _ in range(5):  # in turns: a busy machine slows both
            for stores, store in (("few", few), ("many", many)):
                for what, work in (
                    ("results show", lambda opened: opened.load("r1", samples=False)),
                    ("report", lambda opened: opened.load("r1")),
                    ("the newest run", lambda opened: opened.latest()),
                ):
                    begun = time.monotonic()
                    work(store)
                    took.setdefault((what, stores), []).append(time.monotonic() - begun)
        begun = time.monotonic()
        listed = sum(1 for _ in many.summaries())
        list_s = time.monotonic() - begun
    medians = {key: statistics.median(times) for key, times in took.items()}
    for what in dict.fromkeys(what for what, _ in took):
        ratio = medians[what, "many"] / medians[what, "few"]
        at_most(f"fleet: {what}, 2 million launches to 2,000", ratio, "times", 1.5,
                "PostgreSQL, runs of 2,000 launches")  # fmt: skip
    at_most("fleet: results list, 2 million launches", list_s, "s", None, f"{listed} runs")
