"""`planner new`, `planner validate` and the data dictionary."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from planner.cli.instance import new, validate
from planner.errors import PlannerError
from planner.instance.dictionary import descriptions, format_page, json_schema
from planner.instance.load import load_instance
from planner.instance.schema import TABLES, Settings

ROOT = Path(__file__).resolve().parents[3]
APP = typer.Typer()
APP.command()(new)
APP.command()(validate)


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(APP, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def test_new_writes_a_folder_that_is_valid(tmp_path: Path) -> None:
    code, output = run("new", tmp_path / "mine")
    assert (code, output.splitlines()[0][-28:]) == (0, "a starter instance of 10 files"[-28:])
    assert load_instance(tmp_path / "mine").settings.name == "starter"
    tables = list((tmp_path / "mine").iterdir())
    assert all(path.read_text("utf-8").startswith("# ") for path in tables)


def test_new_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(PlannerError, match="not empty"):
        new(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_validate_says_valid_first(starter: Path) -> None:
    code, output = run("validate", starter)
    assert (code, output.splitlines()[0]) == (0, "valid")


def test_validate_shows_place_problem_and_remedy_and_leaves_with_3(starter: Path) -> None:
    text = (starter / "regions.csv").read_text()
    (starter / "regions.csv").write_text(text.replace("aws:eu-north-1", "aws:eu-nroth-1"))
    code, output = run("validate", starter, ROOT / "instances" / "tiny")
    assert code == 3
    assert output.splitlines()[0] == "1 of 2 instances are invalid: 1 finding"
    assert "regions.csv:4" in output
    assert "did you mean aws:eu-north-1" in " ".join(output.split())


def test_validate_as_json(starter: Path) -> None:
    (starter / "llms.csv").unlink()
    code, output = run("validate", starter, "--json")
    result = json.loads(output)
    assert (code, result["valid"]) == (3, False)
    finding = result["instances"][0]["findings"][0]
    assert finding["file"] == "llms.csv"
    assert set(finding) == {
        *("file", "row", "column", "value", "problem", "remedy"),
        *("warning", "name"),
    }


def test_validate_without_a_folder_is_a_mistake_of_the_call() -> None:
    assert run("validate")[0] == 2


def test_the_json_schema_knows_every_table_and_describes_every_field() -> None:
    code, output = run("validate", "--schema")
    schema = json.loads(output)
    assert code == 0
    assert schema == json_schema()
    assert {row_class.__name__ for row_class, _ in TABLES.values()} <= set(schema["$defs"])
    assert schema["$defs"]["Workload"]["properties"]["ttft_target_s"]["description"]
    assert schema["properties"]["minimize"]["enum"] == ["cost", "carbon", "qoe-loss"]


def test_every_field_of_the_format_has_a_description() -> None:
    for row_class in (Settings, *(row_class for row_class, _ in TABLES.values())):
        for name in row_class.model_fields:
            assert descriptions()[row_class.__name__, name]


def test_the_data_dictionary_is_current(tmp_path: Path) -> None:
    shipped = (ROOT / "instances" / "FORMAT.md").read_text(encoding="utf-8")
    assert shipped == format_page(), "run python scripts/build_format.py"
    written = tmp_path / "FORMAT.md"
    script = ROOT / "scripts" / "build_format.py"
    subprocess.run([sys.executable, str(script), str(written)], check=True, capture_output=True)
    assert written.read_text(encoding="utf-8") == shipped


def test_the_cli_module_costs_nothing_to_import() -> None:
    code = (
        "import sys, planner.cli.instance; "
        "heavy = {'pandas', 'pydantic', 'pint', 'planner.catalog'} & set(sys.modules); "
        "sys.exit(len(heavy))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
