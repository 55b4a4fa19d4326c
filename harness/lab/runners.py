"""Registered runners: what ``harness runners build`` made, and foreign programs that measure.

``runners/NAME.yaml`` says what a runner is; its files are in ``.harness/runners/``, each under the
hash of its content.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

from harness import engines
from harness.core.contract import Digest
from harness.core.errors import SpecificationError
from harness.core.hashing import sha256_of
from harness.core.yamlfile import Spec, dump, load, named, names, nearest
from harness.engines import ENGINES, tools
from harness.lab import elf, reasons
from harness.lab.inventory import ABI
from harness.transports.base import TransferError
from harness.workspace import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from harness.core.reason import Reason
    from harness.lab.elf import Elf, Version
    from harness.lab.probe import Facts
    from harness.transports.base import Transport
    from harness.workspace import Workspace

__all__ = [
    "EDGE_RUNNER",
    "RegisteredRunner",
    "RunnerSpec",
    "add",
    "engine_version",
    "faults",
    "library_among",
    "load_runner",
    "load_runners",
    "missing_libraries",
    "version_text",
]

EDGE_RUNNER: Final = "edge-runner"
"""The tool that is ours: what ``harness runners build`` makes."""

_LIBRARY = r"^lib[A-Za-z0-9._+-]{1,96}$"
_TRIPLETS = {
    "arm64-linux": "aarch64-linux-gnu",
    "armv7hf-linux": "arm-linux-gnueabihf",
    "x86_64-linux": "x86_64-linux-gnu",
}

# Prints the libraries that are nowhere; the loader's cache knows folders that are set up there.
_LOOK = """\
set -f
IFS='
'
dirs=$1
shift
known=$(ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null)
for name; do
  for dir in $dirs; do
    [ -e "$dir/$name" ] && continue 2
  done
  case $known in *"/$name"*) continue ;; esac
  echo "$name"
