"""Energy: power by load, facility overhead, operational and embodied carbon, water.

Scalars and arrays broadcast. Carbon is CO2-equivalent; intensities are g/kWh as published, results
kg. IT energy is that of accelerators and host; facility energy is IT energy times PUE.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

BUSY_BASE_SHARE = 0.60
BUSY_BLACKWELL_SHARE = 0.03
BUSY_COMPUTE_SHARE = 1.22
BUSY_MEMORY_SHARE = 0.18
"""Coefficients of `accelerator_power_w`, fitted by the project to measured H100 and B200 serving
power: absolute error 11 / 17 / 36 % (median / mean / p90); other families are an extrapolation."""

DECODING_TDP_SHARE = 300.0 / 700.0
"""Least draw of an accelerator that decodes, over its TDP: H100s at batch 1 (300 W; 600 W at batch
128), ML.ENERGY Benchmark v3.0 as the calibration of the vLLM semantic router's fleet-sim has it;
other accelerators are an extrapolation. Weights loaded and no request draw 26 to 66 W above idle
(arXiv 2605.23918), less than this."""

IDLE_TDP_SHARE = 0.125
"""Idle over TDP where no reading exists: median of the idle readings of ten cards (0.04-0.24)."""

MEAN_BUSY_TDP_SHARE = 0.73
"""Best constant share of TDP for the same measurements (17 / 21 / 42 % error)."""

GEMINI_ACCELERATOR_SHARE = 0.58
GEMINI_HOST_SHARE = 0.25
GEMINI_IDLE_SHARE = 0.10
GEMINI_FACILITY_SHARE = 0.08
"""Energy of the median Gemini text prompt by part (arXiv 2508.15734; rounded, they sum to 1.01)."""

ACCELERATOR_TO_FACILITY = 1.0 / GEMINI_ACCELERATOR_SHARE
"""Facility energy over accelerator energy, 1.72, when only the latter is known (same source)."""

HOST_W_PER_VCPU = 2.12
HOST_W_PER_GB = 0.392
"""Power of a host per vCPU at half load, (0.74 + 3.5) / 2, and per GB of its memory (Cloud Carbon
Footprint, methodology, appendix I; SPECpower, Crucial and Micron behind it)."""

HOST_SERVER_VCPUS = 96.0
HOST_KG_PER_GB = 533.0 / 384.0
HOST_SERVER_KG = 1100.0 - 16.0 * HOST_KG_PER_GB
"""Making of a two-socket server, 1,000 kg with one processor and 16 GB, 100 for the second, here
without its memory; memory by that of the Dell R740 (Cloud Carbon Footprint, after B. Davy 2021)."""

EMBODIED_KG_PER_ACCELERATOR = 500.0
EMBODIED_LIFE_YEARS = 6.0
"""Embodied carbon of an accelerator with its share of the host, and its life. The range 300-900 kg
covers an A100 instance, 318 (HotCarbon 2023), and BLOOM's node, 462 (2211.02001); 6 years is the
life in the TPU study (2502.01671)."""

HOURS_PER_YEAR = 8760.0
JOULES_PER_WH = 3600.0


def _array(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=np.float64)


# --- Power ---------------------------------------------------------------------------------------


def idle_power_w(
    tdp_w: ArrayLike, accelerators: ArrayLike = 1, idle_w: ArrayLike | None = None
) -> Array:
    """Power of accelerators without work, W: count * reading (`idle_w` each), else 0.125 TDP."""
    each = IDLE_TDP_SHARE * _array(tdp_w) if idle_w is None else _array(idle_w)
    return _array(accelerators) * each


def decoding_power_w(
    tdp_w: ArrayLike, accelerators: ArrayLike = 1, idle_w: ArrayLike | None = None
) -> Array:
    """Power of a replica's accelerators while they decode next to nothing, W: 0.43 TDP, or idle."""
    base_w = DECODING_TDP_SHARE * _array(tdp_w) * _array(accelerators)
    return np.maximum(base_w, idle_power_w(tdp_w, accelerators, idle_w))


