"""Two instance folders compared: tables, settings, and the figures they resolve to."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from planner.compare.data import DataChanges, data_changes
from planner.compare.sides import InstanceSide

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class InstanceDiff:
    """The difference of two instances, in the user's words and as resolved with the catalog."""

    old: str
    new: str
    old_sha256: str
    new_sha256: str
    data: DataChanges

    @property
    def same(self) -> bool:
        """Nothing that a plan depends on differs."""
        return not self.data.any

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists, ready for JSON."""
        return {"kind": "instances", "same": self.same, **dataclasses.asdict(self)}

    def to_frame(self) -> pd.DataFrame:
        """One row per cell, row or setting that differs."""
        import pandas as pd

        rows: list[dict[str, str]] = []
        for table in self.data.tables:
            for sign, names in (("+", table.added), ("-", table.removed)):
                rows += [{"table": table.table, "change": sign, "row": name} for name in names]
            rows += [
                {"table": table.table, "change": "~", **dataclasses.asdict(cell)}
                for cell in table.changed
            ]
        columns = ["table", "change", "row", "column", "unit", "old", "new"]
        return pd.DataFrame(rows, columns=columns).fillna("")

    def _repr_html_(self) -> str:
        from planner.compare.html import instance_diff_html

        return instance_diff_html(self)


def diff_instances(old: InstanceSide, new: InstanceSide) -> InstanceDiff:
    """Compare two instance folders."""
    return InstanceDiff(
        old=old.path,
        new=new.path,
        old_sha256=old.facts.instance.sha256,
        new_sha256=new.facts.instance.sha256,
        data=data_changes(old.facts, new.facts),
    )
