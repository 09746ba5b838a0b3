"""The user's figures held against the catalog's: those that replace one, and those of its kind.

Every finding has a name, so that the user may say that it is meant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.catalog import Catalog
from planner.catalog.reader import KEYS
from planner.instance.checks import PRICE_PER_ACCELERATOR_USD_PER_H, PRICES, Tables
from planner.instance.doubts import ANY_OTHER, FAR, Doubt, Far, doubt, outside
from planner.instance.findings import Finding
from planner.instance.overrides import row_ids
from planner.instance.resolve import api_price, embodied_kgco2e, idle_share
from planner.instance.schema import Offer, Owned
from planner.instance.tables import Table
from planner.numbers import plain_number

if TYPE_CHECKING:
    from pandas import DataFrame

ONDEMAND, SPOT = "ondemand_usd_per_h", "spot_usd_per_h"
SPOT_BELOW_ONDEMAND = Far(12.0, 40.0)
"""Of a spot price where the catalog has only the on-demand price of the machine."""
NEW_PRICE, NEW_API_PRICE = 2.0, 10.0
"""Factors around the range that the catalog knows, for what it does not sell."""
OWNED_LOW, OWNED_HIGH = 5.0, 2.0
"""The same for machines owned: their cost may be that of power alone."""
API_GRAMS = (1e-3, 100.0)
"""gCO2e per 1,000 tokens that hosted llms are known to have, with room."""


DEFAULTED = {
    "money": ("staff_usd_per_h",),
    "migration": ("load_gb_per_s", "network_kwh_per_gb"),
}
"""Figures of ``instance.toml`` whose defaults tell their size."""
USUAL_HOST = {"host_embodied_kgco2e_per_accelerator": 300.0, "host_w_per_accelerator": 150.0}
"""Kg and W of the host beside one accelerator of a server with eight: the size of such figures."""


@dataclass(frozen=True)
class Range:
    """Least and most price of an accelerator and hour that the catalog has, in any market."""

    low: float
    high: float


def offers_far_off(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Prices of ``offers.csv`` against those of the same machine, else of the accelerator."""
    for index, row in enumerate(t.offers.rows):
        listed = catalog.has("offers", row.region, row.offer)
        known = catalog.offer(row.region, row.offer) if listed else None
        if known is not None and known["accelerators"] != row.accelerators:
            continue  # another machine of that name: reported already
        for column in PRICES:
            value = getattr(row, column)
            if value is None or _reported(row, value):
                continue
            found = (
                _new_price(row, column, value, catalog) if known is None
                else replaced_price(column, value, known, row.accelerators)
            )  # fmt: skip
            yield from _told(t.offers, index, column, found, f"offers/{row.region}/{row.offer}")


def _reported(row: Offer, price: float) -> bool:
    """Whether the fixed limits, or another price of the row, refuse a price already."""
    low, high = PRICE_PER_ACCELERATOR_USD_PER_H
    most = price if row.ondemand_usd_per_h is None else row.ondemand_usd_per_h
    return not low <= price / row.accelerators <= high or price > most


def replaced_price(
    column: str, value: float, known: dict[str, Any], accelerators: int
) -> Doubt | None:
    """A price of a machine against the catalog's of that market, else on demand."""
    far, whose, old = FAR[column], "the catalog's", known.get(column)
    if old is None:
        old, whose = known.get(ONDEMAND), "the catalog's on-demand price,"
        far = SPOT_BELOW_ONDEMAND if column == SPOT else far
    if old is None:
        return None
    found = doubt(value, old, far, pieces=accelerators, whose=whose)
    if found is not None and column == SPOT and value > old / far.refused:
        return Doubt(found.problem, refused=False)  # spot prices move by more than slips do
    return found


def _new_price(row: Offer, column: str, value: float, catalog: Catalog) -> Doubt | None:
    span = price_range(catalog, row.accelerator, (ONDEMAND, column))
    if span is None:
        return None
    what = f"prices of one {row.accelerator} and hour"
    each = value / row.accelerators
    return _each(outside(each, span.low, span.high, NEW_PRICE, what), each)


def _each(found: Doubt | None, each: float) -> Doubt | None:
    """The doubt, with the price of one accelerator before it."""
    if found is None:
        return None
    return Doubt(f"{each:,.4g} USD/h per accelerator; {found.problem}", found.refused)


