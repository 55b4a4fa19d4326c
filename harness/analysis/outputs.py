"""The output check: whether a launch computed what the model computes."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.analysis import reasons
from harness.core.records import Drift, OutputCheck

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from harness.core.reason import Reason

__all__ = ["check", "drift"]

MIN_INPUTS: Final = 3
INTEGERS: Final = "iub"  # numpy's kinds of indices, labels and masks
SCORES_AXES = (3, 4)  # [input, batch, class] or [input, batch, step, class]


def check(
    outputs: Mapping[int, Sequence[NDArray[Any]]],
    reference: Mapping[int, Sequence[NDArray[Any]]],
    tolerance: float,
) -> OutputCheck:
    r"""Compare outputs with the model's reference outputs.

    A network answers much the same to any input, one with random weights above all; compared as
    they are, the outputs of a runner that ignores its inputs pass. So the mean :math:`m` of the
    reference over the inputs is taken from both, and what remains is compared: for each input
    and each output

    .. math:: \frac{\|y - r\|}{\|r - m\|} \leq \textit{tolerance}

    with Euclidean norms. The cosine of :math:`y - m` and :math:`r - m` is then at least
    :math:`\sqrt{1 - \textit{tolerance}^2}`; it is for people, who know it better.

    Within a wide tolerance, references that are much alike let something wrong pass. So each
    :math:`y` must also be nearer to its own :math:`r` than to that of any other input: nothing
    passes that gives one answer for two inputs, or swaps two.

    Not every output is a tensor of numbers that vary. Of indices, labels and masks (integers) the
    share of elements that differ must be within the tolerance. An output whose shape depends on the
    input is compared input by input, relative to :math:`\|r\|`. One that is the same for all inputs
    (prior boxes, a label that happens to be) must equal its reference, but cannot tell a right
    answer from a wrong one: it is named in ``undecided``, and where no output varies,
    ``decides`` is false.

    Parameters
    ----------
    outputs, reference
        Seed to the output tensors, in the model's order.
    tolerance
        The largest relative error that passes, above 0 and below 1.
    """
    fault = _mismatch(outputs, reference)
    if fault:
        return OutputCheck(passed=False, reason=fault, tolerance=tolerance)
    seeds = sorted(reference)
    compared = [
        _compare(
            [outputs[seed][index] for seed in seeds], [reference[seed][index] for seed in seeds]
        )
        for index in range(len(reference[seeds[0]]))
    ]
    errors = {
        (index, seed): error
        for index, each in enumerate(compared)
        for seed, error in zip(seeds, each.errors, strict=True)
    }
    worst = max(errors, key=errors.__getitem__)
    cosines = [cosine for each in compared for cosine in each.cosines]
    varying = [each for each in compared if each.varies]
    reason = _reason(compared, worst, errors[worst], seeds, tolerance)
    swapped = _swapped(outputs, reference, worst, tolerance) if reason else None
    return OutputCheck(
        passed=not reason,
        reason=reason if swapped is None else reasons.SWAPPED(why=reason, output=swapped),
        relative_error=errors[worst],
        cosine=min(cosines, default=None),
        tolerance=tolerance,
        decides=bool(varying),
        undecided=[index for index, each in enumerate(compared) if not each.varies],
    )


@dataclass(frozen=True)
class _Compared:
    """One output, over the inputs.

    Attributes
    ----------
    errors
        By input.
    cosines
        By input, where the output is of numbers that vary.
    varies
        Whether its reference tells inputs apart.
    mistaken
        Input to the other one whose reference its output is nearer to.
    """

    errors: list[float]
    varies: bool
    cosines: list[float] = field(default_factory=list)
    mistaken: dict[int, int] = field(default_factory=dict)


def _compare(outputs: Sequence[NDArray[Any]], reference: Sequence[NDArray[Any]]) -> _Compared:
    sizes = {value.shape for value in reference}
    if reference[0].dtype.kind in INTEGERS:
        errors = [
            float(np.mean(y.ravel() != r.ravel())) if r.size else 0.0
            for y, r in zip(outputs, reference, strict=True)
        ]
        alike = len(sizes) == 1 and all(np.array_equal(reference[0], r) for r in reference)
        return _Compared(errors, varies=not alike)
    if len(sizes) > 1:
        flat = [
            (y.ravel().astype(np.float64), r.ravel().astype(np.float64))
            for y, r in zip(outputs, reference, strict=True)
        ]
        return _Compared([_relative(y, r) for y, r in flat], varies=True)
    r = np.stack([value.ravel().astype(np.float64) for value in reference])
    y = np.stack([value.ravel().astype(np.float64) for value in outputs])
    spread = np.linalg.norm(r - r.mean(axis=0), axis=1)
    rounding = np.finfo(np.float32).eps * np.linalg.norm(r, axis=1).max()
    apart = min(float(np.linalg.norm(a - b)) for a, b in combinations(r, 2))
    if min(spread.min(), apart) <= rounding:
        return _Compared([_relative(*pair) for pair in zip(y, r, strict=True)], varies=False)
    relative, cosines = _distances(y, r)
    nearest = [int(np.linalg.norm(r - each, axis=1).argmin()) for each in y]
    mistaken = {n: other for n, other in enumerate(nearest) if n != other}
    return _Compared(relative, varies=True, cosines=cosines, mistaken=mistaken)


def _relative(y: NDArray[Any], r: NDArray[Any]) -> float:
    length = float(np.linalg.norm(r))
    return float(np.linalg.norm(y - r)) / (length or 1.0)


def _reason(
    compared: Sequence[_Compared],
    worst: tuple[int, int],
    error: float,
    seeds: Sequence[int],
    tolerance: float,
) -> Reason | None:
    if error > tolerance:
        return reasons.ERROR(error=error, output=worst[0], seed=worst[1], tolerance=tolerance)
    for index, each in enumerate(compared):
        for own, other in each.mistaken.items():
            return reasons.MISTAKEN(output=index, seed=seeds[own], other=seeds[other])
    return None


def _swapped(
    outputs: Mapping[int, Sequence[NDArray[Any]]],
    reference: Mapping[int, Sequence[NDArray[Any]]],
    worst: tuple[int, int],
    tolerance: float,
) -> int | None:
    """Return which other output a wrong one is, or none."""
    index, seed = worst
    y = outputs[seed][index]
    for other, r in enumerate(reference[seed]):
        if (
            other != index
            and r.shape == y.shape
            and r.size
            and _relative(y.ravel().astype(np.float64), r.ravel().astype(np.float64)) <= tolerance
        ):
            return other
    return None


def drift(
    outputs: Sequence[NDArray[Any]], reference: Sequence[NDArray[Any]], computed_by: str
) -> Drift:
    """Tell how far a model's outputs are from those in fp32.

    Parameters
    ----------
    outputs, reference
        Each output's tensors, stacked over the inputs.
    computed_by
        The engine that made the outputs, with its version.
    """
    inputs = len(reference[0]) if reference else 0
    fault = None if len(outputs) == len(reference) else reasons.OUTPUTS(found=len(outputs))
    for index, (y, r) in enumerate(zip(outputs, reference, strict=False)):
        if not fault and (wrong := _tensor_mismatch(y, r)):
            fault = reasons.OF_OUTPUT(output=index, why=wrong)
    if fault or inputs == 0:
        return Drift(computed_by=computed_by, inputs=inputs, fault=fault or reasons.NO_OUTPUTS())
    errors: list[float] = []
    cosines: list[float] = []
    largest, top1 = 0.0, None
    for y, r in zip(outputs, reference, strict=True):
        flat = [array.reshape(inputs, -1).astype(np.float64) for array in (y, r)]
        relative, cosine = _distances(*flat)
        errors += relative
        cosines += cosine
        largest = max(largest, float(np.abs(flat[0] - flat[1]).max()))
        if (
            top1 is None
            and r.ndim in SCORES_AXES
            and np.unique(first := r.argmax(axis=-1)).size > 1
        ):
            top1 = float((y.argmax(axis=-1) == first).mean())
    return Drift(
        computed_by=computed_by,
        inputs=inputs,
        cosine=min(cosines),
        relative_error=max(errors),
        max_error=largest,
        top1=top1,
    )


def _distances(y: NDArray[Any], r: NDArray[Any]) -> tuple[list[float], list[float]]:
    """Return relative errors and cosines by input, the reference's mean subtracted."""
    mean = r.mean(axis=0)
    tiny = np.finfo(np.float64).tiny
    spread = np.maximum(np.linalg.norm(r - mean, axis=1), tiny)
    lengths = np.maximum(np.linalg.norm(y - mean, axis=1) * spread, tiny)
    cosines = ((y - mean) * (r - mean)).sum(axis=1) / lengths
    return (np.linalg.norm(y - r, axis=1) / spread).tolist(), cosines.tolist()


