"""The time limit of a whole command, shared out in parts that are of use."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event

from planner.errors import PlannerError
from planner.plan import Plan

LEAST_S = 0.5
"""Nothing is begun with less."""
FIRST_ANSWER = {"relaxation": 1.3, "first plan": 0.6}
"""Phases of a search until it has a bound and a plan, and how much longer a re-solve may take."""


@dataclass
class Clock:
    """Seconds left of a limit; a re-solve with less than `useful_s` would find nothing."""

    limit_s: float
    useful_s: float = LEAST_S
    began: float = field(default_factory=time.monotonic)
    news: Callable[[str], None] | None = None
    """told what is begun"""
    stopped: Event = field(default_factory=Event)
    """set: begin nothing more; shared by all parts"""

    def __post_init__(self) -> None:
        if not 0.0 <= self.limit_s < math.inf:
            raise PlannerError(f"time limit {self.limit_s!r}: seconds above 0")

    @property
    def left_s(self) -> float:
        """Seconds to go, never negative; 0 once stopped."""
        return 0.0 if self.stopped.is_set() else max(self.limit_s - self.spent_s, 0.0)

    def begin(self, what: str) -> None:
        """Tell what is begun."""
        if self.news is not None:
            self.news(what)

    @property
    def spent_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    @property
    def over(self) -> bool:
        """Whether nothing more should be begun."""
        return self.left_s < LEAST_S

    def each(self, tasks: int, solves: int = 1) -> float:
        """Seconds for the next of so many tasks of so many re-solves; 0: not enough for any.

        Rather few tasks with enough time than all with too little.
        """
        needed = solves * self.useful_s
        return max(self.left_s / max(tasks, 1), needed) if self.left_s >= needed else 0.0

    def part(self, seconds: float) -> Clock:
        """A clock for some of what is left."""
        left = min(seconds, self.left_s)
        return Clock(left, self.useful_s, news=self.news, stopped=self.stopped)

    def share(self, share: float) -> Clock:
        """A clock for a share of what is left."""
        return self.part(self.left_s * share)


def useful_s(plan: Plan) -> float:
    """Seconds until a search like the plan's own has a bound and a plan."""
    known = sum(factor * plan.timings.get(name, 0.0) for name, factor in FIRST_ANSWER.items())
    return max(known, LEAST_S)
