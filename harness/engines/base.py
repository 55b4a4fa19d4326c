"""What the controller has to know of an inference engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.core.records import Precision
    from harness.lab.inventory import DeviceSpec

__all__ = ["Engine"]


@dataclass(frozen=True)
class Engine:
    """The host side of one engine; an engine with more to know overrides the methods.

    Attributes
    ----------
    name
        As campaigns and inventory write it.
    format
        Of the artifacts that it loads, as :data:`harness.models.recipes.TARGETS` has them.
    precisions
        What it can compute in; the first where a campaign does not say.
    in_python
        The backend that its module ``device.py`` runs it on in the Python runner; none where it
        has no such module.
    """

    name: str
    format: str
    precisions: tuple[Precision, ...] = ("fp32",)
    in_python: str | None = "cpu"

    def lacks(self, device: DeviceSpec, backend: str) -> str | None:
        """Say why a backend of a device cannot be measured with it at all, or return none."""
        del device
        return None if backend == "cpu" else f"the harness measures {self.name} on the CPU only"

    def precisions_on(self, device: DeviceSpec, backend: str) -> tuple[Precision, ...]:
        """Return what it can compute in on a backend of a device."""
        del device, backend
        return self.precisions

    def keeps_models(self, backend: str) -> bool:
        """Return whether it can keep a model that it compiled for a backend for later processes."""
        del backend
        return False

    def changes_shapes(self, device: DeviceSpec, backend: str) -> bool:
        """Return whether a process can go on with other shapes, of a model whose axes vary."""
        del device, backend
        return True

    def target(self, device: DeviceSpec, backend: str = "cpu") -> str:
        """Return what an artifact must be built for to run there; ``any`` for most."""
        del device, backend
        return "any"

    def refuse(
        self,
        device: DeviceSpec,
        files: Mapping[str, Path],
        backend: str = "cpu",
        version: str | None = None,
    ) -> str | None:
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
