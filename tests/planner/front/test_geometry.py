"""Geometry of the enclosure, against brute force."""

import itertools
import time

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from planner.front.geometry import (
    Box,
    Cut,
    LocalUpperBounds,
    contradicted,
    corner_epsilon,
    cost_bounds,
    cut_floor,
    enclosure_epsilon,
    epsilons,
    hypervolume_interval,
    local_upper_bounds,
    nondominated,
    proved_ideal,
    relative_gaps,
    stack_cuts,
)

QUICK = settings(max_examples=60, deadline=None)


def grids(most_points=9, m=None):
    """Lists of points on a coarse grid, so that ties are the rule."""
    objectives = st.just(m) if m else st.integers(2, 4)
    return objectives.flatmap(
        lambda k: hnp.arrays(
            float,
            st.tuples(st.integers(1, most_points), st.just(k)),
            elements=st.integers(0, 4).map(float),
        )
    )


def cells(m, low=-0.5, high=6):
    """Every midpoint and grid value of the coarse grid."""
    axis = np.arange(low, high, 0.5)
    return np.array(list(itertools.product(axis, repeat=m)))


def feasible_sample(rng, n, m):
    return rng.uniform(0, 1, size=(n, m)) ** 0.5


def cuts_of(feasible, rng, k):
    """Tight cuts of a finite feasible set, the axes among them."""
    weights = np.vstack([np.eye(feasible.shape[1]), rng.dirichlet(np.ones(feasible.shape[1]), k)])
    return [Cut(w, (feasible @ w).min()) for w in weights]


def boxes_of(feasible, rng, k):
    """True boxes of a finite feasible set."""
    boxes = []
    for _ in range(k):
        upper = rng.uniform(0.2, 1.2, size=feasible.shape[1])
        c = int(rng.integers(feasible.shape[1]))
        below = feasible[np.all(feasible <= upper, axis=1)]
        boxes.append(Box(upper, c, below[:, c].min() if len(below) else np.inf))
    return boxes


# ---------------------------------------------------------------- dominance


@QUICK
@given(grids())
def test_nondominated_keeps_one_of_each_minimal_point(points):
    keep = nondominated(points)
    kept = points[keep]
    assert len(np.unique(kept, axis=0)) == len(kept)
    for p in points:
        assert np.any(np.all(kept <= p, axis=1))
    for i, j in itertools.permutations(range(len(kept)), 2):
        assert not np.all(kept[i] <= kept[j])


def test_of_equal_points_the_first_is_kept():
    assert nondominated([[1, 2], [1, 2], [0, 3], [1, 3]]).tolist() == [True, False, True, False]


def test_no_points_no_mask():
    assert nondominated(np.empty((0, 3))).tolist() == []


# ---------------------------------------------------------------- local upper bounds


@QUICK
@given(grids(), st.booleans())
def test_corners_cover_exactly_what_no_point_weakly_dominates(points, bounded):
    m = points.shape[1]
    reference = np.full(m, 4.0 if bounded else np.inf)
    corners = local_upper_bounds(points, reference)
    for y in cells(m) if m < 4 else cells(m)[::7]:
        if not np.all(y < reference):
            continue
        free = not np.any(np.all(points <= y, axis=1))
        assert np.any(np.all(y < corners, axis=1)) == free


@QUICK
@given(grids())
def test_no_corner_is_redundant(points):
    corners = local_upper_bounds(points, np.full(points.shape[1], 5.0))
    for i, j in itertools.permutations(range(len(corners)), 2):
        assert not np.all(corners[i] <= corners[j])


@QUICK
@given(grids(), st.randoms(use_true_random=False))
def test_order_of_insertion_does_not_matter(points, random):
    reference = np.full(points.shape[1], np.inf)
    shuffled = points.copy().tolist()
    random.shuffle(shuffled)
    first = {tuple(u) for u in local_upper_bounds(points, reference)}
    second = {tuple(u) for u in local_upper_bounds(np.array(shuffled), reference)}
    assert first == second


