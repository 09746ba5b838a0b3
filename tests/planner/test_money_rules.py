"""Small rules of money and knowledge, each against arithmetic written out here.

Engine (`planner.candidates`) and checker (`planner.verify`) compute by code of their own, so every
figure is asked of both.
"""

from __future__ import annotations

import datetime as dt
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import planner
from planner.candidates import adaptation as engine
from planner.candidates import build_candidates
from planner.candidates.legs import legs_of, mixture_quality
from planner.candidates.migration import Changes
from planner.catalog import load_catalog
from planner.errors import InstanceError
from planner.instance.facts import Facts, Prices, VariantFacts
from planner.instance.load import load_instance
from planner.instance.peaks import peak_share
from planner.instance.resolve import resolve
from planner.instance.schema import HostedApi, Instance, Slice
from planner.verify import adaptation as checker
from planner.verify.figures import peak_price, usd_per_request
from planner.verify.migration import Moves
from planner.verify.terms import Terms

INSTANCES = Path(__file__).parents[2] / "instances"
MONTH_H = 728.0
INDEX_GB = 50_000 * (4 * 1024 + 8 * 32 * 1.1) / 1e9
"""tiny's 20 Mtok in chunks of 400."""


@pytest.fixture(scope="module")
def instance() -> Instance:
    return load_instance(INSTANCES / "tiny")


@pytest.fixture(scope="module")
def facts(instance: Instance) -> Facts:
    return resolve(instance, load_catalog())


def with_rows(instance: Instance, **tables: Any) -> Facts:
    return resolve(instance.model_copy(update=tables), load_catalog())


def with_documents(instance: Instance, **figures: Any) -> Facts:
    """The instance with other figures of the workload that is answered with retrieval."""
    chat, documents = instance.workloads
    return with_rows(instance, workloads=(chat, documents.model_copy(update=figures)))


def variant(facts: Facts, name: str) -> VariantFacts:
    return next(v for v in facts.variants if v.variant == name)


# ------------------------------------------------------------------ network


def test_what_comes_in_is_free_and_answers_are_sent_at_the_price_of_the_internet(
    facts: Facts,
) -> None:
    """200 tokens of 4 bytes at 0.102 USD a GiB (median of six list prices): 7.6e-8 USD."""
    per_gb = 0.102 / 1.073741824
    assert facts.prices.egress_usd_per_gb == pytest.approx(per_gb, rel=1e-5)
    base = variant(facts, "chat/llama-3.1-8b/base")
    (length,) = [c for c in facts.instance.length_classes if c.workload == "chat"]
    usd = usd_per_request(Terms(facts), base, 0, length, None)["network"]
    assert usd == pytest.approx(200 * 4 / 1e9 * per_gb, rel=1e-5)
    data = build_candidates(facts).data
    item = data.item_workload.tolist().index(0)
    mine = data.group_item[data.route_group] == item
    assert data.route_cost_lines_usd[mine, 2] == pytest.approx(usd * data.item_requests[item])


@pytest.mark.parametrize(
    ("regions", "usd_per_gib"),
    [
        pytest.param(("gcp:us-central1",), 0.02, id="one region"),
        pytest.param(("gcp:us-central1", "aws:us-east-1"), 0.02, id="one continent"),
        pytest.param(("gcp:us-central1", "gcp:europe-west4"), 0.08, id="two continents"),
    ],
)
def test_copies_go_at_the_price_between_regions(
    instance: Instance, regions: tuple[str, ...], usd_per_gib: float
) -> None:
    """Medians of seven and eight list prices per GiB, told per 1e9 bytes."""
    row = instance.regions[0]
    found = with_rows(
        instance, regions=tuple(row.model_copy(update={"region": name}) for name in regions)
    )
    assert found.prices.copy_usd_per_gb == pytest.approx(usd_per_gib / 1.073741824, rel=1e-5)


# ------------------------------------------------------------------ people and copies


