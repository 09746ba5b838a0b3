"""Join an instance with the catalog: `resolve(instance, catalog) -> Facts`.

Figures the user gives win over the catalog's, column by column; overrides change the catalog
before anything is joined. Every join is made here and nowhere else; nothing is decided here.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.coefficients.energy import (
    HOST_KG_PER_GB,
    HOST_SERVER_KG,
    HOST_W_PER_GB,
    HOST_W_PER_VCPU,
)
from planner.calibration import Calibration
from planner.catalog import AdaptationPrior, Catalog
from planner.errors import CatalogError, InstanceError
from planner.instance.calibrated import calibration_said
from planner.instance.ends import CutInstance, bounds, cut_at_ends, end_of
from planner.instance.facts import (
    AcceleratorFacts,
    ApiFacts,
    Facts,
    LlmFacts,
    MachineFacts,
    Prices,
    RegionFacts,
    Sources,
    VariantFacts,
    source_of,
)
from planner.instance.overrides import OverriddenCatalog, is_overridden, overridden
from planner.instance.schema import (
    Accelerator,
    Adaptation,
    HostedApi,
    Instance,
    Offer,
    Origin,
    Quality,
    Region,
    Row,
    Slice,
    Variant,
    Workload,
)

__all__ = [
    "AcceleratorFacts",
    "ApiFacts",
    "Facts",
    "LlmFacts",
    "MachineFacts",
    "Prices",
    "RegionFacts",
    "VariantFacts",
    "overridden",
    "resolve",
]

HOURS_PER_MONTH = 730.0
REFRESH_DAYS_FINE_TUNE = 30.0
REFRESH_DAYS_INDEX = 1.0
UNKNOWN_AGE_DAYS = 365.0
"""Of what weights know when the period begins, where nobody says when their data end."""
MOST_OVERRIDES = 6
"""Overrides that a plan tells one by one."""
INTERCONNECT_GB_PER_S = 64.0
"""PCIe 4.0 x16, both directions: for the accelerators without a listed link."""
OWN_SITE_ELECTRICITY_WATER_L_PER_KWH = 0.0
PRICE_COLUMNS = (
    "ondemand_usd_per_h",
    "spot_usd_per_h",
    "commit_1y_usd_per_h",
    "commit_3y_usd_per_h",
)


def resolve(instance: Instance, catalog: Catalog) -> Facts:
    """All joins of instance and catalog.

    The one file it reads is the calibration that the settings name. Raises CatalogError where the
    catalog lacks a figure that the planner needs and the user did not give (`missing_figures` lists
    them all), InstanceError for an override that fits nothing.
    """
    catalog = overridden(catalog, instance.overrides)
    cut = cut_at_ends(instance)
    instance = cut.instance
    missing = missing_figures(instance, catalog)
    if missing:
        raise CatalogError("; ".join(problem for _, _, _, problem in missing))
    regions = tuple(region_facts(row, instance, catalog) for row in instance.regions)
    accelerators = tuple(accelerator_facts(row, instance, catalog) for row in instance.accelerators)
    machines = _machines(cut, catalog)
    apis = _apis(instance, catalog)
    calibration = _calibration(instance)
    return Facts(
        instance=instance,
        regions=regions,
        accelerators=accelerators,
        machines=machines,
        llms=tuple(
            _llm(row.llm, row.precisions, row.max_accelerators_per_replica, catalog)
            for row in instance.llms
        ),
        apis=apis,
        variants=_variants(instance, catalog),
        prices=_prices(instance, catalog),
        round_trip_s=_round_trips(instance, regions, apis, catalog),
        retrieval_latency_s=(
            catalog.retrieval_default("embed_latency_ms")
            + catalog.retrieval_default("search_latency_ms")
        )
        / 1000.0,
        rerank_latency_s=catalog.retrieval_default("rerank_latency_ms") / 1000.0,
        ages=_ages(instance, machines, catalog),
        assumptions=(
            *_assumptions(instance, catalog, machines),
            *calibration_said(calibration, str(instance.settings.serving.calibration)),
        ),
        calibration=calibration,
    )


def _calibration(instance: Instance) -> Calibration | None:
    """The measurements that the settings name; PlannerError where they cannot be read."""
    name = instance.settings.serving.calibration
    return None if name is None else Calibration.load(Path(instance.folder) / name)


def split_list(text: str | None) -> tuple[str, ...]:
    """The parts of ``a;b``, blanks dropped."""
    return tuple(part.strip() for part in (text or "").split(";") if part.strip())


# ------------------------------------------------------------------ provenance


def _provenance(catalog: Catalog, table: str, key: str, row: dict[str, Any], user: str = "") -> str:
    """Where a row comes from: the catalog's source and date, then what the user changed."""
    text = f"catalog: {row['source']}, {row['date']}"
    if isinstance(catalog, OverriddenCatalog) and (table, key) in catalog.reasons:
        text += f"; {catalog.reasons[table, key]}"
    return f"{text}; by the user: {user}" if user else text


