"""The stated program as arrays: what every file format of it is written from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

from models.fleet.data import BoolArray, FloatArray, IntArray

ONE = "one"
"""The column that is 1 in every plan and carries what is paid whatever is decided."""


@dataclass(frozen=True, eq=False)
class Matrix:
    """Minimise ``cost x`` over ``lower <= x <= upper`` and the rows; entries by column."""

    columns: tuple[str, ...]
    """(C,) names; the last is `ONE`"""
    rows: tuple[str, ...]
    """(M,)"""
    cost: FloatArray
    """float (C,)"""
    lower: FloatArray
    """float (C,) finite"""
    upper: FloatArray
    """float (C,) may be inf"""
    integer: BoolArray
    """bool (C,)"""
    sense: tuple[str, ...]
    """(M,) ``<=``, ``=`` or ``>=``"""
    limit: FloatArray
    """float (M,) right-hand sides"""
    start: IntArray
    """int (C + 1,) first entry of each column"""
    entry_row: IntArray
    """int (N,)"""
    entry: FloatArray
    """float (N,)"""

    @property
    def constant(self) -> float:
        """What is paid whatever is decided, in the unit of the objective."""
        return float(self.cost[-1])

    @classmethod
    def of(cls, program: Any) -> Matrix:
        """Compile the active objective and rows of a Pyomo program (`build_program`)."""
        form = LinearStandardFormCompiler().write(program, mixed_form=True)
        variables = form.columns
        bounds = np.array([v.bounds for v in variables], dtype=float).reshape(-1, 2)
        count = len(variables)
        return cls(
            columns=(*(plain(v.name) for v in variables), ONE),
            rows=tuple(plain(row.constraint.name) for row in form.rows),
            cost=np.append(form.c.todense().ravel(), form.c_offset[0]),
            lower=np.append(bounds[:, 0], 1.0),
            upper=np.append(np.nan_to_num(bounds[:, 1], nan=np.inf), 1.0),
            integer=np.append(np.fromiter((v.is_integer() for v in variables), bool, count), False),
            sense=tuple({-1: ">=", 0: "=", 1: "<="}[row.bound_type] for row in form.rows),
            limit=np.asarray(form.rhs, dtype=float),
            start=np.append(form.A.indptr, form.A.indptr[-1]).astype(np.int64),
            entry_row=form.A.indices.astype(np.int64),
            entry=form.A.data,
        )


def plain(name: str) -> str:
    """``serve[12]`` -> ``serve(12)``, ``rent[3,1]`` -> ``rent(3_1)``: names that both file formats
    and all solvers take."""
    return name.translate(str.maketrans("[],-", "()__"))
