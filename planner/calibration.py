"""A calibration: the user's own measurements over the predictions, one fit per combination.

It is stored as JSON (`planner calibrate` writes it), read for predictions and for plans, and
multiplies the laws of the very combinations that were measured.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import PlannerError

Array = NDArray[np.float64]

FORMAT_VERSION = 1
PARTS = ("llm", "accelerator", "accelerators", "tp", "precision", "engine")
PLAUSIBLE_FACTORS = {"tpot": (0.1, 10.0), "ttft": (0.02, 50.0)}
"""Measured over predicted that can be meant: the 3,030 points of the catalog lie within
0.15 to 6.7 (TPOT) and 0.05 to 19 (TTFT)."""


@dataclass(frozen=True)
class UserFit:
    """Measured / predicted of one combination: log factor = a + b (log C - center)."""

    combination: tuple[str, ...]
    """`PARTS`, as text"""
    points: int
    center: float
    tpot: tuple[float, float]
    ttft: tuple[float, float]
    concurrency_range: tuple[float, float]
    accepted: bool = False
    """implausible factors are meant"""

    @property
    def name(self) -> str:
        """``llama-3.1-8b on 2 x l4 (fp8, vllm)``."""
        llm, card, count, _, precision, engine = self.combination
        return f"{llm} on {count} x {card} ({precision}, {engine})"

    @property
    def said(self) -> str:
        """``TPOT x 1.25, TTFT x 5.21``, at the middle of what was measured."""
        return f"TPOT x {math.exp(self.tpot[0]):.3g}, TTFT x {math.exp(self.ttft[0]):.3g}"

    def factors(self, log_concurrency: Array) -> tuple[Array, Array]:
        """Factors on TPOT and TTFT; outside the measured concurrency, those of its nearest end."""
        low, high = np.log(self.concurrency_range)
        step = np.clip(log_concurrency, low, high) - self.center
        tpot, ttft = (np.exp(a + b * step) for a, b in (self.tpot, self.ttft))
        return np.asarray(tpot), np.asarray(ttft)


@dataclass(frozen=True)
class Calibration:
    """The user's own measurements, one fit per combination."""

    fits: tuple[UserFit, ...]

    def apply(
        self,
        names: NDArray[np.str_],
        logs: Array,
        tpot: Array,
        ttft: Array,
        provenance: NDArray[np.str_],
    ) -> tuple[Array, Array, NDArray[np.str_]]:
        """Corrections multiplied by the fits where the combination is the user's, (N,) each."""
        for fit in self.fits:
            mine = (names == np.array(fit.combination, dtype=str)).all(axis=1)
            on_tpot, on_ttft = fit.factors(logs[:, 2])
            tpot = np.where(mine, tpot * on_tpot, tpot)
            ttft = np.where(mine, ttft * on_ttft, ttft)
            provenance = np.where(mine, "user", provenance)
        return tpot, ttft, provenance

    def save(self, path: Path) -> None:
        """Write as JSON; PlannerError where that is not possible."""
        document = {"format_version": FORMAT_VERSION, "fits": [asdict(fit) for fit in self.fits]}
        try:
            path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise PlannerError(f"cannot write {path}: {error.strerror}") from error

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read what `save` wrote; PlannerError if it is something else, or cannot be meant."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["format_version"] != FORMAT_VERSION:
                raise ValueError(f"format_version {document['format_version']!r}")
            found = cls(tuple(_fit(row) for row in document["fits"]))
        except OSError as error:
            raise PlannerError(f"{path}: cannot be read ({error.strerror})") from error
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise PlannerError(
                f"{path}: not a calibration file ({_why(error)}); "
                "make one from measured points with `planner calibrate`"
            ) from error
        problem = found.problem()
        if problem:
            raise PlannerError(f"{path}: {problem}")
        return found

    def problem(self) -> str:
        """Why the calibration cannot be meant, and the remedy; empty where it can."""
        if not self.fits:
            return "no combination is fitted; measure some points and run `planner calibrate`"
        name, times = Counter(fit.name for fit in self.fits).most_common(1)[0]
        if times > 1:
            return f"{name} is fitted {times} times; keep one of them"
        for fit in self.fits:
            for quantity, (low, high) in PLAUSIBLE_FACTORS.items():
                worst = farthest_factor(fit, quantity)
                if not fit.accepted and not low <= worst <= high:
                    return (
                        f"{quantity.upper()} x {worst:.3g} of {fit.name} is outside of {low:g} to "
                        f"{high:g}: check what was measured, and its units; if it is meant, "
                        "run `planner calibrate --accept-implausible`"
                    )
        return ""


def farthest_factor(fit: UserFit, quantity: str) -> float:
    """The factor on ``tpot`` or ``ttft`` farthest from 1 over the measured concurrency."""
    ends = np.log(np.array(fit.concurrency_range))
    factors = fit.factors(ends)[0 if quantity == "tpot" else 1]
    return float(factors[np.argmax(np.abs(np.log(factors)))])


def _fit(row: dict[str, Any]) -> UserFit:
    """A fit as stored; ValueError where a figure is missing or cannot be."""
    names = tuple(map(str, row["combination"]))
    low, high = (float(x) for x in row["concurrency_range"])
    tpot, ttft = ((float(a), float(b)) for a, b in (row["tpot"], row["ttft"]))
    center, points = float(row["center"]), int(row["points"])
    numbers = (low, high, center, *tpot, *ttft)
    if len(names) != 6 or not (names[2] + names[3]).isdecimal():
        raise ValueError("a combination has six parts: " + ", ".join(PARTS))
    if not all(map(math.isfinite, numbers)) or not 1.0 <= low <= high or points < 1:
        raise ValueError(f"impossible figures of {' '.join(names)}")
    return UserFit(names, points, center, tpot, ttft, (low, high), bool(row.get("accepted", False)))


def _why(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)
