"""The JSON API, version 1: reading, and one way to approve."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from planner.front.front import Front
from planner.history import Filter, History
from planner.history.compare import two_plans
from planner.history.folders import FRONT
from planner.history.records import ApprovalRecord, Decision, Kind
from planner.plan import Plan
from planner.runs import PLAN
from planner.serve.models import (
    ApprovalRequest,
    Comparison,
    PlanInForce,
    Problem,
    RunDetail,
    RunPage,
)
from planner.serve.security import ApprovalGate

RunId = Annotated[str, Path(pattern=r"^[a-z0-9-]{1,80}$", description="id of a run")]
RunIdQuery = Annotated[str, Query(pattern=r"^[a-z0-9-]{1,80}$", description="id of a run")]
FilePath = Annotated[str, Path(max_length=300, description="of a file inside the run")]
InstanceName = Annotated[str | None, Query(pattern=r"^[^\x00-\x1f\x7f]{1,80}$")]
Limit = Annotated[int, Query(ge=1, le=200)]
Before = Annotated[int | None, Query(ge=1, le=2**62, description="`next_before` of a page")]
NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": Problem}}
TOO_LONG: dict[int | str, dict[str, Any]] = {
    414: {"description": "the address is too long", "content": {"text/plain": {}}}
}
REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "the body is not JSON"},
    401: {"model": Problem, "description": "wrong token"},
    403: {"model": Problem, "description": "approval is off, or the request is another site's"},
    404: {"model": Problem},
    409: {"model": Problem, "description": "this plan cannot be decided on (any more)"},
    413: {"description": "the body is too large", "content": {"text/plain": {}}},
    429: {"model": Problem, "description": "too many wrong tokens"},
}
JSON = "application/json"


def api_routes(history: History, gate: ApprovalGate) -> APIRouter:
    """Routes below ``/api/v1``."""
    router = APIRouter(prefix="/api/v1", responses=TOO_LONG)

    @router.get("/runs")
    def runs(
        instance: InstanceName = None,
        kind: Kind | None = None,
        decision: Decision | None = None,
        awaiting: bool = False,
        limit: Limit = 50,
        before: Before = None,
    ) -> RunPage:
        """Runs, newest first."""
        wanted = Filter(instance, kind, decision, awaiting, before)
        return page_of(history, wanted, limit)

    @router.get("/runs/{run_id}", responses=NOT_FOUND)
    def run(run_id: RunId) -> RunDetail:
        """A run and its files."""
        return RunDetail(history.run(run_id), list(history.files(run_id)))

    @router.get("/runs/{run_id}/plan", responses={200: {"model": Plan}, **NOT_FOUND})
    def plan(run_id: RunId) -> Response:
        """The run's plan.json, byte for byte."""
        return Response(history.read(run_id, PLAN), media_type=JSON)

    @router.get("/runs/{run_id}/front", responses={200: {"model": Front}, **NOT_FOUND})
    def front(run_id: RunId) -> Response:
        """The run's front.json, byte for byte."""
        return Response(history.read(run_id, FRONT), media_type=JSON)

    @router.get(
        "/runs/{run_id}/files/{path:path}",
        response_class=Response,
        responses={
            200: {"content": {"application/octet-stream": {}}, "description": "the file"},
            **NOT_FOUND,
        },
    )
    def file(run_id: RunId, path: FilePath) -> Response:
        """A file of the run, as it was recorded."""
        headers = {"content-disposition": "attachment"}
        content = history.read(run_id, path)
        return Response(content, media_type="application/octet-stream", headers=headers)

    @router.get("/incumbents")
    def incumbents() -> list[PlanInForce]:
        """The plan in force of every instance that has one."""
        return plans_in_force(history)

    @router.get("/compare", responses=NOT_FOUND)
    def compare(old: RunIdQuery, new: RunIdQuery) -> Comparison:
        """Two plans side by side."""
        return Comparison(old, new, two_plans(history.plan(old), history.plan(new)))

    @router.post("/runs/{run_id}/approval", responses=REFUSED)
    def approval(
        run_id: RunId,
        wanted: ApprovalRequest,
        request: Request,
        bearer: Annotated[
            HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))
        ],
    ) -> ApprovalRecord:
        """Approve or reject the plan of a run, once; an approved one is in force from now on."""
        gate.check("" if bearer is None else bearer.credentials, request.headers)
        return history.approve(
            run_id, wanted.verdict, by=wanted.by, reason=wanted.reason, point=wanted.point
        )

    return router


def page_of(history: History, wanted: Filter, limit: int) -> RunPage:
    """A page of runs."""
    views = history.runs(wanted, limit + 1)
    more = len(views) > limit
    shown = list(views[:limit])
    return RunPage(shown, shown[-1].run.sequence if more else None)


def plans_in_force(history: History) -> list[PlanInForce]:
    """The plan in force of every instance that has one, by name."""
    found = [history.incumbent(name) for name in history.instances()]
    return [
        PlanInForce(
            held.instance,
            held.run_id,
            held.approval,
            held.plan.objectives.cost_usd,
            held.plan.objectives.carbon_kgco2e,
            held.plan.objectives.qoe,
            held.plan.period_hours,
        )
        for held in found
        if held is not None
    ]
