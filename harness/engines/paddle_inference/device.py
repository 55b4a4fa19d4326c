"""Paddle Inference in the Python runner."""

from __future__ import annotations

import os
import sys

from edge_runner import Engine, LaunchError, restarted, start_again

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray


class PaddleInference(Engine):
    """Paddle Inference on the CPU.

    Only its core extension is loaded: ``import paddle`` brings a whole training framework, which
    takes a minute on an emulated board. The core's surface is private; where it cannot be used,
    the runner starts itself again for the full import (one process cannot initialise the same
    extension twice). oneDNN and graph optimisation stay as the engine has them, which is how its
    users meet them (x86 wheels: both on), and are recorded. In int8 one fusion is left out: it
    adds a residual in the wrong scale, and what a residual network computes is garbage then.
    """

    name = "paddle-inference"
    roles = ("model", "params")
    residual_fusion = "conv_elementwise_add_mkldnn_fuse_pass"

    def __init__(self) -> None:
        self.core_failed = restarted()
        if self.core_failed is not None:
            import paddle
            from paddle import inference

            self.new_config, self.new_predictor = inference.Config, inference.create_predictor
            self.copy_in = "copy_from_cpu"
            self.version = str(paddle.__version__)
            return
        try:
            core = self.load_core()
            self.new_config, self.new_predictor = core.AnalysisConfig, core.create_predictor
            self.copy_in = "_copy_from_cpu_bind"
            self.version = core.get_version().split()[1]  # "version: 3.2.2\ncommit: …"
        except ModuleNotFoundError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a private surface may raise
            start_again(f"{type(error).__name__}: {error}")

    @staticmethod
    def load_core() -> Any:
        """Load ``paddle/base/libpaddle.so`` without the package around it."""
        import importlib.util

        import numpy as np  # noqa: F401 - the core would import it: fail clearly here

        package = importlib.util.find_spec("paddle")
        if package is None or not package.submodule_search_locations:
            raise ModuleNotFoundError("No module named 'paddle'", name="paddle")
        path = os.path.join(package.submodule_search_locations[0], "base", "libpaddle.so")
        spec = importlib.util.spec_from_file_location("libpaddle", path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is not an extension module")
        core = importlib.util.module_from_spec(spec)
        sys.modules["libpaddle"] = core
        spec.loader.exec_module(core)
        core.init_memory_method()
        core.init_devices()
        return core

    def configure(self, job: dict[str, Any]) -> tuple[str, dict[str, str]]:
        self.config = self.new_config(job["files"]["model"], job["files"]["params"])
        self.config.disable_glog_info()
        self.config.set_cpu_math_library_num_threads(job["threads"])
        if job.get("precision") == "int8":
            # Without this a quantized program is computed in fp32, ten times slower.
            self.config.enable_mkldnn()
            self.config.enable_mkldnn_int8()
            if not self.config.mkldnn_int8_enabled():
                raise LaunchError("EngineFailed", "this build has no oneDNN, and so no int8")
            self.config.delete_pass(self.residual_fusion)
        build = {
            "loader": "core" if self.core_failed is None else "full",
            "mkldnn": "on" if self.config.mkldnn_enabled() else "off",
            "int8": "on" if job.get("precision") == "int8" else "off",
            "ir_optim": "on" if self.config.ir_optim() else "off",
            "threads": str(self.config.cpu_math_library_num_threads()),
        }
        if job.get("precision") == "int8":
            build["deleted_pass"] = self.residual_fusion
        if self.core_failed is not None:
            build["core_failed"] = self.core_failed
        return self.version, build

    def load(self) -> list[str]:
        self.predictor = self.new_predictor(self.config)
        self.run = self.predictor.run
        return list(self.predictor.get_input_names())

    def bind(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        for name, value in inputs.items():
            handle = self.predictor.get_input_handle(name)
            handle.reshape(list(value.shape))
            getattr(handle, self.copy_in)(value)

    def fetch(self) -> list[tuple[str, NDArray[Any]]]:
        return [
            (name, self.predictor.get_output_handle(name).copy_to_cpu())
            for name in self.predictor.get_output_names()
        ]


ENGINE = PaddleInference
