"""Waiting: known answers, limits, and what more load must always do."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from models.coefficients import queueing

utilisation = st.floats(0.01, 0.95)
seconds = st.floats(1e-3, 10.0)
probability = st.floats(0.01, 0.999)


def test_latency_is_ttft_plus_tpot_times_tokens() -> None:
    assert queueing.latency_s(0.5, 0.050, 200) == pytest.approx(10.5)


@pytest.mark.parametrize(("rate", "expected"), [(2, 0.1125), (5, 0.15), (8, 0.30)])
def test_md1_ttft_of_distserve(rate: float, expected: float) -> None:
    assert queueing.md1_ttft_s(0.1, rate) == pytest.approx(expected)


def test_square_root_staffing_pools_64_slot_replicas() -> None:
    rho = queueing.pooled_utilisation(64 * np.array([1, 2, 4, 8, 16]), 10.0, 0.5)
    assert rho == pytest.approx([0.823, 0.881, 0.922, 0.951, 0.970], abs=5e-4)


def test_square_root_staffing_pools_16_slot_replicas() -> None:
    rho = queueing.pooled_utilisation(16 * np.array([1, 2, 4, 8, 16]), 10.0, 0.5)
    assert rho == pytest.approx([0.638, 0.743, 0.823, 0.881, 0.922], abs=6e-4)


def test_staffing_margin_grows_with_the_root_of_the_load() -> None:
    """servers = load + beta sqrt(load), beta from 1.56 (one replica) to 0.98 (sixteen)."""
    servers = np.array([64.0, 1024.0])
    load = servers * queueing.pooled_utilisation(servers, 10.0, 0.5)
    assert (servers - load) / np.sqrt(load) == pytest.approx([1.56, 0.98], abs=6e-3)


def test_pooled_utilisation_sits_exactly_on_the_target() -> None:
    rho = queueing.pooled_utilisation(48, 4.0, 0.2, 0.9, ca2=1.5)
    wait_s = queueing.pooled_wait_quantile_s(0.9, 48, rho, 4.0, ca2=1.5)
    assert wait_s == pytest.approx(0.2, rel=1e-6)


def test_erlang_c_of_one_server_is_its_utilisation() -> None:
    assert queueing.erlang_c(1, [0.0, 0.3, 0.9, 1.2]) == pytest.approx([0.0, 0.3, 0.9, 1.0])


def test_erlang_c_matches_its_definition() -> None:
    servers, load = 5, 4.0
    last = load**servers / math.factorial(servers) / (1 - load / servers)
    expected = last / (sum(load**k / math.factorial(k) for k in range(servers)) + last)
    assert queueing.erlang_c(servers, load / servers) == pytest.approx(expected, rel=1e-12)


def test_wait_of_one_server_agrees_between_pool_and_pollaczek_khinchine() -> None:
    residual_s = queueing.residual_service_s(0.2, cv_service=0.5)
    pooled_s = queueing.pooled_wait_s(1, 0.7, 0.2, cs2=0.25)
    assert pooled_s == pytest.approx(queueing.mean_wait_s(0.7, residual_s))


def test_ttft_mean_equals_shift_plus_stretched_mean_wait() -> None:
    """Integrating the tail of the distribution gives back its mean."""
    shift_s, rho, residual_s = 0.3, 0.6, 0.1
    t = np.linspace(0.0, 20.0, 200_001)
    late = 1.0 - queueing.ttft_attainment(t, shift_s, rho, residual_s)
    mean_wait_s = float(queueing.mean_wait_s(rho, residual_s))
    expected = shift_s + queueing.COMPOSITE_FACTOR * mean_wait_s
    assert np.trapezoid(late, t) == pytest.approx(expected, rel=1e-3)


def test_a_share_that_does_not_wait_sees_only_the_shift() -> None:
    assert queueing.ttft_quantile_s(0.95, 0.2, [0.0, 0.04, 0.05], 0.1) == pytest.approx(0.2)


def test_overload_waits_for_ever() -> None:
    assert queueing.mean_wait_s(1.0, 0.1) == math.inf
    assert np.all(np.isinf(queueing.ttft_quantile_s([0.0, 0.5, 0.95], 0.2, [1.0, 1.0, 1.3], 0.1)))
    assert queueing.ttft_attainment(60.0, 0.2, 1.0, 0.1) == 0.0
    assert queueing.pooled_wait_s(4, 1.1, 1.0) == math.inf


def test_no_service_time_means_no_wait() -> None:
    assert queueing.ttft_attainment([0.19, 0.2, 0.5], 0.2, 0.9, 0.0) == pytest.approx([0, 1, 1])


def test_shift_adds_every_part() -> None:
    shift_s = queueing.ttft_shift_s(0.1, 0.05, 0.2, 0.04, fixed_s=0.01, iteration_share=0.5)
    assert shift_s == pytest.approx(0.38)


@pytest.mark.parametrize(("prefill_share", "low", "high"), [(0.05, 1.10, 1.14), (0.8, 1.45, 1.7)])
def test_tpot_ratio_lies_in_the_simulated_ranges(
    prefill_share: float, low: float, high: float
) -> None:
    assert low <= queueing.tpot_p95_over_mean(prefill_share) <= high


def test_normal_cdf_within_its_stated_error() -> None:
    z = np.linspace(-9.0, 9.0, 4001)
    assert np.max(np.abs(queueing.normal_cdf(z) - stats.norm.cdf(z))) < 7.5e-8


@pytest.mark.parametrize("ratio", [1.05, 1.25, 1.7, 3.0])
def test_tpot_spread_keeps_mean_and_p95(ratio: float) -> None:
    assert queueing.tpot_quantile_s(0.95, 0.04, ratio) == pytest.approx(0.04 * ratio)
    assert queueing.tpot_attainment(0.04 * ratio, 0.04, ratio) == pytest.approx(0.95, abs=1e-6)
    p = (np.arange(20_000) + 0.5) / 20_000
    mean_s = np.mean([queueing.tpot_quantile_s(x, 0.04, ratio) for x in p])
    assert mean_s == pytest.approx(0.04, rel=5e-3)


def test_tpot_without_spread_is_a_step() -> None:
    assert queueing.tpot_attainment([0.039, 0.04, 0.041], 0.04, 1.0) == pytest.approx([0, 1, 1])


def test_birth_death_with_one_slot_is_mm1() -> None:
    queue = queueing.birth_death(0.5, [1.0], queue_capacity=400)
    assert queue.wait_s == pytest.approx(1.0)
    assert queue.service_s == pytest.approx(1.0)
    assert queue.probabilities[:3] == pytest.approx([0.5, 0.25, 0.125])


def test_birth_death_with_linear_rates_is_erlang_c() -> None:
    servers, rho = 8, 0.8
    queue = queueing.birth_death(rho * servers, np.arange(1.0, servers + 1.0), queue_capacity=900)
    assert queue.wait_s == pytest.approx(float(queueing.pooled_wait_s(servers, rho, 1.0)))
    assert queue.mean_in_service == pytest.approx(rho * servers)


def test_birth_death_blocks_what_overload_cannot_serve() -> None:
    queue = queueing.birth_death(50.0, [1.0, 1.5, 1.8], queue_capacity=10)
    assert queue.throughput_per_s == pytest.approx(1.8, rel=1e-6)
    assert queue.mean_in_service == pytest.approx(3.0, rel=1e-6)


def test_birth_death_of_a_published_queue_analysis() -> None:
    """The worked example of llm-inferno/queue-analysis (README): alpha 12 ms, beta 0.05 ms/token,
    gamma 0.0005 ms/token^2, 128 in, 512 out, 48 slots, 128 places, 3 requests/s."""
    alpha, beta, gamma, n, m = 12.0, 0.05, 0.0005, 128, 512
    own_token = beta + gamma * (n + m / 2)

    def iteration_ms(batch: float) -> float:
        return alpha + batch * (beta * (n + m) / (m + 1) + gamma * (n + m / 2))

    def prefill_ms(batch: float) -> float:
        return iteration_ms(batch) + (beta + gamma) * n

    service_ms = [prefill_ms(b) + m * (iteration_ms(b) + own_token) for b in range(1, 49)]
    rates = 1e3 * np.arange(1.0, 49.0) / np.array(service_ms)
    queue = queueing.birth_death(3.0, rates, queue_capacity=128)
    prompt_ms = prefill_ms(queue.mean_in_service)
    token_ms = (queue.service_s * 1e3 - prompt_ms) / m
    assert queue.throughput_per_s == pytest.approx(3.0)
    assert queue.wait_s * 1e3 == pytest.approx(28.275, abs=1e-3)
    assert queue.mean_in_service == pytest.approx(31.6205, abs=1e-4)
    assert token_ms == pytest.approx(20.5345, abs=1e-4)
    assert queue.wait_s * 1e3 + prompt_ms + token_ms == pytest.approx(75.317, abs=1e-3)
    assert rates[-1] * 0.999 == pytest.approx(3.82082, abs=1e-5)


def test_birth_death_at_the_largest_rate_that_keeps_a_token_target() -> None:
    """The current form of the same repository, where B - 1 others share an iteration: alpha 8 ms,
    beta 0.033, gamma 0.000333, 256 in, 1024 out; of 69 slots 1.9232 requests/s keep 20 ms."""
    alpha, beta, gamma, n, m = 8.0, 0.033, 0.000333, 256, 1024
    own_token_ms = beta + gamma * (n + (m + 1) / 2)
    own_ms = (beta + gamma) * n + m * own_token_ms
    delta_ms = own_ms / (m + 1)
    assert alpha + own_token_ms == pytest.approx(8.289, abs=5e-4)
    assert delta_ms == pytest.approx(0.29695, abs=5e-6)
    assert 1 + math.floor((20.0 - alpha - own_token_ms) / delta_ms) == 40
    batch = np.arange(1.0, 70.0)
    rates = 1e3 * batch / ((m + 1) * (alpha + (batch - 1) * delta_ms) + own_ms)
    queue = queueing.birth_death(1.9232, rates, queue_capacity=128)
    shared_ms = (queue.service_s * 1e3 - own_ms) / (m + 1)
    assert shared_ms + own_token_ms == pytest.approx(20.0, abs=1e-3)


@given(utilisation, utilisation, seconds, probability)
def test_more_load_never_waits_less(a: float, b: float, residual_s: float, p: float) -> None:
    low, high = sorted((a, b))
    assert queueing.mean_wait_s(low, residual_s) <= queueing.mean_wait_s(high, residual_s)
    quantiles = queueing.ttft_quantile_s(p, 0.1, [low, high], residual_s)
    assert quantiles[0] <= quantiles[1]
    met = queueing.ttft_attainment(1.0, 0.1, [low, high], residual_s)
    assert met[0] >= met[1]


@given(st.integers(1, 200), st.integers(1, 200), utilisation)
def test_a_larger_pool_never_waits_longer(a: int, b: int, rho: float) -> None:
    small, large = sorted((a, b))
    waits_s = queueing.pooled_wait_s([small, large], rho, 1.0)
    assert waits_s[0] >= waits_s[1] * (1 - 1e-9)


@given(seconds, st.tuples(seconds, st.floats(0.0, 1.5), seconds), seconds, st.floats(1.0, 4.0))
def test_attainments_are_probabilities(
    target_s: float, point: tuple[float, float, float], tpot_s: float, ratio: float
) -> None:
    ttft = queueing.ttft_attainment(target_s, *point)
    tpot = queueing.tpot_attainment(target_s, tpot_s, ratio)
    both = queueing.attainment(ttft, tpot)
    low, high = queueing.attainment_bounds(ttft, tpot)
    assert 0.0 <= low <= both + 1e-12
    assert both <= high + 1e-12
    assert high <= 1.0 + 1e-7


@given(probability, seconds, utilisation, seconds)
def test_ttft_quantile_inverts_attainment(
    p: float, shift_s: float, rho: float, residual_s: float
) -> None:
    ttft_s = queueing.ttft_quantile_s(p, shift_s, rho, residual_s)
    assert queueing.ttft_attainment(ttft_s, shift_s, rho, residual_s) == pytest.approx(
        max(p, 1.0 - rho), abs=1e-6
    )


@given(st.floats(0.5, 2.0), st.floats(0.1, 10.0))
def test_times_scale_together(scale: float, residual_s: float) -> None:
    """Dimensional sanity: measuring in other units of time multiplies every time alike."""
    one = queueing.ttft_quantile_s(0.95, 0.2, 0.7, residual_s)
    scaled = queueing.ttft_quantile_s(0.95, 0.2 * scale, 0.7, residual_s * scale)
    assert scaled == pytest.approx(one * scale)
