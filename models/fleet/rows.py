"""What the row functions share: routes with their item and variant, and bulk rows.

A program of a hundred thousand routes is built in seconds because every row is one
`LinearExpression` made from arrays, never a Python sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo
from numpy.typing import ArrayLike
from pyomo.core.expr import LinearExpression

from models.fleet.data import BoolArray, FleetData, FloatArray, IntArray

Terms = tuple[list[Any], list[float]]
"""variables and their coefficients, of equal length"""


@dataclass(frozen=True, eq=False)
class Routes:
    """Each route's item, variant, workload and leg, all int (J,)."""

    item: IntArray
    variant: IntArray
    workload: IntArray
    leg: IntArray

    @classmethod
    def of(cls, data: FleetData) -> Routes:
        """Look them up through the group."""
        variant = data.group_variant[data.route_group]
        return cls(
            item=data.group_item[data.route_group],
            variant=variant,
            workload=data.variant_workload[variant],
            leg=data.group_leg[data.route_group],
        )


def grouped(keys: Sequence[ArrayLike], of: BoolArray) -> Iterator[tuple[tuple[int, ...], IntArray]]:
    """Positions where `of` is true, grouped by equal keys, in ascending order of the keys."""
    position = np.flatnonzero(of)
    if not len(position):
        return
    columns = [np.asarray(key)[position] for key in keys]
    order = np.lexsort(columns[::-1])
    sorted_columns = np.column_stack([column[order] for column in columns])
    starts = np.flatnonzero((np.diff(sorted_columns, axis=0) != 0).any(axis=1)) + 1
    firsts = sorted_columns[np.concatenate([[0], starts])].tolist()
    for key, members in zip(firsts, np.split(position[order], starts), strict=True):
        yield tuple(key), members


def serve_terms(program: Any, routes: IntArray, coefficients: ArrayLike) -> Terms:
    """The routes' variables with their coefficients; zero coefficients are left out."""
    serve, values = program.serve, np.asarray(coefficients, dtype=float)
    used = np.flatnonzero(values)
    return [serve[j] for j in routes[used].tolist()], values[used].tolist()


def by_hour_terms(program: Any, routes: IntArray, coefficients: ArrayLike) -> Terms:
    """What machines held by the hour serve of the routes, with coefficients; 0 elsewhere."""
    pairs = zip(routes.tolist(), np.asarray(coefficients, dtype=float).tolist(), strict=True)
    known = [(program.by_hour[j], value) for j, value in pairs if value and j in program.by_hour]
    return [variable for variable, _ in known], [value for _, value in known]


def linear(*terms: Terms, constant: float = 0.0) -> Any:
    """The sum of the terms and a constant, as one expression."""
    variables = [variable for part in terms for variable in part[0]]
    coefficients = [float(value) for part in terms for value in part[1]]
    return LinearExpression(
        constant=float(constant), linear_coefs=coefficients, linear_vars=variables
    )


def constraint(rows: Iterable[tuple[Any, tuple[float | None, Any, float | None]]]) -> Any:
    """A constraint indexed by the given keys; each row is (lower, body, upper).

    Rows without a variable are dropped when they hold; one that does not is kept as a row that no
    plan keeps, on the column `zero`.
    """
    chosen = {key: row for key, row in rows if row[1].linear_vars or not _holds(row)}

    def row_of(program: Any, *key: Any) -> Any:
        lower, body, upper = chosen[key[0] if len(key) == 1 else key]
        if not body.linear_vars:
            body = body.constant + program.zero
        return lower, body, upper

    return pyo.Constraint(list(chosen), rule=row_of)


def _holds(row: tuple[float | None, Any, float | None]) -> bool:
    lower, body, upper = row
    return (lower is None or body.constant >= lower) and (upper is None or body.constant <= upper)


def ruled(limit: ArrayLike) -> BoolArray:
    """Where a limit states a rule: NaN means there is none."""
    return np.asarray(~np.isnan(np.asarray(limit, dtype=float)))


def workload_qoe_weight(data: FleetData) -> FloatArray:
    """Share of each workload in the mean QoE, float (W,)."""
    return np.bincount(
        data.item_workload, data.item_qoe_weight, minlength=len(data.workloads)
    ).astype(float)
