"""A certificate attacked: plans found on their own, from other prices and in other directions, must
lie inside the enclosure.

Weighted sums, bounds on carbon and loss with the least cost under them (epsilon-constraint), and
Chebyshev distances from the ideal point take turns; directions are drawn by a seed. Nothing of the
search but the program is used: relaxations start from nothing, small fleets are solved whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from planner.candidates import build_candidates
from planner.errors import SolverError
from planner.front.front import Front, as_minimised
from planner.front.geometry import Floats
from planner.front.tasks import (
    BoundTask,
    WholeTask,
    bounded,
    depth_aim,
    searched,
    weighted_aim,
)
from planner.instance.facts import Facts
from planner.solve.aim import Aim
from planner.solve.index import FleetIndex
from planner.solve.solution import Solution

SMALL_ROUTES = 2_000
"""Fleets of no more routes than that are solved whole."""
SOLVE_S = 5.0
TOLERANCE = 1e-7
"""Relative, for what counts as outside."""
KINDS = ("weighted sum", "epsilon-constraint", "Chebyshev")


@dataclass(frozen=True)
class Outlier:
    """A plan that the certificate says cannot be."""

    kind: str
    f: tuple[float, ...]
    broken: str


@dataclass(frozen=True)
class Attack:
    """What came of it."""

    solves: int
    plans: int
    """solves that found a plan"""
    below: int
    """plans below the reference, of which epsilon speaks"""
    outside: tuple[Outlier, ...]

    def line(self) -> str:
        """The verdict in a sentence."""
        verdict = f"{len(self.outside)} OUTSIDE" if self.outside else "none outside"
        return (
            f"attacked by {self.solves} independent solves: {self.plans} plans, {self.below} of "
            f"them below the reference; {verdict} of the enclosure"
        )


def attack(
    folder: Path,
    facts: Facts,
    solves: int,
    *,
    seed: int = 0,
    on_solve: Callable[[int], None] = lambda number: None,
) -> Attack:
    """Attack the front in `folder` by so many solves; RunError where it cannot be read."""
    front = Front.read(folder)
    index = FleetIndex.build(build_candidates(facts).data)
    rng = np.random.default_rng(seed)
    outside: list[Outlier] = []
    plans = below = 0
    reference = as_minimised(front.certificate.hypervolume.reference)
    for number in range(solves):
        kind = KINDS[number % len(KINDS)]
        aim = _aim(kind, front, rng)
        try:
            plan = solved(index, aim, front, rng)
        except SolverError:
            plan = None
        on_solve(number + 1)
        if plan is None:
            continue
        plans += 1
        f = plan.totals[:3]
        below += bool(np.all(f < reference))
        broken = broken_by(front, f)
        if broken:
            outside.append(Outlier(kind, tuple(float(v) for v in f), broken))
    return Attack(solves, plans, below, tuple(outside))


def _aim(kind: str, front: Front, rng: np.random.Generator) -> Aim:
    """A random direction of the kind."""
    ideal, ranges = as_minimised(front.ideal), front.measures
    shares = rng.dirichlet(np.full(3, 0.7))
    if kind == "weighted sum":
        return weighted_aim(shares / ranges)
    if kind == "Chebyshev":
        return depth_aim(ideal, ranges / np.maximum(shares, 0.02) / 3.0, ranges)
    corner = ideal + rng.uniform(0.02, 1.0, 3) * ranges
    return depth_aim(corner, ranges * np.array([1.0, 1e-4, 1e-4]), ranges)


def solved(index: FleetIndex, aim: Aim, front: Front, rng: np.random.Generator) -> Solution | None:
    """A good plan for the aim; the whole program where it is small."""
    if len(index.pool) <= SMALL_ROUTES:
        every = np.flatnonzero(index.variant_complete)
        plan = searched(index, WholeTask(aim, every, SOLVE_S)).plan
        if plan is not None:
            return plan
    relaxed = aim
    if aim.corner is not None:
        # A relaxation for weights of its own: what it leaves is planned for the aim.
        shares = rng.dirichlet(np.ones(3))
        relaxed = weighted_aim(shares / front.measures)
    return bounded(index, BoundTask(relaxed, None, (), 3.0 * SOLVE_S, aim)).plan


def broken_by(front: Front, f: Floats) -> str:
    """What of the certificate the objectives `f` (3,) of a plan contradict, or nothing."""
    certificate = front.certificate
    for row in certificate.cuts:
        if float(np.array(row.weights) @ f) < row.level - TOLERANCE * abs(row.level):
            return f"cut {row.proof}"
    for number, stated in enumerate(certificate.boxes, start=1):
        box = stated.as_box()
        inside = bool(np.all(f <= box.upper))
        if inside and f[box.coordinate] < box.level - TOLERANCE * abs(box.level):
            return f"box {number}, {stated.proof}"
    reference = as_minimised(certificate.hypervolume.reference)
    if certificate.epsilon is not None and bool(np.all(f < reference)):
        live, listed = front.ranges > 0.0, front.minimised
        reach = f + (certificate.epsilon + TOLERANCE) * front.measures
        near = listed[:, live] <= reach[live]
        better = listed.min(axis=0)[~live] > reach[~live]
        if not near.all(axis=1).any() or better.any():
            return "epsilon"
    return ""
