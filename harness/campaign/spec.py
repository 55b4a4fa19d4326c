"""Campaign files: ``campaigns/*.yaml``."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from harness.devices.inventory import Backend
from harness.engines import ENGINES
from harness.errors import SpecificationError
from harness.results.schema import Case, Precision, Protocol
from harness.workspace import Name, check_name
from harness.yamlfile import Spec, load, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from harness.workspace import Workspace

__all__ = ["Block", "Campaign", "load_campaign"]

Launches = Annotated[int, Field(ge=1, le=1000)]
Cpu = Annotated[int, Field(ge=0, le=4095)]
CpuSet = Annotated[list[Cpu], Field(min_length=1)]


class Block(Spec):
    """A part of the matrix: every combination of its axes is a case.

    Attributes
    ----------
    backends
        Compute units: ``cpu``, ``gpu``, or ``npu:`` and a name; the device's file says what it has.
    model_caches
        ``none``, and ``kept`` for an engine that keeps what it compiles for an NPU: one more launch
        fills its cache, and the others find it filled.
    precisions
        What the engines compute in; without it what each computes in by itself (fp32, RKNN fp16).
    cpus
        Sets of processors that the runner is bound to; none means that it is not bound.
    busy_cpus
        Numbers of processors that something else keeps busy while the case is measured.
    launches
        Per case; without it the campaign's.
    """

    models: Annotated[list[Name], Field(min_length=1)]
    devices: Annotated[list[Name], Field(min_length=1)]
    engines: Annotated[list[Name], Field(min_length=1)]
    backends: Annotated[list[Backend], Field(min_length=1)] = Field(default=["cpu"])
    model_caches: Annotated[list[Literal["none", "kept"]], Field(min_length=1)] = Field(
        default=["none"]
    )
    precisions: Annotated[list[Precision], Field(min_length=1)] | None = None
    threads: Annotated[list[Annotated[int, Field(ge=1, le=256)]], Field(min_length=1)] = Field(
        default=[1]
    )
    cpus: Annotated[list[CpuSet | None], Field(min_length=1)] = Field(default=[None])
    busy_cpus: Annotated[list[Annotated[int, Field(ge=0, le=256)]], Field(min_length=1)] = Field(
        default=[0]
    )
    launches: Launches | None = None

    @field_validator("models", "devices", "engines")
    @classmethod
    def _known(cls, names: list[str], info: ValidationInfo) -> list[str]:
        known = (info.context or {}).get(info.field_name)
        for name in names:
            if known is not None and name not in known:
                singular = str(info.field_name).removesuffix("s")
                raise ValueError(f"unknown {singular} '{name}'; {nearest(name, known)}")
        return names


class Campaign(Spec):
    """The content of a campaign's file."""

    description: str = ""
    matrix: Annotated[list[Block], Field(min_length=1)]
    launches: Launches = 5
    protocol: Protocol = Protocol()

    def cases(self) -> Iterator[tuple[Case, int]]:
        """Yield each case once, with its number of launches; a later block wins."""
        found: dict[Case, int] = {}
        for block in self.matrix:
            axes: dict[str, Sequence[object]] = {
                "model": block.models,
                "device": block.devices,
                "engine": block.engines,
                "backend": block.backends,
                "model_cache": block.model_caches,
                "precision": block.precisions or [None],
                "threads": block.threads,
                "cpus": [None if cpus is None else sorted(set(cpus)) for cpus in block.cpus],
                "busy_cpus": block.busy_cpus,
            }
            for cell in product(*axes.values()):
                settings = dict(zip(axes, cell, strict=True))
                own = ENGINES[str(settings["engine"])].precisions[0]
                settings["precision"] = settings["precision"] or own
                case = Case.model_validate(settings)
                found[case] = block.launches or self.launches
        yield from found.items()


def load_campaign(workspace: Workspace, path: Path) -> Campaign:
    """Read a campaign's file.

    Raises
    ------
    SpecificationError
        It does not exist or is wrong, or names a model, device or engine that there is not.
    """
    if not path.is_file():
        known = [str(found) for found in workspace.campaigns.glob("*.yaml")]
        raise SpecificationError(
            f"no campaign file {path}",
            hint=nearest(str(path), known) or f"write one into {workspace.campaigns}",
        )
    check_name(path.stem, "campaign")  # of its runs, and of their launches on devices
    context = {
        "models": {found.stem for found in workspace.models.glob("*.yaml")},
        "devices": {found.stem for found in workspace.devices.glob("*.yaml")},
        "engines": set(ENGINES),
    }
    return load(path, Campaign, context=context)
