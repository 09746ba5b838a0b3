"""What recurs is paid per period: known answers from outside, and twelve periods are a year.

Engine (`planner.candidates`) and checker (`planner.verify`) compute by code of their own; the
figures here are arithmetic on datasheet and price figures stated in this file.
"""

from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.fleet.data import FleetData
from planner.candidates import adaptation as engine
from planner.candidates import build_candidates
from planner.candidates.machines import held
from planner.candidates.migration import Changes
from planner.catalog import load_catalog
from planner.incumbent import incumbent_of
from planner.instance.facts import Facts, Prices, VariantFacts
from planner.instance.load import load_instance
from planner.instance.resolve import resolve
from planner.instance.schema import Instance, Owned
from planner.plan import Plan
from planner.verify import adaptation as checker
from planner.verify import verify_plan
from planner.verify.migration import Moves
from planner.verify.terms import Terms
from planner.verify.totals import instance_hour, running_kw
from tests.planner.honest_plans import honest_plan

INSTANCES = Path(__file__).parents[2] / "instances"
MONTH_H, YEAR_H = 728.0, 8736.0
REGION = "gcp:us-central1"


def over(instance: Instance, hours: float) -> Facts:
    """The instance over a period of so many hours, each slice scaled alike."""
    settings = instance.settings
    factor = hours / settings.period.hours
    period = settings.period.model_copy(update={"hours": hours})
    slices = tuple(x.model_copy(update={"hours": x.hours * factor}) for x in instance.slices)
    changed = {"settings": settings.model_copy(update={"period": period}), "slices": slices}
    return resolve(instance.model_copy(update=changed), load_catalog())


def with_workload(instance: Instance, name: str, **figures: Any) -> Instance:
    rows = tuple(
        row.model_copy(update=figures) if row.workload == name else row
        for row in instance.workloads
    )
    return instance.model_copy(update={"workloads": rows})


# ------------------------------------------------------------------ lines by hand

PRICES = Prices(
    egress_usd_per_gb=0.12,
    copy_usd_per_gb=0.08,
    vector_ram_usd_per_gb_h=0.01,
    vector_query_usd=0.0,
    embedding_usd_per_mtok=0.09,
    rerank_usd_per_query=0.0,
    storage_usd_per_gb_month=0.02,
    staff_usd_per_h=100.0,
    provenance="test",
)
INDEX_GB = 5e6 * (4 * 1024 + 8 * 32 * 1.1) / 1e9
"""2,000 Mtok in chunks of 400: 5 million vectors."""
ADAPTER_GB = 32 * 16 * 4 * (4096 + 4096) * 2 / 1e9
"""LoRA rank 16 on 4 square matrices in each of the 32 layers of llama-3.1-8b, 2 bytes each."""


def tiny(hours: float, days: float) -> tuple[Facts, VariantFacts, VariantFacts]:
    """Facts with a retrieval variant and a fine-tune that are refreshed every so many days."""
    instance = load_instance(INSTANCES / "tiny")
    instance = with_workload(instance, "documents", corpus_tokens=2e9, facts_change_per_day=1.0)
    facts = replace(over(instance, hours), prices=PRICES)
    named = {x.variant: replace(x, refresh_days=days) for x in facts.variants}
    return facts, named["documents/llama-3.1-8b/rag"], named["chat/llama-3.1-8b/fine-tune"]


