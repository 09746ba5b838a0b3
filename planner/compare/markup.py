"""Plain HTML for notebooks: tables, headings and paragraphs, everything escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()
) -> str:
    """An HTML table; columns in `numbers` are aligned right."""

    def cell(tag: str, at: int, text: str) -> str:
        side = "right" if at in numbers else "left"
        scope = ' scope="col"' if tag == "th" else ""
        return f'<{tag}{scope} style="text-align:{side}">{escape(text)}</{tag}>'

    head = "".join(cell("th", at, text) for at, text in enumerate(headings))
    body = "".join(
        "<tr>" + "".join(cell("td", at, text) for at, text in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def section(title: str, *parts: str) -> str:
    """A heading over parts of HTML; nothing where there are none."""
    return f"<h4>{escape(title)}</h4>{''.join(parts)}" if any(parts) else ""


def paragraphs(texts: Iterable[str]) -> str:
    """One paragraph per text."""
    return "".join(f"<p>{escape(text)}</p>" for text in texts)
