"""Compile an ONNX model for Rockchip's NPUs, with RKNN-Toolkit2.

Run in the environment ``rknn`` as ``to_rknn.py REQUEST``: a JSON object with ``target`` (the
chip: ``rk3588`` …), ``precision`` (``fp16``) and ``inputs`` (the contract's input specifications,
whose shapes are fixed in the model). Makes ``model.rknn`` of ``model.onnx`` in the current folder.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

# It colours its log; errors begin with an E, and some also appear where all went well.
ERROR = re.compile(r"(?:\x1b\[[\d;]*m)*E(?:\x1b\[[\d;]*m)* (?:\x1b\[[\d;]*m)*(\w+: [^\x1b\n]+)")


class NotInstalled:
    """Stands for anything of torch while modules are imported; it fails when it is used."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Decorate a function: with one that fails."""

        def fail(*_: Any, **__: Any) -> None:
            raise RuntimeError("this needs torch, which the environment leaves out")

        return fail


class NoTorch(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds ``torch``, which the toolkit imports, and needs for PyTorch models and GDQ only.

    With its CUDA libraries it is nine tenths of what the toolkit would install.
    """

    def find_spec(self, name: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        """Find torch and its submodules."""
        torch = name.partition(".")[0] == "torch"
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if torch else None

    def exec_module(self, module: ModuleType) -> None:
        """Give a module that has every public name."""

        def anything(name: str) -> type:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (NotInstalled,), {})

        module.__getattr__ = anything  # type: ignore[method-assign]


class Log:
    """Standard output that remembers the toolkit's last error."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.error = ""

    def write(self, text: str) -> int:
        """Write through."""
        for found in ERROR.finditer(text):
            if not found[1].endswith("Traceback (most recent call last):"):
                self.error = found[1]
        return int(self.stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    sys.meta_path.append(NoTorch())
    log = Log(sys.stdout)
    sys.stdout = sys.stderr = log
    from rknn.api import RKNN  # noqa: PLC0415 - after what stands for torch

    if request["precision"] != "fp16":
        sys.exit(f"precision {request['precision']} is not built yet")
    toolkit: Any = RKNN()
    names = [spec["name"] for spec in request["inputs"]]
    shapes = [list(spec["shape"]) for spec in request["inputs"]]
    steps: tuple[tuple[str, Callable[[], Any]], ...] = (
        ("config", lambda: toolkit.config(target_platform=request["target"])),
        ("load_onnx", lambda: toolkit.load_onnx("model.onnx", names, shapes)),
        ("build", lambda: toolkit.build(do_quantization=False)),
        ("export_rknn", lambda: toolkit.export_rknn("model.rknn")),
    )
    for step, make in steps:
        try:
            code = make()
        except Exception as error:  # noqa: BLE001 - whatever its parts may raise
            # Its own exceptions hold the text of a traceback; the reason is the last line.
            sys.exit(f"{step}: {(str(error).strip() or repr(error)).splitlines()[-1]}")
        if code:
            sys.exit(log.error or f"{step} failed without a word ({code})")


if __name__ == "__main__":
    main()
