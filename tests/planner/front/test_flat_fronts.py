"""Fronts whose plans agree in an objective: nothing is divided by a range that is none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from planner.api import load
from planner.cli import run as planner_command
from planner.front import choose
from planner.front.attack import attack
from planner.front.front import Front
from planner.front.ranges import measures, open_corners, ranges
from planner.front.run import FrontRequest, FrontRun
from planner.replan.fronts import epsilon_between
from planner.report.options import losses
from planner.solve.engine import minimize
from planner.solve.options import EngineOptions
from planner.verify.front import verify_front
from tests.planner.front.flat_fleets import BATCH, BOTH, CHAT, write_fleet

LIMIT_S = 120.0
"""Far more than is needed: what is tested ends by itself."""


def run_of(folder: Path, instance: Path, **asked: float) -> tuple[FrontRun, Front]:
    request = FrontRequest(time_limit_s=LIMIT_S, workers=1, **asked)  # type: ignore[arg-type]
    run = FrontRun(instance, request, folder / "run")
    front = run.run()
    report = verify_front(folder / "run", load(instance), sample=None)
    assert report.violations == ()
    return run, front


# Hours of machines that serve batch alone divide, so between any two plans there is another.
@pytest.mark.parametrize(
    ("tables", "width"), [(CHAT, 0.0), (BATCH, 0.03)], ids=["one QoE", "batch only"]
)
def test_a_front_without_a_range_of_qoe_is_that_of_cost_and_carbon(
    tmp_path: Path, tables: dict[str, str], width: float
) -> None:
    run, front = run_of(tmp_path, write_fleet(tmp_path / "fleet", tables))
    assert list(front.ranges > 0.0) == [True, True, False]
    certificate = front.certificate
    assert certificate.complete
    assert certificate.epsilon is not None
    assert certificate.epsilon <= width
    assert certificate.cost_gap_relative_max is not None
    assert certificate.cost_gap_relative_max < 0.01
    assert certificate.hypervolume.missing is not None
    assert certificate.hypervolume.missing < 0.01 + width
    attacked = attack(tmp_path / "run", run.facts, 3)
    assert attacked.outside == ()
    assert attacked.plans > 0


@pytest.mark.parametrize("region", BOTH)
@pytest.mark.parametrize("tables", [CHAT, BATCH], ids=["one QoE", "batch only"])
def test_a_front_of_one_plan_is_complete(
    tmp_path: Path, tables: dict[str, str], region: str
) -> None:
    instance = write_fleet(tmp_path / "fleet", tables, (region,))
    run, front = run_of(tmp_path, instance)
    assert len(front.points) == 1
    assert not front.ranges.any()
    assert front.certificate.complete
    assert front.certificate.epsilon == 0.0
    for objective, value in enumerate(front.minimised[0]):
        name = ("cost", "carbon", "qoe-loss")[objective]
        best = minimize(run.index.data, name, EngineOptions(1e-4, LIMIT_S, 1)).value
        assert value == pytest.approx(best, rel=1e-6)


def test_the_commands_say_what_does_not_vary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    instance = write_fleet(tmp_path / "fleet", BATCH, BOTH[:1])
    words = ["front", str(instance), "--workers", "1", "--output", str(tmp_path / "run")]
    assert planner_command(words) == 0
    said = capsys.readouterr().out
    assert "beats them by more than 0 % of its cost, its carbon or a QoE of 1" in said
    assert "QoE 0.6200\n" in said
    assert planner_command(["pick", str(tmp_path / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["front"] == {"status": "complete", "epsilon": 0.0}
    assert planner_command(["report", str(tmp_path / "run")]) == 0
    assert planner_command(["diff", str(tmp_path / "run"), str(tmp_path / "run")]) == 0


# ------------------------------------------------------------------ by hand

ROUNDING = 0.38 + 1e-9 * np.arange(3)


def test_a_difference_that_is_rounding_is_no_range() -> None:
    f = np.column_stack([[1.0, 2.0, 4.0], [9.0, 5.0, 1.0], ROUNDING])
    ideal, nadir = f.min(axis=0), f.max(axis=0)
    assert list(ranges(ideal, nadir)) == [3.0, 8.0, 0.0]
    assert list(measures(ideal, nadir)) == [3.0, 8.0, 1.0]
    assert list(measures(np.zeros(3), np.zeros(3))) == [1e-6, 1e-6, 1.0]


def test_corners_are_those_of_what_varies_and_the_best_of_what_does_not() -> None:
    f = np.array([[1.0, 9.0, 0.38], [4.0, 1.0, 0.38]])
    corners, steps = open_corners(f, np.array([5.0, 10.0, 0.4]))
    found = {tuple(map(float, (*u, *s))) for u, s in zip(corners, steps, strict=True)}
    assert found == {
        (1.0, 10.0, 0.4, 3.0, 8.0, 0.0),
        (4.0, 9.0, 0.4, 3.0, 8.0, 0.0),
        (5.0, 1.0, 0.4, 3.0, 8.0, 0.0),
        (5.0, 10.0, 0.38, 0.0, 0.0, 1.0),
    }


def test_corners_of_one_plan_are_its_objectives() -> None:
    corners, steps = open_corners(np.array([[5.0, 2.0, 0.1]]), np.array([6.0, 3.0, 0.2]))
    assert corners.tolist() == [[5.0, 3.0, 0.2], [6.0, 2.0, 0.2], [6.0, 3.0, 0.1]]
    assert steps.tolist() == [[5.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]]


def test_choosing_takes_no_notice_of_rounding() -> None:
    f = np.column_stack([[1.0, 2.0, 4.0], [9.0, 2.0, 1.0], ROUNDING])
    assert not choose.normalised(f)[:, 2].any()
    assert choose.compromise(f) == 1
    # The wish for a QoE that all have to 1e-9 is missed by nothing.
    assert choose.nearest(f, {0: 1.0, 2: 0.38}) == 0


def test_fronts_are_compared_in_sizes_where_there_is_no_range() -> None:
    old, new = np.array([[300.0, 9.0, 0.4]]), np.array([[270.0, 9.0, 0.4]])
    assert epsilon_between(old, new, measures(new[0], new[0])) == pytest.approx(30.0 / 270.0)


def test_a_loss_within_rounding_is_no_share_of_a_range() -> None:
    from planner.plan import Objectives

    best, worst = Objectives(100.0, 10.0, 0.62), Objectives(100.0 + 1e-9, 20.0, 0.62 - 1e-12)
    cost, carbon, qoe = losses(worst, best, worst)
    assert (cost.range_share, carbon.range_share, qoe.range_share) == (0.0, 1.0, 0.0)
