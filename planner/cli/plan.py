"""`planner plan`: from instance folders to certified plans."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.history import HistoryOption, recording
from planner.errors import InfeasibleError, InstanceError, PlannerError, PointsError
from planner.numbers import asked_number, looks_like_number

if TYPE_CHECKING:
    from planner.api import Answer, Request
    from planner.solve.options import Progress

MinimizeOption = Annotated[
    str | None, typer.Option(help="cost, carbon or qoe-loss; else as the instance says.")
]
CapOption = Annotated[
    list[str] | None,
    typer.Option(help="Most of the period: cost=USD, carbon=KG, water=LITRES. Repeatable."),
]
FloorOption = Annotated[list[str] | None, typer.Option(help="Least of all: qoe=SHARE.")]
CalibrationOption = Annotated[
    Path | None, typer.Option(help="Your own measurements: a file that `planner calibrate` wrote.")
]
STOPPED_AT_LIMIT = 5
AMBIGUOUS_GAP = 0.1
MOST_REASONS = 10
"""Shown of one conflict."""


def plan(
    folders: Annotated[list[Path], typer.Argument(help="Instance folders.", metavar="FOLDER...")],
    minimize: MinimizeOption = None,
    cap: CapOption = None,
    floor: FloorOption = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Move figures first: prices.h100*=0.8, demand.chat*=1.5 ..."),
    ] = None,
    gap: Annotated[str, typer.Option(help="Proven gap to stop at: 0.5% or 0.005.")] = "0.5%",
    time_limit: Annotated[
        float, typer.Option(help="Seconds of wall clock, reading and checking included.")
    ] = 60.0,
    threads: Annotated[int, typer.Option(help="Threads of the search.")] = 2,
    solver: Annotated[
        str | None,
        typer.Option(help="Solve the whole program by highs, cbc, glpk, scip, gurobi ... instead."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Run folder to write; of several instances, their parent.")
    ] = None,
    calibration: CalibrationOption = None,
    history: HistoryOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print plan.json.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print the answer's first lines and the folder only.")
    ] = False,
) -> None:
    """Find the cheapest, greenest or best fleet for an instance, with a proven gap.

    Exit code 0: gap proved; 5: stopped at the time limit with an answer; 3: instance invalid;
    4: no plan exists, proved; 1: any other error. Of several folders, the worst.
    """
    from planner.api import Request

    request = Request(
        minimize=minimize,
        caps=named_numbers(cap or [], "--cap"),
        floors=named_numbers(floor or [], "--floor"),
        gap=parse_gap(gap),
        time_limit_s=time_limit,
        threads=threads,
        changes=change or (),
        solver=solver,
    )
    several = len(folders) > 1
    outcomes = []
    with recording(history) as record:
        for folder in folders:
            place = output / folder.resolve().name if output is not None and several else output
            outcome = planned(
                folder,
                request,
                place,
                shows_progress=not quiet,
                record=record,
                calibration=calibration,
            )
            outcomes.append(outcome)
            if not as_json:
                print_outcome(outcome, quiet=quiet, named=several)
            if outcome.interrupted:
                break
    if as_json:
        bodies = [outcome.as_dict() for outcome in outcomes]
        body = {"plans": bodies} if several else bodies[0]["plan"] or bodies[0]
        typer.echo(json.dumps(body, indent=1, allow_nan=False))
        for outcome in outcomes:
            if outcome.error is not None:
                typer.echo(error_text(outcome.error, str(outcome.folder)), err=True)
    elif several:
        from planner.cli.text import summary

        typer.echo(summary([outcome.summary() for outcome in outcomes]), nl=False)
    code = worst(outcome.exit_code for outcome in outcomes)
    if code:
        raise typer.Exit(code)


# ------------------------------------------------------------------ one folder


@dataclass(frozen=True)
class Outcome:
    """What became of one folder."""

    folder: Path
    seconds: float
    answer: Answer | None = None
    run_folder: Path | None = None
    error: BaseException | None = None
    crash_log: Path | None = None

    @property
    def interrupted(self) -> bool:
        """Stopped by Ctrl-C."""
        return isinstance(self.error, KeyboardInterrupt)

    @property
    def exit_code(self) -> int:
        """As in the help of the command."""
        if isinstance(self.error, PlannerError):
            return self.error.exit_code
        return 1 if self.error is not None or self.answer is None else self.answer.exit_code

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        plan = self.answer.plan.to_dict() if self.answer is not None else None
        error = None if self.error is None else error_dict(self.error)
        return {
            "folder": str(self.folder),
            "exit_code": self.exit_code,
            "run_folder": None if self.run_folder is None else str(self.run_folder),
            "plan": plan,
            "error": error,
        }

    def summary(self) -> list[str]:
        """A row of the summary table."""
        from planner.answer.words import number, percent
        from planner.cli.text import HOURS_PER_MONTH

        took = f"{self.seconds:.1f}"
        if self.answer is None:
            words = {3: "invalid", 4: "infeasible", 1: "error"}
            result = "interrupted" if self.interrupted else words[self.exit_code]
            return [str(self.folder), result, "", "", "", "", took]
        plan = self.answer.plan
        month = HOURS_PER_MONTH / plan.period_hours
        return [
            str(self.folder),
            "gap proved" if self.exit_code == 0 else "stopped",
            number(plan.objectives.cost_usd * month),
            number(plan.objectives.carbon_kgco2e * month),
            f"{plan.objectives.qoe:.4f}",
            percent(plan.certificate.gap_relative),
            took,
        ]


def planned(
    folder: Path,
    request: Request,
    output: Path | None,
    *,
    shows_progress: bool,
    record: Callable[[Path], None],
    calibration: Path | None = None,
) -> Outcome:
    """Plan one folder, write and record its run; whatever goes wrong is in the outcome."""
    from planner.api import answer
    from planner.instance.copy import calibrated
    from planner.logs import EventLog, write_crash
    from planner.runs import check_place, new_folder, write_run

    began, log = time.monotonic(), EventLog()
    log.add("plan", folder=str(folder), request=dataclasses.asdict(request))
    try:
        if output is not None:
            check_place(output)
        limit_s = request.time_limit_s
        with calibrated(folder, calibration) as instance:
            with watched(folder, limit_s, shows_progress) as listener, silent_stdout():
                found = answer(instance, request, on_progress=listener, log=log)
            place = output or new_folder(found.facts.instance.settings.name)
            written = write_run(place, found)
        record(written)
        return Outcome(folder, time.monotonic() - began, found, written)
    except (PlannerError, KeyboardInterrupt) as error:
        return Outcome(folder, time.monotonic() - began, error=error)
    except Exception as error:
        crash = write_crash(error, log)
        return Outcome(folder, time.monotonic() - began, error=error, crash_log=crash)


@contextmanager
def silent_stdout() -> Iterator[None]:
    """Nothing written by compiled libraries (banners) reaches stdout, which is for answers."""
    import os

    sys.stdout.flush()
    kept = os.dup(1)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


@contextmanager
def watched(folder: Path, limit_s: float, wanted: bool) -> Iterator[Callable[[Progress], None]]:
    """Listens to the search: Ctrl-C, and a live line where stderr is a terminal."""

    from planner.cli.live import Interrupts, LiveProgress

    with Interrupts() as interrupts, ExitStack() as stack:
        live = None
        if wanted and sys.stderr.isatty():
            live = stack.enter_context(LiveProgress(folder.name, limit_s, interrupts))

        def listener(progress: Progress) -> None:
            if live is not None:
                live.show(progress)
            interrupts.check(progress)

        yield listener


# ------------------------------------------------------------------ printing


def print_outcome(outcome: Outcome, *, quiet: bool, named: bool) -> None:
    """The plan in words on stdout, or what went wrong on stderr."""
    from planner.cli.text import headline, plan_text

    if outcome.error is not None:
        text = error_text(outcome.error, str(outcome.folder))
        if outcome.crash_log is not None:
            text += f"\nthe whole story is in {outcome.crash_log}"
        typer.echo(text, err=True)
        return
    assert outcome.answer is not None
    found = outcome.answer
    point_out(outcome.folder, found.plan.assumptions)
    place = str(shortest(outcome.run_folder)) if outcome.run_folder is not None else None
    if quiet:
        typer.echo("\n".join([*headline(found.plan), f"run folder: {place}"]))
        return
    hours = {row.slice: row.hours for row in found.facts.instance.slices}
    typer.echo(plan_text(found.plan, hours, place), nl=False)
    if named:
        typer.echo("")


def point_out(place: Path, assumptions: Iterable[str]) -> None:
    """On stderr: what the checks of an instance warn of, which stands among the assumptions."""
    for text in assumptions:
        if text.startswith("Pointed out: "):
            typer.echo(f"{place}: {text}", err=True)


def shortest(path: Path) -> Path:
    """The path from here where it lies below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def error_text(error: BaseException, folder: str) -> str:
    """What went wrong, in full sentences, and what would mend it."""
    from planner.cli.text import paragraph

    if isinstance(error, KeyboardInterrupt):
        return f"{folder}: interrupted before any plan was found"
    if not isinstance(error, PlannerError):
        return f"{folder}: unexpected {type(error).__name__}: {error}"
    if isinstance(error, InstanceError) and error.findings:
        count = len(error.findings)
        what = "points are" if isinstance(error, PointsError) else "instance is"
        first = f"{folder}: the {what} invalid: {count} finding{'s' if count > 1 else ''}"
        lines = [line for finding in error.findings for line in bullet(str(finding))]
        return "\n".join([first, *lines])
    if isinstance(error, InfeasibleError):
        return "\n".join(infeasible_lines(error, folder))
    told = f"{folder}: {error}"
    if not sys.stderr.isatty():  # what reads it may look for a whole sentence
        return told
    return "\n".join(line for part in told.split("\n") for line in paragraph(part) or [""])


