"""Figures of routes, recomputed from Facts: speeds with the shared coefficient functions, money,
energy, carbon and water by the checker's own (`planner.verify.formulas`).

One (variant, leg) at a time: what a request costs a replica, what its user experiences, and from
these the shares, costs, carbon, water, loss and attainment of a route that serves a whole item.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from models.coefficients import answer
from models.coefficients.queueing import tpot_attainment, ttft_attainment
from models.coefficients.serving import (
    AcceleratorShape,
    IterationLaw,
    LlmShape,
    kv_capacity_bytes,
    weights_touched_bytes,
)
from planner.instance.facts import ApiFacts, MachineFacts, VariantFacts
from planner.instance.schema import LengthClass, Workload
from planner.serving import Replica, accelerator_shapes, llm_shapes, planning_laws
from planner.verify.formulas import bill_usd, decoding_w, filled_w, water_l
from planner.verify.terms import Item, Terms

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

COST_LINES = ("api tokens", "retrieval", "network", "shortfall")
CARBON_LINES = ("serving energy", "api")
BYTES_PER_TOKEN = 4.0


@dataclass(frozen=True)
class Config:
    """What a pool runs, wherever it stands."""

    llm: str
    accelerator: str
    accelerators: int
    precision: str
    tpot_s: float
    lane_tokens: float


@dataclass(frozen=True, eq=False)
class Answers:
    """Requests of one (variant, leg) at some routes; arrays of one shape (...)."""

    new_tokens: Array
    context_tokens: Array
    share_per_rps: Array
    """float (..., 4) replicas used per request/s"""
    load_w: Array
    """of a whole work row, above a replica that decodes next to nothing"""
    alpha_s: Array
    """time of an iteration without any sequence"""
    shift_s: Array
    tpot_s: Array
    attainment: Array
    """probability, leg weight apart"""
    qoe: Array
    """expected score, leg weight apart"""
    residual_s: Array
    """of pools: mean residual prefill; of hosted APIs: mean TTFT"""
    p95_over_mean: Array
    """0: a pool, whose TTFT waits in a prefill queue; otherwise a hosted API's"""


@dataclass(frozen=True, eq=False)
class ConfigTable:
    """Configurations side by side with their calibrated laws; fields (K,)."""

    accelerators: Array
    precision: NDArray[np.str_]
    tpot_s: Array
    lane_tokens: Array
    tdp_w: Array
    idle_w: Array
    llm: LlmShape
    accelerator: AcceleratorShape
    law: IterationLaw

    @classmethod
    def of(cls, terms: Terms, configs: Sequence[Config]) -> ConfigTable:
        """All `configs`; each replica's law is made once, whatever its operating points."""
        engine, bits = terms.settings.serving.engine, terms.settings.serving.kv_cache_bits
        replicas: dict[tuple[str, str, int, str], int] = {}
        for c in configs:
            key = (c.llm, c.accelerator, c.accelerators, c.precision)
            replicas.setdefault(key, len(replicas))
        at = np.array(
            [replicas[c.llm, c.accelerator, c.accelerators, c.precision] for c in configs],
            dtype=np.int64,
        )
        known = [
            Replica(terms.llms[llm], terms.accelerators[card], count, precision, engine, bits)
            for llm, card, count, precision in replicas
        ]
        cards = [terms.accelerators[c.accelerator] for c in configs]
        return cls(
            accelerators=np.array([c.accelerators for c in configs], dtype=float),
            precision=np.array([c.precision for c in configs], dtype=str),
            tpot_s=np.array([c.tpot_s for c in configs], dtype=float),
            lane_tokens=np.array([c.lane_tokens for c in configs], dtype=float),
            tdp_w=np.array([card.tdp_w for card in cards], dtype=float),
            idle_w=np.array([card.idle_w for card in cards], dtype=float),
            llm=llm_shapes([r.llm for r in known]).take(at),
            accelerator=accelerator_shapes([r.accelerator for r in known]).take(at),
            law=planning_laws(known, terms.facts.calibration).law.take(at),
        )


def memory_fits(
    terms: Terms, accelerator: str, llm: str, accelerators: int, precision: str
) -> bool:
    """Whether the weights leave any room on a replica."""
    shape = accelerator_shapes([terms.accelerators[accelerator]])
    free = kv_capacity_bytes(llm_shapes([terms.llms[llm]]), shape, accelerators, precision)
    return bool(np.all(free > 0.0))


