"""What both instance scripts need: demand from traces, quality from a user's table, writing.

Rows are checked against the schema before they are written, numbers are written the same way
everywhere, so that the same input gives the same bytes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from planner.catalog.reader import Catalog
from planner.instance.schema import TABLES

Cell = str | int | float | None
Cells = Mapping[str, Cell]

WEEKDAY_SHARE = 5.0 / 7.0


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


def demand_rows(
    catalog: Catalog,
    workload: str,
    shape: str,
    rates_per_s: Mapping[str, float],
    utc_offsets_h: Mapping[str, int],
    blocks: Sequence[Block],
    weekend_level: float = 1.0,
) -> list[Cells]:
    """Rows of demand.csv of an interactive workload: mean rate by origin, shaped by the trace."""
    return [
        {
            "workload": workload,
            "origin": origin,
            "slice": block.name,
            "requests_per_s": significant(
                rate
                * relative_rate(catalog, shape, block, utc_offsets_h[origin], weekend_level)
            ),
        }
        for origin, rate in rates_per_s.items()
        for block in blocks
    ]


def raised(quality: float, headroom_share: float) -> float:
    """Quality after a gain that closes a share of what is missing to 1 (or loses of it)."""
    room = 1.0 - quality if headroom_share >= 0.0 else quality
    return round(quality + headroom_share * room, 3)


def significant(value: float, digits: int = 4) -> float:
    """A number with few significant digits, as a person would write it."""
    return float(f"{value:.{digits}g}")


def write_instance(folder: Path, settings: str, tables: Mapping[str, Iterable[Cells]]) -> None:
    """Write ``instance.toml`` and the tables; every row must be a valid row of the schema."""
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
