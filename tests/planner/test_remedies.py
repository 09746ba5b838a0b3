"""Impossible fleets of many kinds: what excludes them is told, and every remedy told was tried.

Each remedy is made here by hand, on the instance, and planned: with it there is a plan, with a
little less there is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import planner
from models.fleet.program import build_program
from planner.api import Request, answer, with_request
from planner.candidates import UnservedError, build_candidates
from planner.cli.plan import error_text
from planner.errors import InfeasibleError
from planner.instance.facts import Facts
from planner.instance.schema import Quota
from planner.remedies import explained
from tests.models.fleet.solving import optimum

TINY = Path(__file__).resolve().parents[2] / "instances" / "tiny"
SECONDS = 20.0


@pytest.fixture(scope="module")
def tiny() -> Facts:
    return planner.load(TINY)


def with_workload(facts: Facts, name: str, **values: Any) -> Facts:
    """Other figures of one workload."""
    rows = tuple(
        w.model_copy(update=values) if w.workload == name else w for w in facts.instance.workloads
    )
    return replace(facts, instance=facts.instance.model_copy(update={"workloads": rows}))


def with_quotas(facts: Facts, **most: int) -> Facts:
    """The same quotas in every region."""
    quotas = tuple(
        Quota(region=r.region, accelerator=card.replace("_", "-"), accelerators=count)
        for r in facts.regions
        for card, count in most.items()
    )
    return replace(facts, instance=facts.instance.model_copy(update={"quotas": quotas}))


def impossible(facts: Facts, **asked: Any) -> InfeasibleError:
    with pytest.raises(InfeasibleError) as caught:
        answer(facts, Request(time_limit_s=SECONDS, threads=1, **asked))
    return caught.value


def number_after(words: str, before: str) -> float:
    found = re.search(rf"{re.escape(before)} ([\d,.]+)", words)
    assert found is not None, (words, before)
    return float(found[1].replace(",", ""))


def is_possible(facts: Facts, **asked: Any) -> bool:
    """By plain HiGHS on the whole stated program."""
    try:
        data = build_candidates(with_request(facts, Request(**asked)), prune=False).data
    except InfeasibleError:
        return False
    return bool(np.isfinite(optimum(build_program(data), "cost")))


TARGETS: list[tuple[str, str, float]] = [
    ("ttft_target_s", "TTFT", 0.12),  # the network alone takes nearly as long
    ("tpot_target_s", "TPOT", 0.004),
]


@pytest.mark.parametrize(("field", "name", "target"), TARGETS)
def test_a_latency_target_out_of_reach_is_raised_to_the_least_that_keeps_the_attainment(
    tiny: Facts, field: str, name: str, target: float
) -> None:
    error = impossible(with_workload(tiny, "chat", **{field: target}))
    assert any(f"{name} target" in reason for reason in error.conflict)
    (words,) = error.repair
    least = number_after(words, f"raise the {name} target of chat to") / 1e3
    assert is_possible(with_workload(tiny, "chat", **{field: least}))
    assert not is_possible(with_workload(tiny, "chat", **{field: 0.97 * least}))


def test_what_alone_does_not_help_is_not_advised(tiny: Facts) -> None:
    """More memory lets another llm in, but that is too slow as well."""
    error = impossible(with_workload(tiny, "chat", ttft_target_s=0.12))
    assert any(reason.startswith("memory:") for reason in error.conflict)
    assert not any("memory" in words for words in error.repair)


def test_two_targets_that_bind_one_behind_the_other_are_told_together(tiny: Facts) -> None:
    both = with_workload(tiny, "chat", ttft_target_s=0.12, tpot_target_s=0.004)
    error = impossible(both)
    assert any("TPOT target" in reason for reason in error.conflict)
    assert any("then TTFT target" in reason for reason in error.conflict)
    (words,) = error.repair
    ttft, tpot = (number_after(words, f"{name} target of chat to") for name in ("TTFT", "TPOT"))
    mended = with_workload(tiny, "chat", ttft_target_s=ttft / 1e3, tpot_target_s=tpot / 1e3)
    assert is_possible(mended)
    assert not is_possible(with_workload(both, "chat", ttft_target_s=ttft / 1e3))
    assert not is_possible(with_workload(both, "chat", tpot_target_s=tpot / 1e3))


def test_every_workload_that_cannot_be_served_is_told(tiny: Facts) -> None:
    one = with_workload(tiny, "chat", quality_min=0.9)
    error = impossible(with_workload(one, "documents", residency="mars"))
    first, second = error.conflicts
    assert sum("the floor is 0.900" in reason for reason in first.rules) == 3
    assert first.repairs == ("lower quality_min of chat to 0.750",)
    assert second.repairs == ("drop the residency mars of documents",)


def test_an_attainment_names_the_target_that_would_do_as_well(tiny: Facts) -> None:
    error = impossible(with_workload(tiny, "chat", attainment_min=0.995))
    assert error.conflict == ("attainment of chat of 0.995",)
    lower, raised = error.repair[0], error.repair[1]
    assert is_possible(
        with_workload(tiny, "chat", attainment_min=number_after(lower, "from 0.995 to"))
    )
    target = number_after(raised, "target of chat to") / 1e3
    field = "ttft_target_s" if "TTFT" in raised else "tpot_target_s"
    assert is_possible(with_workload(tiny, "chat", attainment_min=0.995, **{field: target}))


def test_a_quota_is_raised_to_the_least_whole_number_of_accelerators(tiny: Facts) -> None:
    error = impossible(with_quotas(tiny, l4=1, h100_sxm=0))
    assert error.conflict == (
        "quota of l4 in gcp:us-central1 of 1 accelerators",
        "quota of l4 in aws:eu-north-1 of 1 accelerators",
    )
    assert [words.split(" (")[0] for words in error.repair] == [
        "raise the quota of l4 in gcp:us-central1 from 1 to 2 accelerators",
        "raise the quota of l4 in aws:eu-north-1 from 1 to 2 accelerators",
    ]
    assert is_possible(with_quotas(tiny, l4=2, h100_sxm=0))


def test_where_quotas_leave_no_machine_at_all_one_is_to_be_raised(tiny: Facts) -> None:
    error = impossible(with_quotas(tiny, l4=0, h100_sxm=0))
    for part in error.conflicts:
        assert any(rule.startswith("quota: gcp:us-central1/") for rule in part.rules)
        (words,) = (w for w in part.repairs if "quota of l4 in gcp:us-central1" in w)
        assert number_after(words, "to") in (1.0, 2.0)
    assert is_possible(with_quotas(tiny, l4=2, h100_sxm=0))
    assert "and 14 more (--json lists all)" in error_text(error, "tiny")


@pytest.mark.parametrize(
    ("asked", "before"),
    [
        ({"caps": {"cost": 500.0}}, "raise the cap on cost from 500 to"),
        ({"caps": {"carbon": 1.0}}, "raise the cap on carbon from 1 to"),
        ({"floors": {"qoe": 0.95}}, "lower the floor on QoE from 0.95 to"),
    ],
)
def test_caps_and_floors_are_moved_to_the_least_that_a_plan_keeps(
    tiny: Facts, asked: dict[str, dict[str, float]], before: str
) -> None:
    (words,) = impossible(tiny, **asked).repair
    ((kind, limits),) = asked.items()
    (name,) = limits
    assert is_possible(tiny, **{kind: {name: number_after(words, before)}})


def test_caps_out_of_reach_together_have_repairs_that_mend_them_together(tiny: Facts) -> None:
    error = impossible(tiny, caps={"cost": 500.0, "carbon": 5.0}, floors={"qoe": 0.95})
    together = "; ".join(error.together)
    caps = {"cost": 500.0, "carbon": 5.0}
    for name, value in caps.items():
        if f"cap on {name}" in together:
            caps[name] = number_after(together, f"cap on {name} from {value:g} to")
    floor = number_after(together, "floor on QoE from 0.95 to")
    assert is_possible(tiny, caps=caps, floors={"qoe": floor})


def test_the_text_fits_the_width_and_says_once_that_it_is_proved(tiny: Facts) -> None:
    error = impossible(tiny, caps={"cost": 500.0, "carbon": 5.0})
    text = error_text(error, "tiny")
    assert text.count("no plan exists (proved)") == 1
    assert max(map(len, text.splitlines())) <= 100
    assert "conflict 1 of" in text
    assert "these together mend all of them:" in text


# ------------------------------------------------------------------ single levers


def lever(change: Callable[[Facts], Facts], facts: Facts) -> tuple[str, ...]:
    """The repairs of facts that no candidate serves."""
    changed = change(facts)
    with pytest.raises(UnservedError) as caught:
        build_candidates(changed)
    return explained(changed, caught.value).repair


def test_an_llm_that_fits_no_replica_may_use_more_accelerators(tiny: Facts) -> None:
    def large(facts: Facts) -> Facts:
        cards = tuple(replace(a, memory_gb=9.5) for a in facts.accelerators)
        return replace(facts, accelerators=cards)

    assert any("accelerators per replica of" in words for words in lever(large, tiny))


def test_a_prompt_longer_than_every_context_asks_for_another_llm(tiny: Facts) -> None:
    def short(facts: Facts) -> Facts:
        return replace(facts, llms=tuple(replace(x, context_tokens=500) for x in facts.llms))

    found = lever(short, tiny)
    assert any("with a context of" in words for words in found)


def test_machines_without_a_price_ask_for_one(tiny: Facts) -> None:
    def unpriced(facts: Facts) -> Facts:
        machines = tuple(replace(m, ondemand_usd_per_h=None) for m in facts.machines)
        return replace(facts, machines=machines)

    assert all(words.startswith("give a price for") for words in lever(unpriced, tiny))


@pytest.mark.parametrize("columns", [60, 80])
def test_messages_fit_a_narrow_terminal(
    tiny: Facts, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = error_text(impossible(tiny, caps={"cost": 500.0}), "a-folder-with-a-name")
    assert max(map(len, text.splitlines())) <= columns
