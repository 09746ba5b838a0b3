"""What an explanation consists of: plain frozen values with their units, ready for JSON.

Amounts are in the unit of the objective that the plan minimises (`Explanation.unit`): USD, kgCO2e
or QoE. None means: not known, or not found in the time given.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from planner.plan import Objectives

if TYPE_CHECKING:
    import pandas as pd

FORMAT_VERSION = 1

SAME = "same"
"""the plan does so already"""
EXCLUDED = "excluded"
"""no candidate: a rule excludes it, whatever the rest of the plan"""
INFEASIBLE = "infeasible"
"""a candidate, but no plan with it keeps every rule, proved"""
PRICED = "priced"
"""a plan with it was found and checked"""
BOUNDED = "bounded"
"""proved to cost at least so much more; no plan with it was found in the time given"""


@dataclass(frozen=True)
class Price:
    """What insisting on something costs more than the plan: proved to lie in [least, most].

    ``least = forced_bound - plan_value`` (at least 0, for the plan's own bound holds for every
    plan), ``most = forced_value - plan_bound``; `estimate` is forced value less plan value. A
    negative estimate: the forced plan is better than the plan explained, which was not optimal.
    """

    verdict: str
    """``same``, ``excluded``, ``infeasible``, ``priced`` or ``bounded``"""
    least: float | None = None
    most: float | None = None
    estimate: float | None = None
    forced_value: float | None = None
    forced_bound: float | None = None
    plan_gap_relative: float | None = None
    forced_gap_relative: float | None = None
    forced: Objectives | None = None
    """cost, carbon and QoE of the forced plan"""
    solved: bool = False
    """re-solved; else the bound is that of the plan's own prices, the plan a quick repair"""
    reasons: tuple[str, ...] = ()
    """what excludes it or conflicts, with numbers"""
    repairs: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Choice:
    """One choice of the plan, what holds it there, and the price of doing without it."""

    kind: str
    """``adaptation``, ``llm``, ``region``, ``accelerator`` or ``market``"""
    subject: str
    """the workload, or the place"""
    chosen: str
    share: float
    """of the plan's cost that it is about"""
    limits: tuple[str, ...]
    """limits that bind it, or that rule cheaper ways out"""
    runner_up: str | None
    """what the best plan without the choice does instead"""
    price: Price


@dataclass(frozen=True)
class WhyNot:
    """The answer to one ``--why-not``."""

    wish: str
    matches: tuple[str, ...]
    """what the wish stands for, in words"""
    price: Price
    changes: tuple[str, ...]
    """how the forced plan differs from the plan, in words"""


@dataclass(frozen=True)
class Trial:
    """One value of a figure and how the two sides compare there.

    `advantage` is what the plan's own choice is better by (rival less own, proved to lie in
    [least, most]; None: that side is not possible there).
    """

    value: float
    leader: str
    """``own``, ``rival``, ``open`` (within the gaps), ``none`` (no plan exists, proved) or
    ``refused`` (the instance format has no such value)"""
    proved: bool
    least: float | None
    most: float | None
    estimate: float | None


@dataclass(frozen=True)
class Flip:
    """A verdict turns between two tested values; `proved`: both verdicts are proved there."""

    last_own: float
    first_rival: float
    proved: bool


@dataclass(frozen=True)
class BreakEven:
    """The value of a figure at which another adaptation of a workload wins."""

    workload: str
    own: str
    rival: str
    figure: str
    """``demand``, ``refresh`` or ``quality``"""
    change: str
    """the expression that moves it, e.g. ``demand.chat*=``"""
    unit: str
    today: float
    guess: float | None
    """closed form at marginal prices; None: it says that nothing turns"""
    tested_low: float
    tested_high: float
    flip: Flip | None
    """None: no turn inside the tested range"""
    tests: tuple[Trial, ...]
    note: str = ""


@dataclass(frozen=True)
class PriceTag:
    """A finite difference: one limit moved, the plan re-solved.

    `per_unit` is the change of the objective per unit of the limit (negative: it gets cheaper),
    proved to lie in [least, most] for the whole step; `estimate` compares the plans found.
    """

    limit: str
    """in words, e.g. ``quota of 24 h100-sxm in aws:us-east-1``"""
    change: str
    """the expression that moved it"""
    unit: str
    used: float | None
    today: float
    moved_to: float
    least: float | None
    most: float | None
    estimate: float | None
    per_unit: float | None
    feasible: bool
    solved: bool
    note: str = ""


@dataclass(frozen=True)
class Threshold:
    """Where the plan's choices of llm, adaptation and accelerator type stop being the best."""

    name: str
    """in words"""
    change: str
    """the expression that moves it, e.g. ``prices.h100-sxm*=``"""
    unit: str
    """of the values: ``times today`` or ``added``"""
    today: float
    tested_low: float
    tested_high: float
    below: Flip | None
    """a turn below today's value, and None where there is none down to `tested_low`"""
    above: Flip | None
    changes_below: tuple[str, ...]
    """what the better plan decides otherwise"""
    changes_above: tuple[str, ...]
    tests: tuple[Trial, ...]
    complete: bool
    """both ends were tested; otherwise time was up"""
    note: str = ""


@dataclass(frozen=True)
class Explanation:
    """All answers about one plan; sections that were not asked for are empty."""

    run: str
    point: str | None
    instance: str
    sha256: str
    minimised: str
    unit: str
    value: float
    bound: float
    gap_relative: float
    choices: tuple[Choice, ...] = ()
    why_not: tuple[WhyNot, ...] = ()
    break_evens: tuple[BreakEven, ...] = ()
    price_tags: tuple[PriceTag, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    not_reached: tuple[str, ...] = ()
    """what there was no time for"""
    better: Objectives | None = None
    """a better plan than the one explained was met on the way"""
    seconds: float = 0.0
    format_version: int = FORMAT_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists, ready for JSON."""
        return dataclasses.asdict(self)

    def to_frame(self) -> pd.DataFrame:
        """One row per choice and per ``--why-not``, with its price."""
        import pandas as pd

        rows = [
            {"kind": c.kind, "subject": c.subject, "chosen": c.chosen, "instead": c.runner_up,
             **_figures(c.price)}
            for c in self.choices
        ] + [
            {"kind": "why not", "subject": w.wish, "chosen": None, "instead": None,
             **_figures(w.price)}
            for w in self.why_not
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        from planner.explain.html import explanation_html

        return explanation_html(self)


def _figures(price: Price) -> dict[str, object]:
    names = ("verdict", "least", "most", "estimate", "forced_value", "forced_bound", "solved")
    return {name: getattr(price, name) for name in names}
