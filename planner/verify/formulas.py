"""Money, energy, carbon, water and staleness by the checker's own arithmetic.

The program's figures come from `models.coefficients`. Nothing of its modules `money`, `energy`,
`adaptation` and `quality` is used in `planner.verify`, so that a slip there is found and not
repeated. Every line of a plan is one small function, of plain numbers or arrays that broadcast,
with its units in the names. To follow a formula that changed: change the function that carries its
line, and its known answer in docs/science.md, which comes from outside both.
`tests/planner/test_checker_is_its_own.py` breaks every shared formula in turn; the checker has to
notice.

Speeds are shared and are not checked by a second computation: iteration times, capacity rows,
waiting times and streaming scores (`models.coefficients.serving`, `queueing`, `answer`). What they
rest on is measured (docs/accuracy.md). What instance and catalog say is joined once, in
`planner.instance.resolve`, for program and checker alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

HOURS_PER_YEAR = 8760
HOURS_PER_MONTH = 730

# ------------------------------------------------------------------ money


def bill_usd(
    fresh_tokens: ArrayLike,
    cached_tokens: ArrayLike,
    output_tokens: ArrayLike,
    usd_per_mtok: tuple[float, float, float],
) -> Array:
    """Bought tokens at the prices of fresh prompt, cached prompt and answer."""
    amounts = (fresh_tokens, cached_tokens, output_tokens)
    usd = np.zeros(())
    for tokens, price in zip(amounts, usd_per_mtok, strict=True):
        usd = usd + np.asarray(tokens) * price * 1e-6
    return usd


# ------------------------------------------------------------------ energy, carbon, water

BUSY_TDP_SHARE, BLACKWELL_TDP_SHARE = 0.60, 0.03
COMPUTE_TDP_SHARE, MEMORY_TDP_SHARE = 1.22, 0.18
"""Power of a replica well filled over its TDP: base and what full compute and full memory add
(fitted to measured H100 and B200 serving power, docs/science.md)."""


def filled_w(
    tdp_w: ArrayLike, idle_w: ArrayLike, busy: tuple[Array, Array], blackwell: NDArray[np.bool_]
) -> Array:
    """Power of an accelerator whose compute and memory are busy for such shares of the time."""
    compute, memory = (np.where(share < 1, share, 1) for share in busy)
    share = BUSY_TDP_SHARE + COMPUTE_TDP_SHARE * compute + MEMORY_TDP_SHARE * memory
    drawn_w = (share + np.where(blackwell, BLACKWELL_TDP_SHARE, 0)) * np.asarray(tdp_w)
    return np.asarray(np.clip(drawn_w, np.asarray(idle_w), np.asarray(tdp_w)))


DECODING_TDP_SHARE = 300 / 700
"""H100 at batch 1 (ML.ENERGY Benchmark v3.0)."""


def decoding_w(tdp_w: ArrayLike, idle_w: ArrayLike) -> Array:
    """Power of an accelerator of a running replica without its work."""
    return np.asarray(np.fmax(DECODING_TDP_SHARE * np.asarray(tdp_w), idle_w))


W_PER_VCPU, W_PER_GB = (0.74 + 3.5) / 2, 0.392
"""Of hosts: Cloud Carbon Footprint, methodology, appendix I (AWS at half load; memory)."""
KG_PER_GB = 533 / 384
"""Memory of the Dell R740, 12 x 32 GB (Cloud Carbon Footprint after B. Davy 2021)."""
SERVER_KG, SERVER_VCPUS = 1000 + 100 - 16 * KG_PER_GB, 96
"""A two-socket server without its memory, same source."""


def host_w(vcpus: float, ram_gb: float) -> float:
    """Power of the host of an instance, held or used."""
    return W_PER_VCPU * vcpus + W_PER_GB * ram_gb


def host_kg(vcpus: float, ram_gb: float) -> float:
    """Making of the host of an instance: its part of a server, and its memory."""
    return SERVER_KG * min(vcpus, SERVER_VCPUS) / SERVER_VCPUS + KG_PER_GB * ram_gb


def water_l(
    it_kwh: ArrayLike, pue: ArrayLike, site_l_per_kwh: ArrayLike, plants_l_per_kwh: ArrayLike
) -> Array:
    """Evaporated on site, and at the power plants for what the facility takes from the grid."""
    on_site = np.asarray(it_kwh) * np.asarray(site_l_per_kwh)
    facility_kwh = np.asarray(it_kwh) * np.asarray(pue)
    return np.asarray(on_site + facility_kwh * np.asarray(plants_l_per_kwh))


# ------------------------------------------------------------------ knowledge


def stale_share(changes_per_day: float, youngest_days: float, oldest_days: float) -> float:
    """Mean of the facts that have changed while what is known goes from one age to the other.

    What still holds at first, e^(-u youngest), goes on changing: x times in the interval, in the
    mean 1 - e^(-xs) over s from 0 to 1, by its power series where the closed form loses digits.
    """
    x = changes_per_day * (oldest_days - youngest_days)
    changed = (x - 1 + np.exp(-x)) / x if x >= 0.01 else x / 2 - x * x / 6 + x**3 / 24 - x**4 / 120
    return float(1 - np.exp(-changes_per_day * youngest_days) * (1 - changed))


def quality_when_stale(quality: float, affected_share: float, stale: float) -> float:
    """Answers to the affected questions are right only where the facts still hold."""
    return quality * (1 - affected_share) + quality * affected_share * (1 - stale)


def index_gb(corpus_tokens: float, chunk_tokens: float, dimensions: int) -> float:
    """A copy of an HNSW index in memory: 4 bytes a component, 64 links of 4 bytes on the ground
    layer and a tenth more above it."""
    vectors = int(-(-corpus_tokens // chunk_tokens))
    return vectors * (4 * dimensions + 64 * 4 * 1.1) * 1e-9


def adapter_parameters(rank: int, hidden_size: int, matrices: int, layers: int) -> float:
    """Two factors, rank x width each, beside every adapted square matrix."""
    return 2.0 * rank * hidden_size * matrices * layers


def adapter_gb(parameters: float) -> float:
    """In 16 bits."""
    return parameters * 2e-9


# ------------------------------------------------------------------ training

FORWARD_AND_BACKWARD = {"full": 2 + 4, "lora": 2 + 2}
"""FLOP a parameter and token: forward, gradients of activations and (full) of weights."""
MFU = 0.35
USABLE_MEMORY_SHARE = 0.9


def training_hours(
    method: str, params_active_b: float, tokens: float, peak_tflops: ArrayLike
) -> Array:
    """Accelerator-hours of all `tokens` (epochs counted) at 35 % of the dense peak."""
    flop = FORWARD_AND_BACKWARD[method] * params_active_b * 1e9 * tokens
    return flop / (MFU * np.asarray(peak_tflops) * 1e12) / 3600


def training_gb(method: str, params_total_b: float, trained: float) -> float:
    """State of a run: 16 bytes a trained parameter (mixed-precision Adam), 2 a frozen one."""
    if method == "full":
        return 16 * params_total_b
    return 2 * params_total_b + 16 * trained * 1e-9


def accelerators_needed(state_gb: float, memory_gb: ArrayLike) -> Array:
    """Fewest that hold an evenly divided state in 90 % of their memory."""
    return np.ceil(state_gb / (USABLE_MEMORY_SHARE * np.asarray(memory_gb)))
