"""The output check: whether a launch computed what the model computes."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.core.records import Drift, OutputCheck

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

__all__ = ["check", "drift"]

MIN_INPUTS: Final = 3
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

    Parameters
    ----------
    outputs, reference
        Seed to the output tensors, in the model's order.
    tolerance
        The largest relative error that passes, above 0 and below 1.
    """

    def failed(reason: str) -> OutputCheck:
        return OutputCheck(passed=False, reason=reason, tolerance=tolerance)

    fault = _mismatch(outputs, reference)
    if fault:
        return failed(fault)
    errors: dict[tuple[int, int], float] = {}
    cosines: list[float] = []
    mistaken: list[str] = []
    seeds = sorted(reference)
    for index in range(len(reference[seeds[0]])):
        r = np.stack([reference[seed][index].ravel().astype(np.float64) for seed in seeds])
        y = np.stack([outputs[seed][index].ravel().astype(np.float64) for seed in seeds])
        mean = r.mean(axis=0)
        spread = np.linalg.norm(r - mean, axis=1)
        rounding = np.finfo(np.float32).eps * np.linalg.norm(r, axis=1).max()
        apart = min(float(np.linalg.norm(a - b)) for a, b in combinations(r, 2))
        if min(spread.min(), apart) <= rounding:
            return failed(
                f"output {index} of the reference hardly varies between the inputs: "
                "it cannot tell a right answer from a wrong one"
            )
        relative, cosine = _distances(y, r)
        errors |= {(index, seed): error for seed, error in zip(seeds, relative, strict=True)}
        cosines += cosine
        nearest = [int(np.linalg.norm(r - each, axis=1).argmin()) for each in y]
        mistaken += [
            f"output {index} for seed {seed} is nearer to the reference for seed {seeds[other]}"
            for n, (seed, other) in enumerate(zip(seeds, nearest, strict=True))
            if n != other
        ]
    worst = max(errors, key=errors.__getitem__)
    reason = mistaken[0] if mistaken else ""
    if errors[worst] > tolerance:
        reason = (
            f"relative error {errors[worst]:.3g} of output {worst[0]} for seed {worst[1]} "
            f"is above the tolerance of {tolerance:g}"
        )
    return OutputCheck(
        passed=not reason,
        reason=reason,
        relative_error=errors[worst],
        cosine=min(cosines),
        tolerance=tolerance,
    )


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
    fault = "" if len(outputs) == len(reference) else f"{len(outputs)} outputs"
    for index, (y, r) in enumerate(zip(outputs, reference, strict=False)):
        if not fault and (wrong := _tensor_mismatch(y, r)):
            fault = f"output {index} {wrong}"
    if fault or inputs == 0:
        return Drift(computed_by=computed_by, inputs=inputs, fault=fault or "no outputs")
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
) -> str:
    """Say what makes the two incomparable, or nothing."""
    if len(reference) < MIN_INPUTS:
        return f"the reference has {len(reference)} inputs; at least {MIN_INPUTS} are needed"
    if set(outputs) != set(reference):
        return f"outputs for the seeds {sorted(outputs)} instead of {sorted(reference)}"
    for seed, expected in sorted(reference.items()):
        got = outputs[seed]
        if not expected or len(got) != len(expected):
            return f"{len(got)} outputs for seed {seed} instead of {len(expected)}"
        for index, (y, r) in enumerate(zip(got, expected, strict=True)):
            fault = _tensor_mismatch(y, r)
            if fault:
                return f"output {index} for seed {seed} {fault}"
    return ""


def _tensor_mismatch(y: NDArray[Any], r: NDArray[Any]) -> str:
    if y.shape != r.shape or y.dtype != r.dtype:
        return f"is {y.dtype}{list(y.shape)} instead of {r.dtype}{list(r.shape)}"
    if not np.isfinite(r).all():
        return "has NaN or infinite values in the reference"
    if not np.isfinite(y).all():
        return "has NaN or infinite values"
    return ""
