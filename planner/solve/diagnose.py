"""Why no plan exists: a proof, every conflict between rules, the least repair of each.

The proof is phase 1 of the simplex method on the relaxation: every column costs nothing, only
artificial columns cost. Its prices y are read by `evaluate_bound` with weights 0, so that weak
duality says ``0 = 0 . totals >= L(y)`` for every integer plan: L(y) > 0 leaves no plan. Only the
formula L counts, not the solver's word, and rules without a price take no part in the proof. What
the relaxation leaves open, branch and bound on the whole program may close; then it says so.

A conflict is a set of rules none of which can be left out (deletion filter, Chinneck 2008). Once
one is found, a rule of it is left out and the rest is asked again. A limit that a proof shows to be
too tight is too tight by at least L(y) over the rule's price: so the least repair is found in a few
steps, each proved. A plan at the repaired limit shows that it is enough.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.fleet.data import FleetData, FloatArray, IntArray
from planner.errors import Conflict, InfeasibleError, SolverError
from planner.solve.aim import Aim
from planner.solve.bound import Bound
from planner.solve.decode import around, decoded, leading_variants
from planner.solve.generation import Generation
from planner.solve.highs import add_columns
from planner.solve.index import FleetIndex, routes_of
from planner.solve.master import Master
from planner.solve.restricted import Restricted
from planner.solve.rules import Rule, exactly, loosened, machine_rules, rules_of
from planner.solve.solution import Solution, finished, keeps_promises, obeys_limits

PROOF_MARGIN = 1e-6
"""L(y) must exceed this share of a demand, of a cap or of an attainment: above float noise."""
REPAIR_STEPS, HALVINGS = 30, 8
"""Most proofs on the way to the least relaxation of a limit."""
SEARCHED = "branch and bound of HiGHS on the whole program"
WHOLE_ROUTES = 30_000
"""Programs of no more routes are also searched whole for any plan"""
ELASTIC_ROUTES = 5_000
"""and of no more than these for the least change of a rule."""
SEARCH_S = 5.0
"""Most seconds of one such search."""
SEARCH_GAP, ANY_GAP = 1e-5, 1.0
"""Where the search for a least change stops, and one for any plan."""
TOLERANCE = 1e-6
"""Of HiGHS: left out of what is claimed."""
SPARE = 0.02
"""Of what is left of a limit that is not linear: so much more than needed is tried."""
MOST_CONFLICTS = 8
"""Repairs may conflict with each other again: no more are told."""
ROOM_S = 1.0
"""Most seconds for how much of a cap any plan needs."""
COST = np.array([1.0, 0.0, 0.0, 0.0])
AFTERWARDS = "once the first repair of each conflict before is made"
MENDED = "the first repairs before mend this too"
NO_MACHINES = "demand against the machines that can be had"


class PhaseOne(Master):
    """The relaxation that minimises the artificial columns alone."""

    first_penalty = 1.0
    last_penalty = 1.0


def prove_infeasible(index: FleetIndex, deadline: float = float("inf")) -> Bound | None:
    """A bound with weights 0 above the float margin, which proves that no plan exists, or None.

    None is no statement: plans may exist, or time was up.
    """
    generation = Generation(PhaseOne(index, np.zeros(4)))
    generation.start()
    bound = generation.generate(1e-4, deadline).bound
    return bound if bound.value > PROOF_MARGIN else None


def explain(index: FleetIndex, deadline: float = float("inf")) -> InfeasibleError:
    """The error to raise, with conflicts and repairs; `deadline` is of `time.monotonic`.

    Raises SolverError where infeasibility is not proved.
    """
    return _told(Diagnosis(index, deadline, known=False))


def impossible_whole(index: FleetIndex, deadline: float = float("inf")) -> InfeasibleError:
    """The same where the relaxation has plans, and branch and bound on the whole program has shown
    that the integer program has none."""
    return _told(Diagnosis(index, deadline, known=True))


def _told(diagnosis: Diagnosis) -> InfeasibleError:
    conflicts = diagnosis.conflicts()
    proof = SEARCHED if diagnosis.searched else ""
    headline = f"{len(conflicts)} conflicts" if len(conflicts) > 1 else "rules conflict"
    if len(conflicts) == 1 and len(conflicts[0].rules) == 1:
        headline = "a rule is out of reach"
        if conflicts[0].rules == (NO_MACHINES,):
            headline = "demand exceeds what can be served"
    together = diagnosis.together if len(conflicts) > 1 else ()
    return InfeasibleError(headline, conflicts=conflicts, proof=proof, together=together)


def nothing_found(
    index: FleetIndex, seconds: float, tried: Sequence[str], deadline: float = float("inf")
) -> SolverError:
    """The error where time was up before a plan or a proof: what was tried, what leaves little
    room; `deadline` is of `time.monotonic`."""
    told = f"no plan was found in {seconds:.3g} s, and none is proved impossible"
    if tried:
        told += f"; tried: {', '.join(tried)}"
    room = [words for rule in rules_of(index.data) if (words := _room(index, rule, deadline))]
    if room:
        told += f"; what limits: {', '.join(room)}. Give more room there, or more time"
    else:
        told += ". Give more time"
    return SolverError(f"{told} (--time-limit)")


def _room(index: FleetIndex, rule: Rule, deadline: float) -> str:
    """How much of a cap the relaxation needs at least; "" for other rules, and without time."""
    left = min(deadline - time.monotonic(), ROOM_S)
    if rule.total < 0 or left <= 0.0:
        return ""
    free = replace(index, data=loosened(index.data, rule))
    generation = Generation(Master(free, _only_total(rule)))
    generation.start()
    bound = generation.generate(1e-3, time.monotonic() + left, must_solve=False).bound
    least = rule.said(bound.value, safe=False)
    return f"the {rule.name} ({'at least' if rule.rises else 'at most'} {least} by the relaxation)"


def _conflict(clash: Clash, repairs: Sequence[Repair], note: str) -> Conflict:
    """The same in words."""
    notes = [note, "" if clash.smallest else "not all of them may be needed for it"]
    if not clash.rules:
        return Conflict((NO_MACHINES,), tuple(map(str, repairs)), "whatever the rules")
    if clash.searched:
        notes.append(f"proved by {SEARCHED}")
    said = "; ".join(part for part in notes if part)
    return Conflict(tuple(r.name for r in clash.rules), tuple(map(str, repairs)), said)


def quick_plan(index: FleetIndex, weights: FloatArray, limit_s: float) -> Solution | None:
    """A plan near the relaxation's own, or None: no statement."""
    deadline = time.monotonic() + limit_s
    generation = Generation(Master(index, weights))
    generation.start()
    found = generation.generate(1e-3, deadline, must_solve=False)
    left = deadline - time.monotonic()
    if not found.artificial <= 1e-6 or left <= 0.0:
        return None
    variants = leading_variants(index, found.adopt)
    routes = around(index, found.routes, found.bound.reduced, variants)
    aim = Aim(weights, generation.master.scale)
    plan = decoded(index, aim, variants, routes, left)
    if plan is None:
        plan, _ = aim.program(index, variants, routes).solve(left, ANY_GAP)
    kept = plan is not None and obeys_limits(index, plan) and keeps_promises(index, plan)
    return plan if kept else None


