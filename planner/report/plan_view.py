"""One plan as a reader meets it: what is held, where demand goes, what each workload gets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from planner.answer.words import adaptation_said
from planner.instance.facts import Facts
from planner.plan import Objectives, Plan
from planner.report.bands import Factors, Speeds, workload_bands

MARKETS = ("owned", "commit-3y", "commit-1y", "on-demand", "spot")
"""From what is bound longest to what may be taken away."""
COMMITTED = ("owned", "commit-3y", "commit-1y")
NOT_ANSWERED = "not answered"


@dataclass(frozen=True)
class FleetRow:
    """Accelerators held in one market of one offer: most at once, and mean over the period."""

    region: str
    accelerator: str
    offer: str
    market: str
    peak_accelerators: int
    mean_accelerators: float


@dataclass(frozen=True)
class ServedRow:
    """Share of an origin's requests of the period that a region answers."""

    origin: str
    region: str
    share: float


@dataclass(frozen=True)
class AdaptationRow:
    """What a workload is answered with, why, and where the verdict turns."""

    workload: str
    llm: str
    adaptation: str
    """``base``, ``rag``, ``fine-tune`` or ``rag+fine-tune``"""
    said: str
    variant: str
    reason: str
    break_even: str


@dataclass(frozen=True)
class WorkloadRow:
    """What a workload gets and costs; bands are 80 % and None where nothing is known."""

    workload: str
    qoe: float
    qoe_band: Factors | None
    ttft_p95_s: float
    ttft_p95_band_s: Factors | None
    ttft_target_s: float | None
    tpot_mean_s: float
    tpot_mean_band_s: Factors | None
    tpot_target_s: float | None
    attainment: float
    attainment_min: float | None
    """None: nothing is asked (batch, or no target)"""
    usd_per_mtok: float
    gco2e_per_ktok: float


@dataclass(frozen=True)
class Decisions:
    """A plan's main decisions in numbers."""

    accelerators_mean: float
    """held, mean over the period"""
    regions: int
    """that answer anything, hosted ones included"""
    llms: int
    """in service, checking ones included"""
    workloads_rag: int
    """answered with retrieval, fine-tuned or not"""
    workloads_fine_tuned: int
    """answered by a fine-tuned llm, with retrieval or not"""
    committed_share: float
    """of accelerator-hours: owned or committed"""
    liability_usd: float
    """signed beyond the period, as far as it is known"""
    spot_share: float
    """of accelerator-hours"""
    hosted_share: float
    """of requests answered by hosted llms"""


@dataclass(frozen=True)
class PlanView:
    """Everything that the page says about one plan."""

    id: str
    objectives: Objectives
    fleet: tuple[FleetRow, ...]
    served: tuple[ServedRow, ...]
    adaptation: tuple[AdaptationRow, ...]
    workloads: tuple[WorkloadRow, ...]
    cost_lines: Mapping[str, float]
    """USD of the period, as in the plan"""
    carbon_lines: Mapping[str, float]
    """kgCO2e of the period, as in the plan"""
    water_l: float
    decisions: Decisions


def plan_view(name: str, plan: Plan, facts: Facts, speeds: Speeds) -> PlanView:
    """The view of a plan of the instance behind `facts`; `speeds` as of `bands.pool_bands`."""
    hours = {row.slice: row.hours for row in facts.instance.slices}
    fleet = fleet_rows(plan, hours)
    served = served_rows(plan, hours)
    return PlanView(
        id=name,
        objectives=plan.objectives,
        fleet=fleet,
        served=served,
        adaptation=adaptation_rows(plan),
        workloads=workload_rows(plan, facts, speeds),
        cost_lines=plan.cost_lines,
        carbon_lines=plan.carbon_lines,
        water_l=plan.water_l,
        decisions=decisions_of(plan, fleet, hours),
    )


