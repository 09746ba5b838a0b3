"""The workbook: tables with units whose sums and differences are formulas, for finance to trace.

Every formula carries its value, so that viewers without a calculator show numbers too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.report import sentences
from planner.report.options import CURRENT, Option
from planner.report.page import Content
from planner.report.tables import Cell, Table, tables_of

MONEY, KILOGRAMS, SHARE, QOE, COUNT = "#,##0.00", "#,##0.000", "0.0%", "0.0000", "#,##0.00"
FORMATS = {
    "_usd": MONEY,
    "usd_per_mtok": "0.0000",
    "gco2e_per_ktok": "0.000000",
    "_kgco2e": KILOGRAMS,
    "_share": SHARE,
    "qoe": QOE,
    "_s": "0.0000",
    "_accelerators": COUNT,
    "accelerators_mean": COUNT,
}
WIDEST = 60
LONG_TABLES = ("plans", "workloads", "known", "ages", "sources", "assumptions")


@dataclass(frozen=True)
class Formula:
    """A formula (without ``=``) and the value it has."""

    text: str
    value: float


class Sheet:
    """One sheet, written row by row; columns as wide as their cells."""

    def __init__(self, book: Book, name: str) -> None:
        self.book, self.name = book, name
        self.sheet = book.book.add_worksheet(name)
        self.row = 0
        self.widths: dict[int, int] = {}

    def heading(self, *texts: str) -> None:
        """A bold row, under which the sheet freezes where it is the first."""
        for column, text in enumerate(texts):
            self._note_width(column, text)
            self.sheet.write_string(self.row, column, text, self.book.style(bold=True))
        self.row += 1

    def line(
        self, *cells: Cell | Formula, formats: Sequence[str | None] = (), bold: bool = False
    ) -> None:
        """A row of cells; `formats` by column."""
        for column, cell in enumerate(cells):
            form = formats[column] if column < len(formats) else None
            style = self.book.style(form, bold=bold)
            if isinstance(cell, Formula):
                self.sheet.write_formula(self.row, column, f"={cell.text}", style, cell.value)
                self._note_width(column, f"{cell.value:,.2f}")
            elif isinstance(cell, str):
                self.sheet.write_string(self.row, column, cell, style)
                self._note_width(column, cell)
            elif cell is not None:
                self.sheet.write_number(self.row, column, cell, style)
                self._note_width(column, f"{cell:,.2f}")
        self.row += 1

    def _note_width(self, column: int, text: str) -> None:
        self.widths[column] = min(max(self.widths.get(column, 8), len(text) + 2), WIDEST)
        self.sheet.set_column(column, column, self.widths[column])

    def at(self, column: int, row: int) -> str:
        """The address of a cell for formulas of other sheets."""
        return f"'{self.name}'!{address(column, row)}"


class Book:
    """The workbook and its few styles."""

    def __init__(self, book: Any) -> None:
        self.book = book
        self._styles: dict[tuple[str | None, bool], Any] = {}

    def style(self, number_format: str | None = None, *, bold: bool = False) -> Any:
        """A cell format, made once."""
        key = (number_format, bold)
        if key not in self._styles:
            properties: dict[str, Any] = {"bold": bold}
            if number_format is not None:
                properties["num_format"] = number_format
            self._styles[key] = self.book.add_format(properties)
        return self._styles[key]

    def sheet(self, name: str) -> Sheet:
        """A new sheet."""
        return Sheet(self, name)


def address(column: int, row: int) -> str:
    """``B7`` of column 1, row 6, both from 0; up to 26 columns."""
    return f"{chr(ord('A') + column)}{row + 1}"


def write_workbook(content: Content, path: Path) -> None:
    """Write the workbook; needs the extra ``xlsx``, which `planner.report.files` checks."""
    import xlsxwriter

    tables = {table.name: table for table in tables_of(content)}
    with xlsxwriter.Workbook(str(path)) as book:
        made = Book(book)
        _about(made.sheet("About"), content)
        options = made.sheet("Options")
        totals = {
            "cost": _lines(made.sheet("Cost lines"), content, "cost_lines", "USD", MONEY),
            "carbon": _lines(
                made.sheet("Carbon lines"), content, "carbon_lines", "kgCO2e", KILOGRAMS
            ),
        }
        _options(options, content, totals)
        _fleet(made.sheet("Fleet"), content)
        _adaptation(made.sheet("Adaptation"), content)
        if "steps" in tables:
            _steps(made.sheet("Steps"), content, tables["steps"])
        for name in LONG_TABLES:
            if name in tables:
                _plain(made.sheet(name.capitalize()), tables[name])


def _about(sheet: Sheet, content: Content) -> None:
    source = content.source
    proof = sentences.proof(source)
    sheet.heading(sentences.decision(source, content.options))
    for text in (
        sentences.lead(source, content.options),
        *sentences.warnings(source),
        proof.sentence,
        sentences.SCOPE,
        f"Amounts are of the whole period, {sentences.period(source)}. Sums and differences are "
        "formulas; every other number is as in the run folder.",
        f"Made from {source.folder.name}; the run: {sentences.command(source)}",
        f"Instance sha256 {source.facts.instance.sha256}",
    ):
        sheet.line(text)


def _titles(content: Content) -> list[str]:
    return [f"{option.letter}, {option.name}" for option in content.options]


def _lines(sheet: Sheet, content: Content, table: str, unit: str, form: str) -> list[str]:
    """Lines by option with their sums; the addresses of the sums, in the options' order."""
    views = [content.views[option.point] for option in content.options]
    columns: list[Mapping[str, float]] = [getattr(view, table) for view in views]
    names = list(dict.fromkeys(name for lines in columns for name, v in lines.items() if v))
    names.sort(key=lambda name: -max(lines.get(name, 0.0) for lines in columns))
    sheet.heading(f"Line, {unit} in {content.source.hours:g} h", *_titles(content))
    first = sheet.row
    formats = [None, *[form] * len(views)]
    for name in names:
        sheet.line(name, *(lines.get(name, 0.0) for lines in columns), formats=formats)
    last = sheet.row - 1
    sums = [
        Formula(
            f"SUM({address(column, first)}:{address(column, last)})",
            math.fsum(lines.get(name, 0.0) for name in names),
        )
        for column, lines in enumerate(columns, start=1)
    ]
    sheet.line("Total", *sums, formats=formats, bold=True)
    return [sheet.at(column, sheet.row - 1) for column in range(1, len(views) + 1)]


