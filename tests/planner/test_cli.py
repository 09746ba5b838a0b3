"""The command line as a stranger meets it: answers first, one clear message for every error."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from planner.cli import run
from planner.cli.plan import parse_gap, worst
from planner.cli.text import WIDTH, paragraph, seconds, table
from planner.errors import InfeasibleError
from planner.plan import Plan
from planner.solve.options import Progress
from tests.planner.hand_made import result

INSTANCES = Path(__file__).resolve().parents[2] / "instances"
TINY = str(INSTANCES / "tiny")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs land in a folder of their own; the engine's part is played by a plan made by hand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("planner.solve.engine.minimize", by_hand)


def by_hand(data: object, objective: str, *_: object) -> object:
    return result(data, objective)  # type: ignore[arg-type]


def infeasible(*_: object) -> object:
    raise InfeasibleError(
        "no fleet keeps both limits",
        conflict=("carbon at most 1 kg", "all demand of chat is answered"),
        repair=("117 kg more carbon",),
    )


def broken(*_: object) -> object:
    raise ZeroDivisionError("oops")


# ------------------------------------------------------------------ the answer


def test_the_first_line_is_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", TINY]) == 5
    first = capsys.readouterr().out.splitlines()[0]
    assert re.match(
        r"tiny: [\d,]+ USD and [\d,.]+ kgCO2e a month, QoE 0\.\d{4}; cost proved", first
    )


def test_sections_come_in_the_order_of_interest(capsys: pytest.CaptureFixture[str]) -> None:
    run(["plan", TINY])
    text = capsys.readouterr().out
    titles = ["Fleet", "Where demand", "Adaptation", "Cost, USD", "Carbon, kgCO2e", "Workloads",
              "Assumptions", "run folder: runs/tiny-"]  # fmt: skip
    places = [text.index(title) for title in titles]
    assert places == sorted(places)
    assert text.index("Age of the data") > text.index("Assumptions")


@pytest.mark.parametrize("objective", ["cost", "carbon", "qoe-loss"])
def test_no_line_is_wider_than_promised(capsys: pytest.CaptureFixture[str], objective: str) -> None:
    run(["plan", str(INSTANCES / "small"), "--minimize", objective])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 40
    assert max(len(line) for line in lines) <= WIDTH
    assert not any(line != line.rstrip() for line in lines)


def test_quiet_says_the_answer_and_the_place_only(capsys: pytest.CaptureFixture[str]) -> None:
    run(["plan", TINY, "--quiet", "--output", "here"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("tiny: ")
    assert lines[-1] == "run folder: here"
    assert len(lines) <= 6


def test_json_is_the_plan_of_the_run_folder(capsys: pytest.CaptureFixture[str]) -> None:
    run(["plan", TINY, "--json", "--output", "here"])
    printed = Plan.from_json(capsys.readouterr().out)
    assert printed == Plan.read(Path("here"))


def test_several_instances_end_with_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", TINY, "nowhere", str(INSTANCES / "small"), "--output", "all"]) == 3
    out, err = capsys.readouterr()
    summary = out[out.index("Summary") :].splitlines()
    assert [line.split()[1] for line in summary[2:]] == ["stopped", "invalid", "stopped"]
    assert "nowhere" in err
    assert Path("all/tiny/plan.json").is_file()
    assert Path("all/small/plan.json").is_file()


def test_several_instances_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    run(["plan", TINY, "nowhere", "--json"])
    plans = json.loads(capsys.readouterr().out)["plans"]
    assert [body["exit_code"] for body in plans] == [5, 3]
    assert plans[0]["plan"]["instance"]["name"] == "tiny"
    assert plans[1]["error"]["findings"][0]["problem"].startswith("not a readable folder")


# ------------------------------------------------------------------ limits and options


def test_caps_and_floors_reach_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--cap", "cost=1,000,000", "--cap", "water=1e9", "--floor", "qoe=0.1"]
    assert run(["plan", TINY, *options, "--output", "here", "--quiet"]) == 5
    request = json.loads(Path("here/request.json").read_text())
    assert request["caps"] == {"cost": 1e6, "water": 1e9}
    assert request["floors"] == {"qoe": 0.1}


@pytest.mark.parametrize(
    ("text", "gap"), [("0.5%", 0.005), ("0.005", 0.005), ("20 %", 0.2), ("1e-4", 1e-4)]
)
def test_gaps_are_fractions_or_percentages(text: str, gap: float) -> None:
    assert parse_gap(text) == pytest.approx(gap)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--gap", "0.5"], "write 0.5% for per cent"),
        (["--gap", "small"], "write 0.5% or 0.005"),
        (["--gap", "-1%"], "above 0"),
        (["--cap", "cost"], "NAME=NUMBER"),
        (["--cap", "cost=much"], "NAME=NUMBER"),
        (["--cap", "cost=1", "--cap", "cost=2"], "twice"),
        (["--cap", "joy=1"], "one of cost, carbon, water"),
        (["--floor", "qoe=1.5"], "at most 1"),
        (["--minimize", "price"], "one of cost, carbon, qoe-loss"),
        (["--time-limit", "-3"], "seconds above 0"),
        (["--threads", "0"], "at least 1"),
        (["--bogus"], "No such option"),
    ],
)
def test_bad_options_have_one_clear_message(
    capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert run(["plan", TINY, *options]) == 1
    out, err = capsys.readouterr()
    assert said in err
    assert "Traceback" not in err
    assert out == ""
    assert not Path("runs").exists()


# ------------------------------------------------------------------ errors


def test_an_invalid_instance_lists_its_findings(capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    assert run(["plan", "empty"]) == 3
    err = capsys.readouterr().err
    assert "the instance is invalid" in err
    assert "instance.toml: missing" in err


def test_infeasible_says_what_conflicts_then_the_repair(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("planner.solve.engine.minimize", infeasible)
    assert run(["plan", TINY]) == 4
    err = capsys.readouterr().err
    assert err.index("no plan exists (proved)") < err.index("carbon at most 1 kg")
    assert err.index("all demand of chat") < err.index("117 kg more carbon")


def test_an_unexpected_error_names_its_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("planner.solve.engine.minimize", broken)
    assert run(["plan", TINY]) == 1
    err = capsys.readouterr().err
    assert "unexpected ZeroDivisionError: oops" in err
    assert "Traceback" not in err
    log = Path(err.rsplit(" ", 1)[1].strip())
    text = log.read_text()
    assert "Traceback" in text
    assert '"event": "phase"' in text
    log.unlink()


def test_the_output_place_is_checked_before_the_search(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("planner.solve.engine.minimize", broken)
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("years of work")
    assert run(["plan", TINY, "--output", "mine"]) == 1
    assert "not a run folder" in capsys.readouterr().err


def test_an_interrupt_ends_the_call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("planner.solve.engine.minimize", interrupted)
    assert run(["plan", TINY, TINY]) == 1
    out, err = capsys.readouterr()
    assert err.count("interrupted before any plan was found") == 1
    assert "interrupted" in out[out.index("Summary") :]


@pytest.mark.parametrize(
    ("codes", "code"),
    [([0, 0], 0), ([0, 5], 5), ([5, 4], 4), ([4, 3, 0], 3), ([5, 1, 3], 1)],
)
def test_of_several_exit_codes_the_worst_counts(codes: list[int], code: int) -> None:
    assert worst(iter(codes)) == code


# ------------------------------------------------------------------ the terminal


def test_the_live_line_says_phase_value_bound_gap_and_time_left() -> None:
    from planner.cli.live import Interrupts, LiveProgress

    live = LiveProgress("reference", 60.0, Interrupts())
    assert "reading" in live.text()
    live.show(Progress("improvement", 3.0, 412_345.0, 410_100.0))
    assert live.text().startswith(
        "reference  improvement  value 412,345  bound 410,100  gap 0.544 %  "
    )
    assert live.text().endswith(" s left")


def test_the_first_interrupt_asks_and_the_second_leaves() -> None:
    from planner.cli.live import Interrupts

    with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        assert interrupts.stopping
        interrupts.check(Progress("relaxation", 1.0, float("inf"), 1.0))
        with pytest.raises(KeyboardInterrupt):
            interrupts.check(Progress("improvement", 1.0, 2.0, 1.0))
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)


def test_numbers_stay_with_their_units() -> None:
    for gap in range(60):
        lines = paragraph("x " * gap + "costs 1,234 USD in 728 h or 5.2 % less", "  - ", "    ")
        assert not any(line.split()[0] in {"USD", "h", "%"} for line in lines)
        assert max(len(line) for line in lines) <= WIDTH


def children_s() -> float:
    """Processor time of the processes waited for: other work on the machine does not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_is_fast_and_lists_the_commands() -> None:
    code = "from planner.cli import main; main()"
    call = [sys.executable, "-c", code, "--help"]
    took_s = []
    for _ in range(3):
        before_s = children_s()
        done = subprocess.run(call, capture_output=True, text=True, check=True)
        took_s.append(children_s() - before_s)
    assert min(took_s) < 0.5
    for command in ("new", "validate", "plan", "catalog"):
        assert f"  {command} " in done.stdout


