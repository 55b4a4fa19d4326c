import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report import svg
from harness.report.charts import Charts, over_time, thin
from harness.report.language import LANGUAGES, language
from harness.report.view import ReportView
from harness.report.words import Words


@pytest.fixture(params=LANGUAGES)
def charts(request):
    return Charts(language(request.param), Words(language(request.param)))


def dots(path):
    return path.get("d").count("h0")


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
    root = ET.fromstring(over_time(case, 12))
    assert [dots(path) for path in root.iter("path") if path.get("class") != "r"] == [1, 2]


@pytest.mark.parametrize(
    ("slowest", "ticks"), [(1.1, ["0.9", "1.0", "1.1"]), (300.0, ["1", "10", "100"])]
)
def test_samples_far_apart_are_drawn_on_a_logarithmic_scale(slowest, ticks):
    trace = svg.Trace([(1, 1.2)], [(2, 1.0), (3, slowest), (4, 1.0)])
    root = ET.fromstring(svg.traces([trace, trace], colour=0, name="t"))
    assert set(ticks) <= {element.text for element in root.iter("text")}
    assert [dots(path) for path in root.iter("path") if path.get("class") != "r"] == [2, 6]


def test_every_launch_is_a_dot_and_every_one_set_aside_a_cross():
    rows = [
        svg.Strip("one", "1 ms", 0, center=1, interval=(0.9, 1.1), dots=[0.9, 1.1]),
        svg.Strip("two", "2 ms", 1, dots=[2, 2, 2.5], crosses=[3]),
        svg.Strip("three", "refused", 2),
    ]
    root = ET.fromstring(svg.strips(rows, axis="ms", description="a chart"))
    drawn = {row.get("class"): row for row in root.findall("g") if row.get("class")[0] == "k"}
    counts = {
        name: sum(dots(path) for path in row.findall("path[@class='o']"))
        for name, row in drawn.items()
    }
    assert counts == {"k0": 2, "k1": 3, "k2": 0}
    assert len(root.findall(".//path[@class='x']")) == 1
    assert {"one", "1 ms", "three", "refused"} <= {text.text for text in root.iter("text")}


@given(st.lists(st.tuples(st.floats(0, 440), st.floats(0, 300)), min_size=1, max_size=40))
def test_dots_that_are_told_from_the_one_before_end_where_they_should(points):
    at, found = [0, 0], []
    for x, y in re.findall(r"m(-?\d+)\s?(-?\d+)h0", svg._dots(points)):
        at = [at[0] + int(x), at[1] + int(y)]
        found.append(tuple(at))
    assert found == [(round(x), round(y)) for x, y in points]


@given(st.floats(0, 1e9), st.floats(1e-6, 1e6))
def test_ticks_are_few_and_hold_all_that_is_drawn(low, share):
    span = share * (low or 1.0)
    ticks = svg._ticks(low, low + span, 5)
    assert ticks[0] <= low + span * 1e-6
    assert ticks[-1] >= low + span * (1 - 1e-6)
    assert 2 <= len(ticks) <= 8


def test_what_has_no_end_is_drawn_to_the_edge():
    row = svg.Strip("one", "1", 0, center=1.0, interval=(0.5, float("inf")), dots=[1.0])
    assert "inf" not in svg.strips([row], axis="ms", description="a chart")


def test_a_chart_has_neither_style_nor_foreign_colour(demo, charts):
    view = ReportView.of(demo)
    for drawn in [
        *(charts.latency(model) for device in view.devices for model in device.models),
        *(charts.first_load(model) for device in view.devices for model in device.models),
        *(over_time(case, 50) for case in view.traced),
    ]:
        assert not re.search(r'\b(style|id|href|fill|stroke)="', drawn)


def test_text_in_a_chart_is_text(made_up, charts):
    name = '</text></svg><script>alert(1)</script>\u202e\x00"><img src=x onerror=alert(1)>'
    made_up.launch(made_up.case("net", "local", name), 1.0)
    (model,) = ReportView.of(made_up.run()).devices[0].models
    drawn = charts.latency(model)
    root = ET.fromstring(drawn)
    assert {element.tag for element in root.iter()} <= {"svg", "g", "path", "text", "title"}
    assert "\u202e" not in drawn
    assert "\x00" not in drawn


def test_a_label_gives_way_to_the_value():
    row = svg.Strip("a very long name of a case " * 9, "1.23 ms (1.20 – 1.26)", 0)
    root = ET.fromstring(svg.strips([row], axis="ms", description="a chart"))
    label, value = list(root.iter("text"))[-2:]
    assert label.text.endswith("…")
    assert label.find("title").text == row.label
    assert value.text == row.value


def test_an_emulated_device_s_chart_says_so_in_words(demo, charts):
    said = charts._(" (emulated)")
    for device in ReportView.of(demo).devices:
        for model in device.models:
            assert (said in charts.latency(model)) is device.record.emulated


def test_those_to_choose_from_are_filled():
    points = [svg.Point("1", 0, 1.0, 9.0, front=True), svg.Point("2", 1, 2.0, 9.5, front=False)]
    root = ET.fromstring(svg.scatter(points, x="ms", y="MB", description="a chart"))
    assert [each.get("class") for each in root.iter("circle")] == ["pf k0", "po k1"]


def test_panels_share_an_axis_and_each_has_its_own_scale():
    panels = [
        svg.Panel("latency", [svg.Series("", 0, [(0, 1.0, 0.9, 1.1), (60, 2.0, None, None)])]),
        svg.Panel("°C", [svg.Series("", 1, [(0, 40.0, None, None), (60, 71.0, None, None)])]),
    ]
    root = ET.fromstring(svg.lines(panels, axis="s", description="a chart"))
    texts = [text.text for text in root.iter("text")]
    assert {"latency", "°C", "s", "60"} <= set(texts)
    assert len(root.findall("path[@class='c k0']") + root.findall("path[@class='c k1']")) == 2
