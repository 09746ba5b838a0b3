"""Rounded lines add up to their rounded total, and no line is told wrong."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.report.rounding import balanced, balanced_lines, decimals_for

amounts = st.lists(st.floats(0, 1e9), min_size=1, max_size=30)


@given(amounts, st.integers(0, 4))
def test_rounded_parts_add_up_and_none_moves_by_a_unit(values: list[float], decimals: int) -> None:
    unit = 10.0**-decimals
    rounded = balanced(values, decimals)
    total = round(math.fsum(values) / unit)
    assert round(math.fsum(rounded) / unit) == total
    slack = 1e-6 * unit + 1e-15 * max(values)
    assert all(abs(a - b) < unit + slack for a, b in zip(values, rounded, strict=True))


def test_thirds_add_up_to_the_whole() -> None:
    assert balanced([1 / 3, 1 / 3, 1 / 3], 2) == [0.34, 0.33, 0.33]


@pytest.mark.parametrize(
    ("largest", "decimals"),
    [(3_237_594.6, 0), (13_858.9, 0), (6_063.4, 1), (345.67, 2), (4.1234, 4), (0, 0), (0.05, 6)],
)
def test_the_largest_figure_keeps_five_digits(largest: float, decimals: int) -> None:
    assert decimals_for(largest) == decimals


def test_lines_come_largest_first_without_zeros() -> None:
    lines, total, decimals = balanced_lines({"a": 0.4, "none": 0.0, "b": 20_000.3, "c": 0.4})
    assert list(lines) == ["b", "a", "c"]
    assert sum(lines.values()) == total == 20_001
    assert decimals == 0
