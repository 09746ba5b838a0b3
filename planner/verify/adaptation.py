"""What copies of indexes and adapters, refreshes and training runs cost, from Facts alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.instance.facts import (
    LlmFacts,
    MachineFacts,
    RegionFacts,
    VariantFacts,
)
from planner.verify import formulas
from planner.verify.formulas import (
    HOURS_PER_MONTH,
    HOURS_PER_YEAR,
    accelerators_needed,
    adapter_gb,
    adapter_parameters,
    training_gb,
    training_hours,
    water_l,
)
from planner.verify.formulas import index_gb as gb_of_index
from planner.verify.terms import DEFAULT_REFRESH_DAYS, Terms

Array = NDArray[np.float64]

VECTOR_DIMENSIONS = 1024
LORA_RANK = 16
LORA_MATRICES = 4
"""Adapted square matrices per layer."""
RAM_W_PER_GB = 0.3
TRAINING_TDP_SHARE = 0.8


@dataclass(frozen=True)
class HostFigures:
    """A copy of an index or adapter in a region, over the period."""

    cost_usd: float
    carbon_kgco2e: float

    @property
    def needed(self) -> bool:
        """A copy that costs nothing need not be stated."""
        return self.cost_usd > 0 or self.carbon_kgco2e > 0


@dataclass(frozen=True)
class TrainingFigures:
    """All refreshes of a fine-tune on a machine in a slice, over the period."""

    possible: bool
    cost_usd: float
    carbon_kgco2e: float
    water_l: float


def lora_trainable(llm: LlmFacts) -> float:
    """Trainable parameters of an adapter."""
    return adapter_parameters(LORA_RANK, llm.hidden_size, LORA_MATRICES, llm.layers)


def refreshes(terms: Terms, variant: VariantFacts) -> float:
    """Fine-tune refreshes in the period (not rounded); 0 without a fine-tune."""
    if variant.method is None:
        return 0.0
    return terms.period_days / (variant.refresh_days or DEFAULT_REFRESH_DAYS)


def passes(terms: Terms, variant: VariantFacts) -> float:
    """Full passes over the corpus in the period: 1 - exp(-uT) of it at each of period/T refreshes.

    The refreshes are a long-run mean (not rounded): an interval above the period counts its part.
    """
    days = terms.index_days(variant)
    changed = -math.expm1(-terms.workloads[variant.workload].facts_change_per_day * days)
    return changed * terms.period_days / days


def host_figures(terms: Terms, variant: VariantFacts, region: str) -> HostFigures:
    """Cost and carbon of a copy of the variant's index and adapter in a region."""
    prices, hours = terms.facts.prices, terms.period_hours
    cost = carbon = 0.0
    if terms.has_rag(variant):
        gb = index_gb(terms, variant)
        in_memory = gb * terms.workloads[variant.workload].index_replicas
        cost += in_memory * prices.vector_ram_usd_per_gb_h * hours
        cost += gb * prices.copy_usd_per_gb * passes(terms, variant)
        place = terms.regions.get(region)
        if place is not None:
            mean = mean_kg_per_kwh(terms, place)
            carbon += RAM_W_PER_GB * in_memory * hours / 1e3 * place.pue * mean
    if variant.method is not None:
        gb = tuned_gb(terms, variant)
        cost += gb * prices.copy_usd_per_gb * refreshes(terms, variant)
        cost += gb * prices.storage_usd_per_gb_month * hours / HOURS_PER_MONTH
    return HostFigures(cost, carbon)


def index_gb(terms: Terms, variant: VariantFacts) -> float:
    """Size of a copy of the index; 0 without retrieval."""
    if not terms.has_rag(variant):
        return 0.0
    workload = terms.workloads[variant.workload]
    return gb_of_index(workload.corpus_tokens, workload.rag_chunk_tokens, VECTOR_DIMENSIONS)


def tuned_gb(terms: Terms, variant: VariantFacts) -> float:
    """Size of the adapter, or of the weights after a full fine-tune; 0 without one."""
    if variant.method is None:
        return 0.0
    llm = terms.llms[variant.llm]
    size_gb = adapter_gb(lora_trainable(llm))
    return size_gb if variant.method == "lora" else 2.0 * llm.params_total_b


def mean_kg_per_kwh(terms: Terms, place: RegionFacts) -> float:
    """Mean carbon of a region's grid over the period."""
    hours = terms.slice_hours.values()
    emitted = sum(h * ci for h, ci in zip(hours, place.carbon_kgco2e_per_kwh, strict=True))
    return emitted / sum(hours)


