"""Numbers that people write: a decimal comma is never a factor ten, wherever a number is asked."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from typer.main import get_command

from planner.cli import app, run
from planner.cli.numbers import _number_kind
from planner.cli.pick import NEXT_WISH
from planner.errors import PlannerError
from planner.explain.sweep import parse_sweep
from planner.instance.changes import parse_change
from planner.numbers import asked_number

TINY = str(Path(__file__).resolve().parents[2] / "instances" / "tiny")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5", 0.5),
        (" -1.5e3 ", -1500.0),
        (".5", 0.5),
        ("600", 600.0),
        ("1,000", 1000.0),
        ("12,345,678.9", 12345678.9),
        ("1_000_000", 1e6),
    ],
)
def test_a_request_may_group_digits_in_threes(text: str, value: float) -> None:
    assert asked_number(text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0,5", "a decimal comma: write 0.5"),
        ("1,5", "write 1.5"),
        ("-0,25", "write -0.25"),
        (",5", "write 0.5"),
        ("0,500", "write 0.500"),
        ("600,50", "write 600.50"),
        ("1.234,5", "write 1234.5"),
        ("1234,567", "write 1234.567"),
        ("1 000", "a thousands separator: write 1000"),
        ("1'000", "write 1000"),
        ("1,00,000", "not a number"),
        ("1,000_000", "a thousands separator"),
        ("1_0", "not a number"),
        ("١٢", "digits of another script"),
        ("１２", "digits of another script"),
        ("5%", "a percent sign"),
        ("5 USD", "a unit beside the number"),
        ("1e999", "not a finite number"),
        ("nan", "not a number"),
        ("inf", "not a number"),
        ("", "not a number"),
    ],
)
def test_what_is_no_number_is_refused_with_the_way_to_write_it(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        asked_number(text)


@pytest.mark.parametrize("text", ["prices.l4*=0,5", "demand.chat+=1,5", "caps.cost=600,5"])
def test_a_change_refuses_a_decimal_comma(text: str) -> None:
    with pytest.raises(PlannerError, match=r"a decimal comma: write \d+\.5"):
        parse_change(text)


@pytest.mark.parametrize("text", ["prices.l4*=0,5:1.5:3", "prices.l4*=0.5:1,5:3"])
def test_a_sweep_refuses_a_decimal_comma(text: str) -> None:
    with pytest.raises(PlannerError, match=r"a decimal comma: write [01]\.5"):
        parse_sweep(text)


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", TINY, "--cap", "cost=600,5"],
        ["plan", TINY, "--floor", "qoe=0,5"],
        ["plan", TINY, "--gap", "0,5%"],
        ["plan", TINY, "--set", "prices.l4*=0,5"],
        ["front", TINY, "--epsilon", "2,5%"],
        ["replan", TINY, "--margin", "0,5%"],
        ["replan", TINY, "--cap", "carbon=0,5"],
        ["backtest", TINY, "--gap", "0,5%"],
        ["watch", TINY, "--every", "6h", "--once", "--margin", "0,5%"],
        ["catalog", "accelerators", "--where", "memory_gb>0,5"],
    ],
)
def test_options_that_hold_a_number_refuse_it(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 1
    assert "a decimal comma: write" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_wishes_are_separated_by_commas_that_numbers_keep() -> None:
    assert NEXT_WISH.split("cost=1,000,carbon=5, qoe=0.5") == ["cost=1,000", "carbon=5", " qoe=0.5"]
    assert NEXT_WISH.split("cost=600,5") == ["cost=600,5"]


def commands(group: Any, *words: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(words, command) of every command of the command line."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *words, name)
        else:
            yield (*words, name), command


def numeric_options() -> Iterator[tuple[tuple[str, ...], str]]:
    """(words, name of the option) of every option whose value is a number."""
    for words, command in commands(get_command(app)):
        hints = get_type_hints(inspect.unwrap(command.callback), include_extras=True)
        for option in command.params:
            if _number_kind(hints.get(option.name)) is not None:
                yield words, option.opts[0]


def test_every_numeric_option_of_every_command_reads_strictly(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = list(numeric_options())
    assert len(options) > 20
    for words, option in options:
        for text, said in (("0,5", "decimal comma"), ("١٢", "another script")):
            assert run([*words, "x", "x", f"{option}={text}"]) == 1
            printed = capsys.readouterr().err
            assert said in " ".join(printed.split()), (words, option, printed)
