"""Sessions on Qualcomm's NPU, compiled and from a compiled model: MODEL FOLDER; prints seconds.

The first session loads Qualcomm's libraries, which takes as long as compiling a small model. It
stays, so that they do, while the others are timed.
"""

import sys
from pathlib import Path
from time import perf_counter

import onnxruntime as ort
import onnxruntime_qnn as plugin


def start(model: str, context: str | None = None) -> tuple[float, ort.InferenceSession]:
    """Make a session, and time that; where a context is named, keep the compiled model there."""
    options = ort.SessionOptions()
    if context:
        options.add_session_config_entry("ep.context_enable", "1")
        options.add_session_config_entry("ep.context_embed_mode", "1")
        options.add_session_config_entry("ep.context_file_path", context)
    devices = [each for each in ort.get_ep_devices() if each.ep_name == plugin.get_ep_name()]
    options.add_provider_for_devices(devices[:1], {"backend_path": plugin.get_qnn_htp_path()})
    before = perf_counter()
    session = ort.InferenceSession(model, options)
    return perf_counter() - before, session


if __name__ == "__main__":
    source, folder = sys.argv[1:]
    ort.register_execution_provider_library(plugin.get_ep_name(), plugin.get_library_path())
    kept = str(Path(folder) / "context.onnx")
    if not Path(kept).exists():
        start(source, kept)
    first, held = start(kept)
    sys.stdout.write(f"{first} {start(source)[0]} {start(kept)[0]}\n")
