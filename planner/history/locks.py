"""Locks with owner, heartbeat and expiry, so that one of many acts and a killed one is replaced.

A lock is a row. Who takes it gets a *fence*, a number that grows with every owner; who records
under the lock shows the fence inside the transaction (`Lease.confirm`), so somebody who slept past
the expiry cannot record after another took over. Times are those of the store's clock.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, TextClause, select, text

from planner.errors import HistoryError, LockLostError
from planner.history.engine import Store
from planner.history.schema import LOCKS

BEATS_PER_LIFE = 4
"""Heartbeats in the time after which a lock expires."""
CLOCK_S = {
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "extract(epoch FROM clock_timestamp())",
}
TAKE = """
    INSERT INTO locks (name, owner, fence, acquired_s, heartbeat_s, expires_s)
    VALUES (:name, :owner, 1, {now}, {now}, {now} + :life_s)
    ON CONFLICT (name) DO UPDATE SET
        owner = excluded.owner, fence = locks.fence + 1, acquired_s = excluded.acquired_s,
        heartbeat_s = excluded.heartbeat_s, expires_s = excluded.expires_s
    WHERE locks.expires_s <= {now}
    RETURNING fence
"""
RENEW = """
    UPDATE locks SET heartbeat_s = {now}, expires_s = {now} + :life_s
    WHERE name = :name AND owner = :owner AND fence = :fence AND expires_s > {now}
"""
RELEASE = """
    UPDATE locks SET expires_s = 0
    WHERE name = :name AND owner = :owner AND fence = :fence
"""


def new_owner() -> str:
    """``host:process:chance``: names this process to people, and nobody else."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, for people; ages are seconds."""

    owner: str
    held_s: float
    heartbeat_s: float
    """since the last sign of life"""
    expires_in_s: float


@dataclass(frozen=True)
class Lease:
    """A lock held: its name, owner and fence. Made by `take`."""

    store: Store
    name: str
    owner: str
    fence: int
    life_s: float

    def renew(self) -> None:
        """Sign of life; LockLostError where the lock has expired meanwhile."""
        alive = self.store.write(lambda c: c.execute(_sql(c, RENEW), self._values()).rowcount)
        if not alive:
            raise self._lost()

    def release(self) -> None:
        """Give the lock back; nothing where it is somebody else's by now."""
        self.store.write(lambda c: c.execute(_sql(c, RELEASE), self._values()))

    def confirm(self, connection: Connection) -> None:
        """LockLostError unless the lock is ours until this transaction ends."""
        query = select(LOCKS.c.owner, LOCKS.c.fence).where(LOCKS.c.name == self.name)
        row = connection.execute(query.with_for_update()).one_or_none()
        if row is None or (row.owner, row.fence) != (self.owner, self.fence):
            raise self._lost()

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Heartbeats from a thread, until the lock is lost."""
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(self.life_s / BEATS_PER_LIFE):
                try:
                    self.renew()
                except LockLostError:
                    return
                except HistoryError as error:  # busy or away: the next beat may still be in time
                    logging.getLogger(__name__).warning("heartbeat of %s: %s", self.name, error)

        thread = threading.Thread(target=beat, name=f"heartbeat of {self.name}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _values(self) -> dict[str, object]:
        return {
            "name": self.name, "owner": self.owner, "fence": self.fence, "life_s": self.life_s,
        }  # fmt: skip

    def _lost(self) -> LockLostError:
        return LockLostError(
            f"the lock {self.name!r} was lost by {self.owner}: it expired and another may hold it"
        )


def take(store: Store, name: str, owner: str, life_s: float) -> Lease | None:
    """The lock, if nobody holds it or its holder gave no sign of life for its `life_s`."""
    values = {"name": name, "owner": owner, "life_s": life_s}

    def work(connection: Connection) -> int | None:
        found = connection.execute(_sql(connection, TAKE), values).scalar_one_or_none()
        return None if found is None else int(found)

    fence = store.write(work)
    return None if fence is None else Lease(store, name, owner, fence, life_s)


def holder(store: Store, name: str) -> Holder | None:
    """Who holds the lock now; None: nobody."""
    with store.reading() as connection:
        now_s = float(connection.execute(_sql(connection, "SELECT {now}")).scalar_one())
        row = connection.execute(select(LOCKS).where(LOCKS.c.name == name)).one_or_none()
    if row is None or row.expires_s <= now_s:
        return None
    return Holder(row.owner, now_s - row.acquired_s, now_s - row.heartbeat_s, row.expires_s - now_s)


def _sql(connection: Connection, statement: str) -> TextClause:
    return text(statement.format(now=CLOCK_S[connection.dialect.name]))
