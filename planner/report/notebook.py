"""Plans, fronts and reports in a notebook: a small card each, tables and figures on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planner.answer.commitments import liability_said
from planner.answer.words import amount, number, percent, variant_said
from planner.errors import PlannerError

if TYPE_CHECKING:
    from pandas import DataFrame

    from planner.front.front import Front
    from planner.plan import Plan
    from planner.report.page import Content

PLAN_TABLES = ("fleet", "adoption", "workloads", "cost_lines", "carbon_lines", "replicas",
               "routing", "training")  # fmt: skip
PLAN_FIGURES = ("cost", "carbon", "fleet", "qoe", "ttft_p95_s", "tpot_mean_s")
FRONT_AXES = ("cost", "carbon", "qoe")


def plan_card(plan: Plan) -> str:
    """The answer of a plan as HTML."""
    o, c = plan.objectives, plan.certificate
    rows = [(row.workload, variant_said(row)) for row in plan.adoption]
    signed = liability_said(plan.commitments, plan.period_hours)
    return _card(
        title=f"Plan of {plan.instance.name}",
        lines=[
            f"{amount(o.cost_usd, 'USD')}, {amount(o.carbon_kgco2e, 'kgCO2e')} and QoE "
            f"{o.qoe:.4f} in {plan.period_hours:g} h; {c.minimised} proved within "
            f"{percent(c.gap_relative)} of optimal.",
            *([signed] if signed else []),
        ],
        heads=("workload", "answered by"),
        rows=rows,
    )


def front_card(front: Front) -> str:
    """The ends of a front and its proof as HTML."""
    certificate = front.certificate
    proof = "nothing is proved of other plans"
    if certificate.epsilon is not None:
        proof = (
            f"no plan at all beats them by more than {percent(certificate.epsilon)} of each range"
        )
    rows = [
        (p.id, number(p.cost_usd), number(p.carbon_kgco2e), f"{p.qoe:.4f}") for p in front.points
    ]
    return _card(
        title=f"Front of {front.instance.name}, {certificate.status}",
        lines=[f"{len(front.points)} plans; {proof}."],
        heads=("plan", "cost, USD", "carbon, kgCO2e", "QoE"),
        rows=sorted(rows, key=lambda row: row[0]),
    )


def report_card(content: Content) -> str:
    """The options of a report as HTML."""
    from planner.report import sentences
    from planner.report.page import shown

    columns = content.columns[:3]
    rows = [
        (
            f"{o.letter}, {o.name}",
            *(shown(getattr(o.objectives, column.key), column) for column in columns),
        )
        for o in content.options
    ]
    return _card(
        title=sentences.decision(content.source, content.options),
        lines=[
            sentences.lead(content.source, content.options),
            sentences.proof(content.source).sentence,
        ],
        heads=("option", "cost, USD", "carbon, kgCO2e", "QoE"),
        rows=rows,
    )


def _card(**context: Any) -> str:
    from planner.report.render import environment

    return environment().get_template("card.html.j2").render(context)


def plan_frame(plan: Plan, table: str) -> DataFrame:
    """A list of a plan as a DataFrame; lines of cost and carbon with their units."""
    import dataclasses

    import pandas as pd

    if table not in PLAN_TABLES:
        raise PlannerError(f"no table {table!r} of a plan: one of {', '.join(PLAN_TABLES)}")
    if table.endswith("_lines"):
        unit = {"cost_lines": "cost_usd", "carbon_lines": "carbon_kgco2e"}[table]
        return pd.DataFrame(list(getattr(plan, table).items()), columns=["line", unit])
    return pd.DataFrame([dataclasses.asdict(row) for row in getattr(plan, table)])


def plan_figure(plan: Plan, what: str) -> Any:
    """A plotly figure of a plan, without bands and targets, which need the instance."""
    from planner.front.choose import fleet_of
    from planner.report import figures
    from planner.report.plan_view import FleetRow, WorkloadRow

    hours = f"{plan.period_hours:g} h"
    if what == "cost":
        return figures.waterfall(plan.cost_lines, f"USD in {hours}")
    if what == "carbon":
        return figures.waterfall(plan.carbon_lines, f"kgCO2e in {hours}")
    if what == "fleet":
        most = [
            FleetRow(region, accelerator, "", market, held, float(held))
            for (region, accelerator, market), held in fleet_of(plan).items()
        ]
        return figures.fleet_bars(most, "Accelerators held, most at once")
    if what not in PLAN_FIGURES:
        raise PlannerError(f"no figure {what!r} of a plan: one of {', '.join(PLAN_FIGURES)}")
    rows = [
        WorkloadRow(
            workload=w.workload, qoe=w.qoe, qoe_band=None, ttft_p95_s=w.ttft_p95_s,
            ttft_p95_band_s=None, ttft_target_s=None, tpot_mean_s=w.tpot_mean_s,
            tpot_mean_band_s=None, tpot_target_s=None, attainment=w.attainment,
            attainment_min=None, usd_per_mtok=w.usd_per_mtok, gco2e_per_ktok=w.gco2e_per_ktok,
        )
        for w in plan.workloads
    ]  # fmt: skip
    return figures.ranges(rows, what)


def front_frame(front: Front) -> DataFrame:
    """The points of a front as a DataFrame, one row per plan."""
    import dataclasses

    import pandas as pd

    return pd.DataFrame([dataclasses.asdict(point) for point in front.points])


def front_figure(front: Front, across: str, up: str) -> Any:
    """Two objectives of a front as a plotly figure, the third as colour."""
    from planner.report import figures

    for name in (across, up):
        if name not in FRONT_AXES:
            raise PlannerError(f"no objective {name!r}: one of {', '.join(FRONT_AXES)}")
    if across == up:
        raise PlannerError(f"{across!r} twice: name two objectives")
    return figures.trade_off(front, FRONT_AXES.index(across), FRONT_AXES.index(up))
