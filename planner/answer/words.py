"""Numbers as people read them: thousands separators, three or more telling digits, a unit."""

from __future__ import annotations


def number(value: float) -> str:
    """Whole from 100 on, else three significant digits; never an exponent for usual sizes."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 99.95:
        return f"{value:,.0f}"
    if size >= 9.995:
        return f"{value:.1f}"
    if size >= 0.9995:
        return f"{value:.2f}"
    return f"{value:.3g}" if size >= 1e-4 else f"{value:.1e}"


def amount(value: float, unit: str) -> str:
    """``1,234 USD``, ``0.53 kgCO2e``."""
    return f"{number(value)} {unit}"


def times(factor: float) -> str:
    """``3.4 times``."""
    return f"{number(factor)} times"


def count(value: float) -> str:
    """A whole number of things."""
    return f"{value:,.0f}"


def percent(share: float) -> str:
    """``0.42 %``; three significant digits below ten."""
    return f"{number(100.0 * share)} %"
