"""Instances whose prices moved, and plans that run on them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from planner.api import load
from planner.feeds.tables import PRICE_COLUMNS
from planner.instance.checks import PRICE_PER_ACCELERATOR_USD_PER_H
from planner.instance.copy import accept, write_table
from planner.instance.facts import MachineFacts
from planner.instance.schema import Offer

INSTANCES = Path(__file__).resolve().parents[3] / "instances"
TINY, SMALL = INSTANCES / "tiny", INSTANCES / "small"
OF_WORKLOADS = ("workloads", "length_classes", "demand", "quality", "variants")

Factor = Callable[[MachineFacts, str], float]
"""of a machine and a column of prices"""


def with_workloads(source: Path, target: Path, names: Sequence[str]) -> Path:
    """A copy of an instance with some of its workloads."""
    shutil.copytree(source, target)
    for table in OF_WORKLOADS:
        path = target / f"{table}.csv"
        head, *lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join([head, *(x for x in lines if x.split(",")[0] in names)]))
    return target


def with_prices(source: Path, target: Path, factor: Factor) -> Path:
    """A copy of an instance where every price of every machine is multiplied.

    Nothing becomes dearer than on demand, or implausible.
    """
    shutil.copytree(source, target)
    rows = []
    for machine in load(source).machines:
        least, dearest = (machine.accelerators * x for x in PRICE_PER_ACCELERATOR_USD_PER_H)
        prices = {
            column: min(max(price * factor(machine, column), least), dearest)
            for column in PRICE_COLUMNS
            if (price := getattr(machine, column)) is not None
        }
        most = prices.get("ondemand_usd_per_h", float("inf"))
        prices = {column: min(price, most) for column, price in prices.items()}
        if prices:
            rows.append(
                Offer(
                    region=machine.region, offer=machine.offer, accelerator=machine.accelerator,
                    accelerators=machine.accelerators, max_instances=machine.max_instances,
                    **prices,
                )
            )  # fmt: skip
    write_table(target, "offers", rows)
    accept(target, "offers/*")  # prices of another day may be far from the catalog's
    return target


def random_factor(seed: int) -> Factor:
    """Prices of accelerators, regions and machines that move together and apart."""
    rng = np.random.default_rng(seed)
    size = float(rng.choice([0.05, 0.2, 0.6]))
    drawn: dict[tuple[str, ...], float] = {}

    def factor(machine: MachineFacts, column: str) -> float:
        whole = 1.0
        for key in ((machine.accelerator,), (machine.region, column), (machine.machine, column)):
            whole *= drawn.setdefault(key, float(np.exp(rng.normal(0.0, size))))
        return whole

    return factor


def dearer(held: Sequence[tuple[str, str]], times: float) -> Factor:
    """Only these accelerators in these regions are dearer."""
    return lambda machine, _: times if (machine.region, machine.accelerator) in held else 1.0
