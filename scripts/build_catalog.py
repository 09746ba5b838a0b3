"""Compile the shipped catalog from a folder of collected source tables.

Usage: python scripts/build_catalog.py SOURCE_DIR

Writes planner/catalog/tables/. Grids and facilities are read from scripts/sources/, where each row
names its publication. Every row keeps its `source` and `date`. The output depends on the input
alone: two runs give identical bytes. Facts are copied or aggregated, never invented;
figures that we derive say so in their `source` or `basis`.
"""

from __future__ import annotations

import gzip
import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

TABLES = Path(__file__).resolve().parent.parent / "planner" / "catalog" / "tables"
SOURCES = Path(__file__).resolve().parent / "sources"
"""Small tables entered from publications: one row a figure, each with its source."""
COMPILED = "2026-11-23"
"""The day the sources were collected: the date of rows that carry none of their own."""


# ------------------------------------------------------------------ writing


def write(frame: pd.DataFrame, name: str, compress: bool = False) -> None:
    """Write one table: no index, shortest exact-enough numbers, no time stamp in the archive."""
    for column in ("source", "date"):
        if column not in frame.columns or frame[column].isna().any():
            raise SystemExit(f"{name}: every row needs a {column}")
    buffer = io.StringIO()
    frame.to_csv(buffer, index=False, float_format="%.10g", lineterminator="\n")
    data = buffer.getvalue().encode("utf-8")
    path = TABLES / (f"{name}.csv.gz" if compress else f"{name}.csv")
    path.write_bytes(gzip.compress(data, compresslevel=9, mtime=0) if compress else data)
    print(f"{path.name:28} {len(frame):6} rows  {path.stat().st_size / 1024:8.1f} KiB")


def whole(values: pd.Series) -> pd.Series:
    """Counts as integers, blanks kept."""
    return values.astype("Float64").round().astype("Int64")


# ------------------------------------------------------------------ serving points

PRECISIONS = {
    "fp16": "bf16",
    "f16": "bf16",
    "fp16/w:bf16": "bf16",
    "fp16/w:int8": "int8",
    "q4_k_m": "int4",
    "uint4": "int4",
}
PREFILL_MFU = 0.3
REPEAT_TOLERANCE = 0.005


def peak_tflops(precision: pd.Series, accelerators: pd.DataFrame) -> pd.Series:
    """Dense TFLOP/s of one accelerator at the precision, falling back to the next wider one."""
    bf16 = accelerators["bf16_dense_tflops"]
    fp8 = accelerators["fp8_dense_tflops"].fillna(bf16)
    fp4 = accelerators["fp4_dense_tflops"].fillna(fp8)
    return bf16.where(~precision.isin(["fp8", "int8"]), fp8).where(
        ~precision.isin(["fp4", "mxfp4"]), fp4
    )


def drop_repeats(points: pd.DataFrame) -> pd.DataFrame:
    """Drop a row that repeats an earlier one: same set-up, TTFT and TPOT within 0.5 %.

    The same dump was filed by several sources, rounded differently. Rows with a measured
    throughput are preferred, then the newest.
    """
    setup = ["llm", "accelerator", "accelerators", "tp", "pp", "precision", "engine",
             "serving_mode", "input_tokens", "output_tokens", "concurrency"]  # fmt: skip
    rank = points.assign(derived=points["throughput_kind"] != "measured").sort_values(
        ["derived", "date", "point_id"], ascending=[True, False, True]
    )
    kept: list[str] = []
    for _, group in rank.groupby(setup, dropna=False, sort=False):
        seen: list[tuple[float, float]] = []
        for point_id, ttft, tpot in group[["point_id", "ttft_ms", "tpot_ms"]].itertuples(
            index=False
        ):
            repeat = any(
                ((np.isnan(ttft) and np.isnan(t)) or abs(ttft - t) <= REPEAT_TOLERANCE * t)
                and abs(tpot - p) <= REPEAT_TOLERANCE * p
                for t, p in seen
            )
            if not repeat:
                kept.append(point_id)
                seen.append((ttft, tpot))
    return points[points["point_id"].isin(set(kept))]


def serving_points(source: Path) -> None:
    """Measured serving points, cleaned; `use` says which fits a row may enter."""
    points = pd.read_csv(source / "perf.csv").rename(columns={"model": "llm"})
    counts = {"read": len(points)}
    points["date"] = points["date"].fillna(COMPILED)
    points["precision"] = points["precision"].fillna("bf16").replace(PRECISIONS)
    points.loc[points["llm"].str.startswith("gpt-oss"), "precision"] = "mxfp4"

    points = points[points["serving_mode"] != "disaggregated"].copy()
    counts["after dropping disaggregated"] = len(points)
    power_only = points["power_w"].notna() & (
        points["concurrency"].isna() | points["tpot_ms"].isna()
    )
    latency = points["concurrency"].notna() & points["tpot_ms"].notna()
    latency &= ~((points["serving_mode"] == "static-batch") & (points["output_tokens"] > 128))
    points["use"] = np.where(latency, "latency", "power")
    points = points[latency | power_only]
    counts["after dropping no concurrency, no TPOT, long static batches"] = len(points)

    llms = pd.read_csv(source / "models.csv").set_index("model")
    cards = pd.read_csv(source / "accelerators.csv").set_index("accelerator")
    cards = cards.loc[points["accelerator"]].set_index(points.index)
    flop = 2e9 * llms["params_active_b"].reindex(points["llm"]).to_numpy() * points["input_tokens"]
    flop_per_s = 1e12 * points["accelerators"] * peak_tflops(points["precision"], cards)
    own_prefill_s = flop / (flop_per_s * PREFILL_MFU)
    limit_s = 1.5 * points["concurrency"] * own_prefill_s + 1.0
    points = points[~(points["ttft_ms"] / 1000.0 > limit_s)]
    counts["after dropping saturated"] = len(points)

    latency_rows = drop_repeats(points[points["use"] == "latency"])
    points = pd.concat([latency_rows, points[points["use"] == "power"]])
    counts["after dropping repeats"] = len(points)
    for what, rows in counts.items():
        print(f"  serving points {what}: {rows}")

    columns = ["point_id", "llm", "accelerator", "accelerators", "tp", "pp", "ep", "dp",
               "precision", "engine", "engine_version", "input_tokens", "output_tokens",
               "concurrency", "ttft_ms", "ttft_stat", "tpot_ms", "tpot_stat",
               "output_tokens_per_s", "throughput_kind", "power_w", "power_scope",
               "energy_j_per_output_token", "serving_mode", "use", "benchmark", "date",
               "source"]  # fmt: skip
    points = points.sort_values(["llm", "accelerator", "accelerators", "precision", "engine",
                                 "input_tokens", "output_tokens", "concurrency",
                                 "point_id"])[columns]  # fmt: skip
    write(points, "serving_points", compress=True)


# ------------------------------------------------------------------ accelerators

FAMILIES = {
    "v100": "volta", "t4": "turing", "a10": "ampere", "a10g": "ampere", "a30": "ampere",
    "a40": "ampere", "a100": "ampere", "rtx-3080": "ampere", "rtx-3090": "ampere",
    "rtx-a6000": "ampere", "l4": "ada", "l40": "ada", "l40s": "ada", "rtx-4080": "ada",
    "rtx-4090": "ada", "rtx-6000-ada": "ada", "h100": "hopper", "h200": "hopper",
    "gh200": "hopper", "b200": "blackwell", "b300": "blackwell", "gb200": "blackwell",
    "gb300": "blackwell", "rtx-pro-6000": "blackwell", "rtx-5090": "blackwell",
    "mi250x": "cdna", "mi300x": "cdna", "mi325x": "cdna", "mi350x": "cdna", "mi355x": "cdna",
    "tpu": "tpu", "inferentia2": "neuron", "trainium1": "neuron", "trainium2": "neuron",
    "gaudi2": "gaudi", "gaudi3": "gaudi", "arc": "xe", "jetson": "jetson", "apple": "apple",
    "qualcomm": "other",
}  # fmt: skip
MEMORY_KINDS = {"gddr": ("t4", "a10", "a10g", "l4", "l40", "l40s", "a40", "rtx", "arc"),
                "lpddr": ("jetson", "apple", "qualcomm")}  # fmt: skip


