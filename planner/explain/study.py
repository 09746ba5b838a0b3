"""An explanation from start to end, within one time limit.

Read the plan and its proof; price every choice at once from the proof and quick repairs; re-solve
as many as time allows, those first that most money hangs on; then break-evens, price tags and,
if asked for, thresholds. What is not reached is told.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from planner.answer.adoption import UNITS
from planner.compare.sides import PlanSide, find_point, read_plan, read_point
from planner.errors import (
    InfeasibleError,
    PlannerError,
    RunError,
    SolverError,
    VerificationError,
)
from planner.explain.bench import Bench, Solved
from planner.explain.breakeven import break_evens
from planner.explain.choices import Question, cost_shares, differences, instead, questions
from planner.explain.clock import Clock, useful_s
from planner.explain.limits import limits_of
from planner.explain.prices import best_cut, prices_of_cut
from planner.explain.reasons import reason_of
from planner.explain.restrict import restricted, unserved
from planner.explain.results import (
    BOUNDED,
    EXCLUDED,
    INFEASIBLE,
    PRICED,
    SAME,
    Choice,
    Explanation,
    Price,
    WhyNot,
)
from planner.explain.tags import price_tags
from planner.explain.thresholds import main_figures, thresholds
from planner.explain.wishes import Wish, keep_of, known_names, obeyed, parse_wish, summary
from planner.front.front import FILE_NAME, Front
from planner.instance.findings import near_matches
from planner.plan import Plan
from planner.runs import CERTIFICATE, PLAN
from planner.verify import DualPrices, Proof

CHOICES_SHARE, BREAK_EVEN_SHARE = 0.5, 0.6
"""Of the time left when each begins; the rest is for price tags."""
THRESHOLDS_SHARE = 0.7
MOST_STARTS = 4
"""Forced plans that price tags may begin from."""


@dataclass(frozen=True)
class Ask:
    """What is asked about a plan."""

    workload: str | None = None
    region: str | None = None
    why_not: tuple[str, ...] = ()
    """only these are answered where there are any"""
    thresholds: bool = False


@dataclass
class Study:
    """One plan under study; `run` answers everything asked."""

    side: PlanSide
    ask: Ask
    clock: Clock
    bench: Bench
    bound: float
    better: Plan | None = None
    forced: list[Plan] = field(default_factory=list)
    """forced plans met so far: any of them may satisfy another question"""
    missed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.found = self._empty()

    @classmethod
    def of(cls, folder: Path, point: str | None, ask: Ask, clock: Clock) -> Study:
        """The plan of a run folder, or a point of a front's."""
        side, stored = read_proof(folder, point)
        clock.useful_s = useful_s(side.plan)
        bench = Bench.of(side, stored)
        bound = max(bench.proved, _stated_bound(side, bench.objective))
        study = cls(side, ask, clock, bench, min(bound, bench.worth(side.plan)))
        study.check_names()
        return study

    def check_names(self) -> None:
        """PlannerError where a filter names nothing."""
        known = known_names(self.bench.facts)
        for key, name in (("workload", self.ask.workload), ("region", self.ask.region)):
            if name is not None and name not in known[key]:
                raise PlannerError(f"no {key} {name!r}; {near_matches(name, known[key])}")

    # ------------------------------------------------------------------ everything

    def run(self) -> Explanation:
        """All answers; of an interrupted study whose clock was stopped, those that it holds."""
        try:
            if self.ask.why_not:
                self._answer_wishes()
            else:
                self._explain()
        except KeyboardInterrupt:
            if not self.clock.stopped.is_set():
                raise
            self.missed.append("the rest: interrupted")
        better = None if self.better is None else self.better.objectives
        return dataclasses.replace(
            self.found,
            not_reached=tuple(self.missed),
            better=better,
            seconds=self.clock.spent_s,
        )

    def _hold(self, **sections: Any) -> None:
        self.found = dataclasses.replace(self.found, **sections)

    def _answer_wishes(self) -> None:
        answers: list[WhyNot] = []
        for at, text in enumerate(self.ask.why_not):
            self.clock.begin(f"why not {text}")
            answers.append(self.why_not(text, 1.0 / (len(self.ask.why_not) - at)))
            self._hold(why_not=tuple(answers))

    def _explain(self) -> None:
        bench, plan, ask = self.bench, self.side.plan, self.ask
        limits = limits_of(bench.facts, plan, bench.candidates.exclusions, bench.leading)
        if ask.workload is not None:
            limits = tuple(x for x in limits if x.workload in (None, ask.workload))
        if ask.region is not None:
            limits = tuple(x for x in limits if x.region in (None, ask.region))
        share = CHOICES_SHARE * (1.0 - (THRESHOLDS_SHARE if ask.thresholds else 0.0))
        asked = questions(bench.facts, bench.candidates, plan, limits, ask.workload, ask.region)
        self._hold(choices=tuple(self.choices(asked, self.clock.share(share))))
        if ask.thresholds:
            rows = main_figures(bench, plan)
            turns, late = thresholds(bench, plan, rows, self.clock.share(THRESHOLDS_SHARE))
            self.missed += late
            self._hold(thresholds=tuple(turns))
        if ask.region is None:
            clock = self.clock.share(BREAK_EVEN_SHARE)
            evens, late = break_evens(bench, plan, self._workloads(), clock)
            self.missed += late
            self._hold(break_evens=tuple(evens))
        near = sorted(self.forced, key=bench.worth)[:MOST_STARTS]
        tags, late = price_tags(bench, [plan, *near], self.bound, limits, self.clock)
        self.missed += late
        self._hold(price_tags=tuple(tags))

    def _workloads(self) -> list[str]:
        """The one asked for, or all, by cost."""
        if self.ask.workload is not None:
            return [self.ask.workload]
        money = cost_shares(self.bench.facts, self.side.plan)
        return sorted(money, key=lambda name: -money[name])

    def _empty(self) -> Explanation:
        plan = self.side.plan
        value = self.bench.worth(plan)
        return Explanation(
            run=self.side.path,
            point=None if self.side.point is None else self.side.point.id,
            instance=plan.instance.name,
            sha256=plan.instance.sha256,
            minimised=self.bench.objective,
            unit=UNITS[self.bench.objective],
            value=value,
            bound=self.bound,
            gap_relative=self.plan_gap,
        )

    @property
    def plan_gap(self) -> float:
        """Relative gap of the plan explained."""
        value = self.bench.worth(self.side.plan)
        return max(value - self.bound, 0.0) / abs(value) if value else 0.0

    # ------------------------------------------------------------------ choices

    def choices(self, asked: Sequence[Question], clock: Clock) -> list[Choice]:
        """Every choice with its price: first all at once from the proof, then re-solved in time."""
        answers: list[tuple[Price, Plan | None]] = []
        for question in asked:
            if self.clock.over:
                self.missed.append(str(question))
            else:
                answers.append(self.price(question.wish, 0.0))
        asked = asked[: len(answers)]
        for at, question in enumerate(asked):
            if answers[at][0].verdict not in (PRICED, BOUNDED):
                continue
            seconds = clock.each(len(asked) - at)
            if seconds:
                clock.begin(f"choice {at + 1} of {len(asked)}: {question}")
                answers[at] = self.price(question.wish, seconds)
            else:
                self.missed.append(f"re-solve without the {question}")
        return [
            Choice(
                question.kind,
                question.subject,
                question.chosen,
                question.share,
                question.limits,
                None
                if forced is None
                else instead(question, self.side.plan, forced, self.bench.facts),
                price,
            )
            for question, (price, forced) in zip(asked, answers, strict=True)
        ]

    # ------------------------------------------------------------------ why not

    def why_not(self, text: str, share: float) -> WhyNot:
        """The price of one wish, or what excludes it."""
        facts, plan = self.bench.facts, self.side.plan
        wish = parse_wish(text, facts)
        seconds = self.clock.left_s * share
        price, forced = self.price(wish, seconds)
        changed = () if forced is None else tuple(
            part for part in differences(plan, forced, most=12).split("; ") if part
        )  # fmt: skip
        return WhyNot(text, summary(wish, known_names(facts)), price, changed)

    def price(self, wish: Wish, seconds: float) -> tuple[Price, Plan | None]:
        """What a wish costs, and the forced plan; with 0 seconds from proof and repairs alone."""
        clock = Clock(seconds)
        plan, facts = self.side.plan, self.bench.facts
        if obeyed(wish, facts, plan):
            return Price(SAME, 0.0, 0.0, 0.0, plan_gap_relative=self.plan_gap), None
        bench = self.bench.unpruned() if "offer" in wish.keys else self.bench
        keep = keep_of(wish, facts, bench.candidates)
        forced = bench.only(keep)
        if forced is None:
            missing = unserved(restricted(bench.candidates, keep).data)
            return self._excluded(wish, missing, clock), None
        fitting = [p for p in self.forced if obeyed(wish, facts, p)]
        solved, why = forced.quick(plan, *fitting), ""
        if seconds > 0.0:
            try:
                solved = forced.solve(max(clock.left_s, 0.1), plan, *fitting)
            except InfeasibleError as error:
                why_all = error.conflict or (str(error),)
                return Price(INFEASIBLE, reasons=why_all, repairs=error.remedies,
                             plan_gap_relative=self.plan_gap, solved=True,
                             seconds=clock.spent_s), None  # fmt: skip
            except (SolverError, VerificationError) as error:
                why = str(error)
        return self._priced(wish, forced, solved, why, clock)

    def _excluded(self, wish: Wish, missing: Sequence[str], clock: Clock) -> Price:
        """No candidate: the reason with its numbers."""
        found = None if wish.forbid else reason_of(wish, self.bench.facts)
        if found is None:
            names = ", ".join(missing)
            why: tuple[str, ...] = (
                f"without it nothing that meets every rule can answer {names}"
                if wish.forbid
                else f"nothing of that kind meets every rule for {names}",
            )
            return Price(EXCLUDED, reasons=why, plan_gap_relative=self.plan_gap,
                         seconds=clock.spent_s)  # fmt: skip
        return Price(EXCLUDED, reasons=found.why, repairs=found.repairs,
                     plan_gap_relative=self.plan_gap, seconds=clock.spent_s)  # fmt: skip

    def _priced(
        self, wish: Wish, bench: Bench, solved: Solved | None, why: str, clock: Clock
    ) -> tuple[Price, Plan | None]:
        value = self.bench.worth(self.side.plan)
        bound = max(bench.proved if solved is None else solved.bound, self.bound)
        least = max(bound - value, 0.0)
        if solved is None:
            return Price(BOUNDED, least, forced_bound=bound, plan_gap_relative=self.plan_gap,
                         reasons=(why,) if why else (), seconds=clock.spent_s), None  # fmt: skip
        if not obeyed(wish, self.bench.facts, solved.plan):
            raise VerificationError(f"a re-solved plan does not do as asked: {wish}")
        self.forced.append(solved.plan)
        best = value if self.better is None else self.bench.worth(self.better)
        if solved.value < best:
            self.better = solved.plan
        bound = min(bound, solved.value)
        return Price(
            verdict=PRICED,
            least=max(bound - value, 0.0),
            most=max(solved.value - self.bound, 0.0),
            estimate=solved.value - value,
            forced_value=solved.value,
            forced_bound=bound,
            plan_gap_relative=self.plan_gap,
            forced_gap_relative=dataclasses.replace(solved, bound=bound).gap_relative,
            forced=solved.plan.objectives,
            solved=solved.searched,
            seconds=clock.spent_s,
        ), solved.plan


