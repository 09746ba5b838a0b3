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
from planner.verify.prices import DualPrices, load_arrays
from planner.verify.proof import covers

Array = NDArray[np.float64]
Row = Mapping[str, Any]


class Statements:
    """What the stored prices of a run say, each read and evaluated once."""

    def __init__(self, folder: Path, facts: Facts, incumbent: Incumbent | None) -> None:
        self.folder, self.facts, self.incumbent = folder, facts, incumbent
        self.known: dict[str, tuple[Array, Statement]] = {}

    def of(self, name: str) -> tuple[Array, Statement]:
        """(weights (4,), what is proved); PlannerError where the prices prove nothing."""
        if name not in self.known:
            prices = DualPrices.load(inside(self.folder, name))
            self.known[name] = (
                np.asarray(prices.weights, dtype=float),
                statement(self.facts, prices, self.incumbent),
            )
        return self.known[name]

    def members(self) -> list[NDArray[np.int64]]:
        """Variants of each workload that the facts list, in the facts' order of variants."""
        names = [v.workload for v in self.facts.variants]
        return [np.flatnonzero([n == name for n in names]) for name in dict.fromkeys(names)]


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
    rest = np.array([s.rest for _, s in found])
    names = [v.variant for v in said.facts.variants]
    worth = np.array([[s.worth[v] for v in names] for _, s in found])
    shares = np.asarray(arrays["shares"], dtype=float).reshape(-1, len(found))
    stored = arrays["variants"].tolist()
    place = {str(v): i for i, v in enumerate(stored)}
    cases = np.asarray(arrays["allowed"], dtype=bool).reshape(len(shares), len(stored))
    allowed = np.zeros((len(shares), len(names)), dtype=bool)
    for i, v in enumerate(names):
        if v in place:
            allowed[:, i] = cases[:, place[v]]
    if not (np.isfinite(shares).all() and (shares >= 0).all()):
        raise ValueError("the shares of a mixture are not finite numbers >= 0")
    able = np.isfinite(worth).all(axis=0)
    members = [mine[able[mine]] for mine in said.members()]
    if not covers(allowed, members):
        raise ValueError("the cases leave out assignments that could serve all demand")
    least = np.inf
    carbon, loss = float(row["upper"][1]), float(row["upper"][2])
    for left, share in zip(allowed & able, shares, strict=True):
        w, mixed = share @ weights, share @ np.where(able, worth, 0.0)
        proved = float(share @ rest) + sum(
            float(np.where(left, mixed, np.inf)[mine].min(initial=np.inf)) for mine in members
        )
        over = proved - w[1] * carbon - w[2] * loss
        if w[3] != 0:
            raise ValueError("a statement weighs water")
        if w[0] > 0:
            least = min(least, over / float(w[0]))
        elif not over > 0:
            return -np.inf
    return least