MODAL, LISTING = "modal-labs/modal-client#2797", "nvidia-smi listings in public repositories"
DRIVER_MIB: dict[str, tuple[float, str]] = {
    **dict.fromkeys(["a10", "a10g"], (23_028, MODAL)),
    "a100-40gb": (40_960, MODAL),
    **dict.fromkeys(["a100-80gb", "a100-80gb-pcie"], (81_920, MODAL)),
    "a30": (24_576, LISTING),
    "a40": (46_068, LISTING),
    "b200-sxm": (183_359, LISTING),
    "b300-sxm": (275_040, LISTING),
    "gb200": (189_471, LISTING),
    "gh200": (97_871, LISTING),
    "h100-nvl": (95_830, LISTING),
    "h100-pcie": (81_559, LISTING),
    **dict.fromkeys(["h100-sxm", "h100-sxm-cap350w"], (81_559, MODAL)),
    **dict.fromkeys(["h200-sxm", "h200-nvl"], (143_771, LISTING)),
    "l4": (23_034, MODAL),
    "l40s": (46_068, MODAL),
    "mi300x": (206_141_652_992 / 2**20, "rocm-smi listings in public repositories"),
    "rtx-3090": (24_576, "noonghunna/club-3090#747"),
    "rtx-4090": (24_564, "vllm-project/vllm#7553"),
    "rtx-5090": (32_607, LISTING),
    "rtx-a6000": (46_068, f"{LISTING}, error correction on"),
    "rtx-pro-6000": (97_887, LISTING),
    "t4": (15_360, MODAL),
    "v100-16gb": (16_160, LISTING),
}
"""Memory that the driver reports, MiB: what an engine's share is taken of."""


BRIDGES = {  # accelerators that an NVLink bridge joins, GB/s of PCIe between more of them
    **dict.fromkeys(["a100-80gb-pcie", "a30", "a40", "rtx-3090", "rtx-a6000"], (2, 64)),
    **dict.fromkeys(["h100-pcie", "h100-nvl"], (2, 128)),
    "h200-nvl": (4, 128),
}
"""Datasheets: NVLink bridge for two (H200 NVL: two or four) cards, else PCIe 4.0 or 5.0 x16."""


def beyond_the_datasheet(cards: pd.DataFrame) -> pd.DataFrame:
    """`memory_gb` as the driver reports it where somebody showed that, `memory_basis` says; and how
    far the interconnect reaches."""
    known = {card: mib * 2**20 / 1e9 for card, (mib, _) in DRIVER_MIB.items()}
    said = {card: f"driver: {mib:,.0f} MiB ({by})" for card, (mib, by) in DRIVER_MIB.items()}
    names = cards["accelerator"]
    return cards.assign(
        linked_accelerators=whole(names.map({card: ways for card, (ways, _) in BRIDGES.items()})),
        beyond_gb_per_s=whole(names.map({card: rate for card, (_, rate) in BRIDGES.items()})),
        memory_datasheet_gb=cards["memory_gb"],
        memory_gb=names.map(known).round(3).fillna(cards["memory_gb"]),
        memory_basis=names.map(said).fillna("datasheet: no reading of a driver"),
    )


def longest_prefix(name: str, table: dict[str, str]) -> str:
    """The value of the longest key that the name starts with, whole words only."""
    keys = [key for key in table if name == key or name.startswith(f"{key}-")]
    return table[max(keys, key=len)]


def accelerators(source: Path) -> None:
    """Datasheet figures; embodied carbon as a low (published) and a high (modelled) case."""
    cards = beyond_the_datasheet(pd.read_csv(source / "accelerators.csv"))
    kinds = {prefix: kind for kind, prefixes in MEMORY_KINDS.items() for prefix in prefixes}
    cards["family"] = [longest_prefix(name, FAMILIES) for name in cards["accelerator"]]
    cards["memory_kind"] = [
        kinds.get(name, kinds.get(name.split("-")[0], "hbm")) for name in cards["accelerator"]
    ]
    cards = cards.rename(
        columns={
            "bf16_dense_tflops": "bf16_tflops",
            "fp8_dense_tflops": "fp8_tflops",
            "fp4_dense_tflops": "fp4_tflops",
            "embodied_kgco2e": "embodied_low_kgco2e",
            "embodied_basis": "embodied_low_basis",
            "embodied_boavizta_kgco2e": "embodied_high_kgco2e",
        }
    )
    write(
        cards[
            ["accelerator", "vendor", "segment", "family", "release_year", "memory_gb",
             "memory_basis", "memory_datasheet_gb", "memory_kind",
             "memory_bandwidth_gb_per_s", "bf16_tflops", "fp8_tflops",
             "fp4_tflops", "tdp_w", "idle_w", "idle_basis", "interconnect_gb_per_s",
             "linked_accelerators", "beyond_gb_per_s",
             "embodied_low_kgco2e", "embodied_low_basis", "embodied_high_kgco2e", "date",
             "source"]
        ].sort_values("accelerator"),
        "accelerators",
    )  # fmt: skip


# ------------------------------------------------------------------ regions

EU = frozenset(
    ["AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE",
     "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK"]
)  # fmt: skip
EEA_ONLY = frozenset({"NO", "IS", "LI"})
CONTINENTS = {
    "europe": EU | EEA_ONLY | {"CH", "GB"},
    "north-america": frozenset({"US", "CA", "MX"}),
    "south-america": frozenset({"BR", "CL"}),
    "asia": frozenset({"CN", "HK", "ID", "IN", "JP", "KR", "MY", "PH", "SG", "TH", "TW"}),
    "middle-east": frozenset({"AE", "BH", "IL", "QA", "SA"}),
    "africa": frozenset({"ZA"}),
    "oceania": frozenset({"AU", "NZ"}),
}
GROUP_TAGS = {"asia": "apac", "oceania": "apac", "middle-east": "mea", "africa": "mea",
              "south-america": "latam"}  # fmt: skip
CORRECTIONS: dict[tuple[str, str], dict[str, str | float]] = {
    ("alicloud", "ap-southeast-5"): {"lat": -6.2088},
    ("azure", "brazilsoutheast"): {"country_iso2": "BR"},
    ("azure", "mexicocentral"): {"country_iso2": "MX"},
    ("azure", "spaincentral"): {"lon": -3.4209},
}
"""Slips of the source, found by comparing each region with its city and its neighbours."""
COUNTRY_COLUMNS = ["country_carbon_gco2e_per_kwh", "country_carbon_year",
                   "country_lifecycle_gco2e_per_kwh", "electricity_water_l_per_kwh"]  # fmt: skip
PLACED_BY_HAND = [
    ("nebius", "eu-north1", "Mäntsälä", "FI", 60.6333, 25.3167),
    ("nebius", "eu-west1", "Paris", "FR", 48.8566, 2.3522),
    ("nebius", "us-central1", "Kansas City", "US", 39.0997, -94.5786),
]
PUE_PRIOR = 1.58
PUE_PRIOR_SOURCE = (
    "prior: industry mean of 2023, Uptime Institute Global Data Center Survey "
    "(journal.uptimeinstitute.com, 2024-02-07)"
)
WUE_PRIOR_L_PER_KWH = 0.375
WUE_PRIOR_SOURCE = (
    "prior: US data centers of 2023, 66e9 l over 176 TWh, LBNL 2024 United States Data Center "
    "Energy Usage Report (widely cited, report not re-read)"
)
GRIDS_READ = "2026-11-30"
"""The day the tables of grids and facilities were entered."""