# ------------------------------------------------------------------ reading


def _stated_bound(side: PlanSide, objective: str) -> float:
    """What the plan's certificate, or the front of its point, says that is proved; else -inf."""
    if side.point is not None:
        bound = side.point.cost_bound_usd
        return -math.inf if bound is None else bound
    certificate = side.plan.certificate
    return certificate.bound if certificate.minimised == objective else -math.inf


def read_proof(folder: Path, point: str | None) -> tuple[PlanSide, Proof | None]:
    """A plan with the proof of its bound, where there is one.

    RunError where the folder is a front and no point is named, or the other way round.
    """
    if (folder / FILE_NAME).is_file():
        if point is None:
            raise RunError(
                f"{folder} is a front: name a point with --point, by id or as `planner pick` calls "
                "it (cheapest, greenest, compromise, knee ...)"
            )
        side = read_point(folder, point).as_cheapest()
        front = Front.read(folder)
        proof = best_cut(front, find_point(front, point))
        prices = None if proof is None else prices_of_cut(DualPrices.load(folder / proof))
        names = [variant.variant for variant in side.facts.variants]
        return side, None if prices is None else Proof.of(prices, names)
    if not (folder / PLAN).is_file():
        raise RunError(f"{folder} holds no {PLAN} or {FILE_NAME}: name a run folder")
    if point is not None:
        raise RunError(f"{folder} is the run of one plan: --point is for fronts")
    side = read_plan(folder)
    certificate = folder / CERTIFICATE
    return side, Proof.load(certificate) if certificate.is_file() else None
