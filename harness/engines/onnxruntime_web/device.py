"""ONNX Runtime Web in a browser that the Python runner steers."""

from __future__ import annotations

from edge_browser import BrowserEngine


class OnnxRuntimeWeb(BrowserEngine):
    """ONNX Runtime Web: WebAssembly, or a GPU through WebGL or WebGPU."""

    name = "onnxruntime-web"
    backends = caching = ("wasm", "webgl", "webgpu")
    least_version = {"wasm": 92, "webgl": 92, "webgpu": 131}  # noqa: RUF012 - never changed
    flags = {"webgpu": ("--enable-unsafe-webgpu",)}  # noqa: RUF012 - as above; on Linux


ENGINE = OnnxRuntimeWeb
