"""``feeds.toml``, beside ``instance.toml``: which feeds an instance has, and their policies.

::

    store = "feeds"                 # folder of the fetched tables, relative to this file

    [http]
    attempts = 5

    [feeds.azure]                   # a name of your own
    reader = "azure-retail"
    on_failure = "last-good"        # or "stop"
    max_age_h = 168

Unknown keys are refused; a credential has no key, it belongs to the environment.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from planner.errors import FeedError
from planner.feeds.feed import Feed
from planner.feeds.http import HttpSettings
from planner.feeds.readers import READERS
from planner.feeds.readers.own_tables import OwnTables
from planner.instance.findings import near_matches, shortened
from planner.instance.schema import Identifier, Row

SETTINGS_FILE = "feeds.toml"
MOST_BYTES = 1_000_000


class _File(Row):
    """The file as it is written; feeds are read one by one."""

    store: str = "feeds"
    http: HttpSettings = HttpSettings()
    feeds: dict[Identifier, dict[str, Any]] = Field(min_length=1)


@dataclass(frozen=True)
class FeedsSettings:
    """What ``feeds.toml`` says."""

    folder: Path
    """where it lies"""
    store: Path
    """folder of the fetched tables"""
    http: HttpSettings
    feeds: Mapping[str, Feed]
    """by the user's names, in the order of the file"""

    def chosen(self, names: tuple[str, ...]) -> Mapping[str, Feed]:
        """The feeds of these names, all where none are given; FeedError for an unknown one."""
        for name in names:
            if name not in self.feeds:
                hint = near_matches(name, self.feeds)
                raise FeedError(f"no feed {name!r} in {self.folder / SETTINGS_FILE}; {hint}")
        return {name: feed for name, feed in self.feeds.items() if not names or name in names}


def load_settings(folder: Path) -> FeedsSettings:
    """Read ``feeds.toml`` of an instance folder; FeedError lists everything that is wrong."""
    path = folder / SETTINGS_FILE
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
        data = tomllib.loads(text.decode("utf-8"))
    except OSError as error:
        raise FeedError(
            f"{path} cannot be read ({error.strerror}): it says which feeds there are, see "
            "docs/feeds.md"
        ) from error
    except (ValueError, RecursionError) as error:
        raise FeedError(f"{path} is not TOML ({shortened(str(error), 160)})") from error
    whole, problems = _validated(_File, data, "")
    feeds: dict[str, Feed] = {}
    for name, section in whole.feeds.items() if whole is not None else ():
        feed, wrong = _feed(name, section, folder)
        problems += wrong
        if feed is not None:
            feeds[name] = feed
    if problems or whole is None:
        raise FeedError(f"{path}: " + "; ".join(problems))
    return FeedsSettings(folder, folder / whole.store, whole.http, feeds)


def _feed(name: str, section: dict[str, Any], folder: Path) -> tuple[Feed | None, list[str]]:
    """One feed, and what is wrong with its section."""
    reader = section.get("reader")
    if not isinstance(reader, str) or reader not in READERS:
        hint = near_matches(str(reader), READERS)
        return None, [f"feeds.{name}.reader {shortened(str(reader))!r}: no such reader; {hint}"]
    if "folder" in section:
        return None, [f"feeds.{name}.folder: unknown key"]
    kind = READERS[reader]
    place = {"folder": str(folder)} if kind is OwnTables else {}
    return _validated(kind, {**section, **place}, f"feeds.{name}.")


def _validated(kind: type[Any], data: dict[str, Any], prefix: str) -> tuple[Any, list[str]]:
    """The section as its class, or every problem with key, value and what was expected."""
    try:
        # By way of JSON, pydantic can be strict and still take a list for a tuple.
        return kind.model_validate_json(json.dumps(data, default=str), strict=True), []
    except ValidationError as error:
        problems = error.errors(include_url=False)
        return None, [_said(prefix, problem, kind) for problem in problems]


def _said(prefix: str, problem: Any, kind: type[Any]) -> str:
    key = prefix + ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        # The value is not shown: it may be a credential that somebody put here.
        known = HttpSettings if problem["loc"][0] == "http" else kind
        hint = near_matches(str(problem["loc"][-1]), known.model_fields)
        return f"{key}: unknown key; {hint} (credentials belong to the environment)"
    value = "" if problem["type"] == "missing" else f" {shortened(repr(problem['input']))}"
    return f"{key.rstrip('.')}{value}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
