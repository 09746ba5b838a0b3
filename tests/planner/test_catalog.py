"""The shipped catalog: its facts hang together, and its reader is quick, exact and forgiving."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from planner.catalog import Catalog, load_catalog
from planner.catalog.reader import KEYS, TABLES_FOLDER, great_circle_km
from planner.cli.catalog import catalog as catalog_command
from planner.errors import CatalogError
from planner.instance.schema import Region

OURS = (
    "accelerators", "adaptation_figures", "adaptation_priors", "ancillary", "ancillary_defaults",
    "api_offers", "carbon_profiles", "demand_shapes", "grid_zones", "latency", "length_classes",
    "llms", "offers", "parameters", "price_history", "regions", "retrieval", "retrieval_defaults",
    "serving_points",
)  # fmt: skip
UNITS = re.compile(
    r"_(usd_per_\w+|gb|gb_per_s|tflops|w|kgco2e|gco2e_per_kwh|gco2e_per_kwh_\w+|l_per_kwh|ms|s|"
    r"tokens|tokens_\w+|b|bf16|share|cv|ca2|utc|year|years|per_month|per_s|token|"
    r"tokens_per_s|mean|sd|observed|request|document|query)$"
)
UNITLESS = {
    # counts, ratios without dimension, places in degrees, calendar parts
    "accelerators", "vcpus", "tp", "pp", "ep", "dp", "experts", "experts_per_token",
    "shared_experts", "moe_layers", "layers", "hidden_size", "attention_heads", "kv_heads",
    "linked_accelerators", "head_dim", "lat", "lon", "pue", "month", "hours", "hour", "year",
    "share", "figures", "requests", "relative_rate", "vectors", "dimensions",
    "documents_per_request", "concurrency", "chunks_per_query",
}  # fmt: skip
WITH_UNIT_COLUMN = {"value", "low", "high"}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


# ------------------------------------------------------------------ facts


@pytest.mark.parametrize("name", OURS)
def test_every_row_has_a_source_and_a_date(catalog: Catalog, name: str) -> None:
    frame = catalog.table(name)
    assert len(frame) > 0
    assert frame["source"].notna().all()
    assert frame["date"].astype(str).str.match(r"^20\d\d(-\d\d){0,2}$").all()


@pytest.mark.parametrize("name", OURS)
def test_every_number_carries_its_unit_in_the_header(catalog: Catalog, name: str) -> None:
    frame = catalog.table(name)
    for column in frame.select_dtypes("number").columns:
        if column in WITH_UNIT_COLUMN:
            assert "unit" in frame.columns or name == "retrieval"
            continue
        told = (
            column in UNITLESS
            or column in ("release_year", "date", "headroom_share", "input_cv", "output_cv")
            or column.startswith(("input_tokens", "output_tokens", "latency_", "texts_per_s"))
            or UNITS.search(f"_{column}")
        )
        assert told, f"{name}.{column}"


@pytest.mark.parametrize("name", sorted(set(KEYS) & set(OURS)))
def test_ids_are_unique(catalog: Catalog, name: str) -> None:
    assert not catalog.table(name).duplicated(list(KEYS[name])).any()


@pytest.mark.parametrize(
    ("table", "column", "other", "id_column"),
    [
        ("offers", "accelerator", "accelerators", "accelerator"),
        ("offers", "region", "regions", "region"),
        ("price_history", "accelerator", "accelerators", "accelerator"),
        ("price_history", "region", "regions", "region"),
        ("latency", "from_region", "regions", "region"),
        ("latency", "to_region", "regions", "region"),
        ("serving_points", "llm", "llms", "llm"),
        ("serving_points", "accelerator", "accelerators", "accelerator"),
        ("api_offers", "catalog_llm", "llms", "llm"),
        ("regions", "carbon_profile_zone", "carbon_profiles", "zone"),
        ("regions", "grid_zone", "grid_zones", "grid_zone"),
    ],
)
def test_ids_join_across_tables(
    catalog: Catalog, table: str, column: str, other: str, id_column: str
) -> None:
    used = set(catalog.table(table)[column].dropna())
    assert used
    assert used <= set(catalog.table(other)[id_column])


def test_price_history_ends_at_the_current_offers(catalog: Catalog) -> None:
    """The newest date of a machine in the history is never younger than its offer."""
    newest = catalog.price_history.groupby(["region", "offer"])["date"].max()
    offers = catalog.offers.set_index(["region", "offer"])["price_date"]
    both = offers.index.intersection(newest.index)
    assert len(both) > 1000
    assert (newest.loc[both] >= offers.loc[both]).mean() > 0.95


@pytest.mark.parametrize(
    ("accelerator", "mib"),
    [("h100-sxm", 81_559), ("a100-80gb", 81_920), ("l40s", 46_068), ("l4", 23_034), ("t4", 15_360),
     ("h200-sxm", 143_771), ("b200-sxm", 183_359)],
)  # fmt: skip
def test_memory_is_what_the_driver_reports(catalog: Catalog, accelerator: str, mib: float) -> None:
    """MiB as nvidia-smi lists them (modal-labs/modal-client#2797); 1 MiB is 1,048,576 bytes."""
    row = catalog.accelerator(accelerator)
    assert row["memory_gb"] * 1e9 == pytest.approx(mib * 1_048_576, rel=1e-5)
    assert row["memory_basis"].startswith("driver: ")
    assert row["memory_datasheet_gb"] < row["memory_gb"] + 0.3


def test_memory_without_a_reading_is_the_datasheets(catalog: Catalog) -> None:
    cards = catalog.accelerators
    silent = cards[cards["memory_basis"].str.startswith("datasheet")]
    assert 0 < len(silent) < len(cards) / 2 + 2
    assert (silent["memory_gb"] == silent["memory_datasheet_gb"]).all()


@pytest.mark.parametrize(
    ("table", "column", "low", "high"),
    [
        ("accelerators", "memory_gb", 8, 300),
        ("accelerators", "memory_bandwidth_gb_per_s", 60, 10_000),
        ("accelerators", "tdp_w", 15, 1500),
        ("accelerators", "embodied_low_kgco2e", 100, 300),
        ("regions", "carbon_gco2e_per_kwh", 1, 1000),
        ("regions", "pue", 1.0, 1.6),
        ("regions", "electricity_water_l_per_kwh", 0.1, 20),
        ("regions", "lat", -45, 65),
        ("offers", "ondemand_usd_per_h", 0.05, 300),
        ("price_history", "ondemand_usd_per_h", 0.05, 300),
        ("latency", "rtt_ms", 0.5, 450),
        ("carbon_profiles", "gco2e_per_kwh_mean", 10, 800),
        ("llms", "params_total_b", 0.5, 1100),
        ("demand_shapes", "relative_rate", 0, 6),
        ("adaptation_priors", "quality_gain_mean", -0.1, 0.9),
    ],
)
def test_figures_lie_in_sane_ranges(
    catalog: Catalog, table: str, column: str, low: float, high: float
) -> None:
    figures = catalog.table(table)[column].dropna()
    assert figures.between(low, high).all(), figures[~figures.between(low, high)].tolist()


def test_spot_and_commitments_never_cost_more_than_on_demand(catalog: Catalog) -> None:
    for table in (catalog.offers, catalog.price_history):
        on_demand = table["ondemand_usd_per_h"]
        for market in ("spot_usd_per_h", "commit_1y_usd_per_h", "commit_3y_usd_per_h"):
            assert not (table[market] > on_demand).any(), market


def test_regions_lie_where_their_country_is(catalog: Catalog) -> None:
    """Slips of the source (a lost minus sign, a wrong country) stay repaired."""
    assert catalog.region("alicloud:ap-southeast-5")["lat"] < 0  # Jakarta is south of the equator
    assert catalog.region("azure:spaincentral")["lon"] < 0
    assert catalog.region("azure:mexicocentral")["residency"] == "mx"
    assert catalog.region("azure:brazilsoutheast")["country_iso2"] == "BR"
    assert catalog.region("azure:germanywestcentral")["carbon_gco2e_per_kwh"] < 500
    for country, places in catalog.regions.groupby("country_iso2"):
        span = great_circle_km(
            places["lat"].min(), places["lon"].min(), places["lat"].max(), places["lon"].max()
        )
        assert span < 5000, country


def test_no_round_trip_beats_light_in_fibre(catalog: Catalog) -> None:
    places = catalog.regions.set_index("region")[["lat", "lon"]]
    for pair in catalog.latency.itertuples(index=False):
        start, end = places.loc[pair.from_region], places.loc[pair.to_region]
        km = great_circle_km(start["lat"], start["lon"], end["lat"], end["lon"])
        assert pair.rtt_ms >= 2 * km / 200.0


def test_residency_tags_follow_the_law(catalog: Catalog) -> None:
    assert catalog.region("aws:eu-central-1")["residency"] == "eu;eea;de"
    assert catalog.region("azure:norwayeast")["residency"] == "eea;no"
    assert catalog.region("gcp:europe-west2")["residency"] == "gb"  # Europe, not the EU
    assert catalog.region("gcp:europe-west6")["residency"] == "ch"
    assert catalog.region("gcp:asia-northeast1")["residency"] == "apac;jp"
    assert catalog.region("aws:us-east-1")["residency"] == "us"


def test_expert_and_dense_parameters_add_up(catalog: Catalog) -> None:
    llms = catalog.llms
    total = llms["params_dense_b"] + llms["params_expert_b"]
    np.testing.assert_allclose(total, llms["params_total_b"], rtol=1e-6)
    assert catalog.llm("llama-3-70b")["kv_bytes_per_token_bf16"] == 320 * 1024


def test_serving_points_are_clean(catalog: Catalog) -> None:
    points = catalog.serving_points
    latency = points[points["use"] == "latency"]
    assert latency["concurrency"].notna().all()
    assert latency["tpot_ms"].gt(0).all()
    assert "disaggregated" not in set(points["serving_mode"])
    static = latency[latency["serving_mode"] == "static-batch"]
    assert static["output_tokens"].max() <= 128
    assert set(points.loc[points["llm"].str.startswith("gpt-oss"), "precision"]) == {"mxfp4"}
    assert points["power_w"].notna().sum() > 300


def test_demand_shapes_have_mean_one_over_the_week(catalog: Catalog) -> None:
    for shape, rows in catalog.demand_shapes.groupby("shape"):
        assert len(rows) == 48
        days = rows["day_type"].map({"weekday": 5, "weekend": 2})
        assert np.average(rows["relative_rate"], weights=days) == pytest.approx(1, abs=2e-3), shape


def test_length_classes_split_their_trace(catalog: Catalog) -> None:
    for trace, rows in catalog.length_classes.groupby("trace"):
        whole = rows[rows["length_class"] == "all"].iloc[0]
        parts = rows[rows["length_class"] != "all"]
        if len(parts):
            assert parts["share"].sum() == pytest.approx(1, abs=1e-4), trace
            mean = (parts["share"] * parts["input_tokens_mean"]).sum()
            assert mean == pytest.approx(whole["input_tokens_mean"], rel=1e-3), trace


GB_PER_GIB = 1 / 1.073741824
"""What is sold by the GiB, told per 1e9 bytes."""


@pytest.mark.parametrize(
    ("default", "item", "scale"),
    [
        (
            "egress_same_continent_usd_per_gb",
            "inter-region egress, same continent",
            1 / 1.073741824,
        ),
        ("storage_usd_per_gb_month", "object storage", 1 / 1.073741824),
        ("vector_ram_usd_per_gb_h", "memory-optimised VM", 1 / 1.073741824),
        ("rerank_usd_per_query", "reranking API", 1e-3),
    ],
)
def test_defaults_are_medians_of_named_rows(
    catalog: Catalog, default: str, item: str, scale: float
) -> None:
    rows = catalog.table("ancillary").query("item == @item")
    assert catalog.ancillary_default(default) == pytest.approx(
        rows["value"].median() * scale, rel=1e-5
    )


# ------------------------------------------------------------------ grids and facilities

NEIGHBOURS = {
    "Oregon": (129, "aws:us-west-2", "gcp:us-west1", "azure:westus2"),
    "London": (176, "aws:eu-west-2", "gcp:europe-west2", "azure:uksouth"),
    "Paris": (31, "aws:eu-west-3", "gcp:europe-west9", "azure:francecentral"),
    "Stockholm": (20, "aws:eu-north-1", "gcp:europe-north2", "azure:swedencentral"),
}
"""Place -> (Electricity Maps' figure of the zone in 2025, gCO2e/kWh; regions on its grid)."""


@pytest.mark.parametrize("place", NEIGHBOURS)
def test_providers_on_one_grid_have_one_carbon(catalog: Catalog, place: str) -> None:
    figure, *regions = NEIGHBOURS[place]
    for region in regions:
        assert catalog.region(region)["carbon_gco2e_per_kwh"] == figure, region
        assert catalog.region_carbon(region, 6, 12) == catalog.region_carbon(regions[0], 6, 12)


def test_every_grid_has_one_source_and_one_year(catalog: Catalog) -> None:
    zones = catalog.table("grid_zones")
    assert set(zones["year"]) == {2025}
    assert zones["source"].nunique() == 1
    joined = catalog.regions.merge(zones, on="grid_zone")
    assert (joined["carbon_gco2e_per_kwh"] == joined["gco2e_per_kwh"]).all()
    assert len(joined) == len(catalog.regions)


def test_what_the_provider_states_stands_beside_and_is_not_used(catalog: Catalog) -> None:
    paris = catalog.region("gcp:europe-west9")
    assert paris["provider_carbon_gco2e_per_kwh"] == 15.83  # Google, 2025: without life cycle
    assert paris["carbon_gco2e_per_kwh"] == 31
    assert catalog.region("aws:eu-west-3")["provider_carbon_gco2e_per_kwh"] is None


@pytest.mark.parametrize(
    ("region", "pue", "site_wue_l_per_kwh"),
    [
        ("aws:eu-west-3", 1.35, 0.05),  # own PUE, water of the mean of Europe
        ("aws:ap-southeast-1", 1.30, 1.57),
        ("aws:eu-north-1", 1.09, 0.02),
        ("gcp:europe-west4", 1.07, 1.15),  # own data center; water of the fleet
        ("gcp:europe-west9", 1.09, 1.15),  # fleet mean
        ("azure:swedencentral", 1.16, 0.03),
        ("azure:eastus2", 1.16, 0.34),
    ],
)
def test_facilities_are_as_published(
    catalog: Catalog, region: str, pue: float, site_wue_l_per_kwh: float
) -> None:
    row = catalog.region(region)
    assert (row["pue"], row["site_wue_l_per_kwh"]) == (pue, site_wue_l_per_kwh)


# ------------------------------------------------------------------ hosted llms


def test_prices_of_a_later_day_are_noted_and_not_charged(catalog: Catalog) -> None:
    """genai-prices 0.2.3 lists 1.5 and 7.5 USD of gemini-3.8-flash from 2027 on."""
    row = catalog.api_offer("google", "gemini-3.8-flash")
    assert (row["input_usd_per_mtok"], row["output_usd_per_mtok"]) == (0.75, 3.75)
    assert row["note"].endswith("from 2027-01-01")
    assert "retired on 2026-07-24" in catalog.api_offer("deepseek", "deepseek-chat")["note"]
    assert catalog.api_offer("anthropic", "claude-haiku-4-5")["note"] is None


# ------------------------------------------------------------------ carbon by hour


def hours_of_month() -> np.ndarray:
    return np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], float)


