"""Inspecting Paddle Lite's ``.nb`` files: which kernels opt chose, and for which targets.

The file [1]_ is a header (version of the format, version of opt, length of the topology), the
topology as a flatbuffer, and the parameters, each preceded by its length. Every op of the
topology has an attribute that names its kernel: ``op/alias/target/precision/layout``. Running a
kernel on another target than its own is no error to Paddle Lite: it returns garbage.

References
----------
.. [1] Paddle Lite 2.13, ``lite/model_parser/model_parser.cc`` and
   ``lite/model_parser/flatbuffers/io.cc``; the numbers of targets and precisions are in
   ``lite/api/paddle_place.h``.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flatbuffers import encode
from flatbuffers.number_types import UOffsetTFlags
from flatbuffers.table import Table

from harness.core.errors import SpecificationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["NbInfo", "Subgraph", "inspect", "subgraphs"]

SIZE_LIMIT = 2 << 30
NAME_LIMIT = 1000
FLATBUFFERS_VERSION = 2

TARGETS = {
    1: "host", 2: "x86", 3: "cuda", 4: "arm", 5: "opencl", 6: "any", 7: "fpga", 8: "npu",
    9: "xpu", 10: "bm", 11: "mlu", 12: "rknpu", 13: "apu", 14: "huawei_ascend_npu",
    15: "imagination_nna", 16: "intel_fpga", 17: "metal", 18: "nnadapter",
}  # fmt: skip
PRECISIONS = {
    1: "fp32", 2: "int8", 3: "int32", 4: "any", 5: "fp16", 6: "bool", 7: "int64", 8: "int16",
    9: "uint8", 10: "fp64",
}  # fmt: skip

_HEADER = struct.Struct("<H16sQ")
_PARAMETERS = struct.Struct("<HHHHI")
_LENGTH = struct.Struct("<I")
# A kernel's name is its own string in the flatbuffer: its length before it, a zero behind.
_KERNEL = re.compile(rb"([\w.]{1,100})/([\w.]{1,100})/(\d{1,2})/(\d{1,2})/(\d{1,2})\x00")


@dataclass(frozen=True)
class NbInfo:
    """What a ``.nb`` file says of itself.

    Attributes
    ----------
    opt_version
        Of the opt that wrote it.
    kernels
        How many ops run on each target (``arm``, ``x86``, ``host`` …) in each precision.
    subgraphs
        How many parts opt handed to an NPU as a whole.
    on_cpu
        How many ops of each type run on a processor (``arm`` or ``x86``).
    weight_bytes
        The parameters as they are stored.
    """

    opt_version: str
    kernels: Counter[tuple[str, str]]
    subgraphs: int
    on_cpu: Counter[str]
    weight_bytes: int

    @property
    def by_kind(self) -> dict[str, int]:
        """How many kernels there are of each kind, such as ``arm/fp32``."""
        return {
            f"{target}/{precision}": n for (target, precision), n in sorted(self.kernels.items())
        }

    @property
    def targets(self) -> frozenset[str]:
        """Where it must run; ``host`` and ``any`` are everywhere and left out."""
        return frozenset(target for target, _ in self.kernels) - {"host", "any"}


def inspect(path: Path) -> NbInfo:
    """Read what a ``.nb`` file is built for.

    Raises
    ------
    SpecificationError
        It cannot be read, is no ``.nb`` file, is cut short, or is of an unknown version.
    """
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise _fault(path, f"larger than {SIZE_LIMIT >> 30} GiB")
        content = path.read_bytes()
    except OSError as error:
        raise SpecificationError(f"{path}: {error.strerror}") from error
    if len(content) < _HEADER.size:
        raise _fault(path, "it is shorter than the header")
    version, opt, length = _HEADER.unpack_from(content)
    if version != FLATBUFFERS_VERSION:
        raise _fault(path, f"format version {version} instead of {FLATBUFFERS_VERSION}")
    opt_version = opt.partition(b"\0")[0]  # what follows is uninitialized
    if not re.fullmatch(rb"[\w.-]{1,16}", opt_version):
        raise _fault(path, "no version of opt in the header")
    end = _HEADER.size + length
    _check_parameters(path, content, end)
    kernels: Counter[tuple[str, str]] = Counter()
    on_cpu: Counter[str] = Counter()
    subgraphs = 0
    for found in _KERNEL.finditer(content, _HEADER.size, end):
        text = content[found.start() : found.end() - 1]
        if content[found.start() - _LENGTH.size : found.start()] != _LENGTH.pack(len(text)):
            continue
        op, _, target, precision, _ = found.groups()
        kernels[_name(TARGETS, target), _name(PRECISIONS, precision)] += 1
        subgraphs += op == b"subgraph"
        if _name(TARGETS, target) in ("arm", "x86"):
            on_cpu[op.decode("ascii")] += 1
    if not kernels:
        raise _fault(path, "it names no kernels")
    version_name, weight_bytes = opt_version.decode("ascii"), len(content) - end
    return NbInfo(version_name, kernels, subgraphs, on_cpu, weight_bytes)


@dataclass(frozen=True)
class Subgraph:
    """A part of a model that opt handed to an NPU as a whole.

    Attributes
    ----------
    ops
        How many ops of each type it has.
    outputs
        The variables that they compute, by their names in the exported model.
    """

    ops: Counter[str]
    outputs: frozenset[str]


def subgraphs(path: Path) -> list[Subgraph]:
    """Return the parts of a ``.nb`` file that opt handed to an NPU, in its order.

    Raises
    ------
    SpecificationError
        As :func:`inspect`; or its topology cannot be read.
    """
    if not inspect(path).subgraphs:
        return []
    content = path.read_bytes()
    length = _HEADER.unpack_from(content)[2]
    topology = content[_HEADER.size : _HEADER.size + length]
    try:
        root = Table(topology, encode.Get(UOffsetTFlags.packer_type, topology, 0))
        _, *parts = _tables(root, _BLOCKS)  # the first block is what runs
        return [_subgraph(block) for block in parts]
    except (struct.error, IndexError, UnicodeDecodeError, ValueError, TypeError) as error:
        raise _fault(path, f"its topology cannot be read ({error})") from error


def _subgraph(block: Table) -> Subgraph:
    ops: Counter[str] = Counter()
    outputs: set[str] = set()
    for op in _tables(block, _OPS):
        ops[_text(op.String(op.Pos + op.Offset(_slot(_TYPE))))] += 1
        for output in _tables(op, _OUTPUTS):
            outputs |= set(_texts(output, _ARGUMENTS))
    return Subgraph(ops, frozenset(outputs))


# The places of fields in Paddle Lite's ``framework.fbs``: of the program, a block, an op, a
# variable of an op.
_BLOCKS, _OPS, _TYPE, _OUTPUTS, _ARGUMENTS = 0, 3, 0, 2, 1


def _slot(place: int) -> int:
    return 4 + 2 * place


def _elements(table: Table, place: int) -> Iterator[int]:
    offset = table.Offset(_slot(place))
    if not offset:
        return
    count, start = table.VectorLen(offset), table.Vector(offset)
    if count * _LENGTH.size > len(table.Bytes):
        raise ValueError("a vector is longer than the file")
    yield from (start + _LENGTH.size * n for n in range(count))


def _tables(table: Table, place: int) -> Iterator[Table]:
    for position in _elements(table, place):
        yield Table(table.Bytes, table.Indirect(position))


def _texts(table: Table, place: int) -> Iterator[str]:
    return (_text(table.String(position)) for position in _elements(table, place))


def _text(content: bytes) -> str:
    if not content or len(content) > NAME_LIMIT:
        raise ValueError("a name is empty or far too long")
    return content.decode()


def _check_parameters(path: Path, content: bytes, start: int) -> None:
    """Walk the parameters by their lengths: they must end where the file ends."""
    if start + _PARAMETERS.size > len(content):
        raise _fault(path, "cut short within the topology")
    _, meta_size, header_size, count, _ = _PARAMETERS.unpack_from(content, start)
    if (meta_size, header_size) != (0, 6):
        raise _fault(path, "its parameters have an unknown header")
    position = start + _PARAMETERS.size
    for _ in range(count):
        if position + _LENGTH.size > len(content):
            raise _fault(path, "cut short within the parameters")
        position += _LENGTH.size + _LENGTH.unpack_from(content, position)[0]
    if position > len(content):
        raise _fault(path, "cut short within the parameters")
    if position < len(content):
        raise _fault(path, f"{len(content) - position} bytes follow the last parameter")


def _name(names: dict[int, str], number: bytes) -> str:
    return names.get(int(number), f"unknown-{int(number)}")


def _fault(path: Path, reason: str) -> SpecificationError:
    return SpecificationError(
        f"{path}: not a usable .nb file: {reason}",
        hint="rebuild it with 'harness models build', or copy it again",
    )
