"""gpuhunt's catalog: prices of several providers, collected daily by dstack.

Published format (https://github.com/dstackai/gpuhunt, package 0.1.34): a provider's newest version
is the text of ``{url}/{provider}/version`` (it begins with the date, ``20261120``); its prices are
``{provider}.csv`` inside ``{url}/{provider}/{version}/catalog.zip``, with the columns
``instance_name``, ``location`` (a region; a zone for gcp), ``price`` (USD per hour for the whole
machine), ``gpu_count``, ``spot`` (``True`` or ``False``), ``provider_data`` (JSON) and others.

The package itself reads without time-outs or limits and skips rows that it cannot read; a feed must
notice them, so the published files are read here. Rows of gcp's calendar mode are other contracts
and left out. Zones of a region must agree.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from planner.errors import FeedError
from planner.feeds.feed import PriceFeed, PriceSheet
from planner.feeds.http import Http, parse_json
from planner.feeds.need import Need, NeededOffer
from planner.feeds.readers.parse import amount
from planner.feeds.tables import Reading

TEXT_TYPES = ("text/plain", "application/octet-stream", "binary/octet-stream")
ZIP_TYPES = ("application/zip", "application/octet-stream", "binary/octet-stream",
             "application/x-zip-compressed")  # fmt: skip
COLUMNS = ("instance_name", "location", "price", "gpu_count", "spot", "provider_data")
_VERSION = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})[A-Za-z0-9.-]{0,40}")
_ZONE = re.compile(r"(.+-.+)-[a-z]")
MOST_ROWS = 1_000_000


class Gpuhunt(PriceFeed):
    """``reader = "gpuhunt"``: on-demand and spot prices from gpuhunt's published catalog."""

    reader: Literal["gpuhunt"]
    provider: Literal["aws", "azure", "gcp", "nebius"]
    """provider whose catalog is read"""
    url: str = "https://dstack-gpu-pricing.s3.eu-west-1.amazonaws.com/v3"
    """where the catalogs are published"""

    source_name: ClassVar[str] = "gpuhunt's catalog"
    providers: ClassVar[tuple[str, ...]] = ("aws", "azure", "gcp", "nebius")
    sold: ClassVar[tuple[str, ...]] = ("on-demand", "spot")

    def wanted(self, need: Need) -> dict[tuple[str, str], NeededOffer]:
        """Machines of the one provider."""
        found = super().wanted(need)
        own = {key: offer for key, offer in found.items() if offer.provider == self.provider}
        if not own:
            raise FeedError(f"the instance has no machine of {self.provider}: delete the feed")
        return own

    def read(self, need: Need, http: Http, at: dt.datetime) -> Reading:
        """The newest catalog of the provider: USD per hour for a whole machine."""
        wanted = self.wanted(need)
        base = f"{self.url}/{self.provider}"
        version = _text(http.get(f"{base}/version", types=TEXT_TYPES).body, "version").strip()
        observed = _date(version)
        source = f"{base}/{version}/catalog.zip"
        packed = http.get(source, types=ZIP_TYPES).body
        table = unpacked(packed, f"{self.provider}.csv", http.settings.max_bytes)
        sheet = PriceSheet()
        for line, row in _rows(table):
            region = row["location"]
            if self.provider == "gcp" and (zone := _ZONE.fullmatch(region)):
                region = zone[1]
            offer = wanted.get((region, row["instance_name"]))
            if offer is not None:
                with sheet.leaving_out():
                    self._put(sheet, offer, row, f"{self.provider}.csv:{line}")
        notes = self.gaps(need, sheet)
        return Reading("prices", sheet.rows(), observed, source, tuple(http.answers), notes)

    def _put(
        self, sheet: PriceSheet, offer: NeededOffer, row: Mapping[str, str], where: str
    ) -> None:
        """Note the price of a row, if it is one that the planner buys."""
        if _calendar_mode(row, where) or not self.takes(market := _market(row, where)):
            return
        if amount(row["gpu_count"]) != offer.accelerators:
            raise FeedError(
                f"{where} gpu_count {row['gpu_count'][:20]!r}: {offer.name} has "
                f"{offer.accelerators}"
            )
        usd_per_h = amount(row["price"])
        if usd_per_h is None:
            raise FeedError(f"{where} price {row['price'][:40]!r} of {offer.name}: not a price")
        sheet.put(offer, market, usd_per_h)


def unpacked(packed: bytes, name: str, max_bytes: int) -> str:
    """One text file of a zip archive, no larger than `max_bytes` whatever the archive claims."""
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive, archive.open(name) as member:
            data = member.read(max_bytes + 1)
    except (zipfile.BadZipFile, KeyError, zlib.error, OSError, EOFError, ValueError,
            NotImplementedError, RuntimeError) as error:  # fmt: skip
        raise FeedError(f"catalog.zip has no readable {name} ({error})") from error
    if len(data) > max_bytes:
        raise FeedError(f"{name} has more than {max_bytes:,} bytes (http.max_bytes)")
    return _text(data, name)


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FeedError(f"{what} is not UTF-8 text") from error


def _date(version: str) -> dt.datetime:
    found = _VERSION.fullmatch(version)
    try:
        if found:
            year, month, day = (int(part) for part in found.groups())
            return dt.datetime(year, month, day, tzinfo=dt.UTC)
    except ValueError:
        pass
    raise FeedError(f"{version[:60]!r} is not a version that begins with a date")


def _rows(table: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    """(line, cells by column), every row as wide as the header."""
    if not table.endswith("\n"):
        raise FeedError("the catalog ends in the middle of a line: it was cut off")
    reader = csv.reader(io.StringIO(table, newline=""), strict=True)
    try:
        header = next(reader, [])
        missing = [name for name in COLUMNS if header.count(name) != 1]
        if missing:
            raise FeedError(f"the catalog has no column {', '.join(missing)}")
        for number, cells in enumerate(reader):
            if len(cells) != len(header) or number >= MOST_ROWS:
                raise FeedError(f"line {reader.line_num}: {len(cells)} cells, not {len(header)}")
            yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise FeedError(f"line {reader.line_num}: not a CSV table ({error})") from error


def _market(row: Mapping[str, str], where: str) -> str:
    market = {"true": "spot", "false": "on-demand"}.get(row["spot"].lower())
    if market is None:
        raise FeedError(f"{where} spot {row['spot'][:20]!r}: neither True nor False")
    return market


def _calendar_mode(row: Mapping[str, str], where: str) -> bool:
    """Whether the row is for capacity reserved by calendar, which the planner does not buy."""
    text = row["provider_data"]
    data = parse_json(text.encode(), where) if text else {}
    if not isinstance(data, dict):
        raise FeedError(f"{where} provider_data: not an object")
    return bool(data.get("is_dws_calendar_mode"))
