"""Check a parsed answer against the format that its source publishes."""

from __future__ import annotations

import datetime as dt
import math
import os
import re
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from planner.errors import FeedError
from planner.instance.findings import near_matches, shortened

MOST_PROBLEMS_SHOWN = 3
_AMOUNT = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")


class Published(BaseModel):
    """Base of the classes for published formats: exact types, camel case, other fields ignored."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="ignore",
        allow_inf_nan=False,
        alias_generator=to_camel,
    )


M = TypeVar("M", bound=BaseModel)


def parsed(model: type[M], value: Any, where: str) -> M:
    """The value as the format's own class; FeedError names the fields that are not as published."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        shown = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'value'}: "
            f"{shortened(problem['msg'], 120)} ({shortened(repr(problem['input']), 40)})"
            for problem in problems[:MOST_PROBLEMS_SHOWN]
        )
        more = len(problems) - MOST_PROBLEMS_SHOWN
        tail = f"; and {more} more" if more > 0 else ""
        raise FeedError(f"{where} is not in the published format: {shown}{tail}") from error


def moment(text: str, where: str) -> dt.datetime:
    """A date and time with its zone (ISO 8601), in UTC."""
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise FeedError(f"{where}: {shortened(text)!r} is not a date and time") from error
    return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)


def amount(text: str) -> float | None:
    """A number of 0 or more as programs write it, with all digits or an exponent; None: none."""
    value = float(text) if _AMOUNT.fullmatch(text) else math.inf
    return value if math.isfinite(value) else None


K = TypeVar("K")


def outliers(values: Mapping[K, float], factor: float) -> tuple[dict[K, float], float]:
    """Values at `factor` times the median of those above 0 or more, or a `factor`-th of it or less.

    Also the median; 0 where all are 0, and nothing is an outlier.
    """
    positive = [value for value in values.values() if value > 0.0]
    middle = median(positive) if positive else 0.0
    far = {
        key: value
        for key, value in values.items()
        if positive and not middle / factor < value < middle * factor
    }
    return far, middle


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean a or b?``, or nothing where no known word is near."""
    hint = near_matches(word, known)
    return f"; {hint}" if hint.startswith("did you mean") else ""


def credential(variable: str) -> str:
    """A secret from the environment; FeedError where it is not set. Never log or store it."""
    value = os.environ.get(variable, "").strip()
    if not value:
        raise FeedError(f"the environment variable {variable} is not set: it holds the credential")
    if not value.isprintable() or not value.isascii():
        raise FeedError(f"the environment variable {variable} holds characters that no header may")
    return value
