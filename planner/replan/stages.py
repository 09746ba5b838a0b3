"""The order of a move: workload by workload, so that every promise is kept on the way.

A step moves the answers of one workload from the plan that keeps what was decided to the proposed
one: machines and replicas are added first, then the answers move, then what is no longer needed is
drained and given up. Before and after a step every workload is answered wholly as one of the two
plans answers it, so each keeps its latency, quality and regions; what a step can break are the
limits that workloads share, machines on sale and quotas. So every plan on the way, and the one
while both serve, goes through the independent checker. Where the overlap does not fit, that is
said with what is missing.

Limits of the whole period (caps, limits on change) do not apply to hours.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from models.fleet.data import BoolArray, FloatArray, IntArray
from planner.answer.build import build_plan
from planner.api import on_grids
from planner.candidates import Candidates, build_candidates
from planner.candidates.machines import LIMIT
from planner.candidates.migration import load_h, usd_per_h_outside
from planner.explain.carry import carried, trimmed
from planner.incumbent import Incumbent, incumbent_of
from planner.instance.facts import Facts
from planner.instance.schema import Caps
from planner.plan import Plan
from planner.replan.decision import StageRecord
from planner.solve.assignments import Cases
from planner.solve.bound import Bound, Prices, evaluate_bound
from planner.solve.engine import EngineResult, unit_weights
from planner.solve.index import FleetIndex
from planner.solve.solution import (
    Solution,
    finished,
    held_instances,
    obeys_limits,
    replicas_needed,
    totals_of,
    whole_rentals,
)
from planner.verify import Violation, verify_plan

MOVED = 1e-6
"""Share of a demand item that counts as answered elsewhere."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One step: what it is, the plan while both serve (None: it does not fit), and after it."""

    record: StageRecord
    overlap: Plan | None
    after: Plan


@dataclass(frozen=True, eq=False)
class Overlap:
    """Both plans of a step served side by side in one slice."""

    slice: int
    solution: Solution
    usd: float
    fits: bool


def staged(facts: Facts, old: Plan, new: Plan) -> tuple[Stage, ...]:
    """Steps from one plan to another, each with less to pay than the others that were left.

    Both are plans of `facts`. No step at all where they answer everything alike.
    """
    return Move.of(facts, old, new).stages()


