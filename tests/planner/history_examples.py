"""Drafts for the history, made in a moment: plans and fronts by hand, no search."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

from planner.history.folders import draft_of
from planner.history.records import Decision, DecisionRecord, Regret, RunDraft
from planner.plan import Plan
from tests.planner.front import front_examples

BEGAN = dt.datetime(2026, 7, 15, 12, 0, tzinfo=dt.UTC)


def small_plan(cost_usd: float = 100.0, instance: str = "hand") -> Plan:
    made: Plan = front_examples.plan(cost_usd, 900.0, 0.8, "base", 8)
    return dataclasses.replace(made, instance=dataclasses.replace(made.instance, name=instance))


def plan_draft(cost_usd: float = 100.0, instance: str = "hand", **files: bytes) -> RunDraft:
    """A run of `planner plan`, ten seconds long."""
    plan = small_plan(cost_usd, instance)
    every = {"plan.json": plan.to_json().encode(), "instance/instance.toml": b"name = 'hand'\n"}
    return RunDraft(
        kind="plan",
        instance=instance,
        instance_sha256=plan.instance.sha256,
        started_at=BEGAN,
        finished_at=BEGAN + dt.timedelta(seconds=10),
        exit_code=0,
        message="",
        files=tuple(sorted((every | files).items())),
    )


def cycle_draft(cost_usd: float = 90.0, instance: str = "hand", exit_code: int = 2) -> RunDraft:
    return dataclasses.replace(plan_draft(cost_usd, instance), kind="cycle", exit_code=exit_code)


def failed_draft(instance: str = "hand", message: str = "it broke") -> RunDraft:
    return RunDraft("cycle", instance, None, BEGAN, BEGAN, 1, message, (("log.jsonl", b"{}\n"),))


def decision(
    kind: Decision = "move",
    hour: int = 0,
    incumbent: str | None = None,
    schedule: str = "hand",
    attempt: int = 1,
) -> DecisionRecord:
    """Of a cycle due so many hours after `BEGAN`."""
    return DecisionRecord(
        schedule=schedule,
        due_at=BEGAN + dt.timedelta(hours=hour),
        attempt=attempt,
        decision=kind,
        reason=f"because of {kind}",
        incumbent_run_id=incumbent,
        regret=Regret(10.0, 12.0, "USD") if kind == "move" else None,
        diff="~ north  h100  8  16\n",
    )


def front_draft(folder: Path, **changes: object) -> RunDraft:
    """A run of `planner front`, written to a new folder first."""
    folder.mkdir()
    return draft_of(front_examples.write_run(folder, **changes))
