"""What runs today, which changes are measured against: a plan, or two tables.

``incumbent`` in ``instance.toml`` names a run folder, a ``plan.json``, or a folder with

    fleet.csv      machines that run today: region, offer, market, instances, end_date ...
    adoption.csv   the llm and the adaptation of each workload

(classes `RunningMachines` and `RunningVariant` of the instance format).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from planner.errors import RunError
from planner.instance.facts import Facts, VariantFacts
from planner.instance.findings import Finding, near_matches
from planner.instance.schema import RUNNING, RunningMachines, RunningVariant
from planner.instance.tables import Table, read_table
from planner.plan import Adoption, FleetLine, Plan

PLAN = "plan.json"
RENTED = ("on-demand", "spot")
MOST_FINDINGS_SHOWN = 3


class Incumbent(Protocol):
    """What is known of what runs today; a `Plan` is one."""

    @property
    def adoption(self) -> tuple[Adoption, ...]:
        """How each workload is answered."""

    @property
    def fleet(self) -> tuple[FleetLine, ...]:
        """Machines held."""

    @property
    def hosting(self) -> tuple[tuple[str, str], ...]:
        """(variant, region) copies of indexes and adapters."""


@dataclass(frozen=True)
class Running:
    """An incumbent told by tables; copies are assumed in every region with machines."""

    adoption: tuple[Adoption, ...]
    fleet: tuple[FleetLine, ...]
    hosting: tuple[tuple[str, str], ...]
    machines: tuple[RunningMachines, ...]
    """the rows of ``fleet.csv``"""


def incumbent_of(facts: Facts) -> Incumbent | None:
    """The incumbent that the settings name; RunError where it cannot be read."""
    name = facts.instance.settings.incumbent
    return None if name is None else read_incumbent(Path(facts.instance.folder) / name, facts)


def read_incumbent(path: Path, facts: Facts) -> Incumbent:
    """The plan or the tables at `path`, tables joined with `facts`.

    RunError where it is neither, damaged, or names what the instance does not have.
    """
    if not is_tables(path):
        return _renamed(Plan.read(path), facts)
    machines, variants = read_tables(path)
    held = tuple(_machine(row, facts) for row in machines.rows)
    adopted = tuple(_adoption(row, facts) for row in variants.rows)
    regions = dict.fromkeys(line.region for line in held if line.instances)
    return Running(
        adoption=adopted,
        fleet=held,
        hosting=tuple((row.variant, region) for row in adopted for region in regions),
        machines=machines.rows,
    )


def _renamed(plan: Plan, facts: Facts) -> Plan:
    """The plan with the names that its variants have today: they grow with the choices on offer."""
    today = {_described(v): v.variant for v in facts.variants}
    names = {row.variant: today.get(_described(row), row.variant) for row in plan.adoption}
    if all(name == known for name, known in names.items()):
        return plan
    return replace(
        plan,
        adoption=tuple(replace(row, variant=names[row.variant]) for row in plan.adoption),
        hosting=tuple((names.get(variant, variant), region) for variant, region in plan.hosting),
        training=tuple(replace(t, variant=names.get(t.variant, t.variant)) for t in plan.training),
    )


def _described(row: Adoption | VariantFacts) -> tuple[object, ...]:
    return (
        *(row.workload, row.llm, row.adaptation, row.method),
        *(row.refresh_days, row.check_llm, row.check_share),
    )


def is_tables(path: Path) -> bool:
    """Whether a folder holds tables instead of a plan."""
    return not (path / PLAN).is_file() and any((path / f"{name}.csv").is_file() for name in RUNNING)


def files_of(path: Path) -> Mapping[str, Path]:
    """The files of an incumbent, by their names inside its folder."""
    if is_tables(path):
        return {f"{name}.csv": path / f"{name}.csv" for name in RUNNING}
    return {PLAN: path / PLAN if path.is_dir() else path}


def read_tables(path: Path) -> tuple[Table[RunningMachines], Table[RunningVariant]]:
    """``fleet.csv`` and ``adoption.csv`` of a folder; RunError with the first findings."""
    machines, wrong = read_table(path / "fleet.csv", RunningMachines)
    variants, also_wrong = read_table(path / "adoption.csv", RunningVariant)
    found = [*wrong, *also_wrong, *_twice(variants), *_dated_rentals(machines)]
    if found:
        more = len(found) - MOST_FINDINGS_SHOWN
        text = "; ".join(str(finding) for finding in found[:MOST_FINDINGS_SHOWN])
        raise RunError(f"{path}: {text}" + (f"; and {more} more findings" if more > 0 else ""))
    return machines, variants


def _twice(variants: Table[RunningVariant]) -> list[Finding]:
    names = [row.workload for row in variants.rows]
    return [
        variants.finding(at, "workload", "named twice", "one variant answers a workload")
        for at, name in enumerate(names)
        if name in names[:at]
    ]


def _dated_rentals(machines: Table[RunningMachines]) -> list[Finding]:
    remedy = "leave it blank: only owned and committed machines have one"
    return [
        machines.finding(at, column, f"a rental has no {column}", remedy)
        for at, row in enumerate(machines.rows)
        for column in ("end_date", "usd_per_h")
        if row.market in RENTED and getattr(row, column) is not None
    ] + [
        machines.finding(at, "slice", "held all period", "leave it blank: it is no rental")
        for at, row in enumerate(machines.rows)
        if row.market not in RENTED and row.slice is not None
    ]


def _machine(row: RunningMachines, facts: Facts) -> FleetLine:
    known = {(m.region, m.offer): m for m in facts.machines}
    machine = known.get((row.region, row.offer))
    name = f"{row.region}/{row.offer}"
    if machine is None:
        raise RunError(
            f"fleet.csv: the instance has no machine {name}: "
            f"{near_matches(name, (m.machine for m in facts.machines))}"
        )
    return FleetLine(
        region=row.region,
        offer=row.offer,
        accelerator=machine.accelerator,
        market=row.market,
        slice=row.slice,
        accelerators=machine.accelerators,
        instances=row.instances,
    )


def _adoption(row: RunningVariant, facts: Facts) -> Adoption:
    mine = [v for v in facts.variants if v.workload == row.workload]
    found = [v for v in mine if _fits(row, v)]
    if len(found) != 1:
        wanted = " ".join(x for x in (row.llm, row.adaptation, row.method or "") if x)
        known = ", ".join(v.variant for v in found or mine) or "none"
        several = "several variants" if found else "no variant"
        raise RunError(
            f"adoption.csv: {several} of {row.workload} with {wanted}; the instance has {known}"
        )
    variant = found[0]
    return Adoption(
        workload=variant.workload,
        llm=variant.llm,
        adaptation=variant.adaptation,
        method=variant.method,
        refresh_days=variant.refresh_days,
        check_llm=variant.check_llm,
        check_share=variant.check_share,
        variant=variant.variant,
        reason="runs today",
        break_even="",
    )


def _fits(row: RunningVariant, variant: VariantFacts) -> bool:
    return (
        (row.llm, row.adaptation, row.check_llm)
        == (variant.llm, variant.adaptation, variant.check_llm)
        and row.method in (None, variant.method)
        and row.refresh_days in (None, variant.refresh_days)
    )


def peak_accelerators(fleet: Sequence[FleetLine]) -> dict[str, float]:
    """Machine -> most accelerators held of it in any slice."""
    always: dict[str, float] = {}
    by_slice: dict[str, dict[str, float]] = {}
    for line in fleet:
        name, count = f"{line.region}/{line.offer}", float(line.accelerators * line.instances)
        if line.slice is None:
            always[name] = always.get(name, 0.0) + count
        else:
            of = by_slice.setdefault(name, {})
            of[line.slice] = of.get(line.slice, 0.0) + count
    return {
        name: always.get(name, 0.0) + max(by_slice.get(name, {}).values(), default=0.0)
        for name in dict.fromkeys([*always, *by_slice])
    }


def peak_changes(
    before: Sequence[FleetLine], after: Sequence[FleetLine]
) -> dict[str, tuple[float, float]]:
    """Machine -> its peak before and after, where they differ."""
    old, new = peak_accelerators(before), peak_accelerators(after)
    both = {name: (old.get(name, 0.0), new.get(name, 0.0)) for name in sorted({*old, *new})}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}
