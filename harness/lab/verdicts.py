"""Whether each backend of a device can be used: its class's needs held against what it told.

What a device did not tell makes *unknown*, with how to find out, and never *usable*.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Literal

from harness.core.pages import page
from harness.core.text import version_of
from harness.core.yamlfile import names
from harness.lab.classes import detect, load_class, mentions
from harness.lab.runners import faults, load_runner
from harness.transports import TRANSPORTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.lab.classes import BackendClass, DeviceClass, DriverCheck, LibraryCheck
    from harness.lab.inventory import DeviceSpec
    from harness.lab.probe import Facts, Npu, Unit
    from harness.workspace import Workspace

__all__ = ["RunnerState", "Usability", "of_device", "runner_states", "verdicts"]

State = Literal["usable", "not usable", "unknown"]


@dataclass(frozen=True)
class RunnerState:
    """A registered runner, as a device's engine names it.

    Attributes
    ----------
    ships
        The libraries that are pushed beside it.
    faults
        Why it cannot run on the device.
    """

    engine: str
    ships: frozenset[str] = frozenset()
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Usability:
    """Whether an engine can use a backend of a device.

    Attributes
    ----------
    found
        What speaks for it.
    reasons
        Why it is not usable, or what is not known.
    todo
        What to do about each reason.
    caution
        What else to know before its figures are believed.
    """

    engine: str
    backend: str
    state: State
    found: tuple[str, ...]
    reasons: tuple[str, ...]
    todo: tuple[str, ...]
    caution: str | None = None


@dataclass(frozen=True)
class _Finding:
    """One thing that a backend needs: there (``usable``), missing, or unknown."""

    state: State
    said: str
    todo: str | None = None


def runner_states(workspace: Workspace, spec: DeviceSpec, facts: Facts) -> dict[str, RunnerState]:
    """Return the runners that a device's engines name, as far as they are registered.

    Raises
    ------
    SpecificationError
        A runner's file is wrong, or what it names is not there.
    """
    named = {engine.runner for engine in spec.engines.values() if engine.runner}
    found = {name: load_runner(workspace, name) for name in named & set(names(workspace.runners))}
    return {
        name: RunnerState(
            runner.spec.engine,
            frozenset(runner.spec.libraries),
            tuple(map(str, faults(runner, facts, ()))),
        )
        for name, runner in found.items()
    }


def of_device(
    workspace: Workspace, spec: DeviceSpec, facts: Facts
) -> tuple[str | None, list[Usability]]:
    """Return a device's class, by its file or by what it told, and a verdict for each backend.

    Raises
    ------
    SpecificationError
        A runner's file is wrong, or what it names is not there.
    """
    name = spec.device_class or detect(facts.abi, facts.says_of_itself)
    its_class = load_class(name) if name else None
    return name, verdicts(its_class, facts, spec, runner_states(workspace, spec, facts))


def verdicts(
    device_class: DeviceClass | None,
    facts: Facts,
    spec: DeviceSpec,
    runners: Mapping[str, RunnerState],
) -> list[Usability]:
    """Judge each backend that a device's class or its file has.

    Parameters
    ----------
    device_class
        Of the device; without one, only what its file names is judged.
    runners
        The registered runners that its file names and that there are.
    """
    known = device_class.engines if device_class else {}
    pairs = [(engine, backend) for engine, backends in known.items() for backend in backends]
    pairs += [
        (name, backend)
        for name, engine in spec.engines.items()
        for backend in engine.backends
        if (name, backend) not in pairs
    ]
    found = []
    for engine, backend in pairs:
        needs = known.get(engine, {}).get(backend)
        findings = [
            *_runner(engine, backend, spec, facts, runners),
            *map(_told, _asked(engine, backend, facts)),
            *_hardware(engine, backend, needs, facts, spec, runners),
        ]
        found.append(_verdict(engine, backend, findings, device_class, needs, facts))
    return found


def _verdict(
    engine: str,
    backend: str,
    findings: list[_Finding],
    device_class: DeviceClass | None,
    needs: BackendClass | None,
    facts: Facts,
) -> Usability:
    against = [finding for finding in findings if finding.state != "usable"]
    missing = any(finding.state == "not usable" for finding in against)
    state: State = "not usable" if missing else "unknown" if against else "usable"
    clocks = _clocks(device_class, facts) if device_class and backend != "cpu" else ()
    return Usability(
        engine,
        backend,
        state,
        found=(*(x.said for x in findings if x.state == "usable"), *clocks),
        reasons=tuple(finding.said for finding in against),
        todo=tuple(dict.fromkeys(finding.todo for finding in against if finding.todo)),
        caution=needs.caution if needs else None,
    )


def _runner(
    engine: str,
    backend: str,
    spec: DeviceSpec,
    facts: Facts,
    runners: Mapping[str, RunnerState],
) -> Iterator[_Finding]:
    """Judge what is to run it, which the device's file names."""
    about = page(f"devices/{spec.device_class}" if spec.device_class else "devices")
    way = spec.engines.get(engine)
    if way is None:
        yield _Finding(
            "not usable",
            f"the device's file names no runner for {engine}",
            f"if you want it: engines: {{{engine}: {{python: PATH}}}} there, or {{runner: NAME}} "
            f"of a registered one; see {about}",
        )
        return
    if backend not in way.backends:
        yield _Finding(
            "not usable",
            f"the device's file does not list it among {engine}'s backends",
            f"add '{backend}: {{}}' there",
        )
    if way.runner:
        yield from _registered(way.runner, engine, runners.get(way.runner))
    elif way.python:
        has = next((python for python in facts.pythons if python.path == way.python), None)
        if has is None:
            yield _Finding(
                "not usable", f"{way.python} does not start there", "correct the device's file"
            )
        elif engine not in has.engines:
            yield _Finding(
                "not usable",
                f"{way.python} has no package of {engine}",
                "install it there, or name another interpreter or a runner",
            )
        else:
            yield _Finding("usable", f"{engine} {has.engines[engine]} in {way.python}")
    elif way.environment:
        yield _Finding("usable", f"the harness's environment '{way.environment}'")
    else:
        yield _Finding("usable", "the harness's own runner")


