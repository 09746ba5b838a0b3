"""Quick sizes of one llm on one accelerator: ideal shares of an iteration, power and energy."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.coefficients.energy import accelerator_power_w
from models.coefficients.serving import (
    AcceleratorShape,
    LlmShape,
    Names,
    weights_touched_bytes,
)

Array = NDArray[np.float64]


def replicas_for(requests_per_s: ArrayLike, shares: ArrayLike) -> Array:
    """Fewest replicas for a rate, (...): ceil of the largest row of `capacity_shares` times it.

    A rate of 0 needs none, the least other rate one; within 1e-9 (relative) above a full replica
    still counts as full; inf where the llm does not fit.
    """
    rate = np.asarray(requests_per_s, dtype=np.float64)
    worst = np.asarray(shares, dtype=np.float64).max(axis=-1)
    with np.errstate(invalid="ignore"):
        need = np.ceil(rate * worst * (1.0 - 1e-9))
    return np.asarray(np.where(rate > 0.0, need, 0.0))


def ideal_shares(
    llm: LlmShape,
    accelerator: AcceleratorShape,
    tp: ArrayLike,
    precision: Names,
    *,
    sequences: ArrayLike,
    context_tokens: ArrayLike,
    prompt_tokens_per_output: ArrayLike,
    tpot_s: ArrayLike,
) -> tuple[Array, Array]:
    """Ideal compute and memory time of an iteration over its real time, in [0, 1], (N,) each.

    Compute: 2 P_active C (1 + prompt tokens per output token) / (G peak). Memory: weights touched
    and the cache of C sequences over G x bandwidth.
    """
    tp = np.asarray(tp, dtype=np.float64)
    batch = np.asarray(sequences, dtype=np.float64)
    time = np.asarray(tpot_s, dtype=np.float64)
    tokens = batch * (1.0 + np.asarray(prompt_tokens_per_output, dtype=np.float64))
    compute = 2.0 * llm.params_active * tokens / (tp * accelerator.peak_flops(precision))
    cache = batch * llm.kept_tokens(context_tokens) * llm.kv_bytes_per_token
    read = weights_touched_bytes(llm, precision, batch) + cache
    memory = read / (tp * accelerator.bandwidth_bytes_per_s)
    return np.clip(compute / time, 0.0, 1.0), np.clip(memory / time, 0.0, 1.0)


def replica_power_w(
    llm: LlmShape,
    accelerator: AcceleratorShape,
    tp: ArrayLike,
    precision: Names,
    *,
    tdp_w: ArrayLike,
    sequences: ArrayLike,
    context_tokens: ArrayLike,
    prompt_tokens_per_output: ArrayLike,
    tpot_s: ArrayLike,
) -> Array:
    """Power of a busy replica's accelerators, W (`energy.accelerator_power_w`), (N,)."""
    compute, memory = ideal_shares(
        llm,
        accelerator,
        tp,
        precision,
        sequences=sequences,
        context_tokens=context_tokens,
        prompt_tokens_per_output=prompt_tokens_per_output,
        tpot_s=tpot_s,
    )
    return accelerator_power_w(tdp_w, tp, compute, memory, accelerator.family)
