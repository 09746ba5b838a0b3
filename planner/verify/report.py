"""What the checker says: the rules by name, violations, and the recomputed figures."""

from __future__ import annotations

from dataclasses import dataclass

from planner.plan import Objectives, WorkloadLine

RULES: dict[str, str] = {
    "instance": "the plan belongs to this instance: name, content and period",
    "known-names": "every workload, variant, region, offer, slice, llm and pool exists",
    "adoption": "exactly one known variant per workload, stated as the instance has it",
    "quality-floor": "answers after staleness reach the workload's quality floor",
    "residency": "a workload is answered and trained only where its residency rule allows",
    "context-length": "prompt, retrieved text and answer fit the context of the llm",
    "prompt-lane": "no prompt is longer than the lane of its pool",
    "memory-fit": "weights and at least one request fit the memory of a replica",
    "operating-point": "operating point and precision are offered and reached by the accelerator",
    "latency-target": "TPOT and the TTFT without waiting do not exceed their targets",
    "adopted-llm": "each leg is answered by the llm and weights of the adopted variant",
    "demand-served": "shares of every demand item and leg add up to one, none is negative",
    "allowed-slice": "demand is served in a slice it may be served in",
    "rates": "stated request rates are share times demand",
    "replica-capacity": "replicas carry the work, slots, memory and prefill routed to them",
    "machine-capacity": "accelerators of the replicas fit the machines held",
    "by-the-hour": "batch alone is served by the hour, within the hours held, on rented machines",
    "whole-numbers": "replicas and instances are whole and not negative",
    "divisibility": "a replica's accelerators divide the machine's instance and the llm's heads",
    "market": "machines are bought only in markets that are priced and allowed",
    "stock": "no more instances than are on sale",
    "quota": "accelerators held stay within every quota",
    "owned": "owned and committed machines are held as the instance says",
    "commitments": "terms that bind are stated with their end and what is owed after the period",
    "spot-share": "spot accelerators stay within the allowed share",
    "region-loss": "losing any one region leaves the stated share of the demand served",
    "min-regions": "enough regions serve the workload",
    "max-regions": "no more regions in use than allowed",
    "max-llms": "no more llms in service than allowed",
    "attainment": "enough requests meet their latency targets",
    "qoe-floor": "every workload reaches its own QoE floor",
    "hosting": "indexes and adapters are copied to every region that serves with them",
    "training": "every adopted fine-tune is trained once, on machines that can",
    "added-accelerators": "no more accelerators above the incumbent's peak than allowed",
    "changed-workloads": "no more workloads change their variant than allowed",
    "kept-incumbent": "what must stay of the incumbent stays: variants, machines, copies",
    "caps": "cost, carbon, water and QoE keep their limits",
    "cost-lines": "every cost line is what the plan's decisions cost",
    "carbon-lines": "every carbon line is what the plan's decisions emit",
    "water": "the water figure is what the plan's decisions use",
    "objectives": "objectives are the sums of their lines, and QoE is recomputed",
    "workload-lines": "QoE, TTFT, TPOT and attainment per workload are recomputed",
    "allocation": "cost and carbon per token share out the totals, no more and no less",
    "certificate": "value, bound, gap and status of the certificate agree with each other",
}
"""Rule name -> what it holds."""


@dataclass(frozen=True)
class Violation:
    """One broken rule: who broke it, what was to be, what is, in words with numbers."""

    rule: str
    subject: str
    expected: str
    found: str
    message: str


@dataclass(frozen=True)
class VerificationReport:
    """Everything the checker found; the figures are its own, not the plan's."""

    violations: tuple[Violation, ...]
    rules: tuple[str, ...]
    """names of the rules checked"""
    objectives: Objectives
    cost_lines: dict[str, float]
    """USD"""
    carbon_lines: dict[str, float]
    """kgCO2e"""
    water_l: float
    workloads: tuple[WorkloadLine, ...]

    @property
    def ok(self) -> bool:
        """No violation."""
        return not self.violations


class Findings:
    """Collects violations while rules are checked."""

    def __init__(self) -> None:
        self._found: list[Violation] = []

    def add(self, rule: str, subject: str, expected: object, found: object, message: str) -> None:
        """Note a violation of a rule of `RULES`."""
        assert rule in RULES, rule
        self._found.append(Violation(rule, subject, _text(expected), _text(found), message))

    def close(self, rule: str, subject: str, expected: float, found: float, message: str) -> None:
        """Note a violation unless the two figures agree (`agree`)."""
        if not agree(expected, found):
            self.add(rule, subject, expected, found, message)

    def all(self) -> tuple[Violation, ...]:
        """Violations in the order of `RULES`."""
        order = {name: place for place, name in enumerate(RULES)}
        return tuple(sorted(self._found, key=lambda violation: order[violation.rule]))


TOLERANCE = 1e-6
"""Relative; also absolute for shares and for figures below one."""


def agree(expected: float, found: float) -> bool:
    """Equal within `TOLERANCE`, relative to the larger of both and one; NaN agrees with nothing."""
    return abs(expected - found) <= TOLERANCE * max(1.0, abs(expected), abs(found))


def _text(value: object) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)
