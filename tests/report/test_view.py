import pytest

from harness.analysis.summary import estimate
from harness.core.records import FirstLoad, OutputCheck, Role, Status
from harness.report.view import LOG_PER_REPORT, ReportView

WRONG = OutputCheck(passed=False, reason="output 0 is off by 0.9", tolerance=1e-3)
FIRST_LOAD = FirstLoad(
    process_ms=None, import_ms=1, read_ms=1, init_ms=1, first_ms=1, page_cache="warm"
)


def only_case(made_up):
    (case,) = ReportView.of(made_up.run()).cases
    return case


def test_a_latency_is_the_estimate_over_launches(made_up):
    case_id = made_up.case("net", "local", "onnxruntime")
    for figure in (7.4e6, 7.5e6, 7.6e6):
        made_up.launch(case_id, 7.5, figure_ns=figure)
    case = only_case(made_up)
    assert case.latency_ms == estimate([7.4, 7.5, 7.6])
    assert case.center == "7.50 ms"
    assert case.ends_ms == pytest.approx((7.256, 7.753), abs=1e-3)


def test_one_launch_has_no_interval(made_up):
    made_up.launch(made_up.case("net", "local", "onnxruntime"), figure_ns=7.5e6)
    case = only_case(made_up)
    assert case.center == "7.50 ms"
    assert case.interval is None


def test_a_case_with_wrong_outputs_has_no_figure_at_all(made_up):
    case_id = made_up.case("net", "local", "onnxruntime")
    made_up.launch(case_id, 1.0)
    made_up.launch(case_id, 1.0, status=Status.INVALID, outputs=WRONG)
    case = only_case(made_up)
    assert case.state == "outputs wrong"
    assert (case.figures_ms, case.set_aside_ms, case.traces) == ([], [], [])
    assert (case.loads, case.memory_bytes) == ([], [])


def test_an_invalid_launch_is_shown_and_does_not_count(made_up):
    case_id = made_up.case("net", "local", "onnxruntime")
    for _ in range(3):
        made_up.launch(case_id, 1.0, figure_ns=1e6)
    made_up.launch(case_id, 2.0, figure_ns=2e6, status=Status.INVALID, reason="hot")
    case = only_case(made_up)
    assert case.figures_ms == [1.0, 1.0, 1.0]
    assert case.set_aside_ms == [2.0]
    assert len(case.traces) == 4
    assert [str(launch.reason) for launch in case.bad] == ["hot"]


def test_what_does_not_measure_is_no_figure(made_up):
    case_id = made_up.case("net", "local", "paddle-lite", backend="npu:n", model_cache="kept")
    made_up.launch(case_id, 9.0, role=Role.FILL)
    made_up.launch(case_id, 1.0, figure_ns=1e6)
    made_up.launch(case_id, 5.0, role=Role.MEMORY, vmhwm_bytes=1, pss_bytes=50_000_000)
    made_up.launch(case_id, role=Role.MEMORY, status=Status.FAILED, reason="lost", pss_bytes=9)
    case = only_case(made_up)
    assert case.figures_ms == [1.0]
    assert case.set_aside_ms == []
    assert (len(case.traces), len(case.memory_bytes)) == (1, 1)
    assert case.pss_bytes == 50_000_000
    assert [(load.state, load.cached, load.filling) for load in case.loads] == [
        ("cold", True, False),
        ("cold", False, True),
    ]
    assert [str(launch.reason) for launch in case.bad] == ["lost"]


def test_first_loads_from_a_cold_and_a_warm_page_cache_are_not_mixed(made_up):
    case_id = made_up.case("net", "local", "onnxruntime")
    made_up.launch(case_id, 1.0)
    made_up.launch(case_id, 1.0, first_load=FIRST_LOAD)
    cold, warm = only_case(made_up).loads
    assert (cold.state, len(cold.totals_ms)) == ("cold", 1)
    assert (warm.state, warm.totals_ms) == ("warm", [4.0])
    assert "process" not in warm.parts


def test_percentiles_need_enough_samples_in_every_launch(made_up):
    case_id = made_up.case("net", "local", "onnxruntime")
    made_up.launch(case_id, 1.0, samples=700)
    assert list(only_case(made_up).percentiles_ms) == [90, 95, 99]
    made_up.launch(case_id, 1.0, samples=70)
    assert list(only_case(made_up).percentiles_ms) == [90]


def test_real_devices_come_before_emulated_ones(made_up):
    made_up.devices.reverse()
    assert [device.record.name for device in ReportView.of(made_up.run()).devices] == [
        "local",
        "qemu-arm64",
    ]


@pytest.mark.parametrize(("launches", "expected"), [(1, 4_000), (400, 250)])
def test_logs_are_cut_to_what_the_report_can_hold(made_up, launches, expected):
    case_id = made_up.case("net", "local", "onnxruntime")
    for _ in range(launches):
        made_up.launch(case_id, status=Status.FAILED, log="x" * 5_000 + "the end")
    view = ReportView.of(made_up.run())
    tails = [view.log_tail(launch) for launch in view.cases[0].launches]
    assert {len(tail) for tail in tails} == {expected}
    assert all(tail.endswith("the end") for tail in tails)
    assert sum(map(len, tails)) <= LOG_PER_REPORT