@pytest.mark.parametrize(("hours", "usd"), [(16.0, 16 * 728 / 730 * 120), (0.0, 0.0)])
def test_people_keep_an_index(instance: Instance, hours: float, usd: float) -> None:
    """16 h a month at 120 USD: 1,914.74 USD in 728 h."""
    found = with_documents(instance, index_staff_h_per_month=hours)
    rag = variant(found, "documents/llama-3.1-8b/rag")
    assert engine.staff_usd(found, rag, found.instance.workloads[1]) == pytest.approx(usd)
    assert checker.staff_usd(Terms(found), rag) == pytest.approx(usd)
    both = replace(rag, adaptation="rag+fine-tune", method="lora", refresh_days=30.0)
    work = usd + 728 / 720 * 40 * 120  # and 40 h a fine-tune, every 30 days
    assert engine.staff_usd(found, both, found.instance.workloads[1]) == pytest.approx(work)
    assert checker.staff_usd(Terms(found), both) == pytest.approx(work)


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_replicas_of_an_index_are_held_side_by_side(instance: Instance, replicas: int) -> None:
    """Memory and its power by replica; what changed is sent once a region."""
    found = with_documents(instance, index_replicas=replicas)
    rag, workload = variant(found, "documents/llama-3.1-8b/rag"), found.instance.workloads[1]
    prices, passes = found.prices, 728 / 24 * -math.expm1(-0.005)
    usd = INDEX_GB * (
        replicas * prices.vector_ram_usd_per_gb_h * 728 + passes * prices.copy_usd_per_gb
    )
    cost, carbon = engine.hosting(found, rag, workload, len(found.regions))
    assert cost == pytest.approx(usd)
    place = found.regions[0]
    mine = checker.host_figures(Terms(found), rag, place.region)
    kg = 0.3 * replicas * INDEX_GB * 0.728 * place.pue * np.mean(place.carbon_kgco2e_per_kwh)
    assert (mine.cost_usd, mine.carbon_kgco2e) == pytest.approx((usd, kg))
    assert carbon[0] == pytest.approx(kg)


def test_a_new_fleet_makes_its_first_index_and_fine_tune(facts: Facts) -> None:
    """A third of the set-up falls into 728 h of a horizon of 2,190 h. Index: 20 Mtok at 0.09 USD;
    fine-tune: 2 h of people; copies: sent once to every region that serves."""
    share = 728 / 2190
    chat, documents = facts.instance.workloads
    rag, tuned = (
        variant(facts, name)
        for name in ("documents/llama-3.1-8b/rag", "chat/llama-3.1-8b/fine-tune")
    )
    new, moves = Changes(facts, None), Moves(Terms(facts), None)
    index_usd, tune_usd = share * 20 * 0.09, share * 2 * 120
    assert new.first_index_usd(rag, documents) == pytest.approx(index_usd)
    assert moves.first_index_usd(rag) == pytest.approx(index_usd)
    assert new.first_tune_usd(tuned, chat) == pytest.approx(tune_usd)
    assert moves.first_tune_usd(tuned) == pytest.approx(tune_usd)
    first = share / (728 / 720)  # of the runs of the period, one every 30 days
    assert new.first_run(tuned) == pytest.approx(first)
    assert moves.first_run(tuned) == pytest.approx(first)
    regions = [place.region for place in facts.regions]
    sent = share * INDEX_GB * facts.prices.copy_usd_per_gb
    assert new.copy(rag, documents, regions)[0] == pytest.approx(sent)
    assert moves.new_copy(rag, regions[0]).cost_usd == pytest.approx(sent)


def test_nothing_else_of_a_new_fleet_is_a_change(facts: Facts) -> None:
    base = variant(facts, "chat/llama-3.1-8b/base")
    new, moves = Changes(facts, None), Moves(Terms(facts), None)
    assert new.work_usd(base) == moves.work_usd(base) == 0.0
    machine = facts.machines[0]
    assert new.per_accelerator(machine) == moves.per_accelerator(machine) == (0.0, 0.0)


# ------------------------------------------------------------------ hours that are dearer


@pytest.mark.parametrize(
    ("windows", "begin", "end", "share"),
    [
        ("1-4;6-10", 0, 24, 7 / 24),
        ("1-4;6-10", 0, 12, 7 / 12),
        ("1-4;6-10", 12, 24, 0.0),
        ("1-4;6-10", 22, 8, 5 / 10),
        ("0.5-16.5", 0, 12, 11.5 / 12),
        ("22-6", 20, 8, 8 / 12),
        ("22-0", 18, 24, 2 / 6),
        (None, 0, 24, 0.0),
    ],
)
def test_the_share_of_a_slice_in_dear_hours(
    windows: str | None, begin: int, end: int, share: float
) -> None:
    part = Slice(slice="x", hours=10.0, month=1, start_hour_utc=begin, end_hour_utc=end)
    assert peak_share(windows, part) == pytest.approx(share)


