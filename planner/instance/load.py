"""Load an instance folder: `load_instance(folder) -> Instance`, or every finding at once.

Three steps, each only if its ground is firm: read the files into typed rows, check what joins
rows and tables, then what instance and catalog together make impossible. The first two report
together; whatever the bytes, the only exception is InstanceError.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from planner.catalog import Catalog, load_catalog
from planner.errors import InstanceError
from planner.incumbent import PLAN, files_of
from planner.instance.against import AGAINST_CATALOG
from planner.instance.calendar import CALENDAR
from planner.instance.calibrated import calibration_file
from planner.instance.checks import TABLE_CHECKS, Tables
from planner.instance.facts import Facts
from planner.instance.findings import Finding, near_matches, shortened
from planner.instance.impossible import FACT_CHECKS
from planner.instance.overrides import overridden
from planner.instance.resolve import missing_figures, resolve
from planner.instance.schema import OWN_FLEET, SETTINGS_FILE, TABLES, Instance
from planner.instance.tables import Table, read_settings, read_table

KNOWN_TOML_FILES = {SETTINGS_FILE, "feeds.toml"}
"""Settings that may lie in the folder; only the first is the instance's own."""
MOST_TOLD = 6
"""Warnings, and findings accepted, that a plan tells one by one."""
HISTORY = "history/"
"""How names begin of findings in tables that `planner backtest` alone reads."""
OTHER_TABLE_SUFFIXES = {".xlsx", ".xls", ".ods", ".tsv", ".parquet"}


@dataclass(frozen=True)
class Checked:
    """A valid instance: what the user wrote, it joined, and what was pointed out."""

    instance: Instance
    facts: Facts
    warnings: tuple[Finding, ...]


def load_instance(folder: Path, catalog: Catalog | None = None) -> Instance:
    """The instance in `folder`, validated against the schema and the catalog (the shipped one).

    Raises InstanceError with every finding of all tables, in the order of the format.
    """
    return check_folder(folder, catalog).instance


def load_facts(folder: Path, catalog: Catalog | None = None) -> Facts:
    """As `load_instance`, joined with the catalog: the join that its last checks need anyway."""
    return check_folder(folder, catalog).facts


def check_folder(folder: Path, catalog: Catalog | None = None) -> Checked:
    """The instance and everything that is doubtful in it; InstanceError with every finding."""
    folder, catalog = Path(folder), load_catalog() if catalog is None else catalog
    tables, findings = _read_folder(folder)
    judged = Judged(tables.settings.accept if tables is not None and tables.settings else ())
    judged.add(findings)
    if tables is not None:
        for check in (*TABLE_CHECKS, *CALENDAR, *AGAINST_CATALOG):
            judged.add(check(tables, catalog))
    if tables is None or tables.settings is None or judged.errors:
        raise _error(folder, judged.errors)
    instance = _instance(tables, folder)
    judged.add(_missing(tables, instance, catalog))
    if judged.errors:
        raise _error(folder, judged.errors)
    facts = resolve(instance, catalog)
    for fact_check in FACT_CHECKS:
        judged.add(fact_check(tables, facts))
    if judged.errors:
        raise _error(folder, judged.errors)
    judged.add(judged.idle(tables))
    warnings = tuple(_ordered(judged.warnings))
    said = (*judged.told(), *_fed(folder), *facts.assumptions)
    return Checked(instance, replace(facts, assumptions=said), warnings)


@dataclass
class Judged:
    """Findings told apart: errors, warnings, and those that the user says are meant."""

    accept: Sequence[str]
    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    accepted: list[Finding] = field(default_factory=list)

    def add(self, findings: Iterable[Finding]) -> None:
        """Put each finding where it belongs."""
        for finding in findings:
            if finding.name and any(fnmatchcase(finding.name, name) for name in self.accept):
                self.accepted.append(finding)
            else:
                (self.warnings if finding.warning else self.errors).append(finding)

    def told(self) -> Iterator[str]:
        """What was pointed out and what was accepted, one sentence each for the plan."""
        for begin, found in (("Pointed out", self.warnings), ("Accepted as meant", self.accepted)):
            ordered = _ordered(found)
            for finding in ordered[:MOST_TOLD]:
                yield f"{begin}: {_sentence(finding)}"
            if len(ordered) > MOST_TOLD:
                yield f"{begin}: {len(ordered) - MOST_TOLD} more, see `planner validate`."

    def idle(self, tables: Tables) -> list[Finding]:
        """What ``accept`` names and no finding has: a slip, or no longer needed."""
        names = [finding.name for finding in self.accepted]
        return [
            replace(
                tables.setting("accept", name, "no finding has this name", "delete it"),
                warning=True,
            )
            for name in self.accept
            if not name.startswith(HISTORY) and not any(fnmatchcase(each, name) for each in names)
        ]


def _fed(folder: Path) -> Iterator[str]:
    """What the notes of `planner feed apply` say of tables that a feed wrote into."""
    for name in TABLES:
        path = folder / f"{name}.csv"
        if not path.is_file():
            continue
        with path.open(encoding="utf-8-sig") as lines:
            notes = takewhile(lambda line: line.startswith("#"), lines)
            for note in (line[2:].strip() for line in notes if line.startswith("# feed ")):
                whose = shortened(note.partition(", sha256")[0], 300)
                yield f"Figures of {path.name} are by {whose}."


