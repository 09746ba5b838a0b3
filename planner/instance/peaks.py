"""Prices that depend on the hour: which share of a slice lies in the dear hours of a seller."""

from __future__ import annotations

from collections.abc import Iterator

from planner.instance.schema import Slice

HOURS_PER_DAY = 24.0

Span = tuple[float, float]


def peak_share(windows: str | None, part: Slice) -> float:
    """Share of a slice's hours of the day inside windows like ``1-4;6-10`` (UTC); 0 without any."""
    spans = [span for text in (windows or "").split(";") if text for span in _window(text)]
    day = list(_around(float(part.start_hour_utc), float(part.end_hour_utc)))
    inside = sum(max(0.0, min(a[1], b[1]) - max(a[0], b[0])) for a in day for b in spans)
    return inside / sum(end - begin for begin, end in day)


def _window(text: str) -> Iterator[Span]:
    begin, _, end = text.partition("-")
    yield from _around(float(begin), float(end))


def _around(begin: float, end: float) -> Iterator[Span]:
    """A span of the day, in two pieces where it goes over midnight."""
    if begin < end:
        yield begin, end
        return
    yield begin, HOURS_PER_DAY
    if end > 0.0:
        yield 0.0, end
