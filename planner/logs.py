"""What happened, as JSON lines; and where a crash is written down."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO


@dataclass
class EventLog:
    """Events of one run in order, each with its time; kept in memory until the run is written.

    With a `stream` every event is written there at once too, as a line of JSON; what runs for
    months has a stream and does not keep.
    """

    began: float = field(default_factory=time.monotonic)
    events: list[dict[str, Any]] = field(default_factory=list)
    stream: TextIO | None = None
    keeps: bool = True

    def add(self, event: str, **fields: Any) -> None:
        """Note an event; values that JSON does not know become text."""
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        elapsed = round(time.monotonic() - self.began, 3)
        noted = {"time": now, "elapsed_s": elapsed, "event": event, **fields}
        if self.keeps:
            self.events.append(noted)
        if self.stream is not None:
            self.stream.write(_line(noted))
            self.stream.flush()

    def text(self) -> str:
        """One JSON object per line."""
        return "".join(_line(event) for event in self.events)


def _line(event: dict[str, Any]) -> str:
    return json.dumps(_finite(event), default=str) + "\n"


def _finite(event: dict[str, Any]) -> dict[str, Any]:
    """Infinite numbers (no plan or no bound yet) as null: JSON has no word for them."""
    return {
        name: None if isinstance(value, float) and abs(value) == float("inf") else value
        for name, value in event.items()
    }


def write_crash(error: BaseException, log: EventLog | None = None) -> Path:
    """Write the traceback and the events so far to a file of the temporary folder; its path."""
    text = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile(
        "w", prefix="planner-crash-", suffix=".log", delete=False, encoding="utf-8"
    ) as file:
        file.write((log.text() if log else "") + text)
    return Path(file.name)
