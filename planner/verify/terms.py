"""The instance in the checker's own words: demand items and look-ups by name, from Facts alone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

from planner.instance.facts import (
    AcceleratorFacts,
    ApiFacts,
    Facts,
    LlmFacts,
    MachineFacts,
    RegionFacts,
    VariantFacts,
)
from planner.instance.grid import grid_of
from planner.instance.schema import LengthClass, Workload
from planner.verify.formulas import quality_when_stale, stale_share

STALE_RAG_DAYS = 1.0
"""Default refresh of an index."""
DEFAULT_REFRESH_DAYS = 30.0
"""Default refresh of a fine-tune."""
MIN_REGION_SHARE = 0.05
"""A region counts towards `min_regions` if it serves at least this share of the workload."""

ItemKey = tuple[str, str, str, str | None]
"""(workload, length class, origin, slice or None)"""


@dataclass(frozen=True)
class Item:
    """Requests of one length class from one origin in one slice (None: batch)."""

    workload: Workload
    length: LengthClass
    origin: str
    slice: str | None
    requests: float
    """in the period"""
    weight: float
    """share of the workload's requests"""
    qoe_weight: float
    """share in the mean QoE of everything"""
    slice_weight: float
    """share of its workload's interactive requests in its slice; 0 for batch"""
    origin_weight: float
    """share of its workload's requests from its origin"""
    slices: tuple[str, ...]
    """slices in which it may be served"""

    @property
    def key(self) -> ItemKey:
        """The item's name."""
        return (self.workload.workload, self.length.length_class, self.origin, self.slice)


