"""What one replica does: memory, decode, prefill, the iteration law and its linear capacity rows.

A replica is one copy of an llm on G accelerators (tensor parallel). Everything is an explicit
formula on arrays that broadcast; the coefficients are effective ones, fitted to public
measurements (``docs/accuracy.md``), so an "efficiency" above 1 is no contradiction: it absorbs
what the formula leaves out.

Symbols: C requests in flight, n prompt tokens, m output tokens, L layers, P parameters.

    TPOT(C) = alpha(C) + C (sequence + context (n + m/2)) + (C - 1) prompt(n) / m
    TTFT(C) = fixed + prefill(n) (1 + burst (C - 1)^power) + iterations * TPOT(C)
    tokens/s = C m / (TTFT + (m - 1) TPOT)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Names = str | NDArray[np.str_]

BYTES_PER_PARAMETER: Mapping[str, float] = {
    "bf16": 2.0,
    "fp8": 1.0,
    "int8": 1.0,
    "fp4": 0.5625,  # 4 bits and an 8-bit scale per 16 weights (NVFP4)
    "int4": 0.53125,  # 4 bits and a 16-bit scale per 128 weights, zero points
    "mxfp4": 0.53125,  # 4 bits and an 8-bit scale per 32 weights
    "q4_k_m": 0.606,  # 4.85 bits (llama.cpp)
}
"""Stored bytes per weight, scales included. ``mxfp4`` covers the experts only: the rest is bf16."""

MEMORY_UTILISATION = 0.90
"""Share of the accelerator's memory that the engine may use (vLLM's default)."""
WORKSPACE_BYTES = 2.0e9
"""Activations, graphs and communication buffers per accelerator, an assumption."""
MOST_UTILISATION = 0.95
LEAST_WORKSPACE_BYTES = 1.0e9
TUNED_CACHE_BITS: Mapping[str, float] = {"fp8": 8.0, "fp4": 8.0}
"""What a tuned engine reaches: used to predict a given point, never to size a plan. An
8-bit cache with fp8 and fp4 weights is inferred: Little's law on measured queues at the memory's
limit needs about twice what a 16-bit cache would hold. The engine's setting decides."""
MAX_BATCH = 256.0
"""Sequences per iteration: the engines' usual cap and the end of most measured ranges."""
LOAD_MAX = 0.80
"""Share of saturation that may be loaded: above it P95 TTFT explodes (science.md 3.2)."""
DERATE = 0.90
"""The linear law is 2 to 11 % optimistic against simulation (science.md 3.2)."""


def _array(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=np.float64)


# ------------------------------------------------------------------ shapes


@dataclass(frozen=True, eq=False)
class LlmShape:
    """Structure of llms; every field broadcasts to (N,). A dense llm has no experts."""

    layers: Array
    hidden_size: Array
    attention_width: Array
    """attention heads x head size"""
    params_dense: Array
    """parameters that run for every token"""
    params_expert: Array
    """routed experts, all of them; 0 for a dense llm"""
    expert_share: Array
    """experts per token / experts; 1 for a dense llm"""
    kv_bytes_per_token: Array
    """bytes of key and value cache per token at 16 bits, of the layers that keep all of it"""
    kv_heads: Array
    """most ways in which the cache can be split; 1 for compressed (MLA) caches"""
    window_share: Array = field(default_factory=lambda: np.asarray(0.0))
    """cache per token of the layers with a sliding window, over that of those that keep all"""
    window_tokens: Array = field(default_factory=lambda: np.asarray(0.0))
    """length of the window"""

    def kept_tokens(self, context_tokens: ArrayLike) -> Array:
        """As `kept_tokens`, (N,)."""
        return kept_tokens(context_tokens, self.window_share, self.window_tokens)

    @property
    def params_total(self) -> Array:
        """All parameters, (N,)."""
        return self.params_dense + self.params_expert

    @property
    def params_active(self) -> Array:
        """Parameters that one token meets, (N,)."""
        return self.params_dense + self.params_expert * self.expert_share

    @property
    def is_moe(self) -> NDArray[np.bool_]:
        """Whether it has routed experts, (N,)."""
        return np.asarray(self.params_expert > 0.0)

    def take(self, index: NDArray[np.int64]) -> LlmShape:
        """The rows `index`, for arrays of shape (N,)."""
        return LlmShape(**{f.name: _taken(getattr(self, f.name), index) for f in fields(self)})


