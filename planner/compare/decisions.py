"""Decisions that differ between two plans: accelerators held, adaptation, regions, replicas."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from planner.front.choose import fleet_of
from planner.plan import Adoption, Plan, WorkloadLine

LEAST_SHARE = 0.005
"""Of a workload's answers: smaller moves between regions are not told."""


@dataclass(frozen=True)
class FleetChange:
    """Accelerators of one type held in a region through a market; peaks over the slices."""

    region: str
    accelerator: str
    market: str
    old: int
    new: int

    @property
    def sign(self) -> str:
        """``+`` new, ``-`` gone, ``~`` another number."""
        return _sign(self.old, self.new)


@dataclass(frozen=True)
class MachineChange:
    """Accelerators in machines of one offer, where their group holds as many as before; peaks."""

    region: str
    offer: str
    market: str
    old: int
    new: int

    @property
    def sign(self) -> str:
        """As for the fleet."""
        return _sign(self.old, self.new)


@dataclass(frozen=True)
class AdoptionChange:
    """Another variant for a workload; None: it has none."""

    workload: str
    old: Adoption | None
    new: Adoption | None


@dataclass(frozen=True)
class RegionChange:
    """Share of a workload's answers that come from a region."""

    workload: str
    region: str
    old: float
    new: float

    @property
    def sign(self) -> str:
        """As for the fleet."""
        return _sign(self.old > LEAST_SHARE, self.new > LEAST_SHARE)


@dataclass(frozen=True)
class WorkloadChange:
    """What a workload gets and costs; None: it is in one plan only."""

    workload: str
    old: WorkloadLine | None
    new: WorkloadLine | None


def _sign(old: float, new: float) -> str:
    if old and new:
        return "~"
    return "+" if new else "-"


def fleet_changes(old: Plan, new: Plan) -> tuple[FleetChange, ...]:
    """Every group of accelerators whose number differs, by region and accelerator."""
    ours, theirs = fleet_of(old), fleet_of(new)
    return tuple(
        FleetChange(*key, ours.get(key, 0), theirs.get(key, 0))
        for key in sorted({*ours, *theirs})
        if ours.get(key, 0) != theirs.get(key, 0)
    )


def machine_changes(old: Plan, new: Plan) -> tuple[MachineChange, ...]:
    """Machines exchanged for others with as many accelerators of the same type and market."""
    ours, theirs = _machines_of(old), _machines_of(new)
    told = {(row.region, row.accelerator, row.market) for row in fleet_changes(old, new)}
    return tuple(
        MachineChange(region, offer, market, ours.get(key, 0), theirs.get(key, 0))
        for key in sorted({*ours, *theirs})
        for region, accelerator, market, offer in [key]
        if ours.get(key, 0) != theirs.get(key, 0) and (region, accelerator, market) not in told
    )


def _machines_of(plan: Plan) -> dict[tuple[str, str, str, str], int]:
    """Most accelerators held at once by region, accelerator, market and offer."""
    return {
        (*group, offer): held
        for offer in {line.offer for line in plan.fleet}
        for group, held in fleet_of(
            replace(plan, fleet=tuple(line for line in plan.fleet if line.offer == offer))
        ).items()
    }


def adoption_changes(old: Plan, new: Plan) -> tuple[AdoptionChange, ...]:
    """Every workload whose variant differs."""
    ours, theirs = ({row.workload: row for row in plan.adoption} for plan in (old, new))

    def what(row: Adoption | None) -> tuple[object, ...] | None:
        names = ("llm", "adaptation", "method", "refresh_days", "check_llm", "check_share")
        return None if row is None else tuple(getattr(row, name) for name in names)

    return tuple(
        AdoptionChange(name, ours.get(name), theirs.get(name))
        for name in dict.fromkeys([*ours, *theirs])
        if what(ours.get(name)) != what(theirs.get(name))
    )


def region_shares(plan: Plan, slice_hours: Mapping[str, float]) -> dict[tuple[str, str], float]:
    """(workload, region) -> share of the workload's answers; ``not answered`` where none."""
    amount: dict[tuple[str, str], float] = defaultdict(float)
    whole: dict[str, float] = defaultdict(float)
    for line in plan.routing:
        if line.leg == 0:
            requests = line.requests_per_s * slice_hours[line.served_slice]
            amount[line.workload, line.region or "not answered"] += requests
            whole[line.workload] += requests
    return {key: value / whole[key[0]] for key, value in amount.items() if whole[key[0]] > 0}


def region_changes(
    old: Mapping[tuple[str, str], float], new: Mapping[tuple[str, str], float]
) -> tuple[RegionChange, ...]:
    """Shares that moved by more than `LEAST_SHARE`, of `region_shares`."""
    return tuple(
        RegionChange(*key, old.get(key, 0.0), new.get(key, 0.0))
        for key in dict.fromkeys([*old, *new])
        if abs(old.get(key, 0.0) - new.get(key, 0.0)) > LEAST_SHARE
    )


def workload_changes(
    old: Iterable[WorkloadLine], new: Iterable[WorkloadLine]
) -> tuple[WorkloadChange, ...]:
    """The workload lines side by side."""
    ours, theirs = {w.workload: w for w in old}, {w.workload: w for w in new}
    return tuple(
        WorkloadChange(name, ours.get(name), theirs.get(name))
        for name in dict.fromkeys([*ours, *theirs])
    )
