"""A change split by cause: what moves with what, and sums without a remainder."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path

import pytest

import planner
from planner.compare.effects import CAUSES, Effects, effects
from planner.compare.recost import recost
from planner.instance.changes import with_changes
from planner.instance.facts import Facts
from planner.plan import Plan
from tests.planner.honest_plans import honest_plan

INSTANCES = Path(__file__).resolve().parents[3] / "instances"
TINY = planner.load(INSTANCES / "tiny")
SMALL = planner.load(INSTANCES / "small")
VARIANTS = {
    "chat": ("chat/llama-3.1-8b/base", "chat/llama-3.1-8b/fine-tune", "chat/qwen3-32b/base"),
    "documents": ("documents/llama-3.1-8b/rag", "documents/qwen3-32b/rag"),
}
MOVES = (
    "prices.{0}*={1:.3f}", "prices.on-demand*={1:.3f}", "prices.egress_usd_per_gb*={1:.3f}",
    "demand.{2}*={1:.3f}", "demand.*.europe*={1:.3f}", "carbon.*={1:.3f}", "pue.*={3:.3f}",
    "embodied.{0}*={1:.3f}", "quality.documents*={4:.3f}", "serving.derate={4:.3f}",
    "workloads.documents.facts_change_per_day*={1:.3f}", "policy.attainment_min={4:.3f}",
    "workloads.chat.staff_h_per_refresh*={1:.3f}", "refresh.documents*={1:.3f}",
    "workloads.{2}.qoe_weight*={1:.3f}", "targets.chat.ttft_s*={1:.3f}",
)  # fmt: skip


def drawn(seed: int) -> tuple[Facts, Plan, None]:
    """A variant of tiny and an honest plan for it."""
    rng = random.Random(seed)
    texts = [
        move.format(
            rng.choice(("l4", "h100")), rng.uniform(0.5, 2.0), rng.choice(("chat", "documents")),
            rng.uniform(1.0, 1.2), rng.uniform(0.85, 1.0),
        )
        for move in rng.sample(MOVES, rng.randint(0, 6))
    ]  # fmt: skip
    facts = with_changes(TINY, texts)
    wanted = {name: rng.choice(variants) for name, variants in VARIANTS.items()}
    return facts, honest_plan(facts, wanted, regions=rng.choice((1, 2))), None


def assert_exact(split: Effects) -> None:
    """Every sum that a reader could make comes out without a remainder."""
    for total in split.totals:
        assert len(total.effects) == len(CAUSES)
        assert sum(total.effects) == total.change == total.new - total.old
        assert sum(reversed(total.effects)) == total.change
        assert total.old + sum(total.effects) == total.new
        whole = 1.0 if total.objective == "qoe" else 0.0
        assert whole + sum(line.old for line in total.lines) == total.old
        assert whole + sum(line.new for line in total.lines) == total.new
        for line in total.lines:
            assert line.old + sum(line.effects) == line.new
        for at, effect in enumerate(total.effects):
            assert sum(line.effects[at] for line in total.lines) == effect


@pytest.mark.parametrize("pairs", [25, pytest.param(200, marks=pytest.mark.slow)])
def test_effects_add_up_exactly_over_random_pairs_of_instances(pairs: int) -> None:
    pool = [drawn(seed) for seed in range(10 if pairs < 200 else 40)]
    rng = random.Random(pairs)
    moved = dict.fromkeys(CAUSES, 0)
    for _ in range(pairs):
        old, new = rng.choice(pool), rng.choice(pool)
        split = effects(old, new)
        assert_exact(split)
        for side, at in ((old, "old"), (new, "new")):
            stated = side[1].objectives
            for total in split.totals[:3]:
                known = {"cost": stated.cost_usd, "carbon": stated.carbon_kgco2e}
                said = known.get(total.objective, stated.qoe)
                assert getattr(total, at) == pytest.approx(said, abs=1e-4)
        for total in split.totals:
            for cause, effect in total.by_cause.items():
                moved[cause] += effect != 0.0
    assert min(moved.values()) > pairs / 12, "every cause is tried"


@pytest.mark.parametrize(
    ("change", "cause", "objectives"),
    [
        ("prices.*=0.9", "prices", {"cost"}),
        ("demand.*=1.3", "demand", {"cost", "carbon", "water"}),
        ("carbon.*=1.2", "carbon data", {"carbon"}),
        ("pue.*=1.01", "carbon data", {"carbon", "water"}),
        ("quality.*=0.99", "quality data", {"qoe"}),
        ("workloads.*.expected_ttft_s*=0.5", "other data", {"qoe"}),
    ],
)
def test_a_change_of_one_kind_is_an_effect_of_that_kind(
    change: str, cause: str, objectives: set[str]
) -> None:
    plan = honest_plan(TINY)
    split = effects((TINY, plan, None), (with_changes(TINY, [change]), plan, None))
    assert_exact(split)
    for total in split.totals:
        others = {name: effect for name, effect in total.by_cause.items() if name != cause}
        assert not any(others.values()), total.objective
        assert (total.change != 0.0) == (total.objective in objectives), total.objective


def test_other_decisions_under_the_same_data_are_the_decisions_effect() -> None:
    plans = [honest_plan(TINY, {"chat": name}) for name in VARIANTS["chat"][:2]]
    split = effects((TINY, plans[0], None), (TINY, plans[1], None))
    assert_exact(split)
    for total in split.totals:
        assert total.effects[:-1] == (0.0,) * (len(CAUSES) - 1)
    assert split.kept.feasible


def test_two_instances_with_nothing_in_common_still_add_up() -> None:
    split = effects((TINY, honest_plan(TINY), None), (SMALL, honest_plan(SMALL), None))
    assert_exact(split)
    cost = split.totals[0]
    assert cost.by_cause["other data"] == -cost.old
    assert cost.by_cause["decisions"] == cost.new
    assert {broken.rule for broken in split.kept.broken} >= {"known-names", "demand-served"}


def test_demand_without_an_answer_has_no_quality() -> None:
    plan = honest_plan(TINY)
    half = replace(plan, routing=tuple(line for line in plan.routing if line.workload == "chat"))
    kept, whole = recost(TINY, half), recost(TINY, plan)
    assert kept.loss_lines["chat"] == whole.loss_lines["chat"]
    served = {w.workload: w.qoe for w in plan.workloads}
    share = whole.loss_lines["documents"] / (1.0 - served["documents"])
    assert kept.loss_lines["documents"] == pytest.approx(share)
    assert "demand-served" in {broken.rule for broken in kept.broken}


def test_prompts_that_no_longer_fit_a_replica_leave_no_infinite_figures() -> None:
    lengths = tuple(
        row.model_copy(update={"input_tokens": 1.9e6}) for row in TINY.instance.length_classes
    )
    longer = replace(TINY, instance=TINY.instance.model_copy(update={"length_classes": lengths}))
    kept = recost(longer, honest_plan(TINY))
    figures = [*kept.cost_lines.values(), *kept.carbon_lines.values(), *kept.loss_lines.values()]
    assert all(math.isfinite(figure) for figure in figures)
    assert "memory-fit" in {broken.rule for broken in kept.broken}
    assert kept.objectives.qoe == pytest.approx(0.0, abs=1e-9)
