"""DualPrices: the stored proof of a lower bound, keyed by names, saved without pickle.

Any prices >= 0 of the rows of the program prove a bound, converged or not, so a file needs no
trust: it can only be good or bad, never wrong. Rows that are not named have price 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from planner.errors import RunError

T = TypeVar("T")

TOTALS = ("cost", "carbon", "loss", "water")
"""Order of `weights` and `cap`: USD, kgCO2e, 1 - QoE, litres."""

FAMILIES: dict[str, tuple[str, ...]] = {
    "replica": ("pool", "slice", "capacity row"),
    "machine": ("region/offer", "slice"),
    "quota": ("region", "accelerator", "market or empty", "slice"),
    "host": ("variant", "region", "origin"),
    "survive": ("workload or variant", "region", "slice"),
    "spot": ("region", "accelerator", "slice"),
    "attain": ("workload or variant",),
    "floor": ("workload or variant",),
    "spread": ("workload", "region"),
    "spread-count": ("workload",),
    "open": ("workload", "region"),
    "open-count": (),
    "keep": ("workload or variant", "llm"),
    "keep-count": (),
    "added": ("region/offer", "slice"),
    "added-total": (),
    "changed": (),
}
"""Family of rows -> what its names are; equations (3)-(16) of ``models/FORMULATION.md`` in order,
every row written as ``a x <= b``. Rows (8), (10), (11) and (14) may be priced for each variant, as
the formulation has the first three of them, or for the workload, as it has the last: whole plans
obey both."""

Key = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class DualPrices:
    """Row prices by name, and which pools and machines were left out as dominated by which."""

    weights: NDArray[np.float64]
    """float (4,) what is minimised, in the order of `TOTALS`"""
    cap: NDArray[np.float64]
    """float (4,) prices of the caps (17)"""
    rows: Mapping[str, Mapping[Key, float]]
    """family -> names -> price >= 0"""
    dominated_configs: Mapping[str, str]
    """``accelerator/weights/g2/fp8/40ms/4096`` -> the one that is at least as good"""
    dominated_machines: Mapping[str, str]
    """``region/offer`` -> the machine of the same region and accelerator that is no dearer"""

    def of(self, family: str) -> Mapping[Key, float]:
        """Prices of a family; empty where none is stored."""
        return self.rows.get(family, {})

    def one(self, family: str, *names: str) -> float:
        """Price of a row; 0 where none is stored."""
        return self.of(family).get(names, 0.0)

    def problems(self) -> tuple[str, ...]:
        """Why these are no prices at all: wrong families, names, signs or values."""
        found = [f"unknown family {name!r}" for name in self.rows if name not in FAMILIES]
        for name, value in (("weights", self.weights), ("cap", self.cap)):
            if value.shape != (len(TOTALS),) or not np.isfinite(value).all() or (value < 0).any():
                found.append(f"{name} must be {len(TOTALS)} finite numbers >= 0, are {value}")
        for family, prices in self.rows.items():
            for key, price in prices.items():
                if family in FAMILIES and len(key) != len(FAMILIES[family]):
                    found.append(f"row {family} {key}: names must be {FAMILIES[family]}")
                if not (np.isfinite(price) and price >= 0):
                    found.append(f"price of {family} {'/'.join(key)} is {price:g}, must be >= 0")
        return tuple(found)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything as named arrays without objects; prices of 0 are left out."""
        arrays: dict[str, NDArray[np.generic]] = {"weights": self.weights, "cap": self.cap}
        for family, prices in self.rows.items():
            kept = {key: price for key, price in prices.items() if price != 0}
            arrays[f"{family} names"] = _text(kept, len(FAMILIES[family]))
            arrays[f"{family} prices"] = np.array(list(kept.values()), dtype=float)
        for name, dominated in (
            ("dominated configs", self.dominated_configs),
            ("dominated machines", self.dominated_machines),
        ):
            arrays[name] = _text(dominated.items(), 2)
        return arrays

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> DualPrices:
        """Inverse of `arrays`; KeyError, ValueError or TypeError where they are not ours."""
        rows = {
            family: dict(
                zip(
                    (tuple(key) for key in arrays[f"{family} names"].tolist()),
                    arrays[f"{family} prices"].tolist(),
                    strict=True,
                )
            )
            for family in FAMILIES
            if f"{family} names" in arrays
        }
        return cls(
            weights=arrays["weights"].astype(float),
            cap=arrays["cap"].astype(float),
            rows=rows,
            dominated_configs=dict(arrays["dominated configs"].tolist()),
            dominated_machines=dict(arrays["dominated machines"].tolist()),
        )

    def save(self, path: Path) -> None:
        """Write to an ``.npz`` of plain arrays."""
        save_arrays(path, self.arrays())

    @classmethod
    def load(cls, path: Path) -> DualPrices:
        """Inverse of `save`; RunError where the file is missing or not ours."""
        return load_arrays(path, cls.of_arrays)


def save_arrays(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Write named arrays, without pickle."""
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load_arrays(path: Path, made: Callable[[Mapping[str, NDArray[Any]]], T]) -> T:
    """What `made` makes of the arrays of a file; RunError where it is missing or not ours."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return made({name: file[name] for name in file.files})
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from error
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, BadZipFile) as error:
        raise RunError(f"{path} holds no dual prices: {error}") from error


def _text(rows: Iterable[Key], width: int) -> NDArray[np.str_]:
    """Names as an array of text of shape (n, width)."""
    listed = [list(row) for row in rows]
    return np.array(listed, dtype=np.str_).reshape(len(listed), width)
