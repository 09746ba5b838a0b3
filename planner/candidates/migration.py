"""What a change from the incumbent costs, as constants of variants, copies, runs and machines.

Without an incumbent the first index, the first fine-tune and their copies are still to be made, and
nothing else is a change. Costs are those of the whole change times the share that falls
into the period (``migration.horizon_h``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.fleet.data import FloatArray
from planner.candidates.adaptation import (
    adapter_gb,
    embedding_usd,
    index_gb,
    mean_intensity,
    refreshes,
)
from planner.candidates.legs import has_rag
from planner.candidates.machines import embodied_kg_per_h, host_w
from planner.incumbent import Incumbent, peak_accelerators
from planner.instance.facts import Facts, MachineFacts, VariantFacts
from planner.instance.schema import Workload
from planner.plan import Adoption

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Changes:
    """The incumbent beside the instance."""

    facts: Facts
    incumbent: Incumbent | None

    # ------------------------------------------------------------------ what runs today

    @cached_property
    def adopted(self) -> dict[str, Adoption]:
        """Workload -> how it is answered today."""
        return {} if self.incumbent is None else {a.workload: a for a in self.incumbent.adoption}

    @cached_property
    def peak(self) -> dict[str, float]:
        """Machine -> most accelerators held of it in any slice, owned ones included."""
        return {} if self.incumbent is None else peak_accelerators(self.incumbent.fleet)

    @property
    def keeps(self) -> bool:
        """Whether what the incumbent decided must stay."""
        return self.incumbent is not None and self.facts.instance.settings.policy.keep_incumbent

    def is_adopted(self, variant: VariantFacts) -> bool:
        """Whether the variant answers its workload today."""
        row = self.adopted.get(variant.workload)
        return row is not None and row.variant == variant.variant

    def copies(self, variant: str) -> frozenset[str]:
        """Regions with a copy of the index or adapter of a variant."""
        pairs = () if self.incumbent is None else self.incumbent.hosting
        return frozenset(region for name, region in pairs if name == variant)

    def may_serve(self, variant: VariantFacts, regions: Sequence[str]) -> Collection[str]:
        """Regions in which the variant may answer: where its copies are, if those must stay."""
        copies = self.copies(variant.variant) if self.keeps and self.is_adopted(variant) else None
        return copies or regions

    def stays(self, variant: VariantFacts) -> bool:
        """Whether the variant may be adopted where what the incumbent decided must stay."""
        return variant.workload not in self.adopted or self.is_adopted(variant)

    # ------------------------------------------------------------------ what a change costs

    @cached_property
    def share(self) -> float:
        """Of the costs of a change that falls into the period; 0 without an incumbent."""
        return 0.0 if self.incumbent is None else self.setup_share

    @property
    def setup_share(self) -> float:
        """Of what is made once that falls into the period; a new fleet has all of it to make."""
        settings = self.facts.instance.settings
        return min(1.0, settings.period.hours / settings.migration.horizon_h)

    def work_usd(self, variant: VariantFacts) -> float:
        """Evaluation and release of another variant."""
        if self.is_adopted(variant):
            return 0.0
        settings = self.facts.instance.settings
        hours = settings.migration.engineering_h_per_workload
        people = hours * self.facts.prices.staff_usd_per_h
        return self.share * (people + settings.policy.change_usd_per_workload)

    def is_new_tune(self, variant: VariantFacts) -> bool:
        """Whether the fine-tune has to be made first: another llm or method than today's."""
        row = self.adopted.get(variant.workload)
        return variant.method is not None and (
            row is None or (row.llm, row.method) != (variant.llm, variant.method)
        )

    def first_tune_usd(self, variant: VariantFacts, workload: Workload) -> float:
        """People's work on the first fine-tune; its run is `first_run`."""
        if not self.is_new_tune(variant):
            return 0.0
        return self.setup_share * workload.staff_h_per_refresh * self.facts.prices.staff_usd_per_h

    def first_run(self, variant: VariantFacts) -> float:
        """The first run of the fine-tune over all its refreshes in the period."""
        return (
            self.setup_share / refreshes(self.facts, variant) if self.is_new_tune(variant) else 0.0
        )

    def first_index_usd(self, variant: VariantFacts, workload: Workload) -> float:
        """Embedding the whole corpus, where nothing is indexed today."""
        row = self.adopted.get(variant.workload)
        if not has_rag(variant) or (row is not None and "rag" in row.adaptation):
            return 0.0
        return self.setup_share * embedding_usd(self.facts, workload.corpus_tokens)

    def copy(
        self, variant: VariantFacts, workload: Workload, regions: Sequence[str]
    ) -> tuple[FloatArray, FloatArray]:
        """Sending index and adapter to a region that has none: USD and kgCO2e, (R,) each."""
        row = self.adopted.get(variant.workload)
        there = frozenset[str]() if row is None else self.copies(row.variant)
        has_index = row is not None and "rag" in row.adaptation
        gb = np.zeros(len(regions))
        for amount, known in (
            (index_gb(variant, workload), has_index),
            (adapter_gb(self.facts, variant), not self.is_new_tune(variant)),
        ):
            gb += [0.0 if known and region in there else amount for region in regions]
        kwh = self.facts.instance.settings.migration.network_kwh_per_gb
        per_gb = np.zeros(len(regions))
        for at, region in enumerate(self.facts.regions):
            per_gb[at] = kwh * region.pue * mean_intensity(self.facts, region)
        usd = self.facts.prices.copy_usd_per_gb
        return self.setup_share * gb * usd, self.setup_share * gb * per_gb

    def per_accelerator(self, machine: MachineFacts) -> tuple[float, float]:
        """An accelerator above the incumbent's peak: USD and kgCO2e.

        Hours held without use: until the machine is there, while it loads, and beside the machine
        that it replaces.
        """
        settings, facts = self.facts.instance.settings, self.facts
        card = next(a for a in facts.accelerators if a.accelerator == machine.accelerator)
        place = next(r for r in facts.regions if r.region == machine.region)
        terms, size = settings.migration, machine.accelerators
        hours = terms.boot_h + load_h(facts, machine) + terms.overlap_h
        kw = (card.idle_w + host_w(facts, machine)) / 1e3
        kg_per_h = kw * place.pue * mean_intensity(facts, place)
        kg_per_h += embodied_kg_per_h(facts, machine)
        usd = hours * usd_per_h_outside(machine) / size + settings.policy.change_usd_per_accelerator
        return self.share * usd, self.share * hours * kg_per_h


def load_h(facts: Facts, machine: MachineFacts) -> float:
    """Hours in which an instance fills the memory of its accelerators with weights."""
    card = next(a for a in facts.accelerators if a.accelerator == machine.accelerator)
    rate = facts.instance.settings.migration.load_gb_per_s
    return machine.accelerators * card.memory_gb / rate / SECONDS_PER_HOUR


def usd_per_h_outside(machine: MachineFacts) -> float:
    """Price of an hour outside of the plan: on demand, else the least listed one."""
    if machine.ondemand_usd_per_h is not None:
        return machine.ondemand_usd_per_h
    listed = (machine.spot_usd_per_h, machine.commit_1y_usd_per_h, machine.commit_3y_usd_per_h)
    return min((price for price in listed if price is not None), default=0.0)
