"""Rounding for readers: enough digits, and lines that still add up to their total."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

DIGITS = 5
"""Significant digits of the largest figure of a column or a total."""


def decimals_for(largest: float) -> int:
    """Decimals that show at least `DIGITS` significant digits of `largest`; 0 from 10,000 on."""
    if largest == 0 or not math.isfinite(largest):
        return 0
    return max(0, DIGITS - 1 - math.floor(math.log10(abs(largest))))


def balanced(values: Sequence[float], decimals: int) -> list[float]:
    """Values rounded to `decimals` so that they add up to their rounded sum exactly.

    Largest remainders: all are rounded down, then those that lost most get the missing units,
    the first of equals. No value moves by a whole unit of the last decimal.
    """
    scale = 10**decimals
    scaled = [value * scale for value in values]
    floors = [math.floor(value) for value in scaled]
    missing = round(math.fsum(scaled)) - sum(floors)
    lost = sorted(range(len(values)), key=lambda at: floors[at] - scaled[at])
    for at in lost[:missing]:
        floors[at] += 1
    return [floor / scale for floor in floors]


def balanced_lines(lines: Mapping[str, float]) -> tuple[dict[str, float], float, int]:
    """Lines other than 0, largest first, rounded so that they add up; their total; decimals."""
    ordered = sorted(
        ((name, value) for name, value in lines.items() if value), key=lambda part: -abs(part[1])
    )
    total = math.fsum(lines.values())
    decimals = decimals_for(total)
    rounded = balanced([value for _, value in ordered], decimals)
    kept = {name: value for (name, _), value in zip(ordered, rounded, strict=True)}
    return kept, round(total, decimals) + 0.0, decimals
