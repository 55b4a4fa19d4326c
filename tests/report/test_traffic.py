"""What a report says of several callers."""

from __future__ import annotations

import pytest

from harness.core.records import Traffic
from harness.report.render import render
from tests.report.conftest import MadeUpRun
from tests.report.test_render import said
from tests.report.test_sections import section

BOUND = {"bound_ms": 50.0, "percentile": 99}


def busy(*, emulated=False):
    made = MadeUpRun()
    made.device("local", emulated=emulated)
    made.model("net")
    for callers, per_s in ((1, 100.0), (2, 180.0), (4, 184.0)):
        case_id = made.case("net", "local", "onnxruntime", scenario="multi", callers=callers)
        for n in range(3):
            told = Traffic(scenario="multi", callers=callers, throughput_per_s=per_s + n / 10)
            made.launch(case_id, 10.0 * callers, traffic=told)
    for engine, rate in (("onnxruntime", 90.0), ("openvino", 120.0)):
        case_id = made.case("net", "local", engine, scenario="server", callers=2, **BOUND)
        for _ in range(3):
            told = Traffic(scenario="server", callers=2, rate=rate, bound=BOUND,
                           throughput_per_s=rate, percentiles_ms={99: 44.0})  # fmt: skip
            made.launch(case_id, 12.0, traffic=told)
    return made.run()


def test_who_carries_most_is_said():
    html = section(render(busy()), "traffic")
    text = said(html)
    assert "carries most within 50.0 ms at the 99th percentile: 120 requests a second" in text
    assert "openvino · server · p99 within 50 ms · 2 callers carries most" in text
    assert "90 %" in text  # efficiency of two callers
    assert html.count("<svg") == 1


def test_an_emulator_ranks_nobody():
    text = said(section(render(busy(emulated=True)), "traffic"))
    assert "carries most" not in text
    assert "100 1/s" in text.replace("\u00a0", " ") or "1/s" in text


def test_one_caller_has_no_such_section():
    made = MadeUpRun()
    made.device("local")
    made.model("net")
    case_id = made.case("net", "local", "onnxruntime")
    made.launch(case_id, 5.0)
    assert 'id="traffic"' not in render(made.run())


@pytest.mark.parametrize("tag", ["zh-CN"])
def test_in_chinese(tag):
    page = said(section(render(busy(), lang=tag), "traffic"))
    assert "每秒 120 个请求" in page
