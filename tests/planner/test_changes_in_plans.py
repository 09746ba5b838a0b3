"""Every kind of `--set` moves the figures of a plan as it must, and only those."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

import planner
from planner.api import Request, answer
from planner.cli import run
from planner.compare.recost import Recost, recost
from planner.errors import PlannerError
from planner.instance.changes import with_changes
from planner.instance.facts import Facts
from planner.instance.figures import KINDS
from planner.runs import read_run, write_run
from tests.planner.honest_plans import honest_plan

INSTANCES = Path(__file__).resolve().parents[2] / "instances"
SMALL = planner.load(INSTANCES / "small")
WANTED = {
    "support-chat": "support-chat/llama-3.1-8b/rag+fine-tune",
    "code-completion": "code-completion/llama-3.1-8b/fine-tune",
    "document-questions": "document-questions/qwen3-32b/rag",
}
PLAN = honest_plan(SMALL, WANTED)
BEFORE = recost(SMALL, PLAN, PLAN)  # it runs already: nothing is made for the first time
assert BEFORE.feasible

SERVED = {"retrieval", "network"}
ENERGY = {"serving energy", "idle energy", "index"}


def after(*changes: str) -> Recost:
    """The same decisions under the changed data."""
    return recost(with_changes(SMALL, changes), PLAN, PLAN)


def factors(kept: Recost) -> dict[str, float]:
    """Line -> amount over what it was before, of lines that moved."""
    pairs = [
        *((name, BEFORE.cost_lines[name], value) for name, value in kept.cost_lines.items()),
        *((name, BEFORE.carbon_lines[name], value) for name, value in kept.carbon_lines.items()),
    ]
    return {
        name: new / old for name, old, new in pairs if abs(new - old) > 1e-9 * max(abs(old), 1e-9)
    }


def scaled(names: set[str], factor: float) -> dict[str, object]:
    return {name: pytest.approx(factor) for name in names}


# ------------------------------------------------------------------ money, demand, carbon


def test_a_price_moves_its_cost_line_in_proportion() -> None:
    assert factors(after("prices.on-demand*=0.8")) == scaled({"on-demand", "training compute"}, 0.8)


def test_a_price_of_one_accelerator_moves_its_part_of_the_line() -> None:
    cards = {line.accelerator for line in PLAN.fleet}
    parts = [BEFORE.cost_lines["on-demand"] - after(f"prices.{card}.on-demand*=0.9").cost_lines[
        "on-demand"] for card in cards]  # fmt: skip
    assert sum(parts) == pytest.approx(0.1 * BEFORE.cost_lines["on-demand"])


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ("prices.egress_usd_per_gb*=1.5", {"network"}),
        ("prices.embedding_usd_per_mtok*=1.5", {"re-embedding"}),
        ("prices.staff_usd_per_h*=1.5", {"adaptation staff"}),
        (
            "workloads.*.staff_h_per_refresh*=1.5 workloads.*.index_staff_h_per_month*=1.5",
            {"adaptation staff"},
        ),
        ("workloads.*.training_tokens*=1.5", {"training compute", "training"}),
    ],
)
def test_a_price_or_fact_of_adaptation_moves_its_line(change: str, lines: set[str]) -> None:
    moved = factors(after(*change.split()))
    assert {name: moved[name] for name in lines} == scaled(lines, 1.5)
    assert set(moved) <= {*lines, "index hosting", "retrieval"}


def test_demand_moves_what_is_paid_and_emitted_per_request() -> None:
    kept = after("demand.*=1.5")
    moved = factors(kept)
    half, whole = moved.pop("serving energy"), factors(after("demand.*=2"))["serving energy"]
    assert moved == scaled(SERVED, 1.5)
    assert whole - 1.0 == pytest.approx(2.0 * (half - 1.0)), "running replicas draw as before"
    assert 1.0 < half < 1.5
    assert kept.loss_lines == pytest.approx(BEFORE.loss_lines), "a mean does not move"


def test_demand_of_one_origin_and_slice_moves_only_its_share() -> None:
    rows = [row for row in SMALL.instance.demand if row.workload == "document-questions"]
    whole = sum(row.requests_per_s for row in rows)
    part = sum(
        row.requests_per_s for row in rows if row.origin == "europe" and row.slice == "h00-06"
    )
    text = "demand.document-questions.europe.h00-06*=2"
    more = after(text).cost_lines["retrieval"] - BEFORE.cost_lines["retrieval"]
    every = after("demand.document-questions*=2").cost_lines["retrieval"]
    assert more / (every - BEFORE.cost_lines["retrieval"]) == pytest.approx(part / whole)


def test_grid_carbon_moves_energy_not_embodied() -> None:
    moved = factors(after("carbon.*=1.2"))
    assert {name: moved[name] for name in ENERGY} == scaled(ENERGY, 1.2)
    assert set(moved) == ENERGY | {"training"}
    assert 1.0 < moved["training"] < 1.2, "training has an embodied part"


def test_pue_moves_energy_and_water() -> None:
    kept = after("pue.*=1.05")
    assert {name: factors(kept)[name] for name in ENERGY} == scaled(ENERGY, 1.05)
    assert kept.water_l > BEFORE.water_l


def test_embodied_carbon_moves_its_own_line() -> None:
    moved = factors(after("embodied.*=2"))
    assert set(moved) == {"embodied", "training"}
    assert 1.0 < moved["embodied"] < 2.0, "the host's share stays"


# ------------------------------------------------------------------ quality and adaptation


def test_quality_moves_the_loss_of_its_workload() -> None:
    variant = next(v for v in SMALL.variants if v.variant == WANTED["code-completion"])
    kept = after(f"quality.{variant.variant.replace('/', '.')}+=0.02")
    qoe = next(line.qoe for line in PLAN.workloads if line.workload == "code-completion")
    weight = BEFORE.loss_lines["code-completion"] / (1.0 - qoe)
    gain = BEFORE.loss_lines["code-completion"] - kept.loss_lines["code-completion"]
    assert gain == pytest.approx(weight * qoe * 0.02 / variant.quality)
    others = {name for name, loss in kept.loss_lines.items() if loss != BEFORE.loss_lines[name]}
    assert others == {"code-completion"}


def test_a_refresh_interval_moves_staff_and_training_inversely() -> None:
    moved = factors(after("refresh.code-completion/llama-3.1-8b/fine-tune*=2"))
    mine = staff("code-completion") / BEFORE.cost_lines["adaptation staff"]
    assert moved["adaptation staff"] == pytest.approx(1.0 - mine / 2.0)
    assert set(moved) <= {"adaptation staff", "training compute", "training", "index hosting"}


def staff(workload: str) -> float:
    row = next(w for w in SMALL.instance.workloads if w.workload == workload)
    days = SMALL.instance.settings.period.hours / 24.0
    return days / 30.0 * row.staff_h_per_refresh * SMALL.prices.staff_usd_per_h


def test_a_corpus_moves_its_index() -> None:
    moved = factors(after("workloads.*.corpus_tokens*=2"))
    lines = {"re-embedding", "index"}
    assert {name: moved[name] for name in lines} == scaled(lines, 2.0)
    assert 1.0 < moved["index hosting"] <= 2.0, "adapters stay"


def test_changing_facts_make_indexes_dear_and_tuned_answers_stale() -> None:
    kept = after("workloads.support-chat.facts_change_per_day*=2")
    assert factors(kept)["re-embedding"] > 1.0
    assert kept.loss_lines["support-chat"] > BEFORE.loss_lines["support-chat"]


# ------------------------------------------------------------------ limits: what breaks


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("caps.cost=1000", "caps"),
        ("caps.carbon=10", "caps"),
        ("caps.water=10", "caps"),
        ("floors.qoe=0.99", "caps"),
        ("floors.support-chat.qoe=0.99", "qoe-floor"),
        ("floors.support-chat.quality=0.99", "quality-floor"),
        ("targets.support-chat.ttft_s=0.05", "latency-target"),
        ("targets.code-completion.tpot_s*=0.1", "latency-target"),
        ("targets.support-chat.attainment=1", "attainment"),
        (f"quota.{PLAN.fleet[0].region}/{PLAN.fleet[0].accelerator}=0", "quota"),
        ("policy.max_llms=1", "max-llms"),
        ("policy.max_regions=1", "max-regions"),
        ("policy.region_loss_share=0.9", "region-loss"),
        ("serving.performance_margin=0.9", "replica-capacity"),
        ("demand.*=3", "replica-capacity"),
        ("workloads.support-chat.min_regions=4", "min-regions"),
        ("workloads.document-questions.rag_chunks*=100", "memory-fit"),
    ],
)
def test_a_limit_breaks_what_does_not_keep_it(change: str, rule: str) -> None:
    assert rule in {broken.rule for broken in after(change).broken}


def test_every_kind_of_change_is_tried_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [
        kind for kind in KINDS if f'"{kind}.' not in source and f'f"{kind}.' not in source
    ] == []


# ------------------------------------------------------------------ through the engine


@pytest.fixture(scope="module")
def tiny() -> Facts:
    return planner.load(INSTANCES / "tiny")


def test_the_engine_plans_with_the_changed_figures(tiny: Facts) -> None:
    plan = planner.plan(tiny, time_limit=20)
    cheaper = planner.plan(tiny, time_limit=20, changes=["prices.on-demand*=0.8"])
    assert cheaper.fleet == plan.fleet
    assert cheaper.cost_lines["on-demand"] == pytest.approx(0.8 * plan.cost_lines["on-demand"])
    assert cheaper.provenance["prices_by_cost"] == {"changed": pytest.approx(1.0)}
    changed = "Changed for this plan: prices.on-demand*=0.8: "
    assert any(words.startswith(changed) for words in cheaper.assumptions)
    assert planner.plan(tiny, time_limit=20, changes=["floors.qoe=0.72"]).objectives.qoe >= 0.72


def test_a_run_with_changes_is_reproduced_and_verified(tmp_path: Path) -> None:
    request = Request(changes=["demand.*=1.3", "prices.l4*=0.9"], time_limit_s=20)
    found = answer(INSTANCES / "tiny", request)
    folder = write_run(tmp_path / "run", found)
    assert read_run(folder).request == request
    assert planner.verify(folder).ok
    assert not planner.verify(found.plan, INSTANCES / "tiny").ok
    assert planner.verify(found.plan, found.facts).ok


def test_a_hosted_llm_has_its_prices_and_carbon(tmp_path: Path) -> None:
    folder = tmp_path / "hosted"
    shutil.copytree(INSTANCES / "tiny", folder)
    with (folder / "apis.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ("llm", "provider", "ttft_s", "tpot_s", "gco2e_per_ktok", "input_usd_per_mtok",
                 "output_usd_per_mtok"),
                ("big", "acme", 0.5, 0.02, 0.1, 0.01, 0.02),
            ]
        )  # fmt: skip
    for table, row in (
        ("quality.csv", "chat,big,base,0.9"),
        ("variants.csv", "chat,big,base"),
    ):
        with (folder / table).open("a") as file:
            file.write(row + "\n")
    facts = planner.load(folder)
    plan = planner.plan(facts, time_limit=20)
    assert plan.cost_lines["api tokens"] > 0
    dearer = recost(with_changes(facts, ["prices.big*=3", "carbon.big*=2"]), plan)
    assert dearer.cost_lines["api tokens"] == pytest.approx(3 * plan.cost_lines["api tokens"])
    assert dearer.carbon_lines["api"] == pytest.approx(2 * plan.carbon_lines["api"])
    parts = [recost(with_changes(facts, [f"prices.acme/big.{part}*=2"]), plan) for part in
             ("input", "output")]  # fmt: skip
    more = sum(part.cost_lines["api tokens"] - plan.cost_lines["api tokens"] for part in parts)
    assert more == pytest.approx(plan.cost_lines["api tokens"])


def test_a_change_that_fits_nothing_stops_before_any_search() -> None:
    with pytest.raises(PlannerError, match=r"did you mean demand\.chat"):
        planner.plan(INSTANCES / "tiny", changes=["demand.chatt*=2"])


def test_the_plan_command_takes_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny = str(INSTANCES / "tiny")
    options = ["--set", "prices.l4*=0.8", "--set", "demand.chat*=1.7", "--output", "here"]
    assert run(["plan", tiny, *options]) == 0
    out = capsys.readouterr().out
    assert "Changed for this plan: prices.l4*=0.8: 56 figures" in " ".join(out.split())
    assert read_run(Path("here")).request.changes == ("prices.l4*=0.8", "demand.chat*=1.7")
    assert run(["verify", "here"]) == 0
    assert run(["plan", tiny, "--set", "demand.chatt*=2"]) == 1
    assert "did you mean demand.chat" in capsys.readouterr().err
    assert not Path("runs").exists()
