"""One certified plan: bound by column generation, plan by guided restricted programs.

Reads top to bottom: relax, decide variants, a first plan, improve it until the proved gap is
small enough or time is up. Every number of the answer is recomputed from its decisions; the
bound is the one that the stored prices prove (see `planner.solve.bound`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from models.fleet.data import FleetData, FloatArray, IntArray
from planner.errors import InfeasibleError, SolverError
from planner.solve.bound import Bound, Prices
from planner.solve.improve import random_neighbourhood
from planner.solve.index import FleetIndex, best_per_group, routes_of
from planner.solve.master import Master, Relaxation
from planner.solve.options import EngineOptions, Progress, ProgressListener, relative_gap
from planner.solve.restricted import Restricted, Solution

T = TypeVar("T")

OBJECTIVES = {"cost": 0, "carbon": 1, "qoe-loss": 2, "water": 3}


@dataclass(frozen=True, eq=False)
class EngineResult:
    """A plan, the bound, the prices that prove it, and why the engine stopped."""

    solution: Solution
    index: FleetIndex
    value: float
    """weights . totals of the plan, in the objective's unit"""
    bound: float
    """no plan has less; proved by `prices`"""
    status: str
    """``optimal`` (gap reached) or ``limit``"""
    prices: Prices
    timings: dict[str, float]
    trace: tuple[Progress, ...]


def unit_weights(objective: str) -> FloatArray:
    """Weights (4,) that minimise one objective alone."""
    weights = np.zeros(4)
    weights[OBJECTIVES[objective]] = 1.0
    return weights


def minimize(
    data: FleetData,
    objective: str,
    options: EngineOptions = EngineOptions(),
    on_progress: ProgressListener | None = None,
    index: FleetIndex | None = None,
) -> EngineResult:
    """Minimise one objective under the data's caps; raises InfeasibleError with a proof.

    Raises SolverError when time ran out before any plan was found.
    """
    search = Search(index or FleetIndex.build(data), unit_weights(objective), options, on_progress)
    search.run()
    return search.result()


@dataclass
class Search:
    """The state of one search; `run` is the algorithm."""

    index: FleetIndex
    weights: FloatArray
    options: EngineOptions
    on_progress: ProgressListener | None = None
    began: float = field(default_factory=time.monotonic)
    best: Solution | None = None
    bound: Bound | None = None
    timings: dict[str, float] = field(default_factory=dict)
    trace: list[Progress] = field(default_factory=list)
    scale: float = 1.0

    # ------------------------------------------------------------------ the algorithm

    def run(self) -> None:
        """Relax, decide, plan, improve."""
        relaxation = self._timed("relaxation", self._relax)
        self._timed("first plan", lambda: self._first_plan(relaxation))
        self._timed("improvement", self._improve)

    def _relax(self) -> Relaxation:
        self.master = Master(self.index, self.weights)
        self._keep_bound(self.master.start())
        self.scale = self.master.scale
        deadline = self.began + 0.6 * self.options.time_limit_s
        self.master.settle(deadline, self._keep_bound)
        relaxation = self.master.generate(1e-4, deadline, on_bound=self._keep_bound)
        if relaxation.artificial > 1e-6:
            raise InfeasibleError("no plan meets every rule even with fractional machines")
        return relaxation

    def _first_plan(self, relaxation: Relaxation) -> None:
        """The relaxation's own variants and routes, in integers; more columns until one fits."""
        variants = self._leading_variants(relaxation)
        index = self.index
        generated = np.concatenate(self.master.routes_in)
        assert self.bound is not None
        reduced = self.bound.reduced
        mine = generated[np.isin(index.route_variant[generated], variants)]
        support = relaxation.routes[np.isin(index.route_variant[relaxation.routes], variants)]
        attempts = [
            np.union1d(support, best_per_group(index, reduced[mine], mine, 1)),
            mine,
            np.union1d(mine, self._wide(variants, reduced, 6)),
        ]
        for routes in attempts:
            left = self._left()
            if left <= 0:
                break
            self._restricted("first plan", variants, routes, min(left, 0.25 * self.options.time_limit_s))
            if self.best is not None:
                return
        every = np.flatnonzero(relaxation.adopt > 1e-6)
        self._restricted("first plan", every, generated, self._left())
        if self.best is None:
            raise SolverError(
                "no plan was found in the time given, and none was proved impossible: "
                "allow more time (--time-limit)"
            )

    def _wide(self, variants: IntArray, reduced: FloatArray, keep: int) -> IntArray:
        routes = routes_of(self.index, variants)
        return best_per_group(self.index, reduced[routes], routes, keep)

    def _leading_variants(self, relaxation: Relaxation) -> IntArray:
        """For each workload the variant the relaxation adopts most."""
        data = self.index.data
        order = np.lexsort((-relaxation.adopt, data.variant_workload))
        _, first = np.unique(data.variant_workload[order], return_index=True)
        return order[first]

    def _improve(self) -> None:
        """Neighbourhoods until the gap is reached or time is up."""
        rng = np.random.default_rng(self.options.seed)
        size = 1500
        while self._left() > 0 and self._gap() > self.options.gap_relative:
            assert self.best is not None and self.bound is not None
            chosen = random_neighbourhood(self.index, self.best, self.bound.reduced, rng, size)
            self._restricted(chosen.name, chosen.variants, chosen.routes, min(self._left(), 3.0))

    # ------------------------------------------------------------------ pieces

    def _restricted(self, phase: str, variants: IntArray, routes: IntArray, limit: float) -> None:
        program = Restricted(self.index, self.weights, variants, routes, scale=self.scale)
        target = max(self.options.gap_relative * 0.2, 1e-4)
        found, _ = program.solve(limit, target, start=self.best)
        if found is not None:
            self._keep_solution(phase, found)

    def _keep_solution(self, phase: str, found: Solution) -> None:
        if self.best is None or found.totals @ self.weights < self.best.totals @ self.weights:
            self.best = found
        self._report(phase)

    def _keep_bound(self, found: Bound) -> None:
        if self.bound is None or found.value > self.bound.value:
            self.bound = found
            self._report("relaxation")

    def _left(self) -> float:
        return self.options.time_limit_s - (time.monotonic() - self.began)

    def _value(self) -> float:
        return float(self.best.totals @ self.weights) if self.best is not None else float("inf")

    def _gap(self) -> float:
        return relative_gap(self._value(), self.bound.value if self.bound else -float("inf"))

    def _report(self, phase: str) -> None:
        bound = self.bound.value if self.bound else -float("inf")
        progress = Progress(phase, time.monotonic() - self.began, self._value(), bound)
        self.trace.append(progress)
        if self.on_progress is not None:
            self.on_progress(progress)

    def _timed(self, name: str, work: Callable[[], T]) -> T:
        began = time.monotonic()
        try:
            return work()
        finally:
            self.timings[name] = self.timings.get(name, 0.0) + time.monotonic() - began

    def result(self) -> EngineResult:
        """What is held now."""
        if self.best is None or self.bound is None:
            raise SolverError("stopped before a plan was found")
        status = "optimal" if self._gap() <= self.options.gap_relative else "limit"
        return EngineResult(
            self.best, self.index, self._value(), self.bound.value, status, self.bound.prices,
            self.timings, tuple(self.trace),
        )
