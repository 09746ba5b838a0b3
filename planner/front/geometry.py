"""Geometry of an enclosure: points inside, proved cuts and boxes outside. Any m >= 2 objectives.

All objectives are minimised. A vector `f` of objectives is *feasible* when some plan has it. The
inside of the enclosure is a list of feasible points; the outside is what has been proved of every
feasible vector: cuts and boxes. Nothing here knows what a plan is.

The region that no point of a list weakly dominates is a union of boxes ``{y < u}`` whose corners
`u` are the *local upper bounds* of the list (Klamroth, Lacour and Vanderpooten, "On the
representation of the search region in multi-objective optimization", EJOR 245, 2015). So a
statement about all vectors better than the list needs to look at the corners only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog
from scipy.spatial import ConvexHull, HalfspaceIntersection, QhullError

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

VOLUME_MARGIN = 1e-7
"""Share of the volume of the normalised box added to an upper hypervolume for rounding."""

THINNEST = 1e-9
"""Radius (normalised box = 1) below which a polytope is bounded rather than measured."""

MOST_BOXES = 400
"""Boxes subtracted from an upper hypervolume; leaving some out keeps it an upper bound."""

BLOCK = 2_000_000
"""Entries of the largest temporary array."""


@dataclass(frozen=True, eq=False)
class Cut:
    """Every feasible `f` obeys ``weights . f >= level``.

    `weights` (m,) are finite, not negative and not all zero; `level` is finite.
    ValueError otherwise.
    """

    weights: Floats
    level: float

    def __post_init__(self) -> None:
        weights = np.array(self.weights, dtype=float)
        if weights.ndim != 1 or not np.all(np.isfinite(weights)) or not np.isfinite(self.level):
            raise ValueError(f"a cut needs finite weights and level: {weights}, {self.level}")
        if np.any(weights < 0) or not np.any(weights > 0):
            raise ValueError(f"a cut needs weights >= 0, not all zero: {weights}")
        weights.flags.writeable = False
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "level", float(self.level))


@dataclass(frozen=True, eq=False)
class Box:
    """Every feasible ``f <= upper`` (in each coordinate) has ``f[coordinate] >= level``.

    `upper` (m,) may hold +inf; `level` +inf says that no feasible vector is there.
    ValueError where a number is NaN or the coordinate does not exist.
    """

    upper: Floats
    coordinate: int
    level: float

    def __post_init__(self) -> None:
        upper = np.array(self.upper, dtype=float)
        if upper.ndim != 1 or np.any(np.isnan(upper)) or np.isnan(self.level):
            raise ValueError(f"a box needs numbers: {upper}, {self.level}")
        if not 0 <= self.coordinate < len(upper):
            raise ValueError(f"no coordinate {self.coordinate} among {len(upper)} objectives")
        upper.flags.writeable = False
        object.__setattr__(self, "upper", upper)
        object.__setattr__(self, "level", float(self.level))

    @property
    def empty_below(self) -> Floats:
        """(m,) corner `v` such that no feasible `f` has ``f <= v`` and ``f[coordinate] < v``."""
        corner = np.array(self.upper)
        corner[self.coordinate] = min(corner[self.coordinate], self.level)
        return corner


def stack_cuts(cuts: Sequence[Cut], objectives: int) -> tuple[Floats, Floats]:
    """Weights (k, m) and levels (k,) of `cuts`; k may be zero."""
    weights = np.array([cut.weights for cut in cuts], dtype=float).reshape(len(cuts), objectives)
    return weights, np.array([cut.level for cut in cuts], dtype=float)


def nondominated(points: ArrayLike) -> Mask:
    """(n,) True where no other point of `points` (n, m) weakly dominates; first of equals kept."""
    rows = np.asarray(points, dtype=float)
    if len(rows) == 0:
        return np.zeros(0, dtype=bool)
    # In lexicographic order (stable: equals by place) a point can only be beaten by earlier ones.
    order = np.lexsort((np.arange(len(rows)), *rows.T[::-1]))
    keep = np.zeros(len(rows), dtype=bool)
    kept = np.empty_like(rows)
    count = 0
    for index in order:
        if not np.any(np.all(kept[:count] <= rows[index], axis=1)):
            kept[count] = rows[index]
            count += 1
            keep[index] = True
    return keep


class LocalUpperBounds:
    """The local upper bounds of a growing list of points, below a reference.

    The open boxes ``{y < u}`` over `corners` cover exactly the vectors strictly below the
    reference that no inserted point weakly dominates, and no corner is weakly below another.
    Points may share coordinates, repeat, dominate one another, or lie outside the reference.
    """

    def __init__(self, reference: ArrayLike) -> None:
        """`reference` (m,) may hold +inf; ValueError for NaN or -inf."""
        self._reference: Floats = np.array(reference, dtype=float)
        if self._reference.ndim != 1 or np.any(
            np.isnan(self._reference) | (self._reference == -np.inf)
        ):
            raise ValueError(f"reference must be numbers or +inf: {self._reference}")
        self._corners: Floats = self._reference[None, :].copy()
        self._points: Floats = np.empty((16, len(self._reference)))
        self._count = 0

    @property
    def corners(self) -> Floats:
        """(k, m) the local upper bounds; a copy."""
        return self._corners.copy()

    @property
    def points(self) -> Floats:
        """(n, m) the points inserted that changed the corners; a copy."""
        return self._points[: self._count].copy()

    def insert(self, point: ArrayLike) -> bool:
        """Add `point` (m,); False where a point already there weakly dominates it.

        Also False where the point is not strictly below the reference. ValueError for a point
        that is not finite.
        """
        new = np.asarray(point, dtype=float)
        if new.shape != self._reference.shape or not np.all(np.isfinite(new)):
            raise ValueError(f"not a finite point of {len(self._reference)} objectives: {new}")
        above = np.all(new < self._corners, axis=1)
        if not np.any(above):
            # A point level with a corner in one coordinate may be a further witness of that
            # corner, but the corner has one already and loses it only by being split.
            return False
        self._append(new)
        split = self._corners[above]
        m = len(new)
        candidates = np.repeat(split[:, None, :], m, axis=1)
        candidates[:, np.arange(m), np.arange(m)] = new
        candidates = candidates.reshape(-1, m)
        self._corners = np.concatenate([self._corners[~above], candidates[self._tight(candidates)]])
        return True

    def insert_all(self, points: ArrayLike) -> None:
        """Add `points` (n, m) in order."""
        for point in np.asarray(points, dtype=float):
            self.insert(point)

    def _append(self, point: Floats) -> None:
        if self._count == len(self._points):
            self._points = np.concatenate([self._points, np.empty_like(self._points)])
        self._points[self._count] = point
        self._count += 1

    def _tight(self, candidates: Floats) -> Mask:
        """Candidates (c, m) that cannot grow in any coordinate, hence maximal.

        Coordinate k of u is tight when it lies at the reference, or when a defining point z has
        ``z_k = u_k`` and ``z_i < u_i`` elsewhere: raising u_k would put z strictly below u.
        Testing the definition itself on all points stays exact when coordinates are equal.
        """
        points = self._points[: self._count]
        tight = np.empty(len(candidates), dtype=bool)
        step = max(1, BLOCK // max(1, points.size))
        for start in range(0, len(candidates), step):
            part = candidates[start : start + step, None, :]
            below = points[None, :, :] < part
            level = points[None, :, :] == part
            # One coordinate level and all the others below: that coordinate has its witness.
            lone = below.sum(axis=2) == points.shape[1] - 1
            witnessed = np.any(level & lone[:, :, None], axis=1)
            tight[start : start + step] = np.all(
                witnessed | (part[:, 0, :] == self._reference), axis=1
            )
        return tight


def local_upper_bounds(points: ArrayLike, reference: ArrayLike) -> Floats:
    """(k, m) local upper bounds of `points` (n, m) below `reference` (m,)."""
    bounds = LocalUpperBounds(reference)
    bounds.insert_all(points)
    return bounds.corners


def _depths(
    origins: Floats, weights: Floats, levels: Floats, boxes: Sequence[Box], steps: Floats
) -> Floats:
    """(k,) least proved `t` such that no feasible f has ``f <= origin - t' step`` for any t' > t.

    From a cut: ``L <= w.f <= w.u - t w.R``. From a box: at depth t either ``u - t R`` is not yet
    below its upper corner, or ``level <= f_c <= u_c - t R_c``; so t is at most the larger of the
    depth at which the box is entered (negative inside it) and (u_c - level) / R_c. `steps` is
    (m,) or (k, m).
    """
    depth = np.full(len(origins), np.inf)
    infinite = np.isposinf(origins)
    finite = np.where(infinite, 0.0, origins)
    per_row = np.broadcast_to(steps, origins.shape)
    block = max(1, BLOCK // max(1, len(origins)))
    for start in range(0, len(levels), block):
        w, level = weights[start : start + block], levels[start : start + block]
        slope = per_row @ w.T
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = (finite @ w.T - level) / slope
        # A cut that sees no step closes the whole line or nothing of it.
        ratio = np.where(slope > 0, ratio, np.where(finite @ w.T < level, -np.inf, np.inf))
        blind = (infinite.astype(float) @ (w > 0).T.astype(float)) > 0
        depth = np.minimum(depth, np.where(blind, np.inf, ratio).min(axis=1, initial=np.inf))
    for box in boxes:
        c = box.coordinate
        with np.errstate(divide="ignore", invalid="ignore"):
            excess = (origins - box.upper) / per_row
            floor = (origins[:, c] - box.level) / per_row[:, c]
        # Along a coordinate that does not move, the box is entered everywhere or nowhere.
        inside = origins <= box.upper
        still = (per_row <= 0) | np.isposinf(box.upper)
        excess = np.where(still, np.where(inside, -np.inf, np.inf), excess)
        flat = per_row[:, c] <= 0
        floor = np.where(flat, np.where(origins[:, c] < box.level, -np.inf, np.inf), floor)
        floor = np.where(box.level == np.inf, -np.inf, floor)
        depth = np.minimum(depth, np.maximum(excess.max(axis=1), floor))
    return depth


def _steps(steps: ArrayLike) -> Floats:
    """`steps` as an array; ValueError unless finite, not negative and somewhere > 0."""
    values = np.asarray(steps, dtype=float)
    if not np.all(np.isfinite(values)) or np.any(values < 0) or not values.any(axis=-1).all():
        raise ValueError(f"ranges must be finite and not negative, not all zero: {values}")
    return values


def epsilons(
    corners: ArrayLike, cuts: Sequence[Cut], boxes: Sequence[Box], ranges: ArrayLike
) -> Floats:
    """(k,) for each corner u (k, m): no feasible f has ``f < u - t ranges`` for any t above this.

    The least over the cuts of ``(w.u - L) / (w.R)`` and over the boxes that hold ``u - t R``;
    +inf where no cut or box bounds the corner, <= 0 where the corner is closed. `ranges`, (m,) or
    of each corner (k, m), are >= 0, 0 for an objective that does not count; ValueError where none
    does.
    """
    rows = np.atleast_2d(np.asarray(corners, dtype=float))
    weights, levels = stack_cuts(cuts, rows.shape[1])
    return _depths(rows, weights, levels, boxes, _steps(ranges))


def corner_epsilon(
    corner: ArrayLike, cut_weights: ArrayLike, cut_levels: ArrayLike, ranges: ArrayLike
) -> float:
    """`epsilons` of one corner (m,) under cuts as arrays (k, m) and (k,)."""
    row = np.asarray(corner, dtype=float)[None, :]
    weights = np.asarray(cut_weights, dtype=float).reshape(-1, row.shape[1])
    levels = np.asarray(cut_levels, dtype=float)
    return float(_depths(row, weights, levels, (), _steps(ranges))[0])


def enclosure_epsilon(
    corners: ArrayLike, cuts: Sequence[Cut], boxes: Sequence[Box], ranges: ArrayLike
) -> float:
    """Width of the enclosure: the largest of `epsilons`, at least 0.

    No feasible vector below the reference of the corners is better than every point by more than
    this share of each range at once.
    """
    return max(0.0, float(epsilons(corners, cuts, boxes, ranges).max(initial=0.0)))


def cut_floor(
    origin: ArrayLike, directions: ArrayLike, cuts: Sequence[Cut], boxes: Sequence[Box] = ()
) -> Floats:
    """(n,) for each direction (n, m) >= 0: the step t up to which the outside is proved empty.

    No feasible f is weakly below ``origin + t' direction`` for any t' < t. -inf where nothing
    is proved along the direction, +inf where the whole line is proved empty.
    """
    steps = np.atleast_2d(np.asarray(directions, dtype=float))
    if np.any(steps < 0) or not np.all(np.isfinite(steps)):
        raise ValueError("directions must be finite and not negative")
    start = np.broadcast_to(np.asarray(origin, dtype=float), steps.shape)
    weights, levels = stack_cuts(cuts, steps.shape[1])
    return -_depths(start, weights, levels, boxes, steps)


def cost_bounds(
    points: ArrayLike, cuts: Sequence[Cut], boxes: Sequence[Box] = (), coordinate: int = 0
) -> Floats:
    """(n,) least ``f[coordinate]`` of any feasible f with ``f_i <= p_i`` in all others.

    By a cut ``(L - sum of w_i p_i over the others) / w_coordinate``; a cut without that weight
    can only prove that no such f exists (+inf). By a box around the others: its level, or its
    upper corner where its level forbids the point. -inf where nothing is proved. A point may
    hold +inf where an objective is left open.
    """
    rows = np.atleast_2d(np.asarray(points, dtype=float))
    others = np.delete(rows, coordinate, axis=1)
    bound = np.full(len(rows), -np.inf)
    weights, levels = stack_cuts(cuts, rows.shape[1])
    if len(levels):
        beside, own = np.delete(weights, coordinate, axis=1), weights[:, coordinate]
        infinite = np.isposinf(others)
        rest = levels - np.where(infinite, 0.0, others) @ beside.T
        # A weight on an objective left open proves nothing.
        rest[infinite.astype(float) @ (beside > 0).T.astype(float) > 0] = -np.inf
        with np.errstate(divide="ignore", invalid="ignore"):
            by_cut = np.where(own > 0, rest / own, np.where(rest > 0, np.inf, -np.inf))
        bound = by_cut.max(axis=1)
    for box in boxes:
        within = np.all(others <= np.delete(box.upper, coordinate), axis=1)
        if box.coordinate == coordinate:
            level = min(box.level, box.upper[coordinate])
            bound = np.where(within, np.maximum(bound, level), bound)
        else:
            below = (rows[:, box.coordinate] < box.level) | (box.level == np.inf)
            forbidden = within & below
            bound = np.where(forbidden, np.maximum(bound, box.upper[coordinate]), bound)
    return bound


def relative_gaps(points: ArrayLike, bounds: ArrayLike, coordinate: int = 0) -> Floats:
    """(n,) share of a point's own value above its bound, at least 0; +inf without a bound."""
    values = np.atleast_2d(np.asarray(points, dtype=float))[:, coordinate]
    above = np.maximum(values - np.asarray(bounds, dtype=float), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(above > 0, above / np.abs(values), 0.0)


def contradicted(
    points: ArrayLike,
    cuts: Sequence[Cut],
    boxes: Sequence[Box],
    ranges: ArrayLike,
    tolerance: float = 1e-9,
) -> Mask:
    """(n,) True where a point lies outside the enclosure by more than `tolerance` of the ranges.

    Points and proofs cannot both be right there.
    """
    return epsilons(points, cuts, boxes, ranges) < -tolerance


@dataclass(frozen=True, eq=False)
class HypervolumeInterval:
    """The hypervolume of the true front lies between `lower` and `upper`.

    Both are in the product of the objectives' units; the shares are of the volume of the box
    between `ideal` (m,) (proved lower bounds) and `reference` (m,). The margin for rounding is
    already in `upper`. `boxes` counts the boxes that were subtracted.
    """

    lower: float
    upper: float
    lower_share: float
    upper_share: float
    ideal: Floats
    reference: Floats
    boxes: int

    @property
    def excess(self) -> float:
        """``upper / lower - 1``; +inf where the lower is zero."""
        return self.upper / self.lower - 1.0 if self.lower > 0 else np.inf


def proved_ideal(cuts: Sequence[Cut], reference: ArrayLike) -> Floats:
    """(m,) proved lower bounds of every feasible f <= `reference` (m,); -inf where none."""
    ceiling = np.asarray(reference, dtype=float)
    return np.array([cost_bounds(ceiling, cuts, (), coordinate=i)[0] for i in range(len(ceiling))])


def hypervolume_interval(
    points: ArrayLike,
    cuts: Sequence[Cut],
    boxes: Sequence[Box],
    reference: ArrayLike,
    most_boxes: int = MOST_BOXES,
) -> HypervolumeInterval:
    """Between the hypervolume of `points` (n, m) and what cuts and boxes leave possible.

    The lower end is the volume that the points dominate below `reference` (m,), by moocore.
    A vector dominated by a feasible one obeys every cut itself (weights are not negative), so
    the volume of ``{y <= reference : w.y >= L for all cuts}`` is an upper end; from it go the
    orthants that boxes prove empty. The upper end is infinite where the cuts leave an objective
    unbounded. Where the list is empty the lower end is zero.
    """
    ceiling = np.array(reference, dtype=float)
    if not np.all(np.isfinite(ceiling)):
        raise ValueError(f"the reference of a hypervolume must be finite: {ceiling}")
    rows = np.asarray(points, dtype=float).reshape(-1, len(ceiling))
    ideal = proved_ideal(cuts, ceiling)
    inside = rows[np.all(rows < ceiling, axis=1)]
    extent = ceiling - ideal
    if not np.all(np.isfinite(ideal)):
        lower = float(moocore.hypervolume(inside, ref=ceiling)) if len(inside) else 0.0
        upper = 0.0 if np.any(ideal == np.inf) else np.inf
        return HypervolumeInterval(lower, upper, 0.0, upper, ideal, ceiling, 0)
    if np.any(extent <= 0):
        return HypervolumeInterval(0.0, 0.0, 0.0, 0.0, ideal, ceiling, 0)
    unit = np.ones_like(ceiling)
    normalised = (inside - ideal) / extent
    lower = float(moocore.hypervolume(normalised, ref=unit)) if len(inside) else 0.0
    weights, levels = stack_cuts(cuts, len(ceiling))
    scaled = weights * extent
    scale = scaled.sum(axis=1)
    scaled, levels = scaled / scale[:, None], (levels - weights @ ideal) / scale
    empty = _useful_orthants(
        np.array([(box.empty_below - ideal) / extent for box in boxes]).reshape(-1, len(ceiling)),
        scaled,
        levels,
        most_boxes,
    )
    volume = sum(_volume(low, high, scaled, levels) for low, high in _remaining(empty, unit))
    upper = volume + VOLUME_MARGIN
    size = float(np.prod(extent))
    return HypervolumeInterval(lower * size, upper * size, lower, upper, ideal, ceiling, len(empty))


def _useful_orthants(orthants: Floats, weights: Floats, levels: Floats, most: int) -> Floats:
    """The largest orthants {y <= v} (unit box) that the cuts do not already exclude."""
    clipped = np.minimum(orthants, 1.0)
    clipped = clipped[np.all(clipped > 0, axis=1)]
    if len(clipped) == 0:
        return clipped
    depth = (clipped @ weights.T - levels).min(axis=1, initial=np.inf)
    clipped, depth = clipped[depth > 0], depth[depth > 0]
    clipped = clipped[np.argsort(-depth, kind="stable")]
    # Of nested orthants only the outer is needed.
    outer: Floats = clipped[nondominated(-clipped)][:most]
    return outer


def _remaining(orthants: Floats, unit: Floats) -> list[tuple[Floats, Floats]]:
    """Disjoint cells (low, high) of the unit box outside all orthants {y <= v}."""
    cells = [(np.zeros_like(unit), unit)]
    for corner in orthants:
        after: list[tuple[Floats, Floats]] = []
        for low, high in cells:
            if np.any(low >= corner):
                after.append((low, high))
                continue
            rest = high.copy()
            for i in np.flatnonzero(high > corner):
                # Coordinates already treated are below the corner here: the pieces are disjoint.
                piece = low.copy()
                piece[i] = corner[i]
                after.append((piece, rest.copy()))
                rest[i] = corner[i]
        cells = after
    return cells


def _volume(low: Floats, high: Floats, weights: Floats, levels: Floats) -> float:
    """Volume of {low <= y <= high, weights . y >= levels}, never too small but for rounding."""
    side = high - low
    whole = float(np.prod(side))
    if np.any(weights @ high <= levels):
        return 0.0
    cutting = weights @ low < levels
    if not np.any(cutting):
        return whole
    # The cell as the unit box: conditioning, and radii that mean the same everywhere.
    w = weights[cutting] * side
    level = levels[cutting] - weights[cutting] @ low
    norm = np.linalg.norm(w, axis=1)
    w, level = w / norm[:, None], level / norm
    m = len(low)
    halfspaces = np.block(
        [
            [-w, level[:, None]],
            [-np.eye(m), np.zeros((m, 1))],
            [np.eye(m), -np.ones((m, 1))],
        ]
    )
    # The largest ball inside: max r with a.y + r <= -b for unit normals a.
    ball = linprog(
        np.append(np.zeros(m), -1.0),
        A_ub=np.column_stack([halfspaces[:, :m], np.ones(len(halfspaces))]),
        b_ub=-halfspaces[:, m],
        bounds=[(0.0, 1.0)] * (m + 1),
        method="highs",
    )
    if ball.status != 0:
        return whole
    centre, radius = ball.x[:m], float(ball.x[m])
    # A convex body's volume is at most its inradius times its surface, and its surface is at
    # most that of a convex body around it: 2 m for the unit box.
    thin = min(1.0, 2.0 * m * (radius + THINNEST))
    if radius < THINNEST:
        return whole * thin
    try:
        vertices = HalfspaceIntersection(halfspaces, centre).intersections
        vertices = vertices[np.all(np.isfinite(vertices), axis=1)]
        return whole * min(thin, float(ConvexHull(np.clip(vertices, 0.0, 1.0)).volume))
    except QhullError:
        return whole * thin
