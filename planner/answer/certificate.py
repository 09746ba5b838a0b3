"""The engine's dual prices by name: the proof of the bound as anyone can check it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from models.fleet.data import CAPACITY_ROWS
from planner.candidates.kinds import Candidates
from planner.instance.facts import Facts
from planner.solve.assignments import Cases
from planner.solve.bound import Prices
from planner.solve.index import FleetIndex
from planner.verify.prices import DualPrices
from planner.verify.proof import Proof

Key = tuple[str, ...]


def proof(facts: Facts, candidates: Candidates, index: FleetIndex, cases: Cases) -> Proof:
    """The engine's cases with rows and variants by name."""
    leaves = cases.leaves
    return Proof(
        prices=tuple(dual_prices(facts, candidates, index, cut.prices) for cut in cases.cuts),
        variants=index.data.variants,
        allowed=np.array([leaf.allowed for leaf in leaves], dtype=bool),
        shares=np.array([leaf.shares for leaf in leaves], dtype=float),
    )


def dual_prices(
    facts: Facts, candidates: Candidates, index: FleetIndex, prices: Prices
) -> DualPrices:
    """Row numbers replaced by names; rows of price 0 are left out."""
    return DualPrices(
        weights=prices.weights,
        cap=prices.cap,
        rows={
            family: _named(getattr(prices, family.replace("-", "_")), names)
            for family, names in price_axes(facts, index).items()
        },
        dominated_configs=dict(candidates.dominated_pools),
        dominated_machines=dict(candidates.dominated_machines),
    )


def price_axes(facts: Facts, index: FleetIndex) -> dict[str, tuple[Sequence[Key], ...]]:
    """Family of rows -> the names along each axis of its array in `Prices`."""
    data = index.data
    workloads = _single(data.workloads)
    pools, machines = _single(data.pools), _single(data.machines)
    regions, slices, origins = _single(data.regions), _single(data.slices), _single(data.origins)
    variants, llms, rows = _single(data.variants), _single(data.llms), _single(CAPACITY_ROWS)
    nothing: Sequence[Key] = [()]
    return {
        "replica": (pools, slices, rows),
        "machine": (machines, slices),
        "quota": (_quotas(facts, data.quota_names), slices),
        "host": (variants, regions, origins),
        "survive": (variants, regions, slices),
        "spot": (_spot_groups(index), slices),
        "attain": (variants,),
        "floor": (variants,),
        "spread": (workloads, regions),
        "spread-count": (workloads,),
        "open": (workloads, regions),
        "open-count": (nothing,),
        "keep": (workloads, llms),
        "keep-count": (nothing,),
        "added": (machines, slices),
        "added-total": (nothing,),
        "changed": (nothing,),
    }


def _named(values: ArrayLike, names: Sequence[Sequence[Key]]) -> dict[Key, float]:
    """Prices other than 0, keyed by the names along the axes joined in order."""
    array = np.asarray(values, dtype=float).reshape([len(axis) for axis in names])
    found: dict[Key, float] = {}
    for place in zip(*np.nonzero(array), strict=True):
        key = tuple(part for axis, at in zip(names, place, strict=True) for part in axis[at])
        found[key] = found.get(key, 0.0) + float(array[place])
    return found


def _single(names: Sequence[str]) -> list[Key]:
    return [(name,) for name in names]


def _quotas(facts: Facts, names: Sequence[str]) -> list[Key]:
    """(region, accelerator, market) of the program's quota rows, known by their names in words."""
    keys = {
        quota_name(row.region, row.accelerator, row.market): (
            row.region,
            row.accelerator,
            row.market or "",
        )
        for row in facts.instance.quotas
    }
    return [keys[name] for name in names]


def quota_name(region: str, accelerator: str, market: str | None) -> str:
    """As the candidates name a quota."""
    return f"{accelerator} in {region}" + (f", {market}" if market else "")


def _spot_groups(index: FleetIndex) -> list[Key]:
    """(region, accelerator) of each group of machines that shares a limit on spot."""
    data = index.data
    groups: dict[int, Key] = {}
    for machine, group in enumerate(index.spot_group):
        region = data.regions[data.machine_region[machine]]
        groups[int(group)] = (region, data.machine_accelerator[machine])
    return [groups[group] for group in range(len(groups))]
