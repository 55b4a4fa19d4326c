"""What the harness has to know of an inference engine: the base class of engines.

An engine is one folder: its package makes an :class:`Engine` and calls it ``PLUGIN``. What the
folder may hold beside it:

``device.py``
    How the Python runner uses the engine; it is pushed to devices.
``engine.js``, ``package.json``, ``package-lock.json``
    How a page uses it, where it runs in a browser, and its locked packages of npm.
``runner.cc``, ``include/``
    The same for the native runner, and headers that may be copied.
``stages/``
    Scripts that run in a toolchain environment: converters, and ``kernels.py``.
``NAME.in``, ``NAME.txt``
    What a toolchain environment is asked for, and its lock.
``classes/*.yaml``
    Classes of devices whose NPU it uses.
``README.md``
    Its page of the documentation.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from harness.engines import reasons
from harness.workspace import cache_dir

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.core.contract import Event, InputSpec, Job, Outputs
    from harness.core.reason import Reason
    from harness.core.records import Case, Partition, Precision

__all__ = [
    "ANDROID_ABIS",
    "ENGINE_MODULE",
    "LINUX_ABIS",
    "OWN_PYTHON",
    "UNCAUGHT",
    "Callers",
    "DeviceFacts",
    "Engine",
    "Environment",
    "Format",
    "Made",
    "ModelFile",
    "Native",
    "Npm",
    "Request",
    "Sdk",
    "Source",
    "Tool",
]

_REQUIREMENT = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)", re.MULTILINE)
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^ ;\\]+)", re.MULTILINE)

LINUX_ABIS = ("x86_64-linux", "arm64-linux", "armv7hf-linux")
ANDROID_ABIS = ("android-arm64", "android-armv7")

UNCAUGHT = re.compile(r"^\s*what\(\): |^libc\+\+abi: |terminate called")
"""How C++'s library ends a process for an exception that nobody takes."""

ENGINE_MODULE = "edge_engine.py"
"""The name by which the Python runner finds an engine's ``device.py`` beside it."""

OWN_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The version of the Python that runs the harness, for environments that any Python suits."""


class Callers(StrEnum):
    """How many callers a loaded predictor takes at the same time."""

    ONE = "one"
    """One in the whole process."""
    INSTANCES = "instances"
    """One each."""
    ANY = "any"


class DeviceFacts(Protocol):
    """What an engine is told of a device: its file in the inventory.

    Attributes
    ----------
    abi
        What programs for it are built for: ``arm64-linux`` …
    soc
        What its file or device tree says of its chip.
    """

    @property
    def abi(self) -> str: ...  # noqa: D102 - see above

    @property
    def soc(self) -> str | None: ...  # noqa: D102 - see above


@dataclass(frozen=True)
class Environment:
    """A toolchain environment, which ``harness.models.environments`` makes on first use.

    Attributes
    ----------
    name
        Its files are ``<name>.in`` and ``<name>.txt``.
    purpose
        What it is for, in a few words.
    version
        Of its Python, major and minor.
    download_mb
        How much a first use downloads, about.
    locks
        The folder with its files.
    """

    name: str
    purpose: str
    version: str
    download_mb: int
    locks: Path

    @cached_property
    def lock(self) -> str:
        """The lock: every package with its version and hashes."""
        return (self.locks / f"{self.name}.txt").read_text(encoding="utf-8")

    @property
    def digest(self) -> str:
        """SHA-256 of the lock: what artifacts made in this environment are identified by."""
        return hashlib.sha256(self.lock.encode()).hexdigest()

    @property
    def tools(self) -> dict[str, str]:
        """The packages that were asked for, with the versions that the lock has of them."""
        pins = dict(_PIN.findall(self.lock))
        asked = (self.locks / f"{self.name}.in").read_text(encoding="utf-8")
        return {name: pins[name] for name in _REQUIREMENT.findall(asked)}

    @property
    def folder(self) -> Path:
        """Where it is once it is made."""
        return cache_dir() / "environments" / f"{self.name}-py{self.version}-{self.digest[:12]}"

    @property
    def interpreter(self) -> Path:
        """Its interpreter, once it is made."""
        return self.folder / "bin" / "python"

    @property
    def ready(self) -> bool:
        """Whether it is made, and the Python that it was made with is still there."""
        return os.access(self.interpreter, os.X_OK)


@dataclass(frozen=True)
class Npm:
    """Packages of npm whose files a page loads; ``harness.models.npm`` fetches them on first use.

    Attributes
    ----------
    folder
        With ``package.json`` and ``package-lock.json``, which has the hash of every package.
    package
        The one that the engine is.
    files
        The names by which files are pushed to their paths in ``node_modules``.
    """

    folder: Path
    package: str
    files: Mapping[str, str]

    @cached_property
    def lock(self) -> bytes:
        """The lock: every package with its version and hash."""
        return (self.folder / "package-lock.json").read_bytes()

    @property
    def version(self) -> str:
        """The version of the engine's package."""
        return str(json.loads(self.lock)["packages"][f"node_modules/{self.package}"]["version"])


