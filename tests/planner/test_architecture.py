"""Who may import what: the rules of the house, read from the source."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*(ROOT / "models").rglob("*.py"), *(ROOT / "planner").rglob("*.py")])
ONLY_IN = {
    "pint": "planner/instance/units.py",
    "highspy": "planner/solve/",
    "pymoo": "planner/front/",
    "moocore": "planner/front/",
    "plotly": "planner/report/",
    "jinja2": ("planner/report/", "planner/serve/"),
    "xlsxwriter": "planner/report/workbook.py",
    "httpx2": "planner/feeds/http.py",
    "boto3": "planner/feeds/readers/aws_client.py",
    "botocore": "planner/feeds/readers/aws_client.py",
    "sqlalchemy": "planner/history/",
    "fastapi": "planner/serve/",
    "starlette": "planner/serve/",
    "uvicorn": "planner/cli/serve.py",
    "apscheduler": "planner/schedule/timetable.py",
    "prometheus_client": "planner/schedule/health.py",
}
EXTRAS = {
    *("fastapi", "uvicorn", "apscheduler", "psycopg", "dask", "distributed"),
    *("openpyxl", "httpx", "httpx2", "boto3", "botocore", "genai_prices", "pyarrow", "gpuhunt"),
    *("weasyprint", "starlette", "prometheus_client"),
}
WITH_EXTRAS = (
    *("planner/feeds/", "planner/serve/", "planner/schedule/", "planner/cli/serve.py"),
    *("planner/front/cluster.py", "planner/replan/cycle.py"),
)
"""Who may use extras; the core never imports them."""


def imported(path: Path) -> set[str]:
    """Dotted names of every module that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def offenders(files: list[Path], *banned: str) -> list[str]:
    """``file imports module`` for every import of a banned module or of something inside it."""
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in sorted(imported(path))
        if any(name == module or name.startswith(f"{module}.") for module in banned)
    ]


def below(*folders: str) -> list[Path]:
    return [p for p in SOURCES if p.relative_to(ROOT).as_posix().startswith(folders)]


def test_the_rules_look_at_real_files() -> None:
    assert len(SOURCES) > 40
    assert "planner.errors" in imported(ROOT / "planner" / "plan.py")


@pytest.mark.parametrize(("module", "place"), ONLY_IN.items())
def test_a_library_is_used_in_its_place_only(module: str, place: str | tuple[str, ...]) -> None:
    elsewhere = [p for p in SOURCES if not p.relative_to(ROOT).as_posix().startswith(place)]
    assert offenders(elsewhere, module) == []


def test_the_mathematics_knows_nothing_of_the_engine() -> None:
    assert offenders(below("models/"), "planner") == []


def test_the_mathematics_imports_numpy_and_pyomo_only() -> None:
    known = {"numpy", "models"} | set(sys.stdlib_module_names)
    strange = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in below("models/")
        for name in imported(path)
        if name.split(".")[0] not in known
    }
    assert {name.split(".")[0] for _, name in strange} <= {"pyomo"}
    assert all(path.startswith("models/fleet/") for path, _ in strange)


def test_the_checker_shares_nothing_with_program_or_engine() -> None:
    banned = ("pyomo", "models.fleet", "planner.solve", "planner.front", "planner.answer")
    assert offenders(below("planner/verify"), *banned, "planner.candidates") == []


def test_the_checker_shares_speeds_alone() -> None:
    """Money, energy, carbon, water and staleness are computed by `planner.verify.formulas`."""
    banned = [
        f"models.coefficients.{name}" for name in ("money", "energy", "adaptation", "quality")
    ]
    assert offenders(below("planner/verify"), *banned) == []


def test_extras_are_never_imported_by_the_core() -> None:
    core = [p for p in SOURCES if not p.relative_to(ROOT).as_posix().startswith(WITH_EXTRAS)]
    assert offenders(core, *EXTRAS) == []
    engine = [p for p in core if not p.relative_to(ROOT).as_posix().startswith("planner/cli/")]
    assert offenders(engine, "planner.feeds", "planner.serve", "planner.schedule") == []


def test_the_history_changes_its_locks_only() -> None:
    """Facts are inserted; no other file than that of the locks knows how to change a row."""
    found = [
        path.relative_to(ROOT).as_posix()
        for path in below("planner/history/", "planner/schedule/", "planner/serve/")
        if re.search(r"\bUPDATE \w+ SET|\bDELETE FROM|\.update\(\)|\bdelete\(", path.read_text())
    ]
    assert found == ["planner/history/locks.py"]


def test_the_report_loads_its_extra_only_when_it_writes_a_workbook() -> None:
    code = "import sys, planner.report.workbook; print('\\n'.join(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "xlsxwriter" not in loaded


def test_data_flows_one_way() -> None:
    assert offenders(below("planner/instance/", "planner/catalog/"), "planner.solve") == []
    assert offenders(below("planner/candidates/"), "planner.solve", "planner.answer") == []
    assert offenders(below("planner/report/"), "planner.cli", "planner.solve") == []
    later = ("planner.answer", "planner.cli", "planner.api", "planner.runs")
    assert offenders(below("planner/solve/"), *later) == []


def test_importing_the_package_is_light() -> None:
    heavy = {"numpy", "pandas", "pydantic", "pyomo", "highspy", "rich", "typer"}
    code = "import sys, planner; print('\\n'.join(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not heavy & set(loaded)


def test_the_help_loads_no_numbers() -> None:
    heavy = {"numpy", "pandas", "pydantic", "pyomo", "highspy", "sqlalchemy", "fastapi"}
    code = "import sys, planner.cli; print('\\n'.join(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not heavy & set(loaded)
