"""Fit the serving law to the measured points and write its two tables; print the errors.

    python scripts/fit_serving.py            # fit, cross-validate, write the tables
    python scripts/fit_serving.py --dry-run  # the same without writing
    python scripts/fit_serving.py --corrections LLM ...  # relearn those of llms, the law as it is

Reads planner/catalog/tables/serving_points.csv.gz, accelerators.csv and llms.csv.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import least_squares

from models.coefficients.serving import (
    AcceleratorShape,
    Coefficients,
    LlmShape,
    closed_loop_from_coefficients,
    throughput_tokens_per_s,
)
from planner import serving
from planner.catalog.reader import TABLES_FOLDER

START = {
    "weight_efficiency": 0.75,
    "kv_efficiency": 0.7,
    "layer_s": 1e-4,
    "moe_layer_s": 3e-5,
    "hop_s": 9e-6,
    "sequence_s": 3e-5,
    "decode_efficiency": 0.6,
    "prefill_efficiency": 0.6,
    "comm_efficiency": 0.8,
    "ttft_fixed_s": 0.027,
    "ttft_efficiency": 0.5,
    "ttft_burst": 0.05,
    "ttft_burst_power": 1.0,
    "ttft_iterations": 3.0,
}
TTFT_NAMES = [name for name in START if name.startswith("ttft")]
TPOT_NAMES = [name for name in START if name not in TTFT_NAMES]
PRIOR_SD, OFFSET_SD = 1.0, 0.5
ROBUST, STEP = 0.15, 1e-5

Array = NDArray[Any]
Logs = dict[tuple[str, str], float]
"""(parameter, group) -> log of its value or of its factor"""
Law = tuple[Array, Array]
"""predicted TPOT and TTFT, s"""
Bands = dict[tuple[str, str], tuple[float, float]]
"""(provenance, quantity) -> factors on the prediction"""


class Evaluation(NamedTuple):
    """What the tables and the accuracy page state."""

    logs: Logs
    anchors: pd.DataFrame
    bands: Bands
    report: list[dict[str, Any]]
    tables: dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Points:
    """The measured points as arrays."""

    frame: pd.DataFrame
    groups: dict[str, np.ndarray]
    spec: dict[str, list[str]]
    combination: np.ndarray
    shape: tuple[LlmShape, AcceleratorShape]

    @classmethod
    def load(cls) -> Points:
        frame = pd.read_csv(TABLES_FOLDER / "serving_points.csv.gz")
        keep = (frame["use"] == "latency") & frame["tpot_ms"].notna()
        keep &= frame["concurrency"].notna() & frame["input_tokens"].notna()
        frame = frame[keep].reset_index(drop=True)
        frame["tp"] = frame["tp"].fillna(frame["accelerators"])
        llm, card = serving.shapes(frame["llm"].to_numpy(str), frame["accelerator"].to_numpy(str))
        families = [str(x) for x in np.unique(card.family)]
        engines = [str(x) for x in np.unique(frame["engine"].to_numpy(str))]
        precisions = [str(x) for x in np.unique(frame["precision"].to_numpy(str))]
        labels = {"family": card.family, "engine": frame["engine"].to_numpy(str)}
        labels["precision"] = frame["precision"].to_numpy(str)
        groups = {g: np.asarray(col == g) for col in labels.values() for g in np.unique(col)}
        groups["moe"] = llm.is_moe
        groups["static"] = (frame["serving_mode"] == "static-batch").to_numpy()
        groups["median"] = (frame["ttft_stat"] == "median").to_numpy() & ~groups["static"]
        spec = {
            "weight_efficiency": [*families, *precisions, "moe", "static"],
            "kv_efficiency": families,
            "layer_s": [*families, *engines, *precisions, "static"],
            "moe_layer_s": [*families, *precisions, "static"],
            "hop_s": [*families, *engines, "static"],
            "sequence_s": [*families, *engines, "static"],
            "decode_efficiency": [*families, *precisions, "moe"],
            "prefill_efficiency": [*families, *engines, *precisions, "moe"],
            "ttft_fixed_s": [*engines, "static"],
            "ttft_efficiency": [*families, *precisions, "moe", "static"],
            "ttft_burst": ["median", "static"],
            "ttft_iterations": [*engines, "median", "static"],
        }
        combination = (frame["llm"] + "|" + frame["accelerator"]).to_numpy(str)
        named = {str(k): v for k, v in groups.items()}
        return cls(frame, named, spec, combination, (llm, card))

    def names(self, fields: list[str]) -> list[tuple[str, str]]:
        return [(f, "base") for f in fields] + [
            (f, g) for f in fields for g in self.spec.get(f, []) if self.groups[g].any()
        ]

    def coefficients(self, logs: dict[tuple[str, str], float]) -> Coefficients:
        values = {f: np.full(len(self.frame), START[f]) for f in START}
        for (field, group), log in logs.items():
            if group == "base":
                values[field] = np.full(len(self.frame), np.exp(log))
        for (field, group), log in logs.items():
            if group != "base":
                values[field][self.groups[group]] *= np.exp(log)
        return Coefficients(**values)

    def take(self, index: NDArray[np.int64]) -> Points:
        llm, card = self.shape
        return Points(
            self.frame.iloc[index].reset_index(drop=True),
            {name: member[index] for name, member in self.groups.items()},
            self.spec,
            self.combination[index],
            (llm.take(index), card.take(index)),
        )

    def predict(self, logs: Logs) -> Law:
        return self.run(self.coefficients(logs))

    def run(self, coefficients: Coefficients) -> Law:
        llm, card = self.shape
        f = self.frame
        point = closed_loop_from_coefficients(
            llm, card, f["accelerators"].to_numpy(float), f["precision"].to_numpy(str),
            coefficients, f["input_tokens"].to_numpy(float),
            f["output_tokens"].to_numpy(float), f["concurrency"].to_numpy(float),
            split_layers=self.groups["llama.cpp"],
            interference=1.0 - self.groups["static"],
        )  # fmt: skip
        return point.tpot_s, point.ttft_s


def measured(points: Points) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    f = points.frame
    tpot, ttft = f["tpot_ms"].to_numpy(float) / 1e3, f["ttft_ms"].to_numpy(float) / 1e3
    m, c = f["output_tokens"].to_numpy(float), f["concurrency"].to_numpy(float)
    rate = np.where(
        f["throughput_kind"] == "measured",
        f["output_tokens_per_s"],
        throughput_tokens_per_s(c, m, ttft, tpot),
    )
    return tpot, ttft, rate


def _fit(
    points: Points, mask: Array, fields: list[str], fixed: Logs, target: Array, which: int
) -> Logs:
    names = points.names(fields)
    start = np.array([np.log(START[f]) if g == "base" else 0.0 for f, g in names])
    spread = np.array([PRIOR_SD if g == "base" else OFFSET_SD for _, g in names])
    points = points.take(np.flatnonzero(mask & np.isfinite(target) & (target > 0.0)))
    logs = np.log(target[mask & np.isfinite(target) & (target > 0.0)])
    counts = pd.Series(points.combination)
    weight = counts.map(counts.value_counts()).to_numpy(float) ** -0.35
    weight /= np.sqrt((weight**2).mean())
    member = np.stack(
        [np.ones(len(logs)) if g == "base" else 1.0 * points.groups[g] for _, g in names], axis=1
    )
    columns = {f: np.array([f == name for name, _ in names]) for f in fields}

    def predicted(values: dict[str, Array]) -> Array:
        known = points.coefficients(fixed)
        return np.log(points.run(replace(known, **values))[which])

    def values_of(x: Array) -> dict[str, Array]:
        return {f: np.exp(member[:, at] @ x[at]) for f, at in columns.items()}

    def residual(x: Array) -> Array:
        z = (predicted(values_of(x)) - logs) * weight / ROBUST
        bent = ROBUST * np.sign(z) * np.sqrt(2.0 * (np.sqrt(1.0 + z * z) - 1.0))
        return np.concatenate([bent / 0.15, (x - start) / spread * 1.5])

    def slopes(x: Array) -> Array:
        """A coefficient acts row by row: one difference serves all its groups."""
        values = values_of(x)
        here = predicted(values)
        z = np.abs(here - logs) * weight / ROBUST
        root = np.sqrt(1.0 + z * z)
        bend = np.sqrt((root + 1.0) / 2.0) / root
        out = np.zeros((len(logs) + len(x), len(x)))
        for f, at in columns.items():
            moved = predicted({**values, f: values[f] * np.exp(STEP)})
            slope = (moved - here) / STEP * bend * weight / 0.15
            out[: len(logs), at] = slope[:, None] * member[:, at]
        out[len(logs) :] = np.diag(1.5 / spread)
        return out

    found = least_squares(residual, start, slopes, max_nfev=25, xtol=1e-4, ftol=1e-4)
    return dict(zip(names, found.x, strict=True))


def fit_law(points: Points, mask: Array) -> Logs:
    tpot, ttft, _ = measured(points)
    logs = _fit(points, mask, TPOT_NAMES, {}, tpot, 0)
    return {**logs, **_fit(points, mask, TTFT_NAMES, logs, ttft, 1)}


def fit_anchors(points: Points, mask: Array, law: Law) -> pd.DataFrame:
    """Weights of the log corrections: Gaussian-process regression on robust medians of repeats."""
    tpot, ttft, _ = measured(points)
    frame = points.frame.assign(
        r_tpot=np.clip(np.log(tpot / law[0]), -1.2, 1.2),
        r_ttft=np.clip(np.log(ttft / law[1]), -1.5, 1.5),
    )[mask & ~points.groups["static"]]
    keys = list(serving.POINT_COLUMNS)
    table = frame.groupby(keys, as_index=False)[["r_tpot", "r_ttft"]].median()
    names, logs = serving.names_of(table), serving.logs_of(table)
    prior = serving.kernel(names, logs, names, logs)
    noise = serving.KERNEL_WEIGHTS[4]
    for column in ("tpot", "ttft"):
        r = table[f"r_{column}"].to_numpy(float)
        known = np.isfinite(r)
        k = prior[np.ix_(known, known)] + noise * np.eye(int(known.sum()))
        weight = np.zeros(len(table))
        weight[known] = cho_solve(cho_factor(k), r[known])
        table[f"{column}_weight"] = weight
    return pd.DataFrame(table[[*keys, "tpot_weight", "ttft_weight"]])


def corrected(points: Points, law: Law, anchors_table: pd.DataFrame) -> Law:
    anchors = serving.anchors_from(anchors_table)
    a, b, _ = serving.corrections(
        serving.names_of(points.frame), serving.logs_of(points.frame), anchors
    )
    return law[0] * a, law[1] * b


def folds(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    unique = np.unique(labels)
    np.random.default_rng(seed).shuffle(unique)
    number = {name: i % count for i, name in enumerate(unique)}
    return np.array([number[name] for name in labels])


def cross_validate(points: Points, labels: Array, count: int, full: Law | None = None) -> Law:
    """Predictions of points left out by folds of whole labels; the law refitted, or `full`."""
    tpot, ttft = np.full(len(labels), np.nan), np.full(len(labels), np.nan)
    fold = folds(labels, count, 0)
    for i in range(count):
        law = points.predict(fit_law(points, fold != i)) if full is None else full
        table = fit_anchors(points, fold != i, law)
        a, b = corrected(points, law, table)
        tpot[fold == i], ttft[fold == i] = a[fold == i], b[fold == i]
    return tpot, ttft


def errors(points: Points, prediction: Law) -> pd.DataFrame:
    """Absolute relative errors in percent and log ratios measured / predicted."""
    tpot, ttft, rate = measured(points)
    f = points.frame
    m, c = f["output_tokens"].to_numpy(float), f["concurrency"].to_numpy(float)
    guess = throughput_tokens_per_s(c, m, prediction[1], prediction[0])
    out = pd.DataFrame({"combination": points.combination})
    for name, real, said in (
        ("tpot", tpot, prediction[0]),
        ("ttft", ttft, prediction[1]),
        ("rate", rate, guess),
    ):
        out[f"{name}_error"] = np.abs(said / real - 1.0) * 100.0
        out[f"{name}_log"] = np.log(real / said)
    return out[~points.groups["static"]]


def summary(table: pd.DataFrame, title: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name in ("tpot", "ttft", "rate"):
        e = table[f"{name}_error"].replace(np.inf, np.nan).dropna()
        per = table.assign(e=table[f"{name}_error"]).groupby("combination")["e"].median()
        rows.append(
            {
                "test": title, "quantity": name, "points": len(e),
                "combinations": int(per.notna().sum()), "median": float(e.median()),
                "mean": float(e.mean()), "p90": float(e.quantile(0.9)),
                "median_of_combinations": float(per.median()),
            }
        )  # fmt: skip
    return rows


def band(table: pd.DataFrame, name: str) -> tuple[float, float]:
    logs = table[f"{name}_log"].replace([np.inf, -np.inf], np.nan).dropna()
    return float(np.exp(logs.quantile(0.10))), float(np.exp(logs.quantile(0.90)))


def evaluate(points: Points) -> Evaluation:
    """Everything the tables and the accuracy page state."""
    full = np.ones(len(points.frame), dtype=bool)
    logs = fit_law(points, full)
    law = points.predict(logs)
    anchors = fit_anchors(points, full, law)
    rows = np.array([str(i) for i in range(len(points.frame))])
    keys = points.frame[list(serving.POINT_COLUMNS)].astype(str).agg("|".join, axis=1).to_numpy(str)
    unseen = errors(points, cross_validate(points, points.combination, 8))
    known = errors(points, cross_validate(points, keys, 5, law))
    repeat = errors(points, cross_validate(points, rows, 5, law))
    tables = {"transferred": unseen, "interpolated": known, "measured": repeat}
    bands = {(p, q): band(t, q) for p, t in tables.items() for q in ("tpot", "ttft", "rate")}
    report = [r for p, t in tables.items() for r in summary(t, p)]
    return Evaluation(logs, anchors, bands, report, tables)


def parameters_table(logs: Logs, bands: Bands) -> pd.DataFrame:
    source = "scripts/fit_serving.py on serving_points.csv.gz"
    rows = [("law", f, g, np.exp(v)) for (f, g), v in logs.items() if g != "static"]
    for (provenance, quantity), (low, high) in bands.items():
        rows += [("band", f"{quantity}_low", provenance, low)]
        rows += [("band", f"{quantity}_high", provenance, high)]
    table = pd.DataFrame(rows, columns=["kind", "parameter", "group", "value"])
    table["value"] = [float(f"{v:.6g}") for v in table["value"]]
    unit = table["parameter"].str.endswith("_s") & (table["group"] == "base")
    table["unit"] = np.where(unit, "s", "factor")
    table["date"] = "2026-11-23"
    table["source"] = source
    return table


def shipped_logs() -> Logs:
    """The law as the tables have it; static batches, which take no part in corrections, apart."""
    parameters = serving.load_parameters()
    base = {(name, "base"): float(np.log(value)) for name, value in parameters.base.items()}
    return base | {key: float(np.log(value)) for key, value in parameters.factors.items()}


def relearnt(points: Points, llms: list[str]) -> pd.DataFrame:
    """The shipped corrections, with those of some llms learnt anew beside the shipped law.

    Llms do not share corrections (`serving.kernel`), so the others stay what they are.
    """
    known = pd.read_csv(TABLES_FOLDER / "serving_combinations.csv.gz")
    mine = points.frame["llm"].isin(llms).to_numpy()
    found = fit_anchors(points, mine, points.predict(shipped_logs()))
    others = known[~known["llm"].isin(llms)].drop(columns=["date", "source"])
    keys = list(serving.POINT_COLUMNS)
    return pd.concat([others, found], ignore_index=True).sort_values(keys, ignore_index=True)


def write_anchors(anchors: pd.DataFrame) -> None:
    anchors = anchors.assign(date="2026-11-23", source="serving_points.csv.gz")
    for column in ("tpot_weight", "ttft_weight"):
        anchors[column] = anchors[column].round(5)
    anchors.to_csv(
        TABLES_FOLDER / "serving_combinations.csv.gz",
        index=False,
        compression={"method": "gzip", "mtime": 0},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--corrections", nargs="+", metavar="LLM")
    arguments = parser.parse_args()
    points = Points.load()
    if arguments.corrections:
        write_anchors(relearnt(points, arguments.corrections))
        return
    logs, anchors, bands, report, _ = evaluate(points)
    print(pd.DataFrame(report).round(1).to_string(index=False))
    print(json.dumps({f"{p} {q}": [round(x, 2) for x in b] for (p, q), b in bands.items()}))
    if arguments.dry_run:
        return
    # An accelerator without any point: serving.md's figure for an unseen family.
    for quantity in ("tpot", "ttft"):
        bands["roofline", quantity] = (0.45, 2.5)
    bands["roofline", "rate"] = (0.4, 2.2)
    parameters_table(logs, bands).to_csv(TABLES_FOLDER / "serving_parameters.csv", index=False)
    write_anchors(anchors)


if __name__ == "__main__":
    main()
