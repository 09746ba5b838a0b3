"""Routes: every item of every leg on every pool or hosted llm that may serve it.

A kernel is a route without its slice: (leg, class, origin, pool or api). What the user experiences
is computed per kernel, then kernels are spread over the items and slices. The order of routes is
(variant, leg, item, slice, pool): no sort is needed, and every group is one run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models.coefficients.answer import (
    Expectations,
    Experience,
    ReplicaLoad,
    hosted_experience,
    route_loss,
    served_experience,
)
from models.coefficients.money import api_usd
from models.fleet.data import BoolArray, FloatArray, IntArray
from planner.candidates.configs import Cells, Configs, accelerator_counts, leg_request
from planner.candidates.demand import Items
from planner.candidates.exclusions import Tally
from planner.candidates.legs import Leg
from planner.candidates.migration import Changes
from planner.instance.facts import ApiFacts, Facts
from planner.instance.schema import Workload

NOT_SERVED = -1
BYTES_PER_TOKEN = 4.0
"""Of text sent to its reader."""


@dataclass(frozen=True, eq=False)
class Pools:
    """Every pool on every usable machine, pruned or not; sorted by machine; fields (P,)."""

    machine: IntArray
    """position in `Facts.machines`"""
    weights: IntArray
    """index into `names`"""
    config: IntArray
    offset: IntArray
    """place of the configuration among those of its llm"""
    kept: BoolArray
    names: tuple[str, ...]
    region: IntArray


def pools_of(
    facts: Facts,
    legs: Sequence[Leg],
    configs: Configs,
    machines: Sequence[int],
    dominated: dict[str, dict[int, int]],
    dominated_machine: set[str],
) -> Pools:
    """All pools that the machines at these positions can run."""
    llm_at = {llm.llm: at for at, llm in enumerate(facts.llms)}
    names = {leg.weights: llm_at[leg.llm] for leg in legs if not leg.hosted}
    card_at = {a.accelerator: at for at, a in enumerate(facts.accelerators)}
    region_at = {r.region: at for at, r in enumerate(facts.regions)}
    place = np.array(machines, dtype=np.int64)
    card = np.array([card_at[facts.machines[h].accelerator] for h in machines], dtype=np.int64)
    most = int(configs.accelerators.max(initial=1))
    divides = np.zeros((len(machines), most + 1), dtype=np.bool_)
    for line, h in enumerate(machines):
        chain = [g for g in accelerator_counts(facts.machines[h].accelerators) if g <= most]
        divides[line, chain] = True
    parts: list[IntArray] = []
    for at, (weights, llm) in enumerate(names.items()):
        members = np.flatnonzero(configs.llm == llm)
        fits = card[:, None] == configs.accelerator[members][None, :]
        fits &= divides[:, configs.accelerators[members]]
        row, offset = np.nonzero(fits)
        gone = np.isin(members[offset], list(dominated.get(weights, {})))
        parts.append(np.column_stack([row, np.full(len(row), at), members[offset], offset, ~gone]))
    table = np.concatenate(parts) if parts else np.zeros((0, 5), dtype=np.int64)
    table = table[np.lexsort((table[:, 2], table[:, 1], table[:, 0]))]
    machine = place[table[:, 0]]
    alive = np.array([m.machine not in dominated_machine for m in facts.machines], dtype=np.bool_)
    region = np.array([region_at[m.region] for m in facts.machines], dtype=np.int64)
    return Pools(
        machine=machine,
        weights=table[:, 1],
        config=table[:, 2],
        offset=table[:, 3],
        kept=table[:, 4].astype(np.bool_) & alive[machine],
        names=tuple(names),
        region=region[machine],
    )


@dataclass(frozen=True, eq=False)
class Kernels:
    """Fields (K,); `pool` or `api` is -1."""

    leg: IntArray
    length: IntArray
    origin: IntArray
    pool: IntArray
    api: IntArray
    cell: IntArray
    region: IntArray
    experience: Experience
    loss: FloatArray
    """1 - QoE"""
    usd: FloatArray
    """(K, 3): api tokens, retrieval, network, USD per request of the leg"""
    api_ktok: FloatArray
    """thousands of tokens, prompt and answer, bought per request of the leg"""


@dataclass(frozen=True, eq=False)
class Rows:
    """(item, slice served) of a workload, sorted by item then slice; fields (N,)."""

    item: IntArray
    slice: IntArray
    user: IntArray
    """index of the row's (class, origin) among `users`"""
    users: IntArray
    """(U, 2): length class, origin"""
    first: BoolArray
    """the first slice of its item"""


