"""Numbers as people read them: thousands separators, three or more telling digits, a unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from planner.instance.grid import grid_of

if TYPE_CHECKING:
    from planner.instance.facts import Facts
    from planner.plan import Adoption, Certificate, FleetLine, Plan

OBJECTIVES_SAID = {"cost": "cost", "carbon": "carbon", "qoe-loss": "QoE loss"}
PROVED_OVER = "The bound is proved over what may be chosen."
"""Begins the assumption that says for which lanes and operating points a proof holds."""
NO_GAP = 5e-6
"""Gaps below are told as none."""


def number(value: float) -> str:
    """Whole from 100 on, else three significant digits; never an exponent for usual sizes."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 99.95:
        return f"{value:,.0f}"
    if size >= 9.995:
        return f"{value:.1f}"
    if size >= 0.9995:
        return f"{value:.2f}"
    return f"{value:.3g}" if size >= 1e-4 else f"{value:.1e}"


def amount(value: float, unit: str) -> str:
    """``1,234 USD``, ``0.53 kgCO2e``."""
    return f"{number(value)} {unit}"


def times(factor: float) -> str:
    """``3.4 times``."""
    return f"{number(factor)} times"


def count(value: float) -> str:
    """A whole number of things."""
    return f"{value:,.0f}"


def percent(share: float) -> str:
    """``0.42 %``; three significant digits below ten."""
    return f"{number(100.0 * share)} %"


def share(value: float) -> str:
    """``29.4 %``; ``<0.1 %`` for what is hardly there."""
    if value == 0:
        return "0 %"
    return f"{100.0 * value:.1f} %" if value >= 0.0005 else "<0.1 %"


def seconds(value: float) -> str:
    """``850 ms`` or ``1.24 s``."""
    return f"{value * 1e3:,.0f} ms" if value < 1.0 else f"{value:,.2f} s"


def proof_said(certificate: Certificate) -> str:
    """What the bound rests on, in full sentences."""
    if certificate.proof == "dual prices":
        return "The bound was proved again from the stored dual prices."
    solver = certificate.solver or "HiGHS"
    searched = f"The bound rests on the branch and bound of {solver}, which no check repeats"
    alone = certificate.gap_from_prices
    if alone is None:
        return f"{searched}."
    what = OBJECTIVES_SAID[certificate.minimised]
    return f"{searched}; the stored dual prices alone prove {what} within {gap_said(alone)}."


def gap_said(gap: float) -> str:
    """``0.42 % of optimal``."""
    return f"{percent(gap) if gap > NO_GAP else '0 %'} of optimal"


def hours_said(plan: Plan, slice_hours: Mapping[str, float]) -> list[str]:
    """Machines held by the hour, a sentence for each machine and market: ``2 g6.xlarge in
    aws:us-east-1, spot, held 212 h of 720 h for batch alone.``"""
    held: dict[tuple[str, str, str], list[FleetLine]] = {}
    for line in plan.fleet:
        if line.hours is not None:
            held.setdefault((line.offer, line.region, line.market), []).append(line)
    return [
        f"{count(max(line.instances for line in lines))} {offer} in {region}, {market}, held "
        f"{number(sum(line.hours or 0.0 for line in lines))} h of "
        f"{number(sum(line.instances * slice_hours[str(line.slice)] for line in lines))} h "
        "for batch alone."
        for (offer, region, market), lines in held.items()
    ]


def adaptation_said(row: Adoption) -> str:
    """``fine-tune (LoRA, every 30 days)``, without the llm."""
    notes = [] if row.method is None else ["LoRA" if row.method == "lora" else "full"]
    if row.refresh_days is not None:
        notes.append("every day" if row.refresh_days == 1 else f"every {row.refresh_days:g} days")
    text = row.adaptation + (f" ({', '.join(notes)})" if notes else "")
    if row.check_llm is not None:
        text += f", {share(row.check_share)} checked by {row.check_llm}"
    return text


def variant_said(row: Adoption) -> str:
    """``llama-3.1-8b, fine-tune (LoRA, every 30 days)``."""
    return f"{row.llm}, {adaptation_said(row)}"


def calibration_said(plan: Plan) -> list[str]:
    """What a calibration changed in a plan, a sentence each; none without one."""
    record = plan.provenance.get("calibration")
    if not record:
        return []
    said = [_combination_said(row) for row in record["combinations"]]
    if record["unused"]:
        said.append("Of no replica in service: " + "; ".join(record["unused"]) + ".")
    return said


def _combination_said(row: Mapping[str, Any]) -> str:
    held, without = row["accelerators"], row["accelerators_without"]
    told = "at the catalog's speeds its load could not be served so"
    if without is not None:
        told = f"at the catalog's speeds its load would take {number(without)}"
    return (
        f"{row['combination']}: {row['points']} measured, TPOT x {row['tpot_factor']:.3g}, "
        f"TTFT x {row['ttft_factor']:.3g}; {number(held)} accelerators in service (mean), "
        f"{share(row['accelerator_hours_share'])} of all; {told}."
    )


def grid_said(facts: Facts) -> str:
    """The lanes and operating points for which something is proved, in a sentence; empty where
    every answer is bought and nothing has any."""
    if not facts.machines:
        return ""
    grid, serving = grid_of(facts), facts.instance.settings.serving
    lanes = _listed(grid.lane_tokens, 1.0, "tokens")
    points = _listed(grid.tpot_s, 1e3, "ms")
    given = [
        key
        for key in ("prompt_lane_tokens", "operating_tpot_s")
        if getattr(serving, key) is not None
    ]
    more = "".join(
        f"; {row.llm} on {row.accelerator} also {_listed(row.lane_tokens, 1.0, 'tokens')} and "
        f"{_listed(row.tpot_s, 1e3, 'ms')}"
        for row in grid.finer
    )
    source = f" ([serving] {' and '.join(given)} allows no others)" if given else ""
    return (
        f"That holds for prompt lanes of {lanes} and mean times per output token of {points}"
        f"{more}{source}."
    )


def _listed(figures: Sequence[float], factor: float, unit: str) -> str:
    """``20, 40 and 80 ms``."""
    texts = [f"{factor * figure:,.5g}" for figure in figures]
    return (
        " and ".join([", ".join(texts[:-1]), texts[-1]]) if texts[1:] else texts[0]
    ) + f" {unit}"
