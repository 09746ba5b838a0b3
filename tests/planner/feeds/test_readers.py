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
from planner.feeds.need import Need, need_of
from planner.feeds.readers import READERS
from planner.feeds.readers.aws_spot import time_mean
from planner.feeds.readers.genai_prices import Model, Tiered, TokenPrices, in_force
from planner.feeds.tables import Reading, figures
from tests.planner.feeds import measure_replays, price_replays
from tests.planner.feeds.conftest import QUICK, write_buyer
from tests.planner.feeds.replay import AT, HOUR, Replay
from tests.planner.feeds.source_server import Asked, Reply, Source
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
    (note,) = [note for note in notes if "commit-1y, no price of SSD backed" in note]
    assert "gcp:europe-west4/gcp_a" in note
    missing = {**json.loads(measure_replays.genai().documents["data"])[0], "models": []}
    spoilt = measure_replays.genai().with_documents(data=json.dumps([missing]).encode())
    notes = read(spoilt, need, source).notes
    assert notes[0].startswith("not priced by the source, so as before: anthropic/claude-haiku-4-5")


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


def test_a_part_of_a_google_machine_ten_times_off_is_left_out(need: Need, source: Source) -> None:
    """The sum would move by less than a plausible move: every part has limits of its own."""
    page = json.loads(price_replays.gcp().documents["1"])
    (memory,) = [sku for sku in page["skus"]
                 if sku["description"] == "A3 Instance Ram running in Americas"]  # fmt: skip
    money = memory["pricingInfo"][0]["pricingExpression"]["tieredRates"][0]["unitPrice"]
    money["nanos"] *= 10
    spoilt = price_replays.gcp().with_documents(**{"1": json.dumps(page).encode()})
    reading = read(spoilt, need, source)
    assert "is outside 0.0004 to 0.02" in reading.notes[0]
    assert "gcp:us-central1/gcp_a3-highgpu-8g ondemand_usd_per_h" not in figures(
        "prices", reading.rows
    )


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
def test_an_azure_meter_that_is_not_as_published_is_left_out_and_named(
    changed: dict[str, Any], words: str, need: Need, source: Source
) -> None:
    """One bad meter does not cost the list; its machine keeps the price it had."""
    meters = [
        price_replays.azure_meter("Standard_ND96isr_H100_v5", 98.0, **changed),
        price_replays.azure_meter("Standard_ND96is_H100_v5", 90.0),
    ]
    page = {"BillingCurrency": "USD", "Items": meters, "NextPageLink": None, "Count": 2}
    spoilt = price_replays.azure().with_documents(**{"0": json.dumps(page).encode()})
    reading = read(spoilt, need, source)
    assert figures("prices", reading.rows) == {
        "azure:eastus2/azure_Standard_ND96is_H100_v5 ondemand_usd_per_h": 90.0
    }
    assert reading.notes[0].startswith("left out: ")
    assert words in reading.notes[0]


def test_of_two_prices_of_one_machine_neither_is_believed(need: Need, source: Source) -> None:
    meters = [price_replays.azure_meter("Standard_ND96isr_H100_v5", usd) for usd in (98.0, 99.0)]
    page = {"BillingCurrency": "USD", "Items": meters, "NextPageLink": None, "Count": 2}
    spoilt = price_replays.azure().with_documents(**{"0": json.dumps(page).encode()})
    reading = read(spoilt, need, source)
    assert reading.rows == ()
    assert "two on-demand prices, 98 and 99 USD/h" in reading.notes[0]


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
    reading = serve([*rows, other])
    assert reading.rows == ()
    assert "two on-demand prices" in reading.notes[0]


@pytest.mark.parametrize(
    ("text", "usd_per_h"),
    [("3.0500000000000003", 3.0500000000000003), ("3.05e+00", 3.05), ("305E-2", 3.05),
     ("3.", 3.0), (str(0.1 + 0.2), 0.30000000000000004)],
)  # fmt: skip
def test_a_price_is_read_as_programs_write_it(
    need: Need, source: Source, text: str, usd_per_h: float
) -> None:
    one = "gpu-h100-sxm_1gpu-16vcpu-200gb"
    row = price_replays.gpuhunt_row(one, "eu-north1", text, 1, False)
    body = f"{price_replays.GPUHUNT_HEADER}\n{row}\n".encode()
    reading = read(price_replays.gpuhunt().with_documents(**{"nebius.csv": body}), need, source)
    name = f"nebius:eu-north1/nebius_{one} ondemand_usd_per_h"
    assert figures("prices", reading.rows) == {name: usd_per_h}


