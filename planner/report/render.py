"""The page: one HTML file that holds its style, script, library and data, and asks for nothing."""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.answer.words import calibration_said, percent, share
from planner.report import sentences
from planner.report.known import band_rows, known_of, source_rows
from planner.report.options import CURRENT, Loss, Option
from planner.report.page import Column, Content, page_data, shown
from planner.report.picture import options_picture
from planner.report.rounding import decimals_for
from planner.report.strips import Edge, edges_of
from planner.report.theme import style_variables

if TYPE_CHECKING:
    import jinja2

    from planner.front.choose import Step

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("format.js", "charts.js", "parallel.js", "trade.js", "table.js", "plan.js", "main.js")
PAIRS = (
    ("trade-0-1", "Cost and carbon"),
    ("trade-0-2", "Cost and QoE"),
    ("trade-2-1", "QoE and carbon"),
)
NUMBER_AND_UNIT = re.compile(r"(\d) (%|USD|kgCO2e|h|s|ms|l|times|days|plans)(?![\w%])")
MOST_GAP_BARS = 60
"""Plans above which the gap bars are off at first."""


def report_html(content: Content) -> str:
    """The whole page."""
    source, chosen = content.source, content.chosen
    plan = content.plan(chosen.point)
    front = source.front
    edges = edges_of(content)
    context: dict[str, Any] = {
        "version": importlib.metadata.version("fleet-planner"),
        "css": style_sheet(),
        "name": source.name,
        "folder": source.folder.name,
        "hours": f"{source.hours:g}",
        "is_front": front is not None,
        "headline": sentences.decision(source, content.options),
        "lead": sentences.lead(source, content.options),
        "warnings": sentences.warnings(source),
        "proof": sentences.proof(source),
        "scope": sentences.SCOPE,
        "command": sentences.command(source),
        "sha256": source.facts.instance.sha256,
        "catalog_sha256": catalog_sha256(),
        "options": option_rows(content),
        "columns": content.columns,
        "picture": picture(content, content.options),
        "picture_caption": picture_caption(content),
        "pairs": PAIRS,
        "gap_bars": len(source.plans) <= MOST_GAP_BARS,
        "rows": point_rows(content) if front is not None else [],
        "views": view_names(content),
        "option_steps": option_steps(content),
        "edges": edges,
        "steps_rows": lambda steps: step_rows(content, steps),
        "known": known_of(plan),
        "measured": calibration_said(plan),
        "known_option": label(content, chosen.point),
        "ages": list(source.facts.ages.items()),
        "bands": band_rows(),
        "sources": source_rows(content),
        "assumptions": plan.assumptions,
        "changes": content.changes,
        "labels": {name: label(content, name) for name in content.views},
        "explain_command": sentences.explain_command(source, chosen),
        "break_evens": [row for row in content.views[chosen.point].adaptation if row.break_even],
        "break_even_option": label(content, chosen.point),
        "data_json": inline_json(page_data(content)),
        "plotly_js": plotly_js(),
        "js": script(),
    }
    return environment().get_template("report.html.j2").render(context)


def label(content: Content, point: str) -> str:
    """``C (knee)`` for an option, the id for another plan."""
    option = content.option_at(point)
    return point if option is None else f"{option.letter} ({option.name})"


@cache
def environment() -> jinja2.Environment:
    """Templates escape everything they are given, unless told that it is markup of ours."""
    import jinja2

    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=jinja2.StrictUndefined,
        finalize=jinja2.pass_eval_context(kept_together),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["code"] = code
    return found


def kept_together(context: jinja2.nodes.EvalContext, value: Any) -> Any:
    """In HTML a number and its unit are not torn apart at the end of a line."""
    if context.autoescape and type(value) is str:
        return NUMBER_AND_UNIT.sub("\\1\N{NO-BREAK SPACE}\\2", value)
    return value


def code(text: str) -> Any:
    """Text with what stands between backticks as code."""
    from markupsafe import Markup, escape

    parts = text.split("`")
    marked = [
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part)
        for at, part in enumerate(parts)
    ]
    return Markup("").join(marked)


def style_sheet() -> str:
    """The colours of both schemes, then the rules."""
    rules = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    light, dark = style_variables("light"), style_variables("dark")
    return (
        f":root {{ {light} }}\n"
        f'@media screen {{ :root[data-scheme="dark"] {{ {dark} }} }}\n'
        f"@media screen and (prefers-color-scheme: dark) "
        f"{{ :root:not([data-scheme]) {{ {dark} }} }}\n{rules}"
    )


def script() -> str:
    """Our own script: the files in order, inside one function."""
    body = "\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return (
        '(() => {\n"use strict";\n'
        'const DATA = JSON.parse(document.getElementById("data-block").textContent);\n'
        f"{body}\n}})();"
    )


@cache
def plotly_js() -> str:
    """The library as the plotly package ships it, safe inside a script element."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).replace("</script", "<\\/script")


def inline_json(data: dict[str, Any]) -> str:
    """JSON that may stand inside a script element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.replace("<", "\\u003c")


@cache
def catalog_sha256() -> str:
    """Of the shipped catalog."""
    from planner.catalog import load_catalog

    return load_catalog().sha256


# ------------------------------------------------------------------ first screen


@dataclass(frozen=True)
class OptionCell:
    """A figure of an option and what it gives up there."""

    label: str
    """name and unit of the column, where there is no heading above it"""
    value: str
    loss: str | None
    best: bool
    share: str
    """of the range, for the bar"""


