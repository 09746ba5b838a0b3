"""One answer: what a request costs a replica at an operating point, and what its user experiences.

Composes the other coefficient modules (``models/FORMULATION.md``, "Coefficients of a route").
Everything is elementwise: arguments are scalars or arrays that broadcast to one shape (N,), results
are arrays of that shape. Nothing depends on how routes are enumerated.

The load of a replica depends on prompt, llm, accelerators and operating point; only the experience
depends on where the user sits. That is why they are two functions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.coefficients.energy import accelerator_power_w, decoding_power_w
from models.coefficients.quality import (
    combined_qoe,
    expected_streaming_score,
    streaming_score,
)
from models.coefficients.queueing import (
    tpot_attainment,
    tpot_p95_over_mean,
    tpot_quantile_s,
    ttft_attainment,
    ttft_quantile_s,
    ttft_shift_s,
)
from models.coefficients.serving import (
    AcceleratorShape,
    IterationLaw,
    LlmShape,
    Names,
    capacity_shares,
    weights_touched_bytes,
)

Array = NDArray[np.float64]

LORA_RANK = 16
"""Rank of the adapters on four square matrices per layer; 2106.09685 tried 1 to 64."""


def _array(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=np.float64)


# ------------------------------------------------------------------ the request


@dataclass(frozen=True, eq=False)
class Request:
    """Tokens of one request as the engine sees it; every field broadcasts to (N,)."""

    new_tokens: Array
    """prompt tokens to prefill"""
    cached_tokens: Array
    """prompt tokens found in the prefix cache: held and read, not prefilled"""
    held_cached_tokens: Array
    """its part of them in memory: a copy that others share counts once for all"""
    output_tokens: Array
    output_cv: Array
    """standard deviation over mean of the output tokens"""

    @property
    def context_tokens(self) -> Array:
        """Context at the end of the mean answer, tokens, (N,): new + cached + output."""
        return self.new_tokens + self.cached_tokens + self.output_tokens


def request(
    input_tokens: ArrayLike,
    output_tokens: ArrayLike,
    *,
    output_cv: ArrayLike = 1.0,
    cached_share: ArrayLike = 0.0,
    cached_shared_by: ArrayLike = 1.0,
    rag_tokens: ArrayLike = 0.0,
    rag_cached_share: ArrayLike = 0.0,
) -> Request:
    """The effective request: new = n (1 - cached) + rag (1 - rag_cached), cached = the rest.

    `cached_shared_by` requests keep one copy of the prompt's cached prefix between them.
    """
    n, rag = _array(input_tokens), _array(rag_tokens)
    hit, rag_hit = _array(cached_share), _array(rag_cached_share)
    return Request(
        new_tokens=n * (1.0 - hit) + rag * (1.0 - rag_hit),
        cached_tokens=n * hit + rag * rag_hit,
        held_cached_tokens=n * hit / _array(cached_shared_by) + rag * rag_hit,
        output_tokens=_array(output_tokens),
        output_cv=_array(output_cv),
    )


# ------------------------------------------------------------------ load on a replica


@dataclass(frozen=True, eq=False)
class ReplicaLoad:
    """What one request per second of a class does to one replica; fields (N,) but `share`."""

    share: Array
    """float (N, 4): replicas used per request/s, rows as ``CAPACITY_ROWS``; inf: does not run"""
    own_prefill_s: Array
    """prefill of the request's own prompt"""
    fixed_s: Array
    """what the engine adds to every TTFT"""
    residual_s: Array
    """mean residual prefill that an arrival meets, at most: half the lane's longest prompt's"""
    tpot_p95_over_mean: Array
    load_w: Array
    """what a whole work row of this class alone adds to the power of a replica that decodes next
    to nothing; 1 / (1 + margin) of it, since the margin is in the row and is no work"""


