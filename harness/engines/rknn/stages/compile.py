"""Compile an ONNX model for Rockchip's NPUs, with RKNN-Toolkit2.

Run in the environment ``rknn`` as ``compile.py REQUEST``: a JSON object with ``target`` (the
chip: ``rk3588`` …), ``precision`` (``fp16`` or ``int8``), ``inputs`` (the contract's input
specifications, whose shapes are fixed in the model) and for int8 ``algorithm`` and ``method``, or
``quantized`` where the model is that already.
Makes ``model.rknn`` of ``frozen.onnx`` in the current folder, whose inputs ``interface.json`` has;
``calibration.npz`` has the samples for int8 (``x.j`` of input ``j``).

Then the toolkit's simulator, which runs only what was just built, computes the outputs for the
inputs in ``heldout.npz``: ``outputs.npz`` (``y.j``) and ``kernels.json`` (``computed_by``). The
compiler's table of layers is in what the stage prints.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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


def write_samples(dtypes: list[str]) -> str:
    """Write the samples as the toolkit reads them; return the file that lists them."""
    with np.load("calibration.npz", allow_pickle=False) as stored:
        arrays = [stored[f"x.{j}"].astype(dtype) for j, dtype in enumerate(dtypes)]
    lines = []
    for n in range(len(arrays[0])):
        names = [f"sample-{n}.{j}.npy" for j in range(len(dtypes))]
        for name, array in zip(names, arrays, strict=True):
            np.save(name, array[n])
        lines.append(" ".join(names))
    Path("samples.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "samples.txt"


def simulate(toolkit: Any, dtypes: list[str]) -> None:
    """Write what the NPU would compute of the held-out inputs."""
    with np.load("heldout.npz", allow_pickle=False) as stored:
        arrays = [stored[f"x.{j}"].astype(dtype) for j, dtype in enumerate(dtypes)]
    formats = ["nchw"] * len(dtypes)
    outputs = [
        toolkit.inference(list(values), data_format=formats) for values in zip(*arrays, strict=True)
    ]
    stacked: Any = {f"y.{j}": np.stack(y) for j, y in enumerate(zip(*outputs, strict=True))}
    np.savez("outputs.npz", **stacked)
    version = metadata.version("rknn-toolkit2")
    told = {"computed_by": f"RKNN-Toolkit2 {version}, simulator", "kernels": {}}
    Path("kernels.json").write_text(json.dumps(told), encoding="utf-8")


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.argv[1])
    sys.meta_path.append(NoTorch())
    log = Log(sys.stdout)
    sys.stdout = sys.stderr = log
    from rknn.api import RKNN  # noqa: PLC0415 - after what stands for torch

    int8 = request["precision"] == "int8" and not request.get("quantized")
    quantization = {}
    if int8:
        method, algorithm = request["method"], request["algorithm"]
        quantization = {"quantized_method": method, "quantized_algorithm": algorithm}
    interface = json.loads(Path("interface.json").read_bytes())
    # The first of them, as the samples have them, too.
    specs = [spec for spec in request["inputs"] if spec["name"] in interface["inputs"]]
    dtypes = [
        "float32" if spec["name"] in interface["as_float32"] else spec["dtype"] for spec in specs
    ]
    dataset = write_samples(dtypes) if int8 else None
    toolkit: Any = RKNN(verbose=True)
    names = [spec["name"] for spec in specs]
    shapes = [list(spec["shape"]) for spec in specs]
    steps: tuple[tuple[str, Callable[[], Any]], ...] = (
        ("config", lambda: toolkit.config(target_platform=request["target"], **quantization)),
        ("load_onnx", lambda: toolkit.load_onnx("frozen.onnx", names, shapes)),
        ("build", lambda: toolkit.build(do_quantization=int8, dataset=dataset)),
        ("export_rknn", lambda: toolkit.export_rknn("model.rknn")),
        ("simulator", toolkit.init_runtime),
        ("simulator", lambda: simulate(toolkit, dtypes)),
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
