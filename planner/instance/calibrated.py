"""The calibration of an instance: a file of its folder that ``[serving] calibration`` names."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from planner.calibration import Calibration, UserFit
from planner.errors import InstanceError
from planner.instance.schema import SETTINGS_FILE

if TYPE_CHECKING:
    from planner.instance.facts import Facts


def calibration_file(folder: Path) -> Path | None:
    """The file that the settings of a folder name; None without one, or without settings."""
    try:
        settings = tomllib.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8-sig"))
        name = settings["serving"]["calibration"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return folder / name if isinstance(name, str) else None


def is_inside(folder: Path, name: str) -> bool:
    """Whether a relative name stays in the folder."""
    return not Path(name).is_absolute() and (folder / name).resolve().is_relative_to(
        folder.resolve()
    )


def usable_fits(facts: Facts, calibration: Calibration) -> Iterator[UserFit]:
    """The fits of combinations that the instance may run."""
    llms = {llm.llm: llm for llm in facts.llms}
    sizes = {(m.accelerator, m.accelerators) for m in facts.machines}
    for fit in calibration.fits:
        name, card, count, tp, precision, engine = fit.combination
        llm = llms.get(name)
        if (
            llm is not None
            and (precision in llm.precisions and engine == facts.instance.settings.serving.engine)
            and (count == tp and int(count) <= llm.max_accelerators_per_replica)
            and any(kind == card and int(count) <= size for kind, size in sizes)
        ):
            yield fit


def with_calibration(facts: Facts, file: Path) -> Facts:
    """The facts with the measurements of a file in place of any others.

    Raises PlannerError where the file is no calibration, InstanceError where none of it may run.
    """
    found = Calibration.load(file)
    serving = facts.instance.settings.serving
    before = calibration_said(facts.calibration, str(serving.calibration))
    kept = tuple(text for text in facts.assumptions if text not in before)
    settings = facts.instance.settings.model_copy(
        update={"serving": serving.model_copy(update={"calibration": file.name})}
    )
    changed = replace(
        facts,
        instance=facts.instance.model_copy(update={"settings": settings}),
        assumptions=(*kept, *calibration_said(found, file.name)),
        calibration=found,
    )
    if next(usable_fits(changed, found), None) is None:
        raise InstanceError(f"{file}: none of what it measured may run here ({found.fits[0].name})")
    return changed


def calibration_said(calibration: Calibration | None, name: str) -> tuple[str, ...]:
    """A sentence on whose speeds are the user's own; none without a calibration."""
    if calibration is None:
        return ()
    each = "; ".join(f"{fit.name}: {fit.said}" for fit in calibration.fits)
    return (f"Speeds corrected by the measurements of {name}, times those of the catalog: {each}.",)
