"""Geometry of the few pictures: positions in the picture's own units, drawn by the templates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from planner.answer.words import number
from planner.front.front import Front
from planner.history.records import Regret, RunView

WIDTH, HEIGHT = 720.0, 380.0
LEFT, RIGHT, TOP, BOTTOM = 74.0, 16.0, 12.0, 46.0
QOE_CLASSES = 5
TIMELINE_HEIGHT = 170.0


@dataclass(frozen=True)
class Tick:
    """A mark on an axis, and its label."""

    at: float
    label: str


@dataclass(frozen=True)
class Dot:
    """A point of a picture; `shade` is its class, 1 (least) to `QOE_CLASSES`."""

    x: float
    y: float
    name: str
    title: str
    shade: int
    href: str


@dataclass(frozen=True)
class Scatter:
    """Cost across, carbon upwards, QoE as the shade."""

    dots: tuple[Dot, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    shades: tuple[str, ...]
    """QoE of each class, least first"""
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    bottom: float = HEIGHT - BOTTOM


@dataclass(frozen=True)
class Timeline:
    """Cost of the plans of an instance over its runs."""

    dots: tuple[Dot, ...]
    line: str
    """points of an SVG polyline"""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: float = WIDTH
    height: float = TIMELINE_HEIGHT
    left: float = LEFT
    bottom: float = TIMELINE_HEIGHT - BOTTOM


@dataclass(frozen=True)
class IntervalBar:
    """A proved interval of a regret between 0 and `high`; shares of the width, in per cent."""

    certain: float
    """up to the lower end"""
    possible: float
    """from there to the upper end"""


@dataclass(frozen=True)
class Scale:
    """Values to positions, straight."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The position, to a tenth."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> tuple[Tick, ...]:
        """Round values inside the scale."""
        return tuple(Tick(self(v), number(v)) for v in round_values(self.low, self.high))


def scale(values: Sequence[float], start: float, end: float) -> Scale:
    """A scale a little wider than the values."""
    low, high = min(values), max(values)
    pad = 0.05 * (high - low) or max(abs(high) * 0.05, 1e-9)
    floor = 0.0 if low >= 0.0 else -math.inf
    return Scale(max(low - pad, floor), high + pad, start, end)


def round_values(low: float, high: float, most: int = 6) -> list[float]:
    """At most `most` values 1, 2 or 5 times a power of ten apart."""
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10, 20) if power * m >= raw)
    first = math.ceil(low / step)
    return [k * step for k in range(first, math.floor(high / step) + 1)]


def scatter_of(front: Front, run_id: str) -> Scatter:
    """The front's points; cheaper is left, greener is low, darker is better."""
    points = front.points
    x = scale([p.cost_usd for p in points], LEFT, WIDTH - RIGHT)
    y = scale([p.carbon_kgco2e for p in points], HEIGHT - BOTTOM, TOP)
    least, best = min(p.qoe for p in points), max(p.qoe for p in points)
    width = (best - least) / QOE_CLASSES

    def shade(qoe: float) -> int:
        return QOE_CLASSES if width == 0 else min(int((qoe - least) / width) + 1, QOE_CLASSES)

    dots = tuple(
        Dot(
            x(p.cost_usd),
            y(p.carbon_kgco2e),
            p.id,
            f"{p.id}: {number(p.cost_usd)} USD, {number(p.carbon_kgco2e)} kgCO2e, QoE {p.qoe:.4f}",
            shade(p.qoe),
            f"/runs/{run_id}/points/{p.id}",
        )
        for p in points
    )
    shades = tuple(
        f"{least + i * width:.3f} to {least + (i + 1) * width:.3f}" for i in range(QOE_CLASSES)
    )
    return Scatter(dots, x.ticks(), y.ticks(), shades)


def timeline_of(views: Sequence[RunView]) -> Timeline | None:
    """Cost of the plans of runs, oldest first; None where fewer than two hold a plan."""
    runs = [(v, v.plan) for v in views if v.plan is not None]
    if len(runs) < 2:
        return None
    times = [v.run.finished_at.timestamp() for v, _ in runs]
    x = scale(times, LEFT + 8, WIDTH - RIGHT - 8)
    y = scale([p.cost_usd for _, p in runs], TIMELINE_HEIGHT - BOTTOM, TOP)
    dots = tuple(
        Dot(
            x(at),
            y(plan.cost_usd),
            view.run.id,
            f"{view.run.finished_at:%Y-%m-%d %H:%M} UTC: {number(plan.cost_usd)} USD",
            QOE_CLASSES if view.state == "approved" else 1,
            f"/runs/{view.run.id}",
        )
        for at, (view, plan) in zip(times, runs, strict=True)
    )
    ends = (runs[0][0].run.finished_at, runs[-1][0].run.finished_at)
    form = "%d %b %Y" if ends[0].date() != ends[1].date() else "%d %b %H:%M"
    x_ticks = (Tick(x(times[0]), f"{ends[0]:{form}}"), Tick(x(times[-1]), f"{ends[1]:{form}}"))
    line = " ".join(f"{dot.x},{dot.y}" for dot in dots)
    values = round_values(y.low, y.high, 3)
    return Timeline(dots, line, x_ticks, tuple(Tick(y(v), number(v)) for v in values))


def interval_of(regret: Regret | None) -> IntervalBar | None:
    """The bar of a regret; None where there is nothing to show."""
    if regret is None or regret.high <= 0:
        return None
    certain = 100.0 * regret.low / regret.high
    return IntervalBar(round(certain, 1), round(100.0 - certain, 1))
