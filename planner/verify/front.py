"""A front run re-proved: plans, cuts and every figure of the certificate, without a solver.

Nothing of the search is used: the plans are checked like any plan, the cuts follow again from their
stored dual prices, and width, gaps and volumes are computed here from points and cuts alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import PlannerError, RunError
from planner.incumbent import Incumbent
from planner.instance.facts import Facts
from planner.plan import Plan
from planner.verify.bound import level
from planner.verify.case import Case
from planner.verify.check import check_decisions
from planner.verify.front_proofs import Row, Statements, least_cost
from planner.verify.report import Violation
from planner.verify.totals import check_totals

Array = NDArray[np.float64]

SEARCHED = "branch and bound"
"""What a box says that rests on a solver."""
SAMPLE = 5
"""Cuts, and boxes, re-proved unless all are asked for."""
TOLERANCE = 1e-6
"""Relative, between two implementations' arithmetic."""
NEGLIGIBLE, LEAST_SIZE = 1e-5, 1e-6
"""Share of an objective's size below which its range is rounding, and width that is none; least
size, USD or kgCO2e."""
CELLS = 40
"""Per axis, for the volume that the cuts leave for certain."""


@dataclass(frozen=True)
class FrontReport:
    """What the check of a front run found."""

    violations: tuple[Violation, ...]
    points: int
    cuts: int
    cuts_reproved: tuple[str, ...]
    boxes: int
    boxes_reproved: tuple[str, ...]
    boxes_searched: int
    """boxes that rest on a solver's branch and bound"""
    epsilon: float
    """recomputed; inf where nothing is proved"""

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.violations

    def lines(self) -> list[str]:
        """The verdict first, then every violation."""
        verdict = "front holds" if self.ok else "front fails"
        first = (
            f"{verdict}: {self.points} plans checked, {len(self.cuts_reproved)} of {self.cuts} "
            f"cuts and {len(self.boxes_reproved)} of {self.boxes} boxes re-proved; no plan beats "
            f"them by more than {self.epsilon:.2%} of each range"
        )
        if self.boxes_searched:
            first += (
                f"; {self.boxes_searched} boxes rest on branch and bound, which is not repeated "
                "here: --sample N tries to beat them by independent solves"
            )
        return [first, *(f"  {v.rule}, {v.subject}: {v.message}" for v in self.violations)]


class _Findings:
    def __init__(self) -> None:
        self.found: list[Violation] = []

    def add(self, rule: str, subject: str, expected: object, found: object, message: str) -> None:
        self.found.append(Violation(rule, subject, str(expected), str(found), message))

    def near(self, rule: str, subject: str, expected: float, found: float | None) -> None:
        """A violation unless `found` is `expected` up to rounding; None stands for infinite."""
        value = np.inf if found is None else float(found)
        if np.isinf(expected) and np.isinf(value):
            return
        if not abs(value - expected) <= TOLERANCE * max(1.0, abs(expected)):
            text = f"{value:.9g} stated, {expected:.9g} recomputed"
            self.add(rule, subject, expected, found, text)


def verify_front(
    folder: Path,
    facts: Facts,
    incumbent: Incumbent | None = None,
    *,
    sample: int | None = SAMPLE,
    seed: int = 0,
) -> FrontReport:
    """Check the front run in `folder` against the instance's `facts`.

    `sample` cuts and boxes, drawn by `seed`, are re-proved from their prices; None: all. RunError
    where the folder cannot be read; a wrong front is a report with violations.
    """
    front = _read(folder / "front.json")
    findings = _Findings()
    try:
        points = _points(front)
        certificate = front["certificate"]
        weights = np.array([row["weights"] for row in certificate["cuts"]], float).reshape(-1, 3)
        levels = np.array([row["level"] for row in certificate["cuts"]], dtype=float)
        stated = certificate["hypervolume"]["reference"]
        reference = np.array([stated["cost_usd"], stated["carbon_kgco2e"], 1.0 - stated["qoe"]])
        boxes = _boxes(certificate)
        outside = Outside(weights, levels, boxes)
        _check_plans(front, folder, facts, incumbent, findings)
        _check_points(front, points, findings)
        _check_sides(points, outside, findings)
        epsilon = _check_width(front, points, outside, reference, findings)
        _check_gaps(front, points, outside, findings)
        _check_volume(certificate, points, outside, reference, findings)
        _check_target(folder, certificate, epsilon, findings)
        rng = np.random.default_rng(seed)
        said = Statements(folder, facts, incumbent)
        cuts = _drawn(certificate["cuts"], sample, rng)
        for row in cuts:
            _check_cut(row, said, findings)
        stored = [row for row in certificate["boxes"] if row["proof"] != SEARCHED]
        drawn = _drawn(stored, sample, rng)
        for row in drawn:
            _check_box(row, said, findings)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise RunError(f"{folder / 'front.json'} is damaged: {error!r}") from error
    return FrontReport(
        tuple(findings.found),
        len(points),
        len(levels),
        tuple(str(row["proof"]) for row in cuts),
        len(boxes),
        tuple(str(row["proof"]) for row in drawn),
        len(boxes) - len(stored),
        epsilon,
    )


