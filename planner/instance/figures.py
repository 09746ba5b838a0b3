"""The figures of resolved facts that a change may move, each under the names people call it by.

A name is dotted: its kind, then what it is of. A figure has several names (a price is one of its
accelerator, its offer, its region and its market), and a change moves every figure that has a name
which matches. Units are those of the names' meaning: prices of machines per accelerator-hour,
whatever the size of the instance.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from planner.instance.checks import (
    PLAUSIBLE,
    PLAUSIBLE_SETTINGS,
    PRICE_PER_ACCELERATOR_USD_PER_H,
    ZERO_MEANS_NONE,
)
from planner.instance.doubts import FAR, Far
from planner.instance.facts import Facts, VariantFacts
from planner.instance.schema import Caps, Policy, Quota, Row, Serving, Workload
from planner.instance.tables import field_kind, number_fields
from planner.instance.units import unit_of

Value = float | bool | str | None

PRICE_COLUMNS = {
    "on-demand": "ondemand_usd_per_h",
    "spot": "spot_usd_per_h",
    "commit-1y": "commit_1y_usd_per_h",
    "commit-3y": "commit_3y_usd_per_h",
}
TOKEN_COLUMNS = {
    "input": "input_usd_per_mtok",
    "cached-input": "cached_input_usd_per_mtok",
    "output": "output_usd_per_mtok",
}
USD_PER_ACCELERATOR_H = "USD per accelerator and hour"
KG_PER_GRAM = 1e-3
WHOLE = {"accelerators"}
"""Columns of whole numbers that the schema holds as real ones."""
ONLY_SLIPS = Far(math.inf, math.inf)
"""Of prices, which a question may move far: kilowatts, cents and whole machines are slips still."""
CHANGED = "changed by the request"
"""First words of the provenance of a row that a change moved."""


@dataclass(frozen=True)
class Figure:
    """One figure: `stored` as the facts hold it, `scale` times what `unit` counts.

    `put` gives the facts with another stored value; ValueError says why it is out of range.
    `whole`: the figure counts things, and a moved one is rounded down.
    """

    names: tuple[str, ...]
    unit: str
    stored: Value
    put: Callable[[Facts, Value], Facts]
    scale: float = 1.0
    whole: bool = False
    far: Far | None = None
    """how far another figure in its place may lie from it"""
    pieces: int = 1
    """accelerators of the machine that it is a price of"""

    @property
    def value(self) -> Value:
        """The figure in its unit."""
        if isinstance(self.stored, bool) or not isinstance(self.stored, int | float):
            return self.stored
        return self.stored / self.scale


def figures_of(facts: Facts, kind: str) -> Iterator[Figure]:
    """Every figure of a kind of `KINDS`."""
    yield from KINDS[kind](facts)


# ------------------------------------------------------------------ prices, carbon, quality: facts


def _prices(facts: Facts) -> Iterator[Figure]:
    for at, machine in enumerate(facts.machines):
        size = machine.accelerators
        for market, column in (*PRICE_COLUMNS.items(), ("owned", "fixed_usd_per_h")):
            held = machine.fixed_instances if market == "owned" else 1
            price = getattr(machine, column)
            if price is None or held == 0:
                continue
            owners = [
                machine.accelerator,
                machine.offer,
                machine.machine,
                f"{machine.region}/{machine.accelerator}",
                machine.region,
            ]
            low, high = PRICE_PER_ACCELERATOR_USD_PER_H
            low = 0.0 if market == "owned" else low
            yield Figure(
                _names("prices", [f"{machine.machine}.{market}", market,
                                  *_with_and_without(owners, market)]),
                USD_PER_ACCELERATOR_H,
                price,
                _in_row("machines", at, column, low, high, scale=size * held),
                scale=size * held,
                far=ONLY_SLIPS,
                pieces=size if market != "spot" else 1,
            )  # fmt: skip
    for at, api in enumerate(facts.apis):
        for part, column in TOKEN_COLUMNS.items():
            owners = [api.llm, f"{api.provider}/{api.llm}"]
            yield Figure(
                _names("prices", _with_and_without(owners, part)),
                "USD per million tokens",
                getattr(api, column),
                _in_row("apis", at, column, *PLAUSIBLE["apis"][column]),
                far=ONLY_SLIPS,
            )
    for at, region in enumerate(facts.regions):
        if region.fixed_usd > 0.0:
            yield Figure(
                _names("prices", _with_and_without([region.region], "fixed")),
                "USD in the period",
                region.fixed_usd,
                _in_row("regions", at, "fixed_usd", 0.0, math.inf),
            )
    for service in dataclasses.fields(facts.prices):
        if service.name != "provenance":
            yield Figure(
                _names("prices", [service.name]),
                unit_of(service.name) or "USD",
                getattr(facts.prices, service.name),
                _service(service.name),
            )


def _service(name: str) -> Callable[[Facts, Value], Facts]:
    def put(facts: Facts, value: Value) -> Facts:
        limit = PLAUSIBLE_SETTINGS.get(f"money.{name}", (0.0, math.inf))
        changed: dict[str, Any] = {name: _within(value, *limit)}
        return dataclasses.replace(facts, prices=_marked(facts.prices, changed))

    return put


def _carbon(facts: Facts) -> Iterator[Figure]:
    slices = [part.slice for part in facts.instance.slices]
    for at, region in enumerate(facts.regions):
        for t, part in enumerate(slices):
            yield Figure(
                _names("carbon", [f"{region.region}.{part}", region.region, part]),
                "gCO2e per kWh",
                region.carbon_kgco2e_per_kwh[t],
                _carbon_of(at, t),
                scale=KG_PER_GRAM,
                far=FAR["carbon_gco2e_per_kwh"],
            )
    for at, api in enumerate(facts.apis):
        yield Figure(
            _names("carbon", [api.llm, f"{api.provider}/{api.llm}"]),
            "gCO2e per 1,000 tokens",
            api.gco2e_per_ktok,
            _in_row("apis", at, "gco2e_per_ktok", *PLAUSIBLE["apis"]["gco2e_per_ktok"]),
        )


def _carbon_of(region: int, part: int) -> Callable[[Facts, Value], Facts]:
    limits = PLAUSIBLE["regions"]["carbon_gco2e_per_kwh"]

    def put(facts: Facts, value: Value) -> Facts:
        by_slice = list(facts.regions[region].carbon_kgco2e_per_kwh)
        by_slice[part] = _within(value, *limits, KG_PER_GRAM)
        return _with_row(facts, "regions", region, {"carbon_kgco2e_per_kwh": tuple(by_slice)})

    return put


def _pue(facts: Facts) -> Iterator[Figure]:
    for at, region in enumerate(facts.regions):
        yield Figure(
            _names("pue", [region.region]), "", region.pue, _in_row("regions", at, "pue", 1.0, 3.0)
        )


def _embodied(facts: Facts) -> Iterator[Figure]:
    limits = PLAUSIBLE["accelerators"]["embodied_kgco2e"]
    for at, card in enumerate(facts.accelerators):
        yield Figure(
            _names("embodied", [card.accelerator]),
            "kgCO2e per accelerator",
            card.embodied_kgco2e,
            _in_row("accelerators", at, "embodied_kgco2e", *limits),
            far=FAR["embodied_kgco2e"],
        )


def _quality(facts: Facts) -> Iterator[Figure]:
    """Quality of a workload's answers; of a hybrid, also that of the llm that checks."""
    limits = PLAUSIBLE["quality"]["quality"]
    for at, variant in enumerate(facts.variants):
        yield Figure(
            _names("quality", _of_variant(variant, variant.llm, variant.adaptation)),
            "quality",
            variant.quality,
            _in_row("variants", at, "quality", *limits),
        )
        if variant.check_llm is not None and variant.check_quality is not None:
            base = "rag" if "rag" in variant.adaptation else "base"
            yield Figure(
                _names("quality", _of_variant(variant, variant.check_llm, base)[1:]),
                "quality",
                variant.check_quality,
                _in_row("variants", at, "check_quality", *limits),
            )


