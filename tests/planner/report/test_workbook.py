"""The workbook: formulas that mean what they show, and figures of the run folder."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from planner.plan import Plan
from planner.report.files import Report, Wanted
from tests.planner.report_runs import front_run, plan_run

RANGE = re.compile(r"([A-Z]\d+):([A-Z]\d+)")
ELSEWHERE = re.compile(r"'([^']+)'!([A-Z]\d+)")
CELL = re.compile(r"(?<![A-Za-z'])([A-Z]\d+)(?![\d(])")
FUNCTIONS = {"SUM": math.fsum, "MIN": min, "MAX": max}


class Calculator:
    """Works formulas out from the cells that hold numbers, with nothing of what was stored."""

    def __init__(self, path: Path) -> None:
        self.book = load_workbook(path)

    def value(self, sheet: str, cell: str) -> Any:
        content = self.book[sheet][cell].value
        if isinstance(content, str) and content.startswith("="):
            return self.work_out(sheet, content[1:])
        return content

    def work_out(self, sheet: str, formula: str) -> float:
        def block(match: re.Match[str]) -> str:
            cells = [c.coordinate for row in self.book[sheet][match[0]] for c in row]
            return repr([self.value(sheet, cell) for cell in cells])

        text = RANGE.sub(block, formula)
        text = ELSEWHERE.sub(lambda m: repr(self.value(m[1], m[2])), text)
        text = CELL.sub(lambda m: repr(self.value(sheet, m[1])), text)
        return float(eval(text, {"__builtins__": {}}, FUNCTIONS))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return front_run(tmp_path_factory.mktemp("runs") / "front", "small", 20)


@pytest.fixture(scope="module")
def path(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    current = plan_run(folder / "current", "small")
    return Report.of(run, current).write(folder, Wanted(xlsx=True))[-1]


def formulas(path: Path) -> list[tuple[str, str]]:
    return [
        (sheet.title, cell.coordinate)
        for sheet in load_workbook(path)
        for row in sheet.iter_rows()
        for cell in row
        if isinstance(cell.value, str) and cell.value.startswith("=")
    ]


def check(path: Path) -> int:
    stored, calculator = load_workbook(path, data_only=True), Calculator(path)
    found = formulas(path)
    for sheet, cell in found:
        shown, worked_out = stored[sheet][cell].value, calculator.value(sheet, cell)
        assert worked_out == pytest.approx(shown, rel=1e-9, abs=1e-9), (sheet, cell)
    return len(found)


def test_every_formula_worked_out_equals_the_number_shown(path: Path) -> None:
    assert check(path) > 50


def test_the_same_of_a_single_plan_and_a_current_one(tmp_path: Path) -> None:
    folder, current = plan_run(tmp_path / "plan", "small"), plan_run(tmp_path / "now", "small")
    assert check(Report.of(folder, current).write(tmp_path, Wanted(xlsx=True))[-1]) > 10


def test_sums_and_differences_are_formulas(path: Path) -> None:
    sheets = {sheet for sheet, _ in formulas(path)}
    assert {"Options", "Cost lines", "Carbon lines", "Fleet", "Steps"} <= sheets


def test_totals_are_the_objectives_of_the_plans(run: Path, path: Path) -> None:
    calculator = Calculator(path)
    rows = {row[2].value: row[0].row for row in calculator.book["Options"].iter_rows(min_row=2)}
    assert len(rows) >= 4
    for point, row in rows.items():
        place = path.parent / "current" if point == "current" else run / "plans" / str(point)
        plan = Plan.read(place).objectives
        assert calculator.value("Options", f"D{row}") == pytest.approx(plan.cost_usd)
        assert calculator.value("Options", f"E{row}") == pytest.approx(plan.carbon_kgco2e)
        assert calculator.value("Options", f"F{row}") == pytest.approx(plan.qoe)


def test_every_heading_of_a_figure_has_its_unit(path: Path) -> None:
    book = load_workbook(path)
    headings = [cell.value for cell in book["Options"][1]]
    assert "Cost, USD" in headings
    assert "Carbon, kgCO2e" in headings
    assert book["Cost lines"]["A1"].value == "Line, USD in 728 h"
    assert "mean accelerators" in book["Fleet"]["E1"].value


def test_the_first_sheet_tells_what_it_is(path: Path) -> None:
    about = " ".join(str(row[0].value) for row in load_workbook(path)["About"].iter_rows())
    assert "Choose one of" in about
    assert "Proved:" in about
    assert "planner front" in about


def test_every_plan_is_in_the_table_of_plans(run: Path, path: Path) -> None:
    rows = list(load_workbook(path)["Plans"].iter_rows(min_row=2, values_only=True))
    assert len(rows) == 21  # twenty of the front and the current one
    by_point = {row[0]: row for row in rows}
    plan = Plan.read(run / "plans" / "p0007").objectives
    figures = [plan.cost_usd, plan.carbon_kgco2e, plan.qoe]
    assert by_point["p0007"][2:5] == pytest.approx(figures, rel=1e-14)
