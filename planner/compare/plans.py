"""Two plans compared: what is held, decided and given, and what the change is due to."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from planner.compare.data import DataChanges, data_changes
from planner.compare.decisions import (
    AdoptionChange,
    FleetChange,
    MachineChange,
    RegionChange,
    WorkloadChange,
    adoption_changes,
    fleet_changes,
    machine_changes,
    region_changes,
    region_shares,
    workload_changes,
)
from planner.compare.effects import CAUSES, LineChange, TotalChange, effects
from planner.compare.recost import Recost
from planner.compare.sides import PlanSide, requests_differ
from planner.plan import Certificate

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SideRef:
    """Which plan, and what is proved of it."""

    name: str
    instance: str
    sha256: str
    certificate: Certificate


@dataclass(frozen=True)
class PlanDiff:
    """The difference of two plans.

    `totals` are cost, carbon, QoE and water, each split by line and by cause, adding up exactly.
    `kept` is the old plan under the new data: what it comes to there and which rules it breaks.
    """

    old: SideRef
    new: SideRef
    fleet: tuple[FleetChange, ...]
    machines: tuple[MachineChange, ...]
    adoption: tuple[AdoptionChange, ...]
    regions: tuple[RegionChange, ...]
    workloads: tuple[WorkloadChange, ...]
    totals: tuple[TotalChange, ...]
    kept: Recost
    asked: tuple[tuple[str, str, str], ...]
    """(setting, old, new) of objective, caps, floors and changes"""
    data: DataChanges
    liability_usd: tuple[float, float]
    """(old, new): signed beyond the period of each plan, not part of its cost"""

    def total(self, objective: str) -> TotalChange:
        """``cost``, ``carbon``, ``qoe`` or ``water``."""
        return next(total for total in self.totals if total.objective == objective)

    @property
    def decides_alike(self) -> bool:
        """No decision that people see differs."""
        return not (self.fleet or self.machines or self.adoption or self.regions)

    @property
    def same(self) -> bool:
        """Nothing differs at all: neither decisions, nor totals, nor data."""
        unmoved = all(total.change == 0.0 and not any(total.effects) for total in self.totals)
        return self.decides_alike and unmoved and not self.asked and not self.data.any

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists, ready for JSON; effects by cause."""
        body = {"kind": "plans", "same": self.same, **dataclasses.asdict(self)}
        for total, plain in zip(self.totals, body["totals"], strict=True):
            plain |= {"change": total.change, "change_relative": total.change_relative}
            plain["effects"] = total.by_cause
            for line, row in zip(total.lines, plain["lines"], strict=True):
                row["effects"] = dict(zip(CAUSES, line.effects, strict=True))
        objectives = dataclasses.asdict(self.kept.objectives)
        body["kept"] |= {"feasible": self.kept.feasible, "objectives": objectives}
        return body

    def to_frame(self) -> pd.DataFrame:
        """One row per line of a total: old, new, change and the effect of each cause."""
        import pandas as pd

        rows: list[dict[str, object]] = []
        for total in self.totals:
            named: list[tuple[str, LineChange | TotalChange]] = [
                *((line.line, line) for line in total.lines),
                ("total", total),
            ]
            for name, amounts in named:
                rows.append(
                    {
                        "objective": total.objective,
                        "unit": total.unit,
                        "line": name,
                        "old": amounts.old,
                        "new": amounts.new,
                        "change": amounts.change,
                        **dict(zip(CAUSES, amounts.effects, strict=True)),
                    }
                )
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        from planner.compare.html import plan_diff_html

        return plan_diff_html(self)


def diff_plans(old: PlanSide, new: PlanSide) -> PlanDiff:
    """Compare two plans, each with the facts it was made for."""
    split = effects((old.facts, old.plan, old.incumbent), (new.facts, new.plan, new.incumbent))
    shares = [
        region_shares(side.plan, {part.slice: part.hours for part in side.facts.instance.slices})
        for side in (old, new)
    ]
    return PlanDiff(
        old=_ref(old),
        new=_ref(new),
        fleet=fleet_changes(old.plan, new.plan),
        machines=machine_changes(old.plan, new.plan),
        adoption=adoption_changes(old.plan, new.plan),
        regions=region_changes(*shares),
        workloads=workload_changes(old.plan.workloads, new.plan.workloads),
        totals=split.totals,
        kept=split.kept,
        asked=requests_differ(old.request, new.request),
        data=data_changes(old.facts, new.facts),
        liability_usd=(old.plan.liability_usd, new.plan.liability_usd),
    )


def _ref(side: PlanSide) -> SideRef:
    plan = side.plan
    return SideRef(side.name, plan.instance.name, plan.instance.sha256, plan.certificate)
