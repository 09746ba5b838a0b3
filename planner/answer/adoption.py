"""Why each workload got its variant, and where the verdict would turn, in words with numbers.

All comparisons stand on the dual prices that prove the bound. At any prices, a plan that adopts
variant v of workload w is worth at least bound + (value of v - least value in w); what that
exceeds the plan by is proved. Where it does not exceed the plan, only the difference of values at
the prices is known, and the text says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.coefficients.adaptation import (
    break_even_quality_gap,
    break_even_refresh_days,
    longest_refresh_days,
)
from models.fleet.data import FleetData, IntArray
from planner.answer.words import amount, count, times
from planner.candidates.kinds import Candidates
from planner.candidates.legs import legs_of, mixture_quality
from planner.instance.facts import Facts, VariantFacts
from planner.instance.schema import Workload
from planner.plan import Adoption
from planner.solve.bound import Bound, Prices
from planner.solve.index import FleetIndex

UNITS = {"cost": "USD", "carbon": "kgCO2e", "qoe-loss": "QoE"}
EVEN = 1e-9
"""Relative difference below which two values are the same."""
HOURS_PER_DAY = 24.0


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
        """(part that does not change with demand, part in proportion to it), at the prices.

        In proportion: cost, carbon and water of the cheapest routes and the replicas they use.
        Fixed: adaptation, copies, and whatever is about shares of the demand (QoE, attainment).
        """
        index, prices = self.index, self.prices
        groups = range(
            int(index.variant_group_start[variant]), int(index.variant_group_start[variant + 1])
        )
        weights = prices.weights + prices.cap
        flat = prices.replica.reshape(-1, 4)
        growing = 0.0
        for group in groups:
            span = slice(int(index.group_start[group]), int(index.group_start[group + 1]))
            best = span.start + int(np.argmin(self.bound.reduced[span]))
            growing += float(weights[0] * index.cost[best] + weights[1] * index.carbon[best])
            growing += float(weights[3] * index.water[best])
            if index.pool_slice[best] >= 0:
                growing += float(index.share[best] @ flat[index.pool_slice[best]])
        return self.worth(variant) - growing, growing

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
        for group in (same, other):
            if group:
                said.append(self._dearer(group[0]))
        if not rivals:
            said.append("it is the only way of answering that meets every rule")
        said += self._ruled_out()
        return "; ".join(said) + "."

    def _quality_said(self) -> str:
        text = f"answers with quality {self._quality(self.chosen):.3f} after staleness"
        if self.workload.quality_min > 0:
            text += f" (floor {self.workload.quality_min:.3f})"
        return text

    def _dearer(self, variant: int) -> str:
        """How much worse a rival is, and whether that is proved."""
        name = self._name(variant)
        proved = self.market.proved_excess(variant)
        guess = self.market.worth(variant) - self.market.worth(self.chosen)
        unit = self.market.unit
        worse = {"USD": "dearer", "kgCO2e": "more", "QoE": "of QoE lost more"}[unit]
        if proved > EVEN * max(abs(self.market.value), 1.0):
            text = f"{name} would be at least {amount(proved, unit)} {worse} (proved)"
        elif guess >= 0:
            text = (
                f"{name} would be about {amount(guess, unit)} {worse} at the plan's marginal "
                "prices, which is within the proven gap"
            )
        else:
            text = (
                f"{name} looks {amount(-guess, unit)} better at the plan's marginal prices, but "
                "whole replicas and the proven gap decide otherwise so far"
            )
        return f"{text}, with quality {self._quality(variant):.3f}"

    def _ruled_out(self) -> list[str]:
        """Adaptations of the adopted llm that never came into question, and why."""
        llm, removed = self.adopted.llm, self.candidates.removed_variants
        mine = [v for v in self.facts.variants if v.workload == self.workload.workload]
        gone = [v for v in mine if v.llm == llm and v.variant in removed]
        said = [f"{v.adaptation} is ruled out: {removed[v.variant]}" for v in gone[:3]]
        others: dict[str, str] = {}
        for v in mine:
            if v.llm != llm and v.variant in removed:
                others.setdefault(v.llm, f"{v.adaptation}: {removed[v.variant]}")
        standing = {self.variants[v].llm for v in self._rivals()}
        missing = {name: why for name, why in others.items() if name not in standing}
        said += [f"{name} is ruled out ({why})" for name, why in list(missing.items())[:2]]
        return said

    # ------------------------------------------------------------------ the break-even

    def break_even(self) -> str:
        """Demand, refresh interval and quality at which the verdict turns."""
        rival = self._break_even_rival()
        if rival is None:
            return "No other adaptation is possible: no figure turns this verdict."
        said = [self._demand_said(rival)]
        for tuned, other in ((self.chosen, rival), (rival, self.chosen)):
            if self.variants[tuned].method is not None and self.variants[other].method is None:
                said.append(self._refresh_said(tuned, other))
                if "rag" in self.variants[other].adaptation:
                    said.append(self._quality_gap_said(tuned, other))
        return " ".join(part for part in said if part)

    def _break_even_rival(self) -> int | None:
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

    def _demand_said(self, rival: int) -> str:
        fixed, growing = self.market.by_demand(self.chosen)
        rival_fixed, rival_growing = self.market.by_demand(rival)
        name, unit = self._name(rival), self.market.unit
        requests = self._requests()
        each = (
            f" (per 1,000 requests {amount(growing / requests * 1e3, unit)} here, "
            f"{amount(rival_growing / requests * 1e3, unit)} there; per period "
            f"{amount(fixed, unit)} and {amount(rival_fixed, unit)} whatever the demand)"
        )
        saving, extra = growing - rival_growing, rival_fixed - fixed
        if unit == "QoE":
            return f"Against {name}: QoE per answer does not depend on demand."
        turn = extra / saving if saving != 0 else float("inf")
        if saving > 0 and turn > 1:
            per_day = requests / self.period_days * turn
            return (
                f"{name} pays above {times(turn)} today's demand, "
                f"{count(per_day)} requests/day{each}."
            )
        if saving < 0 and 0 < turn < 1:
            per_day = requests / self.period_days * turn
            return (
                f"{name} pays below {times(turn)} today's demand, "
                f"{count(per_day)} requests/day{each}."
            )
        if saving <= 0 and extra >= 0:
            return f"No demand makes {name} pay{each}."
        return f"At the marginal prices {name} is level with this choice{each}."

    def _refresh_said(self, tuned: int, other: int) -> str:
        """The refresh interval from which the fine-tune is the cheaper of the two."""
        facts = self.variants[tuned]
        days = facts.refresh_days or 30.0
        part = self.market.refresh_part(tuned)
        room = self.market.worth(other) - self.market.worth(tuned) + part
        turn = float(
            break_even_refresh_days(part * days / self.period_days, 1.0, room / self.period_days, 0)
        )
        if not np.isfinite(turn):
            return f"No refresh interval makes {facts.adaptation} the cheaper one."
        quality = float(
            longest_refresh_days(
                self.workload.facts_change_per_day,
                self.workload.affected_share,
                facts.quality,
                self.workload.quality_min,
            )
        )
        text = (
            f"{facts.adaptation} is the cheaper one when refreshed every {turn:.3g} days or less "
        )
        text += f"often (now every {days:g}"
        if np.isfinite(quality):
            text += f"; its quality keeps the floor up to {quality:.3g} days"
        return text + ")."

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
            f"To answer as well, {fine.adaptation} needs a lead of {needed:.3f} in fresh quality "
            f"over {rag.adaptation}; it has {lead:+.3f}."
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

    def _name(self, variant: int) -> str:
        """The adaptation, with the llm where it is not the adopted one."""
        facts = self.variants[variant]
        name = facts.adaptation + (" (full)" if facts.method == "full" else "")
        same = [
            v
            for v in self._rivals()
            if self._llms(v) == self._llms(variant)
            and self.variants[v].adaptation == facts.adaptation
        ]
        if facts.refresh_days is not None and (
            len(same) > 1 or facts.adaptation == self.adopted.adaptation
        ):
            name += f" every {facts.refresh_days:g} days"
        if facts.llm != self.adopted.llm:
            name = f"{facts.llm} {name}"
        return f"{name} checked by {facts.check_llm}" if facts.check_llm else name

    def _requests(self) -> float:
        data = self.market.data
        return float(data.item_requests[data.item_workload == self.position].sum())
