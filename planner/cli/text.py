"""Plain text for people: aligned tables, wrapped paragraphs, at most 100 columns."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from planner.answer.commitments import liability_said
from planner.answer.known import told
from planner.answer.words import (
    OBJECTIVES_SAID,
    amount,
    calibration_said,
    gap_said,
    hours_said,
    number,
    proof_said,
    seconds,
    share,
    variant_said,
)
from planner.plan import Plan

WIDTH, NARROWEST = 100, 60
"""Most columns, and least where the terminal has fewer."""
NUMBER_AND_UNIT = re.compile(r"(\d) (USD|kgCO2e|QoE|l|h|ms|s|%|days|times|requests)(?!\w)")
"""Not torn apart at the end of a line."""
UNITS = {"cost": "USD", "carbon": "kgCO2e", "qoe-loss": "of QoE lost"}
HOURS_PER_MONTH = 730.0
FINER = (
    "Where [serving] leaves them open, `planner plan` adds some around its answer, which may then "
    "be better than any plan of the front."
)
"""Of the prompt lanes and operating points of a front."""
MARKET_ORDER = (
    *("owned", "commit-3y, held", "commit-1y, held"),
    *("commit-3y", "commit-1y", "on-demand", "spot"),
)


# ------------------------------------------------------------------ pieces


def table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()
) -> list[str]:
    """Lines of a table; columns in `numbers` are aligned right."""
    cells = [list(headings), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    lines = []
    for row in cells:
        parts = [
            cell.rjust(width) if i in numbers else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(("  " + "  ".join(parts)).rstrip())
    return lines


def width() -> int:
    """Columns to write: those of the terminal where it has fewer than ours."""
    columns = shutil.get_terminal_size((WIDTH, 24)).columns
    return min(max(columns, NARROWEST), WIDTH)


def paragraph(text: str, first: str = "", indent: str = "") -> list[str]:
    """Text wrapped to the width, `first` before it and `indent` on the lines that follow."""
    joined = NUMBER_AND_UNIT.sub("\\1\N{NO-BREAK SPACE}\\2", text)
    lines = textwrap.wrap(
        joined,
        width(),
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def section(title: str, lines: Iterable[str]) -> list[str]:
    """A blank line, the title, the lines; nothing where there are none."""
    body = list(lines)
    return ["", title, *body] if body else []


# ------------------------------------------------------------------ the plan


def plan_text(plan: Plan, slice_hours: Mapping[str, float], run_folder: str | None = None) -> str:
    """The answer first, the assumptions last."""
    lines = [
        *headline(plan),
        *section("Fleet (accelerators held)", fleet(plan, slice_hours)),
        *section("Commitments (what is signed beyond the period)", signed(plan)),
        *section(
            "Where demand is answered (share of each origin's requests)", served(plan, slice_hours)
        ),
        *section(f"Adaptation (amounts in {plan.period_hours:g} h)", adaptation(plan)),
        *section(f"Cost, USD in {plan.period_hours:g} h", money_lines(plan.cost_lines)),
        *section(f"Carbon, kgCO2e in {plan.period_hours:g} h", money_lines(plan.carbon_lines)),
        *section("Workloads", workloads(plan)),
        *section("How the figures are known", known(plan)),
        *section("Your measurements", measured(plan)),
        *section("Assumptions", assumptions(plan)),
        *section("Time", paragraph(times(plan), "  ", "    ")),
    ]
    if run_folder is not None:
        lines += ["", f"run folder: {run_folder}"]
    return "\n".join(lines) + "\n"


def headline(plan: Plan) -> list[str]:
    """Cost, carbon, QoE and the proven gap; then the same per month, and water."""
    o, hours = plan.objectives, plan.period_hours
    month = HOURS_PER_MONTH / hours
    said = (
        f"{plan.instance.name}: {number(o.cost_usd * month)} USD and "
        f"{number(o.carbon_kgco2e * month)} kgCO2e a month, QoE {o.qoe:.4f}; {proved_said(plan)}"
    )
    period = (
        f"In the period of {hours:g} h: {amount(o.cost_usd, 'USD')}, "
        f"{amount(o.carbon_kgco2e, 'kgCO2e')}, {amount(plan.water_l, 'l')} of water. "
        + (
            "Every rule, figure and the bound were checked again from the instance alone."
            if plan.certificate.proof == "dual prices"
            else "Every rule and figure were checked again from the instance alone. "
            + proof_said(plan.certificate)
        )
    )
    beyond = liability_said(plan.commitments, hours)
    period += f" {beyond}" if beyond else ""
    if plan.certificate.status != "optimal":
        period = "Stopped at a limit before the gap asked for was proved. " + period
    return [*paragraph(said), *paragraph(period)]


def proved_said(plan: Plan) -> str:
    """What is proved about the objective."""
    c = plan.certificate
    return f"{OBJECTIVES_SAID[c.minimised]} proved within {gap_said(c.gap_relative)}"


def fleet(plan: Plan, slice_hours: Mapping[str, float]) -> list[str]:
    """Peak and mean accelerators by region, accelerator, offer and market."""
    total_hours = sum(slice_hours.values())
    held: dict[tuple[str, str, str, str], dict[str, float]] = defaultdict(
        lambda: defaultdict(float)
    )
    mean: dict[tuple[str, str, str, str], float] = defaultdict(float)
    for line in plan.fleet:
        key = (line.region, line.accelerator, line.offer, line.said)
        for name in slice_hours if line.slice is None else (line.slice,):
            held[key][name] += line.accelerators * line.instances
            hours = slice_hours[name]
            mean[key] += line.accelerators * line.mean_instances(hours) * hours / total_hours
    used: dict[str, float] = defaultdict(float)
    for key in held:
        used[key[0]] += mean[key]
    order = sorted(held, key=lambda k: (-used[k[0]], k[0], k[1], k[2], MARKET_ORDER.index(k[3])))
    rows, last = [], ("", "", "")
    for key in order:
        shown = [name if name != before or key[0] != last[0] else "" for name, before in
                 zip(key[:3], last, strict=True)]  # fmt: skip
        by_slice = held[key]
        rows.append([*shown, key[3], f"{max(by_slice.values()):,.0f}", number(mean[key])])
        last = key[:3]
    everywhere: dict[str, float] = defaultdict(float)
    for by_slice in held.values():
        for name, value in by_slice.items():
            everywhere[name] += value
    if everywhere:
        peak = f"{max(everywhere.values()):,.0f}"
        rows.append(["all", "", "", "", peak, number(sum(mean.values()))])
    if not rows:
        return ["  none: every answer is bought"]
    headings = ("region", "accelerator", "offer", "market", "peak", "mean")
    told = [
        text for said in hours_said(plan, slice_hours) for text in paragraph(said, "  ", "    ")
    ]
    return [*table(headings, rows, numbers=(4, 5)), *told]


def signed(plan: Plan) -> list[str]:
    """Terms that bind: until when, and what is still to be paid after the period."""
    rows = [
        [
            *(one.region, one.offer, f"{one.market}, held" if one.held else one.market),
            *(f"{one.instances:,}", number(one.usd_per_h), one.end_date or "not stated"),
            *("?" if value is None else number(value)
              for value in (one.months_left, one.liability_usd)),
        ]
        for one in plan.commitments
    ]  # fmt: skip
    if len(rows) > 1:
        rows.append(["all", *[""] * 6, number(plan.liability_usd)])
    headings = ("region", "offer", "term", "instances", "USD/h each", "until", "months left", "USD")
    return table(headings, rows, numbers=(3, 4, 6, 7)) if rows else []


def served(plan: Plan, slice_hours: Mapping[str, float]) -> list[str]:
    """Regions that answer each origin, largest share first."""
    amounts: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for line in plan.routing:
        if line.leg == 0:
            requests = line.requests_per_s * slice_hours[line.served_slice]
            amounts[line.origin][line.region or "not answered"] += requests
    lines = []
    width = max((len(origin) for origin in amounts), default=0)
    for origin, by_region in amounts.items():
        whole = sum(by_region.values())
        shares = sorted(by_region.items(), key=lambda part: -part[1])
        parts = [f"{region} {100 * value / whole:.0f} %" for region, value in shares
                 if value >= 0.005 * whole]  # fmt: skip
        first = f"  {origin.ljust(width)}  "
        lines += paragraph(", ".join(parts), first, " " * len(first))
    return lines


def adaptation(plan: Plan) -> list[str]:
    """Every workload's variant, why, and where the verdict turns."""
    lines = []
    width = max((len(row.workload) for row in plan.adoption), default=0)
    for row in plan.adoption:
        lines.append(f"  {row.workload.ljust(width)}  {variant_said(row)}")
        lines += paragraph(row.reason, "      why: ", "           ")
        lines += paragraph(row.break_even, "      turns: ", "             ")
    return lines


