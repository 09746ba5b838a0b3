"""What would change the answer: the thresholds that `planner explain --thresholds` stored."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """One figure that was moved, and where the decision turns."""

    figure: str
    today: str
    tested: str
    turns: str
    what: str
    distance: float
    """how far the figure must move, as a ratio above 1; infinite where it does not turn"""
    sentence: str


@dataclass(frozen=True)
class Changes:
    """All figures that were tested."""

    intro: str
    rows: tuple[Change, ...]

    def nearest(self, most: int) -> tuple[Change, ...]:
        """Those that turn the decision with the least move."""
        return tuple(sorted(self.rows, key=lambda row: row.distance)[:most])
