"""What the columns and rows of an exported program stand for: ``FILE.names.csv``.

A name is the variable or equation of ``models/FORMULATION.md`` with the numbers of its indices,
``rent(4_1)``; the table says them in words, one column for each kind of index.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

from models.fleet.data import MARKETS, FleetData
from planner.errors import RunError

FIELDS = (
    *("name", "workload", "variant", "length_class", "origin", "leg", "region", "machine"),
    *("market", "pool", "slice", "llm", "quota", "capacity_row", "total"),
)
INDICES = {
    **{"adopt": "v", "serve": "j", "replicas": "pt", "buy": "b", "rent": "bt", "host": "vr"},
    **{"by_hour": "j", "hold": "bt", "at_once": "bt", "part_by_hour": "j"},
    **{"capacity_by_hour": "ht", "hold_at_once": "bt", "stock_at_once": "bt"},
    **{"train": "o", "serves": "wr", "open": "r", "keep": "l", "added": "h"},
    **{"adopt_one": "w", "serve_demand": "q", "replica_capacity": "pti", "trifle_capacity": "j"},
    **{"machine_capacity": "ht", "quota": "kt", "train_adopted": "v", "host_where_served": "vrg"},
    **{"survive_region_loss": "vrt", "limit_spot_share": "ht", "meet_attainment": "v"},
    **{"workload_qoe_floor": "v", "spread_regions": "wr", "spread_regions_count": "w"},
    **{"open_regions": "wr", "limit_llms": "wl", "limit_added_accelerators": "ht"},
}
"""Variable or equation -> letters of its indices, as in ``models/FORMULATION.md``."""
LEGS = ("answer", "check")

Words = dict[str, str]
"""field -> name"""


def write_names(names: Iterable[str], data: FleetData, path: Path) -> None:
    """The table of the names, one row each; RunError where the file cannot be written."""
    words = Meanings(data)
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, FIELDS, restval="")
            table.writeheader()
            table.writerows({"name": name, **words.of(name)} for name in names)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}") from error


class Meanings:
    """Looks names up; one function for each letter of an index."""

    def __init__(self, data: FleetData) -> None:
        self.data = data
        self.known: dict[str, Callable[[int], Words]] = {
            **{"w": self._workload, "v": self._variant, "q": self._group, "j": self._route},
            **{"p": self._pool, "h": self._machine, "b": self._purchase, "o": self._training},
            "r": lambda r: {"region": data.regions[r]},
            "t": lambda t: {"slice": data.slices[t]},
            "g": lambda g: {"origin": data.origins[g]},
            "k": lambda k: {"quota": data.quota_names[k]},
            "l": lambda k: {"llm": data.llms[k]},
        }

    def of(self, name: str) -> Words:
        """What ``serve(12)`` stands for; nothing for a name without an index."""
        family, _, numbers = name.removesuffix(")").partition("(")
        if family == "cap_totals":
            return {"total": numbers.replace("_", "-")}
        told: Words = {}
        for letter, number in zip(INDICES.get(family, ""), numbers.split("_"), strict=False):
            told |= {"capacity_row": number} if letter == "i" else self.known[letter](int(number))
        return told

    def _workload(self, w: int) -> Words:
        return {"workload": self.data.workloads[w]}

    def _variant(self, v: int) -> Words:
        workload = self._workload(self.data.variant_workload[v])
        return workload | {"variant": self.data.variants[v]}

    def _group(self, q: int) -> Words:
        data, item = self.data, self.data.group_item[q]
        told = self._variant(data.group_variant[q]) | {
            "length_class": data.item_class[item],
            "origin": data.origins[data.item_origin[item]],
            "leg": LEGS[data.group_leg[q]],
        }
        due = data.item_slice[item]
        return told if due < 0 else told | {"slice": data.slices[due]}

    def _route(self, j: int) -> Words:
        data, pool, region = self.data, self.data.route_pool[j], self.data.route_region[j]
        told = self._group(data.route_group[j]) | {"slice": data.slices[data.route_slice[j]]}
        if pool >= 0:
            return told | self._pool(pool)
        return told | ({"region": data.regions[region]} if region >= 0 else {})

    def _pool(self, p: int) -> Words:
        return self._machine(self.data.pool_machine[p]) | {"pool": self.data.pools[p]}

    def _machine(self, h: int) -> Words:
        data = self.data
        return {"region": data.regions[data.machine_region[h]], "machine": data.machines[h]}

    def _purchase(self, b: int) -> Words:
        data = self.data
        market = {"market": MARKETS[data.purchase_market[b]]}
        return self._machine(data.purchase_machine[b]) | market

    def _training(self, o: int) -> Words:
        data = self.data
        when = {"slice": data.slices[data.training_slice[o]]}
        where = self._machine(data.training_machine[o])
        return self._variant(data.training_variant[o]) | where | when
