"""Candidates: routes by hand and against the checker, order, pruning, reasons with numbers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

import planner.verify.figures
from models.coefficients.serving import ServingParameters, iteration_law
from models.fleet.data import (
    CAPACITY_ROWS,
    ROUTE_CARBON_LINES,
    ROUTE_COST_LINES,
    VARIANT_COST_LINES,
    FleetData,
)
from planner.calibration import Calibration
from planner.candidates import Candidates, build_candidates
from planner.candidates.adaptation import undominated
from planner.candidates.configs import accelerator_counts
from planner.catalog import load_catalog
from planner.errors import InfeasibleError
from planner.instance.facts import Facts
from planner.instance.grid import Grid, grid_of
from planner.instance.load import load_instance
from planner.instance.resolve import resolve
from planner.instance.schema import Quota
from planner.plan import (
    Adoption,
    Certificate,
    FleetLine,
    InstanceRef,
    Objectives,
    Plan,
)
from planner.serving import (
    PlanningLaw,
    PlanningLaws,
    Replica,
    accelerator_shapes,
    llm_shapes,
    planning_laws,
    splits_heads,
)
from planner.verify.figures import RouteAsk, route_figures
from planner.verify.terms import Terms

INSTANCES = Path(__file__).parents[2] / "instances"

PARAMS = ServingParameters(
    base={
        "weight_efficiency": 0.8,
        "kv_efficiency": 0.7,
        "layer_s": 1e-4,
        "moe_layer_s": 3e-5,
        "hop_s": 1e-5,
        "sequence_s": 3e-5,
        "decode_efficiency": 1.0,
        "prefill_efficiency": 1.0,
        "comm_efficiency": 0.8,
        "ttft_fixed_s": 0.03,
        "ttft_efficiency": 0.7,
        "ttft_burst": 0.015,
        "ttft_burst_power": 1.3,
        "ttft_iterations": 3.7,
    },
    factors={("layer_s", "hopper"): 0.7},
)
"""Round figures near those of the fitted law: tests must not move when the fit does."""


def round_laws(replicas: Sequence[Replica], calibration: Calibration | None = None) -> PlanningLaw:
    law = iteration_law(
        llm_shapes([r.llm for r in replicas]),
        accelerator_shapes([r.accelerator for r in replicas]),
        np.array([r.accelerators for r in replicas], dtype=float),
        np.array([r.precision for r in replicas], dtype=str),
        "vllm",
        PARAMS,
    )
    known = np.full(len(replicas), "transferred")
    low, high = np.full(len(replicas), 0.6), np.full(len(replicas), 1.6)
    return PlanningLaw(law, known, low, high, low, high)


def candidates(facts: Facts, **options: Any) -> Candidates:
    return build_candidates(facts, round_laws, **options)


def load(name: str) -> Facts:
    catalog = load_catalog()
    return resolve(load_instance(INSTANCES / name, catalog), catalog)


@pytest.fixture(scope="module")
def tiny() -> Facts:
    return load("tiny")


@pytest.fixture(scope="module")
def small() -> Facts:
    return load("small")


def with_settings(facts: Facts, **parts: dict[str, Any]) -> Facts:
    """Facts with some fields of ``instance.toml`` changed."""
    settings = facts.instance.settings
    changed = {
        name: getattr(settings, name).model_copy(update=update) for name, update in parts.items()
    }
    return with_instance(facts, settings=settings.model_copy(update=changed))


def with_instance(facts: Facts, **update: Any) -> Facts:
    return replace(facts, instance=facts.instance.model_copy(update=update))


# ------------------------------------------------------------------ one route by hand


def test_a_route_of_tiny_by_hand(tiny: Facts) -> None:
    data = candidates(tiny).data
    pool = next(
        at
        for at, name in enumerate(data.pools)
        if "a3-highgpu" in name and "/qwen3-32b/g1/fp8/50ms/4096" in name
    )
    item = data.item_workload.tolist().index(0)  # chat, us-east, h00-12: 1.123 requests/s
    assert data.item_requests[item] == pytest.approx(1.123 * 3600 * 364)
    variant = data.variants.index("chat/qwen3-32b/base")
    route = next(
        j
        for j in np.flatnonzero(data.route_pool == pool)
        if data.group_item[data.route_group[j]] == item
        and data.group_variant[data.route_group[j]] == variant
    )
    llm = next(x for x in tiny.llms if x.llm == "qwen3-32b")
    card = next(x for x in tiny.accelerators if x.accelerator == "h100-sxm")
    n, m, target = 600.0, 200.0, 0.05
    bandwidth = card.memory_bandwidth_gb_per_s * 1e9
    peak = (card.fp8_tflops or 0.0) * 1e12
    alpha = llm.layers * 0.7e-4 + llm.params_total_b * 1e9 / (0.8 * bandwidth)
    attention = 2.0 * llm.layers * (llm.attention_heads or 0) * (llm.head_dim or 0)
    flops = 2.0 * llm.params_active_b * 1e9
    prompt = (flops * n + attention * n * n) / peak
    per_context = llm.kv_bytes_per_token_bf16 / (0.7 * bandwidth)
    work = prompt + m * (3e-5 + flops / peak) + per_context * (n * m + m * m)
    room = min(1.0 - alpha / target, 0.8) * 0.9
    share = work / room * 1.123
    assert data.route_share[route, 0] == pytest.approx(share, rel=1e-9)
    prefill = prompt / 0.7
    assert data.route_share[route, 1] == pytest.approx((m * target + prefill) / 204.8 * 1.123)
    assert data.route_share[route, 3] == pytest.approx(prefill / 0.6 * 1.123)
    # network: the answer at 4 bytes a token, what comes in is free
    usd = data.item_requests[item] * 200 * 4 / 1e9 * tiny.prices.egress_usd_per_gb
    assert data.route_cost_usd[route] == pytest.approx(usd)
    # at most the power between idle and TDP, for the busy share of the hours
    region = next(r for r in tiny.regions if r.region == "gcp:us-central1")
    most = (card.tdp_w - card.idle_w) / 1e3 * 364 * share
    most *= region.pue * region.carbon_kgco2e_per_kwh[0]
    assert 0.3 * most < data.route_carbon_kgco2e[route] <= most * (1 + 1e-12)
    weight = data.item_qoe_weight[item]
    assert weight * (1 - 0.75) <= data.route_loss[route] < weight
    assert 0.9 < data.route_attainment[route] <= 1.0


@pytest.mark.parametrize("laws", [round_laws, planning_laws])
def test_every_coefficient_agrees_with_the_checker(
    laws: PlanningLaws, small: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner.verify.figures, "planning_laws", laws)
    found = build_candidates(small, laws)
    data, terms = found.data, Terms(small)
    names = (data.workloads, data.origins, data.slices)
    rng = np.random.default_rng(3)
    routes = rng.choice(len(data.route_group), 300, replace=False)
    machines = {(m.region, m.offer): m for m in small.machines}
    asks = []
    for j in routes:
        group = data.route_group[j]
        d = data.group_item[group]
        asked = None if data.item_slice[d] < 0 else names[2][data.item_slice[d]]
        key = (
            names[0][data.item_workload[d]],
            data.item_class[d],
            names[1][data.item_origin[d]],
            asked,
        )
        pool = found.pools[data.route_pool[j]] if data.route_pool[j] >= 0 else None
        asks.append(
            RouteAsk(
                terms.items[key],
                found.variants[data.group_variant[group]],
                int(data.group_leg[group]),
                data.regions[data.route_region[j]],
                names[2][data.route_slice[j]],
                machines[pool.region, pool.offer] if pool else None,
                pool.accelerators if pool else 1,
                pool.precision if pool else "",
                pool.operating_tpot_s if pool else 0.0,
                pool.lane_tokens if pool else 0.0,
            )
        )
    other = route_figures(terms, asks)
    near = {"rtol": 1e-9, "atol": 1e-12}
    assert other.fits.all()
    np.testing.assert_allclose(data.route_share[routes], other.share, **near)
    np.testing.assert_allclose(data.route_loss[routes], other.loss, **near)
    np.testing.assert_allclose(data.route_attainment[routes], other.attainment, **near)
    np.testing.assert_allclose(data.route_water_l[routes], other.water_l, **near)
    for at, line in enumerate(ROUTE_COST_LINES):
        np.testing.assert_allclose(
            data.route_cost_lines_usd[routes, at], other.cost_lines[line], **near
        )
    for at, line in enumerate(ROUTE_CARBON_LINES):
        np.testing.assert_allclose(
            data.route_carbon_lines_kgco2e[routes, at], other.carbon_lines[line], **near
        )


# ------------------------------------------------------------------ shape


def test_the_arrays_keep_the_contract(small: Facts) -> None:
    found = candidates(small)
    data = found.data
    assert (np.diff(data.route_group) >= 0).all()
    assert np.array_equal(np.unique(data.route_group), np.arange(len(data.group_item)))
    assert (np.diff(data.variant_workload) >= 0).all()
    assert (np.diff(data.training_variant) >= 0).all()
    assert data.route_share.shape == (len(data.route_group), len(CAPACITY_ROWS))
    assert np.isfinite(data.route_share).all()
    assert np.isfinite(data.purchase_limit).all() and (data.purchase_limit >= 1).all()
    assert (data.machine_size[data.pool_machine] % data.pool_accelerators == 0).all()
    for w in range(len(data.workloads)):
        assert data.item_weight[data.item_workload == w].sum() == pytest.approx(1.0)
    assert data.item_qoe_weight.sum() == pytest.approx(1.0)
    assert len(found.pools) == len(data.pools) == len(set(data.pools))
    assert len(found.route_ttft_p95_s) == len(data.route_group)
    used = np.unique(data.route_pool[data.route_pool >= 0])
    assert np.array_equal(used, np.arange(len(data.pools)))


def test_counts_of_routes_add_up(small: Facts) -> None:
    pruned, whole = candidates(small), candidates(small, prune=False)
    assert pruned.eligible_before_pruning == whole.eligible_before_pruning
    assert pruned.eligible_after_pruning == len(pruned.data.route_group)
    assert pruned.eligible_after_pruning < whole.eligible_after_pruning
    assert whole.eligible_after_pruning <= whole.eligible_before_pruning
    assert not whole.dominated_pools and not whole.dominated_machines
    assert set(pruned.data.pools) < set(whole.data.pools)


def by_name(found: Candidates) -> dict[tuple[object, ...], tuple[float, ...]]:
    """Every route's coefficients by names alone."""
    data = found.data
    result = {}
    for j, group in enumerate(data.route_group):
        d = data.group_item[group]
        key = (
            data.variants[data.group_variant[group]],
            int(data.group_leg[group]),
            data.item_class[d],
            data.origins[data.item_origin[d]],
            data.slices[data.item_slice[d]] if data.item_slice[d] >= 0 else None,
            data.slices[data.route_slice[j]],
            data.pools[data.route_pool[j]] if data.route_pool[j] >= 0 else None,
        )
        result[key] = (
            *data.route_share[j].tolist(),
            data.route_cost_usd[j],
            data.route_carbon_kgco2e[j],
            data.route_loss[j],
            data.route_attainment[j],
        )
    return result


