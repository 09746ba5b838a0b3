"""The independent checker: honest plans hold, and every rule catches the plan that breaks it."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from honest_plans import honest_plan, priced

import planner.verify
from planner.catalog import load_catalog
from planner.instance.facts import Facts
from planner.instance.load import load_instance
from planner.instance.resolve import resolve
from planner.instance.schema import Quota
from planner.plan import Commitment, Plan
from planner.verify import RULES, verify_plan
from planner.verify.terms import Terms

INSTANCES = Path(__file__).parents[2] / "instances"

Corrupt = Callable[[Facts, Plan], tuple[Facts, Plan]]


@pytest.fixture(scope="module")
def small() -> Facts:
    catalog = load_catalog()
    return resolve(load_instance(INSTANCES / "small", catalog), catalog)


@pytest.fixture(scope="module")
def tiny() -> Facts:
    catalog = load_catalog()
    return resolve(load_instance(INSTANCES / "tiny", catalog), catalog)


@pytest.fixture(scope="module")
def honest(small: Facts) -> Plan:
    """A plan with an index and a fine-tune."""
    return honest_plan(small, {"support-chat": _variant(small, "support-chat", "rag+fine-tune")})


def _variant(facts: Facts, workload: str, adaptation: str) -> str:
    return next(
        v.variant for v in facts.variants if (v.workload, v.adaptation) == (workload, adaptation)
    )


# ------------------------------------------------------------------ changed instances


def with_settings(facts: Facts, part: str, **values: object) -> Facts:
    """The facts with some settings changed."""
    settings = facts.instance.settings
    changed = getattr(settings, part).model_copy(update=values)
    settings = settings.model_copy(update={part: changed})
    return replace(facts, instance=facts.instance.model_copy(update={"settings": settings}))


def with_workloads(facts: Facts, **values: object) -> Facts:
    """The facts with some terms of every workload changed."""
    rows = tuple(w.model_copy(update=values) for w in facts.instance.workloads)
    return replace(facts, instance=facts.instance.model_copy(update={"workloads": rows}))


def with_machines(facts: Facts, **values: Any) -> Facts:
    return replace(facts, machines=tuple(replace(m, **values) for m in facts.machines))


# ------------------------------------------------------------------ corruptions


def rows(name: str, **values: Any) -> Corrupt:
    """Change columns of all rows of a table of the plan; callables see the row."""

    def corrupt(facts: Facts, plan: Plan) -> tuple[Facts, Plan]:
        table = tuple(
            replace(row, **{k: v(row) if callable(v) else v for k, v in values.items()})
            for row in getattr(plan, name)
        )
        assert table
        return facts, replace(plan, **{name: table})

    return corrupt


def fields(**values: Any) -> Corrupt:
    """Change fields of the plan; callables see the plan."""
    return lambda facts, plan: (
        facts,
        replace(plan, **{k: v(plan) if callable(v) else v for k, v in values.items()}),
    )


def rule_of(change: Callable[[Facts], Facts]) -> Corrupt:
    """Keep the otherwise honest plan, tighten the rule."""
    return lambda facts, plan: (change(facts), plan)


def scaled(lines: dict[str, float], name: str) -> dict[str, float]:
    return {k: v * (1.001 if k == name else 1.0) for k, v in lines.items()}


def _other_llm(facts: Facts, plan: Plan) -> tuple[Facts, Plan]:
    """Adopt another llm without moving the requests."""
    row = plan.adoption[0]
    other = next(v for v in facts.variants if v.workload == row.workload and v.llm != row.llm)
    changed = replace(
        row,
        variant=other.variant,
        llm=other.llm,
        adaptation=other.adaptation,
        method=other.method,
        refresh_days=other.refresh_days,
    )
    return facts, replace(plan, adoption=(changed, *plan.adoption[1:]))


def _other_slice(facts: Facts, plan: Plan) -> tuple[Facts, Plan]:
    slices = list(Terms(facts).slice_hours)
    line = next(x for x in plan.routing if x.slice is not None)
    moved = replace(line, served_slice=next(t for t in slices if t != line.slice))
    return facts, replace(plan, routing=tuple(moved if x is line else x for x in plan.routing))


CORRUPTIONS: dict[str, Corrupt] = {
    "instance": fields(instance=lambda p: replace(p.instance, sha256="another")),
    "known-names": rows("routing", region="atlantis"),
    "adoption": fields(adoption=lambda p: p.adoption[1:]),
    "adopted-llm": _other_llm,
    "quality-floor": rule_of(lambda f: with_workloads(f, quality_min=0.99)),
    "residency": rule_of(lambda f: with_workloads(f, residency="atlantis")),
    "context-length": rule_of(
        lambda f: replace(f, llms=tuple(replace(m, context_tokens=64) for m in f.llms))
    ),
    "prompt-lane": rows("replicas", lane_tokens=16.0),
    "memory-fit": rule_of(
        lambda f: replace(f, accelerators=tuple(replace(a, memory_gb=4.0) for a in f.accelerators))
    ),
    "operating-point": rows("replicas", operating_tpot_s=0.001),
    "latency-target": rule_of(lambda f: with_workloads(f, tpot_target_s=0.001)),
    "demand-served": rows("routing", share=0.5, requests_per_s=lambda r: r.requests_per_s / 2),
    "allowed-slice": _other_slice,
    "rates": rows("routing", requests_per_s=lambda r: 1.01 * r.requests_per_s),
    "replica-capacity": rows("replicas", replicas=lambda r: r.replicas - 1),
    "machine-capacity": rows("fleet", instances=lambda r: r.instances - 1),
    "by-the-hour": rows("fleet", hours=1e6),
    "whole-numbers": rows("fleet", instances=lambda r: r.instances + 0.5),
    "divisibility": rows("replicas", accelerators=3),
    "market": rows("fleet", slice=None),
    "stock": rule_of(lambda f: with_machines(f, max_instances=0)),
    "quota": rule_of(
        lambda f: replace(
            f,
            instance=f.instance.model_copy(
                update={
                    "quotas": tuple(
                        Quota(region=m.region, accelerator=m.accelerator, accelerators=0)
                        for m in f.machines
                    )
                }
            ),
        )
    ),
    "owned": rule_of(lambda f: with_machines(f, fixed_by_slice=(1,) * len(f.instance.slices))),
    "commitments": fields(
        commitments=(
            Commitment(
                "aws:us-east-1",
                "aws_g6e.xlarge",
                "commit-1y",
                1,
                False,
                1.0,
                "2027-08-31",
                11.0,
                8036.0,
            ),
        )
    ),
    "spot-share": rows("fleet", market="spot"),
    "region-loss": rule_of(lambda f: with_workloads(f, region_loss_share=0.9)),
    "min-regions": rule_of(lambda f: with_workloads(f, min_regions=4)),
    "max-regions": rule_of(lambda f: with_settings(f, "policy", max_regions=1)),
    "max-llms": rule_of(lambda f: with_settings(f, "policy", max_llms=0)),
    "attainment": rule_of(lambda f: with_workloads(f, attainment_min=0.99999)),
    "qoe-floor": rule_of(lambda f: with_workloads(f, qoe_min=0.99)),
    "hosting": fields(hosting=()),
    "training": fields(training=()),
    "added-accelerators": rule_of(lambda f: with_settings(f, "policy", max_added_accelerators=0)),
    "changed-workloads": rule_of(lambda f: with_settings(f, "policy", max_changed_workloads=0)),
    "kept-incumbent": rule_of(lambda f: with_settings(f, "policy", keep_incumbent=True)),
    "caps": rule_of(lambda f: with_settings(f, "caps", cost_usd=1.0)),
    "cost-lines": fields(cost_lines=lambda p: scaled(p.cost_lines, "on-demand")),
    "carbon-lines": fields(carbon_lines=lambda p: scaled(p.carbon_lines, "embodied")),
    "water": fields(water_l=lambda p: p.water_l * 1.001),
    "objectives": fields(objectives=lambda p: replace(p.objectives, qoe=p.objectives.qoe + 0.001)),
    "workload-lines": rows("workloads", ttft_p95_s=lambda r: 0.9 * r.ttft_p95_s),
    "allocation": rows("workloads", usd_per_mtok=lambda r: 0.9 * r.usd_per_mtok),
    "certificate": fields(
        certificate=lambda p: replace(p.certificate, bound=1.01 * p.certificate.value)
    ),
}


def test_a_pool_needs_the_arithmetic_of_its_precision(small: Facts, honest: Plan) -> None:
    cards = tuple(replace(a, fp8_tflops=None, fp4_tflops=None) for a in small.accelerators)
    report = verify_plan(replace(small, accelerators=cards), honest)
    assert any("needs fp8 arithmetic" in v.message for v in report.violations)


def test_every_rule_has_a_corruption() -> None:
    assert set(CORRUPTIONS) == set(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_a_plan_that_breaks_a_rule_is_caught_by_its_name(
    rule: str, small: Facts, honest: Plan
) -> None:
    facts, plan = CORRUPTIONS[rule](small, honest)
    report = verify_plan(facts, plan, incumbent=replace(honest, fleet=(), adoption=()))
    caught = [v for v in report.violations if v.rule == rule]
    assert caught, {v.rule for v in report.violations}
    assert all(v.message and v.subject for v in caught)
    assert not report.ok


# ------------------------------------------------------------------ honest plans


def test_an_honest_plan_holds(small: Facts, honest: Plan) -> None:
    report = verify_plan(small, honest)
    assert report.violations == ()
    assert report.ok
    assert report.objectives == honest.objectives


def test_a_plan_over_several_regions_survives_the_loss_of_one(small: Facts) -> None:
    facts = with_workloads(small, region_loss_share=0.4, min_regions=2)
    report = verify_plan(facts, honest_plan(facts, regions=2))
    assert report.violations == ()


def test_a_plan_survives_its_json(small: Facts, honest: Plan) -> None:
    assert verify_plan(small, Plan.from_json(honest.to_json())).ok


def test_an_unchanged_incumbent_costs_no_migration(small: Facts, honest: Plan) -> None:
    changes = {"change_usd_per_workload": 100.0, "change_usd_per_accelerator": 7.0}
    limits = {"max_changed_workloads": 0, "max_added_accelerators": 0}
    nothing_else = {"engineering_h_per_workload": 0.0, "boot_h": 0.0, "overlap_h": 0.0}
    facts = with_settings(small, "policy", **changes, **limits)
    facts = with_settings(facts, "migration", **nothing_else, load_gb_per_s=1e12, horizon_h=728.0)
    assert verify_plan(facts, priced(facts, honest, honest), incumbent=honest).ok
    before = replace(honest, fleet=(), adoption=())
    moved = verify_plan(facts, priced(facts, honest, before), incumbent=before)
    peaks: dict[str, int] = {}
    for slice_ in Terms(facts).slice_hours:
        held: dict[str, int] = {}
        for line in honest.fleet:
            if line.slice == slice_:
                name = f"{line.region}/{line.offer}"
                held[name] = held.get(name, 0) + line.accelerators * line.instances
        for name, accelerators in held.items():
            peaks[name] = max(peaks.get(name, 0), accelerators)
    workloads = len(facts.instance.workloads)
    assert moved.cost_lines["migration work"] == pytest.approx(100.0 * workloads)
    assert moved.cost_lines["migration machines"] == pytest.approx(7.0 * sum(peaks.values()))


# ------------------------------------------------------------------ figures by hand


def test_rent_and_embodied_carbon_by_hand(tiny: Facts) -> None:
    plan = honest_plan(tiny)
    report = verify_plan(tiny, plan)
    machines = {(m.region, m.offer): m for m in tiny.machines}
    embodied = {a.accelerator: a.embodied_kgco2e for a in tiny.accelerators}
    carbon = tiny.instance.settings.carbon
    rent = kg = 0.0
    for line in plan.fleet:
        hours = 364.0
        price = machines[line.region, line.offer].ondemand_usd_per_h
        assert price is not None
        rent += line.instances * price * hours
        host = machines[line.region, line.offer]
        made = min(host.vcpus / 96, 1) * (1100 - 16 * 533 / 384) + host.ram_gb * 533 / 384
        made += line.accelerators * embodied[line.accelerator]
        kg += line.instances * made / (carbon.accelerator_life_years * 8760.0) * hours
    assert report.cost_lines["on-demand"] == pytest.approx(rent)
    assert report.carbon_lines["embodied"] == pytest.approx(kg)


def test_cost_per_token_shares_out_the_whole_cost(small: Facts, honest: Plan) -> None:
    tokens: dict[str, float] = {}
    for item in Terms(small).items.values():
        each = item.length.input_tokens + item.length.output_tokens
        name = item.workload.workload
        tokens[name] = tokens.get(name, 0.0) + item.requests * each
    usd = sum(line.usd_per_mtok * tokens[line.workload] / 1e6 for line in honest.workloads)
    kg = sum(line.gco2e_per_ktok * tokens[line.workload] / 1e6 for line in honest.workloads)
    assert usd == pytest.approx(honest.objectives.cost_usd, rel=1e-9)
    assert kg == pytest.approx(honest.objectives.carbon_kgco2e, rel=1e-9)


def test_requests_add_up_to_the_demand(tiny: Facts) -> None:
    total = math.fsum(item.requests for item in Terms(tiny).items.values())
    rates = math.fsum(row.requests_per_s for row in tiny.instance.demand)
    assert total == pytest.approx(rates * 3600 * 364)


# ------------------------------------------------------------------ independence


def test_the_checker_uses_neither_program_nor_engine() -> None:
    forbidden = (
        *("pyomo", "highspy", "pymoo", "moocore", "models.fleet"),
        *("planner.candidates", "planner.solve", "planner.front"),
    )
    folder = Path(str(planner.verify.__file__)).parent
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert not name.startswith(forbidden), f"{file.name} imports {name}"
