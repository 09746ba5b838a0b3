"""Where a front begins: what `planner plan` finds for each objective, and a grid that holds it.

`planner plan` refines lanes and operating points around its answer. A front has one grid for all
its plans: the default one and all those that the three answers stand on, so that its ends are
theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import or_

from planner.api import Request, with_request
from planner.attempt import Attempts
from planner.candidates import Candidates
from planner.errors import SolverError
from planner.instance.facts import Facts
from planner.instance.grid import Grid, default_grid, refines
from planner.logs import EventLog
from planner.plan import Plan
from planner.solve.options import Progress

SHARES = {"cost": 0.2, "carbon": 0.05, "qoe-loss": 0.05}
"""Of the time limit, for the best plan of each objective: the least cost is what is compared with
`planner plan`, and hardest to find."""
MOST_S = 30.0
END_GAP = 0.002
"""At which such a plan is good enough."""
MOST_ROUTES = 60_000
"""Above these, time is better spent on the default grid."""


def begun(
    facts: Facts,
    candidates: Candidates,
    time_limit_s: float,
    threads: int,
    on_progress: Callable[[Progress], None] | None = None,
) -> tuple[Grid | None, tuple[Plan, ...]]:
    """The grid of a front, None for that of the facts, and plans to begin from: of each objective
    the best one that was found in time. `candidates` are those of the facts.

    Raises InfeasibleError.
    """
    if not refines(facts) or candidates.eligible_after_pruning > MOST_ROUTES:
        return None, ()
    plans = []
    for objective, share in SHARES.items():
        limit_s = min(share * time_limit_s, MOST_S)
        ask = Request(minimize=objective, gap=END_GAP, time_limit_s=limit_s, threads=threads)
        try:
            found = Attempts(ask, EventLog(), on_progress).best(with_request(facts, ask))
        except SolverError:
            continue  # no plan in this time: the front looks for its ends itself
        plans.append(found.plan)
    return reduce(or_, (plan.grid for plan in plans), default_grid(facts)), tuple(plans)
