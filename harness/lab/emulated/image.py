"""Images of emulated boards: built once per recipe, and shared by every workspace.

An image is a folder of the user's cache, named by the hash of what it is made from. It is never
changed: QEMU attaches its disk read-only.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uv
from filelock import FileLock, Timeout

from harness.core.errors import LabError, SpecificationError
from harness.lab.emulated import cpio, packages
from harness.lab.emulated.packages import Apt, Deb, unpack
from harness.lab.emulated.tools import run_tool
from harness.workspace import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from filelock import AcquireReturnProxy

    from harness.lab.emulated.recipe import ImageSpec, PythonSpec

__all__ = ["Image", "build", "recipe_hash"]

GUEST = Path(__file__).parent / "guest"
# A change of these makes another image of the same recipe.
_BUILDERS = (Path(__file__), Path(cpio.__file__), Path(packages.__file__))

_MERGED = ("bin", "lib", "sbin")
_FOLDERS = ("data", "dev", "proc", "root", "run", "sys", "tmp", "var/log")
_BLOCK = 4096
_PYTHON_PLATFORM = "aarch64-manylinux_2_31"
_UNUSED_S = 14 * 86400


@dataclass(frozen=True)
class Image:
    """A built image.

    Attributes
    ----------
    folder
        Where it is.
    id
        A hash of its recipe and of every package in it.
    """

    folder: Path
    id: str

    @property
    def kernel(self) -> Path:
        """The kernel, as QEMU takes it."""
        return self.folder / "kernel"

    @property
    def initrd(self) -> Path:
        """The initial memory file system, without keys."""
        return self.folder / "initrd"

    @property
    def root(self) -> Path:
        """The root disk."""
        return self.folder / "root.ext4"


def recipe_hash(spec: ImageSpec, boards: Path) -> str:
    """Return the hash of all that an image is made from, as far as this repository says it.

    Raises
    ------
    SpecificationError
        The requirements cannot be read.
    """
    parts = [spec.model_dump_json(exclude={"mirror"}).encode()]
    if spec.python:
        requirements = boards / spec.python.requirements
        try:
            parts.append(requirements.read_bytes())
        except OSError as error:
            raise SpecificationError(f"{requirements}: {error.strerror}") from error
    sources = [*_BUILDERS, *sorted(path for path in GUEST.rglob("*") if path.is_file())]
    parts += [path.read_bytes() for path in sources]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def build(spec: ImageSpec, boards: Path, progress: Callable[[str], None]) -> Image:
    """Return the image of a recipe; it is built if the cache does not hold it.

    A build removes the images that no board was started with for two weeks. A board that still
    runs has its files open, and keeps them.

    Parameters
    ----------
    boards
        The folder of the recipe, with the locked Python packages.

    Raises
    ------
    SpecificationError
        The requirements cannot be read.
    LabError
        A package cannot be had or checked, or a tool of the host is missing or failed.
    """
    cache = cache_dir() / "boards"
    name = f"{spec.suites[0]}-{spec.architecture}"
    target = cache / f"{name}-{recipe_hash(spec, boards)[:12]}"
    if not target.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with _lock(cache, progress):
            if not target.is_dir():
                _build(target, spec, boards, progress)
                _remove_unused(cache)
    os.utime(target)  # used now
    return Image(target, json.loads((target / "image.json").read_text())["id"])


def _lock(cache: Path, progress: Callable[[str], None]) -> AcquireReturnProxy[FileLock]:
    lock = FileLock(cache / ".lock")
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        progress("waiting for another process that is building an image")
        return lock.acquire()


def _remove_unused(cache: Path) -> None:
    removing = cache / ".removing"
    shutil.rmtree(removing, ignore_errors=True)  # what a killed removal left
    for about in list(cache.glob("*/image.json")):
        image = about.parent
        if time.time() - image.stat().st_mtime > _UNUSED_S:
            image.rename(removing)
            shutil.rmtree(removing)


def _build(target: Path, spec: ImageSpec, boards: Path, progress: Callable[[str], None]) -> None:
    """Build an image beside its place, and rename it when it is whole."""
    work = target.parent / ".building"
    shutil.rmtree(work, ignore_errors=True)  # what a killed build left
    image, root = work / "image", work / "root"
    try:
        image.mkdir(parents=True)
        kernel, *debs = _fetch(work, spec, progress)
        identity = hashlib.sha256(target.name.encode())
        for deb in (kernel, *debs):
            identity.update(deb.digest.encode())
        progress("unpacking the packages")
        _root(root, [work / deb.file for deb in debs])
        _kernel(work / kernel.file, work, image, spec.modules)
        with (root / "etc/os-release").open("a") as release:
            release.write(f"IMAGE_ID={target.name}\nIMAGE_VERSION={identity.hexdigest()}\n")
        if spec.python:
            _python(root, spec.python, boards / spec.python.requirements, progress)
        _disk(root, image / "root.ext4", progress)
        about = {"id": identity.hexdigest(), "packages": [kernel.file, *(d.file for d in debs)]}
        (image / "image.json").write_text(json.dumps(about, indent=2) + "\n")
        image.rename(target)
    except OSError as error:
        raise LabError(f"building the image {target.name}: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _fetch(work: Path, spec: ImageSpec, progress: Callable[[str], None]) -> list[Deb]:
    """Download the packages, the kernel first."""
    suites = " and ".join(spec.suites)
    progress(f"fetching the package lists of Debian {suites} for {spec.architecture}")
    apt = Apt(work / "apt", spec)
    apt.update(progress)
    kernel = apt.newest(spec.kernel)
    debs = apt.find([kernel, *spec.packages])
    progress(f"downloading {len(debs)} packages ({_mb(sum(deb.size for deb in debs))})")
    apt.download([kernel, *spec.packages], work)
    debs.sort(key=lambda deb: not deb.file.startswith(f"{kernel}_"))
    return debs


def _root(root: Path, debs: list[Path]) -> None:
    """Lay out the root disk without its Python packages."""
    for part in _MERGED:
        (root / "usr" / part).mkdir(parents=True)
        (root / part).symlink_to(f"usr/{part}")
    for part in _FOLDERS:
        (root / part).mkdir(parents=True)
    for deb in debs:
        unpack(deb, root)
    for part in ("bin/sh", "sbin/init"):
        (root / part).symlink_to("/bin/busybox")
    shutil.copytree(GUEST / "etc", root / "etc", dirs_exist_ok=True)


def _kernel(deb: Path, work: Path, image: Path, modules: list[str]) -> None:
    """Take the kernel out of its package, and make the initial memory file system."""
    tree = work / "kernel"
    tree.mkdir()
    unpack(deb, tree)
    next((tree / "boot").glob("vmlinu[xz]-*")).rename(image / "kernel")
    paths = {_module_name(path): path for path in tree.rglob("*.ko*")}
    order = list(dict.fromkeys(_with_dependencies(modules, paths)))
    files = {
        "init": (GUEST / "init").read_bytes(),
        "bin/busybox": (work / "root/bin/busybox").read_bytes(),
        "modules": "".join(f"{name}.ko\n" for name in order).encode(),
        **{f"lib/{name}.ko": _module(paths[name]) for name in order},
    }
    folders = ("dev", "lower", "root", "upper")
    (image / "initrd").write_bytes(cpio.archive(files, mode=0o755, folders=folders))


def _module_name(path: Path) -> str:
    return path.name.partition(".")[0].replace("-", "_")


def _module(path: Path) -> bytes:
    """Return a module's content, which newer kernels' packages have compressed."""
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content


def _with_dependencies(modules: list[str], paths: Mapping[str, Path]) -> Iterator[str]:
    """Yield modules in an order in which they can be inserted."""
    for name in modules:
        if name not in paths:
            raise LabError(f"the kernel's package has no module '{name}' (or has it built in)")
        # The kernel's build writes what a module needs into its section .modinfo.
        _, _, needs = _module(paths[name]).partition(b"\0depends=")
        needed = needs.partition(b"\0")[0].decode()
        yield from _with_dependencies(needed.split(",") if needed else [], paths)
        yield name


def _python(
    root: Path, spec: PythonSpec, requirements: Path, progress: Callable[[str], None]
) -> None:
    """Add the Python packages, and compile all Python: a board would take minutes for it."""
    target = root / f"usr/local/lib/python{spec.version}/dist-packages"
    progress(f"installing {requirements.name}: 140 MB, unless uv's cache has it")
    program = uv.find_uv_bin()
    run_tool(
        *(program, "pip", "install", "--no-deps", "--require-hashes", "--only-binary", ":all:"),
        *("--python", spec.version, "--python-version", spec.version),
        *("--python-platform", _PYTHON_PLATFORM, "--target", target),
        *("--requirements", requirements),
    )
    progress(f"compiling Python files with Python {spec.version}")
    run_tool(
        *(program, "run", "--no-project", "--python", spec.version),
        *("python", "-I", "-m", "compileall", "-q", "-j", "0", "-s", root, "-p", "/", root),
    )


def _disk(root: Path, disk: Path, progress: Callable[[str], None]) -> None:
    """Make a disk of a folder."""
    sizes = [path.lstat().st_size for path in root.rglob("*")]
    # A file ends within a block, a folder takes one, and an inode a sixteenth of one.
    blocks = sum(-(-size // _BLOCK) + 1 for size in sizes)
    size = int(blocks * _BLOCK * 1.1) + (32 << 20)
    progress(f"creating the root disk ({_mb(size)})")
    run_tool(
        *("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-L", "root"),
        *("-E", "root_owner=0:0", "-d", root, disk, f"{size >> 10}k"),
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB"
