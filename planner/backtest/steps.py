"""One step of a replay: what a date's data and the plan in force lead to.

A step is kept in a folder named by the hash of all that it follows from, so that policies which
stand at the same plan share it, and an interrupted replay goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from planner.api import Answer, Request, answer, load, with_request
from planner.incumbent import incumbent_of, peak_accelerators
from planner.logs import EventLog
from planner.plan import Plan
from planner.replan.check import MIGRATION, Ask, Replan, run_check
from planner.replan.prepare import Prepared, prepare
from planner.replan.search import Clock, best_kept
from planner.replan.standing import standing_plan
from planner.runs import CERTIFICATE, INSTANCE, PLAN, write_run
from planner.verify import Proof

Kind = Literal["free", "plan", "keep", "check"]
STEP, RUN, CHECK = "step.json", "run", "check"
MARGIN = 0.0
"""Of a check. A margin stands for what a change costs beside what is counted: nothing, here."""
KEEP_GAP_MARGIN = 0.01
"""As a margin to `best_kept`: its plan is proved within a fifth of it."""


@dataclass(frozen=True)
class Step:
    """What a step came to, of one period of the instance."""

    kind: Kind
    cost_usd: float
    """without the costs of a change"""
    carbon_kgco2e: float
    """likewise"""
    qoe: float
    moving_usd: float
    """the whole costs of the change, whatever share of them a period bears"""
    moving_kgco2e: float
    changed_workloads: int
    added_accelerators: float
    """above the peak of each machine before"""
    committed: int
    """instances newly committed to"""
    decision: str
    """of a check: keep, move or undecided; else empty"""
    bound_usd: float
    """no plan of these data costs less (with its share of the costs of a change)"""
    seconds: float
    folder: str
    """of the run whose plan is in force from now on, relative to the replay's"""

    @property
    def moved(self) -> bool:
        """Whether anything decided was changed: rentals that follow demand are no move."""
        if self.kind == "keep" or self.decision in ("keep", "undecided"):
            return False
        return self.changed_workloads > 0 or self.committed > 0 or self.moving_usd > 0.0


@dataclass(frozen=True)
class Terms:
    """What all steps of a replay share."""

    folder: Path
    gap: float
    time_limit_s: float
    threads: int

    @property
    def request(self) -> Request:
        """Of a plan; a backtest minimises cost."""
        return Request(
            minimize="cost", gap=self.gap, time_limit_s=self.time_limit_s, threads=self.threads
        )


def step(
    terms: Terms, kind: Kind, instance: Path, current: Path | None, hints: Sequence[Path] = ()
) -> Step:
    """The step, made or read back. `current` is the run folder of the plan in force.

    `hints` are run folders of plans for the same or similar data to begin the search from, the
    first one with its proof. Where what is in force cannot be kept, `keep` makes a new plan
    instead.
    """
    place = terms.folder / "steps" / _key(terms, kind, instance, current)
    if (place / STEP).is_file():
        return Step(**json.loads((place / STEP).read_text(encoding="utf-8")))
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    began = time.monotonic()
    run, decision, found = MAKERS[kind](terms, Given(instance, current, tuple(hints)), place)
    made = _figures(kind, found, None if current is None else Plan.read(current))
    made = dataclasses.replace(
        made,
        decision=decision,
        seconds=time.monotonic() - began,
        folder=run.relative_to(terms.folder).as_posix(),
    )
    draft = place / f".{STEP}"
    draft.write_text(json.dumps(dataclasses.asdict(made), indent=1), encoding="utf-8")
    draft.replace(place / STEP)
    return made


def _key(terms: Terms, kind: Kind, instance: Path, current: Path | None) -> str:
    held = "" if current is None else hashlib.sha256((current / PLAN).read_bytes()).hexdigest()
    asked = [kind, load(instance).instance.sha256, held, terms.gap, terms.time_limit_s]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


# ------------------------------------------------------------------ kinds

Made = tuple[Path, str, Answer]
"""run folder of the plan from now on, decision of a check, answer with that plan"""


@dataclass(frozen=True)
class Given:
    """What a step follows from, and what it begins its search from."""

    instance: Path
    current: Path | None
    hints: tuple[Path, ...]

    @property
    def certificate(self) -> Path | None:
        """Of the first hint."""
        return self.hints[0] / CERTIFICATE if self.hints else None

    @property
    def known(self) -> tuple[Plan, ...]:
        """The plans of the hints."""
        return tuple(Plan.read(hint) for hint in self.hints)

    @property
    def proof(self) -> Proof | None:
        """Of the first hint."""
        return None if self.certificate is None else Proof.load(self.certificate)


