"""Does a table look right? One function per rule; each says which row, which figure, and why.

A problem refuses the whole table: nobody knows what else in it is wrong. A warning is shown and
kept. The yardstick is the last accepted table of the feed, else what the instance says today.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from planner.feeds.feed import Feed
from planner.feeds.need import Need
from planner.feeds.tables import (
    KINDS,
    Price,
    Reading,
    figures,
    key_of,
)
from planner.instance.checks import PLAUSIBLE, PRICE_PER_ACCELERATOR_USD_PER_H
from planner.instance.schema import Row

MOST_SHOWN = 5
CLOCK_TOLERANCE = dt.timedelta(hours=1)
SAME = 1.0 + 1e-9
FULL_PRICES = {"prices": "ondemand_usd_per_h", "hosted-prices": "input_usd_per_mtok"}
"""The price that a discount is taken from."""
NO_DISCOUNTS = {"output_usd_per_mtok"}


@dataclass(frozen=True)
class Verdict:
    """What the rules say of a table."""

    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """Whether the table may enter a plan."""
        return not self.problems


@dataclass(frozen=True, eq=False)
class Case:
    """A table on trial."""

    feed: Feed
    need: Need
    reading: Reading
    before: Mapping[str, float]
    """figures of the last accepted table; else empty"""
    at: dt.datetime

    @cached_property
    def sizes(self) -> Mapping[tuple[str, str], int]:
        """Accelerators in one instance of an offer."""
        return {(offer.region, offer.offer): offer.accelerators for offer in self.need.offers}

    @cached_property
    def now(self) -> Mapping[str, float]:
        """Figures of the table."""
        return figures(self.reading.kind, self.reading.rows)

    @cached_property
    def yardstick(self) -> Mapping[str, float]:
        """Figures to compare with: the instance's, and before them the last table's."""
        return {**self.need.today(self.reading.kind), **self.before}


def judge(case: Case) -> Verdict:
    """All rules on one table."""
    problems = [said for rule in PROBLEMS for said in rule(case)]
    warnings = [said for rule in WARNINGS for said in rule(case)] if not problems else []
    return Verdict(tuple(problems), tuple(warnings))


# ------------------------------------------------------------------ problems


def empty(case: Case) -> Iterator[str]:
    """A table has rows."""
    if not case.reading.rows:
        yield "no rows"


def strangers(case: Case) -> Iterator[str]:
    """Every row has its place in the instance."""
    kind = case.reading.kind
    names = (key_of(kind, row) for row in case.reading.rows if not case.need.places(kind, row))
    strange = sorted({"/".join(part for part in name if part) for name in names})
    if strange:
        yield f"not in the instance: {_list(strange)}"


def missing_regions(case: Case) -> Iterator[str]:
    """Every required region is in the table."""
    required = case.feed.required_regions
    if required is None:
        required = case.feed.covered_regions(case.need)
    found = {getattr(row, "region", None) for row in case.reading.rows}
    missing = [region for region in required if region not in {*found, *case.feed.ignore}]
    if missing:
        yield f"missing region: {_list(missing)}"


def implausible(case: Case) -> Iterator[str]:
    """Every figure is of a size that can be meant, in the unit of its column."""
    kind = KINDS[case.reading.kind]
    wrong = []
    for row in case.reading.rows:
        for column in kind.columns:
            value = getattr(row, column)
            low, high = _bounds(case, row, column)
            if value is not None and not low <= value <= high:
                name = "/".join(part for part in key_of(kind.name, row) if part)
                wrong.append(f"{name} {column} {value:g}, outside {low:g} to {high:g}")
    if wrong:
        yield f"implausible: {_list(wrong)}"


def _bounds(case: Case, row: Row, column: str) -> tuple[float, float]:
    """Smallest and largest figure that can be meant; zero demand can."""
    if isinstance(row, Price):
        count = case.sizes.get((row.region, row.offer), 1)
        low, high = PRICE_PER_ACCELERATOR_USD_PER_H
        return low * count, high * count
    table = KINDS[case.reading.kind].replaces
    names = {"gco2e_per_kwh": "carbon_gco2e_per_kwh"}
    low, high = PLAUSIBLE[table][names.get(column, column)]
    return (0.0 if table == "demand" else low), high


def no_discount(case: Case) -> Iterator[str]:
    """Spot, commitments and cached prompts are not dearer than the full price, said or today's."""
    if case.reading.kind not in FULL_PRICES:
        return
    now, known, full_price = case.now, case.yardstick, FULL_PRICES[case.reading.kind]
    dearer = []
    for name, price in now.items():
        sold, _, column = name.rpartition(" ")
        full = f"{sold} {full_price}"
        limit = now.get(full, known.get(full))
        if column not in NO_DISCOUNTS and limit is not None and price > limit * SAME:
            dearer.append(f"{sold} {column} {price:g}, {full_price} {limit:g}")
    if dearer:
        yield f"dearer than the full price: {_list(dearer)}"


