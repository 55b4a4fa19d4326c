"""Reference outputs of the same model in another format: its order and layout become this one's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import harness
from harness.runner.python import edge_runner

PACKAGE = Path(harness.__file__).parent
STAGES = PACKAGE / "models" / "stages"


@pytest.fixture
def stage(tmp_path):
    (tmp_path / "edge_runner.py").symlink_to(PACKAGE / "runner" / "python" / "edge_runner.py")

    def run(name, request):
        command = [sys.executable, "-I", str(STAGES / f"{name}.py"), json.dumps(request)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def save(path, **arrays):
    np.savez(path, **{name.removeprefix("s"): value for name, value in arrays.items()})


def test_outputs_are_found_by_shape_and_nearness_whatever_their_order(stage, tmp_path):
    random = np.random.default_rng(1)
    first, second = (random.normal(size=(1, 6)).astype("float32") for _ in range(2))
    image = random.normal(size=(1, 3, 4, 5)).astype("float32")  # channels first
    own = [second + 0.01, first - 0.01, image.transpose(0, 2, 3, 1) + 0.01]
    stored = tmp_path / "stored"  # work folders have links
    stored.mkdir()
    save(stored / "own.npz", **{f"s{s}.{n}": x * s for s in (1, 2) for n, x in enumerate(own)})
    theirs = [image, first, second]
    save(
        tmp_path / "other-outputs.npz",
        **{f"s{s}.{n}": x * s for s in (1, 2) for n, x in enumerate(theirs)},
    )
    (tmp_path / "outputs.npz").symlink_to(stored / "own.npz")
    said = stage("same_outputs", {"check_seeds": [1, 2], "model": "other"})
    assert said.returncode == 0, said.stderr
    with np.load(tmp_path / "outputs.npz") as made:
        assert list(made.files) == ["1.0", "2.0", "1.1", "2.1", "1.2", "2.2"]
        np.testing.assert_array_equal(made["1.0"], second)
        np.testing.assert_array_equal(made["2.1"], first * 2)
        np.testing.assert_array_equal(made["2.2"], image.transpose(0, 2, 3, 1) * 2)
    with np.load(stored / "own.npz") as kept:  # what the link led to is as it was
        np.testing.assert_array_equal(kept["1.0"], own[0])


def test_an_output_that_the_other_does_not_have_is_named(stage, tmp_path):
    save(tmp_path / "own.npz", **{"s1.0": np.zeros((1, 7), "float32")})
    (tmp_path / "outputs.npz").symlink_to(tmp_path / "own.npz")
    save(tmp_path / "other-outputs.npz", **{"s1.0": np.zeros((1, 6), "float32")})
    said = stage("same_outputs", {"check_seeds": [1], "model": "other"})
    assert said.returncode
    assert "output 0 of shape [1, 7] is none of other's" in said.stderr


def test_inputs_are_those_of_channels_first_with_the_channels_at_the_end(stage, tmp_path):
    image = {"name": "x", "dtype": "float32", "shape": [1, 3, 4, 5], "low": -1, "high": 1}
    number = {"name": "n", "dtype": "int64", "shape": [2], "low": 0, "high": 9}
    request = {"inputs": [image, number], "moved": [True, False], "check_seeds": [4, 7]}
    said = stage("channels_last", request)
    assert said.returncode == 0, said.stderr
    job = {
        "inputs": [{**image, "shape": [1, 4, 5, 3]}, number],
        "check_seeds": [4, 7],
        "check_files": [str(tmp_path / "check_inputs.bin")],
    }
    for seed, fed in edge_runner.check_inputs(job):  # to the last byte, or it raises
        made = edge_runner.make_input(image, seed, 0)
        np.testing.assert_array_equal(fed["x"], made.transpose(0, 2, 3, 1))
        np.testing.assert_array_equal(fed["n"], edge_runner.make_input(number, seed, 1))
