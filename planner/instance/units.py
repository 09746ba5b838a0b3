"""Units in headers: a column in another unit of the same dimension is converted, others refused.

A header is a stem and a unit, ``ttft_target_s`` or ``ondemand_usd_per_h``. The only user of pint.
A month is 730 hours and a year 8,760, as everywhere in the planner.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

_DEFINITIONS = """
second = [time] = s = seconds = sec
minute = 60 * second = min = minutes = mins
hour = 3600 * second = h = hours = hr
day = 24 * hour = days = d
week = 7 * day = weeks
month = 730 * hour = months
year = 8760 * hour = years = yr
millisecond = 1e-3 * second = ms = milliseconds
microsecond = 1e-6 * second = us
usd = [money] = dollar = dollars
cent = 0.01 * usd = cents
kusd = 1000 * usd
musd = 1e6 * usd
eur = [euros] = euro
gbp = [pounds_sterling]
joule = [energy] = j = joules
kj = 1e3 * joule
mj = 1e6 * joule
wh = 3600 * joule
kwh = 1e3 * wh
mwh = 1e6 * wh
gwh = 1e9 * wh
w = joule / second = watt = watts
kw = 1e3 * w
mw = 1e6 * w
gco2e = [carbon] = gco2 = gco2eq
kgco2e = 1e3 * gco2e = kgco2 = kgco2eq
tco2e = 1e6 * gco2e = tco2 = tco2eq
lbco2e = 453.59237 * gco2e = lbco2
mb = [memory]
gb = 1e3 * mb
tb = 1e6 * mb
mib = 1.048576 * mb
gib = 1073.741824 * mb
tib = 1099511.627776 * mb
l = [volume] = litre = litres = liter = liters
ml = 1e-3 * l
m3 = 1e3 * l
gal = 3.785411784 * l = gallon = gallons
token = [text] = tokens = tok
ktok = 1e3 * token = ktokens
mtok = 1e6 * token = mtokens
btok = 1e9 * token = btokens
refresh = [refreshes]
share = [] = fraction
percent = 0.01 = pct
"""
_AMBIGUOUS = {"min"}
"""Words of our own headers (``quality_min``: least) that are units only in a user's header."""
_ONLY_BELOW = {"refresh"}
"""Units only after ``per`` (``refresh_days`` are days between refreshes)."""


@dataclass(frozen=True)
class Conversion:
    """A header that states `field` in another unit: value in the field's unit = factor * cell."""

    field: str
    factor: float


@dataclass(frozen=True)
class Refusal:
    """A header with the stem of `field` but a unit of another dimension, or none."""

    field: str
    problem: str


@cache
def _registry() -> Any:
    """The units above and nothing else: small, and no surprises such as ``p`` for peta."""
    import pint  # slow to import, and seldom needed: only for headers we do not know

    registry = pint.UnitRegistry(None)
    for line in _DEFINITIONS.strip().splitlines():
        registry.define(line)
    return registry


@cache
def _words() -> frozenset[str]:
    sides = (line.split("=") for line in _DEFINITIONS.strip().splitlines())
    return frozenset(
        name.strip()
        for parts in sides
        for index, name in enumerate(parts)
        if index != 1  # the second part is the definition
    )


def _splits(header: str, ambiguous: bool) -> list[tuple[str, str]]:
    """Ways to read a header as (stem, unit expression), longest unit first, no unit last."""
    words = header.lower().split("_")
    known = _words() if ambiguous else _words() - _AMBIGUOUS
    found = []
    for start in range(len(words)):
        unit = words[start:]
        over = unit.index("per") if "per" in unit else len(unit)
        above, below = unit[:over], unit[over + 1 :]
        if not set(above + below) <= known or (over < len(unit) and not below):
            continue
        if set(above) & _ONLY_BELOW:
            continue
        expression = "*".join(above or ["1"]) + "".join(f"/{word}" for word in below)
        found.append(("_".join(words[:start]), expression))
    return [*found, ("_".join(words), "")]


def _quantity(expression: str) -> Any:
    return _registry().Quantity(expression)


@cache
def convert_header(header: str, fields: tuple[str, ...]) -> Conversion | Refusal | None:
    """How an unknown header states one of the numeric `fields`, if it does.

    None where no field has its stem: then the column is simply unknown.
    """
    expected: dict[str, tuple[str, str]] = {}
    for field in fields:
        for stem, unit in _splits(field, ambiguous=False):
            if unit:
                # Where the name is nothing but a unit (``hours``) another one may follow it.
                expected.setdefault(stem or field, (field, unit))
                expected.setdefault(stem, (field, unit))
                break
    refusal: Refusal | None = None
    for stem, unit in _splits(header, ambiguous=True):
        if stem not in expected:
            continue
        field, wanted = expected[stem]
        if not unit:
            return refusal or Refusal(field, "the unit is missing from the header")
        given, target = _quantity(unit), _quantity(wanted)
        if given.dimensionality == target.dimensionality:
            return Conversion(field, float(given.to(target.units).magnitude / target.magnitude))
        refusal = refusal or Refusal(field, f"{unit} cannot be turned into {wanted}")
    return refusal


def unit_of(field: str) -> str:
    """Unit of a field as people write it (``USD/h``), empty where its name has none."""
    longest = next((unit for _, unit in _splits(field, ambiguous=False) if unit), "")
    if not longest or field == "share":
        return ""
    pretty = {"usd": "USD", "w": "W", "kwh": "kWh", "gb": "GB", "gco2e": "gCO2e",
              "kgco2e": "kgCO2e", "ktok": "1,000 tokens", "mtok": "million tokens",
              "hours": "h", "days": "d", "years": "a"}  # fmt: skip
    for separator in "*/":
        longest = separator.join(pretty.get(word, word) for word in longest.split(separator))
    return longest.replace("*", " ")


def convertible(fields: Iterable[str]) -> tuple[str, ...]:
    """The fields with a unit in their name: those another unit may stand for."""
    return tuple(
        field for field in fields if any(unit for _, unit in _splits(field, ambiguous=False))
    )
