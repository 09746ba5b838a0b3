"""What a plan uses of every limit: caps, quotas, stock, shares, counts, floors and targets.

Read from the plan and the facts. A limit binds where hardly anything of it is left, where the proof
of the plan puts a price on it, or, of targets and floors of quality, where it keeps candidates out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from planner.answer.words import number
from planner.candidates.kinds import Exclusion
from planner.instance.facts import Facts, MachineFacts
from planner.instance.schema import Workload
from planner.plan import Plan
from planner.verify import DualPrices

NEAR = 0.005
"""A limit with less than this share of it left binds."""
NEAR_IN_WHOLE_MACHINES = 0.8
"""The same for a share of machines, which come whole."""


@dataclass(frozen=True)
class Limit:
    """One limit; `path` is the figure that moves it (`planner.instance.figures`)."""

    path: str
    words: str
    unit: str
    used: float | None
    """None: a target, which keeps candidates out instead of being used up"""
    limit: float
    binds: bool
    looser: float
    """+1: a larger figure at `path` allows more, -1: a smaller one does"""
    workload: str | None = None
    region: str | None = None
    accelerator: str | None = None
    market: str | None = None
    whole: int = 0
    """steps must be multiples of this; 0: any"""
    figure: float | None = None
    """what stands at `path`, where that is not the limit itself"""

    def said(self) -> str:
        """``quota of h100-sxm in aws:us-east-1: 24 of 24 accelerators``."""
        if self.used is None:
            return f"{self.words}: {number(self.limit)} {self.unit}"
        return f"{self.words}: {number(self.used)} of {number(self.limit)} {self.unit}".rstrip()


def limits_of(
    facts: Facts, plan: Plan, exclusions: Sequence[Exclusion], proof: DualPrices | None = None
) -> tuple[Limit, ...]:
    """Every limit of the instance with what the plan uses of it, binding ones first."""
    found = [
        *_totals(facts, plan),
        *_of_workloads(facts, plan, exclusions),
        *_quotas(facts, plan),
        *_spot(facts, plan),
        *_counts(facts, plan),
    ]
    if proof is not None:
        adopted = {row.workload: row.variant for row in plan.adoption}
        found = [replace(x, binds=x.binds or _has_price(proof, x, adopted)) for x in found]
    return tuple(sorted(found, key=lambda limit: not limit.binds))


CAPS = ("caps.cost", "caps.carbon", "floors.qoe", "caps.water")
"""In the order of the prices of caps."""
COUNTS = {"policy.max_llms": "keep-count", "policy.max_regions": "open-count"}


def _has_price(proof: DualPrices, limit: Limit, adopted: Mapping[str, str]) -> bool:
    """Whether the proof leans on the limit; of a workload's, for the adopted variant."""
    if limit.path in CAPS:
        return bool(proof.cap[CAPS.index(limit.path)] > 0.0)
    if limit.path in COUNTS:
        return any(proof.of(COUNTS[limit.path]).values())
    place = (limit.region or "", limit.accelerator or "")
    if limit.path.startswith("quota."):
        key = (*place, limit.market or "")
        return any(price > 0.0 and row[:3] == key for row, price in proof.of("quota").items())
    if limit.path == "policy.spot_share_max":
        return any(price > 0.0 and row[:2] == place for row, price in proof.of("spot").items())
    name = limit.path.rpartition(".")[2]
    family = {"attainment": "attain", "qoe": "floor", "region_loss_share": "survive"}.get(name)
    owners = (limit.workload, adopted.get(limit.workload or ""))
    return family is not None and any(
        price > 0.0 and row[0] in owners for row, price in proof.of(family).items()
    )


def _most(path: str, words: str, unit: str, used: float, limit: float, **scope: object) -> Limit:
    """An upper limit."""
    binds = used >= limit - NEAR * abs(limit)
    return Limit(path, words, unit, used, limit, binds, 1.0, **scope)  # type: ignore[arg-type]


def _least(path: str, words: str, unit: str, used: float, limit: float, **scope: object) -> Limit:
    """A floor."""
    binds = used <= limit + NEAR * abs(limit)
    return Limit(path, words, unit, used, limit, binds, -1.0, **scope)  # type: ignore[arg-type]


def _totals(facts: Facts, plan: Plan) -> Iterator[Limit]:
    caps, o = facts.instance.settings.caps, plan.objectives
    for name, cap, used, unit in (
        ("cost", caps.cost_usd, o.cost_usd, "USD"),
        ("carbon", caps.carbon_kgco2e, o.carbon_kgco2e, "kgCO2e"),
        ("water", caps.water_l, plan.water_l, "l"),
    ):
        if cap is not None:
            yield _most(f"caps.{name}", f"cap on {name}", unit, used, cap)
    if caps.qoe_min is not None:
        yield _least("floors.qoe", "floor on QoE", "QoE", o.qoe, caps.qoe_min)


