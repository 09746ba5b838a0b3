"""Data that differ between two instances: rows and cells of tables, settings, resolved figures.

Tables are the user's own words. Resolved figures are what those words and the catalog come to,
changes of a request included: prices, carbon, quality, demand and limits by the names of
`planner.instance.figures`, told together where they moved by one factor.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from planner.instance.checks import KEYS
from planner.instance.facts import Facts
from planner.instance.figures import KINDS, TARGETS, Figure, Value, figures_of
from planner.instance.schema import TABLES, Instance, Row
from planner.instance.units import unit_of

SAME = 1e-9
"""Relative: figures closer than this are equal."""
RATIO_DIGITS = 6
SAID_BEFORE = tuple(f".{column}" for column in (*TARGETS.values(), "qoe_min", "quality_min"))
"""Columns of workloads that are targets and floors too."""


@dataclass(frozen=True)
class CellChange:
    """A cell of a table, or a setting, that differs; text as in the file."""

    row: str
    column: str
    unit: str
    old: str
    new: str


@dataclass(frozen=True)
class TableChange:
    """Rows and cells of one table that differ (``instance.toml`` has cells only)."""

    table: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[CellChange, ...]


@dataclass(frozen=True)
class FigureChange:
    """Resolved figures of one kind that moved alike: by one factor, or each in its own way."""

    kind: str
    what: str
    """the name they share, or some of their names"""
    unit: str
    count: int
    factor: float | None
    """new over old, where it is the same for all"""
    old: tuple[float, float] | str
    """least and most, or words"""
    new: tuple[float, float] | str


@dataclass(frozen=True)
class DataChanges:
    """All data that differ."""

    tables: tuple[TableChange, ...]
    figures: tuple[FigureChange, ...]

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        return bool(self.tables or self.figures)


def data_changes(old: Facts, new: Facts) -> DataChanges:
    """Everything that differs between two resolved instances."""
    tables = (*table_changes(old.instance, new.instance), *_calibration(old, new))
    return DataChanges(tables=tables, figures=figure_changes(old, new))


def _calibration(old: Facts, new: Facts) -> Iterable[TableChange]:
    """Combinations whose speeds were corrected otherwise, or only on one side."""
    ours, theirs = (
        {} if facts.calibration is None else {fit.name: fit for fit in facts.calibration.fits}
        for facts in (old, new)
    )
    added = tuple(name for name in theirs if name not in ours)
    removed = tuple(name for name in ours if name not in theirs)
    changed = tuple(
        CellChange(name, "factors", "", fit.said, theirs[name].said)
        for name, fit in ours.items()
        if name in theirs and theirs[name] != fit
    )
    if added or removed or changed:
        yield TableChange("calibration", added, removed, changed)


# ------------------------------------------------------------------ tables


def table_changes(old: Instance, new: Instance) -> Iterable[TableChange]:
    """Settings, then every table of the format, where anything differs."""
    cells = list(_settings(old.settings, new.settings, ""))
    if cells:
        yield TableChange("instance.toml", (), (), tuple(cells))
    for name in TABLES:
        ours, theirs = _by_key(name, getattr(old, name)), _by_key(name, getattr(new, name))
        added = tuple(row_name(key) for key in theirs if key not in ours)
        removed = tuple(row_name(key) for key in ours if key not in theirs)
        changed = tuple(
            cell
            for key, row in ours.items()
            if key in theirs
            for cell in _cells(row_name(key), row, theirs[key])
        )
        if added or removed or changed:
            yield TableChange(f"{name}.csv", added, removed, changed)


def row_name(key: Sequence[Any]) -> str:
    """The parts of a row's key that are there."""
    return "/".join(f"{part:g}" if isinstance(part, float) else str(part)
                    for part in key if part is not None)  # fmt: skip


