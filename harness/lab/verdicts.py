"""Whether each backend of a device can be used: its class's needs held against what it told.

What a device did not tell makes *unknown*, with how to find out, and never *usable*.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any, Literal

from harness.core.pages import page
from harness.core.reason import ENGLISH
from harness.core.text import version_of
from harness.core.yamlfile import names
from harness.lab import reasons
from harness.lab.classes import detect, load_class, mentions
from harness.lab.runners import faults, load_runner
from harness.transports import TRANSPORTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.core.reason import Reason
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
    faults: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class Usability:
    """Whether an engine can use a backend of a device.

    Attributes
    ----------
    speaks_for
        What is there of all that it needs.
    against
        Why it is not usable, or what is not known.
    caution
        What else to know before its figures are believed.
    """

    engine: str
    backend: str
    state: State
    speaks_for: tuple[Reason, ...]
    against: tuple[Reason, ...]
    caution: str | None = None

    @property
    def found(self) -> tuple[str, ...]:
        """What speaks for it, in words."""
        return tuple(map(str, self.speaks_for))

    @property
    def reasons(self) -> tuple[str, ...]:
        """What speaks against it, in words."""
        return tuple(map(str, self.against))

    @property
    def todo(self) -> tuple[str, ...]:
        """What to do about it, in words."""
        return tuple(dict.fromkeys(hint for each in self.against if (hint := ENGLISH.hint(each))))

    def as_json(self) -> dict[str, Any]:
        """Return it as it is printed."""
        return {
            "engine": self.engine,
            "backend": self.backend,
            "state": self.state,
            "found": self.found,
            "reasons": self.reasons,
            "todo": self.todo,
            "caution": self.caution,
        }


@dataclass(frozen=True)
class _Need:
    """One thing that a backend needs: there (``usable``), missing, or unknown."""

    state: State
    reason: Reason


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
            tuple(faults(runner, facts, ())),
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
    findings: list[_Need],
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
        speaks_for=(*(x.reason for x in findings if x.state == "usable"), *clocks),
        against=tuple(finding.reason for finding in against),
        caution=needs.caution if needs else None,
    )


def _runner(
    engine: str,
    backend: str,
    spec: DeviceSpec,
    facts: Facts,
    runners: Mapping[str, RunnerState],
) -> Iterator[_Need]:
    """Judge what is to run it, which the device's file names."""
    about = page(f"devices/{spec.device_class}" if spec.device_class else "devices")
    way = spec.engines.get(engine)
    if way is None:
        yield _Need(
            "not usable",
            reasons.NO_RUNNER(
                engine=engine,
                with_python=f"{{{engine}: {{python: PATH}}}}",
                with_runner="{runner: NAME}",
                page=about,
            ),
        )
        return
    if backend not in way.backends:
        yield _Need(
            "not usable",
            reasons.NOT_LISTED(engine=engine, line=f"{backend}: {{}}"),
        )
    if way.runner:
        yield from _registered(way.runner, engine, runners.get(way.runner))
    elif way.python:
        has = next((python for python in facts.pythons if python.path == way.python), None)
        if has is None:
            yield _Need("not usable", reasons.NO_PYTHON(python=way.python))
        elif engine not in has.engines:
            yield _Need(
                "not usable",
                reasons.NO_PACKAGE(python=way.python, engine=engine),
            )
        else:
            yield _Need(
                "usable",
                reasons.PACKAGE(engine=engine, version=has.engines[engine], python=way.python),
            )
    elif way.environment:
        yield _Need("usable", reasons.ENVIRONMENT(environment=way.environment))
    else:
        yield _Need("usable", reasons.OWN_RUNNER())


def _registered(name: str, engine: str, runner: RunnerState | None) -> Iterator[_Need]:
    if runner is None:
        yield _Need(
            "not usable",
            reasons.NOT_REGISTERED(runner=name),
        )
    elif runner.engine != engine:
        yield _Need("not usable", reasons.RUNNER_OF(runner=name, engine=runner.engine))
    elif runner.faults:
        for fault in runner.faults:
            yield _Need("not usable", reasons.RUNNER_FAULT(runner=name, why=fault))
    else:
        yield _Need("usable", reasons.RUNNER(runner=name))


def _hardware(
    engine: str,
    backend: str,
    needs: BackendClass | None,
    facts: Facts,
    spec: DeviceSpec,
    runners: Mapping[str, RunnerState],
) -> Iterator[_Need]:
    """Judge what the device itself must have."""
    if needs is None:
        if not _asked(engine, backend, facts) and backend != "cpu":
            yield _Need(
                "unknown",
                reasons.UNKNOWN_BACKEND(page=page("devices")),
            )
        return
    told = (*facts.says_of_itself, spec.soc)
    for pattern, reason in needs.excluded.items():
        if mentions([pattern], told):
            yield _Need("not usable", reasons.EXCLUDED(why=reason))
            return
    if needs.socs and not mentions(needs.socs, told):
        yield from _no_such_chip(needs, told)
        return
    if needs.root and facts.root is None:
        yield _Need("unknown", reasons.ROOT_UNKNOWN())
    elif needs.root and not facts.root:
        command = TRANSPORTS.get(spec.transport).become_root
        yield _Need("not usable", reasons.NOT_ROOT(command=command))
    if needs.driver:
        yield from _driver(needs.driver, facts)
    way = spec.engines.get(engine)
    runner = runners.get(way.runner) if way and way.runner else None
    for library in needs.libraries:
        yield _library(library, facts, runner)