def test_insert_says_whether_the_point_was_new():
    bounds = LocalUpperBounds([5.0, 5.0, 5.0])
    assert bounds.insert([1, 1, 1])
    assert not bounds.insert([1, 1, 1])
    assert not bounds.insert([2, 1, 1])
    assert not bounds.insert([0, 0, 5])
    assert bounds.insert([0, 1, 2])
    assert len(bounds.points) == 2


def test_500_points_in_three_dimensions_take_less_than_a_second():
    rng = np.random.default_rng(0)
    points = rng.dirichlet(np.ones(3), size=500)
    start = time.process_time()
    corners = local_upper_bounds(points, np.full(3, np.inf))
    assert time.process_time() - start < 1.0
    # 2 n + 1 in general position (Daechert and Klamroth 2015).
    assert len(corners) == 1001


@pytest.mark.parametrize("point", [[np.nan, 0.0], [np.inf, 0.0], [0.0]])
def test_a_point_that_is_not_numbers_is_refused(point):
    with pytest.raises(ValueError, match="finite point"):
        LocalUpperBounds([1.0, 1.0]).insert(point)


# ---------------------------------------------------------------- cuts, boxes, epsilon


@pytest.mark.parametrize(
    ("weights", "level"), [([0, 0], 1), ([-1, 1], 1), ([np.nan, 1], 1), ([1, 1], np.inf)]
)
def test_a_cut_that_proves_nothing_is_refused(weights, level):
    with pytest.raises(ValueError, match="cut"):
        Cut(weights, level)


def test_a_box_needs_a_coordinate_and_numbers():
    with pytest.raises(ValueError, match="coordinate"):
        Box([1.0, 1.0], 2, 0.0)
    with pytest.raises(ValueError, match="numbers"):
        Box([1.0, 1.0], 0, np.nan)


def test_epsilon_by_hand():
    cuts = [Cut([1, 1], 1.0), Cut([1, 0], 0.0)]
    ranges = [1.0, 2.0]
    # (1 + 1 - 1) / 3 and (1 - 0) / 1
    assert corner_epsilon([1, 1], *stack_cuts(cuts, 2), ranges) == pytest.approx(1 / 3)
    # The first cut sees an infinite coordinate, the second does not.
    assert corner_epsilon([0.5, np.inf], *stack_cuts(cuts, 2), ranges) == pytest.approx(0.5)
    assert corner_epsilon([np.inf, 0.5], *stack_cuts(cuts, 2), ranges) == np.inf
    assert enclosure_epsilon([[1, 1], [0.5, np.inf]], cuts, [], ranges) == pytest.approx(0.5)
    assert enclosure_epsilon([[0.2, 0.2]], cuts, [], ranges) == 0.0


def test_a_box_closes_a_corner_inside_it():
    assert epsilons([[1.0, 1.0]], [], [Box([2, 2], 0, 0.75)], [0.5, 1])[0] == pytest.approx(0.5)
    # One step of (0.5, 1) above the corner the empty box ends.
    assert epsilons([[1.0, 1.0]], [], [Box([2, 2], 0, np.inf)], [0.5, 1])[0] == -1.0
    assert epsilons([[1.0, 1.0]], [], [Box([np.inf] * 2, 0, np.inf)], [0.5, 1])[0] == -np.inf
    assert epsilons([[1.0, 1.0]], [], [Box([np.inf, 2], 1, 1.0)], [0.5, 1])[0] == 0.0


def test_a_box_just_below_a_corner_bounds_it_by_the_step_down_to_the_box():
    box = Box([2.0, 0.9], 0, np.inf)
    assert epsilons([[1.0, 1.0]], [], [box], [1, 1])[0] == pytest.approx(0.1)
    assert epsilons([[1.0, np.inf]], [], [box], [1, 1])[0] == np.inf


