"""Rules on the machines held: capacity, markets, quotas, change against an incumbent plan."""

from __future__ import annotations

from collections import defaultdict

from planner.instance.facts import MachineFacts
from planner.verify.case import COMMITTED, RENTED, Case, price_usd_per_h
from planner.verify.commitments import may_buy
from planner.verify.report import TOLERANCE


def check_machine_capacity(case: Case) -> None:
    """Accelerators of the replicas fit the instances held, spot counted at its availability."""
    used: dict[tuple[str, str, str], int] = defaultdict(int)
    for line in case.replicas:
        if line.hours is None:
            used[line.region, line.offer, line.slice] += line.accelerators * line.replicas
    availability = case.terms.settings.policy.spot_availability
    for (region, offer, in_slice), accelerators in used.items():
        machine = case.terms.machines[region, offer]
        spot = case.held_throughout("spot", machine, in_slice)
        firm = case.held_throughout(None, machine, in_slice) - spot
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


def check_hours(case: Case) -> None:
    """What is held by the hour: rented by slice, for hours that its instances have, and at its
    availability enough of them for the replicas that run by the hour."""
    usable: dict[tuple[str, str], float] = defaultdict(float)
    for line, machine in case.fleet:
        if line.hours is None:
            continue
        subject = f"{machine.machine} {line.market} in {line.slice}, by the hour"
        if line.market not in RENTED or line.slice is None:
            _off(case, subject, "a market rented by slice", f"{line.market}, slice {line.slice}")
        else:
            most = line.instances * case.terms.slice_hours[line.slice]
            _hours_within(case, subject, line.hours, most)
            share = case.terms.settings.policy.spot_availability if line.market == "spot" else 1.0
            usable[machine.machine, line.slice] += share * machine.accelerators * line.hours
    used: dict[tuple[str, str], float] = defaultdict(float)
    for row in case.replicas:
        if row.hours is not None:
            subject = f"{row.pool} in {row.slice}, by the hour"
            _hours_within(
                case, subject, row.hours, row.replicas * case.terms.slice_hours[row.slice]
            )
            used[f"{row.region}/{row.offer}", row.slice] += row.accelerators * row.hours
    for key, hours in used.items():
        if hours > usable[key] * (1 + TOLERANCE) + TOLERANCE:
            subject = f"{key[0]} in {key[1]}, by the hour"
            _off(case, subject, f"at least {hours:.9g} accelerator-hours", usable[key])


def _hours_within(case: Case, subject: str, hours: float, most: float) -> None:
    if not 0.0 <= hours <= most * (1 + TOLERANCE) + TOLERANCE:
        _off(case, subject, f"0 to {most:.9g} h", hours)


def _off(case: Case, subject: str, expected: str, found: object) -> None:
    case.findings.add(
        "by-the-hour", subject, expected, found, f"{subject}: {found}, not {expected}"
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
            allowed = line.slice is None and may_buy(case.terms.settings, line.market)
        else:
            allowed = line.market == "owned"
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
    """Owned and committed machines of the instance are in the fleet, exactly, in every slice."""
    for machine in case.terms.facts.machines:
        for at, in_slice in enumerate(case.terms.slice_hours):
            stated, known = case.held("owned", machine, in_slice), machine.fixed_by_slice[at]
            if stated != known:
                case.findings.add(
                    "owned",
                    f"{machine.machine} in {in_slice}",
                    known,
                    stated,
                    f"{stated} owned instances of {machine.machine} stated in {in_slice}, the "
                    f"instance has {known}",
                )
                break


def check_spot_share(case: Case) -> None:
    """Spot accelerators per (region, accelerator, slice) stay within the share allowed."""
    limit = case.terms.settings.policy.spot_share_max
    for in_slice in case.terms.slice_hours:
        spot: dict[tuple[str, str], float] = defaultdict(float)
        total: dict[tuple[str, str], float] = defaultdict(float)
        for machine in case.held_machines:
            key = (machine.region, machine.accelerator)
            spot[key] += machine.accelerators * case.held_mean("spot", machine, in_slice)
            total[key] += machine.accelerators * case.held_mean(None, machine, in_slice)
        for key, held in spot.items():
            if held > limit * total[key] * (1 + TOLERANCE) + TOLERANCE:
                name = " ".join([*key, in_slice])
                case.findings.add(
                    "spot-share",
                    name,
                    limit,
                    held / total[key],
                    f"{held:g} of {total[key]:g} accelerators in {name} are spot; {limit:.0%} "
                    "allowed",
                )


def added_accelerators(case: Case) -> list[tuple[MachineFacts, float]]:
    """Machines held above the incumbent's peak, and by how many accelerators."""
    if case.moves.incumbent is None:
        return []
    added = []
    for machine in case.held_machines:
        most = max(case.held(None, machine, t) for t in case.terms.slice_hours)
        more = machine.accelerators * most - case.moves.peak.get(machine.machine, 0.0)
        if more > 0:
            added.append((machine, more))
    return added


def changed_workloads(case: Case) -> list[str]:
    """Workloads whose variant is not the incumbent's; none without an incumbent."""
    if case.moves.incumbent is None:
        return []
    return [w for w, variant in case.adopted.items() if case.moves.changed(variant)]


def check_changes(case: Case) -> None:
    """Change against the incumbent stays within the limits of the policy."""
    policy = case.terms.settings.policy
    added = sum(more for _, more in added_accelerators(case))
    changed = changed_workloads(case)
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


def check_kept(case: Case) -> None:
    """Where what the incumbent decided must stay: its variants, machines, copies; no commitment."""
    moves = case.moves
    wrong = [
        (w, f"{w} is answered by {moves.before[w].variant} today and must stay so", v.variant)
        for w, v in case.adopted.items()
        if not moves.may_adopt(v)
    ]
    for line, machine in case.fleet:
        if line.market != "owned" and line.instances > 0:
            if not moves.may_hold(machine):
                text = f"the incumbent holds no {machine.machine}, and its machines must stay"
                wrong.append((machine.machine, text, f"{line.instances} {line.market}"))
            elif line.market in COMMITTED and not moves.may_commit():
                text = f"a commitment of {machine.machine} is bought, and none may be"
                wrong.append((machine.machine, text, f"{line.instances} {line.market}"))
    for s in case.served:
        region = s.line.region
        if s.line.leg == 0 and region is not None and not moves.may_answer(s.variant, region):
            text = f"{s.variant.variant} has no copy in {region} today, and copies must stay"
            wrong.append((f"{s.variant.variant} in {region}", text, "served there"))
    for subject, text, found in dict.fromkeys(wrong):
        case.findings.add("kept-incumbent", subject, "as it is today", found, text)
