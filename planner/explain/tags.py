"""Price tags of limits: one right-hand side moved, the plan re-solved, the difference told.

A difference of two certified plans, not a dual of fixed integers; it holds for the step made and
says nothing beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from planner.errors import InfeasibleError, PlannerError
from planner.explain.bench import Bench, Solved
from planner.explain.clock import Clock
from planner.explain.limits import CAPS, Limit
from planner.explain.results import PriceTag
from planner.plan import Plan

STEPS = {"caps": 0.05, "quota": 0.05, "targets.s": 0.1}
"""Relative steps by kind of limit."""
ABSOLUTE_STEP = {"qoe": 0.01, "quality": 0.02, "attainment": 0.01, "share": 0.05}
DIRECTIONS = ("looser", "tighter")


def step_of(limit: Limit) -> float:
    """How far the limit is moved, in its unit."""
    today = limit.limit if limit.figure is None else limit.figure
    kind, name = limit.path.partition(".")[0], limit.path.rpartition(".")[2]
    if kind == "caps":
        return STEPS["caps"] * today
    if kind == "quota":
        whole = max(limit.whole, 1)
        return float(whole * max(1, round(STEPS["quota"] * today / whole)))
    if limit.whole:
        return float(limit.whole)
    if name in ("ttft_s", "tpot_s"):
        return STEPS["targets.s"] * today
    if name in ("qoe", "quality", "attainment"):
        return ABSOLUTE_STEP[name]
    return ABSOLUTE_STEP["share"]


def moved_to(limit: Limit, direction: str) -> float | None:
    """The figure after one step; None where there is no room for it."""
    today = limit.limit if limit.figure is None else limit.figure
    sign = limit.looser if direction == "looser" else -limit.looser
    value = today + sign * step_of(limit)
    share = not limit.path.startswith(("caps", "quota")) and not limit.path.endswith("_s")
    if share and not limit.whole:
        value = min(max(value, 0.0), 1.0)
    if limit.whole and value < (0.0 if limit.path.startswith("quota") else 1.0):
        return None
    return None if math.isclose(value, today) or value < 0.0 else round(value, 10)


def price_tags(
    bench: Bench,
    plans: Sequence[Plan],
    bound: float,
    limits: Sequence[Limit],
    clock: Clock,
) -> tuple[list[PriceTag], list[str]]:
    """(tags, what was not reached): every cap and every binding limit looser, then tighter.

    Whole machines may leave room under a cap that decides all the same. `plans` are the plan
    itself, then others to begin from.
    """
    asked = [
        (limit, direction)
        for direction in DIRECTIONS
        for limit in _one_per_figure(limits)
        if (limit.binds or limit.path in CAPS) and moved_to(limit, direction) is not None
    ]
    tags: list[PriceTag] = []
    missed: list[str] = []
    for at, (limit, direction) in enumerate(asked):
        what = f"price tag, {direction}: {limit.words}"
        if clock.over:
            missed.append(what)
            continue
        seconds = clock.each(len(asked) - at)
        clock.begin(f"{at + 1} of {len(asked)}: {what}")
        tags.append(_tag(bench, plans, bound, limit, direction, seconds))
        if not seconds:
            missed.append(f"re-solve for the {what}")
    return tags, missed


def _one_per_figure(limits: Sequence[Limit]) -> list[Limit]:
    """Limits that one figure sets together are moved together."""
    found: dict[str, Limit] = {}
    for limit in limits:
        first = found.setdefault(limit.path, limit)
        if first is not limit:
            binds = first.binds or limit.binds
            found[limit.path] = replace(first, words=limit.path, used=None, binds=binds)
    return list(found.values())


def _tag(
    bench: Bench,
    plans: Sequence[Plan],
    bound: float,
    limit: Limit,
    direction: str,
    seconds: float,
) -> PriceTag:
    target = moved_to(limit, direction)
    assert target is not None
    change = f"{limit.path}={target:.10g}"
    note, solved, feasible = "", None, True
    try:
        moved = bench.changed([change])
        solved = moved.quick(*plans)
        if seconds:
            solved = moved.solve(seconds, *plans)
    except InfeasibleError as error:
        note, solved, feasible = f"no plan exists there (proved): {error}", None, False
    except PlannerError as error:  # nothing found in time, or out of the format's range
        note = str(error)
    tag = tag_of(limit, change, target, bench.worth(plans[0]), bound, direction, solved)
    return replace(tag, feasible=feasible, note=note)


def tag_of(
    limit: Limit,
    change: str,
    target: float,
    value: float,
    bound: float,
    direction: str,
    solved: Solved | None,
) -> PriceTag:
    """The tag of one step; more room never costs anything, less never saves anything."""
    today = limit.limit if limit.figure is None else limit.figure
    least = most = estimate = per_unit = None
    if solved is not None:
        least, most = solved.bound - value, solved.value - bound
        estimate = solved.value - value
        if direction == "looser":
            most = min(most, 0.0)
            least, estimate = min(least, 0.0), min(estimate, 0.0)
        else:
            least = max(least, 0.0)
            most, estimate = max(most, 0.0), max(estimate, 0.0)
        per_unit = estimate / (target - today)
    return PriceTag(
        limit=limit.words,
        change=change,
        unit=limit.unit,
        used=limit.used,
        today=today,
        moved_to=target,
        least=least,
        most=most,
        estimate=estimate,
        per_unit=per_unit,
        feasible=True,
        solved=solved is not None and solved.searched,
    )
