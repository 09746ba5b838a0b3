"""The pages: plain HTML from templates, no script at all."""

from __future__ import annotations

import datetime as dt
from functools import cache
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse

from planner.answer.words import number, percent
from planner.errors import ApprovalError
from planner.front.front import Front
from planner.history import Filter, History
from planner.history.compare import two_plans
from planner.history.folders import FRONT, plan_of
from planner.history.records import Decision, Kind, RunView
from planner.history.schedules import summaries
from planner.serve import views
from planner.serve.api import Before, FilePath, RunId, page_of, plans_in_force
from planner.serve.charts import interval_of, scatter_of, timeline_of
from planner.serve.security import ApprovalGate

RUNS_PER_PAGE = 25
MOST_AWAITING = 50
LONGEST_TIMELINE = 100
STORED_HTML_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)
"""A stored page runs its own scripts in an origin of its own, and reaches nothing."""
STORED_FILE_POLICY = "sandbox; default-src 'none'"


@cache
def templates() -> Environment:
    """The environment of the templates: everything is escaped, unknown names are errors."""
    made = Environment(
        loader=PackageLoader("planner.serve"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {"number": number, "percent": percent, "moment": moment, "day": day}
    made.filters |= {"gap": views.gap, "sentence": views.sentence}
    made.globals |= {"chips": views.CHIPS, "verdict": views.verdict}
    return made


def moment(time: dt.datetime) -> str:
    """``15 Jul 2026, 12:03 UTC``."""
    return f"{time.astimezone(dt.UTC):%d %b %Y, %H:%M} UTC"


def day(time: dt.datetime) -> str:
    """``15 Jul 2026``."""
    return f"{time.astimezone(dt.UTC):%d %b %Y}"


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A template filled in."""
    return HTMLResponse(templates().get_template(template).render(**values), status)


def problem_page(status: int, detail: str) -> HTMLResponse:
    """What went wrong, as a page."""
    titles = {401: "Not approved", 403: "Refused", 404: "Not found", 405: "Not possible",
              409: "Not possible any more", 429: "Wait a minute", 503: "Not available"}  # fmt: skip
    title = titles.get(status, "That did not work")
    return page("problem.html", status, title=title, detail=detail)


def page_routes(history: History, gate: ApprovalGate) -> APIRouter:
    """All pages."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def overview() -> Response:
        waiting = history.runs(Filter(awaiting=True), MOST_AWAITING)
        held = plans_in_force(history)
        return page(
            "overview.html",
            here="overview",
            waiting=[
                (view, interval_of(view.decision.regret)) for view in waiting if view.decision
            ],
            held=held,
            last={h.instance: _last_cycle(history, h.instance) for h in held},
            schedules=summaries(history),
            runs=history.runs(Filter(), 8),
        )

    @router.get("/runs")
    def runs(
        instance: Annotated[str, Query(pattern=r"^[^\x00-\x1f\x7f]{0,80}$")] = "",
        kind: Kind | Literal[""] = "",
        decision: Decision | Literal[""] = "",
        before: Before = None,
    ) -> Response:
        wanted = Filter(instance or None, kind or None, decision or None, before=before)
        found = page_of(history, wanted, RUNS_PER_PAGE)
        chosen = {"instance": instance, "kind": kind, "decision": decision}
        query = {name: value for name, value in chosen.items() if value}
        older = None
        if found.next_before is not None:
            older = "/runs?" + urlencode({**query, "before": found.next_before})
        return page(
            "runs.html",
            here="runs",
            runs=found.runs,
            instances=history.instances(),
            chosen=chosen,
            older=older,
            newest="/runs?" + urlencode(query) if before is not None else None,
        )

    @router.get("/instances/{name:path}")
    def instance(name: str) -> Response:
        found = history.runs(Filter(instance=name), LONGEST_TIMELINE)
        if not found:
            return problem_page(404, f"The history has no runs of an instance {name[:80]!r}.")
        return page(
            "instance.html",
            here="runs",
            name=name,
            held=next((p for p in plans_in_force(history) if p.instance == name), None),
            timeline=timeline_of(found[::-1]),
            runs=found[:RUNS_PER_PAGE],
        )

    @router.get("/runs/{run_id}")
    def run(run_id: RunId) -> Response:
        return run_page(history, gate, history.run(run_id))

    @router.get("/runs/{run_id}/points/{point}")
    def point(run_id: RunId, point: str) -> Response:
        view = history.run(run_id)
        front = Front.from_json(history.read(run_id, FRONT).decode())
        chosen = front.point(point)
        plan = plan_of(history.read(run_id, chosen.plan))
        return page(
            "point.html",
            here="runs",
            view=view,
            point=chosen,
            hours=plan.period_hours,
            plan=views.plan_view(plan),
            gate=gate,
        )

    @router.get("/runs/{run_id}/files/{path:path}")
    def file(run_id: RunId, path: FilePath) -> Response:
        content = history.read(run_id, path)
        media_type, shown = views.file_type(path)
        is_page = media_type == "text/html"
        headers = {"content-security-policy": STORED_HTML_POLICY if is_page else STORED_FILE_POLICY}
        if not shown:
            headers["content-disposition"] = "attachment"
        return Response(content, media_type=media_type, headers=headers)

    @router.get("/compare")
    def compare(
        old: Annotated[str, Query(pattern=r"^[a-z0-9-]{1,80}$")],
        new: Annotated[str, Query(pattern=r"^[a-z0-9-]{1,80}$")],
    ) -> Response:
        return page(
            "compare.html", here="runs", old=history.run(old), new=history.run(new),
            text=two_plans(history.plan(old), history.plan(new)),
        )  # fmt: skip

    @router.post("/runs/{run_id}/approval")
    def approval(
        run_id: RunId, request: Request, form: Annotated[dict[str, str], Depends(_form)]
    ) -> Response:
        gate.check(form.get("token", ""), request.headers)
        verdict = form.get("verdict", "")
        if verdict not in ("approved", "rejected"):
            raise ApprovalError("say whether the plan is approved or rejected")
        history.approve(
            run_id,
            verdict,  # type: ignore[arg-type]
            by=form.get("by", ""),
            reason=form.get("reason", "")[:2_000],
            point=form.get("point") or None,
        )
        return RedirectResponse(f"/runs/{run_id}", 303)

    return router


def run_page(history: History, gate: ApprovalGate, view: RunView) -> Response:
    """Everything about a run."""
    files = history.files(view.run.id)
    plan = scatter = front = None
    if view.plan is not None:
        plan = views.plan_view(history.plan(view.run.id))
    if view.front is not None:
        front = Front.from_json(history.read(view.run.id, FRONT).decode())
        scatter = scatter_of(front, view.run.id)
    against = view.decision.incumbent_run_id if view.decision else None
    return page(
        "run.html",
        here="runs",
        view=view,
        bar=interval_of(view.decision.regret) if view.decision else None,
        plan=plan,
        front=front,
        scatter=scatter,
        against=against if plan else None,
        inputs=[file for file in files if file.is_input],
        outputs=[file for file in files if not file.is_input],
        reports=views.reports(files),
        gate=gate,
        can_decide=view.approval is None and not view.superseded and plan is not None,
    )


def _last_cycle(history: History, instance: str) -> RunView | None:
    found = history.runs(Filter(instance=instance, kind="cycle"), 1)
    return found[0] if found else None


async def _form(request: Request) -> dict[str, str]:
    """Fields of a form; what is not UTF-8 or repeated is not taken."""
    try:
        fields = parse_qs((await request.body()).decode("utf-8"), max_num_fields=20)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items() if len(values) == 1}
