"""A sweep: one figure takes several values, the plan is re-solved at each; a table and a picture.

Values are solved from the one nearest to today outwards, each from its neighbour's plan; at the
end every plan is tried at its neighbours' values too, so that no point is worse than what a
neighbour's decisions would give there.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.answer.words import variant_said
from planner.api import with_request
from planner.compare.sides import PlanSide
from planner.errors import InfeasibleError, PlannerError, RunError, SolverError, VerificationError
from planner.explain.bench import Bench, Solved
from planner.explain.choices import differences
from planner.explain.clock import Clock, useful_s
from planner.explain.study import read_proof
from planner.explain.whatif import base_facts, changed_request
from planner.front.choose import fleet_of
from planner.instance.changes import parse_change
from planner.numbers import asked_number
from planner.plan import Objectives, Plan
from planner.runs import new_folder

if TYPE_CHECKING:
    import pandas as pd

MOST_VALUES = 101
SWEEP = re.compile(r"\s*(?P<head>.+?=)\s*(?P<low>[^:]+):(?P<high>[^:]+):(?P<count>[0-9]+)\s*")
CSV_FILE, JSON_FILE, PAGE_FILE = "sweep.csv", "sweep.json", "sweep.html"


@dataclass(frozen=True)
class SweepPoint:
    """The plan at one value; None where none exists (`note` says what conflicts) or none was
    found in time."""

    value: float
    change: str
    objectives: Objectives | None
    bound: float | None
    """least possible of what is minimised, in its unit"""
    gap_relative: float | None
    adaptation: dict[str, str]
    """workload -> variant in words"""
    accelerators: dict[str, int]
    """accelerator -> most held at once"""
    against_previous: str
    """how the decisions differ from those at the value before, in words"""
    note: str = ""


@dataclass(frozen=True)
class Sweep:
    """All values, ascending."""

    run: str
    instance: str
    minimised: str
    change: str
    """the expression without its value"""
    changes: tuple[str, ...]
    """what was changed at every value besides"""
    points: tuple[SweepPoint, ...]
    not_reached: tuple[float, ...]
    seconds: float
    folder: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists, ready for JSON."""
        return dataclasses.asdict(self)

    def to_csv(self) -> str:
        """One row per value."""
        rows = self._rows()
        names = dict.fromkeys(name for row in rows for name in row)
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(names), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    def to_frame(self) -> pd.DataFrame:
        """One row per value."""
        import pandas as pd

        return pd.DataFrame(self._rows())

    def _rows(self) -> list[dict[str, Any]]:
        """Objectives, proof and decisions of every value."""
        rows: list[dict[str, Any]] = []
        for point in self.points:
            o = point.objectives
            row: dict[str, Any] = {
                "value": point.value,
                "cost_usd": "" if o is None else o.cost_usd,
                "carbon_kgco2e": "" if o is None else o.carbon_kgco2e,
                "qoe": "" if o is None else o.qoe,
                f"{self.minimised}_bound": "" if point.bound is None else point.bound,
                "gap_relative": "" if point.gap_relative is None else point.gap_relative,
            }
            row |= {f"adaptation {name}": said for name, said in point.adaptation.items()}
            row |= {f"accelerators {name}": n for name, n in point.accelerators.items()}
            rows.append({**row, "note": point.note})
        return rows

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False))


def parse_sweep(text: str) -> tuple[str, tuple[float, ...]]:
    """``prices.h100*=0.5:1.5:11`` -> (expression without value, values ascending).

    PlannerError where it cannot be read.
    """
    found = SWEEP.fullmatch(text)
    form = f"sweep {text!r}: write PATH*=FROM:TO:COUNT, e.g. prices.h100*=0.5:1.5:11"
    if found is None:
        raise PlannerError(form)
    try:
        low, high = asked_number(found["low"]), asked_number(found["high"])
    except ValueError as error:
        raise PlannerError(f"{form}; {error}") from None
    count = int(found["count"])
    if not 2 <= count <= MOST_VALUES or not low < high:
        raise PlannerError(
            f"sweep {text!r}: 2 to {MOST_VALUES} values, from a smaller to a larger one"
        )
    head = found["head"].rstrip()
    parse_change(f"{head}{low:.10g}")
    return head, tuple(round(float(value), 12) for value in np.linspace(low, high, count))


def run_sweep(
    folder: Path,
    changes: tuple[str, ...],
    text: str,
    point: str | None,
    time_limit_s: float,
    output: Path | None,
) -> Sweep:
    """Solve every value, write table and picture into a new folder."""
    clock = Clock(time_limit_s)
    head, values = parse_sweep(text)
    side, proof = read_proof(folder, point)
    clock.useful_s = useful_s(side.plan)
    facts, _ = base_facts(folder, side, changes)
    request = changed_request(side, changes, time_limit_s)
    base = dataclasses.replace(side, facts=with_request(facts, request), request=request)
    swept = Swept(Bench.of(base, proof), head, values, side.plan)
    swept.solve(clock)
    if len(swept.refused) == len(values):
        raise swept.refused[values[0]]
    swept.share()
    place = output or new_folder(f"{facts.instance.settings.name}-sweep")
    found = dataclasses.replace(
        swept.result(base, changes), seconds=clock.spent_s, folder=str(place)
    )
    write_sweep(place, found)
    return found


