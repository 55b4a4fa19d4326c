"""Paddle Lite in the Python runner."""

from __future__ import annotations

from edge_runner import Engine, LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray


class PaddleLite(Engine):
    """Paddle Lite's light API for x86, which runs on one thread and cannot be told otherwise."""

    name = "paddle-lite"
    releases_lock = True

    def __init__(self) -> None:
        import numpy as np
        from paddlelite import lite

        self.lite = lite
        self.numpy_version = np.__version__

    def configure(self, job: dict[str, Any]) -> tuple[str, dict[str, str]]:
        if job["threads"] != 1:
            raise LaunchError(
                "BadJob",
                f"{job['threads']} threads: Paddle Lite's Python API cannot set threads on x86, "
                "it always runs on 1",
            )
        if int(self.numpy_version.split(".")[0]) >= 2:  # noqa: PLR2004 - numpy's own number
            raise LaunchError(
                "EngineFailed",
                f"numpy {self.numpy_version}: Paddle Lite returns garbage with numpy 2 or newer",
            )
        from importlib import metadata

        self.config = self.lite.MobileConfig()
        self.config.set_model_from_file(job["files"]["model"])
        return metadata.version("paddlelite"), {"api": "light", "threads": "1"}

    def load(self) -> list[str]:
        self.predictor = self.lite.create_paddle_predictor(self.config)
        self.run = self.predictor.run
        return list(self.predictor.get_input_names())

    def bind(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        for index, name in enumerate(self.predictor.get_input_names()):
            self.predictor.get_input(index).from_numpy(inputs[name])

    def fetch(self) -> list[tuple[str, NDArray[Any]]]:
        return [
            (name, self.predictor.get_output(index).numpy())
            for index, name in enumerate(self.predictor.get_output_names())
        ]


ENGINE = PaddleLite
