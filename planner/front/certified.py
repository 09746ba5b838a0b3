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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from models.fleet.data import IntArray
from planner.errors import InfeasibleError, SolverError
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
from planner.front.geometry import Floats, epsilons
from planner.front.ranges import NEGLIGIBLE, measures
from planner.front.tasks import (
    SCALE,
    BoundResult,
    BoundTask,
    Ended,
    EndTask,
    PlanTask,
    PointTask,
    Result,
    Searched,
    Task,
    WholeTask,
    depth_aim,
    depth_only_aim,
    end_weights,
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
MOST_PATIENCE = 64.0
"""Factor of the seconds of a search, from which on nothing is left to try."""
FEW_CORNERS = 40
"""Of a front that is proved to the last."""
LEAST_DEPTH = 0.5
"""Of the target: what need not be looked at by branch and bound."""
WHOLE_S = 3.0
"""Most seconds for that, at the first try."""
MIDDLE_ROUTES = 60_000
"""Fleets of no more routes than that begin from the plans that `planner plan` finds; in larger ones
the front is soon told from plans in between."""
ENDS_SHARE = 0.4
"""Of the time, at most, for the best plan of each objective."""
KNOWN_SHARE = 0.1
"""Of the time for ends, where plans to begin them from are known."""
LEAST_END_S, MOST_END_S, END_MOST = 1.0, 45.0, 0.9
"""Least and most seconds for one of them at first, and most of the time left."""
END_GAP = 1e-3
NO_ENDS = (
    "no plan was found in the time given, and none was proved impossible: allow more time "
    "(--time-limit)"
)
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
SHARES = {"corner": 0.6, "room": 0.3, "end": 0.15, "cheaper": 0.1}
"""Of the time, by kind of work, as long as there is some of it: for the widest corners, for those
with most room below them, for ends that other work has bettered, for cheaper plans (of large fleets
only where the others have none)."""
AGAIN_SHARE = 0.15
"""Of the time, at most, for an end that is searched again."""
ENDS = ("cost", "carbon", "qoe-loss")
"""Objectives, in the order of `f`."""
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
    """``corner``, ``room``, ``below``, ``end``, ``cheaper`` or ``evolved``; of a first end, its
    objective"""
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
    known: Sequence[Solution] = ()
    """plans to begin the ends from"""
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
        self.spent = dict.fromkeys((*SHARES, "evolved"), 0.0)
        """seconds of workers by kind of work"""
        self.tasks = 0
        self.proved: list[tuple[int, Ended, list[FoundCut]]] = []
        """objectives, what is proved of their best values, and the cuts of that"""
        self.early: list[FoundCut] = []
        """cuts found before there was an enclosure"""
        self.ready: deque[Work] = deque()
        """plan tasks that a bound task asked for"""
        self.tried: list[Floats] = []
        self.patience = 1.0
        """factor of the seconds that searches may take"""
        self.improved: dict[str, int] = {}
        self.ended: set[tuple[str, str]] = set()
        """objectives, and the points from which their best was searched for again"""

    # ------------------------------------------------------------------ the algorithm

    def run(self) -> None:
        """Ends, then corners and plans, until the target, the time limit or `stop`."""
        self.workers = self.open_workers()
        try:
            if self.enclosure is None:
                self._timed("ends", self._ends)
            self._timed("corners", self._close)
            self._timed("boxes", self._prove)
            self._timed("finish", self._finish)
        finally:
            self.workers.close()

    def _ends(self) -> None:
        """The best plan of each objective; ranges and reference from them."""
        plans = [] if self._is_middle() else self._decoded_ends()
        if len(plans) < len(ENDS):
            plans += self._best_ends()
        if not plans:
            what = "stopped before a plan was found" if self.stop.is_set() else NO_ENDS
            raise SolverError("; ".join([what, *self.failures[:3]]))
        low, high = _best_and_worst(np.array([plan.totals[:3] for plan in plans]))
        reference = high + REFERENCE_MARGIN * measures(low, high)
        self.enclosure = Enclosure(self.index, reference, cuts=self.early)
        for plan in plans:
            self._add_point(plan, plan.routes, "end")
        for objective, end, cuts in self.proved:
            self._box_end(objective, end, cuts)
        self.on_news()

    def _best_ends(self) -> list[Solution]:
        """What `planner plan` would find for each objective, with more time again as long as there
        is no plan at all; then for carbon and loss what is hardly worse and cheap. Raises
        InfeasibleError with a proof."""
        share = ENDS_SHARE * min(self.workers.count / len(ENDS), 1.0)
        limit = min(max(share * self.options.time_limit_s, LEAST_END_S), MOST_END_S)
        found: dict[int, Ended] = {}
        starts: dict[int, Solution | None] = {
            objective: min(self.known, key=lambda plan: float(plan.totals[objective]), default=None)
            for objective in range(3)
        }
        while not found and not self._over():
            found = self._searched_ends(starts, 0.0, (KNOWN_SHARE if self.known else 0.5) * limit)
            limit *= 2.0
        if not found:
            return []
        plans = {objective: end.plan for objective, end in found.items()}
        cheap = self._searched_ends(plans, END_SHARE, 0.25 * limit)
        return [*plans.values(), *(end.plan for end in cheap.values())]

    def _searched_ends(
        self, starts: Mapping[int, Solution | None], share: float, limit_s: float
    ) -> dict[int, Ended]:
        """Objective -> its best plan and proof, by its value and a share of the cost."""
        f = np.array([plan.totals[:3] for plan in starts.values() if plan is not None])
        units = _units(f) if len(f) else np.ones(3)
        for objective, start in starts.items():
            if share == 0.0 or objective > 0:
                weights = end_weights(objective, units, share)
                # Cost is where most is to be found, and least is proved soon.
                limit = min((2.0 if objective == 0 else 1.0) * limit_s, END_MOST * self._left())
                self._begin(Work(ENDS[objective], EndTask(weights, END_GAP, limit, start)))
        found = {}
        for work, result in self._all():
            assert isinstance(result, Ended)
            objective = ENDS.index(work.kind)
            found[objective] = result
            cuts = [self._take_cut(cut) for cut in result.cases.cuts]
            if share == 0.0:
                self.proved.append((objective, result, cuts))
        return found

    def _decoded_ends(self) -> list[Solution]:
        """A plan from the relaxation of each objective, where one was found; for large fleets."""
        best, plans = np.ones(3), []
        for objective, name in enumerate(ENDS):
            aim = unit_aim(objective, best, 0.0, 1.0)
            goal = aim if objective == 0 else None
            self._begin(Work(name, BoundTask(aim, None, (), self._left(), goal)))
        for work, result in self._all():
            assert isinstance(result, BoundResult)
            if not result.feasible:
                raise explain(self.index, self.began + self.options.time_limit_s)
            best[ENDS.index(work.kind)] = self._take_cut(result.cut).level
            plans.append(result.plan)
        f = np.array([best, *(plan.totals[:3] for plan in plans if plan is not None)])
        for objective in (1, 2):
            aim = unit_aim(objective, _units(f), END_SHARE, SCALE)
            self._begin(Work(ENDS[objective], BoundTask(aim, None, (), self._left(), aim)))
        for _, result in self._all():
            assert isinstance(result, BoundResult)
            self._take_cut(result.cut)
            plans.append(result.plan)
        return [plan for plan in plans if plan is not None]

    def _box_end(self, objective: int, end: Ended, cuts: Sequence[FoundCut]) -> None:
        """What is proved of the end beyond its cuts: by cases, or by branch and bound alone."""
        if len(end.cases.leaves) > 1:
            self._keep_found(self._enclosure.end_box(objective, cuts, end.cases.leaves))
        if end.searched:
            self._keep_found(self._enclosure.searched_end_box(objective, end.bound))

    def _all(self) -> list[tuple[Work, Result]]:
        """What all running tasks came to, as far as time allows; failures are noted."""
        found = []
        while self.running and not self._over():
            found += self._collect()
        return found

    def _close(self) -> None:
        """Work for every idle worker, until the target is reached or time is up: where all has been
        tried, again with more patience."""
        while not self._over():
            self._hand_out()
            if not self.running:
                if self._is_reached() or self.patience >= MOST_PATIENCE:
                    return
                self.patience *= 2.0
                self.tried.clear()
                self.improved.clear()
            for work, result in self._collect():
                self._take(work, result)

    def _is_reached(self) -> bool:
        """Whether the target is."""
        enclosure, options = self._enclosure, self.options
        wide = enclosure.widths()[2].max() > self._goal()
        dear = np.median(enclosure.gaps()) > options.gap
        loose = not self._is_small() and enclosure.hypervolume().excess > options.hypervolume
        return not (wide or dear or loose)

    def _finish(self) -> None:
        """The front of a small fleet that came to few corners within the target is proved to the
        last of them, if that takes no longer than all before."""
        enclosure, until = self._enclosure, 2.0 * time.monotonic() - self.began
        tried: set[bytes] = set()
        while self._is_small() and not self._over() and time.monotonic() < until:
            corners, steps = enclosure.corners()
            width = epsilons(corners, enclosure.plain_cuts(), enclosure.plain_boxes(), steps)
            if len(corners) > FEW_CORNERS or width.max() > self.options.epsilon:
                return
            for i in np.flatnonzero(width > NEGLIGIBLE):
                if corners[i].tobytes() not in tried and len(self.running) < self.workers.count:
                    tried.add(corners[i].tobytes())
                    self._begin(self._last(*enclosure.line(corners[i], steps[i]), until))
            if not self.running:
                return
            for work, result in self._collect():
                self._take(work, result)

    def _last(self, corner: Floats, step: Floats, until: float) -> Work:
        """A search for whatever may lie below a corner."""
        enough = 0.5 * NEGLIGIBLE
        near = self._enclosure.reachable(corner, step, enough)
        limit = min(until - time.monotonic(), self._left())
        return Work(
            "corner", WholeTask(depth_only_aim(corner, step), near, limit), corner, "", enough
        )

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
        kinds = {
            "corner": self._corner,
            "room": self._roomy,
            "end": self._end_again,
            "cheaper": self._cheaper,
        }
        # In large fleets plans in between make gaps in cost smaller too, and sooner.
        last = "" if self._is_small() else "cheaper"
        late = sorted(kinds, key=lambda kind: (kind == last, self.spent[kind] / SHARES[kind]))
        return next((work for kind in late if (work := kinds[kind]()) is not None), None)

    def _end_again(self) -> Work | None:
        """A search for the best of an objective, begun from a better plan than the last one found;
        in fleets whose ends are searched for."""
        points = self._enclosure.listed() if self._is_middle() else []
        for objective, name in enumerate(ENDS):
            best = min(points, key=lambda p: float(p.f[objective]), default=None)
            if best is None or best.found_by == "end" or (name, best.id) in self.ended:
                continue
            self.ended.add((name, best.id))
            limit = min(AGAIN_SHARE * self.options.time_limit_s, END_MOST * self._left())
            weights = end_weights(objective, np.ones(3), 0.0)
            return Work("end", EndTask(weights, END_GAP, limit, best.solution))
        return None

    def _corner(self) -> Work | None:
        """Work at the widest corner that is not busy or given up; None where none is wider than the
        target. Corners that whole assignments close on the way get their box."""
        enclosure = self._enclosure
        corners, steps, width = enclosure.widths()
        span = enclosure.span()
        tries = np.array([self._tries(corner, span) for corner in corners])
        claim, goal = width * TIRED**tries, self._goal()
        busy = [w.corner for w in self.running.values() if w.corner is not None]
        for i in np.argsort(-claim, kind="stable"):
            corner, step = enclosure.line(corners[i], steps[i])
            if self._left() <= 0.0:  # boxes take their time
                return None
            if width[i] <= goal or tries[i] >= MOST_TRIES:
                continue
            if any(self._apart(corner, other, span) < self.options.epsilon for other in busy):
                continue
            depth = enclosure.depth(corners[i], steps[i])
            if depth.of(step) <= goal:
                self._take_box(corner, step, goal)
                continue
            self.tried.append(corner)
            task = self._aimed(corner, step, depth, int(tries[i]))
            return Work("corner", task, corner, "", LEAST_DEPTH * self.options.epsilon)
        return None

    def _roomy(self) -> Work | None:
        """Plans, then a bound task, at the corner below which the cuts leave most room; None
        where the hypervolume is known well enough."""
        enclosure = self._enclosure
        if self._is_small() or enclosure.hypervolume().excess <= self.options.hypervolume:
            return None
        corners, _ = enclosure.corners()
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

    def _aimed(self, corner: Floats, step: Floats, depth: Depth, tries: int) -> Task:
        """What to do at a corner: prove a cut for the weights between those that say most of it;
        where these are known already, a plan for the assignment that may reach below it, then a cut
        for that assignment, then one for the ray. Small fleets are searched whole instead."""
        goal = depth_aim(corner, step, self._enclosure.span())
        known, limit = self._enclosure.prices_at(corner, step), min(BOUND_S, self._left())
        shares = np.array([share * float(p.weights[:3] @ step) for share, p in known])
        new = len(known) > 1 and shares[0] < ONE_CUT * shares.sum()
        if self._is_small():
            return self._aimed_small(corner, step, depth, tries)
        weights = mixed_weights(known)
        wanted = priced_depth_aim(corner, step, weights)
        beside = self._enclosure.routes_near(weights)
        if tries % 3 == 0 and new:
            aim = weighted_aim(weights)
            return BoundTask(aim, None, (), limit, wanted, depth.adopt, beside=beside)
        if tries % 3 == 0:
            return PointTask(wanted, depth.adopt, known, beside)
        allowed = depth.adopt if tries % 3 == 1 else None
        return BoundTask(goal, allowed, known, limit, wanted, depth.adopt, beside=beside)

    def _aimed_small(self, corner: Floats, step: Floats, depth: Depth, tries: int) -> Task:
        """The same in small fleets, where relaxations are quick: the ray, then that of the
        assignment that may reach deepest; then all by branch and bound."""
        goal = depth_aim(corner, step, self._enclosure.span())
        known, limit = self._enclosure.prices_at(corner, step), min(BOUND_S, self._left())
        if tries == 0:
            return BoundTask(goal, None, known, limit, goal)
        if tries == 1:
            return BoundTask(goal, depth.adopt, known, limit, goal, depth.adopt)
        near = self._enclosure.reachable(corner, step, LEAST_DEPTH * self.options.epsilon)
        limit = min(self.patience * WHOLE_S * (tries - 1), self._left())
        return WholeTask(goal, near, limit, enough=-LEAST_DEPTH * self.options.epsilon)

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
        found = self._enclosure.prove(origin, step, enough)
        if found is not None:
            self._keep_found(found)

    def _keep_found(self, found: FoundBox) -> None:
        """Name and keep a box; one that rests on branch and bound has nothing to store."""
        self.numbered_boxes += 1
        found = replace(found, id=f"b{self.numbered_boxes:04d}")
        if found.cuts:
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
                limit = min(self.patience * WHOLE_S, self._left())
                task = WholeTask(goal, near, limit, point.solution)
                return Work("cheaper", task, corner, point.id, enough)
            known, limit = enclosure.prices_at(point.f, span), min(BOUND_S, self._left())
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
            seconds = time.monotonic() - self.started.pop(number)
            if work.kind not in ENDS or not self._is_middle():
                self.spent[work.kind if work.kind in self.spent else "corner"] += seconds
            self.solves += 1
            if isinstance(outcome, InfeasibleError):
                raise outcome
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
        if isinstance(result, Ended):
            self._take_end(work, result)
        if isinstance(result, Searched):
            assert isinstance(work.task, WholeTask) and work.corner is not None
            self._take_search(work, work.task.aim, result.bound)
        plan = result if isinstance(result, Solution) else result.plan
        if plan is not None:
            assert not isinstance(result, Solution) or isinstance(work.task, PlanTask)
            routes = work.task.routes if isinstance(work.task, PlanTask) else result.routes
            self._add_point(plan, routes, work.kind)
            if isinstance(work.task, BoundTask) and work.corner is not None:
                self._try_again(work, work.task.goal, plan)
            if self.proposals is not None:
                self.proposals.take(work, plan, routes)
        if before != (self.numbered, self.numbered_cuts, self.numbered_boxes):
            self.on_news()

    def _take_end(self, work: Work, end: Ended) -> None:
        """What an end that was searched again proves."""
        assert isinstance(work.task, EndTask)
        cuts = [self._take_cut(cut) for cut in end.cases.cuts]
        self._box_end(int(np.argmax(work.task.weights)), end, cuts)

    def _take_search(self, work: Work, aim: Aim, bound: float) -> None:
        """The box that branch and bound proves empty: a plan below the corner has no more than its
        share of the tie, what is left of the bound is depth; variants left out lie less deep."""
        assert aim.ranges is not None and work.corner is not None
        depth = bound - float(aim.weights[:3] @ work.corner) - MARGIN
        depth = min(depth, -work.enough)
        if np.isfinite(depth) and depth > -1.0:
            self._keep_found(FoundBox.searched(work.corner + depth * aim.ranges))

    def _is_small(self) -> bool:
        return len(self.index.pool) <= SMALL_ROUTES

    def _is_middle(self) -> bool:
        return len(self.index.pool) <= MIDDLE_ROUTES

    def _try_again(self, work: Work, goal: Aim | None, plan: Solution) -> None:
        """A plan for the assignment that may still reach well below the corner, where one does."""
        corner = work.corner
        assert corner is not None
        if goal is None or goal.ranges is None or bool(np.all(plan.totals[:3] < corner)):
            return
        step = self._enclosure.span() if work.kind == "room" else goal.ranges
        sight = self._enclosure.sight(corner, step)
        if sight.reach > self.options.epsilon:
            near = self._enclosure.reachable(corner, step, NEARLY * sight.reach)
            variants = np.union1d(sight.adopt, near)
            beside = self._enclosure.routes_near(mixed_weights(sight.known))
            task = PointTask(goal, variants, sight.known, beside)
            self.ready.append(Work("below", task, corner))

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


def _units(f: Floats) -> Floats:
    """(3,) the best values of objectives (n, 3), but for those that are nearly nothing."""
    low, high = f.min(axis=0), f.max(axis=0)
    return np.asarray(np.maximum(np.abs(low), END_SHARE * measures(low, high)))


def _best_and_worst(f: Floats) -> tuple[Floats, Floats]:
    """(3,) best and (3,) worst objectives among the best plan of each, of plans (n, 3)."""
    # A plan may be a hair better in its objective and much worse in the others.
    merit = f / _units(f)
    best = f[np.argmin(merit + END_SHARE * merit[:, :1], axis=0)]
    return best.min(axis=0), best.max(axis=0)
