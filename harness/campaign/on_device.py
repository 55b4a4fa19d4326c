"""A device as a run uses it: what is deployed there, and which outputs were checked."""

from __future__ import annotations

import hashlib
import json
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.analysis import outputs
from harness.campaign import reasons
from harness.core.hashing import sha256_of
from harness.core.records import OutputCheck, shape_text
from harness.lab.power import boot_id
from harness.lab.store import DeviceStore
from harness.transports.base import TransferError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from harness.campaign.launch import Launcher
    from harness.campaign.prepare import Prepared
    from harness.core.contract import Job, Outputs
    from harness.core.errors import LabError
    from harness.core.reason import Reason
    from harness.core.records import CaseRecord, DeviceRecord
    from harness.lab.inventory import Device
    from harness.transports.base import Transport

__all__ = ["Absent", "Joined", "OnDevice"]

_ATTEMPTS = 2

_Where = tuple[int | None, int | None]
"""The change of shape after which outputs were computed, and the caller that they are of."""


@dataclass(frozen=True)
class Joined:
    """A device that was reached after its run had begun.

    Attributes
    ----------
    record
        What is stored of it.
    cases, prepared
        Of the run, those that are measured there.
    """

    device: OnDevice
    record: DeviceRecord
    cases: list[CaseRecord]
    prepared: dict[str, Prepared]


@dataclass(frozen=True)
class Absent:
    """A device that was not reached when its run began.

    Attributes
    ----------
    error
        What was wrong.
    join
        Reaches it now, or raises a :class:`HarnessError`.
    answers
        Asks it which of its starts this is, or raises a :class:`LabError`.
    """

    device: Device
    error: LabError
    join: Callable[[], Joined]
    answers: Callable[[], str]


class OnDevice:
    """The launches of one run on one device.

    Parameters
    ----------
    device
        The device.
    transport
        To it; it stays open.
    launcher
        Starts and ends its launches.
    drivers
        Its kernel and NPU drivers, as far as it tells.
    boot_id
        By which it tells one of its starts from another, as far as it does.
    """

    def __init__(
        self,
        device: Device,
        transport: Transport,
        launcher: Launcher,
        drivers: str = "",
        boot_id: str | None = None,
    ) -> None:
        self.device = device
        self.launcher = launcher
        self._transport = transport
        self._store = DeviceStore(launcher.supervisor, limit_mb=device.spec.store_limit_mb)
        self._drivers = drivers
        self._boot_id = boot_id
        self._caches: set[str] = set()
        self._files: dict[str, dict[str, tuple[str, int]]] = {}  # case: name: hash and size
        self._checked: dict[tuple[str, ...], OutputCheck] = {}

    def answers(self) -> str:
        """Ask it over a new connection which of its starts this is; empty where it cannot tell.

        Raises
        ------
        TransportError
            It does not answer.
        """
        self._transport.close()
        return boot_id(self._transport)

    def has_restarted(self) -> bool:
        """Whether it has since this was asked last; not where it cannot tell.

        Raises
        ------
        TransportError
            It does not answer.
        """
        before, self._boot_id = self._boot_id, boot_id(self._transport)
        return bool(before and self._boot_id) and before != self._boot_id

    def links(self, prepared: Prepared, job: Job) -> dict[str, str]:
        """Return the links of a launch's folder, name to path there; the device is not asked."""
        case = prepared.case.id
        if case not in self._files:
            known = prepared.artifact.record.files
            with self._sources(prepared, job) as sources:
                self._files[case] = {
                    name: (known.get(name) or sha256_of(path), path.stat().st_size)
                    for name, path in sources.items()
                }
        return {name: self._store.path(digest) for name, (digest, _) in self._files[case].items()}

    def deploy(self, prepared: Prepared, job: Job) -> None:
        """Push what is missing of what a launch's folder links to."""
        self.links(prepared, job)
        files = self._files[prepared.case.id]
        if self._store.missing(dict(files.values())):
            with self._sources(prepared, job) as sources:
                self._store.ensure({files[name][0]: path for name, path in sources.items()})

    @contextmanager
    def _sources(self, prepared: Prepared, job: Job) -> Iterator[dict[str, Path]]:
        """Give what a launch's folder links to: name there to file here."""
        folder = prepared.artifact.folder
        artifact = {name: folder / name for name in prepared.artifact.roles.values()}
        checks = prepared.check_files if job.check_files else {}
        with prepared.runner.files(job) as runner_files:
            yield {**runner_files, **checks, **artifact}

    def model_cache(self, prepared: Prepared, links: Mapping[str, str]) -> str:
        """Return the folder there for what an engine compiles of a case's model.

        An engine may take from such a folder whatever fits the inputs' names and shapes, be it of
        another model: so each case has its own, by all that the compiled model depends on.

        Parameters
        ----------
        links
            Of its deployment: its artifact, runner and engine, by hash.
        """
        content = [
            prepared.case.id,
            prepared.artifact.record.id,
            sorted(links.items()),
            prepared.settings.model_dump(),
            self._drivers,
        ]
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        name = f"cache-{digest[:32]}"
        self._caches.add(name)
        return self.launcher.folder(name)

    def tidy(self) -> None:
        """Remove the model caches' folders that were given out, and launches that are still there.

        Raises
        ------
        TransportError
            As for :meth:`harness.transports.base.Transport.run`, for a link that stays away.
        """
        if self._caches or self.launcher.unforgotten:
            self.launcher.patience(partial(self.launcher.forget, sorted(self._caches)))
            self._caches.clear()

    def check(
        self, job: Job, prepared: Prepared, claimed: list[Outputs], *, fills_cache: bool = False
    ) -> OutputCheck:
        """Check a launch's outputs.

        Ones with digests that were checked before are not pulled: of the same case, in the same
        state of its model cache.

        Parameters
        ----------
        fills_cache
            Whether the launch fills the case's model cache, instead of finding it filled.

        Raises
        ------
        TransferError
            A file is not what the runner announced.
        TransportError
            As for :meth:`harness.transports.base.Transport.pull`.
        """
        state = "fills" if fills_cache else "measures"
        digests = (prepared.case.id, state, *(output.sha256 for output in claimed))
        if digests in self._checked:
            return self._checked[digests].model_copy(update={"full": False})
        tolerance = prepared.model.manifest.tolerance[prepared.case.precision]
        # The outputs of a change of shape have reference outputs of their own.
        references: dict[int | None, Mapping[int, list[NDArray[Any]]]] = {None: prepared.reference}
        references |= {n: change.reference for n, change in enumerate(prepared.changes)}
        if fault := _unlike(claimed, references):
            return OutputCheck(passed=False, reason=fault, tolerance=tolerance)
        found: dict[_Where, dict[int, list[NDArray[Any]]]] = {}
        pulled: dict[tuple[str, int, int], NDArray[Any]] = {}  # callers mostly get the same
        with tempfile.TemporaryDirectory(prefix="edge-harness-") as scratch:
            for output in sorted(claimed, key=lambda output: output.index):
                same = (output.sha256, output.seed, output.index)
                if output.caller is None or same not in pulled:
                    pulled[same] = self._pull(job, prepared, output, Path(scratch) / "output")
                of_place = found.setdefault((output.change, output.caller), {})
                of_place.setdefault(output.seed, []).append(pulled[same])
        check = _together(
            {
                where: outputs.check(values, references[where[0]], tolerance)
                for where, values in found.items()
            },
            prepared,
        )
        self._checked[digests] = check
        return check

    def _pull(self, job: Job, prepared: Prepared, output: Outputs, target: Path) -> NDArray[Any]:
        """Return an output's values; what arrives changed is pulled once more."""
        source = f"{self.launcher.folder(job.launch)}/{output.file}"
        limit = max(prepared.runner.size_limit(output), 1)
        for _ in range(_ATTEMPTS):
            self._transport.pull(source, target, limit=limit)
            values = prepared.runner.read_output(output, target.read_bytes())
            if values is not None and sha256_of(target) == output.sha256:
                return values
        raise TransferError(reasons.OUTPUT_CHANGED(file=output.file))