def rows_of(items: Items, workload: int) -> Rows:
    """The rows of a workload."""
    mine = np.flatnonzero(items.workload == workload)
    pairs = np.column_stack([items.length[mine], items.origin[mine]])
    users, user = np.unique(pairs, axis=0, return_inverse=True)
    allowed = [items.allowed[d] for d in mine]
    repeat = np.array([len(x) for x in allowed], dtype=np.int64)
    item = np.repeat(mine, repeat)
    return Rows(
        item=item,
        slice=np.array([t for x in allowed for t in x], dtype=np.int64),
        user=np.repeat(user.reshape(-1), repeat),
        users=users,
        first=np.r_[True, np.diff(item) > 0] if len(item) else np.zeros(0, dtype=np.bool_),
    )


def first_apis(facts: Facts, llm: str) -> list[int]:
    """Positions of the hosted offers of an llm, one per region (the first listed)."""
    found: dict[str, int] = {}
    for at, api in enumerate(facts.apis):
        if api.llm == llm:
            found.setdefault(api.region, at)
    return list(found.values())


def kernels_of(
    facts: Facts,
    regions: Sequence[str],
    legs: Sequence[Leg],
    rows: Sequence[Rows],
    configs: Configs,
    cells: Cells,
    pools: Pools,
    tally: Tally,
    changes: Changes,
) -> Kernels:
    """All eligible kernels, pools that pruning removed included."""
    instance = facts.instance
    resident = _residency(facts, regions, tally)
    of_weights = {name: np.flatnonzero(pools.weights == at) for at, name in enumerate(pools.names)}
    api_region = np.array([regions.index(api.region) for api in facts.apis], dtype=np.int64)
    parts: list[IntArray] = []
    for at, leg in enumerate(legs):
        users = rows[leg.workload].users
        allowed = resident[leg.workload]
        if leg.leg == 0:
            there_are = changes.may_serve(facts.variants[leg.variant], regions)
            allowed = allowed & np.isin(regions, list(there_are))
        if leg.hosted:
            there = np.array(first_apis(facts, leg.llm), dtype=np.int64)
            ok = np.broadcast_to(allowed[api_region[there]], (len(users), len(there)))
            cell = np.full(ok.shape, NOT_SERVED)
            region = api_region[there]
        else:
            there = of_weights[leg.weights]
            start = np.array([cells.first[at, int(c)] for c in users[:, 0]], dtype=np.int64)
            region = pools.region[there]
            cell = start[:, None] + pools.offset[there][None, :]
            ok = cells.eligible[cell] & allowed[region][None, :]
        user, column = np.nonzero(ok)
        nowhere = np.full(len(user), NOT_SERVED)
        parts.append(
            np.column_stack(
                [
                    np.full(len(user), at),
                    users[user],
                    nowhere if leg.hosted else there[column],
                    there[column] if leg.hosted else nowhere,
                    cell[user, column],
                    region[column],
                ]
            )
        )
    table = np.concatenate(parts) if parts else np.zeros((0, 7), dtype=np.int64)
    trips = np.array(
        [[facts.round_trip_s.get((g.origin, r), 0.0) for r in regions] for g in instance.origins]
    )
    hosted = table[:, 4] != NOT_SERVED
    served = _served(facts, legs, table[~hosted], configs, cells, trips, tally)
    bought = _bought(facts, legs, table[hosted], trips, tally)
    order = np.argsort(np.r_[np.flatnonzero(~hosted)[served[1]], np.flatnonzero(hosted)[bought[1]]])
    table = np.r_[table[~hosted][served[1]], table[hosted][bought[1]]][order]
    experience = Experience(
        **{
            name: np.r_[getattr(served[0], name), getattr(bought[0], name)][order]
            for name in Experience.__dataclass_fields__
        }
    )
    usd, api_ktok = _money(facts, legs, table)
    of_leg = _by_leg(legs)
    of_workload = _by_workload(facts, legs)
    loss = route_loss(
        of_leg(lambda leg: leg.quality)[table[:, 0]],
        of_workload(lambda w: w.quality_exponent)[table[:, 0]],
        experience.streaming,
        1.0,
    )
    return Kernels(
        leg=table[:, 0],
        length=table[:, 1],
        origin=table[:, 2],
        pool=table[:, 3],
        api=table[:, 4],
        cell=table[:, 5],
        region=table[:, 6],
        experience=experience,
        loss=loss,
        usd=usd,
        api_ktok=api_ktok,
    )


