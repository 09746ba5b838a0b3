"""What stands before every page: host, sizes and headers; and the gate of approval.

There are no cookies and no sessions, so a foreign site has nothing to ride on: approval takes the
token itself, in a form field or an ``Authorization: Bearer`` header, compared in constant time.
Requests that a browser marks as coming from another site are refused all the same.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections import deque
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from planner.errors import PlannerError

TOKEN_ENVIRONMENT = "PLANNER_APPROVE_TOKEN"
SHORTEST_TOKEN = 20
LARGEST_BODY_BYTES = 16 * 1024
LONGEST_TARGET = 8_192
"""Characters of path and query together."""
FAILURES_ALLOWED = 10
"""Wrong tokens per `FAILURE_WINDOW_S`; then every token is refused for a while."""
FAILURE_WINDOW_S = 60.0

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "cache-control": "no-store",
}
"""Of every answer that does not set them itself."""


class Guard:
    """ASGI middleware: refuses foreign hosts and oversized requests, sets `HEADERS`."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        body = b"" if refusal else await _read_body(receive)
        if body is None:
            refusal = PlainTextResponse(f"at most {LARGEST_BODY_BYTES:,} bytes\n", 413)
        if refusal is not None:
            await refusal(scope, receive, guarded_send)
        else:
            await self.app(scope, _Replay(body or b"", receive), guarded_send)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        if _hostname(headers.get("host", "")) not in self.hosts:
            return PlainTextResponse("unknown host; see --allow-host\n", 400)
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > LONGEST_TARGET:
            return PlainTextResponse("the address is too long\n", 414)
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length) > LARGEST_BODY_BYTES:
            return PlainTextResponse(f"at most {LARGEST_BODY_BYTES:,} bytes\n", 413)
        return None


def _hostname(host: str) -> str | None:
    """The name in a ``Host`` header, without port; None where there is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


async def _read_body(receive: Receive) -> bytes | None:
    """The whole body; None where it is larger than allowed."""
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return body
        body += bytes(message.get("body", b""))
        if len(body) > LARGEST_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return body


class _Replay:
    """Hands a body that was read already to the application, once."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self.body, self.receive, self.given = body, receive, False

    async def __call__(self) -> Message:
        """The body first, then what the server says."""
        if self.given:
            return await self.receive()
        self.given = True
        return {"type": "http.request", "body": self.body, "more_body": False}


class GateError(Exception):
    """Approval refused at the gate: `status` is 401, 403 or 429."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ApprovalGate:
    """Lets through who knows the token; without a token configured, nobody."""

    def __init__(self, token: str | None) -> None:
        if token is not None and len(token) < SHORTEST_TOKEN:
            raise PlannerError(
                f"{TOKEN_ENVIRONMENT} has {len(token)} characters, at least {SHORTEST_TOKEN} are "
                "needed: openssl rand -hex 24"
            )
        self._token = None if token is None else token.encode()
        self._failures: deque[float] = deque()
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """A token is configured."""
        return self._token is not None

    def check(self, token: str, headers: Mapping[str, str]) -> None:
        """GateError unless the token is right and the request is the site's own."""
        if self._token is None:
            raise GateError(403, f"approval is off here: {TOKEN_ENVIRONMENT} is not set")
        if not same_origin(headers):
            raise GateError(403, "the request comes from another site")
        with self._lock:
            now = time.monotonic()
            while self._failures and now - self._failures[0] > FAILURE_WINDOW_S:
                self._failures.popleft()
            if len(self._failures) >= FAILURES_ALLOWED:
                raise GateError(429, "too many wrong tokens: wait a minute")
            if not hmac.compare_digest(token.encode(errors="replace"), self._token):
                self._failures.append(now)
                raise GateError(401, "wrong token")


def same_origin(headers: Mapping[str, str]) -> bool:
    """Whether the browser says so; programs send neither header."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return False
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host")
