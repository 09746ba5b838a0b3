"""The program's optimum is the true one: enumeration and HiGHS agree on random tiny fleets."""

import numpy as np
import pytest

from models.fleet.program import build_program
from tests.brute_force import best_value
from tests.fleet_examples import tiny_fleet
from tests.models.fleet.solving import optimum

OBJECTIVES = (
    {"cost": 1.0},
    {"carbon": 1.0},
    {"qoe-loss": 1.0},
    {"cost": 1.0, "carbon": 4.0, "qoe-loss": 2e4, "water": 0.1},
)

LONG = (7, 22, 32, 42)
"""Seeds with a quarter of a million ways to buy and more."""


def agree(seed: int) -> None:
    data = tiny_fleet(seed)
    program = build_program(data)
    for weights in OBJECTIVES:
        truth = best_value(data, weights)
        assert np.isfinite(truth), "tiny fleets are feasible by construction"
        assert optimum(program, weights) == pytest.approx(truth, rel=1e-6, abs=1e-6), weights


@pytest.mark.parametrize("seed", [seed for seed in range(50) if seed not in LONG])
def test_program_equals_enumeration(seed: int) -> None:
    agree(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [*LONG, *range(50, 250)])
def test_program_equals_enumeration_at_length(seed: int) -> None:
    agree(seed)
