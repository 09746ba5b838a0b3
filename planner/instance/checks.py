"""Rules that join rows and tables, one function per rule; each names the rows and the remedy.

`TABLE_CHECKS` need the tables and the catalog; `FACT_CHECKS` find, with numbers, what can be proved
impossible before solving, once everything joins.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from statistics import median
from typing import Any, get_args

from planner.calibration import Calibration
from planner.catalog import Catalog
from planner.errors import PlannerError, RunError
from planner.incumbent import is_tables, read_tables
from planner.instance import schema as s
from planner.instance.calibrated import is_inside
from planner.instance.findings import Finding, near_matches, shortened
from planner.instance.overrides import apply_overrides
from planner.instance.resolve import api_price, split_list
from planner.instance.tables import Table
from planner.plan import Plan

SUM_TOLERANCE = 1e-6
FAR_ABOVE = 1_000.0


@dataclass(frozen=True)
class Tables:
    """Everything read from a folder, damaged or not."""

    folder: Path
    settings: s.Settings | None
    setting_lines: dict[str, int]
    workloads: Table[s.Workload]
    length_classes: Table[s.LengthClass]
    slices: Table[s.Slice]
    origins: Table[s.Origin]
    demand: Table[s.Demand]
    regions: Table[s.Region]
    accelerators: Table[s.Accelerator]
    llms: Table[s.Llm]
    quality: Table[s.Quality]
    offers: Table[s.Offer] = field(default_factory=lambda: Table("offers.csv", present=False))
    apis: Table[s.HostedApi] = field(default_factory=lambda: Table("apis.csv", present=False))
    variants: Table[s.Variant] = field(default_factory=lambda: Table("variants.csv", present=False))
    quotas: Table[s.Quota] = field(default_factory=lambda: Table("quotas.csv", present=False))
    owned: Table[s.Owned] = field(default_factory=lambda: Table("owned.csv", present=False))
    overrides: Table[s.Override] = field(
        default_factory=lambda: Table("overrides.csv", present=False)
    )

    @classmethod
    def of(cls, instance: s.Instance) -> Tables:
        """The rows of an instance that was read before, and changed since: no lines are known."""
        tables: dict[str, Table[Any]] = {
            name: Table(f"{name}.csv", rows, (None,) * len(rows), present=bool(rows))
            for name in s.TABLES
            for rows in [getattr(instance, name)]
        }
        return cls(Path(instance.folder), instance.settings, {}, **tables)

    def all(self) -> Iterator[tuple[str, Table[Any]]]:
        """(name, table) in the order of the format."""
        for name in s.TABLES:
            yield name, getattr(self, name)

    def setting(self, key: str, value: object, problem: str, remedy: str) -> Finding:
        """A finding about a key of ``instance.toml``."""
        line = self.setting_lines.get(key)
        return Finding("instance.toml", line, key, shortened(str(value)), problem, remedy)


Check = Callable[[Tables, Catalog], Iterator[Finding]]


# ------------------------------------------------------------------ within a table


def nothing_in_it(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """A required table has at least one row; so have those that own llms need."""
    for name, table in t.all():
        required = s.TABLES[name][1] or (name in s.OWN_FLEET and not t.apis.present)
        if required and table.whole and not table.rows:
            yield table.about("no rows", f"add at least one row, see {name} in FORMAT.md")
    if not t.apis.present:
        return
    if t.apis.whole and t.llms.whole and not (t.apis.rows or t.llms.rows):
        yield t.apis.about(
            "no rows, and llms.csv has none either: nothing can answer",
            "add a hosted llm, or an llm of your own in llms.csv",
        )
    for home in (t.regions, t.accelerators):
        if t.llms.rows and home.whole and not home.rows:
            yield home.about(
                "no rows, and llms.csv has llms of your own",
                "add at least one row, or leave llms.csv empty and buy every answer",
            )


KEYS: dict[str, tuple[str, ...]] = {
    "workloads": ("workload",),
    "length_classes": ("workload", "length_class"),
    "slices": ("slice",),
    "origins": ("origin",),
    "demand": ("workload", "origin", "slice"),
    "regions": ("region",),
    "accelerators": ("accelerator",),
    "llms": ("llm",),
    "quality": ("workload", "llm", "adaptation"),
    "offers": ("region", "offer"),
    "apis": ("llm", "provider", "region"),
    "variants": ("workload", "llm", "adaptation", "method", "refresh_days", "check_llm"),
    "quotas": ("region", "accelerator", "market"),
    "overrides": ("table", "id", "column"),
}
"""What names a row; ``owned`` has none: its rows add up."""


def rows_said_twice(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """No two rows of a table have the same key."""
    for name, table in t.all():
        seen: dict[tuple[Any, ...], int | None] = {}
        for index, row in enumerate(table.rows):
            key = tuple(getattr(row, part) for part in KEYS.get(name, ()))
            first = seen.setdefault(key, table.lines[index]) if key else table.lines[index]
            if first != table.lines[index]:
                shown = "/".join(str(part) for part in key if part is not None)
                yield Finding(
                    table.file,
                    table.lines[index],
                    KEYS[name][-1] if len(key) == 1 else "+".join(KEYS[name]),
                    shortened(shown),
                    f"said before, on line {first}",
                    "delete one of the two rows",
                )


PLAUSIBLE: dict[str, dict[str, tuple[float, float]]] = {
    "workloads": {
        "expected_ttft_s": (0.01, 300.0),
        "ttft_target_s": (0.02, 300.0),
        "tpot_target_s": (0.001, 5.0),
        "consumption_tokens_per_s": (0.1, 10_000.0),
        "quality_exponent": (0.0, 10.0),
        "streaming_exponent": (0.0, 10.0),
        "qoe_weight": (1e-6, 1e6),
        "facts_change_per_day": (0.0, 1_000.0),
        "corpus_tokens": (0.0, 1e14),
        "rag_chunks": (0.0, 1_000.0),
        "rag_chunk_tokens": (10.0, 100_000.0),
        "reranked_documents": (0.0, 1_000.0),
        "training_tokens": (0.0, 1e12),
        "training_epochs": (0.01, 100.0),
        "index_replicas": (1, 20),
        "index_staff_h_per_month": (0.0, 2_000.0),
        "staff_h_per_refresh": (0.0, 10_000.0),
    },
    "length_classes": {
        "input_tokens": (1.0, 2e6),
        "output_tokens": (1.0, 2e5),
        "output_cv": (0.0, 10.0),
    },
    "slices": {"hours": (1e-3, 8_784.0)},
    "demand": {"requests_per_s": (1e-7, 1e6)},
    "quality": {"quality": (0.01, 1.0)},
    "regions": {
        "carbon_gco2e_per_kwh": (0.0, 2_000.0),
        "site_wue_l_per_kwh": (0.0, 50.0),
        "fixed_usd_per_month": (0.0, 1e8),
    },
    "accelerators": {
        "memory_gb": (1.0, 10_000.0),
        "tdp_w": (5.0, 20_000.0),
        "idle_w": (0.1, 5_000.0),
        "embodied_kgco2e": (0.0, 20_000.0),
    },
    "apis": {
        "ttft_s": (0.01, 300.0),
        "tpot_s": (1e-4, 5.0),
        "ttft_p95_over_mean": (1.0, 50.0),
        "gco2e_per_ktok": (0.0, 10_000.0),
        "water_l_per_ktok": (0.0, 1_000.0),
        "input_usd_per_mtok": (0.0, 10_000.0),
        "cached_input_usd_per_mtok": (0.0, 10_000.0),
        "output_usd_per_mtok": (0.0, 10_000.0),
        "peak_factor": (0.1, 20.0),
    },
    "variants": {"refresh_days": (1.0 / 24.0, 3_650.0)},
    "offers": {"vcpus": (0.0, 10_000.0), "ram_gb": (0.0, 1e6)},
    "owned": {"vcpus": (0.0, 10_000.0), "ram_gb": (0.0, 1e6)},
    "quotas": {"accelerators": (0.0, 1e6)},
}
"""Smallest and largest value that can be meant; outside, a unit is wrong or a digit slipped."""
PLAUSIBLE_SETTINGS: dict[str, tuple[float, float]] = {
    "period.hours": (1.0, 8_784.0),
    "money.staff_usd_per_h": (0.0, 5_000.0),
    "carbon.accelerator_life_years": (0.5, 30.0),
    "carbon.host_embodied_kgco2e_per_accelerator": (0.0, 20_000.0),
    "carbon.host_w_per_accelerator": (0.0, 5_000.0),
    "policy.shortfall_usd_per_request": (0.0, 1e6),
}
ZERO_MEANS_NONE = {"requests_per_s"}
"""Columns where 0 is as good as a plausible value."""
PRICE_PER_ACCELERATOR_USD_PER_H = (0.005, 200.0)
PRICES = ("ondemand_usd_per_h", "spot_usd_per_h", "commit_1y_usd_per_h", "commit_3y_usd_per_h")


def _outside(value: float | None, low: float, high: float) -> str:
    """Why a value cannot be meant, or nothing."""
    if value is None or low <= value <= high:
        return ""
    return f"implausible: outside {low:g} to {high:g}"


def implausible_magnitudes(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Every figure is of a size that can be meant."""
    remedy = "check the unit in the header and the number of digits"
    for name, bounds in PLAUSIBLE.items():
        table: Table[Any] = getattr(t, name)
        for index, row in enumerate(table.rows):
            for column, (low, high) in bounds.items():
                value = getattr(row, column)
                if value == 0.0 and column in ZERO_MEANS_NONE:
                    continue
                if problem := _outside(value, low, high):
                    yield table.finding(index, column, problem, remedy)
    if t.settings is not None:
        for key, (low, high) in PLAUSIBLE_SETTINGS.items():
            section, name = key.split(".")
            value = getattr(getattr(t.settings, section), name)
            if problem := _outside(value, low, high):
                yield t.setting(key, value, problem, remedy)


