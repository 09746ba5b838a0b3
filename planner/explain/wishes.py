"""Wishes: ``workload=chat, adaptation=rag, region=aws:eu-*|gcp:*`` as what candidates they leave.

A wish that is insisted on means: every answer of the named workloads (of all without a name) is
given by the named variants, in the named regions, on the named accelerators or offers; and the
machines it names are held in the named market only, whoever uses them. A wish that is given up
means the opposite: nothing of it at all. Checks by a larger llm may be made anywhere.

Values may hold ``*`` and ``?``, and alternatives separated by ``|``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import get_args

import numpy as np

from models.fleet.data import MARKETS, BoolArray
from planner.candidates.kinds import Candidates
from planner.errors import PlannerError
from planner.explain.restrict import Keep
from planner.instance.facts import Facts, MachineFacts, VariantFacts
from planner.instance.findings import near_matches
from planner.instance.schema import Adaptation
from planner.plan import Plan

VARIANT_KEYS = ("adaptation", "llm", "method", "refresh", "check_llm", "variant")
PLACE_KEYS = ("region", "accelerator", "offer")
MACHINE_KEYS = ("region", "accelerator", "offer")
KEYS = ("workload", *VARIANT_KEYS, *PLACE_KEYS, "market")
OWNED = "owned"
SERVED = 1e-6
"""Share of an item above which a route counts as used."""


@dataclass(frozen=True)
class Wish:
    """Conditions by key, each with its alternatives; `forbid`: the plan must do without."""

    where: tuple[tuple[str, tuple[str, ...]], ...]
    forbid: bool = False

    @classmethod
    def of(cls, *, forbid: bool = False, **where: str) -> Wish:
        """From plain names."""
        return cls(tuple((key, (value,)) for key, value in where.items()), forbid)

    def __str__(self) -> str:
        """``workload=chat, adaptation=rag``."""
        text = ", ".join(f"{key}={'|'.join(values)}" for key, values in self.where)
        return f"not ({text})" if self.forbid else text

    @property
    def keys(self) -> frozenset[str]:
        """The keys it has conditions on."""
        return frozenset(key for key, _ in self.where)

    def asks(self, key: str, name: str | None) -> bool:
        """Whether a name satisfies the condition on a key; without one every name does."""
        values = dict(self.where).get(key)
        if values is None:
            return True
        return name is not None and any(fnmatchcase(name, value) for value in values)


def parse_wish(text: str, facts: Facts) -> Wish:
    """The wish of ``--why-not``; PlannerError says what is unknown, with near names."""
    where: dict[str, tuple[str, ...]] = {}
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value:
            raise PlannerError(
                f"why-not {text!r}: write KEY=NAME, KEY=NAME ..., keys {', '.join(KEYS)}"
            )
        if key not in KEYS:
            raise PlannerError(f"why-not {text!r}: no key {key!r}; {near_matches(key, KEYS)}")
        if key in where:
            raise PlannerError(f"why-not {text!r}: {key} is given twice; separate names by |")
        where[key] = tuple(piece.strip() for piece in value.split("|"))
    known = known_names(facts)
    for key, values in where.items():
        for value in values:
            if not any(fnmatchcase(name, value) for name in known[key]):
                raise PlannerError(
                    f"why-not {text!r}: no {key} {value!r}; {near_matches(value, known[key])}"
                )
    return Wish(tuple(where.items()))


def known_names(facts: Facts) -> dict[str, tuple[str, ...]]:
    """What each key may name."""
    variants = facts.variants

    def each(names: Iterable[str | None]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for name in names if name))

    return {
        "workload": each(w.workload for w in facts.instance.workloads),
        "adaptation": get_args(Adaptation),
        "llm": each([*(v.llm for v in variants), *(x.llm for x in facts.llms)]),
        "method": ("lora", "full"),
        "refresh": each(days(v) for v in variants),
        "check_llm": each(v.check_llm for v in variants),
        "variant": each(v.variant for v in variants),
        "region": each([*(r.region for r in facts.regions), *(a.region for a in facts.apis)]),
        "accelerator": each(a.accelerator for a in facts.accelerators),
        "offer": each(name for m in facts.machines for name in (m.offer, m.machine)),
        "market": (*MARKETS, OWNED),
    }


def days(variant: VariantFacts) -> str | None:
    """A refresh interval as a name: ``30``."""
    return None if variant.refresh_days is None else f"{variant.refresh_days:g}"


# ------------------------------------------------------------------ what it names


def names_variant(wish: Wish, variant: VariantFacts) -> bool:
    """Whether a variant satisfies the wish's conditions on variants."""
    return (
        wish.asks("adaptation", variant.adaptation)
        and wish.asks("llm", variant.llm)
        and wish.asks("method", variant.method)
        and wish.asks("refresh", days(variant))
        and wish.asks("check_llm", variant.check_llm)
        and wish.asks("variant", variant.variant)
    )