def residency(country: str) -> str:
    """Residency tags of a country: legal area, then the country itself."""
    if country in EU:
        return f"eu;eea;{country.lower()}"
    if country in EEA_ONLY:
        return f"eea;{country.lower()}"
    group = GROUP_TAGS.get(continent(country))
    return f"{group};{country.lower()}" if group else country.lower()


def continent(country: str) -> str:
    return next(name for name, members in CONTINENTS.items() if country in members)


def correct_regions(regions: pd.DataFrame) -> pd.DataFrame:
    """Repair known slips, borrow country figures where the country was wrong, say so."""
    regions = regions.copy()
    regions["correction"] = ""
    keys = zip(regions["provider"], regions["region"], strict=True)
    sound = regions[[key not in CORRECTIONS for key in keys]]
    countries = sound.drop_duplicates("country_iso2").set_index("country_iso2")
    for (provider, name), changes in CORRECTIONS.items():
        at = (regions["provider"] == provider) & (regions["region"] == name)
        for column, value in changes.items():
            regions.loc[at, "correction"] = f"{column} was {regions.loc[at, column].item()}"
            regions.loc[at, column] = value
        if "country_iso2" in changes:
            country = countries.loc[str(changes["country_iso2"])]
            for column in COUNTRY_COLUMNS:
                regions.loc[at, column] = country[column]
    return regions


def grid_zones() -> pd.DataFrame:
    """Annual carbon of every grid zone with a region: one source and one year for all."""
    zones = pd.read_csv(SOURCES / "grid_zones.csv").assign(date="2025-12-31")
    write(
        zones[["grid_zone", "name", "year", "gco2e_per_kwh", "carbon_free_share",
               "renewable_share", "date", "source"]].sort_values("grid_zone"),
        "grid_zones",
    )  # fmt: skip
    return zones.set_index("grid_zone")


def with_grids(regions: pd.DataFrame, profiled: set[str]) -> pd.DataFrame:
    """Grid zone, carbon and hourly shape: the same for every provider on the same grid.

    A zone without an hourly series borrows the shape of the country that it is a part of. What
    the provider states for itself stands beside it.
    """
    zones = grid_zones()
    placed = pd.read_csv(SOURCES / "region_zones.csv").set_index("region")["grid_zone"]
    zone = regions["region"].map(placed).fillna(regions["country_iso2"])
    country = zone.str.split("-").str[0]
    own = pd.read_csv(SOURCES / "provider_carbon.csv")
    regions = regions.drop(columns=["carbon_free_energy_share"]).assign(
        grid_zone=zone,
        carbon_profile_zone=zone.where(zone.isin(profiled), country.where(country.isin(profiled))),
        carbon_gco2e_per_kwh=zone.map(zones["gco2e_per_kwh"]),
        carbon_year=zone.map(zones["year"]),
        carbon_source=zone.map(zones["source"]),
    )
    if regions["carbon_gco2e_per_kwh"].isna().any():
        raise SystemExit(f"no carbon of {zone[~zone.isin(zones.index)].tolist()}")
    return regions.merge(own, on="region", how="left", validate="one_to_one")


def with_facilities(regions: pd.DataFrame) -> pd.DataFrame:
    """PUE and water of the site: the region's own where published, else of its area or fleet."""
    columns = ["pue", "pue_source", "site_wue_l_per_kwh", "site_wue_source"]
    known = pd.read_csv(SOURCES / "facilities.csv")
    regions = regions.drop(columns=columns).merge(
        known, on="region", how="left", validate="one_to_one"
    )
    priors = (PUE_PRIOR, PUE_PRIOR_SOURCE, WUE_PRIOR_L_PER_KWH, WUE_PRIOR_SOURCE)
    return regions.fillna(dict(zip(columns, priors, strict=True)))


def regions_table(source: Path) -> pd.DataFrame:
    """Every placed region with its grid, water and facility figures."""
    regions = correct_regions(pd.read_csv(source / "regions.csv"))
    unplaced = regions["lat"].isna() | regions["lon"].isna()
    print(f"  regions without a place, left out: {regions[unplaced]['region'].tolist()}")
    regions = regions[~unplaced]
    countries = regions.drop_duplicates("country_iso2").set_index("country_iso2")
    by_hand = pd.DataFrame(
        [
            {
                "provider": provider, "region": name, "city": city, "country_iso2": country,
                "lat": lat, "lon": lon,
                **{column: countries.loc[country, column] for column in COUNTRY_COLUMNS},
                "correction": "",
                "source": "place recalled from the provider's public region list; "
                "ecologits==0.11.3; codecarbon==3.3.2",
            }
            for provider, name, city, country, lat, lon in PLACED_BY_HAND
        ]
    )  # fmt: skip
    regions = pd.concat([regions, by_hand], ignore_index=True)
    profiled = set(pd.read_csv(source / "carbon_profiles.csv")["zone"])
    regions["provider_region"] = regions["region"]
    regions["region"] = regions["provider"] + ":" + regions["provider_region"]
    regions["continent"] = [continent(country) for country in regions["country_iso2"]]
    regions["residency"] = [residency(country) for country in regions["country_iso2"]]
    regions = with_facilities(with_grids(regions, profiled))
    regions["provider_carbon_year"] = whole(regions["provider_carbon_year"])
    regions["carbon_year"] = whole(regions["carbon_year"])
    regions["country_carbon_year"] = whole(regions["country_carbon_year"])
    regions["date"] = GRIDS_READ
    regions = regions[
        ["region", "provider", "provider_region", "city", "country_iso2", "continent",
         "residency", "lat", "lon", "grid_zone", "carbon_profile_zone", "carbon_gco2e_per_kwh",
         "carbon_year", "carbon_source", "provider_carbon_gco2e_per_kwh",
         "provider_carbon_year", "carbon_free_energy_share", "provider_carbon_source",
         "country_carbon_gco2e_per_kwh", "country_carbon_year",
         "country_lifecycle_gco2e_per_kwh", "electricity_water_l_per_kwh", "pue", "pue_source",
         "site_wue_l_per_kwh", "site_wue_source", "correction", "date", "source"]
    ].sort_values("region")  # fmt: skip
    write(regions, "regions")
    return regions


def carbon_profiles(source: Path) -> None:
    """Hour-of-day carbon by zone and month; the newest year of a zone gives its shape."""
    profiles = pd.read_csv(source / "carbon_profiles.csv")
    newest = profiles["year"] == profiles.groupby("zone")["year"].transform("max")
    profiles["shape"] = np.where(newest, "used", "older")
    profiles["date"] = profiles["year"].astype(str) + "-12-31"
    write(
        profiles[
            ["zone", "year", "month", "hour_utc", "gco2e_per_kwh_mean", "gco2e_per_kwh_p10",
             "gco2e_per_kwh_p90", "hours", "shape", "date", "source"]
        ].sort_values(["zone", "year", "month", "hour_utc"]),
        "carbon_profiles",
    )  # fmt: skip


# ------------------------------------------------------------------ offers and price history

