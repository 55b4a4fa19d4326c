"""Engines' colours: one for each in every report, legible, and told apart by everybody."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest

from harness.engines import ENGINES
from harness.report.view import colours_of
from tests.conftest import REPOSITORY

TEMPLATES = REPOSITORY / "harness/report/templates"
# Machado, Oliveira and Fernandes, doi:10.1109/TVCG.2009.113, at full severity; on linear RGB.
SIGHTS = {
    "full": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868],
                            [0.114503, 0.786281, 0.099216],
                            [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968],
                              [0.280085, 0.672501, 0.047413],
                              [-0.011820, 0.042940, 0.968881]]),
}  # fmt: skip
LEAST_CONTRAST = 3.0  # WCAG 2.1, 1.4.11
LEAST_DIFFERENCE = 7.0  # CIE76; 2.3 is just noticeable


def linear(colour):
    digits = colour.lstrip("#")
    wide = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    values = np.array([int(wide[at : at + 2], 16) / 255 for at in (0, 2, 4)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def luminance(colour):
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def lab(rgb):
    matrix = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    ratios = matrix @ np.clip(rgb, 0, 1) / [0.9505, 1.0, 1.089]
    f = np.where(ratios > 0.008856, np.cbrt(ratios), 7.787 * ratios + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def difference(one, other, sight):
    first, second = (lab(SIGHTS[sight] @ linear(colour)) for colour in (one, other))
    return float(np.linalg.norm(first - second))


def palette(name):
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    colours = dict(re.findall(r"--(engine-\d+|paper): (#[0-9a-f]{3,6})", text))
    return colours.pop("paper"), colours


@pytest.mark.parametrize("name", ["style.css", "dark.css"])
def test_colours_stand_out_and_differ_for_every_eye(name):
    paper, colours = palette(name)
    declared = {engine.colour for engine in ENGINES if engine.colour is not None}
    assert {f"engine-{number}" for number in declared} <= set(colours)
    assert not [each for each in colours.values() if contrast(each, paper) < LEAST_CONTRAST]
    alike = [
        (sight, *pair)
        for sight in SIGHTS
        for pair in combinations(sorted(colours.items()), 2)
        if difference(pair[0][1], pair[1][1], sight) < LEAST_DIFFERENCE
    ]
    assert not alike


def test_alike_colours_are_found():
    assert difference("#0068b0", "#0068b4", "full") < LEAST_DIFFERENCE
    assert difference("#8a6a00", "#5e7a00", "deuteranopia") < difference(
        "#8a6a00", "#0068b0", "deuteranopia"
    )


def test_each_engine_has_a_colour_of_its_own_whatever_else_is_in_a_report():
    declared = [engine.name for engine in ENGINES if engine.colour is not None]
    assert {"paddle-lite", "ncnn", "litert", "mnn"} <= set(declared)
    found = colours_of(["somebody's", "another's"])
    assert len({found[name] for name in declared}) == len(declared)
    assert found["somebody's"] not in {found[name] for name in declared}
