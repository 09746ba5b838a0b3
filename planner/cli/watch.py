"""`planner watch`: re-plan on a schedule; `planner approve`: decide on what was proposed."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.history import HistoryOption, JsonOption
from planner.cli.plan import AMBIGUOUS_GAP, parse_gap, silent_stdout, why
from planner.errors import PlannerError
from planner.numbers import asked_number

if TYPE_CHECKING:
    from planner.schedule.body import Job, Recorded, Skipped
    from planner.schedule.loop import Watcher
    from planner.schedule.timetable import Timetable

CHILD_LIMIT_S = 600.0
"""Added to twice the time limit of the search: reading, checking, recording and telling."""


def watch(
    instance: Annotated[Path, typer.Argument(help="Instance folder.")],
    every: Annotated[str | None, typer.Option(help="Interval: 15m, 6h, 1d, 1w; in UTC.")] = None,
    cron: Annotated[
        str | None, typer.Option(help="Cron expression: minute hour day month weekday.")
    ] = None,
    timezone: Annotated[str, typer.Option(help="Of --cron, e.g. Europe/Berlin.")] = "UTC",
    once: Annotated[
        bool,
        typer.Option("--once", help="Run the cycle that is due, if one is, and end: for cron."),
    ] = False,
    history: HistoryOption = None,
    name: Annotated[
        str | None, typer.Option(help="Of the schedule; by default the instance's name.")
    ] = None,
    margin: Annotated[
        str, typer.Option(help="Least certain gain worth a move, of the plan in force.")
    ] = "1%",
    gap: Annotated[str, typer.Option(help="Proven gap to stop the search at.")] = "0.5%",
    time_limit: Annotated[float, typer.Option(help="Seconds of the search, each cycle.")] = 600.0,
    threads: Annotated[int, typer.Option(help="Threads of the search.")] = 2,
    jitter: Annotated[str, typer.Option(help="Most random delay of a cycle.")] = "0s",
    runs: Annotated[Path, typer.Option(help="Parent of the run folders.")] = Path("runs"),
    notify: Annotated[
        str, typer.Option(help="Tell of `changes` (and failures) or `always`.")
    ] = "changes",
    health: Annotated[
        str | None, typer.Option(help="Serve /healthz and /metrics at HOST:PORT or PORT.")
    ] = None,
    cycle: Annotated[
        str | None, typer.Option(help="What a cycle does, MODULE:FUNCTION.", hidden=True)
    ] = None,
    print_file: Annotated[
        str | None,
        typer.Option("--print", help="Print a ready file for cron, systemd or kubernetes."),
    ] = None,
    image: Annotated[
        str, typer.Option(help="Container image, for --print kubernetes.")
    ] = "fleet-planner:latest",
    as_json: JsonOption = False,
) -> None:
    """Re-plan on a schedule, and propose a change when it certainly pays; apply nothing.

    Without --once it stays and runs every cycle in a process of its own, one at a time however
    many watchers share a history. Logs are JSON lines on stderr. Exit code of --once: 0 keep or
    nothing due; 2 a move is proposed; 5 undecided; 3 instance invalid; 4 no plan exists; 1 error.
    """
    from planner.schedule.timetable import parse, seconds

    table = parse(every, cron, timezone)
    options = Options(
        instance=instance,
        name=name,
        margin=parse_share(margin, "--margin"),
        gap=parse_gap(gap),
        time_limit_s=time_limit,
        threads=threads,
        jitter_s=seconds(jitter, "--jitter"),
        runs=runs,
        notify=notify,
        cycle=cycle,
        history=history,
    )
    if print_file is not None:
        typer.echo(options.ready_file(print_file, table, image), nl=False)
    elif once:
        _once(options, table, as_json=as_json)
    elif table is None:
        raise PlannerError("give --every or --cron, or --once for a single cycle")
    else:
        _stay(options, table, health)


@dataclass(frozen=True)
class Options:
    """The options of the command, checked."""

    instance: Path
    name: str | None
    margin: float
    gap: float
    time_limit_s: float
    threads: int
    jitter_s: int
    runs: Path
    notify: str
    cycle: str | None
    history: str | None

    def __post_init__(self) -> None:
        from planner.api import Request
        from planner.schedule.notify import WORTH_TELLING

        if not self.instance.is_dir():
            raise PlannerError(f"{self.instance} is not an instance folder: no such folder")
        Request(gap=self.gap, time_limit_s=self.time_limit_s, threads=self.threads)
        if self.notify not in WORTH_TELLING:
            raise PlannerError(f"--notify {self.notify}: one of {', '.join(WORTH_TELLING)}")
        if self.name is not None and not 0 < len(self.name) <= 80:
            raise PlannerError("--name: 1 to 80 characters")

    def job(self, table: Timetable | None) -> Job:
        """What is re-planned, and how."""
        from planner.schedule.body import Job, instance_name
        from planner.schedule.cycle import DEFAULT, named_cycle

        name = self.name or instance_name(self.instance)
        cycle = named_cycle(self.cycle or DEFAULT)
        limits = (self.gap, self.time_limit_s, self.threads, self.margin)
        return Job(self.instance, name, table, cycle, *limits, self.runs)

    def arguments(self) -> list[str]:
        """The same options for another call, less the instance, the timetable and the history."""
        given = ["--margin", f"{100 * self.margin:g}%", "--gap", f"{100 * self.gap:g}%"]
        given += ["--time-limit", f"{self.time_limit_s:g}", "--threads", str(self.threads)]
        given += ["--runs", str(self.runs), "--notify", self.notify]
        for option, value in (("--name", self.name), ("--cycle", self.cycle)):
            given += [] if value is None else [option, value]
        return given

    @property
    def child_limit_s(self) -> float:
        """Wall clock after which a cycle's process is ended."""
        return 2 * self.time_limit_s + CHILD_LIMIT_S

    def ready_file(self, kind: str, table: Timetable | None, image: str) -> str:
        """A file for another scheduler."""
        from planner.history.engine import chosen, parsed
        from planner.schedule.body import instance_name
        from planner.schedule.files import Installation, rendered

        if table is None:
            raise PlannerError("--print needs --every or --cron")
        url = parsed(chosen(self.history))
        sqlite = url.get_backend_name() == "sqlite"
        place = (
            str(url.database)
            if sqlite
            else url._replace(password=None, drivername="postgresql").render_as_string()
        )
        installed = Path(sys.executable).with_name("planner")
        program = [str(installed)] if installed.exists() else [sys.executable, "-m", "planner"]
        made = Installation(
            self.name or instance_name(self.instance), self.instance, table, program,
            self.arguments(), place, round(self.child_limit_s), image,
        )  # fmt: skip
        return rendered(kind, made)


