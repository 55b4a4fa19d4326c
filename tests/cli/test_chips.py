import json
import shutil
from pathlib import Path

import pytest

from tests.report.conftest import lab_run
from tests.report.test_render import HOSTILE, Page

CHIPS = Path(__file__).parents[2] / "devices" / "chips"


@pytest.fixture
def carded(workspace):
    """The repository's cards, and a run on an RK3588 that was made up."""
    shutil.copytree(CHIPS, workspace.chips)
    run = lab_run()
    models = [model.model_copy(update={"macs": 568_000_000}) for model in run.models]
    run = run.model_copy(update={"models": models})
    with workspace.store() as database:
        database.create(run)
        for launch in run.launches:
            database.add(run.id, launch)
    return workspace


def test_chips_are_listed_and_shown_with_their_sources(cli, carded):
    assert "6 int8" in cli("chips", "list").out
    shown = cli("chips", "show", "rk3588").out
    assert "tops.int8: 6.0" in shown
    assert "power_w: unknown" in shown
    assert "https://github.com/industrialtablet/RK3588-POE-SBC" in shown
    assert "read 2026-11-25" in " ".join(shown.split())
    card = json.loads(cli("chips", "show", "rk3588", "--json").out)
    assert card["process_nm"] == {"value": 8.0, "source": "hyy8k", "note": ""}
    said = cli("chips", "show", "rk9999")
    assert (said.code, "unknown chip 'rk9999'" in said.err) == (2, True)


def test_the_page_puts_measurements_beside_what_is_stated(cli, carded):
    path = carded.reports / "chips.html"
    assert cli("chips", "compare", "rk3588", "rk3562").out == f"{path}\n"
    page = Page(path.read_text())
    text = " ".join(page.text.split())
    assert "Rockchip RK3588" in text
    assert "rknn/npu:rknpu · int8" in text
    # 2 × 568 million over 2.9 ms are 0.39 TOPS, of 6 TOPS; in fp16 no peak is stated.
    assert "0.38" in text
    assert "6.4 %" in text or "6.5 %" in text
    assert page.open == []
    assert {link[1:] for link in page.all("href") if link.startswith("#")} <= set(page.all("id"))
    assert "芯片对比" in page.packed(data_page="zh-CN")


def test_a_report_has_what_was_achieved_and_where_the_peak_is_from(cli, carded):
    path = Path(cli("report").out.strip())
    page = Page(path.read_text())
    assert "chips" in page.all("id")
    assert "boardor.com" in page.text


def test_what_a_card_says_is_inert(cli, carded):
    for number, text in enumerate(text for text in HOSTILE if text.isprintable()):
        quoted = json.dumps(text, ensure_ascii=False)
        (carded.chips / f"hostile{number}.yaml").write_text(
            f"title: {quoted}\nsocs: [x]\ndomain: {{value: {quoted}, source: s, note: {quoted}}}\n"
            f"sources: {{s: {{title: {quoted}, address: 'https://e.org', read: 2026-01-01}}}}\n"
        )
    page = Page(Path(cli("chips", "compare").out.strip()).read_text())
    assert page.open == []
    assert len(page.scripts) == 2
    assert not {"img", "iframe"} & set(page.tags)


def test_without_cards_it_says_where_they_go(cli, workspace):
    said = cli("chips", "compare")
    assert said.code == 2
    assert "no chip has a card in" in said.err
