"""Each choice of a plan: what is chosen, which limit holds it there, and what doing without costs.

A choice is explained by the best plan without it (a forced re-solve): what that plan does instead
is the runner-up, and what it costs more is the price of insisting on the runner-up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from planner.answer.words import variant_said
from planner.candidates.kinds import Candidates
from planner.compare.decisions import adoption_changes, fleet_changes, region_shares
from planner.explain.limits import Limit
from planner.explain.wishes import OWNED, Wish
from planner.instance.facts import Facts
from planner.instance.figures import PRICE_COLUMNS
from planner.plan import Plan

LEAST_REGION_SHARE = 0.05
"""Of a workload's answers: regions with less are not explained one by one."""
MOST_LIMITS = 4
MOST_CHANGES = 4


@dataclass(frozen=True)
class Question:
    """A choice before it is priced: `wish` is the plan without it."""

    kind: str
    subject: str
    chosen: str
    share: float
    limits: tuple[str, ...]
    wish: Wish

    def __str__(self) -> str:
        """For the list of what was not reached."""
        return f"{self.kind} of {self.subject}: {self.chosen}"


def questions(
    facts: Facts,
    candidates: Candidates,
    plan: Plan,
    limits: Sequence[Limit],
    workload: str | None = None,
    region: str | None = None,
) -> list[Question]:
    """The plan's choices, those that most money hangs on first.

    With a `workload` only its own, in all its regions; with a `region` only what is decided there.
    """
    money = cost_shares(facts, plan)
    found = [
        *_of_workloads(facts, candidates, plan, limits, money, workload, region),
        *([] if workload else _of_fleet(facts, plan, limits, region)),
    ]
    return sorted(found, key=lambda question: -question.share)


def cost_shares(facts: Facts, plan: Plan) -> dict[str, float]:
    """Workload -> its share of the plan's cost, as the plan shares it out."""
    tokens: dict[str, float] = defaultdict(float)
    hours = {part.slice: part.hours for part in facts.instance.slices}
    lengths = {
        (c.workload, c.length_class): c.input_tokens + c.output_tokens
        for c in facts.instance.length_classes
    }
    for line in plan.routing:
        if line.leg == 0:
            requests = line.requests_per_s * 3600.0 * hours[line.served_slice]
            tokens[line.workload] += requests * lengths[line.workload, line.length_class]
    usd = {w.workload: w.usd_per_mtok * tokens[w.workload] / 1e6 for w in plan.workloads}
    whole = plan.objectives.cost_usd or 1.0
    return {name: value / whole for name, value in usd.items()}


def _of_workloads(
    facts: Facts,
    candidates: Candidates,
    plan: Plan,
    limits: Sequence[Limit],
    money: Mapping[str, float],
    workload: str | None,
    region: str | None,
) -> Iterator[Question]:
    hours = {part.slice: part.hours for part in facts.instance.slices}
    shares = region_shares(plan, hours)
    for row in plan.adoption:
        name = row.workload
        if workload is not None and name != workload:
            continue
        about = [limit.said() for limit in limits if limit.workload == name and limit.binds]
        if region is None:
            out = _ruled_out(facts, candidates, name)
            yield Question(
                "adaptation", name, variant_said(row), money.get(name, 0.0),
                (*out, *about)[:MOST_LIMITS],
                Wish.of(forbid=True, workload=name, adaptation=row.adaptation),
            )  # fmt: skip
            yield Question(
                "llm", name, row.llm, money.get(name, 0.0), tuple(about)[:MOST_LIMITS],
                Wish.of(forbid=True, workload=name, llm=row.llm),
            )  # fmt: skip
        mine = {place: share for (w, place), share in shares.items() if w == name}
        most = max(mine, key=lambda place: mine[place], default=None)
        for place, share in sorted(mine.items(), key=lambda pair: -pair[1]):
            asked = place == (region or most) or (workload is not None and region is None)
            if not asked or share < LEAST_REGION_SHARE:
                continue
            here = [limit.said() for limit in limits
                    if limit.binds and limit.region == place]  # fmt: skip
            yield Question(
                "region", name, f"{share:.0%} in {place}", share * money.get(name, 0.0),
                (*about, *here)[:MOST_LIMITS],
                Wish.of(forbid=True, workload=name, region=place),
            )  # fmt: skip