def test_permuting_the_rows_changes_no_value(tiny: Facts) -> None:
    backwards = with_instance(
        tiny,
        workloads=tiny.instance.workloads[::-1],
        demand=tiny.instance.demand[::-1],
        origins=tiny.instance.origins[::-1],
        length_classes=tiny.instance.length_classes[::-1],
    )
    backwards = replace(
        backwards,
        regions=tiny.regions[::-1],
        machines=tiny.machines[::-1],
        accelerators=tiny.accelerators[::-1],
        llms=tiny.llms[::-1],
        variants=tiny.variants[::-1],
    )
    one = by_name(candidates(tiny, prune=False))
    other = by_name(candidates(backwards, prune=False))
    assert one.keys() == other.keys()
    for key, values in one.items():
        assert values == pytest.approx(other[key], rel=1e-12)


@pytest.mark.parametrize(
    ("size", "counts"), [(1, (1,)), (8, (1, 2, 4, 8)), (6, (1, 2, 6)), (12, (1, 2, 4, 12))]
)
def test_replica_sizes_form_a_chain_of_divisors(size: int, counts: tuple[int, ...]) -> None:
    assert accelerator_counts(size) == counts


def test_training_options_keep_every_trade_off() -> None:
    figures = np.array([[1.0, 5, 5], [2, 4, 5], [2, 5, 5], [3, 3, 3], [1, 5, 5], [4, 3, 3]])
    assert undominated(figures) == [0, 1, 3]


