"""Finding: one thing wrong in an instance folder, where it is, and how to mend it.

A finding with a name may be meant: ``accept`` in ``instance.toml`` says so by that name. A warning
is listed and told in the plan, and stops nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

LONGEST_HINT = 120
"""Longer words are no ids but accidents: not offered as matches."""


@dataclass(frozen=True)
class Finding:
    """One problem; `row` is the line of the file (None: the file as a whole)."""

    file: str
    row: int | None
    column: str
    value: str
    problem: str
    remedy: str
    warning: bool = False
    name: str = ""
    """what ``accept`` calls it; empty: it cannot be accepted"""

    def __str__(self) -> str:
        """``file:row column "value": problem; remedy``, empty parts left out."""
        meant = f"; if it is meant: {accepting([self])}" if self.name else ""
        return f"{self.place}: {self.problem}; {self.remedy}{meant}"

    @property
    def place(self) -> str:
        """``file:row column "value"``, empty parts left out."""
        place = self.file if self.row is None else f"{self.file}:{self.row}"
        column = f" {self.column}" if self.column else ""
        value = f" {self.value!r}" if self.value else ""
        return f"{place}{column}{value}"


def accepting(findings: Iterable[Finding]) -> str:
    """The line of ``instance.toml`` that says that these findings are meant."""
    names = dict.fromkeys(finding.name for finding in findings if finding.name)
    listed = ", ".join(f'"{name}"' for name in names)
    return f"accept = [{listed}] in instance.toml"


def near_matches(word: str, known: Iterable[str]) -> str:
    """``did you mean a or b?``, or the first known words where nothing is near."""
    words = sorted({name for name in known if len(name) <= LONGEST_HINT})
    lowered = {name.lower(): name for name in reversed(words)}
    near = difflib.get_close_matches(word[:LONGEST_HINT].lower(), lowered, n=3, cutoff=0.6)
    if near:
        return "did you mean " + " or ".join(lowered[name] for name in near) + "?"
    if not words:
        return "nothing is defined there yet"
    shown = ", ".join(words[:8]) + (f" and {len(words) - 8} more" if len(words) > 8 else "")
    return f"known: {shown}"


def shortened(text: str, length: int = 60) -> str:
    """A cell as shown to people: printable, at most `length` characters."""
    clean = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
    return clean if len(clean) <= length else clean[: length - 1] + "…"