def _residency(facts: Facts, regions: Sequence[str], tally: Tally) -> BoolArray:
    """(W, R) where a workload may be served; a pseudo-region of an api has no tags."""
    tags = {r.region: r.residency for r in facts.regions}
    allowed = np.ones((len(facts.instance.workloads), len(regions)), dtype=np.bool_)
    for w, workload in enumerate(facts.instance.workloads):
        if workload.residency is None:
            continue
        allowed[w] = [workload.residency in tags.get(name, frozenset()) for name in regions]
        tally.one(
            "residency",
            workload.workload,
            None,
            workload.residency,
            count=int(np.count_nonzero(~allowed[w])),
            needed=1,
            available=int(np.count_nonzero(allowed[w])),
            unit=f"regions tagged {workload.residency}",
        )
    return allowed


def _by_leg(legs: Sequence[Leg]) -> Callable[[Callable[[Leg], float]], FloatArray]:
    return lambda figure: np.array([figure(leg) for leg in legs], dtype=np.float64)


def _by_workload(
    facts: Facts, legs: Sequence[Leg]
) -> Callable[[Callable[[Workload], float]], FloatArray]:
    workloads = [facts.instance.workloads[leg.workload] for leg in legs]
    return lambda figure: np.array([figure(w) for w in workloads], dtype=np.float64)


def _asks(facts: Facts, legs: Sequence[Leg], table: IntArray) -> Expectations:
    of, leg = _by_workload(facts, legs), table[:, 0]
    output = np.array([x.output_tokens for x in facts.instance.length_classes], dtype=np.float64)
    return Expectations(
        interactive=of(lambda w: w.kind == "interactive")[leg].astype(np.bool_),
        expected_ttft_s=of(lambda w: w.expected_ttft_s)[leg],
        consumption_tokens_per_s=of(lambda w: w.consumption_tokens_per_s)[leg],
        output_tokens=output[table[:, 1]],
        streaming_exponent=of(lambda w: w.streaming_exponent)[leg],
        ttft_target_s=of(lambda w: w.ttft_target_s or np.nan)[leg],
        tpot_target_s=of(lambda w: w.tpot_target_s or np.nan)[leg],
    )


def _outside(facts: Facts, legs: Sequence[Leg]) -> tuple[FloatArray, FloatArray]:
    """Per leg: retrieval latency and the first answer that a check waits for, s."""
    workloads = facts.instance.workloads
    retrieval = [
        facts.retrieval_latency_s
        + (facts.rerank_latency_s if workloads[leg.workload].reranked_documents > 0.0 else 0.0)
        if leg.has_rag
        else 0.0
        for leg in legs
    ]
    earlier = [workloads[leg.workload].expected_ttft_s if leg.leg == 1 else 0.0 for leg in legs]
    return np.array(retrieval, dtype=np.float64), np.array(earlier, dtype=np.float64)


