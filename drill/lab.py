"""One campaign of the drill: sessions until its run is complete, then the oracle's word."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import Engine, event

from drill import controller
from drill.boards import BoardDevice
from drill.device import (
    CHECK_SEEDS,
    FAKE_ABI,
    INPUT,
    MODELS,
    FakeDevice,
    mount_disk,
    runner_script,
    unmount,
)
from drill.kinds import InLab, Kind, OnLink, OnRunner, OnStore
from drill.link import Strikes, struck
from drill.oracle import Audit, Met, audit
from harness.campaign import patience, prepare, reach, session
from harness.campaign.execute import Execution
from harness.campaign.launch import Launcher
from harness.campaign.limits import Limits
from harness.core.records import Status
from harness.native.supervisor import supervisor
from harness.results.database import Database
from harness.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from drill.target import Target
    from harness.core.records import Launch, Run
    from harness.lab.inventory import Device
    from harness.transports.base import Transport

__all__ = ["CellResult", "drill_cell"]

CONTROLLER_DISK = 4 << 20
LAUNCHES = 4  # of each case
FEW_LAUNCHES = 1  # of each on a board, for what strikes a session whatever it launches
MOST_SESSIONS = 40
MOST_IDLE = 8  # campaigns in which nothing struck: then it cannot strike there
HASTE = 200
HITS_A_SESSION = 6  # on each device

CAMPAIGN = """\
matrix: [{{models: [{models}], devices: [{devices}], engines: [calibration]}}]
launches: {launches}
protocol: {protocol}
"""


# Device to stage and number of the call to what happens there.
_Plan: TypeAlias = dict[str, dict[tuple[str, int], Any]]


@dataclass
class CellResult:
    """What came of one kind at one stage.

    Attributes
    ----------
    outcomes
        How the launches ended that faults met, and how many.
    broken
        What else is wrong: a controller that crashed, what was left behind on a device.
    kept
        Folders of the campaigns that went wrong.
    """

    kind: str
    stage: str
    hits: int = 0
    runs: int = 0
    launches: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    audit: Audit = field(default_factory=Audit)
    broken: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        """Whether nothing is wrong."""
        return self.audit.clean and not self.broken

    def __add__(self, other: CellResult) -> CellResult:
        return CellResult(
            self.kind,
            self.stage,
            self.hits + other.hits,
            self.runs + other.runs,
            self.launches + other.launches,
            dict(Counter(self.outcomes) + Counter(other.outcomes)),
            self.audit + other.audit,
            self.broken + other.broken,
            self.kept + other.kept,
        )


def drill_cell(
    kind: Kind,
    stage: str,
    hits: int,
    seed: str,
    folder: Path,
    boards: Workspace | None = None,
) -> CellResult:
    """Make campaigns in which a kind of fault strikes at a stage, until it has so many times.

    Parameters
    ----------
    folder
        Empty; of a process with mounts of its own (see :func:`drill.device.own_mounts`).
    boards
        Where the kind's board runs, if it needs one.
    """
    hits = min(hits, kind.most or hits)
    result = CellResult(kind.name, stage)
    idle = 0
    while result.hits < hits and idle < MOST_IDLE:
        before = result.hits
        source = random.Random(f"{seed} {kind.name} {stage} {result.runs}")
        lab = _Lab(folder / f"run{result.runs}", kind, stage, source, hits - result.hits, boards)
        result.runs += 1
        try:
            lab.measure(result)
        except (controller.StuckError, ValueError) as error:
            result.broken.append(str(error))
        finally:
            lab.close(keep=not result.right)
        idle = 0 if result.hits > before else idle + 1
        if not result.right:
            result.kept.append(str(lab.home))
            break
    if result.hits < hits and result.right:
        result.broken.append(f"it struck {result.hits} times only")
    return result


class _Lab:
    """A workspace, its fake devices, and the sessions of one run."""

    def __init__(
        self,
        home: Path,
        kind: Kind,
        stage: str,
        source: random.Random,
        hits: int,
        boards: Workspace | None,
    ) -> None:
        self.home = home
        self._kind = kind
        self._stage = stage
        self._random = source
        self._many = 1 if kind.once else min(HITS_A_SESSION, hits)
        self._wanted = min(HITS_A_SESSION, hits)
        few = kind.board and stage in {"before start", "push"}
        self._launches = FEW_LAUNCHES if few else LAUNCHES
        home.mkdir()
        (home / ".harness").mkdir()
        mount_disk(home / ".harness", CONTROLLER_DISK)
        self.devices: dict[str, Target]
        if kind.board:
            assert boards is not None
            board = BoardDevice(boards, kind.board, home / "board", small_disk=kind.small_disk)
            self.devices = {kind.board: board}
        else:
            program = supervisor(FAKE_ABI, print)
            names = ("left", "right")[: kind.devices]
            self.devices = {name: FakeDevice(name, home / name, program) for name in names}
        for folder in ("devices", "models", "campaigns", "reports", "cache"):
            (home / folder).mkdir()
        for name, device in self.devices.items():
            device.make()
            (home / "devices" / f"{name}.yaml").write_text(
                # How it is really reached, the drill decides.
                f"transport: local\nhost: {name}\nabi: {device.abi}\n"
                f"workdir: {device.workplace}\nengines: {{calibration: {{}}}}\n",
                encoding="utf-8",
            )
        for name, spin_us in MODELS.items():
            (home / "models" / f"{name}.yaml").write_text(
                "title: t\nlicence: l\n"
                f"source: {{kind: calibration, spin_us: {spin_us}}}\n"
                f"inputs: [{INPUT.model_dump_json()}]\n"
                f"check_seeds: {list(CHECK_SEEDS)}\n",
                encoding="utf-8",
            )
        sampling = {"min_samples": 1, "min_seconds": 0}  # the runner claims few samples
        protocol = {"memory_launches": 0, "time_limit": 60, "redo_budget": 3, "sampling": sampling}
        protocol |= kind.protocol
        self.campaign = home / "campaigns" / "drill.yaml"
        self.campaign.write_text(
            CAMPAIGN.format(
                models=", ".join(MODELS),
                devices=", ".join(self.devices),
                launches=self._launches,
                protocol=json.dumps(protocol),
            ),
            encoding="utf-8",
        )
        out = next(iter(self.devices.values())).out_there
        self._runner = home / "runner"
        self._runner.write_text(runner_script(out, synced=bool(kind.board)), encoding="utf-8")
        self._runner.chmod(0o755)
        self._strikes = home / "strikes"
        self._strikes.touch()

    def close(self, *, keep: bool) -> None:
        """Remove the devices; and the workspace, where nothing is left to look at."""
        for device in self.devices.values():
            device.remove(keep=keep)
        if keep:
            shutil.copytree(self._database.parent, self.home / "results.kept")
        unmount(self._database.parent)
        if not keep:
            shutil.rmtree(self.home)

    @property
    def _database(self) -> Path:
        return self.home / ".harness" / "results.sqlite"

    def measure(self, result: CellResult) -> None:
        """Make sessions until the run is complete, and judge it."""
        run: Run | None = None
        for number in range(MOST_SESSIONS):
            strikes = self._plan(run) if len(self._hits()) < self._wanted else {}
            for device in self.devices.values():
                device.rest()
            words = ["--resume", run.id] if run else [str(self.campaign)]
            code = controller.control(
                ["run", *words], self.home, self.home / "log", partial(self._prepare, strikes)
            )
            if code not in {0, 3, 4, 130, -9}:
                tail = (self.home / "log").read_text(errors="replace")[-1500:]
                result.broken.append(f"session {number + 1} ended with {code}: …{tail}")
                return
            (self._database.parent / "filler").unlink(missing_ok=True)
            for device in self.devices.values():
                self._kind.repair(device)
            run = self._load()
            if run is None:
                # As its user is told to, or waits for the term: nobody else can know that the
                # session which took them is over.
                for device in self.devices.values():
                    device.break_lease()
            # What is on a device whose link was away at the end goes with the next session.
            away = self._kind.patience_s < Kind.patience_s and any(
                device.leftovers() for device in self.devices.values()
            )
            if run and run.finished and _complete(run) and not away:
                break
        if run is None:
            result.broken.append("no run began")
            return
        self._judge(run, result)

    def _judge(self, run: Run, result: CellResult) -> None:
        journals = [device.journal() for device in self.devices.values()]
        hits = self._hits()
        in_runner = {launch for journal in journals for launch, _ in journal.struck}
        result.hits += len(hits)
        result.launches += len(run.launches)
        met = Met(
            launches=in_runner if self._kind.must_fail else {each for each in hits if each},
            failing=self._kind.failing,
            must_fail=self._kind.must_fail,
            spreads=self._kind.spreads or not self._kind.must_fail,
        )
        result.audit += audit(run, journals, met)
        for what, count in _outcomes(run, hits).items():
            result.outcomes[what] = result.outcomes.get(what, 0) + count
        for device in self.devices.values():
            result.broken += [f"{device.name}: left behind: {what}" for what in device.leftovers()]

    def _hits(self) -> list[str | None]:
        """Return the launches that were met; none for what met no certain one."""
        told = [json.loads(line)["launch"] for line in self._strikes.read_text().splitlines()]
        return [
            *told,
            *(launch for each in self.devices.values() for launch, _ in each.journal().struck),
        ]

    def _load(self) -> Run | None:
        if not self._database.exists():
            return None
        with Workspace(self.home).store() as store:
            latest = store.latest()
            return store.load(latest) if latest else None

    def _plan(self, run: Run | None) -> _Plan:
        """Draw this session's faults."""
        way = self._kind.ways[self._stage]
        plan: _Plan = {name: {} for name in self.devices}
        planned = self._launches * len(MODELS)
        pending = _pending(run) if run else dict.fromkeys(self.devices, planned)
        struck = list(self.devices)
        if self._kind.once:
            struck = [self._random.choice(struck)]
        for name in struck:
            device = self.devices[name]
            left = pending.get(name, 0)
            if isinstance(way, InLab):
                way.act(device)
                self._tell(name, self._stage, None)
                continue
            calls = way.calls or (self._stage,) if isinstance(way, OnLink) else (self._stage,)
            if self._stage == "push" and run:
                device.forget_store()
            most = {"before start": 3, "push": 5, "reading": 6, "between": left - 1}
            if isinstance(way, OnRunner):
                most = {}
            points = [
                (stage, number + 1)
                for stage in calls
                for number in range(max(1, most.get(stage, left)))
            ]
            faults: dict[str, str] = {}
            for stage, number in self._random.sample(points, min(self._many, len(points))):
                if isinstance(way, OnRunner):
                    faults[f"{stage}-{number}"] = way.draw(self._random)
                elif isinstance(way, OnStore):
                    plan[name][stage, number] = (way.act, self._random.choice(way.moments))
                else:
                    plan[name][stage, number] = way.draw(self._random)
            device.plan(faults)
        return plan

    def _tell(self, device: str, stage: str, launch: str | None) -> None:
        with self._strikes.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"device": device, "stage": stage, "launch": launch}) + "\n")

    def _prepare(self, plan: _Plan) -> None:
        """In the controller's process: put doubles where a lab would be."""
        for device in self.devices.values():
            device.meet(os.getpid())
        _double(patience, "_PAUSES_S", (0.01, 0.05))
        limits = Limits(reconnect_s=self._kind.patience_s)
        _double(reach, "Launcher", partial(Launcher, limits=limits))
        # Between launches, time passes faster: what waits to be tried again need not.
        faster: dict[str, Any] = {
            "clock": lambda: time.monotonic() * HASTE,
            "pause": lambda seconds: time.sleep(seconds / HASTE),
        }
        _double(session, "Execution", partial(Execution, **faster))
        _double(prepare, "build_runner", lambda *_, **__: self._runner)
        _double(session, "revision", lambda _: None)
        way = self._kind.ways[self._stage]

        def connect(_: Workspace, device: Device) -> Transport:
            target = self.devices[device.name]
            on_link = {} if isinstance(way, OnStore) else plan.get(device.name, {})
            strikes = Strikes(target, on_link, partial(self._tell, device.name))
            return struck(target.link(), strikes)

        _double(reach, "connect", connect)
        if isinstance(way, OnStore):
            self._strike_store([each for faults in plan.values() for each in faults.items()])

    def _strike_store(self, faults: list[tuple[tuple[str, int], Any]]) -> None:
        due = {number: fault for (_, number), fault in faults}
        add = Database.add
        count = 0

        def struck_add(store: Database, run_id: str, ended: Launch) -> None:
            nonlocal count
            count += 1
            if count not in due:
                add(store, run_id, ended)
                return
            act, moment = due[count]
            self._tell("", self._stage, None)
            if moment == "before":
                act(self._database)
            if moment == "in":
                event.listen(Engine, "commit", lambda _: act(self._database), once=True)
            add(store, run_id, ended)
            if moment == "after":
                act(self._database)

        _double(Database, "add", struck_add)