def names_machine(wish: Wish, machine: MachineFacts) -> bool:
    """Whether a machine satisfies the wish's conditions on places."""
    return (
        wish.asks("region", machine.region)
        and wish.asks("accelerator", machine.accelerator)
        and (wish.asks("offer", machine.offer) or wish.asks("offer", machine.machine))
    )


def keep_of(wish: Wish, facts: Facts, candidates: Candidates) -> Keep:
    """What the wish leaves of the candidates."""
    data = candidates.data
    variant = data.group_variant[data.route_group]
    scope = _by(lambda name: wish.asks("workload", name), data.workloads)[
        data.variant_workload[variant]
    ]
    answered = _by(lambda v: names_variant(wish, v), candidates.variants)[variant]
    placed = _placed(wish, facts, candidates)
    named = _machines_named(wish, facts, candidates)[data.purchase_machine]
    market = _by(lambda name: wish.asks("market", name), MARKETS)[data.purchase_market]
    everything = Keep.everything(data)
    if not wish.forbid:
        first = data.group_leg[data.route_group] == 0
        routes = ~scope | (answered & (placed | ~first))
        return Keep(routes, ~named | market if "market" in wish.keys else everything.purchases)
    if not wish.keys & {"workload", *VARIANT_KEYS}:
        return Keep(everything.routes, ~(named & market))
    first = data.group_leg[data.route_group] == 0
    gone = scope & answered & (placed & first if wish.keys & set(PLACE_KEYS) else True)
    return Keep(np.asarray(~gone), everything.purchases)


def _by(test: Callable[..., bool], names: Iterable[object]) -> BoolArray:
    return np.array([test(name) for name in names], dtype=np.bool_)


def _machines_named(wish: Wish, facts: Facts, candidates: Candidates) -> BoolArray:
    """bool (H,)"""
    machines = {m.machine: m for m in facts.machines}
    return _by(lambda name: names_machine(wish, machines[name]), candidates.data.machines)


def _placed(wish: Wish, facts: Facts, candidates: Candidates) -> BoolArray:
    """bool (J,) routes that satisfy the conditions on places; shortfall satisfies none."""
    data = candidates.data
    if not wish.keys & set(PLACE_KEYS):
        return np.ones(len(data.route_group), dtype=np.bool_)
    on_machine = _machines_named(wish, facts, candidates)
    region = _by(lambda name: wish.asks("region", name), data.regions)
    bought = not wish.keys & {"accelerator", "offer"}
    pool = np.maximum(data.route_pool, 0)
    served = on_machine[data.pool_machine[pool]] if len(data.pools) else np.zeros(len(pool), bool)
    hosted = (data.route_region >= 0) & region[np.maximum(data.route_region, 0)] & bought
    return np.where(data.route_pool >= 0, served, hosted)


# ------------------------------------------------------------------ plans


def obeyed(wish: Wish, facts: Facts, plan: Plan) -> bool:
    """Whether a plan does as wished, read from its lines alone."""
    variants = {v.variant: v for v in facts.variants}
    machines = {(m.region, m.offer): m for m in facts.machines}
    pools = {line.pool: machines[line.region, line.offer] for line in plan.replicas}
    adopted = {row.workload: variants[row.variant] for row in plan.adoption}
    named = [
        (line, names_machine(wish, machines[line.region, line.offer]))
        for line in plan.fleet
        if line.instances and line.market != OWNED
    ]
    if wish.forbid and not wish.keys & {"workload", *VARIANT_KEYS}:
        return not any(there and wish.asks("market", line.market) for line, there in named)
    hits, misses = 0, 0
    for line in plan.routing:
        if line.leg != 0 or line.share <= SERVED or not wish.asks("workload", line.workload):
            continue
        there = names_variant(wish, adopted[line.workload]) and _line_placed(
            wish, line.region, None if line.pool is None else pools[line.pool]
        )
        hits, misses = hits + there, misses + (not there)
    if wish.forbid:
        return hits == 0
    markets = all(wish.asks("market", line.market) for line, there in named if there)
    return misses == 0 and markets


def _line_placed(wish: Wish, region: str | None, machine: MachineFacts | None) -> bool:
    if machine is not None:
        return names_machine(wish, machine)
    if not wish.keys & set(PLACE_KEYS):
        return True
    return wish.asks("region", region) and not wish.keys & {"accelerator", "offer"}


def summary(wish: Wish, names: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """What the wish stands for: per key the names that it matches."""
    said = []
    for key, _ in wish.where:
        found = [name for name in names[key] if wish.asks(key, name)]
        shown = ", ".join(found[:6]) + (f" and {len(found) - 6} more" if len(found) > 6 else "")
        said.append(f"{key}: {shown}")
    return tuple(said)
