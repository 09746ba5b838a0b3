"""Edges, prices of steps and flips; and shading that claims no more than is proved."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from planner.front.front import Front
from planner.front.geometry import cost_bounds
from planner.report import trade
from planner.report.source import Source, read_source
from tests.planner.report_runs import front_run


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return read_source(front_run(tmp_path_factory.mktemp("runs") / "front", "small", 40))


@pytest.fixture(scope="module")
def front(source: Source) -> Front:
    assert source.front is not None
    return source.front


@pytest.mark.parametrize("objective", [1, 2])
def test_along_an_edge_every_dearer_plan_is_better(front: Front, objective: int) -> None:
    points = trade.edge(front, objective)
    f = [(p.cost_usd, p.carbon_kgco2e if objective == 1 else -p.qoe) for p in points]
    assert len(points) > 3
    assert all(a[0] < b[0] and a[1] > b[1] for a, b in itertools.pairwise(f))


@pytest.mark.parametrize("objective", [1, 2])
def test_an_edge_runs_from_the_cheapest_to_the_best(front: Front, objective: int) -> None:
    points, f = trade.edge(front, objective), front.minimised
    assert points[0].cost_usd == f[:, 0].min()
    last = points[-1].carbon_kgco2e if objective == 1 else 1.0 - points[-1].qoe
    assert last == pytest.approx(f[:, objective].min())


@pytest.mark.parametrize("objective", [1, 2])
def test_no_step_along_an_edge_is_too_small_to_price(front: Front, objective: int) -> None:
    values = front.minimised[:, objective]
    along = [
        front.minimised[front.points.index(p), objective] for p in trade.edge(front, objective)
    ]
    span = along[0] - along[-1]
    assert span > 0
    assert all(a - b >= trade.LEAST_STEP * span * (1 - 1e-9) for a, b in itertools.pairwise(along))
    assert span <= np.ptp(values)


def test_a_step_costs_its_difference_per_tonne(front: Front) -> None:
    points = trade.edge(front, 1)
    for step, a, b in zip(trade.edge_steps(points), points, points[1:], strict=False):
        tonnes = (a.carbon_kgco2e - b.carbon_kgco2e) / 1000
        assert step.usd_per_tonne == pytest.approx((b.cost_usd - a.cost_usd) / tonnes)


def test_flips_are_the_changes_of_variant_between_neighbours(source: Source, front: Front) -> None:
    points = trade.edge(front, 2)
    adopted = [{r.workload: r.variant for r in source.plans[p.id].adoption} for p in points]
    expected = sum(
        before[workload] != after[workload]
        for before, after in itertools.pairwise(adopted)
        for workload in before
    )
    found = trade.flips(points, source.plans)
    assert len(found) == expected > 0
    for flip in found:
        start, end = (
            {r.workload: r for r in source.plans[name].adoption}[flip.workload]
            for name in (flip.start, flip.end)
        )
        assert (flip.adaptation_before, flip.adaptation_after) == (start.adaptation, end.adaptation)


# ------------------------------------------------------------------ what the picture claims


def user(points: np.ndarray, objective: int) -> np.ndarray:
    return 1.0 - points if objective == 2 else points


@pytest.mark.parametrize(("across", "up"), trade.PAIRS)
def test_the_bound_is_what_the_certificate_proves(front: Front, across: int, up: int) -> None:
    seen = trade.enclosure(front, across, up)
    cuts = [cut.as_cut() for cut in front.certificate.cuts]
    reference = front.certificate.hypervolume.reference
    limit = np.array([reference.cost_usd, reference.carbon_kgco2e, 1.0 - reference.qoe])
    ends = sorted(user(np.array([seen.up.low, seen.up.high]), up))
    for x, y in seen.bound:
        row = limit.copy()
        row[across] = user(np.array([x]), across)[0]
        row[up] = np.inf
        proved = cost_bounds(row[None, :], cuts, (), coordinate=up)[0]
        assert user(np.array([y]), up)[0] == pytest.approx(np.clip(proved, *ends))


@pytest.mark.parametrize(("across", "up"), trade.PAIRS)
def test_no_plan_lies_where_none_can_be_and_held_corners_are_plans(
    front: Front, across: int, up: int
) -> None:
    seen, f = trade.enclosure(front, across, up), front.minimised
    bound = np.array([(user(np.array([x]), across)[0], user(np.array([y]), up)[0])
                      for x, y in seen.bound])  # fmt: skip
    for point in f:
        below = bound[bound[:, 0] >= point[across]][0]
        assert point[up] >= below[1] - 1e-9 * abs(below[1])
    held = [(user(np.array([x]), across)[0], user(np.array([y]), up)[0]) for x, y in seen.held]
    corners = [held[at] for at in range(2, len(held) - 1, 2)]
    assert corners
    for x, y in corners:
        assert np.any(np.isclose(f[:, across], x) & np.isclose(f[:, up], y))


def test_every_point_lies_inside_the_axes(front: Front) -> None:
    for objective in range(3):
        span = trade.axis(front, objective)
        values = user(front.minimised[:, objective], objective)
        assert span.low < values.min() <= values.max() <= span.high


def test_orders_of_magnitude_get_a_log_scale(front: Front) -> None:
    far = dataclasses.replace(front.points[0], id="far", cost_usd=front.ideal.cost_usd * 100)
    stretched = dataclasses.replace(front, points=(*front.points, far))
    assert trade.axis(stretched, 0).log
    assert not trade.axis(front, 0).log
    assert not trade.axis(stretched, 2).log


def test_one_plan_makes_an_edge_without_steps(front: Front, source: Source) -> None:
    alone = dataclasses.replace(front, points=front.points[:1])
    points = trade.edge(alone, 1)
    assert len(points) == 1
    assert trade.edge_steps(points) == []
    assert trade.flips(points, source.plans) == []
