"""Retrieval against fine-tuning: where the verdict on a workload turns, confirmed by re-solves.

Closed forms at the marginal prices of the plan's proof (`planner.answer.adoption`) say where to
look; forced re-solves on both sides say whether it is so. `own` insists on the plan's adaptation,
`rival` on the other side's best one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from planner.answer.adoption import UNITS, Case, Market
from planner.candidates.legs import legs_of, mixture_quality
from planner.errors import SolverError
from planner.explain.bench import Bench, Solved
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
from planner.explain.results import BreakEven, Flip, Trial
from planner.explain.wishes import Wish, keep_of
from planner.instance.checks import PLAUSIBLE
from planner.instance.facts import VariantFacts
from planner.plan import Plan
from planner.solve.bound import evaluate_bound

RANGE = 5.0
"""Demand and refresh intervals are tested up to so many times today's and down to that share."""
QUALITY_RANGE = 0.2
SOLVES_PER_TEST, LEAST_TESTS, TESTS_AHEAD = 2, 2, 4
"""Both sides are re-solved in a test; fewer tests than so many tell nothing."""
FACTORS, AMOUNTS = Scale(factors=True, fine=0.1), Scale(factors=False, fine=0.005)


@dataclass(frozen=True)
class Figure:
    """A figure that may turn the verdict, tested from `today` to each of `ends`."""

    name: str
    unit: str
    change: str
    """the expression without its value"""
    today: float
    ends: tuple[float, ...]
    guess: float | None
    scale: Scale

    def __str__(self) -> str:
        """``quality, when fresh, of chat/llama-3.1-8b/rag``: two of a workload are not confused."""
        return f"{self.name}, {self.unit}"


@dataclass
class Duel:
    """Own adaptation against the rival's in one workload; keeps the plans it met as starts."""

    bench: Bench
    own: Wish
    rival: Wish
    clock: Clock
    own_plans: list[Plan] = field(default_factory=list)
    rival_plans: list[Plan] = field(default_factory=list)

    def at(self, change: str, value: float) -> Trial | None:
        """Both sides at one value; what is proved at once is not re-solved. None: not found out."""
        bench = at_value(self.bench, change, value)
        if isinstance(bench, Trial):
            return bench
        mine, theirs = (
            bench.only(keep_of(wish, bench.facts, bench.candidates))
            for wish in (self.own, self.rival)
        )
        if mine is not None and theirs is not None:
            quick = mine.quick(*self.own_plans), theirs.quick(*self.rival_plans)
            early = _at_once(value, quick, mine, theirs)
            if early is not None:
                return early
        seconds = self.clock.each(TESTS_AHEAD, SOLVES_PER_TEST) / SOLVES_PER_TEST
        if not seconds:
            return None
        try:
            own = side(mine, seconds, *self.own_plans[-2:])
            rival = side(theirs, seconds, *self.rival_plans[-2:])
        except SolverError:
            return None
        for plans, found in ((self.own_plans, own), (self.rival_plans, rival)):
            if found is not None:
                plans.append(found.plan)
        return compared(value, own, rival)


def _at_once(
    value: float, quick: tuple[Solved | None, Solved | None], mine: Bench, theirs: Bench
) -> Trial | None:
    """The test where one side's quick plan beats the other's bound."""
    own, rival = quick
    if own is not None and theirs.proved > own.value * (1.0 + 1e-4):
        estimate = None if rival is None else rival.value - own.value
        most = None if rival is None else rival.value - mine.proved
        return Trial(value, "own", True, theirs.proved - own.value, most, estimate)
    if rival is not None and mine.proved > rival.value * (1.0 + 1e-4):
        estimate = None if own is None else rival.value - own.value
        least = None if own is None else theirs.proved - own.value
        return Trial(value, "rival", True, least, rival.value - mine.proved, estimate)
    return None


def break_evens(
    bench: Bench, plan: Plan, workloads: Sequence[str], clock: Clock
) -> tuple[list[BreakEven], list[str]]:
    """(break-evens, what was not reached), for these workloads in order."""
    asked = [
        (workload, rival, figure)
        for workload in workloads
        for rival, figure in figures(bench, plan, workload)
    ]
    found: list[BreakEven] = []
    missed: list[str] = []
    for at, (workload, rival, figure) in enumerate(asked):
        if clock.over:
            missed.append(f"break-even of {workload}: {figure}")
            continue
        clock.begin(f"break-even {at + 1} of {len(asked)}: {workload}, {figure.name}")
        needed = SOLVES_PER_TEST * LEAST_TESTS
        part = clock.part(clock.each(len(asked) - at, needed) or clock.left_s / (len(asked) - at))
        even = _break_even(bench, plan, workload, rival, figure, part)
        if even.tests:
            found.append(even)
        else:
            missed.append(f"break-even of {workload}: {figure}")
    return found, missed


def _break_even(
    bench: Bench, plan: Plan, workload: str, rival: str, figure: Figure, clock: Clock
) -> BreakEven:
    own = next(row.adaptation for row in plan.adoption if row.workload == workload)
    duel = Duel(
        bench,
        Wish.of(workload=workload, adaptation=own),
        Wish.of(workload=workload, adaptation=rival),
        clock,
        [plan],
        [plan],
    )
    flip: Flip | None = None
    tests: list[Trial] = []
    whole = True
    for end in figure.ends:
        found, made, reached = search(
            lambda value: duel.at(figure.change, value),
            figure.today,
            end,
            figure.guess,
            figure.scale,
            clock,
        )
        tests += made
        flip, whole = flip or found, whole and reached
    low, high = tested_span(figure.today, tests)
    late = "" if whole else "time was up before the range was tested"
    return BreakEven(
        workload=workload,
        own=own,
        rival=rival,
        figure=figure.name,
        change=figure.change,
        unit=figure.unit,
        today=figure.today,
        guess=figure.guess,
        tested_low=low,
        tested_high=high,
        flip=flip,
        tests=tuple(sorted(tests, key=lambda test: test.value)),
        note="; ".join(part for part in (impossible_note(tests), late) if part),
    )