def fleet_rows(plan: Plan, slice_hours: Mapping[str, float]) -> tuple[FleetRow, ...]:
    """Rows by region (most accelerators first), accelerator, offer and market."""
    whole = sum(slice_hours.values())
    held: dict[tuple[str, str, str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    mean: dict[tuple[str, str, str, str], float] = defaultdict(float)
    for line in plan.fleet:
        key = (line.region, line.accelerator, line.offer, line.declared or line.market)
        for name in slice_hours if line.slice is None else (line.slice,):
            held[key][name] += line.accelerators * line.instances
            hours = slice_hours[name]
            mean[key] += line.accelerators * line.mean_instances(hours) * hours
    rows = [
        FleetRow(
            *key,
            peak_accelerators=max(by_slice.values()),
            mean_accelerators=mean[key] / whole,
        )
        for key, by_slice in held.items()
    ]
    of_region: dict[str, float] = defaultdict(float)
    for row in rows:
        of_region[row.region] += row.mean_accelerators
    return tuple(
        sorted(
            rows,
            key=lambda row: (
                *(-of_region[row.region], row.region, row.accelerator, row.offer),
                MARKETS.index(row.market),
            ),
        )
    )


def served_rows(plan: Plan, slice_hours: Mapping[str, float]) -> tuple[ServedRow, ...]:
    """Shares of each origin's requests by region, largest first; check answers not counted."""
    amounts: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for line in plan.routing:
        if line.leg == 0:
            requests = line.requests_per_s * slice_hours[line.served_slice]
            amounts[line.origin][line.region or NOT_ANSWERED] += requests
    rows = []
    for origin, by_region in amounts.items():
        whole = sum(by_region.values())
        ordered = sorted(by_region.items(), key=lambda part: -part[1])
        rows += [ServedRow(origin, region, value / whole) for region, value in ordered if value]
    return tuple(rows)


def adaptation_rows(plan: Plan) -> tuple[AdaptationRow, ...]:
    """One row per workload, in the plan's order."""
    return tuple(
        AdaptationRow(
            workload=row.workload,
            llm=row.llm,
            adaptation=row.adaptation,
            said=adaptation_said(row),
            variant=row.variant,
            reason=row.reason,
            break_even=row.break_even,
        )
        for row in plan.adoption
    )


def workload_rows(plan: Plan, facts: Facts, speeds: Speeds) -> tuple[WorkloadRow, ...]:
    """One row per workload with demand, in the plan's order."""
    bands = workload_bands(facts, plan, speeds)
    asked = {row.workload: row for row in facts.instance.workloads}
    least = facts.instance.settings.policy.attainment_min
    rows = []
    for line in plan.workloads:
        band, target = bands[line.workload], asked.get(line.workload)
        timed = target is not None and target.kind == "interactive"
        targets = (target.ttft_target_s, target.tpot_target_s) if timed and target else (None, None)
        attainment_min = None
        if target is not None and any(value is not None for value in targets):
            attainment_min = least if target.attainment_min is None else target.attainment_min
        rows.append(
            WorkloadRow(
                workload=line.workload,
                qoe=line.qoe,
                qoe_band=_scaled(line.qoe, band.qoe, most=1.0),
                ttft_p95_s=line.ttft_p95_s,
                ttft_p95_band_s=_scaled(line.ttft_p95_s, band.ttft),
                ttft_target_s=targets[0],
                tpot_mean_s=line.tpot_mean_s,
                tpot_mean_band_s=_scaled(line.tpot_mean_s, band.tpot),
                tpot_target_s=targets[1],
                attainment=line.attainment,
                attainment_min=attainment_min,
                usd_per_mtok=line.usd_per_mtok,
                gco2e_per_ktok=line.gco2e_per_ktok,
            )
        )
    return tuple(rows)


def _scaled(value: float, factors: Factors | None, most: float = float("inf")) -> Factors | None:
    if factors is None:
        return None
    return min(value * factors[0], most), min(value * factors[1], most)


def decisions_of(
    plan: Plan, fleet: tuple[FleetRow, ...], slice_hours: Mapping[str, float]
) -> Decisions:
    """The decisions in numbers; shares are 0 where nothing is held or asked."""
    held = sum(row.mean_accelerators for row in fleet)
    committed = sum(row.mean_accelerators for row in fleet if row.market in COMMITTED)
    spot = sum(row.mean_accelerators for row in fleet if row.market == "spot")
    requests = hosted = 0.0
    for line in plan.routing:
        if line.leg == 0:
            amount = line.requests_per_s * slice_hours[line.served_slice]
            requests += amount
            hosted += amount if line.pool is None and line.region is not None else 0.0
    llms = {row.llm for row in plan.adoption} | {
        row.check_llm for row in plan.adoption if row.check_llm is not None
    }
    return Decisions(
        accelerators_mean=held,
        regions=len({line.region for line in plan.routing if line.region is not None}),
        llms=len(llms),
        workloads_rag=sum("rag" in row.adaptation for row in plan.adoption),
        workloads_fine_tuned=sum("fine-tune" in row.adaptation for row in plan.adoption),
        committed_share=committed / held if held else 0.0,
        liability_usd=plan.liability_usd,
        spot_share=spot / held if held else 0.0,
        hosted_share=hosted / requests if requests else 0.0,
    )
