"""Published tables in the forms that people have: CSV, Markdown, and what benchmark tools print.

Each becomes a header and rows of cells, each row with its line in the file.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from harness.core.errors import SpecificationError
from harness.core.text import count

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

__all__ = ["MAX_ROWS", "Grid", "read_grid"]

MAX_ROWS: Final = 5000
MAX_COLUMNS: Final = 200

Row = tuple[int, list[str]]


@dataclass(frozen=True)
class Grid:
    """A table's cells.

    Attributes
    ----------
    header
        The columns' names.
    rows
        Each with its line, as long as the header.
    printed_by
        The tool whose printed output it is; empty for a table.
    """

    header: list[str]
    rows: list[Row]
    printed_by: str = ""


def read_grid(text: str, delimiter: str, constants: Collection[str]) -> Grid:
    """Read a table in whatever form it is.

    Parameters
    ----------
    delimiter
        What separates cells, where it is CSV.
    constants
        Fields that the user says: a tool's output is not asked for these.

    Raises
    ------
    SpecificationError
        It is none, or not one from which a latency can be taken; what follows the file's name.
    """
    for tool, is_its, read in _TOOLS:
        if is_its(text):
            return _printed(tool, read(text), constants)
    lines = text.splitlines()
    rule = next((at for at in range(1, len(lines)) if _is_rule(lines[at - 1], lines[at])), None)
    header, *rows = _csv(text, delimiter) if rule is None else _markdown(lines, rule)
    _check_header(header[1], delimiter)
    for line, row in rows:
        if len(row) != len(header[1]):
            raise SpecificationError(
                f":{line}: {count(len(row), 'cell')} instead of {len(header[1])}",
                hint="quote cells that hold the delimiter",
            )
    return Grid(header[1], rows)


# --- CSV ---


def _csv(text: str, delimiter: str) -> list[Row]:
    # Excel's own: a first line that says what separates cells.
    said = re.match(r'"?sep=([^"\r\n])"?\r?\n', text, re.IGNORECASE)
    if said:
        delimiter = said[1]
    rows: list[Row] = []
    before = 0
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for number, row in enumerate(reader):
            if any(cell.strip() for cell in row) and not (said and number == 0):
                rows.append((before + 1, [cell.strip() for cell in row]))
            before = reader.line_num
            if len(rows) > MAX_ROWS:
                raise SpecificationError(f": more than {MAX_ROWS} rows")
    except csv.Error as error:
        raise SpecificationError(f":{before + 1}: {error}") from None
    if not rows:
        raise SpecificationError(": empty")
    return rows


# --- Markdown ---

_RULE: Final = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*")


def _is_rule(header: str, line: str) -> bool:
    """Whether a line is the rule between a Markdown table's header and its rows."""
    if "|" not in header or not _RULE.fullmatch(line):
        return False
    return len(_bars(line)) == len(_bars(header))


def _bars(line: str) -> list[str]:
    """Part a line at its bars; the outer ones part nothing, and an escaped one is itself."""
    inner = line.strip().removeprefix("|")
    if inner.endswith("|") and not inner.endswith("\\|"):
        inner = inner[:-1]
    cells = re.split(r"(?<!\\)\|", inner)
    return [cell.replace("\\|", "|").strip().strip("*`").strip() for cell in cells]


def _markdown(lines: list[str], rule: int) -> list[Row]:
    rows = [(rule, _bars(lines[rule - 1]))]
    end = rule + 1
    while end < len(lines) and "|" in lines[end]:
        rows.append((end + 1, _bars(lines[end])))
        end += 1
    for at in range(end + 1, len(lines)):
        if _is_rule(lines[at - 1], lines[at]):
            raise SpecificationError(
                f":{at}: a second table", hint="split the file and import one table at a time"
            )
    if len(rows) > MAX_ROWS:
        raise SpecificationError(f": more than {MAX_ROWS} rows")
    return rows


