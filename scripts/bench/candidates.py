"""Time and memory of building candidates on generated instances.

Usage: python scripts/bench/candidates.py --routes 100000 1000000 3000000 [--instance DIR ...]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from planner.candidates import build_candidates
from planner.catalog import load_catalog
from planner.instance.load import load_instance
from planner.instance.resolve import resolve

ROOT = Path(__file__).resolve().parents[2]


def measure(folder: Path) -> str:
    """One line: routes before and after pruning, seconds of each step, peak memory."""
    catalog = load_catalog()
    start = time.perf_counter()
    instance = load_instance(folder, catalog)
    loaded = time.perf_counter()
    facts = resolve(instance, catalog)
    resolved = time.perf_counter()
    build_candidates(facts)  # reads the catalog's tables once
    began = time.perf_counter()
    found = build_candidates(facts)
    built = time.perf_counter() - began
    began = time.perf_counter()
    whole = build_candidates(facts, prune=False)
    unpruned = time.perf_counter() - began
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return (
        f"{folder.name}: {found.eligible_before_pruning:,} eligible, "
        f"{found.eligible_after_pruning:,} after pruning, "
        f"{len(whole.data.route_group):,} built without pruning; load {loaded - start:.2f} s, "
        f"resolve {resolved - loaded:.2f} s, candidates {built:.2f} s, "
        f"without pruning {unpruned:.2f} s, peak {peak_gb:.2f} GB"
    )


def main() -> None:
    """Generate or take the instances and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", type=int, nargs="*", default=[])
    parser.add_argument("--instance", type=Path, nargs="*", default=[])
    given = parser.parse_args()
    for folder in given.instance:
        print(measure(folder), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for routes in given.routes:
            folder = Path(scratch) / f"routes-{routes}"
            command = [sys.executable, str(ROOT / "scripts" / "generate_instance.py"), str(folder)]
            subprocess.run([*command, "--routes", str(routes), "--seed", "7"], check=True)
            print(measure(folder), flush=True)


if __name__ == "__main__":
    main()
