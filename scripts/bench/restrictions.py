"""The price of each restriction: the optimum against fleets that give up a choice.

    python scripts/bench/restrictions.py instances/reference --seconds 30 --out table.md

Each price is an interval, because value and bound of both sides are known: at least (restricted
bound - free value), at most (restricted value - free bound). With one region no rule on losing
a region or on spread can hold, so these are dropped there, which flatters that restriction.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from models.fleet.data import BoolArray, FleetData
from planner.api import load
from planner.candidates import Candidates, build_candidates
from planner.errors import InfeasibleError, PlannerError
from planner.explain.restrict import Keep
from planner.explain.restrict import restricted as kept
from planner.solve.engine import minimize
from planner.solve.options import EngineOptions, relative_gap

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


@dataclass(frozen=True)
class Outcome:
    """What is known of the best fleet of a family, in the unit of what is minimised."""

    name: str
    """of the best, or why there is none"""
    value: float
    """of the best plan found; inf: none was"""
    bound: float
    """nothing in the family is below; inf: proved that it has no plan"""

    def or_else(self, other: Outcome) -> Outcome:
        """The best of both: the lower value, and the lower bound."""
        best = other if other.value < self.value else self
        return replace(best, bound=min(self.bound, other.bound))

    def row(self, family: str, free: Outcome) -> str:
        """A line of the table; the price of the restriction is an interval."""
        if math.isinf(self.bound):
            return f"| {family} | no plan: {self.name} | - | - | - | - | - |"
        least = max(self.bound - free.value, 0.0)
        if math.isinf(self.value):
            known = f"{self.bound:,.6g} | - | {least:,.6g}"
            return f"| {family} | none found: {self.name} | - | {known} | - |"
        gap = relative_gap(self.value, self.bound)
        return (
            f"| {family} | {self.name} | {self.value:,.6g} | {self.bound:,.6g} | {gap:.2%} "
            f"| {least:,.6g} | {self.value - free.bound:,.6g} |"
        )


def outcome(name: str, fleet: FleetData, free: Outcome, total: str, seconds: float) -> Outcome:
    """The best fleet under one restriction; the bound of `free` holds for it too."""
    lost = np.setdiff1d(np.arange(len(fleet.workloads)), fleet.variant_workload)
    if len(lost):
        return Outcome(f"{fleet.workloads[lost[0]]} has no such choice", math.inf, math.inf)
    try:
        found = minimize(fleet, total, EngineOptions(time_limit_s=seconds))
    except InfeasibleError:
        return Outcome("proved impossible", math.inf, math.inf)
    except PlannerError as error:
        return Outcome(str(error).split(":", maxsplit=1)[0], math.inf, free.bound)
    return Outcome(name, found.value, max(found.bound, free.bound))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minimise", choices=("cost", "carbon", "qoe-loss"), default="cost")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--out", type=Path, help="markdown file to write")
    args = parser.parse_args()
    candidates = build_candidates(load(args.folder))
    found = minimize(candidates.data, args.minimise, EngineOptions(time_limit_s=args.seconds))
    free = Outcome("free", found.value, found.bound)
    best: dict[str, Outcome] = {}
    for family, name, fleet in restrictions(candidates):
        this = outcome(name, fleet, free, args.minimise, args.seconds)
        print(this.row(f"{family}: {name}", free), file=sys.stderr, flush=True)
        best[family] = best[family].or_else(this) if family in best else this
    lines = [
        f"{args.folder.name}, {args.minimise}, at most {args.seconds:g} s each:",
        "",
        "| restriction | best | value | bound | gap | price at least | price at most |",
        "|---|---|---:|---:|---:|---:|---:|",
        free.row("none", free),
        *(found.row(family, free) for family, found in best.items()),
    ]
    table = "\n".join(lines) + "\n"
    print(table)
    if args.out is not None:
        args.out.write_text(table, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