def _check_header(header: list[str], delimiter: str) -> None:
    if len(header) > MAX_COLUMNS:
        raise SpecificationError(f": more than {MAX_COLUMNS} columns")
    if len(header) == 1:
        others = [each for each in (";", "\t", "|", ",") if each in header[0] and each != delimiter]
        raise SpecificationError(
            ":1: a single column",
            hint=f"--delimiter '{others[0]}'"
            if others
            else "the first line must name the columns; of tools' printed outputs these are read: "
            + ", ".join(tool for tool, _, _ in _TOOLS),
        )
    for index, column in enumerate(header):
        if not column or column in header[:index]:
            fault = f"two columns are named '{column}'" if column else "a column has no name"
            raise SpecificationError(f":1: {fault}", hint="give each a unique name")


# --- what tools print ---


@dataclass
class _Printed:
    """What a tool's output says: fields that hold for all of it, and its rows."""

    same: dict[str, str]
    columns: tuple[str, ...]
    rows: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)


def _printed(tool: str, found: _Printed, constants: Collection[str]) -> Grid:
    if not found.rows:
        raise SpecificationError(
            f": no latency in this output of {tool}", hint="provide its complete output"
        )
    same = {name: value for name, value in found.same.items() if value and name not in constants}
    kept = [at for at, column in enumerate(found.columns) if column not in constants]
    header = [*same, *(found.columns[at] for at in kept)]
    rows = [(line, [*same.values(), *(cells[at] for at in kept)]) for line, cells in found.rows]
    return Grid(header, rows, tool)


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1].strip() if match else ""


