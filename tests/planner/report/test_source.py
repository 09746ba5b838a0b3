"""What a report reads, and what it refuses in one clear sentence."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from planner.errors import RunError
from planner.plan import InstanceRef, Plan
from planner.report.page import content_of
from planner.report.source import read_source
from tests.planner.report_runs import front_run, plan_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return front_run(tmp_path / "front", "tiny", 5)


def test_a_front_brings_its_plans_and_its_instance(run: Path) -> None:
    source = read_source(run)
    assert list(source.plans) == [f"p000{number}" for number in range(1, 6)]
    assert source.name == "tiny"
    assert source.front is not None
    assert source.current is None


def test_a_plan_run_is_read_too(tmp_path: Path) -> None:
    source = read_source(plan_run(tmp_path / "plan", "tiny"))
    assert source.front is None
    assert list(source.plans) == ["plan"]


def no_instance(run: Path) -> None:
    (run / "instance").rename(run / "elsewhere")


def empty_front(run: Path) -> None:
    body = json.loads((run / "front.json").read_text())
    (run / "front.json").write_text(json.dumps({**body, "points": []}))


def another_plan(run: Path) -> None:
    plan = Plan.read(run / "plans" / "p0001")
    dearer = dataclasses.replace(plan.objectives, cost_usd=plan.objectives.cost_usd * 1.01)
    changed = dataclasses.replace(plan, objectives=dearer)
    (run / "plans" / "p0001" / "plan.json").write_text(changed.to_json())


def no_plan(run: Path) -> None:
    (run / "plans" / "p0002" / "plan.json").unlink()


def strange_request(run: Path) -> None:
    (run / "request.json").write_text("[]")


def damaged_sensitivity(run: Path) -> None:
    stored = '{"unit": "USD", "thresholds": [{"name": "prices"}], "not_reached": []}'
    (run / "plans" / "p0003" / "sensitivity.json").write_text(stored)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (no_instance, "not a whole run folder: instance missing"),
        (empty_front, "without plans: go on with `planner front --resume"),
        (another_plan, "not the plan that front.json lists as p0001.*planner verify"),
        (no_plan, "cannot read .*p0002"),
        (strange_request, r"request.json is not a JSON object"),
        (damaged_sensitivity, "sensitivity.json of p0003 is damaged.*planner explain"),
    ],
)
def test_what_is_damaged_is_told(run: Path, damage: Callable[[Path], None], said: str) -> None:
    damage(run)
    with pytest.raises(RunError, match=said):
        content_of(read_source(run))


def test_no_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such folder"):
        read_source(tmp_path / "nowhere")


# ------------------------------------------------------------------ the plan in force


def test_the_current_plan_may_be_a_file_or_a_run(run: Path, tmp_path: Path) -> None:
    other = plan_run(tmp_path / "other", "tiny")
    for named in (other, other / "plan.json"):
        current = read_source(run, named).current
        assert current is not None
        assert current.plan == Plan.read(other)
        assert current.same_instance


def changed(run: Path, **fields: object) -> Path:
    plan = dataclasses.replace(Plan.read(run), **fields)  # type: ignore[arg-type]
    (run / "plan.json").write_text(plan.to_json())
    return run


def test_a_current_plan_of_other_data_is_marked(run: Path, tmp_path: Path) -> None:
    other = plan_run(tmp_path / "other", "tiny")
    changed(other, instance=InstanceRef("tiny", "0" * 64))
    current = read_source(run, other).current
    assert current is not None
    assert not current.same_instance


def test_a_current_plan_of_another_period_or_other_slices_is_refused(
    run: Path, tmp_path: Path
) -> None:
    week = changed(plan_run(tmp_path / "week", "tiny"), period_hours=168.0)
    with pytest.raises(RunError, match=r"is of 168 h, the run of \d+ h; plan it again"):
        read_source(run, week)
    with pytest.raises(RunError, match="has slices that the run does not know"):
        read_source(run, plan_run(tmp_path / "small", "small"))


def test_a_front_is_not_a_current_plan(run: Path) -> None:
    with pytest.raises(RunError, match=r"is a front: name one of its plans"):
        read_source(run, run)


def test_the_incumbent_of_the_instance_is_the_current_plan(run: Path, tmp_path: Path) -> None:
    settings = run / "instance" / "instance.toml"
    text = settings.read_text().replace("[period]", 'incumbent = "old"\n\n[period]', 1)
    settings.write_text(text)
    plan_run(tmp_path / "old", "tiny").rename(run / "instance" / "old")
    current = read_source(run).current
    assert current is not None
    assert current.named == "old"