def _sources(
    catalog: Catalog, table: str, key: str, given: Iterable[str], columns: Mapping[str, str]
) -> Sources:
    """What the user gave, in the row or by an override: figure of the facts -> its column."""
    said = set(given)
    return tuple(
        (figure, "user")
        for figure, column in columns.items()
        if column in said or is_overridden(catalog, table, key, column)
    )


REGION_COLUMNS = {
    "carbon_kgco2e_per_kwh": "carbon_gco2e_per_kwh",
    "pue": "pue",
    "site_wue_l_per_kwh": "site_wue_l_per_kwh",
    "electricity_water_l_per_kwh": "electricity_water_l_per_kwh",
}
"""Figure of the facts -> its column in the tables."""

# ------------------------------------------------------------------ figures nobody gave

NEEDED: dict[str, tuple[str, ...]] = {
    "accelerators": ("memory_gb", "memory_bandwidth_gb_per_s", "bf16_tflops", "tdp_w"),
    "llms": ("kv_bytes_per_token_bf16", "context_tokens", "layers", "hidden_size"),
}


def missing_figures(instance: Instance, catalog: Catalog) -> list[tuple[str, str, str, str]]:
    """(table, id, column, problem) where neither the user nor the catalog has a needed figure."""
    missing = []
    named: list[tuple[str, str, Accelerator | None]] = [
        *(("accelerators", row.accelerator, row) for row in instance.accelerators),
        *(("llms", row.llm, None) for row in instance.llms),
    ]
    for table, name, user in named:
        facts = catalog.row(table, name)
        for column in NEEDED[table]:
            if facts[column] is None and getattr(user, column, None) is None:
                missing.append(
                    (table, name, column, f"the catalog has no {column} of {name}: give your own")
                )
    return missing


# ------------------------------------------------------------------ regions and network


def region_facts(region: Region, instance: Instance, catalog: Catalog) -> RegionFacts:
    """A region with the user's figures over the catalog's."""
    listed = catalog.has("regions", region.region)
    known: dict[str, Any] = catalog.region(region.region) if listed else {}
    given = [
        name
        for name in ("lat", "lon", "residency", "carbon_gco2e_per_kwh", "pue", "site_wue_l_per_kwh")
        if getattr(region, name) is not None
    ]

    def figure(name: str, default: float = 0.0) -> float:
        own = getattr(region, name, None)
        found = own if own is not None else known.get(name)
        return default if found is None else float(found)

    residency = region.residency if region.residency is not None else known.get("residency")
    return RegionFacts(
        region=region.region,
        kind=region.kind,
        provider=str(known.get("provider", "own")),
        lat=figure("lat"),
        lon=figure("lon"),
        residency=frozenset(split_list(residency)),
        pue=figure("pue", 1.0),
        site_wue_l_per_kwh=figure("site_wue_l_per_kwh"),
        electricity_water_l_per_kwh=figure(
            "electricity_water_l_per_kwh", OWN_SITE_ELECTRICITY_WATER_L_PER_KWH
        ),
        carbon_kgco2e_per_kwh=_carbon_by_slice(region, instance.slices, catalog),
        fixed_usd=region.fixed_usd_per_month * instance.settings.period.hours / HOURS_PER_MONTH,
        provenance=_provenance(catalog, "regions", region.region, known, ", ".join(given))
        if listed
        else "user",
        sources=_sources(
            catalog,
            "regions",
            region.region,
            given if listed else REGION_COLUMNS.values(),
            REGION_COLUMNS,
        ),
    )


def hours_of(part: Slice) -> tuple[int, ...]:
    """Hours of the day (UTC) of a slice; an end before the start goes over midnight."""
    if part.start_hour_utc < part.end_hour_utc:
        return tuple(range(part.start_hour_utc, part.end_hour_utc))
    return (*range(part.start_hour_utc, 24), *range(part.end_hour_utc))


def _carbon_by_slice(
    region: Region, slices: Sequence[Slice], catalog: Catalog
) -> tuple[float, ...]:
    """kgCO2e/kWh per slice: mean of the month's hourly profile over the hours of the slice.

    A figure of the user replaces the annual mean and keeps the hourly shape of the catalog's zone.
    """
    own = region.carbon_gco2e_per_kwh
    if not catalog.has("regions", region.region):
        return tuple((own or 0.0) / 1000.0 for _ in slices)
    profile = catalog.region_carbon_profile(region.region)
    mean = profile.annual_mean_gco2e_per_kwh
    result = []
    for part in slices:
        hours = hours_of(part)
        grams = math.fsum(profile.gco2e_per_kwh[part.month - 1][hour] for hour in hours)
        level = grams / len(hours)
        if own is not None:
            level = own * level / mean if mean > 0.0 else own
        result.append(level / 1000.0)
    return tuple(result)


