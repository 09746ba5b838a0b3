"""Facts of one llm or accelerator as the serving law takes them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from models.coefficients.serving import (
    AcceleratorShape,
    IterationLaw,
    LlmShape,
    ServingParameters,
    iteration_law,
)
from planner.instance.facts import AcceleratorFacts, LlmFacts

LAW_FAMILY = {"ada": "gddr", "turing": "gddr", "volta": "other"}
"""Families that share the fitted coefficients of another name."""
GDDR_ACCELERATORS = ("a10", "a10g", "a40", "rtx")
"""Ampere cards with GDDR memory: their read efficiency is that of GDDR, not of HBM."""


@lru_cache(maxsize=1)
def serving_parameters() -> ServingParameters:
    """The fitted parameters of the serving law, from the catalog."""
    from planner.serving import load_parameters

    return load_parameters()


@lru_cache(maxsize=256)
def llm_shape(llm: LlmFacts) -> LlmShape:
    """Structure of an llm; a cache whose heads are unknown or compressed (MLA) does not split."""
    heads = 1 if llm.attention == "mla" or not llm.kv_heads else llm.kv_heads
    width = llm.hidden_size
    if llm.attention_heads and llm.head_dim:
        width = llm.attention_heads * llm.head_dim
    active = 1.0
    if llm.experts and llm.experts_per_token and llm.params_expert_b > 0:
        active = llm.experts_per_token / llm.experts
    figures = (
        *(llm.layers, llm.hidden_size, width, llm.params_dense_b * 1e9, llm.params_expert_b * 1e9),
        *(active, llm.kv_bytes_per_token_bf16, heads),
    )
    return LlmShape(*(np.asarray(float(x)) for x in figures))


@lru_cache(maxsize=256)
def accelerator_shape(accelerator: AcceleratorFacts) -> AcceleratorShape:
    """Datasheet figures; without a unit for a precision the rate is that of 16 bits."""
    bf16 = accelerator.bf16_tflops
    fp8 = bf16 if accelerator.fp8_tflops is None else accelerator.fp8_tflops
    fp4 = bf16 if accelerator.fp4_tflops is None else accelerator.fp4_tflops
    family = LAW_FAMILY.get(accelerator.family, accelerator.family)
    if accelerator.accelerator.startswith(GDDR_ACCELERATORS):
        family = "gddr"
    figures = (
        accelerator.memory_gb * 1e9,
        accelerator.memory_bandwidth_gb_per_s * 1e9,
        *(bf16 * 1e12, fp8 * 1e12, fp4 * 1e12),
        accelerator.interconnect_gb_per_s * 1e9,
    )
    memory, bandwidth, r16, r8, r4, link = (np.asarray(float(x)) for x in figures)
    return AcceleratorShape(memory, bandwidth, r16, r8, r4, link, np.asarray(family))


@lru_cache(maxsize=8192)
def replica_law(
    llm: LlmFacts, accelerator: AcceleratorFacts, accelerators: int, precision: str, engine: str
) -> IterationLaw:
    """The iteration law of a replica on that many accelerators."""
    return iteration_law(
        llm_shape(llm),
        accelerator_shape(accelerator),
        accelerators,
        precision,
        engine,
        serving_parameters(),
    )
