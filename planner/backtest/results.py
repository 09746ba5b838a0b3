"""What came of a replay: every policy at every date, totals, and the bound for all policies."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import RunError

if TYPE_CHECKING:
    import pandas as pd

FORMAT_VERSION = 1
FILE_NAME = "backtest.json"


@dataclass(frozen=True)
class Row:
    """A policy at a date, until the next one."""

    date: str
    policy: str
    hours: float
    """until the next date"""
    did: str
    """plan, keep or check"""
    decision: str
    moved: bool
    cost_usd: float
    """of these hours, the whole costs of a change included"""
    moving_usd: float
    """of it, for the change"""
    carbon_kgco2e: float
    qoe: float
    changed_workloads: int
    added_accelerators: float
    run: str
    """folder of the plan in force from here on"""


@dataclass(frozen=True)
class Bound:
    """What no policy at all, with all prices known beforehand, comes below at a date."""

    date: str
    hours: float
    cost_usd: float
    """at least, of these hours"""


@dataclass(frozen=True)
class Total:
    """A policy over all dates."""

    policy: str
    cost_usd: float
    moving_usd: float
    moves: int
    carbon_kgco2e: float
    qoe: float
    """mean over the hours"""
    regret_usd: float
    """at most: above the bound for all policies, which the clairvoyant plan does not come below"""
    regret_relative: float
    """at most, of the bound"""


@dataclass(frozen=True)
class Backtest:
    """A finished replay."""

    instance: str
    history: str
    gap: float
    time_limit_s: float
    """of each step"""
    rows: tuple[Row, ...]
    bounds: tuple[Bound, ...]
    folder: str

    @property
    def policies(self) -> tuple[str, ...]:
        """In the order of the rows."""
        return tuple(dict.fromkeys(row.policy for row in self.rows))

    @property
    def bound_usd(self) -> float:
        """No policy costs less."""
        return math.fsum(bound.cost_usd for bound in self.bounds)

    def of(self, policy: str) -> tuple[Row, ...]:
        """The rows of a policy, by date."""
        return tuple(row for row in self.rows if row.policy == policy)

    @property
    def totals(self) -> tuple[Total, ...]:
        """One per policy, cheapest first."""
        return tuple(sorted(map(self._total, self.policies), key=lambda total: total.cost_usd))

    def _total(self, policy: str) -> Total:
        rows = self.of(policy)
        cost = math.fsum(row.cost_usd for row in rows)
        hours = math.fsum(row.hours for row in rows)
        return Total(
            policy=policy,
            cost_usd=cost,
            moving_usd=math.fsum(row.moving_usd for row in rows),
            moves=sum(row.moved for row in rows),
            carbon_kgco2e=math.fsum(row.carbon_kgco2e for row in rows),
            qoe=math.fsum(row.qoe * row.hours for row in rows) / hours,
            regret_usd=cost - self.bound_usd,
            regret_relative=cost / self.bound_usd - 1.0 if self.bound_usd else 0.0,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists, totals included, ready for JSON."""
        return {
            "format_version": FORMAT_VERSION,
            **dataclasses.asdict(self),
            "bound_usd": self.bound_usd,
            "totals": [dataclasses.asdict(total) for total in self.totals],
        }

    def to_json(self) -> str:
        """As text; every float reads back exactly."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False)

    def to_frame(self) -> pd.DataFrame:
        """A row per policy and date."""
        import pandas as pd

        return pd.DataFrame([dataclasses.asdict(row) for row in self.rows])

    def _repr_html_(self) -> str:
        from planner.compare.markup import table

        return table(TOTAL_HEADINGS, total_rows(self), numbers=range(1, len(TOTAL_HEADINGS)))

    @classmethod
    def read(cls, folder: Path) -> Backtest:
        """A finished replay's folder; RunError where it is damaged or none."""
        path = folder / FILE_NAME
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                instance=data["instance"],
                history=data["history"],
                gap=data["gap"],
                time_limit_s=data["time_limit_s"],
                rows=tuple(Row(**row) for row in data["rows"]),
                bounds=tuple(Bound(**bound) for bound in data["bounds"]),
                folder=data["folder"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path} is damaged or missing: {error}") from error


TOTAL_HEADINGS = (
    *("policy", "USD in all", "USD for moves", "moves", "kgCO2e", "mean QoE"),
    *("USD above the bound, at most", "at most"),
)


def total_rows(found: Backtest) -> list[list[str]]:
    """The totals in words, cheapest first."""
    return [
        [
            total.policy,
            f"{total.cost_usd:,.0f}",
            f"{total.moving_usd:,.0f}",
            f"{total.moves}",
            f"{total.carbon_kgco2e:,.0f}",
            f"{total.qoe:.4f}",
            f"{total.regret_usd:,.0f}",
            f"{100 * total.regret_relative:.2f} %",
        ]
        for total in found.totals
    ]
