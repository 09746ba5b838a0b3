"""Energy, carbon and water against published totals, and the limits of the power law."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.coefficients import energy

share = st.floats(0.0, 1.0)


@pytest.mark.parametrize(
    ("run", "days", "mwh", "tonnes"),
    [
        # zFLOP, accelerators, TFLOP/s, W, PUE, g/kWh
        ((314, 10_000, 24.6, 330, 1.1, 429), 14.8, 1287, 552.1),  # GPT-3
        ((40.5, 512, 45.6, 310, 1.12, 545), 20, 85.7, 46.7),  # T5
        ((23.9, 512, 26.5, 342, 1.1, 413), 20.4, 94.4, 39.0),  # XLM
        ((13.3, 1000, 48, 288, 1.09, 177), 3.1, 24.1, 4.3),  # GShard
        ((82.2, 1000, 34.4, 245, 1.1, 330), 27, 179, 59.1),  # Switch
    ],
)
def test_training_runs_of_llmcarbon(
    run: tuple[float, ...], days: float, mwh: float, tonnes: float
) -> None:
    """Inputs and results as in the database of LLMCarbon (arXiv 2309.14393)."""
    zflop, accelerators, tflops, power_w, pue, intensity = run
    flops = zflop * 1e21
    assert energy.training_days(flops, accelerators, tflops) == pytest.approx(days, rel=0.04)
    found_kwh = energy.training_energy_kwh(flops, tflops, power_w, pue)
    assert found_kwh / 1e3 == pytest.approx(mwh, rel=3e-3)
    found_kg = energy.training_carbon_kg(flops, tflops, power_w, pue, intensity)
    assert found_kg / 1e3 == pytest.approx(tonnes, abs=0.1)


def test_gpt3_to_the_digits() -> None:
    assert energy.training_days(314e21, 10_000, 24.6) == pytest.approx(14.77, abs=5e-3)
    kwh = energy.training_energy_kwh(314e21, 24.6, 330, 1.1)
    assert kwh / 1e3 == pytest.approx(1287.06, abs=5e-3)
    kg = energy.training_carbon_kg(314e21, 24.6, 330, 1.1, 429)
    assert kg / 1e3 == pytest.approx(552.15, abs=5e-3)


@pytest.mark.parametrize(("kg", "grams"), [(164, 3.12), (500, 9.51)])
def test_embodied_share_of_an_hour(kg: float, grams: float) -> None:
    found = energy.embodied_kg_per_accelerator_hour(kg, 6)
    assert found * 1e3 == pytest.approx(grams, abs=5e-3)


def test_embodied_default_includes_the_host() -> None:
    assert energy.embodied_kg_per_accelerator_hour() * 1e3 == pytest.approx(9.51, abs=5e-3)


def test_gemini_prompt_implies_intensity_factor_and_water() -> None:
    """0.24 Wh, 0.03 g and 0.26 mL per median prompt (2508.15734)."""
    prompt_kwh = 0.24e-3
    carbon_kg = energy.operational_carbon_kg(prompt_kwh * 1e3, 1.0, 1.0, 125.0)
    assert carbon_kg * 1e3 == pytest.approx(0.03)
    assert energy.facility_energy_kwh(1.0) == pytest.approx(1.72, abs=5e-3)
    litres = energy.water_litres(prompt_kwh, 1.0, 1.08, 0.0)
    assert litres * 1e3 == pytest.approx(0.26, abs=1e-3)


def test_answer_of_400_tokens_at_3_joules() -> None:
    assert energy.tokens_energy_wh(3, 400) == pytest.approx(0.333, abs=5e-4)
    assert energy.joules_per_token(700, 2000) == pytest.approx(0.35)


def test_power_law_known_points() -> None:
    watts = energy.accelerator_power_w(
        [700, 1000], [4, 8], 0.1, 0.5, np.array(["hopper", "blackwell"])
    )
    assert watts == pytest.approx([4 * 700 * 0.812, 8 * 1000 * 0.842])


def test_power_is_capped_at_tdp() -> None:
    assert energy.accelerator_power_w(700, 2, 0.9, 0.9) == pytest.approx(1400)


def test_power_never_falls_below_the_idle_reading() -> None:
    assert energy.accelerator_power_w(100, 1, 0.0, 0.0, idle_w=80) == pytest.approx(80)


def test_idle_power() -> None:
    assert energy.idle_power_w(700, 8, idle_w=72) == pytest.approx(576)
    assert energy.idle_power_w(400, 2) == pytest.approx(100)


def test_an_h100_that_decodes_draws_what_was_measured_at_batch_1() -> None:
    """300 W (ML.ENERGY Benchmark v3.0), far above 72 W idle and the 98 to 122 W of a loaded one
    without requests (arXiv 2605.23918: 26 to 50 W above idle on HBM)."""
    assert energy.decoding_power_w(700, idle_w=72) == pytest.approx(300.0)
    assert energy.decoding_power_w(700, 8, idle_w=72) == pytest.approx(2400.0)
    assert energy.decoding_power_w(700, idle_w=72) > 72 + 50


def test_decoding_never_draws_less_than_idling() -> None:
    assert energy.decoding_power_w(100, idle_w=60) == pytest.approx(60.0)


def test_host_power_by_vcpus_and_memory() -> None:
    """By hand, at 2.12 W a vCPU and 0.392 W a GB (Cloud Carbon Footprint, methodology, appendix I):
    g2-standard-4 (4 vCPUs, 16 GB, one L4) 8.48 + 6.272; p5.48xlarge (192, 2,048, eight H100)
    407.04 + 802.816 = 1,209.9 W, 151 W an accelerator. 150 W beside every accelerator before."""
    assert energy.host_power_w(4, 16) == pytest.approx(14.752)
    assert energy.host_power_w(192, 2048) == pytest.approx(1209.856)


@pytest.mark.parametrize(
    ("vcpus", "ram_gb", "kg"),
    [
        pytest.param(96, 384, 3010.79 - 200 - 1200, id="g4dn.metal"),
        pytest.param(96, 384, 1610.79, id="m5.metal"),
        pytest.param(96, 768, 2143.79, id="r5.metal"),
        pytest.param(128, 512, 1788.46, id="m6i.32xlarge"),
        pytest.param(96, 1152, 4676.79 - 800 - 1200, id="p4d.24xlarge"),
    ],
)
def test_embodied_carbon_of_a_whole_host_is_the_published_one(
    vcpus: float, ram_gb: float, kg: float
) -> None:
    """Totals of cloud-carbon-coefficients output/coefficients-aws-embodied.csv, without the 100 kg
    a drive and 150 kg a GPU that it lists apart."""
    assert energy.host_embodied_kg(vcpus, ram_gb) == pytest.approx(kg, abs=0.01)


def test_embodied_carbon_of_a_small_instance_is_its_share() -> None:
    """g2-standard-4 by hand: 4/96 x (1,100 - 16 x 533/384) + 16 x 533/384 = 44.9 + 22.2 kg."""
    assert energy.host_embodied_kg(4, 16) == pytest.approx(67.12, abs=0.01)


def test_mean_power_mixes_by_time() -> None:
    assert energy.mean_power_w(600, 100, [0.0, 0.4, 1.0]) == pytest.approx([100, 300, 600])


def test_operational_carbon_chain() -> None:
    """One kW for a day at PUE 1.2 and 400 g/kWh: 28.8 kWh, 11.52 kg."""
    assert energy.energy_kwh(1000, 24, 1.2) == pytest.approx(28.8)
    assert energy.operational_carbon_kg(1000, 24, 1.2, 400) == pytest.approx(11.52)


def test_water_counts_site_and_grid() -> None:
    assert energy.water_litres(100, 1.2, 1.8, 3.1) == pytest.approx(180 + 372)


def test_software_carbon_intensity() -> None:
    assert energy.software_carbon_intensity_g(2, 400, 100, 1000) == pytest.approx(0.9)


def test_api_carbon_carries_its_band() -> None:
    low, stated, high = energy.api_carbon_kg(5e6, 1000, 0.5, 3)
    assert (low, stated, high) == pytest.approx((2.5, 5, 15))


@given(share, share, share, st.sampled_from(["hopper", "blackwell", "ampere"]))
def test_busier_never_draws_less(a: float, b: float, memory: float, family: str) -> None:
    low, high = sorted((a, b))
    watts = energy.accelerator_power_w(700, 4, [low, high], memory, family)
    assert energy.idle_power_w(700, 4) <= watts[0] <= watts[1] <= 2800


@given(st.floats(0, 1e6), st.floats(0, 1e4), st.floats(1, 2), st.floats(0, 1000))
def test_carbon_is_energy_times_intensity(
    power_w: float, hours: float, pue: float, intensity: float
) -> None:
    kg = energy.operational_carbon_kg(power_w, hours, pue, intensity)
    assert kg == pytest.approx(energy.energy_kwh(power_w, hours, pue) * intensity / 1e3)
    assert kg >= 0
