"""Measured demand from vLLM's metrics in Prometheus.

Published format: that of `prometheus`, with the counter ``vllm:request_success_total`` of vLLM
(https://docs.vllm.ai/en/latest/usage/metrics).

Demand is the rate of finished requests, hour by hour over `window_days`, averaged over the hours of
each slice. Series that are mapped to one workload are added. What an hour without a sample means is
for a person to say (`absent`). Without an `origin_label` the rate is split over the origins as
``demand.csv`` has it.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Literal

from pydantic import Field

from planner.errors import FeedError
from planner.feeds.feed import Naming, Remarks, listed
from planner.feeds.http import Http
from planner.feeds.need import Need
from planner.feeds.readers.hourly import (
    HOUR,
    Absent,
    HourOfWeek,
    Level,
    Rates,
    added,
    far_above,
    hour_of_week,
    level,
    recurring,
)
from planner.feeds.readers.parse import did_you_mean
from planner.feeds.readers.prometheus import (
    Label,
    Metric,
    PrometheusFeed,
    Series,
    sample,
    workloads_of,
)
from planner.feeds.tables import MeasuredDemand, Reading
from planner.instance.findings import near_matches
from planner.instance.resolve import hours_of
from planner.instance.schema import Demand, Slice

LEAST_HOURS_SHARE = 0.9
"""Least share of a slice's hours whose mean stands for the slice, unless a person says skip."""
LONG_EDGE = dt.timedelta(days=1)
"""Without a sample for so long at an end of the window, a workload may not have existed then."""
Place = tuple[str, str]
"""Workload, and origin (empty: no label says it)."""
Hours = Mapping[str | None, Sequence[dt.datetime]]
"""Slice (None: all) -> its hours in the window, by their ends."""


