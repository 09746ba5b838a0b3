"""A front run from folder to proof, on `tiny`: what it promises holds, and lies are caught."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planner.api import load
from planner.cli import run as planner_command
from planner.errors import InfeasibleError, PlannerError, RunError, SolverError
from planner.front.enclosure import LEAST_ROOM
from planner.front.executor import Threads
from planner.front.front import Front, as_minimised
from planner.front.run import FrontProgress, FrontRequest, FrontRun
from planner.front.tasks import (
    PointTask,
    Result,
    Task,
    mixed_weights,
    pointed,
    weighted_aim,
)
from planner.plan import Plan
from planner.solve.engine import minimize
from planner.solve.options import EngineOptions
from planner.solve.solution import Solution
from planner.verify import verify_plan
from planner.verify.front import dominated_volume, uncovered_corners, verify_front
from tests.planner.front.counted_runs import stopped_run

ROOT = Path(__file__).resolve().parents[3]
TINY, SMALL = ROOT / "instances" / "tiny", ROOT / "instances" / "small"
REQUEST = FrontRequest(epsilon=0.05, time_limit_s=60.0, workers=1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `tiny` of sixty tasks; tests that change it copy it first."""
    folder = tmp_path_factory.mktemp("front") / "run"
    stopped_run(folder, "hybrid", 60)
    return folder


def lied(finished: Path, tmp_path: Path, change: str, value: object) -> tuple[str, ...]:
    """Rules broken after `change` (a path of keys) of front.json became `value`."""
    folder = tmp_path / "lied"
    shutil.copytree(finished, folder)
    data = json.loads((folder / "front.json").read_text())
    place = data
    *keys, last = (int(k) if k.isdigit() else k for k in change.split("."))
    for key in keys:
        place = place[key]
    place[last] = value(place[last]) if callable(value) else value
    (folder / "front.json").write_text(json.dumps(data))
    report = verify_front(
        folder, load(folder / "instance"), sample=None if "cut" in change or "box" in change else 0
    )
    return tuple(v.rule for v in report.violations)


def raised(boxes: list[dict[str, Any]], what: str) -> list[dict[str, Any]]:
    """The boxes, all of them said to hold a little more than was proved."""
    for box in boxes:
        box["level"] *= 1.05 if what == "level" else 1.0
        box["upper"][1] *= 1.3 if what == "carbon" else 1.0
    return boxes


def test_a_run_is_a_front_that_the_checker_accepts(finished: Path) -> None:
    front = Front.read(finished)
    report = verify_front(finished, load(finished / "instance"), sample=None)
    assert report.violations == ()
    assert report.points == len(front.points) >= 5
    assert len(report.cuts_reproved) == len(front.certificate.cuts) >= 10
    assert front.certificate.epsilon == pytest.approx(report.epsilon, rel=1e-9)
    assert front.certificate.hypervolume.upper is not None
    assert front.certificate.hypervolume.lower <= front.certificate.hypervolume.upper


def test_every_point_is_a_plan_of_its_own_that_keeps_every_rule(finished: Path) -> None:
    facts, front = load(finished / "instance"), Front.read(finished)
    for point in front.points:
        plan = Plan.read(finished / point.plan)
        assert plan.objectives == point.objectives
        assert verify_plan(facts, plan).ok


def test_no_plan_found_by_single_objective_solves_lies_outside(finished: Path) -> None:
    from planner.candidates import build_candidates

    front, data = Front.read(finished), build_candidates(load(TINY)).data
    for objective in ("cost", "carbon", "qoe-loss"):
        found = minimize(data, objective, EngineOptions(time_limit_s=2.0)).solution.totals[:3]
        for cut in front.certificate.cuts:
            assert found @ np.array(cut.weights) >= cut.level * (1.0 - 1e-9)


@pytest.mark.parametrize(
    ("change", "value", "rule"),
    [
        ("certificate.cuts.3.level", lambda level: 1.01 * level, "cut"),
        ("certificate.cuts.5.weights.0", lambda weight: 1.5 * weight, "cut"),
        ("certificate.epsilon", 0.001, "certificate"),
        ("certificate.cost_gap_relative_median_beyond_step", lambda gap: gap - 0.01, "certificate"),
        ("certificate.hypervolume.lower", lambda volume: 1.01 * volume, "certificate"),
        ("certificate.hypervolume.upper", lambda volume: 0.1 * volume, "certificate"),
        ("points.0.cost_usd", lambda cost: 0.99 * cost, "point"),
        ("points.0.cost_bound_usd", lambda bound: bound + 10.0, "cost gap"),
        ("points.1.plan", "plans/nowhere/plan.json", "plan"),
        ("ideal.cost_usd", 1.0, "ideal"),
        ("certificate.boxes", lambda boxes: raised(boxes, "level"), "box"),
        ("certificate.boxes", lambda boxes: raised(boxes, "carbon"), "enclosure"),
    ],
)
def test_a_lie_is_caught(
    finished: Path, tmp_path: Path, change: str, value: object, rule: str
) -> None:
    assert rule in lied(finished, tmp_path, change, value)


