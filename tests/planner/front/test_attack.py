"""Plans found on their own lie inside the enclosure, and a certificate that lies is found out."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from planner.api import load
from planner.cli import run as command
from planner.front.attack import attack, broken_by
from planner.front.front import Front
from planner.front.run import FrontRequest, FrontRun

TINY = Path(__file__).resolve().parents[3] / "instances" / "tiny"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("attack") / "run"
    FrontRun(TINY, FrontRequest(time_limit_s=90.0, workers=1), folder).run()
    return folder


def test_tiny_is_enclosed_to_its_target(finished: Path) -> None:
    certificate = Front.read(finished).certificate
    assert certificate.complete
    assert certificate.epsilon is not None
    assert certificate.epsilon <= 0.03


def test_no_independent_optimum_lies_outside(finished: Path) -> None:
    found = attack(finished, load(TINY), 60)
    assert found.outside == ()
    assert found.plans == found.solves == 60
    assert found.below > 20


def test_every_optimum_is_on_the_list_within_epsilon_and_none_beats_its_cost_bound(
    finished: Path,
) -> None:
    from planner.front.attack import _aim, solved

    front, rng = Front.read(finished), np.random.default_rng(5)
    index = FrontRun(TINY, FrontRequest(), finished, resume=True).index
    for _ in range(20):
        plan = solved(index, _aim("epsilon-constraint", front, rng), front, rng)
        assert plan is not None
        for point in front.points:
            as_good = plan.totals[1] <= point.carbon_kgco2e and plan.totals[2] <= 1.0 - point.qoe
            if as_good and point.cost_bound_usd is not None:
                assert plan.totals[0] >= point.cost_bound_usd * (1.0 - 1e-7)


@pytest.mark.parametrize("what", ["cut", "box", "epsilon"])
def test_a_certificate_that_says_too_much_is_found_out(finished: Path, what: str) -> None:
    front = Front.read(finished)
    certificate = front.certificate
    if what == "cut":
        cuts = tuple(dataclasses.replace(c, level=1.2 * c.level) for c in certificate.cuts)
        certificate = dataclasses.replace(certificate, cuts=cuts)
    elif what == "box":
        boxes = tuple(
            dataclasses.replace(b, level=2.0 * (b.level or 0.0), upper=(None, 1e9, 1.0))
            for b in certificate.boxes
        )
        certificate = dataclasses.replace(certificate, boxes=boxes)
    else:
        certificate = dataclasses.replace(certificate, epsilon=0.001)
        front = dataclasses.replace(front, points=front.points[:1])
    lying = dataclasses.replace(front, certificate=certificate)
    broken = {broken_by(lying, f).split(" ")[0] for f in Front.read(finished).minimised}
    assert what in broken


def test_the_command_line_attacks_as_often_as_asked(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["verify", str(finished), "--sample", "6"]) == 0
    assert "attacked by 6 independent solves" in capsys.readouterr().out
    assert command(["verify", str(finished), "--sample", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["attack"]["solves"] == 3
