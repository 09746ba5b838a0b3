"""Plans by evolution: pymoo mates and selects, the decoder makes plans, HiGHS completes them.

A genome says where on the front a plan is to lie (a corner of the objectives, in shares of their
ranges) and two variants for each workload, of which the decoder's program chooses one. Decoding
takes the dual prices of the cuts nearest to the corner, so that a genome need not speak of routes,
replicas and machines. What evolution adds to the certified search are assignments of variants put
together from plans that are good nearby.

Steady state: every plan that comes back, whatever found it, competes at once for a place near one
of the reference directions (Deb and Jain 2014, NSGA-III). Nothing here is proved: a plan counts
after its check, and the certificate rests on the cuts alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.core.crossover import Crossover
from pymoo.core.evaluator import Evaluator
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.problems.static import StaticProblem
from pymoo.util.ref_dirs import get_reference_directions

from models.fleet.data import FloatArray, IntArray
from planner.front.certified import SMALL_ROUTES, Work
from planner.front.enclosure import Enclosure
from planner.front.geometry import Floats
from planner.front.ranges import ranges
from planner.front.tasks import PlanTask, PointTask, depth_aim
from planner.solve.bound import Prices
from planner.solve.index import FleetIndex
from planner.solve.solution import Solution

EVOLVED, HYBRID, HYBRID_LARGE = 0.9, 0.2, 0.05
"""Of the workers' time, for evolution; the rest is for the certified search. Where a relaxation
says nearly all, as in large fleets, evolution has little to add."""
LEAST_CUTS = 5
"""Cuts that must be known before it begins: their prices make the plans."""
POLISH_S = 0.5
"""Seconds to improve a plan that was kept."""
NEAREST_CUTS = 3
"""Cuts whose prices a plan is made from."""
PARTITIONS = 12
"""Of each objective, for the reference directions: 91 of them."""
UNCOVERED = 0.5
"""Probability that a genome aims at a corner that no plan covers."""
ANOTHER = 0.3
"""Probability, by workload, of another second variant."""
TEMPERATURE = 0.02
"""Share of the ranges that a variant may be worse by, where it is still chosen often."""


@dataclass(frozen=True, eq=False)
class Genome:
    """A decision vector in words."""

    corner: Floats
    """(3,) in shares of the ranges, from the best value of each objective"""
    first: IntArray
    """int (W,) a variant of each workload"""
    second: IntArray
    """int (W,) another, or the same"""

    @classmethod
    def of(cls, x: FloatArray) -> Genome:
        """From the vector, float (3 + 2 W,)."""
        first, second = np.rint(x[3:]).astype(np.int64).reshape(2, -1)
        return cls(x[:3], first, second)

    @property
    def x(self) -> FloatArray:
        """As a vector, float (3 + 2 W,)."""
        return np.concatenate([self.corner, self.first, self.second])


class FrontProblem(Problem):  # type: ignore[misc]
    """Cost, carbon and loss, in shares of their ranges, of the plan that a genome is decoded to.

    Evaluation is a `PointTask`: done by the workers, handed to the algorithm by ask and tell.
    """

    def __init__(self, index: FleetIndex, enclosure: Enclosure) -> None:
        self.index, self.enclosure = index, enclosure
        f = np.array([point.f for point in enclosure.listed()])
        self.ideal, self.span = f.min(axis=0), enclosure.span()
        self.live = ranges(self.ideal, f.max(axis=0)) > 0.0
        self.variants = [
            variants[index.variant_complete[variants]] for variants in index.workload_variants
        ]
        least = np.array([variants.min() for variants in self.variants], dtype=float)
        most = np.array([variants.max() for variants in self.variants], dtype=float)
        super().__init__(
            n_var=3 + 2 * len(least),
            n_obj=3,
            xl=np.concatenate([np.full(3, -1.0), least, least]),
            xu=np.concatenate([np.full(3, 2.0), most, most]),
        )

    def task(self, genome: Genome) -> PointTask:
        """The work of evaluating a genome."""
        # What does not vary is not to hold a plan back.
        share = np.where(self.live, genome.corner, 1.0)
        corner = self.ideal + share * self.span
        goal = depth_aim(corner, self.span, self.span)
        variants = np.union1d(genome.first, genome.second)
        return PointTask(goal, variants, self._prices(corner))

    def objectives(self, plan: Solution) -> Floats:
        """(3,) in shares of the ranges."""
        share: Floats = (plan.totals[:3] - self.ideal) / self.span
        return share

    def uncovered(self, random: np.random.Generator) -> Floats:
        """(3,) a corner that no plan covers, the likelier the wider it is, in shares."""
        corners, _, width = self.enclosure.widths()
        claim = np.maximum(width, 0.0) ** 2
        if not claim.any():
            return random.random(3)
        corner = corners[random.choice(len(corners), p=claim / claim.sum())]
        share: Floats = (corner - self.ideal) / self.span
        return share

    def promising(self, corner: Floats, random: np.random.Generator) -> IntArray:
        """int (W,) a variant of each workload, at random: the less the cuts near the corner (3,)
        ask for it, the likelier."""
        near = self._nearest(self.ideal + corner * self.span)
        cuts = [self.enclosure.cuts[k] for k in near]
        worth = np.mean([cut.worth / float(cut.weights @ self.span) for cut in cuts], axis=0)
        chosen = []
        for variants in self.variants:
            above = worth[variants] - worth[variants].min()
            likely = np.exp(-above / TEMPERATURE)
            chosen.append(random.choice(variants, p=likely / likely.sum()))
        return np.array(chosen)

    def _nearest(self, corner: Floats) -> IntArray:
        """Places of the cuts that say most of a corner."""
        cuts = self.enclosure.cuts
        weights = np.array([cut.weights for cut in cuts])
        levels = np.array([cut.level for cut in cuts])
        said = (levels - weights @ corner) / (weights @ self.span)
        return np.argsort(-said, kind="stable")[:NEAREST_CUTS]

    def _prices(self, corner: Floats) -> tuple[tuple[float, Prices], ...]:
        near = [self.enclosure.cuts[k] for k in self._nearest(corner)]
        return tuple((1.0 / float(cut.weights @ self.span), cut.prices) for cut in near)


class WorkloadCrossover(Crossover):  # type: ignore[misc]
    """Between the parents' corners; by workload, what one parent adopts first and the other's
    second, so that the decoder puts the better parts of both together."""

    def __init__(self) -> None:
        super().__init__(n_parents=2, n_offsprings=1, prob=1.0)

    def _do(
        self,
        problem: FrontProblem,
        X: FloatArray,
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> FloatArray:
        children = []
        for one, other in zip(X[0], X[1], strict=True):
            a, b = Genome.of(one), Genome.of(other)
            part, turn = random_state.random(), random_state.random(len(a.first)) < 0.5
            corner = part * a.corner + (1.0 - part) * b.corner
            first = np.where(turn, a.first, b.first)
            second = np.where(turn, b.first, a.first)
            children.append(Genome(corner, first, second).x)
        return np.array([children])


class PricedMutation(Mutation):  # type: ignore[misc]
    """Towards corners that no plan covers, and towards variants that are nearly best by the cuts
    there."""

    def _do(
        self,
        problem: FrontProblem,
        X: FloatArray,
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> FloatArray:
        mutants = []
        for x in X:
            genome = Genome.of(x)
            corner = genome.corner
            if random_state.random() < UNCOVERED:
                corner = problem.uncovered(random_state)
            changed = random_state.random(len(genome.first)) < ANOTHER
            other = problem.promising(corner, random_state)
            second = np.where(changed, other, genome.second)
            mutants.append(Genome(corner, genome.first, second).x)
        return np.array(mutants)


class Evolution:
    """Steady-state NSGA-III over genomes; see `planner.front.certified.Proposals`."""

    def __init__(self, index: FleetIndex, share: float, seed: int) -> None:
        self.index, self.share, self.seed = index, share, seed
        self.asked: dict[Work, Genome] = {}
        """under way"""
        self.rough: list[PlanTask] = []
        """what would improve the plans that were kept"""
        self.missed = False
        """the last genome came to nothing new"""
        self.spent_before: float | None = None
        """seconds of workers before it began"""
        self.algorithm: Any = None
        """None until there are cuts and plans to begin with"""

    def is_due(self, enclosure: Enclosure, spent: dict[str, float]) -> bool:
        """See `Proposals`."""
        if len(enclosure.cuts) < LEAST_CUTS:
            return False
        total = sum(spent.values())
        if self.spent_before is None:
            self.spent_before = total
        return spent["evolved"] <= self.share * (total - self.spent_before)

    def propose(self, enclosure: Enclosure) -> Work:
        """A genome's plan; where the last came to nothing new, a better one of those kept."""
        if self.algorithm is None:
            self._begin(enclosure)
        listed = {id(point.solution) for point in enclosure.listed()}
        self.rough = [task for task in self.rough if id(task.start) in listed]
        if self.missed and self.rough:
            self.missed = False
            return Work("evolved", self.rough.pop(0))
        genome = Genome.of(self.algorithm.ask()[0].X)
        work = Work("evolved", self.problem.task(genome))
        self.asked[work], self.missed = genome, True
        return work

    def take(self, work: Work, plan: Solution, routes: IntArray) -> None:
        """Plans of any kind of work compete; those of genomes, where kept, are to be improved."""
        if self.algorithm is None:
            return
        genome = self.asked.pop(work, None)
        if genome is not None and self.problem.enclosure.points[-1].solution is plan:
            assert isinstance(work.task, PointTask)
            self.rough.append(PlanTask(work.task.goal, plan, routes, POLISH_S))
            self.missed = False
        second = plan.adopt if genome is None else genome.second
        self.algorithm.tell(infills=self._evaluated([self._genome(plan, second)], [plan]))

    def _begin(self, enclosure: Enclosure) -> None:
        self.problem = FrontProblem(self.index, enclosure)
        plans = [point.solution for point in enclosure.listed()]
        directions = get_reference_directions("das-dennis", 3, n_partitions=PARTITIONS)
        self.algorithm = NSGA3(
            directions,
            sampling=self._evaluated([self._genome(p, p.adopt) for p in plans], plans),
            n_offsprings=1,
            crossover=WorkloadCrossover(),
            mutation=PricedMutation(),
            eliminate_duplicates=False,
        )
        self.algorithm.setup(self.problem, termination=NoTermination(), seed=self.seed)
        self.algorithm.tell(infills=self.algorithm.ask())

    def _genome(self, plan: Solution, second: IntArray) -> Genome:
        """What the plan came to: its place, and what it adopts."""
        return Genome(self.problem.objectives(plan), plan.adopt, second)

    def _evaluated(self, genomes: list[Genome], plans: list[Solution]) -> Any:
        """pymoo's population of genomes whose plans are known."""
        population = Population.new("X", np.array([genome.x for genome in genomes]))
        f = np.array([self.problem.objectives(plan) for plan in plans])
        # pymoo copies the problem it is given, and ours holds the fleet.
        known = StaticProblem(Problem(n_var=self.problem.n_var, n_obj=self.problem.n_obj), F=f)
        return Evaluator().eval(known, population)


def share_of(method: str, index: FleetIndex) -> float:
    """Of the workers' time, what evolution gets under a method."""
    if method == "evolve":
        return EVOLVED
    return HYBRID if len(index.pool) <= SMALL_ROUTES else HYBRID_LARGE