@dataclass(frozen=True, eq=False)
class AcceleratorShape:
    """Datasheet figures of one accelerator; every field broadcasts to (N,)."""

    memory_bytes: Array
    bandwidth_bytes_per_s: Array
    bf16_flops: Array
    """dense 16-bit FLOP/s"""
    fp8_flops: Array
    """dense; equal to bf16 where there is no such unit"""
    fp4_flops: Array
    """dense; equal to bf16 where there is no such unit (weights are unpacked first)"""
    interconnect_bytes_per_s: Array
    """per accelerator, both directions"""
    family: NDArray[np.str_]
    """ampere, hopper, blackwell, cdna, gddr, neuron, tpu, edge, other: shares coefficients"""
    linked: Array = field(default_factory=lambda: np.asarray(np.inf))
    """accelerators that the interconnect joins all to all: 2 over a bridge"""
    beyond_bytes_per_s: Array = field(default_factory=lambda: np.asarray(64e9))
    """of wider replicas, whose slowest link is PCIe"""

    def peak_flops(self, precision: Names) -> Array:
        """Dense FLOP/s at a precision, (N,)."""
        name = np.asarray(precision)
        eight = np.isin(name, ("fp8", "int8"))
        four = np.isin(name, ("fp4", "mxfp4"))
        return np.where(eight, self.fp8_flops, np.where(four, self.fp4_flops, self.bf16_flops))

    def take(self, index: NDArray[np.int64]) -> AcceleratorShape:
        """The rows `index`, for arrays of shape (N,)."""
        return AcceleratorShape(
            **{f.name: _taken(getattr(self, f.name), index) for f in fields(self)}
        )


# ------------------------------------------------------------------ parameters


@dataclass(frozen=True, eq=False)
class Coefficients:
    """The effective coefficients of every row, (N,) or scalars."""

    weight_efficiency: Array
    """share of the bandwidth reached when reading weights"""
    kv_efficiency: Array
    """share of the bandwidth reached when reading the cache"""
    layer_s: Array
    """launch and synchronisation time of a layer, s"""
    moe_layer_s: Array
    """the same, added for a layer with experts, s"""
    hop_s: Array
    """all-reduce latency per layer and doubling of the accelerators, s"""
    sequence_s: Array
    """scheduling and sampling per sequence and iteration, s"""
    decode_efficiency: Array
    """share of the peak reached by decode arithmetic"""
    prefill_efficiency: Array
    """share of the peak reached by the prompts that interrupt a decode"""
    comm_efficiency: Array
    """share of half the interconnect's bandwidth reached by all-reduces"""
    ttft_fixed_s: Array
    """request handling, s"""
    ttft_efficiency: Array
    """share of the peak reached by a prompt's own prefill"""
    ttft_burst: Array
    """queueing of prompts in a closed loop: factor of (C - 1)^power"""
    ttft_burst_power: Array
    ttft_iterations: Array
    """decode iterations that pass before the first token is out"""


@dataclass(frozen=True, eq=False)
class ServingParameters:
    """Fitted parameters: a base value each and factors per group (family, engine, precision, moe).

    `base` maps a field of `Coefficients` to its value; `factors` maps (field, group) to a factor,
    the group being a family, an engine, a precision, ``moe`` or ``median`` (statistic of TTFT).
    A group without an entry has factor 1.
    """

    base: Mapping[str, float]
    factors: Mapping[tuple[str, str], float]

    def resolve(
        self,
        family: Names,
        engine: Names,
        precision: Names,
        is_moe: ArrayLike,
        is_median: ArrayLike = False,
    ) -> Coefficients:
        """Coefficients per row, (N,): base times the factors of the groups the row is in."""
        groups = {
            "moe": np.asarray(is_moe, dtype=bool),
            "median": np.asarray(is_median, dtype=bool),
        }
        labels = [np.asarray(family), np.asarray(engine), np.asarray(precision)]
        shape = np.broadcast_shapes(*(x.shape for x in [*labels, *groups.values()]))
        values = {name: np.full(shape, self.base[name]) for name in self.base}
        for (name, group), factor in self.factors.items():
            member = groups.get(group)
            if member is None:
                member = np.any([x == group for x in np.broadcast_arrays(*labels)], axis=0)
            values[name] = np.where(member, values[name] * factor, values[name])
        return Coefficients(**values)