def _lines_of(pattern: str, text: str) -> Iterator[tuple[int, re.Match[str]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.search(pattern, line):
            yield number, match


def _benchncnn(text: str) -> _Printed:
    gpu = _found(r"^gpu_device\s*=\s*(-?\d+)", text)
    found = _Printed(
        {
            "engine": "ncnn",
            "backend": "cpu" if gpu in {"", "-1"} else "gpu",
            "threads": _found(r"^num_threads\s*=\s*(\d+)", text),
            "samples": _found(r"^loop_count\s*=\s*(\d+)", text),
            "statistic": "mean",
        },
        ("model", "latency_ms"),
    )
    for line, match in _lines_of(_NCNN, text):
        found.rows.append((line, (match[1], match[2])))
    return found


def _mnn(text: str) -> _Printed:
    kind = _found(r"Forward type:\s*\**(\w+)", text).lower()
    found = _Printed(
        {
            "engine": "mnn",
            "backend": "cpu" if kind in {"", "cpu"} else "gpu",
            "threads": _found(r"\bthread\s*=\s*(\d+)", text),
            "samples": _found(r"\bloop\s*=\s*(\d+)", text),
            "statistic": "mean",
        },
        ("model", "latency_ms"),
    )
    for line, match in _lines_of(_MNN, text):
        found.rows.append((line, (match[1].removesuffix(".mnn"), match[2])))
    return found


def _tflite(text: str) -> _Printed:
    graph = _found(r"^.*?\bGraph: \[([^\]]+)\]", text) or _found(r"Loaded model (\S+)", text)
    used = _found(r"(?:Num threads|#threads used for CPU inference): \[(\d+)\]", text)
    found = _Printed(
        {
            "model": graph.rpartition("/")[2].removesuffix(".tflite"),
            "engine": "tflite",
            "threads": used,
            "statistic": "mean",
        },
        ("latency_us",),
    )
    for line, match in _lines_of(_TFLITE, text):
        found.rows.append((line, (match[1],)))
    return found


def _of_one_at_a_time(requests: str) -> None:
    if requests not in {"", "1"}:
        raise SpecificationError(
            f": benchmark_app ran {requests} requests at once, so its latencies include "
            f"waiting for each other",
            hint="measure one at a time: benchmark_app -hint latency, or -nireq 1 -nstreams 1",
        )


def _benchmark_app(text: str) -> _Printed:
    requests = _found(r"using (\d+) inference requests", text)
    _of_one_at_a_time(requests or _found(r"NUM_STREAMS\s*:\s*(\d+)", text))
    path = _found(r"(?:-m|--path_to_model)[ =](\S+)", text)
    model = _found(r"Model name:\s*(\S+)", text) or re.sub(r"\.\w+$", "", path.rpartition("/")[2])
    device = _found(r"Execution Devices:\s*\[?'?(CPU|GPU|NPU)\b", text).lower()
    device = device or _found(r"\[ INFO \]\s+(CPU|GPU|NPU)\s*$", text).lower()
    found = _Printed(
        {
            "model": model,
            "engine": "openvino",
            "backend": device,
            "samples": _found(r"Count:\s+(\d+) iterations", text),
            "statistic": "median",
        },
        ("latency_ms",),
    )
    for line, match in _lines_of(_OPENVINO, text):
        found.rows.append((line, (match[1],)))
    return found


def _benchmark_app_report(text: str) -> _Printed:
    said: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, separator, value = line.partition(";")
        if separator and value.strip():
            said.setdefault(name.strip().lower(), (number, value.strip().strip(";")))

    def of(*names: str) -> str:
        return next((said[name][1] for name in names if name in said), "")

    _of_one_at_a_time(of("number of parallel infer requests"))
    device = of("target device").lower()
    found = _Printed(
        {
            "model": of("topology", "model name"),
            "engine": "openvino",
            "backend": device if device in {"cpu", "gpu", "npu"} else "",
            "precision": of("precision").lower(),
            "samples": of("total number of iterations"),
            "statistic": "median",
        },
        ("latency_ms",),
    )
    for name in ("median latency (ms)", "latency (ms)"):
        if name in said:
            found.rows.append((said[name][0], (said[name][1],)))
            break
    return found


def _mlperf(text: str) -> _Printed:
    scenario = _found(r"^Scenario\s*:\s*(\S+)", text)
    if scenario != "SingleStream":
        raise SpecificationError(
            f": MLPerf's scenario {scenario or 'is not told, and'} gives no latency of one "
            "inference at a time",
            hint="import a summary of scenario SingleStream",
        )
    if _found(r"^Result is\s*:\s*(\S+)", text) != "VALID":
        raise SpecificationError(
            ": MLPerf's own check marks this result as invalid", hint="see its log"
        )
    found = _Printed(
        {
            "device": _found(r"^SUT name\s*:\s*(.+)", text),
            "samples": _found(r"^max_query_count\s*:\s*([1-9]\d*)", text),
            "statistic": "median",
        },
        ("latency_ns",),
    )
    for line, match in _lines_of(_MLPERF, text):
        found.rows.append((line, (match[1],)))
    return found


_NCNN: Final = r"^\s*(\S+)\s+min\s*=\s*[\d.]+\s+max\s*=\s*[\d.]+\s+avg\s*=\s*([\d.]+)\s*$"
_MNN: Final = r"\[ - \]\s+(\S+)\s+max\s*=.*?\bavg\s*=\s*([\d.]+)\s*ms"
_TFLITE: Final = r"Inference \(avg\): ([\d.e+]+)"
_OPENVINO: Final = r"\[ INFO \]\s+Median:\s+([\d.]+) ms"
_MLPERF: Final = r"^50\.00 percentile latency \(ns\)\s*:\s*(\d+)"

_TOOLS: Final[tuple[tuple[str, Callable[[str], object], Callable[[str], _Printed]], ...]] = (
    ("benchncnn", re.compile(_NCNN, re.MULTILINE).search, _benchncnn),
    ("MNN's benchmark.out", re.compile(r"\[ - \]\s+\S+\s+max\s*=").search, _mnn),
    ("TFLite's benchmark_model", re.compile(r"Inference timings in us").search, _tflite),
    (
        "OpenVINO's benchmark_app",
        re.compile(r"\[Step \d+/11\]|\[ INFO \]\s+Throughput:").search,
        _benchmark_app,
    ),
    (
        "benchmark_app's report",
        re.compile(r"^number of parallel infer requests;", re.MULTILINE | re.IGNORECASE).search,
        _benchmark_app_report,
    ),
    ("MLPerf's summary", re.compile(r"^MLPerf Results Summary", re.MULTILINE).search, _mlperf),
)
