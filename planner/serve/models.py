"""The API's own shapes; what the history records it sends as it is (`planner.history.records`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from planner.history.records import ApprovalRecord, RunFile, RunView, Verdict

PRINTABLE = r"^[^\x00-\x1f\x7f]*$"


@dataclass(frozen=True)
class RunPage:
    """Runs, newest first; `next_before` asks for the older ones, None at the end."""

    runs: list[RunView]
    next_before: int | None


@dataclass(frozen=True)
class RunDetail:
    """A run and its files."""

    view: RunView
    files: list[RunFile]


@dataclass(frozen=True)
class PlanInForce:
    """The plan of an instance that was approved last."""

    instance: str
    run_id: str
    approval: ApprovalRecord
    cost_usd: float
    carbon_kgco2e: float
    qoe: float
    period_hours: float


@dataclass(frozen=True)
class Comparison:
    """Two plans side by side, in plain text."""

    old: str
    new: str
    text: str


@dataclass(frozen=True)
class Problem:
    """Why a request was refused."""

    detail: str


class ApprovalRequest(BaseModel):
    """Who decides what, and why."""

    model_config = ConfigDict(extra="forbid")

    verdict: Verdict
    by: Annotated[
        str,
        StringConstraints(
            min_length=1, max_length=200, pattern=r"^[^\x00-\x20\x7f]" + PRINTABLE[1:]
        ),
    ] = Field(description="name of who decides")
    reason: Annotated[str, StringConstraints(max_length=2_000)] = Field(
        default="", description="a rejection needs one"
    )
    point: Annotated[str, StringConstraints(max_length=80, pattern=r"^[A-Za-z0-9_.-]+$")] | None = (
        Field(default=None, description="of a front: which plan")
    )
