"""A check: price what runs today under today's data, find the best change, decide.

Reads top to bottom: prepare the instance, see how the running plan stands, solve for the best that
keeps what was decided and for the best change, apply the rule, order the move, write the run.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.api import Answer, Request, with_request
from planner.compare.data import DataChanges
from planner.compare.plans import PlanDiff, diff_plans
from planner.compare.recost import recost
from planner.compare.sides import PlanSide
from planner.errors import RunError
from planner.incumbent import Incumbent, incumbent_of, peak_changes
from planner.instance.facts import Facts
from planner.logs import EventLog
from planner.plan import Plan
from planner.replan.decision import (
    Decision,
    FrontRecord,
    Kept,
    Moving,
    Settings,
    Standing,
)
from planner.replan.folder import CheckRun, new_run
from planner.replan.prepare import Prepared, prepare
from planner.replan.rule import Interval, Verdict, regret, threshold, verdict
from planner.replan.search import (
    LEAST_SEARCH_S,
    Clock,
    KeepResult,
    Listener,
    best_change,
    best_kept,
    proved_of,
)
from planner.replan.stages import Stage, staged
from planner.replan.standing import owned_row_name, standing_plan, standing_side
from planner.runs import CERTIFICATE, INSTANCE

if TYPE_CHECKING:
    import pandas as pd

    from planner.verify import Proof

MIGRATION = "migration"
LATER_TIME_SHARE = 0.1
"""Of the time, kept back for what follows the searches: comparing, staging, checking."""
LEAST_SECOND_SEARCH_S = 2.0 * LEAST_SEARCH_S
SLACK = 1e-9
"""Of a cap that is the running plan's own figure."""


@dataclass(frozen=True)
class Ask:
    """What is asked beside the instance and the running plan's own request; None: as there."""

    minimize: str | None = None
    caps: Mapping[str, float] | None = None
    floors: Mapping[str, float] | None = None
    gap: float = 0.005
    time_limit_s: float = 120.0
    threads: int = 2
    margin: float | None = None
    """share of what keeping comes to; else that of the instance"""
    notes: tuple[str, ...] = ()
    """said among the assumptions, such as which feeds were used"""
    called: str | None = None
    """what runs today, as people call it; None: by its path"""
    proof: Path | None = None
    """certificate of a plan for similar data to begin from; None: that of what runs today"""
    hints: tuple[Plan, ...] = ()
    """plans for similar data to begin from, beside what runs today"""
    carries_calibration: bool = True
    """where the instance names none, that of what runs today holds"""


@dataclass(frozen=True)
class Memory:
    """The check before this one; with a memory a gain must be confirmed as often as set."""

    last: Decision | None = None


