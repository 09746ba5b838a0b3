"""Quality of experience: streaming score, answer quality after staleness, and their combination.

All scores are in [0, 1], one is best. Scalars and arrays broadcast.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.coefficients.queueing import COMPOSITE_FACTOR, wait_scale_s

Array = NDArray[np.float64]


def _array(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=np.float64)


def _exponential_rule() -> tuple[tuple[float, float], ...]:
    """Nodes and weights of the integral of exp(-x) f(x) over x > 0 for smooth positive f.

    Double-exponential substitution x = exp(t - exp(-t)) with the trapezoidal rule (Takahasi and
    Mori 1974). Unlike Gauss-Laguerre it keeps its accuracy when f falls steeply near zero, which
    is the case of a wait much longer than the answer. Terms below 1e-18 are left out.
    """
    step = 0.14
    t = np.arange(-4.5, 4.0, step)
    x = np.exp(t - np.exp(-t))
    weights = step * np.exp(-x) * x * (1.0 + np.exp(-t))
    keep = weights > 1e-18
    weights = weights[keep] / weights[keep].sum()  # exact for a constant, so scores stay <= 1
    return tuple(zip(x[keep].tolist(), weights.tolist(), strict=True))


_RULE = _exponential_rule()


def reading_tokens_per_s(
    words_per_min: ArrayLike = 238.0, tokens_per_word: ArrayLike = 1.3
) -> Array:
    """Reading pace, tokens/s: words/min * tokens/word / 60 = 5.2 for 238 wpm (Brysbaert 2019)."""
    return _array(words_per_min) * _array(tokens_per_word) / 60.0


def _ideal_s(
    expected_ttft_s: ArrayLike, consumption_tokens_per_s: ArrayLike, output_tokens: ArrayLike
) -> Array:
    """Ideal mean arrival time of a token, s: T0 + (N - 1) / (2 s)."""
    gaps = np.maximum(_array(output_tokens) - 1.0, 0.0)
    return _array(expected_ttft_s) + gaps / (2.0 * _array(consumption_tokens_per_s))


def _pace_s(
    tpot_s: ArrayLike, consumption_tokens_per_s: ArrayLike, output_tokens: ArrayLike
) -> Array:
    """Mean time of a token after the first one, s: (N - 1) max(TPOT, 1/s) / 2."""
    gaps = np.maximum(_array(output_tokens) - 1.0, 0.0)
    return gaps * np.maximum(_array(tpot_s), 1.0 / _array(consumption_tokens_per_s)) / 2.0


def streaming_score(
    ttft_s: ArrayLike,
    tpot_s: ArrayLike,
    expected_ttft_s: ArrayLike,
    consumption_tokens_per_s: ArrayLike,
    output_tokens: ArrayLike,
) -> Array:
    """Streaming score of one answer: ideal over actual mean token arrival time.

    Qs = (T0 + (N-1)/(2s)) / (max(T0, TTFT) + (N-1) max(TPOT, 1/s)/2), the closed form of the Andes
    QoE (arXiv 2404.16283) for a constant pace. `ttft_s` includes the network; T0 > 0 is the
    expected TTFT, s the pace at which tokens are consumed, N the output tokens. Nothing is gained
    by being faster than T0 or than s.
    """
    delay_s = np.maximum(_array(ttft_s), _array(expected_ttft_s))
    ideal_s = _ideal_s(expected_ttft_s, consumption_tokens_per_s, output_tokens)
    return ideal_s / (delay_s + _pace_s(tpot_s, consumption_tokens_per_s, output_tokens))


def expected_streaming_score(
    shift_s: ArrayLike,
    rho: ArrayLike,
    residual_s: ArrayLike,
    tpot_s: ArrayLike,
    *,
    expected_ttft_s: ArrayLike,
    consumption_tokens_per_s: ArrayLike,
    output_tokens: ArrayLike,
    exponent: ArrayLike = 1.0,
    composite_factor: ArrayLike = COMPOSITE_FACTOR,
) -> Array:
    """E[Qs ** exponent] over the queueing wait W of `models.coefficients.queueing`.

    With theta the wait scale and d = max(T0 - shift, 0) the wait nobody notices:
    (1 - rho + rho (1 - e^(-d/theta))) Q(W=0) + rho e^(-d/theta) E[Q(d + X)], X ~ Exp(theta); the
    last expectation is int_0^inf e^-x (ideal / (c + theta x))^exponent dx, c = max(T0, shift) +
    pace, by a fixed quadrature (absolute error below 1e-7, deterministic). Zero for rho >= 1.
    """
    rho = _array(rho)
    stable = rho < 1.0
    theta = np.where(stable, wait_scale_s(rho, residual_s, composite_factor), 0.0)
    slack_s = np.maximum(_array(expected_ttft_s) - _array(shift_s), 0.0)
    ideal_s = _ideal_s(expected_ttft_s, consumption_tokens_per_s, output_tokens)
    start_s = np.maximum(_array(expected_ttft_s), _array(shift_s)) + _pace_s(
        tpot_s, consumption_tokens_per_s, output_tokens
    )
    with np.errstate(over="ignore"):  # a tiny scale: exp(-inf) = 0 is right
        unnoticed = slack_s / np.where(theta > 0.0, theta, 1.0)
    noticed = rho * np.exp(-unnoticed) * (theta > 0.0)
    exponent = _array(exponent)
    linear = bool(np.all(exponent == 1.0))
    late: Array = np.zeros(())
    for node, weight in _RULE:  # node by node: memory stays that of the result
        score = ideal_s / (start_s + node * theta)
        late = late + weight * (score if linear else score**exponent)
    expected = (1.0 - noticed) * (ideal_s / start_s) ** exponent + noticed * late
    return np.where(stable, expected, 0.0)


def stale_share(change_rate_per_day: ArrayLike, refresh_days: ArrayLike) -> Array:
    """Mean share of facts that have changed since the last refresh, fraction.

    phi = 1 - (1 - exp(-uT)) / (uT) for facts that change as a Poisson process of rate u per day,
    averaged over the refresh interval T days. Zero for uT = 0.
    """
    changes = _array(change_rate_per_day) * _array(refresh_days)
    small = changes < 1e-3  # below this the closed form loses digits: first terms of its series
    safe = np.where(small, 1.0, changes)
    series = np.where(small, changes / 2.0 - changes**2 / 6.0 + changes**3 / 24.0, 0.0)
    return np.where(small, series, 1.0 + np.expm1(-safe) / safe)


def stale_share_between(
    change_rate_per_day: ArrayLike, from_days: ArrayLike, to_days: ArrayLike
) -> Array:
    """Mean share of facts that have changed while knowledge ages from a to b days, fraction.

    1 - (exp(-ua) - exp(-ub)) / (u (b - a)): of weights that nobody trains again, whose knowledge
    ends at a cut-off a days before the period begins. `stale_share` is that from 0 to T.
    """
    rate = _array(change_rate_per_day)
    before = np.exp(-rate * _array(from_days))
    return 1.0 - before * (1.0 - stale_share(rate, _array(to_days) - _array(from_days)))


def effective_quality(quality: ArrayLike, kappa: ArrayLike, stale: ArrayLike) -> Array:
    """Answer quality after staleness: q (1 - kappa phi), kappa = share asking changing facts."""
    return _array(quality) * (1.0 - _array(kappa) * _array(stale))


def combined_qoe(
    quality: ArrayLike,
    streaming: ArrayLike,
    quality_exponent: ArrayLike = 1.0,
    streaming_exponent: ArrayLike = 1.0,
) -> Array:
    """QoE of an answer: q^wq Qs^ws. Geometric, so that a fast wrong answer cannot score high."""
    return _array(quality) ** _array(quality_exponent) * _array(streaming) ** _array(
        streaming_exponent
    )


def batch_score(finish_h: ArrayLike, deadline_h: ArrayLike) -> Array:
    """Streaming score of a batch answer: one if it is done by the deadline, else zero."""
    return np.where(_array(finish_h) <= _array(deadline_h), 1.0, 0.0)


def hybrid_score(first: ArrayLike, second: ArrayLike, escalated_share: ArrayLike) -> Array:
    """Score of a small-llm-first service: (1 - v) first + v second, v = share escalated."""
    share = _array(escalated_share)
    return (1.0 - share) * _array(first) + share * _array(second)


def mean_opinion_score(qoe: ArrayLike) -> Array:
    """Display scale 1 to 5: 1 + 4 Q. Ordinal only: no published curve exists for streamed text."""
    return 1.0 + 4.0 * _array(qoe)
