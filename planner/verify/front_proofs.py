"""Cuts and boxes of a front, proved again from what its run folder stores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import RunError
from planner.incumbent import Incumbent
from planner.instance.facts import Facts
from planner.verify.bound import Statement, statement
from planner.verify.ground import Ground
from planner.verify.prices import DualPrices, load_arrays
from planner.verify.proof import case_bounds

Array = NDArray[np.float64]
Row = Mapping[str, Any]


class Statements:
    """What the stored prices of a run say, each read and evaluated once."""

    def __init__(self, folder: Path, facts: Facts, incumbent: Incumbent | None) -> None:
        self.folder, self.facts, self.ground = folder, facts, Ground(facts, incumbent)
        self.known: dict[str, tuple[Array, Statement]] = {}

    def of(self, name: str) -> tuple[Array, Statement]:
        """(weights (4,), what is proved); PlannerError where the prices prove nothing."""
        if name not in self.known:
            prices = DualPrices.load(inside(self.folder, name))
            self.known[name] = (
                np.asarray(prices.weights, dtype=float),
                statement(self.ground, prices),
            )
        return self.known[name]


def inside(folder: Path, name: str) -> Path:
    """A path in the run folder; RunError for one outside of it."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise RunError(f"{name} lies outside the run folder")
    return path


def least_cost(row: Row, said: Statements) -> float:
    """The least cost that the stored cases prove of plans with the box's carbon and loss.

    In each case the mixture of statements ``w_k . f >= rest_k + sum of worth_k`` over the variants
    that are left bounds the cost from below; without a weight on cost it may forbid such plans.
    """
    arrays = load_arrays(inside(said.folder, str(row["proof"])), dict)
    found = [said.of(str(cut)) for cut in arrays["cuts"].tolist()]
    weights = np.array([w for w, _ in found]).reshape(-1, 4)
    if weights[:, 3].any():
        raise ValueError("a statement weighs water")
    variants = [str(name) for name in arrays["variants"].tolist()]
    shares = np.asarray(arrays["shares"], dtype=float).reshape(-1, len(found))
    allowed = np.asarray(arrays["allowed"], dtype=bool).reshape(-1, len(variants))
    proved = case_bounds(said.facts, [s for _, s in found], variants, allowed, shares)
    mixed = shares @ weights
    over = proved - mixed[:, 1] * float(row["upper"][1]) - mixed[:, 2] * float(row["upper"][2])
    # A case that does not weigh cost holds no such plan, or proves nothing.
    free = np.where(over > 0.0, np.inf, -np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.where(mixed[:, 0] > 0.0, over / mixed[:, 0], free).min(initial=np.inf))
