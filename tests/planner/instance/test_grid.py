"""Lanes and operating points where ``[serving]`` is silent: by hand from what is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from planner.api import load
from planner.instance.facts import Facts
from planner.instance.grid import (
    Grid,
    default_grid,
    finest_grid,
    grid_of,
    prompt_lengths,
    refined_grid,
    refines,
)
from planner.plan import Adoption, Plan, ReplicaLine, RoutingLine
from tests.planner.front.front_examples import plan as made_up_plan

INSTANCES = Path(__file__).parents[3] / "instances"


def changed(facts: Facts, **parts: Any) -> Facts:
    return replace(facts, instance=facts.instance.model_copy(update=parts))


def with_serving(facts: Facts, **values: Any) -> Facts:
    settings = facts.instance.settings
    serving = settings.serving.model_copy(update=values)
    return changed(facts, settings=settings.model_copy(update={"serving": serving}))


def with_workloads(facts: Facts, **values: Any) -> Facts:
    rows = (row.model_copy(update=values) for row in facts.instance.workloads)
    return changed(facts, workloads=tuple(rows))


def with_prompts(facts: Facts, *tokens: float) -> Facts:
    """Each workload with classes of these prompts; chat also by a fine-tune, documents by RAG."""
    first = facts.instance.length_classes[0]
    return changed(
        facts,
        length_classes=tuple(
            first.model_copy(
                update={"workload": name, "length_class": f"c{at}", "share": 1.0 / len(tokens),
                        "input_tokens": n}
            )
            for name in ("chat", "documents")
            for at, n in enumerate(tokens)
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def silent() -> Facts:
    """The smallest instance, whose settings say nothing of lanes and points."""
    facts = load(INSTANCES / "tiny")
    return with_serving(facts, operating_tpot_s=None, prompt_lane_tokens=None)


def test_a_lane_is_needed_at_the_length_of_some_prompt_only(silent: Facts) -> None:
    # Chat 600 tokens, documents 500, and 5 chunks of 400 more where they are retrieved.
    assert prompt_lengths(silent) == (500.0, 600.0, 2500.0)


def test_the_cached_part_of_a_prompt_is_not_prefilled(silent: Facts) -> None:
    rows = (row.model_copy(update={"cached_share": 0.5}) for row in silent.instance.length_classes)
    cached = with_workloads(changed(silent, length_classes=tuple(rows)), rag_cached_share=0.9)
    assert prompt_lengths(cached) == (250.0, 300.0, 450.0)


def test_the_longest_prompt_has_a_lane(silent: Facts) -> None:
    """Two in a thousand of the requests had 45,251 tokens: none of one's own llms served any."""
    assert default_grid(with_prompts(silent, 500.0, 9667.0, 45251.0)).lane_tokens == (
        2500.0, 11700.0, 47300.0,
    )  # fmt: skip


def test_prompts_that_nobody_sends_have_no_lane(silent: Facts) -> None:
    rows = silent.instance.demand
    chat = changed(silent, demand=tuple(row for row in rows if row.workload == "chat"))
    assert prompt_lengths(chat) == (600.0,)


def test_a_target_has_a_point_somewhat_below_it(silent: Facts) -> None:
    assert default_grid(with_workloads(silent, tpot_target_s=0.04)).tpot_s == (0.02, 0.032, 0.08)
    # 40 ms are below 60 ms by the factor 1.5: nothing to add.
    assert default_grid(with_workloads(silent, tpot_target_s=0.06)).tpot_s == (0.02, 0.04, 0.08)
    assert default_grid(with_workloads(silent, tpot_target_s=0.01)).tpot_s == (
        0.008, 0.02, 0.04, 0.08,
    )  # fmt: skip


def test_without_a_target_the_reader_sets_the_pace(silent: Facts) -> None:
    free = with_workloads(silent, tpot_target_s=None, consumption_tokens_per_s=4.0)
    assert default_grid(free).tpot_s == (0.02, 0.04, 0.08, 0.25)


