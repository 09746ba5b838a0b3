"""The instance as it was at a date: a folder in the documented format.

Offers without a row at the date are not to be had; a market that was blank costs what on-demand
does, so that nothing is gained by it. Demand is the instance's times the factor of the week, and
the slices take the grid carbon of the date's month. All else, the prices of offers that the history
does not name among it, is as in the instance.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from planner.backtest.history import MARKET_COLUMNS, History, Moment, Offered
from planner.instance.copy import accept, copy_instance, drop_setting, set_setting, write_table
from planner.instance.facts import Facts, MachineFacts
from planner.instance.schema import SETTINGS_FILE, Offer

LONG_H = 1e9
"""Horizon over which what is made once is next to nothing."""

Cheapest = Mapping[Offered, tuple[float | None, ...]]


def write_moment(
    facts: Facts, history: History, moment: Moment, target: Path, *, free: bool = False
) -> Path:
    """Write the instance of a date.

    `free`: commitments at the least price at which one that still runs could have been made, and
    nothing to pay for what is made once. No plan of that date, whatever was bought or made before,
    costs less than the best plan of that instance.
    """
    instance = facts.instance
    least = history.cheapest_commitments(moment.date) if free else {}
    machines = {(m.region, m.offer): m for m in facts.machines}
    offers = {(row.region, row.offer): row for row in instance.offers}
    offers |= {
        key: _offer(machines[key], moment, least.get(key))
        for key in sorted(history.offers & machines.keys())
    }
    demand = [
        row.model_copy(
            update={"requests_per_s": row.requests_per_s * moment.demand.get(row.workload, 1.0)}
        )
        for row in instance.demand
    ]
    slices = [row.model_copy(update={"month": moment.date.month}) for row in instance.slices]
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        draft = Path(scratch) / "instance"
        copy_instance(Path(instance.folder), draft, None)
        write_table(draft, "offers", list(offers.values()))
        write_table(draft, "demand", demand)
        write_table(draft, "slices", slices)
        drop_setting(draft, "incumbent")
        accept(draft, "offers/*")  # prices of another time may be far from today's
        set_setting(draft, "start", moment.date.isoformat())
        if free:
            _without_set_up(draft)
        draft.replace(target)
    return target


def _without_set_up(folder: Path) -> None:
    """What is made once costs next to nothing: who kept it from an earlier date has paid it."""
    drop_setting(folder, "horizon_h")
    path = folder / SETTINGS_FILE
    text = path.read_text(encoding="utf-8-sig")
    section = f"[migration]\nhorizon_h = {LONG_H:g}\n"
    if re.search(r"^\[migration\]", text, flags=re.M):
        text = re.sub(r"^\[migration\].*\n", section, text, count=1, flags=re.M)
    else:
        text += f"\n{section}"
    path.write_text(text, encoding="utf-8")


def _offer(machine: MachineFacts, moment: Moment, least: tuple[float | None, ...] | None) -> Offer:
    row = moment.prices.get((machine.region, machine.offer))
    known = Offer(
        region=machine.region,
        offer=machine.offer,
        accelerator=machine.accelerator,
        accelerators=machine.accelerators,
        price_date=moment.date,
    )
    if row is None:
        prices = {column: getattr(machine, column) for column in MARKET_COLUMNS}
        return known.model_copy(update={**prices, "max_instances": 0})
    prices = {c: getattr(row, c) or row.ondemand_usd_per_h for c in MARKET_COLUMNS}
    if least is not None:
        for column, price in zip(MARKET_COLUMNS[2:], least, strict=True):
            prices[column] = min(prices[column], price or prices[column])
    return known.model_copy(update=prices)
