"""While a search runs: one live line on the terminal, and Ctrl-C that keeps what is held."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner

from planner.answer.words import number, percent

if TYPE_CHECKING:
    from planner.solve.options import Progress

REFRESH_PER_S = 4


class Interrupts:
    """Ctrl-C that keeps what is held.

    The first one asks the search to stop: the next news of it (`check`) raises KeyboardInterrupt,
    which the engine answers with the plan it holds. The second one leaves at once.
    """

    def __init__(self) -> None:
        self.stopping = False
        self._before: Any = None

    def __enter__(self) -> Interrupts:
        self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGINT, self._before)

    def check(self, progress: Progress) -> None:
        """Raise KeyboardInterrupt once a stop was asked for and there is a plan to keep."""
        if self.stopping and progress.value < float("inf"):
            raise KeyboardInterrupt

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.stopping:
            raise KeyboardInterrupt
        self.stopping = True


@contextmanager
def live_line(interrupted: Callable[[], None], *, shows: bool) -> Iterator[Callable[[str], None]]:
    """Ctrl-C calls `interrupted`; gives what writes a line to stderr, which goes at the end."""

    def show(text: str) -> None:
        if shows:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    before = signal.signal(signal.SIGINT, lambda number, frame: interrupted())
    try:
        yield show
    finally:
        signal.signal(signal.SIGINT, before)
        show("")


class LiveProgress:
    """Phase, value, bound, gap and time left, on stderr; removed at the end."""

    def __init__(self, name: str, time_limit_s: float, interrupts: Interrupts) -> None:
        self.name, self.time_limit_s, self.interrupts = name, time_limit_s, interrupts
        self.began = time.monotonic()
        self.latest: Progress | None = None
        self._spinner = Spinner("dots")
        self._live = Live(
            get_renderable=self._line,
            console=Console(stderr=True),
            refresh_per_second=REFRESH_PER_S,
            transient=True,
        )

    def __enter__(self) -> LiveProgress:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, progress: Progress) -> None:
        """Take the news of the search."""
        self.latest = progress

    def _line(self) -> Spinner:
        self._spinner.update(text=self.text())
        return self._spinner

    def text(self) -> str:
        """``reference  improvement  value 412,345  bound 410,100  gap 0.54 %  48 s left``."""
        left = max(self.time_limit_s - (time.monotonic() - self.began), 0.0)
        parts = [self.name]
        if self.latest is None:
            parts.append("reading and preparing")
        else:
            p = self.latest
            parts.append(p.phase)
            parts += [
                f"{what} {number(value)}"
                for what, value in (("value", p.value), ("bound", p.bound))
                if abs(value) < float("inf")
            ]
            if p.gap_relative < float("inf"):
                parts.append(f"gap {percent(p.gap_relative)}")
        parts.append(
            "stopping, Ctrl-C again to leave at once"
            if self.interrupts.stopping
            else f"{left:.0f} s left"
        )
        return "  ".join(parts)
