"""What all feeds have in common: the policy of a feed, and the settings that every reader has."""

from __future__ import annotations

import datetime as dt
import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from planner.errors import FeedError
from planner.feeds.http import Http
from planner.feeds.need import Need, NeededOffer
from planner.feeds.tables import KindName, Price, Reading
from planner.instance.schema import Positive, Row, Share

MARKET_COLUMNS = {
    "on-demand": "ondemand_usd_per_h",
    "spot": "spot_usd_per_h",
    "commit-1y": "commit_1y_usd_per_h",
    "commit-3y": "commit_3y_usd_per_h",
}
SAME_PRICE = 1e-9
"""Relative difference of two prices that are the same."""
HOURS_OF_TERM = {"commit-1y": 8_760.0, "commit-3y": 26_280.0}


class Feed(Row):
    """One section ``[feeds.NAME]`` of ``feeds.toml``: the policy, then what its reader needs."""

    kind: KindName
    """kind of table that it yields"""
    on_failure: Literal["stop", "last-good"] = "stop"
    """what to do when the last fetch failed or was refused: no plan, or the last good table"""
    max_age_h: Positive = 168.0
    """oldest table that may enter a plan, last good ones included"""
    max_move: Annotated[float, Field(gt=1.0)] = 10.0
    """a figure that moved by this factor or more, either way, is not believed"""
    warn_move: Annotated[float, Field(gt=1.0)] = 1.5
    """a figure that moved by this factor or more is pointed out"""
    max_missing_share: Share = 0.1
    """largest share of the figures it gave before that may be missing"""
    required_regions: tuple[str, ...] | None = None
    """regions that must be in the table; default: all that the source covers"""
    ignore: tuple[str, ...] = ()
    """what to leave alone: a region, region/offer, provider/llm or workload"""

    source_name: ClassVar[str]
    """the source in words, for messages"""

    @abstractmethod
    def read(self, need: Need, http: Http, at: dt.datetime) -> Reading:
        """Ask the source for what the instance needs, as of `at` (UTC).

        Raises FeedError where the answer is missing, partial, or not what was published as format.
        """

    def covered_regions(self, need: Need) -> tuple[str, ...]:
        """Regions of the instance that the source should have something to say about."""
        return ()


class PriceFeed(Feed):
    """A feed of machine prices from a provider's list."""

    kind: Literal["prices"] = "prices"
    markets: tuple[Literal["on-demand", "spot", "commit-1y", "commit-3y"], ...] | None = None
    """markets to take; default: all that the source has"""
    instance_types: Mapping[str, str] = Field(default_factory=dict)
    """region/offer of own offers -> the provider's name of the machine"""

    providers: ClassVar[tuple[str, ...]]
    """providers in the catalog that the source prices"""

    def wanted(self, need: Need) -> dict[tuple[str, str], NeededOffer]:
        """(provider's region, provider's name of the machine) -> offer of the instance.

        Raises FeedError where two offers of a region are the same machine, or nothing is wanted.
        """
        found: dict[tuple[str, str], NeededOffer] = {}
        for offer in need.offers:
            ignored = {offer.name, offer.region} & set(self.ignore)
            if offer.provider not in self.providers or ignored:
                continue
            name = self.instance_types.get(offer.name, offer.instance_type)
            if name is None:
                continue
            twin = found.setdefault((self.place_of(offer), name), offer)
            if twin is not offer:
                raise FeedError(f"{twin.name} and {offer.name} are both {name}: ignore one of them")
        if not found:
            raise FeedError(
                f"the instance has no machine that {self.source_name} prices "
                f"({', '.join(self.providers)}): delete the feed"
            )
        return found

    def place_of(self, offer: NeededOffer) -> str:
        """What the source calls the region of an offer."""
        return offer.provider_region

    def takes(self, market: str) -> bool:
        """Whether prices of the market are taken."""
        return self.markets is None or market in self.markets

    def covered_regions(self, need: Need) -> tuple[str, ...]:
        """Regions with a machine that the source can price."""
        return tuple(dict.fromkeys(offer.region for offer in self.wanted(need).values()))


class PriceSheet:
    """Prices as they are read, by offer and market; nothing is ever overwritten."""

    def __init__(self) -> None:
        self._prices: dict[NeededOffer, dict[str, float]] = {}

    def put(self, offer: NeededOffer, market: str, usd_per_h: float) -> None:
        """Note a price; FeedError where it cannot be one, or where another one stands already."""
        if not (math.isfinite(usd_per_h) and usd_per_h > 0.0):
            raise FeedError(f"{offer.name}: {usd_per_h:g} USD/h {market} is not a price")
        known = self._prices.setdefault(offer, {})
        before = known.setdefault(market, usd_per_h)
        if not math.isclose(before, usd_per_h, rel_tol=SAME_PRICE):
            raise FeedError(
                f"{offer.name}: two {market} prices, {before:g} and {usd_per_h:g} USD/h"
            )

    def rows(self) -> tuple[Price, ...]:
        """One row per offer with a price."""
        return tuple(
            Price(
                region=offer.region,
                offer=offer.offer,
                **{MARKET_COLUMNS[market]: price for market, price in prices.items()},
            )
            for offer, prices in self._prices.items()
        )

    def unpriced(self, wanted: Iterable[NeededOffer]) -> tuple[str, ...]:
        """A sentence about the offers that have no price at all, or none."""
        names = sorted(offer.name for offer in wanted if offer not in self._prices)
        return (f"not priced by the source: {', '.join(names)}",) if names else ()
