"""FleetData: everything the fleet program needs, as frozen arrays with units and shapes.

Index letters: W workloads, V variants (each belongs to one workload), D demand items,
Q groups (item, variant, leg), J routes, P pools, H machines, B purchases, O training options,
T slices, R regions, K quotas, G origins. "float (J,)" means a float64 array of length J.

A *route* serves one group from one pool in one slice; its coefficients are stated for serving
the whole item (fraction 1). A *pool* is a set of equal replicas on one machine type in one
region at one operating point. A *machine* is an offer in a region; a *purchase* is a way to
pay for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

CAPACITY_ROWS = ("work", "slots", "kv", "prefill")

ROUTE_COST_LINES = ("api tokens", "retrieval", "network", "shortfall")
ROUTE_CARBON_LINES = ("serving energy", "api")
VARIANT_COST_LINES = (
    *("adaptation staff", "re-embedding"),
    *("migration work", "migration fine-tune", "migration index"),
)
HOST_COST_LINES = ("index hosting", "migration index")
HOST_CARBON_LINES = ("index", "migration")
TRAINING_COST_LINES = ("training compute", "migration fine-tune")
TRAINING_CARBON_LINES = ("training", "migration")
CHANGE_COST_LINE, CHANGE_CARBON_LINE = "migration machines", "migration"
"""Lines of an accelerator above the incumbent's peak."""
TRIFLE = 1e-4
"""Share of a replica below which the whole demand of a route hides within a solver's tolerances."""
MARKETS = ("on-demand", "spot", "commit-1y", "commit-3y")