SPOT_INTERRUPTION = {"<5%": 0.025, "5-10%": 0.075, "10-15%": 0.125, "15-20%": 0.175, ">20%": 0.25}
"""Middle of the published class; the open class is put at 25 %."""
PRICES = {
    "ondemand_usd_per_h": "ondemand_usd_per_h",
    "spot_usd_per_h": "spot_usd_per_h",
    "reserved_1y_usd_per_h": "commit_1y_usd_per_h",
    "reserved_3y_usd_per_h": "commit_3y_usd_per_h",
}
PRICE_SLIP_FACTOR = 3.0


def drop_impossible_spot(rows: pd.DataFrame, what: str) -> pd.DataFrame:
    """A spot estimate above the on-demand price is a slip of the estimate: blank it."""
    slip = rows["spot_usd_per_h"] > rows["ondemand_usd_per_h"]
    print(f"  {what}: {int(slip.sum())} spot prices above on-demand blanked")
    rows.loc[slip, "spot_usd_per_h"] = np.nan
    return rows


def offers(source: Path, regions: pd.DataFrame) -> None:
    """Priced machines by region."""
    rows = pd.read_csv(source / "offers.csv").rename(columns=PRICES)
    rows["provider_region"], rows["price_date"] = rows["region"], rows["date"]
    rows["region"] = rows["provider"] + ":" + rows["provider_region"]
    rows["offer"] = rows["provider"] + "_" + rows["instance_type"]
    placed = rows["region"].isin(set(regions["region"]))
    left_out = rows[~placed].groupby("region").size()
    print(f"  offers left out, region not placed: {int(left_out.sum())} ({left_out.to_dict()})")
    rows = drop_impossible_spot(rows[placed].copy(), "offers")
    rows["spot_kind"] = rows["spot_kind"].where(rows["spot_usd_per_h"].notna())
    rows["spot_interruption_per_month"] = rows["spot_interruption_per_month"].map(SPOT_INTERRUPTION)
    if rows.duplicated(["region", "offer"]).any():
        raise SystemExit("offers: an offer appears twice in a region")
    write(
        rows[
            ["offer", "region", "provider", "instance_type", "accelerator", "accelerators",
             "vcpus", "ram_gb", "ondemand_usd_per_h", "spot_usd_per_h", "spot_kind",
             "spot_interruption_per_month", "commit_1y_usd_per_h", "commit_3y_usd_per_h",
             "price_date", "date", "source"]
        ].sort_values(["region", "offer"]),
        "offers",
    )  # fmt: skip


def price_history(source: Path, regions: pd.DataFrame) -> None:
    """The same prices at earlier dates; on-demand three times off its own median is a slip."""
    rows = pd.read_csv(source / "price_history.csv.gz").rename(columns=PRICES)
    rows["region"] = rows["provider"] + ":" + rows["region"]
    rows["offer"] = rows["provider"] + "_" + rows["instance_type"]
    cards = set(pd.read_csv(source / "accelerators.csv")["accelerator"])
    known = rows["region"].isin(set(regions["region"])) & rows["accelerator"].isin(cards)
    print(f"  price history left out, region or accelerator unknown: {int((~known).sum())}")
    rows = rows[known].copy()
    markets = list(PRICES.values())
    on_demand = rows["ondemand_usd_per_h"]  # other markets may truly move that far
    usual = on_demand.groupby([rows["region"], rows["offer"]]).transform("median")
    slip = ~(on_demand / usual).between(1.0 / PRICE_SLIP_FACTOR, PRICE_SLIP_FACTOR)
    slip &= on_demand.notna()
    print(f"  price history: {int(slip.sum())} slips in the on-demand price blanked")
    rows.loc[slip, "ondemand_usd_per_h"] = np.nan
    rows = drop_impossible_spot(rows, "price history")
    rows = rows[rows[markets].notna().any(axis=1)]
    write(
        rows[["date", "region", "offer", "accelerator", "accelerators", *markets, "source"]]
        .sort_values(["region", "offer", "date"]),
        "price_history",
        compress=True,
    )  # fmt: skip


# ------------------------------------------------------------------ latency and its law

EARTH_RADIUS_KM = 6371.0


def great_circle_km(
    lat_a: np.ndarray, lon_a: np.ndarray, lat_b: np.ndarray, lon_b: np.ndarray
) -> np.ndarray:
    """Haversine distance between points in degrees."""
    phi_a, phi_b = np.radians(lat_a), np.radians(lat_b)
    half = np.sin((phi_b - phi_a) / 2) ** 2
    half += np.cos(phi_a) * np.cos(phi_b) * np.sin(np.radians(lon_b - lon_a) / 2) ** 2
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(half)))


