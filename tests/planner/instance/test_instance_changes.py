"""`--set` expressions: which figures they find, how they move them, and how they fail."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import planner
from planner.api import Request, with_request
from planner.errors import PlannerError
from planner.instance.changes import apply_changes, parse_change, with_changes
from planner.instance.facts import Facts
from planner.instance.figures import KINDS, figures_of

INSTANCES = Path(__file__).resolve().parents[3] / "instances"


@pytest.fixture(scope="module")
def reference() -> Facts:
    return planner.load(INSTANCES / "reference")


def moved(facts: Facts, *texts: str) -> dict[str, tuple[object, object]]:
    """Name -> (old, new) of every figure the changes moved."""
    _, applied = apply_changes(facts, texts)
    return {m.name: (m.old, m.new) for one in applied for m in one.figures}


# ------------------------------------------------------------------ reading


@pytest.mark.parametrize(
    ("text", "path", "operator", "value"),
    [
        ("prices.h100*=0.8", "prices.h100", "*=", 0.8),
        ("prices.h100* =0.8", "prices.h100*", "=", 0.8),
        (" caps.carbon = 1,000 ", "caps.carbon", "=", 1000.0),
        ("quality.chat.llama-3.1-8b.rag+fine-tune+=0.02",
         "quality.chat.llama-3.1-8b.rag+fine-tune", "+=", 0.02),
        ("floors.qoe-=0.01", "floors.qoe", "-=", 0.01),
        ("caps.carbon=none", "caps.carbon", "=", None),
        ("policy.allow_shortfall=true", "policy.allow_shortfall", "=", True),
        ("policy.commitments=commit-1y", "policy.commitments", "=", "commit-1y"),
    ],
)  # fmt: skip
def test_an_expression_is_path_operator_value(
    text: str, path: str, operator: str, value: object
) -> None:
    change = parse_change(text)
    assert (change.path, change.operator, change.value) == (path, operator, value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prices.h100", "write PATH=VALUE"),
        ("=3", "write PATH=VALUE"),
        ("prices.h100=", "write PATH=VALUE"),
        ("prices.h100=1=2", "write PATH=VALUE"),
        ("prise.h100=3", "did you mean prices?"),
        ("prices.h100*=much", "needs a number, not 'much'"),
        ("prices.h100*=none", "needs a number"),
        ("prices.h100*=inf", "needs a number"),
        ("prices.h100=3", "nothing is called prices.h100; did you mean prices.h100-sxm"),
        ("demand.suport-chat*=2", "did you mean demand.support-chat"),
        ("prices.h100-sxm=cheap", "must be a number"),
        ("prices.h100-sxm=none", "must be a number"),
        ("prices.h100-sxm*=100", "at least 0.005 and at most 200"),
        ("demand.support-chat*=-1", "would be -1,249 requests/s; it must be at least"),
        ("quality.support-chat*=2", "at most 1"),
        ("carbon.* =100", "in different units (gCO2e per kWh; gCO2e per 1,000 tokens)"),
        ("caps.carbon*=0.9", "caps.carbon is not set, so it cannot be moved"),
        ("policy.allow_shortfall+=1", "is no number"),
        ("policy.max_llms=2.5", "must be a valid integer"),
        ("policy.commitments=for-ever", "must be 'commit-1y' or 'commit-3y'"),
        ("floors.support-chat.qoe=1.2", "less than or equal to 1"),
        ("quota.aws:us-east-1/h100-sxm=10.5", "must be a whole number"),
        ("targets.support-chat.ttft_s=1000", "at most 300"),
    ],
)
def test_what_cannot_be_meant_is_one_clear_error(reference: Facts, text: str, said: str) -> None:
    with pytest.raises(PlannerError) as caught:
        with_changes(reference, [text])
    assert said in str(caught.value)
    assert repr(text) in str(caught.value)
    assert caught.value.exit_code == 1


# ------------------------------------------------------------------ finding


def test_a_price_answers_to_accelerator_offer_region_and_market(reference: Facts) -> None:
    machine = next(m for m in reference.machines if m.accelerator == "h100-sxm")
    name = f"prices.{machine.machine}.on-demand"
    for path in (
        "prices.h100-sxm", "prices.h100-sxm.on-demand", f"prices.{machine.offer}",
        f"prices.{machine.machine}", f"prices.{machine.region}/h100-sxm",
        f"prices.{machine.region}", "prices.on-demand", "prices.h?00-sxm", "prices.*",
    ):  # fmt: skip
        assert name in moved(reference, f"{path}*=0.9"), path
    assert name not in moved(reference, "prices.h100-sxm.spot*=0.9")


def test_an_exact_name_wins_over_a_beginning(reference: Facts) -> None:
    cards = {m.machine: m.accelerator for m in reference.machines}

    def touched(text: str) -> set[str]:
        return {cards[name.removeprefix("prices.").rpartition(".")[0]]
                for name in moved(reference, text)}  # fmt: skip

    assert touched("prices.l4*=0.9") == {"l4"}
    assert touched("prices.h*=0.9") == {"h100-sxm", "h200-sxm"}
    assert touched("prices.l4** =1.0") == {"l4", "l40s"}


def test_a_beginning_counts_only_before_the_star_of_a_product(reference: Facts) -> None:
    with pytest.raises(PlannerError, match="nothing is called"):
        with_changes(reference, ["prices.h100+=0.1"])


def test_every_kind_of_figure_can_be_moved_by_its_own_name(reference: Facts) -> None:
    for kind in KINDS:
        for figure in list(figures_of(reference, kind))[::9]:
            if isinstance(figure.value, float | int) and not isinstance(figure.value, bool):
                assert set(moved(reference, f"{figure.names[0]}*=1")) >= {figure.names[0]}


def test_a_factor_of_one_changes_nothing(reference: Facts) -> None:
    every = [f"{kind}.*=1" for kind in KINDS if kind not in {"caps", "policy"}]
    same = with_changes(reference, every)
    for table in ("machines", "apis", "regions", "accelerators", "variants", "prices"):
        assert unmarked(getattr(same, table)) == unmarked(getattr(reference, table)), table
    assert same.instance == reference.instance


def unmarked(rows: object) -> list[dict[str, object]]:
    listed = rows if isinstance(rows, tuple) else (rows,)
    return [
        {k: v for k, v in dataclasses.asdict(row).items() if k not in {"provenance", "sources"}}
        for row in listed
    ]


# ------------------------------------------------------------------ moving


def test_a_set_price_is_that_of_one_accelerator(reference: Facts) -> None:
    facts = with_changes(reference, ["prices.h100-sxm.on-demand=2.5"])
    mine = [m for m in facts.machines if m.accelerator == "h100-sxm" and m.ondemand_usd_per_h]
    assert {m.accelerators for m in mine} >= {1, 8}
    assert all(m.ondemand_usd_per_h == 2.5 * m.accelerators for m in mine)
    before = {m.machine: m.spot_usd_per_h for m in reference.machines}
    assert all(m.spot_usd_per_h == before[m.machine] for m in mine)


def test_a_change_of_price_puts_nothing_on_sale(reference: Facts) -> None:
    facts = with_changes(reference, ["prices.*=0.9"])
    for before, after in zip(reference.machines, facts.machines, strict=True):
        for column in ("ondemand", "spot", "commit_1y", "commit_3y"):
            old, new = (getattr(m, f"{column}_usd_per_h") for m in (before, after))
            assert new == (None if old is None else pytest.approx(0.9 * old))


def test_changes_apply_one_after_the_other(reference: Facts) -> None:
    facts = with_changes(reference, ["caps.carbon=1000", "caps.carbon*=0.5", "caps.carbon+=100"])
    assert facts.instance.settings.caps.carbon_kgco2e == 600.0
    assert with_changes(facts, ["caps.carbon=none"]).instance.settings.caps.carbon_kgco2e is None


def test_carbon_is_written_in_grams(reference: Facts) -> None:
    facts = with_changes(reference, ["carbon.aws:eu-north-1=20"])
    (region,) = (r for r in facts.regions if r.region == "aws:eu-north-1")
    assert set(region.carbon_kgco2e_per_kwh) == {0.02}


def test_a_quota_that_is_not_there_can_be_set_not_moved(reference: Facts) -> None:
    given = {(q.region, q.accelerator) for q in reference.instance.quotas}
    free = next(m for m in reference.machines if (m.region, m.accelerator) not in given)
    facts = with_changes(reference, [f"quota.{free.region}/{free.accelerator}=16"])
    assert facts.instance.quotas[-1].accelerators == 16.0
    assert len(facts.instance.quotas) == len(reference.instance.quotas) + 1
    less = with_changes(reference, ["quota.*=0.9"])
    assert len(less.instance.quotas) == len(reference.instance.quotas)
    assert all(q.accelerators == int(q.accelerators) for q in less.instance.quotas)


def test_quality_of_a_checking_llm_is_quality_of_that_llm(reference: Facts) -> None:
    hybrid = next(v for v in reference.variants if v.check_llm is not None)
    facts = with_changes(reference, [f"quality.{hybrid.workload}.{hybrid.check_llm}.*+=0.01"])
    after = next(v for v in facts.variants if v.variant == hybrid.variant)
    assert after.quality == hybrid.quality
    assert after.check_quality == pytest.approx((hybrid.check_quality or 0.0) + 0.01)


def test_one_variant_among_alike_has_its_own_name(reference: Facts) -> None:
    twins = [v for v in reference.variants if v.variant.endswith("/7d")]
    assert twins
    assert set(moved(reference, f"refresh.{twins[0].variant}=14")) == {
        f"refresh.{twins[0].variant}"
    }


def test_a_changed_row_says_so(reference: Facts) -> None:
    facts = with_changes(reference, ["prices.l4.spot*=0.9", "prices.l4.spot*=0.9"])
    changed = [m for m in facts.machines if m.accelerator == "l4" and m.spot_usd_per_h is not None]
    assert all(m.provenance.startswith("changed by the request; was: catalog") for m in changed)
    others = [m for m in facts.machines if m.accelerator != "l4"]
    assert others == [m for m in reference.machines if m.accelerator != "l4"]


def test_the_assumptions_tell_every_change(reference: Facts) -> None:
    facts = with_changes(reference, ["demand.support-chat*=1.5", "floors.qoe=0.7"])
    assert facts.assumptions[-2:] == (
        "Changed for this plan: demand.support-chat*=1.5: 32 figures, 200.3 to 1,249 -> "
        "300.45 to 1,873.5 requests/s.",
        "Changed for this plan: floors.qoe=0.7: floors.qoe, none -> 0.7 QoE.",
    )


def test_a_request_applies_its_changes_after_its_caps(reference: Facts) -> None:
    request = Request(caps={"carbon": 1000.0}, changes=["caps.carbon*=0.9"])
    assert request.changes == ("caps.carbon*=0.9",)
    assert with_request(reference, request).instance.settings.caps.carbon_kgco2e == 900.0


# ------------------------------------------------------------------ rules between tables


@pytest.fixture(scope="module")
def tiny() -> Facts:
    return planner.load(INSTANCES / "tiny")


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("demand.chat*=0",), "no demand in demand.csv; give it a rate above 0, or delete"),
        (("demand.chat=0",), "no demand in demand.csv"),
        (("demand.*=0",), "no demand in demand.csv"),
        (("demand.chat.europe.h00-12*=1000", "demand.chat.europe.h00-12*=20"),
         "implausible: over 1,000 times"),
        (("workloads.documents.corpus_tokens=0",), "rag needs corpus_tokens, which is 0"),
        (("workloads.chat.min_regions=3",), "only 2 allowed regions may serve it"),
        (("policy.max_regions=1", "workloads.chat.min_regions=2"), "a workload asks for 2 regions"),
    ],
)  # fmt: skip
def test_a_change_keeps_the_rules_between_tables(
    tiny: Facts, texts: tuple[str, ...], said: str
) -> None:
    with pytest.raises(PlannerError) as caught:
        with_changes(tiny, texts)
    assert said in str(caught.value)


def test_one_origin_may_fall_silent(tiny: Facts) -> None:
    assert with_changes(tiny, ["demand.chat.europe*=0"]).instance.demand[2].requests_per_s == 0.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("carbon.gcp:us-central1=0.5", "1/1,002 of today's 501: another unit, such as kg for g,"),
        ("carbon.gcp:us-central1=20", "1/25.1 of today's 501; if it is meant, multiply"),
        ("embodied.h100-sxm=0.3", "another unit"),
        ("prices.gcp:us-central1/gcp_a3-highgpu-8g.on-demand=88.49",
         "8 times today's 11.0612: times its accelerators twice?"),
    ],
)  # fmt: skip
def test_a_set_figure_that_is_a_slip_is_refused_and_may_be_meant(
    tiny: Facts, text: str, said: str
) -> None:
    with pytest.raises(PlannerError) as caught:
        with_changes(tiny, [text])
    assert said in str(caught.value)
    with_changes(tiny, [text], meant=True)
