"""Finding an interpreter of an older Python, wherever it is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import uv

from harness.models import reasons
from harness.models.toolchain import ToolchainError, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["find", "obtain"]

ANSWER_TIMEOUT = 20.0


def find(version: str) -> Path:
    """Return an interpreter that answers to a version; nothing is installed.

    Looked at, in this order: this interpreter, ``PATH``, pyenv's versions, uv's own.

    Parameters
    ----------
    version
        Major and minor: ``3.10``.

    Raises
    ------
    ToolchainError
        There is none.
    """
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return Path(sys.executable)
    for candidate in _candidates(version):
        if path := _ask(candidate, version):
            return path
    raise ToolchainError(reasons.NO_PYTHON(version=version, python=sys.executable))


def obtain(version: str, progress: Callable[[str], None]) -> Path:
    """Return an interpreter of a version; where there is none, uv is asked to install one.

    Raises
    ------
    ToolchainError
        There is none, and uv could not download one.
    """
    try:
        return find(version)
    except ToolchainError as missing:
        progress(f"Python {version} was not found: uv is downloading one (30 MB)")
        try:
            run(
                [uv.find_uv_bin(), "python", "install", version],
                name=f"uv python install {version}",
                folder=Path(tempfile.gettempdir()),
            )
        except ToolchainError as error:
            raise ToolchainError(
                reasons.NOT_DOWNLOADED(why=missing.reason, download=error.reason)
            ) from error
    return find(version)


def _candidates(version: str) -> Iterator[Path]:
    # All of PATH: a pyenv shim that is first may only say that it cannot serve.
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        yield Path(folder or ".", f"python{version}")
    roots = [Path(root) for root in (os.environ.get("PYENV_ROOT"), Path.home() / ".pyenv") if root]
    for root in roots:
        versions = [p for p in root.glob(f"versions/{version}.*") if re.search(r"\.\d+$", p.name)]
        for newest in sorted(versions, key=lambda p: int(p.name.rpartition(".")[2]), reverse=True):
            yield newest / "bin" / f"python{version}"
    found = subprocess.run(
        [uv.find_uv_bin(), "python", "find", "--managed-python", "--no-python-downloads", version],
        capture_output=True,
        text=True,
        check=False,
        cwd=tempfile.gettempdir(),
    )
    if found.returncode == 0:
        yield Path(found.stdout.strip())


def _ask(candidate: Path, version: str) -> Path | None:
    """Return the interpreter behind a name, if it answers to the version."""
    question = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
    try:
        answer = subprocess.run(
            [candidate, "-I", "-c", question],
            capture_output=True,
            text=True,
            timeout=ANSWER_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    said, _, path = answer.stdout.strip().partition(" ")
    return Path(path) if answer.returncode == 0 and said == version and path else None
