"""Commitments that end within the period: slices are cut there, so that the hours after an end are
not covered.

A slice stands for hours that are spread over the days of its month (over the whole period where
the period has no such month), so the part before an end is the share of those days before it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from planner.instance.schema import Demand, Instance, Owned, Period, Slice

LEAST_SHARE = 1e-9
"""Of a slice: smaller parts are rounding."""

Moment = dt.datetime


@dataclass(frozen=True)
class CutInstance:
    """The instance with its slices cut at the ends, and when the days of each slice begin."""

    instance: Instance
    begins: Mapping[str, Moment]
    """slice -> first moment from which it counts"""

    def covers(self, row: Owned, in_slice: str) -> bool:
        """Whether the machines of a row of ``owned.csv`` are held in a slice."""
        return row.end_date is None or end_of(row) > self.begins[in_slice]

    def held_hours(self, row: Owned) -> float:
        """Hours of the period in which the machines of the row are held."""
        parts = self.instance.slices
        covered = [self.covers(row, part.slice) for part in parts]
        if all(covered):
            return self.instance.settings.period.hours
        return sum(part.hours for part, held in zip(parts, covered, strict=True) if held)


def end_of(row: Owned) -> Moment:
    """The moment after the last day of a row."""
    assert row.end_date is not None
    return dt.datetime.combine(row.end_date, dt.time()) + dt.timedelta(days=1)


def cut_at_ends(instance: Instance) -> CutInstance:
    """Cut every slice that an end of a commitment divides; demand keeps its rates."""
    start, stop = bounds(instance.settings.period)
    ends = sorted({end_of(row) for row in instance.owned if row.end_date is not None})
    inside = [end for end in ends if start < end < stop]
    parts = {part.slice: _parts(part, inside, start, stop) for part in instance.slices}
    begins = {cut.slice: begin for pieces in parts.values() for cut, begin in pieces}
    if len(begins) == len(instance.slices):
        return CutInstance(instance, begins)
    names = {name: tuple(cut.slice for cut, _ in pieces) for name, pieces in parts.items()}
    changed = instance.model_copy(
        update={
            "slices": tuple(cut for pieces in parts.values() for cut, _ in pieces),
            "demand": tuple(row for each in instance.demand for row in _demand(each, names)),
        }
    )
    return CutInstance(changed, begins)


def bounds(period: Period) -> tuple[Moment, Moment]:
    """First moment of the period, and the one after its last."""
    start = dt.datetime.combine(period.start, dt.time())
    return start, start + dt.timedelta(hours=period.hours)


def _parts(
    part: Slice, ends: Sequence[Moment], start: Moment, stop: Moment
) -> list[tuple[Slice, Moment]]:
    """The slice between the ends, pieces without hours left out, each with its first moment."""
    marks = [start, *ends, stop]
    shares = [_share_before(mark, part.month, start, stop) for mark in marks]
    pieces = [
        (shares[at + 1] - shares[at], marks[at], marks[at + 1])
        for at in range(len(marks) - 1)
        if shares[at + 1] - shares[at] > LEAST_SHARE
    ]
    if len(pieces) == 1:
        return [(part, pieces[0][1])]
    return [
        (
            part.model_copy(
                update={
                    "slice": part.slice + _suffix(begin, end, start, stop),
                    "hours": part.hours * share,
                }
            ),
            begin,
        )
        for share, begin, end in pieces
    ]


def _suffix(begin: Moment, end: Moment, start: Moment, stop: Moment) -> str:
    """``.from-2026-09-16``, ``.to-2026-09-15`` or both: the days that the piece stands for."""
    text = f".from-{begin.date()}" if begin > start else ""
    return text + (f".to-{(end - dt.timedelta(days=1)).date()}" if end < stop else "")


def _share_before(moment: Moment, month: int, start: Moment, stop: Moment) -> float:
    """Share of the period's days of a month (of all days where it has none) before a moment."""
    spans = [span for span in months(start, stop) if span[0].month == month] or [(start, stop)]
    whole = sum((end - begin).total_seconds() for begin, end in spans)
    before = sum((min(end, max(moment, begin)) - begin).total_seconds() for begin, end in spans)
    return before / whole


def months(start: Moment, stop: Moment) -> list[tuple[Moment, Moment]]:
    """The period cut at the first of every month."""
    found = []
    while start < stop:
        following = (start.replace(day=1) + dt.timedelta(days=32)).replace(day=1, hour=0, minute=0)
        found.append((start, min(following, stop)))
        start = following
    return found


def _demand(row: Demand, names: Mapping[str, Sequence[str]]) -> list[Demand]:
    """The row in every piece of its slice; of batch demand, with every piece allowed."""
    if row.slice is not None:
        return [row.model_copy(update={"slice": name}) for name in names[row.slice]]
    if row.allowed_slices is None or not row.allowed_slices.strip():
        return [row]
    allowed = [part.strip() for part in row.allowed_slices.split(";") if part.strip()]
    pieces = ";".join(name for part in allowed for name in names[part])
    return [row.model_copy(update={"allowed_slices": pieces})]
