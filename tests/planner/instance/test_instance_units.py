"""Units in headers: what is converted, what is refused, what is not understood at all."""

from __future__ import annotations

from pathlib import Path

import pytest

import planner
from planner.instance.schema import TABLES, Settings
from planner.instance.tables import number_fields
from planner.instance.units import Conversion, Refusal, convert_header, unit_of


@pytest.mark.parametrize(
    ("table", "header", "field", "factor"),
    [
        ("workloads", "ttft_target_ms", "ttft_target_s", 1e-3),
        ("workloads", "ttft_target_min", "ttft_target_s", 60.0),
        ("workloads", "facts_change_per_month", "facts_change_per_day", 24.0 / 730.0),
        ("workloads", "corpus_mtok", "corpus_tokens", 1e6),
        ("workloads", "staff_days_per_refresh", "staff_h_per_refresh", 24.0),
        ("length_classes", "share_percent", "share", 0.01),
        ("length_classes", "cached_percent", "cached_share", 0.01),
        ("slices", "days", "hours", 24.0),
        ("slices", "hours_d", "hours", 24.0),
        ("demand", "requests_per_h", "requests_per_s", 1.0 / 3600.0),
        ("demand", "requests_per_month", "requests_per_s", 1.0 / (730.0 * 3600.0)),
        ("regions", "carbon_kgco2e_per_kwh", "carbon_gco2e_per_kwh", 1000.0),
        ("regions", "carbon_kgco2e_per_mwh", "carbon_gco2e_per_kwh", 1.0),
        ("regions", "site_wue_ml_per_kwh", "site_wue_l_per_kwh", 1e-3),
        ("regions", "fixed_usd_per_year", "fixed_usd_per_month", 1.0 / 12.0),
        ("accelerators", "tdp_kw", "tdp_w", 1000.0),
        ("accelerators", "memory_gib", "memory_gb", 1.073741824),
        ("accelerators", "embodied_tco2e", "embodied_kgco2e", 1000.0),
        ("offers", "ondemand_usd_per_day", "ondemand_usd_per_h", 1.0 / 24.0),
        ("offers", "spot_cents_per_h", "spot_usd_per_h", 0.01),
        ("apis", "input_usd_per_ktok", "input_usd_per_mtok", 1000.0),
        ("variants", "refresh_weeks", "refresh_days", 7.0),
    ],
)
def test_another_unit_of_the_same_dimension(
    table: str, header: str, field: str, factor: float
) -> None:
    found = convert_header(header, number_fields(TABLES[table][0]))
    assert isinstance(found, Conversion)
    assert found.field == field
    assert found.factor == pytest.approx(factor)


@pytest.mark.parametrize(
    ("table", "header", "field"),
    [
        ("workloads", "ttft_target_gb", "ttft_target_s"),
        ("workloads", "ttft_target", "ttft_target_s"),
        ("workloads", "staff_h", "staff_h_per_refresh"),
        ("offers", "ondemand_eur_per_h", "ondemand_usd_per_h"),
        ("offers", "ondemand_usd", "ondemand_usd_per_h"),
        ("regions", "carbon_kgco2e", "carbon_gco2e_per_kwh"),
        ("accelerators", "tdp_kwh", "tdp_w"),
    ],
)
def test_another_dimension_is_refused_by_the_name_of_the_field(
    table: str, header: str, field: str
) -> None:
    found = convert_header(header, number_fields(TABLES[table][0]))
    assert isinstance(found, Refusal)
    assert found.field == field


@pytest.mark.parametrize("header", ["", "_", "per", "colour", "quality_s", "ttft_target_per", "é"])
def test_a_header_that_says_nothing_of_ours(header: str) -> None:
    assert convert_header(header, number_fields(TABLES["workloads"][0])) is None


def test_every_field_of_the_schema_means_itself() -> None:
    for row_class in (Settings, *(row_class for row_class, _ in TABLES.values())):
        numbers = number_fields(row_class)
        for field in numbers:
            found = convert_header(field.upper(), numbers)
            if found is not None:
                assert found == Conversion(field, 1.0)


def test_units_as_people_write_them() -> None:
    assert [unit_of(name) for name in ("ondemand_usd_per_h", "tdp_w", "quality_min", "hours")] == [
        "USD/h", "W", "", "h",
    ]  # fmt: skip


def test_pint_is_used_in_one_file_only() -> None:
    package = Path(planner.__file__).parent
    users = {
        path.name for path in package.rglob("*.py") if "import pint" in path.read_text("utf-8")
    }
    assert users == {"units.py"}
