"""Fleets of ``scripts/unlike_fleets.py``, what becomes of them, and changes of their tables.

A change writes another instance folder; what it must do to the answer is for the tests to say.
"""

from __future__ import annotations

import csv
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from planner.api import Answer, Request, answer
from planner.catalog import load_catalog
from planner.errors import InfeasibleError, SolverError
from scripts import unlike_fleets
from scripts.bench.corpus import Side, judged

GAP, LIMIT_S = 1e-3, 20.0
TOLERANCE = 2e-5
"""Relative, of HiGHS and of figures that were written in another unit."""
Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Outcome:
    """What the planner says of a fleet: ``plan``, ``infeasible`` or ``nothing`` in the time."""

    status: str
    found: Answer | None = None

    @property
    def value(self) -> float:
        return self.found.plan.certificate.value if self.found else float("inf")

    @property
    def bound(self) -> float:
        if self.found:
            return self.found.plan.certificate.bound
        return float("inf") if self.status == "infeasible" else -float("inf")

    def never_dearer_than(self, other: Outcome) -> bool:
        """Whether nothing that was proved speaks against it."""
        return self.bound <= other.value + TOLERANCE * max(abs(other.value), 1e-3)

    def as_good_as(self, other: Outcome) -> bool:
        return self.never_dearer_than(other) and other.never_dearer_than(self)


def planned(folder: Path, **asked: Any) -> Outcome:
    """The answer for a folder, HiGHS's tolerances apart; one thread, so that it repeats."""
    try:
        return Outcome(
            "plan", answer(folder, Request(gap=GAP, time_limit_s=LIMIT_S, threads=1, **asked))
        )
    except InfeasibleError:
        return Outcome("infeasible")
    except SolverError:
        return Outcome("nothing")


def judge(folder: Path) -> Side:
    """What plain HiGHS says of the whole stated program."""
    return judged(folder, LIMIT_S, 1, "wall")


@cache
def tiny_numbers(count: int, among: int = 200) -> tuple[int, ...]:
    """Numbers of the first fleets of the smallest size."""
    drawn = (unlike_fleets.draw_fleet(load_catalog(), 0, n) for n in range(among))
    return tuple(n for n, fleet in enumerate(drawn) if fleet.size.name == "tiny")[:count]


def written(number: int, place: Path) -> Path:
    """Fleet `number` in a folder below `place`."""
    folder = place / f"fleet-{number:03d}"
    unlike_fleets.write_numbered(load_catalog(), folder, 0, number)
    return folder


# ------------------------------------------------------------------ tables


def rows_of(folder: Path, table: str) -> Rows:
    """Rows of a table; none where there is no table."""
    file = folder / f"{table}.csv"
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def write_rows(folder: Path, table: str, rows: Rows) -> None:
    """Write a table again; without rows it keeps its header."""
    file = folder / f"{table}.csv"
    columns = list(dict.fromkeys(column for row in rows for column in row))
    if not rows:
        columns = file.read_text(encoding="utf-8").splitlines()[0].split(",")
    with file.open("w", encoding="utf-8", newline="") as text:
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def changed(folder: Path, name: str, **tables: Callable[[Rows], Rows]) -> Path:
    """A copy of the folder beside it, with tables changed."""
    copy = folder.with_name(f"{folder.name}-{name}")
    shutil.copytree(folder, copy)
    for table, change in tables.items():
        rows = rows_of(folder, table)
        if rows:
            write_rows(copy, table, change(rows))
    return copy


def in_cells(change: Callable[[str], str], *columns: str) -> Callable[[Rows], Rows]:
    """Change the cells of some columns that are not blank."""
    return lambda rows: [row | {c: change(row[c]) for c in columns if row.get(c)} for row in rows]


# ------------------------------------------------------------------ changes


def permuted(folder: Path) -> Path:
    """Every table in another order."""
    draw = random.Random(folder.name)
    names = [file.stem for file in folder.glob("*.csv")]
    return changed(
        folder, "permuted", **{n: lambda rows: draw.sample(rows, len(rows)) for n in sorted(names)}
    )


def busier(folder: Path) -> Path:
    """Half as many requests again."""
    return changed(
        folder, "busier", demand=in_cells(lambda rate: repr(1.5 * float(rate)), "requests_per_s")
    )


