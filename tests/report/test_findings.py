import pytest

from harness.core.records import Estimator
from harness.report.findings import Ranking, find
from harness.report.view import ReportView


@pytest.fixture
def finding(made_up):
    """Rank engines on a device by the figures of their launches, in milliseconds."""

    def rank(device="local", *, fields=None, **figures):
        for engine, of_launches in figures.items():
            case_id = made_up.case("net", device, engine)
            for figure in of_launches:
                extra = (fields or {}).get(engine, {})
                made_up.launch(case_id, figure, **({"figure_ns": figure * 1e6} | extra))
        views = ReportView.of(made_up.run()).devices
        (model,) = next(view.models for view in views if view.record.name == device)
        return find(model)

    return rank


def names(cases):
    return [case.record.case.engine for case in cases]


def test_the_fastest_lies_below_all_others(finding):
    found = finding(slow=[2.0, 2.1, 2.05], fast=[1.0, 1.01, 1.02], slower=[3.0, 3.1, 3.2])
    assert found.ranking is Ranking.FASTEST
    assert names(found.first) == ["fast"]
    assert names(found.others) == ["slow", "slower"]


def test_overlapping_intervals_cannot_be_told_apart(finding):
    found = finding(one=[1.0, 1.1, 1.2], other=[1.05, 1.15, 1.25], slow=[9.0, 9.1, 9.2])
    assert found.ranking is Ranking.TIED
    assert names(found.first) == ["one", "other"]
    assert names(found.others) == ["slow"]


def test_a_single_launch_wins_over_nothing(finding):
    assert finding(one=[1.0], other=[5.0, 5.01, 5.02]).ranking is Ranking.TIED


def test_emulated_times_rank_nothing(finding):
    found = finding("qemu-arm64", fast=[1.0, 1.01, 1.02], slow=[2.0, 2.1, 2.05])
    assert found.ranking is Ranking.EMULATED
    assert found.first == []
    assert names(found.others) == ["fast", "slow"]


def test_a_simulated_accelerator_is_shown_and_never_ranked(finding):
    found = finding(
        fields={"npu": {"simulated": "a simulator"}},
        npu=[0.1, 0.11, 0.12],
        one=[1.0, 1.01, 1.02],
        slow=[2.0, 2.1, 2.05],
    )
    assert found.ranking is Ranking.FASTEST
    assert names(found.first) == ["one"]
    assert names(found.others) == ["slow"]
    assert names(found.simulated) == ["npu"]


@pytest.mark.parametrize("differs", [{"outputs": None}, {"estimator": Estimator.MEAN}])
def test_what_is_unchecked_or_of_another_estimator_is_not_compared(finding, differs):
    found = finding(fields={"one": differs}, one=[1.0, 1.01, 1.02], other=[2.0, 2.01, 2.02])
    assert found.ranking is Ranking.INCOMPARABLE


def test_a_case_without_latency_is_named_and_not_ranked(made_up, finding):
    made_up.case("net", "local", "refused-one", refused="why")
    found = finding(one=[1.0, 1.01, 1.02])
    assert found.ranking is Ranking.ALONE
    assert names(found.without) == ["refused-one"]
