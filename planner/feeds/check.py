"""Does a table look right? One function per rule; each says which row, which figure, and why.

A problem refuses the whole table: nobody knows what else in it is wrong; a person may accept it. A
warning is shown and kept. The yardstick is the last accepted table of the feed, else what the
instance says today. Figures that the feed is told to `trust` are held against nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from planner.feeds.feed import Feed, listed
from planner.feeds.need import Need
from planner.feeds.tables import (
    KINDS,
    Price,
    ReaderDoubt,
    Reading,
    figures,
    key_of,
)
from planner.instance.against import SPOT, SPOT_BELOW_ONDEMAND
from planner.instance.checks import PLAUSIBLE, PRICE_PER_ACCELERATOR_USD_PER_H
from planner.instance.doubts import FAR, Doubt, doubt
from planner.instance.findings import near_matches
from planner.instance.schema import Row

CLOCK_TOLERANCE = dt.timedelta(hours=1)
SAME = 1.0 + 1e-9
FULL_PRICES = {"prices": "ondemand_usd_per_h", "hosted-prices": "input_usd_per_mtok"}
"""The price that a discount is taken from."""
FULL_PRICE = FULL_PRICES["prices"]
NO_DISCOUNTS = {"output_usd_per_mtok"}
COLUMNS = {"gco2e_per_kwh": "carbon_gco2e_per_kwh"}
"""Column of a table -> its name in the instance, where they differ."""
HALVED = 2
"""Accelerators of a machine whose price may well have halved."""
ZERO_UNITS = {"carbon": "gCO2e/kWh", "demand": "requests/s"}
"""Kinds of which a region or workload is hardly 0 at all times."""
TRIFLING_GCO2E_PER_KWH = (1.0, 20.0)
"""Between these a grid, one that runs on water, may move by any factor."""
TRIFLING_REQUESTS_PER_S = 0.1
TRIFLING_SHARE = 0.1
"""Of the largest rate of a workload: below both a rate may move by any factor, such as at night."""


@dataclass(frozen=True)
class Verdict:
    """What the rules say of a table."""

    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    doubted: tuple[str, ...] = ()
    """what to put into `Feed.trust` for a table of such figures to be taken for good"""

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
        """Figures to compare with: the instance's, and before them the last table's.

        A new month of a grid is held against the same hour of the last table, if it has one.
        """
        known = {**self.need.today(self.reading.kind), **self.before}
        if self.reading.kind == "carbon":
            by_hour = {_without_month(name): value for name, value in self.before.items()}
            for name in self.now.keys() - self.before.keys():
                if _without_month(name) in by_hour:
                    known[name] = by_hour[_without_month(name)]
        return known

    @cached_property
    def changed(self) -> Mapping[str, tuple[float, float]]:
        """Figure before and now, of those that changed."""
        known, kind = self.yardstick, self.reading.kind
        return {
            name: (known[name], value)
            for name, value in self.now.items()
            if name in known
            and known[name] != value
            # A new quota is no alarm.
            and not (kind == "quotas" and known[name] == 0.0)
        }

    @cached_property
    def implausible(self) -> Mapping[str, str]:
        """Figures of a size that cannot be meant, with the limits."""
        found = {}
        kind = KINDS[self.reading.kind]
        for row in self.reading.rows:
            for column in kind.columns:
                value = getattr(row, column)
                low, high = _bounds(self, row, column)
                if value is not None and not low <= value <= high:
                    name = "/".join(part for part in key_of(kind.name, row) if part)
                    found[f"{name} {column}"] = f"{value:g}, outside {low:g} to {high:g}"
        return found

    @cached_property
    def far_off(self) -> Mapping[str, Doubt]:
        """Figures far from the known ones, by the rules of instance tables."""
        found = {name: self._far_off(name, value) for name, value in self.now.items() if value > 0}
        return {name: doubt for name, doubt in found.items() if doubt is not None}

    def _far_off(self, name: str, value: float) -> Doubt | None:
        row, _, column = name.rpartition(" ")
        far = FAR.get(COLUMNS.get(column, column))
        region, _, offer = row.partition("/")
        old, whose, pieces = self.yardstick.get(name), "the known", 1
        if self.reading.kind == "prices":
            pieces = self.sizes.get((region, offer), 1)
            if old is None:
                old, whose = self.yardstick.get(f"{row} {FULL_PRICE}"), "the known on-demand price,"
                far = SPOT_BELOW_ONDEMAND if column == SPOT else far
        if old is None or far is None or name in self.implausible:
            return None
        found = doubt(value, old, far, pieces=pieces, whose=whose)
        if found is not None and found.problem.endswith("?") and pieces > HALVED:
            return replace(found, refused=True)  # for a spot price too
        return found

    @cached_property
    def silent(self) -> frozenset[str]:
        """Regions and workloads that are 0 at all times now, and were not before."""
        heads = {_head(name) for name in self.now} if self.reading.kind in ZERO_UNITS else set()
        return frozenset(head for head in heads if self._fell_silent(head))

    def _fell_silent(self, head: str) -> bool:
        known = self.known_of(head)
        now = {name: value for name, value in self.now.items() if _head(name) == head}
        is_news = not known or any(known.values())
        return is_news and not any({**known, **now}.values()) and not self.feed.trusts(head)

    def known_of(self, head: str) -> Mapping[str, float]:
        """What was known of a region's or workload's figures; what a table of demand lacks too."""
        names = self.now if self.reading.kind == "carbon" else self.yardstick
        return {n: self.yardstick[n] for n in names if _head(n) == head and n in self.yardstick}

    def trusts(self, name: str) -> bool:
        """Whether a person vouches for a figure."""
        return self.feed.trusts(name.rpartition(" ")[0])


def judge(case: Case) -> Verdict:
    """All rules on one table."""
    problems = [said for rule in PROBLEMS for said in rule(case)]
    warnings = [said for rule in WARNINGS for said in rule(case)]
    return Verdict(tuple(problems), tuple(warnings), tuple(_doubted(case)))


def _doubted(case: Case) -> dict[str, None]:
    """Regions, offers, llms and workloads whose figures a person would have to trust."""
    by_row = {name.rpartition(" ")[0] for name in (*_too_far(case), *_not_believed(case))}
    heads = case.reading.kind in ZERO_UNITS
    return dict.fromkeys(sorted([
        *(name for found in _reader_doubts(case) for name in found.about),
        *case.silent,
        *(_head(row) if heads else row for row in by_row),
    ]))  # fmt: skip


# ------------------------------------------------------------------ problems


def empty(case: Case) -> Iterator[str]:
    """A table has rows."""
    if not case.reading.rows:
        yield "no rows"


def doubts(case: Case) -> Iterator[str]:
    """The reader believes what it read."""
    yield from (found.text for found in _reader_doubts(case))


def _reader_doubts(case: Case) -> list[ReaderDoubt]:
    return [
        found
        for found in case.reading.doubts
        if not found.about or not all(map(case.feed.trusts, found.about))
    ]


def strangers(case: Case) -> Iterator[str]:
    """Every row has its place in the instance."""
    kind = case.reading.kind
    names = (key_of(kind, row) for row in case.reading.rows if not case.need.places(kind, row))
    strange = sorted({"/".join(part for part in name if part) for name in names})
    known = {"/".join(filter(None, key)).lower() for key in case.need.known(kind)}
    shown = [
        f"{name} (upper and lower case)" if name.lower() in known else name for name in strange
    ]
    if strange:
        yield f"not in the instance: {listed(shown)}"


def missing_regions(case: Case) -> Iterator[str]:
    """Every required region is in the table."""
    required = case.feed.required_regions
    if required is None:
        required = case.feed.covered_regions(case.need)
    found = {getattr(row, "region", None) for row in case.reading.rows}
    missing = [region for region in required if region not in {*found, *case.feed.ignore}]
    if missing:
        yield f"missing region: {listed(missing)}"


def implausible(case: Case) -> Iterator[str]:
    """Every figure is of a size that can be meant, in the unit of its column."""
    if case.implausible:
        wrong = [f"{name} {said}" for name, said in case.implausible.items()]
        yield f"implausible: {listed(wrong)}"


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
        if column in NO_DISCOUNTS or case.trusts(name):
            continue
        if limit is not None and price > limit * SAME:
            dearer.append(f"{sold} {column} {price:g}, {full_price} {limit:g}")
    if dearer:
        yield f"dearer than the full price: {listed(dearer)}"


def far_off(case: Case) -> Iterator[str]:
    """No other figure is so far from the known one that an instance table would be refused."""
    found = [f"{name} {case.now[name]:g} is {why}" for name, why in _not_believed(case).items()]
    if found:
        yield f"not believed: {listed(found, '; ')}"


def _not_believed(case: Case) -> dict[str, str]:
    too_far = _too_far(case)
    return {
        name: doubt.problem
        for name, doubt in case.far_off.items()
        if doubt.refused and not case.trusts(name) and name not in too_far
    }


def all_zero(case: Case) -> Iterator[str]:
    """No grid and no workload is 0 at all times, unless it was before; a source may be silent."""
    for head in sorted(case.silent):
        known = case.known_of(head).values()
        before = f"before {min(known):g} to {max(known):g}" if known else "unknown before"
        unit = ZERO_UNITS[case.reading.kind]
        yield f"{head}: 0 {unit} at all times ({before}): is it zero, or was it not measured?"


def _without_month(name: str) -> tuple[str, str]:
    """Region and hour of the day of a grid's figure."""
    region, _, hour = name.partition(" ")[0].split("/")
    return region, hour


