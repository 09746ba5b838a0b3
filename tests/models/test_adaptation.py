"""RAG and fine-tuning: sizes and work against published figures, and the break-evens."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.coefficients import adaptation, quality

positive = st.floats(0.01, 1e3)


def test_full_training_work_of_gpt3() -> None:
    assert adaptation.training_flops(175e9, 300e9) == pytest.approx(3.15e23)


@pytest.mark.parametrize(
    ("parameters", "tokens", "accelerators", "tflops", "days"),
    [(175e9, 300e9, 1024, 140, 33.9), (1e12, 450e9, 3072, 163, 83.2)],
)
def test_megatron_training_days(
    parameters: float, tokens: float, accelerators: int, tflops: float, days: float
) -> None:
    found = adaptation.megatron_days(parameters, tokens, accelerators, tflops)
    assert found == pytest.approx(days, abs=0.05)


def test_fine_tuning_hours_on_h100() -> None:
    """8B, 10 M tokens, 3 epochs, 989 TFLOP/s at MFU 0.35; a 70B LoRA takes 6.7 h."""
    lora = adaptation.training_flops([8e9, 70e9], 10e6, 3, "lora")
    full = adaptation.training_flops(8e9, 10e6, 3, "full")
    assert adaptation.training_accelerator_hours(lora, 989) == pytest.approx([0.77, 6.74], abs=0.01)
    assert adaptation.training_accelerator_hours(full, 989) == pytest.approx(1.16, abs=0.01)


def test_adapter_of_gpt3_in_the_lora_paper() -> None:
    """Rank 4 on query and value matrices of 96 layers: 18.9 M parameters, a 35 MB checkpoint."""
    trained = adaptation.lora_parameters(4, [12_288, 12_288], [12_288, 12_288], layers=96)
    assert trained == pytest.approx(18.9e6, rel=2e-3)
    assert adaptation.adapter_bytes(trained) / 2**20 == pytest.approx(36.0)


def test_lora_parameters_sum_the_matrices_of_each_llm() -> None:
    trained = adaptation.lora_parameters([2, 8], [[10, 20], [1, 1]], [[30, 40], [1, 1]], [1, 3])
    assert trained == pytest.approx([200, 96])


def test_training_memory() -> None:
    assert adaptation.training_memory_bytes([7e9, 175e9]) == pytest.approx([112e9, 2.8e12])
    lora = adaptation.training_memory_bytes(70e9, "lora", trainable_parameters=1e8)
    assert lora == pytest.approx(140e9 + 1.6e9)


def test_qlora_fits_65b_on_one_48_gb_card() -> None:
    """The claim of arXiv 2305.14314; 16-bit LoRA needs several."""
    qlora = adaptation.training_memory_bytes(65e9, "qlora", trainable_parameters=2e8)
    lora = adaptation.training_memory_bytes(65e9, "lora", trainable_parameters=2e8)
    assert qlora == pytest.approx(65e9 * 4.127 / 8 + 3.2e9, rel=1e-3)
    assert adaptation.smallest_accelerator_count(qlora, 48e9) == 1
    assert adaptation.smallest_accelerator_count(lora, 48e9) == 4


def test_index_of_ten_million_vectors() -> None:
    total = adaptation.index_bytes(10e6, 1024)
    vectors_only = adaptation.index_bytes(10e6, 1024, hnsw_links=0)
    assert vectors_only == pytest.approx(41e9, rel=2e-3)
    assert total - vectors_only == pytest.approx(10e6 * 281.6)


def test_index_vectors_cover_the_corpus() -> None:
    assert adaptation.index_vectors(10_001, 400, 100) == 34


def test_rag_tokens() -> None:
    context = adaptation.rag_context_tokens(5, 400)
    assert context == 2000
    assert adaptation.rag_prefill_tokens(context, [0.0, 0.25, 1.0]) == pytest.approx(
        [2000, 1500, 0]
    )


def test_retrieval_latency_is_the_sum_of_its_steps() -> None:
    assert adaptation.retrieval_latency_s(0.012, 0.03, 0.0) == pytest.approx(0.042)


def test_frequent_refresh_embeds_every_change_once() -> None:
    """For short intervals the work tends to corpus * u * period, and batching saves."""
    tokens = adaptation.reembedded_tokens(1e9, 1 / 90, [1e-3, 30], 30)
    assert tokens[0] == pytest.approx(1e9 * 30 / 90, rel=1e-4)
    assert tokens[1] == pytest.approx(1e9 * (1 - math.exp(-1 / 3)))


def test_refreshes_recur_and_an_interval_above_the_period_counts_its_part() -> None:
    """2,000 Mtok at 0.09 USD, u = 1: 1 - 1/e a day, 1 - e^-7 a week, 1 - e^-60 in two months."""
    tokens = adaptation.reembedded_tokens(
        2e9, 1.0, [1, 7, 60, 1], np.array([728, 728, 728, 8736]) / 24
    )
    assert tokens * 0.09e-6 == pytest.approx([3451.4, 779.3, 91.0, 41416.5], abs=0.1)


def test_sync_sends_changed_vectors_to_the_other_regions() -> None:
    sent = adaptation.sync_bytes(4e6, 400, 4378, regions=[0, 1, 3])
    assert sent == pytest.approx([0, 0, 2 * 1e4 * 4378])


def test_merged_weights_cost_no_iteration_time() -> None:
    assert adaptation.adapted_iteration_s(0.02, [True, False], 1.1) == pytest.approx([0.02, 0.022])


def test_refresh_cost_is_mostly_people() -> None:
    hours = adaptation.training_accelerator_hours(
        adaptation.training_flops(8e9, 10e6, 3, "lora"), 989
    )
    cost_usd = adaptation.refresh_cost_usd(hours, 4.0, staff_hours=20, usd_per_staff_h=100)
    assert cost_usd == pytest.approx(2003, abs=1)
    assert adaptation.refreshes(30, [1, 7, 30, 90]) == pytest.approx([30, 30 / 7, 1, 1 / 3])


@pytest.mark.parametrize(
    ("base", "rag", "tuned", "both"),
    [(0.481, 0.875, 0.504, 0.81), (0.456, 0.876, 0.511, 0.82), (0.556, 0.681, 0.570, 0.659)],
)
def test_default_retention_is_near_ovadia(
    base: float, rag: float, tuned: float, both: float
) -> None:
    """Mistral and Orca on current events, Mistral on anatomy (2312.05934): below RAG alone."""
    found = adaptation.combined_quality(base, rag, tuned)
    assert found == pytest.approx(both, abs=0.03)
    assert found < rag


def test_full_retention_is_cumulative_as_in_the_agriculture_study() -> None:
    """2401.08406: 6 points from fine-tuning, 5 more from RAG."""
    assert adaptation.combined_quality(0.75, 0.80, 0.81, 1.0) == pytest.approx(0.86)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1.5))
def test_combined_quality_is_a_quality(
    base: float, rag: float, tuned: float, retention: float
) -> None:
    assert 0.0 <= adaptation.combined_quality(base, rag, tuned, retention) <= 1.0


@given(positive, positive, positive, positive)
def test_at_the_break_even_demand_both_cost_the_same(
    refresh_usd: float, refresh_days: float, tuned_usd: float, saving_usd: float
) -> None:
    rag_usd = tuned_usd + saving_usd
    demand = adaptation.break_even_requests_per_day(refresh_usd, refresh_days, rag_usd, tuned_usd)
    tuned_per_day = demand * tuned_usd + refresh_usd / refresh_days
    assert tuned_per_day == pytest.approx(demand * rag_usd, rel=1e-6)
    days = adaptation.break_even_refresh_days(refresh_usd, demand, rag_usd, tuned_usd)
    assert days == pytest.approx(refresh_days, rel=1e-6)


def test_break_even_known_answer() -> None:
    """$2,000 every 30 days against a saving of $1 per thousand requests."""
    found = adaptation.break_even_requests_per_day(2000, 30, 0.003, 0.002)
    assert found == pytest.approx(66_667, rel=1e-4)


def test_no_saving_no_break_even() -> None:
    found = adaptation.break_even_requests_per_day(2000, 30, [0.002, 0.001], 0.002)
    assert np.all(np.isinf(found))


@given(st.floats(1e-3, 1.0), st.floats(0.0, 0.9), st.floats(1.0, 90.0), st.floats(0.1, 1.0))
def test_quality_gap_makes_both_equal(
    rate: float, kappa: float, days: float, rag_quality: float
) -> None:
    gap = adaptation.break_even_quality_gap(rate, kappa, days, rag_quality)
    tuned = quality.effective_quality(rag_quality + gap, kappa, quality.stale_share(rate, days))
    fresh = quality.effective_quality(rag_quality, kappa, quality.stale_share(rate, 1.0))
    assert tuned == pytest.approx(float(fresh))
    assert gap >= -1e-12


@given(st.floats(1e-3, 1.0), st.floats(0.3, 1.0), st.floats(0.5, 1.0), st.floats(0.75, 0.99))
def test_longest_refresh_just_keeps_the_floor(
    rate: float, kappa: float, fresh: float, kept: float
) -> None:
    floor = fresh * kept
    days = adaptation.longest_refresh_days(rate, kappa, fresh, floor)
    stale = quality.stale_share(rate, days)
    assert quality.effective_quality(fresh, kappa, stale) == pytest.approx(floor, rel=1e-6)


def test_longest_refresh_limits() -> None:
    found = adaptation.longest_refresh_days(
        [1 / 90, 1 / 90, 0.0], [0.5, 0.1, 0.5], 0.8, [0.9, 0.7, 0.7]
    )
    assert found.tolist() == [0.0, math.inf, math.inf]
