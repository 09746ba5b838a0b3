"""Why a combination is no candidate: the instance narrowed to it, and what the rules say there.

The numbers are those of the combination itself, not of the closest of all that a rule removed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from planner.candidates import build_candidates
from planner.errors import InfeasibleError
from planner.explain.wishes import Wish, names_machine, names_variant
from planner.instance.commitments import allowed_commitments
from planner.instance.facts import ApiFacts, Facts, MachineFacts
from planner.instance.figures import PRICE_COLUMNS
from planner.remedies import explained


@dataclass(frozen=True)
class Reason:
    """Why, with numbers, in the order in which it binds, and what would mend it, each by itself."""

    why: tuple[str, ...]
    repairs: tuple[str, ...] = ()

    def after(self, other: Reason | None) -> Reason:
        """Both reasons: each repair is one of this with one of the other's."""
        if other is None:
            return self
        both = [first if first == second else f"{first}, and {second}"
                for first in other.repairs for second in self.repairs]  # fmt: skip
        return Reason(tuple(dict.fromkeys((*other.why, *self.why))), tuple(dict.fromkeys(both)))


def reason_of(wish: Wish, facts: Facts) -> Reason | None:
    """What excludes the wish by itself, in all its workloads; None where nothing does."""
    told: Reason | None = None
    for workload in facts.instance.workloads:
        if wish.asks("workload", workload.workload):
            found = _of_workload(wish, facts, workload.workload)
            told = told if found is None else found.after(told)
    return told


def _of_workload(wish: Wish, facts: Facts, workload: str) -> Reason | None:
    mine = [v for v in facts.variants if v.workload == workload]
    variants = [v for v in mine if names_variant(wish, v)]
    if not variants:
        return Reason(
            (f"{workload} has no such variant; it has {', '.join(v.variant for v in mine)}",),
            (f"add a row for {workload} to variants.csv",),
        )
    machines = [m for m in facts.machines if names_machine(wish, m)]
    apis = [a for a in facts.apis if _names_api(wish, a)]
    if not machines and not (apis and any(v.hosted for v in variants)):
        return Reason((_not_offered(wish, facts),))
    market = None
    if "market" in wish.keys:
        machines, market = _in_market(wish, facts, machines)
        if not machines:
            return market
    narrowed = _narrowed(facts, workload, machines, apis, [v.variant for v in variants])
    try:
        build_candidates(_all_markets(narrowed), prune=False)
    except InfeasibleError as error:
        found = explained(_all_markets(narrowed), error)
        return Reason(found.conflict or (str(error),), found.repair).after(market)
    return market


def _all_markets(facts: Facts) -> Facts:
    """The facts with every market allowed: whether one is was asked already."""
    settings = facts.instance.settings
    policy = settings.policy.model_copy(
        update={"spot_share_max": 1.0, "commitments": ("commit-1y", "commit-3y")}
    )
    settings = settings.model_copy(update={"policy": policy})
    instance = facts.instance.model_copy(update={"settings": settings})
    return dataclasses.replace(facts, instance=instance)


def _names_api(wish: Wish, api: ApiFacts) -> bool:
    return wish.asks("region", api.region) and not wish.keys & {"accelerator", "offer"}


def _not_offered(wish: Wish, facts: Facts) -> str:
    """Which part of the place there is, and where."""
    where = dict(wish.where)
    asked = ", ".join(f"{key} {'|'.join(where[key])}" for key in where if key in _PLACE)
    parts = [f"no machine has {asked}"]
    for key, other in (("accelerator", "region"), ("region", "accelerator")):
        if key in where and other in where:
            found = dict.fromkeys(
                getattr(m, other) for m in facts.machines if wish.asks(key, getattr(m, key))
            )
            parts.append(f"{'|'.join(where[key])}: {other}s {', '.join(found) or 'none'}")
    return "; ".join(parts)


_PLACE = ("region", "accelerator", "offer")


def _in_market(
    wish: Wish, facts: Facts, machines: list[MachineFacts]
) -> tuple[list[MachineFacts], Reason | None]:
    """The machines with the prices of the named markets only, none where none is sold there; and
    why the policy does not let them be held."""
    columns = {name: column for name, column in PRICE_COLUMNS.items() if wish.asks("market", name)}
    owned = wish.asks("market", "owned")
    others: dict[str, Any] = {
        column: None for name, column in PRICE_COLUMNS.items() if name not in columns
    }
    kept = [
        dataclasses.replace(m, **others)
        for m in machines
        if any(getattr(m, column) is not None for column in columns.values())
        or (owned and m.fixed_instances > 0)
    ]
    if kept:
        return kept, _forbidden(facts, columns)
    sold = {name for m in machines for name, column in PRICE_COLUMNS.items()
            if getattr(m, column) is not None}  # fmt: skip
    named = " or ".join([*columns, *(["owned"] if owned else [])])
    why = (
        f"{len(machines)} machines match, none is sold there in {named}; they are sold "
        f"{', '.join(sorted(sold))}"
    )
    repair = "add it to owned.csv" if owned and not columns else "give a price in offers.csv"
    return [], Reason((why,), (repair,)).after(_forbidden(facts, columns))


def _forbidden(facts: Facts, columns: Mapping[str, str]) -> Reason | None:
    """That the policy allows none of the named markets."""
    policy = facts.instance.settings.policy
    taken = allowed_commitments(facts.instance.settings)
    if set(columns) == {"spot"} and policy.spot_share_max < 1.0:
        share = policy.spot_share_max
        if share > 0.0:
            return None  # how much of it is possible is for the re-solve to say
        why = "spot is not allowed: policy.spot_share_max is 0"
        return Reason((why,), ("set policy.spot_share_max to 1",))
    forbidden = [name for name in columns if name.startswith("commit")
                 and name not in taken]  # fmt: skip
    if not columns or len(forbidden) < len(columns):
        return None
    allowed = ", ".join(taken) or "none"
    source = "policy.commitments is" if policy.commitments is not None else (
        "policy.commitments is not given, and terms no longer than the period are:")  # fmt: skip
    return Reason(
        (f"{' and '.join(forbidden)} not allowed: {source} {allowed}",),
        (f"add {forbidden[0]} to policy.commitments",),
    )


def _narrowed(
    facts: Facts,
    workload: str,
    machines: list[MachineFacts],
    apis: list[ApiFacts],
    variants: list[str],
) -> Facts:
    """The facts of one workload, these variants and these places; no limit on change."""
    instance = facts.instance
    regions = {m.region for m in machines} | {a.region for a in apis}
    cards = {m.accelerator for m in machines}
    settings = instance.settings.model_copy(update={"incumbent": None})
    return dataclasses.replace(
        facts,
        instance=instance.model_copy(
            update={
                "settings": settings,
                "workloads": tuple(w for w in instance.workloads if w.workload == workload),
                "length_classes": tuple(
                    c for c in instance.length_classes if c.workload == workload
                ),
                "demand": tuple(d for d in instance.demand if d.workload == workload),
            }
        ),
        regions=tuple(r for r in facts.regions if r.region in regions),
        accelerators=tuple(a for a in facts.accelerators if a.accelerator in cards),
        machines=tuple(machines),
        apis=tuple(apis),
        variants=tuple(v for v in facts.variants if v.variant in variants),
    )
