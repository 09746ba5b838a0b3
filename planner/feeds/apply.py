"""Accepted tables into an instance of that day: a folder in the documented instance format.

Every table that a feed changes is written anew from the validated rows, with notes that name the
feed, its source, date and hash; everything else is copied. So a run folder holds all that its plan
was made from, and ``planner verify`` needs no feed.
"""

from __future__ import annotations

import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from planner.errors import FeedError, InstanceError
from planner.feeds.need import Need, mean_lengths
from planner.feeds.refresh import Choice, usable
from planner.feeds.store import Record
from planner.feeds.tables import (
    HOSTED_COLUMNS,
    KINDS,
    LENGTH_COLUMNS,
    PRICE_COLUMNS,
    GridCarbon,
    HostedPrice,
    MeasuredDemand,
    MeasuredLength,
    Price,
    figures,
    key_of,
)
from planner.instance.copy import accept, copy_with_incumbent, write_table
from planner.instance.findings import Finding, shortened
from planner.instance.schema import Instance, Offer, Quota, Row


def dated_instance(need: Need, choices: Sequence[Choice], target: Path) -> Path:
    """Write the instance as the chosen tables say it is; the folder, which must not exist yet.

    Raises FeedError where a policy says stop, where two feeds say the same figure, where the result
    is no valid instance, or where the folder cannot be written.
    """
    records = usable(choices)
    _no_conflict(records)
    instance = need.instance
    notes: dict[str, list[str]] = defaultdict(list)
    cells: set[str] = set()
    for choice in choices:
        record = records[choice.feed]
        # What the instance gave up since the table was fetched has no place in it any more.
        rows = [row for row in record.table() if need.places(choice.kind, row)]
        instance = APPLY[choice.kind](need, instance, Dated(rows, record))
        notes[KINDS[choice.kind].replaces] += _notes(choice, record)
        cells |= set(_cells(choice.kind, rows))
    target = target.absolute()
    if target.exists():
        raise FeedError(f"{target} exists: name a folder that does not")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
            draft = Path(scratch) / "instance"
            copy_with_incumbent(Path(instance.folder), draft, instance.settings.incumbent)
            for table, said in notes.items():
                write_table(draft, table, getattr(instance, table), said)
            _ensure_valid(draft, cells)
            draft.replace(target)
    except OSError as error:
        raise FeedError(f"cannot write {target}: {error.strerror or error}") from error
    return target


@dataclass(frozen=True)
class Dated:
    """Rows of a table, and the record that they are from."""

    rows: Sequence[Row]
    record: Record


def _ensure_valid(folder: Path, cells: Collection[str]) -> None:
    """The instance can be planned; FeedError where it cannot.

    What a table in use says of its `cells` was judged when it was fetched, or taken by a person:
    it is meant, however far it lies from the catalog.
    """
    from planner.instance.load import load_instance

    try:
        load_instance(folder)
    except InstanceError as error:
        found = [finding for finding in error.findings if isinstance(finding, Finding)]
        meant = [finding.name for finding in found if finding.name in cells]
        if meant and len(meant) == len(found):
            accept(folder, *meant)
            _ensure_valid(folder, set(cells) - set(meant))
            return
        said = "; ".join(str(finding) for finding in error.findings[:3])
        raise FeedError(f"with these feeds the instance is invalid: {said}") from error


def _cells(kind: str, rows: Iterable[Row]) -> Iterator[str]:
    """What ``accept`` of ``instance.toml`` calls the cells that rows of a table go into."""
    if kind == "carbon":
        yield from (f"regions/{key_of(kind, row)[0]}/carbon_gco2e_per_kwh" for row in rows)
    else:
        for figure in figures(kind, rows):
            yield f"{KINDS[kind].replaces}/{figure.replace(' ', '/')}"


def _no_conflict(records: Mapping[str, Record]) -> None:
    """No figure is said by two feeds."""
    said: dict[tuple[str, str], str] = {}
    for feed, record in records.items():
        for figure in figures(record.meta.kind, record.table()):
            first = said.setdefault((record.meta.kind, figure), feed)
            if first != feed:
                raise FeedError(
                    f"{first} and {feed} both say {figure}: let one of them ignore it, or take "
                    "other markets"
                )


def _notes(choice: Choice, record: Record) -> list[str]:
    """Where the figures are from, what they leave out, and if they are not the newest, why."""
    meta = record.meta
    notes = [
        f"# feed {choice.feed}: {meta.source}, of {meta.observed_at:%Y-%m-%d %H:%M} UTC, fetched "
        f"{meta.fetched_at:%Y-%m-%d %H:%M} UTC, sha256 {meta.sha256}"
    ]
    if choice.status == "last-good":
        notes.append(f"# feed {choice.feed}, last good table: {shortened(choice.said, 400)}")
    notes += [f"# feed {choice.feed}: {shortened(text, 400)}" for text in choice.remarks]
    return notes


# ------------------------------------------------------------------ kinds of tables


