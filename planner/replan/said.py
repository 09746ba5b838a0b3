"""A check in words: for the terminal and for notebooks alike, every figure with its unit."""

from __future__ import annotations

from planner.answer.words import amount, number, percent
from planner.plan import Objectives
from planner.replan.decision import UNITS, Decision, FrontRecord, Settings
from planner.replan.rule import Interval

Rows = list[list[str]]


def gain_said(
    objective: str, period_h: float, settings: Settings, regret: Interval, least: float
) -> str:
    """What a change gains at least and at most, against what it must, over the horizon."""
    unit, times = UNITS[objective], max(settings.horizon_h / period_h, 1.0)
    low, high, needed = (times * value for value in (regret.low, regret.high, least))
    over = f"over {number(times * period_h)} h, its costs deducted"
    if regret.low > least:
        return (
            f"a change gains {amount(low, unit)} at least and {amount(high, unit)} at most {over} "
            f"(proved); it is worth it from {amount(needed, unit)}"
        )
    if regret.high <= least:
        return (
            f"no change gains more than {amount(high, unit)} {over} (proved); it would be worth it "
            f"from {amount(needed, unit)}"
        )
    return (
        f"a change gains between {amount(low, unit)} and {amount(high, unit)} {over} (proved), and "
        f"is worth it from {amount(needed, unit)}: more time, or a wider margin, decides"
    )


def headline(decision: Decision) -> str:
    """The first line: the answer."""
    return f"{decision.decision}: {decision.reason}"


def figure_rows(decision: Decision) -> list[tuple[str, float, str]]:
    """(figure, value, unit) of the period, then of the horizon."""
    unit, rows = decision.unit, []
    if decision.kept.proved is not None:
        rows.append(("least with what was decided kept, found", decision.kept.proved.value, unit))
        rows.append(("least with what was decided kept, bound", decision.kept.proved.bound, unit))
    rows.append(("least with changes, found", decision.proposed.value, unit))
    rows.append(("least with changes, bound", decision.proposed.bound, unit))
    if decision.regret is not None:
        rows.append(("gain of a change, at least", decision.regret.low, unit))
        rows.append(("gain of a change, at most", decision.regret.high, unit))
    rows.append(("gain that is worth a change", decision.least, unit))
    rows.append(("costs of the change, whole", decision.moving.cost_usd, "USD"))
    rows.append(("carbon of the change, whole", decision.moving.carbon_kgco2e, "kgCO2e"))
    if decision.held_liability_usd:
        rows.append(("signed already, beyond the period", decision.held_liability_usd, "USD"))
    if decision.new_liability_usd:
        rows.append(("signed by the change, beyond it", decision.new_liability_usd, "USD"))
    return rows


def standing_said(decision: Decision) -> list[str]:
    """The running plan as it stands under today's data, and with what follows them."""
    said = []
    standing, kept = decision.standing, decision.kept
    if standing.objectives is not None and standing.broken:
        said.append(f"As it stands it breaks {len(standing.broken)} rules today:")
        said += [f"  {one}" for one in standing.broken]
    elif standing.objectives is not None:
        said.append(f"As it stands: {worth(standing.objectives)}.")
    if kept.objectives is not None:
        proved = kept.proved
        assert proved is not None
        gap = (proved.value - proved.bound) / abs(proved.value) if proved.value else 0.0
        said.append(
            f"With rentals, replicas and routing following the data: {worth(kept.objectives)} "
            f"(proved within {percent(gap)} of the least)."
        )
    elif kept.conflict:
        said.append("Even with rentals, replicas and routing following the data it cannot go on:")
        said += [f"  {one}" for one in kept.conflict]
    return said


def worth(objectives: Objectives) -> str:
    """``1,234 USD, 567 kgCO2e, QoE 0.7123``."""
    return (
        f"{amount(objectives.cost_usd, 'USD')}, {amount(objectives.carbon_kgco2e, 'kgCO2e')}, "
        f"QoE {objectives.qoe:.4f}"
    )


def moving_rows(decision: Decision) -> Rows:
    """The costs of the change by line, whole, and what the period bears."""
    share = min(decision.period_h / decision.settings.horizon_h, 1.0)
    rows = [
        [name, number(usd), number(usd * share)]
        for name, usd in decision.moving.cost_lines.items()
        if usd
    ]
    if len(rows) > 1:
        total = decision.moving.cost_usd
        rows.append(["total", number(total), number(total * share)])
    return rows


def machine_rows(decision: Decision) -> Rows:
    """Machine, most accelerators held at once today and then, where they differ."""
    return [
        [name, f"{before:,.0f}", f"{after:,.0f}", f"{after - before:+,.0f}"]
        for name, (before, after) in decision.moving.machines.items()
    ]


MACHINE_HEADINGS = ("region/offer", "today", "then", "change")


def stage_rows(decision: Decision) -> Rows:
    """Step, what moves, machines added and dropped, when and for how long both are held."""
    rows = []
    for at, stage in enumerate(decision.stages, start=1):
        what = ", ".join(stage.workloads) or "rentals and routing"
        rows.append(
            [
                str(at),
                what,
                f"+{stage.added_accelerators:,}",
                f"-{stage.dropped_accelerators:,}",
                stage.slice,
                f"{stage.overlap_accelerators:,}",
                f"{stage.hours:.1f}",
                number(stage.overlap_usd),
                "checked" if stage.fits else "does not fit",
            ]
        )
    return rows


STAGE_HEADINGS = (
    *("", "moves", "added", "dropped", "best in", "beside", "h", "USD", "on the way"),
)


def stages_said(decision: Decision) -> list[str]:
    """What the order of the move promises, and where it does not."""
    if not decision.stages:
        return []
    wrong = [stage for stage in decision.stages if not stage.fits]
    if not wrong:
        return [
            "In every step machines are added first, answers move, then the others are drained. "
            "Each plan on the way, and the one while both serve, passed the independent checker: "
            "every promise is kept throughout."
        ]
    said = ["Steps whose overlap does not fit what can be had:"]
    return said + [f"  {', '.join(stage.workloads)}: {stage.missing}" for stage in wrong]


def front_said(front: FrontRecord) -> list[str]:
    """How the front moved, whether the point is still on it, and its successor."""
    said = [
        f"{front.feasible} of {front.points} plans of the front still keep every rule as they stand"
        + _moved(" cost", front.cost_moved_relative)
        + _moved(" carbon", front.carbon_moved_relative)
        + "."
    ]
    on = {
        True: f"{front.point} is still on the front, within what the check asks.",
        False: f"{front.point} has left the front: a cheaper plan with no more carbon and no less "
        "QoE is certain; the proposed plan is its successor.",
        None: f"Whether {front.point} is still on the front is open.",
    }
    said.append(on[front.on_front])
    if front.new_front is not None:
        said.append(
            f"Against {front.new_front}: {front.dominated} of {front.feasible} plans are bettered, "
            f"by {percent(front.epsilon or 0.0)} of each range at most; the successor of "
            f"{front.point} there is {front.successor}."
        )
    return said


def _moved(what: str, span: tuple[float, float] | None) -> str:
    if span is None:
        return ""
    low, high = span
    if max(abs(low), abs(high)) < 5e-4:
        return f",{what} unmoved"
    return f",{what} moved by {100 * low:+.1f} to {100 * high:+.1f} %"


def confirmation_said(decision: Decision) -> list[str]:
    """How often a gain was found, where that matters."""
    needed = decision.settings.confirmations
    if not decision.pays or needed == 1:
        return []
    return [f"A worthwhile gain was found in {decision.confirmed} of {needed} checks in a row."]
