"""Why a combination is no candidate: the instance narrowed to it, and what the rules say there.

The numbers are those of the combination itself, not of the closest of all that a rule removed.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from planner.candidates import build_candidates
from planner.errors import InfeasibleError
from planner.explain.wishes import Wish, names_machine, names_variant
from planner.instance.facts import ApiFacts, Facts, MachineFacts
from planner.instance.figures import PRICE_COLUMNS

SAID_OF_VARIANTS = "quality floor:"
"""Said of each variant already."""


@dataclass(frozen=True)
class Reason:
    """Why, with numbers, and what would mend it."""

    why: tuple[str, ...]
    repairs: tuple[str, ...] = ()


def reason_of(wish: Wish, facts: Facts) -> Reason | None:
    """What excludes the wish by itself; None where nothing does."""
    workloads = [w.workload for w in facts.instance.workloads if wish.asks("workload", w.workload)]
    for workload in workloads:
        found = _of_workload(wish, facts, workload)
        if found is not None:
            return found
    return None


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
    if "market" in wish.keys:
        markets = _in_market(wish, facts, machines)
        if isinstance(markets, Reason):
            return markets
        machines = markets
    narrowed = _narrowed(facts, workload, machines, apis, [v.variant for v in variants])
    try:
        build_candidates(narrowed, prune=False)
    except InfeasibleError as error:
        why = [text for text in error.conflict if not text.startswith(SAID_OF_VARIANTS)]
        return Reason(tuple(why) or (str(error),), tuple(error.repair))
    return None


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
) -> list[MachineFacts] | Reason:
    """The machines with the prices of the named markets only; or why there are none."""
    policy = facts.instance.settings.policy
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
    if not kept:
        sold = {name for m in machines for name, column in PRICE_COLUMNS.items()
                if getattr(m, column) is not None}  # fmt: skip
        return Reason(
            (
                f"{len(machines)} machines match, none is sold there in "
                f"{' or '.join([*columns, *(['owned'] if owned else [])])}; "
                f"they are sold {', '.join(sorted(sold))}",
            ),
            ("give a price in offers.csv",),
        )
    if set(columns) == {"spot"} and policy.spot_share_max <= 0.0:
        return Reason(
            ("spot is not allowed: policy.spot_share_max is 0",), ("raise policy.spot_share_max",)
        )
    forbidden = [name for name in columns if name.startswith("commit")
                 and name not in policy.commitments]  # fmt: skip
    if columns and len(forbidden) == len(columns):
        allowed = ", ".join(policy.commitments) or "none"
        return Reason(
            (f"{' and '.join(forbidden)} not allowed: policy.commitments is {allowed}",),
            (f"add {forbidden[0]} to policy.commitments",),
        )
    return kept


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