def test_what_the_settings_give_is_all_there_is(silent: Facts) -> None:
    given = with_serving(silent, operating_tpot_s=(0.05,), prompt_lane_tokens=(4096.0, 8192.0))
    assert not refines(given) and refines(with_serving(given, operating_tpot_s=None))
    assert grid_of(given) == finest_grid(given) == Grid((4096.0, 8192.0), (0.05,))
    lanes_only = with_serving(silent, prompt_lane_tokens=(4096.0,))
    assert finest_grid(lanes_only).lane_tokens == (4096.0,)
    assert len(finest_grid(lanes_only).tpot_s) > 5


def test_the_finest_grid_holds_the_default_one(silent: Facts) -> None:
    default, finest = default_grid(silent), finest_grid(silent)
    assert set(default.lane_tokens) <= set(finest.lane_tokens) == {500.0, 600.0, 2500.0}
    assert set(default.tpot_s) < set(finest.tpot_s)
    steps = zip(finest.tpot_s, finest.tpot_s[1:], strict=False)
    assert max(slower / faster for faster, slower in steps) < 1.21


def using(facts: Facts, tpot_s: float, lane: float) -> Plan:
    """A plan that answers chat on one pool."""
    made = made_up_plan(1.0, 1.0, 0.5, "base", 8)
    pool = ReplicaLine(
        "p", "r", "o", "l4", "llama-3.1-8b", "llama-3.1-8b", 1, "fp8", "vllm", tpot_s, lane,
        "h00-12", 1,
    )  # fmt: skip
    route = RoutingLine("chat", "all", "us-east", "h00-12", 0, "r", "p", "h00-12", 1.0, 1.0)
    variant = next(v for v in facts.variants if v.variant == "chat/llama-3.1-8b/base")
    adopted = Adoption("chat", variant.llm, "base", None, None, None, 0.0, variant.variant, "", "")
    return replace(made, adoption=(adopted,), replicas=(pool,), routing=(route,))


def test_the_grid_is_refined_where_the_plan_uses_it(silent: Facts) -> None:
    grid = Grid((2500.0,), (0.02, 0.04, 0.08))
    finer = refined_grid(silent, grid, using(silent, 0.04, 2500.0))
    # Halfway, by ratio, to both neighbours; and a lane for the 600 tokens now served in 2,500.
    assert finer.of("llama-3.1-8b", "l4") == ((600.0, 2500.0), (0.02, 0.0283, 0.04, 0.0566, 0.08))
    assert finer.of("llama-3.1-8b", "h100-sxm") == finer.of("qwen3-32b", "l4") == (
        (2500.0,), (0.02, 0.04, 0.08),
    )  # fmt: skip


def test_at_the_ends_of_the_grid_it_is_extended(silent: Facts) -> None:
    finer = refined_grid(silent, Grid((600.0,), (0.02, 0.04)), using(silent, 0.02, 600.0))
    assert finer.of("llama-3.1-8b", "l4")[1] == (0.0141, 0.02, 0.0283, 0.04)


def test_refining_comes_to_an_end(silent: Facts) -> None:
    grid, plan = Grid((600.0,), (0.02, 0.04, 0.08)), using(silent, 0.04, 600.0)
    for _ in range(10):
        before, grid = grid, refined_grid(silent, grid, plan)
    assert grid == before
    nearest = [x for x in grid.of("llama-3.1-8b", "l4")[1] if x < 0.04][-1]
    assert 0.04 / nearest < 1.08


def test_two_grids_together_have_the_points_of_both() -> None:
    one = Grid((4096.0,), (0.02,)).with_finer("a", "l4", Grid((600.0,), (0.03,)))
    both = one | Grid((8192.0,), (0.02, 0.05))
    assert (both.lane_tokens, both.tpot_s) == ((4096.0, 8192.0), (0.02, 0.05))
    assert both.of("a", "l4") == ((600.0, 4096.0, 8192.0), (0.02, 0.03, 0.05))
    assert Grid.from_dict({"lane_tokens": [1.0], "tpot_s": [2.0], "finer": []}) == Grid(
        (1.0,), (2.0,)
    )


def test_a_plan_keeps_its_grid_in_json() -> None:
    grid = Grid((4096.0,), (0.02,)).with_finer("a", "l4", Grid((600.0,), (0.03,)))
    made = replace(made_up_plan(1.0, 1.0, 0.5, "base", 8), grid=grid)
    assert Plan.from_json(made.to_json()) == made
