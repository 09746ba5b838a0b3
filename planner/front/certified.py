"""The enclosure, from both sides: proved cuts outside, integer plans inside.

Reads top to bottom: the ends of the front, a sweep of weights, then always the widest corner of
the region that no plan covers. A corner first gets the cut that says most about it (the duals of
the depth program of Pascoletti and Serafini, 1984, over all candidate routes); where it stays
open, an integer program over the relaxation's own columns looks for a plan inside it. Cuts come
from the relaxation and plans from restricted programs: neither can spoil the other, so stopping at
any moment, or a solver that fails, leaves an enclosure that is wider but true.

The statement is about plans strictly below the *reference*: the worst cost, carbon and loss among
the plans that are best in one objective, plus `REFERENCE_MARGIN` of each range.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

import numpy as np
from pymoo.util.ref_dirs import get_reference_directions

from models.fleet.data import FloatArray, IntArray
from planner.errors import SolverError
from planner.front.geometry import (
    Cut,
    Floats,
    LocalUpperBounds,
    enclosure_epsilon,
    epsilons,
    nondominated,
)
from planner.solve.bound import Bound, Prices
from planner.solve.engine import Search, unit_weights
from planner.solve.improve import KINDS, random_neighbourhood
from planner.solve.index import FleetIndex, best_per_group, routes_of
from planner.solve.master import Master, Relaxation
from planner.solve.options import EngineOptions
from planner.solve.restricted import Restricted
from planner.solve.solution import Solution

REFERENCE_MARGIN = 0.01
"""Share of each range between the worst of the ends and the reference."""
LEAST_RANGE = 1e-12
"""Where all points agree in an objective."""
ENDS = ("cost", "carbon", "qoe-loss")
ENDS_PLAN_SHARE = 0.06
"""Of the time limit, for finding the plan that is best in one objective, after its relaxation."""
PLAN_PATIENCE = (1.0, 2.0)
"""Times that share, where no plan was found before."""
ENDS_RELAXATION_SHARE = 0.5
"""Of the time left, at most, for that relaxation."""
RELAXATION_OF_SEARCH = 0.6
"""Share of its time limit that a search gives to its relaxation."""
ENDS_GAP = 0.005
SWEEP_PARTITIONS = 5
"""Das-Dennis directions: (5 + 2 over 2) = 21 weight vectors."""
LEAST_WEIGHT = 0.01
"""Share of every objective in every weight vector: no plan is dominated by a hair."""
PLAN_SHARE = 0.02
"""Of the time limit, for one task; a second try of a corner takes twice that, and so on."""
PLAN_S = (2.0, 8.0)
"""Least and most seconds of a first try."""
NEIGHBOURHOOD_S = 1.5
MOST_STUCK = 4
"""Neighbourhoods in a row without gain that end a task."""
LEAST_GAIN = 1e-5
"""Of the normalised objective."""
LEAST_S = 0.3
"""Seconds that are not worth another program."""
MOST_ROUTES = 4000
"""Of a restricted program, about."""
ADOPTED = 0.02
"""Share above which a variant of the relaxation is a choice for the program."""
PLAN_GAP = 0.003
MOST_TRIES = 3
"""Programs on one corner before the others get their turn."""
SCALE = 1e3
"""Of the objective inside HiGHS, for depths and normalised weights of order one."""
TIE = 1e-3
"""Weight of the normalised objectives beside the depth: of equally deep plans the better."""


@dataclass(frozen=True)
class CertifiedOptions:
    """Stop at `epsilon`, or after `time_limit_s` of wall clock."""

    epsilon: float = 0.03
    time_limit_s: float = 300.0
    workers: int = 2
    seed: int = 0


@dataclass(frozen=True, eq=False)
class FoundPoint:
    """A plan inside: `f` (3,) as its checked plan states it."""

    id: str
    f: Floats
    solution: Solution
    found_by: str


@dataclass(frozen=True, eq=False)
class FoundCut:
    """A cut outside and the prices that prove it (None: read back, stored already)."""

    id: str
    cut: Cut
    prices: Prices | None


class DepthProgram(Restricted):
    """A restricted program that can also minimise the depth below a corner."""

    def __init__(
        self, index: FleetIndex, task: Task, variants: IntArray, routes: IntArray, ranges: Floats
    ) -> None:
        super().__init__(index, task.weights, variants, routes, scale=SCALE, ranges=ranges)
        if task.corner is not None:
            self.set_corner(task.corner, task.weights)


class EndSearch(Search):
    """A search whose relaxation takes what it needs, and whose plan takes `plan_s` after that."""

    plan_s = 1.0
    known: Solution | None = None
    """a plan of another end, to start from where none is found"""

    def run(self) -> None:
        """As `Search.run`, with the clock of the plan set when the relaxation has ended."""
        relaxation = self._timed("relaxation", self._relax)
        for factor in PLAN_PATIENCE:
            elapsed = time.monotonic() - self.began
            limit = elapsed + factor * self.plan_s
            self.options = replace(self.options, time_limit_s=limit)
            try:
                self._timed("first plan", lambda: self._first_plan(relaxation))
                break
            except SolverError:
                if factor == PLAN_PATIENCE[-1]:
                    if self.known is None:
                        raise
                    self._keep_solution("a known plan", self.known)
                    limit = time.monotonic() - self.began + self.plan_s
                    self.options = replace(self.options, time_limit_s=limit)
        self._timed("improvement", self._improve)


@dataclass(frozen=True, eq=False)
class Task:
    """A program to solve: columns, what it aims at, where it starts."""

    found_by: str
    variants: IntArray
    routes: IntArray
    weights: FloatArray
    corner: Floats | None
    start: Solution | None
    reduced: FloatArray
    """float (J,) reduced costs of all routes"""
    variant_value: FloatArray
    """float (V,) cost of adopting each variant at the relaxation's prices"""
    limit_s: float
    number: int


