"""The rules on a plan's decisions, one function each, with plain loops over the plan's lines.

Nothing of the program or the engine is used: only the instance's facts and the plan.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from planner.instance.facts import Facts, MachineFacts, VariantFacts
from planner.plan import FleetLine, Plan, ReplicaLine, RoutingLine
from planner.verify.adaptation import host_figures, training_figures
from planner.verify.figures import RouteAsk, RouteFigures, memory_fits, route_figures
from planner.verify.report import TOLERANCE, Findings
from planner.verify.terms import MIN_REGION_SHARE, Item, Terms

CAPACITY_ROWS = ("work", "slots", "kv", "prefill")
RENTED = ("on-demand", "spot")
COMMITTED = ("commit-1y", "commit-3y")


@dataclass(frozen=True)
class Served:
    """A routing line whose names are all known, joined with what it names."""

    line: RoutingLine
    item: Item
    variant: VariantFacts
    machine: MachineFacts | None
    pool: ReplicaLine | None


class Case:
    """A plan beside its instance: joined, with unknown names reported and left out."""

    def __init__(self, facts: Facts, plan: Plan, incumbent: Plan | None) -> None:
        self.plan, self.incumbent = plan, incumbent
        self.terms = Terms(facts)
        self.findings = Findings()
        self.adopted = self._adopted()
        self.pools = self._pools()
        self.fleet = self._fleet()
        self.replicas = [line for line in plan.replicas if line.pool in self.pools]
        self.served = self._served()

    # ---- joins
    def _unknown(self, subject: str, what: str, name: object) -> None:
        self.findings.add(
            "known-names", subject, f"a known {what}", name, f"{subject} names {what} {name!r}"
        )

    def _adopted(self) -> dict[str, VariantFacts]:
        rows: dict[str, list[VariantFacts]] = defaultdict(list)
        for row in self.plan.adoption:
            variant = self.terms.variants.get(row.variant)
            if row.workload not in self.terms.workloads:
                self._unknown("adoption", "workload", row.workload)
            elif variant is None or variant.workload != row.workload:
                self._unknown(f"adoption of {row.workload}", "variant", row.variant)
            else:
                rows[row.workload].append(variant)
                names = ("llm", "adaptation", "method", "refresh_days", "check_llm", "check_share")
                stated = tuple(getattr(row, name) for name in names)
                known = tuple(getattr(variant, name) for name in names)
                if stated != known:
                    self.findings.add(
                        "adoption",
                        row.workload,
                        known,
                        stated,
                        f"{row.variant} is not described as the instance has it",
                    )
        for name in self.terms.workloads:
            if len(rows[name]) != 1:
                self.findings.add(
                    "adoption",
                    name,
                    "one variant",
                    f"{len(rows[name])} variants",
                    f"workload {name} adopts {len(rows[name])} known variants, not one",
                )
        return {name: found[0] for name, found in rows.items() if found}

    def _pools(self) -> dict[str, ReplicaLine]:
        pools: dict[str, ReplicaLine] = {}
        for line in self.plan.replicas:
            subject = f"pool {line.pool}"
            machine = self.terms.machines.get((line.region, line.offer))
            if line.slice not in self.terms.slice_hours:
                self._unknown(subject, "slice", line.slice)
            elif machine is None or machine.accelerator != line.accelerator:
                self._unknown(subject, "machine", f"{line.region}/{line.offer}")
            elif line.llm not in self.terms.llms:
                self._unknown(subject, "llm", line.llm)
            elif _fields(pools.setdefault(line.pool, line)) != _fields(line):
                self._unknown(subject, "pool with one description", _fields(line))
        return pools

    def _fleet(self) -> list[tuple[FleetLine, MachineFacts]]:
        fleet = []
        for line in self.plan.fleet:
            subject = f"fleet line {line.region}/{line.offer} {line.market}"
            machine = self.terms.machines.get((line.region, line.offer))
            if line.slice is not None and line.slice not in self.terms.slice_hours:
                self._unknown(subject, "slice", line.slice)
            elif machine is None:
                self._unknown(subject, "machine", f"{line.region}/{line.offer}")
            elif (line.accelerator, line.accelerators) != (
                machine.accelerator,
                machine.accelerators,
            ):
                make = (line.accelerator, line.accelerators)
                self._unknown(subject, "machine of that make", make)
            else:
                fleet.append((line, machine))
        return fleet

    def _served(self) -> list[Served]:
        served = []
        for line in self.plan.routing:
            subject = _route_name(line)
            item = self.terms.items.get((line.workload, line.length_class, line.origin, line.slice))
            variant = self.adopted.get(line.workload)
            pool = None if line.pool is None else self.pools.get(line.pool)
            if item is None:
                self._unknown(subject, "demand item", subject)
            elif line.served_slice not in self.terms.slice_hours:
                self._unknown(subject, "slice", line.served_slice)
            elif line.region is not None and line.region not in self.terms.region_names:
                self._unknown(subject, "region", line.region)
            elif line.pool is not None and (pool is None or pool.region != line.region):
                self._unknown(subject, "pool with replicas in that region", line.pool)
            elif variant is not None and self._leg_known(line, variant, pool):
                machine = None if pool is None else self.terms.machines[pool.region, pool.offer]
                served.append(Served(line, item, variant, machine, pool))
        return served

    def _leg_known(
        self, line: RoutingLine, variant: VariantFacts, pool: ReplicaLine | None
    ) -> bool:
        """Whether the line is a leg of the adopted variant, answered by the llm of that leg."""
        terms, subject = self.terms, _route_name(line)
        found = "shortfall" if line.region is None else "a hosted API" if pool is None else ""
        if line.leg not in terms.legs(variant):
            expected, found = f"legs {terms.legs(variant)}", f"leg {line.leg}"
        elif line.region is None:
            if terms.settings.policy.allow_shortfall:
                return True
            expected = "an answer: shortfall is not allowed"
        elif terms.leg_hosted(variant, line.leg):
            llm = terms.leg_llm(variant, line.leg)
            if pool is None and (llm, line.region) in terms.apis:
                return True
            expected = f"an API of {llm} in {line.region}"
            found = found or f"pool {line.pool}"
        else:
            weights, llm = terms.leg_weights(variant, line.leg), terms.leg_llm(variant, line.leg)
            if pool is not None and (pool.weights, pool.llm) == (weights, llm):
                return True
            expected = f"a pool with weights {weights}"
            found = found or f"pool {line.pool} with weights {pool.weights if pool else None}"
        self.findings.add(
            "adopted-llm",
            subject,
            expected,
            found,
            f"{subject} of variant {variant.variant} needs {expected}, has {found}",
        )
        return False

    # ---- figures
    @cached_property
    def figures(self) -> RouteFigures:
        """Figures of the served lines, in their order."""
        return route_figures(
            self.terms,
            [
                RouteAsk(
                    item=s.item,
                    variant=s.variant,
                    leg=s.line.leg,
                    region=s.line.region,
                    slice=s.line.served_slice,
                    machine=s.machine,
                    accelerators=s.pool.accelerators if s.pool else 1,
                    precision=s.pool.precision if s.pool else "",
                    tpot_s=s.pool.operating_tpot_s if s.pool else 0.0,
                    lane_tokens=s.pool.lane_tokens if s.pool else 0.0,
                )
                for s in self.served
            ],
        )

    def held(self, market: str | None, machine: MachineFacts, in_slice: str) -> int:
        """Instances of a machine held in a slice through a market (None: any)."""
        return sum(
            line.instances
            for line, of in self.fleet
            if of is machine
            and (market is None or line.market == market)
            and (line.slice is None or line.slice == in_slice)
        )

    @cached_property
    def held_machines(self) -> list[MachineFacts]:
        """Machines of which the plan holds anything."""
        return list({m.machine: m for _, m in self.fleet}.values())


def _route_name(line: RoutingLine) -> str:
    when = line.slice or "batch"
    return f"{line.workload} {line.length_class} {line.origin} {when} leg {line.leg}"


def _fields(line: ReplicaLine) -> tuple[object, ...]:
    return (
        *(line.region, line.offer, line.accelerator, line.llm, line.weights, line.accelerators),
        *(line.precision, line.engine, line.operating_tpot_s, line.lane_tokens),
    )


# ------------------------------------------------------------------ the plan as a whole


def check_decisions(case: Case) -> None:
    """All rules on decisions; totals are checked in `planner.verify.totals`."""
    check_instance(case)
    check_whole_numbers(case)
    check_quality_floor(case)
    check_pools(case)
    check_routes(case)
    check_demand_served(case)
    check_replica_capacity(case)
    check_machine_capacity(case)
    check_markets(case)
    check_quotas(case)
    check_owned(case)
    check_spot_share(case)
    check_region_loss(case)
    check_regions(case)
    check_max_llms(case)
    check_attainment(case)
    check_hosting(case)
    check_training(case)
    check_changes(case)


def check_instance(case: Case) -> None:
    """The plan names this instance, its content and its period."""
    instance, stated = case.terms.facts.instance, case.plan.instance
    for what, expected, found in (
        ("name", case.terms.settings.name, stated.name),
        ("sha256", instance.sha256, stated.sha256),
        ("period, hours", case.terms.period_hours, case.plan.period_hours),
    ):
        if expected != found:
            case.findings.add(
                "instance", what, expected, found, f"{what} of the plan: {found}, not {expected}"
            )


def check_whole_numbers(case: Case) -> None:
    """Replicas and instances are whole and not negative."""
    counts = [(f"replicas of {r.pool} in {r.slice}", r.replicas) for r in case.plan.replicas]
    counts += [
        (f"instances of {f.region}/{f.offer} {f.market} in {f.slice or 'all slices'}", f.instances)
        for f in case.plan.fleet
    ]
    for subject, count in counts:
        if count < 0 or count != int(count):
            case.findings.add(
                "whole-numbers", subject, "0, 1, 2, ...", count, f"{subject}: {count}"
            )


# ------------------------------------------------------------------ eligibility


def check_quality_floor(case: Case) -> None:
    """Quality after staleness reaches the floor of the workload."""
    for name, variant in case.adopted.items():
        floor, quality = case.terms.workloads[name].quality_min, case.terms.quality(variant)
        if quality < floor - TOLERANCE:
            case.findings.add(
                "quality-floor",
                name,
                floor,
                quality,
                f"{variant.variant} answers {name} with quality {quality:.4f}, below {floor:.4f}",
            )


def check_pools(case: Case) -> None:
    """Pools are of a kind that the instance offers: engine, precision, operating point, memory."""
    serving = case.terms.settings.serving
    for name, pool in case.pools.items():
        machine, llm = case.terms.machines[pool.region, pool.offer], case.terms.llms[pool.llm]
        offered: tuple[tuple[str, object, Iterable[object]], ...] = (
            ("engine", pool.engine, (serving.engine,)),
            ("operating point, s", pool.operating_tpot_s, serving.operating_tpot_s),
            ("prompt lane, tokens", pool.lane_tokens, serving.prompt_lane_tokens),
            ("precision", pool.precision, llm.precisions),
        )
        for what, found, allowed in offered:
            if found not in tuple(allowed):
                case.findings.add(
                    "operating-point",
                    name,
                    tuple(allowed),
                    found,
                    f"pool {name} has {what} {found}, which the instance does not offer",
                )
        size = pool.accelerators
        if size < 1 or machine.accelerators % size or size > llm.max_accelerators_per_replica:
            limit = llm.max_accelerators_per_replica
            case.findings.add(
                "divisibility",
                name,
                f"a divisor of {machine.accelerators}, at most {limit}",
                size,
                f"pool {name} has replicas of {size} accelerators on instances of "
                f"{machine.accelerators}",
            )
        elif not memory_fits(case.terms, machine.accelerator, pool.llm, size, pool.precision):
            case.findings.add(
                "memory-fit",
                name,
                "weights fit",
                f"{size} x {machine.accelerator}",
                f"{pool.llm} in {pool.precision} does not fit {size} x {machine.accelerator}",
            )


def check_routes(case: Case) -> None:
    """Every route in use is eligible, in an allowed slice, with the stated rate."""
    f, add = case.figures, case.findings.add
    for j, s in enumerate(case.served):
        name, line, workload = _route_name(s.line), s.line, s.item.workload
        if line.served_slice not in s.item.slices:
            add(
                "allowed-slice",
                name,
                s.item.slices,
                line.served_slice,
                f"{name} is served in {line.served_slice}",
            )
        rate = line.share * f.rate_per_s[j]
        case.findings.close(
            "rates",
            name,
            float(rate),
            line.requests_per_s,
            f"{name}: {line.requests_per_s:g} requests/s stated, {rate:g} by its share",
        )
        if line.share <= TOLERANCE or line.region is None:
            continue
        if not case.terms.resident(workload, line.region):
            add(
                "residency",
                name,
                workload.residency,
                line.region,
                f"{name} is answered in {line.region}, outside {workload.residency}",
            )
        limit = case.terms.llms.get(case.terms.leg_llm(s.variant, line.leg))
        if limit is not None and f.context_tokens[j] > limit.context_tokens:
            add(
                "context-length",
                name,
                limit.context_tokens,
                float(f.context_tokens[j]),
                f"{name} needs a context of {f.context_tokens[j]:g} tokens; {limit.llm} has "
                f"{limit.context_tokens}",
            )
        if s.pool is not None:
            _check_pool_route(case, j, s, s.pool)
        if workload.kind == "interactive":
            _check_latency(case, j, s)


def _check_pool_route(case: Case, j: int, s: Served, pool: ReplicaLine) -> None:
    f, add, name = case.figures, case.findings.add, _route_name(s.line)
    if f.new_tokens[j] > pool.lane_tokens:
        add(
            "prompt-lane",
            name,
            pool.lane_tokens,
            float(f.new_tokens[j]),
            f"{name} has prompts of {f.new_tokens[j]:g} tokens in a lane of {pool.lane_tokens:g}",
        )
    if pool.operating_tpot_s <= f.alpha_s[j]:
        add(
            "operating-point",
            name,
            f"above {f.alpha_s[j]:.6g} s",
            pool.operating_tpot_s,
            f"{name}: an iteration of {pool.pool} lasts at least {1e3 * f.alpha_s[j]:.1f} ms",
        )
    elif not f.fits[j]:
        add(
            "memory-fit",
            name,
            "room for one request",
            pool.pool,
            f"{name}: no request of {f.context_tokens[j]:g} tokens fits a replica of {pool.pool}",
        )


def _check_latency(case: Case, j: int, s: Served) -> None:
    f, workload, name = case.figures, s.item.workload, _route_name(s.line)
    first_s = float(f.shift_s[j] + (f.residual_s[j] if s.pool is None else 0.0))
    for what, target, found in (
        ("TPOT", workload.tpot_target_s, float(f.tpot_s[j])),
        ("TTFT without waiting", workload.ttft_target_s, first_s),
    ):
        if target is not None and found > target * (1 + 1e-9):
            case.findings.add(
                "latency-target",
                name,
                target,
                found,
                f"{name}: {what} {1e3 * found:.1f} ms, target {1e3 * target:.1f} ms",
            )


# ------------------------------------------------------------------ demand and capacity


def check_demand_served(case: Case) -> None:
    """Shares of every (item, leg) add up to one and none is negative."""
    served: dict[tuple[object, int], float] = defaultdict(float)
    for s in case.served:
        served[s.item.key, s.line.leg] += s.line.share
        if s.line.share < 0:
            case.findings.add(
                "demand-served",
                _route_name(s.line),
                "at least 0",
                s.line.share,
                f"{_route_name(s.line)} has share {s.line.share:g}",
            )
    for key, item in case.terms.items.items():
        variant = case.adopted.get(item.workload.workload)
        for leg in case.terms.legs(variant) if variant is not None else (0,):
            total = served[key, leg]
            if abs(total - 1.0) > TOLERANCE:
                name = " ".join([*key[:3], key[3] or "batch", f"leg {leg}"])
                case.findings.add(
                    "demand-served", name, 1.0, total, f"{total:.9g} of {name} is served, not all"
                )


def check_replica_capacity(case: Case) -> None:
    """Replicas of every pool and slice carry the four rows of the capacity law."""
    load: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * 4)
    for j, s in enumerate(case.served):
        if s.pool is not None and s.line.share > 0:
            rows = load[s.pool.pool, s.line.served_slice]
            for i in range(4):
                rows[i] += float(case.figures.share[j, i]) * s.line.share
    replicas: dict[tuple[str, str], int] = defaultdict(int)
    for line in case.replicas:
        replicas[line.pool, line.slice] += line.replicas
    for (pool, in_slice), rows in load.items():
        held = replicas[pool, in_slice]
        for row, needed in zip(CAPACITY_ROWS, rows, strict=True):
            if needed > held + TOLERANCE * max(1.0, held):
                case.findings.add(
                    "replica-capacity",
                    f"{pool} in {in_slice}",
                    f"at least {needed:.9g}",
                    held,
                    f"{pool} in {in_slice} needs {needed:.4f} replicas for its {row}, has {held}",
                )


def check_machine_capacity(case: Case) -> None:
    """Accelerators of the replicas fit the instances held, spot counted at its availability."""
    used: dict[tuple[str, str, str], int] = defaultdict(int)
    for line in case.replicas:
        used[line.region, line.offer, line.slice] += line.accelerators * line.replicas
    availability = case.terms.settings.policy.spot_availability
    for (region, offer, in_slice), accelerators in used.items():
        machine = case.terms.machines[region, offer]
        spot = case.held("spot", machine, in_slice)
        firm = case.held(None, machine, in_slice) - spot
        room = machine.accelerators * (firm + availability * spot)
        if accelerators > room * (1 + TOLERANCE) + TOLERANCE:
            case.findings.add(
                "machine-capacity",
                f"{machine.machine} in {in_slice}",
                f"at most {room:g}",
                accelerators,
                f"replicas use {accelerators} accelerators of {machine.machine} in {in_slice}; "
                f"{room:g} are held",
            )


# ------------------------------------------------------------------ procurement


def price_usd_per_h(machine: MachineFacts, market: str) -> float | None:
    """Price of an instance in a market; None where not on sale."""
    return {
        "on-demand": machine.ondemand_usd_per_h,
        "spot": machine.spot_usd_per_h,
        "commit-1y": machine.commit_1y_usd_per_h,
        "commit-3y": machine.commit_3y_usd_per_h,
    }.get(market)


def check_markets(case: Case) -> None:
    """Markets are priced and allowed, rented by slice or committed as they must; stock suffices."""
    policy = case.terms.settings.policy
    for line, machine in case.fleet:
        if line.instances == 0:
            continue
        subject = f"{machine.machine} {line.market}"
        if line.market in RENTED:
            allowed = line.slice is not None
            allowed &= line.market != "spot" or policy.spot_share_max > 0
        elif line.market in COMMITTED:
            allowed = line.slice is None and line.market in policy.commitments
        else:
            allowed = line.market == "owned" and line.slice is None
        priced = line.market == "owned" or price_usd_per_h(machine, line.market) is not None
        if not (allowed and priced):
            why = "is not for sale" if allowed else "is not allowed so"
            case.findings.add(
                "market",
                subject,
                "a market that is priced and allowed",
                f"{line.market}, slice {line.slice}",
                f"{line.instances} x {subject} (slice {line.slice or 'all'}) {why}",
            )
    for machine in case.held_machines:
        for market in (*RENTED, *COMMITTED):
            for in_slice in case.terms.slice_hours:
                held = case.held(market, machine, in_slice)
                if machine.max_instances is not None and held > machine.max_instances:
                    case.findings.add(
                        "stock",
                        f"{machine.machine} {market} in {in_slice}",
                        machine.max_instances,
                        held,
                        f"{held} instances of {machine.machine} {market} held in {in_slice}; "
                        f"{machine.max_instances} are on sale",
                    )


def check_quotas(case: Case) -> None:
    """Accelerators bought in a region stay within every quota, owned ones apart."""
    for quota in case.terms.facts.instance.quotas:
        markets = (*RENTED, *COMMITTED) if quota.market is None else (quota.market,)
        for in_slice in case.terms.slice_hours:
            held = sum(
                machine.accelerators * case.held(market, machine, in_slice)
                for machine in case.held_machines
                if (machine.region, machine.accelerator) == (quota.region, quota.accelerator)
                for market in markets
            )
            if held > quota.accelerators + TOLERANCE:
                name = f"{quota.region} {quota.accelerator} {quota.market or 'all markets'}"
                case.findings.add(
                    "quota",
                    f"{name} in {in_slice}",
                    quota.accelerators,
                    held,
                    f"{held} accelerators under quota {name} in {in_slice}; "
                    f"{quota.accelerators:g} allowed",
                )


def check_owned(case: Case) -> None:
    """Owned and committed machines of the instance are in the fleet, exactly."""
    stated: dict[str, int] = defaultdict(int)
    for line, machine in case.fleet:
        if line.market == "owned":
            stated[machine.machine] += line.instances
    for machine in case.terms.facts.machines:
        if stated[machine.machine] != machine.fixed_instances:
            case.findings.add(
                "owned",
                machine.machine,
                machine.fixed_instances,
                stated[machine.machine],
                f"{stated[machine.machine]} owned instances of {machine.machine} stated, the "
                f"instance has {machine.fixed_instances}",
            )


def check_spot_share(case: Case) -> None:
    """Spot accelerators per (region, accelerator, slice) stay within the share allowed."""
    limit = case.terms.settings.policy.spot_share_max
    for in_slice in case.terms.slice_hours:
        spot: dict[tuple[str, str], int] = defaultdict(int)
        total: dict[tuple[str, str], int] = defaultdict(int)
        for machine in case.held_machines:
            key = (machine.region, machine.accelerator)
            spot[key] += machine.accelerators * case.held("spot", machine, in_slice)
            total[key] += machine.accelerators * case.held(None, machine, in_slice)
        for key, held in spot.items():
            if held > limit * total[key] * (1 + TOLERANCE) + TOLERANCE:
                name = " ".join([*key, in_slice])
                case.findings.add(
                    "spot-share",
                    name,
                    limit,
                    held / total[key],
                    f"{held} of {total[key]} accelerators in {name} are spot; {limit:.0%} allowed",
                )


# ------------------------------------------------------------------ policies


def check_region_loss(case: Case) -> None:
    """No region serves more of a slice's demand than may be lost."""
    share: dict[tuple[str, str, str], float] = defaultdict(float)
    for s in case.served:
        if s.line.leg == 0 and s.line.region is not None and s.item.slice is not None:
            key = (s.line.workload, s.line.region, s.line.served_slice)
            share[key] += s.item.slice_weight * s.line.share
    for (workload, region, in_slice), found in share.items():
        limit = case.terms.region_share_max(case.terms.workloads[workload])
        if limit is not None and found > limit + TOLERANCE:
            case.findings.add(
                "region-loss",
                f"{workload} in {region}, {in_slice}",
                limit,
                found,
                f"{region} serves {found:.4f} of {workload} in {in_slice}; at most {limit:.4f}",
            )


