"""The default cycle: plan the instance of today, price the plan in force under it, decide.

The instance of today: where the folder has a ``feeds.toml``, its feeds are fetched first and their
tables applied under their policies. A policy that says stop makes the cycle fail, to be tried
again.

The regret of the plan in force is what it costs now less what the best plan would. Nobody knows
the best plan, but it lies between the bound and the plan found, so the regret lies in

    [ max(0, now - value),  now - bound ]

with `now` recomputed by the independent checker. Move where even the lower end exceeds the margin,
keep where the upper end does not, else undecided. Costs of moving are not part of it unless the
instance names its incumbent and prices changes itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from planner.answer.words import amount, percent
from planner.history.records import UNITS, Decision, Incumbent, Regret
from planner.schedule.cycle import CycleContext, CycleResult
from planner.verify.report import agree

if TYPE_CHECKING:
    from planner.plan import Certificate, Objectives, Plan
    from planner.verify import VerificationReport, Violation

STATEMENTS = {
    *("instance", "rates", "cost-lines", "carbon-lines", "water", "objectives"),
    *("workload-lines", "allocation", "certificate"),
}
"""Rules on what a plan states of its old data; the other ones say whether it still works."""
EXIT_CODES: dict[Decision, int] = {"keep": 0, "move": 2, "undecided": 5}


def run_cycle(context: CycleContext) -> CycleResult:
    """Plan, compare, decide; raises what `planner.api.answer` raises."""
    from planner.api import Request, answer
    from planner.history.compare import two_plans
    from planner.incumbent import incumbent_of
    from planner.runs import write_run
    from planner.verify import verify_plan

    request = Request(gap=context.gap, time_limit_s=context.time_limit_s, threads=context.threads)
    with instance_of_today(context) as (instance, inputs):
        found = answer(instance, request, log=context.log)
        folder = write_run(context.folder, found)
    if context.incumbent is None:
        reason = "no plan is in force yet: this one awaits approval"
        return CycleResult("move", reason, 2, found.plan.instance, folder, inputs)
    held = context.incumbent.plan
    report = verify_plan(found.facts, held, incumbent_of(found.facts))
    decision, reason, regret = decide(context.incumbent, report, found.plan, context.margin)
    context.log.add("decided", decision=decision, reason=reason)
    return CycleResult(
        decision,
        reason,
        EXIT_CODES[decision],
        found.plan.instance,
        folder,
        inputs,
        regret=regret,
        diff=two_plans(held, found.plan, report.objectives),
    )


@contextmanager
def instance_of_today(context: CycleContext) -> Iterator[tuple[Path, dict[str, Path]]]:
    """The instance folder to plan, and the feeds' tables that went into it, by name.

    FeedError where a policy says stop.
    """
    folder = context.instance
    if not (folder / "feeds.toml").is_file():
        yield folder, {}
        return
    from planner.feeds import choose, dated_instance, fetch, load_settings, need_of

    settings, need = load_settings(folder), need_of(folder)
    fetch(settings, need)
    choices = choose(settings, need)
    for choice in choices:
        context.log.add("feed", feed=choice.feed, status=choice.status, said=choice.said)
    used = [choice.record for choice in choices if choice.record is not None]
    tables = {
        f"feeds/{record.meta.feed}/{file}": record.folder / file
        for record in used
        for file in ("meta.json", "table.csv")
    }
    with tempfile.TemporaryDirectory(prefix="planner-cycle-") as scratch:
        yield dated_instance(need, choices, Path(scratch) / folder.resolve().name), tables


def decide(
    incumbent: Incumbent, report: VerificationReport, new: Plan, margin: float
) -> tuple[Decision, str, Regret | None]:
    """Decision, reason, regret; `report`: check of the plan in force under the new data."""
    broken = [v for v in report.violations if v.rule not in STATEMENTS]
    if broken:
        return "move", no_longer_holds(incumbent, broken), None
    certificate = new.certificate
    now, unit = value_of(report.objectives, certificate), UNITS[certificate.minimised]
    saved = 0.0 if agree(now, certificate.value) else max(now - certificate.value, 0.0)
    regret = Regret(saved, max(now - certificate.bound, saved), unit)
    least = margin * now
    told = (
        f"the plan in force costs {amount(now, unit)} under the new data; the best plan saves "
        f"between {amount(regret.low, unit)} and {amount(regret.high, unit)} (proved)"
    )
    limit = f"the margin of {percent(margin)} ({amount(least, unit)})"
    if regret.low > least:
        return "move", f"{told}, certainly more than {limit}", regret
    if regret.high <= least:
        return "keep", f"{told}, certainly not more than {limit}", regret
    return "undecided", f"{told}: {limit} lies between; more time narrows the interval", regret


def value_of(objectives: Objectives, certificate: Certificate) -> float:
    """What the new plan minimised, of another plan, in the same unit."""
    return {
        "cost": objectives.cost_usd,
        "carbon": objectives.carbon_kgco2e,
        "qoe-loss": 1.0 - objectives.qoe,
    }[certificate.minimised]


def no_longer_holds(incumbent: Incumbent, broken: Sequence[Violation]) -> str:
    """Why the plan in force cannot be kept."""
    places = "one place" if len(broken) == 1 else f"{len(broken)} places"
    return (
        f"the plan in force ({incumbent.run_id}) breaks rules under the new data in {places}; "
        f"first: {broken[0].message}"
    )