@dataclass(frozen=True, eq=False)
class Replan:
    """A finished check."""

    decision: Decision
    kept: Answer | None
    """the best that keeps what was decided; None: it cannot go on, or time ran out"""
    proposed: Answer
    """the best change found; the plan that keeps everything where none is better"""
    diff: PlanDiff | None
    """the running plan against the proposed one; None where it has no routing and cannot go on"""
    stages: tuple[Stage, ...]
    run_folder: Path

    @property
    def exit_code(self) -> int:
        """0 keep, 2 move proposed, 5 undecided."""
        return self.decision.exit_code

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists, ready for JSON."""
        return {
            "run_folder": str(self.run_folder),
            "exit_code": self.exit_code,
            "decision": self.decision.to_dict(),
            "diff": None if self.diff is None else self.diff.to_dict(),
        }

    def to_frame(self) -> pd.DataFrame:
        """The regret, threshold and costs of the change, one row each."""
        import pandas as pd

        from planner.replan.said import figure_rows

        return pd.DataFrame(figure_rows(self.decision), columns=["figure", "value", "unit"])

    def _repr_html_(self) -> str:
        from planner.replan.html import replan_html

        return replan_html(self)


@dataclass(frozen=True, eq=False)
class Terms:
    """What the steps of a check share."""

    ready: Prepared
    facts: Facts
    """of the instance, with what is asked of it"""
    request: Request
    settings: Settings
    clock: Clock
    log: EventLog
    listener: Listener
    proof: Proof | None
    """of similar data, to begin from"""
    hints: tuple[Plan, ...]
    """likewise"""

    @property
    def objective(self) -> str:
        """``cost``, ``carbon`` or ``qoe-loss``."""
        return self.facts.instance.settings.minimize

    @property
    def share(self) -> float:
        """Of the costs of a change that the period bears."""
        return min(self.facts.instance.settings.period.hours / self.settings.horizon_h, 1.0)


@dataclass(frozen=True)
class Finding:
    """What the rule says, before confirmation."""

    verdict: Verdict
    regret: Interval | None
    least: float


def run_check(
    instance: Path,
    current: Path | None = None,
    point: str | None = None,
    ask: Ask | None = None,
    *,
    memory: Memory | None = None,
    new_front: Path | None = None,
    output: Path | None = None,
    log: EventLog | None = None,
    on_progress: Listener | None = None,
) -> Replan:
    """Decide whether to keep what runs today, and write the run.

    `new_front`: of a front's point, a front of today's data to compare with. Raises InstanceError,
    RunError, PlannerError, InfeasibleError (no plan at all, proved), SolverError,
    VerificationError.
    """
    ask, log = ask or Ask(), log or EventLog()
    clock = Clock((1.0 - LATER_TIME_SHARE) * ask.time_limit_s)
    with new_run(instance, output) as run:
        carries = ask.carries_calibration
        ready = prepare(instance, current, point, run.instance, ask.called, carries=carries)
        request = _request(ready, ask)
        standing = _standing(with_request(ready.facts, request), ready)
        if ready.current.side is not None and ready.current.side.point is not None:
            request = _of_point(request, standing)
        facts = with_request(ready.facts, request)
        settings = _settings(facts, ask, memory)
        listener = on_progress or (lambda _: None)
        proof = _known_proof(ready, ask.proof)
        terms = Terms(ready, facts, request, settings, clock, log, listener, proof, ask.hints)
        return _concluded(terms, standing, run, memory, new_front, ask.notes)


def _concluded(
    terms: Terms,
    standing: Standing,
    run: CheckRun,
    memory: Memory | None,
    new_front: Path | None,
    notes: tuple[str, ...],
) -> Replan:
    """Search, decide, stage, write."""
    margin = terms.settings.margin
    running = incumbent_of(terms.facts)
    as_it_stands = standing_plan(running, terms.facts) if isinstance(running, Plan) else None
    kept = best_kept(
        *(terms.ready.facts, terms.request, as_it_stands, margin),
        *(terms.clock, terms.log, terms.listener, terms.proof),
        hints=terms.hints,
    )
    proposed, found = _proposed(terms, kept)
    decided, reason, confirmed = _decided(terms, kept, found, memory, run.current_sha256)
    diff = _difference(terms, kept, proposed)
    stages: tuple[Stage, ...] = ()
    if decided == "move" and kept.answer is not None:
        stages = staged(proposed.facts, kept.answer.plan, proposed.plan)
    decision = Decision(
        decision=decided,
        reason=reason,
        checked_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        instance=proposed.plan.instance,
        current=terms.ready.current.name,
        current_sha256=run.current_sha256,
        objective=terms.objective,
        period_h=terms.facts.instance.settings.period.hours,
        settings=terms.settings,
        standing=standing,
        kept=Kept(
            kept.proved,
            None if kept.answer is None else kept.answer.plan.objectives,
            kept.conflict,
        ),
        proposed=proved_of(proposed),
        proposed_objectives=proposed.plan.objectives,
        regret=found.regret,
        least=found.least,
        pays=found.verdict == "move",
        confirmed=confirmed,
        moving=_moving(terms, running, proposed.plan, stages),
        stages=tuple(stage.record for stage in stages),
        front=_front(terms, found, new_front),
        assumptions=(*notes, *terms.ready.notes, *proposed.plan.assumptions),
        held_liability_usd=_liability_usd(proposed.plan, held=True),
        new_liability_usd=_liability_usd(proposed.plan, held=False),
    )
    terms.log.add("decided", decision=decided, reason=reason)
    folder = run.write(decision, kept.answer, proposed, stages)
    last = None if kept.answer is None else _at(kept.answer, folder)
    return Replan(decision, last, _at(proposed, folder), diff, stages, folder)


def _at(found: Answer, run_folder: Path) -> Answer:
    """The answer with its instance where the run keeps it."""
    place = str(run_folder / INSTANCE)
    instance = found.facts.instance.model_copy(update={"folder": place})
    return dataclasses.replace(found, facts=dataclasses.replace(found.facts, instance=instance))


# ------------------------------------------------------------------ what is asked


def _request(ready: Prepared, ask: Ask) -> Request:
    """The running plan's own request, what is asked in its place, and today's limits."""
    before = ready.current.request
    return Request(
        minimize=ask.minimize or before.minimize,
        caps=before.caps if ask.caps is None else ask.caps,
        floors=before.floors if ask.floors is None else ask.floors,
        gap=ask.gap,
        time_limit_s=ask.time_limit_s,
        threads=ask.threads,
    )


def _of_point(request: Request, standing: Standing) -> Request:
    """A point of a front is the cheapest plan of its carbon and QoE: those of today's data."""
    if standing.broken or standing.objectives is None:
        return request
    now = standing.objectives
    return dataclasses.replace(
        request,
        caps={**request.caps, "carbon": now.carbon_kgco2e * (1.0 + SLACK)},
        floors={**request.floors, "qoe": now.qoe - SLACK},
    )


