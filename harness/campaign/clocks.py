"""The runner's clock against the supervisor's: how far they may differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.campaign import reasons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.campaign.launch import Ended
    from harness.core.reason import Reason

__all__ = ["CLOCKS_AGREE", "CLOCK_SLACK_S", "longer_than_launch"]

CLOCKS_AGREE: Final = 1.02
CLOCK_SLACK_S: Final = 0.1


def longer_than_launch(claimed_s: float, ended: Ended) -> Iterator[Reason]:
    """Say so where inferences took longer, in s, than the launch that they were made in."""
    over = ended.outside.exit
    if over and claimed_s > CLOCKS_AGREE * over.wall_s + CLOCK_SLACK_S:
        yield reasons.CLOCK(claimed=claimed_s, took=over.wall_s)
