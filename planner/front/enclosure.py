"""The enclosure of a front: plans inside, cuts outside, and how far apart they are.

A cut knows which variants a plan adopts: ``weights . f >= rest + sum over workloads of worth[its
variant]``. Without that knowledge it is a half-space (`geometry.Cut`); with it, cuts see into the
dents that whole choices leave between mixtures. The depth of a corner u is the largest t such that
some assignment of variants obeys all cuts at u - t R: no plan lies deeper.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from models.fleet.data import BoolArray, FloatArray, IntArray
from planner.front.geometry import (
    Box,
    Cut,
    Floats,
    HypervolumeInterval,
    LocalUpperBounds,
    Mask,
    cost_bounds,
    epsilons,
    hypervolume_interval,
    nondominated,
    relative_gaps,
)
from planner.front.ranges import corners_and_steps, live_bounds, measures, ranges
from planner.solve.assignments import (
    Case,
    VariantCut,
    best_mixture,
    least_assignment,
    mixed_bound,
    proving_cases,
)
from planner.solve.bound import Prices
from planner.solve.index import FleetIndex
from planner.solve.solution import Solution

Known = tuple[tuple[float, Prices], ...]
"""shares and prices"""

HYPERVOLUME_AGE_S = 5.0
"""While the search runs."""
LEAST_ROOM = 1e-3
"""Of the span: less room is not told from it."""
STILL = 1e-4
"""Share of an objective's measure by which work at a corner may move where it does not count."""
NEAREST_CUTS, MORE_CUTS = 12, 3
"""Cuts that a depth is computed from: first those that say most whatever is adopted, then those
that say most of the assignments met."""
NEAREST_PLANS = 40
"""Plans whose routes another is made of."""
LEAST_SHARE, LEAST_CUTS = 0.05, 3
"""Cuts of a mixture whose prices are looked at: those of so much, and so many at least."""
LEAST_SLOPE = 1e-9
"""Of a cut along a line, in ranges: flatter ones see nothing of it."""
LEAST_GAIN = 1e-4
"""Share of a step that a box must prove beyond the cuts."""
BOX_MARGIN = 1e-8
MARGIN = 1e-7
"""Added to a depth that branch and bound found, for its tolerances."""
LEVEL_MARGIN = 1e-8
"""Share of the terms of a cut taken off, between two implementations' arithmetic."""


@dataclass(frozen=True, eq=False)
class FoundPoint:
    """A plan inside: `f` (3,) as its checked plan states it."""

    id: str
    f: Floats
    solution: Solution
    found_by: str
    routes: IntArray
    """int (n,) routes to improve the plan with"""


@dataclass(frozen=True, eq=False)
class FoundCut:
    """A cut outside."""

    id: str
    weights: Floats
    """(3,)"""
    rest: float
    worth: FloatArray
    """float (V,); inf: no plan adopts the variant"""
    level: float
    """whatever the assignment"""
    prices: Prices
    """what proves it"""

    @property
    def cut(self) -> Cut:
        """Without knowledge of the variants."""
        return Cut(self.weights, self.level)

    @classmethod
    def of(cls, name: str, index: FleetIndex, found: VariantCut) -> FoundCut:
        """From what column generation proved, with a margin for another arithmetic."""
        least = np.array([found.worth[v].min(initial=np.inf) for v in index.workload_variants])
        size = abs(found.level) + float(np.abs(least).sum())
        rest = found.level - LEVEL_MARGIN * size
        level = rest + float(least.sum())
        return cls(name, found.prices.weights[:3], rest, found.worth, level, found.prices)

    def at_most(self, index: FleetIndex, rest: float, worth: FloatArray) -> FoundCut:
        """The same, where another proof gives no more than this."""
        least = np.minimum(self.worth, worth)
        rest = min(self.rest, rest)
        level = rest + sum(least[v].min(initial=np.inf) for v in index.workload_variants)
        return replace(self, rest=rest, worth=least, level=float(level))


