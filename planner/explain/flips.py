"""Where a verdict turns: two sides compared at values of a figure, and a search between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from planner.errors import InfeasibleError, PlannerError, SolverError, VerificationError
from planner.explain.bench import Bench, Solved
from planner.explain.clock import Clock
from planner.explain.results import Flip, Trial
from planner.plan import Plan

EVEN = 1e-4
"""Sides closer than this share of the value are level."""
NEITHER = "none"
"""Leads where no side has a plan, proved."""
BESIDE_GUESS = (1.15, 1.0 / 1.15)
"""A closed form is tried from a little beyond it, then from a little before it."""
REFUSED = "refused"
"""Leads where the instance format has no such value."""
NO_VERDICT = (NEITHER, REFUSED)
MOST_STEPS = 12

Test = Callable[[float], Trial | None]


@dataclass(frozen=True)
class Scale:
    """How a figure is moved: by factors or by amounts; `fine` ends a bisection."""

    factors: bool
    fine: float

    def middle(self, low: float, high: float) -> float:
        """Halfway."""
        if self.factors:
            return float((low * high) ** 0.5)
        return (low + high) / 2.0

    def close(self, low: float, high: float) -> bool:
        """Near enough to stop."""
        if self.factors:
            return max(low, high) / min(low, high) <= 1.0 + self.fine
        return abs(high - low) <= self.fine


def compared(value: float, own: Solved | None, rival: Solved | None, even: float = EVEN) -> Trial:
    """One test; None for a side that is proved impossible there.

    The own side leads, proved, where no plan of the rival's is better by more than `even` (a share
    of the value); the rival leads, proved, where all of its own are worse by more than that.
    """
    if own is None or rival is None:
        leader = "own" if own is not None else "rival" if rival is not None else NEITHER
        return Trial(value, leader, True, None, None, None)
    least, most = rival.bound - own.value, rival.value - own.bound
    estimate = rival.value - own.value
    slack = even * abs(own.value)
    if most < -slack:
        return Trial(value, "rival", True, least, most, estimate)
    if least >= -slack:
        return Trial(value, "own", True, least, most, estimate)
    leader = "own" if estimate > slack else "rival" if estimate < -slack else "open"
    return Trial(value, leader, False, least, most, estimate)


def at_value(bench: Bench, change: str, value: float) -> Bench | Trial:
    """The bench under the change, or the test that needs no solver: nothing can be served there,
    or the format refuses the value."""
    try:
        return bench.changed([f"{change}{value:.10g}"])
    except InfeasibleError:
        return compared(value, None, None)
    except PlannerError:
        return Trial(value, REFUSED, True, None, None, None)


def side(bench: Bench | None, seconds: float, *plans: Plan) -> Solved | None:
    """A side re-solved; None where it is proved impossible. SolverError: nothing was found."""
    if bench is None:
        return None
    try:
        return bench.solve(seconds, *plans)
    except InfeasibleError:
        return None
    except (SolverError, VerificationError) as error:
        found = bench.quick(*plans)
        if found is None:
            raise SolverError(str(error)) from error
        return found


def search(
    test: Test, today: float, end: float, guess: float | None, scale: Scale, clock: Clock
) -> tuple[Flip | None, list[Trial], bool]:
    """(the turn between `today` and `end`, every test, whether a turn or the end was reached).

    Today's verdict is the plan's own. A guess is tried on both its sides first; then the end,
    then halves. A verdict is taken to turn once; a value at which neither side has a plan, or
    that the format refuses, ends the search.
    """
    tests: list[Trial] = []

    def at(value: float) -> Trial | None:
        found = None if clock.over else test(value)
        if found is not None:
            tests.append(found)
        return found

    own: tuple[float, bool] = (today, False)
    rival: Trial | None = None
    inside = guess is not None and min(today, end) < guess < max(today, end)
    first = [_beside(guess, today, end, scale)] if inside and guess is not None else []
    for value in (*first, end):
        found = at(value)
        if found is None:
            return None, tests, False
        if found.leader == "rival":
            rival = found
            break
        if found.leader in NO_VERDICT:
            break
        own = (value, found.proved)
    if rival is None:
        return None, tests, True
    near = [guess * BESIDE_GUESS[1] if guess > today else guess * BESIDE_GUESS[0]] if (
        inside and guess is not None and scale.factors) else []  # fmt: skip
    for step in range(MOST_STEPS):
        if scale.close(own[0], rival.value):
            break
        middle = near.pop() if step == 0 and near else scale.middle(own[0], rival.value)
        if not min(own[0], rival.value) < middle < max(own[0], rival.value):
            middle = scale.middle(own[0], rival.value)
        found = at(middle)
        if found is None:
            break
        if found.leader in NO_VERDICT:
            break
        if found.leader == "rival":
            rival = found
        else:
            own = (middle, found.proved)
    return Flip(own[0], rival.value, own[1] and rival.proved), tests, True


def _beside(guess: float, today: float, end: float, scale: Scale) -> float:
    """A little beyond the guess, seen from today, and not beyond the end."""
    if scale.factors:
        beyond = guess * (BESIDE_GUESS[0] if guess > today else BESIDE_GUESS[1])
    else:
        beyond = guess + 0.1 * (guess - today)
    return min(beyond, end) if end > today else max(beyond, end)


def tested_span(today: float, tests: Sequence[Trial]) -> tuple[float, float]:
    """Least and most value at which a verdict was had, today's included."""
    values = [today, *(test.value for test in tests if test.leader not in NO_VERDICT)]
    return min(values), max(values)


def impossible_note(tests: Sequence[Trial]) -> str:
    """Where neither side has a plan, or none may be asked for, in words; empty without such."""
    said = []
    refused = "a figure leaves the range of the format"
    for leader, words in ((NEITHER, "no plan exists at all"), (REFUSED, refused)):
        values = sorted(test.value for test in tests if test.leader == leader)
        if values:
            said.append(f"at {', '.join(f'{v:.3g}' for v in values)} {words}")
    return "; ".join(said)
