"""Slices against the calendar: the hours of the day and the months that the period has.

A slice is representative: it stands for hours of its window on all days of the period, whatever the
month of its grid. So the hours of all slices in a window of the day cannot be more than the period
has of them (a whole number of days, as a month of 730 hours ends within one). Of several windows
that is Hall's condition, and of arcs on a clock it is enough to look at arcs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from planner.catalog import Catalog
from planner.instance.checks import SUM_TOLERANCE, Tables
from planner.instance.ends import bounds, months
from planner.instance.findings import Finding, shortened
from planner.instance.resolve import hours_of
from planner.instance.schema import Period, Slice

DAY_H = 24
YEARS = (2000, 2200)
MONTH_ROOM = 1.1
"""Months of 730 hours are as good as those of a calendar."""
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)


def another_century(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """The period begins in a year that can be meant."""
    if t.settings is not None and not YEARS[0] <= t.settings.period.start.year < YEARS[1]:
        yield t.setting(
            "period.start", t.settings.period.start, f"outside {YEARS[0]} to {YEARS[1]}",
            "write the first day of the period, such as 2026-09-01",
        )  # fmt: skip


def hours_no_day_has(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """The hours of the slices fit the windows of the day that the period has."""
    if t.settings is None or not (t.slices.whole and t.slices.rows):
        return
    hours = t.settings.period.hours
    rows = [row for row in t.slices.rows if _has_window(row)]
    total = math.fsum(row.hours for row in rows)
    if len(rows) < len(t.slices.rows) or abs(total - hours) > SUM_TOLERANCE * hours:
        return  # reported already
    for start, width in _arcs(rows):
        inside = [row for row in rows if _lies_in(row, start, width)]
        held = math.fsum(row.hours for row in inside)
        if held > width * math.ceil(hours / DAY_H) * (1.0 + SUM_TOLERANCE):
            yield t.slices.about(
                _too_many(inside, held, start, width, hours),
                "change the hours or the windows of these slices, or period.hours",
                "hours",
                f"{held:g}",
            )
            return


def _has_window(row: Slice) -> bool:
    """Whether the window of the day can be read: not empty, and said whole or not at all."""
    said = len(row.model_fields_set & {"start_hour_utc", "end_hour_utc"})
    return row.start_hour_utc != row.end_hour_utc and said != 1


def _arcs(rows: list[Slice]) -> list[tuple[int, int]]:
    """(start, width) of every stretch of the clock from a slice's start, narrow ones first."""
    starts = sorted({row.start_hour_utc for row in rows})
    return sorted(((s, w) for s in starts for w in range(1, DAY_H)), key=lambda arc: arc[1])


def _lies_in(row: Slice, start: int, width: int) -> bool:
    """Whether the window of a slice lies in the stretch of the clock."""
    return all((hour - start) % DAY_H < width for hour in hours_of(row))


def _too_many(rows: list[Slice], held: float, start: int, width: int, hours: float) -> str:
    names = shortened(", ".join(row.slice for row in rows))
    verb = "stands" if len(rows) == 1 else "stand"
    end = (start + width - 1) % DAY_H + 1
    return (
        f"{names} {verb} for {held:g} h between {start:02d}:00 and {end:02d}:00, but the "
        f"{hours / DAY_H:.1f} days of the period have {hours * width / DAY_H:g} h of them"
    )


def months_of_another_time(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """The months of the slices are the period's, and no month has more hours than it has there."""
    if t.settings is None or not (t.slices.whole and t.slices.rows):
        return
    if not YEARS[0] <= t.settings.period.start.year < YEARS[1]:
        return
    have = month_hours(t.settings.period)
    for index, row in enumerate(t.slices.rows):
        if row.month not in have:
            yield t.slices.finding(
                index,
                "month",
                f"{MONTHS[row.month - 1]} is not in the period, which has {_named(have)}: the "
                "slice takes the grid carbon of another time",
                f"name a month of the period, or change period.start ({t.settings.period.start})",
                warning=True,
                name=f"slices/{row.slice}/month",
            )
    used = {row.month for row in t.slices.rows}
    if used != set(have):
        return  # some months stand for others: their hours are not their own
    for month, most in have.items():
        rows = [row for row in t.slices.rows if row.month == month]
        held = math.fsum(row.hours for row in rows)
        if held > most * MONTH_ROOM:
            yield t.slices.finding(
                t.slices.rows.index(rows[-1]),
                "month",
                f"the slices of {MONTHS[month - 1]} stand for {held:g} h, the period has "
                f"{most:g} h of it",
                "change the hours of these slices",
                warning=True,
                name=f"slices/{rows[-1].slice}/month",
            )


def month_hours(period: Period) -> dict[int, float]:
    """Hours of each month of the year that the period has."""
    hours: dict[int, float] = {}
    for begin, end in months(*bounds(period)):
        hours[begin.month] = hours.get(begin.month, 0.0) + (end - begin).total_seconds() / 3600.0
    return hours


def _named(found: dict[int, float]) -> str:
    return ", ".join(f"{hours:g} h of {MONTHS[month - 1]}" for month, hours in found.items())


CALENDAR = (another_century, hours_no_day_has, months_of_another_time)
