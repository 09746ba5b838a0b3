"""The audit of the catalog: every finding is decided, every decision has one, slips are found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from planner.catalog import Catalog, load_catalog
from planner.catalog.reader import TABLES_FOLDER
from scripts.audit_catalog import PAGE, decided, decisions, findings, section, undecided


def test_every_finding_is_decided() -> None:
    """A new one: mend the figure where it is entered, or decide in audit_decisions.csv."""
    assert undecided(findings(load_catalog())) == []


def test_every_decision_is_about_a_finding() -> None:
    patterns = decisions()["finding"].tolist()
    used = {decided(finding, patterns) for finding in findings(load_catalog())}
    assert [pattern for pattern in patterns if pattern not in used] == []


def test_the_page_lists_them() -> None:
    assert section(findings(load_catalog())) in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("table", "key", "column", "value", "name"),
    [
        ("regions", "aws:us-west-2", "carbon_gco2e_per_kwh", 350.9, "grid/US-NW-BPAT"),
        ("regions", "gcp:europe-west9", "provider_carbon_gco2e_per_kwh", 158.0, "grid/gcp:europe-"),
        ("regions", "gcp:europe-west9", "grid_zone", "BE", "neighbours/aws:eu-west-3+gcp:europe-"),
        ("regions", "aws:us-west-2", "source", "", "source/regions"),
        ("grid_zones", "GB", "date", "2023-12-31", "age/grid_zones/2023-12-31"),
        ("accelerators", "h100-sxm", "tdp_w", 70.0, "class/h100-sxm/tdp_w"),
        ("accelerators", "h100-sxm", "idle_w", 690.0, "class/h100-sxm/idle_w"),
        ("offers", "gcp_a3-megagpu-8g", "ondemand_usd_per_h", 11.6, "price/gcp_a3-megagpu-8g"),
        ("offers", "gcp_a3-megagpu-8g", "commit_3y_usd_per_h", 5.0, "market/commit_3y/gcp_a3-mega"),
        ("api_offers", "claude-haiku-4-5", "output_usd_per_mtok", 0.5, "hosted/anthropic/claude-"),
    ],
)
def test_a_slip_is_found(
    tmp_path: Path, table: str, key: str, column: str, value: object, name: str
) -> None:
    shutil.copytree(TABLES_FOLDER, tmp_path / "tables")
    path = tmp_path / "tables" / f"{table}.csv"
    frame = pd.read_csv(path)
    frame[column] = frame[column].astype(object)
    id_column = {"api_offers": "llm", "offers": "offer"}.get(table, frame.columns[0])
    frame.loc[frame[id_column] == key, column] = value
    frame.to_csv(path, index=False)
    found = undecided(findings(Catalog(tmp_path / "tables")))
    assert any(finding.name.startswith(name) for finding in found), [f.name for f in found]
