"""`planner export`: the stated program of an instance, for any solver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from models.fleet.program import build_program, minimize
from planner.answer.words import grid_said
from planner.candidates import build_candidates
from planner.errors import PlannerError
from planner.instance.facts import Facts
from planner.instance.grid import refines
from planner.program.files import write_lp, write_mps
from planner.program.matrix import Matrix
from planner.program.names import write_names


@dataclass(frozen=True)
class Export:
    """What was written."""

    objective: str
    """``cost``, ``carbon`` or ``qoe-loss``: what the program minimises"""
    columns: int
    integers: int
    """columns that must be whole numbers"""
    rows: int
    entries: int
    constant: float
    """what is paid whatever is decided, in the objective's unit: the cost of column `one`"""
    files: tuple[Path, ...]
    grid: str
    """lanes and operating points of the program, in sentences"""


def export_program(
    facts: Facts,
    mps: Path | None = None,
    lp: Path | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> Export:
    """Write the program that `planner.plan` solves for these facts, and ``FILE.names.csv``.

    The optimum of the file is that of the plan, what is paid whatever is decided included, in USD,
    kgCO2e or lost QoE of the period. Raises PlannerError without a file, RunError where one cannot
    be written, InfeasibleError where a workload cannot be served at all.
    """
    if mps is None and lp is None:
        raise PlannerError("name a file to write: --mps FILE or --lp FILE")
    objective = facts.instance.settings.minimize
    data = build_candidates(facts).data
    on_step(f"{len(data.route_group):,} routes; building the program")
    program = build_program(data)
    minimize(program, objective)
    matrix = Matrix.of(program)
    on_step(f"{len(matrix.columns):,} columns, {len(matrix.rows):,} rows; writing")
    comment = f"{facts.instance.settings.name}: least {objective}; names in *.names.csv"
    files: list[Path] = []
    for path, write in ((mps, write_mps), (lp, write_lp)):
        if path is not None:
            write(matrix, path, comment)
            names = path.with_name(f"{path.name}.names.csv")
            write_names((*matrix.columns, *matrix.rows), data, names)
            files += [path, names]
    return Export(
        objective,
        len(matrix.columns),
        int(matrix.integer.sum()),
        len(matrix.rows),
        len(matrix.entry),
        matrix.constant,
        tuple(files),
        _grid(facts),
    )


def _grid(facts: Facts) -> str:
    said = grid_said(facts)
    if not said or facts.grid is not None or not refines(facts):
        return said
    return (
        f"{said} `planner plan` may add some around its answer: `planner export RUN` writes the "
        "program with those that a run added."
    )