Accept = Callable[[Solution, str, str], Floats | None]
"""(solution, id, found by) -> objectives of the checked plan, or None where the check fails."""


@dataclass
class Enclosure:
    """The search; see the module docstring. `run` is the algorithm."""

    index: FleetIndex
    options: CertifiedOptions
    accept: Accept
    on_cut: Callable[[FoundCut], float]
    """stores a cut; the level that may be stated of it"""
    on_news: Callable[[Enclosure], None]
    points: list[FoundPoint] = field(default_factory=list)
    cuts: list[FoundCut] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    stop: threading.Event = field(default_factory=threading.Event)
    timings: dict[str, float] = field(default_factory=dict)
    solves: int = 0
    numbered: int = 0
    numbered_cuts: int = 0
    tasks: int = 0
    rejected: int = 0
    failures: list[str] = field(default_factory=list)
    reference: Floats | None = None
    """(3,) the statement is about plans strictly below it; None until the ends are known"""
    ranges: Floats | None = None
    """(3,) between the ends"""
    reached: bool = False

    # ------------------------------------------------------------------ the algorithm

    def run(self) -> None:
        """Ends, sweep, corners, until the target, the time limit or `stop`."""
        self.numbered = max([self.numbered, *(int(p.id[1:]) for p in self.points)])
        resumed = self.reference is not None and len(self.points) > 0
        self._timed("ends", self._start_again if resumed else self._ends)
        self.running: dict[Future[Solution | None], Task] = {}
        with ThreadPoolExecutor(self.options.workers) as self.pool:
            if not resumed:
                self._timed("sweep", self._sweep)
            self._timed("corners", self._close)
            self.stopping = True
            for job in self.running:
                job.cancel()

    def _ends(self) -> None:
        """The best plan in each objective; ranges and reference from them."""
        seeds = []
        for objective in ENDS:
            if self._over():
                break
            search = EndSearch(self.index, unit_weights(objective), self._end_options())
            search.plan_s = ENDS_PLAN_SHARE * self.options.time_limit_s
            if self.points:
                search.known = min(self.points, key=lambda p: p.f @ search.weights[:3]).solution
            try:
                search.run()
            except SolverError as error:
                self.failures.append(str(error))
            self.solves += 1
            if search.bound is not None:
                self._add_cut(search.bound)
            if search.best is not None:
                self._add_point(search.best, f"best {objective}")
                seeds.append(search.master)
        if len(seeds) < len(ENDS) or not self.points:
            raise SolverError(
                "the time was too short for the plan that is best in each objective, which a "
                "front starts from: allow more (--time-limit). " + "; ".join(self.failures[:3])
            )
        ends = np.array([point.f for point in self.points])
        low, high = ends.min(axis=0), ends.max(axis=0)
        span = np.maximum(high - low, 1e-6 * np.maximum(np.abs(high), 1e-9))
        self.ranges, self.reference = span, high + REFERENCE_MARGIN * span
        self._master(seeds)

    def _end_options(self) -> EngineOptions:
        """Time for the relaxation; what the plan may take comes on top of what that took."""
        limit = ENDS_RELAXATION_SHARE * self._left() / RELAXATION_OF_SEARCH
        return EngineOptions(ENDS_GAP, limit, self.options.workers, self.options.seed)

    def _start_again(self) -> None:
        """A master for ranges that are known: its first columns from one relaxation."""
        assert self.ranges is not None
        first = Master(self.index, np.append(1.0 / self.ranges, 0.0))
        first.start()
        first.generate(0.01, self._deadline())
        self._master([first])

    def _master(self, seeds: list[Master]) -> None:
        """One master for all the rest, with what earlier ones have generated."""
        assert self.ranges is not None
        self.master = Master(
            self.index, np.append(1.0 / self.ranges, 0.0), ranges=self.ranges, scale=SCALE
        )
        for seed in seeds:
            self.master.add_variants(np.flatnonzero(seed.col_adopt >= 0))
            self.master.add_routes(np.concatenate(seed.routes_in))
        assert self.reference is not None
        self.bounds = LocalUpperBounds(self.reference)
        self.bounds.insert_all(np.array([point.f for point in self.points]))
        self.on_news(self)

    def _sweep(self) -> None:
        """Cuts and plans for weights spread evenly over the simplex."""
        assert self.ranges is not None
        directions = get_reference_directions("das-dennis", 3, n_partitions=SWEEP_PARTITIONS)
        # Inner weights first: they say most while there is little.
        for direction in directions[np.argsort(-directions.min(axis=1), kind="stable")]:
            if self._over() or self._width() <= self.options.epsilon:
                break
            shares = LEAST_WEIGHT / 3.0 + (1.0 - LEAST_WEIGHT) * direction
            weights = np.append(shares / self.ranges, 0.0)
            self.master.set_weights(weights)
            relaxation = self._relax()
            if relaxation is None:
                continue
            start = min(self.points, key=lambda p: float(p.f @ weights[:3])).solution
            self._submit(self._around(relaxation, weights, None, start))

    def _close(self) -> None:
        """Always the widest corner: first its cut, then plans inside it."""
        known: dict[bytes, Relaxation] = {}
        tried: list[Floats] = []
        most = MOST_TRIES
        while not self._over():
            self._collect(block=len(self.running) >= self.options.workers)
            corners = self.bounds.corners
            width = epsilons(corners, self._cuts(), (), self.span())
            if width.max(initial=0.0) <= self.options.epsilon:
                self.reached = True
                return
            keys = [corner.tobytes() for corner in corners]
            known = {key: known[key] for key in keys if key in known}
            aims = [task.corner for task in self.running.values()]
            busy = {aim.tobytes() for aim in aims if aim is not None}
            open_ = [
                i
                for i in np.argsort(-width, kind="stable")
                if width[i] > self.options.epsilon
                and keys[i] not in busy
                and self._times(corners[i], tried) < most
            ]
            if not open_:
                if self.running:
                    self._collect(block=True)
                else:
                    most += MOST_TRIES
                continue
            corner, key = corners[open_[0]], keys[open_[0]]
            if key not in known:
                self.master.set_corner(corner)
                relaxation = self._relax()
                if relaxation is None:
                    tried += [corner] * most
                else:
                    known[key] = relaxation
                continue
            self._submit(self._inside(corner, known[key], self._times(corner, tried)))
            tried.append(corner)

    def _times(self, corner: Floats, tried: list[Floats]) -> int:
        """How often programs have aimed at this corner or one within half the target of it."""
        if not tried:
            return 0
        apart = np.abs((np.array(tried) - corner) / self.span()).max(axis=1)
        return int((apart < 0.5 * self.options.epsilon).sum())

    # ------------------------------------------------------------------ pieces

    def _relax(self) -> Relaxation | None:
        """Column generation to a thousandth; its best bound is a cut whatever else happened."""
        try:
            relaxation = self.master.generate(1e-3, self._deadline(), floor=0.3)
        except SolverError as error:
            self.failures.append(str(error))
            return None
        self.solves += 1
        self._add_cut(relaxation.bound)
        return relaxation

    def _around(
        self,
        relaxation: Relaxation,
        weights: FloatArray,
        corner: Floats | None,
        start: Solution,
        tried: int = 0,
    ) -> Task:
        """The program over what the relaxation adopts and around the plan `start`; every other
        try over what it adopts most only, which is smaller. Longer at every try."""
        index, data = self.index, self.index.data
        order = np.lexsort((-relaxation.adopt, data.variant_workload))
        _, first = np.unique(data.variant_workload[order], return_index=True)
        variants = order[first]
        if tried % 2 == 0:
            variants = np.union1d(variants, np.flatnonzero(relaxation.adopt > ADOPTED))
            variants = np.union1d(variants, start.adopt)
        known = start if bool(np.isin(start.adopt, variants).all()) else None
        groups = int(np.diff(index.variant_group_start)[variants].sum())
        keep = int(np.clip(MOST_ROUTES // max(groups, 1), 1, 12))
        mine = routes_of(index, variants)
        near = best_per_group(index, relaxation.bound.reduced[mine], mine, keep)
        routes = np.concatenate([relaxation.routes, near, known.routes if known else near])
        routes = np.unique(routes)
        routes = routes[np.isin(index.route_variant[routes], variants)]
        self.tasks += 1
        return Task(
            "sweep" if corner is None else "corner",
            variants,
            routes,
            weights,
            corner,
            known,
            relaxation.bound.reduced,
            relaxation.bound.variant_value,
            float(np.clip(PLAN_SHARE * self.options.time_limit_s, *PLAN_S)) * (1 + tried),
            self.tasks,
        )

    def _inside(self, corner: Floats, relaxation: Relaxation, tried: int) -> Task:
        """A program below a corner, starting from the plan nearest to it."""
        assert self.ranges is not None
        ranges = self.ranges
        nearest = min(self.points, key=lambda p: float(((p.f - corner) / ranges).max())).solution
        return self._around(relaxation, TIE * np.append(1.0 / ranges, 0.0), corner, nearest, tried)

    def _submit(self, task: Task) -> None:
        while len(self.running) >= self.options.workers and not self._over():
            self._collect(block=True)
        if not self._over():
            self.running[self.pool.submit(self._solve, task)] = task

    def _solve(self, task: Task) -> Solution | None:
        """In a worker thread: HiGHS leaves the others room while it works.

        One program over the task's columns takes half of the time at most, neighbourhoods of
        the best plan so far take the rest.
        """
        until = min(time.monotonic() + task.limit_s, self._deadline())
        rng = np.random.default_rng([self.options.seed, task.number])
        best = self._program(task, task.variants, task.routes, 0.5 * task.limit_s, task.start)
        size = 0.5
        stuck = 0
        while best is not None and stuck < MOST_STUCK and not self.stop.is_set():
            if until - time.monotonic() <= LEAST_S:
                break
            kind = str(rng.choice(KINDS))
            near = random_neighbourhood(
                self.index, best, task.reduced, rng, kind, size, task.variant_value
            )
            limit = min(NEIGHBOURHOOD_S, until - time.monotonic())
            began = time.monotonic()
            found = self._program(task, near.variants, near.routes, limit, best) or best
            better = self._aim(task, found) < self._aim(task, best) - LEAST_GAIN
            best, stuck = found, 0 if better else stuck + 1
            in_time = time.monotonic() - began < 0.8 * limit
            size = float(np.clip(size * (1.25 if in_time else 0.8), 0.05, 1.0))
        return best

    def _program(
        self,
        task: Task,
        variants: IntArray,
        routes: IntArray,
        limit_s: float,
        start: Solution | None,
    ) -> Solution | None:
        """The better of `start` and what branch and bound finds over the given columns."""
        assert self.ranges is not None
        limit = min(limit_s, self._left())
        if limit <= 0 or self.stop.is_set():
            return None
        program = DepthProgram(self.index, task, variants, routes, self.ranges)
        found, _ = program.solve(limit, PLAN_GAP, start)
        if found is None or start is None:
            return found
        return min(found, start, key=lambda s: self._aim(task, s))

    def _aim(self, task: Task, solution: Solution) -> float:
        """What the task minimises."""
        value = float(solution.totals @ task.weights)
        if task.corner is not None:
            assert self.ranges is not None
            value += float(((solution.totals[:3] - task.corner) / self.ranges).max())
        return value

    def _collect(self, *, block: bool) -> None:
        """Take in the programs that have ended; with `block` wait for one."""
        if not self.running:
            return
        timeout = max(self._left(), 0.0) if block else 0.0
        done, _ = wait(self.running, timeout=timeout, return_when=FIRST_COMPLETED)
        for job in done:
            task = self.running.pop(job)
            self.solves += 1
            try:
                found = job.result()
            except SolverError as error:
                self.failures.append(str(error))
                continue
            if found is not None:
                self._add_point(found, task.found_by)

    def _add_point(self, solution: Solution, found_by: str) -> None:
        """Check and keep a plan unless one that is held is as good."""
        f = solution.totals[:3]
        slack = 1e-9 * np.abs(f)
        if any(bool(np.all(point.f <= f + slack)) for point in self.points):
            return
        self.numbered += 1
        name = f"p{self.numbered:04d}"
        exact = self.accept(solution, name, found_by)
        if exact is None:
            self.rejected += 1
            return
        self.points.append(FoundPoint(name, exact, solution, found_by))
        if self.reference is not None:
            self.bounds.insert(exact)
        self.on_news(self)

    def _add_cut(self, bound: Bound) -> None:
        """Keep what the prices prove; prices of weight zero, or of water, say nothing here."""
        weights = bound.prices.weights
        if not np.isfinite(bound.value) or weights[3] > 0 or not (weights[:3] > 0).any():
            return
        self.numbered_cuts += 1
        cut = Cut(weights[:3], bound.value)
        found = FoundCut(f"c{self.numbered_cuts:04d}", cut, bound.prices)
        level = self.on_cut(found)
        if np.isfinite(level):
            self.cuts.append(replace(found, cut=Cut(weights[:3], min(level, bound.value))))

    def listed(self) -> list[FoundPoint]:
        """The points that no other dominates, cheapest first; only those below the reference."""
        inside = [
            p for p in self.points if self.reference is None or bool(np.all(p.f < self.reference))
        ]
        keep = nondominated(np.array([p.f for p in inside]).reshape(-1, 3))
        chosen = [p for p, kept in zip(inside, keep, strict=True) if kept]
        return sorted(chosen, key=lambda p: tuple(p.f))

    def _cuts(self) -> list[Cut]:
        return [found.cut for found in self.cuts]

    def span(self) -> Floats:
        """(3,) between best and worst of the listed points: what epsilon is a share of."""
        f = np.array([point.f for point in self.listed()])
        between: Floats = np.maximum(f.max(axis=0) - f.min(axis=0), LEAST_RANGE)
        return between

    def _width(self) -> float:
        return enclosure_epsilon(self.bounds.corners, self._cuts(), (), self.span())

    def _deadline(self) -> float:
        return self.began + self.options.time_limit_s

    def _left(self) -> float:
        return self._deadline() - time.monotonic()

    def _over(self) -> bool:
        return self.stop.is_set() or self._left() <= LEAST_S

    def _timed(self, name: str, work: Callable[[], None]) -> None:
        began = time.monotonic()
        try:
            work()
        finally:
            self.timings[name] = self.timings.get(name, 0.0) + time.monotonic() - began