def _plan(terms: Terms, given: Given, place: Path) -> Made:
    """The best plan, with what it costs to change what is in force."""
    if given.current is None:
        found = answer(given.instance, terms.request, start=given.known, start_proof=given.proof)
        return write_run(place / RUN, found), "", found
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        ready = prepare(given.instance, given.current, None, Path(scratch) / INSTANCE)
        held = _standing(ready, terms.request)
        begin = (*([] if held is None else [held]), *given.known)
        found = answer(ready.facts, terms.request, start=begin, start_proof=given.proof)
        return write_run(place / RUN, found), "", found


def _standing(ready: Prepared, request: Request) -> Plan | None:
    """The plan in force, with the commitments that still run."""
    facts = with_request(ready.facts, request)
    running = incumbent_of(facts)
    return standing_plan(running, facts) if isinstance(running, Plan) else None


def _keep(terms: Terms, given: Given, place: Path) -> Made:
    """What was decided stays; rentals, replicas and routing follow the data."""
    assert given.current is not None
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        ready = prepare(given.instance, given.current, None, Path(scratch) / INSTANCE)
        kept = best_kept(
            *(ready.facts, terms.request, _standing(ready, terms.request), KEEP_GAP_MARGIN),
            *(Clock(terms.time_limit_s), EventLog(), lambda _: None, given.proof),
            hints=given.known,
        )
        if kept.answer is not None:
            return write_run(place / RUN, kept.answer), "", kept.answer
    return _plan(terms, given, place)


def _check(terms: Terms, given: Given, place: Path) -> Made:
    """As `planner replan` decides; what it leaves undecided, the two plans in hand decide."""
    assert given.current is not None
    ask = Ask(
        gap=terms.gap,
        time_limit_s=terms.time_limit_s,
        threads=terms.threads,
        margin=MARGIN,
        proof=given.certificate,
        hints=given.known,
    )
    found = run_check(given.instance, given.current, None, ask, output=place / CHECK)
    decided: str = found.decision.decision
    if decided == "undecided" and _pays(found):
        decided = "move"
    if decided == "move" or found.kept is None:
        # Nothing that keeps what was decided can go on, or was found in time.
        return found.run_folder, decided, found.proposed
    return write_run(place / RUN, found.kept), decided, found.kept


def _pays(found: Replan) -> bool:
    """Whether the change found is better than the plan that keeps, by more than the threshold."""
    kept, proposed = found.decision.kept.proved, found.decision.proposed
    return kept is not None and kept.value - proposed.value > found.decision.least


Maker = Callable[[Terms, Given, Path], Made]
MAKERS: dict[Kind, Maker] = {"free": _plan, "plan": _plan, "keep": _keep, "check": _check}


# ------------------------------------------------------------------ figures


def _figures(kind: Kind, found: Answer, before: Plan | None) -> Step:
    """The plan's totals, with the costs of the change taken apart and made whole."""
    plan, settings = found.plan, found.facts.instance.settings
    share = min(settings.period.hours / settings.migration.horizon_h, 1.0)
    moving, carbon = (
        sum(value for name, value in lines.items() if name.startswith(MIGRATION))
        for lines in (plan.cost_lines, plan.carbon_lines)
    )
    return Step(
        kind=kind,
        cost_usd=plan.objectives.cost_usd - moving,
        carbon_kgco2e=plan.objectives.carbon_kgco2e - carbon,
        qoe=plan.objectives.qoe,
        moving_usd=moving / share,
        moving_kgco2e=carbon / share,
        changed_workloads=0 if before is None else _changed(before, plan),
        added_accelerators=0.0 if before is None else _added(before, plan),
        committed=sum(line.instances for line in plan.fleet if line.market.startswith("commit")),
        decision="",
        bound_usd=plan.certificate.bound,
        seconds=0.0,
        folder="",
    )


def _changed(before: Plan, after: Plan) -> int:
    """Workloads that another variant answers; by what it is, names may grow."""

    def told(plan: Plan) -> dict[str, tuple[object, ...]]:
        return {
            row.workload: (row.llm, row.adaptation, row.method, row.refresh_days, row.check_llm)
            for row in plan.adoption
        }

    old, new = told(before), told(after)
    return sum(old.get(name) != variant for name, variant in new.items())


def _added(before: Plan, after: Plan) -> float:
    old, new = peak_accelerators(before.fleet), peak_accelerators(after.fleet)
    return sum(max(count - old.get(name, 0.0), 0.0) for name, count in new.items())