def test_a_scaled_profile_keeps_the_annual_mean(catalog: Catalog) -> None:
    profiled = catalog.regions.dropna(subset=["carbon_profile_zone"])
    assert len(profiled) > 40
    for region in profiled["region"]:
        profile = catalog.region_carbon_profile(region)
        by_month = np.array(profile.gco2e_per_kwh).mean(axis=1)
        mean = np.average(by_month, weights=hours_of_month())
        assert mean == pytest.approx(profile.annual_mean_gco2e_per_kwh, rel=2e-3), region
        assert by_month.std() > 0


def test_a_solar_grid_is_cleaner_at_noon_than_in_the_evening(catalog: Catalog) -> None:
    noon, evening = 20, 3  # UTC: 12 h and 19 h in California
    assert catalog.region_carbon("gcp:us-west2", 6, noon) < 0.8 * catalog.region_carbon(
        "gcp:us-west2", 6, evening
    )


def test_a_region_without_a_series_is_flat_and_says_so(catalog: Catalog) -> None:
    profile = catalog.region_carbon_profile("gcp:asia-south1")
    assert {value for month in profile.gco2e_per_kwh for value in month} == {653.0}
    assert "flat" in profile.provenance


@pytest.mark.parametrize(("month", "hour"), [(0, 0), (13, 0), (1, 24), (1, -1)])
def test_an_impossible_hour_is_refused(catalog: Catalog, month: int, hour: int) -> None:
    with pytest.raises(CatalogError):
        catalog.region_carbon("aws:us-east-1", month, hour)


