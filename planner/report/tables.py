"""Tables for analysts: every list behind the page, exact, with the unit in each column's name.

Long tables: a column `point` says which plan a row belongs to (``current``: the plan in force).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from planner.answer.known import told
from planner.report.known import source_rows
from planner.report.options import CURRENT
from planner.report.page import Content
from planner.report.plan_view import PlanView

if TYPE_CHECKING:
    from pandas import DataFrame

    from planner.front.choose import Step

Cell = str | float | int | bool | None


@dataclass(frozen=True)
class Table:
    """A list with named columns; units are in the names."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def to_frame(self) -> DataFrame:
        """As a pandas DataFrame; what is not known is missing."""
        import pandas as pd

        return pd.DataFrame(list(self.rows), columns=list(self.columns))


def tables_of(content: Content) -> tuple[Table, ...]:
    """All tables of a report; those that have no rows are left out."""
    views = content.views
    made = [options_table(content), points_table(content), *_plan_tables(views.items())]
    if content.source.front is not None:
        made += _front_tables(content)
    return tuple(table for table in [*made, *_known_tables(content)] if table.rows)


def options_table(content: Content) -> Table:
    """The named options: figures, proof, and what each gives up."""
    rows = []
    for o in content.options:
        cost, carbon, qoe = (loss.excess for loss in o.losses)
        values = dataclasses.astuple(o.objectives)
        rows.append(
            (
                *(o.letter, o.name, o.point, *values, o.cost_bound_usd, o.cost_gap_relative),
                *(cost, carbon, qoe),
            )
        )
    columns = (
        *("letter", "option", "point", "cost_usd", "carbon_kgco2e", "qoe", "cost_bound_usd"),
        *("cost_gap_share", "cost_above_cheapest_usd", "carbon_above_greenest_kgco2e"),
        "qoe_below_best",
    )
    return Table("options", columns, tuple(rows))


def points_table(content: Content) -> Table:
    """Every plan with objectives, proved gap and main decisions."""
    keys = [column.key for column in content.columns]
    named = {option.point: option.name for option in content.options}
    rows = tuple(
        (point, named.get(point), *(content.value(point, key) for key in keys))
        for point in content.views
    )
    renamed = {"cost_gap_relative": "cost_gap_share", "regions": "regions_count"}
    renamed |= {"llms": "llms_count", "workloads_rag": "workloads_rag_count"}
    renamed |= {"workloads_fine_tuned": "workloads_fine_tuned_count"}
    columns = ("point", "option", *(renamed.get(key, key) for key in keys))
    return Table("plans", columns, rows)


def _plan_tables(views: Iterable[tuple[str, PlanView]]) -> list[Table]:
    views = list(views)
    fleet = [(point, *dataclasses.astuple(row)) for point, view in views for row in view.fleet]
    served = [(point, *dataclasses.astuple(row)) for point, view in views for row in view.served]
    cost = [(point, *line) for point, view in views for line in view.cost_lines.items()]
    carbon = [(point, *line) for point, view in views for line in view.carbon_lines.items()]
    adaptation = [
        (
            *(point, row.workload, row.llm, row.adaptation, row.said, row.variant),
            *(row.reason, row.break_even),
        )
        for point, view in views
        for row in view.adaptation
    ]
    return [
        Table(
            "fleet",
            (
                *("point", "region", "accelerator", "offer", "market"),
                *("peak_accelerators", "mean_accelerators"),
            ),
            tuple(fleet),
        ),
        Table("served", ("point", "origin", "region", "requests_share"), tuple(served)),
        Table("cost_lines", ("point", "line", "cost_usd"), tuple(cost)),
        Table("carbon_lines", ("point", "line", "carbon_kgco2e"), tuple(carbon)),
        Table(
            "adaptation",
            (
                *("point", "workload", "llm", "adaptation", "in_words", "variant"),
                *("reason", "break_even"),
            ),
            tuple(adaptation),
        ),
        workloads_table(views),
    ]


def workloads_table(views: Sequence[tuple[str, PlanView]]) -> Table:
    """What each workload gets, with 80 % bands and targets."""
    rows = []
    for point, view in views:
        for row in view.workloads:
            banded = (
                (row.qoe, row.qoe_band),
                (row.ttft_p95_s, row.ttft_p95_band_s),
                (row.tpot_mean_s, row.tpot_mean_band_s),
            )
            figures = [end for value, band in banded for end in (value, *(band or (None, None)))]
            rows.append(
                (
                    *(point, row.workload, *figures, row.ttft_target_s, row.tpot_target_s),
                    *(row.attainment, row.attainment_min, row.usd_per_mtok, row.gco2e_per_ktok),
                )
            )
    columns = (
        *("point", "workload", "qoe", "qoe_low", "qoe_high"),
        *("ttft_p95_s", "ttft_p95_low_s", "ttft_p95_high_s"),
        *("tpot_mean_s", "tpot_mean_low_s", "tpot_mean_high_s"),
        *("ttft_target_s", "tpot_target_s", "attainment_share", "attainment_min_share"),
        *("usd_per_mtok", "gco2e_per_ktok"),
    )
    return Table("workloads", columns, tuple(rows))


def _front_tables(content: Content) -> list[Table]:
    from planner.front.choose import steps_by_cost
    from planner.report import trade

    front = content.source.front
    assert front is not None
    edges = {"carbon": trade.edge(front, 1), "qoe": trade.edge(front, 2)}
    named = {o.point: o.objectives for o in content.options if o.point != CURRENT}
    along: list[tuple[str, Sequence[Step]]] = [("options", steps_by_cost(named))]
    along += [(name, trade.edge_steps(points)) for name, points in edges.items()]
    steps = [(name, *dataclasses.astuple(step)) for name, found in along for step in found]
    flips = [
        (name, *dataclasses.astuple(flip))
        for name, points in edges.items()
        for flip in trade.flips(points, content.source.plans)
    ]
    return [
        Table(
            "steps",
            (
                *("along", "from_point", "to_point", "cost_change_usd", "carbon_change_kgco2e"),
                *("qoe_change", "usd_per_tonne_avoided", "usd_per_qoe_point"),
            ),
            tuple(steps),
        ),
        Table(
            "flips",
            (
                *("along", "workload", "from_point", "to_point", "before", "after"),
                *("adaptation_before", "adaptation_after"),
            ),
            tuple(flips),
        ),
    ]


def _known_tables(content: Content) -> list[Table]:
    views = content.views
    known = [
        (point, title, kind, share)
        for point in views
        for title, shares in told(content.plan(point))
        for kind, share in shares.items()
    ]
    ages = tuple(content.source.facts.ages.items())
    sources = tuple(dataclasses.astuple(row) for row in source_rows(content))
    assumptions = tuple((line,) for line in content.source.first_plan.assumptions)
    return [
        Table("known", ("point", "of", "known_by", "share"), tuple(known)),
        Table("ages", ("table", "dates"), ages),
        Table("sources", ("of", "used_for", "source"), sources),
        Table("assumptions", ("assumption",), assumptions),
    ]
