"""The pieces of work of a front: pure functions of a fleet and a task, run wherever there is room.

An *end task* finds the best plan of one objective. A *bound task* runs column generation for one
aim, proves a cut with it, and decodes a plan from the relaxation. A *point task* decodes a plan
from prices that are known already. A *plan task* improves a plan for an aim, slice by slice. None
of them knows of the front: results may come in any order, twice, or never.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from models.fleet.data import FloatArray, IntArray
from planner.solve.aim import Aim
from planner.solve.assignments import Cases, VariantCut
from planner.solve.bound import Prices, evaluate_bound, fair
from planner.solve.decode import FEW, SOME, around, bought, decoded, leading_variants
from planner.solve.engine import Search, profile_bound
from planner.solve.generation import Generation
from planner.solve.improve import polished_slice, slices_by_length
from planner.solve.index import FleetIndex, Span, best_per_group, routes_of, routes_with
from planner.solve.options import EngineOptions
from planner.solve.rounding import rounded
from planner.solve.solution import Solution

TOLERANCE = 3e-4
"""Of the aim's value, or of `FLOOR` where that is less: where column generation stops."""
FLOOR = 1.0
DECODE_S = 1.0
SETTLE_S = 2.5
"""For lumps, where rounding up costs much."""
ROUND_S = 10.0
"""For a plan where the decoder finds none."""
LUMPY_ROUTES = 60_000
"""Fleets of no more routes than that: whole machines are much of them, and plans over few routes
are made by branch and bound."""
ROUGH_SHARE = 0.25
"""Of the time for an end, at most, for the relaxation that such a plan is made from."""
LUMPS_S, LUMPS_GAP = 1.5, 5e-3
"""For such a plan, at most, and the gap at which it is good enough."""
WHOLE_GAP = 1e-4
TIGHTEN_SHARE = 0.5
"""Of the time of branch and bound, at most, for the rows that make the relaxation tighter."""
HALFWAY = 0.5
"""Share of the depth that is possible, at which a plan is deep enough."""
SLICE_S = 0.6
BUY_S = 0.5
SCALE = 1e3
"""Of objectives inside HiGHS, which are of order one here."""
PRICED = 3.0
"""Weight of what objectives are worth beside the depth."""
TIE = 1e-3
"""Weight of all objectives beside the depth: of equally deep plans the better."""
INFEASIBLE = 1e-6
"""Sum of artificial columns above which the relaxation has no solution."""
MIXED = 0.02
"""Share from which a variant of the relaxation is planned with."""
LEAST_GAIN = 2e-4
"""Of the aim's value: a pass over all slices that wins less is the last."""


@dataclass(frozen=True, eq=False)
class BoundTask:
    """Prove a cut for an aim, over all variants or over allowed ones, and decode a plan for a goal
    from the columns that this took."""

    aim: Aim
    allowed: IntArray | None
    """int (n,) variants, or None for all"""
    known: tuple[tuple[float, Prices], ...]
    """shares, and prices of cuts near the aim, to start from where it has a corner or variants are
    left out; a weighted sum over all variants is quicker from scratch"""
    limit_s: float
    goal: Aim | None = None
    """what the decoded plan aims at; None: no plan is wanted"""
    also: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """int (n,) variants to plan with, if that goes, before those of the relaxation"""
    polish_s: float = 0.0
    """seconds to improve the plan"""
    beside: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """int (n,) routes of plans near the goal, of any variants, to begin and to plan with"""


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
class EndTask:
    """Find the plan that is best by weights, as `planner plan` does for one objective."""

    weights: FloatArray
    """float (4,) of cost, carbon, loss, water"""
    gap: float
    """at which it ends"""
    limit_s: float
    start: Solution | None = None


@dataclass(frozen=True, eq=False)
class Ended:
    """The best plan found, and what is proved of it."""

    plan: Solution
    bound: float
    """no plan has less"""
    cases: Cases
    """what prices prove"""
    searched: bool
    """the bound rests on branch and bound, and is more than that"""

    @property
    def routes(self) -> IntArray:
        """int (n,) routes to improve the plan with"""
        return self.plan.routes


@dataclass(frozen=True, eq=False)
class PointTask:
    """Decode a plan for a goal from prices that are known, without column generation."""

    goal: Aim
    variants: IntArray
    """int (n,) to plan with"""
    known: tuple[tuple[float, Prices], ...]
    """shares, and prices of the cuts around the goal: what is best at any may be mixed"""
    beside: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """int (n,) routes of plans near the goal, of any variants: where they are given, few of those
    that are good at the prices are enough"""


@dataclass(frozen=True, eq=False)
class Decoded:
    """What a point task found."""

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


