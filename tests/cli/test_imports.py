"""Others' tables: imported, shown as imported, audited, forgotten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

PUBLISHED = Path(__file__).parent.parent / "data" / "published" / "published-npu.csv"
ABOUT = ["--source", "https://example.org/a", "--licence", "Apache-2.0", "--set", "engine=lite"]
MAPPED = [
    *("--map", "device=chip", "--map", "latency_ms:cpu=cpu_ms"),
    *("--map", "latency_ms:npu=npu_ms"),
]


@pytest.fixture
def published(workspace, cli):
    said = cli("import", PUBLISHED, *MAPPED, *ABOUT, "--published", "2023-01-02")
    assert said.code == 0
    return said


def test_import(published, cli):
    assert "imported 36 figures of 3 models on 6 devices as 'published-npu'" in published.out
    assert "harness audit --imported published-npu" in published.err
    said = cli("results", "imported")
    assert "published-npu" in said.out
    assert "Apache-2.0" in said.out
    said = cli("results", "imported", "published-npu")
    assert "IMPORTED" in said.out
    assert "not measured here" in said.out
    assert "published 2023-01-02" in said.out
    assert "38.358801" in said.out
    (table,) = json.loads(cli("results", "imported", "--json").out)
    assert table["figures"][0]["cell"]["text"] == "38.358801"


def test_imported_figures_are_no_runs(published, cli):
    assert cli("results", "show").code == 2
    assert cli("audit").code == 2


def test_a_table_is_replaced_only_when_told(published, cli):
    said = cli("import", PUBLISHED, *MAPPED, *ABOUT)
    assert (said.code, "--replace" in said.err) == (2, True)
    assert cli("import", PUBLISHED, *MAPPED, *ABOUT, "--replace").code == 0
    assert cli("import", PUBLISHED, *MAPPED, *ABOUT, "--name", "again").code == 0
    assert len(json.loads(cli("results", "imported", "--json").out)) == 2


def test_a_table_is_forgotten(published, cli):
    assert cli("results", "imported", "--remove").code == 2
    assert cli("results", "imported", "published-npu", "--remove").code == 0
    said = cli("results", "imported", "published-npu")
    assert (said.code, "no imported table" in said.err) == (2, True)


def test_columns_that_mean_nothing_are_named(workspace, cli):
    said = cli("import", PUBLISHED, "--map", "device=chip", "--map", "latency_ms=cpu_ms", *ABOUT)
    assert "left out: column npu_ms" in said.err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--map", "device"], "not FIELD="),
        (["--map", "device=chip", "--map", "device=model"], "given twice"),
        (["--delimiter", ",,"], "not one character"),
        (["--name", "../x"], "not a valid name"),
        (["--published", "soon"], "soon"),
        ([], "no column for device"),
    ],
)
def test_mistakes(workspace, cli, more, message):
    said = cli("import", PUBLISHED, *ABOUT, *more)
    assert said.code == 2
    assert message in said.err


def test_source_and_licence_are_asked_for(workspace, cli):
    said = cli("import", PUBLISHED, *MAPPED)
    assert (said.code, "--source" in said.err) == (2, True)


def test_audit_of_the_published_table(published, cli):
    """What it says of this table was looked at by hand; nothing of it is an error."""
    said = cli("audit", "--imported", "published-npu")
    assert said.code == 0
    assert "[needless-digits]" in said.out
    assert (
        "line 2, column cpu_ms: mobilenet_v1 · Kirin 810 · lite/cpu · fp32 = 38.358801" in said.out
    )
    assert "imported table published-npu: 1 note" in said.out
    said = cli(
        "audit", "--imported", "--macs", "resnet50=4.1e9", "--peak", "RV1109/npu:rockchip_npu=1"
    )
    assert said.code == 4
    assert "[beyond-peak]" in said.out


def test_a_chips_card_says_its_peak(published, workspace, cli):
    """The card is made up: with a tenth of the RK1808's 3 TOPS, 6.98 ms would be too fast."""
    workspace.chips.mkdir(parents=True)
    (workspace.chips / "made-up.yaml").write_text(
        "title: Made up\nsocs: ['rk1808']\ntops: {int8: {value: 0.1, source: s}}\n"
        "sources: {s: {title: t, read: 2026-11-25, address: 'https://example.org'}}\n"
    )
    said = cli("audit", "--imported", "--macs", "mobilenet_v1=5.69e8", "--json")
    (audited,) = json.loads(said.out)
    beyond = [each for each in audited["findings"] if each["rule"] == "beyond-peak"]
    assert [each["evidence"][0]["where"] for each in beyond] == ["line 11, column npu_ms"]
    assert "1.63 times the peak of 100 GOP/s" in beyond[0]["sentence"]


def test_audit_finds_a_copied_row(workspace, cli, tmp_path):
    path = tmp_path / "copied.csv"
    text = PUBLISHED.read_text().replace("224.719998,18.087400", "38.358801,5.903400")
    path.write_text(text)
    cli("import", path, *MAPPED, *ABOUT)
    said = cli("audit", "--imported", "--json")
    assert said.code == 4
    (audited,) = json.loads(said.out)
    assert audited["audited"] == "imported table copied"
    finding = audited["findings"][0]
    assert (finding["rule"], finding["severity"]) == ("identical-rows", "error")
    assert "mobilenet_v1 and resnet50: 2 of the 12 figures" in finding["sentence"]
    assert {one["value"] for one in finding["evidence"]} == {"38.358801", "5.903400"}


@pytest.mark.parametrize(
    "wrong",
    [
        ["--macs", "m"], ["--macs", "=5"], ["--macs", "m=-1"], ["--macs", "m=nan"],
        ["--peak", "d=5"], ["RUN", "--imported"],
    ],
)  # fmt: skip
def test_mistakes_of_audit(published, cli, wrong):
    assert cli("audit", *wrong).code == 2


def test_nothing_imported_yet(workspace, cli):
    said = cli("audit", "--imported")
    assert (said.code, "harness import" in said.err) == (2, True)


def test_the_rules_are_explained(workspace, cli):
    assert "needless-digits" in cli("audit", "--rules").out
    assert "threads-slower" in json.loads(cli("audit", "--rules", "--json").out)
