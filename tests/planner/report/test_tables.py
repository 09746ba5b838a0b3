"""Tables for analysts: exact, with units, the same as CSV, Parquet and DataFrames."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pytest

from planner.errors import PlannerError
from planner.plan import Plan
from planner.report.files import Report, Wanted
from tests.planner.report_runs import front_run

UNITLESS = {
    *("point", "option", "letter", "line", "region", "accelerator", "offer", "market", "origin"),
    *("workload", "llm", "adaptation", "in_words", "variant", "reason", "break_even", "along"),
    *("from_point", "to_point", "before", "after", "adaptation_before", "adaptation_after"),
    *("of", "known_by", "table", "dates", "used_for", "source", "assumption"),
}
UNITS = re.compile(
    r"(_usd|_kgco2e|_share|_s|_count|_accelerators|^accelerators_mean|^qoe|_qoe|qoe_\w+|_mtok|_ktok"
    r"|usd_per_\w+|^share|below_best)$"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return front_run(tmp_path_factory.mktemp("runs") / "front", "small", 12)


@pytest.fixture(scope="module")
def report(run: Path) -> Report:
    return Report.of(run)


def test_every_figure_has_its_unit_in_the_name(report: Report) -> None:
    for table in report.tables.values():
        strange = [c for c in table.columns if c not in UNITLESS and not UNITS.search(c)]
        assert strange == [], table.name


def test_lines_of_cost_add_up_to_the_plan_exactly(run: Path, report: Report) -> None:
    frame = report.to_frame("cost_lines")
    for point, lines in frame.groupby("point"):
        exact = Plan.read(run / "plans" / str(point)).objectives.cost_usd
        assert math.fsum(lines["cost_usd"]) == pytest.approx(exact, rel=1e-12)


def test_plans_hold_the_front(run: Path, report: Report) -> None:
    frame = report.to_frame("plans").set_index("point")
    assert len(frame) == 12
    plan = Plan.read(run / "plans" / "p0005").objectives
    assert frame.loc["p0005", "cost_usd"] == plan.cost_usd


def test_csv_and_parquet_hold_the_same(report: Report, tmp_path: Path) -> None:
    *_, as_csv, parquet = report.write(tmp_path, Wanted(csv=True, parquet=True))
    for name, table in report.tables.items():
        expected = table.to_frame()
        pd.testing.assert_frame_equal(pd.read_parquet(parquet / f"{name}.parquet"), expected)
        read = pd.read_csv(as_csv / f"{name}.csv", keep_default_na=False, na_values=[""])
        assert list(read.columns) == list(expected.columns)
        assert len(read) == len(expected)
        for column in expected.columns:
            if pd.api.types.is_float_dtype(expected[column]):
                assert read[column].astype(float).equals(expected[column].astype(float))


def test_another_name_is_an_error_that_lists_the_tables(report: Report) -> None:
    with pytest.raises(PlannerError, match="no table 'costs': one of options, plans, fleet"):
        report.to_frame("costs")
