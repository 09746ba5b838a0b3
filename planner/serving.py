"""Serving laws for planning and prediction: parameters, corrections of known combinations.

A prediction is the law of `models.coefficients.serving` with the fitted global parameters
(``serving_parameters.csv``), times a correction learnt from the measured points nearby
(``serving_combinations.csv.gz``). The correction of a combination nobody measured fades to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.coefficients.serving import (
    AcceleratorShape,
    IterationLaw,
    LlmShape,
    ServingParameters,
    closed_loop,
    iteration_law,
    throughput_tokens_per_s,
)
from planner.calibration import Calibration
from planner.catalog import load_catalog
from planner.instance.facts import AcceleratorFacts, LlmFacts
from planner.points import checked

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]

ID_COLUMNS = ("llm", "accelerator", "accelerators", "tp", "precision", "engine")
LOAD_COLUMNS = ("input_tokens", "output_tokens", "concurrency")
POINT_COLUMNS = ID_COLUMNS + LOAD_COLUMNS
FAMILY_ALIAS = {"turing": "gddr", "volta": "other"}
KERNEL_LENGTH = 2.5
"""How far a correction reaches, in natural logarithms of tokens and requests."""
KERNEL_WEIGHTS = (0.004, 0.012, 0.02, 0.06, 0.008)
"""Prior variances of the log correction shared by the same llm; llm and accelerator; those and
engine and precision; the very combination near the point; and of the measurement itself."""
WIDEST_BITS = 16
ARITHMETIC_BITS = {"fp8": 8, "fp4": 4}
"""Arithmetic that a precision needs; 16 bits otherwise: int8, int4, mxfp4 and q4_k_m can be
unpacked as the weights are read, and save memory and bandwidth on every accelerator."""
PLANNING_LOAD = (1024.0, 512.0, 32.0)
"""Input tokens, output tokens and batch at which a plan's laws are corrected: mid-range chat."""
CHUNK = 1024
"""Points compared with all anchors at once: bounds the memory."""
NEAR = 0.05
"""A point within 5 % of a measured one in every length and in concurrency counts as measured."""


# ------------------------------------------------------------------ tables


@lru_cache(maxsize=1)
def load_parameters() -> ServingParameters:
    """The fitted parameters of the serving law, from the catalog."""
    table = load_catalog().table("serving_parameters")
    law = table[table["kind"] == "law"]
    base = law[law["group"] == "base"]
    factors = law[law["group"] != "base"]
    return ServingParameters(
        base=dict(zip(base["parameter"], base["value"].astype(float), strict=True)),
        factors={
            (str(p), str(g)): float(v)
            for p, g, v in zip(
                factors["parameter"], factors["group"], factors["value"], strict=True
            )
        },
    )


load_serving_parameters = load_parameters


@lru_cache(maxsize=1)
def load_bands() -> dict[tuple[str, str], tuple[float, float]]:
    """80 % bands by (provenance, quantity): factors below and above the prediction."""
    table = load_catalog().table("serving_parameters")
    bands = table[table["kind"] == "band"]
    values = {
        (str(p), str(g)): float(v)
        for p, g, v in zip(bands["parameter"], bands["group"], bands["value"], strict=True)
    }
    keys = {(p.rsplit("_", 1)[0], g) for p, g in values}
    return {(g, q): (values[f"{q}_low", g], values[f"{q}_high", g]) for q, g in keys}


@dataclass(frozen=True, eq=False)
class Anchors:
    """Measured points of the known combinations with their log corrections, (K,) each."""

    names: NDArray[np.str_]
    """(K, 6) llm, accelerator, accelerators, tp, precision, engine"""
    logs: Array
    """(K, 3) natural logarithms of input tokens, output tokens, concurrency"""
    tpot_weight: Array
    ttft_weight: Array

    def take(self, index: NDArray[np.int64]) -> Anchors:
        """The points `index`."""
        return Anchors(*(np.asarray(getattr(self, f.name))[index] for f in fields(self)))


def anchors_from(frame: DataFrame) -> Anchors:
    """Anchors from a table with POINT_COLUMNS, ``tpot_weight`` and ``ttft_weight``."""
    return Anchors(
        names_of(frame),
        logs_of(frame),
        frame["tpot_weight"].to_numpy(float),
        frame["ttft_weight"].to_numpy(float),
    )


