"""Measured serving figures in, predictions out: parameters, calibration of known combinations.

A prediction is the law of `models.coefficients.serving` with the fitted global parameters
(``serving_parameters.csv``), times a correction learnt from the measured points nearby
(``serving_combinations.csv.gz``). The correction of a combination nobody measured fades to 1.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.coefficients.serving import (
    BYTES_PER_PARAMETER,
    AcceleratorShape,
    IterationLaw,
    LlmShape,
    ServingParameters,
    closed_loop,
    iteration_law,
    throughput_tokens_per_s,
)
from planner.catalog import load_catalog
from planner.errors import InstanceError, PlannerError
from planner.instance.facts import AcceleratorFacts, LlmFacts

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


def narrowest_bits(accelerator: AcceleratorFacts) -> int:
    """Bits of the narrowest floating-point arithmetic of an accelerator."""
    return 4 if accelerator.fp4_tflops else 8 if accelerator.fp8_tflops else WIDEST_BITS


# ------------------------------------------------------------------ laws for planning


@dataclass(frozen=True)
class Replica:
    """A replica as facts know it."""

    llm: LlmFacts
    accelerator: AcceleratorFacts
    accelerators: int
    precision: str
    engine: str


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


PlanningLaws = Callable[[Sequence[Replica]], PlanningLaw]


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
    return _planning_law(
        llm_shapes(list(llms.values())).take(llm),
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


# ------------------------------------------------------------------ user's calibration


@dataclass(frozen=True)
class UserFit:
    """Measured / predicted of one combination: log factor = a + b (log C - center)."""

    combination: tuple[str, ...]
    points: int
    center: float
    tpot: tuple[float, float]
    ttft: tuple[float, float]
    concurrency_range: tuple[float, float]


@dataclass(frozen=True)
class Calibration:
    """The user's own measurements, one fit per combination; stored as JSON."""

    fits: tuple[UserFit, ...]

    def apply(
        self,
        names: NDArray[np.str_],
        logs: Array,
        tpot: Array,
        ttft: Array,
        provenance: NDArray[np.str_],
    ) -> tuple[Array, Array, NDArray[np.str_]]:
        """Corrections multiplied by the fits where the combination is the user's, (N,) each."""
        for fit in self.fits:
            mine = (names == np.array(fit.combination, dtype=str)).all(axis=1)
            low, high = np.log(fit.concurrency_range)
            step = np.clip(logs[:, 2], low, high) - fit.center
            tpot = np.where(mine, tpot * np.exp(fit.tpot[0] + fit.tpot[1] * step), tpot)
            ttft = np.where(mine, ttft * np.exp(fit.ttft[0] + fit.ttft[1] * step), ttft)
            provenance = np.where(mine, "user", provenance)
        return tpot, ttft, provenance

    def save(self, path: Path) -> None:
        """Write as JSON."""
        document = {"format_version": 1, "fits": [asdict(fit) for fit in self.fits]}
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read what `save` wrote; PlannerError if it is something else."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            fits = tuple(
                UserFit(
                    tuple(map(str, f["combination"])),
                    int(f["points"]),
                    float(f["center"]),
                    (float(f["tpot"][0]), float(f["tpot"][1])),
                    (float(f["ttft"][0]), float(f["ttft"][1])),
                    (float(f["concurrency_range"][0]), float(f["concurrency_range"][1])),
                )
                for f in document["fits"]
            )
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise PlannerError(
                f"{path}: not a calibration file ({error}); make one with `planner calibrate`"
            ) from error
        return cls(fits)


def calibrate(measured: DataFrame, file: str = "measured") -> Calibration:
    """Fit the user's measurements: POINT_COLUMNS, tpot_ms and ttft_ms (either may be blank).

    One point per combination scales the law; with 3 or more over a factor 2 in concurrency the
    log factor also gets a slope in log C, held inside the measured range.
    """
    points = checked(measured, file, extra=("ttft_ms", "tpot_ms"))
    base = predict(points)
    names, logs = names_of(points), logs_of(points)
    ratio = {
        q: np.log(points[f"{q}_ms"].to_numpy(float) / base[f"{q}_ms"].to_numpy(float))
        for q in ("tpot", "ttft")
    }
    fits = []
    for combination in sorted({tuple(map(str, row)) for row in names}):
        mine = (names == np.array(combination, dtype=str)).all(axis=1)
        x = logs[mine, 2]
        center = float(x.mean())
        fits.append(
            UserFit(
                combination,
                int(mine.sum()),
                center,
                _line(x - center, ratio["tpot"][mine]),
                _line(x - center, ratio["ttft"][mine]),
                (float(np.exp(x.min())), float(np.exp(x.max()))),
            )
        )
    return Calibration(tuple(fits))


