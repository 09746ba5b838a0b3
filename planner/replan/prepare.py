"""The instance of a check: today's data with what runs today as its incumbent.

A folder in the documented format, so that a run made from it holds all that it was made from.
"""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path

from planner.errors import InstanceError, RunError
from planner.instance.copy import copy_with_incumbent, write_table
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

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed or brought along, in sentences."""
        said = list(self.current.notes)
        if self.added:
            said.append(
                f"{count_said(self.added)} that the plan in force has committed to are held until "
                "their terms end, used or not."
            )
        return tuple(said)


def prepare(
    folder: Path, given: Path | None, point: str | None, target: Path, called: str | None = None
) -> Prepared:
    """Write the instance of a check into `target`, which must not exist yet, and resolve it.

    `called`: what runs today, as people call it.
    Raises InstanceError, RunError for what runs today, PlannerError where nothing is named.
    """
    from planner.api import load

    facts = load(folder)
    instance = facts.instance
    current = read_current(instance, given, point)
    if called is not None:
        current = dataclasses.replace(current, name=called)
    added = commitments_to_add(current, facts, instance)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
            draft = Path(scratch) / "instance"
            copy_with_incumbent(
                Path(instance.folder), draft, instance.settings.incumbent, current.source
            )
            if added:
                write_table(draft, "owned", (*instance.owned, *added))
            draft.replace(target)
    except OSError as error:
        raise RunError(f"cannot write {target}: {error.strerror or error}") from error
    try:
        return Prepared(current, load(target), tuple(added))
    except InstanceError as error:
        said = "; ".join(str(finding) for finding in error.findings[:3])
        raise InstanceError(
            f"with what runs today ({current.name}) the instance is invalid: {said}", error.findings
        ) from error