# ------------------------------------------------------------------ memory


def weight_bytes(llm: LlmShape, precision: Names) -> Array:
    """Bytes of all weights, (N,): P x bytes per weight; mxfp4 packs the experts only."""
    name = np.asarray(precision)
    per_weight = _lookup(BYTES_PER_PARAMETER, name)
    per_dense = np.where((name == "mxfp4") & llm.is_moe, BYTES_PER_PARAMETER["bf16"], per_weight)
    return llm.params_dense * per_dense + llm.params_expert * per_weight


def kv_bytes_per_token(
    layers: ArrayLike, kv_heads: ArrayLike, head_dim: ArrayLike, bytes_per_value: ArrayLike = 2.0
) -> Array:
    """Key and value cache per token, bytes: 2 L H_kv d_head b."""
    return 2.0 * _array(layers) * _array(kv_heads) * _array(head_dim) * _array(bytes_per_value)


def kept_tokens(context: ArrayLike, window_share: ArrayLike, window: ArrayLike) -> Array:
    """Context in the cache, in tokens of the layers that keep all of it: n + share min(n, window).

    `window_share`: bytes per token of the layers with a sliding window over those of the others.
    """
    n = _array(context)
    return n + _array(window_share) * np.minimum(n, _array(window))


def kv_capacity_bytes(
    llm: LlmShape,
    accelerator: AcceleratorShape,
    tp: ArrayLike,
    precision: Names,
    *,
    memory_utilisation: float = MEMORY_UTILISATION,
    workspace_bytes: float = WORKSPACE_BYTES,
) -> Array:
    """Bytes of distinct cache a replica can hold, (N,); negative where the weights do not fit.

    G (utilisation x memory - workspace) - weights, times the share that is not a copy: a cache with
    H_kv heads splits at most H_kv ways, beyond that every accelerator keeps a copy.
    """
    tp = _array(tp)
    usable = tp * (accelerator.memory_bytes * memory_utilisation - workspace_bytes)
    free = usable - weight_bytes(llm, precision)
    distinct = np.minimum(tp, llm.kv_heads) / tp
    return np.where(free > 0.0, free * distinct, free)


def max_concurrent_tokens(kv_capacity: ArrayLike, kv_per_token: ArrayLike) -> Array:
    """Context tokens that a replica can hold at once, (N,); 0 where the weights do not fit."""
    return np.maximum(_array(kv_capacity), 0.0) / _array(kv_per_token)


def smallest_tp(
    llm: LlmShape,
    accelerator: AcceleratorShape,
    precision: Names,
    context_tokens: ArrayLike = 8192.0,
    choices: tuple[int, ...] = (1, 2, 4, 8, 16),
) -> Array:
    """Fewest accelerators that hold the weights and one context, (N,); inf if none of `choices`."""
    need = llm.kv_bytes_per_token * llm.kept_tokens(context_tokens)
    best = np.full(np.shape(need), np.inf)
    for tp in sorted(choices, reverse=True):
        best = np.where(kv_capacity_bytes(llm, accelerator, tp, precision) >= need, tp, best)
    return best


# ------------------------------------------------------------------ times


def weights_touched_bytes(llm: LlmShape, precision: Names, sequences: ArrayLike) -> Array:
    """Weight bytes one iteration reads, (N,): P_dense + P_expert (1 - (1 - k/E)^C).

    The expert share assumes even routing, so it is an upper bound; infinite `sequences`: all.
    """
    name = np.asarray(precision)
    per_weight = _lookup(BYTES_PER_PARAMETER, name)
    per_dense = np.where((name == "mxfp4") & llm.is_moe, BYTES_PER_PARAMETER["bf16"], per_weight)
    missed = np.where(llm.is_moe, (1.0 - llm.expert_share) ** _array(sequences), 0.0)
    return llm.params_dense * per_dense + llm.params_expert * (1.0 - missed) * per_weight