# ------------------------------------------------------------------ pruning never costs anything


def optimum(data: FleetData, objective: str) -> float:  # noqa: PLR0912, PLR0915
    """Least cost, carbon or loss by scipy: equations (1) to (7) and (10) of the formulation."""
    sizes = (
        len(data.variants),
        len(data.route_group),
        len(data.pools) * len(data.slices),
        len(data.purchase_machine) * len(data.slices),
        len(data.training_variant),
        data.host_cost_usd.size,
    )
    at = np.r_[0, np.cumsum(sizes)]
    times = len(data.slices)
    rows: list[tuple[dict[int, float], float, float]] = []

    def row(low: float, high: float) -> defaultdict[int, float]:
        terms: defaultdict[int, float] = defaultdict(float)
        rows.append((terms, low, high))
        return terms

    for w in range(len(data.workloads)):
        terms = row(1, 1)
        for v in np.flatnonzero(data.variant_workload == w):
            terms[int(v)] = 1
    serve = [row(0, 0) for _ in data.group_item]
    for q, v in enumerate(data.group_variant):
        serve[q][int(v)] = -1
    capacity = {
        (p, t, i): row(-math.inf, 0)
        for p in range(len(data.pools))
        for t in range(times)
        for i in range(4)
    }
    cards = {(h, t): row(-math.inf, 0) for h in range(len(data.machines)) for t in range(times)}
    host = defaultdict(lambda: row(-math.inf, 0))
    attain = {
        w: row(float(data.attainment_min[w]), math.inf)
        for w in range(len(data.workloads))
        if not np.isnan(data.attainment_min[w])
    }
    for j, q in enumerate(data.route_group):
        x, v, d = int(at[1] + j), int(data.group_variant[q]), int(data.group_item[q])
        serve[q][x] = 1
        if int(data.item_workload[d]) in attain:
            weight = data.item_weight[d] * data.route_attainment[j]
            attain[int(data.item_workload[d])][x] = weight
        r = int(data.route_region[j])
        if data.host_cost_usd[v, r] > 0:
            terms = host[v, r, int(data.item_origin[d])]
            terms[x] += data.item_origin_weight[d]
            terms[int(at[5] + v * len(data.regions) + r)] = -1
        for i in range(4):
            key = (int(data.route_pool[j]), int(data.route_slice[j]), i)
            capacity[key][x] = data.route_share[j, i]
    for (p, t, _), terms in capacity.items():
        terms[int(at[2] + p * times + t)] = -1
    for p, h in enumerate(data.pool_machine):
        for t in range(times):
            cards[int(h), t][int(at[2] + p * times + t)] = float(data.pool_accelerators[p])
    cost = np.zeros(at[-1])
    upper = np.r_[np.ones(at[2]), np.full(at[4] - at[2], np.inf), np.ones(at[6] - at[4])]
    carbon = np.zeros(at[-1])
    for b, h in enumerate(data.purchase_machine):
        assert data.purchase_per_slice[b], "tiny has no commitments"
        for t in range(times):
            z = int(at[3] + b * times + t)
            cards[int(h), t][z] = -float(data.machine_size[h] * data.purchase_availability[b])
            cost[z] = data.purchase_cost_usd[b, t]
            carbon[z] = data.machine_carbon_kgco2e[h, t]
            upper[z] = data.purchase_limit[b]
    for v in np.unique(data.training_variant):
        terms = row(0, 0)
        terms[int(v)] = -1
        for o in np.flatnonzero(data.training_variant == v):
            terms[int(at[4] + o)] = 1
    cost[: at[1]] = data.variant_cost_lines_usd.sum(axis=1)
    cost[at[1] : at[2]] = data.route_cost_usd
    cost[at[4] : at[5]] = data.training_cost_usd
    cost[at[5] :] = data.host_cost_usd.ravel()
    carbon[at[1] : at[2]] = data.route_carbon_kgco2e
    carbon[at[2] : at[3]] = data.replica_carbon_kgco2e.ravel()
    carbon[at[4] : at[5]] = data.training_carbon_kgco2e
    carbon[at[5] :] = data.host_carbon_kgco2e.ravel()
    loss = np.zeros(at[-1])
    loss[at[1] : at[2]] = data.route_loss
    entries = [(r, c, a) for r, (terms, _, _) in enumerate(rows) for c, a in terms.items()]
    r, c, a = (np.array(x) for x in zip(*entries, strict=True))
    matrix = csr_array((a, (r, c)), shape=(len(rows), at[-1]))
    integer = np.ones(at[-1])
    integer[at[1] : at[2]] = 0
    found = milp(
        {"cost": cost, "carbon": carbon, "loss": loss}[objective],
        constraints=LinearConstraint(
            matrix, np.array([x[1] for x in rows]), np.array([x[2] for x in rows])
        ),
        bounds=Bounds(np.zeros(at[-1]), upper),
        integrality=integer,
        options={"mip_rel_gap": 1e-6},  # no limit of time: a loaded machine is no fault
    )
    assert found.status == 0, found.message
    return float(found.fun)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("objective", ["cost", "carbon", "loss"])
