"""The ready files are whole, safe to paste, and run the same command as a person would."""

from __future__ import annotations

import configparser
import dataclasses
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from planner.cli import run
from planner.errors import PlannerError
from planner.schedule.files import Installation, rendered
from planner.schedule.timetable import Timetable, parse

TINY = str(Path(__file__).resolve().parents[3] / "instances" / "tiny")


def timetable(every: str | None = None, cron: str | None = None, zone: str = "UTC") -> Timetable:
    made = parse(every, cron, zone)
    assert made is not None
    return made


MADE = Installation(
    name="tiny",
    instance=Path("/srv/fleets/my fleet"),
    timetable=timetable("6h"),
    program=["/opt/planner/bin/planner"],
    options=["--margin", "1%", "--runs", "/srv/runs", "--notify", "changes"],
    history="/srv/history.db",
    longest_s=1800,
    image="registry.example/planner:1",
)


def made(**changes: object) -> Installation:
    return dataclasses.replace(MADE, **changes)  # type: ignore[arg-type]


def test_cron_has_one_line_with_the_command() -> None:
    lines = [line for line in rendered("cron", MADE).splitlines() if not line.startswith("#")]
    assert lines[0] == "PLANNER_HISTORY=/srv/history.db"
    fields = lines[1].split(maxsplit=5)
    assert fields[:5] == ["0", "*/6", "*", "*", "*"]
    assert "'/srv/fleets/my fleet' --once --every 6h" in fields[5]
    assert r"1\%" in fields[5], "cron reads a bare % as a new line"
    assert len(lines) == 2


def test_systemd_has_a_service_and_a_timer(tmp_path: Path) -> None:
    text = rendered("systemd", made(timetable=timetable(cron="0 6 * * 1-5", zone="Europe/Berlin")))
    service, timer = text.split("# ------", 2)[1:]
    unit = parsed(service)
    assert unit["Service"]["SuccessExitStatus"] == "2 5"
    assert unit["Service"]["TimeoutStartSec"] == "1800"
    assert "--margin 1%% " in unit["Service"]["ExecStart"], "systemd reads a bare % as a specifier"
    words = shlex.split(unit["Service"]["ExecStart"].replace("%%", "%"))
    assert words[:4] == ["/opt/planner/bin/planner", "watch", "/srv/fleets/my fleet", "--once"]
    assert parsed(timer)["Timer"]["OnCalendar"] == "mon..fri *-*-* 6:0:00 Europe/Berlin"
    assert parsed(timer)["Timer"]["Persistent"] == "true"
    if shutil.which("systemd-analyze"):
        assert systemd_finds_fault(tmp_path, service, timer) == []


def systemd_finds_fault(folder: Path, service: str, timer: str) -> list[str]:
    """What systemd's own check says of the units; the program of the examples does not exist."""
    service = service.replace("/opt/planner/bin/planner", "/bin/true")
    units = {"planner-tiny.service": service, "planner-tiny.timer": timer}
    for name, section in units.items():
        (folder / name).write_text(section[section.index("\n") + 1 :])
    words = ["systemd-analyze", "verify", *(str(folder / name) for name in units)]
    told = subprocess.run(words, capture_output=True, text=True, check=False)
    return [line for line in told.stderr.splitlines() if "planner-tiny" in line]


def parsed(section: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None, strict=False)
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read_string(section[section.index("\n") + 1 :])
    return found


def test_kubernetes_gets_a_cron_job_that_never_overlaps() -> None:
    body = yaml.safe_load(rendered("kubernetes", MADE))
    assert (body["kind"], body["metadata"]["name"]) == ("CronJob", "planner-tiny")
    spec = body["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("0 */6 * * *", "UTC")
    assert spec["concurrencyPolicy"] == "Forbid"
    job = spec["jobTemplate"]["spec"]
    assert (job["backoffLimit"], job["activeDeadlineSeconds"]) == (0, 1800)
    container = job["template"]["spec"]["containers"][0]
    assert container["image"] == "registry.example/planner:1"
    (script,) = container["args"]
    assert script.startswith("planner watch /instance --once --every 6h --margin 1% --notify")
    assert "/srv" not in script, "paths of this machine mean nothing in a container"


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (1, 1), (2, 0), (3, 3), (4, 4), (5, 0)])
def test_a_proposal_is_no_failure_of_the_job(tmp_path: Path, code: int, ends: int) -> None:
    body = yaml.safe_load(rendered("kubernetes", MADE))
    container = body["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    fake = tmp_path / "planner"
    fake.write_text(f"#!/bin/sh\nexit {code}\n")
    fake.chmod(0o755)
    words = [*container["command"], *container["args"]]
    found = subprocess.run(words, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=False)
    assert found.returncode == ends


def test_what_a_scheduler_cannot_say_is_told() -> None:
    with pytest.raises(PlannerError, match="every 5h has no cron expression"):
        rendered("cron", made(timetable=timetable("5h")))
    with pytest.raises(PlannerError, match="one of cron, systemd, kubernetes"):
        rendered("windows", MADE)


def test_the_command_prints_a_file_and_starts_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = "postgresql://ada:secret@db.example/history"
    words = ["watch", TINY, "--every", "1h", "--print", "systemd", "--history", url]
    assert run(words) == 0
    text = capsys.readouterr().out
    assert "ada:" not in text
    assert 'Environment="PLANNER_HISTORY=postgresql://ada@db.example/history"' in text
    assert list(tmp_path.iterdir()) == []
    assert run(["watch", TINY, "--print", "cron"]) == 1
    assert "--print needs --every or --cron" in capsys.readouterr().err
