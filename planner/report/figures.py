"""Plotly figures, plain and restylable: what the page draws, and what a notebook gets.

Each function returns a `plotly.graph_objects.Figure` in the colours of `theme` on light paper. The
page takes the same figures as specifications and repaints them for the dark scheme.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from planner.answer.words import number
from planner.report import trade
from planner.report.options import CURRENT, Option
from planner.report.plan_view import MARKETS, Decisions, FleetRow, WorkloadRow
from planner.report.rounding import balanced_lines
from planner.report.theme import TINTS, light

if TYPE_CHECKING:
    from planner.front.choose import Step
    from planner.front.front import Front

TITLES = ("Cost, USD", "Carbon, kgCO2e", "QoE")
FORMATS = (",.0f", ",.0f", ".4f")
FONT = (
    "-apple-system, BlinkMacSystemFont, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', "
    "'Liberation Sans', Arial, sans-serif"
)
PLANS, GAP_BARS = "plans", "gap bars"
TOUCHING = 0.022
"""Of an axis: rings that are closer cover one another."""
BAR_PX, BAR_MARGIN_PX = 24, 76
MARKET_TINTS = dict(zip(MARKETS, reversed(TINTS), strict=True))
LEGEND = {
    "orientation": "h",
    "x": 0,
    "xanchor": "left",
    "y": 1,
    "yanchor": "bottom",
    "traceorder": "normal",
}


def _axis(title: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "title": {"text": title, "font": {"size": 12}} if title else None,
        "gridcolor": light("grid"),
        "linecolor": light("rule"),
        "zerolinecolor": light("rule"),
        "tickfont": {"size": 11.5},
        "automargin": True,
        **more,
    }


def _figure(traces: Sequence[Any], **layout: Any) -> go.Figure:
    base: dict[str, Any] = {
        "template": go.layout.Template(),
        "font": {"family": FONT, "size": 12, "color": light("ink")},
        "paper_bgcolor": light("paper"),
        "plot_bgcolor": light("paper"),
        "margin": {"l": 8, "r": 16, "t": 12, "b": 8},
        "hoverlabel": {
            "bgcolor": light("paper"),
            "bordercolor": light("rule"),
            "font": {"family": FONT, "size": 12, "color": light("ink")},
        },
        "showlegend": False,
        "separators": ".,",
        "legend": LEGEND,
    }
    return go.Figure(data=list(traces), layout=base | layout)


# ------------------------------------------------------------------ a front


def trade_off(
    front: Front,
    across: int = 0,
    up: int = 1,
    options: Sequence[Option] = (),
    *,
    gap_bars: bool = True,
) -> go.Figure:
    """Two objectives (0 cost, 1 carbon, 2 QoE) as a scatter, the third as colour.

    The shaded part is where no plan can be (proved), the hatched one where better plans could
    exist. A gap bar reaches from a plan to the least cost that any plan with its carbon and QoE
    can have (proved).
    """
    third = ({0, 1, 2} - {across, up}).pop()
    enclosure = trade.enclosure(front, across, up)
    columns = [[getattr(p, name) for p in front.points] for name in trade.OBJECTIVES]
    x, y, colour = columns[across], columns[up], columns[third]
    traces = [*_shading(enclosure), _gap_bars(front, across, up, visible=gap_bars)]
    traces.append(
        go.Scatter(
            name=PLANS,
            x=x,
            y=y,
            mode="markers",
            ids=[point.id for point in front.points],
            customdata=[[p.id, *values] for p, *values in zip(front.points, *columns, strict=True)],
            marker={
                "size": 10,
                "color": colour,
                "colorscale": _scale(reverse=third == 2),
                "line": {"color": light("ink"), "width": 0.8},
                "colorbar": {
                    "title": {"text": TITLES[third], "side": "right", "font": {"size": 12}},
                    "thickness": 10,
                    "outlinewidth": 0,
                    "tickfont": {"size": 11},
                    "tickformat": FORMATS[third],
                },
            },
            hovertemplate=(
                "<b>%{customdata[0]}</b><br>%{customdata[1]:,.0f} USD<br>"
                "%{customdata[2]:,.0f} kgCO2e<br>QoE %{customdata[3]:.4f}<extra></extra>"
            ),
        )
    )
    traces.append(_labels(options, enclosure.across, enclosure.up))
    return _figure(
        traces,
        xaxis=_span(enclosure.across),
        yaxis=_span(enclosure.up),
        height=460,
        hovermode="closest",
        dragmode="pan",
        margin={"l": 8, "r": 8, "t": 12, "b": 8},
    )


def _scale(*, reverse: bool) -> list[list[Any]]:
    """Deep is worse for cost and carbon and, reversed, deep is less QoE: deep is always worse."""
    names = TINTS[::-1] if reverse else TINTS
    return [[at / (len(names) - 1), light(name)] for at, name in enumerate(names)]


def _span(span: trade.Axis) -> dict[str, Any]:
    ends = [span.low, span.high]
    log = {"type": "log", "dtick": "D2", "minor": {"showgrid": False}} if span.log else {}
    return _axis(
        TITLES[span.objective] + (" (log scale)" if span.log else ""),
        range=[math.log10(end) for end in ends] if span.log else ends,
        tickformat="~s" if span.objective != 2 else ".2f",
        **log,
    )


def _shading(enclosure: trade.Enclosure) -> list[Any]:
    """The part without plans, and the part of which nothing is known."""
    bound, held = list(enclosure.bound), list(enclosure.held)
    rim = _worst_corner(enclosure)
    best_x = enclosure.across.high if enclosure.across.objective == 2 else enclosure.across.low
    best_y = enclosure.up.high if enclosure.up.objective == 2 else enclosure.up.low
    empty = [*bound, (rim[0], best_y), (best_x, best_y)]
    shared: dict[str, Any] = {"mode": "lines", "fill": "toself", "hoverinfo": "skip"}
    return [
        go.Scatter(
            name="no plan is here (proved)",
            x=[p[0] for p in empty],
            y=[p[1] for p in empty],
            line={"width": 0},
            fillcolor=light("grid"),
            **shared,
        ),
        go.Scatter(
            name="not proved: better plans could be here",
            x=[p[0] for p in [*bound, *reversed(held)]],
            y=[p[1] for p in [*bound, *reversed(held)]],
            line={"width": 0},
            fillpattern={
                "shape": "/",
                "fgcolor": light("tint-2"),
                "bgcolor": light("paper"),
                "size": 7,
                "solidity": 0.16,
            },
            **shared,
        ),
        go.Scatter(
            name="proved bound",
            x=[p[0] for p in bound],
            y=[p[1] for p in bound],
            mode="lines",
            line={"color": light("muted"), "width": 1.2},
            hoverinfo="skip",
        ),
    ]


def _worst_corner(enclosure: trade.Enclosure) -> tuple[float, float]:
    across, up = enclosure.across, enclosure.up
    return (
        across.low if across.objective == 2 else across.high,
        up.low if up.objective == 2 else up.high,
    )


def _gap_bars(front: Front, across: int, up: int, *, visible: bool) -> go.Scatter:
    """One trace of lines, from each plan to its cost bound; empty without a cost axis."""
    x: list[float | None] = []
    y: list[float | None] = []
    for point in front.points:
        bound = point.cost_bound_usd
        if bound is None or 0 not in (across, up):
            continue
        for values, objective in ((x, across), (y, up)):
            at = float(getattr(point, trade.OBJECTIVES[objective]))
            values += [at, bound if objective == 0 else at, None]
    return go.Scatter(
        name=GAP_BARS,
        x=x,
        y=y,
        mode="lines",
        line={"color": light("tint-3"), "width": 1.2},
        opacity=0.75,
        hoverinfo="skip",
        visible=visible,
    )


def _labels(options: Sequence[Option], across: trade.Axis, up: trade.Axis) -> go.Scatter:
    """A ring around every option; where rings cover one another, one label for all of them."""
    places = [
        tuple(
            float(getattr(option.objectives, trade.OBJECTIVES[span.objective]))
            for span in (across, up)
        )
        for option in options
    ]
    texts = [option.letter for option in options]
    for at, place in enumerate(places):
        for before in range(at):
            near = zip(place, places[before], (across, up), strict=True)
            if texts[before] and all(_distance(a, b, span) < TOUCHING for a, b, span in near):
                texts[before] += f" {texts[at]}"
                texts[at] = ""
                break
    return go.Scatter(
        name="options",
        x=[place[0] for place in places],
        y=[place[1] for place in places],
        text=[f"<b>{text}</b>" if text else "" for text in texts],
        mode="markers+text",
        textposition="top center",
        textfont={"size": 13, "color": light("ink")},
        marker={
            "size": 16,
            "symbol": ["diamond-open" if o.point == CURRENT else "circle-open" for o in options],
            "color": light("ink"),
            "line": {"width": 1.6},
        },
        hoverinfo="skip",
    )


def _distance(one: float, other: float, span: trade.Axis) -> float:
    """Between two places of an axis, as a share of its length."""
    ends = (span.low, span.high, one, other)
    low, high, a, b = (math.log(max(v, span.low)) for v in ends) if span.log else ends
    return abs(a - b) / (high - low)


def parallel_coordinates(front: Front, decisions: Mapping[str, Decisions]) -> go.Figure:
    """Objectives and main decisions of every plan of a front, by id; brush an axis by dragging."""
    ids = [point.id for point in front.points]
    columns = {
        title: [getattr(point, name) for point in front.points]
        for title, name in zip(TITLES, trade.OBJECTIVES, strict=True)
    }
    for label, name in DECISION_AXES.items():
        columns[label] = [getattr(decisions[point], name) for point in ids]
    lines = go.Parcoords(
        line={"color": columns[TITLES[0]], "colorscale": _scale(reverse=False)},
        dimensions=[
            {"label": label, "values": values}
            for label, values in columns.items()
            if len(set(values)) > 1
        ],
    )
    return _figure([lines], height=420, margin={"l": 60, "r": 40, "t": 60, "b": 20})


DECISION_AXES = {
    "Accelerators, mean": "accelerators_mean",
    "Regions": "regions",
    "Llms": "llms",
    "Workloads with RAG": "workloads_rag",
    "Workloads fine-tuned": "workloads_fine_tuned",
    "Owned or committed": "committed_share",
    "Spot": "spot_share",
    "Hosted llms": "hosted_share",
}


def step_prices(
    steps: Sequence[Step], unit: str, names: Mapping[str, str] | None = None
) -> go.Figure:
    """What each step along an edge costs; `unit` is ``usd_per_tonne`` or ``usd_per_qoe_point``.

    `names`: what to call a point instead of its id.
    """
    named = names or {}
    prices = [getattr(step, unit) or 0.0 for step in steps]
    carbon = unit == "usd_per_tonne"
    bar = go.Bar(
        x=prices,
        y=[
            f"{named.get(step.start, step.start)} to {named.get(step.end, step.end)}"
            for step in steps
        ],
        text=[number(price) for price in prices],
        textposition="outside",
        cliponaxis=False,
        orientation="h",
        marker={"color": light("tint-4")},
        hovertemplate="%{y}: %{x:,.0f} USD<extra></extra>",
    )
    title = "USD per tonne of CO2e avoided" if carbon else "USD per 0.01 of QoE gained"
    return _figure(
        [bar],
        xaxis=_axis(title, tickformat="~s", range=[0.0, max(prices, default=1.0) * 1.25]),
        yaxis=_axis(autorange="reversed", showgrid=False),
        height=BAR_PX * max(len(steps), 1) + BAR_MARGIN_PX,
        bargap=0.35,
    )


# ------------------------------------------------------------------ a plan


def waterfall(lines: Mapping[str, float], unit: str) -> go.Figure:
    """Lines of a total, largest first, then the total; rounded so that they add up."""
    kept, total, decimals = balanced_lines(lines)
    values = [*kept.values(), total]
    trace = go.Waterfall(
        orientation="h",
        measure=["relative"] * len(kept) + ["total"],
        y=[*kept, "total"],
        x=values,
        text=[f"{value:,.{decimals}f}" for value in values],
        textposition="outside",
        cliponaxis=False,
        connector={"line": {"color": light("rule"), "width": 1}},
        increasing={"marker": {"color": light("tint-3")}},
        decreasing={"marker": {"color": light("tint-2")}},
        totals={"marker": {"color": light("tint-5")}},
        hovertemplate=f"%{{y}}: %{{text}} {unit}<extra></extra>",
    )
    return _figure(
        [trace],
        xaxis=_axis(unit, tickformat="~s", range=[min(0.0, total) * 1.3, max(total, 0.0) * 1.3]),
        yaxis=_axis(autorange="reversed", showgrid=False),
        height=BAR_PX * len(values) + BAR_MARGIN_PX,
        bargap=0.35,
    )


def fleet_bars(
    rows: Sequence[FleetRow], title: str = "Accelerators held, mean over the period"
) -> go.Figure:
    """Mean accelerators by region and accelerator, split by market."""
    places = list(dict.fromkeys((row.region, row.accelerator) for row in rows))
    held: dict[tuple[str, tuple[str, str]], float] = {}
    for row in rows:
        key = (row.market, (row.region, row.accelerator))
        held[key] = held.get(key, 0.0) + row.mean_accelerators
    names = [f"{region} · {accelerator}" for region, accelerator in places]
    bars = [
        go.Bar(
            name=market,
            y=names,
            x=[held.get((market, place), 0.0) for place in places],
            orientation="h",
            marker={
                "color": light(MARKET_TINTS[market]),
                "line": {"color": light("muted"), "width": 0.5},
            },
            hovertemplate="%{y}, " + market + ": %{x:,.1f}<extra></extra>",
        )
        for market in MARKETS
    ]
    return _figure(
        bars,
        barmode="stack",
        showlegend=True,
        xaxis=_axis(title),
        yaxis=_axis(autorange="reversed", showgrid=False),
        height=BAR_PX * max(len(places), 1) + BAR_MARGIN_PX + 30,
        bargap=0.3,
        margin={"l": 8, "r": 16, "t": 36, "b": 8},
    )


def ranges(rows: Sequence[WorkloadRow], quantity: str) -> go.Figure:
    """A figure of every workload with its 80 % band and its target.

    `quantity` is ``qoe``, ``ttft_p95_s`` or ``tpot_mean_s``.
    """
    titles = {
        "qoe": "QoE",
        "ttft_p95_s": "TTFT, 95th percentile, s",
        "tpot_mean_s": "TPOT, mean, s",
    }
    bands = {
        "qoe": "qoe_band",
        "ttft_p95_s": "ttft_p95_band_s",
        "tpot_mean_s": "tpot_mean_band_s",
    }
    targets = {"ttft_p95_s": "ttft_target_s", "tpot_mean_s": "tpot_target_s"}
    names = [row.workload for row in rows]
    values = [getattr(row, quantity) for row in rows]
    band = [
        getattr(row, bands[quantity]) or (value, value)
        for row, value in zip(rows, values, strict=True)
    ]
    traces = [
        go.Scatter(
            name="figure and 80 % band",
            x=values,
            y=names,
            mode="markers",
            marker={"size": 9, "color": light("tint-5")},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [high - v for (_, high), v in zip(band, values, strict=True)],
                "arrayminus": [v - low for (low, _), v in zip(band, values, strict=True)],
                "color": light("tint-3"),
                "thickness": 2.5,
                "width": 0,
            },
            hovertemplate="%{y}: %{x:.3g}<extra></extra>",
        )
    ]
    if quantity in targets:
        traces.append(
            go.Scatter(
                name="target",
                x=[getattr(row, targets[quantity]) for row in rows],
                y=names,
                mode="markers",
                marker={
                    "symbol": "line-ns-open",
                    "size": 13,
                    "color": light("ink"),
                    "line": {"width": 1.6},
                },
                hovertemplate="%{y}, target: %{x:.3g}<extra></extra>",
            )
        )
    return _figure(
        traces,
        xaxis=_axis(titles[quantity], rangemode="normal" if quantity == "qoe" else "tozero"),
        yaxis=_axis(autorange="reversed"),
        height=BAR_PX * max(len(rows), 1) + BAR_MARGIN_PX,
    )
