"""Run folders for the tests of the report: made without the engine's search, and grown to any size.

`plan_run` is a true plan, built and checked by hand. `front_run` grows a front around it: its
points are the plan's own lines scaled so that none dominates another. Such a front is good for
size, speed and arithmetic only; no command makes one.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from planner.answer.build import build_plan
from planner.api import Request, load
from planner.candidates import build_candidates
from planner.front.front import (
    CutRecord,
    Front,
    FrontCertificate,
    FrontPoint,
    Hypervolume,
    as_minimised,
    as_objectives,
)
from planner.front.geometry import (
    Cut,
    cost_bounds,
    enclosure_epsilon,
    hypervolume_interval,
    local_upper_bounds,
    relative_gaps,
)
from planner.plan import InstanceRef, Objectives, Plan
from planner.runs import copy_instance
from tests.planner.hand_made import result

INSTANCES = Path(__file__).resolve().parents[2] / "instances"
CUTS = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 1.0, 1.0))
"""Weights in ranges; the level is nine tenths of the least over the points."""


@cache
def hand_made_plans(instance: str) -> tuple[Plan, ...]:
    """True plans of a shipped instance: the first and the second variant of every workload."""
    facts = load(INSTANCES / instance)
    candidates = build_candidates(facts)
    return tuple(
        build_plan(facts, candidates, result(candidates.data, "cost", choice), "cost")
        for choice in (0, 1)
    )


def plan_run(folder: Path, instance: str) -> Path:
    """A run folder as `planner plan` writes one, without the stored proof."""
    folder.mkdir(parents=True)
    plan = hand_made_plans(instance)[0]
    (folder / "plan.json").write_text(plan.to_json(), encoding="utf-8")
    request = json.dumps(dataclasses.asdict(Request()))
    (folder / "request.json").write_text(request, encoding="utf-8")
    copy_instance(INSTANCES / instance, folder / "instance", None)
    return folder


def front_run(
    folder: Path,
    instance: str,
    count: int,
    *,
    complete: bool = False,
    seed: int = 0,
    bases: Sequence[Plan] = (),
) -> Path:
    """A run folder as `planner front` writes one, with `count` scaled plans.

    `bases`: plans to scale; the hand-made ones of the instance by default.
    """
    folder.mkdir(parents=True)
    bases = bases or hand_made_plans(instance)
    rng = np.random.default_rng(seed)
    places = np.vstack([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], rng.random((count - 3, 2))])
    plans = {
        f"p{number:04d}": scaled(bases[int(better > 0.5) % len(bases)], bases[0], greener, better)
        for number, (greener, better) in enumerate(places, start=1)
    }
    for name, plan in plans.items():
        place = folder / "plans" / name
        place.mkdir(parents=True)
        (place / "plan.json").write_text(plan.to_json(), encoding="utf-8")
    front_of(plans, complete=complete).write(folder)
    request = {"epsilon": 0.03, "time_limit_s": 60.0, "workers": 2, "seed": seed}
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    copy_instance(INSTANCES / instance, folder / "instance", None)
    return folder


def bare_front(folder: Path, points: int) -> Path:
    """A front of the first `points` plans of which nothing at all is proved."""
    front = Front.read(front_run(folder, "tiny", 3))
    unproved = tuple(
        dataclasses.replace(point, cost_bound_usd=None, cost_gap_relative=None, status="unproved")
        for point in front.points[:points]
    )
    f = np.array([as_minimised(point.objectives) for point in unproved])
    certificate = dataclasses.replace(
        front.certificate,
        epsilon=None,
        cost_gap_relative_median=None,
        cost_gap_relative_max=None,
        hypervolume=dataclasses.replace(front.certificate.hypervolume, lower=0.0, upper=None),
        cuts=(),
    )
    dataclasses.replace(
        front,
        points=unproved,
        ideal=as_objectives(f.min(axis=0)),
        nadir=as_objectives(f.max(axis=0)),
        certificate=certificate,
    ).write(folder)
    return folder


def scaled(plan: Plan, like: Plan, greener: float, better: float) -> Plan:
    """The plan's decisions with lines that add up to those of `like`, dearer, greener, better."""
    own, start = plan.objectives, like.objectives
    dearer = 1.0 + 0.7 * greener**2 + 1.3 * better**2 + 0.01 * (greener + better)
    dearer *= start.cost_usd / own.cost_usd
    less = (1.0 - 0.6 * greener) * start.carbon_kgco2e / own.carbon_kgco2e
    lift = (1.0 + 0.1 * better) * start.qoe / own.qoe
    cost = {name: value * dearer for name, value in plan.cost_lines.items()}
    carbon = {name: value * less for name, value in plan.carbon_lines.items()}
    objectives = Objectives(
        math.fsum(cost.values()), math.fsum(carbon.values()), plan.objectives.qoe * lift
    )
    workloads = tuple(
        dataclasses.replace(row, qoe=row.qoe * lift, usd_per_mtok=row.usd_per_mtok * dearer)
        for row in plan.workloads
    )
    return dataclasses.replace(
        plan, objectives=objectives, cost_lines=cost, carbon_lines=carbon, workloads=workloads
    )


def front_of(plans: dict[str, Plan], *, complete: bool) -> Front:
    """The front of plans, enclosed by cuts that are true of them."""
    f = np.array([as_minimised(plan.objectives) for plan in plans.values()])
    ideal, nadir = f.min(axis=0), f.max(axis=0)
    ranges = nadir - ideal
    weights = [np.array(row) / ranges for row in CUTS]
    cuts = [Cut(row, 0.9 * float((f @ row).min())) for row in weights]
    reference = nadir + 0.01 * ranges
    bounds = np.minimum(cost_bounds(f, cuts), f[:, 0])
    gaps = relative_gaps(f, bounds)
    volume = hypervolume_interval(f, cuts, (), reference)
    corners = local_upper_bounds(f, reference)
    first = next(iter(plans.values()))
    return Front(
        instance=InstanceRef(first.instance.name, first.instance.sha256),
        ideal=as_objectives(ideal),
        nadir=as_objectives(nadir),
        points=tuple(
            FrontPoint(
                id=name,
                cost_usd=plan.objectives.cost_usd,
                carbon_kgco2e=plan.objectives.carbon_kgco2e,
                qoe=plan.objectives.qoe,
                cost_bound_usd=float(bound),
                cost_gap_relative=float(gap),
                status="limit",
                found_by="scaled",
                plan=f"plans/{name}/plan.json",
            )
            for (name, plan), bound, gap in zip(plans.items(), bounds, gaps, strict=True)
        ),
        certificate=FrontCertificate(
            method="certified",
            complete=complete,
            epsilon=enclosure_epsilon(corners, cuts, (), ranges),
            cost_gap_relative_median=float(np.median(gaps)),
            cost_gap_relative_max=float(gaps.max()),
            hypervolume=Hypervolume(volume.lower, volume.upper, as_objectives(reference)),
            cuts=tuple(
                CutRecord(tuple(map(float, cut.weights)), cut.level, f"cuts/c{at}.npz")
                for at, cut in enumerate(cuts, start=1)
            ),
            boxes=(),
            widest=(),
        ),
        solves=len(plans),
        elapsed_s=1.0,
        timings={},
        seed=0,
    )
