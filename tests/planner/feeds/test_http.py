"""Every exchange is bounded; passing faults are tried again, others are said."""

from __future__ import annotations

import gzip
import logging
import time
import zlib
from email.utils import formatdate

import pytest

from planner.errors import FeedError
from planner.feeds.http import Http, HttpSettings, parse_json, retry_after_s, same_host
from tests.planner.feeds.conftest import QUICK
from tests.planner.feeds.source_server import Reply, Source

GOOD = Reply(b'{"x": 1}')


def get(source: Source, settings: HttpSettings = QUICK, **options: object) -> object:
    with Http(settings) as http:
        return http.get_json(f"{source.url}/thing", **options)  # type: ignore[arg-type]


def refusal(source: Source, settings: HttpSettings = QUICK) -> str:
    with pytest.raises(FeedError) as caught:
        get(source, settings)
    return str(caught.value)


# ------------------------------------------------------------------ tried again


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_passing_fault_is_tried_again(source: Source, status: int) -> None:
    source.replies(Reply(status=status), GOOD)
    assert get(source) == {"x": 1}
    assert len(source.asked) == 2


def test_an_answer_that_breaks_off_is_tried_again(source: Source) -> None:
    source.replies(Reply(b'{"x": 12345}', cut_after=5), GOOD)
    assert get(source) == {"x": 1}


def test_a_late_answer_is_tried_again_and_given_up(source: Source) -> None:
    source.replies(Reply(b"{}", delay_s=0.5))
    began = time.monotonic()
    assert "no answer in time" in refusal(source)
    assert time.monotonic() - began < 2.0
    assert len(source.asked) == QUICK.attempts


def test_a_server_that_is_not_there_is_said() -> None:
    with Http(QUICK) as http, pytest.raises(FeedError, match="exchange failed"):
        http.get("http://127.0.0.1:9/")


def test_retry_after_is_honoured(source: Source) -> None:
    source.replies(Reply(status=429, headers={"retry-after": "1"}), GOOD)
    began = time.monotonic()
    assert get(source) == {"x": 1}
    assert time.monotonic() - began >= 1.0


def test_a_server_that_wants_more_patience_than_we_have_ends_the_feed(source: Source) -> None:
    source.replies(Reply(status=429, headers={"retry-after": "3600"}))
    assert "tried again in 3,600 s" in refusal(source)
    assert len(source.asked) == 1


def test_retry_after_may_be_a_date() -> None:
    soon = formatdate(time.time() + 60, usegmt=True)
    assert retry_after_s({"retry-after": soon}) == pytest.approx(60.0, abs=2.0)
    assert retry_after_s({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    assert retry_after_s({"retry-after": "soon"}) is None
    assert retry_after_s({}) is None


# ------------------------------------------------------------------ refused


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 204])
def test_another_status_is_final(source: Source, status: int) -> None:
    source.replies(Reply(status=status))
    assert f"status {status}" in refusal(source)
    assert len(source.asked) == 1


def test_a_page_for_people_is_no_answer(source: Source) -> None:
    source.replies(Reply(b"<html>sign in</html>", content_type="text/html; charset=utf-8"))
    assert "text/html, not application/json" in refusal(source)
    source.replies(Reply(b"{}", content_type=None))
    assert "no content type" in refusal(source)


def test_an_answer_larger_than_allowed_is_dropped(source: Source) -> None:
    source.replies(Reply(b'"' + b"x" * QUICK.max_bytes + b'"'))
    assert "more than 2,000,000 bytes" in refusal(source)


def test_a_gzip_bomb_is_dropped_before_it_unfolds(source: Source) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1_000_000)) for _ in range(500)) + packer.flush()
    assert len(bomb) < 1_000_000
    source.replies(Reply(bomb, headers={"content-encoding": "gzip"}))
    began = time.monotonic()
    assert "more than 2,000,000 bytes" in refusal(source)
    assert time.monotonic() - began < 1.0


def test_a_packed_answer_is_unpacked(source: Source) -> None:
    source.replies(Reply(gzip.compress(b'{"x": 1}'), headers={"content-encoding": "gzip"}))
    assert get(source) == {"x": 1}


