"""Known answers: what a formula gives, what it should give, and where that figure comes from.

Nothing here is computed by the project: expected figures are those of publications, or arithmetic
on round numbers that the source column spells out. Figures of other files (tests/models) are not
repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import ArrayLike

from models.coefficients import (
    adaptation,
    answer,
    energy,
    money,
    quality,
    queueing,
    serving,
    sizing,
)
from models.coefficients.serving import AcceleratorShape, LlmShape
from planner.verify import formulas


@dataclass(frozen=True)
class Known:
    what: str
    got: Callable[[], ArrayLike]
    expected: ArrayLike
    source: str
    within: float = 1e-3
    """relative"""


def llm(
    dense: float, expert: float = 0.0, share: float = 1.0, layers: int = 80, hidden: int = 8192
) -> LlmShape:
    figures = (layers, hidden, hidden, dense, expert, share, 327_680.0, 8)
    return LlmShape(*(np.asarray(float(figure)) for figure in figures))


H100 = AcceleratorShape(
    *(np.asarray(x) for x in (80e9, 3.35e12, 989e12, 1979e12, 989e12, 900e9)), np.asarray("hopper")
)
CHAT = {"expected_ttft_s": 1.0, "consumption_tokens_per_s": 5.0, "output_tokens": 101}


def windows() -> ArrayLike:
    return money.self_host_windows(3.6, 1.0, 0.002, 2).ravel()


KNOWN = (
    # ---- energy.py
    Known("BLOOM's training, kg", lambda: energy.operational_carbon_kg(1e6, 433.196, 1.0, 57),
          24_690, "Luccioni et al., arXiv 2211.02001, table 3: 433,196 kWh, 57 g/kWh, 24.69 t"),
    Known("GPT-3's training, water in l",
          lambda: energy.water_litres(1.287e6, 1.17, 0.55, 3.142), 5.439e6,
          "Li et al., arXiv 2304.03271, table 1, US average: 0.708 and 4.731 million l"),
    Known("the same by the checker, l", lambda: formulas.water_l(1.287e6, 1.17, 0.55, 3.142),
          5.439e6, "as above"),
    Known("Gemini's median prompt, water in ml",
          lambda: 1e3 * energy.water_litres(0.22e-3, 1.09, 1.15, 0.0), 0.26,
          "arXiv 2508.15734: 0.24 Wh less 8 % overhead, 1.15 l/kWh, 0.26 ml", 0.03),
    Known("Gemini's median prompt, facility Wh over accelerator Wh",
          lambda: energy.facility_energy_kwh(0.14), 0.24,
          "arXiv 2508.15734: 0.14 of 0.24 Wh in the accelerators", 0.01),
    Known("SCI of 5 kWh at 400 g, 1 kg embodied, 100 units",
          lambda: energy.software_carbon_intensity_g(5.0, 400.0, 1000.0, 100.0), 30.0,
          "ISO/IEC 21031 (E I + M) / R = (2,000 + 1,000) / 100"),
    Known("an H100's day in Stockholm, kg",
          lambda: energy.operational_carbon_kg(700.0, 24.0, 1.09, 20.0), 0.366,
          "0.7 kW x 24 h x 1.09 x 20 g"),
    Known("embodied of 164 kg over 6 years, g/h",
          lambda: 1e3 * energy.embodied_kg_per_accelerator_hour(164.0, 6.0), 3.120,
          "NVIDIA's H100 footprint, 1,312 kg a board of 8; 164,000 / 52,560"),
    Known("an answer at 0.5 J a token, 400 tokens, Wh",
          lambda: energy.tokens_energy_wh(0.5, 400), 200 / 3600, "200 J"),
    Known("700 W at 1,400 tokens/s, J", lambda: energy.joules_per_token(700, 1400), 0.5, "ratio"),
    Known("bought tokens, kg as low, stated, high",
          lambda: energy.api_carbon_kg(2e9, 150.0, 0.5, 3.0), [150, 300, 900],
          "2,000 Mtok x 150 g, x 0.5 and x 3"),
    # ---- adaptation.py
    Known("FLOP to train GPT-3", lambda: adaptation.training_flops(174.6e9, 300e9), 3.14e23,
          "Brown et al., arXiv 2005.14165, table D.1: 3.14E+23", 0.002),
    Known("days of GPT-3 on 1,024 A100 at 140 TFLOP/s",
          lambda: adaptation.megatron_days(175e9, 300e9, 1024, 140), 34,
          "Narayanan et al., arXiv 2104.04473, section 5.1: 34 days", 0.01),
    Known("days of 1T parameters on 3,072 A100 at 163 TFLOP/s",
          lambda: adaptation.megatron_days(1e12, 450e9, 3072, 163), 84,
          "same: 84 days", 0.01),
    Known("GB of state of a 7.5B llm in training",
          lambda: adaptation.training_memory_bytes(7.5e9) / 1e9, 120,
          "ZeRO, arXiv 1910.02054, figure 1: 120 GB"),
    Known("the same by the checker, GB", lambda: formulas.training_gb("full", 7.5, 0.0), 120,
          "as above"),
    Known("LoRA on GPT-3, rank 1 of W_q and W_v, millions",
          lambda: adaptation.lora_parameters(1, [12288] * 2, [12288] * 2, 96) / 1e6, 4.7,
          "Hu et al., arXiv 2106.09685, table 4: 4.7 M trainable", 0.01),
    Known("LoRA on GPT-3, rank 8 of both, millions",
          lambda: adaptation.lora_parameters(8, [12288] * 2, [12288] * 2, 96) / 1e6, 37.7,
          "same, 37.7 M", 0.002),
    Known("the same by the checker, millions",
          lambda: formulas.adapter_parameters(8, 12288, 2, 96) / 1e6, 37.7, "as above", 0.002),
    Known("QLoRA, bits a parameter", lambda: 8 * adaptation.FROZEN_BYTES_PER_PARAMETER["qlora"],
          4.127, "Dettmers et al., arXiv 2305.14314: 4 bits and 0.127 of constants"),
    Known("bytes of a vector of 768 components with 16 links",
          lambda: adaptation.index_bytes(1.0, 768, 4, 16), 3212.8,
          "hnswlib: 4 x 768 + 8 x 16 x 1.1 (Malkov and Yashunin, arXiv 1603.09320)"),
    Known("GB of 1,000 vectors by the checker",
          lambda: formulas.index_gb(399_601, 400, 1024), 1000 * 4377.6e-9,
          "1,000 chunks of 400 tokens begun; 4,096 + 281.6 bytes each"),
    Known("tokens embedded anew, 1 % a day, weekly, 4 weeks",
          lambda: adaptation.reembedded_tokens(1e6, 0.01, 7, 28), 4e6 * 0.0676062,
          "1 - exp(-0.07) = 0.0676062, four times"),
    Known("RAG and fine-tuning together",
          lambda: adaptation.combined_quality(0.5, 0.7, 0.6), 0.722, "0.5 + 0.74 x (0.2 + 0.1)"),
    Known("requests a day that pay for a fine-tune",
          lambda: adaptation.break_even_requests_per_day(3000, 30, 0.003, 0.001), 50_000,
          "100 USD a day over 0.002 USD a request"),
    Known("longest refresh at 1 % a day from 0.8 to 0.7",
          lambda: adaptation.longest_refresh_days(0.01, 1.0, 0.8, 0.7), 27.32,
          "phi = 1/8: x/2 - x^2/6 + x^3/24 - x^4/120 = 0.125 at x = 0.2732"),
    # ---- quality.py
    Known("facts stale after 30 days at 1 % a day", lambda: quality.stale_share(0.01, 30), 0.13606,
          "1 - (1 - e^-0.3) / 0.3, e^-0.3 = 0.740818"),
    Known("the checker's", lambda: formulas.stale_share(0.01, 0, 30), 0.13606, "as above"),
    Known("a reader's pace, tokens/s", quality.reading_tokens_per_s, 5.157,
          "Brysbaert 2019: 238 words a minute; 1.3 tokens a word"),
    Known("score of an answer that is late and slow",
          lambda: quality.streaming_score(2.0, 0.3, **CHAT), 11 / 17,
          "ideal 1 + 100 / 10 s on average, had 2 + 100 x 0.3 / 2"),
    Known("quality 0.9 where a fifth asks facts of which a tenth changed",
          lambda: formulas.quality_when_stale(0.9, 0.2, 0.1), 0.882, "0.9 x (1 - 0.02)"),
    # ---- queueing.py
    Known("Erlang C of 10 servers at 8 erlang", lambda: queueing.erlang_c(10, 0.8), 0.40918,
          "Erlang's tables (Cooper 1981): C(10, 8) = 0.409", 1e-4),
    Known("Erlang C of 2 servers at half load", lambda: queueing.erlang_c(2, 0.5), 1 / 3,
          "a^2 / (a^2 + 2 (1 + a) (1 - rho)), a = 1", 1e-9),
    Known("M/M/1 at half load: 95 % wait at most, service times",
          lambda: queueing.pooled_wait_quantile_s(0.95, 1, 0.5, 1.0), 4.60517,
          "ln(0.5 / 0.05) / (1 - 0.5)", 1e-5),
    Known("normal distribution at 1.96", lambda: queueing.normal_cdf(1.96), 0.9750021, "tables",
          1e-7),
    Known("largest P95 over mean of a log-normal",
          lambda: queueing.tpot_quantile_s(0.95, 1.0, 10.0), 3.8680,
          "exp(1.644854^2 / 2)", 1e-4),
    Known("one server with one place to wait, served of 1 request/s",
          lambda: queueing.birth_death(1.0, [2.0], 1).throughput_per_s, 6 / 7,
          "M/M/1/2 at rho 0.5: 1 - (1/4) / (7/4)", 1e-9),
    Known("both targets met, bounds", lambda: queueing.attainment_bounds(0.95, 0.9), [0.85, 0.9],
          "Frechet"),
    # ---- serving.py, answer.py, sizing.py
    Known("KV of a token of OPT-13B, bytes", lambda: serving.kv_bytes_per_token(40, 40, 128),
          819_200, "Kwon et al., arXiv 2309.06180, section 3: 800 KB"),
    Known("gpt-oss-120b, GiB",
          lambda: serving.weight_bytes(llm(2.12e9, 114.71e9, 4 / 128), "mxfp4") / 2**30, 60.8,
          "model card, arXiv 2508.10925, table 1: checkpoint 60.8 GiB, 114.71 of 116.83 B experts",
          0.005),
    Known("gpt-oss-20b, GiB",
          lambda: serving.weight_bytes(llm(1.79e9, 19.12e9, 4 / 32), "mxfp4") / 2**30, 12.8,
          "same: 12.8 GiB, 19.12 of 20.91 B experts", 0.005),
    Known("experts of DeepSeek-V3 that 64 tokens touch",
          lambda: serving.weights_touched_bytes(llm(0.0, 1.0, 8 / 256), "fp8", 64), 0.8689,
          "1 - (31/32)^64, even routing"),
    Known("two all-reduces a layer of a 70B on 8 GPUs, us a token",
          lambda: 1e6 * serving.all_reduce_s_per_token(llm(70.6e9), H100, 8), 10.195,
          "160 x 2 x 7/8 x 16,384 bytes over 450 GB/s"),
    Known("FLOP of a prompt of 8,192 tokens on a 70B",
          lambda: sum(serving.prompt_flops(llm(70.6e9), 8192)), 1.15671e15 + 8.79609e13,
          "2 x 70.6e9 x 8,192 and 2 x 80 x 8,192^3"),
    Known("100 in flight, 100 tokens, 0.5 s then 20 ms, tokens/s",
          lambda: serving.throughput_tokens_per_s(100, 100, 0.5, 0.02), 10_000 / 2.48,
          "Little: 100 x 100 / (0.5 + 99 x 0.02)"),
    Known("a prompt of 1,000, 30 % cached, with 2,000 retrieved, half cached: to prefill",
          lambda: answer.request(1000, 100, cached_share=0.3, rag_tokens=2000,
                                 rag_cached_share=0.5).new_tokens, 1700, "700 + 1,000"),
    Known("replicas for 10 requests/s at 0.25 each of the worst row",
          lambda: sizing.replicas_for(10.0, [[0.1, 0.25, 0.2, 0.05]]), [3], "2.5 rounded up"),
    # ---- money.py
    Known("annuity, 5 % over 5 years", lambda: money.annuity_factor(0.05, 5), 0.230975, "tables",
          1e-5),
    Known("2 USD/h at 1,000 tokens/s half the time, USD a Mtok",
          lambda: money.usd_per_mtok(2.0, 1000, 0.5), 1.1111, "2 / 1.8 Mtok an hour"),
    Known("bill of 10,000 in, 8,000 of them cached, 1,000 out, USD",
          lambda: money.api_usd(10_000, 1000, 3.0, 15.0, cached_tokens=8000,
                                cached_usd_per_mtok=0.3), 0.0234,
          "0.006 + 0.0024 + 0.015"),
    Known("the same by the checker, USD",
          lambda: formulas.bill_usd(2000, 8000, 1000, (3.0, 0.3, 15.0)), 0.0234, "as above"),
    Known("spot hours lost: twice a month, 6 minutes",
          lambda: money.interruption_overhead(2.0, 0.1), 0.2 / 730.2, "0.2 h in 730.2"),
    Known("a 300,000 USD server over 5 years without interest, 730 h",
          lambda: money.owned_usd(300_000, 5, 730), 6000,
          "300,000 x (1/5 + 0.04) / 12"),
    Known("electricity of 10 kW at PUE 1.3 and 0.12 USD, 730 h",
          lambda: money.power_usd(10_000, 730, 1.3, 0.12), 1138.8, "7,300 x 1.3 x 0.12"),
    Known("rates at which own replicas pay, requests/s", windows, [0.5, 1.0, 1.0, 2.0],
          "3.6 USD/h is 0.001 USD a second: half a request's 0.002"),
    Known("100 USD of 2020 in prices of 2024",
          lambda: money.in_money_year(100.0, 258.811, 313.689), 121.20,
          "BLS, CPI-U annual means"),
)  # fmt: skip


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.what)
def test_a_known_answer(known: Known) -> None:
    assert known.got() == pytest.approx(known.expected, rel=known.within), known.source


def test_the_table_covers_every_file_of_coefficients() -> None:
    assert len(KNOWN) >= 40
    assert len({known.what for known in KNOWN}) == len(KNOWN)
