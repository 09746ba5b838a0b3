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

The table has one row per region, month and hour of the day, the mean over the days observed. Hours
without a value are named; a zone with too few, a value far from the others, and a zone of which all
is estimated are doubted. The token comes
from the environment variable ``ELECTRICITY_MAPS_TOKEN``.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar, Literal

from pydantic import Field

from planner.errors import FeedError
from planner.feeds.feed import Feed, Naming, Remarks, listed
from planner.feeds.http import Http
from planner.feeds.need import Need
from planner.feeds.readers.parse import Published, credential, moment, outliers, parsed
from planner.feeds.tables import GridCarbon, Reading

TOKEN_VARIABLE = "ELECTRICITY_MAPS_TOKEN"
MOST_HOURS_PER_REQUEST = 240
HOUR = dt.timedelta(hours=1)
MOST_GCO2E_PER_KWH = 2_000.0


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
    most_estimated_share: float = Field(default=0.95, ge=0.0, le=1.0)
    """largest share of the values that may be the source's own estimates"""
    outlier_factor: float = Field(default=50.0, gt=1.0)
    """an hour this many times the median one, or that part of it, is doubted"""
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
        zones, remarks = self._zones(need), Remarks()
        values: dict[str, dict[dt.datetime, float]] = {}
        for zone in dict.fromkeys(zones.values()):
            regions = tuple(region for region, other in zones.items() if other == zone)
            place = Zone(zone, regions, (end - start) / HOUR)
            found = self._values(
                place, list(self._hours(http, zone, start, end)), start, end, remarks
            )
            if found:
                values[zone] = found
        rows = [
            row
            for region, zone in zones.items()
            if zone in values
            for row in _hours_of_day(region, values[zone])
        ]
        if not rows:
            raise FeedError(f"no hour has a value; {'; '.join(remarks.texts)}")
        newest = min(max(hours) for hours in values.values()) + HOUR
        unknown = [
            r.region
            for r in need.facts.regions
            if r.region not in zones and r.region not in self.ignore
        ]
        if unknown:
            remarks.note(f"no zone is known, so as before (say zones): {listed(unknown)}")
        return Reading("carbon", tuple(rows), newest, self.url, tuple(http.answers), remarks.notes,
                       remarks.doubts)  # fmt: skip

    def naming(self, need: Need) -> Iterator[Naming]:
        """Also the regions that are ignored, or have a zone."""
        yield from super().naming(need)
        yield "ignore", self.ignore, need.names
        yield "zones", self.zones, [region.region for region in need.facts.regions]

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

    def _values(
        self, zone: Zone, hours: list[Hour], start: dt.datetime, end: dt.datetime, remarks: Remarks
    ) -> dict[dt.datetime, float]:
        """Value by hour within the window; what is missing, odd or estimated is pointed out."""
        found: dict[dt.datetime, float] = {}
        estimated: set[dt.datetime] = set()
        for hour in hours:
            when, value = moment(hour.datetime, zone.words), hour.carbon_intensity
            if value is None or (self.endpoint == "past-range" and not start <= when < end):
                continue
            if not 0.0 <= value <= MOST_GCO2E_PER_KWH:
                remarks.note(f"{zone.words}: {value:g} gCO2e/kWh at {_said(when)}, left out")
                continue
            if found.setdefault(when, value) != value:
                raise FeedError(f"{zone.words}: two values at {_said(when)}")
            if hour.is_estimated:
                estimated.add(when)
        self._judge_count(zone, len(found), remarks)
        if found:
            self._judge_estimates(zone, len(estimated) / len(found), remarks)
            self._judge_outliers(zone, found, remarks)
        return found

    def _judge_count(self, zone: Zone, count: int, remarks: Remarks) -> None:
        text = f"{zone.words}: {count} of {zone.asked_hours:g} hours have a value"
        if count < self.least_hours_share * zone.asked_hours:
            left = "" if count else ", left out"
            remarks.doubt(
                f"{text} (least_hours_share {self.least_hours_share:g}){left}", *zone.regions
            )
        elif count < zone.asked_hours:
            remarks.note(f"{text}, the others are not in the means")

    def _judge_estimates(self, zone: Zone, share: float, remarks: Remarks) -> None:
        text = f"{zone.words}: {share:.0%} of the values are estimated by the source"
        if share > self.most_estimated_share:
            remarks.doubt(
                f"{text} (most_estimated_share {self.most_estimated_share:g})", *zone.regions
            )
        elif share > 0.0:
            remarks.note(text)

    def _judge_outliers(
        self, zone: Zone, values: Mapping[dt.datetime, float], remarks: Remarks
    ) -> None:
        far, middle = outliers(values, self.outlier_factor)
        if far:
            shown = listed([f"{value:g} at {_said(when)}" for when, value in far.items()])
            remarks.doubt(
                f"{zone.words}: {shown}, where the median is {middle:g} gCO2e/kWh (outlier_factor "
                f"{self.outlier_factor:g})",
                *zone.regions,
            )


@dataclass(frozen=True)
class Zone:
    """A zone that is asked for."""

    name: str
    regions: tuple[str, ...]
    """of the instance"""
    asked_hours: float

    @property
    def words(self) -> str:
        """Zone and regions."""
        return f"zone {self.name} ({listed(self.regions)})"


def _cut(start: dt.datetime, end: dt.datetime) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """The window in parts that one request may ask for."""
    while start < end:
        until = min(end, start + MOST_HOURS_PER_REQUEST * HOUR)
        yield start, until
        start = until


def _said(when: dt.datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"


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
