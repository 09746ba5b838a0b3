"""The feed store: every fetch of every feed, for good.

::

    <store>/<feed>/<fetched at>-<hash>/
      meta.json     status, times, source, hashes, problems, warnings, notes
      table.csv     the rows in the instance's format     (not where the fetch failed)
      answers.zip   what the source said, byte by byte    (not where there was no answer)

A record appears whole or not at all (written beside its place, then renamed) and is never changed
or deleted. Reading one checks its hashes.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from planner.errors import FeedError
from planner.feeds.http import Answer
from planner.feeds.tables import KINDS, KindName, Reading, read_rows, to_csv
from planner.instance.schema import Row

META, TABLE, ANSWERS = "meta.json", "table.csv", "answers.zip"
ZIP_DATE = (1980, 1, 1, 0, 0, 0)
"""Same answers, same archive."""
Status = Literal["accepted", "refused", "failed"]
_RECORD_NAME = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{12}")


class Evidence(Row):
    """One answer of a source, as kept in ``answers.zip``."""

    file: str
    url: str
    content_type: str
    bytes: int
    sha256: str


class Meta(Row):
    """``meta.json``."""

    format_version: Literal[1] = 1
    feed: str
    kind: KindName
    status: Status
    fetched_at: dt.datetime
    observed_at: dt.datetime | None = None
    source: str = ""
    sha256: str
    """of all answers, in order"""
    table_sha256: str | None = None
    rows: int = 0
    answers: tuple[Evidence, ...] = ()
    problems: tuple[str, ...] = ()
    """why it failed or was refused"""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    doubted: tuple[str, ...] = ()
    """names whose figures were refused, for ``trust`` in ``feeds.toml``"""
    accepted_because: str | None = None
    """a person's reason for taking a refused table"""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What whoever uses the table must know: why it was taken all the same, what it lacks."""
        taken: tuple[str, ...] = ()
        if self.accepted_because is not None:
            taken = tuple(f"accepted ({self.accepted_because}): {text}" for text in self.problems)
        return (*taken, *self.warnings, *self.notes)


@dataclass(frozen=True)
class Record:
    """A record of the store: its folder and what ``meta.json`` says."""

    folder: Path
    meta: Meta

    @property
    def name(self) -> str:
        """``<fetched at>-<hash>``."""
        return self.folder.name

    def table(self) -> tuple[Row, ...]:
        """The rows; FeedError where the record has none or its file was changed."""
        path = self.folder / TABLE
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise FeedError(f"{path} cannot be read ({error.strerror})") from error
        if found != self.meta.table_sha256:
            raise FeedError(f"{path} was changed after it was written: fetch again")
        return read_rows(path, KINDS[self.meta.kind].row_class)


