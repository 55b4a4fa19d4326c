"""The outputs of a launch beside the reference outputs, those after changes of shape among them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from harness.campaign.on_device import OnDevice
from harness.campaign.prepare import Prepared, ShapeSwitch
from harness.campaign.runners import PythonRunner
from harness.core.contract import Job, Outputs
from harness.core.records import Case
from harness.lab.inventory import BackendSpec, Device, DeviceSpec
from harness.models.manifest import Manifest, Model

MANIFEST = Manifest(
    title="t",
    licence="l",
    source={"kind": "paddle.vision", "function": "f"},
    inputs=[{"name": "x", "shape": [1, 2], "dynamic": {1: [1, 8]}}],
)
OWN = {seed: [np.array([[seed, seed**2]], "float32")] for seed in (1, 2, 3)}
WIDE = {seed: [np.array([[seed, seed**2, -seed, 1]], "float32")] for seed in (1, 2, 3)}
JOB = Job(launch="l", engine="e", files={}, inputs=MANIFEST.fed(), check_seeds=[1, 2, 3])


@pytest.fixture
def check():
    """Check tensors by change (none for the job's own inputs) and seed."""

    def _check(tensors):
        files, claimed = {}, []
        for change, by_seed in tensors.items():
            for seed, (value,) in by_seed.items():
                name = f"output-{change}-{seed}.bin"
                files[name] = value.tobytes()
                claimed.append(
                    Outputs(
                        change=change, seed=seed, index=0, name="y", dtype="float32",
                        shape=value.shape, sha256=hashlib.sha256(files[name]).hexdigest(),
                        file=name,
                    )
                )  # fmt: skip

        def pull(remote, local, *, limit):
            content = files[Path(remote).name]
            assert len(content) <= limit
            local.write_bytes(content)

        spec = DeviceSpec(transport="local", abi="x86_64-linux")
        launcher = SimpleNamespace(
            supervisor=SimpleNamespace(store="/work/store"), folder=lambda name: name
        )
        device = OnDevice(
            Device(name="here", spec=spec), SimpleNamespace(pull=pull), launcher
        )  # a double of the link
        case = Case(model="m", device="here", engine="e")
        prepared = Prepared(
            case,
            Model(name="m", manifest=MANIFEST),
            None,
            PythonRunner("python"),
            OWN,
            BackendSpec(),
            changes=[ShapeSwitch({"x": (1, 4)}, WIDE), ShapeSwitch({"x": (1, 2)}, OWN)],
        )
        return device.check(JOB, prepared, claimed)

    return _check


def test_outputs_after_changes_have_references_of_their_own(check):
    assert check({None: OWN, 0: WIDE, 1: OWN}).passed


def test_wrong_outputs_after_a_change_are_wrong(check):
    stale = dict.fromkeys(WIDE, WIDE[1])
    found = check({None: OWN, 0: stale, 1: OWN})
    assert not found.passed
    assert str(found.reason).startswith("after the change to x 1×4: relative error")


def test_outputs_of_the_shape_before_the_change_are_wrong(check):
    found = check({None: OWN, 0: OWN, 1: OWN})
    assert not found.passed
    assert "[1, 2] instead of [1, 4]" in str(found.reason)


def test_a_change_that_was_not_asked_for(check):
    assert not check({None: OWN, 2: OWN}).passed