class Terms:
    """Look-ups by name over `facts`; nothing here is a decision."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        instance = facts.instance
        self.settings = instance.settings
        self.grid = grid_of(facts)
        self.workloads: dict[str, Workload] = {w.workload: w for w in instance.workloads}
        self.slice_hours: dict[str, float] = {s.slice: s.hours for s in instance.slices}
        self.slice_place: dict[str, int] = {s.slice: t for t, s in enumerate(instance.slices)}
        self.period_hours = instance.settings.period.hours
        self.period_days = self.period_hours / 24.0
        self.regions: dict[str, RegionFacts] = {r.region: r for r in facts.regions}
        self.accelerators: dict[str, AcceleratorFacts] = {
            a.accelerator: a for a in facts.accelerators
        }
        self.machines: dict[tuple[str, str], MachineFacts] = {
            (m.region, m.offer): m for m in facts.machines
        }
        self.llms: dict[str, LlmFacts] = {m.llm: m for m in facts.llms}
        self.variants: dict[str, VariantFacts] = {v.variant: v for v in facts.variants}
        self.apis: dict[tuple[str, str], ApiFacts] = {}
        for api in facts.apis:
            self.apis.setdefault((api.llm, api.region), api)
        self.region_names = tuple(
            dict.fromkeys([*self.regions, *(api.region for api in facts.apis)])
        )

    # ---- demand
    @cached_property
    def items(self) -> dict[ItemKey, Item]:
        """Every demand item with requests, by name."""
        rates: dict[tuple[str, str, str | None], float] = defaultdict(float)
        allowed: dict[tuple[str, str, str | None], tuple[str, ...]] = {}
        for row in self.facts.instance.demand:
            key = (row.workload, row.origin, row.slice)
            rates[key] += row.requests_per_s
            allowed[key] = self._allowed(row.slice, row.allowed_slices)
        classes: dict[str, list[LengthClass]] = defaultdict(list)
        for length in self.facts.instance.length_classes:
            classes[length.workload].append(length)
        requests: dict[ItemKey, float] = {}
        for (workload, origin, in_slice), rate in rates.items():
            hours = self.period_hours if in_slice is None else self.slice_hours[in_slice]
            for length in classes[workload]:
                if rate * length.share > 0:
                    name = (workload, length.length_class, origin, in_slice)
                    requests[name] = rate * length.share * 3600.0 * hours
        of_workload: dict[str, float] = defaultdict(float)
        of_slice: dict[tuple[str, str], float] = defaultdict(float)
        of_origin: dict[tuple[str, str], float] = defaultdict(float)
        scored = 0.0
        for (workload, _, origin, in_slice), amount in requests.items():
            of_workload[workload] += amount
            of_origin[workload, origin] += amount
            if in_slice is not None:
                of_slice[workload, in_slice] += amount
            scored += amount * self.workloads[workload].qoe_weight
        length_of = {(c.workload, c.length_class): c for c in self.facts.instance.length_classes}
        return {
            (w, c, g, t): Item(
                workload=self.workloads[w],
                length=length_of[w, c],
                origin=g,
                slice=t,
                requests=amount,
                weight=amount / of_workload[w],
                qoe_weight=amount * self.workloads[w].qoe_weight / scored,
                slice_weight=0.0 if t is None else amount / of_slice[w, t],
                origin_weight=amount / of_origin[w, g],
                slices=allowed[w, g, t],
            )
            for (w, c, g, t), amount in requests.items()
        }

    def _allowed(self, in_slice: str | None, allowed: str | None) -> tuple[str, ...]:
        if in_slice is not None:
            return (in_slice,)
        if allowed is None or not allowed.strip():
            return tuple(self.slice_hours)
        return tuple(name.strip() for name in allowed.split(";") if name.strip())

    # ---- variants
    def has_rag(self, variant: VariantFacts) -> bool:
        """Whether answers carry retrieved text."""
        return "rag" in variant.adaptation

    def index_days(self, variant: VariantFacts) -> float:
        """Days between refreshes of the index; with a fine-tune, `refresh_days` are the tune's."""
        if variant.adaptation != "rag" or variant.refresh_days is None:
            return STALE_RAG_DAYS
        return variant.refresh_days

    def legs(self, variant: VariantFacts) -> tuple[int, ...]:
        """The answer (0) and, for a hybrid, the check by the larger llm (1)."""
        return (0, 1) if variant.check_llm is not None and variant.check_share > 0 else (0,)

    def leg_llm(self, variant: VariantFacts, leg: int) -> str:
        """The llm that answers a leg."""
        return variant.check_llm if leg == 1 and variant.check_llm is not None else variant.llm

    def leg_hosted(self, variant: VariantFacts, leg: int) -> bool:
        """Whether a leg is bought by the token."""
        return variant.check_hosted if leg == 1 else variant.hosted

    def leg_weights(self, variant: VariantFacts, leg: int) -> str:
        """Name of the weights a pool must hold for a leg: a full fine-tune has its own."""
        if leg == 0 and variant.method == "full":
            return f"{variant.llm}@{variant.workload}"
        return self.leg_llm(variant, leg)

    def leg_load(self, variant: VariantFacts, leg: int) -> float:
        """Requests of a leg per request of the workload."""
        return variant.check_share if leg == 1 else 1.0

    def leg_weight(self, variant: VariantFacts, leg: int) -> float:
        """Share of the requests whose score a leg decides."""
        if self.legs(variant) == (0,):
            return 1.0
        return variant.check_share if leg == 1 else 1.0 - variant.check_share

    def leg_quality(self, variant: VariantFacts, leg: int) -> float:
        """Answer quality of a leg after staleness, in [0, 1]."""
        workload = self.workloads[variant.workload]
        rag, rate = self.has_rag(variant), workload.facts_change_per_day
        quality, ages = variant.quality, variant.base_age_days
        if leg == 1:
            assert variant.check_quality is not None, variant.variant
            quality = variant.check_quality
            ages = (0.0, STALE_RAG_DAYS) if rag else variant.check_age_days
        elif rag:
            ages = (0.0, self.index_days(variant))
        elif variant.adaptation == "fine-tune":
            ages = (0.0, variant.refresh_days or DEFAULT_REFRESH_DAYS)
        stale = stale_share(rate, *ages)
        return quality_when_stale(quality, workload.affected_share, stale)

    def quality(self, variant: VariantFacts) -> float:
        """Answer quality after staleness over all legs, in [0, 1]."""
        return sum(
            self.leg_weight(variant, leg) * self.leg_quality(variant, leg)
            for leg in self.legs(variant)
        )

    # ---- places
    def resident(self, workload: Workload, region: str) -> bool:
        """Whether a workload's residency rule allows a region; an api: region has no tags."""
        if workload.residency is None:
            return True
        place = self.regions.get(region)
        return place is not None and workload.residency in place.residency

    # ---- replicas
    def heads_divide(self, llm: LlmFacts, accelerators: int) -> bool:
        """Whether tensor parallelism can split the llm's heads over the accelerators: attention
        heads in equal parts, KV heads in equal parts or as whole copies."""
        if self.settings.serving.engine == "llama.cpp" or llm.attention_heads is None:
            return True
        kv = 1 if llm.attention == "mla" or llm.kv_heads is None else llm.kv_heads
        apart = llm.attention_heads % accelerators == 0
        return apart and max(kv, accelerators) % min(kv, accelerators) == 0

    # ---- rules of a workload
    def region_share_max(self, workload: Workload) -> float | None:
        """Most of a slice's demand that one region may serve; None: no rule."""
        share = workload.region_loss_share
        if share is None:
            share = self.settings.policy.region_loss_share
        return 1.0 - share if share > 0 else None

    def attainment_min(self, workload: Workload) -> float | None:
        """Least share of requests within their latency targets; None: no rule."""
        if workload.kind == "batch":
            return None
        if workload.ttft_target_s is None and workload.tpot_target_s is None:
            return None
        if workload.attainment_min is not None:
            return workload.attainment_min
        return self.settings.policy.attainment_min