@lru_cache(maxsize=1)
def load_anchors() -> Anchors:
    """The shipped calibration of known combinations."""
    return anchors_from(load_catalog().table("serving_combinations"))


def names_of(frame: DataFrame) -> NDArray[np.str_]:
    """Identity of points as text, (N, 6)."""
    count = [frame[c].astype(float).astype(int).astype(str) for c in ("accelerators", "tp")]
    columns = [frame["llm"], frame["accelerator"], *count, frame["precision"], frame["engine"]]
    return np.stack([np.asarray(c, dtype=str) for c in columns], axis=1)


def logs_of(frame: DataFrame) -> Array:
    """Natural logarithms of lengths and concurrency, (N, 3)."""
    return np.asarray(np.log(np.maximum(frame[list(LOAD_COLUMNS)].to_numpy(float), 1.0)))


def kernel(
    names_a: NDArray[np.str_], logs_a: Array, names_b: NDArray[np.str_], logs_b: Array
) -> Array:
    """Prior covariance of log corrections between points, (A, B)."""
    same = [names_a[:, None, i] == names_b[None, :, i] for i in range(6)]
    llm, pair = same[0], same[0] & same[1]
    kind = pair & same[4] & same[5]
    combination = kind & same[2] & same[3]
    distance = np.abs(logs_a[:, None, :] - logs_b[None, :, :]).sum(axis=2) / KERNEL_LENGTH
    near = np.exp(-distance)
    w = KERNEL_WEIGHTS
    return np.asarray(
        w[0] * llm + w[1] * pair + kind * (w[2] * (0.5 + 0.5 * near)) + combination * w[3] * near
    )


def corrections(
    names: NDArray[np.str_], logs: Array, anchors: Anchors
) -> tuple[Array, Array, NDArray[np.str_]]:
    """Factors on TPOT and TTFT and the provenance of points, (N,) each."""
    if len(names) > CHUNK:
        parts = [
            corrections(names[at : at + CHUNK], logs[at : at + CHUNK], anchors)
            for at in range(0, len(names), CHUNK)
        ]
        tpots, ttfts, kinds = zip(*parts, strict=True)
        return np.concatenate(tpots), np.concatenate(ttfts), np.concatenate(kinds)
    cards = np.isin(names[:, 1], np.unique(anchors.names[:, 1]))
    anchors = anchors.take(np.flatnonzero(np.isin(anchors.names[:, 0], names[:, 0])))  # others: 0
    covariance = kernel(names, logs, anchors.names, anchors.logs)
    tpot = np.exp(covariance @ anchors.tpot_weight)
    ttft = np.exp(covariance @ anchors.ttft_weight)
    known = (names[:, None, :] == anchors.names[None, :, :]).all(axis=2)
    close = (np.abs(logs[:, None, :] - anchors.logs[None, :, :]) <= NEAR).all(axis=2)
    measured, interpolated = (known & close).any(axis=1), known.any(axis=1)
    provenance = np.where(cards, "transferred", "roofline")
    provenance = np.where(interpolated, "interpolated", provenance)
    return tpot, ttft, np.where(measured, "measured", provenance)


# ------------------------------------------------------------------ shapes


def llm_shapes(llms: Sequence[LlmFacts]) -> LlmShape:
    """Structure of llms, fields (N,)."""
    return _llm_shape([vars(llm) for llm in llms])


def accelerator_shapes(accelerators: Sequence[AcceleratorFacts]) -> AcceleratorShape:
    """Datasheet figures of accelerators, fields (N,)."""
    return _accelerator_shape([vars(card) for card in accelerators])


def shapes(
    llms: NDArray[np.str_], accelerators: NDArray[np.str_]
) -> tuple[LlmShape, AcceleratorShape]:
    """Catalog figures of N llms and N accelerators; CatalogError for an unknown id."""
    catalog = load_catalog()
    names, llm = np.unique(llms, return_inverse=True)
    cards, card = np.unique(accelerators, return_inverse=True)
    return (
        _llm_shape([catalog.llm(str(name)) for name in names]).take(llm),
        _accelerator_shape([catalog.accelerator(str(name)) for name in cards]).take(card),
    )


