"""The two searches of a check: the best that keeps what was decided, and the best change.

Both are ordinary plans of the same instance: the first is asked for with the change
``policy.keep_incumbent=true``. The second begins from the first one's plan, which it allows too,
and stops as soon as the rule can decide.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from planner.answer.build import minimised_value
from planner.api import Answer, Request, answer
from planner.errors import InfeasibleError, SolverError
from planner.instance.facts import Facts
from planner.logs import EventLog
from planner.plan import Plan, gap_between
from planner.replan.rule import Proved, regret, verdict
from planner.solve.options import Progress
from planner.verify import Proof

KEEP = "policy.keep_incumbent=true"
KEEP_TIME_SHARE = 0.3
"""Of the time, at most, for the best that keeps what was decided."""
KEEP_GAP_SHARE = 0.2
"""Of the margin: its gap must leave room for the other one's."""
LEAST_GAP = 1e-5
LEAST_SEARCH_S = 2.0
"""No search is begun with less time."""

Listener = Callable[[Progress], None]


@dataclass
class Clock:
    """Wall clock of the whole check."""

    limit_s: float
    began: float = field(default_factory=time.monotonic)

    @property
    def left_s(self) -> float:
        """Seconds left."""
        return max(self.limit_s - (time.monotonic() - self.began), 0.0)


@dataclass(frozen=True, eq=False)
class KeepResult:
    """The best that keeps what was decided; without one, why (proved) or that time ran out."""

    answer: Answer | None
    conflict: tuple[str, ...] = ()
    """proved: it cannot be kept"""

    @property
    def proved(self) -> Proved | None:
        """Its value and bound."""
        return None if self.answer is None else proved_of(self.answer)

    @property
    def is_open(self) -> bool:
        """No plan was found, and none was proved impossible."""
        return self.answer is None and not self.conflict


def proved_of(found: Answer) -> Proved:
    """Value and bound of an answer."""
    return Proved(found.plan.certificate.value, found.plan.certificate.bound)


def best_kept(
    facts: Facts,
    request: Request,
    running: Plan | None,
    margin: float,
    clock: Clock,
    log: EventLog,
    listener: Listener,
    proof: Proof | None = None,
    hints: Sequence[Plan] = (),
) -> KeepResult:
    """Solve with all that was decided held, from the running plan as it stands or one of `hints`,
    plans for similar data, as is `proof`."""
    asked = dataclasses.replace(
        request,
        changes=(*request.changes, KEEP),
        gap=max(min(request.gap, KEEP_GAP_SHARE * margin), LEAST_GAP),
        time_limit_s=max(KEEP_TIME_SHARE * clock.left_s, LEAST_SEARCH_S),
    )
    try:
        return KeepResult(
            answer(
                *(facts, asked),
                on_progress=listener,
                log=log,
                start=(*([] if running is None else [running]), *hints),
                start_proof=proof,
            )
        )
    except InfeasibleError as error:
        return KeepResult(None, (str(error), *error.conflict))
    except SolverError as error:
        log.add("keep", problem=str(error))
        return KeepResult(None)


def best_change(
    facts: Facts,
    request: Request,
    kept: KeepResult,
    least: float,
    clock: Clock,
    log: EventLog,
    listener: Listener,
    proof: Proof | None = None,
    start: Answer | None = None,
    hints: Sequence[Plan] = (),
) -> Answer:
    """Solve with everything free to change, until the rule can decide against `least`.

    `proof` and `hints`, of similar data, are what to begin from, as is the plan of `start`.

    Raises as `planner.api.answer`. The plan that keeps everything is never bettered by the result:
    where nothing better was found it is the result.
    """
    keep = kept.proved

    def watch(progress: Progress) -> None:
        listener(progress)
        if keep is not None and _settled(keep, progress, least, request.gap):
            raise KeyboardInterrupt

    asked = dataclasses.replace(
        request, gap=LEAST_GAP if keep is not None else request.gap,
        time_limit_s=max(clock.left_s, LEAST_SEARCH_S),
    )  # fmt: skip
    begin = start or kept.answer
    found = answer(
        *(facts, asked),
        on_progress=watch, log=log,
        start=(*([] if begin is None else [begin.plan]), *hints), start_proof=proof,
    )  # fmt: skip
    found = _as_asked(found, request)
    best = min(
        [x for x in (found, start, kept.answer) if x is not None],
        key=lambda x: x.plan.certificate.value,
    )
    return found if best is found else _with_plan_of(found, best, request)


def _settled(keep: Proved, progress: Progress, least: float, gap: float) -> bool:
    """Whether more search cannot matter: keeping is proved right, or a good change certain."""
    if progress.value == float("inf"):  # the search needs a plan to stop with
        return False
    found = verdict(regret(keep, Proved(progress.value, progress.bound)), least)
    return found == "keep" or (found == "move" and progress.gap_relative <= gap)


def _as_asked(found: Answer, request: Request) -> Answer:
    """The answer under the gap that the user asked for, not the one that was aimed at."""
    plan = found.plan
    done = plan.certificate.gap_relative <= request.gap
    certificate = dataclasses.replace(plan.certificate, status="optimal" if done else "limit")
    return dataclasses.replace(
        found, request=request, plan=dataclasses.replace(plan, certificate=certificate)
    )


def _with_plan_of(bounded: Answer, better: Answer, request: Request) -> Answer:
    """A better plan, found in another search, beside the bound that holds for every change."""
    value = minimised_value(better.plan.objectives, bounded.plan.certificate.minimised)
    stated = bounded.plan.certificate
    bound, priced = min(stated.bound, value), stated.bound_from_prices
    gap = gap_between(value, bound)
    certificate = dataclasses.replace(
        stated,
        value=value,
        bound=bound,
        gap_relative=gap,
        status="optimal" if gap <= request.gap else "limit",
        bound_from_prices=None if priced is None else min(priced, value),
    )
    plan = dataclasses.replace(
        better.plan,
        certificate=certificate,
        assumptions=bounded.plan.assumptions,
        grid=bounded.plan.grid,
    )
    return dataclasses.replace(bounded, request=request, plan=plan, report=better.report)
