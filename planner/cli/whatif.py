"""`planner whatif`: re-solve a run under changed figures; or sweep one figure over values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.errors import PlannerError

if TYPE_CHECKING:
    from planner.explain.sweep import Sweep
    from planner.explain.whatif import WhatIf


def whatif(
    run_dir: Annotated[Path, typer.Argument(help="Run folder of `planner plan` or of a front.")],
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Move figures: prices.h100*=0.8, demand.chat*=1.5 ..."),
    ] = None,
    sweep: Annotated[
        str | None, typer.Option(help="One figure over values: prices.h100*=0.5:1.5:11.")
    ] = None,
    point: Annotated[
        str | None, typer.Option(help="Of a front: p0007, cheapest, greenest, compromise, knee ...")
    ] = None,
    time_limit: Annotated[float, typer.Option(help="Seconds of the whole command.")] = 60.0,
    output: Annotated[Path | None, typer.Option(help="Folder to write.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Re-solve from the old plan under changed figures and show the difference by cause.

    With --sweep: a table of the values (CSV, JSON) and a picture (HTML). Exit code 0: gap proved
    (of a sweep: every value reached); 5: stopped at a limit with an answer; 4: no plan exists,
    proved; 1: an error.
    """
    from planner.api import whatif as ask
    from planner.cli.plan import STOPPED_AT_LIMIT, point_out, silent_stdout, watched
    from planner.explain.whatif import WhatIf

    if not change and sweep is None:
        raise PlannerError("whatif needs --set or --sweep: what is to change?")
    with silent_stdout(), watched(run_dir, time_limit, wanted=True) as listener:
        found = ask(
            run_dir,
            change or (),
            sweep=sweep,
            point=point,
            time_limit=time_limit,
            output=output,
            on_progress=listener,
        )
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1, allow_nan=False))
    elif isinstance(found, WhatIf):
        typer.echo("\n".join(whatif_lines(found)))
    else:
        typer.echo("\n".join(sweep_lines(found)))
    if isinstance(found, WhatIf):
        point_out(run_dir, found.answer.plan.assumptions)
        if found.exit_code:
            raise typer.Exit(found.exit_code)
    elif found.not_reached:
        raise typer.Exit(STOPPED_AT_LIMIT)


def whatif_lines(found: WhatIf) -> list[str]:
    """The difference, then where the new run is."""
    from planner.cli.diff import plan_lines
    from planner.cli.plan import shortest

    return [*plan_lines(found.diff), "", f"run folder: {shortest(found.run_folder)}"]


def sweep_lines(found: Sweep) -> list[str]:
    """The span of the answer, then one row per value."""
    from planner.answer.words import number
    from planner.cli.text import paragraph, section, table
    from planner.compare.words import gap

    solved = [p for p in found.points if p.objectives is not None]
    text = [f"{found.change}: no plan at any value"]
    if solved:
        costs = [p.objectives.cost_usd for p in solved if p.objectives is not None]
        turns = sum(p.adaptation != q.adaptation for p, q in zip(solved[1:], solved, strict=False))
        times = "once" if turns == 1 else f"{turns} times"
        text = paragraph(
            f"{found.change}{solved[0].value:g} to {solved[-1].value:g}: cost "
            f"{number(min(costs))} to {number(max(costs))} USD; adaptation changes {times}"
        )
    rows = []
    for p in found.points:
        o = p.objectives
        if o is None:
            rows.append([f"{p.value:g}", "", "", "", "", "", p.note])
            continue
        held = ", ".join(f"{count:,} {card}" for card, count in sorted(p.accelerators.items()))
        rows.append(
            [f"{p.value:g}", number(o.cost_usd), number(o.carbon_kgco2e), f"{o.qoe:.4f}",
             gap(p.gap_relative or 0.0), held, ""]
        )  # fmt: skip
    headings = ("value", "USD", "kgCO2e", "QoE", "gap", "accelerators (peak)", "")
    text += section("Values", table(headings, rows, numbers=(0, 1, 2, 3, 4)))
    moves = [
        line
        for p in solved[1:]
        if p.against_previous
        for line in paragraph(p.against_previous, f"  {p.value:g}: ", "      ")
    ]
    text += section("What changes from value to value", moves)
    if found.not_reached:
        missed = ", ".join(f"{value:g}" for value in found.not_reached)
        text += section("Not reached in the time given", [f"  {missed}"])
    return [*text, "", f"table and picture: {found.folder}"]
