"""The price of each restriction: the optimum against fleets that give up a choice.

    python scripts/bench/restrictions.py instances/reference --seconds 30

Each price is an interval, because value and bound of both sides are known: at least (restricted
bound - free value), at most (restricted value - free bound). With one region no rule on losing
a region or on spread can hold, so these are dropped there, which flatters that restriction.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from models.fleet.data import BoolArray, FleetData
from planner.api import load
from planner.candidates import Candidates, build_candidates
from planner.errors import PlannerError
from planner.explain.restrict import Keep
from planner.explain.restrict import restricted as kept
from planner.solve.engine import minimize
from planner.solve.options import EngineOptions

ADAPTATIONS = {"all base": "base", "all RAG": "rag", "all fine-tune": "fine-tune"}


def with_routes(candidates: Candidates, keep: BoolArray) -> FleetData:
    """The fleet with the given routes only, bool (J,), and the variants they serve completely."""
    everything = Keep.everything(candidates.data)
    return kept(candidates, replace(everything, routes=keep)).data


def restrictions(candidates: Candidates) -> list[tuple[str, str, FleetData]]:
    """(family, name, fleet) of every restriction."""
    data = candidates.data
    machine = data.pool_machine[np.maximum(data.route_pool, 0)]
    accelerator = np.array(data.machine_accelerator)
    fleets = [
        ("single accelerator", str(one),
         with_routes(candidates, (data.route_pool < 0) | (accelerator[machine] == one)))
        for one in np.unique(accelerator)
    ]  # fmt: skip
    one_region = replace(
        candidates,
        data=replace(
            data,
            region_share_max=np.full(len(data.workloads), np.nan),
            min_regions=np.ones(len(data.workloads), dtype=np.int64),
        ),
    )
    fleets += [
        ("single region", name, with_routes(one_region, data.route_region == r))
        for r, name in enumerate(data.regions)
    ]
    variant = data.group_variant[data.route_group]
    parts = [name.split("/") for name in data.variants]
    for label, kind in ADAPTATIONS.items():
        wanted = np.array([kind in part for part in parts])
        fleets.append((label, label, with_routes(candidates, wanted[variant])))
    return fleets


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minimise", choices=("cost", "carbon", "qoe-loss"), default="cost")
    parser.add_argument("--seconds", type=float, default=30.0)
    args = parser.parse_args()
    candidates = build_candidates(load(args.folder))
    data = candidates.data
    options = EngineOptions(time_limit_s=args.seconds)
    free = minimize(data, args.minimise, options)
    best: dict[str, tuple[float, float, str]] = {}
    why: dict[str, str] = {}
    for family, name, fleet in restrictions(candidates):
        try:
            lost = np.setdiff1d(np.arange(len(fleet.workloads)), fleet.variant_workload)
            if len(lost):
                why[family] = f"no plan: {fleet.workloads[lost[0]]} has no such choice"
                continue
            found = minimize(fleet, args.minimise, options)
        except PlannerError as error:
            why[family] = str(error).split(":", maxsplit=1)[0]
            continue
        low, high, _ = best.get(family, (np.inf, np.inf, ""))
        label = name if found.value < high else best[family][2]
        best[family] = (min(low, found.bound), min(high, found.value), label)
    print(f"{args.folder.name}, {args.minimise}: plan {free.value:,.6g}, bound {free.bound:,.6g}")
    print("\n| restriction | best | value | price at least | price at most |")
    print("|---|---|---:|---:|---:|")
    for family in dict.fromkeys([*best, *why]):
        if family not in best:
            print(f"| {family} | {why[family]} | - | - | - |")
            continue
        low, high, name = best[family]
        least, most = max(low - free.value, 0.0), high - free.bound
        print(f"| {family} | {name} | {high:,.6g} | {least:,.6g} | {most:,.6g} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
