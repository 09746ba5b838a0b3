"""`planner feed`: fetch dated tables, list and show them, say what a plan may use, apply them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.errors import FeedError

if TYPE_CHECKING:
    from planner.feeds.refresh import Choice
    from planner.feeds.settings import FeedsSettings
    from planner.feeds.store import Record

app = typer.Typer(
    name="feed",
    help="Prices, carbon, demand and quotas as dated tables, by feeds.toml of the instance.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Folder = Annotated[Path, typer.Argument(metavar="INSTANCE", help="Instance with feeds.toml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
MOST_ROWS = 20


@app.command(short_help="ask the sources, check and keep what they say")
def fetch(
    instance: Folder,
    feeds: Annotated[list[str] | None, typer.Argument(help="Feeds; default: all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch feeds, check the tables and keep them; exit code 1 if a policy then says stop."""
    from planner.feeds.need import need_of
    from planner.feeds.refresh import choose
    from planner.feeds.refresh import fetch as fetch_feeds
    from planner.feeds.settings import load_settings

    settings = load_settings(instance)
    settings.chosen(tuple(feeds or ()))
    need = need_of(instance)
    records = fetch_feeds(settings, need, feeds or ())
    choices = choose(settings, need)
    asked = {record.meta.feed for record in records}
    stopped = [choice for choice in choices if choice.feed in asked and choice.record is None]
    if as_json:
        _echo({"fetched": [_record_json(r) for r in records], "usable": _choices_json(choices)})
    else:
        good = sum(record.meta.status == "accepted" for record in records)
        typer.echo(f"{good} of {len(records)} feeds gave a table that may be used")
        for record in records:
            typer.echo(f"  {record.meta.feed}: {_outcome(record)}")
            _say_remarks(record.meta.notes)
            if record.meta.status == "refused":
                typer.echo(f"    if it is right: {_how_to_accept(instance, record)}")
        _say(choices, shown=records)
    if stopped:
        raise typer.Exit(FeedError.exit_code)


@app.command("list", short_help="every fetch of every feed")
def list_records(instance: Folder, as_json: AsJson = False) -> None:
    """List the records of the feed store, newest last."""
    from planner.feeds.settings import load_settings
    from planner.feeds.store import Store

    settings = load_settings(instance)
    store = Store(settings.store)
    records = [record for name in settings.feeds for record in store.records(name)]
    if as_json:
        _echo({"records": [_record_json(record) for record in records]})
        return
    good = sum(record.meta.status == "accepted" for record in records)
    typer.echo(f"{len(records)} fetches of {len(settings.feeds)} feeds, {good} accepted")
    for record in records:
        typer.echo(f"  {record.meta.feed} {record.name}: {_outcome(record)}")


@app.command(short_help="one table with its source, hash and findings")
def show(
    instance: Folder,
    feed: Annotated[str, typer.Argument(help="Feed.")],
    record: Annotated[
        str | None, typer.Argument(help="Record, or the beginning of its name; default: newest.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Most rows to print; 0 for all.")] = MOST_ROWS,
    as_json: AsJson = False,
) -> None:
    """Show a record: what came of the fetch, where it is from, and its rows."""
    from planner.feeds.settings import load_settings
    from planner.feeds.tables import KINDS, to_csv

    found = _record(load_settings(instance), feed, record)
    rows = found.table() if found.meta.table_sha256 is not None else ()
    if as_json:
        plain = [row.model_dump(mode="json") for row in rows]
        _echo({**_record_json(found), "table": plain})
        return
    meta = found.meta
    typer.echo(f"{feed} {found.name}: {_outcome(found)}")
    for said in (*meta.problems, *meta.warnings, *meta.notes):
        typer.echo(f"  {said}")
    if meta.accepted_because:
        typer.echo(f"  accepted by a person: {meta.accepted_because}")
    shown = rows[:limit] if limit else rows
    if shown:
        into = KINDS[meta.kind].replaces
        typer.echo(f"{len(rows)} rows of {meta.kind}, for {into}.csv:")
        typer.echo(to_csv(meta.kind, shown), nl=False)
    if len(shown) < len(rows):
        typer.echo(f"... {len(rows) - len(shown)} more: --limit 0 shows all")
    if meta.status == "refused":
        typer.echo(f"if it is right: {_how_to_accept(instance, found)}")
    answers = f"{len(meta.answers)} answers, sha256 {meta.sha256}"
    typer.echo(f"source: {meta.source or 'none'}; {answers}; {found.folder}")


@app.command(short_help="which table of each feed a plan may use now")
def check(instance: Folder, as_json: AsJson = False) -> None:
    """Say for every feed which table may enter a plan; exit code 1 if a policy says stop."""
    from planner.feeds.need import need_of
    from planner.feeds.refresh import choose
    from planner.feeds.settings import load_settings

    choices = choose(load_settings(instance), need_of(instance))
    stopped = [choice for choice in choices if choice.record is None]
    if as_json:
        _echo({"ok": not stopped, "usable": _choices_json(choices)})
    else:
        ready = len(choices) - len(stopped)
        typer.echo(
            f"all {ready} feeds may enter a plan"
            if not stopped
            else f"no plan: {len(stopped)} of {len(choices)} feeds say stop"
        )
        _say(choices)
    if stopped:
        raise typer.Exit(FeedError.exit_code)


