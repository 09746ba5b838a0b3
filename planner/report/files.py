"""A report of a run: made once, read as HTML, Markdown or tables, written as files."""

from __future__ import annotations

import csv
import importlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import PlannerError, RunError
from planner.report.options import Option
from planner.report.page import Content, content_of
from planner.report.source import read_source

if TYPE_CHECKING:
    from pandas import DataFrame

    from planner.report.tables import Table

PAGE, BRIEF = "report", "brief"
CSV_FOLDER, PARQUET_FOLDER = "report-csv", "report-parquet"


@dataclass(frozen=True)
class Wanted:
    """What is written beside the page."""

    brief: bool = False
    pdf: bool = False
    xlsx: bool = False
    csv: bool = False
    parquet: bool = False
    paper: str = "A4"
    """of the PDF: ``A4`` or ``Letter``"""


@dataclass(frozen=True, eq=False)
class Report:
    """A report of a run folder; in a notebook it shows its brief."""

    content: Content

    @classmethod
    def of(cls, run_dir: Path, current: Path | None = None) -> Report:
        """Read a run folder of `planner plan` or `planner front`; RunError where it is damaged."""
        return cls(content_of(read_source(run_dir, current)))

    @property
    def options(self) -> tuple[Option, ...]:
        """The named options in the report's order."""
        return self.content.options

    @cached_property
    def html(self) -> str:
        """The whole page: one file that asks for nothing."""
        from planner.report.render import report_html

        return report_html(self.content)

    @cached_property
    def brief_html(self) -> str:
        """The brief as a page."""
        from planner.report.brief import brief_html

        return brief_html(self.content)

    @cached_property
    def brief_markdown(self) -> str:
        """The brief as Markdown."""
        from planner.report.brief import brief_markdown

        return brief_markdown(self.content)

    @cached_property
    def tables(self) -> Mapping[str, Table]:
        """Every list behind the page by name, exact, units in the columns' names."""
        from planner.report.tables import tables_of

        return {table.name: table for table in tables_of(self.content)}

    def to_frame(self, table: str = "options") -> DataFrame:
        """One of the tables as a pandas DataFrame; PlannerError that lists them for another."""
        if table not in self.tables:
            raise PlannerError(f"no table {table!r}: one of {', '.join(self.tables)}")
        return self.tables[table].to_frame()

    def _repr_html_(self) -> str:
        from planner.report.notebook import report_card

        return report_card(self.content)

    def write(self, folder: Path | None = None, wanted: Wanted | None = None) -> list[Path]:
        """Write the page, and what else is wanted, into `folder` (the run folder itself).

        Returns the files and folders in the order they are made. RunError where a file cannot be
        written; PlannerError where an extra or the browser for PDF is missing: before anything is
        written.
        """
        wanted = wanted or Wanted()
        folder = self.content.source.folder if folder is None else folder
        check(wanted)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return [make(folder) for make in self._makers(wanted)]
        except OSError as error:
            raise RunError(
                f"cannot write {error.filename or folder}: {error.strerror or error}; name another "
                f"folder with --output"
            ) from error

    def _makers(self, wanted: Wanted) -> list[Callable[[Path], Path]]:
        """What makes each file, in order."""
        makers: list[Callable[[Path], Path]] = [
            lambda folder: _text(folder / f"{PAGE}.html", self.html)
        ]
        if wanted.brief:
            makers += [
                lambda folder: _text(folder / f"{BRIEF}.md", self.brief_markdown),
                lambda folder: _text(folder / f"{BRIEF}.html", self.brief_html),
            ]
        if wanted.pdf:
            makers.append(lambda folder: _pdf(folder / f"{PAGE}.pdf", self.html, wanted.paper))
        if wanted.pdf and wanted.brief:
            brief = f"{BRIEF}.pdf"
            makers.append(lambda folder: _pdf(folder / brief, self.brief_html, wanted.paper))
        if wanted.xlsx:
            makers.append(lambda folder: _workbook(folder / f"{PAGE}.xlsx", self.content))
        if wanted.csv:
            makers.append(lambda folder: _csv(folder / CSV_FOLDER, self.tables))
        if wanted.parquet:
            makers.append(lambda folder: _parquet(folder / PARQUET_FOLDER, self.tables))
        return makers


def check(wanted: Wanted) -> None:
    """PlannerError for what could not be made, before anything is."""
    from planner.report.pdf import PAPERS, find_browser

    if wanted.paper not in PAPERS:
        raise PlannerError(f"paper {wanted.paper!r}: one of {', '.join(PAPERS)}")
    if wanted.pdf:
        find_browser()
    if wanted.xlsx:
        _need("xlsxwriter", "xlsx")
    if wanted.parquet:
        _need("pyarrow", "parquet")


def _need(module: str, extra: str) -> None:
    """PlannerError where the library of an extra is not installed."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        message = f"--{extra} needs {module}: pip install 'fleet-planner[{extra}]'"
        raise PlannerError(message) from error


def _text(path: Path, text: str) -> Path:
    """Written beside its place and renamed: a reader never sees half a page."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    return draft.replace(path)


def _pdf(path: Path, page: str, paper: str) -> Path:
    from planner.report.pdf import write_pdf

    write_pdf(page, path, paper)
    return path


def _workbook(path: Path, content: Content) -> Path:
    from planner.report.workbook import write_workbook

    write_workbook(content, path)
    return path


def _csv(folder: Path, tables: Mapping[str, Table]) -> Path:
    folder.mkdir(exist_ok=True)
    for table in tables.values():
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(table.columns)
        writer.writerows(["" if cell is None else cell for cell in row] for row in table.rows)
        (folder / f"{table.name}.csv").write_text(text.getvalue(), encoding="utf-8", newline="")
    return folder


def _parquet(folder: Path, tables: Mapping[str, Table]) -> Path:
    folder.mkdir(exist_ok=True)
    for table in tables.values():
        table.to_frame().to_parquet(folder / f"{table.name}.parquet", index=False)
    return folder