def all_reduce_s_per_token(
    llm: LlmShape, accelerator: AcceleratorShape, tp: ArrayLike, efficiency: ArrayLike = 1.0
) -> Array:
    """Two ring all-reduces per layer of one token's 16-bit activations, s, (N,).

    2 L x 2 (G - 1)/G x 2 h bytes over half the (two-way) bandwidth of the slowest link: that of the
    interconnect as far as it reaches, of PCIe beyond.
    """
    tp = _array(tp)
    reach = tp <= accelerator.linked
    link = np.where(reach, accelerator.interconnect_bytes_per_s, accelerator.beyond_bytes_per_s)
    volume = 2.0 * llm.layers * 2.0 * (tp - 1.0) / tp * 2.0 * llm.hidden_size
    return volume / (link / 2.0 * _array(efficiency))


def prompt_flops(llm: LlmShape, input_tokens: ArrayLike) -> tuple[Array, Array]:
    """FLOPs of a prompt: (2 P_active n, attention 2 L n^2 d), (N,) each (causal: half of 4)."""
    n = _array(input_tokens)
    return 2.0 * llm.params_active * n, 2.0 * llm.layers * n**2 * llm.attention_width


@dataclass(frozen=True, eq=False)
class IterationLaw:
    """One replica as a law: an iteration lasts alpha + the work of what is in it. Fields (N,)."""

    alpha_s: Array
    """every iteration: layers, synchronisation, weights (all experts unless told otherwise), s"""
    sequence_s: Array
    """per sequence and iteration, s"""
    context_s_per_token: Array
    """cache read per context token and iteration, s"""
    prompt_s_per_token: Array
    """prompt tokens interrupting decodes: linear part, s per uncached token"""
    prompt_s_per_token2: Array
    """the same, attention: s per (uncached token x token of context)"""
    prefill_s_per_token: Array
    """a prompt's own prefill, linear part, s per uncached token"""
    prefill_s_per_token2: Array
    """the same, attention, s per (uncached token x token of context)"""
    ttft_fixed_s: Array
    """request handling, s"""
    ttft_iterations: Array
    """iterations that pass before the first token is out"""
    kv_capacity_bytes: Array
    """negative: the weights do not fit"""
    kv_bytes_per_token: Array
    max_batch: Array
    window_share: Array = field(default_factory=lambda: np.asarray(0.0))
    window_tokens: Array = field(default_factory=lambda: np.asarray(0.0))

    def kept_tokens(self, context_tokens: ArrayLike) -> Array:
        """What a context keeps in the cache, in tokens of the layers that keep all of it: windows
        keep `window_tokens` of it at most."""
        return kept_tokens(context_tokens, self.window_share, self.window_tokens)

    def prompt_s(self, input_tokens: ArrayLike, cached_tokens: ArrayLike = 0.0) -> Array:
        """Time a prompt takes from the decodes, s; the cached prefix costs attention only."""
        n, prefix = _array(input_tokens), _array(cached_tokens)
        return self.prompt_s_per_token * n + self.prompt_s_per_token2 * n * (n + 2.0 * prefix)

    def prefill_s(self, input_tokens: ArrayLike, cached_tokens: ArrayLike = 0.0) -> Array:
        """A prompt's own prefill alone on the replica, s."""
        n, prefix = _array(input_tokens), _array(cached_tokens)
        return self.prefill_s_per_token * n + self.prefill_s_per_token2 * n * (n + 2.0 * prefix)

    def iteration_s(self, sequences: ArrayLike, context_tokens: ArrayLike) -> Array:
        """A decode iteration with B sequences of a mean context and no prompt, s."""
        read_s = self.context_s_per_token * self.kept_tokens(context_tokens)
        per_sequence = self.sequence_s + read_s
        return self.alpha_s + _array(sequences) * per_sequence

    def scaled(self, tpot_factor: ArrayLike = 1.0, ttft_factor: ArrayLike = 1.0) -> IterationLaw:
        """The law with all decode times and all TTFT times multiplied (calibration)."""
        tpot, ttft = _array(tpot_factor), _array(ttft_factor)
        return replace(
            self,
            alpha_s=self.alpha_s * tpot,
            sequence_s=self.sequence_s * tpot,
            context_s_per_token=self.context_s_per_token * tpot,
            prompt_s_per_token=self.prompt_s_per_token * tpot,
            prompt_s_per_token2=self.prompt_s_per_token2 * tpot,
            prefill_s_per_token=self.prefill_s_per_token * ttft,
            prefill_s_per_token2=self.prefill_s_per_token2 * ttft,
            ttft_fixed_s=self.ttft_fixed_s * ttft,
        )

    def take(self, index: NDArray[np.int64]) -> IterationLaw:
        """The rows `index`, for arrays of shape (N,)."""
        return IterationLaw(**{f.name: _taken(getattr(self, f.name), index) for f in fields(self)})


