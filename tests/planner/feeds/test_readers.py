"""What single readers do beyond the common contract."""

from __future__ import annotations

import datetime as dt
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from planner.errors import FeedError
from planner.feeds.http import Http
from planner.feeds.need import Need
from planner.feeds.readers import READERS
from planner.feeds.readers.aws_spot import time_mean
from planner.feeds.readers.genai_prices import Model, Tiered, TokenPrices, in_force
from planner.feeds.tables import Reading, figures
from tests.planner.feeds import measure_replays, price_replays
from tests.planner.feeds.conftest import QUICK
from tests.planner.feeds.replay import AT, HOUR, Replay
from tests.planner.feeds.source_server import Source
from tests.planner.feeds.test_contracts import credentials, replay_of

__all__ = ["credentials"]


def read(replay: Replay, need: Need, source: Source, **settings: Any) -> Reading:
    replay.start(source)
    with Http(QUICK) as http:
        return replay.feed(source.url, **settings).read(need, http, AT)


def refusal(replay: Replay, need: Need, source: Source, **settings: Any) -> str:
    with pytest.raises(FeedError) as caught:
        read(replay, need, source, **settings)
    return str(caught.value)


# ------------------------------------------------------------------ machine prices


def test_a_feed_takes_the_markets_it_is_told(need: Need, source: Source) -> None:
    reading = read(price_replays.azure(), need, source, markets=["spot"])
    assert {name.split()[1] for name in figures("prices", reading.rows)} == {"spot_usd_per_h"}


def test_offers_that_the_source_cannot_price_are_named(need: Need, source: Source) -> None:
    notes = read(price_replays.gcp(), need, source).notes
    assert "commit-1y, no price of SSD backed Local Storage" in notes[0]
    assert "gcp:europe-west4/gcp_a3-highgpu-8g" in notes[0]
    missing = {**json.loads(measure_replays.genai().documents["data"])[0], "models": []}
    spoilt = measure_replays.genai().with_documents(data=json.dumps([missing]).encode())
    notes = read(spoilt, need, source).notes
    assert notes == ("not priced by the source: anthropic/claude-haiku-4-5",)


def test_ignored_offers_are_not_asked_for(need: Need, source: Source) -> None:
    name = "azure:eastus2/azure_Standard_ND96isr_H100_v5"
    reading = read(
        price_replays.azure().with_documents(**{"0": _azure_without("Standard_ND96isr_H100_v5")}),
        need, source, ignore=[name],
    )  # fmt: skip
    assert name not in " ".join(figures("prices", reading.rows))
    assert "ND96isr_H100_v5'" not in source.asked[0].query["$filter"]


def _azure_without(name: str) -> bytes:
    prices = price_replays.AZURE_USD_PER_H
    items = [price_replays.azure_meter(n, usd) for n, usd in prices.items() if n != name]
    page = {"BillingCurrency": "USD", "Items": items, "NextPageLink": None, "Count": len(items)}
    return json.dumps(page).encode()


def test_a_part_of_a_google_machine_ten_times_off_is_refused(need: Need, source: Source) -> None:
    """The sum would move by less than a plausible move: every part has limits of its own."""
    page = json.loads(price_replays.gcp().documents["1"])
    (memory,) = [sku for sku in page["skus"]
                 if sku["description"] == "A3 Instance Ram running in Americas"]  # fmt: skip
    money = memory["pricingInfo"][0]["pricingExpression"]["tieredRates"][0]["unitPrice"]
    money["nanos"] *= 10
    spoilt = price_replays.gcp().with_documents(**{"1": json.dumps(page).encode()})
    assert "is outside 0.0004 to 0.02" in refusal(spoilt, need, source)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"currencyCode": "EUR"}, "a price in EUR, not USD"),
        ({"unitOfMeasure": "1/Month"}, "a price per '1/Month'"),
        ({"tierMinimumUnits": 100.0}, "above 100 units"),
        ({"unitPrice": 90.0}, "differs from unitPrice"),
        ({"skuName": "ND96isr H100 v5 Spot"}, "spot by one of its names"),
        ({"retailPrice": -5.0, "unitPrice": -5.0}, "is not a price"),
        ({"effectiveStartDate": "soon"}, "not a date and time"),
    ],
)
def test_an_azure_meter_that_is_not_as_published_is_refused(
    changed: dict[str, Any], words: str, need: Need, source: Source
) -> None:
    meter = price_replays.azure_meter("Standard_ND96isr_H100_v5", 98.0, **changed)
    page = {"BillingCurrency": "USD", "Items": [meter], "NextPageLink": None, "Count": 1}
    spoilt = price_replays.azure().with_documents(**{"0": json.dumps(page).encode()})
    assert words in refusal(spoilt, need, source)