def _head(name: str) -> str:
    """Region or workload of a figure."""
    return name.partition(" ")[0].partition("/")[0]


def moved_too_far(case: Case) -> Iterator[str]:
    """No figure moved by the policy's largest factor."""
    moves = _too_far(case)
    if moves:
        yield f"moved {case.feed.max_move:g} times or more: {_shown(case, moves)} (max_move)"


def _too_far(case: Case) -> dict[str, tuple[float, float]]:
    """Figures that moved by the policy's largest factor and are not told otherwise."""
    return {
        name: move
        for name, move in _moves(case, case.feed.max_move).items()
        if not (case.trusts(name) or _is_trifle(case, name, move) or _head(name) in case.silent)
    }


def _is_trifle(case: Case, name: str, move: tuple[float, float]) -> bool:
    """Whether a figure is so small that it may move by any factor."""
    if case.reading.kind == "carbon":
        low, high = TRIFLING_GCO2E_PER_KWH
        return low <= min(move) and max(move) <= high
    if case.reading.kind == "demand":
        largest = max(v for other, v in case.yardstick.items() if _head(other) == _head(name))
        return max(move) <= min(TRIFLING_REQUESTS_PER_S, TRIFLING_SHARE * largest)
    return False


def too_many_missing(case: Case) -> Iterator[str]:
    """Nearly all figures that the last table had are there again."""
    lost = [name for name in case.before if name not in case.now]
    share = len(lost) / len(case.before) if case.before else 0.0
    if case.reading.kind != "carbon" and share > case.feed.max_missing_share:
        yield f"{share:.0%} of the figures of the last table are missing: {listed(lost)}"


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
    """Other figures that moved a good deal, trifles too."""
    refused = {*_too_far(case), *_not_believed(case)}
    moves = {
        name: move
        for name, move in _moves(case, case.feed.warn_move).items()
        if name not in refused and _head(name) not in case.silent
    }
    if moves:
        yield f"moved {case.feed.warn_move:g} times or more: {_shown(case, moves)}"


