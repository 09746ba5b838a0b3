"""An instance that buys from every source, and a loopback source."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from planner.feeds.http import HttpSettings
from planner.feeds.need import Need, need_of
from tests.planner.feeds.source_server import Source

ROOT = Path(__file__).resolve().parents[3]
REGIONS = ("aws:us-east-1", "aws:eu-central-1", "azure:eastus2", "gcp:us-central1",
           "gcp:europe-west4", "nebius:eu-north1")  # fmt: skip
CARDS = ("l4", "h100-sxm", "a100-80gb")
QUICK = HttpSettings(
    connect_s=2.0, read_s=0.3, answer_s=5.0, attempts=3, backoff_s=0.01, longest_wait_s=2.0,
    max_bytes=2_000_000, max_pages=20,
)  # fmt: skip


def write_buyer(folder: Path) -> Path:
    """`small`, spread over five providers, with a hosted llm."""
    shutil.copytree(ROOT / "instances" / "small", folder)
    (folder / "regions.csv").write_text("\n".join(["region", *REGIONS]) + "\n")
    (folder / "accelerators.csv").write_text("\n".join(["accelerator", *CARDS]) + "\n")
    (folder / "quotas.csv").write_text(
        "region,accelerator,accelerators\naws:us-east-1,h100-sxm,24\n"
    )
    (folder / "apis.csv").write_text(
        "llm,provider,ttft_s,tpot_s,gco2e_per_ktok\nclaude-haiku-4-5,anthropic,0.7,0.009,0.15\n"
    )
    return folder


@pytest.fixture(scope="session")
def buyer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The instance folder; never written to."""
    return write_buyer(tmp_path_factory.mktemp("buyer") / "buyer")


@pytest.fixture(scope="session")
def need(buyer: Path) -> Need:
    return need_of(buyer)


@pytest.fixture
def source() -> Iterator[Source]:
    server = Source()
    yield server
    server.close()
