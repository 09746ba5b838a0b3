"""Choosing from a front, and `planner pick`."""

import json

import numpy as np
import pytest
import typer
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from typer.testing import CliRunner

from planner.answer.words import PROVED_OVER
from planner.cli.pick import _steps, pick
from planner.errors import InfeasibleError, PlannerError, RunError
from planner.front.choose import (
    alternatives,
    best_of,
    bulge,
    changes,
    compromise,
    fleet_of,
    is_near,
    knees,
    least_cost_within,
    nearest,
    normalised,
    proved_impossible,
    step,
    steps_by_cost,
    steps_up,
    trade_offs,
    within,
)
from planner.front.geometry import Box, Cut, nondominated
from planner.plan import Objectives
from tests.planner.front.front_examples import POINTS, front, plan, write_run

QUICK = settings(max_examples=60, deadline=None)
fronts = hnp.arrays(
    float, st.tuples(st.integers(3, 15), st.just(3)), elements=st.integers(0, 20).map(float)
).map(lambda rows: rows[nondominated(rows)])

# A bent line in two objectives: its corner is (1, 1).
BENT = np.array([[0, 10], [0.3, 7], [0.6, 4], [1, 1], [4, 0.6], [7, 0.3], [10, 0]])


# ---------------------------------------------------------------- choices


def test_best_of_breaks_ties_by_all_else():
    f = [[1, 9, 9], [1, 2, 2], [5, 1, 1]]
    assert best_of(f, 0) == 1


def test_compromise_is_least_far_from_the_ideal_in_every_range():
    assert compromise(BENT) == 3
    assert compromise(BENT * [1000, 0.001]) == 3


@QUICK
@given(fronts)
def test_choices_do_not_depend_on_units(f):
    scaled = f * [64, 0.25, 8] + [1024, -16, 0]
    assert compromise(scaled) == compromise(f)
    assert knees(scaled) == knees(f)


@QUICK
@given(fronts)
def test_no_choice_is_beaten_in_its_own_rule(f):
    g = normalised(f)
    assert g[compromise(f)].max() <= g.max(axis=1).min() + 1e-3 * 3
    for i in range(3):
        assert f[best_of(f, i), i] == f[:, i].min()


def test_the_corner_of_a_bent_line_is_its_knee():
    assert knees(BENT)[0] == 3
    assert bulge(BENT)[3] == pytest.approx(0.8 / 2**0.5)
    assert trade_offs(BENT)[3] == pytest.approx(trade_offs(BENT)[1:-1].max())


def test_two_bends_are_two_knees():
    line = [[0, 10], [0.2, 5.5], [0.5, 5], [4.2, 4.6], [4.6, 4.2], [5, 0.5], [5.5, 0.2], [10, 0]]
    found = knees(np.array(line, dtype=float), most=5)
    assert {2, 5} <= set(found)


def test_a_straight_or_hollow_front_has_no_knee():
    straight = np.column_stack([np.linspace(0, 1, 7), np.linspace(1, 0, 7)])
    hollow = np.column_stack([np.linspace(0, 1, 7), 1 - np.linspace(0, 1, 7) ** 4])
    assert knees(straight) == []
    assert knees(hollow) == []
    assert knees(BENT[:2]) == []


def test_nearest_evens_out_misses_and_betters_what_can_be_had():
    f = [[1.0, 9.0, 0.0], [5.0, 5.0, 0.5], [9.0, 1.0, 1.0]]
    assert nearest(f, {0: 4.0, 1: 4.0}) == 1
    assert nearest(f, {1: 0.0}) == 2
    # All can meet a carbon of 20: the one that betters it most.
    assert nearest(f, {1: 20.0}) == 2
    with pytest.raises(ValueError, match="wish"):
        nearest(f, {})


@QUICK
@given(fronts, st.data())
def test_a_wish_for_a_listed_point_is_granted(f, data):
    i = data.draw(st.integers(0, len(f) - 1))
    assume(np.all(np.ptp(f, axis=0) > 0))
    chosen = nearest(f, dict(enumerate(f[i])))
    g = normalised(f)
    assert (g[chosen] - g[i]).max() <= 1e-2
    if np.min([np.abs(g[i] - other).max() for j, other in enumerate(g) if j != i], initial=1) > 0.1:
        assert (g[chosen] - g[i]).max() <= 0.02


def test_caps_keep_the_point_they_were_read_from():
    f = [[100.1, 5.0], [200.0, 3.0]]
    assert within(f, {0: 100.1}).tolist() == [True, False]
    assert within(f, {0: 100.0}).tolist() == [False, False]
    assert within(f, {}).tolist() == [True, True]


