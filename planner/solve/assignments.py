"""Bounds that know which variants are adopted: a bound for every assignment, and the least of them.

A price vector proves, for every assignment of variants to workloads, ``weights . totals >= level
+ sum over workloads of worth[variant]``: its `VariantCut`. The relaxation may mix variants, a plan
may not: the least over whole assignments of the largest cut is a bound too, and often a better
one (Benders' decomposition with Lagrangian cuts). It is proved by a tree of cases: at each leaf
some variants are left, and a mixture of the cuts gives a bound by formula.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import highspy
import numpy as np

from models.fleet.data import BoolArray, FloatArray, IntArray
from planner.solve.bound import Bound, Prices
from planner.solve.highs import INFINITY, add_columns, add_rows, new_highs, run
from planner.solve.index import FleetIndex

SEARCH_S = 2.0
"""Most seconds for one search over assignments."""
MOST_CASES = 400
"""Leaves of a proof, about."""
SCALE = 1e3
"""Of the least cut in the small programs."""


@dataclass(frozen=True, eq=False)
class VariantCut:
    """``weights . totals >= level + sum over w of worth[variant of w]`` for every plan."""

    level: float
    worth: FloatArray
    """float (V,); inf: no plan adopts the variant"""
    prices: Prices

    @classmethod
    def of(cls, bound: Bound) -> VariantCut:
        """What a bound over all variants says of each assignment."""
        assert bound.span is None
        return cls(bound.rest, bound.variant_value, bound.prices)

    def at(self, adopt: IntArray) -> float:
        """Its bound for the assignment, int (W,)."""
        return self.level + float(self.worth[adopt].sum())


@dataclass(frozen=True, eq=False)
class Case:
    """A leaf of a proof: every plan that adopts `allowed` variants alone has at least `bound`."""

    allowed: BoolArray
    """bool (V,)"""
    shares: FloatArray
    """float (K,) >= 0, sum 1: the mixture of cuts"""
    bound: float


@dataclass(frozen=True, eq=False)
class Cases:
    """Cases that leave out no assignment; the least of their bounds holds for every plan."""

    cuts: tuple[VariantCut, ...]
    leaves: tuple[Case, ...]

    @classmethod
    def of(cls, bound: Bound) -> Cases:
        """The one case of a price vector alone."""
        cut = VariantCut.of(bound)
        return cls((cut,), (Case(np.isfinite(cut.worth), np.ones(1), bound.value),))

    @property
    def bound(self) -> float:
        """No plan has less."""
        return min(leaf.bound for leaf in self.leaves)


class Assignments:
    """Cuts of one objective known so far."""

    def __init__(self, index: FleetIndex) -> None:
        self.index = index
        self.cuts: list[VariantCut] = []

    def add(self, bound: Bound) -> None:
        """Keep what a bound over all variants says."""
        self.cuts.append(VariantCut.of(bound))

    def bound_at(self, adopt: IntArray) -> float:
        """The largest cut of an assignment, int (W,)."""
        return max(cut.at(adopt) for cut in self.cuts)

    def excluded(self, value: float) -> BoolArray:
        """Variants that no plan of at most `value` adopts, bool (V,); by each cut alone."""
        out = np.zeros(len(self.cuts[0].worth), dtype=bool)
        for cut in self.cuts:
            out |= ~(cut.level + self._above(cut) <= value)
        return out

    def _above(self, cut: VariantCut) -> FloatArray:
        """The least that the worths of an assignment with each variant add up to, float (V,)."""
        least = np.array([cut.worth[v].min(initial=np.inf) for v in self.index.workload_variants])
        with np.errstate(invalid="ignore"):
            above = least.sum() + (cut.worth - least[self.index.data.variant_workload])
        return np.where(np.isnan(above), np.inf, above)

    def bound_beyond(self, variants: IntArray) -> float:
        """No plan that adopts any variant but these has less; by each cut alone."""
        other = np.ones(len(self.index.variant_complete), dtype=bool)
        other[variants] = False
        return max(
            float((cut.level + self._above(cut))[other].min(initial=np.inf)) for cut in self.cuts
        )

    def least(self) -> tuple[float, IntArray]:
        """`least_assignment` of the cuts."""
        return least_assignment(self.index, *self._arrays())

    def prove(self, enough: float = float("inf")) -> Cases:
        """`proving_cases` of as few of the cuts as are needed: the checker prices each of them."""
        level, worth = self._arrays()
        kept = np.arange(len(level))
        for k in reversed(range(len(level))):  # the first says most of all assignments together
            rest = kept[kept != k]
            if len(rest) and least_assignment(self.index, level[rest], worth[rest])[0] >= enough:
                kept = rest
        leaves = proving_cases(self.index, level[kept], worth[kept], enough)
        used = np.array([leaf.shares for leaf in leaves]).any(axis=0)
        return Cases(
            tuple(self.cuts[k] for k in kept[used]),
            tuple(Case(leaf.allowed, leaf.shares[used], leaf.bound) for leaf in leaves),
        )

    def _arrays(self) -> tuple[FloatArray, FloatArray]:
        level = np.array([cut.level for cut in self.cuts])
        return level, np.array([cut.worth for cut in self.cuts])


def least_assignment(
    index: FleetIndex, level: FloatArray, worth: FloatArray
) -> tuple[float, IntArray]:
    """(a lower bound on the least over assignments of the largest cut, an assignment with about
    that), by branch and bound; cuts as (K,) and (K, V)."""
    program = _Program(index, level, worth, np.ones(worth.shape[1], dtype=bool))
    value, x = program.solve(whole=True)
    return value, np.array([v[np.argmax(x[v])] for v in index.workload_variants])


def best_mixture(index: FleetIndex, level: FloatArray, worth: FloatArray) -> FloatArray:
    """Shares (K,) of the mixture of cuts, (K,) and (K, V), that says most of all variants."""
    every = np.ones(worth.shape[1], dtype=bool)
    shares, _ = _Program(index, level, worth, every).mixture()
    return shares


def proving_cases(
    index: FleetIndex, level: FloatArray, worth: FloatArray, enough: float = float("inf")
) -> list[Case]:
    """Cases of the cuts (K,), (K, V), best first, until their bound is `enough`, exact, or they
    are many."""
    number = 0
    heap: list[tuple[float, int, Case, FloatArray]] = []

    def push(allowed: BoolArray) -> None:
        nonlocal number
        shares, x = _Program(index, level, worth, allowed).mixture()
        bound = mixed_bound(index, level, worth, allowed, shares)
        number += 1
        heapq.heappush(heap, (bound, number, Case(allowed, shares, bound), x))

    push(np.asarray(np.isfinite(worth).all(axis=0)))
    while heap[0][0] < enough and len(heap) < MOST_CASES:
        _, _, case, x = heap[0]
        split = _split(index, case.allowed, x)
        if split is None:
            break
        heapq.heappop(heap)
        for part in split:
            push(part)
    return [case for _, _, case, _ in sorted(heap, key=lambda entry: entry[1])]


def _split(
    index: FleetIndex, allowed: BoolArray, x: FloatArray
) -> tuple[BoolArray, BoolArray] | None:
    """The workload whose variants are mixed most: its leading variant, or any other."""
    most, chosen = 1e-6, None
    for variants in index.workload_variants:
        left = variants[allowed[variants]]
        if len(left) > 1 and 1.0 - x[left].max() > most:
            most, chosen = 1.0 - float(x[left].max()), left
    if chosen is None:
        return None
    leading = chosen[np.argmax(x[chosen])]
    one, others = allowed.copy(), allowed.copy()
    one[chosen] = False
    one[leading] = True
    others[leading] = False
    return one, others


def mixed_bound(
    index: FleetIndex,
    level: FloatArray,
    worth: FloatArray,
    allowed: BoolArray,
    shares: FloatArray,
) -> float:
    """What a mixture of cuts proves of plans that adopt allowed variants alone; by formula."""
    used = shares > 0
    value = np.where(allowed, shares[used] @ worth[used], np.inf)
    least = [value[variants].min(initial=np.inf) for variants in index.workload_variants]
    return float(shares[used] @ level[used]) + float(np.sum(least))


class _Program:
    """min t subject to every cut <= t, one allowed variant per workload."""

    def __init__(
        self, index: FleetIndex, level: FloatArray, worth: FloatArray, allowed: BoolArray
    ) -> None:
        self.count = worth.shape[1]
        usable = allowed & np.isfinite(worth).all(axis=0)
        self.variants = np.flatnonzero(usable)
        workloads, n = len(index.workload_variants), len(self.variants)
        # Levels and worths are large and cancel: each workload's least worth goes to the level.
        least = np.full((len(level), workloads), np.inf)
        for w, variants in enumerate(index.workload_variants):
            mine = variants[usable[variants]]
            least[:, w] = worth[:, mine].min(axis=1, initial=np.inf)
        base = level + least.sum(axis=1)
        self.offset = float(base.max())
        spread = max(float(np.abs(self.offset - base).max()), 1e-3 * abs(self.offset), 1e-9)
        self.unit = spread / SCALE
        workload = index.data.variant_workload[self.variants]
        above = (worth[:, self.variants] - least[:, workload]) / self.unit
        self.highs = new_highs(solver="choose")
        zero, one = np.zeros(n + 1), np.ones(n + 1)
        none = np.zeros(0, dtype=np.int64)
        lower, upper = zero.copy(), one.copy()
        lower[n], upper[n] = -INFINITY, INFINITY
        add_columns(self.highs, np.append(zero[:n], 1.0), lower, upper, none, none, zero[:0])
        add_rows(
            self.highs, np.ones(workloads), np.ones(workloads), workload, np.arange(n), one[:n]
        )
        cut, variant = np.nonzero(above)
        rows = np.concatenate([cut, np.arange(len(level))])
        columns = np.concatenate([variant, np.full(len(level), n)])
        values = np.concatenate([-above[cut, variant], np.ones(len(level))])
        limits = (base - self.offset) / self.unit
        add_rows(self.highs, limits, np.full(len(level), INFINITY), rows, columns, values)
        self.first_cut = workloads

    def solve(self, *, whole: bool) -> tuple[float, FloatArray]:
        """(value, shares of the variants, float (V,)); with `whole` the proved bound of branch
        and bound."""
        if whole:
            n = len(self.variants)
            kinds = np.full(n, highspy.HighsVarType.kInteger)
            self.highs.changeColsIntegrality(n, np.arange(n, dtype=np.int32), kinds)
        end = run(self.highs, SEARCH_S)
        x = np.zeros(self.count)
        x[self.variants] = np.array(self.highs.getSolution().col_value)[:-1]
        value = end.bound if whole else end.objective
        return self.offset + self.unit * value, x

    def mixture(self) -> tuple[FloatArray, FloatArray]:
        """Shares of the cuts, float (K,), and of the variants, float (V,), in the relaxation."""
        _, x = self.solve(whole=False)
        dual = np.maximum(np.array(self.highs.getSolution().row_dual)[self.first_cut :], 0.0)
        if not dual.sum() > 0:
            dual = np.ones_like(dual)
        return dual / dual.sum(), x
