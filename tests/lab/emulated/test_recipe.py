"""Recipes of emulated boards."""

from __future__ import annotations

import pytest

from harness.core.errors import SpecificationError
from harness.lab.emulated.recipe import load_board


@pytest.mark.parametrize(
    ("name", "architecture"), [("qemu-arm64", "arm64"), ("qemu-armv7", "armhf")]
)
def test_the_repositorys_own_recipes_are_valid(lab, name, architecture):
    assert load_board(lab, name).image.architecture == architecture


def test_a_recipe_takes_the_image_of_another(lab):
    small = load_board(lab, "qemu-arm64-small")
    assert small.image == load_board(lab, "qemu-arm64").image
    path = lab.boards / "smaller.yaml"
    path.write_text(
        (lab.boards / "qemu-arm64-small.yaml").read_text().replace("arm64\n", "arm46\n")
    )
    with pytest.raises(SpecificationError, match="unknown board 'qemu-arm46'"):
        load_board(lab, "smaller")
    path.write_text(path.read_text().replace("qemu-arm46\n", "qemu-arm64-small\n"))
    with pytest.raises(SpecificationError, match=r"small\.yaml:3: image: .* one of its own"):
        load_board(lab, "smaller")


def test_an_unknown_board_gets_the_nearest_name(lab):
    with pytest.raises(SpecificationError, match="unknown board 'qemu-arm46'") as caught:
        load_board(lab, "qemu-arm46")
    assert caught.value.hint == "did you mean 'qemu-arm64'?"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("  cores: 2", "  core: 2", r"qemu-arm64\.yaml:\d+: unknown key 'machine\.core'"),
        ("  cores: 2", "  cores: none", r"qemu-arm64\.yaml:\d+: machine\.cores"),
        ("- busybox-static", "- --reinstall", r"qemu-arm64\.yaml:\d+: image\.packages\.1"),
        ("requirements: ", "requirements: ../", r"qemu-arm64\.yaml:\d+: image\.python\.requirem"),
        ("architecture: arm64", "architecture: armhf", r":\d+: image: 'python' is for arm64 only"),
        ("  cores: 2", "  cores: 2\n  tmp: $(id)", r"qemu-arm64\.yaml:\d+: machine\.tmp"),
    ],
)
def test_a_wrong_recipe_is_refused_with_file_and_line(lab, old, new, complaint):
    path = lab.boards / "qemu-arm64.yaml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SpecificationError, match=complaint):
        load_board(lab, "qemu-arm64")