def test_two_prices_of_one_machine_are_refused(need: Need, source: Source) -> None:
    meters = [price_replays.azure_meter("Standard_ND96isr_H100_v5", usd) for usd in (98.0, 99.0)]
    page = {"BillingCurrency": "USD", "Items": meters, "NextPageLink": None, "Count": 2}
    spoilt = price_replays.azure().with_documents(**{"0": json.dumps(page).encode()})
    assert "two on-demand prices, 98 and 99 USD/h" in refusal(spoilt, need, source)


def test_an_azure_page_of_another_region_is_refused(need: Need, source: Source) -> None:
    meter = price_replays.azure_meter("Standard_ND96isr_H100_v5", 98.0, armRegionName="westus")
    page = {"BillingCurrency": "USD", "Items": [meter], "NextPageLink": None, "Count": 1}
    spoilt = price_replays.azure().with_documents(**{"0": json.dumps(page).encode()})
    assert "asked for eastus2" in refusal(spoilt, need, source)


def test_an_azure_listing_does_not_lead_to_another_host(need: Need, source: Source) -> None:
    page = {"BillingCurrency": "USD", "Items": [], "Count": 0,
            "NextPageLink": "https://prices.example.org/?$skip=1"}  # fmt: skip
    spoilt = price_replays.azure().with_documents(**{"0": json.dumps(page).encode()})
    assert "another host" in refusal(spoilt, need, source)


def test_an_upfront_fee_is_spread_over_the_term(need: Need, source: Source) -> None:
    reading = read(price_replays.aws_prices(), need, source, purchase_option="All Upfront")
    found = figures("prices", reading.rows)
    usd = price_replays.AWS_USD_PER_H["us-east-1"]["p5.48xlarge"]
    name = "aws:us-east-1/aws_p5.48xlarge commit_1y_usd_per_h"
    assert found[name] == pytest.approx(0.6 * usd)


@pytest.mark.parametrize(("zones", "factor"), [("cheapest", 0.3), ("dearest", 0.5), ("mean", 0.4)])
def test_spot_zones_count_as_chosen(zones: str, factor: float, need: Need, source: Source) -> None:
    found = figures("prices", read(price_replays.aws_spot(), need, source, zones=zones).rows)
    usd = price_replays.AWS_USD_PER_H["us-east-1"]["p5.48xlarge"]
    name = "aws:us-east-1/aws_p5.48xlarge spot_usd_per_h"
    assert found[name] == pytest.approx(1.1 * factor * usd, rel=1e-6)


def test_a_spot_price_holds_until_the_next_one() -> None:
    changes = {AT - 10 * HOUR: 9.0, AT - 6 * HOUR: 1.0, AT - 2 * HOUR: 4.0}
    assert time_mean(changes, AT - 8 * HOUR, AT) == pytest.approx(
        ((2 * 9.0 + 4 * 1.0 + 2 * 4.0) / 8.0, 1.0)
    )
    assert time_mean({AT - 2 * HOUR: 4.0}, AT - 8 * HOUR, AT) == pytest.approx((4.0, 0.25))


def test_gpuhunt_zones_of_a_region_must_agree(need: Need, source: Source) -> None:
    calendar = '"{""is_dws_calendar_mode"": true}"'
    rows = [
        price_replays.GPUHUNT_HEADER,
        price_replays.gpuhunt_row("a3-highgpu-8g", "us-central1-a", "88.5", 8, False),
        price_replays.gpuhunt_row("a3-highgpu-8g", "us-central1-b", "88.5", 8, False),
        price_replays.gpuhunt_row("a3-highgpu-8g", "us-central1-a", "60.0", 8, False, calendar),
    ]
    replay = replace(price_replays.gpuhunt(), wrap=_zipped_as("gcp.csv"))

    def serve(lines: list[str]) -> Reading:
        body = ("\n".join(lines) + "\n").encode()
        return read(replay.with_documents(**{"nebius.csv": body}), need, source, provider="gcp")

    found = figures("prices", serve(rows).rows)
    assert found == {"gcp:us-central1/gcp_a3-highgpu-8g ondemand_usd_per_h": 88.5}
    other = price_replays.gpuhunt_row("a3-highgpu-8g", "us-central1-c", "99.0", 8, False)
    with pytest.raises(FeedError, match="two on-demand prices"):
        serve([*rows, other])


def _zipped_as(member: str) -> Any:
    def wrap(name: str, body: bytes) -> bytes:
        if name == "version":
            return body
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(member, body)
        return file.getvalue()

    return wrap


# ------------------------------------------------------------------ hosted llms