def _llm_shape(rows: Sequence[Mapping[str, Any]]) -> LlmShape:
    """Rows of the catalog, or facts, which have its names.

    Where they are silent: attention as wide as the hidden size, and a cache that cannot be split (1
    head), which is safe. A compressed (MLA) cache has one head.
    """

    def field(of: Callable[[Mapping[str, Any]], Any]) -> Array:
        return np.array([of(row) for row in rows], dtype=np.float64)

    def width(row: Mapping[str, Any]) -> float:
        known = row["attention_heads"] and row["head_dim"]
        return float(row["attention_heads"] * row["head_dim"] if known else row["hidden_size"])

    def share(row: Mapping[str, Any]) -> float:
        sparse = row["experts"] and row["experts_per_token"] and row["params_expert_b"]
        return float(row["experts_per_token"] / row["experts"]) if sparse else 1.0

    def heads(row: Mapping[str, Any]) -> float:
        return 1.0 if row["attention"] == "mla" or not row["kv_heads"] else float(row["kv_heads"])

    return LlmShape(
        layers=field(lambda r: r["layers"]),
        hidden_size=field(lambda r: r["hidden_size"]),
        attention_width=field(width),
        params_dense=field(lambda r: r["params_dense_b"] * 1e9),
        params_expert=field(lambda r: (r["params_expert_b"] or 0.0) * 1e9),
        expert_share=field(share),
        kv_bytes_per_token=field(lambda r: r["kv_bytes_per_token_bf16"] or np.nan),
        kv_heads=field(heads),
        window_share=field(lambda r: r["kv_window_share"] or 0.0),
        window_tokens=field(lambda r: r["kv_window_tokens"] or 0.0),
    )


def _accelerator_shape(rows: Sequence[Mapping[str, Any]]) -> AcceleratorShape:
    """Rows of the catalog, or facts, which have its names.

    Without a unit for a precision the rate is that of 16 bits (`has_arithmetic` says where that is
    meant); without an interconnect, that of PCIe 4.0 x16.
    """

    def field(of: Callable[[Mapping[str, Any]], Any]) -> Array:
        return np.array([of(row) for row in rows], dtype=np.float64)

    return AcceleratorShape(
        memory_bytes=field(lambda r: r["memory_gb"] * 1e9),
        bandwidth_bytes_per_s=field(lambda r: r["memory_bandwidth_gb_per_s"] * 1e9),
        bf16_flops=field(lambda r: (r["bf16_tflops"] or np.nan) * 1e12),
        fp8_flops=field(lambda r: (r["fp8_tflops"] or r["bf16_tflops"] or np.nan) * 1e12),
        fp4_flops=field(lambda r: (r["fp4_tflops"] or r["bf16_tflops"] or np.nan) * 1e12),
        interconnect_bytes_per_s=field(lambda r: (r["interconnect_gb_per_s"] or 64.0) * 1e9),
        family=np.array([law_family(r["accelerator"]) for r in rows], dtype=str),
        linked=field(lambda r: r["linked_accelerators"] or np.inf),
        beyond_bytes_per_s=field(lambda r: (r["beyond_gb_per_s"] or 64.0) * 1e9),
    )


@lru_cache(maxsize=256)
def law_family(accelerator: str) -> str:
    """The name under which the serving law knows an accelerator: GDDR cards are one family."""
    row = load_catalog().accelerator(accelerator)
    if row["memory_kind"] == "gddr":
        return "gddr"
    return FAMILY_ALIAS.get(str(row["family"]), str(row["family"]))


def has_arithmetic(accelerator: AcceleratorFacts, precision: str) -> bool:
    """Whether the accelerator computes at a precision, `ARITHMETIC_BITS` wide."""
    return ARITHMETIC_BITS.get(precision, WIDEST_BITS) >= narrowest_bits(accelerator)


def usable_precisions(llm: LlmFacts, accelerator: AcceleratorFacts) -> tuple[str, ...]:
    """The llm's precisions for which the accelerator has the arithmetic; where nobody gave them
    the first one alone."""
    found = tuple(x for x in llm.precisions if has_arithmetic(accelerator, x))
    return found if llm.precisions_given else found[:1]


def narrowest_bits(accelerator: AcceleratorFacts) -> int:
    """Bits of the narrowest floating-point arithmetic of an accelerator."""
    return 4 if accelerator.fp4_tflops else 8 if accelerator.fp8_tflops else WIDEST_BITS


