"""The trade-off of a front: its edges, what a step along them costs, where adaptations flip.

An *edge* is the part of the front that matters to someone who looks at cost and one other
objective only: the plans that no other plan beats in both. Along it every dearer plan is better.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from planner.answer.words import variant_said
from planner.front.choose import Step, step
from planner.front.front import Front, FrontPoint
from planner.front.geometry import Floats, cost_bounds, nondominated
from planner.plan import Plan

OBJECTIVES = ("cost_usd", "carbon_kgco2e", "qoe")
"""In the order of the front's ``f``."""
PAIRS = ((0, 1), (0, 2), (2, 1))
"""Pictures of two objectives: (across, up)."""
LOG_RATIO = 30.0
"""An axis whose largest value is more than this times its least is drawn on a log scale."""
LEAST_STEP = 0.01
"""Of an edge's span: a smaller step has a price that means nothing."""
GRID = 90
MARGIN = 0.07
"""Of the range, around a picture."""


def edge(front: Front, objective: int) -> list[FrontPoint]:
    """Points not beaten in cost and `objective` (1 carbon, 2 QoE) together, cheapest first.

    Neighbours that differ by less than `LEAST_STEP` of the edge's span in the objective are one
    place of it: the cheapest of them stands for it, at the far end the best.
    """
    f = front.minimised[:, [0, objective]]
    rows = sorted(np.flatnonzero(nondominated(f)), key=lambda row: tuple(f[row]))
    least = LEAST_STEP * float(f[rows[0], 1] - f[rows[-1], 1])
    kept = [rows[0]]
    for row in rows[1:]:
        if f[kept[-1], 1] - f[row, 1] >= least:
            kept.append(row)
    if len(kept) > 1:
        kept[-1] = rows[-1]
    return [front.points[row] for row in kept]


def edge_steps(points: Sequence[FrontPoint]) -> list[Step]:
    """Steps between neighbours of an edge."""
    named = [(point.id, point.objectives) for point in points]
    return [step(a, b) for a, b in itertools.pairwise(named)]


@dataclass(frozen=True)
class Flip:
    """A workload answered otherwise in the next plan of an edge."""

    workload: str
    start: str
    end: str
    before: str
    after: str
    adaptation_before: str
    adaptation_after: str


def flips(points: Sequence[FrontPoint], plans: Mapping[str, Plan]) -> list[Flip]:
    """Every change of a workload's variant between neighbours, by workload, then along the edge."""
    found = []
    rows = {point.id: {row.workload: row for row in plans[point.id].adoption} for point in points}
    workloads = list(rows[points[0].id]) if points else []
    for workload in workloads:
        for a, b in itertools.pairwise(points):
            before, after = rows[a.id][workload], rows[b.id][workload]
            if before.variant != after.variant:
                found.append(
                    Flip(
                        workload=workload,
                        start=a.id,
                        end=b.id,
                        before=variant_said(before),
                        after=variant_said(after),
                        adaptation_before=before.adaptation,
                        adaptation_after=after.adaptation,
                    )
                )
    return found


# ------------------------------------------------------------------ what is proved, in a picture


@dataclass(frozen=True)
class Axis:
    """One objective as a picture shows it, in user units (QoE, not its loss)."""

    objective: int
    low: float
    high: float
    log: bool


@dataclass(frozen=True)
class Enclosure:
    """What is known of all plans in two objectives, in user units, any third one.

    `bound`: no plan lies on its better side (proved). `held`: listed plans reach every place on
    its worse side. Between the two better plans than the listed ones could exist.
    """

    across: Axis
    up: Axis
    bound: tuple[tuple[float, float], ...]
    held: tuple[tuple[float, float], ...]


def axis(front: Front, objective: int) -> Axis:
    """Span of an axis: all points, and what is proved about their best, with a margin."""
    values = user(front.minimised[:, objective], objective)
    low, high = float(values.min()), float(values.max())
    log = objective != 2 and low > 0 and high / low > LOG_RATIO
    best = _least(front, objective)
    if np.isfinite(best):
        proved = float(user(np.array([best]), objective)[0])
        low, high = min(low, proved), max(high, proved)
    if log:
        low = max(low, high / 1e6)
        room = (high / low) ** MARGIN
        return Axis(objective, low / room, high * room, log)
    extent = (high - low) or abs(high) or 1.0
    low, high = low - MARGIN * extent, high + MARGIN * extent
    return Axis(objective, max(low, 0.0), min(high, 1.0) if objective == 2 else high, log)


def enclosure(front: Front, across: int, up: int) -> Enclosure:
    """The enclosure of the front seen in two objectives, whatever the third within its limit.

    As the certificate is, it is said of plans below the reference in the third objective.
    """
    horizontal, vertical = axis(front, across), axis(front, up)
    third = ({0, 1, 2} - {across, up}).pop()
    limit = _reference(front)
    cuts = [cut.as_cut() for cut in front.certificate.cuts]
    boxes = [box.as_box() for box in front.certificate.boxes]
    f = front.minimised
    grid = _grid(horizontal)
    rows = np.empty((len(grid), 3))
    rows[:, across], rows[:, up], rows[:, third] = grid, np.inf, limit[third]
    bound = np.column_stack([grid, cost_bounds(rows, cuts, boxes, coordinate=up)])
    ends = np.sort(minimised(np.array([horizontal.low, horizontal.high]), across))
    held = _staircase(f[f[:, third] <= limit[third]][:, [across, up]], *ends)
    return Enclosure(
        across=horizontal,
        up=vertical,
        bound=_line(bound, across, vertical),
        held=_line(held, across, vertical),
    )


def user(values: Floats, objective: int) -> Floats:
    """From ``f`` to what users see: QoE instead of its loss."""
    return 1.0 - values if objective == 2 else values


def minimised(values: Floats, objective: int) -> Floats:
    """Inverse of `user`."""
    return 1.0 - values if objective == 2 else values


def _grid(span: Axis) -> Floats:
    """Places along an axis in ``f``, ascending."""
    if span.log:
        return np.geomspace(span.low, span.high, GRID)
    return np.sort(minimised(np.linspace(span.low, span.high, GRID), span.objective))


def _reference(front: Front) -> Floats:
    reference = front.certificate.hypervolume.reference
    return np.array([reference.cost_usd, reference.carbon_kgco2e, 1.0 - reference.qoe])


def _least(front: Front, objective: int) -> float:
    """Least ``f`` of the objective proved for any plan below the reference in the others."""
    cuts = [cut.as_cut() for cut in front.certificate.cuts]
    boxes = [box.as_box() for box in front.certificate.boxes]
    row = _reference(front)
    row[objective] = np.inf
    return float(cost_bounds(row[None, :], cuts, boxes, coordinate=objective)[0])


def _staircase(f: Floats, start: float, end: float) -> Floats:
    """Corners (k, 2) of the region that points `f` (n, 2) dominate, from `start` to `end`."""
    corners, best = [(start, np.inf)], np.inf
    for x, y in f[np.lexsort((f[:, 1], f[:, 0]))]:
        if y < best:
            corners += [(x, best), (x, y)]
            best = y
    return np.array([*corners, (end, best)])


def _line(corners: Floats, across: int, vertical: Axis) -> tuple[tuple[float, float], ...]:
    """Corners (k, 2) in user units, held inside the picture (infinite ones on its rim)."""
    up = vertical.objective
    ends = np.sort(minimised(np.array([vertical.low, vertical.high]), up))
    inside = np.clip(corners[:, 1], *ends)
    return tuple(
        (float(x), float(y))
        for x, y in zip(user(corners[:, 0], across), user(inside, up), strict=True)
    )
