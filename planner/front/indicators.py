"""Quality indicators of a list of points, by moocore; all objectives are minimised.

They compare lists with one another. What no list can beat is the certificate's business.
"""

from __future__ import annotations

from dataclasses import dataclass

import moocore
import numpy as np
from numpy.typing import ArrayLike

from planner.front.geometry import Floats, nondominated


@dataclass(frozen=True)
class Indicators:
    """Indicators of one list, normalised by the ranges.

    `hypervolume`: share of the box between ideal and reference that the list dominates (larger
    is better). `additive_epsilon`: see the function; None without a list to compare with.
    `spread`: see the function (smaller is better); None below two points.
    """

    points: int
    hypervolume: float
    additive_epsilon: float | None
    spread: float | None


def hypervolume(points: ArrayLike, ideal: ArrayLike, reference: ArrayLike) -> float:
    """Share of the box between `ideal` and `reference` (m,) that `points` (n, m) dominate.

    Points beyond the ideal count beyond the box, so the share can exceed 1.
    """
    low, high = _arrays(ideal, reference)
    rows = _rows(points, len(low))
    inside = rows[np.all(rows < high, axis=1)]
    if len(inside) == 0:
        return 0.0
    return float(moocore.hypervolume((inside - low) / (high - low), ref=np.ones(len(low))))


def additive_epsilon(points: ArrayLike, against: ArrayLike, ranges: ArrayLike) -> float:
    """Least share of all ranges by which `points` must improve to cover every one of `against`.

    ``max over a of min over p of max_i (p_i - a_i) / R_i`` (Zitzler et al., IEEE TEC 7, 2003);
    <= 0 where the list already covers the other. ValueError where either list is empty.
    """
    scale = np.asarray(ranges, dtype=float)
    ours, theirs = _rows(points, len(scale)), _rows(against, len(scale))
    if len(ours) == 0 or len(theirs) == 0:
        raise ValueError("additive epsilon needs points on both sides")
    return float(moocore.epsilon_additive(ours / scale, ref=theirs / scale))


def spread(points: ArrayLike, ranges: ArrayLike, extremes: ArrayLike | None = None) -> float | None:
    """Generalised spread (Zhou et al., CEC 2006): 0 where evenly spaced from end to end.

    ``(sum_e d(e, S) + sum_s |d(s) - mean d|) / (sum_e d(e, S) + n mean d)`` with d(s) the
    distance to the nearest other point, all in ranges, over the nondominated points. `extremes`
    (k, m) are the ends that should be reached; by default the points' own, whose term is zero.
    None below two points.
    """
    scale = np.asarray(ranges, dtype=float)
    rows = _rows(points, len(scale)) / scale
    rows = rows[nondominated(rows)]
    if len(rows) < 2:
        return None
    between = np.linalg.norm(rows[:, None, :] - rows[None, :, :], axis=2)
    np.fill_diagonal(between, np.inf)
    nearest = between.min(axis=1)
    missed = 0.0
    if extremes is not None:
        ends = _rows(extremes, len(scale)) / scale
        missed = float(np.linalg.norm(ends[:, None] - rows[None], axis=2).min(axis=1).sum())
    uneven = float(np.abs(nearest - nearest.mean()).sum())
    return (missed + uneven) / (missed + len(rows) * float(nearest.mean()))


def indicators(
    points: ArrayLike,
    ideal: ArrayLike,
    reference: ArrayLike,
    against: ArrayLike | None = None,
) -> Indicators:
    """All indicators of `points` (n, m), normalised between `ideal` and `reference` (m,).

    `against`: another list (k, m), for instance the union of several methods' points.
    """
    low, high = _arrays(ideal, reference)
    rows = _rows(points, len(low))
    compared = against is not None and len(rows) > 0
    return Indicators(
        points=int(nondominated(rows).sum()),
        hypervolume=hypervolume(rows, low, high),
        additive_epsilon=additive_epsilon(rows, against, high - low)
        if compared and against is not None
        else None,
        spread=spread(rows, high - low),
    )


def _rows(points: ArrayLike, objectives: int) -> Floats:
    return np.asarray(points, dtype=float).reshape(-1, objectives)


def _arrays(ideal: ArrayLike, reference: ArrayLike) -> tuple[Floats, Floats]:
    low, high = np.asarray(ideal, dtype=float), np.asarray(reference, dtype=float)
    if not np.all(low < high):
        raise ValueError(f"the ideal must be below the reference: {low}, {high}")
    return low, high