def price_range(catalog: Catalog, accelerator: str, columns: tuple[str, ...]) -> Range | None:
    """What one accelerator costs in the catalog, over some markets; None where it is not sold."""
    frame = catalog.offers
    frame = frame[frame["accelerator"] == accelerator]
    each = frame[list(columns)].div(frame["accelerators"], axis=0).to_numpy(dtype=float)
    return None if np.isnan(each).all() else Range(float(np.nanmin(each)), float(np.nanmax(each)))


def owned_far_off(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Cost of machines held against the price of the same machine, else of the accelerator."""
    for index, row in enumerate(t.owned.rows):
        listed = catalog.has("offers", row.region, row.offer)
        known = catalog.offer(row.region, row.offer) if listed else None
        found = _owned(row, known, catalog) if row.usd_per_h > 0.0 else None
        yield from _told(t.owned, index, "usd_per_h", found, f"owned/{row.region}/{row.offer}")


def _owned(row: Owned, known: dict[str, Any] | None, catalog: Catalog) -> Doubt | None:
    if known is not None and row.market != "owned":
        column = f"{row.market.replace('-', '_')}_usd_per_h"
        return replaced_price(column, row.usd_per_h, known, int(known["accelerators"]))
    card, size = (
        (row.accelerator, row.accelerators) if known is None
        else (str(known["accelerator"]), int(known["accelerators"]))
    )  # fmt: skip
    ondemand = None if known is None else known.get(ONDEMAND)
    if ondemand is not None and size:
        exact = doubt(row.usd_per_h, ondemand, Far(1e9, 1e9), pieces=size)
        if exact is not None:
            return exact
    span = price_range(catalog, card, (ONDEMAND,)) if card and size else None
    if span is None or not size:
        return None
    each, what = row.usd_per_h / size, f"prices of one {card} and hour"
    if each < span.low:
        low = outside(each, span.low, span.high, OWNED_LOW, what)
        return _each(None if low is None else Doubt(low.problem, refused=False), each)
    return _each(outside(each, span.low, span.high, OWNED_HIGH, what), each)


def regions_far_off(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Figures of ``regions.csv`` against the catalog's; carbon of an own site against all grids."""
    accounting = t.settings.carbon.accounting if t.settings else "location"
    for index, row in enumerate(t.regions.rows):
        listed = catalog.has("regions", row.region)
        for column in ("carbon_gco2e_per_kwh", "pue", "site_wue_l_per_kwh"):
            value = getattr(row, column)
            if value is None:
                continue
            found: Doubt | None = None
            if listed:
                found = doubt(value, float(catalog.region(row.region)[column] or 0.0), FAR[column])
            elif column == "carbon_gco2e_per_kwh" and value > 0.0:
                grids = catalog.regions[[column, f"provider_{column}"]].to_numpy(float)
                low, high = float(np.nanmin(grids)), float(np.nanmax(grids))
                found = outside(value, low, high, 1.5, "grids, in gCO2e per kWh,")
            if column == "carbon_gco2e_per_kwh" and accounting != "location":
                found = _of_another_account(value, found)
            yield from _told(t.regions, index, column, found, f"regions/{row.region}")


def _of_another_account(value: float, found: Doubt | None) -> Doubt | None:
    """Market-based and marginal figures may lie far from a mean; another unit is one still."""
    return found if found is not None and "unit" in found.problem and value > 0.0 else None


def accelerators_far_off(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Figures of ``accelerators.csv`` against the catalog's; idle power is below full power."""
    case = t.settings.carbon.embodied if t.settings else "mid"
    for index, row in enumerate(t.accelerators.rows):
        if not catalog.has("accelerators", row.accelerator):
            continue
        known = catalog.accelerator(row.accelerator)
        tdp_w = row.tdp_w or known["tdp_w"] or 0.0
        usual = {
            **known,
            "idle_w": known["idle_w"] or idle_share(catalog) * (known["tdp_w"] or 0.0),
            "embodied_kgco2e": embodied_kgco2e(known, case, catalog),
        }
        for column in ("memory_gb", "tdp_w", "idle_w", "embodied_kgco2e"):
            value = getattr(row, column)
            if value is None:
                continue
            found = doubt(value, float(usual[column] or 0.0), FAR[column])
            if column == "idle_w" and value > tdp_w > 0.0:
                found = Doubt(f"above its full power, {tdp_w:g} W", refused=True)
            name = f"accelerators/{row.accelerator}"
            yield from _told(t.accelerators, index, column, found, name)


def apis_far_off(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Prices of ``apis.csv`` against those of the same llm, else of all; and their carbon."""
    for index, row in enumerate(t.apis.rows):
        known = api_price(catalog, row.provider, row.llm) or {}
        name = f"apis/{row.provider}/{row.llm}"
        for column in ("input_usd_per_mtok", "cached_input_usd_per_mtok", "output_usd_per_mtok"):
            value = getattr(row, column)
            if value is None:
                continue
            if known.get(column) is not None:
                found = doubt(value, float(known[column]), FAR[column])
            else:
                found = _new_api_price(value, column, catalog)
            yield from _told(t.apis, index, column, found, name)
        grams = row.gco2e_per_ktok
        if grams > 0.0 and not API_GRAMS[0] <= grams <= API_GRAMS[1]:
            said = "hosted llms have about 0.01 to 10 gCO2e per 1,000 tokens"
            yield from _told(t.apis, index, "gco2e_per_ktok", Doubt(said, refused=False), name)


def _new_api_price(value: float, column: str, catalog: Catalog) -> Doubt | None:
    known = catalog.api_offers[column].dropna()
    known = known[known > 0.0]
    what = "prices of hosted llms, in USD per million tokens,"
    found = outside(value, float(known.min()), float(known.max()), NEW_API_PRICE, what)
    return None if found is None or value == 0.0 else Doubt(found.problem, refused=False)


def overrides_far_off(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Figures of ``overrides.csv`` against those that they replace."""
    for index, row in enumerate(t.overrides.rows):
        known = _cell(catalog, row.table, row.id, row.column)
        value = plain_number(row.value)
        if known is None or value is None:
            continue  # reported already, or text
        name = f"overrides/{row.table}/{row.id}"
        pieces = int(known.get("accelerators") or 1) if row.column in PRICES else 1
        if row.column in PRICES:
            found = replaced_price(row.column, value, known, pieces)
        else:
            found = _override(row.column, value, known.get(row.column))
        if row.column not in {"lat", "lon"}:
            yield from _told(t.overrides, index, "value", found, name, row.column)


def _override(column: str, value: float, old: object) -> Doubt | None:
    if value == 0.0 or not isinstance(old, Real):
        return None
    return doubt(abs(value), abs(float(old)), FAR.get(column, ANY_OTHER))


def _cell(catalog: Catalog, table: str, row_id: str, column: str) -> dict[str, Any] | None:
    """The row of the catalog that an override changes; None where there is none."""
    if table not in KEYS or table not in catalog.files:
        return None
    frame: DataFrame = catalog.table(table)
    at = row_ids(frame, KEYS[table]).get(row_id)
    if at is None or column not in frame.columns:
        return None
    return dict(frame.iloc[at].dropna())


def settings_far_off(t: Tables, catalog: Catalog) -> Iterator[Finding]:
    """Figures of ``instance.toml`` in another unit than that of the default in their place."""
    if t.settings is None:
        return
    usual = {f"carbon.{name}": (value, "a large server's") for name, value in USUAL_HOST.items()}
    for section, names in DEFAULTED.items():
        fields = type(getattr(t.settings, section)).model_fields
        usual |= {f"{section}.{name}": (fields[name].default, "the default's") for name in names}
    for key, (size, whose) in usual.items():
        section, name = key.split(".")
        value = getattr(getattr(t.settings, section), name)
        if value is None or value <= 0.0:
            continue
        found = doubt(value, size, Far(math.inf, math.inf), whose=whose)
        if found is not None:
            told = t.setting(key, value, found.problem, "check the unit")
            yield replace(told, warning=True, name=f"settings/{key}")


def _told(
    table: Table[Any], index: int, column: str, found: Doubt | None, name: str, said: str = ""
) -> Iterator[Finding]:
    """The doubt as a finding that may be accepted by the name of its cell."""
    if found is not None:
        yield table.finding(
            index,
            column,
            found.problem,
            "check the unit, and what it is the figure of",
            warning=not found.refused,
            name=f"{name}/{said or column}",
        )


AGAINST_CATALOG: tuple[Callable[[Tables, Catalog], Iterator[Finding]], ...] = (
    offers_far_off,
    owned_far_off,
    regions_far_off,
    accelerators_far_off,
    apis_far_off,
    overrides_far_off,
    settings_far_off,
)
