"""Every folder of instances/broken gives exactly its finding, at its place, with its words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from planner.errors import InstanceError
from planner.instance.load import load_instance

ROOT = Path(__file__).resolve().parents[3]
BROKEN = sorted(path for path in (ROOT / "instances" / "broken").iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", BROKEN, ids=lambda folder: folder.name)
def test_one_mistake_is_one_finding(folder: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    with pytest.raises(InstanceError) as caught:
        load_instance(folder)
    assert len(caught.value.findings) == 1
    finding = caught.value.findings[0]
    assert (finding.file, finding.row, finding.column) == (  # type: ignore[attr-defined]
        expected["file"],
        expected["row"],
        expected["column"],
    )
    assert expected["contains"], "an expectation that anything meets is none"
    assert expected["contains"] in str(finding)


def test_there_are_enough_mistakes() -> None:
    assert len(BROKEN) >= 25


def test_the_folders_are_what_their_script_writes(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "build_broken.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, capture_output=True)
    for folder in BROKEN:
        written = {path.name: path.read_bytes() for path in (tmp_path / folder.name).iterdir()}
        assert written == {path.name: path.read_bytes() for path in folder.iterdir()}, folder.name
    assert len(list(tmp_path.iterdir())) == len(BROKEN)
