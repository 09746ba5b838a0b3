"""What both instance scripts need: demand from traces, quality from a user's table, writing.

Rows are checked against the schema before they are written, numbers are written the same way
everywhere, so that the same input gives the same bytes.
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from planner.catalog.reader import Catalog
from planner.instance.schema import TABLES, Settings

Cell = str | int | float | None
Cells = Mapping[str, Cell]

WEEKDAY_SHARE = 5.0 / 7.0

CHAT, BUSINESS, STEADY = "servegen-m-small", "servegen-m-large", "servegen-m-mid"
"""Demand shapes of the catalog, from production traces."""
WEEKEND_LEVEL = {CHAT: 0.85, BUSINESS: 0.4, STEADY: 1.0}
"""Example figures: a weekend day against a weekday (the traces do not tell them apart)."""

SKILL = {
    "llama-3.1-8b": 0.62,
    "qwen3-14b": 0.68,
    "qwen3-30b-a3b": 0.70,
    "qwen3-32b": 0.75,
    "gpt-oss-120b": 0.78,
    "llama-3.3-70b": 0.79,
    "claude-haiku-4-5": 0.84,
}
"""Example evaluation: share of the questions of an average task that the plain llm gets right."""


@dataclass(frozen=True)
class Origin:
    """Where users sit: the region whose place it borrows, and its clock."""

    region: str
    utc_offset_h: int


@dataclass(frozen=True)
class Block:
    """A slice of the week: hours of the day in UTC, on weekdays, at weekends or on all days."""

    name: str
    hours: float
    start_hour_utc: int
    end_hour_utc: int
    day_type: str
    month: int

    def row(self) -> Cells:
        """The row of slices.csv."""
        return {
            "slice": self.name,
            "hours": self.hours,
            "month": self.month,
            "start_hour_utc": self.start_hour_utc,
            "end_hour_utc": self.end_hour_utc,
        }


def day_blocks(period_hours: float, count: int, month: int) -> list[Block]:
    """Equal blocks of an average day, together `period_hours` long."""
    width = 24 // count
    return [
        Block(f"h{hour:02d}-{hour + width:02d}", period_hours / count, hour, hour + width, "all",
              month)
        for hour in range(0, 24, width)
    ]  # fmt: skip


def week_blocks(period_hours: float, count: int, month: int) -> list[Block]:
    """Equal blocks of a weekday and of a weekend day, together `period_hours` long."""
    width = 24 // count
    share = {"weekday": WEEKDAY_SHARE, "weekend": 1.0 - WEEKDAY_SHARE}
    return [
        Block(f"{day_type}-{hour:02d}-{hour + width:02d}", period_hours * share[day_type] / count,
              hour, hour + width, day_type, month)
        for day_type in share
        for hour in range(0, 24, width)
    ]  # fmt: skip


def relative_rate(
    catalog: Catalog, shape: str, block: Block, utc_offset_h: int, weekend_level: float = 1.0
) -> float:
    """Mean of a trace's hourly shape over a block, as users at `utc_offset_h` live it.

    The clock of the trace is read as local time; 1 is the mean of the week. The traces do not
    tell weekends apart, so `weekend_level` says what a weekend day is to a weekday.
    """
    days = {"all": ("weekday", "weekend")}.get(block.day_type, (block.day_type,))
    mean_level = WEEKDAY_SHARE + (1.0 - WEEKDAY_SHARE) * weekend_level
    levels = {"weekday": 1.0 / mean_level, "weekend": weekend_level / mean_level}
    shares = {"weekday": WEEKDAY_SHARE, "weekend": 1.0 - WEEKDAY_SHARE}
    hours = range(block.start_hour_utc, block.end_hour_utc)
    total = sum(
        shares[day] * levels[day] * hourly_rate(catalog, shape, day, (hour + utc_offset_h) % 24)
        for day in days
        for hour in hours
    )
    return total / (len(hours) * sum(shares[day] for day in days))


def hourly_rate(catalog: Catalog, shape: str, day_type: str, hour_local: int) -> float:
    """One hour of a demand shape of the catalog."""
    return float(catalog.row("demand_shapes", shape, day_type, str(hour_local))["relative_rate"])


def raised(quality: float, headroom_share: float) -> float:
    """Quality after a gain that closes a share of what is missing to 1 (or loses of it)."""
    room = 1.0 - quality if headroom_share >= 0.0 else quality
    return round(quality + headroom_share * room, 3)


def significant(value: float, digits: int = 4) -> float:
    """A number with few significant digits, as a person would write it."""
    return float(f"{value:.{digits}g}")


@dataclass(frozen=True)
class Lengths:
    """One length class."""

    name: str
    share: float
    input_tokens: float
    output_tokens: float
    output_cv: float = 1.0
    cached_share: float = 0.0


@dataclass(frozen=True)
class Trace:
    """Length classes as a trace of the catalog has them, shares scaled to 1."""

    name: str
    classes: Sequence[str] = ("short", "long")

    def lengths(self, catalog: Catalog) -> list[Lengths]:
        rows = [catalog.row("length_classes", self.name, name) for name in self.classes]
        total = sum(float(row["share"]) for row in rows)
        classes = [
            Lengths(
                row["length_class"],
                round(float(row["share"]) / total, 4),
                round(float(row["input_tokens_mean"])),
                round(float(row["output_tokens_mean"])),
                round(float(row["output_cv"]), 2),
                round(float(row["prefix_cached_share"] or 0.0), 2),
            )
            for row in rows
        ]
        rest = round(1.0 - sum(lengths.share for lengths in classes[1:]), 4)
        return [replace(classes[0], share=rest), *classes[1:]]


@dataclass(frozen=True)
class Feature:
    """A workload with everything that belongs to it."""

    name: str
    shape: str
    rates_per_s: Mapping[str, float]
    """origin: mean rate over the period"""
    lengths: Sequence[Lengths] | Trace
    difficulty: float
    """errors of the plain llm on this task, relative to the average task"""
    gains: Mapping[str, float | None]
    """adaptation: share of the errors it removes (negative: adds); None: not evaluated"""
    variants: Sequence[tuple[str, Sequence[str]]]
    """(llm, adaptations)"""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """of workloads.csv"""
    more_variants: Sequence[Cells] = ()
    allowed_slices: str | None = None

    def workload_row(self) -> Cells:
        return {"workload": self.name, **self.columns}

    def length_rows(self, catalog: Catalog) -> list[Cells]:
        classes = self.lengths
        if isinstance(classes, Trace):
            classes = classes.lengths(catalog)
        return [
            {
                "workload": self.name,
                "length_class": lengths.name,
                "share": lengths.share,
                "input_tokens": lengths.input_tokens,
                "output_tokens": lengths.output_tokens,
                "output_cv": lengths.output_cv,
                "cached_share": lengths.cached_share,
            }
            for lengths in classes
        ]

    def demand_rows(
        self, catalog: Catalog, blocks: Sequence[Block], origins: Mapping[str, Origin]
    ) -> list[Cells]:
        if self.columns.get("kind") == "batch":
            return [
                {
                    "workload": self.name,
                    "origin": origin,
                    "requests_per_s": rate,
                    "allowed_slices": self.allowed_slices,
                }
                for origin, rate in self.rates_per_s.items()
            ]
        level = WEEKEND_LEVEL[self.shape]
        return [
            {
                "workload": self.name,
                "origin": origin,
                "slice": block.name,
                "requests_per_s": significant(
                    rate
                    * relative_rate(catalog, self.shape, block, origins[origin].utc_offset_h, level)
                ),
            }
            for origin, rate in self.rates_per_s.items()
            for block in blocks
        ]

    def variant_rows(self) -> list[Cells]:
        plain: list[Cells] = [
            {"workload": self.name, "llm": llm, "adaptation": adaptation}
            for llm, adaptations in self.variants
            for adaptation in adaptations
        ]
        return [*plain, *({"workload": self.name, **row} for row in self.more_variants)]

    def quality_rows(self) -> list[Cells]:
        rows: list[Cells] = []
        wanted: dict[tuple[str, str], None] = {}
        for llm, adaptations in self.variants:
            wanted.update(dict.fromkeys((llm, adaptation) for adaptation in ("base", *adaptations)))
        for row in self.more_variants:
            llms = (row["llm"], row.get("check_llm"))
            wanted.update(dict.fromkeys((str(llm), "base") for llm in llms if llm))
            wanted.setdefault((str(row["llm"]), str(row.get("adaptation", "base"))))
        for llm, adaptation in wanted:
            base = 1.0 - self.difficulty * (1.0 - SKILL[llm])
            gain = 0.0 if adaptation == "base" else self.gains[adaptation]
            if gain is not None:
                rows.append(
                    {
                        "workload": self.name,
                        "llm": llm,
                        "adaptation": adaptation,
                        "quality": raised(base, gain),
                    }
                )
        return rows


def tables(
    catalog: Catalog,
    features: Sequence[Feature],
    blocks: Sequence[Block],
    origins: Mapping[str, Origin],
) -> dict[str, Iterable[Cells]]:
    """The tables that follow from the features."""
    used = [name for name in origins if any(name in f.rates_per_s for f in features)]
    return {
        "workloads": [feature.workload_row() for feature in features],
        "length_classes": [row for feature in features for row in feature.length_rows(catalog)],
        "slices": [block.row() for block in blocks],
        "origins": [{"origin": name, "region": origins[name].region} for name in used],
        "demand": [
            row for feature in features for row in feature.demand_rows(catalog, blocks, origins)
        ],
        "variants": [row for feature in features for row in feature.variant_rows()],
        "quality": [row for feature in features for row in feature.quality_rows()],
    }


def named(column: str, names: Iterable[str]) -> list[Cells]:
    """Rows with one column."""
    return [{column: name} for name in names]


def write_instance(folder: Path, settings: str, tables: Mapping[str, Iterable[Cells]]) -> None:
    """Write ``instance.toml`` and the tables; every row must be a valid row of the schema."""
    Settings.model_validate(tomllib.loads(settings))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "instance.toml").write_text(settings, encoding="utf-8")
    for name, table in tables.items():
        rows = list(table)
        (folder / f"{name}.csv").write_text(table_text(name, rows), encoding="utf-8")


def table_text(name: str, rows: Sequence[Cells]) -> str:
    """A table as CSV: the schema's columns that any row fills."""
    kind = TABLES[name][0]
    for row in rows:
        kind.model_validate({key: value for key, value in row.items() if value is not None})
    used = {column for row in rows for column, value in row.items() if value is not None}
    columns = [column for column in kind.model_fields if column in used]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([cell_text(row.get(column)) for column in columns] for row in rows)
    return buffer.getvalue()


def cell_text(value: Cell) -> str:
    """A cell; floats in their shortest form, whole ones without a point."""
    if value is None:
        return ""
    return f"{value:.12g}" if isinstance(value, float) else str(value)
