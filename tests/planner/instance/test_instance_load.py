"""Loading: what is read, what is converted, what the hash depends on, what is listed together."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.errors import InstanceError
from planner.instance.load import load_instance
from tests.planner.instance.helpers import Edit, findings_of


def test_the_starter_is_valid(starter: Path) -> None:
    instance = load_instance(starter)
    assert instance.settings.name == "starter"
    assert [row.workload for row in instance.workloads] == ["chat", "documents"]
    assert instance.workloads[0].quality_min == 0.5
    assert instance.folder == str(starter)


def test_a_byte_order_mark_and_crlf_change_nothing(starter: Path) -> None:
    plain = load_instance(starter)
    for path in starter.iterdir():
        text = path.read_bytes().replace(b"\n", b"\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + text)
    assert load_instance(starter).workloads == plain.workloads
    assert load_instance(starter).demand == plain.demand


def test_blank_lines_and_notes_are_skipped_but_counted(starter: Path, edit: Edit) -> None:
    edit("accelerators.csv", "l4\n", 'l4\n\n# a note, with "signs\n')
    assert load_instance(starter).accelerators[0].accelerator == "l4"
    edit("accelerators.csv", "h100-sxm", "h100-smx")
    assert findings_of(starter)[0].row == 7


def test_a_rate_per_hour_is_converted(starter: Path) -> None:
    before = load_instance(starter)
    lines = (starter / "demand.csv").read_text().splitlines()
    rows = [line.rsplit(",", 1) for line in lines[2:]]
    per_hour = [f"{row},{float(rate) * 3600.0}" for row, rate in rows]
    header = "workload,origin,slice,requests_per_h"
    (starter / "demand.csv").write_text("\n".join([header, *per_hour]))
    rates = [row.requests_per_s for row in load_instance(starter).demand]
    assert rates == pytest.approx([row.requests_per_s for row in before.demand])


def test_days_are_converted_to_hours(starter: Path, edit: Edit) -> None:
    edit("slices.csv", "slice,hours,month", "slice,days,month")
    edit("slices.csv", "day,365,", "day,15.25,")
    edit("slices.csv", "night,365,", "night,15.166666666666666,")
    hours = [row.hours for row in load_instance(starter).slices]
    assert hours == pytest.approx([366.0, 364.0])


def test_a_setting_in_another_unit_is_converted(starter: Path, edit: Edit) -> None:
    edit("instance.toml", "# operating_tpot_s = [0.03, 0.06]", "operating_tpot_ms = [30, 60]")
    assert load_instance(starter).settings.serving.operating_tpot_s == pytest.approx((0.03, 0.06))


def test_the_value_of_a_converted_column_is_checked_in_our_unit(starter: Path, edit: Edit) -> None:
    edit("workloads.csv", "ttft_target_s", "ttft_target_h")
    finding = findings_of(starter)[0]
    assert (finding.column, finding.value) == ("ttft_target_h", "2")  # as the file has it
    assert finding.problem.startswith("implausible")


def test_all_findings_of_all_tables_come_at_once(starter: Path, edit: Edit) -> None:
    edit("regions.csv", "aws:eu-north-1", "aws:eu-nowhere-1")
    edit("demand.csv", "chat,berlin,night,1", "chat,berlin,night,many")
    edit("quality.csv", "base,0.74", "base,7.4")
    edit("instance.toml", "spot_share_max = 0.0", "spot_share_max = 2.0")
    places = [(finding.file, finding.row) for finding in findings_of(starter)]
    assert places == [
        ("instance.toml", 25), ("demand.csv", 6), ("regions.csv", 4), ("quality.csv", 5),
    ]  # fmt: skip


def test_good_columns_are_read_under_a_damaged_header(starter: Path, edit: Edit) -> None:
    edit("length_classes.csv", "output_tokens", "colour")
    edit("length_classes.csv", "chat,short,0.8", "chat,short,eighty")
    assert [finding.row for finding in findings_of(starter)] == [2, 2, 3]


def test_a_missing_folder_is_a_finding(tmp_path: Path) -> None:
    assert "not a readable folder" in findings_of(tmp_path / "nowhere")[0].problem


def test_a_folder_in_place_of_a_table_is_a_finding(starter: Path) -> None:
    (starter / "regions.csv").unlink()
    (starter / "regions.csv").mkdir()
    assert [finding.problem for finding in findings_of(starter)] == ["not a regular file"]


def test_an_empty_folder_lists_everything_that_is_required(tmp_path: Path) -> None:
    assert {finding.file for finding in findings_of(tmp_path)} == {
        "instance.toml", "workloads.csv", "length_classes.csv", "slices.csv", "origins.csv",
        "demand.csv", "regions.csv", "accelerators.csv", "llms.csv", "quality.csv",
    }  # fmt: skip


def test_a_huge_table_is_refused_unread(starter: Path) -> None:
    with (starter / "demand.csv").open("r+b") as file:
        file.truncate(50_000_001)
    findings = findings_of(starter)
    assert [finding.file for finding in findings] == ["demand.csv"]
    assert "larger than" in findings[0].problem


def test_more_rows_than_are_read_are_refused(
    starter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("planner.instance.tables.MAX_ROWS", 8)
    load_instance(starter)  # eight rows of demand
    monkeypatch.setattr("planner.instance.tables.MAX_ROWS", 7)
    assert "more than 7 rows" in findings_of(starter)[0].problem


def test_findings_of_a_hopeless_table_end_somewhere(starter: Path) -> None:
    rows = "".join(f"chat,us-east,day,x{n}\n" for n in range(5_000))
    (starter / "demand.csv").write_text("workload,origin,slice,requests_per_s\n" + rows)
    findings = findings_of(starter)
    assert len(findings) == 1_001
    assert "the rest of the table was not read" in findings[-1].remedy


def test_the_hash_is_of_the_content_not_of_the_folder(starter: Path, tmp_path: Path) -> None:
    first = load_instance(starter).sha256
    (starter / "notes.md").write_text("nothing to do with the plan")
    moved = starter.rename(tmp_path / "elsewhere")
    assert load_instance(moved).sha256 == first
    demand = moved / "demand.csv"
    demand.write_text(demand.read_text().replace("day,6", "day,7"))
    assert load_instance(moved).sha256 != first


def test_the_error_names_its_first_finding(starter: Path, edit: Edit) -> None:
    edit("regions.csv", "aws:eu-north-1", "aws:eu-nroth-1")
    with pytest.raises(InstanceError, match=r"1 finding; first: regions\.csv:4 region") as caught:
        load_instance(starter)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("workloads.csv", "ttft_target_s,", "ttft_target_s ,", ""),
        ("quotas.csv", "", "region,accelerator,accelerators\naws:us-east-1,l40s,8\n", ""),
        ("quotas.csv", "", "region,accelerator,market,accelerators\naws:us-east-1,l4,spt,8\n",
         "not one of the choices"),
        ("variants.csv", "", "workload,llm,adaptation,check_llm\n*,llama-3.1-8b,base,qwen3-32b\n",
         "check_llm and check_share go together"),
        ("variants.csv", "", "workload,llm,adaptation\n*,qwen3-32b,base\nchat,qwen3-32b,rag\n",
         "rag needs corpus_tokens, which is 0"),
        ("apis.csv", "", "llm,provider,ttft_s,tpot_s,gco2e_per_ktok\nnobody,none,0.5,0.02,0.1\n",
         "blank, and the catalog has no price of nobody at none"),
        ("owned.csv", "", "region,offer,instances,usd_per_h,accelerator,accelerators,end_date\n"
         "aws:us-east-1,rack,2,3,l4,8,2026-01-01\n", "over before the period starts"),
        ("owned.csv", "", "region,offer,instances,usd_per_h,accelerator,accelerators\n"
         "aws:us-east-1,rack,2,3,l4,8\naws:us-east-1,rack,2,3,l40s,8\n", "the offer has l4"),
        ("origins.csv", "us-east,aws:us-east-1,,", "us-east,aws:us-east-1,40,-75",
         "the place is said twice"),
        ("instance.toml", "spot_share_max = 0.0", "spot_share_max = 0.0\nmax_regions = 0",
         "must be at least 1"),
        ("instance.toml", "hours = 730 ", "hours = true ", "should be a valid number"),
        ("instance.toml", "hours = 730 ", "hours = nan ", "finite"),
    ],
)  # fmt: skip
def test_further_rules(
    starter: Path, edit: Edit, file: str, old: str, new: str, problem: str
) -> None:
    edit(file, old, new)
    if not problem:
        assert load_instance(starter).settings.name == "starter"
    else:
        assert any(problem in finding.problem for finding in findings_of(starter))