class Store:
    """The records of all feeds in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(
        self,
        feed: str,
        kind: KindName,
        status: Status,
        fetched_at: dt.datetime,
        *,
        reading: Reading | None = None,
        answers: Sequence[Answer] = (),
        problems: Sequence[str] = (),
        warnings: Sequence[str] = (),
        doubted: Sequence[str] = (),
        accepted_because: str | None = None,
    ) -> Record:
        """Write a record; FeedError where the folder cannot be written."""
        kept = tuple(answers) if reading is None else reading.answers
        evidence = tuple(_evidence(number, answer) for number, answer in enumerate(kept, start=1))
        table = "" if reading is None else to_csv(kind, reading.rows)
        meta = Meta(
            feed=feed,
            kind=kind,
            status=status,
            fetched_at=fetched_at,
            observed_at=None if reading is None else reading.observed_at,
            source="" if reading is None else reading.source,
            sha256=sha256_of(kept),
            table_sha256=None if reading is None else hashlib.sha256(table.encode()).hexdigest(),
            rows=0 if reading is None else len(reading.rows),
            answers=evidence,
            problems=tuple(problems),
            warnings=tuple(warnings),
            notes=() if reading is None else reading.notes,
            doubted=tuple(doubted),
            accepted_because=accepted_because,
        )
        try:
            return self._write(meta, table, kept)
        except OSError as error:
            problem = error.strerror or error
            raise FeedError(f"the feed store {self.folder} cannot be written: {problem}") from error

    def accept(self, record: Record, because: str, at: dt.datetime) -> Record:
        """A copy of a refused record that counts as accepted, with a person's reason."""
        if record.meta.status != "refused":
            raise FeedError(f"{record.name} is {record.meta.status}: only a refused table needs it")
        reading = Reading(
            kind=record.meta.kind,
            rows=record.table(),
            observed_at=record.meta.observed_at or record.meta.fetched_at,
            source=record.meta.source,
            answers=tuple(answers_of(record)),
            notes=record.meta.notes,
        )
        return self.add(
            record.meta.feed,
            record.meta.kind,
            "accepted",
            at,
            reading=reading,
            problems=record.meta.problems,
            warnings=record.meta.warnings,
            doubted=record.meta.doubted,
            accepted_because=because,
        )

    def _write(self, meta: Meta, table: str, answers: Sequence[Answer]) -> Record:
        parent = self.folder / meta.feed
        parent.mkdir(parents=True, exist_ok=True)
        text = meta.model_dump_json(indent=1)
        stamp = meta.fetched_at.strftime("%Y%m%dT%H%M%S%fZ")
        place = parent / f"{stamp}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".draft-") as scratch:
            draft = Path(scratch) / "record"
            draft.mkdir()
            if answers:
                _pack(draft / ANSWERS, answers)
            if meta.table_sha256 is not None:
                _put(draft / TABLE, table.encode())
            _put(draft / META, text.encode())
            if not place.exists():  # else the very same record
                draft.replace(place)
        return Record(place, meta)

    # ------------------------------------------------------------------ reading

    def records(self, feed: str) -> tuple[Record, ...]:
        """All records of a feed, oldest first; FeedError where one is damaged."""
        place = self.folder / feed
        try:
            names = sorted(path.name for path in place.iterdir()) if place.is_dir() else []
        except OSError as error:
            raise FeedError(f"{place} cannot be read ({error.strerror})") from error
        return tuple(_record(place / name) for name in names if _RECORD_NAME.fullmatch(name))

    def record(self, feed: str, name: str) -> Record:
        """A record by its name or the beginning of it; FeedError where it is none or not one."""
        found = [record for record in self.records(feed) if record.name.startswith(name)]
        if len(found) != 1:
            count = "no record" if not found else f"{len(found)} records"
            raise FeedError(f"{count} of {feed} begin with {name!r}: see planner feed list")
        return found[0]


def sha256_of(answers: Sequence[Answer]) -> str:
    """One hash over the bytes of all answers, each with its length before it."""
    total = hashlib.sha256()
    for answer in answers:
        total.update(len(answer.body).to_bytes(8, "big") + answer.body)
    return total.hexdigest()


def answers_of(record: Record) -> list[Answer]:
    """What the source said; FeedError where the archive was changed or is damaged."""
    if not record.meta.answers:
        return []
    path = record.folder / ANSWERS
    try:
        with zipfile.ZipFile(path) as archive:
            found = [
                Answer(part.url, part.content_type, archive.read(part.file))
                for part in record.meta.answers
            ]
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise FeedError(f"{path} is damaged ({error})") from error
    if sha256_of(found) != record.meta.sha256:
        raise FeedError(f"{path} was changed after it was written")
    return found


def _evidence(number: int, answer: Answer) -> Evidence:
    return Evidence(
        file=f"{number:04}",
        url=answer.url,
        content_type=answer.content_type,
        bytes=len(answer.body),
        sha256=hashlib.sha256(answer.body).hexdigest(),
    )


def _pack(path: Path, answers: Sequence[Answer]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, answer in enumerate(answers, start=1):
            entry = zipfile.ZipInfo(f"{number:04}", ZIP_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, answer.body)


def _put(path: Path, data: bytes) -> None:
    """Write a file down to the disk, so that a renamed folder never holds an empty one."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _record(folder: Path) -> Record:
    path = folder / META
    try:
        return Record(folder, Meta.model_validate_json(path.read_bytes()))
    except (OSError, ValidationError, ValueError) as error:
        problem = "not in its format" if isinstance(error, ValueError) else error.strerror
        raise FeedError(f"{path} is damaged ({problem}): move its folder away") from error


def forget_drafts(folder: Path) -> None:
    """Remove what a killed fetch left half written, if it is older than a day."""
    now = dt.datetime.now(dt.UTC).timestamp()
    for draft in folder.glob(".draft-*"):
        if now - draft.stat().st_mtime > 86_400.0:
            shutil.rmtree(draft, ignore_errors=True)


def as_json(meta: Meta) -> dict[str, Any]:
    """The meta data as plain JSON values."""
    plain: dict[str, Any] = json.loads(meta.model_dump_json())
    return plain