@dataclass(frozen=True)
class OptionRow:
    """An option as the first screen shows it."""

    letter: str
    title: str
    point: str
    cells: tuple[OptionCell, ...]
    gap: str | None
    """how much cheaper it could be at most; None: not known"""


def option_rows(content: Content) -> list[OptionRow]:
    """The options with their three figures, what each gives up, and the proved gap."""
    columns = {column.key: column for column in content.columns}
    alone = len(content.options) == 1
    rows = []
    for option in content.options:
        cells = tuple(
            option_cell(
                shown(getattr(option.objectives, loss.objective), columns[loss.objective]),
                loss,
                columns[loss.objective],
                alone=alone,
            )
            for loss in option.losses
        )
        gap = option.cost_gap_relative
        rows.append(
            OptionRow(
                letter=option.letter,
                title=option.name[0].upper() + option.name[1:],
                point=option.point,
                cells=cells,
                gap=None if gap is None else percent(gap),
            )
        )
    return rows


def option_cell(value: str, loss: Loss, column: Column, *, alone: bool) -> OptionCell:
    """``+14,855 (2.1 times)`` below the figure; ``best`` where nothing is given up.

    The current plan may be better than all listed ones: its change then has the other sign.
    """
    label = ", ".join(filter(None, (column.label, column.unit)))
    if alone:
        return OptionCell(label, value, None, False, "0")
    if loss.excess == 0:
        return OptionCell(label, value, "best", True, "0")
    rises = (loss.excess > 0) == (column.better < 0)
    sign, excess = "+" if rises else "\N{MINUS SIGN}", abs(loss.excess)
    decimals = column.decimals or min(2, decimals_for(excess))
    text = f"{sign}{excess:,.{decimals}f}"
    if column.key != "qoe" and loss.relative is not None:
        times = 1.0 + loss.relative
        text += f" ({times:,.1f} times)" if times >= 2 else f" ({share(abs(loss.relative))})"
    return OptionCell(label, value, text, False, f"{max(0.0, loss.range_share):.4f}")


def picture(content: Content, options: tuple[Option, ...]) -> str:
    """The options among all plans, cost across and carbon up, as SVG."""
    points = [content.source.plans[name].objectives for name in content.source.plans]
    told = "; ".join(
        f"{o.letter}, {o.name}: {o.objectives.cost_usd:,.0f} USD, "
        f"{o.objectives.carbon_kgco2e:,.0f} kgCO2e"
        for o in options
    )
    return options_picture(options, points, f"Cost and carbon of the options. {told}.")


def picture_caption(content: Content) -> str:
    """What the dots and letters are."""
    count = len(content.source.plans)
    if content.source.front is None:
        return "The proposed plan and the current one."
    text = f"The options among all {count} plans: down and to the left is better."
    if any(option.point == CURRENT for option in content.options):
        text += " The open circle is the current plan."
    return text


# ------------------------------------------------------------------ tables of a front


@dataclass(frozen=True)
class PointRow:
    """A row of the table of plans."""

    point: str
    letter: str
    name: str
    cells: tuple[str, ...]


def point_rows(content: Content) -> list[PointRow]:
    """Every plan of the front by cost."""
    ordered = sorted(content.source.plans, key=lambda p: content.views[p].objectives.cost_usd)
    rows = []
    for point in ordered:
        option = content.option_at(point)
        cells = tuple(shown(content.value(point, column.key), column) for column in content.columns)
        letter, name = (option.letter, option.name) if option else ("", "")
        rows.append(PointRow(point, letter, name, cells))
    return rows


def view_names(content: Content) -> list[tuple[str, str]]:
    """(id, label) of every plan that can be shown: the options first."""
    named = [(o.point, f"{o.letter} – {o.name}") for o in content.options]
    seen = {point for point, _ in named}
    return named + [(row.point, row.point) for row in point_rows(content) if row.point not in seen]


@dataclass(frozen=True)
class StepRow:
    """A step between two plans, as cells."""

    name: str
    cells: tuple[str, ...]


def step_rows(
    content: Content, steps: Sequence[Step], options: Sequence[Option] = ()
) -> list[StepRow]:
    """Cost, carbon, QoE and the two prices of each step."""
    columns = {column.key: column for column in content.columns}
    letters = {option.point: f"{option.letter}, {option.name}" for option in options}
    rows = []
    for step in steps:
        start, end = letters.get(step.start, step.start), letters.get(step.end, step.end)
        prices = [
            "–" if price is None else f"{price:,.0f}"
            for price in (step.usd_per_tonne, step.usd_per_qoe_point)
        ]
        rows.append(
            StepRow(
                f"{start} to {end}",
                (
                    *(
                        signed(getattr(step, key), columns[key].decimals)
                        for key in ("cost_usd", "carbon_kgco2e", "qoe")
                    ),
                    *prices,
                ),
            )
        )
    return rows


def signed(value: float, decimals: int) -> str:
    """``+1,234`` or ``−0.5``, with a real minus."""
    return f"{value:+,.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def option_steps(content: Content) -> list[StepRow]:
    """Steps between the front's options in the order of cost."""
    from planner.front.choose import steps_by_cost

    values = {o.point: o.objectives for o in content.options if o.point != CURRENT}
    return step_rows(content, steps_by_cost(values), content.options) if len(values) > 1 else []


__all__ = ["Edge", "report_html"]