def _asked(engine: str, backend: str, facts: Facts) -> list[Unit]:
    return [unit for unit in facts.units if (unit.engine, unit.backend) == (engine, backend)]


def _told(unit: Unit) -> _Need:
    """Judge what an engine's own runtime found on the device."""
    if unit.usable is None:
        return _Need("unknown", reasons.NO_ANSWER_OF_ENGINE(engine=unit.engine, said=unit.said))
    if unit.usable:
        return _Need("usable", reasons.TOLD(said=unit.said))
    return _Need("not usable", reasons.NOT_THERE(said=unit.said))


def _no_such_chip(needs: BackendClass, told: tuple[str | None, ...]) -> Iterator[_Need]:
    chips = ", ".join(needs.socs)
    said = next(filter(None, told), None)
    if said is None:
        yield _Need(
            "unknown",
            reasons.CHIP_UNKNOWN(chips=chips),
        )
    else:
        yield _Need(
            "not usable",
            reasons.OTHER_CHIP(chips=chips, chip=said),
        )


def _driver(check: DriverCheck, facts: Facts) -> Iterator[_Need]:
    drivers = {npu.driver: npu for npu in facts.npus}
    driver = drivers.get(check.name)
    if driver is None:
        other = next((reason for name, reason in check.others.items() if name in drivers), None)
        reason = (
            reasons.OTHER_DRIVER(why=other, remedy=check.remedy)
            if other
            else reasons.NO_DRIVER(driver=check.title, remedy=check.remedy)
        )
        yield _Need("not usable", reason)
        return
    right = _right_version(check, driver.version)
    if driver.version is None and (check.versions or check.at_least):
        yield _Need(
            "unknown",
            reasons.DRIVER_VERSION_UNKNOWN(
                driver=check.title, source=check.source, find_out=check.find_out
            ),
        )
    elif not right:
        facts_of = {"driver": check.title, "source": check.source, "remedy": check.remedy}
        reason = reasons.DRIVER_VERSION(version=str(driver.version), **facts_of)
        yield _Need("not usable", reason)
    elif driver.version:
        yield _Need("usable", reasons.DRIVER(driver=check.title, version=driver.version))
    else:
        yield _Need("usable", reasons.DRIVER_OF_SOME_VERSION(driver=check.title))
    if check.node:
        yield from _node(check, driver)


def _node(check: DriverCheck, driver: Npu) -> Iterator[_Need]:
    if driver.node is None:
        yield _Need(
            "unknown",
            reasons.NO_NODE(driver=check.title),
        )
    elif not driver.accessible:
        yield _Need(
            "not usable",
            reasons.NODE_CLOSED(node=driver.node),
        )
    else:
        yield _Need("usable", reasons.NODE(node=driver.node))


def _library(check: LibraryCheck, facts: Facts, runner: RunnerState | None) -> _Need:
    if runner and check.name in runner.ships:
        return _Need("usable", reasons.SHIPPED(library=check.name))
    library = facts.libraries.get(check.name)
    if library is None:
        return _Need(
            "not usable",
            reasons.NO_LIBRARY(library=check.name, remedy=check.remedy),
        )
    if check.at_least is None:
        return _Need("usable", reasons.LIBRARY(path=library.path))
    if library.version is None:
        return _Need(
            "unknown",
            reasons.LIBRARY_VERSION_UNKNOWN(path=library.path, needed=check.at_least),
        )
    if version_of(library.version) < version_of(check.at_least):
        return _Need(
            "not usable",
            reasons.LIBRARY_VERSION(
                path=library.path,
                version=library.version,
                needed=check.at_least,
                library=check.name,
                remedy=check.remedy,
            ),
        )
    return _Need("usable", reasons.LIBRARY(path=library.path, version=library.version))


def _right_version(check: DriverCheck, version: str | None) -> bool:
    if check.at_least:
        return version is not None and version_of(version) >= version_of(check.at_least)
    return not check.versions or any(f"{version}.".startswith(f"{x}.") for x in check.versions)


def _clocks(device_class: DeviceClass, facts: Facts) -> Iterator[Reason]:
    for what, pattern in device_class.clocks.items():
        for name, clock in facts.clocks.items():
            if fnmatch(name.lower(), pattern) and clock.current_hz:
                most = f"{clock.max_hz / 1e6:g}" if clock.max_hz else None
                yield reasons.CLOCK(what=what, mhz=f"{clock.current_hz / 1e6:g}", most=most)
