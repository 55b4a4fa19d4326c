"""ONNX Runtime Web: loads ``.onnx`` in a browser."""

from pathlib import Path

from harness.engines.base import Npm
from harness.engines.browser import ENVIRONMENT, BrowserEngine, beside

__all__ = ["PLUGIN"]

_FOLDER = Path(__file__).parent
_LIBRARIES = (
    "ort.wasm.min.mjs",
    "ort.webgl.min.mjs",
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)

PLUGIN = BrowserEngine(
    name="onnxruntime-web",
    api_version=1,
    title="ONNX Runtime Web",
    colour=9,
    profiles=False,
    folder=_FOLDER,
    format="onnx",
    in_python=("wasm", "webgl", "webgpu"),
    environment=ENVIRONMENT,
    beside=beside(_FOLDER),
    npm=Npm(
        _FOLDER,
        "onnxruntime-web",
        {name: f"onnxruntime-web/dist/{name}" for name in _LIBRARIES},
    ),
    made_by="Paddle2ONNX",
)
