"""The images that calibrate a model, and those that tell how far it drifted."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from harness.core.errors import SpecificationError
from harness.core.hashing import sha256_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["choose"]

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})
FILES_LIMIT = 20_000
SIZE_LIMIT = 64 << 20


def choose(folder: Path, wanted: int, least: int) -> list[tuple[str, str]]:
    """Return the names and SHA-256 of images of a folder, in an order that their content makes.

    So calibration and held-out images are a random split, the same one for the same images under
    any names.

    Parameters
    ----------
    wanted
        How many, if there are so many.
    least
        How many there must be.

    Raises
    ------
    SpecificationError
        The folder cannot be read or has too few images or files by far too large or too many.
    """
    try:
        found = sorted(
            (path.name, path.stat().st_size, path.stat().st_mtime_ns)
            for path in folder.iterdir()
            if path.suffix.lower() in SUFFIXES and path.is_file()
        )
    except OSError as error:
        raise SpecificationError(
            f"calibration images: {folder}: {error.strerror}",
            hint="'quantization.images' of the model's file is relative to that file's folder",
        ) from error
    if len(found) > FILES_LIMIT:
        raise SpecificationError(
            f"calibration images: {folder} has {len(found)} images, more than {FILES_LIMIT}",
            hint="a few hundred typical images are enough",
        )
    for name, size, _ in found:
        if size > SIZE_LIMIT:
            raise SpecificationError(
                f"calibration images: {folder / name} is larger than {SIZE_LIMIT >> 20} MiB"
            )
    if len(found) < least:
        raise SpecificationError(
            f"calibration images: {folder} has {len(found) or 'no'} images "
            f"({', '.join(sorted(SUFFIXES))}), at least {least} are needed",
            hint="fewer are held out with 'quantization.held_out'; without 'quantization.images' "
            "seeded noise calibrates",
        )
    return [(name, digest) for digest, name in _hashed(folder, tuple(found))[:wanted]]


@lru_cache(maxsize=32)
def _hashed(folder: Path, found: tuple[tuple[str, int, int], ...]) -> list[tuple[str, str]]:
    return sorted((sha256_of(folder / name), name) for name, _, _ in found)
