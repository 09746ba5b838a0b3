"""Ranges of the objectives, and what a width is a share of where there is none.

Where all plans agree in an objective (but for rounding), it has no range to be a share of: the
front is that of the other objectives, and what is left to prove of this one is that no plan is
better in it, as a share of its size. So a front is as wide as the widest of

- the corners of the objectives with a range, along their ranges, the others anywhere below the
  reference;
- for each other objective, its best value, along its size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from planner.front.geometry import Floats, LocalUpperBounds, Mask

NEGLIGIBLE = 1e-5
"""Share of its size below which a difference in an objective is rounding; and width that is none:
proofs keep margins of that order for a solver's tolerances."""
LEAST_SIZE = 1e-6
"""USD or kgCO2e: the size of an objective that is nothing in all plans."""


def sizes(nadir: ArrayLike) -> Floats:
    """(3,) of cost and carbon their worst value; QoE and its loss are shares of 1."""
    size: Floats = np.maximum(np.abs(np.asarray(nadir, dtype=float)), LEAST_SIZE)
    size[2] = 1.0
    return size


def ranges(ideal: ArrayLike, nadir: ArrayLike) -> Floats:
    """(3,) between best and worst; 0 where that is rounding."""
    between = np.asarray(nadir, dtype=float) - np.asarray(ideal, dtype=float)
    return np.where(between > NEGLIGIBLE * sizes(nadir), between, 0.0)


def measures(ideal: ArrayLike, nadir: ArrayLike) -> Floats:
    """(3,) > 0: what differences are shares of, the range or else the size."""
    found = ranges(ideal, nadir)
    return np.where(found > 0.0, found, sizes(nadir))


def live_bounds(f: ArrayLike, reference: Floats, live: Mask) -> LocalUpperBounds:
    """Local upper bounds of points (n, 3) in the objectives that are `live` (3,), at least one."""
    bounds = LocalUpperBounds(reference[live])
    bounds.insert_all(np.asarray(f, dtype=float)[:, live])
    return bounds


def corners_and_steps(
    live_corners: Floats, ideal: Floats, nadir: Floats, reference: Floats
) -> tuple[Floats, Floats]:
    """(k, 3) corners that may hold a better plan, and (k, 3) the steps that a width below each is a
    share of, 0 in what does not count there; `live_corners` (l, m) are those of `live_bounds`."""
    between = ranges(ideal, nadir)
    live = between > 0.0
    flat = np.flatnonzero(~live)
    corners = np.tile(reference, (len(live_corners) + len(flat), 1))
    steps = np.zeros_like(corners)
    corners[: len(live_corners), live] = live_corners
    steps[: len(live_corners)] = between
    rows = len(live_corners) + np.arange(len(flat))
    corners[rows, flat] = ideal[flat]
    steps[rows, flat] = sizes(nadir)[flat]
    return corners, steps


def open_corners(f: Floats, reference: Floats) -> tuple[Floats, Floats]:
    """`corners_and_steps` of points (n, 3), n >= 1."""
    ideal, nadir = f.min(axis=0), f.max(axis=0)
    live = ranges(ideal, nadir) > 0.0
    none = np.zeros((0, 0))
    corners = live_bounds(f, reference, live).corners if live.any() else none
    return corners_and_steps(corners, ideal, nadir, reference)
