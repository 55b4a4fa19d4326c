"""Results as pandas data frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.core.errors import SpecificationError
from harness.core.yamlfile import nearest
from harness.export.files import FORMATS, kind_of, read, require
from harness.export.rows import LEVELS, imported_rows, run_rows
from harness.results.sqlite import SqliteStore
from harness.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from harness.export.rows import Level, Row
    from harness.results.store import Store

__all__ = ["load_results", "stored_rows"]

_DTYPES: Final = {
    "text": "string", "integer": "Int64", "number": "float64", "flag": "boolean",
    "time": "datetime64[us, UTC]", "date": "datetime64[us]",
}  # fmt: skip


def load_results(
    source: str | Path | None = None,
    *,
    level: Level | None = None,
    runs: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return results as a data frame, one row a case, launch, sample or imported figure.

    The columns are described in ``docs/data.md``; what is not known is ``NA``.

    Parameters
    ----------
    source
        A file that ``harness export`` wrote (``.jsonl``, ``.csv``, ``.parquet``), a results
        database (``.sqlite``), or a workspace's folder; by default the workspace around the current
        folder.
    level
        ``case``, ``launch`` (the default), ``sample`` or ``imported``; of a file, what it holds.
    runs
        Ids of runs, in the order in which their rows are to come; by default all, the oldest first.

    Raises
    ------
    SpecificationError
        pandas is not installed, or there is no such source, level or run.
    ResultsError
        The source is damaged, or of a newer version.

    Examples
    --------
    >>> launches = harness.load_results()
    >>> launches[launches.counted].groupby(["model", "engine"]).latency_ms.median()
    """
    pandas = require("pandas", "load_results")
    if level is not None and level not in LEVELS:
        raise SpecificationError(f"no level '{level}'", hint=nearest(level, LEVELS))
    path = Path(source) if source is not None else None
    if path is not None and path.suffix.lower() in FORMATS:
        row, rows = read(path)
        if level not in (None, row.level):
            raise SpecificationError(f"{path} holds rows of level '{row.level}', not '{level}'")
        if runs is not None:
            raise SpecificationError(
                "runs can be selected from a database, not from an exported file"
            )
        return _frame(pandas, row, rows)
    wanted = level or "launch"
    with _opened(path) as store:
        found = stored_rows(store, wanted, runs=runs)
        return _frame(pandas, LEVELS[wanted], (dict(each) for each in found))


def stored_rows(store: Store, level: Level, *, runs: Sequence[str] | None) -> Iterator[Row]:
    """Yield the rows of some runs, or of all, the oldest first.

    Raises
    ------
    SpecificationError
        There is no such run.
    """
    if level == "imported":
        yield from imported_rows(store.imported())
        return
    if runs is None:
        runs = [summary.id for summary in store.summaries()][::-1]
    for run in runs:
        yield from run_rows(store.load(run), level)


def _opened(path: Path | None) -> Store:
    if path is None or path.is_dir():
        workspace = Workspace.find(path)
        if workspace.has_results():
            return workspace.store()
        path = workspace.database
    if not path.is_file():
        raise SpecificationError(
            f"{path}: no results database",
            hint="name a workspace, a .sqlite file, or a file written by harness export",
        )
    return SqliteStore(path)  # one that was handed on, of no workspace here


def _frame(pandas: Any, row: type[Row], rows: Any) -> pd.DataFrame:  # noqa: ANN401
    values: dict[str, list[Any]] = {name: [] for name in row.model_fields}
    appends = [(name, column.append) for name, column in values.items()]
    for each in rows:
        for name, append in appends:
            append(each[name])
    return pandas.DataFrame(
        {
            name: pandas.Series(column, dtype=_DTYPES[kind_of(row, name)])
            for name, column in values.items()
        }
    )
