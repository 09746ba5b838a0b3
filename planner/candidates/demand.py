"""Demand items: one per workload, length class, origin and slice with requests."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from models.fleet.data import FloatArray, IntArray
from planner.instance.resolve import split_list
from planner.instance.schema import Instance, LengthClass

BATCH = -1


@dataclass(frozen=True, eq=False)
class Items:
    """Items sorted by workload, class, origin, slice (batch last); fields (D,) as in FleetData."""

    workload: IntArray
    length: IntArray
    """index into `lengths`"""
    origin: IntArray
    slice: IntArray
    requests: FloatArray
    weight: FloatArray
    qoe_weight: FloatArray
    slice_weight: FloatArray
    origin_weight: FloatArray
    allowed: tuple[tuple[int, ...], ...]
    """slices in which the item may be served"""
    lengths: tuple[LengthClass, ...]


def demand_items(instance: Instance) -> Items:
    """Items of an instance; rows with the same key add up, items without requests are left out."""
    slices = {part.slice: t for t, part in enumerate(instance.slices)}
    origins = {row.origin: g for g, row in enumerate(instance.origins)}
    workloads = {row.workload: w for w, row in enumerate(instance.workloads)}
    classes: dict[str, list[int]] = defaultdict(list)
    for at, shape in enumerate(instance.length_classes):
        classes[shape.workload].append(at)
    every = tuple(range(len(slices)))
    requests: dict[tuple[int, int, int, int], float] = defaultdict(float)
    allowed: dict[tuple[int, int, int, int], tuple[int, ...]] = {}
    for row in instance.demand:
        batch = row.slice is None
        hours = instance.settings.period.hours
        if row.slice is not None:
            hours = instance.slices[slices[row.slice]].hours
        names = split_list(row.allowed_slices)
        for at in classes[row.workload]:
            total = row.requests_per_s * instance.length_classes[at].share * 3600.0 * hours
            if total <= 0.0:
                continue
            when = len(slices) if batch or row.slice is None else slices[row.slice]
            key = (workloads[row.workload], at, origins[row.origin], when)
            requests[key] += total
            chosen = tuple(sorted(slices[name] for name in names)) if names else every
            allowed[key] = chosen if batch else (when,)
    keys = sorted(requests)
    table = np.array(keys, dtype=np.int64).reshape(-1, 4)
    amount = np.array([requests[key] for key in keys])
    workload, length, origin, place = table.T
    is_batch = place == len(slices)
    importance = np.array([row.qoe_weight for row in instance.workloads])[workload] * amount
    per_slice = workload * (len(slices) + 1) + place
    per_origin = workload * len(origins) + origin
    return Items(
        workload=workload,
        length=length,
        origin=origin,
        slice=np.where(is_batch, BATCH, place),
        requests=amount,
        weight=amount / _total(workload, amount),
        qoe_weight=importance / importance.sum(),
        slice_weight=np.where(is_batch, 0.0, amount / _total(per_slice, amount)),
        origin_weight=amount / _total(per_origin, amount),
        allowed=tuple(allowed[key] for key in keys),
        lengths=instance.length_classes,
    )


def _total(key: IntArray, amount: FloatArray) -> FloatArray:
    """Sum of the amounts that share a key, for each element."""
    return np.asarray(np.bincount(key, weights=amount)[key])
