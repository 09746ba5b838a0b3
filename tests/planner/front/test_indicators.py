"""Indicators with moocore, against values known by hand and their defining properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from planner.front.indicators import additive_epsilon, hypervolume, indicators, spread

UNIT = ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
lists = hnp.arrays(float, st.tuples(st.integers(1, 8), st.just(3)), elements=st.floats(0, 1))


def test_hypervolume_by_hand():
    assert hypervolume([[0.5, 0.5, 0.5]], *UNIT) == pytest.approx(0.125)
    assert hypervolume([[50, 0.5, 5]], [0, 0, 0], [100, 1, 10]) == pytest.approx(0.125)
    assert hypervolume([[0.5, 0.5, 0.5], [0, 0, 2]], *UNIT) == pytest.approx(0.125)
    assert hypervolume(np.empty((0, 3)), *UNIT) == 0.0


@settings(deadline=None)
@given(lists, lists)
def test_a_longer_list_never_has_less_hypervolume(points, more):
    both = hypervolume(np.vstack([points, more]), *UNIT)
    assert both >= hypervolume(points, *UNIT) - 1e-12


@settings(deadline=None)
@given(lists, lists)
def test_additive_epsilon_is_its_definition(points, against):
    ranges = np.array([2.0, 0.5, 1.0])
    definition = ((points[None] - against[:, None]) / ranges).max(axis=2).min(axis=1).max()
    assert additive_epsilon(points, against, ranges) == pytest.approx(definition, abs=1e-12)


def test_additive_epsilon_needs_both_lists():
    with pytest.raises(ValueError, match="both sides"):
        additive_epsilon(np.empty((0, 3)), [[1, 1, 1]], [1, 1, 1])


def test_spread_is_zero_where_even_and_grows_with_clusters():
    even = np.column_stack([np.linspace(0, 1, 5), np.linspace(1, 0, 5)])
    clustered = even.copy()
    clustered[1] = [0.05, 0.95]
    clustered[2] = [0.10, 0.90]
    assert spread(even, [1, 1]) == pytest.approx(0.0, abs=1e-12)
    assert spread(clustered, [1, 1]) > 0.5


def test_spread_counts_ends_not_reached():
    middle = [[0.4, 0.6], [0.5, 0.5], [0.6, 0.4]]
    assert spread(middle, [1, 1], extremes=[[0, 1], [1, 0]]) > 0.5
    assert spread(middle, [1, 1]) == pytest.approx(0.0, abs=1e-9)


def test_spread_needs_two_points():
    assert spread([[1, 2]], [1, 1]) is None
    assert spread([[1, 2], [2, 3]], [1, 1]) is None


def test_all_indicators_together():
    points = [[0.2, 0.8, 0.5], [0.8, 0.2, 0.5], [0.9, 0.9, 0.9]]
    found = indicators(points, *UNIT, against=[[0.1, 0.7, 0.5]])
    assert found.points == 2
    assert found.hypervolume == pytest.approx(hypervolume(points, *UNIT))
    assert found.additive_epsilon == pytest.approx(0.1)
    assert found.spread == pytest.approx(0.0, abs=1e-9)
    assert indicators(points, *UNIT).additive_epsilon is None
    assert indicators(np.empty((0, 3)), *UNIT, against=points).additive_epsilon is None


def test_an_ideal_above_the_reference_is_refused():
    with pytest.raises(ValueError, match="below the reference"):
        indicators([[0.5, 0.5]], [1, 0], [1, 1])
