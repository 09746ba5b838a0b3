"""Decision: what a check concluded, frozen, with an exact JSON round trip (``decision.json``)."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.errors import RunError
from planner.plan import InstanceRef, Objectives
from planner.replan.rule import Interval, Proved, Verdict

FORMAT_VERSION = 1
FILE_NAME = "decision.json"
UNITS = {"cost": "USD", "carbon": "kgCO2e", "qoe-loss": "QoE"}
EXIT_CODES: dict[Verdict, int] = {"keep": 0, "move": 2, "undecided": 5}


@dataclass(frozen=True)
class Settings:
    """The rule's own figures, of ``[migration]`` and ``[replan]``."""

    horizon_h: float
    margin: float
    switching_factor: float
    confirmations: int


@dataclass(frozen=True)
class Standing:
    """The running plan as it stands, under the new data: nothing follows them yet."""

    objectives: Objectives | None
    """None: what runs today was told by tables, without routing"""
    broken: tuple[str, ...]
    """rules that it breaks, in words"""


@dataclass(frozen=True)
class Kept:
    """The best that keeps what was decided; `conflict`: why there is none, proved."""

    proved: Proved | None
    objectives: Objectives | None
    conflict: tuple[str, ...]


@dataclass(frozen=True)
class Moving:
    """What the change costs in all: lines of the program, and what overlaps beside them."""

    cost_lines: dict[str, float]
    """USD, whole"""
    carbon_kgco2e: float
    overlap_usd: float | None
    """as staged, of machines held twice; None: not staged"""
    machines: dict[str, tuple[float, float]]
    """machine -> most accelerators held at once today and then, where they differ"""

    @property
    def cost_usd(self) -> float:
        """Sum of the lines."""
        return math.fsum(self.cost_lines.values())


@dataclass(frozen=True)
class StageRecord:
    """One step of the move; its plans lie in `folder` and pass the checker."""

    workloads: tuple[str, ...]
    """moved in this step; none: rentals and routing of the rest"""
    added_accelerators: int
    dropped_accelerators: int
    slice: str
    """part of the period in which the step takes the least overlap"""
    overlap_accelerators: int
    """held beside what the step ends with while both serve"""
    overlap_usd: float
    hours: float
    """until the old machines may go"""
    fits: bool
    """whether stock and quotas have room for the overlap"""
    missing: str
    """what the overlap needs beyond them"""
    folder: str


@dataclass(frozen=True)
class FrontRecord:
    """The front that the running plan was chosen from, under the new data."""

    point: str
    points: int
    feasible: int
    """points that still keep every rule as they stand"""
    cost_moved_relative: tuple[float, float] | None
    """least and most change of their costs"""
    carbon_moved_relative: tuple[float, float] | None
    on_front: bool | None
    """whether no plan is certainly cheaper with no more carbon and no less QoE; None: open"""
    new_front: str | None
    """the front of the new data that was compared with"""
    dominated: int | None
    """old points that some new point betters"""
    epsilon: float | None
    """share of each range by which the new front betters the old one at most"""
    successor: str | None
    """point of the new front that takes the place of the chosen one"""


@dataclass(frozen=True)
class Decision:
    """The whole of a check; `to_json` and `from_json` are exact inverses.

    `regret`, `least` and the proved values are of the period, in the unit of the objective; None
    where what runs today cannot go on.
    """

    decision: Verdict
    reason: str
    checked_at: str
    instance: InstanceRef
    current: str
    """what runs today, as it was named"""
    current_sha256: str
    """of its files"""
    objective: str
    period_h: float
    settings: Settings
    standing: Standing
    kept: Kept
    proposed: Proved
    proposed_objectives: Objectives
    regret: Interval | None
    least: float
    """the threshold"""
    pays: bool
    """whether the gain is certain, confirmed or not"""
    confirmed: int
    """checks in a row that found it, this one included"""
    moving: Moving
    stages: tuple[StageRecord, ...]
    front: FrontRecord | None
    assumptions: tuple[str, ...]
    held_liability_usd: float = 0.0
    """commitments that bind today, beyond the period"""
    new_liability_usd: float = 0.0
    """what the best plan found would sign, beyond the period"""
    format_version: int = FORMAT_VERSION

    @property
    def exit_code(self) -> int:
        """0 keep, 2 move proposed, 5 undecided."""
        return EXIT_CODES[self.decision]

    @property
    def unit(self) -> str:
        """Of the objective."""
        return UNITS[self.objective]

    @property
    def periods(self) -> float:
        """Periods in the horizon, one at least."""
        return max(self.settings.horizon_h / self.period_h, 1.0)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists, ready for JSON."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """JSON text; floats keep their exact value."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Decision:
        """Inverse of `to_json`; RunError where the text is no decision of ours."""
        try:
            data = json.loads(text)
            if not isinstance(data, dict) or data.get("format_version") != FORMAT_VERSION:
                raise RunError(f"decision is not of format_version {FORMAT_VERSION}")
            fields = dict(data)
            fields["instance"] = InstanceRef(**fields["instance"])
            fields["settings"] = Settings(**fields["settings"])
            fields["standing"] = Standing(
                _objectives(fields["standing"]["objectives"]), tuple(fields["standing"]["broken"])
            )
            kept = fields["kept"]
            fields["kept"] = Kept(
                None if kept["proved"] is None else Proved(**kept["proved"]),
                _objectives(kept["objectives"]),
                tuple(kept["conflict"]),
            )
            fields["proposed"] = Proved(**fields["proposed"])
            fields["proposed_objectives"] = Objectives(**fields["proposed_objectives"])
            fields["regret"] = None if fields["regret"] is None else Interval(**fields["regret"])
            machines = {k: tuple(pair) for k, pair in fields["moving"]["machines"].items()}
            fields["moving"] = Moving(**{**fields["moving"], "machines": machines})
            fields["stages"] = tuple(
                StageRecord(**{**row, "workloads": tuple(row["workloads"])})
                for row in fields["stages"]
            )
            fields["front"] = _front(fields["front"])
            fields["assumptions"] = tuple(fields["assumptions"])
            return cls(**fields)
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"decision is damaged: {error}") from error

    @classmethod
    def read(cls, folder: Path) -> Decision:
        """Read ``decision.json`` from a run folder."""
        try:
            return cls.from_json((folder / FILE_NAME).read_text(encoding="utf-8"))
        except OSError as error:
            raise RunError(f"cannot read {folder / FILE_NAME}: {error.strerror}") from error


def _objectives(data: dict[str, float] | None) -> Objectives | None:
    return None if data is None else Objectives(**data)


def _front(data: dict[str, Any] | None) -> FrontRecord | None:
    if data is None:
        return None
    fields = dict(data)
    for name in ("cost_moved_relative", "carbon_moved_relative"):
        fields[name] = None if data[name] is None else tuple(data[name])
    return FrontRecord(**fields)
