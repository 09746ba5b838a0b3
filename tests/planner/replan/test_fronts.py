"""A front under new data: how far it moved, what is bettered, who succeeds."""

from __future__ import annotations

import numpy as np

from planner.replan.fronts import dominated, epsilon_between

OLD = np.array([[10.0, 5.0, 0.2], [20.0, 3.0, 0.1]])
RANGES = np.array([10.0, 2.0, 0.1])


def test_a_front_betters_nothing_of_itself() -> None:
    """Figures recomputed in another order differ in the last digits."""
    assert dominated(OLD, OLD * (1 - 1e-14)) == 0
    assert epsilon_between(OLD, OLD * (1 - 1e-14), RANGES) == 0.0


def test_what_is_cheaper_and_no_worse_betters() -> None:
    new = np.array([[9.0, 5.0, 0.2], [21.0, 2.0, 0.1]])
    assert dominated(OLD, new) == 1


def test_the_distance_is_in_shares_of_the_ranges() -> None:
    """One USD of a range of ten."""
    new = np.array([[9.0, 5.0, 0.2], [20.0, 3.0, 0.1]])
    assert np.isclose(epsilon_between(OLD, new, RANGES), 0.1)
