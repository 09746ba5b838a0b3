"""`planner explain`: choices, break-evens, price tags, thresholds; in words, JSON and notebooks."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from operator import itemgetter
from pathlib import Path

import pytest

import planner
from planner.cli import run
from planner.cli.explain import lines
from planner.cli.text import WIDTH
from planner.errors import PlannerError, RunError
from planner.explain.bench import Bench, Solved
from planner.explain.breakeven import break_evens
from planner.explain.choices import questions
from planner.explain.clock import Clock, useful_s
from planner.explain.flips import (
    Scale,
    at_value,
    compared,
    impossible_note,
    search,
)
from planner.explain.flips import (
    tested_span as span_of,
)
from planner.explain.limits import limits_of
from planner.explain.results import PRICED, Explanation, PriceTag, Trial
from planner.explain.said import tag_rows, threshold
from planner.explain.store import read_sensitivity, store
from planner.explain.study import Ask, Study, read_proof
from planner.explain.tags import moved_to, price_tags, step_of
from planner.explain.thresholds import main_figures, thresholds
from planner.instance.changes import with_changes
from planner.plan import Plan
from planner.runs import write_run
from tests.planner.honest_plans import honest_plan

INSTANCES = Path(__file__).resolve().parents[3] / "instances"


@pytest.fixture(scope="module")
def told(runs: Path) -> Explanation:
    return planner.explain(runs / "tiny", workload="chat", time_limit=600.0)


@pytest.fixture(scope="module")
def bench(runs: Path) -> Bench:
    return Bench.of(*read_proof(runs / "tiny", None))


# ------------------------------------------------------------------ choices


def test_every_choice_of_the_plan_is_asked_about(runs: Path, bench: Bench) -> None:
    plan = Plan.read(runs / "tiny")
    asked = questions(bench.facts, bench.candidates, plan, ())
    assert {(q.kind, q.subject) for q in asked} == {
        *((kind, w) for kind in ("adaptation", "llm", "region") for w in ("chat", "documents")),
        ("accelerator", "gcp:us-central1"),
    }
    shares = [q.share for q in asked]
    assert shares == sorted(shares, reverse=True)
    assert sum(q.share for q in asked if q.kind == "llm") == pytest.approx(1.0)


def test_the_price_of_doing_without_is_that_of_the_runner_up(told: Explanation) -> None:
    choice = next(c for c in told.choices if (c.kind, c.subject) == ("adaptation", "chat"))
    assert choice.runner_up == "llama-3.1-8b, fine-tune (LoRA, every 30 days)"
    price = choice.price
    assert price.verdict == PRICED
    assert price.solved
    assert price.least == pytest.approx(price.most, rel=1e-3)
    forced = planner.plan(
        INSTANCES / "tiny", time_limit=10, changes=["quality.chat.llama-3.1-8b.base=0.1"]
    )
    assert forced.adoption[0].adaptation == "fine-tune"
    assert price.forced_value == pytest.approx(forced.objectives.cost_usd, rel=1e-4)


def test_a_limit_that_rules_a_cheaper_way_out_is_named(runs: Path, bench: Bench) -> None:
    asked = questions(bench.facts, bench.candidates, Plan.read(runs / "tiny"), ())
    choice = next(q for q in asked if (q.kind, q.subject) == ("adaptation", "documents"))
    assert choice.limits == (
        "documents/llama-3.1-8b/base is ruled out: quality 0.466 after staleness, "
        "the floor is 0.600",
        "documents/qwen3-32b/base is ruled out: quality 0.592 after staleness, the floor is 0.600",
    )


def test_filters_keep_to_a_workload_or_a_region(runs: Path, told: Explanation) -> None:
    assert {c.subject for c in told.choices} == {"chat"}
    assert {b.workload for b in told.break_evens} == {"chat"}
    here = planner.explain(runs / "tiny", region="gcp:us-central1", time_limit=120.0)
    assert {c.kind for c in here.choices} == {"region", "accelerator"}
    assert here.break_evens == ()
    with pytest.raises(PlannerError, match="did you mean chat"):
        planner.explain(runs / "tiny", workload="chatt")
    with pytest.raises(PlannerError, match="did you mean gcp:us-central1"):
        planner.explain(runs / "tiny", region="gcp:us-central")


def test_what_is_not_re_solved_still_has_a_proved_price_and_is_told(runs: Path) -> None:
    study = Study.of(runs / "small", None, Ask(), Clock(3600.0))
    plan = study.side.plan
    asked = questions(study.bench.facts, study.bench.candidates, plan, ())
    found = study.choices(asked, Clock(0.0))
    assert len(found) == len(asked) == len(study.missed)
    assert study.missed[0] == f"re-solve without the {asked[0]}"
    assert not any(c.price.solved for c in found)
    assert any((c.price.least or 0.0) > 1000.0 for c in found)


def test_what_there_is_no_time_to_price_at_all_is_told_too(runs: Path) -> None:
    study = Study.of(runs / "tiny", None, Ask(), Clock(0.0))
    asked = questions(study.bench.facts, study.bench.candidates, study.side.plan, ())
    assert study.choices(asked, study.clock) == []
    assert study.missed == [str(question) for question in asked]


def test_break_evens_that_are_not_reached_are_told_apart(runs: Path, bench: Bench) -> None:
    found, missed = break_evens(bench, Plan.read(runs / "tiny"), ["chat"], Clock(1e-9))
    assert found == []
    assert len(missed) == len(set(missed)) > 0
    assert "break-even of chat: quality, when fresh, of chat/" in " ".join(missed)


# ------------------------------------------------------------------ where verdicts turn


def test_break_evens_turn_where_plans_on_both_sides_say_so(told: Explanation) -> None:
    by = {(b.workload, b.rival, b.figure): b for b in told.break_evens}
    floor = by["chat", "fine-tune", "quality"]
    assert floor.flip is not None
    assert floor.flip.proved
    assert floor.flip.first_rival < 0.6 <= floor.flip.last_own
    assert floor.guess == pytest.approx(0.6, abs=1e-6)
    demand = by["chat", "fine-tune", "demand"]
    assert demand.flip is None
    assert (demand.tested_low, demand.tested_high) == (0.2, 5.0)
    for at, adaptation in ((floor.flip.last_own, "base"), (floor.flip.first_rival, "fine-tune")):
        plan = planner.plan(INSTANCES / "tiny", time_limit=60, changes=[f"{floor.change}{at:.10g}"])
        assert plan.adoption[0].adaptation == adaptation


def test_thresholds_say_where_the_choices_stop_being_the_best(runs: Path, bench: Bench) -> None:
    plan = Plan.read(runs / "tiny")
    rows = {row.change: row for row in main_figures(bench, plan)}
    names = ("quality.chat/llama-3.1-8b/base+=", "prices.l4*=", "carbon.*=")
    found, missed = thresholds(bench, plan, [rows[name] for name in names], Clock(60.0))
    assert not missed
    quality, prices, carbon = found
    assert quality.below is not None
    assert quality.below.proved
    assert quality.below.first_rival < -0.02 <= quality.below.last_own
    assert quality.changes_below == ("chat: llama-3.1-8b, fine-tune (LoRA, every 30 days)",)
    assert (prices.below, prices.above) == (None, None)
    assert (prices.tested_low, prices.tested_high) == (0.5, 2.0)
    assert carbon.note.startswith("carbon is neither minimised nor capped")
    assert [threshold(one) for one in (prices, carbon)] == [
        "price of l4: holds down to x0.5 (proved); holds up to x2 (proved)",
        "grid carbon everywhere: carbon is neither minimised nor capped: it decides nothing here",
    ]


def test_a_verdict_turns_where_the_numbers_say() -> None:
    """Own costs 100, the rival 60 + 10 x value: level at 4."""
    plan = honest_plan(planner.load(INSTANCES / "tiny"))

    def test(value: float) -> Trial:
        own, rival = (Solved(plan, v, v, searched=True) for v in (100.0, 60.0 + 10.0 * value))
        return compared(value, own, rival)

    scale = Scale(factors=True, fine=0.02)
    for guess in (None, 4.0, 4.4, 3.0, 9.0):
        flip, tests, whole = search(test, 8.0, 1.0, guess, scale, Clock(60.0))
        assert whole
        assert flip is not None
        assert flip.proved
        assert flip.first_rival < 4.0 <= flip.last_own
        assert flip.last_own / flip.first_rival < 1.021
        assert len(tests) < 14
    flip, tests, whole = search(test, 8.0, 5.0, None, scale, Clock(60.0))
    assert (flip, whole, len(tests)) == (None, True, 1)


@pytest.mark.parametrize(("today", "end", "guess"), [(0.63, 1.0, 0.99), (0.5, 0.02, 0.03)])
def test_no_value_beyond_the_end_is_tried(today: float, end: float, guess: float) -> None:
    asked = []

    def test(value: float) -> Trial:
        asked.append(value)
        return Trial(value, "own", True, 1.0, 1.0, 1.0)

    search(test, today, end, guess, Scale(factors=False, fine=0.005), Clock(60.0))
    assert asked
    assert all(min(today, end) <= value <= max(today, end) for value in asked)


def test_a_value_that_the_format_refuses_ends_the_search_and_is_told(bench: Bench) -> None:
    tried = at_value(bench, "quality.chat/llama-3.1-8b/base=", 1.03)
    assert isinstance(tried, Trial)
    flip, tests, whole = search(
        lambda _: tried, 0.6, 1.03, None, Scale(factors=False, fine=0.005), Clock(60.0)
    )
    assert (flip, whole) == (None, True)
    assert span_of(0.6, tests) == (0.6, 0.6)
    assert impossible_note(tests) == "at 1.03 a figure leaves the range of the format"


def test_sides_within_their_gaps_are_open() -> None:
    plan = honest_plan(planner.load(INSTANCES / "tiny"))
    own, rival = Solved(plan, 100.0, 95.0, searched=True), Solved(plan, 98.0, 92.0, searched=True)
    found = compared(1.0, own, rival)
    assert (found.leader, found.proved, found.least, found.most) == ("rival", False, -8.0, 3.0)
    assert compared(1.0, own, None).leader == "own"
    assert compared(1.0, None, rival).leader == "rival"
    assert compared(1.0, None, None).leader == "none"


# ------------------------------------------------------------------ price tags


def test_a_loss_of_a_region_is_no_limit_of_demand_that_may_wait(runs: Path) -> None:
    side, _ = read_proof(runs / "tiny", None)
    facts = with_changes(side.facts, ["policy.region_loss_share=0.4"], meant=True)
    chat, documents = facts.instance.workloads
    rows = (chat, documents.model_copy(update={"kind": "batch"}))
    facts = replace(facts, instance=facts.instance.model_copy(update={"workloads": rows}))
    found = [x.workload for x in limits_of(facts, side.plan, ()) if "loss of one" in x.words]
    assert found == ["chat"]


def test_a_price_tag_is_the_difference_of_two_plans(runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "capped"
    planner.whatif(runs / "tiny", ["caps.carbon=180"], output=folder, time_limit=10.0)
    side, stored = read_proof(folder, None)
    bench, plan = Bench.of(side, stored), side.plan
    (cap,) = (x for x in limits_of(side.facts, plan, (), bench.leading) if x.path == "caps.carbon")
    tags, missed = price_tags(bench, [plan], plan.certificate.bound, [cap], Clock(10.0))
    assert not missed
    looser, tighter = tags
    assert (looser.today, looser.moved_to, tighter.moved_to) == (180.0, 189.0, 171.0)
    for tag in tags:
        other = planner.plan(INSTANCES / "tiny", caps={"carbon": tag.moved_to}, time_limit=10)
        change = other.objectives.cost_usd - plan.objectives.cost_usd
        assert tag.least is not None
        assert tag.most is not None
        assert tag.least - 0.01 <= change <= tag.most + 0.01
        assert tag.per_unit == pytest.approx((tag.estimate or 0.0) / (tag.moved_to - 180.0))


def test_a_price_tag_below_a_cent_is_none() -> None:
    tag = PriceTag(
        limit="floor", change="", unit="quality", used=None, today=0.7, moved_to=0.72,
        least=-1e-6, most=2e-6, estimate=1e-6, per_unit=5e-5, feasible=True, solved=True,
    )  # fmt: skip
    assert tag_rows([tag], "USD") == [["floor", "0.7 -> 0.72", "0 (0 to 0)", ""]]
    assert tag_rows([replace(tag, estimate=3.0, most=3.0, per_unit=150.0)], "USD")[0][2:] == [
        "3.00 (0 to 3.00)", "150 USD per 1.00 of quality",
    ]  # fmt: skip


def test_less_room_than_any_plan_needs_is_told_as_proved(runs: Path) -> None:
    side, stored = read_proof(runs / "tiny", None)
    bench = Bench.of(side, stored).changed(["floors.qoe=0.755"])
    (floor,) = (x for x in limits_of(bench.facts, side.plan, ()) if x.path == "floors.qoe")
    floor = replace(floor, limit=0.79)
    tags, _ = price_tags(bench, [side.plan], 0.0, [floor], Clock(10.0))
    tighter = tags[-1]
    assert (tighter.moved_to, tighter.feasible, tighter.estimate) == (0.8, False, None)
    assert tighter.note.startswith("no plan exists there (proved)")


def test_limits_tell_what_is_used_and_how_they_move(runs: Path) -> None:
    side, stored = read_proof(runs / "small", None)
    changed = ["caps.carbon=2000", "floors.qoe=0.6", "policy.max_regions=2", "policy.max_llms=3"]
    bench = Bench.of(side, stored).changed(changed)
    found = {x.path: x for x in limits_of(bench.facts, side.plan, bench.candidates.exclusions)}
    carbon = found["caps.carbon"]
    assert carbon.used == side.plan.objectives.carbon_kgco2e
    assert (carbon.binds, moved_to(carbon, "looser")) == (False, 2100.0)
    assert moved_to(found["floors.qoe"], "looser") == pytest.approx(0.59)
    regions = {line.region for line in side.plan.routing}
    assert found["policy.max_regions"].used == len(regions)
    assert moved_to(found["policy.max_regions"], "looser") == 3.0
    quota = found["quota.aws:us-east-1/h100-sxm"]
    assert (quota.limit, quota.whole, step_of(quota)) == (24.0, 1, 1.0)
    assert moved_to(quota, "tighter") == 23.0
    ttft = found["targets.support-chat.ttft_s"]
    assert (ttft.used, moved_to(ttft, "looser")) == (None, pytest.approx(1.65))


# ------------------------------------------------------------------ the terminal and programs


def test_the_text_begins_with_the_answer_and_the_rest_is_kept(
    runs: Path, told: Explanation, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", str(runs / "tiny"), "--workload", "chat", "--time-limit", "30"]) == 0
    out = capsys.readouterr().out
    assert re.match(r"tiny: cost [\d,]+ USD, proved within 0 % of the least possible; the choice "
                    r"that\smatters most is", out)  # fmt: skip
    assert "adaptation of chat: llama-3.1-8b, base" in out
    assert max(len(line) for line in out.splitlines()) <= WIDTH + 20
    assert "Where another adaptation would win" in out
    assert out.splitlines()[-1].startswith("kept in ")
    kept = read_sensitivity(runs / "tiny")
    assert kept is not None
    settled = itemgetter("workload", "own", "rival", "figure", "change", "unit", "today")
    rows = told.to_dict()["break_evens"]
    assert [settled(row) for row in kept["break_evens"]] == [settled(row) for row in rows]
    assert set(kept["break_evens"][0]) == {*rows[0], "sentence"}
    assert all(row["sentence"] for row in kept["break_evens"])
    assert kept["command"].split()[0] == "planner"


def test_later_explanations_keep_the_sections_they_did_not_make(
    runs: Path, told: Explanation, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(runs / "tiny", folder)
    store(replace_run(told, folder), "planner explain")
    store(replace_run(told, folder, break_evens=()), "planner explain")
    kept = read_sensitivity(folder)
    assert kept is not None
    assert len(kept["break_evens"]) == len(told.break_evens) > 0
    (folder / "sensitivity.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        read_sensitivity(folder)


def replace_run(told: Explanation, folder: Path, **fields: object) -> Explanation:
    return replace(told, run=str(folder), **fields)  # type: ignore[arg-type]


def test_unreached_work_is_exit_code_5(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", str(runs / "small"), "--time-limit", "0.6"]) == 5
    assert "Not reached in the time given" in capsys.readouterr().out


def test_json_holds_the_price_in_full(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wish = "workload=chat, adaptation=fine-tune"
    assert run(["explain", str(runs / "tiny"), "--why-not", wish, "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)["why_not"]
    price = answer["price"]
    assert price["forced_bound"] <= price["forced_value"]
    assert price["forced"]["cost_usd"] == price["forced_value"]


def test_why_not_in_words(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wish = "workload=chat, adaptation=fine-tune"
    assert run(["explain", str(runs / "tiny"), "--why-not", wish]) == 0
    out = capsys.readouterr().out
    assert re.match(rf"{wish}: 32\d USD dearer, proved", out)
    assert "changed: chat: llama-3.1-8b, fine-tune" in out
    assert run(["explain", str(runs / "tiny"), "--why-not", "market=spot"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("market=spot: excluded")
    assert "policy.spot_share_max is 0" in out


def test_a_point_of_a_front_is_explained_at_its_carbon_and_qoe(
    runs: Path, front: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--point", "cheapest", "--region", "gcp:us-central1", "--time-limit", "3"]
    assert run(["explain", str(front), *options]) in (0, 5)
    out = capsys.readouterr().out
    assert "at the carbon and QoE of p" in " ".join(out.split())
    assert "cap on carbon" in out
    assert run(["explain", str(front)]) == 1
    assert "name a point with --point" in capsys.readouterr().err
    assert run(["explain", str(runs / "tiny"), "--point", "p0001"]) == 1
    assert "--point is for fronts" in capsys.readouterr().err
    assert run(["explain", str(INSTANCES / "tiny")]) == 1
    assert "name a run folder" in capsys.readouterr().err


def test_notebooks_have_a_page_and_a_frame(told: Explanation) -> None:
    html = told._repr_html_()
    assert "<table>" in html
    assert "Where retrieval or fine-tuning would win instead" in html
    frame = told.to_frame()
    assert len(frame) == len(told.choices)
    assert {"kind", "subject", "least", "most", "verdict"} <= set(frame.columns)


# ------------------------------------------------------------------ time


def test_time_goes_to_few_tasks_rather_than_to_none() -> None:
    clock = Clock(10.0, useful_s=4.0)
    assert clock.each(2) == pytest.approx(5.0, abs=0.1)
    assert clock.each(100) == 4.0
    assert clock.each(1, solves=3) == 0.0
    assert Clock(3.0, useful_s=4.0).each(1) == 0.0
    assert clock.part(99.0).limit_s <= 10.0


def test_useful_time_is_known_from_the_plans_own_search(runs: Path) -> None:
    plan = Plan.read(runs / "small")
    assert useful_s(plan) >= 0.5
    slow = replace(plan, timings={"relaxation": 10.0, "first plan": 20.0})
    assert useful_s(slow) == pytest.approx(25.0)


def test_an_interrupted_study_gives_what_it_holds(runs: Path) -> None:
    clock, told = Clock(60.0), []

    def stop(what: str) -> None:
        told.append(what)
        if what.startswith("break-even"):
            clock.stopped.set()
            raise KeyboardInterrupt

    clock.news = stop
    found = planner.explain(runs / "tiny", workload="chat", clock=clock)
    assert told[0] == "choice 1 of 3: adaptation of chat: llama-3.1-8b, base"
    assert len(found.choices) == 3
    assert found.break_evens == found.price_tags == ()
    assert found.not_reached == ("the rest: interrupted",)
    with pytest.raises(PlannerError, match="time limit -1"):
        planner.explain(runs / "tiny", time_limit=-1.0)


def test_a_better_plan_met_on_the_way_is_told(tmp_path: Path) -> None:
    poor = honest_plan(planner.load(INSTANCES / "tiny"))
    found = planner.api.answer(INSTANCES / "tiny", planner.api.Request(time_limit_s=10.0))
    dear = replace(poor, certificate=replace(poor.certificate, bound=found.plan.certificate.bound))
    folder = write_run(tmp_path / "run", replace(found, plan=dear))
    told = planner.explain(folder, workload="chat", time_limit=5.0)
    assert told.better is not None
    assert told.better.cost_usd < poor.objectives.cost_usd
    assert "re-plan with more time" in " ".join(lines(told, None))
