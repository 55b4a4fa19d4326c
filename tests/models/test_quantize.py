"""Quantization with the real tools: what becomes int8, how far it drifts, what is no image."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

from harness.analysis.outputs import check
from harness.models import environments
from harness.models.build import build, check_inputs, outputs, reference
from harness.models.manifest import Manifest, Model, load_model
from harness.models.toolchain import ToolchainError
from harness.workspace import Workspace, cache_dir

pytestmark = pytest.mark.e2e

REPOSITORY = Workspace(Path(__file__).parents[2])
ALGORITHMS = ["abs_max", "avg", "hist", "mse", "emd", "KL"]


def small(**quantization):
    """Return the smallest real model, quantized as asked."""
    model = load_model(REPOSITORY, "mobilenet_v1_025_96")
    content = model.manifest.model_dump() | {"quantization": quantization}
    return Model(name="small", manifest=Manifest.model_validate(content))


def int8(model, artifact_format, target="any"):
    return build(model, artifact_format, target, precision="int8", progress=print).record


@pytest.fixture
def own_artifacts(tmp_path, monkeypatch):
    """The machine's environments, but no artifacts."""
    environments.python("paddle", print)
    own = tmp_path / "cache" / "edge-harness"
    own.mkdir(parents=True)
    (own / "environments").symlink_to(cache_dir() / "environments")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("artifact_format", "engine", "int8_kernels"),
    [
        # 27 convolutions; oneDNN has the pooling and the last layer, too.
        ("pdmodel", "paddle-inference 2.6.2", ("onednn/int8", 29)),
        ("onnx", "onnxruntime 1.31.1", ("cpu/int8", 27)),
    ],
)
def test_what_an_engine_runs_is_int8_and_near_to_fp32(artifact_format, engine, int8_kernels):
    record = int8(small(), artifact_format)
    assert record.precision == "int8"
    assert record.drift.computed_by == engine
    assert 0.95 < record.drift.cosine < 0.9999  # near, and yet quantized
    assert record.drift.relative_error < 0.3
    kernel, number = int8_kernels
    assert record.partition.kernels[kernel] == number


def test_weights_with_one_scale_for_all_channels_drift_further():
    one = int8(small(weights="per-tensor"), "pdmodel")
    each = int8(small(), "pdmodel")
    assert one.id != each.id
    assert each.drift.relative_error < one.drift.relative_error


def test_paddle_lite_on_x86_computes_nan_and_the_record_says_so():
    drift = int8(small(), "nb", "x86").drift
    assert drift.cosine is None
    assert str(drift.fault) == "output 0 has NaN or infinite values"


@pytest.mark.full
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_quantizes(algorithm):
    record = int8(small(algorithm=algorithm, samples=8), "pdmodel")
    assert record.partition.kernels["onednn/int8"] == 29
    # KL cuts off the rare large activations, of which noise has more than images.
    assert record.drift.cosine > (0.8 if algorithm == "KL" else 0.9)


@pytest.mark.full
def test_what_a_residual_network_adds_is_in_one_scale():
    """Paddle Inference's fusion of convolution and addition gives a cosine of 0.76 here."""
    model = load_model(REPOSITORY, "resnet18")
    assert int8(model, "pdmodel").drift.cosine > 0.9


DRAW = """
import sys, numpy as np
from PIL import Image
folder, count = sys.argv[1], int(sys.argv[2])
for n in range(count):
    pixels = np.random.RandomState(n).randint(0, 256, (24, 32, 3), "uint8")
    Image.fromarray(pixels).resize((160, 120)).save(f"{folder}/{n}.{['png', 'jpg'][n % 2]}")
Image.fromarray(pixels[:, :, 0]).save(f"{folder}/grey.png")
"""


@pytest.fixture
def images(tmp_path):
    """A folder with ten small images, two formats and one of them grey."""
    folder = tmp_path / "images"
    folder.mkdir()
    python = environments.python("paddle", print)
    subprocess.run([python, "-c", DRAW, folder, "9"], check=True)
    return folder


def test_images_calibrate_and_others_of_them_are_held_out(images, own_artifacts):
    model = small(images=images, held_out=4, mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])
    drift = int8(model, "pdmodel").drift
    assert drift.inputs == 4
    assert drift.cosine > 0.9


