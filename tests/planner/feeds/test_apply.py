"""Accepted tables make an instance of that day, whole and verifiable on its own."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

import planner
from planner.errors import FeedError
from planner.feeds.apply import dated_instance
from planner.feeds.need import Need, mean_lengths, need_of
from planner.feeds.refresh import Choice
from planner.feeds.store import Record, Store
from planner.feeds.tables import (
    GridCarbon,
    HostedPrice,
    MeasuredDemand,
    MeasuredLength,
    Price,
    Reading,
)
from planner.instance.facts import Facts
from planner.instance.schema import Quota, Row
from tests.planner.feeds.conftest import ROOT, write_buyer

AT = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
H100 = {"region": "aws:us-east-1", "offer": "aws_p5.48xlarge"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def kept(store: Store, kind: str, *rows: Row, name: str = "it") -> Record:
    reading = Reading(kind, rows, AT, "https://source.example")
    return store.add(name, kind, "accepted", AT, reading=reading)


def chosen(records: Mapping[str, Record]) -> list[Choice]:
    return [
        Choice(name, record.meta.kind, "fresh", record, "fresh") for name, record in records.items()
    ]


def dated(need: Need, records: Mapping[str, Record], folder: Path) -> Path:
    return dated_instance(need, chosen(records), folder)


def applied(need: Need, records: Mapping[str, Record], folder: Path) -> Facts:
    return planner.load(dated(need, records, folder))


def test_prices_enter_the_plan_with_their_day(need: Need, store: Store, tmp_path: Path) -> None:
    row = Price(**H100, ondemand_usd_per_h=50.0, spot_usd_per_h=20.0)
    facts = applied(need, {"it": kept(store, "prices", row)}, tmp_path / "dated")
    (machine,) = [m for m in facts.machines if m.machine == "aws:us-east-1/aws_p5.48xlarge"]
    assert (machine.ondemand_usd_per_h, machine.spot_usd_per_h) == (50.0, 20.0)
    assert machine.price_date == "2026-11-24"
    before = {m.machine: m for m in need.facts.machines}
    for other in facts.machines:
        if other is not machine:
            assert other == before[other.machine]


def test_prices_of_an_own_offer_are_replaced_and_the_rest_of_it_kept(
    store: Store, tmp_path: Path
) -> None:
    folder = write_buyer(tmp_path / "buyer")
    (folder / "offers.csv").write_text(
        "region,offer,accelerator,accelerators,ondemand_usd_per_month,spot_usd_per_h,max_instances\n"
        "aws:us-east-1,aws_p5.48xlarge,h100-sxm,8,36500,15,7\n"
    )
    row = Price(**H100, ondemand_usd_per_h=48.0)
    record = kept(store, "prices", row)
    facts = applied(need_of(folder), {"it": record}, tmp_path / "dated")
    (offer,) = facts.instance.offers
    assert (offer.ondemand_usd_per_h, offer.spot_usd_per_h, offer.max_instances) == (48.0, 15.0, 7)


def test_hosted_prices_are_replaced(need: Need, store: Store, tmp_path: Path) -> None:
    row = HostedPrice(provider="anthropic", llm="claude-haiku-4-5", input_usd_per_mtok=1.3,
                      cached_input_usd_per_mtok=0.13, output_usd_per_mtok=6.5)  # fmt: skip
    facts = applied(need, {"it": kept(store, "hosted-prices", row)}, tmp_path / "dated")
    (api,) = facts.apis
    assert (api.input_usd_per_mtok, api.cached_input_usd_per_mtok) == (1.3, 0.13)
    assert (api.output_usd_per_mtok, api.ttft_s) == (6.5, 0.7)


@pytest.mark.parametrize("region", ["aws:eu-central-1", "gcp:us-central1"])
def test_measured_carbon_is_what_the_plan_sees_in_that_month(
    region: str, store: Store, tmp_path: Path
) -> None:
    """Slices of September; measured in September: every hour of the day by the same factor."""
    folder = write_buyer(tmp_path / "buyer")
    need = need_of(folder)
    usual = [need.carbon_gco2e_per_kwh(region, 9, hour) or 0.0 for hour in range(24)]
    rows = [
        GridCarbon(region=region, month=9, hour_utc=hour, gco2e_per_kwh=1.25 * level, days=30)
        for hour, level in enumerate(usual)
    ]
    facts = applied(need, {"it": kept(store, "carbon", *rows)}, tmp_path / "dated")
    before = {r.region: r.carbon_kgco2e_per_kwh for r in need.facts.regions}
    for found in facts.regions:
        factor = 1.25 if found.region == region else 1.0
        expected = [factor * level for level in before[found.region]]
        assert found.carbon_kgco2e_per_kwh == pytest.approx(expected)


def test_measured_demand_replaces_the_rate_of_its_place(
    need: Need, store: Store, tmp_path: Path
) -> None:
    row = MeasuredDemand(workload="support-chat", origin="europe", slice="h06-12",
                         requests_per_s=9.25)  # fmt: skip
    facts = applied(need, {"it": kept(store, "demand", row)}, tmp_path / "dated")
    old = {(d.workload, d.origin, d.slice): d.requests_per_s for d in need.instance.demand}
    new = {(d.workload, d.origin, d.slice): d.requests_per_s for d in facts.instance.demand}
    assert new == {**old, ("support-chat", "europe", "h06-12"): 9.25}


def test_measured_lengths_stretch_every_class(need: Need, store: Store, tmp_path: Path) -> None:
    row = MeasuredLength(workload="support-chat", input_tokens=1_300.0, output_tokens=280.0)
    facts = applied(need, {"it": kept(store, "lengths", row)}, tmp_path / "dated")
    means = {row.workload: row for row in mean_lengths(facts.instance)}
    assert means["support-chat"].input_tokens == pytest.approx(1_300.0)
    assert means["support-chat"].output_tokens == pytest.approx(280.0)
    short, long = [c for c in facts.instance.length_classes if c.workload == "support-chat"]
    assert long.input_tokens / short.input_tokens == pytest.approx(4.0)
    assert (
        means["code-completion"]
        == {r.workload: r for r in mean_lengths(need.instance)}["code-completion"]
    )


def test_quotas_are_replaced_or_added(need: Need, store: Store, tmp_path: Path) -> None:
    rows = (
        Quota(region="aws:us-east-1", accelerator="h100-sxm", accelerators=8.0),
        Quota(region="gcp:us-central1", accelerator="l4", market="spot", accelerators=0.0),
    )
    facts = applied(need, {"it": kept(store, "quotas", *rows)}, tmp_path / "dated")
    assert set(facts.instance.quotas) == set(rows)


def test_every_changed_table_names_its_feed_and_hash(
    need: Need, store: Store, tmp_path: Path
) -> None:
    record = kept(store, "prices", Price(**H100, ondemand_usd_per_h=50.0))
    folder = dated(need, {"azure": record}, tmp_path / "dated")
    first = (folder / "offers.csv").read_text().splitlines()[0]
    assert first.startswith("# feed azure: https://source.example, of 2026-11-24 12:00 UTC")
    assert record.meta.sha256 in first
    assert (folder / "demand.csv").read_bytes() == (
        Path(need.instance.folder) / "demand.csv"
    ).read_bytes()
    assert not (folder / "feeds.toml").exists()


def test_a_last_good_table_says_so_in_the_plan_folder(
    need: Need, store: Store, tmp_path: Path
) -> None:
    record = kept(store, "prices", Price(**H100, ondemand_usd_per_h=50.0))
    choice = Choice("azure", "prices", "last-good", record, "the fetch of noon failed: status 500")
    folder = dated_instance(need, [choice], tmp_path / "dated")
    second = (folder / "offers.csv").read_text().splitlines()[1]
    assert second == "# feed azure, last good table: the fetch of noon failed: status 500"
    planner.load(folder)


def test_a_policy_that_says_stop_writes_nothing(need: Need, tmp_path: Path) -> None:
    choice = Choice("azure", "prices", "stop", None, "stale")
    with pytest.raises(FeedError, match="azure: stale"):
        dated_instance(need, [choice], tmp_path / "dated")
    assert not (tmp_path / "dated").exists()


def test_two_feeds_may_not_say_the_same_figure(need: Need, store: Store, tmp_path: Path) -> None:
    one = kept(store, "prices", Price(**H100, ondemand_usd_per_h=50.0), name="one")
    two = kept(store, "prices", Price(**H100, ondemand_usd_per_h=51.0), name="two")
    with pytest.raises(FeedError, match=r"one and two both say aws:us-east-1/aws_p5\.48xlarge"):
        dated(need, {"one": one, "two": two}, tmp_path / "dated")
    spot = kept(store, "prices", Price(**H100, spot_usd_per_h=20.0), name="two")
    facts = applied(need, {"one": one, "two": spot}, tmp_path / "dated")
    machine = next(m for m in facts.machines if m.offer == H100["offer"])
    assert (machine.ondemand_usd_per_h, machine.spot_usd_per_h) == (50.0, 20.0)


def test_an_instance_that_would_be_invalid_is_not_written(
    need: Need, store: Store, tmp_path: Path
) -> None:
    record = kept(store, "prices", Price(**H100, ondemand_usd_per_h=50_000.0))
    with pytest.raises(FeedError, match=r"the instance is invalid: .*implausible"):
        dated(need, {"it": record}, tmp_path / "dated")
    assert not (tmp_path / "dated").exists()
    assert not list(tmp_path.glob(".dated-*"))


def test_what_the_instance_gave_up_is_left_out(store: Store, tmp_path: Path) -> None:
    record = kept(
        store,
        "prices",
        Price(**H100, ondemand_usd_per_h=50.0),
        Price(region="nebius:eu-north1", offer="nebius_gone", ondemand_usd_per_h=3.0),
    )
    folder = write_buyer(tmp_path / "buyer")
    facts = applied(need_of(folder), {"it": record}, tmp_path / "dated")
    assert [offer.offer for offer in facts.instance.offers] == ["aws_p5.48xlarge"]


def test_an_existing_folder_is_left_alone(need: Need, store: Store, tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="exists: name a folder that does not"):
        dated(need, {}, tmp_path)


def test_a_changed_table_of_the_store_stops_it(need: Need, store: Store, tmp_path: Path) -> None:
    record = kept(store, "prices", Price(**H100, ondemand_usd_per_h=50.0))
    table = record.folder / "table.csv"
    table.write_text(table.read_text().replace("50.0", "5.0"))
    with pytest.raises(FeedError, match="was changed"):
        dated(need, {"it": record}, tmp_path / "dated")


def test_a_plan_of_the_dated_instance_verifies_from_its_run_folder(
    store: Store, tmp_path: Path
) -> None:
    """Cheaper cards make a cheaper plan, and the run folder alone proves it."""
    from planner.api import Request, answer, verify
    from planner.runs import write_run

    need = need_of(ROOT / "instances" / "tiny")
    halved = [
        Price(region=m.region, offer=m.offer, ondemand_usd_per_h=0.5 * m.ondemand_usd_per_h)
        for m in need.facts.machines
        if m.ondemand_usd_per_h is not None
    ]
    folder = dated(need, {"it": kept(store, "prices", *halved)}, tmp_path / "dated")
    request = Request(gap=0.01, time_limit_s=20.0)
    before, after = answer(need.facts, request), answer(planner.load(folder), request)
    assert after.plan.objectives.cost_usd < before.plan.objectives.cost_usd
    run = write_run(tmp_path / "run", after)
    assert "sha256" in (run / "instance" / "offers.csv").read_text()
    assert verify(run).ok


def test_the_incumbent_comes_along_wherever_it_lies(store: Store, tmp_path: Path) -> None:
    from planner.api import Request, answer
    from planner.runs import write_run

    run = write_run(
        tmp_path / "run",
        answer(planner.load(ROOT / "instances" / "tiny"), Request(gap=0.05, time_limit_s=10.0)),
    )
    folder = tmp_path / "mine"
    shutil.copytree(ROOT / "instances" / "tiny", folder)
    settings = (folder / "instance.toml").read_text()
    (folder / "instance.toml").write_text(f'incumbent = "../{run.name}"\n' + settings)
    need = need_of(folder)
    machine = next(m for m in need.facts.machines if m.ondemand_usd_per_h)
    row = Price(region=machine.region, offer=machine.offer, ondemand_usd_per_h=3.0)
    made = dated(need, {"it": kept(store, "prices", row)}, tmp_path / "far" / "dated")
    assert planner.load(made).instance.settings.incumbent == "incumbent/plan.json"
    assert (made / "incumbent" / "plan.json").read_bytes() == (run / "plan.json").read_bytes()
