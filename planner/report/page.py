"""The data of the page: what its script needs, as plain lists in one JSON block.

Strings that repeat are numbers into one list, figures of a plan are rounded as they are shown;
the objectives of the points keep their exact value. A front of 200 plans stays below half a
megabyte that way.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planner.plan import Plan
from planner.report.bands import Factors, Speeds, pool_bands
from planner.report.changes import Changes, changes_of
from planner.report.options import CURRENT, Option, default_option, options_of
from planner.report.plan_view import MARKETS, PlanView, plan_view
from planner.report.rounding import balanced_lines, decimals_for
from planner.report.source import PLAN_RUN_POINT, Source
from planner.report.theme import dark_of_light, light


@dataclass(frozen=True)
class Column:
    """A column of the table of plans; also an axis of the parallel coordinates."""

    key: str
    label: str
    unit: str
    decimals: int
    scale: float = 1.0
    """what the value is multiplied by to be shown: 100 for per cent"""
    better: int = 0
    """-1: less is better, 1: more is better, 0: a decision"""


@dataclass(frozen=True, eq=False)
class Content:
    """Everything that is said, worked out once for page, brief and tables."""

    source: Source
    options: tuple[Option, ...]
    views: Mapping[str, PlanView]
    """by id of the point; the plan in force as ``current``"""
    columns: tuple[Column, ...]
    speeds: Speeds
    changes: tuple[Changes, ...]
    """thresholds of the plans they were computed for, the chosen option first"""

    @property
    def chosen(self) -> Option:
        """The option the page opens with."""
        return default_option(self.options)

    def option_at(self, point: str) -> Option | None:
        """The option that is this point."""
        return next((option for option in self.options if option.point == point), None)

    def plan(self, point: str) -> Plan:
        """The plan of a point or the current one."""
        if point == CURRENT and self.source.current is not None:
            return self.source.current.plan
        return self.source.plans[point]

    def value(self, point: str, key: str) -> float | None:
        """A figure of a point by the key of its column."""
        view = self.views[point]
        if key == "cost_gap_relative":
            return self.cost_gap(point)
        for holder in (view.objectives, view.decisions):
            if hasattr(holder, key):
                return float(getattr(holder, key))
        raise KeyError(key)

    def cost_gap(self, point: str) -> float | None:
        """Share of the point's cost above the least proved for its carbon and QoE."""
        front = self.source.front
        if front is None:
            option = self.option_at(point)
            return None if option is None else option.cost_gap_relative
        return None if point == CURRENT else front.point(point).cost_gap_relative


def content_of(source: Source) -> Content:
    """Work out everything that the report says about a run."""
    plans = dict(source.plans)
    if source.current is not None:
        plans[CURRENT] = source.current.plan
    speeds = pool_bands(source.facts, plans.values())
    views = {name: plan_view(name, plan, source.facts, speeds) for name, plan in plans.items()}
    listed = [views[name] for name in source.plans]
    options = options_of(source)
    order = [default_option(options).point, *(option.point for option in options)]
    explained = sorted(
        source.sensitivity, key=lambda name: order.index(name) if name in order else len(order)
    )
    return Content(
        source=source,
        options=options,
        views=views,
        columns=columns_of(listed),
        speeds=speeds,
        changes=tuple(changes_of(name, source.sensitivity[name]) for name in explained),
    )


def columns_of(views: Sequence[PlanView]) -> tuple[Column, ...]:
    """Objectives, their gap and the main decisions; hosted llms only where one is used."""
    most = {
        key: max(abs(getattr(view.objectives, key)) for view in views)
        for key in ("cost_usd", "carbon_kgco2e")
    }
    held = max(view.decisions.accelerators_mean for view in views)
    columns = [
        Column("cost_usd", "Cost", "USD", decimals_for(most["cost_usd"]), better=-1),
        Column("carbon_kgco2e", "Carbon", "kgCO2e", decimals_for(most["carbon_kgco2e"]), better=-1),
        Column("qoe", "QoE", "", 4, better=1),
        Column("cost_gap_relative", "Cost gap", "%", 1, 100.0, better=-1),
        Column("accelerators_mean", "Accelerators", "mean", 0 if held >= 100 else 1),
        Column("regions", "Regions", "", 0),
        Column("llms", "Llms", "", 0),
        Column("workloads_rag", "RAG", "workloads", 0),
        Column("workloads_fine_tuned", "Fine-tuned", "workloads", 0),
        Column("committed_share", "Committed", "%", 0, 100.0),
        Column("spot_share", "Spot", "%", 0, 100.0),
    ]
    signed = max(view.decisions.liability_usd for view in views)
    if signed > 0:
        columns.append(
            Column("liability_usd", "Signed beyond the period", "USD", decimals_for(signed))
        )
    if any(view.decisions.hosted_share > 0 for view in views):
        columns.append(Column("hosted_share", "Hosted llms", "%", 0, 100.0))
    return tuple(columns)


def shown(value: float | None, column: Column) -> str:
    """A cell of the table of plans, as the page writes it."""
    return "–" if value is None else f"{value * column.scale:,.{column.decimals}f}"


# ------------------------------------------------------------------ the JSON block


