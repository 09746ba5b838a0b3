"""What makes a table look wrong, rule by rule."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from planner.feeds.check import Case, Verdict, judge
from planner.feeds.feed import Feed
from planner.feeds.need import Need
from planner.feeds.readers import READERS
from planner.feeds.tables import (
    GridCarbon,
    HostedPrice,
    MeasuredDemand,
    MeasuredLength,
    Price,
    ReaderDoubt,
    Reading,
)
from planner.instance.schema import Quota, Row

AT = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
PLACE = {"region": "aws:us-east-1", "offer": "aws_p5.48xlarge"}
TODAY = 55.04
"""USD/h of that machine in the catalog."""


def feed(kind: str = "prices", **policy: Any) -> Feed:
    data = {"reader": "tables", "kind": kind, "path": ".", **policy}
    return READERS["tables"].model_validate(data)


def verdict(need: Need, *rows: Row, kind: str = "prices", before: Mapping[str, float] | None = None,
            observed_at: dt.datetime = AT, **policy: Any) -> Verdict:  # fmt: skip
    reading = Reading(kind, rows, observed_at, "here")
    return judge(Case(feed(kind, **policy), need, reading, before or {}, AT))


def price(usd_per_h: float | None = TODAY, **others: Any) -> Price:
    return Price(**PLACE, ondemand_usd_per_h=usd_per_h, **others)


def only(problems: Sequence[str]) -> str:
    assert len(problems) == 1, problems
    return problems[0]


def test_a_table_like_todays_is_accepted(need: Need) -> None:
    assert verdict(need, price(1.2 * TODAY)) == Verdict((), ())


def test_an_empty_table_is_refused(need: Need) -> None:
    assert "no rows" in verdict(need).problems


def test_a_row_without_a_place_in_the_instance_is_refused(need: Need) -> None:
    row = Price(region="aws:us-east-1", offer="aws_p7.huge", ondemand_usd_per_h=50.0)
    assert "not in the instance: aws:us-east-1/aws_p7.huge" in verdict(need, row).problems


def test_a_missing_region_is_refused(need: Need) -> None:
    required = ("aws:us-east-1", "aws:eu-central-1")
    found = verdict(need, price(), required_regions=required)
    assert only(found.problems) == "missing region: aws:eu-central-1"
    assert verdict(need, price(), required_regions=required, ignore=("aws:eu-central-1",)).accepted


def test_every_region_that_a_source_covers_is_required(need: Need) -> None:
    aws = READERS["aws-prices"].model_validate({"reader": "aws-prices"})
    case = Case(aws, need, Reading("prices", (price(),), AT, "here"), {}, AT)
    assert only(judge(case).problems) == "missing region: aws:eu-central-1"


@pytest.mark.parametrize("usd_per_h", [0.01, 2_000.0])
def test_a_price_of_impossible_size_is_refused(need: Need, usd_per_h: float) -> None:
    found = verdict(need, price(usd_per_h), max_move=1e9)
    assert "implausible" in only(found.problems)
    assert "outside 0.04 to 1600" in only(found.problems)


@pytest.mark.parametrize("factor", [10.0, 0.1, 12.0])
def test_a_price_that_moved_tenfold_is_refused(need: Need, factor: float) -> None:
    found = verdict(need, price(factor * TODAY))
    assert f"moved 10 times or more: aws:us-east-1/aws_p5.48xlarge ondemand_usd_per_h {TODAY}" in (
        only([problem for problem in found.problems if "moved" in problem])
    )


def test_a_price_that_moved_less_is_pointed_out(need: Need) -> None:
    found = verdict(need, price(1.6 * TODAY))
    assert found.accepted
    assert only(found.warnings).startswith("moved 1.5 times or more")
    assert verdict(need, price(1.6 * TODAY), max_move=1.55).problems


def test_moves_are_measured_from_the_last_accepted_table(need: Need) -> None:
    name = "aws:us-east-1/aws_p5.48xlarge ondemand_usd_per_h"
    assert verdict(need, price(20.0 * TODAY), before={name: 15.0 * TODAY}, max_move=2.0).accepted
    assert not verdict(need, price(), before={name: 15.0 * TODAY}).accepted


def test_spot_above_on_demand_is_refused(need: Need) -> None:
    assert "dearer than the full price" in only(verdict(need, price(spot_usd_per_h=60.0)).problems)
    alone = price(None, spot_usd_per_h=60.0)
    assert "ondemand_usd_per_h 55.04" in only(verdict(need, alone).problems)


def test_a_table_that_lost_many_figures_is_refused(need: Need) -> None:
    before = {f"aws:us-east-1/aws_{n} spot_usd_per_h": 1.0 for n in range(9)}
    name = "aws:us-east-1/aws_p5.48xlarge ondemand_usd_per_h"
    few = {name: TODAY, **dict(list(before.items())[:1])}
    found = verdict(need, price(), before=few)
    assert "50% of the figures of the last table are missing" in only(found.problems)
    found = verdict(need, price(), before=few, max_missing_share=0.5)
    assert "no longer in the table" in only(found.warnings)


def test_a_stale_table_is_refused(need: Need) -> None:
    old = AT - dt.timedelta(hours=200)
    assert only(verdict(need, price(), observed_at=old).problems).startswith("stale: of 2026-11-16")
    assert verdict(need, price(), observed_at=old, max_age_h=300.0).accepted


def test_a_table_from_the_future_is_refused(need: Need) -> None:
    found = verdict(need, price(), observed_at=AT + dt.timedelta(hours=30))
    assert "dated in the future" in only(found.problems)


def test_many_problems_are_told_as_the_first_few(need: Need) -> None:
    rows = [Price(region="aws:us-east-1", offer=f"aws_x{n}", ondemand_usd_per_h=5.0)
            for n in range(8)]  # fmt: skip
    assert "and 3 more" in only(verdict(need, *rows).problems)


@pytest.mark.parametrize(
    ("kind", "row", "words"),
    [
        ("hosted-prices", HostedPrice(provider="anthropic", llm="claude-haiku-4-5",
                                      input_usd_per_mtok=20_000.0), "outside 0 to 10000"),
        ("hosted-prices", HostedPrice(provider="anthropic", llm="claude-haiku-4-5",
                                      input_usd_per_mtok=1.0, cached_input_usd_per_mtok=1.1,
                                      output_usd_per_mtok=5.0), "dearer than the full price"),
        ("hosted-prices", HostedPrice(provider="anthropic", llm="claude-9",
                                      input_usd_per_mtok=1.0), "not in the instance"),
        ("carbon", GridCarbon(region="aws:eu-central-1", month=11, hour_utc=3,
                              gco2e_per_kwh=2_500.0, days=3), "outside 0 to 2000"),
        ("carbon", GridCarbon(region="aws:eu-west-9", month=11, hour_utc=3, gco2e_per_kwh=300.0,
                              days=3), "not in the instance"),
        ("demand", MeasuredDemand(workload="support-chat", origin="mars", slice="h00-06",
                                  requests_per_s=5.0), "not in the instance"),
        ("demand", MeasuredDemand(workload="support-chat", origin="us-east", slice="h00-06",
                                  requests_per_s=700.0), "moved 10 times"),
        ("lengths", MeasuredLength(workload="support-chat", input_tokens=90_000.0,
                                   output_tokens=300.0), "moved 10 times"),
        ("quotas", Quota(region="aws:us-east-1", accelerator="b200-sxm", accelerators=8),
         "not in the instance"),
    ],
)  # fmt: skip
def test_other_kinds_have_the_same_rules(need: Need, kind: str, row: Row, words: str) -> None:
    assert any(words in problem for problem in verdict(need, row, kind=kind).problems)


def test_a_quiet_hour_and_a_new_quota_are_no_alarm(need: Need) -> None:
    name = "support-chat/us-east/h00-06 requests_per_s"
    row = MeasuredDemand(workload="support-chat", origin="us-east", slice="h00-06",
                         requests_per_s=0.0)  # fmt: skip
    assert verdict(need, row, kind="demand", before={name: 0.05}).accepted
    quota = Quota(region="aws:eu-central-1", accelerator="l4", accelerators=64)
    before = {"aws:eu-central-1/l4 accelerators": 0.0}
    assert verdict(need, quota, kind="quotas", before=before).accepted


def test_the_policy_is_the_feeds_own(need: Need) -> None:
    case = Case(feed(max_move=3.0), need, Reading("prices", (price(3.1 * TODAY),), AT, ""), {}, AT)
    assert not judge(case).accepted
    assert judge(dataclasses.replace(case, feed=feed(max_move=4.0))).accepted


# ------------------------------------------------------------------ units that are confused


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1 / 8, "6.88 is 1/8 of the known 55.04: the price of one accelerator?"),
        (8.0, "440.32 is 8 times the known 55.04: times its accelerators twice?"),
        (9.35 / 88.49, "5.81562 is 1/9.46 of the known 55.04"),  # a host without accelerators
    ],
)
def test_a_price_of_something_else_is_doubted_whatever_the_policy(
    need: Need, factor: float, words: str
) -> None:
    """Below `max_move` too; both values are told."""
    found = verdict(need, price(factor * TODAY), max_move=1e6)
    assert words in only(found.problems)


def test_a_spot_price_of_one_accelerator_is_doubted_other_spot_prices_may_move(need: Need) -> None:
    name = "aws:us-east-1/aws_p5.48xlarge spot_usd_per_h"
    for factor, accepted in ((1 / 8, False), (1 / 7, True), (1 / 5, True)):
        row = price(None, spot_usd_per_h=24.0 * factor)
        assert verdict(need, row, before={name: 24.0}).accepted == accepted, factor


def test_half_the_price_of_a_machine_of_two_is_pointed_out(need: Need) -> None:
    offer = next(o for o in need.offers if o.accelerators == 2)
    known = need.today("prices")[f"{offer.name} ondemand_usd_per_h"]
    row = Price(region=offer.region, offer=offer.offer, ondemand_usd_per_h=known / 2)
    found = verdict(need, row)
    assert found.accepted
    assert "1/2 of the known" in only(found.warnings)
    assert "the price of one accelerator?" in only(found.warnings)


def test_a_trusted_price_and_one_accepted_before_are_not_doubted(need: Need) -> None:
    name = "aws:us-east-1/aws_p5.48xlarge ondemand_usd_per_h"
    assert verdict(need, price(TODAY / 8), before={name: TODAY / 8}).accepted
    for word in ("aws:us-east-1", "aws:us-east-1/aws_p5.48xlarge"):
        found = verdict(need, price(TODAY / 8), trust=(word,))
        assert found.accepted
        assert "moved 1.5 times or more" in only(found.warnings)
    assert not verdict(need, price(TODAY / 8), trust=("aws:us-east-1/aws_p5",)).accepted


@pytest.mark.parametrize("factor", [1 / 4, 1 / 2, 3.0])
def test_other_moves_below_the_policy_are_pointed_out_only(need: Need, factor: float) -> None:
    assert verdict(need, price(factor * TODAY), max_move=6.0).accepted


def test_a_commitment_that_nothing_was_known_of_is_held_against_the_full_price(need: Need) -> None:
    """Of a machine of 8 at 0.6 of the full price, per accelerator."""
    no_commitment = next(
        o for o in need.offers
        if o.accelerators == 8 and f"{o.name} commit_1y_usd_per_h" not in need.today("prices")
    )  # fmt: skip
    full = need.today("prices")[f"{no_commitment.name} ondemand_usd_per_h"]
    place = {"region": no_commitment.region, "offer": no_commitment.offer}
    found = verdict(need, Price(**place, commit_1y_usd_per_h=0.6 * full / 8))
    assert "1/13.3 of the known on-demand price, " in only(found.problems)
    assert verdict(need, Price(**place, commit_1y_usd_per_h=0.6 * full)).accepted


def grid(level: float, region: str = "aws:eu-central-1") -> list[Row]:
    return [GridCarbon(region=region, month=11, hour_utc=hour, gco2e_per_kwh=level, days=30)
            for hour in range(24)]  # fmt: skip


def before(level: float, region: str = "aws:eu-central-1") -> dict[str, float]:
    return {f"{region}/11/{hour} gco2e_per_kwh": level for hour in range(24)}


@pytest.mark.parametrize(("known", "level"), [(402.0, 0.402), (8.0, 0.008), (402.0, 0.25)])
def test_kilograms_for_grams_are_doubted_whatever_the_policy(
    need: Need, known: float, level: float
) -> None:
    found = verdict(need, *grid(level), kind="carbon", before=before(known), max_move=1e9)
    assert f"gco2e_per_kwh {level:g} is 1/" in only(found.problems)
    assert f"of the known {known:g}: another unit, such as kg for g" in only(found.problems)


# ------------------------------------------------------------------ zero


def test_a_grid_of_zero_is_doubted_until_it_is_known(need: Need) -> None:
    found = verdict(need, *grid(0.0), kind="carbon", before=before(8.0))
    assert "aws:eu-central-1: 0 gCO2e/kWh at all times (before " in only(found.problems)
    assert verdict(need, *grid(0.0), kind="carbon", trust=("aws:eu-central-1",),
                   before=before(8.0)).accepted  # fmt: skip


def test_a_grid_of_zero_that_was_accepted_is_no_news(need: Need) -> None:
    assert verdict(need, *grid(0.0), kind="carbon", before=before(0.0)).accepted
    last_month = {name.replace("/11/", "/10/"): level for name, level in before(0.0).items()}
    assert verdict(need, *grid(0.0), kind="carbon", before=last_month).accepted


@pytest.mark.parametrize(("known", "level"), [(8.0, 5.0), (2.0, 20.0), (15.0, 1.0)])
def test_a_grid_that_runs_on_water_may_move(need: Need, known: float, level: float) -> None:
    assert verdict(need, *grid(level), kind="carbon", before=before(known)).accepted


def test_a_grid_of_few_grams_does_not_fall_to_nothing_in_one_hour(need: Need) -> None:
    rows = [*grid(8.0)[1:], *grid(0.0)[:1]]
    found = verdict(need, *rows, kind="carbon", before=before(8.0))
    assert only(found.problems) == (
        "moved 10 times or more: aws:eu-central-1/11/0 gco2e_per_kwh 8 -> 0 (max_move)"
    )


def test_a_workload_that_fell_silent_is_doubted_however_small(need: Need) -> None:
    rows = [row.model_copy(update={"requests_per_s": 0.0}) for row in need._rows("demand")
            if row.workload == "nightly-summaries"]  # type: ignore[attr-defined] # fmt: skip
    tiny = {"nightly-summaries/us-east requests_per_s": 0.002,
            "nightly-summaries/europe requests_per_s": 0.002}  # fmt: skip
    found = verdict(need, *rows, kind="demand", before=tiny)
    assert "nightly-summaries: 0 requests/s at all times (before 0.002" in only(found.problems)
    assert verdict(need, *rows, kind="demand", before=dict.fromkeys(tiny, 0.0)).accepted


def test_a_rate_is_a_trifle_against_the_rates_of_its_workload_only(need: Need) -> None:
    name = "nightly-summaries/us-east requests_per_s"
    row = MeasuredDemand(workload="nightly-summaries", origin="us-east", requests_per_s=0.09)
    known = {name: 0.001, "nightly-summaries/europe requests_per_s": 0.001}
    found = verdict(need, row, kind="demand", before=known, max_missing_share=1.0)
    assert "0.001 -> 0.09" in only(found.problems)


# ------------------------------------------------------------------ doubts and names


def test_what_the_reader_doubts_refuses_the_table(need: Need) -> None:
    doubts = (ReaderDoubt("odd", ("aws:us-east-1",)), ReaderDoubt("odder", ("aws:eu-central-1",)))
    reading = Reading("prices", (price(),), AT, "here", doubts=doubts)
    assert judge(Case(feed(), need, reading, {}, AT)).problems == ("odd", "odder")
    trusting = feed(trust=("aws:us-east-1",))
    assert judge(Case(trusting, need, reading, {}, AT)).problems == ("odder",)


def test_a_name_in_the_settings_that_is_nothing_of_the_instance_is_told(need: Need) -> None:
    data = {"reader": "prometheus-demand", "url": "http://x", "trust": ("suport-chat",),
            "workloads": {"llm": "support_chat"}, "origins": {"us": "us-east"}}  # fmt: skip
    prometheus = READERS["prometheus-demand"].model_validate(data)
    row = MeasuredDemand(workload="support-chat", origin="us-east", slice="h00-06",
                         requests_per_s=6.8)  # fmt: skip
    found = judge(Case(prometheus, need, Reading("demand", (row,), AT, "here"), {}, AT))
    assert found.warnings == (
        "trust: 'suport-chat' is nothing of the instance; did you mean support-chat or "
        "support-chat/apac or support-chat/europe?",
        "workloads: 'support_chat' is nothing of the instance; did you mean support-chat?",
    )


def test_a_row_that_differs_in_case_only_is_told_so(need: Need) -> None:
    row = MeasuredLength(workload="Support-Chat", input_tokens=1_000.0, output_tokens=200.0)
    found = verdict(need, row, kind="lengths")
    assert only(found.problems) == "not in the instance: Support-Chat (upper and lower case)"
