"""Recipes of emulated boards."""

from __future__ import annotations

import pytest

from harness.devices.emulated.recipe import load_board
from harness.errors import SpecificationError


def test_the_repositorys_own_recipe_is_valid(lab):
    assert load_board(lab, "qemu-arm64").image.architecture == "arm64"


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
        ("  requirements: ", "  requirements: ../", r"qemu-arm64\.yaml:\d+: image\.requirements"),
    ],
)
def test_a_wrong_recipe_is_refused_with_file_and_line(lab, old, new, complaint):
    path = lab.boards / "qemu-arm64.yaml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SpecificationError, match=complaint):
        load_board(lab, "qemu-arm64")
