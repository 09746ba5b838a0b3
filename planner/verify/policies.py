"""Rules of the organisation: loss of a region, spread, number of llms, attainment and QoE."""

from __future__ import annotations

from collections import defaultdict

from planner.verify.case import Case
from planner.verify.report import TOLERANCE
from planner.verify.terms import MIN_REGION_SHARE


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