@dataclass(frozen=True)
class Repair:
    """How far one rule has to give way, all others as they are."""

    rule: Rule
    needed: float
    """stricter limits are proved impossible"""
    enough: float
    """a plan keeps this limit; NaN: none was found"""
    searched: bool
    """the proof is that of branch and bound"""

    @property
    def size(self) -> tuple[bool, float]:
        """What is known to be enough comes first, then what is the smaller part of the limit."""
        unknown = bool(np.isnan(self.enough))
        change = abs((self.needed if unknown else self.enough) - self.rule.limit)
        return unknown, change / max(abs(self.rule.limit), 1e-9)

    @property
    def limit(self) -> float:
        """The one to go on with: without one that is enough, none."""
        return self.rule.loosest if np.isnan(self.enough) else self.enough

    def __str__(self) -> str:
        """``raise the quota of l4 in x from 8 to 11 accelerators``."""
        rule = self.rule
        verb, least, less = ("raise", "at least", "less") if rule.rises else (
            "lower", "at most", "more")  # fmt: skip
        start = f"{verb} the {rule.what} from {exactly(rule.written(rule.limit))} to"
        needed = rule.said(self.needed, safe=False)
        how = "proved impossible" + (" by branch and bound" if self.searched else "")
        if np.isnan(self.enough):
            return (
                f"{start} {least} {needed}{rule.unit} ({less} is {how}; whether that is enough is "
                "not known)"
            )
        enough = rule.said(self.enough, safe=True)
        if self.needed == rule.limit:
            return f"{start} {enough}{rule.unit} (a plan keeps it; {less} may be enough)"
        if enough != needed:
            less += f" than {needed}"
        return f"{start} {enough}{rule.unit} (a plan keeps it; {less} is {how})"