def call(
    terms: Terms, variant: VariantFacts, lengths: Sequence[LengthClass], of: IntArray
) -> answer.Request:
    """Requests of the length classes `lengths[of]` as the engine sees them."""
    workload = terms.workloads[variant.workload]
    rag = workload.rag_chunks * workload.rag_chunk_tokens if terms.has_rag(variant) else 0.0
    columns = [
        (c.input_tokens, c.output_tokens, c.output_cv, c.cached_share, c.cached_shared_by)
        for c in lengths
    ]
    table = np.array(columns, dtype=float)[of]
    return answer.request(
        table[..., 0],
        table[..., 1],
        output_cv=table[..., 2],
        cached_share=table[..., 3],
        cached_shared_by=table[..., 4],
        rag_tokens=rag,
        rag_cached_share=workload.rag_cached_share,
    )


def _expectations(workload: Workload, output_tokens: Array) -> answer.Expectations:
    def one(value: float | None) -> Array:
        return np.asarray(np.nan if value is None else value, dtype=float)

    return answer.Expectations(
        interactive=np.asarray(workload.kind == "interactive"),
        expected_ttft_s=one(workload.expected_ttft_s),
        consumption_tokens_per_s=one(workload.consumption_tokens_per_s),
        output_tokens=output_tokens,
        streaming_exponent=one(workload.streaming_exponent),
        ttft_target_s=one(workload.ttft_target_s),
        tpot_target_s=one(workload.tpot_target_s),
    )


def _before_answer_s(terms: Terms, variant: VariantFacts, leg: int) -> tuple[float, float]:
    """(retrieval, what comes earlier): seconds before the prompt reaches the engine."""
    workload, retrieval = terms.workloads[variant.workload], 0.0
    if terms.has_rag(variant):
        retrieval = terms.facts.retrieval_latency_s
        if workload.reranked_documents > 0:
            retrieval += terms.facts.rerank_latency_s
    return retrieval, workload.expected_ttft_s if leg == 1 else 0.0


def _qoe(terms: Terms, variant: VariantFacts, leg: int, streaming: Array) -> Array:
    workload = terms.workloads[variant.workload]
    quality: float = terms.leg_quality(variant, leg) ** workload.quality_exponent
    return quality * streaming


def pool_loads(
    terms: Terms,
    variant: VariantFacts,
    leg: int,
    request: answer.Request,
    table: ConfigTable,
    at: IntArray,
) -> answer.ReplicaLoad:
    """Load of one request/s on replicas of the configurations `at`; broadcasts with `request`."""
    serving = terms.settings.serving
    tuned = leg == 0 and variant.method == "lora"
    with np.errstate(divide="ignore", invalid="ignore"):
        load = answer.replica_load(
            request,
            table.law.take(at),
            table.llm.take(at),
            table.accelerator.take(at),
            tp=table.accelerators[at],
            precision=table.precision[at],
            operating_tpot_s=table.tpot_s[at],
            lane_tokens=table.lane_tokens[at],
            tdp_w=table.tdp_w[at],
            idle_w=table.idle_w[at],
            prefill_load_max=serving.prefill_load_max,
            load_max=serving.load_max,
            derate=serving.derate,
            adapter_overhead=serving.lora_overhead if tuned else 1.0,
            performance_margin=serving.performance_margin,
        )
        slower = (serving.lora_overhead if tuned else 1.0) * (1.0 + serving.performance_margin)
        per_s = slower / load.share[..., 0]
        work_w = _work_w(request, table, at, per_s) / (1.0 + serving.performance_margin)
        return replace(load, load_w=work_w)


def _work_w(request: answer.Request, table: ConfigTable, at: IntArray, per_s: Array) -> Array:
    """What being full of such requests, `per_s` of them each second, adds to running replicas."""
    llm, card, precision = table.llm.take(at), table.accelerator.take(at), table.precision[at]
    size, tpot_s, answered = table.accelerators[at], table.tpot_s[at], request.output_tokens
    prompt = request.new_tokens + request.cached_tokens
    context = prompt + answered * (1.0 + request.output_cv**2) / 2.0
    law = table.law.take(at)
    sequences = per_s * answered * tpot_s
    flop_per_s = per_s * 2.0 * llm.params_active * (request.new_tokens + answered)
    read_bytes = weights_touched_bytes(llm, precision, np.inf)
    kept = context + law.window_share * np.fmin(context, law.window_tokens)
    read_bytes = read_bytes + sequences * law.kv_bytes_per_token * kept
    busy = (
        flop_per_s / (size * card.peak_flops(precision)),
        read_bytes / (size * card.bandwidth_bytes_per_s * tpot_s),
    )
    tdp_w, idle_w = table.tdp_w[at], table.idle_w[at]
    full_w = filled_w(tdp_w, idle_w, busy, np.asarray(card.family) == "blackwell")
    return np.asarray(size * np.fmax(full_w - decoding_w(tdp_w, idle_w), 0.0))


