"""Exit codes: which one stands for several."""

from __future__ import annotations

from itertools import permutations

from harness.core.errors import ExitCode, worst


def test_the_order_of_exit_codes():
    in_order = [130, 2, 3, 1, 4, 0]
    for codes in permutations(ExitCode):
        assert worst(codes) == 130
    for index, code in enumerate(in_order):
        assert worst(ExitCode(c) for c in in_order[index:]) == code
    assert worst([]) is ExitCode.FINE
