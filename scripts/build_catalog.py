"""Compile the shipped catalog from a folder of collected source tables.

Usage: python scripts/build_catalog.py SOURCE_DIR

Writes planner/catalog/tables/. Every row keeps its `source` and `date`. The output depends on
the input alone: two runs give identical bytes. Facts are copied or aggregated, never invented;
figures that we derive say so in their `source` or `basis`.
"""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

TABLES = Path(__file__).resolve().parent.parent / "planner" / "catalog" / "tables"
COMPILED = "2026-11-23"
"""The day the sources were collected: the date of rows that carry none of their own."""


# ------------------------------------------------------------------ writing


def write(frame: pd.DataFrame, name: str, compress: bool = False) -> None:
    """Write one table: no index, shortest exact-enough numbers, no time stamp in the archive."""
    for column in ("source", "date"):
        if column not in frame.columns or frame[column].isna().any():
            raise SystemExit(f"{name}: every row needs a {column}")
    buffer = io.StringIO()
    frame.to_csv(buffer, index=False, float_format="%.10g", lineterminator="\n")
    data = buffer.getvalue().encode("utf-8")
    path = TABLES / (f"{name}.csv.gz" if compress else f"{name}.csv")
    path.write_bytes(gzip.compress(data, compresslevel=9, mtime=0) if compress else data)
    print(f"{path.name:28} {len(frame):6} rows  {path.stat().st_size / 1024:8.1f} KiB")


def whole(values: pd.Series) -> pd.Series:
    """Counts as integers, blanks kept."""
    return values.astype("Float64").round().astype("Int64")


# ------------------------------------------------------------------ serving points

PRECISIONS = {
    "fp16": "bf16",
    "f16": "bf16",
    "fp16/w:bf16": "bf16",
    "fp16/w:int8": "int8",
    "q4_k_m": "int4",
    "uint4": "int4",
}
PREFILL_MFU = 0.3
REPEAT_TOLERANCE = 0.005


def peak_tflops(precision: pd.Series, accelerators: pd.DataFrame) -> pd.Series:
    """Dense TFLOP/s of one accelerator at the precision, falling back to the next wider one."""
    bf16 = accelerators["bf16_dense_tflops"]
    fp8 = accelerators["fp8_dense_tflops"].fillna(bf16)
    fp4 = accelerators["fp4_dense_tflops"].fillna(fp8)
    return bf16.where(~precision.isin(["fp8", "int8"]), fp8).where(
        ~precision.isin(["fp4", "mxfp4"]), fp4
    )


def drop_repeats(points: pd.DataFrame) -> pd.DataFrame:
    """Drop a row that repeats an earlier one: same set-up, TTFT and TPOT within 0.5 %.

    The same dump was filed by several sources, rounded differently. Rows with a measured
    throughput are preferred, then the newest.
    """
    setup = ["llm", "accelerator", "accelerators", "tp", "pp", "precision", "engine",
             "serving_mode", "input_tokens", "output_tokens", "concurrency"]  # fmt: skip
    rank = points.assign(derived=points["throughput_kind"] != "measured").sort_values(
        ["derived", "date", "point_id"], ascending=[True, False, True]
    )
    kept: list[str] = []
    for _, group in rank.groupby(setup, dropna=False, sort=False):
        seen: list[tuple[float, float]] = []
        for point_id, ttft, tpot in group[["point_id", "ttft_ms", "tpot_ms"]].itertuples(
            index=False
        ):
            repeat = any(
                (np.isnan(ttft) and np.isnan(t) or abs(ttft - t) <= REPEAT_TOLERANCE * t)
                and abs(tpot - p) <= REPEAT_TOLERANCE * p
                for t, p in seen
            )
            if not repeat:
                kept.append(point_id)
                seen.append((ttft, tpot))
    return points[points["point_id"].isin(set(kept))]


def serving_points(source: Path) -> None:
    """Measured serving points, cleaned; `use` says which fits a row may enter."""
    points = pd.read_csv(source / "perf.csv").rename(columns={"model": "llm"})
    counts = {"read": len(points)}
    points["date"] = points["date"].fillna(COMPILED)
    points["precision"] = points["precision"].fillna("bf16").replace(PRECISIONS)
    points.loc[points["llm"].str.startswith("gpt-oss"), "precision"] = "mxfp4"

    points = points[points["serving_mode"] != "disaggregated"].copy()
    counts["after dropping disaggregated"] = len(points)
    power_only = points["power_w"].notna() & (
        points["concurrency"].isna() | points["tpot_ms"].isna()
    )
    latency = points["concurrency"].notna() & points["tpot_ms"].notna()
    latency &= ~((points["serving_mode"] == "static-batch") & (points["output_tokens"] > 128))
    points["use"] = np.where(latency, "latency", "power")
    points = points[latency | power_only]
    counts["after dropping no concurrency, no TPOT, long static batches"] = len(points)

    llms = pd.read_csv(source / "models.csv").set_index("model")
    cards = pd.read_csv(source / "accelerators.csv").set_index("accelerator")
    cards = cards.loc[points["accelerator"]].set_index(points.index)
    flop = 2e9 * llms["params_active_b"].reindex(points["llm"]).to_numpy() * points["input_tokens"]
    flop_per_s = 1e12 * points["accelerators"] * peak_tflops(points["precision"], cards)
    own_prefill_s = flop / (flop_per_s * PREFILL_MFU)
    limit_s = 1.5 * points["concurrency"] * own_prefill_s + 1.0
    points = points[~(points["ttft_ms"] / 1000.0 > limit_s)]
    counts["after dropping saturated"] = len(points)

    latency_rows = drop_repeats(points[points["use"] == "latency"])
    points = pd.concat([latency_rows, points[points["use"] == "power"]])
    counts["after dropping repeats"] = len(points)
    for what, rows in counts.items():
        print(f"  serving points {what}: {rows}")

    columns = ["point_id", "llm", "accelerator", "accelerators", "tp", "pp", "ep", "dp",
               "precision", "engine", "engine_version", "input_tokens", "output_tokens",
               "concurrency", "ttft_ms", "ttft_stat", "tpot_ms", "tpot_stat",
               "output_tokens_per_s", "throughput_kind", "power_w", "power_scope",
               "energy_j_per_output_token", "serving_mode", "use", "benchmark", "date",
               "source"]  # fmt: skip
    points = points.sort_values(["llm", "accelerator", "accelerators", "precision", "engine",
                                 "input_tokens", "output_tokens", "concurrency",
                                 "point_id"])[columns]  # fmt: skip
    write(points, "serving_points", compress=True)


def main(arguments: Sequence[str]) -> None:
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        raise SystemExit(__doc__)
    source = Path(arguments[0])
    TABLES.mkdir(parents=True, exist_ok=True)
    serving_points(source)


if __name__ == "__main__":
    main(sys.argv[1:])