def pool_experience(
    terms: Terms,
    variant: VariantFacts,
    leg: int,
    output_tokens: Array,
    load: answer.ReplicaLoad,
    tpot_s: Array,
    round_trip_s: Array,
) -> tuple[answer.Experience, Array]:
    """(experience, expected score) of answers from pools; everything broadcasts to one shape."""
    retrieval_s, earlier_s = _before_answer_s(terms, variant, leg)
    seen = answer.served_experience(
        load,
        _expectations(terms.workloads[variant.workload], output_tokens),
        operating_tpot_s=tpot_s,
        round_trip_s=round_trip_s,
        retrieval_s=retrieval_s,
        earlier_s=earlier_s,
        prefill_load=terms.settings.serving.prefill_load_max,
    )
    return seen, _qoe(terms, variant, leg, seen.streaming)


def pool_answers(
    terms: Terms,
    variant: VariantFacts,
    leg: int,
    request: answer.Request,
    table: ConfigTable,
    at: IntArray,
    round_trip_s: Array,
) -> Answers:
    """Answers from pools of the configurations `at`; all of one shape (N,)."""
    load = pool_loads(terms, variant, leg, request, table, at)
    tpot_s = table.tpot_s[at]
    seen, qoe = pool_experience(
        terms, variant, leg, request.output_tokens, load, tpot_s, round_trip_s
    )
    return Answers(
        new_tokens=request.new_tokens,
        context_tokens=request.context_tokens,
        share_per_rps=load.share,
        load_w=load.load_w,
        alpha_s=table.law.alpha_s[at],
        shift_s=seen.shift_s,
        tpot_s=tpot_s,
        attainment=seen.attainment,
        qoe=qoe,
        residual_s=load.residual_s,
        p95_over_mean=np.zeros_like(tpot_s),
    )


def hosted_answers(
    terms: Terms,
    variant: VariantFacts,
    leg: int,
    request: answer.Request,
    api: ApiFacts,
    round_trip_s: Array,
) -> Answers:
    """Answers bought from a hosted API."""
    retrieval_s, earlier_s = _before_answer_s(terms, variant, leg)
    workload = terms.workloads[variant.workload]
    seen = answer.hosted_experience(
        _expectations(workload, request.output_tokens),
        ttft_s=api.ttft_s,
        ttft_p95_over_mean=api.ttft_p95_over_mean,
        tpot_s=api.tpot_s,
        round_trip_s=round_trip_s,
        retrieval_s=retrieval_s,
        earlier_s=earlier_s,
    )
    shape = np.broadcast_shapes(request.new_tokens.shape, np.shape(round_trip_s))

    def full(value: Array | float) -> Array:
        return np.broadcast_to(np.asarray(value, dtype=float), shape)

    return Answers(
        new_tokens=full(request.new_tokens),
        context_tokens=full(request.context_tokens),
        share_per_rps=np.zeros((*shape, 4)),
        load_w=full(0.0),
        alpha_s=full(0.0),
        shift_s=full(seen.shift_s),
        tpot_s=full(api.tpot_s),
        attainment=full(seen.attainment),
        qoe=full(_qoe(terms, variant, leg, seen.streaming)),
        residual_s=full(api.ttft_s),
        p95_over_mean=full(api.ttft_p95_over_mean),
    )


# ------------------------------------------------------------------ money and carbon of a request


def prompt_tokens(terms: Terms, variant: VariantFacts, length: LengthClass) -> tuple[float, float]:
    """(fresh, cached) tokens of the prompt, with the chunks that retrieval adds."""
    workload = terms.workloads[variant.workload]
    added = workload.rag_chunks * workload.rag_chunk_tokens if terms.has_rag(variant) else 0.0
    cached = length.cached_share * length.input_tokens + workload.rag_cached_share * added
    return length.input_tokens + added - cached, cached


