"""Choosing from a front: named choices, what a step costs, alternatives that differ in the fleet.

The choices work on ``f`` (n, m), all minimised, and return row numbers. Ties go to the point that
is better in the sum of the normalised objectives, then to the first. Nothing here blends the
objectives into one score as a result; each choice states its own rule.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from planner.front.geometry import Box, Cut, Floats, Mask, cost_bounds
from planner.front.ranges import LEAST_SIZE, NEGLIGIBLE
from planner.plan import Objectives, Plan

NEIGHBOURHOOD = 0.125
"""Radius, in ranges, of the neighbours a knee is compared with (as in pymoo's high_tradeoff)."""

MOST_KNEES = 3
AUGMENTATION = 1e-3
"""Weight of the sum beside the maximum: of equal maxima the better in all else is taken."""

QOE_POINT = 0.01
KG_PER_TONNE = 1000.0
NEAR = 0.01
"""Alternatives differ by at most this share of each objective."""


def normalised(f: ArrayLike) -> Floats:
    """(n, m) between the best (0) and the worst (1) of each objective; 0 where all agree."""
    rows = np.asarray(f, dtype=float)
    extent = _extents(rows)
    return np.where(extent > 0, (rows - rows.min(axis=0)) / np.where(extent > 0, extent, 1.0), 0.0)


def _extents(rows: Floats) -> Floats:
    """(m,) between best and worst; 0 where that is rounding."""
    extent = np.ptp(rows, axis=0)
    return np.where(extent > NEGLIGIBLE * np.abs(rows).max(axis=0), extent, 0.0)


def best_of(f: ArrayLike, objective: int) -> int:
    """The least of one objective; of equals the least normalised sum."""
    rows = np.asarray(f, dtype=float)
    return int(np.lexsort((normalised(rows).sum(axis=1), rows[:, objective]))[0])


def compromise(f: ArrayLike) -> int:
    """Least augmented Chebyshev distance to the ideal, every range counting alike."""
    g = normalised(f)
    return int(np.argmin(g.max(axis=1) + AUGMENTATION * g.sum(axis=1)))


def nearest(f: ArrayLike, wishes: Mapping[int, float]) -> int:
    """The point that meets or misses the wishes best: Wierzbicki's achievement, 1980.

    Least over the points of the worst ``(f_i - wish_i) / range_i`` over the wished objectives:
    misses are evened out, and where all wishes can be met, the point that betters all of them
    most is taken. ValueError without a wish.
    """
    if not wishes:
        raise ValueError("name at least one wish")
    rows = np.asarray(f, dtype=float)
    extent = _extents(rows)
    extent = np.where(extent > 0, extent, np.maximum(np.abs(rows).max(axis=0), LEAST_SIZE))
    which = list(wishes)
    miss = (rows[:, which] - np.array([wishes[i] for i in which])) / extent[which]
    return int(
        np.argmin(
            miss.max(axis=1) + AUGMENTATION * (miss.sum(axis=1) + normalised(rows).sum(axis=1))
        )
    )


def within(f: ArrayLike, caps: Mapping[int, float]) -> Mask:
    """(n,) points with ``f_i <= cap_i`` for every capped objective."""
    rows = np.asarray(f, dtype=float)
    inside = np.ones(len(rows), dtype=bool)
    for i, cap in caps.items():
        # A cap typed from a printed figure must not exclude the point it was read from.
        inside &= rows[:, i] <= cap + 1e-9 * max(1.0, abs(cap))
    return inside


def proved_impossible(
    caps: Mapping[int, float], cuts: Sequence[Cut], boxes: Sequence[Box], objectives: int
) -> bool:
    """Whether the certificate excludes every plan within the caps."""
    corner = np.array([caps.get(i, np.inf) for i in range(objectives)])
    seen = [cut for cut in cuts if not np.any((cut.weights > 0) & np.isinf(corner))]
    finite = np.where(np.isinf(corner), 0.0, corner)
    by_cut = any(float(cut.weights @ finite) < cut.level for cut in seen)
    by_box = any(
        bool(np.all(corner <= box.upper))
        and (box.level == np.inf or corner[box.coordinate] < box.level)
        for box in boxes
    )
    return by_cut or by_box


def least_cost_within(
    caps: Mapping[int, float], cuts: Sequence[Cut], boxes: Sequence[Box], objectives: int
) -> float:
    """Least proved ``f[0]`` of any plan within the caps on the others; -inf where none."""
    corner = np.array([caps.get(i, np.inf) for i in range(objectives)])
    return float(cost_bounds(corner, cuts, boxes)[0])


def bulge(f: ArrayLike) -> Floats:
    """(n,) distance below the plane through the extremes, in ranges; > 0 on the ideal's side.

    The extremes are the best points of each objective (Das, "On characterizing the knee of the
    Pareto curve", 1999, with the individual minima as corners). Where they do not span a plane
    that faces the ideal, the plane through the normalised unit vectors is taken.
    """
    g = normalised(f)
    m = g.shape[1]
    corners = g[[best_of(f, i) for i in range(m)]]
    normal: Floats = np.ones(m)
    if np.linalg.matrix_rank(corners, tol=1e-9) == m:
        candidate: Floats = np.asarray(np.linalg.solve(corners, np.ones(m)), dtype=np.float64)
        if np.all(candidate > 0):
            normal = candidate
    distance: Floats = (1.0 - g @ normal) / np.linalg.norm(normal)
    return distance


def trade_offs(f: ArrayLike) -> Floats:
    """(n,) what leaving a point costs per unit gained, at its least over the neighbours.

    ``min over j of sum_i max(0, f_j - f_i) / sum_i max(0, f_i - f_j)`` in ranges (Rachmawati and
    Srinivasan, IEEE TEC 13, 2009): high where any move loses much and gains little.
    """
    g = normalised(f)
    values = np.full(len(g), np.inf)
    for i, around in enumerate(_neighbours(g)):
        change = g[around] - g[i]
        gain = np.maximum(-change, 0.0).sum(axis=1)
        loss = np.maximum(change, 0.0).sum(axis=1)
        useful = gain > 0
        values[i] = (loss[useful] / gain[useful]).min(initial=np.inf)
    return values


def knees(f: ArrayLike, most: int = MOST_KNEES) -> list[int]:
    """Points on the bulging side whose trade-off is the highest of their neighbourhood.

    Best first by distance from the plane of the extremes; the point furthest from the plane
    always leads where any is on the ideal's side. A front without a bulge has no knee.
    """
    rows = np.asarray(f, dtype=float)
    if len(rows) <= 2:
        return []
    g, distance, mu = normalised(rows), bulge(rows), trade_offs(rows)
    if distance.max() <= 1e-9:
        return []
    extremes = {best_of(rows, i) for i in range(rows.shape[1])}
    peaks = {
        i
        for i, around in enumerate(_neighbours(g))
        if distance[i] > 1e-9 and mu[i] > 1.0 and i not in extremes and np.all(mu[around] <= mu[i])
    }
    first = int(np.argmax(distance))
    rest = sorted(peaks - {first}, key=lambda i: -distance[i])
    return [first, *rest][:most]


def _neighbours(g: Floats) -> list[np.ndarray[tuple[int], np.dtype[np.intp]]]:
    """For each point the others within the radius, and at least the nearest 2 (m - 1)."""
    fewest = 2 * (g.shape[1] - 1)
    between = np.linalg.norm(g[:, None, :] - g[None, :, :], axis=2)
    np.fill_diagonal(between, np.inf)
    order = np.argsort(between, axis=1, kind="stable")
    found = []
    for i in range(len(g)):
        count = int((between[i] <= NEIGHBOURHOOD).sum())
        found.append(order[i, : min(len(g) - 1, max(count, fewest))])
    return found


# ------------------------------------------------------------------ what a step costs


@dataclass(frozen=True)
class Step:
    """Going from one point to a dearer one.

    `usd_per_tonne`: USD per tonne of CO2e avoided; `usd_per_qoe_point`: USD per 0.01 of QoE
    gained; None where the step does not improve that objective. Where a step improves both, its
    whole cost is set against each: they are not to be added.
    """

    start: str
    end: str
    cost_usd: float
    carbon_kgco2e: float
    qoe: float
    usd_per_tonne: float | None
    usd_per_qoe_point: float | None


def step(start: tuple[str, Objectives], end: tuple[str, Objectives]) -> Step:
    """What going from `start` to `end`, each (id, objectives), costs and brings."""
    (first, old), (second, new) = start, end
    cost = new.cost_usd - old.cost_usd
    avoided = old.carbon_kgco2e - new.carbon_kgco2e
    gained = new.qoe - old.qoe
    return Step(
        start=first,
        end=second,
        cost_usd=cost,
        carbon_kgco2e=-avoided,
        qoe=gained,
        usd_per_tonne=cost / (avoided / KG_PER_TONNE) if avoided > 0 else None,
        usd_per_qoe_point=cost / (gained / QOE_POINT) if gained > 0 else None,
    )


def steps_by_cost(points: Mapping[str, Objectives]) -> list[Step]:
    """Steps between neighbours in the order of cost."""
    ordered = sorted(points.items(), key=lambda item: item[1].cost_usd)
    return [step(a, b) for a, b in itertools.pairwise(ordered)]


@dataclass(frozen=True)
class StepsUp:
    """How a point is reached from its nearest cheaper neighbours.

    `for_carbon`: from the nearest cheaper point that emits more; `for_qoe`: from the nearest
    cheaper point of lower QoE. None where there is none: the point is then the cheapest way.
    """

    point: str
    for_carbon: Step | None
    for_qoe: Step | None


def steps_up(points: Mapping[str, Objectives]) -> list[StepsUp]:
    """For each point the steps to it from its nearest cheaper neighbours, nearest in ranges."""
    names = list(points)
    values = np.array([[p.cost_usd, p.carbon_kgco2e, -p.qoe] for p in points.values()])
    if not names:
        return []
    g = normalised(values)
    result = []
    for i, name in enumerate(names):
        distance = np.linalg.norm(g - g[i], axis=1)
        cheaper = values[:, 0] < values[i, 0]
        found: list[Step | None] = []
        for objective in (1, 2):
            worse = np.flatnonzero(cheaper & (values[:, objective] > values[i, objective]))
            if len(worse) == 0:
                found.append(None)
                continue
            start = names[int(worse[np.argmin(distance[worse])])]
            found.append(step((start, points[start]), (name, points[name])))
        result.append(StepsUp(name, found[0], found[1]))
    return result


# ------------------------------------------------------------------ alternatives


@dataclass(frozen=True)
class Change:
    """One decision that differs: `what` it is, and its value in the one plan and in the other."""

    what: str
    chosen: str
    alternative: str


@dataclass(frozen=True)
class Alternative:
    """A plan whose objectives are near those of the chosen one while its decisions differ.

    The changes of the objectives are shares of the chosen plan's own values.
    """

    id: str
    cost_change: float
    carbon_change: float
    qoe_change: float
    changes: tuple[Change, ...]


def fleet_of(plan: Plan) -> dict[tuple[str, str, str], int]:
    """Most accelerators held at once by region, accelerator and market."""
    always: dict[tuple[str, str, str], int] = defaultdict(int)
    at_times: dict[tuple[str, str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for line in plan.fleet:
        key = (line.region, line.accelerator, line.market)
        held = line.accelerators * line.instances
        if line.slice is None:
            always[key] += held
        else:
            at_times[key][line.slice] += held
    peak = {
        key: always[key] + max(at_times[key].values(), default=0) for key in {*always, *at_times}
    }
    return {key: held for key, held in sorted(peak.items()) if held}


def changes(chosen: Plan, other: Plan) -> tuple[Change, ...]:
    """Decisions that differ: variants of the workloads first, then accelerators held."""
    ours = {line.workload: line.variant for line in chosen.adoption}
    theirs = {line.workload: line.variant for line in other.adoption}
    found = [
        Change(f"variant of {workload}", ours.get(workload, "none"), theirs.get(workload, "none"))
        for workload in sorted({*ours, *theirs})
        if ours.get(workload) != theirs.get(workload)
    ]
    held, instead = fleet_of(chosen), fleet_of(other)
    found += [
        Change(
            f"{accelerator} in {region}, {market}",
            str(held.get((region, accelerator, market), 0)),
            str(instead.get((region, accelerator, market), 0)),
        )
        for region, accelerator, market in sorted({*held, *instead})
        if held.get((region, accelerator, market)) != instead.get((region, accelerator, market))
    ]
    return tuple(found)


def is_near(chosen: Objectives, other: Objectives, near: float = NEAR) -> bool:
    """Whether no objective of `other` is worse by more than `near` of the chosen one's value."""
    cost, carbon, qoe = _relative(chosen, other)
    return cost <= near and carbon <= near and qoe >= -near


def alternatives(chosen: Plan, others: Mapping[str, Plan], near: float = NEAR) -> list[Alternative]:
    """Plans among `others` (by id) as good as `chosen` within `near`, but with other decisions.

    Near: no objective is worse by more than that share of the chosen plan's own value. Those
    with the most different decisions come first.
    """
    found = []
    for name, plan in others.items():
        if not is_near(chosen.objectives, plan.objectives, near):
            continue
        differing = changes(chosen, plan)
        if differing:
            found.append(
                Alternative(name, *_relative(chosen.objectives, plan.objectives), differing)
            )
    return sorted(found, key=lambda alternative: -len(alternative.changes))


def _relative(base: Objectives, other: Objectives) -> tuple[float, float, float]:
    """Changes of cost, carbon and QoE as shares of the base's values."""
    return (
        _share(other.cost_usd - base.cost_usd, base.cost_usd),
        _share(other.carbon_kgco2e - base.carbon_kgco2e, base.carbon_kgco2e),
        _share(other.qoe - base.qoe, base.qoe),
    )


def _share(change: float, base: float) -> float:
    if change == 0:
        return 0.0
    return change / abs(base) if base else float(np.copysign(np.inf, change))
