"""Two fronts compared: what each proves, and their named choices plan by plan."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from planner.compare.data import DataChanges, data_changes
from planner.compare.plans import PlanDiff, diff_plans
from planner.compare.sides import FrontSide, PlanSide, named_points, read_point
from planner.front.front import Front
from planner.plan import Objectives

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FrontRef:
    """A front's size, range and proof."""

    name: str
    instance: str
    sha256: str
    points: int
    complete: bool
    epsilon: float | None
    ideal: Objectives
    nadir: Objectives


@dataclass(frozen=True)
class ChoiceDiff:
    """A named choice, the point it takes in each front, and how the two plans differ."""

    choice: str
    old_point: str
    new_point: str
    diff: PlanDiff


@dataclass(frozen=True)
class FrontDiff:
    """The difference of two fronts; choices that take the same points are told once.

    `old_beaten`: points of the old front that some point of the new one betters in cost, carbon
    and QoE at once (equal in all is not better), and the other way round in `new_beaten`.
    """

    old: FrontRef
    new: FrontRef
    old_beaten: int
    new_beaten: int
    choices: tuple[ChoiceDiff, ...]
    data: DataChanges

    @property
    def same(self) -> bool:
        """Nothing differs."""
        alike = dataclasses.replace(self.old, name=self.new.name) == self.new
        return alike and not self.data.any and all(c.diff.same for c in self.choices)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists, ready for JSON."""
        body = {"kind": "fronts", "same": self.same, **dataclasses.asdict(self)}
        for choice, plain in zip(self.choices, body["choices"], strict=True):
            plain["diff"] = choice.diff.to_dict()
        return body

    def to_frame(self) -> pd.DataFrame:
        """The frames of the choices below each other."""
        import pandas as pd

        return pd.concat(
            [choice.diff.to_frame().assign(choice=choice.choice) for choice in self.choices],
            ignore_index=True,
        )

    def _repr_html_(self) -> str:
        from planner.compare.html import front_diff_html

        return front_diff_html(self)


def diff_fronts(old: FrontSide, new: FrontSide) -> FrontDiff:
    """Compare two fronts by their named choices."""
    ours, theirs = named_points(old.front), named_points(new.front)
    pairs: dict[tuple[str, str], list[str]] = {}
    for name in ours:
        if name in theirs:
            pairs.setdefault((ours[name].id, theirs[name].id), []).append(name)
    return FrontDiff(
        old=_ref(old),
        new=_ref(new),
        old_beaten=beaten(old.front, new.front),
        new_beaten=beaten(new.front, old.front),
        choices=tuple(
            ChoiceDiff(
                " = ".join(names),
                *points,
                diff_plans(_point(old, points[0]), _point(new, points[1])),
            )
            for points, names in pairs.items()
        ),
        data=data_changes(old.facts, new.facts),
    )


def beaten(front: Front, other: Front) -> int:
    """Points of `front` that some point of `other` betters, no objective being worse."""
    f, g = front.minimised, other.minimised
    return sum(bool(((g <= row).all(axis=1) & (g < row).any(axis=1)).any()) for row in f)


def _point(side: FrontSide, name: str) -> PlanSide:
    return dataclasses.replace(read_point(side.folder, name), path=side.path)


def _ref(side: FrontSide) -> FrontRef:
    front = side.front
    return FrontRef(
        name=side.path,
        instance=front.instance.name,
        sha256=front.instance.sha256,
        points=len(front.points),
        complete=front.certificate.complete,
        epsilon=front.certificate.epsilon,
        ideal=front.ideal,
        nadir=front.nadir,
    )