# ------------------------------------------------------------------ network


def test_measured_round_trips_win_over_the_law(catalog: Catalog) -> None:
    row = catalog.row("latency", "aws:us-east-1", "aws:eu-west-1")
    found = catalog.region_round_trip("aws:us-east-1", "aws:eu-west-1")
    assert found.rtt_ms == row["rtt_ms"]
    assert found.provenance.startswith("measured")


def test_unmeasured_pairs_follow_the_distance_law_both_ways(catalog: Catalog) -> None:
    there = catalog.region_round_trip("aws:us-east-1", "gcp:europe-west3")
    back = catalog.region_round_trip("gcp:europe-west3", "aws:us-east-1")
    assert there.rtt_ms == pytest.approx(back.rtt_ms)
    assert there.provenance.startswith("distance law")
    assert 70 < there.rtt_ms < 130  # Virginia to Frankfurt is about 90 ms


def test_the_law_reaches_the_error_it_states(catalog: Catalog) -> None:
    places = catalog.regions.set_index("region")[["lat", "lon"]]
    pairs = catalog.latency.query("from_region != to_region")
    errors = []
    for pair in pairs.itertuples(index=False):
        start, end = places.loc[pair.from_region], places.loc[pair.to_region]
        km = great_circle_km(start["lat"], start["lon"], end["lat"], end["lon"])
        errors.append(abs(catalog.distance_rtt_ms(km) - pair.rtt_ms))
    stated = catalog.parameter("latency_error_median_ms")
    assert np.median(errors) == pytest.approx(stated, abs=0.05)
    assert np.quantile(errors, 0.9) == pytest.approx(
        catalog.parameter("latency_error_p90_ms"), abs=0.05
    )
    assert catalog.parameter("latency_error_median_relative") < 0.2


