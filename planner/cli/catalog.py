"""`planner catalog`: list the shipped tables, or filter one of them."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.errors import CatalogError
from planner.numbers import asked_number

if TYPE_CHECKING:
    from pandas import DataFrame, Series

    from planner.catalog import Catalog

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
CONDITION = re.compile(r"^([A-Za-z0-9_]+)\s*(!=|>=|<=|=|>|<|~)\s*(.*)$")
WIDEST_CELL = 48


def catalog(
    table: Annotated[
        str | None, typer.Argument(help="Table to show; without it, all tables are listed.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="Condition column=value; also != >= <= > < and ~ (contains). Repeat to narrow."
        ),
    ] = None,
    columns: Annotated[
        list[str] | None, typer.Option(help="Columns to show, repeated or separated by commas.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Most rows to print; 0 for all.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, all matching rows.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, all matching rows.")] = False,
) -> None:
    """List the catalog's tables with rows and dates, or filter one table."""
    from planner.catalog import load_catalog

    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    shipped = load_catalog()
    if table is None:
        if where or columns:
            raise CatalogError("--where and --columns need a table: planner catalog TABLE ...")
        frame = overview(shipped)
        oldest = frame.loc[frame["oldest"] != "", "oldest"].min()
        headline = (
            f"{len(frame)} tables, {int(frame['rows'].sum()):,} rows, dates {oldest} to "
            f"{frame['newest'].max()}, sha256 {shipped.sha256[:12]}"
        )
        total, limit = len(frame), 0
    else:
        frame = matching(shipped.table(table), where or ())
        total = len(frame)
        everything = len(shipped.table(table))
        headline = f"{total:,} of {everything:,} rows of {table}" + (" match" if where else "")
        frame = chosen_columns(frame, columns, hide_source=not (as_json or as_csv))
    if as_json:
        typer.echo(json.dumps({"table": table, "rows": total, "records": records(frame)}, indent=1))
    elif as_csv:
        typer.echo(frame.to_csv(index=False, lineterminator="\n"), nl=False)
    else:
        typer.echo(headline)
        from planner.cli.text import paragraph, width

        shown = frame.head(limit) if limit else frame
        cells = as_cells(shown)
        names = list(frame.columns) if columns else fitting(cells, width())
        if len(shown):
            typer.echo(cells[names].to_string(index=False))
        if hidden := [name for name in frame.columns if name not in names]:
            more = f"{len(hidden)} more columns, shown by --columns, --csv and --json: "
            typer.echo("\n".join(paragraph(more + ", ".join(hidden), "... ", "    ")))
        if len(shown) < total:
            typer.echo(f"... {total - len(shown):,} more: --limit 0 shows all")


def overview(shipped: Catalog) -> DataFrame:
    """One row per table: name, rows, columns, oldest and newest date."""
    import pandas as pd

    rows = []
    for name in shipped.files:
        frame = shipped.table(name)
        oldest, newest = shipped.dates(name) if "date" in frame.columns else ("", "")
        rows.append(
            {"table": name, "rows": len(frame), "columns": frame.shape[1], "oldest": oldest,
             "newest": newest}
        )  # fmt: skip
    return pd.DataFrame(rows)


def matching(frame: DataFrame, conditions: Iterable[str]) -> DataFrame:
    """The rows that meet every condition. Raises CatalogError for one that cannot be read."""
    for condition in conditions:
        parsed = CONDITION.match(condition)
        if parsed is None:
            raise CatalogError(f"cannot read --where {condition!r}: write column=value")
        column, sign, value = parsed.groups()
        known_column(frame, column)
        frame = frame[_meets(frame[column], sign, value)]
    return frame


def _meets(cells: Series[Any], sign: str, value: str) -> Any:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if sign == "~":
        return cells.astype(str).str.contains(value, case=False, regex=False)
    if value == "":  # a blank asks for blanks
        return cells.isna() if sign == "=" else cells.notna()
    if is_numeric_dtype(cells) and not is_bool_dtype(cells):
        try:
            return COMPARISONS[sign](cells, asked_number(value))
        except ValueError as error:
            raise CatalogError(f"{cells.name} is a number, {value!r} is not: {error}") from None
    return COMPARISONS[sign](cells.astype(str), value) & cells.notna()


def known_column(frame: DataFrame, column: str) -> None:
    """Raise CatalogError naming the nearest columns if the table has no such column."""
    if column not in frame.columns:
        from difflib import get_close_matches

        near = get_close_matches(column, list(frame.columns), n=3, cutoff=0.4)
        hint = ", ".join(near or frame.columns)
        raise CatalogError(f"no column {column!r}; did you mean {hint}?")


def chosen_columns(frame: DataFrame, columns: Sequence[str] | None, hide_source: bool) -> DataFrame:
    """The columns asked for; else all, in text without the long source and note."""
    if columns:
        names = [name.strip() for part in columns for name in part.split(",") if name.strip()]
        for name in names:
            known_column(frame, name)
        return frame[names]
    hidden = [name for name in frame.columns if hide_source and _is_provenance(name)]
    return frame.drop(columns=hidden)


def _is_provenance(column: str) -> bool:
    return column in ("source", "note", "basis") or column.endswith(("_source", "_basis"))


def as_cells(frame: DataFrame) -> DataFrame:
    """The cells as text; blanks stay blank, long cells are cut."""
    short = frame.astype(object).where(frame.notna(), "")
    cells = short.map(lambda cell: f"{cell:.6g}" if isinstance(cell, float) else str(cell))
    return cells.map(lambda cell: cell if len(cell) <= WIDEST_CELL else cell[:45] + "...")


def fitting(cells: DataFrame, width: int) -> list[str]:
    """The first columns, at least one, that an aligned table of so many characters has room for."""
    ends = accumulate(
        max(len(name), *cells[name].map(len), 0) + (at > 0) for at, name in enumerate(cells.columns)
    )
    room = sum(end <= width for end in ends)
    return list(cells.columns[: max(room, 1)])


def records(frame: DataFrame) -> list[dict[str, Any]]:
    """Rows as plain dictionaries, blanks as None."""
    plain: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return plain
