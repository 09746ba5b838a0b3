"""From the engine's numbers to the answer in domain terms: `build_plan`."""

from planner.answer.build import build_plan

__all__ = ["build_plan"]