def test_tables_align_text_left_and_numbers_right() -> None:
    assert table(("name", "n"), [["a", "1"], ["bcdefg", "1,000"]], numbers=(1,)) == [
        "  name        n",
        "  a           1",
        "  bcdefg  1,000",
    ]


def test_a_catalog_table_fits_the_width_and_names_the_columns_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["catalog", "regions", "--limit", "3"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= WIDTH
    said = " ".join(out.split())
    left_out = re.search(r"(\d+) more columns, shown by --columns, --csv and --json: (.*)", said)
    assert left_out is not None
    assert "pue" in left_out[2].split(", ")
    assert run(["catalog", "regions", "--columns", "region,pue,city", "--limit", "3"]) == 0
    assert "more columns" not in capsys.readouterr().out


def test_short_times_are_milliseconds() -> None:
    assert (seconds(0.85), seconds(1.2345)) == ("850 ms", "1.23 s")


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["cost", "carbon", "qoe-loss"])
def test_the_real_engine_answers_in_time_and_its_run_verifies(objective: str) -> None:
    limit_s = 10.0
    planner = [sys.executable, "-c", "from planner.cli import main; main()"]
    options = ["--minimize", objective, "--time-limit", str(limit_s), "--json", "--output", "here"]
    began = time.perf_counter()
    done = subprocess.run(
        [*planner, "plan", TINY, *options], capture_output=True, text=True, check=False
    )
    assert time.perf_counter() - began < limit_s + 3.0
    assert done.returncode in {0, 5}, done.stderr
    assert Plan.from_json(done.stdout) == Plan.read(Path("here"))
    check = subprocess.run(
        [*planner, "verify", "here"], capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stdout
