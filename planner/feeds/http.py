"""Bounded HTTP: every request has time-outs, every answer a largest size, every retry a limit.

`Http.get` returns an answer that is whole, of an expected content type and no larger than allowed,
or raises FeedError. Throttling (429) and passing faults (5xx, broken or late answers) are tried
again with exponential back-off and jitter; ``Retry-After`` is honoured. Redirects are followed on
the same host only, so a header with a credential never leaves for another one. Headers are neither
logged nor stored; what is kept of an exchange is its URL, its content type and its bytes.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import json
import math
import random
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field

from planner.errors import FeedError
from planner.instance.schema import Positive, Row

if TYPE_CHECKING:
    import httpx2

JSON_TYPES = ("application/json",)
TRY_AGAIN_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 5
GZIP_WINDOW_BITS = 31
USER_AGENT = "fleet-planner"
INSTALL = "pip install 'fleet-planner[feeds]'"


class HttpSettings(Row):
    """Section ``[http]`` of ``feeds.toml``: limits of every exchange."""

    connect_s: Positive = 10.0
    """longest wait for a connection"""
    read_s: Positive = 60.0
    """longest silence within an answer"""
    answer_s: Positive = 600.0
    """longest time for one whole answer"""
    attempts: int = Field(default=5, ge=1, le=20)
    """tries per request"""
    backoff_s: Positive = 1.0
    """mean wait before the second try; doubles with every further one"""
    longest_wait_s: Positive = 120.0
    """longest wait before a try; a server that asks for more ends the feed"""
    max_bytes: int = Field(default=100_000_000, ge=1)
    """largest answer, unpacked"""
    max_pages: int = Field(default=1_000, ge=1)
    """most pages of one listing"""


@dataclass(frozen=True)
class Answer:
    """What a source said, byte by byte; the URL holds no credential."""

    url: str
    content_type: str
    body: bytes


class TryAgainError(Exception):
    """A passing fault; `after_s` is the wait that the server asks for, if it does."""

    def __init__(self, problem: str, after_s: float | None = None) -> None:
        super().__init__(problem)
        self.after_s = after_s


class Http:
    """One feed's exchanges; `answers` keeps them all, in order. Use it in a ``with`` statement."""

    def __init__(self, settings: HttpSettings) -> None:
        self.settings = settings
        self.answers: list[Answer] = []
        self._client: httpx2.Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()

    # ------------------------------------------------------------------ asking

    def get(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        types: Iterable[str] = JSON_TYPES,
        keep_query: bool = True,
    ) -> Answer:
        """The answer to a GET request; FeedError says why there is none that can be used.

        `keep_query` False: the query may hold a signature, so it is not kept with the answer.
        """
        library = _library()
        try:
            target = library.URL(url, params=dict(params)) if params else library.URL(url)
        except (library.InvalidURL, TypeError, ValueError) as error:
            raise FeedError(f"{url!r} is not a URL: {error}") from error
        if target.scheme not in {"http", "https"} or not target.host:
            raise FeedError(f"{url!r} is not an http or https URL")
        if target.userinfo:
            raise FeedError(f"the URL of {target.host} holds a credential: use the environment")
        answer = self._patiently(target, dict(headers or {}))
        if not keep_query:
            answer = replace(answer, url=_short(answer.url))
        self.answers.append(answer)
        if answer.content_type not in set(types):
            raise FeedError(
                f"{_short(target)} answered with {answer.content_type or 'no content type'}, not "
                f"{' or '.join(types)}"
            )
        return answer

    def get_json(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        types: Iterable[str] = JSON_TYPES,
    ) -> Any:
        """The JSON value that a GET request answers; FeedError where it is none."""
        answer = self.get(url, params=params, headers=headers, types=types)
        return parse_json(answer.body, _short(answer.url))

    def once(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | str | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One exchange for a library that signs, tries again and checks by itself.

        Status, headers and bounded body, whatever the status. Raises TryAgainError for a fault of
        the transport, FeedError for an answer that is too large.
        """
        content = body.encode() if isinstance(body, str) else body
        with self._exchange(_library().URL(url), dict(headers), method, content) as response:
            return response.status_code, response.headers, self._body(response)

    def pages(self, what: str) -> Iterator[int]:
        """Numbers from 1; FeedError where a listing does not end in time."""
        yield from range(1, self.settings.max_pages + 1)
        raise FeedError(f"{what} does not end after {self.settings.max_pages:,} pages")

    # ------------------------------------------------------------------ trying

    def _patiently(self, url: httpx2.URL, headers: dict[str, str]) -> Answer:
        settings = self.settings
        for attempt in range(1, settings.attempts + 1):
            try:
                return self._follow(url, headers)
            except TryAgainError as fault:
                if attempt == settings.attempts:
                    tries = f"{attempt} tries" if attempt > 1 else "one try"
                    raise FeedError(f"{_short(url)}: {fault} ({tries})") from fault
                wait_s = fault.after_s
                if wait_s is None:
                    # Jitter of a factor 3 keeps many planners from coming back together.
                    wait_s = settings.backoff_s * 2.0 ** (attempt - 1) * random.uniform(0.5, 1.5)
                    wait_s = min(wait_s, settings.longest_wait_s)
                if wait_s > settings.longest_wait_s:
                    raise FeedError(
                        f"{_short(url)}: {fault}, to be tried again in {wait_s:,.0f} s; at most "
                        f"{settings.longest_wait_s:g} s are waited for (http.longest_wait_s)"
                    ) from fault
                time.sleep(wait_s)
        raise AssertionError("unreachable: attempts is at least 1")

    def _follow(self, url: httpx2.URL, headers: dict[str, str]) -> Answer:
        """One try: the answer, with redirects on the same host followed."""
        for _ in range(MOST_REDIRECTS + 1):
            with self._exchange(url, headers) as response:
                if response.status_code not in REDIRECT_STATUSES:
                    return self._read(response)
                place = response.headers.get("location", "")
                target = _joined(url, place)
                if target is None or _origin(target) != _origin(url):
                    raise FeedError(
                        f"{_short(url)} redirects to another host ({place[:200]!r}): refused"
                    )
                url = target
        raise FeedError(f"{_short(url)}: more than {MOST_REDIRECTS} redirects")

    @contextmanager
    def _exchange(
        self,
        url: httpx2.URL,
        headers: dict[str, str],
        method: str = "GET",
        content: bytes | None = None,
    ) -> Iterator[httpx2.Response]:
        """Send one request and hand out its answer unread; transport faults become ours."""
        library = _library()
        limits = self.settings
        if self._client is None:
            timeout = library.Timeout(limits.read_s, connect=limits.connect_s)
            standing = {"user-agent": USER_AGENT, "accept-encoding": "gzip"}
            self._client = library.Client(timeout=timeout, headers=standing)
        try:
            with self._client.stream(method, url, headers=headers, content=content) as response:
                yield response
        except library.TimeoutException as error:
            raise TryAgainError(f"no answer in time ({type(error).__name__})") from error
        except library.TransportError as error:
            raise TryAgainError(f"the exchange failed ({type(error).__name__})") from error
        except library.HTTPError as error:
            raise FeedError(f"{_short(url)}: {type(error).__name__}") from error

    def _read(self, response: httpx2.Response) -> Answer:
        """The whole body of an answer with a good status."""
        status = response.status_code
        if status in TRY_AGAIN_STATUSES:
            raise TryAgainError(f"status {status}", retry_after_s(response.headers))
        if status != 200:
            hint = " (check the credential)" if status in {401, 403} else ""
            raise FeedError(f"{_short(response.url)} answered with status {status}{hint}")
        kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
        return Answer(str(response.url), kind, self._body(response))

    def _body(self, response: httpx2.Response) -> bytes:
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        until = time.monotonic() + self.settings.answer_s
        return bounded_body(response.iter_raw(), encoding, self.settings.max_bytes, until)


def bounded_body(chunks: Iterable[bytes], encoding: str, max_bytes: int, until: float) -> bytes:
    """All bytes of an answer, unpacked as it arrives and never beyond `max_bytes`.

    `until` is the time (`time.monotonic`) at which patience ends.
    """
    if encoding not in {"identity", "gzip", "x-gzip", ""}:
        raise FeedError(f"an answer packed with {encoding[:40]!r}, which was not asked for")
    unpack = zlib.decompressobj(GZIP_WINDOW_BITS) if "gzip" in encoding else None
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        try:
            part = chunk if unpack is None else unpack.decompress(chunk, max_bytes - size + 1)
        except zlib.error as error:
            raise FeedError(f"an answer that cannot be unpacked ({error})") from error
        size += len(part)
        if size > max_bytes:
            raise FeedError(f"an answer of more than {max_bytes:,} bytes (http.max_bytes)")
        parts.append(part)
        if time.monotonic() > until:
            raise TryAgainError("the answer took too long")
    if unpack is not None and not unpack.eof:
        raise TryAgainError("the packed answer broke off")
    return b"".join(parts)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that ``Retry-After`` asks for: a number, or a date (RFC 9110, 10.2.3)."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        when = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=dt.UTC)
    return max(0.0, (when - dt.datetime.now(dt.UTC)).total_seconds())


def same_host(url: str, other: str) -> bool:
    """Whether two URLs have the same scheme, host and port."""
    library = _library()
    try:
        return _origin(library.URL(url)) == _origin(library.URL(other))
    except (library.InvalidURL, ValueError):
        return False


def _short(url: httpx2.URL | str) -> str:
    """A URL for people: without its query, which may be long."""
    return str(url).partition("?")[0]


def _joined(url: httpx2.URL, place: str) -> httpx2.URL | None:
    library = _library()
    try:
        return url.join(place) if place else None
    except (library.InvalidURL, ValueError):
        return None


def _origin(url: httpx2.URL) -> tuple[str, str, int]:
    """Scheme, host and port, as browsers compare them."""
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme, 0)


# ------------------------------------------------------------------ JSON


def parse_json(body: bytes, where: str) -> Any:
    """The JSON value in `body`.

    Stricter than Python: no NaN or Infinity, no key twice in an object, UTF-8 only.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key stands twice in an object")
        return found

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is not a number")

    def finite(text: str) -> float:
        value = float(text)
        return value if math.isfinite(value) else constant(text[:40])

    try:
        return json.loads(
            body.decode("utf-8"),
            object_pairs_hook=unique,
            parse_constant=constant,
            parse_float=finite,
        )
    except (ValueError, RecursionError) as error:
        raise FeedError(f"{where}: not a JSON answer that can be trusted ({error})") from error


def _library() -> Any:
    """httpx2, or one clear error."""
    try:
        import httpx2
    except ModuleNotFoundError as error:
        raise FeedError(f"feeds need the library {error.name}: {INSTALL}") from error
    return httpx2
