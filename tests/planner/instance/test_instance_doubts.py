"""Figures far from what they replace, and slices that no calendar has: refused or pointed out.

Each is told with both figures, and each may be meant: `accept` in instance.toml says so.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from planner.cli import run
from planner.errors import InstanceError
from planner.instance.copy import accept as also_accept
from planner.instance.findings import Finding
from planner.instance.load import check_folder
from planner.instance.tables import read_settings

TINY = Path(__file__).resolve().parents[3] / "instances" / "tiny"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The tiny instance, for changes: two regions, l4 and h100-sxm, 728 h from September on."""
    shutil.copytree(TINY, tmp_path / "tiny")
    return tmp_path / "tiny"


def write(folder: Path, said: str) -> None:
    """``table.csv:header:row;row``."""
    name, header, rows = said.split(":", 2)
    (folder / name).write_text("\n".join([header, *rows.split(";")]) + "\n")


def accept(folder: Path, *names: str) -> None:
    path = folder / "instance.toml"
    listed = ", ".join(f'"{name}"' for name in names)
    path.write_text(f"accept = [{listed}]\n" + path.read_text())


def refused(folder: Path) -> list[Finding]:
    try:
        check_folder(folder)
    except InstanceError as error:
        return [finding for finding in error.findings if isinstance(finding, Finding)]
    return []


def a3_highgpu(price: str) -> str:
    """The machine of eight H100 that costs 88.49 USD/h in the catalog."""
    row = f"gcp:us-central1,gcp_a3-highgpu-8g,h100-sxm,8,{price}"
    return f"offers.csv:region,offer,accelerator,accelerators,ondemand_usd_per_h:{row}"


def grid(grams: str) -> str:
    """A grid that the catalog knows at 501 g/kWh, and another left alone."""
    return f"regions.csv:region,carbon_gco2e_per_kwh:gcp:us-central1,{grams};aws:eu-north-1,"


def card(column: str, value: str) -> str:
    return f"accelerators.csv:accelerator,{column}:l4,;h100-sxm,{value}"


def own_offer(price: str) -> str:
    row = f"gcp:us-central1,my-h100-8,h100-sxm,8,{price}"
    return f"offers.csv:region,offer,accelerator,accelerators,ondemand_usd_per_h:{row}"


def held(price: str, market: str = "owned") -> str:
    row = f"gcp:us-central1,gcp_a3-highgpu-8g,{market},1,{price}"
    return f"owned.csv:region,offer,market,instances,usd_per_h:{row}"


def override(table: str, row: str, column: str, value: str) -> str:
    return f"overrides.csv:table,id,column,value,reason:{table},{row},{column},{value},test"


def own_site(grams: str) -> str:
    return (
        "regions.csv:region,kind,lat,lon,carbon_gco2e_per_kwh,pue:"
        f"gcp:us-central1,cloud,,,,;aws:eu-north-1,cloud,,,,;own:x,own,50,8,{grams},1.3"
    )


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (a3_highgpu("11.06"), "1/8 of the catalog's 88.49: the price of one accelerator?"),
        (a3_highgpu("11.1"), "1/8 of the catalog's 88.49"),
        (a3_highgpu("708"), "8 times the catalog's 88.49"),
        (a3_highgpu("9.46"), "1/9.35 of the catalog's 88.49"),
        (own_offer("2.95"), "0.3688 USD/h per accelerator; prices of one h100-sxm"),
        (held("11.06"), "the price of one accelerator?"),
        (grid("0.488"), "1/1,027 of the catalog's 501: another unit, such as kg for g"),
        (grid("0.5"), "another unit"),
        (grid("30"), "1/16.7 of the catalog's 501"),
        (own_site("0.338"), "grids, in gCO2e per kWh, are 11.36 to 700"),
        (card("memory_gb", "640"), "7.48 times the catalog's 85.521"),
        (card("tdp_w", "5600"), "8 times the catalog's 700"),
        (card("idle_w", "800"), "above its full power, 700 W"),
        (card("embodied_kgco2e", "0.307"), "another unit"),
        (override("regions", "gcp:us-central1", "carbon_gco2e_per_kwh", "0.488"), "another unit"),
        (
            override("offers", "gcp:us-central1/gcp_a3-highgpu-8g", "ondemand_usd_per_h", "11.06"),
            "the price of one accelerator?",
        ),
        (override("accelerators", "h100-sxm", "memory_bandwidth_gb_per_s", "3.35"), "1/1,000"),
    ],
)
def test_a_slip_is_refused_with_both_figures_unless_it_is_meant(
    folder: Path, said: str, problem: str
) -> None:
    write(folder, said)
    found = refused(folder)
    assert len(found) == 1
    assert problem in found[0].problem
    assert f'accept = ["{found[0].name}"]' in str(found[0])
    accept(folder, found[0].name)
    assert refused(folder) == []
    told = " ".join(check_folder(folder).facts.assumptions)
    assert f"Accepted as meant: {found[0].place}" in told


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (
            "offers.csv:region,offer,accelerator,accelerators,ondemand_usd_per_h:"
            "gcp:us-central1,gcp_g2-standard-24,l4,2,1.0004",
            "1/2 of the catalog's 2.0008: the price of one accelerator?",
        ),
        (a3_highgpu("25"), "1/3.54 of the catalog's 88.49"),
        (own_offer("11"), "1.375 USD/h per accelerator"),
        (held("3"), "0.375 USD/h per accelerator"),
        (grid("120"), "1/4.17 of the catalog's 501"),
        (grid("0"), "0, and the catalog's 501"),
        (card("memory_gb", "141"), "1.65 times the catalog's 85.521"),
        (card("idle_w", "300"), "4.17 times the catalog's 72"),
        ("slices.csv:slice,hours,month,start_hour_utc,end_hour_utc:"
         "h00-12,364,2,0,12;h12-24,364,9,12,24", "February is not in the period"),
        ("accelerators.csv:accelerator:l4;h100-sxm;mi300x", "no offer in any"),
        ("regions.csv:region:gcp:us-central1;aws:eu-north-1;azure:norwaywest", "no offer of any"),
        ("accelerators.csv:accelerator:l4", "its weights take 33 GB at fp8"),
    ],
)  # fmt: skip
def test_what_lies_less_far_or_does_no_harm_is_pointed_out(
    folder: Path, said: str, problem: str
) -> None:
    write(folder, said)
    checked = check_folder(folder)
    assert [problem in warning.problem for warning in checked.warnings] == [True]
    assert checked.facts.assumptions[0].startswith("Pointed out: ")
    accept(folder, checked.warnings[0].name)
    assert check_folder(folder).warnings == ()


