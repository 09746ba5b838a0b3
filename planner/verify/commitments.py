"""Which commitments may be bought, and what a plan binds beyond its period, from Facts alone."""

from __future__ import annotations

import datetime as dt
from collections import Counter

from planner.instance.schema import Settings
from planner.plan import Commitment
from planner.verify.case import COMMITTED, Case, price_usd_per_h
from planner.verify.report import TOLERANCE

YEARS = dict(zip(COMMITTED, (1, 3), strict=True))

Term = tuple[str, str, str, int, bool, str | None]
"""region, offer, market, instances, held already, last day"""


def may_buy(settings: Settings, market: str) -> bool:
    """Whether the policy allows a commitment; without a rule a term must end with the period (of
    which 99 % of the term are enough)."""
    listed = settings.policy.commitments
    if listed is not None:
        return market in listed
    return settings.period.hours >= 0.99 * 8760.0 * YEARS[market]


def check_commitments(case: Case) -> None:
    """Every term that binds is stated, with its end and what is still to be paid after the period.

    Plans from before terms were told state none, which is a violation where they have any.
    """
    expected, stated = _binding(case), {_key(row): row for row in case.plan.commitments}
    amounts = Counter(_key(row) for row in case.plan.commitments)
    if amounts != Counter(key for key, _ in expected):
        case.findings.add(
            "commitments",
            "terms",
            [key for key, _ in expected],
            sorted(amounts.elements(), key=str),
            f"{len(expected)} commitments bind, {amounts.total()} are stated, or not the same",
        )
        return
    for key, (usd_per_h, hours) in expected:
        row = stated[key]
        owed = None if hours is None else key[3] * usd_per_h * hours
        months = None if hours is None else hours / 730.0
        for what, want, found in (
            ("USD per hour", usd_per_h, row.usd_per_h),
            ("months left", months, row.months_left),
            ("USD after the period", owed, row.liability_usd),
        ):
            if not _same(want, found):
                name = f"{row.region}/{row.offer} {row.market}"
                text = f"{what} of {name}: {found}, not {want}"
                case.findings.add("commitments", f"{what} of {name}", want, found, text)


def _key(row: Commitment) -> Term:
    return (row.region, row.offer, row.market, row.instances, row.held, row.end_date)


def _binding(case: Case) -> list[tuple[Term, tuple[float, float | None]]]:
    """Term -> price and hours that it goes on after the period, of bought and held ones."""
    period = case.terms.settings.period
    begin = dt.datetime(period.start.year, period.start.month, period.start.day)
    stop = begin + dt.timedelta(hours=period.hours)
    found: list[tuple[Term, tuple[float, float | None]]] = []
    for line, machine in case.fleet:
        price = price_usd_per_h(machine, line.market)
        if line.market in COMMITTED and line.instances and price is not None:
            after = begin
            while after < stop:
                after = _years_on(after, YEARS[line.market])
            day = (after - dt.timedelta(days=1)).date().isoformat()
            hours = (after - stop).total_seconds() / 3600.0
            term = (line.region, line.offer, line.market, line.instances, False, day)
            found.append((term, (price, hours)))
    for row in case.terms.facts.instance.owned:
        if row.market not in COMMITTED or not row.instances:
            continue
        last: str | None = None
        left: float | None = None
        if row.end_date is not None:
            after = dt.datetime(row.end_date.year, row.end_date.month, row.end_date.day)
            after += dt.timedelta(days=1)
            if after <= begin:
                continue
            last, left = row.end_date.isoformat(), max((after - stop).total_seconds() / 3600.0, 0.0)
        found.append(
            ((row.region, row.offer, row.market, row.instances, True, last), (row.usd_per_h, left))
        )
    return found


def _years_on(moment: dt.datetime, years: int) -> dt.datetime:
    """The same day some years later; of 29 February the 28th."""
    day = 28 if (moment.month, moment.day) == (2, 29) else moment.day
    return moment.replace(year=moment.year + years, day=day)


def _same(want: float | None, found: float | None) -> bool:
    if want is None or found is None:
        return want is found
    return abs(want - found) <= TOLERANCE * max(abs(want), 1.0)
