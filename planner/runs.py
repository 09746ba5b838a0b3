"""Run folders: everything that made an answer, and the answer, in one place.

::

    runs/<name>-<timestamp>/
      plan.json          the contract for programs
      request.json       what was asked on top of the instance: objective, caps, gap, limits
      instance/          the instance as it was read
      certificate.npz    the proof of the bound
      log.jsonl          phases, progress and the check
      tables/*.csv       the plan's lists, for spreadsheets

A folder appears whole or not at all: it is written beside its place and then renamed.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import io
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import RunError
from planner.instance.copy import copy_instance
from planner.plan import Plan

if TYPE_CHECKING:
    from planner.api import Answer, Request

PLAN, REQUEST, CERTIFICATE, LOG = "plan.json", "request.json", "certificate.npz", "log.jsonl"
INSTANCE, TABLE_FOLDER = "instance", "tables"
PLAN_TABLES = ("adoption", "fleet", "replicas", "routing", "training", "workloads")


@dataclass(frozen=True)
class Run:
    """A run folder read back."""

    folder: Path
    plan: Plan
    request: Request

    @property
    def instance_folder(self) -> Path:
        """The copy of the instance."""
        return self.folder / INSTANCE

    @property
    def certificate(self) -> Path:
        """The stored dual prices."""
        return self.folder / CERTIFICATE


def new_folder(name: str, parent: Path = Path("runs")) -> Path:
    """``runs/<name>-<timestamp>``, with a number where two fall in one second."""
    stamp = dt.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = parent / f"{name}-{stamp}"
    number = 2
    while folder.exists():
        folder = parent / f"{name}-{stamp}-{number}"
        number += 1
    return folder


def check_place(folder: Path) -> None:
    """RunError where a run folder would replace something that is not one."""
    if not folder.exists() or (folder / PLAN).is_file():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise RunError(f"{folder} exists and is not a run folder: name another with --output")


def write_run(folder: Path, answer: Answer) -> Path:
    """Write a whole run folder; replaces an older run there, never anything else.

    Raises RunError where the place is taken by something that is not a run, or cannot be written.
    """
    folder = folder.absolute()
    check_place(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
            draft = Path(scratch) / "run"
            draft.mkdir()
            write_files(draft, answer)
            settings = answer.facts.instance.settings
            source = Path(answer.facts.instance.folder)
            copy_instance(source, draft / INSTANCE, settings.incumbent)
            if folder.exists():
                folder.replace(Path(scratch) / "old")
            draft.replace(folder)
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror or error}") from error
    return folder


def write_files(folder: Path, answer: Answer) -> None:
    """Everything of a run folder but the copy of the instance."""
    (folder / PLAN).write_text(answer.plan.to_json(), encoding="utf-8")
    request = json.dumps(dataclasses.asdict(answer.request), indent=1)
    (folder / REQUEST).write_text(request, encoding="utf-8")
    (folder / LOG).write_text(answer.log.text(), encoding="utf-8")
    answer.proof.save(folder / CERTIFICATE)
    (folder / TABLE_FOLDER).mkdir()
    for name, text in plan_tables(answer.plan).items():
        (folder / TABLE_FOLDER / f"{name}.csv").write_text(text, encoding="utf-8", newline="")


def plan_tables(plan: Plan) -> dict[str, str]:
    """The plan's lists as CSV text, by name; lines of cost and carbon with their units."""
    tables = {
        name: _csv([dataclasses.asdict(row) for row in getattr(plan, name)])
        for name in PLAN_TABLES
        if getattr(plan, name)
    }
    if plan.hosting:
        tables["hosting"] = _csv([{"variant": v, "region": r} for v, r in plan.hosting])
    tables["cost_lines"] = _csv([{"line": k, "usd": v} for k, v in plan.cost_lines.items()])
    tables["carbon_lines"] = _csv([{"line": k, "kgco2e": v} for k, v in plan.carbon_lines.items()])
    return tables


def _csv(rows: Iterable[Mapping[str, Any]]) -> str:
    rows = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_run(folder: Path) -> Run:
    """Read a run folder; RunError says what is missing or damaged."""
    from planner.api import Request

    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"{folder} is not a run folder: no such folder")
    missing = [name for name in (PLAN, REQUEST, INSTANCE) if not (folder / name).exists()]
    if missing:
        raise RunError(f"{folder} is not a whole run folder: {', '.join(missing)} missing")
    try:
        data = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
        request = Request(**data)
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{folder / REQUEST} is damaged: {error}") from error
    return Run(folder, Plan.read(folder), request)
