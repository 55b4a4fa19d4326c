"""Published tables, read from files: bounded, strict, and with every fault named."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from harness import __version__
from harness.core.errors import SpecificationError
from harness.core.text import count
from harness.core.yamlfile import nearest
from harness.results.imported import Cell, ImportedFigure, ImportedTable
from harness.results.tables import MAX_ROWS, read_grid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date
    from pathlib import Path

__all__ = ["FIELDS", "MAX_ROWS", "Citation", "Reading", "read_table"]

MAX_BYTES: Final = 4 << 20
MAX_FIGURES: Final = 5000
FAULTS_SHOWN: Final = 20

UNITS: Final = {
    "ns": Decimal("0.000001"), "us": Decimal("0.001"), "ms": Decimal(1), "s": Decimal(1000)
}  # fmt: skip
TEXTS: Final = ("model", "device", "engine", "backend", "precision", "statistic", "source")
NUMBERS: Final = ("threads", "launches", "samples", "macs")
FIELDS: Final = (*TEXTS, *NUMBERS, "npu", "streams", "latency_ms", "low_ms", "high_ms", "fps")
"""What a column can be; ``_ms`` can be ``_us``, ``_ns`` or ``_s``. A figure's can be followed by
``:BACKEND``, and then by ``@DEVICE``, where each device has a column of its own."""

_FIGURE = re.compile(
    r"(?:(latency|low|high)_(ms|us|ns|s)|(fps))"
    r"(?::(cpu|gpu|npu(?::[\w.-]{1,60})?))?(?:@(.{1,200}))?",
    re.ASCII,
)
# What a column's name says of its figures, where it says so.
_RATE = re.compile(
    r"fps|frames?\s*(?:per|/)\s*s|(?:img|image|inf|it)s?\s*/\s*s\b|qps|throughput", re.IGNORECASE
)
_UNIT = re.compile(r"\(\s*(ns|us|\u00b5s|\u03bcs|ms|s|sec)\s*\)", re.IGNORECASE)
_MANY = re.compile(
    r"\b(?:multi|dual|two|triple|three|quad|all|[2-9])[ _-]*cores?\b|streams?\b|batch",
    re.IGNORECASE,
)
_SUMMARY = frozenset({
    "average", "avg", "avg.", "mean", "geomean", "geo mean", "geometric mean", "total", "sum",
    "median", "overall",
})  # fmt: skip
_NUMBER = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_NOTHING = frozenset({"", "-", "--", "\N{EN DASH}", "\N{EM DASH}", "n/a", "na", "none", "/"})


@dataclass(frozen=True)
class Citation:
    """Where a table is from.

    Attributes
    ----------
    source
        An address, or a reference that leads to where it was published.
    licence
        On what terms it may be passed on; ``unknown`` where that is not known.
    """

    source: str
    licence: str
    published: date | None = None


@dataclass(frozen=True)
class Reading:
    """A table as it was read.

    Attributes
    ----------
    left_out
        Columns that were taken for nothing.
    empty
        How many cells of the latency's columns hold no figure.
    summaries
        The lines of rows that sum others up: they are no model's.
    """

    table: ImportedTable
    left_out: list[str]
    empty: int
    summaries: list[int]


@dataclass(frozen=True)
class _Latency:
    """A column of latencies, with those of its interval's ends."""

    column: str
    scale: Decimal | None  # none of a rate, in frames per second
    backend: str | None
    device: str | None
    ends: dict[str, tuple[str, Decimal]]


