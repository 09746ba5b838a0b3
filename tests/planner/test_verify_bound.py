"""Bounds from dual prices: valid for any prices, refused where they are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from honest_plans import honest_plan, priced

from planner.catalog import load_catalog
from planner.errors import RunError, VerificationError
from planner.instance.facts import Facts
from planner.instance.load import load_instance
from planner.instance.resolve import resolve
from planner.plan import Plan
from planner.verify import DualPrices, Proof, verify_bound, verify_certificate, verify_plan
from planner.verify.bound import _Purchase, _raised
from planner.verify.prices import FAMILIES
from planner.verify.terms import Terms

INSTANCES = Path(__file__).parents[2] / "instances"
COST = np.array([1.0, 0.0, 0.0, 0.0])


def facts_of(name: str) -> Facts:
    catalog = load_catalog()
    return resolve(load_instance(INSTANCES / name, catalog), catalog)


@pytest.fixture(scope="module")
def tiny() -> Facts:
    return facts_of("tiny")


@pytest.fixture(scope="module")
def plan(tiny: Facts) -> Plan:
    return honest_plan(tiny)


def rental_prices(facts: Facts, weights: np.ndarray = COST, factor: float = 1.0) -> DualPrices:
    """An accelerator costs what renting it on demand costs; all of it for work."""
    hours = Terms(facts).slice_hours
    return DualPrices(
        weights=weights,
        cap=np.zeros(4),
        rows={
            "machine": {
                (m.machine, t): factor * m.ondemand_usd_per_h * h / m.accelerators
                for m in facts.machines
                if m.ondemand_usd_per_h is not None
                for t, h in hours.items()
            }
        },
        dominated_configs={},
        dominated_machines={},
    )


def random_prices(facts: Facts, seed: int, weights: np.ndarray, scale: float) -> DualPrices:
    """Prices drawn on every row that the instance has."""
    rng = np.random.default_rng(seed)
    terms, policy = Terms(facts), facts.instance.settings.policy
    regions, slices = terms.region_names, tuple(terms.slice_hours)
    machines = [m.machine for m in facts.machines]
    attains = [w for w, row in terms.workloads.items() if terms.attainment_min(row) is not None]
    floors = [w for w, row in terms.workloads.items() if row.qoe_min > 0]
    spreads = [w for w, row in terms.workloads.items() if row.min_regions > 1]
    origins = [o.origin for o in facts.instance.origins]
    names: dict[str, list[tuple[str, ...]]] = {
        "machine": [(m, t) for m in machines for t in slices],
        "quota": [
            (q.region, q.accelerator, q.market or "", t)
            for q in facts.instance.quotas
            for t in slices
        ],
        "host": [(v, r, g) for v in terms.variants for r in regions for g in origins],
        "survive": [
            (name, r, t)
            for name in [*terms.workloads, *terms.variants]
            for r in regions
            for t in slices
        ],
        "spot": [(m.region, m.accelerator, t) for m in facts.machines for t in slices],
        "attain": [(w,) for w in attains]
        + [(v,) for v, row in terms.variants.items() if row.workload in attains],
        "floor": [(w,) for w in floors]
        + [(v,) for v, row in terms.variants.items() if row.workload in floors],
        "spread": [(w, r) for w in spreads for r in regions],
        "spread-count": [(w,) for w in spreads],
        "open": [(w, r) for w in terms.workloads for r in regions],
        "open-count": [()] if policy.max_regions is not None else [],
        "keep": [
            (name, v.llm)
            for v in facts.variants
            for name in (v.workload, v.variant)
            if policy.max_llms is not None
        ],
        "keep-count": [()] if policy.max_llms is not None else [],
    }
    caps = facts.instance.settings.caps
    limits = (caps.cost_usd, caps.carbon_kgco2e, caps.qoe_min, caps.water_l)
    cap = np.array([0.0 if limit is None else rng.uniform(0, 0.3) for limit in limits])
    rows = {
        family: {key: float(rng.uniform(0, scale)) * (rng.random() < 0.5) for key in keys}
        for family, keys in names.items()
    }
    return DualPrices(weights, cap * (weights.sum() > 0), rows, {}, {})


def test_rental_prices_prove_a_bound_near_the_plan(tiny: Facts, plan: Plan) -> None:
    bound = verify_bound(tiny, rental_prices(tiny))
    assert 0.1 * plan.objectives.cost_usd < bound <= plan.objectives.cost_usd


def test_routes_priced_in_blocks_prove_the_same(
    tiny: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = random_prices(tiny, 5, COST, 3.0)
    whole = verify_bound(tiny, prices)
    monkeypatch.setattr("planner.verify.bound.MOST_ROUTES_AT_ONCE", 50)
    assert verify_bound(tiny, prices) == whole


def test_prices_too_high_to_be_feasible_prove_no_more(tiny: Facts) -> None:
    fair = verify_bound(tiny, rental_prices(tiny))
    greedy = verify_bound(tiny, rental_prices(tiny, factor=50.0))
    assert greedy == pytest.approx(fair, rel=1e-9)


def test_machines_without_stored_prices_are_priced_as_high_as_is_valid(tiny: Facts) -> None:
    nothing = DualPrices(COST, np.zeros(4), {}, {}, {})
    rented = verify_bound(tiny, rental_prices(tiny))
    assert verify_bound(tiny, nothing) == pytest.approx(rented, rel=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_no_honest_plan_beats_the_bound_of_any_prices(seed: int) -> None:
    facts = with_every_rule(facts_of("tiny"))
    plan = honest_plan(facts, regions=2)
    report = verify_plan(facts, plan)
    assert report.violations == ()
    rng = np.random.default_rng(100 + seed)
    weights = rng.uniform(0, 1, 4) * np.array([1.0, 5.0, 3000.0, 0.01])
    prices = random_prices(facts, seed, weights, scale=float(10.0 ** rng.uniform(-1, 3)))
    f = report.objectives
    value = weights @ np.array([f.cost_usd, f.carbon_kgco2e, 1.0 - f.qoe, report.water_l])
    assert verify_bound(facts, prices) <= value


def with_every_rule(facts: Facts) -> Facts:
    """Rules that a plan over two regions keeps, each with a row of its own."""
    instance = facts.instance
    settings = instance.settings
    policy = settings.policy.model_copy(update={"max_regions": 2, "max_llms": 2})
    caps = settings.caps.model_copy(update={"cost_usd": 1e5, "carbon_kgco2e": 1e4, "qoe_min": 0.1})
    workloads = tuple(
        w.model_copy(update={"region_loss_share": 0.4, "min_regions": 2, "qoe_min": 0.1})
        for w in instance.workloads
    )
    settings = settings.model_copy(update={"policy": policy, "caps": caps})
    update = {"settings": settings, "workloads": workloads}
    regions = tuple(replace(r, fixed_usd=25.0) for r in facts.regions)
    return replace(facts, instance=instance.model_copy(update=update), regions=regions)


# ------------------------------------------------------------------ falsified


def certified(facts: Facts, plan: Plan, bound: float) -> Plan:
    value = plan.objectives.cost_usd
    gap = (value - bound) / value
    stated = replace(plan.certificate, value=value, bound=bound, gap_relative=gap)
    return replace(priced(facts, plan), certificate=stated)


def alone(facts: Facts, prices: DualPrices) -> Proof:
    """The proof by one price vector."""
    return Proof.of(prices, [v.variant for v in facts.variants])


def test_a_true_bound_is_re_proved(tiny: Facts, plan: Plan) -> None:
    prices = rental_prices(tiny)
    bound = verify_bound(tiny, prices)
    proved, violations = verify_certificate(tiny, certified(tiny, plan, bound), alone(tiny, prices))
    assert proved == bound
    assert violations == ()


def test_an_overstated_bound_is_caught(tiny: Facts, plan: Plan) -> None:
    prices = rental_prices(tiny)
    overstated = 1.001 * verify_bound(tiny, prices)
    _, violations = verify_certificate(tiny, certified(tiny, plan, overstated), alone(tiny, prices))
    assert [(v.rule, v.subject) for v in violations] == [("certificate", "bound")]


def test_prices_for_another_objective_are_caught(tiny: Facts, plan: Plan) -> None:
    prices = rental_prices(tiny, weights=np.array([2.0, 0.0, 0.0, 0.0]))
    _, violations = verify_certificate(tiny, certified(tiny, plan, 1.0), alone(tiny, prices))
    assert "weights" in {v.subject for v in violations}


@pytest.mark.parametrize(
    "rows",
    [
        {"machine": {("a/b", "h00-12"): -1e-3}},
        {"machine": {("a/b", "h00-12"): float("nan")}},
        {"machine": {("a/b",): 1.0}},
        {"wishes": {("a",): 1.0}},
        {"open-count": {(): 1.0}},
        {"changed": {(): 1.0}},
        {"floor": {("chat",): 1.0}},
    ],
)
def test_prices_that_are_none_are_refused(
    tiny: Facts, plan: Plan, rows: dict[str, dict[tuple[str, ...], float]]
) -> None:
    wrong = replace(rental_prices(tiny), rows=rows)
    with pytest.raises(VerificationError):
        verify_bound(tiny, wrong)
    _, violations = verify_certificate(tiny, plan, alone(tiny, wrong))
    assert [v.subject for v in violations] == ["dual prices"]


def test_a_priced_cap_that_does_not_exist_is_refused(tiny: Facts) -> None:
    with pytest.raises(VerificationError, match="cap on carbon"):
        verify_bound(tiny, replace(rental_prices(tiny), cap=np.array([0.0, 1.0, 0.0, 0.0])))


def test_a_price_without_room_stays_as_it_is(tiny: Facts) -> None:
    """Where rounding leaves less than none, dividing by the room would make the bound nothing."""
    exact = np.array([0.1, 0.2])
    committed = _Purchase(tiny.machines[0], "commit-1y", exact, 1.0, np.inf)
    price = np.array([0.1, 0.2]) * (1 + 1e-15)
    rented = _Purchase(tiny.machines[0], "on-demand", exact, 1.0, np.inf)
    raised = _raised(price, [committed, rented])
    assert np.array_equal(raised, price)


# ------------------------------------------------------------------ file


def test_prices_survive_their_file(tiny: Facts, tmp_path: Path) -> None:
    prices = replace(
        random_prices(tiny, 3, COST, 2.0),
        dominated_configs={"l4/a/g1/fp8/50ms/4096": "l4/a/g2/fp8/50ms/4096"},
        dominated_machines={"r/a": "r/b"},
    )
    prices = replace(prices, rows={**prices.rows, "open-count": {(): 2.0}})
    prices.save(tmp_path / "certificate.npz")
    again = DualPrices.load(tmp_path / "certificate.npz")
    assert set(again.rows) <= set(FAMILIES)
    for family, row in prices.rows.items():
        assert again.of(family) == {key: price for key, price in row.items() if price}
    assert again.dominated_configs == prices.dominated_configs
    assert again.dominated_machines == prices.dominated_machines
    assert np.array_equal(again.weights, prices.weights)


def test_a_file_of_something_else_is_a_run_error(tmp_path: Path) -> None:
    (tmp_path / "certificate.npz").write_bytes(b"not an archive")
    with pytest.raises(RunError):
        DualPrices.load(tmp_path / "certificate.npz")
    with pytest.raises(RunError):
        DualPrices.load(tmp_path / "nowhere.npz")
