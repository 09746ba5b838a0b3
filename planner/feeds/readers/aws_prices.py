"""AWS Price List: on-demand and reserved prices of EC2, by the Query API (``GetProducts``).

Published format (https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/
using-price-list-query-api.html): pages with a ``NextToken``; every entry of ``PriceList`` is itself
a JSON text ::

    {"product": {"sku": "A", "attributes": {"instanceType": "p5.48xlarge",
       "regionCode": "us-east-1", "operatingSystem": "Linux", "tenancy": "Shared",
       "preInstalledSw": "NA", "capacitystatus": "Used", "marketoption": "OnDemand",
       "locationType": "AWS Region", "operation": "RunInstances"}},
     "publicationDate": "2026-11-20T00:00:00Z", "terms": {
       "OnDemand": {"A.JRTCKXETXF": {"sku": "A", "priceDimensions": {"A.JRTCKXETXF.6YS6EN2CT7":
         {"unit": "Hrs", "pricePerUnit": {"USD": "98.3200000000"}}}, "termAttributes": {}}},
       "Reserved": {"A.4NA7Y494T4": {"sku": "A", "priceDimensions": {...}, "termAttributes":
         {"LeaseContractLength": "1yr", "OfferingClass": "standard",
          "PurchaseOption": "No Upfront"}}}}}

A term with an upfront fee has a second dimension, in ``Quantity``; it is spread over the term.
Extra ``aws`` (boto3); the caller needs ``pricing:GetProducts``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from planner.errors import FeedError
from planner.feeds.feed import HOURS_OF_TERM, PriceFeed, PriceSheet
from planner.feeds.http import Http, parse_json
from planner.feeds.need import Need, NeededOffer
from planner.feeds.readers.aws_client import AwsClients, boto_errors
from planner.feeds.readers.parse import Published, amount, parsed
from planner.feeds.tables import Reading

ASKED = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
    "locationType": "AWS Region",
    "operation": "RunInstances",
}
"""Attributes of a plain Linux machine that is paid by the hour (no capacity block, no host)."""
LEASES = {"1yr": "commit-1y", "3yr": "commit-3y"}


class Dimension(Published):
    """One price of a term."""

    unit: Literal["Hrs", "Quantity"]
    price_per_unit: dict[str, str]

    def usd(self, where: str) -> float:
        """The amount in US dollars; FeedError for another currency or no amount."""
        if set(self.price_per_unit) != {"USD"}:
            raise FeedError(f"{where}: a price in {', '.join(self.price_per_unit)[:40]}, not USD")
        text = self.price_per_unit["USD"]
        usd = amount(text)
        if usd is None:
            raise FeedError(f"{where}: {text[:40]!r} is not an amount")
        return usd


class Term(Published):
    """On-demand, or a reservation."""

    sku: str
    price_dimensions: dict[str, Dimension]
    term_attributes: dict[str, str]

    def amount(self, unit: str, where: str) -> float:
        """The price in this unit, 0 where the term has none; FeedError where it has two."""
        found = [part.usd(where) for part in self.price_dimensions.values() if part.unit == unit]
        if len(found) > 1:
            raise FeedError(f"{where}: {len(found)} prices in {unit}")
        return found[0] if found else 0.0


class Terms(Published):
    """Terms of a product by code."""

    on_demand: dict[str, Term] = Field(default_factory=dict, alias="OnDemand")
    reserved: dict[str, Term] = Field(default_factory=dict, alias="Reserved")


class Product(Published):
    """What is sold."""

    sku: str
    attributes: dict[str, str]


class Entry(Published):
    """One product with its terms."""

    product: Product
    terms: Terms


class AwsPrices(PriceFeed):
    """``reader = "aws-prices"``: on-demand and reserved list prices of AWS's machines."""

    reader: Literal["aws-prices"]
    purchase_option: Literal["No Upfront", "Partial Upfront", "All Upfront"] = "No Upfront"
    """how reservations are paid"""
    offering_class: Literal["standard", "convertible"] = "standard"
    """kind of reservation"""
    endpoint_url: str | None = None
    """where the API answers; default: AWS's own"""
    api_region: str = "us-east-1"
    """AWS region of the price list's API"""

    source_name: ClassVar[str] = "the AWS price list"
    providers: ClassVar[tuple[str, ...]] = ("aws",)
    sold: ClassVar[tuple[str, ...]] = ("on-demand", "commit-1y", "commit-3y")

    def read(self, need: Need, http: Http, at: dt.datetime) -> Reading:
        """List prices at `at`, USD per hour for a whole machine, Linux."""
        wanted = self.wanted(need)
        sheet = PriceSheet()
        client = AwsClients(http).client("pricing", self.api_region, self.endpoint_url)
        for name in dict.fromkeys(name for _, name in wanted):
            for entry in self._entries(client, http, name):
                region = entry.product.attributes["regionCode"]
                offer = wanted.get((region, name))
                if offer is not None:
                    self._put(sheet, offer, entry)
        source = self.endpoint_url or f"AWS Price List Query API ({self.api_region})"
        notes = self.gaps(need, sheet)
        return Reading("prices", sheet.rows(), at, source, tuple(http.answers), notes)

    def _entries(self, client: Any, http: Http, name: str) -> Iterator[Entry]:
        """Every product of this name, in all regions."""
        asked = {**ASKED, "instanceType": name}
        request: dict[str, Any] = {
            "ServiceCode": "AmazonEC2",
            "Filters": [
                {"Type": "TERM_MATCH", "Field": field, "Value": value}
                for field, value in asked.items()
            ],
        }
        for number in http.pages(f"the price list of {name}"):
            where = f"page {number} of {name}"
            with boto_errors(where):
                page = client.get_products(**request)
            texts = page.get("PriceList")
            if not isinstance(texts, list):
                raise FeedError(f"{where}: no PriceList")
            for text in texts:
                yield _entry(text, asked, where)
            if not page.get("NextToken"):
                return
            request["NextToken"] = page["NextToken"]

    def _put(self, sheet: PriceSheet, offer: NeededOffer, entry: Entry) -> None:
        """Note the prices of the terms that are taken, each for itself."""
        terms = [("on-demand", term) for term in entry.terms.on_demand.values()]
        terms += [
            (market, term)
            for term in entry.terms.reserved.values()
            if (market := self._market(term.term_attributes)) is not None
        ]
        for market, term in terms:
            if self.takes(market):
                with sheet.leaving_out():
                    where = f"{offer.name} {market}"
                    if term.sku != entry.product.sku:
                        raise FeedError(f"{where}: a term of another product ({term.sku[:40]})")
                    sheet.put(offer, market, self._usd_per_h(market, term, where))

    def _usd_per_h(self, market: str, term: Term, where: str) -> float:
        """What an hour costs, a fee spread over the term."""
        usd_per_h = term.amount("Hrs", where)
        if market == "on-demand":
            return usd_per_h
        fee = term.amount("Quantity", where)
        if fee > 0.0 and self.purchase_option == "No Upfront":
            raise FeedError(f"{where}: a fee of {fee:g} USD without an upfront payment")
        return usd_per_h + fee / HOURS_OF_TERM[market]

    def _market(self, attributes: Mapping[str, str]) -> str | None:
        if attributes.get("PurchaseOption") != self.purchase_option:
            return None
        if attributes.get("OfferingClass") != self.offering_class:
            return None
        return LEASES.get(attributes.get("LeaseContractLength", ""))


def _entry(text: Any, asked: Mapping[str, str], where: str) -> Entry:
    """One entry of a page; FeedError where it is not what was asked for."""
    if not isinstance(text, str):
        raise FeedError(f"{where}: an entry of PriceList that is no text")
    entry = parsed(Entry, parse_json(text.encode(), where), where)
    for field, value in asked.items():
        if entry.product.attributes.get(field) != value:
            found = entry.product.attributes.get(field, "nothing")
            raise FeedError(f"{where}: asked for {field} {value}, the answer has {found[:40]}")
    if "regionCode" not in entry.product.attributes:
        raise FeedError(f"{where}: a product without regionCode")
    return entry