@dataclass(frozen=True, eq=False)
class Depth:
    """How far below a corner plans may lie, and an assignment of variants that may get there."""

    value: float
    step: Floats
    """(3,) > 0 that it is a share of"""
    adopt: IntArray
    cuts: int
    """cuts known when it was computed"""

    def of(self, step: Floats) -> float:
        """The depth as a share of another step; the emptiness that is proved stays the same."""
        return self.value * float((self.step / step).max()) if self.value > 0 else self.value


@dataclass(frozen=True, eq=False)
class Seen:
    """Cuts as seen along a line: ``-t >= level + sum over workloads of worth``."""

    cuts: IntArray
    """int (K,) places"""
    level: FloatArray
    """float (K,)"""
    worth: FloatArray
    """float (K, V)"""
    least: float
    """-t is at least this"""
    adopt: IntArray
    """int (W,) an assignment that may get there"""


@dataclass(frozen=True, eq=False)
class Sight:
    """What the cuts say of a line of steps below a corner."""

    reach: float
    """how far along it plans may lie"""
    adopt: IntArray
    """int (W,) an assignment that may get there"""
    leading: IntArray
    """int (W,) the assignment that the mixture of cuts asks least of"""
    known: Known
    """shares and prices of the cuts of that mixture, the largest share first"""


@dataclass(frozen=True, eq=False)
class FoundBox:
    """Every plan with no more carbon and loss than `corner` has at least its cost: in each case a
    mixture of cuts proves it, or, where there are none, branch and bound."""

    id: str
    corner: Floats
    """(3,)"""
    cuts: tuple[str, ...]
    """(K,) ids"""
    allowed: BoolArray
    """bool (N, V) variants that are left in each case"""
    shares: FloatArray
    """float (N, K) >= 0, of the cuts as they are stated"""

    @classmethod
    def searched(cls, corner: Floats) -> FoundBox:
        """A box that rests on branch and bound alone; without a name."""
        return cls("", corner, (), np.zeros((0, 0), dtype=bool), np.zeros((0, 0)))

    @property
    def box(self) -> Box:
        """The geometry's box."""
        return Box(np.append(np.inf, self.corner[1:]), 0, float(self.corner[0]))


def _key(corner: Floats, step: Floats) -> bytes:
    """Of a corner, by what counts there."""
    return corner.tobytes() + (step > 0.0).tobytes()