def _refresh(facts: Facts) -> Iterator[Figure]:
    for at, variant in enumerate(facts.variants):
        if variant.refresh_days is not None:
            yield Figure(
                _names("refresh", _of_variant(variant, variant.llm, variant.adaptation)),
                "days",
                variant.refresh_days,
                _in_row("variants", at, "refresh_days", *PLAUSIBLE["variants"]["refresh_days"]),
            )


# ------------------------------------------------------------------ the user's tables


def _demand(facts: Facts) -> Iterator[Figure]:
    for at, row in enumerate(facts.instance.demand):
        part = row.slice or "batch"
        yield Figure(
            _names(
                "demand",
                [
                    f"{row.workload}.{row.origin}.{part}",
                    f"{row.workload}.{row.origin}",
                    f"{row.workload}.{part}",
                    row.workload,
                ],
            ),
            "requests/s",
            row.requests_per_s,
            _in_table("demand", at, "requests_per_s"),
        )


def _workloads(facts: Facts) -> Iterator[Figure]:
    for at, row in enumerate(facts.instance.workloads):
        for column in _numbers(Workload):
            yield _workload_figure(facts, at, column, f"workloads.{row.workload}.{column}")


TARGETS = {"ttft_s": "ttft_target_s", "tpot_s": "tpot_target_s", "attainment": "attainment_min"}


