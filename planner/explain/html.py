"""Explanations in a notebook."""

from __future__ import annotations

from html import escape

from planner.compare.markup import paragraphs, section, table
from planner.explain import said
from planner.explain.results import Explanation


def explanation_html(found: Explanation) -> str:
    """The answer, then every section that there is."""
    unit = found.unit
    choices = [
        [said.choice_title(c), said.price(c.price, unit), c.runner_up or "", "; ".join(c.limits)]
        for c in found.choices
    ]
    return "".join(
        [
            f"<p><strong>{escape(said.answer(found))}</strong></p>",
            *(
                section(f"Why not {w.wish}", paragraphs(said.why_not(w, unit)))
                for w in found.why_not
            ),
            section(
                "Choices",
                table(("choice", "doing without it", "instead", "limits"), choices)
                if choices
                else "",
            ),
            section(
                "Where retrieval or fine-tuning would win instead",
                paragraphs(f"{b.workload}: {said.break_even(b)}" for b in found.break_evens),
            ),
            section(
                "What would change the answer", paragraphs(map(said.threshold, found.thresholds))
            ),
            section("Price tags of limits", _tags(found)),
            section("Not reached in the time given", paragraphs(found.not_reached)),
        ]
    )


def _tags(found: Explanation) -> str:
    rows = said.tag_rows(found.price_tags, found.unit)
    headings = ("limit", "moved", f"change, {found.unit} (proved)", "price")
    return table(headings, rows) if rows else ""
