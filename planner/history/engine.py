"""The store behind the history: where it is, how it is opened, what a transaction is.

SQLite: a file in WAL mode, so readers never wait for the writer; every commit is synced to disk.
Postgres: by URL, through psycopg 3 (extra ``postgres``). Reading transactions are read-only for
the engine itself and see one moment; writing ones are retried where the engine asks for it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    DisconnectionError,
    NoSuchModuleError,
    OperationalError,
)
from sqlalchemy.pool import QueuePool

from planner.errors import HistoryError
from planner.extras import missing_extra
from planner.history.migrations import NEWEST, check_version, upgrade, version_of

Result = TypeVar("Result")

ENVIRONMENT = "PLANNER_HISTORY"
DEFAULT = "runs/history.db"
BUSY_TIMEOUT_S = 30
"""A writer of SQLite waits so long for another one."""
TRIES = 5
"""Of a writing transaction that the engine wants repeated."""
TRANSIENT = {"40001", "40P01", "08006", "57P01"}
"""SQLSTATEs of Postgres: serialization, deadlock, connection lost, shutdown."""


def chosen(url: str | None) -> str:
    """The URL or path given, else of the environment, else the default."""
    return url or os.environ.get(ENVIRONMENT) or DEFAULT


def parsed(url: str) -> URL:
    """A path or URL as SQLAlchemy's; HistoryError for engines that are not ours."""
    if "://" not in url:
        return URL.create("sqlite", database=str(Path(url).absolute()))
    try:
        made = make_url(url)
    except ArgumentError as error:
        raise HistoryError(f"not the URL of a history: {error}") from error
    backend = made.get_backend_name()
    if backend == "postgresql":
        return made.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and made.database:
        return made.set(drivername="sqlite")
    raise HistoryError(
        f"a history cannot be kept in {made.render_as_string(hide_password=True)}: "
        "name a file, or postgresql://user@host/database"
    )


class Store:
    """An open store; threads may share it."""

    def __init__(self, url: str, *, create: bool) -> None:
        """Open it, brought to the newest schema; HistoryError says what is wrong with it.

        Without `create` the store must exist already.
        """
        self.url = parsed(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._check_file(create)
        self.engine = self._engine()
        self._reader = self._reading_engine()
        try:
            self._bring_up_to_date(create)
        except BaseException:
            self.close()
            raise

    def __str__(self) -> str:
        """The place, without password."""
        if self.is_sqlite:
            return str(self.url.database)
        return self.url.set(drivername="postgresql").render_as_string(hide_password=True)

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    # ------------------------------------------------------------------ transactions

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read-only transaction that sees one moment."""
        try:
            with self._reader.connect() as connection, connection.begin():
                yield connection
        except DBAPIError as error:
            raise self._error(error) from error

    def write(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work` in one transaction: all of it is kept, or nothing.

        It is repeated where the engine asks for it, so it must have no other effects.
        """
        for left in reversed(range(TRIES)):
            try:
                with self.engine.begin() as connection:
                    return work(connection)
            except OperationalError as error:
                if not left or not self._is_transient(error):
                    raise self._error(error) from error
                time.sleep(0.05 * (TRIES - left))
            except DBAPIError as error:
                raise self._error(error) from error
        raise AssertionError("unreachable")

    # ------------------------------------------------------------------ engines

    def _bring_up_to_date(self, create: bool) -> None:
        with self.reading() as connection:
            version = version_of(connection)
        check_version(version)
        if version == 0 and not create:
            raise HistoryError(f"{self} holds no history yet: record a run with --history")
        if version < NEWEST:
            self.write(upgrade)

    def _check_file(self, create: bool) -> None:
        if not self.is_sqlite:
            return
        path = Path(str(self.url.database))
        try:
            if path.is_dir():
                raise HistoryError(f"{path} is a folder: name the file of a history")
            if create:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            elif not path.exists():
                raise HistoryError(
                    f"{path}: no such history; `planner plan --history {path}` begins one, "
                    f"--history or {ENVIRONMENT} names another"
                )
        except OSError as error:
            raise HistoryError(f"cannot open {path}: {error.strerror}") from error

    def _engine(self) -> Engine:
        try:
            if not self.is_sqlite:
                return create_engine(self.url, pool_pre_ping=True, pool_size=10, max_overflow=20)
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            raise missing_extra("postgres", "a history in Postgres") from error
        return sqlite_engine(Path(str(self.url.database)))

    def _reading_engine(self) -> Engine:
        if self.is_sqlite:
            return self.engine.execution_options(reads_only=True)
        return self.engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )

    # ------------------------------------------------------------------ errors

    def _is_transient(self, error: OperationalError) -> bool:
        if self.is_sqlite:
            return "locked" in str(error.orig)
        return getattr(error.orig, "sqlstate", None) in TRANSIENT

    def _error(self, error: DBAPIError) -> HistoryError:
        """In one sentence, without the statement and its values."""
        said = " ".join(str(error.orig).split())
        if "file is not a database" in said:
            said = "the file is not a history (nor any SQLite database)"
        elif self.is_sqlite and "locked" in said:
            said = f"another process has been writing for {BUSY_TIMEOUT_S} s"
        return HistoryError(f"{self}: {said}")


# ------------------------------------------------------------------ SQLite


def sqlite_engine(path: Path) -> Engine:
    """Connections to the file that is there now: one that was replaced or removed is noticed."""

    def connect() -> sqlite3.Connection:
        # Without mode=rw, SQLite would make an empty file where the history was removed.
        place = f"file:{quote(str(path))}?mode=rw"
        return sqlite3.connect(place, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False)

    def opened(connection: sqlite3.Connection, record: Any) -> None:
        _prepare_sqlite(connection)
        record.info["file"] = _identity(path)

    def taken(_: object, record: Any, __: object) -> None:
        if record.info["file"] != _identity(path):
            raise DisconnectionError

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=10,
                           max_overflow=50)  # fmt: skip
    event.listen(engine, "connect", opened)
    event.listen(engine, "checkout", taken)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode; None where there is no such file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _prepare_sqlite(connection: sqlite3.Connection) -> None:
    """BEGIN is ours (`_begin_sqlite`); wait for writers; sync commits; write-ahead log."""
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_S * 1000}",
        "foreign_keys = ON",
        "synchronous = FULL",
        "journal_mode = WAL",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """Writers take the lock at once: upgrading from a read could fail halfway."""
    reads_only = connection.get_execution_options().get("reads_only", False)
    connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if reads_only else 'OFF'}")
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")