def _together(checks: Mapping[_Where, OutputCheck], prepared: Prepared) -> OutputCheck:
    """Return the worst of a launch's checks, each of one set of shapes or one caller."""
    for (change, caller), check in checks.items():
        if not check.passed and change is not None:
            shapes = ", ".join(
                f"{name} {shape_text(shape)}"
                for name, shape in prepared.changes[change].shapes.items()
            )
            reason = reasons.AFTER_CHANGE(shapes=shapes, why=check.reason)
            return check.model_copy(update={"reason": reason})
        if not check.passed and caller is not None:
            callers = prepared.case.callers
            reason = reasons.OF_CALLER(why=check.reason, caller=caller + 1, callers=callers)
            return check.model_copy(update={"reason": reason})
    failed = (check for check in checks.values() if not check.passed)
    return next(failed, max(checks.values(), key=lambda check: check.relative_error or 0.0))


def _unlike(
    claimed: Sequence[Outputs],
    references: Mapping[int | None, Mapping[int, Sequence[NDArray[Any]]]],
) -> Reason | None:
    """Say what a runner claims that the model does not return: nothing of that size is pulled."""
    told = {(each.change, each.caller, each.seed, each.index) for each in claimed}
    if len(told) < len(claimed):
        return reasons.TWICE()
    for output in claimed:
        expected = references.get(output.change, {}).get(output.seed, ())
        if output.index >= len(expected):
            return reasons.UNEXPECTED(output=output.index, seed=output.seed, outputs=len(expected))
        shape = expected[output.index].shape
        if output.shape != shape:
            return reasons.SHAPE(
                output=output.index,
                seed=output.seed,
                shape=str(list(output.shape)),
                expected=str(list(shape)),
            )
    return None