@pytest.mark.parametrize(
    ("hours", "days", "passes"),
    [
        (MONTH_H, 1.0, 19.17432),  # 30.33 refreshes of 1 - 1/e
        (MONTH_H, 7.0, 4.32938),  # 4.33 of 1 - e^-7
        (YEAR_H, 1.0, 230.09188),
        (MONTH_H, 60.0, 0.50556),  # half a refresh, of everything
    ],
)
def test_every_refresh_of_an_index_is_embedded_and_sent(
    hours: float, days: float, passes: float
) -> None:
    facts, rag, _ = tiny(hours, days)
    workload = facts.instance.workloads[1]
    terms = Terms(facts)
    usd = 2000 * 0.09 * passes
    assert engine.reembedding_usd(facts, rag, workload) == pytest.approx(usd, rel=1e-5)
    assert checker.reembedding_usd(terms, rag) == pytest.approx(usd, rel=1e-5)
    copy = INDEX_GB * (2 * 0.01 * hours + 0.08 * passes)  # two replicas side by side, sent once
    cost, carbon = engine.hosting(facts, rag, workload, len(facts.regions))
    assert cost == pytest.approx(copy, rel=1e-5)
    assert checker.host_figures(terms, rag, REGION).cost_usd == pytest.approx(copy, rel=1e-5)
    at, place = next((i, x) for i, x in enumerate(facts.regions) if x.region == REGION)
    mean = (place.carbon_kgco2e_per_kwh[0] + place.carbon_kgco2e_per_kwh[1]) / 2.0
    kg = 0.3 * 2 * INDEX_GB * hours / 1e3 * place.pue * mean
    assert carbon[at] == pytest.approx(kg)
    assert checker.host_figures(terms, rag, REGION).carbon_kgco2e == pytest.approx(kg)


@pytest.mark.parametrize(
    ("hours", "days", "runs"), [(MONTH_H, 7.0, 13 / 3), (YEAR_H, 7.0, 52.0), (MONTH_H, 91.0, 1 / 3)]
)
def test_every_refresh_of_a_fine_tune_is_made_and_sent(
    hours: float, days: float, runs: float
) -> None:
    facts, _, tuned = tiny(hours, days)
    workload, terms = facts.instance.workloads[0], Terms(facts)
    staff = runs * 2 * 100.0
    assert engine.staff_usd(facts, tuned, workload) == pytest.approx(staff)
    assert checker.staff_usd(terms, tuned) == pytest.approx(staff)
    copy = ADAPTER_GB * (0.08 * runs + 0.02 * hours / 730.0)
    cost, carbon = engine.hosting(facts, tuned, workload, len(facts.regions))
    assert cost == pytest.approx(copy) and not carbon.any()
    assert checker.host_figures(terms, tuned, REGION).cost_usd == pytest.approx(copy)

    machine = next(m for m in facts.machines if m.machine == f"{REGION}/gcp_g2-standard-4")
    card = next(a for a in facts.accelerators if a.accelerator == "l4")
    llm = next(x for x in facts.llms if x.llm == "llama-3.1-8b")
    place = next(r for r in facts.regions if r.region == REGION)
    flop = 4.0 * llm.params_active_b * 1e9 * 2e6 * 3.0
    used_h = runs * flop / (card.bf16_tflops * 1e12 * 0.35 * 3600.0)
    assert (machine.vcpus, machine.ram_gb) == (4.0, 16.0)
    kwh = used_h * (0.8 * card.tdp_w + 14.752) / 1e3
    life_h = 6.0 * 8760.0
    kg = kwh * place.pue * place.carbon_kgco2e_per_kwh[0]
    kg += used_h * (card.embodied_kgco2e + 67.116) / life_h
    water = kwh * (place.site_wue_l_per_kwh + place.pue * place.electricity_water_l_per_kwh)
    run = checker.training_figures(terms, tuned, machine, facts.instance.slices[0].slice)
    by_hand = (used_h * (machine.ondemand_usd_per_h or 0.0), kg, water)
    assert (run.cost_usd, run.carbon_kgco2e, run.water_l) == pytest.approx(by_hand, rel=1e-6)
    at = facts.machines.index(machine)
    option = engine.training_options(facts, tuned, 0, workload, [at])[0]
    assert (option.cost_usd, option.carbon_kgco2e, option.water_l) == pytest.approx(
        by_hand if option.slice == 0 else (by_hand[0], option.carbon_kgco2e, by_hand[2]), rel=1e-6
    )


