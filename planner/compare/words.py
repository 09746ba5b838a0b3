"""Amounts of a comparison as people read them: rounded so that they still add up."""

from __future__ import annotations

import math
from collections.abc import Sequence

from planner.answer.words import percent

MOST_DECIMALS = {"cost": 2, "carbon": 2, "qoe": 4, "water": 0}
NO_GAP = 5e-6
DIGITS = 6
"""Telling digits of the larger of two totals."""


def decimals_of(objective: str, *amounts: float) -> int:
    """Decimals that show `DIGITS` digits of the largest amount, within what the unit deserves."""
    most = MOST_DECIMALS[objective]
    largest = max((abs(amount) for amount in amounts), default=0.0)
    if objective == "qoe" or largest < 1.0:
        return most
    return min(max(DIGITS - 1 - math.floor(math.log10(largest)), 0), most)


def apportioned(parts: Sequence[float], total: float, decimals: int) -> list[float]:
    """The parts rounded so that they add up to `total`, itself a multiple of the last decimal.

    Largest remainders: no part moves by a whole unit of the last decimal or more, unless the parts
    do not add up to the total to begin with.
    """
    unit = 10.0**decimals
    scaled = [part * unit for part in parts]
    floors = [math.floor(value) for value in scaled]
    left = round(total * unit) - sum(floors)
    order = sorted(range(len(parts)), key=lambda i: floors[i] - scaled[i])
    # Parts of nothing at all stay nothing as long as others can take the remainder.
    order = [i for i in order if parts[i] != 0.0] + [i for i in order if parts[i] == 0.0]
    for i in range(abs(left)):
        floors[order[i % len(order)]] += 1 if left > 0 else -1
    return [value / unit for value in floors]


def rounded_change(
    old: float, new: float, effects: Sequence[float], decimals: int
) -> tuple[float, float, float, list[float]]:
    """(old, new, change, effects) rounded; the effects add up to the change, old + change to new.

    The change is that of the rounded totals.
    """
    before, after = round(old, decimals), round(new, decimals)
    change = round(after - before, decimals)
    return before, after, change, apportioned(effects, change, decimals)


def signed(value: float, decimals: int) -> str:
    """``+1,234``; ``0`` for what rounds to nothing."""
    text = f"{value:+,.{decimals}f}"
    return "0" if not value else text


def plain(value: float, decimals: int) -> str:
    """``1,234.50``."""
    return f"{value:,.{decimals}f}"


def relative(value: float | None) -> str:
    """``+1.23 %``; three telling digits."""
    if value is None:
        return ""
    if value == 0.0:
        return "0 %"
    size = 100.0 * abs(value)
    decimals = max(0, 2 - math.floor(math.log10(size))) if size >= 0.01 else 4
    return f"{100.0 * value:+,.{min(decimals, 4)}f} %"


def gap(relative_gap: float) -> str:
    """A proved gap in percent; ``0 %`` for what is the tolerance of the arithmetic."""
    return percent(relative_gap) if relative_gap > NO_GAP else "0 %"