def test_pruning_never_changes_the_optimum(tiny: Facts, seed: int, objective: str) -> None:
    rng = np.random.default_rng(seed)
    demand = tuple(
        row.model_copy(update={"requests_per_s": row.requests_per_s * rng.uniform(0.2, 2.0)})
        for row in tiny.instance.demand
    )
    batch = tiny.instance.workloads[1].model_copy(update={"kind": "batch"})
    facts = with_instance(tiny, demand=demand, workloads=(tiny.instance.workloads[0], batch))
    llms = tuple(replace(x, max_accelerators_per_replica=2) for x in tiny.llms)
    kept = [m for m in tiny.machines if m.accelerators <= 2]
    kept += [replace(m, ondemand_usd_per_h=p * 1.1, offer="x", machine=f"{m.region}/x")
             for m in kept[:2] if (p := m.ondemand_usd_per_h)]  # fmt: skip
    facts = replace(facts, llms=llms, machines=tuple(kept))
    facts = with_settings(
        facts, serving={"operating_tpot_s": (0.05, 0.08), "prompt_lane_tokens": (4096.0, 8192.0)}
    )
    pruned, whole = candidates(facts), candidates(facts, prune=False)
    assert pruned.dominated_pools and pruned.dominated_machines
    assert optimum(pruned.data, objective) == pytest.approx(
        optimum(whole.data, objective), rel=3e-6, abs=1e-9
    )


