"""A small still picture of the options: one SVG that needs no script and prints as it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

from planner.plan import Objectives
from planner.report.options import CURRENT, Option
from planner.report.trade import LOG_RATIO

WIDTH, HEIGHT = 420, 320
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 18, 46
DOT_RADIUS, MARK_RADIUS = 3.2, 10.5
ROOM = 0.09
"""Of the range, on each side."""
TICKS = 4
TOUCHING = 2.1


@dataclass(frozen=True)
class Scale:
    """From a value to a place between `start` and `end`, in px."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    @classmethod
    def of(cls, values: list[float], start: float, end: float) -> Scale:
        """Spans the values with room around; log where they differ by orders of magnitude."""
        low, high = min(values), max(values)
        if low > 0 and high / low > LOG_RATIO:
            room = (high / low) ** ROOM
            return cls(low / room, high * room, start, end, True)
        extent = (high - low) or abs(high) or 1.0
        return cls(max(0.0, low - ROOM * extent), high + ROOM * extent, start, end, False)

    def __call__(self, value: float) -> float:
        """The place of a value."""
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(max(value, self.low))
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values inside the span."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = (1, 2, 5) if self.high / self.low < 300 else (1,)
            ticks = [step * 10.0**power for power in powers for step in steps]
        else:
            rough = (self.high - self.low) / TICKS
            power = 10.0 ** math.floor(math.log10(rough))
            step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= rough)
            first = math.ceil(self.low / step)
            ticks = [step * at for at in range(first, math.floor(self.high / step) + 1)]
        return [tick for tick in ticks if self.low <= tick <= self.high]


def options_picture(options: tuple[Option, ...], points: list[Objectives], title: str) -> str:
    """Cost across, carbon up; every plan a dot, the options marked by their letters.

    Text and colours follow the style sheet around it (classes ``pic-*``).
    """
    shown = [option.objectives for option in options]
    x = Scale.of([o.cost_usd for o in [*points, *shown]], LEFT, WIDTH - RIGHT)
    y = Scale.of([o.carbon_kgco2e for o in [*points, *shown]], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg class="picture" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">',
        *_axes(x, y),
    ]
    for o in points:
        parts.append(
            f'<circle class="pic-dot" cx="{x(o.cost_usd):.1f}" cy="{y(o.carbon_kgco2e):.1f}" '
            f'r="{DOT_RADIUS}"/>'
        )
    for option, (px, py) in zip(options, _apart(shown, x, y), strict=True):
        o = option.objectives
        kind = "pic-mark pic-current" if option.point == CURRENT else "pic-mark"
        parts += [
            f'<line class="pic-lead" x1="{x(o.cost_usd):.1f}" y1="{y(o.carbon_kgco2e):.1f}" '
            f'x2="{px:.1f}" y2="{py:.1f}"/>',
            f'<circle class="{kind}" cx="{px:.1f}" cy="{py:.1f}" r="{MARK_RADIUS}"/>',
            f'<text class="pic-letter" x="{px:.1f}" y="{py + 4.2:.1f}">{option.letter}</text>',
        ]
    return "\n".join([*parts, "</svg>"])


def _apart(values: list[Objectives], x: Scale, y: Scale) -> list[tuple[float, float]]:
    """Places of the marks, moved along where they would cover an earlier one."""
    placed: list[tuple[float, float]] = []
    for o in values:
        px, py = x(o.cost_usd), y(o.carbon_kgco2e)
        while any(math.hypot(px - qx, py - qy) < TOUCHING * MARK_RADIUS for qx, qy in placed):
            px += MARK_RADIUS / 2
            if px > WIDTH - RIGHT - MARK_RADIUS:
                px, py = x(o.cost_usd), py - TOUCHING * MARK_RADIUS
        placed.append((px, py))
    return placed


def _axes(x: Scale, y: Scale) -> list[str]:
    parts = []
    bottom = HEIGHT - BOTTOM
    for tick in x.ticks():
        parts += [
            f'<line class="pic-grid" x1="{x(tick):.1f}" y1="{TOP}" x2="{x(tick):.1f}" '
            f'y2="{bottom}"/>',
            f'<text class="pic-tick" text-anchor="middle" x="{x(tick):.1f}" '
            f'y="{bottom + 16}">{short(tick)}</text>',
        ]
    for tick in y.ticks():
        parts += [
            f'<line class="pic-grid" x1="{LEFT}" y1="{y(tick):.1f}" x2="{WIDTH - RIGHT}" '
            f'y2="{y(tick):.1f}"/>',
            f'<text class="pic-tick" text-anchor="end" x="{LEFT - 7}" '
            f'y="{y(tick) + 4:.1f}">{short(tick)}</text>',
        ]
    logs = [" (log scale)" if scale.log else "" for scale in (x, y)]
    parts += [
        f'<line class="pic-axis" x1="{LEFT}" y1="{bottom}" x2="{WIDTH - RIGHT}" y2="{bottom}"/>',
        f'<text class="pic-title" text-anchor="end" x="{WIDTH - RIGHT}" y="{HEIGHT - 8}">'
        f"Cost, USD{logs[0]}</text>",
        f'<text class="pic-title" x="4" y="11">Carbon, kgCO2e{logs[1]}</text>',
    ]
    return parts


def short(value: float) -> str:
    """``1.5M``, ``200k``, ``75``: a tick's label."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"