def test_users_pay_the_access_network_and_the_distance(catalog: Catalog) -> None:
    region = catalog.region("gcp:europe-west3")
    near = catalog.round_trip_ms(region["lat"], region["lon"], "gcp:europe-west3")
    far = catalog.round_trip_ms(-33.9, 151.2, "gcp:europe-west3")
    access = catalog.parameter("access_network_rtt_ms")
    assert near == pytest.approx(access + catalog.parameter("latency_base_ms"))
    assert far > near + 200
    wire = catalog.region_round_trip("aws:us-east-1", "aws:us-west-2").rtt_ms
    users = catalog.users_round_trip("aws:us-east-1", "aws:us-west-2").rtt_ms
    assert users == pytest.approx(wire + access)


# ------------------------------------------------------------------ adaptation


def test_the_prior_of_current_events_is_the_published_one(catalog: Catalog) -> None:
    """arXiv 2312.05934 table 2: RAG lifts three llms by 0.394, 0.232 and 0.420."""
    prior = catalog.adaptation_prior("current-events", "rag")
    assert prior.quality_gain_mean == pytest.approx((0.394 + 0.232 + 0.420) / 3, abs=1e-4)
    assert catalog.adaptation_prior("current-events", "fine-tune").quality_gain_mean < 0.05


def test_an_unknown_task_class_takes_the_pooled_prior(catalog: Catalog) -> None:
    prior = catalog.adaptation_prior("poetry", "rag")
    assert prior.quality_gain_mean == catalog.adaptation_prior("general", "rag").quality_gain_mean
    assert "pooled" in prior.provenance


