"""From a relaxation to a plan in seconds: lumps first, then slice by slice.

Variants, commitments and machines sold by the four or eight are the lumps of a fleet: HiGHS decides
them for the whole period, with replicas and single accelerators continuous. Given those, slices are
nearly independent and small: in one after the other everything becomes whole, while the slices to
come stay continuous. So every rule that spans slices (caps, attainment) holds at every step.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from models.fleet.data import BoolArray, FloatArray, IntArray
from planner.solve.highs import copy_of, run
from planner.solve.restricted import Restricted
from planner.solve.solution import Solution, whole_rentals

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


def rounded(program: Restricted, limit_s: float) -> Solution | None:
    """A plan of the program, or None where a step finds none; leaves its bounds changed."""
    return Rounding(program, limit_s).plan()


class Rounding:
    """The steps on one program; `plan` is the algorithm."""

    def __init__(self, program: Restricted, limit_s: float) -> None:
        self.program, self.limit_s = program, limit_s
        self.deadline = time.monotonic() + limit_s

    def plan(self) -> Solution | None:
        """Lumps, then the slices by their length, longest first."""
        program, index = self.program, self.program.index
        x = self._lumps()
        if x is None:
            return None
        decisions, _, _ = program.lump_columns()
        bought = program.col_buy[program.col_buy >= 0]
        settled = np.concatenate([decisions, bought])
        program.fix(settled, np.rint(x[settled]))
        copies = program.col_host[program.col_host >= 0]
        program.fix(copies, np.ceil(x[copies] - 1e-6))
        routes = program.routes()
        batch = index.data.item_slice[index.group_item[index.route_group[routes]]] < 0
        when = np.where(batch, -1, index.slice[routes])
        program.fix(program.col_route[routes[batch]], x[program.col_route[routes[batch]]])
        order = np.argsort(-index.data.slice_hours, kind="stable")
        for number, t in enumerate(order):
            left = (self.deadline - time.monotonic()) / (len(order) - number)
            found = self._slice(int(t), x, routes, when, min(SLICE_S, max(left, LEAST_S)))
            if found is None:
                return None
            x = found
        return program.solution_of(x)

    def _lumps(self) -> FloatArray | None:
        """Column values with whole decisions, commitments and lumps."""
        program = self.program
        program.set_integers(np.concatenate(program.lump_columns()))
        program.highs.setOptionValue("mip_rel_gap", LUMP_GAP)
        end = run(program.highs, LUMP_SHARE * self.limit_s)
        return np.array(program.highs.getSolution().col_value) if end.has_solution else None

    def _slice(
        self, t: int, x: FloatArray, routes: IntArray, when: IntArray, limit_s: float
    ) -> FloatArray | None:
        """Column values with everything in slice `t` whole, the other slices as they are."""
        program = self.program
        columns = program.col_route[routes]
        mine: BoolArray = when == t
        program.fix(columns[~mine], x[columns[~mine]])
        program.free(columns[mine])
        counts = np.concatenate([program.col_replica[:, t], program.col_rent[:, t]])
        counts = counts[counts >= 0]
        program.set_integers(counts)
        highs = copy_of(program.highs, mip_rel_gap=SLICE_GAP)
        highs.setSolution(*self._start(t, x))
        end = run(highs, limit_s)
        if not end.has_solution or end.objective - end.bound > POOR_GAP * abs(end.objective):
            # Branch and bound goes on where it stopped.
            end = run(highs, PATIENCE * limit_s)
        if not end.has_solution:
            return None
        found = np.array(highs.getSolution().col_value)
        program.fix(counts, np.rint(found[counts]))
        return found

    def _start(self, t: int, x: FloatArray) -> tuple[int, NDArray[np.int32], FloatArray]:
        """A first answer for the slice, as HiGHS takes it: replicas rounded up, on-demand under
        them."""
        program, index = self.program, self.program.index

        def at(columns: IntArray) -> FloatArray:
            return np.where(columns >= 0, x[np.maximum(columns, 0)], 0.0)

        replicas = np.ceil(at(program.col_replica) - 1e-6).astype(np.int64)
        bought = np.rint(at(program.col_buy)).astype(np.int64)
        rented = whole_rentals(index, replicas, bought, at(program.col_rent))
        columns = np.concatenate([program.col_replica[:, t], program.col_rent[:, t]])
        values = np.concatenate([replicas[:, t], rented[:, t]]).astype(float)
        known = columns >= 0
        return int(known.sum()), columns[known].astype(np.int32), values[known]
