"""Recipes of emulated boards: ``devices/boards/*.yaml``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, ValidationInfo, model_validator

from harness.core.yamlfile import Spec, load, named
from harness.workspace import Name

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from harness.workspace import Workspace

__all__ = ["BoardSpec", "ImageSpec", "MachineSpec", "PythonSpec", "load_board"]

# Debian's rule for package names; also keeps them from being read as options.
Package = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]+$")]
Suite = Annotated[str, StringConstraints(pattern=r"^[a-z]+$")]
Module = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]*$")]


class PythonSpec(Spec):
    """The Python of a board.

    Attributes
    ----------
    version
        Of the Python among the image's packages.
    requirements
        Python packages for the board: a file beside the recipe, locked with hashes.
    """

    version: Annotated[str, StringConstraints(pattern=r"^3\.\d+$")]
    requirements: Name


class ImageSpec(Spec):
    """What a board's image is made of; the image is cached under the hash of this.

    Attributes
    ----------
    suites
        Debian's releases, by their code names. Of each package the newest version among them is
        taken.
    architecture
        Debian's name of it.
    mirror
        Where the packages come from; by default where this host's own come from.
    kernel
        The package that depends on the newest kernel of its flavour.
    modules
        Kernel modules needed before the root disk is mounted.
    packages
        Packages that make up the root disk. Nothing is added to them: their dependencies are
        to be named too, as far as they are needed.
    python
        For a board with Python, of arm64 only: other engines' wheels are in no registry.
    """

    suites: Annotated[list[Suite], Field(min_length=1)]
    architecture: Literal["arm64", "armhf"]
    mirror: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")] | None = None
    kernel: Package
    modules: list[Module]
    packages: list[Package]
    python: PythonSpec | None = None

    @model_validator(mode="after")
    def _has_wheels(self) -> Self:
        if self.python and self.architecture != "arm64":
            raise ValueError("'python' is for arm64 only")
        return self


class MachineSpec(Spec):
    """The machine that QEMU is to be.

    Attributes
    ----------
    cpu
        As QEMU's ``-cpu`` takes it.
    cores
        Number of processors.
    memory_mb
        In MiB.
    tmp
        Options of ``/tmp``, which is a tmpfs(5).
    sftp
        Whether its SSH server has SFTP.
    """

    cpu: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.=,-]*$")]
    cores: Annotated[int, Field(ge=1, le=64)]
    memory_mb: Annotated[int, Field(ge=128, le=65536)]
    tmp: Annotated[str, StringConstraints(pattern=r"^[a-z0-9=,]+$")] = "mode=1777"
    sftp: bool = True


def _of_another(image: object, info: ValidationInfo) -> object:
    """Return the image of the board that is named instead of one."""
    if not isinstance(image, str):
        return image
    boards: Path | None = info.context
    if boards is None:
        raise ValueError("the board whose image is taken must have one of its own")
    return load(named(boards, image, "board"), BoardSpec).image


class BoardSpec(Spec):
    """A recipe.

    Attributes
    ----------
    image
        Or the name of the board that has the same.
    """

    description: str = ""
    image: Annotated[
        ImageSpec, BeforeValidator(_of_another, json_schema_input_type=ImageSpec | Name)
    ]
    machine: MachineSpec


def load_board(workspace: Workspace, name: str) -> BoardSpec:
    """Return a recipe.

    Raises
    ------
    SpecificationError
        No such name, or it is wrong.
    """
    return load(named(workspace.boards, name, "board"), BoardSpec, context=workspace.boards)
