"""How time and gap grow with routes: generated instances from 10,000 to 3,000,000 routes.

    python scripts/bench/scaling.py --routes 10000 100000 1000000 3000000 --seconds 300

Writes docs/bench/scaling.md (a table) and scaling.svg (seconds against routes, both logarithmic).
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from planner.api import load
from planner.candidates import build_candidates
from planner.errors import PlannerError
from planner.solve.engine import minimize
from planner.solve.options import EngineOptions, relative_gap

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000)
Point = tuple[int, int, float, float, float, float]
"""eligible routes before and after pruning, seconds to build and to solve, relative gap (inf
without a plan), peak memory (GB)"""


def generate(folder: Path, routes: int, seed: int) -> None:
    """Write an instance of about so many routes."""
    generator = Path(__file__).resolve().parents[1] / "generate_instance.py"
    command = [sys.executable, str(generator), str(folder), "--routes", str(routes)]
    subprocess.run([*command, "--seed", str(seed)], check=True, stdout=subprocess.DEVNULL)


def measure(folder: Path, seconds: float) -> Point:
    """Build and solve one instance for cost."""
    began = time.monotonic()
    candidates = build_candidates(load(folder))
    built = time.monotonic()
    try:
        found = minimize(candidates.data, "cost", EngineOptions(time_limit_s=seconds))
        gap = relative_gap(found.value, found.bound)
    except PlannerError as error:
        print(f"{folder}: {error}", file=sys.stderr)
        gap = math.inf
    solved = time.monotonic()
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    routes = candidates.eligible_before_pruning, candidates.eligible_after_pruning
    return *routes, built - began, solved - built, gap, peak_gb


def measured_apart(routes: int, seconds: float, seed: int) -> Point | None:
    """`measure` in a process of its own: its memory is its own, its failure costs no other size."""
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where) / "generated"
        try:
            generate(folder, routes, seed)
            command = [sys.executable, __file__, "--one", str(folder), "--seconds", str(seconds)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            return tuple(json.loads(done.stdout.splitlines()[-1]))
        except (subprocess.CalledProcessError, ValueError, IndexError) as error:
            print(f"{routes:,} routes: {error}", file=sys.stderr)
            return None


def table(points: Sequence[Point]) -> str:
    """The points as markdown."""
    head = (
        "| eligible routes | after pruning | build, s | solve, s | proven gap | peak memory, GB |"
    )
    lines = [head, "|---:|---:|---:|---:|---:|---:|"]
    for routes, pruned, build, solve, gap, peak in points:
        shown = f"{gap:.2%}" if math.isfinite(gap) else "no plan"
        lines.append(
            f"| {routes:,} | {pruned:,} | {build:.1f} | {solve:.1f} | {shown} | {peak:.1f} |"
        )
    return "\n".join(lines) + "\n"


def picture(points: Sequence[Point]) -> str:
    """Seconds against routes as SVG, both axes logarithmic, each point with its gap."""

    def x(routes: float) -> float:
        return 60 + 130 * (math.log10(routes) - 3)

    def y(seconds: float) -> float:
        return 300 - 70 * (math.log10(max(seconds, 0.1)) + 1)

    parts = ['<svg xmlns="http://www.w3.org/2000/svg" width="660" height="350" font-size="12">']
    for power in range(3, 8):
        parts.append(
            f'<text x="{x(10**power):.0f}" y="320" text-anchor="middle">{10**power:,}</text>'
        )
    for power in range(-1, 4):
        parts.append(f'<text x="10" y="{y(10.0**power):.0f}">{10.0**power:g} s</text>')
    line = " ".join(f"{x(p[0]):.1f},{y(p[3]):.1f}" for p in points)
    parts.append(f'<polyline points="{line}" fill="none" stroke="#246"/>')
    for routes, _, _, solve, gap, _ in points:
        words = f"{gap:.2%}" if math.isfinite(gap) else "no plan"
        parts.append(f'<circle cx="{x(routes):.1f}" cy="{y(solve):.1f}" r="4" fill="#246"/>')
        parts.append(f'<text x="{x(routes) + 6:.1f}" y="{y(solve) - 6:.1f}">{words}</text>')
    parts.append('<text x="250" y="342">eligible routes; labels: proven gap</text></svg>')
    return "\n".join(parts) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--routes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("docs/bench"))
    parser.add_argument("--one", type=Path, help="measure this instance folder only, as JSON")
    args = parser.parse_args()
    if args.one is not None:
        print(json.dumps(measure(args.one, args.seconds)))
        return 0
    args.out.mkdir(parents=True, exist_ok=True)
    points: list[Point] = []
    for routes in args.routes:
        point = measured_apart(routes, args.seconds, args.seed)
        points += [] if point is None else [point]
        (args.out / "scaling.md").write_text(table(points), encoding="utf-8")
        (args.out / "scaling.svg").write_text(picture(points), encoding="utf-8")
    print(table(points))
    return 0 if len(points) == len(args.routes) else 1


if __name__ == "__main__":
    sys.exit(main())
