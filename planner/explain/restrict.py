"""Candidates with fewer routes and purchases: what a forced plan may still use.

Pruning stays valid under every restriction here. A dominated pool has a better one of the same
weights and accelerator in the same region, and a dominated machine a better offer of the same
accelerator in the same region and markets (`planner.candidates` has the proofs): restrictions by
variant, region, accelerator and market keep or drop both alike. A restriction by offer does not,
so that candidates for it are made without pruning.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.fleet.data import BoolArray, FleetData
from planner.candidates.kinds import Candidates


@dataclass(frozen=True, eq=False)
class Keep:
    """What stays: bool (J,) routes and bool (B,) purchases, in the order of FleetData."""

    routes: BoolArray
    purchases: BoolArray

    @classmethod
    def everything(cls, data: FleetData) -> Keep:
        """No restriction."""
        return cls(
            np.ones(len(data.route_group), dtype=np.bool_),
            np.ones(len(data.purchase_machine), dtype=np.bool_),
        )

    def __and__(self, other: Keep) -> Keep:
        """What both keep."""
        return Keep(self.routes & other.routes, self.purchases & other.purchases)


def restricted(candidates: Candidates, keep: Keep) -> Candidates:
    """The candidates that are kept, and the variants they still serve completely.

    Routes to machines that can no longer be held go too.
    """
    data = candidates.data
    held = np.asarray((data.machine_fixed > 0).any(axis=1))
    held[data.purchase_machine[keep.purchases]] = True
    routes = keep.routes & np.append(held[data.pool_machine], True)[data.route_pool]
    left = np.bincount(data.route_group[routes], minlength=len(data.group_item))
    variant = np.ones(len(data.variants), dtype=np.bool_)
    np.logical_and.at(variant, data.group_variant, left > 0)
    group = variant[data.group_variant]
    routes &= group[data.route_group]
    kept = {
        "variant_": variant,
        "host_": variant,
        "training_": variant[data.training_variant],
        "group_": group,
        "route_": routes,
        "purchase_": keep.purchases,
    }
    values: dict[str, Any] = {
        name: getattr(data, name)[rows]
        for prefix, rows in kept.items()
        for name in vars(data)
        if name.startswith(prefix)
    }
    values["variants"] = tuple(np.array(data.variants)[variant].tolist())
    values["quota_purchase"] = data.quota_purchase[:, keep.purchases]
    values["route_group"] = (np.cumsum(group) - 1)[values["route_group"]]
    for name in ("group_variant", "training_variant"):
        values[name] = (np.cumsum(variant) - 1)[values[name]]
    return replace(
        candidates,
        data=replace(data, **values),
        variants=tuple(v for v, there in zip(candidates.variants, variant, strict=True) if there),
        route_ttft_p95_s=candidates.route_ttft_p95_s[routes],
        route_tpot_s=candidates.route_tpot_s[routes],
    )


def unserved(data: FleetData) -> list[str]:
    """Workloads with demand that no variant can answer any more."""
    asked = np.unique(data.item_workload)
    return [data.workloads[w] for w in np.setdiff1d(asked, data.variant_workload)]
