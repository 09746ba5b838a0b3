"""The tasks of a front on an existing Dask cluster (extra `cluster`)."""

from __future__ import annotations

from typing import Any

from models.fleet.data import FleetData
from planner.errors import RunError
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
        self.data: Any = self.client.scatter(data, broadcast=True, hash=False)
        self.running: dict[Any, int] = {}

    def submit(self, number: int, task: Task) -> None:
        """See `Workers`."""
        future = self.client.submit(_perform_there, self.data, task, pure=False, retries=MOST_LIVES)
        self.running[future] = number

    def wait(self, timeout_s: float) -> list[tuple[int, Result | Exception]]:
        """See `Workers`."""
        try:
            distributed.wait(list(self.running), max(timeout_s, 0.05), "FIRST_COMPLETED")
        except (TimeoutError, distributed.TimeoutError):
            return []
        done = [future for future in self.running if future.done()]
        return [(self.running.pop(future), self._outcome(future)) for future in done]

    def _outcome(self, future: Any) -> Result | Exception:
        try:
            result: Result = future.result()
        except Exception as error:
            return error
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
