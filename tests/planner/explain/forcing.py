"""Forcing done otherwise: variables of the whole, unpruned Pyomo program fixed by their names.

Nothing of `planner.explain` is used. A wish is a dictionary of names, as in ``--why-not``.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from pyomo.contrib import appsi

from models.fleet.data import MARKETS, FleetData
from models.fleet.program import build_program, minimize
from planner.candidates import build_candidates
from planner.instance.facts import Facts

Wish = dict[str, str]


def drawn_wish(facts: Facts, rng: random.Random) -> Wish:
    """Some workload or all, with one to three conditions on what answers it, and where."""
    names: dict[str, list[str]] = {
        "adaptation": ["base", "rag", "fine-tune", "rag+fine-tune"],
        "llm": [x.llm for x in facts.llms],
        "region": [r.region for r in facts.regions],
        "accelerator": [a.accelerator for a in facts.accelerators],
        "market": list(MARKETS),
    }
    keys = rng.sample(list(names), rng.choice((1, 1, 2, 2, 3)))
    wish = {key: rng.choice(names[key]) for key in keys}
    if rng.random() < 0.75 and set(keys) != {"market"}:
        wish["workload"] = rng.choice([w.workload for w in facts.instance.workloads])
    return wish


def as_text(wish: Wish) -> str:
    """As ``--why-not`` takes it."""
    return ", ".join(f"{key}={value}" for key, value in wish.items())


class Forced:
    """The whole program of an instance, with variables fixed for one wish at a time."""

    def __init__(self, facts: Facts, *, prune: bool = False, objective: str = "cost") -> None:
        self.data: FleetData = build_candidates(facts, prune=prune).data
        self.program: Any = build_program(self.data)
        minimize(self.program, objective)
        self.accelerators = {m.machine: m.accelerator for m in facts.machines}
        self.regions = {m.machine: m.region for m in facts.machines}

    def force(self, wish: Wish) -> list[str]:
        """Fix what the wish forbids to 0; workloads that have no answer left."""
        data, program = self.data, self.program
        program.serve.unfix()
        for variables in (program.buy, program.rent):
            variables.unfix()
        variant = data.group_variant[data.route_group]
        left = np.zeros(len(data.group_item), dtype=bool)
        for j in range(len(variant)):
            if self._allowed(j, data.variants[variant[j]], wish):
                left[data.route_group[j]] = True
            else:
                program.serve[j].fix(0.0)
        if "market" in wish:
            for b in range(len(data.purchase_machine)):
                named = self._machine(int(data.purchase_machine[b]), wish)
                if named and MARKETS[data.purchase_market[b]] != wish["market"]:
                    rows = [program.buy[b]] if b in program.buy else [
                        program.rent[b, t] for t in range(len(data.slices))]  # fmt: skip
                    for row in rows:
                        row.fix(0)
        whole = np.ones(len(data.variants), dtype=bool)
        np.logical_and.at(whole, data.group_variant, left)
        able = {data.workloads[w] for w in data.variant_workload[whole]}
        return [name for name in data.workloads if name not in able]

    def _allowed(self, j: int, variant: str, wish: Wish) -> bool:
        workload, llm, adaptation = variant.split("+", maxsplit=1)[0].split("/")[:3]
        if variant.split("/")[2].startswith("rag+fine-tune"):
            adaptation = "rag+fine-tune"
        if wish.get("workload", workload) != workload:
            return True
        if wish.get("llm", llm) != llm or wish.get("adaptation", adaptation) != adaptation:
            return False
        pool, region = self.data.route_pool[j], self.data.route_region[j]
        if wish.get("region", self.data.regions[region]) != self.data.regions[region]:
            return False
        return "accelerator" not in wish or (
            pool >= 0 and self._machine(int(self.data.pool_machine[pool]), wish)
        )

    def _machine(self, h: int, wish: Wish) -> bool:
        name = self.data.machines[h]
        return wish.get("region", self.regions[name]) == self.regions[name] and (
            wish.get("accelerator", self.accelerators[name]) == self.accelerators[name]
        )

    def solve(self, seconds: float, gap: float = 1e-9) -> tuple[float, float]:
        """(best value found, best bound proved); infinite both where HiGHS proves infeasible."""
        solver = appsi.solvers.Highs()
        solver.config.load_solution = False
        solver.config.time_limit = seconds
        solver.config.mip_gap = gap
        solver.highs_options = {"threads": 1}
        result = solver.solve(self.program)
        kind = appsi.base.TerminationCondition
        if result.termination_condition in (kind.infeasible, kind.infeasibleOrUnbounded):
            return float("inf"), float("inf")
        value, bound = result.best_feasible_objective, result.best_objective_bound
        return (
            float("inf") if value is None else float(value),
            -float("inf") if bound is None else float(bound),
        )
