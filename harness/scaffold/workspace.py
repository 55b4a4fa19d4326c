"""A new workspace, from the template beside this file."""

from __future__ import annotations

import platform
from importlib.resources import files
from typing import TYPE_CHECKING

from harness.core.errors import SpecificationError
from harness.scaffold.schemas import KINDS, schema_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable
    from pathlib import Path

__all__ = ["create"]

_ABIS = {"x86_64": "x86_64-linux", "aarch64": "arm64-linux", "armv7l": "armv7hf-linux"}
_ABI_MARK = "x86_64-linux"
# Without its dot, so that it is no rule for this repository.
_GITIGNORE = "gitignore"


def create(folder: Path) -> list[str]:
    """Make a workspace; return the paths within it that were written.

    Parameters
    ----------
    folder
        Where; it is made where it is not there. It must be empty but for a ``.git``.

    Raises
    ------
    SpecificationError
        The folder is not empty or cannot be written to, or this machine's processor is not one
        that the harness knows.
    """
    abi = _ABIS.get(platform.machine())
    if abi is None:
        raise SpecificationError(
            f"this machine's processor ({platform.machine()}) is not one of {', '.join(_ABIS)}"
        )
    contents = dict(_texts(files("harness.scaffold").joinpath("template")))
    contents["devices/local.yaml"] = contents["devices/local.yaml"].replace(_ABI_MARK, abi)
    contents[f".{_GITIGNORE}"] = contents.pop(_GITIGNORE)
    contents |= {f"schemas/{kind}.json": schema_text(kind) for kind in KINDS}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        present = sorted(path.name for path in folder.iterdir() if path.name != ".git")
        if present:
            raise SpecificationError(
                f"{folder}: not empty (it has {present[0]})",
                hint="name a folder that is not there yet: harness init DIR",
            )
        (folder / "reports").mkdir()
        for name, text in contents.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SpecificationError(f"{error.filename or folder}: {error.strerror}") from error
    return sorted(contents)


def _texts(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, str]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _texts(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry.read_text(encoding="utf-8")