def _options(sheet: Sheet, content: Content, totals: dict[str, list[str]]) -> None:
    """The options; cost and carbon are the totals of their lines, losses are differences."""
    options = content.options
    sheet.heading(
        *("Option", "Name", "Point", "Cost, USD", "Carbon, kgCO2e", "QoE"),
        *("Least cost proved, USD", "Could be cheaper by at most"),
        *("Above the cheapest, USD", "Above the greenest, kgCO2e", "Below the best QoE"),
    )
    first = sheet.row
    # The best is that of the front's own plans; of a single plan and the current one, of both.
    alone = content.source.front is None
    last = first + sum(alone or option.point != CURRENT for option in options) - 1
    best = {
        column: f"{word}({address(column, first)}:{address(column, last)})"
        for column, word in ((3, "MIN"), (4, "MIN"), (5, "MAX"))
    }
    formats = [None, None, None, MONEY, KILOGRAMS, QOE, MONEY, "0.00%", MONEY, KILOGRAMS, QOE]
    for place, option in enumerate(options):
        row, o = sheet.row, option.objectives
        cost, carbon, qoe = (loss.excess for loss in option.losses)
        sheet.line(
            option.letter,
            option.name,
            option.point,
            Formula(totals["cost"][place], o.cost_usd),
            Formula(totals["carbon"][place], o.carbon_kgco2e),
            o.qoe,
            option.cost_bound_usd,
            _gap(option, row),
            Formula(f"{address(3, row)}-{best[3]}", cost),
            Formula(f"{address(4, row)}-{best[4]}", carbon),
            Formula(f"{best[5]}-{address(5, row)}", qoe),
            formats=formats,
        )


