"""The picture of a sweep: cost, carbon and QoE over the values, and where the choices change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from planner.report.panels import INK, lay_out, page

if TYPE_CHECKING:
    from planner.explain.sweep import Sweep, SweepPoint

ACCENT, MUTED, BAND = "#0b4f9c", "#565d68", "#dce9f7"
PANELS = (
    ("cost", "Cost, USD", ",.0f"),
    ("carbon", "Carbon, kgCO2e", ",.0f"),
    ("qoe", "QoE", ".4f"),
)
HEIGHT_PX, PANEL_GAP = 720, 0.06


def sweep_figure(found: Sweep) -> go.Figure:
    """Three panels over the swept values; the band reaches down to what is proved possible."""
    points = [point for point in found.points if point.objectives is not None]
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=PANEL_GAP)
    changed = [p for p, before in zip(points[1:], points, strict=False)
               if p.adaptation != before.adaptation]  # fmt: skip
    for row, (name, title, shape) in enumerate(PANELS, start=1):
        minimised = found.minimised in (name, f"{name}-loss")
        if minimised and points:
            for trace in _band(found, points, name):
                figure.add_trace(trace, row=row, col=1)
        figure.add_trace(_line(points, name, title, shape), row=row, col=1)
        figure.add_trace(_rings(changed, name, shows=row == 1), row=row, col=1)
        figure.update_yaxes(
            title={"text": title, "font": {"size": 13}}, tickformat=shape, row=row, col=1,
        )  # fmt: skip
    lay_out(figure, f"{found.instance}: the plan at {_axis(found)}", HEIGHT_PX)
    figure.update_xaxes(title={"text": _axis(found), "font": {"size": 13}}, row=3, col=1)
    figure.update_layout(
        margin={"l": 90, "r": 30, "t": 80, "b": 60},
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
        hovermode="closest",
    )
    return figure


def sweep_page(found: Sweep) -> str:
    """One self-contained HTML page with the figure; no network."""
    return page(sweep_figure(found))


def _axis(found: Sweep) -> str:
    name = found.change.rstrip("=*+-")
    unit = {"*=": "times today's", "+=": "added", "-=": "taken off"}.get(found.change[-2:], "")
    return f"{name}, {unit}" if unit else name


def _value(point: SweepPoint, name: str) -> float:
    o = point.objectives
    assert o is not None
    return {"cost": o.cost_usd, "carbon": o.carbon_kgco2e, "qoe": o.qoe}[name]


def _line(points: list[SweepPoint], name: str, title: str, shape: str) -> Any:
    return go.Scatter(
        x=[p.value for p in points],
        y=[_value(p, name) for p in points],
        mode="lines+markers",
        line={"color": ACCENT, "width": 2},
        marker={"size": 6},
        showlegend=False,
        text=[p.against_previous or "as before" for p in points],
        hovertemplate=f"%{{x:g}}: %{{y:{shape}}}<br>%{{text}}<extra>{title}</extra>",
    )


def _band(found: Sweep, points: list[SweepPoint], name: str) -> tuple[Any, Any]:
    """From the plans found to the least that is proved possible."""
    bound = [p.bound if p.bound is not None else _value(p, name) for p in points]
    if found.minimised == "qoe-loss":
        bound = [1.0 - value for value in bound]
    x = [p.value for p in points]
    invisible = {"width": 0}
    return (
        go.Scatter(x=x, y=bound, mode="lines", line=invisible, showlegend=False, hoverinfo="skip"),
        go.Scatter(
            x=x,
            y=[_value(p, name) for p in points],
            mode="lines",
            line=invisible,
            fill="tonexty",
            fillcolor=BAND,
            name="not ruled out by the proof",
            hoverinfo="skip",
        ),
    )


def _rings(points: list[SweepPoint], name: str, *, shows: bool) -> Any:
    return go.Scatter(
        x=[p.value for p in points],
        y=[_value(p, name) for p in points],
        mode="markers",
        marker={"size": 14, "symbol": "circle-open", "color": INK, "line": {"width": 2}},
        name="another adaptation or llm than before",
        showlegend=shows and bool(points),
        hoverinfo="skip",
    )
