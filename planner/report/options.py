"""The named options of a report, and what each of them gives up."""

from __future__ import annotations

import string
from dataclasses import dataclass

from planner.answer.words import number, percent
from planner.front.ranges import NEGLIGIBLE
from planner.plan import Objectives
from planner.report.source import PLAN_RUN_POINT, Source

CURRENT = "current"
"""The id under which the plan in force is known beside the points of a front."""
MOST_OPTIONS = 5
GREATLY = 1.0
"""Relative excess from which it is told as a multiple."""


@dataclass(frozen=True)
class Loss:
    """How far an option is from the best in one objective; 0: it is the best."""

    objective: str
    """``cost_usd``, ``carbon_kgco2e`` or ``qoe``"""
    excess: float
    """USD or kgCO2e above the least, QoE below the most"""
    relative: float | None
    """of the best value; None where that is 0"""
    range_share: float
    """of the range over the front: 0 the best, 1 the worst listed; the current may exceed 1"""


@dataclass(frozen=True)
class Option:
    """A plan with a name; `letter` marks it in pictures and tables."""

    letter: str
    names: tuple[str, ...]
    point: str
    """id of the point, ``plan`` of a run without front, ``current``"""
    objectives: Objectives
    cost_bound_usd: float | None
    """least cost proved at no more carbon and no less QoE; None: nothing proved"""
    losses: tuple[Loss, Loss, Loss]

    @property
    def name(self) -> str:
        """All names together, e.g. ``cheapest, knee``."""
        return ", ".join(self.names)

    @property
    def cost_gap_relative(self) -> float | None:
        """Share of the cost above the bound."""
        if self.cost_bound_usd is None or self.objectives.cost_usd <= 0:
            return None
        return max(0.0, 1.0 - self.cost_bound_usd / self.objectives.cost_usd)


def options_of(source: Source) -> tuple[Option, ...]:
    """Three to six options: the front's by cost, the current plan last.

    A plan that wins several names is one option. The compromise is left out where it would be
    the sixth.
    """
    named: dict[str, list[str]] = {}
    for name, point in _choices(source).items():
        named.setdefault(point, []).append(name)
    room = MOST_OPTIONS - (source.current is not None)
    if len(named) > room:
        named = {point: names for point, names in named.items() if names != ["compromise"]}
    values = {point: source.plans[point].objectives for point in named}
    ordered = sorted(values, key=lambda point: (values[point].cost_usd, point))
    bounds = _cost_bounds(source)
    shown = [(point, tuple(named[point]), values[point]) for point in ordered]
    if source.current is not None:
        shown.append((CURRENT, (CURRENT,), source.current.plan.objectives))
    best, worst = _ends(source)
    return tuple(
        Option(
            letter=letter,
            names=names,
            point=point,
            objectives=objectives,
            cost_bound_usd=bounds.get(point),
            losses=losses(objectives, best, worst),
        )
        for letter, (point, names, objectives) in zip(string.ascii_uppercase, shown, strict=False)
    )


def default_option(options: tuple[Option, ...]) -> Option:
    """The one a page opens with: the compromise, else the knee, else the first."""
    for wanted in ("compromise", "knee"):
        for option in options:
            if wanted in option.names:
                return option
    return options[0]


def _choices(source: Source) -> dict[str, str]:
    """Name -> id of the point; the names of `planner pick`."""
    from planner.front import choose

    if source.front is None:
        return {"proposed": PLAN_RUN_POINT}
    f = source.front.minimised
    rows = {
        "cheapest": choose.best_of(f, 0),
        "greenest": choose.best_of(f, 1),
        "best QoE": choose.best_of(f, 2),
    }
    knees = choose.knees(f)
    if knees:
        rows["knee"] = knees[0]
    if len(f) > 1:
        rows["compromise"] = choose.compromise(f)
    ids = [point.id for point in source.front.points]
    return {name: ids[row] for name, row in rows.items()}


def _cost_bounds(source: Source) -> dict[str, float]:
    if source.front is not None:
        return {
            point.id: point.cost_bound_usd
            for point in source.front.points
            if point.cost_bound_usd is not None
        }
    certificate = source.first_plan.certificate
    return {PLAN_RUN_POINT: certificate.bound} if certificate.minimised == "cost" else {}


def _ends(source: Source) -> tuple[Objectives, Objectives]:
    """Best and worst of each objective: of the front, else of the plan and the current one."""
    if source.front is not None:
        return source.front.ideal, source.front.nadir
    plans = [source.first_plan] + ([source.current.plan] if source.current else [])
    values = [plan.objectives for plan in plans]
    cost, carbon = [v.cost_usd for v in values], [v.carbon_kgco2e for v in values]
    qoe = [v.qoe for v in values]
    return (
        Objectives(min(cost), min(carbon), max(qoe)),
        Objectives(max(cost), max(carbon), min(qoe)),
    )


def losses(value: Objectives, best: Objectives, worst: Objectives) -> tuple[Loss, Loss, Loss]:
    """What `value` gives up in each objective against the best of it."""
    found = []
    for name, sign in (("cost_usd", 1.0), ("carbon_kgco2e", 1.0), ("qoe", -1.0)):
        at, ideal, nadir = (float(getattr(o, name)) for o in (value, best, worst))
        excess = sign * (at - ideal)
        extent = abs(nadir - ideal)
        extent = extent if extent > NEGLIGIBLE * abs(nadir) else 0.0
        found.append(
            Loss(
                objective=name,
                excess=excess,
                relative=excess / abs(ideal) if ideal else None,
                range_share=excess / extent if extent else 0.0,
            )
        )
    return found[0], found[1], found[2]


def given_up(option: Option) -> list[str]:
    """In words what the option gives up; empty where it is the best in everything."""
    cost, carbon, qoe = option.losses
    said = []
    if cost.excess > 0:
        said.append(f"{number(cost.excess)} USD more than the cheapest{_relative(cost)}")
    if carbon.excess > 0:
        said.append(f"{number(carbon.excess)} kgCO2e more than the greenest{_relative(carbon)}")
    if qoe.excess > 0:
        said.append(f"QoE {qoe.excess:.4f} below the best")
    return said


def beats(option: Option) -> list[str]:
    """In words where it is better than every listed plan, as only a current plan can be."""
    cost, carbon, qoe = option.losses
    said = []
    if cost.excess < 0:
        said.append(f"{number(-cost.excess)} USD less than the cheapest listed")
    if carbon.excess < 0:
        said.append(f"{number(-carbon.excess)} kgCO2e less than the greenest listed")
    if qoe.excess < 0:
        said.append(f"QoE {-qoe.excess:.4f} above the best listed")
    return said


def _relative(loss: Loss) -> str:
    if loss.relative is None:
        return ""
    if loss.relative >= GREATLY:
        return f" ({number(1.0 + loss.relative)} times)"
    return f" (+{percent(loss.relative)})"
