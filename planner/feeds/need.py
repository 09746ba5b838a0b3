"""What an instance needs of its feeds: which rows, under which names at the sources, and what it
says today (the figures that the first table of a feed is compared with)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from planner.catalog import Catalog
from planner.feeds.tables import (
    HOSTED_COLUMNS,
    KINDS,
    PRICE_COLUMNS,
    GridCarbon,
    HostedPrice,
    MeasuredDemand,
    MeasuredLength,
    Price,
    figures,
    key_of,
)
from planner.instance.facts import Facts
from planner.instance.schema import Instance, Row


@dataclass(frozen=True)
class NeededOffer:
    """A machine on sale in an allowed region, and what its provider calls it."""

    region: str
    """``provider:region``"""
    offer: str
    accelerators: int
    """in one instance"""
    provider: str
    provider_region: str
    instance_type: str | None
    """None: not a machine of the catalog"""
    vcpus: float | None
    ram_gb: float | None
    """the provider's own GiB"""

    @property
    def name(self) -> str:
        """``region/offer``."""
        return f"{self.region}/{self.offer}"


@dataclass(frozen=True, eq=False)
class Need:
    """Rows that the instance can use, and the figures that it has."""

    facts: Facts
    catalog: Catalog
    instance: Instance
    """the user's own words"""

    @cached_property
    def offers(self) -> tuple[NeededOffer, ...]:
        """Machines on sale or held, in the order of the facts."""
        providers = {region.region: region.provider for region in self.facts.regions}
        found = []
        for machine in self.facts.machines:
            known: Mapping[str, Any] = {}
            if self.catalog.has("offers", machine.region, machine.offer):
                known = self.catalog.offer(machine.region, machine.offer)
            found.append(
                NeededOffer(
                    region=machine.region,
                    offer=machine.offer,
                    accelerators=machine.accelerators,
                    provider=providers[machine.region],
                    provider_region=machine.region.partition(":")[2],
                    instance_type=known.get("instance_type"),
                    vcpus=known.get("vcpus"),
                    ram_gb=known.get("ram_gb"),
                )
            )
        return tuple(found)

    @cached_property
    def zones(self) -> dict[str, str]:
        """Region -> zone of its grid, where the catalog knows it."""
        return {
            region.region: str(row["grid_zone"])
            for region in self.facts.regions
            if self.catalog.has("regions", region.region)
            and (row := self.catalog.region(region.region))["grid_zone"] is not None
        }

    # ------------------------------------------------------------------ today's figures

    def known(self, kind: str) -> frozenset[tuple[str, ...]]:
        """Keys of the rows that the instance has a place for; carbon by region alone."""
        instance = self.instance
        match kind:
            case "prices":
                return frozenset((offer.region, offer.offer) for offer in self.offers)
            case "hosted-prices":
                return frozenset((api.provider, api.llm) for api in self.facts.apis)
            case "carbon":
                return frozenset((region.region,) for region in self.facts.regions)
            case "demand":
                return frozenset((d.workload, d.origin, d.slice or "") for d in instance.demand)
            case "lengths":
                return frozenset((row.workload,) for row in instance.workloads)
            case _:
                cards = [card.accelerator for card in self.facts.accelerators]
                markets = ("", "on-demand", "spot", "commit-1y", "commit-3y")
                return frozenset(
                    (region.region, card, market)
                    for region in self.facts.regions
                    for card in cards
                    for market in markets
                )

    @cached_property
    def names(self) -> frozenset[str]:
        """Regions, region/offer, providers, provider/llm, workloads, workload/origin ..."""
        keys = {key for kind in KINDS for key in self.known(kind)}
        return frozenset("/".join(key[:length]) for key in keys for length in (1, 2))

    def places(self, kind: str, row: Row) -> bool:
        """Whether the instance has a place for a row."""
        name = key_of(kind, row)
        return (name[:1] if kind == "carbon" else name) in self.known(kind)

    def today(self, kind: str) -> dict[str, float]:
        """Figure by name, as the instance and the catalog have it now."""
        return figures(kind, self._rows(kind))

    def _rows(self, kind: str) -> Iterable[Row]:
        match kind:
            case "prices":
                return [
                    Price(region=m.region, offer=m.offer,
                          **{column: getattr(m, column) for column in PRICE_COLUMNS})
                    for m in self.facts.machines
                ]  # fmt: skip
            case "hosted-prices":
                return [
                    HostedPrice(provider=a.provider, llm=a.llm,
                                **{column: getattr(a, column) for column in HOSTED_COLUMNS})
                    for a in self.facts.apis
                ]  # fmt: skip
            case "carbon":
                return self._carbon()
            case "demand":
                return [
                    MeasuredDemand(workload=d.workload, origin=d.origin, slice=d.slice,
                                   requests_per_s=d.requests_per_s)
                    for d in self.instance.demand
                ]  # fmt: skip
            case "lengths":
                return mean_lengths(self.instance)
            case _:
                return self.instance.quotas

    def _carbon(self) -> Iterator[GridCarbon]:
        for region in self.instance.regions:
            for month in range(1, 13):
                for hour in range(24):
                    level = self.carbon_gco2e_per_kwh(region.region, month, hour)
                    if level is not None:
                        yield GridCarbon(region=region.region, month=month, hour_utc=hour,
                                         gco2e_per_kwh=level, days=1)  # fmt: skip

    def carbon_gco2e_per_kwh(self, region: str, month: int, hour_utc: int) -> float | None:
        """What the instance says today; None where nothing is known."""
        own = {row.region: row.carbon_gco2e_per_kwh for row in self.instance.regions}.get(region)
        if not self.catalog.has("regions", region):
            return own
        profile = self.catalog.region_carbon_profile(region)
        level = profile.gco2e_per_kwh[month - 1][hour_utc]
        mean = profile.annual_mean_gco2e_per_kwh
        if own is None:
            return level
        return own * level / mean if mean > 0.0 else own


def mean_lengths(instance: Instance) -> tuple[MeasuredLength, ...]:
    """Mean prompt and answer of every workload over its length classes."""
    parts: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for row in instance.length_classes:
        parts[row.workload].append((row.share, row.input_tokens, row.output_tokens))
    return tuple(
        MeasuredLength(
            workload=name,
            input_tokens=math.fsum(share * prompt for share, prompt, _ in classes),
            output_tokens=math.fsum(share * answer for share, _, answer in classes),
        )
        for name, classes in parts.items()
    )


def need_of(folder: Path) -> Need:
    """The need of the instance in `folder`; InstanceError where it is invalid."""
    from planner.catalog import load_catalog
    from planner.instance.load import load_instance
    from planner.instance.resolve import resolve

    catalog = load_catalog()
    instance = load_instance(folder, catalog)
    return Need(resolve(instance, catalog), catalog, instance)
