"""The parts of a comparison as rows and sentences, for the terminal and for notebooks alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from planner.answer.words import amount, number, percent, variant_said
from planner.compare.data import DataChanges, FigureChange, TableChange
from planner.compare.effects import CAUSES, TotalChange
from planner.compare.fronts import FrontDiff, FrontRef
from planner.compare.instances import InstanceDiff
from planner.compare.plans import PlanDiff
from planner.compare.words import (
    apportioned,
    decimals_of,
    gap,
    plain,
    relative,
    rounded_change,
    signed,
)
from planner.instance.figures import PRICE_COLUMNS
from planner.instance.schema import Workload
from planner.plan import Adoption

TITLES = {"cost": "cost", "carbon": "carbon", "qoe": "QoE", "water": "water"}
WORDS = {"cost": "cost", "carbon": "carbon", "qoe-loss": "QoE loss"}
MOST_ROWS = 12
MOST_BROKEN = 6

TOLD: dict[str, frozenset[str]] = {
    "demand.csv": frozenset({"requests_per_s"}),
    "quotas.csv": frozenset({"accelerators"}),
    "quality.csv": frozenset({"quality"}),
    "workloads.csv": frozenset(Workload.model_fields) - {"task_class", "kind", "residency"},
    "offers.csv": frozenset(PRICE_COLUMNS.values()),
    "regions.csv": frozenset({"carbon_gco2e_per_kwh", "pue", "fixed_usd_per_month"}),
}
"""Columns that resolved figures tell."""
TOLD_SECTIONS = ("caps.", "policy.", "serving.")

Rows = list[list[str]]


# ------------------------------------------------------------------ plans


def answer(diff: PlanDiff) -> str:
    """The first line: what the change comes to."""
    if diff.same:
        return "no change: decisions, totals and data are the same"
    parts = []
    for name in ("cost", "carbon", "qoe"):
        total = diff.total(name)
        decimals = decimals_of(name, total.old, total.new)
        _, _, change, _ = rounded_change(total.old, total.new, total.effects, decimals)
        unit = "" if name == "qoe" else f" {total.unit}"
        share = f" ({relative(total.change_relative)})" if change else ""
        parts.append(f"{TITLES[name]} {signed(change, decimals)}{unit}{share}")
    return f"{', '.join(parts)}; {decided(diff)}"


def decided(diff: PlanDiff) -> str:
    """``2 workloads adapted otherwise, 3 groups of accelerators differ``."""
    if diff.decides_alike:
        return "the same decisions"
    counts = (
        (len(diff.adoption), "workload is adapted otherwise", "workloads are adapted otherwise"),
        (len(diff.fleet), "group of accelerators differs", "groups of accelerators differ"),
    )
    said = [f"{count} {one if count == 1 else many}" for count, one, many in counts if count]
    said += ["as many accelerators in other machines"] if diff.machines else []
    return ", ".join(said) or "answers move between regions"


def fleet_rows(diff: PlanDiff) -> Rows:
    """``+ / ~ / -`` per region and accelerator; peak accelerators."""
    rows, last = [], ""
    for line in diff.fleet:
        region = line.region if line.region != last else ""
        last = line.region
        rows.append(
            [line.sign, region, line.accelerator, line.market, f"{line.old:,}", f"{line.new:,}",
             f"{line.new - line.old:+,}"]
        )  # fmt: skip
    return rows


def machine_rows(diff: PlanDiff) -> Rows:
    """``+ / ~ / -`` per region and offer of accelerators that stay as many; peaks."""
    return [
        [row.sign, row.region, row.offer, row.market, f"{row.old:,}", f"{row.new:,}",
         f"{row.new - row.old:+,}"]
        for row in diff.machines
    ]  # fmt: skip


def adoption_rows(diff: PlanDiff) -> Rows:
    """Workload, variant before and after."""
    return [[row.workload, variant(row.old), variant(row.new)] for row in diff.adoption]


def variant(row: Adoption | None) -> str:
    """``llama-3.1-8b, fine-tune (LoRA, every 30 days)``; ``none`` without."""
    return "none" if row is None else variant_said(row)


def region_rows(diff: PlanDiff) -> Rows:
    """Shares of answers that moved, the largest moves first."""
    ordered = sorted(diff.regions, key=lambda row: -abs(row.new - row.old))
    rows = [
        [row.sign, row.workload, row.region, f"{row.old:.1%}", f"{row.new:.1%}"]
        for row in ordered[:MOST_ROWS]
    ]
    if len(ordered) > MOST_ROWS:
        rows.append(["", f"and {len(ordered) - MOST_ROWS} more", "", "", ""])
    return rows


def liability_row(diff: PlanDiff) -> Rows:
    """What is signed beyond the period, beside the totals of the period; none without any."""
    old, new = diff.liability_usd
    if not (old or new):
        return []
    decimals = decimals_of("cost", old, new)
    change = "new" if not old else relative((new - old) / old)
    name = "signed beyond the period, USD"
    return [[name, plain(old, decimals), plain(new, decimals), signed(new - old, decimals), change]]


def total_rows(diff: PlanDiff) -> Rows:
    """Old, new, change in absolute and percent."""
    rows = []
    for total in diff.totals:
        decimals = decimals_of(total.objective, total.old, total.new)
        old, new, change, _ = rounded_change(total.old, total.new, total.effects, decimals)
        name = TITLES[total.objective] + ("" if total.objective == "qoe" else f", {total.unit}")
        rows.append(
            [name, plain(old, decimals), plain(new, decimals), signed(change, decimals),
             relative(total.change_relative)]
        )  # fmt: skip
    return rows


def cause_rows(diff: PlanDiff) -> Rows:
    """One row per cause, one column per objective; columns add up."""
    columns = []
    for total in diff.totals:
        decimals = decimals_of(total.objective, total.old, total.new)
        _, _, change, parts = rounded_change(total.old, total.new, total.effects, decimals)
        columns.append([signed(part, decimals) for part in (*parts, change)])
    return [[cause, *cells] for cause, *cells in zip((*CAUSES, "total"), *columns, strict=True)]


def cause_headings(diff: PlanDiff) -> list[str]:
    """The headings of `cause_rows`."""
    return ["cause", *(row[0] for row in total_rows(diff))]


def line_rows(total: TotalChange) -> Rows:
    """Line, change, what changed it; the largest first. They add up to the rows of `cause_rows`."""
    decimals = decimals_of(total.objective, total.old, total.new)
    _, _, _, whole = rounded_change(total.old, total.new, total.effects, decimals)
    columns = [
        apportioned([line.effects[at] for line in total.lines], effect, decimals)
        for at, effect in enumerate(whole)
    ]
    cells = list(zip(*columns, strict=True))
    order = sorted(range(len(cells)), key=lambda row: -max(abs(cell) for cell in cells[row]))
    rows = []
    for row in order:
        moved = [(cause, cell) for cause, cell in zip(CAUSES, cells[row], strict=True) if cell]
        if moved:
            change = signed(round(sum(cell for _, cell in moved), decimals), decimals)
            why = ", ".join(f"{cause} {signed(cell, decimals)}" for cause, cell in moved)
            rows.append([total.lines[row].line, change, why])
    return rows


def kept_said(diff: PlanDiff) -> list[str]:
    """The old plan under the new data: what it comes to, or what breaks."""
    if not diff.data.any and not diff.asked:
        return []
    kept, cost, carbon = diff.kept.objectives, diff.total("cost"), diff.total("carbon")
    worth = (
        f"{amount(kept.cost_usd, cost.unit)}, {amount(kept.carbon_kgco2e, carbon.unit)}, "
        f"QoE {kept.qoe:.4f}"
    )
    if diff.kept.feasible:
        return [f"The old plan still keeps every rule under the new data: {worth}."]
    said = [f"The old plan does not hold under the new data (it would come to {worth}):"]
    said += [one.said() for one in diff.kept.broken[:MOST_BROKEN]]
    if len(diff.kept.broken) > MOST_BROKEN:
        said.append(f"and {len(diff.kept.broken) - MOST_BROKEN} more rules")
    return said


def proof_said(diff: PlanDiff) -> list[str]:
    """What is proved of both plans."""
    said = []
    for name, side in (("old", diff.old), ("new", diff.new)):
        c = side.certificate
        said.append(
            f"{name}: {side.name}, {WORDS[c.minimised]} proved within "
            f"{gap(c.gap_relative)} of the least possible"
        )
    gaps = [side.certificate.gap_relative * abs(side.certificate.value)
            for side in (diff.old, diff.new)]  # fmt: skip
    same_aim = diff.old.certificate.minimised == diff.new.certificate.minimised == "cost"
    if same_aim and sum(gaps) > abs(diff.total("cost").change) > 0.0:
        said.append(
            f"the change of cost is within what the two proofs leave open "
            f"({amount(sum(gaps), 'USD')}): part of it may be the search's, not the data's"
        )
    return said


def asked_said(diff: PlanDiff) -> list[str]:
    """What was asked otherwise."""
    return [f"{setting}: {old} -> {new}" for setting, old, new in diff.asked]


# ------------------------------------------------------------------ data


def figures_said(data: DataChanges, kinds: Iterable[str] | None = None) -> list[str]:
    """One sentence per group of resolved figures."""
    wanted = None if kinds is None else set(kinds)
    return [figure(f) for f in data.figures if wanted is None or f.kind in wanted]


def figure(change: FigureChange) -> str:
    """``prices.l4: x0.8 (56 figures, 0.212 to 3.60 -> 0.17 to 2.88 USD per ...)``."""
    count = "" if change.count == 1 else f"{change.count} figures, "
    moved = f"{count}{span(change.old)} -> {span(change.new)} {change.unit}".rstrip()
    if change.factor is None:
        return f"{change.what}: {moved}"
    return f"{change.what}: x{change.factor:g} ({moved})"


def span(values: tuple[float, float] | str) -> str:
    """``1.9 to 6.88``."""
    if isinstance(values, str):
        return values
    low, high = values
    return number(low) if low == high else f"{number(low)} to {number(high)}"


def untold(table: TableChange) -> TableChange:
    """The table without the cells that resolved figures tell."""
    told = TOLD.get(table.table, frozenset())
    cells = tuple(
        cell
        for cell in table.changed
        if cell.column not in told and not cell.column.startswith(TOLD_SECTIONS)
    )
    return dataclasses.replace(table, changed=cells)


def table_said(table: TableChange) -> list[str]:
    """What differs in a table: rows first, then cells by column."""
    said = []
    for sign, names in (("+", table.added), ("-", table.removed)):
        if names:
            said.append(f"{sign} {_some(names)}")
    by_column: dict[str, list[tuple[str, str, str, str]]] = {}
    for cell in table.changed:
        by_column.setdefault(cell.column, []).append((cell.row, cell.old, cell.new, cell.unit))
    for column, cells in by_column.items():
        for row, old, new, unit in cells[:4]:
            where = f"{row}: " if row else ""
            said.append(f"~ {where}{column} {old} -> {new} {unit}".rstrip())
        if len(cells) > 4:
            said.append(f"~ {column} of {len(cells) - 4} more rows")
    return said


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:6])
    return shown + (f" and {len(names) - 6} more rows" if len(names) > 6 else "")


# ------------------------------------------------------------------ fronts and instances


def front_answer(diff: FrontDiff) -> str:
    """The first line about two fronts."""
    if diff.same:
        return "no change: the fronts and their data are the same"
    return (
        f"{diff.new_beaten} of {diff.new.points} new points are bettered by old ones, "
        f"{diff.old_beaten} of {diff.old.points} old points by new ones"
    )


def front_rows(diff: FrontDiff) -> Rows:
    """Size, proof and range of both fronts."""

    def cells(front: FrontRef) -> list[str]:
        epsilon = "unknown" if front.epsilon is None else percent(front.epsilon)
        state = "complete" if front.complete else "truncated"
        ideal, nadir = front.ideal, front.nadir
        return [
            str(front.points),
            f"{epsilon}, {state}",
            f"{number(ideal.cost_usd)} to {number(nadir.cost_usd)}",
            f"{number(ideal.carbon_kgco2e)} to {number(nadir.carbon_kgco2e)}",
            f"{nadir.qoe:.4f} to {ideal.qoe:.4f}",
        ]

    names = ("points", "epsilon proved", "cost, USD", "carbon, kgCO2e", "QoE")
    return [list(row) for row in zip(names, cells(diff.old), cells(diff.new), strict=True)]


def instance_answer(diff: InstanceDiff) -> str:
    """The first line about two instances."""
    if diff.same:
        return "no change: the instances say the same"
    tables = diff.data.tables
    rows = sum(len(t.added) + len(t.removed) for t in tables)
    cells = sum(len(t.changed) for t in tables)
    return (
        f"{len(tables)} table{'s' if len(tables) != 1 else ''} differ"
        f"{'' if len(tables) != 1 else 's'}: {rows} rows come or go, {cells} figures change"
    )
