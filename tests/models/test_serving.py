"""What one replica does: identities, known answers, and the limits of the law."""

import dataclasses

import numpy as np
import pytest

import planner.serving
from models.coefficients.queueing import latency_s, md1_ttft_s
from models.coefficients.serving import (
    AcceleratorShape,
    LlmShape,
    ServingParameters,
    all_reduce_s_per_token,
    capacity_shares,
    closed_loop,
    iteration_law,
    kv_bytes_per_token,
    kv_capacity_bytes,
    prompt_flops,
    smallest_tp,
    throughput_tokens_per_s,
    weight_bytes,
    weights_touched_bytes,
)

BASE = {
    "weight_efficiency": 0.8, "kv_efficiency": 0.7, "layer_s": 5e-5, "moe_layer_s": 2e-5,
    "hop_s": 1e-5, "sequence_s": 3e-5, "decode_efficiency": 0.7, "prefill_efficiency": 0.6,
    "comm_efficiency": 0.8, "ttft_fixed_s": 0.03, "ttft_efficiency": 0.5, "ttft_burst": 0.02,
    "ttft_burst_power": 1.2, "ttft_iterations": 3.0,
}  # fmt: skip
PARAMS = ServingParameters(BASE, {("layer_s", "hopper"): 0.5, ("sequence_s", "sglang"): 2.0})


def llm(params=8.03e9, layers=32, hidden=4096, kv=131072.0, experts=0.0, share=1.0):
    return LlmShape(*(np.asarray(float(x)) for x in (
        layers, hidden, hidden, params, experts, share, kv, 8)))  # fmt: skip


H100 = AcceleratorShape(
    *(np.asarray(x) for x in (80e9, 3.35e12, 989e12, 1979e12, 989e12, 900e9)), np.asarray("hopper")
)
L8B = llm()
L70B = llm(70.6e9, 80, 8192, 327680.0)


def test_latency_of_the_source_paper():
    assert latency_s(0.5, 0.05, 200) == pytest.approx(10.5)


@pytest.mark.parametrize(("billions", "gigabytes"), [(175.0, 350.0), (70.6, 141.2)])
def test_16_bit_weights_are_two_bytes_each(billions, gigabytes):
    assert weight_bytes(llm(billions * 1e9), "bf16") == pytest.approx(gigabytes * 1e9)


@pytest.mark.parametrize(
    ("layers", "heads", "kib"),
    [(96, 96, 4608), (80, 8, 320), (32, 8, 128), (40, 40, 800)],
    ids=["gpt-3", "llama-3-70b", "llama-3-8b", "llama-2-13b"],
)
def test_cache_per_token(layers, heads, kib):
    assert kv_bytes_per_token(layers, heads, 128) == kib * 1024


def test_mxfp4_packs_only_the_experts():
    moe = llm(2.098e9, 36, 2880, 36864.0, 114.702e9, 4 / 128)
    assert weight_bytes(moe, "mxfp4") / 1e9 == pytest.approx(2.098 * 2 + 114.702 * 0.53125)


def test_ideal_decode_of_8b_on_one_h100_is_4_8_ms():
    ideal = weight_bytes(L8B, "bf16") / H100.bandwidth_bytes_per_s
    assert ideal == pytest.approx(4.79e-3, rel=2e-3)


def test_md1_ttft():
    assert md1_ttft_s(0.1, np.array([2.0, 5.0, 8.0])) == pytest.approx([0.1125, 0.15, 0.30])


def test_a_16_bit_70b_does_not_fit_two_h100_but_four():
    assert kv_capacity_bytes(L70B, H100, 1, "bf16") < 0
    assert smallest_tp(L70B, H100, "bf16") == 4
    assert smallest_tp(L70B, H100, "fp8") == 2


def test_room_for_the_cache_on_an_h100_is_what_vllm_found():
    """vllm-project/vllm#10511 (2024-12-14): 79.22 GiB of CUDA memory at 0.9, weights of Llama-3-8B
    14.96 GiB, left for the cache 53.29. 80e9 bytes said 6 % less, the driver's figure 3 % more."""
    llm, card = planner.serving.shapes(np.array(["llama-3-8b"]), np.array(["h100-sxm"]))
    room = kv_capacity_bytes(llm, card, 1, "bf16")
    assert room / 2**30 == pytest.approx(53.29, rel=0.04)


def test_a_70b_at_8_bits_fits_one_h100():
    """By hand: 0.9 x 81,559 x 1,048,576 - 2e9 - 70.6e9 = 4.37e9 bytes, 13,333 tokens of 320 KiB;
    of 80e9 bytes 0.6e9 were missing."""
    llm, card = planner.serving.shapes(np.array(["llama-3.1-70b"]), np.array(["h100-sxm"]))
    room = kv_capacity_bytes(llm, card, 1, "fp8")
    assert room / 327_680 == pytest.approx(13_333, abs=2)


