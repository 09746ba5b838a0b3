"""`planner calibrate`: fits of own measurements, units, and what cannot be meant is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from planner.calibration import PLAUSIBLE_FACTORS, Calibration, UserFit, farthest_factor
from planner.catalog import load_catalog
from planner.cli import predict as cli
from planner.errors import PlannerError, PointsError
from planner.measured import calibrate, least_ms
from planner.points import checked, read_points
from planner.serving import predict

POINT = {
    "llm": "llama-3.1-70b", "accelerator": "h100-sxm", "accelerators": 4, "tp": 4,
    "precision": "fp8", "engine": "vllm", "input_tokens": 1024, "output_tokens": 1024,
    "concurrency": 64,
}  # fmt: skip


def points(**changes: Any) -> pd.DataFrame:
    rows = max((len(v) for v in changes.values() if isinstance(v, list)), default=1)
    return pd.DataFrame({**{k: [v] * rows for k, v in POINT.items()}, **changes})


def measured(tpot: float = 1.0, ttft: float = 1.0, **changes: Any) -> pd.DataFrame:
    """Points whose figures are those predicted, times so much."""
    table = points(**changes)
    base = predict(table)
    return table.assign(ttft_ms=base.ttft_ms * ttft, tpot_ms=base.tpot_ms * tpot)


def test_own_measurement_scales_its_combination_only(tmp_path: Path) -> None:
    base = predict(points())
    mine = points().assign(ttft_ms=base.ttft_ms * 2.0, tpot_ms=base.tpot_ms * 1.5)
    calibration = calibrate(mine)
    calibration.save(tmp_path / "c.json")
    assert Calibration.load(tmp_path / "c.json") == calibration
    both = points(precision=["fp8", "bf16"])
    before, after = predict(both), predict(both, calibration)
    ratio = after.tpot_ms / before.tpot_ms
    assert ratio.tolist() == pytest.approx([1.5, 1.0], rel=1e-3)
    assert after.provenance[0] == "user"


def test_several_own_measurements_fit_a_slope() -> None:
    loads = [4, 16, 64, 128]
    base = predict(points(concurrency=loads))
    truth = base.tpot_ms * np.array(loads) ** 0.1
    mine = points(concurrency=loads).assign(tpot_ms=truth, ttft_ms=base.ttft_ms)
    after = predict(points(concurrency=loads), calibrate(mine))
    assert after.tpot_ms.to_numpy() == pytest.approx(truth.to_numpy(), rel=1e-3)


# ------------------------------------------------------------------ units

L4 = "llm,accelerator,precision,input_tokens,output_tokens,concurrency"


def table(folder: Path, header: str, *rows: str) -> Path:
    file = folder / "mine.csv"
    lines = [f"{L4},{header}", *(f"llama-3.1-8b,l4,fp8,1000,200,{row}" for row in rows)]
    file.write_text("\n".join(lines) + "\n")
    return file


def fit_of(file: Path, **options: bool) -> UserFit:
    (fit,) = calibrate(read_points(file), str(file), **options).fits
    return fit


def test_seconds_are_converted_as_in_every_table(tmp_path: Path) -> None:
    seconds = fit_of(table(tmp_path, "ttft_s,tpot_s", "1,0.3,0.035", "8,0.9,0.042"))
    same = fit_of(table(tmp_path, "ttft_ms,tpot_ms", "1,300,35", "8,900,42"))
    assert seconds == same
    one = calibrate(read_points(table(tmp_path, "tpot_us", "8,42000"))).fits[0]
    assert predict(points(llm="llama-3.1-8b", accelerator="l4", accelerators=1, tp=1,
                          input_tokens=1000, output_tokens=200, concurrency=8),
                   Calibration((one,))).tpot_ms[0] == pytest.approx(42.0, rel=1e-4)  # fmt: skip


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        # 8.03e9 parameters of 1 byte at 300 GB/s: 26.8 ms for a token, whatever the software
        ("ttft_ms,tpot_ms", "1,300,0.035", "mine.csv:2 tpot_ms '0.035': below 26.8 ms"),
        ("ttft_ms,tpot_ms", "1,0.3,35", "if these are seconds, name the column ttft_s"),
        ("ttft_s,tpot_s", "1,300,0.035", "mine.csv:2 ttft_s '300': .* times the predicted"),
        ("ttft_s,tpot_s", "1,0.3,35", "tpot_s '35': must be at most 5000"),
        ("ttft_ms,tpot_ms", "1,0,0", "mine.csv:2 ttft_ms '0': must be above 0; delete the row"),
        ("ttft_ms,tpot_ms", "1,300,-35", "tpot_ms '-35': must be above 0"),
        ("ttft_ms,tpot_ms", "1,,", "mine.csv:2: neither ttft_ms nor tpot_ms"),
        ("ttft_ms,tpot_ms", "1,nan,35", "ttft_ms 'nan': not a number; leave the cell blank"),
        ("ttft_ms,tpot_ms", '1,"0,3",35', "a decimal comma; write 0.3"),
        ("ttft_ms,tpot_ms", "1,300,35 ms", "mine.csv:2 tpot_ms '35 ms': a unit"),
        ("ttft_ms,tpot_ms", "1,300", "mine.csv:2: 7 cells under 8 headers"),
        ("ttft,tpot_ms", "1,300,35", "mine.csv:1 ttft: the unit is missing"),
        ("ttft_gb,tpot_ms", "1,300,35", "ttft_gb: gb cannot be turned into ms"),
        ("ttft_ms,ttft_s,tpot_ms", "1,300,0.3,35", "says the same as the column ttft_ms"),
        ("tpot_msec,ttft_ms", "1,35,300", "unknown column; did you mean tpot_ms"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    tmp_path: Path, header: str, row: str, message: str
) -> None:
    file = table(tmp_path, header, row)
    with pytest.raises(PointsError, match=message):
        calibrate(read_points(file), str(file))


def test_all_bad_rows_are_named_and_notes_keep_the_lines(tmp_path: Path) -> None:
    file = table(tmp_path, "ttft_ms,tpot_ms", "1,0,0", "8,900,42", "8,0.9,0.042")
    file.write_text("# by us\n\n" + file.read_text())
    with pytest.raises(PointsError) as caught:
        calibrate(read_points(file), str(file))
    assert [finding.row for finding in caught.value.findings] == [4, 4]
    assert caught.value.exit_code == 3


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PointsError, match="no rows"):
        calibrate(read_points(table(tmp_path, "ttft_ms,tpot_ms")))


@pytest.mark.parametrize("bad", ["", "\0", '"', "a;b\n1;2\n"])
def test_what_is_no_table_is_refused(tmp_path: Path, bad: str) -> None:
    (tmp_path / "bad.csv").write_text(bad)
    with pytest.raises(PointsError):
        calibrate(read_points(tmp_path / "bad.csv"))


# ------------------------------------------------------------------ factors


@pytest.mark.parametrize(("tpot", "ttft"), [(11.0, 1.0), (1.0, 0.01), (1.0, 60.0)])
def test_factors_far_outside_need_a_yes(tpot: float, ttft: float, tmp_path: Path) -> None:
    mine = measured(tpot, ttft)
    with pytest.raises(PointsError, match="--accept-implausible"):
        calibrate(mine)
    found = calibrate(mine, accept_implausible=True)
    found.save(tmp_path / "c.json")
    assert Calibration.load(tmp_path / "c.json") == found
    refused = Calibration((replace(found.fits[0], accepted=False),))
    refused.save(tmp_path / "c.json")
    with pytest.raises(PlannerError, match="--accept-implausible"):
        Calibration.load(tmp_path / "c.json")


def test_an_accepted_zero_is_still_no_measurement() -> None:
    with pytest.raises(PointsError, match="must be above 0"):
        calibrate(points(ttft_ms=0.0, tpot_ms=30.0), accept_implausible=True)


def test_every_shipped_measurement_can_be_meant() -> None:
    """The limits refuse no figure that somebody measured."""
    table = load_catalog().serving_points
    table = table[(table.use == "latency") & table.concurrency.notna() & table.tp.notna()]
    table = table[table.input_tokens.notna() & table.tpot_ms.notna()].reset_index(drop=True)
    base = predict(table)
    least = least_ms(checked(table)[0])
    for quantity, (low, high) in PLAUSIBLE_FACTORS.items():
        value = table[f"{quantity}_ms"].to_numpy(float)
        factor = value / base[f"{quantity}_ms"].to_numpy(float)
        known = np.isfinite(value)
        assert (value[known] > least[known]).all()
        assert low < factor[known].min() and factor[known].max() < high


def test_the_farthest_factor_is_looked_for_over_the_measured_range() -> None:
    fit = UserFit(("l",) * 6, 3, np.log(10.0), (0.0, 1.0), (0.0, -0.5), (1.0, 1000.0))
    assert farthest_factor(fit, "tpot") == pytest.approx(100.0)
    assert farthest_factor(fit, "ttft") == pytest.approx(0.1)


# ------------------------------------------------------------------ the file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("llm,accelerator\n", "not a calibration file"),
        ("[1]", "not a calibration file"),
        ('{"format_version": 2, "fits": []}', "format_version 2"),
        ('{"format_version": 1}', "no 'fits'"),
        ('{"format_version": 1, "fits": []}', "no combination is fitted"),
    ],
)
def test_a_foreign_file_is_no_calibration(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(PlannerError, match=message):
        Calibration.load(tmp_path / "c.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": 0}, "impossible figures"),
        ({"center": float("nan")}, "impossible figures"),
        ({"concurrency_range": [64, 4]}, "impossible figures"),
        ({"concurrency_range": [0, 4]}, "impossible figures"),
        ({"combination": ["llama-3.1-70b"]}, "six parts"),
        ({"tpot": [1.0]}, "not a calibration file"),
    ],
)
def test_a_damaged_fit_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    calibrate(measured(1.2)).save(tmp_path / "c.json")
    document = json.loads((tmp_path / "c.json").read_text())
    document["fits"][0] |= change
    (tmp_path / "c.json").write_text(json.dumps(document))
    with pytest.raises(PlannerError, match=message):
        Calibration.load(tmp_path / "c.json")


def test_a_combination_is_fitted_once(tmp_path: Path) -> None:
    fit = calibrate(measured(1.2)).fits[0]
    Calibration((fit, fit)).save(tmp_path / "c.json")
    with pytest.raises(PlannerError, match="fitted 2 times"):
        Calibration.load(tmp_path / "c.json")


def test_the_command_says_what_it_fitted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.calibrate(table(tmp_path, "ttft_s,tpot_s", "8,0.9,0.042"), tmp_path / "c.json")
    assert "llama-3.1-8b on 1 x l4 (fp8, vllm): 1 point, TPOT x 1.2" in capsys.readouterr().out
