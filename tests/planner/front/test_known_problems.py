"""The known problems themselves: two independent ways to the same front, and honest oracles."""

import moocore
import numpy as np
import pytest

from planner.errors import SolverError
from planner.front.geometry import (
    Box,
    Cut,
    LocalUpperBounds,
    contradicted,
    cost_bounds,
    enclosure_epsilon,
    epsilons,
    hypervolume_interval,
)
from planner.front.indicators import additive_epsilon
from tests.planner.front.known_problems import (
    MilpOracle,
    MockOracle,
    assignment,
    assignment_front,
    front_by_epsilon_constraint,
    knapsack,
    knapsack_front,
    mixed,
)


def test_enumeration_and_epsilon_constraint_agree_on_a_knapsack():
    problem = knapsack(items=8, seed=1)
    truth = knapsack_front(problem)
    assert len(truth) > 3
    np.testing.assert_allclose(front_by_epsilon_constraint(problem, step=1.0), truth, atol=1e-5)


def test_enumeration_and_epsilon_constraint_agree_on_an_assignment():
    problem = assignment(size=4, seed=2)
    truth = assignment_front(problem)
    assert len(truth) > 3
    np.testing.assert_allclose(front_by_epsilon_constraint(problem, step=1.0), truth, atol=1e-5)


@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 0, 0), (0.2, 0.5, 0.3)])
def test_weighted_bound_holds_on_the_whole_front_and_is_reached(weights):
    problem = knapsack(items=10, seed=3)
    point, bound = MilpOracle(problem).minimize_weighted(weights)
    values = knapsack_front(problem) @ np.array(weights)
    assert bound <= values.min() <= bound + 1e-3
    assert np.array(weights) @ point == pytest.approx(values.min())


def test_depth_below_a_corner_is_that_of_the_true_front():
    problem = assignment(size=5, seed=4)
    truth = assignment_front(problem)
    ranges = np.ptp(truth, axis=0)
    corner = np.array([np.inf, *truth.max(axis=0)[1:]])
    point, bound = MilpOracle(problem).minimize_below(corner, ranges)
    depths = ((corner - truth) / ranges).min(axis=1)
    assert bound == pytest.approx(depths.max(), abs=1e-5)
    assert np.all(point <= corner - depths.max() * ranges + 1e-5)


def test_nothing_below_the_ideal_is_proved_empty():
    problem = assignment(size=4, seed=5)
    truth = assignment_front(problem)
    point, bound = MilpOracle(problem).minimize_below(truth.min(axis=0) - 1.0, np.ones(3))
    assert point is None
    assert bound == -np.inf


def test_every_point_comes_with_a_feasible_solution():
    problem = mixed(binaries=4, continuous=4, rows=6, seed=6)
    oracle = MilpOracle(problem)
    point, bound = oracle.minimize_weighted([1, 1, 1])
    solution = oracle.solutions[tuple(point.tolist())]
    assert problem.feasible(solution)
    np.testing.assert_array_equal(problem.value(solution), point)
    assert bound <= point.sum()


@pytest.mark.parametrize("fault", ["fail", "timeout", "nonsense"])
def test_mock_is_honest_first_and_then_faulty(fault):
    problem = knapsack(items=8, seed=7)
    mock, honest = MockOracle(problem, good_calls=1, fault=fault), MilpOracle(problem)
    first, bound = mock.minimize_weighted([1, 1, 1])
    np.testing.assert_array_equal(first, honest.minimize_weighted([1, 1, 1])[0])
    assert np.isfinite(bound)
    if fault == "fail":
        with pytest.raises(SolverError):
            mock.minimize_weighted([1, 1, 1])
        return
    answers = [mock.minimize_weighted([1, 1, 1]), mock.minimize_below([0, 0, 0], [1, 1, 1])]
    if fault == "timeout":
        assert answers == [(None, -np.inf), (None, np.inf)]
    else:
        assert all(not np.isfinite(bound) for _, bound in answers)
        assert all(point is not None for point, _ in answers)


@pytest.mark.parametrize(
    ("problem", "enumerate_front"),
    [(knapsack(12, 8), knapsack_front), (assignment(5, 9), assignment_front)],
    ids=["knapsack", "assignment"],
)
def test_an_enclosure_from_the_oracle_holds_the_true_front(problem, enumerate_front):
    truth = enumerate_front(problem)
    ranges = np.ptp(truth, axis=0)
    oracle = MilpOracle(problem)
    points, cuts, boxes = [], [], []
    for weights in [*np.eye(3), np.ones(3), [1, 2, 3], [3, 2, 1]]:
        point, level = oracle.minimize_weighted(weights / ranges)
        points.append(point)
        cuts.append(Cut(weights / ranges, level))
    corners = LocalUpperBounds(np.full(3, np.inf))
    corners.insert_all(points)
    before = enclosure_epsilon(corners.corners, cuts, boxes, ranges)
    for _ in range(8):
        open_corners = corners.corners
        corner = open_corners[np.argmax(epsilons(open_corners, cuts, boxes, ranges))]
        point, depth = oracle.minimize_below(corner, ranges)
        # No feasible f is deeper below the corner than `depth`: an empty box there.
        boxes.append(Box(corner if depth == -np.inf else corner - depth * ranges, 0, np.inf))
        if point is not None:
            points.append(point)
            corners.insert(point)
    assert not contradicted(truth, cuts, boxes, ranges).any()
    assert np.all(cost_bounds(truth, cuts, boxes) <= truth[:, 0] + 1e-9)
    epsilon = enclosure_epsilon(corners.corners, cuts, boxes, ranges)
    uncovered = additive_epsilon(points, truth, ranges)
    assert uncovered <= epsilon < before
    reference = truth.max(axis=0) + 0.1 * ranges
    interval = hypervolume_interval(points, cuts, boxes, reference)
    whole = moocore.hypervolume(truth, ref=reference)
    assert interval.lower <= whole <= interval.upper


def test_points_of_the_mixed_problem_lie_on_its_front():
    problem = mixed(binaries=9, continuous=6, rows=12, seed=0)
    front = front_by_epsilon_constraint(problem, step=40.0)
    assert len(front) > 5
    ranges = np.ptp(front, axis=0)
    oracle = MilpOracle(problem)
    for point in front[::4]:
        _, depth = oracle.minimize_below(point, ranges)
        # Nothing is better in all three by more than the tolerances.
        assert depth <= 1e-5


def test_a_mixed_problem_needs_a_row_per_binary():
    with pytest.raises(ValueError, match="row of its own"):
        mixed(binaries=5, continuous=2, rows=5, seed=0)