@pytest.fixture(scope="module")
def hosted(instance: Instance) -> Facts:
    """Tiny with a hosted llm of which the catalog knows dear hours."""
    api = HostedApi(
        llm="deepseek-v4-pro", provider="deepseek", ttft_s=0.5, tpot_s=0.01, gco2e_per_ktok=0.1
    )
    quality = [
        row.model_copy(update={"llm": "deepseek-v4-pro"})
        for row in instance.quality
        if row.llm == "qwen3-32b" and row.adaptation == "base"
    ]
    rows = [
        row.model_copy(update={"llm": "deepseek-v4-pro"})
        for row in instance.variants
        if row.llm == "qwen3-32b" and row.adaptation == "base"
    ]
    return with_rows(
        instance,
        apis=(api,),
        quality=(*instance.quality, *quality),
        variants=(*instance.variants, *rows),
    )


def test_tokens_cost_twice_as_much_in_the_dear_hours_of_a_seller(hosted: Facts) -> None:
    """deepseek-v4-pro: 0.66 USD in, 1.98 out per Mtok; twice that from 1 to 4 and 6 to 10 UTC. Of
    the hours 0 to 12 seven are dear: 600 in, 200 out are 792 micro-USD x (1 + 7/12)."""
    (api,) = hosted.apis
    assert (api.input_usd_per_mtok, api.output_usd_per_mtok) == (0.66, 1.98)
    terms, data = Terms(hosted), build_candidates(hosted).data
    chat = variant(hosted, "chat/deepseek-v4-pro/base")
    (length,) = [c for c in hosted.instance.length_classes if c.workload == "chat"]
    assert usd_per_request(terms, chat, 0, length, api)["api tokens"] == pytest.approx(792e-6)
    assert usd_per_request(terms, chat, 0, length, api)["network"] == 0.0
    adopted = data.group_variant == data.variants.index(chat.variant)
    for at, (part, factor) in enumerate(zip(hosted.instance.slices, (19 / 12, 1.0), strict=True)):
        assert peak_price(terms, api, part.slice) == pytest.approx(factor)
        mine = adopted[data.route_group] & (data.route_slice == at) & (data.route_pool < 0)
        requests = data.item_requests[data.group_item[data.route_group[mine]]]
        assert len(requests)
        assert data.route_cost_lines_usd[mine, 0] == pytest.approx(792e-6 * factor * requests)


def test_a_plan_with_dear_hours_passes_the_checker(hosted: Facts) -> None:
    only = tuple(v for v in hosted.variants if v.hosted)
    plan = planner.plan(replace(hosted, variants=only))
    assert planner.verify(plan, replace(hosted, variants=only)).ok
    requests = {
        t: 3600 * 364 * sum(r.requests_per_s for r in hosted.instance.demand
                            if r.workload == "chat" and r.slice == t)
        for t in (part.slice for part in hosted.instance.slices)
    }  # fmt: skip
    others = {
        t: 3600 * 364 * sum(r.requests_per_s for r in hosted.instance.demand
                            if r.workload == "documents" and r.slice == t)
        for t in requests
    }  # fmt: skip
    usd = sum(
        factor * (792e-6 * requests[t] + (500 * 0.66e-6 + 250 * 1.98e-6) * others[t])
        for t, factor in zip(requests, (19 / 12, 1.0), strict=True)
    )
    assert plan.cost_lines["api tokens"] == pytest.approx(usd)


def test_the_users_own_price_has_no_dear_hours_but_the_users(hosted: Facts) -> None:
    (api,) = hosted.instance.apis
    own = api.model_copy(update={"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0})
    dear = own.model_copy(update={"peak_hours_utc": "8-20", "peak_factor": 1.5})
    catalog = load_catalog()
    for row, expected in ((own, (1.0, None)), (dear, (1.5, "8-20"))):
        (found,) = resolve(hosted.instance.model_copy(update={"apis": (row,)}), catalog).apis
        assert (found.peak_factor, found.peak_hours_utc) == expected


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        pytest.param("1-4,", "peak_factor", id="hours without a factor"),
        pytest.param(",2", "peak_hours_utc", id="a factor without hours"),
        pytest.param("9-25,2", "peak_hours_utc", id="an hour that no day has"),
        pytest.param("9 to 12,2", "peak_hours_utc", id="words"),
        pytest.param("9-12,200", "peak_factor", id="a price in the place of a factor"),
    ],
)
def test_dear_hours_that_are_not_whole_are_findings(
    tmp_path: Path, cells: str, column: str
) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(INSTANCES / "tiny", folder)
    (folder / "apis.csv").write_text(
        "llm,provider,ttft_s,tpot_s,gco2e_per_ktok,peak_hours_utc,peak_factor\n"
        f"deepseek-v4-pro,deepseek,0.5,0.01,0.1,{cells}\n"
    )
    with pytest.raises(InstanceError) as found:
        load_instance(folder)
    assert [x.column for x in found.value.findings if x.file == "apis.csv"] == [column]


