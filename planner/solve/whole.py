"""Branch and bound on the whole program, in two ways that race: as it is, and in pieces with few
integers.

HiGHS cuts deep where every replica is an integer and the pools are few; where they are many it
drowns, and sums of replicas (`planner.solve.aggregate`) do better. Which of the two is ahead is
seen only by running both: the bound is the larger one, plans serve both.

The pieces: the best plan mostly adopts what the relaxation prefers. Over those variants alone the
program is several times smaller, finds good plans soon, and those rule most other variants out.
What is left must adopt another variant somewhere, which makes it dear: often its relaxation is all
that is needed. The bound of the pieces is the least of the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.fleet.data import FloatArray, IntArray
from planner.solve.aggregate import Aggregated, Level
from planner.solve.assignments import Assignments
from planner.solve.highs import Outcome
from planner.solve.index import FleetIndex, routes_of
from planner.solve.solution import Solution

LEVEL_GAP = 0.5
"""Of the gap asked for: that of branch and bound itself."""
TURN_SHARE = 0.5
"""Of the time left, what a piece may take while the other one is open."""
TIGHTEN_SHARE = 0.25
"""Of the time left, at most, for residual-capacity rows."""
ROOT_ROUTES, ROOT_SHARE = 8_000, 0.1
"""Programs of more routes begin with what the relaxation with those rows proves of all variants,
in that share of the time left at most: a piece may take the rest."""
AGAIN = 0.6
"""Share of its routes that may still be in a better plan, below which a piece begins again."""
TINY_ROUTES, FEW_ROUTES = 1_000, 4_000
"""Programs with no more routes are searched as they are alone; as they are first."""
ENOUGH = 0.99
"""Of the gap asked for: what is cut off at, so that no tolerance leaves it open."""
SCALED = 1e4
"""What the best plan comes to in the objective that HiGHS is given."""
TOLERANCE = 1e-6
"""Relative: HiGHS proves within its tolerances, which are left out of what is claimed."""


@dataclass
class Piece:
    """Plans that adopt variants of a set alone, all others, or all."""

    bound: float
    """no plan of it has less"""
    level: Level | None = Level.MACHINES
    """of the next search; None: nothing is left to search"""

    def refine(self) -> None:
        """Search it with more integers next."""
        self.level = Level.LANES if self.level is Level.MACHINES else None


@dataclass(frozen=True)
class Host:
    """What the search knows and wants to hear."""

    best: Callable[[], Solution | None]
    left_s: Callable[[], float]
    goes_on: Callable[[], bool]
    """whether the gap asked for is still open, and time left"""
    keep: Callable[[Solution], None]
    keep_bound: Callable[[float], None]


class Whole:
    """The pieces of one search; `step` works on the one that holds the bound down."""

    def __init__(
        self,
        index: FleetIndex,
        weights: FloatArray,
        scale: float,
        gap: float,
        assignments: Assignments,
        focus: IntArray | None,
        host: Host,
    ) -> None:
        self.index, self.weights, self.scale, self.gap = index, weights, scale, gap
        self.assignments, self.host = assignments, host
        self.focus = focus
        """int (n,) the variants searched first, or None"""
        self.first = Piece(-np.inf) if focus is not None else Piece(np.inf, None)
        self.rest = Piece(-np.inf)
        self.every = Piece(-np.inf, Level.POOLS)
        self.seed = 0
        self._left: tuple[tuple[float, int], IntArray] | None = None

    @property
    def bound(self) -> float:
        """No plan has less; inf: no plan exists."""
        return max(self.every.bound, min(self.first.bound, self._rest_bound()))

    def is_open(self, *, in_pieces: bool) -> bool:
        """Whether anything is left to search, in pieces or as it is."""
        return self._next(in_pieces=in_pieces) is not None

    def is_small(self, most: int) -> bool:
        """Whether no more routes than that can be in a better plan."""
        return self.count() <= most

    def count(self) -> int:
        """Routes that may be in a better plan."""
        starts = self.index.group_start[self.index.variant_group_start]
        return int(np.diff(starts)[self.left()].sum())

    def left(self) -> IntArray:
        """The variants that a plan better than the best may adopt, and its own, int (n,)."""
        best = self.host.best()
        known = (self._value(best), len(self.assignments.cuts))
        if self._left is None or self._left[0] != known:
            left = self.index.variant_complete.copy()
            if self.assignments.cuts:
                left &= ~self.assignments.excluded(known[0])
            if best is not None:
                left[best.adopt] = True
            self._left = (known, np.flatnonzero(left))
        return self._left[1]

    def step(self, *, in_pieces: bool, most_s: float = np.inf) -> None:
        """One search of a piece or of all, until it keeps no plan from being good enough, or so
        many variants are out that it is better to begin again; for `most_s` seconds at most."""
        piece = self._next(in_pieces=in_pieces)
        if piece is None:
            return
        if in_pieces:
            self._look_at_all()
        host = self.host
        start = host.best()
        fitting = start if start is not None and self._is_in(piece, start) else None
        program, routes = self._program(piece)
        wanted = np.inf
        if start is not None and fitting is None:
            wanted = self._wanted(start)
            program.cut_off(wanted)
        if in_pieces:
            said = program.tighten(TIGHTEN_SHARE * host.left_s())
            self._raise(piece, min(said, wanted))

        def heard(bound: float) -> bool:
            self._raise(piece, min(bound, wanted))
            return host.goes_on() and not self._is_settled(piece, len(routes))

        shared = in_pieces and len(self._pieces_left()) > 1
        limit_s = min(host.left_s() * (TURN_SHARE if shared else 1.0), most_s)
        proved, end = program.search(limit_s, LEVEL_GAP * self.gap, fitting, heard, host.keep)
        self._conclude(piece, program, proved, wanted, end)

    def _look_at_all(self) -> None:
        """What the relaxation with its rows proves of all variants, once, in large programs."""
        if self.every.bound == -np.inf and self.count() > ROOT_ROUTES:
            program, _ = self._program(self.every)
            self._raise(self.every, program.tighten(ROOT_SHARE * self.host.left_s()))

    def _conclude(
        self, piece: Piece, program: Aggregated, proved: float, wanted: float, end: Outcome
    ) -> None:
        """What the end of a search says of a piece; of plans up to `wanted` alone, or inf: all."""
        if end.status == "infeasible" and np.isfinite(wanted):
            self._raise(piece, wanted + self._margin(wanted))
            return
        if end.status == "infeasible":
            if program.is_infeasible_again(self.host.left_s()):
                piece.bound, piece.level = np.inf, None
                return
        elif end.status in ("optimal", "limit"):
            self._raise(piece, min(proved, wanted))
        if end.status == "limit":
            return
        if piece is self.every and self.host.best() is None:
            self.seed += 1  # neither a plan that keeps every limit nor a proof: once more
        else:
            piece.refine()

    def _next(self, *, in_pieces: bool) -> Piece | None:
        """The piece that holds the bound down, the first one before the rest; or all."""
        pieces = self._pieces_left() if in_pieces else self._unsettled(self.every)
        return min(pieces, key=self._bound_of, default=None)

    def _pieces_left(self) -> list[Piece]:
        return self._unsettled(self.first, self.rest)

    def _unsettled(self, *pieces: Piece) -> list[Piece]:
        return [p for p in pieces if p.level is not None and not self._is_settled(p, 0)]

    def _bound_of(self, piece: Piece) -> float:
        return self._rest_bound() if piece is self.rest else piece.bound

    def _program(self, piece: Piece) -> tuple[Aggregated, IntArray]:
        assert piece.level is not None
        if piece is self.first:
            assert self.focus is not None
            variants = self.focus
        else:
            variants = self.left()
        routes = routes_of(self.index, variants)
        made = Aggregated(self.index, self.weights, variants, routes, piece.level, self._scale())
        made.highs.setOptionValue("random_seed", self.seed)
        if piece is self.rest and self.focus is not None:
            made.adopt_one_of(np.setdiff1d(variants, self.focus))
        return made, routes

    def _scale(self) -> float:
        """That of the objective: by the best plan, since a relaxation may be next to nothing where
        there is little demand, and HiGHS errs in values that are millions."""
        value = abs(self._value(self.host.best()))
        return min(self.scale, SCALED / value) if 0.0 < value < np.inf else self.scale

    def _is_in(self, piece: Piece, plan: Solution) -> bool:
        """Whether a plan belongs to a piece."""
        if self.focus is None or piece is self.every:
            return True
        return bool(np.isin(plan.adopt, self.focus).all()) == (piece is self.first)

    def _is_settled(self, piece: Piece, routes: int) -> bool:
        """Whether a piece is better left: it keeps no plan from being good enough, or much of it
        is out by now."""
        best = self.host.best()
        if best is None:
            return False
        if self._bound_of(piece) >= self._wanted(best):
            return True
        return piece is not self.first and self.count() < AGAIN * routes

    def _wanted(self, best: Solution) -> float:
        """The bound that leaves the gap asked for."""
        value = self._value(best)
        return value - ENOUGH * self.gap * abs(value)

    def _value(self, plan: Solution | None) -> float:
        """What a plan comes to; inf without one."""
        return np.inf if plan is None else float(plan.totals @ self.weights)

    def _margin(self, bound: float) -> float:
        """What HiGHS's tolerances may be worth in a bound."""
        return TOLERANCE * max(abs(bound), 1.0 / self._scale())

    def _raise(self, piece: Piece, bound: float) -> None:
        """Keep a bound of a piece: no more than the best plan, since what is left out is no better
        than that."""
        bound = min(bound - self._margin(bound), self._value(self.host.best()))
        if bound > piece.bound:
            piece.bound = bound
            self.host.keep_bound(self.bound)

    def _rest_bound(self) -> float:
        """That of the plans that adopt a variant beyond the focus: also by the cuts."""
        if self.focus is None or not self.assignments.cuts:
            return self.rest.bound
        return max(self.rest.bound, self.assignments.bound_beyond(self.focus))
