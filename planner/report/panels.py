"""What the plotly figures of several panels share: look and page."""

from __future__ import annotations

import plotly.graph_objects as go

INK, GRID = "#16191f", "#e9ecf0"
FONT = "-apple-system, BlinkMacSystemFont, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"


def lay_out(figure: go.Figure, title: str, height_px: int) -> None:
    """Title, type, colours and grid; margins and legend are the caller's."""
    figure.update_xaxes(gridcolor=GRID, zeroline=False)
    figure.update_yaxes(gridcolor=GRID, zeroline=False)
    figure.update_layout(
        template=go.layout.Template(),
        title={"text": title, "font": {"size": 17}},
        font={"family": FONT, "size": 12, "color": INK},
        paper_bgcolor="#ffffff",
        plot_bgcolor="#ffffff",
        height=height_px,
    )


def page(figure: go.Figure) -> str:
    """One self-contained HTML page with the figure; no network."""
    config = {"displaylogo": False, "responsive": True}
    return str(figure.to_html(full_html=True, include_plotlyjs=True, config=config))
