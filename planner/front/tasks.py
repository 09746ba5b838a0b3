"""The pieces of work of a front: pure functions of a fleet and a task, run wherever there is room.

A *bound task* runs column generation for one aim, proves a cut with it, and decodes a plan from the
relaxation. A *plan task* improves a plan for an aim, slice by slice. Neither knows of the front:
results may come in any order, twice, or never.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from models.fleet.data import FloatArray, IntArray
from planner.solve.aim import Aim
from planner.solve.assignments import VariantCut
from planner.solve.bound import Prices, evaluate_bound
from planner.solve.decode import around, bought, decoded, leading_variants
from planner.solve.generation import Generation, Relaxation
from planner.solve.improve import polished_slice, slices_by_length
from planner.solve.index import FleetIndex
from planner.solve.solution import Solution

TOLERANCE = 1e-3
"""Of the aim's value, or of `FLOOR` where that is less: where column generation stops."""
FLOOR = 0.3
ROUGH = 5e-3
"""Tolerance where only columns are wanted."""
DECODE_S = 2.0
SLICE_S = 0.6
BUY_S = 0.5
INFEASIBLE = 1e-6
"""Sum of artificial columns above which the relaxation has no solution."""
LEAST_GAIN = 2e-4
"""Of the aim's value: a pass over all slices that wins less is the last."""


@dataclass(frozen=True, eq=False)
class BoundTask:
    """Prove a cut for an aim, over all variants or over allowed ones, and decode a plan."""

    aim: Aim
    allowed: IntArray | None
    """int (n,) variants, or None for all"""
    centre: Prices | None
    """prices to start from"""
    limit_s: float


@dataclass(frozen=True, eq=False)
class BoundResult:
    """What a bound task found."""

    cut: VariantCut
    feasible: bool
    """the relaxation has a solution"""
    plan: Solution | None
    routes: IntArray
    """int (n,) routes to improve the plan with"""


@dataclass(frozen=True, eq=False)
class PlanTask:
    """Improve a plan for an aim."""

    aim: Aim
    start: Solution
    routes: IntArray
    limit_s: float


Task = BoundTask | PlanTask
Result = BoundResult | Solution


def perform(index: FleetIndex, task: Task) -> Result:
    """Do a task."""
    return bounded(index, task) if isinstance(task, BoundTask) else improved(index, task)


def bounded(index: FleetIndex, task: BoundTask) -> BoundResult:
    """Column generation for the aim; raises SolverError where the master cannot be solved."""
    deadline = time.monotonic() + task.limit_s
    generation = Generation(task.aim.master(index))
    if task.allowed is not None:
        generation.restrict(task.allowed)
    if task.centre is None:
        generation.start()
        generation.settle(deadline)
    else:
        generation.start_from(task.aim.priced(index, task.centre))
    relaxation = generation.generate(TOLERANCE, deadline, floor=FLOOR)
    bound = relaxation.bound
    if bound.span is not None:
        bound = evaluate_bound(index, bound.prices)
    feasible = relaxation.artificial <= INFEASIBLE
    plan, routes = None, relaxation.routes
    if feasible:
        leading = leading_variants(index, relaxation.adopt)
        whole = _of_leading(generation, relaxation, leading, deadline)
        routes = around(index, whole.routes, bound.reduced, leading)
        plan = decoded(index, task.aim, leading, routes, DECODE_S)
    return BoundResult(VariantCut.of(bound), feasible, plan, routes)


def _of_leading(
    generation: Generation, relaxation: Relaxation, leading: IntArray, deadline: float
) -> Relaxation:
    """The relaxation itself where it adopts whole variants, else that of its leading ones."""
    if relaxation.adopt[leading].min() > 1.0 - ROUGH or time.monotonic() >= deadline:
        return relaxation
    generation.restrict(leading)
    return generation.generate(ROUGH, deadline, floor=FLOOR)


def improved(index: FleetIndex, task: PlanTask) -> Solution:
    """The plan after passes over its slices, until time is up or they win nothing."""
    deadline = time.monotonic() + task.limit_s
    aim, best = task.aim, task.start
    for number in range(4):
        before = aim.value(best.totals)
        for t in slices_by_length(index):
            left = deadline - time.monotonic()
            if left <= 0.0:
                return best
            found = polished_slice(
                index, aim, best, task.routes, t, min(SLICE_S, left), batch=number % 2 == 1
            )
            best = _better(aim, best, found)
        best = _better(aim, best, bought(index, aim, best, BUY_S))
        if before - aim.value(best.totals) < LEAST_GAIN * abs(before):
            break
    return best


def _better(aim: Aim, best: Solution, found: Solution | None) -> Solution:
    if found is None or aim.value(found.totals) >= aim.value(best.totals):
        return best
    return found


def unit_aim(objective: int, others: FloatArray, share: float, scale: float) -> Aim:
    """One objective in units of its own best value, float (3,), and a share of the others."""
    weights = np.append(share / others, 0.0)
    weights[objective] = 1.0 / others[objective]
    return Aim(weights, scale)