def read_table(
    path: Path,
    name: str,
    citation: Citation,
    *,
    mapping: Mapping[str, str],
    constants: Mapping[str, str],
    delimiter: str = ",",
) -> Reading:
    """Read a table of latencies that somebody published.

    Parameters
    ----------
    name
        What to call it.
    mapping
        One of :data:`FIELDS` to the column that it is. A column that is called like a field needs
        none. ``npu`` is the name of the NPU that a latency on backend ``npu`` is of.
    constants
        Fields that are the same in every row.

    Raises
    ------
    SpecificationError
        The file cannot be read, is too large, no table in UTF-8, or does not hold what it is taken
        for: all faults are named, each with its line.
    """
    content = _content(path)
    try:
        grid = read_grid(_text(path, content), delimiter, constants)
    except SpecificationError as error:
        if error.message.startswith(":"):  # it knows the line, and not the file
            raise SpecificationError(f"{path}{error.message}", hint=error.hint) from None
        raise
    header = grid.header
    fields = _fields(path, header, mapping, constants, printed=bool(grid.printed_by))
    latencies = list(_latencies(path, fields))
    figures: list[ImportedFigure] = []
    faults: list[str] = []
    summaries: list[int] = []
    empty = 0
    for line, row in grid.rows:
        if "model" in fields and row[header.index(fields["model"])].lower() in _SUMMARY:
            summaries.append(line)
            continue
        for latency in latencies:
            try:
                figure = _figure(line, dict(zip(header, row, strict=True)), header, latency,
                                 fields, constants)  # fmt: skip
            except ValueError as error:
                faults.append(f"{path}:{line}: {error}")
                continue
            empty += figure is None
            figures += [figure] if figure else []
    if faults:
        more = len(faults) - FAULTS_SHOWN
        shown = faults[:FAULTS_SHOWN] + ([f"and {more} more"] if more > 0 else [])
        raise SpecificationError("\n".join(shown), hint="nothing was imported: correct the file")
    if not figures or len(figures) > MAX_FIGURES:
        raise SpecificationError(
            f"{path}: {count(len(figures), 'figure')}; 1 to {MAX_FIGURES} can be imported"
        )
    used = {*fields.values()}
    table = {
        "id": name,
        "source": citation.source,
        "published": citation.published,
        "licence": citation.licence,
        "imported": datetime.now(UTC),
        "harness_version": __version__,
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "mapping": {**fields, **{field: f"={value}" for field, value in constants.items()}},
        "figures": figures,
    }
    try:
        made = ImportedTable.model_validate(table)
    except ValidationError as error:
        raise SpecificationError(f"{path}: {_said(error)}") from None
    left_out = [column for column in header if column not in used]
    return Reading(made, left_out, empty, summaries)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpecificationError(f"{path}: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise SpecificationError(
            f"{path}: exceeds the {MAX_BYTES >> 20} MiB limit for a table",
            hint="keep only the rows and columns that matter",
        )
    return content


