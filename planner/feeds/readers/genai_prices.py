"""genai-prices: list prices of hosted llms, collected by Pydantic.

Published format (https://github.com/pydantic/genai-prices, ``prices/new_data/v2/data.json``): a
list of providers with ``id`` and ``models``; a model has ``id`` and ``prices`` in USD per million
tokens ::

    {"id": "claude-haiku-4-5", "prices": {"input_mtok": 1, "cache_read_mtok": 0.1,
                                          "output_mtok": 5}}

A price may be ``{"base": 3, "tiers": [{"start": 200000, "price": 6}]}``: the base is taken, and
said. ``prices`` may be a list of ``{"constraint": {"start_date": "2026-03-13"}, "prices": {...}}``:
the last one in force counts, the first one where none is. A price that depends on the time of day
is no one figure: such an llm is not priced here, and the feed says so.

The package brings the same data but fetches them without bounds and keeps no raw answer; it is the
reference that the tests compare with.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from planner.errors import FeedError
from planner.feeds.feed import Feed, Naming, Remarks
from planner.feeds.http import Http
from planner.feeds.need import Need
from planner.feeds.readers.parse import Published, did_you_mean, parsed
from planner.feeds.tables import HostedPrice, Reading

DATA_TYPES = ("text/plain", "application/json")
PARTS = {
    "input_usd_per_mtok": "input_mtok",
    "cached_input_usd_per_mtok": "cache_read_mtok",
    "output_usd_per_mtok": "output_mtok",
}


class Snake(Published):
    """Base of this format's classes: names as they are."""

    model_config = ConfigDict(alias_generator=None)


class Tier(Snake):
    """A price above an amount of tokens."""

    start: int
    price: float


class Tiered(Snake):
    """A price that rises with the length of the prompt."""

    base: float
    tiers: list[Tier]


class TokenPrices(Snake):
    """Prices of one llm, USD per million tokens."""

    input_mtok: float | Tiered | None = None
    cache_read_mtok: float | Tiered | None = None
    output_mtok: float | Tiered | None = None


class Condition(Snake):
    """When a price holds; another kind of condition than these is refused."""

    model_config = ConfigDict(extra="forbid")

    start_date: str | None = None
    start_time: str | None = None
    end_time: str | None = None


class Conditional(Snake):
    """Prices with a condition."""

    constraint: Condition | None = None
    prices: TokenPrices


class Model(Snake):
    """One llm of a provider; its prices are read only if it is wanted."""

    id: str
    prices: dict[str, Any] | list[Any]


class Provider(Snake):
    """Who sells llms."""

    id: str
    models: list[Model]


class Providers(Snake):
    """The whole list."""

    providers: list[Provider]


class GenaiPrices(Feed):
    """``reader = "genai-prices"``: list prices of hosted llms."""

    reader: Literal["genai-prices"]
    kind: Literal["hosted-prices"] = "hosted-prices"
    url: str = (
        "https://raw.githubusercontent.com/pydantic/genai-prices/refs/heads/main/prices/"
        "new_data/v2/data.json"
    )
    """where the data are published"""
    names: Mapping[str, str] = Field(default_factory=dict)
    """provider/llm of ``apis.csv`` -> provider/id at the source, where they differ"""

    source_name: ClassVar[str] = "genai-prices"

    def read(self, need: Need, http: Http, at: dt.datetime) -> Reading:
        """Prices in force at `at`, USD per million tokens."""
        offered: dict[tuple[str, str], list[Model]] = defaultdict(list)
        answer = {"providers": http.get_json(self.url, types=DATA_TYPES)}
        for provider in parsed(Providers, answer, "genai-prices").providers:
            for model in provider.models:
                offered[provider.id, model.id].append(model)
        rows, remarks = [], Remarks()
        for api, source in self._wanted(need):
            try:
                rows.append(_priced(api, source, offered, at, remarks))
            except FeedError as error:
                remarks.note(f"not priced by the source, so as before: {'/'.join(api)} ({error})")
        return Reading(
            "hosted-prices", tuple(rows), at, self.url, tuple(http.answers), remarks.notes
        )

    def naming(self, need: Need) -> Iterator[Naming]:
        """Also the llms that are ignored, or named."""
        yield from super().naming(need)
        yield "ignore", self.ignore, need.names
        yield "names", self.names, ["/".join(key) for key in need.known("hosted-prices")]

    def _wanted(self, need: Need) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
        """(provider, llm) of the instance, and (provider, id) at the source."""
        if not need.facts.apis:
            raise FeedError("the instance buys no hosted llm (apis.csv): delete the feed")
        for api in dict.fromkeys((api.provider, api.llm) for api in need.facts.apis):
            name = "/".join(api)
            if name in self.ignore:
                continue
            if name in self.names:
                provider, _, model = self.names[name].partition("/")
                yield api, (provider, model)
            elif need.catalog.has("api_offers", *api):
                yield api, (api[0], str(need.catalog.row("api_offers", *api)["api_model"]))
            else:
                yield api, api


def _priced(
    api: tuple[str, str],
    source: tuple[str, str],
    offered: Mapping[tuple[str, str], Sequence[Model]],
    at: dt.datetime,
    remarks: Remarks,
) -> HostedPrice:
    """The prices of one llm; FeedError where the list has no one answer."""
    found = offered.get(source, ())
    if len(found) != 1:
        name = "/".join(source)
        hint = did_you_mean(name, map("/".join, offered)) if not found else ""
        raise FeedError(f"the list has {len(found) or 'no'} {name}{hint}")
    prices = in_force(found[0], at)
    if isinstance(prices, str):
        raise FeedError(prices)
    columns = {ours: getattr(prices, theirs) for ours, theirs in PARTS.items()}
    if any(isinstance(price, Tiered) for price in columns.values()):
        remarks.note(f"{'/'.join(api)}: dearer above a prompt length; the base price is taken")
    figures = {
        column: price.base if isinstance(price, Tiered) else price
        for column, price in columns.items()
    }
    if figures["input_usd_per_mtok"] is None or figures["output_usd_per_mtok"] is None:
        raise FeedError("no price of its prompt or of its answer")
    if any(price is not None and price < 0.0 for price in figures.values()):
        raise FeedError("a price below 0")
    return HostedPrice(provider=api[0], llm=api[1], **figures)


def in_force(model: Model, at: dt.datetime) -> TokenPrices | str:
    """The prices that hold at `at` (UTC), or why there is no one answer."""
    if isinstance(model.prices, dict):
        return parsed(TokenPrices, model.prices, model.id)
    choices = [parsed(Conditional, part, model.id) for part in model.prices]
    if not choices:
        raise FeedError(f"{model.id}: an empty list of prices")
    for choice in reversed(choices):
        condition = choice.constraint
        if condition is None:
            return choice.prices
        if condition.start_time is not None or condition.end_time is not None:
            return "its price depends on the time of day"
        if condition.start_date is None:
            raise FeedError(f"{model.id}: a condition that says nothing")
        try:
            if dt.date.fromisoformat(condition.start_date) <= at.date():
                return choice.prices
        except ValueError as error:
            raise FeedError(f"{model.id}: {condition.start_date[:40]!r} is no date") from error
    return choices[0].prices