@dataclass(frozen=True, eq=False)
class WholeTask:
    """Solve the program for an aim by branch and bound, over all routes of some variants; for small
    fleets."""

    aim: Aim
    variants: IntArray
    """int (n,)"""
    limit_s: float
    start: Solution | None = None
    enough: float = np.inf
    """bound at which it ends"""


@dataclass(frozen=True, eq=False)
class Searched:
    """What branch and bound found."""

    plan: Solution | None
    bound: float
    """no plan has less of the aim's value"""
    routes: IntArray
    """int (n,) to improve the plan with"""


Task = EndTask | BoundTask | PointTask | PlanTask | WholeTask
Result = Ended | BoundResult | Decoded | Solution | Searched


def perform(index: FleetIndex, task: Task) -> Result:
    """Do a task."""
    if isinstance(task, EndTask):
        return ended(index, task)
    if isinstance(task, BoundTask):
        return bounded(index, task)
    if isinstance(task, WholeTask):
        return searched(index, task)
    return pointed(index, task) if isinstance(task, PointTask) else improved(index, task)


def ended(index: FleetIndex, task: EndTask) -> Ended:
    """One search; raises InfeasibleError with a proof, and SolverError where it finds no plan."""
    start, began = task.start, time.monotonic()
    if start is None and len(index.pool) <= LUMPY_ROUTES:
        start = rough_end(index, task)
    limit_s = task.limit_s - (time.monotonic() - began)
    options = EngineOptions(task.gap, limit_s, threads=1)
    search = Search(index, task.weights, options, start=start)
    search.run()
    found = search.result()
    searched = found.proof != "dual prices"
    return Ended(found.solution, found.bound, found.cases, searched)


def rough_end(index: FleetIndex, task: EndTask) -> Solution | None:
    """A plan for the weights that is soon found by branch and bound over few routes."""
    about = abs(profile_bound(index, task.weights))
    aim = Aim(task.weights, SCALE / about if about > 0.0 else 1.0)
    return bounded(index, BoundTask(aim, None, (), ROUGH_SHARE * task.limit_s, aim)).plan


def bounded(index: FleetIndex, task: BoundTask) -> BoundResult:
    """Column generation for the aim; raises SolverError where the master cannot be solved."""
    deadline = time.monotonic() + task.limit_s
    generation = Generation(task.aim.master(index))
    if task.allowed is not None:
        generation.restrict(task.allowed)
    if task.aim.corner is not None or task.allowed is not None:
        generation.start_from(task.aim.priced(index, mixture(task.known)))
    else:
        generation.start()
        master = generation.master
        inside = np.flatnonzero(master.col_adopt >= 0)
        master.add_routes(routes_with(index, task.beside, inside))
    relaxation = generation.generate(TOLERANCE, deadline, floor=FLOOR)
    bound = relaxation.bound
    if bound.span is not None:
        bound = evaluate_bound(index, bound.prices)
    feasible = relaxation.artificial <= INFEASIBLE
    plan, routes = None, relaxation.routes
    if feasible and task.goal is not None:
        mixed = np.flatnonzero(relaxation.adopt > MIXED)
        mixed = np.union1d(leading_variants(index, relaxation.adopt), mixed)
        for variants in (task.also, np.union1d(mixed, task.also)):
            if plan is None and len(variants):
                routes = around(index, relaxation.routes, bound.reduced, variants)
                routes = np.union1d(routes, routes_with(index, task.beside, variants))
                plan = planned(index, task.goal, variants, routes)
        if plan is None and task.goal.corner is None:
            plan = rounded(index, task.goal, mixed, routes, ROUND_S)
        if plan is not None and task.polish_s > 0.0:
            plan = improved(index, PlanTask(task.goal, plan, routes, task.polish_s))
    return BoundResult(VariantCut.of(bound), feasible, plan, routes)


def pointed(index: FleetIndex, task: PointTask) -> Decoded:
    """The best routes at each of the prices, and a plan over all of them together."""
    variants = np.unique(task.variants)
    routes = near_routes(index, task.known, variants, FEW if len(task.beside) else SOME)
    routes = np.union1d(routes, routes_with(index, task.beside, variants))
    return Decoded(planned(index, task.goal, variants, routes), routes)


def planned(index: FleetIndex, goal: Aim, variants: IntArray, routes: IntArray) -> Solution | None:
    """The best plan for a goal that is soon found over the given variants and routes."""
    if len(index.pool) > LUMPY_ROUTES:
        return decoded(index, goal, variants, routes, DECODE_S, SETTLE_S)
    kept, program = _Deepest(goal), goal.program(index, variants, routes)
    found, _ = program.solve(LUMPS_S, LUMPS_GAP, goes_on=kept.goes_on, on_solution=kept.keep)
    if found is not None:  # nobody hears of what presolve alone comes to
        kept.keep(found)
    return kept.best or decoded(index, goal, variants, routes, DECODE_S)


