"""A new workspace, from the template beside this file."""

from __future__ import annotations

import platform
from importlib.resources import files
from typing import TYPE_CHECKING

from harness.core.errors import SpecificationError
from harness.engines import ENGINES
from harness.scaffold.schemas import KINDS, schema_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable
    from pathlib import Path

__all__ = ["create", "local_device"]

_TEMPLATE = files("harness.scaffold").joinpath("template")
_LOCAL = "devices/local.yaml"

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
    contents = dict(_texts(_TEMPLATE))
    contents[_LOCAL] = local_device()
    contents[f".{_GITIGNORE}"] = contents.pop(_GITIGNORE)
    contents |= {f"schemas/{kind}.json": schema_text(kind) for kind in KINDS}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        present = sorted(path.name for path in folder.iterdir() if path.name != ".git")
        if present:
            raise SpecificationError(
                f"{folder}: not empty (it has {present[0]})",
                hint="name a new folder: harness init DIR",
            )
        (folder / "reports").mkdir()
        for name, text in contents.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SpecificationError(f"{error.filename or folder}: {error.strerror}") from error
    return sorted(contents)


def local_device() -> str:
    """Return the file of the device that is this machine, with every engine that runs here.

    Raises
    ------
    SpecificationError
        This machine's processor is not one that the harness knows.
    """
    abi = _ABIS.get(platform.machine())
    if abi is None:
        raise SpecificationError(
            f"this machine's processor ({platform.machine()}) is not one of {', '.join(_ABIS)}"
        )
    text = _TEMPLATE.joinpath(*_LOCAL.split("/")).read_text(encoding="utf-8")
    entries = [
        f"  {engine.name}: {{ environment: {engine.environment} }}\n"
        for engine in ENGINES
        if engine.environment and "cpu" in engine.in_python and abi in engine.cpu_abis
    ]
    entries += [f"  {engine.name}: {{}}\n" for engine in ENGINES if engine.brought]
    return text.replace(_ABI_MARK, abi) + "".join(entries)


def _texts(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, str]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _texts(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry.read_text(encoding="utf-8")