def _by_key(table: str, rows: Iterable[Row]) -> dict[tuple[Any, ...], Row]:
    """Rows by what names them; rows of equal names are counted."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        parts = KEYS.get(table, ("region", "offer", "market"))
        key = tuple(getattr(row, part) for part in parts)
        number = 2
        while key in found:
            key, number = (*key[: len(parts)], f"row {number}"), number + 1
        found[key] = row
    return found


def _cells(name: str, old: BaseModel, new: BaseModel) -> Iterable[CellChange]:
    for column in type(old).model_fields:
        before, after = getattr(old, column), getattr(new, column)
        if before != after:
            yield CellChange(name, column, unit_of(column), _text(before), _text(after))


def _settings(old: BaseModel, new: BaseModel, prefix: str) -> Iterable[CellChange]:
    for column in type(old).model_fields:
        before, after = getattr(old, column), getattr(new, column)
        if isinstance(before, BaseModel):
            yield from _settings(before, after, f"{prefix}{column}.")
        elif before != after:
            yield CellChange("", f"{prefix}{column}", unit_of(column), _text(before), _text(after))


def _text(value: object) -> str:
    if value is None:
        return "blank"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ";".join(_text(part) for part in value) or "none"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


# ------------------------------------------------------------------ resolved figures


def figure_changes(old: Facts, new: Facts) -> tuple[FigureChange, ...]:
    """Figures that are in both and moved, grouped by kind, unit and factor."""
    found: list[FigureChange] = []
    for kind in KINDS:
        ours = {figure.names[0]: figure for figure in figures_of(old, kind)}
        ours = {name: figure for name, figure in ours.items() if not name.endswith(SAID_BEFORE)}
        theirs = {figure.names[0]: figure for figure in figures_of(new, kind)}
        groups: dict[tuple[str, object], list[str]] = defaultdict(list)
        for name, figure in ours.items():
            if name in theirs and _moved(figure.value, theirs[name].value):
                factor = _factor(figure.value, theirs[name].value)
                groups[figure.unit, factor].append(name)
        for (_, factor), names in groups.items():
            found.append(_group(kind, names, ours, theirs, factor))
    return tuple(found)


def _moved(old: Value, new: Value) -> bool:
    if isinstance(old, float | int) and isinstance(new, float | int):
        return abs(old - new) > SAME * max(abs(old), abs(new))
    return old != new


def _factor(old: Value, new: Value) -> object:
    """What tells groups apart: the factor, or the two words."""
    numbers = isinstance(old, float | int) and isinstance(new, float | int)
    if numbers and old and not isinstance(old, bool):
        return round(float(new) / float(old), RATIO_DIGITS)  # type: ignore[arg-type]
    return (old, new)


def _group(
    kind: str,
    names: Sequence[str],
    old: Mapping[str, Figure],
    new: Mapping[str, Figure],
    factor: object,
) -> FigureChange:
    figures = [old[name] for name in names]
    return FigureChange(
        kind=kind,
        what=_shared_name(kind, names, old),
        unit=figures[0].unit,
        count=len(names),
        factor=factor if isinstance(factor, float) else None,
        old=_span([figure.value for figure in figures]),
        new=_span([new[name].value for name in names]),
    )


def _shared_name(kind: str, names: Sequence[str], every: Mapping[str, Figure]) -> str:
    """The name that these figures and no others have; else the first one and how many more."""
    if len(names) == 1:
        return names[0]
    if len(names) == len(every):
        return f"{kind}.*"
    common = set(every[names[0]].names).intersection(*(every[name].names for name in names))
    for alias in every[names[0]].names:
        if alias in common and sum(alias in figure.names for figure in every.values()) == len(
            names
        ):
            return alias
    return f"{names[0]} and {len(names) - 1} more"


def _span(values: Sequence[Value]) -> tuple[float, float] | str:
    numbers = [float(v) for v in values if isinstance(v, float | int) and not isinstance(v, bool)]
    if len(numbers) == len(values):
        return min(numbers), max(numbers)
    return " or ".join(dict.fromkeys(_text(value) if value is not None else "none"
                                     for value in values))  # fmt: skip
