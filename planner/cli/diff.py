"""`planner diff`: what differs between two plans, fronts or instances, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from planner.compare.fronts import FrontDiff
    from planner.compare.instances import InstanceDiff
    from planner.compare.plans import PlanDiff

CATALOG_KINDS = ("prices", "carbon", "pue", "embodied", "quality")
"""Kinds of resolved figures that tables alone do not tell."""


def diff(
    old: Annotated[Path, typer.Argument(help="Run folder, front, FRONT/plans/POINT or instance.")],
    new: Annotated[Path, typer.Argument(help="Another of the same kind.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two plans, two fronts or two instances.

    Of plans: what is held and decided, old and new totals, and the change split into prices,
    demand, carbon data, quality data, other data and decisions; the parts add up exactly.
    Exit code 0, changed or not; 1: an error.
    """
    from planner.api import diff as compare

    found = compare(old, new)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1, allow_nan=False))
    else:
        typer.echo("\n".join(lines(found)))


def lines(found: PlanDiff | FrontDiff | InstanceDiff) -> list[str]:
    """Any comparison as text, its answer first."""
    from planner.compare.fronts import FrontDiff
    from planner.compare.plans import PlanDiff

    if isinstance(found, PlanDiff):
        return plan_lines(found)
    return front_lines(found) if isinstance(found, FrontDiff) else instance_lines(found)


def plan_lines(found: PlanDiff) -> list[str]:
    """Signs per region and accelerator; old, new and change; then the causes."""
    from planner.cli.text import paragraph, section, table
    from planner.compare import said

    fleet = ("", "region", "accelerator", "market", "old", "new", "change")
    headings = said.cause_headings(found)
    text = paragraph(said.answer(found))
    if found.same:
        return text
    text += section("Fleet (peak accelerators)", _table(fleet, said.fleet_rows(found), (4, 5, 6)))
    machines = ("", "region", "offer", "market", "old", "new", "change")
    text += section("Machines (peak accelerators; in all as many as before)",
                    _table(machines, said.machine_rows(found), (4, 5, 6)))  # fmt: skip
    for workload, before, after in said.adoption_rows(found):
        if "Adaptation" not in text:
            text += ["", "Adaptation"]
        text += paragraph(f"{before} -> {after}", f"  ~ {workload}  ", "      ")
    text += section(
        "Where answered (share of the workload's answers)",
        _table(("", "workload", "region", "old", "new"), said.region_rows(found), (3, 4)),
    )
    amounts = [*said.total_rows(found), *said.liability_row(found)]
    totals = table(("", "old", "new", "change", ""), amounts, numbers=(1, 2, 3, 4))
    text += section("Totals", totals)
    causes = table(headings, said.cause_rows(found), numbers=range(1, len(headings)))
    text += section("Why: what each kind of data, then the new decisions, change", causes)
    for name, title in (("cost", "Cost, USD"), ("carbon", "Carbon, kgCO2e"), ("qoe", "QoE")):
        text += section(f"{title}, by {'workload' if name == 'qoe' else 'line'}",
                        _moves(said.line_rows(found.total(name))))  # fmt: skip
    text += section("The old plan under the new data", _bullets(said.kept_said(found)))
    text += section("Asked", _bullets(said.asked_said(found)))
    for one in found.data.tables:
        text += section(one.table, _bullets(said.table_said(said.untold(one))))
    text += section("Figures, as resolved", _bullets(said.figures_said(found.data)))
    return text + section("How sure", _bullets(said.proof_said(found)))


def _moves(rows: list[list[str]]) -> list[str]:
    """Name, change and causes, wrapped below each other."""
    from planner.cli.text import paragraph

    wide = max((len(row[0]) for row in rows), default=0)
    return [
        line
        for name, change, why in rows
        for line in paragraph(f"{change} ({why})", f"  {name.ljust(wide)}  ", " " * (wide + 4))
    ]


def front_lines(found: FrontDiff) -> list[str]:
    """Both fronts, then every named choice plan by plan."""
    from planner.cli.text import paragraph, section, table
    from planner.compare import said

    text = paragraph(said.front_answer(found))
    if found.same:
        return text
    text += section("Fronts", table(("", "old", "new"), said.front_rows(found), numbers=(1, 2)))
    for choice in found.choices:
        text += ["", f"{choice.choice}: {choice.old_point} -> {choice.new_point}"]
        text += [f"  {line}" for line in plan_lines(choice.diff)]
    return text


def instance_lines(found: InstanceDiff) -> list[str]:
    """Every table that differs, then the figures that catalog and overrides resolve to."""
    from planner.cli.text import paragraph, section
    from planner.compare import said

    text = paragraph(said.instance_answer(found))
    for one in found.data.tables:
        text += section(one.table, _bullets(said.table_said(one)))
    figures = said.figures_said(found.data, CATALOG_KINDS)
    return text + section("Figures, as resolved with the catalog", _bullets(figures))


def _bullets(texts: list[str]) -> list[str]:
    from planner.cli.text import paragraph

    return [line for text in texts for line in paragraph(text, "  ", "      ")]


def _table(headings: tuple[str, ...], rows: list[list[str]], numbers: tuple[int, ...]) -> list[str]:
    from planner.cli.text import table

    return table(headings, rows, numbers=numbers) if rows else []
