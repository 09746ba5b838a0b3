"""`planner feed`: the answer first, exit codes as in the house, nothing lost."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from planner.cli import run
from tests.planner.feeds.conftest import write_buyer

TODAY = dt.datetime.now(dt.UTC).date()
HEAD = "date,region,offer,ondemand_usd_per_h\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_buyer(tmp_path / "buyer")
    (folder / "feeds.toml").write_text(
        '[feeds.agreed]\nreader = "tables"\nkind = "prices"\npath = "../agreed.csv"\n'
        'on_failure = "last-good"\n'
    )
    agree(folder, 50.0)
    return folder


def agree(folder: Path, usd_per_h: float) -> None:
    (folder / ".." / "agreed.csv").write_text(
        f"{HEAD}{TODAY},aws:us-east-1,aws_p5.48xlarge,{usd_per_h}\n"
    )


def said(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    return captured.out + captured.err


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    run([*arguments, "--json"])
    return json.loads(capsys.readouterr().out)


def test_fetch_says_what_came_and_what_may_be_used(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["feed", "fetch", str(folder)]) == 0
    lines = said(capsys).splitlines()
    assert lines[0] == "1 of 1 feeds gave a table that may be used"
    assert lines[1] == f"  agreed: accepted, 1 rows of {TODAY} 00:00 UTC"
    kept = "    not in the table, so as before: aws:us-east-1/aws_p5.48xlarge spot_usd_per_h"
    assert lines[2].startswith(kept)
    assert lines[4].startswith(f"  agreed (prices): use: the table of {TODAY}")


def test_a_failed_feed_falls_back_and_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["feed", "fetch", str(folder)])
    (folder / ".." / "agreed.csv").unlink()
    capsys.readouterr()
    assert run(["feed", "fetch", str(folder)]) == 0
    out = said(capsys)
    assert out.startswith("0 of 1 feeds gave a table")
    assert "cannot be read (No such file or directory)" in out
    assert "last good: the fetch of" in out


def test_a_refused_table_stops_where_the_policy_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = folder / "feeds.toml"
    settings.write_text(settings.read_text().replace("last-good", "stop"))
    agree(folder, 5.0)
    assert run(["feed", "fetch", str(folder)]) == 1
    assert "refused" in said(capsys)
    assert run(["feed", "check", str(folder)]) == 1
    assert said(capsys).startswith("no plan: 1 of 1 feeds say stop")
    assert run(["feed", "apply", str(folder), str(folder / ".." / "dated")]) == 1
    assert "moved 10 times or more" in " ".join(said(capsys).split())
    assert not (folder / ".." / "dated").exists()


def test_a_person_may_accept_a_refused_table(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agree(folder, 5.0)
    run(["feed", "fetch", str(folder)])
    capsys.readouterr()
    (record,) = as_json(capsys, "feed", "list", str(folder))["records"]
    assert record["status"] == "refused"
    because = "a new contract"
    assert run(["feed", "accept", str(folder), "agreed", record["name"], "--because", ""]) == 1
    capsys.readouterr()
    assert run(["feed", "accept", str(folder), "agreed", record["name"], "--because", because]) == 0
    capsys.readouterr()
    assert run(["feed", "check", str(folder)]) == 0
    assert said(capsys).startswith("all 1 feeds may enter a plan")
    assert run(["feed", "show", str(folder), "agreed"]) == 0
    assert "accepted by a person: a new contract" in said(capsys)


def test_apply_writes_an_instance_that_is_valid(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["feed", "fetch", str(folder)])
    dated = folder.parent / "dated"
    assert run(["feed", "apply", str(folder), str(dated)]) == 0
    assert f"next: planner plan {dated}" in said(capsys)
    assert run(["validate", str(dated)]) == 0


def test_what_a_table_lacks_is_told_by_every_command_and_kept_with_the_instance(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dated = folder.parent / "dated"
    lack = "not in the table, so as before: aws:us-east-1/aws_p5.48xlarge spot_usd_per_h"
    agreed = folder.parent / "agreed.csv"
    agreed.write_text(agreed.read_text() + f"{TODAY},aws:eu-central-1,aws_g6.xlarge,1.0\n")
    for command in ("fetch", "check", "show"):
        run(["feed", command, str(folder), *(["agreed"] if command == "show" else [])])
        assert lack in said(capsys), command
    run(["feed", "apply", str(folder), str(dated)])
    assert lack in said(capsys)
    assert f"# feed agreed: {lack}" in (dated / "offers.csv").read_text()
    usable = as_json(capsys, "feed", "check", str(folder))["usable"]
    assert usable[0]["remarks"][0].startswith(lack)


def test_a_price_of_one_accelerator_is_refused_with_the_way_to_accept_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """6.88 USD/h is an eighth of what the catalog knows: a slip, or a contract."""
    agree(folder, 6.88)
    run(["feed", "fetch", str(folder)])
    told = said(capsys)
    assert "6.88 is 1/8 of the known 55.04: the price of one accelerator?" in told
    (hint,) = [line for line in told.splitlines() if "if it is right: planner feed accept" in line]
    assert hint.endswith('for good: trust = ["aws:us-east-1/aws_p5.48xlarge"] in feeds.toml')
    command = hint.split("planner ")[1].split(" --because")[0].split()
    assert run([*command, "--because", "a contract"]) == 0
    capsys.readouterr()
    assert run(["feed", "apply", str(folder), str(folder.parent / "dated")]) == 0
    assert "accepted (a contract): not believed: aws:us-east-1/aws_p5.48xlarge" in said(capsys)
    assert (
        "# feed agreed: accepted (a contract): not believed:"
        in (folder.parent / "dated" / "offers.csv").read_text()
    )
    assert (
        'accept = ["offers/aws:us-east-1/aws_p5.48xlarge/ondemand_usd_per_h"]'
        in (folder.parent / "dated" / "instance.toml").read_text()
    )
    run(["feed", "fetch", str(folder)])
    assert "agreed: accepted" in said(capsys), "what was accepted once is not doubted again"
    assert run(["feed", "apply", str(folder), str(folder.parent / "again")]) == 0


def test_a_name_may_be_trusted_for_good(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    agree(folder, 6.88)
    settings = folder / "feeds.toml"
    settings.write_text(settings.read_text() + 'trust = ["aws:us-east-1"]\n')
    assert run(["feed", "fetch", str(folder)]) == 0
    assert "moved 1.5 times or more: aws:us-east-1/aws_p5.48xlarge" in said(capsys)


def test_show_prints_the_rows_and_their_source(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["feed", "fetch", str(folder)])
    capsys.readouterr()
    assert run(["feed", "show", str(folder), "agreed"]) == 0
    out = said(capsys)
    assert "aws:us-east-1,aws_p5.48xlarge,50.0" in out
    assert "source: ../agreed.csv; 1 answers, sha256 " in out
    plain = as_json(capsys, "feed", "show", str(folder), "agreed")
    assert plain["table"][0]["ondemand_usd_per_h"] == 50.0


def test_everything_speaks_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fetched = as_json(capsys, "feed", "fetch", str(folder))
    assert fetched["fetched"][0]["status"] == "accepted"
    assert fetched["usable"][0]["status"] == "fresh"
    assert as_json(capsys, "feed", "check", str(folder))["ok"] is True
    dated = folder.parent / "dated"
    assert as_json(capsys, "feed", "apply", str(folder), str(dated))["instance"] == str(dated)


def test_an_instance_with_feeds_toml_is_valid(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["validate", str(folder)]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fetch", "BUYER", "agree"], "no feed 'agree'"),
        (["show", "BUYER", "agreed"], "nothing of agreed was fetched yet"),
        (["show", "BUYER", "agreed", "2020"], "no record of agreed begin with"),
        (["fetch", "nowhere"], "cannot be read"),
        (["apply", "BUYER", "dated"], "nothing was fetched yet"),
    ],
)
def test_mistakes_are_one_message(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert run(["feed", *(str(folder) if a == "BUYER" else a for a in arguments)]) == 1
    out = said(capsys)
    assert words in out
    assert "Traceback" not in out


def test_a_missing_library_names_the_command_that_installs_it(folder: Path) -> None:
    (folder / "feeds.toml").write_text(
        '[feeds.azure]\nreader = "azure-retail"\n[feeds.aws]\nreader = "aws-prices"\n'
    )
    code = (
        "import sys; sys.modules['httpx2'] = None; sys.modules['boto3'] = None\n"
        "from planner.cli import run; sys.exit(run(['feed', 'fetch', sys.argv[1]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "feeds need the library httpx2: pip install 'fleet-planner[feeds]'" in done.stdout
    assert "needs the library boto3: pip install 'fleet-planner[aws]'" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
