"""Say what a program of Paddle 3 (PIR) takes, by loading it in Paddle 3.

Run in the environment ``paddle3`` as ``inspect_pir.py REQUEST``: a JSON object with
``memory_bytes`` and ``cpu_s``, its limits. Reads ``model.json`` and ``model.pdiparams`` in the
current folder and writes ``found.json``: ``inputs`` (name, dtype, shape with -1 for an axis that
varies) and ``outputs`` (how many), or ``fault``. The files are not trusted.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any


def inspect() -> dict[str, Any]:
    """Load the program; return what it takes, or what is wrong with it."""
    import paddle  # noqa: PLC0415 - after the limits

    try:
        json.loads(Path("model.json").read_bytes())
    except (ValueError, RecursionError):
        return {"fault": "the .json is cut short or damaged"}
    paddle.enable_static()
    try:
        program, feeds, fetches = paddle.static.load_inference_model(
            "model", paddle.static.Executor(paddle.CPUPlace())
        )
    except Exception as error:  # noqa: BLE001 - its exceptions have no common class of their own
        print(error)
        return {"fault": "the .pdiparams are not those of the .json, or one of them is damaged"}
    given = {
        operation.attrs()["name"]: operation.results()[0]
        for operation in program.global_block().ops
        if operation.name() == "pd_op.data"
    }
    inputs = [
        {
            "name": name,
            "dtype": str(given[name].dtype).rpartition(".")[2].lower(),
            "shape": [n if n > 0 else -1 for n in given[name].shape],
        }
        for name in feeds
    ]
    return {"inputs": inputs, "outputs": len(fetches)}


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (request["memory_bytes"],) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (request["cpu_s"],) * 2)
    Path("found.json").write_text(json.dumps(inspect()))


if __name__ == "__main__":
    main()
