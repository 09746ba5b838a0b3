"""Join an instance with the catalog: `resolve(instance, catalog) -> Facts`.

Figures the user gives win over the catalog's; every join is made here and nowhere else.
"""

from __future__ import annotations

from planner.instance.facts import (
    AcceleratorFacts,
    ApiFacts,
    Facts,
    LlmFacts,
    MachineFacts,
    Prices,
    RegionFacts,
    VariantFacts,
)

__all__ = [
    "AcceleratorFacts",
    "ApiFacts",
    "Facts",
    "LlmFacts",
    "MachineFacts",
    "Prices",
    "RegionFacts",
    "VariantFacts",
]
