"""The brief: one page for people who read one page, every number of it from the run folder."""

from __future__ import annotations

import csv
import json
import math
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from planner.report.files import Report
from tests.planner.report_runs import INSTANCES, front_run, plan_run

NUMBER = re.compile(r"(?<![\w.:/-])[-+]?\d[\d,]*(?:\.\d+)?")
OBJECTIVES = ("cost_usd", "carbon_kgco2e", "qoe")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return front_run(tmp_path_factory.mktemp("runs") / "front", "small", 30)


@pytest.fixture(scope="module")
def text(run: Path) -> str:
    return Report.of(run).brief_markdown


def test_it_holds_decision_three_options_and_all_that_a_reader_asks(text: str) -> None:
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    assert titles == [
        *("Choose one of three fleet plans for small", "Options", "What a step costs"),
        *("How sure", "What would change the answer", "Data"),
    ]
    rows = re.findall(r"^\| ([A-E]) \| (.+?) \|", text, re.MULTILINE)
    assert next(name.split(",")[0] for _, name in rows) == "cheapest"
    assert {"greenest", "balanced (compromise)"} <= {
        name for _, row in rows for name in row.split(", ")
    }
    assert len(rows) == 3


def test_it_is_short(text: str) -> None:
    assert len(text.split()) < 600


def test_html_says_the_same_as_markdown(run: Path, text: str) -> None:
    page = unescape(
        re.sub(
            r"<style>.*?</style>|<svg.*?</svg>|<[^>]+>",
            " ",
            Report.of(run).brief_html,
            flags=re.DOTALL,
        )
    )
    bare = set(NUMBER.findall(text))
    assert bare <= set(NUMBER.findall(page)) | {"0"}


def test_a_current_plan_is_a_further_row(run: Path, tmp_path: Path) -> None:
    brief = Report.of(run, plan_run(tmp_path / "current", "small")).brief_markdown
    assert re.search(r"^\| [A-F] \| current \|", brief, re.MULTILINE)


def test_a_plan_run_has_a_brief_too(tmp_path: Path) -> None:
    folder, current = plan_run(tmp_path / "plan", "small"), plan_run(tmp_path / "now", "small")
    brief = Report.of(folder).brief_markdown
    assert brief.startswith("# Approve this fleet plan for small")
    assert "What a step costs" not in brief
    for text in (brief, Report.of(folder, current).brief_markdown):
        assert re.search(r"^\| A \| proposed \|", text, re.MULTILINE)


# ------------------------------------------------------------------ every number is traced


def figures_of(run: Path) -> dict[str, float]:
    """Every figure a brief may state, worked out here from the JSON files of the run alone."""
    front = json.loads((run / "front.json").read_text())
    request = json.loads((run / "request.json").read_text())
    points = {point["id"]: point for point in front["points"]}
    certificate, ideal, nadir = front["certificate"], front["ideal"], front["nadir"]
    found = {"plans": float(len(points)), "target, %": 100 * request["epsilon"]}
    for name, value in request.items():
        found[f"request {name}"] = value
    for key in OBJECTIVES:
        found[f"best {key}"], found[f"worst {key}"] = ideal[key], nadir[key]
        found[f"width {key}"] = certificate["epsilon"] * abs(nadir[key] - ideal[key])
    found["epsilon, %"] = 100 * certificate["epsilon"]
    found["median gap, %"] = 100 * certificate["cost_gap_relative_median"]
    found["largest gap, %"] = 100 * certificate["cost_gap_relative_max"]
    for name, point in points.items():
        for key in OBJECTIVES:
            lost = abs(point[key] - ideal[key])
            found[f"{name} {key}"] = point[key]
            found[f"{name} loses {key}"] = lost
            found[f"{name} times {key}"] = point[key] / ideal[key]
            found[f"{name} {key}, % above"] = 100 * lost / ideal[key]
        found[f"{name} gap, %"] = 100 * point["cost_gap_relative"]
        found |= decisions_of(name, json.loads((run / point["plan"]).read_text()))
        for other, end in points.items():
            found |= step_of(f"{name} to {other}", point, end)
    return found