def _targets(facts: Facts) -> Iterator[Figure]:
    for at, row in enumerate(facts.instance.workloads):
        for name, column in TARGETS.items():
            yield _workload_figure(facts, at, column, f"targets.{row.workload}.{name}")


def _floors(facts: Facts) -> Iterator[Figure]:
    caps = facts.instance.settings.caps
    yield Figure(("floors.qoe",), "QoE", caps.qoe_min, _in_section("caps", "qoe_min"))
    for at, row in enumerate(facts.instance.workloads):
        for name, column in (("qoe", "qoe_min"), ("quality", "quality_min")):
            yield _workload_figure(facts, at, column, f"floors.{row.workload}.{name}")


def _workload_figure(facts: Facts, at: int, column: str, name: str) -> Figure:
    stored = getattr(facts.instance.workloads[at], column)
    return Figure((name,), unit_of(column) or "", stored, _in_table("workloads", at, column))


def _quota(facts: Facts) -> Iterator[Figure]:
    """Quotas given, and for every other accelerator of a region the one that could be."""
    given = {(row.region, row.accelerator, row.market) for row in facts.instance.quotas}
    for at, row in enumerate(facts.instance.quotas):
        yield Figure(
            _names("quota", _quota_names(row.region, row.accelerator, row.market)),
            "accelerators",
            row.accelerators,
            _in_table("quotas", at, "accelerators"),
            whole=True,
        )
    for region, card in dict.fromkeys((m.region, m.accelerator) for m in facts.machines):
        if (region, card, None) not in given:
            names = _names("quota", _quota_names(region, card, None))
            yield Figure(names, "accelerators", None, _new_quota(region, card), whole=True)


def _quota_names(region: str, card: str, market: str | None) -> list[str]:
    owners = [f"{region}/{card}", card, region]
    if market is None:
        return owners
    return [*(f"{owner}.{market}" for owner in owners), *owners]


def _new_quota(region: str, card: str) -> Callable[[Facts, Value], Facts]:
    def put(facts: Facts, value: Value) -> Facts:
        row = Quota(region=region, accelerator=card, accelerators=0.0)
        row = _validated(row, "accelerators", value, PLAUSIBLE["quotas"])
        quotas = (*facts.instance.quotas, row)
        return dataclasses.replace(
            facts, instance=facts.instance.model_copy(update={"quotas": quotas})
        )

    return put


# ------------------------------------------------------------------ instance.toml


def _caps(facts: Facts) -> Iterator[Figure]:
    caps = facts.instance.settings.caps
    for name, column, unit in (
        ("cost", "cost_usd", "USD"),
        ("carbon", "carbon_kgco2e", "kgCO2e"),
        ("water", "water_l", "l"),
    ):
        yield Figure((f"caps.{name}",), unit, getattr(caps, column), _in_section("caps", column))


def _policy(facts: Facts) -> Iterator[Figure]:
    policy = facts.instance.settings.policy
    for column in Policy.model_fields:
        stored = getattr(policy, column)
        if isinstance(stored, tuple):
            stored = ";".join(stored) or None
        unit = unit_of(column) if column in number_fields(Policy) else ""
        yield Figure((f"policy.{column}",), unit or "", stored, _in_section("policy", column))


def _serving(facts: Facts) -> Iterator[Figure]:
    serving = facts.instance.settings.serving
    for column in _numbers(Serving):
        stored = getattr(serving, column)
        if not isinstance(stored, tuple):
            yield Figure((f"serving.{column}",), "", stored, _in_section("serving", column))


KINDS: dict[str, Callable[[Facts], Iterator[Figure]]] = {
    "prices": _prices,
    "demand": _demand,
    "carbon": _carbon,
    "quality": _quality,
    "refresh": _refresh,
    "workloads": _workloads,
    "targets": _targets,
    "floors": _floors,
    "caps": _caps,
    "quota": _quota,
    "policy": _policy,
    "serving": _serving,
    "pue": _pue,
    "embodied": _embodied,
}
"""First part of a name -> its figures."""


# ------------------------------------------------------------------ pieces