@dataclass
class Enclosure:
    """Points and cuts, kept together with the corners that no point covers."""

    index: FleetIndex
    reference: Floats
    """(3,) the statement is about plans strictly below it"""
    points: list[FoundPoint] = field(default_factory=list)
    cuts: list[FoundCut] = field(default_factory=list)
    boxes: list[FoundBox] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._live: Mask | None = None
        self._bounds: LocalUpperBounds | None = None
        self._depths: dict[bytes, Depth] = {}
        self._least_costs: dict[str, float] = {}
        self._hypervolume: tuple[float, HypervolumeInterval] | None = None
        self._last: tuple[tuple[bytes, bytes, bytes, int], Seen] | None = None

    # ------------------------------------------------------------------ inside

    def covers(self, f: Floats) -> bool:
        """Whether a point is at least as good as `f` in everything."""
        slack = 1e-9 * np.abs(f)
        return any(bool(np.all(point.f <= f + slack)) for point in self.points)

    def add_point(self, point: FoundPoint) -> None:
        """Take a checked plan in."""
        self.points.append(point)
        if self._bounds is not None:
            self._bounds.insert(point.f[self._live])

    def listed(self) -> list[FoundPoint]:
        """The points that no other dominates in what has a range, below the reference, cheapest
        first."""
        inside = [p for p in self.points if bool(np.all(p.f < self.reference))]
        inside.sort(key=lambda p: tuple(p.f))
        f = np.array([p.f for p in inside]).reshape(-1, 3)
        keep = np.flatnonzero(nondominated(f))
        if len(keep):
            live = ranges(f[keep].min(axis=0), f[keep].max(axis=0)) > 0.0
            keep = keep[nondominated(f[keep][:, live])]
        return [inside[i] for i in keep]

    def span(self) -> Floats:
        """(3,) > 0 what differences are shares of: between best and worst of the listed points, or
        the size of an objective in which they agree."""
        return measures(*self._ends())

    def _ends(self) -> tuple[Floats, Floats]:
        """(3,) best and (3,) worst of the listed points."""
        f = np.array([point.f for point in self.listed()])
        return f.min(axis=0), f.max(axis=0)

    def corners(self) -> tuple[Floats, Floats]:
        """`corners_and_steps` of the listed points."""
        ideal, nadir = self._ends()
        live = ranges(ideal, nadir) > 0.0
        if self._live is None or (live != self._live).any():
            f = np.array([point.f for point in self.points])
            self._live = live
            self._bounds = live_bounds(f, self.reference, live) if live.any() else None
        corners = np.zeros((0, 0)) if self._bounds is None else self._bounds.corners
        return corners_and_steps(corners, ideal, nadir, self.reference)

    def line(self, corner: Floats, step: Floats) -> tuple[Floats, Floats]:
        """(origin (3,), step (3,) > 0) for work at a corner: an objective that does not count there
        may be a hair worse, so that what is proved holds at the corner itself."""
        still = np.where(step > 0.0, 0.0, STILL * self.span())
        return corner + still, step + still

    def routes_near(self, weights: Floats) -> IntArray:
        """Routes of the plans that are best by the weights (3,), int (n,)."""
        points = self.listed()
        order = np.argsort(np.array([p.f for p in points]) @ weights, kind="stable")
        return np.unique(np.concatenate([points[i].solution.routes for i in order[:NEAREST_PLANS]]))

    # ------------------------------------------------------------------ outside

    def hypervolume(self, age_s: float = HYPERVOLUME_AGE_S) -> HypervolumeInterval:
        """What plans, cuts and boxes leave of it; for so many seconds the last answer serves."""
        now = time.monotonic()
        if self._hypervolume is None or now - self._hypervolume[0] >= age_s:
            f = np.array([point.f for point in self.listed()])
            found = hypervolume_interval(f, self.plain_cuts(), self.plain_boxes(), self.reference)
            self._hypervolume = time.monotonic(), found
        return self._hypervolume[1]

    def add_cut(self, cut: FoundCut) -> None:
        """Take a proved cut in."""
        self.cuts.append(cut)

    def plain_cuts(self) -> list[Cut]:
        """The cuts without knowledge of the variants."""
        return [found.cut for found in self.cuts]

    def plain_boxes(self) -> list[Box]:
        """The boxes as geometry."""
        return [found.box for found in self.boxes]

    def widths(self) -> tuple[Floats, Floats, Floats]:
        """Corners (k, 3), steps (k, 3) and a proved width (k,) of each: by cuts, boxes, and the
        depths that were computed."""
        corners, steps = self.corners()
        width = epsilons(corners, self.plain_cuts(), self.plain_boxes(), steps)
        for i, (corner, step) in enumerate(zip(corners, steps, strict=True)):
            known = self._depths.get(_key(corner, step))
            if known is not None:
                width[i] = min(width[i], known.of(self.line(corner, step)[1]))
        return corners, steps, width

    def depth(self, corner: Floats, step: Floats) -> Depth:
        """The depth of a corner, computed where cuts have come since."""
        key = _key(corner, step)
        known = self._depths.get(key)
        if known is None or known.cuts < len(self.cuts):
            origin, along = self.line(corner, step)
            seen = self._seen_from(origin, along)
            value, adopt = -seen.least + MARGIN, seen.adopt
            if known is not None:
                value = min(value, known.of(along))
            known = Depth(value, along, adopt, len(self.cuts))
            self._depths[key] = known
        return known

    def rooms(self, corners: Floats) -> Floats:
        """(k, 3) how far along each axis alone plans below the corners (k, 3) may lie, by the cuts;
        never less than `LEAST_ROOM` of the span."""
        weights = np.array([cut.weights for cut in self.cuts])
        levels = np.array([cut.level for cut in self.cuts])
        slack = corners @ weights.T - levels
        blind = np.full((len(corners), *weights.shape), np.inf)
        room = np.divide(slack[:, :, None], weights, out=blind, where=weights > 0.0).min(axis=1)
        ideal = np.array([point.f for point in self.listed()]).min(axis=0)
        least: Floats = np.maximum(np.minimum(room, corners - ideal), LEAST_ROOM * self.span())
        return least

    def sight(self, corner: Floats, step: Floats) -> Sight:
        """What the cuts say of the line ``corner - t step``."""
        seen = self._seen_from(corner, step)
        shares, worth = self._mixture(seen)
        leading = [v[np.argmin(worth[v])] for v in self.index.workload_variants]
        return Sight(
            -seen.least + MARGIN, seen.adopt, np.array(leading), self._prices(seen, shares, step)
        )

    def least_cost(self, point: FoundPoint) -> tuple[float, IntArray]:
        """(the least cost proved of plans with no more carbon and loss, an assignment that may get
        there)."""
        step = np.array([point.f[0], 0.0, 0.0])
        seen = self._seen_from(point.f, step)
        least = max(point.f[0] * (1.0 + seen.least - MARGIN), self._least_costs.get(point.id, 0.0))
        self._least_costs[point.id] = least
        return least, seen.adopt

    def gaps(self) -> Floats:
        """(n,) of the listed points in turn: share of the cost above what is proved, with what
        `least_cost` found."""
        points = self.listed()
        f = np.array([point.f for point in points])
        known = np.array([self._least_costs.get(point.id, -np.inf) for point in points])
        bounds = np.maximum(cost_bounds(f, self.plain_cuts(), self.plain_boxes()), known)
        return relative_gaps(f, bounds)

    def reachable(self, origin: Floats, step: Floats, enough: float) -> IntArray:
        """Variants that plans further along ``origin - t step`` than `enough` may adopt, int (n,):
        the best mixture of cuts excludes the others."""
        seen = self._seen_from(origin, step)
        shares, worth = self._mixture(seen)
        least = np.array([worth[v].min() for v in self.index.workload_variants])
        above = worth - least[self.index.data.variant_workload]
        with_it = float(shares @ seen.level + least.sum()) + above
        return np.flatnonzero(with_it < -enough + MARGIN)

    def _seen_from(self, origin: Floats, step: Floats) -> Seen:
        """The cuts that say most of the line ``origin - t step``, and how far down it plans may
        lie: the least over assignments of the largest cut, cuts added as assignments ask. The last
        answer is kept: what is asked of a line is mostly asked in a row."""
        span = self.span()
        asked = (origin.tobytes(), step.tobytes(), span.tobytes(), len(self.cuts))
        if self._last is None or self._last[0] != asked:
            self._last = asked, self._look(origin, step, span)
        return self._last[1]

    def _look(self, origin: Floats, step: Floats, span: Floats) -> Seen:
        weights = np.array([cut.weights for cut in self.cuts])
        levels = np.array([cut.level for cut in self.cuts])
        slope = weights @ step
        steep = slope / (weights @ span) / (step / span).max()
        able = np.flatnonzero(steep > LEAST_SLOPE)
        rest = np.array([self.cuts[k].rest - weights[k] @ origin for k in able]) / slope[able]
        worth = np.array([self.cuts[k].worth for k in able]) / slope[able][:, None]
        plain = (levels[able] - weights[able] @ origin) / slope[able]
        chosen = np.argsort(-plain, kind="stable")[:NEAREST_CUTS]
        while True:
            least, adopt = least_assignment(self.index, rest[chosen], worth[chosen])
            said = rest + worth[:, adopt].sum(axis=1)
            new = np.setdiff1d(np.argsort(-said, kind="stable")[:MORE_CUTS], chosen)
            if not len(new) or said.max() <= least + MARGIN:
                return Seen(able[chosen], rest[chosen], worth[chosen], least, adopt)
            chosen = np.append(chosen, new)

    def _mixture(self, seen: Seen) -> tuple[FloatArray, FloatArray]:
        """Shares (K,) of the mixture of cuts that says most, and what it says of variants (V,)."""
        every = np.asarray(np.isfinite(seen.worth).all(axis=0))
        shares = best_mixture(self.index, seen.level, seen.worth)
        return shares, np.where(every, shares @ np.where(every, seen.worth, 0.0), np.inf)

    def prices_at(self, corner: Floats, step: Floats) -> Known:
        """Shares and prices of the cuts whose mixture says most of the line ``corner - t step``,
        the largest share first."""
        return self.sight(corner, step).known

    def _prices(self, seen: Seen, shares: FloatArray, step: Floats) -> Known:
        order = np.argsort(-shares, kind="stable")
        order = order[(shares[order] > LEAST_SHARE) | (np.arange(len(order)) < LEAST_CUTS)]
        found = []
        for k in order:
            cut = self.cuts[seen.cuts[k]]
            share = max(float(shares[k]), 1e-9) / float(cut.weights @ step)
            found.append((share, cut.prices))
        return tuple(found)

    def end_box(self, objective: int, cuts: Sequence[FoundCut], leaves: Sequence[Case]) -> FoundBox:
        """The box of a bound on one objective alone, proved by cases of cuts on it."""
        rest, worth = np.array([cut.rest for cut in cuts]), np.array([cut.worth for cut in cuts])
        bounds = [
            mixed_bound(self.index, rest, worth, leaf.allowed, leaf.shares) for leaf in leaves
        ]
        allowed = np.array([leaf.allowed for leaf in leaves])
        shares = np.array([leaf.shares for leaf in leaves])
        corner = self._end_corner(objective, min(bounds))
        return FoundBox("", corner, tuple(cut.id for cut in cuts), allowed, shares)

    def searched_end_box(self, objective: int, bound: float) -> FoundBox:
        """The same, where the bound rests on branch and bound."""
        return FoundBox.searched(self._end_corner(objective, bound))

    def _end_corner(self, objective: int, bound: float) -> Floats:
        """(3,) a corner that only plans below the bound of an objective could lie below, a hair
        beyond the reference in the others."""
        corner = self.reference + STILL * measures(self.reference, self.reference)
        corner[objective] = bound - BOX_MARGIN * max(1.0, abs(bound))
        return corner

    def prove(self, origin: Floats, step: Floats, enough: float) -> FoundBox | None:
        """Cases that prove that no plan lies further along ``origin - t step`` than `enough`, or
        as near to that as they get; None where that says no more than the cuts alone. The box has
        no name yet."""
        seen = self._seen_from(origin, step)
        leaves: list[Case] = proving_cases(self.index, seen.level, seen.worth, -enough)
        bound = min(leaf.bound for leaf in leaves)
        plain = epsilons(origin, self.plain_cuts(), (), step)[0]
        if not np.isfinite(bound) or -bound >= plain - LEAST_GAIN:
            return None
        used = np.flatnonzero(np.array([leaf.shares for leaf in leaves]).any(axis=0))
        slope = np.array([self.cuts[seen.cuts[k]].weights @ step for k in used])
        shares = np.array([leaf.shares[used] for leaf in leaves]) / slope
        # A hair deeper than proved, so that rounding cannot turn the proof over.
        corner = origin + (bound - BOX_MARGIN * max(1.0, abs(bound))) * step
        names = tuple(self.cuts[seen.cuts[k]].id for k in used)
        allowed = np.array([leaf.allowed for leaf in leaves])
        return FoundBox("", corner, names, allowed, shares)
