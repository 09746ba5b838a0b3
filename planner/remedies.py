"""What would let a workload be served that the rules leave nothing for: changes that were tried.

Every exclusion names a lever of the instance: a target, a floor, an llm's limits, a quota. Pulled
all the way, one after another, they show what else excludes, in the order in which it binds. Then
single levers are tried, and where none is enough two or three together; those that are enough are
pulled back as far as the workload can still be served. Tried means: candidates are built for the
workload alone, and their relaxation is not proved to hold no plan.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from planner.candidates import UnservedError, build_candidates
from planner.candidates.kinds import Exclusion
from planner.errors import Conflict, InfeasibleError
from planner.instance.facts import Facts
from planner.instance.schema import Caps, Quota, Workload
from planner.solve.diagnose import prove_infeasible
from planner.solve.index import FleetIndex

MOST_S, LEAST_S = 10.0, 0.5
"""For one workload; and for all of them, where the time is over."""
MOST_TOGETHER = 3
"""Levers that are tried together."""
LOOSE = 20.0
"""Targets are raised to so many times today's at most."""
MOST_ACCELERATORS = 4096.0
"""Of a quota that is raised."""
ATTAINMENT = "attainment"
TARGETS = ("TTFT target", "TPOT target")

Change = Callable[[Facts, float], Facts]


@dataclass(frozen=True)
class Lever:
    """A change of the instance, some with a figure to be moved from `strict` towards `loose`."""

    key: str
    words: Callable[[float], str]
    change: Change
    strict: float = 0.0
    loose: float = 0.0
    digits: int = 0
    """decimals of the figure in words"""


@contextmanager
def explaining(facts: Facts, deadline: float = math.inf) -> Iterator[None]:
    """An InfeasibleError from inside leaves with remedies that were tried on the facts."""
    try:
        yield
    except InfeasibleError as error:
        raise explained(facts, error, deadline) from error


def explained(facts: Facts, error: InfeasibleError, deadline: float = math.inf) -> InfeasibleError:
    """The error with remedies that were tried: for workloads that nothing may serve, and for an
    attainment out of reach the target that would do; until the `deadline` of `time.monotonic`."""
    deadline = max(deadline, time.monotonic() + LEAST_S)
    if isinstance(error, UnservedError):
        conflicts = [_unserved(facts, name, error, deadline) for name in error.exclusions]
    else:
        conflicts = [_with_targets(facts, part, deadline) for part in error.conflicts]
    return InfeasibleError(
        error.headline, conflicts=conflicts, proof=error.proof, together=error.together
    )


def _unserved(facts: Facts, workload: str, error: UnservedError, deadline: float) -> Conflict:
    trials = Trials(facts, workload, deadline)
    ways = [way.words for way in trials.ways(error.exclusions[workload])]
    then = tuple(f"then {_said(reason)}" for reason in trials.later)
    return Conflict(error.reasons[workload] + then, tuple(ways))


def _said(found: Exclusion) -> str:
    if found.rule == ATTAINMENT:
        return f"attainment: {found.needed:g} of the answers to {found.workload} in time"
    return str(found)


def _with_targets(facts: Facts, part: Conflict, deadline: float) -> Conflict:
    """A conflict over the attainment of one workload, with the target that lets it be kept."""
    names = [w.workload for w in facts.instance.workloads]
    named = [n for n in names if len(part.rules) == 1
             and part.rules[0].startswith(f"attainment of {n} of ")]  # fmt: skip
    if not named:
        return part
    trials = Trials(facts, named[0], deadline)
    found = [way for lever in trials.targets() if (way := trials.least((lever,))) is not None]
    return dataclasses.replace(part, repairs=(*part.repairs, *(way.words for way in found)))


@dataclass(frozen=True)
class Way:
    """Levers and their least figures that together let the workload be served."""

    levers: tuple[tuple[Lever, float], ...]

    @property
    def words(self) -> str:
        """All of them."""
        return ", and ".join(lever.words(value) for lever, value in self.levers)


