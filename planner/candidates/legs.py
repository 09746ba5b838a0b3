"""Legs: the answer of a variant, and for a hybrid the check by the larger llm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.coefficients.quality import effective_quality, stale_share_between
from planner.instance.facts import VariantFacts
from planner.instance.schema import Workload

STALE_DAYS_INDEX = 1.0
STALE_DAYS_FINE_TUNE = 30.0


@dataclass(frozen=True)
class Leg:
    """Who answers, how often, and how well."""

    variant: int
    leg: int
    workload: int
    llm: str
    weights: str
    hosted: bool
    load: float
    """requests of the leg per request of the workload"""
    weight: float
    """share of the requests whose score the leg decides"""
    quality: float
    """in [0, 1], after staleness"""
    has_rag: bool
    has_adapter: bool


def has_rag(variant: VariantFacts) -> bool:
    """Whether answers carry retrieved text."""
    return "rag" in variant.adaptation


def index_refresh_days(variant: VariantFacts) -> float:
    """Days between refreshes of the index; beside a fine-tune the stated ones are the tune's."""
    stated = variant.refresh_days if variant.adaptation == "rag" else None
    return stated or STALE_DAYS_INDEX


def legs_of(variant: VariantFacts, index: int, workload: Workload, position: int) -> list[Leg]:
    """The legs of a variant; `position` is the workload's."""
    rag = has_rag(variant)
    share = variant.check_share if variant.check_llm is not None else 0.0
    own_ages, check_ages = variant.base_age_days, variant.check_age_days
    if rag:
        own_ages, check_ages = (0.0, index_refresh_days(variant)), (0.0, STALE_DAYS_INDEX)
    elif variant.adaptation == "fine-tune":
        own_ages = (0.0, variant.refresh_days or STALE_DAYS_FINE_TUNE)

    def fresh(quality: float, ages: tuple[float, float]) -> float:
        stale = stale_share_between(workload.facts_change_per_day, *ages)
        return float(effective_quality(quality, workload.affected_share, stale))

    full = variant.method == "full"
    answer = Leg(
        variant=index,
        leg=0,
        workload=position,
        llm=variant.llm,
        weights=f"{variant.llm}@{variant.workload}" if full else variant.llm,
        hosted=variant.hosted,
        load=1.0,
        weight=1.0 - share,
        quality=fresh(variant.quality, own_ages),
        has_rag=rag,
        has_adapter=variant.method == "lora",
    )
    if variant.check_llm is None or share <= 0.0:
        return [answer]
    check = Leg(
        variant=index,
        leg=1,
        workload=position,
        llm=variant.check_llm,
        weights=variant.check_llm,
        hosted=variant.check_hosted,
        load=share,
        weight=share,
        quality=fresh(variant.check_quality or 0.0, check_ages),
        has_rag=rag,
        has_adapter=False,
    )
    return [answer, check]


def mixture_quality(legs: Sequence[Leg]) -> float:
    """Answer quality over the legs, which the workload's floor is about."""
    return sum(leg.weight * leg.quality for leg in legs)
