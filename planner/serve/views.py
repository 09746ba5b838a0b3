"""What the pages show, as rows of text: numbers are worded here, never in a template."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from planner.answer.words import number, percent, proof_said, share, variant_said
from planner.cli.text import MARKET_ORDER
from planner.history.records import RunFile, RunView
from planner.plan import Plan

CHIPS = {
    "keep": "quiet",
    "move": "notice",
    "undecided": "warn",
    "stopped": "bad",
    "failed": "bad",
}
"""Decision -> look of its label."""
INLINE = {".html": "text/html", ".json": "application/json"}
TEXT = {".csv", ".toml", ".jsonl", ".txt", ".md", ".log"}
REPORTS = {"report.html": "Report", "brief.html": "Brief of one page"}


@dataclass(frozen=True)
class Row:
    """Cells of a table row."""

    cells: tuple[str, ...]
    share: float = 0.0
    """of the whole, for a bar"""


@dataclass(frozen=True)
class PlanView:
    """A plan in tables."""

    fleet: tuple[Row, ...]
    """region, accelerator, offer, market, peak"""
    adoption: tuple[tuple[str, str, str, str], ...]
    """workload, variant, reason, break-even"""
    cost: tuple[Row, ...]
    carbon: tuple[Row, ...]
    workloads: tuple[Row, ...]
    assumptions: tuple[str, ...]
    proof: str
    period: str


def gap(relative: float) -> str:
    """A proved gap; what rounds to nothing is said to be below a hundredth of a per cent."""
    return percent(relative) if relative >= 1e-4 else "under 0.01 %"


def sentence(text: str) -> str:
    """With a capital first and a full stop last."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def plan_view(plan: Plan) -> PlanView:
    """The tables of a plan."""
    certificate = plan.certificate
    how = {
        "optimal": "The gap asked for is proved",
        "limit": "Stopped at a limit; the bound holds",
    }.get(certificate.status, "Nothing is proved")
    named = {"cost": "cost", "carbon": "carbon", "qoe-loss": "QoE loss"}[certificate.minimised]
    proof = f"{how}: {named} lies within {gap(certificate.gap_relative)} of the best possible"
    return PlanView(
        fleet=tuple(_fleet(plan)),
        adoption=tuple(
            (row.workload, variant_said(row), row.reason, row.break_even) for row in plan.adoption
        ),
        cost=_lines(plan.cost_lines),
        carbon=_lines(plan.carbon_lines),
        workloads=tuple(
            Row(
                (
                    w.workload,
                    f"{w.qoe:.3f}",
                    f"{w.ttft_p95_s:.2f}",
                    f"{1e3 * w.tpot_mean_s:.1f}",
                    f"{100 * w.attainment:.1f}",
                    number(w.usd_per_mtok),
                    number(w.gco2e_per_ktok),
                )
            )
            for w in plan.workloads
        ),
        assumptions=plan.assumptions,
        proof=f"{proof}. {proof_said(certificate)}",
        period=f"{number(plan.period_hours)} h",
    )


def _fleet(plan: Plan) -> list[Row]:
    always: dict[tuple[str, str, str, str], int] = defaultdict(int)
    sliced: dict[tuple[str, str, str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for line in plan.fleet:
        key = (line.region, line.accelerator, line.offer, line.said)
        if line.slice is None:
            always[key] += line.accelerators * line.instances
        else:
            sliced[key][line.slice] += line.accelerators * line.instances
    peaks = {
        key: always[key] + max(sliced[key].values(), default=0)
        for key in always.keys() | sliced.keys()
    }
    most = max(peaks.values(), default=1)
    order = sorted(peaks, key=lambda k: (k[0], k[1], k[2], MARKET_ORDER.index(k[3])))
    return [Row((*key, f"{peaks[key]:,}"), peaks[key] / most) for key in order]


def _lines(lines: Mapping[str, float]) -> tuple[Row, ...]:
    whole = sum(lines.values())
    shown = sorted(((k, v) for k, v in lines.items() if v > 0), key=lambda part: -part[1])
    rows = [Row((name, number(v), share(v / whole)), v / whole) for name, v in shown]
    return (*rows, Row(("total", number(whole), "")))


def file_type(path: str) -> tuple[str, bool]:
    """Media type of a file, and whether a browser may show it."""
    suffix = path[path.rfind(".") :] if "." in path else ""
    if suffix in INLINE:
        return INLINE[suffix], True
    return (
        ("text/plain; charset=utf-8", True)
        if suffix in TEXT
        else ("application/octet-stream", False)
    )


def reports(files: tuple[RunFile, ...]) -> list[tuple[str, str]]:
    """(path, title) of the reports stored in a run."""
    return [(f.path, REPORTS[f.path]) for f in files if f.path in REPORTS]


def verdict(view: RunView) -> str:
    """The answer of a run in one line."""
    if view.decision is not None:
        return {
            "keep": "Keep the plan in force",
            "move": "Move to this plan",
            "undecided": "Undecided",
            "stopped": "Stopped: a person must look",
            "failed": "The cycle failed",
        }[view.decision.decision]
    if view.front is not None:
        return f"Front of {view.front.points} plans"
    return "Plan" if view.run.exit_code == 0 else "Plan, stopped at a limit"
