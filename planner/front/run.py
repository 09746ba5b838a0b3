"""A front run: an instance in, a run folder with a certified front out; kept at every step.

::

    runs/<name>-front-<timestamp>/
      front.json              the contract for programs; replaced in one step after every point
      request.json            target, limits, seed
      instance/               the instance as it was read
      plans/, cuts/, boxes/   checked plans and proofs, see `planner.front.store`

A kill at any moment leaves the last whole front.json; files of points and cuts that it does not
name yet are ignored.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.fleet.data import IntArray
from planner.answer.build import build_plan
from planner.answer.certificate import dual_prices
from planner.api import load
from planner.candidates import build_candidates
from planner.errors import InfeasibleError, PlannerError, RunError, SolverError
from planner.explain.bench import Bench
from planner.front import store
from planner.front.beginning import begun
from planner.front.certified import Certified, CertifiedOptions, Proposals
from planner.front.enclosure import (
    HYPERVOLUME_AGE_S,
    Enclosure,
    FoundBox,
    FoundCut,
    FoundPoint,
)
from planner.front.executor import chosen
from planner.front.front import (
    FILE_NAME,
    SEARCHED,
    STEP,
    BoxRecord,
    Corner,
    CutRecord,
    Front,
    FrontCertificate,
    FrontPoint,
    Hypervolume,
    as_minimised,
    as_objectives,
    known,
    known_width,
)
from planner.front.geometry import (
    Floats,
    cost_bounds,
    epsilons,
    hypervolume_interval,
    relative_gaps,
)
from planner.front.indicators import indicators
from planner.front.ranges import open_corners, ranges
from planner.front.store import BOXES, CUTS, PLANS
from planner.incumbent import incumbent_of
from planner.instance.copy import copy_instance
from planner.instance.facts import Facts
from planner.plan import InstanceRef
from planner.remedies import explaining
from planner.runs import INSTANCE, PLAN, REQUEST
from planner.solve.assignments import Case, Cases, VariantCut
from planner.solve.bound import Prices
from planner.solve.engine import EngineResult, unit_weights
from planner.solve.index import FleetIndex
from planner.solve.options import Progress
from planner.solve.solution import Solution
from planner.verify import verify_plan
from planner.verify.bound import statement
from planner.verify.ground import Ground

METHODS = ("certified", "evolve", "hybrid")
COPYING = ".instance"
"""Where the instance is copied to at first."""
WIDEST = 5
"""Corners listed where the enclosure is widest."""


@dataclass(frozen=True)
class FrontRequest:
    """What is asked of a front."""

    epsilon: float = 0.03
    gap: float = 0.02
    """median gap in cost"""
    hypervolume: float = 0.02
    """share of the hypervolume that may be missing; large fleets go on until then"""
    time_limit_s: float = 300.0
    workers: int = 2
    seed: int = 0
    scheduler: str | None = None
    """address of a Dask scheduler whose workers to use"""
    method: str = "hybrid"
    """``certified``: cuts and plans at the widest corners; ``evolve``: plans by evolution;
    ``hybrid``: both in turn"""

    @classmethod
    def is_stored(cls, path: Path) -> bool:
        """Whether a file is what `FrontRun` writes of a request."""
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return isinstance(stored, dict) and set(stored) >= {"epsilon", "workers", "method"}

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.epsilon < 1:
            problems.append(f"epsilon {self.epsilon!r}: a share of each range, e.g. 0.03")
        if not 0 < self.gap < 1:
            problems.append(f"gap {self.gap!r}: a share of a plan's cost, e.g. 0.02")
        if not 0 < self.hypervolume < 1:
            problems.append(f"hypervolume {self.hypervolume!r}: a share of it, e.g. 0.02")
        if not 0 < self.time_limit_s < math.inf:
            problems.append(f"time limit {self.time_limit_s!r}: seconds above 0")
        if self.workers < 1:
            problems.append(f"workers {self.workers!r}: at least 1")
        if self.method not in METHODS:
            problems.append(f"method {self.method!r}: one of {', '.join(METHODS)}")
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
    hypervolume: Hypervolume


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
        on_search: Callable[[Progress], None] | None = None,
    ) -> None:
        self.began = time.monotonic()
        self.request, self.folder, self.on_progress = request, folder, on_progress
        self.facts = instance if isinstance(instance, Facts) else load(instance)
        self.incumbent = incumbent_of(self.facts)
        if not resume:
            self._open_folder()
        with self._folder_gone_where_impossible():
            known = self._begin(on_search)
        self.ground = Ground(self.facts, self.incumbent)
        self.index = FleetIndex.build(self.candidates.data)
        self.timings = {"prepare": time.monotonic() - self.began}
        self.before_s, self.before_solves = 0.0, 0
        self.cost_cases = _nothing_proved(self.index)
        data = self.candidates.data
        self.search = Certified(
            self.index,
            CertifiedOptions(
                request.epsilon, request.gap, request.hypervolume, request.time_limit_s
            ),
            lambda: chosen(data, self.index, request.workers, request.scheduler),
            self._accept,
            self._keep_cut,
            self._keep_box,
            self._checkpoint,
            began=self.began,
            proposals=self._proposals(),
            known=known,
        )
        if resume:
            self._read_back()

    def _begin(self, on_search: Callable[[Progress], None] | None) -> list[Solution]:
        """Candidates on the grid of the front, and the plans on them to begin from."""
        with explaining(self.facts):
            self.candidates = build_candidates(self.facts)
        if _is_unfinished(self.folder):
            limit_s, threads = self.request.time_limit_s, self.request.workers
            grid, plans = begun(self.facts, self.candidates, limit_s, threads, on_search)
        else:
            grid, plans = Front.read(self.folder).grid, ()
        if grid is not None:
            self.facts = dataclasses.replace(self.facts, grid=grid)
            self.candidates = build_candidates(self.facts)
        bench = Bench(self.facts, self.incumbent, "cost", None, self.candidates)
        carried = [bench.carry(plan) for plan in plans]
        return [pair[0] for pair in carried if pair is not None]

    @contextmanager
    def _folder_gone_where_impossible(self) -> Iterator[None]:
        try:
            yield
        except InfeasibleError:
            if _is_unfinished(self.folder):
                shutil.rmtree(self.folder)
            raise

    def run(self) -> Front:
        """Search, then write the final front. InfeasibleError where no plan is possible, and the
        folder is gone; SolverError where none was found, and the folder can be resumed."""
        try:
            with self._folder_gone_where_impossible():
                self.search.run()
        except SolverError as error:
            raise SolverError(f"{error}; go on with --resume {self.folder}") from error
        return self._write(final=True)

    def stop(self) -> None:
        """Ask the search to end at the next step; what is held is kept."""
        self.search.stop.set()

    def _proposals(self) -> Proposals | None:
        if self.request.method == "certified":
            return None
        from planner.front.evolve import Evolution, share_of

        share = share_of(self.request.method, self.index)
        return Evolution(self.index, share, self.request.seed)

    # ------------------------------------------------------------------ the folder

    def _open_folder(self) -> None:
        """Make the folder; one that a run left before its first front.json is made anew."""
        folder = self.folder
        if folder.exists() and any(folder.iterdir()):
            if not _is_unfinished(folder):
                raise RunError(f"{folder} is not empty: name another with --output, or --resume it")
            _clear(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._write_request()
            for name in (PLANS, CUTS, BOXES):
                (folder / name).mkdir()
            settings = self.facts.instance.settings
            # Beside its place first: a folder that has an instance has all of it.
            copy_instance(Path(self.facts.instance.folder), folder / COPYING, settings.incumbent)
            (folder / COPYING).replace(folder / INSTANCE)
        except OSError as error:
            raise RunError(f"cannot write {folder}: {error.strerror or error}") from error

    def _write_request(self) -> None:
        body = json.dumps(dataclasses.asdict(self.request), indent=1)
        store.replace(self.folder / REQUEST, body.encode())

    def _read_back(self) -> None:
        """Points and cuts of the folder's front into the search; all begins anew where it was
        stopped before there were any."""
        if _is_unfinished(self.folder):
            _clear(self.folder, keep=(INSTANCE,))
            for name in (PLANS, CUTS, BOXES):
                (self.folder / name).mkdir()
            self._write_request()
            return
        front = Front.read(self.folder)
        if front.instance.sha256 != self.facts.instance.sha256:
            raise RunError(f"{self.folder} is a front of another instance")
        points = []
        for point in front.points:
            solution, routes = store.load_point(self.folder / PLANS / point.id)
            f = as_minimised(point.objectives)
            points.append(FoundPoint(point.id, f, solution, point.found_by, routes))
        certificate = front.certificate
        names = [Path(row.proof).stem for row in certificate.cuts]
        cuts = [store.load_cut(self.folder / CUTS, name) for name in names]
        boxes = [self._box_of(i, row) for i, row in enumerate(certificate.boxes)]
        for cut in cuts:
            self._note_cost_cut(cut)
        search = self.search
        reference = as_minimised(certificate.hypervolume.reference)
        search.enclosure = Enclosure(self.index, reference, points, cuts, boxes)
        search.numbered = _most(self.folder / PLANS)
        search.numbered_cuts = _most(self.folder / CUTS)
        search.numbered_boxes = _most(self.folder / BOXES) + len(boxes)
        self.before_s, self.before_solves = front.elapsed_s, front.solves
        self._write_request()

    def _box_of(self, number: int, row: BoxRecord) -> FoundBox:
        if row.proof != SEARCHED:
            return store.load_box(self.folder / BOXES, Path(row.proof).stem)
        carbon, loss = row.upper[1:]
        assert carbon is not None and loss is not None and row.level is not None
        found = FoundBox.searched(np.array([row.level, carbon, loss]))
        return dataclasses.replace(found, id=f"s{number:04d}")

    def _accept(
        self, solution: Solution, routes: IntArray, name: str, found_by: str
    ) -> Floats | None:
        """Build the plan, check it, and only then write it; None where the check fails."""
        value = float(solution.totals[0])
        result = EngineResult(
            solution=solution,
            index=self.index,
            value=value,
            bound=max(min(self.cost_cases.bound, value), 0.0),
            status="limit",
            prices=self.cost_cases.cuts[0].prices,
            cases=self.cost_cases,
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
        store.replace(place / PLAN, plan.to_json().encode())
        store.save_point(place, solution, routes)
        return as_minimised(plan.objectives)

    def _keep_cut(self, found: FoundCut) -> FoundCut:
        """Store the prices; the cut says no more than the independent checker proves from them."""
        stored = dual_prices(self.facts, self.candidates, self.index, found.prices)
        said = statement(self.ground, stored)
        proved = np.array([said.worth[name] for name in self.index.data.variants])
        kept = found.at_most(self.index, said.rest, proved)
        store.save_cut(self.folder / CUTS, kept, stored)
        self._note_cost_cut(kept)
        return kept

    def _keep_box(self, found: FoundBox) -> None:
        store.save_box(self.folder / BOXES, found, self.index.data.variants)

    def _note_cost_cut(self, found: FoundCut) -> None:
        """The best bound on cost alone, and its prices: what the plans are explained with."""
        weights = found.weights
        if weights[0] > 0 and not weights[1:].any():
            unit = 1.0 / float(weights[0])
            cut = VariantCut(unit * found.rest, unit * found.worth, found.prices.scaled(unit))
            if unit * found.level > self.cost_cases.bound:
                case = Case(np.isfinite(cut.worth), np.ones(1), unit * found.level)
                self.cost_cases = Cases((cut,), (case,))

    def _checkpoint(self) -> None:
        if self.search.enclosure is not None and self.search.enclosure.points:
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
                    certificate.hypervolume,
                )
            )
        return front

    def front(self, *, final: bool = True) -> Front:
        """The points and what is proved now. The upper hypervolume may be some seconds old."""
        search, enclosure = self.search, self.search.enclosure
        assert enclosure is not None
        points, cuts, boxes = enclosure.listed(), enclosure.plain_cuts(), enclosure.plain_boxes()
        f = np.array([point.f for point in points])
        ideal, nadir = f.min(axis=0), f.max(axis=0)
        corners, steps = open_corners(f, enclosure.reference)
        width = epsilons(corners, cuts, boxes, steps)
        epsilon = known_width(float(width.max()))
        bounds = np.minimum(cost_bounds(f, cuts, boxes), f[:, 0])
        gaps = relative_gaps(f, bounds)
        beyond = f - STEP * ranges(ideal, nadir) * (0.0, 1.0, 1.0)
        stepped = relative_gaps(f, cost_bounds(beyond, cuts, boxes))
        hypervolume = self._hypervolume(f, enclosure, final=final)
        widest = np.argsort(-width, kind="stable")[:WIDEST]
        elapsed = self.before_s + time.monotonic() - self.began
        quality = indicators(f, ideal, enclosure.reference)
        return Front(
            grid=self.facts.grid,
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
                method=self.request.method,
                complete=epsilon is not None and epsilon <= self.request.epsilon,
                epsilon=epsilon,
                cost_gap_relative_median=known(float(np.median(gaps))),
                cost_gap_relative_max=known(float(gaps.max())),
                hypervolume=hypervolume,
                cuts=tuple(
                    CutRecord(
                        tuple(float(w) for w in found.weights),
                        found.level,
                        f"{CUTS}/{found.id}.npz",
                    )
                    for found in enclosure.cuts
                ),
                boxes=tuple(
                    BoxRecord(
                        (None, float(found.corner[1]), float(found.corner[2])),
                        0,
                        float(found.corner[0]),
                        f"{BOXES}/{found.id}.npz" if found.cuts else SEARCHED,
                    )
                    for found in enclosure.boxes
                ),
                widest=tuple(Corner.of(corners[i], float(width[i])) for i in widest),
                cost_gap_relative_median_beyond_step=known(float(np.median(stepped))),
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

    def _hypervolume(self, f: Floats, enclosure: Enclosure, *, final: bool) -> Hypervolume:
        """The interval; while the search runs the upper end may be some seconds old."""
        upper = enclosure.hypervolume(0.0 if final else HYPERVOLUME_AGE_S).upper
        lower = hypervolume_interval(f, (), (), enclosure.reference).lower
        return Hypervolume(lower, known(upper), as_objectives(enclosure.reference))


def _nothing_proved(index: FleetIndex) -> Cases:
    """Of cost: that it is not negative."""
    prices = Prices.zero(index, unit_weights("cost"))
    cut = VariantCut(0.0, np.zeros(len(index.data.variants)), prices)
    return Cases((cut,), (Case(np.isfinite(cut.worth), np.ones(1), 0.0),))


def _is_unfinished(folder: Path) -> bool:
    """Whether a front run began here and was stopped before its first front.json."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    drafts = {name for name in names if name.startswith(".")}
    ours = REQUEST in names and names - drafts <= {PLANS, CUTS, BOXES, REQUEST, INSTANCE}
    return ours and FrontRequest.is_stored(folder / REQUEST)


def _clear(folder: Path, keep: Collection[str] = ()) -> None:
    """Remove what a stopped run left in its folder."""
    for path in folder.iterdir():
        if path.name not in keep:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _most(folder: Path) -> int:
    """The largest number in the names of the files or folders there, as in ``p0012``."""
    names = [path.name.partition(".")[0][1:] for path in folder.iterdir()]
    return max((int(name) for name in names if name.isdigit()), default=0)


__all__ = ["FILE_NAME", "FrontListener", "FrontProgress", "FrontRequest", "FrontRun"]
