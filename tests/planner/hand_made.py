"""Answers made by hand, without the engine's search: the best route of every group, rented."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.fleet.data import FleetData, FloatArray
from planner.solve.assignments import Cases
from planner.solve.bound import Prices, evaluate_bound
from planner.solve.engine import EngineResult, unit_weights
from planner.solve.index import FleetIndex
from planner.solve.solution import Solution, totals_of


def solution(index: FleetIndex, choice: int = 0) -> Solution:
    """The `choice`-th variant of every workload, answered by its least loss on rented machines."""
    data = index.data
    adopt = np.array([int(v[min(choice, len(v) - 1)]) for v in index.workload_variants])
    rentable = {
        int(h): int(b) for b, h in enumerate(data.purchase_machine) if data.purchase_market[b] == 0
    }
    routes: list[int] = []
    for v in adopt:
        for q in range(int(index.variant_group_start[v]), int(index.variant_group_start[v + 1])):
            span = range(int(index.group_start[q]), int(index.group_start[q + 1]))
            usable = [
                j
                for j in span
                if index.pool[j] < 0 or int(data.pool_machine[index.pool[j]]) in rentable
            ]
            answers = [j for j in usable if index.region[j] >= 0] or usable
            routes.append(min(answers, key=lambda j: (index.loss[j], -index.attainment[j])))
    chosen = np.array(routes)
    load = np.zeros((len(data.pools), len(data.slices), 4))
    for j in chosen:
        if index.pool[j] >= 0:
            load[index.pool[j], index.slice[j]] += index.share[j]
    replicas = np.ceil(load.max(axis=2) - 1e-9).astype(np.int64)
    needed = np.zeros((len(data.machines), len(data.slices)))
    np.add.at(needed, data.pool_machine, replicas * data.pool_accelerators[:, None])
    rent = np.zeros((len(data.purchase_machine), len(data.slices)), dtype=np.int64)
    for h, b in rentable.items():
        short = np.ceil(needed[h] / data.machine_size[h]) - data.machine_fixed[h]
        rent[b] = np.maximum(short, 0)
    host = np.zeros((len(data.variants), len(data.regions)), dtype=bool)
    for j in chosen:
        if index.route_leg[j] == 0 and index.region[j] >= 0:
            v, r = index.route_variant[j], index.region[j]
            host[v, r] = index.has_host[v, r]
    train = np.full(len(data.variants), -1)
    for v in adopt:
        options = np.flatnonzero(data.training_variant == v)
        if len(options):
            train[v] = options[0]
    buy = np.zeros(len(data.purchase_machine), dtype=np.int64)
    serve, by_hour, hold = np.ones(len(chosen)), np.zeros(len(chosen)), np.zeros(rent.shape)
    made = Solution(
        *(adopt, chosen, serve, replicas, buy, rent, host, train, np.zeros(4), by_hour, hold)
    )
    return replace(made, totals=totals_of(index, made))


def result(data: FleetData, objective: str = "cost", choice: int = 0) -> EngineResult:
    """The solution as the engine would hand it over, with the bound that free machines prove."""
    index = FleetIndex.build(data)
    weights: FloatArray = unit_weights(objective)
    prices = Prices.zero(index, weights)
    made = solution(index, choice)
    bound = evaluate_bound(index, prices)
    return EngineResult(
        solution=made,
        index=index,
        value=float(made.totals @ weights),
        bound=bound.value,
        status="limit",
        prices=prices,
        cases=Cases.of(bound),
        timings={"by hand": 0.0},
        trace=(),
    )
