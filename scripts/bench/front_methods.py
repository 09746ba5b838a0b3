"""Fronts against time: ``python scripts/bench/front_methods.py instances/small``. Methods:

* ``certified``, ``evolve``, ``hybrid``: `planner front`, two workers;
* ``epsilon-constraint``: the program as Pyomo states it, solved by plain HiGHS (two threads) for
  least cost on a grid of caps on carbon and loss, coarse grids first;
* ``nsga2``, ``nsga3``: pymoo on `encoded_fleet`, two islands of different seeds side by side.

All are measured from reading the instance on, by the hypervolume below one reference (that of the
first certified run), as a share of the box between it and the best value of each objective that any
method found; for ours also the upper end that is proved. Writes a CSV and an SVG picture to
`--output`, prints the hypervolume at the given times and the time to the hypervolume that the
others end with.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import queue
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from planner.errors import SolverError
from planner.front.front import as_minimised
from planner.front.geometry import hypervolume_interval, nondominated
from planner.front.run import METHODS, FrontProgress, FrontRequest, FrontRun

AT_S = (5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0, 600.0)
GRIDS = (2, 4, 8, 16)
"""Caps per objective of the epsilon-constraint grids, one after the other."""
GRID_GAP = 0.01
GRID_SOLVE_S = 60.0
"""Limit of one of its solves, whose best plan then counts."""
TIE = 1e-3
"""Weight of the capped objectives beside cost."""
DASHED = 'stroke-dasharray="4 3"'
COLOURS = {
    "certified": "#264682",
    "evolve": "#2e8b57",
    "hybrid": "#c0392b",
    "epsilon-constraint": "#8e6c00",
    "nsga2": "#7d3c98",
    "nsga3": "#777777",
}


@dataclass
class Trace:
    """What a method found, and when."""

    method: str
    points: list[tuple[float, np.ndarray]] = field(default_factory=list)
    """(seconds, cost, carbon and loss of a plan that keeps every rule)"""
    upper: list[tuple[float, float]] = field(default_factory=list)
    """(seconds, proved upper hypervolume in the run's own units)"""
    said: str = ""

    def front_at(self, seconds: float) -> np.ndarray:
        """(n, 3) not dominated at that time."""
        f = np.array([f for at, f in self.points if at <= seconds]).reshape(-1, 3)
        return f[nondominated(f)] if len(f) else f


# ---------------------------------------------------------------------- ours


def ours(folder: Path, method: str, seconds: float, seed: int) -> tuple[Trace, FrontRun]:
    """A run of `planner front`: its checked plans, and the upper end that it proves."""
    trace = Trace(method)

    def note(progress: FrontProgress) -> None:
        enclosure = run.search.enclosure
        assert enclosure is not None
        known = len(trace.points)
        now = progress.elapsed_s
        trace.points.extend((now, point.f) for point in enclosure.points[known:])
        if progress.hypervolume.upper is not None:
            trace.upper.append((now, progress.hypervolume.upper))

    with tempfile.TemporaryDirectory() as place:
        request = FrontRequest(
            epsilon=1e-3, gap=1e-4, time_limit_s=seconds, seed=seed, method=method
        )
        run = FrontRun(folder, request, Path(place) / "run", on_progress=note)
        try:
            front = run.run()
        except SolverError as error:
            trace.said = f"nothing: {error}"
            return trace, run
    certificate = front.certificate
    trace.said = (
        f"{len(front.points)} plans, epsilon {certificate.epsilon}, "
        f"{len(certificate.cuts)} cuts, {front.solves} solves"
    )
    return trace, run


# ---------------------------------------------------------------------- the others


def epsilon_constraint(folder: Path, seed: int, send: Callable[[Any], None]) -> None:
    """The best of each objective, then grids of caps between them."""
    from pyomo.contrib import appsi
    from pyomo.environ import value

    from models.fleet.program import build_program, minimize, set_cap
    from planner.api import load
    from planner.candidates import build_candidates

    program = build_program(build_candidates(load(folder)).data)
    solver = appsi.solvers.Highs()
    solver.config.load_solution = False
    solver.config.mip_gap, solver.config.time_limit = GRID_GAP, GRID_SOLVE_S
    solver.highs_options = {"threads": 2, "random_seed": seed}
    names = ("cost", "carbon", "qoe-loss")

    def solve() -> np.ndarray | None:
        result = solver.solve(program)
        if result.best_feasible_objective is None:
            return None
        result.solution_loader.load_vars()
        f = np.array([value(program.total[name]) for name in names])
        send(f)
        return f

    ends = []
    for name in names:
        minimize(program, name)
        ends.append(solve())
    ends = [end for end in ends if end is not None]
    if len(ends) < len(names):
        return  # no ranges to lay a grid over
    low, high = np.min(ends, axis=0), np.max(ends, axis=0)
    span = np.maximum(high - low, 1e-12)
    tie = {name: TIE * span[0] / span[i] for i, name in enumerate(names) if i}
    minimize(program, {"cost": 1.0, **tie})
    done: set[tuple[float, float]] = set()
    for count in GRIDS:
        shares = [(step + 1) / count for step in range(count)]
        for carbon in shares:
            for loss in shares:
                if (carbon, loss) not in done:
                    done.add((carbon, loss))
                    set_cap(program, "carbon", low[1] + carbon * span[1])
                    set_cap(program, "qoe-loss", low[2] + loss * span[2])
                    solve()


def evolved(folder: Path, seed: int, send: Callable[[Any], None], name: str) -> None:
    """NSGA-II or NSGA-III, without end."""
    from encoded_fleet import EncodedFleet
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.algorithms.moo.nsga3 import NSGA3
    from pymoo.core.termination import NoTermination
    from pymoo.optimize import minimize
    from pymoo.util.ref_dirs import get_reference_directions

    from planner.api import load
    from planner.candidates import build_candidates
    from planner.solve.index import FleetIndex

    problem = EncodedFleet(FleetIndex.build(build_candidates(load(folder)).data), send)
    directions = get_reference_directions("das-dennis", 3, n_partitions=12)
    algorithm = NSGA2(pop_size=100) if name == "nsga2" else NSGA3(directions)
    minimize(problem, algorithm, NoTermination(), seed=seed)


def nsga2(folder: Path, seed: int, send: Callable[[Any], None]) -> None:
    evolved(folder, seed, send, "nsga2")


def nsga3(folder: Path, seed: int, send: Callable[[Any], None]) -> None:
    evolved(folder, seed, send, "nsga3")


OTHERS: dict[str, tuple[Callable[..., None], int]] = {
    "epsilon-constraint": (epsilon_constraint, 1),
    "nsga2": (nsga2, 2),
    "nsga3": (nsga3, 2),
}
"""Method -> (what runs in a process, processes side by side)."""


def in_process(work: Callable[..., None], folder: Path, seed: int, pipe: Any) -> None:
    """Send (seconds, f) of plans that none sent before dominates."""
    began = time.monotonic()
    best = np.zeros((0, 3))

    def send(f: np.ndarray) -> None:
        nonlocal best
        if not (best <= f).all(axis=1).any():
            best = np.vstack([best[~(best >= f).all(axis=1)], f])
            pipe.put((time.monotonic() - began, f))

    work(folder, seed, send)


def other(folder: Path, method: str, seconds: float, seed: int) -> Trace:
    """Run a method in processes of its own, which are killed at the limit."""
    work, count = OTHERS[method]
    trace, context = Trace(method), multiprocessing.get_context("spawn")
    pipe = context.Queue()
    workers = [
        context.Process(target=in_process, args=(work, folder, seed + i, pipe), daemon=True)
        for i in range(count)
    ]
    for worker in workers:
        worker.start()
    until = time.monotonic() + seconds
    while time.monotonic() < until and any(worker.is_alive() for worker in workers):
        try:
            trace.points.append(pipe.get(timeout=0.2))
        except queue.Empty:
            continue
    for worker in workers:
        worker.kill()
        worker.join()
    trace.points.sort(key=lambda found: found[0])
    count = len(trace.front_at(np.inf))
    trace.said = f"{count} plans" if count else f"no plan at all in {seconds:.0f} s"
    return trace


# ---------------------------------------------------------------------- measuring


@dataclass(frozen=True)
class Scale:
    """The box that hypervolumes are shares of."""

    ideal: np.ndarray
    reference: np.ndarray

    def share(self, f: np.ndarray) -> float:
        """Hypervolume of points (n, 3) below the reference."""
        inside = f[(f < self.reference).all(axis=1)]
        if not len(inside):
            return 0.0
        volume = hypervolume_interval(inside, (), (), self.reference).lower
        return float(volume / np.prod(self.reference - self.ideal))


def history(trace: Trace, scale: Scale, steps: int = 150) -> list[tuple[float, float]]:
    """(seconds, hypervolume), at times when something came."""
    times = np.unique([at for at, _ in trace.points])
    if len(times) > steps:
        times = times[np.unique(np.linspace(0, len(times) - 1, steps).round().astype(int))]
    return [(float(at), scale.share(trace.front_at(at))) for at in times]


def first_time(rows: list[tuple[float, float]], wanted: float) -> float | None:
    """Seconds to a hypervolume; None where it is not reached."""
    return next((at for at, share in rows if share >= wanted), None)


def picture(title: str, lines: dict[str, list[tuple[float, float]]], uppers: dict[str, Any]) -> str:
    """Hypervolume against time, as SVG."""
    width, height, left, right, top, bottom = 760, 440, 60, 590, 50, 390
    most = max(at for rows in (*lines.values(), *uppers.values()) for at, _ in rows)
    least = 1.0

    def x(at: float) -> float:
        share = np.log(max(at, least) / least) / np.log(most / least)
        return float(left + (right - left) * share)

    def y(share: float) -> float:
        return bottom - (bottom - top) * min(share, 1.0)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{left}" y="24" font-size="15" font-weight="bold">{title}</text>',
    ]
    for share in np.linspace(0.0, 1.0, 6):
        parts.append(_line(left, right, y(share), y(share), "#eee"))
        parts.append(
            f'<text x="{left - 8}" y="{y(share) + 4:.1f}" text-anchor="end">{share:.1f}</text>'
        )
    for at in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000):
        if at <= most:
            parts.append(_line(x(at), x(at), top, bottom, "#eee"))
            place = f'x="{x(at):.1f}" y="{bottom + 18}"'
            parts.append(f'<text {place} text-anchor="middle">{at} s</text>')
    for number, (method, rows) in enumerate(lines.items()):
        colour, place = COLOURS[method], top + 14 + 20 * number
        for found, style in ((rows, 'stroke-width="2"'), (uppers.get(method), DASHED)):
            path = [f"{x(at):.1f},{y(share):.1f}" for at, share in _stairs(found or [], most)]
            line = f'<polyline points="{" ".join(path)}" fill="none" stroke="{colour}" {style}/>'
            parts += [line] if path else []
        parts.append(_line(right + 14, right + 38, place - 4, place - 4, colour))
        parts.append(f'<text x="{right + 44}" y="{place}">{method}</text>')
    parts.append(
        f'<text x="{right + 14}" y="{top + 160}" fill="#555">dashed: proved upper</text>'
        f'<text x="{right + 14}" y="{top + 176}" fill="#555">end of the interval</text></svg>'
    )
    return "\n".join(parts)


