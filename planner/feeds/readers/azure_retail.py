"""Azure Retail Prices: list prices of virtual machines, without an account.

Published format (https://learn.microsoft.com/rest/api/cost-management/retail-prices/
azure-retail-prices): GET with an OData ``$filter``; a page of at most 1,000 meters ::

    {"BillingCurrency": "USD", "Items": [{"currencyCode": "USD", "tierMinimumUnits": 0.0,
      "retailPrice": 98.32, "unitPrice": 98.32, "armRegionName": "eastus",
      "effectiveStartDate": "2023-12-01T00:00:00Z", "meterName": "ND96isr H100 v5",
      "productName": "Virtual Machines NDsrH100v5 Series", "skuName": "ND96isr H100 v5",
      "serviceName": "Virtual Machines", "unitOfMeasure": "1 Hour", "type": "Consumption",
      "isPrimaryMeterRegion": true, "armSkuName": "Standard_ND96isr_H100_v5"}],
     "NextPageLink": "https://prices.azure.com:443/api/retail/prices?...&$skip=1000", "Count": 1}

The last page has no ``NextPageLink``. A ``Reservation`` has a ``reservationTerm`` and the price of
the whole term; spot meters say so in their names. Charges follow primary meters only.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_pascal

from planner.errors import FeedError
from planner.feeds.feed import HOURS_OF_TERM, PriceFeed, PriceSheet
from planner.feeds.http import Http, same_host
from planner.feeds.need import Need
from planner.feeds.readers.parse import Published, moment, parsed
from planner.feeds.tables import Reading

HOURLY = "1 Hour"
NOT_BOUGHT = ("Windows", "Low Priority", "CloudServices", "Cloud Services")
TERMS = {"1 Year": "commit-1y", "3 Years": "commit-3y"}


class Meter(Published):
    """One price of the list, with the fields that are used."""

    currency_code: str
    tier_minimum_units: float
    retail_price: float
    unit_price: float
    arm_region_name: str
    arm_sku_name: str
    effective_start_date: str
    effective_end_date: str | None = None
    meter_name: str
    product_name: str
    sku_name: str
    unit_of_measure: str
    type: str
    is_primary_meter_region: bool
    reservation_term: str | None = None

    def market(self) -> str | None:
        """On-demand, spot or a commitment; None for what the planner does not buy."""
        names = f"{self.product_name} {self.sku_name} {self.meter_name}"
        if any(word in names for word in NOT_BOUGHT) or not self.is_primary_meter_region:
            return None
        if self.type == "Reservation":
            return TERMS.get(self.reservation_term or "")
        if self.type != "Consumption" or self.reservation_term is not None:
            return None
        spot = {"Spot" in self.sku_name, "Spot" in self.meter_name}
        if len(spot) > 1:
            raise FeedError(f"{self.arm_sku_name}: spot by one of its names, not by the other")
        return "spot" if True in spot else "on-demand"

    def usd_per_h(self, market: str) -> float:
        """The price of an hour; FeedError where its unit or currency is another."""
        if self.currency_code != "USD":
            raise FeedError(f"{self.arm_sku_name}: a price in {self.currency_code[:10]}, not USD")
        if self.unit_of_measure != HOURLY or self.tier_minimum_units != 0.0:
            raise FeedError(
                f"{self.arm_sku_name}: a price per {self.unit_of_measure[:30]!r} above "
                f"{self.tier_minimum_units:g} units, not per {HOURLY!r}"
            )
        if not math.isclose(self.retail_price, self.unit_price, rel_tol=1e-6):
            raise FeedError(
                f"{self.arm_sku_name}: retailPrice {self.retail_price:g} differs from unitPrice "
                f"{self.unit_price:g}"
            )
        return self.retail_price / HOURS_OF_TERM.get(market, 1.0)


class AzureRetail(PriceFeed):
    """``reader = "azure-retail"``: on-demand, spot and reserved prices of Azure's machines."""

    reader: Literal["azure-retail"]
    url: str = "https://prices.azure.com/api/retail/prices"
    """where the API answers"""
    machines_per_request: int = Field(default=15, ge=1, le=50)
    """machines named in one filter"""

    source_name: ClassVar[str] = "Azure Retail Prices"
    providers: ClassVar[tuple[str, ...]] = ("azure",)

    def read(self, need: Need, http: Http, at: dt.datetime) -> Reading:
        """List prices in force at `at`, USD per hour for a whole machine, Linux."""
        wanted = self.wanted(need)
        sheet = PriceSheet()
        for region, names in self._requests(list(wanted)):
            for meter in self._meters(http, region, names):
                if meter.arm_region_name != region or meter.arm_sku_name not in names:
                    raise FeedError(
                        f"asked for {region}, the answer has {meter.arm_sku_name[:60]} in "
                        f"{meter.arm_region_name[:40]}"
                    )
                with sheet.leaving_out():
                    market = meter.market()
                    if market is not None and self.takes(market) and _in_force(meter, at):
                        usd_per_h = meter.usd_per_h(market)
                        sheet.put(wanted[region, meter.arm_sku_name], market, usd_per_h)
        notes = self.gaps(need, sheet)
        return Reading("prices", sheet.rows(), at, self.url, tuple(http.answers), notes)

    def _requests(self, wanted: list[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
        """(region, names of machines), few enough for one filter."""
        for region in dict.fromkeys(region for region, _ in wanted):
            names = [name for place, name in wanted if place == region]
            for start in range(0, len(names), self.machines_per_request):
                yield region, names[start : start + self.machines_per_request]

    def _meters(self, http: Http, region: str, names: list[str]) -> Iterator[Meter]:
        """Every meter of a listing, page by page."""
        machines = " or ".join(f"armSkuName eq '{name}'" for name in names)
        condition = (
            f"serviceName eq 'Virtual Machines' and armRegionName eq '{region}' and ({machines})"
        )
        params = {"api-version": "2023-01-01-preview", "$filter": condition}
        page: Any = http.get_json(self.url, params=params)
        for number in http.pages(f"the price list of {region}"):
            content = parsed(Page, page, f"page {number} of {region}")
            if content.count != len(content.items):
                raise FeedError(
                    f"page {number} of {region} says {content.count} meters and holds "
                    f"{len(content.items)}: a partial answer"
                )
            yield from content.items
            if not content.next_page_link:
                return
            if not same_host(content.next_page_link, self.url):
                raise FeedError(f"page {number} of {region} continues on another host: refused")
            page = http.get_json(content.next_page_link)


class Page(Published):
    """One page of the list."""

    model_config = ConfigDict(alias_generator=to_pascal)

    billing_currency: Literal["USD"]
    items: list[Meter]
    next_page_link: str | None
    count: int


def _in_force(meter: Meter, at: dt.datetime) -> bool:
    """Whether the price has begun and has not ended."""
    if moment(meter.effective_start_date, meter.arm_sku_name) > at:
        return False
    return not meter.effective_end_date or moment(meter.effective_end_date, meter.arm_sku_name) > at