def _gap(option: Option, row: int) -> Formula | None:
    gap = option.cost_gap_relative
    if gap is None:
        return None
    return Formula(f"MAX(0,1-{address(6, row)}/{address(3, row)})", gap)


def _fleet(sheet: Sheet, content: Content) -> None:
    """Mean accelerators by option, with sums."""
    held: dict[tuple[str, str, str, str], list[float]] = {}
    for place, option in enumerate(content.options):
        for row in content.views[option.point].fleet:
            key = (row.region, row.accelerator, row.offer, row.market)
            held.setdefault(key, [0.0] * len(content.options))[place] = row.mean_accelerators
    sheet.heading(
        "Region",
        "Accelerator",
        "Offer",
        "Market",
        *(f"{title}, mean accelerators" for title in _titles(content)),
    )
    first = sheet.row
    formats = [*[None] * 4, *[COUNT] * len(content.options)]
    for key, values in sorted(held.items()):
        sheet.line(*key, *values, formats=formats)
    if not held:
        return
    sums = [
        Formula(
            f"SUM({address(4 + place, first)}:{address(4 + place, sheet.row - 1)})",
            math.fsum(values[place] for values in held.values()),
        )
        for place in range(len(content.options))
    ]
    sheet.line("Total", "", "", "", *sums, formats=formats, bold=True)


def _adaptation(sheet: Sheet, content: Content) -> None:
    """What answers each workload, by option."""
    views = [content.views[option.point] for option in content.options]
    said = [{row.workload: f"{row.llm}, {row.said}" for row in view.adaptation} for view in views]
    sheet.heading("Workload", *_titles(content))
    for row in views[0].adaptation:
        sheet.line(row.workload, *(rows.get(row.workload, "") for rows in said))


def _steps(sheet: Sheet, content: Content, steps: Table) -> None:
    """Start and end of every step as figures; changes and prices as formulas."""
    sheet.heading(
        *("Along", "From", "To", "Cost before, USD", "Cost after, USD"),
        *("Carbon before, kgCO2e", "Carbon after, kgCO2e", "QoE before", "QoE after"),
        *("Cost change, USD", "Carbon change, kgCO2e", "QoE change"),
        *("USD per tonne avoided", "USD per QoE point of 0.01"),
    )
    formats = [None, None, None, MONEY, MONEY, KILOGRAMS, KILOGRAMS, QOE, QOE]
    formats += [MONEY, KILOGRAMS, QOE, MONEY, MONEY]
    for along, start, end, cost, carbon, qoe, per_tonne, per_point in steps.rows:
        a, b = (content.views[str(point)].objectives for point in (start, end))
        r = sheet.row + 1
        prices = (
            None if per_tonne is None else Formula(f"J{r}/(-K{r}/1000)", float(per_tonne)),
            None if per_point is None else Formula(f"J{r}/(L{r}/0.01)", float(per_point)),
        )
        sheet.line(
            *(along, start, end, a.cost_usd, b.cost_usd, a.carbon_kgco2e, b.carbon_kgco2e),
            *(a.qoe, b.qoe),
            Formula(f"E{r}-D{r}", float(cost or 0.0)),
            Formula(f"G{r}-F{r}", float(carbon or 0.0)),
            Formula(f"I{r}-H{r}", float(qoe or 0.0)),
            *prices,
            formats=formats,
        )


def _plain(sheet: Sheet, table: Table) -> None:
    """A table as it is."""
    sheet.heading(*table.columns)
    formats = [
        next((form for end, form in FORMATS.items() if column.endswith(end)), None)
        for column in table.columns
    ]
    for row in table.rows:
        sheet.line(*row, formats=formats)
    sheet.sheet.freeze_panes(1, 0)
