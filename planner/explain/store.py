"""Sensitivities beside their run: ``sensitivity.json``, for the report and for programs.

::

    {"format_version": 1, "point": null, "minimised": "cost", "unit": "USD", "value": ...,
     "made_at": "...", "command": "planner explain ... --thresholds",
     "break_evens": [...], "price_tags": [...], "thresholds": [...], "not_reached": [...]}

The lists are those of `planner.explain.results`; break-evens and thresholds also have a
``sentence`` that says them in words. A later explanation replaces the sections that it
made and keeps the others. A point of a front has its file beside its plan.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

from planner.errors import RunError
from planner.explain.results import FORMAT_VERSION, Explanation
from planner.explain.said import break_even, threshold
from planner.front.front import FILE_NAME as FRONT
from planner.front.front import Front

FILE_NAME = "sensitivity.json"
SECTIONS = ("break_evens", "price_tags", "thresholds")


def place_of(run: Path, point: str | None) -> Path:
    """The file of a run, or of a point of a front."""
    if point is None:
        return run / FILE_NAME
    return (run / Front.read(run / FRONT).point(point).plan).parent / FILE_NAME


def store(found: Explanation, command: str) -> Path | None:
    """Write what the explanation says of sensitivities; None where it says nothing of them.

    Raises RunError where the folder cannot be written.
    """
    plain = found.to_dict()
    for row, one in zip(plain["break_evens"], found.break_evens, strict=True):
        row["sentence"] = break_even(one)
    for row, turn in zip(plain["thresholds"], found.thresholds, strict=True):
        row["sentence"] = threshold(turn)
    made = {name: plain[name] for name in SECTIONS if plain[name]}
    if not made:
        return None
    path = place_of(Path(found.run), found.point)
    body: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "point": found.point,
        "minimised": found.minimised,
        "unit": found.unit,
        "value": found.value,
        "made_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "command": command,
        **{name: [] for name in SECTIONS},
        **_earlier(path, found),
        **made,
        "not_reached": list(found.not_reached),
    }
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(body, indent=1, allow_nan=False), encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def _earlier(path: Path, found: Explanation) -> dict[str, Any]:
    """Sections of an older file about the same plan."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        same = body["format_version"] == FORMAT_VERSION and body["value"] == found.value
        return {name: body[name] for name in SECTIONS if same}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def read_sensitivity(run: Path, point: str | None = None) -> dict[str, Any] | None:
    """The stored file; None where there is none. RunError where it is damaged."""
    path = place_of(run, point)
    if not path.is_file():
        return None
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}") from error
    if not isinstance(body, dict) or body.get("format_version") != FORMAT_VERSION:
        raise RunError(f"{path} is of another version: run `planner explain` again")
    return body
