"""The one door to HiGHS: options checked, time limits per run, honest statuses."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
from numpy.typing import NDArray

from models.fleet.data import FloatArray, IntArray
from planner.errors import SolverError

INFINITY = highspy.kHighsInf

_thread = threading.local()


@dataclass(frozen=True)
class Outcome:
    """Why HiGHS stopped, and what it holds; the two are separate questions."""

    status: str
    """``optimal``, ``infeasible``, ``limit`` or ``unknown``"""
    has_solution: bool
    objective: float
    bound: float


@contextmanager
def halted_by(event: threading.Event) -> Iterator[None]:
    """Every run of this thread ends, as at its limit, once the event is set."""
    _thread.halt = event
    try:
        yield
    finally:
        del _thread.halt


def new_highs(**options: Any) -> highspy.Highs:
    """A silent, single-threaded HiGHS; an option it refuses is an error, never ignored."""
    highs = highspy.Highs()
    defaults: dict[str, Any] = {"output_flag": False, "threads": 1, "random_seed": 0}
    for name, value in {**defaults, **options}.items():
        if highs.setOptionValue(name, value) != highspy.HighsStatus.kOk:
            raise SolverError(f"HiGHS refused the option {name} = {value!r}")
    return highs


def run(
    highs: highspy.Highs,
    time_limit_s: float,
    *,
    goes_on: Callable[[float], bool] = lambda bound: True,
    on_solution: Callable[[FloatArray], None] | None = None,
) -> Outcome:
    """Solve within a wall-clock limit.

    HiGHS's own limit counts over all runs of a linear program and is looked at too seldom in
    branch and bound; its interrupts are asked for often enough. Branch and bound asks `goes_on`
    with the bound proved so far, and hands every better solution to `on_solution`.
    """
    deadline = time.monotonic() + max(time_limit_s, 0.01)
    halt: threading.Event | None = getattr(_thread, "halt", None)

    def is_over() -> bool:
        return time.monotonic() > deadline or (halt is not None and halt.is_set())

    # HiGHS keeps the answer of the last run: each asks for itself, or it would end at once.
    def late(event: Any) -> None:
        event.interrupt(is_over())

    def searching(event: Any) -> None:
        bound = float(event.data_out.mip_dual_bound)
        event.interrupt(is_over() or not goes_on(bound))

    def improved(event: Any) -> None:
        assert on_solution is not None
        on_solution(np.array(event.data_out.mip_solution))

    asked = [
        (highs.cbMipInterrupt, searching),
        (highs.cbSimplexInterrupt, late),
        (highs.cbIpmInterrupt, late),
    ]
    if on_solution is not None:
        asked.append((highs.cbMipImprovingSolution, improved))
    for callback, function in asked:
        callback.subscribe(function)
    try:
        highs.run()
    finally:
        for callback, function in asked:
            callback.unsubscribe(function)
    return outcome(highs)


def outcome(highs: highspy.Highs) -> Outcome:
    """Read the status of the last run; a solution counts only if HiGHS says it is feasible."""
    model_status = highs.getModelStatus()
    info = highs.getInfo()
    feasible = info.primal_solution_status == 2
    status_of = {
        highspy.HighsModelStatus.kOptimal: "optimal",
        highspy.HighsModelStatus.kInfeasible: "infeasible",
        highspy.HighsModelStatus.kTimeLimit: "limit",
        highspy.HighsModelStatus.kInterrupt: "limit",
        highspy.HighsModelStatus.kSolutionLimit: "limit",
    }
    status = status_of.get(model_status, "unknown")
    objective = float(info.objective_function_value) if feasible else float("inf")
    # Where HiGHS does not know why it stopped, its information may be blank: a bound of 0.
    bound = -float("inf") if status == "unknown" else float(info.mip_dual_bound)
    return Outcome(status, feasible, objective, bound)


def misstated(highs: highspy.Highs, end: Outcome) -> bool:
    """Whether HiGHS states another objective than its own solution has.

    HiGHS 1.16 may take a start for better than it is, and then finds nothing better.
    """
    lp = highs.getLp()
    x = np.array(highs.getSolution().col_value)
    value = float(np.array(lp.col_cost_) @ x + lp.offset_)
    return abs(value - end.objective) > 1e-6 * max(1.0, abs(value))


def _packed(
    major: IntArray, minor: IntArray, values: FloatArray, count: int
) -> tuple[int, NDArray[np.int32], NDArray[np.int32], FloatArray]:
    """Triplets as HiGHS wants them: how many, starts by `major`, `minor` numbers, values."""
    order = np.argsort(major, kind="stable")
    starts = np.searchsorted(major[order], np.arange(count)).astype(np.int32)
    packed = np.ascontiguousarray(values[order], dtype=np.float64)
    return len(order), starts, minor[order].astype(np.int32), packed


def add_columns(
    highs: highspy.Highs,
    cost: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    rows: IntArray,
    columns: IntArray,
    values: FloatArray,
) -> int:
    """Append columns given their entries as triplets (column numbers from 0); first new number."""
    first = highs.getNumCol()
    status = highs.addCols(
        len(cost),
        np.ascontiguousarray(cost, dtype=np.float64),
        np.ascontiguousarray(lower, dtype=np.float64),
        np.ascontiguousarray(upper, dtype=np.float64),
        *_packed(columns, rows, values, len(cost)),
    )
    if status == highspy.HighsStatus.kError:
        raise SolverError("HiGHS refused new columns")
    return int(first)


def add_rows(
    highs: highspy.Highs,
    lower: FloatArray,
    upper: FloatArray,
    rows: IntArray,
    columns: IntArray,
    values: FloatArray,
) -> int:
    """Append rows given their entries as triplets (row numbers from 0); first new number."""
    first = highs.getNumRow()
    status = highs.addRows(
        len(lower),
        np.ascontiguousarray(lower, dtype=np.float64),
        np.ascontiguousarray(upper, dtype=np.float64),
        *_packed(rows, columns, values, len(lower)),
    )
    if status == highspy.HighsStatus.kError:
        raise SolverError("HiGHS refused new rows")
    return int(first)