def fit_least_absolute(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Intercept and slope that minimise the summed absolute error (reweighted least squares)."""
    design = np.column_stack([np.ones_like(x), x])
    weights = np.ones_like(x)
    solution = np.zeros(2)
    for _ in range(200):
        scaled = design * np.sqrt(weights)[:, None]
        solution = np.linalg.lstsq(scaled, y * np.sqrt(weights), rcond=None)[0]
        weights = 1.0 / np.maximum(np.abs(y - design @ solution), 1e-3)
    return float(solution[0]), float(solution[1])


def latency(source: Path, regions: pd.DataFrame) -> list[dict[str, object]]:
    """Measured round trips, and the distance law for the pairs nobody measured."""
    pairs = pd.read_csv(source / "latency.csv")
    for column in ("from_region", "to_region"):
        pairs[column] = pairs["provider"] + ":" + pairs[column]
    known = set(regions["region"])
    pairs = pairs[pairs["from_region"].isin(known) & pairs["to_region"].isin(known)]
    write(
        pairs[["from_region", "to_region", "rtt_ms", "statistic", "date", "source"]].sort_values(
            ["from_region", "to_region"]
        ),
        "latency",
    )
    same = pairs["from_region"] == pairs["to_region"]
    far = pairs[~same]
    places = regions.set_index("region")[["lat", "lon"]]
    start, end = places.loc[far["from_region"]], places.loc[far["to_region"]]
    km = great_circle_km(*start.to_numpy(float).T, *end.to_numpy(float).T)
    rtt = far["rtt_ms"].to_numpy(float)
    base, slope = (round(value, 7) for value in fit_least_absolute(km, rtt))
    predicted = base + slope * km
    error = np.abs(predicted - rtt)
    print(
        f"  latency law: {base:.2f} ms + {slope:.5f} ms/km on {len(far)} pairs, "
        f"error median {np.median(error):.1f} ms, p90 {np.quantile(error, 0.9):.1f} ms"
    )
    basis = f"fitted: least absolute error on the {len(far)} measured pairs of latency.csv"
    newest = str(far["date"].max())
    law = [
        ("latency_base_ms", base, "ms"),
        ("latency_ms_per_km", slope, "ms per km of great-circle distance"),
        ("latency_error_median_ms", round(float(np.median(error)), 3), "ms, absolute"),
        ("latency_error_p90_ms", round(float(np.quantile(error, 0.9)), 3), "ms, absolute"),
        ("latency_error_median_relative", round(float(np.median(error / rtt)), 4), "share"),
        ("latency_error_p90_relative", round(float(np.quantile(error / rtt, 0.9)), 4), "share"),
    ]
    rows = [parameter(name, value, unit, basis, "latency.csv", newest) for name, value, unit in law]
    rows.append(
        parameter(
            "same_region_rtt_ms", round(float(pairs.loc[same, "rtt_ms"].median()), 3), "ms",
            f"median of the {int(same.sum())} measured pairs of a region with itself",
            "latency.csv", newest,
        )
    )  # fmt: skip
    return rows


def parameter(
    name: str, value: float, unit: str, basis: str, source: str, date: str = COMPILED
) -> dict[str, object]:
    return {"parameter": name, "value": value, "unit": unit, "basis": basis, "date": date,
            "source": source}  # fmt: skip


# ------------------------------------------------------------------ llms and hosted llms


MLA_HEAD_DIM = {  # mean of the width of queries and keys (nope + rope) and that of values
    **dict.fromkeys(["deepseek-r1", "deepseek-v3", "deepseek-v3.2", "kimi-k2", "kimi-k2.5"],
                    (128 + 64 + 128) / 2),
    "glm-5": (192 + 64 + 256) / 2,
}  # fmt: skip
"""Published configurations; hidden size over heads says nothing of a compressed cache's heads."""
WINDOWS = {  # llm: layers that keep the whole context, layers with a window, its tokens
    "gemma-3-12b": (8, 40, 1024),
    "gemma-3-27b": (10, 52, 1024),
    "gpt-oss-120b": (18, 18, 128),
    "gpt-oss-20b": (12, 12, 128),
}
"""Published configurations: every sixth layer of gemma-3, every other one of gpt-oss is full."""


def with_windows(rows: pd.DataFrame) -> pd.DataFrame:
    """KV bytes of the full layers alone, and what layers with a sliding window add."""
    names = rows["llm"]
    full = names.map({llm: layers for llm, (layers, _, _) in WINDOWS.items()})
    each = 4 * rows["kv_heads"] * rows["head_dim"]  # key and value, 2 bytes
    kept = (each * full).fillna(rows["kv_bytes_per_token_bf16"])
    return rows.assign(
        kv_bytes_per_token_bf16=whole(kept),
        kv_window_share=names.map({llm: part / all_ for llm, (all_, part, _) in WINDOWS.items()}),
        kv_window_tokens=whole(names.map({llm: tokens for llm, (_, _, tokens) in WINDOWS.items()})),
    )


def llms(source: Path) -> list[str]:
    """Open llms: sizes, shapes, KV bytes per token, context, licence."""
    rows = with_windows(pd.read_csv(source / "models.csv").rename(columns={"model": "llm"}))
    rows["head_dim"] = rows["llm"].map(MLA_HEAD_DIM).fillna(rows["head_dim"])
    for column in ("experts", "experts_per_token", "shared_experts", "moe_layers", "kv_heads",
                   "head_dim", "context_tokens"):  # fmt: skip
        rows[column] = whole(rows[column])
    rows["params_dense_b"] = rows["params_dense_b"].fillna(rows["params_total_b"])
    rows["params_expert_b"] = rows["params_expert_b"].fillna(0.0)
    write(
        rows[
            ["llm", "repository", "params_total_b", "params_active_b", "experts",
             "experts_per_token", "shared_experts", "moe_layers", "params_dense_b",
             "params_expert_b", "layers", "hidden_size", "attention_heads", "kv_heads",
             "head_dim", "attention", "kv_bytes_per_token_bf16", "kv_window_share",
             "kv_window_tokens", "context_tokens", "licence", "note", "date", "source"]
        ].sort_values("llm"),
        "llms",
    )  # fmt: skip
    return rows["llm"].tolist()


SUFFIXES = re.compile(
    r"(-v\d+:\d+|-\d+:\d+|-instruct|-chat|-hf|-it|-turbo|-lite|-fp8|-versatile|-instant|-maas|"
    r"-specdec|-basic|-v0\.\d|-preview|-reasoning|-fast|-us|-128e|-16e)+$"
)


def open_llm(name: str, known: dict[str, str]) -> str | None:
    """The catalog's id of a hosted open llm, or None; compares names without vendor and suffix."""
    short = re.split(r"[/]", name.lower())[-1]
    short = re.sub(r"^[a-z]+\.(?=[a-z])", "", short)
    short = re.sub(r"^meta-", "", short)
    short = SUFFIXES.sub("", short)
    short = re.sub(r"(\d)p(\d)", r"\1.\2", short)
    short = re.sub(r"^llama-?v?(\d)(?:[-.](\d)(?=-))?", r"llama-\1.\2", short)
    return known.get(re.sub(r"[^a-z0-9]", "", short))


def in_force(rows: pd.DataFrame) -> pd.DataFrame:
    """Prices of the day of collection where the source has those of another; `note` says what else.

    Blank prices of the table leave those of the source.
    """
    known = pd.read_csv(SOURCES / "api_prices.csv", dtype={"date": str})
    rows = rows.set_index(["provider", "llm"])
    known = known.set_index(["provider", "llm"])
    if not known.index.isin(rows.index).all():
        raise SystemExit("api_prices: a price of an llm that the source does not list")
    rows["note"] = ""
    rows.update(known)
    return rows.reset_index()


CARD, LIST = (
    "model card (recalled)",
    ("https://www.promptquorum.com/prompt-bites/ai-model-knowledge-cutoff-dates (2026-06-13)"),
)
RELEASE = "release, no cut-off is published: what it knows is older (recalled)"
CUTOFFS = {
    "2022-09-30": (CARD, ("llama-2-7b", "llama-2-13b", "llama-2-70b")),
    "2023-03-31": (
        "https://huggingface.co/Undi95/Meta-Llama-3-8B-hf (model card of Llama 3)",
        ("llama-3-8b",),
    ),
    "2023-09-27": (RELEASE, ("mistral-7b",)),
    "2023-12-11": (RELEASE, ("mixtral-8x7b",)),
    "2023-12-31": (
        "https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/llama/llama3-3; "
        "model cards of Llama 3 70B, 3.1, 3.2; " + LIST,
        ("llama-3-70b", "llama-3.1-8b", "llama-3.1-70b", "llama-3.1-405b", "llama-3.2-3b",
         "llama-3.3-70b", "qwen2.5-7b", "qwen2.5-72b"),
    ),
    "2024-04-17": (RELEASE, ("mixtral-8x22b",)),
    "2024-06-30": (f"{LIST}; {CARD}", ("gpt-oss-20b", "gpt-oss-120b", "phi-4")),
    "2024-07-31": (LIST, ("deepseek-v3", "deepseek-r1")),
    "2024-08-31": (
        f"{LIST}; {CARD}",
        ("gemma-3-12b", "gemma-3-27b", "llama-4-scout-17b-16e", "llama-4-maverick-17b-128e"),
    ),
    "2025-04-29": (
        RELEASE,
        ("qwen3-0.6b", "qwen3-1.7b", "qwen3-8b", "qwen3-14b", "qwen3-32b", "qwen3-30b-a3b",
         "qwen3-235b-a22b"),
    ),
    "2025-07-11": (RELEASE, ("kimi-k2",)),
    "2025-07-31": (RELEASE, ("qwen3-coder-30b-a3b", "qwen3-coder-480b-a35b")),
}  # fmt: skip
"""Last day of what an llm was trained on -> (source, llms); the others publish none."""


def llm_cutoffs() -> None:
    """When the training data of an llm end."""
    rows = [
        {"llm": llm, "knowledge_cutoff": day, "date": COMPILED, "source": source}
        for day, (source, llms) in CUTOFFS.items()
        for llm in llms
    ]
    write(pd.DataFrame(rows).sort_values("llm"), "llm_cutoffs")


PEAKS = {
    ("deepseek", "deepseek-chat"): ("0.5-16.5", 2.0),
    ("deepseek", "deepseek-reasoner"): ("0.5-16.5", 4.0),
    ("deepseek", "deepseek-flash"): ("1-4;6-10", 2.0),
    ("deepseek", "deepseek-v4-flash"): ("1-4;6-10", 2.0),
    ("deepseek", "deepseek-v4-pro"): ("1-4;6-10", 2.0),
}
"""Sellers whose price depends on the hour (UTC), and how many times dearer those hours are: the
windows of genai-prices 0.2.3, whose flat table has the price of the dear hours."""


def off_peak(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the prices outside the dear hours; the hours themselves are a table."""
    factors = [
        PEAKS.get(key, ("", 1.0))[1] for key in zip(rows["provider"], rows["llm"], strict=True)
    ]
    for column in ("input_usd_per_mtok", "cached_input_usd_per_mtok", "output_usd_per_mtok"):
        rows[column] /= factors
    return rows


def api_peaks() -> None:
    """Hours of the day in which a hosted llm is dearer."""
    rows = [
        {"provider": provider, "llm": llm, "peak_hours_utc": hours, "peak_factor": factor,
         "date": "2026-10", "source": "genai-prices==0.2.3"}
        for (provider, llm), (hours, factor) in sorted(PEAKS.items())
    ]  # fmt: skip
    write(pd.DataFrame(rows), "api_peaks")


def api_offers(source: Path, ids: list[str]) -> None:
    """List prices per million tokens of hosted llms (embedding models are in retrieval)."""
    rows = pd.read_csv(source / "api_prices.csv")
    rows = rows[rows["note"] != "embedding"].copy()
    rows["api_model"] = rows["model"]
    rows["llm"] = rows["model"].str.split("/").str[-1].str.lower()
    again = rows.duplicated(["provider", "llm"], keep=False)
    rows.loc[again, "llm"] = rows.loc[again, "model"].str.lower().str.replace("/", ":")
    if rows.duplicated(["provider", "llm"]).any():
        raise SystemExit("api_offers: an llm appears twice at a provider")
    rows = in_force(rows)
    known: dict[str, str] = {}
    for llm in ids:
        plain = SUFFIXES.sub("", llm)
        known.setdefault(re.sub(r"[^a-z0-9]", "", plain), llm)
    rows["catalog_llm"] = [open_llm(name, known) for name in rows["api_model"]]
    rows["context_tokens"] = whole(rows["context_tokens"])
    rows = off_peak(rows)
    write(
        rows[
            ["provider", "llm", "api_model", "catalog_llm", "input_usd_per_mtok",
             "cached_input_usd_per_mtok", "output_usd_per_mtok", "tiered", "context_tokens",
             "open_weights", "note", "date", "source"]
        ].sort_values(["provider", "llm"]),
        "api_offers",
    )  # fmt: skip
    print(f"  api offers of a catalog llm: {int(rows['catalog_llm'].notna().sum())}")


def hosted_water() -> list[dict[str, object]]:
    """Water of bought tokens in proportion to their carbon, with what else it may be."""
    unit = "l per kgCO2e"
    return [
        parameter("hosted_water_l_per_kgco2e", 8.4, unit,
                  "estimate: US grid of 2025 (414 g/kWh, 3.13 l/kWh) at PUE 1.15 and 0.375 l/kWh "
                  "on site: (0.375 + 1.15 x 3.13) / (1.15 x 0.414)",
                  "regions.csv, grid means of Electricity Maps 2025", GRIDS_READ),
        parameter("hosted_water_low_l_per_kgco2e", 3.1, unit,
                  "on site alone: Gemini's median prompt, 0.26 ml, 0.24 Wh at 345 g/kWh",
                  "Google, arXiv 2508.15734", "2025-08-21"),
        parameter("hosted_water_high_l_per_kgco2e", 39.0, unit,
                  "life cycle with hardware: Mistral Large 2, 45 ml and 1.14 g an answer of 400 "
                  "tokens",
                  "Mistral AI with Carbone 4 and ADEME (read second hand)", "2025-07-22"),
    ]  # fmt: skip


# ------------------------------------------------------------------ prices beside the accelerator

GB_PER_GIB = 1.073741824


def default(
    name: str, rows: pd.DataFrame, derivation: str, scale: float = 1.0
) -> dict[str, object]:
    """The median of some rows of another table, with the rows named."""
    values = rows["value"].to_numpy(float) * scale
    newest = str(rows["date"].astype(str).max())
    recalled = int((rows["basis"] == "recalled").sum())
    sources = sorted({str(value).split("; ")[0] for value in rows["source"]})
    return {
        "name": name,
        "value": float(f"{np.median(values):.6g}"),
        "low": float(f"{values.min():.6g}"),
        "high": float(f"{values.max():.6g}"),
        "unit": unit_of(name),
        "basis": f"median of {len(rows)} rows: {derivation}"
        + (f" ({recalled} recalled)" if recalled else ""),
        "date": newest,
        "source": " | ".join(sources),
    }


UNITS = ("usd_per_gb_month", "usd_per_gb_h", "usd_per_gb", "usd_per_mtok", "usd_per_query", "ms",
         "tokens", "count")  # fmt: skip


def unit_of(name: str) -> str:
    """The unit that ends a name."""
    return next(unit for unit in UNITS if name.endswith(unit))


def ancillary(source: Path) -> None:
    """Prices of network, storage, memory, vector search, reranking; the defaults the planner uses.

    A default is the median of comparable rows: list prices differ by place far more than the
    planner's answer depends on them. Low and high give the spread.
    """
    rows = pd.read_csv(source / "ancillary.csv")
    rows["date"] = rows["date"].astype(str)
    write(
        rows[["item", "provider", "region", "service", "value", "unit", "basis", "date", "source",
              "note"]].sort_values(["item", "provider", "region", "service", "value"]),
        "ancillary",
    )  # fmt: skip

    def item(*names: str, unit: str | None = None) -> pd.DataFrame:
        found = rows[rows["item"].isin(names)]
        return found[found["unit"] == unit] if unit else found

    managed = rows[rows["service"].isin(["S3 Vectors"]) & (rows["item"] == "vector database, read")]
    defaults = [
        default("egress_same_continent_usd_per_gb", item("inter-region egress, same continent"),
                "inter-region egress, same continent, per GiB, converted to GB", 1.0 / GB_PER_GIB),
        default("egress_intercontinental_usd_per_gb", item("inter-region egress, other continent"),
                "inter-region egress, other continent, per GiB, converted to GB", 1.0 / GB_PER_GIB),
        default("egress_internet_usd_per_gb", item("internet egress, first paid tier"),
                "internet egress, first paid tier, per GiB, converted to GB", 1.0 / GB_PER_GIB),
        default("storage_usd_per_gb_month", item("object storage"),
                "object storage per GiB, converted to GB", 1.0 / GB_PER_GIB),
        default("block_storage_usd_per_gb_month", item("SSD block storage"),
                "SSD block storage per GiB, converted to GB", 1.0 / GB_PER_GIB),
        default("vector_ram_usd_per_gb_h", item("memory-optimised VM"),
                "memory-optimised VM per GiB of RAM, converted to GB", 1.0 / GB_PER_GIB),
        default("vector_usd_per_query", managed,
                "managed vector search billed per query (S3 Vectors)", 1e-6),
        default("embedding_usd_per_mtok", item("embedding API"), "embedding API"),
        default("rerank_usd_per_query", item("reranking API"),
                "reranking API, one search of up to 100 documents", 1e-3),
    ]  # fmt: skip
    write(pd.DataFrame(defaults), "ancillary_defaults")


def retrieval(source: Path) -> None:
    """Measured search, embedding and reranking; the latencies the planner adds to TTFT."""
    rows = pd.read_csv(source / "retrieval.csv")
    rows["date"] = rows["date"].astype(str)
    rows = rows.rename(
        columns={"model": "embedding_or_rerank_model", "recall": "recall_share"}
    ).sort_values(["kind", "system", "embedding_or_rerank_model", "vectors", "date"],
                  kind="stable")  # fmt: skip
    write(rows, "retrieval")

    search = rows[(rows["kind"] == "search") & (rows["vectors"] == 10_000_000)]
    search = search[(search["recall_share"] >= 0.9) & search["latency_p99_ms"].notna()]
    search = search.assign(value=search["latency_p95_ms"].fillna(search["latency_p99_ms"]))
    embed = rows[(rows["kind"] == "embed") & (rows["documents_per_request"] == 1)]
    embed = embed.assign(value=1000.0 * embed["concurrency"].fillna(5) / embed["texts_per_s"])
    rerank = rows[(rows["kind"] == "rerank") & rows["documents_per_request"].notna()]
    rerank = rerank.assign(value=rerank["latency_mean_ms"].fillna(rerank["latency_p50_ms"]))
    chunks = rows[rows["kind"] == "chunking"]
    defaults = [
        default("search_latency_ms", search,
                "vector search over 10 M vectors at recall 0.9 or better, one client, p95 or "
                "else p99"),
        default("embed_latency_ms", embed,
                "one text per request, by Little's law: concurrency over texts per second"),
        default("rerank_latency_ms", rerank, "mean latency of one request of 24 to 96 documents"),
        default("chunk_tokens", chunks[chunks["chunk_tokens"].notna()].assign(
            value=chunks["chunk_tokens"]), "product defaults of the chunk size"),
        default("chunks_per_query_count", chunks[chunks["chunks_per_query"].notna()].assign(
            value=chunks["chunks_per_query"]), "product defaults of the chunks handed over"),
    ]  # fmt: skip
    write(pd.DataFrame(defaults), "retrieval_defaults")


# ------------------------------------------------------------------ adaptation

TASK_CLASSES = {
    "current-events": "current-events",
    "mmlu-prehistory-0shot": "knowledge",
    "mmlu-prehistory-5shot": "knowledge",
    "mmlu-college-chemistry-5shot": "knowledge",
    "mmlu-anatomy-0shot": "knowledge",
    "pubmedqa": "document-qa",
    "agriculture-qa": "document-qa",
    "hotpotqa": "multi-hop-qa",
    "huggingface-api": "api-calls",
    "torchhub-api": "api-calls",
    "tensorflowhub-api": "api-calls",
}
STRATEGIES = {
    "rag": "rag",
    "ft": "fine-tune",
    "ft-paraphrase": "fine-tune",
    "ft+rag": "rag+fine-tune",
    "ft-paraphrase+rag": "rag+fine-tune",
    "raft": "rag+fine-tune",
}
GAIN_SD_FLOOR = 0.05
FORMAT_FAILURE_BELOW = 0.1
"""A base score under this means that the llm missed the answer format: no measure of knowledge."""


def published_gains(figures: pd.DataFrame) -> pd.DataFrame:
    """Gain over base of every published (task, llm, strategy), with its share of the headroom."""
    quality = figures[(figures["kind"] == "quality") & (figures["metric"] == "accuracy")]
    base = quality[quality["strategy"] == "base"].set_index(["task", "llm"])["value"]
    others = quality[quality["strategy"].isin(STRATEGIES)]
    rows = []
    for task, llm, strategy, value, origin in others[
        ["task", "llm", "strategy", "value", "source"]
    ].itertuples(index=False):
        if (task, llm) not in base.index:
            continue
        start = float(base[task, llm])
        gain = float(value) - start
        loses = gain < 0 and start >= FORMAT_FAILURE_BELOW
        rows.append((task, strategy, start, gain, gain / (start if loses else 1 - start), origin))
    told = figures[figures["metric"].str.startswith("accuracy gain over base", na=False)]
    for task, strategy, value, origin in told[["task", "strategy", "value", "source"]].itertuples(
        index=False
    ):
        rows.append((task, strategy, np.nan, float(value), np.nan, origin))
    gains = pd.DataFrame(rows, columns=["task", "strategy", "base", "gain", "headroom", "source"])
    gains["task_class"] = gains["task"].map(TASK_CLASSES)
    gains["adaptation"] = gains["strategy"].map(STRATEGIES)
    return gains


def adaptation(source: Path) -> list[dict[str, object]]:
    """Published adaptation figures, and priors of the gain by task class.

    A prior is the mean and the sample standard deviation (at least 0.05) of the gains over base
    of one class. The class `general` pools all figures whose base score is no format failure,
    each task class counting once per figure.
    """
    figures = pd.read_csv(source / "adaptation.csv").rename(columns={"model": "llm"})
    write(
        figures[["kind", "task", "llm", "strategy", "metric", "value", "unit", "note", "date",
                 "source"]],
        "adaptation_figures",
    )  # fmt: skip
    gains = published_gains(figures)
    sound = gains[~(gains["base"] < FORMAT_FAILURE_BELOW)]
    rows = []
    groups = [(name, group) for name, group in gains.groupby("task_class")]
    for name, group in [*groups, ("general", sound)]:
        for how, cell in group.groupby("adaptation"):
            spread = float(cell["gain"].std(ddof=1)) if len(cell) > 1 else 0.0
            weak = bool((cell["base"] < FORMAT_FAILURE_BELOW).any())
            rows.append(
                {
                    "task_class": name,
                    "adaptation": how,
                    "quality_gain_mean": round(float(cell["gain"].mean()), 4),
                    "quality_gain_sd": round(max(spread, GAIN_SD_FLOOR), 4),
                    "headroom_share": round(float(cell["headroom"].mean()), 4),
                    "figures": len(cell),
                    "note": "base llms missed the answer format: gains overstated" if weak else "",
                    "date": COMPILED,
                    "source": " | ".join(sorted(set(cell["source"]))),
                }
            )
    write(
        pd.DataFrame(rows).sort_values(["task_class", "adaptation"], kind="stable"),
        "adaptation_priors",
    )
    flops = figures.set_index("task")["value"]
    rule = "adaptation_figures.csv"
    return [
        parameter("training_flop_per_parameter_token_full",
                  float(flops["flops rule, full fine-tuning"]), "FLOP", "rule 6ND", rule),
        parameter("training_flop_per_parameter_token_lora", float(flops["flops rule, lora"]),
                  "FLOP", "rule: no weight gradients of the frozen matrices", rule),
        parameter("training_mfu", 0.35, "share of the dense peak",
                  "assumption; Megatron reports 0.45 (140 of 312 TFLOP/s) on A100",
                  "assumption; arXiv 2104.04473 (recalled)"),
        parameter("staff_h_per_refresh", 40.0, "hours per fine-tune refresh",
                  "assumption: data, evaluation and release work of one person-week",
                  "assumption"),
        parameter("refresh_days_fine_tune", 30.0, "days", "assumption: monthly refresh",
                  "assumption"),
        parameter("refresh_days_rag", 1.0, "days", "assumption: daily re-index", "assumption"),
    ]  # fmt: skip


# ------------------------------------------------------------------ demand

LENGTH_EDGES = ((0, 4096, "short"), (4096, 32768, "long"), (32768, 10**9, "very-long"))
"""Prompt lanes in input tokens: (above, up to and including, name)."""


def by_hour(seconds: pd.Series, rate: pd.Series) -> np.ndarray:
    """Mean rate per hour of day (24), each day divided by its own mean to remove the trend."""
    frame = pd.DataFrame({"day": seconds // 86400, "hour": seconds % 86400 // 3600, "rate": rate})
    frame = frame.groupby(["day", "hour"])["rate"].mean().reset_index()
    complete = frame.groupby("day")["hour"].transform("size") == 24
    frame = frame[complete]
    frame["rate"] /= frame.groupby("day")["rate"].transform("mean")
    return frame.groupby("hour")["rate"].mean().to_numpy(float)


def demand_shapes(source: Path) -> None:
    """Relative demand by hour of day, from production traces; mean 1 over the week.

    The calendar of the ServeGen traces is not published, so both day types share one shape. The
    image trace has dates: its two last whole weeks, missing hours counted as no request.
    """
    traces = source / "traces"
    rates = pd.read_csv(traces / "servegen_rates.csv.gz")
    rows: list[dict[str, object]] = []
    for (category, name), group in rates.groupby(["category", "model"]):
        shape = by_hour(group["window_start_s"], group["request_rate_per_s"])
        days = int(group["window_start_s"].max() // 86400) + 1
        if len(shape) != 24:  # a trace that ends before its first day does: its one day as it is
            hour = (group["window_start_s"] // 3600).astype(int)
            shape = group.groupby(hour)["request_rate_per_s"].mean().to_numpy(float)
        if len(shape) != 24:
            raise SystemExit(f"demand shape {name}: {len(shape)} hours")
        shape = shape / shape.mean()
        for day_type in ("weekday", "weekend"):
            rows += [
                {"shape": f"servegen-{name}", "day_type": day_type, "hour": hour,
                 "relative_rate": round(float(value), 5), "days_observed": days,
                 "basis": f"{category} requests; calendar unknown, one shape for both day types; "
                 "clock of the trace", "date": COMPILED, "source": group["source"].iloc[0]}
                for hour, value in enumerate(shape)
            ]  # fmt: skip
    image = pd.read_csv(traces / "alibaba_genai_2024_image_hourly.csv.gz",
                        parse_dates=["hour_local"])  # fmt: skip
    weeks = pd.date_range("2024-11-25", periods=14 * 24, freq="h")
    requests = image.set_index("hour_local")["requests"].reindex(weeks, fill_value=0)
    weekend = np.where(weeks.day_of_week >= 5, "weekend", "weekday")
    shape_table = requests.groupby([weekend, weeks.hour]).mean() / requests.mean()
    for key, value in shape_table.items():
        day_type, at = cast(tuple[str, int], key)
        rows.append(
            {"shape": "alibaba-image-2024", "day_type": day_type, "hour": at,
             "relative_rate": round(float(value), 5),
             "days_observed": 10 if day_type == "weekday" else 4,
             "basis": "image service, 2024-11-25 to 2024-12-08; 'local' clock as published, its "
             "trough at 11-14 h makes the time zone doubtful", "date": "2024-12-08",
             "source": "alibaba/clusterdata: GenAI 2024 image service trace"}
        )  # fmt: skip
    flat = {"days_observed": 0, "basis": "no daily pattern", "date": COMPILED,
            "source": "definition"}  # fmt: skip
    for day_type in ("weekday", "weekend"):
        rows += [{"shape": "flat", "day_type": day_type, "hour": hour, "relative_rate": 1.0, **flat}
                 for hour in range(24)]  # fmt: skip
    write(pd.DataFrame(rows).sort_values(["shape", "day_type", "hour"]), "demand_shapes")


def burstiness(arrival_s: pd.Series) -> tuple[float, str]:
    """Squared coefficient of variation of arrivals, or its estimate from counts.

    Time stamps rounded to seconds make most gaps zero; then the index of dispersion of counts
    per minute (variance over mean), its long-run equivalent, is given.
    """
    gaps = arrival_s.sort_values().diff().dropna()
    if (gaps == 0).mean() < 0.5:
        return float(gaps.var() / gaps.mean() ** 2), "gaps between arrivals"
    counts = np.bincount((arrival_s // 60).astype(int))[:-1]
    return float(counts.var(ddof=1) / counts.mean()), "counts per minute (coarse time stamps)"


def cv(values: pd.Series) -> float:
    """Coefficient of variation."""
    return round(float(values.std(ddof=0) / values.mean()), 4) if len(values) > 1 else 0.0


def length_classes(source: Path) -> list[dict[str, object]]:
    """Prompt and answer lengths of the traces, whole and split by prompt length."""
    traces = source / "traces"
    summary = pd.read_csv(traces / "summary.csv").set_index("trace")
    origins = {
        "azure_2023_conv": (summary.loc["azure_2023_conv", "source"], "2023-11-11"),
        "mooncake_conversation": (summary.loc["mooncake_conversation", "source"], COMPILED),
        "arxiv_summarization": ("microsoft/vidur (MIT): arXiv summarisation lengths", COMPILED),
    }
    rows: list[dict[str, object]] = []
    parameters: list[dict[str, object]] = []
    for name, (origin, date) in origins.items():
        suffix = "_lengths" if name == "arxiv_summarization" else ""
        requests = pd.read_csv(traces / f"{name}{suffix}.csv.gz")
        ca2, ca2_basis = np.nan, ""
        if "arrival_s" in requests:
            ca2, ca2_basis = burstiness(requests["arrival_s"])
            parameters.append(
                parameter(f"arrival_ca2_{name}", round(ca2, 4), "squared coefficient of variation",
                          f"measured on {ca2_basis}, {len(requests)} arrivals", str(origin), date)
            )  # fmt: skip
        for low, high, label in ((0, 10**9, "all"), *LENGTH_EDGES):
            part = requests[requests["input_tokens"].between(low, high, inclusive="right")]
            if part.empty:
                continue
            cached = (
                float(part["prefix_cached_tokens"].sum() / part["input_tokens"].sum())
                if "prefix_cached_tokens" in part
                else np.nan
            )
            rows.append(
                {"trace": name, "length_class": label, "input_tokens_above": low,
                 "input_tokens_up_to": high if high < 10**9 else np.nan,
                 "share": round(len(part) / len(requests), 5),
                 "input_tokens_mean": round(float(part["input_tokens"].mean()), 2),
                 "input_cv": cv(part["input_tokens"]),
                 "output_tokens_mean": round(float(part["output_tokens"].mean()), 2),
                 "output_cv": cv(part["output_tokens"]),
                 "prefix_cached_share": round(cached, 4),
                 "arrival_ca2": round(ca2, 4), "arrival_ca2_basis": ca2_basis,
                 "requests": len(part), "basis": "requests", "date": date, "source": origin}
            )  # fmt: skip
    windows = pd.read_csv(traces / "servegen_lengths.csv")
    for window in windows.itertuples(index=False):
        rows.append(
            {"trace": f"servegen-{window.model}", "length_class": "all", "input_tokens_above": 0,
             "share": 1.0, "input_tokens_mean": window.input_tokens_mean_p50,
             "output_tokens_mean": window.output_tokens_mean_p50,
             "requests": np.nan,
             "basis": f"median over {window.client_windows} client windows of the window's mean",
             "date": COMPILED, "source": window.source}
        )  # fmt: skip
    frame = pd.DataFrame(rows)
    frame["requests"] = whole(frame["requests"])
    frame["input_tokens_up_to"] = whole(frame["input_tokens_up_to"])
    write(frame, "length_classes")
    return parameters


def main(arguments: Sequence[str]) -> None:
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        raise SystemExit(__doc__)
    source = Path(arguments[0])
    TABLES.mkdir(parents=True, exist_ok=True)
    serving_points(source)
    accelerators(source)
    regions = regions_table(source)
    carbon_profiles(source)
    offers(source, regions)
    price_history(source, regions)
    parameters = latency(source, regions)
    api_offers(source, llms(source))
    api_peaks()
    llm_cutoffs()
    ancillary(source)
    retrieval(source)
    parameters += adaptation(source)
    demand_shapes(source)
    parameters += length_classes(source)
    parameters.append(
        parameter(
            "access_network_rtt_ms", 15.0, "ms",
            "assumption: last mile of a user on fixed or good mobile access, added to origins "
            "given as coordinates", "assumption",
        )
    )  # fmt: skip
    parameters += hosted_water()
    write(pd.DataFrame(parameters), "parameters")


if __name__ == "__main__":
    main(sys.argv[1:])
