"""A double of RKNN-Toolkit-Lite2: its "model" is JSON that says how it is to behave.

Output i is 2 * input i + 1, as NCHW. Like the toolkit it raises nothing: it prints, and returns.
"""

import json
from pathlib import Path

import numpy as np


class RKNNLite:
    NPU_CORE_AUTO = 0
    NPU_CORE_0 = 1
    NPU_CORE_1 = 2
    NPU_CORE_2 = 4
    NPU_CORE_0_1 = 3
    NPU_CORE_0_1_2 = 7

    def load_rknn(self, path):
        try:
            self.behaviour = json.loads(Path(path).read_text())
        except ValueError:
            print("E Catch exception when loading RKNN model")  # noqa: T201 - engines print
            return -1
        return 0

    def init_runtime(self, core_mask):
        if core_mask and self.behaviour.get("cores") == 1:
            print("E Catch exception when set npu core mode.")  # noqa: T201 - engines print
            return -1
        return self.behaviour.get("init", 0)

    def get_sdk_version(self):
        return self.behaviour.get("version", VERSION)

    def inference(self, inputs, data_format):
        if self.behaviour.get("inference") == "fails":
            print("E Catch exception when setting inputs.")  # noqa: T201 - engines print
            return None
        outputs = []
        for value, layout in zip(inputs, data_format, strict=True):
            assert value.flags.c_contiguous
            assert (layout == "nhwc") == (value.ndim == 4)
            nchw = value.transpose(0, 3, 1, 2) if layout == "nhwc" else value
            outputs.append(np.float32(2) * nchw.astype(np.float32) + np.float32(1))
        data_format[:] = [1] * len(data_format)  # so does the toolkit
        return outputs


VERSION = """\
==============================================
RKNN VERSION:
  API: 9.9.double (0000000@2026-01-01T00:00:00)
  DRV: rknnrt: 0.9.double
==============================================
"""