def _round_trips(
    instance: Instance,
    regions: Sequence[RegionFacts],
    apis: Sequence[ApiFacts],
    catalog: Catalog,
) -> dict[tuple[str, str], float]:
    """(origin, region) -> s; 0 for a hosted llm without a place: its TTFT holds the network."""
    moved = {row.region for row in instance.regions if row.lat is not None}
    trips: dict[tuple[str, str], float] = {}
    for origin in instance.origins:
        for region in regions:
            trips[origin.origin, region.region] = (
                _round_trip_ms(origin, region, regions, moved, catalog) / 1000.0
            )
        for api in apis:
            trips.setdefault((origin.origin, api.region), 0.0)
    return trips


def _round_trip_ms(
    origin: Origin,
    region: RegionFacts,
    regions: Sequence[RegionFacts],
    moved: set[str],
    catalog: Catalog,
) -> float:
    """Measured between catalog regions, else by distance; the users' access network included."""
    home = origin.region
    if home is not None:
        listed = all(
            catalog.has("regions", name) and name not in moved for name in (home, region.region)
        )
        if listed:
            return catalog.users_round_trip(home, region.region).rtt_ms
        own = next((row for row in regions if row.region == home), None)
        place = (own.lat, own.lon) if own else _place(catalog.region(home))
    else:
        place = (origin.lat or 0.0, origin.lon or 0.0)
    return catalog.place_round_trip_ms(*place, region.lat, region.lon)


def _place(row: dict[str, Any]) -> tuple[float, float]:
    return float(row["lat"]), float(row["lon"])


# ------------------------------------------------------------------ accelerators and machines


def accelerator_facts(row: Accelerator, instance: Instance, catalog: Catalog) -> AcceleratorFacts:
    """An accelerator with the user's figures over the catalog's, and priors for blanks."""
    known = catalog.accelerator(row.accelerator)
    given = [
        name
        for name in ("memory_gb", "tdp_w", "idle_w", "embodied_kgco2e")
        if getattr(row, name) is not None
    ]
    tdp_w = float(row.tdp_w if row.tdp_w is not None else known["tdp_w"])
    idle_w = row.idle_w if row.idle_w is not None else known["idle_w"]
    if idle_w is None:
        idle_w = idle_share(catalog) * tdp_w
    link = known["interconnect_gb_per_s"]
    return AcceleratorFacts(
        accelerator=row.accelerator,
        vendor=str(known["vendor"]),
        family=str(known["family"]),
        memory_gb=float(row.memory_gb if row.memory_gb is not None else known["memory_gb"]),
        memory_bandwidth_gb_per_s=float(known["memory_bandwidth_gb_per_s"]),
        bf16_tflops=float(known["bf16_tflops"]),
        fp8_tflops=known["fp8_tflops"],
        fp4_tflops=known["fp4_tflops"],
        interconnect_gb_per_s=INTERCONNECT_GB_PER_S if link is None else float(link),
        linked_accelerators=known["linked_accelerators"] and int(known["linked_accelerators"]),
        beyond_gb_per_s=known["beyond_gb_per_s"],
        tdp_w=tdp_w,
        idle_w=float(idle_w),
        embodied_kgco2e=row.embodied_kgco2e
        if row.embodied_kgco2e is not None
        else embodied_kgco2e(known, instance.settings.carbon.embodied, catalog),
        provenance=_provenance(catalog, "accelerators", row.accelerator, known, ", ".join(given)),
        sources=_accelerator_sources(row, known, given, catalog),
    )


def _accelerator_sources(
    row: Accelerator, known: dict[str, Any], given: Iterable[str], catalog: Catalog
) -> Sources:
    """As `_sources`; idle power that nobody measured is assumed."""
    columns = {name: name for name in ("memory_gb", "tdp_w", "idle_w", "embodied_kgco2e")}
    found = dict(_sources(catalog, "accelerators", row.accelerator, given, columns))
    cases = ("embodied_low_kgco2e", "embodied_high_kgco2e")
    if is_overridden(catalog, "accelerators", row.accelerator, *cases):
        found["embodied_kgco2e"] = "user"
    if row.idle_w is None and known["idle_w"] is None:
        found["idle_w"] = "assumed"
    return tuple(found.items())


def idle_share(catalog: Catalog) -> float:
    """Idle over TDP: median of the accelerators with a reading."""
    frame = catalog.accelerators
    return float((frame["idle_w"] / frame["tdp_w"]).dropna().median())


def embodied_kgco2e(known: dict[str, Any], case: str, catalog: Catalog) -> float:
    """Low (published), high (component model) or mid (geometric mean) case of one accelerator.

    A blank high case takes the median of its family, else of all; a blank low case the high one
    times the median ratio of the accelerators that have both.
    """
    frame = catalog.accelerators
    high = known["embodied_high_kgco2e"]
    if high is None:
        family = frame.loc[frame["family"] == known["family"], "embodied_high_kgco2e"].dropna()
        high = (family if len(family) else frame["embodied_high_kgco2e"].dropna()).median()
    low = known["embodied_low_kgco2e"]
    if low is None:
        ratio = (frame["embodied_low_kgco2e"] / frame["embodied_high_kgco2e"]).dropna().median()
        low = high * ratio
    return float({"low": low, "mid": math.sqrt(low * high), "high": high}[case])


