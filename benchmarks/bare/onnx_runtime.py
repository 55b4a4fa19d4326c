"""ONNX Runtime in a timed loop, and nothing else: MODEL SECONDS; prints nanoseconds."""

import sys
import time

import numpy as np
import onnxruntime as ort

model, seconds = sys.argv[1], float(sys.argv[2])
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
binding = session.io_binding()
generator = np.random.default_rng(0)
feeds = {each.name: generator.random(each.shape, dtype=np.float32) for each in session.get_inputs()}
for name, value in feeds.items():
    binding.bind_cpu_input(name, value)
for each in session.get_outputs():
    binding.bind_output(each.name)
samples = []
begun = time.perf_counter_ns()
while time.perf_counter_ns() - begun < seconds * 1e9:
    before = time.perf_counter_ns()
    session.run_with_iobinding(binding)
    samples.append(time.perf_counter_ns() - before)
sys.stdout.write("\n".join(map(str, samples)))
