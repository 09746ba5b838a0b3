"""What-if: the plan of a run re-solved under changed figures, begun from the old plan.

The new run is a run folder like any other: it keeps the changes, so that it is reproduced and
verified with them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.api import Answer, Request, answer, load
from planner.compare.plans import PlanDiff, diff_plans
from planner.compare.sides import PlanSide
from planner.explain.study import read_proof
from planner.incumbent import incumbent_of
from planner.instance.changes import Applied, apply_changes
from planner.instance.facts import Facts
from planner.runs import INSTANCE, check_place, new_folder, write_run
from planner.solve.options import ProgressListener

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class WhatIf:
    """The new plan beside the old one; the new run is in `run_folder`."""

    changes: tuple[Applied, ...]
    diff: PlanDiff
    answer: Answer
    run_folder: Path

    @property
    def exit_code(self) -> int:
        """0: the gap asked for is proved; 5: stopped at a limit with an answer."""
        return self.answer.exit_code

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists, ready for JSON."""
        return {
            "run_folder": str(self.run_folder),
            "changes": [dataclasses.asdict(change) for change in self.changes],
            "diff": self.diff.to_dict(),
        }

    def to_frame(self) -> pd.DataFrame:
        """The frame of the difference."""
        return self.diff.to_frame()

    def _repr_html_(self) -> str:
        return self.diff._repr_html_()


def run_whatif(
    folder: Path,
    changes: tuple[str, ...],
    point: str | None,
    time_limit_s: float,
    output: Path | None,
    on_progress: ProgressListener | None = None,
) -> WhatIf:
    """Re-solve, write the new run, compare."""
    if output is not None:
        check_place(output)
    side, proof = read_proof(folder, point)
    facts, applied = base_facts(folder, side, changes)
    request = changed_request(side, changes, time_limit_s)
    found = answer(facts, request, start=(side.plan,), start_proof=proof, on_progress=on_progress)
    name = f"{facts.instance.settings.name}-whatif"
    place = write_run(output or new_folder(name), found)
    new = PlanSide(str(place), found.facts, found.request, found.plan, incumbent_of(found.facts))
    return WhatIf(applied, diff_plans(side, new), found, place)


def base_facts(
    folder: Path, side: PlanSide, changes: tuple[str, ...]
) -> tuple[Facts, tuple[Applied, ...]]:
    """The run's instance before anything is asked of it, and what the changes move in it."""
    _, applied = apply_changes(side.facts, changes)
    return load(folder / INSTANCE), applied


def changed_request(side: PlanSide, changes: tuple[str, ...], time_limit_s: float) -> Request:
    """What the run asked, with the changes after its own."""
    return dataclasses.replace(
        side.request, changes=(*side.request.changes, *changes), time_limit_s=time_limit_s
    )