# ------------------------------------------------------------------ which figures


def figures(bench: Bench, plan: Plan, workload: str) -> Iterator[tuple[str, Figure]]:
    """(rival adaptation, figure) of everything that may turn the verdict on a workload.

    Demand in the direction of its closed form (both without one), the refresh interval of the
    fine-tune, and answer quality: of the plan's own variant down to its floor, and of a rival
    below its floor up to it.
    """
    case = case_of(bench, plan, workload)
    found, own = case.break_even_rival(), case.adopted
    if found is None:
        yield from _quality_of_rivals(case, own)
        return
    rival = case.variants[found].adaptation
    if rival == own.adaptation:
        return
    if case.market.unit != "QoE":
        _, _, turn = case.demand_turn(found)
        guess = turn if 0.0 < turn < math.inf and not 0.999 < turn < 1.001 else None
        ends = (1.0 / RANGE, RANGE) if guess is None else (_beyond(guess),)
        yield (
            rival,
            Figure("demand", "times today's", f"demand.{workload}*=", 1.0, ends, guess, FACTORS),
        )
        for tuned, against in ((case.chosen, found), (found, case.chosen)):
            if case.variants[tuned].method is not None and case.variants[against].method is None:
                yield rival, _refresh(case, tuned, against)
    yield rival, _own_quality(case, own)
    yield from _quality_of_rivals(case, own)


def _beyond(guess: float) -> float:
    """The end of the range on the guess's side: the usual one, or past the guess."""
    if guess > 1.0:
        return max(RANGE, guess * 1.3)
    return min(1.0 / RANGE, guess / 1.3)


def _refresh(case: Case, tuned: int, other: int) -> Figure:
    """Refresh interval of the fine-tune: longer favours it, shorter the other side."""
    facts = case.variants[tuned]
    today = facts.refresh_days or 30.0
    turn = case.refresh_turn(tuned, other)
    guess = turn if math.isfinite(turn) and turn > 0.0 else None
    longer = tuned != case.chosen
    end = today * RANGE if longer else today / RANGE
    if guess is not None and (guess > today) == longer:
        end = max(end, guess * 1.3) if longer else min(end, guess / 1.3)
    else:
        guess = None
    shortest, longest = PLAUSIBLE["variants"]["refresh_days"]
    end = min(max(end, shortest), longest)
    return Figure(
        "refresh",
        f"days between refreshes of {facts.variant}",
        f"refresh.{facts.variant}=",
        today,
        (end,),
        guess,
        FACTORS,
    )


def _own_quality(case: Case, own: VariantFacts) -> Figure:
    """Fresh quality of the own variant, falling to its floor and a little below."""
    room = (_fresh(case, own) - case.workload.quality_min) / _slope(case, own)
    end = max(own.quality - min(max(1.5 * room, 0.02), QUALITY_RANGE), 0.02)
    guess = own.quality - room
    return Figure(
        "quality",
        f"when fresh, of {own.variant}",
        f"quality.{own.variant}=",
        own.quality,
        (end,),
        guess if guess > end else None,
        AMOUNTS,
    )


def _quality_of_rivals(case: Case, own: VariantFacts) -> Iterator[tuple[str, Figure]]:
    """Fresh quality of each other adaptation that its floor rules out, rising to it."""
    floor = case.workload.quality_min
    for variant in case.facts.variants:
        low = (
            variant.workload == own.workload
            and variant.llm == own.llm
            and variant.adaptation != own.adaptation
            and "quality" in case.candidates.removed_variants.get(variant.variant, "")
        )
        guess = variant.quality + (floor - _fresh(case, variant)) / _slope(case, variant)
        if low and guess < 1.0:
            end = min(max(variant.quality + QUALITY_RANGE, guess + 0.02), 1.0)
            yield (
                variant.adaptation,
                Figure(
                    "quality",
                    f"when fresh, of {variant.variant}",
                    f"quality.{variant.variant}=",
                    variant.quality,
                    (end,),
                    guess,
                    AMOUNTS,
                ),
            )


def _fresh(case: Case, variant: VariantFacts) -> float:
    """Answer quality after staleness, checks included."""
    return mixture_quality(legs_of(variant, 0, case.workload, case.position))


def _slope(case: Case, variant: VariantFacts) -> float:
    """What a point of the answering llm's fresh quality adds to the quality after staleness."""
    leg = legs_of(variant, 0, case.workload, case.position)[0]
    return leg.weight * leg.quality / variant.quality if variant.quality > 0.0 else 1.0


def case_of(bench: Bench, plan: Plan, workload: str) -> Case:
    """The plan's choice for a workload beside its alternatives, at the prices of its proof."""
    data, index = bench.candidates.data, bench.index
    position = data.workloads.index(workload)
    row = next(row for row in plan.adoption if row.workload == workload)
    market = Market(
        index,
        bench.bound.prices,
        evaluate_bound(index, bench.bound.prices),
        bench.worth(plan),
        UNITS[bench.objective],
    )
    return Case(
        market,
        bench.facts,
        bench.candidates,
        bench.facts.instance.workloads[position],
        position,
        data.variants.index(row.variant),
    )
