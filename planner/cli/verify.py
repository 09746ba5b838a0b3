"""`planner verify`: check run folders again, from their own copy of the instance."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.answer.words import OBJECTIVES_SAID, gap_said
from planner.errors import PlannerError
from planner.plan import gap_between

if TYPE_CHECKING:
    from planner.front.attack import Attack
    from planner.plan import Certificate
    from planner.verify import VerificationReport, Violation
    from planner.verify.front import FrontReport


def verify(
    run_dirs: Annotated[
        list[Path], typer.Argument(help="Run folders, as `planner plan` writes them.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    every_cut: Annotated[
        bool, typer.Option("--all", help="Re-prove every cut and box of a front, not a sample.")
    ] = False,
    sample: Annotated[
        int, typer.Option(min=0, help="Also try to beat a front by so many independent solves.")
    ] = 0,
) -> None:
    """Recompute a plan and re-prove its bound from the run folder alone.

    Needs neither program nor solver, unless --sample asks for solves. Exit code 0: every plan
    holds; 1: a rule is broken, or a folder cannot be read.
    """
    from planner.cli.text import paragraph

    outcomes: list[Outcome | FrontOutcome] = [
        front_verified(folder, every_cut=every_cut, solves=sample)
        if (folder / "front.json").exists()
        else verified(folder)
        for folder in run_dirs
    ]
    if as_json:
        bodies = [outcome.as_dict() for outcome in outcomes]
        typer.echo(json.dumps({"runs": bodies} if len(bodies) > 1 else bodies[0], indent=1))
    else:
        for outcome in outcomes:
            name = f"{outcome.folder}: " if len(outcomes) > 1 else ""
            answer, *broken = outcome.lines()
            lines = paragraph(answer, name)
            lines += [line for rule in broken for line in paragraph(rule.strip(), "  ", "      ")]
            typer.echo("\n".join(lines))
    if not all(outcome.ok for outcome in outcomes):
        raise typer.Exit(1)


@dataclass(frozen=True)
class Outcome:
    """What the check of one run folder found."""

    folder: Path
    report: VerificationReport | None = None
    certificate: Certificate | None = None
    proved: float | None = None
    """the bound re-proved from the stored prices; None: none are stored"""
    violations: tuple[Violation, ...] = ()
    error: str | None = None

    @property
    def ok(self) -> bool:
        """The folder was read and nothing is wrong with it."""
        return self.error is None and not self.violations

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        report = self.report
        return {
            "folder": str(self.folder),
            "ok": self.ok,
            "error": self.error,
            "rules": [] if report is None else list(report.rules),
            "violations": [dataclasses.asdict(violation) for violation in self.violations],
            "objectives": None if report is None else dataclasses.asdict(report.objectives),
            "certificate": self._certificate(),
            "bound_reproved": self.proved,
        }

    def _certificate(self) -> dict[str, Any] | None:
        """What the plan states, and the gap that the stored prices prove again."""
        if self.certificate is None:
            return None
        return dataclasses.asdict(self.certificate) | {"gap_reproved": self._gap_reproved()}

    def _gap_reproved(self) -> float | None:
        if self.proved is None or self.certificate is None:
            return None
        return gap_between(self.certificate.value, min(self.proved, self.certificate.value))

    def lines(self) -> list[str]:
        """For people: the answer, then every violation."""
        if self.report is None or self.certificate is None:
            return [f"not verified: {self.error}"]
        verdict = "plan holds" if self.ok else "plan fails"
        count = len(self.violations)
        violations = "1 violation" if count == 1 else f"{count} violations"
        cost = self.report.objectives.cost_usd
        answer = (
            f"{verdict}: {violations} of {len(self.report.rules)} rules; "
            f"cost {cost:,.2f} USD recomputed; {self._bound()}"
        )
        return [answer, *(f"  {v.rule}: {v.message}" for v in self.violations)]

    def _bound(self) -> str:
        """The figures of `planner plan`, proved again or named as resting on a solver."""
        stated, gap = self.certificate, self._gap_reproved()
        assert stated is not None
        what = OBJECTIVES_SAID.get(stated.minimised, stated.minimised)
        again = "nothing is" if gap is None else f"{what} within {gap_said(gap)} is"
        if stated.proof != "branch and bound":
            return f"{again} proved again from dual prices"
        return (
            f"{what} within {gap_said(stated.gap_relative)} rests on the branch and bound of "
            f"{stated.solver or 'HiGHS'}, which no check repeats; {again} proved again from dual "
            "prices"
        )


@dataclass(frozen=True)
class FrontOutcome:
    """What the check of a front's run folder found."""

    folder: Path
    report: FrontReport | None = None
    attack: Attack | None = None
    error: str | None = None

    @property
    def ok(self) -> bool:
        """The folder was read and nothing is wrong with it."""
        broken = self.attack is not None and bool(self.attack.outside)
        return self.report is not None and self.report.ok and not broken

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        found = () if self.report is None else self.report.violations
        return {
            "folder": str(self.folder),
            "ok": self.ok,
            "error": self.error,
            "violations": [dataclasses.asdict(violation) for violation in found],
            "epsilon": None if self.report is None else self.report.epsilon,
            "attack": None if self.attack is None else dataclasses.asdict(self.attack),
        }

    def lines(self) -> list[str]:
        """For people: the answer, then every violation."""
        if self.report is None:
            return [f"not verified: {self.error}"]
        if self.attack is None:
            return self.report.lines()
        found = [f"  {one.kind} breaks {one.broken}: {one.f}" for one in self.attack.outside]
        return [*self.report.lines(), self.attack.line(), *found]


def front_verified(folder: Path, *, every_cut: bool, solves: int = 0) -> FrontOutcome:
    """Check a front's run folder: every plan, a sample of its proofs or all of them, and the
    enclosure against so many independent solves."""
    from planner.api import load
    from planner.front.front import Front
    from planner.incumbent import incumbent_of
    from planner.verify.front import SAMPLE, verify_front

    try:
        facts = Front.read(folder).on_grid(load(folder / "instance"))
        sample = None if every_cut else SAMPLE
        report = verify_front(folder, facts, incumbent_of(facts), sample=sample)
        found = None
        if solves > 0:
            from planner.cli.plan import silent_stdout
            from planner.front.attack import attack

            with silent_stdout():
                found = attack(folder, facts, solves)
    except PlannerError as error:
        return FrontOutcome(folder, error=str(error))
    return FrontOutcome(folder, report, found)


def verified(folder: Path) -> Outcome:
    """Read a run folder and check everything in it; an unreadable one is an outcome as well."""
    from planner.api import load, with_request
    from planner.incumbent import incumbent_of
    from planner.runs import read_run
    from planner.verify import Proof, verify_certificate, verify_plan

    try:
        run = read_run(folder)
        facts = with_request(load(run.instance_folder), run.request)
        incumbent = incumbent_of(facts)
        report = verify_plan(facts, run.plan, incumbent)
        proved, violations = None, report.violations
        if run.certificate.exists():
            proof = Proof.load(run.certificate)
            bound, found = verify_certificate(facts, run.plan, proof, incumbent)
            proved = bound if bound > float("-inf") else None
            violations += found
    except PlannerError as error:
        return Outcome(folder, error=str(error))
    return Outcome(folder, report, run.plan.certificate, proved, violations)
