"""Front: the listed plans with their certificate, frozen, with an exact JSON round trip.

Users see cost, carbon and QoE (larger is better); the geometry minimises ``f = (cost_usd,
carbon_kgco2e, 1 - qoe)``. The certificate's cuts and boxes are stated in `f`. In JSON a number
that is not known, or infinite, is null.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from planner.errors import RunError
from planner.front.geometry import Box, Cut, Floats
from planner.front.ranges import NEGLIGIBLE, measures, ranges
from planner.instance.grid import Grid
from planner.plan import InstanceRef, Objectives, Plan

if TYPE_CHECKING:
    from pandas import DataFrame

    from planner.instance.facts import Facts

STEP = 0.005
"""Share of the ranges of carbon and QoE by which plans that are noticeably better are better."""
FORMAT_VERSION = 1
FILE_NAME = "front.json"
SEARCHED = "branch and bound"
"""Proof of a box that rests on the solver: there are no prices to prove it again from."""


@dataclass(frozen=True)
class ObjectiveSpec:
    """An objective as users see it: `sense` is ``min`` or ``max``."""

    name: str
    unit: str
    sense: str


OBJECTIVES = (
    ObjectiveSpec("cost_usd", "USD", "min"),
    ObjectiveSpec("carbon_kgco2e", "kgCO2e", "min"),
    ObjectiveSpec("qoe", "share", "max"),
)


def as_minimised(values: Objectives) -> Floats:
    """(3,) ``f = (cost, carbon, 1 - qoe)`` of objectives in user units."""
    return np.array([values.cost_usd, values.carbon_kgco2e, 1.0 - values.qoe])


def as_objectives(f: ArrayLike) -> Objectives:
    """Inverse of `as_minimised`."""
    cost, carbon, loss = (float(value) for value in np.asarray(f, dtype=float))
    return Objectives(cost, carbon, 1.0 - loss)


@dataclass(frozen=True)
class FrontPoint:
    """A listed plan.

    `cost_bound_usd` is the least cost proved for any plan with no more carbon and no less QoE
    (None: nothing proved), `cost_gap_relative` the share of the cost above it. `plan` is the
    path of its plan.json, relative to the run folder.
    """

    id: str
    cost_usd: float
    carbon_kgco2e: float
    qoe: float
    cost_bound_usd: float | None
    cost_gap_relative: float | None
    status: str
    found_by: str
    plan: str

    @property
    def objectives(self) -> Objectives:
        """The three objectives."""
        return Objectives(self.cost_usd, self.carbon_kgco2e, self.qoe)


@dataclass(frozen=True)
class Hypervolume:
    """The true front's hypervolume lies in [lower, upper], in USD x kgCO2e x QoE.

    `upper` None: the outside is not bounded yet.
    """

    lower: float
    upper: float | None
    reference: Objectives

    @property
    def missing(self) -> float | None:
        """The share of the true hypervolume that the plans may lack, at most."""
        if self.upper is None or self.upper <= 0.0:
            return None
        return max(1.0 - self.lower / self.upper, 0.0)


@dataclass(frozen=True)
class Corner:
    """A corner of the region no listed plan covers; None where it is unbounded."""

    cost_usd: float | None
    carbon_kgco2e: float | None
    qoe: float | None
    epsilon: float | None

    @classmethod
    def of(cls, u: ArrayLike, epsilon: float) -> Corner:
        """From a local upper bound (3,) in `f` and its epsilon."""
        cost, carbon, loss = (float(value) for value in np.asarray(u, dtype=float))
        return cls(known(cost), known(carbon), known(1.0 - loss), known_width(epsilon))


@dataclass(frozen=True)
class CutRecord:
    """Every plan obeys ``weights . f >= level``; `proof` is where its dual prices are stored."""

    weights: tuple[float, ...]
    level: float
    proof: str

    def as_cut(self) -> Cut:
        """The geometry's cut."""
        return Cut(np.array(self.weights), self.level)


