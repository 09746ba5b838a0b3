"""Configurations of a replica, and the load of each request class on each of them.

A configuration is (llm, accelerator, precision, accelerators G, operating point, prompt lane). A
cell is (leg, length class, configuration): nothing in it depends on region or slice, so the grid is
small and everything is computed on it once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.coefficients.answer import ReplicaLoad, Request, replica_load, request
from models.coefficients.queueing import tpot_attainment
from models.coefficients.serving import IterationLaw, weight_bytes
from models.fleet.data import BoolArray, FloatArray, IntArray
from planner.candidates.exclusions import Tally
from planner.candidates.legs import Leg
from planner.instance.facts import Facts
from planner.instance.grid import Grid, grid_of
from planner.instance.schema import Workload
from planner.serving import (
    ARITHMETIC_BITS,
    PlanningLaws,
    Replica,
    accelerator_shapes,
    has_arithmetic,
    llm_shapes,
    narrowest_bits,
    splits_heads,
    usable_precisions,
)


def accelerator_counts(size: int) -> tuple[int, ...]:
    """Accelerators per replica on an instance of `size`: 1, 2, 4 ... while they divide it, and
    the whole instance; each divides the next, so replicas fill instances without waste."""
    chain = [1]
    while chain[-1] * 2 <= size and size % (chain[-1] * 2) == 0:
        chain.append(chain[-1] * 2)
    return tuple(chain) if chain[-1] == size else (*chain, size)


@dataclass(frozen=True, eq=False)
class Configs:
    """All configurations whose weights fit and whose operating point is in reach; fields (C,)."""

    llm: IntArray
    accelerator: IntArray
    precision: tuple[str, ...]
    accelerators: IntArray
    tpot_s: FloatArray
    lane_tokens: FloatArray
    law: IterationLaw
    provenance: NDArray[np.str_]
    """how the law is known"""
    band: FloatArray
    """float (C, 2) 80 % band of the decode times, factors"""

    def label(self, at: int) -> str:
        """``g2/fp8/40ms/4096``."""
        return (
            f"g{self.accelerators[at]}/{self.precision[at]}/"
            f"{1000.0 * self.tpot_s[at]:g}ms/{self.lane_tokens[at]:g}"
        )


def configurations(facts: Facts, laws: PlanningLaws, tally: Tally) -> Configs:
    """Every configuration that runs.

    Noted: precisions without arithmetic, heads that do not split, weights that do not fit,
    operating points below alpha.
    """
    serving, grid = facts.instance.settings.serving, grid_of(facts)
    rows = _replicas(facts, grid, tally)
    known = laws(
        [
            Replica(
                facts.llms[llm],
                facts.accelerators[card],
                count,
                precision,
                serving.engine,
                serving.kv_cache_bits,
            )
            for llm, card, count, precision in rows
        ],
        facts.calibration,
    )
    points = [
        (at, tpot_s, lane)
        for at, (llm, card, _, _) in enumerate(rows)
        for lanes, speeds in [grid.of(facts.llms[llm].llm, facts.accelerators[card].accelerator)]
        for tpot_s in speeds
        for lane in lanes
    ]
    place, tpot, lane = np.array(points, dtype=np.float64).reshape(-1, 3).T
    row = place.astype(np.int64)
    llm = np.array([x[0] for x in rows], dtype=np.int64)[row]
    card = np.array([x[1] for x in rows], dtype=np.int64)[row]
    count = np.array([x[2] for x in rows], dtype=np.int64)[row]
    precision = np.array([x[3] for x in rows], dtype=np.str_)[row]
    law = known.law.take(row)
    room, weights = law.kv_capacity_bytes, weight_bytes(llm_shapes(facts.llms).take(llm), precision)
    fits, reached = room > 0.0, law.alpha_s < tpot
    names = ([None], [x.llm for x in facts.llms], [x.accelerator for x in facts.accelerators])
    for rule, wrong, needed, available, unit in (
        ("memory", ~fits, weights / 1e9, (weights + room) / 1e9, "GB"),
        ("operating point", fits & ~reached, law.alpha_s * 1e3, tpot * 1e3, "ms"),
    ):
        codes = (np.zeros(int(wrong.sum()), dtype=np.int64), llm[wrong], card[wrong])
        tally.many(rule, names, codes, needed[wrong], available[wrong], unit)
    keep = np.flatnonzero(fits & reached)
    return Configs(
        llm=llm[keep],
        accelerator=card[keep],
        precision=tuple(str(x) for x in precision[keep]),
        accelerators=count[keep],
        tpot_s=tpot[keep],
        lane_tokens=lane[keep],
        law=law.take(keep),
        provenance=known.provenance[row[keep]],
        band=np.column_stack([known.tpot_low, known.tpot_high])[row[keep]],
    )


def _replicas(facts: Facts, grid: Grid, tally: Tally) -> list[tuple[int, int, int, str]]:
    """(llm, accelerator, accelerators, precision) of every replica with the arithmetic it needs and
    heads that split."""
    engine = facts.instance.settings.serving.engine
    sizes = {a.accelerator: set[int]() for a in facts.accelerators}
    for machine in facts.machines:
        sizes[machine.accelerator].update(accelerator_counts(machine.accelerators))
    rows = []
    for at, llm in enumerate(facts.llms):
        for card, accelerator in enumerate(facts.accelerators):
            counts = [
                count
                for count in sorted(sizes[accelerator.accelerator])
                if count <= llm.max_accelerators_per_replica
            ]
            usable = usable_precisions(llm, accelerator)
            even = [count for count in counts if splits_heads(vars(llm), count, engine)]
            rows += [(at, card, count, precision) for count in even for precision in usable]
            lanes, points = grid.of(llm.llm, accelerator.accelerator)
            of_each = len(lanes) * len(points)
            if len(even) < len(counts):
                tally.one(
                    "heads",
                    None,
                    llm.llm,
                    accelerator.accelerator,
                    count=(len(counts) - len(even)) * len(usable) * of_each,
                    needed=min(set(counts) - set(even)),
                    available=max(even, default=0),
                    unit="equal parts of the heads",
                )
            refused = [x for x in llm.precisions if not has_arithmetic(accelerator, x)]
            if refused and counts:
                tally.one(
                    "precision",
                    None,
                    llm.llm,
                    accelerator.accelerator,
                    count=len(refused) * len(counts) * of_each,
                    needed=max(ARITHMETIC_BITS[x] for x in refused),
                    available=narrowest_bits(accelerator),
                    unit="bit arithmetic",
                )
    return rows


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of every self-hosted leg; fields (M,). Eligible ones have finite shares."""

    first: dict[tuple[int, int], int]
    """(index of the leg, length class) -> first cell; its configurations follow in order"""
    config: IntArray
    load: ReplicaLoad
    eligible: BoolArray