def test_an_index_beside_a_fine_tune_is_refreshed_daily() -> None:
    """Its own interval is the fine-tune's; what is retrieved is a day old at most."""
    facts, rag, _ = tiny(MONTH_H, 30.0)
    both = replace(rag, adaptation="rag+fine-tune", method="lora", refresh_days=30.0)
    usd = 2000 * 0.09 * 19.17432
    workload = facts.instance.workloads[1]
    assert engine.reembedding_usd(facts, both, workload) == pytest.approx(usd, rel=1e-5)
    assert checker.reembedding_usd(Terms(facts), both) == pytest.approx(usd, rel=1e-5)


def test_an_hour_of_a_machine_by_hand() -> None:
    facts, _, _ = tiny(MONTH_H, 1.0)
    machine = next(m for m in facts.machines if m.region == REGION and m.accelerators == 8)
    card = next(a for a in facts.accelerators if a.accelerator == machine.accelerator)
    place = next(r for r in facts.regions if r.region == REGION)
    assert (machine.vcpus, machine.ram_gb) == (96.0, 384.0)
    kw = (8 * card.idle_w + 96 * 2.12 + 384 * 0.392) / 1e3
    idle = kw * place.pue * place.carbon_kgco2e_per_kwh[0]
    host_kg = 1100.0 + (384 - 16) * 533 / 384
    made = (8 * card.embodied_kgco2e + host_kg) / (6.0 * 8760.0)
    water = kw * (place.site_wue_l_per_kwh + place.pue * place.electricity_water_l_per_kwh)
    by_hand = (idle, made, water)
    name = facts.instance.slices[0].slice
    assert instance_hour(Terms(facts), machine, name) == pytest.approx(by_hand)
    half = held(facts, [machine])
    assert (
        half.idle_carbon_kgco2e[0, 0] / 364,
        half.embodied_kgco2e[0, 0] / 364,
        half.water_l[0, 0] / 364,
    ) == pytest.approx(by_hand)


def test_a_running_accelerator_by_hand() -> None:
    """An L4 that decodes draws 300/700 of its 72 W, 13.86 W above its 17 W idle, whatever its work;
    an H100 228 W above its 72 W. What was billed before followed the work alone."""
    facts, _, _ = tiny(MONTH_H, 1.0)
    place = next(r for r in facts.regions if r.region == REGION)
    for accelerator, watts in (("l4", 72 * 3 / 7 - 17), ("h100-sxm", 228.0)):
        machine = next(
            m for m in facts.machines if (m.region, m.accelerator) == (REGION, accelerator)
        )
        kwh = watts / 1e3 * 364
        kg = kwh * place.pue * place.carbon_kgco2e_per_kwh[0]
        water = kwh * (place.site_wue_l_per_kwh + place.pue * place.electricity_water_l_per_kwh)
        half = held(facts, [machine])
        assert half.running_kgco2e[0, 0] == pytest.approx(kg)
        assert half.running_water_l[0, 0] == pytest.approx(water)
        assert running_kw(Terms(facts), machine) == pytest.approx(watts / 1e3)


# ------------------------------------------------------------------ twelve periods are a year

OWNED = (
    Owned(region="gcp:us-central1", offer="own-l4", accelerator="l4", accelerators=4, instances=2,
          usd_per_h=1.5),
)  # fmt: skip


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    """`small` with owned machines, a region with a fixed cost, and an incumbent to change from.

    The horizon of a change is longer than a year, so that a part of it falls into every period.
    """
    instance = load_instance(INSTANCES / "small")
    today = tmp_path_factory.mktemp("today") / "plan.json"
    today.write_text(honest_plan(resolve(instance, load_catalog())).to_json())
    settings = instance.settings
    migration = settings.migration.model_copy(update={"horizon_h": 2.0 * YEAR_H})
    region = instance.regions[0].region
    return instance.model_copy(
        update={
            "settings": settings.model_copy(
                update={"incumbent": str(today), "migration": migration}
            ),
            "regions": tuple(
                row.model_copy(update={"fixed_usd_per_month": 730.0}) for row in instance.regions
            ),
            "owned": tuple(row.model_copy(update={"region": region}) for row in OWNED),
        }
    )


