"""Recorded runs compared by cause; two plans side by side, in plain text."""

from __future__ import annotations

import dataclasses
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from planner.answer.words import number, percent, variant_said
from planner.cli.text import table
from planner.errors import HistoryError
from planner.history.folders import FRONT, write_folder
from planner.plan import Objectives, Plan
from planner.runs import PLAN
from planner.verify.report import agree

if TYPE_CHECKING:
    from planner.compare.fronts import FrontDiff
    from planner.compare.instances import InstanceDiff
    from planner.compare.plans import PlanDiff
    from planner.compare.sides import Side
    from planner.history.history import History


def two_runs(history: History, old: str, new: str) -> PlanDiff | FrontDiff | InstanceDiff:
    """Two runs by their ids, compared as `planner diff` compares their folders.

    Raises HistoryError for a run without an answer, RunError for a plan beside a front.
    """
    from planner.compare.compare import compare

    with tempfile.TemporaryDirectory(prefix="planner-history-") as scratch:
        sides = (
            _side(history, old, Path(scratch) / "old"),
            _side(history, new, Path(scratch) / "new"),
        )
        return compare(*sides)


def _side(history: History, run_id: str, folder: Path) -> Side:
    """A recorded run, its folder written again, under the name of its id."""
    from planner.compare.sides import read_side

    paths = [file.path for file in history.files(run_id)]
    if not {PLAN, FRONT} & set(paths):
        raise HistoryError(f"{run_id} holds no plan and no front to compare")
    write_folder(folder, ((path, history.read(run_id, path)) for path in paths))
    return dataclasses.replace(read_side(folder), path=run_id)


def two_plans(old: Plan, new: Plan, old_now: Objectives | None = None) -> str:
    """Objectives, machines held and adaptation, old against new.

    `old_now`: the old plan's objectives under the new plan's data, where they were recomputed.
    """
    before = old_now or old.objectives
    heading = "old plan, new data" if old_now else "old"
    rows = [
        _figures("cost, USD", before.cost_usd, new.objectives.cost_usd),
        _figures("carbon, kgCO2e", before.carbon_kgco2e, new.objectives.carbon_kgco2e),
        _figures("QoE", before.qoe, new.objectives.qoe),
    ]
    headings = ("of the period", heading, "new", "change", "")
    lines = table(headings, rows, numbers=(1, 2, 3, 4))
    lines += ["", *_fleet(old, new), "", *_adoption(old, new)]
    return "\n".join(line.removeprefix("  ").rstrip() for line in lines) + "\n"


def _figures(name: str, old: float, new: float) -> list[str]:
    change = 0.0 if agree(old, new) else new - old
    sign = "+" if change > 0 else ""
    share = f"{sign}{percent(change / old)}" if old else ""
    if max(abs(old), abs(new)) <= 1.0:
        return [name, f"{old:.4f}", f"{new:.4f}", f"{change:+.4f}" if change else "0", share]
    return [name, number(old), number(new), f"{sign}{number(change)}", share]


def _fleet(old: Plan, new: Plan) -> list[str]:
    """Most accelerators held at once, where they differ."""
    before, after = _peaks(old), _peaks(new)
    rows = []
    for key in sorted(before.keys() | after.keys()):
        had, has = before.get(key, 0), after.get(key, 0)
        if had != has:
            mark = "+" if not had else "-" if not has else "~"
            rows.append([f"{mark} {key[0]}", *key[1:], f"{had:,}", f"{has:,}", f"{has - had:+,}"])
    if not rows:
        return ["  no machines change"]
    headings = ("  region", "accelerator", "market", "old", "new", "change")
    return table(headings, rows, numbers=(3, 4, 5))


def _peaks(plan: Plan) -> dict[tuple[str, str, str], int]:
    """(region, accelerator, market) -> most accelerators in any slice."""
    always: dict[tuple[str, str, str], int] = defaultdict(int)
    by_slice: dict[tuple[str, str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for line in plan.fleet:
        key = (line.region, line.accelerator, line.market)
        if line.slice is None:
            always[key] += line.accelerators * line.instances
        else:
            by_slice[key][line.slice] += line.accelerators * line.instances
    keys = always.keys() | by_slice.keys()
    return {key: always[key] + max(by_slice[key].values(), default=0) for key in keys}


def _adoption(old: Plan, new: Plan) -> list[str]:
    """Workloads whose variant differs."""
    before = {row.workload: variant_said(row) for row in old.adoption}
    after = {row.workload: variant_said(row) for row in new.adoption}
    rows = [
        [name, before.get(name, "none"), after.get(name, "none")]
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    if not rows:
        return ["  no workload changes its llm or adaptation"]
    return table(("workload", "old", "new"), rows)