@pytest.mark.parametrize("text", ["$3.05", "3,05", "nan", "inf", "1e999", "-3.05", "", "0"])
def test_a_bad_cell_is_named_with_file_and_line_and_costs_no_other(
    need: Need, source: Source, text: str
) -> None:
    published = price_replays.gpuhunt().documents["nebius.csv"]
    body = published.replace(b",3.05,", b',"' + text.encode() + b'",')
    reading = read(price_replays.gpuhunt().with_documents(**{"nebius.csv": body}), need, source)
    lost = "nebius:eu-north1/nebius_gpu-h100-sxm_1gpu-16vcpu-200gb"
    truth = {k: v for k, v in price_replays.gpuhunt().truth.items()
             if k != f"{lost} ondemand_usd_per_h"}  # fmt: skip
    assert figures("prices", reading.rows) == truth
    left, kept = reading.notes
    assert left.startswith("left out: ")
    assert lost in left
    assert text == "0" or f"nebius.csv:2 price {text!r}" in left
    assert kept == f"not priced by the source, so as before: {lost} ondemand_usd_per_h 2.95"


def test_prices_that_a_source_does_not_have_stay_and_are_named(need: Need, source: Source) -> None:
    notes = read(price_replays.azure(), need, source, markets=["on-demand"]).notes
    assert notes == ()
    notes = read(price_replays.aws_prices(), need, source).notes
    assert notes == ()  # spot is not AWS's list to say
    one = {"0": _azure_only("Standard_ND96isr_H100_v5")}
    (unpriced,) = [n for n in read(price_replays.azure().with_documents(**one), need, source).notes
                   if n.startswith("not priced by the source: ")]  # fmt: skip
    assert "azure:eastus2/azure_Standard_ND96is_H100_v5" in unpriced
    assert "and 2 more" in unpriced


def _azure_only(name: str) -> bytes:
    items = [price_replays.azure_meter(name, price_replays.AZURE_USD_PER_H[name])]
    page = {"BillingCurrency": "USD", "Items": items, "NextPageLink": None, "Count": 1}
    return json.dumps(page).encode()


def test_a_reserved_term_that_cannot_be_read_costs_no_other(need: Need, source: Source) -> None:
    replay = price_replays.aws_prices()
    name = "p5.48xlarge/1"
    spoilt = replay.documents[name].replace(b"35.7760000000", b"35,78")
    reading = read(replay.with_documents(**{name: spoilt}), need, source)
    lost = "aws:us-east-1/aws_p5.48xlarge commit_1y_usd_per_h"
    truth = {k: v for k, v in replay.truth.items() if k != lost}
    assert figures("prices", reading.rows) == pytest.approx(truth)
    assert "aws:us-east-1/aws_p5.48xlarge commit-1y: '35,78' is not an amount" in reading.notes[0]


def test_a_spot_price_far_from_the_others_is_doubted(need: Need, source: Source) -> None:
    replay = price_replays.aws_spot()
    spoilt = replay.documents["us-east-1/1"].replace(
        b"<spotPrice>0.241440</spotPrice>", b"<spotPrice>24.1440</spotPrice>", 1
    )
    assert spoilt != replay.documents["us-east-1/1"]
    documents = {"us-east-1/1": spoilt}
    reading = read(replay.with_documents(**documents), need, source)
    (doubt,) = reading.doubts
    assert doubt.about == ("aws:us-east-1/aws_g6.xlarge",)
    assert "24.144 USD/h in us-east-1a at 2026-11-17 07:30 UTC, where the median is" in doubt.text
    assert "outlier_factor 10" in doubt.text
    taken = read(replay.with_documents(**documents), need, source, outlier_factor=200.0)
    assert not taken.doubts


def test_a_machine_with_little_spot_history_is_named_with_the_key(
    need: Need, source: Source
) -> None:
    notes = read(price_replays.aws_spot(), need, source, window_h=400.0).notes
    assert "covers of the 400 h only in us-east-1a 43%" in notes[1]
    assert "least_window_share 0.9" in notes[1]


