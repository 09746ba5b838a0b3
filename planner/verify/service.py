"""Rules on who answers what: eligibility of routes, demand, replicas, adaptation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from planner.plan import ReplicaLine
from planner.serving import ARITHMETIC_BITS, has_arithmetic, narrowest_bits
from planner.verify.adaptation import training_figures
from planner.verify.case import CAPACITY_ROWS, Case, Served, route_name
from planner.verify.figures import memory_fits
from planner.verify.report import TOLERANCE

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
    """Pools are of a kind that instance and grid offer: engine, precision, operating point, memory.

    What a pool does at its lane and operating point is computed for any; the plan's grid is what
    its bound is about, and the instance may have given it.
    """
    serving, grid = case.terms.settings.serving, case.terms.grid
    check_grid(case)
    for name, pool in case.pools.items():
        machine, llm = case.terms.machines[pool.region, pool.offer], case.terms.llms[pool.llm]
        lanes, points = grid.of(pool.llm, pool.accelerator)
        offered: tuple[tuple[str, object, Iterable[object]], ...] = (
            ("engine", pool.engine, (serving.engine,)),
            ("operating point, s", pool.operating_tpot_s, points),
            ("prompt lane, tokens", pool.lane_tokens, lanes),
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
        card = case.terms.accelerators[machine.accelerator]
        if not has_arithmetic(card, pool.precision):
            case.findings.add(
                "operating-point",
                name,
                f"{ARITHMETIC_BITS[pool.precision]}-bit arithmetic",
                f"{narrowest_bits(card)} bits",
                f"pool {name} needs {pool.precision} arithmetic, {card.accelerator} has none",
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
        elif not case.terms.heads_divide(llm, size):
            case.findings.add(
                "divisibility",
                name,
                f"parts of {llm.attention_heads} attention and {llm.kv_heads} KV heads",
                size,
                f"pool {name}: {pool.llm} does not split over {size} accelerators",
            )
        elif not memory_fits(case.terms, machine.accelerator, pool.llm, size, pool.precision):
            case.findings.add(
                "memory-fit",
                name,
                "weights fit",
                f"{size} x {machine.accelerator}",
                f"{pool.llm} in {pool.precision} does not fit {size} x {machine.accelerator}",
            )


def check_grid(case: Case) -> None:
    """Lanes and operating points that the instance gives are those of the plan's grid."""
    serving, grid = case.terms.settings.serving, case.terms.grid
    rows = [(grid.tpot_s, grid.lane_tokens), *((x.tpot_s, x.lane_tokens) for x in grid.finer)]
    for points, lanes in rows:
        for what, stated, given in (
            ("operating points, s", points, serving.operating_tpot_s),
            ("prompt lanes, tokens", lanes, serving.prompt_lane_tokens),
        ):
            if given is not None and stated != given:
                case.findings.add(
                    "operating-point",
                    what,
                    given,
                    stated,
                    f"{what} of the plan's grid are {stated}, the instance gives {given}",
                )


def check_routes(case: Case) -> None:
    """Every route in use is eligible, in an allowed slice, with the stated rate."""
    f, add = case.figures, case.findings.add
    for j, s in enumerate(case.served):
        name, line, workload = route_name(s.line), s.line, s.item.workload
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
    f, add, name = case.figures, case.findings.add, route_name(s.line)
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
    f, workload, name = case.figures, s.item.workload, route_name(s.line)
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
                route_name(s.line),
                "at least 0",
                s.line.share,
                f"{route_name(s.line)} has share {s.line.share:g}",
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


def check_by_hour(case: Case) -> None:
    """Batch alone is served by the hour, and the pool's replica-hours are enough for it: each runs
    one route at a time, as fast as the largest of its four rows lets it."""
    need: dict[tuple[str, str], float] = defaultdict(float)
    for j, s in enumerate(case.served):
        part, name = s.line.by_hour, route_name(s.line)
        if part and (s.pool is None or s.line.slice is not None):
            found = f"{part:g} by the hour"
            text = f"{name} has {found}: only batch on a machine may"
            case.findings.add("by-the-hour", name, "0 by the hour", found, text)
        elif not 0.0 <= part <= s.line.share + TOLERANCE:
            text = f"{name} serves {part:g} by the hour of {s.line.share:g}"
            case.findings.add("by-the-hour", name, f"0 to {s.line.share:g}", part, text)
        elif part and s.pool is not None:
            full = max(float(case.figures.share[j, i]) for i in range(4))
            hours = case.terms.slice_hours[s.line.served_slice]
            need[s.pool.pool, s.line.served_slice] += full * part * hours
    stated: dict[tuple[str, str], float] = defaultdict(float)
    for line in case.replicas:
        stated[line.pool, line.slice] += line.hours or 0.0
    for key, hours in need.items():
        if hours > stated[key] + TOLERANCE * max(1.0, hours):
            name = " in ".join(key)
            text = f"{name} runs {stated[key]:g} h by the hour, {hours:g} h are needed"
            case.findings.add("by-the-hour", name, f"at least {hours:.9g} h", stated[key], text)


def check_replica_capacity(case: Case) -> None:
    """Replicas that run all of a slice carry the four rows of the capacity law."""
    load: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * 4)
    for j, s in enumerate(case.served):
        if s.pool is not None and s.line.share > 0:
            rows = load[s.pool.pool, s.line.served_slice]
            for i in range(4):
                rows[i] += float(case.figures.share[j, i]) * (s.line.share - s.line.by_hour)
    replicas: dict[tuple[str, str], int] = defaultdict(int)
    for line in case.replicas:
        if line.hours is None:
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
            copy = case.moves.copy(s.variant, s.line.region)
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