@dataclass(frozen=True)
class BoxRecord:
    """Every plan with ``f <= upper`` has ``f[coordinate] >= level``.

    `upper` None: unbounded there; `level` None: no plan is there. `proof` is where the cases that
    prove it are stored, or `SEARCHED`.
    """

    upper: tuple[float | None, ...]
    coordinate: int
    level: float | None
    proof: str

    def as_box(self) -> Box:
        """The geometry's box."""
        upper = np.array([math.inf if value is None else value for value in self.upper])
        return Box(upper, self.coordinate, math.inf if self.level is None else self.level)


@dataclass(frozen=True)
class FrontCertificate:
    """What is proved of all plans, listed or not.

    `complete`: the target was reached; otherwise the front is truncated and `widest` says where
    the gap is. `epsilon`: no plan is better than the whole list by more than this share of each
    range at once (None: nothing proved within a whole range). An objective without range takes no
    part in that, and no plan is better in it by more than this share of its size
    (`planner.front.ranges`). The gaps are over the points' `cost_gap_relative`; beyond the step
    they are over the least cost of plans that are better by `step` of the range in both carbon and
    QoE.
    """

    method: str
    complete: bool
    epsilon: float | None
    cost_gap_relative_median: float | None
    cost_gap_relative_max: float | None
    hypervolume: Hypervolume
    cuts: tuple[CutRecord, ...]
    boxes: tuple[BoxRecord, ...]
    widest: tuple[Corner, ...]
    step: float = STEP
    cost_gap_relative_median_beyond_step: float | None = None

    @property
    def status(self) -> str:
        """``complete`` or ``truncated``."""
        return "complete" if self.complete else "truncated"


