"""`planner replan`: keep what runs today or change it, proved; propose, apply nothing."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.errors import PlannerError

if TYPE_CHECKING:
    from planner.compare.plans import PlanDiff
    from planner.replan.check import Memory, Replan

EVERY_FEED, WITHOUT = "all", "none"


def replan(
    instance: Annotated[Path, typer.Argument(help="Instance folder, with today's data.")],
    current: Annotated[
        Path | None,
        typer.Option(
            help="What runs today: plan.json, run folder, front, or a folder with fleet.csv and "
            "adoption.csv; else the instance's incumbent."
        ),
    ] = None,
    point: Annotated[
        str | None, typer.Option(help="Of a front: p0007, cheapest, greenest, compromise, knee ...")
    ] = None,
    new_front: Annotated[
        Path | None, typer.Option(help="Of a front: a front of today's data to compare with.")
    ] = None,
    feed: Annotated[
        list[str] | None,
        typer.Option(help="Use the tables of this feed of feeds.toml; repeatable; all: of all."),
    ] = None,
    minimize: Annotated[
        str | None, typer.Option(help="cost, carbon or qoe-loss; else as the running plan.")
    ] = None,
    cap: Annotated[
        list[str] | None,
        typer.Option(
            help="In place of the running plan's caps: cost=USD, carbon=KG, water=LITRES."
        ),
    ] = None,
    floor: Annotated[
        list[str] | None, typer.Option(help="In place of the running plan's floors: qoe=SHARE.")
    ] = None,
    margin: Annotated[
        str | None,
        typer.Option(help="Least gain worth a change, of what keeping comes to: 1% or 0.01."),
    ] = None,
    gap: Annotated[
        str, typer.Option(help="Proven gap of a proposed plan: 0.5% or 0.005.")
    ] = "0.5%",
    time_limit: Annotated[float, typer.Option(help="Seconds of the whole check.")] = 120.0,
    threads: Annotated[int, typer.Option(help="Threads of the search.")] = 2,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Your own measurements: a file that `planner calibrate` wrote; none: without. "
            "Else the instance's, else that of the running plan."
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="File that remembers the last check; a gain must then be confirmed."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Run folder to write.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Price what runs today under today's data, find the best change, and decide with proof.

    Exit code 0: keep; 2: a move is proposed; 5: undecided, or stopped at a limit; 3: the instance
    is invalid; 4: no plan exists, proved; 1: any other error.
    """
    from planner.cli.plan import named_numbers, parse_gap, point_out, silent_stdout, watched
    from planner.instance.copy import calibrated
    from planner.replan.check import Ask, run_check

    memory = None if state is None else remembered(state)
    measured = None if str(calibration) == WITHOUT else calibration
    with (
        dated(instance, feed or []) as (dated_folder, notes),
        calibrated(dated_folder, measured) as folder,
    ):
        ask = Ask(
            minimize=minimize,
            caps=None if cap is None else named_numbers(cap, "--cap"),
            floors=None if floor is None else named_numbers(floor, "--floor"),
            gap=parse_gap(gap),
            time_limit_s=time_limit,
            threads=threads,
            margin=None if margin is None else parse_gap(margin, "--margin"),
            notes=notes,
            carries_calibration=str(calibration) != WITHOUT,
        )
        with silent_stdout(), watched(instance, time_limit, wanted=True) as listener:
            found = run_check(
                folder,
                current,
                point,
                ask,
                memory=memory,
                new_front=new_front,
                output=output or named_folder(instance),
                on_progress=listener,
            )
    if state is not None:
        remember(state, found)
    point_out(instance, found.decision.assumptions)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1, allow_nan=False))
    else:
        typer.echo("\n".join(lines(found)))
    if found.exit_code:
        raise typer.Exit(found.exit_code)


def named_folder(instance: Path) -> Path:
    """A new run folder with the name of the instance, dated copies of it included."""
    from planner.runs import new_folder

    return new_folder(f"{instance.resolve().name}-replan")


# ------------------------------------------------------------------ feeds and memory


