"""What the user may ask of the engine, and what it says while it works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class EngineOptions:
    """Stop at `gap_relative` or after `time_limit_s` of wall clock, whichever comes first."""

    gap_relative: float = 0.005
    time_limit_s: float = 60.0
    threads: int = 2
    seed: int = 0


@dataclass(frozen=True)
class Progress:
    """One line of live progress."""

    phase: str
    elapsed_s: float
    value: float
    bound: float

    @property
    def gap_relative(self) -> float:
        """(value - bound) / |value|; inf before both exist."""
        return relative_gap(self.value, self.bound)


ProgressListener = Callable[[Progress], None]


def relative_gap(value: float, bound: float) -> float:
    """(value - bound) / |value|, not below 0; inf where either is missing."""
    if not (abs(value) < float("inf") and abs(bound) < float("inf")):
        return float("inf")
    return max(value - bound, 0.0) / max(abs(value), 1e-12)
