"""edge-harness: honest, repeatable inference benchmarks on edge devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.export.frames import load_results

__all__ = ["__version__", "load_results"]

__version__ = "0.2.0"


def __getattr__(name: str) -> object:
    # On demand: who only wants the version, or the command line's help, need not wait for it.
    if name == "load_results":
        from harness.export.frames import load_results  # noqa: PLC0415

        return load_results
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
