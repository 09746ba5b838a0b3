"""`planner pick`: choose a plan from a front, and see what each step along it costs."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.errors import InfeasibleError, PlannerError, RunError

if TYPE_CHECKING:
    from planner.front.choose import Alternative, Step
    from planner.front.front import Front, FrontPoint
    from planner.plan import Plan

NAMES = {"cost": 0, "carbon": 1, "qoe": 2}
NEXT_WISH = re.compile(r",(?=\s*[A-Za-z])")
"""A comma between wishes, not one among digits."""
MOST_CHANGES = 4
MOST_ALTERNATIVES = 5
QOE_DIGITS = 4


def pick(
    run_dir: Annotated[Path, typer.Argument(help="Run folder that `planner front` wrote.")],
    like: Annotated[
        str | None, typer.Option(help="Wishes: cost=USD,carbon=KG,qoe=SHARE, any of them.")
    ] = None,
    most: Annotated[
        list[str] | None, typer.Option("--max", help="Cap: cost=USD or carbon=KG. Repeatable.")
    ] = None,
    least: Annotated[list[str] | None, typer.Option("--min", help="Floor: qoe=SHARE.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Choose a plan: by wishes, within caps, or by name; and what each step along the front costs.

    Exit code 4 where the certificate proves that no plan keeps the caps.
    """
    from planner.front.front import Front

    front = Front.read(run_dir)
    caps = {**_asked(most, "--max", ("cost", "carbon")), **_asked(least, "--min", ("qoe",))}
    wishes = _asked(NEXT_WISH.split(like) if like else None, "--like", tuple(NAMES))
    answer = choose(front, run_dir if run_dir.is_dir() else run_dir.parent, wishes, caps)
    typer.echo(json.dumps(_plain(answer), indent=1) if as_json else "\n".join(_text(answer)))


@dataclasses.dataclass(frozen=True)
class Choice:
    """A named choice and the point it takes."""

    name: str
    point: FrontPoint


@dataclasses.dataclass(frozen=True)
class Answer:
    """All that `planner pick` says; `choices` are among the points within the caps."""

    front: Front
    chosen: Choice
    capped: bool
    choices: tuple[Choice, ...]
    within_caps: int
    cost_bound_usd: float | None
    """Least cost proved for any plan within the caps on carbon and QoE; None where unknown."""
    steps: tuple[Step, ...]
    """Between neighbours in the order of cost, all within the caps."""
    from_cheaper: tuple[Step, ...]
    """To each point from its nearest cheaper neighbours."""
    to_chosen: tuple[Step, ...]
    between_choices: tuple[Step, ...]
    alternatives: tuple[Alternative, ...]
    proved_over: str
    """For which lanes and operating points the proofs hold; empty where the plan does not say."""


def choose(
    front: Front, run_dir: Path, wishes: Mapping[str, float], caps: Mapping[str, float]
) -> Answer:
    """Everything about one question; InfeasibleError where the caps are proved impossible."""
    from planner.compare.sides import named_rows
    from planner.front import choose as rules
    from planner.front.front import known

    if not front.points:
        raise RunError("the front has no points; run `planner front --resume` to go on")
    limits = {NAMES[name]: _minimised(name, value) for name, value in caps.items()}
    cuts = [cut.as_cut() for cut in front.certificate.cuts]
    boxes = [box.as_box() for box in front.certificate.boxes]
    f = front.minimised
    inside = rules.within(f, limits)
    if not inside.any():
        proved = rules.proved_impossible(limits, cuts, boxes, f.shape[1])
        raise _nothing_within(front, limits, proved)
    points = [point for point, kept in zip(front.points, inside, strict=True) if kept]
    rows = f[inside]
    found = named_rows(rows)
    chosen = "cheapest" if caps else "compromise"
    if wishes:
        chosen = "nearest to the wishes"
        wished = {NAMES[name]: _minimised(name, value) for name, value in wishes.items()}
        found[chosen] = rules.nearest(rows, wished)
    choices = [Choice(name, points[row]) for name, row in found.items()]
    best = Choice(f"{chosen} within the caps" if caps else chosen, points[found[chosen]])
    values = {point.id: point.objectives for point in points}
    up = {
        line.point: list(dict.fromkeys(step for step in (line.for_carbon, line.for_qoe) if step))
        for line in rules.steps_up(values)
    }
    named = {choice.point.id: choice.point.objectives for choice in choices}
    return Answer(
        front=front,
        chosen=best,
        capped=bool(caps),
        choices=tuple(choices),
        within_caps=len(points),
        cost_bound_usd=known(rules.least_cost_within(limits, cuts, boxes, f.shape[1])),
        steps=tuple(rules.steps_by_cost(values)),
        from_cheaper=tuple(step for steps in up.values() for step in steps),
        to_chosen=tuple(up[best.point.id]),
        between_choices=tuple(rules.steps_by_cost(named)),
        alternatives=tuple(_alternatives(front, best.point, run_dir)),
        proved_over=_proved_over(front.read_plan(best.point.id, run_dir)),
    )


