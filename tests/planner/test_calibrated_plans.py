"""A calibration reaches the plan: laws, provenance, run folder, checker, replan, and its errors."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import planner
from planner.calibration import Calibration, UserFit
from planner.candidates import build_candidates
from planner.cli import app
from planner.cli.text import plan_text
from planner.compare.data import data_changes
from planner.errors import InstanceError, PlannerError
from planner.instance.copy import calibrated, set_calibration
from planner.instance.load import content_sha256, load_facts
from planner.plan import Plan
from planner.runs import read_run
from planner.serving import Replica, planning_laws

TINY = Path(__file__).parents[2] / "instances" / "tiny"
L4 = ("llama-3.1-8b", "l4", "1", "1", "fp8", "vllm")
H100 = ("qwen3-32b", "h100-sxm", "1", "1", "fp8", "vllm")


def fit(names: tuple[str, ...], tpot: float, ttft: float) -> UserFit:
    """Factors that hold at every concurrency."""
    return UserFit(names, 2, 0.0, (math.log(tpot), 0.0), (math.log(ttft), 0.0), (1.0, 64.0))


MINE = Calibration((fit(L4, 1.25, 1.5), fit(H100, 0.8, 0.9)))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("measured") / "mine.json"
    MINE.save(path)
    return path


def call(*arguments: object) -> tuple[int, str]:
    found = CliRunner().invoke(app, [str(x) for x in arguments])
    return found.exit_code, found.output


@pytest.fixture(scope="module")
def run(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the command, moved afterwards, its calibration gone from where it was."""
    folder, here = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("here") / "c.json"
    shutil.copyfile(file, here)
    code, said = call("plan", TINY, "--calibration", here, "--output", folder / "made",
                      "--time-limit", 30)  # fmt: skip
    assert code == 0, said
    here.unlink()
    (folder / "made").rename(folder / "moved")
    return folder / "moved"


# ------------------------------------------------------------------ laws


def test_the_laws_of_measured_combinations_are_scaled_and_no_other() -> None:
    facts = load_facts(TINY)
    llms = {llm.llm: llm for llm in facts.llms}
    cards = {card.accelerator: card for card in facts.accelerators}
    names = [(L4[0], L4[1]), (H100[0], H100[1]), (L4[0], H100[1])]
    replicas = [Replica(llms[m], cards[a], 1, "fp8", "vllm") for m, a in names]
    plain, mine = planning_laws(replicas), planning_laws(replicas, MINE)
    assert mine.law.alpha_s / plain.law.alpha_s == pytest.approx([1.25, 0.8, 1.0])
    assert mine.law.ttft_fixed_s / plain.law.ttft_fixed_s == pytest.approx([1.5, 0.9, 1.0])
    assert mine.provenance.tolist()[:2] == ["user", "user"]
    assert mine.provenance[2] == plain.provenance[2]


# ------------------------------------------------------------------ the run folder


def test_a_moved_run_verifies_by_its_own_calibration(run: Path) -> None:
    assert Calibration.load(run / "instance" / "calibration.json") == MINE
    assert planner.verify(run).ok
    assert content_sha256(run / "instance") == Plan.read(run).instance.sha256
    assert call("verify", run)[0] == 0


