"""ONNX Runtime on Qualcomm's NPU in a timed loop, and nothing else: MODEL SECONDS; prints ns."""

import sys
from time import perf_counter_ns

import numpy as np
import onnxruntime as ort
import onnxruntime_qnn as plugin


def measure(model: str, seconds: float) -> list[int]:
    """Time inferences for so many seconds; names are local, so that none is looked up meanwhile."""
    name = plugin.get_ep_name()
    ort.register_execution_provider_library(name, plugin.get_library_path())
    devices = [each for each in ort.get_ep_devices() if each.ep_name == name]
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    library = {"backend_path": plugin.get_qnn_htp_path(), "htp_performance_mode": "burst"}
    options.add_provider_for_devices(devices[:1], library)
    session = ort.InferenceSession(model, options)
    binding = session.io_binding()
    generator = np.random.default_rng(0)
    feeds = {
        each.name: generator.uniform(0, 1, each.shape).astype(np.float32)
        for each in session.get_inputs()
    }
    for each, value in feeds.items():
        binding.bind_cpu_input(each, value)
    for each in session.get_outputs():
        binding.bind_output(each.name)
    run, clock = session.run_with_iobinding, perf_counter_ns
    samples = []
    begun = clock()
    while clock() - begun < seconds * 1e9:
        before = clock()
        run(binding)
        samples.append(clock() - before)
    return samples


sys.stdout.write("\n".join(map(str, measure(sys.argv[1], float(sys.argv[2])))))
