"""Adaptation: what retrieval (RAG) and fine-tuning add in tokens, bytes, FLOPs, time and quality.

Scalars and arrays broadcast. The two are compared by what each changes in a route: RAG adds prompt
tokens, retrieval latency and an index per region; fine-tuning adds training and release work per
refresh, adapter overhead or replicas of its own, and staleness between refreshes.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.coefficients.quality import stale_share

Array = NDArray[np.float64]
Method = Literal["full", "lora", "qlora"]

FLOPS_PER_PARAMETER_TOKEN: dict[Method, float] = {"full": 6.0, "lora": 4.0, "qlora": 4.0}
"""Training FLOP per parameter and token: forward 2, gradients of activations 2 and
of weights 2; LoRA skips the weight gradients of the frozen matrices."""

ADAM_BYTES_PER_PARAMETER = 16.0
"""Mixed-precision Adam: weights 2, gradients 2, master copy 4, moments 4 + 4 (ZeRO, 1910.02054)."""

FROZEN_BYTES_PER_PARAMETER: dict[Method, float] = {"full": 0.0, "lora": 2.0, "qlora": 0.516}
"""Frozen weights: LoRA 16 bit; QLoRA 4 bit + 0.127 bit of quantised constants (2305.14314)."""

ADAPTER_OVERHEAD = 1.10
"""Iteration time with unmerged LoRA adapters over that without: middle of 1.05-1.20, from the
slowdowns reported for Punica and S-LoRA serving."""

RETENTION = 0.74
"""Share of the summed gains of RAG and fine-tuning kept together: see `combined_quality`."""

HOURS_PER_DAY = 24.0


def _array(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=np.float64)


# --- RAG -----------------------------------------------------------------------------------------


def rag_context_tokens(chunks: ArrayLike = 5, chunk_tokens: ArrayLike = 400) -> Array:
    """Tokens that retrieval adds to the context (KV memory), tokens: chunks * chunk length.

    The default 2,000 is a common configuration (range 1,000-8,000): an assumption.
    """
    return _array(chunks) * _array(chunk_tokens)


def rag_prefill_tokens(context_tokens: ArrayLike, cached_share: ArrayLike = 0.0) -> Array:
    """Added tokens that must be prefilled: context (1 - h), h = prefix-cache hit share of them."""
    return _array(context_tokens) * (1.0 - _array(cached_share))


def retrieval_latency_s(
    embed_s: ArrayLike = 0.010, search_s: ArrayLike = 0.020, rerank_s: ArrayLike = 0.050
) -> Array:
    """Latency before the prompt reaches the engine, s: embedding + vector search + reranking.

    Usual ranges 5-20, 5-50 and 20-100 ms; the defaults lie inside them. Give 0 for a step not used.
    """
    return _array(embed_s) + _array(search_s) + _array(rerank_s)


def index_vectors(
    corpus_tokens: ArrayLike, chunk_tokens: ArrayLike = 400, overlap_tokens: ArrayLike = 0
) -> Array:
    """Vectors of an index: ceil(corpus / (chunk - overlap))."""
    return np.ceil(_array(corpus_tokens) / (_array(chunk_tokens) - _array(overlap_tokens)))


def index_bytes(
    vectors: ArrayLike,
    dimensions: ArrayLike,
    bytes_per_component: ArrayLike = 4,
    hnsw_links: ArrayLike = 32,
) -> Array:
    """Vector RAM of one copy of an HNSW index, bytes: vectors (b dim + 8 M 1.1).

    2 M links of 4 bytes on the ground layer and a tenth more above it (1603.09320). Text is extra.
    """
    per_vector = _array(bytes_per_component) * _array(dimensions) + 8.0 * _array(hnsw_links) * 1.1
    return _array(vectors) * per_vector


def reembedded_tokens(
    corpus_tokens: ArrayLike,
    change_rate_per_day: ArrayLike,
    refresh_days: ArrayLike,
    period_days: ArrayLike,
) -> Array:
    """Tokens embedded anew in a period: corpus (1 - exp(-uT)) per refresh, every T days.

    A chunk that changed twice between refreshes is embedded once; for T -> 0 it is corpus u period.
    Refreshes are not rounded: of an interval above the period, the period bears its part.
    """
    refresh_days = _array(refresh_days)
    changed = -np.expm1(-_array(change_rate_per_day) * refresh_days)
    return _array(corpus_tokens) * changed * _array(period_days) / refresh_days


def sync_bytes(
    reembedded: ArrayLike, chunk_tokens: ArrayLike, bytes_per_vector: ArrayLike, regions: ArrayLike
) -> Array:
    """Bytes sent between regions: changed vectors * bytes each * (regions - 1 copies)."""
    changed_vectors = _array(reembedded) / _array(chunk_tokens)
    return changed_vectors * _array(bytes_per_vector) * np.maximum(_array(regions) - 1.0, 0.0)


# --- Fine-tuning ---------------------------------------------------------------------------------


def training_flops(
    parameters: ArrayLike, tokens: ArrayLike, epochs: ArrayLike = 1, method: Method = "full"
) -> Array:
    """Training work, FLOP: 6 P tokens epochs (full) or 4 P tokens epochs (LoRA, QLoRA).

    P counts the active parameters for a mixture of experts (Kaplan et al. 2001.08361).
    """
    factor = FLOPS_PER_PARAMETER_TOKEN[method]
    return factor * _array(parameters) * _array(tokens) * _array(epochs)


def training_accelerator_hours(
    flops: ArrayLike, peak_tflops: ArrayLike, mfu: ArrayLike = 0.35
) -> Array:
    """Accelerator-hours: FLOP / (peak * MFU * 3600); `peak_tflops` dense, as trained."""
    return _array(flops) / (_array(peak_tflops) * 1e12 * _array(mfu) * 3600.0)


def megatron_days(
    parameters: ArrayLike, tokens: ArrayLike, accelerators: ArrayLike, achieved_tflops: ArrayLike
) -> Array:
    """Days of end-to-end training with activation recomputation: 8 T P / (n X) (2104.04473, eq. 4).

    X is the achieved TFLOP/s of one accelerator.
    """
    flops_per_s = _array(accelerators) * _array(achieved_tflops) * 1e12
    return 8.0 * _array(tokens) * _array(parameters) / flops_per_s / (3600.0 * HOURS_PER_DAY)


def lora_parameters(
    rank: ArrayLike, in_dimensions: ArrayLike, out_dimensions: ArrayLike, layers: ArrayLike = 1
) -> Array:
    """Trainable LoRA parameters: layers * rank * sum over adapted matrices of (d_in + d_out).

    The matrices of one layer lie along the last axis of `in_dimensions` and `out_dimensions`
    (shape (..., matrices); 2106.09685).
    """
    ends: Array = np.atleast_1d(_array(in_dimensions) + _array(out_dimensions))
    summed: Array = np.sum(ends, axis=-1)
    return _array(layers) * _array(rank) * summed


def adapter_bytes(trainable_parameters: ArrayLike, bytes_per_parameter: ArrayLike = 2) -> Array:
    """Size of an adapter, bytes: trainable parameters * bytes each (16 bit by default)."""
    return _array(trainable_parameters) * _array(bytes_per_parameter)


def training_memory_bytes(
    parameters: ArrayLike,
    method: Method = "full",
    trainable_parameters: ArrayLike = 0.0,
    activation_bytes: ArrayLike = 0.0,
) -> Array:
    """Memory of a training run over all accelerators, bytes.

    Full: 16 P. LoRA: 2 P + 16 trainable. QLoRA: 0.516 P + 16 trainable. Plus activations.
    """
    trained = _array(parameters) if method == "full" else _array(trainable_parameters)
    frozen = FROZEN_BYTES_PER_PARAMETER[method] * _array(parameters)
    return frozen + ADAM_BYTES_PER_PARAMETER * trained + _array(activation_bytes)


def smallest_accelerator_count(
    memory_bytes: ArrayLike, accelerator_memory_bytes: ArrayLike, usable_share: ArrayLike = 0.9
) -> Array:
    """Fewest accelerators for an evenly sharded state: ceil(memory / (usable * memory of one))."""
    return np.ceil(_array(memory_bytes) / (_array(usable_share) * _array(accelerator_memory_bytes)))


def adapted_iteration_s(
    iteration_s: ArrayLike, merged: ArrayLike = False, overhead: ArrayLike = ADAPTER_OVERHEAD
) -> Array:
    """Iteration time under fine-tuned service, s: unchanged if merged, else times the overhead."""
    return _array(iteration_s) * np.where(np.asarray(merged), 1.0, _array(overhead))


def refreshes(period_days: ArrayLike, refresh_days: ArrayLike) -> Array:
    """Refreshes charged to a period, the long-run mean: period / refresh interval (not rounded)."""
    return _array(period_days) / _array(refresh_days)


def refresh_cost_usd(
    accelerator_hours: ArrayLike,
    usd_per_accelerator_h: ArrayLike,
    staff_hours: ArrayLike,
    usd_per_staff_h: ArrayLike,
    fixed_usd: ArrayLike = 0.0,
) -> Array:
    """Cost of one refresh, USD: compute + staff (data, evaluation, release) + fixed.

    Compute is the minor part for adapters: 8e9 parameters on 3e7 token passes take under an hour.
    """
    compute_usd = _array(accelerator_hours) * _array(usd_per_accelerator_h)
    return compute_usd + _array(staff_hours) * _array(usd_per_staff_h) + _array(fixed_usd)


# --- The comparison ------------------------------------------------------------------------------


def combined_quality(
    base: ArrayLike, rag: ArrayLike, fine_tune: ArrayLike, retention: ArrayLike = RETENTION
) -> Array:
    """Quality of RAG on a fine-tuned llm, in [0, 1]: base + retention (gain of RAG + gain of FT).

    Not the sum of both gains. Retention in the published comparisons: median 0.74, quartiles
    0.47-0.81 over the 13 pairs of Ovadia et al. (2312.05934, tables 1-2) and RAFT (2403.10131,
    table 1) in which both gains are positive; 1.0 (cumulative) in the agriculture study
    (2401.08406). Below 1 the combination can be worse than RAG alone, as Ovadia et al. found.
    A prior only: give the evaluated value where there is one.
    """
    base = _array(base)
    gains = (_array(rag) - base) + (_array(fine_tune) - base)
    return np.clip(base + _array(retention) * gains, 0.0, 1.0)


def break_even_requests_per_day(
    refresh_usd: ArrayLike,
    refresh_days: ArrayLike,
    rag_usd_per_request: ArrayLike,
    fine_tune_usd_per_request: ArrayLike,
) -> Array:
    """Demand above which fine-tuning is the cheaper, requests/day: D* = C_FT / (T (c_RAG - c_FT)).

    Infinite where a fine-tuned answer costs no less than a RAG answer. Fixed cost of the index, if
    any, is deducted from `refresh_usd` by the caller.
    """
    saving = _array(rag_usd_per_request) - _array(fine_tune_usd_per_request)
    rate = _array(refresh_usd) / _array(refresh_days)
    return np.where(saving > 0.0, rate / np.where(saving > 0.0, saving, 1.0), np.inf)


def break_even_refresh_days(
    refresh_usd: ArrayLike,
    requests_per_day: ArrayLike,
    rag_usd_per_request: ArrayLike,
    fine_tune_usd_per_request: ArrayLike,
) -> Array:
    """Refresh interval above which fine-tuning is cheaper, days: T* = C_FT / (D (c_RAG - c_FT)).

    The same break-even seen from the other side (D and T enter as a product).
    """
    return break_even_requests_per_day(
        refresh_usd, requests_per_day, rag_usd_per_request, fine_tune_usd_per_request
    )


def break_even_quality_gap(
    change_rate_per_day: ArrayLike,
    kappa: ArrayLike,
    refresh_days: ArrayLike,
    rag_quality: ArrayLike,
    rag_refresh_days: ArrayLike = 1.0,
) -> Array:
    """Lead in fresh quality a fine-tune needs to match RAG after staleness, in quality points.

    q_RAG ((1 - kappa phi(u T_RAG)) / (1 - kappa phi(u T_FT)) - 1): what slower refreshing costs.
    """
    fresh_rag = 1.0 - _array(kappa) * stale_share(change_rate_per_day, rag_refresh_days)
    fresh_tuned = 1.0 - _array(kappa) * stale_share(change_rate_per_day, refresh_days)
    return _array(rag_quality) * (fresh_rag / fresh_tuned - 1.0)


def longest_refresh_days(
    change_rate_per_day: ArrayLike,
    kappa: ArrayLike,
    fresh_quality: ArrayLike,
    quality_floor: ArrayLike,
) -> Array:
    """Longest refresh interval with mean quality at or above a floor, days.

    Solves q (1 - kappa phi(uT)) = floor for T by bisection in log T. 0 if even fresh knowledge is
    below the floor, infinite if staleness can never bring it below (or takes over 1e7 / u days).
    """
    rate, kappa, fresh, floor = np.broadcast_arrays(
        _array(change_rate_per_day), _array(kappa), _array(fresh_quality), _array(quality_floor)
    )
    low, high = np.full(rate.shape, -12.0), np.full(rate.shape, 7.0)
    for _ in range(60):
        middle = (low + high) / 2.0
        kept = fresh * (1.0 - kappa * stale_share(1.0, 10.0**middle)) >= floor
        low, high = np.where(kept, (middle, high), (low, middle))
    changes = 10.0 ** np.asarray(low)
    never = (fresh * (1.0 - kappa * stale_share(1.0, 1e7)) >= floor) | (rate <= 0.0)
    days = np.where(never, np.inf, changes / np.where(rate > 0.0, rate, 1.0))
    return np.where(fresh < floor, 0.0, days)
