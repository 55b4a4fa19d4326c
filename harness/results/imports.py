"""Published tables, read from CSV files: bounded, strict, and with every fault named."""

from __future__ import annotations

import csv
import hashlib
import io
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

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date
    from pathlib import Path

__all__ = ["FIELDS", "Citation", "Reading", "read_table"]

MAX_BYTES: Final = 4 << 20
MAX_ROWS: Final = 5000
MAX_COLUMNS: Final = 200
MAX_FIGURES: Final = 5000
FAULTS_SHOWN: Final = 20

UNITS: Final = {"ms": Decimal(1), "us": Decimal("0.001"), "s": Decimal(1000)}
TEXTS: Final = ("model", "device", "engine", "backend", "precision", "statistic", "source")
NUMBERS: Final = ("threads", "launches", "samples", "macs")
FIELDS: Final = (*TEXTS, *NUMBERS, "npu", "latency_ms", "low_ms", "high_ms")
"""What a column can be; ``_ms`` can be ``_us`` or ``_s``, and can be followed by ``:BACKEND``."""

_FIGURE = re.compile(r"(latency|low|high)_(ms|us|s)(?::(cpu|gpu|npu(?::[\w.-]{1,60})?))?", re.ASCII)
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
    """

    table: ImportedTable
    left_out: list[str]
    empty: int


@dataclass(frozen=True)
class _Latency:
    """A column of latencies, with those of its interval's ends."""

    column: str
    scale: Decimal
    backend: str | None
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
        The file cannot be read, is too large, no CSV in UTF-8, or does not hold what it is taken
        for: all faults are named, each with its line.
    """
    content = _content(path)
    header, rows = _rows(path, content, delimiter)
    fields = _fields(path, header, mapping, constants)
    latencies = list(_latencies(path, fields))
    figures: list[ImportedFigure] = []
    faults: list[str] = []
    empty = 0
    for line, row in rows:
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
            f"{path}: {count(len(figures), 'figure')}; from 1 to {MAX_FIGURES} can be imported"
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
    return Reading(made, [column for column in header if column not in used], empty)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpecificationError(f"{path}: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise SpecificationError(
            f"{path}: larger than {MAX_BYTES >> 20} MiB, which no published table is",
            hint="cut it down to the rows and columns that matter",
        )
    return content


def _rows(
    path: Path, content: bytes, delimiter: str
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header, and each row with its line; all rows are as long as the header."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SpecificationError(
            f"{path}:{line}: not UTF-8 text", hint="convert it, for example with iconv"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise SpecificationError(f"{path}:{line}: a NUL character, which no CSV file has")
    rows = []
    before = 0
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append((before + 1, [cell.strip() for cell in row]))
            before = reader.line_num
            if len(rows) > MAX_ROWS:
                raise SpecificationError(f"{path}: more than {MAX_ROWS} rows")
    except csv.Error as error:
        raise SpecificationError(f"{path}:{before + 1}: {error}") from None
    if not rows:
        raise SpecificationError(f"{path}: empty")
    (_, header), *rest = rows
    _check_header(path, header, delimiter)
    for line, row in rest:
        if len(row) != len(header):
            raise SpecificationError(
                f"{path}:{line}: {count(len(row), 'cell')} instead of {len(header)}",
                hint="quote cells that hold the delimiter",
            )
    return header, rest


def _check_header(path: Path, header: list[str], delimiter: str) -> None:
    if len(header) > MAX_COLUMNS:
        raise SpecificationError(f"{path}: more than {MAX_COLUMNS} columns")
    if len(header) == 1:
        others = [each for each in (";", "\t", "|", ",") if each in header[0] and each != delimiter]
        raise SpecificationError(
            f"{path}:1: a single column",
            hint=f"--delimiter '{others[0]}'" if others else "the first line must name the columns",
        )
    for index, column in enumerate(header):
        if not column or column in header[:index]:
            fault = f"two columns are named '{column}'" if column else "a column has no name"
            raise SpecificationError(f"{path}:1: {fault}", hint="give each a name of its own")


def _fields(
    path: Path, header: list[str], mapping: Mapping[str, str], constants: Mapping[str, str]
) -> dict[str, str]:
    """Return each field's column: as mapped, and of the columns that are called like a field."""
    for field in (*mapping, *constants):
        if field not in FIELDS and not _FIGURE.fullmatch(field):
            raise SpecificationError(f"there is no field '{field}'", hint=nearest(field, FIELDS))
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
    missing = [name for name in ("model", "device") if name not in {*fields, *constants}]
    if missing:
        raise SpecificationError(
            f"{path}: no column for {' and '.join(missing)}",
            hint=f"--map {missing[0]}=COLUMN, of: {', '.join(header)}",
        )
    return fields


def _latencies(path: Path, fields: Mapping[str, str]) -> Iterator[_Latency]:
    parts = {field: found for field in fields if (found := _FIGURE.fullmatch(field))}
    for field, (what, unit, backend) in ((field, found.groups()) for field, found in parts.items()):
        if what == "latency":
            ends = {
                end[1]: (fields[other], UNITS[end[2]])
                for other, end in parts.items()
                if end[1] != "latency" and end[3] == backend
            }
            yield _Latency(fields[field], UNITS[unit], backend, ends)
    if not any(found[1] == "latency" for found in parts.values()):
        raise SpecificationError(
            f"{path}: no column of latencies", hint="--map latency_ms=COLUMN, or latency_ms:npu=…"
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
        What stands there is no latency, or something in its row is not what it is taken for.
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
        raise ValueError(f"column {column}: {text[:40]!r} is no number above 0{hint}")
    return float(Decimal(text) * scale)


def _whole(text: str, field: str) -> int:
    if not re.fullmatch(r"\d{1,13}", text, re.ASCII):
        raise ValueError(f"{field}: {text[:40]!r} is no whole number")
    return int(text)


def _said(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in fault["loc"])
    message = fault["msg"]
    return f"{where}: {message[:1].lower()}{message[1:]}, got {str(fault['input'])[:40]!r}"
