"""Facts: whose figure wins, what stands in for blanks, and in which order things come."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from planner.catalog import load_catalog
from planner.errors import CatalogError, InstanceError
from planner.instance.facts import Facts, source_of
from planner.instance.load import load_instance
from planner.instance.overrides import overridden
from planner.instance.resolve import hours_of, missing_figures, resolve, usual_host
from planner.instance.schema import Accelerator, Instance, Override, Region, Slice
from tests.planner.instance.helpers import Edit

REFERENCE = Path(__file__).resolve().parents[3] / "instances" / "reference"
CATALOG = load_catalog()


def facts_of(folder: Path) -> Facts:
    return resolve(load_instance(folder), CATALOG)


@pytest.fixture(scope="module")
def reference() -> Facts:
    return facts_of(REFERENCE)


def with_region(folder: Path, **figures: object) -> Facts:
    instance = load_instance(folder)
    first = instance.regions[0].model_copy(update=figures)
    return resolve(instance.model_copy(update={"regions": (first, *instance.regions[1:])}), CATALOG)


# ------------------------------------------------------------------ regions


def test_a_region_takes_the_catalogs_figures(starter: Path) -> None:
    region = facts_of(starter).regions[0]
    known = CATALOG.region("aws:us-east-1")
    assert (region.pue, region.provider) == (known["pue"], "aws")
    assert region.residency == frozenset({"us"})
    assert region.provenance.startswith("catalog: ")


def test_the_users_figures_win_column_by_column(starter: Path) -> None:
    region = with_region(starter, pue=1.4, residency="us;gov").regions[0]
    assert (region.pue, region.residency) == (1.4, frozenset({"us", "gov"}))
    assert region.site_wue_l_per_kwh == CATALOG.region("aws:us-east-1")["site_wue_l_per_kwh"]
    assert region.provenance.endswith("by the user: residency, pue")


def test_carbon_of_a_slice_is_the_mean_of_its_hours_and_month(starter: Path) -> None:
    profile = CATALOG.region_carbon_profile("aws:us-east-1").gco2e_per_kwh[11]
    day, night = facts_of(starter).regions[0].carbon_kgco2e_per_kwh
    assert day == pytest.approx(sum(profile[8:20]) / 12.0 / 1000.0)
    assert night == pytest.approx((sum(profile[20:]) + sum(profile[:8])) / 12.0 / 1000.0)
    assert day != night


def test_the_users_carbon_keeps_the_hourly_shape(starter: Path) -> None:
    mean = CATALOG.region_carbon_profile("aws:us-east-1").annual_mean_gco2e_per_kwh
    before = facts_of(starter).regions[0].carbon_kgco2e_per_kwh
    after = with_region(starter, carbon_gco2e_per_kwh=mean / 2.0).regions[0].carbon_kgco2e_per_kwh
    assert after == pytest.approx([level / 2.0 for level in before])


def test_an_own_site_has_its_flat_carbon_and_its_monthly_cost_for_the_period(
    reference: Facts,
) -> None:
    own = next(region for region in reference.regions if region.provider == "own")
    row = next(row for row in reference.instance.regions if row.region == own.region)
    assert row.carbon_gco2e_per_kwh is not None
    assert set(own.carbon_kgco2e_per_kwh) == {row.carbon_gco2e_per_kwh / 1000.0}
    hours = reference.instance.settings.period.hours
    assert own.fixed_usd == pytest.approx(row.fixed_usd_per_month * hours / 730.0)


def test_windows_of_the_day() -> None:
    night = Slice(slice="n", hours=8, month=1, start_hour_utc=22, end_hour_utc=6)
    assert hours_of(night) == (22, 23, 0, 1, 2, 3, 4, 5)
    assert hours_of(Slice(slice="d", hours=24, month=1)) == tuple(range(24))


def test_round_trips_are_measured_between_catalog_regions_else_by_distance(starter: Path) -> None:
    trips = facts_of(starter).round_trip_s
    measured = CATALOG.users_round_trip("aws:us-east-1", "aws:eu-north-1").rtt_ms / 1000.0
    assert trips["us-east", "aws:eu-north-1"] == pytest.approx(measured)
    by_distance = CATALOG.round_trip_ms(52.52, 13.4, "aws:eu-north-1") / 1000.0
    assert trips["berlin", "aws:eu-north-1"] == pytest.approx(by_distance)


def test_every_origin_reaches_every_region_and_api(reference: Facts) -> None:
    places = {region.region for region in reference.regions} | {a.region for a in reference.apis}
    origins = {row.origin for row in reference.instance.origins}
    assert set(reference.round_trip_s) == {(o, r) for o in origins for r in places}


# ------------------------------------------------------------------ accelerators and machines


def test_embodied_cases_are_ordered_and_published_for_h100(starter: Path) -> None:
    instance = load_instance(starter)

    def embodied(case: str) -> float:
        carbon = instance.settings.carbon.model_copy(update={"embodied": case})
        settings = instance.settings.model_copy(update={"carbon": carbon})
        facts = resolve(instance.model_copy(update={"settings": settings}), CATALOG)
        return next(c.embodied_kgco2e for c in facts.accelerators if c.accelerator == "h100-sxm")

    known = CATALOG.accelerator("h100-sxm")
    assert embodied("low") == known["embodied_low_kgco2e"] == 164.0
    assert embodied("high") == known["embodied_high_kgco2e"]
    assert embodied("mid") ** 2 == pytest.approx(embodied("low") * embodied("high"))


def test_a_blank_idle_power_is_the_usual_share_of_the_power_limit(reference: Facts) -> None:
    shares = CATALOG.accelerators["idle_w"] / CATALOG.accelerators["tdp_w"]
    for card in reference.accelerators:
        if CATALOG.accelerator(card.accelerator)["idle_w"] is None:
            assert card.idle_w == pytest.approx(shares.median() * card.tdp_w)


def test_an_accelerator_without_a_published_power_limit_needs_the_users(starter: Path) -> None:
    unknown = CATALOG.accelerators.query("tdp_w.isna() and bf16_tflops.notna()")
    name = str(unknown["accelerator"].iloc[0])
    instance = load_instance(starter)
    blank = instance.model_copy(update={"accelerators": (Accelerator(accelerator=name),)})
    assert [(row, column) for _, row, column, _ in missing_figures(blank, CATALOG)] == [
        (name, "tdp_w")
    ]
    with pytest.raises(CatalogError, match="tdp_w"):
        resolve(blank, CATALOG)
    given = instance.model_copy(
        update={"accelerators": (Accelerator(accelerator=name, tdp_w=200.0),)}
    )
    assert resolve(given, CATALOG).accelerators[0].tdp_w == 200.0


def test_machines_come_by_region_then_accelerator_then_name(reference: Facts) -> None:
    regions = [region.region for region in reference.regions]
    cards = [card.accelerator for card in reference.accelerators]
    order = [(regions.index(m.region), cards.index(m.accelerator), m.offer)
             for m in reference.machines]  # fmt: skip
    assert order == sorted(order)
    assert len({machine.machine for machine in reference.machines}) == len(order)


def test_a_users_price_replaces_the_catalogs_and_keeps_the_rest(starter: Path, edit: Edit) -> None:
    before = facts_of(starter).machines[0]
    header = "region,offer,accelerator,accelerators,ondemand_usd_per_h,max_instances\n"
    edit("offers.csv", "", header +
         f"{before.region},{before.offer},{before.accelerator},{before.accelerators},"
         f"{before.ondemand_usd_per_h / 2},3\n")  # fmt: skip
    after = facts_of(starter).machines[0]
    assert after.machine == before.machine
    assert after.ondemand_usd_per_h == pytest.approx(before.ondemand_usd_per_h / 2)
    assert (after.spot_usd_per_h, after.max_instances) == (before.spot_usd_per_h, 3)


def test_hosts_are_the_users_then_the_offers_then_the_usual_ones(starter: Path, edit: Edit) -> None:
    edit("owned.csv", "", "region,offer,instances,usd_per_h,accelerator,accelerators,vcpus,ram_gb\n"
         "aws:us-east-1,rack,2,3,l4,8,64,\n")  # fmt: skip
    facts = facts_of(starter)
    machines = {m.machine: m for m in facts.machines}
    p5, rack = machines["aws:us-east-1/aws_p5.48xlarge"], machines["aws:us-east-1/rack"]
    assert (p5.vcpus, p5.ram_gb) == (192.0, 2048.0)
    offers = CATALOG.offers[CATALOG.offers["accelerator"] == "l4"]
    usual = float((offers["ram_gb"] / offers["accelerators"]).median())
    assert (rack.vcpus, rack.ram_gb) == (64.0, 8 * usual)
    assert (source_of(rack, "vcpus"), source_of(rack, "ram_gb")) == ("user", "assumed")
    assert any("memory of aws:us-east-1/rack" in said for said in facts.assumptions)


def test_an_edge_module_has_no_host_on_top() -> None:
    assert usual_host("jetson-agx-orin", CATALOG) == (0.0, 0.0)


def test_owned_machines_add_up(starter: Path, edit: Edit) -> None:
    edit("owned.csv", "", "region,offer,market,instances,usd_per_h,accelerator,accelerators\n"
         "aws:us-east-1,rack,owned,2,3,l4,8\naws:us-east-1,rack,commit-1y,1,4,,\n")  # fmt: skip
    rack = next(m for m in facts_of(starter).machines if m.offer == "rack")
    assert (rack.fixed_instances, rack.fixed_usd_per_h, rack.accelerators) == (3, 10.0, 8)
    assert rack.ondemand_usd_per_h is None


# ------------------------------------------------------------------ variants and quality


def test_default_variants_are_those_with_material(starter: Path) -> None:
    names = [variant.variant for variant in facts_of(starter).variants]
    assert names == [
        "chat/llama-3.1-8b/base", "chat/qwen3-32b/base",
        *(f"documents/{llm}/{adaptation}" for llm in ("llama-3.1-8b", "qwen3-32b")
          for adaptation in ("base", "rag", "fine-tune", "rag+fine-tune")),
    ]  # fmt: skip


def test_missing_quality_is_the_base_with_the_published_gain(starter: Path) -> None:
    variants = {variant.variant: variant for variant in facts_of(starter).variants}
    base, rag = variants["documents/qwen3-32b/base"], variants["documents/qwen3-32b/rag"]
    prior = CATALOG.adaptation_prior("document-qa", "rag")
    assert (base.quality, base.provenance, base.refresh_days) == (0.74, "user", None)
    assert rag.quality == pytest.approx(prior.apply(0.74))
    assert (rag.provenance, rag.refresh_days) == ("prior", 1.0)
    assert rag.quality_sd > base.quality_sd
    assert variants["documents/qwen3-32b/fine-tune"].refresh_days == 30.0


def test_the_quality_of_a_workload_wins_over_that_of_all(starter: Path, edit: Edit) -> None:
    edit("quality.csv", "*,qwen3-32b,base,0.74", "*,qwen3-32b,base,0.74\nchat,qwen3-32b,base,0.8")
    variants = {variant.variant: variant for variant in facts_of(starter).variants}
    assert variants["chat/qwen3-32b/base"].quality == 0.8
    assert variants["documents/qwen3-32b/base"].quality == 0.74


def test_ids_say_only_as_much_as_is_needed(starter: Path, edit: Edit) -> None:
    edit("variants.csv", "", "workload,llm,adaptation,method,refresh_days,check_llm,check_share\n"
         "*,llama-3.1-8b,base,,,,\n*,llama-3.1-8b,base,,,qwen3-32b,0.2\n"
         "documents,llama-3.1-8b,fine-tune,lora,7,,\ndocuments,llama-3.1-8b,fine-tune,lora,30,,\n"
         "documents,llama-3.1-8b,fine-tune,full,30,,\n")  # fmt: skip
    facts = facts_of(starter)
    assert [variant.variant for variant in facts.variants] == [
        "chat/llama-3.1-8b/base",
        "chat/llama-3.1-8b/base+qwen3-32b",
        "documents/llama-3.1-8b/base",
        "documents/llama-3.1-8b/base+qwen3-32b",
        "documents/llama-3.1-8b/fine-tune/7d",
        "documents/llama-3.1-8b/fine-tune/30d",
        "documents/llama-3.1-8b/fine-tune/full",
    ]
    assert facts.variants[1].check_quality == 0.74
    assert facts.variants[4].method == "lora"


# ------------------------------------------------------------------ overrides, order, ages


def test_an_override_changes_the_catalogs_figure_and_says_so(starter: Path, edit: Edit) -> None:
    before = facts_of(starter)
    machine = before.machines[0].machine
    edit("overrides.csv", "", "table,id,column,value,reason\n"
         "regions,aws:us-east-1,pue,1.5,measured\n"
         f"offers,{machine},ondemand_usd_per_h,1.25,contract\n")  # fmt: skip
    after = facts_of(starter)
    assert after.regions[0].pue == 1.5
    assert "pue by the user: measured" in after.regions[0].provenance
    assert after.machines[0].ondemand_usd_per_h == 1.25
    assert after.regions[1:] == before.regions[1:]
    assert CATALOG.region("aws:us-east-1")["pue"] != 1.5  # the shipped catalog is untouched


@pytest.mark.parametrize(
    ("table", "row_id", "column", "value"),
    [
        ("nothing", "x", "y", "1"),
        ("regions", "aws:nowhere", "pue", "1.2"),
        ("regions", "aws:us-east-1", "region", "x"),
        ("regions", "aws:us-east-1", "pue", "much"),
        ("regions", "aws:us-east-1", "pue", "nan"),
        ("accelerators", "h100-sxm", "memory_gb", "8e30"),
        ("accelerators", "h100-sxm", "memory_gb", "-80"),
    ],
)
def test_an_override_that_fits_nothing_is_refused(
    table: str, row_id: str, column: str, value: str
) -> None:
    row = Override(table=table, id=row_id, column=column, value=value, reason="test")
    with pytest.raises(InstanceError, match="override 1"):
        overridden(CATALOG, (row,))


def test_shuffled_rows_change_the_order_only(reference: Facts) -> None:
    rng = random.Random(5)
    shuffled = {}
    for table in ("workloads", "regions", "accelerators", "llms", "quality", "offers", "owned",
                  "apis", "variants", "origins"):  # fmt: skip
        rows = list(getattr(reference.instance, table))
        rng.shuffle(rows)
        shuffled[table] = tuple(rows)
    other: Instance = reference.instance.model_copy(update=shuffled)
    facts = resolve(other, CATALOG)
    for name in ("regions", "accelerators", "machines", "llms", "apis", "variants"):
        mine, theirs = getattr(facts, name), getattr(reference, name)
        assert sorted(map(repr, mine)) == sorted(map(repr, theirs)), name
    assert facts.round_trip_s == reference.round_trip_s
    assert facts.ages == reference.ages


def test_ages_and_assumptions_are_for_the_reader(reference: Facts) -> None:
    assert set(reference.ages) >= {"offers", "llms", "accelerators", "regions (carbon)"}
    assert all(date[:2] == "20" for date in reference.ages.values())
    assert all(text.endswith(".") for text in reference.assumptions)
    marginal = reference.instance.settings.carbon.model_copy(update={"accounting": "marginal"})
    settings = reference.instance.settings.model_copy(update={"carbon": marginal})
    facts = resolve(reference.instance.model_copy(update={"settings": settings}), CATALOG)
    assert "location-based" in facts.assumptions[0]


def test_a_region_moved_by_the_user_is_reached_by_distance(starter: Path) -> None:
    facts = with_region(starter, lat=52.52, lon=13.4)
    assert isinstance(facts.instance.regions[0], Region)
    near = CATALOG.place_round_trip_ms(52.52, 13.4, 52.52, 13.4) / 1000.0
    assert facts.round_trip_s["berlin", "aws:us-east-1"] == pytest.approx(near)
