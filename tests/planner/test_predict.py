"""`planner predict` and `planner size`: predictions, provenance, bad input."""

import json
from pathlib import Path

import pandas as pd
import pytest

import planner
from planner.cli import predict as cli
from planner.errors import CatalogError, InfeasibleError, PointsError
from planner.serving import Replica, planning_law, planning_laws, predict
from planner.sizing import size_llm

POINT = {
    "llm": "llama-3.1-70b", "accelerator": "h100-sxm", "accelerators": 4, "tp": 4,
    "precision": "fp8", "engine": "vllm", "input_tokens": 1024, "output_tokens": 1024,
    "concurrency": 64,
}  # fmt: skip


def points(**changes):
    rows = max((len(v) for v in changes.values() if isinstance(v, list)), default=1)
    return pd.DataFrame({**{k: [v] * rows for k, v in POINT.items()}, **changes})


def test_bands_enclose_the_prediction_and_little_holds():
    p = predict(points(concurrency=[1, 16, 64])).iloc[1]
    for stem, unit in (("ttft", "_ms"), ("tpot", "_ms"), ("output_tokens_per_s", "")):
        assert p[f"{stem}_low{unit}"] < p[f"{stem}{unit}"] < p[f"{stem}_high{unit}"]
    rate = 16 * 1024 / (p.ttft_ms + 1023 * p.tpot_ms) * 1e3
    assert p.output_tokens_per_s == pytest.approx(rate, rel=1e-4)


def test_known_measurement_is_reproduced_within_its_band():
    p = predict(points()).iloc[0]
    from planner.catalog import load_catalog

    measured = load_catalog().serving_points
    for column, value in POINT.items():
        measured = measured[measured[column] == value]
    assert p.provenance == "measured"
    assert p.tpot_low_ms <= measured["tpot_ms"].median() <= p.tpot_high_ms


def test_provenance_says_how_far_it_reaches():
    table = predict(points(
        accelerator=["h100-sxm", "h100-sxm", "h100-sxm", "l4"],
        concurrency=[64, 23, 64, 64], precision=["fp8", "fp8", "int4", "fp8"],
    ))  # fmt: skip
    expected = ["measured", "interpolated", "transferred", "roofline"]
    assert list(table.provenance) == expected
    width = table.tpot_high_ms / table.tpot_low_ms
    assert width[[0, 1]].max() < width[2] < width[3]


def test_outside_range_and_saturation_are_stated():
    table = predict(points(input_tokens=[900000, 8000], concurrency=[1, 2000]))
    assert "outside the measured range" in table.note[0]
    assert "wait: in TTFT" in table.note[1]


def test_blanks_mean_bf16_and_vllm():
    p = predict(points(precision="", engine="")).iloc[0]
    assert (p.precision, p.engine) == ("bf16", "vllm")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"llm": "llama-3.1-7b"}, "points:2 llm 'llama-3.1-7b': unknown; did you mean"),
        ({"accelerator": "h100"}, "h100-sxm"),
        ({"concurrency": "many"}, "points:2 concurrency 'many': not a number"),
        ({"concurrency": 0}, "at least 1"),
        ({"tp": 1.5}, "whole number"),
        ({"precision": "fp7"}, "did you mean fp8"),
        ({"engine": "vlm"}, "did you mean vllm"),
        ({"input_tokens": float("nan")}, "points:2 input_tokens: blank"),
        ({"input_tokens": "1,024"}, "a thousands separator; write 1024"),
    ],
)
def test_bad_cells_are_named_with_a_remedy(change, message):
    with pytest.raises(PointsError, match=message.replace("(", r"\(")) as caught:
        predict(points(**change))
    assert caught.value.exit_code == 3


def test_all_bad_cells_are_reported_at_once():
    with pytest.raises(PointsError) as caught:
        predict(points(llm=["x!", "y!"], concurrency=[0, -1]))
    assert len(caught.value.findings) == 4


