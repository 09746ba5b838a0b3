"""`planner serve` as a process of its own, on loopback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def serving(url: str, *options: str, **environment: str) -> Iterator[str]:
    """The address it tells; ended afterwards."""
    words = [sys.executable, "-m", "planner", "serve", "--port", "0", *options]
    env = {**os.environ, "PLANNER_HISTORY": url, "PYTHONUNBUFFERED": "1", **environment}
    server = subprocess.Popen(
        words, env=env, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert server.stdout is not None
    try:
        first = server.stdout.readline()
        match = re.search(r"http://\S+", first)
        assert match, first + server.communicate()[1]
        yield match[0].rstrip("/")
    finally:
        server.terminate()
        server.communicate(timeout=30)
