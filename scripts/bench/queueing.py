"""Check the capacity rows and the waiting law against an iteration-level simulation of a replica.

    python scripts/bench/queueing.py --requests 3000 --seeds 2

A replica is loaded with the highest rate its capacity rows permit at an operating TPOT, then
simulated: every iteration decodes all running requests and spends a budget of prompt tokens, first
come first served; it lasts as long as the iteration law says. Lengths are log-normal. A claim holds
where the simulated mean TPOT stays below the operating one and P95 TTFT below the stated one.
"""

from __future__ import annotations

import argparse
from collections import deque
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.coefficients.queueing import ttft_quantile_s, ttft_shift_s
from models.coefficients.serving import IterationLaw, capacity_shares
from planner.serving import planning_law

Array = NDArray[np.float64]

CHUNK_TOKENS = 2048
PREFILL_LOAD_MAX = 0.6
INPUT_CV, OUTPUT_CV = 0.5, 1.0
WARM_UP = 0.15
CLASSES = {"chat": (512, 256), "rag": (4000, 256), "summary": (8000, 400), "write": (128, 512)}
MIXTURES: dict[str, dict[str, float]] = {
    "chat": {"chat": 1.0},
    "rag": {"rag": 1.0},
    "summary": {"summary": 1.0},
    "write": {"write": 1.0},
    "chat + rag": {"chat": 0.7, "rag": 0.3},
    "chat + summary": {"chat": 0.9, "summary": 0.1},
    "chat + rag + write": {"chat": 0.5, "rag": 0.25, "write": 0.25},
}
ARRIVAL_CV2 = {"Poisson": 1.0, "bursty": 4.0}
"""Squared variation coefficient of the times between arrivals."""


@dataclass(frozen=True)
class Requests:
    """Requests in the order of arrival, (N,) each."""

    arrival_s: Array
    input_tokens: Array
    output_tokens: Array
    kind: NDArray[np.int64]


def draw(
    mixture: dict[str, float], rate: float, count: int, ca2: float, rng: np.random.Generator
) -> Requests:
    """`count` requests; gaps exponential, or hyper-exponential with balanced means."""
    share = (1.0 + np.sqrt((ca2 - 1.0) / (ca2 + 1.0))) / 2.0
    fast = rng.random(count) < share
    gap_s = rng.exponential(1.0, count) / (2.0 * rate * np.where(fast, share, 1.0 - share))
    kind = rng.choice(len(mixture), count, p=list(mixture.values()))
    means = np.array([CLASSES[name] for name in mixture], dtype=float)[kind]
    lengths = []
    for column, cv in ((0, INPUT_CV), (1, OUTPUT_CV)):
        sigma = np.sqrt(np.log1p(cv**2))
        drawn = means[:, column] * np.exp(rng.normal(-(sigma**2) / 2.0, sigma, count))
        lengths.append(np.maximum(np.round(drawn), 2.0))
    return Requests(np.cumsum(gap_s), lengths[0], lengths[1], kind)


