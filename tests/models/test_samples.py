"""Calibration images: which are chosen, and which folders are refused."""

from __future__ import annotations

import pytest

from harness.core.errors import SpecificationError
from harness.models.manifest import Manifest
from harness.models.samples import SIZE_LIMIT, choose


def write(folder, *names):
    for name in names:
        (folder / name).write_bytes(f"content of {name}".encode())


def test_the_choice_is_made_by_content_and_not_by_name(tmp_path):
    write(tmp_path, "a.png", "b.JPG", "c.webp", "d.bmp")
    chosen = choose(tmp_path, 3, 3)
    (tmp_path / "a.png").rename(tmp_path / "z.png")
    again = choose(tmp_path, 3, 3)
    assert [digest for _, digest in chosen] == [digest for _, digest in again]
    assert len(chosen) == 3


def test_other_files_beside_them_do_not_count(tmp_path):
    write(tmp_path, "a.png", "README.md", "labels.txt", ".gitignore")
    (tmp_path / "folder.png").mkdir()
    assert [name for name, _ in choose(tmp_path, 9, 1)] == ["a.png"]


def test_a_changed_image_is_another(tmp_path):
    write(tmp_path, "a.png")
    before = choose(tmp_path, 1, 1)
    (tmp_path / "a.png").write_bytes(b"something else")
    assert choose(tmp_path, 1, 1) != before


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "has no images (.bmp, .jpeg, .jpg, .png, .webp), at least 4 are needed"),
        (["README.md", "a.gif"], "has no images"),
        (["a.png", "b.png", "c.png"], "has 3 images"),
    ],
)
def test_a_folder_with_too_few_images(tmp_path, names, said):
    write(tmp_path, *names)
    with pytest.raises(SpecificationError, match="calibration images") as caught:
        choose(tmp_path, 40, 4)
    assert said in caught.value.message


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(SpecificationError, match="nothing: No such file") as caught:
        choose(tmp_path / "nothing", 40, 4)
    assert "relative to that file's folder" in caught.value.hint


def test_an_image_that_is_none_by_its_size(tmp_path):
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(SIZE_LIMIT + 1)
    with pytest.raises(SpecificationError, match=r"a\.png is larger than 64 MiB"):
        choose(tmp_path, 1, 1)


@pytest.mark.parametrize(
    ("quantization", "inputs", "said"),
    [
        ({"algorithm": "best"}, [[1, 3, 8, 8]], "'abs_max', 'avg', 'hist', 'mse', 'emd' or 'KL'"),
        ({"images": "i", "mean": [0, 0, 0]}, [[1, 3, 8, 8]], "'mean' and 'std' belong together"),
        ({"mean": [0, 0, 0], "std": [1, 1, 1]}, [[1, 3, 8, 8]], "are for 'images'"),
        ({"images": "i", "mean": [0, 0, 0], "std": [1, 0, 1]}, [[1, 3, 8, 8]], "must be positive"),
        ({"images": "i"}, [[1, 16]], "images are for a model with one input"),
        ({"images": "i"}, [[1, 3, 8, 8], [1, 3, 8, 8]], "images are for a model with one input"),
        ({"images": "i"}, [[1, 4, 8, 8]], "images are for a model with one input"),
        ({"images": "i", "held_out": 3}, [[1, 3, 8, 8]], "checked for 4 held-out images"),
        ({"samples": 0}, [[1, 16]], "greater than or equal to 1"),
    ],
)
def test_what_a_manifest_cannot_ask_for(quantization, inputs, said):
    content = {
        "title": "t",
        "licence": "l",
        "source": {"kind": "paddle.vision", "function": "f"},
        "inputs": [{"name": f"x{n}", "shape": shape} for n, shape in enumerate(inputs)],
        "check_seeds": [1, 2, 3, 4],
        "quantization": quantization,
    }
    with pytest.raises(ValueError, match="quantization") as caught:
        Manifest.model_validate(content)
    assert said in str(caught.value)
