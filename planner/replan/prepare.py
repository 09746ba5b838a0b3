"""The instance of a check: today's data with what runs today as its incumbent.

A folder in the documented format, so that a run made from it holds all that it was made from.
"""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path

from planner.errors import InstanceError, RunError
from planner.instance.calibrated import calibration_file, usable_fits
from planner.instance.copy import copy_with_incumbent, set_calibration, write_table
from planner.instance.facts import Facts
from planner.instance.schema import Owned
from planner.replan.current import Current, commitments_to_add, count_said, read_current


@dataclass(frozen=True)
class Prepared:
    """The instance of a check, resolved; its folder is `facts.instance.folder`."""

    current: Current
    facts: Facts
    added: tuple[Owned, ...]
    """commitments of what runs today that the instance did not list"""
    carried: Path | None = None
    """calibration of what runs today, where the instance names none"""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed or brought along, in sentences."""
        said = list(self.current.notes)
        if self.added:
            said.append(
                f"{count_said(self.added)} that the plan in force has committed to are held until "
                "their terms end, used or not."
            )
        if self.carried is not None:
            said.append(
                "The instance names no calibration: that of the plan in force is carried on "
                "(--calibration none leaves it out)."
            )
        return tuple(said)


def prepare(
    folder: Path,
    given: Path | None,
    point: str | None,
    target: Path,
    called: str | None = None,
    *,
    carries: bool = True,
) -> Prepared:
    """Write the instance of a check into `target`, which must not exist yet, and resolve it.

    `called`: what runs today, as people call it; `carries`: with its calibration, where the
    instance names none.
    Raises InstanceError, RunError for what runs today, PlannerError where nothing is named.
    """
    from planner.api import load

    facts = load(folder)
    instance = facts.instance
    current = read_current(instance, given, point)
    if called is not None:
        current = dataclasses.replace(current, name=called)
    added = commitments_to_add(current, facts, instance)
    carried = _carried(current, facts) if carries else None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
            draft = Path(scratch) / "instance"
            copy_with_incumbent(
                Path(instance.folder), draft, instance.settings.incumbent, current.source
            )
            if added:
                write_table(draft, "owned", (*instance.owned, *added))
            if carried is not None:
                set_calibration(draft, carried)
            draft.replace(target)
    except OSError as error:
        raise RunError(f"cannot write {target}: {error.strerror or error}") from error
    try:
        return Prepared(current, load(target), tuple(added), carried)
    except InstanceError as error:
        said = "; ".join(str(finding) for finding in error.findings[:3])
        raise InstanceError(
            f"with what runs today ({current.name}) the instance is invalid: {said}", error.findings
        ) from error


def _carried(current: Current, facts: Facts) -> Path | None:
    """The calibration that the plan in force was made with, where today's instance names none."""
    if current.side is None or facts.calibration is not None:
        return None
    before = current.side.facts
    if before.calibration is None or not any(usable_fits(facts, before.calibration)):
        return None
    return calibration_file(Path(before.instance.folder))
