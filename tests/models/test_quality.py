"""Quality of experience: the streaming score, its expectation, staleness and combination."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from models.coefficients import quality
from models.coefficients.queueing import wait_scale_s

share = st.floats(0.0, 1.0)


@pytest.mark.parametrize(
    ("ttft_s", "tpot_s", "wished", "score"),
    [
        (0.5, 0.02, (1, 4.8, 200), 1.0),
        (3, 0.05, (1, 4.8, 200), 0.9157),
        (1, 0.3, (1, 4.8, 200), 0.7043),
        (5, 0.25, (1, 4.8, 300), 0.7586),
        (5, 0.02, (1, 4.8, 50), 0.6041),
        (1.3, 0.1, (0.3, 3.3, 100), 0.9387),
    ],
)
def test_streaming_score_of_andes(
    ttft_s: float, tpot_s: float, wished: tuple[float, float, int], score: float
) -> None:
    found = quality.streaming_score(ttft_s, tpot_s, *wished)
    assert found == pytest.approx(score, abs=5e-5)


def test_streaming_score_is_the_ratio_of_mean_arrival_times() -> None:
    """The closed form against the discrete timelines it stands for."""
    ttft_s, tpot_s, expected_s, pace, tokens = 2.4, 0.31, 0.8, 5.2, 137
    k = np.arange(tokens)
    ideal = expected_s + k / pace
    actual = max(ttft_s, expected_s) + k * max(tpot_s, 1 / pace)
    score = quality.streaming_score(ttft_s, tpot_s, expected_s, pace, tokens)
    assert score == pytest.approx(ideal.mean() / actual.mean())


def test_reading_pace() -> None:
    assert quality.reading_tokens_per_s() == pytest.approx(5.157, abs=1e-3)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("residual_s", [1e-3, 0.05, 1.0, 30.0])
@pytest.mark.parametrize(("shift_s", "tokens"), [(0.2, 1), (0.2, 200), (3.0, 20)])
def test_expected_score_equals_numeric_integration(
    exponent: float, residual_s: float, shift_s: float, tokens: int
) -> None:
    rho = 0.7
    theta = float(wait_scale_s(rho, residual_s))

    def score(wait_s: float) -> float:
        one = quality.streaming_score(shift_s + wait_s, 0.03, 1.0, 5.0, tokens)
        return float(one) ** exponent

    kink = max(1.0 - shift_s, 0.0)
    parts = [(0.0, kink), (kink, kink + theta), (kink + theta, kink + 60 * theta)]
    late = sum(
        integrate.quad(
            lambda w: score(w) * np.exp(-w / theta) / theta, *part, epsabs=1e-11, limit=200
        )[0]
        for part in parts
    )
    expected = (1 - rho) * score(0.0) + rho * late
    found = quality.expected_streaming_score(
        shift_s,
        rho,
        residual_s,
        0.03,
        expected_ttft_s=1.0,
        consumption_tokens_per_s=5.0,
        output_tokens=tokens,
        exponent=exponent,
    )
    assert found == pytest.approx(expected, abs=1e-6)


def expected_score(shift_s: float, rho: float, residual_s: float, tpot_s: float) -> float:
    return float(
        quality.expected_streaming_score(
            shift_s,
            rho,
            residual_s,
            tpot_s,
            expected_ttft_s=1.0,
            consumption_tokens_per_s=5.2,
            output_tokens=150,
        )
    )


def test_expected_score_without_waiting_is_the_plain_score() -> None:
    plain = quality.streaming_score(2.0, 0.3, 1.0, 5.2, 150)
    assert expected_score(2.0, 0.0, 0.5, 0.3) == pytest.approx(float(plain))
    assert expected_score(2.0, 0.5, 0.0, 0.3) == pytest.approx(float(plain))


def test_expected_score_of_an_overloaded_pool_is_zero() -> None:
    assert expected_score(0.1, 1.0, 0.1, 0.02) == 0.0


def test_expected_score_broadcasts() -> None:
    scores = quality.expected_streaming_score(
        np.array([[0.1], [2.0]]),
        np.array([0.2, 0.5, 0.8]),
        0.4,
        0.03,
        expected_ttft_s=1.0,
        consumption_tokens_per_s=5.2,
        output_tokens=150,
        exponent=np.array([1.0, 1.0, 2.0]),
    )
    assert scores.shape == (2, 3)
    assert scores[1, 1] == pytest.approx(expected_score(2.0, 0.5, 0.4, 0.03))


@given(
    st.floats(0.0, 5.0),
    st.floats(0.0, 0.99),
    st.floats(0.0, 0.99),
    st.floats(0.0, 20.0),
    st.floats(0.001, 1.0),
)
def test_more_load_never_scores_better(
    shift_s: float, a: float, b: float, residual_s: float, tpot_s: float
) -> None:
    low, high = sorted((a, b))
    better = expected_score(shift_s, low, residual_s, tpot_s)
    worse = expected_score(shift_s, high, residual_s, tpot_s)
    assert 0.0 <= worse <= better + 1e-7
    assert better <= 1.0 + 1e-12


@pytest.mark.parametrize(("days", "expected"), [(30, 0.1496), (1, 0.0055)])
def test_staleness_of_facts_that_last_ninety_days(days: float, expected: float) -> None:
    assert quality.stale_share(1 / 90, days) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("changes", [1e-9, 1e-4, 0.999e-3, 1.001e-3, 0.3, 5.0, 80.0])
def test_staleness_is_the_mean_over_the_interval(changes: float) -> None:
    mean, _ = integrate.quad(
        lambda age: -np.expm1(-changes * age), 0.0, 1.0, epsabs=0, epsrel=1e-12
    )
    assert quality.stale_share(changes / 30, 30) == pytest.approx(mean, rel=1e-9)


def test_staleness_limits() -> None:
    assert quality.stale_share(0.0, 30) == 0.0
    assert quality.stale_share(1e6, 30) == pytest.approx(1.0, abs=1e-6)


@given(st.floats(0.0, 1.0), st.floats(0.0, 1000.0), st.floats(0.0, 1000.0), share, share)
def test_staler_is_never_better(
    rate: float, a: float, b: float, kappa: float, fresh: float
) -> None:
    sooner, later = sorted((a, b))
    stale = quality.stale_share(rate, [sooner, later])
    kept = quality.effective_quality(fresh, kappa, stale)
    assert 0.0 <= kept[1] <= kept[0] + 1e-9
    assert kept[0] <= fresh


@given(share, share, share, st.floats(0.1, 3.0))
def test_qoe_rises_with_both_parts_and_stays_a_share(
    q: float, a: float, b: float, exponent: float
) -> None:
    slow, fast = sorted((a, b))
    qoe = quality.combined_qoe(q, [slow, fast], streaming_exponent=exponent)
    assert 0.0 <= qoe[0] <= qoe[1] <= q


def test_default_qoe_is_the_product() -> None:
    assert quality.combined_qoe(0.8, 0.9) == pytest.approx(0.72)
    assert quality.combined_qoe(0.8, 0.9, 2.0, 0.5) == pytest.approx(0.64 * 0.9**0.5)


def test_a_wrong_answer_gains_nothing_from_speed() -> None:
    assert quality.combined_qoe(0.0, 1.0) == 0.0


def test_batch_answers_count_until_the_deadline() -> None:
    assert quality.batch_score([5.0, 8.0, 8.1], 8.0) == pytest.approx([1.0, 1.0, 0.0])


def test_escalation_mixes_the_scores() -> None:
    assert quality.hybrid_score(0.6, 0.9, [0.0, 0.3, 1.0]) == pytest.approx([0.6, 0.69, 0.9])


def test_opinion_scale_ends() -> None:
    assert quality.mean_opinion_score([0.0, 0.5, 1.0]) == pytest.approx([1.0, 3.0, 5.0])
