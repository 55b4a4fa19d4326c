"""RKNN in the Python runner."""

from __future__ import annotations

from edge_runner import Engine, LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray


class Rknn(Engine):
    """RKNN on Rockchip's NPUs, through RKNN-Toolkit-Lite2.

    Its ``inference`` converts the inputs and hands them over, runs, and copies the outputs: all
    of it is timed. (The native runner times the run alone.) It reports no names: inputs
    are given in the job's order, which is that of the model that the harness builds.
    """

    name = "rknn"
    backends = ("npu:rknpu",)
    options = ("core_mask",)
    core_masks = ("auto", "0", "1", "2", "0_1", "0_1_2")

    def __init__(self) -> None:
        from rknnlite.api import RKNNLite

        self.toolkit = RKNNLite

    def configure(self, job: dict[str, Any]) -> tuple[str | None, dict[str, str]]:
        from importlib import metadata

        if job["threads"] != 1:
            raise LaunchError("BadJob", f"{job['threads']} threads: RKNN has none to set")
        mask = job.get("options", {}).get("core_mask", "auto")
        if mask not in self.core_masks:
            raise LaunchError(
                "BadJob", f"core_mask cannot be {mask!r}: {', '.join(self.core_masks)}"
            )
        self.core_mask = getattr(self.toolkit, f"NPU_CORE_{mask.upper()}")
        self.model = job["files"]["model"]
        self.names = [spec["name"] for spec in job["inputs"]]
        self.lite = self.toolkit()
        return None, {
            "rknn-toolkit-lite2": metadata.version("rknn-toolkit-lite2"),
            "core_mask": mask,
            "timed": "inputs, run and outputs",
        }

    def load(self) -> list[str]:
        self.check("load_rknn", self.lite.load_rknn(self.model))
        self.check("init_runtime", self.lite.init_runtime(core_mask=self.core_mask))
        return self.names

    def loaded(self) -> dict[str, Any]:
        """Return the versions of the runtime and of the NPU's driver, from the toolkit's text."""
        import re

        versions = dict(re.findall(r"(API|DRV): *(.+)", self.lite.get_sdk_version() or ""))
        known = {"engine_version": versions["API"]} if "API" in versions else {}
        return {**known, "build": {"driver": versions["DRV"]}} if "DRV" in versions else known

    def bind(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        import numpy as np

        # Images as NHWC, which is what the runtime takes: else the toolkit would transpose them
        # in every inference.
        images = [inputs[name].ndim == 4 for name in self.names]  # noqa: PLR2004 - NCHW
        given = [
            np.ascontiguousarray(inputs[name].transpose(0, 2, 3, 1)) if image else inputs[name]
            for name, image in zip(self.names, images)
        ]
        formats = ["nhwc" if image else "nchw" for image in images]

        def run() -> None:
            # Copies, for it writes into the lists that it is given.
            self.outputs = self.lite.inference(inputs=given[:], data_format=formats[:])
            if self.outputs is None:
                raise RuntimeError("inference failed: the launch's log has the toolkit's words")

        self.run = run

    def fetch(self) -> list[tuple[str, NDArray[Any]]]:
        return [("", output) for output in self.outputs]

    @staticmethod
    def check(call: str, code: int) -> None:
        """Raise what the toolkit only returns."""
        if code != 0:
            raise RuntimeError(f"{call} returned {code}: the launch's log has the toolkit's words")


ENGINE = Rknn
