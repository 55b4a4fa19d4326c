"""Stages that failed: remembered under the identity of what they were to make.

The same script on the same inputs with the same tools fails in the same way: it is not run again,
for other targets or when a campaign is resumed, until its identity changes or somebody asks for
it. What depends on the machine at the moment (no room, no memory, no interpreter) is not kept.
"""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.core.reason import Reason
from harness.models import reasons
from harness.models.toolchain import StageFailedError, ToolchainError
from harness.workspace import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["forget", "of_a_stage", "read", "remember"]

_FAILURE = "failure.json"
_LOG = "log.txt"
# Of the machine, and not of the stage: ended from outside, no memory, no room. The words are of
# the tools, which have no code for it.
_OUTSIDE = {"SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"}
_PASSING = re.compile(
    r"No space left|MemoryError|[Oo]ut of memory|bad_alloc|Disk quota|Read-only file system"
    r"|Resource temporarily unavailable|has changed since"
)


@contextmanager
def of_a_stage() -> Iterator[None]:
    """Make of a stage's error one that is remembered, unless the machine is to blame."""
    try:
        yield
    except ToolchainError as error:
        if any(map(_is_passing, error.reason.chain())):
            raise
        failed = StageFailedError(error.reason)
        failed.log = error.log
        raise failed from error


def _is_passing(reason: Reason) -> bool:
    if reason.code == reasons.NOT_STARTED.name or reason.facts.get("signal") in _OUTSIDE:
        return True
    return any(isinstance(fact, str) and _PASSING.search(fact) for fact in reason.facts.values())


def remember(folder: Path, final: Path, error: StageFailedError) -> None:
    """Leave nothing but the reason and the log in an artifact's folder, which is renamed after."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    reason = error.reason
    if error.log and error.log.exists():
        shutil.move(error.log, folder / _LOG)
        facts = reason.facts | ({"log": str(final / _LOG)} if "log" in reason.facts else {})
        reason = reason.model_copy(update={"facts": facts})
    (folder / _FAILURE).write_text(reason.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read(folder: Path) -> StageFailedError | None:
    """Return why the stage that was to fill a folder failed, if it did."""
    try:
        content = (folder / _FAILURE).read_text(encoding="utf-8")
        return StageFailedError(Reason.model_validate_json(content))
    except (OSError, ValueError):
        return None


def forget() -> None:
    """Forget all failures, so that the stages are run again."""
    for found in (cache_dir() / "artifacts").glob(f"*/{_FAILURE}"):
        shutil.rmtree(found.parent, ignore_errors=True)
