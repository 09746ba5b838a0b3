"""One certified plan: bound by column generation, plan by guided restricted programs.

Reads top to bottom: relax, decide variants, a first plan, improve it until the proved gap is
small enough or time is up. Every number of the answer is recomputed from its decisions; the
bound is the one that the stored prices prove (see `planner.solve.bound`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from models.fleet.data import BoolArray, FleetData, FloatArray, IntArray
from planner.errors import SolverError
from planner.solve.bound import Bound, Prices
from planner.solve.diagnose import explain
from planner.solve.generation import Generation, Relaxation
from planner.solve.highs import Outcome
from planner.solve.improve import KINDS, Neighbourhood, random_neighbourhood
from planner.solve.index import FleetIndex, best_per_group, routes_of
from planner.solve.master import Master
from planner.solve.options import EngineOptions, Progress, ProgressListener, relative_gap
from planner.solve.restricted import Restricted
from planner.solve.solution import Solution

T = TypeVar("T")

NEIGHBOURHOOD_S = 2.0
"""Most seconds a neighbourhood may take; its size adapts to that."""

DEFAULT_OPTIONS = EngineOptions()
POOR_GAP = 0.08
"""A first plan further than this from the bound is tried again on more columns."""

SMALL_ROUTES = 3000
"""Programs up to this many routes are also solved whole."""

OBJECTIVES = {"cost": 0, "carbon": 1, "qoe-loss": 2, "water": 3}


@dataclass(frozen=True, eq=False)
class EngineResult:
    """A plan, the bound, the prices that prove it, and why the engine stopped."""

    solution: Solution
    index: FleetIndex
    value: float
    """weights . totals of the plan, in the objective's unit"""
    bound: float
    """no plan has less"""
    status: str
    """``optimal`` (gap reached) or ``limit``"""
    prices: Prices
    timings: dict[str, float]
    trace: tuple[Progress, ...]
    proof: str = "dual prices"
    """``dual prices`` (`prices` prove it) or ``branch and bound`` (of the whole program)"""


def unit_weights(objective: str) -> FloatArray:
    """Weights (4,) that minimise one objective alone."""
    weights = np.zeros(4)
    weights[OBJECTIVES[objective]] = 1.0
    return weights


def minimize(
    data: FleetData,
    objective: str,
    options: EngineOptions = DEFAULT_OPTIONS,
    on_progress: ProgressListener | None = None,
    index: FleetIndex | None = None,
) -> EngineResult:
    """Minimise one objective under the data's caps; raises InfeasibleError with a proof.

    Raises SolverError when time ran out before any plan was found.
    """
    search = Search(index or FleetIndex.build(data), unit_weights(objective), options, on_progress)
    try:
        search.run()
    except KeyboardInterrupt:
        if search.best is None or search.bound is None:
            raise
    return search.result()


