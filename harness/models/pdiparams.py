"""Paddle's files of parameters (``.pdiparams``): whether one ends where its last tensor does.

Paddle reads a last tensor that is cut short without a word, and computes with whatever its memory
held. The file is one record after another [1]_: version (4 bytes), levels of detail (8, then each
with its size), version (4), length of the description (4), the description (``TensorDesc``:
``data_type``, ``dims``), and the values.

References
----------
.. [1] paddle/phi/core/framework/dense_tensor_tostream.cc in PaddlePaddle/Paddle.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["fault"]

_SIZES = {0: 1, 1: 2, 2: 4, 3: 8, 4: 2, 5: 4, 6: 8, 20: 1, 21: 1, 22: 2}
"""Bytes of a value by Paddle's ``VarType``: bool, integers, floats, uint8, int8, bf16."""

_DESCRIPTION_LIMIT = 1024
_LEVELS_LIMIT = 8
_DATA_TYPE, _DIMS = 1, 2  # fields of TensorDesc
_MORE = 0x80  # of a number's bytes
_CUT = "it is cut short: copy or export it again"
_FOREIGN = "it holds no parameters of Paddle's"


def fault(path: Path) -> str | None:
    """Return what is wrong with a file of parameters, or none."""
    end = path.stat().st_size
    with path.open("rb") as file:
        while (at := file.tell()) < end:
            length = _values(file)
            if length is None:
                return _FOREIGN if at == 0 else _CUT
            if file.tell() + length > end:
                return _CUT
            file.seek(length, 1)
    return None


def _values(file: BinaryIO) -> int | None:
    """Read a record up to its values; return how many bytes they take, none where it is none."""
    try:
        version, levels = struct.unpack("<IQ", file.read(12))
        for _ in range(levels if levels <= _LEVELS_LIMIT else 0):
            (length,) = struct.unpack("<Q", file.read(8))
            file.seek(min(length, 1 << 40), 1)
        version_of_tensor, length = struct.unpack("<II", file.read(8))
    except struct.error:
        return None
    if version or version_of_tensor or levels > _LEVELS_LIMIT or length > _DESCRIPTION_LIMIT:
        return None
    numbers = _fields(file.read(length))
    if not numbers or numbers[0][0] != _DATA_TYPE:
        return None
    size = _SIZES.get(numbers[0][1])
    dims = [value for field, value in numbers[1:] if field == _DIMS]
    return None if size is None else size * math.prod(dims)


def _fields(content: bytes) -> list[tuple[int, int]] | None:
    """Return the fields of a message that has but numbers; none where it is no such message."""
    found: list[int] = []
    value = shift = 0
    for byte in content:
        value |= (byte & ~_MORE) << shift
        shift += 7
        if byte < _MORE:
            found.append(value)
            value = shift = 0
    if shift or len(found) % 2 or any(key & 7 for key in found[::2]):
        return None
    return [(key >> 3, value) for key, value in zip(found[::2], found[1::2], strict=True)]
