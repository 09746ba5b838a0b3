"""What a calibration changed in a plan: factors by combination, and the fleet they touch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from models.coefficients.answer import Request, request
from models.coefficients.serving import capacity_shares
from models.fleet.data import FloatArray, IntArray
from planner.answer.decisions import Decisions
from planner.calibration import UserFit
from planner.candidates.kinds import Candidates, PoolInfo
from planner.candidates.legs import has_rag
from planner.instance.facts import Facts
from planner.serving import PLANNING_LOAD, Replica, planning_laws


def calibration_record(
    facts: Facts, candidates: Candidates, decisions: Decisions
) -> dict[str, Any]:
    """The calibration as the plan has it, ``calibration`` of its provenance; empty without one.

    ``combinations`` of the fleet: factors on TPOT and TTFT as plans use them, accelerators in
    service (mean over the period), their share of all, and how many the same load would take
    ``without`` the calibration (None: it could not be served so). ``unused``: of no replica.
    """
    if facts.calibration is None:
        return {}
    data = candidates.data
    running = decisions.running(data)
    hours = (running * data.slice_hours * data.pool_accelerators[:, None]).sum(axis=1)
    mean = hours / data.slice_hours.sum()
    pools = [int(p) for p in np.flatnonzero(hours > 0) if candidates.pools[p].provenance == "user"]
    times = dict(zip(pools, times_without(facts, candidates, decisions, pools), strict=True))
    rows, unused = [], []
    for fit in facts.calibration.fits:
        mine = [p for p in pools if _combination(candidates.pools[p]) == fit.combination]
        if mine:
            held = float(mean[mine].sum())
            without = math.fsum(float(mean[p]) * times[p] for p in mine)
            rows.append(_row(fit, held, held / float(mean.sum()), without))
        else:
            unused.append(f"{fit.name}: {fit.said}")
    name = facts.instance.settings.serving.calibration
    return {"calibration": {"file": name, "combinations": rows, "unused": unused}}


def _row(fit: UserFit, held: float, share: float, without: float) -> dict[str, Any]:
    tpot, ttft = fit.factors(np.log(PLANNING_LOAD[2]))
    return {
        "combination": fit.name,
        "points": fit.points,
        "tpot_factor": float(tpot),
        "ttft_factor": float(ttft),
        "accelerators": held,
        "accelerator_hours_share": share,
        "accelerators_without": without if math.isfinite(without) else None,
    }


def _combination(pool: PoolInfo) -> tuple[str, ...]:
    count = str(pool.accelerators)
    return (pool.llm, pool.accelerator, count, count, pool.precision, pool.engine)


def times_without(
    facts: Facts, candidates: Candidates, decisions: Decisions, pools: Sequence[int]
) -> FloatArray:
    """How many times its replicas the load of each pool would take at uncalibrated speeds.

    The busiest capacity row counts, before and after; inf where a request could not be served.
    """
    data, serving = candidates.data, facts.instance.settings.serving
    routes = [(k, j) for k, j in enumerate(decisions.routes) if data.route_pool[j] in set(pools)]
    place = {p: at for at, p in enumerate(pools)}
    at = np.array([place[data.route_pool[j]] for _, j in routes], dtype=np.int64)
    used = np.array([j for _, j in routes], dtype=np.int64)
    calls = _requests(facts, candidates, used)
    tpot = np.array([candidates.pools[p].operating_tpot_s for p in pools])[at]
    replicas = _replicas(facts, [candidates.pools[p] for p in pools])
    with_it, without = (
        capacity_shares(
            planning_laws(replicas, calibration).law.take(at),
            tpot,
            calls.new_tokens,
            calls.output_tokens,
            cached_tokens=calls.cached_tokens,
            output_cv=calls.output_cv,
            prefill_load_max=serving.prefill_load_max,
            load_max=serving.load_max,
            derate=serving.derate,
        )
        for calibration in (facts.calibration, None)
    )
    load = decisions.serve[[k for k, _ in routes], None] * data.route_share[used]
    ratio = np.divide(without, with_it, out=np.ones_like(without), where=with_it > 0.0)
    before, after = np.zeros((len(pools), 4)), np.zeros((len(pools), 4))
    np.add.at(before, at, load)
    np.add.at(after, at, load * ratio)
    return np.asarray(after.max(axis=1) / before.max(axis=1))


def _replicas(facts: Facts, pools: Sequence[PoolInfo]) -> list[Replica]:
    llms = {llm.llm: llm for llm in facts.llms}
    cards = {card.accelerator: card for card in facts.accelerators}
    bits = facts.instance.settings.serving.kv_cache_bits
    return [
        Replica(llms[p.llm], cards[p.accelerator], p.accelerators, p.precision, p.engine, bits)
        for p in pools
    ]


def _requests(facts: Facts, candidates: Candidates, routes: IntArray) -> Request:
    """The requests of routes as a replica sees them, fields (n,)."""
    data = candidates.data
    lengths = {(row.workload, row.length_class): row for row in facts.instance.length_classes}
    workloads = {row.workload: row for row in facts.instance.workloads}
    rows = []
    for group in data.route_group[routes]:
        item, variant = data.group_item[group], candidates.variants[data.group_variant[group]]
        workload, shape = (
            workloads[variant.workload],
            lengths[variant.workload, data.item_class[item]],
        )
        rag = workload.rag_chunks * workload.rag_chunk_tokens if has_rag(variant) else 0.0
        cached = (shape.cached_share, shape.cached_shared_by, rag, workload.rag_cached_share)
        rows.append((shape.input_tokens, shape.output_tokens, shape.output_cv, *cached))
    n, m, cv, cached_share, shared_by, rag_tokens, rag_cached = (
        np.array(rows, dtype=np.float64).reshape(-1, 7).T
    )
    return request(
        n,
        m,
        output_cv=cv,
        cached_share=cached_share,
        cached_shared_by=shared_by,
        rag_tokens=rag_tokens,
        rag_cached_share=rag_cached,
    )
