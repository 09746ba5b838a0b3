"""What would change the answer: what `planner explain --thresholds` found and stored.

Read from ``sensitivity.json`` beside a plan: `thresholds` (one figure moved, everything solved
again), `break_evens` (two ways of answering a workload compared) and `price_tags` (one limit moved
a step). A turn lies between the last value at which the plan's own choice held and the first at
which another won.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planner.answer.words import number
from planner.errors import RunError

NO_TURN = "holds in the whole range tested"
UNFINISHED = "no turn met before time was up"
AS_IT_IS = "as it is"
TIMES, ADDED = "times", "added"
"""How the units of figures that are moved by factors begin, and that of amounts added."""
THINNEST = 0.02
"""Of the picture of a range: a turn at its very end is seen too."""


@dataclass(frozen=True)
class Zone:
    """A part of the range tested where the decision has turned, as shares of the picture."""

    start: float
    width: float


@dataclass(frozen=True)
class Change:
    """One figure that was moved, and where a decision turns."""

    figure: str
    today: str
    tested: str
    turns: str
    what: str
    """what is decided then; empty where nothing turns or it is not known"""
    distance: float
    """how far the figure must move, by its logarithm; infinite where nothing turns"""
    mark: float
    """place of today's value in the range tested, 0 to 1"""
    zones: tuple[Zone, ...]

    @property
    def sentence(self) -> str:
        """For the brief."""
        now = "" if self.today == AS_IT_IS else f" (now {self.today})"
        told = f"{self.figure}{now}: {self.turns}; tested {self.tested}"
        return f"{told}; then {self.what}." if self.what else f"{told}."


@dataclass(frozen=True)
class PriceTag:
    """What one limit moved a step is worth in the objective, proved to lie in a range."""

    limit: str
    step: str
    change: str
    proved: str


@dataclass(frozen=True)
class Changes:
    """Everything that was tested around one plan."""

    point: str
    thresholds: tuple[Change, ...]
    break_evens: tuple[Change, ...]
    price_tags: tuple[PriceTag, ...]
    unit: str
    """of the price tags: of the objective that the plan minimises"""
    untested: int
    """comparisons there was no time for"""

    def nearest(self, most: int) -> tuple[Change, ...]:
        """Those that turn a decision with the least move; what holds comes last."""
        both = [*self.thresholds, *self.break_evens]
        return tuple(sorted(both, key=lambda row: row.distance)[:most])


def changes_of(point: str, stored: Mapping[str, Any]) -> Changes:
    """The content of a ``sensitivity.json``; RunError where it is damaged."""
    try:
        thresholds, even = stored.get("thresholds", ()), stored.get("break_evens", ())
        tested = [row for row in [*thresholds, *even] if row["tests"]]
        tags = [row for row in stored.get("price_tags", ()) if row["estimate"] is not None]
        return Changes(
            point=point,
            thresholds=_sorted([_threshold(row) for row in thresholds if row["tests"]]),
            break_evens=_sorted([_break_even(row) for row in even if row["tests"]]),
            price_tags=tuple(_price_tag(row) for row in tags),
            unit=str(stored["unit"]),
            untested=len(thresholds) + len(even) - len(tested) + len(stored["not_reached"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"sensitivity.json of {point} is damaged ({error!r}): make it again with "
            f"`planner explain RUN --thresholds`"
        ) from error


def _sorted(rows: list[Change]) -> tuple[Change, ...]:
    return tuple(sorted(rows, key=lambda row: row.distance))


def _threshold(row: Mapping[str, Any]) -> Change:
    sides = [(row["below"], row["changes_below"]), (row["above"], row["changes_above"])]
    turned = [(flip, changes) for flip, changes in sides if flip is not None]
    what = "; ".join(dict.fromkeys(str(text) for _, changes in turned for text in changes))
    return _change(row, str(row["name"]), [flip for flip, _ in turned], what, bool(row["complete"]))


def _break_even(row: Mapping[str, Any]) -> Change:
    subject = str(row["change"]).partition(".")[2].rstrip("*+-=")
    kinds = {"demand": "demand", "refresh": "days between refreshes"}
    figure = kinds.get(str(row["figure"])) or f"quality of {subject.partition('/')[2]}"
    flips = [] if row["flip"] is None else [row["flip"]]
    what = f"{row['rival']} instead of {row['own']}" if flips else ""
    return _change(row, f"{row['workload']}: {figure}", flips, what, not row["note"])


def _change(
    row: Mapping[str, Any],
    figure: str,
    flips: Sequence[Mapping[str, Any]],
    what: str,
    complete: bool,
) -> Change:
    unit = str(row["unit"])
    low, high, today = (float(row[k]) for k in ("tested_low", "tested_high", "today"))
    moved = unit == ADDED or unit.startswith(TIMES)
    return Change(
        figure=figure,
        today=AS_IT_IS if moved else number(today),
        tested=f"{_amount(low, unit)} to {_amount(high, unit)}",
        turns="; ".join(_turn(flip, unit) for flip in flips)
        or (NO_TURN if complete else UNFINISHED),
        what=what,
        distance=_distance(today, flips),
        mark=_place(today, low, high, unit),
        zones=tuple(_zone(flip, today, low, high, unit) for flip in flips),
    )


def _amount(value: float, unit: str) -> str:
    """``×0.8`` of a factor, ``+0.05`` of what is added, else the value itself."""
    if unit.startswith(TIMES):
        return f"×{value:.3g}"
    return _signed(value) if unit == ADDED else number(value)


def _turn(flip: Mapping[str, Any], unit: str) -> str:
    ends = sorted((float(flip["last_own"]), float(flip["first_rival"])))
    proof = "proved" if flip["proved"] else "by the plans found, not proved"
    return f"turns between {_amount(ends[0], unit)} and {_amount(ends[1], unit)} ({proof})"


def _distance(today: float, flips: Sequence[Mapping[str, Any]]) -> float:
    found = [math.inf]
    for flip in flips:
        value = float(flip["first_rival"])
        both = value > 0 and today > 0
        found.append(abs(math.log(value / today)) if both else abs(value - today))
    return min(found)


def _place(value: float, low: float, high: float, unit: str) -> float:
    """Between the ends of the range tested, 0 to 1; factors by their logarithm."""
    if high <= low:
        return 0.5
    if unit.startswith(TIMES) and low > 0 and value > 0:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _zone(flip: Mapping[str, Any], today: float, low: float, high: float, unit: str) -> Zone:
    """From the first value at which the rival won to the end of the range on that side."""
    value = float(flip["first_rival"])
    at = _place(value, low, high, unit)
    if value > today:
        at = min(at, 1.0 - THINNEST)
        return Zone(at, 1.0 - at)
    return Zone(0.0, max(at, THINNEST))


def _price_tag(row: Mapping[str, Any]) -> PriceTag:
    ends = [row["least"], row["most"]]
    return PriceTag(
        limit=str(row["limit"]),
        step=f"{number(float(row['today']))} to {number(float(row['moved_to']))} {row['unit']}",
        change=_signed(float(row["estimate"])),
        proved=" to ".join("not known" if end is None else _signed(float(end)) for end in ends),
    )


def _signed(value: float) -> str:
    sign = "+" if value > 0 else "\N{MINUS SIGN}" if value < 0 else ""
    return sign + number(abs(value))
