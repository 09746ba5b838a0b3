"""What a report is made from: a run folder read back, with the current plan where there is one."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import RunError
from planner.plan import Objectives, Plan

if TYPE_CHECKING:
    from planner.front.front import Front
    from planner.incumbent import Incumbent
from planner.instance.facts import Facts

SENSITIVITY = "sensitivity.json"
PLAN_RUN_POINT = "plan"
"""The id under which the one plan of a `planner plan` run is known."""


@dataclass(frozen=True)
class Current:
    """The plan in force, beside the plans of the run."""

    plan: Plan
    named: str
    """where it was read, as the user names it"""
    same_instance: bool
    """whether its figures come from the same data as the run's"""


@dataclass(frozen=True, eq=False)
class Source:
    """A run folder with everything that the report says."""

    folder: Path
    facts: Facts
    """of the run's own copy of the instance"""
    front: Front | None
    """None: a run of `planner plan`"""
    plans: Mapping[str, Plan]
    """by id of the point, in the front's order; one, named ``plan``, without a front"""
    request: Mapping[str, Any]
    """as stored: objective, caps, floors, limits; or target, limit and seed of a front"""
    current: Current | None
    sensitivity: Mapping[str, Mapping[str, Any]]
    """what `planner explain --thresholds` stored, by id of the point; of a front for those it ran
    on"""

    @property
    def name(self) -> str:
        """Of the instance."""
        return self.facts.instance.settings.name

    @property
    def hours(self) -> float:
        """Length of the period."""
        return self.facts.instance.settings.period.hours

    @cached_property
    def slice_hours(self) -> dict[str, float]:
        """Hours of each slice of the period."""
        return {row.slice: row.hours for row in self.facts.instance.slices}

    @property
    def first_plan(self) -> Plan:
        """Any plan of the run: what does not depend on the decisions is the same in all."""
        return next(iter(self.plans.values()))


def read_source(folder: Path, current: Path | None = None) -> Source:
    """Read the run folder of `planner plan` or `planner front`.

    `current` is a plan.json or a run folder of `planner plan`; without it the instance's own
    incumbent is taken. RunError says what is missing or damaged.
    """
    from planner.api import load
    from planner.front.front import FILE_NAME
    from planner.runs import INSTANCE, REQUEST, read_run

    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"{folder} is not a run folder: no such folder")
    if not (folder / FILE_NAME).is_file():
        run = read_run(folder)
        facts = load(run.instance_folder)
        request = dataclasses.asdict(run.request)
        front, plans = None, {PLAN_RUN_POINT: run.plan}
    else:
        front, plans = _read_front(folder)
        if not (folder / INSTANCE).is_dir():
            raise RunError(f"{folder} is not a whole run folder: {INSTANCE} missing")
        facts = front.on_grid(load(folder / INSTANCE))
        request = _read_json(folder / REQUEST)
    return Source(
        folder=folder,
        facts=facts,
        front=front,
        plans=plans,
        request=request,
        current=_read_current(facts, current),
        sensitivity=_read_sensitivity(folder, front),
    )


def _read_front(folder: Path) -> tuple[Front, dict[str, Plan]]:
    from planner.front.front import Front

    front = Front.read(folder)
    if not front.points:
        raise RunError(
            f"{folder} holds a front without plans: go on with `planner front --resume {folder}`"
        )
    plans = {point.id: front.read_plan(point.id, folder) for point in front.points}
    for point in front.points:
        if not _same(plans[point.id].objectives, point.objectives):
            raise RunError(
                f"{folder / point.plan} is not the plan that front.json lists as {point.id}: its "
                f"objectives differ; check the folder with `planner verify {folder}`"
            )
    return front, plans


def _same(one: Objectives, other: Objectives) -> bool:
    """Equal up to the rounding of 1 - (1 - QoE)."""
    pairs = zip(dataclasses.astuple(one), dataclasses.astuple(other), strict=True)
    return all(math.isclose(a, b, rel_tol=1e-9) for a, b in pairs)


def _read_current(facts: Facts, given: Path | None) -> Current | None:
    from planner.front.front import FILE_NAME
    from planner.incumbent import incumbent_of

    plan: Incumbent | None
    if given is None:
        named = facts.instance.settings.incumbent
        plan = incumbent_of(facts)
    else:
        named = str(given)
        if (given / FILE_NAME).is_file():
            raise RunError(
                f"--current {given} is a front: name one of its plans, e.g. "
                f"{given / 'plans' / 'p0001'}"
            )
        plan = Plan.read(given)
    if named is None or not isinstance(plan, Plan):  # tables of what runs today have no figures
        return None
    _check_comparable(plan, named, facts)
    return Current(plan, named, plan.instance.sha256 == facts.instance.sha256)


def _read_sensitivity(folder: Path, front: Front | None) -> dict[str, dict[str, Any]]:
    """A front has one beside each plan that was explained, a plan's run its own."""
    places = {PLAN_RUN_POINT: folder / SENSITIVITY}
    if front is not None:
        places = {point.id: (folder / point.plan).parent / SENSITIVITY for point in front.points}
    return {name: _read_json(path) for name, path in places.items() if path.is_file()}


def _check_comparable(plan: Plan, named: str, facts: Facts) -> None:
    """RunError unless the plan is of the run's period and slices: amounts would not compare."""
    period = facts.instance.settings.period.hours
    known = {row.slice for row in facts.instance.slices}
    used = {line.slice for line in plan.fleet if line.slice} | {
        line.served_slice for line in plan.routing
    }
    problem = None
    if not math.isclose(plan.period_hours, period, rel_tol=1e-9):
        problem = f"is of {plan.period_hours:g} h, the run of {period:g} h"
    elif used - known:
        problem = f"has slices that the run does not know: {', '.join(sorted(used - known))}"
    if problem is not None:
        raise RunError(
            f"the current plan {named} {problem}; plan it again on the run's slices to compare them"
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise RunError(f"{path} is not a JSON object")
    return data
