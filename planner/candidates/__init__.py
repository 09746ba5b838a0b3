"""Candidates: facts -> eligible, undominated routes -> `FleetData`; what is left out keeps why.

    configs.py   replica configurations and the load of every request class on them
    machines.py  offers in regions, markets, quotas
    routes.py    who may be served where, and what each user experiences
    build.py     the steps in order, and what makes a workload impossible
    fleet.py     the arrays of the fleet program

What pruning removes, and why no optimum is lost:

Configuration p (of some weights, on an accelerator type) is dominated by q of the same weights and
accelerator type if G_q divides G_p and, for every (leg, class) that p may serve: q may serve it;
serving energy per request, TTFT without network, wait scale and operating TPOT are no larger and
the TPOT attainment is no smaller (batch classes: energy only); and each row of q's accelerators per
request/s is at most some row of p's, the same row for all classes.
*Proof.* On any machine that runs p, G_q divides the instance too. Replace n replicas of p by
(G_p/G_q) n of q and move the routes: the accelerators are the same, each capacity row of q holds
because it is bounded by a row of p's, carbon and water are no larger (what running takes is per
accelerator), and loss and attainment are
monotone in what was compared (the network's round trip adds to both alike). Ties keep one.

Machine h is dominated by another offer k of the same region and accelerator type if the size of k
divides that of h and every replica size in use, k has every market of h at no more per accelerator,
is added at no more, and its host takes no more power and making per accelerator, neither has a
stock limit, and h is neither owned nor in the incumbent plan.
*Proof.* Replace each instance of h by size_h/size_k of k, purchase by purchase: the same
accelerators, so quotas, spot shares and replicas are kept; cost, power and embodied carbon no more,
and neither are the changes against the incumbent.
"""

from planner.candidates.build import UnservedError, build_candidates
from planner.candidates.kinds import RULES, Candidates, Exclusion, PoolInfo

__all__ = ["RULES", "Candidates", "Exclusion", "PoolInfo", "UnservedError", "build_candidates"]
