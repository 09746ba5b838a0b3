"""`explain --why-not`: prices and reasons that a re-solve done otherwise confirms."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import planner
from planner.candidates import build_candidates
from planner.errors import PlannerError
from planner.explain.results import BOUNDED, EXCLUDED, INFEASIBLE, PRICED, SAME, Price
from planner.instance.facts import Facts
from planner.plan import Plan
from tests.planner.explain.forcing import Forced, as_text, drawn_wish

INSTANCES = Path(__file__).resolve().parents[3] / "instances"
SLACK = 1e-6


def facts_of(name: str) -> Facts:
    return planner.load(INSTANCES / name)


def asked(run: Path, text: str, seconds: float = 5.0) -> Price:
    (found,) = planner.explain(run, why_not=[text], time_limit=seconds).why_not
    return found.price


def assert_consistent(price: Price, plan: Plan, value: float, bound: float) -> None:
    """The forced optimum lies in both intervals, and the price follows from the two plans."""
    slack = SLACK * plan.certificate.value
    assert price.forced_bound is not None
    assert price.forced_value is not None
    assert price.forced_bound <= value + slack, "proved more than another plan costs"
    assert bound <= price.forced_value + slack, "a plan below what is proved possible"
    assert price.least == pytest.approx(max(price.forced_bound - plan.certificate.value, 0.0))
    assert price.most == pytest.approx(price.forced_value - plan.certificate.bound, abs=slack)
    assert price.forced is not None
    assert price.forced.cost_usd == pytest.approx(price.forced_value)


def test_24_random_wishes_of_tiny_cost_what_the_whole_program_says(runs: Path) -> None:
    facts, plan = facts_of("tiny"), Plan.read(runs / "tiny")
    other, rng = Forced(facts), random.Random(1)
    verdicts = []
    for _ in range(24):
        wish = drawn_wish(facts, rng)
        missing = other.force(wish)
        price = asked(runs / "tiny", as_text(wish))
        verdicts.append(price.verdict)
        if missing:
            assert price.verdict == EXCLUDED, wish
            assert price.reasons
            continue
        value, bound = other.solve(20.0)
        if price.verdict in (EXCLUDED, INFEASIBLE):
            assert value == float("inf"), (wish, price.reasons)
        elif price.verdict == SAME:
            assert value == pytest.approx(plan.certificate.value, rel=1e-5), wish
        else:
            assert_consistent(price, plan, value, bound)
            assert price.forced_value == pytest.approx(value, rel=1e-4), wish
    assert {PRICED, EXCLUDED, SAME} <= set(verdicts)


@pytest.mark.slow
def test_20_random_alternatives_of_small_agree_with_a_re_solve_done_otherwise(runs: Path) -> None:
    facts, plan = facts_of("small"), Plan.read(runs / "small")
    whole, pruned, rng = Forced(facts), Forced(facts, prune=True), random.Random(7)
    priced = 0
    for _ in range(20):
        wish = drawn_wish(facts, rng)
        missing = whole.force(wish)
        price = asked(runs / "small", as_text(wish), 6.0)
        if missing:
            assert price.verdict == EXCLUDED, wish
            assert price.reasons
            continue
        pruned.force(wish)
        value, bound = pruned.solve(15.0, 1e-3)
        _, relaxed = whole.solve(5.0, 0.5)
        if price.verdict in (EXCLUDED, INFEASIBLE):
            assert value == float("inf"), (wish, price.reasons)
        elif price.verdict == SAME:
            assert max(bound, relaxed) <= plan.certificate.value * (1.0 + SLACK), wish
            assert plan.certificate.bound <= value * (1.0 + SLACK), wish
        elif price.verdict == BOUNDED:
            assert price.forced_bound is not None
            assert price.forced_bound <= value * (1.0 + SLACK), wish
        else:
            priced += 1
            assert_consistent(price, plan, value, max(bound, relaxed))
    assert priced >= 8


# ------------------------------------------------------------------ reasons with numbers


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("workload=documents, adaptation=base, llm=llama*",
         "quality 0.466 after staleness, the floor is 0.600"),
        ("workload=chat, adaptation=rag", "chat has no such variant; it has chat/llama-3.1-8b/"),
        ("market=spot", "spot is not allowed: policy.spot_share_max is 0"),
        ("market=commit-1y", "commit-1y not allowed: policy.commitments is none"),
        ("market=owned", "none is sold there in owned"),
    ],
)  # fmt: skip
def test_what_is_excluded_has_its_reason_with_numbers(runs: Path, wish: str, said: str) -> None:
    price = asked(runs / "tiny", wish)
    assert price.verdict == EXCLUDED
    assert said in " ".join(price.reasons)
    assert price.least is None


def test_a_place_too_far_away_is_excluded_by_its_own_latency(runs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    planner.whatif(
        runs / "tiny", ["targets.chat.ttft_s=0.15", "targets.chat.attainment=0"], output=run
    )
    price = asked(run, "workload=chat, region=aws:eu-north-1")
    assert price.verdict == EXCLUDED
    assert any("TTFT target" in reason and "us-east" in reason for reason in price.reasons)
    assert any("raise the TTFT target" in repair for repair in price.repairs)


def test_reasons_are_told_in_the_order_in_which_they_bind_with_what_helps_together(
    runs: Path,
) -> None:
    """An l4 is too small for the llm; with more of them the answers still come too late."""
    price = asked(runs / "tiny", "workload=chat, llm=qwen3-32b, accelerator=l4", 20.0)
    assert price.verdict == EXCLUDED
    first, then = price.reasons
    assert first.startswith("memory: qwen3-32b on l4")
    assert then.startswith("then attainment")
    assert all(
        repair.startswith("allow 8 accelerators per replica of qwen3-32b, and ")
        for repair in price.repairs
    )


def test_a_market_that_no_policy_allows_is_one_reason_for_all_workloads(
    runs: Path, tmp_path: Path
) -> None:
    price = asked(runs / "tiny", "market=spot")
    assert price.repairs == ("set policy.spot_share_max to 1",)
    mended = tmp_path / "mended"
    planner.whatif(runs / "tiny", ["policy.spot_share_max=1"], output=mended, time_limit=10.0)
    assert asked(mended, "market=spot", 20.0).verdict in (PRICED, BOUNDED, SAME)


def test_what_conflicts_with_the_other_rules_is_proved_impossible(runs: Path) -> None:
    price = asked(runs / "small", "market=spot")
    assert price.verdict == INFEASIBLE
    assert price.reasons == ("spot share of 0.3",)
    assert price.repairs


def test_what_the_plan_does_already_costs_nothing(runs: Path) -> None:
    price = asked(runs / "tiny", "workload=*, region=gcp:*|aws:eu-*, accelerator=l4")
    assert (price.verdict, price.least, price.most) == (SAME, 0.0, 0.0)


def test_a_dominated_offer_is_brought_back_when_it_is_named(runs: Path) -> None:
    """Pruning is valid for plans that are free to take the better offer."""
    dominated = build_candidates(facts_of("tiny")).dominated_machines
    assert "gcp:us-central1/gcp_g2-standard-24" in dominated
    price = asked(runs / "tiny", "workload=chat, offer=gcp_g2-standard-24")
    assert price.verdict == PRICED
    assert (price.least or 0.0) > 100.0, "two cards at a time, and a dearer host"


# ------------------------------------------------------------------ asking


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("adaptation", "write KEY=NAME"),
        ("adaptation=", "write KEY=NAME"),
        ("adaption=rag", "no key 'adaption'; did you mean adaptation"),
        ("workload=chatt", "no workload 'chatt'; did you mean chat?"),
        ("region=aws:eu-nord-1", "did you mean aws:eu-north-1"),
        ("llm=llama", "no llm 'llama'"),
        ("region=a, region=b", "given twice"),
        ("market=rented", "no market 'rented'"),
    ],
)
def test_unknown_names_are_one_clear_error_with_near_ones(runs: Path, wish: str, said: str) -> None:
    with pytest.raises(PlannerError) as caught:
        asked(runs / "tiny", wish)
    assert said in str(caught.value)