@dataclass(frozen=True)
class Format:
    """A kind of artifact.

    Attributes
    ----------
    roles
        Role (``model``, ``params``) to the name of the file.
    targets
        What it can be built for, by the name that ``--targets`` takes; without any, its own name,
        and ``any``.
    accelerators
        The same for GPUs and NPUs: more of them, built only where they are asked for by name.
    precisions
        What it can be built to compute in, the first unless asked; none where it has no choice.
    integer_targets
        Targets that have nothing but int8.
    usual
        Whether it is built where nothing is asked for.
    fixed_shapes
        Whether it is compiled for the shapes that it is built at.
    keeps
        The precisions of models, other than fp32, that it is made of as they are.
    """

    name: str
    roles: Mapping[str, str]
    targets: Mapping[str, str] = field(default_factory=dict)
    accelerators: Mapping[str, str] = field(default_factory=dict)
    precisions: tuple[Precision, ...] = ()
    integer_targets: tuple[str, ...] = ()
    usual: bool = False
    fixed_shapes: bool = False
    keeps: tuple[Precision, ...] = ()

    @property
    def by_name(self) -> Mapping[str, str]:
        """The name of each usual target to the target."""
        return self.targets or {self.name: "any"}

    def precisions_for(self, target: str) -> tuple[Precision, ...]:
        """Return what it can be built to compute in for a target."""
        return ("int8",) if target in self.integer_targets else self.precisions


@dataclass(frozen=True)
class ModelFile:
    """A kind of model file that users bring (``harness models add``).

    Attributes
    ----------
    name
        What a manifest calls it, and the format of the artifact that it becomes.
    suffix
        Of the file, with its dot.
    title
        In words: ``ONNX``.
    environment
        The toolchain environment of both scripts; none for those that need but the harness's own
        Python with numpy.
    inspect
        The script that tells what the file takes: it writes ``found.json`` (``docs/plugins.md``).
    reference
        The script that computes the model's reference outputs.
    prepare
        The script that prepares it for converters.
    alone
        Whether no other engine's format is made of it: the model has artifacts in those of this
        engine only, and this engine has none of other models.
    """

    name: str
    suffix: str
    title: str
    environment: str | None
    inspect: Path
    reference: Path
    prepare: Path | None = None
    alone: bool = False


@dataclass(frozen=True)
class Request:
    """An artifact that is asked for.

    Attributes
    ----------
    inputs
        The model's, at the shapes that are asked for.
    usual
        The same at the shapes of its manifest, for what serves all shapes.
    ranges
        Each input's name to the extents of its axes that vary, by axis.
    algorithm, weights
        How the manifest says that a model is quantized.
    computed_in
        What the model's own file computes in.
    """

    format: str
    target: str
    precision: Precision | None
    inputs: Sequence[InputSpec]
    usual: Sequence[InputSpec]
    ranges: Mapping[str, Mapping[int, tuple[int, int]]]
    algorithm: str
    weights: str
    computed_in: Precision = "fp32"


@dataclass(frozen=True)
class Source:
    """What an artifact is made from: another artifact of the same model.

    Attributes
    ----------
    format
        ``onnx``, ``pdmodel``, ``samples`` (inputs that calibrate, and held-out ones), or
        ``prepared``: the ONNX file as converters take it best (``ModelFile.prepare``).
    needs
        Of what is prepared: more that the converter needs, such as the newest ``opset`` that it
        knows.
    """

    format: str
    precision: Precision | None = None
    needs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """How an artifact is made.

    Attributes
    ----------
    stage
        The script, which finds the files of the sources in its current folder and writes those of
        the artifact there.
    environment
        The toolchain environment that it runs in; none for what needs but the harness's own Python
        with numpy.
    options
        The request that it is given as JSON.
    drift_of
        What runs on the held-out inputs, to tell how far the artifact drifted from fp32: its own
        format, or that of a source, in fp32 arithmetic, where the artifact runs on no processor
        here. None where the stage does that itself, or nothing is to be told.
    """

    stage: Path
    environment: str | None
    options: Mapping[str, Any]
    sources: tuple[Source, ...]
    drift_of: str | None = None