@app.command(short_help="write the instance as the tables say it is")
def apply(
    instance: Folder,
    output: Annotated[Path, typer.Argument(help="Folder to write; must not exist.")],
    as_json: AsJson = False,
) -> None:
    """Write a dated instance with the usable tables in it; plan it like any other."""
    from planner.feeds.apply import dated_instance
    from planner.feeds.need import need_of
    from planner.feeds.refresh import choose
    from planner.feeds.settings import load_settings

    settings = load_settings(instance)
    need = need_of(instance)
    choices = choose(settings, need)
    folder = dated_instance(need, choices, output)
    if as_json:
        _echo({"instance": str(folder), "usable": _choices_json(choices)})
        return
    typer.echo(f"{output}: {instance} with {len(choices)} tables of its feeds")
    _say(choices)
    typer.echo(f"next: planner plan {output}")


@app.command(short_help="take a refused table all the same, with a reason")
def accept(
    instance: Folder,
    feed: Annotated[str, typer.Argument(help="Feed.")],
    record: Annotated[str, typer.Argument(help="Refused record, or the beginning of its name.")],
    because: Annotated[str, typer.Option(help="Why it is right; kept with the table.")],
    as_json: AsJson = False,
) -> None:
    """Let a refused table into plans: a price that truly moved tenfold, a region that closed."""
    from planner.feeds.refresh import now
    from planner.feeds.settings import load_settings
    from planner.feeds.store import Store

    if not because.strip():
        raise typer.BadParameter("say why", param_hint="--because")
    settings = load_settings(instance)
    refused = _record(settings, feed, record)
    accepted = Store(settings.store).accept(refused, because.strip(), now())
    if as_json:
        _echo(_record_json(accepted))
    else:
        typer.echo(f"{feed}: {refused.name} is accepted as {accepted.name}")
        _say_remarks(accepted.meta.remarks)


# ------------------------------------------------------------------ words


def _record(settings: FeedsSettings, feed: str, name: str | None) -> Record:
    from planner.feeds.store import Store

    settings.chosen((feed,))
    store = Store(settings.store)
    if name is not None:
        return store.record(feed, name)
    records = store.records(feed)
    if not records:
        raise FeedError(f"nothing of {feed} was fetched yet: planner feed fetch")
    return records[-1]


def _outcome(record: Record) -> str:
    meta = record.meta
    if meta.status == "failed":
        return f"failed: {'; '.join(meta.problems)}"
    text = f"{meta.status}, {meta.rows} rows of {meta.observed_at:%Y-%m-%d %H:%M} UTC"
    if meta.status == "refused":
        return f"{text}: {'; '.join(meta.problems)}"
    return text + (f"; look: {'; '.join(meta.warnings)}" if meta.warnings else "")


def _say(choices: Sequence[Choice], shown: Sequence[Record] = ()) -> None:
    """What may be used of each feed, and what it leaves out unless that was shown already."""
    typer.echo("for a plan:")
    words = {"fresh": "use", "last-good": "last good", "stop": "STOP"}
    known = {record.name for record in shown}
    for choice in choices:
        said = choice.said
        for record in shown:
            if record.meta.feed == choice.feed and record.meta.problems:
                said = said.replace("; ".join(record.meta.problems), "see above")
        typer.echo(f"  {choice.feed} ({choice.kind}): {words[choice.status]}: {said}")
        if choice.record is not None and choice.record.name not in known:
            _say_remarks(choice.remarks)


def _say_remarks(texts: Sequence[str]) -> None:
    for text in texts:
        typer.echo(f"    {text}")


def _how_to_accept(instance: Path, record: Record) -> str:
    """The command for this table, and the setting for good."""
    to_the_millisecond = 18
    name = record.name[:to_the_millisecond]
    command = f"planner feed accept {instance} {record.meta.feed} {name}"
    trust = ", ".join(f'"{name}"' for name in record.meta.doubted)
    tail = f"; for good: trust = [{trust}] in feeds.toml" if trust else ""
    return f'{command} --because "..."{tail}'


def _record_json(record: Record) -> dict[str, Any]:
    from planner.feeds.store import as_json

    return {"name": record.name, "folder": str(record.folder), **as_json(record.meta)}


def _choices_json(choices: Sequence[Choice]) -> list[dict[str, Any]]:
    return [
        {
            **{f.name: getattr(choice, f.name) for f in dataclasses.fields(choice)},
            "record": None if choice.record is None else choice.record.name,
            "remarks": list(choice.remarks),
        }
        for choice in choices
    ]


def _echo(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1))
