"""Paddle Lite: loads ``.nb``, for the CPU or for an NPU behind NNAdapter."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.records import Partition
from harness.engines.base import (
    ANDROID_ABIS,
    LINUX_ABIS,
    Callers,
    Engine,
    Format,
    Made,
    Native,
    Sdk,
    Source,
)
from harness.engines.paddle_lite import reasons
from harness.engines.paddle_lite.benchmark_bin import FATAL, BenchmarkBin
from harness.engines.paddle_lite.nnadapter import NNADAPTER_DEVICES

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    from harness.core.reason import Reason
    from harness.engines.base import DeviceFacts, Request

__all__ = ["PLUGIN"]

_FOLDER = Path(__file__).parent

# A tag, a text of its own in what is compiled with lite/core/version.h; a compiler that optimizes
# for speed may leave no text of it.
_VERSION = re.compile(rb"(?<=\0)(v\d{1,2}\.\d{1,3}(?:\.\d{1,3})?(?:-[a-z0-9.]{1,8})?)(?=\0)")


class _PaddleLite(Engine):
    """Its artifacts are for one processor and one version of it.

    On another processor it computes garbage; of another version it crashes or returns nothing.

    What an NPU takes is one kernel of the target ``nnadapter`` for each part of the model; opt
    leaves the rest to the CPU, without a word and up to the whole model.
    """

    def lacks(self, device: DeviceFacts, backend: str) -> Reason | None:
        kind, _, name = backend.partition(":")
        if kind == "gpu":
            return reasons.NO_OPENCL()
        if kind == "npu" and name not in NNADAPTER_DEVICES:
            return reasons.NO_NNADAPTER(name=name, known=sorted(NNADAPTER_DEVICES))
        if kind == "npu" and _processor(device) != "arm":
            return reasons.ARM_ONLY(abi=device.abi)
        return None

    def recipe(self, request: Request) -> Made:
        options: dict[str, Any] = {"target": request.target}
        if request.target.partition(",")[0] in NNADAPTER_DEVICES:
            # What compiles for an NPU does so for the shapes that the model declares, and a file
            # may leave more of them open than its manifest says.
            options["shapes"] = {spec.name: spec.shape for spec in request.inputs}
        made = _FOLDER / "stages" / "opt.py", "paddle", options
        if request.precision == "fp32":
            return Made(*made, (Source("pdmodel"),))
        if request.computed_in == "int8":  # nothing in fp32 that it could have drifted from
            return Made(*made, (Source("pdmodel", "int8"),))
        run = self.format if request.target == "x86" else "pdmodel"
        return Made(*made, (Source("pdmodel", "int8"),), drift_of=run)

    def partition(
        self, files: Mapping[str, Path], macs: Mapping[str, int] | None = None
    ) -> Partition:
        from harness.engines.paddle_lite import nb  # noqa: PLC0415 - it loads numpy

        info = nb.inspect(files["model"])
        parts = nb.subgraphs(files["model"]) if info.subgraphs else []
        more = {}
        if macs is not None and parts:
            on_npu = frozenset[str]().union(*(part.outputs for part in parts))
            of_npu = sum(n for name, n in macs.items() if name in on_npu)
            more = {"macs": sum(macs.values()), "npu_macs": of_npu}
        return Partition(
            tool=f"opt {info.opt_version}",
            kernels=info.by_kind,
            subgraphs=[_most_first(part.ops) for part in parts],
            cpu_ops=_most_first(info.on_cpu) if parts else {},
            weight_bytes=info.weight_bytes,
            **more,
        )

    def keeps_models(self, backend: str) -> bool:
        return backend.startswith("npu:")

    def changes_shapes(self, device: DeviceFacts, backend: str) -> bool:
        # What an NPU is given is compiled for one shape. On x86 Paddle Lite 2.13 returns wrong
        # outputs after a change of PP-OCRv4 recognition's width, or corrupts its heap.
        return backend == "cpu" and _processor(device) == "arm"

    def target(self, device: DeviceFacts, backend: str = "cpu") -> str:
        npu = backend.partition(":")[2]
        return f"{npu},{_processor(device)}" if npu else _processor(device)

    def refuse(
        self,
        device: DeviceFacts,
        files: Mapping[str, Path],
        backend: str = "cpu",
        version: str | None = None,
    ) -> Reason | None:
        from harness.engines.paddle_lite import nb  # noqa: PLC0415 - it loads numpy

        info = nb.inspect(files["model"])
        needed, found = _processor(device), info.targets
        if backend != "cpu":
            if "nnadapter" not in found:
                return reasons.NOTHING_ON_NPU(backend=backend)
            found -= {"nnadapter"}
        if not found <= {needed}:
            return reasons.OTHER_KERNELS(kernels=sorted(found), abi=device.abi, needed=needed)
        # A commit's hash, which an untagged library reports, says nothing: its outputs will.
        released = version and re.match(r"v?\d+\.", version)
        if version and released and _release(version) != _release(info.opt_version):
            return reasons.OTHER_VERSION(opt=info.opt_version, runner=version)
        return None


def _release(version: str) -> str:
    """Return 2.13rc of v2.13-rc, as opt writes it, and of 2.13rc0, as the wheel does."""
    return re.sub(r"^v|-|(?<=rc)0$", "", version)


def _processor(device: DeviceFacts) -> str:
    return "x86" if device.abi.startswith("x86_64") else "arm"


def _most_first(ops: Counter[str]) -> dict[str, int]:
    return dict(sorted(ops.items(), key=lambda item: (-item[1], item[0])))


PLUGIN = _PaddleLite(
    name="paddle-lite",
    api_version=1,
    title="Paddle Lite",
    profiles=False,
    folder=_FOLDER,
    format="nb",
    formats=(
        Format(
            name="nb",
            roles={"model": "model.nb"},
            targets={"x86": "x86", "arm": "arm"},
            accelerators={unit: f"{unit},arm" for unit in ("opencl", *NNADAPTER_DEVICES)},
            precisions=("fp32", "int8"),
            keeps=("int8",),
            usual=True,
        ),
    ),
    precisions=("fp32", "int8"),
    callers_in_python=Callers.INSTANCES,
    environment="paddle",
    checks=("x86",) if platform.machine() == "x86_64" else (),
    cpu_abis=(*LINUX_ABIS, *ANDROID_ABIS),
    packages=("paddlelite",),
    version_text=_VERSION,
    last_words=FATAL,
    native=Native(
        sdk=Sdk(
            title="Paddle Lite SDK",
            headers=("paddle_api.h", "paddle_place.h"),
            folders=("cxx/include", "include"),  # releases, and their demos' copies
            library="libpaddle_light_api_shared.so",
        )
    ),
    tools=(BenchmarkBin(),),
    colour=0,
    made_by="opt",
)