# ------------------------------------------------------------------ reasons with numbers


def test_an_llm_that_does_not_fit_says_how_much_it_needs(tiny: Facts) -> None:
    found = candidates(tiny)
    memory = next(x for x in found.exclusions if x.rule == "memory")
    assert (memory.llm, memory.where, memory.unit) == ("qwen3-32b", "l4", "GB")
    assert memory.needed == pytest.approx(32.8, abs=0.1)
    assert memory.available == pytest.approx(24 * 0.9 - 2, abs=0.5)
    assert "qwen3-32b on l4: needs 32.8 GB" in str(memory)


def with_precisions(facts: Facts, *precisions: str) -> Facts:
    return replace(facts, llms=tuple(replace(x, precisions=precisions) for x in facts.llms))


def without_fp8(facts: Facts) -> Facts:
    cards = tuple(replace(x, fp8_tflops=None, fp4_tflops=None) for x in facts.accelerators)
    return replace(facts, accelerators=cards)


@pytest.mark.parametrize(
    ("llm", "engine", "widths"),
    [
        pytest.param("qwen2.5-7b", "vllm", [1, 2, 4], id="28 heads, 4 for the cache"),
        pytest.param("phi-4", "vllm", [1, 2], id="40 heads, 10 for the cache"),
        pytest.param("llama-3.1-8b", "vllm", [1, 2, 4, 8, 16], id="32 heads, 8 copied"),
        pytest.param("deepseek-v3", "vllm", [1, 2, 4, 8, 16], id="compressed cache, copied"),
        pytest.param("qwen2.5-7b", "llama.cpp", [1, 2, 4, 8, 16], id="layers in turn"),
    ],
)
def test_heads_split_as_vllm_asserts(llm: str, engine: str, widths: list[int]) -> None:
    """vllm-project/vllm#11797: 28 attention and 4 KV heads "cannot be ran on 8GPU node"; KV heads
    are divided or copied whole (assertions in its attention layers)."""
    row = load_catalog().llm(llm)
    assert [tp for tp in (1, 2, 4, 8, 16) if splits_heads(row, tp, engine)] == widths


