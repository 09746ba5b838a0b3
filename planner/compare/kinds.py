"""Facts with one kind of data replaced by another instance's, for changes told by cause.

A figure is replaced where its row is in both instances. Rows that are in one only (a region, an
offer, a workload) come with the last kind, together with everything that is no data of the first
four kinds: rules, targets, machines owned, llms, latencies, the period.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from planner.instance.facts import Facts

R = TypeVar("R")

MACHINE_PRICES = (
    "ondemand_usd_per_h",
    "spot_usd_per_h",
    "commit_1y_usd_per_h",
    "commit_3y_usd_per_h",
)
TOKEN_PRICES = ("input_usd_per_mtok", "cached_input_usd_per_mtok", "output_usd_per_mtok")
REGION_CARBON = (
    "carbon_kgco2e_per_kwh", "pue", "site_wue_l_per_kwh", "electricity_water_l_per_kwh",
)  # fmt: skip
ACCELERATOR_CARBON = ("embodied_kgco2e", "idle_w", "tdp_w")
VARIANT_QUALITY = ("quality", "quality_sd", "check_quality")
WORKLOAD_QUALITY = ("facts_change_per_day", "affected_share")


def with_prices(facts: Facts, new: Facts) -> Facts:
    """Prices of machines, hosted llms, regions and services."""
    machines = _joined(facts.machines, new.machines, lambda m: m.machine, MACHINE_PRICES)
    held = {m.machine: m for m in new.machines}
    machines = tuple(
        dataclasses.replace(m, fixed_usd_per_h=held[m.machine].fixed_usd_per_h)
        if m.machine in held and held[m.machine].fixed_instances == m.fixed_instances
        else m
        for m in machines
    )
    return dataclasses.replace(
        facts,
        machines=machines,
        apis=_joined(facts.apis, new.apis, _api, TOKEN_PRICES),
        regions=_joined(facts.regions, new.regions, lambda r: r.region, ("fixed_usd",)),
        prices=new.prices,
    )


def with_demand(facts: Facts, new: Facts) -> Facts:
    """Rates of requests, and prompt and answer lengths."""
    old, instance = facts.instance, new.instance
    workloads = {w.workload for w in old.workloads} & {w.workload for w in instance.workloads}
    origins = {g.origin for g in old.origins}
    slices = {None, *(t.slice for t in old.slices)}

    def known(row: Any) -> bool:
        return row.workload in workloads and row.origin in origins and row.slice in slices

    demand = [row for row in old.demand if row.workload not in workloads]
    lengths = [row for row in old.length_classes if row.workload not in workloads]
    demand += [row for row in instance.demand if known(row)]
    lengths += [row for row in instance.length_classes if row.workload in workloads]
    changed = old.model_copy(update={"demand": tuple(demand), "length_classes": tuple(lengths)})
    return dataclasses.replace(facts, instance=changed)


def with_carbon(facts: Facts, new: Facts) -> Facts:
    """Grid carbon, PUE and water of regions, power and making of accelerators, hosted llms."""
    settings = facts.instance.settings.model_copy(update={"carbon": new.instance.settings.carbon})
    return dataclasses.replace(
        facts,
        instance=facts.instance.model_copy(update={"settings": settings}),
        regions=_with_slices(facts, new),
        accelerators=_joined(
            facts.accelerators, new.accelerators, lambda a: a.accelerator, ACCELERATOR_CARBON
        ),
        apis=_joined(facts.apis, new.apis, _api, ("gco2e_per_ktok", "water_l_per_ktok")),
    )


def _with_slices(facts: Facts, new: Facts) -> Any:
    """Regions with the other's grid, where both are told by the same slices."""
    told = [[part.slice for part in f.instance.slices] for f in (facts, new)]
    columns = REGION_CARBON if told[0] == told[1] else REGION_CARBON[1:]
    return _joined(facts.regions, new.regions, lambda r: r.region, columns)


def with_quality(facts: Facts, new: Facts) -> Facts:
    """Quality of the variants' answers, and how fast the facts they depend on change."""
    other = {w.workload: w for w in new.instance.workloads}
    workloads = tuple(
        w.model_copy(update={name: getattr(other[w.workload], name) for name in WORKLOAD_QUALITY})
        if w.workload in other
        else w
        for w in facts.instance.workloads
    )
    return dataclasses.replace(
        facts,
        instance=facts.instance.model_copy(update={"workloads": workloads}),
        variants=_joined(facts.variants, new.variants, lambda v: v.variant, VARIANT_QUALITY),
    )


def with_everything(facts: Facts, new: Facts) -> Facts:
    """All that is left."""
    return new


DATA_KINDS: dict[str, Callable[[Facts, Facts], Facts]] = {
    "prices": with_prices,
    "demand": with_demand,
    "carbon data": with_carbon,
    "quality data": with_quality,
    "other data": with_everything,
}
"""In the order in which they are replaced."""


def _api(row: Any) -> tuple[str, str, str]:
    return row.llm, row.provider, row.region


def _joined(
    rows: Iterable[R], others: Iterable[R], key: Callable[[R], object], columns: tuple[str, ...]
) -> tuple[R, ...]:
    """The rows with the columns of the other row of the same key, where there is one."""
    found = {key(row): row for row in others}

    def merged(row: Any) -> Any:
        other = found.get(key(row))
        if other is None:
            return row
        return dataclasses.replace(row, **{name: getattr(other, name) for name in columns})

    return tuple(merged(row) for row in rows)