def infeasible_lines(error: InfeasibleError, folder: str) -> list[str]:
    """That no plan exists, then every conflict with what would mend it."""
    from planner.cli.text import paragraph

    lines = paragraph(f"{folder}: no plan exists (proved): {error.headline}")
    several = len(error.conflicts) > 1
    for number, part in enumerate(error.conflicts, 1):
        if part.rules:
            title = "these cannot all hold" if len(part.rules) > 1 else "this cannot hold"
            if several:
                title = f"conflict {number} of {len(error.conflicts)}: {title}"
            lines += paragraph(title + (f" ({part.note}):" if part.note else ":"))
            lines += [line for rule in part.rules[:MOST_REASONS] for line in bullet(rule)]
            if len(part.rules) > MOST_REASONS:
                more = len(part.rules) - MOST_REASONS
                lines += bullet(f"and {more} more (--json lists all)")
        if part.repairs:
            lines.append("each of these would mend it:" if len(part.repairs) > 1 else
                         "this would mend it:")  # fmt: skip
            lines += [line for words in part.repairs for line in bullet(words)]
    if error.together:
        lines.append("these together mend all of them:")
        lines += [line for words in error.together for line in bullet(words)]
    return lines + [line for note in error.notes for line in paragraph(note)]


def bullet(text: str) -> list[str]:
    """One item of a list, wrapped."""
    from planner.cli.text import paragraph

    return paragraph(text, "  - ", "    ")