def test_a_missing_column_names_the_nearest():
    with pytest.raises(PointsError, match="concurency: unknown column; did you mean concurrency"):
        predict(points().rename(columns={"concurrency": "concurency"}))


def test_other_columns_stand_and_other_units_are_converted():
    plain = predict(points())
    other = predict(points().assign(input_tokens=1.024, notes="x").rename(
        columns={"input_tokens": "input_ktok"}))  # fmt: skip
    assert other.notes[0] == "x"
    assert other.tpot_ms[0] == plain.tpot_ms[0]
    again = predict(plain.assign(concurrency=64))
    assert again.tpot_ms[0] == plain.tpot_ms[0], "a prediction is a table of points too"


def test_planning_law_is_scaled_by_what_is_known():
    known = planning_law(points())
    assert known.provenance[0] == "interpolated"
    assert known.law.alpha_s[0] > 0
    assert known.tpot_low[0] < 1 < known.tpot_high[0]


def test_predictions_hold_for_the_measured_points():
    from planner.catalog import load_catalog

    p = load_catalog().serving_points
    p = p[(p.use == "latency") & (p.serving_mode == "aggregated") & p.concurrency.notna()]
    p = p[p.input_tokens.notna() & p.tpot_ms.notna() & p.tp.notna()].reset_index(drop=True)
    error = (predict(p).tpot_ms / p.tpot_ms - 1).abs()
    assert error.median() < 0.06
    assert error.quantile(0.9) < 0.18


def test_command_reads_and_writes_csv(tmp_path):
    points().to_csv(tmp_path / "p.csv", index=False)
    cli.predict(tmp_path / "p.csv", tmp_path / "out.csv")
    assert pd.read_csv(tmp_path / "out.csv").provenance[0] == "measured"
    cli.predict(tmp_path / "p.csv", tmp_path / "out.json", as_json=True)
    assert json.loads((tmp_path / "out.json").read_text())[0]["tpot_ms"] > 0
    with pytest.raises(PointsError, match="no such file"):
        cli.predict(tmp_path / "absent.csv")


def test_size_answers_and_refuses():
    answer = size_llm("llama-3.1-70b", "h100-sxm", precision="fp8", requests_per_s=20.0)
    assert answer["weights_gb"] == pytest.approx(70.6)
    assert answer["smallest_accelerators_by_memory"] == 1
    # 70B, 10 M tokens, 3 epochs, LoRA at MFU 0.35 (science.md 4.2): 6.7 to 6.8 h.
    assert answer["lora_accelerator_hours"] == pytest.approx(6.8, rel=0.02)
    assert answer["replicas"] >= 20.0 / answer["requests_per_s_per_replica"]
    with pytest.raises(InfeasibleError, match="weights"):
        size_llm("deepseek-r1", "t4")
    with pytest.raises(InfeasibleError, match="ms per token"):
        size_llm("llama-3.1-70b", "h100-sxm", tpot_ms=0.5)
    with pytest.raises(CatalogError, match=r"llama-3\.1-8b"):
        size_llm("llama-3.1-8", "h100-sxm")


def test_an_8_bit_cache_takes_half_the_memory_and_bandwidth():
    """Llama-3.1-8B by hand: 2 x 32 layers x 8 heads x 128 x 2 bytes = 128 KiB a token, 64 KiB at 8
    bits; the memory for it and the weights stay."""
    facts = planner.load(Path(__file__).resolve().parents[2] / "instances" / "tiny")
    llm = next(x for x in facts.llms if x.llm == "llama-3.1-8b")
    wide, narrow = (
        planning_laws([Replica(llm, facts.accelerators[0], 1, "fp8", "vllm", bits)]).law
        for bits in (16, 8)
    )
    assert (wide.kv_bytes_per_token[0], narrow.kv_bytes_per_token[0]) == (131_072, 65_536)
    assert narrow.context_s_per_token[0] == pytest.approx(wide.context_s_per_token[0] / 2)
    assert narrow.kv_capacity_bytes[0] == wide.kv_capacity_bytes[0]
    assert narrow.alpha_s[0] == wide.alpha_s[0]
