"""Objectives and lines recomputed from the plan's decisions, and compared with what it states."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from scipy.optimize import brentq

from planner.instance.facts import MachineFacts
from planner.plan import Objectives, WorkloadLine
from planner.verify.adaptation import (
    embodied_kg_per_h,
    host_figures,
    host_w,
    reembedding_usd,
    staff_usd,
    training_figures,
)
from planner.verify.case import Case, price_usd_per_h
from planner.verify.fleet import added_accelerators
from planner.verify.formulas import decoding_w, water_l
from planner.verify.report import TOLERANCE
from planner.verify.terms import Terms

COST_LINES = (
    *("on-demand", "spot", "commit-1y", "commit-3y", "owned and committed"),
    *("api tokens", "retrieval", "network", "shortfall"),
    *("adaptation staff", "re-embedding"),
    *("migration work", "migration fine-tune", "migration index"),
    *("index hosting", "training compute", "migration machines", "region fixed"),
)
PROOFS = ("dual prices", "branch and bound")
CARBON_LINES = (
    *("serving energy", "api", "idle energy", "embodied", "index", "migration", "training"),
)

Lines = dict[str, float]


@dataclass
class Ledger:
    """Every amount of the plan, filed by line and by who caused it."""

    cost: Lines
    carbon: Lines
    water_l: float
    own_cost: Lines
    """by workload: its routes, variant, copies and training"""
    own_carbon: Lines
    machine_cost: Lines
    """by machine, all markets"""
    machine_carbon: Lines

    def pay(self, line: str, usd: float, workload: str | None = None) -> None:
        """File a cost, to a workload where it caused it."""
        self.cost[line] += usd
        if workload is not None:
            self.own_cost[workload] += usd

    def emit(self, line: str, kgco2e: float, workload: str | None = None) -> None:
        """File carbon, to a workload where it caused it."""
        self.carbon[line] += kgco2e
        if workload is not None:
            self.own_carbon[workload] += kgco2e


def ledger(case: Case) -> Ledger:
    """All amounts of the plan, by plain loops over its lines."""
    book = Ledger(
        dict.fromkeys(COST_LINES, 0.0),
        dict.fromkeys(CARBON_LINES, 0.0),
        0.0,
        *(defaultdict(float) for _ in range(4)),
    )
    _routes(case, book)
    _variants(case, book)
    _replicas(case, book)
    _machines(case, book)
    _policies(case, book)
    return book


def _routes(case: Case, book: Ledger) -> None:
    for j, s in enumerate(case.served):
        for line, usd in case.figures.cost_lines.items():
            book.pay(line, float(usd[j]) * s.line.share, s.line.workload)
        for line, kgco2e in case.figures.carbon_lines.items():
            book.emit(line, float(kgco2e[j]) * s.line.share, s.line.workload)
        book.water_l += float(case.figures.water_l[j]) * s.line.share


def _variants(case: Case, book: Ledger) -> None:
    terms, moves = case.terms, case.moves
    for name, variant in case.adopted.items():
        book.pay("adaptation staff", staff_usd(terms, variant), name)
        book.pay("re-embedding", reembedding_usd(terms, variant), name)
        book.pay("migration work", moves.work_usd(variant), name)
        book.pay("migration fine-tune", moves.first_tune_usd(variant), name)
        book.pay("migration index", moves.first_index_usd(variant), name)
    for variant_id, region in dict.fromkeys(case.plan.hosting):
        host = terms.variants.get(variant_id)
        if host is not None and region in terms.region_names:
            copy = host_figures(terms, host, region)
            book.pay("index hosting", copy.cost_usd, host.workload)
            book.emit("index", copy.carbon_kgco2e, host.workload)
            sent = moves.new_copy(host, region)
            book.pay("migration index", sent.cost_usd, host.workload)
            book.emit("migration", sent.carbon_kgco2e, host.workload)
    for line in case.plan.training:
        tuned = terms.variants.get(line.variant)
        machine = terms.machines.get((line.region, line.offer))
        known = line.slice in terms.slice_hours
        if tuned is not None and tuned.method is not None and machine is not None and known:
            run = training_figures(terms, tuned, machine, line.slice)
            book.pay("training compute", run.cost_usd, tuned.workload)
            book.emit("training", run.carbon_kgco2e, tuned.workload)
            first = moves.first_run(tuned)
            book.pay("migration fine-tune", first * run.cost_usd, tuned.workload)
            book.emit("migration", first * run.carbon_kgco2e, tuned.workload)
            book.water_l += (1.0 + first) * run.water_l


def instance_hour(terms: Terms, machine: MachineFacts, in_slice: str) -> tuple[float, float, float]:
    """One held hour of an instance: (idle kgCO2e, embodied kgCO2e, water l)."""
    accelerator, place = terms.accelerators[machine.accelerator], terms.regions[machine.region]
    kw = machine.accelerators * (accelerator.idle_w + host_w(terms, machine)) / 1e3
    intensity = place.carbon_kgco2e_per_kwh[terms.slice_place[in_slice]]
    water = water_l(kw, place.pue, place.site_wue_l_per_kwh, place.electricity_water_l_per_kwh)
    embodied = machine.accelerators * embodied_kg_per_h(terms, machine)
    return kw * place.pue * intensity, embodied, float(water)


def running_kw(terms: Terms, machine: MachineFacts) -> float:
    """Power of an accelerator of a running replica above idle, without its work."""
    card = terms.accelerators[machine.accelerator]
    return float(decoding_w(card.tdp_w, card.idle_w) - card.idle_w) / 1e3


def _replicas(case: Case, book: Ledger) -> None:
    for line in case.replicas:
        machine = case.terms.machines[line.region, line.offer]
        place, hours = case.terms.regions[line.region], case.terms.slice_hours[line.slice]
        running_h = line.replicas * hours if line.hours is None else line.hours
        kwh = running_h * line.accelerators * running_kw(case.terms, machine)
        intensity = place.carbon_kgco2e_per_kwh[case.terms.slice_place[line.slice]]
        book.emit("serving energy", kwh * place.pue * intensity)
        book.machine_carbon[machine.machine] += kwh * place.pue * intensity
        wue, electricity = place.site_wue_l_per_kwh, place.electricity_water_l_per_kwh
        book.water_l += float(water_l(kwh, place.pue, wue, electricity))


def _machines(case: Case, book: Ledger) -> None:
    for line, machine in case.fleet:
        name = machine.machine
        slices = case.terms.slice_hours if line.slice is None else (line.slice,)
        price = price_usd_per_h(machine, line.market)
        for t in slices:
            idle, embodied, water = instance_hour(case.terms, machine, t)
            held_hours = line.instances * case.terms.slice_hours[t]
            if line.hours is not None:
                held_hours = line.hours
            if price is not None:
                book.pay(line.market, price * held_hours)
                book.machine_cost[name] += price * held_hours
            book.emit("idle energy", idle * held_hours)
            book.emit("embodied", embodied * held_hours)
            book.machine_carbon[name] += (idle + embodied) * held_hours
            book.water_l += water * held_hours
    for machine in case.terms.facts.machines:
        fixed = machine.fixed_usd_per_h * case.terms.period_hours
        book.pay("owned and committed", fixed)
        book.machine_cost[machine.machine] += fixed


def _policies(case: Case, book: Ledger) -> None:
    for machine, added in added_accelerators(case):
        usd, kgco2e = case.moves.per_accelerator(machine)
        book.pay("migration machines", added * usd)
        book.emit("migration", added * kgco2e)
    used = {
        s.line.region for s in case.served if s.line.region is not None and s.line.share > TOLERANCE
    }
    for region in used:
        place = case.terms.regions.get(region)
        book.pay("region fixed", 0.0 if place is None else place.fixed_usd)


# ------------------------------------------------------------------ per workload


def workload_lines(case: Case, book: Ledger) -> tuple[WorkloadLine, ...]:
    """QoE, latency, attainment, cost and carbon per token of every workload with demand."""
    terms, f = case.terms, case.figures
    tokens: Lines = defaultdict(float)
    scored: Lines = defaultdict(float)
    for item in terms.items.values():
        name = item.workload.workload
        tokens[name] += item.requests * (item.length.input_tokens + item.length.output_tokens)
        scored[name] += item.qoe_weight
    used: dict[str, Lines] = defaultdict(lambda: defaultdict(float))
    lost: Lines = defaultdict(float)
    reached: Lines = defaultdict(float)
    routes: dict[str, list[int]] = defaultdict(list)
    for j, s in enumerate(case.served):
        name, share = s.line.workload, s.line.share
        routes[name].append(j)
        lost[name] += float(f.loss[j]) * share
        reached[name] += s.item.weight * float(f.attainment[j]) * share
        if s.machine is not None and s.pool is not None and share > 0:
            hours = terms.slice_hours[s.line.served_slice]
            load = share * float(f.share[j].max()) * s.pool.accelerators * hours
            used[s.machine.machine][name] += load
    cost = share_out(book.own_cost, book.machine_cost, sum(book.cost.values()), used, tokens)
    carbon = share_out(
        book.own_carbon, book.machine_carbon, sum(book.carbon.values()), used, tokens
    )
    lines = []
    for name in tokens:
        mixture = [(j, float(f.mixture[j]) * case.served[j].line.share) for j in routes[name]]
        answered = sum(x for _, x in mixture)
        pace = sum(float(f.tpot_s[j]) * x for j, x in mixture)
        lines.append(
            WorkloadLine(
                workload=name,
                qoe=1.0 - lost[name] / scored[name],
                ttft_p95_s=ttft_quantile_s(case, mixture, 0.95),
                tpot_mean_s=pace / answered if answered > 0 else 0.0,
                attainment=reached[name],
                usd_per_mtok=cost[name] / tokens[name] * 1e6,
                gco2e_per_ktok=carbon[name] * 1e3 / tokens[name] * 1e3,
            )
        )
    return tuple(lines)


def share_out(
    own: Lines, machines: Lines, total: float, used: dict[str, Lines], tokens: Lines
) -> Lines:
    """Allocate a total to workloads; the parts add up to it.

    A workload bears what it caused itself, and of every machine its share of the accelerator-hours
    used on it. The rest (machines without use, fixed costs of regions, migration of accelerators)
    follows the accelerator-hours used anywhere, or the tokens where there are none.
    """
    result: Lines = {name: own.get(name, 0.0) for name in tokens}
    for machine, amount in machines.items():
        hours = sum(used[machine].values()) if machine in used else 0.0
        if hours > 0:
            for name, part in used[machine].items():
                result[name] += amount * part / hours
    everywhere: Lines = defaultdict(float)
    for by_workload in used.values():
        for name, part in by_workload.items():
            everywhere[name] += part
    keys = everywhere if sum(everywhere.values()) > 0 else tokens
    rest, whole = total - sum(result.values()), sum(keys.values())
    for name, part in keys.items():
        result[name] += rest * part / whole
    return result


def ttft_quantile_s(case: Case, mixture: list[tuple[int, float]], probability: float) -> float:
    """TTFT that a share of the answered requests does not exceed, s; 0 if none."""
    answered = sum(x for _, x in mixture)
    if answered <= 0:
        return 0.0

    def within(t_s: float) -> float:
        found = case.figures.ttft_within(t_s)
        return sum(float(found[j]) * x for j, x in mixture) / answered

    high = 1.0
    while (reached := within(high)) < probability and high < 1e6:
        high *= 2.0
    if reached < probability:
        return high
    if within(0.0) >= probability:
        return 0.0
    return float(brentq(lambda t_s: within(t_s) - probability, 0.0, high))


# ------------------------------------------------------------------ comparison


def check_totals(case: Case) -> tuple[Ledger, Objectives, tuple[WorkloadLine, ...]]:
    """Compare every stated total with the recomputed one."""
    plan, findings, book = case.plan, case.findings, ledger(case)
    for rule, stated, known, unit in (
        ("cost-lines", plan.cost_lines, book.cost, "USD"),
        ("carbon-lines", plan.carbon_lines, book.carbon, "kgCO2e"),
    ):
        for name in dict.fromkeys([*known, *stated]):
            expected, found = known.get(name, 0.0), stated.get(name, 0.0)
            findings.close(
                rule,
                name,
                expected,
                found,
                f"line {name!r}: {found:,.6f} {unit} stated, {expected:,.6f} recomputed",
            )
    findings.close(
        "water",
        "water",
        book.water_l,
        plan.water_l,
        f"water: {plan.water_l:,.3f} l stated, {book.water_l:,.3f} l recomputed",
    )
    loss = sum(float(case.figures.loss[j]) * s.line.share for j, s in enumerate(case.served))
    objectives = Objectives(sum(book.cost.values()), sum(book.carbon.values()), 1.0 - loss)
    for name, lines in (
        ("cost_usd", plan.cost_lines),
        ("carbon_kgco2e", plan.carbon_lines),
        ("qoe", None),
    ):
        known, stated = getattr(objectives, name), getattr(plan.objectives, name)
        says = f"{name}: {stated:.9g} stated"
        findings.close("objectives", name, known, stated, f"{says}, {known:.9g} recomputed")
        if lines is not None:
            total = sum(lines.values())
            findings.close("objectives", name, total, stated, f"{says}, lines add to {total:.9g}")
    _check_caps(case, objectives, book.water_l)
    workloads = workload_lines(case, book)
    _check_workload_lines(case, workloads)
    _check_certificate(case)
    return book, objectives, workloads


def _check_caps(case: Case, objectives: Objectives, water_l: float) -> None:
    caps, add = case.terms.settings.caps, case.findings.add
    for name, cap, found, unit in (
        ("cost", caps.cost_usd, objectives.cost_usd, "USD"),
        ("carbon", caps.carbon_kgco2e, objectives.carbon_kgco2e, "kgCO2e"),
        ("water", caps.water_l, water_l, "l"),
    ):
        if cap is not None and found > cap * (1 + TOLERANCE):
            add("caps", name, cap, found, f"{name} is {found:,.2f} {unit}, its cap {cap:,.2f}")
    floor, qoe = caps.qoe_min, objectives.qoe
    if floor is not None and qoe < floor - TOLERANCE:
        add("caps", "qoe", floor, qoe, f"QoE is {qoe:.6f}, its floor {floor:.6f}")


def _check_workload_lines(case: Case, known: tuple[WorkloadLine, ...]) -> None:
    stated = {line.workload: line for line in case.plan.workloads}
    for name in {line.workload for line in known} ^ set(stated):
        has = "a line" if name in stated else "no line"
        case.findings.add("workload-lines", name, "a line each", has, f"{name}: {has}")
    for line in known:
        found = stated.get(line.workload)
        if found is None:
            continue
        for rule, names in (
            ("workload-lines", ("qoe", "ttft_p95_s", "tpot_mean_s", "attainment")),
            ("allocation", ("usd_per_mtok", "gco2e_per_ktok")),
        ):
            for name in names:
                expected, has = getattr(line, name), getattr(found, name)
                case.findings.close(
                    rule,
                    f"{line.workload} {name}",
                    expected,
                    has,
                    f"{name} of {line.workload}: {has:.9g} stated, {expected:.9g} recomputed",
                )


def _check_certificate(case: Case) -> None:
    certificate, objectives = case.plan.certificate, case.plan.objectives
    values = {
        "cost": objectives.cost_usd,
        "carbon": objectives.carbon_kgco2e,
        "qoe-loss": 1.0 - objectives.qoe,
    }
    value, bound = certificate.value, certificate.bound
    slack = TOLERANCE * max(abs(value), 1e-9)
    gap = (value - bound) / abs(value) if value else 0.0
    wrong: list[tuple[str, object, object]] = []
    if certificate.minimised not in values:
        wrong.append(("minimised", tuple(values), certificate.minimised))
    elif abs(values[certificate.minimised] - value) > slack:
        wrong.append(("value", values[certificate.minimised], value))
    if not bound <= value + slack:
        wrong.append(("bound", f"at most {value:.9g}", bound))
    if not abs(certificate.gap_relative - max(gap, 0.0)) <= TOLERANCE:
        wrong.append(("gap_relative", max(gap, 0.0), certificate.gap_relative))
    if certificate.proof not in PROOFS and certificate.status != "unproved":
        wrong.append(("proof", " or ".join(PROOFS), certificate.proof))
    priced = certificate.bound_from_prices
    if priced is not None and not priced <= bound + slack:
        wrong.append(("bound_from_prices", f"at most {bound:.9g}", priced))
    if certificate.status not in ("optimal", "limit", "unproved"):
        wrong.append(("status", "optimal, limit or unproved", certificate.status))
    for name, expected, found in wrong:
        case.findings.add(
            "certificate", name, expected, found, f"certificate: {name} is {found}, not {expected}"
        )
