"""Recipes of emulated boards: ``devices/boards/*.yaml``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, StringConstraints

from harness.workspace import Name
from harness.yamlfile import Spec, load, named

if TYPE_CHECKING:
    from harness.workspace import Workspace

__all__ = ["BoardSpec", "ImageSpec", "MachineSpec", "load_board"]

# Debian's rule for package names; also keeps them from being read as options.
Package = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]+$")]
Module = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]*$")]


class ImageSpec(Spec):
    """What a board's image is made of; the image is cached under the hash of this.

    Attributes
    ----------
    suite
        Debian's release, by its code name.
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
        Version of the Python among them.
    requirements
        Python packages for the board: a file beside the recipe, locked with hashes.
    """

    suite: Annotated[str, StringConstraints(pattern=r"^[a-z]+$")]
    architecture: Literal["arm64"]
    mirror: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")] | None = None
    kernel: Package
    modules: list[Module]
    packages: list[Package]
    python: Annotated[str, StringConstraints(pattern=r"^3\.\d+$")]
    requirements: Name


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
    """

    cpu: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.=,-]*$")]
    cores: Annotated[int, Field(ge=1, le=64)]
    memory_mb: Annotated[int, Field(ge=128, le=65536)]


class BoardSpec(Spec):
    """A recipe."""

    description: str = ""
    image: ImageSpec
    machine: MachineSpec


def load_board(workspace: Workspace, name: str) -> BoardSpec:
    """Return a recipe.

    Raises
    ------
    SpecificationError
        There is none of that name, or it is wrong.
    """
    return load(named(workspace.boards, name, "board"), BoardSpec)