def _prices(need: Need, instance: Instance, table: Dated) -> Instance:
    """Prices replace those of ``offers.csv``, or add a row to it.

    The day of an offer is that of its on-demand price: other markets alone leave it as it is.
    """
    assert table.record.meta.observed_at is not None
    day = table.record.meta.observed_at.date()
    offers = {(row.region, row.offer): row for row in instance.offers}
    machines = {(m.region, m.offer): m for m in need.facts.machines}
    for row in table.rows:
        assert isinstance(row, Price)
        key = (row.region, row.offer)
        machine = machines[key]
        known = offers.get(key) or Offer(
            region=row.region, offer=row.offer, accelerator=machine.accelerator,
            accelerators=machine.accelerators,
        )  # fmt: skip
        said = {c: getattr(row, c) for c in PRICE_COLUMNS if getattr(row, c) is not None}
        date = {"price_date": day} if row.ondemand_usd_per_h is not None else {}
        offers[key] = known.model_copy(update={**said, **date})
    return instance.model_copy(update={"offers": tuple(offers.values())})


def _hosted(need: Need, instance: Instance, table: Dated) -> Instance:
    """Prices of hosted llms replace those of ``apis.csv``, in every region."""
    said: dict[tuple[str, str], dict[str, float]] = {}
    for row in table.rows:
        assert isinstance(row, HostedPrice)
        found = {column: getattr(row, column) for column in HOSTED_COLUMNS}
        said[row.provider, row.llm] = {k: v for k, v in found.items() if v is not None}
    apis = [api.model_copy(update=said.get((api.provider, api.llm), {})) for api in instance.apis]
    return instance.model_copy(update={"apis": tuple(apis)})


def _carbon(need: Need, instance: Instance, table: Dated) -> Instance:
    """The annual mean with which the catalog's shape gives what was measured.

    ``regions.csv`` holds an annual mean, and the planner keeps the catalog's course over the year
    and the day. So the measured mean is carried to the year: times what the instance says of the
    year, over what it says of the same months and hours.
    """
    measured: dict[str, list[GridCarbon]] = defaultdict(list)
    for row in table.rows:
        assert isinstance(row, GridCarbon)
        measured[row.region].append(row)
    regions = [
        region.model_copy(
            update={"carbon_gco2e_per_kwh": annual_mean(need, measured[region.region])}
        )
        if region.region in measured
        else region
        for region in instance.regions
    ]
    return instance.model_copy(update={"regions": tuple(regions)})


def annual_mean(need: Need, rows: Sequence[GridCarbon]) -> float:
    """Annual mean in gCO2e/kWh that goes with what was measured in some months and hours."""
    days = math.fsum(row.days for row in rows)
    mean = math.fsum(row.gco2e_per_kwh * row.days for row in rows) / days
    region = rows[0].region
    if not need.catalog.has("regions", region):
        return mean
    profile = need.catalog.region_carbon_profile(region)
    usual = (
        math.fsum(profile.gco2e_per_kwh[row.month - 1][row.hour_utc] * row.days for row in rows)
        / days
    )
    return mean * profile.annual_mean_gco2e_per_kwh / usual if usual > 0.0 else mean


def _demand(need: Need, instance: Instance, table: Dated) -> Instance:
    """Measured rates replace those of ``demand.csv``."""
    said: dict[tuple[str, str, str | None], float] = {}
    for row in table.rows:
        assert isinstance(row, MeasuredDemand)
        said[row.workload, row.origin, row.slice] = row.requests_per_s
    demand = [
        row.model_copy(update={"requests_per_s": said[key]})
        if (key := (row.workload, row.origin, row.slice)) in said
        else row
        for row in instance.demand
    ]
    return instance.model_copy(update={"demand": tuple(demand)})


def _lengths(need: Need, instance: Instance, table: Dated) -> Instance:
    """All length classes of a workload are stretched so that their mean is the measured one."""
    today = {row.workload: row for row in mean_lengths(instance)}
    stretch: dict[str, dict[str, float]] = {}
    for row in table.rows:
        assert isinstance(row, MeasuredLength)
        old = today[row.workload]
        stretch[row.workload] = {c: getattr(row, c) / getattr(old, c) for c in LENGTH_COLUMNS}
    classes = [
        row.model_copy(
            update={c: getattr(row, c) * factor for c, factor in stretch[row.workload].items()}
        )
        if row.workload in stretch
        else row
        for row in instance.length_classes
    ]
    return instance.model_copy(update={"length_classes": tuple(classes)})


def _quotas(need: Need, instance: Instance, table: Dated) -> Instance:
    """Quotas replace those of the same region, accelerator and market, or add to them."""
    quotas = {(row.region, row.accelerator, row.market): row for row in instance.quotas}
    for row in table.rows:
        assert isinstance(row, Quota)
        quotas[row.region, row.accelerator, row.market] = row
    return instance.model_copy(update={"quotas": tuple(quotas.values())})


Apply = Callable[[Need, Instance, Dated], Instance]
APPLY: dict[str, Apply] = {
    "prices": _prices,
    "hosted-prices": _hosted,
    "carbon": _carbon,
    "demand": _demand,
    "lengths": _lengths,
    "quotas": _quotas,
}