@pytest.mark.parametrize("m", [2, 3, 4])
@pytest.mark.parametrize("seed", range(6))
def test_epsilon_holds_for_every_feasible_vector(m, seed):
    rng = np.random.default_rng(seed)
    feasible = feasible_sample(rng, 300, m)
    ranges = rng.uniform(0.5, 2.0, size=m)
    cuts, boxes = cuts_of(feasible, rng, 5), boxes_of(feasible, rng, 8)
    corners = rng.uniform(0.1, 1.5, size=(60, m))
    depth = ((corners[:, None, :] - feasible[None]) / ranges).min(axis=2).max(axis=1)
    for proof in (epsilons(corners, cuts, [], ranges), epsilons(corners, cuts, boxes, ranges)):
        assert np.all(depth <= proof + 1e-12)
    assert np.any(epsilons(corners, cuts, boxes, ranges) < epsilons(corners, cuts, [], ranges))


def test_the_enclosure_of_the_whole_set_bounds_what_a_sublist_misses():
    rng = np.random.default_rng(8)
    feasible = feasible_sample(rng, 400, 3)
    listed = feasible[nondominated(feasible)][::3]
    ranges = np.ptp(listed, axis=0)
    cuts = cuts_of(feasible, rng, 30)
    epsilon = enclosure_epsilon(local_upper_bounds(listed, np.full(3, np.inf)), cuts, [], ranges)
    # How far each feasible f must worsen in every range at once until a listed point covers it.
    missed = ((listed[None] - feasible[:, None]) / ranges).max(axis=2).min(axis=1)
    assert 0 < missed.max() <= epsilon < np.inf


def test_an_objective_without_range_takes_no_part_in_a_width():
    cuts = [Cut(np.array([1.0, 0.0]), 2.0), Cut(np.array([0.0, 1.0]), 6.0)]
    corners = np.array([[5.0, 7.0], [5.0, 5.0]])
    # Along the first alone: 3 steps of 1 to the cut on it; the second cut is blind, but at the
    # second corner it leaves nothing at all.
    assert list(epsilons(corners, cuts, [], np.array([1.0, 0.0]))) == [3.0, -np.inf]
    each = np.array([[1.0, 0.0], [0.0, 2.0]])
    assert list(epsilons(corners, cuts, [], each)) == [3.0, -0.5]
    box = [Box(np.array([np.inf, 7.0]), 0, 4.0)]
    assert list(epsilons(corners[:1], [], box, np.array([1.0, 0.0]))) == [1.0]


@pytest.mark.parametrize("ranges", [[0, 0], [-1, 1], [np.inf, 1]])
def test_ranges_must_be_finite_and_somewhere_positive(ranges):
    with pytest.raises(ValueError, match="ranges"):
        epsilons([[1.0, 1.0]], [], [], ranges)


def test_without_proof_a_corner_is_open():
    assert epsilons([[1.0, 1.0]], [], [], [1, 1])[0] == np.inf


def test_contradiction_of_point_and_proof_is_seen():
    cuts, boxes = [Cut([1, 1], 1.0)], [Box([1, 0.5], 0, 0.9)]
    points = [[0.5, 0.4], [0.5, 0.5], [0.8, 0.4], [0.95, 0.4]]
    assert contradicted(points, cuts, boxes, [1, 1]).tolist() == [True, False, True, False]
    assert contradicted(points, cuts, [], [1, 1]).tolist() == [True, False, False, False]