def _machines(cut: CutInstance, catalog: Catalog) -> tuple[MachineFacts, ...]:
    """Every offer on sale or held, by region, accelerator and name."""
    instance = cut.instance
    order = {row.accelerator: at for at, row in enumerate(instance.accelerators)}
    hosts = {name: usual_host(name, catalog) for name in order}
    machines: list[MachineFacts] = []
    for region in instance.regions:
        known: dict[str, dict[str, Any]] = {}
        if catalog.has("regions", region.region):
            for name in order:
                for row in catalog.offers_of(region.region, name):
                    known[str(row["offer"])] = row
        own = {row.offer: row for row in instance.offers if row.region == region.region}
        held = {row.offer for row in instance.owned if row.region == region.region}
        found = [
            _machine(region.region, name, known.get(name), own.get(name), hosts, cut, catalog)
            for name in sorted({*known, *own, *held})
        ]
        machines += sorted(
            (
                machine
                for machine in found
                if machine.accelerator in order and (_priced(machine) or machine.fixed_instances)
            ),
            key=lambda machine: (order[machine.accelerator], machine.offer),
        )
    return tuple(machines)


def _priced(machine: MachineFacts) -> bool:
    return any(getattr(machine, column) is not None for column in PRICE_COLUMNS)


def _machine(
    region: str,
    offer: str,
    known: dict[str, Any] | None,
    own: Offer | None,
    hosts: Mapping[str, tuple[float, float]],
    cut: CutInstance,
    catalog: Catalog,
) -> MachineFacts:
    """One offer in one region: the user's prices over the catalog's, and the machines held."""
    held = [row for row in cut.instance.owned if (row.region, row.offer) == (region, offer)]
    by_market = {
        market: tuple(
            sum(row.instances for row in held if row.market == market and cut.covers(row, t.slice))
            for t in cut.instance.slices
        )
        for market in sorted({row.market for row in held})
    }
    by_slice = tuple(map(sum, zip(*by_market.values(), strict=True))) if held else (
        (0,) * len(cut.instance.slices))  # fmt: skip
    hours = cut.instance.settings.period.hours
    if known is None and own is None and catalog.has("offers", region, offer):
        known = catalog.offer(region, offer)  # of an accelerator that is not allowed
    named = own if own is not None else next((row for row in held if row.accelerator), None)

    def price(column: str) -> float | None:
        value = getattr(own, column, None)
        if value is None and known is not None:
            value = known[column]
        return None if value is None else float(value)

    given = [column for column in PRICE_COLUMNS if getattr(own, column, None) is not None]
    size = known["accelerators"] if known is not None else named.accelerators if named else None
    card = known["accelerator"] if known is not None else named.accelerator if named else None
    date = own.price_date if own is not None else None
    usual = [int(size or 1) * each for each in hosts.get(str(card), (0.0, 0.0))]
    host = [
        _host_figure(column, (own, *held), known, most)
        for column, most in zip(HOST_COLUMNS, usual, strict=True)
    ]
    return MachineFacts(
        machine=f"{region}/{offer}",
        region=region,
        offer=offer,
        accelerator=str(card or ""),
        accelerators=int(size or 1),
        ondemand_usd_per_h=price("ondemand_usd_per_h"),
        spot_usd_per_h=price("spot_usd_per_h"),
        commit_1y_usd_per_h=price("commit_1y_usd_per_h"),
        commit_3y_usd_per_h=price("commit_3y_usd_per_h"),
        spot_interruption_per_month=known["spot_interruption_per_month"] if known else None,
        vcpus=host[0][0],
        ram_gb=host[1][0],
        max_instances=own.max_instances if own is not None else None,
        fixed_instances=max(by_slice),
        fixed_by_slice=by_slice,
        fixed_by_market=tuple(by_market.items()),
        fixed_usd_per_h=math.fsum(
            row.instances * row.usd_per_h * (cut.held_hours(row) / hours) for row in held
        ),
        price_date=str(date or (known["price_date"] if known else "user")),
        provenance=_provenance(
            catalog, "offers", f"{region}/{offer}", known, ", ".join(given) + _of(own)
        )
        if known
        else "user",
        sources=(
            *_sources(
                catalog,
                "offers",
                f"{region}/{offer}",
                PRICE_COLUMNS if known is None else given,
                {column: column for column in PRICE_COLUMNS},
            ),
            ("fixed_usd_per_h", "user"),
            *((c, source) for c, (_, source) in zip(HOST_COLUMNS, host, strict=True) if source),
        ),
    )


HOST_COLUMNS = ("vcpus", "ram_gb")
MOST_NAMED = 4
"""Machines named in a sentence."""


