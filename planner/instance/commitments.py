"""Terms of commitments: how long each binds, when it ends, and which a period justifies."""

from __future__ import annotations

import datetime as dt

from planner.instance.schema import Settings

TERM_YEARS = {"commit-1y": 1, "commit-3y": 3}
HOURS_PER_YEAR = 8760.0
ALMOST = 0.99
"""A period of so much of a term justifies it: 52 weeks are a year."""


def allowed_commitments(settings: Settings) -> tuple[str, ...]:
    """Commitments that may be bought: the policy's, else those that end with the period."""
    if settings.policy.commitments is not None:
        return settings.policy.commitments
    hours = settings.period.hours
    return tuple(
        market for market, years in TERM_YEARS.items() if hours >= ALMOST * years * HOURS_PER_YEAR
    )


def end_of_term(start: dt.date, market: str) -> dt.date:
    """Last day of a commitment that starts on a day."""
    year = start.year + TERM_YEARS[market]
    day = 28 if (start.month, start.day) == (2, 29) else start.day
    return dt.date(year, start.month, day) - dt.timedelta(days=1)


def last_day(start: dt.date, market: str, stop: dt.datetime) -> dt.date:
    """Last day of a commitment that is renewed at each end until a moment is covered."""
    end = end_of_term(start, market)
    while dt.datetime.combine(end + dt.timedelta(days=1), dt.time()) < stop:
        end = end_of_term(end + dt.timedelta(days=1), market)
    return end
