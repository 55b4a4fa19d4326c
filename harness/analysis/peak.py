"""What an NPU achieved against the peak that its vendor states."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Achieved", "achieved"]


@dataclass(frozen=True)
class Achieved:
    """Operations per second of an inference, and what they are a share of.

    Attributes
    ----------
    tops
        10¹² operations per second: twice the multiply-accumulates, over the latency.
    share
        Of the stated peak at the precision that ran; none where none is stated.
    per_watt, per_dollar
        10¹² operations per second for each; none where it is not known.
    """

    tops: float
    share: float | None
    per_watt: float | None
    per_dollar: float | None


def achieved(
    macs: int,
    latency_ms: float,
    *,
    peak_tops: float | None = None,
    power_w: float | None = None,
    price_usd: float | None = None,
) -> Achieved:
    """Return what was achieved: a multiply and an addition are two operations.

    Parameters
    ----------
    macs
        Multiply-accumulates of one inference, above 0.
    latency_ms
        Of that inference, in milliseconds, above 0.
    peak_tops
        The stated peak at the precision that ran, in 10¹² operations per second.

    Raises
    ------
    ValueError
        Multiply-accumulates or latency are not positive.
    """
    if macs <= 0 or latency_ms <= 0:
        raise ValueError("multiply-accumulates and latency must be positive")
    tops = 2 * macs / (latency_ms / 1e3) / 1e12
    return Achieved(
        tops=tops,
        share=tops / peak_tops if peak_tops else None,
        per_watt=tops / power_w if power_w else None,
        per_dollar=tops / price_usd if price_usd else None,
    )
