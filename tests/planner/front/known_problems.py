"""Published tri-objective problems from their definitions, their true fronts, and an oracle.

Three families, all written as minimisation of three linear objectives over a mixed-integer set:

- knapsack: maximise three profits under one capacity; profits and weights are integers uniform
  on 1..1000, the capacity half of the total weight, rounded up (Kirlik and Sayin, EJOR 232, 2014,
  and their library of instances);
- assignment: least of three costs of a perfect matching (the same source); costs are integers,
  here uniform on 1..20;
- mixed: the class of Mavrotas and Diakoulaki (Applied Mathematics and Computation 171, 2005), as
  also used by Boland, Charkhgard and Savelsbergh (INFORMS J. Computing 27, 2015): binary and
  continuous variables under <= rows, objectives maximised.

The fronts of the first two are found by enumeration, the points of the third by a complete
epsilon-constraint walk on scipy's `milp`, independent of the engine under test.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from planner.errors import SolverError
from planner.front.geometry import nondominated

Floats = NDArray[np.float64]

SAFETY = 1e-7
"""Subtracted from a solver's bound, relative to its size: its tolerances are not proof."""


@dataclass(frozen=True, eq=False)
class MultiMilp:
    """Minimise ``objectives @ x + constant`` with ``low <= rows @ x <= high`` and bounds on x.

    `objectives` (m, n), `constant` (m,), `rows` (r, n), `integral` (n,) of 0 and 1.
    """

    name: str
    objectives: Floats
    constant: Floats
    rows: Floats
    low: Floats
    high: Floats
    lower: Floats
    upper: Floats
    integral: Floats

    def value(self, x: ArrayLike) -> Floats:
        """(m,) objectives of a solution (n,)."""
        return self.objectives @ np.asarray(x, dtype=float) + self.constant

    def feasible(self, x: ArrayLike, tolerance: float = 1e-6) -> bool:
        """Whether x (n,) obeys rows, bounds and integrality."""
        values = np.asarray(x, dtype=float)
        activity = self.rows @ values
        whole = values[self.integral > 0]
        return bool(
            np.all(np.isfinite(values))
            and np.all(activity >= self.low - tolerance)
            and np.all(activity <= self.high + tolerance)
            and np.all(values >= self.lower - tolerance)
            and np.all(values <= self.upper + tolerance)
            and np.all(np.abs(whole - np.round(whole)) <= tolerance)
        )


def knapsack(items: int, seed: int) -> MultiMilp:
    """Three profits, one capacity of half the total weight; negated to minimise."""
    rng = np.random.default_rng(seed)
    profits = rng.integers(1, 1001, size=(3, items)).astype(float)
    weights = rng.integers(1, 1001, size=items).astype(float)
    return MultiMilp(
        name=f"knapsack-{items}-{seed}",
        objectives=-profits,
        constant=np.zeros(3),
        rows=weights[None, :],
        low=np.array([-np.inf]),
        high=np.array([np.ceil(weights.sum() / 2)]),
        lower=np.zeros(items),
        upper=np.ones(items),
        integral=np.ones(items),
    )


def assignment(size: int, seed: int) -> MultiMilp:
    """Three costs of a perfect matching of `size` agents and tasks."""
    rng = np.random.default_rng(seed)
    costs = rng.integers(1, 21, size=(3, size, size)).astype(float)
    agents = np.kron(np.eye(size), np.ones(size))
    tasks = np.kron(np.ones(size), np.eye(size))
    return MultiMilp(
        name=f"assignment-{size}-{seed}",
        objectives=costs.reshape(3, -1),
        constant=np.zeros(3),
        rows=np.vstack([agents, tasks]),
        low=np.ones(2 * size),
        high=np.ones(2 * size),
        lower=np.zeros(size * size),
        upper=np.ones(size * size),
        integral=np.ones(size * size),
    )


