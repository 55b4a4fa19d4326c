import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report import charts, vega
from harness.report.charts import thin
from harness.report.view import ReportView


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=300), st.integers(3, 80))
def test_thinning_keeps_order_extremes_and_the_bound(samples, points):
    kept = thin(samples, points)
    assert kept == sorted(set(kept))
    assert len(kept) <= points
    assert {min(samples), max(samples)} <= {samples[index] for index in kept}


def test_few_samples_are_all_drawn():
    assert thin([3, 1, 2], 200) == [0, 1, 2]


def test_a_long_warm_up_does_not_crowd_out_the_few_timed_samples(made_up):
    case_id = made_up.case("net", "local", "onnxruntime")
    made_up.launch(case_id, 1.0, samples=2, warmup_ns=[10**6] * 5000)
    (case,) = ReportView.of(made_up.run()).cases
    root = ET.fromstring(charts.over_time(case, 12))
    assert [element.get("d").count("M") for element in root.iter("path")] == [1, 2]


@pytest.mark.parametrize(
    ("slowest", "ticks"), [(1.1, ["0.9", "1.0", "1.1"]), (300.0, ["1", "10", "100"])]
)
def test_samples_far_apart_are_drawn_on_a_logarithmic_scale(slowest, ticks):
    trace = vega.Trace([(1, 1.2)], [(2, 1.0), (3, slowest), (4, 1.0)])
    svg = vega.traces([trace, trace], colour="var(--engine-0)", description="a chart")
    root = ET.fromstring(svg)
    assert set(ticks) <= {element.text for element in root.iter("text")}
    dots = [element.get("d").count("M") for element in root.iter("path")]
    assert dots == [2, 6]


def test_every_launch_is_a_dot_and_every_one_set_aside_a_cross():
    rows = [
        vega.Strip(
            "one", "1 ms", "var(--engine-0)", center=1, interval=(0.9, 1.1), dots=[0.9, 1.1]
        ),
        vega.Strip("two", "2 ms", "var(--engine-1)", dots=[2, 2, 2.5], crosses=[3]),
        vega.Strip("three", "refused", "var(--engine-2)"),
    ]
    svg = vega.strips(rows, axis="ms", description="a chart")
    paths = [element.attrib for element in ET.fromstring(svg).iter("path")]
    drawn = {
        colour: sum(
            path.get("fill") == f"var(--engine-{colour})" and "A" in path["d"] for path in paths
        )
        for colour in (0, 1, 2)
    }
    assert drawn == {0: 2, 1: 3, 2: 0}
    assert sum(path.get("stroke") == "var(--muted)" for path in paths) == 1
    texts = [element.text for element in ET.fromstring(svg).iter("text")]
    assert {"one", "1 ms", "three", "refused"} <= set(texts)


def test_a_chart_has_neither_style_nor_identifier_nor_foreign_colour(demo):
    view = ReportView.of(demo)
    for svg in [
        *(charts.latency(model) for device in view.devices for model in device.models),
        *(charts.over_time(case, 50) for case in view.traced),
    ]:
        assert not re.search(r'\b(style|id|class|href)="', svg)
        assert not re.search(r'="(#|rgb|black|white)', svg)


def test_text_in_a_chart_is_text(made_up):
    name = '</text></svg><script>alert(1)</script>\u202e\x00"><img src=x onerror=alert(1)>'
    made_up.launch(made_up.case("net", "local", name), 1.0)
    view = ReportView.of(made_up.run())
    (model,) = view.devices[0].models
    svg = charts.latency(model)
    root = ET.fromstring(svg)
    assert {element.tag for element in root.iter()} <= {"svg", "g", "path", "line", "text", "rect"}
    assert "\u202e" not in svg
    assert "\x00" not in svg


def test_an_emulated_device_s_chart_says_so_in_words(demo):
    for device in ReportView.of(demo).devices:
        for model in device.models:
            assert ("(emulated)" in charts.latency(model)) is device.record.emulated
