"""Ways in which an answer goes wrong, seeded.

A way gets the bytes of a document and returns spoilt ones, or None where it does not apply. What
nobody could notice is left out: a figure that is wrong by less than a plausible move, two machines
whose prices were swapped.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.planner.feeds.replay import Replay

Way = Callable[[bytes, random.Random], bytes | None]
FACTORS = (-1.0, 1e3, 1e-3, 1e300, 0.0)
SPLIT = {"nanos", "units", "value", "values"}
"""Only a part of a price, or a sample of a series: too small is no error that shows."""
FIGURES = {"retailPrice", "unitPrice", "USD", "EUR", "nanos", "carbonIntensity", "input_mtok",
           "cache_read_mtok", "output_mtok"}  # fmt: skip
OTHER_UNITS = {
    "1 Hour": "2 Hours",
    "Hrs": "Quantity",
    "h": "2h",
    "GiBy.h": "GBy.h",
    "GiBy.mo": "GiBy.h",
    "lifecycle": "direct",
    "hourly": "daily",
    "matrix": "scalar",
    "vector": "scalar",
}
_NUMBER = re.compile(rb"(?<=[\",:>\[ ])\d+\.\d+(?=[\",<\]\s}\r])")


# ------------------------------------------------------------------ bytes


def truncated(body: bytes, rng: random.Random) -> bytes:
    return body[: rng.randrange(len(body) - 2)]


def not_text(body: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(body))
    return body[:at] + b"\xff\xfe\x00" + body[at:]


def emptied(body: bytes, rng: random.Random) -> bytes:
    return b""


def a_page_for_people(body: bytes, rng: random.Random) -> bytes:
    return b"<html><body>Service temporarily unavailable</body></html>"


def oversized(body: bytes, rng: random.Random) -> bytes:
    return body + b" " * 3_000_000


def scrambled(body: bytes, rng: random.Random) -> bytes:
    cut = sorted(rng.sample(range(len(body)), 2))
    return body[cut[1] :] + body[cut[0] : cut[1]] + body[: cut[0]]


def another_header(body: bytes, rng: random.Random) -> bytes | None:
    """A column of a text table in another currency or unit."""
    if body[:1] in b"[{" or b"_usd_per_h" not in body:
        return None
    return body.replace(b"_usd_per_h", rng.choice([b"_eur_per_h", b"_usd_per_month", b"_usd"]), 1)


def wrong_number(body: bytes, rng: random.Random) -> bytes | None:
    """A figure of a text format that cannot be one."""
    if body[:1] in b"[{":
        return None
    places = list(_NUMBER.finditer(body))
    if not places:
        return None
    place = rng.choice(places)
    figure = float(place[0])
    spoilt = rng.choice(
        [b"-" + place[0], b"nan", b"inf", b"1e300", b"$5", b"5,5", b"", b"free",
         f"{1e3 * figure:.6f}".encode(), f"{1e-3 * figure:.9f}".encode()]
    )  # fmt: skip
    return body[: place.start()] + spoilt + body[place.end() :]


def row_twice(body: bytes, rng: random.Random) -> bytes | None:
    """A line of a text table again, with another figure."""
    lines = body.split(b"\n")
    if body[:1] in b"[{<" or len(lines) < 4:
        return None
    line = rng.choice([line for line in lines[2:] if _NUMBER.search(line)])
    return body + _NUMBER.sub(lambda match: match[0] + b"7", line, count=1) + b"\n"


# ------------------------------------------------------------------ JSON


Place = tuple[Any, Any]
"""A container and the key or index of a value in it."""


def _places(value: Any) -> Iterator[Place]:
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, part in items:
        yield value, key
        yield from _places(part)


def _in_json(change: Callable[[list[Place], random.Random], Any]) -> Way:
    """A way that changes one value of a document, also inside a text that is JSON itself."""

    def way(body: bytes, rng: random.Random) -> bytes | None:
        if body[:1] not in b"[{":
            return None
        document = json.loads(body)
        inner = document.get("PriceList") if isinstance(document, dict) else None
        spoilt = json.loads(inner[0]) if inner and rng.random() < 0.8 else document
        if change(list(_places(spoilt)), rng) is None:
            return None
        if spoilt is not document:
            document["PriceList"][0] = json.dumps(spoilt)
        return json.dumps(document).encode()

    way.__name__ = change.__name__
    return way


def key_lost(places: list[Place], rng: random.Random) -> Any:
    container, key = rng.choice([place for place in places if isinstance(place[0], dict)])
    del container[key]
    return True


def null(places: list[Place], rng: random.Random) -> Any:
    container, key = rng.choice(places)
    container[key] = None
    return True


def another_type(places: list[Place], rng: random.Random) -> Any:
    container, key = rng.choice(places)
    old = container[key]
    others = ["seven", [7], {"seven": 7}, True]
    container[key] = rng.choice([new for new in others if type(new) is not type(old)])
    return True


def figure_off(places: list[Place], rng: random.Random) -> Any:
    """A number far off, below zero, or none; as number or as text."""
    numbers = [(c, k) for c, k in places if _is_number(c[k])]
    if not numbers:
        return None
    container, key = rng.choice(numbers)
    old = container[key]
    factors = FACTORS[:2] if key in SPLIT or isinstance(container, list) else FACTORS
    spoilt = rng.choice([*(float(old) * factor for factor in factors), float("nan")])
    if isinstance(old, int) and abs(spoilt) < 1e15:
        spoilt = int(spoilt)
    container[key] = repr(spoilt) if isinstance(old, str) else spoilt
    return True


def another_currency(places: list[Place], rng: random.Random) -> Any:
    """An amount in euros, the figure with it."""
    found = [(c, k) for c, k in places if k == "USD" or c[k] == "USD"]
    if not found:
        return None
    container, key = rng.choice(found)
    if key == "USD":
        container["EUR"] = container.pop("USD")
    else:
        container[key] = "EUR"
    _scale(container, 0.92)
    return True


def another_unit(places: list[Place], rng: random.Random) -> Any:
    """A figure per something else, the figure with it."""
    found = [(c, k) for c, k in places if isinstance(c[k], str) and c[k] in OTHER_UNITS]
    if not found:
        return None
    container, key = rng.choice(found)
    container[key] = OTHER_UNITS[container[key]]
    _scale(container, 1.5)
    return True


def entry_twice(places: list[Place], rng: random.Random) -> Any:
    """An entry of a list again, with other figures."""
    entries = [(c, k) for c, k in places if isinstance(c, list) and isinstance(c[k], dict)]
    if not entries:
        return None
    container, key = rng.choice(entries)
    twin = json.loads(json.dumps(container[key]))
    _scale(twin, 1.1)
    container.append(twin)
    return True


def _scale(value: Any, factor: float) -> None:
    """Every figure in the value times a factor."""
    for container, key in list(_places(value)):
        old = container[key]
        if key in FIGURES and _is_number(old):
            new = float(old) * factor
            if isinstance(old, str):
                container[key] = f"{new:.10f}"
            else:
                container[key] = int(new) if isinstance(old, int) else new


def list_emptied(places: list[Place], rng: random.Random) -> Any:
    lists = [(c, k) for c, k in places if isinstance(c[k], list) and c[k]]
    if not lists:
        return None
    container, key = rng.choice(lists)
    container[key] = []
    return True


def _is_number(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float) or (
        isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value) is not None
    )


WAYS: tuple[Way, ...] = (
    truncated, not_text, emptied, a_page_for_people, oversized, scrambled, another_header,
    wrong_number, row_twice,
    *map(_in_json, (key_lost, null, another_type, figure_off, entry_twice, list_emptied,
                    another_currency, another_unit)),
)  # fmt: skip


def variants(replay: Replay, count: int, seed: int) -> Iterator[tuple[str, str, bytes]]:
    """(way, document, spoilt bytes), `count` of them."""
    rng = random.Random(f"{replay.reader}/{seed}")
    names = sorted(replay.documents)
    made = 0
    while made < count:
        way = rng.choice(WAYS)
        name = rng.choice(names)
        body = way(replay.documents[name], rng)
        if body is not None and body != replay.documents[name]:
            made += 1
            yield way.__name__, name, body
