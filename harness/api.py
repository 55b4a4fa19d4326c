"""What the command line does, for scripts and notebooks: typed functions, and an observer.

Each of them takes the workspace, by default the one around the current folder, and raises a
:class:`harness.core.errors.HarnessError` whose message and hint the command line would print.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from harness.analysis.gate import FRESH, Gate, gate
from harness.campaign.limits import LIMITS, Limits
from harness.campaign.observer import Observer as _Launches
from harness.core.errors import ExitCode, LabError, ResultsError, SpecificationError
from harness.workspace import Workspace, check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from harness.analysis.comparisons import Comparison
    from harness.campaign.baselines import Baseline
    from harness.campaign.plan import Forecast
    from harness.campaign.session import Session
    from harness.core.reason import Reason
    from harness.core.records import CaseRecord, Run
    from harness.core.records import Protocol as MeasurementProtocol
    from harness.fleet.centre import Centre
    from harness.lab.inventory import Device
    from harness.results.store import RunSummary, Store

__all__ = [
    "Contrast",
    "Gate",
    "Limits",
    "Observer",
    "Plan",
    "Workspace",
    "check",
    "compare",
    "exit_codes",
    "measure",
    "plan",
    "report",
    "results",
    "resume",
    "runs",
    "set_baseline",
    "stored",
    "submit",
]

Where: TypeAlias = "Workspace | Path | str | None"


class Observer(_Launches):
    """What is told of progress, from several threads.

    Its methods do nothing: a class that derives from it has those that it wants to hear of.
    """

    def preparing(self, step: str) -> None:
        """Tell what is done before launches are made: reaching devices, building."""

    def begun(self, run: Run, launches: Mapping[str, int], warnings: Sequence[str]) -> None:
        """Tell that a run begins.

        Parameters
        ----------
        launches
            How many each host has before it.
        warnings
            What the user should know: devices that cannot be reached.
        """

    def finished(self, run: Run) -> None:
        """Tell that a run has ended, as it is stored."""

    def deciding(self, found: Gate, blocks: int) -> None:
        """Tell that suspicions are decided on fresh launches, so many of either side."""

    def undecided(self, error: LabError) -> None:
        """Tell why suspicions could not be decided."""


@dataclass(frozen=True)
class Plan:
    """What a campaign would measure.

    Attributes
    ----------
    cases
        As they would be stored; with an artifact where it is built already.
    devices
        By name.
    expected
        How long it would take.
    """

    cases: list[CaseRecord]
    devices: Mapping[str, Device]
    protocol: MeasurementProtocol
    expected: Forecast


def plan(campaign: Path | str, *, workspace: Where = None, only: Sequence[str] = ()) -> Plan:
    """Return what a campaign would measure; touches no device.

    Parameters
    ----------
    only
        Shell patterns; a case is kept if each of them fits its model, device, engine or backend.
    """
    from harness import engines
    from harness.campaign.plan import expect
    from harness.campaign.prepare import refusal, shapes_of
    from harness.campaign.reach import Lab
    from harness.campaign.session import select
    from harness.campaign.spec import load_campaign
    from harness.core.records import CaseRecord
    from harness.models import build

    found = _workspace(workspace)
    loaded = load_campaign(found, Path(campaign))
    cases = select(loaded, only)
    lab = Lab.of(found, cases)
    rows = []
    for case, repeats in cases:
        device, model = lab.devices[case.device], lab.models[case.model]
        engine, refused = engines.get(case.engine), refusal(case, device, model)
        artifact = None
        if not refused:
            artifact = build.find(
                model,
                engine.format_on(case.backend),
                engine.target(device.spec, case.backend),
                shapes=shapes_of(case, model),
                precision=case.precision,
            )
        rows.append(
            CaseRecord(
                case=case,
                **repeats.model_dump(),
                memory_launches=loaded.protocol.memory_launches,
                profile_launches=loaded.protocol.profile_launches,
                artifact=artifact.record if artifact else None,
                refused=refused,
            )
        )
    with found.store() as store:
        expected = expect(rows, lab.devices, store, sustained_s=loaded.protocol.sustained_s)
    return Plan(rows, lab.devices, loaded.protocol, expected)


def measure(  # noqa: PLR0913 - what a user may ask of a run
    campaign: Path | str,
    *,
    workspace: Where = None,
    only: Sequence[str] = (),
    seed: int | None = None,
    wait_s: float = 0.0,
    limits: Limits = LIMITS,
    observer: Observer | None = None,
) -> Run:
    """Measure a campaign: build, push, launch; each launch is stored as it ends.

    Parameters
    ----------
    campaign
        Its file.
    only
        As for :func:`plan`.
    seed
        Of the launches' order; by default random.
    wait_s
        How long to wait for devices that others have, in s.
    limits
        How long to wait for devices that do not answer.

    Returns
    -------
    Run
        As it is stored, with its launches: also those that failed.

    Raises
    ------
    SpecificationError
        The campaign, or what it names, is wrong.
    LabError
        No device can be reached, or nothing can be built or stored.
    KeyboardInterrupt
        The user's; what is stored stays, and :func:`resume` goes on.
    """
    from harness.campaign.session import begin

    found, told = _workspace(workspace), observer or Observer()
    with found.store() as store:
        session = begin(
            found, Path(campaign), store,
            only=only, seed=seed, wait_s=wait_s, limits=limits, progress=told.preparing,
        )  # fmt: skip
        return _measured(session, store, told)


def resume(
    run: str | None = None,
    *,
    campaign: str | None = None,
    workspace: Where = None,
    wait_s: float = 0.0,
    limits: Limits = LIMITS,
    observer: Observer | None = None,
) -> Run:
    """Resume a run: keep what it has, measure what failed or is missing.

    Parameters
    ----------
    run
        Its id; by default the newest that was interrupted.
    campaign
        The name of its campaign, where the newest is asked for.

    Raises
    ------
    ResultsError
        An artifact or a device's settings have changed since it began.
    SpecificationError, LabError
        As for :func:`measure`; or no run was interrupted.
    """
    from harness.campaign.session import resume

    found, told = _workspace(workspace), observer or Observer()
    with found.store() as store:
        wanted = run or _interrupted(found, store, campaign)
        session = resume(
            found, wanted, store, wait_s=wait_s, limits=limits, progress=told.preparing
        )
        return _measured(session, store, told)


def submit(  # noqa: PLR0913 - what a user may ask of a run
    campaign: Path | str,
    *,
    workspace: Where = None,
    only: Sequence[str] = (),
    seed: int | None = None,
    priority: int = 0,
    deadline_s: float | None = None,
    devices_within_s: float = 0.0,
    wait: bool = False,
    observer: Observer | None = None,
) -> Run:
    """Send a campaign to the labs of a fleet that have its devices; see ``docs/fleet.md``.

    Parameters
    ----------
    only
        As for :func:`plan`.
    priority
        Higher ones are measured first.
    deadline_s
        After which what is not measured is given up, in s.
    devices_within_s
        How long to wait for agents that have the devices, in s.
    wait
        Whether to follow the run to its end; who is interrupted meanwhile cancels it.

    Returns
    -------
    Run
        As it was sent; after a wait with its launches.

    Raises
    ------
    SpecificationError
        The campaign is wrong, nobody has what it asks for, or there is no centre.
    LabError
        The centre or an agent cannot take it, or nothing could be built.
    """
    from harness.fleet.centre import Centre
    from harness.fleet.submit import submit as send

    found, told = _workspace(workspace), observer or Observer()
    with Centre.of(found) as centre:
        run = send(
            found, Path(campaign), centre,
            only=only, seed=seed, priority=priority, deadline_s=deadline_s,
            devices_within_s=devices_within_s, progress=told.preparing,
        )  # fmt: skip
        if not wait:
            return run
        return _followed(found, run, centre, told)


def check(  # noqa: PLR0913 - what a user may ask of the gate
    baseline: str,
    campaign: Path | str | None = None,
    *,
    run: str | None = None,
    workspace: Where = None,
    only: Sequence[str] = (),
    blocks: int = FRESH,
    changes: Sequence[str] = (),
    wait_s: float = 0.0,
    away: bool = False,
    deadline_s: float | None = None,
    observer: Observer | None = None,
) -> Gate:
    """Measure a campaign and judge it against a baseline.

    Where stored launches do not say "unchanged", fresh ones of both sides, in turns, decide.

    Parameters
    ----------
    baseline
        Its name.
    campaign
        By default the baseline's own.
    run
        A stored run to judge, instead of measuring.
    blocks
        Fresh launches of either side of a case.
    changes
        Differences to accept as the change under test: ``clocks``, ``device``, ``engine``,
        ``kernel``.
    away
        Whether labs of a fleet measure, as for :func:`submit`.
    deadline_s
        After which they give up, in s.
    """
    from harness.campaign.baselines import load_baseline

    found, told = _workspace(workspace), observer or Observer()
    base = load_baseline(found, baseline).run
    if run is None:
        path = campaign or found.campaigns / f"{check_name(base.campaign, 'campaign')}.yaml"
        if away:
            measured = submit(
                path, workspace=found, only=only, deadline_s=deadline_s, wait=True, observer=told
            )
        else:
            measured = measure(path, workspace=found, only=only, wait_s=wait_s, observer=told)
    else:
        measured = results(run, workspace=found)
    held = gate(measured, base, baseline, changes)
    if only:
        held.gone.clear()
    if away:
        return _decided(held, told, blocks, partial(_fresh_away, found, base, deadline_s))
    return _decided(held, told, blocks, partial(_fresh, found, base, wait_s))


@dataclass(frozen=True)
class Contrast:
    """Two ways to run models, in one run.

    Attributes
    ----------
    axis
        In what they differ: ``backend``, ``device``, ``engine`` or ``precision``.
    """

    axis: str
    comparisons: list[Comparison]


def compare(  # noqa: PLR0913 - what a user may ask of a comparison
    baseline: str,
    candidate: str,
    *,
    run: str | None = None,
    workspace: Where = None,
    confirm: bool = False,
    blocks: int = FRESH,
    changes: Sequence[str] = (),
    wait_s: float = 0.0,
    observer: Observer | None = None,
) -> Gate | Contrast:
    """Compare two runs, baselines or commits; or two devices, engines, backends or precisions.

    Parameters
    ----------
    baseline, candidate
        Names; where one stands for several things, with the kind before it, as in
        ``device:board``.
    run
        In which two ways are compared; by default the newest.
    confirm
        Whether suspicions are decided on fresh launches.

    Raises
    ------
    SpecificationError
        A name stands for nothing, for several things, or the two for different kinds of things.
    ResultsError
        They have no case in common.
    """
    from harness.analysis.comparisons import compare as compare_cases
    from harness.analysis.comparisons import contrasts
    from harness.campaign.named import named

    found, told = _workspace(workspace), observer or Observer()
    with found.store() as store:
        before, after = (named(found, store, name, run) for name in (baseline, candidate))
    if before.axis != after.axis:
        raise SpecificationError(
            f"{before.words} and {after.words} cannot be compared with each other",
            hint="name two runs, baselines or commits; or two devices, engines or backends",
        )
    if before.axis:
        pairs = contrasts(before.run, before.axis, after.name, before.name)
        if not pairs:
            raise ResultsError(
                f"no case of {after.words} has a counterpart in {before.words}",
                hint="they must share model, input and, unless devices are compared, the device",
            )
        return Contrast(before.axis, [compare_cases(*pair, contrast=True) for pair in pairs])
    held = gate(after.run, before.run, baseline, changes, expectations=False)
    if not held.comparisons:
        raise ResultsError(
            f"{baseline} and {candidate} have no case in common",
            hint="harness results show RUN lists a run's cases",
        )
    if not confirm:
        return held
    return _decided(held, told, blocks, partial(_fresh, found, before.run, wait_s))


def set_baseline(
    name: str, run: str | None = None, *, workspace: Where = None, files: bool = True
) -> Baseline:
    """Make a run a baseline, by default the newest: ``baselines/NAME.json``.

    Parameters
    ----------
    files
        Whether artifacts and runners are kept, too, by which a suspicion is decided.
    """
    from harness.campaign.baselines import save_baseline

    found = _workspace(workspace)
    kept = results(run, workspace=found)
    return save_baseline(found, name, kept, datetime.now(UTC), files=files)


def report(  # noqa: PLR0913 - what a user may ask of a report
    run: str | None = None,
    *,
    workspace: Where = None,
    baseline: str | None = None,
    imported: Sequence[str] = (),
    lang: str = "en",
    output: Path | str | None = None,
    observer: Observer | None = None,
) -> Path:
    """Render one HTML file from a run; return its path.

    Parameters
    ----------
    run
        Its id, or a campaign's name for its newest run; by default the newest.
    baseline
        Hold the run against it, by the launches that are stored.
    imported
        Tables to show beside it.
    lang
        In which it opens: ``en`` or ``zh-CN``; both are in it.
    output
        By default ``reports/RUN.html``.
    """
    from harness.campaign.baselines import load_baseline
    from harness.core.text import count
    from harness.lab.chips import load_cards
    from harness.report.chips import measured
    from harness.report.render import Beside, cases_shown, render

    found, told = _workspace(workspace), observer or Observer()
    with found.store() as store:
        shown = stored(store, run, samples=False)
        held = gate(shown, load_baseline(found, baseline).run, baseline) if baseline else None
        few = cases_shown(shown, held)
        shown = store.load(shown.id, samples=True if few is None else few)
        tables = [store.load_imported(name) for name in imported]
    told.preparing(f"rendering {shown.id}, {count(len(shown.launches), 'launch')}")
    html = render(shown, lang=lang, beside=Beside(held, tables, measured(shown, load_cards(found))))
    path = Path(output) if output else _report_of(found, shown)
    try:
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise SpecificationError(
            f"{path}: {error.strerror}", hint="name a file in an existing folder: -o FILE"
        ) from None
    return path


def runs(*, workspace: Where = None) -> list[RunSummary]:
    """Return all stored runs in one line each, the newest first."""
    with _workspace(workspace).store() as store:
        return list(store.summaries())


def results(run: str | None = None, *, workspace: Where = None) -> Run:
    """Return a stored run with its launches, by default the newest.

    Parameters
    ----------
    run
        Its id, or a campaign's name for its newest run.
    """
    with _workspace(workspace).store() as store:
        return stored(store, run)


def stored(store: Store, run: str | None, *, samples: bool = True) -> Run:
    """Return a run of a store that is open, by default the newest.

    Parameters
    ----------
    run
        Its id, or a campaign's name for its newest run.
    samples
        As for :meth:`harness.results.store.Store.load`.

    Raises
    ------
    SpecificationError
        There is none.
    """
    found = (store.latest(campaign=run) or run) if run else store.latest()
    if found is None:
        raise SpecificationError(
            "no run in this workspace yet",
            hint="harness run campaigns/NAME.yaml, or harness bench MODEL",
        )
    return store.load(found, samples=samples)


def exit_codes(run: Run, *, strict: bool = False) -> Iterator[ExitCode]:
    """Yield what came of a run: of its cases, and of what its campaign expects."""
    from harness.analysis.cases import State, case_results
    from harness.analysis.expectations import Met, check_expectations

    found = case_results(run)
    for result in found:
        match result.state:
            case State.REFUSED | State.FAILED | State.MISSING:
                yield ExitCode.LAB
            case State.INVALID | State.WRONG:
                yield ExitCode.INVALID
            case State.MEASURED:
                if result.lacking:
                    yield ExitCode.LAB
    for outcome in check_expectations(run, found):
        if outcome.met is Met.NO:
            yield ExitCode.REGRESSION
        if outcome.met is Met.UNTOLD and strict:
            yield ExitCode.INVALID


def _workspace(where: Where) -> Workspace:
    if isinstance(where, Workspace):
        return where
    return Workspace.find(Path(where) if where is not None else None)


def _interrupted(workspace: Workspace, store: Store, campaign: str | None) -> str:
    """Return the newest run that was interrupted."""
    from harness.campaign.locks import is_running

    running: set[str] = set()
    while found := store.latest(campaign=campaign, unfinished=True, but=running):
        if not is_running(workspace, found):
            return found
        running.add(found)
    raise SpecificationError(
        "no run was interrupted" + (f" of campaign '{campaign}'" if campaign else ""),
        hint=f"{min(running)} is being measured"
        if running
        else "harness results list shows all; --resume RUN makes a run's failed launches again",
    )


def _measured(opened: AbstractContextManager[Session], store: Store, told: Observer) -> Run:
    with opened as session:
        return _executed(session, store, told)


def _executed(session: Session, store: Store, told: Observer) -> Run:
    execution = session.execution_of(told)
    left = {host: len(slots) for host, slots in execution.pending().items()}
    told.begun(session.run, left, session.warnings)
    execution.measure()
    store.update(execution.outcome())
    run = store.load(session.run.id)
    told.finished(run)
    return run


_Fresh: TypeAlias = "Callable[[Gate, Observer, int], tuple[Run | None, Mapping[str, Reason]]]"


def _decided(held: Gate, told: Observer, blocks: int, fresh: _Fresh) -> Gate:
    """Return a gate whose suspicions are decided, as far as they can be."""
    suspicions = held.undecided
    if not suspicions:
        return held
    told.deciding(held, blocks)
    try:
        run, unconfirmable = fresh(held, told, blocks)
    except LabError as error:
        # What was measured is judged all the same, as far as it goes.
        told.undecided(error)
        unsettled = held.settled(None, dict.fromkeys(suspicions, error.reason))
        return replace(unsettled, lab_failed=True)
    return held.settled(run, unconfirmable)


def _fresh(
    workspace: Workspace, baseline: Run, wait_s: float, held: Gate, told: Observer, blocks: int
) -> tuple[Run | None, Mapping[str, Reason]]:
    """Launch both sides of suspicions from here."""
    from harness.campaign.baselines import kept_files
    from harness.campaign.session import confirm

    with (
        workspace.store() as store,
        confirm(
            workspace, held.run, baseline, held.undecided, store,
            blocks=blocks, kept=kept_files(workspace), wait_s=wait_s, progress=told.preparing,
        ) as confirmation,
    ):  # fmt: skip
        run = _executed(confirmation.session, store, told) if confirmation.session else None
        return run, confirmation.unconfirmable


def _fresh_away(
    workspace: Workspace,
    baseline: Run,
    deadline_s: float | None,
    held: Gate,
    told: Observer,
    blocks: int,
) -> tuple[Run | None, Mapping[str, Reason]]:
    """Let labs launch both sides of suspicions."""
    from harness.campaign.baselines import kept_files
    from harness.fleet.centre import Centre
    from harness.fleet.submit import confirm

    with Centre.of(workspace) as centre:
        sent = confirm(
            workspace, held.run, baseline, held.undecided, centre,
            blocks=blocks, kept=kept_files(workspace), deadline_s=deadline_s,
            progress=told.preparing,
        )  # fmt: skip
        run = _followed(workspace, sent.run, centre, told) if sent.run else None
        return run, sent.unconfirmable


def _followed(workspace: Workspace, run: Run, centre: Centre, told: Observer) -> Run:
    from harness.fleet.follow import follow, planned

    told.begun(run, planned(run), [])
    with workspace.store() as store:
        run = follow(run, centre, store, told, told.preparing)
    told.finished(run)
    return run


def _report_of(workspace: Workspace, run: Run) -> Path:
    workspace.reports.mkdir(exist_ok=True)
    # It may come from a database that was handed on: it must not leave the folder.
    return workspace.reports / f"{re.sub(r'[^A-Za-z0-9._-]', '_', run.id)}.html"
