"""Plans, fronts and reports as objects of a notebook."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import plotly.graph_objects as go
import pytest

import planner
from planner.errors import PlannerError
from planner.front.front import Front
from planner.plan import Plan
from planner.report.figures import parallel_coordinates
from planner.report.notebook import PLAN_FIGURES, PLAN_TABLES
from tests.planner.report_runs import front_run, hand_made_plans


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return front_run(tmp_path_factory.mktemp("runs") / "front", "tiny", 8)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return hand_made_plans("small")[0]


def test_a_plan_shows_its_answer(plan: Plan) -> None:
    card = plan._repr_html_().replace("\N{NO-BREAK SPACE}", " ")
    assert f"{plan.objectives.cost_usd:,.0f} USD" in card
    assert all(row.workload in card for row in plan.adoption)


@pytest.mark.parametrize("table", PLAN_TABLES)
def test_a_plan_gives_its_lists_as_frames(plan: Plan, table: str) -> None:
    assert len(plan.to_frame(table)) == len(getattr(plan, table))


def test_frames_of_lines_carry_their_unit(plan: Plan) -> None:
    assert list(plan.to_frame("cost_lines")) == ["line", "cost_usd"]
    assert plan.to_frame("cost_lines")["cost_usd"].sum() == pytest.approx(plan.objectives.cost_usd)


@pytest.mark.parametrize("what", PLAN_FIGURES)
def test_a_plan_gives_figures_that_can_be_restyled(plan: Plan, what: str) -> None:
    figure = plan.figure(what)
    assert isinstance(figure, go.Figure)
    figure.update_layout(title="mine", paper_bgcolor="ivory")
    assert figure.layout.title.text == "mine"


def test_a_waterfall_ends_at_the_total(plan: Plan) -> None:
    (trace,) = plan.figure("cost").data
    assert trace.y[-1] == "total"
    assert sum(trace.x[:-1]) == pytest.approx(trace.x[-1])
    assert trace.x[-1] == pytest.approx(plan.objectives.cost_usd, abs=0.5)


def test_a_front_shows_its_points_and_its_proof(run: Path) -> None:
    front = Front.read(run)
    card = front._repr_html_()
    assert "no plan at all beats them by more than" in card
    assert all(point.id in card for point in front.points)
    assert len(front.to_frame()) == 8
    assert front.to_frame()["cost_usd"].tolist() == [p.cost_usd for p in front.points]


@pytest.mark.parametrize(("across", "up"), [("cost", "carbon"), ("qoe", "cost"), ("carbon", "qoe")])
def test_a_front_gives_any_two_objectives(run: Path, across: str, up: str) -> None:
    figure = Front.read(run).figure(across, up)
    plans = next(trace for trace in figure.data if trace.name == "plans")
    assert len(plans.x) == 8


def test_parallel_coordinates_are_a_plotly_figure_too(run: Path) -> None:
    report = planner.report(run)
    decisions = {name: view.decisions for name, view in report.content.views.items()}
    (trace,) = parallel_coordinates(Front.read(run), decisions).data
    assert [d.label for d in trace.dimensions][:3] == ["Cost, USD", "Carbon, kgCO2e", "QoE"]


def test_a_report_shows_its_options(run: Path) -> None:
    report = planner.report(run)
    card = report._repr_html_()
    assert all(option.name in card for option in report.options)


def test_wrong_names_are_told_with_the_right_ones(run: Path, plan: Plan) -> None:
    with pytest.raises(PlannerError, match="no table 'x' of a plan: one of fleet"):
        plan.to_frame("x")
    with pytest.raises(PlannerError, match="no figure 'x' of a plan: one of cost"):
        plan.figure("x")
    front = Front.read(run)
    with pytest.raises(PlannerError, match="no objective 'price': one of cost, carbon, qoe"):
        front.figure("price")
    with pytest.raises(PlannerError, match="name two objectives"):
        front.figure("cost", "cost")


def test_the_objects_load_neither_pandas_nor_plotly_before_they_are_asked() -> None:
    code = (
        "import sys, planner.plan, planner.report.files, planner.front.front; "
        "print('\\n'.join(sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"plotly", "jinja2", "xlsxwriter", "pyarrow", "pandas"} & set(loaded)
