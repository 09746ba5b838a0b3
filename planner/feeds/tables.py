"""The tables that feeds yield: kinds, rows, and their figures by name.

Every kind has one row class with units in its column names, in the words of the instance format;
`figures` gives the numbers of a table by a name that people can read, for comparing two dates.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from planner.errors import FeedError
from planner.feeds.http import Answer
from planner.instance.copy import cell
from planner.instance.findings import Finding
from planner.instance.schema import (
    Identifier,
    NonNegative,
    Positive,
    Quota,
    Row,
)
from planner.instance.tables import read_table

PRICE_COLUMNS = (
    "ondemand_usd_per_h",
    "spot_usd_per_h",
    "commit_1y_usd_per_h",
    "commit_3y_usd_per_h",
)
HOSTED_COLUMNS = ("input_usd_per_mtok", "cached_input_usd_per_mtok", "output_usd_per_mtok")
LENGTH_COLUMNS = ("input_tokens", "output_tokens")
MOST_FINDINGS_SHOWN = 5
KindName = Literal["prices", "hosted-prices", "carbon", "demand", "lengths", "quotas"]


class Price(Row):
    """Prices of one whole instance; blank: not said."""

    region: Identifier
    """``provider:region``"""
    offer: Identifier
    """name of the machine in the catalog or in ``offers.csv``"""
    ondemand_usd_per_h: Positive | None = None
    """paid by the hour"""
    spot_usd_per_h: Positive | None = None
    """paid by the hour, may be taken away"""
    commit_1y_usd_per_h: Positive | None = None
    """paid every hour of one year"""
    commit_3y_usd_per_h: Positive | None = None
    """paid every hour of three years"""


class HostedPrice(Row):
    """Prices of a hosted llm by the token; blank: not said."""

    provider: str
    """who sells it, as in ``apis.csv``"""
    llm: Identifier
    """name as in ``apis.csv``"""
    input_usd_per_mtok: NonNegative | None = None
    """prompt"""
    cached_input_usd_per_mtok: NonNegative | None = None
    """prompt found in the cache"""
    output_usd_per_mtok: NonNegative | None = None
    """answer"""


class GridCarbon(Row):
    """Mean carbon of a region's grid at an hour of the day in a month, as observed."""

    region: Identifier
    """region of the instance"""
    month: int = Field(ge=1, le=12)
    """month of the observations"""
    hour_utc: int = Field(ge=0, le=23)
    """hour of the day"""
    gco2e_per_kwh: NonNegative
    """mean over the days observed"""
    days: int = Field(ge=1)
    """number of days observed"""


class MeasuredDemand(Row):
    """Mean measured rate of a workload from an origin in a slice; a blank slice is batch."""

    workload: Identifier
    """workload of the instance"""
    origin: Identifier
    """origin of the instance"""
    slice: Identifier | None = None
    """slice of the instance; blank for batch"""
    requests_per_s: NonNegative
    """mean over the hours observed"""


class MeasuredLength(Row):
    """Mean measured prompt and answer of a workload."""

    workload: Identifier
    """workload of the instance"""
    input_tokens: Positive
    """mean prompt, without retrieved chunks"""
    output_tokens: Positive
    """mean answer"""


@dataclass(frozen=True)
class Kind:
    """A kind of table: its rows, what names a row, and the columns that are figures."""

    name: str
    row_class: type[Row]
    key: tuple[str, ...]
    columns: tuple[str, ...]
    replaces: str
    """table of the instance that it goes into"""


KINDS = {
    kind.name: kind
    for kind in (
        Kind("prices", Price, ("region", "offer"), PRICE_COLUMNS, "offers"),
        Kind("hosted-prices", HostedPrice, ("provider", "llm"), HOSTED_COLUMNS, "apis"),
        Kind("carbon", GridCarbon, ("region", "month", "hour_utc"), ("gco2e_per_kwh",), "regions"),
        Kind("demand", MeasuredDemand, ("workload", "origin", "slice"), ("requests_per_s",),
             "demand"),
        Kind("lengths", MeasuredLength, ("workload",), LENGTH_COLUMNS, "length_classes"),
        Kind("quotas", Quota, ("region", "accelerator", "market"), ("accelerators",), "quotas"),
    )
}  # fmt: skip


@dataclass(frozen=True)
class ReaderDoubt:
    """A reason to refuse a table until a person accepts it."""

    text: str
    """what is doubted, the figures, and the setting that decides"""
    about: tuple[str, ...]
    """names of the rows that it is about, such as a region or a workload, for `Feed.trust`"""


@dataclass(frozen=True)
class Reading:
    """What a reader makes of a source: one dated table, and the answers that it comes from."""

    kind: KindName
    rows: tuple[Row, ...]
    observed_at: dt.datetime
    """UTC: when the figures held at the source"""
    source: str
    """where they come from, without credentials"""
    answers: tuple[Answer, ...] = ()
    notes: tuple[str, ...] = ()
    """what the source did not say, and what was assumed; sentences for people"""
    doubts: tuple[ReaderDoubt, ...] = ()
    """what a person should see before the table enters a plan"""


def key_of(kind: str, row: Row) -> tuple[str, ...]:
    """What names a row, as text; a blank part is empty."""
    parts = (getattr(row, name) for name in KINDS[kind].key)
    return tuple("" if part is None else str(part) for part in parts)


def figures(kind: str, rows: Iterable[Row]) -> dict[str, float]:
    """``region/offer ondemand_usd_per_h`` -> figure; blanks left out."""
    found: dict[str, float] = {}
    for row in rows:
        name = "/".join(part for part in key_of(kind, row) if part)
        for column in KINDS[kind].columns:
            value = getattr(row, column)
            if value is not None:
                found[f"{name} {column}"] = float(value)
    return found


def merged(kind: str, rows: Iterable[Row]) -> tuple[Row, ...]:
    """Rows in the order of their keys, repetitions dropped.

    Raises FeedError where two rows of one key say different things: nobody knows which is meant.
    """
    found: dict[tuple[str, ...], Row] = {}
    for row in rows:
        key = key_of(kind, row)
        if found.setdefault(key, row) != row:
            raise FeedError(f"{'/'.join(key)} appears twice with different figures")
    return tuple(found[key] for key in sorted(found))


# ------------------------------------------------------------------ as text


def to_csv(kind: str, rows: Iterable[Row]) -> str:
    """The table as CSV text in the instance's format; every float reads back exactly."""
    columns = list(KINDS[kind].row_class.model_fields)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: cell(getattr(row, name)) for name in columns})
    return text.getvalue()


def read_rows(path: Path, row_class: type[Row], name: str | None = None) -> tuple[Row, ...]:
    """The rows of a CSV file in the instance's format; FeedError lists the first findings."""
    table, findings = read_table(path, row_class)
    if findings:
        raise FeedError(_said(name or str(path), findings))
    return table.rows


def _said(name: str, findings: list[Finding]) -> str:
    shown = "; ".join(str(finding) for finding in findings[:MOST_FINDINGS_SHOWN])
    more = len(findings) - MOST_FINDINGS_SHOWN
    return f"{name}: {shown}" + (f"; and {more} more findings" if more > 0 else "")