@dataclass
class Search:
    """The state of one search; `run` is the algorithm.

    `weights` are what is minimised and certified. Among plans that are equal in them within a
    tenth of the wanted gap the search prefers the cheaper one (`taste`).
    """

    index: FleetIndex
    weights: FloatArray
    options: EngineOptions
    on_progress: ProgressListener | None = None
    began: float = field(default_factory=time.monotonic)
    best: Solution | None = None
    whole: bool = False
    """whether programs round nothing, because limits leave no room for it"""
    bound: Bound | None = None
    searched_bound: float = -float("inf")
    """bound of branch and bound on the whole program, where it was small enough"""
    timings: dict[str, float] = field(default_factory=dict)
    trace: list[Progress] = field(default_factory=list)

    # ------------------------------------------------------------------ the algorithm

    def run(self) -> None:
        """Relax, decide, plan, improve."""
        relaxation = self._timed("relaxation", self._relax)
        if len(self.index.pool) <= SMALL_ROUTES and self._gap() > self.options.gap_relative:
            self._timed("branch and bound", self._solve_whole)
            if self._gap() <= self.options.gap_relative:
                return
        if self.best is None:
            self._timed("first plan", lambda: self._first_plan(relaxation))
        self._timed("improvement", self._improve)

    def _solve_whole(self) -> None:
        """The whole program by branch and bound, where it is small enough for that."""
        every = np.flatnonzero(self.index.variant_complete)
        routes = routes_of(self.index, every)
        program = Restricted(self.index, self.weights, every, routes, scale=self.scale, whole=True)
        found, end = program.solve(0.5 * self._left(), 0.5 * self.options.gap_relative)
        if found is not None:
            self._keep_solution("branch and bound", found)
        constant = float(self.weights @ self.index.fixed_totals)
        proved = end.bound / self.scale + constant
        # HiGHS proves within its tolerances: leave them out of what is claimed.
        proved -= 1e-6 * max(abs(proved), 1.0 / self.scale)
        if np.isfinite(proved) and (self.bound is None or proved > self.bound.value):
            self.searched_bound = proved
            self._report("branch and bound")

    def _relax(self) -> Relaxation:
        """The bound, then the relaxation in the search's own taste, on the same columns."""
        self.master = Master(self.index, self.weights)
        generation = Generation(self.master)
        self._keep_bound(generation.start())
        deadline = self.began + 0.6 * self.options.time_limit_s
        generation.settle(deadline, self._keep_bound)
        tolerance = max(1e-4, 0.1 * self.options.gap_relative)
        relaxation = generation.generate(tolerance, deadline, on_bound=self._keep_bound)
        if relaxation.artificial > 1e-6:
            raise explain(self.index, self.began + self.options.time_limit_s)
        self.taste = self._tasteful(relaxation)
        self.scale = self.master.scale
        self.reduced = relaxation.bound.reduced
        if (self.taste != self.weights).any():
            self.master.set_weights(self.taste)
            relaxation = generation.generate(1e-3, deadline)
            self.reduced = relaxation.bound.reduced
        return relaxation

    def _tasteful(self, relaxation: Relaxation) -> FloatArray:
        """The weights plus a cost so small that it moves the objective by a tenth of the gap."""
        taste = self.weights.copy()
        if taste[0] == 0.0:
            cost = profile_bound(self.index, unit_weights("cost"))
            slack = 0.1 * self.options.gap_relative * abs(relaxation.value)
            taste[0] = slack / max(4.0 * cost, 1e-9)
        return taste

    def _first_plan(self, relaxation: Relaxation) -> None:
        """The relaxation's own variants and routes, in integers; more columns until one fits."""
        index = self.index
        generated = self.master.routes()
        leading = self._leading_variants(relaxation)
        fine = fine_machines(index)
        mine = routes_of(index, leading)
        fitting = mine[(index.pool[mine] < 0) | fine[index.data.pool_machine[index.pool[mine]]]]
        fitting = best_per_group(index, self.reduced[fitting], fitting, 4)
        several = np.flatnonzero(relaxation.adopt > 0.02)
        few = generated[np.isin(index.route_variant[generated], several)]
        near = best_per_group(index, self.reduced[few], few, 3)
        everything = np.flatnonzero(relaxation.adopt > 1e-9)
        for chosen, routes, share in (
            (leading, np.union1d(relaxation.routes, fitting), 0.2),
            (leading, np.union1d(near, fitting), 0.3),
            (several, few, 0.4),
            (everything, generated, 1.0),
        ):
            inside = routes[np.isin(index.route_variant[routes], chosen)]
            # The last attempt rounds nothing: tight limits may leave no room for it.
            self.whole = share == 1.0
            program = Restricted(
                index, self.taste, chosen, inside, scale=self.scale, whole=self.whole
            )
            found, end = program.solve_rounded(share * self._left(), 0.002, start=self.best)
            if found is None and end.status != "infeasible":
                found, end = program.solve(share * self._left(), 0.002)
            if found is not None:
                self._keep_solution("first plan", found)
            # A plan far from the bound is a poor place to start from: try again, wider.
            if self.best is not None and self._gap() <= POOR_GAP:
                return
        if self.best is not None:
            return
        raise SolverError(
            "no plan was found in the time given, and none was proved impossible: "
            "allow more time (--time-limit)"
        )

    def _leading_variants(self, relaxation: Relaxation) -> IntArray:
        """For each workload the variant the relaxation adopts most."""
        data = self.index.data
        order = np.lexsort((-relaxation.adopt, data.variant_workload))
        _, first = np.unique(data.variant_workload[order], return_index=True)
        return order[first]

    def _improve(self) -> None:
        """Neighbourhoods, several at a time, until the gap is reached or time is up."""
        rng = np.random.default_rng(self.options.seed)
        sizes = dict.fromkeys(KINDS, 0.12)
        with ThreadPoolExecutor(self.options.threads) as pool:
            running: dict[Future[tuple[Solution | None, Outcome]], Neighbourhood] = {}
            while self._left() > 0 and self._gap() > self.options.gap_relative:
                while len(running) < self.options.threads:
                    assert self.best is not None and self.bound is not None
                    kind = str(rng.choice(KINDS))
                    chosen = random_neighbourhood(
                        self.index,
                        self.best,
                        self.reduced,
                        rng,
                        kind,
                        sizes[kind],
                        self.bound.variant_value,
                    )
                    limit = min(max(self._left(), 0.01), NEIGHBOURHOOD_S)
                    rounded = bool(rng.random() < 0.25)
                    job = pool.submit(self._solve_near, self.best, chosen, limit, rounded)
                    running[job] = chosen
                done, _ = wait(running, timeout=self._left() + 2.0, return_when=FIRST_COMPLETED)
                for job in done:
                    kind = running.pop(job).name
                    found, end = job.result()
                    factor = 1.25 if end.status == "optimal" else 0.8
                    sizes[kind] = float(np.clip(sizes[kind] * factor, 0.02, 1.0))
                    if found is not None:
                        self._keep_solution(kind, found)

    # ------------------------------------------------------------------ pieces

    def _solve_near(
        self, base: Solution, chosen: Neighbourhood, limit: float, rounded: bool
    ) -> tuple[Solution | None, Outcome]:
        program = Restricted(
            self.index,
            self.taste,
            chosen.variants,
            chosen.routes,
            scale=self.scale,
            whole=self.whole,
        )
        program.keep(base, chosen.freed)
        if rounded:
            return program.solve_rounded(limit, 1e-4, start=base)
        return program.solve(limit, 1e-5, start=base)

    def _keep_solution(self, phase: str, found: Solution) -> None:
        if self.best is None or found.totals @ self.taste < self.best.totals @ self.taste:
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

    def _proved(self) -> float:
        """The best bound held: from prices, or from branch and bound on the whole program."""
        return max(self.bound.value if self.bound else -float("inf"), self.searched_bound)

    def _gap(self) -> float:
        return relative_gap(self._value(), self._proved())

    def _report(self, phase: str) -> None:
        elapsed = time.monotonic() - self.began
        progress = Progress(phase, elapsed, self._value(), self._proved())
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
            self.best,
            self.index,
            self._value(),
            self._proved(),
            status,
            self.bound.prices,
            self.timings,
            tuple(self.trace),
            "dual prices" if self.searched_bound <= self.bound.value else "branch and bound",
        )


def fine_machines(index: FleetIndex) -> BoolArray:
    """bool (H,): the smallest machine of each (region, accelerator), and those already held.

    Of offers that differ in size only, small ones round best; equal ones side by side only
    slow branch and bound down.
    """
    data = index.data
    smallest = np.full(int(index.spot_group.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(smallest, index.spot_group, data.machine_size)
    return np.asarray((data.machine_size == smallest[index.spot_group]) | (data.machine_fixed > 0))


def profile_bound(index: FleetIndex, weights: FloatArray) -> float:
    """A quick bound at the profile prices: the scale of an objective."""
    return Generation(Master(index, weights)).start().value
