"""A small constructive heuristic: honest, feasible plans without program or engine."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace

from planner.instance.facts import Facts, MachineFacts, VariantFacts
from planner.plan import (
    Adoption,
    Certificate,
    FleetLine,
    InstanceRef,
    Objectives,
    Plan,
    ReplicaLine,
    RoutingLine,
    TrainingLine,
)
from planner.verify import verify_plan
from planner.verify.adaptation import host_figures, training_figures
from planner.verify.figures import RouteAsk, route_figures
from planner.verify.terms import Item, Terms


def _runs(terms: Terms, asks: list[RouteAsk]) -> list[bool]:
    """Whether the routes of one item are eligible."""
    f, workload = route_figures(terms, asks), asks[0].item.workload
    runs = f.fits & (f.new_tokens <= [ask.lane_tokens for ask in asks])
    if workload.kind == "interactive":
        ttft, tpot = workload.ttft_target_s or math.inf, workload.tpot_target_s or math.inf
        runs &= (f.shift_s <= ttft) & (f.tpot_s <= tpot) & (f.attainment >= 0.9)
    return [bool(run) for run in runs]


def _options(
    terms: Terms, item: Item, variant: VariantFacts, leg: int, slice_: str
) -> list[RouteAsk]:
    """Eligible routes, one per region, nearest first."""
    llm = terms.leg_llm(variant, leg)
    places = sorted(terms.regions, key=lambda r: terms.facts.round_trip_s[item.origin, r])
    asks = [
        RouteAsk(item, variant, leg, region, slice_, machine, size, precision, tpot, lane)
        for region in places
        if terms.resident(item.workload, region)
        for machine in terms.facts.machines
        if machine.region == region and machine.ondemand_usd_per_h is not None
        for size in (1, 2, 4, 8)
        if machine.accelerators % size == 0 and size <= terms.llms[llm].max_accelerators_per_replica
        for precision in terms.llms[llm].precisions
        for tpot in sorted(terms.grid.tpot_s, reverse=True)
        for lane in terms.grid.lane_tokens
    ]
    first: dict[str | None, RouteAsk] = {}
    for ask, runs in zip(asks, _runs(terms, asks), strict=True):
        if runs:
            first.setdefault(ask.region, ask)
    return list(first.values())


def pool_name(ask: RouteAsk, weights: str) -> str:
    assert ask.machine is not None
    return (
        f"{ask.machine.machine}/{weights}/g{ask.accelerators}/{ask.precision}"
        f"/{1e3 * ask.tpot_s:g}ms/{ask.lane_tokens:g}"
    )


def honest_plan(facts: Facts, wanted: dict[str, str] | None = None, regions: int = 1) -> Plan:
    """Serve every item from its nearest `regions` regions, all rented on demand.

    `wanted` names variants; other workloads take the first that reaches the quality floor.
    """
    terms = Terms(facts)
    adopted: dict[str, VariantFacts] = {}
    for variant in facts.variants:
        name = variant.workload
        if wanted and name in wanted:
            adopted[name] = terms.variants[wanted[name]]
        elif terms.quality(variant) >= terms.workloads[name].quality_min and not variant.hosted:
            adopted.setdefault(name, variant)
    lines: list[tuple[RoutingLine, RouteAsk]] = []
    for item in terms.items.values():
        variant = adopted[item.workload.workload]
        for leg in terms.legs(variant):
            when = item.slices[-1]
            options = _options(terms, item, variant, leg, when)[:regions]
            assert len(options) == regions, (item.key, variant.variant)
            for ask in options:
                rate = float(route_figures(terms, [ask]).rate_per_s[0])
                pool = pool_name(ask, terms.leg_weights(variant, leg))
                line = RoutingLine(
                    *item.key, leg, ask.region, pool, when, 1 / regions, rate / regions
                )
                lines.append((line, ask))
    return priced(facts, _draft(terms, adopted, lines))


def _draft(
    terms: Terms, adopted: dict[str, VariantFacts], lines: list[tuple[RoutingLine, RouteAsk]]
) -> Plan:
    figures = route_figures(terms, [ask for _, ask in lines])
    load: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * 4)
    pools: dict[str, RouteAsk] = {}
    for j, (line, ask) in enumerate(lines):
        pools[str(line.pool)] = ask
        for i in range(4):
            load[str(line.pool), line.served_slice][i] += float(figures.share[j, i]) * line.share
    replicas, used = [], defaultdict(int)
    for (pool, when), rows in load.items():
        ask = pools[pool]
        machine = ask.machine
        assert machine is not None
        count = math.ceil(max(rows))
        used[machine.machine, when] += count * ask.accelerators
        replicas.append(
            ReplicaLine(
                pool,
                machine.region,
                machine.offer,
                machine.accelerator,
                terms.leg_llm(ask.variant, ask.leg),
                terms.leg_weights(ask.variant, ask.leg),
                ask.accelerators,
                ask.precision,
                terms.settings.serving.engine,
                ask.tpot_s,
                ask.lane_tokens,
                when,
                count,
            )
        )
    fixed = {m.machine: m.fixed_instances for m in terms.facts.machines}
    by_name = {m.machine: m for m in terms.facts.machines}
    fleet = [
        fleet_line(machine, "owned", None, machine.fixed_instances)
        for machine in terms.facts.machines
        if machine.fixed_instances
    ]
    for (name, when), accelerators in used.items():
        machine = by_name[name]
        rented = math.ceil(accelerators / machine.accelerators) - fixed[name]
        if rented > 0:
            fleet.append(fleet_line(machine, "on-demand", when, rented))
    hosting = {
        (ask.variant.variant, str(ask.region))
        for _, ask in lines
        if ask.leg == 0 and host_figures(terms, ask.variant, str(ask.region)).needed
    }
    return Plan(
        instance=InstanceRef(terms.settings.name, terms.facts.instance.sha256),
        period_hours=terms.period_hours,
        objectives=Objectives(0.0, 0.0, 0.0),
        cost_lines={},
        carbon_lines={},
        water_l=0.0,
        certificate=Certificate("cost", 0.0, 0.0, 0.0, "limit", "dual prices"),
        adoption=tuple(
            Adoption(
                name,
                v.llm,
                v.adaptation,
                v.method,
                v.refresh_days,
                v.check_llm,
                v.check_share,
                v.variant,
                reason="first that reaches the floor",
                break_even="",
            )
            for name, v in adopted.items()
        ),
        fleet=tuple(fleet),
        replicas=tuple(replicas),
        routing=tuple(line for line, _ in lines),
        hosting=tuple(sorted(hosting)),
        training=tuple(_training(terms, v) for v in adopted.values() if v.method is not None),
        workloads=(),
        timings={},
        assumptions=(),
        provenance={},
        grid=terms.grid,
    )


def fleet_line(machine: MachineFacts, market: str, slice_: str | None, instances: int) -> FleetLine:
    return FleetLine(
        machine.region,
        machine.offer,
        machine.accelerator,
        market,
        slice_,
        machine.accelerators,
        instances,
    )


def _training(terms: Terms, variant: VariantFacts) -> TrainingLine:
    workload, when = terms.workloads[variant.workload], next(iter(terms.slice_hours))
    for machine in terms.facts.machines:
        if machine.ondemand_usd_per_h is None or not terms.resident(workload, machine.region):
            continue
        if training_figures(terms, variant, machine, when).possible:
            return TrainingLine(
                variant.workload, variant.variant, machine.region, machine.offer, when
            )
    raise AssertionError(variant.variant)


def priced(facts: Facts, plan: Plan, incumbent: Plan | None = None) -> Plan:
    """The plan with lines, objectives and certificate that agree with its decisions."""
    report = verify_plan(facts, plan, incumbent)
    value = report.objectives.cost_usd
    return replace(
        plan,
        objectives=report.objectives,
        cost_lines=dict(report.cost_lines),
        carbon_lines=dict(report.carbon_lines),
        water_l=report.water_l,
        workloads=report.workloads,
        certificate=replace(
            plan.certificate,
            value=value,
            bound=0.9 * value,
            gap_relative=(value - 0.9 * value) / value,
        ),
    )
