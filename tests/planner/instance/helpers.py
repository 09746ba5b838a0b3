"""The findings of a folder that must not load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from planner.errors import InstanceError
from planner.instance.findings import Finding
from planner.instance.load import load_instance

Edit = Callable[[str, str, str], None]
"""(file, old, new): replace a text that occurs once; an empty old text writes the file."""


def findings_of(folder: Path) -> tuple[Finding, ...]:
    with pytest.raises(InstanceError) as caught:
        load_instance(folder)
    findings = tuple(f for f in caught.value.findings if isinstance(f, Finding))
    assert len(findings) == len(caught.value.findings) > 0
    return findings