class Trials:
    """What lets one workload be served, on the facts of that workload alone."""

    def __init__(self, facts: Facts, workload: str, deadline: float) -> None:
        self.facts, self.workload = only(facts, workload), workload
        self.deadline = min(deadline, time.monotonic() + MOST_S)
        self.later: list[Exclusion] = []
        """reasons that bind once the first ones are out of the way"""

    @property
    def row(self) -> Workload:
        """The workload."""
        return self.facts.instance.workloads[0]

    # ------------------------------------------------------------------ the search

    def ways(self, found: Sequence[Exclusion]) -> list[Way]:
        """The fewest levers that are enough, alternatives side by side; maybe none."""
        levers = self._all_levers(found)
        for size in range(1, MOST_TOGETHER + 1):
            made = [way for chosen in combinations(levers, size)
                    if (way := self.least(chosen)) is not None]  # fmt: skip
            if made:
                return made
        return []

    def _all_levers(self, found: Sequence[Exclusion]) -> list[Lever]:
        """Those of the first reasons, then of what excludes once these are out of the way."""
        known: dict[str, Lever] = {}
        left: Sequence[Exclusion] | None = found
        while left:
            fresh = {x.key: x for x in self._levers(left) if x.key not in known}
            self.later += [x for x in left if x not in found and x not in self.later]
            if not fresh:
                break
            known |= fresh
            left = self._excluding([(lever, lever.loose) for lever in known.values()])
        return list(known.values())

    def least(self, levers: Sequence[Lever]) -> Way | None:
        """The levers pulled back as far as they are still enough; None where they never are."""
        values = {lever.key: lever.loose for lever in levers}

        def enough(**changed: float) -> bool:
            now = values | changed
            return self._excluding([(lever, now[lever.key]) for lever in levers]) is None

        if not enough():
            return None
        for lever in levers:
            if lever.strict != lever.loose:
                values[lever.key] = _least(lever, lambda x, k=lever.key: enough(**{k: x}))  # type: ignore[misc]
        return Way(tuple((lever, values[lever.key]) for lever in levers))

    def _excluding(self, pulled: Sequence[tuple[Lever, float]]) -> tuple[Exclusion, ...] | None:
        """What excludes the workload with these changes made; None: nothing is known to."""
        if time.monotonic() > self.deadline:
            return ()
        facts = self.facts
        for lever, value in pulled:
            facts = lever.change(facts, value)
        try:
            data = build_candidates(facts, prune=False).data
        except UnservedError as error:
            return error.exclusions[self.workload]
        except InfeasibleError:
            return ()
        if prove_infeasible(FleetIndex.build(data), self.deadline) is None:
            return None
        asked = float(data.attainment_min[0])
        return () if math.isnan(asked) else (
            Exclusion(ATTAINMENT, self.workload, None, None, 1, asked, 0.0, "share in time"),
        )  # fmt: skip

    # ------------------------------------------------------------------ the levers

    def _levers(self, found: Sequence[Exclusion]) -> Iterator[Lever]:
        """What the exclusions suggest, in their order."""
        for x in found:
            if x.rule == ATTAINMENT:
                yield from self.targets()
                yield _of_workload(
                    ATTAINMENT, f"lower the attainment of {self.workload} to {{:.3f}}",
                    "attainment_min", x.needed, 0.0, 3,
                )  # fmt: skip
            elif x.rule in TARGETS:
                yield from (lever for lever in self.targets() if lever.key == x.rule)
            elif x.rule == "quality floor":
                words = f"lower quality_min of {self.workload} to {{:.3f}}"
                yield _of_workload(x.rule, words, "quality_min", self.row.quality_min, 0.0, 3)
            elif x.rule == "residency":
                words = f"drop the residency {x.where} of {self.workload}"
                yield _of_workload(x.rule, words, "residency", None, None, 0)
            elif x.rule == "memory":
                yield _memory(self.facts, x)
            elif x.rule == "quota":
                yield _quota(self.facts, x)
            else:
                yield _of_table(x)

    def targets(self) -> Iterator[Lever]:
        """The latency targets that the workload has."""
        for rule, name in zip(TARGETS, ("ttft_target_s", "tpot_target_s"), strict=True):
            target = getattr(self.row, name)
            if target is not None:
                words = f"raise the {rule} of {self.workload} to {{:,.0f}} ms"
                strict = 1e3 * target
                yield _of_workload(rule, words, name, strict, LOOSE * strict, 0, unit=1e-3)


def _least(lever: Lever, enough: Callable[[float], bool]) -> float:
    """The figure nearest to today's that is enough, among those with the lever's decimals."""
    unit = 10.0**-lever.digits
    strict, loose = round(lever.strict / unit), round(lever.loose / unit)
    rises = loose > strict
    while abs(loose - strict) > 1:
        middle = max(math.isqrt(strict * loose), strict + 1) if rises else (strict + loose) // 2
        if enough(middle * unit):
            loose = middle
        else:
            strict = middle
    return loose * unit


def only(facts: Facts, workload: str) -> Facts:
    """The facts of one workload, without caps, and with no limit on change."""
    instance = facts.instance
    settings = instance.settings.model_copy(update={"incumbent": None, "caps": Caps()})
    kept = {
        name: tuple(row for row in getattr(instance, name) if row.workload == workload)
        for name in ("workloads", "length_classes", "demand")
    }
    return dataclasses.replace(
        facts,
        instance=instance.model_copy(update={"settings": settings, **kept}),
        variants=tuple(v for v in facts.variants if v.workload == workload),
    )


# ---------------------------------------------------------------------- levers of one kind


def _of_workload(
    key: str, words: str, field: str, strict: float | None, loose: float | None, digits: int,
    *, unit: float = 1.0,
) -> Lever:  # fmt: skip
    """A field of the workload's row; None: the field is left blank."""

    def change(facts: Facts, value: float) -> Facts:
        update = {field: None if loose is None else unit * value}
        rows = tuple(w.model_copy(update=update) for w in facts.instance.workloads)
        return _with_instance(facts, {"workloads": rows})

    return Lever(key, words.format, change, strict or 0.0, loose or 0.0, digits)