def replica_load(
    call: Request,
    law: IterationLaw,
    llm: LlmShape,
    accelerator: AcceleratorShape,
    *,
    tp: ArrayLike,
    precision: Names,
    operating_tpot_s: ArrayLike,
    lane_tokens: ArrayLike,
    tdp_w: ArrayLike,
    idle_w: ArrayLike,
    prefill_load_max: ArrayLike,
    load_max: ArrayLike,
    derate: ArrayLike,
    adapter_overhead: ArrayLike = 1.0,
    performance_margin: ArrayLike = 0.0,
) -> ReplicaLoad:
    """Load of one request per second on a replica of `tp` accelerators at mean TPOT T.

    share = `capacity_shares` x (1 + margin), work and prefill rows also x adapter overhead (LoRA).
    P95 over mean TPOT by the share of prompt work in the work row. Power at the class's own full
    load, lambda = 1 / work share without margin and overhead: u_c = lambda 2 P_active (new + m) /
    (G peak); u_m = (weights + lambda m T kv mean context) / (G bandwidth T). A replica that runs
    draws `decoding_power_w` whatever limits it, and with its work up to that.
    """
    new, cached, m = call.new_tokens, call.cached_tokens, call.output_tokens
    target, tp = _array(operating_tpot_s), _array(tp)
    bare = capacity_shares(
        law,
        target,
        new,
        m,
        cached_tokens=cached,
        held_cached_tokens=call.held_cached_tokens,
        output_cv=call.output_cv,
        prefill_load_max=prefill_load_max,
        load_max=load_max,
        derate=derate,
    )
    overhead = np.broadcast_to(_array(adapter_overhead), bare.shape[:-1])
    slower = np.stack([overhead, np.ones_like(overhead)] * 2, axis=-1)[..., (0, 1, 1, 0)]
    margin = 1.0 + _array(performance_margin)
    share = bare * slower * margin[..., None]

    prompt_s = law.prompt_s(new, cached)
    context = law.kept_tokens(new + cached + m * (1.0 + call.output_cv**2) / 2.0)
    decode_s = m * (law.sequence_s + law.context_s_per_token * context)
    rate = 1.0 / bare[..., 0]  # 0 where it does not run
    flops = rate * 2.0 * llm.params_active * (new + m)
    cache_bytes = rate * m * target * law.kv_bytes_per_token * context
    read_bytes = weights_touched_bytes(llm, precision, np.inf) + cache_bytes
    compute = flops / (tp * accelerator.peak_flops(precision))
    memory = read_bytes / (tp * accelerator.bandwidth_bytes_per_s * target)
    full_w = accelerator_power_w(
        tdp_w,
        tp,
        np.minimum(compute, 1.0),
        np.minimum(memory, 1.0),
        accelerator.family,
        idle_w=idle_w,
    )
    shape = share.shape[:-1]

    def full(value: ArrayLike) -> Array:
        return np.broadcast_to(_array(value), shape)

    return ReplicaLoad(
        share=share,
        own_prefill_s=full(law.prefill_s(new, cached)),
        fixed_s=full(law.ttft_fixed_s),
        residual_s=full(law.prefill_s(_array(lane_tokens)) / 2.0),
        tpot_p95_over_mean=full(tpot_p95_over_mean(prompt_s / (prompt_s + decode_s))),
        load_w=full(np.maximum(full_w - decoding_power_w(tdp_w, tp, idle_w), 0.0) / margin),
    )


# ------------------------------------------------------------------ experience of the user


@dataclass(frozen=True, eq=False)
class Expectations:
    """What a workload asks of an answer; every field broadcasts to (N,). NaN: no such target."""

    interactive: NDArray[np.bool_]
    """False: a batch workload, whose answers score 1 and have no targets"""
    expected_ttft_s: Array
    consumption_tokens_per_s: Array
    output_tokens: Array
    streaming_exponent: Array
    ttft_target_s: Array
    tpot_target_s: Array


@dataclass(frozen=True, eq=False)
class Experience:
    """What the user of a route gets; fields (N,)."""

    shift_s: Array
    """TTFT without waiting in a queue"""
    ttft_p95_s: Array
    tpot_s: Array
    """mean"""
    attainment: Array
    """P(TTFT <= target) x P(TPOT <= target)"""
    streaming: Array
    """E[Qs ** streaming_exponent]"""


