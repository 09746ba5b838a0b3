"""Any two of a kind compared."""

from __future__ import annotations

from planner.compare.fronts import FrontDiff, diff_fronts
from planner.compare.instances import InstanceDiff, diff_instances
from planner.compare.plans import PlanDiff, diff_plans
from planner.compare.sides import FrontSide, InstanceSide, PlanSide, Side
from planner.errors import RunError


def compare(old: Side, new: Side) -> PlanDiff | FrontDiff | InstanceDiff:
    """What differs between two plans, two fronts or two instances; RunError for two kinds."""
    match old, new:
        case PlanSide(), PlanSide():
            return diff_plans(old, new)
        case FrontSide(), FrontSide():
            return diff_fronts(old, new)
        case InstanceSide(), InstanceSide():
            return diff_instances(old, new)
    raise RunError(
        f"{old.path} is {old.KIND}, {new.path} is {new.KIND}: compare two of a kind "
        f"(a point of a front is FRONT/plans/POINT)"
    )
