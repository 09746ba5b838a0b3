"""The command line: parse, call, print, exit code. Heavy imports happen inside the commands."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import typer

from planner.cli import (
    backtest,
    catalog,
    diff,
    explain,
    export,
    feed,
    front,
    history,
    instance,
    pick,
    plan,
    predict,
    replan,
    report,
    serve,
    verify,
    watch,
    whatif,
)
from planner.cli.numbers import strict
from planner.errors import PlannerError

app = typer.Typer(
    name="planner",
    help="Capacity planner for fleets that serve large language models: certified plans.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)


COMMANDS: dict[str, tuple[Callable[..., Any], str]] = {
    "new": (instance.new, "write a commented starter instance"),
    "validate": (instance.validate, "list everything wrong in an instance"),
    "plan": (plan.plan, "find the cheapest, greenest or best fleet, with proof"),
    "export": (export.export, "the stated program as an MPS or LP file, for any solver"),
    "front": (front.front, "the whole trade-off of cost, carbon and QoE, with proof"),
    "verify": (verify.verify, "check a run again, without solver"),
    "pick": (pick.pick, "choose from a front of plans"),
    "explain": (explain.explain, "why each choice, and what insisting on another costs"),
    "whatif": (whatif.whatif, "a plan under changed figures, and the difference"),
    "diff": (diff.diff, "what differs between two plans, fronts or instances, and why"),
    "replan": (replan.replan, "keep what runs today, or change it: a decision with proof"),
    "backtest": (backtest.backtest, "what rules of re-planning would have cost in the past"),
    "report": (report.report, "the page, brief and tables that people decide by"),
    "watch": (watch.watch, "re-plan on a schedule; propose, apply nothing"),
    "approve": (watch.approve, "approve or reject a proposed plan"),
    "serve": (serve.serve, "the history in a browser"),
    "size": (predict.size, "memory, replicas, training and energy of one llm"),
    "predict": (predict.predict, "TTFT, TPOT and tokens/s of serving points"),
    "calibrate": (predict.calibrate, "fit your own measurements"),
    "catalog": (catalog.catalog, "list and filter the shipped figures"),
}
"""In the order of the help."""

GROUPS: dict[str, tuple[typer.Typer, str]] = {
    "feed": (feed.app, "fetch prices, carbon and demand; what a plan may use of them"),
    "history": (history.app, "what was planned and decided, by whom, from what"),
}
"""Commands with commands of their own."""

for _name, (_command, _short) in COMMANDS.items():
    app.command(_name, short_help=_short)(strict(_command))
for _name, (_group, _short) in GROUPS.items():
    for _info in _group.registered_commands:
        if _info.callback is not None:
            strict(_info.callback)
    app.add_typer(_group, name=_name, short_help=_short)


def main() -> None:
    """Run the command line: every error is one clear message on stderr and an exit code."""
    code = run(sys.argv[1:])
    if threading.active_count() > 1:
        # A search that HiGHS does not leave in time: its answer is given, nothing waits for it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Exit code of a call; wrong usage is 1 (2 would mean a proposed change)."""
    try:
        code = app(args=arguments, prog_name="planner", standalone_mode=False)
    except Exception as error:
        return failed(error)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        return 1
    return code if isinstance(code, int) else 0


def failed(error: Exception) -> int:
    """Say what went wrong on stderr; the exit code."""
    from planner.cli.plan import error_text
    from planner.logs import write_crash

    show = getattr(error, "show", None)
    if show is not None:  # wrong usage, which typer words itself
        show()
    elif isinstance(error, PlannerError):
        typer.echo(error_text(error, "planner"), err=True)
        return error.exit_code
    elif not isinstance(error, BrokenPipeError):
        told = "aborted" if isinstance(error, typer.Abort) else error_text(error, "planner")
        typer.echo(f"{told}\nthe whole story is in {write_crash(error)}", err=True)
    return 1