def _double(of: object, name: str, double: object) -> None:
    """Put a double in a place of the harness, which has to be there."""
    if not hasattr(of, name):
        raise AttributeError(f"the drill doubles {of}.{name}, which is not there any more")
    setattr(of, name, double)


def _slots(run: Run) -> set[tuple[str, int]]:
    return {(case.case.id, slot) for case in run.cases for slot in range(len(case.roles))}


def _done(run: Run) -> set[tuple[str, int]]:
    return {(each.case_id, each.slot) for each in run.launches if each.status is Status.OK}


def _complete(run: Run) -> bool:
    return _slots(run) == _done(run)


def _pending(run: Run) -> dict[str, int]:
    devices = {case.case.id: case.case.device for case in run.cases}
    return Counter(devices[case] for case, _ in _slots(run) - _done(run))


def _outcomes(run: Run, hits: list[str | None]) -> Counter[str]:
    """Count how the launches ended that were met; for those not known, all that did not go well."""
    launches = sorted(run.launches, key=lambda launch: launch.attempt)
    found: Counter[str] = Counter()
    bad = Counter(
        f"{each.status.value}{f' ({each.category.value})' if each.category else ''}"
        for each in launches
        if each.status is not Status.OK
    )
    found.update(bad)
    found["unharmed"] += max(0, len(hits) - bad.total())
    return +found
