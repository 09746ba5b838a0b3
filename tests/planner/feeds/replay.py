"""Answers of every source in its published format, small but whole, and the figures in them.

A `Replay` has named documents; `find` names the one that a request asks for. Tests serve them as
they are, or spoil them first. The replays are in `price_replays` and `measure_replays`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from planner.feeds.feed import Feed
from planner.feeds.readers import READERS
from tests.planner.feeds.source_server import Asked, Reply, Source

AT = dt.datetime(2026, 11, 24, 12, 30, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
Documents = Mapping[str, bytes]


@dataclass(frozen=True)
class Replay:
    """A source that was recorded."""

    reader: str
    documents: Documents
    find: Callable[[Asked], str]
    """name of the document that a request asks for"""
    truth: Mapping[str, float]
    """every figure that the feed may yield, by its name"""
    settings: Mapping[str, Any]
    place: str = "url"
    """setting that holds the server's address"""
    content_type: str = "application/json"
    wrap: Callable[[str, bytes], bytes] = lambda name, body: body

    def feed(self, url: str, **settings: Any) -> Feed:
        """The feed, pointed at the server."""
        data = {"reader": self.reader, self.place: url, **self.settings, **settings}
        return READERS[self.reader].model_validate_json(json.dumps(data), strict=True)

    def start(self, source: Source, documents: Documents | None = None) -> None:
        """Let the server answer with these documents, its own by default."""
        served = self.documents if documents is None else documents

        def answer(asked: Asked) -> Reply:
            name = self.find(asked)
            if name not in served:
                return Reply(status=404)
            body = self.wrap(name, served[name]).replace(b"@URL@", source.url.encode())
            return Reply(body, content_type=self.content_type)

        source.answer = answer

    def with_documents(self, **changed: bytes) -> Replay:
        return replace(self, documents={**self.documents, **changed})


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()