def simulate(law: IterationLaw, requests: Requests) -> tuple[Array, Array]:
    """TTFT and mean TPOT of every request, s, (N,) each."""
    alpha, sequence, context, prompt, square, fixed, cache, per_token, slots = (
        float(value[0])
        for value in (
            law.alpha_s, law.sequence_s, law.context_s_per_token, law.prompt_s_per_token,
            law.prompt_s_per_token2, law.ttft_fixed_s, law.kv_capacity_bytes,
            law.kv_bytes_per_token, law.max_batch,
        )
    )  # fmt: skip
    arrival, n, m = requests.arrival_s, requests.input_tokens, requests.output_tokens
    count, now, admitted, reserved = len(arrival), 0.0, 0, 0.0
    first, last = np.zeros(count), np.zeros(count)
    prompts: deque[list[float]] = deque()  # [request, tokens done]
    running, done = np.zeros(0, dtype=np.int64), np.zeros(0)
    finished = 0
    while finished < count:
        if not len(running) and not prompts:
            now = max(now, arrival[admitted])
        while admitted < count and arrival[admitted] <= now:
            need = (n[admitted] + m[admitted]) * per_token
            if len(running) + len(prompts) >= slots or reserved + need > cache:
                break
            reserved += need
            prompts.append([admitted, 0.0])
            admitted += 1
        budget, work_s, ready = float(CHUNK_TOKENS), 0.0, []
        while prompts and budget > 0.0:
            request, at = int(prompts[0][0]), prompts[0][1]
            step = min(budget, n[request] - at)
            work_s += prompt * step + square * step * (step + 2.0 * at)
            budget -= step
            prompts[0][1] += step
            if prompts[0][1] >= n[request]:
                ready.append(request)
                prompts.popleft()
        held = float((n[running] + done).sum())
        now += alpha + len(running) * sequence + context * held + work_s
        done = done + 1.0
        ended = done >= m[running]
        last[running[ended]] = now
        finished += int(ended.sum())
        reserved -= float(((n + m)[running[ended]]).sum()) * per_token
        running, done = running[~ended], done[~ended]
        if ready:
            first[ready] = now
            running = np.concatenate([running, np.array(ready, dtype=np.int64)])
            done = np.concatenate([done, np.ones(len(ready))])
    return first - arrival + fixed, (last - first) / (m - 1.0)


def permitted_rate(law: IterationLaw, mixture: dict[str, float], tpot_s: float) -> float:
    """Requests/s at which the fullest capacity row of one replica is exactly used."""
    n, m = np.array([CLASSES[name] for name in mixture], dtype=float).T
    shares = capacity_shares(
        law, tpot_s, n, m, output_cv=OUTPUT_CV, prefill_load_max=PREFILL_LOAD_MAX
    )
    return float(1.0 / (np.array(list(mixture.values())) @ shares).max())


def judge(
    law: IterationLaw, name: str, slower: float, arrivals: str, count: int, seeds: int
) -> dict[str, object]:
    """One row of the table: simulated over stated."""
    mixture = MIXTURES[name]
    tpot_s = float(law.alpha_s[0]) * slower
    rate = permitted_rate(law, mixture, tpot_s)
    longest = max(CLASSES[kind][0] for kind in mixture)
    residual_s = law.prefill_s(longest) / 2.0
    tpots, ttfts = [], []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        requests = draw(mixture, rate, count, ARRIVAL_CV2[arrivals], rng)
        ttft_s, mean_s = simulate(law, requests)
        kept = np.arange(count) >= WARM_UP * count
        tokens = requests.output_tokens - 1.0
        tpots.append(float((mean_s * tokens)[kept].sum() / tokens[kept].sum()) / tpot_s)
        worst = 0.0
        for at, kind in enumerate(mixture):
            own_s = law.prefill_s(CLASSES[kind][0])
            shift_s = ttft_shift_s(0.0, 0.0, own_s, tpot_s, fixed_s=law.ttft_fixed_s)
            said_s = ttft_quantile_s(0.95, shift_s, PREFILL_LOAD_MAX, residual_s)
            seen_s = float(np.quantile(ttft_s[kept & (requests.kind == at)], 0.95))
            worst = max(worst, seen_s / float(said_s[0]))
        ttfts.append(worst)
    return {
        "mixture": name, "arrivals": arrivals, "operating TPOT / idle": slower,
        "requests/s": round(rate, 2),
        "mean TPOT, simulated / stated": round(float(np.mean(tpots)), 2),
        "P95 TTFT of the worst class, simulated / stated": round(float(np.mean(ttfts)), 2),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    replica = {
        "llm": "llama-3.1-70b", "accelerator": "h100-sxm", "accelerators": 4, "tp": 4,
        "precision": "fp8", "engine": "vllm",
    }  # fmt: skip
    law = planning_law(pd.DataFrame([replica])).law
    for name in MIXTURES:
        for arrivals in ARRIVAL_CV2:
            for slower in (1.4, 2.0, 3.5):
                row = judge(law, name, slower, arrivals, arguments.requests, arguments.seeds)
                print(*row.values(), sep=" | ", flush=True)


if __name__ == "__main__":
    main()
