"""The documentation's tables of engines, environments and transports are those of the registry."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from harness.engines import ENGINES
from harness.transports import TRANSPORTS

ROOT = Path(__file__).parents[1]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "tables"), run_name="tables")


@pytest.mark.parametrize("page", SCRIPT["TABLES"])
def test_the_tables_are_current(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    head, table = SCRIPT["TABLES"][page]
    assert text == SCRIPT["with_table"](text, head, table()), "run scripts/tables"


TRANSPORT_FOLDERS = [ROOT / "harness" / "transports" / name for name in TRANSPORTS.plugins]


@pytest.mark.parametrize(
    "folder",
    [*(engine.folder for engine in ENGINES), *TRANSPORT_FOLDERS],
    ids=lambda each: each.name,
)
def test_each_plugin_has_a_page_whose_links_lead_somewhere(folder):
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert page.startswith("# ")
    for link in page.split("](")[1:]:
        path = link.partition(")")[0].partition("#")[0]
        assert "://" in path or (folder / path).exists(), path
