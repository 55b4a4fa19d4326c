"""What a report shows beside the run's own figures: baselines, budgets, shapes, others' figures."""

import re
from datetime import date

import pytest

from harness.analysis.gate import gate
from harness.core.records import Expectation, OutputCheck
from harness.report.render import Beside, render
from harness.report.view import ReportView
from harness.results.imported import Cell, ImportedFigure, ImportedTable
from tests.report.conftest import BEGUN, MadeUpRun, lab_run
from tests.report.test_render import HOSTILE, Page, said


def changed(factor, seed=1):
    made = MadeUpRun()
    made.random.seed(seed)
    made.device("local")
    made.model("net")
    case_id = made.case("net", "local", "onnxruntime")
    for _ in range(8):
        made.launch(case_id, 5.0 * factor)
    return made


def table(text=None, **fields):
    cell = Cell(line=2, column="npu_ms", position=6, text="3.352")
    figure = ImportedFigure(
        cell=cell, model=text or "resnet50", device=text or "Kirin 990", backend="npu",
        latency_ms=3.352, precision="fp32",
    )  # fmt: skip
    made = {
        "id": "published", "source": text or "a guide", "published": date(2022, 1, 2),
        "licence": text or "Apache-2.0", "imported": BEGUN, "harness_version": "0.1.0",
        "file": "x.csv", "sha256": "ab" * 32, "figures": [figure],
    }  # fmt: skip
    return ImportedTable(**(made | fields))


def figure(model, backend, latency_ms, **fields):
    cell = Cell(line=2, column="ms", position=6, text=f"{latency_ms}")
    made = {"model": model, "device": "Kirin 990", "precision": "fp32"} | fields
    return ImportedFigure(cell=cell, backend=backend, latency_ms=latency_ms, **made)


def section(html, name):
    return html.partition(f'<section id="{name}"')[2].partition("</section>")[0]


def test_what_regressed_stands_first_and_in_its_section():
    before, now = changed(1.0).run(), changed(1.5, seed=2).run()
    html = render(now, beside=Beside(gate(now, before, "good")))
    text = said(html)
    assert "Against the baseline good" in text
    # It is a suspicion, which only fresh launches decide.
    assert "inconclusive" in said(section(html, "baseline"))
    assert "suspected" in said(section(html, "baseline"))
    same = changed(1.0, seed=3).run()
    unchanged = render(same, beside=Beside(gate(same, before, "good")))
    assert "unchanged" in said(section(unchanged, "baseline"))


def test_what_cannot_be_compared_with_a_baseline_says_why():
    before, now = changed(1.0), changed(1.0)
    now.models[0] = now.models[0].model_copy(update={"inputs": []})
    html = render(now.run(), beside=Beside(gate(now.run(), before.run(), "good")))
    assert "not comparable" in said(section(html, "baseline"))


def test_budgets_are_met_missed_or_inconclusive():
    run = changed(1.0).run(
        expectations=[Expectation(latency_ms=100.0), Expectation(latency_ms=1.0)]
    )
    html = render(run)
    text = said(section(html, "budgets"))
    assert "met" in text
    assert "missed" in text
    assert "What regressed, what missed its budget?" in said(section(html, "summary"))


def test_others_figures_stand_beside_without_a_verdict(made_up):
    made_up.launch(made_up.case("net", "local", "onnxruntime"), 1.0)
    html = render(made_up.run(), beside=Beside(tables=[table()]))
    text = said(section(html, "published"))
    assert "Kirin 990" in text
    assert "3.35 ms" in text
    assert "Kirin 990" not in said(section(html, "summary"))  # nothing on a CPU beside it


def test_others_figures_are_drawn_beside_ours_in_grey_and_never_an_emulator_s(made_up):
    for device in ("local", "qemu-arm64"):
        made_up.launch(made_up.case("net", device, "onnxruntime"), 1.0)
    figures = [figure("net", "npu", 3.0), figure("other", "cpu", 9.0)]
    html = section(
        render(made_up.run(), beside=Beside(tables=[table(figures=figures)])), "published"
    )
    ours, theirs = html.split("<figure>")[1:]
    assert "measured here, too" in ours
    assert ours.count("k6") == 1
    assert "local · onnxruntime" in ours
    assert "qemu-arm64" not in html
    assert "k2" not in theirs