def _host_figure(
    column: str, given: Iterable[Row | None], known: dict[str, Any] | None, usual: float
) -> tuple[float, str]:
    """vCPUs or memory of an instance and how it is known; empty: by the catalog's own row."""
    said = [value for row in given if (value := getattr(row, column, None)) is not None]
    if said:
        return float(said[0]), "user"
    if known is not None and known[column] is not None:
        return float(known[column]), ""
    return usual, "assumed"


def usual_host(accelerator: str, catalog: Catalog) -> tuple[float, float]:
    """vCPUs and GB of memory beside one accelerator: medians of its offers, else of all offers.

    An edge module holds its processor and memory, and its power is that of all: (0, 0).
    """
    offers = catalog.offers
    if catalog.has("accelerators", accelerator):
        if catalog.accelerator(accelerator)["segment"] == "edge":
            return 0.0, 0.0
        own = offers[(offers["accelerator"] == accelerator) & offers["vcpus"].notna()]
        offers = own if len(own) else offers
    vcpus, ram_gb = ((offers[c] / offers["accelerators"]).median() for c in HOST_COLUMNS)
    return float(vcpus), float(ram_gb)


def _of(offer: Offer | None) -> str:
    """The day of the user's prices, where they say it."""
    return f" of {offer.price_date}" if offer is not None and offer.price_date else ""


# ------------------------------------------------------------------ llms and hosted llms


DEFAULT_PRECISIONS = ("fp8", "bf16")
"""Of llms whose row gives none: those that hardly touch the answers."""


def _llm(name: str, precisions: str | None, most: int, catalog: Catalog) -> LlmFacts:
    row = catalog.llm(name)

    def count(column: str) -> int | None:
        return None if row[column] is None else int(row[column])

    return LlmFacts(
        llm=name,
        params_total_b=float(row["params_total_b"]),
        params_active_b=float(row["params_active_b"]),
        params_dense_b=float(row["params_dense_b"]),
        params_expert_b=float(row["params_expert_b"] or 0.0),
        experts=count("experts"),
        experts_per_token=count("experts_per_token"),
        layers=int(row["layers"]),
        hidden_size=int(row["hidden_size"]),
        kv_bytes_per_token_bf16=float(row["kv_bytes_per_token_bf16"]),
        kv_window_share=float(row["kv_window_share"] or 0.0),
        kv_window_tokens=float(row["kv_window_tokens"] or 0.0),
        context_tokens=int(row["context_tokens"]),
        precisions=DEFAULT_PRECISIONS if precisions is None else split_list(precisions),
        max_accelerators_per_replica=most,
        shared_experts=count("shared_experts"),
        moe_layers=count("moe_layers"),
        attention_heads=count("attention_heads"),
        kv_heads=count("kv_heads"),
        head_dim=count("head_dim"),
        attention=str(row["attention"] or ""),
        provenance=_provenance(catalog, "llms", name, row),
        precisions_given=precisions is not None,
    )


def api_price(catalog: Catalog, provider: str, llm: str) -> dict[str, Any] | None:
    """The catalog's row of a hosted llm, None where it has none."""
    try:
        return catalog.api_offer(provider, llm)
    except CatalogError:
        return None


def _apis(instance: Instance, catalog: Catalog) -> tuple[ApiFacts, ...]:
    """Hosted llms; a blank cached price is the full input price."""
    facts = []
    for row in instance.apis:
        known = api_price(catalog, row.provider, row.llm)
        columns = ("input_usd_per_mtok", "cached_input_usd_per_mtok", "output_usd_per_mtok")
        found = {
            column: getattr(row, column)
            if getattr(row, column) is not None
            else (known or {}).get(column)
            for column in columns
        }
        full = float(found["input_usd_per_mtok"] or 0.0)
        cached = found["cached_input_usd_per_mtok"]
        given = [column for column in columns if getattr(row, column) is not None]
        peak = _peak(row, known, catalog)
        key = f"{row.provider}/{row.llm}"
        source = (
            _provenance(catalog, "api_offers", key, known, ", ".join(given)) if known else "user"
        )
        facts.append(
            ApiFacts(
                llm=row.llm,
                provider=row.provider,
                region=row.region or f"api:{row.provider}",
                ttft_s=row.ttft_s,
                tpot_s=row.tpot_s,
                ttft_p95_over_mean=row.ttft_p95_over_mean,
                gco2e_per_ktok=row.gco2e_per_ktok,
                water_l_per_ktok=_hosted_water(row, catalog),
                input_usd_per_mtok=full,
                cached_input_usd_per_mtok=full if cached is None else float(cached),
                output_usd_per_mtok=float(found["output_usd_per_mtok"] or 0.0),
                provenance="user" if len(given) == len(columns) else source,
                sources=(
                    *_sources(
                        catalog,
                        "api_offers",
                        key,
                        columns if known is None else given,
                        {column: column for column in columns},
                    ),
                    ("gco2e_per_ktok", "user"),
                    ("water_l_per_ktok", "assumed" if row.water_l_per_ktok is None else "user"),
                ),
                peak_factor=1.0 if peak is None else peak[1],
                peak_hours_utc=None if peak is None else peak[0],
            )
        )
    return tuple(facts)


