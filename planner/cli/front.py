"""`planner front`: the trade-off of cost, carbon and QoE, enclosed by a proof."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.history import HistoryOption, recording
from planner.cli.plan import (
    STOPPED_AT_LIMIT,
    CalibrationOption,
    parse_gap,
    point_out,
    shortest,
    silent_stdout,
    watched,
)

if TYPE_CHECKING:
    from planner.front.front import Front
    from planner.front.run import FrontProgress, FrontRun


def front(
    folder: Annotated[
        Path | None, typer.Argument(help="Instance folder; not needed with --resume.")
    ] = None,
    time_limit: Annotated[float, typer.Option(help="Seconds of wall clock.")] = 300.0,
    epsilon: Annotated[
        str, typer.Option(help="Stop when no plan at all can beat the list by more than this.")
    ] = "3%",
    gap: Annotated[
        str, typer.Option(help="Stop when, beside that, the median gap in cost is this.")
    ] = "2%",
    hypervolume: Annotated[
        str, typer.Option(help="And, for large fleets, when no more of it can be missing.")
    ] = "2%",
    method: Annotated[
        str, typer.Option(help="certified, evolve or hybrid: see docs/front.md.")
    ] = "hybrid",
    workers: Annotated[int, typer.Option(help="Programs solved at a time.")] = 2,
    scheduler: Annotated[
        str | None, typer.Option(help="Dask scheduler whose workers to use: tcp://host:port.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
    output: Annotated[Path | None, typer.Option(help="Run folder to write.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with this run folder.")] = None,
    calibration: CalibrationOption = None,
    history: HistoryOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print front.json.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No live progress.")] = False,
) -> None:
    """Find the whole trade-off of cost, carbon and QoE, and prove how much could be missing.

    Ctrl-C keeps the front. Exit code 0: the target epsilon is proved; 5: stopped at a limit with
    an answer; 3: instance invalid; 4: no plan exists, proved; 1: any other error.
    """
    from planner.api import load
    from planner.errors import PlannerError, RunError
    from planner.front.run import FrontRequest, FrontRun
    from planner.instance.copy import calibrated
    from planner.runs import INSTANCE, new_folder

    request = FrontRequest(
        epsilon=parse_gap(epsilon, "--epsilon"),
        gap=parse_gap(gap),
        hypervolume=parse_gap(hypervolume, "--hypervolume"),
        time_limit_s=time_limit,
        workers=workers,
        seed=seed,
        scheduler=scheduler,
        method=method,
    )
    if resume is not None:
        if folder is not None or output is not None:
            raise PlannerError("--resume RUN_DIR goes on in that folder: name no other")
        if calibration is not None:
            raise PlannerError("--resume RUN_DIR goes on with its own calibration: name no other")
        folder, place = resume / INSTANCE, resume
        if resume.is_dir() and not folder.exists():
            raise RunError(
                f"{resume} holds no run to go on with: begin one there with "
                f"planner front DIR --output {resume}"
            )
    elif folder is None:
        raise PlannerError("front needs an instance folder, or --resume RUN_DIR")
    from planner.answer.words import grid_said
    from planner.cli.text import FINER, paragraph
    from planner.instance.grid import refines

    with calibrated(folder, calibration) as instance, recording(history) as record:
        facts = load(instance)
        point_out(folder, facts.assumptions)
        if resume is None:
            place = output or new_folder(f"{facts.instance.settings.name}-front")
        again = resume is not None
        with silent_stdout():
            with watched(place, request.time_limit_s, wanted=not quiet) as heard:
                run = FrontRun(facts, request, place.absolute(), resume=again, on_search=heard)
            with _watched(run, shows=not quiet and sys.stderr.isatty()):
                found = run.run()
        record(place.absolute())
    if as_json:
        typer.echo(found.to_json())
    else:
        grid = grid_said(found.on_grid(facts))
        short = grid and found.grid is None and refines(facts)
        proved = paragraph(f"{grid} {FINER}" if short else grid)
        typer.echo("\n".join([*answer_lines(found), *proved, f"run folder: {shortest(place)}"]))
    if not found.certificate.complete:
        raise typer.Exit(STOPPED_AT_LIMIT)


@contextmanager
def _watched(run: FrontRun, *, shows: bool) -> Iterator[None]:
    """Ctrl-C asks the run to stop, a second one leaves at once; a live line on a terminal."""
    from planner.cli.live import live_line

    def interrupted() -> None:
        if run.search.stop.is_set():
            raise KeyboardInterrupt
        run.stop()

    with live_line(interrupted, shows=shows) as show:
        if shows:
            run.on_progress = lambda progress: show(progress_line(progress))
        yield


def progress_line(progress: FrontProgress) -> str:
    """``24 points, 31 cuts  epsilon 4.1 %  3.2 % of the hypervolume missing  212 s left``."""
    from planner.answer.words import percent

    parts = [f"{progress.points} points, {progress.cuts} cuts"]
    if progress.epsilon is not None:
        parts.append(f"epsilon {percent(progress.epsilon)}")
    missing = progress.hypervolume.missing
    if missing is not None:
        parts.append(f"{percent(missing)} of the hypervolume missing")
    return "  ".join([*parts, f"{progress.left_s:.0f} s left"])


def answer_lines(front: Front) -> list[str]:
    """The answer first, then the ends of the front and the proof."""
    from planner.answer.words import number, percent

    certificate, count = front.certificate, len(front.points)
    plans = "1 plan" if count == 1 else f"{count} plans"
    reference = certificate.hypervolume.reference
    first = f"{plans}; no bound on what is missing is proved yet"
    if certificate.epsilon is not None:
        first = (
            f"{plans}; no plan at all beats them by more than "
            f"{percent(certificate.epsilon)} {width_of(front)} (proved)"
        )
    ideal, nadir = front.ideal, front.nadir
    lines = [
        first + ("" if certificate.complete else "; truncated: stopped before the target"),
        ", ".join(
            (
                span("cost", number(ideal.cost_usd), number(nadir.cost_usd), " USD"),
                span("carbon", number(ideal.carbon_kgco2e), number(nadir.carbon_kgco2e), " kgCO2e"),
                span("QoE", f"{nadir.qoe:.4f}", f"{ideal.qoe:.4f}", ""),
            )
        ),
        f"said of plans below {number(reference.cost_usd)} USD and "
        f"{number(reference.carbon_kgco2e)} kgCO2e, above QoE {reference.qoe:.4f}",
    ]
    median, most = certificate.cost_gap_relative_median, certificate.cost_gap_relative_max
    if median is not None and most is not None:
        lines.append(
            f"cost of a plan above the least any plan has at its carbon and QoE: "
            f"median {percent(median)}, most {percent(most)}"
        )
    beyond = certificate.cost_gap_relative_median_beyond_step
    if beyond is not None:
        lines.append(
            f"above the least that plans better by {percent(certificate.step)} of the ranges of "
            f"carbon and QoE have: median {percent(beyond)}"
        )
    missing = certificate.hypervolume.missing
    if missing is not None:
        lines.append(f"of the hypervolume at most {percent(missing)} is missing")
    lines.append(
        f"{len(certificate.cuts)} cuts, {front.solves} solves, {front.elapsed_s:.0f} s; "
        f"choose with `planner pick`"
    )
    if not certificate.complete and certificate.widest:
        corner = certificate.widest[0]
        if corner.cost_usd is not None and corner.carbon_kgco2e is not None:
            lines.append(
                f"the widest gap lies below {number(corner.cost_usd)} USD, "
                f"{number(corner.carbon_kgco2e)} kgCO2e, above QoE {corner.qoe or 0.0:.4f}"
            )
    return lines


def width_of(front: Front) -> str:
    """What a width of the front is a share of, in words."""
    names = ("cost", "carbon", "QoE")
    flat = [name for name, extent in zip(names, front.ranges, strict=True) if extent == 0.0]
    if not flat:
        return "of each range at once"
    if len(flat) == len(names):
        return "of its cost, its carbon or a QoE of 1"
    left = " and ".join(name for name in names if name not in flat)
    both = "s of" if len(flat) == 1 else " of"
    return f"of the range{both} {left} at once, and {' and '.join(flat)} cannot be better by that"


def span(name: str, low: str, high: str, unit: str) -> str:
    """``cost 12 to 14 USD``, or the one figure."""
    return f"{name} {low}{unit}" if low == high else f"{name} {low} to {high}{unit}"
