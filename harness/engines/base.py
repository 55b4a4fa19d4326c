"""What the controller has to know of an inference engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.devices.inventory import DeviceSpec

__all__ = ["Engine"]


@dataclass(frozen=True)
class Engine:
    """The host side of one engine; an engine with more to know overrides the methods.

    Attributes
    ----------
    name
        As campaigns and inventory write it.
    format
        Of the artifacts that it loads: ``nb``, ``pdmodel``, ``onnx`` or ``calibration``.
    """

    name: str
    format: str

    def target(self, device: DeviceSpec) -> str:
        """Return what an artifact must be built for to run on a device; ``any`` for most."""
        del device
        return "any"

    def refuse(
        self, device: DeviceSpec, files: Mapping[str, Path], version: str | None = None
    ) -> str | None:
        """Say why an artifact must not be run on a device, or return none.

        It is asked before anything is pushed: an engine may return garbage for a wrong
        artifact, and exit with 0.

        Parameters
        ----------
        files
            Role (``model``, ``params``) to the artifact's file.
        version
            Of the engine there, where it is known beforehand.
        """
        del device, files, version
        return None
