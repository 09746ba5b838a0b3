"""The application: API and pages over one history, behind the guard."""

from __future__ import annotations

from importlib.metadata import version
from importlib.resources import files

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from planner.errors import ApprovalError, PlannerError, RunError, UnknownRunError
from planner.history import Filter, History
from planner.schedule.health import metrics_text
from planner.serve.api import api_routes
from planner.serve.pages import page_routes, problem_page
from planner.serve.security import ApprovalGate, GateError, Guard

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def create_app(history: History, token: str | None, hosts: frozenset[str] = LOOPBACK) -> FastAPI:
    """The application over an open history.

    `token` lets people approve (None: nobody can); `hosts` are the names it may be called by.
    """
    app = FastAPI(
        title="planner history",
        version=version("fleet-planner"),
        description="Runs, fronts, plans and decisions of the fleet planner; read-only, except "
        "for approvals.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
    )
    gate = ApprovalGate(token)
    app.include_router(api_routes(history, gate))
    app.include_router(page_routes(history, gate))
    _add_probes(app, history)
    style = (files("planner.serve") / "static" / "style.css").read_bytes()

    @app.get("/style.css", include_in_schema=False)
    def stylesheet() -> Response:
        headers = {"cache-control": "no-cache"}
        return Response(style, media_type="text/css", headers=headers)

    _add_errors(app)
    app.add_middleware(Guard, hosts=hosts)
    return app


def _add_probes(app: FastAPI, history: History) -> None:
    """For those who watch the store without a watcher: cron, timers, a CronJob."""

    @app.get("/healthz", include_in_schema=False)
    def healthz() -> Response:
        history.runs(Filter(), 1)
        return JSONResponse({"status": "ok"})

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        status, kind, body = metrics_text(history)
        return Response(body, status, media_type=kind)


def status_of(error: PlannerError) -> int:
    """HTTP status of an error of ours."""
    if isinstance(error, UnknownRunError):
        return 404
    if isinstance(error, ApprovalError):
        return 409
    return 404 if isinstance(error, RunError) else 503


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(PlannerError)
    def ours(request: Request, error: PlannerError) -> Response:
        return _problem(request, status_of(error), str(error))

    @app.exception_handler(GateError)
    def refused(request: Request, error: GateError) -> Response:
        return _problem(request, error.status, str(error))

    @app.exception_handler(HTTPException)
    def told(request: Request, error: HTTPException) -> Response:
        answer = _problem(request, error.status_code, str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        if _is_api(request):
            detail = [
                {"loc": list(e["loc"]), "msg": e["msg"], "type": e["type"]} for e in error.errors()
            ]
            return JSONResponse({"detail": detail}, 422)
        return _problem(request, 404, "There is no such page.")


def _problem(request: Request, status: int, detail: str) -> Response:
    if _is_api(request):
        headers = {"www-authenticate": "Bearer"} if status == 401 else None
        return JSONResponse({"detail": detail}, status, headers)
    return problem_page(status, detail)


def _is_api(request: Request) -> bool:
    return request.url.path.startswith(("/api/", "/openapi.json"))
