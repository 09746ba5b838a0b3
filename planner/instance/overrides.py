"""Overrides: cells of the catalog that the user replaces, before anything is joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from planner.catalog import Catalog
from planner.catalog.reader import KEYS
from planner.errors import InstanceError
from planner.instance.findings import near_matches
from planner.instance.schema import Override
from planner.numbers import plain_number, why_no_number

if TYPE_CHECKING:
    from pandas import DataFrame

SIGNED = {"lat", "lon"}
"""Columns that may be negative."""
LARGEST = 1e15


@dataclass(frozen=True)
class OverriddenCatalog(Catalog):
    """A catalog with some cells changed by the user; everything else answers as before."""

    changed: dict[str, DataFrame] = field(default_factory=dict)
    reasons: dict[tuple[str, str], str] = field(default_factory=dict)
    """(table, id) -> what and why"""
    cells: frozenset[tuple[str, str, str]] = frozenset()
    """(table, id, column) of every cell changed"""

    def table(self, name: str) -> DataFrame:
        """The table with the user's cells."""
        return self.changed[name] if name in self.changed else super().table(name)


@dataclass(frozen=True)
class Misfit:
    """An override that fits no cell: its place in the table, what is wrong and the remedy."""

    index: int
    column: str
    problem: str
    remedy: str


def overridden(catalog: Catalog, overrides: Sequence[Override]) -> Catalog:
    """The catalog with the overrides applied; InstanceError where one fits no cell."""
    changed, misfits = apply_overrides(catalog, overrides)
    if misfits:
        raise InstanceError(
            "; ".join(f"override {misfit.index + 1}: {misfit.problem}" for misfit in misfits)
        )
    return changed


def apply_overrides(
    catalog: Catalog, overrides: Sequence[Override]
) -> tuple[Catalog, list[Misfit]]:
    """The changed catalog, and every override that fits nothing.

    A row's id is its key, parts joined by ``/``: ``aws:us-east-1`` or
    ``aws:us-east-1/aws_p5.48xlarge``.
    """
    if not overrides:
        return catalog, []
    changed: dict[str, DataFrame] = {}
    reasons: dict[tuple[str, str], str] = {}
    misfits: list[Misfit] = []
    tables = sorted(set(KEYS) & set(catalog.files))
    rows: dict[str, dict[str, int]] = {}
    for index, override in enumerate(overrides):
        name = override.table
        if name not in tables:
            hint = near_matches(name, tables)
            misfits.append(Misfit(index, "table", "not a table of the catalog", hint))
            continue
        frame = changed.get(name, catalog.table(name))
        if name not in rows:
            rows[name] = row_ids(frame, KEYS[name])
        at = rows[name].get(override.id)
        misfit = _misfit(index, override, frame, rows[name])
        if misfit is not None or at is None:
            misfits += [misfit] if misfit is not None else []
            continue
        changed[name] = _with_cell(frame, at, override)
        reasons[name, override.id] = f"{override.column} by the user: {override.reason}"
    wrong = {misfit.index for misfit in misfits}
    cells = frozenset(
        (row.table, row.id, row.column) for at, row in enumerate(overrides) if at not in wrong
    )
    return OverriddenCatalog(catalog.folder, changed, reasons, cells), misfits


def is_overridden(catalog: Catalog, table: str, row_id: str, *columns: str) -> bool:
    """Whether the user replaced one of these cells."""
    cells = catalog.cells if isinstance(catalog, OverriddenCatalog) else frozenset()
    return any((table, row_id, column) in cells for column in columns)


def row_ids(frame: DataFrame, keys: Sequence[str]) -> dict[str, int]:
    """Id of a row, its key's parts joined by ``/``, -> its place in the table."""
    parts = [frame[key].astype(str) for key in keys]
    return {"/".join(values): at for at, values in enumerate(zip(*parts, strict=True))}


def _misfit(
    index: int, override: Override, frame: DataFrame, rows: dict[str, int]
) -> Misfit | None:
    """Why the override fits no cell of the table, or None."""
    if override.id not in rows:
        hint = near_matches(override.id, rows)
        return Misfit(index, "id", f"no such row of {override.table}", hint)
    fixed = {*KEYS[override.table], "source", "date"}
    columns = [name for name in frame.columns if name not in fixed]
    if override.column not in columns:
        hint = near_matches(override.column, columns)
        return Misfit(index, "column", f"no such column of {override.table}", hint)
    if frame[override.column].dtype.kind not in "fi":
        return None
    wrong = _wrong_value(override)
    return None if wrong is None else Misfit(index, "value", *wrong)


def _wrong_value(override: Override) -> tuple[str, str] | None:
    """Problem and remedy of a value that cannot stand in the place of a number."""
    value = plain_number(override.value)
    if value is None:
        return why_no_number(override.value)
    if abs(value) > LARGEST or (value < 0.0 and override.column not in SIGNED):
        return "not a number that can be meant", "write a plain number such as 0.12"
    return None


def _with_cell(frame: DataFrame, at: int, override: Override) -> DataFrame:
    """A copy of the table with one cell changed."""
    frame = frame.copy()
    column: Any = frame[override.column]
    if column.dtype.kind in "fi":
        column = column.astype(float)
        column.iat[at] = float(override.value)
    else:
        column = column.astype(object)
        column.iat[at] = override.value
    frame[override.column] = column
    return frame
