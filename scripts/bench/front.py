"""A front run measured against time, and attacked.

    python scripts/bench/front.py instances/reference --time 300 --attacks 300

Prints points, epsilon and hypervolume interval against time, the gaps in cost, then what
independent solves make of the certificate (`planner.front.attack`).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from planner.front.attack import attack
from planner.front.run import FrontProgress, FrontRequest, FrontRun

EVERY_S = 10.0
"""Between two lines."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("instance", type=Path)
    parser.add_argument("--time", type=float, default=60.0)
    parser.add_argument("--epsilon", type=float, default=0.03)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scheduler", default=None)
    parser.add_argument("--attacks", type=int, default=30)
    given = parser.parse_args()
    print("seconds  points  cuts  epsilon  hypervolume above")
    last = -EVERY_S

    def show(progress: FrontProgress) -> None:
        nonlocal last
        if progress.elapsed_s >= last + EVERY_S:
            last = progress.elapsed_s
            print(line(progress), flush=True)

    with tempfile.TemporaryDirectory() as place:
        request = FrontRequest(
            epsilon=given.epsilon,
            time_limit_s=given.time,
            workers=given.workers,
            scheduler=given.scheduler,
        )
        run = FrontRun(given.instance, request, Path(place) / "run", on_progress=show)
        front = run.run()
        certificate = front.certificate
        missing = certificate.hypervolume.missing
        above = "not known" if missing is None else f"{missing:.2%}"
        print(
            f"{front.elapsed_s:.0f} s, {len(front.points)} plans, {front.solves} solves, "
            f"{certificate.status}: epsilon {certificate.epsilon:.2%}, missing {above}, "
            f"gap in cost median {certificate.cost_gap_relative_median:.2%}, "
            f"most {certificate.cost_gap_relative_max:.2%}"
        )
        print(attack(run.folder, run.facts, given.attacks, seed=12345).line())


def line(progress: FrontProgress) -> str:
    """One line of the table."""
    missing = progress.hypervolume.missing
    above = "-" if missing is None else f"{missing:.2%}"
    epsilon = f"{progress.epsilon:.2%}" if progress.epsilon is not None else "-"
    counts = f"{progress.points:6}  {progress.cuts:4}"
    return f"{progress.elapsed_s:7.1f}  {counts}  {epsilon:>7}  {above:>10}"


if __name__ == "__main__":
    main()
