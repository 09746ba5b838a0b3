"""The picture of a backtest: what each policy came to, above the bound for all, and its moves."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from planner.report.panels import lay_out, page

if TYPE_CHECKING:
    from planner.backtest.results import Backtest, Row

COLOURS = {"never": "#8a8f98", "always": "#c2571a", "threshold": "#7a5fb5", "ours": "#0b4f9c"}
PANELS = ("Cumulative cost above the bound, USD", "Cumulative carbon, kgCO2e", "QoE")
HEIGHT_PX, PANEL_GAP = 820, 0.07


def backtest_figure(found: Backtest) -> go.Figure:
    """Three panels over the dates; rings mark moves."""
    figure = make_subplots(
        rows=3, cols=1, shared_xaxes=True, vertical_spacing=PANEL_GAP, subplot_titles=PANELS
    )
    bounds = [bound.cost_usd for bound in found.bounds]
    for policy in found.policies:
        rows = found.of(policy)
        above = [row.cost_usd - bound for row, bound in zip(rows, bounds, strict=True)]
        series = (
            list(accumulate(above)),
            list(accumulate(row.carbon_kgco2e for row in rows)),
            [row.qoe for row in rows],
        )
        for at, values in enumerate(series, start=1):
            figure.add_trace(_line(policy, rows, values, shows=at == 1), row=at, col=1)
        figure.add_trace(_moves(policy, rows, series[0]), row=1, col=1)
    lay_out(figure, f"{found.instance}: policies of re-planning", HEIGHT_PX)
    figure.update_layout(
        margin={"l": 90, "r": 30, "t": 110, "b": 50},
        legend={"orientation": "h", "x": 0, "y": 1.06, "yanchor": "bottom"},
    )
    return figure


def backtest_page(found: Backtest) -> str:
    """One self-contained HTML page with the figure; no network."""
    return page(backtest_figure(found))


def _line(policy: str, rows: tuple[Row, ...], values: list[float], *, shows: bool) -> go.Scatter:
    return go.Scatter(
        x=[row.date for row in rows],
        y=values,
        name=policy,
        legendgroup=policy,
        showlegend=shows,
        mode="lines",
        line={"color": COLOURS[policy], "width": 2},
    )


def _moves(policy: str, rows: tuple[Row, ...], values: list[float]) -> go.Scatter:
    moved = [(row, value) for row, value in zip(rows, values, strict=True) if row.moved]
    return go.Scatter(
        x=[row.date for row, _ in moved],
        y=[value for _, value in moved],
        text=[f"{row.changed_workloads} workloads, {row.moving_usd:,.0f} USD" for row, _ in moved],
        name=f"{policy}: moves",
        legendgroup=policy,
        showlegend=False,
        mode="markers",
        marker={"symbol": "circle-open", "size": 10, "color": COLOURS[policy]},
    )
