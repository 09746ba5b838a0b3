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


class InfeasibleError(PlannerError):
    """No plan exists, with proof; `conflict` and `repair` say why and what would mend it."""

    exit_code = 4

    def __init__(
        self, message: str, conflict: tuple[str, ...] = (), repair: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.conflict = conflict
        self.repair = repair


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