def check_regions(case: Case) -> None:
    """Enough regions per workload, not too many in all."""
    share: dict[tuple[str, str], float] = defaultdict(float)
    used: set[str] = set()
    for s in case.served:
        if s.line.region is not None and s.line.share > TOLERANCE:
            used.add(s.line.region)
            if s.line.leg == 0:
                share[s.line.workload, s.line.region] += s.item.weight * s.line.share
    for name, workload in case.terms.workloads.items():
        least = MIN_REGION_SHARE - TOLERANCE
        enough = [r for (w, r), x in share.items() if w == name and x >= least]
        if workload.min_regions > 1 and len(enough) < workload.min_regions:
            case.findings.add(
                "min-regions",
                name,
                workload.min_regions,
                len(enough),
                f"{len(enough)} regions serve {MIN_REGION_SHARE:.0%} or more of {name}; "
                f"{workload.min_regions} must",
            )
    limit = case.terms.settings.policy.max_regions
    if limit is not None and len(used) > limit:
        case.findings.add(
            "max-regions",
            "regions",
            limit,
            len(used),
            f"{len(used)} regions in use ({', '.join(sorted(used))}); {limit} allowed",
        )


def check_max_llms(case: Case) -> None:
    """No more llms in service than allowed, those of checks included."""
    limit = case.terms.settings.policy.max_llms
    used = {
        case.terms.leg_llm(variant, leg)
        for variant in case.adopted.values()
        for leg in case.terms.legs(variant)
    }
    if limit is not None and len(used) > limit:
        case.findings.add(
            "max-llms",
            "llms",
            limit,
            len(used),
            f"{len(used)} llms in service ({', '.join(sorted(used))}); {limit} allowed",
        )


