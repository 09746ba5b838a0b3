"""The certified front: tasks go where the enclosure is widest, plans and cuts come back.

Reads top to bottom. The ends first: the best of each objective, from which ranges and reference
follow. Then, as long as there is time, a task for every idle worker: at the widest corner a cut for
the weights between those that say most of it, a plan for the assignment of variants that may still
reach below it, a cut for that assignment; in turn, plans and a cut where the cuts leave most room;
last in large fleets, for the listed plan whose cost lies furthest above what is proved. Small
fleets are searched whole where cuts see no further. Results may come in any order, late, or never:
a lost one costs nothing but its time, and stopping at any moment leaves an enclosure that is true.

The statement is about plans strictly below the *reference*: the worst cost, carbon and loss among
the plans that are best in one objective, plus `REFERENCE_MARGIN` of each range.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from models.fleet.data import IntArray
from planner.errors import SolverError
from planner.front import places
from planner.front.enclosure import (
    MARGIN,
    Depth,
    Enclosure,
    FoundBox,
    FoundCut,
    FoundPoint,
    Sight,
)
from planner.front.executor import Workers
from planner.front.geometry import Floats
from planner.front.tasks import (
    SCALE,
    BoundResult,
    BoundTask,
    PlanTask,
    PointTask,
    Result,
    Searched,
    Task,
    WholeTask,
    depth_aim,
    mixed_weights,
    priced_depth_aim,
    unit_aim,
    weighted_aim,
)
from planner.solve.aim import Aim
from planner.solve.assignments import VariantCut
from planner.solve.diagnose import explain
from planner.solve.index import FleetIndex
from planner.solve.solution import Solution

REFERENCE_MARGIN = 0.01
"""Share of each range between the worst of the ends and the reference."""
END_SHARE = 1e-3
"""What cost weighs where another objective is minimised: of equal plans the cheaper."""
NARROW, TIGHT = 1e-3, 1e-4
"""Share of the other ranges, where a plan is to become cheaper without becoming worse: in the
relaxation, which wants some room, and in the plan."""
MOST_IMPROVED = 3
"""Tries at a cheaper plan in one place."""
PLAN_S = 4.0
"""Seconds for a plan task."""
BOUND_S = 15.0
"""Most seconds for a bound task."""
SMALL_ROUTES = 30_000
"""Fleets of no more routes than that are also solved whole, by branch and bound."""
LEAST_DEPTH = 0.5
"""Of the target: what need not be looked at by branch and bound."""
WHOLE_S = 6.0
"""Most seconds for that, at the first try."""
TINY_ROUTES = 3_000
"""Fleets of no more routes than that have their ends searched whole too: in larger ones that finds
nothing better in the time that plans in between take."""
END_S = 1.5
"""Most seconds for the same of each end."""
PROVE_S = 3.0
"""Most seconds for boxes of each kind, once the search is over."""
PROVE_SHARE = 0.04
"""Of the time, kept for that."""
LEAST_S = 0.3
"""Seconds that are not worth another task."""
WAIT_S = 0.5
NEAR = 0.5
"""Corners nearer than this share of the target are one."""
ONE_CUT = 0.9
"""Share of a mixture from which it is that cut again."""
TIRED = 0.6
"""What every try at a corner leaves of its claim to be the widest."""
MOST_TRIES = 6
SHARES = {"corner": 0.6, "room": 0.3, "cheaper": 0.1}
"""Of the time, by kind of work, as long as there is some of it: for the widest corners, for those
with most room below them, for cheaper plans (of large fleets only where the others have none)."""
MOST_ROOMY = 4
"""Tries at a corner for the room below it."""
LEAST_REACH = 0.05
"""Share of that room that an assignment must seem to reach for a try."""
HAIR = 1e-3
"""Share of the target by which the search goes below it: margins of boxes must not miss it."""
NEARLY = 0.7
"""Share of the depth that variants must seem to reach to be planned with."""


@dataclass(frozen=True)
class CertifiedOptions:
    """Stop at `epsilon`, at a median gap in cost and, for large fleets, where the hypervolume is
    known within a share of itself; or after `time_limit_s` of wall clock."""

    epsilon: float = 0.03
    gap: float = 0.02
    hypervolume: float = 0.02
    time_limit_s: float = 300.0


@dataclass(frozen=True, eq=False)
class Work:
    """A task under way, and what it is for."""

    kind: str
    """``ideal``, ``end``, ``corner``, ``room``, ``below``, ``cheaper`` or ``evolved``"""
    task: Task
    corner: Floats | None = None
    point: str = ""
    enough: float = 0.0
    """depth below the corner that variants left out of the task do not reach"""


class Proposals(Protocol):
    """Another source of work, which shares the time of the workers."""

    def is_due(self, enclosure: Enclosure, spent: dict[str, float]) -> bool:
        """Whether it is its turn, by the seconds that each kind of work has had."""

    def propose(self, enclosure: Enclosure) -> Work:
        """A task to do now."""

    def take(self, work: Work, plan: Solution, routes: IntArray) -> None:
        """Learn from a plan, whatever work it came of: the last point of the enclosure, if kept."""


Accept = Callable[[Solution, IntArray, str, str], Floats | None]
"""(solution, routes, id, found by) -> objectives of the checked plan; None where a check fails."""


@dataclass
class Certified:
    """The search; see the module docstring. `run` is the algorithm."""

    index: FleetIndex
    options: CertifiedOptions
    open_workers: Callable[[], Workers]
    accept: Accept
    keep_cut: Callable[[FoundCut], FoundCut]
    """(cut) -> the cut as the independent checker proves it, stored"""
    keep_box: Callable[[FoundBox], None]
    on_news: Callable[[], None]
    enclosure: Enclosure | None = None
    """None until the ends are known; given where a front is resumed"""
    proposals: Proposals | None = None
    """None: corners and cheaper plans alone"""
    began: float = field(default_factory=time.monotonic)
    stop: threading.Event = field(default_factory=threading.Event)
    timings: dict[str, float] = field(default_factory=dict)
    solves: int = 0
    numbered: int = 0
    numbered_cuts: int = 0
    numbered_boxes: int = 0
    rejected: int = 0
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.running: dict[int, Work] = {}
        self.started: dict[int, float] = {}
        self.spent = {"corner": 0.0, "room": 0.0, "cheaper": 0.0, "evolved": 0.0}
        """seconds of workers by kind of work"""
        self.tasks = 0
        self.early: list[FoundCut] = []
        """cuts found before there was an enclosure"""
        self.ready: deque[Work] = deque()
        """plan tasks that a bound task asked for"""
        self.tried: list[Floats] = []
        self.improved: dict[str, int] = {}

    # ------------------------------------------------------------------ the algorithm

    def run(self) -> None:
        """Ends, then corners and plans, until the target, the time limit or `stop`."""
        self.workers = self.open_workers()
        try:
            if self.enclosure is None:
                self._timed("ends", self._ends)
            self._timed("corners", self._close)
            self._timed("boxes", self._prove)
        finally:
            self.workers.close()

    def _ends(self) -> None:
        """Ideal values, then the best plan of each objective; ranges and reference from them."""
        ideal, ends = self._ideals()
        if len(self.index.pool) <= TINY_ROUTES:
            for objective in range(3):
                aim = unit_aim(objective, ideal, END_SHARE, SCALE)
                every = np.flatnonzero(self.index.variant_complete)
                self._begin(Work("end", WholeTask(aim, every, min(END_S, 0.3 * self._left()))))
            ends += self._plans()
        for objective in (1, 2):
            aim = unit_aim(objective, ideal, END_SHARE, SCALE)
            self._begin(Work("end", BoundTask(aim, None, (), self._left(), aim)))
        ends += self._plans()
        if len(ends) < 3:
            raise SolverError(
                "the time was too short for the plan that is best in each objective, which a "
                "front starts from: allow more (--time-limit). " + self._said()
            )
        f = np.array([plan.totals[:3] for plan, _ in ends])
        # A plan may be a hair better in its objective and much worse in the others.
        best = [
            int(np.argmin(f[:, i] / ideal[i] + END_SHARE * f[:, 0] / ideal[0])) for i in (0, 1, 2)
        ]
        low, high = f[best].min(axis=0), f[best].max(axis=0)
        span = np.maximum(high - low, 1e-6 * np.maximum(np.abs(high), 1e-9))
        self.enclosure = Enclosure(self.index, high + REFERENCE_MARGIN * span, cuts=self.early)
        for plan, routes in ends:
            self._add_point(plan, routes, "end")
        self.on_news()

    def _ideals(self) -> tuple[Floats, list[tuple[Solution, IntArray]]]:
        """(ideal values (3,), a plan of least cost if one was found)."""
        for objective in range(3):
            aim = unit_aim(objective, np.ones(3), 0.0, 1.0)
            goal = aim if objective == 0 else None
            self._begin(Work(f"ideal {objective}", BoundTask(aim, None, (), self._left(), goal)))
        ideal, plans = np.full(3, np.nan), []
        for work, result in self._all():
            assert isinstance(result, BoundResult)
            if not result.feasible:
                raise explain(self.index, self.began + self.options.time_limit_s)
            objective = int(work.kind[-1])
            ideal[objective] = max(self._take_cut(result.cut).level, 1e-12)
            if result.plan is not None:
                plans.append((result.plan, result.routes))
        if np.isnan(ideal).any():
            raise SolverError("no bound was found in the time given; " + self._said())
        return ideal, plans

    def _plans(self) -> list[tuple[Solution, IntArray]]:
        """Plans, and routes to improve them with, of all running tasks; their cuts are kept."""
        found = []
        for _, result in self._all():
            assert isinstance(result, BoundResult | Searched)
            if isinstance(result, BoundResult):
                self._take_cut(result.cut)
            if result.plan is not None:
                found.append((result.plan, result.routes))
        return found

    def _all(self) -> list[tuple[Work, Result]]:
        """What all running tasks came to, as far as time allows; failures are noted."""
        found = []
        while self.running and not self._over():
            found += self._collect()
        return found

    def _close(self) -> None:
        """Work for every idle worker, until nothing is worth doing."""
        while not self._over():
            self._hand_out()
            if not self.running:
                return
            for work, result in self._collect():
                self._take(work, result)

    def _hand_out(self) -> None:
        """Work for every idle worker, and a task more: none waits while results are taken in."""
        while len(self.running) < self.workers.count + (self.workers.count > 1):
            work = self._next()
            if work is None:
                return
            self._begin(work)

    def _meanwhile(self) -> None:
        """What workers find while boxes are proved; new work as long as it may end in time."""
        for work, result in self._collect(0.0):
            self._take(work, result)
        if self._left() > PLAN_S and not self.stop.is_set():
            self._hand_out()

    # ------------------------------------------------------------------ choosing work

    def _next(self) -> Work | None:
        """The most useful task now; None where the target is reached. Corners and plans take
        turns by the time they have had."""
        if self.ready:
            return self.ready.popleft()
        if self.proposals is not None and self.proposals.is_due(self._enclosure, self.spent):
            return self.proposals.propose(self._enclosure)
        kinds = {"corner": self._corner, "room": self._roomy, "cheaper": self._cheaper}
        # In large fleets plans in between make gaps in cost smaller too, and sooner.
        last = "" if self._is_small() else "cheaper"
        late = sorted(kinds, key=lambda kind: (kind == last, self.spent[kind] / SHARES[kind]))
        return next((work for kind in late if (work := kinds[kind]()) is not None), None)

    def _corner(self) -> Work | None:
        """Work at the widest corner that is not busy or given up; None where none is wider than the
        target. Corners that whole assignments close on the way get their box."""
        enclosure = self._enclosure
        corners, width = enclosure.widths()
        span = enclosure.span()
        tries = np.array([self._tries(corner, span) for corner in corners])
        claim, goal = width * TIRED**tries, self._goal()
        busy = [w.corner for w in self.running.values() if w.corner is not None]
        for i in np.argsort(-claim, kind="stable"):
            corner = corners[i]
            if self._left() <= 0.0:  # boxes take their time
                return None
            if width[i] <= goal or tries[i] >= MOST_TRIES:
                continue
            if any(self._apart(corner, other, span) < self.options.epsilon for other in busy):
                continue
            depth = enclosure.depth(corner)
            if depth.of(span) <= goal:
                self._take_box(corner, span, goal)
                continue
            self.tried.append(corner)
            task = self._aimed(corner, span, depth, int(tries[i]))
            return Work("corner", task, corner, "", LEAST_DEPTH * self.options.epsilon)
        return None

    def _roomy(self) -> Work | None:
        """Plans, then a bound task, at the corner below which the cuts leave most room; None
        where the hypervolume is known well enough."""
        enclosure = self._enclosure
        if self._is_small() or enclosure.hypervolume().excess <= self.options.hypervolume:
            return None
        corners = enclosure.bounds.corners
        rooms, span = enclosure.rooms(corners), enclosure.span()
        tried = np.array(self.tried).reshape(-1, 3)
        apart = np.abs(tried - corners[:, None, :]) / rooms[:, None, :]
        tries = (apart.max(axis=2) < NEAR).sum(axis=1)
        claim = (rooms / span).prod(axis=1) * TIRED**tries
        busy = [w.corner for w in self.running.values() if w.corner is not None]
        for i in np.argsort(-claim, kind="stable"):
            corner, room = corners[i], rooms[i]
            near = any(self._apart(corner, other, room) < NEAR for other in busy)
            if near or tries[i] >= MOST_ROOMY:
                continue
            self.tried.append(corner)
            sight = enclosure.sight(corner, room)
            if sight.reach > LEAST_REACH:
                return Work("room", self._filling(corner, room, sight, int(tries[i])), corner)
        return None

    def _filling(self, corner: Floats, room: Floats, sight: Sight, tries: int) -> Task:
        """A plan for the assignment that may reach deepest, best by what objectives are worth
        there; then a deep one, of that or of what the cuts ask least of; then a cut."""
        weights, adopt = mixed_weights(sight.known), sight.adopt
        aim, beside = weighted_aim(weights), self._enclosure.routes_near(weights)
        if tries == 0:
            return PointTask(aim, adopt, sight.known, beside)
        goal, both = priced_depth_aim(corner, room, weights), np.union1d(adopt, sight.leading)
        if tries == 1:
            return PointTask(goal, both, sight.known, beside)
        limit = min(BOUND_S, self._left())
        return BoundTask(aim, None, (), limit, goal, adopt, beside=beside)

    def _aimed(self, corner: Floats, span: Floats, depth: Depth, tries: int) -> Task:
        """What to do at a corner: prove a cut for the weights between those that say most of it;
        where these are known already, a plan for the assignment that may reach below it, then a cut
        for that assignment, then one for the ray. Small fleets are searched whole instead."""
        goal = depth_aim(corner, span, span)
        known, limit = self._enclosure.prices_at(corner), min(BOUND_S, self._left())
        shares = np.array([share * float(p.weights[:3] @ span) for share, p in known])
        new = len(known) > 1 and shares[0] < ONE_CUT * shares.sum()
        if self._is_small() and tries > 0:
            near = self._enclosure.reachable(corner, span, LEAST_DEPTH * self.options.epsilon)
            return WholeTask(goal, near, min(WHOLE_S * (1 + tries), self._left()))
        weights = mixed_weights(known)
        wanted = priced_depth_aim(corner, span, weights)
        beside = self._enclosure.routes_near(weights)
        if tries % 3 == 0 and new:
            aim = weighted_aim(weights)
            return BoundTask(aim, None, (), limit, wanted, depth.adopt, beside=beside)
        if tries % 3 == 0:
            return PointTask(wanted, depth.adopt, known, beside)
        allowed = depth.adopt if tries % 3 == 1 else None
        return BoundTask(goal, allowed, known, limit, wanted, depth.adopt, beside=beside)

    def _prove(self) -> None:
        """Boxes where whole assignments prove more than cuts: at the corners that are too wide by
        the cuts alone, at those below which the cuts leave most room, and at the plans whose gap in
        cost is too large by them. Workers go on meanwhile."""
        left = max(self._left(), LEAST_S) if not self.stop.is_set() else LEAST_S
        share = min(PROVE_S, left / 4.0)  # the last for the front itself
        enclosure, until = self._enclosure, time.monotonic()
        kinds = (
            places.wide(enclosure, self.options.epsilon, self._goal()),
            places.roomy(enclosure),
            places.dear(enclosure, self.options.gap),
        )
        for kind in kinds:
            until += share
            for origin, step, enough in kind:
                if time.monotonic() > until:
                    break
                self._take_box(origin, step, enough)
                self._meanwhile()
        self.on_news()

    def _take_box(self, origin: Floats, step: Floats, enough: float) -> None:
        """Prove and keep a box below the origin, if it says more than the cuts."""
        name = f"b{self.numbered_boxes + 1:04d}"
        found = self._enclosure.prove(name, origin, step, enough)
        if found is not None:
            self.numbered_boxes += 1
            self.keep_box(found)
            self._enclosure.boxes.append(found)

    def _cheaper(self) -> Work | None:
        """Work on the listed plan furthest above its bound on cost: a cut and a plan for the
        assignment that may be cheapest at its carbon and loss. None where the median is good enough
        or nothing is left to try."""
        enclosure = self._enclosure
        points, gaps = enclosure.listed(), enclosure.gaps()
        if np.median(gaps) <= self.options.gap:
            return None
        busy = {work.point for work in self.running.values()}
        claim = gaps * TIRED ** np.array([self.improved.get(p.id, 0) for p in points])
        for i in np.argsort(-claim, kind="stable"):
            point, tries = points[i], self.improved.get(points[i].id, 0)
            if point.id in busy or tries >= MOST_IMPROVED or gaps[i] <= self.options.gap:
                continue
            least, adopt = enclosure.least_cost(point)
            if least >= point.f[0] * (1.0 - self.options.gap):
                continue
            self.improved[point.id] = tries + 1
            span = enclosure.span()
            tight = span * np.array([1.0, TIGHT, TIGHT])
            if self._is_small() and tries > 0:
                # A little more carbon and loss are allowed, so that the box holds the point.
                corner = point.f + tight * np.array([0.0, 1.0, 1.0])
                goal = depth_aim(corner, tight, span)
                enough = LEAST_DEPTH * self.options.gap * point.f[0] / span[0]
                near = enclosure.reachable(corner, tight, enough)
                task = WholeTask(goal, near, min(WHOLE_S, self._left()), point.solution)
                return Work("cheaper", task, corner, point.id, enough)
            known, limit = enclosure.prices_at(point.f), min(BOUND_S, self._left())
            polish = min(PLAN_S, self._left())
            aim = depth_aim(point.f, span * np.array([1.0, NARROW, NARROW]), span)
            goal = depth_aim(point.f, tight, span)
            bound = BoundTask(aim, adopt, known, limit, goal, adopt, polish)
            return Work("cheaper", bound, None, point.id)
        return None

    def _tries(self, corner: Floats, span: Floats) -> int:
        """How often tasks have aimed at this corner or one near it."""
        if not self.tried:
            return 0
        apart = np.abs((np.array(self.tried) - corner) / span).max(axis=1)
        return int((apart < NEAR * self.options.epsilon).sum())

    @staticmethod
    def _apart(one: Floats, other: Floats, span: Floats) -> float:
        return float(np.abs((one - other) / span).max())

    # ------------------------------------------------------------------ results

    def _begin(self, work: Work) -> None:
        self.tasks += 1
        self.running[self.tasks], self.started[self.tasks] = work, time.monotonic()
        self.workers.submit(self.tasks, work.task)

    def _collect(self, wait_s: float = WAIT_S) -> list[tuple[Work, Result]]:
        """Results that have come; failures are noted and forgotten."""
        found = []
        for number, outcome in self.workers.wait(min(wait_s, max(self._left(), 0.0))):
            work = self.running.pop(number)
            kind = work.kind if work.kind in self.spent else "corner"
            self.spent[kind] += time.monotonic() - self.started.pop(number)
            self.solves += 1
            if isinstance(outcome, Exception):
                self.failures.append(f"{work.kind}: {type(outcome).__name__}: {outcome}")
            else:
                found.append((work, outcome))
        return found

    def _take(self, work: Work, result: Result) -> None:
        """Cuts and plans of a task; a plan that is not below its corner is to be improved."""
        before = self.numbered, self.numbered_cuts, self.numbered_boxes
        if isinstance(result, BoundResult):
            self._take_cut(result.cut)
        if isinstance(result, Searched):
            assert isinstance(work.task, WholeTask) and work.corner is not None
            self._take_search(work, work.task.aim, result.bound)
        plan = result if isinstance(result, Solution) else result.plan
        if plan is not None:
            assert not isinstance(result, Solution) or isinstance(work.task, PlanTask)
            routes = work.task.routes if isinstance(work.task, PlanTask) else result.routes
            self._add_point(plan, routes, work.kind)
            if isinstance(work.task, BoundTask) and work.corner is not None:
                self._try_again(work.corner, work.task.goal, plan)
            if self.proposals is not None:
                self.proposals.take(work, plan, routes)
        if before != (self.numbered, self.numbered_cuts, self.numbered_boxes):
            self.on_news()

    def _take_search(self, work: Work, aim: Aim, bound: float) -> None:
        """The box that branch and bound proves empty: a plan below the corner has no more than its
        share of the tie, what is left of the bound is depth; variants left out lie less deep."""
        assert aim.ranges is not None and work.corner is not None
        depth = bound - float(aim.weights[:3] @ work.corner) - MARGIN
        depth = min(depth, -work.enough)
        if np.isfinite(depth) and depth > -1.0:
            self.numbered_boxes += 1
            box = work.corner + depth * aim.ranges
            found = FoundBox.searched(f"b{self.numbered_boxes:04d}", box)
            self._enclosure.boxes.append(found)

    def _is_small(self) -> bool:
        return len(self.index.pool) <= SMALL_ROUTES

    def _try_again(self, corner: Floats, goal: Aim | None, plan: Solution) -> None:
        """A plan for the assignment that may still reach well below the corner, where one does."""
        if goal is None or bool(np.all(plan.totals[:3] < corner)):
            return
        depth, span = self._enclosure.depth(corner), self._enclosure.span()
        if depth.of(span) > self.options.epsilon:
            known = self._enclosure.prices_at(corner)
            near = self._enclosure.reachable(corner, span, NEARLY * depth.of(span))
            variants = np.union1d(depth.adopt, near)
            beside = self._enclosure.routes_near(mixed_weights(known))
            self.ready.append(Work("below", PointTask(goal, variants, known, beside), corner))

    def _take_cut(self, found: VariantCut) -> FoundCut:
        """Keep what the prices prove; prices of weight zero, or of water, say nothing here."""
        self.numbered_cuts += 1
        cut = FoundCut.of(f"c{self.numbered_cuts:04d}", self.index, found)
        weights = found.prices.weights
        if np.isfinite(cut.level) and weights[3] == 0 and (weights[:3] > 0).any():
            cut = self.keep_cut(cut)
            if self.enclosure is None:
                self.early.append(cut)
            else:
                self.enclosure.add_cut(cut)
        return cut

    def _add_point(self, solution: Solution, routes: IntArray, found_by: str) -> None:
        """Check and keep a plan unless one that is held is as good."""
        enclosure = self._enclosure
        f = solution.totals[:3]
        if enclosure.covers(f) or not bool(np.all(f < enclosure.reference)):
            return
        self.numbered += 1
        name = f"p{self.numbered:04d}"
        exact = self.accept(solution, routes, name, found_by)
        if exact is None:
            self.rejected += 1
            return
        enclosure.add_point(FoundPoint(name, exact, solution, found_by, routes))

    # ------------------------------------------------------------------ pieces

    def _goal(self) -> float:
        """The width that the search goes to."""
        return (1.0 - HAIR) * self.options.epsilon

    @property
    def _enclosure(self) -> Enclosure:
        assert self.enclosure is not None
        return self.enclosure

    def _said(self) -> str:
        return "; ".join(self.failures[:3])

    def _left(self) -> float:
        return self.options.time_limit_s - (time.monotonic() - self.began)

    def _over(self) -> bool:
        kept = min(PROVE_SHARE * self.options.time_limit_s, 4.0 * PROVE_S)
        return self.stop.is_set() or self._left() <= max(kept, LEAST_S)

    def _timed(self, name: str, work: Callable[[], None]) -> None:
        began = time.monotonic()
        try:
            work()
        finally:
            self.timings[name] = self.timings.get(name, 0.0) + time.monotonic() - began
