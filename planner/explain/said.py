"""An explanation in words and rows, for the terminal and for notebooks alike."""

from __future__ import annotations

from collections.abc import Iterable

from planner.answer.words import amount, number
from planner.compare.words import gap
from planner.explain.results import (
    BOUNDED,
    EXCLUDED,
    INFEASIBLE,
    SAME,
    BreakEven,
    Choice,
    Explanation,
    Flip,
    Price,
    PriceTag,
    Threshold,
    Trial,
    WhyNot,
)

NAMES = {"cost": "cost", "carbon": "carbon", "qoe-loss": "QoE loss"}
WORSE = {"USD": "dearer", "kgCO2e": "more", "QoE": "QoE lost"}
POOR = 0.5
"""A forced plan further than this from its bound says little."""
CENTS = 2
"""Decimals of USD that are told of a limit's price."""
Rows = list[list[str]]


def answer(found: Explanation) -> str:
    """The first line."""
    what = f"{found.instance}: {NAMES[found.minimised]} {amount(found.value, found.unit)}"
    proved = f"{what}, proved within {gap(found.gap_relative)} of the least possible"
    if found.point is not None:
        proved += f" at the carbon and QoE of {found.point}"
    if found.why_not:
        return f"{found.why_not[0].wish}: {price(found.why_not[0].price, found.unit)}"
    priced = [c for c in found.choices if c.price.least]
    if not priced:
        return proved
    most = max(priced, key=lambda c: c.price.least or 0.0)
    return (
        f"{proved}; the choice that matters most is the {most.kind} of {most.subject} "
        f"({most.chosen}): doing without it is {price(most.price, found.unit)}"
    )


VERDICTS = {
    SAME: "the plan does so already",
    EXCLUDED: "excluded",
    INFEASIBLE: "impossible together with the other rules, proved",
}


def price(p: Price, unit: str) -> str:
    """What insisting costs, in one phrase."""
    if p.verdict in VERDICTS:
        return VERDICTS[p.verdict]
    worse, least = WORSE[unit], p.least or 0.0
    if p.verdict == BOUNDED or p.most is None or p.estimate is None:
        if least > 0.0:
            return f"at least {amount(least, unit)} {worse}, proved; no plan found in time"
        return "no plan with it found in time, nothing proved of its price"
    low, high = number(least), amount(p.most, unit)
    between = f"{high} {worse}, proved" if low == number(p.most) else (
        f"{low} to {high} {worse}, proved")  # fmt: skip
    if p.estimate < 0.0:
        return f"{between}; the plan found is {amount(-p.estimate, unit)} better than this one"
    if (p.forced_gap_relative or 0.0) > POOR:
        return f"{between}; only a poor plan was found in time"
    return between if low == number(p.most) else (
        f"{between}; {amount(p.estimate, unit)} by the plan found")  # fmt: skip


def why_not(found: WhyNot, unit: str) -> list[str]:
    """One wish: what it stands for, its price or what excludes it, what it changes."""
    p = found.price
    said = [f"{part}" for part in found.matches]
    if p.reasons:
        said += ["because:", *(f"- {reason}" for reason in p.reasons)]
    if p.repairs:
        said += ["what would allow it:", *(f"- {repair}" for repair in p.repairs)]
    if p.forced is not None:
        o = p.forced
        said.append(
            f"with it: {amount(o.cost_usd, 'USD')}, {amount(o.carbon_kgco2e, 'kgCO2e')}, "
            f"QoE {o.qoe:.4f}"
        )
    if found.changes:
        said.append("changed: " + "; ".join(found.changes))
    if p.forced_gap_relative is not None and p.plan_gap_relative is not None:
        how = "re-solved" if p.solved else "not re-solved: bound of the plan's own prices, repaired"
        said.append(
            f"{how}; proved within {gap(p.forced_gap_relative)} (with it) and "
            f"{gap(p.plan_gap_relative)} (the plan) of the least possible; checked"
        )
    return said


def choice(found: Choice, unit: str) -> list[str]:
    """One choice: chosen, instead, price, limits."""
    said = [f"price of doing without: {price(found.price, unit)}"
            + ("" if found.price.solved or found.price.verdict in (EXCLUDED, SAME)
               else ", not re-solved")]  # fmt: skip
    if found.runner_up:
        said.append(f"instead: {found.runner_up}")
    if found.price.reasons:
        said.append("because: " + " and ".join(found.price.reasons))
    if found.price.repairs:
        said.append("would need: " + " or ".join(found.price.repairs))
    if found.limits:
        said.append("limits: " + "; ".join(found.limits))
    return said