def _served(
    facts: Facts,
    legs: Sequence[Leg],
    table: IntArray,
    configs: Configs,
    cells: Cells,
    trips: FloatArray,
    tally: Tally,
) -> tuple[Experience, IntArray]:
    """Experience of the kernels on pools, and which of them meet their TTFT target at all."""
    leg, cell = table[:, 0], table[:, 5]
    retrieval, earlier = _outside(facts, legs)
    asks = _asks(facts, legs, table)
    load = ReplicaLoad(
        **{name: getattr(cells.load, name)[cell] for name in ReplicaLoad.__dataclass_fields__}
    )
    found = served_experience(
        load,
        asks,
        operating_tpot_s=configs.tpot_s[cells.config[cell]],
        round_trip_s=trips[table[:, 2], table[:, 6]],
        retrieval_s=retrieval[leg],
        earlier_s=earlier[leg],
        prefill_load=facts.instance.settings.serving.prefill_load_max,
    )
    return _in_time(facts, legs, table, asks, found, found.shift_s, tally)


def _bought(
    facts: Facts, legs: Sequence[Leg], table: IntArray, trips: FloatArray, tally: Tally
) -> tuple[Experience, IntArray]:
    """Experience of the kernels on hosted llms, and which of them meet their targets at all."""
    leg, api = table[:, 0], table[:, 4]
    retrieval, earlier = _outside(facts, legs)
    asks = _asks(facts, legs, table)

    def of_api(figure: Callable[[ApiFacts], float]) -> FloatArray:
        return np.array([figure(x) for x in facts.apis], dtype=np.float64)[api]

    mean_s, tpot_s = of_api(lambda x: x.ttft_s), of_api(lambda x: x.tpot_s)
    found = hosted_experience(
        asks,
        ttft_s=mean_s,
        ttft_p95_over_mean=of_api(lambda x: x.ttft_p95_over_mean),
        tpot_s=tpot_s,
        round_trip_s=trips[table[:, 2], table[:, 6]],
        retrieval_s=retrieval[leg],
        earlier_s=earlier[leg],
    )
    return _in_time(facts, legs, table, asks, found, found.shift_s + mean_s, tally)


def _in_time(
    facts: Facts,
    legs: Sequence[Leg],
    table: IntArray,
    asks: Expectations,
    found: Experience,
    least_ttft_s: FloatArray,
    tally: Tally,
) -> tuple[Experience, IntArray]:
    """Drop kernels whose TPOT or TTFT is above the target whatever the load."""
    llms = tuple(dict.fromkeys(leg.llm for leg in legs))
    workload_of = np.array([leg.workload for leg in legs], dtype=np.int64)
    llm_of = np.array([llms.index(leg.llm) for leg in legs], dtype=np.int64)
    names = (
        [w.workload for w in facts.instance.workloads],
        llms,
        [g.origin for g in facts.instance.origins],
    )
    keep = np.ones(len(table), dtype=np.bool_)
    for rule, figure, target in (
        ("TPOT target", found.tpot_s, asks.tpot_target_s),
        ("TTFT target", least_ttft_s, asks.ttft_target_s),
    ):
        gone = keep & asks.interactive & (figure > target)  # no target: NaN compares false
        codes = (workload_of[table[gone, 0]], llm_of[table[gone, 0]], table[gone, 2])
        tally.many(rule, names, codes, 1e3 * figure[gone], 1e3 * target[gone], "ms")
        keep &= ~gone
    at = np.flatnonzero(keep)
    fields = Experience.__dataclass_fields__
    return Experience(**{name: getattr(found, name)[at] for name in fields}), at


