"""Changes: ``--set`` expressions that move figures of resolved facts, for what-if questions.

::

    prices.h100*=0.8                    every price of accelerators whose name begins so, times 0.8
    prices.h100-sxm.spot=2.5            USD per accelerator and hour, whatever the instance
    demand.chat*=1.5                    also demand.chat.europe, demand.chat.europe.h00-06
    carbon.aws:eu-*.h00-06+=20          gCO2e per kWh
    quality.chat.llama-3.1-8b.rag+=0.02
    targets.chat.ttft_s*=0.8            policy.max_llms=3       caps.carbon=none
    workloads.chat.facts_change_per_day=0.1

A path is the name of a figure (`planner.instance.figures`), with ``*`` and ``?`` for any
characters. ``*=`` multiplies, ``+=`` and ``-=`` add, ``=`` replaces, ``none`` lifts a limit. The
star of ``*=`` does double duty: where the path before it names nothing, everything that begins
with it is multiplied. Changes apply one after the other; a blank figure (a limit that is not
there) can be set but not moved. A figure put in the place of another is held against it, as those
of the tables are against the catalog's; the rules between tables hold for changed ones too.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from planner.catalog import load_catalog
from planner.errors import PlannerError
from planner.instance.checks import RULES_OF_CHANGES, Tables
from planner.instance.doubts import doubt
from planner.instance.facts import Facts
from planner.instance.figures import KINDS, Figure, Value, figures_of
from planner.instance.findings import Finding, near_matches
from planner.numbers import asked_number, looks_like_number

EXPRESSION = re.compile(r"\s*(?P<path>[^=]+?)\s*(?P<operator>\*=|\+=|-=|=)\s*(?P<value>[^=]*?)\s*")
WORDS: dict[str, Value] = {"none": None, "true": True, "false": False}


@dataclass(frozen=True)
class Change:
    """One expression, understood."""

    text: str
    path: str
    operator: str
    """``=``, ``*=``, ``+=`` or ``-=``"""
    value: Value


@dataclass(frozen=True)
class Moved:
    """A figure that a change moved; None: a limit that was not there, or was lifted."""

    name: str
    unit: str
    old: Value
    new: Value


@dataclass(frozen=True)
class Applied:
    """What one expression did."""

    text: str
    figures: tuple[Moved, ...]

    def said(self) -> str:
        """``prices.h100*=0.8: 12 figures, 1.9 to 6.88 -> 1.52 to 5.5 USD per accelerator-hour``."""
        moved = self.figures
        what = moved[0].name if len(moved) == 1 else f"{len(moved)} figures"
        units = tuple(dict.fromkeys(figure.unit for figure in moved))
        if len(units) > 1:
            return f"{self.text}: {what}"
        old, new = _span([m.old for m in moved]), _span([m.new for m in moved])
        return f"{self.text}: {what}, {old} -> {new} {units[0]}".rstrip()


def with_changes(facts: Facts, texts: Sequence[str], *, meant: bool = False) -> Facts:
    """The facts with every change applied, in order, and said among the assumptions.

    Raises PlannerError where an expression cannot be read, matches nothing, leaves its range, puts
    a figure far off in the place of another (unless `meant`) or breaks a rule between tables.
    """
    return apply_changes(facts, texts, meant=meant)[0]


def apply_changes(
    facts: Facts, texts: Sequence[str], *, meant: bool = False
) -> tuple[Facts, tuple[Applied, ...]]:
    """The changed facts, and what each expression moved; PlannerError as `with_changes`."""
    done: list[Applied] = []
    before = facts
    for text in texts:
        facts, applied = _apply(facts, parse_change(text), meant)
        done.append(applied)
    broken = _broken_rules(before, facts)
    if broken:
        raise PlannerError(f"change {', '.join(map(repr, texts))}: {broken[0]}")
    said = tuple(f"Changed for this plan: {applied.said()}." for applied in done)
    return dataclasses.replace(facts, assumptions=(*facts.assumptions, *said)), tuple(done)


def parse_change(text: str) -> Change:
    """The expression, understood; PlannerError where it is none."""
    found = EXPRESSION.fullmatch(text)
    if found is None or not found["value"]:
        raise PlannerError(
            f"change {text!r}: write PATH=VALUE, PATH*=FACTOR or PATH+=AMOUNT, "
            "e.g. prices.h100*=0.8"
        )
    path, operator, word = found["path"], found["operator"], found["value"]
    kind = path.partition(".")[0]
    if kind not in KINDS:
        raise PlannerError(
            f"change {text!r}: no figure begins with {kind!r}; {near_matches(kind, KINDS)}"
        )
    value = _value(text, word)
    if operator != "=" and (isinstance(value, str | bool) or value is None):
        raise PlannerError(f"change {text!r}: {operator} needs a number, not {word!r}")
    return Change(text, path, operator, value)


def _value(text: str, word: str) -> Value:
    """What stands behind the sign: a number, none, true, false or another word."""
    if word.lower() in WORDS:
        return WORDS[word.lower()]
    if not looks_like_number(word):
        return word
    try:
        return asked_number(word)
    except ValueError as error:
        raise PlannerError(f"change {text!r}: {error}") from None


def _broken_rules(before: Facts, after: Facts) -> list[Finding]:
    """What the changed tables do not keep together, and did before."""
    if after.instance is before.instance:
        return []
    found: list[list[Finding]] = [
        [
            finding
            for check in RULES_OF_CHANGES
            for finding in check(Tables.of(facts.instance), load_catalog())
            if not finding.warning
        ]
        for facts in (before, after)
    ]
    return [finding for finding in found[1] if finding not in found[0]]


def _apply(facts: Facts, change: Change, meant: bool) -> tuple[Facts, Applied]:
    figures = _matching(facts, change)
    if change.operator != "=":
        blank = figures
        figures = [f for f in figures if f.stored is not None]
        if not figures:
            raise PlannerError(
                f"change {change.text!r}: {blank[0].names[0]} is not set, so it cannot be moved; "
                f"write = to set it"
            )
        wordy = next((f for f in figures if isinstance(f.stored, str | bool)), None)
        if wordy is not None:
            raise PlannerError(
                f"change {change.text!r}: {wordy.names[0]} is no number; write = to set it"
            )
    units = tuple(dict.fromkeys(f.unit for f in figures))
    if change.operator != "*=" and len(units) > 1:
        raise PlannerError(
            f"change {change.text!r}: its figures are in different units "
            f"({'; '.join(unit or 'no unit' for unit in units)}): name one kind of them"
        )
    moved = []
    for figure in figures:
        stored = _moved(figure, change)
        new = dataclasses.replace(figure, stored=stored)
        try:
            facts = figure.put(facts, stored)
            if change.operator == "=" and not meant:
                _refuse_slip(figure, new)
        except ValueError as error:
            raise PlannerError(
                f"change {change.text!r}: {figure.names[0]} would be {_said(new.value)} "
                f"{figure.unit}".rstrip()
                + f"; it {_lower(str(error))}"
            ) from None
        moved.append(Moved(figure.names[0], figure.unit, figure.value, new.value))
    return facts, Applied(change.text, tuple(moved))


def _refuse_slip(figure: Figure, new: Figure) -> None:
    """ValueError where an absolute figure is a slip beside the one that it replaces."""
    old, value = figure.value, new.value
    if figure.far is None or not isinstance(old, float) or not isinstance(value, float):
        return
    pieces = figure.pieces if value > old else 1  # in a price of one accelerator, the machine's
    found = doubt(value, old, figure.far, pieces=pieces, whose="today's")
    if found is not None and found.refused:
        raise ValueError(f"is {found.problem}; if it is meant, multiply: *=FACTOR")


def _matching(facts: Facts, change: Change) -> list[Figure]:
    """The figures that the path names; PlannerError with near names where there are none."""
    kind = change.path.partition(".")[0]
    every = list(figures_of(facts, kind))
    paths = [change.path, f"{change.path}*"] if change.operator == "*=" else [change.path]
    for path in paths:
        found = [f for f in every if any(fnmatchcase(name, path) for name in f.names)]
        if found:
            return found
    near = near_matches(change.path, (name for figure in every for name in figure.names))
    raise PlannerError(f"change {change.text!r}: nothing is called {change.path}; {near}")


def _moved(figure: Figure, change: Change) -> Value:
    """The figure's new stored value."""
    value, stored = change.value, figure.stored
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if change.operator == "=":
        new = value * figure.scale
    else:
        assert isinstance(stored, int | float)
        new = {
            "*=": stored * value,
            "+=": stored + value * figure.scale,
            "-=": stored - value * figure.scale,
        }[change.operator]
    moved = figure.whole and change.operator != "=" and math.isfinite(new)
    return float(math.floor(new + 1e-9)) if moved else new


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _said(value: Value) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else f"{value:,.6g}"


def _span(values: Sequence[Value]) -> str:
    """``1.9 to 6.88``, or the one value."""
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) == len(values) and min(numbers) != max(numbers):
        return f"{_said(min(numbers))} to {_said(max(numbers))}"
    return " or ".join(dict.fromkeys(_said(value) for value in values))