@pytest.mark.parametrize(
    ("llm", "context", "size"),
    [
        # 10 layers x 16 heads x 128 x 4 bytes, all 32,768 tokens; 52 layers, the last 1,024.
        pytest.param("gemma-3-27b", 32_768, 81_920 * 32_768 + 425_984 * 1_024, id="gemma-3-27b"),
        pytest.param("gemma-3-12b", 600, 393_216 * 600, id="gemma-3-12b, within the window"),
        # 36 layers x 8 heads x 64 x 4 bytes, half of them keep 128 tokens.
        pytest.param("gpt-oss-120b", 131_072, 36_864 * (131_072 + 128), id="gpt-oss-120b"),
        pytest.param("llama-3.1-8b", 8_192, 131_072 * 8_192, id="llama-3.1-8b, no window"),
    ],
)
def test_layers_with_a_window_keep_the_window_alone(llm, context, size):
    shape, _ = planner.serving.shapes(np.array([llm]), np.array(["h100-sxm"]))
    assert shape.kept_tokens(context) * shape.kv_bytes_per_token == pytest.approx(size)


def test_the_kv_row_knows_of_windows():
    """gemma-3-27b, 8,000 tokens in, 200 out (CV 1): 8,200 tokens of full layers and 5.2 x 1,024 of
    windows; all 62 layers in full, as before, are 6.2 x 8,200 of them."""
    llm, card = planner.serving.shapes(np.array(["gemma-3-27b"]), np.array(["h100-sxm"]))
    law = iteration_law(llm, card, 2, "fp8", "vllm", planner.serving.load_parameters())
    whole = dataclasses.replace(law, window_tokens=np.array([np.inf]))
    rows = [capacity_shares(x, 0.05, 8000.0, 200.0)[0, 2] for x in (law, whole)]
    assert rows[0] / rows[1] == pytest.approx((8_200 + 5.2 * 1_024) / (6.2 * 8_200))


def test_a_bridge_joins_two_cards_and_pcie_the_others():
    """A100 PCIe by its datasheet: NVLink bridge for 2 GPUs 600 GB/s, PCIe 4.0 64 GB/s. By hand of
    Llama-3.1-70B, a token's all-reduces: 2 x 80 layers x 2 (G - 1)/G x 2 x 8,192 bytes over half
    the link: 2.62e6 / 300e9 = 8.7 us for two cards, 3.93e6 / 32e9 = 123 us for four."""
    llm, card = planner.serving.shapes(
        np.array(["llama-3.1-70b", "llama-3.1-70b"]), np.array(["a100-80gb-pcie", "a100-80gb"])
    )
    pcie = [float(all_reduce_s_per_token(llm, card, tp)[0]) for tp in (2, 4)]
    assert pcie == pytest.approx([2_621_440 / 300e9, 3_932_160 / 32e9])
    assert all_reduce_s_per_token(llm, card, 4)[1] == pytest.approx(3_932_160 / 300e9)


@pytest.mark.parametrize(
    ("llm", "layers", "heads", "query", "value"),
    [
        ("deepseek-v3", 61, 128, 192, 128),
        ("kimi-k2", 61, 64, 192, 128),
        ("glm-5", 78, 64, 256, 256),
    ],
)
def test_attention_of_compressed_caches_is_that_of_their_heads(llm, layers, heads, query, value):
    """By hand: 2 FLOP a head and width for scores and again for values, half of the pairs (causal).
    192 = 128 + 64 of queries and keys, 128 of values (DeepSeek-V3 and Kimi-K2); 192 + 64, 256
    (GLM-5). Hidden size over heads, 56, 112 and 64 as before, is none of them."""
    shape, _ = planner.serving.shapes(np.array([llm]), np.array(["h200-sxm"]))
    _, attention = prompt_flops(shape, 1000.0)
    assert attention == pytest.approx(layers * heads * (query + value) * 1000.0**2)


def test_a_compressed_cache_is_copied_to_every_accelerator():
    mla = dataclasses.replace(L8B, kv_heads=np.asarray(1.0))
    whole = kv_capacity_bytes(L8B, H100, 8, "bf16")
    assert kv_capacity_bytes(mla, H100, 8, "bf16") == pytest.approx(whole / 8)


def test_a_batch_touches_more_experts_up_to_all():
    moe = llm(1e9, 32, 4096, 1e5, 30e9, 8 / 128)
    touched = [float(weights_touched_bytes(moe, "fp8", c)) for c in (1, 16, 256, np.inf)]
    assert touched[0] == pytest.approx(1e9 + 30e9 / 16)
    assert touched == sorted(touched)
    assert touched[-1] == pytest.approx(31e9)