def test_caps_are_proved_impossible_only_by_a_cut_or_box_that_sees_them():
    cuts = [Cut([1, 1, 0], 10.0), Cut([0, 1, 0], 2.0)]
    assert proved_impossible({1: 1.0}, cuts, [], 3)
    assert proved_impossible({0: 4.0, 1: 5.0}, cuts, [], 3)
    assert not proved_impossible({0: 4.0}, cuts, [], 3)
    assert not proved_impossible({0: 5.0, 1: 5.0}, cuts, [], 3)
    empty = Box([np.inf, 3.0, 0.5], 0, np.inf)
    assert proved_impossible({1: 3.0, 2: 0.4}, [], [empty], 3)
    assert not proved_impossible({1: 3.0}, [], [empty], 3)


def test_least_cost_within_caps():
    cuts = [Cut([1, 2, 0], 10.0), Cut([1, 0, 0], 3.0)]
    assert least_cost_within({1: 2.0}, cuts, [], 3) == pytest.approx(6.0)
    assert least_cost_within({}, cuts, [], 3) == pytest.approx(3.0)
    assert least_cost_within({}, cuts[:1], [], 3) == -np.inf
    box = Box([np.inf, 2.0, np.inf], 0, 8.0)
    assert least_cost_within({1: 2.0}, cuts, [box], 3) == pytest.approx(8.0)
    assert least_cost_within({1: 2.5}, cuts, [box], 3) == pytest.approx(5.0)


def test_a_level_on_an_objective_left_open_says_nothing_of_the_cost():
    box = Box([50.0, np.inf, 0.1], 1, 5.0)
    assert least_cost_within({2: 0.1}, [], [box], 3) == -np.inf
    assert least_cost_within({1: 4.0, 2: 0.1}, [], [box], 3) == 50.0


# ---------------------------------------------------------------- steps


def test_price_of_a_step():
    taken = step(("a", Objectives(100, 3000, 0.80)), ("b", Objectives(300, 1000, 0.82)))
    assert taken.usd_per_tonne == pytest.approx(100.0)
    assert taken.usd_per_qoe_point == pytest.approx(100.0)
    back = step(("b", Objectives(300, 1000, 0.82)), ("a", Objectives(100, 3000, 0.80)))
    assert (back.usd_per_tonne, back.usd_per_qoe_point) == (None, None)


def test_steps_between_neighbours_follow_the_cost_and_add_up():
    values = {p.id: p.objectives for p in front().points}
    steps = steps_by_cost(dict(reversed(values.items())))
    assert [(s.start, s.end) for s in steps] == [("a", "b"), ("b", "c"), ("c", "d")]
    assert sum(s.cost_usd for s in steps) == pytest.approx(300.0)
    assert steps[0].usd_per_tonne == pytest.approx(20 / 0.4)
    assert steps[2].usd_per_qoe_point == pytest.approx(40.0)


def test_each_point_is_reached_from_its_nearest_cheaper_neighbours():
    values = {
        "cheap": Objectives(100, 900, 0.9),
        "green": Objectives(150, 500, 0.9),
        "good": Objectives(160, 890, 0.99),
        "dear": Objectives(400, 400, 0.99),
    }
    up = {line.point: line for line in steps_up(values)}
    assert up["cheap"].for_carbon is up["cheap"].for_qoe is None
    assert up["green"].for_carbon.start == "cheap"
    assert up["green"].for_qoe is None
    assert up["good"].for_qoe.start == "cheap"
    assert steps_up({}) == []


# ---------------------------------------------------------------- alternatives


def test_fleet_counts_the_most_held_at_once():
    assert fleet_of(plan(100, 900, 0.8, "base", 16)) == {
        ("north", "h100", "commit-1y"): 8,
        ("north", "h100", "on-demand"): 16,
    }


def test_alternatives_are_as_good_and_decide_otherwise():
    chosen = plan(100, 900, 0.80, "base", 8)
    others = {
        "same": plan(100.5, 900, 0.80, "base", 8),
        "other": plan(100.5, 905, 0.799, "rag", 16),
        "dear": plan(102, 900, 0.80, "rag", 16),
        "poor": plan(100, 900, 0.79, "rag", 16),
    }
    (only,) = alternatives(chosen, others)
    assert only.id == "other"
    assert only.cost_change == pytest.approx(0.005)
    assert [(c.what, c.chosen, c.alternative) for c in only.changes] == [
        ("variant of chat", "base", "rag"),
        ("h100 in north, on-demand", "8", "16"),
    ]
    assert changes(chosen, chosen) == ()


def test_near_is_relative_and_of_nothing_only_nothing():
    assert is_near(Objectives(100, 0, 0.8), Objectives(101, 0, 0.8))
    assert not is_near(Objectives(100, 0, 0.8), Objectives(100, 1, 0.8))


# ---------------------------------------------------------------- the command

app = typer.Typer()
app.command()(pick)


