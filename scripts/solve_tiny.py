"""Write instances/tiny/expected.json: the optimum of each objective, without the engine.

    python scripts/solve_tiny.py

The whole Pyomo program is solved by HiGHS to a relative gap of 1e-9.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from models.fleet.program import build_program
from planner.api import load
from planner.candidates.build import build_candidates
from tests.models.fleet.solving import optimum

if __name__ == "__main__":
    folder = ROOT / "instances" / "tiny"
    program = build_program(build_candidates(load(folder), prune=False).data)
    answers = {name: optimum(program, name) for name in ("cost", "carbon", "qoe-loss")}
    (folder / "expected.json").write_text(json.dumps(answers, indent=2) + "\n", encoding="utf-8")
