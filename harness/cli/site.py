"""``harness site``."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.app import workspace_of
from harness.cli.options import in_language
from harness.core.errors import ResultsError, SpecificationError
from harness.core.hashing import sha256_of
from harness.core.text import count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from harness.campaign.baselines import Baseline
    from harness.core.records import Run
    from harness.lab.health import Health
    from harness.report.site.folder import SiteFolder
    from harness.results.store import Store
    from harness.workspace import Workspace

__all__ = ["site"]

PATIENCE_S = 2.0


@click.group(
    epilog="""\b
Example:
  harness site build public      then serve it with any web server
"""
)
def site() -> None:
    """Build a static site of all runs: trends, changes, device health, reports."""


@site.command(
    epilog="""\b
Examples:
  harness site build public
  harness site build public --lang zh-CN        opens in Chinese; both languages are in it
  harness site build public --since 2026-01-01
  python3 -m http.server --directory public     or open public/index.html
"""
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Only runs since this day (UTC).")
@in_language
@click.pass_context
def build(ctx: click.Context, folder: Path, since: datetime | None, lang: str) -> None:
    """Build or update the site in DIR and print the path of its start page.

    DIR must be new, empty, or made by this command. Only new or changed reports are rendered.
    Ctrl-C leaves the site as it was; the next build continues.
    """
    from harness.cli.terminal import steps
    from harness.lab.health import health
    from harness.report.site.folder import SiteFolder

    workspace = workspace_of(ctx)
    start = since.replace(tzinfo=UTC) if since else None
    with workspace_of(ctx).store() as store, steps() as shown:
        versions = store.versions(start)
        if not versions:
            raise SpecificationError(
                "no run has a launch" + (" since then" if since else " yet"),
                hint="to see the runs: harness results list; to measure: harness run",
            )
        known = {name: _since(each, start) for name, each in health(store).items()}
        with closing(SiteFolder(folder)) as site_folder:
            building = _Building(workspace, store, site_folder, lang, _paced(shown.update))
            building.build(versions, known)
    click.echo(folder / "index.html")


class _Building:
    """One build of a site."""

    def __init__(
        self,
        workspace: Workspace,
        store: Store,
        folder: SiteFolder,
        lang: str,
        progress: Callable[[str], None],
    ) -> None:
        self._workspace = workspace
        self._store = store
        self._folder = folder
        self._lang = lang
        self._progress = progress

    def build(self, versions: Mapping[str, str], known: Mapping[str, Health]) -> None:
        """Build what is not there yet.

        Parameters
        ----------
        versions
            A digest of each run, the newest run first.
        known
            How devices fared.
        """
        base = _digest(_renderer(), self._lang)
        made_of = _digest(
            base,
            _files(self._workspace.chips, "*.yaml"),
            _files(self._workspace.baselines, "*.json"),
            json.dumps(versions),
            repr(sorted(known.items())),
        )
        if self._folder.is_made_of(made_of):
            click.echo(
                f"nothing is new since the last build: {count(len(versions), 'report')}", err=True
            )
            return
        rendered = self._reports(versions, base)
        number = self._pages(versions, known)
        self._folder.replace(made_of)
        click.echo(
            f"{count(len(versions), 'report')}, {rendered} rendered; {number} other pages",
            err=True,
        )

    def _reports(self, versions: Mapping[str, str], base: str) -> int:
        """Render the reports that are missing or of something that changed."""
        from harness.lab.chips import load_cards
        from harness.report.chips import measured
        from harness.report.render import Beside, render
        from harness.report.site.content import report_of

        cards = load_cards(self._workspace)
        base = _digest(base, _files(self._workspace.chips, "*.yaml"))
        wanted = {run: _digest(base, version) for run, version in versions.items()}
        missing = [
            run for run, digest in wanted.items() if not self._folder.keep(report_of(run), digest)
        ]
        for number, run_id in enumerate(missing, 1):
            self._progress(f"rendering report {number} of {len(missing)}: {run_id}")
            run = self._store.load(run_id)
            html = render(run, lang=self._lang, beside=Beside(on_chips=measured(run, cards)))
            self._folder.stage(report_of(run_id), wanted[run_id], html)
        return len(missing)

    def _pages(self, versions: Mapping[str, str], known: Mapping[str, Health]) -> int:
        from harness.core.revisions import between
        from harness.report.site.content import History
        from harness.report.site.pages import pages

        root = self._workspace.root
        history = History.of(
            self._runs(versions),
            known,
            {name: baseline.run for name, baseline in self._baselines().items()},
            cache(lambda good, bad: between(root, good, bad)),
        )
        number = 0
        for place, html in pages(history, lang=self._lang):
            number += 1
            self._progress(f"writing {place}")
            digest = _digest(html)
            if not self._folder.keep(place, digest):
                self._folder.stage(place, digest, html)
        return number

    def _runs(self, versions: Mapping[str, str]) -> Iterator[Run]:
        """Yield the runs, the oldest first."""
        for number, run_id in enumerate(reversed(list(versions)), 1):
            self._progress(f"reading run {number} of {len(versions)}")
            yield self._store.load(run_id, samples=False)
        self._progress("looking for changes")

    def _baselines(self) -> dict[str, Baseline]:
        """Return the baselines that can be read; of the others a warning is printed."""
        from harness.campaign.baselines import load_baseline, stored_baselines

        found = {}
        for name in stored_baselines(self._workspace):
            try:
                found[name] = load_baseline(self._workspace, name)
            except ResultsError as error:
                click.echo(f"warning: left out: {error.message}", err=True)
        return found


def _since(known: Health, start: datetime | None) -> Health:
    """Return how a device fared from a moment on."""
    return replace(known, runs=[run for run in known.runs if start is None or run.at >= start])


def _paced(show: Callable[[str], None]) -> Callable[[str], None]:
    """Return a function that shows a step now and then: none of what takes a moment."""
    last = time.monotonic()

    def paced(step: str) -> None:
        nonlocal last
        if time.monotonic() - last >= PATIENCE_S:
            show(step)
            last = time.monotonic()

    return paced


def _digest(*parts: str) -> str:
    return sha256(json.dumps(parts).encode()).hexdigest()


def _files(folder: Path, pattern: str) -> str:
    """Return a digest of a folder's files."""
    found = {path.name: sha256_of(path) for path in folder.glob(pattern)}
    return _digest(*(f"{name} {digest}" for name, digest in sorted(found.items())))


def _renderer() -> str:
    """Return a digest of what makes pages of results: templates, messages, code."""
    package = Path(__file__).parent.parent
    paths = [
        path
        for part in ("analysis", "report")
        for path in sorted((package / part).rglob("*"))
        if path.suffix in {".css", ".html", ".js", ".po", ".py"}
    ]
    return _digest(*map(sha256_of, (*paths, package / "core" / "text.py")))
