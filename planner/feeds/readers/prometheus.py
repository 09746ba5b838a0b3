"""Prometheus: measured demand and lengths, from the metrics of vLLM.

Published formats. HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api):
``/api/v1/query_range`` answers ::

    {"status": "success", "data": {"resultType": "matrix", "result": [
      {"metric": {"workload": "chat"}, "values": [[1763942400, "12.5"], ...]}]}}

and ``/api/v1/query`` the same with ``vector`` and one ``value``; ``warnings`` mean that parts are
missing. vLLM (https://docs.vllm.ai/en/latest/usage/metrics): counter
``vllm:request_success_total``, histograms ``vllm:request_prompt_tokens`` and
``vllm:request_generation_tokens``.

Demand is the rate of finished requests, hour by hour over `window_days`, averaged over the hours of
each slice. Without an `origin_label` it is split over the origins as ``demand.csv`` has it. Lengths
are the means over the window; for workloads that now run with retrieval (`with_retrieval`) the
retrieved chunks are taken off the prompt.

A bearer token may come from the environment variable ``PROMETHEUS_TOKEN``.
"""

from __future__ import annotations

import datetime as dt
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, median
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from planner.errors import FeedError
from planner.feeds.feed import Feed
from planner.feeds.http import Http
from planner.feeds.need import Need
from planner.feeds.readers.parse import Published, credential, parsed
from planner.feeds.tables import MeasuredDemand, MeasuredLength, Reading
from planner.instance.resolve import hours_of
from planner.instance.schema import Slice

TOKEN_VARIABLE = "PROMETHEUS_TOKEN"
HOUR = dt.timedelta(hours=1)
SATURDAY = 5
FAR_ABOVE = 100.0
"""An hour this many times above the median one is not a measurement."""
Label = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
_NUMBER = re.compile(r"\d+(\.\d+)?([eE][+-]?\d+)?")


class Series(Published):
    """Values of one set of labels."""

    metric: dict[str, str]
    values: list[list[Any]] = Field(default_factory=list)
    value: list[Any] = Field(default_factory=list)


class Data(Published):
    """Result of a query."""

    result_type: Literal["matrix", "vector"]
    result: list[Series]


class Answered(Published):
    """Envelope of every answer."""

    status: Literal["success"]
    data: Data
    warnings: list[str] = Field(default_factory=list)


class PrometheusFeed(Feed):
    """What both feeds ask with."""

    url: str
    """the server, without /api"""
    workload_label: Label = "model_name"
    """label whose value names the workload"""
    workloads: Mapping[str, str] = Field(default_factory=dict)
    """value of that label -> workload, where they differ"""
    selector: str = ""
    """more matchers, such as job="vllm" """
    window_days: int = Field(default=14, ge=1, le=90)
    """days up to now that are measured"""

    source_name: ClassVar[str] = "Prometheus"

    def _ask(self, http: Http, path: str, params: Mapping[str, str]) -> list[Series]:
        """The series that a query answers; FeedError where parts are missing."""
        headers = {}
        if os.environ.get(TOKEN_VARIABLE):
            headers["authorization"] = f"Bearer {credential(TOKEN_VARIABLE)}"
        url = f"{self.url.rstrip('/')}/api/v1/{path}"
        value = http.get_json(url, params=params, headers=headers)
        if isinstance(value, dict) and value.get("status") == "error":
            raise FeedError(f"{url}: {str(value.get('error'))[:200]}")
        answer = parsed(Answered, value, url)
        if answer.warnings:
            raise FeedError(f"{url}: a partial answer ({answer.warnings[0][:200]})")
        return answer.data.result

    def _workload(self, series: Series, need: Need) -> str | None:
        """The workload that a series belongs to; None for one the instance does not have."""
        value = series.metric.get(self.workload_label, "")
        name = self.workloads.get(value, value)
        known = {row.workload for row in need.instance.workloads}
        return name if name in known and name not in self.ignore else None

    def _matchers(self) -> str:
        return "{" + self.selector + "}"


