"""The stable Python face: load an instance, plan it, verify a plan.

::

    facts = planner.load("instances/small")
    plan = planner.plan(facts, minimize="carbon", caps={"cost": 50_000}, gap=0.01)
    report = planner.verify(plan, facts)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import PlannerError
from planner.incumbent import Incumbent, incumbent_of
from planner.instance.changes import with_changes
from planner.instance.facts import Facts
from planner.instance.grid import default_grid
from planner.instance.schema import Caps
from planner.logs import EventLog
from planner.plan import Plan, gap_between

if TYPE_CHECKING:
    from planner.backtest.replay import Progress as ReplayProgress
    from planner.backtest.results import Backtest
    from planner.compare.fronts import FrontDiff
    from planner.compare.instances import InstanceDiff
    from planner.compare.plans import PlanDiff
    from planner.explain.clock import Clock
    from planner.explain.results import Explanation
    from planner.explain.sweep import Sweep
    from planner.explain.whatif import WhatIf
    from planner.front.front import Front
    from planner.front.run import FrontProgress
    from planner.program.export import Export
    from planner.replan.check import Replan
    from planner.report.files import Report
    from planner.solve.engine import EngineResult
    from planner.solve.options import Progress
    from planner.verify import Proof, VerificationReport, Violation

OBJECTIVES = ("cost", "carbon", "qoe-loss")
CAPS = {"cost": "cost_usd", "carbon": "carbon_kgco2e", "water": "water_l"}
"""Name of a cap on the command line -> its setting: USD, kgCO2e, litres of the period."""
FLOORS = {"qoe": "qoe_min"}
MOST_VIOLATIONS_SHOWN = 10
MOST_LESS = 0.1
"""Share of a bound by which the checker may prove less than the engine."""


@dataclass(frozen=True)
class Request:
    """What is asked of an instance on top of its own settings."""

    minimize: str | None = None
    """``cost``, ``carbon`` or ``qoe-loss``; None: as the instance says"""
    caps: Mapping[str, float] = field(default_factory=dict)
    """``cost`` (USD), ``carbon`` (kgCO2e), ``water`` (l) of the period; replace the instance's"""
    floors: Mapping[str, float] = field(default_factory=dict)
    """``qoe`` in [0, 1]"""
    gap: float = 0.005
    """relative, proved"""
    time_limit_s: float = 60.0
    """wall clock of the whole: reading, searching, checking"""
    threads: int = 2
    changes: Sequence[str] = ()
    """``--set`` expressions (`planner.instance.changes`), applied in order after all else"""
    solver: str | None = None
    """another solver for the whole program (`planner.program.solvers`); None: our own search"""

    def __post_init__(self) -> None:
        object.__setattr__(self, "changes", tuple(self.changes))
        problems = []
        if self.minimize is not None and self.minimize not in OBJECTIVES:
            problems.append(f"minimize {self.minimize!r}: one of {', '.join(OBJECTIVES)}")
        for given, known, what in ((self.caps, CAPS, "cap"), (self.floors, FLOORS, "floor")):
            for name, value in given.items():
                if name not in known:
                    problems.append(f"{what} {name!r}: one of {', '.join(known)}")
                elif not (isinstance(value, int | float) and 0 < value < math.inf):
                    problems.append(f"{what} {name}={value!r}: a number above 0")
        if any(isinstance(v, int | float) and v > 1 for v in self.floors.values()):
            problems.append("floor qoe: at most 1")
        if not 0 < self.gap < 1:
            problems.append(f"gap {self.gap!r}: a fraction between 0 and 1, e.g. 0.005 for 0.5 %")
        if not 0 < self.time_limit_s < math.inf:
            problems.append(f"time limit {self.time_limit_s!r}: seconds above 0")
        if self.threads < 1:
            problems.append(f"threads {self.threads!r}: at least 1")
        if problems:
            raise PlannerError("; ".join(problems))


@dataclass(frozen=True, eq=False)
class Answer:
    """A verified plan with all that proves it."""

    facts: Facts
    request: Request
    plan: Plan
    report: VerificationReport
    proof: Proof
    """of the bound"""
    log: EventLog

    @property
    def exit_code(self) -> int:
        """0: the gap asked for is proved; 5: stopped at a limit with an answer."""
        return 0 if self.plan.certificate.status == "optimal" else 5


