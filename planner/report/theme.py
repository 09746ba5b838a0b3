"""Colours of the report, by name, for light and dark; style sheet and figures share them.

One accent, and its tints from pale to deep for everything that is ordered: they differ in
lightness, so that they can be told apart in grey print and by every kind of colour vision.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Colour:
    """A colour for each scheme, as ``#rrggbb``."""

    light: str
    dark: str


COLOURS = {
    "paper": Colour("#ffffff", "#14171c"),
    "panel": Colour("#f6f7f9", "#1b1f26"),
    "ink": Colour("#16191f", "#e9ebee"),
    "muted": Colour("#565d68", "#a7aeb9"),
    "rule": Colour("#dadee4", "#333a45"),
    "grid": Colour("#e9ecf0", "#262c35"),
    "accent": Colour("#0b4f9c", "#7fb8ff"),
    "tint-1": Colour("#dce9f7", "#1c3148"),
    "tint-2": Colour("#a9c8ea", "#274a70"),
    "tint-3": Colour("#6b9fd6", "#35679b"),
    "tint-4": Colour("#2f6fb5", "#6fa9e3"),
    "tint-5": Colour("#08305f", "#cfe4fb"),
    "warn": Colour("#7a4a00", "#f0c36d"),
    "warn-paper": Colour("#fdf4e3", "#2a2314"),
}

TINTS = ("tint-1", "tint-2", "tint-3", "tint-4", "tint-5")
"""Pale to deep on light paper, dim to bright on dark: least to most on both."""


def light(name: str) -> str:
    """The colour of that name on paper."""
    return COLOURS[name].light


def style_variables(scheme: str) -> str:
    """``--ink: #...;`` and so on, for a rule of a style sheet; `scheme` is light or dark."""
    return " ".join(f"--{name}: {getattr(value, scheme)};" for name, value in COLOURS.items())


def dark_of_light() -> dict[str, str]:
    """Light colour -> dark colour, to repaint a figure; every light colour occurs once."""
    return {value.light: value.dark for value in COLOURS.values()}