@pytest.mark.parametrize("m", [2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_floor_along_a_direction_is_below_everything_feasible(m, seed):
    rng = np.random.default_rng(100 + seed)
    feasible = feasible_sample(rng, 200, m)
    cuts, boxes = cuts_of(feasible, rng, 6), boxes_of(feasible, rng, 6)
    directions = rng.dirichlet(np.ones(m), size=40)
    floor = cut_floor(np.zeros(m), directions, cuts, boxes)
    reach = (feasible[None] / directions[:, None, :]).max(axis=2).min(axis=1)
    assert np.all(floor <= reach + 1e-9)
    assert np.all(floor >= cut_floor(np.zeros(m), directions, cuts) - 1e-12)


def test_floor_along_an_axis():
    cuts = [Cut([1, 2], 1.0)]
    np.testing.assert_allclose(cut_floor([0, 0], [[1, 0], [0, 1]], cuts), [1.0, 0.5])
    assert cut_floor([0, 0], [[1, 0]], [Cut([0, 1], 1.0)])[0] == np.inf
    assert cut_floor([0, 2], [[1, 0]], [Cut([0, 1], 1.0)])[0] == -np.inf


# ---------------------------------------------------------------- bounds per point


@pytest.mark.parametrize("coordinate", [0, 1, 2])
@pytest.mark.parametrize("seed", range(5))
def test_cost_bound_holds_for_every_feasible_vector(seed, coordinate):
    rng = np.random.default_rng(200 + seed)
    feasible = feasible_sample(rng, 300, 3)
    cuts, boxes = cuts_of(feasible, rng, 10), boxes_of(feasible, rng, 12)
    points = np.vstack([feasible[:50], rng.uniform(0, 1.2, size=(50, 3))])
    bounds = cost_bounds(points, cuts, boxes, coordinate)
    others = [i for i in range(3) if i != coordinate]
    for p, bound in zip(points, bounds, strict=True):
        within = feasible[np.all(feasible[:, others] <= p[others], axis=1)]
        assert bound <= (within[:, coordinate].min() if len(within) else np.inf) + 1e-12
    assert np.any(bounds > cost_bounds(points, cuts, (), coordinate))


def test_cost_bound_by_hand():
    point = [[9.0, 2.0, 1.0]]
    assert cost_bounds(point, [])[0] == -np.inf
    assert cost_bounds(point, [Cut([2, 1, 1], 9.0)])[0] == pytest.approx(3.0)
    assert cost_bounds(point, [Cut([0, 1, 0], 3.0)])[0] == np.inf
    assert cost_bounds(point, [Cut([0, 1, 0], 2.0)])[0] == -np.inf
    assert cost_bounds(point, [], [Box([np.inf, 2, 2], 0, 4.0)])[0] == 4.0
    assert cost_bounds(point, [], [Box([3, 2, 2], 0, 4.0)])[0] == 3.0
    assert cost_bounds(point, [], [Box([3, 2, 2], 1, 2.5)])[0] == 3.0
    assert cost_bounds(point, [], [Box([3, 1, 2], 0, 4.0)])[0] == -np.inf
    assert cost_bounds([[9, np.inf]], [], [Box([3, np.inf], 1, np.inf)])[0] == 3.0


def test_relative_gap_is_a_share_of_the_points_own_cost():
    gaps = relative_gaps([[10, 0], [10, 0], [10, 0], [-10, 0]], [9, 11, -np.inf, -12])
    np.testing.assert_allclose(gaps, [0.1, 0.0, np.inf, 0.2])


# ---------------------------------------------------------------- hypervolume


def test_upper_hypervolume_of_a_simplex_corner_is_exact():
    cuts = [Cut([1, 1, 1], 1.0), *(Cut(row, 0.0) for row in np.eye(3))]
    interval = hypervolume_interval([[1 / 3] * 3], cuts, [], [1.0, 1.0, 1.0])
    assert interval.upper == pytest.approx(5 / 6, abs=1e-6)
    assert interval.upper >= 5 / 6
    assert interval.lower == pytest.approx((2 / 3) ** 3)
    np.testing.assert_allclose(interval.ideal, 0.0)


def test_hypervolume_scales_with_the_units():
    rng = np.random.default_rng(5)
    feasible = feasible_sample(rng, 50, 3)
    scale, shift = np.array([1e6, 1e-4, 30.0]), np.array([2e6, 5.0, -3.0])
    cuts = cuts_of(feasible, rng, 8)
    boxes = boxes_of(feasible, rng, 5)
    moved = [Cut(c.weights / scale, c.level + c.weights / scale @ shift) for c in cuts]
    moved_boxes = [
        Box(
            b.upper * scale + shift,
            b.coordinate,
            b.level * scale[b.coordinate] + shift[b.coordinate],
        )
        for b in boxes
    ]
    one = hypervolume_interval(feasible, cuts, boxes, np.full(3, 1.1))
    two = hypervolume_interval(feasible * scale + shift, moved, moved_boxes, 1.1 * scale + shift)
    assert two.lower_share == pytest.approx(one.lower_share, rel=1e-6)
    assert two.upper_share == pytest.approx(one.upper_share, rel=1e-6)
    assert two.upper == pytest.approx(one.upper * scale.prod(), rel=1e-6)


@pytest.mark.parametrize("m", [2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_true_hypervolume_is_inside_the_interval_with_and_without_boxes(m, seed):
    rng = np.random.default_rng(300 + seed)
    feasible = feasible_sample(rng, 200, m)
    listed = feasible[nondominated(feasible)][::2]
    cuts, boxes = cuts_of(feasible, rng, 20), boxes_of(feasible, rng, 15)
    reference = np.full(m, 1.05)
    truth = moocore.hypervolume(feasible, ref=reference)
    plain = hypervolume_interval(listed, cuts, [], reference)
    boxed = hypervolume_interval(listed, cuts, boxes, reference)
    assert boxed.lower <= truth <= boxed.upper <= plain.upper + 1e-9
    assert boxed.upper < plain.upper
    assert boxed.excess == pytest.approx(boxed.upper / boxed.lower - 1)


@pytest.mark.parametrize("seed", range(3))
def test_upper_hypervolume_equals_the_volume_by_counting(seed):
    rng = np.random.default_rng(400 + seed)
    feasible = feasible_sample(rng, 100, 3)
    cuts, boxes = cuts_of(feasible, rng, 12), boxes_of(feasible, rng, 10)
    reference = np.full(3, 1.05)
    interval = hypervolume_interval(feasible, cuts, boxes, reference)
    ideal = proved_ideal(cuts, reference)
    y = rng.uniform(ideal, reference, size=(200_000, 3))
    possible = np.all([y @ c.weights >= c.level for c in cuts], axis=0)
    for box in boxes:
        possible &= ~np.all(y < box.empty_below, axis=1)
    # Four standard deviations of the count.
    assert interval.upper_share == pytest.approx(possible.mean(), abs=4 * 0.5 / 200_000**0.5)


def test_fewer_boxes_leave_an_upper_bound():
    rng = np.random.default_rng(9)
    feasible = feasible_sample(rng, 100, 3)
    cuts, boxes = cuts_of(feasible, rng, 5), boxes_of(feasible, rng, 30)
    uppers = [
        hypervolume_interval(feasible, cuts, boxes, np.full(3, 1.05), most_boxes=k).upper
        for k in (0, 2, 30)
    ]
    assert uppers[0] > uppers[1] > uppers[2]


def test_cuts_that_nearly_coincide_keep_the_upper_end_up():
    rng = np.random.default_rng(10)
    base = rng.dirichlet(np.ones(3), size=40)
    weights = np.vstack([np.eye(3), base, base + 1e-13, base * (1 + 1e-12)])
    # Cuts of the ball of radius 1 about (1, 1, 1): a smooth convex front.
    cuts = [Cut(w, w.sum() - np.linalg.norm(w)) for w in weights]
    interval = hypervolume_interval([], cuts, [], np.ones(3))
    assert np.pi / 6 <= interval.upper <= np.pi / 6 * 1.05
    assert interval.lower == 0.0


def test_an_outside_that_touches_the_reference_has_almost_no_volume():
    cuts = [Cut([1, 1, 1], 3.0 - 1e-11), *(Cut(row, 0.0) for row in np.eye(3))]
    interval = hypervolume_interval([[1.0, 1.0, 1.0]], cuts, [], np.ones(3))
    assert 0.0 == interval.lower <= interval.upper


def test_an_unbounded_outside_has_infinite_volume():
    interval = hypervolume_interval([[0.5, 0.5]], [Cut([1, 0], 0.0)], [], [1.0, 1.0])
    assert interval.upper == np.inf
    assert interval.lower == pytest.approx(0.25)


def test_a_reference_must_be_finite_for_a_volume():
    with pytest.raises(ValueError, match="finite"):
        hypervolume_interval([[0.0, 0.0]], [Cut([1, 1], 0.0)], [], [1.0, np.inf])