def test_the_verdict_says_what_others_published_where_no_npu_was_measured(made_up):
    made_up.launch(made_up.case("net", "local", "onnxruntime"), 1.0)
    figures = [
        figure("net", "cpu", 30.0), figure("net", "npu", 3.0),
        figure("net", "cpu", 20.0, device="RK1808"), figure("net", "npu", 4.0, device="RK1808"),
        figure("other", "cpu", 8.0), figure("other", "npu:x", 4.0),
        # Nothing to compare with: other precision, or one side only.
        figure("net", "npu", 1.0, precision="int8"), figure("third", "npu", 1.0),
    ]  # fmt: skip
    made_up.model("fourth")
    html = render(made_up.run(), beside=Beside(tables=[table(figures=figures)]))
    text = said(section(html, "summary")).replace(" : ", ": ")
    assert "No NPU was measured here:" in text
    assert "net: 5.00× – 10.0× Kirin 990, RK1808" in text
    assert "other: 2.00× Kirin 990; not a model of this run" in text
    assert "Nothing was published on: fourth" in text


def test_where_an_npu_was_measured_nobody_says_that_none_was():
    figures = [figure("mobilenet_v1", "cpu", 30.0), figure("mobilenet_v1", "npu", 3.0)]
    html = render(lab_run(), beside=Beside(tables=[table(figures=figures)]))
    text = said(section(html, "summary")).replace(" : ", ": ")
    assert "mobilenet_v1: 10.0×" in text
    assert "No NPU was measured here:" not in text


def test_partition_and_precision_are_drawn():
    html = render(lab_run())
    assert "NPU 70 %" in section(html, "partition")
    precision = section(html, "precision")
    assert "relative error of the outputs against fp32" in precision
    assert "0.08" in precision


def test_errors_that_are_rounding_choose_no_case(made_up):
    slow = {"outputs": OutputCheck(passed=True, relative_error=1e-7, cosine=1.0, tolerance=1e-3)}
    for engine, latency, fields in (("onnxruntime", 1.0, {}), ("paddle-lite", 2.0, slow)):
        made_up.launch(
            made_up.case("net", "local", engine), latency, **fields, vmhwm_bytes=int(1e7 * latency)
        )
    made_up.launch(made_up.case("net", "local", "paddle-lite", precision="int8"), 0.5)
    (_, rows), *_ = ReportView.of(made_up.run()).devices[0].trade_offs
    chosen = {row.case.record.case.setting: row.front for row in rows}
    assert chosen == {
        "paddle-lite · int8": True,
        "onnxruntime": True,
        "paddle-lite": False,
    }


@pytest.mark.parametrize("text", [text for text in HOSTILE if text.isprintable()])
def test_what_others_published_is_inert(made_up, text):
    made_up.launch(made_up.case("net", "local", "onnxruntime"), 1.0)
    page = Page(render(made_up.run(), beside=Beside(tables=[table(text)])))
    assert page.open == []
    assert len(page.scripts) == 3
    assert not {"iframe", "img"} & set(page.tags)


def test_batches_and_shapes_have_a_chart_and_are_not_ranked_with_each_other(made_up):
    for batch in (1, 4, 8):
        case_id = made_up.case("net", "local", "onnxruntime", batch=batch)
        for _ in range(3):
            made_up.launch(case_id, 1.0 * batch)
    html = render(made_up.run())
    shapes = section(html, "shapes")
    assert "<svg" in shapes
    assert "221\u202f184" in shapes  # 8 × 3 × 96 × 96
    text = said(section(html, "summary"))
    assert "net · batch 8" in text
    assert "cannot be told apart" not in text
    assert text.count("nothing to compare it with") == 3
    assert 'id="engines"' not in html


def test_busy_processors_are_not_ranked_with_idle_ones(made_up):
    for busy in (0, 2):
        case_id = made_up.case("net", "local", "onnxruntime", busy_cpus=busy)
        for _ in range(3):
            made_up.launch(case_id, 1.0 + busy)
    assert "net · 2 busy CPUs" in said(section(render(made_up.run()), "summary"))


def test_the_verdict_counts_the_audit_s_findings_the_gravest_first(demo):
    text = said(section(render(demo), "summary"))
    assert re.search(r"Audit: \d+ × error, \d+ × note", text)


def test_the_audit_s_findings_name_their_evidence(made_up):
    for engine in ("one", "other"):
        case_id = made_up.case("net", "local", engine)
        for _ in range(5):
            made_up.launch(case_id, figure_ns=1_234_567.0, samples_ns=[1_234_567] * 9)
    text = said(section(render(made_up.run()), "audit"))
    assert "Evidence" in text
    assert "warning" in text or "error" in text or "note" in text


def test_failures_are_grouped_by_cause_and_say_what_to_do(demo):
    text = said(section(render(demo), "trouble"))
    assert "Made good" in text
    assert "What to do" in text
    assert "correct the campaign or the device's file" in text


def test_a_sustained_launch_has_its_temperatures_and_clocks_under_it():
    html = section(render(lab_run()), "samples")
    assert "hottest sensor, °C" in html
    assert "fastest CPU clock, MHz" in html
    assert "NPU clock, MHz" in html