def check_attainment(case: Case) -> None:
    """Enough of a workload's requests meet their targets; its own QoE floor is reached."""
    reached: dict[str, float] = defaultdict(float)
    lost: dict[str, float] = defaultdict(float)
    scored: dict[str, float] = defaultdict(float)
    for item in case.terms.items.values():
        scored[item.workload.workload] += item.qoe_weight
    for j, s in enumerate(case.served):
        name = s.line.workload
        reached[name] += s.item.weight * float(case.figures.attainment[j]) * s.line.share
        lost[name] += float(case.figures.loss[j]) * s.line.share
    for name, workload in case.terms.workloads.items():
        if not scored[name]:
            continue
        floor = case.terms.attainment_min(workload)
        if floor is not None and reached[name] < floor - TOLERANCE:
            case.findings.add(
                "attainment",
                name,
                floor,
                reached[name],
                f"{reached[name]:.4f} of {name} meet the latency targets; {floor:.4f} must",
            )
        qoe = 1.0 - lost[name] / scored[name]
        if qoe < workload.qoe_min - TOLERANCE:
            case.findings.add(
                "qoe-floor",
                name,
                workload.qoe_min,
                qoe,
                f"QoE of {name} is {qoe:.4f}, below its floor {workload.qoe_min:.4f}",
            )