def moved_too_far(case: Case) -> Iterator[str]:
    """No figure moved by the policy's largest factor."""
    moves = _moves(case, case.feed.max_move)
    if moves:
        yield f"moved {case.feed.max_move:g} times or more: {_list(moves)}"


def too_many_missing(case: Case) -> Iterator[str]:
    """Nearly all figures that the last table had are there again."""
    lost = [name for name in case.before if name not in case.now]
    share = len(lost) / len(case.before) if case.before else 0.0
    if case.reading.kind != "carbon" and share > case.feed.max_missing_share:
        yield f"{share:.0%} of the figures of the last table are missing: {_list(lost)}"


def out_of_date(case: Case) -> Iterator[str]:
    """The table is of today: neither older than the policy allows, nor of the future."""
    age = case.at - case.reading.observed_at
    if age < -CLOCK_TOLERANCE:
        yield f"dated in the future: {case.reading.observed_at:%Y-%m-%d %H:%M} UTC"
    if age > dt.timedelta(hours=case.feed.max_age_h):
        hours = age.total_seconds() / 3600.0
        yield (
            f"stale: of {case.reading.observed_at:%Y-%m-%d %H:%M} UTC, {hours:,.0f} h old; the "
            f"policy allows {case.feed.max_age_h:g} h"
        )


# ------------------------------------------------------------------ warnings


def moved(case: Case) -> Iterator[str]:
    """Figures that moved a good deal."""
    moves = _moves(case, case.feed.warn_move)
    if moves:
        yield f"moved {case.feed.warn_move:g} times or more: {_list(moves)}"


def missing(case: Case) -> Iterator[str]:
    """Figures that the last table had and this one has not."""
    lost = [name for name in case.before if name not in case.now]
    if lost and case.reading.kind != "carbon":
        yield f"no longer in the table: {_list(lost)}"


def _moves(case: Case, factor: float) -> list[str]:
    """Figures that moved by a factor or more against the yardstick, as text."""
    known = case.yardstick
    found = []
    for name, value in case.now.items():
        old = known.get(name)
        if old is None or old == value or (case.reading.kind == "quotas" and old == 0.0):
            continue
        smaller, larger = sorted((old, value))
        if smaller * factor <= larger * SAME and larger > _TRIFLE.get(case.reading.kind, 0.0):
            found.append(f"{name} {old:g} -> {value:g}")
    return found


_TRIFLE = {"demand": 0.1, "carbon": 20.0}
"""Figures below this may move by any factor: a rate at night, a grid that runs on water."""

Rule = Callable[[Case], Iterator[str]]
PROBLEMS: tuple[Rule, ...] = (
    empty,
    strangers,
    missing_regions,
    implausible,
    no_discount,
    moved_too_far,
    too_many_missing,
    out_of_date,
)
WARNINGS: tuple[Rule, ...] = (moved, missing)


def _list(parts: list[str]) -> str:
    """The first few of many."""
    shown = ", ".join(parts[:MOST_SHOWN])
    return shown + (f" and {len(parts) - MOST_SHOWN} more" if len(parts) > MOST_SHOWN else "")