def accelerator_power_w(
    tdp_w: ArrayLike,
    accelerators: ArrayLike,
    compute_share: ArrayLike,
    memory_share: ArrayLike,
    family: str | NDArray[np.str_] = "hopper",
    *,
    idle_w: ArrayLike | None = None,
) -> Array:
    """Power of a replica's busy accelerators, W.

    P / (G TDP) = 0.60 + 0.03 [Blackwell] + 1.22 u_c + 0.18 u_m, clipped to [idle, G TDP]; u_c
    and u_m are the ideal compute and memory time of an iteration over its actual time. Of a
    replica well filled; `decoding_power_w` is the other end.
    """
    tdp_w, accelerators = _array(tdp_w), _array(accelerators)
    blackwell = np.asarray(family) == "blackwell"
    share = (
        BUSY_BASE_SHARE
        + BUSY_BLACKWELL_SHARE * blackwell
        + BUSY_COMPUTE_SHARE * _array(compute_share)
        + BUSY_MEMORY_SHARE * _array(memory_share)
    )
    full_w = accelerators * tdp_w
    floor_w = idle_power_w(tdp_w, accelerators, idle_w)
    power_w: Array = np.minimum(np.maximum(share * full_w, floor_w), full_w)
    return power_w


def host_power_w(vcpus: ArrayLike, ram_gb: ArrayLike) -> Array:
    """Power of the processor and memory of an instance, W: 2.12 a vCPU + 0.392 a GB.

    No load term: a held host stays on. Memory that the server's own figure already covers is
    counted once more, which the source calls a slight overestimate.
    """
    return HOST_W_PER_VCPU * _array(vcpus) + HOST_W_PER_GB * _array(ram_gb)


def mean_power_w(busy_w: ArrayLike, idle_w: ArrayLike, busy_share: ArrayLike) -> Array:
    """Time-averaged power, W: share busy at `busy_w`, the rest at `idle_w`."""
    share = _array(busy_share)
    return share * _array(busy_w) + (1.0 - share) * _array(idle_w)


# --- Energy --------------------------------------------------------------------------------------


def energy_kwh(power_w: ArrayLike, hours: ArrayLike, pue: ArrayLike = 1.0) -> Array:
    """Energy, kWh: W * h * PUE / 1000. With PUE 1 it is IT energy, otherwise facility energy."""
    return _array(power_w) * _array(hours) * _array(pue) / 1e3


def facility_energy_kwh(accelerator_kwh: ArrayLike) -> Array:
    """Facility energy from accelerator energy alone, kWh: times 1.72 (arXiv 2508.15734)."""
    return _array(accelerator_kwh) * ACCELERATOR_TO_FACILITY


def tokens_energy_wh(joules_per_token: ArrayLike, tokens: ArrayLike) -> Array:
    """Energy of an answer, Wh: J/token * tokens / 3600."""
    return _array(joules_per_token) * _array(tokens) / JOULES_PER_WH


def joules_per_token(power_w: ArrayLike, tokens_per_s: ArrayLike) -> Array:
    """Energy of a token, J: power over throughput."""
    return _array(power_w) / _array(tokens_per_s)


# --- Carbon --------------------------------------------------------------------------------------


def operational_carbon_kg(
    power_w: ArrayLike, hours: ArrayLike, pue: ArrayLike, intensity_g_per_kwh: ArrayLike
) -> Array:
    """Operational carbon, kg: IT power * hours * PUE * grid intensity (location-based)."""
    return energy_kwh(power_w, hours, pue) * _array(intensity_g_per_kwh) / 1e3


def embodied_kg_per_accelerator_hour(
    embodied_kg: ArrayLike = EMBODIED_KG_PER_ACCELERATOR,
    life_years: ArrayLike = EMBODIED_LIFE_YEARS,
) -> Array:
    """Embodied carbon charged to an hour of holding an accelerator, kg/h: embodied / (life * 8760).

    Every hour held counts, busy or not (time share of ISO/IEC 21031:2024).
    """
    return _array(embodied_kg) / (_array(life_years) * HOURS_PER_YEAR)


