"""Given the accelerators needed in every slice, the cheapest way to hold them.

Without quotas, spot limits or change rules the machines separate, and each one is a newsvendor
over slices: cost is convex in the committed instances, so marginal analysis is exact. With such
rules a small mixed-integer program decides.
"""

from __future__ import annotations

import numpy as np

from models.fleet.data import FloatArray, IntArray
from planner.solve.index import FleetIndex


def accelerators_needed(index: FleetIndex, replicas: IntArray) -> IntArray:
    """Accelerators that replicas (P, T) occupy on each machine, int (H, T)."""
    data = index.data
    needed = np.zeros((len(data.machines), len(data.slices)), dtype=np.int64)
    np.add.at(needed, data.pool_machine, replicas * data.pool_accelerators[:, None])
    return needed


def newsvendor(
    index: FleetIndex, weights: FloatArray, needed: IntArray
) -> tuple[IntArray, IntArray] | None:
    """Commitments (B,) and rentals (B, T) at least weighted cost; None when a limit is met.

    Each machine takes its cheapest rental in each slice (whole instances after availability) and
    its cheapest commitments as long as one more instance costs less than the rentals it saves.
    """
    data = index.data
    price = index.purchase_totals @ weights
    buy = np.zeros(len(data.purchase_machine), dtype=np.int64)
    rent = np.zeros((len(data.purchase_machine), len(data.slices)), dtype=np.int64)
    for machine in np.flatnonzero(needed.max(axis=1) > 0):
        here = np.flatnonzero(data.purchase_machine == machine)
        size = int(data.machine_size[machine])
        short = -(-needed[machine] // size) - int(data.machine_fixed[machine])
        short = np.maximum(short, 0)
        sliced = here[data.purchase_per_slice[here] & (data.purchase_market[here] == 0)]
        held = here[~data.purchase_per_slice[here]]
        rental = price[sliced].min(axis=0) if len(sliced) else np.full(len(short), np.inf)
        order = held[np.argsort(price[held].sum(axis=1))]
        left = short.copy()
        for b in order:
            whole = price[b].sum()
            while left.max() > 0 and buy[b] < data.purchase_limit[b]:
                saved = rental[left > 0].sum()
                if saved <= whole:
                    break
                buy[b] += 1
                left = np.maximum(left - 1, 0)
        if left.max() > 0:
            if not len(sliced):
                return None
            best = sliced[price[sliced].argmin(axis=0)]
            rent[best, np.arange(len(left))] += left
            if (rent > data.purchase_limit[:, None]).any():
                return None
    return buy, rent
