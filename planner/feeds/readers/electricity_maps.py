"""Electricity Maps: measured carbon intensity of a region's grid.

Published format (https://portal.electricitymaps.com/developer-hub/api/reference, v3):
``/carbon-intensity/past-range`` with ``zone``, ``start`` and ``end`` (at most 10 days of hours)
answers ::

    {"zone": "DE", "data": [{"zone": "DE", "carbonIntensity": 322,
      "datetime": "2026-11-01T00:00:00.000Z", "emissionFactorType": "lifecycle",
      "isEstimated": false, "temporalGranularity": "hourly"}]}

and ``/carbon-intensity/history`` (free accounts) the last 24 hours with ``history`` in place of
``data``. Values are gCO2e/kWh, flow-traced, life cycle as in the catalog. The API may answer for
the caller's own place if it does not know the zone: the zone of every value is checked.

The table has one row per region, month and hour of the day, the mean over the days observed; hours
whose value is missing are left out, and a region with too few hours is refused. The token comes
from the environment variable ``ELECTRICITY_MAPS_TOKEN``.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import ClassVar, Literal

from pydantic import Field

from planner.errors import FeedError
from planner.feeds.feed import Feed
from planner.feeds.http import Http
from planner.feeds.need import Need
from planner.feeds.readers.parse import Published, credential, moment, no_outlier, parsed
from planner.feeds.tables import GridCarbon, Reading

TOKEN_VARIABLE = "ELECTRICITY_MAPS_TOKEN"
MOST_HOURS_PER_REQUEST = 240
HOUR = dt.timedelta(hours=1)
MOST_GCO2E_PER_KWH = 2_000.0
LARGEST_FACTOR = 50.0
"""Between an hour and the median one."""


class Hour(Published):
    """One value."""

    zone: str
    carbon_intensity: float | None
    datetime: str
    emission_factor_type: Literal["lifecycle"]
    is_estimated: bool
    temporal_granularity: Literal["hourly"] = "hourly"


class Series(Published):
    """Values of a zone."""

    zone: str
    data: list[Hour] | None = None
    history: list[Hour] | None = None


class ElectricityMaps(Feed):
    """``reader = "electricity-maps"``: carbon of the grids of the instance's regions."""

    reader: Literal["electricity-maps"]
    kind: Literal["carbon"] = "carbon"
    endpoint: Literal["past-range", "history"] = "past-range"
    """past-range: `window_days` days; history: the last 24 hours, for free accounts"""
    window_days: int = Field(default=30, ge=1, le=366)
    """days up to now that the means are taken over"""
    least_hours_share: float = Field(default=0.9, gt=0.0, le=1.0)
    """least share of the hours that must have a value"""
    zones: Mapping[str, str] = Field(default_factory=dict)
    """region -> zone, where the catalog has none or another"""
    url: str = "https://api.electricitymaps.com/v3"
    """where the API answers"""

    source_name: ClassVar[str] = "Electricity Maps"

    def read(self, need: Need, http: Http, at: dt.datetime) -> Reading:
        """Mean carbon by region, month and hour of the day (UTC), gCO2e/kWh."""
        end = at.replace(minute=0, second=0, microsecond=0)
        days = 1 if self.endpoint == "history" else self.window_days
        start = end - dt.timedelta(days=days)
        zones = self._zones(need)
        values: dict[str, dict[dt.datetime, float]] = {}
        estimated: dict[str, int] = {}
        for zone in dict.fromkeys(zones.values()):
            found = [hour for hour in self._hours(http, zone, start, end) if hour is not None]
            values[zone] = self._whole(zone, found, start, end)
            estimated[zone] = sum(hour.is_estimated for hour in found)
        rows = [
            row for region, zone in zones.items() for row in _hours_of_day(region, values[zone])
        ]
        newest = min(max(hours) for hours in values.values()) + HOUR
        guessed = ", ".join(zone for zone, count in estimated.items() if count)
        unknown = ", ".join(r.region for r in need.facts.regions if r.region not in zones)
        notes = [f"partly estimated by the source: {guessed}"] if guessed else []
        notes += [f"no zone is known for {unknown}: not in the table"] if unknown else []
        return Reading("carbon", tuple(rows), newest, self.url, tuple(http.answers), tuple(notes))

    def covered_regions(self, need: Need) -> tuple[str, ...]:
        """Regions whose zone is known."""
        return tuple(self._zones(need))

    def _zones(self, need: Need) -> dict[str, str]:
        """Region -> zone."""
        zones = {
            region.region: self.zones.get(region.region, need.zones.get(region.region, ""))
            for region in need.facts.regions
            if region.region not in self.ignore
        }
        known = {region: zone for region, zone in zones.items() if zone}
        if not known:
            raise FeedError("no region of the instance has a zone: say zones, or delete the feed")
        return known

    def _hours(self, http: Http, zone: str, start: dt.datetime, end: dt.datetime) -> Iterator[Hour]:
        """Every value of a zone in the window."""
        headers = {"auth-token": credential(TOKEN_VARIABLE)}
        params = {"zone": zone, "emissionFactorType": "lifecycle", "temporalGranularity": "hourly",
                  "shouldUseFallbackCallerLookup": "false"}  # fmt: skip
        windows: list[Mapping[str, str]] = [{}]
        if self.endpoint == "past-range":
            windows = [
                {"start": _text(since), "end": _text(until)} for since, until in _cut(start, end)
            ]
        url = f"{self.url}/carbon-intensity/{self.endpoint}"
        for window in windows:
            value = http.get_json(url, params={**params, **window}, headers=headers)
            series = parsed(Series, value, f"zone {zone}")
            hours = series.data if self.endpoint == "past-range" else series.history
            if hours is None:
                raise FeedError(f"zone {zone}: an answer without values")
            if series.zone != zone or any(hour.zone != zone for hour in hours):
                raise FeedError(f"asked for zone {zone}, the answer is for another place")
            yield from hours

    def _whole(
        self, zone: str, hours: list[Hour], start: dt.datetime, end: dt.datetime
    ) -> dict[dt.datetime, float]:
        """Value by hour within the window; FeedError where they are too few, or cannot be meant."""
        found: dict[dt.datetime, float] = {}
        for hour in hours:
            when = moment(hour.datetime, f"zone {zone}")
            value = hour.carbon_intensity
            if value is None or (self.endpoint == "past-range" and not start <= when < end):
                continue
            if not 0.0 <= value <= MOST_GCO2E_PER_KWH:
                raise FeedError(f"zone {zone}: {value:g} gCO2e/kWh cannot be meant")
            if found.setdefault(when, value) != value:
                raise FeedError(f"zone {zone}: two values at {when}")
        asked = (end - start) / HOUR
        if len(found) < self.least_hours_share * asked:
            raise FeedError(f"zone {zone}: {len(found)} of {asked:g} hours have a value")
        no_outlier(found.values(), LARGEST_FACTOR, f"zone {zone}")
        return found


def _cut(start: dt.datetime, end: dt.datetime) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """The window in parts that one request may ask for."""
    while start < end:
        until = min(end, start + MOST_HOURS_PER_REQUEST * HOUR)
        yield start, until
        start = until


def _text(when: dt.datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _hours_of_day(region: str, values: Mapping[dt.datetime, float]) -> Iterator[GridCarbon]:
    groups: dict[tuple[int, int], list[float]] = defaultdict(list)
    for when, value in values.items():
        groups[when.month, when.hour].append(value)
    for (month, hour), found in sorted(groups.items()):
        yield GridCarbon(
            region=region, month=month, hour_utc=hour, gco2e_per_kwh=fmean(found), days=len(found)
        )
