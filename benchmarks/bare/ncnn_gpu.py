"""ncnn on a GPU in a timed loop, and nothing else: PARAM BIN SHAPE SECONDS; prints nanoseconds."""

import sys
from time import perf_counter_ns

import ncnn
import numpy as np


def measure(param: str, weights: str, shape: str, seconds: float) -> list[int]:
    """Time inferences for so many seconds; an extracted output has been downloaded."""
    net = ncnn.Net()
    net.opt.use_vulkan_compute = True
    net.opt.num_threads = 1
    for name in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(net.opt, f"use_{name}", False)
    net.set_vulkan_device(0)
    net.load_param(param)
    net.load_model(weights)
    values = np.random.default_rng(0).uniform(0, 1, [int(size) for size in shape.split(",")])
    given = ncnn.Mat(values.astype(np.float32), batch_index=0).clone()
    taken, told = net.input_names()[0], net.output_names()[0]
    create, clock = net.create_extractor, perf_counter_ns
    samples = []
    begun = clock()
    while clock() - begun < seconds * 1e9:
        before = clock()
        extractor = create()
        extractor.input(taken, given)
        extractor.extract(told)
        samples.append(clock() - before)
    return samples


sys.stdout.write("\n".join(map(str, measure(*sys.argv[1:4], float(sys.argv[4])))))
