"""Where the documentation's pages are: in this checkout, or in the wheel, which carries them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["page"]

_PACKAGE = Path(__file__).parents[1]
_FOLDERS = (_PACKAGE / "docs", _PACKAGE.parent / "docs")


def page(name: str) -> str:
    """Return the path of a page that is there; its name where none is.

    Parameters
    ----------
    name
        Its path below ``docs``, without the suffix: ``devices/android``.
    """
    found = (folder / f"{name}.md" for folder in _FOLDERS)
    return str(next((path for path in found if path.is_file()), f"'{name}' in the documentation"))