@dataclass(frozen=True, eq=False)
class FleetData:
    """The whole program as arrays; equations in ``models/FORMULATION.md``."""

    # ---- names, for people and for the plan
    workloads: tuple[str, ...]
    """(W,)"""
    variants: tuple[str, ...]
    """(V,) readable unique id, e.g. ``chat/llama-3.1-8b/rag``"""
    regions: tuple[str, ...]
    """(R,) a hosted API without a region is its own pseudo-region ``api:provider``"""
    slices: tuple[str, ...]
    """(T,)"""
    origins: tuple[str, ...]
    """(G,)"""
    llms: tuple[str, ...]
    """(L,) llms that variants use, hosted ones included"""
    machines: tuple[str, ...]
    """(H,) ``region/offer``"""
    pools: tuple[str, ...]
    """(P,) ``region/offer/weights/g2/fp8/40ms/4096``"""

    # ---- slices
    slice_hours: FloatArray
    """float (T,) hours of the period that the slice stands for"""

    # ---- demand items
    item_workload: IntArray
    """int (D,)"""
    item_class: tuple[str, ...]
    """(D,) length class"""
    item_origin: IntArray
    """int (D,)"""
    item_slice: IntArray
    """int (D,) slice of the demand; -1: batch, any slice its routes name"""
    item_requests: FloatArray
    """float (D,) requests in the period"""
    item_weight: FloatArray
    """float (D,) share of the workload's requests; sums to 1 per workload"""
    item_qoe_weight: FloatArray
    """float (D,) share in the mean QoE; sums to 1 over all items"""
    item_slice_weight: FloatArray
    """float (D,) share of its workload's interactive requests in its slice; 0 for batch"""
    item_origin_weight: FloatArray
    """float (D,) share of its workload's requests from its origin; sums to 1 per (w, origin)"""

    # ---- variants
    variant_workload: IntArray
    """int (V,) sorted ascending"""
    variant_llms: BoolArray
    """bool (V, L) llms the variant keeps in service"""
    variant_cost_lines_usd: FloatArray
    """float (V, len(VARIANT_COST_LINES)) paid once per period if adopted"""
    variant_carbon_kgco2e: FloatArray
    """float (V,) re-embedding and the like, if adopted (line ``index``)"""
    variant_is_incumbent: BoolArray
    """bool (V,) the adoption of the incumbent plan"""
    host_cost_lines_usd: FloatArray
    """float (V, R, len(HOST_COST_LINES)) a copy of the index or adapter in the region"""
    host_carbon_lines_kgco2e: FloatArray
    """float (V, R, len(HOST_CARBON_LINES))"""

    # ---- training options: where and when the fine-tune of a variant runs
    training_variant: IntArray
    """int (O,) sorted ascending"""
    training_machine: IntArray
    """int (O,)"""
    training_slice: IntArray
    """int (O,)"""
    training_cost_lines_usd: FloatArray
    """float (O, len(TRAINING_COST_LINES))"""
    training_carbon_lines_kgco2e: FloatArray
    """float (O, len(TRAINING_CARBON_LINES))"""
    training_water_l: FloatArray
    """float (O,)"""

    # ---- groups and routes
    group_item: IntArray
    """int (Q,)"""
    group_variant: IntArray
    """int (Q,)"""
    group_leg: IntArray
    """int (Q,) 0: answer, 1: check or escalation by the larger llm"""
    route_group: IntArray
    """int (J,) sorted ascending; every group has at least one route"""
    route_pool: IntArray
    """int (J,) -1: hosted API or shortfall"""
    route_region: IntArray
    """int (J,) -1: shortfall"""
    route_slice: IntArray
    """int (J,) slice in which the load falls"""
    route_share: FloatArray
    """float (J, 4) replicas used in each of CAPACITY_ROWS; zero without a pool"""
    route_cost_lines_usd: FloatArray
    """float (J, len(ROUTE_COST_LINES))"""
    route_carbon_lines_kgco2e: FloatArray
    """float (J, len(ROUTE_CARBON_LINES))"""
    route_water_l: FloatArray
    """float (J,)"""
    route_loss: FloatArray
    """float (J,) item_qoe_weight x leg weight x (1 - QoE of the route)"""
    route_attainment: FloatArray
    """float (J,) leg weight x probability that TTFT and TPOT targets are met"""

    # ---- pools and machines
    pool_machine: IntArray
    """int (P,)"""
    pool_accelerators: IntArray
    """int (P,) accelerators per replica; divides the machine's instance"""
    machine_region: IntArray
    """int (H,)"""
    machine_accelerator: tuple[str, ...]
    """(H,)"""
    machine_size: IntArray
    """int (H,) accelerators per instance"""
    machine_fixed: IntArray
    """int (H, T) instances already owned or committed, held whether used or not"""
    machine_fixed_cost_usd: FloatArray
    """float (H,) their cost in the period (line ``owned and committed``)"""
    machine_idle_carbon_kgco2e: FloatArray
    """float (H, T) idle and host energy of one held instance (line ``idle energy``)"""
    machine_running_kgco2e: FloatArray
    """float (H, T) of one accelerator of a running replica, above idle, without its work (line
    ``serving energy``)"""
    machine_running_water_l: FloatArray
    """float (H, T) the same in litres"""
    machine_embodied_kgco2e: FloatArray
    """float (H, T) embodied share of one held instance (line ``embodied``)"""
    machine_water_l: FloatArray
    """float (H, T) of one held instance"""
    machine_incumbent: FloatArray
    """float (H,) peak accelerators in the incumbent plan"""
    machine_change_usd: FloatArray
    """float (H,) per accelerator above the incumbent's peak (line ``migration machines``)"""
    machine_change_kgco2e: FloatArray
    """float (H,) likewise (line ``migration``)"""

    # ---- purchases
    purchase_machine: IntArray
    """int (B,)"""
    purchase_market: IntArray
    """int (B,) index into MARKETS"""
    purchase_per_slice: BoolArray
    """bool (B,) rented by slice (on-demand, spot) or held all period (commitments)"""
    purchase_cost_usd: FloatArray
    """float (B, T) of one instance over each slice; a commitment pays every slice"""
    purchase_availability: FloatArray
    """float (B,) usable share of an instance (spot < 1)"""
    purchase_limit: FloatArray
    """float (B,) most instances, from stock, quotas and demand: always finite"""
    purchase_stock: FloatArray
    """float (B,) most instances that can be had at all, from stock and quotas; inf without"""

    # ---- quotas
    quota_purchase: BoolArray
    """bool (K, B) purchases that count"""
    quota_accelerators: FloatArray
    """float (K,) most accelerators held at once through those purchases"""
    quota_names: tuple[str, ...]
    """(K,)"""

    # ---- policies and caps (NaN: no such rule)
    attainment_min: FloatArray
    """float (W,)"""
    workload_loss_max: FloatArray
    """float (W,) 1 - QoE floor, on the workload's own mean loss"""
    region_share_max: FloatArray
    """float (W,) most of a slice's interactive demand that one region may serve (N-1)"""
    min_regions: IntArray
    """int (W,) regions that each serve at least `min_region_share` of the workload"""
    min_region_share: float
    spot_share_max: float
    """most of the accelerators held in a (region, accelerator, slice) that may be spot"""
    region_fixed_cost_usd: FloatArray
    """float (R,) paid once if the region serves anything (line ``region fixed``)"""
    max_llms: float
    max_regions: float
    max_changed_workloads: float
    max_added_accelerators: float
    cost_max_usd: float
    carbon_max_kgco2e: float
    water_max_l: float
    loss_max: float

    @property
    def route_cost_usd(self) -> FloatArray:
        """Sum of the route's cost lines, float (J,)."""
        return np.asarray(sum(self.route_cost_lines_usd.T))

    @property
    def route_carbon_kgco2e(self) -> FloatArray:
        """Sum of the route's carbon lines, float (J,)."""
        return np.asarray(sum(self.route_carbon_lines_kgco2e.T))

    @property
    def route_by_hour(self) -> FloatArray:
        """Of a batch route that a machine rented for it alone may serve: instances of it that the
        whole item keeps busy all slice, by the largest capacity row; else 0. Float (J,).
        """
        rented = np.zeros(len(self.machines), dtype=bool)
        rented[self.purchase_machine[self.purchase_per_slice]] = True
        able = (self.item_slice[self.group_item[self.route_group]] < 0) & (self.route_pool >= 0)
        pool = self.route_pool[able]
        machine = self.pool_machine[pool]
        replicas = self.route_share[able].max(axis=1, initial=0.0)
        instances = replicas * self.pool_accelerators[pool] / self.machine_size[machine]
        found = np.zeros(len(self.route_pool))
        found[able] = np.where(rented[machine], instances, 0.0)
        return found

    @property
    def purchase_counted(self) -> BoolArray:
        """Rentals whose number at once a stock, a quota or the incumbent's fleet limits, (B,)."""
        changes = (self.machine_change_usd > 0).any() or (self.machine_change_kgco2e > 0).any()
        counted = np.isfinite(self.purchase_stock) | self.quota_purchase.any(axis=0)
        every = changes or not np.isnan(self.max_added_accelerators)
        return np.asarray(self.purchase_per_slice & (counted | every))

    @property
    def host_cost_usd(self) -> FloatArray:
        """Sum of a copy's cost lines, float (V, R)."""
        return np.asarray(self.host_cost_lines_usd.sum(axis=2))

    @property
    def host_carbon_kgco2e(self) -> FloatArray:
        """Sum of a copy's carbon lines, float (V, R)."""
        return np.asarray(self.host_carbon_lines_kgco2e.sum(axis=2))

    @property
    def training_cost_usd(self) -> FloatArray:
        """Sum of the training option's cost lines, float (O,)."""
        return np.asarray(self.training_cost_lines_usd.sum(axis=1))

    @property
    def training_carbon_kgco2e(self) -> FloatArray:
        """Sum of the training option's carbon lines, float (O,)."""
        return np.asarray(self.training_carbon_lines_kgco2e.sum(axis=1))

    @property
    def replica_carbon_kgco2e(self) -> FloatArray:
        """A running replica above idle, without its work, float (P, T)."""
        cards = self.pool_accelerators[:, None]
        return np.asarray(cards * self.machine_running_kgco2e[self.pool_machine])

    @property
    def replica_water_l(self) -> FloatArray:
        """The same in litres, float (P, T)."""
        cards = self.pool_accelerators[:, None]
        return np.asarray(cards * self.machine_running_water_l[self.pool_machine])

    @property
    def machine_carbon_kgco2e(self) -> FloatArray:
        """Idle energy and embodied carbon of one held instance, float (H, T)."""
        return self.machine_idle_carbon_kgco2e + self.machine_embodied_kgco2e
