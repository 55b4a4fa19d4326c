"""ncnn: loads ``.ncnn.param`` with ``.ncnn.bin``."""

from harness.engines.base import Engine

__all__ = ["NCNN"]

NCNN = Engine(name="ncnn", format="ncnn")