@dataclass(frozen=True)
class Front:
    """A whole front; `to_json` and `from_json` are exact inverses.

    `ideal` and `nadir` are the best and worst of each objective over the points; the ranges that
    epsilon refers to are between them. `indicators` are those of `planner.front.indicators`.
    """

    instance: InstanceRef
    ideal: Objectives
    nadir: Objectives
    points: tuple[FrontPoint, ...]
    certificate: FrontCertificate
    solves: int
    elapsed_s: float
    timings: dict[str, float]
    seed: int
    indicators: dict[str, float | None] = field(default_factory=dict)
    grid: Grid | None = None
    """lanes and operating points of all its plans; None: the default ones of its instance"""
    objectives: tuple[ObjectiveSpec, ...] = OBJECTIVES
    format_version: int = FORMAT_VERSION

    @property
    def minimised(self) -> Floats:
        """(n, 3) the points as `f`."""
        return np.array([as_minimised(point.objectives) for point in self.points]).reshape(-1, 3)

    @property
    def ranges(self) -> Floats:
        """(3,) nadir less ideal in `f`; 0 where that is rounding."""
        return ranges(as_minimised(self.ideal), as_minimised(self.nadir))

    @property
    def measures(self) -> Floats:
        """(3,) > 0 what differences in `f` are shares of: the ranges, or else the sizes."""
        return measures(as_minimised(self.ideal), as_minimised(self.nadir))

    def on_grid(self, facts: Facts) -> Facts:
        """The facts of its instance with the lanes and operating points of its plans."""
        return facts if self.grid is None else dataclasses.replace(facts, grid=self.grid)

    def point(self, name: str) -> FrontPoint:
        """The point of that id; RunError where there is none."""
        for point in self.points:
            if point.id == name:
                return point
        raise RunError(f"the front has no point {name!r}")

    def read_plan(self, name: str, run_dir: Path) -> Plan:
        """The plan of a point; RunError where the file is missing or damaged."""
        return Plan.read(run_dir / self.point(name).plan)

    def to_frame(self) -> DataFrame:
        """The points as a pandas DataFrame, one row per plan."""
        from planner.report.notebook import front_frame

        return front_frame(self)

    def figure(self, across: str = "cost", up: str = "carbon") -> Any:
        """Two of ``cost``, ``carbon`` and ``qoe`` as a plotly figure to restyle, the third as
        colour; what is proved is shaded. PlannerError for another name.
        """
        from planner.report.notebook import front_figure

        return front_figure(self, across, up)

    def _repr_html_(self) -> str:
        from planner.report.notebook import front_card

        return front_card(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists, ready for JSON."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """JSON text; floats keep their exact value."""
        # Fields as they are: copying all of them first takes as long again.
        return json.dumps(vars(self), indent=1, allow_nan=False, default=vars)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Front:
        """Inverse of `to_dict`; RunError where the format is not ours or the content is damaged."""
        if data.get("format_version") != FORMAT_VERSION:
            raise RunError(
                f"front has format_version {data.get('format_version')!r}; "
                f"this planner reads {FORMAT_VERSION}: re-run `planner front`"
            )
        try:
            fields = dict(data)
            fields["instance"] = InstanceRef(**fields["instance"])
            fields["ideal"] = _objectives(fields["ideal"])
            fields["nadir"] = _objectives(fields["nadir"])
            fields["points"] = tuple(FrontPoint(**row) for row in fields["points"])
            fields["certificate"] = _certificate(fields["certificate"])
            if fields.get("grid") is not None:
                fields["grid"] = Grid.from_dict(fields["grid"])
            fields["objectives"] = tuple(ObjectiveSpec(**row) for row in fields["objectives"])
            front = cls(**fields)
            _check(front)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(f"front is damaged: {error}") from error
        return front

    @classmethod
    def from_json(cls, text: str) -> Front:
        """Inverse of `to_json`; RunError where the text is not a front."""
        try:
            data = json.loads(text, parse_constant=_refuse)
        except ValueError as error:
            raise RunError(f"front is not JSON: {error}") from error
        if not isinstance(data, dict):
            raise RunError("front is not a JSON object")
        return cls.from_dict(data)

    def write(self, run_dir: Path) -> Path:
        """Write ``front.json`` into a run folder in one step: a kill leaves no half file."""
        run_dir.mkdir(parents=True, exist_ok=True)
        target, draft = run_dir / FILE_NAME, run_dir / f".{FILE_NAME}.{os.getpid()}"
        with draft.open("w", encoding="utf-8") as stream:
            stream.write(self.to_json())
            stream.flush()
            os.fsync(stream.fileno())
        return draft.replace(target)

    @classmethod
    def read(cls, path: Path) -> Front:
        """Read ``front.json`` from a file or a run folder."""
        file = path / FILE_NAME if path.is_dir() else path
        try:
            return cls.from_json(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise RunError(f"cannot read {file}: {error.strerror}") from error


def known(value: float) -> float | None:
    """None for what is infinite or not a number, as JSON has neither."""
    return float(value) if math.isfinite(value) else None


def known_width(width: float) -> float | None:
    """A width that says something: less than a whole range; 0 where it is rounding."""
    if not width < 1.0:
        return None
    return float(width) if width > NEGLIGIBLE else 0.0


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number of JSON")


def _objectives(data: dict[str, Any]) -> Objectives:
    return Objectives(**{name: float(value) for name, value in data.items()})


def _certificate(data: dict[str, Any]) -> FrontCertificate:
    hypervolume = dict(data["hypervolume"])
    hypervolume["reference"] = _objectives(hypervolume["reference"])
    cuts = [{**row, "weights": tuple(row["weights"])} for row in data["cuts"]]
    boxes = [{**row, "upper": tuple(row["upper"])} for row in data["boxes"]]
    fields = {
        **data,
        "hypervolume": Hypervolume(**hypervolume),
        "cuts": tuple(CutRecord(**row) for row in cuts),
        "boxes": tuple(BoxRecord(**row) for row in boxes),
        "widest": tuple(Corner(**row) for row in data["widest"]),
    }
    return FrontCertificate(**fields)


def _check(front: Front) -> None:
    """ValueError for what the types alone do not refuse."""
    if front.objectives != OBJECTIVES:
        raise ValueError("objectives, units or senses are not those of this planner")
    names = [point.id for point in front.points]
    if len(set(names)) < len(names):
        raise ValueError("two points have the same id")
    for point in front.points:
        path = PurePosixPath(point.plan)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"plan of {point.id} lies outside the run folder: {point.plan}")
        for value in (point.cost_usd, point.carbon_kgco2e, point.qoe):
            if not math.isfinite(value):
                raise ValueError(f"objectives of {point.id} are not numbers")
    for cut in front.certificate.cuts:
        cut.as_cut()
    for box in front.certificate.boxes:
        box.as_box()
