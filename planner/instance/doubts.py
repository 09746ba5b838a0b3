"""Doubts: a figure far from the one that it replaces is more often a slip than a discovery.

The commonest slips have a factor of their own: the price of one accelerator in the place of the
whole machine's (1/8), kilograms for grams (1/1000), cents or per cent (100).
"""

from __future__ import annotations

from dataclasses import dataclass

ROUNDING = 0.01
"""How near to 1/n a figure must be to count as an n-th: prices are written to the cent."""
HALF = 2.0 * (1.0 + ROUNDING)
"""Half a price may be a discount: the slip of a machine of two is only pointed out."""
THOUSAND, HUNDRED = (500.0, 2_000.0), (70.0, 140.0)
"""Factors that a figure of another year, times a thousand or a hundred, falls into."""


@dataclass(frozen=True)
class Far:
    """Factors, either way, from which a figure is pointed out and from which it is refused."""

    pointed_out: float
    refused: float
    least: float = 0.0
    """smaller differences are never far, in the unit of the figure"""


@dataclass(frozen=True)
class Doubt:
    """Why a figure can hardly be meant."""

    problem: str
    refused: bool


FAR: dict[str, Far] = {
    "ondemand_usd_per_h": Far(3.0, 5.0),
    "spot_usd_per_h": Far(5.0, 20.0),
    "commit_1y_usd_per_h": Far(3.0, 5.0),
    "commit_3y_usd_per_h": Far(3.0, 5.0),
    "carbon_gco2e_per_kwh": Far(3.0, 10.0, least=30.0),
    "pue": Far(1.6, 2.5),
    "site_wue_l_per_kwh": Far(5.0, 20.0, least=0.5),
    "memory_gb": Far(1.3, 3.0),
    "tdp_w": Far(2.0, 5.0),
    "idle_w": Far(3.0, 10.0),
    "embodied_kgco2e": Far(4.0, 12.0),
    "input_usd_per_mtok": Far(4.0, 10.0),
    "cached_input_usd_per_mtok": Far(6.0, 20.0),
    "output_usd_per_mtok": Far(4.0, 10.0),
}
"""By column, of the instance's tables and the catalog's alike."""
ANY_OTHER = Far(10.0, 10.0)
"""Any other figure of the catalog."""


def doubt(
    value: float, known: float, far: Far, *, pieces: int = 1, whose: str = "the catalog's"
) -> Doubt | None:
    """Why `value` can hardly stand for `known`, both in one unit, or None.

    `pieces`: accelerators in the machine that both are prices of.
    """
    if known <= 0.0 or value == known:
        return None
    said = f"{whose} {known:,.6g}"
    if value <= 0.0:
        return Doubt(f"0, and {said}", False) if known > far.least else None
    factor = max(value / known, known / value)
    slip = _slip(value < known, factor, pieces)
    if slip:
        part = f"1/{pieces} of" if "price of one" in slip else _times(value, known)
        return Doubt(f"{part} {said}: {slip}", factor > HALF)
    if factor <= far.pointed_out or abs(value - known) <= far.least:
        return None
    return Doubt(f"{_times(value, known)} {said}", factor > far.refused)


def outside(value: float, low: float, high: float, factor: float, what: str) -> Doubt | None:
    """Why `value` can hardly be one of `what`, whose known ones lie from `low` to `high`."""
    if low / factor <= value <= high * factor:
        return None
    refused = not low / factor**2 <= value <= high * factor**2
    return Doubt(f"{what} are {low:,.4g} to {high:,.4g} in the catalog", refused)


def _slip(below: bool, factor: float, pieces: int) -> str:
    """The slip that has this factor, if one has."""
    if pieces > 1 and abs(factor / pieces - 1.0) <= ROUNDING:
        return "the price of one accelerator?" if below else "times its accelerators twice?"
    if THOUSAND[0] <= factor <= THOUSAND[1]:
        return "another unit, such as kg for g, or MW for kW?"
    return "cents, or per cent?" if HUNDRED[0] <= factor <= HUNDRED[1] else ""


def _times(value: float, known: float) -> str:
    """``1/8.2 of``, ``1,030 times``."""
    factor = value / known if value > known else known / value
    shown = f"{factor:,.0f}" if factor >= 100.0 else f"{factor:.3g}"
    return f"{shown} times" if value > known else f"1/{shown} of"