def _once(options: Options, table: Timetable | None, *, as_json: bool) -> None:
    from planner.history import History
    from planner.history.engine import chosen
    from planner.logs import EventLog
    from planner.schedule.body import Skipped, run_once
    from planner.schedule.notify import NEWS_FOR, channels, deliver

    to = channels(os.environ)
    job = options.job(table)
    log = EventLog(stream=sys.stderr)
    with History.open(chosen(options.history), create=True) as history, _terminable():

        def tell(_: Recorded) -> None:
            since = dt.datetime.now(dt.UTC) - NEWS_FOR
            deliver(history, job.name, to, options.notify, since, log)

        with silent_stdout():
            found = run_once(history, job, log, tell)
        typer.echo(_as_json(found) if as_json else "\n".join(_lines(found)))
    if not isinstance(found, Skipped) and found.run.exit_code:
        raise typer.Exit(found.run.exit_code)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the cycle as Ctrl-C does: the lock is given back on the way out."""

    def interrupted(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _lines(found: Recorded | Skipped) -> list[str]:
    """The decision first, then why, what would change, and what to do."""
    from planner.cli.text import paragraph
    from planner.schedule.body import Skipped

    if isinstance(found, Skipped):
        return [f"nothing done: {found.reason}"]
    run, decision = found.run, found.decision
    lines = paragraph(f"{run.instance}: {decision.decision}: {decision.reason}")
    if decision.diff:
        lines += ["", *decision.diff.splitlines(), ""]
    if decision.decision == "move":
        lines.append(f"nothing is applied by itself; decide: planner approve {run.id} --by NAME")
    lines.append(f"run {run.id}")
    return lines


def _as_json(found: Recorded | Skipped) -> str:
    from planner.cli.history import plain
    from planner.schedule.body import Skipped

    if isinstance(found, Skipped):
        return json.dumps({"skipped": found.reason}, indent=1)
    return json.dumps({"run": plain(found.run), "decision": plain(found.decision)}, indent=1)


def _stay(options: Options, table: Timetable, health_at: str | None) -> None:
    from planner.history import History
    from planner.history.engine import ENVIRONMENT, chosen
    from planner.logs import EventLog
    from planner.schedule import health
    from planner.schedule.loop import Watcher
    from planner.schedule.notify import channels

    channels(os.environ)  # a mistake in them is told now, not after the first cycle
    log = EventLog(stream=sys.stderr, keeps=False)
    url = chosen(options.history)
    environment = {**os.environ, ENVIRONMENT: url}  # of the children; ``ps`` does not show it
    command = [sys.executable, "-m", "planner", "watch", str(options.instance), "--once",
               *table.arguments(), *options.arguments()]  # fmt: skip
    with ExitStack() as stack:
        history = stack.enter_context(History.open(url, create=True))
        watcher = Watcher(
            history, options.job(table), table, command, environment, log,
            jitter_s=options.jitter_s, child_limit_s=options.child_limit_s,
        )  # fmt: skip
        if health_at is not None:
            pages = {
                "/healthz": lambda: health.health(history, watcher.pulse),
                "/metrics": lambda: health.metrics_text(history),
            }
            health.metrics_text(history)  # a missing extra is told now
            host, port = _address(health_at)
            bound = stack.enter_context(health.served(host, port, pages))
            log.add("health", address=f"{bound[0]}:{bound[1]}")
        stack.enter_context(_stoppable(watcher))
        watcher.run()


def _address(text: str) -> tuple[str, int]:
    """``HOST:PORT`` or ``PORT`` (on loopback)."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise PlannerError(f"--health {text}: write PORT or HOST:PORT")
    return host or "127.0.0.1", int(port)


