"""A plan and a proof begin a search under other prices, also where offers changed places."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from planner.api import Answer, Request, answer, load, with_request
from planner.candidates import build_candidates
from planner.explain.bench import Bench
from planner.explain.carry import carried
from planner.instance.facts import MachineFacts
from planner.verify import verify_certificate, verify_plan
from tests.planner.replan.examples import SMALL, with_prices, with_workloads

REQUEST = Request(minimize="cost", gap=0.05, time_limit_s=60.0, threads=1)
RISE = 1.6
SAME_HOSTS = """
[carbon]
host_w_per_accelerator = 100.0
host_embodied_kgco2e_per_accelerator = 200.0
"""
"""Offers of an accelerator differ in price alone: a dearer one is dominated."""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    place = tmp_path_factory.mktemp("before") / "instance"
    folder = with_workloads(SMALL, place, ("code-completion", "document-questions"))
    settings = folder / "instance.toml"
    settings.write_text(settings.read_text() + SAME_HOSTS)
    return answer(folder, REQUEST)


@pytest.fixture(scope="module")
def moved(before: Answer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every machine the plan uses is dearer, the others of its kind are not."""
    used = {f"{line.region}/{line.offer}" for line in before.plan.fleet}

    def factor(machine: MachineFacts, _: str) -> float:
        return RISE if machine.machine in used else 1.0

    source = Path(before.facts.instance.folder)
    return with_prices(source, tmp_path_factory.mktemp("moved") / "instance", factor)


def test_a_plan_is_carried_to_the_offers_that_took_the_place_of_its_own(
    before: Answer, moved: Path
) -> None:
    facts = with_request(load(moved), REQUEST)
    bench = Bench(facts, None, "cost", before.proof, build_candidates(facts))
    dominated = bench.candidates.dominated_machines
    assert {f"{line.region}/{line.offer}" for line in before.plan.fleet} & dominated.keys()
    found = carried(bench.index, bench.bound, before.plan, dominated)
    assert found is not None
    assert found.totals[0] <= RISE * before.plan.objectives.cost_usd


def test_the_stored_prices_hold_for_an_offer_that_they_do_not_know(
    before: Answer, moved: Path
) -> None:
    """It takes those of its kind in its region, whichever offer that was."""
    facts = with_request(load(moved), REQUEST)
    bench = Bench(facts, None, "cost", before.proof, build_candidates(facts))
    assert bench.bound.value >= 0.9 * before.plan.certificate.bound


def test_a_search_from_the_plan_before_is_proved_as_any_other(before: Answer, moved: Path) -> None:
    found = answer(moved, REQUEST, start=(before.plan,), start_proof=before.proof)
    assert found.plan.certificate.gap_relative <= REQUEST.gap
    assert verify_plan(found.facts, found.plan, None).ok
    _, wrong = verify_certificate(found.facts, found.plan, found.proof, None)
    assert not wrong


def test_a_plan_that_breaks_a_rule_of_the_day_is_no_beginning(before: Answer, moved: Path) -> None:
    cap = 0.98 * answer(moved, REQUEST).plan.objectives.carbon_kgco2e
    capped = dataclasses.replace(REQUEST, caps={"carbon": cap})
    found = answer(moved, capped, start=(before.plan,), start_proof=before.proof)
    assert found.plan.objectives.carbon_kgco2e <= cap
    assert found.plan.certificate.gap_relative <= capped.gap
