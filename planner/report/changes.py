"""What would change the answer: the thresholds that `planner explain --thresholds` stored.

Read from ``sensitivity.json`` of the run folder: `thresholds` (one figure moved, everything solved
again) and `break_evens` (two ways of answering a workload compared). A turn lies between the last
value at which the plan's own choice held and the first at which another won.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planner.answer.words import number
from planner.errors import RunError

NO_TURN = "not inside the range tested"


@dataclass(frozen=True)
class Change:
    """One figure that was moved, and where the decision turns."""

    figure: str
    today: str
    tested: str
    turns: str
    what: str
    distance: float
    """how far the figure must move: of its logarithm; infinite where nothing turns"""

    @property
    def sentence(self) -> str:
        """For the brief."""
        told = f"{self.figure} (today {self.today}): {self.turns}; tested {self.tested}"
        return f"{told}; then {self.what}." if self.what else f"{told}."


@dataclass(frozen=True)
class Changes:
    """All figures that were tested, for the plan of one point."""

    point: str | None
    """None: the plan of a run without front"""
    thresholds: tuple[Change, ...]
    break_evens: tuple[Change, ...]
    not_reached: tuple[str, ...]
    """what there was no time for"""

    def nearest(self, most: int) -> tuple[Change, ...]:
        """Those that turn a decision with the least move."""
        both = [*self.thresholds, *self.break_evens]
        return tuple(sorted(both, key=lambda row: row.distance)[:most])


def changes_of(stored: Mapping[str, Any]) -> Changes:
    """The content of ``sensitivity.json``; RunError where it is damaged."""
    try:
        return Changes(
            point=stored.get("point"),
            thresholds=tuple(_threshold(row) for row in stored.get("thresholds", ())),
            break_evens=tuple(_break_even(row) for row in stored.get("break_evens", ())),
            not_reached=tuple(str(text) for text in stored.get("not_reached", ())),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"sensitivity.json is damaged ({error!r}): make it again with "
            f"`planner explain RUN --thresholds`"
        ) from error


def _threshold(row: Mapping[str, Any]) -> Change:
    unit, today = str(row["unit"]), float(row["today"])
    sides = [(row["below"], row["changes_below"]), (row["above"], row["changes_above"])]
    turns = [_turn(flip) for flip, _ in sides if flip is not None]
    none = NO_TURN if row["complete"] else f"{NO_TURN}, but time was up before all was tested"
    return Change(
        figure=str(row["name"]),
        today=_amount(today, unit),
        tested=_range(row, unit),
        turns="; ".join(turns) or none,
        what="; ".join(dict.fromkeys(str(c) for flip, parts in sides if flip for c in parts)),
        distance=_distance(today, [flip for flip, _ in sides if flip is not None]),
    )


def _break_even(row: Mapping[str, Any]) -> Change:
    unit, today, flip = str(row["unit"]), float(row["today"]), row["flip"]
    return Change(
        figure=f"{row['workload']}: {row['figure']}",
        today=_amount(today, unit),
        tested=_range(row, unit),
        turns=NO_TURN if flip is None else _turn(flip),
        what="" if flip is None else f"{row['rival']} instead of {row['own']}",
        distance=_distance(today, [] if flip is None else [flip]),
    )


def _turn(flip: Mapping[str, Any]) -> str:
    ends = sorted((float(flip["last_own"]), float(flip["first_rival"])))
    proof = "proved" if flip["proved"] else "not proved"
    return f"turns between {number(ends[0])} and {number(ends[1])} ({proof})"


def _range(row: Mapping[str, Any], unit: str) -> str:
    return f"{number(float(row['tested_low']))} to {_amount(float(row['tested_high']), unit)}"


def _amount(value: float, unit: str) -> str:
    return f"{number(value)} {unit}".strip()


def _distance(today: float, flips: Sequence[Mapping[str, Any]]) -> float:
    found = [math.inf]
    for flip in flips:
        value = float(flip["first_rival"])
        both = value > 0 and today > 0
        found.append(abs(math.log(value / today)) if both else abs(value - today))
    return min(found)