@dataclass(frozen=True, eq=False)
class Move:
    """Both plans as solutions of one program without limits on the period."""

    facts: Facts
    incumbent: Incumbent | None
    candidates: Candidates
    index: FleetIndex
    bound: Bound
    old: Solution
    new: Solution
    hours: FloatArray
    """float (H,) from asking for a machine until the one it replaces may go"""
    usd_per_h: FloatArray
    """float (H,) of an accelerator, outside of the plan's own markets"""

    @classmethod
    def of(cls, facts: Facts, old: Plan, new: Plan) -> Move:
        """Lay both plans out."""
        free = on_grids(without_limits(facts), (old, new))
        candidates = build_candidates(free)
        data = candidates.data
        # On the way both plans may be held: more than any one plan needs, if it can be had.
        most = np.minimum(data.purchase_stock, LIMIT)
        data = dataclasses.replace(data, purchase_limit=most)
        index = FleetIndex.build(data)
        weights = unit_weights(facts.instance.settings.minimize)
        bound = evaluate_bound(index, Prices.zero(index, weights))
        machines = {m.machine: m for m in facts.machines}
        held = [machines[name] for name in data.machines]
        migration = facts.instance.settings.migration
        return cls(
            facts=free,
            incumbent=incumbent_of(facts),
            candidates=dataclasses.replace(candidates, data=data),
            index=index,
            bound=bound,
            old=_laid_out(index, bound, old),
            new=_laid_out(index, bound, new),
            hours=np.array(
                [migration.boot_h + load_h(facts, m) + migration.overlap_h for m in held]
            ),
            usd_per_h=np.array([usd_per_h_outside(m) / m.accelerators for m in held]),
        )

    # ------------------------------------------------------------------ the order

    def stages(self) -> tuple[Stage, ...]:
        """The steps, cheapest next plan first; what nothing tells apart moves at the end."""
        data = self.index.data
        left = {int(w) for w in np.flatnonzero(self.differs())}
        moved = np.zeros(len(data.workloads), dtype=np.bool_)
        at, made = self.old, list[Stage]()
        while left:
            step, after = self._next(at, moved, left)
            left -= step
            moved[list(step)] = True
            if not left:
                after = self.new
            made.append(self._stage(len(made) + 1, at, after, step))
            at = after
        if at is self.old and _differs_in_machines(self.index, self.old, self.new):
            made.append(self._stage(1, self.old, self.new, set()))
        return tuple(made)

    def differs(self) -> BoolArray:
        """Workloads with another variant or another place for some of their answers, bool (W,)."""
        share = np.zeros((2, len(self.index.pool)))
        for row, solution in enumerate((self.old, self.new)):
            share[row, solution.routes] = solution.serve
        found = self.old.adopt != self.new.adopt
        elsewhere = np.abs(share[0] - share[1]) > MOVED
        found[np.unique(self.index.route_workload[elsewhere])] = True
        return np.asarray(found)

    def _next(self, at: Solution, moved: BoolArray, left: set[int]) -> tuple[set[int], Solution]:
        """The step that leads to the least total, of those that fit; else all that is left."""
        weights = self.bound.prices.weights
        options = []
        for w in sorted(left):
            tried = moved.copy()
            tried[w] = True
            after = self.mixed(tried)
            fits = obeys_limits(self.index, after) and self.overlap(at, after).fits
            options.append((not fits, float(after.totals @ weights), w, after))
        stuck, _, w, after = min(options, key=lambda option: option[:3])
        if stuck:
            return set(left), self.new
        return {w}, after

    def mixed(self, moved: BoolArray) -> Solution:
        """The workloads moved as in the new plan, the others as in the old one."""
        old, new, index = self.old, self.new, self.index
        stay = ~moved[index.route_workload[old.routes]]
        come = moved[index.route_workload[new.routes]]
        routes = np.concatenate([old.routes[stay], new.routes[come]])
        serve = np.concatenate([old.serve[stay], new.serve[come]])
        variant_moved = moved[index.data.variant_workload]
        train = np.where(variant_moved, new.train, old.train)
        adopt = np.where(moved, new.adopt, old.adopt)
        by_hour = np.concatenate([old.by_hour[stay], new.by_hour[come]])
        replicas = replicas_needed(index, routes, serve - by_hour)
        buy = np.maximum(old.buy, new.buy)
        rent = np.maximum(old.rent, new.rent)
        buy, rent = trimmed(index, replicas, buy, rent)
        hold = np.maximum(old.hold, new.hold)
        parts = (adopt, routes, serve, buy, rent.astype(float), train, by_hour, hold)
        found = finished(index, *parts)
        return found if obeys_limits(index, found) else finished(index, *parts, spare=True)

    # ------------------------------------------------------------------ while both serve

    def overlap(self, before: Solution, after: Solution) -> Overlap:
        """Both served side by side, in the slice where that costs least and fits if any does."""
        found = [self._side_by_side(before, after, t) for t in range(len(self.index.data.slices))]
        return min(found, key=lambda one: (not one.fits, one.usd, one.slice))

    def _side_by_side(self, before: Solution, after: Solution, t: int) -> Overlap:
        index = self.index
        replicas = before.replicas.copy()
        replicas[:, t] = np.maximum(before.replicas[:, t], after.replicas[:, t])
        buy = np.maximum(before.buy, after.buy)
        rent = before.rent.copy()
        rent[:, t] = np.maximum(before.rent[:, t], after.rent[:, t])
        rent = whole_rentals(index, replicas, buy, rent.astype(float), spare=True)
        hold = before.hold.copy()
        hold[:, t] = np.maximum(before.hold[:, t], after.hold[:, t])
        host = before.host | after.host
        both = dataclasses.replace(
            before, replicas=replicas, buy=buy, rent=rent, hold=hold, host=host
        )
        both = dataclasses.replace(both, totals=totals_of(index, both))
        more = np.maximum(self._held(both)[:, t] - self._held(before)[:, t], 0)
        usd = float((more * self.hours) @ self.usd_per_h)
        return Overlap(t, both, usd, obeys_limits(index, both))

    def _held(self, solution: Solution) -> IntArray:
        """Accelerators held, int (H, T)."""
        held = held_instances(self.index, solution)
        return np.asarray(held * self.index.data.machine_size[:, None])

    # ------------------------------------------------------------------ plans

    def _stage(self, number: int, before: Solution, after: Solution, step: set[int]) -> Stage:
        both = self.overlap(before, after)
        plan, wrong = self._checked(both.solution)
        done, broken = self._checked(after)
        held = [self._held(solution) for solution in (before, both.solution, after)]
        t = both.slice
        added = np.maximum(held[2].max(axis=1) - held[0].max(axis=1), 0)
        dropped = np.maximum(held[0].max(axis=1) - held[2].max(axis=1), 0)
        beside = np.maximum(held[1][:, t] - held[2][:, t], 0)
        new = np.maximum(held[1][:, t] - held[0][:, t], 0) > 0
        record = StageRecord(
            workloads=tuple(self.index.data.workloads[w] for w in sorted(step)),
            added_accelerators=int(added.sum()),
            dropped_accelerators=int(dropped.sum()),
            slice=self.index.data.slices[t],
            overlap_accelerators=int(beside.sum()),
            overlap_usd=both.usd,
            hours=float(self.hours[new].max(initial=0.0)),
            fits=both.fits and not wrong and not broken,
            missing="; ".join(dict.fromkeys(v.message for v in (*wrong, *broken))),
            folder=f"stages/{number:02d}",
        )
        return Stage(record, plan, done)

    def _checked(self, solution: Solution) -> tuple[Plan, tuple[Violation, ...]]:
        """The solution as a plan, and what the independent checker finds wrong with it."""
        weights = self.bound.prices.weights
        value = float(solution.totals @ weights)
        result = EngineResult(
            solution=solution,
            index=self.index,
            value=value,
            bound=min(self.bound.value, value),
            status="limit",
            prices=self.bound.prices,
            cases=Cases.of(self.bound),
            timings={},
            trace=(),
        )
        objective = self.facts.instance.settings.minimize
        plan = build_plan(self.facts, self.candidates, result, objective)
        return plan, verify_plan(self.facts, plan, self.incumbent).violations


def without_limits(facts: Facts) -> Facts:
    """The facts without what limits the whole period: caps, and limits on change."""
    settings = facts.instance.settings
    policy = settings.policy.model_copy(
        update={
            "max_added_accelerators": None,
            "max_changed_workloads": None,
            "keep_incumbent": False,
        }
    )
    settings = settings.model_copy(update={"caps": Caps(), "policy": policy})
    return dataclasses.replace(
        facts, instance=facts.instance.model_copy(update={"settings": settings})
    )


def _laid_out(index: FleetIndex, bound: Bound, plan: Plan) -> Solution:
    found = carried(index, bound, plan)
    if found is None:
        raise AssertionError("a checked plan keeps every limit")
    return found


def _differs_in_machines(index: FleetIndex, old: Solution, new: Solution) -> bool:
    held = [held_instances(index, one) for one in (old, new)]
    return bool((held[0] != held[1]).any())
