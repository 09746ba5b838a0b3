"""The other side of every verdict, solved: what the plan would come to with it, beside the plan.

One re-solve a workload, with its best other adaptation insisted on and all else free. Prices at the
margin do not see whole machines, so that nothing else says which side is the better one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from planner.answer.adoption import TURN_UNKNOWN, Case
from planner.answer.words import number, variant_said
from planner.errors import InfeasibleError, SolverError, VerificationError
from planner.explain.bench import Bench, Solved
from planner.explain.breakeven import case_of
from planner.explain.wishes import Wish, keep_of
from planner.plan import Adoption, Plan

SOLVED_GAP = 0.01
"""A rival whose total is proved within so much is told as one figure."""
UNITS = {"cost": "USD", "carbon": "kgCO2e", "qoe-loss": "of QoE lost"}


def with_rivals(bench: Bench, plan: Plan, seconds_each: Callable[[int], float]) -> Plan:
    """The plan with the totals of both sides in every break-even that was solved in time.

    `seconds_each`: how long one of the n that are left may take; below 0 nothing is begun.
    """
    rows: list[Adoption] = []
    for at, row in enumerate(plan.adoption):
        seconds = seconds_each(len(plan.adoption) - at)
        rows.append(_beside(bench, plan, row, seconds) if seconds > 0.0 else row)
    return replace(plan, adoption=tuple(rows))


def _beside(bench: Bench, plan: Plan, row: Adoption, seconds: float) -> Adoption:
    """The row with its rival solved; as it is where there is none or nothing was found."""
    case = case_of(bench, plan, row.workload)
    rival = case.break_even_rival()
    if rival is None:
        return row
    adaptation = case.variants[rival].adaptation
    wish = Wish.of(workload=row.workload, adaptation=adaptation)
    if adaptation == row.adaptation:
        wish = Wish.of(workload=row.workload, variant=case.variants[rival].variant)
    left = bench.only(keep_of(wish, bench.facts, bench.candidates))
    try:
        found = None if left is None else left.solve(seconds, plan)
    except InfeasibleError:
        found = None
    except (SolverError, VerificationError):
        return row
    if found is None:
        said = f"No plan with {case.named(rival)} exists at today's demand, proved"
        return replace(row, break_even=_told(case, rival, said))
    name = variant_said(next(a for a in found.plan.adoption if a.workload == row.workload))
    return replace(
        row,
        break_even=_told(case, rival, _totals(plan, found, name)),
        rival=name,
        rival_value=found.value,
        rival_bound=found.bound,
    )


def _totals(plan: Plan, found: Solved, name: str) -> str:
    """Both totals; of a rival that was not solved to the end, between what its total lies."""
    stated = plan.certificate
    unit = UNITS[stated.minimised]
    total = f"{number(found.value)} {unit} with {name} in its place"
    if found.gap_relative > SOLVED_GAP:
        total = f"between {number(found.bound)} (proved) and {total} (the best found in time)"
    else:
        total += f" (not below {number(found.bound)}, proved)"
    return f"Solved at today's demand: {number(stated.value)} {unit} as chosen, {total}"


def _told(case: Case, rival: int, said: str) -> str:
    return " ".join(part for part in (f"{said}; {TURN_UNKNOWN}.", case.gap_said(rival)) if part)