def test_outputs_are_checked_for_images_that_were_held_out(images, own_artifacts):
    model = small(images=images, held_out=4)
    int8(model, "pdmodel")
    (samples,) = (cache_dir() / "artifacts").glob("*/heldout.npz")
    with np.load(samples) as stored:
        expected = stored["x.0"]
    path = check_inputs(model, progress=print)
    given = np.frombuffer(path.read_bytes(), "float32").reshape(3, *expected.shape[1:])
    np.testing.assert_array_equal(given, expected[:3])
    right = reference(model, progress=print)
    artifact = build(model, "onnx", precision="int8", progress=print)
    tolerance = model.manifest.tolerance["int8"]
    assert check(outputs(model, "onnxruntime", artifact, progress=print), right, tolerance).passed
    seeded = outputs(small(held_out=4), "onnxruntime", artifact, progress=print)
    assert not check(seeded, right, tolerance).passed


def test_a_batch_is_of_different_images(images, own_artifacts):
    content = small(images=images, held_out=4).manifest.model_dump()
    content["inputs"][0]["dynamic"] = {0: (1, 2)}
    model = Model(name="small", manifest=Manifest.model_validate(content))
    shapes = model.manifest.batched(2)
    given = np.frombuffer(
        check_inputs(model, shapes=shapes, progress=print).read_bytes(), "float32"
    )
    first, second, third = given.reshape(3, 2, -1)
    np.testing.assert_array_equal(first[1], second[0])
    np.testing.assert_array_equal(second[1], third[0])
    assert (first[0] != first[1]).any()


def png(width, height):
    """Return a PNG of one colour, as small as it can be said."""
    rows = (b"\0" + b"\0" * ((width + 7) // 8)) * height
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    ]
    out = io.BytesIO()
    out.write(b"\x89PNG\r\n\x1a\n")
    for kind, content in chunks:
        out.write(struct.pack(">I", len(content)) + kind + content)
        out.write(struct.pack(">I", zlib.crc32(kind + content)))
    return out.getvalue()


HOSTILE = {
    "text": (b"this is no image", "cannot be read: cannot identify image file"),
    "empty": (b"", "cannot be read: cannot identify image file"),
    "cut short": (png(64, 64)[:46], "cannot be read"),
    "a bomb": (png(30_000, 30_000), "cannot be read: Image size (900000000 pixels) exceeds limit"),
    "another format": (b"GIF89a\1\0\1\0\0\0\0;", "cannot be read: cannot identify image file"),
}


@pytest.mark.parametrize("content", HOSTILE)
def test_a_file_that_is_no_image_is_named(content, tmp_path, own_artifacts):
    held, said = HOSTILE[content]
    for name in ("a.png", "b.png", "c.png", "d.png"):
        (tmp_path / name).write_bytes(held + name.encode())
    with pytest.raises(ToolchainError) as caught:
        int8(small(images=tmp_path, held_out=3), "pdmodel")
    assert f".png {said}" in caught.value.message
    assert "calibration image" in caught.value.message


def test_a_model_without_anything_to_quantize_is_one_line(tmp_path, own_artifacts):
    export = tmp_path / "export.py"
    export.write_text(
        "import paddle\n"
        "class Net(paddle.nn.Layer):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.weight = self.create_parameter([4])\n"
        "    def forward(self, x):\n"
        "        return paddle.exp(x) + self.weight\n"
        "paddle.jit.save(Net(), 'model', input_spec=[paddle.static.InputSpec([1, 4], name='x')])\n"
    )
    python = environments.python("paddle", print)
    subprocess.run([python, export], cwd=tmp_path, check=True)
    samples = (
        "import numpy as np; np.savez('calibration.npz', **{'x.0': np.zeros((2, 1, 4), 'f4')})"
    )
    subprocess.run([python, "-c", samples], cwd=tmp_path, check=True)
    stage = Path(environments.__file__).parent / "stages" / "quantize.py"
    request = json.dumps({"inputs": ["x"], "algorithm": "avg", "weights": "per-channel"})
    done = subprocess.run(
        [python, "-I", stage, request], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("it has no op that can be quantized: conv2d")