def _registered(name: str, engine: str, runner: RunnerState | None) -> Iterator[_Finding]:
    if runner is None:
        yield _Finding(
            "not usable",
            f"runner '{name}' is not registered in this workspace",
            "harness runners build, then harness runners add",
        )
    elif runner.engine != engine:
        yield _Finding(
            "not usable", f"runner '{name}' is one of {runner.engine}", "correct the device's file"
        )
    elif runner.faults:
        for fault in runner.faults:
            yield _Finding(
                "not usable", f"runner '{name}': {fault}", f"harness runners show {name}"
            )
    else:
        yield _Finding("usable", f"runner {name}")


def _hardware(
    engine: str,
    backend: str,
    needs: BackendClass | None,
    facts: Facts,
    spec: DeviceSpec,
    runners: Mapping[str, RunnerState],
) -> Iterator[_Finding]:
    """Judge what the device itself must have."""
    if needs is None:
        if not _asked(engine, backend, facts) and backend != "cpu":
            yield _Finding(
                "unknown",
                "the device's class does not know it: what it needs is not known here",
                f"see {page('devices')} for the classes and what each knows",
            )
        return
    told = (*facts.says_of_itself, spec.soc)
    for pattern, reason in needs.excluded.items():
        if mentions([pattern], told):
            yield _Finding("not usable", reason)
            return
    if needs.socs and not mentions(needs.socs, told):
        yield from _no_such_chip(needs, told)
        return
    if needs.root and facts.root is None:
        yield _Finding("unknown", "it needs root, and who we are there is unknown", "run id there")
    elif needs.root and not facts.root:
        yield _Finding(
            "not usable",
            "it needs root, and we are not",
            _become_root(spec),
        )
    if needs.driver:
        yield from _driver(needs.driver, facts)
    way = spec.engines.get(engine)
    runner = runners.get(way.runner) if way and way.runner else None
    for library in needs.libraries:
        yield _library(library, facts, runner)


def _become_root(spec: DeviceSpec) -> str:
    command = TRANSPORTS.get(spec.transport).become_root
    return f"on a device that allows it: {command}" if command else "log in as root"