def leg_request(leg: Leg, length: int, facts: Facts) -> Request:
    """The request of a leg for the length class at position `length`."""
    shape = facts.instance.length_classes[length]
    workload = facts.instance.workloads[leg.workload]
    rag = workload.rag_chunks * workload.rag_chunk_tokens if leg.has_rag else 0.0
    return request(
        shape.input_tokens,
        shape.output_tokens,
        output_cv=shape.output_cv,
        cached_share=shape.cached_share,
        cached_shared_by=shape.cached_shared_by,
        rag_tokens=rag,
        rag_cached_share=workload.rag_cached_share,
    )


def cells_of(
    facts: Facts,
    legs: Sequence[Leg],
    classes: Sequence[Sequence[int]],
    configs: Configs,
    tally: Tally,
) -> Cells:
    """Loads and eligibility of all cells; `classes[w]` are the length classes of workload w."""
    position = {llm.llm: at for at, llm in enumerate(facts.llms)}
    of_llm = [np.flatnonzero(configs.llm == at) for at in range(len(facts.llms))]
    first: dict[tuple[int, int], int] = {}
    parts: list[IntArray] = []
    blocks: list[tuple[Leg, Request, int]] = []
    total = 0
    for at, leg in enumerate(legs):
        if leg.hosted:
            continue
        members = of_llm[position[leg.llm]]
        for length in classes[leg.workload]:
            first[at, length] = total
            parts.append(members)
            blocks.append((leg, leg_request(leg, length, facts), len(members)))
            total += len(members)
    config = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
    repeat = np.array([block[2] for block in blocks], dtype=np.int64)

    def spread(values: Sequence[float]) -> FloatArray:
        return np.repeat(np.array(values, dtype=np.float64), repeat)

    call = Request(
        new_tokens=spread([float(block[1].new_tokens) for block in blocks]),
        cached_tokens=spread([float(block[1].cached_tokens) for block in blocks]),
        held_cached_tokens=spread([float(block[1].held_cached_tokens) for block in blocks]),
        output_tokens=spread([float(block[1].output_tokens) for block in blocks]),
        output_cv=spread([float(block[1].output_cv) for block in blocks]),
    )
    workload = np.repeat(np.array([b[0].workload for b in blocks], dtype=np.int64), repeat)
    settings = facts.instance.settings.serving
    llm, card = configs.llm[config], configs.accelerator[config]
    load = replica_load(
        call,
        configs.law.take(config),
        llm_shapes(facts.llms).take(llm),
        accelerator_shapes(facts.accelerators).take(card),
        tp=configs.accelerators[config],
        precision=np.array(configs.precision, dtype=np.str_)[config],
        operating_tpot_s=configs.tpot_s[config],
        lane_tokens=configs.lane_tokens[config],
        tdp_w=np.array([x.tdp_w for x in facts.accelerators])[card],
        idle_w=np.array([x.idle_w for x in facts.accelerators])[card],
        prefill_load_max=settings.prefill_load_max,
        load_max=settings.load_max,
        derate=settings.derate,
        adapter_overhead=spread(
            [settings.lora_overhead if b[0].has_adapter else 1.0 for b in blocks]
        ),
        performance_margin=settings.performance_margin,
    )
    eligible = _rules(facts, configs, call, (workload, llm, card), config, load, tally)
    return Cells(first=first, config=config, load=load, eligible=eligible)