def serving_settings(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """The engine is a measured one; operating points and prompt lanes ascend, and can be meant."""
    if t.settings is None:
        return
    serving = t.settings.serving
    if "serving.engine" in t.setting_lines:
        engines = frozenset(catalog.serving_points["engine"])
        if serving.engine not in engines:
            yield t.setting(
                "serving.engine", serving.engine, "no measured point of this engine",
                near_matches(serving.engine, engines),
            )  # fmt: skip
    for key, values, low, high in (
        ("serving.operating_tpot_s", serving.operating_tpot_s, 0.002, 2.0),
        ("serving.prompt_lane_tokens", serving.prompt_lane_tokens, 16.0, 4e6),
    ):
        if values is None:
            continue
        shown = ", ".join(f"{value:g}" for value in values)
        if not values:
            yield t.setting(key, "[]", "an empty list", "give at least one value")
        elif list(values) != sorted(set(values)):
            yield t.setting(key, shown, "not ascending", "sort it, each value once")
        for value in values:
            if problem := _outside(value, low, high):
                yield t.setting(key, value, problem, "check the unit")


def calibration_unreadable(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """The calibration is a file of the folder, and one that can be meant."""
    name = None if t.settings is None else t.settings.serving.calibration
    if name is None:
        return
    key, remedy = "serving.calibration", "copy the file that `planner calibrate` wrote beside it"
    if not is_inside(t.folder, name):
        yield t.setting(key, name, "lies outside of the folder", remedy)
    elif not (t.folder / name).is_file():
        yield t.setting(key, name, "no such file", remedy)
    else:
        try:
            Calibration.load(t.folder / name)
        except PlannerError as error:
            yield t.setting(key, name, str(error), "or leave the setting out")


def task_class_names(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """A task class is a name; one without published gains takes the mean over all classes."""
    for index, row in enumerate(t.workloads.rows):
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.+\-]*", row.task_class):
            known = catalog.table("adaptation_priors")["task_class"]
            yield t.workloads.finding(index, "task_class", "not a name", near_matches("", known))


def whole_quotas(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Quotas count whole accelerators."""
    for index, row in enumerate(t.quotas.rows):
        if row.accelerators != round(row.accelerators):
            yield t.quotas.finding(
                index, "accelerators", "not a whole number", "count accelerators"
            )


def implausible_prices(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Prices per accelerator and hour can be meant, and a discount is one."""
    low, high = PRICE_PER_ACCELERATOR_USD_PER_H
    for index, row in enumerate(t.offers.rows):
        for column in PRICES:
            price = getattr(row, column)
            if price is None:
                continue
            each = price / row.accelerators
            if not low <= each <= high:
                yield t.offers.finding(
                    index,
                    column,
                    f"implausible: {each:,.4g} USD/h per accelerator, outside {low:g} to {high:g}",
                    "write USD per hour for the whole instance",
                )
            elif row.ondemand_usd_per_h is not None and price > row.ondemand_usd_per_h:
                yield t.offers.finding(
                    index,
                    column,
                    f"above the on-demand price {row.ondemand_usd_per_h:g}",
                    "swap or correct the prices",
                    name=f"offers/{row.region}/{row.offer}/{column}",
                )
    for index, owned in enumerate(t.owned.rows):
        each = owned.usd_per_h / (owned.accelerators or 1)
        if each > high * (1 if owned.accelerators else 16):
            yield t.owned.finding(
                index,
                "usd_per_h",
                f"implausible: {each:,.4g} USD/h per accelerator",
                "write USD per hour for one instance",
            )


# ------------------------------------------------------------------ references


def catalog_ids(catalog: Catalog, table: str) -> frozenset[str]:
    """Ids of a catalog table with a one-column key."""
    return frozenset(catalog.table(table)[KEYS_OF_CATALOG[table]].astype(str))


KEYS_OF_CATALOG = {"regions": "region", "accelerators": "accelerator", "llms": "llm"}


def offers_in(catalog: Catalog, region: str) -> frozenset[str]:
    """Offers of the catalog in a region."""
    frame = catalog.offers
    return frozenset(frame.loc[frame["region"] == region, "offer"])


def api_names(catalog: Catalog) -> frozenset[str]:
    """``provider/llm`` of every hosted llm of the catalog."""
    frame = catalog.api_offers
    return frozenset(frame["provider"] + "/" + frame["llm"])


def _llm_names(t: Tables) -> frozenset[str]:
    return t.llms.known("llm") | t.apis.known("llm")


def unknown_references(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Every name that a row borrows from another table is defined there."""
    workloads, llms = t.workloads.known("workload"), _llm_names(t)
    regions, accelerators = t.regions.known("region"), t.accelerators.known("accelerator")
    slices, origins = t.slices.known("slice"), t.origins.known("origin")
    star = frozenset({"*"})
    places = regions | catalog_ids(catalog, "regions")
    borrowed: list[tuple[Table[Any], str, frozenset[str], tuple[Table[Any], ...]]] = [
        (t.length_classes, "workload", workloads, (t.workloads,)),
        (t.origins, "region", places, (t.regions,)),
        (t.demand, "workload", workloads, (t.workloads,)),
        (t.demand, "origin", origins, (t.origins,)),
        (t.demand, "slice", slices, (t.slices,)),
        (t.quality, "workload", workloads | star, (t.workloads,)),
        (t.quality, "llm", llms, (t.llms, t.apis)),
        (t.variants, "workload", workloads | star, (t.workloads,)),
        (t.variants, "llm", llms, (t.llms, t.apis)),
        (t.variants, "check_llm", llms, (t.llms, t.apis)),
        (t.offers, "region", regions, (t.regions,)),
        (t.offers, "accelerator", accelerators, (t.accelerators,)),
        (t.apis, "region", regions, (t.regions,)),
        (t.quotas, "region", regions, (t.regions,)),
        (t.quotas, "accelerator", accelerators, (t.accelerators,)),
        (t.owned, "region", regions, (t.regions,)),
        (t.owned, "accelerator", accelerators, (t.accelerators,)),
    ]
    for table, column, known, homes in borrowed:
        if any(_unreadable(home) for home in homes):
            continue  # the home table itself could not be read: one mistake, one finding
        for index, row in enumerate(table.rows):
            name = getattr(row, column)
            if name is not None and name not in known:
                where = " or ".join(home.file for home in homes)
                yield table.finding(
                    index, column, f"not defined in {where}", near_matches(name, known - star)
                )


def _unreadable(table: Table[Any]) -> bool:
    return not table.whole and not table.rows and not table.lost


def unknown_catalog_ids(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Allowed regions (clouds), accelerators and llms are in the catalog."""
    for index, region in enumerate(t.regions.rows):
        if region.kind == "cloud" and not catalog.has("regions", region.region):
            yield t.regions.finding(
                index,
                "region",
                "not a region of the catalog",
                near_matches(region.region, catalog_ids(catalog, "regions"))
                + " (an own site has kind = own)",
            )
    for index, accelerator in enumerate(t.accelerators.rows):
        if not catalog.has("accelerators", accelerator.accelerator):
            yield t.accelerators.finding(
                index,
                "accelerator",
                "not an accelerator of the catalog",
                near_matches(accelerator.accelerator, catalog_ids(catalog, "accelerators")),
            )
    for index, llm in enumerate(t.llms.rows):
        if not catalog.has("llms", llm.llm):
            yield t.llms.finding(
                index,
                "llm",
                "not an llm of the catalog",
                near_matches(llm.llm, catalog_ids(catalog, "llms")),
            )


def impossible_overrides(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Overrides name an existing table, row and column, with a value that fits."""
    _, misfits = apply_overrides(catalog, t.overrides.rows)
    for misfit in misfits:
        yield t.overrides.finding(misfit.index, misfit.column, misfit.problem, misfit.remedy)


def incumbent_unreadable(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """The incumbent, if named, can be read (path from the instance folder)."""
    if t.settings is None or t.settings.incumbent is None:
        return
    name = t.settings.incumbent
    try:
        read_tables(t.folder / name) if is_tables(t.folder / name) else Plan.read(t.folder / name)
    except (RunError, ValueError, OSError, RecursionError, AttributeError) as error:
        yield t.setting(
            "incumbent",
            name,
            f"not a readable plan ({shortened(str(error), 160)})",
            "give the path of a run folder, a plan.json, or a folder with fleet.csv and "
            "adoption.csv, relative to the instance folder",
        )


# ------------------------------------------------------------------ workloads and demand


def length_shares(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Every workload has length classes, and their shares add up to 1."""
    if not (t.length_classes.whole and t.workloads.whole and t.length_classes.rows):
        return
    shares: dict[str, list[float]] = defaultdict(list)
    last: dict[str, int] = {}
    for index, row in enumerate(t.length_classes.rows):
        shares[row.workload].append(row.share)
        last[row.workload] = index
    for name, parts in shares.items():
        total = math.fsum(parts)
        if abs(total - 1.0) > SUM_TOLERANCE:
            yield t.length_classes.finding(
                last[name],
                "share",
                f"the shares of {name} add up to {total:g}, not 1",
                "correct the shares of its length classes",
            )
    for index, workload in enumerate(t.workloads.rows):
        if workload.workload not in shares:
            yield t.workloads.finding(
                index, "workload", "no row in length_classes.csv", "say how long its prompts are"
            )


def slice_hours(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """The hours of the slices add up to the period, and windows of the day are not empty."""
    for index, row in enumerate(t.slices.rows):
        if row.start_hour_utc == row.end_hour_utc:
            yield t.slices.finding(
                index,
                "end_hour_utc",
                "the window of the day is empty",
                "end after the start; 0 to 24 is the whole day, 22 to 6 is over midnight",
            )
        given = row.model_fields_set & {"start_hour_utc", "end_hour_utc"}
        if len(given) == 1:
            missing = "end_hour_utc" if "start_hour_utc" in given else "start_hour_utc"
            yield t.slices.finding(
                index, missing, "half a window of the day", "give both hours, or none"
            )
    if t.settings is None or not t.slices.whole or not t.slices.rows:
        return
    total = math.fsum(row.hours for row in t.slices.rows)
    hours = t.settings.period.hours
    if abs(total - hours) > SUM_TOLERANCE * hours:
        yield t.slices.about(
            f"the hours of the slices add up to {total:g}, the period has {hours:g}",
            "change the hours of a slice, or period.hours in instance.toml",
            "hours",
            f"{total:g}",
        )


def demand_rows(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Interactive demand names its slice, batch demand does not; every workload has some."""
    kinds = {row.workload: row.kind for row in t.workloads.rows}
    slices = t.slices.known("slice")
    total: dict[str, float] = defaultdict(float)
    for index, row in enumerate(t.demand.rows):
        total[row.workload] += row.requests_per_s
        kind = kinds.get(row.workload)
        if kind == "batch" and row.slice is not None:
            yield t.demand.finding(
                index,
                "slice",
                f"{row.workload} is batch: its demand has no slice of its own",
                "leave slice blank and name the slices in allowed_slices, if not all",
            )
        if kind == "interactive" and row.slice is None:
            yield t.demand.finding(
                index,
                "slice",
                f"{row.workload} is interactive: its demand needs a slice",
                "give one row per slice, or set kind = batch in workloads.csv",
            )
        if row.allowed_slices is None:
            continue
        if kind == "interactive":
            yield t.demand.finding(
                index,
                "allowed_slices",
                "only batch demand may wait",
                "leave it blank, or set kind = batch in workloads.csv",
            )
        for name in split_list(row.allowed_slices):
            if name not in slices and not _unreadable(t.slices):
                yield t.demand.finding(
                    index,
                    "allowed_slices",
                    f"{name!r} is not defined in slices.csv",
                    near_matches(name, slices),
                )
    if not (t.demand.whole and t.demand.rows):
        return
    for index, workload in enumerate(t.workloads.rows):
        if total[workload.workload] <= 0.0:
            yield t.workloads.finding(
                index,
                "workload",
                "no demand in demand.csv",
                "give it a rate above 0, or delete the workload",
            )


# ------------------------------------------------------------------ places


def demand_in_every_slice(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Interactive demand of an origin says every slice, and no rate is far above the others."""
    if not (t.demand.whole and t.slices.whole and t.workloads.whole):
        return
    interactive = {row.workload for row in t.workloads.rows if row.kind == "interactive"}
    known = t.slices.known("slice")
    workloads = t.workloads.known("workload")
    if any(row.workload not in workloads for row in t.demand.rows) or any(
        row.slice is not None and row.slice not in known for row in t.demand.rows
    ):
        return  # reported as unknown references: the gap they leave is the same mistake
    said: dict[tuple[str, str], dict[str | None, int]] = defaultdict(dict)
    twice: set[tuple[str, str]] = set()
    rates: dict[str, list[float]] = defaultdict(list)
    for index, row in enumerate(t.demand.rows):
        if row.slice in said[row.workload, row.origin]:
            twice.add((row.workload, row.origin))
        said[row.workload, row.origin][row.slice] = index
        if row.requests_per_s > 0.0:
            rates[row.workload].append(row.requests_per_s)
    for (workload, origin), slices in said.items():
        missing = [part.slice for part in t.slices.rows if part.slice not in slices]
        if (workload, origin) in twice or None in slices:
            continue  # reported already
        if workload in interactive and missing:
            yield t.demand.finding(
                max(slices.values()),
                "slice",
                f"{workload} from {origin} has no row for {shortened(', '.join(missing))}",
                "add the row, with rate 0 if nobody asks",
            )
    medians = {workload: median(positive) for workload, positive in rates.items()}
    for index, row in enumerate(t.demand.rows):
        usual = medians.get(row.workload, 0.0)
        if FAR_ABOVE * usual < row.requests_per_s <= PLAUSIBLE["demand"]["requests_per_s"][1]:
            yield t.demand.finding(
                index,
                "requests_per_s",
                f"implausible: over {FAR_ABOVE:,.0f} times {usual:.4g}, "
                f"the median rate of {row.workload}",
                "check the unit in the header and the number of digits",
                name=f"demand/{row.workload}/{row.origin}/requests_per_s",
            )


def places(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Origins have one place; own and edge sites give place and figures."""
    for index, origin in enumerate(t.origins.rows):
        own_place = origin.lat is not None and origin.lon is not None
        if origin.region is None and not own_place:
            yield t.origins.finding(index, "origin", "no place", "give region, or lat and lon")
        if origin.region is not None and (origin.lat is not None or origin.lon is not None):
            yield t.origins.finding(
                index, "region", "the place is said twice", "give region, or lat and lon, not both"
            )
    for index, region in enumerate(t.regions.rows):
        if (region.lat is None) != (region.lon is None):
            yield t.regions.finding(
                index,
                "lat" if region.lat is None else "lon",
                "half a place",
                "give both lat and lon, or none",
            )
        if catalog.has("regions", region.region) or region.kind == "cloud":
            continue
        for column in ("lat", "lon", "carbon_gco2e_per_kwh", "pue"):
            if getattr(region, column) is None and (column != "lon" or region.lat is None):
                yield t.regions.finding(
                    index,
                    column,
                    f"blank, and {region.region} is not in the catalog",
                    f"an {region.kind} site gives lat, lon, carbon_gco2e_per_kwh and pue",
                )


def residency_of(region: s.Region, catalog: Catalog) -> frozenset[str]:
    """Residency tags of a region: the user's, else the catalog's."""
    if region.residency is not None:
        return frozenset(split_list(region.residency))
    if not catalog.has("regions", region.region):
        return frozenset()
    return frozenset(split_list(catalog.region(region.region)["residency"]))


def residency_nowhere(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Some allowed region meets every residency that a workload asks for, often enough."""
    if not (t.regions.whole and t.regions.rows):
        return
    tags = {row.region: residency_of(row, catalog) for row in t.regions.rows}
    known = frozenset().union(*tags.values())
    for index, row in enumerate(t.workloads.rows):
        allowed = [name for name, held in tags.items() if row.residency in {None, *held}]
        if row.residency is not None and not allowed:
            yield t.workloads.finding(
                index,
                "residency",
                "no allowed region has this tag",
                near_matches(row.residency, known),
            )
            continue
        if row.min_regions > len(allowed):
            yield t.workloads.finding(
                index,
                "min_regions",
                f"only {len(allowed)} allowed regions may serve it",
                "lower min_regions, or allow more regions",
            )
    if t.settings is None:
        return
    policy = t.settings.policy
    most = max((row.min_regions for row in t.workloads.rows), default=1)
    if policy.max_regions is not None and policy.max_regions < most:
        yield t.setting(
            "policy.max_regions",
            policy.max_regions,
            f"a workload asks for {most} regions",
            "raise it, or lower min_regions in workloads.csv",
        )


def loss_of_a_region(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Of n regions at most 1 - 1/n survives the loss of one; demand that may wait is not held."""
    if t.settings is None or not (t.regions.whole and t.regions.rows):
        return
    asked = t.settings.policy.region_loss_share
    anywhere = any(row.region is None for row in t.apis.rows)
    tags = [residency_of(row, catalog) for row in t.regions.rows]
    found: dict[str, Finding] = {}  # the policy's share is told once
    for index, row in enumerate(t.workloads.rows):
        own = row.region_loss_share
        share = asked if own is None else own
        regions = sum(row.residency in {None, *held} for held in tags)
        if row.kind == "batch":
            if share > 0.0:
                yield _lost_batch(t, index)
        elif regions and not anywhere and share > 1.0 - 1.0 / regions + SUM_TOLERANCE:
            left = f"{1.0 - 1.0 / regions:.4g} survives the loss of one"
            problem = f"of {regions} allowed regions for {row.workload} at most {left}"
            finding = _loss(t, index, problem, "lower the share, or allow more regions")
            found.setdefault(finding.place, finding)
    yield from found.values()


def _lost_batch(t: Tables, index: int) -> Finding:
    name = t.workloads.rows[index].workload
    found = _loss(
        t, index, f"{name} is batch, which may wait: the loss of a region does not bind it",
        "spread it with min_regions, or give it a region_loss_share of 0",
    )  # fmt: skip
    return replace(found, warning=True, name=f"workloads/{name}/region_loss_share")


def _loss(t: Tables, index: int, problem: str, remedy: str) -> Finding:
    """About the share that holds for a workload: its own, else the policy's."""
    key = "region_loss_share"
    if t.workloads.rows[index].region_loss_share is not None:
        return t.workloads.finding(index, key, problem, remedy)
    assert t.settings is not None
    return t.setting(f"policy.{key}", t.settings.policy.region_loss_share, problem, remedy)


# ------------------------------------------------------------------ llms, quality and variants


def precision_lists(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Precisions are known words, each said once."""
    known = get_args(s.Precision)
    for index, row in enumerate(t.llms.rows):
        if row.precisions is None:
            continue
        names = split_list(row.precisions)
        if not names:
            yield t.llms.finding(index, "precisions", "no precision", near_matches("", known))
        for name in names:
            if name not in known:
                yield t.llms.finding(
                    index, "precisions", f"{name!r} is not a precision", near_matches(name, known)
                )
        if len(set(names)) < len(names):
            yield t.llms.finding(index, "precisions", "a precision twice", "write each once")


def variant_rows(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Variants make sense: check llm and share go together, an adaptation has its material."""
    own = t.llms.known("llm")
    workloads = {row.workload: row for row in t.workloads.rows}
    for index, row in enumerate(t.variants.rows):
        if (row.check_llm is None) != (row.check_share == 0.0):
            yield t.variants.finding(
                index,
                "check_share",
                "check_llm and check_share go together",
                "give both, the share above 0, or neither",
            )
        if row.check_llm == row.llm:
            yield t.variants.finding(
                index, "check_llm", "an llm cannot check itself", "name a larger llm"
            )
        tuned = row.adaptation in {"fine-tune", "rag+fine-tune"}
        if tuned and row.llm not in own and not _unreadable(t.llms) and row.llm in _llm_names(t):
            yield t.variants.finding(
                index,
                "adaptation",
                f"{row.llm} is bought by the token and cannot be tuned here",
                "use base or rag, or allow the llm in llms.csv",
            )
        if row.adaptation == "base" and row.refresh_days is not None:
            yield t.variants.finding(
                index, "refresh_days", "base has nothing to refresh", "leave it blank"
            )
        if not t.workloads.whole:
            continue
        meant = (
            list(workloads.values())
            if row.workload == "*"
            else [workloads[name] for name in (row.workload,) if name in workloads]
        )
        for needed, column in _material(row.adaptation):
            if meant and not any(getattr(workload, column) > 0.0 for workload in meant):
                yield t.variants.finding(
                    index,
                    "adaptation",
                    f"{needed} needs {column}, which is 0",
                    f"give {column} of {row.workload} in workloads.csv, or delete the row",
                )


def _material(adaptation: str) -> list[tuple[str, str]]:
    """(step, column of workloads that feeds it) of an adaptation."""
    needs = []
    if "rag" in adaptation:
        needs.append(("rag", "corpus_tokens"))
    if "fine-tune" in adaptation:
        needs.append(("fine-tune", "training_tokens"))
    return needs


def missing_quality(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Base quality is given for every llm that may answer a workload."""
    if not all(table.whole for table in (t.quality, t.workloads, t.llms, t.apis, t.variants)):
        return
    given = {(row.workload, row.llm) for row in t.quality.rows if row.adaptation == "base"}
    own = {row.llm for row in t.llms.rows if catalog.has("llms", row.llm)}
    known = own | t.apis.known("llm")
    for workload in t.workloads.rows:
        name = workload.workload
        meant = [row for row in t.variants.rows if row.workload in {"*", name}]
        if t.variants.rows and not meant:
            yield t.variants.about(
                f"no variant for {name}", "add a row for it, or one for *", "workload"
            )
        asked = {row.llm for row in meant} | {row.check_llm for row in meant}
        for llm in sorted(known & asked if t.variants.rows else known):
            if not {(name, llm), ("*", llm)} & given:
                yield t.quality.about(
                    f"no base quality of {llm} for {name}",
                    f"add a row {name},{llm},base with its measured quality",
                    "quality",
                )


# ------------------------------------------------------------------ offers and machines


def offer_rows(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Offers have a price or an owner, and the size of the catalog's machine of that name."""
    owned = {(row.region, row.offer) for row in t.owned.rows}
    for index, row in enumerate(t.offers.rows):
        if catalog.has("offers", row.region, row.offer):
            listed = catalog.offer(row.region, row.offer)
            for column in ("accelerator", "accelerators"):
                if getattr(row, column) != listed[column]:
                    yield t.offers.finding(
                        index,
                        column,
                        f"the catalog's {row.offer} has {listed['accelerators']} "
                        f"{listed['accelerator']}",
                        "correct it, or give your offer another name",
                    )
        priced = any(getattr(row, column) is not None for column in PRICES)
        if not priced and (row.region, row.offer) not in owned:
            yield t.offers.finding(
                index, "ondemand_usd_per_h", "no price in any market", "give at least one price"
            )


def owned_rows(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Owned machines are known by their offer or say what they are, and outlast the start."""
    sizes = {(row.region, row.offer): (row.accelerator, row.accelerators) for row in t.offers.rows}
    for row in t.owned.rows:  # rows of one machine need to say only once what it is
        if row.accelerator is not None and row.accelerators is not None:
            sizes.setdefault((row.region, row.offer), (row.accelerator, row.accelerators))
    lost = {(cells.get("region"), cells.get("offer")) for cells in t.offers.lost}
    for index, machine in enumerate(t.owned.rows):
        key = (machine.region, machine.offer)
        known = sizes.get(key)
        if catalog.has("offers", *key):
            listed = catalog.offer(*key)
            known = (str(listed["accelerator"]), int(listed["accelerators"]))
        if known is None and key not in lost and not _unreadable(t.offers):
            if machine.accelerator is None or machine.accelerators is None:
                yield t.owned.finding(
                    index,
                    "offer",
                    f"no such offer in {machine.region}",
                    near_matches(machine.offer, offers_in(catalog, machine.region))
                    + "; or give accelerator and accelerators",
                )
        elif known is not None:
            for column, value in zip(("accelerator", "accelerators"), known, strict=True):
                said = getattr(machine, column)
                if said is not None and said != value:
                    yield t.owned.finding(
                        index, column, f"the offer has {value}", "correct it, or leave it blank"
                    )
            if t.accelerators.whole and known[0] not in t.accelerators.known("accelerator"):
                yield t.owned.finding(
                    index,
                    "offer",
                    f"its accelerator {known[0]} is not in accelerators.csv",
                    f"add {known[0]} to accelerators.csv",
                )
        start = t.settings.period.start if t.settings else None
        if start and machine.end_date is not None and machine.end_date < start:
            yield t.owned.finding(
                index, "end_date", f"over before the period starts on {start}", "delete the row"
            )


def api_rows(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Hosted llms have prices, the user's or the catalog's, and names of their own."""
    own = t.llms.known("llm")
    peak = ("peak_hours_utc", "peak_factor")
    for index, row in enumerate(t.apis.rows):
        given = [name for name in peak if getattr(row, name) is not None]
        if len(given) == 1:
            (blank,) = set(peak) - set(given)
            yield t.apis.finding(
                index,
                blank,
                f"blank beside {given[0]}",
                "hours that are dearer need both: which hours, and how many times the price",
            )
        if row.llm in own:
            yield t.apis.finding(
                index,
                "llm",
                "also in llms.csv: bought and own llms need different names",
                "use the provider's name of it, and that name in quality.csv and variants.csv",
            )
        known = api_price(catalog, row.provider, row.llm) or {}
        missing = [
            name
            for name in ("input_usd_per_mtok", "output_usd_per_mtok")
            if getattr(row, name) is None and known.get(name) is None
        ]
        for name in missing[:1]:
            yield t.apis.finding(
                index,
                name,
                f"blank, and the catalog has no price of {row.llm} at {row.provider}",
                near_matches(f"{row.provider}/{row.llm}", api_names(catalog))
                + "; or give the prices",
            )


TABLE_CHECKS: tuple[Check, ...] = (
    nothing_in_it,
    rows_said_twice,
    implausible_magnitudes,
    implausible_prices,
    serving_settings,
    calibration_unreadable,
    task_class_names,
    whole_quotas,
    unknown_references,
    unknown_catalog_ids,
    impossible_overrides,
    incumbent_unreadable,
    length_shares,
    slice_hours,
    demand_rows,
    demand_in_every_slice,
    places,
    residency_nowhere,
    loss_of_a_region,
    precision_lists,
    variant_rows,
    missing_quality,
    offer_rows,
    owned_rows,
    api_rows,
)

RULES_OF_CHANGES: tuple[Check, ...] = (
    whole_quotas,
    length_shares,
    demand_rows,
    demand_in_every_slice,
    residency_nowhere,
    variant_rows,
)
"""Those that join rows and tables by figures, which a change may move."""

assert {f.name for f in fields(Tables)} >= set(s.TABLES), "a table of the format is not read"
