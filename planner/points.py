"""Tables of serving points: read, units converted, every bad cell found.

A point is a replica (llm, accelerators, precision, engine) under a load (prompt, answer,
concurrency); a measured one has its TTFT, its TPOT or both. Cells and headers are read as those of
an instance's tables are (`planner.instance.tables`), so ``ttft_s`` or ``input_ktok`` are converted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from models.coefficients.serving import BYTES_PER_PARAMETER
from planner.catalog import load_catalog
from planner.errors import PointsError
from planner.instance.findings import Finding, near_matches
from planner.instance.schema import Identifier, Row
from planner.instance.tables import Table, read_cells, read_rows

if TYPE_CHECKING:
    from pandas import DataFrame

LINE = "line"
"""Name of an index that holds the lines of a file."""
SAME_PRECISION = {"fp16": "bf16", "f16": "bf16"}

Count = Annotated[int, Field(ge=1, le=1024)]
Milliseconds = Annotated[float, Field(gt=0.0, le=300_000.0)]


class ServingPoint(Row):
    """A replica under a load."""

    lets_others_stand: ClassVar[bool] = True
    llm: Identifier
    accelerator: Identifier
    accelerators: Count | None = None
    tp: Count | None = None
    precision: str = "bf16"
    engine: str = "vllm"
    input_tokens: Annotated[float, Field(ge=1.0, le=2e6)]
    output_tokens: Annotated[float, Field(ge=1.0, le=2e5)]
    concurrency: Annotated[float, Field(ge=1.0, le=1e5)]


class MeasuredPoint(ServingPoint):
    """A point with what was measured; either figure may be blank."""

    ttft_ms: Milliseconds | None = None
    tpot_ms: Annotated[float, Field(gt=0.0, le=5_000.0)] | None = None


Points = Table[ServingPoint]


def read_points(path: Path) -> DataFrame:
    """The cells of a CSV table as text, indexed by the lines of the file.

    Raises PointsError where it cannot be read as one.
    """
    import pandas as pd

    if not path.exists():
        raise PointsError(f"{path}: no such file; give the path of a CSV table")
    cells = read_cells(path)
    if isinstance(cells, Finding):
        raise points_error([cells])
    if not cells:
        raise PointsError(f"{path}: empty; the first line names the columns")
    header = cells[0][1]
    remedy = "give every row as many cells as the header; a cell with commas needs double quotes"
    uneven = [
        Finding(path.name, at, "", "", f"{len(row)} cells under {len(header)} headers", remedy)
        for at, row in cells
        if len(row) != len(header)
    ]
    if uneven:
        raise points_error(uneven)
    lines = pd.Index([at for at, _ in cells[1:]], name=LINE)
    return pd.DataFrame([row for _, row in cells[1:]], columns=header, index=lines, dtype=str)


def checked(
    points: DataFrame, file: str = "points", row_class: type[ServingPoint] = ServingPoint
) -> tuple[DataFrame, Points]:
    """The points with blanks filled (bf16, vllm, tp = accelerators), and the table they were in.

    Raises PointsError that lists every bad cell with file, line, column, value and remedy.
    """
    import pandas as pd

    table, findings = read_rows(Path(file).name, _cells(points), row_class)
    findings = [_of_a_failed_request(finding) for finding in findings] + list(_unknown(table))
    if not table.rows and not findings:
        findings.append(table.about("no rows", "add at least one point"))
    if findings:
        raise points_error(findings)
    frame = pd.DataFrame([row.model_dump() for row in table.rows])
    frame["precision"] = frame["precision"].replace(SAME_PRECISION)
    counts = frame["accelerators"].astype(float), frame["tp"].astype(float)
    frame["accelerators"] = counts[0].fillna(counts[1]).fillna(1.0)
    frame["tp"] = counts[1].fillna(frame["accelerators"])
    for column in set(frame.columns) & {"ttft_ms", "tpot_ms"}:
        frame[column] = frame[column].astype(float)
    return frame, table


def _of_a_failed_request(finding: Finding) -> Finding:
    """The finding with the remedy that a time of zero or less needs."""
    if not finding.problem.startswith("must be above 0"):
        return finding
    return replace(finding, remedy="delete the row of a failed request, or leave the cell blank")


def points_error(findings: list[Finding]) -> PointsError:
    """The findings as an error."""
    return PointsError("\n".join(map(str, findings)), tuple(findings))


def _cells(points: DataFrame) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) as of a file: its own lines, else rows counted below a header."""
    yield 1, [str(column).strip() for column in points.columns]
    known = points.index.name == LINE
    lines = list(points.index) if known else range(2, len(points) + 2)
    text = points.astype(object).where(points.notna(), "")
    for line, row in zip(lines, text.itertuples(index=False, name=None), strict=True):
        yield line, [str(value).strip() for value in row]


def _unknown(table: Points) -> Iterator[Finding]:
    """Names that neither the catalog nor the fitted law knows."""
    catalog = load_catalog()
    known = {
        "llm": set(catalog.llms["llm"].astype(str)),
        "accelerator": set(catalog.accelerators["accelerator"].astype(str)),
        "precision": {*BYTES_PER_PARAMETER, *SAME_PRECISION},
        "engine": set(catalog.table("serving_combinations")["engine"].astype(str)),
    }
    for index, row in enumerate(table.rows):
        for column, names in known.items():
            if getattr(row, column) not in names:
                remedy = near_matches(getattr(row, column), names)
                yield table.finding(index, column, "unknown", remedy)