def _of_workloads(facts: Facts, plan: Plan, exclusions: Sequence[Exclusion]) -> Iterator[Limit]:
    lines = {line.workload: line for line in plan.workloads}
    policy = facts.instance.settings.policy
    shares = region_shares_by_slice(facts, plan)
    for w in facts.instance.workloads:
        line, name = lines.get(w.workload), w.workload
        if line is None:
            continue
        timed = w.kind == "interactive" and (w.ttft_target_s or w.tpot_target_s)
        if timed:
            least = policy.attainment_min if w.attainment_min is None else w.attainment_min
            yield _least(
                f"targets.{name}.attainment", f"answers of {name} in time", "share",
                line.attainment, least, workload=name,
            )  # fmt: skip
            yield from _targets(w, exclusions)
        if w.qoe_min > 0.0:
            yield _least(
                f"floors.{name}.qoe", f"floor on QoE of {name}", "QoE", line.qoe, w.qoe_min,
                workload=name,
            )  # fmt: skip
        if w.quality_min > 0.0:
            out = [x for x in exclusions if x.rule == "quality floor" and x.workload == name]
            yield Limit(
                f"floors.{name}.quality", f"floor on answer quality of {name}", "quality", None,
                w.quality_min, bool(out), -1.0, workload=name,
            )  # fmt: skip
        lost = policy.region_loss_share if w.region_loss_share is None else w.region_loss_share
        if lost > 0.0 and w.kind == "interactive":
            most = max((share for (x, _, _), share in shares.items() if x == name), default=0.0)
            own = w.region_loss_share is not None
            limit = _most(
                f"workloads.{name}.region_loss_share" if own else "policy.region_loss_share",
                f"loss of one region: largest share of {name} in a region", "share",
                most, 1.0 - lost, workload=name, figure=lost,
            )  # fmt: skip
            yield replace(limit, looser=-1.0)


def _targets(w: Workload, exclusions: Sequence[Exclusion]) -> Iterator[Limit]:
    for name, target, rule, unit in (
        ("ttft_s", w.ttft_target_s, "TTFT target", "s to the first token"),
        ("tpot_s", w.tpot_target_s, "TPOT target", "s per output token"),
    ):
        if target is not None:
            out = any(x.rule == rule and x.workload == w.workload for x in exclusions)
            yield Limit(
                f"targets.{w.workload}.{name}", f"{rule} of {w.workload}", unit, None, target, out,
                1.0, workload=w.workload,
            )  # fmt: skip


def region_shares_by_slice(facts: Facts, plan: Plan) -> dict[tuple[str, str, str], float]:
    """(workload, region, slice) -> share of the slice's interactive answers."""
    kinds = {w.workload: w.kind for w in facts.instance.workloads}
    part: dict[tuple[str, str, str], float] = defaultdict(float)
    whole: dict[tuple[str, str], float] = defaultdict(float)
    for line in plan.routing:
        if line.leg == 0 and kinds[line.workload] == "interactive" and line.slice is not None:
            whole[line.workload, line.served_slice] += line.requests_per_s
            if line.region is not None:
                part[line.workload, line.region, line.served_slice] += line.requests_per_s
    return {
        key: value / whole[key[0], key[2]]
        for key, value in part.items()
        if whole[key[0], key[2]] > 0.0
    }


def held_peak(
    facts: Facts, plan: Plan, machines: Iterable[MachineFacts], markets: Sequence[str]
) -> float:
    """Most accelerators of these machines held at once through these markets."""
    names = {m.machine for m in machines}
    most = 0.0
    for part in facts.instance.slices:
        held = sum(
            line.accelerators * line.instances
            for line in plan.fleet
            if f"{line.region}/{line.offer}" in names
            and line.market in markets
            and line.slice in (None, part.slice)
        )
        most = max(most, float(held))
    return most


BOUGHT = ("on-demand", "spot", "commit-1y", "commit-3y")


def _quotas(facts: Facts, plan: Plan) -> Iterator[Limit]:
    for quota in facts.instance.quotas:
        here = [
            m
            for m in facts.machines
            if (m.region, m.accelerator) == (quota.region, quota.accelerator)
        ]
        if not here:
            continue
        market = "" if quota.market is None else f".{quota.market}"
        markets = BOUGHT if quota.market is None else (quota.market,)
        used = held_peak(facts, plan, here, markets)
        smallest = min(m.accelerators for m in here)
        left = quota.accelerators - used
        limit = _most(
            f"quota.{quota.region}/{quota.accelerator}{market}",
            f"quota of {quota.accelerator} in {quota.region}"
            + (f", {quota.market}" if quota.market else ""),
            "accelerators", used, quota.accelerators, region=quota.region,
            accelerator=quota.accelerator, market=quota.market, whole=smallest,
        )  # fmt: skip
        # With less room than the smallest machine nothing more can be bought under it.
        yield replace(limit, binds=limit.binds or left < smallest)


def _spot(facts: Facts, plan: Plan) -> Iterator[Limit]:
    most = facts.instance.settings.policy.spot_share_max
    if most <= 0.0:
        return
    used: dict[tuple[str, str], float] = defaultdict(float)
    for part in facts.instance.slices:
        held: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
        for line in plan.fleet:
            if line.slice in (None, part.slice):
                both = held[line.region, line.accelerator]
                accelerators = line.accelerators * line.mean_instances(part.hours)
                both[0] += accelerators * (line.market == "spot")
                both[1] += accelerators
        for key, (spot, every) in held.items():
            used[key] = max(used[key], spot / every if every else 0.0)
    for (region, card), share in used.items():
        if share > 0.0:
            limit = _most(
                "policy.spot_share_max", f"spot share of {card} in {region}", "share", share, most,
                region=region, accelerator=card, market="spot",
            )  # fmt: skip
            # Whole machines: one more would break the share though less than all of it is used.
            yield replace(limit, binds=share >= NEAR_IN_WHOLE_MACHINES * most)


def _counts(facts: Facts, plan: Plan) -> Iterator[Limit]:
    policy = facts.instance.settings.policy
    llms = {name for row in plan.adoption for name in (row.llm, row.check_llm) if name}
    regions = {line.region for line in plan.routing if line.region and line.share > NEAR}
    for path, words, used, limit in (
        ("policy.max_llms", "llms in service", len(llms), policy.max_llms),
        ("policy.max_regions", "regions in use", len(regions), policy.max_regions),
    ):
        if limit is not None:
            yield _most(path, words, "", float(used), float(limit), whole=1)