def picked(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def run_dir(tmp_path):
    return write_run(tmp_path)


def test_the_first_line_is_the_answer(run_dir):
    first, second, *rest = picked(run_dir).output.splitlines()
    assert first == "take c, compromise: 200 USD, 400 kgCO2e, QoE 0.9000"
    assert second == "plan: plans/c.json"
    text = "\n".join(rest)
    assert "USD per tonne avoided" in text
    assert "the front is complete: no plan at all betters the list by more than 3.00 %" in text


def test_the_text_says_over_which_lanes_and_operating_points_the_front_is_proved(run_dir):
    file = run_dir / "plans" / "c.json"
    body = json.loads(file.read_text())
    body["assumptions"] = [
        "Of another thing.",
        f"{PROVED_OVER} That holds for lanes of 4,096 tokens.",
    ]
    file.write_text(json.dumps(body))
    said = " ".join(picked(run_dir).output.split())
    assert "over what may be chosen. That holds for lanes of 4,096 tokens. Where [serving]" in said
    assert "Of another thing" not in said


def test_a_change_of_qoe_that_is_not_shown_has_no_price():
    shown, hidden = (
        step(("a", Objectives(100.0, 5.0, 0.5)), ("b", Objectives(200.0, 6.0, 0.5 + gained)))
        for gained in (0.001, 1e-5)
    )
    lines = _steps([shown, hidden])
    assert lines[-2].split()[-4:] == ["+1.00", "+0.0010", "-", "1,000"]
    assert lines[-1].split()[-4:] == ["+1.00", "0", "-", "-"]


def test_json_holds_all_choices_steps_and_the_state_of_the_front(run_dir):
    data = json.loads(picked(run_dir, "--json").output)
    by_name = {choice["choice"]: choice["id"] for choice in data["choices"]}
    assert by_name["cheapest"] == "a"
    assert by_name["greenest"] == by_name["best QoE"] == "d"
    assert len(data["steps"]) == 3
    # A cheaper neighbour worse in both carbon and QoE is one step, not two.
    assert [(s["start"], s["end"]) for s in data["from_cheaper"]] == [
        ("a", "b"), ("b", "c"), ("c", "d")
    ]  # fmt: skip
    assert data["front"] == {"status": "complete", "epsilon": 0.03}
    assert data["cost_bound_usd"] == 95.0


def test_wishes_choose_the_nearest(run_dir):
    data = json.loads(picked(run_dir, "--like", "cost=125,carbon=480", "--json").output)
    assert (data["chosen"]["id"], data["chosen"]["choice"]) == ("b", "nearest to the wishes")


def test_caps_choose_the_cheapest_that_keeps_them(run_dir):
    data = json.loads(picked(run_dir, "--max", "carbon=450", "--min", "qoe=0.85", "--json").output)
    assert data["chosen"]["id"] == "c"
    assert data["within_caps"] == 2
    # The box: carbon at most 450 costs at least 150.
    assert data["cost_bound_usd"] == 150.0


def test_caps_that_no_plan_can_keep_are_proved_infeasible(run_dir):
    with pytest.raises(InfeasibleError, match="no plan keeps") as caught:
        picked(run_dir, "--max", "carbon=340")
    assert "closest listed plan, d" in caught.value.repair[0]
    with pytest.raises(InfeasibleError, match="no plan keeps"):
        picked(run_dir, "--max", "carbon=450", "--max", "cost=149")


def test_caps_that_only_the_listed_plans_miss_are_not_called_infeasible(run_dir):
    with pytest.raises(PlannerError, match="not proved") as caught:
        picked(run_dir, "--max", "carbon=360")
    assert not isinstance(caught.value, InfeasibleError)


def test_unlisted_plans_of_the_folder_serve_as_alternatives(run_dir):
    near = plan(201, 401, 0.9, "base", 24)
    (run_dir / "plans" / "spare.json").write_text(near.to_json(), encoding="utf-8")
    data = json.loads(picked(run_dir, "--json").output)
    assert [other["id"] for other in data["alternatives"]] == ["spare"]
    assert "spare (cost +0.50%" in picked(run_dir).output


def test_a_truncated_front_says_so(tmp_path):
    write_run(tmp_path, complete=False)
    assert "TRUNCATED" in picked(tmp_path).output


def test_an_unknown_name_or_folder_is_refused(run_dir, tmp_path):
    assert picked(run_dir, "--max", "qoe=0.9").exit_code == 2
    assert picked(run_dir, "--like", "price=3").exit_code == 2
    with pytest.raises(RunError, match="cannot read"):
        picked(tmp_path / "nowhere")


def test_the_examples_are_a_front():
    rows = np.array([[c, k, 1 - q] for c, k, q, _, _ in POINTS.values()])
    assert nondominated(rows).all()
