"""Instance folders written: as they are, or with tables, the incumbent or settings replaced."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from planner.calibration import Calibration
from planner.errors import PlannerError
from planner.incumbent import PLAN, files_of, is_tables
from planner.instance.calibrated import calibration_file
from planner.instance.schema import SETTINGS_FILE, TABLES, Row
from planner.instance.tables import read_settings

INCUMBENT = "incumbent"
"""Folder of the incumbent in a copy that brings it along."""
CALIBRATION = "calibration.json"
"""Name of a calibration in a copy that was given one."""


def copy_instance(source: Path, target: Path, incumbent: str | None) -> None:
    """Copy settings, tables, calibration and, where it lies inside the folder, the incumbent."""
    target.mkdir()
    for name in (SETTINGS_FILE, *(f"{table}.csv" for table in TABLES)):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    named = [] if incumbent is None else list(files_of(source / incumbent).values())
    calibration = calibration_file(source)
    for path in named if calibration is None else [*named, calibration]:
        if path.is_file() and path.resolve().is_relative_to(source.resolve()):
            place = target / path.resolve().relative_to(source.resolve())
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)


def copy_with_incumbent(
    source: Path, target: Path, incumbent: str | None, given: Path | None = None
) -> None:
    """Copy settings, tables and the incumbent wherever it lies; `given` replaces it."""
    copy_instance(source, target, incumbent if given is None else None)
    if given is None:
        if incumbent is None or (target / incumbent).exists():
            return
        given = source / incumbent
    (target / INCUMBENT).mkdir()
    for name, path in files_of(given).items():
        shutil.copyfile(path, target / INCUMBENT / name)
    set_setting(target, "incumbent", INCUMBENT if is_tables(given) else f"{INCUMBENT}/{PLAN}")


@contextmanager
def calibrated(folder: Path, file: Path | None) -> Iterator[Path]:
    """The instance with `file` as its calibration, in a place of its own until the end.

    The folder itself without a file, or without settings to put it in. Raises PlannerError where
    the file is no calibration.
    """
    settings = None if file is None else read_settings(folder / SETTINGS_FILE)[0]
    if file is not None:
        Calibration.load(file)
    if file is None or settings is None:
        yield folder
        return
    incumbent = settings.incumbent
    known = incumbent is not None and (folder / incumbent).exists()
    with tempfile.TemporaryDirectory(prefix="planner-calibrated-") as scratch:
        target = Path(scratch) / folder.resolve().name
        copy_with_incumbent(folder, target, incumbent if known else None)
        set_calibration(target, file)
        yield target


def set_calibration(folder: Path, file: Path) -> None:
    """Make a file the calibration of an instance folder; PlannerError where that is not easy."""
    shutil.copyfile(file, folder / CALIBRATION)
    path = folder / SETTINGS_FILE
    text = path.read_text(encoding="utf-8-sig")
    line = f'calibration = "{CALIBRATION}"'
    bare = re.sub(r"(?m)^\s*calibration\s*=.*\n?", "", text)
    changed, count = re.subn(r"(?m)^(\s*\[\s*serving\s*\].*)$", rf"\1\n{line}", bare, count=1)
    path.write_text(changed if count else f"{bare}\n[serving]\n{line}\n", encoding="utf-8")
    if calibration_file(folder) != folder / CALIBRATION:
        raise PlannerError(f"{path}: write the section as [serving] on a line of its own")


def set_setting(folder: Path, key: str, value: str) -> None:
    """Set a text or date of ``instance.toml`` in place, or add it at the top; the rest stays."""
    path = folder / SETTINGS_FILE
    text = path.read_text(encoding="utf-8-sig")
    is_date = re.fullmatch(r"\d{4}-\d\d-\d\d", value)
    line = f"{key} = {value}" if is_date else f'{key} = "{value}"'
    changed, count = re.subn(rf"^\s*{key}\s*=.*$", line, text, count=1, flags=re.MULTILINE)
    path.write_text(changed if count else f"{line}\n{text}", encoding="utf-8")


def accept(folder: Path, *names: str) -> None:
    """Add names to the list of what is meant in ``instance.toml``; the rest stays."""
    path = folder / SETTINGS_FILE
    text = path.read_text(encoding="utf-8-sig")
    listed = dict.fromkeys((*tomllib.loads(text).get("accept", ()), *names))
    line = "accept = [" + ", ".join(json.dumps(name) for name in listed) + "]"
    rest = re.sub(r"^accept\s*=\s*\[.*?\]", "", text, count=1, flags=re.MULTILINE | re.DOTALL)
    path.write_text(f"{line}\n{rest}", encoding="utf-8")


def drop_setting(folder: Path, key: str) -> None:
    """Remove a top-level setting of ``instance.toml``, if it is there."""
    path = folder / SETTINGS_FILE
    text = path.read_text(encoding="utf-8-sig")
    path.write_text(re.sub(rf"^\s*{key}\s*=.*\n", "", text, count=1, flags=re.MULTILINE))


def write_table(folder: Path, table: str, rows: Sequence[Row], notes: Sequence[str] = ()) -> None:
    """Write a table of the instance format into a folder."""
    text = table_text(table, rows, notes)
    (folder / f"{table}.csv").write_text(text, encoding="utf-8", newline="")


def table_text(table: str, rows: Sequence[Row], notes: Sequence[str]) -> str:
    """A table of the instance format: notes, header, rows; every float reads back exactly."""
    columns = list(TABLES[table][0].model_fields)
    text = io.StringIO()
    text.writelines(f"{note}\n" for note in notes)
    writer: Any = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([cell(getattr(row, column)) for column in columns] for row in rows)
    return text.getvalue()


def cell(value: object) -> str:
    """A value as a cell of a table; None is blank."""
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)
