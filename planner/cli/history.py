"""`planner history`: what was planned and decided, by whom, from which inputs."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.errors import HistoryError

if TYPE_CHECKING:
    from planner.history.records import RunFile, RunView

HistoryOption = Annotated[
    str | None,
    typer.Option(
        "--history",
        help="File or postgresql:// URL; else of PLANNER_HISTORY, else runs/history.db.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RunArgument = Annotated[
    str, typer.Argument(help="Id of a run, an unambiguous beginning of it, or `latest`.")
]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)


@app.command("list")
def list_runs(
    instance: Annotated[str | None, typer.Option(help="Runs of this instance only.")] = None,
    kind: Annotated[str | None, typer.Option(help="plan, front or cycle only.")] = None,
    decision: Annotated[
        str | None, typer.Option(help="keep, move, undecided, stopped or failed only.")
    ] = None,
    awaiting: Annotated[
        bool, typer.Option("--awaiting", help="Proposals that wait for approval only.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most runs to print.")] = 20,
    before: Annotated[
        int | None, typer.Option(help="Go on before this number, from an earlier page.")
    ] = None,
    history: HistoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """List runs, newest first."""
    from typing import get_args

    from planner.history import Filter, History, records
    from planner.history.engine import chosen

    for option, value, known in (
        ("--kind", kind, get_args(records.Kind)),
        ("--decision", decision, get_args(records.Decision)),
    ):
        if value is not None and value not in known:
            raise typer.BadParameter(f"{option} {value}: one of {', '.join(known)}")
    wanted = Filter(instance, kind, decision, awaiting, before)  # type: ignore[arg-type]
    with History.open(chosen(history)) as opened:
        views = opened.runs(wanted, limit + 1)
        place = str(opened.store)
    shown, more = views[:limit], len(views) > limit
    if as_json:
        body = {"runs": [plain(view) for view in shown],
                "next_before": shown[-1].run.sequence if more else None}  # fmt: skip
        typer.echo(json.dumps(body, indent=1))
        return
    count = "no run" if not shown else "1 run" if len(shown) == 1 else f"{len(shown)} runs"
    typer.echo(f"{count} of {place}" + (", newest first" if len(shown) > 1 else ""))
    if shown:
        typer.echo("\n".join(runs_table(shown)))
    if more:
        typer.echo(f"older ones: --before {shown[-1].run.sequence}")


def runs_table(views: tuple[RunView, ...]) -> list[str]:
    """One line per run."""
    from planner.answer.words import number, percent
    from planner.cli.text import table

    rows = []
    for view in views:
        plan, front = view.plan, view.front
        rows.append(
            [
                view.run.id,
                view.run.started_at.strftime("%Y-%m-%d %H:%M"),
                result_of(view),
                number(plan.cost_usd) if plan else number(front.least_cost_usd) if front else "",
                number(plan.carbon_kgco2e) if plan
                else number(front.least_carbon_kgco2e) if front else "",
                f"{plan.qoe:.4f}" if plan else f"{front.best_qoe:.4f}" if front else "",
                percent(plan.gap_relative) if plan
                else percent(front.epsilon) if front and front.epsilon is not None else "",
            ]
        )  # fmt: skip
    headings = ("run", "began, UTC", "result", "USD", "kgCO2e", "QoE", "gap")
    return table(headings, rows, numbers=(3, 4, 5, 6))


def result_of(view: RunView) -> str:
    """What came out, in a few words."""
    said: str
    if view.decision is not None:
        said = view.decision.decision
    elif view.front is not None:
        said = f"front of {view.front.points}"
    else:
        said = "plan" if view.run.exit_code == 0 else "plan, stopped at a limit"
    return f"{said}, {view.state}" if view.state else said


@app.command()
def show(run: RunArgument, history: HistoryOption = None, as_json: JsonOption = False) -> None:
    """Show a run: its answer, decision, approval, and every file by hash."""
    from planner.history import History
    from planner.history.engine import chosen

    with History.open(chosen(history)) as opened:
        view = opened.run(opened.find(run))
        files = opened.files(view.run.id)
    if as_json:
        body = plain(view) | {"files": [plain(file) for file in files]}
        typer.echo(json.dumps(body, indent=1))
        return
    typer.echo("\n".join([*run_lines(view), "", *file_lines(files)]))


def run_lines(view: RunView) -> list[str]:
    """A run in words."""
    from planner.answer.words import amount, number, percent
    from planner.cli.text import paragraph

    run = view.run
    lines = [f"{run.id}: {result_of(view)}"]
    if view.plan is not None:
        p = view.plan
        lines += paragraph(
            f"{amount(p.cost_usd, 'USD')}, {amount(p.carbon_kgco2e, 'kgCO2e')}, QoE {p.qoe:.4f} "
            f"in {number(p.period_hours)} h; {p.minimised} within {percent(p.gap_relative)} of "
            f"optimal ({p.status})",
            "  ", "  ",
        )  # fmt: skip
    if view.front is not None:
        f = view.front
        epsilon = "nothing proved" if f.epsilon is None else f"within {percent(f.epsilon)}"
        lines.append(f"  {f.points} plans, {epsilon}, {'complete' if f.complete else 'truncated'}")
    if view.decision is not None:
        d = view.decision
        lines += paragraph(f"decided: {d.decision}: {d.reason}", "  ", "    ")
        lines.append(
            f"  schedule {d.schedule}, due {moment(d.due_at)}, attempt {d.attempt}, against "
            f"{d.incumbent_run_id or 'no plan'}"
        )
        lines += ["", *(f"  {line}".rstrip() for line in d.diff.splitlines()), ""] if d.diff else []
    if view.approval is not None:
        a = view.approval
        because = f": {a.reason}" if a.reason else ""
        lines.append(f"  {a.verdict} by {a.approved_by}, {moment(a.approved_at)}{because}")
    if run.message:
        lines += paragraph(f"message: {run.message}", "  ", "    ")
    content = "not read" if run.instance_sha256 is None else f"sha256 {run.instance_sha256}"
    lines += [
        f"  instance {run.instance}, {content}",
        f"  {moment(run.started_at)}, {run.took_s:.1f} s, exit code {run.exit_code}, "
        f"on {run.host}, planner {run.planner_version}",
    ]
    return lines


def file_lines(files: tuple[RunFile, ...]) -> list[str]:
    """Inputs, then the other files, by hash."""
    from planner.cli.text import table

    ordered = sorted(files, key=lambda file: (not file.is_input, file.path))
    rows = [
        ["input" if f.is_input else "output", f.path, f"{f.size_bytes:,}", f.sha256[:16]]
        for f in ordered
    ]
    return table(("", "file", "bytes", "sha256 begins"), rows, numbers=(2,)) if rows else []


@app.command()
def diff(
    old: RunArgument, new: RunArgument, history: HistoryOption = None, as_json: JsonOption = False
) -> None:
    """Compare two runs as `planner diff` does: what differs, and what the change is due to."""
    from planner.cli.diff import lines
    from planner.history import History
    from planner.history.compare import two_runs
    from planner.history.engine import chosen

    with History.open(chosen(history)) as opened:
        found = two_runs(opened, opened.find(old), opened.find(new))
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1, allow_nan=False))
    else:
        typer.echo("\n".join(lines(found)))


@app.command()
def export(
    run: RunArgument,
    folder: Annotated[Path, typer.Argument(help="Folder to write; must not exist.")],
    history: HistoryOption = None,
) -> None:
    """Write a run's folder again, as it was recorded; `planner verify` checks it."""
    from planner.cli.plan import shortest
    from planner.history import History
    from planner.history.engine import chosen
    from planner.history.folders import write_folder

    with History.open(chosen(history)) as opened:
        run_id = opened.find(run)
        files = [(file.path, opened.read(run_id, file.path)) for file in opened.files(run_id)]
    written = write_folder(folder, files)
    typer.echo(f"{run_id}: {len(files)} files in {shortest(written)}")