@contextmanager
def _stoppable(watcher: Watcher) -> Iterator[None]:
    """SIGTERM and Ctrl-C end the loop; the cycle that runs is asked to end too."""

    def stop(number: int, frame: FrameType | None) -> None:
        watcher.stop()

    before = [(n, signal.signal(n, stop)) for n in (signal.SIGTERM, signal.SIGINT)]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def parse_share(text: str, option: str) -> float:
    """``1%`` or ``0.01``; 0 is allowed, a bare number of 0.1 or more is ambiguous."""
    bare = text.strip().removesuffix("%").strip()
    is_percent = text.strip().endswith("%")
    try:
        value = asked_number(bare) / (100.0 if is_percent else 1.0)
    except ValueError as error:
        raise typer.BadParameter(f"{option} {text!r}: {why(error, bare)}write 1% or 0.01") from None
    if not 0 <= value < (1.0 if is_percent else AMBIGUOUS_GAP):
        raise typer.BadParameter(f"{option} {text!r}: write 1% or 0.01")
    return value


# ------------------------------------------------------------------ approve


def approve(
    run: Annotated[str, typer.Argument(help="Run whose plan is decided on, or `latest`.")],
    by: Annotated[str, typer.Option(help="Who decides.")],
    reject: Annotated[bool, typer.Option("--reject", help="Reject it instead.")] = False,
    reason: Annotated[str, typer.Option(help="Why; a rejection needs it.")] = "",
    point: Annotated[str | None, typer.Option(help="Of a front: which plan.")] = None,
    history: HistoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve or reject the plan of a run; an approved one is in force for the next cycle.

    Nothing is applied: the approval is recorded, with name and time, and cannot be changed.
    """
    from planner.cli.history import plain
    from planner.history import History
    from planner.history.engine import chosen

    with History.open(chosen(history)) as opened:
        run_id = opened.find(run)
        made = opened.approve(
            run_id, "rejected" if reject else "approved", by=by, reason=reason, point=point
        )
        view = opened.run(run_id)
    if as_json:
        typer.echo(json.dumps({"run_id": run_id, "approval": plain(made)}, indent=1))
        return
    if reject:
        typer.echo(f"rejected by {made.approved_by}: {run_id}; the plan in force stays")
    else:
        where = "" if point is None else f", point {point}"
        typer.echo(
            f"approved by {made.approved_by}: {run_id}{where} is the plan in force of "
            f"{view.run.instance} from the next cycle on"
        )
        typer.echo("nothing was applied: that is yours to do")
