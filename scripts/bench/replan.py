"""A re-plan after a change of prices only, beside a cold plan of the same data at the same gap.

    python scripts/bench/replan.py instances/reference --gap 0.01 --history 5
    python scripts/bench/replan.py instances/reference --gap 0.01 --history 8 --chain
    python scripts/bench/replan.py instances/small --gap 0.01 --move 0.1 --seeds 3

With `--move` every machine's prices move at random, together, by up to that share. With `--history`
the prices of each of the last so many dates of the instance's history follow those of the date
before. The warm plan begins from plan and proof of the prices before; with `--chain` those are warm
ones, too, as where re-planning is scheduled and nothing is ever planned cold. Prints one markdown
table: seconds of the whole, reading and checking included, by the clock and of CPU; other work on
the machine counts in the former alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from planner.api import Answer, Request, answer, load
from planner.backtest.history import read_history
from planner.backtest.moments import write_moment
from planner.feeds.tables import PRICE_COLUMNS
from planner.instance.copy import copy_instance, write_table
from planner.instance.schema import Offer

HEADINGS = (
    *("change of prices", "cold, s", "CPU s", "gap", "carried over, gap"),
    *("warm, s", "CPU s", "gap", "warm / cold, s", "CPU s"),
)


@dataclass(frozen=True)
class Change:
    """Two instances that differ in prices alone."""

    name: str
    before: Path
    after: Path


@dataclass(frozen=True)
class Timed:
    """A plan and what it took."""

    answer: Answer
    wall_s: float
    cpu_s: float

    @property
    def gap(self) -> float:
        """Proved, of its value."""
        return self.answer.plan.certificate.gap_relative


def with_moved_prices(source: Path, target: Path, seed: int, move: float) -> Path:
    """A copy of the instance with every machine's prices moved together."""
    rng = np.random.default_rng(seed)
    facts = load(source)
    offers = []
    for machine in facts.machines:
        factor = float(rng.uniform(1.0 - move, 1.0 + move))
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


def random_moves(source: Path, scratch: Path, move: float, seeds: int) -> Iterator[Change]:
    """The instance as it is, and with prices moved at random."""
    for seed in range(seeds):
        after = with_moved_prices(source, scratch / f"moved-{seed}", seed, move)
        yield Change(f"at random by up to {move:.0%}, seed {seed}", source, after)


def historic_moves(source: Path, scratch: Path, count: int) -> Iterator[Change]:
    """The instance at the prices of the last dates, all else equal."""
    facts, history = load(source), read_history(source / "history")
    moments = history.moments()[-count - 1 :]
    folders = []
    for moment in moments:
        same = dataclasses.replace(moment, date=moments[-1].date, demand={})
        folders.append(write_moment(facts, history, same, scratch / moment.date.isoformat()))
    for before, after in pairwise(folders):
        yield Change(f"{before.name} to {after.name}", before, after)


def timed(instance: Path, request: Request, before: Answer | None = None) -> Timed:
    """The answer, from nothing or from the one before."""
    wall, cpu = time.monotonic(), time.process_time()
    if before is None:
        found = answer(instance, request)
    else:
        found = answer(instance, request, start=(before.plan,), start_proof=before.proof)
    return Timed(found, time.monotonic() - wall, time.process_time() - cpu)


def carried_gap(warm: Timed) -> str:
    """How far the plan before was from what was proved in the end, priced anew."""
    events = [e for e in warm.answer.log.events if e.get("phase") == "start" and "value" in e]
    if not events:
        return "keeps not every rule"
    value = float(events[0]["value"])
    return f"{(value - warm.answer.plan.certificate.bound) / value:.3%}"


def row(change: Change, cold: Timed, warm: Timed) -> str:
    """A line of the table."""
    cells = [
        *(change.name, f"{cold.wall_s:.1f}", f"{cold.cpu_s:.1f}", f"{cold.gap:.3%}"),
        *(carried_gap(warm), f"{warm.wall_s:.1f}", f"{warm.cpu_s:.1f}", f"{warm.gap:.3%}"),
        *(f"{warm.wall_s / cold.wall_s:.0%}", f"{warm.cpu_s / cold.cpu_s:.0%}"),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gap", type=float, default=0.01)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--move", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--history", type=int, default=0)
    parser.add_argument("--chain", action="store_true")
    args = parser.parse_args()
    request = Request(
        minimize="cost", gap=args.gap, time_limit_s=args.seconds, threads=args.threads
    )
    known: dict[Path, Timed] = {}
    latest: dict[Path, Timed] = {}

    def cold(instance: Path) -> Timed:
        if instance not in known:
            known[instance] = timed(instance, request)
        return known[instance]

    print(f"{args.folder.name}, gap {args.gap:.2%}, {args.threads} threads\n")
    print(f"| {' | '.join(HEADINGS)} |")
    print(f"|---{'|---:' * (len(HEADINGS) - 1)}|", flush=True)
    with tempfile.TemporaryDirectory() as where:
        scratch = Path(where)
        changes = [
            *random_moves(args.folder, scratch, args.move, args.seeds),
            *(historic_moves(args.folder, scratch, args.history) if args.history else ()),
        ]
        for change in changes:
            before, after = cold(change.before), cold(change.after)
            if args.chain:
                before = latest.get(change.before, before)
            latest[change.after] = timed(change.after, request, before.answer)
            print(row(change, after, latest[change.after]), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
