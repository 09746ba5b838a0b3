"""What flows in and out of the history: frozen records, one class per fact."""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import dataclass
from typing import Literal, TypeVar

from planner.plan import Plan

Kind = Literal["plan", "front", "cycle"]
Decision = Literal["keep", "move", "undecided", "stopped", "failed"]
Verdict = Literal["approved", "rejected"]
State = Literal["awaiting approval", "approved", "rejected", "superseded"]

Record = TypeVar("Record")

UNITS = {"cost": "USD", "carbon": "kgCO2e", "qoe-loss": "QoE"}
"""Objective -> unit of a regret."""


@dataclass(frozen=True)
class RunDraft:
    """A run about to be recorded, with all of its files."""

    kind: Kind
    instance: str
    instance_sha256: str | None
    """None: the instance could not be read"""
    started_at: dt.datetime
    finished_at: dt.datetime
    exit_code: int
    message: str
    """what went wrong, else empty"""
    files: tuple[tuple[str, bytes], ...]
    """(path inside the run folder, content)"""


@dataclass(frozen=True)
class RunRecord:
    """A recorded run; `sequence` grows in the order of recording."""

    sequence: int
    id: str
    kind: Kind
    instance: str
    instance_sha256: str | None
    started_at: dt.datetime
    finished_at: dt.datetime
    exit_code: int
    message: str
    host: str
    planner_version: str

    @property
    def took_s(self) -> float:
        """Seconds from start to end."""
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True)
class PlanSummary:
    """The figures of a run's plan, of its period."""

    cost_usd: float
    carbon_kgco2e: float
    qoe: float
    period_hours: float
    minimised: str
    """``cost``, ``carbon`` or ``qoe-loss``"""
    gap_relative: float
    status: str


@dataclass(frozen=True)
class FrontSummary:
    """The figures of a run's front."""

    points: int
    epsilon: float | None
    complete: bool
    least_cost_usd: float
    least_carbon_kgco2e: float
    best_qoe: float


@dataclass(frozen=True)
class Regret:
    """What the plan in force loses against the best plan lies in [low, high], proved."""

    low: float
    high: float
    unit: str
    """of `UNITS`, for the period of the plan"""


@dataclass(frozen=True)
class DecisionRecord:
    """What a re-planning cycle decided, for which due time of which schedule."""

    schedule: str
    due_at: dt.datetime
    attempt: int
    decision: Decision
    reason: str
    incumbent_run_id: str | None
    """the run whose plan was in force; None: none was"""
    regret: Regret | None
    diff: str


@dataclass(frozen=True)
class ApprovalRecord:
    """Who approved or rejected the plan of a run; `plan_path` is the plan's file in the run."""

    verdict: Verdict
    approved_by: str
    reason: str
    approved_at: dt.datetime
    plan_path: str | None


@dataclass(frozen=True)
class RunView:
    """A run with what else is known of it; None where that does not apply."""

    run: RunRecord
    plan: PlanSummary | None
    front: FrontSummary | None
    decision: DecisionRecord | None
    approval: ApprovalRecord | None
    state: State | None
    """of a proposal, or of a plan that somebody decided on"""
    superseded: bool
    """of a cycle: a newer one came to a conclusion, or another plan is in force by now"""


@dataclass(frozen=True)
class RunFile:
    """A file of a run."""

    path: str
    sha256: str
    size_bytes: int

    @property
    def is_input(self) -> bool:
        """Part of what was read, not of the answer."""
        return self.path.startswith(("instance/", "inputs/")) or self.path == "request.json"


@dataclass(frozen=True)
class Incumbent:
    """The plan in force of an instance: the one approved last."""

    instance: str
    run_id: str
    approval: ApprovalRecord
    plan: Plan


def from_columns(kind: type[Record], row: dict[str, object], prefix: str = "") -> Record:
    """The record of a row's columns of the same names, after `prefix`."""
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: row[prefix + name] for name in names})
