"""Fleets without a kind of thing: nothing rented, nothing of one's own, no quotas, one of each."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from planner.api import Answer, Request, answer, verify
from planner.cli.text import fleet
from planner.errors import InstanceError

TINY = Path(__file__).resolve().parents[2] / "instances" / "tiny"
HOURS = 728.0
HALVES = ("h00-12", "h12-24")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One workload of 2 requests/s all day, of 600 tokens in and 200 out; nothing to serve it."""
    copy = tmp_path / "fleet"
    shutil.copytree(TINY, copy, ignore=shutil.ignore_patterns("expected.json"))
    write(copy, "workloads", "workload,ttft_target_s", "chat,5")
    write(copy, "length_classes", "workload,input_tokens,output_tokens", "chat,600,200")
    rates = [f"chat,us-east,{half},2" for half in HALVES]
    write(copy, "demand", "workload,origin,slice,requests_per_s", *rates)
    return copy


def write(folder: Path, table: str, *lines: str) -> None:
    (folder / f"{table}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def planned(folder: Path) -> Answer:
    return answer(folder, Request(gap=1e-4, time_limit_s=60.0, threads=1))


def test_a_fleet_of_hosted_llms_alone_costs_their_tokens(folder: Path) -> None:
    header = "llm,provider,ttft_s,tpot_s,gco2e_per_ktok,input_usd_per_mtok,output_usd_per_mtok"
    write(folder, "apis", header, "bought,anyone,0.5,0.01,0.2,1,5")
    write(folder, "quality", "workload,llm,quality", "chat,bought,0.8")
    write(folder, "variants", "workload,llm", "chat,bought")
    plan = planned(folder).plan
    requests = 2.0 * 3600.0 * HOURS
    assert plan.cost_lines["api tokens"] == pytest.approx(requests * (600 + 5 * 200) / 1e6)
    assert plan.carbon_lines["api"] == pytest.approx(requests * 0.8 * 0.2 / 1e3)
    assert plan.fleet == ()
    assert plan.certificate.gap_relative <= 1e-4


@pytest.mark.parametrize("kept", ["header", "nothing"])
def test_who_buys_every_answer_needs_no_tables_of_an_own_fleet(folder: Path, kept: str) -> None:
    """Regions, accelerators and llms without a row, or without a file."""
    for name in ("regions", "accelerators", "llms"):
        if kept == "header":
            write(folder, name, name.removesuffix("s"))
        else:
            (folder / f"{name}.csv").unlink()
    header = "llm,provider,ttft_s,tpot_s,gco2e_per_ktok,input_usd_per_mtok,output_usd_per_mtok"
    write(folder, "apis", header, "bought,anyone,0.5,0.01,0.2,1,5")
    write(folder, "quality", "workload,llm,quality", "chat,bought,0.8")
    write(folder, "variants", "workload,llm", "chat,bought")
    found = planned(folder)
    requests = 2.0 * 3600.0 * HOURS
    tokens_usd = requests * (600 + 5 * 200) / 1e6
    assert found.plan.cost_lines["api tokens"] == pytest.approx(tokens_usd)
    assert verify(found.plan, found.facts).ok
    assert found.plan.provenance["hosted_prices_by_cost"] == {"user": pytest.approx(1.0)}
    assert "prices_by_cost" not in found.plan.provenance
    said = " ".join(found.plan.assumptions)
    assert "Users reach a region" in said
    assert not re.search("host|Embodied|prompt lanes", said), "nothing is held"


def test_an_own_llm_needs_regions_and_accelerators(folder: Path) -> None:
    header = "llm,provider,ttft_s,tpot_s,gco2e_per_ktok,input_usd_per_mtok,output_usd_per_mtok"
    write(folder, "apis", header)
    for name in ("regions", "accelerators", "llms"):
        write(folder, name, name.removesuffix("s"))
    write(folder, "quality", "workload,llm,quality", "chat,llama-3.1-8b,0.6")
    (folder / "variants.csv").unlink()
    with pytest.raises(InstanceError) as caught:
        planned(folder)
    assert "nothing can answer" in " ".join(map(str, caught.value.findings))
    write(folder, "llms", "llm", "llama-3.1-8b")
    with pytest.raises(InstanceError) as caught:
        planned(folder)
    assert [f.file for f in caught.value.findings] == ["regions.csv", "accelerators.csv"]  # type: ignore[attr-defined]


def test_commitments_that_run_already_are_told_as_such(folder: Path) -> None:
    header = "region,offer,market,instances,usd_per_h,end_date"
    machine = "gcp:us-central1,gcp_g2-standard-4"
    rows = [f"{machine},commit-1y,2,0.45,2027-03-31", f"{machine},owned,1,0.3,"]
    write(folder, "owned", header, *rows)
    write(folder, "quality", "workload,llm,quality", "chat,llama-3.1-8b,0.6")
    write(folder, "variants", "workload,llm", "chat,llama-3.1-8b")
    plan = planned(folder).plan
    held = {line.said: line.instances for line in plan.fleet if line.market == "owned"}
    assert held == {"owned": 1, "commit-1y, held": 2}
    assert "commit-1y, held" in "\n".join(fleet(plan, dict.fromkeys(HALVES, HOURS / 2)))


@pytest.mark.parametrize("quota", [False, True], ids=["without quotas", "with a quota of 0"])
def test_a_fleet_of_owned_machines_alone_costs_what_they_cost(folder: Path, quota: bool) -> None:
    header = "region,kind,lat,lon,carbon_gco2e_per_kwh,pue"
    write(folder, "regions", header, "own:site,own,40.7,-74.0,100,1.2")
    write(folder, "accelerators", "accelerator", "h100-sxm")
    owned = "region,offer,instances,usd_per_h,accelerator,accelerators"
    write(folder, "owned", owned, "own:site,own-h100,3,2.5,h100-sxm,1")
    write(folder, "quality", "workload,llm,quality", "chat,llama-3.1-8b,0.6")
    write(folder, "variants", "workload,llm", "chat,llama-3.1-8b")
    if quota:
        write(folder, "quotas", "region,accelerator,accelerators", "own:site,h100-sxm,0")
    plan = planned(folder).plan
    assert plan.cost_lines["owned and committed"] == pytest.approx(3 * 2.5 * HOURS)
    assert {line.market for line in plan.fleet} == {"owned"}
    assert plan.certificate.gap_relative <= 1e-4
