"""MNN: loads ``.mnn``."""

from harness.engines.base import Engine

__all__ = ["MNN"]

MNN = Engine(name="mnn", format="mnn")
