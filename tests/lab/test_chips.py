from datetime import date
from pathlib import Path

import pytest

from harness.core.errors import SpecificationError
from harness.core.yamlfile import load
from harness.lab.chips import Card, card_for, load_cards
from harness.lab.classes import class_names, load_class
from harness.workspace import Workspace

REPOSITORY = Path(__file__).parents[2]
CARD = """
title: Made-up chip
socs: ['mk1']
tops:
  int8: {{ value: 2, source: sheet }}
{more}
sources:
  sheet: {{ title: A sheet, address: "https://example.org/sheet", read: 2026-01-02 }}
"""


@pytest.fixture
def cards():
    return load_cards(Workspace(REPOSITORY))


def test_every_figure_has_a_source_with_its_address_and_the_day_it_was_read(cards):
    for name, card in cards.items():
        for count, stated in card.stated():
            source = card.sources[stated.source]
            assert source.address.startswith("http"), (name, count)
            assert date(2020, 1, 1) < source.read, (name, count)
            assert source.title, (name, count)


def test_every_chip_of_a_class_that_names_its_chips_has_a_card(cards):
    for name in class_names():
        for soc in load_class(name).socs:
            if soc.isalnum():  # not a pattern of several
                found = card_for(soc, cards)
                assert found, soc
                assert found[1].device_class == name


@pytest.mark.parametrize(
    ("soc", "expected"),
    [
        ("rockchip,rk3588", "rk3588"),
        ("rockchip,rk3588s-nanopi-r6c", "rk3588"),
        ("amlogic,a311d", "a311d"),
        ("Kirin 990", "kirin-990"),
        ("kirin990 5g", "kirin-990-5g"),
        ("rk35688", None),
        ("", None),
        (None, None),
    ],
)
def test_a_device_s_chip_is_found_by_its_longest_name(cards, soc, expected):
    found = card_for(soc, cards)
    assert (found[0] if found else None) == expected


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("price_usd: { value: 5, source: hearsay }", "no source 'hearsay'"),
        ("price_usd: 5", "price_usd"),
        ("price_usd: { value: -5, source: sheet }", "price_usd"),
        ("  fp64: { value: 5, source: sheet }", "fp64"),
        ("clock: { source: sheet }", "clock"),
    ],
)
def test_a_figure_without_a_source_is_refused(tmp_path, more, message):
    path = tmp_path / "mk1.yaml"
    path.write_text(CARD.format(more=more))
    with pytest.raises(SpecificationError, match=message):
        load(path, Card)


def test_a_source_that_nothing_is_from_is_refused(tmp_path):
    path = tmp_path / "mk1.yaml"
    path.write_text(
        CARD.format(more="") + "  other: { title: T, address: 'https://e.org', read: 2026-01-02 }"
    )
    with pytest.raises(SpecificationError, match="nothing is from the source 'other'"):
        load(path, Card)


def test_a_peak_is_only_known_at_the_precisions_that_are_stated(tmp_path):
    path = tmp_path / "mk1.yaml"
    path.write_text(CARD.format(more=""))
    card = load(path, Card)
    assert (card.peak_tops("int8"), card.peak_tops("fp16")) == (2.0, None)
