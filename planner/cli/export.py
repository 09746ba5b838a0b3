"""`planner export`: the stated program for any solver."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from planner.cli.plan import (
    CalibrationOption,
    CapOption,
    FloorOption,
    MinimizeOption,
    named_numbers,
    silent_stdout,
)


def export(
    folder: Annotated[
        Path, typer.Argument(help="Instance folder, or a run folder of `planner plan`.")
    ],
    mps: Annotated[Path | None, typer.Option(help="MPS file to write (free format).")] = None,
    lp: Annotated[Path | None, typer.Option(help="LP file to write (CPLEX format).")] = None,
    minimize: MinimizeOption = None,
    cap: CapOption = None,
    floor: FloorOption = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="Move figures first, as for `planner plan`.")
    ] = None,
    calibration: CalibrationOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Write the program that `planner plan` solves, to be solved by any other solver.

    The optimum of the file, constants included, is the value that `planner plan` certifies: USD,
    kgCO2e or lost QoE (1 - QoE) of the period. Of a run folder it is the very program that the
    certificate is about. FILE.names.csv says what the columns and rows are.
    """
    from planner import api
    from planner.cli.text import paragraph

    began = time.monotonic()

    def told(step: str) -> None:
        if not quiet:
            typer.echo(f"{time.monotonic() - began:6.1f} s  {step}", err=True)

    caps, floors = named_numbers(cap or [], "--cap"), named_numbers(floor or [], "--floor")
    with silent_stdout():
        written = api.export(
            folder,
            mps=mps,
            lp=lp,
            minimize=minimize,
            caps=caps,
            floors=floors,
            changes=change or (),
            calibration=calibration,
            on_step=told,
        )
    typer.echo(
        f"{folder.name}: least {written.objective}; {written.columns:,} columns "
        f"({written.integers:,} integer), {written.rows:,} rows, {written.entries:,} entries\n"
        f"paid whatever is decided (the column `one`): {written.constant:,.6g}\n"
        f"written: {', '.join(str(path) for path in written.files)}"
    )
    typer.echo("\n".join(paragraph(written.grid)))
