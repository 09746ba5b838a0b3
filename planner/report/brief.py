"""The brief: one page for people who read one page, as Markdown and as HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from planner.answer.words import number, percent, share
from planner.report import sentences
from planner.report.options import CURRENT, Option, beats, given_up
from planner.report.page import Content, shown

THREE = ("proposed", "cheapest", "greenest", "compromise", "knee", "best QoE")
"""Names in the order in which they are taken until there are three plans."""
MOST = 3
MOST_THRESHOLDS = 4
BALANCED = "compromise"


@dataclass(frozen=True)
class BriefOption:
    """An option as the brief shows it, every figure as text."""

    letter: str
    name: str
    point: str
    cost: str
    carbon: str
    qoe: str
    could_be_cheaper: str
    gives_up: str
    means: str


@dataclass(frozen=True)
class Brief:
    """All that the brief says."""

    title: str
    asked: str
    options: tuple[BriefOption, ...]
    steps: tuple[str, ...]
    """prices of going from one option to the next dearer one"""
    picture: str
    """SVG"""
    proof: str
    scope: str
    warnings: tuple[str, ...]
    changes: tuple[str, ...]
    data: tuple[str, ...]
    footer: tuple[tuple[str, str], ...]
    hours: str


def brief_of(content: Content) -> Brief:
    """The brief of a run."""
    from planner.report.render import picture

    source = content.source
    chosen = brief_options(content.options)
    return Brief(
        title=sentences.decision(source, chosen),
        asked=sentences.lead(source, content.options),
        options=tuple(_option(content, option) for option in chosen),
        steps=tuple(_steps(content, chosen)),
        picture=picture(content, chosen),
        proof=sentences.proof(source).sentence,
        scope=sentences.SCOPE,
        warnings=tuple(sentences.warnings(source)),
        changes=tuple(_changes(content)),
        data=tuple(_data(content)),
        footer=(
            ("Whole report", f"planner report {source.folder.name}"),
            ("The run", sentences.command(source)),
            ("Checked by", f"planner verify {source.folder.name}"),
            ("Instance", f"{source.name}, sha256 {source.facts.instance.sha256[:12]}"),
        ),
        hours=f"{source.hours:g}",
    )


def brief_options(options: tuple[Option, ...]) -> tuple[Option, ...]:
    """Three plans (fewer where fewer are distinct) and the current one, in the report's order."""
    taken: list[Option] = []
    for name in THREE:
        for option in options:
            if name in option.names and option not in taken and len(taken) < MOST:
                taken.append(option)
    return tuple(option for option in options if option in taken or option.point == CURRENT)


def _option(content: Content, option: Option) -> BriefOption:
    columns = {column.key: column for column in content.columns}
    gap = option.cost_gap_relative
    lost, better = given_up(option), beats(option)
    gives_up = "; ".join(lost) if lost else "nothing among these"
    if better:
        gives_up += f" (it has {'; '.join(better)})"
    decided = content.views[option.point].decisions
    parts = [
        f"{number(decided.accelerators_mean)} accelerators on average",
        f"{decided.regions} {'region' if decided.regions == 1 else 'regions'}",
        f"RAG for {decided.workloads_rag} and fine-tuning for {decided.workloads_fine_tuned} of "
        f"{len(content.views[option.point].adaptation)} workloads",
        f"{share(decided.committed_share)} owned or committed, {share(decided.spot_share)} spot",
    ]
    if decided.liability_usd:
        parts.append(f"{number(decided.liability_usd)} USD signed beyond the period")
    return BriefOption(
        letter=option.letter,
        name=option.name.replace(BALANCED, f"balanced ({BALANCED})"),
        point=option.point,
        cost=shown(option.objectives.cost_usd, columns["cost_usd"]),
        carbon=shown(option.objectives.carbon_kgco2e, columns["carbon_kgco2e"]),
        qoe=shown(option.objectives.qoe, columns["qoe"]),
        could_be_cheaper="not known" if gap is None else percent(gap),
        gives_up=gives_up,
        means=", ".join(parts),
    )


def _steps(content: Content, options: tuple[Option, ...]) -> list[str]:
    """What going from one option to the next dearer one costs and brings."""
    from planner.front.choose import steps_by_cost

    letters = {option.point: option.letter for option in options}
    values = {o.point: o.objectives for o in options if o.point != CURRENT}
    said = []
    for step in steps_by_cost(values) if len(values) > 1 else ():
        prices = []
        if step.usd_per_tonne is not None:
            prices.append(f"{number(step.usd_per_tonne)} USD per tonne of CO2e avoided")
        if step.usd_per_qoe_point is not None:
            prices.append(f"{number(step.usd_per_qoe_point)} USD per 0.01 of QoE gained")
        start, end = letters[step.start], letters[step.end]
        said.append(f"{start} to {end}: {number(step.cost_usd)} USD more, {' or '.join(prices)}")
    return said


def _changes(content: Content) -> list[str]:
    """The nearest thresholds; how to have them where they were not computed."""
    if not content.changes:
        command = sentences.explain_command(content.source, content.chosen)
        return [
            f"Not tested yet: `{command}` solves again under other prices, demand, carbon and "
            f"quality and says where the decision turns."
        ]
    found = content.changes[0]
    option = content.option_at(found.point)
    plan = found.point if option is None else option.letter
    return [f"Plan {plan}: {row.sentence}" for row in found.nearest(MOST_THRESHOLDS)]


def _data(content: Content) -> list[str]:
    """Age, how speeds and quality are known, and the largest caveats."""
    source = content.source
    plan = content.plan(content.chosen.point)
    ages = "; ".join(f"{table} {span}" for table, span in source.facts.ages.items())
    lines = [f"Age: {ages}."]
    for key, what in (
        ("serving_by_cost", "Speeds, by cost"),
        ("quality_by_requests", "Answer quality, by requests"),
        ("prices_by_cost", "Prices, by cost"),
        ("grid_carbon_by_accelerator_hours", "Grid carbon, by accelerator-hours"),
    ):
        shares = plan.provenance.get(key) or {}
        if shares:
            parts = ", ".join(f"{kind} {share(float(value))}" for kind, value in shares.items())
            lines.append(f"{what} (plan {content.chosen.letter}): {parts}.")
    lines.append("Sources, error bands and all assumptions are in the whole report.")
    return lines


def brief_markdown(content: Content) -> str:
    """The brief as Markdown."""
    return _render("brief.md.j2", content)


def brief_html(content: Content) -> str:
    """The brief as one HTML page without a script."""
    return _render("brief.html.j2", content)


def _render(template: str, content: Content) -> str:
    import importlib.metadata

    from planner.report.render import environment, style_sheet

    context: dict[str, Any] = {
        "brief": brief_of(content),
        "css": style_sheet(),
        "version": importlib.metadata.version("fleet-planner"),
    }
    return environment().get_template(template).render(context)