@dataclass(frozen=True)
class Sdk:
    """An SDK that users bring: what a native runner is compiled from, and linked with.

    Attributes
    ----------
    title
        In words: ``Paddle Lite SDK``.
    headers
        By name, in one folder.
    folders
        Where that folder may be in the SDK; the first that has the headers counts.
    library
        What the runner is linked with, because its API is C++: in ``lib`` beside that folder.
        Such a runner is compiled like the library, by a compiler that the user gives. None where
        the library is loaded while it runs.
    """

    title: str
    headers: tuple[str, ...]
    folders: tuple[str, ...]
    library: str | None = None


@dataclass(frozen=True)
class Native:
    """How the engine's native runner is built.

    Attributes
    ----------
    static
        Whether it loads no library, and so runs on any device, Android too.
    sdk
        What the user must bring to build it.
    """

    static: bool = False
    sdk: Sdk | None = None


class Tool(ABC):
    """A foreign program that measures an engine, whose output is translated to the contract.

    Attributes
    ----------
    name
        As ``harness runners add`` takes it.
    """

    name: str

    @abstractmethod
    def lacks(self, case: Case, options: Mapping[str, str]) -> Reason | None:
        """Say what a case asks for that it would leave aside without a word, or return none."""

    @abstractmethod
    def files(self, job: Job, check_file: Path | None, scratch: Path) -> dict[str, Path]:
        """Return what it needs beside its program, by name in a launch's folder.

        Parameters
        ----------
        check_file
            With the inputs of the check seeds, where they are not made of these.
        scratch
            A folder for files that are made for it.
        """

    @abstractmethod
    def command(self, job: Job, abi: str, outputs: int) -> list[str]:
        """Return the command of a launch, in the launch's folder.

        Parameters
        ----------
        outputs
            How many the model has.
        """

    @abstractmethod
    def translate(
        self, log: str, status: int, job: Job, abi: str, reference: Sequence[NDArray[Any]]
    ) -> list[Event]:
        """Return the events that a launch's log and exit status stand for; both are untrusted.

        Parameters
        ----------
        reference
            The model's reference outputs for any one input: their number and shapes.
        """

    @abstractmethod
    def size_limit(self, output: Outputs) -> int:
        """Return how many bytes the file of an output has at most."""

    @abstractmethod
    def read_output(self, output: Outputs, content: bytes) -> NDArray[Any] | None:
        """Return an output's values, or none where the content is no tensor of its shape."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The host side of one engine; an engine with more to know overrides the methods.

    Attributes
    ----------
    name
        As campaigns and inventory write it: its folder's, with hyphens.
    api_version
        See :class:`harness.core.registry.Plugin`.
    title
        As its authors write it.
    folder
        Its own: ``Path(__file__).parent``.
    format
        Of the artifacts that it loads.
    formats
        Those that come with it; ``onnx`` and ``pdmodel`` are there without.
    model_files
        The kinds of model files that it reads for the harness.
    precisions
        What it can compute in; the first where a campaign does not say.
    in_python
        The backends that its ``device.py`` runs it on in the Python runner; none where it has no
        such module.
    callers_in_python
        How many callers its predictors take in the Python runner.
    environment
        The toolchain environment in which it runs on this machine.
    environments
        Those that come with it.
    checks
        The targets of its format whose artifacts it runs on this machine to check their outputs.
        One engine does that for a format.
    cpu_abis
        ABIs of devices on whose CPU it runs.
    packages
        The Python packages that it is; probing looks for the first, whose version is the engine's.
    library
        Its shared library, where a runner loads that by name.
    wraps_library
        Whether its Python package is but a wrapper of that library.
    version_text
        Finds its version in its library, or in the program of a tool.
    last_words
        Finds the line with which it ends a process, in what that printed.
    beside
        More files that are pushed with its ``device.py``.
    npm
        Packages of which files are pushed with it.
    native
        How its native runner is built; none where it has none.
    brought
        Whether the harness brings its native runner to every device by itself.
    tools
        Foreign programs that measure it.
    profiles
        Whether it measures its operators: without, no profile is launched.
    colour
        Number of its colour in charts (style.css); grey without one.
    made_by
        What makes its artifacts, in a few words, for the documentation.
    """

    name: str
    api_version: int
    title: str
    folder: Path
    format: str
    formats: tuple[Format, ...] = ()
    model_files: tuple[ModelFile, ...] = ()
    precisions: tuple[Precision, ...] = ("fp32",)
    in_python: tuple[str, ...] = ("cpu",)
    callers_in_python: Callers = Callers.ONE
    environment: str | None = None
    environments: tuple[Environment, ...] = ()
    checks: tuple[str, ...] = ()
    cpu_abis: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    library: str | None = None
    wraps_library: bool = False
    version_text: re.Pattern[bytes] | None = None
    last_words: re.Pattern[str] = UNCAUGHT
    beside: tuple[Path, ...] = ()
    npm: Npm | None = None
    native: Native | None = None
    brought: bool = False
    tools: tuple[Tool, ...] = ()
    profiles: bool = True
    colour: int | None = None
    made_by: str = ""

    @property
    def device_module(self) -> Path:
        """How the Python runner uses it."""
        return self.folder / "device.py"

    def format_on(self, backend: str) -> str:
        """Return the format of the artifacts that it loads on a backend."""
        del backend
        return self.format

    @property
    def units_script(self) -> Path | None:
        """What tells, run by a device's Python, which accelerators are there; if there is."""
        path = self.folder / "units.py"
        return path if path.is_file() else None

    @property
    def kernels_script(self) -> Path | None:
        """What tells, where it runs on the held-out inputs, which kernels it has; if there is."""
        path = self.folder / "stages" / "kernels.py"
        return path if path.is_file() else None

    def recipe(self, request: Request) -> Made:
        """Return how an artifact in one of its formats is made."""
        raise NotImplementedError(f"{self.name} makes no {request.format}")

    def partition(
        self, files: Mapping[str, Path], macs: Mapping[str, int] | None = None
    ) -> Partition | None:
        """Return what an artifact's files tell of what runs where; none where they do not.

        Parameters
        ----------
        files
            Role to file.
        macs
            Multiply-accumulates by the name of what a layer computes, where they are counted.

        Raises
        ------
        SpecificationError
            A file cannot be read.
        """
        del files, macs
        return None

    def planned(self, said: str, tools: Mapping[str, str]) -> Partition | None:
        """Return what its compiler said of what runs where, while it made an artifact.

        Parameters
        ----------
        said
            All that the stage printed.
        tools
            Packages of its environment to their versions.
        """
        del said, tools
        return None

    def kernels(self, said: str) -> dict[str, int]:
        """Return what it printed of its kernels while it loaded: ``unit/precision`` to how many."""
        del said
        return {}

    def lacks(self, device: DeviceFacts, backend: str) -> Reason | None:
        """Say why a backend of a device cannot be measured with it at all, or return none."""
        del device
        return None if backend == "cpu" else reasons.CPU_ONLY(engine=self.name)

    def usual_precision(self, backend: str) -> Precision:
        """Return what it computes in on a backend where a campaign does not say."""
        del backend
        return self.precisions[0]

    def precisions_on(self, device: DeviceFacts, backend: str) -> tuple[Precision, ...]:
        """Return what it can compute in on a backend of a device."""
        del device, backend
        return self.precisions

    def keeps_models(self, backend: str) -> bool:
        """Return whether it can keep a model that it compiled for a backend for later processes."""
        del backend
        return False

    def changes_shapes(self, device: DeviceFacts, backend: str) -> bool:
        """Return whether a process can continue with other shapes, of a model whose axes vary."""
        del device, backend
        return True

    def target(self, device: DeviceFacts, backend: str = "cpu") -> str:
        """Return what an artifact must be built for to run there; ``any`` for most."""
        del device, backend
        return "any"

    def refuse(
        self,
        device: DeviceFacts,
        files: Mapping[str, Path],
        backend: str = "cpu",
        version: str | None = None,
    ) -> Reason | None:
        """Say why an artifact must not be run there, or return none.

        It is asked before anything is pushed: an engine may return garbage for a wrong
        artifact, and exit with 0.

        Parameters
        ----------
        files
            Role (``model``, ``params``) to the artifact's file.
        version
            Of the engine there, where it is known beforehand.
        """
        del device, files, backend, version
        return None
