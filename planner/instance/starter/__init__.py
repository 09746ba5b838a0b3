"""The starter instance: the files beside this one, copied by `planner new`."""

from __future__ import annotations

from pathlib import Path

from planner.errors import PlannerError
from planner.instance.schema import TABLES

FOLDER = Path(__file__).resolve().parent
FILES = (
    "instance.toml",
    *(f"{name}.csv" for name in TABLES if (FOLDER / f"{name}.csv").is_file()),
)


def write_starter(directory: Path) -> tuple[str, ...]:
    """Copy the starter; names of the files written. PlannerError if the folder holds anything."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise PlannerError(f"{directory} is not empty: name a new folder")
        for name in FILES:
            (directory / name).write_bytes((FOLDER / name).read_bytes())
    except OSError as error:
        raise PlannerError(f"cannot write {directory}: {error.strerror}") from error
    return FILES