def _rules(
    facts: Facts,
    configs: Configs,
    call: Request,
    codes: tuple[IntArray, IntArray, IntArray],
    config: IntArray,
    load: ReplicaLoad,
    tally: Tally,
) -> BoolArray:
    """Rules that depend on neither region nor slice, in the order of `RULES`."""
    workload, llm, _ = codes
    instance = facts.instance
    limit = np.array([float(x.context_tokens) for x in facts.llms])[llm]
    interactive = np.array([w.kind == "interactive" for w in instance.workloads])[workload]
    asked = np.array([w.tpot_target_s or np.inf for w in instance.workloads])[workload]
    tpot = configs.tpot_s[config]
    context = call.context_tokens
    law = configs.law.take(config)
    cache = law.kept_tokens(context) * law.kv_bytes_per_token
    asked = np.where(interactive, asked, np.inf)
    names = (
        [w.workload for w in instance.workloads],
        [x.llm for x in facts.llms],
        [x.accelerator for x in facts.accelerators],
    )
    eligible = np.ones(len(config), dtype=np.bool_)
    for rule, wrong, needed, available, unit in (
        ("context length", context > limit, context, limit, "tokens"),
        (
            "prompt lane",
            call.new_tokens > configs.lane_tokens[config],
            call.new_tokens,
            configs.lane_tokens[config],
            "tokens",
        ),
        (
            "memory",
            ~np.isfinite(load.share).all(axis=1),
            cache / 1e9,
            configs.law.kv_capacity_bytes[config] / 1e9,
            "GB of cache",
        ),
        ("TPOT target", tpot > asked, tpot * 1e3, asked * 1e3, "ms"),
    ):
        gone = eligible & wrong
        tally.many(
            rule,
            names,
            (codes[0][gone], codes[1][gone], codes[2][gone]),
            needed[gone],
            available[gone],
            unit,
        )
        eligible &= ~wrong
    return eligible


