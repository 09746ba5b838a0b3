"""What changes against the incumbent cost, and what must stay, from Facts and the incumbent."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

from planner.incumbent import Incumbent
from planner.instance.facts import MachineFacts, VariantFacts
from planner.plan import Adoption
from planner.verify.adaptation import (
    HostFigures,
    embedding_usd,
    embodied_kg_per_h,
    host_figures,
    host_w,
    index_gb,
    mean_kg_per_kwh,
    refreshes,
    tuned_gb,
)
from planner.verify.terms import Terms


@dataclass(frozen=True)
class Moves:
    """The incumbent beside the instance; without one only first copies are still to be made."""

    terms: Terms
    incumbent: Incumbent | None

    # ---- today
    @cached_property
    def before(self) -> dict[str, Adoption]:
        """Workload -> its answer today."""
        return {} if self.incumbent is None else {a.workload: a for a in self.incumbent.adoption}

    @cached_property
    def copies(self) -> dict[str, set[str]]:
        """Variant -> regions with a copy of its index or adapter."""
        found: dict[str, set[str]] = defaultdict(set)
        for variant, region in () if self.incumbent is None else self.incumbent.hosting:
            found[variant].add(region)
        return found

    @cached_property
    def peak(self) -> dict[str, float]:
        """Machine -> most accelerators held in any slice of the incumbent."""
        if self.incumbent is None:
            return {}
        held: dict[tuple[str, str | None], float] = defaultdict(float)
        for line in self.incumbent.fleet:
            held[f"{line.region}/{line.offer}", line.slice] += line.accelerators * line.instances
        peak: dict[str, float] = {}
        for machine in {name for name, _ in held}:
            rented = [n for (name, t), n in held.items() if name == machine and t is not None]
            peak[machine] = held[machine, None] + max(rented, default=0.0)
        return peak

    def changed(self, variant: VariantFacts) -> bool:
        """Whether another variant, or none, answers the workload today."""
        row = self.before.get(variant.workload)
        return row is None or row.variant != variant.variant

    # ---- what must stay
    @property
    def keeps(self) -> bool:
        """Whether what the incumbent decided must stay."""
        return self.incumbent is not None and self.terms.settings.policy.keep_incumbent

    def may_adopt(self, variant: VariantFacts) -> bool:
        """Whether a variant may be adopted."""
        return not (self.keeps and variant.workload in self.before and self.changed(variant))

    def may_hold(self, machine: MachineFacts) -> bool:
        """Whether a machine may be rented."""
        return not self.keeps or (
            machine.fixed_instances > 0 or self.peak.get(machine.machine, 0.0) > 0
        )

    def may_commit(self) -> bool:
        """Whether commitments may be bought."""
        return not self.keeps

    def may_answer(self, variant: VariantFacts, region: str) -> bool:
        """Whether a variant may answer from a region: where its copies are, if they must stay."""
        copies = self.copies.get(variant.variant, set())
        if not self.keeps or self.changed(variant) or not copies:
            return True
        return region in copies

    # ---- what a change costs
    @property
    def share(self) -> float:
        """Of the costs of a change that falls into the period."""
        return 0.0 if self.incumbent is None else self.setup_share

    @property
    def setup_share(self) -> float:
        """Of first indexes, fine-tunes and copies that falls into the period."""
        return min(self.terms.period_hours / self.terms.settings.migration.horizon_h, 1.0)

    def work_usd(self, variant: VariantFacts) -> float:
        """Evaluating and releasing another variant."""
        if not self.changed(variant):
            return 0.0
        hours = self.terms.settings.migration.engineering_h_per_workload
        staff_usd = hours * self.terms.facts.prices.staff_usd_per_h
        return self.share * (staff_usd + self.terms.settings.policy.change_usd_per_workload)

    def makes_tune(self, variant: VariantFacts) -> bool:
        """Whether the variant's fine-tune does not exist yet."""
        row = self.before.get(variant.workload)
        exists = row is not None and (row.llm, row.method) == (variant.llm, variant.method)
        return variant.method is not None and not exists

    def first_tune_usd(self, variant: VariantFacts) -> float:
        """People's work on the first fine-tune."""
        if not self.makes_tune(variant):
            return 0.0
        hours = self.terms.workloads[variant.workload].staff_h_per_refresh
        return self.setup_share * hours * self.terms.facts.prices.staff_usd_per_h

    def first_run(self, variant: VariantFacts) -> float:
        """What the first run adds to the refreshes of the period, as a share of them."""
        return (
            self.setup_share / refreshes(self.terms, variant) if self.makes_tune(variant) else 0.0
        )

    def first_index_usd(self, variant: VariantFacts) -> float:
        """Embedding the corpus where no index exists."""
        row = self.before.get(variant.workload)
        if not self.terms.has_rag(variant) or (row is not None and "rag" in row.adaptation):
            return 0.0
        tokens = self.terms.workloads[variant.workload].corpus_tokens
        return self.setup_share * embedding_usd(self.terms, tokens)

    def new_copy(self, variant: VariantFacts, region: str) -> HostFigures:
        """Sending what the variant needs to a region that does not have it."""
        row = self.before.get(variant.workload)
        there = row is not None and region in self.copies.get(row.variant, set())
        gb = 0.0
        if not (there and row is not None and "rag" in row.adaptation):
            gb += index_gb(self.terms, variant)
        if not (there and not self.makes_tune(variant)):
            gb += tuned_gb(self.terms, variant)
        place = self.terms.regions.get(region)
        kwh = gb * self.terms.settings.migration.network_kwh_per_gb
        kg = 0.0 if place is None else kwh * place.pue * mean_kg_per_kwh(self.terms, place)
        return HostFigures(
            self.setup_share * gb * self.terms.facts.prices.copy_usd_per_gb, self.setup_share * kg
        )

    def copy(self, variant: VariantFacts, region: str) -> HostFigures:
        """A copy over the period, and sending it where it is not yet."""
        held, sent = host_figures(self.terms, variant, region), self.new_copy(variant, region)
        return HostFigures(held.cost_usd + sent.cost_usd, held.carbon_kgco2e + sent.carbon_kgco2e)

    def per_accelerator(self, machine: MachineFacts) -> tuple[float, float]:
        """An accelerator above the incumbent's peak: USD, kgCO2e."""
        terms, migration = self.terms, self.terms.settings.migration
        card, place = terms.accelerators[machine.accelerator], terms.regions[machine.region]
        gb = card.memory_gb * machine.accelerators
        hours = migration.boot_h + gb / migration.load_gb_per_s / 3600.0 + migration.overlap_h
        kwh = hours * (card.idle_w + host_w(terms, machine)) / 1e3
        kg = kwh * place.pue * mean_kg_per_kwh(terms, place)
        kg += hours * embodied_kg_per_h(terms, machine)
        usd = hours * outside_usd_per_h(machine) / machine.accelerators
        usd += terms.settings.policy.change_usd_per_accelerator
        return self.share * usd, self.share * kg


def outside_usd_per_h(machine: MachineFacts) -> float:
    """Price of an hour that no market of the plan pays: on demand, else the lowest known."""
    prices = [
        price
        for price in (
            machine.spot_usd_per_h,
            machine.commit_1y_usd_per_h,
            machine.commit_3y_usd_per_h,
        )
        if price is not None
    ]
    return machine.ondemand_usd_per_h or min(prices, default=0.0)
