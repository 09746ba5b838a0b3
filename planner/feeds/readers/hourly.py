"""Rates by the hour: added over series, averaged over the hours of a slice, outliers among them.

Zero, absent and unknown are three things. A sample of 0 is zero. An hour without a sample is
absent: nothing ran, or nobody measured, and only a person knows which (`Absent`). A sample that is
no number (Prometheus writes ``NaN``) is unknown.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

HOUR = dt.timedelta(hours=1)
SATURDAY = 5
Absent = Literal["refuse", "zero", "skip"]
"""What an hour without a sample means: a question to a person, no request, or nothing at all."""
Rates = Mapping[dt.datetime, float | None]
"""End of the hour (UTC) -> requests/s; None: unknown"""
HourOfWeek = tuple[bool, int]
"""Whether it is a weekend, and the hour of the day (UTC)."""


def added(series: Sequence[Rates], absent: Absent) -> dict[dt.datetime, float | None]:
    """Hour by hour the sum of series that are one workload, in the order of time.

    Before its first and after its last sample a series adds nothing: one llm has replaced another.
    In between, where one has no sample, the sum is unknown, unless absent means zero.
    """
    spans = [(min(rates), max(rates)) for rates in series]
    found: dict[dt.datetime, float | None] = {}
    for when in sorted({when for rates in series for when in rates}):
        parts = [
            rates.get(when, None if absent != "zero" and first < when < last else 0.0)
            for rates, (first, last) in zip(series, spans, strict=True)
        ]
        known = [part for part in parts if part is not None]
        found[when] = math.fsum(known) if len(known) == len(parts) else None
    return found


@dataclass(frozen=True)
class Level:
    """What was measured of the hours of a slice."""

    hours: int
    """of the slice in the window"""
    absent: int
    """of them without a sample"""
    unknown: int
    """of them with a sample that is no number"""
    total: float
    """sum of the known rates, requests/s"""

    @property
    def known(self) -> int:
        """Hours with a number."""
        return self.hours - self.absent - self.unknown

    @property
    def over_known(self) -> float | None:
        """Mean over the hours with a number, requests/s; None where there is none."""
        return self.total / self.known if self.known else None

    @property
    def with_zeros(self) -> float | None:
        """Mean where absent hours count as 0, requests/s; None where all are unknown."""
        counted = self.known + self.absent
        return self.total / counted if counted else None


def level(rates: Rates, hours: Iterable[dt.datetime]) -> Level:
    """What `rates` say of these hours."""
    asked = list(hours)
    values = [rates[when] for when in asked if when in rates]
    known = [value for value in values if value is not None]
    return Level(
        hours=len(asked),
        absent=len(asked) - len(values),
        unknown=len(values) - len(known),
        total=math.fsum(known),
    )


def far_above(rates: Rates, factor: float) -> tuple[dict[dt.datetime, float], float]:
    """Hours above `factor` times the median busy one, and that median (requests/s)."""
    busy = {when: value for when, value in rates.items() if value is not None and value > 0.0}
    middle = median(busy.values()) if busy else 0.0
    return {when: value for when, value in busy.items() if value > factor * middle}, middle


def recurring(hours: Iterable[dt.datetime]) -> set[dt.datetime]:
    """Those that have a fellow on another day, at the same hour of the day or beside it: a job."""
    all_hours = list(hours)
    return {when for when in all_hours if any(_fellows(when, other) for other in all_hours)}


def _fellows(one: dt.datetime, other: dt.datetime) -> bool:
    apart_h = abs(one - other) / HOUR
    return apart_h > 2.0 and (apart_h + 1.0) % 24.0 <= 2.0


def hour_of_week(end: dt.datetime) -> HourOfWeek:
    """Which hour of the week ends at `end`."""
    begins = end - HOUR
    return begins.weekday() >= SATURDAY, begins.hour
