"""The independent checker: plan and bound re-proved without the program or the engine."""

from __future__ import annotations

from planner.incumbent import Incumbent
from planner.instance.facts import Facts
from planner.plan import Plan
from planner.verify.bound import verify_bound
from planner.verify.case import Case
from planner.verify.check import check_decisions
from planner.verify.prices import DualPrices
from planner.verify.proof import Proof, verify_certificate, verify_proof
from planner.verify.report import RULES, VerificationReport, Violation
from planner.verify.totals import check_totals

__all__ = [
    "RULES",
    "DualPrices",
    "Proof",
    "VerificationReport",
    "Violation",
    "verify_bound",
    "verify_certificate",
    "verify_plan",
    "verify_proof",
]


def verify_plan(facts: Facts, plan: Plan, incumbent: Incumbent | None = None) -> VerificationReport:
    """Check every rule of `RULES` on a plan and recompute its objectives and lines.

    `incumbent` is what changes are measured against. Lines that name unknown things are
    reported under ``known-names`` and left out of the other rules. Never raises on a wrong plan.
    """
    case = Case(facts, plan, incumbent)
    check_decisions(case)
    book, objectives, workloads = check_totals(case)
    return VerificationReport(
        violations=case.findings.all(),
        rules=tuple(RULES),
        objectives=objectives,
        cost_lines=book.cost,
        carbon_lines=book.carbon,
        water_l=book.water_l,
        workloads=workloads,
    )
