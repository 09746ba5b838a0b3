"""`calibrate`: the user's measured points, checked against what can be, as a calibration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from models.coefficients.serving import weights_touched_bytes
from planner.calibration import PLAUSIBLE_FACTORS, Array, Calibration, UserFit
from planner.errors import PointsError
from planner.instance.findings import Finding
from planner.points import MeasuredPoint, Points, checked, points_error
from planner.serving import logs_of, names_of, predict, shapes

if TYPE_CHECKING:
    from pandas import DataFrame

QUANTITIES = ("tpot", "ttft")
MEANT = "if it is meant, --accept-implausible takes it as it is"


def calibrate(
    measured: DataFrame, file: str = "measured", *, accept_implausible: bool = False
) -> Calibration:
    """Fit the user's measurements: the columns of a point, and ttft_ms, tpot_ms or both.

    One point per combination scales the law; with 3 or more over a factor 2 in concurrency the
    log factor also gets a slope in log C, held inside the measured range. Raises PointsError with
    every bad cell; `accept_implausible` lets pass what is a number but cannot be meant.
    """
    points, table = checked(measured, file, MeasuredPoint)
    predicted = predict(points)
    findings = list(_unmeasured(table))
    if not accept_implausible:
        findings += _implausible(table, points, predicted)
    if findings:
        raise points_error(findings)
    names, logs = names_of(points), logs_of(points)
    ratio = {
        q: np.log(points[f"{q}_ms"].to_numpy(float) / predicted[f"{q}_ms"].to_numpy(float))
        for q in QUANTITIES
    }
    fits = []
    for combination in sorted({tuple(map(str, row)) for row in names}):
        mine = (names == np.array(combination, dtype=str)).all(axis=1)
        x = logs[mine, 2]
        center = float(x.mean())
        fits.append(
            UserFit(
                combination,
                int(mine.sum()),
                center,
                _line(x - center, ratio["tpot"][mine]),
                _line(x - center, ratio["ttft"][mine]),
                (float(np.exp(x.min())), float(np.exp(x.max()))),
                accept_implausible,
            )
        )
    found = Calibration(tuple(fits))
    if found.problem():
        raise PointsError(f"{file}: {found.problem()}")
    return found


def _line(x: Array, y: Array) -> tuple[float, float]:
    known = np.isfinite(y)
    x, y = x[known], y[known]
    if y.size == 0:
        return 0.0, 0.0
    if y.size < 3 or np.ptp(x) < np.log(2.0):
        return float(np.median(y)), 0.0
    slope, level = np.polyfit(x, y, 1)
    return float(level), float(slope)


# ------------------------------------------------------------------ what can be


def _unmeasured(table: Points) -> Iterator[Finding]:
    """Rows that say nothing: a failed request, or a blank one."""
    for at, row in enumerate(table.rows):
        if isinstance(row, MeasuredPoint) and row.ttft_ms is None and row.tpot_ms is None:
            problem = "neither ttft_ms nor tpot_ms is given"
            yield Finding(
                table.file, table.lines[at], "", "", problem, "give one, or delete the row"
            )


def _implausible(table: Points, points: DataFrame, predicted: DataFrame) -> Iterator[Finding]:
    """Times below a single reading of the weights, or far from every prediction so far."""
    least = least_ms(points)
    for q in QUANTITIES:
        low, high = PLAUSIBLE_FACTORS[q]
        column = f"{q}_ms"
        pairs = zip(points[column].to_numpy(float), predicted[column].to_numpy(float), strict=True)
        for at, (value, expected) in enumerate(pairs):
            if value < least[at]:
                problem = (
                    f"below {least[at]:.3g} ms, which one reading of the weights from memory takes"
                )
                remedy = f"if these are seconds, name the column {q}_s; {MEANT}"
            elif not np.isnan(value) and not low <= value / expected <= high:
                problem = f"{value / expected:.3g} times the predicted {expected:.3g} ms"
                remedy = f"check the unit, the llm, the accelerators and the precision; {MEANT}"
            else:
                continue
            yield table.finding(at, column, problem, remedy)


def least_ms(points: DataFrame) -> Array:
    """Time to read the weights that one token needs, at the datasheet's full bandwidth, ms (N,).

    No token comes out sooner, unless several come out of one reading (speculative decoding).
    """
    llm, card = shapes(points["llm"].to_numpy(str), points["accelerator"].to_numpy(str))
    touched = weights_touched_bytes(llm, points["precision"].to_numpy(str), 1.0)
    bandwidth = points["accelerators"].to_numpy(float) * card.bandwidth_bytes_per_s
    return np.asarray(touched / bandwidth * 1e3)
