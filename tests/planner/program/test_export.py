"""`planner export`: who solves the file finds the value that `planner plan` certifies."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import highspy
import numpy as np
import pytest

import planner
from models.fleet.data import FleetData
from models.fleet.program import build_program, minimize
from planner.cli import run
from planner.errors import PlannerError, RunError
from planner.plan import Plan
from planner.program.files import write_lp, write_mps
from planner.program.matrix import ONE, Matrix
from tests.fleet_examples import full_fleet, tiny_fleet
from tests.models.fleet.solving import optimum

TINY = Path(__file__).resolve().parents[3] / "instances" / "tiny"
EXPECTED = json.loads((TINY / "expected.json").read_text(encoding="utf-8"))
WRITERS = {"mps": write_mps, "lp": write_lp}
OBJECTIVES = ("cost", "carbon", "qoe-loss")


def read(path: Path) -> highspy.Highs:
    """The file as HiGHS reads it, and it must read it without a warning."""
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)  # one scheduler a process: as the engine has it
    assert solver.readModel(str(path)) == highspy.HighsStatus.kOk
    solver.setOptionValue("mip_rel_gap", 1e-9)
    return solver


def least(path: Path) -> float:
    """Value of the optimum of the file; inf where it has no plan."""
    solver = read(path)
    solver.run()
    if solver.getModelStatus() == highspy.HighsModelStatus.kInfeasible:
        return float("inf")
    assert solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return float(solver.getInfo().objective_function_value)


def matrix_of(data: FleetData, objective: str) -> Matrix:
    program = build_program(data)
    minimize(program, objective)
    return Matrix.of(program)


@pytest.fixture
def owning(tmp_path: Path) -> Path:
    """Tiny with a machine of its own: paid whatever is decided."""
    folder = tmp_path / "owning"
    shutil.copytree(TINY, folder)
    (folder / "owned.csv").write_text(
        "region,offer,instances,usd_per_h\ngcp:us-central1,gcp_g2-standard-4,1,0.5\n"
    )
    return folder


# ------------------------------------------------------------------ the value


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_optimum_of_the_file_is_the_best_of_all_plans(
    objective: str, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"tiny.{suffix}"
    planner.export(TINY, minimize=objective, **{suffix: path})
    assert least(path) == pytest.approx(EXPECTED[objective], rel=1e-7)


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_value_holds_what_owned_machines_cost(
    objective: str, suffix: str, owning: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"owning.{suffix}"
    written = planner.export(owning, minimize=objective, **{suffix: path})
    found = planner.plan(owning, minimize=objective).certificate
    if objective == "cost":
        assert written.constant == pytest.approx(0.5 * 728.0)
    assert found.bound * (1 - 1e-9) <= least(path) <= found.value * (1 + 1e-9)


@pytest.mark.parametrize("suffix", WRITERS)
def test_caps_floors_and_changes_are_in_the_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"tiny.{suffix}"
    limits = {"caps": {"carbon": 100.0}, "floors": {"qoe": 0.6}, "changes": ("prices.l4*=2",)}
    planner.export(TINY, minimize="cost", **{suffix: path}, **limits)
    found = planner.plan(TINY, minimize="cost", **limits).certificate
    assert EXPECTED["cost"] < found.bound * (1 - 1e-9) <= least(path) <= found.value * (1 + 1e-9)


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_cap_that_no_plan_keeps_is_infeasible_in_the_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"tiny.{suffix}"
    planner.export(TINY, caps={"carbon": 1.0}, **{suffix: path})
    assert least(path) == float("inf")


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("make", [full_fleet, *[lambda s=s: tiny_fleet(s) for s in range(4)]])
def test_every_family_survives_the_file(
    make: Callable[[], FleetData], objective: str, suffix: str, tmp_path: Path
) -> None:
    data, path = make(), tmp_path / f"fleet.{suffix}"
    WRITERS[suffix](matrix_of(data, objective), path, "a fleet")
    truth = optimum(build_program(data), objective)
    assert least(path) == pytest.approx(truth, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_variant_that_cannot_answer_all_is_never_adopted(suffix: str, tmp_path: Path) -> None:
    """A binary column would be free again in a file."""
    data = tiny_fleet(0)
    groups = np.arange(len(data.group_variant)) != np.flatnonzero(data.group_variant == 0)[0]
    routes = groups[data.route_group]
    kept = {
        name: getattr(data, name)[groups if name.startswith("group_") else routes]
        for name in vars(data)
        if name.startswith(("group_", "route_"))
    }
    kept["route_group"] = (np.cumsum(groups) - 1)[kept["route_group"]]
    matrix = matrix_of(replace(data, **kept), "cost")
    path = tmp_path / f"fleet.{suffix}"
    WRITERS[suffix](matrix, path, "a fleet")
    lp = read(path).getLp()
    assert lp.col_upper_[lp.col_names_.index("adopt(0)")] == 0.0


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_rule_that_nothing_can_keep_is_a_row(suffix: str, tmp_path: Path) -> None:
    """No variant of the incumbent is left, and none may change: 0 >= 2."""
    data = tiny_fleet(0)
    nobody = np.zeros(len(data.variants), dtype=bool)
    data = replace(data, variant_is_incumbent=nobody, max_changed_workloads=0.0)
    path = tmp_path / f"fleet.{suffix}"
    WRITERS[suffix](matrix_of(data, "cost"), path, "a fleet")
    assert least(path) == float("inf")


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_run_folder_gives_the_program_of_its_certificate(suffix: str, tmp_path: Path) -> None:
    folder, path = tmp_path / "run", tmp_path / f"run.{suffix}"
    asked = ["--minimize", "carbon", "--cap", "cost=3500", "--set", "prices.l4*=2"]
    assert run(["plan", str(TINY), *asked, "--quiet", "--output", str(folder)]) == 0
    planner.export(folder, **{suffix: path})
    found = Plan.read(folder).certificate
    assert found.minimised == "carbon"
    assert EXPECTED["carbon"] < found.bound
    assert found.bound * (1 - 1e-9) <= least(path) <= found.value * (1 + 1e-9)
    with pytest.raises(PlannerError, match="is a run: its own program"):
        planner.export(folder, minimize="cost", **{suffix: path})


def test_a_run_folder_gives_the_lanes_and_points_that_its_plan_added(tmp_path: Path) -> None:
    folder, path = tmp_path / "silent", tmp_path / "run.mps"
    shutil.copytree(TINY, folder)
    settings = (folder / "instance.toml").read_text(encoding="utf-8").splitlines()
    kept = [x for x in settings if not x.startswith(("operating_tpot_s", "prompt_lane_tokens"))]
    (folder / "instance.toml").write_text("\n".join(kept), encoding="utf-8")
    assert "planner export RUN" in planner.export(folder, mps=path).grid
    on_default = least(path)
    assert run(["plan", str(folder), "--quiet", "--output", str(tmp_path / "run")]) == 0
    found = Plan.read(tmp_path / "run").certificate
    assert "planner export RUN" not in planner.export(tmp_path / "run", mps=path).grid
    assert found.bound * (1 - 1e-9) <= least(path) <= found.value * (1 + 1e-9)
    assert least(path) < on_default


# ------------------------------------------------------------------ the file


def test_figures_are_read_back_exactly(tmp_path: Path) -> None:
    matrix = matrix_of(full_fleet(), "cost")
    for suffix, write in WRITERS.items():
        write(matrix, tmp_path / f"fleet.{suffix}", "a fleet")
        lp = read(tmp_path / f"fleet.{suffix}").getLp()
        found = dict(zip(lp.col_names_, lp.col_cost_, strict=True))
        assert found == dict(zip(matrix.columns, matrix.cost.tolist(), strict=True))
        limits = np.array([lp.row_upper_, lp.row_lower_])
        limits = np.where(np.isfinite(limits[0]), limits[0], limits[1])
        assert dict(zip(lp.row_names_, limits, strict=True)) == dict(
            zip(matrix.rows, matrix.limit, strict=True)
        )


def test_names_are_told_in_words(tmp_path: Path) -> None:
    planner.export(TINY, mps=tmp_path / "tiny.mps")
    with (tmp_path / "tiny.mps.names.csv").open(encoding="utf-8", newline="") as file:
        told = {row["name"]: row for row in csv.DictReader(file)}
    lp = read(tmp_path / "tiny.mps").getLp()
    assert set(told) == {*lp.col_names_, *lp.row_names_}
    assert told["adopt(0)"]["variant"] == "chat/llama-3.1-8b/base"
    rented = told["rent(0_1)"]
    assert (rented["machine"], rented["market"]) == (
        "gcp:us-central1/gcp_g2-standard-4",
        "on-demand",
    )
    assert rented["slice"] and not rented["workload"]
    assert told["replica_capacity(0_0_work)"]["capacity_row"] == "work"
    assert not any(told[ONE][field] for field in told[ONE] if field != "name")


def test_every_name_of_the_full_program_has_its_words(tmp_path: Path) -> None:
    from planner.program.names import write_names

    data = full_fleet()
    matrix = matrix_of(data, "cost")
    write_names((*matrix.columns, *matrix.rows), data, tmp_path / "names.csv")
    with (tmp_path / "names.csv").open(encoding="utf-8", newline="") as file:
        silent = [row["name"] for row in csv.DictReader(file) if not any(list(row.values())[1:])]
    single = {"open_regions_count(0)", "limit_llms_count(0)", "limit_changed_workloads(0)",
              "limit_added_accelerators_total(0)"}  # fmt: skip
    assert set(silent) == {ONE, *single}


# ------------------------------------------------------------------ the command


def test_the_command_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tiny.lp"
    assert run(["export", str(TINY), "--lp", str(path), "--minimize", "carbon"]) == 0
    said = capsys.readouterr()
    assert "tiny: least carbon" in said.out
    assert str(path) in said.out
    assert "routes" in said.err
    assert least(path) == pytest.approx(EXPECTED["carbon"])


def test_without_a_file_nothing_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", str(TINY)]) == 1
    assert "--mps FILE or --lp FILE" in capsys.readouterr().err
    with pytest.raises(PlannerError, match="--mps FILE"):
        planner.export(TINY)


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_place_that_cannot_be_written_is_told(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be written"):
        planner.export(TINY, **{suffix: tmp_path / "nowhere" / "x"})