def _text(path: Path, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SpecificationError(
            f"{path}:{line}: not UTF-8 text", hint="convert it, for example with iconv"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise SpecificationError(f"{path}:{line}: a NUL character: not a text file")
    return text


def _fields(
    path: Path,
    header: list[str],
    mapping: Mapping[str, str],
    constants: Mapping[str, str],
    *,
    printed: bool,
) -> dict[str, str]:
    """Return each field's column: as mapped, and of the columns that are called like a field."""
    for field in (*mapping, *constants):
        if field not in FIELDS and not _FIGURE.fullmatch(field):
            raise SpecificationError(f"unknown field '{field}'", hint=nearest(field, FIELDS))
    for field, column in mapping.items():
        if column not in header:
            raise SpecificationError(
                f"{path}: no column '{column}' for {field}", hint=nearest(column, header)
            )
    taken = {*mapping.values()}
    found = {
        column: column
        for column in header
        if column not in taken and (column in FIELDS or _FIGURE.fullmatch(column))
    }
    fields = {**found, **mapping}
    if both := sorted(fields.keys() & constants.keys()):
        raise SpecificationError(f"{path}: both a column and a constant for {', '.join(both)}")
    known = {*fields, *constants}
    if any(figure[5] for field in fields if (figure := _FIGURE.fullmatch(field))):
        known.add("device")  # each has a column of its own
    missing = [name for name in ("model", "device") if name not in known]
    if missing:
        say = f"--set {missing[0]}=NAME"
        columns = f"--map {missing[0]}=COLUMN, of: {', '.join(header)}; or {say}"
        raise SpecificationError(
            f"{path}: no column for {' and '.join(missing)}", hint=say if printed else columns
        )
    return fields


def _latencies(path: Path, fields: Mapping[str, str]) -> Iterator[_Latency]:
    parts = {field: found for field in fields if (found := _FIGURE.fullmatch(field))}
    figures = [field for field, found in parts.items() if found[1] == "latency" or found[3]]
    if not figures:
        raise SpecificationError(
            f"{path}: no column of latencies",
            hint="--map latency_ms=COLUMN, latency_ms:npu=COLUMN, latency_ms@DEVICE=COLUMN, or "
            "fps=COLUMN for frames per second",
        )
    for field in figures:
        _, unit, rate, backend, device = parts[field].groups()
        _check_unit(path, fields[field], unit, rate=bool(rate))
        ends = {
            end[1]: (fields[other], UNITS[end[2]])
            for other, end in parts.items()
            if end[1] in {"low", "high"} and end.groups()[3:] == (backend, device)
        }
        yield _Latency(fields[field], None if rate else UNITS[unit], backend, device, ends)


def _check_unit(path: Path, column: str, unit: str | None, *, rate: bool) -> None:
    """Refuse a column whose own name says that it is something else."""
    if rate:
        if _MANY.search(column):
            raise SpecificationError(
                f"{path}: '{column}' is a rate over several cores, streams or inputs: it does"
                f" not give the latency of one inference",
                hint="import the column of a single core, if there is one",
            )
        return
    if _RATE.search(column):
        raise SpecificationError(
            f"{path}: '{column}' is a rate, not a latency", hint=f"--map 'fps={column}'"
        )
    said = _UNIT.search(column)
    wanted = said[1].lower().replace("\u00b5", "u").replace("\u03bc", "u") if said else unit
    wanted = "s" if wanted == "sec" else wanted
    if wanted != unit:
        raise SpecificationError(
            f"{path}: '{column}' is in {wanted}, not in {unit}",
            hint=f"--map 'latency_{wanted}={column}'",
        )


def _figure(
    line: int,
    row: Mapping[str, str],
    header: list[str],
    latency: _Latency,
    fields: Mapping[str, str],
    constants: Mapping[str, str],
) -> ImportedFigure | None:
    """Return the figure of a cell; none where it is empty.

    Raises
    ------
    ValueError
        What is there is not a latency, or something in its row is not what it is taken for.
    """
    text = row[latency.column]
    if text.lower() in _NOTHING:
        return None
    said = {field: row[column] for field, column in fields.items()} | dict(constants)
    known: dict[str, Any] = {
        field: value
        for field, value in said.items()
        if field in TEXTS and value.lower() not in _NOTHING
    }
    for field in NUMBERS:
        if said.get(field, "").lower() not in _NOTHING:
            known[field] = _whole(said[field], field)
    backend = latency.backend or known.get("backend")
    if backend == "npu" and said.get("npu", "").lower() not in _NOTHING:
        backend = f"npu:{said['npu']}"
    for end, (column, scale) in latency.ends.items():
        if row[column].lower() not in _NOTHING:
            known[f"{end}_ms"] = _number(row[column], column, scale)
    cell = {
        "line": line, "column": latency.column, "position": header.index(latency.column),
        "text": text,
    }  # fmt: skip
    if latency.device:
        known["device"] = latency.device
    if latency.scale is None:
        value = _time_of(text, latency.column, said.get("streams", ""))
        known["derived"] = f"1000 / {text} frames per second"
    else:
        value = _number(text, latency.column, latency.scale)
    try:
        return ImportedFigure.model_validate(
            known | {"cell": Cell.model_validate(cell), "backend": backend, "latency_ms": value}
        )
    except ValidationError as error:
        raise ValueError(_said(error)) from None


def _number(text: str, column: str, scale: Decimal) -> float:
    """Return a number in milliseconds: in decimals, so that 1400 µs are 1.4 ms and nothing else."""
    if not _NUMBER.fullmatch(text):
        hint = " (a decimal comma?)" if re.fullmatch(r"\d+,\d+", text, re.ASCII) else ""
        raise ValueError(f"column {column}: {text[:40]!r} is not a positive number{hint}")
    return float(Decimal(text) * scale)


def _time_of(text: str, column: str, streams: str) -> float:
    """Return how long one of so many frames per second takes, in milliseconds."""
    if streams.lower() not in _NOTHING | {"1"}:
        raise ValueError(f"column {column}: a rate over {streams[:40]} streams is not a latency")
    rate = _number(text, column, Decimal(1))
    if not rate:
        raise ValueError(f"column {column}: {text[:40]!r} frames per second")
    return 1000 / rate


def _whole(text: str, field: str) -> int:
    if not re.fullmatch(r"\d{1,13}", text, re.ASCII):
        raise ValueError(f"{field}: {text[:40]!r} is not a whole number")
    return int(text)


def _said(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in fault["loc"])
    message = fault["msg"][:1].lower() + fault["msg"][1:]
    if fault["type"] == "missing":
        return f"{where}: the cell is empty"
    return f"{where}: {message}, got {str(fault['input'])[:40]!r}"
