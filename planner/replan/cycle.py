"""The default cycle of `planner watch`: today's instance, the plan in force, a proved decision.

The instance of today: where the folder has a ``feeds.toml``, its feeds are fetched first and their
tables applied under their policies. A policy that says stop makes the cycle fail, to be tried
again. A gain must be found in as many cycles in a row as ``[replan] confirmations`` says.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from planner.history.records import UNITS, Regret
from planner.replan.check import Ask, Memory, Replan, run_check
from planner.replan.decision import Decision
from planner.replan.said import headline
from planner.schedule.cycle import CycleContext, CycleResult


def run_cycle(context: CycleContext) -> CycleResult:
    """Check the plan in force, or make the first plan; raises what `run_check` raises."""
    with instance_of_today(context) as (instance, inputs):
        if context.in_force is None or context.incumbent is None:
            return _first_plan(context, instance, inputs)
        ask = Ask(
            gap=context.gap,
            time_limit_s=context.time_limit_s,
            threads=context.threads,
            margin=context.margin,
            called=context.in_force.name,
        )
        memory = Memory(None if context.before is None else Decision.from_json(context.before))
        found = run_check(
            instance,
            context.in_force,
            context.point,
            ask,
            memory=memory,
            output=context.folder,
            log=context.log,
        )
    return CycleResult(
        found.decision.decision,
        found.decision.reason,
        found.exit_code,
        found.decision.instance,
        found.run_folder,
        inputs,
        regret=_regret(found.decision),
        diff=_difference(context, found),
    )


def _first_plan(context: CycleContext, instance: Path, inputs: dict[str, Path]) -> CycleResult:
    from planner.api import Request, answer
    from planner.runs import write_run

    request = Request(gap=context.gap, time_limit_s=context.time_limit_s, threads=context.threads)
    found = answer(instance, request, log=context.log)
    folder = write_run(context.folder, found)
    reason = "no plan is in force yet: this one awaits approval"
    return CycleResult("move", reason, 2, found.plan.instance, folder, inputs)


def _regret(decision: Decision) -> Regret | None:
    if decision.regret is None:
        return None
    return Regret(decision.regret.low, decision.regret.high, UNITS[decision.objective])


def _difference(context: CycleContext, found: Replan) -> str:
    """The answer, and both plans side by side, in plain text."""
    from planner.history.compare import two_plans

    assert context.incumbent is not None
    decision = found.decision
    now = decision.kept.objectives or decision.standing.objectives
    plans = two_plans(context.incumbent.plan, found.proposed.plan, now)
    return f"{headline(decision)}\n\n{plans}"


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
        context.log.add(
            "feed", feed=choice.feed, status=choice.status, said=choice.said,
            remarks=list(choice.remarks),
        )  # fmt: skip
    used = [choice.record for choice in choices if choice.record is not None]
    tables = {
        f"feeds/{record.meta.feed}/{file}": record.folder / file
        for record in used
        for file in ("meta.json", "table.csv")
    }
    with tempfile.TemporaryDirectory(prefix="planner-cycle-") as scratch:
        yield dated_instance(need, choices, Path(scratch) / folder.resolve().name), tables
