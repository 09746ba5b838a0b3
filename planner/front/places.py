"""Where boxes are worth proving: lines below a corner or a plan, the most promising first.

Each is (origin (3,), step (3,), enough): a box is asked for along ``origin - t step``, and need not
prove more than that no plan lies further than `enough`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from planner.front.enclosure import Enclosure
from planner.front.geometry import Floats, cost_bounds, epsilons, relative_gaps

Place = tuple[Floats, Floats, float]


def wide(enclosure: Enclosure, epsilon: float, enough: float) -> Iterator[Place]:
    """Below the corners that cuts and boxes leave wider than `epsilon`."""
    corners, steps = enclosure.corners()
    width = epsilons(corners, enclosure.plain_cuts(), enclosure.plain_boxes(), steps)
    for i in np.argsort(-width, kind="stable"):
        if width[i] <= epsilon:
            return
        # A box may have closed this corner meanwhile.
        now = epsilons(corners[i], enclosure.plain_cuts(), enclosure.plain_boxes(), steps[i])[0]
        if now > epsilon:
            yield *enclosure.line(corners[i], steps[i]), enough


def roomy(enclosure: Enclosure) -> Iterator[Place]:
    """Below the corners where the cuts leave most room."""
    corners, _ = enclosure.corners()
    rooms = enclosure.rooms(corners)
    for i in np.argsort(-rooms.prod(axis=1), kind="stable"):
        yield corners[i], rooms[i], 0.0


def dear(enclosure: Enclosure, gap: float) -> Iterator[Place]:
    """Along the cost of the plans whose gap in it is above `gap`, the smallest first."""
    f = np.array([point.f for point in enclosure.listed()])
    gaps = relative_gaps(f, cost_bounds(f, enclosure.plain_cuts(), enclosure.plain_boxes()))
    for i in np.argsort(gaps, kind="stable"):
        if gaps[i] > gap:
            yield f[i], np.array([f[i, 0], 0.0, 0.0]), gap
