"""Cycles that take no time: what a schedule runs in its tests."""

from __future__ import annotations

import os
import time
from pathlib import Path

from planner.errors import InfeasibleError, InstanceError, RunError
from planner.history.records import Regret
from planner.schedule.cycle import CycleContext, CycleResult
from tests.planner.history_examples import small_plan


def written(context: CycleContext, cost_usd: float) -> Path:
    """A run folder as a cycle leaves it."""
    plan = small_plan(cost_usd)
    context.folder.mkdir(parents=True)
    (context.folder / "plan.json").write_text(plan.to_json())
    (context.folder / "instance").mkdir()
    (context.folder / "instance" / "instance.toml").write_text("name = 'hand'\n")
    return context.folder


def move(context: CycleContext) -> CycleResult:
    context.log.add("thinking")
    plan = small_plan(90.0)
    regret = Regret(10.0, 12.0, "USD")
    reason = "ten dollars are saved for certain"
    return CycleResult("move", reason, 2, plan.instance, written(context, 90.0), {}, regret, "~ a")


def keep(context: CycleContext) -> CycleResult:
    return CycleResult("keep", "nothing to gain", 0, small_plan().instance, written(context, 99.0))


def slow(context: CycleContext) -> CycleResult:
    time.sleep(float(os.environ.get("TEST_CYCLE_S", "1.0")))
    return keep(context)


def stuck(context: CycleContext) -> CycleResult:
    time.sleep(600)
    return keep(context)


def failing(context: CycleContext) -> CycleResult:
    raise RunError("the price feed is away")


def crashing(context: CycleContext) -> CycleResult:
    raise ZeroDivisionError("oops")


def invalid(context: CycleContext) -> CycleResult:
    raise InstanceError("2 findings")


def infeasible(context: CycleContext) -> CycleResult:
    raise InfeasibleError("the cap is too low", ("cap", "demand"), ("117 kg more carbon",))


def with_inputs(context: CycleContext) -> CycleResult:
    """Reads a table that lies outside of its run folder."""
    table = context.instance / "prices.csv"
    made = small_plan(90.0)
    return CycleResult(
        "keep", "fine", 0, made.instance, written(context, 90.0), {"prices.csv": table}
    )


def killed(context: CycleContext) -> CycleResult:
    os.kill(os.getpid(), 9)
    return keep(context)
