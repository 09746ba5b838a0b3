"""A re-plan after a change of prices only, beside a cold plan of the same data at the same gap.

    python scripts/bench/replan.py instances/small --gap 0.01 --seeds 3

Every price moves at random by up to a tenth. The warm plan begins from the plan and the proof of
the data before. Prints one markdown table; seconds are CPU seconds of the whole, reading and
checking included, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from planner.api import Answer, Request, answer, load
from planner.feeds.tables import PRICE_COLUMNS
from planner.instance.copy import copy_instance, write_table
from planner.instance.schema import Offer

MOVE = 0.1


def with_moved_prices(source: Path, target: Path, seed: int) -> Path:
    """A copy of the instance with every machine's prices moved together."""
    rng = np.random.default_rng(seed)
    facts = load(source)
    offers = []
    for machine in facts.machines:
        factor = float(rng.uniform(1.0 - MOVE, 1.0 + MOVE))
        known = {column: getattr(machine, column) for column in PRICE_COLUMNS}
        prices = {column: factor * price for column, price in known.items() if price is not None}
        if prices:
            offers.append(
                Offer(
                    region=machine.region,
                    offer=machine.offer,
                    accelerator=machine.accelerator,
                    accelerators=machine.accelerators,
                    max_instances=machine.max_instances,
                    **prices,
                )
            )
    copy_instance(source, target, facts.instance.settings.incumbent)
    write_table(target, "offers", offers)
    return target


def timed(instance: Path, request: Request, before: Answer | None = None) -> tuple[Answer, float]:
    """The answer and its CPU seconds."""
    began = time.process_time()
    if before is None:
        found = answer(instance, request)
    else:
        found = answer(instance, request, start=(before.plan,), start_proof=before.proof)
    return found, time.process_time() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gap", type=float, default=0.01)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    request = Request(
        minimize="cost", gap=args.gap, time_limit_s=args.seconds, threads=args.threads
    )
    before, _ = timed(args.folder, request)
    print(f"{args.folder.name}, gap {args.gap:.2%}\n")
    print("| seed | cold, CPU s | gap | warm, CPU s | gap | warm / cold |")
    print("|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(args.seeds):
            moved = with_moved_prices(args.folder, Path(scratch) / f"moved-{seed}", seed)
            cold, cold_s = timed(moved, request)
            warm, warm_s = timed(moved, request, before)
            gaps = [f"{found.plan.certificate.gap_relative:.3%}" for found in (cold, warm)]
            print(
                f"| {seed} | {cold_s:.1f} | {gaps[0]} | {warm_s:.1f} | {gaps[1]} | "
                f"{warm_s / cold_s:.1%} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