def served_experience(
    load: ReplicaLoad,
    asks: Expectations,
    *,
    operating_tpot_s: ArrayLike,
    round_trip_s: ArrayLike,
    retrieval_s: ArrayLike,
    earlier_s: ArrayLike,
    prefill_load: ArrayLike,
) -> Experience:
    """Experience of an answer from a replica.

    shift = round trip + retrieval + own prefill + fixed + T/2 + `earlier_s` (a check starts after
    the first answer); the wait on top is that of a prefill queue at load `prefill_load`, whatever
    mixture fills it. A TTFT target below the shift is met with probability 0.
    """
    target = _array(operating_tpot_s)
    shift = ttft_shift_s(
        round_trip_s, retrieval_s, load.own_prefill_s, target, fixed_s=load.fixed_s
    ) + _array(earlier_s)
    in_time = _met(
        asks.ttft_target_s,
        ttft_attainment(_present(asks.ttft_target_s), shift, prefill_load, load.residual_s),
    )
    fluent = _met(
        asks.tpot_target_s,
        tpot_attainment(_present(asks.tpot_target_s), target, load.tpot_p95_over_mean),
    )
    score = expected_streaming_score(
        shift,
        prefill_load,
        load.residual_s,
        target,
        expected_ttft_s=asks.expected_ttft_s,
        consumption_tokens_per_s=asks.consumption_tokens_per_s,
        output_tokens=asks.output_tokens,
        exponent=asks.streaming_exponent,
    )
    return _experience(
        asks,
        shift,
        ttft_quantile_s(0.95, shift, prefill_load, load.residual_s),
        target,
        attainment=in_time * fluent,
        score=score,
    )


def hosted_experience(
    asks: Expectations,
    *,
    ttft_s: ArrayLike,
    ttft_p95_over_mean: ArrayLike,
    tpot_s: ArrayLike,
    round_trip_s: ArrayLike,
    retrieval_s: ArrayLike,
    earlier_s: ArrayLike,
) -> Experience:
    """Experience of a bought answer, from the vendor's measured TTFT and TPOT.

    TTFT = shift + log-normal of that mean and P95 over mean (at most 3.87); shift = round trip +
    retrieval + `earlier_s`. TPOT has no published spread: its target is met or not. The score is
    that of the mean TTFT, for want of the distribution's shape.
    """
    shift = _array(round_trip_s) + _array(retrieval_s) + _array(earlier_s)
    slack = np.maximum(_present(asks.ttft_target_s) - shift, 0.0)
    in_time = _met(asks.ttft_target_s, tpot_attainment(slack, ttft_s, ttft_p95_over_mean))
    fluent = _met(asks.tpot_target_s, tpot_attainment(_present(asks.tpot_target_s), tpot_s, 1.0))
    score = streaming_score(
        shift + _array(ttft_s),
        tpot_s,
        asks.expected_ttft_s,
        asks.consumption_tokens_per_s,
        asks.output_tokens,
    )
    p95_s = shift + tpot_quantile_s(0.95, ttft_s, ttft_p95_over_mean)
    return _experience(
        asks,
        shift,
        p95_s,
        tpot_s,
        attainment=in_time * fluent,
        score=score**asks.streaming_exponent,
    )


def route_loss(
    quality: ArrayLike, quality_exponent: ArrayLike, streaming: ArrayLike, weight: ArrayLike
) -> Array:
    """QoE loss of an answer: weight (1 - q^wq E[Qs^ws]); `quality` after staleness."""
    return _array(weight) * (1.0 - combined_qoe(quality, streaming, quality_exponent, 1.0))


def _experience(
    asks: Expectations,
    shift: ArrayLike,
    p95_s: ArrayLike,
    tpot_s: ArrayLike,
    *,
    attainment: Array,
    score: Array,
) -> Experience:
    shape = np.broadcast_shapes(np.shape(shift), np.shape(score), np.shape(asks.interactive))

    def full(value: ArrayLike) -> Array:
        return np.broadcast_to(_array(value), shape)

    return Experience(
        shift_s=full(shift),
        ttft_p95_s=full(p95_s),
        tpot_s=full(tpot_s),
        attainment=full(np.where(asks.interactive, attainment, 1.0)),
        streaming=full(np.where(asks.interactive, score, 1.0)),
    )


def _present(target_s: Array) -> Array:
    """The target, or 1 s where there is none (its probability is then not used)."""
    return np.where(np.isnan(target_s), 1.0, target_s)


def _met(target_s: Array, probability: Array) -> Array:
    return np.where(np.isnan(target_s), 1.0, probability)
