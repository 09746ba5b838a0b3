"""What can be proved impossible before solving, with numbers, once instance and catalog join.

Each rule needs the `Facts` and says the row of the instance that would have to change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from planner.errors import RunError
from planner.incumbent import incumbent_of
from planner.instance.calibrated import usable_fits
from planner.instance.checks import Tables
from planner.instance.facts import Facts, LlmFacts, RegionFacts
from planner.instance.findings import Finding, shortened
from planner.instance.grid import too_long_for_lanes
from planner.instance.schema import Workload

BYTES_PER_PARAMETER = {"bf16": 2.0, "fp8": 1.0, "int4": 0.5, "mxfp4": 0.5}
"""Least bytes per parameter, scales left out: only what surely does not fit is refused here."""

FactCheck = Callable[[Tables, Facts], Iterator[Finding]]


def nothing_on_sale(t: Tables, facts: Facts) -> Iterator[Finding]:
    """Every accelerator is offered or owned in some region, every region has some machine.

    Harmless where another one is: pointed out.
    """
    cards = {machine.accelerator for machine in facts.machines}
    places = {machine.region for machine in facts.machines} | {api.region for api in facts.apis}
    regions = ", ".join(region.region for region in facts.regions)
    for index, row in enumerate(t.accelerators.rows):
        if row.accelerator not in cards:
            yield t.accelerators.finding(
                index,
                "accelerator",
                f"no offer in any of the allowed regions ({shortened(regions)})",
                "allow a region that sells it, give a price in offers.csv, or delete the row",
                warning=bool(places),
                name=f"accelerators/{row.accelerator}" if places else "",
            )
    names = ", ".join(card.accelerator for card in facts.accelerators)
    for index, region in enumerate(t.regions.rows):
        if cards and region.region not in places:
            yield t.regions.finding(
                index,
                "region",
                f"no offer of any allowed accelerator ({names})",
                "allow an accelerator sold there, give a price in offers.csv, or delete the row",
                warning=True,
                name=f"regions/{region.region}",
            )


def no_spot_price(t: Tables, facts: Facts) -> Iterator[Finding]:
    """A spot share is allowed only where something has a spot price."""
    share = facts.instance.settings.policy.spot_share_max
    if share > 0.0 and not any(m.spot_usd_per_h is not None for m in facts.machines):
        yield replace(
            t.setting(
                "policy.spot_share_max",
                share,
                f"none of the {len(facts.machines)} machines has a spot price",
                "give spot_usd_per_h in offers.csv, or set the share to 0",
            ),
            warning=True,
        )


def calibrated_elsewhere(t: Tables, facts: Facts) -> Iterator[Finding]:
    """Some of the combinations measured may run here."""
    found, serving = facts.calibration, facts.instance.settings.serving
    if found is not None and next(usable_fits(facts, found), None) is None:
        finding = t.setting(
            "serving.calibration",
            serving.calibration,
            f"none of what it measured may run here, such as {found.fits[0].name}",
            f"measure llms of this instance at their precisions, on its accelerators, with "
            f"{serving.engine} and tp = accelerators; or leave the setting out",
        )
        yield replace(finding, name="serving/calibration")


def least_weight_gb(llm: LlmFacts) -> float:
    """GB of weights at the smallest allowed precision."""
    smallest = min(BYTES_PER_PARAMETER[name] for name in llm.precisions)
    return llm.params_total_b * smallest


def llm_fits_nowhere(t: Tables, facts: Facts) -> Iterator[Finding]:
    """The weights of every llm fit the memory of some machine, within its accelerator limit.

    Harmless where another llm can answer: pointed out.
    """
    largest = [_largest_replica_gb(llm, facts) for llm in facts.llms]
    fits = [
        least_weight_gb(llm) <= most for llm, (most, _) in zip(facts.llms, largest, strict=True)
    ]
    for index, (llm, (most, machine)) in enumerate(zip(facts.llms, largest, strict=True)):
        if machine and not fits[index]:
            yield t.llms.finding(
                index,
                "llm",
                f"its weights take {least_weight_gb(llm):,.0f} GB at {'/'.join(llm.precisions)}, "
                f"the largest replica has {most:,.0f} GB ({machine})",
                "allow a smaller precision, larger machines, or more accelerators per replica",
                warning=any(fits) or bool(facts.apis),
                name=f"llms/{llm.llm}" if any(fits) or facts.apis else "",
            )


def _largest_replica_gb(llm: LlmFacts, facts: Facts) -> tuple[float, str]:
    """Most memory that one replica of the llm may have, and the machine that has it."""
    memory = {card.accelerator: card.memory_gb for card in facts.accelerators}
    sizes = [
        (min(m.accelerators, llm.max_accelerators_per_replica) * memory[m.accelerator], m.machine)
        for m in facts.machines
    ]
    return max(sizes, default=(0.0, ""))


def _allowed(workload: Workload, facts: Facts) -> list[RegionFacts]:
    return [r for r in facts.regions if workload.residency in {None, *r.residency}]


def too_far_away(t: Tables, facts: Facts) -> Iterator[Finding]:
    """The TTFT target is above the network's round trip to the nearest region that may serve."""
    lines = {row.workload: index for index, row in enumerate(t.workloads.rows)}
    hosted = {api.region for api in facts.apis}
    asked = {(d.workload, d.origin) for d in facts.instance.demand if d.requests_per_s > 0.0}
    for workload in facts.instance.workloads:
        target = workload.ttft_target_s
        if target is None or workload.kind == "batch":
            continue
        for origin in facts.instance.origins:
            if (workload.workload, origin.origin) not in asked:
                continue
            trips = {r.region: facts.round_trip_s[origin.origin, r.region]
                     for r in _allowed(workload, facts)}  # fmt: skip
            if any(name.startswith("api:") for name in hosted) or not trips:
                continue
            nearest = min(trips, key=lambda name: trips[name])
            if trips[nearest] >= target:
                yield t.workloads.finding(
                    lines[workload.workload],
                    "ttft_target_s",
                    f"below the network alone: {1000.0 * trips[nearest]:.0f} ms from "
                    f"{origin.origin} to {nearest}, the nearest allowed region",
                    "raise the target, or allow a nearer region",
                )
                break


