"""The stored proof of a plan as the engine's prices, for any candidates.

Any prices >= 0 of rows that exist prove a bound (`planner.solve.bound`), so those of a plan say
at once what any restriction of it, or its old decisions under other data, must cost at least.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from models.fleet.data import FloatArray
from planner.answer.certificate import price_axes
from planner.candidates.kinds import Candidates
from planner.front.front import Front, FrontPoint, as_minimised
from planner.instance.facts import Facts
from planner.solve.assignments import mixed_bound
from planner.solve.bound import Bound, Prices, affordable, fair, with_main_rows
from planner.solve.index import FleetIndex
from planner.verify import DualPrices, Proof
from planner.verify.case import CAPACITY_ROWS
from planner.verify.proof import covers


def engine_prices(
    facts: Facts, candidates: Candidates, index: FleetIndex, stored: DualPrices
) -> Prices:
    """Stored prices by the numbers of `index`; names and rules that are not there are left out.

    Prices of machines are lowered to what machines without limit cost here.
    """
    found: dict[str, Any] = {}
    for family, axes in price_axes(facts, index).items():
        at = [{key: place for place, key in enumerate(axis)} for axis in axes]
        widths = [len(axis[0]) if axis else 1 for axis in axes]
        values = np.zeros([len(axis) for axis in axes])
        for key, price in stored.of(family).items():
            start, places = 0, []
            for names, width in zip(at, widths, strict=True):
                places.append(names.get(key[start : start + width]))
                start += width
            if None not in places:
                values[tuple(places)] = price
        found[family.replace("-", "_")] = values
    found = _with_stand_ins(index, stored, found, _stand_ins(facts, index, stored))
    for name in ("open_count", "keep_count", "added_total", "changed"):
        found[name] = float(found[name].sum())
    prices = replace(Prices.zero(index, stored.weights), cap=stored.cap, **found)
    return fair(index, _of_rules_that_exist(index, prices))


def _stand_ins(facts: Facts, index: FleetIndex, stored: DualPrices) -> dict[str, str]:
    """Machine that the proof does not know -> the dearest one that it knows with the same
    accelerator in the same region.

    Which offers are dominated, and so left out of a proof, moves with prices.
    """
    place = {m.machine: (m.region, m.accelerator) for m in facts.machines}
    worth: dict[str, float] = defaultdict(float)
    for (name, _), price in stored.of("machine").items():
        worth[name] += price
    dearest: dict[tuple[str, str], str] = {}
    for name in sorted(worth.keys() & place.keys(), key=lambda name: (worth[name], name)):
        dearest[place[name]] = name
    return {
        name: dearest[place[name]]
        for name in index.data.machines
        if name not in worth and place[name] in dearest
    }


def _with_stand_ins(
    index: FleetIndex, stored: DualPrices, known: dict[str, Any], stand_in: dict[str, str]
) -> dict[str, Any]:
    """The prices `known` of machines (H, T) and capacity rows (P, T, 4), where a machine has a
    stand-in those of it: per accelerator, and of its pools with the same configuration."""
    if not stand_in:
        return known
    data = index.data
    when = {name: t for t, name in enumerate(data.slices)}
    row = {name: i for i, name in enumerate(CAPACITY_ROWS)}
    of_machine: dict[str, FloatArray] = defaultdict(lambda: np.zeros(len(when)))
    for (name, part), price in stored.of("machine").items():
        if part in when:
            of_machine[name][when[part]] = price
    of_pool: dict[str, FloatArray] = defaultdict(lambda: np.zeros((len(when), len(row))))
    for (name, part, which), price in stored.of("replica").items():
        if part in when:
            of_pool[name][when[part], row[which]] = price
    machine, replica = known["machine"].copy(), known["replica"].copy()
    for h, name in enumerate(data.machines):
        if name in stand_in:
            machine[h] = of_machine[stand_in[name]]
    for p, (h, name) in enumerate(zip(data.pool_machine, data.pools, strict=True)):
        other = stand_in.get(data.machines[h])
        twin = f"{other}/{name.split('/', maxsplit=2)[2]}"
        if other is not None and twin in of_pool:
            replica[p] = of_pool[twin]
    return {**known, "machine": machine, "replica": replica}


def without_bargains(index: FleetIndex, prices: Prices) -> Prices:
    """Prices of machines lowered to what any of them costs, limited ones included.

    Better where machines have become cheaper than the prices say; worse where stock is short.
    """
    unlimited = np.full(len(index.data.purchase_stock), np.inf)
    plenty = replace(index, data=replace(index.data, purchase_stock=unlimited))
    return with_main_rows(index, affordable(plenty, prices))


def bound_by_cases(index: FleetIndex, stored: Proof, bounds: Sequence[Bound]) -> float:
    """What the stored cases prove here, given the bound of each of their price vectors.

    -inf where they leave out an assignment of the variants that there are here.
    """
    at = {name: place for place, name in enumerate(stored.variants)}
    known = np.array([name in at for name in index.data.variants], dtype=bool)
    allowed = np.zeros((len(stored.allowed), len(known)), dtype=bool)
    allowed[:, known] = stored.allowed[:, [at[n] for n in index.data.variants if n in at]]
    level = np.array([bound.rest for bound in bounds])
    worth = np.array([bound.variant_value for bound in bounds])
    able = np.isfinite(worth).all(axis=0)
    if not covers(allowed, [mine[able[mine]] for mine in index.workload_variants]):
        return -np.inf
    return min(
        mixed_bound(index, level, worth, case & able, shares)
        for case, shares in zip(allowed, stored.shares, strict=True)
    )


def _of_rules_that_exist(index: FleetIndex, prices: Prices) -> Prices:
    """A price on a rule that the data do not have would prove too much: it is dropped."""
    data = index.data
    caps = np.array([data.cost_max_usd, data.carbon_max_kgco2e, data.loss_max, data.water_max_l])
    opened = 1.0 if index.opens else 0.0
    added = 1.0 if index.counts_added else 0.0
    workload = data.variant_workload
    return replace(
        prices,
        cap=np.where(np.isnan(caps), 0.0, prices.cap),
        survive=prices.survive * _given(data.region_share_max)[workload][:, None, None],
        spot=prices.spot * (0.0 if np.isnan(data.spot_share_max) else 1.0),
        attain=prices.attain * _given(data.attainment_min)[workload],
        floor=prices.floor * _given(data.workload_loss_max)[workload],
        spread=prices.spread * index.spreads[:, None],
        spread_count=prices.spread_count * index.spreads,
        open=prices.open * opened,
        open_count=0.0 if np.isnan(data.max_regions) else prices.open_count,
        keep=prices.keep * (0.0 if np.isnan(data.max_llms) else 1.0),
        keep_count=0.0 if np.isnan(data.max_llms) else prices.keep_count,
        added=prices.added * added,
        added_total=0.0 if np.isnan(data.max_added_accelerators) else prices.added_total,
        changed=0.0 if np.isnan(data.max_changed_workloads) else prices.changed,
    )


def _given(limit: FloatArray) -> FloatArray:
    return np.where(np.isnan(limit), 0.0, 1.0)


def prices_of_cut(stored: DualPrices) -> DualPrices | None:
    """Prices that prove a cut ``weights . f >= level``, as prices of the cheapest plan under caps.

    With the weight of cost made 1, the other weights are prices of the caps on carbon and QoE.
    None where the cut gives no weight to cost.
    """
    usd = float(stored.weights[0])
    if usd <= 0.0 or stored.weights[3] > 0.0:
        return None
    caps = stored.cap / usd
    caps[1:3] += stored.weights[1:3] / usd
    rows = {
        family: {key: price / usd for key, price in prices.items()}
        for family, prices in stored.rows.items()
    }
    return replace(stored, weights=np.array([1.0, 0.0, 0.0, 0.0]), cap=caps, rows=rows)


def best_cut(front: Front, point: FrontPoint) -> str | None:
    """Path of the proof that bounds the cost of the point's carbon and QoE best."""
    f = as_minimised(point.objectives)
    best: tuple[float, str | None] = (-np.inf, None)
    for cut in front.certificate.cuts:
        weights = np.array(cut.weights)
        if weights[0] > 0.0:
            least = (cut.level - float(weights[1:] @ f[1:])) / weights[0]
            best = max(best, (least, cut.proof), key=lambda pair: pair[0])
    return best[1]
