"""Rules on the machines held: capacity, markets, quotas, change against an incumbent plan."""

from __future__ import annotations

from collections import defaultdict

from planner.plan import Plan
from planner.verify.case import COMMITTED, RENTED, Case, price_usd_per_h
from planner.verify.report import TOLERANCE
from planner.verify.terms import Terms


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


def incumbent_accelerators(terms: Terms, incumbent: Plan) -> dict[str, float]:
    """Peak accelerators held by the incumbent, by machine."""
    peak: dict[str, float] = defaultdict(float)
    for in_slice in terms.slice_hours:
        held: dict[str, float] = defaultdict(float)
        for line in incumbent.fleet:
            if line.slice in (None, in_slice):
                held[f"{line.region}/{line.offer}"] += line.accelerators * line.instances
        for machine, accelerators in held.items():
            peak[machine] = max(peak[machine], accelerators)
    return peak


def added_accelerators(case: Case) -> float:
    """Accelerators held above the incumbent's peak, over all machines; 0 without an incumbent."""
    if case.incumbent is None:
        return 0.0
    peak = incumbent_accelerators(case.terms, case.incumbent)
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
