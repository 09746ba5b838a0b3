"""What demand alone proves: the most a machine can need."""

from __future__ import annotations

import numpy as np

from models.fleet.data import FloatArray, IntArray


def accelerators_needed_at_most(
    *,
    shape: tuple[int, int, int],
    group: IntArray,
    machine: IntArray,
    slices: IntArray,
    pool: IntArray,
    share: FloatArray,
    pool_accelerators: IntArray,
    group_variant: IntArray,
    variant_workload: IntArray,
) -> FloatArray:
    """Accelerators of each machine in each slice that some optimal plan never exceeds, (H, T).

    `shape` is (V, H, T); the other arguments are routes with a pool, sorted by group, slice and
    machine. Proof: of each workload one variant is served; a group loads machine h in slice t by
    at most its heaviest route there, max over routes of G max_i share_i; the rows of a pool sum to
    no more than their sum; rounding up adds less than one replica per pool, and only the pools of
    the served variants are open. Replicas beyond the load serve nothing.
    """
    variants, machines, times = shape
    if not len(group):
        return np.zeros((machines, times))
    load = share.max(axis=1) * pool_accelerators[pool]
    change = (np.diff(group) != 0) | (np.diff(slices) != 0) | (np.diff(machine) != 0)
    start = np.r_[0, np.flatnonzero(change) + 1]
    heaviest = np.maximum.reduceat(load, start)
    variant = group_variant[group]
    key = (variant * machines + machine) * times + slices
    used = np.bincount(key[start], weights=heaviest, minlength=variants * machines * times)
    opened = np.unique(variant * (int(pool.max()) + 1) + pool)
    open_variant, open_pool = np.divmod(opened, int(pool.max()) + 1)
    machine_of_pool = np.zeros(int(pool.max()) + 1, dtype=np.int64)
    machine_of_pool[pool] = machine
    whole = np.bincount(
        open_variant * machines + machine_of_pool[open_pool],
        weights=pool_accelerators[open_pool],
        minlength=variants * machines,
    )
    first = np.flatnonzero(np.r_[True, np.diff(variant_workload) > 0])
    fractional = np.maximum.reduceat(used.reshape(variants, machines, times), first, axis=0)
    rounding = np.maximum.reduceat(whole.reshape(variants, machines), first, axis=0).sum(axis=0)
    distinct = np.unique(pool)
    every = np.bincount(
        machine_of_pool[distinct], weights=pool_accelerators[distinct], minlength=machines
    )
    return np.asarray(fractional.sum(axis=0) + np.minimum(rounding, every)[:, None])