class PrometheusDemand(PrometheusFeed):
    """``reader = "prometheus-demand"``: measured rates of requests."""

    reader: Literal["prometheus-demand"]
    kind: Literal["demand"] = "demand"
    metric: Metric = "vllm:request_success_total"
    """counter of finished requests"""
    origin_label: Label | None = None
    """label whose value names the origin; default: split as demand.csv has it"""
    origins: Mapping[str, str] = Field(default_factory=dict)
    """value of that label -> origin, where they differ; several values may be one origin"""
    weekend_slices: tuple[str, ...] = ()
    """slices of Saturdays and Sundays (UTC); the others are then of weekdays"""
    slices: tuple[str, ...] | None = None
    """slices that the window is a measurement of; default: all"""
    absent: Absent = "refuse"
    """what an hour without a sample means: refuse: unknown, a person must look; zero: nothing ran,
    it counts as 0; skip: nothing, the mean over the other hours stands for the slice"""
    least_hours_share: float = Field(default=LEAST_HOURS_SHARE, gt=0.0, le=1.0)
    """least share of a slice's hours that must count; below 0.9 only with `absent` skip"""
    outlier_factor: float = Field(default=100.0, gt=1.0)
    """an hour this many times above the median busy one is doubted, unless it recurs"""

    def naming(self, need: Need) -> Iterator[Naming]:
        """Also the origins that label values are mapped to."""
        yield from super().naming(need)
        yield "origins", self.origins.values(), [row.origin for row in need.instance.origins]

    def read(self, need: Need, http: Http, at: dt.datetime) -> Reading:
        """Mean rate by workload, origin and slice, requests per second."""
        end = at.replace(minute=0, second=0, microsecond=0)
        # A sample at the end of an hour is the rate of that hour.
        window = [end - step * HOUR for step in reversed(range(self.window_days * 24))]
        hours = _hours(window, _hours_of_week(self._slices(need), self.weekend_slices))
        remarks = Remarks()
        series = self._by_place(self._ask_rates(http, window), window, need, remarks)
        rates = {place: self._together(place, series[place], remarks) for place in sorted(series)}
        rows = [
            row for place in rates for row in self._rows(need, place, rates[place], hours, remarks)
        ]
        self._note_unmeasured([workload for workload, _ in rates], need, remarks)
        if left := [part.slice for part in need.instance.slices if part.slice not in hours]:
            remarks.note(f"slices not measured, so as before: {listed(left)}")
        newest = max(when for found in rates.values() for when in found)
        return Reading(
            "demand", tuple(rows), newest, f"{self.url} {self.metric}", tuple(http.answers),
            remarks.notes, remarks.doubts,
        )  # fmt: skip

    def _slices(self, need: Need) -> tuple[Slice, ...]:
        """The slices that are measured; FeedError for a name that is none."""
        known = need.instance.slices
        for key, names in (("slices", self.slices or ()), ("weekend_slices", self.weekend_slices)):
            for name in names:
                if name not in {part.slice for part in known}:
                    hint = near_matches(name, [part.slice for part in known])
                    raise FeedError(f"{key}: {name} not in slices.csv; {hint}")
        return tuple(part for part in known if self.slices is None or part.slice in self.slices)

    # ------------------------------------------------------------------ series

    def _ask_rates(self, http: Http, window: Sequence[dt.datetime]) -> list[Series]:
        labels = [self.workload_label, *([self.origin_label] if self.origin_label else [])]
        rate = f"rate({self.metric}{self._matchers()}[1h])"
        params = {
            "query": f"sum by ({', '.join(labels)}) ({rate})",
            "start": str(int(window[0].timestamp())),
            "end": str(int(window[-1].timestamp())),
            "step": "3600",
        }
        return self._ask(http, "query_range", params)

    def _by_place(
        self, answer: Sequence[Series], window: Sequence[dt.datetime], need: Need, remarks: Remarks
    ) -> dict[Place, dict[str, Rates]]:
        """Series by place and labels; what has no place is named."""
        found: dict[Place, dict[str, Rates]] = defaultdict(dict)
        strangers: dict[str, str] = {}
        for series in answer:
            name, labels = self._name(series), self._labels(series)
            rates = _rates(series, labels, window)
            size = f"{fmean(rate or 0.0 for rate in rates.values()):.3g} requests/s"
            if name not in workloads_of(need):
                strangers[self._value(series)] = size
            elif (origin := self._origin(series, size, need, remarks)) is not None:
                if labels in found[name, origin]:
                    raise FeedError(f"two series are {labels}")
                found[name, origin][labels] = rates
        self._note_strangers(strangers, need, remarks)
        if not found:
            raise FeedError(
                f"no series of {self.metric} belongs to a workload of the instance: "
                + ("; ".join(remarks.texts) or "there is none at all")
            )
        return found

    def _labels(self, series: Series) -> str:
        """The labels of a series, in words."""
        names = [self.workload_label, *([self.origin_label] if self.origin_label else [])]
        return " ".join(series.metric.get(name, "")[:60] for name in names).strip()

    def _origin(self, series: Series, size: str, need: Need, remarks: Remarks) -> str | None:
        """The origin of a series, empty where no label says it; None where it is none."""
        if self.origin_label is None:
            return ""
        value = series.metric.get(self.origin_label, "")
        name, known = self.origins.get(value, value), [row.origin for row in need.instance.origins]
        if name in known:
            return name
        workload = self._name(series)
        remarks.doubt(
            f"{workload}: {self.origin_label} {value[:60]!r} ({size}) is no origin, left out: say "
            f"origins{did_you_mean(value, known)}",
            workload,
        )
        return None

    def _together(self, place: Place, series: Mapping[str, Rates], remarks: Remarks) -> Rates:
        """The rates of a workload and origin, all its series added, outliers pointed out."""
        if len(series) > 1:
            spans = [f"{labels} ({min(rates) - HOUR:%m-%d %H:%M} to {max(rates):%m-%d %H:%M})"
                     for labels, rates in series.items()]  # fmt: skip
            remarks.note(f"{_called(place)}: added up: {listed(spans)}")
        rates = added(list(series.values()), self.absent)
        far, middle = far_above(rates, self.outlier_factor)
        jobs = recurring(far)
        shown = {
            when: f"{rate:.4g} requests/s at {when - HOUR:%Y-%m-%d %H:%M} UTC"
            for when, rate in sorted(far.items(), reverse=True)
        }
        usual = f"where the median busy hour has {middle:.4g}"
        if jobs:
            text = f"{_called(place)}: taken as a job that recurs: {len(jobs)} hours such as"
            remarks.note(f"{text} {shown[max(jobs)]}, {usual}")
        if lone := [text for when, text in shown.items() if when not in jobs]:
            text = f"{_called(place)}: {listed(lone)}, {usual}"
            remarks.doubt(f"{text} (outlier_factor {self.outlier_factor:g})", place[0])
        return rates

    # ------------------------------------------------------------------ rows

    def _rows(
        self, need: Need, place: Place, rates: Rates, hours: Hours, remarks: Remarks
    ) -> Iterator[MeasuredDemand]:
        """Rates of one place at the rows that ``demand.csv`` has for it."""
        workload, origin = place
        rows = [
            row
            for row in need.instance.demand
            if row.workload == workload and origin in {"", row.origin} and row.slice in hours
        ]
        if not rows:
            mean = level(rates, hours[None]).over_known or 0.0
            remarks.doubt(
                f"{_called(place)}: {mean:.3g} requests/s, left out: demand.csv has no such row",
                workload,
            )
        names = tuple(dict.fromkeys(row.slice for row in rows))
        for name, rate in self._levels(place, rates, {n: hours[n] for n in names}, remarks).items():
            meant = [row for row in rows if row.slice == name]
            if rate > 0.0 and len(meant) > 1 and not any(row.requests_per_s for row in meant):
                remarks.note(f"{_called(place)} {name}: 0 in demand.csv, so split as in all slices")
            for row, share in zip(meant, _shares(meant, rows), strict=True):
                yield MeasuredDemand(
                    workload=workload, origin=row.origin, slice=name, requests_per_s=rate * share
                )

    def _levels(
        self, place: Place, rates: Rates, hours: Hours, remarks: Remarks
    ) -> dict[str | None, float]:
        """Mean rate by slice; hours without a sample are pointed out, or doubted if many."""
        zero = self.absent == "zero"
        levels = {name: level(rates, ends) for name, ends in hours.items()}
        gaps = {
            name: found
            for name, found in levels.items()
            if found.known < found.hours or not found.hours
        }
        few = {
            name: found
            for name, found in gaps.items()
            if found.known + zero * found.absent < self._needed_share * found.hours
            or not found.hours
        }
        small = [_gap(name, found) for name, found in gaps.items() if name not in few]
        if small:
            meaning = "counted as 0" if zero else "not in the mean"
            remarks.note(f"{_called(place)}: hours without a sample, {meaning}: {listed(small)}")
        if zero and (edge := _edge(rates, [end for ends in hours.values() for end in ends])):
            remarks.note(f"{_called(place)}: {edge}")
        if few:
            shown = listed([_gap(name, found) for name, found in few.items()])
            remedy = self._remedy(few.values())
            remarks.doubt(
                f"{_called(place)}: too few hours have a sample: {shown}; {remedy}", place[0]
            )
        means = {n: found.with_zeros if zero else found.over_known for n, found in levels.items()}
        return {name: mean for name, mean in means.items() if mean is not None}

    @property
    def _needed_share(self) -> float:
        """Lowering the share alone must not let the mean of a third stand for all."""
        least = 0.0 if self.absent == "skip" else LEAST_HOURS_SHARE
        return max(least, self.least_hours_share)

    def _remedy(self, few: Iterable[Level]) -> str:
        if self.absent != "refuse":
            return f"least_hours_share is {self._needed_share:g}"
        zero = '"zero" (nothing ran then) or ' if any(found.absent for found in few) else ""
        return f'say absent = {zero}"skip" (their mean stands for all), or a shorter window_days'


