"""`planner report`: the page, the brief and the tables of a run folder."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from planner.report.files import Report


def report(
    run_dir: Annotated[
        Path, typer.Argument(help="Run folder of `planner plan` or `planner front`.")
    ],
    current: Annotated[
        Path | None,
        typer.Option(help="The plan in force: plan.json or a run folder; else the incumbent."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder to write into; else the run folder.")
    ] = None,
    brief: Annotated[bool, typer.Option("--brief", help="One page, as Markdown and HTML.")] = False,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Print every page with a Chromium found here.")
    ] = False,
    paper: Annotated[str, typer.Option(help="Of the PDF: A4 or Letter.")] = "A4",
    xlsx: Annotated[
        bool, typer.Option("--xlsx", help="A workbook whose sums are formulas.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Every table as CSV.")] = False,
    parquet: Annotated[bool, typer.Option("--parquet", help="Every table as Parquet.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print options and files.")] = False,
) -> None:
    """Write the report of a run: one HTML page that needs no network, and what else is asked for.

    Exit code 0: written; 3: the run's instance is invalid; 1: any other error.
    """
    from planner.report.files import Report, Wanted, check

    wanted = Wanted(brief, pdf, xlsx, as_csv, parquet, paper)
    check(wanted)
    made = Report.of(run_dir, current)
    files = made.write(output, wanted)
    if as_json:
        typer.echo(json.dumps(as_dict(made, files), indent=1, allow_nan=False))
    else:
        typer.echo("\n".join(answer_lines(made, files)))


def answer_lines(made: Report, files: list[Path]) -> list[str]:
    """The decision first, then the options, then the files."""
    from planner.answer.words import number
    from planner.cli.plan import shortest
    from planner.cli.text import paragraph, section, table
    from planner.report import sentences

    source = made.content.source
    rows = [
        (
            option.letter,
            option.name,
            option.point,
            number(option.objectives.cost_usd),
            number(option.objectives.carbon_kgco2e),
            f"{option.objectives.qoe:.4f}",
        )
        for option in made.options
    ]
    headings = ("", "option", "plan", "USD", "kgCO2e", "QoE")
    return [
        *paragraph(f"{sentences.decision(source, made.options)}: {shortest(files[0].absolute())}"),
        *section(f"Options, in {source.hours:g} h", table(headings, rows, numbers=(3, 4, 5))),
        *section("Files", [f"  {shortest(file.absolute())}" for file in files]),
    ]


def as_dict(made: Report, files: list[Path]) -> dict[str, Any]:
    """For programs."""
    options = [
        {
            **dataclasses.asdict(option),
            "name": option.name,
            "cost_gap_relative": option.cost_gap_relative,
        }
        for option in made.options
    ]
    return {
        "run_folder": str(made.content.source.folder),
        "options": options,
        "files": [str(file) for file in files],
    }
