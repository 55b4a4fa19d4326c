"""Whether an engine computes each inference: run in the folder of a launch, by its interpreter.

Prints JSON: for each of several inputs the seconds of the first and of the second inference.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

INPUTS = 8


def main() -> None:
    """Bind inputs in turn, and time two inferences of each."""
    sys.path.insert(0, ".")
    import edge_runner  # noqa: PLC0415 - it is beside the job, not beside this script

    job = json.loads(Path("job.json").read_text(encoding="utf-8"))
    engine = edge_runner.engine_class()()
    engine.configure(job)
    engine.load()
    pairs = []
    for seed in range(INPUTS):
        engine.bind(edge_runner.make_inputs(job, seed))
        begun = time.perf_counter()
        engine.run()
        between = time.perf_counter()
        engine.run()
        pairs.append((between - begun, time.perf_counter() - between))
    sys.stdout.write(f"\n{json.dumps(pairs)}\n")


main()