def staff_usd(terms: Terms, variant: VariantFacts) -> float:
    """Fixed work: data, evaluation and release of every fine-tune, upkeep of an index."""
    workload, price = terms.workloads[variant.workload], terms.facts.prices.staff_usd_per_h
    tuning = refreshes(terms, variant) * workload.staff_h_per_refresh * price
    upkeep = workload.index_staff_h_per_month * terms.period_hours / HOURS_PER_MONTH * price
    return tuning + (upkeep if terms.has_rag(variant) else 0.0)


def reembedding_usd(terms: Terms, variant: VariantFacts) -> float:
    """Embedding what changed in the corpus, at every refresh of the index."""
    if not terms.has_rag(variant):
        return 0.0
    corpus = terms.workloads[variant.workload].corpus_tokens
    return embedding_usd(terms, corpus * passes(terms, variant))


def embedding_usd(terms: Terms, tokens: float) -> float:
    """Embedding so many tokens."""
    return tokens * terms.facts.prices.embedding_usd_per_mtok / 1e6


def host_w(terms: Terms, machine: MachineFacts) -> float:
    """Power of the host, W per accelerator."""
    given = terms.settings.carbon.host_w_per_accelerator
    drawn = formulas.host_w(machine.vcpus, machine.ram_gb)
    return drawn / machine.accelerators if given is None else given


def host_kg(terms: Terms, machine: MachineFacts) -> float:
    """Making of the host, kgCO2e per accelerator."""
    given = terms.settings.carbon.host_embodied_kgco2e_per_accelerator
    made = formulas.host_kg(machine.vcpus, machine.ram_gb)
    return made / machine.accelerators if given is None else given


def embodied_kg_per_h(terms: Terms, machine: MachineFacts) -> float:
    """Embodied carbon of an hour of one accelerator of a machine, host included, kgCO2e."""
    made = terms.accelerators[machine.accelerator].embodied_kgco2e + host_kg(terms, machine)
    return made / (terms.settings.carbon.accelerator_life_years * HOURS_PER_YEAR)


def training_figures(
    terms: Terms, variant: VariantFacts, machine: MachineFacts, in_slice: str
) -> TrainingFigures:
    """Cost, carbon and water of all refreshes of a fine-tune on whole instances of a machine."""
    possible, cost, carbon, water = training_runs(terms, variant, [machine])
    at = terms.slice_place[in_slice]
    return TrainingFigures(bool(possible[0]), float(cost[0]), float(carbon[0, at]), float(water[0]))


def training_runs(
    terms: Terms, variant: VariantFacts, machines: Sequence[MachineFacts]
) -> tuple[NDArray[np.bool_], Array, Array, Array]:
    """All refreshes of a fine-tune on each of M machines.

    (possible (M,), USD (M,), kgCO2e by slice (M, T), litres (M,)).
    """
    assert variant.method is not None, variant.variant
    workload, llm = terms.workloads[variant.workload], terms.llms[variant.llm]
    cards = [terms.accelerators[m.accelerator] for m in machines]
    places = [terms.regions[m.region] for m in machines]

    def column(values: Iterable[float | None]) -> Array:
        return np.array(list(values), dtype=np.float64)

    method = "full" if variant.method == "full" else "lora"
    state_gb = training_gb(method, llm.params_total_b, lora_trainable(llm))
    tokens = workload.training_tokens * workload.training_epochs * refreshes(terms, variant)
    size = column(m.accelerators for m in machines)
    needed = accelerators_needed(state_gb, column(c.memory_gb for c in cards))
    limit = column(np.inf if m.max_instances is None else m.max_instances for m in machines)
    peaks = column(c.bf16_tflops for c in cards)
    hours = training_hours(method, llm.params_active_b, tokens, peaks)
    host = column(host_w(terms, m) for m in machines)
    kwh = hours * (TRAINING_TDP_SHARE * column(c.tdp_w for c in cards) + host) / 1e3
    pue = column(p.pue for p in places)
    intensity = np.array([p.carbon_kgco2e_per_kwh for p in places])
    embodied = hours * column(embodied_kg_per_h(terms, m) for m in machines)
    water = water_l(
        kwh,
        pue,
        column(p.site_wue_l_per_kwh for p in places),
        column(p.electricity_water_l_per_kwh for p in places),
    )
    price = column(m.ondemand_usd_per_h or 0.0 for m in machines)
    return (
        np.ceil(needed / size) <= limit,
        hours / size * price,
        (kwh * pue)[:, None] * intensity + embodied[:, None],
        water,
    )
