"""MPS and LP files of the stated program, as every solver reads them.

What is paid whatever is decided (owned machines) is the cost of the column `one`, which is fixed at
1: a constant in the objective is read in two signs or not at all. Numbers are written so that they
are read back exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np

from planner.errors import RunError
from planner.program.matrix import ONE, Matrix

MPS_SENSE = {"<=": "L", "=": "E", ">=": "G"}
OBJECTIVE = "minimise"
NO_TERM = f"  0 {ONE}\n"


def write_mps(matrix: Matrix, path: Path, comment: str) -> None:
    """Free MPS; RunError where the file cannot be written."""
    _write(path, _mps(matrix, comment))


def write_lp(matrix: Matrix, path: Path, comment: str) -> None:
    """LP format as CPLEX defined it; RunError where the file cannot be written."""
    _write(path, _lp(matrix, comment))


def _write(path: Path, lines: Iterable[str]) -> None:
    try:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(lines)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}") from error


# ------------------------------------------------------------------ MPS


def _mps(matrix: Matrix, comment: str) -> Iterator[str]:
    yield f"* {comment}\nNAME fleet\nROWS\n N {OBJECTIVE}\n"
    for sense, row in zip(matrix.sense, matrix.rows, strict=True):
        yield f" {MPS_SENSE[sense]} {row}\n"
    yield "COLUMNS\n"
    for number, (integer, group) in enumerate(
        groupby(range(len(matrix.columns)), lambda j: bool(matrix.integer[j]))
    ):
        if integer:
            yield f" M{number} 'MARKER' 'INTORG'\n"
        yield from _mps_columns(matrix, list(group))
        if integer:
            yield f" M{number} 'MARKER' 'INTEND'\n"
    yield "RHS\n"
    for row, limit in zip(matrix.rows, matrix.limit.tolist(), strict=True):
        if limit:
            yield f" RHS {row} {limit!r}\n"
    yield "BOUNDS\n"
    yield from _mps_bounds(matrix)
    yield "ENDATA\n"


def _mps_columns(matrix: Matrix, columns: list[int]) -> Iterator[str]:
    cost, rows = matrix.cost, matrix.rows
    for j in columns:
        name = matrix.columns[j]
        here = slice(matrix.start[j], matrix.start[j + 1])
        # A column without entries is known by its cost alone.
        if cost[j] or here.start == here.stop:
            yield f" {name} {OBJECTIVE} {float(cost[j])!r}\n"
        entries = zip(matrix.entry_row[here].tolist(), matrix.entry[here].tolist(), strict=True)
        yield "".join([f" {name} {rows[i]} {value!r}\n" for i, value in entries])


def _mps_bounds(matrix: Matrix) -> Iterator[str]:
    bounds = zip(matrix.columns, matrix.lower.tolist(), matrix.upper.tolist(), strict=True)
    for (name, lower, upper), integer in zip(bounds, matrix.integer, strict=True):
        if lower == upper:
            yield f" FX BND {name} {lower!r}\n"
            continue
        if lower:
            yield f" LO BND {name} {lower!r}\n"
        if upper < np.inf:
            yield f" UP BND {name} {upper!r}\n"
        elif integer:  # else some readers take 1
            yield f" PL BND {name}\n"


# ------------------------------------------------------------------ LP


def _lp(matrix: Matrix, comment: str) -> Iterator[str]:
    yield f"\\ {comment}\nMinimize\n {OBJECTIVE}:\n"
    paid = np.flatnonzero(matrix.cost)
    yield "".join(_term(matrix.cost[j], matrix.columns[j]) for j in paid) or NO_TERM
    yield "Subject To\n"
    by_row = np.argsort(matrix.entry_row, kind="stable")
    column = np.repeat(np.arange(len(matrix.columns)), np.diff(matrix.start))[by_row].tolist()
    values = matrix.entry[by_row].tolist()
    starts = np.searchsorted(matrix.entry_row[by_row], np.arange(len(matrix.rows) + 1)).tolist()
    for i, (first, last) in enumerate(pairwise(starts)):
        terms = [_term(values[k], matrix.columns[column[k]]) for k in range(first, last)]
        yield f" {matrix.rows[i]}:\n"
        yield "".join(terms) or NO_TERM
        yield f"  {matrix.sense[i]} {float(matrix.limit[i])!r}\n"
    yield "Bounds\n"
    for name, lower, upper in zip(
        matrix.columns, matrix.lower.tolist(), matrix.upper.tolist(), strict=True
    ):
        if lower == upper:
            yield f" {name} = {lower!r}\n"
        elif lower or upper < np.inf:
            yield f" {lower!r} <= {name}" + (f" <= {upper!r}\n" if upper < np.inf else "\n")
    yield "Generals\n"
    yield "".join(f" {matrix.columns[j]}\n" for j in np.flatnonzero(matrix.integer))
    yield "End\n"


def _term(value: float, name: str) -> str:
    return f"  {'+' if value >= 0 else '-'} {abs(float(value))!r} {name}\n"