def load(folder: str | Path, *, calibration: str | Path | None = None) -> Facts:
    """The instance in `folder`, validated and joined with the catalog.

    `facts.instance` is the user's own words; `calibration` is a file of `planner calibrate`, in
    place of the instance's. Raises InstanceError with every finding.
    """
    from planner.instance.calibrated import with_calibration
    from planner.instance.load import load_facts

    facts = load_facts(Path(folder))
    return facts if calibration is None else with_calibration(facts, Path(calibration))


def plan(
    instance: Facts | str | Path,
    *,
    minimize: str | None = None,
    caps: Mapping[str, float] | None = None,
    floors: Mapping[str, float] | None = None,
    gap: float = 0.005,
    time_limit: float = 60.0,
    threads: int = 2,
    changes: Sequence[str] = (),
    calibration: str | Path | None = None,
    solver: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Plan:
    """A plan with a proven gap, checked independently.

    `caps` (``cost`` USD, ``carbon`` kgCO2e, ``water`` l) and `floors` (``qoe``) replace those of
    the instance; `gap` is relative, `time_limit` in seconds of wall clock; `changes` move figures
    (``"prices.h100*=0.8"``, `planner.instance.changes`); `calibration` is a file of
    `planner calibrate`, in place of the instance's; a `solver` (``highs``, ``cbc``, ``scip`` ...)
    solves the whole program in place of our own search. Raises InstanceError, InfeasibleError
    (proved, with the conflict and a repair), SolverError, VerificationError, PlannerError where the
    solver is not installed.
    """
    request = Request(minimize, caps or {}, floors or {}, gap, time_limit, threads, changes, solver)
    given = instance
    if calibration is not None:
        from planner.instance.calibrated import with_calibration

        facts = instance if isinstance(instance, Facts) else load(instance)
        given = with_calibration(facts, Path(calibration))
    return answer(given, request, on_progress=on_progress).plan


def export(
    instance: Facts | str | Path,
    *,
    mps: str | Path | None = None,
    lp: str | Path | None = None,
    minimize: str | None = None,
    caps: Mapping[str, float] | None = None,
    floors: Mapping[str, float] | None = None,
    changes: Sequence[str] = (),
    calibration: str | Path | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> Export:
    """Write the program that `plan` solves as an MPS or LP file, with the names of its columns.

    Its optimum, constants included, is the value that `plan` certifies. `instance` may be a run
    folder of `plan`, whose own program is written; else the arguments are as for `plan`. `on_step`
    hears of progress. Raises InstanceError, InfeasibleError, RunError where a file cannot be
    written, PlannerError where a run folder is asked for something else.
    """
    from planner.program.export import export_program

    request = Request(minimize, caps or {}, floors or {}, changes=changes)
    if isinstance(instance, Facts):
        facts = with_request(instance, request)
    elif not (Path(instance) / "plan.json").exists():
        facts = with_request(load(instance, calibration=calibration), request)
    elif request == Request() and calibration is None:
        facts = _facts_of_run(Path(instance))
    else:
        raise PlannerError(
            f"{instance} is a run: its own program is written. For another one name the instance, "
            f"e.g. {Path(instance) / 'instance'}"
        )
    return export_program(
        facts,
        None if mps is None else Path(mps),
        None if lp is None else Path(lp),
        on_step,
    )


def _facts_of_run(folder: Path) -> Facts:
    """What the plan of a run folder was made for."""
    from planner.runs import read_run

    run = read_run(folder)
    facts = with_request(load(run.instance_folder), run.request)
    return dataclasses.replace(facts, grid=run.plan.grid)


def front(
    instance: Facts | str | Path,
    *,
    epsilon: float = 0.03,
    time_limit: float = 300.0,
    gap: float = 0.02,
    hypervolume: float = 0.02,
    method: str = "hybrid",
    workers: int = 2,
    scheduler: str | None = None,
    seed: int = 0,
    calibration: str | Path | None = None,
    output: str | Path | None = None,
    on_progress: Callable[[FrontProgress], None] | None = None,
) -> Front:
    """The certified front of cost, carbon and QoE; its plans and proofs are in a run folder.

    Stops when no plan at all can beat the list by more than `epsilon` of each range at once, the
    median gap in cost is `gap` and, for large fleets, no more than the share `hypervolume` of the
    hypervolume can be missing, or after `time_limit` seconds; `workers` are processes of this
    machine unless a Dask `scheduler` is named; `method` is ``certified``, ``evolve`` or ``hybrid``
    (docs/front.md); `calibration` is a file of `planner calibrate`, in place of the instance's;
    `output` is the folder, by default a new one under ``runs/``.
    Raises InstanceError, InfeasibleError, SolverError, RunError.
    """
    from planner.front.run import FrontRequest, FrontRun
    from planner.instance.copy import calibrated
    from planner.runs import new_folder

    request = FrontRequest(
        epsilon=epsilon,
        gap=gap,
        hypervolume=hypervolume,
        time_limit_s=time_limit,
        workers=workers,
        seed=seed,
        scheduler=scheduler,
        method=method,
    )
    if calibration is not None and isinstance(instance, Facts):
        raise PlannerError("a front with a calibration needs the folder of its instance")
    place = Path(instance.instance.folder) if isinstance(instance, Facts) else Path(instance)
    with calibrated(place, None if calibration is None else Path(calibration)) as source:
        facts = instance if isinstance(instance, Facts) else load(source)
        name = f"{facts.instance.settings.name}-front"
        folder = new_folder(name) if output is None else Path(output)
        return FrontRun(facts, request, folder.absolute(), on_progress=on_progress).run()


def verify(
    what: Plan | str | Path, instance: Facts | str | Path | None = None
) -> VerificationReport:
    """Check a plan against its instance, or a run folder against its own copy of it.

    The report lists every violation; nothing is raised for a wrong plan.
    """
    from planner.runs import read_run
    from planner.verify import Proof, verify_plan

    if isinstance(what, Plan):
        if instance is None:
            raise PlannerError("verify needs the instance of the plan: verify(plan, facts)")
        facts = instance if isinstance(instance, Facts) else load(instance)
        return verify_plan(facts, what, incumbent_of(facts))
    run = read_run(Path(what))
    given = run.instance_folder if instance is None else instance
    facts = with_request(given if isinstance(given, Facts) else load(given), run.request)
    incumbent = incumbent_of(facts)
    report = verify_plan(facts, run.plan, incumbent)
    return with_certificate(report, facts, run.plan, Proof.load(run.certificate), incumbent)


def report(run_dir: str | Path, *, current: str | Path | None = None) -> Report:
    """The report of a run folder of `planner plan` or `planner front`.

    `current` is the plan in force (a plan.json or a run folder) to show beside the options; by
    default the instance's incumbent. ``.html``, ``.brief_html``, ``.brief_markdown`` and
    ``.tables`` hold the parts, ``.write(folder)`` writes files. Raises RunError, InstanceError.
    """
    from planner.report.files import Report

    return Report.of(Path(run_dir), None if current is None else Path(current))


def explain(
    run: str | Path,
    *,
    workload: str | None = None,
    region: str | None = None,
    why_not: Sequence[str] = (),
    thresholds: bool = False,
    point: str | None = None,
    time_limit: float = 120.0,
    clock: Clock | None = None,
) -> Explanation:
    """Why a plan is as it is: its choices with the price of doing without them, and what turns it.

    `run` is a run folder of a plan, or of a front with a `point` of it (an id, or ``cheapest``,
    ``knee`` ...). `why_not` (``"workload=chat, adaptation=rag"``) asks for the price of insisting
    on something else, or the reason that excludes it; with it only that is answered. `thresholds`
    adds where main figures would change the answer. `time_limit`: seconds of the whole; a `clock`
    in its place can be listened to and stopped. Raises RunError, InstanceError, PlannerError for
    names that are not known.
    """
    from planner.explain.clock import Clock
    from planner.explain.study import Ask, Study

    ask = Ask(workload, region, tuple(why_not), thresholds)
    return Study.of(Path(run), point, ask, clock or Clock(time_limit)).run()


def whatif(
    run: str | Path,
    changes: Sequence[str] = (),
    *,
    sweep: str | None = None,
    point: str | None = None,
    time_limit: float = 60.0,
    output: str | Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> WhatIf | Sweep:
    """A plan re-solved under changed figures, from the old plan; the difference, split by cause.

    `run` and `point` as for `explain`; `changes` as for `plan`. With a `sweep`
    (``"prices.h100*=0.5:1.5:11"``) one figure takes that many values and the result is a table.
    `output` is the folder to write, by default a new one under ``runs/``. Raises as `plan` does.
    """
    from planner.explain.sweep import run_sweep
    from planner.explain.whatif import run_whatif

    folder = None if output is None else Path(output)
    if sweep is None:
        return run_whatif(Path(run), tuple(changes), point, time_limit, folder, on_progress)
    return run_sweep(Path(run), tuple(changes), sweep, point, time_limit, folder)


def diff(old: str | Path, new: str | Path) -> PlanDiff | FrontDiff | InstanceDiff:
    """What differs between two run folders, two fronts, two points of fronts or two instances.

    The change of cost, carbon and QoE of two plans is split by cause. Raises RunError where the
    two are not of one kind, or one cannot be read.
    """
    from planner.compare.compare import compare
    from planner.compare.sides import read_side

    return compare(read_side(Path(old)), read_side(Path(new)))


def replan(
    instance: str | Path,
    current: str | Path | None = None,
    *,
    point: str | None = None,
    new_front: str | Path | None = None,
    minimize: str | None = None,
    caps: Mapping[str, float] | None = None,
    floors: Mapping[str, float] | None = None,
    margin: float | None = None,
    gap: float = 0.005,
    time_limit: float = 120.0,
    threads: int = 2,
    calibration: str | Path | None = None,
    output: str | Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Replan:
    """Whether to keep what runs today or to change it, proved by an interval of the gain.

    `current` is a plan.json, a run folder, a front (with a `point` of it) or a folder with
    fleet.csv and adoption.csv; None: the instance's incumbent. `minimize`, `caps` and `floors` are
    those of the running plan unless given; `margin` that of the instance; `calibration` is a file
    of `planner calibrate`, else the instance's, else that of the running plan. Writes a run folder.
    Raises InstanceError, RunError, InfeasibleError, SolverError, VerificationError.
    """
    from planner.instance.copy import calibrated
    from planner.replan.check import Ask, run_check
    from planner.runs import new_folder

    ask = Ask(minimize, caps, floors, gap, time_limit, threads, margin)
    folder, measured = Path(instance), None if calibration is None else Path(calibration)
    place = new_folder(f"{folder.resolve().name}-replan") if output is None else Path(output)
    with calibrated(folder, measured) as source:
        return run_check(
            source,
            None if current is None else Path(current),
            point,
            ask,
            new_front=None if new_front is None else Path(new_front),
            output=place,
            on_progress=on_progress,
        )


def backtest(
    instance: str | Path,
    history: str | Path | None = None,
    *,
    policies: Sequence[str] = ("never", "always", "threshold", "ours"),
    first: str | None = None,
    last: str | None = None,
    every: int = 1,
    gap: float = 0.01,
    time_limit: float = 60.0,
    threads: int = 2,
    output: str | Path | None = None,
    on_step: Callable[[ReplayProgress], None] | None = None,
) -> Backtest:
    """What rules of re-planning would have cost over dated prices and demand.

    `history` is a folder with ``prices.csv`` and perhaps ``demand_history.csv``, by default that
    of the instance; `first` and `last` are dates; `every`: each n-th date; `gap` and `time_limit`
    are those of each step. An interrupted replay goes on with the same `output`. Raises
    InstanceError, RunError, PlannerError, InfeasibleError, SolverError.
    """
    from planner.backtest.replay import Ask, replay
    from planner.runs import new_folder

    folder = Path(instance)
    place = new_folder(f"{folder.resolve().name}-backtest") if output is None else Path(output)
    ask = Ask(tuple(policies), first, last, every, gap, time_limit, threads)
    return replay(folder, None if history is None else Path(history), place, ask, on_step)


def answer(
    instance: Facts | str | Path,
    request: Request,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    log: EventLog | None = None,
    start: Sequence[Plan] = (),
    start_proof: Proof | None = None,
) -> Answer:
    """Load, make candidates, search, build the plan, check it; every phase timed.

    The search begins from the best of `start`, plans for the same or similar data, that can be made
    to keep every rule, on their lanes and operating points; `start_proof` proves the bound of one.
    Without either, lanes and points are refined around the answer (`planner.attempt`). Raises
    VerificationError, listing the violations, where the check fails: such a plan is never returned.
    """
    from planner.attempt import Attempts

    attempts = Attempts(request, log or EventLog(), on_progress)
    with attempts.timed("load"):
        given = instance if isinstance(instance, Facts) else load(instance)
        facts = on_grids(with_request(given, request), start)
    if start or start_proof is not None:
        return attempts.with_rivals(attempts.from_known(facts, start, start_proof))
    return attempts.with_rivals(attempts.best(facts))


def on_grids(facts: Facts, plans: Iterable[Plan]) -> Facts:
    """The facts with the lanes and operating points that were open to the plans, beside those that
    are open anyhow; without a plan as they are."""
    grids = [plan.grid for plan in plans]
    if not grids:
        return facts
    return dataclasses.replace(facts, grid=reduce(or_, grids, default_grid(facts)))


def search_of(request: Request) -> Callable[..., EngineResult]:
    """What finds the plan: our own search, or the solver asked for, which must be here."""
    if request.solver is None:
        from planner.solve.engine import minimize

        return minimize
    from planner.program.solvers import require_solver, solve_whole

    require_solver(request.solver)
    return partial(solve_whole, request.solver)


def with_certificate(
    report: VerificationReport,
    facts: Facts,
    stated: Plan,
    proof: Proof,
    incumbent: Incumbent | None,
) -> VerificationReport:
    """The report with what the check of the stored proof found."""
    from planner.verify import verify_certificate

    _, wrong = verify_certificate(facts, stated, proof, incumbent)
    return dataclasses.replace(report, violations=(*report.violations, *wrong))


def restated(
    facts: Facts, draft: Plan, proof: Proof, incumbent: Incumbent | None, gap: float
) -> tuple[Plan, tuple[Violation, ...]]:
    """The plan with what the checker proves from the prices, and what is wrong all the same.

    That is the bound unless branch and bound proved more. The checker also prices what the engine
    left out as dominated, by the prices of what dominates it; there it may prove a little less than
    is true, and what it proves is stated. Much less would be a fault, and stays one.
    """
    from planner.verify import verify_certificate

    proved, wrong = verify_certificate(facts, draft, proof, incumbent)
    stated = draft.certificate
    priced, less = min(proved, stated.value), stated.bound - proved
    if stated.proof == "branch and bound" and less > 0.0:
        certificate = dataclasses.replace(
            stated, bound_from_prices=priced if math.isfinite(priced) else None
        )
        return dataclasses.replace(draft, certificate=certificate), wrong
    if less > MOST_LESS * abs(stated.bound):
        return draft, wrong
    relative = gap_between(stated.value, priced)
    certificate = dataclasses.replace(
        stated,
        bound=priced,
        gap_relative=relative,
        status="optimal" if relative <= gap else "limit",
        proof="dual prices",
        bound_from_prices=priced,
        solver=None,
    )
    left = tuple(violation for violation in wrong if violation.subject != "bound")
    return dataclasses.replace(draft, certificate=certificate), left


def failed_check(report: VerificationReport) -> str:
    """The violations in words, the first ones of many."""
    shown = report.violations[:MOST_VIOLATIONS_SHOWN]
    lines = [f"the plan failed its independent check in {len(report.violations)} places:"]
    lines += [f"  {violation.rule}: {violation.message}" for violation in shown]
    if len(report.violations) > len(shown):
        lines.append(f"  and {len(report.violations) - len(shown)} more")
    return "\n".join(lines)


def with_request(facts: Facts, request: Request) -> Facts:
    """The facts with objective, caps and floors of the request in place of the instance's.

    Then its changes; PlannerError where one fits nothing.
    """
    settings = facts.instance.settings
    limits = settings.caps.model_dump()
    limits |= {CAPS[name]: value for name, value in request.caps.items()}
    limits |= {FLOORS[name]: value for name, value in request.floors.items()}
    changed = settings.model_copy(
        update={"caps": Caps(**limits), "minimize": request.minimize or settings.minimize}
    )
    instance = facts.instance.model_copy(update={"settings": changed})
    return with_changes(dataclasses.replace(facts, instance=instance), request.changes)


__all__ = [
    "Answer",
    "Request",
    "answer",
    "backtest",
    "diff",
    "explain",
    "export",
    "front",
    "load",
    "plan",
    "replan",
    "report",
    "verify",
    "whatif",
]
