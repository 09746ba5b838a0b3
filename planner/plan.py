"""Plan: the answer in domain terms, frozen, with a JSON round trip (the contract for programs)."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import RunError
from planner.instance.grid import Grid

if TYPE_CHECKING:
    from pandas import DataFrame

FORMAT_VERSION = 2


@dataclass(frozen=True)
class InstanceRef:
    """Which instance, by name and content."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Objectives:
    """The three objectives of the period."""

    cost_usd: float
    carbon_kgco2e: float
    qoe: float


@dataclass(frozen=True)
class Certificate:
    """How far from optimal, and why that is known.

    `minimised` is ``cost``, ``carbon`` or ``qoe-loss``; `value` and `bound` are in its unit;
    `status` is ``optimal`` (gap reached), ``limit`` (stopped, bound holds) or ``unproved``.
    `proof` is what the bound rests on: ``dual prices``, which the checker evaluates again, or
    ``branch and bound`` of the `solver`, which it does not repeat.
    """

    minimised: str
    value: float
    bound: float
    gap_relative: float
    status: str
    proof: str
    bound_from_prices: float | None = None
    """what the stored dual prices alone prove, <= `bound`; None: not known (older plans)"""
    solver: str | None = None
    """whose branch and bound it is; None for dual prices"""

    @property
    def gap_from_prices(self) -> float | None:
        """The gap that the stored dual prices alone prove."""
        bound = self.bound_from_prices
        return None if bound is None else gap_between(self.value, bound)


def gap_between(value: float, bound: float) -> float:
    """(value - bound) / |value|, at least 0; 0 where the value is 0."""
    return max((value - bound) / abs(value), 0.0) if value else 0.0


@dataclass(frozen=True)
class Adoption:
    """The variant chosen for a workload, the reason and the break-even, in words with numbers."""

    workload: str
    llm: str
    adaptation: str
    method: str | None
    refresh_days: float | None
    check_llm: str | None
    check_share: float
    variant: str
    reason: str
    break_even: str
    rival: str = ""
    """the other way of answering that was solved in its place; empty: none was"""
    rival_value: float | None = None
    """what is minimised, of the best plan found with it, in the unit of the certificate"""
    rival_bound: float | None = None
    """no plan with it is worth less, proved"""


@dataclass(frozen=True)
class FleetLine:
    """Instances held: for a slice (rented) or all period (slice None)."""

    region: str
    offer: str
    accelerator: str
    market: str
    slice: str | None
    accelerators: int
    instances: int
    declared: str = ""
    """of ``owned`` ones: the commitment that owned.csv declares; empty where they are owned"""
    hours: float | None = None
    """held by the hour, for batch alone: hours of all `instances` together, which are what is held
    at one time; None: every hour of the slice"""

    def mean_instances(self, slice_hours: float) -> float:
        """Instances held on the mean over a slice of so many hours."""
        return self.instances if self.hours is None else self.hours / slice_hours

    @property
    def said(self) -> str:
        """The market in words: a commitment that runs already is no new one."""
        return f"{self.declared}, held" if self.declared else self.market


@dataclass(frozen=True)
class Commitment:
    """A term that binds: bought by the plan at the start of its period, or held already."""

    region: str
    offer: str
    market: str
    instances: int
    held: bool
    """held already, as ``owned.csv`` says"""
    usd_per_h: float
    """of one instance"""
    end_date: str | None
    """last day, ISO 8601; None: not stated"""
    months_left: float | None
    """of 730 h after the period; None: not known"""
    liability_usd: float | None
    """still to be paid after the period, used or not; None: not known"""


@dataclass(frozen=True)
class ReplicaLine:
    """Replicas running in a pool in a slice."""

    pool: str
    region: str
    offer: str
    accelerator: str
    llm: str
    weights: str
    accelerators: int
    precision: str
    engine: str
    operating_tpot_s: float
    lane_tokens: float
    slice: str
    replicas: int
    hours: float | None = None
    """run by the hour, for batch alone: hours of all `replicas` together; None: all of the slice"""


@dataclass(frozen=True)
class RoutingLine:
    """Share of a demand item (workload, class, origin, slice of demand) served somewhere.

    `slice` is the slice of the demand (None: batch), `served_slice` the slice of the load;
    `pool` None with a `region` is a hosted API, None without a region is shortfall.
    """

    workload: str
    length_class: str
    origin: str
    slice: str | None
    leg: int
    region: str | None
    pool: str | None
    served_slice: str
    share: float
    requests_per_s: float
    by_hour: float = 0.0
    """the part of `share` that replicas which run by the hour serve"""


