"""Draw a backtest: ``python scripts/backtest_picture.py REPLAY_DIR docs/backtest.svg``.

Cumulative cost of every policy above the bound for all, a ring where it moved. Plain SVG, numbers
from backtest.json only.
"""

from __future__ import annotations

import argparse
import datetime as dt
from itertools import accumulate
from pathlib import Path

from figures import ticks

from planner.backtest.results import Backtest
from planner.report.backtest import COLOURS

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 84, 156, 62, 48
LABEL_PX = 15.0
"""Least distance of two names."""


def ends(found: Backtest, policy: str) -> list[tuple[dt.date, float]]:
    """(end, USD above the bound for all since the beginning) of every date of a policy."""
    above = [
        row.cost_usd - bound.cost_usd
        for row, bound in zip(found.of(policy), found.bounds, strict=True)
    ]
    until = [
        dt.date.fromisoformat(row.date) + dt.timedelta(hours=row.hours) for row in found.of(policy)
    ]
    return list(zip(until, accumulate(above), strict=True))


def picture(found: Backtest) -> str:
    """The SVG text."""
    first = dt.date.fromisoformat(found.bounds[0].date)
    lines = {policy: [(first, 0.0), *ends(found, policy)] for policy in found.policies}
    last = max(day for line in lines.values() for day, _ in line)
    most = 1.04 * max(value for line in lines.values() for _, value in line)

    def across(day: dt.date) -> float:
        return LEFT + (day - first).days / (last - first).days * (WIDTH - LEFT - RIGHT)

    def down(usd: float) -> float:
        return HEIGHT - BOTTOM - usd / most * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="22" font-size="15" font-weight="bold">'
        f"{found.instance}: policies of re-planning</text>",
        f'<text x="{LEFT}" y="41" fill="#555">cumulative cost above the bound for all policies, '
        "USD; rings: moves</text>",
    ]
    for value in ticks(0.0, most):
        y = down(value)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#eee"/>'
            f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{value:,.0f}</text>'
        )
    for bound in found.bounds:
        x = across(dt.date.fromisoformat(bound.date))
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
            f"{bound.date[:7]}</text>"
        )
    name_at = -LABEL_PX
    for policy, line in sorted(lines.items(), key=lambda pair: -pair[1][-1][1]):
        colour = COLOURS[policy]
        path = " ".join(f"{across(day):.1f},{down(value):.1f}" for day, value in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for row, (day, value) in zip(found.of(policy), line, strict=False):
            if row.moved:
                parts.append(
                    f'<circle cx="{across(day):.1f}" cy="{down(value):.1f}" r="4.5" fill="none" '
                    f'stroke="{colour}" stroke-width="1.5"/>'
                )
        name_at = max(down(line[-1][1]), name_at + LABEL_PX)
        parts.append(
            f'<text x="{WIDTH - RIGHT + 8}" y="{name_at + 4:.1f}" fill="{colour}">'
            f"{policy} {line[-1][1]:,.0f}</text>"
        )
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Read a replay's folder, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("replay_dir", type=Path)
    parser.add_argument("picture", type=Path)
    given = parser.parse_args()
    given.picture.write_text(picture(Backtest.read(given.replay_dir)), encoding="utf-8")


if __name__ == "__main__":
    main()