# ------------------------------------------------------------------ what weights know


def age_of(facts: Facts, name: str) -> tuple[float, float]:
    return variant(facts, name).base_age_days


def test_weights_age_from_the_end_of_their_training_data(facts: Facts) -> None:
    """Llama 3.1 knows until 31 December 2023, 975 days before 1 September 2026 (366 of 2024, 365
    of 2025, 243 to 31 August, 1 more); Qwen3 was released on 29 April 2025, 490 days before."""
    days = MONTH_H / 24
    assert age_of(facts, "documents/llama-3.1-8b/base") == pytest.approx((975.0, 975.0 + days))
    assert age_of(facts, "documents/qwen3-32b/base") == pytest.approx((490.0, 490.0 + days))


def test_a_cut_off_of_the_user_comes_first_and_none_is_a_year(instance: Instance) -> None:
    stated = tuple(
        row.model_copy(update={"knowledge_cutoff": dt.date(2026, 8, 22)})
        if row.llm == "llama-3.1-8b"
        else row
        for row in instance.llms
    )
    found = with_rows(instance, llms=stated)
    assert age_of(found, "documents/llama-3.1-8b/base")[0] == 10.0
    unknown = tuple(row.model_copy(update={"llm": "glm-5"}) if row.llm == "qwen3-32b" else row
                    for row in instance.llms)  # fmt: skip
    rows = tuple(row.model_copy(update={"llm": "glm-5"}) for row in instance.variants
                 if row.llm == "qwen3-32b")  # fmt: skip
    quality = tuple(row.model_copy(update={"llm": "glm-5"}) for row in instance.quality
                    if row.llm == "qwen3-32b")  # fmt: skip
    other = with_rows(instance, llms=unknown, variants=rows, quality=quality)
    assert age_of(other, "documents/glm-5/base")[0] == 365.0


def test_quality_of_weights_that_nobody_trains_again(facts: Facts) -> None:
    """u = 0.005 a day, a fifth of the questions. Of the facts 1 - e^(-0.005 x 975) and a little
    more have changed, 0.99291 in the mean over 30.33 days: 0.582 x (1 - 0.2 x 0.99291) = 0.46643.
    """
    base, documents = variant(facts, "documents/llama-3.1-8b/base"), facts.instance.workloads[1]
    ages = np.linspace(975.0, 975.0 + 728 / 24, 200_001)
    changed = np.trapezoid(1.0 - np.exp(-0.005 * ages), ages) / (728 / 24)
    assert changed == pytest.approx(0.99291, abs=1e-5)
    expected = 0.582 * (1.0 - 0.2 * changed)
    assert expected == pytest.approx(0.46643, abs=1e-5)
    assert mixture_quality(legs_of(base, 0, documents, 1)) == pytest.approx(expected, rel=1e-6)
    assert Terms(facts).quality(base) == pytest.approx(expected, rel=1e-6)


def test_what_is_tuned_or_retrieved_does_not_age_with_the_weights(facts: Facts) -> None:
    """An index of a day: phi = 1 - (1 - e^-0.005) / 0.005 = 0.0024958."""
    rag, documents = variant(facts, "documents/llama-3.1-8b/rag"), facts.instance.workloads[1]
    expected = 0.77 * (1.0 - 0.2 * 0.0024958)
    assert mixture_quality(legs_of(rag, 0, documents, 1)) == pytest.approx(expected, rel=1e-6)
    assert Terms(facts).quality(rag) == pytest.approx(expected, rel=1e-6)


def test_prices_are_all_stated(facts: Facts) -> None:
    assert isinstance(facts.prices, Prices)
    assert 0 < facts.prices.copy_usd_per_gb < facts.prices.egress_usd_per_gb