def test_replicas_that_cannot_split_the_heads_are_excluded_and_say_so(tiny: Facts) -> None:
    wide = tuple(
        replace(x, attention_heads=28, kv_heads=4, max_accelerators_per_replica=8)
        for x in tiny.llms
    )
    facts = replace(tiny, llms=wide)
    found = candidates(facts)
    assert {pool.accelerators for pool in found.pools} <= {1, 2, 4}
    heads = next(x for x in found.exclusions if x.rule == "heads")
    assert (heads.needed, heads.available) == (8, 4)
    terms = Terms(facts)
    assert [terms.heads_divide(wide[0], count) for count in (1, 2, 4, 8)] == [True] * 3 + [False]


def test_a_precision_without_arithmetic_is_excluded_unless_weight_only(tiny: Facts) -> None:
    old = without_fp8(tiny)
    found = candidates(with_precisions(old, "fp8", "int4", "bf16"))
    assert {pool.precision for pool in found.pools} <= {"int4", "bf16"}
    reasons = [e for e in found.exclusions if e.rule == "precision"]
    assert {(e.llm, e.where) for e in reasons} == {
        (llm.llm, card.accelerator) for llm in tiny.llms for card in tiny.accelerators
    }
    assert str(reasons[0]).startswith(
        "precision: llama-3.1-8b on l4: needs 8 bit arithmetic, 16 bit arithmetic available"
    )
    with pytest.raises(InfeasibleError, match="precision"):
        candidates(with_precisions(old, "fp8"))


def test_a_known_combination_stands_on_its_measurements(small: Facts) -> None:
    found = build_candidates(with_precisions(small, "fp8", "bf16"), prune=False)
    known = {(p.llm, p.accelerator, p.accelerators, p.precision): p for p in found.pools}
    measured = known["qwen3-32b", "h100-sxm", 2, "bf16"]
    card_measured = known["qwen3-32b", "h100-sxm", 1, "fp8"]
    nothing_measured = known["llama-3.1-8b", "l4", 1, "fp8"]
    assert measured.provenance == "interpolated"
    assert card_measured.provenance == "transferred"
    assert nothing_measured.provenance == "roofline"
    assert measured.band[0] < 1.0 < measured.band[1]
    assert nothing_measured.band[0] < card_measured.band[0] < measured.band[0]