def _asked(engine: str, backend: str, facts: Facts) -> list[Unit]:
    return [unit for unit in facts.units if (unit.engine, unit.backend) == (engine, backend)]


def _told(unit: Unit) -> _Finding:
    """Judge what an engine's own runtime found on the device."""
    if unit.usable is None:
        return _Finding(
            "unknown", f"{unit.engine} did not say which accelerators it finds: {unit.said}"
        )
    return _Finding("usable" if unit.usable else "not usable", unit.said)


def _no_such_chip(needs: BackendClass, told: tuple[str | None, ...]) -> Iterator[_Finding]:
    chips = ", ".join(needs.socs)
    said = next(filter(None, told), None)
    if said is None:
        yield _Finding(
            "unknown",
            f"it is for {chips}, and the device does not say what chip it has",
            "write it as 'soc' into the device's file",
        )
    else:
        yield _Finding(
            "not usable",
            f"it is for {chips}, and the device is {said}",
            "if that is one of them: write its name as 'soc' into the device's file",
        )


def _driver(check: DriverCheck, facts: Facts) -> Iterator[_Finding]:
    drivers = {npu.driver: npu for npu in facts.npus}
    driver = drivers.get(check.name)
    if driver is None:
        other = next((reason for name, reason in check.others.items() if name in drivers), None)
        yield _Finding("not usable", other or f"{check.title} is not there", check.remedy)
        return
    right = _right_version(check, driver.version)
    if driver.version is None and (check.versions or check.at_least):
        yield _Finding(
            "unknown",
            f"{check.title} is there, but its version could not be read; {check.source}",
            check.find_out,
        )
    elif not right:
        yield _Finding(
            "not usable", f"{check.title} is {driver.version}; {check.source}", check.remedy
        )
    else:
        yield _Finding("usable", f"{check.title} {driver.version or 'of unknown version'}")
    if check.node:
        yield from _node(check, driver)


def _node(check: DriverCheck, driver: Npu) -> Iterator[_Finding]:
    if driver.node is None:
        yield _Finding(
            "unknown",
            f"{check.title} is there, but no device file of it was found",
            "on the board, as root: ls -l /dev /dev/dri",
        )
    elif not driver.accessible:
        yield _Finding(
            "not usable",
            f"{driver.node} may not be read and written",
            "log in as root, or as a user of its group (ls -l shows that)",
        )
    else:
        yield _Finding("usable", driver.node)


def _library(check: LibraryCheck, facts: Facts, runner: RunnerState | None) -> _Finding:
    if runner and check.name in runner.ships:
        return _Finding("usable", f"{check.name} beside the runner")
    library = facts.libraries.get(check.name)
    if library is None:
        return _Finding(
            "not usable",
            f"{check.name} is neither on the device nor beside the runner",
            f"{check.name}: {check.remedy}; harness runners add ... --lib {check.name}, or put it "
            "on the device and name the folder in LD_LIBRARY_PATH of the backend's variables",
        )
    if check.at_least is None:
        return _Finding("usable", f"{library.path}")
    if library.version is None:
        return _Finding(
            "unknown",
            f"{library.path} does not tell its version; {check.at_least} or newer is needed",
            f"on the board: strings {library.path} | grep -i version",
        )
    if version_of(library.version) < version_of(check.at_least):
        return _Finding(
            "not usable",
            f"{library.path} is {library.version}; {check.at_least} or newer is needed",
            f"{check.name}: {check.remedy}",
        )
    return _Finding("usable", f"{library.path} {library.version}")


def _right_version(check: DriverCheck, version: str | None) -> bool:
    if check.at_least:
        return version is not None and version_of(version) >= version_of(check.at_least)
    return not check.versions or any(f"{version}.".startswith(f"{x}.") for x in check.versions)


def _clocks(device_class: DeviceClass, facts: Facts) -> Iterator[str]:
    for what, pattern in device_class.clocks.items():
        for name, clock in facts.clocks.items():
            if fnmatch(name.lower(), pattern) and clock.current_hz:
                most = f" of {clock.max_hz / 1e6:g}" if clock.max_hz else ""
                yield f"{what} at {clock.current_hz / 1e6:g}{most} MHz"
