"""Unlike fleets: the answer that plain HiGHS has of each, and what changes must do to it.

Values are compared within what was proved: the bound of one is never above the value of another
that must be no better. A fleet for which time ran out proves nothing, and fails nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from planner.instance.load import load_instance
from planner.instance.schema import Settings
from tests import changed_fleets as fleets
from tests.changed_fleets import Outcome, planned

FEW, MANY = 12, 60
NO_PRICES = ("shortfall", "migration work", "migration machines")
"""Lines that ``prices*`` does not move: rules of the organisation set them."""


class Case:
    """A fleet with the answer to it."""

    def __init__(self, number: int, place: Path) -> None:
        self.folder = fleets.written(number, place)
        self.settings: Settings = load_instance(self.folder).settings
        self.answer: Outcome = planned(self.folder)

    def has_caps(self, *names: str) -> bool:
        caps = self.settings.caps.model_dump()
        return any(caps[name] is not None for name in names)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Case]:
    place = tmp_path_factory.mktemp("fleets")
    return cache(lambda number: Case(number, place))


def test_the_same_seed_writes_the_same_fleets(tmp_path: Path) -> None:
    number = fleets.tiny_numbers(FEW)[0]
    once, twice = (fleets.written(number, tmp_path / name) for name in ("once", "twice"))
    for file in once.glob("*.*"):
        assert file.read_bytes() == (twice / file.name).read_bytes()


# ------------------------------------------------------------------ properties


def rows_in_another_order_change_nothing(case: Case) -> None:
    assert planned(fleets.permuted(case.folder)).as_good_as(case.answer)


def doubled_prices_double_the_cost(case: Case) -> None:
    if case.settings.minimize != "cost" or case.has_caps("cost_usd"):
        return
    dearer = planned(case.folder, changes=["prices*=2"])
    slack = fleets.TOLERANCE * abs(case.answer.value)
    assert dearer.bound <= 2.0 * case.answer.value - unpriced_usd(case.answer) + slack
    assert 2.0 * case.answer.bound <= dearer.value + unpriced_usd(dearer) + slack


def unpriced_usd(outcome: Outcome) -> float:
    """What the organisation's rules cost a plan, whatever the prices are."""
    lines = outcome.found.plan.cost_lines if outcome.found else {}
    return sum(lines.get(name, 0.0) for name in NO_PRICES)


def more_demand_is_never_cheaper(case: Case) -> None:
    assert case.answer.never_dearer_than(planned(fleets.busier(case.folder)))


def one_more_offer_is_never_dearer(case: Case) -> None:
    assert planned(fleets.with_an_offer(case.folder)).never_dearer_than(case.answer)


def a_split_slice_costs_the_same_or_less(case: Case) -> None:
    assert planned(fleets.with_a_slice_split(case.folder)).never_dearer_than(case.answer)


def a_region_never_used_may_go(case: Case) -> None:
    if case.answer.found is None or case.settings.incumbent is not None:
        return
    plan = case.answer.found.plan
    used = {line.region for line in plan.fleet} | {row.region for row in plan.routing}
    used |= {region for _, region in plan.hosting} | {
        t.machine.split("/")[0] for t in plan.training
    }
    for region in {row["region"] for row in fleets.rows_of(case.folder, "regions")} - used:
        assert planned(fleets.without_region(case.folder, region)).as_good_as(case.answer)
        return


def other_units_change_nothing(case: Case) -> None:
    assert planned(fleets.in_other_units(case.folder)).as_good_as(case.answer)


def twelve_periods_are_a_year(case: Case) -> None:
    ends = any(row.get("end_date") for row in fleets.rows_of(case.folder, "owned"))
    capped = case.has_caps("cost_usd", "carbon_kgco2e", "water_l")
    if ends or capped or case.settings.period.hours > 730.0:
        return
    year = planned(fleets.for_twelve_periods(case.folder))
    times = 1.0 if case.settings.minimize == "qoe-loss" else 12.0
    slack = fleets.TOLERANCE * abs(year.value)
    assert times * case.answer.bound <= year.value + slack or case.answer.found is None
    assert year.bound <= times * case.answer.value + slack


def plain_highs_agrees(case: Case) -> None:
    ours, judge = case.answer, fleets.judge(case.folder)
    if judge.status == "nothing":
        return
    assert ours.status == judge.status
    if judge.value is not None and judge.bound is not None:
        slack = fleets.TOLERANCE * max(abs(judge.value), 1e-3)
        assert ours.bound <= judge.value + slack
        assert judge.bound <= ours.value + slack


PROPERTIES = (
    plain_highs_agrees,
    rows_in_another_order_change_nothing,
    doubled_prices_double_the_cost,
    more_demand_is_never_cheaper,
    one_more_offer_is_never_dearer,
    a_split_slice_costs_the_same_or_less,
    a_region_never_used_may_go,
    other_units_change_nothing,
    twelve_periods_are_a_year,
)
FEW_EACH = 2
"""Properties that are tried on each of a few fleets, every time others."""
SOME = [
    (at, PROPERTIES[(FEW_EACH * at + more) % len(PROPERTIES)])
    for at in range(FEW)
    for more in range(FEW_EACH)
]


def name_of(value: object) -> str:
    return getattr(value, "__name__", str(value))


@pytest.mark.parametrize(("at", "holds"), SOME, ids=name_of)
def test_some_properties_of_a_few_fleets(
    at: int, holds: Callable[[Case], None], case: Callable[[int], Case]
) -> None:
    holds(case(fleets.tiny_numbers(FEW)[at]))


@pytest.mark.slow
@pytest.mark.parametrize("holds", PROPERTIES, ids=name_of)
@pytest.mark.parametrize("at", range(MANY))
def test_every_property_of_many_fleets(
    at: int, holds: Callable[[Case], None], case: Callable[[int], Case]
) -> None:
    holds(case(fleets.tiny_numbers(MANY)[at]))
