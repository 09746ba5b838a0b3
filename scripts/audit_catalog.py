"""Look for figures of the catalog that do not fit their kind.

Usage: python scripts/audit_catalog.py [--write]

Prints what is undecided and returns 1 if anything is. Decisions stand in
scripts/sources/audit_decisions.csv (`finding` may hold `*`); `--write` lists findings and
decisions in planner/catalog/README.md. Nothing is changed here: figures are mended at their source.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import combinations
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from planner.catalog import Catalog, load_catalog
from planner.catalog.reader import great_circle_km

DECISIONS = ROOT / "scripts" / "sources" / "audit_decisions.csv"
PAGE = ROOT / "planner" / "catalog" / "README.md"
BEGIN, END = "<!-- audit: written by scripts/audit_catalog.py -->", "<!-- end of audit -->"

READ_ON = pd.Timestamp("2026-11-30")
"""The day against which ages are counted: that of the newest table, not of the run."""
MOST_DAYS = {"offers": 365, "api_offers": 92, "ancillary": 730, "retrieval": 730, "latency": 730,
             "regions": 400, "grid_zones": 400, "accelerators": 400, "llms": 400,
             "serving_points": 1000, "carbon_profiles": 1500}  # fmt: skip
CLASS_FACTOR = 3.0
"""A figure of an accelerator is an outlier this far off the median of its family."""
PRICE_FACTOR = 2.0
"""An on-demand price per accelerator is, this far off the median of its accelerator."""
SPOT_SHARE, COMMIT_SHARE = (0.1, 1.0), (0.25, 1.0)
"""Usual share of the on-demand price."""
NEIGHBOURS_KM = 60.0
PROVIDER_FACTOR = 2.5
"""A provider's own grid figure is doubtful this far off that of the grid."""
IDLE_SHARE = (0.03, 0.3)


@dataclass(frozen=True)
class Finding:
    """What does not fit, under a name that stays while the figure does."""

    name: str
    said: str


def findings(catalog: Catalog) -> list[Finding]:
    """All findings, by name."""
    checks = (unsourced, old, accelerator_classes, grids, neighbours, prices, markets, hosted)
    found = [finding for check in checks for finding in check(catalog)]
    return sorted(found, key=lambda finding: finding.name)


# ------------------------------------------------------------------ checks


def unsourced(catalog: Catalog) -> Iterator[Finding]:
    """Rows of tables with a column `source` that leave it blank."""
    for table in catalog.files:
        frame = catalog.table(table)
        if "source" in frame:
            blank = frame["source"].isna() | (frame["source"].astype(str).str.strip() == "")
            if blank.any():
                yield Finding(f"source/{table}", f"{int(blank.sum())} rows without a source")


def old(catalog: Catalog) -> Iterator[Finding]:
    """Rows older than the table may be, one finding for each table and date."""
    for table, days in MOST_DAYS.items():
        frame = catalog.table(table)
        dates = frame["price_date" if "price_date" in frame else "date"].astype(str)
        for date, rows in dates.value_counts().items():
            age = (READ_ON - pd.to_datetime(str(date))).days
            if age > days:
                yield Finding(f"age/{table}/{date}", f"{rows} rows, {age} days old")


def accelerator_classes(catalog: Catalog) -> Iterator[Finding]:
    """Figures far from those of the accelerators of one family, segment and vendor."""
    frame = catalog.accelerators
    for column in ("memory_bandwidth_gb_per_s", "bf16_tflops", "tdp_w", "embodied_high_kgco2e"):
        usual = frame.groupby(["vendor", "family", "segment"])[column].transform("median")
        for at in frame.index[~(frame[column] / usual).between(1 / CLASS_FACTOR, CLASS_FACTOR)]:
            value = frame.loc[at, column]
            if pd.notna(value):
                name = f"class/{frame.loc[at, 'accelerator']}/{column}"
                yield Finding(name, f"{value:g}, its class {usual[at]:g}")
    share = frame["idle_w"] / frame["tdp_w"]
    for at in frame.index[share.notna() & ~share.between(*IDLE_SHARE)]:
        name = f"class/{frame.loc[at, 'accelerator']}/idle_w"
        yield Finding(name, f"idle power is {share[at]:.0%} of full power")


def grids(catalog: Catalog) -> Iterator[Finding]:
    """Regions on one grid with different carbon; providers who state something else than it."""
    frame = catalog.regions
    for zone, rows in frame.groupby("grid_zone"):
        if rows["carbon_gco2e_per_kwh"].nunique() > 1:
            values = ", ".join(f"{value:g}" for value in rows["carbon_gco2e_per_kwh"].unique())
            yield Finding(f"grid/{zone}", f"{values} g/kWh in one zone")
    share = frame["carbon_gco2e_per_kwh"] / frame["provider_carbon_gco2e_per_kwh"]
    for at in frame.index[share.notna() & ~share.between(1 / PROVIDER_FACTOR, PROVIDER_FACTOR)]:
        row = frame.loc[at]
        said = (f"{row['provider_carbon_gco2e_per_kwh']:g} g/kWh by the provider, "
                f"{row['carbon_gco2e_per_kwh']:g} of the grid")  # fmt: skip
        yield Finding(f"grid/{row['region']}", said)


