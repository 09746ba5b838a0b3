"""What settling lumps wins: ``python scripts/bench/lumps.py RUN`` of a front.

At the corners below which the cuts leave most room, and for what cost, carbon and QoE are worth
there: how far above the bound lie the best listed plan, the plan that is rounded up from the
relaxation, and the same with its lumps settled; in per cent of the ranges. And the processor
seconds of the last two.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from planner.front.run import FrontRequest, FrontRun
from planner.front.tasks import DECODE_S, FLOOR, SETTLE_S, TOLERANCE, mixed_weights, weighted_aim
from planner.solve.decode import around, decoded, leading_variants
from planner.solve.generation import Generation
from planner.solve.index import routes_with


def main() -> None:
    """See the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="run folder of a front")
    parser.add_argument("--corners", type=int, nargs="+", default=[0, 10, 30, 60, 100, 130])
    asked = parser.parse_args()
    run = FrontRun(asked.run / "instance", FrontRequest(), asked.run, resume=True)
    index, enclosure = run.index, run.search.enclosure
    assert enclosure is not None, "not a front"
    span, corners = enclosure.span(), enclosure.bounds.corners
    rooms = enclosure.rooms(corners)
    order = np.argsort(-rooms.prod(axis=1), kind="stable")
    print("| corner | best listed | rounded up | s | lumps settled | s |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for number in asked.corners:
        if number >= len(order):
            break
        place = order[number]
        weights = mixed_weights(enclosure.sight(corners[place], rooms[place]).known)
        weights = weights / float(weights @ span)
        aim, beside = weighted_aim(weights), enclosure.routes_near(weights)
        generation = Generation(aim.master(index))
        generation.start()
        relaxation = generation.generate(TOLERANCE, floor=FLOOR)
        bound = relaxation.bound
        variants = leading_variants(index, relaxation.adopt)
        routes = around(index, relaxation.routes, bound.reduced, variants)
        routes = np.union1d(routes, routes_with(index, beside, variants))
        listed = min(float(weights @ point.f) for point in enclosure.listed())
        row = [f"{number}", f"{100.0 * (listed - bound.value):.2f}"]
        for settle_s in (0.0, SETTLE_S):
            began = time.process_time()
            plan = decoded(index, aim, variants, routes, DECODE_S, settle_s)
            spent = time.process_time() - began
            above = np.inf if plan is None else aim.value(plan.totals) - bound.value
            row += [f"{100.0 * above:.2f}", f"{spent:.1f}"]
        print("|", " | ".join(row), "|", flush=True)


if __name__ == "__main__":
    main()
