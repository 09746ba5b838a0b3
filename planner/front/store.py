"""Files of a front run: points, cuts and boxes, each written in one step and read back to resume.

::

    plans/p0001/plan.json      a checked plan
    plans/p0001/solution.npz   the same in the program's own numbers, for `--resume`
    cuts/c0001.npz             the dual prices that prove a cut, by name
    cuts/c0001.state.npz       the same in the program's own order, for `--resume`
    boxes/b0001.npz            the cases that prove a box
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from models.fleet.data import IntArray
from planner.errors import RunError
from planner.front.enclosure import FoundBox, FoundCut
from planner.solve.bound import Prices
from planner.solve.solution import Solution
from planner.verify.prices import DualPrices

PLANS, CUTS, BOXES = "plans", "cuts", "boxes"
SOLUTION, STATE = "solution.npz", ".state.npz"


def replace(path: Path, content: bytes) -> None:
    """Write beside, then rename: a kill leaves no half file."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)


def save(path: Path, arrays: Mapping[str, ArrayLike]) -> None:
    """Arrays into an ``.npz`` in one step."""
    draft = path.with_name(f".{os.getpid()}-{path.name}")
    with draft.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)
    draft.replace(path)


def load(path: Path) -> dict[str, Any]:
    """Inverse of `save`; RunError where the file is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be resumed from: {error}") from error


def save_point(folder: Path, solution: Solution, routes: IntArray) -> None:
    """A plan in the program's own numbers, and the routes to improve it with."""
    arrays = {f.name: getattr(solution, f.name) for f in fields(Solution)}
    save(folder / SOLUTION, {**arrays, "columns": routes})


def load_point(folder: Path) -> tuple[Solution, IntArray]:
    """Inverse of `save_point`."""
    path = folder / SOLUTION
    arrays = load(path)
    try:
        routes = arrays.pop("columns")
        # Points that were stored before machines could be held by the hour hold none so.
        arrays.setdefault("by_hour", np.zeros(arrays["serve"].shape))
        arrays.setdefault("hold", np.zeros(arrays["rent"].shape))
        return Solution(**arrays), routes
    except (KeyError, TypeError) as error:
        raise RunError(f"{path} cannot be resumed from: {error}") from error


def save_cut(folder: Path, found: FoundCut, stored: DualPrices) -> None:
    """The proof of a cut, and what a resumed search needs of it."""
    stored.save(folder / f"{found.id}.npz")
    prices = {f"price {f.name}": getattr(found.prices, f.name) for f in fields(Prices)}
    arrays = {"rest": found.rest, "worth": found.worth, "level": found.level, **prices}
    save(folder / f"{found.id}{STATE}", arrays)


def load_cut(folder: Path, name: str) -> FoundCut:
    """Inverse of `save_cut`."""
    path = folder / f"{name}{STATE}"
    arrays = load(path)
    try:
        raw = {f.name: arrays[f"price {f.name}"] for f in fields(Prices)}
        values: dict[str, Any] = {k: v if v.ndim else float(v) for k, v in raw.items()}
        prices, rest, level = Prices(**values), float(arrays["rest"]), float(arrays["level"])
        return FoundCut(name, prices.weights[:3], rest, arrays["worth"], level, prices)
    except (KeyError, TypeError) as error:
        raise RunError(f"{path} cannot be resumed from: {error}") from error


def save_box(folder: Path, found: FoundBox, variants: tuple[str, ...]) -> None:
    """The cases that prove a box; variants by name."""
    save(
        folder / f"{found.id}.npz",
        {
            "corner": found.corner,
            "cuts": np.array([f"{CUTS}/{name}.npz" for name in found.cuts], dtype=np.str_),
            "variants": np.array(variants, dtype=np.str_),
            "allowed": found.allowed,
            "shares": found.shares,
        },
    )


def load_box(folder: Path, name: str) -> FoundBox:
    """Inverse of `save_box`."""
    path = folder / f"{name}.npz"
    arrays = load(path)
    try:
        cuts = tuple(Path(str(cut)).stem for cut in arrays["cuts"])
        return FoundBox(name, arrays["corner"], cuts, arrays["allowed"], arrays["shares"])
    except KeyError as error:
        raise RunError(f"{path} cannot be resumed from: {error}") from error
