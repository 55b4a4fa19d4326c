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

import json
import os
import sys

import numpy as np
import paddle


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - python -I leaves it out
    import edge_runner  # noqa: PLC0415

    paddle.enable_static()
    executor = paddle.static.Executor(paddle.CPUPlace())
    program, feeds, fetches = paddle.static.load_inference_model("model", executor)
    names = [spec["name"] for spec in request["inputs"]]
    if sorted(names) != sorted(feeds):
        sys.exit(f"the model's inputs are {sorted(feeds)}, the manifest's {sorted(names)}")
    arrays = {}
    for seed, feed in edge_runner.check_inputs(request):
        for number, output in enumerate(executor.run(program, feed=feed, fetch_list=fetches)):
            if not np.isfinite(output).all():
                sys.exit(f"output {number} for seed {seed} is not finite")
            arrays[f"{seed}.{number}"] = output
    np.savez("outputs.npz", **arrays)


if __name__ == "__main__":
    main()
