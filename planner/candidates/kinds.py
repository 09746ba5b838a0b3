"""What the candidates are, beside the program's arrays: exclusions, pools, extras for reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.fleet.data import FleetData, FloatArray
from planner.instance.facts import VariantFacts

RULES = (
    "residency",
    "quality floor",
    "context length",
    "prompt lane",
    "precision",
    "heads",
    "memory",
    "operating point",
    "TPOT target",
    "TTFT target",
    "price",
    "quota",
)
"""Rules that remove candidates, in the order in which they are asked."""


@dataclass(frozen=True)
class Exclusion:
    """Candidates that one rule removed, with the numbers of the one that came closest."""

    rule: str
    """one of `RULES`"""
    workload: str | None
    llm: str | None
    where: str | None
    """accelerator, region or machine, as fits the rule"""
    count: int
    """combinations removed (class x configuration, or class x origin x pool)"""
    needed: float
    available: float
    unit: str

    def __str__(self) -> str:
        """E.g. ``memory: llama-3.1-70b on l4: needs 71 GB, 21 GB available (24 removed)``."""
        what = " for ".join(x for x in (self.llm, self.workload) if x)
        place = f" on {self.where}" if what and self.where else (self.where or "")
        return (
            f"{self.rule}: {what}{place}: needs {self.needed:.4g} {self.unit}, "
            f"{self.available:.4g} {self.unit} available ({self.count:,} removed)"
        )


@dataclass(frozen=True)
class PoolInfo:
    """A pool in words; `FleetData.pools` holds its name."""

    pool: str
    region: str
    offer: str
    accelerator: str
    llm: str
    weights: str
    """the llm, or ``llm@workload`` for a full fine-tune"""
    accelerators: int
    """per replica"""
    precision: str
    engine: str
    operating_tpot_s: float
    lane_tokens: float
    provenance: str
    """how the serving figures are known"""
    band: tuple[float, float]
    """80 % band of TPOT, as factors"""


@dataclass(frozen=True, eq=False)
class Candidates:
    """The program's data and everything needed to explain and report it."""

    data: FleetData
    pools: tuple[PoolInfo, ...]
    """(P,)"""
    variants: tuple[VariantFacts, ...]
    """(V,)"""
    route_ttft_p95_s: FloatArray
    """float (J,); inf for shortfall"""
    route_tpot_s: FloatArray
    """float (J,) mean; inf for shortfall"""
    exclusions: tuple[Exclusion, ...]
    dominated_pools: Mapping[str, str]
    """configuration ``accelerator/weights/g2/fp8/40ms/4096`` -> the one that dominates it on
    every machine with that accelerator"""
    dominated_machines: Mapping[str, str]
    """machine -> the machine of the same region and accelerator that dominates it"""
    removed_variants: Mapping[str, str]
    """variant -> why it has no route"""
    eligible_before_pruning: int
    eligible_after_pruning: int
    """routes to hosted llms included, shortfall not"""
