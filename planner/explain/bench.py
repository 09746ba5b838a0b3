"""The bench: one set of candidates with all that is needed to force, bound, solve and check.

Every plan that leaves it has passed the independent checker; every bound is proved by prices or
by branch and bound, as for `planner plan`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter

import numpy as np

from planner.answer.build import build_plan, minimised_value
from planner.candidates import Candidates, build_candidates
from planner.compare.sides import PlanSide
from planner.errors import VerificationError
from planner.explain.carry import carried
from planner.explain.prices import bound_by_cases, engine_prices, without_bargains
from planner.explain.restrict import Keep, restricted, unserved
from planner.incumbent import Incumbent
from planner.instance.changes import with_changes
from planner.instance.facts import Facts
from planner.plan import Plan
from planner.solve.assignments import Cases
from planner.solve.bound import Bound, Prices, evaluate_bound
from planner.solve.engine import EngineResult, minimize, unit_weights
from planner.solve.index import FleetIndex
from planner.solve.options import EngineOptions
from planner.solve.solution import Solution
from planner.verify import DualPrices, Proof, verify_plan

SHOWN_VIOLATIONS = 3

value_of = attrgetter("value")


@dataclass(frozen=True)
class Solved:
    """A checked plan and what is proved: no plan of these candidates is worth less than `bound`.

    `searched`: the engine solved it; else the plan is another one carried over.
    """

    plan: Plan
    value: float
    bound: float
    searched: bool

    @property
    def gap_relative(self) -> float:
        """Of the value."""
        return max(self.value - self.bound, 0.0) / abs(self.value) if self.value else 0.0


@dataclass(frozen=True, eq=False)
class Bench:
    """Candidates of some facts, and the plan's own proof as prices on them."""

    facts: Facts
    incumbent: Incumbent | None
    objective: str
    """``cost``, ``carbon`` or ``qoe-loss``"""
    stored: Proof | None
    """of the bound of the plan that is explained"""
    candidates: Candidates
    gap: float = 0.005
    threads: int = 2

    @classmethod
    def of(cls, side: PlanSide, stored: Proof | None) -> Bench:
        """For a plan and the facts it was made for."""
        return cls(
            facts=side.facts,
            incumbent=side.incumbent,
            objective=side.facts.instance.settings.minimize,
            stored=stored,
            candidates=build_candidates(side.facts),
            gap=side.request.gap,
            threads=side.request.threads,
        )

    def changed(self, changes: Sequence[str]) -> Bench:
        """The same question under changed facts; InfeasibleError where nothing can be served."""
        facts = with_changes(self.facts, changes, meant=True)
        return replace(self, facts=facts, candidates=build_candidates(facts))

    def unpruned(self) -> Bench:
        """With the dominated pools and machines too: for wishes that name an offer."""
        return replace(self, candidates=build_candidates(self.facts, prune=False))

    def only(self, keep: Keep) -> Bench | None:
        """With these routes and purchases only; None where a workload has no answer left."""
        left = restricted(self.candidates, keep)
        return None if unserved(left.data) else replace(self, candidates=left)

    # ------------------------------------------------------------------ bounds

    @cached_property
    def index(self) -> FleetIndex:
        """The candidates laid out for the engine."""
        return FleetIndex.build(self.candidates.data)

    @cached_property
    def bounds(self) -> tuple[Bound, ...]:
        """What each vector of the stored prices proves here; without any, what free machines do."""
        index = self.index
        if self.stored is None:
            return (evaluate_bound(index, Prices.zero(index, unit_weights(self.objective))),)
        found = []
        for stored in self.stored.prices:
            prices = engine_prices(self.facts, self.candidates, index, stored)
            both = [evaluate_bound(index, p) for p in (prices, without_bargains(index, prices))]
            found.append(max(both, key=value_of))
        return tuple(found)

    @property
    def known(self) -> tuple[Prices, ...]:
        """The stored prices to begin a search from, where they are of the same objective."""
        weights = unit_weights(self.objective)
        if self.stored is None:
            return ()
        return tuple(b.prices for b in self.bounds if np.array_equal(b.prices.weights, weights))

    @property
    def bound(self) -> Bound:
        """The best one."""
        return max(self.bounds, key=value_of)

    @property
    def leading(self) -> DualPrices | None:
        """The stored prices that prove most here."""
        best = max(range(len(self.bounds)), key=lambda at: self.bounds[at].value)
        return None if self.stored is None else self.stored.prices[best]

    @cached_property
    def proved(self) -> float:
        """No plan of these candidates is worth less."""
        alone = self.bound.value
        if self.stored is None:
            return alone
        return max(alone, bound_by_cases(self.index, self.stored, self.bounds))

    # ------------------------------------------------------------------ plans

    def carry(self, plan: Plan) -> tuple[Solution, Plan] | None:
        """The plan's decisions here, checked; None where they keep no rule of these candidates."""
        found = carried(
            *(self.index, self.bound, plan),
            *(self.candidates.dominated_machines, self.candidates.dominated_pools),
        )
        if found is None:
            return None
        weights = unit_weights(self.objective)
        value = float(found.totals @ weights)
        result = EngineResult(
            solution=found,
            index=self.index,
            value=value,
            bound=min(self.proved, value),
            status="limit",
            prices=self.bound.prices,
            cases=Cases.of(self.bound),
            timings={},
            trace=(),
        )
        made = build_plan(self.facts, self.candidates, result, self.objective)
        if not verify_plan(self.facts, made, self.incumbent).ok:
            return None
        return found, made

    def beginning(self, plans: Iterable[Plan]) -> tuple[Solution | None, tuple[Prices, ...]]:
        """What a search here may begin from: the best of the plans carried over, and the stored
        prices."""
        found = [pair for pair in map(self.carry, plans) if pair is not None]
        best = min(found, key=lambda pair: self.worth(pair[1]), default=None)
        return None if best is None else best[0], self.known

    def quick(self, *plans: Plan) -> Solved | None:
        """The best of these plans carried over, beside the bound of the stored prices."""
        found = [pair for pair in map(self.carry, plans) if pair is not None]
        if not found:
            return None
        _, best = min(found, key=lambda pair: self.worth(pair[1]))
        return Solved(best, self.worth(best), self.proved, searched=False)

    def solve(self, seconds: float, *plans: Plan) -> Solved:
        """Re-solve within the time, from the best of these plans.

        Raises InfeasibleError (proved) and SolverError (no plan found in time), as the engine
        does; VerificationError where a plan fails its check.
        """
        began = time.monotonic()
        starts = [pair for pair in map(self.carry, plans) if pair is not None]
        start = min(starts, key=lambda pair: self.worth(pair[1])) if starts else None
        left = max(seconds - (time.monotonic() - began), 0.1)
        options = EngineOptions(self.gap, left, self.threads)
        result = minimize(
            self.candidates.data,
            self.objective,
            options,
            index=self.index,
            start=None if start is None else start[0],
        )
        made = build_plan(self.facts, self.candidates, result, self.objective)
        self._check(made)
        value = self.worth(made)
        if start is not None and self.worth(start[1]) < value:
            made, value = start[1], self.worth(start[1])
        return Solved(made, value, min(max(result.bound, self.proved), value), searched=True)

    def _check(self, plan: Plan) -> None:
        report = verify_plan(self.facts, plan, self.incumbent)
        if not report.ok:
            shown = "; ".join(v.message for v in report.violations[:SHOWN_VIOLATIONS])
            raise VerificationError(f"a re-solved plan failed its independent check: {shown}")

    def worth(self, plan: Plan) -> float:
        """What the plan comes to in the objective."""
        return minimised_value(plan.objectives, self.objective)