done
echo end"""


def _known_tool(name: str) -> str:
    known = (EDGE_RUNNER, *tools())
    if name not in known:
        raise ValueError(f"unknown tool '{name}'; {nearest(name, known)}")
    return name


def _known_engine(name: str) -> str:
    if name not in ENGINES:
        raise ValueError(f"unknown engine '{name}'; {nearest(name, ENGINES.plugins)}")
    return name


class RunnerSpec(Spec):
    """The content of a runner's file.

    Attributes
    ----------
    tool
        What it is: ``edge-runner``, which keeps the runner contract (``harness runners build``),
        or a foreign one, whose output is translated.
    engine
        What it measures.
    engine_version
        As the files tell it: what a model was made with must fit. Without it, that is left to the
        runner.
    program
        SHA-256 of the executable.
    libraries
        Libraries that are pushed beside it: the name it asks for to the SHA-256 of the file.
    """

    description: str = ""
    tool: Annotated[str, AfterValidator(_known_tool)]
    engine: Annotated[str, AfterValidator(_known_engine)]
    engine_version: Annotated[str, StringConstraints(max_length=100)] | None = None
    abi: ABI
    program: Digest
    libraries: dict[Annotated[str, StringConstraints(pattern=_LIBRARY)], Digest] = Field(
        default_factory=dict
    )


@dataclass(frozen=True)
class RegisteredRunner:
    """A registered runner.

    Attributes
    ----------
    store
        The folder of runners' files.
    """

    name: str
    spec: RunnerSpec
    store: Path

    @property
    def program(self) -> Path:
        """The executable."""
        return self.store / self.spec.program

    @property
    def libraries(self) -> Mapping[str, Path]:
        """The libraries that are pushed beside it, by the name that it asks for."""
        return {name: self.store / digest for name, digest in self.spec.libraries.items()}

    @cached_property
    def files(self) -> Mapping[str, Elf]:
        """What its program (under the tool's name) and each of its libraries need."""
        paths = {self.spec.tool: self.program, **self.libraries}
        return {name: elf.read(path) for name, path in paths.items()}

    @property
    def needed(self) -> tuple[str, ...]:
        """The libraries that the device itself must have."""
        asked = dict.fromkeys(name for file in self.files.values() for name in file.needed)
        return tuple(name for name in asked if name not in self.spec.libraries)

    @property
    def loads(self) -> str | None:
        """The engine's library, where it is the device's own that is loaded."""
        library = engines.get(self.spec.engine).library
        shipped = library and library_among(self.spec.libraries, library)
        return None if shipped else library

    @property
    def glibc(self) -> Version | None:
        """The version of glibc that the device must have at least; none where any will do."""
        # A glibc that is shipped beside it would need its own loader, too: it does not count.
        return max((file.glibc for file in self.files.values() if file.glibc), default=None)


def library_among(names: Iterable[str], library: str) -> str | None:
    """Return which of some files is a library, in whatever version; none if it is none of them."""
    stem = library.partition(".so")[0]
    return next((name for name in names if name.partition(".so")[0] == stem), None)


def add(
    workspace: Workspace, name: str, spec: Mapping[str, str], program: Path, libraries: list[Path]
) -> RegisteredRunner:
    """Register a runner: its files are copied into the workspace.

    Parameters
    ----------
    spec
        ``tool``, ``engine`` and ``abi``, as the runner's file has them.
    libraries
        Shared libraries that are to be beside it on the device, named as it asks for them.

    Raises
    ------
    SpecificationError
        The name is taken or not valid; a file is no ELF file, or is for another ABI; the tool
        does not measure this engine.
    """
    try:
        _known_tool(spec["tool"])
        _known_engine(spec["engine"])
    except ValueError as error:
        raise SpecificationError(str(error)) from error
    foreign = tools().get(spec["tool"])
    if foreign and foreign[1].name != spec["engine"]:
        owner = foreign[1]
        raise SpecificationError(
            f"{spec['tool']} is {owner.title}'s own, and does not measure {spec['engine']}",
            hint=f"--engine {owner.name}; what harness runners build made is an {EDGE_RUNNER}",
        )
    path = workspace.runners / f"{check_name(name, 'runner')}.yaml"
    if path.exists():
        raise SpecificationError(
            f"{path}: runner '{name}' already exists",
            hint=f"choose another --name, or remove {path}",
        )
    for library in libraries:
        if (
            not re.fullmatch(_LIBRARY, library.name)
            or [x.name for x in libraries].count(library.name) > 1
        ):
            raise SpecificationError(
                f"{library}: given twice, or not a library's name",
                hint="use the name that the program asks for, such as libgomp.so.1",
            )
    for file in (program, *libraries):
        found = elf.read(file)
        if found.abi != spec["abi"]:
            raise SpecificationError(
                f"{file}: built for {found.abi or found.machine}, not for {spec['abi']}",
                hint=f"give --abi {found.abi}" if found.abi else "give a file for the device",
            )
    version = _version(spec["engine"], program, libraries)
    store = workspace.state / "runners"
    store.mkdir(exist_ok=True)
    try:
        described = RunnerSpec.model_validate(
            {
                **spec,
                "engine_version": version,
                "program": _keep(program, store),
                "libraries": {file.name: _keep(file, store) for file in libraries},
            }
        )
        workspace.runners.mkdir(exist_ok=True)
        path.write_text(dump(described), encoding="utf-8")
    except OSError as error:
        raise SpecificationError(f"{error.filename}: {error.strerror}") from error
    return RegisteredRunner(name, described, store)


def _version(engine: str, program: Path, libraries: Sequence[Path]) -> str | None:
    """Return the version of an engine that its library, or else the program, has as a text.

    Others that are shipped may have a text that looks like it, and are not searched.
    """
    known = engines.get(engine)
    if known.version_text is None:
        return None
    linked = known.native.sdk.library if known.native and known.native.sdk else None
    own = tuple(filter(None, (known.library, linked)))
    files = [file for file in libraries if file.name.startswith(own)] or [program]
    found = {match for file in files for match in known.version_text.findall(file.read_bytes())}
    return found.pop().decode() if len(found) == 1 else None


def _keep(source: Path, store: Path) -> str:
    """Copy a file under its hash, all of it or none."""
    digest = sha256_of(source)
    partial = store / f"{digest}.{os.getpid()}.partial"
    shutil.copyfile(source, partial)
    partial.chmod(0o755)
    partial.replace(store / digest)
    return digest


def load_runners(workspace: Workspace) -> dict[str, RegisteredRunner]:
    """Return all runners by name.

    Raises
    ------
    SpecificationError
        A runner's file is wrong, or what it names is not there.
    """
    return {name: load_runner(workspace, name) for name in names(workspace.runners)}


def load_runner(workspace: Workspace, name: str) -> RegisteredRunner:
    """Return one runner.

    Raises
    ------
    SpecificationError
        No such name, its file is wrong, or what it names is not there.
    """
    otherwise = "harness runners build, then harness runners add"
    path = named(workspace.runners, name, "runner", otherwise=otherwise)
    runner = RegisteredRunner(name, load(path, RunnerSpec), workspace.state / "runners")
    for what, file in {runner.spec.tool: runner.program, **runner.libraries}.items():
        if not file.is_file() or sha256_of(file) != file.name:
            raise SpecificationError(
                f"runner '{name}': its {what} is missing from this workspace or was changed "
                f"({file})",
                hint=f"remove {path} and register it again: harness runners add",
            )
    return runner


def missing_libraries(
    transport: Transport, runner: RegisteredRunner, more: Sequence[str] = ()
) -> tuple[str, ...]:
    """Ask a device which of the libraries that a runner needs it does not have.

    Parameters
    ----------
    more
        Folders where the device's backends look, beside its own places
        (:attr:`harness.lab.inventory.DeviceSpec.library_folders`).

    Raises
    ------
    TransferError
        The device's shell did not get through the question.
    TransportError
        As for :meth:`harness.transports.base.Transport.run`.
    """
    triplet = _TRIPLETS.get(runner.spec.abi)
    folders = ["/lib", "/usr/lib", "/usr/local/lib"]
    if triplet is None:
        suffix = "64" if runner.spec.abi == "android-arm64" else ""
        folders = [f"/{part}/lib{suffix}" for part in ("system", "vendor")]
        folders.append(f"/apex/com.android.runtime/lib{suffix}/bionic")
    else:
        folders += ["/lib64", "/usr/lib64", f"/lib/{triplet}", f"/usr/lib/{triplet}"]
    answer = transport.run(["sh", "-c", _LOOK, "sh", "\n".join([*folders, *more]), *runner.needed])
    *missing, end = answer.text.splitlines() or [""]
    if end != "end":
        raise TransferError(reasons.CUT_SHORT())
    return tuple(name for name in runner.needed if name in set(missing))


def faults(runner: RegisteredRunner, facts: Facts, missing: Sequence[str]) -> list[Reason]:
    """Say why a runner cannot run on a device.

    What the device did not tell (its libc, say) counts as no fault.

    Parameters
    ----------
    missing
        Libraries that it needs and that the device does not have.
    """
    found = []
    if facts.abi is not None and facts.abi != runner.spec.abi:
        return [reasons.OTHER_ABI(built=runner.spec.abi, abi=facts.abi)]
    loader = runner.files[runner.spec.tool].loader
    if facts.libc == "none" and loader:
        found.append(reasons.NO_LOADER(loader=loader))
    if runner.glibc and facts.libc in ("musl", "bionic"):
        found.append(reasons.NO_GLIBC(libc=facts.libc))
    if runner.glibc and facts.libc == "glibc" and facts.libc_version:
        has = tuple(int(part) for part in facts.libc_version.split(".") if part.isdecimal())
        if has < runner.glibc:
            found.append(
                reasons.OLD_GLIBC(needed=version_text(runner.glibc), found=facts.libc_version)
            )
    if missing:
        found.append(reasons.NO_LIBRARIES(libraries=missing))
    return found


def engine_version(
    engine: str, runner: RegisteredRunner | None, python: str | None, facts: Facts
) -> str | None:
    """Return the version of an engine that a device would load, where it is known beforehand.

    Parameters
    ----------
    runner
        The registered one that loads it there; else a Python does.
    python
        The device's own interpreter, where it is that.
    """
    if runner and not runner.loads:
        return runner.spec.engine_version
    known = engines.get(engine)
    if known.library and (runner or known.wraps_library):
        library = facts.libraries.get(known.library)
        return library.version if library else None
    versions = (each.engines.get(engine) for each in facts.pythons if each.path == python)
    return next(versions, None)


def version_text(version: Version) -> str:
    """Return a version as people write it."""
    return ".".join(map(str, version))