def iteration_law(
    llm: LlmShape,
    accelerator: AcceleratorShape,
    tp: ArrayLike,
    precision: Names,
    engine: Names,
    params: ServingParameters,
    *,
    sequences: ArrayLike = np.inf,
    is_median: ArrayLike = False,
    max_batch: ArrayLike = MAX_BATCH,
) -> IterationLaw:
    """The iteration law of a replica from the physics and the fitted parameters, (N,).

    `sequences`: batch at which the experts touched are counted. The default counts all of them: the
    conservative choice for planning, and within 13 % of a batch of 64 for 8 of 256 experts.

    alpha    = L (layer + moe_layer [MoE] + hop log2 G) + W / (G BW e_w)
    sequence = sequence_s + comm + 2 P_active / (G peak e_d)
    context  = kv / (min(G, H_kv) BW e_kv)
    prompt   = (2 P_active n + 2 L n^2 d) / (G peak e_p) + n comm
    """
    c = params.resolve(accelerator.family, engine, precision, llm.is_moe, is_median)
    return law_from_coefficients(
        llm, accelerator, tp, precision, c,
        sequences=sequences, max_batch=max_batch, split_layers=np.asarray(engine) == "llama.cpp",
    )  # fmt: skip


def law_from_coefficients(
    llm: LlmShape,
    accelerator: AcceleratorShape,
    tp: ArrayLike,
    precision: Names,
    c: Coefficients,
    *,
    sequences: ArrayLike = np.inf,
    max_batch: ArrayLike = MAX_BATCH,
    split_layers: ArrayLike = False,
) -> IterationLaw:
    """`iteration_law` with the coefficients given, (N,).

    `split_layers`: the accelerators take turns layer by layer (llama.cpp), so they share the memory
    but not the work.
    """
    tp = _array(tp)
    ways = np.where(split_layers, 1.0, tp)
    peak = ways * accelerator.peak_flops(precision)
    comm = all_reduce_s_per_token(llm, accelerator, ways, c.comm_efficiency)
    linear, square = prompt_flops(llm, 1.0)
    weights = weights_touched_bytes(llm, precision, sequences)
    layers_s = llm.layers * (c.layer_s + c.moe_layer_s * llm.is_moe + c.hop_s * np.log2(ways))
    bandwidth = accelerator.bandwidth_bytes_per_s
    shape = np.broadcast_shapes(linear.shape, peak.shape, weights.shape, layers_s.shape)

    def full(value: ArrayLike) -> Array:
        return np.broadcast_to(_array(value), shape).copy()

    return IterationLaw(
        alpha_s=full(layers_s + weights / (ways * bandwidth * c.weight_efficiency)),
        sequence_s=full(c.sequence_s + comm + linear / (peak * c.decode_efficiency)),
        context_s_per_token=full(
            llm.kv_bytes_per_token / (np.minimum(ways, llm.kv_heads) * bandwidth * c.kv_efficiency)
        ),
        prompt_s_per_token=full(linear / (peak * c.prefill_efficiency) + comm),
        prompt_s_per_token2=full(square / (peak * c.prefill_efficiency)),
        prefill_s_per_token=full(linear / (peak * c.ttft_efficiency) + comm),
        prefill_s_per_token2=full(square / (peak * c.ttft_efficiency)),
        ttft_fixed_s=full(c.ttft_fixed_s),
        ttft_iterations=full(c.ttft_iterations),
        kv_capacity_bytes=full(kv_capacity_bytes(llm, accelerator, tp, precision)),
        kv_bytes_per_token=full(llm.kv_bytes_per_token),
        max_batch=full(max_batch),
        window_share=full(llm.window_share),
        window_tokens=full(llm.window_tokens),
    )


