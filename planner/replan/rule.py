"""The rule: from what is proved of keeping and of changing to keep, move or undecided.

K is the least that the period can come to when all that the running plan decided stays and only
rentals, replicas and routing follow the new data; N when everything may change and the period's
share of the costs of the change is paid. Nobody knows either exactly, but each lies between its
bound and the plan found. So the regret R = K - N >= 0 of not changing lies in

    [ max(0, K bound - N value),  K value - N bound ]

whatever the solver did not find. N is a bound of K too, since keeping is one way of changing.

Move only if even the lower end exceeds the threshold, keep if not even the upper end does; the
threshold is a margin on K plus (switching factor - 1) times the period's share of the costs of the
change, so that the gain over the horizon before its costs is that many times what it costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["keep", "move", "undecided"]


@dataclass(frozen=True)
class Proved:
    """A value found and what is proved of it: no plan comes to less than `bound`."""

    value: float
    bound: float


@dataclass(frozen=True)
class Interval:
    """Something lies between these, proved."""

    low: float
    high: float

    @property
    def width(self) -> float:
        """How much is open."""
        return self.high - self.low


def regret(keep: Proved, change: Proved) -> Interval:
    """What keeping loses against the best change, in the unit of the objective."""
    keep_bound = max(keep.bound, change.bound)
    change_value = min(change.value, keep.value)
    low = max(keep_bound - change_value, 0.0)
    return Interval(low, max(keep.value - change.bound, low))


def threshold(keep: Proved, moving: float, margin: float, switching_factor: float) -> float:
    """Least gain of the period that is worth a change; `moving`: its share of moving costs."""
    return margin * abs(keep.value) + (switching_factor - 1.0) * moving


def verdict(found: Interval, least: float) -> Verdict:
    """What the interval says against the threshold."""
    if found.low > least:
        return "move"
    return "keep" if found.high <= least else "undecided"
