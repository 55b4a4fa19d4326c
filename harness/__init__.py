"""edge-harness: honest, repeatable inference benchmarks on edge devices."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("edge-harness")
