"""The page: one file that asks for nothing, with the figures of the run folder in it."""

from __future__ import annotations

import dataclasses
import html
import itertools
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from planner.plan import Plan
from planner.report.changes import changes_of
from planner.report.files import Report
from planner.report.render import inline_json, plotly_js
from planner.report.theme import COLOURS, TINTS
from tests.planner.report_runs import bare_front, front_run, hand_made_plans, plan_run

MEGABYTE = 1e6


class Outline(HTMLParser):
    """What the tests look at: tags with attributes, and text by id."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def without_library(page: str) -> str:
    return page.replace(plotly_js(), "")


def data_of(page: str) -> dict[str, object]:
    block = re.search(r'<script type="application/json" id="data-block">(.*?)</script>', page)
    assert block is not None
    found: dict[str, object] = json.loads(block[1])
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return front_run(tmp_path_factory.mktemp("runs") / "front", "small", 30)


@pytest.fixture(scope="module")
def report(run: Path) -> Report:
    return Report.of(run)


# ------------------------------------------------------------------ one file


def test_the_page_refers_to_nothing_outside(report: Report) -> None:
    outline = Outline(without_library(report.html))
    for tag, attributes in outline.tags:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith("#"), (tag, value)
    assert not re.search(r"url\(|@import", without_library(report.html))


def test_the_browser_is_told_to_ask_for_nothing(report: Report) -> None:
    for page in (report.html, report.brief_html):
        (policy,) = [
            str(meta["content"])
            for meta in Outline(without_library(page)).of("meta")
            if meta.get("http-equiv") == "Content-Security-Policy"
        ]
        assert policy.startswith("default-src 'none'")
        assert "http" not in policy


def test_two_hundred_plans_of_the_reference_stay_below_six_megabytes(tmp_path: Path) -> None:
    folder = front_run(tmp_path / "front", "reference", 200)
    page = Report.of(folder, plan_run(tmp_path / "current", "reference")).html
    assert len(page.encode()) < 6 * MEGABYTE


def test_nothing_a_user_names_becomes_markup(tmp_path: Path) -> None:
    folder = plan_run(tmp_path / "plan", "tiny")
    plan = Plan.read(folder)
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    rows = tuple(dataclasses.replace(row, reason=evil, break_even=evil) for row in plan.adoption)
    changed = dataclasses.replace(plan, adoption=rows, assumptions=(evil,))
    (folder / "plan.json").write_text(changed.to_json())
    report = Report.of(folder)
    for page in (report.html, report.brief_html, report._repr_html_(), plan._repr_html_()):
        assert evil not in without_library(page)
        assert "<img" not in without_library(page)
    assert evil in html.unescape(report.html)


def test_json_inside_a_script_cannot_end_it() -> None:
    assert "</" not in inline_json({"a": "</script>"})
    assert json.loads(inline_json({"a": "</script>"})) == {"a": "</script>"}


def test_the_library_cannot_end_its_script() -> None:
    assert "</script" not in plotly_js()


# ------------------------------------------------------------------ the figures


def test_the_points_are_those_of_front_json_exactly(run: Path, report: Report) -> None:
    points = {p["id"]: p for p in json.loads((run / "front.json").read_text())["points"]}
    data = data_of(report.html)
    keys = [column["key"] for column in data["columns"]]  # type: ignore[index,attr-defined]
    shown = data["points"]
    assert isinstance(shown, dict)
    assert set(shown) == set(points)
    for name, values in shown.items():
        row = dict(zip(keys, values, strict=True))
        for key in ("cost_usd", "carbon_kgco2e", "qoe", "cost_gap_relative"):
            assert row[key] == pytest.approx(points[name][key], rel=1e-12)
    assert data["bounds"] == {name: point["cost_bound_usd"] for name, point in points.items()}


def test_lines_of_every_plan_add_up_to_its_total(run: Path, report: Report) -> None:
    data = data_of(report.html)
    plans = data["plans"]
    assert isinstance(plans, dict)
    for name, plan in plans.items():
        exact = Plan.read(run / "plans" / name).objectives
        for key, value in (("cost", exact.cost_usd), ("carbon", exact.carbon_kgco2e)):
            lines, total, decimals = plan[key]
            scale = 10**decimals
            assert sum(round(amount * scale) for _, amount in lines) == round(total * scale)
            assert math.isclose(total, value, abs_tol=0.5 / scale + 1e-9)


def test_the_decision_comes_first_and_every_part_has_its_heading(report: Report) -> None:
    text = without_library(report.html)
    titles = re.findall(r"<h[12][^>]*>([^<]+)", text)
    assert titles[0].startswith("Choose one of ")
    assert titles[1:] == [
        *("The trade-off", "The plan", "What a step costs", "Where adaptations flip"),
        *("What would change the answer", "How the figures are known"),
    ]


def test_a_truncated_front_says_so_and_a_complete_one_does_not(
    report: Report, tmp_path: Path
) -> None:
    assert "The front is not complete" in report.html
    complete = Report.of(front_run(tmp_path / "front", "tiny", 6, complete=True))
    assert "The front is not complete" not in complete.html


@pytest.mark.parametrize("points", [1, 2])
def test_a_front_of_which_nothing_is_proved_yet_makes_a_page(tmp_path: Path, points: int) -> None:
    report = Report.of(bare_front(tmp_path / "front", points))
    assert "Nothing is proved yet" in report.html
    assert "nan" not in without_library(report.html).lower().replace("nano", "")
    assert "not known" in report.brief_markdown
    assert report.tables["plans"].rows


def test_the_footer_makes_it_again(run: Path, report: Report) -> None:
    footer = html.unescape(report.html[report.html.index("<footer>") :][:3000])
    assert "planner report front" in footer
    assert "planner front front/instance --epsilon 0.03" in footer
    assert "planner verify front --all" in footer
    assert hand_made_plans("small")[0].instance.sha256 in footer


def test_a_plan_run_has_no_trade_off(tmp_path: Path) -> None:
    page = without_library(Report.of(plan_run(tmp_path / "plan", "small")).html)
    assert "Approve this fleet plan for small" in page
    assert "The trade-off" not in page
    assert "What a step costs" not in page


def test_a_current_plan_of_other_data_is_marked_as_not_costed_again(
    run: Path, tmp_path: Path
) -> None:
    current = plan_run(tmp_path / "current", "small")
    assert "was not costed again" not in Report.of(run, current).html
    plan = Plan.read(current)
    older = dataclasses.replace(plan.instance, sha256="0" * 64)
    (current / "plan.json").write_text(dataclasses.replace(plan, instance=older).to_json())
    assert "was not costed again" in Report.of(run, current).html


# ------------------------------------------------------------------ for everybody


def test_every_picture_has_words_and_every_table_headings(report: Report) -> None:
    outline = Outline(without_library(report.html))
    images = [a for _, a in outline.tags if a.get("role") == "img"]
    assert len(images) > 8
    assert all("aria-label" in image for image in images)
    assert all(cell.get("scope") in ("col", "row") for cell in outline.of("th"))
    labelled = [a for _, a in outline.tags if a.get("tabindex") == "0"]
    assert all(a.get("aria-label") for a in labelled)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible_on_every_ground(scheme: str) -> None:
    colours = {name: getattr(value, scheme) for name, value in COLOURS.items()}
    for ground in ("paper", "panel", "tint-1"):
        for text in ("ink", "muted", "accent"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for ground in ("tint-2", "tint-3"):
        assert contrast(colours["ink"], colours[ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_tints_differ_in_lightness_so_that_grey_print_keeps_them(scheme: str) -> None:
    values = [luminance(getattr(COLOURS[name], scheme)) for name in TINTS]
    steps = [b - a for a, b in itertools.pairwise(values)]
    assert all(step < 0 for step in steps) or all(step > 0 for step in steps)
    colours = [getattr(COLOURS[name], scheme) for name in TINTS]
    assert all(contrast(a, b) > 1.3 for a, b in itertools.pairwise(colours))


def test_each_colour_has_one_name_so_that_figures_can_be_repainted() -> None:
    lights = [colour.light for colour in COLOURS.values()]
    assert len(set(lights)) == len(lights)


# ------------------------------------------------------------------ what would change it


TEST = {"value": 0.75, "leader": "rival", "proved": True}
THRESHOLD = {
    **{"name": "price of h100-sxm", "change": "prices.h100-sxm*=", "unit": "times today's"},
    **{"today": 1.0, "tested_low": 0.5, "tested_high": 2.0, "above": None, "note": ""},
    "below": {"last_own": 0.8, "first_rival": 0.75, "proved": True},
    **{"changes_below": ["h100-sxm instead of l40s"], "changes_above": []},
    **{"tests": [TEST], "complete": True},
}
BREAK_EVEN = {
    **{"workload": "chat", "own": "rag", "rival": "fine-tune", "figure": "quality"},
    **{"change": "quality.chat/llama-3.1-8b/fine-tune=", "unit": "when fresh", "today": 0.7},
    **{"tested_low": 0.7, "tested_high": 0.9, "tests": [TEST], "note": ""},
    "flip": {"last_own": 0.74, "first_rival": 0.76, "proved": False},
}
PRICE_TAG = {
    **{"limit": "quota of 24 h100-sxm in aws:us-east-1", "unit": "accelerators", "today": 24.0},
    **{"moved_to": 32.0, "least": -900.0, "most": 0.0, "estimate": -350.0},
}
STORED = {
    **{"format_version": 1, "point": None, "minimised": "cost", "unit": "USD", "value": 1.0},
    **{"thresholds": [THRESHOLD], "break_evens": [BREAK_EVEN], "price_tags": [PRICE_TAG]},
    "not_reached": [],
}


def test_without_thresholds_the_page_says_how_to_have_them(report: Report, tmp_path: Path) -> None:
    chosen = report.content.chosen.point
    for text in (report.html, report.brief_markdown):
        assert f"planner explain front --point {chosen} --thresholds" in text
    alone = Report.of(plan_run(tmp_path / "plan", "tiny"))
    assert "planner explain plan --thresholds" in alone.html


def test_stored_thresholds_are_shown_with_the_range_tested(tmp_path: Path) -> None:
    folder = plan_run(tmp_path / "plan", "tiny")
    flat = {**THRESHOLD, "name": "demand", "below": None, "complete": False}
    late = {**THRESHOLD, "name": "price of l4", "tests": []}
    stored = {**STORED, "thresholds": [flat, late, THRESHOLD], "not_reached": ["one more"]}
    (folder / "sensitivity.json").write_text(json.dumps(stored))
    report = Report.of(folder)
    page = html.unescape(without_library(report.html))
    assert "turns between ×0.75 and ×0.8 (proved)" in page
    assert "h100-sxm instead of l40s" in page
    assert "×0.5 to ×2" in page
    assert "no turn met before time was up" in page
    assert "turns between 0.74 and 0.76 (by the plans found, not proved)" in page
    assert "quality of llama-3.1-8b/fine-tune" in page
    assert "24.0 to 32.0 accelerators" in page
    assert "\N{MINUS SIGN}900 to 0" in page
    assert "There was no time for 2 further tests" in page
    assert "--thresholds" not in page
    (changes,) = report.content.changes
    assert [row.figure for row in changes.thresholds] == ["price of h100-sxm", "demand"]
    assert "price of h100-sxm: turns between" in report.brief_markdown


def test_of_a_front_each_plan_has_its_own_thresholds(tmp_path: Path) -> None:
    folder = front_run(tmp_path / "front", "tiny", 6)
    for point in ("p0002", "p0004"):
        (folder / "plans" / point / "sensitivity.json").write_text(json.dumps(STORED))
    report = Report.of(folder)
    assert {found.point for found in report.content.changes} == {"p0002", "p0004"}
    assert report.html.count("Around the plan") == 2


def test_the_picture_of_a_range_marks_today_and_where_it_turned() -> None:
    (row,) = changes_of("plan", {**STORED, "break_evens": [], "price_tags": []}).thresholds
    assert row.mark == pytest.approx(0.5)
    (zone,) = row.zones
    assert zone.start == 0.0
    assert zone.width == pytest.approx(math.log(0.75 / 0.5) / math.log(4))