def usd_per_request(
    terms: Terms,
    variant: VariantFacts,
    leg: int,
    length: LengthClass,
    api: ApiFacts | None,
) -> dict[str, float]:
    """Cost lines of one request of a leg answered somewhere (not shortfall) off peak, USD."""
    prices, workload = terms.facts.prices, terms.workloads[variant.workload]
    lines = dict.fromkeys(COST_LINES, 0.0)
    if api is None:  # a hosted llm sends its answers at its own cost
        sent_gb = length.output_tokens * BYTES_PER_TOKEN / 1e9
        lines["network"] = sent_gb * prices.egress_usd_per_gb
    if leg == 0 and terms.has_rag(variant):
        lines["retrieval"] = prices.vector_query_usd
        lines["retrieval"] += length.input_tokens * prices.embedding_usd_per_mtok / 1e6
        if workload.reranked_documents > 0:
            lines["retrieval"] += prices.rerank_usd_per_query
    if api is not None:
        fresh, cached = prompt_tokens(terms, variant, length)
        per_mtok = (
            api.input_usd_per_mtok,
            api.cached_input_usd_per_mtok,
            api.output_usd_per_mtok,
        )
        usd = bill_usd(fresh, cached, length.output_tokens, per_mtok)
        lines["api tokens"] = float(usd)
    return lines


def peak_price(terms: Terms, api: ApiFacts | None, in_slice: str) -> float:
    """Mean price of a token in a slice over its price off peak, by tenths of an hour."""
    if api is None or not api.peak_hours_utc:
        return 1.0
    part = terms.facts.instance.slices[terms.slice_place[in_slice]]
    length = (part.end_hour_utc - part.start_hour_utc) % 24 or 24
    dear = 0
    for tick in range(10 * length):
        hour = (part.start_hour_utc + (tick + 0.5) / 10.0) % 24.0
        for window in api.peak_hours_utc.split(";"):
            begin, end = map(float, window.split("-"))
            inside = begin <= hour < end if begin < end else hour >= begin or hour < end
            dear += inside
    return 1.0 + (api.peak_factor - 1.0) * dear / (10.0 * length)


# ------------------------------------------------------------------ the routes of a plan


@dataclass(frozen=True)
class RouteAsk:
    """A route whose figures are wanted."""

    item: Item
    variant: VariantFacts
    leg: int
    region: str | None
    slice: str
    machine: MachineFacts | None
    accelerators: int
    precision: str
    tpot_s: float
    lane_tokens: float


@dataclass(frozen=True, eq=False)
class RouteFigures:
    """Figures of N routes, each serving the whole of its item."""

    rate_per_s: Array
    share: Array
    """float (N, 4) replicas used in each capacity row"""
    cost_lines: dict[str, Array]
    """USD"""
    carbon_lines: dict[str, Array]
    """kgCO2e"""
    water_l: Array
    loss: Array
    attainment: Array
    """leg weight x probability"""
    mixture: Array
    """item weight x leg weight; 0 for shortfall"""
    new_tokens: Array
    context_tokens: Array
    alpha_s: Array
    fits: NDArray[np.bool_]
    shift_s: Array
    tpot_s: Array
    residual_s: Array
    p95_over_mean: Array
    prefill_load: float

    def ttft_within(self, t_s: float) -> Array:
        """P(TTFT <= t) of every route, (N,)."""
        queued = ttft_attainment(t_s, self.shift_s, self.prefill_load, self.residual_s)
        hosted = tpot_attainment(
            np.maximum(t_s - self.shift_s, 0.0),
            np.where(self.p95_over_mean > 0, self.residual_s, 1.0),
            np.maximum(self.p95_over_mean, 1.0),
        )
        return np.where(self.p95_over_mean > 0, hosted, queued)


def route_figures(terms: Terms, asks: Sequence[RouteAsk]) -> RouteFigures:
    """Figures of every route asked for, in order; those of one variant and leg are done at once."""
    size = len(asks)
    names = [f.name for f in fields(Answers)]
    got = {name: np.zeros((size, 4) if name == "share_per_rps" else size) for name in names}
    pools = [j for j, ask in enumerate(asks) if ask.machine is not None]
    configs = [_config(terms, asks[j]) for j in pools]
    place = {config: k for k, config in enumerate(dict.fromkeys(configs))}
    table = ConfigTable.of(terms, list(place))
    at = np.zeros(size, dtype=np.int64)
    at[pools] = [place[config] for config in configs]
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for j, ask in enumerate(asks):
        if ask.region is not None:
            bought_in = ask.region if ask.machine is None else None
            groups[ask.variant.variant, ask.leg, bought_in].append(j)
    for members in groups.values():
        found = _group_answers(terms, [asks[j] for j in members], table, at[members])
        for name, values in vars(found).items():
            got[name][members] = values
    answers = Answers(**got)
    return _assemble(terms, asks, answers)