@pytest.mark.parametrize("day", ["2024-01-01", "2026-03-12", "2026-03-13", "2026-11-24"])
def test_hosted_prices_are_those_of_the_package_that_publishes_them(day: str) -> None:
    """On every llm of genai-prices' own data, at dates around its changes of price."""
    from genai_prices.data import providers
    from genai_prices.types import TieredPrices

    at = dt.datetime.fromisoformat(f"{day}T12:00:00+00:00")
    compared = 0
    for provider in providers:
        for model in provider.models:
            ours = in_force(Model(id=model.id, prices=_published(model.prices)), at)
            if isinstance(ours, str):
                assert "time of day" in ours
                continue
            theirs = model.get_prices(at)
            for name in TokenPrices.model_fields:
                price, expected = getattr(ours, name), getattr(theirs, name)
                base = price.base if isinstance(price, Tiered) else price
                if isinstance(expected, TieredPrices):
                    expected = expected.base
                assert base == (None if expected is None else float(expected))
                compared += 1
    assert compared > 3_000


def _published(prices: Any) -> Any:
    """The package's prices as its JSON file states them."""
    if isinstance(prices, list):
        parts = []
        for part in prices:
            names = ("start_date", "start_time", "end_time")
            said = {n: str(getattr(part.constraint, n)) for n in names
                    if getattr(part.constraint, n, None) is not None}  # fmt: skip
            parts.append({"constraint": said or None, "prices": _published(part.prices)})
        return parts
    found = {}
    for name in TokenPrices.model_fields:
        price = getattr(prices, name)
        if price is not None:
            tiers = getattr(price, "tiers", None)
            found[name] = float(price) if tiers is None else {
                "base": float(price.base),
                "tiers": [{"start": t.start, "price": float(t.price)} for t in tiers],
            }  # fmt: skip
    return found


def test_a_price_by_the_hour_is_no_one_price() -> None:
    off_peak = {"constraint": {"start_time": "16:30:00Z", "end_time": "00:30:00Z"},
                "prices": {"input_mtok": 0.1, "output_mtok": 0.2}}  # fmt: skip
    usual = {"prices": {"input_mtok": 0.2, "output_mtok": 0.4}}
    assert "time of day" in str(in_force(Model(id="x", prices=[usual, off_peak]), AT))


# ------------------------------------------------------------------ carbon


def test_the_free_endpoint_gives_one_day(need: Need, source: Source) -> None:
    documents = {}
    for zone in measure_replays.USUAL_GCO2E_PER_KWH:
        hours = [{"zone": zone, "carbonIntensity": 100, "isEstimated": False,
                  "datetime": f"2026-11-23T{hour:02}:00:00.000Z", "emissionFactorType": "lifecycle"}
                 for hour in range(24)]  # fmt: skip
        documents[zone] = json.dumps({"zone": zone, "history": hours}).encode()
    free = Replay("electricity-maps", documents, lambda asked: asked.query["zone"], {}, {})
    reading = read(free, need, source, endpoint="history")
    assert {row.gco2e_per_kwh for row in reading.rows} == {100.0}  # type: ignore[attr-defined]
    assert reading.observed_at == dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
    assert all(asked.path.endswith("/history") for asked in source.asked)


def test_an_answer_for_the_callers_own_place_is_refused(need: Need, source: Source) -> None:
    replay = measure_replays.electricity_maps()
    name = next(name for name in replay.documents if name.startswith("DE/"))
    spoilt = replay.with_documents(**{name: replay.documents[name].replace(b'"DE"', b'"SE"')})
    assert "another place" in refusal(spoilt, need, source)


def test_estimated_hours_are_said(need: Need, source: Source) -> None:
    assert "partly estimated" in read(measure_replays.electricity_maps(), need, source).notes[0]


# ------------------------------------------------------------------ Prometheus


def test_origins_may_come_from_a_label(need: Need, source: Source) -> None:
    replay = replay_of("prometheus_demand", need)
    hours = [AT.replace(minute=0) - step * HOUR for step in reversed(range(14 * 24))]
    series = [
        {"metric": {"model_name": "support-chat", "geo": geo},
         "values": [[when.timestamp(), str(rate)] for when in hours]}
        for geo, rate in (("us", 7), ("eu", 5), ("ap", 3))
    ]  # fmt: skip
    body = {"status": "success", "data": {"resultType": "matrix", "result": series}}
    places = {"us": "us-east", "eu": "europe", "ap": "apac"}
    reading = read(replay.with_documents(data=json.dumps(body).encode()), need, source,
                   origin_label="geo", origins=places, workloads={})  # fmt: skip
    found = figures("demand", reading.rows)
    assert found["support-chat/europe/h06-12 requests_per_s"] == 5.0
    assert len(found) == 12
    assert "not measured: code-completion" in reading.notes[0]
    assert "is no origin" in refusal(replay.with_documents(data=json.dumps(body).encode()), need,
                                     source, origin_label="geo", workloads={})  # fmt: skip