def _known_proof(ready: Prepared, given: Path | None) -> Proof | None:
    """The proof to begin from, if there is one: a damaged one is no reason to stop."""
    from planner.verify import Proof

    side = ready.current.side
    own = None if side is None or side.point is not None else Path(side.path) / CERTIFICATE
    for path in (given, own):
        if path is not None and path.is_file():
            try:
                return Proof.load(path)
            except RunError:
                continue
    return None


def _settings(facts: Facts, ask: Ask, memory: Memory | None) -> Settings:
    settings = facts.instance.settings
    rule = settings.replan
    return Settings(
        horizon_h=settings.migration.horizon_h,
        margin=rule.margin if ask.margin is None else ask.margin,
        switching_factor=rule.switching_factor,
        confirmations=1 if memory is None else rule.confirmations,
    )


def _standing(facts: Facts, ready: Prepared) -> Standing:
    """The running plan as it stands under the new data, by the checker's arithmetic."""
    plan = incumbent_of(facts)
    if not isinstance(plan, Plan):
        return Standing(None, ())
    plan = standing_plan(plan, facts)
    now = recost(facts, plan, plan)
    return Standing(now.objectives, tuple(broken.said() for broken in now.broken))


# ------------------------------------------------------------------ search and rule


def _proposed(terms: Terms, kept: KeepResult) -> tuple[Answer, Finding]:
    """The best change; a second search where the costs of the first one's change leave it open."""
    facts, request, clock = terms.ready.facts, terms.request, terms.clock
    keep = kept.proved
    least = 0.0 if keep is None else threshold(keep, 0.0, terms.settings.margin, 1.0)
    found = best_change(
        *(facts, request, kept, least, clock, terms.log, terms.listener, terms.proof),
        hints=terms.hints,
    )
    finding = _finding(terms, kept, found)
    if finding.verdict == "undecided" and clock.left_s > LEAST_SECOND_SEARCH_S:
        found = best_change(
            *(facts, request, kept, finding.least, clock, terms.log, terms.listener, found.proof),
            start=found,
        )
        finding = _finding(terms, kept, found)
    return found, finding


def _finding(terms: Terms, kept: KeepResult, proposed: Answer) -> Finding:
    """The rule on what is proved of both."""
    keep = kept.proved
    if keep is None:
        return Finding("undecided" if kept.is_open else "move", None, 0.0)
    share_of_moving = _in_objective(terms.objective, proposed.plan)
    rule = terms.settings
    least = threshold(keep, share_of_moving, rule.margin, rule.switching_factor)
    found = regret(keep, proved_of(proposed))
    return Finding(verdict(found, least), found, least)


