"""`planner new` and `planner validate`: start an instance folder, list what is wrong in one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.errors import InstanceError

if TYPE_CHECKING:
    from planner.instance.findings import Finding

NARROWEST_TABLE = 120


def new(
    directory: Annotated[Path, typer.Argument(help="Folder to write; made if it is missing.")],
) -> None:
    """Write a commented starter instance that plans at once."""
    from planner.instance.starter import write_starter

    written = write_starter(directory)
    typer.echo(f"{directory}: a starter instance of {len(written)} files")
    for name in written:
        typer.echo(f"  {name}")
    typer.echo(f"next: planner plan {directory}")


def validate(
    folders: Annotated[list[Path] | None, typer.Argument(help="Instance folders to check.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of the format, for editors.")
    ] = False,
) -> None:
    """Check instance folders: every problem with its place and remedy; exit code 3 if any.

    What is only pointed out (a warning) is listed too, and is no reason for exit code 3.
    """
    if schema:
        from planner.instance.dictionary import json_schema

        typer.echo(json.dumps(json_schema(), indent=1))
        return
    if not folders:
        raise typer.BadParameter("name at least one instance folder, or ask for --schema")
    results = [_checked(folder) for folder in folders]
    wrong = [result for result in results if result["findings"]]
    if as_json:
        typer.echo(json.dumps({"valid": not wrong, "instances": [_plain(r) for r in results]},
                              indent=1))  # fmt: skip
    else:
        _print(results)
    if wrong:
        raise typer.Exit(InstanceError.exit_code)


def _checked(folder: Path) -> dict[str, Any]:
    """What loading a folder says."""
    from planner.instance.load import check_folder

    result: dict[str, Any] = {"folder": str(folder), "name": None, "sha256": None, "findings": (),
                              "warnings": ()}  # fmt: skip
    try:
        checked = check_folder(folder)
    except InstanceError as error:
        return {**result, "findings": error.findings}
    instance = checked.instance
    sizes = ", ".join(
        f"{len(getattr(instance, table))} {table}"
        for table in ("workloads", "origins", "slices", "regions", "accelerators", "llms", "apis")
        if table != "apis" or instance.apis
    )
    return {**result, "name": instance.settings.name, "sha256": instance.sha256, "sizes": sizes,
            "warnings": checked.warnings}  # fmt: skip


def _plain(result: dict[str, Any]) -> dict[str, Any]:
    findings, warnings = (
        [dataclasses.asdict(finding) for finding in result[kind]]
        for kind in ("findings", "warnings")
    )
    return {**result, "valid": not findings, "findings": findings, "warnings": warnings}


def _print(results: list[dict[str, Any]]) -> None:
    """The answer first, then a table of findings per folder, what is only pointed out last."""
    from planner.instance.findings import accepting

    wrong = [result for result in results if result["findings"]]
    doubtful = _count(sum(len(result["warnings"]) for result in results), "warning")
    beside = f", {doubtful}" if doubtful else ""
    if not wrong:
        typer.echo(
            ("valid" if len(results) == 1 else f"all {len(results)} instances are valid") + beside
        )
    else:
        count = _count(sum(len(result["findings"]) for result in wrong), "finding") + beside
        typer.echo(
            f"invalid: {count}"
            if len(results) == 1
            else f"{len(wrong)} of {len(results)} instances are invalid: {count}"
        )
    for result in results:
        if result["findings"]:
            typer.echo(f"{result['folder']}:")
            typer.echo(as_table(result["findings"]), nl=False)
        else:
            typer.echo(f"{result['folder']}: {result['sizes']}; sha256 {result['sha256'][:12]}")
        if result["warnings"]:
            typer.echo("pointed out:")
            typer.echo(as_table(result["warnings"]), nl=False)
        named = [f for f in (*result["findings"], *result["warnings"]) if f.name]
        if named:
            typer.echo(f"what is meant: {accepting(named)}, at its top")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s") if number else ""


def as_table(findings: tuple[Finding, ...]) -> str:
    """Findings as text, as wide as the terminal."""
    import io

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("where", "column", "value", "problem", "remedy"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        where = finding.file if finding.row is None else f"{finding.file}:{finding.row}"
        cells = (where, finding.column, finding.value, finding.problem, finding.remedy)
        table.add_row(*(Text(cell) for cell in cells))
    target = io.StringIO()
    Console(file=target, width=max(Console().width, NARROWEST_TABLE)).print(table)
    return target.getvalue()
