"""What forced re-solves stand on: restrictions, prices that bound them, plans carried over."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from planner.api import Request, answer
from planner.candidates import build_candidates
from planner.compare.sides import read_plan
from planner.errors import InfeasibleError
from planner.explain.bench import Bench
from planner.explain.clock import Clock
from planner.explain.prices import best_cut, engine_prices, prices_of_cut
from planner.explain.restrict import Keep, restricted
from planner.explain.study import Ask, Study, read_proof
from planner.explain.wishes import Wish, keep_of, obeyed, parse_wish
from planner.front.front import Front, as_minimised
from planner.plan import Plan
from planner.runs import write_run
from planner.solve.bound import evaluate_bound
from planner.solve.engine import minimize
from planner.solve.index import FleetIndex
from planner.solve.options import EngineOptions
from planner.verify import DualPrices, Proof, verify_plan, verify_proof
from tests.planner.explain.forcing import as_text, drawn_wish
from tests.planner.honest_plans import honest_plan

INSTANCES = Path(__file__).resolve().parents[3] / "instances"
EXACT = EngineOptions(gap_relative=1e-5, time_limit_s=10.0, threads=1)


@pytest.fixture(scope="module")
def tiny(runs: Path) -> Bench:
    side, stored = read_proof(runs / "tiny", None)
    return Bench.of(side, stored)


@pytest.fixture(scope="module")
def small(runs: Path) -> Bench:
    side, stored = read_proof(runs / "small", None)
    return Bench.of(side, stored)


def wishes(bench: Bench, count: int, seed: int) -> list[Wish]:
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        wish = parse_wish(as_text(drawn_wish(bench.facts, rng)), bench.facts)
        found.append(Wish(wish.where, forbid=rng.random() < 0.5))
    return found


def optimum(bench: Bench | None) -> float:
    """The least cost, exactly; infinite where there is no plan."""
    if bench is None:
        return float("inf")
    try:
        return minimize(bench.candidates.data, "cost", EXACT).value
    except InfeasibleError:
        return float("inf")


# ------------------------------------------------------------------ restrictions


def test_nothing_dropped_is_nothing_changed(small: Bench) -> None:
    same = restricted(small.candidates, Keep.everything(small.candidates.data))
    for name, value in vars(small.candidates.data).items():
        np.testing.assert_array_equal(getattr(same.data, name), value, err_msg=name)


def test_a_restriction_keeps_exactly_the_routes_that_do_as_wished(small: Bench) -> None:
    for wish in wishes(small, 30, 3):
        keep = keep_of(wish, small.facts, small.candidates)
        left = restricted(small.candidates, keep)
        assert len(left.data.route_group) <= int(keep.routes.sum())
        assert set(left.data.variants) <= set(small.candidates.data.variants)
        assert len(left.variants) == len(left.data.variants)
        assert len(left.route_tpot_s) == len(left.data.route_group)
        assert (np.diff(left.data.route_group) >= 0).all()
        assert left.data.route_group.max(initial=-1) == len(left.data.group_item) - 1


def test_pruning_is_valid_under_every_restriction_but_that_of_offers(tiny: Bench) -> None:
    whole = tiny.unpruned()
    compared = 0
    for wish in wishes(tiny, 16, 5):
        values = []
        for bench in (tiny, whole):
            values.append(optimum(bench.only(keep_of(wish, bench.facts, bench.candidates))))
        assert values[0] == pytest.approx(values[1], rel=1e-4), str(wish)
        compared += np.isfinite(values[0])
    assert compared > 5


def test_a_forced_plan_does_as_wished_and_the_free_one_mostly_not(small: Bench) -> None:
    plan = honest_plan(small.facts)
    followed = 0
    for wish in wishes(small, 20, 8):
        bench = small.only(keep_of(wish, small.facts, small.candidates))
        found = None if bench is None else bench.quick(plan)
        if found is not None:
            followed += 1
            assert obeyed(wish, small.facts, found.plan), str(wish)
            assert verify_plan(small.facts, found.plan).ok
    assert followed > 5


# ------------------------------------------------------------------ prices


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_stored_prices_prove_again_what_they_proved(name: str, runs: Path) -> None:
    proof = Proof.load(runs / name / "certificate.npz")
    bench = Bench.of(*read_proof(runs / name, None))
    proved = verify_proof(bench.facts, proof)
    assert proved * (1.0 - 1e-8) <= bench.proved <= bench.worth(read_plan(runs / name).plan)


def test_stored_prices_bound_every_restriction(tiny: Bench) -> None:
    for wish in wishes(tiny, 20, 11):
        bench = tiny.only(keep_of(wish, tiny.facts, tiny.candidates))
        if bench is not None:
            assert bench.proved <= optimum(bench) * (1.0 + 1e-6), str(wish)


@pytest.mark.parametrize(
    "changes",
    [
        ("prices.l4*=1.7",),
        ("demand.*=0.4",),
        ("carbon.*=2", "caps.carbon=none"),
        ("floors.qoe=none", "policy.max_regions=none"),
        ("quality.documents.*.rag-=0.02",),
        ("quota.*.l4*=1", "policy.attainment_min=0.5"),
        ("policy.max_llms=none", "policy.region_loss_share=0"),
    ],
)
def test_stored_prices_bound_plans_under_other_data_and_lifted_rules(
    tmp_path: Path, changes: tuple[str, ...]
) -> None:
    """A price on a rule that is gone must not go on proving."""
    rules = ("policy.max_regions=2", "policy.max_llms=2", "policy.region_loss_share=0.2",
             "quota.gcp:us-central1/l4=12", "workloads.chat.min_regions=2")  # fmt: skip
    request = Request(
        caps={"carbon": 240.0}, floors={"qoe": 0.68}, changes=rules, time_limit_s=10.0, threads=1
    )
    run = write_run(tmp_path / "run", answer(INSTANCES / "tiny", request))
    side, stored = read_proof(run, None)
    moved = [c for c in changes if not c.startswith("quota.*.l4")]
    bench = Bench.of(side, stored).changed(moved)
    value = minimize(bench.candidates.data, "cost", EXACT).value
    assert bench.proved <= value * (1.0 + 1e-6)
    assert np.isfinite(bench.proved)


def test_a_cut_of_a_front_bounds_the_cost_of_its_points(front: Path) -> None:
    listed = Front.read(front)
    levels = {cut.proof: (cut.level, np.array(cut.weights)) for cut in listed.certificate.cuts}
    for point in listed.points:
        proof = best_cut(listed, point)
        assert proof is not None
        stored = prices_of_cut(DualPrices.load(front / proof))
        assert stored is not None
        side, _ = read_proof(front, point.id)
        candidates = build_candidates(side.facts)
        index = FleetIndex.build(candidates.data)
        bound = evaluate_bound(index, engine_prices(side.facts, candidates, index, stored))
        assert bound.value <= point.cost_usd * (1.0 + 1e-6)
        level, weights = levels[proof]
        least = (level - weights[1:] @ as_minimised(point.objectives)[1:]) / weights[0]
        assert bound.value >= min(least, point.cost_usd) - 1e-6 * point.cost_usd


def test_the_bound_of_a_point_is_at_least_what_its_front_proves(front: Path) -> None:
    for point in Front.read(front).points:
        study = Study.of(front, point.id, Ask(), Clock(60.0))
        assert point.cost_bound_usd is not None
        assert point.cost_bound_usd <= study.bound <= point.cost_usd


# ------------------------------------------------------------------ carrying over


def test_a_plan_carried_to_its_own_data_stays_itself(small: Bench, runs: Path) -> None:
    plan = Plan.read(runs / "small")
    found = small.carry(plan)
    assert found is not None
    assert found[1].objectives.cost_usd == pytest.approx(plan.objectives.cost_usd)
    kept, carried = (
        [replace(line, hours=line.hours and round(line.hours, 6)) for line in made.fleet]
        for made in (plan, found[1])
    )
    assert carried == kept


@pytest.mark.parametrize("change", ["demand.*=1.4", "demand.*=0.3", "prices.*=0.5", "carbon.*=3"])
def test_a_plan_carried_to_other_data_keeps_every_rule(
    small: Bench, runs: Path, change: str
) -> None:
    bench = small.changed([change])
    found = bench.carry(Plan.read(runs / "small"))
    assert found is not None
    assert verify_plan(bench.facts, found[1]).ok
    kept = {row.workload: row.variant for row in found[1].adoption}
    assert kept == {row.workload: row.variant for row in Plan.read(runs / "small").adoption}


def test_a_plan_that_cannot_be_carried_is_none(small: Bench, runs: Path) -> None:
    plan = Plan.read(runs / "small")
    cards = {f"quota.{line.region}/{line.accelerator}=1" for line in plan.fleet}
    assert small.changed(sorted(cards)).carry(plan) is None


def test_a_poor_plan_to_begin_from_does_not_keep_a_re_solve_from_the_best(tiny: Bench) -> None:
    """HiGHS may take a start for better than it is; the engine must notice."""
    whole = replace(tiny.unpruned(), gap=1e-5)
    wish = parse_wish("workload=chat, offer=gcp_g2-standard-24", whole.facts)
    bench = whole.only(keep_of(wish, whole.facts, whole.candidates))
    assert bench is not None
    poor = bench.carry(honest_plan(bench.facts))
    assert poor is not None
    assert bench.worth(poor[1]) > 1.2 * optimum(bench)
    solved = bench.solve(5.0, poor[1])
    assert solved.value == pytest.approx(optimum(bench), rel=1e-4)


def test_a_re_solve_is_never_worse_than_the_plans_it_begins_from(small: Bench, runs: Path) -> None:
    plan = Plan.read(runs / "small")
    solved = small.solve(1.0, plan)
    assert solved.value <= plan.certificate.value * (1.0 + 1e-9)
    assert solved.bound <= solved.value
