"""Exported tables as files: written whole or not at all, read strictly."""

from __future__ import annotations

import csv
import json
import os
import re
import typing
from contextlib import contextmanager
from datetime import date, datetime
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Literal, cast

from pydantic import ValidationError

from harness.core.errors import ResultsError, SpecificationError
from harness.core.text import visible
from harness.export.rows import LEVELS, SCHEMA_VERSION, Level, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["FORMATS", "Format", "kind_of", "read", "require", "write"]

Format = Literal["jsonl", "csv", "parquet"]
FORMATS: Final[dict[str, Format]] = {".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet"}

Kind = Literal["text", "integer", "number", "flag", "time", "date"]
_KINDS: Final[dict[type, Kind]] = {
    str: "text", int: "integer", float: "number", bool: "flag", datetime: "time", date: "date",
}  # fmt: skip

ROW_GROUP: Final = 50_000
MAX_LINE: Final = 1 << 20
METADATA: Final = b"edge_harness_schema"

# What a spreadsheet takes for a formula, full-width forms among it; and what it skips before.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_QUOTED = re.compile("'+[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def kind_of(row: type[Row], column: str) -> Kind:
    """Return the kind of a column."""
    annotation: Any = row.model_fields[column].annotation
    kinds = typing.get_args(annotation) or (annotation,)  # of "int | None", or "int"
    return next(_KINDS[each] for each in kinds if each in _KINDS)


def require(module: str, what: str) -> Any:  # noqa: ANN401 - a module
    """Return an optional module.

    Raises
    ------
    SpecificationError
        It is not installed: with the line that installs it.
    """
    try:
        return import_module(module)
    except ImportError:
        raise SpecificationError(
            f"{what} needs {module.partition('.')[0]}, which is not installed",
            hint="pip install 'edge-harness[data]'",
        ) from None


def write(rows: Iterable[Row], level: Level, target: Path | IO[str], form: Format) -> int:
    """Write rows of a level; return how many.

    Parameters
    ----------
    target
        A file that is replaced when all is written, and not before; or a text stream.

    Raises
    ------
    SpecificationError
        The file cannot be written, the format is not for streams, or its module is missing.
    """
    row = LEVELS[level]
    if not isinstance(target, Path):
        if form == "parquet":
            raise SpecificationError(
                "Parquet is not a text format", hint="name a file: -o FILE.parquet"
            )
        # Others' names may hold what a terminal obeys; a file gets them as they are.
        stream = cast("IO[str]", _Terminal(target)) if target.isatty() else target
        return _WRITERS[form](rows, row, stream)
    if form == "parquet":
        require("pyarrow", "Parquet")
    try:
        with _replaced(target) as part:
            if form == "parquet":
                return _write_parquet(rows, row, part)
            with part.open("w", encoding="utf-8", newline="") as file:
                return _WRITERS[form](rows, row, file)
    except OSError as error:
        raise SpecificationError(
            f"{target}: {error.strerror or error}", hint="name a file in an existing folder"
        ) from None


class _Terminal:
    """Writes text to a terminal with every invisible character made visible."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text."""
        return self._stream.write(visible(text))


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """Give a file beside a path, which takes its place in the end; else it is removed."""
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write_jsonl(rows: Iterable[Row], row: type[Row], file: IO[str]) -> int:
    del row
    number = 0
    for each in rows:
        file.write(each.model_dump_json() + "\n")
        number += 1
    return number


def _write_csv(rows: Iterable[Row], row: type[Row], file: IO[str]) -> int:
    writer = csv.writer(file)
    writer.writerow(row.model_fields)
    number = 0
    for each in rows:
        writer.writerow([_cell(value) for _, value in each])
        number += 1
    return number


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, str):
        # A device may have put a formula there, which a spreadsheet would run.
        return f"'{value}" if _FORMULA.match(value) else value
    return repr(value)


_WRITERS: Final = {"jsonl": _write_jsonl, "csv": _write_csv}


def _write_parquet(rows: Iterable[Row], row: type[Row], path: Path) -> int:
    pa, pq = require("pyarrow", "Parquet"), require("pyarrow.parquet", "Parquet")
    number = 0
    each = iter(rows)
    schema = _arrow_schema(row)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while group := list(islice(each, ROW_GROUP)):
            columns = {name: [getattr(one, name) for one in group] for name in row.model_fields}
            writer.write_table(pa.table(columns, schema=schema))
            number += len(group)
    return number


def _arrow_schema(row: type[Row]) -> Any:  # noqa: ANN401 - pyarrow has no types
    pa = require("pyarrow", "Parquet")
    kinds = {
        "text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "flag": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"), "date": pa.date32(),
    }  # fmt: skip
    fields = [pa.field(name, kinds[kind_of(row, name)]) for name in row.model_fields]
    return pa.schema(fields, metadata={METADATA: row.schema_name().encode()})


