"""What became of a front under new data: how far it moved, and whether a point is still on it.

Every point is priced as it stands under the new data by the checker's arithmetic. The chosen one
was the cheapest plan of its carbon and QoE; whether it still is, the check itself proves.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from planner.compare.recost import recost
from planner.errors import RunError
from planner.front.front import Front, FrontPoint, as_minimised
from planner.front.geometry import Floats
from planner.incumbent import incumbent_of
from planner.instance.facts import Facts
from planner.plan import Plan
from planner.replan.decision import FrontRecord
from planner.replan.prepare import Prepared
from planner.replan.rule import Interval, verdict

SAME = 1e-9
"""Relative: figures recomputed in another order."""


def front_record(
    ready: Prepared, found: Interval | None, least: float, new_front: Path | None
) -> FrontRecord:
    """The old front under the facts of the check, and against a front of today's data."""
    side = ready.current.side
    assert side is not None and side.point is not None
    folder = Path(side.path)
    front = Front.read(folder)
    now = priced_now(ready.facts, front, folder)
    before = {point.id: as_minimised(point.objectives) for point in front.points}
    on = None if found is None else {"keep": True, "move": False}.get(verdict(found, least))
    new = None if new_front is None else Front.read(new_front)
    if new is not None and not new.points:
        raise RunError(f"{new_front} has no points to compare with")
    alive = np.array(list(now.values())).reshape(-1, 3)
    return FrontRecord(
        point=side.point.id,
        points=len(front.points),
        feasible=len(now),
        cost_moved_relative=_span([now[i][0] / before[i][0] - 1.0 for i in now]),
        carbon_moved_relative=_span([now[i][1] / before[i][1] - 1.0 for i in now]),
        on_front=on,
        new_front=None if new_front is None else str(new_front),
        dominated=None if new is None else dominated(alive, new.minimised),
        epsilon=None if new is None else epsilon_between(alive, new.minimised, new.measures),
        successor=None
        if new is None
        else successor(now.get(side.point.id, before[side.point.id]), new).id,
    )


def priced_now(facts: Facts, front: Front, folder: Path) -> dict[str, Floats]:
    """Point -> (3,) its plan's cost, carbon and QoE loss under the facts, where it still holds."""
    incumbent = incumbent_of(facts)
    found = {}
    for point in front.points:
        plan: Plan = front.read_plan(point.id, folder)
        # Against itself: a plan that would run pays no change.
        now = recost(facts, plan, plan if incumbent is not None else None)
        if now.feasible:
            found[point.id] = as_minimised(now.objectives)
    return found


def dominated(old: Floats, new: Floats) -> int:
    """Points of `old` that some point of `new` betters, no objective being worse."""

    def bettered(row: Floats) -> bool:
        slack = SAME * np.abs(row)
        no_worse, better = (new <= row + slack).all(axis=1), (new < row - slack).any(axis=1)
        return bool((no_worse & better).any())

    return sum(map(bettered, old))


def epsilon_between(old: Floats, new: Floats, measures: Floats) -> float:
    """Least share of each range, or size where there is none, that must be taken off `old` for it
    to cover `new`."""
    if not len(old):
        return 1.0
    short = ((old[:, None, :] - new[None, :, :]) / measures).max(axis=2).min(axis=0)
    return float(short.max()) if short.max() > SAME else 0.0


def successor(f: Floats, new: Front) -> FrontPoint:
    """The cheapest point of the new front with no more carbon and no less QoE; without one, the
    point that is least worse in units of the ranges."""
    others = new.minimised
    within = np.flatnonzero((others[:, 1:] <= f[1:] * (1.0 + 1e-9) + 1e-12).all(axis=1))
    if len(within):
        return new.points[int(within[np.argmin(others[within, 0])])]
    worse = (np.maximum(others - f, 0.0) / new.measures).max(axis=1)
    return new.points[int(np.argmin(worse))]


def _span(values: list[float]) -> tuple[float, float] | None:
    return (float(min(values)), float(max(values))) if values else None