AMOUNTS = ("_usd", "_kgco2e", "_water_l", "_requests", "_hours")


def test_every_amount_of_the_program_is_twelve_times_the_months(fleet: Instance) -> None:
    month, year = (build_candidates(over(fleet, hours)).data for hours in (MONTH_H, YEAR_H))
    amounts = 0
    for field in fields(FleetData):
        one, twelve = getattr(month, field.name), getattr(year, field.name)
        if not isinstance(one, np.ndarray):
            assert one == twelve or math.isnan(one), field.name
            continue
        recurs = field.name.endswith(AMOUNTS)
        # What weights know goes on ageing in a year: losses alone may differ, by little.
        near = 1e-4 if field.name in {"route_loss", "workload_loss_max"} else 1e-9
        np.testing.assert_allclose(
            twelve, 12.0 * one if recurs else one, rtol=near, atol=1e-12, err_msg=field.name
        )
        amounts += recurs and bool(one.any())
    assert amounts >= 14, "amounts that are not zero"
    migration = month.variant_cost_lines_usd[:, 2:], month.machine_change_usd
    assert all(lines.any() for lines in migration), "a change costs something here"


def test_every_line_of_the_checker_is_twelve_times_the_months(fleet: Instance) -> None:
    facts = {hours: over(fleet, hours) for hours in (MONTH_H, YEAR_H)}
    wanted = {
        "support-chat": "support-chat/llama-3.1-8b/rag+fine-tune",
        "code-completion": "code-completion/qwen3-32b/fine-tune",
        "document-questions": "document-questions/llama-3.1-8b/rag",
    }
    plan = honest_plan(facts[MONTH_H], wanted)
    reports = {hours: verified(known, plan) for hours, known in facts.items()}
    month, year = reports[MONTH_H], reports[YEAR_H]
    assert year.cost_lines == pytest.approx({k: 12.0 * v for k, v in month.cost_lines.items()})
    assert year.carbon_lines == pytest.approx({k: 12.0 * v for k, v in month.carbon_lines.items()})
    assert year.water_l == pytest.approx(12.0 * month.water_l)
    paid = {name for name, usd in month.cost_lines.items() if usd > 0}
    assert paid >= {
        "on-demand", "owned and committed", "retrieval", "network", "adaptation staff",
        "re-embedding", "migration work", "migration fine-tune", "migration index",
        "index hosting", "training compute", "migration machines", "region fixed",
    }  # fmt: skip
    assert all(kg > 0 for name, kg in month.carbon_lines.items() if name != "api")


def verified(facts: Facts, plan: Plan) -> Any:
    return verify_plan(facts, plan, incumbent_of(facts))


@pytest.mark.parametrize(("hours", "share"), [(MONTH_H, 728 / 2190), (YEAR_H, 1.0)])
def test_a_change_is_paid_once_where_the_period_is_longer_than_the_horizon(
    fleet: Instance, hours: float, share: float
) -> None:
    quarter = fleet.settings.migration.model_copy(update={"horizon_h": 2190.0})
    settings = fleet.settings.model_copy(update={"migration": quarter})
    facts = over(fleet.model_copy(update={"settings": settings}), hours)
    incumbent = incumbent_of(facts)
    other = next(v for v in facts.variants if v.variant == "support-chat/qwen3-32b/rag")
    usd = share * 24.0 * 120.0
    assert Changes(facts, incumbent).work_usd(other) == pytest.approx(usd)
    assert Moves(Terms(facts), incumbent).work_usd(other) == pytest.approx(usd)