def _mismatch(
    outputs: Mapping[int, Sequence[NDArray[Any]]], reference: Mapping[int, Sequence[NDArray[Any]]]
) -> Reason | None:
    """Say what makes the two incomparable, or nothing."""
    if len(reference) < MIN_INPUTS:
        return reasons.FEW_INPUTS(inputs=len(reference), needed=MIN_INPUTS)
    if set(outputs) != set(reference):
        return reasons.SEEDS(found=str(sorted(outputs)), expected=str(sorted(reference)))
    for seed, expected in sorted(reference.items()):
        got = outputs[seed]
        if not expected or len(got) != len(expected):
            return reasons.NUMBER(found=len(got), seed=seed, expected=len(expected))
        for index, (y, r) in enumerate(zip(got, expected, strict=True)):
            fault = _tensor_mismatch(y, r)
            if fault:
                return reasons.OF_SEED(output=index, seed=seed, why=fault)
    return None


def _tensor_mismatch(y: NDArray[Any], r: NDArray[Any]) -> Reason | None:
    # Some engines have no tensor without axes, nor integers of other widths or any at all.
    shapes_differ = y.shape != r.shape and not (y.size == r.size == 1)
    kinds_differ = r.dtype.kind not in INTEGERS and y.dtype.kind in INTEGERS
    if shapes_differ or kinds_differ:
        return reasons.KIND(found=f"{y.dtype}{list(y.shape)}", expected=f"{r.dtype}{list(r.shape)}")
    if not np.isfinite(r).all():
        return reasons.REFERENCE_INFINITE()
    if not np.isfinite(y).all():
        return reasons.INFINITE()
    return None