@app.command("import")
def import_runs(
    folders: Annotated[list[Path], typer.Argument(help="Run folders of plan or front.")],
    history: HistoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record run folders that were made without --history."""
    from planner.history import History
    from planner.history.engine import chosen
    from planner.history.folders import draft_of

    drafts = [draft_of(folder) for folder in folders]
    with History.open(chosen(history), create=True) as opened:
        made = [opened.record(draft) for draft in drafts]
    if as_json:
        typer.echo(json.dumps({"runs": [plain(record) for record in made]}, indent=1))
        return
    for record, folder in zip(made, folders, strict=True):
        typer.echo(f"recorded {folder} as {record.id}")


@app.command()
def check(history: HistoryOption = None, as_json: JsonOption = False) -> None:
    """Read the whole history and check every content against its hash; exit code 1 if damaged."""
    from planner.history import History
    from planner.history.engine import chosen

    with History.open(chosen(history)) as opened:
        count, problems = opened.check()
        place = str(opened.store)
    if as_json:
        typer.echo(json.dumps({"contents": count, "problems": problems}, indent=1))
    else:
        verdict = "damaged" if problems else "sound"
        typer.echo("\n".join([f"{verdict}: {count:,} contents of {place}", *problems]))
    if problems:
        raise typer.Exit(1)


# ------------------------------------------------------------------ pieces


def plain(record: Any) -> dict[str, Any]:
    """A record for JSON: times as ISO 8601."""

    def told(value: Any) -> Any:
        if isinstance(value, dt.datetime):
            return value.isoformat()
        if isinstance(value, dict):
            return {name: told(inner) for name, inner in value.items()}
        return value

    return {name: told(value) for name, value in dataclasses.asdict(record).items()}


def moment(time: dt.datetime) -> str:
    """``2026-07-15 12:03 UTC``."""
    return time.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")


@contextmanager
def recording(url: str | None) -> Iterator[Callable[[Path], None]]:
    """What records a run folder in the history of the option or the environment, if any.

    The history is opened first, so that a wrong place is told before the work. HistoryError of
    the recording names how to do it later.
    """
    from planner.history.engine import ENVIRONMENT

    url = url or os.environ.get(ENVIRONMENT)
    if url is None:
        yield lambda _: None
        return
    from planner.history import History
    from planner.history.folders import draft_of

    with History.open(url, create=True) as history:

        def record(folder: Path) -> None:
            try:
                history.record(draft_of(folder))
            except HistoryError as error:
                raise HistoryError(
                    f"{error}\nthe run is in {folder} but was not recorded; to do so: "
                    f"planner history import {folder}"
                ) from error

        yield record