def choice_title(found: Choice) -> str:
    """``adaptation of support-chat: llama-3.1-8b, fine-tune (LoRA, every 30 days)``."""
    of = "in" if found.kind == "accelerator" else "of"
    return f"{found.kind} {of} {found.subject}: {found.chosen}"


# ------------------------------------------------------------------ break-evens and thresholds


def break_even(found: BreakEven) -> str:
    """Where the verdict turns, or that it does not in the range tested."""
    now = f"now {number(found.today)} {found.unit}"
    what = f"{found.own} against {found.rival}, {found.figure} ({now})"
    span = _span(found.tested_low, found.tested_high)
    guess = "marginal prices name no turn"
    if found.guess is not None:
        guess = f"marginal prices say at {number(found.guess)}"
    if not found.tests:
        return f"{what}: not tested; {guess}"
    if found.flip is None:
        verdict = f"no turn from {span}"
    else:
        verdict = f"turns {_flip(found.flip)}; tested {span}"
    return f"{what}: {verdict}; {guess}{_note(found.note)}"


def threshold(found: Threshold) -> str:
    """How far the choices hold, and what replaces them."""
    if found.note and not found.tests:
        return f"{found.name}: {found.note}"
    sign = "x" if found.unit.startswith("times") else ""
    parts = []
    for flip, changes, end, far in (
        (found.below, found.changes_below, found.tested_low, "down"),
        (found.above, found.changes_above, found.tested_high, "up"),
    ):
        if flip is not None:
            what = f": {'; '.join(changes)}" if changes else ""
            parts.append(f"turns {_flip(flip, sign)}{what}")
        elif end != found.today:
            proved = any(t.value == end and t.proved and t.leader == "own" for t in found.tests)
            how = "proved" if proved else "no better one found"
            parts.append(f"holds {far} to {sign}{_signed(end, sign)} ({how})")
    said = "; ".join(parts) or "not tested"
    return f"{found.name}: {said}{_note(found.note)}"


def _flip(flip: Flip, sign: str = "") -> str:
    low, high = sorted((flip.last_own, flip.first_rival))
    proved = "proved" if flip.proved else "by the plans found, not proved"
    return f"between {sign}{_signed(low, sign)} and {sign}{_signed(high, sign)} ({proved})"


def _signed(value: float, sign: str) -> str:
    return f"{value:.3g}" if sign else number(value)


def _span(low: float, high: float) -> str:
    return f"{number(low)} to {number(high)}"


def _note(note: str) -> str:
    return f"; {note}" if note else ""


def tests(found: Iterable[Trial], unit: str) -> Rows:
    """One row per tested value."""
    return [
        [
            number(test.value),
            test.leader,
            "proved" if test.proved else "found",
            "" if test.least is None else number(test.least),
            "" if test.most is None else number(test.most),
        ]
        for test in found
    ]


# ------------------------------------------------------------------ price tags


def tag_rows(found: Iterable[PriceTag], unit: str) -> Rows:
    """Limit, step, change of the objective, price per unit of the limit."""
    rows = []
    for tag in found:
        step = f"{number(tag.today)} -> {number(tag.moved_to)}"
        if not tag.feasible:
            rows.append([tag.limit, step, "no plan exists, proved", ""])
        elif tag.estimate is None:
            rows.append([tag.limit, step, "nothing found in time", ""])
        else:
            change, least, most = (
                round(value or 0.0, CENTS) if unit == "USD" else value or 0.0
                for value in (tag.estimate, tag.least, tag.most)
            )
            told = f"{number(change)} ({number(least)} to {number(most)})"
            priced = tag.per_unit and change
            per_unit = f"{number(tag.per_unit or 0.0)} {unit} per {_per(tag)}" if priced else ""
            rows.append([tag.limit, step, told, per_unit])
    return rows


def _per(tag: PriceTag) -> str:
    return {"accelerators": "accelerator", "share": "1.00 of share", "": "1",
            "QoE": "1.00 of QoE", "quality": "1.00 of quality"}.get(tag.unit, tag.unit)  # fmt: skip
