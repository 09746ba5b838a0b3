"""The replay: every policy through all dates, from the same first plan.

What a date leads to holds until the next one: its costs are those of a period of the instance times
the hours until then over the period's; the costs of a change are paid once and whole.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from planner.api import load
from planner.backtest.history import History, Moment, hold_against, read_history
from planner.backtest.moments import write_moment
from planner.backtest.policies import POLICIES, Stand, next_kind
from planner.backtest.results import FILE_NAME, Backtest, Bound, Row
from planner.backtest.steps import Kind, Step, Terms, step
from planner.errors import PlannerError, RunError
from planner.instance.facts import Facts
from planner.plan import Plan
from planner.runs import INSTANCE

TABLE = "backtest.csv"


@dataclass(frozen=True)
class Progress:
    """A step that was done; `left` policy-dates are still to do."""

    date: str
    policy: str
    step: Step
    left: int


Listener = Callable[[Progress], None]


@dataclass(frozen=True)
class Ask:
    """What is replayed."""

    policies: Sequence[str] = POLICIES
    first: str | None = None
    """date, ISO; None: from the beginning"""
    last: str | None = None
    every: int = 1
    """take every n-th date"""
    gap: float = 0.01
    time_limit_s: float = 60.0
    """of each step"""
    threads: int = 2

    def __post_init__(self) -> None:
        unknown = [name for name in self.policies if name not in POLICIES]
        if unknown or not self.policies:
            told = ", ".join(unknown) or "none"
            raise PlannerError(f"policies {told}: name some of {', '.join(POLICIES)}")
        if self.every < 1:
            raise PlannerError(f"every {self.every}: at least 1")


def replay(
    instance: Path,
    history: Path | None,
    output: Path,
    ask: Ask | None = None,
    on_step: Listener | None = None,
) -> Backtest:
    """Replay the history (by default the instance's own) and write table and result.

    With an `output` that an interrupted replay left, its finished steps are used. Raises
    InstanceError, RunError, PlannerError, InfeasibleError, SolverError.
    """
    ask = ask or Ask()
    facts = load(instance)
    told = read_history(history or instance / "history")
    hold_against(told, facts)
    moments = told.moments(_date(ask.first, "from"), _date(ask.last, "to"), ask.every)
    output = output.absolute()
    _check_output(output)
    terms = Terms(output, ask.gap, ask.time_limit_s, ask.threads)
    run = Replay(facts, told, moments, terms, ask.policies, on_step or (lambda _: None))
    found = run.done()
    _write(output, found)
    return found


def _date(text: str | None, option: str) -> dt.date | None:

    if text is None:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise PlannerError(f"--{option} {text}: a date like 2025-01-31") from error


def _check_output(output: Path) -> None:
    known = {"steps", "months", FILE_NAME, TABLE, "backtest.html"}
    if output.exists() and (
        not output.is_dir() or any(path.name not in known for path in output.iterdir())
    ):
        raise RunError(f"{output} exists and is not a backtest: name another with --output")


@dataclass(frozen=True, eq=False)
class Replay:
    """One replay."""

    facts: Facts
    history: History
    moments: tuple[Moment, ...]
    terms: Terms
    policies: Sequence[str]
    listener: Listener

    def done(self) -> Backtest:
        """All policies, date by date."""
        first = self._step(self.moments[0], "plan", None)
        stands = dict.fromkeys(self.policies, Stand(self._plan(first), self.moments[0]))
        places = dict.fromkeys(self.policies, self.terms.folder / first.folder)
        rows: list[Row] = []
        bounds: list[Bound] = []
        left = len(self.moments) * (len(self.policies) + 1)
        hints = [places[self.policies[0]]]
        for at, moment in enumerate(self.moments):
            free = self._step(moment, "free", None, hints)
            # All policies begin from the same plans: none is luckier than another.
            hints = list(dict.fromkeys([self.terms.folder / free.folder, *places.values()]))
            left -= 1
            self.listener(Progress(moment.date.isoformat(), "bound for all", free, left))
            hours = self._hours(moment)
            scale = hours / self._period_h
            bounds.append(Bound(moment.date.isoformat(), hours, free.bound_usd * scale))
            for policy in self.policies:
                kind: Kind = "plan" if at == 0 else next_kind(policy, stands[policy], moment)
                done = first if at == 0 else self._step(moment, kind, places[policy], hints)
                places[policy] = self.terms.folder / done.folder
                planned = moment if done.kind == "plan" or done.moved else stands[policy].planned
                stands[policy] = Stand(self._plan(done), planned)
                rows.append(self._row(moment, policy, done))
                left -= 1
                self.listener(Progress(moment.date.isoformat(), policy, done, left))
        rows.sort(key=lambda row: (self.policies.index(row.policy), row.date))
        return Backtest(
            instance=self.facts.instance.settings.name,
            history=self.history.folder.name,
            gap=self.terms.gap,
            time_limit_s=self.terms.time_limit_s,
            rows=tuple(rows),
            bounds=tuple(bounds),
            folder=str(self.terms.folder),
        )

    @property
    def _period_h(self) -> float:
        return self.facts.instance.settings.period.hours

    def _hours(self, moment: Moment) -> float:
        return self._period_h if moment.hours is None else moment.hours

    def _step(
        self, moment: Moment, kind: Kind, current: Path | None, hints: Sequence[Path] = ()
    ) -> Step:
        free = kind == "free"
        name = f"{moment.date.isoformat()}{'-free' if free else ''}"
        folder = self.terms.folder / "months" / name / INSTANCE
        if not folder.is_dir():
            shutil.rmtree(folder.parent, ignore_errors=True)
            write_moment(self.facts, self.history, moment, folder, free=free)
        return step(self.terms, kind, folder, current, hints)

    def _plan(self, done: Step) -> Plan:
        return Plan.read(self.terms.folder / done.folder)

    def _row(self, moment: Moment, policy: str, done: Step) -> Row:
        hours = self._hours(moment)
        scale = hours / self._period_h
        return Row(
            date=moment.date.isoformat(),
            policy=policy,
            hours=hours,
            did=done.kind,
            decision=done.decision,
            moved=done.moved and moment is not self.moments[0],
            cost_usd=done.cost_usd * scale + done.moving_usd,
            moving_usd=done.moving_usd,
            carbon_kgco2e=done.carbon_kgco2e * scale + done.moving_kgco2e,
            qoe=done.qoe,
            changed_workloads=done.changed_workloads,
            added_accelerators=done.added_accelerators,
            run=done.folder,
        )


def _write(output: Path, found: Backtest) -> None:
    from planner.report.backtest import backtest_page

    try:
        (output / FILE_NAME).write_text(found.to_json(), encoding="utf-8")
        found.to_frame().to_csv(output / TABLE, index=False, lineterminator="\n")
        (output / "backtest.html").write_text(backtest_page(found), encoding="utf-8")
    except OSError as error:
        raise RunError(f"cannot write {output}: {error.strerror or error}") from error