def _proved_over(plan: Plan) -> str:
    from planner.answer.words import PROVED_OVER

    return next((said for said in plan.assumptions if said.startswith(PROVED_OVER)), "")


def _alternatives(front: Front, point: FrontPoint, run_dir: Path) -> list[Alternative]:
    """Near plans of the front, and of the folder's other plans, that decide otherwise."""
    from planner.front import choose as rules
    from planner.plan import Plan

    chosen = front.read_plan(point.id, run_dir)
    others = {
        other.id: front.read_plan(other.id, run_dir)
        for other in front.points
        if other.id != point.id and rules.is_near(point.objectives, other.objectives)
    }
    listed = {(run_dir / other.plan).resolve() for other in front.points}
    folder = (run_dir / point.plan).parent
    for file in sorted(folder.glob("*.json")):
        if file.resolve() not in listed:
            others[file.stem] = Plan.read(file)
    return rules.alternatives(chosen, others)


def _minimised(name: str, value: float) -> float:
    return 1.0 - value if name == "qoe" else value


def _asked(texts: list[str] | None, option: str, allowed: Sequence[str]) -> dict[str, float]:
    from planner.cli.plan import named_numbers

    values = named_numbers(texts or [], option)
    for name in values:
        if name not in allowed:
            raise typer.BadParameter(f"{option} {name}: one of {', '.join(allowed)}")
    return values


def _nothing_within(front: Front, limits: Mapping[int, float], proved: bool) -> PlannerError:
    """The error that says how far the nearest point is from the caps."""
    from planner.front import choose as rules

    closest = front.points[rules.nearest(front.minimised, limits)]
    told = f"the closest is {closest.id}: {_values(closest)}"
    if proved:
        repair = f"the closest listed plan, {closest.id}: {_values(closest)}"
        return InfeasibleError("no plan keeps these caps", repair=(repair,))
    return PlannerError(
        f"none of the {len(front.points)} listed plans keeps these caps, "
        f"and it is not proved that none can; {told}"
    )


# ------------------------------------------------------------------ output


def _values(point: FrontPoint) -> str:
    from planner.answer.words import amount

    return (
        f"{amount(point.cost_usd, 'USD')}, {amount(point.carbon_kgco2e, 'kgCO2e')}, "
        f"QoE {point.qoe:.4f}"
    )


