"""ONNX Runtime in a timed loop, and nothing else: MODEL SECONDS; prints nanoseconds."""

import sys
from time import perf_counter_ns

import numpy as np
import onnxruntime as ort


def measure(model: str, seconds: float) -> list[int]:
    """Time inferences for so many seconds; names are local, so that none is looked up meanwhile."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    generator = np.random.default_rng(0)
    feeds = {
        each.name: generator.uniform(
            -1, 1, [size if isinstance(size, int) else 1 for size in each.shape]
        )
        for each in session.get_inputs()
    }
    feeds = {name: value.astype(np.float32) for name, value in feeds.items()}
    for name, value in feeds.items():
        binding.bind_cpu_input(name, value)
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
