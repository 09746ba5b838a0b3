"""What a program minimises: weights of the totals, or the depth below a corner of a front."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from models.fleet.data import FloatArray, IntArray
from planner.solve.aggregate import Aggregated, Level
from planner.solve.bound import Prices, fair
from planner.solve.index import FleetIndex
from planner.solve.master import Master
from planner.solve.restricted import Restricted


@dataclass(frozen=True, eq=False)
class Aim:
    """``weights . totals``; with a corner the depth t of ``f_i <= corner_i + ranges_i t`` comes on
    top (Pascoletti and Serafini 1984), and the weights only choose among equally deep plans."""

    weights: FloatArray
    """float (4,) of cost, carbon, loss, water"""
    scale: float = 1.0
    """of the objective inside HiGHS, which wants numbers of about 1e3 to 1e4"""
    corner: FloatArray | None = None
    """float (3,) of cost, carbon, loss; inf: left open"""
    ranges: FloatArray | None = None
    """float (3,) > 0"""

    def value(self, totals: FloatArray) -> float:
        """What is minimised, of a plan's totals, float (4,)."""
        value = float(self.weights @ totals)
        if self.corner is not None:
            assert self.ranges is not None
            finite = np.isfinite(self.corner)
            value += float(((totals[:3] - self.corner) / self.ranges)[finite].max())
        return value

    def worth(self) -> FloatArray:
        """What a unit of cost, carbon and loss is worth, float (3,): with a corner as if the depth
        were that of all three."""
        worth = self.weights[:3]
        if self.corner is not None:
            assert self.ranges is not None
            worth = worth + np.isfinite(self.corner) / self.ranges
        return worth

    def size(self, totals: FloatArray) -> float:
        """What a difference in `value` is a share of, of a plan's totals, float (4,)."""
        return float(self.worth() @ totals[:3])

    def master(self, index: FleetIndex) -> Master:
        """An empty master for it."""
        master = Master(index, self.weights, scale=self.scale, ranges=self.ranges)
        if self.corner is not None:
            master.set_corner(self.corner, self.weights)
        return master

    def priced(self, index: FleetIndex, prices: Prices) -> Prices:
        """Prices known from another objective, made to be about this one: any of them prove
        something, and near ones nearly all."""
        if self.corner is not None:
            # In a depth program a whole range is worth 1, whatever its weights.
            assert self.ranges is not None
            prices = prices.scaled(1.0 / max(float(prices.weights[:3] @ self.ranges), 1e-300))
        else:
            prices = replace(prices, weights=self.weights)
        return fair(index, prices)

    def program(self, index: FleetIndex, variants: IntArray, routes: IntArray) -> Restricted:
        """The restricted program for it."""
        program = Restricted(
            index, self.weights, variants, routes, scale=self.scale, ranges=self.ranges
        )
        if self.corner is not None:
            program.set_corner(self.corner, self.weights)
        return program

    def aggregated(self, index: FleetIndex, variants: IntArray, routes: IntArray) -> Aggregated:
        """The program for it with few integers, `Level.MACHINES`."""
        program = Aggregated(
            index, self.weights, variants, routes, Level.MACHINES, self.scale, self.ranges
        )
        if self.corner is not None:
            program.set_corner(self.corner, self.weights)
        return program