def test_an_own_offer_without_a_name_at_the_provider_is_named(
    tmp_path: Path, source: Source
) -> None:
    folder = write_buyer(tmp_path / "buyer")
    (folder / "offers.csv").write_text(
        "region,offer,accelerator,accelerators,ondemand_usd_per_h\n"
        "azure:eastus2,agreed,h100-sxm,8,60\n"
    )
    notes = read(price_replays.azure(), need_of(folder), source).notes
    assert notes[-1] == (
        "not asked for, say its name at the provider in instance_types: azure:eastus2/agreed"
    )


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


def hosted(need: Need, source: Source, prices: Any, **settings: Any) -> Reading:
    providers = [{"id": "anthropic", "models": [
        {"id": "claude-haiku-4-5", "prices": prices},
        {"id": "claude-2", "prices": {"input_mtok": 8, "output_mtok": 24}},
    ]}]  # fmt: skip
    replay = measure_replays.genai().with_documents(data=json.dumps(providers).encode())
    return read(replay, need, source, **settings)


@pytest.mark.parametrize(
    ("prices", "why"),
    [
        ({"input_mtok": 1.0}, "no price of its prompt or of its answer"),
        ({"input_mtok": -1.0, "output_mtok": 5.0}, "a price below 0"),
        ({"input_mtok": "1,0", "output_mtok": 5.0}, "not in the published format: input_mtok"),
        ([{"constraint": {"weekday": "monday"}, "prices": {}}], "not in the published format"),
        ([], "an empty list of prices"),
    ],
)
def test_an_llm_that_cannot_be_priced_is_named_and_costs_no_other(
    need: Need, source: Source, prices: Any, why: str
) -> None:
    reading = hosted(need, source, prices)
    assert reading.rows == ()
    place = "not priced by the source, so as before: anthropic/claude-haiku-4-5"
    assert reading.notes[0].startswith(place)
    assert why in reading.notes[0]


def test_an_llm_that_the_list_lacks_is_named_with_its_near_match(
    need: Need, source: Source
) -> None:
    names = {"anthropic/claude-haiku-4-5": "anthropic/Claude-Haiku-4.5"}
    good = {"input_mtok": 1, "output_mtok": 5}
    (note,) = hosted(need, source, good, names=names).notes
    assert "no anthropic/Claude-Haiku-4.5; did you mean anthropic/claude-haiku-4-5" in note


# ------------------------------------------------------------------ carbon


def grid(need: Need, source: Source, values: Any, **settings: Any) -> Reading:
    """12 days of every zone: `values` gives an hour's (value or None, estimated or not)."""
    end = AT.replace(minute=0)

    def answer(asked: Asked) -> Reply:
        start, until = (dt.datetime.fromisoformat(asked.query[key]) for key in ("start", "end"))
        hours = []
        while start < until:
            value, estimated = values(asked.query["zone"], start)
            hours.append({"zone": asked.query["zone"], "carbonIntensity": value,
                          "datetime": start.isoformat(), "emissionFactorType": "lifecycle",
                          "isEstimated": estimated})  # fmt: skip
            start += HOUR
        return Reply(json.dumps({"zone": asked.query["zone"], "data": hours}).encode())

    source.answer = answer
    data = {"reader": "electricity-maps", "url": source.url, "window_days": 12, **settings}
    feed = READERS["electricity-maps"].model_validate_json(json.dumps(data), strict=True)
    with Http(QUICK) as http:
        return feed.read(need, http, end)


def test_a_zone_of_which_all_is_estimated_is_doubted(need: Need, source: Source) -> None:
    def values(zone: str, when: dt.datetime) -> tuple[float, bool]:
        return 200.0, zone == "FI"

    (doubt,) = grid(need, source, values).doubts
    assert doubt.about == ("nebius:eu-north1",)
    assert "100% of the values are estimated" in doubt.text
    assert "most_estimated_share 0.95" in doubt.text
    taken = grid(need, source, values, most_estimated_share=1.0)
    assert not taken.doubts
    assert "zone FI (nebius:eu-north1): 100% of the values are estimated" in taken.notes[0]


