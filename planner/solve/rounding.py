"""A plan from a relaxation with the lumps decided together: then slice by slice.

Variants, commitments and machines sold by the four or eight are the lumps of a fleet: HiGHS decides
them for the whole period, with replicas and single accelerators continuous. Given those, slices are
nearly independent and small: in one after the other everything becomes whole, while the slices to
come stay continuous. So every rule that spans slices (caps, attainment) holds at every step. It
takes ten times as long as `planner.solve.decode`, and often finds better lumps.
"""

from __future__ import annotations

import time

import numpy as np

from models.fleet.data import FloatArray, IntArray
from planner.solve.aim import Aim
from planner.solve.highs import INFINITY, run
from planner.solve.improve import slices_by_length
from planner.solve.index import FleetIndex
from planner.solve.solution import Solution, by_the_piece, whole_rentals

LUMP_SHARE = 0.4
"""Of the time, at most, for the lumps."""
LUMP_GAP = 5e-4
SLICE_GAP = 3e-4
SLICE_S = 1.0
"""Seconds for a slice, where time allows."""
POOR_GAP = 2e-3
"""Of the whole objective, above which a slice takes `PATIENCE` times as long again."""
PATIENCE = 3.0
LEAST_S = 0.2


def rounded(
    index: FleetIndex,
    aim: Aim,
    variants: IntArray,
    routes: IntArray,
    limit_s: float,
    start: Solution | None = None,
) -> Solution | None:
    """A plan over the given variants and routes, or None where a step finds none."""
    return Rounding(index, aim, variants, routes, limit_s).plan(start)


class Rounding:
    """The steps on one program; `plan` is the algorithm."""

    def __init__(
        self, index: FleetIndex, aim: Aim, variants: IntArray, routes: IntArray, limit_s: float
    ) -> None:
        self.index, self.limit_s = index, limit_s
        self.deadline = time.monotonic() + limit_s
        self.program = aim.program(index, variants, routes)
        self.routes = self.program.routes()
        batch = index.data.item_slice[index.group_item[index.route_group[self.routes]]] < 0
        self.when = np.where(batch, -1, index.slice[self.routes])

    def plan(self, start: Solution | None) -> Solution | None:
        """Lumps, then the slices."""
        program = self.program
        x = self._lumps(start)
        if x is None:
            return None
        settled = np.concatenate([program.decision_columns(), _present(program.col_buy)])
        program.fix(settled, np.rint(x[settled]))
        copies = _present(program.col_host)
        program.fix(copies, np.ceil(x[copies] - 1e-6))
        batch = program.col_route[self.routes[self.when < 0]]
        program.fix(batch, x[batch])
        order = slices_by_length(self.index)
        for number, t in enumerate(order):
            left = (self.deadline - time.monotonic()) / (len(order) - number)
            found = self._slice(t, x, min(SLICE_S, max(left, LEAST_S)))
            if found is None:
                return None
            x = found
        return program.solution_of(x)

    def _lumps(self, start: Solution | None) -> FloatArray | None:
        """Column values with whole decisions, commitments and lumps."""
        program = self.program
        lumpy = ~by_the_piece(self.index)[:, None] & (program.col_rent >= 0)
        decisions, bought = program.decision_columns(), _present(program.col_buy)
        program.set_integers(np.concatenate([decisions, bought, program.col_rent[lumpy]]))
        program.highs.setOptionValue("mip_rel_gap", LUMP_GAP)
        if start is not None:
            program.set_start(start)
        end = run(program.highs, LUMP_SHARE * self.limit_s)
        return np.array(program.highs.getSolution().col_value) if end.has_solution else None

    def _slice(self, t: int, x: FloatArray, limit_s: float) -> FloatArray | None:
        """Column values with everything in slice `t` whole, the other slices as they are."""
        program, highs = self.program, self.program.highs
        columns = program.col_route[self.routes]
        others, mine = columns[self.when != t], columns[self.when == t].astype(np.int32)
        program.fix(others, x[others])
        zero, most = np.zeros(len(mine)), np.full(len(mine), INFINITY)
        highs.changeColsBounds(len(mine), mine, zero, most)
        tables = (program.col_replica, program.col_rent, program.col_at_once)
        counts = _present(np.concatenate([columns[:, t] for columns in tables]))
        program.set_integers(counts)
        highs.setOptionValue("mip_rel_gap", SLICE_GAP)
        self._set_start(t, x)
        end = run(highs, limit_s)
        if not end.has_solution or end.objective - end.bound > POOR_GAP * abs(end.objective):
            end = run(highs, PATIENCE * limit_s)
        if not end.has_solution:
            return None
        found = np.array(highs.getSolution().col_value)
        program.fix(counts, np.rint(found[counts]))
        return found

    def _set_start(self, t: int, x: FloatArray) -> None:
        """Hand HiGHS a first answer for the slice: replicas rounded up, on-demand under them."""
        program = self.program

        def at(columns: IntArray) -> FloatArray:
            return np.where(columns >= 0, x[np.maximum(columns, 0)], 0.0)

        replicas = np.ceil(at(program.col_replica) - 1e-6).astype(np.int64)
        bought = np.rint(at(program.col_buy)).astype(np.int64)
        rented = whole_rentals(self.index, replicas, bought, at(program.col_rent))
        columns = np.concatenate([program.col_replica[:, t], program.col_rent[:, t]])
        values = np.concatenate([replicas[:, t], rented[:, t]]).astype(float)
        known = columns >= 0
        program.highs.setSolution(int(known.sum()), columns[known].astype(np.int32), values[known])


def _present(columns: IntArray) -> IntArray:
    """The columns that the program has."""
    return columns[columns >= 0]
