"""Archives that the kernel unpacks into its initial memory file system.

It accepts several, one after the other, so that a workspace's keys can be added to an image that
all workspaces share. Format: ``newc`` of cpio(5); the kernel's documentation,
driver-api/early-userspace/buffer-format.
"""

from __future__ import annotations

import stat
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["archive"]

_BLOCK = 4
_DIRECTORY = stat.S_IFDIR | 0o755


def archive(files: Mapping[str, bytes], *, mode: int, folders: Iterable[str] = ()) -> bytes:
    """Return an archive of regular files, owned by root, with the folders they are in.

    Parameters
    ----------
    files
        Path, relative to the root, to content.
    mode
        The files' permissions.
    folders
        Empty folders.
    """
    paths = [PurePosixPath(name) for name in (*folders, *files)]
    needed = {parent for path in paths for parent in path.parents} | {
        PurePosixPath(name) for name in folders
    }
    parents = sorted(str(path) for path in needed - {PurePosixPath()})
    entries = [(name, _DIRECTORY, b"") for name in parents]
    entries += [(name, stat.S_IFREG | mode, content) for name, content in files.items()]
    entries.append(("TRAILER!!!", 0, b""))
    return b"".join(
        part
        for number, (name, kind, content) in enumerate(entries, start=1)
        for part in _entry(number, name, kind, content)
    )


def _entry(number: int, name: str, mode: int, content: bytes) -> Iterator[bytes]:
    encoded = name.encode() + b"\0"
    links = 1
    # inode, mode, uid, gid, links, mtime, size, major and minor twice, length of name, check
    fields = (number, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    yield _padded(header + encoded)
    yield _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _BLOCK)
