"""edge-harness: honest, repeatable inference benchmarks on edge devices."""

__all__ = ["__version__"]

__version__ = "0.1.0"