@pytest.mark.parametrize(
    "said",
    [
        a3_highgpu("62"),
        own_offer("20"),
        held("26"),
        held("0"),
        grid("402"),
        card("memory_gb", "94"),
        card("idle_w", "110"),
        override("parameters", "access_network_rtt_ms", "value", "0"),
    ],
)
def test_another_year_a_discount_or_a_measurement_is_not_doubted(folder: Path, said: str) -> None:
    write(folder, said)
    assert check_folder(folder).warnings == ()


def test_a_market_based_grid_may_be_zero_but_not_in_kilograms(folder: Path) -> None:
    path = folder / "instance.toml"
    path.write_text(path.read_text() + '[carbon]\naccounting = "market"\n')
    write(folder, grid("0"))
    assert check_folder(folder).warnings == ()
    write(folder, grid("0.488"))
    assert len(refused(folder)) == 1


def test_a_setting_in_another_unit_is_pointed_out(folder: Path) -> None:
    path = folder / "instance.toml"
    path.write_text(path.read_text() + "[carbon]\nhost_w_per_accelerator = 0.15\n")
    warning = check_folder(folder).warnings[0]
    assert warning.column == "carbon.host_w_per_accelerator"
    assert "1/1,000 of a large server's 150: another unit" in warning.problem


def test_an_acceptance_that_names_nothing_is_pointed_out(folder: Path) -> None:
    accept(folder, "offers/*")
    warning = check_folder(folder).warnings[0]
    assert (warning.column, warning.value) == ("accept", "offers/*")


def test_names_are_added_to_a_list_that_is_there(folder: Path) -> None:
    path = folder / "instance.toml"
    path.write_text('accept = [\n "a/b",\n]\n' + path.read_text())
    also_accept(folder, "offers/*", "a/b")
    settings, _, findings = read_settings(path)
    assert findings == []
    assert settings is not None
    assert settings.accept == ("a/b", "offers/*")


def test_a_star_accepts_several(folder: Path) -> None:
    write(folder, "regions.csv:region,carbon_gco2e_per_kwh:gcp:us-central1,0.5;aws:eu-north-1,0.02")
    assert len(refused(folder)) == 2
    accept(folder, "regions/*/carbon_gco2e_per_kwh")
    assert refused(folder) == []


def test_a_spot_share_without_spot_prices_is_no_error(folder: Path) -> None:
    (folder / "regions.csv").write_text("region\nazure:eastus2\n")
    (folder / "accelerators.csv").write_text("accelerator\nh100-nvl\n")
    path = folder / "instance.toml"
    path.write_text(path.read_text().replace("[policy]\n", "[policy]\nspot_share_max = 0.3\n"))
    assert [w.column for w in check_folder(folder).warnings] == ["policy.spot_share_max"]


# ------------------------------------------------------------------ the calendar