def test_missing_hours_of_a_zone_are_a_note_or_with_many_a_doubt(
    need: Need, source: Source
) -> None:
    def values(zone: str, when: dt.datetime) -> tuple[float | None, bool]:
        lost = (zone == "FI" and when.hour < 6) or (zone == "NL" and when.day == 20)
        return None if lost else 200.0, False

    reading = grid(need, source, values)
    assert reading.notes == (
        "zone NL (gcp:europe-west4): 264 of 288 hours have a value, the others are not in the "
        "means",
    )
    (doubt,) = reading.doubts
    assert "zone FI (nebius:eu-north1): 216 of 288 hours" in doubt.text
    assert "least_hours_share 0.9" in doubt.text


def test_a_zone_without_any_value_costs_no_other(need: Need, source: Source) -> None:
    reading = grid(need, source, lambda zone, when: (None if zone == "FI" else 200.0, False))
    assert "nebius:eu-north1" not in {row.region for row in reading.rows}  # type: ignore[attr-defined]
    assert "0 of 288 hours have a value (least_hours_share 0.9), left out" in reading.doubts[0].text


def test_a_single_hour_of_zero_is_doubted_with_its_time_and_key(need: Need, source: Source) -> None:
    """A grid of 5 g/kWh that is real is not."""
    gap = dt.datetime(2026, 11, 20, 4, tzinfo=dt.UTC)

    def values(zone: str, when: dt.datetime) -> tuple[float, bool]:
        return (0.0 if (zone, when) == ("DE", gap) else 5.0), False

    (doubt,) = grid(need, source, values).doubts
    assert doubt.about == ("aws:eu-central-1",)
    assert "0 at 2026-11-20 04:00 UTC, where the median is 5 gCO2e/kWh" in doubt.text
    assert "outlier_factor 50" in doubt.text


def test_zeros_that_fill_gaps_are_doubted_however_many(need: Need, source: Source) -> None:
    def values(zone: str, when: dt.datetime) -> tuple[float, bool]:
        return (0.0 if zone == "DE" and when.hour % 3 else 300.0), False

    (doubt,) = grid(need, source, values).doubts
    assert "and 187 more, where the median is 300 gCO2e/kWh" in doubt.text


def test_regions_without_a_zone_are_named(tmp_path: Path, source: Source) -> None:
    folder = write_buyer(tmp_path / "buyer")
    regions = folder / "regions.csv"
    regions.write_text(
        "region,kind,lat,lon,residency,carbon_gco2e_per_kwh,pue,site_wue_l_per_kwh\n"
        "aws:us-east-1,,,,,,,\nown:here,edge,50.1,8.7,eu,300,1.3,0.1\n"
    )
    (folder / "offers.csv").write_text(
        "region,offer,accelerator,accelerators,ondemand_usd_per_h\nown:here,box,l4,1,1\n"
    )
    need = need_of(folder)
    notes = grid(need, source, lambda zone, when: (200.0, False)).notes
    assert notes == ("no zone is known, so as before (say zones): own:here",)
    assert not grid(need, source, lambda zone, when: (200.0, False), ignore=["own:here"]).notes


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
    notes = read(measure_replays.electricity_maps(), need, source).notes
    assert "zone DE (aws:eu-central-1): 4% of the values are estimated by the source" in notes


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
    assert "not measured, so as before: code-completion" in reading.notes[0]


def test_a_partial_answer_of_prometheus_is_refused(need: Need, source: Source) -> None:
    replay = replay_of("prometheus_demand", need)
    value = {**json.loads(replay.documents["data"]), "warnings": ["one replica did not answer"]}
    spoilt = replay.with_documents(data=json.dumps(value).encode())
    assert "partial answer" in refusal(spoilt, need, source)
    error = {"status": "error", "errorType": "bad_data", "error": "parse error"}
    spoilt = replay.with_documents(data=json.dumps(error).encode())
    assert "parse error" in refusal(spoilt, need, source)


def test_slices_that_share_hours_need_their_weekdays(need: Need, source: Source) -> None:
    words = refusal(replay_of("prometheus_demand", need), need, source, weekend_slices=["nights"])
    assert "nights not in slices.csv" in words