def _hosted_water(row: HostedApi, catalog: Catalog) -> float:
    """Litres per 1,000 tokens: the user's, else in proportion to the carbon."""
    if row.water_l_per_ktok is not None:
        return row.water_l_per_ktok
    return row.gco2e_per_ktok / 1e3 * catalog.parameter("hosted_water_l_per_kgco2e")


def _peak(
    row: HostedApi, known: dict[str, Any] | None, catalog: Catalog
) -> tuple[str, float] | None:
    """Dear hours and how many times dearer they are: the user's, else the catalog's where the
    prices are its too."""
    if row.peak_hours_utc is not None:
        return row.peak_hours_utc, row.peak_factor or 1.0
    own = row.input_usd_per_mtok is not None or row.output_usd_per_mtok is not None
    if own or known is None or not catalog.has("api_peaks", row.provider, str(known["llm"])):
        return None
    found = catalog.row("api_peaks", row.provider, str(known["llm"]))
    return str(found["peak_hours_utc"]), float(found["peak_factor"])


# ------------------------------------------------------------------ variants and quality


def _default_rows(instance: Instance) -> list[Variant]:
    """The ways of answering where no ``variants.csv`` is given; hosted llms are not tuned."""
    own = [row.llm for row in instance.llms]
    hosted = [name for name in dict.fromkeys(row.llm for row in instance.apis) if name not in own]
    adaptations: tuple[Adaptation, ...] = ("base", "rag", "fine-tune", "rag+fine-tune")
    return [
        Variant(workload="*", llm=llm, adaptation=adaptation)
        for llm in (*own, *hosted)
        for adaptation in adaptations
        if llm in own or adaptation in {"base", "rag"}
    ]


def has_material(workload: Workload, adaptation: str) -> bool:
    """Whether the workload has the corpus and the training tokens that an adaptation needs."""
    return ("rag" not in adaptation or workload.corpus_tokens > 0.0) and (
        "fine-tune" not in adaptation or workload.training_tokens > 0.0
    )


def _variants(instance: Instance, catalog: Catalog) -> tuple[VariantFacts, ...]:
    """Every variant of every workload, in workload order, then the order of the rows."""
    rows = instance.variants or _default_rows(instance)
    quality = {(row.workload, row.llm, row.adaptation): row for row in instance.quality}
    own = {row.llm for row in instance.llms}
    ages = _ages_of_knowledge(instance, catalog)
    facts: list[VariantFacts] = []
    for workload in instance.workloads:
        meant: dict[tuple[object, ...], VariantFacts] = {}
        for row in rows:
            explicit = row.workload == workload.workload
            if not explicit and (row.workload != "*" or not has_material(workload, row.adaptation)):
                continue
            variant = replace(
                _variant(workload, row, quality, own, catalog),
                base_age_days=ages[row.llm],
                check_age_days=ages[row.check_llm or row.llm],
            )
            key = (variant.llm, variant.adaptation, variant.method, variant.refresh_days,
                   variant.check_llm)  # fmt: skip
            if explicit or key not in meant:
                meant[key] = variant
        refreshes = Counter((v.llm, v.adaptation, v.method, v.check_llm) for v in meant.values())
        facts += [
            replace(
                v, variant=_variant_id(v, refreshes[v.llm, v.adaptation, v.method, v.check_llm])
            )
            for v in meant.values()
        ]
    return tuple(facts)


def _ages_of_knowledge(instance: Instance, catalog: Catalog) -> dict[str, tuple[float, float]]:
    """Llm -> age of what its weights know, in days, when the period begins and when it ends."""
    period = instance.settings.period
    stated = {row.llm: row.knowledge_cutoff for row in instance.apis}
    stated |= {row.llm: row.knowledge_cutoff for row in instance.llms}
    ages = {}
    for llm, given in stated.items():
        end = given or _known_cutoff(llm, catalog)
        days = UNKNOWN_AGE_DAYS if end is None else max(float((period.start - end).days), 0.0)
        ages[llm] = (days, days + period.hours / 24.0)
    return ages


def _known_cutoff(llm: str, catalog: Catalog) -> dt.date | None:
    if not catalog.has("llm_cutoffs", llm):
        return None
    return dt.date.fromisoformat(catalog.row("llm_cutoffs", llm)["knowledge_cutoff"])


def _variant_id(variant: VariantFacts, refreshes: int) -> str:
    """``workload/llm/adaptation``, and only as much more as makes it unique."""
    text = f"{variant.workload}/{variant.llm}/{variant.adaptation}"
    if variant.method == "full":
        text += "/full"
    if refreshes > 1 and variant.refresh_days is not None:
        text += f"/{variant.refresh_days:g}d"
    return f"{text}+{variant.check_llm}" if variant.check_llm else text


