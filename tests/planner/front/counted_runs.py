"""Runs that end after so many tasks, however slow the machine."""

from __future__ import annotations

from pathlib import Path

from planner.front.executor import Threads
from planner.front.run import FrontRequest, FrontRun
from planner.front.tasks import Result, Task

ROOT = Path(__file__).resolve().parents[3]
TINY = ROOT / "instances" / "tiny"


class Counted(Threads):
    """One worker, that asks the run to stop at its last task, and is waited for. By its clock each
    task takes as long as the others."""

    now = 0.0

    def __init__(self, run: FrontRun, last: int) -> None:
        super().__init__(run.index, 1)
        self.run, self.last = run, last

    def wait(self, timeout_s: float) -> list[tuple[int, Result | Exception]]:
        found = super().wait(max(timeout_s, 60.0))
        Counted.now += 0.1 * len(found)
        return found

    @staticmethod
    def monotonic() -> float:
        return Counted.now

    def submit(self, number: int, task: Task) -> None:
        super().submit(number, task)
        if number >= self.last:
            self.run.stop()


def stopped_run(
    folder: Path, method: str, last: int, *, seed: int = 0, resume: bool = False
) -> FrontRun:
    """A run of `tiny` that ends after so many tasks, whatever the time; the target is out of
    reach."""
    request = FrontRequest(
        epsilon=1e-6, gap=1e-6, time_limit_s=120.0, workers=1, seed=seed, method=method
    )
    run = FrontRun(TINY, request, folder, resume=resume)
    run.search.open_workers = lambda: Counted(run, last)
    run.run()
    return run
