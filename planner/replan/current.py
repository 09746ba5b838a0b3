"""What runs today: read from where people keep it, with the commitments it made.

::

    plan.json or a run folder          a plan of ours
    a front's run folder and a point   one of its plans
    a folder with fleet.csv and adoption.csv
    nothing                            what ``incumbent`` in instance.toml names
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from planner.api import Request
from planner.compare.sides import PlanSide, named_points, read_plan, read_point
from planner.errors import PlannerError, RunError
from planner.front.front import FILE_NAME as FRONT
from planner.front.front import Front
from planner.incumbent import RENTED, is_tables, read_tables
from planner.instance.commitments import TERM_YEARS, end_of_term
from planner.instance.facts import Facts, MachineFacts
from planner.instance.schema import Instance, Owned
from planner.plan import Plan
from planner.runs import INSTANCE, REQUEST

MachineKey = tuple[str, str, str]
"""region, offer, market"""


@dataclass(frozen=True)
class Current:
    """What runs today; `side` is the plan with the data it was made for, where they are known."""

    name: str
    """as people call it"""
    source: Path
    """plan.json, run folder or tables, to be copied as the incumbent"""
    side: PlanSide | None
    request: Request
    """what was asked when the plan was made"""
    notes: tuple[str, ...] = ()
    """what had to be assumed about it"""


def read_current(instance: Instance, given: Path | None, point: str | None) -> Current:
    """What runs today; RunError where it cannot be read, PlannerError where nothing is named."""
    if given is None:
        if instance.settings.incumbent is None:
            raise PlannerError(
                "what runs today? name it with --current (a plan.json, a run folder, a front with "
                "--point, or a folder with fleet.csv and adoption.csv), or set incumbent in "
                "instance.toml"
            )
        given = Path(instance.folder) / instance.settings.incumbent
    if (given / FRONT).is_file():
        return _point_of_front(given, point)
    if point is not None:
        raise RunError(f"{given} is no front: it has no point {point!r}")
    if is_tables(given):
        read_tables(given)
        return Current(str(given), given, None, Request())
    if given.is_dir() and all((given / name).exists() for name in (REQUEST, INSTANCE)):
        side = read_plan(given)
        # Changes were suppositions about the data; today's data come without them.
        return Current(str(given), given, side, dataclasses.replace(side.request, changes=()))
    Plan.read(given)
    note = (
        f"{given} is a plan without its instance: its commitments are held through the whole "
        "period, at today's prices."
    )
    return Current(str(given), given, None, Request(), (note,))


def _point_of_front(folder: Path, point: str | None) -> Current:
    if point is None:
        names = ", ".join(named_points(Front.read(folder)))
        raise RunError(f"{folder} is a front: name the plan in force with --point ({names}, p0001)")
    side = read_point(folder, point)
    assert side.point is not None
    source = folder / side.point.plan
    return Current(side.name, source, side, Request(minimize="cost"))


# ------------------------------------------------------------------ commitments


def commitments_to_add(current: Current, plan_facts: Facts, instance: Instance) -> list[Owned]:
    """Commitments of what runs today that ``owned.csv`` of today's instance does not list.

    `plan_facts` are today's facts, for prices that nothing else tells. Those that end before the
    period starts are left out.
    """
    start = instance.settings.period.start
    held = [
        row
        for row in _commitments(current, plan_facts)
        if row.end_date is None or row.end_date >= start
    ]
    listed: dict[MachineKey, int] = defaultdict(int)
    for row in instance.owned:
        listed[row.region, row.offer, row.market] += row.instances
    missing = []
    for row in sorted(held, key=lambda row: row.end_date or dt.date.max):
        known = min(listed[row.region, row.offer, row.market], row.instances)
        listed[row.region, row.offer, row.market] -= known
        if row.instances > known:
            missing.append(row.model_copy(update={"instances": row.instances - known}))
    return missing


def _commitments(current: Current, facts: Facts) -> list[Owned]:
    """Everything held all period that the plan, or the tables, tell of."""
    if is_tables(current.source):
        return list(_of_tables(current.source, facts))
    if current.side is None:
        plan = Plan.read(current.source)
        return list(_bought(plan, facts, None))
    before = current.side.facts
    start = before.instance.settings.period.start
    kept = [row for row in before.instance.owned if row.market in TERM_YEARS]
    return [*kept, *_bought(current.side.plan, before, start)]


def _of_tables(folder: Path, facts: Facts) -> Iterable[Owned]:
    machines, _ = read_tables(folder)
    for row in machines.rows:
        if row.market not in RENTED and row.instances:
            machine = _machine(facts, row.region, row.offer)
            listed = _listed_usd_per_h(machine, row.market)
            yield Owned(
                region=row.region,
                offer=row.offer,
                market=row.market,  # type: ignore[arg-type]
                instances=row.instances,
                usd_per_h=listed if row.usd_per_h is None else row.usd_per_h,
                accelerator=machine.accelerator,
                accelerators=machine.accelerators,
                end_date=row.end_date,
            )


def _bought(plan: Plan, facts: Facts, start: dt.date | None) -> Iterable[Owned]:
    """Commitments that a plan bought at the start of its period, with the ends of their terms."""
    for line in plan.fleet:
        if line.market in TERM_YEARS and line.instances:
            machine = _machine(facts, line.region, line.offer)
            yield Owned(
                region=line.region,
                offer=line.offer,
                market=line.market,  # type: ignore[arg-type]
                instances=line.instances,
                usd_per_h=_listed_usd_per_h(machine, line.market),
                accelerator=line.accelerator,
                accelerators=line.accelerators,
                end_date=None if start is None else end_of_term(start, line.market),
            )


def _machine(facts: Facts, region: str, offer: str) -> MachineFacts:
    for machine in facts.machines:
        if (machine.region, machine.offer) == (region, offer):
            return machine
    raise RunError(
        f"the plan in force has committed to {region}/{offer}, which the instance does not have: "
        "allow its region and accelerator, or list it in owned.csv"
    )


def _listed_usd_per_h(machine: MachineFacts, market: str) -> float:
    price = {
        "commit-1y": machine.commit_1y_usd_per_h,
        "commit-3y": machine.commit_3y_usd_per_h,
        "owned": 0.0,
    }[market]
    if price is None:
        raise RunError(
            f"{machine.machine} is held as {market}, which has no price today: give usd_per_h in "
            "fleet.csv, or list it in owned.csv"
        )
    return price


def count_said(rows: Sequence[Owned]) -> str:
    """``24 instances``."""
    count = math.fsum(row.instances for row in rows)
    return f"{count:,.0f} instance{'' if count == 1 else 's'}"
