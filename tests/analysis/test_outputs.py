"""The output check: what computes something else must not pass."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.analysis.outputs import check, drift

TOLERANCE = 1e-3


def make_reference(seed=0, variation=0.05, shapes=((1, 10), (1, 3, 2)), inputs=3):
    """Outputs of a network that says much the same to any input."""
    random = np.random.default_rng(seed)
    common = [random.normal(size=shape) for shape in shapes]
    return {
        number: [
            (base + variation * random.normal(size=base.shape)).astype(np.float32)
            for base in common
        ]
        for number in range(1, inputs + 1)
    }


def changed(reference, change):
    return {seed: [change(value) for value in values] for seed, values in reference.items()}


references = st.builds(
    make_reference,
    seed=st.integers(0, 2**16),
    variation=st.floats(1e-3, 1e3),
    inputs=st.integers(3, 6),
)


@given(reference=references, noise=st.floats(0, 0.9), seed=st.integers(0, 2**16))
def test_another_engine_within_tolerance_passes(reference, noise, seed):
    random = np.random.default_rng(seed)
    outputs = {}
    for number, values in reference.items():
        outputs[number] = []
        for index, value in enumerate(values):
            mean = np.mean([reference[other][index] for other in reference], axis=0)
            direction = random.normal(size=value.shape)
            direction *= np.linalg.norm(value - mean) / np.linalg.norm(direction)
            off = value.astype(np.float64) + noise * TOLERANCE * direction
            outputs[number].append(off.astype(np.float32))
    result = check(outputs, reference, TOLERANCE)
    # Values themselves are rounded: where they vary by 1e-3 of their size, rounding is 1e-4.
    if result.relative_error <= TOLERANCE:
        assert result.passed
        assert result.cosine >= np.sqrt(1 - TOLERANCE**2) - 1e-12
    assert result.relative_error <= TOLERANCE * noise + 1e-3


def test_the_reference_itself_passes():
    result = check(make_reference(), make_reference(), TOLERANCE)
    assert result.passed
    assert result.reason == ""
    assert result.relative_error == 0
    assert result.cosine == pytest.approx(1)
    assert result.tolerance == TOLERANCE


@given(reference=references, noise=st.floats(-TOLERANCE, TOLERANCE))
def test_swapped_inputs_fail(reference, noise):
    outputs = changed(reference, lambda value: value * np.float32(1 + noise))
    outputs[1], outputs[2] = outputs[2], outputs[1]
    assert not check(outputs, reference, TOLERANCE).passed


@given(reference=references, which=st.integers(1, 3), data=st.data())
def test_ignored_inputs_fail(reference, which, data):
    mean = [np.mean(group, axis=0) for group in zip(*reference.values(), strict=True)]
    answer = data.draw(st.sampled_from([reference[which], mean]))
    assert not check(dict.fromkeys(reference, answer), reference, TOLERANCE).passed


@given(value=st.floats(-100, 100, width=32))
def test_constants_fail(value):
    reference = make_reference()
    outputs = changed(reference, lambda tensor: np.full_like(tensor, value))
    assert not check(outputs, reference, TOLERANCE).passed


@given(reference=references, factor=st.floats(-10, 10))
def test_scaled_outputs_fail(reference, factor):
    assume(abs(factor - 1) > 2 * TOLERANCE)
    outputs = changed(reference, lambda value: (value * factor).astype(np.float32))
    assert not check(outputs, reference, TOLERANCE).passed


@given(seed=st.integers(0, 2**16), offset=st.floats(0.01, 10), sign=st.sampled_from([-1, 1]))
def test_offset_outputs_fail(seed, offset, sign):
    reference = make_reference(seed)
    outputs = changed(reference, lambda value: (value + sign * offset).astype(np.float32))
    assert not check(outputs, reference, TOLERANCE).passed


def test_what_is_taken_for_the_answer_to_another_input_fails():
    """Within the tolerance of its own, because two answers are much alike."""
    reference = make_reference(shapes=((1, 100),))
    reference[2] = [reference[1][0] + np.float32(1e-3)]
    outputs = dict(reference)
    assert check(outputs, reference, 0.4).passed
    outputs[1] = reference[2]
    result = check(outputs, reference, 0.4)
    assert not result.passed
    assert result.relative_error < 0.4
    assert result.reason == "output 0 for seed 1 is nearer to the reference for seed 2"


def test_a_plain_comparison_would_have_passed():
    """Why the mean is subtracted: an ignored input is off by little of the whole."""
    reference = make_reference(variation=1e-4)
    ignorant = dict.fromkeys(reference, reference[1])
    plain = max(
        np.linalg.norm(y - r) / np.linalg.norm(r)
        for seed in reference
        for y, r in zip(ignorant[seed], reference[seed], strict=True)
    )
    assert plain < TOLERANCE
    result = check(ignorant, reference, TOLERANCE)
    assert not result.passed
    assert result.relative_error > 1


def test_one_wrong_output_of_many_fails_and_is_named():
    outputs = make_reference()
    outputs[2][1] = outputs[2][1] + np.float32(1)
    result = check(outputs, make_reference(), TOLERANCE)
    assert not result.passed
    assert "output 1 for seed 2" in result.reason


def drop_seed(outputs):
    del outputs[3]


def add_seed(outputs):
    outputs[9] = outputs[1]


def drop_tensor(outputs):
    outputs[1] = outputs[1][:1]


def turn(outputs):
    outputs[1][0] = outputs[1][0].T


def widen(outputs):
    outputs[1][0] = outputs[1][0].astype(np.float64)


def spoil(outputs):
    outputs[3][1].flat[0] = np.nan


def overflow(outputs):
    outputs[3][1].flat[0] = np.inf


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (drop_seed, "seeds [1, 2] instead of [1, 2, 3]"),
        (add_seed, "seeds [1, 2, 3, 9]"),
        (drop_tensor, "1 outputs for seed 1 instead of 2"),
        (turn, "output 0 for seed 1 is float32[10, 1] instead of float32[1, 10]"),
        (widen, "is float64[1, 10]"),
        (spoil, "output 1 for seed 3 has NaN"),
        (overflow, "output 1 for seed 3 has NaN or infinite"),
    ],
)
def test_what_cannot_be_compared_fails_and_is_named(fault, reason):
    outputs = make_reference()
    fault(outputs)
    result = check(outputs, make_reference(), TOLERANCE)
    assert not result.passed
    assert reason in result.reason
    assert result.relative_error is None


def two_inputs():
    return make_reference(inputs=2)


def no_tensors():
    return {1: [], 2: [], 3: []}


def constant():
    return dict.fromkeys((1, 2, 3), make_reference()[1])


def two_alike():
    reference = make_reference()
    reference[2] = [value * np.float32(1 + 1e-7) for value in reference[1]]
    return reference


def not_finite():
    reference = make_reference()
    reference[1][0].flat[0] = np.nan
    return reference


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        (two_inputs, "2 inputs; at least 3"),
        (no_tensors, "0 outputs"),
        (constant, "hardly varies"),
        (two_alike, "hardly varies"),
        (not_finite, "in the reference"),
    ],
)
def test_a_reference_that_can_tell_nothing_lets_nothing_pass(reference, reason):
    result = check(reference(), reference(), TOLERANCE)
    assert not result.passed
    assert reason in result.reason


def test_the_first_choice_tells_something_only_where_it_varies():
    scores = np.eye(4, dtype=np.float32)[[0, 1, 2, 3]][:, None]
    other = scores[[0, 1, 3, 2]]
    assert drift([other], [scores], "made up").top1 == 0.5
    same = scores + 9 * np.eye(4, dtype=np.float32)[0]
    assert drift([same], [same], "made up").top1 is None