def _line(x: Array, y: Array) -> tuple[float, float]:
    known = np.isfinite(y)
    x, y = x[known], y[known]
    if y.size == 0:
        return 0.0, 0.0
    if y.size < 3 or np.ptp(x) < np.log(2.0):
        return float(np.median(y)), 0.0
    slope, level = np.polyfit(x, y, 1)
    return float(level), float(slope)


# ------------------------------------------------------------------ prediction


def checked(  # noqa: PLR0912 - one branch per rule
    points: DataFrame, file: str = "points", extra: tuple[str, ...] = ()
) -> DataFrame:
    """The points with blanks filled (bf16, vllm, tp = accelerators) and numbers as float64.

    Raises InstanceError that lists every bad cell with file, row, column, value and remedy; rows
    are numbered as in a text editor (the header is row 1).
    """
    frame = points.reset_index(drop=True).copy()
    frame.columns = [str(c).strip() for c in frame.columns]
    findings: list[str] = []
    required = ("llm", "accelerator", "input_tokens", "output_tokens", "concurrency", *extra)
    for column in required:
        if column not in frame.columns:
            near = get_close_matches(column, list(frame.columns), 1)
            hint = f"rename {near[0]!r}" if near else "add it"
            findings.append(f"{file}: column {column!r} is missing: {hint}")
    if findings:
        raise InstanceError("\n".join(findings), tuple(findings))
    for column, default in (("precision", "bf16"), ("engine", "vllm")):
        frame[column] = _text(frame, column).replace("", default)
    frame["precision"] = frame["precision"].replace({"fp16": "bf16", "f16": "bf16"})
    for column in ("llm", "accelerator"):
        frame[column] = _text(frame, column)
    if "accelerators" not in frame.columns:
        frame["accelerators"] = frame["tp"] if "tp" in frame.columns else 1
    if "tp" not in frame.columns:
        frame["tp"] = frame["accelerators"]
    frame["accelerators"] = frame["accelerators"].where(_text(frame, "accelerators") != "", 1)
    frame["tp"] = frame["tp"].where(_text(frame, "tp") != "", frame["accelerators"])
    catalog = load_catalog()
    known = {
        "llm": list(catalog.llms["llm"].astype(str)),
        "accelerator": list(catalog.accelerators["accelerator"].astype(str)),
        "precision": list(BYTES_PER_PARAMETER),
        "engine": sorted({g for _, g in load_parameters().factors} & set(_engines())),
    }
    for column, values in known.items():
        for at in map(int, np.flatnonzero(~frame[column].isin(values).to_numpy())):
            value = str(frame[column].iat[at])
            near = get_close_matches(value, values, 3, 0.4)
            hint = (
                f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(values[:12])}"
            )
            findings.append(f"{file}, row {at + 2}, {column}: unknown {value!r}; {hint}")
    for column in ("accelerators", "tp", *LOAD_COLUMNS, *extra):
        numbers = _numbers(frame, column)
        blank = (_text(frame, column) == "").to_numpy() if column in extra else np.zeros(
            len(frame), dtype=bool)  # fmt: skip
        low = 1.0 if column not in extra else 0.0
        bad = ~(np.isfinite(numbers) & (numbers >= low) & (numbers < 1e9)) & ~blank
        if column in ("accelerators", "tp"):
            bad |= numbers != np.round(numbers)
        for at in map(int, np.flatnonzero(bad)):
            kind = "a whole number" if column in ("accelerators", "tp") else "a number"
            findings.append(
                f"{file}, row {at + 2}, {column}: {frame[column].iat[at]!r} is not {kind} "
                f"of at least {low:g}; write one"
            )
        frame[column] = numbers
    if findings:
        raise InstanceError("\n".join(findings), tuple(findings))
    return frame


def _engines() -> list[str]:
    return sorted(set(load_anchors().names[:, 5].tolist()))


def _text(frame: DataFrame, column: str) -> Any:
    if column not in frame.columns:
        frame[column] = ""
    return frame[column].fillna("").astype(str).str.strip()


def _numbers(frame: DataFrame, column: str) -> Array:
    import pandas as pd

    return pd.to_numeric(frame[column], errors="coerce").to_numpy(float)


def predict(
    points: DataFrame, calibration: Calibration | None = None, file: str = "points"
) -> DataFrame:
    """TTFT, TPOT and output tokens/s of points, with 80 % bands, provenance and a note.

    `points` has POINT_COLUMNS (precision and engine may be blank). Raises InstanceError with every
    bad cell. A concurrency above the memory is limited to what fits; the rest queues, in TTFT.
    """
    frame = checked(points, file)
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