@dataclass
class _Deepest:
    """The best plan for an aim that branch and bound has come to; it goes on until the bound is
    enough, or a plan lies `HALFWAY` as deep as any may."""

    aim: Aim
    best: Solution | None = None
    enough: float = np.inf

    def keep(self, found: Solution) -> None:
        """Take a plan in."""
        self.best = found if self.best is None else _better(self.aim, self.best, found)

    def goes_on(self, bound: float) -> bool:
        """Whether it does, with such a bound."""
        best = np.inf if self.best is None else self.aim.value(self.best.totals)
        return bound < self.enough and best >= min(HALFWAY * bound, 0.0)


def near_routes(
    index: FleetIndex,
    known: Sequence[tuple[float, Prices]],
    variants: IntArray,
    most: tuple[int, int, int],
) -> IntArray:
    """Routes of the variants that are good at any of the known prices, int (n,); as many of each
    group as `around` is told."""
    span = Span.of(index, variants)
    chosen = [np.zeros(0, dtype=np.int64)]
    for _, prices in known:
        reduced = np.full(len(index.pool), np.inf)
        reduced[span.routes] = evaluate_bound(index, fair(index, prices), span).reduced
        best = best_per_group(index, reduced[span.routes], span.routes, 1)
        chosen.append(around(index, best, reduced, span.variants, most))
    return np.unique(np.concatenate(chosen))


def mixture(known: Sequence[tuple[float, Prices]]) -> Prices:
    """The prices mixed by their shares: they prove at least the mixture of what each proves."""
    total = sum(share for share, _ in known)
    share, mixed = known[0]
    mixed = mixed.scaled(share / total)
    for share, prices in known[1:]:
        mixed = mixed.plus(prices.scaled(share / total))
    return mixed


def mixed_weights(known: Sequence[tuple[float, Prices]]) -> FloatArray:
    """(3,) weights of cost, carbon and loss of the cuts mixed by their shares."""
    return np.asarray(np.sum([share * prices.weights[:3] for share, prices in known], axis=0))


def searched(index: FleetIndex, task: WholeTask) -> Searched:
    """Branch and bound with few integers over all routes of the variants."""
    deadline = time.monotonic() + task.limit_s
    routes = routes_of(index, task.variants)
    program = task.aim.aggregated(index, task.variants, routes)
    program.tighten(TIGHTEN_SHARE * task.limit_s)
    kept, left_s = _Deepest(task.aim, task.start, task.enough), deadline - time.monotonic()
    bound, end = program.search(left_s, WHOLE_GAP, None, kept.goes_on, kept.keep)
    if end.status == "infeasible" and not program.is_infeasible_again(left_s):
        bound = -np.inf
    return Searched(kept.best, bound, routes)


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


def end_weights(objective: int, best: FloatArray, share: float) -> FloatArray:
    """float (4,) one objective in units of its best value, float (3,), and a share of the cost in
    its own; the objective as it is, where the share is 0."""
    if share == 0.0:
        return np.asarray(np.eye(4)[objective])
    return unit_aim(objective, best, share, 1.0).weights


def unit_aim(objective: int, best: FloatArray, share: float, scale: float) -> Aim:
    """One objective in units of its best value, float (3,), and a share of the cost in its own."""
    weights = np.zeros(4)
    weights[0] = share / best[0]
    weights[objective] = 1.0 / best[objective]
    return Aim(weights, scale)


def weighted_aim(weights: FloatArray) -> Aim:
    """A weighted sum of cost, carbon and loss, (3,)."""
    return Aim(np.append(weights, 0.0), SCALE)


def depth_aim(corner: FloatArray, step: FloatArray, ranges: FloatArray) -> Aim:
    """The depth below a corner (3,) in steps (3,); of equally deep plans the better in shares of
    the ranges (3,)."""
    return Aim(TIE * np.append(1.0 / ranges, 0.0), SCALE, corner, step)


def depth_only_aim(corner: FloatArray, step: FloatArray) -> Aim:
    """The depth below a corner (3,) in steps (3,), whatever else."""
    return Aim(np.zeros(4), SCALE, corner, step)


def priced_depth_aim(corner: FloatArray, ranges: FloatArray, weights: FloatArray) -> Aim:
    """The depth below a corner (3,) in ranges (3,), and what cuts around it say that objectives are
    worth, weights (3,): a plan as deep as can be that wastes nothing where depth does not ask."""
    worth = PRICED / float(weights @ ranges) * weights
    return Aim(np.append(np.maximum(worth, TIE / ranges), 0.0), SCALE, corner, ranges)
