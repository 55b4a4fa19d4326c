"""Paddle Inference: loads ``.pdmodel`` with ``.pdiparams``."""

from harness.engines.base import Engine

__all__ = ["PADDLE_INFERENCE"]

PADDLE_INFERENCE = Engine(name="paddle-inference", format="pdmodel")
