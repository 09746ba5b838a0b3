"""80 % bands of what a plan promises: latency by how the speed is known, QoE by the quality's sd.

A band of speed is the 10th to the 90th percentile of measured over predicted of all predictions
known in the same way (docs/accuracy.md). A workload answered by several pools takes the mean of
their factors, weighted by its requests; answers of a hosted llm have no such band.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from planner.instance.facts import Facts, VariantFacts
from planner.plan import Adoption, Plan, ReplicaLine

NORMAL_P90 = 1.2816
"""90th percentile of the standard normal distribution."""

Factors = tuple[float, float]
Key = tuple[str, str, int, str, str]
Speeds = Mapping[Key, "PoolBand"]


@dataclass(frozen=True)
class PoolBand:
    """How the speed of one kind of pool is known, and factors (low, high) on its figures."""

    provenance: str
    ttft: Factors
    tpot: Factors


@dataclass(frozen=True)
class WorkloadBands:
    """Factors (low, high) on the figures of one workload; None where nothing is known."""

    ttft: Factors | None
    tpot: Factors | None
    qoe: Factors | None


def pool_key(line: ReplicaLine) -> Key:
    """What the speed of a pool depends on: llm, accelerator and how many, precision, engine."""
    return (line.llm, line.accelerator, line.accelerators, line.precision, line.engine)


def pool_bands(facts: Facts, plans: Iterable[Plan]) -> dict[Key, PoolBand]:
    """The band of every kind of pool in the plans; pools of unknown llms or cards are left out."""
    from planner.serving import Replica, planning_laws

    llms = {llm.llm: llm for llm in facts.llms}
    cards = {card.accelerator: card for card in facts.accelerators}
    keys = sorted(
        {
            pool_key(line)
            for plan in plans
            for line in plan.replicas
            if line.llm in llms and line.accelerator in cards
        }
    )
    if not keys:
        return {}
    replicas = [Replica(llms[key[0]], cards[key[1]], *key[2:]) for key in keys]
    laws = planning_laws(replicas, facts.calibration)
    return {
        key: PoolBand(
            provenance=str(laws.provenance[at]),
            ttft=(float(laws.ttft_low[at]), float(laws.ttft_high[at])),
            tpot=(float(laws.tpot_low[at]), float(laws.tpot_high[at])),
        )
        for at, key in enumerate(keys)
    }


def workload_bands(facts: Facts, plan: Plan, speeds: Speeds) -> dict[str, WorkloadBands]:
    """The bands of every workload of `plan`; `speeds` as `pool_bands` returns it."""
    hours = {row.slice: row.hours for row in facts.instance.slices}
    pools = {line.pool: pool_key(line) for line in plan.replicas}
    requests: dict[str, dict[Key, float]] = defaultdict(lambda: defaultdict(float))
    for route in plan.routing:
        key = pools.get(route.pool or "")
        if key is not None and key in speeds:
            amount = route.requests_per_s * hours.get(route.served_slice, 1.0)
            requests[route.workload][key] += amount
    variants = {variant.variant: variant for variant in facts.variants}
    exponents = {row.workload: row.quality_exponent for row in facts.instance.workloads}
    adopted = {row.workload: row for row in plan.adoption}
    found = {}
    for line in plan.workloads:
        weights, row = requests[line.workload], adopted[line.workload]
        variant, exponent = variants.get(row.variant), exponents.get(line.workload)
        quality = None
        if variant is not None and exponent is not None:
            quality = quality_band(row, variant, exponent)
        found[line.workload] = WorkloadBands(
            ttft=_mean([(speeds[key].ttft, weight) for key, weight in weights.items()]),
            tpot=_mean([(speeds[key].tpot, weight) for key, weight in weights.items()]),
            qoe=quality,
        )
    return found


def _mean(parts: Sequence[tuple[Factors, float]]) -> Factors | None:
    """Mean of factors by weight; None without weight."""
    whole = sum(weight for _, weight in parts)
    if whole <= 0:
        return None
    low, high = (sum(band[end] * weight for band, weight in parts) / whole for end in (0, 1))
    return low, high


def quality_band(row: Adoption, variant: VariantFacts, exponent: float) -> Factors | None:
    """Factors on QoE: it moves with quality ** exponent; of a hybrid in its own llm's share."""
    if variant.quality <= 0 or variant.quality_sd <= 0:
        return None
    away = NORMAL_P90 * variant.quality_sd / variant.quality
    own = 1.0 - row.check_share
    low, high = (
        row.check_share + own * max(0.0, 1.0 + sign * away) ** exponent for sign in (-1, 1)
    )
    return low, high
