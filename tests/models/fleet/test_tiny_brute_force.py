"""`instances/tiny` itself: the plan of every objective equals the best of all plans, enumerated."""

import json
from pathlib import Path

import pytest

from planner.api import load
from planner.candidates import build_candidates
from planner.solve.engine import minimize
from planner.solve.options import EngineOptions
from tests.brute_force_by_slice import best_value_by_slice

TINY = Path(__file__).resolve().parents[3] / "instances" / "tiny"


@pytest.mark.parametrize("objective", ["cost", "carbon", "qoe-loss"])
def test_tiny_equals_brute_force(objective: str) -> None:
    facts = load(TINY)
    truth = best_value_by_slice(build_candidates(facts, prune=False).data, {objective: 1.0})
    expected = json.loads((TINY / "expected.json").read_text(encoding="utf-8"))
    assert expected[objective] == pytest.approx(truth, rel=1e-6)
    found = minimize(build_candidates(facts).data, objective, EngineOptions(1e-6, 60.0))
    assert found.value == pytest.approx(truth, rel=1e-5)
    assert found.bound <= truth * (1.0 + 1e-6)