@contextmanager
def dated(instance: Path, feeds: Sequence[str]) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """The instance as the usable tables of the feeds say it is, and which tables those are."""
    if not feeds:
        yield instance, ()
        return
    from planner.feeds import choose, dated_instance, load_settings, need_of

    settings, need = load_settings(instance), need_of(instance)
    names = tuple(settings.feeds) if EVERY_FEED in feeds else tuple(feeds)
    settings.chosen(names)
    choices = [choice for choice in choose(settings, need) if choice.feed in names]
    with tempfile.TemporaryDirectory(prefix="planner-dated-") as scratch:
        folder = dated_instance(need, choices, Path(scratch) / instance.resolve().name)
        yield (
            folder,
            tuple(
                f"Feed {choice.feed}: {text}."
                for choice in choices
                for text in (choice.said, *choice.remarks)
            ),
        )


def remembered(state: Path) -> Memory:
    """The check that a state file holds; none where it is new."""
    from planner.replan.check import Memory
    from planner.replan.decision import Decision

    if not state.exists():
        return Memory()
    return Memory(Decision.from_json(state.read_text(encoding="utf-8")))


def remember(state: Path, found: Replan) -> None:
    """Replace the state file in one step."""
    try:
        state.parent.mkdir(parents=True, exist_ok=True)
        draft = state.with_name(f".{state.name}.draft")
        draft.write_text(found.decision.to_json(), encoding="utf-8")
        draft.replace(state)
    except OSError as error:
        raise PlannerError(f"cannot write {state}: {error.strerror or error}") from error


# ------------------------------------------------------------------ words


def lines(found: Replan) -> list[str]:
    """The answer first; what was weighed; the costs and order of the move; assumptions last."""
    from planner.cli.diff import plan_lines
    from planner.cli.plan import shortest
    from planner.cli.text import paragraph, section, table
    from planner.replan import said

    decision = found.decision
    text = paragraph(said.headline(decision))
    text += section("What runs today", _bullets(said.standing_said(decision)))
    if decision.front is not None:
        text += section("The front it was chosen from", _bullets(said.front_said(decision.front)))
    figures = [
        [name, _plain(value, unit), unit] for name, value, unit in said.figure_rows(decision)
    ]
    title = f"What was weighed, of the period of {decision.period_h:g} h"
    text += section(title, table(("", "", ""), figures, numbers=(1,))[1:])
    text += _bullets(said.confirmation_said(decision))
    moving = said.moving_rows(decision)
    if moving:
        share = f"USD in {decision.period_h:g} h"
        costs = table(("", "USD in all", share), moving, numbers=(1, 2))
        text += section("Costs of the change", costs)
    machines = said.machine_rows(decision)
    if machines and decision.decision != "keep":
        held = table(said.MACHINE_HEADINGS, machines, numbers=(1, 2, 3))
        text += section("Machines of the best plan found (most accelerators held)", held)
    stages = said.stage_rows(decision)
    if stages:
        order = table(said.STAGE_HEADINGS, stages, numbers=(2, 3, 5, 6, 7))
        text += section("Order of the move (accelerators)", order)
        text += _bullets(said.stages_said(decision))
    if found.diff is not None:
        text += ["", "Running plan to the best one found"]
        told = why_lines(found.diff) if found.diff.decides_alike else plan_lines(found.diff)
        text += [f"  {line}".rstrip() for line in told]
    text += section("Assumptions", _bullets(decision.assumptions))
    return [*text, "", f"run folder: {shortest(found.run_folder)}"]


def why_lines(diff: PlanDiff) -> list[str]:
    """Of two plans that decide alike: what the data change, and why."""
    from planner.cli.text import paragraph, section, table
    from planner.compare import said

    text = paragraph(said.answer(diff))
    if diff.same:
        return text
    headings = said.cause_headings(diff)
    causes = table(headings, said.cause_rows(diff), numbers=range(1, len(headings)))
    text += section("Why: what each kind of data changes", causes)
    return text + section("Figures, as resolved", _bullets(said.figures_said(diff.data)))


def _plain(value: float, unit: str) -> str:
    return f"{value:,.6f}" if unit == "QoE" else f"{value:,.2f}"


def _bullets(texts: Sequence[str]) -> list[str]:
    from planner.cli.text import paragraph

    return [line for text in texts for line in paragraph(text, "  ", "      ")]
