"""A change of cost, carbon, QoE and water split by cause; the parts add up exactly.

The old decisions are priced under data replaced one kind at a time, in the order of `DATA_KINDS`;
each step is one effect, and the new decisions are the last. So the sum of the effects telescopes.
Amounts are kept on a grid of powers of two, fine beside any amount that matters, on which sums of
floating-point numbers are exact in any order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from planner.compare.kinds import DATA_KINDS
from planner.compare.recost import Recost, recost
from planner.incumbent import Incumbent
from planner.instance.facts import Facts
from planner.plan import Plan

DECISIONS = "decisions"
CAUSES = (*DATA_KINDS, DECISIONS)
"""In the order in which they are told."""
GRID = {"cost": 2.0**-20, "carbon": 2.0**-20, "qoe": 2.0**-40, "water": 2.0**-20}
"""Smallest amount told of each objective, in its unit: a millionth of a dollar, kg or litre."""
UNITS = {"cost": "USD", "carbon": "kgCO2e", "qoe": "QoE", "water": "l"}


@dataclass(frozen=True)
class LineChange:
    """One line of a total: ``old + sum of effects == new``, exactly."""

    line: str
    old: float
    new: float
    effects: tuple[float, ...]
    """in the order of `CAUSES`"""

    @property
    def change(self) -> float:
        """New less old."""
        return self.new - self.old


@dataclass(frozen=True)
class TotalChange:
    """One objective: its lines add up to it, and its effects to its change, exactly."""

    objective: str
    """``cost``, ``carbon``, ``qoe`` or ``water``"""
    unit: str
    old: float
    new: float
    effects: tuple[float, ...]
    """in the order of `CAUSES`"""
    lines: tuple[LineChange, ...]
    """lines of cost and carbon; of QoE what each workload loses, as a negative amount"""

    @property
    def change(self) -> float:
        """New less old."""
        return self.new - self.old

    @property
    def change_relative(self) -> float | None:
        """Share of the old amount; None where that is 0."""
        return self.change / abs(self.old) if self.old else None

    @property
    def by_cause(self) -> dict[str, float]:
        """Cause -> effect, in the order of `CAUSES`."""
        return dict(zip(CAUSES, self.effects, strict=True))


@dataclass(frozen=True)
class Effects:
    """The whole change, and the old decisions under the new data."""

    totals: tuple[TotalChange, ...]
    kept: Recost
    """the old plan under the new data"""


def effects(
    old: tuple[Facts, Plan, Incumbent | None], new: tuple[Facts, Plan, Incumbent | None]
) -> Effects:
    """Split the change from one (facts, plan, incumbent) to another by cause."""
    facts, plan, incumbent = old
    steps = [recost(facts, plan, incumbent)]
    for kind, replaced in DATA_KINDS.items():
        before, facts = facts, replaced(facts, new[0])
        last = kind == list(DATA_KINDS)[-1]
        incumbent = new[2] if last else incumbent
        same = facts == before and not last
        steps.append(steps[-1] if same else recost(facts, plan, incumbent))
    steps.append(recost(*new))
    return Effects(
        totals=tuple(_total(name, [_lines(name, step) for step in steps]) for name in UNITS),
        kept=steps[-2],
    )


def _lines(objective: str, step: Recost) -> dict[str, float]:
    """The lines of an objective on its grid."""
    lines: Mapping[str, float] = {
        "cost": step.cost_lines,
        "carbon": step.carbon_lines,
        "qoe": {name: -loss for name, loss in step.loss_lines.items()},
        "water": {"water": step.water_l},
    }[objective]
    return {name: on_grid(value, GRID[objective]) for name, value in lines.items()}


def on_grid(value: float, grid: float) -> float:
    """The nearest multiple of `grid`."""
    return round(value / grid) * grid


def _total(objective: str, steps: Sequence[Mapping[str, float]]) -> TotalChange:
    names = dict.fromkeys(name for step in steps for name in step)
    lines = []
    for name in names:
        amounts = [step.get(name, 0.0) for step in steps]
        parts = tuple(after - before for before, after in pairwise(amounts))
        lines.append(LineChange(name, amounts[0], amounts[-1], parts))
    whole = 1.0 if objective == "qoe" else 0.0
    return TotalChange(
        objective=objective,
        unit=UNITS[objective],
        old=whole + sum(line.old for line in lines),
        new=whole + sum(line.new for line in lines),
        effects=tuple(sum(parts) for parts in zip(*(line.effects for line in lines), strict=True)),
        lines=tuple(lines),
    )
