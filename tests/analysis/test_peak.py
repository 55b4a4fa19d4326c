import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.peak import achieved


def test_a_multiply_and_an_addition_are_two_operations():
    found = achieved(500_000_000, 1.0, peak_tops=4.0, power_w=2.0, price_usd=50.0)
    assert found.tops == pytest.approx(1.0)
    assert found.share == pytest.approx(0.25)
    assert found.per_watt == pytest.approx(0.5)
    assert found.per_dollar == pytest.approx(0.02)


def test_what_is_not_known_of_a_chip_gives_nothing():
    found = achieved(500_000_000, 1.0)
    assert (found.share, found.per_watt, found.per_dollar) == (None, None, None)


@given(st.integers(1, 10**13), st.floats(1e-3, 1e6))
def test_twice_the_latency_is_half_of_what_is_achieved(macs, latency_ms):
    assert achieved(macs, 2 * latency_ms).tops == pytest.approx(achieved(macs, latency_ms).tops / 2)


@pytest.mark.parametrize(("macs", "latency_ms"), [(0, 1.0), (1, 0.0), (-1, 1.0)])
def test_nothing_is_achieved_of_nothing(macs, latency_ms):
    with pytest.raises(ValueError, match="positive"):
        achieved(macs, latency_ms)