# ------------------------------------------------------------------ closed loop


@dataclass(frozen=True, eq=False)
class ReplicaPoint:
    """What a replica does with C requests always in flight, (N,)."""

    ttft_s: Array
    tpot_s: Array
    output_tokens_per_s: Array
    batch: Array
    """requests decoded together; below C where the memory or the engine's cap is the limit"""


def throughput_tokens_per_s(
    concurrency: ArrayLike, output_tokens: ArrayLike, ttft_s: ArrayLike, tpot_s: ArrayLike
) -> Array:
    """Output tokens/s of a closed loop by Little's law: C m / (TTFT + (m - 1) TPOT)."""
    m = _array(output_tokens)
    return _array(concurrency) * m / (_array(ttft_s) + (m - 1.0) * _array(tpot_s))


def closed_loop(
    llm: LlmShape,
    accelerator: AcceleratorShape,
    tp: ArrayLike,
    precision: Names,
    engine: Names,
    params: ServingParameters,
    input_tokens: ArrayLike,
    output_tokens: ArrayLike,
    concurrency: ArrayLike,
    *,
    is_median: ArrayLike = False,
    max_batch: ArrayLike = np.inf,
) -> ReplicaPoint:
    """TTFT, TPOT and tokens/s of one replica with C requests always in flight, (N,).

    Where C requests of n + m tokens exceed the cache (or C the engine's cap) only `batch` of them
    run; the others wait, and by Little's law the wait (C - batch) / throughput is part of TTFT.
    """
    coefficients = params.resolve(accelerator.family, engine, precision, llm.is_moe, is_median)
    return closed_loop_from_coefficients(
        llm, accelerator, tp, precision, coefficients, input_tokens, output_tokens, concurrency,
        max_batch=max_batch, split_layers=np.asarray(engine) == "llama.cpp",
    )  # fmt: skip


def closed_loop_from_coefficients(
    llm: LlmShape,
    accelerator: AcceleratorShape,
    tp: ArrayLike,
    precision: Names,
    coefficients: Coefficients,
    input_tokens: ArrayLike,
    output_tokens: ArrayLike,
    concurrency: ArrayLike,
    *,
    max_batch: ArrayLike = np.inf,
    split_layers: ArrayLike = False,
    interference: ArrayLike = 1.0,
) -> ReplicaPoint:
    """`closed_loop` with the coefficients given; `interference` 0 for static batches, (N,)."""
    n, m, c = _array(input_tokens), _array(output_tokens), _array(concurrency)
    capacity = kv_capacity_bytes(
        llm, accelerator, tp, precision,
        memory_utilisation=MOST_UTILISATION, workspace_bytes=LEAST_WORKSPACE_BYTES,
    )  # fmt: skip
    bits = np.vectorize(lambda name: TUNED_CACHE_BITS.get(str(name), 16.0), otypes=[np.float64])
    per_token = llm.kv_bytes_per_token * bits(np.asarray(precision)) / 16.0
    kept = llm.kept_tokens(n + m / 2.0)
    fits = np.maximum(max_concurrent_tokens(capacity, per_token) / kept, 1.0)
    batch = np.minimum(np.minimum(c, fits), _array(max_batch))
    law = law_from_coefficients(
        llm, accelerator, tp, precision, coefficients, sequences=batch, split_layers=split_layers
    )
    decode = law.iteration_s(batch, n + m / 2.0)
    tpot = decode + _array(interference) * (batch - 1.0) * law.prompt_s(n) / m
    crowd = 1.0 + coefficients.ttft_burst * (batch - 1.0) ** coefficients.ttft_burst_power
    ttft = law.ttft_fixed_s + law.prefill_s(n) * crowd + law.ttft_iterations * decode
    ttft = ttft + (c - batch) * (ttft + (m - 1.0) * tpot) / batch
    return ReplicaPoint(ttft, tpot, throughput_tokens_per_s(c, m, ttft, tpot), batch)


