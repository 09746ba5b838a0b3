"""One certified plan: bounds by column generation, plans by guided restricted programs.

Reads top to bottom: relax; then, side by side, bounds over whole assignments of variants
(`planner.solve.assignments`), a first plan (`planner.solve.rounding`) and neighbourhoods of the
best plan (`planner.solve.improve`), until the proved gap is small enough or time is up. Every
number of the answer is recomputed from its decisions; the bound is the one that the stored prices
prove.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np

from models.fleet.data import FleetData, FloatArray, IntArray
from planner.errors import SolverError
from planner.solve.aim import Aim
from planner.solve.assignments import Assignments, Cases
from planner.solve.bound import Bound, Prices, evaluate_bound, fair
from planner.solve.decode import around, decoded, leading_variants
from planner.solve.diagnose import explain, impossible_whole, nothing_found
from planner.solve.generation import NO_ARTIFICIAL, Generation, Relaxation
from planner.solve.improve import (
    KINDS,
    NO_ROUTES,
    few_routes,
    grafted,
    polished_slice,
    random_neighbourhood,
    slices_by_length,
)
from planner.solve.index import FleetIndex, Span, routes_with
from planner.solve.master import Master
from planner.solve.options import EngineOptions, Progress, ProgressListener, relative_gap
from planner.solve.rounding import rounded
from planner.solve.solution import Solution
from planner.solve.ties import broken_tie
from planner.solve.whole import FEW_ROUTES, TINY_ROUTES, Host, Whole

T = TypeVar("T")

NEIGHBOURHOOD_S = 2.0
"""Most seconds a neighbourhood may take; its size adapts to that."""

DEFAULT_OPTIONS = EngineOptions()
POOR_GAP = 0.08
"""A first plan further than this from the bound is tried again on more columns."""
NEAR_GAPS = 3.0
"""Of the gap asked for: a plan begun from that is so near needs no relaxation."""
ASSIGNED_TOLERANCE = 1e-4
"""Where the relaxation of one assignment stops."""

KNOWN_SHARE = 0.5
"""Of the neighbourhoods, those whose alternatives are the routes of the plan begun from."""
SLICE_S = 0.6
"""Most seconds for a slice alone."""
ROUNDING_S = 10.0
"""Most seconds for the plan whose lumps are decided together."""
SMALL_ROUTES = 60_000
"""Programs are also solved whole where no more routes than these can be in a better plan."""
ATTEMPT_GAP = 0.002
"""That of branch and bound for a first plan."""
WHOLE, PIECES = "branch and bound", "branch and bound in pieces"
PROBE, PROBE_SHARE, PROBE_S = "branch and bound, briefly", 0.15, 3.0
"""On one thread, before pieces: as it is, for that share of the time and so many seconds at most.
Most programs of some thousand routes are done by then."""
PLAIN_ROUTES = 20_000
"""Beyond these HiGHS drowns in the program as it is: a thread does more with plans."""
PLANS_SHARE, PLANS_S = 0.15, 3.0
"""Share of the time, and most seconds, after which every thread turns from plans to branch and
bound; in proportion to the routes in programs of fewer than `PLAIN_ROUTES`."""
GRACE_S = 0.5
"""Seconds that jobs get to hear that time is up."""
WORDS_S = 0.5
"""Seconds beyond the limit to say why there is no plan."""

TIES_SHARE, TIES_S = 0.1, 0.5
"""Most time for a choice among equal plans: of that of the search, and seconds where it was short.
"""

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
    """of the relaxation: what things are worth at the margin"""
    cases: Cases
    """what proves the bound, or most of it where it rests on branch and bound"""
    timings: dict[str, float]
    trace: tuple[Progress, ...]
    proof: str = "dual prices"
    """``dual prices`` (`cases` prove it) or ``branch and bound`` (of the whole program)"""
    solver: str = "HiGHS"
    """whose branch and bound that is"""


@dataclass(frozen=True, eq=False)
class Attempt:
    """Columns for a first plan, and the share of the time left that it may take."""

    variants: IntArray
    routes: IntArray
    share: float


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
    start: Solution | None = None,
    known: Sequence[Prices] = (),
) -> EngineResult:
    """Minimise one objective under the data's caps; raises InfeasibleError with a proof.

    `start` is a plan that keeps every rule of the data, `known` are prices of its rows with this
    objective's weights, of similar data: the search begins from both. Raises SolverError when time
    ran out before any plan was found.
    """
    index = index or FleetIndex.build(data)
    weights = unit_weights(objective)
    search = Search(index, weights, options, on_progress, start=start, known=tuple(known))
    try:
        search.run()
    except KeyboardInterrupt:
        if search.best is None or search.bound is None:
            raise
    search.break_tie()
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
    start: Solution | None = None
    known: tuple[Prices, ...] = ()
    best: Solution | None = None
    bound: Bound | None = None
    searched_bound: float = -float("inf")
    """bound of branch and bound on the whole program, where it was small enough"""
    assigned_bound: float = -float("inf")
    """bound over whole assignments of variants"""
    timings: dict[str, float] = field(default_factory=dict)
    trace: list[Progress] = field(default_factory=list)
    closed: bool = False
    """nothing more is kept: a job that outlives the search may still be running"""
    searched_impossible: bool = False
    """branch and bound on the whole program found that there is no plan"""
    probed: bool = False
    """branch and bound has been tried on the program as it is, briefly"""
    tried: list[str] = field(default_factory=list)
    """jobs done, in order"""
    lock: threading.RLock = field(default_factory=threading.RLock)

    # ------------------------------------------------------------------ the algorithm

    def run(self) -> None:
        """What is known, or else a relaxation; then plans and bounds side by side."""
        self._timed("start", self._begin)
        if self.best is not None and not self._open():
            return
        if self._timed("relaxation", self._recall if self._is_near() else self._relax):
            self._timed("plans and bounds", self._close)
        if self.best is None:
            deadline = self.began + self.options.time_limit_s + WORDS_S
            if self.searched_impossible:
                raise impossible_whole(self.index, deadline)
            tried = tuple(dict.fromkeys(self.tried))
            raise nothing_found(self.index, self.options.time_limit_s, tried, deadline)

    def break_tie(self) -> None:
        """Of plans equal in what is minimised the greener one, where there is time for it."""
        if self.best is None or self.bound is None:
            return
        limit_s = min(max(TIES_SHARE * (time.monotonic() - self.began), TIES_S), self._left())
        work = partial(broken_tie, self.index, self.weights, self.best, self.bound.prices, limit_s)
        self.best = self._timed("ties", work)

    def _begin(self) -> None:
        """The plan to begin from, and what the known prices prove of these data."""
        self.assignments = Assignments(self.index)
        for prices in self.known:
            fitting = fair(self.index, prices)
            found = evaluate_bound(self.index, fitting)
            if np.isfinite(found.value):
                self._keep_bound(found)
                self.assignments.add(found)
        if len(self.assignments.cuts) > 1:
            self._keep_assigned(self.assignments.least()[0])
        if self.start is not None:
            self._keep_solution("start", self.start)

    def _recall(self) -> bool:
        """In place of a relaxation, for a plan that is near what the known prices prove: the best
        of those prices, and the plan's own variants and routes."""
        assert self.best is not None
        variants = self.best.adopt[self.best.adopt >= 0]
        best = max(self.assignments.cuts, key=lambda cut: cut.at(variants))
        bound = evaluate_bound(self.index, best.prices)
        self.master = Master(self.index, self.weights)
        self.master.scale_to(bound.value)
        self.generation = Generation(self.master)
        self.generation.start_from(bound.prices, self.best)
        self.unassigned = False
        self.taste = self._tasteful(bound.value, float(self.best.totals[0]))
        self.scale = self.master.scale
        self.aim = Aim(self.taste, self.scale)
        self.reduced, self.worth = bound.reduced, bound.variant_value
        self.support = self.best.routes
        routes = around(self.index, self.support, self.reduced, variants)
        self.attempts = [Attempt(variants, routes, 0.25)]
        return True

    def _relax(self) -> bool:
        """The bound, then the relaxation in the search's own taste, on the same columns; False:
        time ran out before, or the bound is good enough for the plan that is known."""
        deadline = self.began + 0.6 * self.options.time_limit_s
        self.master = Master(self.index, self.weights)
        self.generation = Generation(self.master)
        self._keep_bound(self.generation.start())
        tolerance = float(np.clip(0.1 * self.options.gap_relative, 1e-4, 1e-3))
        relaxation = self.generation.generate(
            tolerance,
            deadline,
            enough=self._enough(self.options.gap_relative),
            must_solve=False,
            on_bound=self._keep_bound,
        )
        if self.best is not None and not self._open():
            return False
        assert self.bound is not None
        if np.isinf(relaxation.artificial):
            return False
        if relaxation.artificial > NO_ARTIFICIAL and self.best is None:
            self._prove_impossible()
        self.assignments.add(self.bound)
        self.unassigned = True
        self.leading = leading_variants(self.index, relaxation.adopt)
        self.taste = self._tasteful(relaxation.value, float(relaxation.totals[0]))
        self.scale = self.master.scale
        self.aim = Aim(self.taste, self.scale)
        if (self.taste != self.weights).any():
            self.master.set_weights(self.taste)
            relaxation = self.generation.generate(1e-3, deadline)
            self.master.set_weights(self.weights)
        self.reduced, self.worth = relaxation.bound.reduced, relaxation.bound.variant_value
        self.support = relaxation.routes
        self.attempts = self._attempts(relaxation)
        return True

    def _prove_impossible(self) -> None:
        """Raise what a relaxation without a solution proves; where its prices prove nothing, the
        search goes on and branch and bound decides."""
        try:
            raise explain(self.index, self.began + self.options.time_limit_s)
        except SolverError:
            return

    def _tasteful(self, value: float, cost: float) -> FloatArray:
        """The weights plus a cost so small that it moves the objective by a tenth of the gap;
        `cost` is that of a relaxation or plan with about that value."""
        taste = self.weights.copy()
        if taste[0] == 0.0 and cost > 0.0:
            slack = 0.1 * self.options.gap_relative * abs(value)
            taste[0] = slack / (4.0 * cost)
        return taste

    def _close(self) -> None:
        """Plans, neighbourhoods and bounds, a job a thread, until the gap is reached or time is up.

        It never ends before its time while there is neither a plan nor a proof and anything is left
        to try.
        """
        jobs = self._jobs()
        running: dict[Future[None], str] = {}
        while self._open():
            while len(running) < self.options.threads:
                name, job = jobs(set(running.values()))
                if job is None:
                    break
                running[in_background(job)] = name
                self.tried.append(name)
            if not running:
                break
            done, _ = wait(running, max(self._left(), 0.0), return_when=FIRST_COMPLETED)
            for future in done:
                running.pop(future)
                future.result()
        done, _ = wait(running, GRACE_S)
        self.closed = True
        for future in done:
            future.result()

    def _jobs(self) -> Callable[[set[str]], tuple[str, Callable[[], None] | None]]:
        """What to do next, given what is being done: a first plan before all; bounds over
        assignments beside plans, or in turn with them where there is one thread; branch and bound
        where the program is small enough for it, or nothing else has found a plan; slices; lumps;
        neighbourhoods."""
        rng = np.random.default_rng(self.options.seed)
        self.sizes = dict.fromkeys(KINDS, 0.12)
        self.assigning = True
        focus = np.sort(self.attempts[0].variants) if self.attempts else None
        self.whole = Whole(
            *(self.index, self.weights, self.scale, self.options.gap_relative),
            *(self.assignments, focus, self._host()),
        )
        self.slices: list[Callable[[], None]] = []
        self.lumps: Callable[[], None] | None = None
        near = self._is_near()
        self.crossing = self.start is not None and not near
        if near:
            wide = self.attempts[0].routes
            self.slices = self._every_slice(False, wide) + self._every_slice(False)
            self.slices += self._every_slice(True, wide) + self._every_slice(True)
        last = ""

        def choose(busy: set[str]) -> tuple[str, Callable[[], None] | None]:
            nonlocal last
            poor = self.best is None or self._gap() > POOR_GAP
            job: Callable[[], None] | None = None
            name = ""
            if self.crossing and (busy or last == "assign" or not self.assigning):
                name, job, self.crossing = "cross", self._cross, False
            elif poor and not self.crossing and self.attempts and "plan" not in busy:
                name, job = "plan", partial(self._plan, self.attempts.pop(0))
            elif self.assigning and "assign" not in busy and (busy or last != "assign"):
                name, job = "assign", self._assign
            elif way := self._way_to_search(busy):
                most_s = self._probe_s() if way == PROBE else float("inf")
                name = WHOLE if way == PROBE else way
                job = partial(self._search_whole, in_pieces=way == PIECES, most_s=most_s)
            elif self.best is None:
                pass  # what is being done decides
            elif self.slices:
                name, job = "slice", self.slices.pop(0)
            elif self.lumps is not None:
                name, job, self.lumps = "lumps", self.lumps, None
            else:
                seed = int(rng.integers(2**32))
                name, job = "neighbourhood", partial(self._improve, np.random.default_rng(seed))
            last = name
            return name, job

        return choose

    def _way_to_search(self, busy: set[str]) -> str:
        """Branch and bound as the next thing to do, or "": on small programs beside plans and then
        in both ways, alone where there is one thread or nothing else has found a plan."""
        small = self.whole.is_small(SMALL_ROUTES)
        if not small and (busy or self.best is not None):
            return ""
        ways = [WHOLE, PIECES] if self.whole.is_small(FEW_ROUTES) else [PIECES, WHOLE]
        if self.best is not None and not self.whole.is_small(PLAIN_ROUTES):
            ways = [PIECES]
        tiny = self.whole.is_small(TINY_ROUTES)
        left = [
            way
            for way in (ways[:1] if tiny else ways)
            if way not in busy and self.whole.is_open(in_pieces=way == PIECES)
        ]
        size = min(self.whole.count() / PLAIN_ROUTES, 1.0)
        first_s = size * min(PLANS_SHARE * self.options.time_limit_s, PLANS_S)
        late = tiny or time.monotonic() - self.began > first_s
        beside = self.options.threads > 1 and not busy & {WHOLE, PIECES}
        if not left or not (self.best is None or late or beside):
            return ""
        if left[0] == PIECES and WHOLE in left and self.options.threads == 1 and not self.probed:
            self.probed = True
            return PROBE
        return left[0]

    def _probe_s(self) -> float:
        return min(PROBE_SHARE * self.options.time_limit_s, PROBE_S)

    # ------------------------------------------------------------------ jobs

    def _plan(self, attempt: Attempt) -> None:
        """A plan from the relaxation's own variants and routes: rounded, or searched for."""
        found = self._decoded(attempt)
        if found is None and not self.whole.is_small(SMALL_ROUTES):
            program = self.aim.program(self.index, attempt.variants, attempt.routes)
            found, _ = program.solve(attempt.share * self._left(), ATTEMPT_GAP)
        if found is not None:
            self._keep_solution("first plan", found)
            self.lumps = partial(self._round, attempt)
            wide = np.union1d(attempt.routes, self._known_routes())
            self.slices = self._every_slice(False, wide)

    def _every_slice(self, batch: bool, routes: IntArray | None = None) -> list[Callable[[], None]]:
        """All slices of the best plan to be decided again, the longest first, without or with batch
        demand; over the given routes, or few."""
        return [partial(self._polish, t, batch, routes) for t in slices_by_length(self.index)]

    def _slice_s(self) -> float:
        """Seconds that a slice may take now."""
        return min(max(self._left(), 0.01), SLICE_S)

    def _decoded(self, attempt: Attempt) -> Solution | None:
        limit = attempt.share * self._left()
        return decoded(self.index, self.aim, attempt.variants, attempt.routes, limit)

    def _cross(self) -> None:
        """A first plan for these data, its slices decided again over its own routes and those of
        the plan begun from (what either does well), then over more. Where that is no better, the
        slices of the plan begun from are next."""
        attempt = self.attempts[0]
        found = self._decoded(attempt)
        if found is not None:
            few = np.union1d(found.routes, self._known_routes())
            wide = np.union1d(attempt.routes, self._known_routes())
            for routes, batch in ((few, False), (wide, False), (few, True)):
                for t in slices_by_length(self.index):
                    found = polished_slice(
                        *(self.index, self.aim, found, routes, t, self._slice_s()), batch=batch
                    ) or found  # fmt: skip
                self._keep_solution("crossed", found)
                if not self._open():
                    return
        if self.best is not found:
            self.slices = self._every_slice(False)
        self.lumps = partial(self._round, attempt)

    def _round(self, attempt: Attempt) -> None:
        """Another plan over the same columns, with better lumps; then all slices again."""
        limit = min(attempt.share * self._left(), ROUNDING_S)
        found = rounded(self.index, self.aim, attempt.variants, attempt.routes, limit, self.best)
        if found is not None:
            self._keep_solution("lumps", found)
        self.slices = self._every_slice(True) + self._every_slice(False)

    def _polish(self, t: int, batch: bool, routes: IntArray | None) -> None:
        """One slice of the best plan alone."""
        assert self.best is not None
        base = self.best
        if routes is None:
            routes = few_routes(self.index, base, self.support, self.reduced)
        found = polished_slice(self.index, self.aim, base, routes, t, self._slice_s(), batch=batch)
        if found is not None:
            with self.lock:
                # The best plan may have moved in other slices meanwhile.
                both = grafted(self.index, self.best, found, t)
                for one in (found, both):
                    if one is not None:
                        self._keep_solution("slices", one)

    def _assign(self) -> None:
        """The assignment with the least bound so far, and what its own relaxation says of it."""
        value, adopt = self.assignments.least()
        if self.unassigned:
            # The relaxation's own favourites are where the least is to be expected.
            adopt, self.unassigned = self.leading, False
        proved = self.assignments.bound_at(adopt)
        # Above this an assignment keeps no plan from being good enough.
        wanted = self._enough(0.9 * self.options.gap_relative)
        enough = max(wanted, proved) if np.isfinite(wanted) else 1.02 * proved
        generation = self.generation
        best = max(self.assignments.cuts, key=lambda cut: cut.at(adopt))
        generation.restrict(adopt)
        generation.centre = evaluate_bound(self.index, best.prices, Span.of(self.index, adopt))
        deadline = self.began + self.options.time_limit_s
        relaxation = generation.generate(
            ASSIGNED_TOLERANCE, deadline, enough=enough, must_solve=False
        )
        bound = evaluate_bound(self.index, relaxation.bound.prices)
        self.assignments.add(bound)
        if self.best is not None and np.array_equal(adopt, self.best.adopt):
            self.support, self.reduced = relaxation.routes, bound.reduced
        elif self.best is None and relaxation.artificial <= NO_ARTIFICIAL:
            routes = around(self.index, relaxation.routes, bound.reduced, adopt)
            self.attempts.append(Attempt(np.sort(adopt), routes, 0.25))
        better, _ = self.assignments.least()
        self._keep_assigned(better)
        # Where an assignment says no more than before, and nothing rises, all is said.
        said = relaxation.bound.value - proved
        self.assigning = said > 1e-6 * abs(proved) or better - value > 1e-6 * abs(value)

    def _search_whole(self, *, in_pieces: bool, most_s: float) -> None:
        """Branch and bound on all that is left of the program."""
        self.whole.step(in_pieces=in_pieces, most_s=most_s)
        self._keep_searched(self.whole.bound)
        if self.best is None and self.whole.bound == float("inf"):
            self.searched_impossible = True

    def _host(self) -> Host:
        return Host(
            best=lambda: self.best,
            left_s=self._left,
            goes_on=self._open,
            keep=partial(self._keep_solution, "branch and bound"),
            keep_bound=self._keep_searched,
        )

    def _keep_searched(self, bound: float) -> None:
        with self.lock:
            if np.isfinite(bound) and bound > self._proved():
                self.searched_bound = bound
                self._report("branch and bound")

    def _improve(self, rng: np.random.Generator) -> None:
        """One neighbourhood of the best plan."""
        assert self.best is not None
        base, kind = self.best, str(rng.choice(KINDS))
        # Few columns get further at first, many do in the end.
        known = self._known_routes() if rng.random() < KNOWN_SHARE else NO_ROUTES
        chosen = random_neighbourhood(
            *(self.index, base, self.reduced, rng, kind, self.sizes[kind]),
            variant_value=self.worth,
            known=known,
        )
        program = self.aim.program(self.index, chosen.variants, chosen.routes)
        program.keep(base, chosen.freed)
        limit = min(max(self._left(), 0.01), NEIGHBOURHOOD_S)
        found, end = program.solve(limit, 1e-5, start=base)
        factor = 1.25 if end.status == "optimal" else 0.8
        self.sizes[kind] = float(np.clip(self.sizes[kind] * factor, 0.005, 1.0))
        if found is not None:
            self._keep_solution(kind, found)

    # ------------------------------------------------------------------ pieces

    def _attempts(self, relaxation: Relaxation) -> list[Attempt]:
        """Columns to plan with: few and fitting first, then everything that was generated."""
        index, reduced = self.index, self.reduced
        leading = leading_variants(index, relaxation.adopt)
        several = np.flatnonzero(relaxation.adopt > 0.02)
        everything = np.flatnonzero(relaxation.adopt > 1e-9)
        generated = self.master.routes()
        routes = around(index, relaxation.routes, reduced, leading)
        wider = around(index, relaxation.routes, reduced, np.union1d(leading, several))
        return [
            Attempt(leading, routes, 0.25),
            Attempt(np.union1d(leading, several), wider, 0.4),
            Attempt(everything, routes_with(index, generated, everything), 0.9),
        ]

    def _is_near(self) -> bool:
        """Whether a plan is known, and the bound of the known prices is near it."""
        near = self.best is not None and len(self.assignments.cuts) > 0
        return near and self._open() and self._gap() <= NEAR_GAPS * self.options.gap_relative

    def _known_routes(self) -> IntArray:
        """Those of the plan to begin from."""
        return NO_ROUTES if self.start is None else self.start.routes

    def _keep_solution(self, phase: str, found: Solution) -> None:
        with self.lock:
            if self.closed:
                return
            if self.best is None or found.totals @ self.taste < self.best.totals @ self.taste:
                self.best = found
                self._report(phase)

    def _keep_bound(self, found: Bound) -> None:
        if self.bound is None or found.value > self.bound.value:
            self.bound = found
            self._report("relaxation")

    def _keep_assigned(self, value: float) -> None:
        """Branch and bound over assignments proves within its tolerance; the rest is left out."""
        value -= 1e-6 * abs(value)
        with self.lock:
            if value > self._proved():
                self.assigned_bound = value
                self._report("assignments")

    def _open(self) -> bool:
        if self.searched_impossible:
            return False
        return self._left() > 0 and self._gap() > self.options.gap_relative

    def _left(self) -> float:
        return self.options.time_limit_s - (time.monotonic() - self.began)

    def _value(self) -> float:
        return float(self.best.totals @ self.weights) if self.best is not None else float("inf")

    def _enough(self, gap: float) -> float:
        """The bound that leaves such a gap to the best plan; inf without a plan."""
        value = self._value()
        return value - gap * abs(value) if np.isfinite(value) else value

    def _proved(self) -> float:
        """The best bound held."""
        dual = self.bound.value if self.bound else -float("inf")
        return max(dual, self.searched_bound, self.assigned_bound)

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
        """What is held now, with its proof."""
        if self.best is None or self.bound is None:
            raise SolverError("stopped before a plan was found")
        cases = self._timed("proof", self._prove)
        proved = max(cases.bound, self.searched_bound)
        value = self._value()
        gap = relative_gap(value, proved)
        return EngineResult(
            self.best,
            self.index,
            value,
            proved,
            "optimal" if gap <= self.options.gap_relative else "limit",
            self.bound.prices,
            cases,
            self.timings,
            tuple(self.trace),
            "dual prices" if self.searched_bound <= cases.bound else "branch and bound",
        )

    def _prove(self) -> Cases:
        """The cases that prove the best bound over assignments, or the one price vector."""
        assert self.bound is not None
        if self.assigned_bound <= self.bound.value:
            return Cases.of(self.bound)
        return self.assignments.prove(self.assigned_bound)


def profile_bound(index: FleetIndex, weights: FloatArray) -> float:
    """A quick bound at the profile prices: the scale of an objective."""
    return Generation(Master(index, weights)).start().value


def in_background(job: Callable[[], None]) -> Future[None]:
    """Run a job on a thread of its own. Python waits for it before it ends: HiGHS does not survive
    a thread that is cut off."""
    future: Future[None] = Future()

    def work() -> None:
        try:
            job()
            future.set_result(None)
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work).start()
    return future
