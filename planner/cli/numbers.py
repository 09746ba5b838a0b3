"""Numbers on the command line: every option that takes one reads it as `planner.numbers` does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import typer
from typer.models import OptionInfo

from planner.numbers import asked_number


def strict(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command, its numeric options reading strictly: ``0,5`` is refused, not read as 5."""
    hints = get_type_hints(command, include_extras=True)
    for hint in hints.values():
        kind = _number_kind(hint)
        for option in getattr(hint, "__metadata__", ()):
            if kind is not None and isinstance(option, OptionInfo):
                option.parser = _reader(kind, option.min, option.max)
                option.metavar = option.metavar or ("INTEGER" if kind is int else "NUMBER")
    command.__annotations__ = hints
    return command


def _number_kind(hint: Any) -> type | None:
    """int or float where an annotation is one of them, or None beside it."""
    if not hasattr(hint, "__metadata__"):
        return None
    held = set(get_args(hint.__origin__) or (hint.__origin__,)) - {type(None)}
    return held.pop() if held in ({int}, {float}) else None


def _reader(kind: type, least: float | None, most: float | None) -> Callable[[Any], Any]:
    """Text to a number of the kind within the limits; BadParameter with reason and remedy."""

    def read(text: Any) -> Any:
        if not isinstance(text, str):  # a default
            return text
        try:
            value = asked_number(text)
        except ValueError as error:
            raise typer.BadParameter(f"{text!r}: {error}") from None
        if kind is int and not value.is_integer():
            raise typer.BadParameter(f"{text!r}: must be a whole number")
        if least is not None and value < least:
            raise typer.BadParameter(f"{text!r}: must be at least {least:g}")
        if most is not None and value > most:
            raise typer.BadParameter(f"{text!r}: must be at most {most:g}")
        return kind(value)

    return read
