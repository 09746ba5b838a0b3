"""A plan joined with its instance: what its lines name, unknown names reported and left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from models.coefficients.serving import BYTES_PER_PARAMETER
from planner.incumbent import Incumbent
from planner.instance.facts import Facts, MachineFacts, VariantFacts
from planner.plan import FleetLine, Plan, ReplicaLine, RoutingLine
from planner.verify.figures import RouteAsk, RouteFigures, route_figures
from planner.verify.migration import Moves
from planner.verify.report import Findings
from planner.verify.terms import Item, Terms

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

    def __init__(self, facts: Facts, plan: Plan, incumbent: Incumbent | None) -> None:
        self.plan = plan
        self.terms = Terms(replace(facts, grid=plan.grid))
        self.moves = Moves(self.terms, incumbent)
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
            elif line.precision not in BYTES_PER_PARAMETER:
                self._unknown(subject, "precision", line.precision)
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
            subject = route_name(line)
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
        terms, subject = self.terms, route_name(line)
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
        """Most instances of a machine held at one time of a slice through a market (None: any)."""
        return sum(line.instances for line in self._lines(market, machine, in_slice))

    def held_throughout(self, market: str | None, machine: MachineFacts, in_slice: str) -> int:
        """Instances held every hour of the slice."""
        lines = self._lines(market, machine, in_slice)
        return sum(line.instances for line in lines if line.hours is None)

    def held_mean(self, market: str | None, machine: MachineFacts, in_slice: str) -> float:
        """Instances held on the mean over the hours of the slice."""
        hours = self.terms.slice_hours[in_slice]
        lines = self._lines(market, machine, in_slice)
        return sum(x.instances if x.hours is None else x.hours / hours for x in lines)

    def _lines(
        self, market: str | None, machine: MachineFacts, in_slice: str
    ) -> Iterator[FleetLine]:
        for line, of in self.fleet:
            if of is machine and market in (None, line.market) and line.slice in (None, in_slice):
                yield line

    @cached_property
    def held_machines(self) -> list[MachineFacts]:
        """Machines of which the plan holds anything."""
        return list({m.machine: m for _, m in self.fleet}.values())


def route_name(line: RoutingLine) -> str:
    """A routing line in words."""
    when = line.slice or "batch"
    return f"{line.workload} {line.length_class} {line.origin} {when} leg {line.leg}"


def _fields(line: ReplicaLine) -> tuple[object, ...]:
    return (
        *(line.region, line.offer, line.accelerator, line.llm, line.weights, line.accelerators),
        *(line.precision, line.engine, line.operating_tpot_s, line.lane_tokens),
    )


def price_usd_per_h(machine: MachineFacts, market: str) -> float | None:
    """Price of an instance in a market; None where not on sale."""
    return {
        "on-demand": machine.ondemand_usd_per_h,
        "spot": machine.spot_usd_per_h,
        "commit-1y": machine.commit_1y_usd_per_h,
        "commit-3y": machine.commit_3y_usd_per_h,
    }.get(market)
