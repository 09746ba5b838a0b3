"""`build_plan`: the engine's result as a Plan, every field of the contract for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from models.fleet.data import FleetData, FloatArray
from planner.answer.adoption import UNITS, Market, adoption_lines
from planner.answer.commitments import commitments, withheld_said
from planner.answer.decisions import (
    Decisions,
    declared_lines,
    fleet_lines,
    hosting_lines,
    leg_loads,
    leg_weights,
    replica_lines,
    routing_lines,
    training_lines,
)
from planner.answer.known import provenance
from planner.answer.lines import carbon_lines, cost_lines, qoe, water_l
from planner.answer.words import PROVED_OVER, grid_said
from planner.answer.workloads import Latency, workload_lines
from planner.candidates.kinds import Candidates, PoolInfo
from planner.instance.facts import Facts
from planner.instance.grid import grid_of
from planner.plan import Certificate, InstanceRef, Objectives, Plan, gap_between
from planner.serving import Replica, planning_laws
from planner.solve.bound import evaluate_bound

if TYPE_CHECKING:
    from planner.solve.engine import EngineResult


BY_THE_HOUR = (
    "Machines rented for batch alone are held and paid for the hours of their work, by the second; "
    "their start is not counted."
)


def build_plan(
    facts: Facts,
    candidates: Candidates,
    result: EngineResult,
    objective: str,
    timings: Mapping[str, float] | None = None,
) -> Plan:
    """The plan that the engine's `result` stands for.

    `objective` is what was minimised (``cost``, ``carbon``, ``qoe-loss``); `timings` (seconds by
    phase) come before the engine's own.
    """
    data, decisions = candidates.data, Decisions.of(result)
    check_share = np.array(
        [v.check_share if v.check_llm is not None else 0.0 for v in candidates.variants]
    )
    cost, carbon = cost_lines(data, decisions), carbon_lines(data, decisions)
    objectives = Objectives(
        cost_usd=math.fsum(cost.values()),
        carbon_kgco2e=math.fsum(carbon.values()),
        qoe=qoe(data, decisions),
    )
    settings = facts.instance.settings
    value = minimised_value(objectives, objective)
    fleet = tuple(declared_lines(fleet_lines(data, decisions), facts))
    market = Market(
        result.index,
        result.prices,
        evaluate_bound(result.index, result.prices),
        value,
        UNITS[objective],
    )
    return Plan(
        instance=InstanceRef(settings.name, facts.instance.sha256),
        period_hours=settings.period.hours,
        objectives=objectives,
        cost_lines=cost,
        carbon_lines=carbon,
        water_l=water_l(data, decisions),
        certificate=certificate(
            objective, value, result.bound, result.status, result.proof, result.solver
        ),
        adoption=adoption_lines(market, decisions.adopt, facts, candidates),
        fleet=fleet,
        replicas=replica_lines(data, decisions, candidates.pools),
        routing=routing_lines(data, decisions, leg_loads(data, check_share)),
        hosting=hosting_lines(data, decisions),
        training=training_lines(data, decisions),
        workloads=workload_lines(
            data,
            decisions,
            latency_of(facts, candidates, decisions),
            leg_weights(data, check_share),
            item_tokens(facts, data),
        ),
        timings={**(timings or {}), **result.timings},
        assumptions=(*([BY_THE_HOUR] if decisions.hold.any() else []), *assumptions(facts)),
        provenance=provenance(facts, candidates, decisions),
        grid=grid_of(facts),
        commitments=commitments(fleet, facts),
    )


def minimised_value(objectives: Objectives, objective: str) -> float:
    """The objective that was minimised, in its own unit."""
    return {
        "cost": objectives.cost_usd,
        "carbon": objectives.carbon_kgco2e,
        "qoe-loss": 1.0 - objectives.qoe,
    }[objective]


def certificate(
    objective: str,
    value: float,
    bound: float,
    status: str,
    proof: str = "dual prices",
    solver: str = "HiGHS",
) -> Certificate:
    """Value, bound and their relative gap; a bound above the value by rounding is the value."""
    bound = min(bound, value)
    return Certificate(
        minimised=objective,
        value=value,
        bound=bound,
        gap_relative=gap_between(value, bound),
        status=status,
        proof=proof,
        solver=solver if proof == "branch and bound" else None,
    )


# ------------------------------------------------------------------ inputs of the workload lines


def item_tokens(facts: Facts, data: FleetData) -> FloatArray:
    """Tokens in and out of each demand item in the period, float (D,)."""
    each = {
        (row.workload, row.length_class): row.input_tokens + row.output_tokens
        for row in facts.instance.length_classes
    }
    return np.array(
        [
            requests * each[data.workloads[w], name]
            for requests, w, name in zip(
                data.item_requests, data.item_workload, data.item_class, strict=True
            )
        ]
    )


def latency_of(facts: Facts, candidates: Candidates, decisions: Decisions) -> Latency:
    """TTFT distributions of the routes in use."""
    data = candidates.data
    pool = data.route_pool[decisions.routes]
    used = np.unique(pool[pool >= 0])
    residual = np.ones(len(pool))
    if len(used):
        of_pool = np.zeros(len(data.pools))
        of_pool[used] = residual_s(facts, [candidates.pools[p] for p in used])
        residual = np.append(of_pool, 1.0)[pool]
    ratio = np.zeros(len(pool))
    apis = {(api.llm, api.region): api for api in facts.apis}
    for at in np.flatnonzero((pool < 0) & (data.route_region[decisions.routes] >= 0)):
        route = decisions.routes[at]
        group = data.route_group[route]
        variant = candidates.variants[data.group_variant[group]]
        llm = variant.check_llm if data.group_leg[group] == 1 else variant.llm
        api = apis[str(llm), data.regions[data.route_region[route]]]
        residual[at], ratio[at] = api.ttft_s, api.ttft_p95_over_mean
    return Latency.known_by_p95(
        candidates.route_ttft_p95_s[decisions.routes],
        residual,
        ratio,
        facts.instance.settings.serving.prefill_load_max,
        candidates.route_tpot_s[decisions.routes],
    )


def residual_s(facts: Facts, pools: list[PoolInfo]) -> FloatArray:
    """Mean residual prefill an arrival meets at most: half the longest prompt of the lane, (n,)."""
    llms = {llm.llm: llm for llm in facts.llms}
    cards = {card.accelerator: card for card in facts.accelerators}
    law = planning_laws(
        [
            Replica(llms[p.llm], cards[p.accelerator], p.accelerators, p.precision, p.engine)
            for p in pools
        ],
        facts.calibration,
    ).law
    return np.asarray(law.prefill_s(np.array([p.lane_tokens for p in pools]), 0.0) / 2.0)


# ------------------------------------------------------------------ assumptions


def assumptions(facts: Facts) -> tuple[str, ...]:
    """What was assumed, what the bound is about, then how old the figures are."""
    aged = [f"{table}: {span}" for table, span in facts.ages.items()]
    grid = grid_said(facts)
    return (
        *facts.assumptions,
        *withheld_said(facts),
        *([f"{PROVED_OVER} {grid}"] if grid else ()),
        "Age of the data: " + "; ".join(aged) + ".",
    )
