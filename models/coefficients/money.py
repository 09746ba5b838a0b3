"""Money: market prices, ownership, data movement, bought tokens, and the break-evens between them.

Scalars and arrays broadcast. US dollars of one money year unless a function converts them; "hours"
are hours of the planning period; a GB is 1e9 bytes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

HOURS_PER_MONTH = 730.0
HOURS_PER_YEAR = 8760.0

MAINTENANCE_SHARE_PER_YEAR = 0.04
"""Yearly maintenance of owned machines over their price: middle of the usual 3-5 %."""


def _array(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=np.float64)


# --- Unit economics ------------------------------------------------------------------------------


def usd_per_mtok(
    usd_per_h: ArrayLike, tokens_per_s: ArrayLike, utilisation: ArrayLike = 1.0
) -> Array:
    """Cost of a million tokens, USD: price_h 1e6 / (3600 tokens/s utilisation)."""
    return _array(usd_per_h) * 1e6 / (3600.0 * _array(tokens_per_s) * _array(utilisation))


# --- Markets -------------------------------------------------------------------------------------


def on_demand_usd(usd_per_h: ArrayLike, hours_used: ArrayLike, instances: ArrayLike = 1) -> Array:
    """On-demand rent, USD: price * hours used * instances."""
    return _array(usd_per_h) * _array(hours_used) * _array(instances)


def interruption_overhead(
    interruptions_per_month: ArrayLike, restart_h: ArrayLike, notice_h: ArrayLike = 0.0
) -> Array:
    """Share of paid spot hours that do no work, in [0, 1): i r / (1 + i r).

    i = interruptions per hour of service, r = hours from the notice until the replacement serves
    (boot and weight load), less a notice during which the old instance still serves.
    """
    lost_h = np.maximum(_array(restart_h) - _array(notice_h), 0.0)
    lost = _array(interruptions_per_month) / HOURS_PER_MONTH * lost_h
    return lost / (1.0 + lost)


def spot_usd(
    usd_per_h: ArrayLike, hours_used: ArrayLike, overhead: ArrayLike, instances: ArrayLike = 1
) -> Array:
    """Spot rent for `hours_used` hours of service, USD: price * hours / (1 - overhead) * count."""
    return on_demand_usd(usd_per_h, hours_used, instances) / (1.0 - _array(overhead))


def commitment_usd(
    usd_per_h: ArrayLike, period_hours: ArrayLike, instances: ArrayLike = 1
) -> Array:
    """Charge of a 1- or 3-year commitment to a period, USD: paid for every hour, used or not.

    `usd_per_h` is the effective hourly price (upfront payments spread over the term).
    """
    return _array(usd_per_h) * _array(period_hours) * _array(instances)


def commitment_break_even_share(
    committed_usd_per_h: ArrayLike, on_demand_usd_per_h: ArrayLike
) -> Array:
    """Share of the hours above which a commitment beats on-demand: committed / on-demand price."""
    return _array(committed_usd_per_h) / _array(on_demand_usd_per_h)


def annuity_factor(rate_per_year: ArrayLike, years: ArrayLike) -> Array:
    """Yearly payment per dollar lent, 1/year: r / (1 - (1 + r)^-n), and 1/n for r = 0."""
    rate, years = np.broadcast_arrays(_array(rate_per_year), _array(years))
    safe = np.where(rate > 0.0, rate, 1.0)
    return np.where(rate > 0.0, safe / -np.expm1(-years * np.log1p(safe)), 1.0 / years)


def power_usd(
    power_w: ArrayLike, hours: ArrayLike, pue: ArrayLike, usd_per_kwh: ArrayLike
) -> Array:
    """Electricity, USD: W / 1000 * hours * PUE * tariff. Cloud prices already contain it."""
    return _array(power_w) / 1e3 * _array(hours) * _array(pue) * _array(usd_per_kwh)


def owned_usd(
    capex_usd: ArrayLike,
    life_years: ArrayLike,
    hours: ArrayLike,
    *,
    rate_per_year: ArrayLike = 0.0,
    maintenance_share_per_year: ArrayLike = MAINTENANCE_SHARE_PER_YEAR,
    floor_usd_per_h: ArrayLike = 0.0,
) -> Array:
    """Cost of owning a machine for some hours without its electricity (`power_usd`), USD.

    Price * (annuity + maintenance) * hours / 8760 + floor space; straight line (price / life) at a
    rate of 0.
    """
    yearly = annuity_factor(rate_per_year, life_years) + _array(maintenance_share_per_year)
    hours = _array(hours)
    return _array(capex_usd) * yearly * hours / HOURS_PER_YEAR + _array(floor_usd_per_h) * hours


# --- Data ----------------------------------------------------------------------------------------


def egress_usd(sent_bytes: ArrayLike, usd_per_gb: ArrayLike) -> Array:
    """Network egress, USD: bytes / 1e9 * price per GB."""
    return _array(sent_bytes) / 1e9 * _array(usd_per_gb)


def storage_usd(
    stored_bytes: ArrayLike, usd_per_gb_month: ArrayLike, hours: ArrayLike, copies: ArrayLike = 1
) -> Array:
    """Storage, USD: bytes / 1e9 * price per GB-month * hours / 730 * copies."""
    months = _array(hours) / HOURS_PER_MONTH
    return _array(stored_bytes) / 1e9 * _array(usd_per_gb_month) * months * _array(copies)


def memory_usd(
    held_bytes: ArrayLike, usd_per_gib_h: ArrayLike, hours: ArrayLike, copies: ArrayLike = 1
) -> Array:
    """Vector index kept in RAM, USD: bytes / 2^30 * price per GiB-hour * hours * copies."""
    return _array(held_bytes) / 2.0**30 * _array(usd_per_gib_h) * _array(hours) * _array(copies)


# --- Bought tokens -------------------------------------------------------------------------------


def api_usd(
    input_tokens: ArrayLike,
    output_tokens: ArrayLike,
    input_usd_per_mtok: ArrayLike,
    output_usd_per_mtok: ArrayLike,
    *,
    cached_tokens: ArrayLike = 0.0,
    cached_usd_per_mtok: ArrayLike | None = None,
) -> Array:
    """Bill of bought tokens, USD: (fresh in p_in + cached in p_cached + out p_out) / 1e6.

    `cached_tokens` is the part of `input_tokens` read from the vendor's prompt cache; without a
    price of its own it costs the input price.
    """
    cached_price = input_usd_per_mtok if cached_usd_per_mtok is None else cached_usd_per_mtok
    cached = _array(cached_tokens)
    fresh = _array(input_tokens) - cached
    return (
        fresh * _array(input_usd_per_mtok)
        + cached * _array(cached_price)
        + _array(output_tokens) * _array(output_usd_per_mtok)
    ) / 1e6


def self_host_usd_per_h(
    requests_per_s: ArrayLike, replica_requests_per_s: ArrayLike, replica_usd_per_h: ArrayLike
) -> Array:
    """Hourly cost of whole replicas for a rate, USD/h: ceil(rate / capacity) * price: a staircase.

    A rate within 1e-9 (relative) above a full replica still counts as full.
    """
    replicas = np.ceil(_array(requests_per_s) / _array(replica_requests_per_s) * (1.0 - 1e-9))
    return replicas * _array(replica_usd_per_h)


def self_host_windows(
    replica_usd_per_h: float,
    replica_requests_per_s: float,
    api_usd_per_request: float,
    replicas: int,
) -> Array:
    """Request rates at which n = 1..replicas own replicas are no dearer than the API, requests/s.

    Shape (replicas, 2): from max((n - 1) capacity, n price / (3600 API price)) to n capacity, both
    edges of the n-th step; NaN where the API is cheaper over the whole step. If the price per
    request of a full replica is below the API's, later windows touch (`always_self_host...`).
    """
    n = np.arange(1.0, replicas + 1.0)
    parity = n * replica_usd_per_h / (3600.0 * api_usd_per_request)
    start = np.maximum((n - 1.0) * replica_requests_per_s, parity)
    end = n * replica_requests_per_s
    windows = np.stack([start, end], axis=1)
    return np.where((start <= end)[:, None], windows, np.nan)


def always_self_host_requests_per_s(
    replica_usd_per_h: ArrayLike, replica_requests_per_s: ArrayLike, api_usd_per_request: ArrayLike
) -> Array:
    """Rate from which own replicas are never dearer than the API, requests/s.

    On step n the API is cheapest just after (n - 1) capacity; own wins there once
    (n - 1) capacity a >= n c, i.e. n >= a k / (a k - c), with a the API price and c the replica's
    hourly price, both per 3600 s. Infinite if a full replica is no cheaper.
    """
    full = _array(api_usd_per_request) * _array(replica_requests_per_s) * 3600.0
    margin = full - _array(replica_usd_per_h)
    wins = margin > 0.0
    first = np.ceil(full / np.where(wins, margin, 1.0) * (1.0 - 1e-12))
    parity = (first - 1.0) * _array(replica_usd_per_h) / (3600.0 * _array(api_usd_per_request))
    start = np.maximum((first - 2.0) * _array(replica_requests_per_s), parity)
    return np.where(wins, start, np.inf)


# --- Money years ---------------------------------------------------------------------------------


def in_money_year(amount: ArrayLike, index_then: ArrayLike, index_now: ArrayLike) -> Array:
    """An amount in the prices of another year: amount * price index now / price index then."""
    return _array(amount) * _array(index_now) / _array(index_then)


def in_usd(amount: ArrayLike, usd_per_unit: ArrayLike) -> Array:
    """An amount of another currency in US dollars: amount * dollars per unit."""
    return _array(amount) * _array(usd_per_unit)