def money_lines(lines: Mapping[str, float]) -> list[str]:
    """Lines above zero, largest first, with their share and total."""
    whole = sum(lines.values())
    rows = [
        [name, number(value), share(value / whole) if whole else ""]
        for name, value in sorted(lines.items(), key=lambda part: -part[1])
        if value > 0
    ]
    return table(("line", "amount", "share"), [*rows, ["total", number(whole), ""]], numbers=(1, 2))


def workloads(plan: Plan) -> list[str]:
    """What every workload gets and costs."""
    rows = [
        [
            w.workload,
            f"{w.qoe:.3f}",
            seconds(w.ttft_p95_s),
            f"{w.tpot_mean_s * 1e3:.1f} ms",
            f"{100 * w.attainment:.1f} %",
            number(w.usd_per_mtok),
            number(w.gco2e_per_ktok),
        ]
        for w in plan.workloads
    ]
    headings = ("workload", "QoE", "TTFT p95", "TPOT mean", "in time", "USD/Mtok", "gCO2e/ktok")
    return table(headings, rows, numbers=range(1, 7))


def known(plan: Plan) -> list[str]:
    """Shares by provenance."""
    lines = []
    for title, shares in told(plan):
        parts = ", ".join(f"{kind} {share(value)}" for kind, value in shares.items())
        name = title if title.startswith("PUE") else f"{title[0].lower()}{title[1:]}"
        lines += paragraph(parts, f"  {name}: ", "      ")
    return lines


def measured(plan: Plan) -> list[str]:
    """What the user's own measurements changed."""
    return [line for text in calibration_said(plan) for line in paragraph(text, "  ", "      ")]


def assumptions(plan: Plan) -> list[str]:
    """One sentence per bullet; the age of the data is the last."""
    return [line for text in plan.assumptions for line in paragraph(text, "  - ", "    ")]


def times(plan: Plan) -> str:
    """Seconds by phase."""
    parts = [f"{name} {value:.1f} s" for name, value in plan.timings.items() if value >= 0.05]
    return f"{sum(plan.timings.values()):.1f} s: " + ", ".join(parts)


def summary(rows: Sequence[Sequence[str]]) -> str:
    """The table at the end of a call with several folders."""
    headings = ("instance", "result", "USD/month", "kgCO2e/month", "QoE", "gap", "s")
    return "\n".join(["", "Summary", *table(headings, rows, numbers=range(2, 7))]) + "\n"
