"""Commitments: which a period justifies, and what they bind beyond it, told and checked."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import pytest

import planner
from planner.answer.commitments import commitments, liability_said, withheld_said
from planner.api import Request
from planner.candidates import build_candidates
from planner.cli.text import plan_text
from planner.instance.commitments import allowed_commitments, end_of_term, last_day
from planner.instance.facts import Facts
from planner.instance.schema import Owned, Period, Policy, Settings
from planner.plan import FleetLine, Plan
from planner.verify.commitments import may_buy

INSTANCES = Path(__file__).resolve().parents[2] / "instances"
L4_COMMIT_3Y = 0.3181
"""USD/h of gcp_g2-standard-4 in us-central1: catalog, read 2026-07-30."""


@pytest.fixture(scope="module")
def facts() -> Facts:
    return planner.load(INSTANCES / "tiny")


@pytest.fixture(scope="module")
def committed(facts: Facts) -> tuple[Facts, Plan]:
    """Tiny with terms of three years allowed, and its plan."""
    from planner.instance.changes import with_changes

    allowed = with_changes(facts, ["policy.commitments=commit-3y"])
    return allowed, planner.plan(allowed)


def settings(hours: float, **policy: object) -> Settings:
    return Settings(
        name="x",
        period=Period(start=dt.date(2026, 9, 1), hours=hours),
        policy=Policy.model_validate(policy),
    )


def line(market: str, instances: int, offer: str = "gcp_g2-standard-4") -> FleetLine:
    return FleetLine("gcp:us-central1", offer, "l4", market, None, 1, instances)


# ------------------------------------------------------------------ which may be bought


@pytest.mark.parametrize(
    ("hours", "allowed"),
    [
        pytest.param(720.0, (), id="a month signs for no year"),
        pytest.param(2190.0, (), id="nor does a quarter"),
        pytest.param(8736.0, ("commit-1y",), id="52 weeks are a year"),
        pytest.param(8760.0, ("commit-1y",), id="a year"),
        pytest.param(26280.0, ("commit-1y", "commit-3y"), id="three years"),
    ],
)
def test_without_a_rule_a_term_ends_with_the_period(hours: float, allowed: tuple[str, ...]) -> None:
    for stated, expected in (({}, allowed), ({"commitments": ["commit-3y"]}, ("commit-3y",))):
        asked = settings(hours, **stated)
        assert allowed_commitments(asked) == expected
        assert tuple(m for m in ("commit-1y", "commit-3y") if may_buy(asked, m)) == expected


def test_terms_that_are_not_bought_are_pointed_out() -> None:
    small = planner.load(INSTANCES / "small")
    assert withheld_said(small) == ()
    policy = small.instance.settings.policy.model_copy(update={"commitments": None})
    silent = dataclasses.replace(
        small,
        instance=small.instance.model_copy(
            update={"settings": small.instance.settings.model_copy(update={"policy": policy})}
        ),
    )
    (said,) = withheld_said(silent)
    assert said.startswith("commit-1y and commit-3y bind for longer than the period of 728 h")
    assert build_candidates(silent).data.purchase_per_slice.all()
    assert not build_candidates(small).data.purchase_per_slice.all()


# ------------------------------------------------------------------ what is bound


def test_a_month_of_a_term_of_three_years_by_hand(facts: Facts) -> None:
    """1 September 2026 to 31 August 2029: 365 + 365 + 366 days. 3 x 0.3181 USD x (1096 x 24 - 728)
    h = 24,407.18 USD beyond the period, of which 694.73 USD are shown as its cost."""
    (one,) = commitments([line("commit-3y", 3)], facts)
    assert one.end_date == "2029-08-31"
    assert one.liability_usd == pytest.approx(3 * L4_COMMIT_3Y * (1096 * 24 - 728), rel=1e-12)
    assert one.liability_usd == pytest.approx(24407.18, abs=0.01)
    assert one.months_left == pytest.approx(25576 / 730)
    assert liability_said([one], 728.0) == (
        "Signed beyond the period of 728 h: 24,407 USD until 2029-08-31, of which 24,407 USD by "
        "this plan."
    )


def test_a_term_that_is_shorter_than_the_period_is_renewed() -> None:
    start, stop = dt.date(2026, 9, 1), dt.datetime(2028, 3, 1)
    assert end_of_term(start, "commit-1y") == dt.date(2027, 8, 31)
    assert last_day(start, "commit-1y", stop) == dt.date(2028, 8, 31)
    assert last_day(start, "commit-1y", dt.datetime(2027, 9, 1)) == dt.date(2027, 8, 31)


@pytest.mark.parametrize(
    ("end", "hours"),
    [
        pytest.param(dt.date(2026, 10, 29), 688.0, id="28 days and 16 hours after the period"),
        pytest.param(dt.date(2026, 9, 10), 0.0, id="ends within the period"),
        pytest.param(None, None, id="no end stated: not known"),
    ],
)
def test_what_is_held_already_binds_too(
    facts: Facts, end: dt.date | None, hours: float | None
) -> None:
    """728 h from 1 September, 0:00, end on 1 October, 8:00."""
    row = Owned(region="gcp:us-central1", offer="gcp_g2-standard-4", market="commit-1y",
                instances=5, usd_per_h=2.0, end_date=end)  # fmt: skip
    held = dataclasses.replace(facts, instance=facts.instance.model_copy(update={"owned": (row,)}))
    (one,) = commitments([], held)
    assert one.held
    assert one.months_left == (None if hours is None else pytest.approx(hours / 730))
    assert one.liability_usd == (None if hours is None else pytest.approx(5 * 2.0 * hours))


def test_the_plan_states_and_the_checker_recomputes_it(committed: tuple[Facts, Plan]) -> None:
    facts, plan = committed
    assert plan.liability_usd == pytest.approx(
        sum(row.instances for row in plan.fleet) * L4_COMMIT_3Y * 25576
    )
    assert Plan.from_json(plan.to_json()) == plan
    assert planner.verify(plan, facts).ok
    hours = {part.slice: part.hours for part in facts.instance.slices}
    text = " ".join(plan_text(plan, hours).split())
    assert "Signed beyond the period of 728 h" in text
    assert "2029-08-31" in text


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"liability_usd": 0.0}, id="what is owed"),
        pytest.param({"months_left": 3.0}, id="how long"),
        pytest.param({"usd_per_h": 0.1}, id="at which price"),
        pytest.param({"end_date": "2027-08-31"}, id="until when"),
        pytest.param({"instances": 1}, id="of how many"),
    ],
)
def test_a_wrong_statement_of_a_term_is_found(
    committed: tuple[Facts, Plan], change: dict[str, object]
) -> None:
    facts, plan = committed
    first, *rest = plan.commitments
    wrong = dataclasses.replace(
        plan,
        commitments=(dataclasses.replace(first, **change), *rest),  # type: ignore[arg-type]
    )
    assert {v.rule for v in planner.verify(wrong, facts).violations} == {"commitments"}


def test_a_term_that_is_not_stated_is_found(committed: tuple[Facts, Plan]) -> None:
    facts, plan = committed
    silent = dataclasses.replace(plan, commitments=())
    assert {v.rule for v in planner.verify(silent, facts).violations} == {"commitments"}


def test_a_plan_that_buys_what_the_period_does_not_justify_is_found(
    committed: tuple[Facts, Plan], facts: Facts
) -> None:
    _, plan = committed
    policy = facts.instance.settings.policy.model_copy(update={"commitments": None})
    changed = facts.instance.settings.model_copy(update={"policy": policy})
    silent = dataclasses.replace(
        facts, instance=facts.instance.model_copy(update={"settings": changed})
    )
    assert "market" in {v.rule for v in planner.verify(plan, silent).violations}


def test_a_difference_tells_what_is_signed(facts: Facts, committed: tuple[Facts, Plan]) -> None:
    from planner.cli.diff import plan_lines
    from planner.compare.plans import diff_plans
    from planner.compare.sides import PlanSide

    sides = [
        PlanSide(path=name, facts=data, request=Request(), plan=plan, incumbent=None)
        for name, data, plan in (
            ("old", facts, planner.plan(facts)),
            ("new", *committed),
        )
    ]
    found = diff_plans(*sides)
    assert found.liability_usd == (0.0, committed[1].liability_usd)
    assert any("signed beyond the period, USD" in row for row in plan_lines(found))
