"""The kinds of runners: what each needs in a launch's folder, and what it leaves there."""

from __future__ import annotations

import abc
import math
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness import engines
from harness.campaign import reasons
from harness.lab.runners import library_among
from harness.models.npm import SCRIPT, device_files
from harness.models.recipes import resource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from harness.campaign.launch import Ended
    from harness.core.contract import Job, Outputs
    from harness.core.reason import Reason
    from harness.core.records import Case
    from harness.engines.base import Tool
    from harness.lab.inventory import BackendSpec
    from harness.lab.runners import RegisteredRunner

__all__ = ["PROGRAM", "AwayRunner", "ForeignRunner", "NativeRunner", "PythonRunner", "Runner"]

PROGRAM = "edge-runner"
_TRAFFIC = "edge_traffic.py"


class Runner(abc.ABC):
    """A program that measures on a device, as the controller deals with it.

    This base deals with one that keeps the contract; a foreign tool's is translated.
    """

    returns_outputs = True
    """Whether a launch without outputs has failed; else its case is unchecked."""

    keeps_contract = True
    """Whether it measures as its job says; a foreign tool does so in its own way."""

    changes_shapes = True
    """Whether it can continue with other shapes in one launch."""

    profiles = True
    """Whether it can be asked for what its engine measures of its operators."""

    def lacks(self, case: Case, settings: BackendSpec) -> Reason | None:
        """Say what a case asks for that it would leave aside without a word, or return none."""
        del case, settings
        return None

    def adapt(self, job: Job) -> Job:
        """Return the job with what this runner has to know beside."""
        return job

    @abc.abstractmethod
    def files(self, job: Job) -> AbstractContextManager[dict[str, Path]]:
        """Give the runner's files, the artifact's aside, by name in a launch's folder."""

    @abc.abstractmethod
    def command(self, job: Job) -> list[str]:
        """Return the command of a launch, which runs in the launch's folder."""

    def translate(self, ended: Ended, job: Job) -> Ended:
        """Return what a launch left, with the events that it stands for."""
        del job
        return ended

    def size_limit(self, output: Outputs) -> int:
        """Return how many bytes the file of an output has at most."""
        return math.prod(output.shape) * np.dtype(output.dtype).itemsize

    def read_output(self, output: Outputs, content: bytes) -> NDArray[Any] | None:
        """Return an output's values, or none where the content is no tensor of its shape."""
        if len(content) != self.size_limit(output):
            return None
        return np.frombuffer(content, np.dtype(output.dtype).newbyteorder("<")).reshape(
            output.shape
        )


@dataclass(frozen=True)
class PythonRunner(Runner):
    """Our runner in Python, for a device with an interpreter that has the engine.

    Attributes
    ----------
    environment
        Of ours, that the interpreter is of; empty where it is the device's own.
    kept
        The runner's files of an earlier time by name; else they are this harness's.
    """

    interpreter: str
    environment: str = ""
    kept: Mapping[str, Path] = field(default_factory=dict)

    @contextmanager
    def files(self, job: Job) -> Iterator[dict[str, Path]]:
        """See :meth:`Runner.files`."""
        more = {_TRAFFIC: resource("runner", "python", _TRAFFIC)} if job.traffic else {}
        yield dict(self.kept) or device_files(engines.get(job.engine), _quiet) | more

    def command(self, job: Job) -> list[str]:
        """See :meth:`Runner.command`."""
        del job
        return [self.interpreter, "-B", SCRIPT, "job.json"]


def _quiet(_: str) -> None:
    """Report no progress: what had to be fetched was fetched when the case was prepared."""


@dataclass(frozen=True)
class NativeRunner(Runner):
    """Our runner in C++, for devices without Python.

    Attributes
    ----------
    libraries
        What is beside it, by name.
    """

    program: Path
    libraries: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Mapping[str, Path]) -> NativeRunner:
        """Return the runner whose files, by name in a launch's folder, are these."""
        return cls(files[PROGRAM], {name: files[name] for name in files if name != PROGRAM})

    def adapt(self, job: Job) -> Job:
        """See :meth:`Runner.adapt`: an engine may be loaded by the name of its file."""
        loaded = engines.get(job.engine).library
        library = library_among(self.libraries, loaded) if loaded else None
        files = job.files | ({"library": library} if library else {})
        return job.model_copy(update={"files": files})

    @contextmanager
    def files(self, job: Job) -> Iterator[dict[str, Path]]:
        """See :meth:`Runner.files`."""
        del job
        yield {PROGRAM: self.program, **self.libraries}

    def command(self, job: Job) -> list[str]:
        """See :meth:`Runner.command`."""
        del job
        return [f"./{PROGRAM}", "job.json"]


class AwayRunner(Runner):
    """The runner of another lab, which that lab alone knows: nothing is launched from here."""

    @contextmanager
    def files(self, job: Job) -> Iterator[dict[str, Path]]:
        """See :meth:`Runner.files`."""
        del job
        yield {}

    def command(self, job: Job) -> list[str]:
        """See :meth:`Runner.command`."""
        raise NotImplementedError(job.launch)


@dataclass(frozen=True)
class ForeignRunner(Runner):
    """An engine's own program, as the user brought it, whose output is translated.

    Attributes
    ----------
    reference
        The model's reference outputs for any one input: their number and shapes tell what the
        tool is to print.
    check_file
        With the inputs of the check seeds, where they are not made of these.
    """

    tool: Tool
    registered: RegisteredRunner
    reference: Sequence[NDArray[Any]]
    check_file: Path | None = None
    returns_outputs = False
    keeps_contract = False
    changes_shapes = False
    profiles = False

    def lacks(self, case: Case, settings: BackendSpec) -> Reason | None:
        """See :meth:`Runner.lacks`."""
        if case.scenario != "single":
            return reasons.ONE_CALLER(what=self.tool.name, scenario=case.scenario)
        return self.tool.lacks(case, settings.options)

    def adapt(self, job: Job) -> Job:
        """See :meth:`Runner.adapt`: what it reads is among its :meth:`files`."""
        return job.model_copy(update={"check_files": []})

    @contextmanager
    def files(self, job: Job) -> Iterator[dict[str, Path]]:
        """See :meth:`Runner.files`."""
        with tempfile.TemporaryDirectory(prefix="edge-harness-") as scratch:
            yield {
                self.tool.name: self.registered.program,
                **self.registered.libraries,
                **self.tool.files(job, self.check_file, Path(scratch)),
            }

    def command(self, job: Job) -> list[str]:
        """See :meth:`Runner.command`."""
        return self.tool.command(job, self.registered.spec.abi, len(self.reference))

    def translate(self, ended: Ended, job: Job) -> Ended:
        """See :meth:`Runner.translate`."""
        if ended.outside.exit and ended.outside.exit.reason != "exited":
            return replace(ended, events=b"")  # ended from outside: that is all there is to say
        abi = self.registered.spec.abi
        events = self.tool.translate(ended.log, ended.status, job, abi, self.reference)
        lines = [event.model_dump_json(exclude_none=True) + "\n" for event in events]
        return replace(ended, events="".join(lines).encode())

    def size_limit(self, output: Outputs) -> int:
        """See :meth:`Runner.size_limit`."""
        return self.tool.size_limit(output)

    def read_output(self, output: Outputs, content: bytes) -> NDArray[Any] | None:
        """See :meth:`Runner.read_output`."""
        return self.tool.read_output(output, content)