class Strings:
    """One list of strings, and their places in it."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        """The place of the text, at the end of the list where it is new."""
        return self.places.setdefault(text, len(self.places))

    @property
    def texts(self) -> list[str]:
        """The list."""
        return list(self.places)


def page_data(content: Content) -> dict[str, Any]:
    """What the script of the page reads."""
    source, strings = content.source, Strings()
    with_reasons = {option.point for option in content.options} | {PLAN_RUN_POINT}
    plans = {
        name: _plan(view, strings, reasons=name in with_reasons)
        for name, view in content.views.items()
    }
    asked = content.views[next(iter(content.views))].workloads
    return {
        "hours": source.hours,
        "isFront": source.front is not None,
        "columns": [dataclasses.asdict(column) for column in content.columns],
        "points": {
            name: [content.value(name, column.key) for column in content.columns]
            for name in content.views
        },
        "bounds": cost_bounds(content),
        "shown": {
            name: [shown(content.value(name, column.key), column) for column in content.columns]
            for name in content.views
        },
        "options": {
            option.point: {"letter": option.letter, "name": option.name}
            for option in content.options
        },
        "chosen": content.chosen.point,
        "markets": list(MARKETS),
        "targets": {
            row.workload: [row.ttft_target_s, row.tpot_target_s, row.attainment_min]
            for row in asked
        },
        "plans": plans,
        "strings": strings.texts,
        "accent": light("accent"),
        "dark": dark_of_light(),
        "figures": _figures(content),
    }


def cost_bounds(content: Content) -> dict[str, float]:
    """Least cost proved at each point's carbon and QoE, USD; points without one are left out."""
    front = content.source.front
    points = () if front is None else front.points
    return {p.id: p.cost_bound_usd for p in points if p.cost_bound_usd is not None}


def _plan(view: PlanView, strings: Strings, *, reasons: bool) -> dict[str, Any]:
    cost, cost_total, cost_decimals = balanced_lines(view.cost_lines)
    carbon, carbon_total, carbon_decimals = balanced_lines(view.carbon_lines)
    fields: dict[str, Any] = {
        "water": _digits(view.water_l, 6),
        "fleet": [
            [
                *(strings(text) for text in (row.region, row.accelerator, row.offer)),
                MARKETS.index(row.market),
                row.peak_accelerators,
                _digits(row.mean_accelerators, 5),
            ]
            for row in view.fleet
        ],
        "served": [
            [strings(row.origin), strings(row.region), round(row.share, 4)] for row in view.served
        ],
        "adaptation": [
            [strings(text) for text in (row.workload, row.llm, row.adaptation, row.said)]
            for row in view.adaptation
        ],
        "cost": [[[strings(k), v] for k, v in cost.items()], cost_total, cost_decimals],
        "carbon": [[[strings(k), v] for k, v in carbon.items()], carbon_total, carbon_decimals],
        "workloads": [
            [
                strings(row.workload),
                [round(row.qoe, 4), *_band(row.qoe_band)],
                [_digits(row.ttft_p95_s, 4), *_band(row.ttft_p95_band_s)],
                [_digits(row.tpot_mean_s, 4), *_band(row.tpot_mean_band_s)],
                round(row.attainment, 4),
                _digits(row.usd_per_mtok, 4),
                _digits(row.gco2e_per_ktok, 4),
            ]
            for row in view.workloads
        ],
    }
    if reasons:
        fields["reasons"] = [[row.reason, row.break_even] for row in view.adaptation]
    return fields


def _band(band: Factors | None) -> list[float]:
    return [] if band is None else [_digits(end, 3) for end in band]


def _digits(value: float, digits: int) -> float:
    """Rounded to significant digits, but never above the units."""
    if value == 0:
        return 0
    rounded = float(f"{value:.{digits}g}") if abs(value) < 10**digits else float(round(value))
    return int(rounded) if rounded == int(rounded) else rounded


def _figures(content: Content) -> dict[str, Any]:
    """Specifications of the figures; those of a plan are filled anew for each plan."""
    from planner.report import figures, trade

    source, view = content.source, content.views[content.chosen.point]
    found = {
        "cost": figures.waterfall(view.cost_lines, f"USD in {source.hours:g} h"),
        "carbon": figures.waterfall(view.carbon_lines, f"kgCO2e in {source.hours:g} h"),
        "fleet": figures.fleet_bars(view.fleet),
        **{
            name: figures.ranges(view.workloads, name)
            for name in ("qoe", "ttft_p95_s", "tpot_mean_s")
        },
    }
    if source.front is not None:
        front = source.front
        names = {o.point: f"{o.letter} ({o.point})" for o in content.options}
        for across, up in trade.PAIRS:
            picture = figures.trade_off(front, across, up, content.options)
            # The script fills dots and bars from the points, which it has anyway.
            picture.update_traces({"x": None, "y": None}, selector={"name": figures.GAP_BARS})
            picture.update_traces(
                {"x": None, "y": None, "ids": None, "customdata": None, "marker.color": None},
                selector={"name": figures.PLANS},
            )
            found[f"trade-{across}-{up}"] = picture
        for name, objective, unit in (
            ("steps-carbon", 1, "usd_per_tonne"),
            ("steps-qoe", 2, "usd_per_qoe_point"),
        ):
            steps = trade.edge_steps(trade.edge(front, objective))
            if steps:
                found[name] = figures.step_prices(steps, unit, names)
    return {name: _plain(figure.to_plotly_json()) for name, figure in found.items()}


def _plain(value: Any) -> Any:
    """Lists and dictionaries without what plotly leaves empty."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items() if part is not None}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value.tolist() if hasattr(value, "tolist") else value
