"""What a plan binds beyond its period: terms of commitments, bought and held, not yet paid."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence

from planner.answer.words import number
from planner.instance.commitments import TERM_YEARS, allowed_commitments, last_day
from planner.instance.ends import bounds
from planner.instance.facts import Facts, MachineFacts
from planner.plan import Commitment, FleetLine

HOURS_PER_MONTH = 730.0


def commitments(lines: Iterable[FleetLine], facts: Facts) -> tuple[Commitment, ...]:
    """Of the fleet's lines and of ``owned.csv``, in their order, what is bought first."""
    return (*_bought(lines, facts), *_held(facts))


def _bought(lines: Iterable[FleetLine], facts: Facts) -> Iterator[Commitment]:
    period = facts.instance.settings.period
    _, stop = bounds(period)
    machines = {machine.machine: machine for machine in facts.machines}
    for line in lines:
        if line.market in TERM_YEARS and line.instances:
            usd_per_h = _usd_per_h(machines[f"{line.region}/{line.offer}"], line.market)
            end = last_day(period.start, line.market, stop)
            yield _commitment(line.region, line.offer, line.market, line.instances, usd_per_h,
                              end, stop, held=False)  # fmt: skip


def _held(facts: Facts) -> Iterator[Commitment]:
    start, stop = bounds(facts.instance.settings.period)
    for row in facts.instance.owned:
        ended = row.end_date is not None and _hours_after(row.end_date, start) <= 0.0
        if row.market in TERM_YEARS and row.instances and not ended:
            yield _commitment(row.region, row.offer, row.market, row.instances, row.usd_per_h,
                              row.end_date, stop, held=True)  # fmt: skip


def _commitment(
    region: str,
    offer: str,
    market: str,
    instances: int,
    usd_per_h: float,
    end: dt.date | None,
    stop: dt.datetime,
    *,
    held: bool,
) -> Commitment:
    hours = None if end is None else max(_hours_after(end, stop), 0.0)
    return Commitment(
        region=region,
        offer=offer,
        market=market,
        instances=instances,
        held=held,
        usd_per_h=usd_per_h,
        end_date=None if end is None else end.isoformat(),
        months_left=None if hours is None else hours / HOURS_PER_MONTH,
        liability_usd=None if hours is None else hours * usd_per_h * instances,
    )


def _hours_after(day: dt.date, moment: dt.datetime) -> float:
    """Hours from a moment to the end of a day."""
    end = dt.datetime.combine(day, dt.time()) + dt.timedelta(days=1)
    return (end - moment).total_seconds() / 3600.0


def _usd_per_h(machine: MachineFacts, market: str) -> float:
    price = {
        "commit-1y": machine.commit_1y_usd_per_h,
        "commit-3y": machine.commit_3y_usd_per_h,
    }[market]
    assert price is not None, machine.machine
    return price


# ------------------------------------------------------------------ in words


def liability_said(signed: Sequence[Commitment], period_hours: float) -> str:
    """What is bound beyond the period, in a sentence; empty where nothing is."""
    beyond = [one for one in signed if one.liability_usd]
    unknown = sum(one.instances for one in signed if one.liability_usd is None)
    parts = []
    if beyond:
        whole = sum(one.liability_usd or 0.0 for one in beyond)
        new = sum(one.liability_usd or 0.0 for one in beyond if not one.held)
        longest = max(one.end_date or "" for one in beyond)
        parts.append(
            f"Signed beyond the period of {period_hours:g} h: {number(whole)} USD until {longest}, "
            f"of which {number(new)} USD by this plan."
        )
    if unknown:
        parts.append(f"When {number(unknown)} committed instances end is not stated in owned.csv.")
    return " ".join(parts)


def withheld_said(facts: Facts) -> tuple[str, ...]:
    """That terms longer than the period are not taken, where nobody said whether they may be."""
    settings = facts.instance.settings
    allowed = allowed_commitments(settings)
    sold = {
        market
        for machine in facts.machines
        for market, price in (
            ("commit-1y", machine.commit_1y_usd_per_h),
            ("commit-3y", machine.commit_3y_usd_per_h),
        )
        if price is not None and market not in allowed
    }
    if settings.policy.commitments is not None or not sold:
        return ()
    return (
        f"{' and '.join(sorted(sold))} bind for longer than the period of "
        f"{settings.period.hours:g} h and are not bought: list them in [policy] commitments to "
        "allow them.",
    )