def _memory(facts: Facts, x: Exclusion) -> Lever:
    """More accelerators per replica where machines have them, else a larger accelerator."""
    llm, card = str(x.llm), str(x.where)
    largest = max((m.accelerators for m in facts.machines if m.accelerator == card), default=1)
    allowed = next(one.max_accelerators_per_replica for one in facts.llms if one.llm == llm)
    if largest > allowed:
        words = f"allow {largest} accelerators per replica of {llm}"
        return _fixed(f"accelerators {llm}", words, _llm(llm, max_accelerators_per_replica=largest))
    size = math.ceil(1.1 * x.needed / max(x.available, 1e-9))
    words = f"allow an accelerator with {size} times the memory of {card} for {llm}"

    def larger(given: Facts, _: float) -> Facts:
        cards = tuple(
            dataclasses.replace(a, memory_gb=size * a.memory_gb) if a.accelerator == card else a
            for a in given.accelerators
        )
        return dataclasses.replace(given, accelerators=cards)

    return _fixed(f"memory {card} {llm}", words, larger)


def _quota(facts: Facts, x: Exclusion) -> Lever:
    """The quotas of a machine's accelerator in its region, or the stock of the machine."""
    one = next(m for m in facts.machines if m.machine == str(x.where))
    if one.max_instances == 0:
        words = f"raise max_instances of {one.machine} to 1"
        return _fixed(f"stock {one.machine}", words, _machine(one.machine, max_instances=1))

    def is_mine(quota: Quota) -> bool:
        return (quota.region, quota.accelerator) == (one.region, one.accelerator)

    def change(given: Facts, most: float) -> Facts:
        quotas = tuple(
            quota.model_copy(update={"accelerators": max(quota.accelerators, int(most))})
            if is_mine(quota)
            else quota
            for quota in given.instance.quotas
        )
        return _with_instance(given, {"quotas": quotas})

    today = min(float(q.accelerators) for q in facts.instance.quotas if is_mine(q))
    words = f"raise the quota of {one.accelerator} in {one.region} to {{:,.0f}} accelerators"
    key = f"quota {one.region} {one.accelerator}"
    return Lever(key, words.format, change, today, MOST_ACCELERATORS, 0)


def _of_table(x: Exclusion) -> Lever:
    """Another llm, another grid, a price."""
    whole, llm, where = math.ceil(x.needed - 1e-6), str(x.llm), str(x.where)
    what, words, change = {
        "context length": (
            llm,
            f"allow an llm like {llm} with a context of {whole:,} tokens",
            _llm(llm, context_tokens=whole),
        ),
        "precision": (llm, f"allow {llm} in bf16", _llm(llm, precisions=("bf16",))),
        "heads": (
            llm,
            f"allow an llm like {llm} whose heads split over {whole:,} accelerators",
            _llm(llm, attention_heads=None, kv_heads=whole),
        ),
        "prompt lane": (
            "",
            f"allow prompt lanes of {whole:,} tokens (prompt_lane_tokens)",
            _serving("prompt_lane_tokens", float(whole)),
        ),
        "operating point": (
            "",
            f"allow an operating point above {whole:,} ms (operating_tpot_s)",
            _serving("operating_tpot_s", 1.1e-3 * whole),
        ),
        "price": (
            where,
            f"give a price for {where} in an allowed market",
            _machine(where, ondemand_usd_per_h=1.0),
        ),
    }[x.rule]
    return _fixed(f"{x.rule} {what}", words, change)


def _fixed(key: str, words: str, change: Change) -> Lever:
    return Lever(key, lambda _: words, change)


def _with_instance(facts: Facts, update: Mapping[str, Any]) -> Facts:
    return dataclasses.replace(facts, instance=facts.instance.model_copy(update=dict(update)))


def _llm(name: str, **values: Any) -> Change:
    return lambda facts, _: dataclasses.replace(
        facts,
        llms=tuple(dataclasses.replace(x, **values) if x.llm == name else x for x in facts.llms),
    )


def _machine(name: str, **values: Any) -> Change:
    return lambda facts, _: dataclasses.replace(
        facts,
        machines=tuple(
            dataclasses.replace(x, **values) if x.machine == name else x for x in facts.machines
        ),
    )


def _serving(name: str, value: float) -> Change:
    """One more value of a list of the serving settings, where the user gave one."""

    def change(facts: Facts, _: float) -> Facts:
        settings = facts.instance.settings
        given = getattr(settings.serving, name)
        longer = None if given is None else tuple(sorted({*given, value}))
        serving = settings.serving.model_copy(update={name: longer})
        return _with_instance(facts, {"settings": settings.model_copy(update={"serving": serving})})

    return change
