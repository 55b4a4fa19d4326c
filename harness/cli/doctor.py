"""``harness doctor``: what is here, what is missing, and how to fix it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from ctypes.util import find_library
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from harness.cli.app import workspace_of
from harness.cli.options import as_json
from harness.core.errors import ExitCode, HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator

FREE_SPACE_GB = 6.0


@dataclass(frozen=True)
class Check:
    """One thing that was looked for.

    Attributes
    ----------
    needed_for
        What does not work without it.
    mend
        The command that brings it, where it is missing.
    """

    name: str
    found: str | None
    needed_for: str
    mend: str = ""


def _tool(name: str, package: str, needed_for: str) -> Check:
    # Administrators' tools are not on every user's PATH, and are found there all the same.
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
    return Check(name, shutil.which(name, path=path), needed_for, f"apt-get install {package}")


def _checks(ctx: click.Context) -> Iterator[Check]:
    from harness.models import environments, interpreters
    from harness.transports import TRANSPORTS
    from harness.workspace import cache_dir

    yield Check("python", sys.version.split()[0], "everything")
    try:
        workspace = workspace_of(ctx)
        yield Check("workspace", str(workspace.root), "everything")
    except HarnessError as error:
        yield Check("workspace", None, "everything", error.hint or "")
    yield _tool("qemu-system-aarch64", "qemu-system-arm", "the emulated boards")
    yield _tool("mke2fs", "e2fsprogs", "building the emulated boards")
    openmp = find_library("gomp")
    yield Check("libgomp", openmp, "Paddle's tools and engines here", "apt-get install libgomp1")
    yield _tool("apt-get", "apt", "building the emulated boards (a Debian system)")
    try:
        yield Check(
            "python3.10", str(interpreters.find("3.10")), "building models, Paddle's engines"
        )
    except HarnessError as error:
        yield Check("python3.10", None, "building models, Paddle's engines", error.hint or "")
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free / 1e9
    yield Check(
        "disk space",
        f"{free:.0f} GB free at {cache}" if free >= FREE_SPACE_GB else None,
        f"environments and board images ({FREE_SPACE_GB:.0f} GB)",
        f"free some: {free:.1f} GB at {cache}; XDG_CACHE_HOME moves it",
    )
    for environment in environments.environments().values():
        size = f"made on first use, a download of about {environment.download_mb} MB"
        yield Check(
            f"environment {environment.name}",
            "ready" if environment.ready else size,
            environment.purpose,
        )
    yield _tool("chromium", "chromium", "engines in a browser; the tests of the report")
    yield _tool("npm", "npm", "engines in a browser: their packages")
    for transport in TRANSPORTS:
        for program in transport.programs:
            yield _tool(program.name, program.package, program.needed_for)


@click.command(
    epilog="""\b
Examples:
  harness doctor
  harness doctor --json
"""
)
@as_json
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """Check the installation and say how to fix it.

    Exits with 3 if something required is missing.
    """
    checks = list(_checks(ctx))
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            mark = (
                click.style("ok     ", fg="green")
                if check.found
                else click.style("missing", fg="red")
            )
            click.echo(
                f"{mark}  {check.name:<24} {check.found or f'needed for {check.needed_for}'}"
            )
            if not check.found:
                click.echo(f"{'':9}{'':<24} try: {check.mend}")
    if not all(check.found for check in checks):
        ctx.exit(int(ExitCode.LAB))