@dataclass(frozen=True, eq=False)
class Outside:
    """What is stated of all plans: ``weights . f >= levels``, and of those with carbon and loss
    of no more than a box's that they cost at least as much as it says."""

    weights: Array
    """float (K, 3)"""
    levels: Array
    """float (K,)"""
    boxes: Array
    """float (B, 3) least cost, carbon, loss"""


def _boxes(certificate: Row) -> Array:
    """float (B, 3); ValueError where a box is of another form."""
    rows = certificate["boxes"]
    if any(row["coordinate"] != 0 or row["upper"][0] is not None for row in rows):
        raise ValueError("a box bounds something other than cost")
    found = [(row["level"], row["upper"][1], row["upper"][2]) for row in rows]
    return np.array(found, dtype=float).reshape(-1, 3)


def _drawn(rows: Sequence[Row], sample: int | None, rng: np.random.Generator) -> list[Row]:
    """A sample of them in their order; all where `sample` is None."""
    order = rng.permutation(len(rows))[: len(rows) if sample is None else sample]
    return [rows[i] for i in np.sort(order)]


def _read(path: Path) -> Mapping[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}") from error
    if not isinstance(data, dict):
        raise RunError(f"{path} is not a front")
    return data


def _points(front: Mapping[str, Any]) -> Array:
    """float (n, 3) cost, carbon, QoE lost."""
    rows = [(p["cost_usd"], p["carbon_kgco2e"], 1.0 - p["qoe"]) for p in front["points"]]
    return np.array(rows, dtype=float).reshape(-1, 3)


# ------------------------------------------------------------------ inside


def _check_plans(
    front: Mapping[str, Any],
    folder: Path,
    facts: Facts,
    incumbent: Incumbent | None,
    findings: _Findings,
) -> None:
    """Every plan obeys every rule and has the objectives that its point states."""
    for row in front["points"]:
        name, path = row["id"], (folder / row["plan"]).resolve()
        if not path.is_relative_to(folder.resolve()):
            findings.add("plan", name, folder, path, "the plan lies outside the run folder")
            continue
        try:
            case = Case(facts, Plan.read(path), incumbent)
        except PlannerError as error:
            findings.add("plan", name, "a plan", "none", str(error))
            continue
        check_decisions(case)
        _, objectives, _ = check_totals(case)
        for violation in case.findings.all():
            findings.add(violation.rule, name, "", "", violation.message)
        for what in ("cost_usd", "carbon_kgco2e", "qoe"):
            findings.near("point", f"{name} {what}", getattr(objectives, what), row[what])


def _check_points(front: Mapping[str, Any], points: Array, findings: _Findings) -> None:
    """No point dominates another, and ideal and nadir are their best and worst."""
    names = [row["id"] for row in front["points"]]
    for i, name in enumerate(names):
        over = np.flatnonzero((points <= points[i]).all(axis=1))
        for other in over[over != i]:
            text = f"{names[other]} is at least as good in everything"
            findings.add("non-dominance", name, "not dominated", names[other], text)
    for what, values in (("ideal", points.min(axis=0)), ("nadir", points.max(axis=0))):
        stated = front[what]
        for key, value in zip(
            ("cost_usd", "carbon_kgco2e", "qoe"),
            (values[0], values[1], 1.0 - values[2]),
            strict=True,
        ):
            findings.near(what, key, float(value), stated[key])


# ------------------------------------------------------------------ outside


def _check_cut(row: Row, said: Statements, findings: _Findings) -> None:
    """The stored prices prove the cut as it is stated."""
    name = str(row["proof"])
    try:
        weights, found = said.of(name)
    except PlannerError as error:
        findings.add("cut", name, "prices that prove", "none", str(error))
        return
    proved = level(said.facts, found)
    if not np.array_equal(weights, [*row["weights"], 0.0]):
        text = f"the prices are for weights {weights}, not {row['weights']}"
        findings.add("cut", name, row["weights"], weights, text)
    if row["level"] > proved + TOLERANCE * max(abs(proved), 1e-12):
        text = f"level {row['level']:.9g} stated, the prices prove {proved:.9g}"
        findings.add("cut", name, f"at most {proved:.9g}", row["level"], text)


