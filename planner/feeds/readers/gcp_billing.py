"""Google Cloud Billing Catalog: prices of machines, summed from cores, memory, GPUs and local SSD.

Published format (https://cloud.google.com/billing/v1/how-tos/catalog-api): pages of
``services/6F81-5844-456A/skus`` (Compute Engine) that go on while ``nextPageToken`` is not empty ::

    {"skus": [{"skuId": "...", "description": "A3 Instance Core running in Americas",
      "category": {"resourceFamily": "Compute", "resourceGroup": "CPU", "usageType": "OnDemand"},
      "serviceRegions": ["us-central1"],
      "pricingInfo": [{"pricingExpression": {"usageUnit": "h", "displayQuantity": 1,
        "tieredRates": [{"startUsageAmount": 0, "unitPrice": {"currencyCode": "USD",
          "units": "0", "nanos": 25498000}}]}, "currencyConversionRate": 1}]}],
     "nextPageToken": ""}

A machine type has no price of its own. It is the sum over its parts: vCPUs and GiB of memory (the
catalog's), accelerators, and the local SSD that some types always have (`LOCAL_SSD_GIB`; a GiB and
month costs a month's price over 730 h). Where a part has no price in a region, the machine is not
priced there, and the feed says so. TPU chips are not in this list.

The API key comes from the environment variable ``GOOGLE_CLOUD_API_KEY`` and travels in a header.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from planner.errors import FeedError
from planner.feeds.feed import PriceFeed, PriceSheet, listed
from planner.feeds.http import Http
from planner.feeds.need import Need, NeededOffer
from planner.feeds.readers.parse import Published, credential, parsed
from planner.feeds.tables import Reading

COMPUTE_ENGINE = "services/6F81-5844-456A"
KEY_VARIABLE = "GOOGLE_CLOUD_API_KEY"
HOURS_PER_MONTH = 730.0
USAGE = {"OnDemand": "on-demand", "Preemptible": "spot", "Commit1Yr": "commit-1y",
         "Commit3Yr": "commit-3y"}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """Something that a machine is made of, and what can be meant by its price."""

    unit: str
    """``usageUnit`` of the list"""
    low: float
    high: float
    """USD per unit: outside, a unit is wrong or a digit slipped"""


CORE = Part("h", 0.004, 0.15)
MEMORY = Part("GiBy.h", 0.0004, 0.02)
CARD = Part("h", 0.05, 60.0)
LOCAL_SSD = Part("GiBy.mo", 0.01, 0.5)


@dataclass(frozen=True)
class Family:
    """Machine types that are made of the same parts, as the list words them."""

    instance: str
    """of cores and memory, a regular expression"""
    card: str
    """of the accelerator, a regular expression"""


FAMILIES = {
    "a2-highgpu": Family("A2", "Nvidia Tesla A100 GPU"),
    "a2-megagpu": Family("A2", "Nvidia Tesla A100 GPU"),
    "a2-ultragpu": Family("A2", "Nvidia Tesla A100 80GB GPU"),
    "a3-highgpu": Family("A3", "Nvidia H100 80GB GPU"),
    "a3-megagpu": Family("A3Plus", "Nvidia H100 80GB (?:Plus|Mega) GPU"),
    "g2-standard": Family("G2", "Nvidia L4 GPU"),
    "g4-standard": Family("G4", "RTX 6000 96GB"),
}
LOCAL_SSD_GIB = {
    **{f"a2-ultragpu-{count}g": 375.0 * count for count in (1, 2, 4, 8)},
    **{f"a3-highgpu-{count}g": 750.0 * count for count in (1, 2, 4, 8)},
    "a3-megagpu-8g": 6_000.0,
}
"""GiB that are part of the machine type (https://cloud.google.com/compute/docs/disks/local-ssd)."""
SSD = "SSD backed Local Storage"


class Category(Published):
    """What kind of thing is sold."""

    usage_type: str


class Sku(Published):
    """The fields by which a thing is chosen; its price is read only if it is."""

    description: str
    category: Category
    service_regions: list[str]
    pricing_info: list[dict[str, Any]]


class Page(Published):
    """One page of the list."""

    skus: list[Sku]
    next_page_token: str = ""


class UnitPrice(Published):
    """An amount of money: whole units and billionths."""

    currency_code: Literal["USD"]
    units: str
    nanos: int


class Rate(Published):
    """The price from an amount of use on."""

    start_usage_amount: float
    unit_price: UnitPrice


class Expression(Published):
    """Unit and rates."""

    usage_unit: str
    display_quantity: float = 1.0
    tiered_rates: list[Rate]


class Pricing(Published):
    """Price of a SKU."""

    pricing_expression: Expression
    currency_conversion_rate: float = 1.0


Prices = dict[tuple[str, str, str], float | None]
"""(part, region, market) -> USD per unit; None: the list has two"""


class GcpBilling(PriceFeed):
    """``reader = "gcp-billing"``: prices of Google's machines from the billing catalog."""

    reader: Literal["gcp-billing"]
    url: str = "https://cloudbilling.googleapis.com/v1"
    """where the API answers"""

    source_name: ClassVar[str] = "the Google Cloud billing catalog"
    providers: ClassVar[tuple[str, ...]] = ("gcp",)

    def read(self, need: Need, http: Http, at: dt.datetime) -> Reading:
        """List prices at `at`, USD per hour for a whole machine."""
        wanted = self.wanted(need)
        names = {family_of(name) for _, name in wanted} & set(FAMILIES)
        patterns = {part: pattern for name in names for part, pattern in _patterns(name).items()}
        regions = {region for region, _ in wanted}
        sheet = PriceSheet()
        prices: Prices = {}
        for sku in self._skus(http):
            with sheet.leaving_out():
                for part, region, market, usd in _parts(sku, patterns, regions):
                    _put(prices, (part, region, market), usd, sku)
        missing: dict[str, list[str]] = defaultdict(list)
        for (region, name), offer in wanted.items():
            for market in filter(self.takes, self.sold):
                usd_per_h = machine_usd_per_h(offer, name, region, market, prices)
                if isinstance(usd_per_h, str):
                    missing[f"{market}, {usd_per_h}"].append(offer.name)
                else:
                    sheet.put(offer, market, usd_per_h)
        notes = (
            *self.gaps(need, sheet),
            *(
                f"not priced by the source ({why}): {listed(names)}"
                for why, names in missing.items()
            ),
        )
        return Reading("prices", sheet.rows(), at, self.url, tuple(http.answers), notes)

    def covered_regions(self, need: Need) -> tuple[str, ...]:
        """Regions with a machine whose parts are known."""
        return tuple(
            dict.fromkeys(
                offer.region
                for (_, name), offer in self.wanted(need).items()
                if family_of(name) in FAMILIES and offer.vcpus is not None
            )
        )

    def _skus(self, http: Http) -> Iterator[Sku]:
        """Everything Compute Engine sells, page by page."""
        headers = {"x-goog-api-key": credential(KEY_VARIABLE)}
        params = {"currencyCode": "USD", "pageSize": "5000"}
        for number in http.pages("the billing catalog"):
            page = parsed(
                Page,
                http.get_json(f"{self.url}/{COMPUTE_ENGINE}/skus", params=params, headers=headers),
                f"page {number} of the billing catalog",
            )
            yield from page.skus
            if not page.next_page_token:
                return
            params["pageToken"] = page.next_page_token


def _put(prices: Prices, key: tuple[str, str, str], usd: float, sku: Sku) -> None:
    """Note the price of a part; FeedError where there is another: neither is believed."""
    if prices.setdefault(key, usd) != usd:
        prices[key] = None
        raise FeedError(f"{sku.description!r} has two prices in {key[1]}")


def family_of(name: str) -> str:
    """``a3-highgpu-8g`` -> ``a3-highgpu``."""
    return name.rpartition("-")[0]


def machine_usd_per_h(
    offer: NeededOffer, name: str, region: str, market: str, prices: Prices
) -> float | str:
    """USD per hour of a machine type: the sum over its parts, or what is missing for it."""
    family = family_of(name)
    if family not in FAMILIES or offer.vcpus is None or offer.ram_gb is None:
        return "its parts are not known"
    amounts = {
        f"{FAMILIES[family].instance} core": offer.vcpus,
        f"{FAMILIES[family].instance} memory": offer.ram_gb,
        FAMILIES[family].card: float(offer.accelerators),
    }
    if name in LOCAL_SSD_GIB:
        amounts[SSD] = LOCAL_SSD_GIB[name] / HOURS_PER_MONTH
    total = 0.0
    for part, amount in amounts.items():
        usd = prices.get((part, region, market))
        if usd is None:
            return f"no price of {part}"
        total += amount * usd
    return total


def _patterns(family: str) -> dict[str, tuple[Part, str]]:
    """Part -> its price range and the words of its SKUs, a regular expression."""
    instance, card = FAMILIES[family].instance, FAMILIES[family].card
    spot = "(?:Spot Preemptible )?"
    term = "for (?:1 Year|3 Years?)"
    return {
        f"{instance} core": (
            CORE,
            f"{spot}{instance} Instance Core running in .+|"
            f"Commitment v1: {instance} Cpu in .+ {term}",
        ),
        f"{instance} memory": (
            MEMORY,
            f"{spot}{instance} Instance Ram running in .+|"
            f"Commitment v1: {instance} Ram in .+ {term}",
        ),
        card: (
            CARD,
            f"{card} (?:attached to Spot Preemptible VMs )?running in .+|"
            f"Commitment v1: {card} running in .+ {term}",
        ),
        SSD: (
            LOCAL_SSD,
            f"{SSD}(?: attached to Spot Preemptible VMs)?(?: in .+)?|"
            f"Commitment v1: Local SSD in .+ {term}",
        ),
    }


def _parts(
    sku: Sku, patterns: Mapping[str, tuple[Part, str]], wanted: Set[str]
) -> Iterator[tuple[str, str, str, float]]:
    """(part, region, market, USD per unit) that a SKU prices in the wanted regions."""
    market = USAGE.get(sku.category.usage_type)
    regions = [region for region in sku.service_regions if region in wanted]
    if market is None or not regions:
        return
    for part, (meant, pattern) in patterns.items():
        if not re.fullmatch(pattern, sku.description):
            continue
        if _said_market(sku.description) != market:
            raise FeedError(f"{sku.description!r} is sold as {sku.category.usage_type}")
        usd = _usd(sku, meant)
        for region in regions:
            yield part, region, market, usd


def _said_market(description: str) -> str:
    """The market by the words of a SKU."""
    if "Spot Preemptible" in description:
        return "spot"
    if description.startswith("Commitment"):
        return "commit-1y" if "1 Year" in description else "commit-3y"
    return "on-demand"


def _usd(sku: Sku, part: Part) -> float:
    """USD per unit; FeedError where unit, currency or size cannot be meant."""
    where = f"SKU {sku.description!r}"
    if len(sku.pricing_info) != 1:
        raise FeedError(f"{where} has {len(sku.pricing_info)} prices, not one")
    pricing = parsed(Pricing, sku.pricing_info[0], where)
    expression = pricing.pricing_expression
    if expression.usage_unit != part.unit or expression.display_quantity != 1.0:
        raise FeedError(f"{where} is priced per {expression.usage_unit[:20]}, not {part.unit}")
    if len(expression.tiered_rates) != 1 or expression.tiered_rates[0].start_usage_amount != 0.0:
        raise FeedError(f"{where}: its price depends on the amount")
    if pricing.currency_conversion_rate != 1.0:
        raise FeedError(f"{where}: converted from another currency")
    money = expression.tiered_rates[0].unit_price
    if not re.fullmatch(r"\d{1,6}", money.units) or not 0 <= money.nanos < 10**9:
        raise FeedError(f"{where}: {money.units[:20]} and {money.nanos} billionths is no price")
    usd = int(money.units) + money.nanos / 1e9
    if not part.low <= usd <= part.high:
        raise FeedError(
            f"{where}: {usd:g} USD per {part.unit} is outside {part.low:g} to {part.high:g}"
        )
    return usd