@dataclass(frozen=True)
class TrainingLine:
    """Where and when a fine-tune runs."""

    workload: str
    variant: str
    region: str
    offer: str
    slice: str


@dataclass(frozen=True)
class WorkloadLine:
    """What a workload gets, and what it costs by its share of the fleet."""

    workload: str
    qoe: float
    ttft_p95_s: float
    tpot_mean_s: float
    attainment: float
    usd_per_mtok: float
    gco2e_per_ktok: float


@dataclass(frozen=True)
class Plan:
    """A whole answer; see the fields' own classes. `to_json` and `from_json` are exact inverses."""

    instance: InstanceRef
    period_hours: float
    objectives: Objectives
    cost_lines: dict[str, float]
    carbon_lines: dict[str, float]
    water_l: float
    certificate: Certificate
    adoption: tuple[Adoption, ...]
    fleet: tuple[FleetLine, ...]
    replicas: tuple[ReplicaLine, ...]
    routing: tuple[RoutingLine, ...]
    hosting: tuple[tuple[str, str], ...]
    """(variant, region) copies of indexes and adapters."""
    training: tuple[TrainingLine, ...]
    workloads: tuple[WorkloadLine, ...]
    timings: dict[str, float]
    assumptions: tuple[str, ...]
    provenance: dict[str, Any]
    grid: Grid
    """lanes and operating points that were open; the bound is over plans on these"""
    commitments: tuple[Commitment, ...] = ()
    """terms that bind, bought and held"""
    format_version: int = field(default=FORMAT_VERSION)

    @property
    def liability_usd(self) -> float:
        """What is signed beyond the period, as far as it is known."""
        return sum(one.liability_usd or 0.0 for one in self.commitments)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists, ready for JSON."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """JSON text; floats keep their exact value."""
        # Fields as they are: copying all of them first takes as long again.
        return json.dumps(vars(self), indent=1, allow_nan=False, default=vars)

    def to_frame(self, table: str = "fleet") -> DataFrame:
        """A list of the plan as a pandas DataFrame: ``fleet``, ``adoption``, ``workloads`` ...

        Also ``cost_lines`` and ``carbon_lines``. PlannerError that lists them for another name.
        """
        from planner.report.notebook import plan_frame

        return plan_frame(self, table)

    def figure(self, what: str = "cost") -> Any:
        """A plotly figure to restyle: ``cost``, ``carbon``, ``fleet``, ``qoe``, ``ttft_p95_s`` ...

        PlannerError that lists them for another name.
        """
        from planner.report.notebook import plan_figure

        return plan_figure(self, what)

    def _repr_html_(self) -> str:
        from planner.report.notebook import plan_card

        return plan_card(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Plan:
        """Inverse of `to_dict`; RunError where the format is not ours."""
        if data.get("format_version") != FORMAT_VERSION:
            raise RunError(
                f"plan has format_version {data.get('format_version')!r}; "
                f"this planner reads {FORMAT_VERSION}: re-run `planner plan`"
            )
        tables: dict[str, Any] = {
            "adoption": Adoption,
            "fleet": FleetLine,
            "replicas": ReplicaLine,
            "routing": RoutingLine,
            "training": TrainingLine,
            "workloads": WorkloadLine,
            "commitments": Commitment,
        }
        single: dict[str, Any] = {
            "instance": InstanceRef,
            "objectives": Objectives,
            "certificate": Certificate,
        }
        try:
            fields = dict(data)
            for name, kind in tables.items():
                fields[name] = tuple(kind(**row) for row in fields.get(name, ()))
            for name, kind in single.items():
                fields[name] = kind(**fields[name])
            fields["hosting"] = tuple((str(v), str(r)) for v, r in fields["hosting"])
            fields["assumptions"] = tuple(fields["assumptions"])
            fields["grid"] = Grid.from_dict(fields["grid"])
            return cls(**fields)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"plan is damaged: {error}") from error

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Inverse of `to_json`; RunError where the text is not a plan."""
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise RunError(f"plan is not JSON: {error}") from error
        if not isinstance(data, dict):
            raise RunError("plan is not a JSON object")
        return cls.from_dict(data)

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read ``plan.json`` from a file or a run folder."""
        file = path / "plan.json" if path.is_dir() else path
        try:
            return cls.from_json(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise RunError(f"cannot read {file}: {error.strerror}") from error
