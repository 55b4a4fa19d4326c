"""Compute the reference outputs of a Paddle inference model, in fp32 on this machine.

Run in the environment ``paddle`` as ``reference.py REQUEST``: a JSON object with ``inputs``,
``check_seeds`` and ``check_files`` as in the contract's job. Runs ``model.pdmodel`` with
``model.pdiparams`` on the inputs that ``edge_runner.py`` makes or reads (all in the current
folder), and writes
``outputs.npz``: output ``j`` for seed ``s`` is the array ``s.j``.

Paddle's executor runs the ops one by one as the program states them: none of the fusions that
the measured engines apply takes part.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from typing import Any

import numpy as np
import paddle


def load_runner() -> Any:
    """Return the Python runner as a module."""
    spec = importlib.util.spec_from_file_location("edge_runner", "edge_runner.py")
    if spec is None or spec.loader is None:
        sys.exit("no edge_runner.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    runner = load_runner()
    paddle.enable_static()
    executor = paddle.static.Executor(paddle.CPUPlace())
    program, feeds, fetches = paddle.static.load_inference_model("model", executor)
    names = [spec["name"] for spec in request["inputs"]]
    if sorted(names) != sorted(feeds):
        sys.exit(f"the model's inputs are {sorted(feeds)}, the manifest's {sorted(names)}")
    arrays = {}
    for seed, feed in runner.check_inputs(request):
        for number, output in enumerate(executor.run(program, feed=feed, fetch_list=fetches)):
            if not np.isfinite(output).all():
                sys.exit(f"output {number} for seed {seed} is not finite")
            arrays[f"{seed}.{number}"] = output
    np.savez("outputs.npz", **arrays)


if __name__ == "__main__":
    main()
