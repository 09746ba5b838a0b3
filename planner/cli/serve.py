"""`planner serve`: the history in a browser."""

from __future__ import annotations

import ipaddress
import os
from typing import Annotated

import typer

from planner.cli.history import HistoryOption


def serve(
    history: HistoryOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 8642,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A name that browsers may call this server by. Repeatable."),
    ] = None,
) -> None:
    """Show runs, fronts, plans and decisions in a browser; read-only, except for approvals.

    Approving there needs the token of PLANNER_APPROVE_TOKEN; without it nobody can. There is no
    login for reading: beyond loopback, put a proxy with TLS and a login before it.
    """
    from planner.errors import PlannerError
    from planner.extras import missing_extra
    from planner.history import History
    from planner.history.engine import chosen

    try:
        import uvicorn

        from planner.serve.app import LOOPBACK, create_app
        from planner.serve.security import TOKEN_ENVIRONMENT
    except ModuleNotFoundError as error:
        raise missing_extra("serve", "planner serve") from error

    token = os.environ.get(TOKEN_ENVIRONMENT) or None
    names = LOOPBACK | {host.lower()} | {name.lower() for name in allow_host or []}
    with History.open(chosen(history)) as opened:
        app = create_app(opened, token, frozenset(names))
        if not _is_loopback(host):
            typer.echo(
                f"warning: {host} is reached from other machines, without login and without TLS: "
                "whoever reaches it reads every plan",
                err=True,
            )
        config = uvicorn.Config(
            app, host=host, port=port, log_level="warning", access_log=False, server_header=False,
            h11_max_incomplete_event_size=16_384, timeout_keep_alive=10, limit_concurrency=200,
        )  # fmt: skip
        try:
            socket = config.bind_socket()
            socket.listen()  # so that the address told below answers from now on
        except SystemExit as error:  # uvicorn's way to say that the address is taken
            raise PlannerError(f"cannot listen on {host}:{port}") from error
        approvals = "with a token" if token else f"off ({TOKEN_ENVIRONMENT} is not set)"
        typer.echo(f"history {opened.store}: http://{_shown(host)}:{socket.getsockname()[1]}/")
        typer.echo(f"approvals: {approvals}; Ctrl-C ends")
        uvicorn.Server(config).run(sockets=[socket])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