def host_embodied_kg(vcpus: ArrayLike, ram_gb: ArrayLike) -> Array:
    """Making of the host of an instance, kg, without accelerators and drives.

    Its share of a server by vCPUs, at most the whole of it, and its own memory: min(vCPUs / 96, 1)
    x 1,078 + 1.388 a GB. Published totals of whole servers of 96 vCPUs and more come out exactly.
    """
    server = np.minimum(_array(vcpus) / HOST_SERVER_VCPUS, 1.0)
    return server * HOST_SERVER_KG + HOST_KG_PER_GB * _array(ram_gb)


def software_carbon_intensity_g(
    energy: ArrayLike, intensity_g_per_kwh: ArrayLike, embodied_g: ArrayLike, units: ArrayLike
) -> Array:
    """SCI, g per functional unit: (E I + M) / R (ISO/IEC 21031:2024); E in kWh, M in g, R a count.

    The standard excludes market instruments: give the location-based intensity.
    """
    carbon_g = _array(energy) * _array(intensity_g_per_kwh) + _array(embodied_g)
    return carbon_g / _array(units)


def training_days(flops: ArrayLike, accelerators: ArrayLike, achieved_tflops: ArrayLike) -> Array:
    """Days of a training run: FLOP / (accelerators * achieved TFLOP/s of one)."""
    return _array(flops) / (_array(accelerators) * _array(achieved_tflops) * 1e12 * 86_400.0)


def training_energy_kwh(
    flops: ArrayLike, achieved_tflops: ArrayLike, system_w: ArrayLike, pue: ArrayLike = 1.0
) -> Array:
    """Facility energy of a training run, kWh: FLOP / achieved FLOP/s * W per accelerator * PUE.

    The number of accelerators cancels. `system_w` includes the host share (LLMCarbon, 2309.14393).
    """
    seconds = _array(flops) / (_array(achieved_tflops) * 1e12)
    return energy_kwh(system_w, seconds / 3600.0, pue)


def training_carbon_kg(
    flops: ArrayLike,
    achieved_tflops: ArrayLike,
    system_w: ArrayLike,
    pue: ArrayLike,
    intensity_g_per_kwh: ArrayLike,
) -> Array:
    """Operational carbon of a training run, kg: its facility energy * grid intensity."""
    energy = training_energy_kwh(flops, achieved_tflops, system_w, pue)
    return energy * _array(intensity_g_per_kwh) / 1e3


def api_carbon_kg(
    tokens: ArrayLike, g_per_mtok: ArrayLike, low_factor: ArrayLike, high_factor: ArrayLike
) -> tuple[Array, Array, Array]:
    """Carbon of bought tokens, kg, as (low, stated, high): tokens * g/Mtok / 1e9 and its band.

    Bought tokens are never free of carbon: the figure is the vendor's own or an estimate, and the
    factors (<= 1, >= 1) say how far it may be off.
    """
    stated = _array(tokens) * _array(g_per_mtok) / 1e9
    return stated * _array(low_factor), stated, stated * _array(high_factor)


# --- Water ---------------------------------------------------------------------------------------


def water_litres(
    it_kwh: ArrayLike, pue: ArrayLike, wue_l_per_kwh: ArrayLike, ewif_l_per_kwh: ArrayLike
) -> Array:
    """Water consumed, litres: WUE_site * E_IT + EWIF_grid * E_IT * PUE (Li et al., 2304.03271).

    WUE: evaporated on site per kWh of IT energy; EWIF: consumed by generation per kWh delivered.
    """
    it_kwh = _array(it_kwh)
    return it_kwh * (_array(wue_l_per_kwh) + _array(pue) * _array(ewif_l_per_kwh))
