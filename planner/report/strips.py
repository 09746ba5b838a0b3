"""The two edges of a front as the page tells them: prices of the steps, strips of adaptations."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from planner.answer.words import variant_said
from planner.front.choose import Step
from planner.front.front import FrontPoint
from planner.plan import Plan
from planner.report import trade
from planner.report.page import Content

SHORT = {"base": "base", "rag": "RAG", "fine-tune": "FT", "rag+fine-tune": "RAG+FT"}
KINDS = {"base": "base", "rag": "rag", "fine-tune": "fine-tune", "rag+fine-tune": "both"}


@dataclass(frozen=True)
class Run:
    """Neighbouring plans that answer a workload alike."""

    text: str
    title: str
    kind: str
    """class of the style sheet"""
    length: int


@dataclass(frozen=True)
class Strip:
    """A workload along an edge."""

    workload: str
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Head:
    """A plan at the head of a strip: its letter where it is an option."""

    text: str
    title: str


@dataclass(frozen=True)
class Edge:
    """One edge of the front with all that is said about it."""

    title: str
    towards: str
    figure: str
    caption: str
    alt: str
    none: str
    ids: tuple[str, ...]
    heads: tuple[Head, ...]
    raw_steps: tuple[Step, ...]
    strips: tuple[Strip, ...]
    flips: tuple[str, ...]


WORDS = {
    1: {
        "title": "Avoiding carbon",
        "towards": "From the cheapest towards the greenest",
        "figure": "steps-carbon",
        "unit": "usd_per_tonne",
        "caption": "USD per tonne of CO2e avoided, step by step from the cheapest plan",
        "none": "One plan is both the cheapest and the greenest within 1 % of the range: there is "
        "no step to price.",
        "priced": "USD per tonne",
    },
    2: {
        "title": "Gaining QoE",
        "towards": "From the cheapest towards the best QoE",
        "figure": "steps-qoe",
        "unit": "usd_per_qoe_point",
        "caption": "USD per 0.01 of QoE gained, step by step from the cheapest plan",
        "none": "One plan is both the cheapest and the best within 1 % of the range: there is no "
        "step to price.",
        "priced": "USD per 0.01 of QoE",
    },
}


def edges_of(content: Content) -> list[Edge]:
    """Towards the least carbon, then towards the most QoE; none without a front."""
    front = content.source.front
    if front is None:
        return []
    return [_edge(content, trade.edge(front, objective), WORDS[objective]) for objective in (1, 2)]


def _edge(content: Content, points: Sequence[FrontPoint], words: Mapping[str, str]) -> Edge:
    steps = trade.edge_steps(points)
    plans = content.source.plans
    prices = [
        f"{step.start} to {step.end} {getattr(step, words['unit']) or 0.0:,.0f}" for step in steps
    ]
    return Edge(
        title=words["title"],
        towards=words["towards"],
        figure=words["figure"],
        caption=words["caption"],
        alt=f"{words['priced']}: {', '.join(prices)}.",
        none=words["none"],
        ids=tuple(point.id for point in points),
        heads=tuple(_head(content, point) for point in points),
        raw_steps=tuple(steps),
        strips=strips(points, plans),
        flips=tuple(_said(flip, content) for flip in trade.flips(points, plans)),
    )


def _head(content: Content, point: FrontPoint) -> Head:
    option = content.option_at(point.id)
    title = (
        f"{point.id}: {point.cost_usd:,.0f} USD, {point.carbon_kgco2e:,.0f} kgCO2e, "
        f"QoE {point.qoe:.4f}"
    )
    return Head(option.letter if option else "·", title)


def strips(points: Sequence[FrontPoint], plans: Mapping[str, Plan]) -> tuple[Strip, ...]:
    """Each workload's runs of like variants along the points."""
    adopted = [
        (point.id, {row.workload: row for row in plans[point.id].adoption}) for point in points
    ]
    found = []
    for workload in adopted[0][1]:
        runs = []
        along = [(name, rows[workload]) for name, rows in adopted]
        for _, group in itertools.groupby(along, key=lambda pair: pair[1].variant):
            members = list(group)
            row = members[0][1]
            first, last = members[0][0], members[-1][0]
            span = first if first == last else f"{first} to {last}"
            runs.append(
                Run(
                    text=f"{SHORT.get(row.adaptation, row.adaptation)} · {row.llm}",
                    title=f"{span}: {variant_said(row)}",
                    kind=KINDS.get(row.adaptation, "base"),
                    length=len(members),
                )
            )
        found.append(Strip(workload, tuple(runs)))
    return tuple(found)


def _said(flip: trade.Flip, content: Content) -> str:
    start, end = (content.source.plans[name].objectives for name in (flip.start, flip.end))
    return (
        f"{flip.workload}: {flip.before} becomes {flip.after} between {flip.start} and {flip.end} "
        f"({start.cost_usd:,.0f} to {end.cost_usd:,.0f} USD, {start.carbon_kgco2e:,.0f} to "
        f"{end.carbon_kgco2e:,.0f} kgCO2e, QoE {start.qoe:.4f} to {end.qoe:.4f})"
    )