# ------------------------------------------------------------------ capacity at an operating point


def capacity_shares(
    law: IterationLaw,
    operating_tpot_s: ArrayLike,
    input_tokens: ArrayLike,
    output_tokens: ArrayLike,
    *,
    cached_tokens: ArrayLike = 0.0,
    held_cached_tokens: ArrayLike | None = None,
    output_cv: ArrayLike = 1.0,
    prefill_load_max: ArrayLike = 0.6,
    load_max: ArrayLike = LOAD_MAX,
    derate: ArrayLike = DERATE,
) -> Array:
    """Share of one replica that one request per second uses in each row, float (..., 4).

    Columns: work, slots, kv, prefill (``models.fleet.data.CAPACITY_ROWS``); a pool of R replicas
    carries the classes whose rates times shares sum to at most R in every row. By Little's law a
    class with rate lambda holds lambda m T slots at a mean inter-token time T, so (science.md 3.2):

    - work:    W = prompt(n) + m sequence + context ((n + p) m + E[m^2]/2), E[m^2] = m^2 (1 + CV^2);
               one second of a replica has 1 - alpha/T seconds of work to give, at most `load_max`
               (near saturation P95 TTFT explodes), times `derate` for the law's optimism
    - slots:   m T (and its prefill) of `load_max` x max_batch
    - kv:      m T x kv x mean context (n + p + m (1 + CV^2)/2) of `load_max` x the cache
    - prefill: own prefill seconds, of `prefill_load_max` (keeps the TTFT queue short)

    p = `cached_tokens`, a prefix whose prefill is free but whose cache is held and read; where
    requests share a copy, `held_cached_tokens` of it are this request's in the kv row.
    inf where the llm does not fit, one request does not fit, or T is below alpha.
    """
    n, m, p = _array(input_tokens), _array(output_tokens), _array(cached_tokens)
    target, cv2 = _array(operating_tpot_s), _array(output_cv) ** 2
    load = _array(load_max)
    prompt, prefill = law.prompt_s(n, p), law.prefill_s(n, p)
    growth = m * (1.0 + cv2) / 2.0
    work = prompt + m * (law.sequence_s + law.context_s_per_token * law.kept_tokens(n + p + growth))
    held_s = m * target + prefill
    held_p = p if held_cached_tokens is None else _array(held_cached_tokens)
    context = law.kept_tokens(n + held_p + growth)
    work_room = np.minimum(1.0 - law.alpha_s / target, load) * _array(derate)
    kv_room = law.kv_capacity_bytes * load
    rows = np.broadcast_arrays(
        _share(work, work_room),
        _share(held_s, law.max_batch * load),
        _share(held_s * context * law.kv_bytes_per_token, kv_room),
        _share(prefill, _array(prefill_load_max)),
    )
    shares = np.stack(rows, axis=-1)
    one_fits = law.kept_tokens(n + p + m) * law.kv_bytes_per_token <= law.kv_capacity_bytes
    usable = one_fits & (law.alpha_s < target)
    return np.where(np.broadcast_to(usable, shares.shape[:-1])[..., None], shares, np.inf)


def _taken(value: NDArray[Any], index: NDArray[np.int64]) -> NDArray[Any]:
    """Rows of a field; a single value is every row's."""
    return np.asarray(value) if np.ndim(value) == 0 else np.asarray(value)[index]


def _share(use: Array, room: Array) -> Array:
    use, room = np.broadcast_arrays(use, room)
    possible = room > 0.0
    return np.where(possible, use / np.where(possible, room, 1.0), np.inf)


def _lookup(table: Mapping[str, float], names: Names) -> Array:
    return _array(np.vectorize(table.__getitem__, otypes=[np.float64])(np.asarray(names)))