def splits_heads(llm: Mapping[str, Any], accelerators: int, engine: str) -> bool:
    """Whether the accelerators of a replica get whole heads, alike: attention heads are divided, KV
    heads divided or copied whole (vLLM asserts both).

    `llm`: a row of the catalog, or `vars` of facts. llama.cpp takes turns by layers and splits no
    heads; a compressed (MLA) cache is copied; heads that nobody stated are not held against it.
    """
    attention, kv = llm["attention_heads"], llm["kv_heads"]
    if engine == "llama.cpp" or not attention:
        return True
    copied = llm["attention"] == "mla" or not kv or accelerators % kv == 0
    return bool(attention % accelerators == 0 and (copied or kv % accelerators == 0))


# ------------------------------------------------------------------ laws for planning


@dataclass(frozen=True)
class Replica:
    """A replica as facts know it."""

    llm: LlmFacts
    accelerator: AcceleratorFacts
    accelerators: int
    precision: str
    engine: str
    kv_cache_bits: int = WIDEST_BITS


@dataclass(frozen=True, eq=False)
class PlanningLaw:
    """Iteration laws of N replicas for planning, with how they are known."""

    law: IterationLaw
    provenance: NDArray[np.str_]
    tpot_low: Array
    """(N,) 80 % band, factors on the decode times"""
    tpot_high: Array
    ttft_low: Array
    ttft_high: Array

    def take(self, index: NDArray[np.int64]) -> PlanningLaw:
        """The rows `index`."""
        other = [f.name for f in fields(self) if f.name != "law"]
        return PlanningLaw(
            law=self.law.take(index), **{name: getattr(self, name)[index] for name in other}
        )


PlanningLaws = Callable[[Sequence[Replica], Calibration | None], PlanningLaw]


def planning_laws(
    replicas: Sequence[Replica], calibration: Calibration | None = None
) -> PlanningLaw:
    """Calibrated iteration laws of replicas, (N,) rows; see `planning_law`."""
    llms = {id(r.llm): r.llm for r in replicas}
    cards = {id(r.accelerator): r.accelerator for r in replicas}
    llm_at = {key: at for at, key in enumerate(llms)}
    card_at = {key: at for at, key in enumerate(cards)}
    llm = np.array([llm_at[id(r.llm)] for r in replicas], dtype=np.int64)
    card = np.array([card_at[id(r.accelerator)] for r in replicas], dtype=np.int64)
    names = [
        (r.llm.llm, r.accelerator.accelerator, *[str(r.accelerators)] * 2, r.precision, r.engine)
        for r in replicas
    ]
    shape = llm_shapes(list(llms.values())).take(llm)
    bits = np.array([r.kv_cache_bits for r in replicas], dtype=np.float64)
    return _planning_law(
        replace(shape, kv_bytes_per_token=shape.kv_bytes_per_token * bits / WIDEST_BITS),
        accelerator_shapes(list(cards.values())).take(card),
        np.array([r.accelerators for r in replicas], dtype=np.float64),
        np.array(names, dtype=str).reshape(-1, 6),
        calibration,
    )


def planning_law(
    combinations: DataFrame,
    calibration: Calibration | None = None,
    *,
    input_tokens: float = PLANNING_LOAD[0],
    output_tokens: float = PLANNING_LOAD[1],
    concurrency: float = PLANNING_LOAD[2],
) -> PlanningLaw:
    """Calibrated iteration laws of replicas; `combinations` has ID_COLUMNS, (N,) rows.

    The law of a known combination is scaled by its correction at the given lengths and batch (it is
    scaled, not refitted: a line fitted at one length shape fails at another).
    """
    llm, card = shapes(combinations["llm"].to_numpy(str), combinations["accelerator"].to_numpy(str))
    return _planning_law(
        llm,
        card,
        combinations["accelerators"].to_numpy(float),
        names_of(combinations),
        calibration,
        (input_tokens, output_tokens, concurrency),
    )