def idle_names(case: Case) -> Iterator[str]:
    """Every name in the feed's settings is one of the instance: another would change nothing."""
    for key, words, known in case.feed.naming(case.need):
        for word in words:
            if word not in known:
                yield f"{key}: {word!r} is nothing of the instance; {near_matches(word, known)}"


def missing(case: Case) -> Iterator[str]:
    """Figures that the last table had and this one has not."""
    lost = [name for name in case.before if name not in case.now]
    if lost and case.reading.kind != "carbon":
        yield f"no longer in the table: {listed(lost)}"


def _moves(case: Case, factor: float) -> dict[str, tuple[float, float]]:
    """Figures that moved by a factor or more against the yardstick."""
    return {
        name: (old, new)
        for name, (old, new) in case.changed.items()
        if min(old, new) * factor <= max(old, new) * SAME
    }


def _shown(case: Case, moves: Mapping[str, tuple[float, float]]) -> str:
    """Figures before and now, and the slip of units that the first of them looks like."""
    slips = [doubt.problem for name in moves if (doubt := case.far_off.get(name))]
    text = listed([f"{name} {old:g} -> {new:g}" for name, (old, new) in moves.items()])
    return f"{text} ({slips[0]})" if slips and slips[0].endswith("?") else text


Rule = Callable[[Case], Iterator[str]]
PROBLEMS: tuple[Rule, ...] = (
    empty,
    doubts,
    strangers,
    missing_regions,
    implausible,
    no_discount,
    moved_too_far,
    far_off,
    all_zero,
    too_many_missing,
    out_of_date,
)
WARNINGS: tuple[Rule, ...] = (moved, missing, idle_names)
