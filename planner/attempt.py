"""One search after another, each on a finer grid of lanes and operating points than the last.

The first is on the short default grid. Where it proves that there is no plan, a long grid has the
last word. Where it finds one, the search goes on from that plan with more lanes and points: all of
the long grid for a small fleet, else those around what is in use, until the answer no longer moves
or time is up. What is returned is proved on one grid, which the plan names.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from planner.answer.adoption import UNITS
from planner.answer.build import build_plan
from planner.answer.certificate import proof as stored_proof
from planner.answer.words import amount, grid_said
from planner.api import Answer, Request, failed_check, restated, search_of
from planner.candidates import Candidates, build_candidates
from planner.errors import InfeasibleError, SolverError, VerificationError
from planner.explain.bench import Bench
from planner.explain.beside import with_rivals
from planner.incumbent import incumbent_of
from planner.instance.facts import Facts
from planner.instance.grid import (
    Grid,
    default_grid,
    finest_grid,
    grid_of,
    refined_grid,
    refines,
    too_long_for_lanes,
    without_lanes,
)
from planner.logs import EventLog
from planner.plan import Plan
from planner.remedies import explained
from planner.solve.bound import Prices
from planner.solve.options import EngineOptions, Progress
from planner.solve.solution import Solution
from planner.verify import Proof, verify_plan

LEAST_SEARCH_S = 1.0
CHECK_S_PER_ROUTE = 4e-6
"""Time kept back for the check of the bound, by eligible routes: measured on `reference`."""
MOST_KEPT_BACK = 0.2
"""Of the time limit."""
SHARE = 0.4
"""Of the time left, at most, for a search that one on a finer grid may follow."""
SMALL_ROUTES = 15_000
"""A fleet is small where the long grid makes no more routes than these."""
MOST_ROUTES = 60_000
"""Above these, time is better spent on the search than on a finer grid."""
STILL = 2
"""The answer stands where so many finer grids in a row have not moved it."""
LEAST_S = 2.0
"""No other search is begun with less time."""
RIVALS_SHARE = 0.1
"""Of the time limit, at most, for solving the other side of every verdict."""

Listener = Callable[[Progress], None]


@dataclass
class Attempts:
    """The searches for one answer: they share the clock, the log and the timings."""

    request: Request
    log: EventLog
    on_progress: Listener | None = None
    began: float = field(default_factory=time.monotonic)
    timings: dict[str, float] = field(default_factory=dict)
    interrupted: bool = False
    routes: int = 0
    """eligible ones of the last search"""
    built: tuple[Facts, Candidates] | None = None
    """what the last search was about"""

    def best(self, facts: Facts) -> Answer:
        """The answer on the default grid, or on finer ones where they move it."""
        if self.request.solver is not None:
            return self._first(facts, 1.0)
        if not refines(facts):
            return self._priced(self._first(facts, 1.0))
        # A gap that is still open is closed first: finer grids are for what is left of the time.
        found, still = self._first(facts, 1.0), 0
        grid, before = self._finer_grid(found, grid_of(facts)), grid_of(facts)
        while grid != before and still < STILL:
            finer = self._from(found, grid, SHARE)
            moved = _value(found) - _value(finer) > self.request.gap * abs(_value(found))
            if moved or (finer.exit_code == 0 and _value(finer) <= _value(found)):
                found = finer
            still = 0 if moved else still + 1
            before, grid = grid, self._finer_grid(found, grid)
        if found.exit_code == 0 or self.interrupted or self._left_s < LEAST_S:
            return found
        return min(self._from(found, grid_of(found.facts), 1.0), found, key=_value)

    def _priced(self, found: Answer) -> Answer:
        """The answer, with what it would cost without lanes that exclude our llms, where a search
        in the time left knows."""
        facts = found.facts
        kept_out = sorted({workload.workload for workload, _, _ in too_long_for_lanes(facts)})
        if not kept_out or found.exit_code != 0 or self.interrupted or self._left_s < LEAST_S:
            return found
        free = without_lanes(facts)
        grid = default_grid(free) | grid_of(facts)
        other = self._from(found, grid, 1.0, free)
        less = _value(found) - _value(other)
        if less <= self.request.gap * abs(_value(found)):
            return found
        unit = UNITS[facts.instance.settings.minimize]
        said = (
            f"[serving] prompt_lane_tokens keeps {', '.join(kept_out)} from llms of your own. "
            f"Without it a plan of {amount(_value(other), unit)} is known in place of "
            f"{amount(_value(found), unit)}."
        )
        plan = dataclasses.replace(found.plan, assumptions=(said, *found.plan.assumptions))
        return dataclasses.replace(found, plan=plan)

    def from_known(self, facts: Facts, start: Sequence[Plan], proof: Proof | None) -> Answer:
        """The answer on the grid of the facts, from plans and a proof of similar data."""
        try:
            return self.search(facts, 1.0, start, proof)
        except InfeasibleError as error:
            raise self._told(error, facts) from None

    def with_rivals(self, found: Answer) -> Answer:
        """The answer with the other side of every verdict solved, where time allows."""
        limit_s = min(RIVALS_SHARE * self.request.time_limit_s, self._left_s)
        if self.interrupted or self.routes > MOST_ROUTES or self._left_s < LEAST_S:
            return found
        ends = time.monotonic() + limit_s
        bench = Bench(
            *(found.facts, incumbent_of(found.facts), found.plan.certificate.minimised),
            *(found.proof, self._candidates_of(found.facts)),
            *(self.request.gap, self.request.threads),
        )
        with self.timed("other sides"):
            plan = with_rivals(bench, found.plan, lambda n: (ends - time.monotonic()) / n)
        return dataclasses.replace(
            found, plan=dataclasses.replace(plan, timings={**plan.timings, **self.timings})
        )

    def _first(self, facts: Facts, share: float) -> Answer:
        """On the default grid, or on the long one where the other is proved to hold no plan."""
        try:
            return self.search(facts, share)
        except InfeasibleError as error:
            finest = dataclasses.replace(facts, grid=finest_grid(facts))
            if finest.grid == grid_of(facts):
                raise self._told(error, facts) from None
        try:
            return self.search(finest, share)
        except InfeasibleError as error:
            raise self._told(error, finest) from None

    def _told(self, error: InfeasibleError, facts: Facts) -> InfeasibleError:
        """The error with remedies that were tried, and the grid it was proved for."""
        told = explained(
            dataclasses.replace(facts, grid=None), error, self.began + self.request.time_limit_s
        )
        grid = grid_said(facts)
        told.notes = (*error.notes, *([grid] if grid else ()), *defaults_said(error, facts))
        return told

    def _from(self, found: Answer, grid: Grid, share: float, facts: Facts | None = None) -> Answer:
        """The answer of another search from a plan, on a grid that holds it."""
        self.log.add("grid", **dataclasses.asdict(grid))
        facts = dataclasses.replace(facts or found.facts, grid=grid)
        try:
            return self.search(facts, share, [found.plan], found.proof)
        except SolverError as error:
            self.log.add("no plan", problem=str(error))
            return found

    def _finer_grid(self, found: Answer, grid: Grid) -> Grid:
        """The grid to go on with; the same where it is fine enough or there is no time."""
        facts = found.facts
        if self.interrupted or self.routes > MOST_ROUTES or self._left_s < LEAST_S:
            return grid
        finest = finest_grid(facts)
        if self.routes * finest.size <= SMALL_ROUTES * grid.size:
            grid = grid | finest
        return refined_grid(facts, grid, found.plan)

    @property
    def _left_s(self) -> float:
        return self.request.time_limit_s - (time.monotonic() - self.began)

    # ------------------------------------------------------------------ one search

    def search(
        self,
        facts: Facts,
        share: float = 1.0,
        start: Sequence[Plan] = (),
        start_proof: Proof | None = None,
    ) -> Answer:
        """Candidates, search, plan, check, every phase timed, in a share of the time left.

        The search begins from the best of `start` and the prices of `start_proof`.
        """
        minimize, limit_s = search_of(self.request), share * self._left_s
        began, objective = time.monotonic(), facts.instance.settings.minimize
        incumbent = incumbent_of(facts)
        with self.timed("candidates"):
            candidates = build_candidates(facts)
        self.built = (facts, candidates)
        self.routes = candidates.eligible_after_pruning
        bench = Bench(facts, incumbent, objective, start_proof, candidates)
        with self.timed("index"):
            index = bench.index
        begin, known = self._beginning(bench, start)
        left_s = limit_s - (time.monotonic() - began) - self._kept_back_s(candidates)
        options = EngineOptions(
            gap_relative=self.request.gap,
            time_limit_s=max(left_s, LEAST_SEARCH_S),
            threads=self.request.threads,
        )
        result = minimize(candidates.data, objective, options, self._listen, index, begin, known)
        self.log.add("searched", status=result.status, value=result.value, bound=result.bound)
        with self.timed("plan"):
            draft = build_plan(facts, candidates, result, objective)
        with self.timed("check"):
            report = verify_plan(facts, draft, incumbent)
        with self.timed("check of the bound"):
            proof = stored_proof(facts, candidates, index, result.cases)
            draft, wrong = restated(facts, draft, proof, incumbent, self.request.gap)
            report = dataclasses.replace(report, violations=(*report.violations, *wrong))
        made = dataclasses.replace(draft, timings={**self.timings, **draft.timings})
        self.log.add("checked", violations=len(report.violations))
        if not report.ok:
            raise VerificationError(failed_check(report))
        return Answer(facts, self.request, made, report, proof, self.log)

    def _beginning(
        self, bench: Bench, start: Sequence[Plan]
    ) -> tuple[Solution | None, tuple[Prices, ...]]:
        if not start and bench.stored is None:
            return None, ()
        with self.timed("start"):
            return bench.beginning(start)

    def _candidates_of(self, facts: Facts) -> Candidates:
        """Those of the last search, where it was about these facts."""
        if self.built is not None and self.built[0] is facts:
            return self.built[1]
        return build_candidates(facts)

    def _kept_back_s(self, candidates: Candidates) -> float:
        check_s = CHECK_S_PER_ROUTE * candidates.eligible_before_pruning
        return min(check_s, MOST_KEPT_BACK * self.request.time_limit_s)

    def _listen(self, progress: Progress) -> None:
        self.log.add("progress", phase=progress.phase, value=progress.value, bound=progress.bound)
        if self.on_progress is None:
            return
        try:
            self.on_progress(progress)
        except KeyboardInterrupt:
            self.interrupted = True
            raise

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Adds the seconds of a phase to the timings."""
        began = time.monotonic()
        yield
        self.timings[phase] = self.timings.get(phase, 0.0) + time.monotonic() - began
        self.log.add("phase", phase=phase, seconds=round(self.timings[phase], 3))


def _value(found: Answer) -> float:
    return found.plan.certificate.value


def defaults_said(error: InfeasibleError, facts: Facts) -> tuple[str, ...]:
    """That a limit on attainment takes part which nobody gave."""
    policy = facts.instance.settings.policy
    if "attainment_min" in policy.model_fields_set:
        return ()
    of_policy = [w.workload for w in facts.instance.workloads if w.attainment_min is None]
    asked = [
        name for name in of_policy if any(f"attainment of {name}" in x for x in error.conflict)
    ]
    if not asked:
        return ()
    return (
        f"The attainment of {policy.attainment_min:g} asked of {', '.join(asked)} is a default: "
        "attainment_min in [policy] or workloads.csv sets another.",
    )