def error_dict(error: BaseException) -> dict[str, Any]:
    """The same for programs."""
    body: dict[str, Any] = {"kind": type(error).__name__, "message": str(error)}
    if isinstance(error, InstanceError):
        body["findings"] = [
            dataclasses.asdict(finding) if dataclasses.is_dataclass(finding) else str(finding)  # type: ignore[arg-type]
            for finding in error.findings
        ]
    if isinstance(error, InfeasibleError):
        body |= {
            "conflict": list(error.conflict),
            "repair": list(error.repair),
            "conflicts": [dataclasses.asdict(part) for part in error.conflicts],
            "together": list(error.together),
            "proof": error.proof or "dual prices",
            "notes": list(error.notes),
        }
    return body


# ------------------------------------------------------------------ options


def parse_gap(text: str, option: str = "--gap") -> float:
    """``0.5%`` or ``0.005``; a bare number of 0.1 or more is refused as ambiguous."""
    bare = text.strip().removesuffix("%").strip()
    try:
        value = asked_number(bare)
    except ValueError as error:
        raise typer.BadParameter(
            f"{option} {text!r}: {why(error, bare)}write 0.5% or 0.005"
        ) from None
    if text.strip().endswith("%"):
        value /= 100.0
    elif value >= AMBIGUOUS_GAP:
        raise typer.BadParameter(f"{option} {text}: is that a fraction? write {bare}% for per cent")
    if not 0 < value < 1:
        raise typer.BadParameter(f"{option} {text}: a share above 0 and below 100 %")
    return value


def why(error: ValueError, text: str) -> str:
    """What is wrong with a text that was meant as a number; nothing where it was not."""
    return f"{error}; " if looks_like_number(text) else ""


def named_numbers(texts: list[str], option: str) -> dict[str, float]:
    """``name=number`` options; digits may be grouped in threes."""
    found: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            number = asked_number(value)
        except ValueError as error:
            raise typer.BadParameter(
                f"{option} {text!r}: {why(error, value)}write NAME=NUMBER, e.g. carbon=9000"
            ) from None
        if name.strip() in found:
            raise typer.BadParameter(f"{option} {name.strip()} is given twice")
        found[name.strip()] = number
    return found


def worst(codes: Iterator[int]) -> int:
    """The exit code of several: an error before an invalid or infeasible one, then a limit, 0."""
    order = (1, 3, 4, STOPPED_AT_LIMIT, 0)
    return min(codes, key=order.index)