def _planning_law(
    llm: LlmShape,
    card: AcceleratorShape,
    accelerators: Array,
    names: NDArray[np.str_],
    calibration: Calibration | None,
    load: tuple[float, float, float] = PLANNING_LOAD,
) -> PlanningLaw:
    """`names` (N, 6) as `Anchors.names`."""
    law = iteration_law(llm, card, accelerators, names[:, 4], names[:, 5], load_parameters())
    logs = np.tile(np.log(load), (len(names), 1))
    tpot, ttft, provenance = corrections(names, logs, load_anchors())
    # A plan never stands on the very point of a measurement.
    provenance = np.where(provenance == "measured", "interpolated", provenance)
    if calibration is not None:
        tpot, ttft, provenance = calibration.apply(names, logs, tpot, ttft, provenance)
    bands = _bands(provenance)
    return PlanningLaw(law.scaled(tpot, ttft), provenance, *bands["tpot"], *bands["ttft"])


def _bands(provenance: NDArray[np.str_]) -> dict[str, tuple[Array, Array]]:
    table = load_bands()
    # The user's own measurements predict like points of a known combination.
    keys = ["interpolated" if p == "user" else str(p) for p in provenance]
    return {
        q: (np.array([table[k, q][0] for k in keys]), np.array([table[k, q][1] for k in keys]))
        for q in ("tpot", "ttft", "rate")
    }


# ------------------------------------------------------------------ prediction


def predict(
    points: DataFrame, calibration: Calibration | None = None, file: str = "points"
) -> DataFrame:
    """TTFT, TPOT and output tokens/s of points, with 80 % bands, provenance and a note.

    `points` has POINT_COLUMNS (precision and engine may be blank). Raises PointsError with every
    bad cell. A concurrency above the memory is limited to what fits; the rest queues, in TTFT.
    """
    frame, _ = checked(points, file)
    llm, card = shapes(frame["llm"].to_numpy(str), frame["accelerator"].to_numpy(str))
    n, m, c = (frame[column].to_numpy(float) for column in LOAD_COLUMNS)
    point = closed_loop(
        llm,
        card,
        frame["accelerators"].to_numpy(float),
        frame["precision"].to_numpy(str),
        frame["engine"].to_numpy(str),
        load_parameters(),
        n,
        m,
        c,
    )
    names, logs = names_of(frame), logs_of(frame)
    anchors = load_anchors()
    tpot, ttft, provenance = corrections(names, logs, anchors)
    if calibration is not None:
        tpot, ttft, provenance = calibration.apply(names, logs, tpot, ttft, provenance)
    tpot_ms, ttft_ms = point.tpot_s * tpot * 1e3, point.ttft_s * ttft * 1e3
    rate = throughput_tokens_per_s(c, m, ttft_ms / 1e3, tpot_ms / 1e3)
    bands = _bands(provenance)
    out = points.reset_index(drop=True).copy()
    for column in ID_COLUMNS:
        out[column] = frame[column]
    out[["accelerators", "tp"]] = out[["accelerators", "tp"]].astype(int)
    values = {"ttft_ms": ttft_ms, "tpot_ms": tpot_ms, "output_tokens_per_s": rate}
    for (column, value), q in zip(values.items(), ("ttft", "tpot", "rate"), strict=True):
        stem = column.removesuffix("_ms")
        suffix = "_ms" if column.endswith("_ms") else ""
        out[column] = np.round(value, 4)
        out[f"{stem}_low{suffix}"] = np.round(value * bands[q][0], 4)
        out[f"{stem}_high{suffix}"] = np.round(value * bands[q][1], 4)
    out["provenance"] = provenance
    out["note"] = _notes(provenance, logs, anchors, point.batch, c)
    return out


def _notes(
    provenance: NDArray[np.str_], logs: Array, anchors: Anchors, batch: Array, c: Array
) -> list[str]:
    lowest, highest = anchors.logs.min(axis=0) - 0.01, anchors.logs.max(axis=0) + 0.01
    outside = (logs < lowest) | (logs > highest)
    notes = []
    for at in range(len(c)):
        parts = []
        far = [name for name, out in zip(LOAD_COLUMNS, outside[at], strict=True) if out]
        if far:
            parts.append(f"outside the measured range: {', '.join(far)}")
        if batch[at] <= 1.0 < c[at]:
            parts.append("the weights or one context hardly fit the memory")
        elif batch[at] < c[at]:
            parts.append(f"memory holds {batch[at]:.0f} requests, the rest wait: in TTFT")
        if provenance[at] == "roofline":
            parts.append("no measurement on this accelerator")
        notes.append("; ".join(parts))
    return notes