def _money(facts: Facts, legs: Sequence[Leg], table: IntArray) -> tuple[FloatArray, FloatArray]:
    """(K, 3) USD per request of the leg: api tokens, retrieval, network; (K,) ktok bought."""
    price, workloads = facts.prices, facts.instance.workloads
    classes = facts.instance.length_classes
    usd = np.zeros((len(table), 3))
    api_ktok = np.zeros(len(table))
    sizes = (len(legs), len(classes), len(facts.apis) + 1)
    code = np.ravel_multi_index((table[:, 0], table[:, 1], table[:, 4] - NOT_SERVED), sizes)
    present = np.zeros(math.prod(sizes), dtype=np.bool_)  # far faster than sorting the kernels
    present[code] = True
    rows = []
    for at, length, above in zip(*np.unravel_index(np.flatnonzero(present), sizes), strict=True):
        api = above + NOT_SERVED
        leg, shape = legs[at], classes[length]
        retrieval = 0.0
        if leg.has_rag and leg.leg == 0:
            retrieval = price.vector_query_usd
            retrieval += shape.input_tokens * price.embedding_usd_per_mtok / 1e6
            if workloads[leg.workload].reranked_documents > 0.0:
                retrieval += price.rerank_usd_per_query
        sent_gb = shape.output_tokens * BYTES_PER_TOKEN / 1e9 if api == NOT_SERVED else 0.0
        tokens_usd = ktok = 0.0
        if api != NOT_SERVED:
            vendor, call = facts.apis[api], leg_request(leg, int(length), facts)
            tokens_usd = float(
                api_usd(
                    call.new_tokens + call.cached_tokens,
                    call.output_tokens,
                    vendor.input_usd_per_mtok,
                    vendor.output_usd_per_mtok,
                    cached_tokens=call.cached_tokens,
                    cached_usd_per_mtok=vendor.cached_input_usd_per_mtok,
                )
            )
            ktok = float(call.context_tokens) / 1e3
        rows.append((tokens_usd, retrieval, sent_gb * price.egress_usd_per_gb, ktok))
    if rows:
        figures = np.array(rows)[(np.cumsum(present) - 1)[code]]
        usd, api_ktok = figures[:, :3], figures[:, 3]
    return usd, api_ktok


def user_of(kernels: Kernels, at: IntArray, rows: Rows) -> IntArray:
    """Index among the users of `rows` of the kernels at these positions (of its workload)."""
    many = 1 << 32
    known = rows.users[:, 0] * many + rows.users[:, 1]
    return np.searchsorted(known, kernels.length[at] * many + kernels.origin[at])


@dataclass(frozen=True, eq=False)
class Spread:
    """Routes as indices; fields (J,), sorted by group, slice and pool."""

    kernel: IntArray
    """-1: shortfall"""
    leg: IntArray
    item: IntArray
    slice: IntArray
    group: IntArray
    group_leg: IntArray
    """(Q,) index of the leg"""
    group_item: IntArray
    """(Q,)"""


def spread(
    legs: Sequence[Leg],
    rows: Sequence[Rows],
    kernels: Kernels,
    use: BoolArray,
    chosen: Sequence[int],
    *,
    shortfall: bool,
) -> Spread:
    """Kernels over items and slices: those in `use`, of the legs at the positions `chosen`."""
    use_at = np.flatnonzero(use)
    bounds = np.searchsorted(kernels.leg[use_at], np.arange(len(legs) + 1))
    kernel: list[IntArray] = []
    leg_of: list[IntArray] = []
    item: list[IntArray] = []
    slices: list[IntArray] = []
    group: list[IntArray] = []
    group_leg: list[IntArray] = []
    group_item: list[IntArray] = []
    total = 0
    for at in chosen:
        mine = use_at[bounds[at] : bounds[at + 1]]
        table = rows[legs[at].workload]
        user = user_of(kernels, mine, table)
        place = np.where(kernels.pool[mine] >= 0, kernels.pool[mine], kernels.api[mine])
        columns, column = np.unique(place, return_inverse=True)
        width = len(columns) + (1 if shortfall else 0)
        grid = np.full((len(table.users), width), -2, dtype=np.int64)
        grid[user, column.reshape(-1)] = mine
        wide = grid[table.user]
        if shortfall:
            wide[:, -1] = np.where(table.first, NOT_SERVED, -2)
        row, at_column = np.nonzero(wide > -2)
        kernel.append(wide[row, at_column])
        item.append(table.item[row])
        slices.append(table.slice[row])
        leg_of.append(np.full(len(row), at))
        own, place_of_item = np.unique(table.item, return_inverse=True)
        group.append(total + place_of_item.reshape(-1)[row])
        group_item.append(own)
        group_leg.append(np.full(len(own), at))
        total += len(own)

    def joined(parts: list[IntArray]) -> IntArray:
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    return Spread(
        kernel=joined(kernel),
        leg=joined(leg_of),
        item=joined(item),
        slice=joined(slices),
        group=joined(group),
        group_leg=joined(group_leg),
        group_item=joined(group_item),
    )