def test_the_checker_uses_the_calibration_that_the_folder_holds(run: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt"
    shutil.copytree(run, spoilt)
    slower = Calibration(tuple(replace(x, tpot=(x.tpot[0] + 0.7, 0.0)) for x in MINE.fits))
    slower.save(spoilt / "instance" / "calibration.json")
    rules = {violation.rule for violation in planner.verify(spoilt).violations}
    assert "replica-capacity" in rules or "operating-point" in rules, rules


def test_the_plan_says_what_is_measured_and_what_that_changes(run: Path) -> None:
    found = Plan.read(run)
    assert found.provenance["serving_by_accelerator_hours"] == {"user": pytest.approx(1.0)}
    rows = {row["combination"]: row for row in found.provenance["calibration"]["combinations"]}
    row = rows["llama-3.1-8b on 1 x l4 (fp8, vllm)"]
    assert (row["tpot_factor"], row["ttft_factor"]) == pytest.approx((1.25, 1.5))
    assert row["accelerators_without"] < row["accelerators"]
    assert sum(r["accelerator_hours_share"] for r in rows.values()) == pytest.approx(1.0)
    hours = {x.slice: x.hours for x in load_facts(TINY).instance.slices}
    name, text = "llama-3.1-8b on 1 x l4 (fp8, vllm)", plan_text(found, hours)
    assert f"Your measurements\n  {name}: 2 measured, TPOT x 1.25" in text
    assert any("measurements of calibration.json" in line for line in found.assumptions)
    page = planner.report(run).html
    assert "Your measurements" in page and "TPOT x 1.25" in page


def test_the_fleet_without_it_is_that_of_uncalibrated_candidates(run: Path) -> None:
    """The same shares of the same routes, at the speeds that the engine has without calibration."""
    found = Plan.read(run)
    facts = load_facts(run / "instance")
    loads = []
    for known in (facts, replace(facts, calibration=None)):
        made = build_candidates(known, prune=False)
        data, load = made.data, np.zeros(4)
        shares = {
            (made.pools[p].pool, data.item_class[d], data.origins[data.item_origin[d]],
             data.workloads[data.item_workload[d]], data.slices[t], int(data.group_variant[q])): s
            for p, q, t, s in zip(data.route_pool, data.route_group, data.route_slice,
                                  data.route_share, strict=True)
            for d in [data.group_item[q]] if p >= 0
        }  # fmt: skip
        adopted = {row.workload: row.variant for row in found.adoption}
        for line in found.routing:
            variant = data.variants.index(adopted[line.workload])
            key = (line.pool, line.length_class, line.origin, line.workload,
                   line.served_slice, variant)  # fmt: skip
            load += line.share * shares[key]
        loads.append(load.max())
    (row,) = found.provenance["calibration"]["combinations"]
    factor = row["accelerators_without"] / row["accelerators"]
    assert factor == pytest.approx(loads[1] / loads[0], rel=0.02)  # pools are weighed by hours


def test_a_plan_without_measurements_says_nothing_of_them() -> None:
    plan = planner.plan(TINY, time_limit=20)
    assert "calibration" not in plan.provenance
    assert "Your measurements" not in plan_text(plan, {"h00-12": 364.0, "h12-24": 364.0})


# ------------------------------------------------------------------ the ways in


def test_setting_option_and_python_agree(run: Path, file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(TINY, folder)
    set_calibration(folder, file)
    cost = Plan.read(run).objectives.cost_usd
    assert planner.plan(folder, time_limit=20).objectives.cost_usd == pytest.approx(cost)
    facts = planner.load(TINY, calibration=file)
    plan = planner.plan(facts, time_limit=20)
    assert plan.objectives.cost_usd == pytest.approx(cost)
    assert planner.verify(plan, facts).ok
    assert not planner.verify(plan, TINY).ok, "other speeds, other figures"


def test_the_file_is_part_of_what_makes_the_instance(file: Path, tmp_path: Path) -> None:
    with calibrated(TINY, file) as folder:
        before = load_facts(folder)
        other = Calibration((fit(L4, 1.1, 1.5), MINE.fits[1]))
        other.save(folder / "calibration.json")
        after = load_facts(folder)
    assert before.instance.sha256 != after.instance.sha256
    (table,) = data_changes(before, after).tables
    (cell,) = table.changed
    assert (cell.old, cell.new) == ("TPOT x 1.25, TTFT x 1.5", "TPOT x 1.1, TTFT x 1.5")


def test_a_check_carries_the_calibration_of_what_runs_today(run: Path, tmp_path: Path) -> None:
    code, said = call("replan", TINY, "--current", run, "--time-limit", 20,
                      "--output", tmp_path / "kept")  # fmt: skip
    assert code == 0, said
    assert "that of the plan in force is carried on" in said
    assert load_facts(tmp_path / "kept" / "instance").calibration == MINE
    call("replan", TINY, "--current", run, "--calibration", "none", "--time-limit", 20,
         "--output", tmp_path / "without")  # fmt: skip
    assert load_facts(tmp_path / "without" / "instance").calibration is None


def test_whatif_carries_it_on(run: Path, tmp_path: Path) -> None:
    planner.whatif(run, ["demand.chat*=1.01"], time_limit=10, output=tmp_path / "what")
    assert read_run(tmp_path / "what").plan.provenance["calibration"]["combinations"]
    assert planner.verify(tmp_path / "what").ok


@pytest.mark.slow
def test_a_front_is_made_at_the_measured_speeds(file: Path, tmp_path: Path) -> None:
    found = planner.front(TINY, calibration=file, time_limit=20, output=tmp_path / "front")
    plan = found.read_plan(found.points[0].id, tmp_path / "front")
    assert "user" in plan.provenance["serving_by_accelerator_hours"]
    assert call("verify", tmp_path / "front")[0] == 0
    with pytest.raises(PlannerError, match="needs the folder"):
        planner.front(load_facts(TINY), calibration=file)


@pytest.mark.parametrize(
    ("before", "works"),
    [
        ('name = "x"\n[serving]  # ours\nengine = "vllm"\n', True),
        ('name = "x"\n[serving]\ncalibration = "old.json"\n\n[policy]\nmax_llms = 1\n', True),
        ('name = "x"\n[policy]\nmax_llms = 1', True),
        ('name = "x"\nserving.engine = "vllm"\n', False),
    ],
)
def test_the_setting_goes_where_it_belongs(
    before: str, works: bool, file: Path, tmp_path: Path
) -> None:
    (tmp_path / "instance.toml").write_text(before)
    if not works:
        with pytest.raises(PlannerError, match=r"write the section as \[serving\]"):
            set_calibration(tmp_path, file)
        return
    set_calibration(tmp_path, file)
    text = (tmp_path / "instance.toml").read_text()
    assert text.count("calibration =") == 1
    assert set(before.replace('calibration = "old.json"\n', "").split()) <= set(text.split())


# ------------------------------------------------------------------ what is refused


def findings(tmp_path: Path, name: str) -> str:
    folder = tmp_path / "tiny"
    shutil.copytree(TINY, folder, dirs_exist_ok=True)
    text = (folder / "instance.toml").read_text()
    line = f'[serving]\ncalibration = "{name}"'
    (folder / "instance.toml").write_text(text.replace("[serving]", line))
    with pytest.raises(InstanceError) as caught:
        load_facts(folder)
    (finding,) = caught.value.findings
    return str(finding)


def test_a_calibration_lies_in_the_folder(tmp_path: Path) -> None:
    assert "no such file" in findings(tmp_path, "mine.json")
    MINE.save(tmp_path / "mine.json")
    assert "lies outside of the folder" in findings(tmp_path, "../mine.json")
    assert "lies outside of the folder" in findings(tmp_path, str(tmp_path / "mine.json"))


def test_foreign_and_implausible_files_are_findings(tmp_path: Path) -> None:
    said = findings(tmp_path, "demand.csv")
    assert said.startswith("instance.toml:11 serving.calibration 'demand.csv':")
    assert "not a calibration file" in said
    Calibration((fit(L4, 1e-3, 1e-3),)).save(tmp_path / "tiny" / "wrong.json")
    assert "TPOT x 0.001 of llama-3.1-8b" in findings(tmp_path, "wrong.json")


@pytest.mark.parametrize(
    "names",
    [
        ("llama-3.1-70b", *L4[1:]),
        ("llama-3.1-8b", "a100-80gb-sxm", *L4[2:]),
        (*L4[:2], "2", "1", *L4[4:]),
        (*L4[:4], "bf16", "vllm"),
        (*L4[:5], "sglang"),
    ],
)
def test_measurements_of_nothing_that_may_run_here_are_refused(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    Calibration((fit(names, 1.1, 1.1),)).save(tmp_path / "other.json")
    code, said = call("plan", TINY, "--calibration", tmp_path / "other.json",
                      "--output", tmp_path / "run")  # fmt: skip
    assert code == 3
    assert "none of what it measured may run here" in " ".join(said.split())
    with pytest.raises(InstanceError, match="none of what it measured may run here"):
        planner.load(TINY, calibration=tmp_path / "other.json")


def test_a_file_that_is_no_calibration_stops_before_any_search(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps({"plans": []}))
    code, said = call("plan", TINY, "--calibration", tmp_path / "c.json")
    assert code == 1
    assert "not a calibration file" in " ".join(said.split())
    for command in (planner.plan, planner.front):
        with pytest.raises(PlannerError, match="not a calibration file"):
            command(TINY, calibration=tmp_path / "c.json")
