"""What a cycle is: a callable from its context to its result.

`planner watch` runs the cycle of `planner.replan.cycle` unless ``--cycle MODULE:FUNCTION``
names another one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from planner.errors import PlannerError
from planner.history.records import Decision, Incumbent, Regret
from planner.logs import EventLog
from planner.plan import InstanceRef

DEFAULT = "planner.replan.cycle:run_cycle"


@dataclass(frozen=True)
class CycleContext:
    """What a cycle is given."""

    instance: Path
    """the instance folder"""
    folder: Path
    """where the cycle writes its run folder; does not exist yet"""
    incumbent: Incumbent | None
    """the approved plan; None: nothing was approved yet"""
    gap: float
    """relative, to stop the search at"""
    time_limit_s: float
    """wall clock of the whole cycle's search"""
    threads: int
    margin: float
    """least certain gain worth a move, as a share of the plan in force"""
    log: EventLog
    in_force: Path | None = None
    """run folder of the plan in force, with the data it was made for; named as its run is"""
    point: str | None = None
    """of a front: the point in force"""
    before: str | None = None
    """``decision.json`` of the instance's last cycle, if that left one"""


@dataclass(frozen=True)
class CycleResult:
    """What a cycle concluded.

    `decision` is ``keep`` (exit code 0), ``move`` (2: proposed, awaits approval), ``undecided``
    (5), ``stopped`` (3, 4: the data allow no plan, a person must act; not tried again before the
    next due time) or ``failed`` (1: tried again). Everything it read and made lies in
    `run_folder`; what it read elsewhere is named in `inputs`.
    """

    decision: Decision
    reason: str
    exit_code: int
    instance: InstanceRef | None = None
    run_folder: Path | None = None
    inputs: Mapping[str, Path] = field(default_factory=dict)
    """name -> file, kept by content as ``inputs/<name>`` of the run"""
    regret: Regret | None = None
    diff: str = ""


RunCycle = Callable[[CycleContext], CycleResult]


def named_cycle(name: str) -> RunCycle:
    """The function that ``module:function`` names; PlannerError where there is none."""
    module, colon, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function) if colon else None
    except (ImportError, AttributeError, ValueError) as error:
        raise PlannerError(f"--cycle {name}: {error}") from error
    if not callable(found):
        raise PlannerError(f"--cycle {name}: write MODULE:FUNCTION, as in {DEFAULT}")
    run: RunCycle = found
    return run
