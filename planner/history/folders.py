"""Run folders on disk to drafts for the history, and back."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from planner.errors import HistoryError, RunError
from planner.history.records import Kind, RunDraft
from planner.plan import Plan
from planner.runs import LOG, PLAN

FRONT = "front.json"


def read_folder(folder: Path) -> tuple[tuple[str, bytes], ...]:
    """(path, content) of every file of a run folder, in order of path.

    Hidden files are drafts of an interrupted write and stay out; so do links, which may lead
    anywhere. RunError where the folder cannot be read.
    """
    try:
        paths = sorted(
            path
            for path in folder.rglob("*")
            if path.is_file()
            and not path.is_symlink()
            and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        )
        return tuple((path.relative_to(folder).as_posix(), path.read_bytes()) for path in paths)
    except OSError as error:
        raise RunError(f"cannot read {folder}: {error.strerror}") from error


def draft_of(folder: Path, extra_files: Mapping[str, bytes] | None = None) -> RunDraft:
    """A finished run folder of `planner plan` or `planner front` as a draft.

    RunError where it is neither, or damaged.
    """
    if not folder.is_dir():
        raise RunError(f"{folder} is not a run folder: no such folder")
    files = dict(read_folder(folder)) | dict(extra_files or {})
    if FRONT in files:
        return _front_draft(folder, files)
    if PLAN in files:
        return _plan_draft(files)
    raise RunError(f"{folder} is not a run folder: neither {PLAN} nor {FRONT} is there")


def _plan_draft(files: Mapping[str, bytes]) -> RunDraft:
    plan = plan_of(files[PLAN])
    finished = _last_event(files.get(LOG, b""))
    started = finished - dt.timedelta(seconds=sum(plan.timings.values()))
    code = 0 if plan.certificate.status == "optimal" else 5
    return _draft("plan", plan.instance.name, plan.instance.sha256, started, finished, code, files)


def _front_draft(folder: Path, files: Mapping[str, bytes]) -> RunDraft:
    from planner.front.front import Front

    front = Front.from_json(_text(files[FRONT]))
    written_s = (folder / FRONT).stat().st_mtime
    finished = dt.datetime.fromtimestamp(written_s, dt.UTC)
    started = finished - dt.timedelta(seconds=front.elapsed_s)
    code = 0 if front.certificate.complete else 5
    instance = front.instance
    return _draft("front", instance.name, instance.sha256, started, finished, code, files)


def _draft(
    kind: Kind,
    name: str,
    sha256: str,
    started: dt.datetime,
    finished: dt.datetime,
    code: int,
    files: Mapping[str, bytes],
) -> RunDraft:
    return RunDraft(kind, name, sha256, started, finished, code, "", tuple(sorted(files.items())))


def plan_of(content: bytes) -> Plan:
    """A stored plan.json; RunError where it is damaged."""
    return Plan.from_json(_text(content))


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RunError(f"not UTF-8 text: {error}") from error


def _last_event(log: bytes) -> dt.datetime:
    """Time of the log's last line; now where there is none."""
    try:
        moment = dt.datetime.fromisoformat(json.loads(log.splitlines()[-1])["time"])
        return moment.astimezone(dt.UTC)
    except (IndexError, KeyError, TypeError, ValueError):
        return dt.datetime.now(dt.UTC)


def write_folder(folder: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    """Write stored files as a run folder again, whole or not at all; HistoryError if it exists."""
    folder = folder.absolute()
    if folder.exists():
        raise HistoryError(f"{folder} exists: name a folder that does not")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
            draft = Path(scratch) / "run"
            draft.mkdir()
            for path, content in files:
                place = draft / path
                if not place.resolve().is_relative_to(draft.resolve()):
                    raise HistoryError(f"a stored path leads out of the run folder: {path}")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
            draft.rename(folder)
    except OSError as error:
        raise HistoryError(f"cannot write {folder}: {error.strerror}") from error
    return folder