def lengths(need: Need, source: Source, **series: dict[str, str]) -> Reading:
    """`series`: end of the metric's name -> value of the label -> increase."""

    def answer(asked: Asked) -> Reply:
        found = next(
            values for name, values in series.items() if f"{name}{{" in asked.query["query"]
        )
        result = [{"metric": {"model_name": label}, "value": [AT.timestamp(), text]}
                  for label, text in found.items()]  # fmt: skip
        data = {"resultType": "vector", "result": result}
        return Reply(json.dumps({"status": "success", "data": data}).encode())

    source.answer = answer
    mapped = {"old": "support-chat", "new": "support-chat"}
    data = {"reader": "prometheus-lengths", "url": source.url, "workloads": mapped}
    feed = READERS["prometheus-lengths"].model_validate_json(json.dumps(data), strict=True)
    with Http(QUICK) as http:
        return feed.read(need, http, AT)


def test_lengths_are_over_all_series_of_a_workload(need: Need, source: Source) -> None:
    """Weighted by requests: 2,000 of 1,000 tokens and 6,000 of 500."""
    reading = lengths(
        need, source,
        prompt_tokens_sum={"old": "2e6", "new": "3e6", "Code-Completion": "1e6"},
        prompt_tokens_count={"old": "2e3", "new": "6e3", "Code-Completion": "1e3"},
        generation_tokens_sum={"old": "4e5", "new": "4e5", "Code-Completion": "1e5"},
        generation_tokens_count={"old": "2e3", "new": "6e3", "Code-Completion": "1e3"},
    )  # fmt: skip
    assert figures("lengths", reading.rows) == {
        "support-chat input_tokens": 625.0, "support-chat output_tokens": 100.0
    }  # fmt: skip
    assert "'Code-Completion' (1000 requests; did you mean code-completion?)" in reading.notes[0]
    assert "not measured, so as before: code-completion" in reading.notes[-1]


def test_a_workload_with_few_requests_or_no_number_keeps_its_lengths_and_is_named(
    need: Need, source: Source
) -> None:
    few, good = {"old": "NaN", "code-completion": "900"}, {"old": "2e6", "code-completion": "2e6"}
    ours = {"document-questions": "5e3"}
    reading = lengths(
        need, source,
        prompt_tokens_sum={**good, "document-questions": "5e6"},
        prompt_tokens_count={**few, **ours},
        generation_tokens_sum={**good, "document-questions": "5e5"},
        generation_tokens_count={**few, **ours},
    )  # fmt: skip
    assert {row.workload for row in reading.rows} == {"document-questions"}  # type: ignore[attr-defined]
    told = "; ".join(reading.notes)
    assert "code-completion: 900 requests in vllm:request_prompt_tokens, left out" in told
    assert "least_requests 1000" in told
    assert "support-chat: vllm:request_prompt_tokens has no tokens, no requests, or NaN" in told


# ------------------------------------------------------------------ own tables


def test_what_an_own_table_does_not_speak_of_is_named(need: Need, source: Source) -> None:
    own = measure_replays.own_table()
    (note,) = read(own, need, source).notes
    assert "azure:eastus2, gcp:us-central1" in note
    assert not [n for n in read(own, need, source, ignore=[
        "aws:eu-central-1", "azure:eastus2", "gcp:us-central1", "gcp:europe-west4",
        "nebius:eu-north1",
    ]).notes if "aws:eu-central-1" in n]  # fmt: skip
    text = b"date,workload,origin,slice,requests_per_s\n2026-11-20,support-chat,europe,h00-06,4e0\n"
    replay = own.with_documents(data=text)
    (note,) = read(replay, need, source, kind="demand").notes
    assert note == (
        "not in the table, so as before: code-completion, document-questions, nightly-summaries, "
        "support-chat/us-east, support-chat/apac and 3 more"
    )
    assert "code-completion" in read(replay, need, source, kind="demand",
                                     ignore=["support-chat"]).notes[0]  # fmt: skip


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


def test_an_own_table_of_a_month_speaks_of_the_grid_of_the_year(need: Need, source: Source) -> None:
    text = "date,region,month,hour_utc,gco2e_per_kwh,days\n2026-11-20,aws:us-east-1,11,3,400,30\n"
    replay = measure_replays.own_table().with_documents(data=text.encode())
    (note,) = read(replay, need, source, kind="carbon").notes
    assert note.startswith("not in the table, so as before: aws:eu-central-1, azure:eastus2, gcp:")
    assert "aws:us-east-1" not in note


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