def _text(answer: Answer) -> list[str]:
    """The answer first, then the choices, the steps, the alternatives, and what is proved."""
    from planner.answer.words import number, percent
    from planner.cli.text import paragraph, section, table

    chosen = answer.chosen.point
    lines = [f"take {chosen.id}, {answer.chosen.name}: {_values(chosen)}", f"plan: {chosen.plan}"]
    rows = [
        (
            choice.name,
            choice.point.id,
            number(choice.point.cost_usd),
            number(choice.point.carbon_kgco2e),
            f"{choice.point.qoe:.4f}",
            "unknown"
            if choice.point.cost_gap_relative is None
            else percent(choice.point.cost_gap_relative),
        )
        for choice in answer.choices
    ]
    headings = ("choice", "point", "USD", "kgCO2e", "QoE", "cost gap")
    lines += section(
        f"Choices among {answer.within_caps} of {len(answer.front.points)} plans",
        table(headings, rows, numbers=(2, 3, 4, 5)),
    )
    lines += section(f"Reaching {chosen.id} from cheaper neighbours", _steps(answer.to_chosen))
    lines += section("Steps between the choices, by cost", _steps(answer.between_choices))
    lines += section(
        f"Almost as good as {chosen.id}, decided differently",
        [line for other in answer.alternatives[:MOST_ALTERNATIVES] for line in _other(other)],
    )
    sure = [line for said in _sure(answer) for line in paragraph(said, "  ", "      ")]
    return lines + section("How sure", sure)


def _steps(steps: Sequence[Step]) -> list[str]:
    from planner.answer.words import number
    from planner.cli.text import table

    def price(value: float | None) -> str:
        return "-" if value is None else number(value)

    rows = [
        (
            f"{step.start} to {step.end}",
            f"{step.cost_usd:+,.2f}",
            f"{step.carbon_kgco2e:+,.2f}",
            f"{qoe:+.4f}" if (qoe := round(step.qoe, QOE_DIGITS)) else "0",
            price(step.usd_per_tonne),
            price(step.usd_per_qoe_point if qoe else None),  # none on a change that is not shown
        )
        for step in steps
    ]
    headings = ("step", "USD", "kgCO2e", "QoE", "USD per tonne avoided", "USD per QoE point")
    return table(headings, rows, numbers=(1, 2, 3, 4, 5)) if rows else []


def _other(alternative: Alternative) -> list[str]:
    from planner.cli.text import paragraph

    shown = [
        f"{change.what}: {change.alternative} instead of {change.chosen}"
        for change in alternative.changes[:MOST_CHANGES]
    ]
    hidden = len(alternative.changes) - len(shown)
    if hidden:
        shown.append(f"{hidden} more")
    head = (
        f"{alternative.id} (cost {alternative.cost_change:+.2%}, "
        f"carbon {alternative.carbon_change:+.2%}, QoE {alternative.qoe_change:+.2%}): "
    )
    return paragraph(head + "; ".join(shown), first="  ", indent="    ")


def _sure(answer: Answer) -> list[str]:
    from planner.answer.words import amount, percent
    from planner.cli.text import FINER

    certificate = answer.front.certificate
    state = "the front is complete" if certificate.complete else "the front is TRUNCATED"
    if certificate.epsilon is None:
        lines = [f"{state}: nothing is proved of plans that are not listed"]
    else:
        lines = [
            f"{state}: no plan at all betters the list by more than "
            f"{percent(certificate.epsilon)} of every range at once"
        ]
    if answer.cost_bound_usd is not None:
        which = " within the caps" if answer.capped else ""
        bound = amount(answer.cost_bound_usd, "USD")
        lines.append(f"no plan{which} costs less than {bound}")
    lines.append(
        "of prices of a step that improves carbon and QoE together, each carries the whole cost"
    )
    if answer.proved_over:
        short = "" if answer.front.grid is not None else f" {FINER}"
        lines.append(f"{answer.proved_over}{short}")
    return lines


def _plain(answer: Answer) -> dict[str, Any]:
    """Plain dictionaries for JSON."""

    def choice(one: Choice) -> dict[str, Any]:
        return {"choice": one.name, **dataclasses.asdict(one.point)}

    certificate = answer.front.certificate
    return {
        "chosen": choice(answer.chosen),
        "choices": [choice(one) for one in answer.choices],
        "within_caps": answer.within_caps,
        "cost_bound_usd": answer.cost_bound_usd,
        "steps": [dataclasses.asdict(step) for step in answer.steps],
        "from_cheaper": [dataclasses.asdict(step) for step in answer.from_cheaper],
        "alternatives": [dataclasses.asdict(other) for other in answer.alternatives],
        "front": {"status": certificate.status, "epsilon": certificate.epsilon},
    }
