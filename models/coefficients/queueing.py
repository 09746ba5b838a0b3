"""Waiting: the distribution of TTFT and TPOT at an operating point, and the pooling of replicas.

A request waits for its first token a fixed `shift_s` (network, retrieval, its own prefill, part of
an iteration) plus a random queueing `wait`. The wait is zero with probability 1 - rho, otherwise
exponential: P(W > t) = rho exp(-t / theta). That is the tail DistServe (arXiv 2401.09670) and
M/M/1 share; theta is `wait_scale_s`. Scalars and arrays broadcast; times are seconds, probabilities
and utilisations are fractions. rho >= 1 has no steady state: waits are infinite, attainment zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

COMPOSITE_FACTOR = 1.3
"""Stretch of the wait scale. A convolution of slot wait, prefill queue and own prefill gave a P95
TTFT 5-25 % below an iteration-level simulation for loads up to 0.8 (project's own trial)."""

ITERATION_SHARE = 0.5
"""Mean part of the running iteration that an arrival waits out."""


def _array(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=np.float64)


def residual_service_s(mean_service_s: ArrayLike, cv_service: ArrayLike = 0.0) -> Array:
    """Mean residual service time met by an arrival, s: E[S^2] / (2 E[S]) = E[S] (1 + cv^2) / 2."""
    return _array(mean_service_s) * (1.0 + _array(cv_service) ** 2) / 2.0


def mean_wait_s(rho: ArrayLike, residual_s: ArrayLike) -> Array:
    """Mean M/G/1 first-come-first-served wait, s: rho / (1 - rho) * residual (Pollaczek-Khinchine).

    Infinite for rho >= 1.
    """
    rho, residual_s = np.broadcast_arrays(_array(rho), _array(residual_s))
    stable = rho < 1.0
    idle = np.where(stable, 1.0 - rho, 1.0)
    return np.where(stable, rho / idle * residual_s, np.inf)


def wait_scale_s(
    rho: ArrayLike, residual_s: ArrayLike, composite_factor: ArrayLike = COMPOSITE_FACTOR
) -> Array:
    """Mean wait of those who wait, s: theta = factor * E[W] / rho = factor * residual / (1 - rho).

    Infinite for rho >= 1.
    """
    rho, residual_s = np.broadcast_arrays(_array(rho), _array(residual_s))
    stable = rho < 1.0
    idle = np.where(stable, 1.0 - rho, 1.0)
    return np.where(stable, _array(composite_factor) * residual_s / idle, np.inf)


def md1_ttft_s(service_s: ArrayLike, requests_per_s: ArrayLike) -> Array:
    """Mean TTFT of an M/D/1 prefill queue, s: D + R D^2 / (2 (1 - R D)) (DistServe, 2401.09670)."""
    service_s = _array(service_s)
    rho = _array(requests_per_s) * service_s
    return service_s + mean_wait_s(rho, residual_service_s(service_s))


def ttft_shift_s(
    round_trip_s: ArrayLike,
    retrieval_s: ArrayLike,
    own_prefill_s: ArrayLike,
    iteration_s: ArrayLike,
    *,
    fixed_s: ArrayLike = 0.0,
    iteration_share: ArrayLike = ITERATION_SHARE,
) -> Array:
    """TTFT without a queue, s: round trip + retrieval + own prefill + fixed + part of an iteration.

    `fixed_s` is what the engine adds to every request (tokenising, scheduling).
    """
    return (
        _array(round_trip_s)
        + _array(retrieval_s)
        + _array(own_prefill_s)
        + _array(fixed_s)
        + _array(iteration_share) * _array(iteration_s)
    )


def latency_s(ttft_s: ArrayLike, tpot_s: ArrayLike, output_tokens: ArrayLike) -> Array:
    """End-to-end latency, s: TTFT + TPOT * N (arXiv 2405.17147).

    The paper's form counts N, not N - 1, inter-token times: one TPOT longer than the exact sum.
    """
    return _array(ttft_s) + _array(tpot_s) * _array(output_tokens)


def ttft_quantile_s(
    probability: ArrayLike,
    shift_s: ArrayLike,
    rho: ArrayLike,
    residual_s: ArrayLike,
    composite_factor: ArrayLike = COMPOSITE_FACTOR,
) -> Array:
    """TTFT that a share p of requests does not exceed, s: shift + theta ln(rho / (1 - p)).

    Just the shift where 1 - p >= rho (such a share does not wait at all); infinite for rho >= 1.
    """
    rho = _array(rho)
    theta = wait_scale_s(rho, residual_s, composite_factor)
    with np.errstate(divide="ignore"):
        folds = np.maximum(np.log(rho) - np.log1p(-_array(probability)), 0.0)
    finite = np.where(rho < 1.0, theta, 0.0) * folds
    return _array(shift_s) + np.where(rho < 1.0, finite, np.inf)


def ttft_attainment(
    target_s: ArrayLike,
    shift_s: ArrayLike,
    rho: ArrayLike,
    residual_s: ArrayLike,
    composite_factor: ArrayLike = COMPOSITE_FACTOR,
) -> Array:
    """P(TTFT <= target), fraction: 1 - rho exp(-(target - shift) / theta); 0 below the shift.

    A probability, so that workloads served by several routes mix linearly (percentiles do not).
    """
    rho = _array(rho)
    theta = wait_scale_s(rho, residual_s, composite_factor)
    slack_s = _array(target_s) - _array(shift_s)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        late = rho * np.where(theta > 0.0, np.exp(-np.maximum(slack_s, 0.0) / theta), 0.0)
    return np.where((slack_s >= 0.0) & (rho < 1.0), 1.0 - late, 0.0)


def tpot_p95_over_mean(prefill_share: ArrayLike) -> Array:
    """P95 over mean TPOT: 1.10 + 0.6 * share of prefill in the work of an iteration.

    A line through the project's discrete-event trial: 1.10-1.14 for chat (512 in, 256 out) up to
    1.45-1.7 for summaries (8000 in, 400 out), whose tokens wait for other requests' prefill chunks.
    """
    return 1.10 + 0.6 * _array(prefill_share)


def _log_spread(p95_over_mean: ArrayLike) -> Array:
    """Sigma of the log-normal whose 95th percentile is that multiple of its mean.

    From ln r = z sigma - sigma^2 / 2 with z = 1.6449; the ratio cannot exceed exp(z^2 / 2) = 3.87.
    """
    z = NormalDist().inv_cdf(0.95)
    log_ratio = np.clip(np.log(_array(p95_over_mean)), 0.0, z**2 / 2.0)
    return z - np.sqrt(np.maximum(z**2 - 2.0 * log_ratio, 0.0))


def normal_cdf(z: ArrayLike) -> Array:
    """Standard normal distribution function, fraction; absolute error below 7.5e-8.

    Upper tail phi(|z|) (b1 t + ... + b5 t^5), t = 1 / (1 + 0.2316419 |z|): Abramowitz and Stegun
    1964, 26.2.17, since numpy has no error function.
    """
    z = _array(z)
    t = 1.0 / (1.0 + 0.2316419 * np.abs(z))
    series = np.zeros_like(t)
    for b in (1.330274429, -1.821255978, 1.781477937, -0.356563782, 0.319381530):
        series = (series + b) * t
    tail: Array = np.exp(-(z**2) / 2.0) / np.sqrt(2.0 * np.pi) * series
    return np.where(z >= 0.0, 1.0 - tail, tail)


def tpot_quantile_s(probability: float, mean_s: ArrayLike, p95_over_mean: ArrayLike) -> Array:
    """TPOT that a share `probability` of requests does not exceed, s.

    Log-normal around the operating point: mean exp(sigma z_p - sigma^2 / 2). P95 / mean is
    1.10-1.25 for chat and 1.4-1.7 for long prompts (project's discrete-event trial).
    """
    sigma = _log_spread(p95_over_mean)
    return _array(mean_s) * np.exp(sigma * NormalDist().inv_cdf(probability) - sigma**2 / 2.0)


def tpot_attainment(target_s: ArrayLike, mean_s: ArrayLike, p95_over_mean: ArrayLike) -> Array:
    """P(TPOT <= target), fraction, log-normal around the operating point; a step if no spread."""
    sigma = _log_spread(p95_over_mean)
    with np.errstate(divide="ignore"):
        log_ratio = np.log(_array(target_s)) - np.log(_array(mean_s))
    spread = np.where(sigma > 0.0, sigma, 1.0)
    smooth = normal_cdf((log_ratio + sigma**2 / 2.0) / spread)
    return np.where(sigma > 0.0, smooth, np.where(log_ratio >= 0.0, 1.0, 0.0))


def attainment(ttft: ArrayLike, tpot: ArrayLike) -> Array:
    """P(both targets met), fraction: the product of `ttft` and `tpot` attainments.

    Exact if they were independent. Both worsen together under load, so the truth lies between this
    product and the smaller of the two: the product errs on the safe side.
    """
    return _array(ttft) * _array(tpot)


def attainment_bounds(ttft: ArrayLike, tpot: ArrayLike) -> tuple[Array, Array]:
    """Bounds on P(both targets met) for any dependence (Frechet): max(0, a + b - 1), min(a, b)."""
    ttft, tpot = _array(ttft), _array(tpot)
    return np.maximum(ttft + tpot - 1.0, 0.0), np.minimum(ttft, tpot)


def erlang_c(servers: ArrayLike, rho: ArrayLike) -> Array:
    """Probability that an arrival to `servers` servers (integer >= 1) at utilisation rho waits.

    Erlang B by its recursion B_k = a B_{k-1} / (k + a B_{k-1}), a = rho servers, then
    C = B / (1 - rho (1 - B)). One for rho >= 1.
    """
    servers, rho = np.broadcast_arrays(_array(servers), _array(rho))
    offered = np.minimum(rho, 1.0) * servers
    blocking = np.ones_like(offered)
    for k in range(1, int(np.max(servers, initial=1.0)) + 1):
        blocking = np.where(k <= servers, offered * blocking / (k + offered * blocking), blocking)
    waits = blocking / np.where(rho < 1.0, 1.0 - rho * (1.0 - blocking), 1.0)
    return np.where(rho < 1.0, waits, 1.0)


def pooled_wait_s(
    servers: ArrayLike,
    rho: ArrayLike,
    service_s: ArrayLike,
    ca2: ArrayLike = 1.0,
    cs2: ArrayLike = 1.0,
) -> Array:
    """Mean wait in a pool of like servers, s (Allen-Cunneen; exact for M/M/c).

    C(c, rho) service / (c (1 - rho)) * (Ca^2 + Cs^2) / 2; Ca^2, Cs^2 are the squared variation
    coefficients of inter-arrival and service times. Low by 20-60 % for bursty arrivals (Ca = 2).
    """
    rho = _array(rho)
    idle = np.where(rho < 1.0, 1.0 - rho, 1.0)
    scale = _array(service_s) / (_array(servers) * idle) * (_array(ca2) + _array(cs2)) / 2.0
    return np.where(rho < 1.0, erlang_c(servers, rho) * scale, np.inf)


def pooled_wait_quantile_s(
    probability: ArrayLike,
    servers: ArrayLike,
    rho: ArrayLike,
    service_s: ArrayLike,
    *,
    ca2: ArrayLike = 1.0,
    cs2: ArrayLike = 1.0,
) -> Array:
    """Wait that a share `probability` does not exceed, s (Kimura's tail; exact for M/M/c).

    (Ca^2 + Cs^2) / 2 * ln(C / (1 - p)) service / (c (1 - rho)), not below zero.
    """
    rho = _array(rho)
    idle = np.where(rho < 1.0, 1.0 - rho, 1.0)
    scale = _array(service_s) / (_array(servers) * idle) * (_array(ca2) + _array(cs2)) / 2.0
    with np.errstate(divide="ignore"):
        folds = np.log(erlang_c(servers, rho)) - np.log1p(-_array(probability))
    return np.where(rho < 1.0, np.maximum(folds, 0.0) * scale, np.inf)


def pooled_utilisation(
    servers: ArrayLike,
    service_s: ArrayLike,
    wait_target_s: ArrayLike,
    probability: ArrayLike = 0.95,
    *,
    ca2: ArrayLike = 1.0,
    cs2: ArrayLike = 1.0,
) -> Array:
    """Highest utilisation at which a share `probability` waits at most the target, fraction.

    Inverts `pooled_wait_quantile_s` by bisection (to 1e-12): the square-root staffing rule
    servers = load + beta sqrt(load), made exact. Servers are decode slots: slots * replicas.
    """
    servers, service_s, wait_target_s = np.broadcast_arrays(
        _array(servers), _array(service_s), _array(wait_target_s)
    )
    low, high = np.zeros(servers.shape), np.ones(servers.shape)
    for _ in range(40):
        rho = (low + high) / 2.0
        wait_s = pooled_wait_quantile_s(probability, servers, rho, service_s, ca2=ca2, cs2=cs2)
        low, high = np.where(wait_s <= wait_target_s, (rho, high), (low, rho))
    return np.asarray(low)


@dataclass(frozen=True)
class BirthDeath:
    """Steady state of one replica with state-dependent service."""

    probabilities: Array
    """Probability of 0, 1, ... requests present, shape (states,)."""
    throughput_per_s: float
    """Requests served per second (arrivals less those blocked)."""
    mean_in_service: float
    """Mean number of occupied slots."""
    wait_s: float
    """Mean wait for a slot of an admitted request, s (Little)."""
    service_s: float
    """Mean time in a slot of an admitted request, s (Little)."""


def birth_death(
    requests_per_s: float, service_rates_per_s: ArrayLike, queue_capacity: int
) -> BirthDeath:
    """Steady state of a replica whose rate depends on its batch: M/M(B)/1 with a finite queue.

    `service_rates_per_s[k]` is the total completion rate with k + 1 requests in service, shape
    (slots,); beyond the last slot up to `queue_capacity` requests wait. p_k = p_0 prod(lambda /
    mu_i).
    """
    rates = _array(service_rates_per_s)
    slots = rates.size
    mu = np.concatenate([rates, np.full(queue_capacity, rates[-1])])
    log_weight = np.concatenate([[0.0], np.cumsum(np.log(requests_per_s) - np.log(mu))])
    weight = np.exp(log_weight - log_weight.max())
    p = weight / weight.sum()
    present = np.arange(p.size)
    in_service = float(p @ np.minimum(present, slots))
    throughput = requests_per_s * float(1.0 - p[-1])
    waiting = float(p @ np.maximum(present - slots, 0))
    return BirthDeath(p, throughput, in_service, waiting / throughput, in_service / throughput)
