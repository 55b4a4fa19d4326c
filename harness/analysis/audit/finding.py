"""What an audit finds, and by which rules."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from harness.core.reason import Reason

__all__ = ["RULES", "Doubt", "Evidence", "Rule", "Severity"]


class Severity(StrEnum):
    """How a finding is to be taken."""

    ERROR = "error"
    """It cannot be true, or is no result at all."""
    WARNING = "warning"
    """It can be true, but hardly is: look at it before it is passed on."""
    NOTE = "note"
    """It is less than it looks like."""


@dataclass(frozen=True)
class Evidence:
    """One of the very values that a finding rests on.

    Attributes
    ----------
    where
        Where it is: ``line 5, column npu_ms``; ``launch 3``.
    what
        What it is of, in words: model, device, setting.
    value
        The value as it is written there, with its unit where the source has none in its header.
    """

    where: Reason
    what: str | Reason
    value: str | Reason


@dataclass(frozen=True)
class Doubt:
    """One thing that an audit found.

    All of its texts may quote what is untrusted: they are escaped where they are shown.

    Attributes
    ----------
    rule
        A key of :data:`RULES`.
    severity
        Of this finding; the same rule has milder and graver ones.
    reason
        What is wrong; it can be read alone.
    evidence
        What it rests on.
    cases
        Ids of the cases it is about; none for an imported table.
    """

    rule: str
    severity: Severity
    reason: Reason
    evidence: tuple[Evidence, ...]
    cases: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What is wrong, in English."""
        return str(self.reason)

    @property
    def title(self) -> str:
        """What its rule finds, in a few words."""
        return RULES[self.rule].title


@dataclass(frozen=True)
class Rule:
    """A rule of the audit.

    Attributes
    ----------
    title
        What it finds, in a few words.
    explanation
        When it speaks, with its bounds, and what an innocent cause may be.
    """

    title: str
    explanation: str


_CHANCE = (
    "It speaks where fewer than one in a hundred such tables would have it by chance, if figures "
    "of one model on different devices lay within 1 % of each other, and those of different models "
    "within 10 %. Figures of few digits therefore hardly ever raise it."
)