def test_the_quality_floor_removes_a_variant_and_says_so(tiny: Facts) -> None:
    found = candidates(tiny)
    assert "documents/llama-3.1-8b/base" in found.removed_variants
    floor = next(x for x in found.exclusions if x.rule == "quality floor")
    assert floor.needed == 0.6
    assert floor.available < 0.582


def test_a_workload_without_a_place_is_infeasible_with_the_reason(tiny: Facts) -> None:
    chat = tiny.instance.workloads[0].model_copy(update={"ttft_target_s": 0.05})
    facts = with_instance(tiny, workloads=(chat, *tiny.instance.workloads[1:]))
    with pytest.raises(InfeasibleError, match="workload chat cannot be served") as caught:
        candidates(facts)
    assert any("TTFT target" in line and "50 ms" in line for line in caught.value.conflict)


def test_residency_leaves_no_region(tiny: Facts) -> None:
    chat = tiny.instance.workloads[0].model_copy(update={"residency": "mars"})
    facts = with_instance(tiny, workloads=(chat, *tiny.instance.workloads[1:]))
    with pytest.raises(InfeasibleError, match="chat") as caught:
        candidates(facts)
    assert any("regions tagged mars" in line for line in caught.value.conflict)


def test_a_quota_of_nothing_removes_the_machines(tiny: Facts) -> None:
    quota = Quota(region="gcp:us-central1", accelerator="l4", accelerators=0)
    found = candidates(with_instance(tiny, quotas=(quota,)))
    assert not any(p.region == "gcp:us-central1" and p.accelerator == "l4" for p in found.pools)
    assert any(x.rule == "quota" and "gcp:us-central1" in str(x.where) for x in found.exclusions)


# ------------------------------------------------------------------ policies


def test_shortfall_is_the_last_route_of_every_item(tiny: Facts) -> None:
    short = with_settings(tiny, policy={"allow_shortfall": True, "shortfall_usd_per_request": 2.0})
    data = candidates(short).data
    last = np.flatnonzero(np.r_[np.diff(data.route_group) > 0, True])
    assert (data.route_pool[last] == -1).all() and (data.route_region[last] == -1).all()
    requests = data.item_requests[data.group_item]
    assert data.route_cost_usd[last] == pytest.approx(2.0 * requests)
    assert data.route_loss[last] == pytest.approx(data.item_qoe_weight[data.group_item])
    assert not data.route_attainment[last].any()


def test_batch_demand_may_go_to_any_allowed_slice(tiny: Facts) -> None:
    name = tiny.instance.workloads[1].workload
    rows = tuple(row for row in tiny.instance.demand if row.workload != name)
    spare = tiny.instance.demand[-1].model_copy(
        update={"workload": name, "slice": None, "requests_per_s": 1.0}
    )
    batch = tiny.instance.workloads[1].model_copy(update={"kind": "batch"})
    facts = with_instance(
        tiny, demand=(*rows, spare), workloads=(tiny.instance.workloads[0], batch)
    )
    data = candidates(facts).data
    item = int(np.flatnonzero(data.item_slice < 0)[0])
    assert data.item_requests[item] == pytest.approx(3600 * 728)
    mine = data.group_item[data.route_group] == item
    assert set(data.route_slice[mine].tolist()) == {0, 1}
    assert data.item_slice_weight[item] == 0.0
    assert np.isnan(data.attainment_min[1])


def test_the_margin_scales_every_share(tiny: Facts) -> None:
    plain = candidates(tiny, prune=False).data
    careful = with_settings(tiny, serving={"performance_margin": 0.25})
    found = candidates(careful, prune=False).data
    assert found.route_share == pytest.approx(1.25 * plain.route_share)