def _sentence(finding: Finding) -> str:
    text = f"{finding.place}: {finding.problem}"
    return text if text.endswith("?") else f"{text}."


def _error(folder: Path, findings: list[Finding]) -> InstanceError:
    ordered = _ordered(findings)
    count = f"{len(ordered)} finding" + ("" if len(ordered) == 1 else "s")
    return InstanceError(f"{folder}: {count}; first: {ordered[0]}", tuple(ordered))


def _ordered(findings: Iterable[Finding]) -> list[Finding]:
    """In the order of the format, each once."""
    order = {name: at for at, name in enumerate([SETTINGS_FILE, *(f"{n}.csv" for n in TABLES)])}
    unique = dict.fromkeys(findings)
    return sorted(unique, key=lambda f: (order.get(f.file, len(order)), f.file, f.row or 0))


def _read_folder(folder: Path) -> tuple[Tables | None, list[Finding]]:
    """Every file of the folder, read as far as it can be."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        problem = f"not a readable folder ({error.strerror})"
        remedy = "name a folder with instance.toml and tables, or make one with `planner new`"
        return None, [Finding(str(folder), None, "", "", problem, remedy)]
    findings = _strange_files(names)
    if SETTINGS_FILE in names:
        settings, lines, wrong = read_settings(folder / SETTINGS_FILE)
        findings += wrong
    else:
        settings, lines = None, {}
        if not any(finding.file.lower() == SETTINGS_FILE for finding in findings):
            remedy = "add it; `planner new` writes one with comments"
            findings.append(Finding(SETTINGS_FILE, None, "", "", "missing", remedy))
    tables: dict[str, Table[Any]] = {}
    for name, (row_class, always) in TABLES.items():
        file = f"{name}.csv"
        required = always or (name in OWN_FLEET and "apis.csv" not in names)
        if file in names:
            tables[name], wrong = read_table(folder / file, row_class)
            findings += wrong
        else:
            tables[name] = Table(file, whole=not required, present=False)
            if required and not any(file in finding.remedy for finding in findings):
                remedy = "add the table; `planner new` writes one with comments"
                findings.append(Finding(file, None, "", "", "missing", remedy))
    return Tables(folder=folder, settings=settings, setting_lines=lines, **tables), findings


def _strange_files(names: list[str]) -> list[Finding]:
    """Files that look like tables but are not ours; notes and answers may lie beside them."""
    files = [f"{name}.csv" for name in TABLES]
    findings = []
    for name in names:
        stem, suffix = Path(name).stem, Path(name).suffix.lower()
        if suffix == ".csv" and name not in files:
            hint = near_matches(name, files)
            findings.append(Finding(name, None, "", "", "not a table of the format", hint))
        elif suffix in OTHER_TABLE_SUFFIXES and stem.lower() in TABLES:
            hint = f"save it as {stem.lower()}.csv: comma-separated UTF-8 text"
            findings.append(Finding(name, None, "", "", "not read", hint))
        elif suffix == ".toml" and name not in KNOWN_TOML_FILES:
            hint = near_matches(name, [SETTINGS_FILE])
            findings.append(Finding(name, None, "", "", "not a file of the format", hint))
    return findings


def _instance(tables: Tables, folder: Path) -> Instance:
    """The rows as an Instance; they are validated already, so nothing can fail here."""
    assert tables.settings is not None
    rows = {name: table.rows for name, table in tables.all()}
    try:
        return Instance(
            settings=tables.settings,
            **rows,
            sha256=content_sha256(folder, tables.settings.incumbent),
            folder=str(folder),
        )
    except ValidationError as error:  # pragma: no cover - rows come from the same classes
        raise InstanceError(str(error)) from error


def content_sha256(folder: Path, incumbent: str | None = None) -> str:
    """Hash of everything that makes the instance: settings, tables, calibration, incumbent.

    Independent of the order of the files and of what else lies in the folder.
    """
    names = [SETTINGS_FILE, *(f"{name}.csv" for name in TABLES)]
    paths = {name: folder / name for name in names}
    calibration = calibration_file(folder)
    if calibration is not None:
        paths["calibration"] = calibration
    if incumbent is not None:
        files = files_of(folder / incumbent)
        paths |= {"incumbent" if name == PLAN else name: path for name, path in files.items()}
    total = hashlib.sha256()
    for name in sorted(paths):
        if paths[name].is_file():
            total.update(name.encode() + b"\0")
            total.update(hashlib.sha256(paths[name].read_bytes()).digest())
    return total.hexdigest()


def _missing(tables: Tables, instance: Instance, catalog: Catalog) -> list[Finding]:
    """Figures that the join needs and neither the user nor the catalog gives."""
    findings = []
    for name, row_id, column, problem in missing_figures(
        instance, overridden(catalog, instance.overrides)
    ):
        table: Table[Any] = getattr(tables, name)
        index = next(at for at, row in enumerate(table.rows) if row_id in row.model_dump().values())
        own = column in table.rows[index].__class__.model_fields
        remedy = (
            f"give {column} in {table.file}" if own
            else f"add a row {name},{row_id},{column},VALUE,REASON to overrides.csv"
        )  # fmt: skip
        findings.append(table.finding(index, column if own else "", problem, remedy))
    return findings
