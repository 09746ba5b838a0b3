"""A check in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.compare.html import plan_diff_html
from planner.compare.markup import paragraphs, section, table
from planner.replan import said

if TYPE_CHECKING:
    from planner.replan.check import Replan


def replan_html(found: Replan) -> str:
    """The answer, what was weighed, the costs and order of the move, the difference."""
    decision = found.decision
    moving, stages = said.moving_rows(decision), said.stage_rows(decision)
    front = decision.front
    parts = [
        f"<p><strong>{said.headline(decision)}</strong></p>",
        section("What runs today", paragraphs(said.standing_said(decision))),
    ]
    if front is not None:
        parts.append(section("The front", paragraphs(said.front_said(front))))
    if moving:
        headings = ("", "USD in all", "USD in the period")
        parts.append(section("Costs of the change", table(headings, moving, numbers=(1, 2))))
    machines = said.machine_rows(decision)
    if machines and decision.decision != "keep":
        held = table(said.MACHINE_HEADINGS, machines, numbers=(1, 2, 3))
        parts.append(section("Machines (most accelerators held)", held))
    if stages:
        order = table(said.STAGE_HEADINGS, stages, numbers=(2, 3, 5, 6, 7))
        parts.append(section("Order of the move", order + paragraphs(said.stages_said(decision))))
    if found.diff is not None:
        parts.append(section("Running plan to proposed plan", plan_diff_html(found.diff)))
    return "".join(parts)