class PrometheusDemand(PrometheusFeed):
    """``reader = "prometheus-demand"``: measured rates of requests."""

    reader: Literal["prometheus-demand"]
    kind: Literal["demand"] = "demand"
    metric: str = Field(default="vllm:request_success_total", pattern=r"^[A-Za-z_:][\w:]*$")
    """counter of finished requests"""
    origin_label: Label | None = None
    """label whose value names the origin; default: split as demand.csv has it"""
    origins: Mapping[str, str] = Field(default_factory=dict)
    """value of that label -> origin, where they differ"""
    weekend_slices: tuple[str, ...] = ()
    """slices of Saturdays and Sundays (UTC); the others are then of weekdays"""
    least_hours_share: float = Field(default=0.9, gt=0.0, le=1.0)
    """least share of a slice's hours that must have been measured"""

    def read(self, need: Need, http: Http, at: dt.datetime) -> Reading:
        """Mean rate by workload, origin and slice, requests per second."""
        end = at.replace(minute=0, second=0, microsecond=0)
        hours = self.window_days * 24
        labels = [self.workload_label, *([self.origin_label] if self.origin_label else [])]
        rate = f"rate({self.metric}{self._matchers()}[1h])"
        params = {
            "query": f"sum by ({', '.join(labels)}) ({rate})",
            # A sample at the end of an hour is the rate of that hour.
            "start": str(int((end - (hours - 1) * HOUR).timestamp())),
            "end": str(int(end.timestamp())),
            "step": "3600",
        }
        measured: dict[tuple[str, str], dict[dt.datetime, float]] = {}
        for series in self._ask(http, "query_range", params):
            workload = self._workload(series, need)
            if workload is None:
                continue
            origin = self._origin(series, need)
            if (workload, origin) in measured:
                raise FeedError(f"two series are {workload} {origin}".rstrip())
            measured[workload, origin] = _samples(series.values, hours)
        if not measured:
            raise FeedError(f"no series of {self.metric} belongs to a workload of the instance")
        parts = _slices(need.instance.slices, self.weekend_slices)
        rows = [
            row
            for (workload, origin), rates in sorted(measured.items())
            for row in self._rows(need, workload, origin, rates, parts)
        ]
        newest = max(when for rates in measured.values() for when in rates)
        silent = {row.workload for row in need.instance.workloads} - {name for name, _ in measured}
        notes = (f"not measured: {', '.join(sorted(silent))}",) if silent else ()
        source = f"{self.url} {self.metric}"
        return Reading("demand", tuple(rows), newest, source, tuple(http.answers), notes)

    def _origin(self, series: Series, need: Need) -> str:
        """The origin of a series; empty where no label says it."""
        if self.origin_label is None:
            return ""
        value = series.metric.get(self.origin_label, "")
        name = self.origins.get(value, value)
        if name not in {row.origin for row in need.instance.origins}:
            raise FeedError(f"{self.origin_label} {value[:60]!r} is no origin: say origins")
        return name

    def _rows(
        self,
        need: Need,
        workload: str,
        origin: str,
        rates: Mapping[dt.datetime, float],
        parts: Mapping[str, frozenset[tuple[bool, int]]],
    ) -> Iterator[MeasuredDemand]:
        """Rates of one series at the places that ``demand.csv`` has for its workload."""
        places = [
            row
            for row in need.instance.demand
            if row.workload == workload and origin in {"", row.origin}
        ]
        if not places:
            raise FeedError(f"demand.csv has no row of {workload} {origin}".rstrip())
        whole = frozenset((weekend, hour) for weekend in (True, False) for hour in range(24))
        for name in dict.fromkeys(row.slice for row in places):
            meant = [row for row in places if row.slice == name]
            level = self._mean(rates, parts[name] if name else whole, f"{workload} {name or ''}")
            total = math.fsum(row.requests_per_s for row in meant)
            if total <= 0.0 < level and len(meant) > 1:
                raise FeedError(f"{workload} {name}: demand.csv has none to split the rate by")
            for row in meant:
                share = row.requests_per_s / total if total > 0.0 else 1.0
                yield MeasuredDemand(
                    workload=workload,
                    origin=row.origin,
                    slice=name,
                    requests_per_s=level * share,
                )

    def _mean(
        self, rates: Mapping[dt.datetime, float], when: frozenset[tuple[bool, int]], where: str
    ) -> float:
        """Mean rate over the hours of a slice; FeedError where too few were measured."""
        found = [rate for sampled, rate in rates.items() if _hour(sampled - HOUR) in when]
        newest = max(rates)
        asked = [newest - step * HOUR for step in range(self.window_days * 24)]
        expected = sum(_hour(sampled - HOUR) in when for sampled in asked)
        if len(found) < self.least_hours_share * expected or not found:
            raise FeedError(f"{where}: {len(found)} of {expected} hours were measured")
        return fmean(found)


