"""What all feeds have in common: the policy of a feed, and the settings that every reader has."""

from __future__ import annotations

import datetime as dt
import math
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from planner.errors import FeedError
from planner.feeds.http import Http
from planner.feeds.need import Need, NeededOffer
from planner.feeds.tables import KindName, Price, ReaderDoubt, Reading
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
MOST_LISTED = 5
"""Names in one sentence; the others are counted."""
Naming = tuple[str, Iterable[str], Collection[str]]
"""A setting, the names in it, and the names that there are."""


def listed(parts: Collection[str], separator: str = ", ") -> str:
    """The first few of many."""
    shown = separator.join(list(parts)[:MOST_LISTED])
    more = len(parts) - MOST_LISTED
    return f"{shown} and {more} more" if more > 0 else shown


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
    trust: tuple[str, ...] = ()
    """whose figures are right however odd they look: a region, region/offer, ... or workload"""

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

    def trusts(self, name: str) -> bool:
        """Whether a person vouches for the figures of a row."""
        return any(name == word or name.startswith(f"{word}/") for word in self.trust)

    def naming(self, need: Need) -> Iterator[Naming]:
        """Settings that name something of the instance: a name that is none changes nothing."""
        yield "trust", self.trust, need.names


class Remarks:
    """What a reader leaves out, assumes or doubts, gathered as it reads."""

    def __init__(self) -> None:
        self._notes: list[str] = []
        self._doubts: list[ReaderDoubt] = []

    def note(self, text: str) -> None:
        """Say what was left out or assumed."""
        self._notes.append(text)

    def doubt(self, text: str, *about: str) -> None:
        """Say what a person must see first; `about` names the rows."""
        self._doubts.append(ReaderDoubt(text, about))

    @property
    def texts(self) -> tuple[str, ...]:
        """All that was noted or doubted."""
        return (*self._notes, *(doubt.text for doubt in self._doubts))

    @property
    def notes(self) -> tuple[str, ...]:
        """In the order in which they came."""
        return tuple(self._notes)

    @property
    def doubts(self) -> tuple[ReaderDoubt, ...]:
        """In the order in which they came."""
        return tuple(self._doubts)


class PriceFeed(Feed):
    """A feed of machine prices from a provider's list."""

    kind: Literal["prices"] = "prices"
    markets: tuple[Literal["on-demand", "spot", "commit-1y", "commit-3y"], ...] | None = None
    """markets to take; default: all that the source has"""
    instance_types: Mapping[str, str] = Field(default_factory=dict)
    """region/offer of own offers -> the provider's name of the machine"""

    providers: ClassVar[tuple[str, ...]]
    """providers in the catalog that the source prices"""
    sold: ClassVar[tuple[str, ...]] = tuple(MARKET_COLUMNS)
    """markets that the source has prices of"""

    def wanted(self, need: Need) -> dict[tuple[str, str], NeededOffer]:
        """(provider's region, provider's name of the machine) -> offer of the instance.

        Raises FeedError where two offers of a region are the same machine, or nothing is wanted.
        """
        found: dict[tuple[str, str], NeededOffer] = {}
        for offer in need.offers:
            name = self.machine_of(offer)
            if name is None or not self._asks_for(offer):
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

    def machine_of(self, offer: NeededOffer) -> str | None:
        """The provider's name of the machine; None where nobody said it."""
        return self.instance_types.get(offer.name, offer.instance_type)

    def _asks_for(self, offer: NeededOffer) -> bool:
        ignored = {offer.name, offer.region} & set(self.ignore)
        return offer.provider in self.providers and not ignored

    def place_of(self, offer: NeededOffer) -> str:
        """What the source calls the region of an offer."""
        return offer.provider_region

    def takes(self, market: str) -> bool:
        """Whether prices of the market are taken."""
        return self.markets is None or market in self.markets

    def covered_regions(self, need: Need) -> tuple[str, ...]:
        """Regions with a machine that the source can price."""
        return tuple(dict.fromkeys(offer.region for offer in self.wanted(need).values()))

    def naming(self, need: Need) -> Iterator[Naming]:
        """Also the offers that are ignored, or named."""
        yield from super().naming(need)
        yield "ignore", self.ignore, need.names
        yield "instance_types", self.instance_types, [offer.name for offer in need.offers]

    def gaps(self, need: Need, sheet: PriceSheet) -> tuple[str, ...]:
        """What the sheet lacks: cells left out, offers without a price, prices that stay old."""
        priced = {row.region + "/" + row.offer: row for row in sheet.rows()}
        unpriced = sorted(
            offer.name + (f" (asked for as {name})" if offer.name in self.instance_types else "")
            for (_, name), offer in self.wanted(need).items()
            if offer.name not in priced
        )
        today = need.today("prices")
        columns = [MARKET_COLUMNS[market] for market in self.sold if self.takes(market)]
        kept = [
            f"{name} {column} {today[f'{name} {column}']:g}"
            for name, row in sorted(priced.items())
            for column in columns
            if getattr(row, column) is None and f"{name} {column}" in today
        ]
        said = {
            "left out": sheet.left_out,
            "not priced by the source": unpriced,
            "not priced by the source, so as before": kept,
            "not asked for, say its name at the provider in instance_types": self._unnamed(need),
        }
        return tuple(f"{what}: {listed(names)}" for what, names in said.items() if names)

    def _unnamed(self, need: Need) -> list[str]:
        """Offers of the source's providers that are no machines of the catalog."""
        return [o.name for o in need.offers if self._asks_for(o) and self.machine_of(o) is None]


class PriceSheet:
    """Prices as they are read, by offer and market; nothing is ever overwritten."""

    def __init__(self) -> None:
        self._prices: dict[NeededOffer, dict[str, float]] = {}
        self._disputed: set[tuple[NeededOffer, str]] = set()
        self.left_out: list[str] = []
        """cells that cannot be prices, and why"""

    @contextmanager
    def leaving_out(self) -> Iterator[None]:
        """A cell that cannot be a price is left out and named; the rest of the list stands."""
        try:
            yield
        except FeedError as error:
            self.left_out.append(str(error))

    def put(self, offer: NeededOffer, market: str, usd_per_h: float) -> None:
        """Note a price; FeedError where it cannot be one, or where another one stands already.

        Of two prices neither is believed.
        """
        if not (math.isfinite(usd_per_h) and usd_per_h > 0.0):
            raise FeedError(f"{offer.name}: {usd_per_h:g} USD/h {market} is not a price")
        known = self._prices.setdefault(offer, {})
        before = known.setdefault(market, usd_per_h)
        if not math.isclose(before, usd_per_h, rel_tol=SAME_PRICE):
            self._disputed.add((offer, market))
            raise FeedError(
                f"{offer.name}: two {market} prices, {before:g} and {usd_per_h:g} USD/h"
            )

    def rows(self) -> tuple[Price, ...]:
        """One row per offer with a price."""
        found = []
        for offer, prices in self._prices.items():
            columns = {
                MARKET_COLUMNS[market]: price
                for market, price in prices.items()
                if (offer, market) not in self._disputed
            }
            if columns:
                found.append(Price(region=offer.region, offer=offer.offer, **columns))
        return tuple(found)