def read(path: Path) -> tuple[type[Row], list[dict[str, Any]]]:
    """Read an exported file, checked: the kind of its rows, and the rows.

    Columns that a file of an older harness does not have are none.

    Raises
    ------
    SpecificationError
        There is no such file, its name has no known suffix, or its format's module is missing.
    ResultsError
        It is not an exported table, of a newer version, damaged, or cut off.
    """
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise SpecificationError(f"{path}: not one of {', '.join(FORMATS)}")
    try:
        found = _read_parquet(path) if form == "parquet" else _read_text(path, form)
    except OSError as error:
        raise SpecificationError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ResultsError(f"{path}: not UTF-8 text", hint=_AGAIN) from None
    return found


_AGAIN: Final = "export it again: harness export"


def _read_text(path: Path, form: Format) -> tuple[type[Row], list[dict[str, Any]]]:
    row: type[Row] | None = None
    rows = []
    _check_end(path)
    with path.open(encoding="utf-8", newline="") as file:
        lines = _json_lines(path, file) if form == "jsonl" else _csv_lines(path, file)
        for line, values in lines:
            if row is None:
                row = _row_of(f"{path}:{line}", values.get("table_schema"))
            try:
                rows.append(dict(row.model_validate(values)))
            except ValidationError as error:
                fault = error.errors(include_url=False)[0]
                where = ".".join(str(part) for part in fault["loc"])
                raise ResultsError(f"{path}:{line}: {where}: {fault['msg']}", hint=_AGAIN) from None
    if row is None:
        raise ResultsError(f"{path}: no rows", hint=_AGAIN)
    return row, rows


def _check_end(path: Path) -> None:
    """Refuse a text whose last line does not end: a number may have lost its last digits."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                raise ResultsError(f"{path}: truncated", hint=_AGAIN)


def _json_lines(path: Path, file: IO[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(iter(lambda: file.readline(MAX_LINE + 1), ""), 1):
        try:
            values = json.loads(line) if line.endswith("\n") else None  # or it is too long
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            raise ResultsError(f"{path}:{number}: not a JSON object", hint=_AGAIN)
        yield number, values


def _csv_lines(path: Path, file: IO[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(file, strict=True)
    try:
        header = next(reader, [])
        for row in reader:
            if len(row) != len(header):
                raise ResultsError(
                    f"{path}:{reader.line_num}: {len(row)} cells instead of {len(header)}: "
                    f"truncated or edited",
                    hint=_AGAIN,
                )
            values = (
                None if not cell else cell[1:] if _QUOTED.match(cell) else cell for cell in row
            )
            yield reader.line_num, dict(zip(header, values, strict=True))
    except csv.Error as error:
        raise ResultsError(f"{path}:{reader.line_num}: {error}", hint=_AGAIN) from None


def _read_parquet(path: Path) -> tuple[type[Row], list[dict[str, Any]]]:
    pa, pq = require("pyarrow", "Parquet"), require("pyarrow.parquet", "Parquet")
    try:
        with pq.ParquetFile(path) as file:
            named = (file.schema_arrow.metadata or {}).get(METADATA, b"").decode(errors="replace")
            row = _row_of(str(path), named)
            expected = _arrow_schema(row)
            table = file.read()
    except pa.ArrowException as error:
        line = str(error).splitlines()[0]
        raise ResultsError(f"{path}: damaged or truncated: {line}", hint=_AGAIN) from None
    for field in table.schema:
        if field.name not in expected.names or field.type != expected.field(field.name).type:
            raise ResultsError(f"{path}: unknown column {field.name}", hint=_AGAIN)
    missing = _missing(row, table.schema.names)
    if missing:
        raise ResultsError(f"{path}: no column {missing[0]}", hint=_AGAIN)
    return row, [dict(row.model_construct(**values)) for values in table.to_pylist()]


def _missing(row: type[Row], names: Iterable[str]) -> list[str]:
    present = set(names)
    return [
        name
        for name, field in row.model_fields.items()
        if field.is_required() and name not in present
    ]


def _row_of(where: str, named: object) -> type[Row]:
    found = re.fullmatch(r"edge-harness\.([a-z]+)/(\d{1,6})", str(named), re.ASCII)
    row = next((each for level, each in LEVELS.items() if found and level == found[1]), None)
    if found is None or row is None:
        raise ResultsError(f"{where}: not a table written by harness export")
    if int(found[2]) > SCHEMA_VERSION:
        raise ResultsError(
            f"{where}: schema {found[0]} is newer than this harness knows ({SCHEMA_VERSION})",
            hint="upgrade edge-harness",
        )
    return row
