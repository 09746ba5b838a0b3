"""boto3 for the two AWS readers: it signs, tries again and parses; `Http` carries the bytes.

Credentials are boto3's own affair: the environment (``AWS_ACCESS_KEY_ID`` and the rest, a role, a
profile). They are never read, logged or stored here. botocore's documented ``before-send`` event
hands every signed request to `Http`, so AWS answers have the same bounds as all others and are
kept as evidence.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from planner.errors import FeedError
from planner.feeds.http import Answer, Http, TryAgainError

INSTALL = "pip install 'fleet-planner[aws]'"


class AwsClients:
    """Clients of one fetch, with one session; FeedError without boto3."""

    def __init__(self, http: Http) -> None:
        try:
            import boto3
        except ModuleNotFoundError as error:
            raise FeedError(f"this feed needs the library {error.name}: {INSTALL}") from error
        self._http = http
        with boto_errors("AWS"):
            self._session = boto3.session.Session()

    def client(self, service: str, region: str, endpoint_url: str | None) -> Any:
        """A boto3 client whose requests go through `Http`."""
        from botocore.config import Config

        limits = self._http.settings
        config = Config(
            connect_timeout=limits.connect_s,
            read_timeout=limits.read_s,
            retries={"mode": "standard", "total_max_attempts": limits.attempts},
        )
        with boto_errors(service):
            client = self._session.client(
                service, region_name=region, endpoint_url=endpoint_url, config=config
            )
        client.meta.events.register("before-send", _Carrier(self._http))
        return client


class _Carrier:
    """Sends a prepared request by way of `Http` and hands botocore the answer."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def __call__(self, request: Any, event_name: str = "", **_: Any) -> Any:
        from botocore.awsrequest import AWSResponse
        from botocore.exceptions import HTTPClientError

        try:
            status, headers, body = self._http.once(
                request.method, request.url, _texts(request.headers), request.body
            )
        except TryAgainError as error:
            raise HTTPClientError(error=error) from error
        if status == 200:
            kind = headers.get("content-type", "").split(";")[0].strip().lower()
            operation = event_name.rpartition(".")[2]
            self._http.answers.append(Answer(f"{request.url}#{operation}", kind, body))
        return AWSResponse(request.url, status, headers, _Raw(body))


class _Raw(io.BytesIO):
    """The little of urllib3's response that `AWSResponse` reads."""

    def stream(self, amt: int = 2**16, decode_content: bool = False) -> Iterator[bytes]:
        while part := self.read(amt):
            yield part


def _texts(headers: Any) -> dict[str, str]:
    return {
        name: value.decode() if isinstance(value, bytes) else str(value)
        for name, value in headers.items()
    }


@contextmanager
def boto_errors(what: str) -> Iterator[None]:
    """Every way in which boto3 fails on an answer, as one FeedError."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        NoCredentialsError,
        PartialCredentialsError,
    )
    from botocore.parsers import ResponseParserError

    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise FeedError(
            f"{what}: no AWS credentials in the environment; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, a role or AWS_PROFILE"
        ) from error
    except (BotoCoreError, ClientError) as error:
        raise FeedError(f"{what}: {error}") from error
    except (ResponseParserError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise FeedError(
            f"{what}: an answer that boto3 cannot read ({type(error).__name__})"
        ) from error
