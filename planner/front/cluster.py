"""The tasks of a front on an existing Dask cluster (extra `cluster`)."""

from __future__ import annotations

from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any

from models.fleet.data import FleetData
from planner.errors import RunError, SolverError
from planner.extras import missing_extra
from planner.front.executor import MOST_LIVES
from planner.front.tasks import Result, Task, perform
from planner.solve.index import FleetIndex

try:
    import distributed
except ImportError:
    raise missing_extra("cluster", "a Dask cluster (--scheduler)") from None

_there: dict[int, FleetIndex] = {}
"""The fleets of this Dask worker, by the identity of their data."""


class Cluster:
    """An existing Dask cluster; the fleet is sent to its workers once."""

    def __init__(self, data: FleetData, address: str) -> None:
        try:
            self.client: Any = distributed.Client(address, timeout="10s", name="planner front")
        except (OSError, TimeoutError, ValueError) as error:
            raise RunError(f"no Dask scheduler answers at {address}: {error}") from error
        self.count = max(sum(self.client.nthreads().values()), 1)
        self.fleet = data
        self.data: Any = self._scattered()
        self.running: dict[Any, int] = {}
        self.tasks: dict[int, tuple[Task, int]] = {}
        """number -> (task, lives it has cost)"""

    def _scattered(self) -> Any:
        return self.client.scatter(self.fleet, broadcast=True, hash=False)

    def submit(self, number: int, task: Task) -> None:
        """See `Workers`."""
        self.tasks[number] = (task, 0)
        self._begin(number)

    def _begin(self, number: int) -> None:
        task, _ = self.tasks[number]
        future = self.client.submit(_perform_there, self.data, task, pure=False, retries=MOST_LIVES)
        self.running[future] = number

    def wait(self, timeout_s: float) -> list[tuple[int, Result | Exception]]:
        """See `Workers`."""
        with suppress(TimeoutError, CancelledError):
            distributed.wait(list(self.running), max(timeout_s, 0.05), "FIRST_COMPLETED")
        found: list[tuple[int, Result | Exception]] = []
        lost = []
        for future in [future for future in self.running if future.done()]:
            number = self.running.pop(future)
            task, lives = self.tasks[number]
            if future.cancelled() and lives + 1 < MOST_LIVES:
                self.tasks[number] = (task, lives + 1)
                lost.append(number)
                continue
            del self.tasks[number]
            found.append((number, self._outcome(future)))
        if lost:
            # The fleet was on workers that died, and nowhere else.
            self.data = self._scattered()
            for number in lost:
                self._begin(number)
        return found

    def _outcome(self, future: Any) -> Result | Exception:
        try:
            result: Result = future.result()
        except Exception as error:
            return error
        except CancelledError as error:
            return SolverError(f"the cluster dropped the task: {error}")
        finally:
            future.release()
        return result

    def close(self) -> None:
        """See `Workers`."""
        for future in self.running:
            future.cancel()
        self.client.close()


def _perform_there(data: FleetData, task: Task) -> Result:
    if id(data) not in _there:
        _there.clear()
        _there[id(data)] = FleetIndex.build(data)
    return perform(_there[id(data)], task)