# ------------------------------------------------------------------ adaptation and change


def check_hosting(case: Case) -> None:
    """Copies of indexes and adapters are where answers are given with them, and allowed there."""
    copies = set(case.plan.hosting)
    for variant_id, region in case.plan.hosting:
        variant = case.terms.variants.get(variant_id)
        subject = f"copy of {variant_id} in {region}"
        if variant is None or region not in case.terms.region_names:
            case.findings.add(
                "known-names", subject, "a variant and a region", subject, f"{subject}: unknown"
            )
        elif not case.terms.resident(case.terms.workloads[variant.workload], region):
            case.findings.add(
                "residency", subject, "an allowed region", region, f"{subject} is not allowed there"
            )
    missing: set[tuple[str, str]] = set()
    for s in case.served:
        if s.line.leg == 0 and s.line.region is not None and s.line.share > TOLERANCE:
            copy = host_figures(case.terms, s.variant, s.line.region)
            key = (s.variant.variant, s.line.region)
            if copy.needed and key not in copies:
                missing.add(key)
    for variant_id, region in sorted(missing):
        case.findings.add(
            "hosting",
            f"{variant_id} in {region}",
            "a copy",
            "none",
            f"{region} answers with {variant_id} without a copy of its index or adapter",
        )


def check_training(case: Case) -> None:
    """Every adopted fine-tune is trained in exactly one place that can; nothing else is."""
    runs: dict[str, int] = defaultdict(int)
    for line in case.plan.training:
        subject = f"training of {line.variant} on {line.region}/{line.offer}"
        variant = case.terms.variants.get(line.variant)
        machine = case.terms.machines.get((line.region, line.offer))
        if variant is None or machine is None or line.slice not in case.terms.slice_hours:
            found = f"{subject} in {line.slice}"
            case.findings.add("known-names", subject, "known names", found, f"{found}: unknown")
            continue
        runs[line.variant] += 1
        workload = case.terms.workloads[variant.workload]
        reason = ""
        if case.adopted.get(line.workload) is not variant or variant.method is None:
            reason = "it is not an adopted fine-tune of that workload"
        elif machine.ondemand_usd_per_h is None:
            reason = "the machine has no on-demand price"
        elif not training_figures(case.terms, variant, machine, line.slice).possible:
            reason = f"{machine.machine} has not enough instances to hold the training state"
        if reason:
            case.findings.add("training", subject, "a possible run", reason, f"{subject}: {reason}")
        if not case.terms.resident(workload, line.region):
            case.findings.add(
                "residency", subject, workload.residency, line.region, f"{subject} is not allowed"
            )
    for variant in case.adopted.values():
        if variant.method is not None and runs[variant.variant] != 1:
            case.findings.add(
                "training",
                variant.variant,
                "one run",
                f"{runs[variant.variant]} runs",
                f"{variant.variant} is adopted and has {runs[variant.variant]} training runs",
            )


