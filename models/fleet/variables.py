"""Every variable of the program; names, types and bounds as in ``models/FORMULATION.md``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.fleet.data import BoolArray, FleetData, IntArray
from models.fleet.rows import Routes, ruled


def declare_variables(program: Any, data: FleetData) -> None:
    """Declare them all; a family whose rule is absent has an empty index."""
    T = range(len(data.slices))
    complete = complete_variants(data)
    program.zero = pyo.Var(bounds=(0.0, 0.0))
    # Not binary where it is fixed to 0: file formats and solvers take "binary" for "at most 1".
    program.adopt = pyo.Var(
        range(len(data.variants)),
        domain=lambda _, v: pyo.Binary if complete[v] else pyo.NonNegativeIntegers,
        bounds=lambda _, v: (0, int(complete[v])),
    )
    program.serve = pyo.Var(range(len(data.route_group)), bounds=(0.0, 1.0))
    program.replicas = pyo.Var(used_pool_slices(data), domain=pyo.NonNegativeIntegers)
    limit = np.floor(data.purchase_limit).astype(int).tolist()
    all_period = np.flatnonzero(~data.purchase_per_slice).tolist()
    per_slice = np.flatnonzero(data.purchase_per_slice).tolist()
    program.buy = pyo.Var(
        all_period, domain=pyo.NonNegativeIntegers, bounds=lambda _, b: (0, limit[b])
    )
    program.rent = pyo.Var(
        [(b, t) for b in per_slice for t in T],
        domain=pyo.NonNegativeIntegers,
        bounds=lambda _, b, t: (0, limit[b]),
    )
    program.by_hour = pyo.Var(np.flatnonzero(data.route_by_hour).tolist(), bounds=(0.0, 1.0))
    held = _pairs(held_by_hour(data))
    program.hold = pyo.Var(held, bounds=lambda _, b, t: (0, limit[b]))
    counted = data.purchase_counted
    program.at_once = pyo.Var(
        [(b, t) for b, t in held if counted[b]],
        domain=pyo.NonNegativeIntegers,
        bounds=lambda _, b, t: (0, limit[b]),
    )
    program.host = pyo.Var(_pairs(has_host(data)), domain=pyo.Binary)
    program.train = pyo.Var(range(len(data.training_variant)), domain=pyo.Binary)
    program.serves = pyo.Var(
        _pairs(reachable_regions(data) & (data.min_regions > 1)[:, None]), domain=pyo.Binary
    )
    opened = reachable_regions(data).any(axis=0) & opens(data)
    program.open = pyo.Var(np.flatnonzero(opened).tolist(), domain=pyo.Binary)
    kept = range(len(data.llms)) if ruled(data.max_llms) else range(0)
    program.keep = pyo.Var(kept, domain=pyo.Binary)
    machines = range(len(data.machines)) if counts_added(data) else range(0)
    program.added = pyo.Var(machines, domain=pyo.NonNegativeReals)


def complete_variants(data: FleetData) -> BoolArray:
    """Variants with a group for every item and every leg of their workload, bool (V,)."""
    items = np.bincount(data.item_workload, minlength=len(data.workloads))
    legs = np.ones(len(data.variants), dtype=np.int64)
    np.maximum.at(legs, data.group_variant, data.group_leg + 1)
    groups = np.bincount(data.group_variant, minlength=len(data.variants))
    return np.asarray(groups == items[data.variant_workload] * legs)


def workload_legs(data: FleetData) -> IntArray:
    """Most legs of any variant of each workload (2 where one has a check), int (W,)."""
    legs = np.ones(len(data.workloads), dtype=np.int64)
    np.maximum.at(legs, data.variant_workload[data.group_variant], data.group_leg + 1)
    return legs


def used_pool_slices(data: FleetData) -> list[tuple[int, int]]:
    """(pool, slice) pairs that some route loads, in order."""
    loaded = np.zeros((len(data.pools), len(data.slices)), dtype=bool)
    own = data.route_pool >= 0
    loaded[data.route_pool[own], data.route_slice[own]] = True
    return _pairs(loaded)


def held_by_hour(data: FleetData) -> BoolArray:
    """Rentals of machines that may serve batch by the hour in the slice, bool (B, T)."""
    able = np.flatnonzero(data.route_by_hour)
    served = np.zeros((len(data.machines), len(data.slices)), dtype=bool)
    served[data.pool_machine[data.route_pool[able]], data.route_slice[able]] = True
    return np.asarray(served[data.purchase_machine] & data.purchase_per_slice[:, None])


def has_host(data: FleetData) -> BoolArray:
    """Where a copy costs money or carbon, so that (7) can matter, bool (V, R)."""
    return np.asarray((data.host_cost_usd > 0) | (data.host_carbon_kgco2e > 0))


def reachable_regions(data: FleetData) -> BoolArray:
    """Regions in which some route of the workload ends, bool (W, R)."""
    reach = np.zeros((len(data.workloads), len(data.regions)), dtype=bool)
    somewhere = data.route_region >= 0
    reach[Routes.of(data).workload[somewhere], data.route_region[somewhere]] = True
    return reach


def opens(data: FleetData) -> bool:
    """Whether regions are counted or cost something, so that (13) can matter."""
    return bool((data.region_fixed_cost_usd > 0).any() or ruled(data.max_regions))


def counts_added(data: FleetData) -> bool:
    """Whether accelerators above the incumbent's are counted or cost something (15)."""
    changes = (data.machine_change_usd > 0) | (data.machine_change_kgco2e > 0)
    return bool(changes.any() or ruled(data.max_added_accelerators))


def _pairs(mask: BoolArray) -> list[tuple[int, int]]:
    return [(row, column) for row, column in np.argwhere(mask).tolist()]