def neighbours(catalog: Catalog) -> Iterator[Finding]:
    """Regions of one place on different grids."""
    rows = catalog.regions.sort_values("region").to_dict("records")
    for a, b in combinations(rows, 2):
        km = great_circle_km(a["lat"], a["lon"], b["lat"], b["lon"])
        if km < NEIGHBOURS_KM and a["grid_zone"] != b["grid_zone"]:
            said = f"{a['grid_zone']} and {b['grid_zone']} at one place"
            yield Finding(f"neighbours/{a['region']}+{b['region']}", said)


def prices(catalog: Catalog) -> Iterator[Finding]:
    """Prices per accelerator far from the class, one finding for an offer in all its regions."""
    frame = catalog.offers
    each = frame["ondemand_usd_per_h"] / frame["accelerators"]
    ratio = each / each.groupby(frame["accelerator"]).transform("median")
    off = frame.assign(ratio=ratio)[ratio.notna() & ~ratio.between(1 / PRICE_FACTOR, PRICE_FACTOR)]
    for offer, rows in off.groupby("offer"):
        low, high = rows["ratio"].min(), rows["ratio"].max()
        said = (f"{low:.2g} to {high:.2g} times the median of {rows['accelerator'].iloc[0]}, "
                f"{len(rows)} regions")  # fmt: skip
        yield Finding(f"price/{offer}", said)


def markets(catalog: Catalog) -> Iterator[Finding]:
    """Spot and committed prices that are an unusual share of on demand."""
    frame = catalog.offers
    for column, usual in (
        ("spot_usd_per_h", SPOT_SHARE),
        ("commit_1y_usd_per_h", COMMIT_SHARE),
        ("commit_3y_usd_per_h", COMMIT_SHARE),
    ):
        share = frame[column] / frame["ondemand_usd_per_h"]
        off = frame.assign(share=share)[share.notna() & ~share.between(*usual)]
        for offer, rows in off.groupby("offer"):
            said = (f"{column} {rows['share'].min():.0%} to {rows['share'].max():.0%} of on "
                    f"demand, {len(rows)} regions")  # fmt: skip
            yield Finding(f"market/{column.split('_usd')[0]}/{offer}", said)


def hosted(catalog: Catalog) -> Iterator[Finding]:
    """Hosted llms whose prices stand in an unusual order."""
    columns = ("input_usd_per_mtok", "cached_input_usd_per_mtok", "output_usd_per_mtok")
    for row in catalog.api_offers.to_dict("records"):
        name = f"hosted/{row['provider']}/{row['llm']}"
        fresh, cached, output = (float(row[column]) for column in columns)
        if output < fresh:
            yield Finding(name, f"answers at {output:g} USD/Mtok, prompts at {fresh:g}")
        elif cached > fresh:
            yield Finding(name, f"cached prompts at {cached:g} USD/Mtok, fresh at {fresh:g}")


# ------------------------------------------------------------------ decisions


def decisions() -> pd.DataFrame:
    """Patterns of findings and what was decided, in the order of the file."""
    return pd.read_csv(DECISIONS, dtype=str)


def decided(finding: Finding, patterns: Sequence[str]) -> str | None:
    """The first pattern that covers a finding, None: nobody decided."""
    return next((p for p in patterns if fnmatchcase(finding.name, p)), None)


def undecided(found: Sequence[Finding]) -> list[Finding]:
    """Findings that no decision covers."""
    patterns = decisions()["finding"].tolist()
    return [finding for finding in found if decided(finding, patterns) is None]


def section(found: Sequence[Finding]) -> str:
    """The table of the catalog page: decisions with the findings under each."""
    table = decisions()
    patterns = table["finding"].tolist()
    covered = [decided(finding, patterns) for finding in found]
    lines = [BEGIN, "| finding | figures | example | decided |", "| --- | --- | --- | --- |"]
    for pattern, decision in zip(patterns, table["decided"], strict=True):
        mine = [f for f, by in zip(found, covered, strict=True) if by == pattern]
        example = f"{mine[0].name}: {mine[0].said}" if mine else "none"
        lines.append(f"| `{pattern}` | {len(mine)} | {example} | {decision} |")
    return "\n".join([*lines, END])


def main(arguments: Sequence[str]) -> int:
    found = findings(load_catalog())
    open_ = undecided(found)
    for finding in open_:
        print(f"{finding.name}: {finding.said}")
    print(f"{len(found)} findings, {len(open_)} undecided")
    if "--write" in arguments:
        page = PAGE.read_text(encoding="utf-8")
        marked = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
        PAGE.write_text(marked.sub(lambda _: section(found), page), encoding="utf-8")
    return 1 if open_ else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
