"""Facts as the shapes that the serving law takes: one row per llm, one per accelerator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.coefficients.serving import AcceleratorShape, LlmShape
from planner.instance.facts import AcceleratorFacts, LlmFacts

LAW_FAMILY = {"ada": "gddr", "turing": "gddr", "volta": "other"}
"""Families of the catalog that share the fitted coefficients of another name."""
GDDR_ACCELERATORS = ("a10", "a10g", "a40", "rtx")
"""Ampere cards with GDDR memory: their read efficiency is that of GDDR, not of HBM."""


def llm_shapes(llms: Sequence[LlmFacts]) -> LlmShape:
    """Structure of llms, fields (L,).

    Where the catalog is silent: attention as wide as the hidden size, and a cache that cannot be
    split (1 head), which is safe. A compressed (MLA) cache has one head.
    """

    def heads(llm: LlmFacts) -> float:
        return 1.0 if llm.attention == "mla" or not llm.kv_heads else float(llm.kv_heads)

    def width(llm: LlmFacts) -> float:
        known = llm.attention_heads and llm.head_dim
        return float(llm.attention_heads * llm.head_dim if known else llm.hidden_size)  # type: ignore[operator]

    def expert_share(llm: LlmFacts) -> float:
        if not llm.experts or not llm.experts_per_token or llm.params_expert_b <= 0.0:
            return 1.0
        return llm.experts_per_token / llm.experts

    return LlmShape(
        layers=np.array([float(x.layers) for x in llms]),
        hidden_size=np.array([float(x.hidden_size) for x in llms]),
        attention_width=np.array([width(x) for x in llms]),
        params_dense=np.array([x.params_dense_b * 1e9 for x in llms]),
        params_expert=np.array([x.params_expert_b * 1e9 for x in llms]),
        expert_share=np.array([expert_share(x) for x in llms]),
        kv_bytes_per_token=np.array([x.kv_bytes_per_token_bf16 for x in llms]),
        kv_heads=np.array([heads(x) for x in llms]),
    )


def law_family(accelerator: AcceleratorFacts) -> str:
    """The name under which the serving law knows the family of an accelerator."""
    if accelerator.accelerator.startswith(GDDR_ACCELERATORS):
        return "gddr"
    return LAW_FAMILY.get(accelerator.family, accelerator.family)


def accelerator_shapes(accelerators: Sequence[AcceleratorFacts]) -> AcceleratorShape:
    """Datasheet figures of accelerators, fields (A,)."""

    def peak(own: float | None, fallback: float) -> float:
        return (fallback if own is None else own) * 1e12

    return AcceleratorShape(
        memory_bytes=np.array([x.memory_gb * 1e9 for x in accelerators]),
        bandwidth_bytes_per_s=np.array([x.memory_bandwidth_gb_per_s * 1e9 for x in accelerators]),
        bf16_flops=np.array([x.bf16_tflops * 1e12 for x in accelerators]),
        fp8_flops=np.array([peak(x.fp8_tflops, x.bf16_tflops) for x in accelerators]),
        fp4_flops=np.array([peak(x.fp4_tflops, x.bf16_tflops) for x in accelerators]),
        interconnect_bytes_per_s=np.array([x.interconnect_gb_per_s * 1e9 for x in accelerators]),
        family=np.array([law_family(x) for x in accelerators]),
    )