def step_of(name: str, start: dict[str, float], end: dict[str, float]) -> dict[str, float]:
    dearer = end["cost_usd"] - start["cost_usd"]
    avoided = (start["carbon_kgco2e"] - end["carbon_kgco2e"]) / 1000
    gained = (end["qoe"] - start["qoe"]) / 0.01
    found = {f"{name} USD": dearer, f"{name} kg": 1000 * avoided, f"{name} QoE": gained * 0.01}
    if avoided > 0:
        found[f"{name} USD per tonne"] = dearer / avoided
    if gained > 0:
        found[f"{name} USD per point"] = dearer / gained
    return found


def decisions_of(name: str, plan: dict[str, object]) -> dict[str, float]:
    with (INSTANCES / "small" / "slices.csv").open(newline="") as file:
        hours = {row["slice"]: float(row["hours"]) for row in csv.DictReader(file)}
    whole = sum(hours.values())
    held: dict[str, float] = {}
    for line in plan["fleet"]:  # type: ignore[attr-defined]
        time = whole if line["slice"] is None else hours[line["slice"]]
        amount = line["accelerators"] * line["instances"] * time / whole
        held[line["market"]] = held.get(line["market"], 0.0) + amount
    total = sum(held.values())
    adoption, routing = plan["adoption"], plan["routing"]
    kinds = [row["adaptation"] for row in adoption]  # type: ignore[attr-defined]
    bound = sum(held.get(m, 0.0) for m in ("owned", "commit-1y", "commit-3y"))
    return {
        f"{name} hours": whole,
        f"{name} accelerators": total,
        f"{name} regions": len({row["region"] for row in routing}),  # type: ignore[attr-defined]
        f"{name} rag": sum("rag" in kind for kind in kinds),
        f"{name} tuned": sum("fine-tune" in kind for kind in kinds),
        f"{name} workloads": len(kinds),
        f"{name} bound, %": 100 * bound / total,
        f"{name} spot, %": 100 * held.get("spot", 0.0) / total,
        **{
            f"{name} {key} {kind}, %": 100 * share
            for key, shares in plan["provenance"].items()  # type: ignore[attr-defined]
            if key != "ages"
            for kind, share in shares.items()
        },
    }


def near(text: str, value: float) -> bool:
    """Whether the text is the value rounded to the digits it shows."""
    shown = float(text.replace(",", ""))
    decimals = len(text.partition(".")[2])
    return math.isclose(shown, value, abs_tol=0.5 * 10.0**-decimals * (1 + 1e-6))


def test_every_number_is_a_figure_of_the_run_folder(run: Path, text: str) -> None:
    figures = figures_of(run)
    values = np.array(list(figures.values()))
    facts = Report.of(run).content.source.facts
    known_text = [
        *(f"{table} {span}" for table, span in facts.ages.items()),
        "1 September 2026", "CO2e", "per 0.01 of QoE", f"sha256 {facts.instance.sha256[:12]}",
        *re.findall(r"`planner [^`]*`", text),
    ]  # fmt: skip
    bare = text
    for known in known_text:
        bare = bare.replace(known, " ")
    numbers = list(NUMBER.findall(bare))
    assert len(numbers) > 40
    strange = [shown for shown in numbers if not any(near(shown, value) for value in values)]
    assert strange == []


def test_the_trace_finds_a_number_that_is_not_there(run: Path) -> None:
    values = figures_of(run).values()
    assert not any(near("123,456.789", value) for value in values)


def test_each_option_row_is_its_point(run: Path, text: str) -> None:
    points = json.loads((run / "front.json").read_text())["points"]
    by_letter = {option.letter: option.point for option in Report.of(run).options}
    rows = re.findall(
        r"^\| ([A-E]) \| .+? \| (\S+) \| (\S+) \| (\S+) \| (\S+) % \|", text, re.MULTILINE
    )
    assert len(rows) == 3
    for letter, cost, carbon, qoe, gap in rows:
        point = next(p for p in points if p["id"] == by_letter[letter])
        for shown, key in ((cost, "cost_usd"), (carbon, "carbon_kgco2e"), (qoe, "qoe")):
            assert near(shown, point[key])
        assert near(gap, 100 * point["cost_gap_relative"])
