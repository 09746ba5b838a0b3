"""What adaptation adds beside routes: staff, re-embedding, copies per region, training options."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.coefficients.adaptation import (
    Method,
    adapter_bytes,
    index_bytes,
    index_vectors,
    lora_parameters,
    reembedded_tokens,
    smallest_accelerator_count,
    training_accelerator_hours,
    training_flops,
    training_memory_bytes,
)
from models.coefficients.answer import LORA_RANK
from models.coefficients.energy import water_litres
from models.fleet.data import FloatArray
from planner.candidates.legs import STALE_DAYS_FINE_TUNE, has_rag, index_refresh_days
from planner.candidates.machines import embodied_kg_per_h, host_w
from planner.instance.facts import Facts, LlmFacts, MachineFacts, RegionFacts, VariantFacts
from planner.instance.schema import Workload

VECTOR_DIMENSIONS = 1024
LORA_MATRICES = 4
RAM_W_PER_GB = 0.3
TRAINING_TDP_SHARE = 0.8
HOURS_PER_MONTH = 730.0


def period_days(facts: Facts) -> float:
    """Days of the planning period."""
    return facts.instance.settings.period.hours / 24.0


def refreshes(facts: Facts, variant: VariantFacts) -> float:
    """Fine-tune refreshes in the period, the long-run mean; 0 without a fine-tune."""
    if variant.method is None:
        return 0.0
    return period_days(facts) / (variant.refresh_days or STALE_DAYS_FINE_TUNE)


def reembedded_passes(facts: Facts, variant: VariantFacts, workload: Workload) -> float:
    """How many times the whole corpus the refreshes of its index embed and send in the period."""
    days = index_refresh_days(variant)
    return float(reembedded_tokens(1.0, workload.facts_change_per_day, days, period_days(facts)))


def _trainable(llm: LlmFacts) -> float:
    width = [float(llm.hidden_size)] * LORA_MATRICES
    return float(lora_parameters(LORA_RANK, width, width, llm.layers))


def staff_usd(facts: Facts, variant: VariantFacts, workload: Workload) -> float:
    """People's work in the period, USD: on all fine-tunes, and on the index."""
    hours = refreshes(facts, variant) * workload.staff_h_per_refresh
    if has_rag(variant):
        months = facts.instance.settings.period.hours / HOURS_PER_MONTH
        hours += months * workload.index_staff_h_per_month
    return hours * facts.prices.staff_usd_per_h


def reembedding_usd(facts: Facts, variant: VariantFacts, workload: Workload) -> float:
    """Embedding what changed in the corpus, at every refresh of the index in the period, USD."""
    if not has_rag(variant):
        return 0.0
    passes = reembedded_passes(facts, variant, workload)
    return embedding_usd(facts, workload.corpus_tokens * passes)


def embedding_usd(facts: Facts, tokens: float) -> float:
    """Embedding so many tokens, USD."""
    return tokens * facts.prices.embedding_usd_per_mtok / 1e6


def index_gb(variant: VariantFacts, workload: Workload) -> float:
    """Size of a copy of the index, GB; 0 without retrieval."""
    if not has_rag(variant):
        return 0.0
    vectors = index_vectors(workload.corpus_tokens, workload.rag_chunk_tokens)
    return float(index_bytes(vectors, VECTOR_DIMENSIONS)) / 1e9


def adapter_gb(facts: Facts, variant: VariantFacts) -> float:
    """Size of the adapter, or of the weights after a full fine-tune, GB; 0 without one."""
    if variant.method is None:
        return 0.0
    llm = next(x for x in facts.llms if x.llm == variant.llm)
    if variant.method == "full":
        return 2.0 * llm.params_total_b
    return float(adapter_bytes(_trainable(llm))) / 1e9


def mean_intensity(facts: Facts, region: RegionFacts) -> float:
    """Mean over the period of the carbon of a region's grid, kgCO2e/kWh."""
    weights = np.array([part.hours for part in facts.instance.slices])
    return float(np.average(region.carbon_kgco2e_per_kwh, weights=weights))


