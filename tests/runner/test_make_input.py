"""The seeded inputs: what the contract defines, to the bit."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

MASK = (1 << 64) - 1


def finalizer(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def expected(spec: dict, seed: int, index: int) -> list[float]:
    """The definition in the contract, one integer at a time."""
    stream = finalizer(seed * 2**32 + index)
    values = []
    for i in range(math.prod(spec["shape"])):
        bits = finalizer((stream + (i + 1) * 0x9E3779B97F4A7C15) & MASK)
        value = spec["low"] + (bits >> 40) / 2**24 * (spec["high"] - spec["low"])
        values.append(value if "float" in spec["dtype"] else math.floor(value))
    return values


def test_the_finalizer_is_splitmix64s():
    # The first outputs of the published generator from state 1234567.
    outputs = [finalizer((1234567 + i * 0x9E3779B97F4A7C15) & MASK) for i in (1, 2, 3)]
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@given(
    seed=st.integers(0, 2**31 - 1),
    index=st.integers(0, 15),
    shape=st.lists(st.integers(1, 5), max_size=4),
    kind=st.sampled_from(
        [
            *itertools.product(
                ["float16", "float32", "float64", "int32", "int64"],
                [(0.0, 1.0), (-1.0, 1.0), (-2.5, 1000.25), (0.0, 30522.0)],
            ),
            ("int8", (-128.0, 128.0)),
            ("uint8", (0.0, 256.0)),
            ("bool", (0.0, 2.0)),
        ]
    ),
)
def test_values_are_the_contracts(*, runner, seed, index, shape, kind):
    dtype, bounds = kind
    spec = {"name": "x", "dtype": dtype, "shape": shape, "low": bounds[0], "high": bounds[1]}
    values = runner.make_input(spec, seed, index)
    assert values.shape == tuple(shape)
    assert values.dtype == dtype
    assert values.flags.c_contiguous
    np.testing.assert_array_equal(
        values.ravel(), np.array(expected(spec, seed, index), dtype=np.float64).astype(dtype)
    )


def test_fixed_values(runner):
    spec = {"name": "x", "dtype": "float32", "shape": [2, 3], "low": -1.0, "high": 1.0}
    assert runner.make_input(spec, 0, 0).tolist() == [
        [0.7666215896606445, -0.13694405555725098, -0.9471324682235718],
        [0.9417638778686523, -0.7873066663742065, -0.3453484773635864],
    ]
    assert runner.make_input(spec, 7, 1).tolist() == [
        [0.8573755025863647, 0.37581682205200195, -0.839362382888794],
        [0.8859620094299316, 0.3865220546722412, 0.9327389001846313],
    ]
    ids = {"name": "ids", "dtype": "int64", "shape": [8], "low": -3, "high": 30522}
    assert runner.make_input(ids, 1, 2).tolist() == [
        17047,
        29314,
        3917,
        13217,
        14109,
        3641,
        6612,
        23915,
    ]


def test_defaults_are_the_contracts(runner):
    short = runner.make_input({"name": "x", "shape": [64]}, 5, 0)
    full = runner.make_input(
        {"name": "x", "dtype": "float32", "shape": [64], "low": 0.0, "high": 1.0}, 5, 0
    )
    np.testing.assert_array_equal(short, full)


@pytest.mark.parametrize("other", [(2, 0), (1, 1)])
def test_seeds_and_inputs_differ(runner, other):
    spec = {"name": "x", "shape": [1000]}
    assert (
        abs(np.corrcoef(runner.make_input(spec, 1, 0), runner.make_input(spec, *other))[0, 1])
        < 0.15
    )
