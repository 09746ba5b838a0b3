"""Draw a front run as one picture: ``python scripts/figures.py RUN_DIR docs/front.svg``.

Cost against carbon, QoE as colour; the certificate in the caption. Plain SVG, numbers from
front.json only.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from planner.front.front import Front

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 100, 130, 56, 64
LOW, HIGH = (38, 70, 130), (240, 170, 40)
"""Colours of the least and the best QoE."""


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers between two values."""
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= raw)
    first = math.ceil(low / step)
    return [step * k for k in range(first, math.floor(high / step) + 1)]


def colour(share: float) -> str:
    """Between the two ends."""
    mixed = [round(a + share * (b - a)) for a, b in zip(LOW, HIGH, strict=True)]
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def picture(front: Front) -> str:
    """The SVG text."""
    xs = [math.log10(p.cost_usd) for p in front.points]
    ys = [math.log10(max(p.carbon_kgco2e, 1e-9)) for p in front.points]
    qoe = [p.qoe for p in front.points]
    x0, x1, y0, y1 = min(xs), max(xs), min(ys), max(ys)
    x0, x1 = x0 - 0.04 * (x1 - x0) - 1e-6, x1 + 0.04 * (x1 - x0) + 1e-6
    y0, y1 = y0 - 0.04 * (y1 - y0) - 1e-6, y1 + 0.04 * (y1 - y0) + 1e-6

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)
        return across, HEIGHT - BOTTOM - (y - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="22" font-size="15" font-weight="bold">{title(front)}</text>',
        f'<text x="{LEFT}" y="41" fill="#555">{caption(front)}</text>',
    ]
    for value in logs(x0, x1):
        across, down = at(math.log10(value), y0)
        parts.append(
            f'<line x1="{across:.1f}" x2="{across:.1f}" y1="{TOP}" y2="{down:.1f}" stroke="#eee"/>'
            f'<text x="{across:.1f}" y="{down + 17:.1f}" text-anchor="middle">{value:,.0f}</text>'
        )
    for value in logs(y0, y1):
        across, down = at(x0, math.log10(value))
        parts.append(
            f'<line x1="{across:.1f}" x2="{WIDTH - RIGHT}" y1="{down:.1f}" y2="{down:.1f}" '
            f'stroke="#eee"/><text x="{across - 7:.1f}" y="{down + 4:.1f}" '
            f'text-anchor="end">{value:,.0f}</text>'
        )
    best, least = max(qoe), min(qoe)
    for x, y, q in sorted(zip(xs, ys, qoe, strict=True), key=lambda row: row[2]):
        across, down = at(x, y)
        fill = colour((q - least) / max(best - least, 1e-12))
        parts.append(
            f'<circle cx="{across:.1f}" cy="{down:.1f}" r="5" fill="{fill}" stroke="#fff"/>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 18}" text-anchor="middle">'
        "cost of the period, USD (logarithmic)</text>"
        f'<text transform="translate(14 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">'
        "carbon of the period, kg CO2e (logarithmic)</text>"
    )
    across = WIDTH - RIGHT + 26
    parts.append(f'<text x="{across}" y="{TOP + 8}">QoE</text>')
    for k in range(6):
        share, down = 1.0 - k / 5.0, TOP + 28 + 22 * k
        parts.append(
            f'<circle cx="{across + 6}" cy="{down}" r="6" fill="{colour(share)}"/>'
            f'<text x="{across + 19}" y="{down + 4}">{least + share * (best - least):.3f}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def logs(low: float, high: float) -> list[float]:
    """Round values between two decimal logarithms."""
    first, last = math.floor(low), math.ceil(high)
    values = [m * 10.0**k for k in range(first, last + 1) for m in (1.0, 2.0, 5.0)]
    inside = [v for v in values if low <= math.log10(v) <= high]
    return inside if len(inside) >= 2 else ticks(10.0**low, 10.0**high)


def title(front: Front) -> str:
    """What is shown."""
    return f"{front.instance.name}: {len(front.points)} checked plans"


def caption(front: Front) -> str:
    """What is proved."""
    epsilon = front.certificate.epsilon
    if epsilon is None:
        return "nothing is proved yet of what is missing"
    return f"no plan at all beats them by more than {epsilon:.1%} of each range at once (proved)"


def main() -> None:
    """Read a run folder, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("picture", type=Path)
    given = parser.parse_args()
    given.picture.write_text(picture(Front.read(given.run_dir)), encoding="utf-8")


if __name__ == "__main__":
    main()
