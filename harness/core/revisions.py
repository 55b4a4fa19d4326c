"""The workspace's git commits: at which one results were measured, and what is between two."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DIRTY", "Between", "between", "commits", "full_name", "revision"]

DIRTY: Final = "+"
"""What a revision ends with where files differed from the commit."""
LISTED: Final = 20
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._/-]{0,199}", re.ASCII)  # as git describe gives it


@dataclass(frozen=True)
class Between:
    """The commits after one revision, up to another.

    Attributes
    ----------
    range
        As git takes it: ``good..bad``; empty where there is none.
    count
        How many commits; none where that is not known.
    commits
        The newest of them, a line each.
    note
        What is to be known beside: why there is no range, or what is not in it.
    """

    range: str = ""
    count: int | None = None
    commits: tuple[str, ...] = ()
    note: str = ""


def revision(folder: Path) -> str | None:
    """Return a folder's git commit, with a plus sign where files differ from it."""
    return _git(folder, "describe", "--always", "--abbrev=12", f"--dirty={DIRTY}")


def between(folder: Path, good: str | None, bad: str | None) -> Between:
    """Return what is between two revisions, as :func:`revision` gave them.

    Parameters
    ----------
    good, bad
        They come from records: what is no commit of this repository is said, not tried.
    """
    if good is None or bad is None:
        return Between(note="a run's commit is not on record")
    dirty = [name for name in (good, bad) if name.endswith(DIRTY)]
    note = ""
    if dirty:
        note = f"files differed from {' and '.join(dirty)}: the cause may be in no commit"
    one, other = good.rstrip(DIRTY), bad.rstrip(DIRTY)
    for name in (one, other):
        if not _commit(folder, name):
            return Between(note=f"{name[:60]} is no commit of this repository")
    if _commit(folder, one) == _commit(folder, other):
        return Between(count=0, note=note or "both runs are of one commit: none is to blame")
    if _git(folder, "merge-base", "--is-ancestor", one, other) is None:
        aside = f"{one} is no ancestor of {other}: these are the commits that only the latter has"
        note = "; ".join(filter(None, [aside, note]))
    span = f"{one}..{other}"
    listed = _git(folder, "log", "--oneline", f"--max-count={LISTED}", "--no-decorate", span) or ""
    number = _git(folder, "rev-list", "--count", span)
    return Between(
        span, int(number) if number else None, tuple(filter(None, listed.splitlines())), note
    )


def commits(folder: Path) -> dict[str, int]:
    """Return every commit of a repository, by its full hash, with its place: ancestors first."""
    listed = _git(folder, "rev-list", "--topo-order", "--reverse", "--all") or ""
    return {commit: place for place, commit in enumerate(listed.split())}


def full_name(folder: Path, name: str | None) -> str | None:
    """Return the full hash of a revision's commit; none where there is no such commit here."""
    return _commit(folder, name.rstrip(DIRTY)) if name else None


def _commit(folder: Path, name: str) -> str | None:
    if not _NAME.fullmatch(name) or ".." in name:
        return None
    return _git(folder, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git says, which may be nothing; none where it fails, or is not there."""
    if shutil.which("git") is None:
        return None
    said = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    return said.stdout.strip() if said.returncode == 0 else None