def _config(terms: Terms, ask: RouteAsk) -> Config:
    assert ask.machine is not None
    llm = terms.leg_llm(ask.variant, ask.leg)
    pool = (ask.accelerators, ask.precision, ask.tpot_s, ask.lane_tokens)
    return Config(llm, ask.machine.accelerator, *pool)


def _group_answers(
    terms: Terms, asks: Sequence[RouteAsk], table: ConfigTable, at: IntArray
) -> Answers:
    """Answers of one (variant, leg) from pools, or from one hosted API."""
    first = asks[0]
    request = call(terms, first.variant, [a.item.length for a in asks], np.arange(len(asks)))
    trips = np.array([terms.facts.round_trip_s[a.item.origin, str(a.region)] for a in asks])
    if first.machine is None:
        api = terms.apis[terms.leg_llm(first.variant, first.leg), str(first.region)]
        return hosted_answers(terms, first.variant, first.leg, request, api, trips)
    return pool_answers(terms, first.variant, first.leg, request, table, at, trips)


def _assemble(terms: Terms, asks: Sequence[RouteAsk], a: Answers) -> RouteFigures:
    """Whole-item figures by plain loops over the routes."""
    size = len(asks)
    rate, water, loss, reached, mixture = (np.zeros(size) for _ in range(5))
    cost = {name: np.zeros(size) for name in COST_LINES}
    carbon = {name: np.zeros(size) for name in CARBON_LINES}
    share = np.zeros((size, 4))
    for j, ask in enumerate(asks):
        item, load = ask.item, terms.leg_load(ask.variant, ask.leg)
        requests, hours = item.requests * load, terms.slice_hours[ask.slice]
        weight = terms.leg_weight(ask.variant, ask.leg)
        rate[j] = requests / (3600.0 * hours)
        if ask.region is None:
            cost["shortfall"][j] = requests * terms.settings.policy.shortfall_usd_per_request
            loss[j] = item.qoe_weight * weight
            continue
        mixture[j] = item.weight * weight
        loss[j] = item.qoe_weight * weight * (1.0 - a.qoe[j])
        reached[j] = weight * a.attainment[j]
        llm = terms.leg_llm(ask.variant, ask.leg)
        api = terms.apis[llm, ask.region] if ask.machine is None else None
        lines = usd_per_request(terms, ask.variant, ask.leg, item.length, api)
        for name, usd in lines.items():
            dear = peak_price(terms, api, ask.slice) if name == "api tokens" else 1.0
            cost[name][j] = requests * usd * dear
        if api is not None:
            tokens = sum(prompt_tokens(terms, ask.variant, item.length)) + item.length.output_tokens
            carbon["api"][j] = requests * tokens / 1e3 * api.gco2e_per_ktok / 1e3
            water[j] = requests * tokens / 1e3 * api.water_l_per_ktok
            continue
        share[j] = rate[j] * a.share_per_rps[j]
        place = terms.regions[ask.region]
        kwh = a.load_w[j] / 1e3 * hours * share[j, 0]
        intensity = place.carbon_kgco2e_per_kwh[terms.slice_place[ask.slice]]
        carbon["serving energy"][j] = kwh * place.pue * intensity
        water[j] = water_l(
            kwh, place.pue, place.site_wue_l_per_kwh, place.electricity_water_l_per_kwh
        )
    return RouteFigures(
        rate_per_s=rate,
        share=share,
        cost_lines=cost,
        carbon_lines=carbon,
        water_l=water,
        loss=loss,
        attainment=reached,
        mixture=mixture,
        new_tokens=a.new_tokens,
        context_tokens=a.context_tokens,
        alpha_s=a.alpha_s,
        fits=np.asarray(np.isfinite(a.share_per_rps).all(axis=1)),
        shift_s=a.shift_s,
        tpot_s=a.tpot_s,
        residual_s=a.residual_s,
        p95_over_mean=a.p95_over_mean,
        prefill_load=terms.settings.serving.prefill_load_max,
    )