def _called(place: Place) -> str:
    return " ".join(filter(None, place))


def _gap(name: str | None, found: Level) -> str:
    """A slice with hours that have no sample, and what its mean could be."""
    text = f"{name or 'all hours'} {found.known} of {found.hours} hours"
    means = [f"{found.unknown} unknown"] if found.unknown else []
    if found.over_known is not None:
        means.append(f"{found.over_known:.4g} requests/s")
        if found.absent:
            means.append(f"{found.with_zeros:.4g} if the absent ones are 0")
    return f"{text} ({', '.join(means)})" if means else text


def _edge(rates: Rates, ends: Sequence[dt.datetime]) -> str:
    """Whether the workload may not have existed in all of the window."""
    first, last = min(rates), max(rates)
    if first - min(ends) >= LONG_EDGE:
        return f"0 until its first sample at {first:%Y-%m-%d %H:%M} UTC: is it new?"
    if max(ends) - last >= LONG_EDGE:
        return f"0 since its last sample at {last:%Y-%m-%d %H:%M} UTC: is it gone?"
    return ""


def _shares(rows: Sequence[Demand], whole: Sequence[Demand]) -> list[float]:
    """How a slice's rate is split over its rows: as today; else as in all slices; else evenly."""
    today = [row.requests_per_s for row in rows]
    if not any(today):
        today = [
            math.fsum(other.requests_per_s for other in whole if other.origin == row.origin)
            for row in rows
        ]
    if not any(today):
        today = [1.0] * len(rows)
    total = math.fsum(today)
    return [rate / total for rate in today]


def _rates(series: Series, labels: str, window: Sequence[dt.datetime]) -> Rates:
    """Rate by hour, in the order of time; FeedError where a sample is no measurement."""
    asked = set(window)
    found: dict[dt.datetime, float | None] = {}
    for pair in series.values:
        when, value = sample(pair, labels)
        if when not in asked or (found and when <= next(reversed(found))):
            raise FeedError(f"{labels}: a sample at {when}, out of order or not asked for")
        found[when] = value
    if not found:
        raise FeedError(f"{labels}: a series without samples")
    return found


# ------------------------------------------------------------------ slices


def _hours(
    window: Sequence[dt.datetime], slices: Mapping[str, frozenset[HourOfWeek]]
) -> dict[str | None, Sequence[dt.datetime]]:
    found: dict[str | None, Sequence[dt.datetime]] = {None: window}
    for name, meant in slices.items():
        found[name] = [end for end in window if hour_of_week(end) in meant]
    return found


def _hours_of_week(
    slices: Sequence[Slice], weekend: Sequence[str]
) -> dict[str, frozenset[HourOfWeek]]:
    """Hours of the week of every slice; FeedError where two slices share some of them."""
    found: dict[str, frozenset[HourOfWeek]] = {}
    for part in slices:
        days = (part.slice in weekend,) if weekend else (True, False)
        hours = frozenset((day, hour) for day in days for hour in hours_of(part))
        for other, taken in found.items():
            if hours & taken:
                raise FeedError(
                    f"slices {other} and {part.slice} share hours of the week, and a measurement "
                    "cannot tell them apart: say weekend_slices, or the slices that are measured"
                )
        found[part.slice] = hours
    return found
