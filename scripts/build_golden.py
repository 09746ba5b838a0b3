"""Write the golden LP files of the fleet program: one per constraint family and objective.

    python scripts/build_golden.py

Each file holds one family alone on a small fleet that has every rule, so that a change of the
mathematics shows as a readable difference in review.
"""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyomo.environ as pyo
from pyomo.repn.plugins.lp_writer import LPWriter

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from models.fleet.data import FleetData
from models.fleet.objectives import TOTALS
from models.fleet.program import CONSTRAINTS, build_program, minimize
from tests.fleet_examples import full_fleet

FOLDER = ROOT / "tests" / "models" / "fleet" / "golden"
FAMILIES = (*(function.__name__ for function in CONSTRAINTS), "cap_totals")


def golden_texts() -> dict[str, str]:
    """File name -> LP text, for every family and every objective."""
    program = build_program(fleet())
    constraints = list(program.component_objects(pyo.Constraint))
    texts = {}
    program.minimise.deactivate()
    program.nothing = pyo.Objective(expr=0.0)
    for family in constraints:
        for other in constraints:
            other.deactivate()
        family.activate()
        texts[f"{family.name}.lp"] = _text(program)
    family.deactivate()
    program.nothing.deactivate()
    for total in TOTALS:
        minimize(program, total)
        texts[f"objective_{total}.lp"] = _text(program)
    return texts


def fleet() -> FleetData:
    """The full fleet; the first route on a machine of its own is a trifle, as (3b) needs."""
    data = full_fleet(origins=1, configs=1)
    share = data.route_share.copy()
    share[np.flatnonzero(data.route_pool >= 0)[0]] *= 1e-6
    return replace(data, route_share=share)


def _text(program: pyo.ConcreteModel) -> str:
    stream = io.StringIO()
    LPWriter().write(program, stream, symbolic_solver_labels=True)
    return stream.getvalue()


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in FOLDER.glob("*.lp"):
        path.unlink()
    for name, text in golden_texts().items():
        (FOLDER / name).write_text(text)
    print(f"{len(list(FOLDER.glob('*.lp')))} golden files in {FOLDER.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