def _names(kind: str, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{kind}.{name}" for name in names))


def _with_and_without(owners: Sequence[str], part: str) -> list[str]:
    return [name for owner in owners for name in (f"{owner}.{part}", owner)]


def _of_variant(variant: VariantFacts, llm: str, adaptation: str) -> list[str]:
    """The variant's own id, then the names it shares with others of its kind."""
    workload = variant.workload
    shared = [f"{workload}.{llm}.{adaptation}", f"{workload}.{llm}", f"{workload}.{adaptation}"]
    return [variant.variant, *shared, workload]


def _numbers(row_class: type[Row]) -> list[str]:
    return [
        name
        for name, info in row_class.model_fields.items()
        if field_kind(info.annotation) in {"float", "int"}
    ]


def _within(value: Value, low: float, high: float, scale: float = 1.0) -> float:
    """The stored value as a number, in its unit between `low` and `high`; ValueError else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    if not low <= value / scale <= high:
        most = f" and at most {high:g}" if math.isfinite(high) else ""
        raise ValueError(f"must be at least {low:g}{most}")
    return float(value)


def _in_row(
    table: str, at: int, column: str, low: float, high: float, scale: float = 1.0
) -> Callable[[Facts, Value], Facts]:
    """Replaces a figure of a row of the facts themselves; limits are in its unit."""

    def put(facts: Facts, value: Value) -> Facts:
        return _with_row(facts, table, at, {column: _within(value, low, high, scale)})

    return put


def _with_row(facts: Facts, table: str, at: int, figures: dict[str, Any]) -> Facts:
    rows = list(getattr(facts, table))
    rows[at] = _marked(rows[at], figures)
    changed: dict[str, Any] = {table: tuple(rows)}
    return dataclasses.replace(facts, **changed)


def _marked(row: Any, figures: dict[str, Any]) -> Any:
    """The row with other figures, its provenance saying so."""
    source = row.provenance
    if not source.startswith(CHANGED):
        source = f"{CHANGED}; was: {source}"
    said: dict[str, Any] = {}
    if hasattr(row, "sources"):
        changed = dict.fromkeys(figures, "changed")
        said["sources"] = tuple((dict(row.sources) | changed).items())
    return dataclasses.replace(row, **figures, **said, provenance=source)


def _validated(
    row: Row, column: str, value: Value, plausible: dict[str, tuple[float, float]]
) -> Any:
    """The row with another figure, checked by the schema and for what can be meant."""
    limits = plausible.get(column)
    none_meant = value is None or (column in ZERO_MEANS_NONE and value == 0)
    if limits is not None and not none_meant:
        _within(value, *limits)
    if column in WHOLE and isinstance(value, float) and not value.is_integer():
        raise ValueError("must be a whole number")
    try:
        return row.__class__.model_validate({**row.model_dump(), column: value})
    except ValidationError as error:
        said = error.errors(include_url=False)[0]["msg"]
        raise ValueError(
            said.replace("Input should", "must").replace("Value error, ", "")
        ) from None


def _in_table(table: str, at: int, column: str) -> Callable[[Facts, Value], Facts]:
    """Replaces a figure of a row of the user's tables."""

    def put(facts: Facts, value: Value) -> Facts:
        rows = list(getattr(facts.instance, table))
        rows[at] = _validated(rows[at], column, value, PLAUSIBLE.get(table, {}))
        instance = facts.instance.model_copy(update={table: tuple(rows)})
        return dataclasses.replace(facts, instance=instance)

    return put


def _in_section(section: str, column: str) -> Callable[[Facts, Value], Facts]:
    """Replaces a setting; a list is written ``a;b``, an empty one ``none``."""
    sections: dict[str, type[Row]] = {"caps": Caps, "policy": Policy, "serving": Serving}
    row_class = sections[section]
    kind = row_class.model_fields[column].annotation
    listed = any(get_origin(part) is tuple for part in (kind, *get_args(kind)))
    plausible = {
        name.partition(".")[2]: limits
        for name, limits in PLAUSIBLE_SETTINGS.items()
        if name.startswith(f"{section}.")
    }

    def put(facts: Facts, value: Value) -> Facts:
        settings = facts.instance.settings
        given: Any = value
        if listed:
            given = tuple(part.strip() for part in str(value or "").split(";") if part.strip())
        row = _validated(getattr(settings, section), column, given, plausible)
        changed = settings.model_copy(update={section: row})
        return dataclasses.replace(
            facts, instance=facts.instance.model_copy(update={"settings": changed})
        )

    return put
