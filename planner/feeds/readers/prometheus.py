"""Prometheus: what the feeds of demand and of lengths ask with.

Published format. HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api):
``/api/v1/query_range`` answers ::

    {"status": "success", "data": {"resultType": "matrix", "result": [
      {"metric": {"workload": "chat"}, "values": [[1763942400, "12.5"], ...]}]}}

and ``/api/v1/query`` the same with ``vector`` and one ``value``; ``warnings`` mean that parts are
missing. A sample is the text of a float: ``"NaN"`` is a sample that is no number.

Series belong to a workload by the value of a label; what belongs to none is named, for a label that
is spelled otherwise looks like a workload without traffic.

A bearer token may come from the environment variable ``PROMETHEUS_TOKEN``.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from planner.errors import FeedError
from planner.feeds.feed import Feed, Naming, Remarks, listed
from planner.feeds.http import Http
from planner.feeds.need import Need
from planner.feeds.readers.parse import Published, amount, credential, did_you_mean, parsed

TOKEN_VARIABLE = "PROMETHEUS_TOKEN"
Label = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Metric = Annotated[str, Field(pattern=r"^[A-Za-z_:][\w:]*$")]


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
    """value of that label -> workload, where they differ; several values may be one workload"""
    selector: str = ""
    """more matchers, such as job="vllm" """
    window_days: int = Field(default=14, ge=1, le=90)
    """days up to now that are measured"""

    source_name: ClassVar[str] = "Prometheus"

    def naming(self, need: Need) -> Iterator[Naming]:
        """Also the workloads that label values are mapped to."""
        yield from super().naming(need)
        yield "workloads", self.workloads.values(), workloads_of(need)

    def _ask(self, http: Http, path: str, params: Mapping[str, str]) -> list[Series]:
        """The series that a query answers, without ignored ones; FeedError if parts are missing."""
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
        left = set(self.ignore)
        return [s for s in answer.data.result if not {self._value(s), self._name(s)} & left]

    def _value(self, series: Series) -> str:
        """What the label says; empty where it is missing."""
        return series.metric.get(self.workload_label, "")

    def _name(self, series: Series) -> str:
        """What the series would be called as a workload."""
        return self.workloads.get(self._value(series), self._value(series))

    def _matchers(self) -> str:
        return "{" + self.selector + "}"

    def _note_strangers(self, sizes: Mapping[str, str], need: Need, remarks: Remarks) -> None:
        """Series of no workload, by value of the label: a typing error, or somebody else's."""
        shown = [
            f"{value[:60]!r} ({size}{did_you_mean(value, workloads_of(need))})"
            if value
            else f"one without {self.workload_label} ({size})"
            for value, size in sizes.items()
        ]
        if shown:
            remarks.note(f"belongs to no workload, left out (say workloads, or ignore): "
                         f"{listed(shown)}")  # fmt: skip

    def _note_unmeasured(self, measured: Collection[str], need: Need, remarks: Remarks) -> None:
        """Workloads that keep what the instance says of them."""
        left = {*measured, *self.ignore}
        silent = [name for name in workloads_of(need) if name not in left]
        if silent:
            remarks.note(f"not measured, so as before: {listed(silent)}")


def workloads_of(need: Need) -> tuple[str, ...]:
    """Names of the workloads, sorted."""
    return tuple(sorted(row.workload for row in need.instance.workloads))


def sample(pair: Sequence[Any], where: str) -> tuple[dt.datetime, float | None]:
    """Time and value of a sample, None for one that is no number.

    FeedError where it is no sample of a counter.
    """
    match pair:
        case [int() | float() as when, str() as text] if not isinstance(when, bool):
            value = amount(text)
            if (value is not None or text == "NaN") and 0 <= when < 1e11:
                return dt.datetime.fromtimestamp(when, dt.UTC), value
    raise FeedError(f"{where}: {str(pair)[:60]} is no sample of a counter")
