"""All rules on a plan's decisions, one function each, with plain loops over the plan's lines.

Nothing of the program or the engine is used: only the instance's facts and the plan.
"""

from __future__ import annotations

from planner.verify.case import Case
from planner.verify.commitments import check_commitments
from planner.verify.fleet import (
    check_changes,
    check_hours,
    check_kept,
    check_machine_capacity,
    check_markets,
    check_owned,
    check_quotas,
    check_spot_share,
)
from planner.verify.policies import (
    check_attainment,
    check_max_llms,
    check_region_loss,
    check_regions,
)
from planner.verify.service import (
    check_by_hour,
    check_demand_served,
    check_hosting,
    check_pools,
    check_quality_floor,
    check_replica_capacity,
    check_routes,
    check_training,
)


def check_decisions(case: Case) -> None:
    """All rules on decisions; totals are checked in `planner.verify.totals`."""
    check_instance(case)
    check_whole_numbers(case)
    check_quality_floor(case)
    check_pools(case)
    check_routes(case)
    check_demand_served(case)
    check_by_hour(case)
    check_replica_capacity(case)
    check_machine_capacity(case)
    check_hours(case)
    check_markets(case)
    check_quotas(case)
    check_owned(case)
    check_commitments(case)
    check_spot_share(case)
    check_region_loss(case)
    check_regions(case)
    check_max_llms(case)
    check_attainment(case)
    check_hosting(case)
    check_training(case)
    check_changes(case)
    check_kept(case)


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
