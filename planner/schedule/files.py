"""Ready files for those who have a scheduler: cron, systemd timers, a Kubernetes CronJob."""

from __future__ import annotations

import importlib.resources
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from planner.errors import PlannerError
from planner.schedule.timetable import Timetable

KINDS = {"cron": "cron.txt", "systemd": "systemd.txt", "kubernetes": "kubernetes.yaml"}
OPTIONS_OF_PATHS = ("--runs",)


@dataclass(frozen=True)
class Installation:
    """What the files are filled in with."""

    name: str
    """of the schedule"""
    instance: Path
    timetable: Timetable
    program: Sequence[str]
    """words that start `planner` on this machine"""
    options: Sequence[str]
    """of `planner watch --once`, without instance and timetable"""
    history: str
    """URL without password, or path"""
    longest_s: int
    """after which a cycle is ended"""
    image: str
    """of the container"""


def rendered(kind: str, installation: Installation) -> str:
    """The file, filled in; PlannerError where the scheduler cannot express the timetable."""
    if kind not in KINDS:
        raise PlannerError(f"--print {kind}: one of {', '.join(KINDS)}")
    folder = importlib.resources.files("planner.schedule") / "templates"
    template = Template((folder / KINDS[kind]).read_text(encoding="utf-8"))
    return template.substitute(_values(installation, kind))


def _values(made: Installation, kind: str) -> dict[str, str]:
    unit = re.sub(r"[^a-z0-9]+", "-", f"planner-{made.name}".lower()).strip("-")[:52]
    table = made.timetable
    in_container = kind == "kubernetes"
    program = ["planner"] if in_container else list(made.program)
    instance = "/instance" if in_container else str(made.instance.absolute())
    options = _without_paths(made.options) if in_container else list(made.options)
    command = [*program, "watch", instance, "--once", *table.arguments(), *options]
    return {
        "unit": unit,
        "name": made.name,
        "instance": str(made.instance.absolute()),
        "folder": str(Path.cwd()),
        "command": shlex.join(command),
        "systemd_command": shlex.join(command).replace("%", "%%").replace("$", "$$"),
        "cron_command": shlex.join(command).replace("%", r"\%"),
        "cron": table.as_cron(),
        "calendar": table.as_calendar(),
        "timezone": table.timezone,
        "timetable": str(table),
        "history": made.history,
        "longest_s": str(made.longest_s),
        "image": made.image,
    }


def _without_paths(options: Sequence[str]) -> list[str]:
    """Options less those that name folders of this machine."""
    kept, skip = [], False
    for option in options:
        if not skip and option not in OPTIONS_OF_PATHS:
            kept.append(option)
        skip = not skip and option in OPTIONS_OF_PATHS
    return kept