def test_an_iteration_is_linear_in_the_batch_where_oracle_measured_it():
    """Llama-3.3-70B on Oracle's dedicated cluster, 480 in and 300 out, tokens/s of one user."""
    users = np.array([1, 2, 4, 8, 16, 32, 64, 128])
    measured_s = 1.0 / np.array([58.64, 57.98, 56.74, 54.74, 50.89, 44.32, 35.74, 25.60])
    fitted = np.isin(users, [1, 8, 32, 64])
    slope_s, alpha_s = np.polyfit(users[fitted], measured_s[fitted], 1)
    assert alpha_s == pytest.approx(16.91e-3, abs=5e-6)
    assert slope_s == pytest.approx(0.1737e-3, abs=5e-8)
    base = iteration_law(L70B, H100, 4, "bf16", "vllm", PARAMS)
    law = dataclasses.replace(
        base,
        alpha_s=np.asarray(alpha_s),
        sequence_s=np.asarray(slope_s),
        context_s_per_token=np.asarray(0.0),
    )
    predicted_s = law.iteration_s(users, 480 + 150)
    assert predicted_s[-1] * 1e3 == pytest.approx(39.1, abs=0.1)
    assert predicted_s == pytest.approx(measured_s, rel=4.5e-3)


def test_groups_multiply_the_base_and_others_do_not():
    c = PARAMS.resolve(np.array(["hopper", "ampere"]), np.array(["sglang", "vllm"]), "bf16", False)
    assert c.layer_s == pytest.approx([2.5e-5, 5e-5])
    assert c.sequence_s == pytest.approx([6e-5, 3e-5])


def test_closed_loop_obeys_little_and_slows_with_company():
    point = closed_loop(L8B, H100, 1, "bf16", "vllm", PARAMS, 512, 256, np.array([1.0, 8.0, 64.0]))
    assert (np.diff(point.tpot_s) > 0).all()
    assert (np.diff(point.ttft_s) > 0).all()
    rate = throughput_tokens_per_s([1, 8, 64], 256, point.ttft_s, point.tpot_s)
    assert point.output_tokens_per_s == pytest.approx(rate)


def test_more_requests_than_the_memory_holds_wait_in_ttft():
    point = closed_loop(L8B, H100, 1, "bf16", "vllm", PARAMS, 16000, 100, np.array([20.0, 200.0]))
    assert point.batch[0] == 20
    assert point.batch[1] < 40
    assert point.ttft_s[1] > 3 * point.ttft_s[0]


def test_capacity_of_one_class_matches_the_iteration_law():
    law = iteration_law(L8B, H100, 1, "bf16", "vllm", PARAMS)
    n, m, target = 512.0, 256.0, 0.04
    work = capacity_shares(law, target, n, m, output_cv=0.0, derate=1.0, load_max=1.0)[0]
    # B sequences whose iterations and prompts last the target exactly, by Little's law.
    per_token = law.prompt_s(n) / m + law.sequence_s + law.context_s_per_token * (n + m / 2)
    batch = (target - law.alpha_s) / per_token
    assert 1.0 / work == pytest.approx(batch / (m * target))


def test_longer_prompts_and_spread_answers_cost_more_and_a_cached_prefix_less():
    law = iteration_law(L8B, H100, 1, "bf16", "vllm", PARAMS)
    short = capacity_shares(law, 0.04, 512, 256)
    assert (capacity_shares(law, 0.04, 2048, 256) > short).all()
    assert capacity_shares(law, 0.04, 512, 256, output_cv=2.0)[0] > short[0]
    whole = capacity_shares(law, 0.04, 4096, 256)
    cached = capacity_shares(law, 0.04, 1024, 256, cached_tokens=3072)
    assert cached[3] < whole[3]
    assert cached[0] < whole[0]


def test_impossible_is_infinite():
    law = iteration_law(L70B, H100, 1, "bf16", "vllm", PARAMS)
    assert np.isinf(capacity_shares(law, 0.04, 512, 256)).all()
    small = iteration_law(L8B, H100, 1, "bf16", "vllm", PARAMS)
    assert np.isinf(capacity_shares(small, 0.001, 512, 256)).all()
    assert np.isinf(capacity_shares(small, 0.04, 1e7, 256)).all()


def test_cached_and_uncached_attention_add_up():
    law = iteration_law(L8B, H100, 1, "bf16", "vllm", PARAMS)
    assert law.prompt_s(3000) == pytest.approx(law.prompt_s(1000) + law.prompt_s(2000, 1000))
