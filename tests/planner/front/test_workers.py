"""Work over processes and a Dask cluster: the same certificate, and deaths cost a piece only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from planner.api import load
from planner.candidates import build_candidates
from planner.errors import RunError
from planner.front.executor import Processes, Threads
from planner.front.front import Front
from planner.front.run import FrontProgress, FrontRequest, FrontRun
from planner.front.tasks import BoundResult, BoundTask, unit_aim
from planner.solve.index import FleetIndex
from planner.verify.front import verify_front

ROOT = Path(__file__).resolve().parents[3]
TINY = ROOT / "instances" / "tiny"


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


def bound_task() -> BoundTask:
    import numpy as np

    return BoundTask(unit_aim(0, np.ones(3), 0.0, 1.0), None, (), 20.0)


def first_result(workers: Processes | Threads, number: int) -> BoundResult:
    until = time.monotonic() + 60.0
    while time.monotonic() < until:
        for found, result in workers.wait(1.0):
            assert found == number
            assert isinstance(result, BoundResult)
            return result
    raise AssertionError("no result came")


def pids(workers: Processes) -> list[int]:
    """Of the worker processes that are alive."""
    found = [process.process.pid for process in list(workers.alive)]
    return [pid for pid in found if pid is not None]


def test_processes_and_threads_come_to_the_same() -> None:
    data = build_candidates(load(TINY)).data
    levels = []
    for workers in (Threads(FleetIndex.build(data), 1), Processes(data, 2)):
        workers.submit(1, bound_task())
        levels.append(first_result(workers, 1).cut.level)
        workers.close()
    assert levels[0] == pytest.approx(levels[1], rel=1e-12)


def test_a_task_whose_worker_is_killed_is_done_by_another() -> None:
    workers = Processes(build_candidates(load(TINY)).data, 1)
    workers.submit(1, bound_task())
    first_result(workers, 1)
    os.kill(pids(workers)[0], signal.SIGKILL)
    workers.submit(2, bound_task())
    assert first_result(workers, 2).feasible
    workers.close()


NEVER = """
import os, signal, sys, time
import numpy as np
from pathlib import Path
from planner.api import load
from planner.candidates import build_candidates
from planner.front import executor
from planner.front.executor import Processes, Threads
from planner.front.tasks import BoundTask, unit_aim
from planner.solve.index import FleetIndex

aim, huge = unit_aim(0, np.ones(3), 0.0, 1.0), np.zeros(1_000_000, dtype=np.int64)

def main(kind):
    data = build_candidates(load(Path(sys.argv[2]))).data
    executor.perform = lambda index, task: time.sleep(1e6)
    workers = Threads(FleetIndex.build(data), 1) if kind == "threads" else Processes(data, 2)
    for number in range(2):
        workers.submit(number, BoundTask(aim, None, (), 20.0))
    while kind == "processes" and len(workers.alive) < 2:
        time.sleep(0.05)
    for process in getattr(workers, "alive", ()):
        os.kill(process.process.pid, signal.SIGSTOP)
    for number in range(2, 9):
        workers.submit(number, BoundTask(aim, None, (), 20.0, also=huge))
    workers.wait(0.5)
    workers.close()
    print("answered", flush=True)

if __name__ == "__main__":
    main(sys.argv[1])
"""


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_a_process_ends_after_its_answer_though_workers_never_return(
    tmp_path: Path, kind: str
) -> None:
    script = tmp_path / "never.py"
    script.write_text(NEVER)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, str(script), kind, str(TINY)]
    ended = subprocess.run(
        words, check=False, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "answered\n", "")


def test_a_task_that_costs_its_workers_their_life_is_an_error() -> None:
    workers = Processes(build_candidates(load(TINY)).data, 1)
    workers.submit(1, bound_task())
    ended: list[tuple[int, object]] = []
    until = time.monotonic() + 60.0
    while not ended and time.monotonic() < until:
        for child in pids(workers):
            os.kill(child, signal.SIGKILL)
        ended += workers.wait(0.01)
    workers.close()
    assert "died at this task" in str(ended[0][1])


@pytest.mark.slow
def test_a_run_outlives_workers_that_are_killed_again_and_again(tmp_path: Path) -> None:
    run = FrontRun(TINY, FrontRequest(time_limit_s=60.0, workers=2), tmp_path / "run")
    ended = threading.Event()

    def killer() -> None:
        while not ended.wait(1.5):
            workers = getattr(run.search, "workers", None)
            if isinstance(workers, Processes):
                for child in pids(workers)[:1]:
                    os.kill(child, signal.SIGKILL)

    thread = threading.Thread(target=killer)
    thread.start()
    front = run.run()
    ended.set()
    thread.join()
    assert front.certificate.complete
    assert verify_front(tmp_path / "run", load(TINY), sample=None).ok


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = [sys.executable, "-m", "planner", "front", str(TINY), "--output", str(folder)]
    words += ["--workers", "1", "--epsilon", "0.001", "--quiet"]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60.0
    while time.monotonic() < until:
        if (folder / "front.json").exists() and len(Front.read(folder).points) >= 4:
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    before = Front.read(folder)
    assert verify_front(folder, load(TINY), sample=None).ok
    request = FrontRequest(epsilon=0.03, time_limit_s=60.0, workers=1)
    after = FrontRun(folder / "instance", request, folder, resume=True).run()
    assert len(before.points) >= 4
    assert after.certificate.hypervolume.lower >= before.certificate.hypervolume.lower
    assert len(after.certificate.cuts) >= len(before.certificate.cuts)
    assert after.certificate.complete
    assert verify_front(folder, load(TINY), sample=None).ok


# ------------------------------------------------------------------ Dask


class DaskCluster:
    """A scheduler and workers of their own processes on loopback."""

    def __init__(self, workers: int) -> None:
        port = free_port()
        self.address = f"tcp://127.0.0.1:{port}"
        words = ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
        self.scheduler = self._start(*words)
        self.workers = [self._worker() for _ in range(workers)]

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen([sys.executable, "-m", "dask", *words], env=environment, **silent)

    def _worker(self) -> subprocess.Popen[bytes]:
        words = ["worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        return self._start(*words, "--host", "127.0.0.1")

    def stop(self) -> None:
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait()


@pytest.fixture
def cluster() -> Iterator[DaskCluster]:
    import distributed

    found = DaskCluster(2)
    with distributed.Client(found.address, timeout="60s") as client:
        client.wait_for_workers(2, timeout=60)
    yield found
    found.stop()


@pytest.mark.slow
def test_a_dask_cluster_comes_to_the_same_certificate_though_a_worker_is_killed(
    tmp_path: Path, cluster: DaskCluster
) -> None:
    news: list[FrontProgress] = []

    def kill_one(progress: FrontProgress) -> None:
        news.append(progress)
        if len(news) == 4:
            cluster.workers[0].kill()

    request = FrontRequest(time_limit_s=90.0, scheduler=cluster.address)
    front = FrontRun(TINY, request, tmp_path / "run", on_progress=kill_one).run()
    assert len(news) > 6
    assert front.certificate.complete
    assert verify_front(tmp_path / "run", load(TINY), sample=None).ok


def test_a_scheduler_that_does_not_answer_is_one_clear_error(tmp_path: Path) -> None:
    request = FrontRequest(time_limit_s=30.0, scheduler=f"tcp://127.0.0.1:{free_port()}")
    with pytest.raises(RunError, match="no Dask scheduler answers"):
        FrontRun(TINY, request, tmp_path / "run").run()