@dataclass(frozen=True)
class Clash:
    """Rules that cannot all hold."""

    rules: tuple[Rule, ...]
    searched: bool
    """the proof is that of branch and bound"""
    smallest: bool
    """each of them is needed for it"""


@dataclass
class Diagnosis:
    """All conflicts of one fleet; `conflicts` is the algorithm."""

    index: FleetIndex
    deadline: float
    known: bool
    """that there is no plan is known, though the relaxation may have one"""
    sure: bool = True
    """no search ended without an answer"""
    searched: bool = False
    """something of what is told rests on branch and bound"""
    together: tuple[str, ...] = ()
    """the first repairs of all conflicts, in words"""

    def conflicts(self) -> list[Conflict]:
        """Conflicts with their repairs, until the repaired fleet is not proved impossible.

        Raises SolverError where not even the first is proved.
        """
        told: list[Conflict] = []
        data, note = self.index.data, ""
        while len(told) < MOST_CONFLICTS and (clashes := self._clashes(data, first=not told)):
            repaired = data
            for clash in clashes:
                if clash.rules:
                    repairs = self._repairs(_beside(data, clash, clashes), clash.rules)
                else:
                    machines = machine_rules(data)[:MOST_CONFLICTS]
                    free = _only(data, rules_of(data), [])
                    repairs = self._repairs(data, machines) or self._repairs(free, machines)
                mended = (
                    bool(clash.rules)
                    and clash is not clashes[0]
                    and self._is_mended(repaired, clash)
                )
                told.append(_conflict(clash, repairs, MENDED if mended else note))
                if repairs and not mended:
                    repaired = repairs[0].rule.with_limit(repaired, repairs[0].limit)
            self.together = self._moved(repaired)
            if repaired is data or self._late():
                break
            data, note = repaired, AFTERWARDS
        if not told:
            raise SolverError("no plan was found, and the instance is not proved infeasible")
        return told

    def _moved(self, data: FleetData) -> tuple[str, ...]:
        """Where the limits of the data went, of those that moved."""
        now = {rule.what: rule for rule in (*rules_of(data), *machine_rules(data))}
        told = []
        for rule in (*rules_of(self.index.data), *machine_rules(self.index.data)):
            if rule.what not in now:
                told.append(f"leave out the {rule.name}")
            elif now[rule.what].limit != rule.limit:
                told.append(str(Repair(rule, rule.limit, now[rule.what].limit, searched=False)))
        return tuple(words.split(" (")[0] for words in told)

    def _is_mended(self, data: FleetData, clash: Clash) -> bool:
        """Whether the rules of a clash no longer conflict under the limits of the data."""
        names = {rule.what for rule in clash.rules}
        now = [rule for rule in rules_of(data) if rule.what in names]
        return self._parts(_only(data, rules_of(data), now), searches=clash.searched) is None

    def _late(self) -> bool:
        return time.monotonic() > self.deadline

    # ------------------------------------------------------------------ conflicts

    def _clashes(self, data: FleetData, *, first: bool) -> list[Clash]:
        """Rules that conflict, then what still conflicts without the first rule of each."""
        found: list[Clash] = []
        while not found or not self._late():
            proved = self._parts(data, searches=False)
            known = first and not found and self.known
            part = proved or (rules_of(data) if known else self._parts(data, searches=True))
            if part is None:
                break
            found.append(self._smallest(data, part, searches=proved is None))
            if not found[-1].rules:
                break
            data = loosened(data, found[-1].rules[0])
        return found

    def _parts(self, data: FleetData, *, searches: bool) -> list[Rule] | None:
        """The rules that have a part in a proof that there is no plan; None: no proof."""
        index, rules = self._at(data), rules_of(data)
        proof = prove_infeasible(index, self.deadline)
        if proof is not None:
            return [rule for rule in rules if rule.rate(index, proof) > 0.0]
        return rules if searches and self._has_none(index) else None

    def _has_none(self, index: FleetIndex) -> bool:
        """Whether branch and bound on the whole program says that there is no plan."""
        left = min(self.deadline - time.monotonic(), SEARCH_S)
        if left <= 0.0 or len(index.pool) > WHOLE_ROUTES:
            self.sure = False
            return False
        if quick_plan(index, COST, left) is not None:
            return False
        variants = np.flatnonzero(index.variant_complete)
        program = Restricted(index, np.zeros(4), variants, routes_of(index, variants))
        _, end = program.solve(left, 1.0, check=False)
        self.sure = self.sure and (end.has_solution or end.status == "infeasible")
        return end.status == "infeasible"

    def _smallest(self, data: FleetData, rules: Sequence[Rule], *, searches: bool) -> Clash:
        """Deletion filter: a set of rules that conflicts, and whether each of them is needed."""
        self.sure = self.sure or not searches
        every, kept, needed = rules_of(data), list(rules), list[str]()
        caps = [rule for rule in rules if rule.total >= 0]
        if len(caps) < len(kept):
            kept = self._parts(_only(data, every, caps), searches=searches) or kept
        # What is asked first goes first: the user would rather hear of a cap than of all beneath.
        for rule in reversed(kept):
            left = [other for other in kept if other is not rule]
            if len(left) == len(kept):
                continue
            if self._late():
                return Clash(tuple(kept), searches, smallest=False)
            part = self._parts(_only(data, every, left), searches=searches)
            if part is None:
                needed.append(rule.what)
            else:
                still = {*needed, *(other.what for other in part)}
                kept = [other for other in left if other.what in still]
        self.searched = self.searched or searches
        return Clash(tuple(kept), searches, smallest=self.sure or not searches)

    # ------------------------------------------------------------------ repairs

    def _repairs(self, data: FleetData, rules: Sequence[Rule]) -> list[Repair]:
        """For each of the rules the least change that mends the conflict, where one does; those
        that change least of their limit first."""
        found = (self._repair(data, rule) for rule in rules)
        return sorted((r for r in found if r is not None), key=lambda r: r.size)

    def _repair(self, data: FleetData, rule: Rule) -> Repair | None:
        """The least change of one rule alone; None where none helps, or none was found in time."""
        if self._late():
            return None
        least = self._least_total if rule.total >= 0 else self._least_limit
        found = least(data, rule)
        if found is None:
            return None
        needed, master = found
        enough, proved = self._kept(data, rule, needed, master)
        further = (proved - needed) * rule.direction > 1e-6 * max(1.0, abs(needed))
        if np.isinf(proved):
            return None
        needed = proved if further else needed
        if needed == rule.limit and enough == rule.limit:
            return None
        return Repair(rule, needed, enough, searched=further)

    def _least_total(self, data: FleetData, rule: Rule) -> tuple[float, Master] | None:
        """The least total that the relaxation proves, and the program with its columns."""
        generation = Generation(Master(self._at(loosened(data, rule)), _only_total(rule)))
        generation.start()
        found = generation.generate(1e-5, self.deadline, must_solve=False)
        if not np.isfinite(found.artificial) or found.artificial > 1e-6:
            return None
        return max(found.bound.value, rule.limit), generation.master

    def _least_limit(self, data: FleetData, rule: Rule) -> tuple[float, Master] | None:
        """The strictest limit that no prices prove impossible."""
        if rule.rows is None:
            return self._halved(data, rule)
        limit = rule.limit
        for _ in range(REPAIR_STEPS):
            index, proof, master = self._phase_one(rule.with_limit(data, limit))
            if self._late():
                return None
            if proof.value <= PROOF_MARGIN:
                break
            rate = rule.rate(index, proof)
            if rate <= 0.0 or limit == rule.loosest:
                return None
            limit = rule.next_after(limit, proof.value / rate)
        return limit, master

    def _halved(self, data: FleetData, rule: Rule) -> tuple[float, Master] | None:
        """The same for a limit that a proof is not linear in: the strictest one not told yet."""
        strict, loose = rule.limit, rule.loosest
        _, proof, master = self._phase_one(rule.with_limit(data, loose))
        if proof.value > PROOF_MARGIN or self._late():
            return None
        for _ in range(HALVINGS):
            middle = 0.5 * (strict + loose)
            _, proof, found = self._phase_one(rule.with_limit(data, middle))
            if proof.value > PROOF_MARGIN:
                strict = middle
            else:
                loose, master = middle, found
        return strict, master

    def _phase_one(self, data: FleetData) -> tuple[FleetIndex, Bound, Master]:
        """What prices prove of the data, and the program with its columns."""
        index = self._at(data)
        generation = Generation(PhaseOne(index, np.zeros(4)))
        generation.start()
        return index, generation.generate(1e-4, self.deadline).bound, generation.master

    def _kept(
        self, data: FleetData, rule: Rule, needed: float, master: Master
    ) -> tuple[float, float]:
        """(a limit that a plan keeps, NaN without one; a stricter one that branch and bound proves
        too strict, at best)."""
        left = min(self.deadline - time.monotonic(), SEARCH_S)
        if left <= 0.0:
            return np.nan, rule.limit
        whole = len(self.index.pool) <= ELASTIC_ROUTES
        if whole:
            variants = np.flatnonzero(self.index.variant_complete)
            routes = routes_of(self.index, variants)
        else:
            variants, routes = np.flatnonzero(master.col_adopt >= 0), master.routes()
        limit, proved = Elastic(self._at(data), rule, needed, variants, routes).least(left)
        return limit, (proved if whole else rule.limit)

    def _at(self, data: FleetData) -> FleetIndex:
        """The same order of groups and routes over data that differ in limits only."""
        return replace(self.index, data=data)


