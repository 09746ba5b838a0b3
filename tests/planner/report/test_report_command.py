"""`planner report` as a stranger meets it."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest

import planner
from planner.cli import run as command
from planner.report.files import Report
from tests.planner.report_runs import front_run, plan_run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return front_run(tmp_path / "front", "tiny", 6)


def test_the_first_line_is_the_decision_and_the_page(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["report", "front"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Choose one of ")
    assert lines[0].endswith("front/report.html")
    assert (run / "report.html").is_file()
    assert {p.name for p in run.iterdir()} == {
        *("front.json", "request.json", "instance", "plans", "report.html")
    }


def test_everything_asked_for_is_written_elsewhere_too(run: Path, tmp_path: Path) -> None:
    options = ["--brief", "--xlsx", "--csv", "--parquet"]
    assert command(["report", "front", *options, "--output", "out"]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("report.html", "brief.md", "brief.html", "report.xlsx", "report-csv", "report-parquet")
    }
    assert not (run / "report.html").exists()


def test_json_names_options_and_files(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["report", "front", "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    points = {p["id"]: p for p in json.loads((run / "front.json").read_text())["points"]}
    assert Path(body["files"][0]).is_file()
    for option in body["options"]:
        assert option["objectives"]["cost_usd"] == points[option["point"]]["cost_usd"]


def test_a_plan_run_and_a_current_plan(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan_run(tmp_path / "plan", "tiny")
    assert command(["report", "plan"]) == 0
    assert capsys.readouterr().out.startswith("Approve this fleet plan for tiny")
    assert command(["report", "front", "--current", "plan"]) == 0
    assert "current" in capsys.readouterr().out


def test_the_same_run_makes_the_same_page(run: Path) -> None:
    assert Report.of(run).html == Report.of(run).html


def test_a_run_stays_verifiable_with_a_report_in_it(run: Path) -> None:
    before = (run / "front.json").read_bytes()
    planner.report(run).write()
    assert (run / "front.json").read_bytes() == before
    assert planner.load(run / "instance").instance.settings.name == "tiny"


# ------------------------------------------------------------------ what goes wrong


def said(capsys: pytest.CaptureFixture[str]) -> str:
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    return " ".join(printed.err.split())


def test_a_folder_that_is_no_run_is_one_sentence(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["report", "nowhere"]) == 1
    assert "nowhere is not a run folder: no such folder" in said(capsys)


@pytest.mark.parametrize(
    ("flag", "module", "extra"),
    [("--xlsx", "xlsxwriter", "xlsx"), ("--parquet", "pyarrow", "parquet")],
)
def test_a_missing_extra_is_named_before_anything_is_written(
    run: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flag: str,
    module: str,
    extra: str,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert command(["report", "front", flag]) == 1
    assert f"pip install 'fleet-planner[{extra}]'" in said(capsys)
    assert not (run / "report.html").exists()


def test_no_browser_for_pdf_is_told_with_its_remedy(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(run))
    monkeypatch.delenv("PLANNER_CHROMIUM", raising=False)
    monkeypatch.setattr("planner.report.pdf.PLACES", ())
    assert command(["report", "front", "--pdf"]) == 1
    assert "apt-get install chromium" in said(capsys)
    monkeypatch.setenv("PLANNER_CHROMIUM", "no-such-browser")
    assert command(["report", "front", "--pdf"]) == 1
    assert "PLANNER_CHROMIUM=no-such-browser: no such program" in said(capsys)


def test_a_browser_that_does_not_print_is_told(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho out of paper >&2\nexit 7\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PLANNER_CHROMIUM", str(broken))
    assert command(["report", "front", "--pdf"]) == 1
    assert "did not print report.pdf (exit code 7): out of paper" in said(capsys)


def test_an_unknown_paper_is_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["report", "front", "--paper", "A5"]) == 1
    assert "paper 'A5': one of A4, Letter" in said(capsys)


def test_a_place_that_cannot_be_written_is_told(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert command(["report", "front", "--output", "file"]) == 1
    assert "name another folder with --output" in said(capsys)
