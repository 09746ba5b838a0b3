"""The engine beside plain HiGHS on the whole program, same time limit, three objectives.

    python scripts/bench/engine.py instances/reference --seconds 60

Prints one markdown table. The time limit bounds the search itself; building is not counted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from planner.errors import PlannerError
from planner.solve.engine import minimize
from planner.solve.options import EngineOptions, relative_gap
from scripts.bench.plain_highs import fleet_of

OBJECTIVES = ("cost", "carbon", "qoe-loss")


def row(objective: str, who: str, report: dict[str, float | str | None]) -> str:
    """One line of the table; a dash where there is no number."""

    def cell(name: str, spec: str) -> str:
        value = report.get(name)
        return "-" if value is None or isinstance(value, str) else format(value, spec)

    numbers = [cell("value", ",.6g"), cell("bound", ",.6g"), cell("gap_relative", ".3%")]
    return f"| {objective} | {who} | " + " | ".join([*numbers, cell("solve_s", ".1f")]) + " |"


def plain(folder: Path, objective: str, seconds: float) -> dict[str, float | str | None]:
    """Plain HiGHS in a process of its own."""
    script = Path(__file__).with_name("plain_highs.py")
    done = subprocess.run(
        [sys.executable, str(script), str(folder), "--minimise", objective,
         "--seconds", str(seconds)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    report: dict[str, float | str | None] = json.loads(done.stdout) if done.returncode == 0 else {}
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--gap", type=float, default=0.005)
    args = parser.parse_args()
    data = fleet_of(args.folder)
    print(f"{args.folder.name}: {len(data.route_group):,} routes, {args.seconds:g} s each\n")
    print("| minimised | by | value | bound | gap | seconds |\n|---|---|---:|---:|---:|---:|")
    for objective in OBJECTIVES:
        began = time.monotonic()
        ours: dict[str, float | str | None] = {}
        try:
            found = minimize(data, objective, EngineOptions(args.gap, args.seconds))
            gap = relative_gap(found.value, found.bound)
            ours = {"value": found.value, "bound": found.bound, "gap_relative": gap}
        except PlannerError as error:
            print(f"engine, {objective}: {error}", file=sys.stderr)
        ours["solve_s"] = time.monotonic() - began
        print(row(objective, "planner", ours), flush=True)
        whole = plain(args.folder, objective, args.seconds)
        print(row(objective, "plain HiGHS", whole), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