def _check_box(row: Row, said: Statements, findings: _Findings) -> None:
    """Every assignment of variants is in some case, and each case proves the box."""
    name = str(row["proof"])
    try:
        least = least_cost(row, said)
    except (PlannerError, KeyError, ValueError) as error:
        findings.add("box", name, "cases that prove", "none", str(error))
        return
    if row["level"] > least + TOLERANCE * abs(least):
        text = f"cost of {row['level']:.9g} stated, the cases prove {least:.9g}"
        findings.add("box", name, f"at most {least:.9g}", row["level"], text)


def _check_sides(points: Array, outside: Outside, findings: _Findings) -> None:
    """Cuts are cuts, and no plan lies outside of one, or in a box: both cannot be right."""
    weights, levels = outside.weights, outside.levels
    if not (np.isfinite(weights).all() and np.isfinite(levels).all() and (weights >= 0).all()):
        findings.add("cut", "weights", "finite, >= 0", "others", "weights or levels are no cut")
    scale = points @ weights.T
    beyond = scale < levels - TOLERANCE * np.abs(levels)
    for i, j in zip(*np.nonzero(beyond), strict=True):
        text = f"point {i + 1} lies outside cut {j + 1}: {scale[i, j]:.9g} < {levels[j]:.9g}"
        findings.add("enclosure", f"point {i + 1}", levels[j], scale[i, j], text)
    for number, (cost, carbon, loss) in enumerate(outside.boxes, start=1):
        slack = TOLERANCE * abs(cost)
        inside = (points[:, 1:] <= (carbon, loss)).all(axis=1) & (points[:, 0] < cost - slack)
        for i in np.flatnonzero(inside):
            text = f"point {i + 1} lies in box {number}: cost {points[i, 0]:.9g} < {cost:.9g}"
            findings.add("enclosure", f"point {i + 1}", cost, points[i, 0], text)


# ------------------------------------------------------------------ between


def uncovered_corners(points: Array, reference: Array) -> Array:
    """(k, 3) maximal corners u such that no point is strictly below u in all, u <= reference.

    Each point splits the corners it is strictly below; corners inside another are dropped.
    """
    corners = reference[None, :].copy()
    for point in points:
        hit = (point < corners).all(axis=1)
        if not hit.any():
            continue
        parts = [corners[~hit]]
        for axis in range(len(reference)):
            split = corners[hit].copy()
            split[:, axis] = point[axis]
            parts.append(split)
        every = np.unique(np.concatenate(parts), axis=0)
        # Corners are distinct here, so each lies inside itself and a maximal one in no other.
        holders = np.all(every[:, None, :] <= every[None, :, :], axis=2).sum(axis=1)
        corners = every[holders == 1]
    return corners


def _check_width(
    front: Row, points: Array, outside: Outside, reference: Array, findings: _Findings
) -> float:
    """Epsilon: below u - t R every plan would break a cut w.f >= L once t > (w.u - L) / w.R, and
    be in a box once t is above the largest of (u - box) / R. Less than rounding is 0; a whole range
    or more says nothing."""
    epsilon = max(_depth(*line, outside) for line in _lines(points, reference))
    epsilon = epsilon if epsilon > NEGLIGIBLE else 0.0
    epsilon = epsilon if epsilon < 1.0 else np.inf
    findings.near("certificate", "epsilon", epsilon, front["certificate"]["epsilon"])
    return epsilon


def _ranges(points: Array) -> tuple[Array, Array]:
    """(3,) ranges, 0 where they are rounding, and (3,) sizes: of QoE, 1."""
    size = np.maximum(np.abs(points.max(axis=0)), LEAST_SIZE)
    size[2] = 1.0
    between = np.ptp(points, axis=0)
    return np.where(between > NEGLIGIBLE * size, between, 0.0), size


def _lines(points: Array, reference: Array) -> list[tuple[Array, Array]]:
    """(corner (3,), step (3,)) below which better plans may lie: in what has a range along it, in
    what has none along its size."""
    ranges, size = _ranges(points)
    live = ranges > 0.0
    lines = []
    if live.any():
        for found in uncovered_corners(points[:, live], reference[live]):
            corner = reference.copy()
            corner[live] = found
            lines.append((corner, ranges))
    for axis in np.flatnonzero(~live):
        one = np.arange(3) == axis
        lines.append((np.where(one, points.min(axis=0), reference), np.where(one, size, 0.0)))
    return lines


def _depth(corner: Array, step: Array, outside: Outside) -> float:
    """How many steps below the corner plans may lie by the cuts and by the boxes."""
    slack, slope = outside.weights @ corner - outside.levels, outside.weights @ step
    none = np.where(slack < 0.0, -np.inf, np.inf)
    by_cut = np.divide(slack, slope, out=none, where=slope > 0.0)
    above = corner - outside.boxes
    none = np.where(above <= 0.0, -np.inf, np.inf)
    by_box = np.divide(above, step, out=none, where=step > 0.0).max(axis=1)
    return float(min(by_cut.min(initial=np.inf), by_box.min(initial=np.inf)))


