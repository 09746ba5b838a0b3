"""A front run measured and attacked: ``python scripts/bench/front.py instances/small --time 60``.

Prints points, epsilon and hypervolume interval against time, then solves `--attacks` random
weighted sums on their own (other seeds, other columns) and counts plans outside the enclosure: a
cut that a plan breaks, or a plan that beats the whole list by more than epsilon.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from planner.front.front import Front, as_minimised
from planner.front.run import FrontProgress, FrontRequest, FrontRun
from planner.solve.engine import Search
from planner.solve.options import EngineOptions


def attacked(run: FrontRun, front: Front, attacks: int, seconds: float) -> dict[str, int]:
    """Independent optima of random weights: how many, and how many lie outside."""
    rng = np.random.default_rng(12345)
    points, ranges = front.minimised, front.ranges
    reference = as_minimised(front.certificate.hypervolume.reference)
    broken = beaten = inside = 0
    for number in range(attacks):
        weights = np.append(rng.dirichlet(np.ones(3)) / ranges, 0.0)
        search = Search(run.index, weights, EngineOptions(0.002, seconds, 2, seed=1000 + number))
        search.run()
        assert search.best is not None
        f = search.best.totals[:3]
        broken += any(
            float(f @ np.array(cut.weights)) < cut.level - 1e-9 * abs(cut.level)
            for cut in front.certificate.cuts
        )
        if (f < reference).all():
            inside += 1
            beaten += _beats(f, points, ranges, front.certificate.epsilon or np.inf)
    return {"attacks": attacks, "inside": inside, "cuts broken": broken, "beyond epsilon": beaten}


def _beats(f: np.ndarray, points: np.ndarray, ranges: np.ndarray, epsilon: float) -> bool:
    """No point is, within epsilon of every range, as good as `f`."""
    return not bool((points <= f + (epsilon + 1e-9) * ranges).all(axis=1).any())


def main() -> None:
    """Run, print, attack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("instance", type=Path)
    parser.add_argument("--time", type=float, default=60.0)
    parser.add_argument("--epsilon", type=float, default=0.03)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--attacks", type=int, default=10)
    parser.add_argument("--attack-seconds", type=float, default=3.0)
    given = parser.parse_args()
    trace: list[FrontProgress] = []
    with tempfile.TemporaryDirectory() as folder:
        request = FrontRequest(
            epsilon=given.epsilon, time_limit_s=given.time, workers=given.workers
        )
        run = FrontRun(given.instance, request, Path(folder) / "run", on_progress=trace.append)
        front = run.run()
        for news in trace[:: max(len(trace) // 20, 1)]:
            print(
                f"{news.elapsed_s:7.1f} s  {news.points:3d} points  {news.cuts:3d} cuts  "
                f"epsilon {news.epsilon}  hypervolume {news.hypervolume_lower:.6g} "
                f"to {news.hypervolume_upper}"
            )
        certificate = front.certificate
        volume = certificate.hypervolume
        result = {
            "instance": front.instance.name,
            "points": len(front.points),
            "epsilon": certificate.epsilon,
            "complete": certificate.complete,
            "hypervolume_excess": None if volume.upper is None else volume.upper / volume.lower - 1,
            "cost_gap_median": certificate.cost_gap_relative_median,
            "elapsed_s": round(front.elapsed_s, 1),
            "solves": front.solves,
            "attack": attacked(run, front, given.attacks, given.attack_seconds),
        }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