def _line(x1: float, x2: float, y1: float, y2: float, colour: str) -> str:
    ends = f'x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}"/>'


def _stairs(rows: list[tuple[float, float]], end: float) -> list[tuple[float, float]]:
    """The same as steps, to the end of the picture."""
    found, before = [], None
    for at, share in rows:
        if before is not None:
            found.append((at, before))
        found.append((at, share))
        before = share
    return [*found, (end, before)] if before is not None else []


def main() -> None:
    """Run every method, one after the other, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("instance", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each method")
    parser.add_argument("--grid-seconds", type=float, help="of epsilon-constraint, if other")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", default=",".join([*METHODS, *OTHERS]))
    parser.add_argument("--output", type=Path, default=Path("docs/bench"))
    given = parser.parse_args()
    traces, scaled = {}, None
    for method in given.methods.split(","):
        if method in METHODS:
            trace, run = ours(given.instance, method, given.seconds, given.seed)
            enclosure = run.search.enclosure
            if enclosure is not None:
                scaled = scaled if scaled is not None else enclosure.reference
                volume = float(np.prod(enclosure.reference - as_minimised(run.front().ideal)))
                trace.upper = [(at, upper / volume) for at, upper in trace.upper]
        else:
            grid = method == "epsilon-constraint" and given.grid_seconds
            trace = other(given.instance, method, grid or given.seconds, given.seed)
        traces[method] = trace
        print(f"{method}: {trace.said}", flush=True)
    every = np.array([f for trace in traces.values() for _, f in trace.points])
    reference = every.max(axis=0) if scaled is None else scaled
    scale = Scale(np.minimum(every.min(axis=0), reference), reference)
    rows = {method: history(trace, scale) for method, trace in traces.items()}
    report(given.instance.name, traces, rows, scale, given.output)


def report(
    name: str,
    traces: dict[str, Trace],
    rows: dict[str, list[tuple[float, float]]],
    scale: Scale,
    folder: Path,
) -> None:
    """The table, the ratios, the CSV and the picture."""
    last = max(at for found in rows.values() for at, _ in found)
    times = [at for at in AT_S if at <= last + 5.0]
    print(f"\nhypervolume of {name}, share of the box below {scale.reference.round(4).tolist()}")
    print("| method | " + " | ".join(f"{at:.0f} s" for at in times) + " | end |")
    print("| --- |" + " --- |" * (len(times) + 1))
    for method, trace in traces.items():
        shares = [scale.share(trace.front_at(at)) for at in (*times, np.inf)]
        print(f"| {method} | " + " | ".join(f"{share:.4f}" for share in shares) + " |")
    for method in (m for m in traces if m in OTHERS and rows[m]):
        end = max(share for _, share in rows[method])
        at = first_time(rows[method], end)
        for mine in (m for m in traces if m in METHODS):
            reached = first_time(rows[mine], end)
            said = "not reached" if reached is None else f"{reached:.1f} s"
            if reached is not None and at is not None:
                said += f", {at / reached:.1f} times faster"
            print(f"{mine} to {end:.4f} ({method}: {at:.1f} s): {said}")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"front-{name}.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["method", "elapsed_s", "hypervolume_lower", "hypervolume_upper"])
        for method, trace in traces.items():
            uppers = list(trace.upper)
            for at, share in rows[method]:
                upper = [value for when, value in uppers if when <= at][-1:]
                said = [f"{value:.5f}" for value in upper] or [""]
                writer.writerow([method, f"{at:.2f}", f"{share:.5f}", *said])
    shown = {method: found for method, found in rows.items() if found}
    uppers = {method: trace.upper for method, trace in traces.items() if trace.upper}
    body = picture(f"{name}: hypervolume against time", shown, uppers)
    (folder / f"front-{name}.svg").write_text(body + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
