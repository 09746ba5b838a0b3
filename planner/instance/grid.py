"""The grid: lanes and operating points at which replicas may be run.

Both are continuous in truth; a program has a list of each. What ``[serving]`` gives is used as it
is. Where it is silent the list follows from what is asked:

* A lane matters by its longest prompt alone: a shorter lane that still takes every prompt sent to
  it makes nobody wait longer. So no lane is needed but at the length of some prompt.
* An operating point is needed somewhat below every target for the time per output token, at the
  pace of readers without a target, and slow for those who do not wait.

`default_grid` is short, `finest_grid` long, and `refined_grid` goes from one towards the other
around what a plan uses.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planner.instance.facts import Facts
    from planner.instance.schema import LengthClass, Workload
    from planner.plan import Plan

LANE_BOUNDS_TOKENS = (4096.0, 32768.0, math.inf)
"""The default grid has a lane at the longest prompt below each."""
POINTS_S = (0.02, 0.04, 0.08)
"""Operating points of every default grid, where no wanted one is near."""
NEAR_RATIO = 1.5
SPREAD_OF_A_TARGET = (1.6, 1.25)
"""A target is met by 9 of 10 tokens where the mean is lower by a factor between these."""
SPREAD_OF_A_PACE = (2.0, 1.0)
"""A mean at the pace of the reader loses nothing, half of it buys nothing."""
PATIENT_S = (0.06, 0.16)
"""Batch work is served at mean times of this size."""
FINEST_RATIO = 1.2
"""Between neighbours of the finest grid."""
CLOSEST_RATIO = 1.08
"""Neighbours nearer than this are not refined."""
MOST_LANES = 8
"""Of the finest grid."""
DIGITS = 3
"""Significant ones of lanes and points that nobody gave."""


@dataclass(frozen=True)
class Finer:
    """All lanes and points of the replicas of one llm on one accelerator type."""

    llm: str
    accelerator: str
    lane_tokens: tuple[float, ...]
    tpot_s: tuple[float, ...]


@dataclass(frozen=True)
class Grid:
    """Lanes and operating points, ascending; every replica has one of each."""

    lane_tokens: tuple[float, ...]
    """longest prompts"""
    tpot_s: tuple[float, ...]
    """mean times per output token"""
    finer: tuple[Finer, ...] = ()
    """where there are more"""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Grid:
        """Inverse of `dataclasses.asdict`, lists for tuples."""
        finer = (
            Finer(
                row["llm"],
                row["accelerator"],
                tuple(row["lane_tokens"]),
                tuple(row["tpot_s"]),
            )
            for row in data["finer"]
        )
        return cls(tuple(data["lane_tokens"]), tuple(data["tpot_s"]), tuple(finer))

    @property
    def size(self) -> int:
        """Pairs of a lane and a point that are open everywhere."""
        return len(self.lane_tokens) * len(self.tpot_s)

    def of(self, llm: str, accelerator: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """(lanes, points) of the replicas of an llm on an accelerator type."""
        for row in self.finer:
            if (row.llm, row.accelerator) == (llm, accelerator):
                return row.lane_tokens, row.tpot_s
        return self.lane_tokens, self.tpot_s

    def with_finer(self, llm: str, accelerator: str, other: Grid) -> Grid:
        """The lanes and points of another grid too, for one llm on one accelerator type."""
        lanes, points = self.of(llm, accelerator)
        more = other.of(llm, accelerator)
        row = Finer(llm, accelerator, _union(lanes, more[0]), _union(points, more[1]))
        left = [x for x in self.finer if (x.llm, x.accelerator) != (llm, accelerator)]
        same = (row.lane_tokens, row.tpot_s) == (self.lane_tokens, self.tpot_s)
        finer = left if same else sorted([*left, row], key=lambda x: (x.llm, x.accelerator))
        return replace(self, finer=tuple(finer))

    def __or__(self, other: Grid) -> Grid:
        """All lanes and points of both."""
        joined = Grid(
            _union(self.lane_tokens, other.lane_tokens), _union(self.tpot_s, other.tpot_s)
        )
        for row in (*self.finer, *other.finer):
            joined = joined.with_finer(row.llm, row.accelerator, self)
            joined = joined.with_finer(row.llm, row.accelerator, other)
        return joined


def grid_of(facts: Facts) -> Grid:
    """The grid that goes with the facts: that of a plan made for them, or the default."""
    return facts.grid or default_grid(facts)


def default_grid(facts: Facts) -> Grid:
    """What the settings give, else few lanes and points, by what the workloads ask."""
    lengths = prompt_lengths(facts)
    lanes = {max((x for x in lengths if x <= bound), default=0.0) for bound in LANE_BOUNDS_TOKENS}
    wanted: set[float] = set()
    for low, high in sorted(_wanted(facts), key=lambda ends: ends[1]):
        if not any(low <= point <= high for point in wanted):
            wanted.add(max((x for x in POINTS_S if low <= x <= high), default=_rounded(high)))
    others = {x for x in POINTS_S if not any(_are_near(x, point) for point in wanted)}
    return _restricted(facts, lanes, wanted | others)


def finest_grid(facts: Facts) -> Grid:
    """What the settings give, else every lane that can matter and a ladder of points."""
    default, lengths = default_grid(facts), prompt_lengths(facts)
    every = math.ceil(len(lengths) / MOST_LANES)
    lanes = {*default.lane_tokens, *lengths[::-1][:: max(every, 1)]}
    ends = [*_wanted(facts), (min(POINTS_S), max(POINTS_S))]
    fastest, slowest = min(low for low, _ in ends), max(high for _, high in ends)
    steps = math.ceil(math.log(slowest / fastest) / math.log(FINEST_RATIO))
    ladder = {_rounded(slowest / FINEST_RATIO**step) for step in range(steps + 1)}
    return _restricted(facts, lanes, {*default.tpot_s, *ladder})


def refined_grid(facts: Facts, grid: Grid, plan: Plan) -> Grid:
    """The grid with more lanes and points where the plan uses it: points between those in use and
    their neighbours, and lanes at all lengths of prompts that are now served in longer ones."""
    lengths: dict[tuple[str, str], float] = {}
    variants = {v.variant: v for v in facts.variants}
    adopted = {row.workload: variants[row.variant] for row in plan.adoption}
    workloads = {w.workload: w for w in facts.instance.workloads}
    for row in facts.instance.length_classes:
        if row.workload in adopted:
            has_rag = "rag" in adopted[row.workload].adaptation
            tokens = new_tokens(row, workloads[row.workload], has_rag=has_rag)
            lengths[row.workload, row.length_class] = _rounded_up(tokens)
    pools = {row.pool: row for row in plan.replicas}
    found = grid
    for line in plan.routing:
        pool = None if line.pool is None else pools.get(line.pool)
        if pool is not None:
            lanes, points = grid.of(pool.llm, pool.accelerator)
            more = _restricted(
                facts,
                {*lanes, pool.lane_tokens, lengths[line.workload, line.length_class]},
                {*points, pool.operating_tpot_s, *_between(points, pool.operating_tpot_s)},
            )
            found = found.with_finer(pool.llm, pool.accelerator, more)
    return found


def _between(points: Sequence[float], used: float) -> Iterator[float]:
    """Points halfway, by ratio, from the one in use to its neighbours."""
    below = max((x for x in points if x < used), default=used / 2.0)
    above = min((x for x in points if x > used), default=used * 2.0)
    for other in (below, above):
        if max(used, other) > CLOSEST_RATIO * min(used, other):
            yield _rounded(math.sqrt(used * other))


def refines(facts: Facts) -> bool:
    """Whether the settings leave lanes or operating points open."""
    serving = facts.instance.settings.serving
    return serving.prompt_lane_tokens is None or serving.operating_tpot_s is None


def prompt_lengths(facts: Facts) -> tuple[float, ...]:
    """Every length that a prompt with demand has on some llm of ours, rounded up, ascending."""
    asked = {row.workload for row in facts.instance.demand if row.requests_per_s > 0.0}
    classes = [c for c in facts.instance.length_classes if c.workload in asked]
    workloads = {w.workload: w for w in facts.instance.workloads}
    found = {
        _rounded_up(new_tokens(c, workloads[c.workload], has_rag=has_rag))
        for c in classes
        for has_rag in _retrieves(facts, c.workload)
    }
    return tuple(sorted(found))


def too_long_for_lanes(facts: Facts) -> Iterator[tuple[Workload, LengthClass, float]]:
    """Workloads and classes with demand that our llms could answer but for the lanes that the
    settings give, and the tokens of their prompts at least."""
    lanes = facts.instance.settings.serving.prompt_lane_tokens
    asked = {row.workload for row in facts.instance.demand if row.requests_per_s > 0.0}
    workloads = {w.workload: w for w in facts.instance.workloads}
    if lanes is None:
        return
    for shape in facts.instance.length_classes:
        ways, workload = _retrieves(facts, shape.workload), workloads[shape.workload]
        if shape.workload in asked and ways:
            tokens = new_tokens(shape, workload, has_rag=min(ways))
            if tokens > max(lanes):
                yield workload, shape, tokens


def without_lanes(facts: Facts) -> Facts:
    """The facts as if the settings gave no lanes."""
    settings = facts.instance.settings
    serving = settings.serving.model_copy(update={"prompt_lane_tokens": None})
    settings = settings.model_copy(update={"serving": serving})
    instance = facts.instance.model_copy(update={"settings": settings})
    return replace(facts, instance=instance, grid=None)


def new_tokens(length: LengthClass, workload: Workload, *, has_rag: bool) -> float:
    """Tokens of a prompt that are in no cache, with what is retrieved; of the answer and of a
    check alike."""
    retrieved = workload.rag_chunks * workload.rag_chunk_tokens if has_rag else 0.0
    own = length.input_tokens * (1.0 - length.cached_share)
    return own + retrieved * (1.0 - workload.rag_cached_share)


def _retrieves(facts: Facts, workload: str) -> set[bool]:
    """With and without retrieval, as the variants of the workload that own llms take part in."""
    return {
        "rag" in v.adaptation
        for v in facts.variants
        if v.workload == workload
        and (not v.hosted or (v.check_llm is not None and not v.check_hosted))
    }


def _wanted(facts: Facts) -> Iterator[tuple[float, float]]:
    """For every workload with demand, between which mean times a point is wanted, s."""
    asked = {row.workload for row in facts.instance.demand if row.requests_per_s > 0.0}
    for workload in facts.instance.workloads:
        target, pace_s = workload.tpot_target_s, 1.0 / workload.consumption_tokens_per_s
        if workload.workload not in asked:
            continue
        if workload.kind == "batch":
            yield PATIENT_S
            continue
        if target is not None:
            yield _below(target, SPREAD_OF_A_TARGET)
        if target is None or pace_s < target:
            yield _below(pace_s, SPREAD_OF_A_PACE)


def _union(one: Iterable[float], other: Iterable[float]) -> tuple[float, ...]:
    return tuple(sorted({*one, *other}))


def _are_near(one: float, other: float) -> bool:
    return max(one, other) < NEAR_RATIO * min(one, other)


def _below(figure: float, factors: tuple[float, float]) -> tuple[float, float]:
    return figure / factors[0], figure / factors[1]


def _restricted(facts: Facts, lanes: Iterable[float], points: Iterable[float]) -> Grid:
    """What the settings give in place of what was derived."""
    serving = facts.instance.settings.serving
    derived = sorted({lane for lane in lanes if lane > 0.0}) or [LANE_BOUNDS_TOKENS[0]]
    return Grid(
        tuple(derived) if serving.prompt_lane_tokens is None else serving.prompt_lane_tokens,
        tuple(sorted(points)) if serving.operating_tpot_s is None else serving.operating_tpot_s,
    )


def _rounded(figure: float) -> float:
    return float(f"{figure:.{DIGITS}g}")


def _rounded_up(tokens: float) -> float:
    step = 10.0 ** max(math.floor(math.log10(tokens)) + 1 - DIGITS, 0) if tokens > 0.0 else 1.0
    return math.ceil(tokens / step) * step
