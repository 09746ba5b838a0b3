"""Baseline: the whole program of an instance, solved by plain HiGHS under a wall-clock limit.

    python scripts/bench/plain_highs.py instances/small --minimise cost --seconds 300

The solve runs in a process of its own, which is killed `--grace` seconds after the limit, because
branch and bound on large programs can overrun its own limit. Prints one JSON object: value and
bound (null where there is none), relative gap, seconds of building and solving, and size.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from pyomo.contrib import appsi

from models.fleet.data import FleetData
from models.fleet.objectives import TOTALS
from models.fleet.program import build_program, minimize


def fleet_of(folder: Path) -> FleetData:
    """The whole program's data of an instance folder, imported only where it is built."""
    from planner.candidates.build import build_candidates
    from planner.catalog import load_catalog
    from planner.instance.load import load_instance
    from planner.instance.resolve import resolve

    catalog = load_catalog()
    facts = resolve(load_instance(folder, catalog), catalog)
    return build_candidates(facts).data


def solve(folder: Path, total: str, seconds: float, gap: float, pipe: Connection) -> None:
    """Build and solve; sends one dictionary after building and a fuller one at the end."""
    started = time.monotonic()
    data = fleet_of(folder)
    candidates_s = time.monotonic() - started
    program = build_program(data)
    minimize(program, total)
    report: dict[str, Any] = {
        "instance": folder.name,
        "minimised": total,
        "routes": len(data.route_group),
        "candidates_s": round(candidates_s, 3),
        "build_s": round(time.monotonic() - started - candidates_s, 3),
    }
    pipe.send({**report, "status": "killed", "value": None, "bound": None, "gap_relative": None})
    solver = appsi.solvers.Highs()
    solver.config.load_solution = False
    solver.config.time_limit = seconds
    solver.config.mip_gap = gap
    solver.highs_options = {"threads": 1}
    begun = time.monotonic()
    result = solver.solve(program)
    value, bound = (
        None if number is None or not np.isfinite(number) else float(number)
        for number in (result.best_feasible_objective, result.best_objective_bound)
    )
    pipe.send(
        {
            **report,
            "status": result.termination_condition.name,
            "value": value,
            "bound": bound,
            "gap_relative": (
                None if value is None or bound is None else (value - bound) / max(abs(value), 1e-12)
            ),
            "solve_s": round(time.monotonic() - begun, 3),
        }
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minimise", choices=TOTALS, default="cost")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--gap", type=float, default=1e-4)
    parser.add_argument("--grace", type=float, default=30.0)
    args = parser.parse_args()

    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    worker = context.Process(
        target=solve, args=(args.folder, args.minimise, args.seconds, args.gap, send)
    )
    worker.start()
    send.close()
    report: dict[str, Any] | None = None
    try:
        report = receive.recv()
        if receive.poll(args.seconds + args.grace):
            report = receive.recv()
    except EOFError:
        pass  # the worker died; what it sent last still holds
    finally:
        if worker.is_alive():
            worker.join(1.0)
        if worker.is_alive():
            worker.kill()
        worker.join()
    if report is None:
        return 1
    print(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