def incumbent_accelerators(case: Case) -> dict[str, float]:
    """Peak accelerators held by the incumbent, by machine."""
    if case.incumbent is None:
        return {}
    peak: dict[str, float] = defaultdict(float)
    for in_slice in case.terms.slice_hours:
        held: dict[str, float] = defaultdict(float)
        for line in case.incumbent.fleet:
            if line.slice in (None, in_slice):
                held[f"{line.region}/{line.offer}"] += line.accelerators * line.instances
        for machine, accelerators in held.items():
            peak[machine] = max(peak[machine], accelerators)
    return peak


def added_accelerators(case: Case) -> float:
    """Accelerators held above the incumbent's peak, over all machines; 0 without an incumbent."""
    if case.incumbent is None:
        return 0.0
    peak = incumbent_accelerators(case)
    added = 0.0
    for machine in case.held_machines:
        most = max(case.held(None, machine, t) for t in case.terms.slice_hours)
        added += max(0.0, machine.accelerators * most - peak.get(machine.machine, 0.0))
    return added


def changed_workloads(case: Case) -> list[str]:
    """Workloads whose variant is not the incumbent's; none without an incumbent."""
    if case.incumbent is None:
        return []
    before = {row.workload: row.variant for row in case.incumbent.adoption}
    return [w for w, v in case.adopted.items() if before.get(w) != v.variant]


def check_changes(case: Case) -> None:
    """Change against the incumbent stays within the limits of the policy."""
    policy = case.terms.settings.policy
    added, changed = added_accelerators(case), changed_workloads(case)
    limit = policy.max_added_accelerators
    if limit is not None and added > limit + TOLERANCE:
        case.findings.add(
            "added-accelerators",
            "fleet",
            limit,
            added,
            f"{added:g} accelerators above the incumbent's peak; {limit} allowed",
        )
    most = policy.max_changed_workloads
    if most is not None and len(changed) > most:
        case.findings.add(
            "changed-workloads",
            ", ".join(changed),
            most,
            len(changed),
            f"{len(changed)} workloads change their variant; {most} allowed",
        )
