"""`planner predict`, `planner calibrate`, `planner size`: the serving law at the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from planner.cli.plan import CalibrationOption
from planner.errors import PlannerError


def predict(
    points: Annotated[
        Path,
        typer.Argument(
            help="CSV: llm, accelerator, accelerators, tp, precision, engine, input_tokens, "
            "output_tokens, concurrency. Blank precision is bf16, blank engine vllm."
        ),
    ],
    output: Annotated[Path | None, typer.Option(help="Write here instead of to stdout.")] = None,
    calibration: CalibrationOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of CSV.")] = False,
) -> None:
    """Predict TTFT, TPOT and output tokens/s of serving points, with 80 % bands."""
    from planner.calibration import Calibration
    from planner.points import read_points
    from planner.serving import predict as predict_points

    mine = Calibration.load(calibration) if calibration else None
    result = predict_points(read_points(points), mine, file=str(points))
    if as_json:
        text = json.dumps(json.loads(result.to_json(orient="records")), indent=2) + "\n"
    else:
        text = result.to_csv(index=False)
    _emit(text, output)


def calibrate(
    measured: Annotated[
        Path,
        typer.Argument(
            help="CSV: the columns of `predict`, and ttft_ms, tpot_ms or both (or ttft_s, tpot_s)."
        ),
    ],
    output: Annotated[Path, typer.Option(help="Calibration file to write.")] = Path(
        "calibration.json"
    ),
    accept: Annotated[
        bool,
        typer.Option("--accept-implausible", help="Take figures that look like another unit."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the fits as JSON.")] = False,
) -> None:
    """Fit your own measurements; use the file with `--calibration` of `predict` and `plan`."""
    from dataclasses import asdict

    from planner.measured import calibrate as calibrate_points
    from planner.points import read_points

    table = read_points(measured)
    found = calibrate_points(table, file=str(measured), accept_implausible=accept)
    found.save(output)
    if as_json:
        typer.echo(json.dumps([asdict(fit) for fit in found.fits], indent=2))
        return
    typer.echo(f"{_counted(len(found.fits), 'combination')} fitted, written to {output}")
    for fit in found.fits:
        typer.echo(f"  {fit.name}: {_counted(fit.points, 'point')}, {fit.said}")


def size(
    llm: Annotated[str, typer.Argument(help="An llm of the catalog.")],
    accelerator: Annotated[str, typer.Option(help="An accelerator of the catalog.")] = "h100-sxm",
    precision: Annotated[str, typer.Option(help="bf16, fp8, int4, mxfp4 ...")] = "bf16",
    engine: Annotated[str, typer.Option(help="Serving engine.")] = "vllm",
    rate: Annotated[float, typer.Option(help="Requests/s to serve.", min=0.0)] = 1.0,
    input_tokens: Annotated[float, typer.Option("--input", help="Prompt tokens.", min=1)] = 1024.0,
    output_tokens: Annotated[float, typer.Option("--output", help="Answer tokens.", min=1)] = 256.0,
    tpot_ms: Annotated[float, typer.Option(help="Mean time per token to hold.", min=0.1)] = 40.0,
    training_tokens: Annotated[float, typer.Option(help="Tokens per epoch.", min=0.0)] = 1e7,
    epochs: Annotated[float, typer.Option(help="Passes over them.", min=0.0)] = 3.0,
    pue: Annotated[float, typer.Option(help="Power usage effectiveness.", min=1.0)] = 1.2,
    gco2e_per_kwh: Annotated[float, typer.Option(help="Grid intensity.", min=0.0)] = 400.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Size an llm on an accelerator: memory, replicas, training hours, energy, carbon."""
    from planner.sizing import size_llm

    answer: dict[str, Any] = size_llm(
        llm,
        accelerator,
        precision=precision,
        engine=engine,
        requests_per_s=rate,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        tpot_ms=tpot_ms,
        training_tokens=training_tokens,
        epochs=epochs,
        pue=pue,
        gco2e_per_kwh=gco2e_per_kwh,
    )
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    typer.echo(answer["answer"])
    for name, value in answer.items():
        if name != "answer":
            typer.echo(f"  {name:<34} {value:,.4g}" if isinstance(value, float) else
                       f"  {name:<34} {value}")  # fmt: skip


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _emit(text: str, output: Path | None) -> None:
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PlannerError(f"cannot write {output}: {error}") from error
