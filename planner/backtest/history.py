"""Dated prices and the course of demand, read from a folder.

::

    prices.csv           date, region, offer and the prices of its markets; a blank market was not
                         on sale, nor is an offer at a date that has no row of it
    demand_history.csv   optional: demand of a workload in some weeks, over its mean; the dates take
                         the weeks in turn
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from statistics import median

from planner.errors import RunError
from planner.instance.against import replaced_price
from planner.instance.facts import Facts
from planner.instance.schema import Identifier, NonNegative, Positive, Row
from planner.instance.tables import read_table

MARKET_COLUMNS = (
    *("ondemand_usd_per_h", "spot_usd_per_h"),
    *("commit_1y_usd_per_h", "commit_3y_usd_per_h"),
)
MOST_FINDINGS_SHOWN = 3

Offered = tuple[str, str]
"""region, offer"""


class HistoricPrice(Row):
    """``prices.csv``: what an offer cost at a date."""

    date: dt.date
    """day of the prices"""
    region: Identifier
    """``provider:region``"""
    offer: Identifier
    """name of the machine"""
    accelerator: Identifier | None = None
    """for the reader"""
    accelerators: int | None = None
    """for the reader"""
    ondemand_usd_per_h: Positive
    """one whole instance"""
    spot_usd_per_h: Positive | None = None
    """one whole instance"""
    commit_1y_usd_per_h: Positive | None = None
    """one whole instance"""
    commit_3y_usd_per_h: Positive | None = None
    """one whole instance"""


class HistoricDemand(Row):
    """``demand_history.csv``: how the demand of a day and a week differs from the mean."""

    workload: Identifier
    """a workload"""
    week: int
    """counted from 1"""
    day: int
    """counted from 1, through all weeks"""
    day_factor: NonNegative
    """rate of the day over the mean"""
    week_factor: NonNegative
    """rate of the week over the mean"""


@dataclass(frozen=True)
class Moment:
    """A date of the history: its prices and demand hold until the next one."""

    date: dt.date
    hours: float | None
    """until the next date; None: the last one, which holds for one period of the instance"""
    prices: Mapping[Offered, HistoricPrice]
    demand: Mapping[str, float]
    """workload -> demand over that of the instance"""


@dataclass(frozen=True)
class History:
    """The dated tables of a folder."""

    folder: Path
    prices: Mapping[dt.date, Mapping[Offered, HistoricPrice]]
    weeks: Sequence[Mapping[str, float]]
    """workload -> factor, of every week; empty: demand stays as it is"""

    @property
    def offers(self) -> frozenset[Offered]:
        """All that have a price at some date."""
        return frozenset(key for rows in self.prices.values() for key in rows)

    def moments(
        self, first: dt.date | None = None, last: dt.date | None = None, every: int = 1
    ) -> tuple[Moment, ...]:
        """Every n-th date from the first to the last; RunError where none is left."""
        dates = [
            date
            for date in sorted(self.prices)
            if (first is None or date >= first) and (last is None or date <= last)
        ][::every]
        if not dates:
            known = sorted(self.prices)
            raise RunError(f"no date is left: {self.folder} has {known[0]} to {known[-1]}")
        hours = [(b - a).days * 24.0 for a, b in pairwise(dates)]
        return tuple(
            Moment(date, span, self.prices[date], self._demand(at))
            for at, (date, span) in enumerate(zip(dates, [*hours, None], strict=True))
        )

    def _demand(self, at: int) -> Mapping[str, float]:
        return self.weeks[at % len(self.weeks)] if self.weeks else {}

    def cheapest_commitments(self, date: dt.date) -> dict[Offered, tuple[float | None, ...]]:
        """The least price of each commitment that could still run at a date, (1 y, 3 y)."""
        found: dict[Offered, tuple[float | None, ...]] = {}
        for offer in self.offers:
            least = []
            for column, days in (("commit_1y_usd_per_h", 366), ("commit_3y_usd_per_h", 1096)):
                since = date - dt.timedelta(days=days)
                seen = [
                    price
                    for day, rows in self.prices.items()
                    if since <= day <= date and offer in rows
                    and (price := getattr(rows[offer], column)) is not None
                ]  # fmt: skip
                least.append(min(seen, default=None))
            found[offer] = tuple(least)
        return found


def hold_against(history: History, facts: Facts) -> None:
    """Raise RunError for prices so far from the instance's that they can hardly be meant: in the
    middle of all dates, since prices of another time may differ."""
    accepted = facts.instance.settings.accept
    for machine in facts.machines:
        key = (machine.region, machine.offer)
        rows = [rows[key] for rows in history.prices.values() if key in rows]
        size, name = machine.accelerators, f"history/{machine.region}/{machine.offer}"
        if not rows or any(fnmatchcase(name, pattern) for pattern in accepted):
            continue
        other = next((n for row in rows if (n := row.accelerators or size) != size), None)
        if other is not None:
            raise RunError(
                f"{history.folder / 'prices.csv'}: {machine.offer} in {machine.region} with "
                f"{other} accelerators, the instance's has {size}: give it a "
                f'name of its own, or accept = ["{name}"] in instance.toml'
            )
        listed = {column: getattr(machine, column) for column in MARKET_COLUMNS}
        for column in MARKET_COLUMNS:
            prices = [price for row in rows if (price := getattr(row, column)) is not None]
            if not prices or not listed[column]:
                continue
            found = replaced_price(column, median(prices), listed, size)
            if found is not None and found.refused:
                raise RunError(
                    f"{history.folder / 'prices.csv'}, {machine.offer} in {machine.region}, "
                    f"{column} {median(prices):g} in the middle of {len(prices)} dates: "
                    f"{found.problem.replace('the catalog', 'the instance')}; mend it, or say "
                    f'accept = ["{name}"] in instance.toml'
                )


def read_history(folder: Path) -> History:
    """Read the tables; RunError with the first findings."""
    prices, wrong = read_table(folder / "prices.csv", HistoricPrice)
    by_date: dict[dt.date, dict[Offered, HistoricPrice]] = defaultdict(dict)
    for at, row in enumerate(prices.rows):
        key = (row.region, row.offer)
        if key in by_date[row.date]:
            wrong.append(prices.finding(at, "date", "priced twice", "one row for an offer a date"))
        by_date[row.date][key] = row
    weeks: dict[int, dict[str, float]] = defaultdict(dict)
    if (folder / "demand_history.csv").is_file():
        demand, also_wrong = read_table(folder / "demand_history.csv", HistoricDemand)
        wrong += also_wrong
        for line in demand.rows:
            weeks[line.week][line.workload] = line.week_factor
    if wrong:
        more = len(wrong) - MOST_FINDINGS_SHOWN
        told = "; ".join(str(finding) for finding in wrong[:MOST_FINDINGS_SHOWN])
        raise RunError(f"{folder}: {told}" + (f"; and {more} more findings" if more > 0 else ""))
    if not by_date:
        raise RunError(f"{folder / 'prices.csv'} has no rows")
    return History(folder, dict(by_date), [weeks[week] for week in sorted(weeks)])
