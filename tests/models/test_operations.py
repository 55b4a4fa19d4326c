"""What is counted of a model, against what its authors and others have published.

MobileNetV1's are of its paper (A. G. Howard et al., arXiv:1704.04861, tables 2 and 4), the others
of torchvision 0.20's documentation of its weights (``num_params`` and ``_ops``, which are billions
of multiply-accumulates), whose networks are the same as Paddle's.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.models import operations
from harness.models.manifest import Manifest, Model, load_model
from harness.models.recipes import recipe
from harness.workspace import Workspace

REPOSITORY = Workspace(Path(__file__).parents[2])


def network(function, **source):
    return Model(
        name=function,
        manifest=Manifest.model_validate(
            {
                "title": function,
                "licence": "Apache-2.0",
                "source": {"kind": "paddle.vision", "function": function, **source},
                "inputs": [
                    {"name": "image", "shape": [1, 3, 224, 224], "dynamic": {0: [1, 8]}},
                ],
            }
        ),
    )


@pytest.mark.e2e
def test_mobilenet_v1_computes_what_its_paper_says():
    model = network("mobilenet_v1")
    counted = operations.count(model, progress=print)
    assert counted.macs / 1e6 == pytest.approx(569, abs=0.5)
    assert counted.parameters / 1e6 == pytest.approx(4.2, abs=0.05)
    assert counted.uncounted == ()
    assert operations.known(model) == counted
    # Nine tenths are in its 1×1 convolutions, says table 2 of the paper: 94.86 %.
    pointwise = sum(
        layer.macs for layer in counted.layers if layer.op == "conv2d" and layer.parameters > 1000
    )
    assert pointwise / counted.macs == pytest.approx(0.9486, abs=0.0005)
    assert sum(layer.macs for layer in counted.layers if layer.op == "matmul_v2") == 1024 * 1000
    twice = operations.count(model, shapes={"image": [2, 3, 224, 224]}, progress=print)
    assert (twice.macs, twice.parameters) == (2 * counted.macs, counted.parameters)


PUBLISHED = {
    "mobilenet_v2": (3504872, 0.301),
    "mobilenet_v3_small": (2542856, 0.057),
    "mobilenet_v3_large": (5483032, 0.217),
    "resnet18": (11689512, 1.814),
    "resnet50": (25557032, 4.089),
    "squeezenet1_1": (1235496, 0.349),
    "shufflenet_v2": (2278604, 0.145),
}


@pytest.mark.full
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_zoo_computes_what_is_published(name):
    parameters, billions = PUBLISHED[name]
    counted = operations.count(load_model(REPOSITORY, name), progress=print)
    assert counted.parameters == parameters
    assert counted.macs / 1e9 == pytest.approx(billions, abs=0.001)


@pytest.mark.e2e
def test_an_encoder_computes_what_its_layers_say():
    """12 d² for each token, and 2 L d for the attention of each to all (with d the width)."""
    model, width, layers = load_model(REPOSITORY, "transformer_small"), 128, 2
    for length in (64, 17):
        counted = operations.count(model, shapes={"ids": (1, length)}, progress=print)
        assert counted.macs == layers * length * (12 * width**2 + 2 * length * width)


def test_a_calibration_model_computes_nothing_that_counts():
    model = load_model(REPOSITORY, "calibration_spin")
    assert operations.count(model, progress=print) is None
    assert operations.known(model) is None


def test_what_is_not_counted_yet_is_unknown(cache):
    assert operations.known(network("mobilenet_v1")) is None


@pytest.mark.parametrize("content", [b"", b'{"layers": 3}', b"\xff"])
def test_counts_that_cannot_be_read_are_unknown(cache, content):
    model = network("mobilenet_v1")
    folder = recipe(model, "operations").folder
    folder.mkdir(parents=True)
    record = {"id": "x", "format": "operations", "target": "any", "files": {}, "size_bytes": 0}
    (folder / "provenance.json").write_text(json.dumps(record))
    (folder / "operations.json").write_bytes(content)
    assert operations.known(model) is None
