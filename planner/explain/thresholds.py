"""Thresholds: how far a figure may move before the plan's own choices stop being the best.

The plan's choices are the variant of every workload and the accelerator types it holds. At each
tested value two plans are made: one that keeps these choices (amounts, regions and markets may
follow), and one that is free, begun from the first. Where the free one is better, the choices
have turned. Values are found by bisection; the range tested is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from planner.answer.words import variant_said
from planner.compare.decisions import adoption_changes
from planner.errors import SolverError
from planner.explain.bench import Bench
from planner.explain.choices import cost_shares
from planner.explain.clock import Clock
from planner.explain.flips import (
    Scale,
    at_value,
    compared,
    impossible_note,
    search,
    side,
    tested_span,
)
from planner.explain.restrict import Keep
from planner.explain.results import Flip, Threshold, Trial
from planner.front.choose import fleet_of
from planner.plan import Plan

LOW, HIGH = 0.5, 2.0
"""Factors tested on prices, demand and carbon."""
MATTERS = 0.005
"""Of the value: choices that are worse by less are still good ones."""
QUALITY_STEP = 0.1
"""Added to and taken from qualities."""
SOLVES_PER_TEST, LEAST_TESTS, TESTS_AHEAD = 2, 2, 3
"""Both sides are re-solved in a test; with fewer tests than so many a figure is not begun."""
MAIN_SHARE = 0.05
"""Of the plan's cost: workloads and accelerators with less are not tested."""
FACTORS, AMOUNTS = Scale(factors=True, fine=0.05), Scale(factors=False, fine=0.005)
TIMES, ADDED = "times today's", "added"


@dataclass(frozen=True)
class Figure:
    """A figure to move, in words, and the expression without its value."""

    name: str
    change: str
    scale: Scale
    low: float
    high: float
    note: str = ""
    """why it cannot matter; it is not tested then"""

    @property
    def today(self) -> float:
        """The value that changes nothing."""
        return 1.0 if self.scale.factors else 0.0

    @property
    def unit(self) -> str:
        """Of its values."""
        return TIMES if self.scale.factors else ADDED


def main_figures(bench: Bench, plan: Plan) -> list[Figure]:
    """Prices by accelerator type and of staff, demand in all and of the main workloads, carbon in
    all and by region in use, quality of the main workloads; those with most at stake first."""
    facts = bench.facts
    money = cost_shares(facts, plan)
    main = sorted((w for w in money if money[w] >= MAIN_SHARE), key=lambda w: -money[w])
    held = {card for _, card, _ in fleet_of(plan)}
    cards = [a.accelerator for a in facts.accelerators if a.accelerator in held]
    cards += [a.accelerator for a in facts.accelerators if a.accelerator not in held]
    tuned = any(row.method is not None for row in plan.adoption)
    caps = facts.instance.settings.caps
    counts = bench.objective == "carbon" or caps.carbon_kgco2e is not None
    silent = "" if counts else "carbon is neither minimised nor capped: it decides nothing here"
    regions = {line.region for line in plan.routing if line.region}
    rows = [
        *(Figure(f"price of {card}", f"prices.{card}*=", FACTORS, LOW, HIGH) for card in cards),
        Figure("demand of every workload", "demand.*=", FACTORS, LOW, HIGH),
        *(Figure(f"demand of {w}", f"demand.{w}*=", FACTORS, LOW, HIGH) for w in main),
        Figure("grid carbon everywhere", "carbon.*=", FACTORS, LOW, HIGH, silent),
        *(
            Figure(f"grid carbon of {r.region}", f"carbon.{r.region}*=", FACTORS, LOW, HIGH)
            for r in facts.regions
            if counts and r.region in regions
        ),
        *(
            Figure(f"answer quality of {row.variant}", f"quality.{row.variant}+=", AMOUNTS,
                   -QUALITY_STEP, _most_quality(bench, row.variant))
            for row in plan.adoption
            if row.workload in main
        ),
    ]  # fmt: skip
    if tuned:
        rows.insert(len(cards), Figure("cost of an hour of staff", "prices.staff_usd_per_h*=",
                                       FACTORS, LOW, HIGH))  # fmt: skip
    return rows


def _most_quality(bench: Bench, variant: str) -> float:
    """What can be added to the quality of a variant."""
    quality = next(v.quality for v in bench.facts.variants if v.variant == variant)
    return min(QUALITY_STEP, 1.0 - quality)