def with_an_offer(folder: Path) -> Path:
    """One more machine on sale, in the first region."""
    region = rows_of(folder, "regions")[0]["region"]
    card = rows_of(folder, "accelerators")[0]["accelerator"]
    offer = {
        "region": region,
        "offer": "one-more",
        "accelerator": card,
        "accelerators": "1",
        "ondemand_usd_per_h": "0.9",
    }
    copy = changed(folder, "offer")
    write_rows(copy, "offers", [*rows_of(folder, "offers"), offer])
    return copy


def with_a_slice_split(folder: Path) -> Path:
    """The first slice as two of half its hours, with the same window and the same rates."""
    first = rows_of(folder, "slices")[0]["slice"]
    halves = [f"{first}-a", f"{first}-b"]

    def split(rows: Rows) -> Rows:
        same = [row for row in rows if row.get("slice") != first]
        return same + [
            row | {"slice": h} for row in rows if row.get("slice") == first for h in halves
        ]

    def halved(rows: Rows) -> Rows:
        made = split(rows)
        return [
            row | {"hours": repr(float(row["hours"]) / 2.0)} if row["slice"] in halves else row
            for row in made
        ]

    def allowed(rows: Rows) -> Rows:
        def name(cell: str) -> str:
            return ";".join(
                part for old in cell.split(";") for part in (halves if old == first else [old])
            )

        return in_cells(name, "allowed_slices")(split(rows))

    return changed(folder, "split", slices=halved, demand=allowed)


def without_region(folder: Path, region: str) -> Path:
    """A region, and all that is said of it, removed; accelerators without an offer as well."""

    def rest(rows: Rows) -> Rows:
        return [row for row in rows if row.get("region") != region]

    copy = changed(
        folder, "without", **dict.fromkeys(("regions", "offers", "quotas", "owned", "apis"), rest)
    )
    catalog, left = load_catalog(), [row["region"] for row in rows_of(copy, "regions")]
    sold = {row["accelerator"] for t in ("offers", "owned") for row in rows_of(copy, t)}
    for card in [row["accelerator"] for row in rows_of(copy, "accelerators")]:
        if any(catalog.has("regions", r) and catalog.offers_of(r, card) for r in left):
            sold.add(card)
    for table in ("accelerators", "quotas"):
        rows = [row for row in rows_of(copy, table) if row["accelerator"] in sold]
        if rows_of(copy, table):
            write_rows(copy, table, rows)
    return copy


UNITS: dict[str, dict[str, tuple[str, float]]] = {
    "workloads": {
        "ttft_target_s": ("ttft_target_ms", 1e3),
        "tpot_target_s": ("tpot_target_ms", 1e3),
        "staff_h_per_refresh": ("staff_min_per_refresh", 60.0),
        "corpus_tokens": ("corpus_mtok", 1e-6),
    },
    "demand": {"requests_per_s": ("requests_per_h", 3600.0)},
    "regions": {"carbon_gco2e_per_kwh": ("carbon_kgco2e_per_kwh", 1e-3)},
    "variants": {"refresh_days": ("refresh_h", 24.0)},
    "length_classes": {"cached_share": ("cached_percent", 100.0)},
    "offers": {"ondemand_usd_per_h": ("ondemand_usd_per_d", 24.0)},
}
"""Column -> the same in another unit, and how many of it are one of the format's."""


def in_other_units(folder: Path) -> Path:
    """Every convertible header in another unit."""

    def convert(units: dict[str, tuple[str, float]]) -> Callable[[Rows], Rows]:
        def moved(column: str, cell: str) -> tuple[str, str]:
            name, times = units.get(column, (column, 0.0))
            return name, repr(float(cell) * times) if times and cell else cell

        return lambda rows: [dict(moved(c, cell) for c, cell in row.items()) for row in rows]

    return changed(folder, "units", **{table: convert(units) for table, units in UNITS.items()})


def for_twelve_periods(folder: Path) -> Path:
    """The same fleet over twelve times the hours."""
    copy = changed(folder, "year", slices=in_cells(lambda h: repr(12.0 * float(h)), "hours"))
    text = (copy / "instance.toml").read_text(encoding="utf-8")
    hours = text.split("hours = ")[1].splitlines()[0]
    longer = text.replace(f"hours = {hours}", f"hours = {12.0 * float(hours)!r}")
    (copy / "instance.toml").write_text(longer, encoding="utf-8")
    return copy
