"""`planner whatif`: re-solved from the old plan, reproducible, told as a difference; sweeps."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from pathlib import Path

import pytest

import planner
from planner.cli import run
from planner.errors import InfeasibleError, PlannerError, RunError
from planner.explain.sweep import Sweep, parse_sweep
from planner.explain.whatif import WhatIf
from planner.plan import Plan
from planner.report.sweep import sweep_figure
from planner.runs import read_run

INSTANCES = Path(__file__).resolve().parents[3] / "instances"


def test_the_new_run_keeps_the_changes_and_verifies(runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    found = planner.whatif(runs / "tiny", ["demand.chat*=1.7"], output=folder, time_limit=10.0)
    assert isinstance(found, WhatIf)
    assert found.exit_code == 0
    assert read_run(folder).request.changes == ("demand.chat*=1.7",)
    assert planner.verify(folder).ok
    fresh = planner.plan(INSTANCES / "tiny", changes=["demand.chat*=1.7"], time_limit=10.0)
    assert found.diff.total("cost").new == pytest.approx(fresh.objectives.cost_usd, rel=1e-4)
    assert found.changes[0].figures[0].name == "demand.chat.us-east.h00-12"
    again = planner.whatif(folder, ["demand.chat*=0.5"], output=tmp_path / "two", time_limit=10.0)
    assert isinstance(again, WhatIf)
    assert again.answer.request.changes == ("demand.chat*=1.7", "demand.chat*=0.5")


def test_the_search_begins_from_the_old_plan(runs: Path, tmp_path: Path) -> None:
    found = planner.whatif(
        runs / "small", ["prices.*=0.999"], output=tmp_path / "new", time_limit=1.5
    )
    assert isinstance(found, WhatIf)
    old = Plan.read(runs / "small").objectives.cost_usd
    assert found.answer.plan.objectives.cost_usd <= old
    assert "start" in found.answer.plan.timings


def test_a_point_of_a_front_keeps_its_carbon_and_qoe(front: Path, tmp_path: Path) -> None:
    found = planner.whatif(
        front, ["prices.*=0.9"], point="greenest", output=tmp_path / "new", time_limit=5.0
    )
    assert isinstance(found, WhatIf)
    carbon, qoe = found.diff.total("carbon"), found.diff.total("qoe")
    assert carbon.new <= carbon.old * (1.0 + 1e-6)
    assert qoe.new >= qoe.old - 1e-6
    assert planner.verify(tmp_path / "new").ok


def test_changes_that_leave_no_plan_are_proved_impossible(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(InfeasibleError):
        planner.whatif(runs / "tiny", ["floors.qoe=0.99"], output=tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_the_command_shows_the_difference(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["whatif", str(runs / "tiny"), "--set", "prices.l4*=0.8"]) == 0
    out = capsys.readouterr().out
    assert re.match(r"cost -308\.\d+ USD \(-17\.0 %\), carbon 0 kgCO2e, QoE 0; the same", out)
    assert "The old plan still keeps every rule under the new data" in out
    assert re.search(r"^run folder: runs/tiny-whatif-", out, re.MULTILINE)
    assert run(["whatif", str(runs / "tiny")]) == 1
    assert "whatif needs --set or --sweep" in capsys.readouterr().err
    assert run(["whatif", str(runs / "tiny"), "--set", "prices.l5*=0.8"]) == 1
    assert "nothing is called prices.l5" in capsys.readouterr().err


# ------------------------------------------------------------------ sweeps


@pytest.fixture(scope="module")
def swept(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Sweep, Path]:
    folder = tmp_path_factory.mktemp("sweep") / "here"
    found = planner.whatif(
        runs / "tiny", sweep="prices.l4*=0.5:6:5", output=folder, time_limit=30.0
    )
    assert isinstance(found, Sweep)
    return found, folder


def test_a_sweep_finds_at_each_value_what_a_plan_of_its_own_finds(
    swept: tuple[Sweep, Path],
) -> None:
    found, _ = swept
    assert [p.value for p in found.points] == [0.5, 1.875, 3.25, 4.625, 6.0]
    for point in found.points:
        plan = planner.plan(INSTANCES / "tiny", changes=[point.change], time_limit=10.0)
        assert point.objectives is not None
        assert point.objectives.cost_usd == pytest.approx(plan.objectives.cost_usd, rel=1e-4)
        assert point.adaptation["chat"].startswith(plan.adoption[0].llm)
    costs = [p.objectives.cost_usd for p in found.points if p.objectives is not None]
    assert costs == sorted(costs)
    assert found.points[-1].accelerators == {"h100-sxm": 1}


def test_a_sweep_leaves_table_picture_and_json(swept: tuple[Sweep, Path]) -> None:
    found, folder = swept
    with (folder / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["value"]) for row in rows] == [p.value for p in found.points]
    assert float(rows[0]["cost_usd"]) == found.points[0].objectives.cost_usd  # type: ignore[union-attr]
    assert json.loads((folder / "sweep.json").read_text())["change"] == "prices.l4*="
    page = (folder / "sweep.html").read_text()
    assert "Plotly.newPlot" in page
    assert "http" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_the_picture_rings_the_values_where_choices_change(runs: Path, tmp_path: Path) -> None:
    found = planner.whatif(
        runs / "tiny",
        sweep="quality.chat/llama-3.1-8b/base=0.5:0.7:3",
        output=tmp_path / "here",
        time_limit=30.0,
    )
    assert isinstance(found, Sweep)
    rings = [t for t in sweep_figure(found).data if t.name and t.name.startswith("another")]
    turned = [
        p.value
        for p, before in zip(found.points[1:], found.points, strict=False)
        if p.adaptation != before.adaptation
    ]
    assert len(rings) == 3
    assert all(list(ring.x) == turned for ring in rings)
    assert len(turned) == 1


def test_a_value_without_any_plan_is_told(runs: Path, tmp_path: Path) -> None:
    found = planner.whatif(
        runs / "tiny", sweep="floors.qoe=0.7:0.9:3", output=tmp_path / "here", time_limit=20.0
    )
    assert isinstance(found, Sweep)
    assert [p.objectives is None for p in found.points] == [False, True, True]
    assert found.points[1].note.startswith("no plan exists (proved)")
    assert found.to_frame()["cost_usd"].tolist()[1:] == ["", ""]


def test_the_command_prints_the_table(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--sweep", "demand.*=0.5:1.5:3", "--set", "prices.l4*=2"]
    assert run(["whatif", str(runs / "tiny"), *options, "--output", str(tmp_path / "here")]) == 0
    out = capsys.readouterr().out
    assert re.match(r"demand\.\*=0\.5 to 1\.5: cost [\d,]+ to [\d,]+ USD; adaptation changes", out)
    assert len(re.findall(r"^ +[\d.]+ +[\d,]+ +[\d,.]+ +0\.\d{4}", out, re.MULTILINE)) == 3
    assert run(["whatif", str(runs / "tiny"), *options, "--output", str(tmp_path / "here")]) == 1
    assert "is not empty" in capsys.readouterr().err


def test_no_value_is_worse_than_its_neighbours_decisions_there(runs: Path, tmp_path: Path) -> None:
    found = planner.whatif(
        runs / "small", sweep="prices.staff_usd_per_h=100:140:5", output=tmp_path / "s",
        time_limit=3.0,
    )  # fmt: skip
    assert isinstance(found, Sweep)
    costs = [p.objectives.cost_usd for p in found.points if p.objectives is not None]
    assert costs == sorted(costs)


def test_a_sweep_says_which_values_are_not_possible_and_goes_on(runs: Path, tmp_path: Path) -> None:
    found = planner.whatif(
        runs / "tiny", sweep="demand.chat*=0:1:2", output=tmp_path / "here", time_limit=20.0
    )
    nobody, today = found.points
    assert nobody.objectives is None
    assert "not possible" in nobody.note
    assert "no demand in demand.csv" in nobody.note
    assert today.objectives is not None


def test_a_sweep_of_values_none_of_which_is_possible_is_an_error(runs: Path) -> None:
    with pytest.raises(PlannerError, match="must be at least"):
        planner.whatif(runs / "tiny", sweep="demand.chat*=-2:-1:2", time_limit=20.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prices.l4*=0.5:1.5", "write PATH*=FROM:TO:COUNT"),
        ("prices.l4*=low:1.5:3", "write PATH*=FROM:TO:COUNT"),
        ("prices.l4*=1.5:0.5:3", "from a smaller to a larger"),
        ("prices.l4*=0.5:1.5:1", "2 to 101 values"),
        ("price.l4*=0.5:1.5:3", "did you mean prices"),
    ],
)
def test_a_sweep_that_cannot_be_read_is_one_clear_error(text: str, said: str) -> None:
    with pytest.raises(PlannerError, match=re.escape(said)):
        parse_sweep(text)


def test_what_is_no_run_cannot_be_asked(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="name a run folder"):
        planner.whatif(tmp_path, ["prices.*=2"])
    assert dataclasses.is_dataclass(WhatIf)
