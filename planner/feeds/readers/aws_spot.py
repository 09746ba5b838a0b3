"""AWS spot prices: the mean of EC2's spot price history over a window.

Published format (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/
API_DescribeSpotPriceHistory.html): pages with a ``NextToken``; one row per change of price in a
zone, ``InstanceType``, ``ProductDescription`` (``Linux/UNIX``), ``SpotPrice`` as text,
``Timestamp``, ``AvailabilityZone``. With a start time the list also has the last change before it,
so a price holds from its time stamp to the next one.

The price of a machine in a zone is its mean over time; zones are averaged, or the cheapest or the
dearest is taken (`zones`). Extra ``aws`` (boto3); needs ``ec2:DescribeSpotPriceHistory``.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, ClassVar, Literal

from pydantic import Field

from planner.errors import FeedError
from planner.feeds.feed import PriceFeed, PriceSheet, Remarks, listed
from planner.feeds.http import Http
from planner.feeds.need import Need, NeededOffer
from planner.feeds.readers.aws_client import AwsClients, boto_errors
from planner.feeds.readers.parse import amount, outliers
from planner.feeds.tables import Reading
from planner.instance.schema import Positive

LINUX = "Linux/UNIX"
History = dict[str, dict[dt.datetime, float]]
"""zone -> time -> USD/h of a machine from then on"""


class AwsSpot(PriceFeed):
    """``reader = "aws-spot"``: spot prices of AWS's machines."""

    reader: Literal["aws-spot"]
    window_h: Positive = 168.0
    """hours of history that the mean is taken over"""
    zones: Literal["mean", "cheapest", "dearest"] = "mean"
    """which of the zones of a region counts"""
    least_window_share: float = Field(default=0.9, gt=0.0, le=1.0)
    """least share of the window that the history of every zone must cover"""
    outlier_factor: float = Field(default=10.0, gt=1.0)
    """a price this many times the median one of the machine, or that part of it, is doubted"""
    endpoint_url: str | None = None
    """where the API answers; default: AWS's own in each region"""

    source_name: ClassVar[str] = "the AWS spot price history"
    providers: ClassVar[tuple[str, ...]] = ("aws",)
    sold: ClassVar[tuple[str, ...]] = ("spot",)

    def read(self, need: Need, http: Http, at: dt.datetime) -> Reading:
        """Spot prices as of `at`, USD per hour for a whole machine, Linux."""
        wanted = self.wanted(need)
        sheet, remarks = PriceSheet(), Remarks()
        window = at - dt.timedelta(hours=self.window_h), at
        which = {"mean": "the mean of the zones", "cheapest": "the cheapest zone",
                 "dearest": "the dearest zone"}[self.zones]  # fmt: skip
        remarks.note(f"spot: mean over {self.window_h:g} h, {which}")
        clients = AwsClients(http)
        for region in dict.fromkeys(region for region, _ in wanted):
            names = [name for place, name in wanted if place == region]
            client = clients.client("ec2", region, self.endpoint_url)
            rows = self._rows(client, http, region, names, window)
            for name, found in _histories(rows, names, region, sheet).items():
                offer = wanted[region, name]
                self._doubt_outliers(offer, found, remarks)
                with sheet.leaving_out():
                    sheet.put(offer, "spot", self._usd_per_h(offer, found, window))
        source = self.endpoint_url or "EC2 DescribeSpotPriceHistory"
        notes = (*remarks.notes, *self.gaps(need, sheet))
        answers = tuple(http.answers)
        return Reading("prices", sheet.rows(), at, source, answers, notes, remarks.doubts)

    def _rows(
        self,
        client: Any,
        http: Http,
        region: str,
        names: Sequence[str],
        window: tuple[dt.datetime, dt.datetime],
    ) -> Iterator[Mapping[str, Any]]:
        """Every change of price in the window."""
        request: dict[str, Any] = {
            "InstanceTypes": list(names),
            "ProductDescriptions": [LINUX],
            "StartTime": window[0],
            "EndTime": window[1],
        }
        for number in http.pages(f"the spot history of {region}"):
            where = f"page {number} of the spot history of {region}"
            with boto_errors(where):
                page = client.describe_spot_price_history(**request)
            rows = page.get("SpotPriceHistory")
            if not isinstance(rows, list):
                raise FeedError(f"{where}: no list of prices")
            yield from rows
            if not page.get("NextToken"):
                return
            request["NextToken"] = page["NextToken"]

    def _doubt_outliers(self, offer: NeededOffer, history: History, remarks: Remarks) -> None:
        """A price far from the median one of the window may be a slip, or a market gone mad."""
        prices = {(zone, when): p for zone, steps in history.items() for when, p in steps.items()}
        far, middle = outliers(prices, self.outlier_factor)
        shown = [f"{p:g} USD/h in {zone} at {when:%Y-%m-%d %H:%M} UTC"
                 for (zone, when), p in far.items()]  # fmt: skip
        if shown:
            remarks.doubt(
                f"{offer.name}: {listed(shown)}, where the median is {middle:g} "
                f"(outlier_factor {self.outlier_factor:g})",
                offer.name,
            )

    def _usd_per_h(
        self, offer: NeededOffer, history: History, window: tuple[dt.datetime, dt.datetime]
    ) -> float:
        """The price over the zones of a machine; FeedError where one has too little history."""
        means = {zone: time_mean(steps, *window) for zone, steps in history.items()}
        short = [
            f"{zone} {covered:.0%}"
            for zone, (_, covered) in sorted(means.items())
            if covered < self.least_window_share
        ]
        if short:
            raise FeedError(
                f"{offer.name}: its history covers of the {self.window_h:g} h only in "
                f"{listed(short)} (least_window_share {self.least_window_share:g})"
            )
        choose: dict[str, Callable[[list[float]], float]] = {
            "mean": fmean, "cheapest": min, "dearest": max
        }  # fmt: skip
        return choose[self.zones]([mean for mean, _ in means.values()])


