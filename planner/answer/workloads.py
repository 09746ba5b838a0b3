"""What each workload gets, and what it costs by its share of the fleet."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from models.coefficients.queueing import (
    tpot_attainment,
    tpot_quantile_s,
    ttft_attainment,
    ttft_quantile_s,
)
from models.fleet.data import FleetData, FloatArray, IntArray
from planner.answer.decisions import Decisions
from planner.answer.lines import (
    carbon_lines,
    cost_lines,
    machine_carbon_kgco2e,
    machine_cost_usd,
)
from planner.plan import WorkloadLine


@dataclass(frozen=True, eq=False)
class Latency:
    """TTFT distributions of the routes in use, and their mean TPOT; fields (n,)."""

    shift_s: FloatArray
    """TTFT without waiting"""
    prefill_load: float
    residual_s: FloatArray
    """of pools: mean residual prefill an arrival meets; of hosted APIs: their mean TTFT"""
    p95_over_mean: FloatArray
    """of hosted APIs; 0 marks a pool, whose wait is that of a prefill queue"""
    tpot_s: FloatArray

    @classmethod
    def known_by_p95(
        cls,
        ttft_p95_s: FloatArray,
        residual_s: FloatArray,
        p95_over_mean: FloatArray,
        prefill_load: float,
        tpot_s: FloatArray,
    ) -> Latency:
        """The same from the 95th percentile of TTFT instead of the shift."""
        queued = ttft_quantile_s(0.95, 0.0, prefill_load, residual_s)
        hosted = tpot_quantile_s(
            0.95, np.where(p95_over_mean > 0, residual_s, 1.0), np.maximum(p95_over_mean, 1.0)
        )
        wait = np.where(p95_over_mean > 0, hosted, queued)
        return cls(ttft_p95_s - wait, prefill_load, residual_s, p95_over_mean, tpot_s)

    def ttft_within(self, t_s: float) -> FloatArray:
        """P(TTFT <= t) of every route, (n,)."""
        queued = ttft_attainment(t_s, self.shift_s, self.prefill_load, self.residual_s)
        hosted = tpot_attainment(
            np.maximum(t_s - self.shift_s, 0.0),
            np.where(self.p95_over_mean > 0, self.residual_s, 1.0),
            np.maximum(self.p95_over_mean, 1.0),
        )
        return np.where(self.p95_over_mean > 0, hosted, queued)


def workload_lines(
    data: FleetData,
    decisions: Decisions,
    latency: Latency,
    leg_weight: FloatArray,
    item_tokens: FloatArray,
) -> tuple[WorkloadLine, ...]:
    """QoE, latency, attainment, cost and carbon per token of every workload with demand.

    `leg_weight` (Q,): share of the requests whose score a group decides; `item_tokens` (D,):
    tokens in and out of the item in the period. A workload's percentile is that of the mixture of
    its answers (percentiles do not add up, probabilities do).
    """
    routes, serve = decisions.routes, decisions.serve
    group = data.route_group[routes]
    item = data.group_item[group]
    owner = data.item_workload[item]
    answered = data.route_region[routes] >= 0
    mixture = np.where(answered, data.item_weight[item] * leg_weight[group] * serve, 0.0)
    lost = _by(owner, serve * data.route_loss[routes], data)
    scored = _by(data.item_workload, data.item_qoe_weight, data)
    reached = _by(owner, serve * data.item_weight[item] * data.route_attainment[routes], data)
    tokens = _by(data.item_workload, item_tokens, data)
    cost, carbon = allocation(data, decisions, tokens)
    lines = []
    for w in np.flatnonzero(tokens > 0):
        mine = np.where(owner == w, mixture, 0.0)
        whole = mine.sum()
        pace = float((mine[answered] * latency.tpot_s[answered]).sum())
        lines.append(
            WorkloadLine(
                workload=data.workloads[w],
                qoe=float(1.0 - lost[w] / scored[w]),
                ttft_p95_s=mixture_quantile_s(latency, mine, 0.95),
                tpot_mean_s=pace / float(whole) if whole > 0 else 0.0,
                attainment=float(reached[w]),
                usd_per_mtok=float(cost[w] / tokens[w] * 1e6),
                gco2e_per_ktok=float(carbon[w] / tokens[w] * 1e6),
            )
        )
    return tuple(lines)


def mixture_quantile_s(latency: Latency, mixture: FloatArray, probability: float) -> float:
    """TTFT that a share of the answered requests does not exceed, s; 0 if none."""
    used = np.flatnonzero(mixture > 0)
    if not len(used):
        return 0.0
    part = Latency(
        latency.shift_s[used],
        latency.prefill_load,
        latency.residual_s[used],
        latency.p95_over_mean[used],
        latency.tpot_s[used],
    )
    weight = mixture[used] / mixture[used].sum()

    def missing(t_s: float) -> float:
        return probability - float(part.ttft_within(t_s) @ weight)

    high = 1.0
    while (short := missing(high)) > 0.0 and high < 1e6:
        high *= 2.0
    if short > 0.0:
        return high
    return float(brentq(missing, 0.0, high)) if missing(0.0) > 0.0 else 0.0


def allocation(
    data: FleetData, decisions: Decisions, tokens: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """All cost (USD) and carbon (kgCO2e) shared out to the workloads, two float (W,).

    A workload bears what it caused itself (answers, adaptation, copies, training), and of every
    machine its share of the accelerator-hours used on it. The rest (idle machines, regions,
    migration of accelerators) follows the accelerator-hours used anywhere, or the tokens.
    """
    routes, serve = decisions.routes, decisions.serve
    owner = data.item_workload[data.group_item[data.route_group[routes]]]
    adopted = data.variant_workload[decisions.adopt]
    hosts, places = np.nonzero(decisions.host)
    trained = decisions.train[decisions.train >= 0]
    trainer = data.variant_workload[data.training_variant[trained]]

    own_cost = _by(owner, serve * data.route_cost_usd[routes], data)
    own_cost += _by(adopted, data.variant_cost_lines_usd[decisions.adopt].sum(axis=1), data)
    own_cost += _by(data.variant_workload[hosts], data.host_cost_usd[hosts, places], data)
    own_cost += _by(trainer, data.training_cost_usd[trained], data)
    own_carbon = _by(owner, serve * data.route_carbon_kgco2e[routes], data)
    own_carbon += _by(adopted, data.variant_carbon_kgco2e[decisions.adopt], data)
    own_carbon += _by(data.variant_workload[hosts], data.host_carbon_kgco2e[hosts, places], data)
    own_carbon += _by(trainer, data.training_carbon_kgco2e[trained], data)

    hours = accelerator_hours(data, decisions, owner)
    all_cost = math.fsum(cost_lines(data, decisions).values())
    all_carbon = math.fsum(carbon_lines(data, decisions).values())
    return (
        _shared_out(own_cost, machine_cost_usd(data, decisions), hours, tokens, all_cost),
        _shared_out(own_carbon, machine_carbon_kgco2e(data, decisions), hours, tokens, all_carbon),
    )


def accelerator_hours(data: FleetData, decisions: Decisions, owner: IntArray) -> FloatArray:
    """Accelerator-hours that each workload uses on each machine, float (H, W).

    Of a route: share served x accelerators x its largest capacity share x hours of its slice.
    """
    routes = decisions.routes
    used = np.zeros((len(data.machines), len(data.workloads)))
    pool = data.route_pool[routes]
    inside = pool >= 0
    pool, routes = pool[inside], routes[inside]
    amount = (
        decisions.serve[inside]
        * data.route_share[routes].max(axis=1)
        * data.pool_accelerators[pool]
        * data.slice_hours[data.route_slice[routes]]
    )
    np.add.at(used, (data.pool_machine[pool], owner[inside]), amount)
    return used


def _shared_out(
    own: FloatArray, machines: FloatArray, hours: FloatArray, tokens: FloatArray, whole: float
) -> FloatArray:
    busy = hours.sum(axis=1)
    share = hours / np.where(busy > 0, busy, 1.0)[:, None]
    result = own + machines @ share
    keys = hours.sum(axis=0) if hours.sum() > 0 else tokens
    return np.asarray(result + (whole - result.sum()) * keys / keys.sum())


def _by(owner: IntArray, amount: FloatArray, data: FleetData) -> FloatArray:
    """Amounts summed by workload, float (W,)."""
    return np.bincount(owner, weights=amount, minlength=len(data.workloads)).astype(float)
