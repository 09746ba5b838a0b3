"""Why each workload got its variant, and where the verdict would turn, in words with numbers.

All comparisons stand on the dual prices that prove the bound. At any prices, a plan that adopts
variant v of workload w is worth at least bound + (value of v - least value in w); what that
exceeds the plan by is proved. Where it does not exceed the plan nothing is known from the prices,
not even the sign, and the text says so; `planner.explain.beside` solves the other side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.coefficients.adaptation import break_even_quality_gap, break_even_refresh_days
from models.fleet.data import FleetData, IntArray
from planner.answer.words import amount
from planner.candidates.kinds import Candidates
from planner.candidates.legs import legs_of, mixture_quality
from planner.instance.facts import Facts, VariantFacts
from planner.instance.schema import Workload
from planner.plan import Adoption
from planner.solve.bound import Bound, Prices
from planner.solve.index import FleetIndex

UNITS = {"cost": "USD", "carbon": "kgCO2e", "qoe-loss": "QoE"}
WORSE_AND_BETTER = {
    "USD": ("dearer", "cheaper"),
    "kgCO2e": ("more", "less"),
    "QoE": ("worse", "better"),
}
NOISE = 1e-9
"""Share of the plan's value below which a difference is rounding."""
HOURS_PER_DAY = 24.0
TURN_UNKNOWN = "where demand or refreshing turns it is not known (`planner explain` solves it)"


@dataclass(frozen=True, eq=False)
class Market:
    """What every variant is worth at the proved prices, in the unit of the objective."""

    index: FleetIndex
    prices: Prices
    bound: Bound
    value: float
    """of the plan"""
    unit: str

    @property
    def data(self) -> FleetData:
        """The program's data."""
        return self.index.data

    def worth(self, variant: int) -> float:
        """Cost of adopting the variant at the prices; inf where it cannot serve all demand."""
        return float(self.bound.variant_value[variant])

    def proved_excess(self, variant: int) -> float:
        """Least by which any plan with the variant exceeds this plan; at most 0: nothing proved."""
        workload = self.data.variant_workload[variant]
        least = self.bound.variant_value[self.data.variant_workload == workload].min()
        return self.bound.value + self.worth(variant) - float(least) - self.value

    def by_demand(self, variant: int) -> tuple[float, float]:
        """(part that does not change with the workload's demand, part in proportion to it).

        Fixed: staff, re-embedding, training, copies of indexes and adapters. All else grows with
        demand: answers and the machines under them, and what the workload's own rules cost
        (attainment, QoE floor, spread over regions), which prices stated per share of the demand
        scale with it.
        """
        index, prices = self.index, self.prices
        span = slice(
            int(index.variant_group_start[variant]), int(index.variant_group_start[variant + 1])
        )
        copies = 0.0
        if prices.host.any():
            flat = prices.host.reshape(-1)
            for group in range(span.start, span.stop):
                first, end = int(index.group_start[group]), int(index.group_start[group + 1])
                best = first + int(np.argmin(self.bound.reduced[first:end]))
                if index.host_row[best] >= 0:
                    copies += float(flat[index.host_row[best]] * index.host_weight[best])
        answers = float(self.bound.group_value[span].sum()) - copies
        growing = answers + self._promises(variant)
        return self.worth(variant) - growing, growing + self._spread(variant)

    def _promises(self, variant: int) -> float:
        """What attainment, QoE floor and regional shares cost the variant: part of its worth."""
        index, prices = self.index, self.prices
        return float(
            prices.attain[variant] * index.variant_attainment_min[variant]
            - prices.floor[variant] * index.variant_loss_max[variant]
            - prices.survive[variant].sum() * index.variant_region_share[variant]
        )

    def _spread(self, variant: int) -> float:
        """The least number of regions at its price: the same for all variants of a workload."""
        w = int(self.data.variant_workload[variant])
        price = float(self.prices.spread_count[w])
        return price * float(self.data.min_regions[w]) if price > 0 else 0.0

    def said(self, value: float) -> str:
        """An amount in the unit of the objective; rounding noise is 0."""
        return amount(0.0 if self.is_noise(value) else value, self.unit)

    def is_noise(self, value: float) -> bool:
        """Too small beside the plan's value to mean anything."""
        return abs(value) <= NOISE * abs(self.value)

    def refresh_part(self, variant: int) -> float:
        """What a fine-tune's refreshes cost in the period: staff and training, at the prices."""
        index, data = self.index, self.data
        weights = self.prices.weights + self.prices.cap
        staff = float(weights[0] * data.variant_cost_lines_usd[variant, 0])
        options = np.flatnonzero(data.training_variant == variant)
        if len(options):
            staff += float((index.training_totals[options] @ weights).min())
        return staff


