"""What is compared: a run of `planner plan`, a point of a front, a front, an instance folder."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from planner.api import Request, load, with_request
from planner.errors import RunError
from planner.front.front import FILE_NAME, Front, FrontPoint
from planner.incumbent import Incumbent, incumbent_of
from planner.instance.facts import Facts
from planner.instance.findings import near_matches
from planner.instance.schema import SETTINGS_FILE
from planner.plan import Plan
from planner.runs import INSTANCE, PLAN, read_run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class PlanSide:
    """A plan with the facts it was made for."""

    KIND: ClassVar[str] = "a plan"

    path: str
    """where it is, as people call it"""
    facts: Facts
    request: Request
    plan: Plan
    incumbent: Incumbent | None
    point: FrontPoint | None = None

    @property
    def name(self) -> str:
        """As people call it."""
        return self.path if self.point is None else f"{self.path} ({self.point.id})"

    def as_cheapest(self) -> PlanSide:
        """A point of a front as what it is: the cheapest plan of its carbon and QoE."""
        if self.point is None:
            return self
        caps, floors = {"carbon": self.point.carbon_kgco2e}, {"qoe": self.point.qoe}
        request = dataclasses.replace(self.request, caps=caps, floors=floors)
        return dataclasses.replace(self, facts=with_request(self.facts, request), request=request)


@dataclass(frozen=True)
class FrontSide:
    """A front with its folder and facts."""

    KIND: ClassVar[str] = "a front"

    path: str
    folder: Path
    facts: Facts
    front: Front


@dataclass(frozen=True)
class InstanceSide:
    """An instance folder."""

    KIND: ClassVar[str] = "an instance"

    path: str
    facts: Facts


Side = PlanSide | FrontSide | InstanceSide


def read_side(path: Path) -> Side:
    """What the path holds; RunError where it is nothing that can be compared."""
    path = Path(path)
    if (path / FILE_NAME).is_file():
        front = Front.read(path)
        return FrontSide(str(path), path, front.on_grid(load(path / INSTANCE)), front)
    if (path / PLAN).is_file():
        of_front = path.resolve().parents[1]
        if (of_front / FILE_NAME).is_file() and not (path / INSTANCE).exists():
            return read_point(of_front, path.resolve().name)
        return read_plan(path)
    if (path / SETTINGS_FILE).is_file():
        return InstanceSide(str(path), load(path))
    raise RunError(
        f"{path} holds no {PLAN}, {FILE_NAME} or {SETTINGS_FILE}: name a run folder, a front's "
        f"run folder (or FRONT/plans/POINT), or an instance folder"
    )


def read_plan(folder: Path) -> PlanSide:
    """The run of `planner plan` in a folder, from its own copy of the instance."""
    run = read_run(folder)
    facts = with_request(load(run.instance_folder), run.request)
    facts = dataclasses.replace(facts, grid=run.plan.grid)
    return PlanSide(str(folder), facts, run.request, run.plan, incumbent_of(facts))


def read_point(folder: Path, name: str) -> PlanSide:
    """A point of a front: by id, or as `planner pick` calls it (``cheapest``, ``knee`` ...)."""
    front = Front.read(folder)
    point = find_point(front, name)
    request = Request(minimize="cost")
    facts = with_request(load(folder / INSTANCE), request)
    plan = front.read_plan(point.id, folder)
    facts = dataclasses.replace(facts, grid=plan.grid)
    return PlanSide(str(folder), facts, request, plan, incumbent_of(facts), point)


def find_point(front: Front, name: str) -> FrontPoint:
    """The point of that id or choice; RunError with near names where there is none."""
    by_name = {**named_points(front), **{point.id: point for point in front.points}}
    by_name |= {choice.replace(" ", "-"): point for choice, point in by_name.items()}
    if name not in by_name:
        raise RunError(f"the front has no point {name!r}; {near_matches(name, by_name)}")
    return by_name[name]


def named_points(front: Front) -> dict[str, FrontPoint]:
    """Cheapest, greenest, best QoE, compromise and knees of a front."""
    if not front.points:
        raise RunError("the front has no points; run `planner front --resume` to go on")
    return {name: front.points[row] for name, row in named_rows(front.minimised).items()}


def named_rows(f: NDArray[np.float64]) -> dict[str, int]:
    """Choice -> row of `f` (n, 3), all minimised."""
    from planner.front import choose

    found = {
        "cheapest": choose.best_of(f, 0),
        "greenest": choose.best_of(f, 1),
        "best QoE": choose.best_of(f, 2),
        "compromise": choose.compromise(f),
    }
    for count, row in enumerate(choose.knees(f)):
        found["knee" if count == 0 else f"knee {count + 1}"] = row
    return found


def requests_differ(old: Request, new: Request) -> tuple[tuple[str, str, str], ...]:
    """(setting, old, new) of everything asked that differs, in words."""
    ours, theirs = _asked(old), _asked(new)
    return tuple(
        (name, ours.get(name, "none"), theirs.get(name, "none"))
        for name in dict.fromkeys([*ours, *theirs])
        if ours.get(name) != theirs.get(name)
    )


def _asked(request: Request) -> dict[str, str]:
    body: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(request)))
    said = {"minimize": str(body["minimize"] or "as the instance says")}
    said |= {f"cap {name}": f"{value:,.6g}" for name, value in body["caps"].items()}
    said |= {f"floor {name}": f"{value:.6g}" for name, value in body["floors"].items()}
    if body["changes"]:
        said["changes"] = "; ".join(body["changes"])
    return said
