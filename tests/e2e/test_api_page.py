"""The walk through the API in docs/api.md, run as it stands in a new workspace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.core.records import Status
from harness.scaffold.workspace import create

pytestmark = pytest.mark.e2e

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def test_what_the_page_says_can_be_done(tmp_path, monkeypatch, capsys):
    create(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EDGE_HARNESS_WORKSPACE", raising=False)
    local = tmp_path / "devices" / "local.yaml"
    local.write_text(f"{local.read_text()}workdir: {tmp_path}/device\n")  # the user's may be busy
    names = {"__name__": "__main__"}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    said = capsys.readouterr().out
    for name in ("run", "again"):
        assert [each.status for each in names[name].launches] == [Status.OK] * 6
    assert names["run"].id != names["again"].id
    assert "this-machine launch 1 ok" in said
    assert len(names["compared"].comparisons) == len(names["gate"].comparisons) == 1
    assert list(names["launches"]["run"].unique()) == [names["run"].id, names["again"].id]
    assert names["page"] == tmp_path / "reports" / f"{names['again'].id}.html"
    assert names["page"].read_text().startswith("<!DOCTYPE html>")
