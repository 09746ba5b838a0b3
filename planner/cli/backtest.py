"""`planner backtest`: what rules of re-planning would have cost over dated prices and demand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from planner.backtest.replay import Progress
    from planner.backtest.results import Backtest


def backtest(
    instance: Annotated[Path, typer.Argument(help="Instance folder.")],
    history: Annotated[
        Path | None,
        typer.Option(help="Folder with prices.csv and demand_history.csv; else INSTANCE/history."),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="never, always, threshold or ours; repeatable; else all four."),
    ] = None,
    first: Annotated[str | None, typer.Option("--from", help="First date, 2025-01-31.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last date.")] = None,
    every: Annotated[int, typer.Option(help="Take every n-th date.")] = 1,
    gap: Annotated[str, typer.Option(help="Proven gap to stop each search at.")] = "1%",
    time_limit: Annotated[float, typer.Option(help="Seconds of each step.")] = 60.0,
    threads: Annotated[int, typer.Option(help="Threads of the search.")] = 2,
    output: Annotated[
        Path | None, typer.Option(help="Folder to write; that of an interrupted replay goes on.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Replay dated prices and demand under several policies; cost with moves, carbon, QoE, regret.

    Writes backtest.csv, backtest.json and backtest.html. Exit code 0: done; 3: the instance is
    invalid; 4: no plan exists at some date, proved; 1: any other error.
    """
    from planner.api import backtest as ask
    from planner.backtest.policies import POLICIES
    from planner.cli.plan import parse_gap, silent_stdout

    with silent_stdout():
        found = ask(
            instance,
            history,
            policies=tuple(policy or POLICIES),
            first=first,
            last=last,
            every=every,
            gap=parse_gap(gap),
            time_limit=time_limit,
            threads=threads,
            output=output,
            on_step=told,
        )
    typer.echo(found.to_json() if as_json else "\n".join(lines(found)))


def told(progress: Progress) -> None:
    """One line a step, on stderr."""
    step = progress.step
    what = step.decision or step.kind
    moved = f", {step.moving_usd:,.0f} USD to move" if step.moved and step.moving_usd else ""
    print(
        f"{progress.date}  {progress.policy:<13}  {what:<9}  {step.cost_usd:,.0f} USD a period"
        f"{moved}  ({step.seconds:.0f} s; {progress.left} left)",
        file=sys.stderr,
        flush=True,
    )


def lines(found: Backtest) -> list[str]:
    """The answer first; a row per policy; what the bound is; where it lies."""
    from planner.backtest.results import TOTAL_HEADINGS, total_rows
    from planner.cli.plan import shortest
    from planner.cli.text import paragraph, section, table

    best = found.totals[0]
    dates = found.of(best.policy)
    text = paragraph(
        f"{best.policy} was cheapest over {len(dates)} dates from {dates[0].date} to "
        f"{dates[-1].date}: {best.cost_usd:,.0f} USD with {best.moves} moves, at most "
        f"{100 * best.regret_relative:.2f} % above the best that knew all prices beforehand"
    )
    rows = table(TOTAL_HEADINGS, total_rows(found), numbers=range(1, len(TOTAL_HEADINGS)))
    text += section("Policies, cheapest first", rows[1:] if not rows[0].strip() else rows)
    text += section(
        "How to read it",
        paragraph(
            f"The bound for all policies is {found.bound_usd:,.0f} USD: at every date the least "
            "that any plan can come to, without costs of changes and with commitments at the "
            "lowest price at which one that still runs could have been made. The prices of a date "
            "hold until the next one. Offers that the history does not name keep today's prices. "
            f"Each plan was searched to a gap of {100 * found.gap:g} % or for "
            f"{found.time_limit_s:g} s.",
            "  ",
            "  ",
        ),
    )
    return [*text, "", f"folder: {shortest(Path(found.folder))}"]