@pytest.mark.parametrize("base", [0.0, 0.3, 0.95, 1.0])
def test_a_lifted_quality_stays_a_share(catalog: Catalog, base: float) -> None:
    for task_class, adaptation in catalog.table("adaptation_priors")[
        ["task_class", "adaptation"]
    ].itertuples(index=False):
        lifted = catalog.adaptation_prior(task_class, adaptation).apply(base)
        assert 0.0 <= lifted <= 1.0
    assert catalog.adaptation_prior("general", "base").apply(base) == base


# ------------------------------------------------------------------ the reader


def test_ids_satisfy_the_instance_format(catalog: Catalog) -> None:
    for region in catalog.regions["region"]:
        assert Region(region=region).region == region


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (("regions", "aws:us-east1"), "aws:us-east-1"),
        (("llms", "llama-3.3-70"), "llama-3.3-70b"),
        (("accelerators", "h100-smx"), "h100-sxm"),
        (("offers", "aws:us-east-1", "aws_p5.48xlage"), "aws_p5.48xlarge"),
    ],
)
def test_a_misspelt_id_is_answered_with_the_nearest(
    catalog: Catalog, wrong: tuple[str, ...], right: str
) -> None:
    with pytest.raises(CatalogError, match=re.escape(right)):
        catalog.row(*wrong)


