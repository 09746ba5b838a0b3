"""`planner diff` as people and programs meet it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import planner
from planner.api import Request, answer
from planner.cli import run
from planner.cli.diff import plan_lines
from planner.cli.text import WIDTH
from planner.compare.data import data_changes, table_changes
from planner.compare.decisions import fleet_changes, machine_changes
from planner.compare.fronts import beaten
from planner.compare.plans import PlanDiff
from planner.compare.said import decided
from planner.compare.sides import find_point, named_points, read_point, read_side
from planner.compare.words import apportioned, decimals_of, rounded_change
from planner.errors import RunError
from planner.front.front import Front
from planner.instance.changes import with_changes
from planner.plan import Plan
from planner.runs import write_run

INSTANCES = Path(__file__).resolve().parents[3] / "instances"
CHANGES = ("prices.l4*=0.8", "demand.chat*=1.7", "carbon.*=1.1", "quality.documents.*.rag+=0.02")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs ``old`` and ``new`` of tiny."""
    folder = tmp_path_factory.mktemp("runs")
    for name, changes in (("old", ()), ("new", CHANGES)):
        request = Request(time_limit_s=20, changes=changes)
        write_run(folder / name, answer(INSTANCES / "tiny", request))
    return folder


@pytest.fixture(scope="module")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two fronts of tiny."""
    folder = tmp_path_factory.mktemp("fronts")
    for seed in (0, 1):
        planner.front(
            INSTANCES / "tiny", epsilon=0.2, time_limit=1.5, workers=1, seed=seed,
            output=folder / f"front{seed}",
        )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def found(runs: Path) -> PlanDiff:
    diff = planner.diff(runs / "old", runs / "new")
    assert isinstance(diff, PlanDiff)
    return diff


# ------------------------------------------------------------------ two plans


def test_totals_are_those_of_the_two_plans(runs: Path, found: PlanDiff) -> None:
    for side, at in (("old", "old"), ("new", "new")):
        plan = planner.plan.Plan.read(runs / side)
        assert getattr(found.total("cost"), at) == pytest.approx(plan.objectives.cost_usd, abs=1e-3)
        assert getattr(found.total("qoe"), at) == pytest.approx(plan.objectives.qoe, abs=1e-9)
        lines = {line.line: getattr(line, at) for line in found.total("carbon").lines}
        assert lines == pytest.approx(plan.carbon_lines, abs=1e-3)


def test_the_old_plan_is_judged_under_the_new_data(found: PlanDiff) -> None:
    assert not found.kept.feasible
    (broken,) = found.kept.broken
    assert broken.rule == "replica-capacity"
    assert "replicas" in broken.first
    kept = found.kept.objectives.cost_usd
    decisions = found.total("cost").by_cause["decisions"]
    assert kept + decisions == pytest.approx(found.total("cost").new, abs=1e-3)


def test_changed_figures_are_told_by_the_name_they_share(found: PlanDiff) -> None:
    told = {figure.what: figure for figure in found.data.figures}
    assert told["prices.l4"].factor == 0.8
    assert told["prices.l4"].unit == "USD per accelerator and hour"
    assert (told["demand.chat"].factor, told["demand.chat"].count) == (1.7, 4)
    assert told["carbon.*"].factor == 1.1
    assert told["quality.documents/llama-3.1-8b/rag"].count == 1
    assert found.asked == (("changes", "none", "; ".join(CHANGES)),)


def test_a_plan_does_not_differ_from_itself(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = planner.diff(runs / "old", runs / "old")
    assert same.same
    assert run(["diff", str(runs / "old"), str(runs / "old")]) == 0
    out = capsys.readouterr().out
    assert out == "no change: decisions, totals and data are the same\n"


def test_other_machines_with_as_many_accelerators_are_told(runs: Path, found: PlanDiff) -> None:
    old = Plan.read(runs / "old")
    lines = tuple(replace(line, offer="twice-as-large") for line in old.fleet)
    new = replace(old, fleet=lines)
    changed = machine_changes(old, new)
    offers = {line.offer for line in old.fleet}
    assert {row.offer for row in changed if row.sign == "-"} == offers
    assert {row.offer for row in changed if row.sign == "+"} == {"twice-as-large"}
    assert fleet_changes(old, new) == ()
    assert machine_changes(old, old) == ()
    alike = replace(found, fleet=(), adoption=(), regions=(), machines=())
    assert decided(alike) == "the same decisions"
    moved = replace(alike, machines=changed)
    assert decided(moved) == "as many accelerators in other machines"
    assert any("twice-as-large" in text for text in plan_lines(moved))


def test_the_text_tells_signs_then_totals_then_causes(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["diff", str(runs / "old"), str(runs / "new")]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert re.match(r"cost -[\d,.]+ USD \(-[\d.]+ %\), carbon \+[\d,.]+ kgCO2e", lines[0])
    titles = ["Fleet", "Totals", "Why", "Cost, USD, by line", "The old plan under", "Asked",
              "Figures, as resolved", "How sure"]  # fmt: skip
    places = [out.index(f"\n{title}") for title in titles]
    assert places == sorted(places)
    assert max(len(line) for line in lines) <= WIDTH
    assert re.search(r"^  ~  gcp:us-central1  l4 +on-demand +3 +4 +\+1$", out, re.MULTILINE)


def test_printed_causes_add_up_as_printed(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["diff", str(runs / "old"), str(runs / "new")])
    lines = capsys.readouterr().out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Why"))
    rows = [re.split(r" {2,}", line.strip()) for line in lines[start + 2 : start + 9]]
    cells = [[float(cell.replace(",", "")) for cell in row[1:]] for row in rows]
    for column in zip(*cells, strict=True):
        assert sum(column[:-1]) == pytest.approx(column[-1], abs=1e-9)
    begin = next(i for i, line in enumerate(lines) if line.startswith("Cost, USD, by line"))
    moves = []
    for line in lines[begin + 1 :]:
        if not line:
            break
        moves += [float(x.replace(",", "")) for x in re.findall(r"  ([+-][\d,.]+) \(", line)]
    assert sum(moves) == pytest.approx(cells[-1][0], abs=1e-9)


def test_json_has_effects_by_cause(
    runs: Path, found: PlanDiff, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["diff", str(runs / "old"), str(runs / "new"), "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["kind"] == "plans"
    cost = body["totals"][0]
    assert cost["effects"] == found.total("cost").by_cause
    assert sum(cost["effects"].values()) == cost["change"]
    assert body["kept"]["feasible"] is False


def test_notebooks_have_a_table_and_a_frame(found: PlanDiff) -> None:
    html = found._repr_html_()
    assert "<table>" in html
    assert "replica-capacity" in html
    frame = found.to_frame()
    cost = frame[frame.objective == "cost"]
    total = cost[cost.line == "total"].iloc[0]
    assert cost[cost.line != "total"].change.sum() == total.change
    assert total[["prices", "demand", "carbon data", "quality data", "other data",
                  "decisions"]].sum() == total.change  # fmt: skip


# ------------------------------------------------------------------ fronts and their points


def test_two_fronts_are_compared_by_their_named_choices(
    fronts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["diff", str(fronts / "front0"), str(fronts / "front1")]) == 0
    out = capsys.readouterr().out
    assert "old points by new ones" in out.splitlines()[0] or "no change" in out
    body = planner.diff(fronts / "front0", fronts / "front1").to_dict()
    names = " = ".join(choice["choice"] for choice in body["choices"])
    assert {"cheapest", "greenest", "best QoE", "compromise"} <= set(names.split(" = "))
    for choice in body["choices"]:
        assert choice["diff"]["asked"] == ()


def test_a_front_does_not_differ_from_itself(fronts: Path) -> None:
    assert planner.diff(fronts / "front0", fronts / "front0").same
    front = Front.read(fronts / "front0")
    assert beaten(front, front) == 0


def test_a_front_with_worse_points_is_beaten(fronts: Path) -> None:
    front = Front.read(fronts / "front0")
    worse = replace(
        front, points=tuple(replace(p, cost_usd=1.1 * p.cost_usd) for p in front.points)
    )
    assert beaten(worse, front) == len(front.points)
    assert beaten(front, worse) == 0


def test_points_have_ids_and_names(fronts: Path) -> None:
    front = Front.read(fronts / "front0")
    named = named_points(front)
    assert find_point(front, "cheapest") == named["cheapest"]
    assert find_point(front, "best-QoE") == find_point(front, "best QoE")
    assert find_point(front, front.points[0].id) == front.points[0]
    with pytest.raises(RunError, match="did you mean cheapest"):
        find_point(front, "cheepest")


def test_a_point_of_a_front_compares_with_a_run(runs: Path, fronts: Path) -> None:
    point = find_point(Front.read(fronts / "front0"), "cheapest")
    diff = planner.diff(fronts / "front0" / "plans" / point.id, runs / "old")
    assert isinstance(diff, PlanDiff)
    assert diff.total("cost").old == pytest.approx(point.cost_usd, abs=1e-3)
    side = read_point(fronts / "front0", point.id)
    capped = side.as_cheapest()
    assert side.facts.instance.settings.caps.carbon_kgco2e is None
    assert capped.facts.instance.settings.caps.carbon_kgco2e == point.carbon_kgco2e


# ------------------------------------------------------------------ instances


def test_instances_are_compared_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "other"
    shutil.copytree(INSTANCES / "tiny", folder)
    edit(folder / "demand.csv", lambda text: text.replace("1.123", "2"))
    edit(folder / "regions.csv", lambda text: text + "aws:us-east-1\n")
    edit(folder / "quality.csv", lambda text: text.replace("chat,qwen3-32b,base,0.75\n", ""))
    edit(folder / "variants.csv", lambda text: text.replace("chat,qwen3-32b,base\n", ""))
    edit(folder / "instance.toml", lambda text: text + "max_llms = 2\n")
    (folder / "overrides.csv").write_text(
        "table,id,column,value,reason\nregions,aws:eu-north-1,pue,1.3,measured\n"
    )
    assert run(["diff", str(INSTANCES / "tiny"), str(folder)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("6 tables differ: 4 rows come or go, 2 figures change\n")
    for line in (
        "~ policy.max_llms blank -> 2",
        "~ chat/us-east/h00-12: requests_per_s 1.123 -> 2 1/s",
        "+ aws:us-east-1",
        "- chat/qwen3-32b/base",
        "pue.aws:eu-north-1: ",
    ):
        assert f"  {line}" in out, line
    assert planner.diff(INSTANCES / "tiny", INSTANCES / "tiny").same
    assert len(planner.diff(INSTANCES / "tiny", folder).to_frame()) == 6


def edit(file: Path, change: Callable[[str], str]) -> None:
    file.write_text(change(file.read_text()))


def test_rows_without_a_key_are_counted(tmp_path: Path) -> None:
    facts = planner.load(INSTANCES / "reference")
    owned = facts.instance.owned
    more = facts.instance.model_copy(update={"owned": (*owned, owned[0])})
    (table,) = table_changes(facts.instance, more)
    assert table.table == "owned.csv"
    assert len(table.added) == 1
    assert table.added[0].endswith("row 2")


def test_data_that_only_a_request_changed_are_figures_not_tables() -> None:
    facts = planner.load(INSTANCES / "tiny")
    found = data_changes(facts, with_changes(facts, ["prices.l4.on-demand*=2"]))
    assert found.tables == ()
    assert [(f.what, f.factor) for f in found.figures] == [("prices.l4.on-demand", 2.0)]


# ------------------------------------------------------------------ errors and rounding


def test_only_things_of_one_kind_are_compared(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["diff", str(runs / "old"), str(INSTANCES / "tiny")]) == 1
    assert "is a plan" in capsys.readouterr().err
    assert run(["diff", str(runs), str(runs / "old")]) == 1
    assert "holds no plan.json, front.json or instance.toml" in capsys.readouterr().err
    with pytest.raises(RunError):
        read_side(runs / "nowhere")


@pytest.mark.parametrize("seed", range(20))
def test_rounded_parts_add_up_and_stay_near(seed: int) -> None:
    import random

    rng = random.Random(seed)
    parts = [rng.choice((0.0, rng.uniform(-1e4, 1e4))) for _ in range(rng.randint(1, 8))]
    old = rng.uniform(0, 1e5)
    decimals = rng.choice((0, 2))
    _, _, change, shown = rounded_change(old, old + sum(parts), parts, decimals)
    assert math_sum(shown, decimals) == change
    assert all(abs(a - b) <= 2.0 * 10.0**-decimals for a, b in zip(shown, parts, strict=True))
    assert all(a == 0.0 for a, b in zip(shown, parts, strict=True) if b == 0.0 and any(parts))


def math_sum(parts: list[float], decimals: int) -> float:
    return round(sum(parts), decimals)


def test_parts_of_nothing_are_nothing() -> None:
    assert apportioned([0.0, 0.0], 0.0, 2) == [0.0, 0.0]
    assert [decimals_of("cost", v) for v in (3e6, 3e4, 3e2, 0.0)] == [0, 1, 2, 2]
    assert decimals_of("qoe", 0.7) == 4
