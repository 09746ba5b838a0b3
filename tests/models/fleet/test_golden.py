"""Every equation of FORMULATION.md has its function and its golden LP, and they agree as text."""

import re
from pathlib import Path

import pytest

from models.fleet import objectives
from models.fleet.program import CONSTRAINTS
from scripts.build_golden import FAMILIES, FOLDER, golden_texts

FORMULATION = (Path(__file__).parents[3] / "models" / "FORMULATION.md").read_text()
TEXTS = golden_texts()


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_golden_lp_is_unchanged(name: str) -> None:
    assert TEXTS[name] == (FOLDER / name).read_text(), "run scripts/build_golden.py and review"


def test_no_family_lacks_rows_or_a_golden_file() -> None:
    assert {path.name for path in FOLDER.glob("*.lp")} == set(TEXTS)
    for family in FAMILIES:
        assert f"{family}(" in TEXTS[f"{family}.lp"], f"{family} has no row on the full fleet"


def test_formulation_names_every_constraint_function_and_no_other() -> None:
    stated = re.findall(r"^\| \((\d+[bc]?)\) \|.*\| `(\w+)` \|$", FORMULATION, re.MULTILINE)
    assert tuple(name for _, name in stated) == FAMILIES


def test_docstrings_carry_the_number_of_their_equation_and_a_price() -> None:
    stated = re.findall(r"^\| \((\d+[bc]?)\) \|.*\| `(\w+)` \|$", FORMULATION, re.MULTILINE)
    numbers = {name: number for number, name in stated}
    for function in CONSTRAINTS:
        assert function.__doc__ is not None
        assert function.__doc__.startswith(f"({numbers[function.__name__]})")
        assert "Price:" in function.__doc__


def test_formulation_names_every_objective_function() -> None:
    stated = set(re.findall(r"^\| \([OW]\d?\) .*\| `(\w+)` \|$", FORMULATION, re.MULTILINE))
    assert stated == {name for name in vars(objectives) if name.endswith("_expression")}