def mixed(binaries: int, continuous: int, rows: int, seed: int) -> MultiMilp:
    """Binary and continuous variables under <= rows, three objectives maximised (negated).

    All coefficients are integers: of the objectives uniform on -200..200 (binary) and -10..10
    (continuous), of the rows on -1..20, right-hand sides on 50..100. Each binary has a row of its
    own among the first ``rows - 1``, which hold every continuous variable; the last row allows a
    third of the binaries. Ours: continuous variables end at 100, so that no draw is unbounded.
    """
    if rows <= binaries:
        raise ValueError("each binary needs a row of its own, and all of them one together")
    rng = np.random.default_rng(seed)
    objectives = np.column_stack(
        [
            rng.integers(-200, 201, size=(3, binaries)),
            rng.integers(-10, 11, size=(3, continuous)),
        ]
    ).astype(float)
    own = np.zeros((rows, binaries))
    own[np.arange(binaries), np.arange(binaries)] = rng.integers(-1, 21, size=binaries)
    own[-1] = 1.0
    shared = rng.integers(-1, 21, size=(rows, continuous)).astype(float)
    shared[-1] = 0.0
    return MultiMilp(
        name=f"mixed-{binaries}-{continuous}-{rows}-{seed}",
        objectives=-objectives,
        constant=np.zeros(3),
        rows=np.column_stack([own, shared]),
        low=np.full(rows, -np.inf),
        high=np.append(rng.integers(50, 101, size=rows - 1), binaries / 3).astype(float),
        lower=np.zeros(binaries + continuous),
        upper=np.concatenate([np.ones(binaries), np.full(continuous, 100.0)]),
        integral=np.concatenate([np.ones(binaries), np.zeros(continuous)]),
    )


def _sorted_front(values: Floats) -> Floats:
    front = values[nondominated(values)]
    order: Floats = front[np.lexsort(front.T[::-1])]
    return order


def knapsack_front(problem: MultiMilp) -> Floats:
    """(n, 3) the true front by enumeration of all subsets, in lexicographic order."""
    items = problem.objectives.shape[1]
    subsets = (np.arange(2**items)[:, None] >> np.arange(items)) & 1
    fits = subsets @ problem.rows[0] <= problem.high[0]
    return _sorted_front(np.unique(subsets[fits] @ problem.objectives.T, axis=0))


def assignment_front(problem: MultiMilp) -> Floats:
    """(n, 3) the true front by enumeration of all permutations, in lexicographic order."""
    size = round(problem.objectives.shape[1] ** 0.5)
    costs = problem.objectives.reshape(3, size, size)
    orders = np.array(list(itertools.permutations(range(size))))
    totals = costs[:, np.arange(size), orders].sum(axis=2).T
    return _sorted_front(np.unique(totals, axis=0))


def front_by_epsilon_constraint(problem: MultiMilp, step: float) -> Floats:
    """(n, m=3) exact front of an integer problem, or samples `step` apart of a mixed one.

    Walks the third objective down from its largest value, and for each ceiling the second, by
    `step`; each point is made nondominated by lexicographic solves. Complete for integer
    objectives with ``step = 1``.
    """
    found: list[Floats] = []
    ceiling_third = np.inf
    while True:
        lowest: list[float] = []
        ceiling_second = np.inf
        while True:
            point = _lexicographic(problem, np.array([np.inf, ceiling_second, ceiling_third]))
            if point is None:
                break
            found.append(point)
            lowest.append(point[2])
            ceiling_second = point[1] - step
        if not lowest:
            break
        ceiling_third = max(lowest) - step
    return _sorted_front(np.array(found))


def _lexicographic(problem: MultiMilp, ceilings: Floats) -> Floats | None:
    """Least f1, then f2, then f3 under ceilings (3,); None where infeasible."""
    ceilings = ceilings.copy()
    point: Floats | None = None
    for i in range(len(ceilings)):
        result = _solve(problem, problem.objectives[i], ceilings)
        if result.x is None:
            return point
        point = problem.value(result.x)
        ceilings[i] = min(ceilings[i], point[i] + 1e-6)
    return point


def _solve(
    problem: MultiMilp, direction: Floats, ceilings: Floats, time_limit_s: float | None = None
) -> Any:
    """Scipy's result for min direction.x under ceilings on the objectives."""
    options: dict[str, Any] = {"mip_rel_gap": 0.0}
    if time_limit_s is not None:
        options["time_limit"] = time_limit_s
    return milp(
        direction,
        integrality=problem.integral,
        bounds=Bounds(problem.lower, problem.upper),
        constraints=[
            LinearConstraint(problem.rows, problem.low, problem.high),
            LinearConstraint(problem.objectives, -np.inf, ceilings - problem.constant),
        ],
        options=options,
    )