@dataclass
class Duel:
    """The plan's own choices against any, at moved figures."""

    bench: Bench
    plan: Plan
    clock: Clock
    kept: list[Plan] = field(default_factory=list)
    best: dict[float, Plan] = field(default_factory=dict)
    """value -> the free plan there, where it is better"""

    def at(self, change: str, value: float) -> Trial | None:
        """Both at one value; None where time was up or nothing was found."""
        bench = at_value(self.bench, change, value)
        if isinstance(bench, Trial):
            return bench
        mine = bench.only(own_choices(bench, self.plan))
        seconds = self.clock.each(TESTS_AHEAD, SOLVES_PER_TEST) / SOLVES_PER_TEST
        if not seconds:
            return None
        try:
            kept = side(mine, seconds, self.plan, *self.kept[-1:])
            starts = [] if kept is None else [kept.plan]
            free = side(bench, seconds, *starts, self.plan)
        except SolverError:
            return None
        if free is not None and mine is not None and keeps_choices(self.plan, free.plan):
            kept = free if kept is None or free.value < kept.value else kept
        if kept is not None:
            self.kept.append(kept.plan)
        found = compared(value, kept, free, MATTERS)
        if found.leader == "rival" and free is not None:
            self.best[value] = free.plan
        return found


def own_choices(bench: Bench, plan: Plan) -> Keep:
    """The routes of the plan's variants on accelerators of the types it holds, and hosted ones."""
    data = bench.candidates.data
    variants = {row.variant for row in plan.adoption}
    held = {card for _, card, _ in fleet_of(plan)}
    variant = np.array([name in variants for name in data.variants], dtype=np.bool_)
    machine = np.array([card in held for card in data.machine_accelerator], dtype=np.bool_)
    pool = np.maximum(data.route_pool, 0)
    placed = (data.route_pool < 0) | (
        machine[data.pool_machine[pool]] if len(data.pools) else False
    )
    keep = Keep.everything(data)
    return Keep(variant[data.group_variant[data.route_group]] & placed, keep.purchases)


def keeps_choices(plan: Plan, other: Plan) -> bool:
    """Whether another plan makes the same choices: same variants, no new accelerator type."""
    ours, theirs = ({card for _, card, _ in fleet_of(p)} for p in (plan, other))
    return not adoption_changes(plan, other) and theirs <= ours


def thresholds(
    bench: Bench, plan: Plan, rows: Sequence[Figure], clock: Clock
) -> tuple[list[Threshold], list[str]]:
    """(thresholds, what was not reached)."""
    found: list[Threshold] = []
    missed: list[str] = []
    for at, row in enumerate(rows):
        if row.note:
            found.append(_untested(row))
        elif seconds := clock.each(len(rows) - at, SOLVES_PER_TEST * LEAST_TESTS):
            clock.begin(f"threshold {at + 1} of {len(rows)}: {row.name}")
            found.append(_threshold(bench, plan, row, clock.part(seconds)))
        else:
            missed.append(f"threshold: {row.name}")
    return found, missed


def _untested(row: Figure) -> Threshold:
    return Threshold(
        row.name, row.change, row.unit, row.today, row.today, row.today, None, None, (), (), (),
        complete=True, note=row.note,
    )  # fmt: skip


def _threshold(bench: Bench, plan: Plan, row: Figure, clock: Clock) -> Threshold:
    tests: list[Trial] = []
    flips: dict[str, Flip | None] = {}
    changes: dict[str, tuple[str, ...]] = {}
    whole = True
    for name, end, part in (("below", row.low, 0.5), ("above", row.high, 1.0)):
        duel = Duel(bench, plan, clock.share(part))
        flip, made, reached = search(
            lambda value, duel=duel: duel.at(row.change, value),  # type: ignore[misc]
            row.today, end, None, row.scale, duel.clock,
        )  # fmt: skip
        tests += made
        flips[name], whole = flip, whole and reached
        better = duel.best.get(flip.first_rival) if flip is not None else None
        changes[name] = () if better is None else tuple(choices_changed(plan, better))
    low, high = tested_span(row.today, tests)
    late = "" if whole else "time was up before the whole range was tested"
    return Threshold(
        name=row.name,
        change=row.change,
        unit=row.unit,
        today=row.today,
        tested_low=low,
        tested_high=high,
        below=flips["below"],
        above=flips["above"],
        changes_below=changes["below"],
        changes_above=changes["above"],
        tests=tuple(sorted(tests, key=lambda test: test.value)),
        complete=whole,
        note="; ".join(part for part in (impossible_note(tests), late) if part),
    )


def choices_changed(plan: Plan, better: Plan) -> Iterator[str]:
    """Variants and accelerator types that differ."""
    for row in adoption_changes(plan, better):
        if row.new is not None:
            yield f"{row.workload}: {variant_said(row.new)}"
    ours, theirs = ({card for _, card, _ in fleet_of(p)} for p in (plan, better))
    if theirs - ours:
        yield f"accelerators taken up: {', '.join(sorted(theirs - ours))}"
    if ours - theirs:
        yield f"accelerators given up: {', '.join(sorted(ours - theirs))}"
