"""Calibration models: checked like every file, and built without any tool."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import ValidationError

from harness.core.errors import SpecificationError
from harness.models.build import build, find, reference
from harness.models.manifest import Manifest, Model
from harness.runner.python import edge_runner

SPIN = {"spin_us": 2000}


def model(**settings):
    manifest = {
        "title": "Calibration",
        "licence": "Apache-2.0",
        "source": {"kind": "calibration", **settings},
        "inputs": [{"name": "a", "shape": [1, 8]}, {"name": "b", "shape": [3], "dtype": "int64"}],
    }
    return Model(name="spin", manifest=Manifest.model_validate(manifest))


def test_the_artifact_is_what_the_runner_reads(cache, steps):
    wanted = model(**SPIN, slow={"from": 3, "factor": 2}, fail={"how": "hang"})
    assert find(wanted, "calibration") is None
    built = build(wanted, "calibration", progress=steps.append)
    assert json.loads(built.path("model").read_text()) == {
        "inputs": ["a", "b"],
        "spin_us": 2000,
        "slow": {"from": 3, "factor": 2},
        "fail": {"how": "hang"},
    }
    assert find(model(work=5), "calibration") is None
    assert not (cache / "environments").exists()


def test_its_outputs_are_its_inputs(steps):
    outputs = reference(model(**SPIN), progress=steps.append)
    assert set(outputs) == {1, 2, 3}
    for seed, (a, b) in outputs.items():
        spec = {"name": "a", "shape": [1, 8], "dtype": "float32", "low": 0, "high": 1}
        np.testing.assert_array_equal(a, edge_runner.make_input(spec, seed, 0))
        assert (b.dtype, b.shape) == (np.int64, (3,))
    assert steps == []


def test_it_is_built_for_nothing_else(steps):
    with pytest.raises(
        SpecificationError, match="'onnx' is not an artifact format of model 'spin'"
    ):
        build(model(**SPIN), "onnx", progress=steps.append)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "either 'spin_us' or 'work'"),
        ({**SPIN, "work": 5}, "either 'spin_us' or 'work'"),
        ({"spin_us": -1}, "greater than 0"),
        ({**SPIN, "fail": {"how": "burn"}}, "'crash', 'hang', 'error' or 'exit'"),
        ({**SPIN, "slow": {"begin": 3, "factor": 2}}, "slow.from"),
    ],
)
def test_settings_that_the_runner_would_refuse(settings, said):
    with pytest.raises(ValidationError) as caught:
        model(**settings)
    assert said in str(caught.value)
