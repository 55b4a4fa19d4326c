"""Others' figures, as they published them: read, not measured, and never mixed with what was.

An imported table is in the results database beside the runs, in a table of its own. Its
figures have no launches behind them that anyone here has seen: they are shown beside ours, without
a verdict.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from harness.core.records import Record

__all__ = ["Cell", "ImportedFigure", "ImportedTable", "Word"]

Word = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
"""A name or a short sentence from a file of somebody else's: untrusted, shown escaped."""

TableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Milliseconds = Annotated[float, Field(gt=0, le=86_400_000, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1 << 40)]


class Cell(Record):
    """Where a figure is in its file, and how it is written there.

    Attributes
    ----------
    line
        Of the file, from 1; the header's is 1.
    column
        The column's name in the header.
    position
        The column's place, from 0.
    text
        What is there, digits and all.
    """

    line: Annotated[int, Field(ge=1)]
    column: Word
    position: Annotated[int, Field(ge=0)]
    text: Word


class ImportedFigure(Record):
    """One latency that somebody published.

    Attributes
    ----------
    model, device, engine, backend, precision, threads
        In the source's words, but for ``backend``: ``cpu``, ``gpu``, ``npu`` or ``npu:NAME``.
        What the source does not say is none.
    latency_ms
        In milliseconds, whatever the unit in the source.
    statistic
        What it is of the samples, in the source's words: ``mean``, ``median``, ``p90``.
    low_ms, high_ms
        The interval that the source claims, in milliseconds.
    launches, samples
        How many the source says that stand behind it.
    macs
        Multiply-accumulates of one inference, where the source says so.
    source
        Where just this figure is from, where its table has several sources.
    derived
        How the latency was calculated, where the source has something else: a rate.
    """

    cell: Cell
    model: Word
    device: Word
    engine: Word | None = None
    backend: Word | None = None
    precision: Word | None = None
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None
    latency_ms: Milliseconds
    statistic: Word | None = None
    low_ms: Milliseconds | None = None
    high_ms: Milliseconds | None = None
    launches: Count | None = None
    samples: Count | None = None
    macs: Count | None = None
    source: Word | None = None
    derived: Word | None = None

    @property
    def label(self) -> str:
        """What it is the latency of, in words."""
        engine = "/".join(part for part in (self.engine, self.backend) if part)
        extra = [f"{self.threads} threads"] if self.threads not in (None, 1) else []
        parts = (self.model, self.device, engine, self.precision, *extra)
        return " · ".join(part for part in parts if part)


class ImportedTable(Record):
    """A table of published figures.

    Attributes
    ----------
    id
        Its name here.
    source
        An address, or a reference that leads to where it was published.
    published
        When; none where the source does not say.
    licence
        On what terms it may be passed on.
    imported
        When it was read in here.
    file, sha256
        The name of the file that was read, and the hash of its bytes.
    mapping
        What each column was taken for: a field of :class:`ImportedFigure`, or of
        ``latency_ms`` with its backend, to the column's name; constants begin with ``=``.
    """

    id: TableName
    source: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    published: date | None = None
    licence: Word
    imported: datetime
    harness_version: str
    file: Word
    sha256: str
    mapping: dict[str, str] = Field(default_factory=dict)
    figures: Annotated[list[ImportedFigure], Field(min_length=1)]
