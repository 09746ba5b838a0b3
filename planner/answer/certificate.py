"""The proof of the bound as a file: dual prices by name, for anyone to check.

A zip of numpy arrays: every field of `planner.solve.bound.Prices`, and the names along its axes.
Prices refer to the rows of ``models/FORMULATION.md``; names, not positions, identify a row.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

from planner.solve.bound import Prices
from planner.solve.index import FleetIndex


def write_certificate(path: Path, index: FleetIndex, prices: Prices, bound: float) -> None:
    """Write prices, bound and names to an ``.npz`` file."""
    data = index.data
    groups = int(index.spot_group.max(initial=-1)) + 1
    spot = [""] * groups
    for machine, group in enumerate(index.spot_group):
        region = data.regions[data.machine_region[machine]]
        spot[group] = f"{region}/{data.machine_accelerator[machine]}"
    names = {
        "workloads": data.workloads,
        "variants": data.variants,
        "regions": data.regions,
        "slices": data.slices,
        "origins": data.origins,
        "llms": data.llms,
        "machines": data.machines,
        "pools": data.pools,
        "quotas": data.quota_names,
        "spot_groups": spot,
    }
    np.savez_compressed(
        path,
        bound=np.array(bound),
        **{field.name: np.asarray(getattr(prices, field.name)) for field in fields(prices)},
        **{f"names_{name}": np.array(values, dtype=np.str_) for name, values in names.items()},
    )