def incumbent_plan(facts: Facts, variant: str, **fleet: Any) -> Plan:
    """A plan that adopts one variant and holds one line of machines."""
    machine = next(m for m in facts.machines if m.accelerator == "h100-sxm")
    line = FleetLine(
        **{
            "region": machine.region,
            "offer": machine.offer,
            "accelerator": machine.accelerator,
            "market": "on-demand",
            "slice": None,
            "accelerators": machine.accelerators,
            "instances": 1,
            **fleet,
        }
    )
    workload, llm, adaptation = variant.split("/")
    adopted = Adoption(
        workload, llm, adaptation, None, None, None, 0.0, variant, "made up", "made up"
    )
    return Plan(
        instance=InstanceRef("tiny", ""),
        period_hours=728.0,
        objectives=Objectives(0.0, 0.0, 0.0),
        cost_lines={},
        carbon_lines={},
        water_l=0.0,
        certificate=Certificate("cost", 0.0, 0.0, 0.0, "unproved", ""),
        adoption=(adopted,),
        fleet=(line, replace(line, slice="h00-12", instances=2)),
        replicas=(),
        routing=(),
        hosting=(),
        training=(),
        workloads=(),
        timings={},
        assumptions=(),
        provenance={},
        grid=Grid((4096.0,), (0.05,)),
    )


def test_what_must_stay_is_served_on_the_lanes_of_the_whole_instance(
    tiny: Facts, tmp_path: Path
) -> None:
    (tmp_path / "plan.json").write_text(
        incumbent_plan(tiny, "documents/qwen3-32b/base").to_json(), encoding="utf-8"
    )
    before = tiny.instance.settings
    settings = before.model_copy(
        update={
            "incumbent": "plan.json",
            "policy": before.policy.model_copy(update={"keep_incumbent": True}),
            "serving": before.serving.model_copy(
                update={"prompt_lane_tokens": None, "operating_tpot_s": None}
            ),
        }
    )
    workloads = tuple(w.model_copy(update={"quality_min": 0.0}) for w in tiny.instance.workloads)
    facts = with_instance(tiny, settings=settings, workloads=workloads, folder=str(tmp_path))
    lanes = {float(name.rpartition("/")[2]) for name in candidates(facts).data.pools}
    # Without its RAG variants the longest prompt would be shorter.
    assert lanes <= set(grid_of(facts).lane_tokens)


def test_the_incumbent_marks_its_variant_and_its_peak(tiny: Facts, tmp_path: Path) -> None:
    variant = "chat/qwen3-32b/base"
    plan = incumbent_plan(tiny, variant)
    (tmp_path / "plan.json").write_text(plan.to_json(), encoding="utf-8")
    policy = tiny.instance.settings.policy.model_copy(
        update={"change_usd_per_workload": 50.0, "max_changed_workloads": 1}
    )
    settings = tiny.instance.settings.model_copy(
        update={"incumbent": "plan.json", "policy": policy}
    )
    facts = with_instance(tiny, settings=settings, folder=str(tmp_path))
    data = candidates(facts).data
    assert [name for name, same in zip(data.variants, data.variant_is_incumbent, strict=True)
            if same] == [variant]  # fmt: skip
    work = VARIANT_COST_LINES.index("migration work")
    each = (24.0 * 120.0 + 50.0) * 728.0 / 2190.0  # three days of a person, over the horizon
    paid = data.variant_cost_lines_usd[:, work]
    assert paid == pytest.approx(np.where(data.variant_is_incumbent, 0.0, each))
    line = plan.fleet[0]
    peak = dict(zip(data.machines, data.machine_incumbent, strict=True))
    assert peak[f"{line.region}/{line.offer}"] == 3 * line.accelerators  # 1 all period, 2 by day
    assert data.max_changed_workloads == 1
    assert np.isnan(candidates(tiny).data.max_changed_workloads)
