"""Money: unit economics, markets, ownership, and the staircase against the API."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.coefficients import money

price = st.floats(0.1, 100.0)


def test_usd_per_million_tokens() -> None:
    found = money.usd_per_mtok(10, 2314.73, [1.0, 0.6])
    assert found == pytest.approx([1.200, 2.000], abs=5e-4)


def test_on_demand_pays_hours_used_and_commitment_pays_all() -> None:
    assert money.on_demand_usd(2.5, 100, 4) == pytest.approx(1000)
    assert money.commitment_usd(2.5, 730, 4) == pytest.approx(7300)


def test_commitment_break_even_is_where_the_bills_meet() -> None:
    used = money.commitment_break_even_share(1.8, 3.0)
    assert used == pytest.approx(0.6)
    assert money.on_demand_usd(3.0, used * 730) == pytest.approx(money.commitment_usd(1.8, 730))


def test_spot_pays_for_the_hours_lost_to_interruptions() -> None:
    """Ten interruptions in a month of service, each costing 0.73 h: 1 % more hours."""
    overhead = money.interruption_overhead(10, 0.73)
    assert money.spot_usd(1.0, 730, overhead) == pytest.approx(737.3)
    assert money.interruption_overhead(10, 0.03, notice_h=0.04) == 0.0


@given(st.floats(0, 1e4), st.floats(0, 10))
def test_interruption_overhead_is_a_share(per_month: float, restart_h: float) -> None:
    assert 0.0 <= money.interruption_overhead(per_month, restart_h) < 1.0


def test_annuity() -> None:
    """10 years at 5 % are repaid with 12.95 % of the loan a year; without interest with a tenth."""
    assert money.annuity_factor([0.05, 0.0], 10) == pytest.approx([0.12950, 0.1], abs=5e-6)


def test_annuity_is_continuous_at_no_interest() -> None:
    assert money.annuity_factor(1e-9, 5) == pytest.approx(0.2, rel=1e-6)


@given(st.floats(0.001, 0.3), st.integers(1, 20))
def test_annuity_repays_the_loan(rate: float, years: int) -> None:
    payments = money.annuity_factor(rate, years) * np.ones(years)
    present = np.sum(payments / (1 + rate) ** np.arange(1, years + 1))
    assert present == pytest.approx(1.0)


def test_owned_machine_for_a_year() -> None:
    straight = money.owned_usd(300_000, 5, 8760)
    assert straight == pytest.approx(60_000 + 12_000)
    with_floor = money.owned_usd(
        300_000, 5, 8760, maintenance_share_per_year=0.0, floor_usd_per_h=0.5
    )
    assert with_floor == pytest.approx(64_380)
    assert money.owned_usd(300_000, 5, 8760, rate_per_year=0.08) > straight


def test_power_bill() -> None:
    assert money.power_usd(10_000, 730, 1.3, 0.10) == pytest.approx(949)


def test_data_prices() -> None:
    assert money.egress_usd(2.5e12, 0.02) == pytest.approx(50)
    assert money.storage_usd(44e9, 0.023, 730, copies=3) == pytest.approx(3.036)
    assert money.memory_usd(64 * 2**30, 0.008, 730) == pytest.approx(373.76)


def test_api_bill_separates_cached_input() -> None:
    bill = money.api_usd(1e6, 2e5, 3.0, 15.0, cached_tokens=4e5, cached_usd_per_mtok=0.3)
    assert bill == pytest.approx(1.8 + 0.12 + 3.0)
    assert money.api_usd(1e6, 2e5, 3.0, 15.0, cached_tokens=4e5) == pytest.approx(6.0)


def test_own_replicas_cost_a_staircase() -> None:
    rates = [0.0, 1e-6, 2.0, 2.000001, 4.0, 4.1]
    found = money.self_host_usd_per_h(rates, 2.0, 10.0)
    assert found == pytest.approx([0, 10, 10, 20, 20, 30])


def test_rounding_does_not_add_a_replica() -> None:
    assert money.self_host_usd_per_h(0.1 + 0.2, 0.1, 10.0) == pytest.approx(30)


def test_windows_against_the_api_at_the_step_edges() -> None:
    """A $7.20/h replica serves 2 requests/s; the API takes a tenth of a cent a request ($3.60 per
    hour and request/s). Parity is 2 requests/s a replica: only full replicas break even."""
    windows = money.self_host_windows(7.2, 2.0, 0.001, replicas=3)
    assert windows == pytest.approx(np.array([[2, 2], [4, 4], [6, 6]]), abs=1e-9)


def test_windows_close_up_with_scale() -> None:
    """At $5.40/h parity is 1.5 n: the gaps (2, 3), (4, 4.5) and then none from 6 on."""
    windows = money.self_host_windows(5.4, 2.0, 0.001, replicas=5)
    assert windows == pytest.approx(
        np.array([[1.5, 2], [3, 4], [4.5, 6], [6, 8], [8, 10]]), abs=1e-9
    )
    assert money.always_self_host_requests_per_s(5.4, 2.0, 0.001) == pytest.approx(4.5)


def test_a_dear_replica_never_breaks_even() -> None:
    assert np.all(np.isnan(money.self_host_windows(8.0, 2.0, 0.001, replicas=4)))
    assert money.always_self_host_requests_per_s(8.0, 2.0, 0.001) == np.inf


@given(price, st.floats(0.1, 20.0), st.floats(1e-4, 1e-2), st.floats(0.001, 0.999))
def test_windows_say_when_the_staircase_is_no_dearer(
    replica_usd: float, capacity: float, api_usd: float, part: float
) -> None:
    windows = money.self_host_windows(replica_usd, capacity, api_usd, replicas=6)
    for n in range(6):
        rate = (n + part) * capacity
        own = money.self_host_usd_per_h(rate, capacity, replica_usd)
        bought = rate * 3600 * api_usd
        if abs(own / bought - 1) > 1e-6:
            inside = windows[n, 0] <= rate <= windows[n, 1]
            assert inside == (own < bought)


@given(price, st.floats(0.1, 20.0), st.floats(1e-4, 1e-2), st.floats(0.0, 30.0))
def test_beyond_the_last_gap_own_replicas_are_never_dearer(
    replica_usd: float, capacity: float, api_usd: float, steps: float
) -> None:
    start = float(money.always_self_host_requests_per_s(replica_usd, capacity, api_usd))
    if np.isfinite(start):
        rate = start * (1 + 1e-6) + steps * capacity
        own = money.self_host_usd_per_h(rate, capacity, replica_usd)
        assert own <= rate * 3600 * api_usd * (1 + 1e-6)


def test_money_years_and_currencies() -> None:
    assert money.in_money_year(100, 250, 300) == pytest.approx(120)
    assert money.in_usd([100, 200], 1.08) == pytest.approx([108, 216])
