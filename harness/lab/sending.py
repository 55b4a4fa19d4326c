"""A file on its way to a device: compressed where the link is so slow that it is sooner there."""

from __future__ import annotations

import time
import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from harness.transports.base import ByteSource

__all__ = ["Gzipped", "Link", "gain_below"]

# A link that was not measured is taken to be slow: compressing in vain takes a second, not
# compressing for a remote lab minutes.
_UNMEASURED_BYTES_PER_S: Final = 5e6
_BUFFERED: Final = 2 << 20  # what a link may have taken and not yet carried: windows, sockets
_TELLING: Final = 4 << 20  # from so much on its rate is told by the time it took
_SAMPLES: Final = 3
_SAMPLE_SIZE: Final = 1 << 16
_LEVEL: Final = 1
_UNPACKING_S: Final = 50e-9  # of a byte: BusyBox's gzip on the emulated board
_GZIP_FORMAT: Final = 16 + zlib.MAX_WBITS


class Link:
    """What is known of the rate of the link to a device.

    Attributes
    ----------
    bytes_per_s
        At which it takes bytes.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.bytes_per_s = _UNMEASURED_BYTES_PER_S
        self._clock = clock

    def measured(self, source: ByteSource, *, packed: bool) -> ByteSource:
        """Return a source that measures how fast it is taken.

        What is packed may be held up by its unpacking: it shows how fast the link is at least.
        """

        def measure(bytes_per_s: float) -> None:
            self.bytes_per_s = max(bytes_per_s, self.bytes_per_s) if packed else bytes_per_s

        return _Measured(source, measure, self._clock)


class _Measured:
    """Passes on what it reads, and takes the time that its reader is away with that."""

    def __init__(
        self, source: ByteSource, measure: Callable[[float], None], clock: Callable[[], float]
    ) -> None:
        self._source = source
        self._measure = measure
        self._clock = clock
        self._given = 0
        self._given_at: float | None = None
        self._away = 0.0

    def read(self, size: int, /) -> bytes:
        if self._given_at is not None:
            self._away += self._clock() - self._given_at
        content = self._source.read(size)
        if not content and self._given >= _TELLING:
            self._measure((self._given - _BUFFERED) / self._away)
        self._given += len(content)
        self._given_at = self._clock()
        return content


class Gzipped:
    """The content of a file in the format of gzip, made while it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._packer: zlib._Compress | None = zlib.compressobj(_LEVEL, wbits=_GZIP_FORMAT)
        self._packed = b""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most so many; none at the end."""
        while not self._packed and self._packer:
            if content := self._file.read(size):
                self._packed = self._packer.compress(content)
            else:
                self._packed, self._packer = self._packer.flush(), None
        given, self._packed = self._packed[:size], self._packed[size:]
        return given


def gain_below(file: BinaryIO, size: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the rate of a link below which a file arrives sooner compressed.

    A byte takes 1/l seconds on a link of the rate l. Compressed to r bytes it takes 1/c to be
    compressed here, r/l, and u to be unpacked there, at worst one after the other. That is less
    where l < (1 - r) / (1/c + u).

    Parameters
    ----------
    file
        Of which samples are compressed; it is left at its beginning.
    size
        Its bytes.

    Returns
    -------
    float
        Bytes a second; 0 for a file so small that the round trip is all that counts.
    """
    if size < _SAMPLES * _SAMPLE_SIZE:
        return 0.0
    taken = packed = 0
    seconds = 0.0
    for number in range(_SAMPLES):
        file.seek(number * (size - _SAMPLE_SIZE) // (_SAMPLES - 1))
        sample = file.read(_SAMPLE_SIZE)
        begun = clock()
        packed += len(zlib.compress(sample, _LEVEL))
        seconds += clock() - begun
        taken += len(sample)
    file.seek(0)
    return max(0, taken - packed) / (seconds + taken * _UNPACKING_S)