def _in_objective(objective: str, plan: Plan) -> float:
    """The period's share of the costs of the change, in the unit of the objective."""
    lines = {"cost": plan.cost_lines, "carbon": plan.carbon_lines, "qoe-loss": {}}[objective]
    return sum(value for name, value in lines.items() if name.startswith(MIGRATION))


def _decided(
    terms: Terms, kept: KeepResult, found: Finding, memory: Memory | None, current_sha256: str
) -> tuple[Verdict, str, int]:
    """(decision, reason, confirmations): the rule, and the patience that is asked of it."""
    from planner.replan.said import gain_said

    if kept.conflict:
        return "move", f"what runs today cannot go on: {kept.conflict[0]}", 1
    if kept.is_open or found.regret is None:
        text = "no plan that keeps what was decided was found in the time given: allow more time"
        return "undecided", text, 0
    told = gain_said(terms.objective, terms.facts.instance.settings.period.hours,
                     terms.settings, found.regret, found.least)  # fmt: skip
    if found.verdict != "move":
        return found.verdict, told, 0
    last = None if memory is None else memory.last
    same = last is not None and last.current_sha256 == current_sha256
    confirmed = 1 + (last.confirmed if last is not None and same else 0)
    needed = terms.settings.confirmations
    if confirmed < needed:
        patience = f"found in {confirmed} of {needed} checks in a row that it takes"
        return "keep", f"{told}; {patience}", confirmed
    return "move", told, confirmed


# ------------------------------------------------------------------ the parts of the answer


def _difference(terms: Terms, kept: KeepResult, proposed: Answer) -> PlanDiff | None:
    """The running plan, with its own data where they are known, against the proposed one."""
    new = PlanSide(
        "proposed", proposed.facts, proposed.request, proposed.plan, incumbent_of(proposed.facts)
    )
    side = terms.ready.current.side
    if side is not None:
        old = standing_side(side, terms.facts)
    else:
        plan = incumbent_of(terms.facts)
        if not isinstance(plan, Plan):
            if kept.answer is None:
                return None
            plan = kept.answer.plan
        plan = standing_plan(plan, terms.facts)
        name = terms.ready.current.name
        old = PlanSide(name, terms.facts, terms.request, plan, incumbent_of(terms.facts))
    found = diff_plans(old, new)
    return dataclasses.replace(found, data=_without_own_doing(found.data, terms.ready))


def _without_own_doing(data: DataChanges, ready: Prepared) -> DataChanges:
    """The changes of the data, without what the check itself brings along."""
    brought = {owned_row_name(row) for row in ready.added}
    tables = [
        dataclasses.replace(
            table,
            added=tuple(name for name in table.added if name not in brought),
            changed=tuple(cell for cell in table.changed if cell.column != "incumbent"),
        )
        for table in data.tables
    ]
    kept = tuple(t for t in tables if t.added or t.removed or t.changed)
    return dataclasses.replace(data, tables=kept)


def _liability_usd(plan: Plan, *, held: bool) -> float:
    return sum(one.liability_usd or 0.0 for one in plan.commitments if one.held == held)


def _moving(
    terms: Terms, running: Incumbent | None, plan: Plan, stages: tuple[Stage, ...]
) -> Moving:
    """The costs of the change, whole: the plan bears the period's share of them."""

    def whole(lines: Mapping[str, float]) -> dict[str, float]:
        return {
            name: value / terms.share
            for name, value in lines.items()
            if name.startswith(MIGRATION) and value
        }

    return Moving(
        cost_lines=whole(plan.cost_lines),
        carbon_kgco2e=sum(whole(plan.carbon_lines).values()),
        overlap_usd=sum(stage.record.overlap_usd for stage in stages) if stages else None,
        machines={} if running is None else peak_changes(running.fleet, plan.fleet),
    )


def _front(terms: Terms, found: Finding, new_front: Path | None) -> FrontRecord | None:
    """What became of the front that the running plan was chosen from."""
    side = terms.ready.current.side
    if side is None or side.point is None:
        return None
    from planner.replan.fronts import front_record

    return front_record(terms.ready, found.regret, found.least, new_front)