def longer_than_context(t: Tables, facts: Facts) -> Iterator[Finding]:
    """Prompt and answer fit the context of at least one llm that may answer."""
    context = {llm.llm: float(llm.context_tokens) for llm in facts.llms}
    longest: dict[str, float] = {}
    for variant in facts.variants:
        tokens = float("inf") if variant.hosted else context[variant.llm]
        longest[variant.workload] = max(longest.get(variant.workload, 0.0), tokens)
    for index, row in enumerate(t.length_classes.rows):
        tokens = row.input_tokens + row.output_tokens
        limit = longest.get(row.workload, float("inf"))
        if tokens > limit:
            yield t.length_classes.finding(
                index,
                "input_tokens",
                f"{tokens:,.0f} tokens of prompt and answer, the longest context is {limit:,.0f}",
                "shorten it, or allow an llm with a longer context",
            )


def longer_than_lanes(t: Tables, facts: Facts) -> Iterator[Finding]:
    """Where the settings give prompt lanes, some lane takes every prompt that our llms may answer.

    Pointed out where a hosted llm may answer it or it may stay unserved.
    """
    lanes = facts.instance.settings.serving.prompt_lane_tokens or ()
    for workload, shape, tokens in too_long_for_lanes(facts):
        elsewhere = _answered_elsewhere(facts, workload)
        yield replace(
            t.setting(
                "serving.prompt_lane_tokens",
                ", ".join(f"{lane:g}" for lane in lanes),
                f"prompts of {tokens:,.0f} tokens ({workload.workload}, {shape.length_class}) are "
                f"longer than every lane: no llm of your own may answer {workload.workload}",
                f"add a lane of {math.ceil(tokens):,} tokens, or delete the line: lanes then "
                "follow the length classes",
            ),
            warning=elsewhere,
        )


def slower_than_targets(t: Tables, facts: Facts) -> Iterator[Finding]:
    """Where the settings give operating points, one is within every target of our llms.

    Pointed out where a hosted llm may answer or it may stay unserved.
    """
    points = facts.instance.settings.serving.operating_tpot_s or ()
    for workload in facts.instance.workloads:
        target = workload.tpot_target_s
        if workload.kind == "batch" or target is None or min(points, default=0.0) <= target:
            continue
        yield replace(
            t.setting(
                "serving.operating_tpot_s",
                ", ".join(f"{point:g}" for point in points),
                f"all slower than the {target:g} s per output token asked of {workload.workload}: "
                "no llm of your own may answer it",
                f"add a point somewhat below, such as {0.8 * target:.3g}, or delete the line: "
                "points then follow the targets",
            ),
            warning=_answered_elsewhere(facts, workload),
        )


def _answered_elsewhere(facts: Facts, workload: Workload) -> bool:
    """Whether a hosted llm may answer the workload, or it may stay unserved."""
    hosted = any(v.hosted for v in facts.variants if v.workload == workload.workload)
    return hosted or facts.instance.settings.policy.allow_shortfall


def quality_out_of_reach(t: Tables, facts: Facts) -> Iterator[Finding]:
    """Some variant of every workload reaches its quality floor, at least while fresh."""
    best: dict[str, tuple[float, str]] = {}
    for variant in facts.variants:
        quality = variant.quality
        if variant.check_quality is not None:
            quality = max(quality, variant.check_quality)
        best[variant.workload] = max(
            best.get(variant.workload, (0.0, "")), (quality, variant.variant)
        )
    for index, row in enumerate(t.workloads.rows):
        quality, name = best.get(row.workload, (0.0, ""))
        if not name:
            yield t.workloads.finding(
                index,
                "workload",
                "no way to answer it: its variants need a corpus or training tokens",
                "add a row to variants.csv, or give corpus_tokens or training_tokens",
            )
        elif row.quality_min > quality:
            yield t.workloads.finding(
                index,
                "quality_min",
                f"the best variant reaches {quality:.3f} ({name})",
                "lower the floor, or allow a better llm",
            )


def incumbent_unknown(t: Tables, facts: Facts) -> Iterator[Finding]:
    """Tables of what runs today name machines and variants of the instance."""
    try:
        incumbent_of(facts)
    except RunError as error:
        yield t.setting(
            "incumbent",
            facts.instance.settings.incumbent,
            shortened(str(error), 400),
            "correct the row, or let the instance have what runs today",
        )


FACT_CHECKS: tuple[FactCheck, ...] = (
    nothing_on_sale,
    no_spot_price,
    calibrated_elsewhere,
    llm_fits_nowhere,
    too_far_away,
    longer_than_context,
    longer_than_lanes,
    slower_than_targets,
    quality_out_of_reach,
    incumbent_unknown,
)
