"""Programs of the host that the build of an image needs."""

from __future__ import annotations

import os
import subprocess
from typing import IO, TYPE_CHECKING

from harness.core.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["missing", "run_tool"]

# Debian's package of each program, where the names differ.
_PACKAGES = {
    "apt-cache": "apt",
    "apt-config": "apt",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "mke2fs": "e2fsprogs",
    "qemu-system-aarch64": "qemu-system-arm",
}
_ERROR_LINES = 5


def missing(program: str) -> LabError:
    """Return the error that a program of the host is not there."""
    package = _PACKAGES.get(program, program)
    return LabError(
        f"{program} is not installed",
        hint=f"sudo apt-get install -y --no-install-recommends {package}",
    )


def run_tool(
    *argv: str | Path,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdout: IO[bytes] | int = subprocess.PIPE,
) -> str:
    """Run a program of the host and return what it printed.

    Parameters
    ----------
    environment
        Variables beside those of this process.
    stdout
        Where its output goes instead.

    Raises
    ------
    LabError
        It is missing, or failed: with the last lines of what it said.
    """
    program = str(argv[0])
    # Debian keeps mke2fs in /usr/sbin, which is not on an ordinary user's PATH.
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C", "PATH": path, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            check=False,
        )
    except FileNotFoundError as error:
        raise missing(program) from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-_ERROR_LINES:]
        raise LabError("\n".join([f"{program} failed (exit {done.returncode})", *said]))
    return (done.stdout or b"").decode(errors="replace")