class MilpOracle:
    """Answers the two questions of the certified engine for a small problem, by scipy's `milp`."""

    def __init__(self, problem: MultiMilp) -> None:
        self.problem = problem
        self.calls = 0
        self.solutions: dict[tuple[float, ...], Floats] = {}
        """The solution behind every point returned, for an independent check."""

    def minimize_weighted(self, weights: ArrayLike) -> tuple[Floats | None, float]:
        """A feasible point (m,), or None, and a proved L with ``weights . f >= L`` for all f."""
        self.calls += 1
        w = np.asarray(weights, dtype=float)
        free = np.full(len(w), np.inf)
        result = _solve(self.problem, w @ self.problem.objectives, free)
        if result.status == 2:
            return None, np.inf
        if result.x is None:
            return None, -np.inf
        bound = float(result.mip_dual_bound + w @ self.problem.constant)
        return self._accept(result.x), bound - SAFETY * (1.0 + abs(bound))

    def minimize_below(self, corner: ArrayLike, ranges: ArrayLike) -> tuple[Floats | None, float]:
        """The plan deepest below a corner, in ranges: max t with ``f <= corner - t ranges``.

        Returns a point (m,) or None, and a proved t that no feasible f exceeds; -inf where no
        feasible f is weakly below the corner at all. +inf entries of the corner do not bind.
        """
        self.calls += 1
        u, r = np.asarray(corner, dtype=float), np.asarray(ranges, dtype=float)
        p, bound = self.problem, np.isfinite(u)
        if not np.any(bound):
            raise ValueError("a corner without a finite coordinate bounds nothing")
        n = p.objectives.shape[1]
        deepest = np.append(np.zeros(n), -1.0)
        rows = np.column_stack([p.rows, np.zeros(len(p.rows))])
        depth = np.column_stack([p.objectives[bound], r[bound]])
        result = milp(
            deepest,
            integrality=np.append(p.integral, 0),
            bounds=Bounds(np.append(p.lower, 0.0), np.append(p.upper, np.inf)),
            constraints=[
                LinearConstraint(rows, p.low, p.high),
                LinearConstraint(depth, -np.inf, (u - p.constant)[bound]),
            ],
            options={"mip_rel_gap": 0.0},
        )
        if result.status == 2:
            return None, -np.inf
        if result.x is None:
            return None, np.inf
        return self._accept(result.x[:n]), float(-result.mip_dual_bound) + SAFETY

    def _accept(self, x: Floats) -> Floats:
        """The point of a solution with its integers made exact; SolverError if not feasible."""
        exact = np.where(self.problem.integral > 0, np.round(x), x)
        if not self.problem.feasible(exact):
            raise SolverError(f"{self.problem.name}: the solver returned an infeasible solution")
        point = self.problem.value(exact)
        self.solutions[tuple(point.tolist())] = exact
        return point


class MockOracle(MilpOracle):
    """An oracle that goes wrong after `good_calls` calls.

    `fault` is ``fail`` (SolverError), ``timeout`` (no point, no bound) or ``nonsense``
    (not numbers, or a point that violates the bound it comes with).
    """

    def __init__(self, problem: MultiMilp, good_calls: int, fault: str) -> None:
        super().__init__(problem)
        if fault not in ("fail", "timeout", "nonsense"):
            raise ValueError(f"unknown fault {fault!r}")
        self.good_calls = good_calls
        self.fault = fault

    def minimize_weighted(self, weights: ArrayLike) -> tuple[Floats | None, float]:
        """As the true oracle, then as the fault says."""
        if self.calls < self.good_calls:
            return super().minimize_weighted(weights)
        w = np.asarray(weights, dtype=float)
        return self._fault(len(w), no_bound=-np.inf)

    def minimize_below(self, corner: ArrayLike, ranges: ArrayLike) -> tuple[Floats | None, float]:
        """As the true oracle, then as the fault says."""
        if self.calls < self.good_calls:
            return super().minimize_below(corner, ranges)
        return self._fault(len(np.asarray(corner)), no_bound=np.inf)

    def _fault(self, objectives: int, no_bound: float) -> tuple[Floats | None, float]:
        self.calls += 1
        if self.fault == "fail":
            raise SolverError(f"solver failed at call {self.calls}")
        if self.fault == "timeout":
            return None, no_bound
        if self.calls % 2:
            return np.full(objectives, np.nan), float("nan")
        # Below anything feasible, with a bound far above it (weighted) or below zero (depth).
        low = self.problem.value(np.zeros(self.problem.objectives.shape[1])) - 1e9
        return low, -no_bound
