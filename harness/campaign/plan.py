"""The plan: which launches, in which order, and for how long."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.records import Role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.records import CaseRecord
    from harness.lab.inventory import Device
    from harness.results.store import Store

__all__ = ["Forecast", "Slot", "expect", "order"]

# A model cache is filled, and a rate found, before it is used; what disturbs comes last.
STAGES = (Role.FILL, Role.SEARCH, Role.MEASURE, Role.MEMORY, Role.PROFILE)

# Where a case has no history: what a launch took on the boards that were tried, roundly.
GUESS_S = 6.0
GUESS_EMULATED_S = 20.0


@dataclass(frozen=True)
class Slot:
    """One planned launch: which of its case's, its place among its host's, what it is for."""

    case_id: str
    slot: int
    position: int
    role: Role = Role.MEASURE


def order(cases: Sequence[CaseRecord], host: str, seed: int) -> list[Slot]:
    """Return a host's launches in the order in which they are made.

    Launches are interleaved: block after block, each with one launch of every case that has any
    left, in random order. So a drift of the device spreads over all cases instead of one. [1]_
    Before them model caches are filled and rates are searched for, after them come memory passes
    and profiles, and last what a second stage asked for, so that it changes nothing of the order
    before.

    Parameters
    ----------
    seed
        Of the order: the same one gives the same order.

    References
    ----------
    .. [1] google/benchmark, "Random interleaving": cuts run-to-run variance by about 40 %.
    """
    shuffler = random.Random(f"{seed} {host}")  # noqa: S311 - an order, not a secret
    blocks: dict[tuple[int, int], list[tuple[str, Role]]] = {}
    for record in cases:
        if record.refused is not None:
            continue
        roles = record.roles
        first_stage = len(roles) - (record.more or 0)
        for slot, role in enumerate(roles):
            stage = STAGES.index(role) if slot < first_stage else len(STAGES)
            blocks.setdefault((stage, slot), []).append((record.case.id, role))
    slots: list[Slot] = []
    for (_, slot), block in sorted(blocks.items()):
        shuffler.shuffle(block)
        slots += [
            Slot(case_id, slot, len(slots) + n, role) for n, (case_id, role) in enumerate(block)
        ]
    return slots


@dataclass(frozen=True)
class Forecast:
    """How long a plan will take.

    Attributes
    ----------
    seconds
        Of the host that takes longest: hosts work in parallel.
    guessed
        How many cases have no history, and were guessed.
    """

    seconds: float
    guessed: int


def expect(
    cases: Sequence[CaseRecord],
    devices: Mapping[str, Device],
    store: Store,
    *,
    sustained_s: float | None = None,
) -> Forecast:
    """Return how long cases will take, by the launches of earlier runs where there are any.

    Parameters
    ----------
    sustained_s
        How long every launch that measures samples, in s; then earlier runs tell nothing.
    """
    hosts: dict[str, float] = {}
    guessed = 0
    for record in cases:
        if record.refused is not None:
            continue
        device = devices[record.case.device]
        known = None if sustained_s else store.expected_wall_s(record.case.id)
        guessed += known is None
        guess = GUESS_EMULATED_S if device.emulated else GUESS_S
        each = guess if known is None else known
        seconds = each * len(record.roles) + (sustained_s or 0.0) * record.launches
        hosts[device.host] = hosts.get(device.host, 0.0) + seconds
    return Forecast(seconds=max(hosts.values(), default=0.0), guessed=guessed)