def hosting(
    facts: Facts, variant: VariantFacts, workload: Workload, regions: int
) -> tuple[FloatArray, FloatArray]:
    """Cost, USD, and carbon, kgCO2e, of a copy of index and adapter in each region, (R,) each.

    Index: RAM of its replicas for the period, sending what changed at each refresh (once: replicas
    lie beside each other), 0.3 W per GB at the region's mean intensity (none known for the
    pseudo-region of a hosted api). Adapter, or weights after a full fine-tune: sending at each
    refresh and storage.
    """
    cost, carbon = np.zeros(regions), np.zeros(regions)
    hours, price = facts.instance.settings.period.hours, facts.prices
    if has_rag(variant):
        gb = index_gb(variant, workload)
        held = gb * workload.index_replicas
        cost += held * price.vector_ram_usd_per_gb_h * hours
        cost += gb * price.copy_usd_per_gb * reembedded_passes(facts, variant, workload)
        for at, region in enumerate(facts.regions):
            mean = mean_intensity(facts, region)
            carbon[at] = RAM_W_PER_GB * held * hours / 1e3 * region.pue * mean
    if variant.method is not None:
        gb = adapter_gb(facts, variant)
        cost += gb * price.copy_usd_per_gb * refreshes(facts, variant)
        cost += gb * price.storage_usd_per_gb_month * hours / HOURS_PER_MONTH
    return cost, carbon


@dataclass(frozen=True)
class TrainingOption:
    """All refreshes of a fine-tune in the period on one machine, in one slice."""

    variant: int
    machine: str
    slice: int
    cost_usd: float
    carbon_kgco2e: float
    water_l: float


def training_options(
    facts: Facts, variant: VariantFacts, index: int, workload: Workload, at: Sequence[int]
) -> list[TrainingOption]:
    """Options on the machines at positions `at` that no other option beats in all three figures."""
    if variant.method is None:
        return []
    llm = next(x for x in facts.llms if x.llm == variant.llm)
    cards = {a.accelerator: a for a in facts.accelerators}
    regions = {r.region: r for r in facts.regions}
    method: Method = "full" if variant.method == "full" else "lora"
    flops = training_flops(
        llm.params_active_b * 1e9, workload.training_tokens, workload.training_epochs, method
    )
    memory = training_memory_bytes(llm.params_total_b * 1e9, method, _trainable(llm))
    runs = refreshes(facts, variant)
    machines = [m for m in (facts.machines[i] for i in at) if _may_train(m, workload, regions)]
    rows: list[FloatArray] = []
    names: list[str] = []
    for machine in machines:
        card, region = cards[machine.accelerator], regions[machine.region]
        count = float(smallest_accelerator_count(memory, card.memory_gb * 1e9))
        instances = math.ceil(count / machine.accelerators)
        if machine.max_instances is not None and instances > machine.max_instances:
            continue
        hours = runs * float(training_accelerator_hours(flops, card.bf16_tflops))
        kwh = hours * (TRAINING_TDP_SHARE * card.tdp_w + host_w(facts, machine)) / 1e3
        intensity = np.array(region.carbon_kgco2e_per_kwh)
        carbon = kwh * region.pue * intensity + hours * embodied_kg_per_h(facts, machine)
        water = float(
            water_litres(
                kwh, region.pue, region.site_wue_l_per_kwh, region.electricity_water_l_per_kwh
            )
        )
        cost = hours / machine.accelerators * (machine.ondemand_usd_per_h or 0.0)
        slices = len(intensity)
        rows.append(np.column_stack([np.full(slices, cost), carbon, np.full(slices, water)]))
        names.append(machine.machine)
    if not rows:
        return []
    slices = len(rows[0])
    figures = np.concatenate(rows)
    return [
        TrainingOption(index, names[i // slices], int(i % slices), *map(float, figures[i]))
        for i in undominated(figures)
    ]


def _may_train(
    machine: MachineFacts, workload: Workload, regions: Mapping[str, RegionFacts]
) -> bool:
    place = regions[machine.region]
    allowed = workload.residency is None or workload.residency in place.residency
    return allowed and machine.ondemand_usd_per_h is not None


def undominated(figures: FloatArray) -> list[int]:
    """Rows of (N, 3) that no other row equals or beats in every column (first of equals stays)."""
    order = np.lexsort(figures.T[::-1])
    kept: list[int] = []
    while len(order):
        best = int(order[0])
        kept.append(best)
        order = order[~(figures[order] >= figures[best]).all(axis=1)]
    return sorted(kept)
