"""What the engine left out as dominated costs a bound nothing, at whatever prices it is proved."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.answer.certificate import proof
from planner.api import Request, load, with_request
from planner.candidates import build_candidates
from planner.solve.assignments import Cases
from planner.solve.bound import Bound
from planner.solve.engine import unit_weights
from planner.solve.generation import Generation
from planner.solve.index import FleetIndex
from planner.solve.master import Master
from planner.verify.proof import verify_proof

SMALL = Path(__file__).parents[2] / "instances" / "small"


def test_the_checker_proves_what_early_prices_prove_to_the_engine() -> None:
    """On small the price of a small replica lies on memory where the large one that it dominates
    lacks work."""
    facts = with_request(load(SMALL), Request(minimize="cost"))
    candidates = build_candidates(facts)
    assert candidates.dominated_pools
    index = FleetIndex.build(candidates.data)
    generation = Generation(Master(index, unit_weights("cost")))
    found: list[Bound] = [generation.start()]
    generation.generate(1e-3, on_bound=found.append)
    for bound in (found[0], found[len(found) // 2], found[-1]):
        proved = verify_proof(facts, proof(facts, candidates, index, Cases.of(bound)))
        assert proved == pytest.approx(bound.value, rel=1e-6)
