"""When to change what runs: the rules that a backtest compares.

::

    never       what was decided first stays; a new plan only where it cannot go on
    always      the best plan of every date
    threshold   the best plan where a price that is paid, or a demand, moved by more than so much
                since the last one
    ours        `planner replan` without a margin: a move if its gain is proved to be worth it;
                where time is up before that is known, if its plan is better than the one that
                keeps by more than the threshold

All pay what their changes cost, and all know those costs when they plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from planner.backtest.history import Moment
from planner.backtest.steps import Kind
from planner.plan import Plan

POLICIES = ("never", "always", "threshold", "ours")
PRICE_THRESHOLD = 0.05
DEMAND_THRESHOLD = 0.10
MARKET_COLUMN = {
    "on-demand": "ondemand_usd_per_h",
    "spot": "spot_usd_per_h",
}
"""What is paid at the price of the day; a commitment keeps its own."""


@dataclass(frozen=True)
class Stand:
    """Where a policy stands: the plan in force and the date of its last new plan."""

    plan: Plan
    planned: Moment


def next_kind(policy: str, stand: Stand, moment: Moment) -> Kind:
    """What the policy does at a date."""
    if policy == "always" or (policy == "threshold" and is_over(stand, moment)):
        return "plan"
    return "check" if policy == "ours" else "keep"


def is_over(stand: Stand, moment: Moment) -> bool:
    """Whether a price that is paid or a demand moved by more than the thresholds."""
    prices, demands = price_moves(stand, moment), demand_moves(stand, moment)
    return any(move > PRICE_THRESHOLD for move in prices) or any(
        move > DEMAND_THRESHOLD for move in demands
    )


def price_moves(stand: Stand, moment: Moment) -> Iterator[float]:
    """How far each price that the plan pays has moved, as a share of what it was."""
    for line in stand.plan.fleet:
        column = MARKET_COLUMN.get(line.market)
        key = (line.region, line.offer)
        then, now = stand.planned.prices.get(key), moment.prices.get(key)
        if column is None or then is None or not line.instances:
            continue
        before = getattr(then, column)
        after = None if now is None else getattr(now, column)
        if before is not None:
            yield float("inf") if after is None else abs(after / before - 1.0)


def demand_moves(stand: Stand, moment: Moment) -> Iterator[float]:
    """How far the demand of each workload has moved."""
    for workload, now in moment.demand.items():
        before = stand.planned.demand.get(workload, 1.0)
        yield abs(now / before - 1.0) if before else float("inf")