class PrometheusLengths(PrometheusFeed):
    """``reader = "prometheus-lengths"``: measured prompt and answer lengths."""

    reader: Literal["prometheus-lengths"]
    kind: Literal["lengths"] = "lengths"
    input_metric: str = Field(default="vllm:request_prompt_tokens", pattern=r"^[A-Za-z_:][\w:]*$")
    """histogram of prompt lengths"""
    output_metric: str = Field(
        default="vllm:request_generation_tokens", pattern=r"^[A-Za-z_:][\w:]*$"
    )
    """histogram of answer lengths"""
    with_retrieval: tuple[str, ...] = ()
    """workloads whose measured prompts hold retrieved chunks"""
    least_requests: int = Field(default=1_000, ge=1)
    """fewest requests that a mean is believed from"""

    def read(self, need: Need, http: Http, at: dt.datetime) -> Reading:
        """Mean prompt (without retrieved chunks) and answer by workload, tokens."""
        prompts = self._means(need, http, at, self.input_metric)
        answers = self._means(need, http, at, self.output_metric)
        rows = []
        for row in need.instance.workloads:
            if row.workload not in prompts or row.workload not in answers:
                continue
            prompt = prompts[row.workload]
            if row.workload in self.with_retrieval:
                prompt -= row.rag_chunks * row.rag_chunk_tokens
            if prompt <= 0.0 or answers[row.workload] <= 0.0:
                raise FeedError(f"{row.workload}: a measured length of no tokens")
            rows.append(
                MeasuredLength(
                    workload=row.workload,
                    input_tokens=prompt,
                    output_tokens=answers[row.workload],
                )
            )
        if not rows:
            raise FeedError("no series of lengths belongs to a workload of the instance")
        silent = {row.workload for row in need.instance.workloads} - {r.workload for r in rows}
        notes = (f"not measured: {', '.join(sorted(silent))}",) if silent else ()
        source = f"{self.url} {self.input_metric}, {self.output_metric}"
        return Reading("lengths", tuple(rows), at, source, tuple(http.answers), notes)

    def _means(self, need: Need, http: Http, at: dt.datetime, metric: str) -> dict[str, float]:
        """Mean of a histogram over the window by workload: its sum over its count."""
        sums = self._increases(need, http, at, f"{metric}_sum")
        counts = self._increases(need, http, at, f"{metric}_count")
        if sums.keys() != counts.keys():
            raise FeedError(f"{metric}: sum and count are of different workloads")
        return {
            name: sums[name] / count
            for name, count in counts.items()
            if count >= self.least_requests
        }

    def _increases(self, need: Need, http: Http, at: dt.datetime, metric: str) -> dict[str, float]:
        rise = f"increase({metric}{self._matchers()}[{self.window_days}d])"
        params = {
            "query": f"sum by ({self.workload_label}) ({rise})",
            "time": str(int(at.timestamp())),
        }
        found: dict[str, float] = {}
        for series in self._ask(http, "query", params):
            workload = self._workload(series, need)
            if workload is None:
                continue
            if workload in found:
                raise FeedError(f"two series of {metric} are {workload}")
            found[workload] = _sample(series.value)[1]
        return found


def _sample(pair: Sequence[Any]) -> tuple[dt.datetime, float]:
    """Time and value of a sample; FeedError where it is none."""
    match pair:
        case [int() | float() as when, str() as text] if not isinstance(when, bool):
            if _NUMBER.fullmatch(text) and math.isfinite(float(text)) and 0 <= when < 1e11:
                return dt.datetime.fromtimestamp(when, dt.UTC), float(text)
    raise FeedError(f"{str(pair)[:60]} is no sample of a counter")


def _samples(pairs: Sequence[Sequence[Any]], most: int) -> dict[dt.datetime, float]:
    """Value by time, in the order of time; FeedError where a sample is no measurement."""
    if not pairs or len(pairs) > most:
        raise FeedError(f"{len(pairs)} samples, where at most {most} were asked for")
    found: dict[dt.datetime, float] = {}
    for when, value in map(_sample, pairs):
        if found and when <= next(reversed(found)):
            raise FeedError(f"samples out of order at {when}")
        found[when] = value
    busy = [value for value in found.values() if value > 0.0]
    if busy and max(busy) > FAR_ABOVE * median(busy):
        raise FeedError(f"{max(busy):g} requests/s among hours around {median(busy):g}")
    return found


def _hour(when: dt.datetime) -> tuple[bool, int]:
    """Whether it is a weekend, and the hour of the day (UTC)."""
    return when.weekday() >= SATURDAY, when.hour


def _slices(
    slices: Sequence[Slice], weekend: Sequence[str]
) -> dict[str, frozenset[tuple[bool, int]]]:
    """Hours of the week of every slice; FeedError where two slices share some of them."""
    unknown = set(weekend) - {part.slice for part in slices}
    if unknown:
        raise FeedError(f"weekend_slices: {', '.join(sorted(unknown))} not in slices.csv")
    found: dict[str, frozenset[tuple[bool, int]]] = {}
    for part in slices:
        days = (part.slice in weekend,) if weekend else (True, False)
        hours = frozenset((day, hour) for day in days for hour in hours_of(part))
        for other, taken in found.items():
            if hours & taken:
                raise FeedError(
                    f"slices {other} and {part.slice} share hours of the week, and a measurement "
                    "cannot tell them apart: say weekend_slices"
                )
        found[part.slice] = hours
    return found