RULES: Final[dict[str, Rule]] = {
    "repeated-figure": Rule(
        "the same figure for different things",
        "Latencies of different models, devices or settings that are equal to the last digit. "
        + _CHANCE
        + " A figure copied into the wrong cell is the usual cause.",
    ),
    "repeated-digits": Rule(
        "figures that differ and end alike",
        "Two models (or two devices) whose figures differ, and end in the same two digits in three "
        "columns or more: oftener than fewer than one in a hundred such tables would have it by "
        "chance. Figures of four digits at least are looked at. Figures that were changed in their "
        "leading digits are so; a clock that counts coarsely is taken into account.",
    ),
    "rate-for-latency": Rule(
        "rates where latencies are meant",
        "On one device, with the same engine and setting, the figures of at least five models fall "
        "as their multiply-accumulates grow (Kendall's tau of -0.7 or less, at 1 %). Frames per "
        "second taken for milliseconds are so: import them as fps.",
    ),
    "impossible-memory": Rule(
        "memory that cannot be",
        "A launch's peak of resident memory is below its proportional share (PSS) by more than a "
        "tenth and 4 MiB, or one of them is more than the device has. A wrong unit is the usual "
        "cause.",
    ),
    "identical-rows": Rule(
        "the same figures for different models or devices",
        "Two models (or two devices) that agree to the last digit in two or more of the figures "
        "that both have. " + _CHANCE + " One board entered under two names is an innocent cause.",
    ),
    "scaled-rows": Rule(
        "figures that are others times a constant",
        "Two models (or two devices) with at least three figures of one ratio, to the last digit. "
        + _CHANCE
        + " Such figures were calculated, not measured.",
    ),
    "shifted-columns": Rule(
        "a row that is another, shifted by columns",
        "Two models (or two devices) of which one has the other's figures some columns further on, "
        "two at least. " + _CHANCE,
    ),
    "swapped-columns": Rule(
        "two backends that look swapped",
        "Of two backends one is at least 1.5 times faster in every row, three at least, but for "
        "one row, in which it is as much slower as it is faster elsewhere (within a factor of 2). "
        "A model that hardly runs on the NPU is an innocent cause.",
    ),
    "contradiction": Rule(
        "two figures for one thing",
        "Different latencies of the same model, device and setting: something that tells them "
        "apart is missing.",
    ),
    "out-of-line": Rule(
        "a figure out of line with its row and column",
        "A latency is five times more or less than its model's and its column's other figures lead "
        "to expect (median polish of the logarithms, three models and three columns at least), "
        "and five times more than figures of the table usually are (median absolute deviation). "
        "A slipped decimal point is the usual cause; a model that falls back to the processor an "
        "innocent one.",
    ),
    "implausible-speed-up": Rule(
        "a speed-up beyond reason",
        "One backend is more than 1000 times as fast as another: about twice what separates "
        "a small core computing in fp32 (5 GFLOP/s) and a well-used NPU of 6 TOPS. Or "
        "threads speed a model up by more than 1.25 times their number.",
    ),
    "bigger-model-faster": Rule(
        "a bigger model that is faster",
        "On one device, with the same engine and setting, a model of at least twice the "
        "multiply-accumulates is faster than another: beyond both intervals, or by 10 %. A note; "
        "from eight times on a warning. Layers that an NPU does not take, and depthwise "
        "convolutions, are innocent causes.",
    ),
    "threads-slower": Rule(
        "more threads, and far slower",
        "With more threads a model takes more than 1.5 times as long. Fewer free cores than "
        "threads is the usual cause: then the figure says nothing of the engine.",
    ),
    "beyond-peak": Rule(
        "more operations per second than the chip has",
        "Twice the multiply-accumulates over the latency exceed the chip's peak, where both are "
        "known. A warning; from four times on an error: algorithms for convolutions save at most "
        "so much (Lavin and Gray, CVPR 2016, doi:10.1109/CVPR.2016.435: F(4x4, 3x3)).",
    ),
    "warm-slower-than-cold": Rule(
        "warm is slower than cold",
        "Reading from a warm page cache took longer than from a cold one in every launch, or the "
        "median of timed inferences is more than 1.2 times the first inference in most launches. "
        "A device that was throttled or busy is the usual cause.",
    ),
    "wrong-outputs": Rule(
        "outputs are wrong",
        "A launch did not pass the output check: its case has no latency.",
    ),
    "unchecked-outputs": Rule(
        "outputs were not checked",
        "A latency without an output check: it may be that of a wrong answer.",
    ),
    "invalid-launches": Rule(
        "launches were invalid",
        "Launches were throttled, hot or otherwise invalid. They do not count; a case of which "
        "more than a third were has no latency.",
    ),
    "throttled": Rule(
        "throttled, and counted",
        "A launch that counts shows signs of throttling.",
    ),
    "throttling-unwatched": Rule(
        "throttling could not be watched",
        "A device, not an emulated one, has no sensor that would tell: a slowed launch looks like "
        "any other there.",
    ),
    "unmet-conditions": Rule(
        "conditions were not met",
        "What the device's file asks for before a launch could not be done or known there.",
    ),
    "not-warm": Rule(
        "launches were not steady",
        "In more than a third of a case's launches warm-up ended at its limit, or samples are "
        "higher or lower at a launch's end than at its start by more than 2 %.",
    ),
    "uneven-launches": Rule(
        "launches are no even spread",
        "The launches' figures drift, fall into two groups, or one is far from the others "
        "(Mann-Kendall, simulation and Grubbs' test at 1 to 2 %): the interval takes for granted "
        "that they do not.",
    ),
    "wide-interval": Rule(
        "the interval is wide",
        "A 95 % interval of a case is wider than ±10 % of its figure: a note; from ±25 % on a "
        "warning. The figure says little; more launches, or a quieter device, say more.",
    ),
    "busy-device": Rule(
        "others kept the device busy",
        "In most launches of a case, what is neither the runner nor asked for used more than a "
        "quarter of a processor.",
    ),
    "one-launch": Rule(
        "one launch, no interval",
        "A latency is of a single launch: how far launches differ is not known.",
    ),
    "repeated-samples": Rule(
        "two launches with the same samples",
        "Ten or more samples, three different values at least, are the same in the same order in "
        "two launches: one is a copy.",
    ),
    "constant-samples": Rule(
        "samples that do not vary",
        "All samples of a launch (five at least) are equal, or all launches of a case (three at "
        "least) have the same figure though their samples differ in whole nanoseconds: no clock "
        "and no processor is so regular.",
    ),
    "coarse-timer": Rule(
        "the clock is coarse for what it times",
        "Most samples of a launch share their value with another, and the step between values is "
        "more than 0.5 % of the median. From 5 % on a warning.",
    ),
    "no-cpu-time": Rule(
        "time passed, and no processor worked",
        "On backend cpu the process used less than 5 % of the latency as CPU time: it waited "
        "instead of computing, or its time is not counted.",
    ),
    "more-cpu-time": Rule(
        "more CPU time than there were threads for",
        "CPU time per inference is more than 1.25 times latency times threads: there are more "
        "threads than the case says.",
    ),
    "more-time-than-passed": Rule(
        "samples add up to more than the launch took",
        "The samples and the warm-up of a launch take longer than the launch by another clock: one "
        "of them is wrong.",
    ),
    "false-interval": Rule(
        "an interval that cannot be one",
        "A claimed interval does not hold its own figure, or is of a single launch, from which "
        "none can be taken.",
    ),
    "few-for-percentile": Rule(
        "a percentile of too few samples",
        "A percentile is claimed of fewer samples than MLPerf LoadGen's rule asks for: 11 for the "
        "50th, 64 for the 90th, 130 for the 95th, 662 for the 99th (J. Reddi et al., ISCA 2020, "
        "doi:10.1109/ISCA45697.2020.00045).",
    ),
    "needless-digits": Rule(
        "more digits than can be known",
        "Figures have more than five significant digits, and nothing says how far launches differ, "
        "or their last digit is finer than a hundredth of the claimed interval. Launches usually "
        "differ by 0.1 % or more, which is the fourth digit.",
    ),
}
