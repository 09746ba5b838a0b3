"""One answer: effective prompt, load on a replica, experience with and without targets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.coefficients.answer import (
    Expectations,
    ReplicaLoad,
    hosted_experience,
    replica_load,
    request,
    route_loss,
    served_experience,
)
from models.coefficients.serving import AcceleratorShape, IterationLaw, LlmShape, capacity_shares

ONE = np.array([1.0])
LAW = IterationLaw(
    *(x * ONE for x in (0.01, 1e-4, 1e-9, 1e-5, 0.0, 2e-5, 0.0, 0.03, 3.0, 2e10, 1e5, 256.0))
)
LLM = LlmShape(*(x * ONE for x in (32.0, 4096.0, 4096.0, 8e9, 0.0, 1.0, 1e5, 8.0)))
CARD = AcceleratorShape(
    *(x * ONE for x in (80e9, 3e12, 1e15, 2e15, 2e15, 9e11)), np.array(["hopper"])
)
ASKS = Expectations(np.array([True]), ONE, 5.0 * ONE, 100.0 * ONE, ONE, 2.0 * ONE, 0.08 * ONE)


def load(**changes: float) -> ReplicaLoad:
    options = {
        "tp": 1.0,
        "operating_tpot_s": 0.04,
        "lane_tokens": 4096.0,
        "tdp_w": 700.0,
        "idle_w": 70.0,
        "prefill_load_max": 0.6,
        "load_max": 0.8,
        "derate": 0.9,
        **changes,
    }
    call = request(1000.0 * ONE, 100.0 * ONE)
    return replica_load(call, LAW, LLM, CARD, precision="fp8", **options)


def experience(asks: Expectations, round_trip_s: float = 0.0) -> tuple[float, float, float]:
    found = served_experience(
        load(),
        asks,
        operating_tpot_s=0.04,
        round_trip_s=round_trip_s,
        retrieval_s=0.0,
        earlier_s=0.0,
        prefill_load=0.6,
    )
    return float(found.shift_s[0]), float(found.attainment[0]), float(found.streaming[0])


def test_the_effective_prompt_splits_new_from_cached() -> None:
    call = request(1000, 200, cached_share=0.3, rag_tokens=2000, rag_cached_share=0.25)
    assert (call.new_tokens, call.cached_tokens) == (700 + 1500, 300 + 500)
    assert call.context_tokens == 3200


def test_a_shared_prefix_is_held_once_for_all_who_share_it() -> None:
    """2,000 tokens of system prompt cached of 3,000, 50 requests on one copy: 40 tokens each in the
    memory beside 1,000 new ones and the answer, 100 (1 + 1) / 2; all 2,000 are read by each."""
    alone = request(3000, 100, cached_share=2 / 3)
    shared = request(3000, 100, cached_share=2 / 3, cached_shared_by=50)
    assert (alone.held_cached_tokens, shared.held_cached_tokens) == pytest.approx((2000, 40))
    rows = [
        capacity_shares(
            LAW,
            0.04,
            x.new_tokens * ONE,
            x.output_tokens,
            cached_tokens=x.cached_tokens,
            held_cached_tokens=x.held_cached_tokens,
        )[0]
        for x in (alone, shared)
    ]
    kv, others = 2, [0, 1, 3]
    assert rows[1][kv] / rows[0][kv] == pytest.approx((1000 + 40 + 100) / (1000 + 2000 + 100))
    assert rows[1][others] == pytest.approx(rows[0][others])


def test_shares_are_the_capacity_law_with_overhead_and_margin() -> None:
    bare = capacity_shares(LAW, 0.04, 1000.0 * ONE, 100.0 * ONE, load_max=0.8, derate=0.9)
    assert load().share == pytest.approx(bare)
    adapted = load(adapter_overhead=1.1, performance_margin=0.2).share
    assert adapted == pytest.approx(bare * 1.2 * np.array([1.1, 1.0, 1.0, 1.1]))


def test_the_residual_is_half_the_prefill_of_the_lane() -> None:
    assert load().residual_s == pytest.approx(4096 * 2e-5 / 2)
    assert load().own_prefill_s == pytest.approx(1000 * 2e-5)


def test_power_stays_between_idle_and_tdp_and_an_unreachable_point_has_no_share() -> None:
    assert 0.0 < load().load_w[0] <= 700.0 - 300.0
    assert np.isinf(load(operating_tpot_s=0.009).share).all()


def test_a_margin_takes_replicas_and_no_energy():
    """Room kept for a slower engine is room, not work: energy per request stays."""
    lean, wide = load(), load(performance_margin=0.25)
    assert wide.share[0, 0] == pytest.approx(1.25 * lean.share[0, 0])
    assert wide.load_w[0] * wide.share[0, 0] == pytest.approx(lean.load_w[0] * lean.share[0, 0])


def test_the_shift_by_hand_and_what_the_network_does_to_the_score() -> None:
    shift, attainment, score = experience(ASKS)
    assert shift == pytest.approx(0.02 + 0.03 + 0.02)
    far_shift, far_attainment, far_score = experience(ASKS, round_trip_s=1.0)
    assert far_shift == pytest.approx(shift + 1.0)
    assert far_attainment < attainment <= 1.0
    assert far_score < score <= 1.0


def test_no_target_counts_as_met_and_an_impossible_one_as_missed() -> None:
    free = replace(ASKS, ttft_target_s=np.nan * ONE, tpot_target_s=np.nan * ONE)
    assert experience(free)[1] == 1.0
    assert experience(replace(ASKS, ttft_target_s=0.05 * ONE))[1] == 0.0


def test_a_batch_answer_has_no_latency() -> None:
    batch = replace(ASKS, interactive=np.array([False]), ttft_target_s=0.001 * ONE)
    assert experience(batch, round_trip_s=5.0)[1:] == (1.0, 1.0)


def test_a_bought_answer_by_the_vendors_figures() -> None:
    found = hosted_experience(
        ASKS,
        ttft_s=0.5,
        ttft_p95_over_mean=2.0,
        tpot_s=0.02,
        round_trip_s=0.1,
        retrieval_s=0.05,
        earlier_s=0.0,
    )
    assert found.shift_s == pytest.approx(0.15)
    assert found.ttft_p95_s == pytest.approx(0.15 + 1.0)
    assert 0.95 < found.attainment[0] < 1.0
    assert found.streaming == pytest.approx(1.0)  # the mean TTFT is below the expected one


def test_the_loss_is_the_weight_of_what_is_missing() -> None:
    assert route_loss(0.8, 1.0, 0.5, 0.1) == pytest.approx(0.1 * (1 - 0.4))
    assert route_loss(0.8, 2.0, 1.0, 1.0) == pytest.approx(1 - 0.64)