def slices(*rows: str) -> str:
    return "slices.csv:slice,hours,month,start_hour_utc,end_hour_utc:" + ";".join(rows)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (("h00-12,700,9,0,12", "h12-24,28,9,12,24"),
         "h00-12 stands for 700 h between 00:00 and 12:00, but the 30.3 days of the period have "
         "364 h of them"),
        (("h00-12,364,9,0,12", "h12-24,364,9,0,12"), "h00-12, h12-24 stand for 728 h"),
        (("h00-12,600,9,22,6", "h12-24,128,9,6,22"), "between 22:00 and 06:00"),
        (("h00-12,400,9,0,10", "h12-24,328,9,2,12"), "between 00:00 and 10:00"),
        (("h00-12,300,9,0,10", "h12-24,428,9,2,14"), "between 02:00 and 14:00"),
    ],
)  # fmt: skip
def test_windows_hold_no_more_hours_than_the_days_have(
    folder: Path, rows: tuple[str, ...], problem: str
) -> None:
    write(folder, slices(*rows))
    found = refused(folder)
    assert len(found) == 1
    assert problem in found[0].problem


@pytest.mark.parametrize(
    "rows",
    [
        ("h00-12,364,9,0,12", "h12-24,364,9,12,24"),
        ("h00-12,360,9,0,12", "h12-24,368,9,12,24"),
        ("h00-12,243,9,22,6", "h12-24,485,9,6,22"),
        ("h00-12,60,9,10,12", "h12-24,668,9,0,24"),
        ("h00-12,260,9,8,20", "h12-24,468,9,0,24"),
    ],
)
def test_windows_that_overlap_or_go_over_midnight_may_be_right(
    folder: Path, rows: tuple[str, ...]
) -> None:
    write(folder, slices(*rows))
    assert check_folder(folder).warnings == ()


@pytest.mark.parametrize(
    "rows",
    [
        ("h00-12,4380,1,0,24", "h12-24,4380,7,0,24"),
        ("h00-12,4380,1,0,12", "h12-24,4380,7,12,24"),
    ],
)
def test_some_months_of_a_year_may_stand_for_all(folder: Path, rows: tuple[str, ...]) -> None:
    path = folder / "instance.toml"
    path.write_text(path.read_text().replace("hours = 728.0", "hours = 8760"))
    write(folder, slices(*rows))
    assert check_folder(folder).warnings == ()


def test_a_month_has_no_more_hours_than_the_period_has_of_it(folder: Path) -> None:
    path = folder / "instance.toml"
    path.write_text(path.read_text().replace("hours = 728.0", "hours = 1464"))
    write(folder, slices("h00-12,1200,9,0,24", "h12-24,264,10,0,24"))
    assert [w.problem for w in check_folder(folder).warnings] == [
        "the slices of September stand for 1200 h, the period has 720 h of it"
    ]


# ------------------------------------------------------------------ the command


def test_validate_lists_warnings_and_leaves_with_0(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, grid("120"))
    assert run(["validate", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("valid, 1 warning")
    assert 'accept = ["regions/gcp:us-central1/carbon_gco2e_per_kwh"]' in printed
    assert run(["validate", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["valid"]
    assert len(found["instances"][0]["warnings"]) == 1


@pytest.mark.parametrize("name", ["tiny", "small", "reference"])
def test_nothing_is_doubted_in_what_is_shipped(name: str) -> None:
    assert check_folder(TINY.parent / name).warnings == ()


def test_every_command_that_plans_points_out_on_stderr(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, grid("120"))
    kept = str(tmp_path / "run")
    for words in (
        ["plan", str(folder), "--output", kept],
        ["whatif", kept, "--set", "demand*=1.1", "--output", str(tmp_path / "whatif")],
        ["replan", str(folder), "--current", kept, "--output", str(tmp_path / "replan")],
        ["front", str(folder), "--epsilon", "50%", "--output", str(tmp_path / "front")],
    ):
        assert run(words) == 0, words
        assert "Pointed out: " in capsys.readouterr().err, words


def survives(folder: Path, share: str) -> None:
    path = folder / "instance.toml"
    text = re.sub(r"region_loss_share = .*\n", "", path.read_text())
    path.write_text(text.replace("[policy]", f"[policy]\nregion_loss_share = {share}"))


def test_no_more_survives_the_loss_of_a_region_than_the_others_answer(folder: Path) -> None:
    survives(folder, "0.5")
    assert refused(folder) == []
    survives(folder, "1")
    (found,) = refused(folder)
    assert found.column == "policy.region_loss_share"
    assert "of 2 allowed regions for chat at most 0.5 survives the loss of one" in found.problem


def test_a_loss_of_a_region_that_does_not_bind_batch_demand_is_pointed_out(folder: Path) -> None:
    survives(folder, "0.4")
    write(folder, "workloads.csv:workload,kind,corpus_tokens,training_tokens:"
          "chat,,,2000000;documents,batch,20000000,")  # fmt: skip
    write(folder, "demand.csv:workload,origin,slice,requests_per_s:chat,us-east,h00-12,1;"
          "chat,us-east,h12-24,1;documents,us-east,,1")  # fmt: skip
    (warning,) = check_folder(folder).warnings
    assert warning.column == "policy.region_loss_share"
    assert "documents is batch" in warning.problem
    accept(folder, warning.name)
    assert check_folder(folder).warnings == ()
