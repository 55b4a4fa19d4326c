"""The conformance kit's own judgement; the kit as a whole is tested with the example plugin."""

from __future__ import annotations

import pytest

from harness.conformance.engines import more_threads
from harness.core.contract import Samples


@pytest.mark.parametrize(
    ("cpu_ms", "said"),
    [
        (95.0, ""),
        (140.0, ""),  # a runtime's own threads
        (199.0, "the job has threads=1, and 2.0 processors were busy"),
        (None, ""),  # what a foreign tool does not tell is not held against it
    ],
)
def test_more_processors_than_threads_are_found(cpu_ms, said):
    ten = [10_000_000] * 10
    assert more_threads([Samples(t_ns=1, ns=ten, cpu_ms=cpu_ms)]) == said
