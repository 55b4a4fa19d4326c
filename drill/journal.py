"""The journal that runners write on their device: the drill's witness, apart from the database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Done", "Journal", "read_journal"]


@dataclass(frozen=True)
class Done:
    """A launch that its runner completed.

    Attributes
    ----------
    launch
        Its name on the device.
    model
        What the runner found in the artifact that it was given.
    samples
        Nanoseconds, drawn again by each process: no two launches have the same.
    """

    launch: str
    device: str
    model: str
    samples: tuple[int, ...]


@dataclass(frozen=True)
class Journal:
    """What the runners of one device wrote.

    Attributes
    ----------
    begun
        Launches in the order in which their runners began.
    done
        Those that were completed and have to count.
    sampled
        All that took samples, whatever became of them.
    struck
        Launches whose runner a fault met, with the fault's stage.
    """

    device: str
    begun: tuple[str, ...] = ()
    done: tuple[Done, ...] = ()
    sampled: tuple[Done, ...] = ()
    struck: tuple[tuple[str, str], ...] = ()


_LINE = re.compile(r"(begun|struck|sampled|done) (\S+) ([a-z ]+?)((?: \d+)*)")


def read_journal(device: str, lines: Iterable[str]) -> Journal:
    """Return a device's journal.

    Raises
    ------
    ValueError
        A line is none of a runner's: the drill itself is broken.
    """
    entries = list(_entries(lines))
    return Journal(
        device=device,
        begun=tuple(launch for word, launch, _, _ in entries if word == "begun"),
        done=tuple(_done(device, entry) for entry in entries if entry[0] == "done"),
        sampled=tuple(_done(device, entry) for entry in entries if entry[0] == "sampled"),
        struck=tuple((launch, stage) for word, launch, stage, _ in entries if word == "struck"),
    )


_Entry = tuple[str, str, str, tuple[int, ...]]


def _entries(lines: Iterable[str]) -> Iterator[_Entry]:
    for line in lines:
        found = _LINE.fullmatch(line)
        if not found:
            raise ValueError(f"not a line of a journal: {line!r}")
        word, launch, what, numbers = found.groups()
        yield word, launch, what, tuple(map(int, numbers.split()))


def _done(device: str, entry: _Entry) -> Done:
    _, launch, model, samples = entry
    return Done(launch, device, model, samples)
