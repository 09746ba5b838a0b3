"""Collects what the eligibility rules remove, with the numbers of the closest miss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.fleet.data import FloatArray, IntArray
from planner.candidates.kinds import RULES, Exclusion

Names = Sequence[str | None]


class Tally:
    """Grows while candidates are made; `result` is sorted by rule, then by order of arrival."""

    def __init__(self) -> None:
        self._found: list[Exclusion] = []

    def one(
        self,
        rule: str,
        workload: str | None,
        llm: str | None,
        where: str | None,
        *,
        count: int,
        needed: float,
        available: float,
        unit: str,
    ) -> None:
        """Note one exclusion."""
        self._found.append(
            Exclusion(rule, workload, llm, where, count, float(needed), float(available), unit)
        )

    def many(
        self,
        rule: str,
        names: tuple[Names, Names, Names],
        codes: tuple[IntArray, IntArray, IntArray],
        needed: FloatArray,
        available: FloatArray,
        unit: str,
    ) -> None:
        """Note excluded candidates (N,), one exclusion per combination of the three codes.

        `names` are the workloads, llms and places that `codes` index. The numbers kept are those
        of the smallest excess of needed over available.
        """
        if not len(needed):
            return
        sizes = tuple(len(part) for part in names)
        key = np.ravel_multi_index(codes, sizes)
        order = np.lexsort((needed - available, key))
        first = order[np.flatnonzero(np.r_[True, np.diff(key[order]) > 0])]
        count = np.bincount(key)
        for at in first:
            self.one(
                rule,
                *(part[code[at]] for part, code in zip(names, codes, strict=True)),
                count=int(count[key[at]]),
                needed=needed[at],
                available=available[at],
                unit=unit,
            )

    @property
    def result(self) -> tuple[Exclusion, ...]:
        """Everything noted."""
        return tuple(sorted(self._found, key=lambda found: RULES.index(found.rule)))
