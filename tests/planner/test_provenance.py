"""How the figures of a plan are known: what the user replaced is the user's, in every share."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import planner
from planner.answer.known import told
from planner.cli.text import known
from planner.instance.facts import Facts, source_of
from planner.plan import Plan

TINY = Path(__file__).resolve().parents[2] / "instances" / "tiny"
L4 = "gcp:us-central1,gcp_g2-standard-4,l4,1"


def fleet(tmp_path: Path, **tables: str) -> Facts:
    """The tiny instance with some tables replaced."""
    folder = tmp_path / "tiny"
    shutil.copytree(TINY, folder)
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    return planner.load(folder)


def planned(facts: Facts, *changes: str) -> Plan:
    return planner.plan(facts, gap=0.2, time_limit=20.0, changes=changes)


REPLACED = {
    "offers": "region,offer,accelerator,accelerators,ondemand_usd_per_h,price_date\n"
    f"{L4},0.42,2026-08-01\n",
    "regions": "region,carbon_gco2e_per_kwh,pue\ngcp:us-central1,350,1.2\n",
    "accelerators": "accelerator,memory_gb,tdp_w\nl4,22,75\n",
    "llms": "llm,precisions\nllama-3.1-8b,fp8\n",
    "quality": "workload,llm,adaptation,quality\n*,llama-3.1-8b,base,0.7\n",
    "variants": "workload,llm,adaptation\n*,llama-3.1-8b,base\n*,llama-3.1-8b,rag\n",
}


@pytest.fixture(scope="module")
def replaced(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    facts = fleet(tmp_path_factory.mktemp("replaced"), **REPLACED)
    plan = planned(facts)
    assert {line.offer for line in plan.fleet} <= {m.offer for m in facts.machines}
    return plan


def test_a_price_of_the_user_is_not_the_catalogs(replaced: Plan) -> None:
    paid = replaced.provenance["prices_by_cost"]
    l4 = {line.offer for line in replaced.fleet}
    assert l4 == {"gcp_g2-standard-4"}
    assert paid == {"user": pytest.approx(1.0)}


def test_grid_power_and_memory_have_shares_of_their_own(replaced: Plan) -> None:
    for key in ("grid_carbon", "facility", "power", "memory"):
        assert replaced.provenance[f"{key}_by_accelerator_hours"] == {"user": pytest.approx(1.0)}
    assert replaced.provenance["embodied_by_accelerator_hours"] == {"catalog": pytest.approx(1.0)}


def test_text_and_report_tell_the_same_shares(replaced: Plan) -> None:
    said = " ".join(" ".join(known(replaced)).split())
    assert "prices of machines, by cost: user 100.0 %" in said
    assert "grid carbon, by accelerator-hours: user 100.0 %" in said
    assert "power of accelerators, by accelerator-hours: user 100.0 %" in said
    assert " PUE and water, by accelerator-hours: user 100.0 %" in said
    titles = [title for title, _ in told(replaced)]
    assert "Prices of machines, by cost" in titles
    assert "Embodied carbon of accelerators, by accelerator-hours" not in titles


def test_shares_are_those_of_what_is_paid(tmp_path: Path) -> None:
    """A machine held anyway is the user's; what is rented beside it is the catalog's."""
    owned = "region,offer,instances,usd_per_h\ngcp:us-central1,gcp_g2-standard-4,1,0.3\n"
    plan = planned(fleet(tmp_path, owned=owned))
    held = plan.cost_lines["owned and committed"]
    rented = sum(plan.cost_lines[market] for market in ("on-demand", "spot"))
    assert rented > 0.0
    shares = plan.provenance["prices_by_cost"]
    assert shares["user"] == pytest.approx(held / (held + rented))
    assert shares["catalog"] == pytest.approx(rented / (held + rented))


def test_a_change_by_the_request_is_told_market_by_market(tmp_path: Path) -> None:
    facts = fleet(tmp_path)
    moved = planner.instance.changes.with_changes(facts, ["prices.l4*.on-demand*=1.1"])
    l4 = next(m for m in moved.machines if m.accelerator == "l4")
    assert source_of(l4, "ondemand_usd_per_h") == "changed"
    assert source_of(l4, "spot_usd_per_h") == "catalog"


def test_an_override_is_the_users_and_is_told_with_its_reason(tmp_path: Path) -> None:
    rows = (
        "table,id,column,value,reason\n"
        "offers,gcp:us-central1/gcp_g2-standard-4,ondemand_usd_per_h,0.5,contract\n"
        "regions,gcp:us-central1,pue,1.2,measured\n"
        "accelerators,l4,embodied_high_kgco2e,150,vendor\n"
    )
    facts = fleet(tmp_path, overrides=rows)
    machine = next(m for m in facts.machines if m.machine == "gcp:us-central1/gcp_g2-standard-4")
    region = next(r for r in facts.regions if r.region == "gcp:us-central1")
    card = next(a for a in facts.accelerators if a.accelerator == "l4")
    assert source_of(machine, "ondemand_usd_per_h") == "user"
    assert source_of(machine, "commit_1y_usd_per_h") == "catalog"
    assert source_of(region, "pue") == "user"
    assert source_of(region, "carbon_kgco2e_per_kwh") == "catalog"
    assert source_of(card, "embodied_kgco2e") == "user"
    assert "ondemand_usd_per_h of gcp:us-central1/gcp_g2-standard-4 is 0.5" in " ".join(
        facts.assumptions
    )


def test_idle_power_that_nobody_measured_is_assumed(tmp_path: Path) -> None:
    facts = fleet(tmp_path, accelerators="accelerator\nl4\nh100-sxm\na100-40gb\n")
    cards = {card.accelerator: card for card in facts.accelerators}
    assert source_of(cards["a100-40gb"], "idle_w") == "assumed"
    assert source_of(cards["l4"], "tdp_w", "idle_w") == "catalog"


def test_what_a_feed_wrote_is_told_with_its_date(tmp_path: Path) -> None:
    note = "# feed aws: the price list, of 2026-08-01 12:00 UTC, fetched 2026-08-02, sha256 abc\n"
    facts = fleet(tmp_path, offers=note + REPLACED["offers"])
    assert (
        "Figures of offers.csv are by feed aws: the price list, of 2026-08-01 12:00 UTC, fetched "
        "2026-08-02." in facts.assumptions
    )
    machine = next(m for m in facts.machines if m.machine == "gcp:us-central1/gcp_g2-standard-4")
    assert machine.provenance.endswith("by the user: ondemand_usd_per_h of 2026-08-01")


def test_the_age_of_the_grid_is_not_the_catalogs_where_the_user_gave_it(tmp_path: Path) -> None:
    assert "regions (carbon)" not in fleet(tmp_path, **REPLACED).ages


def test_plan_json_holds_every_share(replaced: Plan) -> None:
    body = json.loads(replaced.to_json())["provenance"]
    assert body["prices_by_cost"] == {"user": pytest.approx(1.0)}
    assert "hosted_prices_by_cost" not in body, "nothing is bought by the token"
