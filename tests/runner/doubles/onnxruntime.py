"""A double of ONNX Runtime: its "model" is JSON that says how it is to behave.

With ``gate`` it waits in its eighth inference, where there is a pipe of that name. Its one input
is ``x``; its output is the input itself, so that a test sees what it was fed.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

__version__ = "0.0.double"

# Engines install handlers of their own (Paddle's glog does); this one would never end.
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("banner: \x00\xff {not json", flush=True)  # noqa: T201 - engines print what they like


class SessionOptions:
    intra_op_num_threads = 0
    inter_op_num_threads = 0
    graph_optimization_level = "GraphOptimizationLevel.NONE_OF_A_DOUBLE"


class Value:
    def __init__(self, name):
        self.name = name


class Binding:
    def bind_cpu_input(self, name, array):
        self.given = array

    def bind_output(self, name):
        self.name = name

    def copy_outputs_to_cpu(self):
        return self.outputs


class InferenceSession:
    def __init__(self, path, options, providers):
        self.behaviour = json.loads(Path(path).read_text())
        self.threads = os.environ["OMP_NUM_THREADS"], options.intra_op_num_threads
        self.runs = 0
        self.do("load")

    def do(self, when):
        what = self.behaviour.get(when)
        if what == "raise":
            raise RuntimeError(f"the double was told to fail, with {self.threads} threads: \ud800")
        if what == "terminate":
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(600)
        if what == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if what == "exit":
            sys.exit(0)

    def get_inputs(self):
        return [Value("x")]

    def get_outputs(self):
        return [Value("y")]

    def io_binding(self):
        return Binding()

    def wait_at(self, gate):
        """Tell a test that this place is reached, and wait for its word."""
        if gate.exists():
            gate.with_suffix(".reached").write_text("here")
            gate.read_text()

    def run_with_iobinding(self, binding):
        self.do("run")
        self.runs += 1
        self.last = binding.given
        time.sleep(self.behaviour.get("sleep_ms", 0) / 1e3)
        if self.runs == 8 and "gate" in self.behaviour:
            self.wait_at(Path(self.behaviour["gate"]))
        mixes_up = self.behaviour.get("outputs") == "of whoever called last"
        value = (self.last if mixes_up else binding.given).copy()
        if self.behaviour.get("outputs") == "nan":
            value = value * np.float32(np.nan)
        binding.outputs = [value.astype(self.behaviour.get("dtype", value.dtype))]
