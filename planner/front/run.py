"""A front run: an instance in, a run folder with a certified front out; kept at every step.

::

    runs/<name>-front-<timestamp>/
      front.json              the contract for programs; replaced in one step after every point
      request.json            target, limits, seed
      instance/               the instance as it was read
      plans/p0001/plan.json   a checked plan
      plans/p0001/solution.npz  the same in the program's own numbers, for `--resume`
      cuts/c0001.npz          the dual prices that prove a cut

A kill at any moment leaves the last whole front.json; files of points and cuts that it does not
name yet are ignored.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from planner.answer import build_plan
from planner.answer.certificate import dual_prices
from planner.api import incumbent_of, load
from planner.candidates import build_candidates
from planner.errors import PlannerError, RunError
from planner.front.certified import LEAST_RANGE, CertifiedOptions, Enclosure, FoundCut, FoundPoint
from planner.front.front import (
    FILE_NAME,
    Corner,
    CutRecord,
    Front,
    FrontCertificate,
    FrontPoint,
    Hypervolume,
    as_minimised,
    as_objectives,
    known,
)
from planner.front.geometry import (
    Floats,
    cost_bounds,
    epsilons,
    hypervolume_interval,
    local_upper_bounds,
    relative_gaps,
)
from planner.front.indicators import indicators
from planner.instance.facts import Facts
from planner.plan import InstanceRef
from planner.runs import INSTANCE, PLAN, REQUEST, copy_instance
from planner.solve.bound import Prices
from planner.solve.engine import EngineResult, unit_weights
from planner.solve.index import FleetIndex
from planner.solve.solution import Solution
from planner.verify import verify_bound, verify_plan

PLANS, CUTS, SOLUTION = "plans", "cuts", "solution.npz"
METHOD = "certified"
WIDEST = 5
"""Corners listed where the enclosure is widest."""
HYPERVOLUME_EVERY_S = 5.0
"""Least time between two computations of the upper hypervolume while the search runs."""


@dataclass(frozen=True)
class FrontRequest:
    """What is asked of a front."""

    epsilon: float = 0.03
    time_limit_s: float = 300.0
    workers: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.epsilon < 1:
            problems.append(f"epsilon {self.epsilon!r}: a share of each range, e.g. 0.03")
        if not 0 < self.time_limit_s < math.inf:
            problems.append(f"time limit {self.time_limit_s!r}: seconds above 0")
        if self.workers < 1:
            problems.append(f"workers {self.workers!r}: at least 1")
        if problems:
            raise PlannerError("; ".join(problems))


@dataclass(frozen=True)
class FrontProgress:
    """One line of live progress; None where not known yet."""

    elapsed_s: float
    left_s: float
    points: int
    cuts: int
    epsilon: float | None
    hypervolume_lower: float | None
    hypervolume_upper: float | None


FrontListener = Callable[[FrontProgress], None]


class FrontRun:
    """One run into one folder; `run` searches, `stop` ends it early, `front` is what is held."""

    def __init__(
        self,
        instance: Facts | str | Path,
        request: FrontRequest,
        folder: Path,
        *,
        resume: bool = False,
        on_progress: FrontListener | None = None,
    ) -> None:
        self.began = time.monotonic()
        self.request, self.folder, self.on_progress = request, folder, on_progress
        self.facts = instance if isinstance(instance, Facts) else load(instance)
        self.incumbent = incumbent_of(self.facts)
        self.candidates = build_candidates(self.facts)
        self.index = FleetIndex.build(self.candidates.data)
        self.timings = {"prepare": time.monotonic() - self.began}
        self.before_s, self.before_solves = 0.0, 0
        self.upper: tuple[float, float | None] = (-math.inf, None)
        self.cost_bound = -math.inf
        options = CertifiedOptions(
            request.epsilon, request.time_limit_s, request.workers, request.seed
        )
        self.search = Enclosure(
            self.index, options, self._accept, self._keep_cut, self._checkpoint, began=self.began
        )
        if resume:
            self._read_back()
        else:
            self._open_folder()

    def run(self) -> Front:
        """Search, then write the final front; SolverError where no end of it could be found."""
        self.search.run()
        return self._write(final=True)

    def stop(self) -> None:
        """Ask the search to end at the next step; what is held is kept."""
        self.search.stop.set()

    # ------------------------------------------------------------------ the folder

    def _open_folder(self) -> None:
        folder = self.folder
        if folder.exists() and any(folder.iterdir()):
            raise RunError(f"{folder} is not empty: name another with --output, or --resume it")
        try:
            (folder / PLANS).mkdir(parents=True)
            (folder / CUTS).mkdir()
            settings = self.facts.instance.settings
            copy_instance(Path(self.facts.instance.folder), folder / INSTANCE, settings.incumbent)
            body = json.dumps(dataclasses.asdict(self.request), indent=1)
            (folder / REQUEST).write_text(body, encoding="utf-8")
        except OSError as error:
            raise RunError(f"cannot write {folder}: {error.strerror or error}") from error

    def _read_back(self) -> None:
        """Points and cuts of the folder's front into the search."""
        front = Front.read(self.folder)
        if front.instance.sha256 != self.facts.instance.sha256:
            raise RunError(f"{self.folder} is a front of another instance")
        search = self.search
        for point in front.points:
            solution = _load_solution(self.folder / PLANS / point.id / SOLUTION)
            f = as_minimised(point.objectives)
            search.points.append(FoundPoint(point.id, f, solution, point.found_by))
        for row in front.certificate.cuts:
            search.cuts.append(FoundCut(Path(row.proof).stem, row.as_cut(), None))
        stored = [int(p.name[1:]) for p in (self.folder / PLANS).iterdir() if p.name[1:].isdigit()]
        search.numbered = max(stored, default=0)
        proofs = [int(p.stem[1:]) for p in (self.folder / CUTS).glob("c*.npz")]
        search.numbered_cuts = max(proofs, default=0)
        search.reference = as_minimised(front.certificate.hypervolume.reference)
        search.ranges = np.maximum(front.ranges, LEAST_RANGE)
        cost_cuts = [c for c in front.certificate.cuts if not any(c.weights[1:])]
        self.cost_bound = max((c.level / c.weights[0] for c in cost_cuts), default=-math.inf)
        self.before_s, self.before_solves = front.elapsed_s, front.solves

    def _accept(self, solution: Solution, name: str, found_by: str) -> Floats | None:
        """Build the plan, check it, and only then write it; None where the check fails."""
        value = float(solution.totals[0])
        result = EngineResult(
            solution=solution,
            index=self.index,
            value=value,
            bound=max(min(self.cost_bound, value), 0.0),
            proof="dual prices",
            status="limit",
            prices=self.cost_prices,
            timings={},
            trace=(),
        )
        plan = build_plan(self.facts, self.candidates, result, "cost")
        report = verify_plan(self.facts, plan, self.incumbent)
        if not report.ok:
            self.search.failures += [v.message for v in report.violations[:3]]
            return None
        place = self.folder / PLANS / name
        place.mkdir(exist_ok=True)
        _replace(place / PLAN, plan.to_json().encode())
        _save_solution(place / SOLUTION, solution)
        return as_minimised(plan.objectives)

    def _keep_cut(self, found: FoundCut) -> float:
        """Store the prices; the level is no more than the independent checker proves from them."""
        assert found.prices is not None
        stored = dual_prices(self.facts, self.candidates, self.index, found.prices)
        stored.save(self.folder / CUTS / f"{found.id}.npz")
        weights = found.cut.weights
        level = min(found.cut.level, verify_bound(self.facts, stored, self.incumbent))
        if weights[0] > 0 and not weights[1:].any() and level / weights[0] > self.cost_bound:
            self.cost_bound, self._cost_prices = level / weights[0], found.prices
        return level

    @property
    def cost_prices(self) -> Prices:
        """Prices that say what things are worth where cost alone is minimised."""
        prices: Prices = getattr(self, "_cost_prices", None) or Prices.zero(
            self.index, unit_weights("cost")
        )
        return prices

    def _checkpoint(self, search: Enclosure) -> None:
        if search.reference is not None:
            self._write(final=False)

    # ------------------------------------------------------------------ the front

    def _write(self, *, final: bool) -> Front:
        front = self.front(final=final)
        front.write(self.folder)
        if self.on_progress is not None:
            certificate = front.certificate
            self.on_progress(
                FrontProgress(
                    front.elapsed_s,
                    max(self.request.time_limit_s - (time.monotonic() - self.began), 0.0),
                    len(front.points),
                    len(certificate.cuts),
                    certificate.epsilon,
                    certificate.hypervolume.lower,
                    certificate.hypervolume.upper,
                )
            )
        return front

    def front(self, *, final: bool = True) -> Front:
        """The points and what is proved now. The upper hypervolume may be some seconds old."""
        search = self.search
        assert search.reference is not None
        points, cuts = search.listed(), [found.cut for found in search.cuts]
        f = np.array([point.f for point in points])
        ideal, nadir = f.min(axis=0), f.max(axis=0)
        ranges = search.span()
        corners = local_upper_bounds(f, search.reference)
        width = epsilons(corners, cuts, (), ranges)
        epsilon = max(float(width.max(initial=0.0)), 0.0)
        bounds = np.minimum(cost_bounds(f, cuts), f[:, 0])
        gaps = relative_gaps(f, bounds)
        hypervolume = self._hypervolume(f, search.reference, final=final)
        widest = np.argsort(-width, kind="stable")[:WIDEST]
        elapsed = self.before_s + time.monotonic() - self.began
        quality = indicators(f, ideal, search.reference)
        return Front(
            instance=InstanceRef(self.facts.instance.settings.name, self.facts.instance.sha256),
            ideal=as_objectives(ideal),
            nadir=as_objectives(nadir),
            points=tuple(
                FrontPoint(
                    point.id,
                    float(point.f[0]),
                    float(point.f[1]),
                    1.0 - float(point.f[2]),
                    cost_bound_usd=known(float(bound)),
                    cost_gap_relative=known(float(gap)),
                    status="limit" if math.isfinite(bound) else "unproved",
                    found_by=point.found_by,
                    plan=f"{PLANS}/{point.id}/{PLAN}",
                )
                for point, bound, gap in zip(points, bounds, gaps, strict=True)
            ),
            certificate=FrontCertificate(
                method=METHOD,
                complete=epsilon <= self.request.epsilon,
                epsilon=known(epsilon),
                cost_gap_relative_median=known(float(np.median(gaps))),
                cost_gap_relative_max=known(float(gaps.max())),
                hypervolume=hypervolume,
                cuts=tuple(
                    CutRecord(
                        tuple(float(w) for w in found.cut.weights),
                        found.cut.level,
                        f"{CUTS}/{found.id}.npz",
                    )
                    for found in search.cuts
                ),
                boxes=(),
                widest=tuple(Corner.of(corners[i], float(width[i])) for i in widest),
            ),
            solves=self.before_solves + search.solves,
            elapsed_s=elapsed,
            timings={**self.timings, **search.timings},
            seed=self.request.seed,
            indicators={
                "hypervolume_share": quality.hypervolume,
                "spread": quality.spread,
                "rejected_by_check": float(search.rejected),
                "solver_failures": float(len(search.failures)),
            },
        )

    def _hypervolume(self, f: Floats, reference: Floats, *, final: bool) -> Hypervolume:
        """The interval; while the search runs the upper end is computed now and then only."""
        now, (at, upper) = time.monotonic(), self.upper
        cuts = [found.cut for found in self.search.cuts]
        if final or now - at >= HYPERVOLUME_EVERY_S:
            upper = known(hypervolume_interval(f, cuts, (), reference).upper)
            self.upper = (time.monotonic(), upper)
        lower = hypervolume_interval(f, (), (), reference).lower
        return Hypervolume(lower, upper, as_objectives(reference))


def _replace(path: Path, content: bytes) -> None:
    """Write beside, then rename: a kill leaves no half file."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)


def _save_solution(path: Path, solution: Solution) -> None:
    arrays = {f.name: getattr(solution, f.name) for f in dataclasses.fields(Solution)}
    draft = path.with_name(f".{os.getpid()}-{path.name}")
    with draft.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)
    draft.replace(path)


def _load_solution(path: Path) -> Solution:
    try:
        with np.load(path, allow_pickle=False) as file:
            return Solution(**{f.name: file[f.name] for f in dataclasses.fields(Solution)})
    except (OSError, KeyError, ValueError) as error:
        raise RunError(f"{path} cannot be resumed from: {error}") from error


__all__ = ["FILE_NAME", "FrontListener", "FrontProgress", "FrontRequest", "FrontRun"]