def test_a_damaged_packed_answer_is_refused(source: Source) -> None:
    packed = gzip.compress(b'{"x": 1}')
    source.replies(Reply(packed[:-4], headers={"content-encoding": "gzip"}))
    assert "broke off" in refusal(source)
    source.replies(Reply(b"not gzip", headers={"content-encoding": "gzip"}))
    assert "cannot be unpacked" in refusal(source)
    source.replies(Reply(b"{}", headers={"content-encoding": "br"}))
    assert "not asked for" in refusal(source)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nonsense", b"\xff\xfe{}", b'{"x": NaN}', b'{"x": Infinity}', b'{"x": 1e999}',
     b'{"x": 1, "x": 2}', b"[" * 100_000, b"9" * 10_000],
)  # fmt: skip
def test_json_that_cannot_be_trusted_is_refused(body: bytes) -> None:
    with pytest.raises(FeedError, match="not a JSON answer"):
        parse_json(body, "here")


def test_a_wrong_address_is_said() -> None:
    for url in ("ftp://example.org/", "/etc/passwd", "http://", "nonsense"):
        with Http(QUICK) as http, pytest.raises(FeedError, match="URL"):
            http.get(url)


# ------------------------------------------------------------------ redirects


def test_a_redirect_on_the_same_host_is_followed(source: Source) -> None:
    source.replies(Reply(status=302, headers={"location": "/elsewhere"}), GOOD)
    assert get(source, headers={"auth-token": "secret"}) == {"x": 1}
    assert [asked.path for asked in source.asked] == ["/thing", "/elsewhere"]


@pytest.mark.parametrize("place", ["http://127.0.0.2:{port}/", "https://127.0.0.1:{port}/", ""])
def test_a_redirect_to_another_host_is_refused(source: Source, place: str) -> None:
    port = source.url.rpartition(":")[2]
    source.replies(Reply(status=307, headers={"location": place.format(port=port)}))
    assert "another host" in refusal(source)
    assert len(source.asked) == 1


def test_a_circle_of_redirects_ends(source: Source) -> None:
    source.replies(Reply(status=301, headers={"location": "/thing"}))
    assert "more than 5 redirects" in refusal(source)


def test_the_same_host_is_the_same_port_too() -> None:
    assert same_host("https://prices.azure.com:443/a", "https://prices.azure.com/b")
    assert not same_host("https://prices.azure.com:444/a", "https://prices.azure.com/b")
    assert not same_host("http://prices.azure.com/a", "https://prices.azure.com/b")
    assert not same_host("http://[", "https://prices.azure.com/b")


# ------------------------------------------------------------------ secrets and evidence


def test_a_credential_is_neither_kept_nor_logged(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    source.replies(GOOD)
    with caplog.at_level(logging.DEBUG), Http(QUICK) as http:
        http.get(f"{source.url}/thing", headers={"auth-token": "hush-hush"})
        kept = repr(http.answers)
    assert source.asked[0].headers["auth-token"] == "hush-hush"
    assert "hush-hush" not in kept
    assert "hush-hush" not in caplog.text


def test_a_url_with_a_credential_is_refused_and_not_repeated(source: Source) -> None:
    url = source.url.replace("//", "//me:hush-hush@")
    with Http(QUICK) as http, pytest.raises(FeedError, match="holds a credential") as caught:
        http.get(url)
    assert "hush-hush" not in str(caught.value)


def test_a_query_that_signs_is_not_kept(source: Source) -> None:
    source.replies(GOOD)
    with Http(QUICK) as http:
        http.get(f"{source.url}/thing?sig=hush-hush", keep_query=False)
        assert http.answers[0].url == f"{source.url}/thing"
    assert source.asked[0].query == {"sig": "hush-hush"}


def test_a_credential_is_in_no_message(source: Source) -> None:
    source.replies(Reply(status=403))
    with Http(QUICK) as http, pytest.raises(FeedError) as caught:
        http.get(f"{source.url}/thing", headers={"auth-token": "hush-hush"})
    assert "check the credential" in str(caught.value)
    assert "hush-hush" not in str(caught.value)


def test_the_bytes_of_every_answer_are_kept(source: Source) -> None:
    source.replies(Reply(b'{"page": 1}'), Reply(b'{"page": 2}'))
    with Http(QUICK) as http:
        http.get(f"{source.url}/thing", params={"page": "1"})
        http.get(f"{source.url}/thing", params={"page": "2"})
        assert [answer.body for answer in http.answers] == [b'{"page": 1}', b'{"page": 2}']
        assert http.answers[1].url == f"{source.url}/thing?page=2"


def test_a_listing_without_end_is_given_up() -> None:
    with Http(QUICK) as http, pytest.raises(FeedError, match="after 20 pages"):
        list(http.pages("the list"))
