"""How the figures are known: shares by kind, age, sources, bands; and where verdicts turn."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from planner.answer.known import told
from planner.answer.words import share
from planner.plan import Plan
from planner.report.page import Content

BAND_ORDER = ("measured", "interpolated", "transferred", "roofline")


@dataclass(frozen=True)
class Part:
    """A kind of knowledge and its share."""

    name: str
    share: float
    text: str


@dataclass(frozen=True)
class Known:
    """How one side of a plan is known; parts add up to 1."""

    title: str
    parts: tuple[Part, ...]


def known_of(plan: Plan) -> list[Known]:
    """The shares that the plan states."""
    return [
        Known(title, tuple(Part(name, value, share(value)) for name, value in shares.items()))
        for title, shares in told(plan)
    ]


@dataclass(frozen=True)
class BandRow:
    """Measured over predicted of speeds known in one way, 10th to 90th percentile."""

    name: str
    ttft: str
    tpot: str


def band_rows() -> list[BandRow]:
    """All kinds, the best known first."""
    from planner.serving import load_bands

    table = load_bands()
    return [
        BandRow(
            name,
            *(
                f"{low:.2f} to {high:.2f}"
                for low, high in (table[name, q] for q in ("ttft", "tpot"))
            ),
        )
        for name in BAND_ORDER
    ]


@dataclass(frozen=True)
class SourceRow:
    """Where figures come from: what they are used for, and the source with its date."""

    kind: str
    items: str
    source: str


def source_rows(content: Content) -> list[SourceRow]:
    """Sources of the machines, regions, accelerators, llms and qualities that the options use."""
    facts = content.source.facts
    plans = [content.plan(option.point) for option in content.options]
    offers = {(line.region, line.offer) for plan in plans for line in plan.fleet}
    cards = {line.accelerator for plan in plans for line in plan.fleet}
    regions = {line.region for plan in plans for line in plan.routing if line.region}
    llms = {row.llm for plan in plans for row in plan.adoption}
    llms |= {row.check_llm for plan in plans for row in plan.adoption if row.check_llm}
    variants = {row.variant for plan in plans for row in plan.adoption}
    groups = (
        (
            "Machine prices",
            [(m.offer, m.provenance) for m in facts.machines if (m.region, m.offer) in offers],
        ),
        (
            "Regions: carbon, PUE, water",
            [(r.region, r.provenance) for r in facts.regions if r.region in regions],
        ),
        (
            "Accelerators",
            [(a.accelerator, a.provenance) for a in facts.accelerators if a.accelerator in cards],
        ),
        ("Llms", [(m.llm, m.provenance) for m in facts.llms if m.llm in llms]),
        (
            "Hosted llms",
            [(api.llm, api.provenance) for api in facts.apis if api.llm in llms],
        ),
        (
            "Answer quality",
            [(v.workload, v.provenance) for v in facts.variants if v.variant in variants],
        ),
        ("Prices beside accelerators", [("every plan", facts.prices.provenance)]),
    )
    rows = []
    for kind, pairs in groups:
        by_source: dict[str, dict[str, None]] = defaultdict(dict)
        for item, source in pairs:
            by_source[source][item] = None
        rows += [SourceRow(kind, ", ".join(items), said(s)) for s, items in by_source.items()]
    return rows


def said(source: str) -> str:
    """The source as a reader meets it; what is the user's own is said so."""
    return {"user": "the instance's own table", "prior": "published prior of the catalog"}.get(
        source, source
    )