def dominated_configs(
    facts: Facts, legs: Sequence[Leg], configs: Configs, cells: Cells
) -> dict[str, dict[int, int]]:
    """For each weights: dominated configuration -> a kept one that dominates it.

    The rule and its proof are in the package's docstring.
    """
    blocks: dict[str, list[tuple[int, int]]] = {}
    for (at, _), start in cells.first.items():
        blocks.setdefault(legs[at].weights, []).append((start, legs[at].workload))
    counts = np.bincount(configs.llm, minlength=len(facts.llms))
    per_llm = {llm.llm: int(counts[at]) for at, llm in enumerate(facts.llms)}
    size = {leg.weights: per_llm[leg.llm] for leg in legs if not leg.hosted}
    result: dict[str, dict[int, int]] = {}
    for weights, found in blocks.items():
        grid = np.array([start for start, _ in found])[:, None] + np.arange(size[weights])
        if grid.size:
            workloads = [facts.instance.workloads[w] for _, w in found]
            result[weights] = _dominated(grid, workloads, configs, cells)
    return result


def _dominated(
    grid: IntArray, workloads: Sequence[Workload], configs: Configs, cells: Cells
) -> dict[int, int]:
    """`grid` (B, C): cells of the blocks (leg, class) that share the weights."""
    members, load = cells.config[grid[0]], cells.load
    count, tpot = configs.accelerators[members], configs.tpot_s[members]
    live = np.array([w.kind == "interactive" for w in workloads])[:, None]
    target = np.array([w.tpot_target_s or np.nan for w in workloads])[:, None]
    eligible = cells.eligible[grid]
    share = np.where(eligible[..., None], load.share[grid], np.inf)
    per_card = share * count[None, :, None]  # accelerators used per request/s, (B, C, 4)
    fluent = np.where(
        live & ~np.isnan(target),
        tpot_attainment(np.nan_to_num(target, nan=1.0), tpot, load.tpot_p95_over_mean[grid]),
        1.0,
    )
    costs = (  # each (B, C), lower is better; a batch answer has no latency
        np.where(eligible, load.load_w[grid] * load.share[grid][..., 0], np.inf),
        np.where(live, load.own_prefill_s[grid] + load.fixed_s[grid] + tpot / 2.0, 0.0),
        np.where(live, load.residual_s[grid], 0.0),
        np.where(live, tpot, 0.0),
        -fluent,
    )
    found: dict[int, int] = {}
    for card in np.unique(configs.accelerator[members]):
        here = np.flatnonzero(configs.accelerator[members] == card)
        unused = ~eligible[:, here, None]  # (B, p, 1): p does not serve the block
        better: BoolArray = np.asarray((unused | eligible[:, None, here]).all(axis=0))
        better &= count[here][:, None] % count[here][None, :] == 0
        for cost in costs:
            better &= (unused | (cost[:, None, here] <= cost[:, here, None])).all(axis=0)
        ours, theirs = per_card[:, None, here, :, None], per_card[:, here, None, None, :]
        below: BoolArray = np.all(unused[..., None, None] | (ours <= theirs), axis=0)  # p, q, i, k
        better &= np.all(np.any(below, axis=3), axis=2)
        better &= np.asarray(eligible[:, here].any(axis=0))[:, None]
        np.fill_diagonal(better, False)
        gone = np.zeros(len(here), dtype=np.bool_)
        for p in np.flatnonzero(better.any(axis=1)):
            best = np.flatnonzero(better[p] & ~gone)
            if len(best):
                gone[p] = True
                found[int(members[here[p]])] = int(members[here[best[0]]])
    return {p: _kept(q, found) for p, q in found.items()}


def _kept(config: int, found: dict[int, int]) -> int:
    while config in found:
        config = found[config]
    return config
