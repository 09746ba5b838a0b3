"""Due times depend on the timetable alone, and mean the same to every scheduler."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import PlannerError
from planner.schedule.timetable import Timetable, parse, seconds

WEDNESDAY = dt.datetime(2026, 7, 15, 12, 3, 4, tzinfo=dt.UTC)


def table(every: str | None = None, cron: str | None = None, zone: str = "UTC") -> Timetable:
    made = parse(every, cron, zone)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("every", "latest", "after"),
    [
        ("15m", "2026-07-15T12:00", "2026-07-15T12:15"),
        ("6h", "2026-07-15T12:00", "2026-07-15T18:00"),
        ("1d", "2026-07-15T00:00", "2026-07-16T00:00"),
        ("1w", "2026-07-09T00:00", "2026-07-16T00:00"),
    ],
)
def test_intervals_count_from_1970_in_utc(every: str, latest: str, after: str) -> None:
    assert table(every).latest(WEDNESDAY) == utc(latest)
    assert table(every).after(WEDNESDAY) == utc(after)


@pytest.mark.parametrize(
    ("cron", "zone", "latest", "after"),
    [
        ("0 6 * * 1-5", "UTC", "2026-07-15T06:00", "2026-07-16T06:00"),
        ("0 6 * * mon-fri", "Europe/Berlin", "2026-07-15T04:00", "2026-07-16T04:00"),
        ("0 3 * * 0", "UTC", "2026-07-12T03:00", "2026-07-19T03:00"),
        ("0 3 * * 7", "UTC", "2026-07-12T03:00", "2026-07-19T03:00"),
        ("0 3 * * 6,0", "UTC", "2026-07-12T03:00", "2026-07-18T03:00"),
        ("0 3 * * 0-2", "UTC", "2026-07-14T03:00", "2026-07-19T03:00"),
        ("30 2 1 * *", "UTC", "2026-07-01T02:30", "2026-08-01T02:30"),
        ("0 3 29 2 *", "UTC", "2024-02-29T03:00", "2028-02-29T03:00"),
        ("*/20 * * * *", "UTC", "2026-07-15T12:00", "2026-07-15T12:20"),
    ],
)
def test_cron_expressions_mean_what_cron_means(
    cron: str, zone: str, latest: str, after: str
) -> None:
    made = table(cron=cron, zone=zone)
    assert made.latest(WEDNESDAY) == utc(latest)
    assert made.after(WEDNESDAY) == utc(after)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def test_a_due_time_is_its_own_latest() -> None:
    due = utc("2026-07-15T12:00")
    assert table("6h").latest(due) == due
    assert table("6h").after(due) == utc("2026-07-15T18:00")


def test_a_time_that_the_clock_shows_twice_in_autumn_is_due_twice() -> None:
    """As APScheduler has it; in UTC, or outside the hour of the change, it does not happen."""
    made = table(cron="30 2 * * *", zone="Europe/Berlin")
    due, hours = utc("2026-10-20T00:00"), []
    for _ in range(10):
        due, before = made.after(due), due
        hours.append(round((due - before).total_seconds() / 3600))
    assert hours[1:] == [24, 24, 24, 24, 24, 1, 24, 24, 24]


@given(
    moment=st.datetimes(dt.datetime(2024, 1, 1), dt.datetime(2030, 1, 1)),
    chosen=st.sampled_from(["15m", "6h", "1d", "1w"]),
)
def test_latest_and_after_enclose_every_moment(moment: dt.datetime, chosen: str) -> None:
    now = moment.replace(tzinfo=dt.UTC)
    made = table(chosen)
    latest, after = made.latest(now), made.after(now)
    assert latest is not None
    assert latest <= now < after
    assert made.after(latest) == after
    assert made.latest(after) == after


@pytest.mark.parametrize(
    ("every", "cron", "zone", "told"),
    [
        ("6h", "0 6 * * *", "UTC", "one of --every and --cron"),
        ("fast", None, "UTC", "15m, 6h, 1d"),
        ("30s", None, "UTC", "at least 1m"),
        ("0m", None, "UTC", "at least 1m"),
        ("6h", None, "Europe/Berlin", "--cron and --timezone"),
        (None, "0 6 * *", "UTC", "five fields"),
        (None, "61 6 * * *", "UTC", "--cron '61 6"),
        (None, "0 6 1 * 1", "UTC", "not both"),
        (None, "0 6 * * 9", "UTC", "weekday 9"),
        (None, "0 6 * * */2", "UTC", "name the days"),
        (None, "0 6 30 2 *", "UTC", "never due"),
        (None, "0 6 * * *", "Mars/Olympus", "no such time zone"),
        (None, "0 6 * * *", "../../etc/passwd", "no such time zone"),
        (None, "a b c d e", "UTC", "--cron 'a b"),
    ],
)
def test_a_mistaken_timetable_is_told(
    every: str | None, cron: str | None, zone: str, told: str
) -> None:
    with pytest.raises(PlannerError, match=told):
        parse(every, cron, zone)


def test_no_timetable_is_none() -> None:
    assert parse(None, None) is None


def test_the_options_mean_the_same_again() -> None:
    for made in (table("90m"), table(cron="0 6 * * mon-fri", zone="Asia/Tokyo")):
        options = dict(zip(made.arguments()[::2], made.arguments()[1::2], strict=True))
        again = parse(options.get("--every"), options.get("--cron"),
                      options.get("--timezone", "UTC"))  # fmt: skip
        assert again == made


@pytest.mark.parametrize(
    ("every", "cron"),
    [("10m", "*/10 * * * *"), ("6h", "0 */6 * * *"), ("1d", "0 0 * * *"), ("1h", "0 */1 * * *")],
)
def test_intervals_that_divide_a_day_have_a_cron_expression(every: str, cron: str) -> None:
    assert table(every).as_cron() == cron
    again = table(cron=cron)
    assert again.after(WEDNESDAY) == table(every).after(WEDNESDAY)


@pytest.mark.parametrize("every", ["7m", "5h", "2d", "90m"])
def test_other_intervals_have_none(every: str) -> None:
    with pytest.raises(PlannerError, match="give --cron instead"):
        table(every).as_cron()


@pytest.mark.parametrize(
    ("cron", "calendar"),
    [
        ("0 6 * * 1-5", "mon..fri *-*-* 6:0:00 UTC"),
        ("*/15 8-18 * * *", "*-*-* 8..18:00/15:00 UTC"),
        ("30 2 1,15 * *", "*-*-1,15 2:30:00 UTC"),
        ("0 3 * * 0-2", "sun,mon-tue *-*-* 3:0:00 UTC".replace("-tue", "..tue")),
        ("0 0 * */3 *", "*-01/3-* 0:0:00 UTC"),
    ],
)
def test_systemd_is_told_the_same_times(cron: str, calendar: str) -> None:
    made = table(cron=cron)
    assert made.as_calendar() == calendar
    program = shutil.which("systemd-analyze")
    if program is None:  # the expected texts above were checked by it
        return
    words = [program, "calendar", calendar, "--base-time", "2026-07-15 12:03:04 UTC"]
    told = subprocess.run(words, capture_output=True, text=True, env={"TZ": "UTC"}, check=True)
    assert f"{made.after(WEDNESDAY):%Y-%m-%d %H:%M:%S} UTC" in told.stdout


def test_durations_are_read() -> None:
    assert [seconds(text, "--x") for text in ("0s", "30s", "5m", "2h", "1d")] == [
        *(0, 30, 300, 7200, 86400)
    ]
    with pytest.raises(PlannerError, match="--jitter"):
        seconds("soon", "--jitter")
