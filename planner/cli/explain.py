"""`planner explain`: the reason for every choice, and what insisting on another would cost."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from planner.explain.clock import Clock
    from planner.explain.results import Explanation


def explain(
    run_dir: Annotated[Path, typer.Argument(help="Run folder of `planner plan` or of a front.")],
    workload: Annotated[str | None, typer.Option(help="Only what concerns this workload.")] = None,
    region: Annotated[str | None, typer.Option(help="Only what is decided in this region.")] = None,
    why_not: Annotated[
        list[str] | None,
        typer.Option(
            help="KEY=NAME, ...: workload, adaptation, llm, method, refresh, check_llm, variant, "
            "region, accelerator, offer, market. Repeatable; answers only these."
        ),
    ] = None,
    thresholds: Annotated[
        bool, typer.Option("--thresholds", help="Also: where main figures would change the answer.")
    ] = False,
    point: Annotated[
        str | None, typer.Option(help="Of a front: p0007, cheapest, greenest, compromise, knee ...")
    ] = None,
    time_limit: Annotated[float, typer.Option(help="Seconds of the whole command.")] = 120.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what holds each choice of a plan, its runner-up, and the price of insisting on it.

    Prices are intervals, proved by re-solves. Break-evens, price tags and thresholds are kept in
    the run folder (sensitivity.json). Exit code 0; 5: some of it was not reached in time; 1: an
    error.
    """
    from planner.api import explain as ask
    from planner.cli.plan import STOPPED_AT_LIMIT, silent_stdout
    from planner.explain.clock import Clock
    from planner.explain.store import store

    clock = Clock(time_limit)
    with silent_stdout(), _watched(clock):
        found = ask(
            run_dir,
            workload=workload,
            region=region,
            why_not=why_not or (),
            thresholds=thresholds,
            point=point,
            time_limit=time_limit,
            clock=clock,
        )
        kept = store(found, shlex.join(["planner", *sys.argv[1:]]))
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1, allow_nan=False))
    else:
        typer.echo("\n".join(lines(found, kept)))
    if found.not_reached:
        raise typer.Exit(STOPPED_AT_LIMIT)


@contextmanager
def _watched(clock: Clock) -> Iterator[None]:
    """Ctrl-C keeps what is held, a second one leaves; a live line where stderr is a terminal."""
    from planner.cli.live import live_line

    def interrupted() -> None:
        clock.stopped.set()
        raise KeyboardInterrupt

    shows = sys.stderr.isatty()
    with live_line(interrupted, shows=shows) as show:
        if shows:
            clock.news = lambda what: show(f"{what[:100]}  {clock.left_s:.0f} s left")
        yield


def lines(found: Explanation, kept: Path | None) -> list[str]:
    """The answer, then section by section; what was not reached comes last."""
    from planner.cli.plan import shortest
    from planner.cli.text import paragraph, section, table
    from planner.explain import said

    unit = found.unit
    text = paragraph(said.answer(found))
    if found.better is not None:
        o = found.better
        text += paragraph(
            f"A better plan was met on the way ({o.cost_usd:,.0f} USD, {o.carbon_kgco2e:,.0f} "
            f"kgCO2e, QoE {o.qoe:.4f}): the plan explained is not optimal, re-plan with more time."
        )
    for one in found.why_not:
        body = [f"  {said.price(one.price, unit)}", *_indented(said.why_not(one, unit))]
        text += section(f"Why not {one.wish}", body)
    for choice in found.choices:
        text += section(said.choice_title(choice), _indented(said.choice(choice, unit)))
    evens = [f"{one.workload}: {said.break_even(one)}" for one in found.break_evens]
    text += section("Where another adaptation would win", _indented(evens))
    text += section(
        "What would change the answer", _indented(map(said.threshold, found.thresholds))
    )
    rows = said.tag_rows(found.price_tags, unit)
    headings = ("limit", "moved", f"change, {unit} (proved)", "price")
    text += section("Price tags of limits", table(headings, rows) if rows else [])
    text += section("Not reached in the time given", _indented(found.not_reached))
    text += ["", f"{found.seconds:.1f} s"]
    return text if kept is None else [*text, f"kept in {shortest(kept.absolute())}"]


def _indented(texts: Iterable[str]) -> list[str]:
    from planner.cli.text import paragraph

    return [line for text in texts for line in paragraph(text, "  ", "      ")]