def _ruled_out(facts: Facts, candidates: Candidates, workload: str) -> list[str]:
    """Variants that never came into question, and why."""
    return [
        f"{v.variant} is ruled out: {candidates.removed_variants[v.variant]}"
        for v in facts.variants
        if v.workload == workload and v.variant in candidates.removed_variants
    ]


def _of_fleet(
    facts: Facts, plan: Plan, limits: Sequence[Limit], region: str | None
) -> Iterator[Question]:
    cost = _fleet_cost(facts, plan)
    groups: dict[tuple[str, str], float] = defaultdict(float)
    for (place, card, _), usd in cost.items():
        groups[place, card] += usd
    whole = plan.objectives.cost_usd or 1.0
    for (place, card), usd in groups.items():
        if region is not None and place != region:
            continue
        binding = [x for x in limits if x.binds and x.accelerator in (None, card)]
        here = [x.said() for x in binding if x.region == place]
        elsewhere = [x.said() for x in binding if x.region not in (None, place)]
        yield Question(
            "accelerator", place, card, usd / whole, (*here, *elsewhere)[:MOST_LIMITS],
            Wish.of(forbid=True, region=place, accelerator=card),
        )  # fmt: skip
        markets = [market for (p, c, market) in cost if (p, c) == (place, card)]
        for market in markets if len(markets) > 1 or markets[0] != "on-demand" else ():
            of_market = [x.said() for x in binding
                         if x.region == place and x.market in (None, market)]  # fmt: skip
            yield Question(
                "market", f"{card} in {place}", market, cost[place, card, market] / whole,
                tuple(of_market)[:MOST_LIMITS],
                Wish.of(forbid=True, region=place, accelerator=card, market=market),
            )  # fmt: skip


def _fleet_cost(facts: Facts, plan: Plan) -> dict[tuple[str, str, str], float]:
    """(region, accelerator, market) -> USD paid for what is bought there."""
    machines = {(m.region, m.offer): m for m in facts.machines}
    hours = {part.slice: part.hours for part in facts.instance.slices}
    period = facts.instance.settings.period.hours
    found: dict[tuple[str, str, str], float] = defaultdict(float)
    for line in plan.fleet:
        if line.market == OWNED or not line.instances:
            continue
        price = getattr(machines[line.region, line.offer], PRICE_COLUMNS[line.market]) or 0.0
        span = period if line.slice is None else hours[line.slice]
        usd = line.mean_instances(span) * price * span
        found[line.region, line.accelerator, line.market] += usd
    return dict(found)


# ------------------------------------------------------------------ what is done instead


def instead(question: Question, plan: Plan, forced: Plan, facts: Facts) -> str:
    """What the best plan without the choice does in its place."""
    wish = dict(question.wish.where)
    if question.kind in ("adaptation", "llm"):
        name = wish["workload"][0]
        row = next(row for row in forced.adoption if row.workload == name)
        return variant_said(row)
    if question.kind == "region":
        hours = {part.slice: part.hours for part in facts.instance.slices}
        name = wish["workload"][0]
        shares = {place: x for (w, place), x in region_shares(forced, hours).items() if w == name}
        ordered = sorted(shares.items(), key=lambda pair: -pair[1])[:MOST_CHANGES]
        return ", ".join(f"{share:.0%} in {place}" for place, share in ordered)
    return differences(plan, forced) or "nothing else changes"


def differences(plan: Plan, forced: Plan, most: int = MOST_CHANGES) -> str:
    """The decisions of a forced plan that differ, in a few words."""
    said = [
        f"{row.workload}: {variant_said(row.new)}"
        for row in adoption_changes(plan, forced)
        if row.new is not None
    ]
    moved = sorted(fleet_changes(plan, forced), key=lambda row: -abs(row.new - row.old))
    said += [
        f"{row.new - row.old:+,} {row.accelerator} {row.market} in {row.region}" for row in moved
    ]
    more = len(said) - most
    return "; ".join(said[:most]) + (f"; and {more} more" if more > 0 else "")
