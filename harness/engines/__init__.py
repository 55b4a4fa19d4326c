"""The host side of each inference engine."""

from harness.core.errors import SpecificationError
from harness.core.yamlfile import nearest
from harness.engines.base import Engine
from harness.engines.calibration import CALIBRATION
from harness.engines.mnn import MNN
from harness.engines.ncnn import NCNN
from harness.engines.onnxruntime import ONNXRUNTIME
from harness.engines.openvino import OPENVINO
from harness.engines.paddle_inference import PADDLE_INFERENCE
from harness.engines.paddle_lite import PADDLE_LITE
from harness.engines.rknn import RKNN

__all__ = ["ENGINES", "Engine", "get"]

ENGINES = {
    engine.name: engine
    for engine in (
        PADDLE_LITE,
        PADDLE_INFERENCE,
        ONNXRUNTIME,
        OPENVINO,
        MNN,
        NCNN,
        RKNN,
        CALIBRATION,
    )
}


def get(name: str) -> Engine:
    """Return an engine by name.

    Raises
    ------
    SpecificationError
        There is none of that name.
    """
    if name not in ENGINES:
        raise SpecificationError(f"unknown engine '{name}'", hint=nearest(name, ENGINES))
    return ENGINES[name]