@dataclass
class Swept:
    """The values in work."""

    bench: Bench
    head: str
    values: tuple[float, ...]
    plan: Plan

    def __post_init__(self) -> None:
        self.benches: dict[float, Bench] = {}
        self.solved: dict[float, Solved] = {}
        self.notes: dict[float, str] = {}
        self.refused: dict[float, PlannerError] = {}
        self.missed: list[float] = []

    def change(self, value: float) -> str:
        """The whole expression."""
        return f"{self.head}{value:.10g}"

    def solve(self, clock: Clock) -> None:
        """From the value nearest to today upwards, then downwards, each from its neighbour."""
        operator = parse_change(self.change(self.values[0])).operator
        today = 1.0 if operator == "*=" else 0.0 if operator in ("+=", "-=") else self.values[0]
        first = min(range(len(self.values)), key=lambda i: abs(self.values[i] - today))
        order = [*range(first, len(self.values)), *range(first - 1, -1, -1)]
        for at, i in enumerate(order):
            value = self.values[i]
            neighbours = [self.solved[v].plan for v in self.beside(i) if v in self.solved]
            seconds = clock.each(len(order) - at)
            if seconds:
                self.at(value, seconds, *neighbours, self.plan)
            else:
                self.missed.append(value)

    def beside(self, i: int) -> list[float]:
        """The values before and after."""
        return [self.values[j] for j in (i - 1, i + 1) if 0 <= j < len(self.values)]

    def at(self, value: float, seconds: float, *starts: Plan) -> None:
        """One value, from these plans."""
        clock = Clock(seconds)
        try:
            bench = self.bench.changed([self.change(value)])
            self.benches[value] = bench
            self.solved[value] = bench.solve(max(clock.left_s, 0.1), *starts)
        except InfeasibleError as error:
            self.notes[value] = f"no plan exists (proved): {error}"
        except (SolverError, VerificationError) as error:
            self.notes[value] = str(error)
            quick = self.benches[value].quick(*starts) if value in self.benches else None
            if quick is None:
                self.missed.append(value)
            else:
                self.solved[value] = quick
        except PlannerError as error:
            self.refused[value] = error
            self.notes[value] = f"not possible: {error}"

    def share(self) -> None:
        """Every neighbour's decisions at every value, until none is better."""
        for order in (range(len(self.values)), range(len(self.values) - 1, -1, -1)):
            for i in order:
                value = self.values[i]
                mine = self.solved.get(value)
                plans = [self.solved[v].plan for v in self.beside(i) if v in self.solved]
                if mine is None or not plans:
                    continue
                other = self.benches[value].quick(*plans)
                if other is not None and other.value < mine.value:
                    bound = min(mine.bound, other.value)
                    self.solved[value] = dataclasses.replace(other, bound=bound)

    def result(self, side: PlanSide, changes: tuple[str, ...]) -> Sweep:
        """The table."""
        points: list[SweepPoint] = []
        before: Plan | None = None
        for value in self.values:
            if value in self.missed and value not in self.notes:
                continue
            solved = self.solved.get(value)
            points.append(self._point(value, solved, before))
            before = before if solved is None else solved.plan
        return Sweep(
            run=side.path,
            instance=self.bench.facts.instance.settings.name,
            minimised=self.bench.objective,
            change=self.head,
            changes=changes,
            points=tuple(points),
            not_reached=tuple(sorted(self.missed)),
            seconds=0.0,
        )

    def _point(self, value: float, solved: Solved | None, before: Plan | None) -> SweepPoint:
        note = self.notes.get(value, "")
        if solved is None:
            return SweepPoint(value, self.change(value), None, None, None, {}, {}, "", note)
        plan = solved.plan
        held: dict[str, int] = {}
        for (_, card, _), count in fleet_of(plan).items():
            held[card] = held.get(card, 0) + count
        return SweepPoint(
            value=value,
            change=self.change(value),
            objectives=plan.objectives,
            bound=solved.bound,
            gap_relative=solved.gap_relative,
            adaptation={row.workload: variant_said(row) for row in plan.adoption},
            accelerators=held,
            against_previous="" if before is None else differences(before, plan),
            note=note,
        )


def write_sweep(folder: Path, found: Sweep) -> None:
    """Table, JSON and picture; RunError where the place is taken or cannot be written."""
    from planner.report.sweep import sweep_page

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} is not empty: name another with --output")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CSV_FILE).write_text(found.to_csv(), encoding="utf-8", newline="")
        text = json.dumps(found.to_dict(), indent=1, allow_nan=False)
        (folder / JSON_FILE).write_text(text, encoding="utf-8")
        (folder / PAGE_FILE).write_text(sweep_page(found), encoding="utf-8")
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror or error}") from error
