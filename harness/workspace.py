"""Where things are: the workspace's folders, and the user's cache shared by all workspaces."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import platformdirs
from pydantic import StringConstraints

from harness.core import yamlfile
from harness.core.errors import LabError, SpecificationError

if TYPE_CHECKING:
    from harness.results.store import Store

__all__ = ["Name", "Settings", "Workspace", "cache_dir", "check_name"]

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"

Name = Annotated[str, StringConstraints(pattern=rf"^{NAME_PATTERN}$")]
"""A name that is safe as a file name and an HTML identifier."""

ENVIRONMENT_VARIABLE = "EDGE_HARNESS_WORKSPACE"


def cache_dir() -> Path:
    """Return the user's cache, for what is identified by the hash of its recipe.

    Toolchain environments, board images and artifacts are here, so that every workspace and
    checkout shares them. ``XDG_CACHE_HOME`` moves it.
    """
    return Path(platformdirs.user_cache_dir("edge-harness"))


class Settings(yamlfile.Spec):
    """A workspace's settings: ``harness.yaml``, which need not be there.

    Attributes
    ----------
    results
        Where results are stored: ``postgresql://USER@HOST:PORT/DATABASE``, without a password
        (that comes from ``PGPASSWORD`` or ``~/.pgpass``); by default ``.harness/results.sqlite``.
    """

    results: str | None = None


@dataclass(frozen=True)
class Workspace:
    """A folder with ``devices/``, ``models/``, ``campaigns/``, ``reports/`` and ``.harness/``."""

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> Workspace:
        """Return the workspace around a folder.

        Parameters
        ----------
        start
            Where to begin; without it the variable ``EDGE_HARNESS_WORKSPACE``, then the
            current folder.

        Raises
        ------
        SpecificationError
            Neither the folder nor one above it is a workspace.
        """
        named = start or os.environ.get(ENVIRONMENT_VARIABLE)
        begin = Path(named or Path.cwd()).resolve()
        for folder in (begin, *begin.parents):
            if (folder / "devices").is_dir() and (folder / "campaigns").is_dir():
                return cls(folder)
        raise SpecificationError(
            f"{begin}: neither this folder nor one above it is a workspace",
            hint="harness init DIR makes one; or change into one, "
            f"or name it with --workspace or {ENVIRONMENT_VARIABLE}",
        )

    @property
    def devices(self) -> Path:
        """Inventory files, one a device."""
        return self.root / "devices"

    @property
    def boards(self) -> Path:
        """Recipes of emulated boards."""
        return self.devices / "boards"

    @property
    def chips(self) -> Path:
        """Chip cards."""
        return self.devices / "chips"

    @property
    def models(self) -> Path:
        """Model manifests."""
        return self.root / "models"

    @property
    def campaigns(self) -> Path:
        """Campaign files."""
        return self.root / "campaigns"

    @property
    def runners(self) -> Path:
        """Foreign runners' files, one a runner."""
        return self.root / "runners"

    @property
    def baselines(self) -> Path:
        """Baselines, and what is needed to run them again."""
        return self.root / "baselines"

    @property
    def reports(self) -> Path:
        """Rendered reports."""
        return self.root / "reports"

    @property
    def state(self) -> Path:
        """What the harness itself keeps: results, host keys, running boards."""
        folder = self.root / ".harness"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise LabError(
                f"{folder}: {error.strerror}",
                hint="make the workspace writable, or use another one",
            ) from None
        return folder

    @property
    def database(self) -> Path:
        """The results database, unless the settings name another one."""
        return self.state / "results.sqlite"

    @property
    def settings(self) -> Settings:
        """What ``harness.yaml`` says.

        Raises
        ------
        SpecificationError
            It is wrong.
        """
        path = self.root / "harness.yaml"
        return yamlfile.load(path, Settings) if path.exists() else Settings()

    def has_results(self) -> bool:
        """Whether there is a results database; a new one is made where it is opened."""
        return self.settings.results is not None or self.database.exists()

    def store(self) -> Store:
        """Open the results database.

        Raises
        ------
        SpecificationError
            The settings are wrong.
        ResultsError
            The database is damaged, not one of ours, or of a newer version.
        LabError
            It cannot be reached.
        """
        # SQLAlchemy loads slowly, and few commands need results.
        if url := self.settings.results:
            from harness.results.postgresql import PostgresqlStore  # noqa: PLC0415

            return PostgresqlStore(url)
        from harness.results.sqlite import SqliteStore  # noqa: PLC0415

        return SqliteStore(self.database)

    @property
    def known_hosts(self) -> Path:
        """Host keys that were trusted in this workspace."""
        return self.state / "known_hosts"


def check_name(name: str, what: str) -> str:
    """Return a name that is safe as a file name.

    Raises
    ------
    SpecificationError
        It is not: it could leave its folder, or would need quoting.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise SpecificationError(
            f"{what} {name!r} is not a valid name",
            hint="letters, digits, '.', '_' and '-', at most 64, the first a letter or digit",
        )
    return name
