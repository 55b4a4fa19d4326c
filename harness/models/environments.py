"""Toolchain environments: locked, made with uv on first use, shared by all workspaces.

Each has a file of what is asked for and its lock beside it, under ``locks/``. An engine that
runs on this machine, too, runs in one of them.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import TYPE_CHECKING

import uv

from harness.core.errors import SpecificationError
from harness.core.yamlfile import nearest
from harness.models import interpreters
from harness.models.once import make_once
from harness.models.toolchain import run
from harness.workspace import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["ENVIRONMENTS", "Environment", "get", "python"]

_REQUIREMENT = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)", re.MULTILINE)
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^ ;\\]+)", re.MULTILINE)


@dataclass(frozen=True)
class Environment:
    """One toolchain environment.

    Attributes
    ----------
    name
        Its files are ``locks/<name>.in`` and ``locks/<name>.txt``.
    purpose
        What it is for, in a few words.
    version
        Of its Python, major and minor.
    download_mb
        How much a first use downloads, about.
    """

    name: str
    purpose: str
    version: str
    download_mb: int

    @cached_property
    def lock(self) -> str:
        """The lock: every package with its version and hashes."""
        return _resource(f"{self.name}.txt")

    @property
    def digest(self) -> str:
        """SHA-256 of the lock: what artifacts made in this environment are identified by."""
        return hashlib.sha256(self.lock.encode()).hexdigest()

    @property
    def tools(self) -> dict[str, str]:
        """The packages that were asked for, with the versions that the lock has of them."""
        pins = dict(_PIN.findall(self.lock))
        return {name: pins[name] for name in _REQUIREMENT.findall(_resource(f"{self.name}.in"))}

    @property
    def folder(self) -> Path:
        """Where it lies once it is made."""
        return cache_dir() / "environments" / f"{self.name}-py{self.version}-{self.digest[:12]}"

    @property
    def interpreter(self) -> Path:
        """Its interpreter, once it is made."""
        return self.folder / "bin" / "python"

    @property
    def ready(self) -> bool:
        """Whether it is made, and the Python that it was made with is still there."""
        return _works(self.folder)


_OWN_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment("paddle", "export, opt, conversion; Paddle engines here", "3.10", 200),
        Environment("paddle3", "what Paddle 3 writes (PIR), to ONNX", "3.10", 245),
        Environment("onnxruntime", "the engine onnxruntime here", _OWN_VERSION, 40),
        Environment("openvino", "the engine openvino here", _OWN_VERSION, 75),
        Environment("mnn", "ONNX to MNN; the engine mnn here", _OWN_VERSION, 45),
        Environment("ncnn", "ONNX to ncnn; the engine ncnn here", _OWN_VERSION, 60),
        Environment("rapidocr", "trained PP-OCRv4 models", _OWN_VERSION, 15),
        Environment("x2paddle", "ONNX to Paddle", "3.10", 180),
        Environment("rknn", "ONNX to RKNN, for Rockchip's NPUs", "3.10", 190),
        Environment("native", "building native runners", _OWN_VERSION, 35),
        Environment("zig", "the compiler of what runs on devices", _OWN_VERSION, 95),
    )
}


def get(name: str) -> Environment:
    """Return an environment by name, made or not.

    Raises
    ------
    SpecificationError
        There is none of that name.
    """
    if name not in ENVIRONMENTS:
        raise SpecificationError(
            f"unknown toolchain environment '{name}'", hint=nearest(name, ENVIRONMENTS)
        )
    return ENVIRONMENTS[name]


def python(name: str, progress: Callable[[str], None]) -> Path:
    """Return the interpreter of an environment, which is made if it is not there.

    Raises
    ------
    SpecificationError
        There is no environment of that name.
    ToolchainError
        Its Python was not found, or its packages could not be installed.
    """
    environment = get(name)
    if not environment.ready:
        make_once(
            environment.folder,
            lambda folder: _install(environment, folder, progress),
            sound=_works,
            progress=progress,
        )
    return environment.interpreter


def _install(environment: Environment, folder: Path, progress: Callable[[str], None]) -> None:
    base = interpreters.obtain(environment.version, progress)
    progress(
        f"environment {environment.name}: Python {environment.version}, "
        f"up to {environment.download_mb} MB to download"
    )
    step = f"environment {environment.name}"
    # Relocatable: it is renamed into its place once it is whole.
    create = [uv.find_uv_bin(), "venv", "--relocatable", "--python", str(base)]
    run([*create, str(folder)], name=step, folder=folder.parent)
    lock = folder / "lock.txt"
    lock.write_text(environment.lock, encoding="utf-8")
    # Compiled now, since the first launch of an engine would otherwise pay for it.
    sync = [uv.find_uv_bin(), "pip", "sync", "--require-hashes", "--compile-bytecode"]
    run([*sync, "--python", str(folder / "bin" / "python"), str(lock)], name=step, folder=folder)


def _works(folder: Path) -> bool:
    return os.access(folder / "bin" / "python", os.X_OK)


def _resource(name: str) -> str:
    return (resources.files("harness.models") / "locks" / name).read_text(encoding="utf-8")
