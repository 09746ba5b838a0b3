"""The one exception tree.

::

    PlannerError                 anything we raise on purpose; `exit_code` is the process's
    ├── InstanceError            the instance folder is invalid (findings attached)      3
    │   └── PointsError          a table of serving points is (findings attached)        3
    ├── CatalogError             a catalog id or table is unknown or damaged             1
    ├── InfeasibleError          proved infeasible (conflict and repair attached)        4
    ├── SolverError              the solver failed or returned nonsense                  1
    ├── VerificationError        a plan or certificate failed the independent check      1
    ├── FeedError                a feed failed or looks wrong, and its policy says stop  1
    ├── RunError                 a run folder is missing, damaged or of another version  1
    └── HistoryError             the history is missing, damaged, busy, or refuses       1
        ├── UnknownRunError      the history holds no such run or file                   1
        ├── ApprovalError        this plan cannot be decided on (any more)               1
        └── LockLostError        somebody else acts: what was done is not recorded       1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class PlannerError(Exception):
    """Base of every error the planner raises on purpose."""

    exit_code = 1


class InstanceError(PlannerError):
    """The instance folder is invalid; `findings` lists every problem found."""

    exit_code = 3

    def __init__(self, message: str, findings: tuple[object, ...] = ()) -> None:
        super().__init__(message)
        self.findings = findings


class PointsError(InstanceError):
    """A table of serving points is invalid; `findings` lists every problem found."""


class CatalogError(PlannerError):
    """A catalog id is unknown, or a catalog table is damaged."""


MOST_RULES_SAID = 6
"""In one line."""


@dataclass(frozen=True)
class Conflict:
    """Rules that cannot all hold, and changes each of which would mend that."""

    rules: tuple[str, ...]
    repairs: tuple[str, ...] = ()
    note: str = ""
    """what else is to be known: what it rests on, that it stands once those before are mended"""


class InfeasibleError(PlannerError):
    """No plan exists, with proof; every one of `conflicts` needs one of its repairs.

    `headline` is the message without the rules; `conflict` and `repair` are the rules and repairs
    of all conflicts in one list; `together` mends all of several; `proof` is what the statement
    rests on, where that is more than prices that anybody can check; `notes` say for which choices
    it holds, and which limits are defaults.
    """

    exit_code = 4

    def __init__(
        self,
        headline: str,
        conflict: tuple[str, ...] = (),
        repair: tuple[str, ...] = (),
        *,
        conflicts: Sequence[Conflict] = (),
        proof: str = "",
        together: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(headline)
        self.headline = headline
        alone = (Conflict(conflict, repair),) if conflict or repair else ()
        self.conflicts = tuple(conflicts) or alone
        self.proof = proof
        self.together = together
        self.notes = notes

    def __str__(self) -> str:
        rules = self.conflict
        shown = "; ".join(rules[:MOST_RULES_SAID])
        more = f" and {len(rules) - MOST_RULES_SAID} more" if len(rules) > MOST_RULES_SAID else ""
        return f"{self.headline}: {shown}{more}" if rules else self.headline

    @property
    def conflict(self) -> tuple[str, ...]:
        """What cannot all hold."""
        return tuple(dict.fromkeys(rule for part in self.conflicts for rule in part.rules))

    @property
    def repair(self) -> tuple[str, ...]:
        """What would mend it."""
        return tuple(dict.fromkeys(words for part in self.conflicts for words in part.repairs))

    @property
    def remedies(self) -> tuple[str, ...]:
        """Changes each of which would mend everything."""
        if len(self.conflicts) == 1:
            return self.repair
        return (", and ".join(self.together),) if self.together else ()


class SolverError(PlannerError):
    """The solver failed, or returned something that cannot be trusted."""


class VerificationError(PlannerError):
    """A plan or a certificate failed the independent check."""


class RunError(PlannerError):
    """A run folder is missing, damaged, or of an unknown format version."""


class FeedError(PlannerError):
    """A feed cannot be read, its answer looks wrong or is too old, or its settings are wrong."""


class HistoryError(PlannerError):
    """The history is missing, damaged, busy, or refuses what was asked of it."""


class UnknownRunError(HistoryError):
    """The history holds no such run, or the run no such file."""


class ApprovalError(HistoryError):
    """The plan of this run cannot be approved or rejected, or not any more."""


class LockLostError(HistoryError):
    """The lock expired and somebody else took it: what was done is not recorded."""
