"""Runs of many nights, made up for tests: no figure in them was measured."""

from __future__ import annotations

from datetime import timedelta

from harness.campaign.baselines import save_baseline
from harness.core.records import Category, DeviceEvent, DeviceEventKind, Status
from tests.report.conftest import BEGUN, FACTS, MadeUpRun

CASES = (
    # model, device, settings, latency, in milliseconds
    ("mobilenet_v1", "rk3588", {"engine": "paddle-lite", "threads": 4}, 38.0),
    ("mobilenet_v1", "rk3588", {"engine": "rknn", "backend": "npu:rknpu"}, 4.2),
    ("ppocr_v4_cls", "rk3588", {"engine": "onnxruntime"}, 3.1),
    ("mobilenet_v1", "qemu-arm64", {"engine": "onnxruntime"}, 310.0),
)
SLOWED = 6
"""From this night on the NPU is slower, on another kernel."""


def night(number, cases=CASES, campaign="nightly"):
    """Return the run of one night."""
    made = MadeUpRun()
    made.random.seed(number)
    begun = BEGUN + timedelta(days=number)
    kernel = "5.10.198" if number < SLOWED else "5.10.209"
    made.device("rk3588", facts=FACTS | {"soc": "rockchip,rk3588", "kernel": kernel})
    made.device("qemu-arm64", emulated=True)
    for name in dict.fromkeys(model for model, *_ in cases):
        made.model(name)
    for model, device, settings, latency in cases:
        case = made.case(model, device, **settings)
        slower = 1.15 if settings["engine"] == "rknn" and number >= SLOWED else 1.0
        at = latency * slower * made.random.lognormvariate(0, 0.004)
        for slot in range(5):
            bad = {
                "status": Status.FAILED,
                "category": Category.TIMEOUT,
                "reason": "ended at its time limit of 120 s, after 'loaded'",
            }
            failed = number % 4 == 1 and slot == 0 and device == "rk3588"
            fields = bad if failed else made._figures(at * made.random.lognormvariate(0, 0.005), 12)
            made.launch(
                case, id=f"{number}-{case}-{slot}", slot=slot,
                started=begun + timedelta(seconds=9 * slot), **fields,
            )  # fmt: skip
    return made.run(
        id=f"{campaign}-{begun:%Y%m%d-%H%M%S}",
        campaign=campaign,
        started=begun,
        finished=begun + timedelta(minutes=7),
        revision=f"{number:012x}",
    )


def add(workspace, *runs):
    """Store runs."""
    with workspace.store() as store:
        for run in runs:
            store.create(run.model_copy(update={"launches": []}))
            for launch in run.launches:
                store.add(run.id, launch)


def fill(workspace, nights=10):
    """Store runs of some nights, a baseline, and what befell a board."""
    runs = [night(number) for number in range(nights)]
    add(workspace, *runs)
    save_baseline(workspace, "good", runs[2], BEGUN, files=False)
    with workspace.store() as store:
        for kind in (DeviceEventKind.PUT_ASIDE, DeviceEventKind.POWER_CYCLED):
            store.note(
                DeviceEvent(device="rk3588", at=runs[3].started, kind=kind, run=runs[3].id,
                            detail="no answer from 192.168.1.7")
            )  # fmt: skip