def test_blanks_read_as_none(catalog: Catalog) -> None:
    assert catalog.accelerator("tpu-v6e")["tdp_w"] is None


def test_a_hosted_llm_is_found_by_either_name(catalog: Catalog) -> None:
    by_id = catalog.api_offer("together", "llama-3.3-70b")
    assert by_id["catalog_llm"] == "llama-3.3-70b"
    assert catalog.api_offer("together", by_id["llm"]) == by_id


def test_loading_twice_gives_the_same_object_and_hash(catalog: Catalog) -> None:
    assert load_catalog() is catalog
    assert Catalog(TABLES_FOLDER).sha256 == catalog.sha256


def test_importing_the_catalog_does_not_import_pandas() -> None:
    code = "import sys, planner.catalog, planner.cli.catalog; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_cached_copy_equals_the_table_and_follows_its_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables, cache = tmp_path / "tables", tmp_path / "cache"
    tables.mkdir()
    shutil.copy(TABLES_FOLDER / "llms.csv", tables)
    monkeypatch.setenv("PLANNER_CACHE", str(cache))
    fresh = Catalog(tables).llms
    assert len(list(cache.glob("llms-*.pickle"))) == 1
    pd.testing.assert_frame_equal(Catalog(tables).llms, fresh)
    path = tables / "llms.csv"
    path.write_text(path.read_text().replace("llama-3-70b,", "llama-x-70b,"))
    assert Catalog(tables).has("llms", "llama-x-70b")


@pytest.mark.parametrize("damage", ["garbage", "folder is a file"])
def test_a_useless_cache_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("PLANNER_CACHE", str(cache))
    if damage == "garbage":
        Catalog(TABLES_FOLDER).table("llms")
        for file in cache.iterdir():
            file.write_bytes(b"not a pickle")
    else:
        cache.write_text("in the way")
    assert Catalog(TABLES_FOLDER).has("llms", "llama-3.3-70b")


def test_an_empty_folder_is_a_catalog_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no catalog tables"):
        Catalog(tmp_path).table("llms")


# ------------------------------------------------------------------ the command


def run(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(catalog_command)
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None:
        raise result.exception
    assert result.exit_code == 0
    return result.output


def test_the_command_lists_all_tables_answer_first() -> None:
    lines = run().splitlines()
    assert re.match(r"\d+ tables, [\d,]+ rows, dates \S+ to \S+, sha256 \w+", lines[0])
    assert any(line.split()[:2] == ["regions", "207"] for line in lines[1:])


def test_conditions_narrow_and_csv_is_csv(catalog: Catalog) -> None:
    conditions = ("--where", "accelerator=h100-sxm", "--where", "accelerators>=8")
    text = run("offers", *conditions, "--csv")
    lines = text.splitlines()
    expected = catalog.offers.query("accelerator == 'h100-sxm' and accelerators >= 8")
    assert len(lines) == 1 + len(expected)
    assert run("offers", *conditions).startswith(f"{len(expected)} of 1,670 rows of offers match")


def test_json_gives_columns_asked_for() -> None:
    answer = json.loads(run("llms", "--columns", "llm,layers", "--where", "llm~70b", "--json"))
    assert answer["rows"] == len(answer["records"]) > 3
    assert all(list(record) == ["llm", "layers"] for record in answer["records"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("offer",), "did you mean offers"),
        (("llms", "--columns", "layer"), "did you mean layers"),
        (("llms", "--where", "layers=many"), "is a number"),
        (("llms", "--where", "layers"), "column=value"),
    ],
)
def test_mistakes_are_named(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(CatalogError, match=message):
        run(*arguments)
