"""Comparisons in a notebook."""

from __future__ import annotations

from collections.abc import Sequence

from planner.compare import said
from planner.compare.data import DataChanges
from planner.compare.fronts import FrontDiff
from planner.compare.instances import InstanceDiff
from planner.compare.markup import paragraphs, section, table
from planner.compare.plans import PlanDiff


def plan_diff_html(diff: PlanDiff) -> str:
    """The answer, then fleet, adaptation, totals and causes."""
    headings = said.cause_headings(diff)
    fleet = ("", "region", "accelerator", "market", "old", "new", "change")
    machines = ("", "region", "offer", "market", "old", "new", "change")
    parts = [
        f"<p><strong>{said.answer(diff)}</strong></p>",
        section("Fleet (peak accelerators)", _table(fleet, said.fleet_rows(diff), (4, 5, 6))),
        section(
            "Machines (peak accelerators; in all as many as before)",
            _table(machines, said.machine_rows(diff), (4, 5, 6)),
        ),
        section("Adaptation", _table(("workload", "old", "new"), said.adoption_rows(diff))),
        section(
            "Where answered",
            _table(("", "workload", "region", "old", "new"), said.region_rows(diff), (3, 4)),
        ),
        section(
            "Totals",
            _table(
                ("", "old", "new", "change", ""),
                [*said.total_rows(diff), *said.liability_row(diff)],
                (1, 2, 3, 4),
            ),
        ),
        section("Causes", _table(headings, said.cause_rows(diff), range(1, len(headings)))),
        section("The old plan", paragraphs(said.kept_said(diff))),
        _data(diff.data),
        section("How sure", paragraphs(said.proof_said(diff))),
    ]
    return "".join(parts)


def front_diff_html(diff: FrontDiff) -> str:
    """The answer, both fronts, then every named choice."""
    return "".join(
        [
            f"<p><strong>{said.front_answer(diff)}</strong></p>",
            _table(("", "old", "new"), said.front_rows(diff), (1, 2)),
            *(
                section(
                    f"{choice.choice}: {choice.old_point} to {choice.new_point}",
                    plan_diff_html(choice.diff),
                )
                for choice in diff.choices
            ),
        ]
    )


def instance_diff_html(diff: InstanceDiff) -> str:
    """The answer, then every table."""
    return f"<p><strong>{said.instance_answer(diff)}</strong></p>" + _data(diff.data)


def _data(data: DataChanges) -> str:
    tables = [section(t.table, paragraphs(said.table_said(t))) for t in data.tables]
    return "".join(tables) + section("Figures", paragraphs(said.figures_said(data)))


def _table(headings: Sequence[str], rows: said.Rows, numbers: Sequence[int] = ()) -> str:
    return table(headings, rows, numbers=numbers) if rows else ""
