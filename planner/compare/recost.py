"""The decisions of a plan under other facts: what they cost, emit and give, and what breaks.

Decisions are the fleet held, the replicas, the shares of every demand item, the variants, copies
and training runs. All figures are the independent checker's, from the facts given.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from planner.incumbent import Incumbent
from planner.instance.facts import Facts
from planner.plan import Adoption, InstanceRef, Objectives, Plan, RoutingLine
from planner.verify.case import Case
from planner.verify.check import check_decisions
from planner.verify.report import TOLERANCE
from planner.verify.terms import Terms
from planner.verify.totals import check_totals

STATED = {
    *("cost-lines", "carbon-lines", "water", "objectives", "workload-lines", "allocation"),
    *("certificate", "commitments"),
}
"""Rules about what a plan says of itself, not about what it does."""


@dataclass(frozen=True)
class Broken:
    """A rule that the decisions break: how often, and the first case in words."""

    rule: str
    count: int
    first: str

    def said(self) -> str:
        """``quota: 24 accelerators under ...; 16 allowed (and 3 more)``."""
        more = f" (and {self.count - 1} more)" if self.count > 1 else ""
        return f"{self.rule}: {self.first}{more}"


@dataclass(frozen=True)
class Recost:
    """What the decisions come to; demand that they leave without an answer has a QoE of 0."""

    cost_lines: dict[str, float]
    """USD"""
    carbon_lines: dict[str, float]
    """kgCO2e"""
    loss_lines: dict[str, float]
    """QoE lost, by workload"""
    water_l: float
    broken: tuple[Broken, ...]

    @property
    def feasible(self) -> bool:
        """Every rule is kept."""
        return not self.broken

    @property
    def objectives(self) -> Objectives:
        """The three totals."""
        return Objectives(
            sum(self.cost_lines.values()),
            sum(self.carbon_lines.values()),
            1.0 - sum(self.loss_lines.values()),
        )


def recost(facts: Facts, plan: Plan, incumbent: Incumbent | None = None) -> Recost:
    """The plan's decisions under `facts`; `incumbent` is what limits on change refer to."""
    case = Case(facts, restated(facts, plan), incumbent)
    fits = np.isfinite(case.figures.share).all(axis=1)
    for served in np.array(case.served, dtype=object)[~fits]:
        line = served.line
        case.findings.add(
            "memory-fit",
            line.pool or "",
            "room for one request",
            "none",
            f"a replica of {line.pool} cannot serve {line.workload} {line.length_class} at all",
        )
    if not fits.all():
        gone = {id(case.served[j].line) for j in np.flatnonzero(~fits)}
        kept = tuple(line for line in case.plan.routing if id(line) not in gone)
        findings, case = case.findings, Case(facts, replace(case.plan, routing=kept), incumbent)
        case.findings = findings
    check_decisions(case)
    book, _, _ = check_totals(case)
    violations = [v for v in case.findings.all() if v.rule not in STATED]
    first = {v.rule: v.message for v in reversed(violations)}
    return Recost(
        cost_lines=book.cost,
        carbon_lines=book.carbon,
        loss_lines=_loss(case),
        water_l=book.water_l,
        broken=tuple(
            Broken(rule, sum(v.rule == rule for v in violations), first[rule])
            for rule in dict.fromkeys(v.rule for v in violations)
        ),
    )


def restated(facts: Facts, plan: Plan) -> Plan:
    """The same decisions, with what they say of the facts brought up to date."""
    terms, instance = Terms(facts), facts.instance
    return replace(
        plan,
        instance=InstanceRef(instance.settings.name, instance.sha256),
        period_hours=instance.settings.period.hours,
        adoption=tuple(_adoption(terms, row) for row in plan.adoption),
        routing=tuple(_routing(terms, plan, line) for line in plan.routing),
    )


def _adoption(terms: Terms, row: Adoption) -> Adoption:
    known = terms.variants.get(row.variant)
    if known is None:
        return row
    names = ("llm", "adaptation", "method", "refresh_days", "check_llm", "check_share")
    return replace(row, **{name: getattr(known, name) for name in names})


def _routing(terms: Terms, plan: Plan, line: RoutingLine) -> RoutingLine:
    item = terms.items.get((line.workload, line.length_class, line.origin, line.slice))
    hours = terms.slice_hours.get(line.served_slice)
    variant = next((a.variant for a in plan.adoption if a.workload == line.workload), "")
    known = terms.variants.get(variant)
    if item is None or hours is None or known is None:
        return line
    requests = line.share * item.requests * terms.leg_load(known, line.leg)
    return replace(line, requests_per_s=requests / (3600.0 * hours))


def _loss(case: Case) -> dict[str, float]:
    """QoE lost by workload; what is not answered loses all of its weight."""
    terms, loss = case.terms, case.figures.loss
    lost: dict[str, float] = dict.fromkeys(terms.workloads, 0.0)
    served: dict[tuple[object, int], float] = defaultdict(float)
    for j, s in enumerate(case.served):
        lost[s.line.workload] += float(loss[j]) * s.line.share
        served[s.item.key, s.line.leg] += s.line.share
    for key, item in terms.items.items():
        name = item.workload.workload
        variant = case.adopted.get(name)
        for leg in (0,) if variant is None else terms.legs(variant):
            missing = 1.0 - served[key, leg]
            if missing > TOLERANCE:
                weight = 1.0 if variant is None else terms.leg_weight(variant, leg)
                lost[name] += missing * item.qoe_weight * weight
    return lost