def test_a_partial_answer_of_prometheus_is_refused(need: Need, source: Source) -> None:
    replay = replay_of("prometheus_demand", need)
    value = {**json.loads(replay.documents["data"]), "warnings": ["one replica did not answer"]}
    spoilt = replay.with_documents(data=json.dumps(value).encode())
    assert "partial answer" in refusal(spoilt, need, source)
    error = {"status": "error", "errorType": "bad_data", "error": "parse error"}
    spoilt = replay.with_documents(data=json.dumps(error).encode())
    assert "parse error" in refusal(spoilt, need, source)


def test_hours_that_were_not_measured_are_noticed(need: Need, source: Source) -> None:
    replay = replay_of("prometheus_demand", need)
    value = json.loads(replay.documents["data"])
    series = value["data"]["result"][0]["values"]
    value["data"]["result"][0]["values"] = [pair for pair in series if pair[0] % 86_400 != 18_000]
    spoilt = replay.with_documents(data=json.dumps(value).encode())
    assert "hours were measured" in refusal(spoilt, need, source)


def test_slices_that_share_hours_need_their_weekdays(need: Need, source: Source) -> None:
    words = refusal(replay_of("prometheus_demand", need), need, source, weekend_slices=["nights"])
    assert "nights not in slices.csv" in words


# ------------------------------------------------------------------ own tables


def test_own_tables_are_dated(need: Need, tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_bytes(measure_replays.own_table().documents["data"])
    feed = READERS["tables"].model_validate(
        {"reader": "tables", "kind": "prices", "path": ".", "folder": str(tmp_path)}
    )
    for day, price in (("2026-11-19", 60.0), ("2026-11-24", 58.5), ("2026-12-05", 50.0)):
        with Http(QUICK) as http:
            at = dt.datetime.fromisoformat(f"{day}T12:00:00+00:00")
            found = figures("prices", feed.read(need, http, at).rows)
        assert found["aws:us-east-1/aws_p5.48xlarge ondemand_usd_per_h"] == price
    with Http(QUICK) as http, pytest.raises(FeedError, match="no row dated on or before"):
        feed.read(need, http, AT.replace(year=2020))


def test_ignored_rows_of_own_tables_are_left_alone(need: Need, source: Source) -> None:
    own = measure_replays.own_table()
    found = figures("prices", read(own, need, source, ignore=["aws:us-east-1/aws_g6.xlarge"]).rows)
    assert {name.split()[0] for name in found} == {"aws:us-east-1/aws_p5.48xlarge"}
    assert read(own, need, source, ignore=["aws:us-east-1"]).rows == ()


def test_a_signed_address_of_a_table_is_not_kept(need: Need, source: Source) -> None:
    replay = measure_replays.own_table()
    replay.start(source)
    with Http(QUICK) as http:
        reading = replay.feed(f"{source.url}/prices.csv?sig=hush-hush").read(need, http, AT)
    assert "hush-hush" not in reading.source + reading.answers[0].url


def test_own_tables_may_be_parquet(need: Need, tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({
        "date": ["2026-11-20"], "region": ["aws:us-east-1"], "offer": ["aws_p5.48xlarge"],
        "ondemand_usd_per_month": [58.5 * 730], "spot_usd_per_h": [None],
    })  # fmt: skip
    frame.to_parquet(tmp_path / "agreed.parquet")
    feed = READERS["tables"].model_validate(
        {"reader": "tables", "kind": "prices", "path": "agreed.parquet", "folder": str(tmp_path)}
    )
    with Http(QUICK) as http:
        found = figures("prices", feed.read(need, http, AT).rows)
    name = "aws:us-east-1/aws_p5.48xlarge ondemand_usd_per_h"
    assert found == {name: pytest.approx(58.5)}
    (tmp_path / "agreed.parquet").write_bytes(b"PAR1 nonsense")
    with Http(QUICK) as http, pytest.raises(FeedError, match="not a readable Parquet file"):
        feed.read(need, http, AT)


def test_own_tables_name_line_column_and_remedy(need: Need, source: Source) -> None:
    table = b"date,region,offer,ondemand_eur_per_h\n2026-11-20,aws:us-east-1,aws_p5.48xlarge,50\n"
    words = refusal(measure_replays.own_table().with_documents(data=table), need, source)
    assert "eur/h cannot be turned into usd/h" in words
    table = b"date,region,offer,ondemand_usd_per_h\n2026-11-20,aws:us-east-1,aws_p5.48xlarge,$50\n"
    words = refusal(measure_replays.own_table().with_documents(data=table), need, source)
    assert "prices.csv:2" in words
    assert "a currency sign" in words