class Elastic:
    """The integer program whose objective is how far one rule gives way."""

    def __init__(
        self, index: FleetIndex, rule: Rule, needed: float, variants: IntArray, routes: IntArray
    ) -> None:
        self.index, self.rule = index, rule
        self.base = rule.limit
        """what the slack is added to"""
        if rule.rows is None:
            # Not linear: nothing but a little more than what is needed is tried.
            self.base = needed + rule.direction * SPARE * abs(rule.loosest - needed)
        if rule.total >= 0:
            free = loosened(index.data, rule)
        else:
            free = rule.room(rule.with_limit(index.data, self.base))
        weights = _only_total(rule) if rule.total >= 0 else np.zeros(4)
        self.program = Restricted(replace(index, data=free), weights, variants, routes)
        self.unit = 1e3 / max(abs(rule.limit), 1e-3)
        """of a slack in the objective"""
        if rule.rows is not None:
            self._add_slack(rule.rows(self.program))

    def _add_slack(self, rows: IntArray) -> None:
        rows = rows[rows >= 0]
        count = len(rows)
        most = np.array([abs(self.rule.loosest - self.rule.limit)])
        add_columns(
            *(self.program.highs, np.array([self.unit]), np.zeros(1), most),
            *(rows, np.zeros(count, dtype=np.int64), np.full(count, self.rule.sign)),
        )

    def least(self, limit_s: float) -> tuple[float, float]:
        """(a limit that a plan keeps, NaN without one; what branch and bound proves too strict:
        infinitely far where no limit helps)."""
        began = time.monotonic()
        start = None
        if self.rule.total >= 0:
            start = quick_plan(self.program.index, self.program.weights, 0.5 * limit_s)
        left = limit_s - (time.monotonic() - began)
        found, end = self.program.solve(left, SEARCH_GAP, start, check=False)
        if self.rule.total >= 0:
            constant = float(self.program.weights @ self.program.index.fixed_totals)
            proved = end.bound + constant
            limit = np.nan if found is None else float(found.totals[self.rule.total])
            proved -= TOLERANCE * max(abs(proved), TOLERANCE)
        elif self.rule.rows is None or found is None:
            proved, limit = self.rule.limit, self.base
        else:
            slack = float(self.program.highs.getSolution().col_value[-1])
            limit = self.rule.moved(self.base, slack)
            proved = self.rule.moved(self.base, max(end.bound / self.unit - TOLERANCE, 0.0))
        if end.status == "infeasible":
            return np.nan, self.rule.direction * np.inf
        if found is None or not self._is_kept(found, self.rule.safe(limit)):
            return np.nan, proved
        return self.rule.safe(limit), proved

    def _is_kept(self, found: Solution, limit: float) -> bool:
        """As it is, or with what must be rented counted again."""
        index = replace(self.index, data=self.rule.with_limit(self.index.data, limit))
        parts = (found.adopt, found.routes, found.serve, found.buy, found.rent.astype(np.float64))
        again = finished(index, *parts, found.train, found.by_hour, found.hold)
        return any(obeys_limits(index, x) and keeps_promises(index, x) for x in (found, again))


def _only_total(rule: Rule) -> FloatArray:
    weights = np.zeros(4)
    weights[rule.total] = 1.0
    return weights


def _only(data: FleetData, every: Sequence[Rule], left: Sequence[Rule]) -> FleetData:
    """The data under the given rules alone."""
    names = {rule.what for rule in left}
    for rule in every:
        if rule.what not in names:
            data = loosened(data, rule)
    return data


def _beside(data: FleetData, clash: Clash, clashes: Sequence[Clash]) -> FleetData:
    """The data without what makes the other conflicts."""
    mine = {rule.what for rule in clash.rules}
    for other in clashes:
        if other.rules and other.rules[0].what not in mine:
            data = loosened(data, other.rules[0])
    return data
