"""Own tables: CSV or Parquet, from a folder or by http(s), in the instance's own format.

Format: one table of the feed's kind with the columns of `planner.feeds.tables` and a column
``date`` (year-month-day); units in headers as in instance tables. A table may hold many dates: the
newest one that is not after the asked day is taken, whole. A folder holds ``{kind}.csv`` or
``{kind}.parquet``. Parquet needs the extra ``parquet`` (pyarrow).
"""

from __future__ import annotations

import datetime as dt
import io
import tempfile
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, create_model, model_validator

from planner.errors import FeedError
from planner.feeds.feed import Feed, listed
from planner.feeds.http import Answer, Http
from planner.feeds.need import Need
from planner.feeds.tables import KINDS, KindName, Reading, figures, key_of, read_rows
from planner.instance.schema import Row

CSV_TYPES = ("text/csv", "text/plain", "application/csv", "application/octet-stream")
PARQUET_TYPES = ("application/vnd.apache.parquet", "application/octet-stream",
                 "application/x-parquet")  # fmt: skip
INSTALL = "pip install 'fleet-planner[parquet]'"
MAGIC = b"PAR1"
"""First bytes of a Parquet file."""


class OwnTables(Feed):
    """``reader = "tables"``: a dated table of your own."""

    reader: Literal["tables"]
    path: str | None = None
    """file, or folder with ``{kind}.csv`` or ``{kind}.parquet``, relative to ``feeds.toml``"""
    url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    """http(s) address of the file, instead of a path"""
    folder: str = ""
    """set when the settings are read: where ``feeds.toml`` lies"""

    source_name: ClassVar[str] = "own tables"

    @model_validator(mode="after")
    def _one_place(self) -> OwnTables:
        if (self.path is None) == (self.url is None):
            raise ValueError("give path or url, one of them")
        return self

    def read(self, need: Need, http: Http, at: dt.datetime) -> Reading:
        """The newest table that is not after `at`."""
        name, body = self._bytes(http)
        rows = dated_rows(self.kind, name, body)
        dates = sorted({day for day, _ in rows if day <= at.date()})
        if not dates:
            raise FeedError(f"{name}: no row dated on or before {at.date()}")
        newest = [row for day, row in rows if day == dates[-1]]
        chosen = tuple(row for row in newest if not self._ignored(row))
        observed = dt.datetime.combine(dates[-1], dt.time(), dt.UTC)
        notes = tuple(_unsaid(need, self.kind, chosen, self.ignore))
        return Reading(self.kind, chosen, observed, name, tuple(http.answers), notes)

    def _ignored(self, row: Row) -> bool:
        """Whether the row, or all of its region or workload, is to be left alone."""
        key = key_of(self.kind, row)
        return bool({key[0], "/".join(key[:2])} & set(self.ignore))

    def _bytes(self, http: Http) -> tuple[str, bytes]:
        """Where the table is, and its bytes."""
        if self.url is not None:
            packed = self.url.partition("?")[0].endswith(".parquet")
            types = PARQUET_TYPES if packed else CSV_TYPES
            answer = http.get(self.url, types=types, keep_query=False)
            return answer.url, answer.body
        place = Path(self.folder) / (self.path or "")
        if place.is_dir():
            files = [place / f"{self.kind}.{ending}" for ending in ("csv", "parquet")]
            place = next((file for file in files if file.is_file()), files[0])
        most = http.settings.max_bytes
        try:
            with place.open("rb") as file:
                body = file.read(most + 1)
        except OSError as error:
            raise FeedError(f"{place} cannot be read ({error.strerror})") from error
        if len(body) > most:
            raise FeedError(f"{place} has more than {most:,} bytes (http.max_bytes)")
        http.answers.append(Answer(str(self.path), "", body))
        return str(self.path), body


def _unsaid(
    need: Need, kind: KindName, rows: Sequence[Row], ignore: Collection[str]
) -> Iterator[str]:
    """Figures that the table does not speak of, whole regions, offers, workloads ... as one."""
    now = figures(kind, rows)
    spoken_of = {part for name in now for part in _parts(name)}
    silent: dict[str, int] = {}
    for name, value in need.today(kind).items():
        parts = _parts(name)
        if name in now or set(parts) & set(ignore):
            continue
        depth, part = next(
            ((depth, part) for depth, part in enumerate(parts) if part not in spoken_of), (-1, "")
        )
        if kind == "carbon" and depth != 0:
            continue  # a table of a few months speaks of the year
        silent[part or f"{name} {value:g}"] = max(depth, 0)
    if silent:
        yield f"not in the table, so as before: {listed(sorted(silent, key=silent.__getitem__))}"


def _parts(name: str) -> list[str]:
    """``a/b/c requests_per_s`` -> ``a``, ``a/b``, ``a/b/c``."""
    return list(accumulate(name.partition(" ")[0].split("/"), "{}/{}".format))


def dated_rows(kind: str, name: str, body: bytes) -> list[tuple[dt.date, Row]]:
    """Every row with its date; FeedError lists what is wrong."""
    if body.startswith(MAGIC):
        body = _csv_of_parquet(name, body)
    if not body.endswith(b"\n"):
        raise FeedError(f"{name} ends in the middle of a line: was it cut off? End it with a break")
    row_class = KINDS[kind].row_class
    dated = create_model(f"Dated{row_class.__name__}", __base__=row_class, date=(dt.date, ...))
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / f"{kind}.csv"
        file.write_bytes(body)
        rows = read_rows(file, dated, name)
    cells = [row.model_dump() for row in rows]
    return [(parts.pop("date"), row_class.model_validate(parts)) for parts in cells]


def _csv_of_parquet(name: str, body: bytes) -> bytes:
    """A Parquet file as CSV text, so that both take the same way through the checks."""
    import pandas as pd

    try:
        frame = pd.read_parquet(io.BytesIO(body), engine="pyarrow")
    except ImportError as error:
        raise FeedError(f"Parquet tables need the library pyarrow: {INSTALL}") from error
    except (ValueError, OSError, TypeError, KeyError, NotImplementedError) as error:
        raise FeedError(
            f"{name} is not a readable Parquet file ({type(error).__name__})"
        ) from error
    return frame.to_csv(index=False, lineterminator="\n").encode()
