"""Run folders: whole or not at all, read back as written, verified from their own copy."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import planner
from planner.api import Answer, Request, answer
from planner.errors import PlannerError, RunError, VerificationError
from planner.instance.load import content_sha256
from planner.plan import Plan
from planner.runs import new_folder, read_run, write_run
from planner.verify import Proof, verify_proof
from tests.planner.hand_made import result

TINY = Path(__file__).resolve().parents[2] / "instances" / "tiny"


@pytest.fixture(scope="module")
def answered() -> Answer:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("planner.solve.engine.minimize", by_hand)
        return answer(TINY, Request(caps={"cost": 1e6}))


def by_hand(data: object, objective: str, *_: object, **__: object) -> object:
    return result(data, objective)  # type: ignore[arg-type]


def test_a_run_reads_back_as_written(answered: Answer, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "runs" / "one", answered)
    run = read_run(folder)
    assert run.plan == answered.plan
    assert run.request == answered.request
    assert sorted(path.name for path in folder.iterdir()) == [
        *("certificate.npz", "instance", "log.jsonl", "plan.json", "request.json", "tables")
    ]


def test_the_copy_of_the_instance_has_the_same_content(answered: Answer, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "one", answered)
    assert content_sha256(folder / "instance") == answered.plan.instance.sha256


def test_tables_hold_the_lists_of_the_plan(answered: Answer, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "one", answered)
    with (folder / "tables" / "fleet.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(answered.plan.fleet)
    assert rows[0]["region"] == answered.plan.fleet[0].region
    with (folder / "tables" / "cost_lines.csv").open(newline="") as file:
        lines = {row["line"]: float(row["usd"]) for row in csv.DictReader(file)}
    assert lines == answered.plan.cost_lines


def test_the_log_is_json_line_by_line_with_every_phase(answered: Answer, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "one", answered)
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    phases = [event["phase"] for event in events if event["event"] == "phase"]
    assert phases == [
        *("load", "candidates", "index", "plan", "check", "check of the bound", "other sides")
    ]


def test_the_certificate_is_the_proof_that_was_checked(answered: Answer, tmp_path: Path) -> None:
    stored = Proof.load(write_run(tmp_path / "one", answered) / "certificate.npz")
    assert (stored.weights == answered.proof.weights).all()
    assert [p.rows for p in stored.prices] == [p.rows for p in answered.proof.prices]
    assert (stored.allowed == answered.proof.allowed).all()
    assert (stored.shares == answered.proof.shares).all()


def test_the_stated_bound_is_what_the_stored_prices_prove(answered: Answer, tmp_path: Path) -> None:
    stored = Proof.load(write_run(tmp_path / "one", answered) / "certificate.npz")
    stated = answered.plan.certificate
    assert stated.proof == "dual prices" and stated.solver is None
    assert stated.bound == stated.bound_from_prices == verify_proof(answered.facts, stored)


def test_a_bound_of_branch_and_bound_stands_beside_what_the_prices_prove(
    answered: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    proved = answered.plan.certificate.bound

    def searched(data: object, objective: str, *_: object) -> object:
        found = result(data, objective)  # type: ignore[arg-type]
        return dataclasses.replace(found, bound=0.99 * found.value, proof="branch and bound")

    monkeypatch.setattr("planner.solve.engine.minimize", searched)
    stated = answer(TINY, Request(caps={"cost": 1e6})).plan.certificate
    assert (stated.proof, stated.solver) == ("branch and bound", "HiGHS")
    assert stated.bound == pytest.approx(0.99 * stated.value)
    assert stated.bound_from_prices == pytest.approx(proved)


def test_branch_and_bound_that_proves_less_than_the_prices_is_not_named(
    answered: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def searched(data: object, objective: str, *_: object) -> object:
        found = result(data, objective)  # type: ignore[arg-type]
        return dataclasses.replace(found, bound=0.0, proof="branch and bound")

    monkeypatch.setattr("planner.solve.engine.minimize", searched)
    assert answer(TINY, Request(caps={"cost": 1e6})).plan.certificate == answered.plan.certificate


def test_a_run_is_verified_from_its_own_copy_and_request(answered: Answer, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "one", answered)
    assert planner.verify(folder).ok
    request = json.loads((folder / "request.json").read_text())
    request["caps"] = {"cost": 1.0}
    (folder / "request.json").write_text(json.dumps(request))
    assert [violation.rule for violation in planner.verify(folder).violations] == ["caps"]


def test_an_older_run_in_the_place_is_replaced(answered: Answer, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "one", answered)
    (folder / "plan.json").write_text("old")
    write_run(folder, answered)
    assert read_run(folder).plan == answered.plan
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_what_is_not_a_run_is_never_replaced(answered: Answer, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match="not a run folder"):
        write_run(tmp_path / "mine", answered)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_a_failed_write_leaves_nothing(
    answered: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("planner.runs.plan_tables", full)
    with pytest.raises(RunError, match="No space left"):
        write_run(tmp_path / "one", answered)
    assert list(tmp_path.iterdir()) == []


def test_two_runs_of_one_second_have_two_folders(tmp_path: Path) -> None:
    first = new_folder("small", tmp_path)
    first.mkdir()
    assert new_folder("small", tmp_path) != first
    assert first.name.startswith("small-")


def damaged_json(folder: Path) -> None:
    (folder / "plan.json").write_text('{"format_version": 2, "instance": 3}')


def other_version(folder: Path) -> None:
    body = json.loads((folder / "plan.json").read_text())
    (folder / "plan.json").write_text(json.dumps({**body, "format_version": 99}))


def no_request(folder: Path) -> None:
    (folder / "request.json").unlink()


def strange_request(folder: Path) -> None:
    (folder / "request.json").write_text('{"wish": "cheap"}')


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damaged_json, "damaged"),
        (other_version, "format_version 99"),
        (no_request, "request.json missing"),
        (strange_request, "damaged"),
    ],
)
def test_a_damaged_run_is_a_run_error(
    answered: Answer, tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    folder = write_run(tmp_path / "one", answered)
    damage(folder)
    with pytest.raises(RunError, match=said):
        read_run(folder)


def test_no_folder_is_a_run_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such folder"):
        read_run(tmp_path / "nowhere")


# ------------------------------------------------------------------ the Python API


def test_the_api_plans_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner.solve.engine.minimize", by_hand)
    plan = planner.plan(TINY, minimize="carbon", caps={"cost": 1e6}, floors={"qoe": 0.1})
    assert isinstance(plan, Plan)
    assert plan.certificate.minimised == "carbon"
    assert plan.certificate.value == plan.objectives.carbon_kgco2e


def test_a_plan_that_fails_its_check_is_never_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_few(data: object, objective: str, *_: object) -> object:
        found = by_hand(data, objective)
        wrong = dataclasses.replace(
            found.solution,
            rent=np.zeros_like(found.solution.rent),  # type: ignore[attr-defined]
        )
        return dataclasses.replace(found, solution=wrong)  # type: ignore[type-var]

    monkeypatch.setattr("planner.solve.engine.minimize", too_few)
    with pytest.raises(VerificationError, match="machine-capacity"):
        planner.plan(TINY)


def test_a_cap_below_the_plan_is_caught_by_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner.solve.engine.minimize", by_hand)
    with pytest.raises(VerificationError, match="caps: cost"):
        planner.plan(TINY, caps={"cost": 1.0})


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"minimize": "fun"}, "minimize 'fun'"),
        ({"caps": {"time": 3}}, "cap 'time'"),
        ({"caps": {"cost": -3}}, "cost=-3"),
        ({"floors": {"qoe": 2}}, "at most 1"),
        ({"gap": 3}, "gap 3"),
        ({"time_limit": 0}, "time limit 0"),
        ({"threads": 0}, "threads 0"),
    ],
)
def test_a_wrong_wish_is_told_before_any_work(asked: dict[str, object], said: str) -> None:
    with pytest.raises(PlannerError, match=said):
        planner.plan("nowhere", **asked)  # type: ignore[operator]


def test_modules_and_functions_of_one_name_live_together() -> None:
    assert planner.plan.Plan is Plan
    assert callable(planner.plan)
    assert callable(planner.verify)
    with pytest.raises(AttributeError, match="harvest"):
        _ = planner.harvest


# ------------------------------------------------------------------ an incumbent


def test_an_incumbent_is_copied_and_priced(
    answered: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change against the plan in force is paid in lines of its own, and checked so."""
    before = dataclasses.replace(
        answered.plan,
        adoption=tuple(
            dataclasses.replace(row, variant=f"{row.variant}-of-old", llm=f"{row.llm}-of-old")
            for row in answered.plan.adoption
        ),
    )
    folder = tmp_path / "instance"
    shutil.copytree(TINY, folder)
    (folder / "old").mkdir()
    (folder / "old" / "plan.json").write_text(before.to_json())
    settings = (folder / "instance.toml").read_text()
    policy = "[policy]\nchange_usd_per_workload = 50.0"
    settings = settings.replace("[policy]", policy).replace(
        "[period]", 'incumbent = "old"\n\n[period]'
    )
    (folder / "instance.toml").write_text(settings)
    monkeypatch.setattr("planner.solve.engine.minimize", by_hand)
    found = answer(folder, Request())
    people_usd = 24.0 * 120.0
    share = 728.0 / 2190.0
    work = found.plan.cost_lines["migration work"]
    assert work == pytest.approx(2 * (people_usd + 50.0) * share)
    run = write_run(tmp_path / "run", found)
    assert (run / "instance" / "old" / "plan.json").is_file()
    assert content_sha256(run / "instance", "old") == found.plan.instance.sha256
    assert planner.verify(run).ok
