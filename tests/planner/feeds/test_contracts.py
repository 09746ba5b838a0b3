"""Every reader against its source's published format, whole and in the ways that answers fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from planner.errors import FeedError
from planner.feeds.http import Http, HttpSettings
from planner.feeds.need import Need
from planner.feeds.refresh import fetch_one
from planner.feeds.store import Record, Store, answers_of
from planner.feeds.tables import Reading, figures
from tests.planner.feeds import measure_replays, price_replays
from tests.planner.feeds.conftest import QUICK
from tests.planner.feeds.replay import AT, Replay
from tests.planner.feeds.source_server import Asked, Reply, Source

REPLAYS: dict[str, Callable[[], Replay]] = {
    "azure": price_replays.azure,
    "aws_prices": price_replays.aws_prices,
    "aws_spot": price_replays.aws_spot,
    "gcp": price_replays.gcp,
    "gpuhunt": price_replays.gpuhunt,
    "genai": measure_replays.genai,
    "electricity_maps": measure_replays.electricity_maps,
    "prometheus_lengths": measure_replays.prometheus_lengths,
    "own_table": measure_replays.own_table,
}
NAMES = (*REPLAYS, "prometheus_demand")
SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLEEXAMPLE00",
    "AWS_SECRET_ACCESS_KEY": "hush-hush-aws",
    "AWS_SESSION_TOKEN": "hush-hush-session",
    "GOOGLE_CLOUD_API_KEY": "hush-hush-google",
    "ELECTRICITY_MAPS_TOKEN": "hush-hush-carbon",
    "PROMETHEUS_TOKEN": "hush-hush-prometheus",
}


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def replay_of(name: str, need: Need) -> Replay:
    if name != "prometheus_demand":
        return REPLAYS[name]()
    shares: dict[tuple[str, str | None], dict[str, float]] = {}
    for row in need.instance.demand:
        shares.setdefault((row.workload, row.slice), {})[row.origin] = row.requests_per_s
    return measure_replays.prometheus_demand(shares)


@pytest.fixture(params=NAMES)
def replay(request: pytest.FixtureRequest, need: Need) -> Replay:
    return replay_of(request.param, need)


def read(replay: Replay, need: Need, source: Source, settings: HttpSettings = QUICK) -> Reading:
    with Http(settings) as http:
        return replay.feed(source.url).read(need, http, AT)


# ------------------------------------------------------------------ whole


def test_the_table_is_what_the_source_published(replay: Replay, need: Need, source: Source) -> None:
    replay.start(source)
    reading = read(replay, need, source)
    found = figures(reading.kind, reading.rows)
    assert found.keys() == replay.truth.keys()
    assert found == pytest.approx(dict(replay.truth), rel=1e-12)
    assert reading.observed_at <= AT


def test_the_table_passes_every_check(
    replay: Replay, need: Need, source: Source, tmp_path: Path
) -> None:
    replay.start(source)
    record = stored(replay, need, source, tmp_path)
    assert (record.meta.status, record.meta.problems) == ("accepted", ())
    assert figures(record.meta.kind, record.table()) == pytest.approx(dict(replay.truth))


def test_every_document_is_asked_for_and_kept(
    replay: Replay, need: Need, source: Source, tmp_path: Path
) -> None:
    replay.start(source)
    kept = answers_of(stored(replay, need, source, tmp_path))
    assert len(kept) == len(source.asked)
    assert {replay.find(asked) for asked in source.asked} == set(replay.documents)


def test_no_credential_is_stored(
    replay: Replay, need: Need, source: Source, tmp_path: Path
) -> None:
    replay.start(source)
    record = stored(replay, need, source, tmp_path)
    kept = (record.folder / "meta.json").read_text() + (record.folder / "table.csv").read_text()
    for answer in answers_of(record):
        kept += answer.url
    assert not [name for name, secret in SECRETS.items() if secret in kept]


def stored(replay: Replay, need: Need, source: Source, folder: Path) -> Record:
    return fetch_one("it", replay.feed(source.url), need, Store(folder), QUICK, AT)


# ------------------------------------------------------------------ in trouble


def in_trouble(replay: Replay, source: Source, trouble: Callable[[int], Reply | None]) -> None:
    """Answer well, but let `trouble` spoil the answers by their number (from 1)."""
    replay.start(source)
    well = source.answer

    def answer(asked: Asked) -> Reply:
        return trouble(len(source.asked)) or well(asked)

    source.answer = answer


def throttled(replay: Replay) -> Reply:
    """How the source says that it is asked too often."""
    if replay.reader == "aws-prices":
        body = b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'
        return Reply(body, 400, "application/x-amz-json-1.1")
    if replay.reader == "aws-spot":
        error = b"<Error><Code>RequestLimitExceeded</Code></Error>"
        return Reply(b"<Response><Errors>" + error + b"</Errors></Response>", 503, "text/xml")
    return Reply(b"slow down", 429, "text/plain", {"retry-after": "0"})


def test_throttling_is_waited_out(replay: Replay, need: Need, source: Source) -> None:
    in_trouble(replay, source, lambda number: throttled(replay) if number == 1 else None)
    reading = read(replay, need, source)
    assert figures(reading.kind, reading.rows) == pytest.approx(dict(replay.truth))
    assert len(source.asked) == len(replay.documents) + 1


def test_a_source_that_throttles_for_ever_is_a_failed_feed(
    replay: Replay, need: Need, source: Source, tmp_path: Path
) -> None:
    in_trouble(replay, source, lambda number: throttled(replay))
    settings = QUICK.model_copy(update={"attempts": 2})
    record = fetch_one("it", replay.feed(source.url), need, Store(tmp_path), settings, AT)
    assert record.meta.status == "failed"
    assert "unexpected" not in record.meta.problems[0]


def test_a_source_that_is_late_is_a_failed_feed(
    replay: Replay, need: Need, source: Source, tmp_path: Path
) -> None:
    in_trouble(replay, source, lambda number: Reply(b"{}", delay_s=0.3))
    settings = QUICK.model_copy(update={"attempts": 1, "read_s": 0.1})
    record = fetch_one("it", replay.feed(source.url), need, Store(tmp_path), settings, AT)
    assert record.meta.status == "failed"
    assert "unexpected" not in record.meta.problems[0]


def test_a_lost_page_is_a_failed_feed(
    replay: Replay, need: Need, source: Source, tmp_path: Path
) -> None:
    last = list(replay.documents)[-1]
    replay.start(source, {n: body for n, body in replay.documents.items() if n != last})
    record = stored(replay, need, source, tmp_path)
    assert record.meta.status == "failed"
    assert "unexpected" not in record.meta.problems[0]


def test_an_oversized_answer_is_a_failed_feed(
    replay: Replay, need: Need, source: Source, tmp_path: Path
) -> None:
    replay.start(source)
    settings = QUICK.model_copy(update={"max_bytes": 20})
    record = fetch_one("it", replay.feed(source.url), need, Store(tmp_path), settings, AT)
    assert record.meta.status == "failed"
    assert "more than 20 bytes" in record.meta.problems[0]


# ------------------------------------------------------------------ without credentials


@pytest.mark.parametrize(
    ("name", "variables", "words"),
    [
        ("gcp", ["GOOGLE_CLOUD_API_KEY"], "GOOGLE_CLOUD_API_KEY is not set"),
        ("electricity_maps", ["ELECTRICITY_MAPS_TOKEN"], "ELECTRICITY_MAPS_TOKEN is not set"),
        ("aws_spot", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"],
         "no AWS credentials in the environment"),
    ],
)  # fmt: skip
def test_a_missing_credential_is_said_before_anything_is_asked(
    name: str,
    variables: list[str],
    words: str,
    need: Need,
    source: Source,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in variables:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(FeedError, match=words):
        read(replay_of(name, need), need, source)
    assert source.asked == []


def test_credentials_travel_in_headers_only(need: Need, source: Source) -> None:
    for name, header, value in (
        ("gcp", "x-goog-api-key", "hush-hush-google"),
        ("electricity_maps", "auth-token", "hush-hush-carbon"),
        ("prometheus_demand", "authorization", "Bearer hush-hush-prometheus"),
    ):
        replay = replay_of(name, need)
        replay.start(source)
        source.asked.clear()
        read(replay, need, source)
        assert {asked.headers[header] for asked in source.asked} == {value}
        assert not [asked for asked in source.asked if value in str(asked.query)]


def test_the_sum_of_its_parts_is_the_published_price_of_a_google_machine() -> None:
    """88.49 USD/h: https://cloud.google.com/compute/all-pricing, a3-highgpu-8g in us-central1."""
    name = "gcp:us-central1/gcp_a3-highgpu-8g ondemand_usd_per_h"
    assert math.isclose(price_replays.gcp().truth[name], 88.49, abs_tol=5e-4)