def _variant(
    workload: Workload,
    row: Variant,
    quality: dict[tuple[str, str, Adaptation], Quality],
    own: set[str],
    catalog: Catalog,
) -> VariantFacts:
    tuned = "fine-tune" in row.adaptation
    default_days = REFRESH_DAYS_FINE_TUNE if tuned else REFRESH_DAYS_INDEX
    found, sd, provenance = _quality(workload, row.llm, row.adaptation, quality, catalog)
    check = None
    if row.check_llm is not None:
        with_rag: Adaptation = "rag" if "rag" in row.adaptation else "base"
        check, _, _ = _quality(workload, row.check_llm, with_rag, quality, catalog)
    return VariantFacts(
        variant="",
        workload=workload.workload,
        llm=row.llm,
        adaptation=row.adaptation,
        method=row.method if tuned else None,
        refresh_days=None if row.adaptation == "base" else row.refresh_days or default_days,
        check_llm=row.check_llm,
        check_share=row.check_share,
        hosted=row.llm not in own,
        quality=found,
        quality_sd=sd,
        provenance=provenance,
        check_quality=check,
        check_hosted=row.check_llm is not None and row.check_llm not in own,
    )


def _quality(
    workload: Workload,
    llm: str,
    adaptation: Adaptation,
    given: dict[tuple[str, str, Adaptation], Quality],
    catalog: Catalog,
) -> tuple[float, float, str]:
    """(quality, sd, provenance): the user's figure, else base lifted by the published gain."""
    for name in (workload.workload, "*"):
        row = given.get((name, llm, adaptation))
        if row is not None:
            return row.quality, row.quality_sd, "user"
    base = given.get((workload.workload, llm, "base")) or given.get(("*", llm, "base"))
    if base is None:
        raise InstanceError(f"no base quality of {llm} for {workload.workload} in quality.csv")
    prior: AdaptationPrior = catalog.adaptation_prior(workload.task_class, adaptation)
    lifted = min(max(prior.apply(base.quality), 0.0), 1.0)
    return lifted, math.hypot(base.quality_sd, prior.quality_gain_sd), "prior"


# ------------------------------------------------------------------ prices, ages, assumptions


def _prices(instance: Instance, catalog: Catalog) -> Prices:
    names = {
        "egress_usd_per_gb": "egress_internet_usd_per_gb",
        "vector_ram_usd_per_gb_h": "vector_ram_usd_per_gb_h",
        "vector_query_usd": "vector_usd_per_query",
        "embedding_usd_per_mtok": "embedding_usd_per_mtok",
        "rerank_usd_per_query": "rerank_usd_per_query",
        "storage_usd_per_gb_month": "storage_usd_per_gb_month",
        "copy_usd_per_gb": _copy_price(instance, catalog),
    }
    return Prices(
        **{ours: catalog.ancillary_default(theirs) for ours, theirs in names.items()},
        staff_usd_per_h=instance.settings.money.staff_usd_per_h,
        provenance="catalog: ancillary_defaults (medians over providers)",
    )


def _copy_price(instance: Instance, catalog: Catalog) -> str:
    """Which price copies between regions are sent at: nobody knows from where, so the dearer one
    where the regions are on several continents."""
    continents = {
        catalog.region(row.region)["continent"]
        for row in instance.regions
        if catalog.has("regions", row.region)
    }
    scope = "same_continent" if len(continents) <= 1 else "intercontinental"
    return f"egress_{scope}_usd_per_gb"


def _span(dates: Iterable[str]) -> str:
    known = sorted(date for date in dates if date and date != "user")
    if not known:
        return "user"
    return known[0] if known[0] == known[-1] else f"{known[0]} to {known[-1]}"


def _ages(instance: Instance, machines: Sequence[MachineFacts], catalog: Catalog) -> dict[str, str]:
    """Oldest and newest date of the rows used, by catalog table."""
    regions = [
        catalog.region(row.region)
        for row in instance.regions
        if catalog.has("regions", row.region)
        and row.carbon_gco2e_per_kwh is None
        and not is_overridden(catalog, "regions", row.region, "carbon_gco2e_per_kwh")
    ]
    hosted = [api_price(catalog, row.provider, row.llm) for row in instance.apis]
    ages = {
        "offers": _span(machine.price_date for machine in machines),
        "regions (carbon)": _span(
            str(int(row["carbon_year"] or row["country_carbon_year"] or 0) or "") for row in regions
        ),
        "accelerators": _span(
            str(catalog.accelerator(row.accelerator)["date"]) for row in instance.accelerators
        ),
        "llms": _span(str(catalog.llm(row.llm)["date"]) for row in instance.llms),
        "api_offers": _span(str(row["date"]) for row in hosted if row is not None),
        "ancillary_defaults": _span(catalog.dates("ancillary_defaults")),
        "latency": _span(catalog.dates("latency")),
    }
    return {table: span for table, span in ages.items() if span != "user"}


