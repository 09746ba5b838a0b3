"""Optional parts: what is said where one is not installed."""

from __future__ import annotations

from planner.errors import PlannerError


def missing_extra(extra: str, purpose: str) -> PlannerError:
    """The error that names the command which installs an extra."""
    return PlannerError(f"{purpose} needs an extra: pip install 'fleet-planner[{extra}]'")