def adoption_lines(
    market: Market, adopt: IntArray, facts: Facts, candidates: Candidates
) -> tuple[Adoption, ...]:
    """One line per workload with its reason and break-even; `adopt` (W,) as in the program."""
    lines = []
    for w, workload in enumerate(facts.instance.workloads):
        case = Case(market, facts, candidates, workload, w, int(adopt[w]))
        chosen = case.adopted
        lines.append(
            Adoption(
                workload=workload.workload,
                llm=chosen.llm,
                adaptation=chosen.adaptation,
                method=chosen.method,
                refresh_days=chosen.refresh_days,
                check_llm=chosen.check_llm,
                check_share=chosen.check_share,
                variant=chosen.variant,
                reason=case.reason(),
                break_even=case.break_even(),
            )
        )
    return tuple(lines)


@dataclass(frozen=True, eq=False)
class Case:
    """One workload's choice beside its alternatives."""

    market: Market
    facts: Facts
    candidates: Candidates
    workload: Workload
    position: int
    chosen: int

    @property
    def variants(self) -> tuple[VariantFacts, ...]:
        """(V,) as in the program"""
        return self.candidates.variants

    @property
    def adopted(self) -> VariantFacts:
        """The variant in question."""
        return self.variants[self.chosen]

    @property
    def period_days(self) -> float:
        """Days of the period."""
        return self.facts.instance.settings.period.hours / HOURS_PER_DAY

    # ------------------------------------------------------------------ the reason

    def reason(self) -> str:
        """Quality, then the best other adaptation, the best other llm, and what is ruled out."""
        said = [self._quality_said()]
        rivals = self._rivals()
        same = [v for v in rivals if self._llms(v) == self._llms(self.chosen)]
        other = [v for v in rivals if self.variants[v].llm != self.adopted.llm]
        beside = [self._beside(group[0]) for group in (same, other) if group]
        if beside:
            said.append("Instead: " + "; ".join(beside) + ".")
        elif not rivals:
            said.append("No other way of answering meets every rule.")
        ruled_out = self._ruled_out()
        if ruled_out:
            said.append("Ruled out: " + "; ".join(ruled_out) + ".")
        return " ".join(said)

    def _quality_said(self) -> str:
        text = f"Quality {self._quality(self.chosen):.3f} after staleness"
        if self.workload.quality_min > 0:
            text += f", floor {self.workload.quality_min:.3f}"
        return text + "."

    def _beside(self, variant: int) -> str:
        """How much worse a rival is, and whether that is proved."""
        market = self.market
        proved = market.proved_excess(variant)
        worse, _ = WORSE_AND_BETTER[market.unit]
        price = "no better plan with it was found"
        if proved > 0 and not market.is_noise(proved):
            price = f"at least {market.said(proved)} {worse}, proved"
        return f"{self.named(variant)} ({price}; quality {self._quality(variant):.3f})"

    def _ruled_out(self) -> list[str]:
        """Adaptations of the adopted llm that never came into question, and why."""
        llm, removed = self.adopted.llm, self.candidates.removed_variants
        mine = [v for v in self.facts.variants if v.workload == self.workload.workload]
        gone = [v for v in mine if v.llm == llm and v.variant in removed]
        said = [f"{tuned_name(v)} ({removed[v.variant]})" for v in gone[:3]]
        others: dict[str, str] = {}
        for v in mine:
            if v.llm != llm and v.variant in removed:
                others.setdefault(v.llm, f"{tuned_name(v)}: {removed[v.variant]}")
        standing = {self.variants[v].llm for v in self._rivals()}
        missing = {name: why for name, why in others.items() if name not in standing}
        said += [f"{name} ({why})" for name, why in list(missing.items())[:2]]
        return said

    # ------------------------------------------------------------------ the break-even

    def break_even(self) -> str:
        """What is known of where the verdict turns: prices at the margin do not see whole machines,
        so that a turn is told only of plans that were solved (`planner.explain`)."""
        rival = self.break_even_rival()
        if rival is None:
            return "No other adaptation is possible: no figure turns this verdict."
        return " ".join(part for part in (self._known_said(rival), self.gap_said(rival)) if part)

    def _known_said(self, rival: int) -> str:
        proved = self.market.proved_excess(rival)
        worse, _ = WORSE_AND_BETTER[self.market.unit]
        known = "no better plan with it was found"
        if proved > 0 and not self.market.is_noise(proved):
            known = f"at today's demand it is at least {self.market.said(proved)} {worse}, proved"
        return f"Against {self.named(rival)}: {known}; {TURN_UNKNOWN}."

    def gap_said(self, rival: int) -> str:
        """The lead in quality that a fine-tune needs against retrieval; empty for other pairs."""
        for tuned, other in ((self.chosen, rival), (rival, self.chosen)):
            fine, plain = self.variants[tuned], self.variants[other]
            if fine.method is not None and plain.method is None and "rag" in plain.adaptation:
                return self._quality_gap_said(tuned, other)
        return ""

    def break_even_rival(self) -> int | None:
        """The best variant on the other side of RAG or fine-tune, else the best other one."""
        adopted, rivals = self.adopted, self._rivals()
        across = [
            v for v in rivals if (self.variants[v].method is None) != (adopted.method is None)
        ]
        same = [v for v in across if self.variants[v].llm == adopted.llm]
        different = [v for v in rivals if self.variants[v].adaptation != adopted.adaptation]
        for group in (same, across, different, rivals):
            if group:
                return group[0]
        return None

    def demand_turn(self, rival: int) -> tuple[float, float, float]:
        """(saving of the rival as demand grows, its extra fixed part, times today when level).

        At marginal prices; the last is negative or infinite where no demand makes them level.
        """
        fixed, growing = self.market.by_demand(self.chosen)
        rival_fixed, rival_growing = self.market.by_demand(rival)
        saving, extra = growing - rival_growing, rival_fixed - fixed
        saving = 0.0 if self.market.is_noise(saving) else saving
        extra = 0.0 if self.market.is_noise(extra) else extra
        return saving, extra, extra / saving if saving else np.inf

    def refresh_turn(self, tuned: int, other: int) -> float:
        """Days between refreshes from which the fine-tune is better at marginal prices; or inf."""
        days = self.variants[tuned].refresh_days or 30.0
        part = self.market.refresh_part(tuned)
        room = self.market.worth(other) - self.market.worth(tuned) + part
        return float(
            break_even_refresh_days(part * days / self.period_days, 1.0, room / self.period_days, 0)
        )

    def _quality_gap_said(self, tuned: int, other: int) -> str:
        """The lead in fresh quality that makes up for slower refreshing."""
        fine, rag = self.variants[tuned], self.variants[other]
        needed = float(
            break_even_quality_gap(
                self.workload.facts_change_per_day,
                self.workload.affected_share,
                fine.refresh_days or 30.0,
                rag.quality,
                rag.refresh_days or 1.0,
            )
        )
        lead = fine.quality - rag.quality
        return (
            f"To answer as well as {self.named(other, refresh=False)}, its fresh quality must be "
            f"{needed:.3f} higher; it is {abs(lead):.3f} {'higher' if lead >= 0 else 'lower'}."
        )

    # ------------------------------------------------------------------ pieces

    def _rivals(self) -> list[int]:
        """Other variants that can serve all demand, best first at the prices."""
        mine = np.flatnonzero(self.market.data.variant_workload == self.position)
        able = [int(v) for v in mine if v != self.chosen and np.isfinite(self.market.worth(int(v)))]
        return sorted(able, key=self.market.worth)

    def _quality(self, variant: int) -> float:
        return mixture_quality(
            legs_of(self.variants[variant], variant, self.workload, self.position)
        )

    def _llms(self, variant: int) -> tuple[str, str | None]:
        facts = self.variants[variant]
        return facts.llm, facts.check_llm

    def named(self, variant: int, *, refresh: bool = True) -> str:
        """The adaptation, with refresh interval and llm where they tell it from others."""
        facts = self.variants[variant]
        name = tuned_name(facts)
        if refresh and facts.refresh_days is not None:
            like = [
                v
                for v in (*self._rivals(), self.chosen)
                if self._llms(v) == self._llms(variant) and tuned_name(self.variants[v]) == name
            ]
            if len(like) > 1:
                name += f" every {facts.refresh_days:g} days"
        if facts.llm != self.adopted.llm:
            name = f"{facts.llm} {name}"
        return f"{name} checked by {facts.check_llm}" if facts.check_llm else name


def tuned_name(variant: VariantFacts) -> str:
    """``LoRA fine-tune``, ``rag + full fine-tune``, ``base``."""
    if variant.method is None:
        return variant.adaptation
    tune = "LoRA fine-tune" if variant.method == "lora" else "full fine-tune"
    return f"rag + {tune}" if "rag" in variant.adaptation else tune