def _hosts_assumed(machines: Iterable[MachineFacts]) -> list[str]:
    """The machines whose host nobody gave, in a sentence, if there are any."""
    assumed = [m.machine for m in machines if "assumed" in (source_of(m, c) for c in HOST_COLUMNS)]
    if not assumed:
        return []
    named = ", ".join(assumed[:MOST_NAMED]) + (" ..." if len(assumed) > MOST_NAMED else "")
    return [
        f"vCPUs or memory of {named} are those usual beside the accelerator (median of the "
        "catalog's offers; none beside an edge module, whose power is that of all)."
    ]


def _assumptions(
    instance: Instance, catalog: Catalog, machines: Iterable[MachineFacts]
) -> tuple[str, ...]:
    """What was assumed because nobody said otherwise, one sentence each."""
    said = []
    carbon = instance.settings.carbon
    if carbon.accounting != "location":
        said.append(
            f"Carbon accounting is {carbon.accounting}, but the catalog's grid figures are "
            "location-based; only carbon_gco2e_per_kwh of regions.csv can state another."
        )
    said += [
        f"{row.column} of {row.id} is {row.value} by overrides.csv, in the place of the catalog's "
        f"({row.table}): {row.reason}."
        for row in instance.overrides[:MOST_OVERRIDES]
    ]
    if len(instance.overrides) > MOST_OVERRIDES:
        said.append(f"overrides.csv replaces {len(instance.overrides) - MOST_OVERRIDES} more.")
    idle = [
        row.accelerator
        for row in instance.accelerators
        if row.idle_w is None and catalog.accelerator(row.accelerator)["idle_w"] is None
    ]
    if idle:
        said.append(
            f"Idle power of {', '.join(idle)} is {idle_share(catalog):.0%} of its TDP "
            "(median of the accelerators with a reading)."
        )
    if machines and None in (
        carbon.host_w_per_accelerator,
        carbon.host_embodied_kgco2e_per_accelerator,
    ):
        said.append(
            f"A held host draws {HOST_W_PER_VCPU:g} W a vCPU and {HOST_W_PER_GB:g} W a GB; "
            f"its making is that of a server of {HOST_SERVER_KG:,.0f} kg by vCPUs and "
            f"{HOST_KG_PER_GB:.2f} kg a GB, without drives (Cloud Carbon Footprint)."
        )
        said += _hosts_assumed(machines)
    flat = [
        row.region
        for row in instance.regions
        if not catalog.has("regions", row.region)
        or catalog.region(row.region)["carbon_profile_zone"] is None
    ]
    if flat:
        said.append(
            f"No hourly carbon series for {', '.join(flat)}: its annual mean holds in every slice."
        )
    for api in instance.apis:
        moved = (api_price(catalog, api.provider, api.llm) or {}).get("note")
        if moved and api.output_usd_per_mtok is None:
            said.append(f"Price of {api.llm} by {api.provider}: {moved}.")
    dry = sorted({row.llm for row in instance.apis if row.water_l_per_ktok is None})
    if dry:
        usual, low, high = (
            catalog.parameter(f"hosted_water_{case}l_per_kgco2e") for case in ("", "low_", "high_")
        )
        said.append(
            f"Water of {', '.join(dry)} is {usual:g} l for every kgCO2e (between {low:g} and "
            f"{high:g}, by what is counted): water_l_per_ktok in apis.csv can state another."
        )
    own = [row.region for row in instance.regions if not catalog.has("regions", row.region)]
    if own:
        said.append(
            f"Electricity of {', '.join(own)} is counted without the water of its power plants."
        )
    stop = bounds(instance.settings.period)[1]
    ending = [row for row in instance.owned if row.end_date and end_of(row) < stop]
    for row in ending:
        said.append(
            f"{row.instances} of {row.offer} in {row.region} end on {row.end_date}, within the "
            "period: slices are cut there, and the hours after it are not covered."
        )
    estimated = sorted({row.task_class for row in instance.workloads}
                       - set(catalog.table("adaptation_priors")["task_class"]))  # fmt: skip
    if estimated:
        said.append(
            f"No published adaptation gains for task class {', '.join(estimated)}: "
            "the mean over all classes is used where quality.csv is silent."
        )
    said.append(
        "Where quality.csv is silent on an adaptation, the base quality is lifted by the "
        "published gain (a prior: small llms of 2023; the sign transfers better than the size)."
    )
    access_ms = catalog.parameter("access_network_rtt_ms")
    said.append(
        f"Users reach a region over the measured round trip, or "
        f"{catalog.parameter('latency_base_ms'):.0f} ms + "
        f"{1000.0 * catalog.parameter('latency_ms_per_km'):.1f} ms per 1,000 km where nobody "
        f"measured, plus {access_ms:g} ms of access network."
    )
    if machines:
        case = {
            "low": "published low case",
            "mid": "geometric mean of the published low and the modelled high case",
            "high": "modelled high case",
        }[carbon.embodied]
        said.append(
            f"Embodied carbon of accelerators is the {case} over "
            f"{carbon.accelerator_life_years:g} years."
        )
    return tuple(said)
