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
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, ClassVar, Literal

from pydantic import Field

from planner.errors import FeedError
from planner.feeds.feed import PriceFeed, PriceSheet
from planner.feeds.http import Http
from planner.feeds.need import Need
from planner.feeds.readers.aws_client import AwsClients, boto_errors
from planner.feeds.readers.parse import no_outlier
from planner.feeds.tables import Reading
from planner.instance.schema import Positive

LINUX = "Linux/UNIX"
Changes = dict[tuple[str, str], dict[dt.datetime, float]]
"""(machine, zone) -> time -> USD/h from then on"""
LARGEST_FACTOR = 10.0
"""Between a spot price and the median one of the machine in the window."""
_AMOUNT = re.compile(r"\d{1,6}(\.\d{1,12})?")


class AwsSpot(PriceFeed):
    """``reader = "aws-spot"``: spot prices of AWS's machines."""

    reader: Literal["aws-spot"]
    window_h: Positive = 168.0
    """hours of history that the mean is taken over"""
    zones: Literal["mean", "cheapest", "dearest"] = "mean"
    """which of the zones of a region counts"""
    least_window_share: float = Field(default=0.9, gt=0.0, le=1.0)
    """least share of the window that the history of every zone must cover"""
    endpoint_url: str | None = None
    """where the API answers; default: AWS's own in each region"""

    source_name: ClassVar[str] = "the AWS spot price history"
    providers: ClassVar[tuple[str, ...]] = ("aws",)

    def read(self, need: Need, http: Http, at: dt.datetime) -> Reading:
        """Spot prices as of `at`, USD per hour for a whole machine, Linux."""
        wanted = self.wanted(need)
        sheet = PriceSheet()
        start = at - dt.timedelta(hours=self.window_h)
        clients = AwsClients(http)
        for region in dict.fromkeys(region for region, _ in wanted):
            names = [name for place, name in wanted if place == region]
            client = clients.client("ec2", region, self.endpoint_url)
            changes: Changes = defaultdict(dict)
            for row in self._rows(client, http, region, names, (start, at)):
                name, zone, when, usd_per_h = _change(row, names, region)
                if changes[name, zone].setdefault(when, usd_per_h) != usd_per_h:
                    raise FeedError(f"{name} in {zone} has two spot prices at {when}")
            for name, usd_per_h in self._by_machine(changes, start, at).items():
                sheet.put(wanted[region, name], "spot", usd_per_h)
        source = self.endpoint_url or "EC2 DescribeSpotPriceHistory"
        which = {"mean": "the mean of the zones", "cheapest": "the cheapest zone",
                 "dearest": "the dearest zone"}[self.zones]  # fmt: skip
        said = f"spot: mean over {self.window_h:g} h, {which}"
        notes = (said, *sheet.unpriced(wanted.values()))
        return Reading("prices", sheet.rows(), at, source, tuple(http.answers), notes)

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

    def _by_machine(
        self,
        changes: Changes,
        start: dt.datetime,
        end: dt.datetime,
    ) -> dict[str, float]:
        """USD/h by machine over its zones; not of one with a zone of too little history."""
        means: dict[str, list[float]] = defaultdict(list)
        for name in {name for name, _ in changes}:
            prices = [p for key, steps in changes.items() if key[0] == name for p in steps.values()]
            no_outlier(prices, LARGEST_FACTOR, f"spot history of {name}")
        short: set[str] = set()
        for (name, _), found in sorted(changes.items()):
            mean, covered = time_mean(found, start, end)
            means[name].append(mean)
            if covered < self.least_window_share:
                short.add(name)
        choose: dict[str, Callable[[list[float]], float]] = {
            "mean": fmean, "cheapest": min, "dearest": max
        }  # fmt: skip
        return {
            name: choose[self.zones](values) for name, values in means.items() if name not in short
        }


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


def _change(
    row: Mapping[str, Any], names: Sequence[str], region: str
) -> tuple[str, str, dt.datetime, float]:
    """(machine, zone, time, USD/h) of one row; FeedError where it is not what was asked for."""
    name, zone, text = row.get("InstanceType"), row.get("AvailabilityZone"), row.get("SpotPrice")
    when = row.get("Timestamp")
    if row.get("ProductDescription") != LINUX or name not in names:
        raise FeedError(f"spot history of {region}: a row that was not asked for ({name})")
    if not isinstance(zone, str) or not zone.startswith(region):
        raise FeedError(f"spot history of {region}: a row of another region ({zone})")
    if not isinstance(text, str) or not _AMOUNT.fullmatch(text) or float(text) <= 0.0:
        raise FeedError(f"spot history of {region}: {str(text)[:40]!r} is not a price")
    if not isinstance(when, dt.datetime) or when.tzinfo is None:
        raise FeedError(f"spot history of {region}: a row without a time")
    return str(name), zone, when.astimezone(dt.UTC), float(text)
