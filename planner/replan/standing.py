"""The running plan as it stands today: its rentals, and the commitments that still run."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator

from planner.answer.commitments import commitments
from planner.answer.decisions import declared_lines
from planner.compare.sides import PlanSide
from planner.instance.commitments import TERM_YEARS
from planner.instance.facts import Facts, MachineFacts
from planner.instance.schema import Owned
from planner.plan import FleetLine, Plan

OWNED = "owned"


def standing_plan(plan: Plan, facts: Facts) -> Plan:
    """The plan with what the instance holds anyway in place of what it owned and committed to."""
    rented = [line for line in plan.fleet if line.market not in (OWNED, *TERM_YEARS)]
    lines = (line for machine in facts.machines for line in _owned_lines(machine, facts))
    held = declared_lines(lines, facts)
    return dataclasses.replace(plan, fleet=(*held, *rented), commitments=commitments((), facts))


def standing_side(side: PlanSide, facts: Facts) -> PlanSide:
    """The plan with its own data, its commitments told as today's instance tells them.

    Where they still run, that changes no total: what was bought is held, at the same price. Where
    one has ended, or the slices differ, the side stays as it is and the difference tells of it.
    """
    before = side.facts
    slices = [[part.slice for part in f.instance.slices] for f in (before, facts)]
    if slices[0] != slices[1] or _held(side.plan, before) != _held_today(facts):
        return side
    today = {m.machine: m for m in facts.machines}
    machines = tuple(
        dataclasses.replace(
            m,
            fixed_instances=today[m.machine].fixed_instances,
            fixed_by_slice=today[m.machine].fixed_by_slice,
            fixed_by_market=today[m.machine].fixed_by_market,
            fixed_usd_per_h=today[m.machine].fixed_usd_per_h,
        )
        if m.machine in today
        else m
        for m in before.machines
    )
    told = dataclasses.replace(before, machines=machines)
    plan = dataclasses.replace(standing_plan(side.plan, told), commitments=commitments((), facts))
    return dataclasses.replace(side, facts=told, plan=plan)


def _owned_lines(machine: MachineFacts, facts: Facts) -> Iterator[FleetLine]:
    def line(in_slice: str | None, instances: int) -> FleetLine:
        return FleetLine(
            region=machine.region,
            offer=machine.offer,
            accelerator=machine.accelerator,
            market=OWNED,
            slice=in_slice,
            accelerators=machine.accelerators,
            instances=instances,
        )

    counts = machine.fixed_by_slice
    if len(set(counts)) == 1:
        if counts[0]:
            yield line(None, counts[0])
        return
    for part, count in zip(facts.instance.slices, counts, strict=True):
        if count:
            yield line(part.slice, count)


def _held(plan: Plan, facts: Facts) -> dict[str, tuple[int, ...]]:
    """Machine -> instances owned and committed to in every slice, bought ones included."""
    bought: Counter[str] = Counter()
    for line in plan.fleet:
        if line.market in TERM_YEARS:
            bought[f"{line.region}/{line.offer}"] += line.instances
    found = {
        m.machine: tuple(n + bought[m.machine] for n in m.fixed_by_slice) for m in facts.machines
    }
    return {name: counts for name, counts in found.items() if any(counts)}


def _held_today(facts: Facts) -> dict[str, tuple[int, ...]]:
    return {m.machine: m.fixed_by_slice for m in facts.machines if any(m.fixed_by_slice)}


def owned_row_name(row: Owned) -> str:
    """As comparisons name a row of ``owned.csv``."""
    return f"{row.region}/{row.offer}/{row.market}"