def test_perturbed_dual_prices_are_caught(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "perturbed"
    shutil.copytree(finished, folder)
    cut = Front.read(folder).certificate.cuts[0].proof
    with np.load(folder / cut) as file:
        arrays = dict(file)
    arrays["machine prices"] = 0.5 * arrays["machine prices"]
    np.savez(folder / cut, **arrays)
    report = verify_front(folder, load(folder / "instance"), sample=None)
    assert "cut" in {violation.rule for violation in report.violations}


def test_beyond_a_step_gaps_are_over_the_cost_of_plans_that_are_better_by_it(
    finished: Path,
) -> None:
    front = Front.read(finished)
    certificate, gaps = front.certificate, []
    for point in front.minimised:
        better = point - certificate.step * front.ranges * (0.0, 1.0, 1.0)
        least = [-math.inf]
        for cut in certificate.cuts:
            cost, carbon, loss = cut.weights
            rest = cut.level - carbon * better[1] - loss * better[2]
            least.append(rest / cost if cost > 0 else math.copysign(math.inf, rest))
        for box in certificate.boxes:
            (_, carbon, loss), level = box.upper, box.level
            assert carbon is not None
            assert loss is not None
            assert level is not None
            if better[1] <= carbon and better[2] <= loss:
                least.append(level)
        gaps.append(max(1.0 - max(least) / point[0], 0.0))
    stated = certificate.cost_gap_relative_median_beyond_step
    assert stated == pytest.approx(float(np.median(gaps)), abs=1e-12)
    assert certificate.cost_gap_relative_median is not None
    assert stated <= certificate.cost_gap_relative_median


def test_a_resumed_run_keeps_points_and_cuts_and_proves_no_less(
    finished: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "resumed"
    shutil.copytree(finished, folder)
    before = Front.read(folder)
    # What a kill leaves behind: a point and a cut that front.json does not name.
    (folder / "plans" / "p9990").mkdir()
    (folder / "cuts" / "c9990.npz").write_bytes(b"half a file")
    after = FrontRun(
        folder / "instance",
        FrontRequest(epsilon=0.05, time_limit_s=3.0, workers=1),
        folder,
        resume=True,
    ).run()
    assert after.elapsed_s > before.elapsed_s
    assert len(after.certificate.cuts) >= len(before.certificate.cuts)
    assert after.certificate.hypervolume.lower >= before.certificate.hypervolume.lower
    assert not {p.id for p in after.points} & {"p9990"}
    assert verify_front(folder, load(folder / "instance"), sample=None).ok


def test_a_stopped_run_keeps_what_it_holds(tmp_path: Path) -> None:
    news: list[FrontProgress] = []

    def stop_soon(progress: FrontProgress) -> None:
        news.append(progress)
        if len(news) == 3:
            run.stop()

    run = FrontRun(
        TINY,
        FrontRequest(epsilon=1e-6, time_limit_s=120.0),
        tmp_path / "run",
        on_progress=stop_soon,
    )
    front = run.run()
    assert front.elapsed_s < 100.0
    assert front.certificate.status == "truncated"
    assert front.certificate.widest[0].epsilon == front.certificate.epsilon
    assert verify_front(tmp_path / "run", load(TINY)).ok


class Faulty:
    """Workers that go wrong after the first `good` tasks: an error, or half of the demand served
    under totals that tell otherwise. They ask the run to stop at their thirtieth task."""

    def __init__(self, run: FrontRun, good: int, fault: str) -> None:
        self.inner, self.count = Threads(run.index, 1), 1
        self.run, self.good, self.fault = run, good, fault

    def submit(self, number: int, task: Task) -> None:
        self.inner.submit(number, task)
        if number >= 30:
            self.run.stop()

    def wait(self, timeout_s: float) -> list[tuple[int, Result | Exception]]:
        return [(number, self._spoiled(end)) for number, end in self.inner.wait(timeout_s)]

    def _spoiled(self, end: Result | Exception) -> Result | Exception:
        self.good -= 1
        if self.good >= 0:
            return end
        if self.fault == "error":
            return SolverError("no licence")
        plan = end if isinstance(end, Solution) else getattr(end, "plan", None)
        if plan is None:
            return end
        totals = plan.totals * np.array([0.6, 0.6, 1.0, 1.0])
        plan = dataclasses.replace(plan, serve=0.5 * plan.serve, totals=totals)
        return plan if isinstance(end, Solution) else dataclasses.replace(end, plan=plan)

    def close(self) -> None:
        self.inner.close()


@pytest.mark.parametrize("fault", ["error", "nonsense"])
def test_a_solver_that_goes_wrong_leaves_a_true_front_that_says_truncated(
    tmp_path: Path, fault: str
) -> None:
    request = FrontRequest(epsilon=1e-6, time_limit_s=120.0, workers=1)
    run = FrontRun(TINY, request, tmp_path / "run")
    run.search.open_workers = lambda: Faulty(run, 6, fault)
    front = run.run()
    assert run.search.failures if fault == "error" else run.search.rejected > 0
    assert front.certificate.status == "truncated"
    assert verify_front(tmp_path / "run", load(TINY), sample=None).ok


def test_corners_and_volume_by_hand() -> None:
    points = np.array([[1.0, 2.0, 2.0], [2.0, 1.0, 1.0]])
    reference = np.array([3.0, 3.0, 3.0])
    corners = {tuple(corner) for corner in uncovered_corners(points, reference)}
    assert corners == {
        (1.0, 3.0, 3.0),
        (2.0, 2.0, 3.0),
        (2.0, 3.0, 2.0),
        (3.0, 1.0, 3.0),
        (3.0, 3.0, 1.0),
    }
    # 2 x 1 x 1 and 1 x 2 x 2 overlap in a unit cube.
    assert dominated_volume(points, reference) == pytest.approx(2.0 + 4.0 - 1.0)


def test_objectives_are_minimised_as_cost_carbon_and_loss(finished: Path) -> None:
    front = Front.read(finished)
    for point in front.points:
        assert tuple(as_minimised(point.objectives)) == (
            point.cost_usd,
            point.carbon_kgco2e,
            1.0 - point.qoe,
        )


def test_a_fleet_too_large_for_branch_and_bound_is_searched_where_room_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("certified.SMALL_ROUTES", "certified.MIDDLE_ROUTES", "tasks.LUMPY_ROUTES"):
        monkeypatch.setattr(f"planner.front.{place}", 0)

    def stop_soon(progress: FrontProgress) -> None:
        enclosure = run.search.enclosure
        if enclosure is not None and "room" in {point.found_by for point in enclosure.points}:
            run.stop()

    request = FrontRequest(
        epsilon=0.5, hypervolume=1e-6, time_limit_s=120.0, workers=1, method="certified"
    )
    run = FrontRun(SMALL, request, tmp_path / "run", on_progress=stop_soon)
    front = run.run()
    assert run.search.enclosure is not None
    assert run.search.spent["room"] > 0.0
    assert "room" in {point.found_by for point in run.search.enclosure.points}
    assert not any(row.proof == "branch and bound" for row in front.certificate.boxes)
    assert verify_front(tmp_path / "run", load(SMALL), sample=None).violations == ()


def test_rooms_end_where_the_cuts_begin(finished: Path) -> None:
    enclosure = FrontRun(TINY, REQUEST, finished, resume=True).search.enclosure
    assert enclosure is not None
    corners, _ = enclosure.corners()
    rooms = enclosure.rooms(corners)
    ideal = np.array([point.f for point in enclosure.listed()]).min(axis=0)
    least = 1.01 * LEAST_ROOM * enclosure.span()
    for corner, room in zip(corners, rooms, strict=True):
        for axis in np.flatnonzero(room > least):
            end = corner - room * np.eye(3)[axis]
            slack = min(cut.weights @ end - cut.level for cut in enclosure.cuts)
            size = max(float(cut.weights @ corner) for cut in enclosure.cuts)
            assert slack == pytest.approx(0.0, abs=1e-9 * size) or end[axis] == pytest.approx(
                ideal[axis]
            )


def test_the_cuts_tell_how_far_plans_may_lie_and_what_they_may_adopt(finished: Path) -> None:
    enclosure = FrontRun(TINY, REQUEST, finished, resume=True).search.enclosure
    assert enclosure is not None
    workloads = enclosure.index.data.variant_workload
    everyone = np.arange(len(enclosure.index.workload_variants))
    for corner, span in zip(*enclosure.corners(), strict=True):
        sight = enclosure.sight(corner, span)
        assert sight.reach == pytest.approx(enclosure.depth(corner, span).value, abs=1e-6)
        assert np.array_equal(workloads[sight.adopt], everyone)
        assert np.array_equal(workloads[sight.leading], everyone)
        assert all(share > 0 for share, _ in sight.known)
        for point in enclosure.listed():
            deep = float(((corner - point.f) / span).min())
            assert deep <= sight.reach + 1e-9


def test_routes_near_are_those_of_the_plans_best_by_the_weights(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("planner.front.enclosure.NEAREST_PLANS", 1)
    enclosure = FrontRun(TINY, REQUEST, finished, resume=True).search.enclosure
    assert enclosure is not None
    for axis, weights in enumerate(np.eye(3)):
        best = min(enclosure.listed(), key=lambda point: float(point.f[axis]))
        assert np.array_equal(enclosure.routes_near(weights), np.unique(best.solution.routes))


def test_a_plan_is_made_of_the_routes_of_others_with_its_own_variants(finished: Path) -> None:
    enclosure = FrontRun(TINY, REQUEST, finished, resume=True).search.enclosure
    assert enclosure is not None
    elsewhere = np.concatenate([point.solution.routes for point in enclosure.listed()])
    for point in enclosure.listed():
        known = enclosure.prices_at(point.f, enclosure.span())
        aim = weighted_aim(mixed_weights(known))
        adopt = np.unique(point.solution.adopt)
        found = pointed(enclosure.index, PointTask(aim, adopt, known, elsewhere))
        assert np.isin(point.solution.routes, found.routes).all()
        assert np.isin(enclosure.index.route_variant[found.routes], adopt).all()
        assert found.plan is not None
        assert np.array_equal(np.unique(found.plan.adopt), adopt)
        assert np.isin(found.plan.routes, found.routes).all()


@pytest.mark.parametrize("wrong", [0.0, 1.0, -0.02])
def test_a_share_of_the_hypervolume_lies_between_nothing_and_all(wrong: float) -> None:
    with pytest.raises(PlannerError, match="hypervolume"):
        FrontRequest(hypervolume=wrong)


# ------------------------------------------------------------------ folders of runs that end early


def test_a_run_without_a_plan_leaves_a_folder_to_go_on_with_or_to_use_again(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run"
    run = FrontRun(TINY, REQUEST, folder)
    run.stop()
    with pytest.raises(SolverError, match=f"before a plan was found.*--resume {folder}"):
        run.run()
    assert not (folder / "front.json").exists()
    assert FrontRun(folder / "instance", REQUEST, folder, resume=True).search.enclosure is None
    assert FrontRun(TINY, REQUEST, folder).search.enclosure is None


@pytest.mark.parametrize("left", [("request.json",), ("request.json", "plans", ".instance")])
def test_what_a_kill_leaves_of_a_folder_is_used_again(
    tmp_path: Path, left: tuple[str, ...]
) -> None:
    folder = tmp_path / "run"
    FrontRun(TINY, REQUEST, folder)
    (folder / "instance").replace(folder / ".instance")
    for path in list(folder.iterdir()):
        if path.name not in left:
            shutil.rmtree(path)
    said = planner_command(["front", "--resume", str(folder)])
    assert said == 1
    FrontRun(TINY, REQUEST, folder)
    assert {path.name for path in folder.iterdir()} == {
        *("request.json", "instance", "plans", "cuts", "boxes")
    }


def test_a_folder_that_holds_a_front_or_anything_else_is_refused(
    finished: Path, tmp_path: Path
) -> None:
    held = tmp_path / "held"
    shutil.copytree(finished, held)
    others = tmp_path / "others"
    (others / "plans").mkdir(parents=True)
    for folder in (held, others):
        with pytest.raises(RunError, match="not empty"):
            FrontRun(TINY, REQUEST, folder)


def test_a_fleet_without_any_plan_leaves_no_folder(tmp_path: Path) -> None:
    instance = tmp_path / "instance"
    shutil.copytree(TINY, instance)
    settings = (instance / "instance.toml").read_text()
    (instance / "instance.toml").write_text(f"{settings}\n[caps]\ncost_usd = 1.0\n")
    with pytest.raises(InfeasibleError):
        FrontRun(instance, REQUEST, tmp_path / "run").run()
    assert not (tmp_path / "run").exists()