def _check_gaps(front: Row, points: Array, outside: Outside, findings: _Findings) -> None:
    """Each point's least cost at its carbon and QoE, and that of plans better by a step."""
    bound, gaps = _gaps(points, outside)
    for row, least, gap in zip(front["points"], bound, gaps, strict=True):
        stated = row["cost_bound_usd"]
        if stated is not None and stated > least + TOLERANCE * max(1.0, abs(least)):
            text = f"cost bound {stated:.9g} stated, the cuts prove {least:.9g}"
            findings.add("cost gap", row["id"], least, stated, text)
        findings.near("cost gap", row["id"], float(gap), row["cost_gap_relative"])
    certificate = front["certificate"]
    wanted = {"median": np.median(gaps), "max": gaps.max()}
    if "step" in certificate:
        ranges, _ = _ranges(points)
        better = points - float(certificate["step"]) * ranges * (0.0, 1.0, 1.0)
        wanted["median_beyond_step"] = np.median(_gaps(better, outside)[1])
    for name, value in wanted.items():
        key = f"cost_gap_relative_{name}"
        findings.near("certificate", key, float(value), certificate[key])


def _gaps(points: Array, outside: Outside) -> tuple[Array, Array]:
    """(n,) least cost of plans with the carbon and loss of points (n, 3), at most their own, by the
    cuts that price cost and the boxes that hold them, or because another cut says that there are
    none; and (n,) the share of the cost above it, inf where nothing is proved."""
    weights, cost = outside.weights, points[:, 0]
    rest = outside.levels - points[:, 1:] @ weights[:, 1:].T
    with np.errstate(divide="ignore", invalid="ignore"):
        none = np.where(rest > 0, np.inf, -np.inf)
        by_cut = np.where(weights[:, 0] > 0, rest / weights[:, 0], none)
    holds = (points[:, None, 1:] <= outside.boxes[:, 1:]).all(axis=2)
    by_box = np.where(holds, outside.boxes[:, 0], -np.inf).max(axis=1, initial=-np.inf)
    bound = np.minimum(np.maximum(by_cut.max(axis=1, initial=-np.inf), by_box), cost)
    return bound, np.where(np.isfinite(bound), (cost - bound) / np.abs(cost), np.inf)


def _check_volume(
    certificate: Row, points: Array, outside: Outside, reference: Array, findings: _Findings
) -> None:
    """The lower hypervolume exactly; the upper is no less than what is surely left."""
    weights, levels = outside.weights, outside.levels
    stated = certificate["hypervolume"]
    lower = dominated_volume(points, reference)
    size = float(np.prod(reference - points.min(axis=0)))
    findings.near("certificate", "hypervolume lower", lower / size, stated["lower"] / size)
    if stated["upper"] is None or len(levels) == 0:
        return
    least = points.min(axis=0)
    steps = [np.linspace(least[i], reference[i], CELLS + 1)[:-1] for i in range(3)]
    grid = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    # A cell whose best corner obeys every cut, and is in no box, does so as a whole.
    left = (grid @ weights.T >= levels).all(axis=1)
    for box in outside.boxes:
        left &= ~(grid <= box).all(axis=1)
    sure = float(left.mean()) * size
    floor = max(sure, lower)
    if stated["upper"] < floor * (1.0 - TOLERANCE):
        text = f"{stated['upper']:.9g} stated, cuts and boxes leave at least {floor:.9g}"
        findings.add("certificate", "hypervolume upper", floor, stated["upper"], text)


def dominated_volume(points: Array, reference: Array) -> float:
    """Volume below the reference (3,) that some point (n, 3) dominates, cell by cell."""
    inside = points[(points < reference).all(axis=1)]
    edges = [np.append(np.unique(inside[:, i]), reference[i]) for i in range(3)]
    taken = np.zeros([len(axis) - 1 for axis in edges], dtype=bool)
    for point in inside:
        at = [int(np.searchsorted(edges[i], point[i])) for i in range(3)]
        taken[at[0] :, at[1] :, at[2] :] = True
    sides = [np.diff(axis) for axis in edges]
    return float(np.einsum("ijk,i,j,k->", taken.astype(float), *sides))


def _check_target(
    folder: Path, certificate: Mapping[str, Any], epsilon: float, findings: _Findings
) -> None:
    """`complete` means that the width asked for was reached."""
    target = float(_read(folder / "request.json")["epsilon"])
    if certificate["complete"] and epsilon > target * (1.0 + TOLERANCE):
        text = f"complete stated, the width is {epsilon:.6g} and {target:.6g} was asked for"
        findings.add("certificate", "complete", "truncated", "complete", text)
