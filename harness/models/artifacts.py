"""Artifacts as they are in the user's cache, shared by all workspaces: read and verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from harness.core.hashing import sha256_of
from harness.core.records import ArtifactRecord
from harness.models.formats import roles

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["RECORD", "Artifact", "read", "unchanged"]

RECORD = "provenance.json"


@dataclass(frozen=True)
class Artifact:
    """A built artifact.

    Attributes
    ----------
    folder
        Where its files are.
    roles
        Role (``model``, ``params``) to file name.
    """

    record: ArtifactRecord
    folder: Path
    roles: Mapping[str, str]

    def path(self, role: str) -> Path:
        """Return the path of the file with a role."""
        return self.folder / self.roles[role]

    @property
    def paths(self) -> dict[str, Path]:
        """The path of the file with each role."""
        return {role: self.path(role) for role in self.roles}


def read(folder: Path) -> Artifact | None:
    """Return the artifact in a folder; none where its record is missing or cannot be read."""
    try:
        text = (folder / RECORD).read_text(encoding="utf-8")
        record = ArtifactRecord.model_validate_json(text)
    except (OSError, ValidationError):
        return None
    files = roles(record.format)
    return Artifact(record, folder, files) if files else None


def unchanged(artifact: Artifact) -> bool:
    """Return whether an artifact's files are those that were built.

    Only files that were written after its record are read: a hundred megabytes for each artifact
    would make a build that has nothing to do take minutes.
    """
    try:
        made = (artifact.folder / RECORD).stat().st_mtime_ns
        states = {name: (artifact.folder / name).stat() for name in artifact.record.files}
    except OSError:
        return False
    if sum(state.st_size for state in states.values()) != artifact.record.size_bytes:
        return False
    return all(
        state.st_mtime_ns <= made
        or sha256_of(artifact.folder / name) == artifact.record.files[name]
        for name, state in states.items()
    )
