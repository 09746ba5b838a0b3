"""The quick questions about one llm on one accelerator, answered with the planner's functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from models.coefficients.adaptation import training_accelerator_hours, training_flops
from models.coefficients.serving import (
    BYTES_PER_PARAMETER,
    capacity_shares,
    kv_capacity_bytes,
    max_concurrent_tokens,
    weight_bytes,
)
from models.coefficients.sizing import replica_power_w, replicas_for
from planner.catalog import load_catalog
from planner.errors import InfeasibleError, InstanceError
from planner.serving import planning_law, shapes, splits_heads

TRAINING_MFU = 0.35
SIZES = (1, 2, 4, 8, 16)


def size_llm(
    llm: str,
    accelerator: str,
    *,
    precision: str = "bf16",
    engine: str = "vllm",
    requests_per_s: float = 1.0,
    input_tokens: float = 1024.0,
    output_tokens: float = 256.0,
    tpot_ms: float = 40.0,
    training_tokens: float = 1e7,
    epochs: float = 3.0,
    pue: float = 1.2,
    gco2e_per_kwh: float = 400.0,
) -> dict[str, Any]:
    """Memory, smallest replica, replicas for a rate, training hours, energy and carbon.

    Raises CatalogError for an unknown id and InfeasibleError where no replica of up to 16
    accelerators holds the llm or keeps the time per token.
    """
    if precision not in BYTES_PER_PARAMETER:
        raise InstanceError(f"unknown precision {precision!r}; known: {list(BYTES_PER_PARAMETER)}")
    card = load_catalog().accelerator(accelerator)
    rows = pd.DataFrame(
        {"llm": llm, "accelerator": accelerator, "accelerators": SIZES, "tp": SIZES,
         "precision": precision, "engine": engine}
    )  # fmt: skip
    shape, hardware = shapes(rows["llm"].to_numpy(str), rows["accelerator"].to_numpy(str))
    tp = rows["tp"].to_numpy(float)
    planned = planning_law(rows, input_tokens=input_tokens, output_tokens=output_tokens)
    shares = capacity_shares(planned.law, tpot_ms / 1e3, input_tokens, output_tokens)
    capacity = kv_capacity_bytes(shape, hardware, tp, precision)
    weights = float(weight_bytes(shape, precision)[0])
    need = shape.kept_tokens(input_tokens + output_tokens) * shape.kv_bytes_per_token
    row = load_catalog().llm(llm)
    even = np.array([splits_heads(row, size, engine) for size in SIZES])
    holding = np.flatnonzero(capacity >= need)
    serving = np.flatnonzero(np.isfinite(shares).all(axis=1) & even)
    if not holding.size:
        raise InfeasibleError(
            f"{llm} at {precision} needs {weights / 1e9:.0f} GB for weights: more than "
            f"{SIZES[-1]} x {accelerator} ({card['memory_gb']:g} GB each) can hold"
        )
    if not serving.size:
        best = float(planned.law.alpha_s.min()) * 1e3
        raise InfeasibleError(
            f"no replica keeps {tpot_ms:g} ms per token: an empty iteration of {llm} on "
            f"{accelerator} takes at least {best:.1f} ms"
        )
    at = int(serving[0])
    replicas = replicas_for(requests_per_s, shares[at])
    batch = float(np.clip(output_tokens * tpot_ms / 1e3 / shares[at].max(), 1.0, 256.0))
    tdp = card["tdp_w"]
    one = np.array([at])
    power = np.nan
    if tdp is not None:
        power = float(
            replica_power_w(
                shape.take(one), hardware.take(one), tp[one], precision,
                tdp_w=float(tdp), sequences=batch,
                context_tokens=input_tokens + output_tokens / 2.0,
                prompt_tokens_per_output=input_tokens / output_tokens, tpot_s=tpot_ms / 1e3,
            )[0]
        )  # fmt: skip
    tokens_per_s = output_tokens / float(shares[at].max())
    joules = power / tokens_per_s
    peak = float(hardware.bf16_flops[0])
    active = float(shape.params_active[0])
    hours = {
        method: float(
            training_accelerator_hours(
                training_flops(active, training_tokens, epochs, method),
                peak / 1e12,
                TRAINING_MFU,
            )
        )
        for method in ("lora", "full")
    }
    return {
        "answer": f"{llm} at {precision}: {int(replicas)} replicas of {SIZES[at]} x {accelerator} "
        f"for {requests_per_s:g} requests/s at {tpot_ms:g} ms per token",
        "weights_gb": weights / 1e9,
        "kv_bytes_per_token": float(shape.kv_bytes_per_token[0]),
        "smallest_accelerators_by_memory": SIZES[int(holding[0])],
        "accelerators_per_replica": SIZES[at],
        "context_tokens_held": float(
            max_concurrent_tokens(capacity[at], shape.kv_bytes_per_token[at])
        ),
        "requests_per_s_per_replica": 1.0 / float(shares[at].max()),
        "binding_row": ("work", "slots", "kv", "prefill")[int(shares[at].argmax())],
        "replicas": int(replicas),
        "accelerators": int(replicas) * SIZES[at],
        "provenance": str(planned.provenance[at]),
        "lora_accelerator_hours": hours["lora"],
        "full_tune_accelerator_hours": hours["full"],
        "replica_power_w": None if tdp is None else power,
        "joules_per_output_token": None if tdp is None else joules,
        "gco2e_per_1000_output_tokens": None
        if tdp is None
        else joules / 3600.0 * pue * gco2e_per_kwh,
    }
