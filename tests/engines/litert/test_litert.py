"""LiteRT on files as users bring them, in its real environment (made on first use)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from harness import engines
from harness.conformance.engines import check_engine
from harness.core.errors import SpecificationError
from harness.models import recipes
from harness.models.adding import Known, add
from harness.models.build import build, outputs, reference
from harness.models.here import check_here
from harness.runner.python import edge_runner

pytestmark = pytest.mark.e2e

DATA = Path(__file__).parents[2] / "data" / "litert"
RANGE = {"x": (-1.0, 1.0)}


@pytest.fixture
def added(workspace):
    def model(file, **known):
        return add(workspace, DATA / f"{file}.tflite", Known(ranges=RANGE, **known), progress=print)

    return model


@pytest.fixture
def expected():
    """What the network of float32 computes of its inputs, by seed."""
    with np.load(DATA / "linear.npz") as stored:
        weights, biases = stored["weights"], stored["biases"]
    spec = {"shape": [1, 16], "low": -1.0, "high": 1.0}
    fed = {seed: edge_runner.make_input(spec, seed, 0) for seed in (1, 2, 3)}
    return {seed: value @ weights.T + biases for seed, value in fed.items()}


@pytest.mark.parametrize(
    ("name", "precision", "error"), [("linear", "fp32", 1e-6), ("linear_int8", "int8", 0.05)]
)
def test_a_file_is_added_and_computes_what_it_should(added, expected, name, precision, error):
    model = added(name).model
    (spec,) = model.manifest.inputs
    assert (spec.name, spec.dtype, spec.shape) == ("x", "float32", (1, 16))
    assert model.manifest.source.precision == precision
    assert set(recipes.targets(model)) == {"tflite", "reference"}
    artifact = build(model, "tflite", precision=precision, progress=print)
    assert artifact.record.precision == precision
    assert check_here(model, artifact, progress=print).passed
    for found in (
        reference(model, progress=print),
        outputs(model, "litert", artifact, progress=print),
    ):
        for seed, values in expected.items():
            np.testing.assert_allclose(found[seed][0], values, atol=error)


def test_the_reference_is_the_other_models(added, expected):
    added("linear", name="exact")
    model = added("linear_int8", name="quantized", reference="exact").model
    found = reference(model, progress=print)
    np.testing.assert_allclose(found[1][0], expected[1], atol=1e-6)  # and not its own, in int8
    artifact = build(model, "tflite", precision="int8", progress=print)
    checked = check_here(model, artifact, progress=print)
    assert checked.passed
    assert checked.relative_error > 1e-3


def test_a_file_has_one_precision(added):
    model = added("linear_int8").model
    with pytest.raises(SpecificationError, match="not built in fp32") as caught:
        build(model, "tflite", precision="fp32", progress=print)
    assert caught.value.hint == "they are in int8"


@pytest.mark.parametrize("content", [b"", b"no model" * 100, b"\x1c\0\0\0TFL3" + bytes(200)])
def test_what_is_no_such_file_is_refused(workspace, tmp_path, content):
    path = tmp_path / "net.tflite"
    path.write_bytes(content)
    with pytest.raises(SpecificationError, match=r"net\.tflite: ") as caught:
        add(workspace, path, Known(), progress=print)
    assert "\n" not in caught.value.message
    assert list(workspace.models.iterdir()) == []


@pytest.mark.parametrize("name", ["linear", "linear_int8"])
def test_it_passes_the_conformance_kit(added, name):
    model = added(name).model
    tried = list(check_engine(engines.get("litert"), model, python=None, progress=print))
    assert [each for each in tried if each.fault] == []
    assert len(tried) > 10


CAMPAIGN = """\
matrix:
  - models: [linear]
    devices: [here, without]
    engines: [litert]
launches: 1
protocol:
  warmup: {min_samples: 2, min_seconds: 0, max_samples: 5}
  sampling: {min_samples: 5, min_seconds: 0, max_samples: 5}
"""


def test_xnnpack_is_an_option_and_what_it_took_is_recorded(added, workspace, cli):
    added("linear")
    device = "transport: local\nabi: x86_64-linux\nengines:\n  litert:\n    environment: litert\n"
    off = '    backends: {cpu: {options: {xnnpack: "off"}}}\n'
    (workspace.devices / "here.yaml").write_text(device)
    (workspace.devices / "without.yaml").write_text(device + off)
    (workspace.campaigns / "xnnpack.yaml").write_text(CAMPAIGN)
    assert cli("run", workspace.campaigns / "xnnpack.yaml").code == 0
    rows = cli("results", "show", "--json").out
    builds = [launch["build"] for launch in json.loads(rows)["launches"] if launch["slot"] == 0]
    assert {(build["xnnpack"], build["xnnpack_parts"]) for build in builds} == {
        ("on", "1"),
        ("off", "0"),
    }
