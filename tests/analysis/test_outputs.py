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
    assert result.reason is None
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
    assert str(result.reason) == "output 0 for seed 1 is nearer to the reference for seed 2"


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
    assert "output 1 for seed 2" in str(result.reason)


def drop_seed(outputs):
    del outputs[3]


def add_seed(outputs):
    outputs[9] = outputs[1]


def drop_tensor(outputs):
    outputs[1] = outputs[1][:1]


def turn(outputs):
    outputs[1][0] = outputs[1][0].T


def truncate(outputs):
    outputs[1][0] = outputs[1][0].astype(np.int32)


def spoil(outputs):
    outputs[3][1].flat[0] = np.nan


def overflow(outputs):
    outputs[3][1].flat[0] = np.inf


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (drop_seed, "seeds [1, 2] instead of [1, 2, 3]"),
        (add_seed, "seeds [1, 2, 3, 9]"),
        (drop_tensor, "1 output for seed 1 instead of 2"),
        (turn, "output 0 for seed 1 is float32[10, 1] instead of float32[1, 10]"),
        (truncate, "is int32[1, 10]"),
        (spoil, "output 1 for seed 3 has NaN"),
        (overflow, "output 1 for seed 3 has NaN or infinite"),
    ],
)
def test_what_cannot_be_compared_fails_and_is_named(fault, reason):
    outputs = make_reference()
    fault(outputs)
    result = check(outputs, make_reference(), TOLERANCE)
    assert not result.passed
    assert reason in str(result.reason)
    assert result.relative_error is None


def two_inputs():
    return make_reference(inputs=2)


def no_tensors():
    return {1: [], 2: [], 3: []}


def not_finite():
    reference = make_reference()
    reference[1][0].flat[0] = np.nan
    return reference


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        (two_inputs, "2 inputs; at least 3"),
        (no_tensors, "0 outputs"),
        (not_finite, "in the reference"),
    ],
)
def test_a_reference_that_can_tell_nothing_lets_nothing_pass(reference, reason):
    result = check(reference(), reference(), TOLERANCE)
    assert not result.passed
    assert reason in str(result.reason)


def test_the_first_choice_tells_something_only_where_it_varies():
    scores = np.eye(4, dtype=np.float32)[[0, 1, 2, 3]][:, None]
    other = scores[[0, 1, 3, 2]]
    assert drift([other], [scores], "made up").top1 == 0.5
    same = scores + 9 * np.eye(4, dtype=np.float32)[0]
    assert drift([same], [same], "made up").top1 is None


# --- outputs that are not tensors of numbers that vary ---


def constant_beside(varying, constant):
    return {seed: [*values, constant] for seed, values in varying.items()}


def test_a_constant_output_is_named_and_the_others_decide():
    priors = np.linspace(0, 1, 8, dtype=np.float32)
    reference = constant_beside(make_reference(shapes=((1, 10),)), priors)
    right = check(reference, reference, TOLERANCE)
    assert (right.passed, right.decides, right.undecided) == (True, True, [1])
    moved = constant_beside(make_reference(shapes=((1, 10),)), priors + np.float32(0.1))
    wrong = check(moved, reference, TOLERANCE)
    assert not wrong.passed
    assert "output 1" in str(wrong.reason)
    ignorant = dict.fromkeys(reference, reference[1])
    assert not check(ignorant, reference, TOLERANCE).passed


def alike(value):
    return {1: [value], 2: [value * np.float32(1 + 1e-7)], 3: [value]}


@pytest.mark.parametrize(
    "value", [np.ones((1, 4), np.float32), np.zeros(3, np.float32), np.zeros((0, 4), np.float32)]
)
def test_where_no_output_varies_the_check_decides_nothing_but_is_not_failed(value):
    result = check(alike(value), alike(value), TOLERANCE)
    assert (result.passed, result.decides, result.undecided) == (True, False, [0])
    if value.size:
        assert not check(alike(value + np.float32(1)), alike(value), TOLERANCE).passed


def labels(*values, dtype=np.int64):
    return {seed: [np.array(value, dtype)] for seed, value in enumerate(values, 1)}


def test_labels_are_compared_one_by_one():
    reference = labels([3], [3], [8])
    assert check(reference, reference, TOLERANCE).decides
    assert not check(labels([3], [3], [3]), reference, TOLERANCE).passed
    # A neighbouring class is as wrong as a distant one, whatever the tolerance of numbers.
    assert not check(labels([300], [500], [701]), labels([300], [500], [700]), 0.1).passed
    assert not check(labels([3], [3], [3]), labels([3], [3], [3]), TOLERANCE).decides


def test_a_mask_may_differ_by_as_much_as_the_tolerance():
    random = np.random.default_rng(1)
    masks = {seed: [random.integers(0, 2, (1, 64, 64))] for seed in (1, 2, 3)}
    flipped = {seed: [value.copy() for value in values] for seed, values in masks.items()}
    flipped[2][0].flat[:100] ^= 1
    assert check(flipped, masks, 0.1).passed
    assert not check(flipped, masks, TOLERANCE).passed


def test_integers_may_come_in_another_type_of_the_engine():
    reference = labels([3], [4], [8])
    for dtype in (np.int32, np.float32):  # MNN's integers have 32 bits, ncnn has none
        assert check(labels([3], [4], [8], dtype=dtype), reference, TOLERANCE).passed


def test_a_shape_that_depends_on_the_input_is_compared_input_by_input():
    reference = {
        seed: [np.arange(seed * 2, dtype=np.float32).reshape(seed, 2) + 1] for seed in (1, 2, 3)
    }
    assert check(reference, reference, TOLERANCE).passed
    off = changed(reference, lambda value: value * np.float32(1.01))
    assert not check(off, reference, TOLERANCE).passed
    fewer = {**reference, 3: [reference[3][0][:2]]}
    assert "is float32[2, 2] instead of float32[3, 2]" in str(check(fewer, reference, 0.4).reason)


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_a_scalar_may_have_axes_of_one_element(shape):
    reference = labels(0.5, 0.7, 0.9, dtype=np.float32)
    given = changed(reference, lambda value: value.reshape(shape))
    assert check(given, reference, TOLERANCE).passed


def test_swapped_outputs_of_one_shape_are_noticed_and_named():
    reference = make_reference(shapes=((1, 10), (1, 10)))
    swapped = {seed: values[::-1] for seed, values in reference.items()}
    result = check(swapped, reference, TOLERANCE)
    assert not result.passed
    assert "it is output" in str(result.reason)