def _histories(
    rows: Iterable[Mapping[str, Any]], names: Sequence[str], region: str, sheet: PriceSheet
) -> dict[str, History]:
    """The history of every machine, but not of one with a price that cannot be read."""
    found: dict[str, History] = defaultdict(lambda: defaultdict(dict))
    spoilt: set[str] = set()
    for row in rows:
        name, zone, when = _place(row, names, region)
        usd_per_h = amount(str(row.get("SpotPrice")))
        with sheet.leaving_out():
            if not usd_per_h or found[name][zone].setdefault(when, usd_per_h) != usd_per_h:
                spoilt.add(name)
                raise FeedError(
                    f"{name} in {zone} at {when:%Y-%m-%d %H:%M} UTC: "
                    f"{str(row.get('SpotPrice'))[:40]!r} is no price, or another one"
                )
    return {name: history for name, history in found.items() if name not in spoilt}


def time_mean(
    changes: Mapping[dt.datetime, float], start: dt.datetime, end: dt.datetime
) -> tuple[float, float]:
    """Mean over time of a price that holds from each change to the next.

    Also the share of the window, from 0 to 1, in which the price is known.
    """
    steps = sorted(changes.items())
    total = known_s = 0.0
    for index, (when, price) in enumerate(steps):
        begins = max(when, start)
        ends = min(steps[index + 1][0] if index + 1 < len(steps) else end, end)
        seconds = max(0.0, (ends - begins).total_seconds())
        total += price * seconds
        known_s += seconds
    mean = total / known_s if known_s > 0.0 else steps[-1][1]
    return mean, known_s / (end - start).total_seconds()


def _place(
    row: Mapping[str, Any], names: Sequence[str], region: str
) -> tuple[str, str, dt.datetime]:
    """(machine, zone, time) of one row; FeedError where it is not what was asked for."""
    name, zone, when = row.get("InstanceType"), row.get("AvailabilityZone"), row.get("Timestamp")
    if row.get("ProductDescription") != LINUX or name not in names:
        raise FeedError(f"spot history of {region}: a row that was not asked for ({name})")
    if not isinstance(zone, str) or not zone.startswith(region):
        raise FeedError(f"spot history of {region}: a row of another region ({zone})")
    if not isinstance(when, dt.datetime) or when.tzinfo is None:
        raise FeedError(f"spot history of {region}: a row without a time")
    return str(name), zone, when.astimezone(dt.UTC)
