"""When cycles are due: every so often, or by a cron expression in a time zone.

Due times depend on nothing but the timetable, so two watchers agree on them, and a missed one is
known after a restart. Intervals count from 1970-01-01 00:00 UTC (``every 6h`` is 0:00, 6:00, 12:00
and 18:00 UTC). APScheduler's triggers know the calendar (extra ``watch``).
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from planner.errors import PlannerError
from planner.extras import missing_extra

UNITS_S = {"m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""By the numbers of cron; APScheduler counts from Monday."""
LOOK_BACK = (3_600, 86_400, 8 * 86_400, 32 * 86_400, 367 * 86_400, 5 * 367 * 86_400)
"""Seconds, to search for the latest due time in: the shortest that holds one."""
CRON_FIELDS = 5


@dataclass(frozen=True)
class Timetable:
    """Due times; exactly one of `every_s` and `cron` is given. Made by `parse`."""

    every_s: int | None
    cron: str | None
    timezone: str = "UTC"

    def latest(self, now: dt.datetime) -> dt.datetime | None:
        """The last due time at or before `now`; None: none in the last five years."""
        trigger = self._trigger()
        for back_s in LOOK_BACK:
            found = None
            due = trigger.get_next_fire_time(None, now - dt.timedelta(seconds=back_s))
            while due is not None and due <= now:
                found = due
                due = trigger.get_next_fire_time(due, due + dt.timedelta(microseconds=1))
            if found is not None:
                return _utc(found)
        return None

    def after(self, now: dt.datetime) -> dt.datetime:
        """The first due time after `now`; PlannerError where there is never one."""
        moment = now + dt.timedelta(microseconds=1)
        due = self._trigger().get_next_fire_time(None, moment)
        if due is None:
            raise PlannerError(f"{self} is never due")
        return _utc(due)

    def __str__(self) -> str:
        if self.every_s is not None:
            return f"every {_interval_text(self.every_s)}"
        return f"cron {self.cron} ({self.timezone})"

    def arguments(self) -> list[str]:
        """The options of `planner watch` that mean this."""
        if self.every_s is not None:
            chosen = ["--every", _interval_text(self.every_s)]
        else:
            chosen = ["--cron", str(self.cron)]
        return chosen if self.timezone == "UTC" else [*chosen, "--timezone", self.timezone]

    # ------------------------------------------------------------------ other notations

    def as_cron(self) -> str:
        """Five fields for cron and Kubernetes; PlannerError where cron cannot say it."""
        if self.cron is not None:
            return self.cron
        minutes = (self.every_s or 0) // 60
        if minutes < 60 and 60 % minutes == 0:
            return f"*/{minutes} * * * *"
        if minutes % 60 == 0 and 24 % (minutes // 60) == 0:
            hours = minutes // 60
            return "0 0 * * *" if hours == 24 else f"0 */{hours} * * *"
        raise PlannerError(f"{self} has no cron expression: give --cron instead")

    def as_calendar(self) -> str:
        """``OnCalendar=`` of a systemd timer."""
        minute, hour, day, month, weekday = self.as_cron().split()
        days = "" if weekday == "*" else f"{_named_weekdays(weekday).replace('-', '..')} "
        date = f"*-{_calendar(month, 1)}-{_calendar(day, 1)}"
        return f"{days}{date} {_calendar(hour, 0)}:{_calendar(minute, 0)}:00 {self.timezone}"

    # ------------------------------------------------------------------ triggers

    def _trigger(self) -> Any:
        try:
            from apscheduler.triggers.cron import CronTrigger
            from apscheduler.triggers.interval import IntervalTrigger
        except ModuleNotFoundError as error:
            raise missing_extra("watch", "a timetable (--every, --cron)") from error
        if self.every_s is not None:
            begin = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
            return IntervalTrigger(seconds=self.every_s, start_date=begin, timezone=dt.UTC)
        minute, hour, day, month, weekday = str(self.cron).split()
        return CronTrigger(
            minute=minute, hour=hour, day=day, month=month,
            day_of_week=_named_weekdays(weekday), timezone=ZoneInfo(self.timezone),
        )  # fmt: skip


def parse(every: str | None, cron: str | None, timezone: str = "UTC") -> Timetable | None:
    """The timetable of the options, None without; PlannerError says what is wrong."""
    if every is not None and cron is not None:
        raise PlannerError("give one of --every and --cron")
    try:
        ZoneInfo(timezone)
    except (ValueError, OSError, KeyError) as error:
        raise PlannerError(
            f"--timezone {timezone}: no such time zone, e.g. Europe/Berlin"
        ) from error
    if every is not None:
        if timezone != "UTC":
            raise PlannerError("--every counts in UTC: for local time give --cron and --timezone")
        return Timetable(_interval_s(every), None)
    if cron is None:
        return None
    fields = cron.split()
    if len(fields) != CRON_FIELDS:
        raise PlannerError(
            f"--cron {cron!r}: five fields: minute hour day month weekday, e.g. '0 6 * * mon-fri'"
        )
    if fields[2] != "*" and fields[4] != "*":
        raise PlannerError(
            f"--cron {cron!r}: day of month or weekday, not both: cron means either of them, "
            "systemd and APScheduler mean both at once"
        )
    made = Timetable(None, " ".join(fields), timezone)
    try:
        made.after(dt.datetime.now(dt.UTC))
    except ValueError as error:
        raise PlannerError(f"--cron {cron!r}: {error}") from error
    return made


def seconds(text: str, option: str) -> int:
    """``90s``, ``15m``, ``6h``, ``1d``, ``2w`` in seconds."""
    match = re.fullmatch(r"([0-9]{1,6})\s*([smhdw])", text.strip())
    if match is None:
        raise PlannerError(f"{option} {text!r}: write 30s, 15m, 6h, 1d or 2w")
    return int(match[1]) * {"s": 1, **UNITS_S}[match[2]]


def _interval_s(every: str) -> int:
    found = seconds(every, "--every")
    if found < 60 or found % 60:
        raise PlannerError(f"--every {every}: whole minutes, at least 1m")
    return found


def _interval_text(every_s: int) -> str:
    unit = next(u for u in ("w", "d", "h", "m") if every_s % UNITS_S[u] == 0)
    return f"{every_s // UNITS_S[unit]}{unit}"


def _named_weekdays(field: str) -> str:
    """Cron's numbers (0 and 7 are Sunday) as names, which every scheduler reads alike."""

    def named(match: re.Match[str]) -> str:
        number = int(match[0])
        if number >= len(WEEKDAYS):
            raise PlannerError(f"weekday {number}: 0 (Sunday) to 7 (Sunday)")
        return WEEKDAYS[number]

    parts = []
    for part in field.split(","):
        if "/" in part:
            raise PlannerError(f"weekday {part}: name the days, steps differ between schedulers")
        first, dash, last = re.sub(r"\d+", named, part).partition("-")
        if dash and first == "sun":  # a week that begins on Sunday, where others end it
            parts += ["sun", f"mon-{last}"] if last != "sun" else ["mon-sun"]
        else:
            parts.append(f"{first}{dash}{last}")
    return ",".join(parts)


def _calendar(field: str, least: int) -> str:
    """A field of cron in systemd's notation."""
    parts = []
    for part in field.split(","):
        span, slash, step = part.partition("/")
        span = f"{least:02d}" if slash and span == "*" else span.replace("-", "..")
        parts.append(f"{span}{slash}{step}")
    return ",".join(parts)


def _utc(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC)
