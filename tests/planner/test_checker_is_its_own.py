"""The checker repeats no slip of the program: every shared formula is broken in turn and noticed.

A formula of money, energy, adaptation or quality that the program uses is scaled by 1.25 wherever
it is held; the plan then made states wrong figures, and the checker, which computes by
`planner.verify.formulas`, has to say so. Functions that the program starts to use are broken too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from types import ModuleType
from typing import Any

import pytest

import planner
import planner.candidates.build
from models.coefficients import adaptation, answer, energy, money, quality
from planner.answer.build import build_plan
from planner.candidates import build_candidates
from planner.instance.facts import Facts
from planner.verify import verify_plan
from planner.verify.report import VerificationReport
from planner.verify.terms import Terms
from tests.planner.hand_made import result

TINY = Path(__file__).resolve().parents[2] / "instances" / "tiny"
SHARED = (adaptation, energy, money, quality)
SPEEDS = {"streaming_score", "expected_streaming_score"}
"""Of the user's clock, and shared like all speeds."""
NOT_IN_A_FIGURE = {"smallest_accelerator_count", "training_memory_bytes"}
"""They decide which machines may train, whose refusal test_verify.py holds."""


def modules() -> Iterator[ModuleType]:
    for name, module in list(sys.modules.items()):
        if name.startswith(("models.", "planner.")):
            yield module


def in_use() -> list[Callable[..., Any]]:
    """Functions of the shared modules that the program's side holds."""
    makers = [m for m in modules() if m.__name__.startswith("planner.candidates")]
    held = [value for m in (*makers, answer) for value in vars(m).values()]
    names = {m.__name__ for m in SHARED}
    found = {f for f in held if callable(f) and getattr(f, "__module__", "") in names}
    return sorted(found, key=lambda f: f.__name__)


def broken(formula: Callable[..., Any]) -> Callable[..., Any]:
    def scaled(*arguments: Any, **named: Any) -> Any:
        return 1.25 * formula(*arguments, **named)

    return scaled


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """A fleet with an index, a fine-tune, replicas and a hosted llm, all in use."""
    folder = tmp_path_factory.mktemp("own") / "tiny"
    copytree(TINY, folder)
    (folder / "apis.csv").write_text(
        "llm,provider,ttft_s,tpot_s,gco2e_per_ktok\nclaude-haiku-4-5,anthropic,0.7,0.009,0.15\n"
    )
    (folder / "variants.csv").write_text(
        "workload,llm,adaptation\n"
        "chat,llama-3.1-8b,rag+fine-tune\n"
        "documents,claude-haiku-4-5,base\n"
    )
    (folder / "quality.csv").write_text(
        "workload,llm,adaptation,quality\n"
        "chat,llama-3.1-8b,base,0.6\nchat,llama-3.1-8b,rag+fine-tune,0.7\n"
        "documents,claude-haiku-4-5,base,0.8\n"
    )
    (folder / "workloads.csv").write_text(
        "workload,ttft_target_s,tpot_target_s,quality_min,facts_change_per_day,affected_share,"
        "corpus_tokens,training_tokens,staff_h_per_refresh\n"
        "chat,2,0.08,0.1,0.005,0.2,20000000,2000000,2\n"
        "documents,3,0.08,0.1,0.005,0.2,,,\n"
    )
    return planner.load(folder)


def checked(facts: Facts) -> VerificationReport:
    candidates = build_candidates(facts)
    return verify_plan(facts, build_plan(facts, candidates, result(candidates.data), "cost"))


def test_the_plan_is_sound_while_nothing_is_broken(facts: Facts) -> None:
    report = checked(facts)
    assert report.violations == ()
    for line in ("api tokens", "re-embedding", "index hosting", "training compute"):
        assert report.cost_lines[line] > 0.0, line
    for line in ("serving energy", "api", "idle energy", "embodied", "index", "training"):
        assert report.carbon_lines[line] > 0.0, line


def test_bought_tokens_carry_water(facts: Facts) -> None:
    """8.4 l for every kgCO2e where nobody says, and what the table says where it does."""
    (api,) = facts.apis
    assert api.water_l_per_ktok == pytest.approx(0.15e-3 * 8.4)
    wet = replace(facts, apis=(replace(api, water_l_per_ktok=1.0),))
    items = [i for i in Terms(facts).items.values() if i.workload.workload == "documents"]
    ktok = sum(i.requests * (i.length.input_tokens + i.length.output_tokens) for i in items) / 1e3
    added_l = checked(wet).water_l - checked(facts).water_l
    assert added_l == pytest.approx(ktok * (1.0 - 0.15e-3 * 8.4))
    assert checked(wet).violations == ()


@pytest.mark.parametrize(
    "formula",
    [f for f in in_use() if f.__name__ not in SPEEDS | NOT_IN_A_FIGURE],
    ids=lambda f: f.__name__,
)
def test_a_slip_in_a_shared_formula_is_found(
    facts: Facts, formula: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in modules():
        for name, value in list(vars(module).items()):
            if value is formula:
                monkeypatch.setattr(module, name, broken(formula))
    rules = {violation.rule for violation in checked(facts).violations}
    assert rules & {"cost-lines", "carbon-lines", "water", "objectives"}, formula.__name__
