"""Proof: what is stored to prove a lower bound, and proving it again.

One vector of dual prices proves, for every assignment of variants to workloads, that a plan with it
has at least ``rest + sum over workloads of worth[its variant]`` (`planner.verify.bound`). Several
prove more together, in cases: each case leaves some variants of each workload, and a mixture of the
statements bounds every plan that adopts those alone. Where the cases leave out no assignment, the
least of their bounds holds for every plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import VerificationError
from planner.incumbent import Incumbent
from planner.instance.facts import Facts
from planner.plan import Plan
from planner.verify.bound import Statement, statement
from planner.verify.ground import Ground
from planner.verify.prices import DualPrices, load_arrays, save_arrays
from planner.verify.report import TOLERANCE, Findings, Violation

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SHARES = 1e-9
"""Shares of a mixture may miss 1 by that."""


@dataclass(frozen=True, eq=False)
class Proof:
    """Price vectors and the cases that they prove."""

    prices: tuple[DualPrices, ...]
    """K of them, all of the same weights"""
    variants: tuple[str, ...]
    """(V,) names, in the order of `allowed`"""
    allowed: BoolArray
    """bool (N, V): the variants that are left in each case"""
    shares: Array
    """float (N, K) >= 0, rows add up to 1: the mixture that bounds each case"""

    @classmethod
    def of(cls, prices: DualPrices, variants: Sequence[str]) -> Proof:
        """The proof by one price vector, without a distinction of cases."""
        every = np.ones((1, len(variants)), dtype=bool)
        return cls((prices,), tuple(variants), every, np.ones((1, 1)))

    def save(self, path: Path) -> None:
        """Write to an ``.npz`` of plain arrays."""
        arrays: dict[str, NDArray[np.generic]] = {
            "variants": np.array(self.variants, dtype=np.str_),
            "allowed": self.allowed,
            "shares": self.shares,
        }
        for number, prices in enumerate(self.prices):
            arrays |= {f"{number} {name}": value for name, value in prices.arrays().items()}
        save_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path) -> Proof:
        """Inverse of `save`; RunError where the file is missing or not ours."""

        def made(arrays: Mapping[str, NDArray[Any]]) -> Proof:
            shares = arrays["shares"].astype(float).reshape(len(arrays["allowed"]), -1)
            prices = tuple(
                DualPrices.of_arrays(
                    {
                        name.partition(" ")[2]: value
                        for name, value in arrays.items()
                        if name.partition(" ")[0] == str(number)
                    }
                )
                for number in range(shares.shape[1])
            )
            variants = tuple(str(name) for name in arrays["variants"].tolist())
            allowed = arrays["allowed"].astype(bool).reshape(-1, len(variants))
            return cls(prices, variants, allowed, shares)

        return load_arrays(path, made)

    @property
    def weights(self) -> Array:
        """float (4,) what is bounded; VerificationError where the price vectors differ."""
        weights = np.array([prices.weights for prices in self.prices]).reshape(-1, 4)
        if len(weights) == 0 or (weights != weights[0]).any():
            raise VerificationError("the stored prices are none, or not all for the same weights")
        return np.asarray(weights[0])


def verify_proof(facts: Facts, proof: Proof, incumbent: Incumbent | None = None) -> float:
    """The lower bound on ``weights . (cost, carbon, loss, water)`` that the proof proves.

    VerificationError where the prices are none, a mixture is none, or the cases leave out an
    assignment that could serve all demand.
    """
    _ = proof.weights
    ground = Ground(facts, incumbent)
    statements = [statement(ground, prices) for prices in proof.prices]
    bounds = case_bounds(facts, statements, proof.variants, proof.allowed, proof.shares)
    if (np.abs(proof.shares.sum(axis=1) - 1.0) > SHARES).any():
        raise VerificationError("the shares of a mixture do not add up to 1")
    return float(bounds.min())


def case_bounds(
    facts: Facts,
    statements: Sequence[Statement],
    variants: Sequence[str],
    allowed: BoolArray,
    shares: Array,
) -> Array:
    """What each case proves of the plans in it, float (N,): the mixture of the K statements, by
    `shares` (N, K), over `allowed` (N, V) of the named variants.

    VerificationError where a share is no number >= 0, a variant is unknown, or the cases leave out
    an assignment that could serve all demand.
    """
    known = {v.variant: v.workload for v in facts.variants}
    if not (np.isfinite(shares).all() and (shares >= 0.0).all()) or len(shares) != len(allowed):
        raise VerificationError("the shares of a mixture are not finite numbers >= 0, one per case")
    stray = [name for name in variants if name not in known]
    if stray or len(set(variants)) < len(variants):
        raise VerificationError(f"the cases name no variants of the instance: {stray[:3]}")
    # A variant that no case names is left out of all of them.
    names = [*variants, *(name for name in known if name not in variants)]
    absent = np.zeros((len(allowed), len(names) - len(variants)), dtype=bool)
    allowed = np.concatenate([allowed, absent], axis=1)
    worth = np.array([[said.worth[name] for name in names] for said in statements])
    workloads = [known[name] for name in names]
    members = [
        np.flatnonzero([other == name for other in workloads]) for name in dict.fromkeys(workloads)
    ]
    able = np.isfinite(worth).all(axis=0)
    members = [mine[able[mine]] for mine in members]
    if not covers(allowed, members):
        raise VerificationError("the cases leave out assignments that could serve all demand")
    rest = np.array([said.rest for said in statements])
    return np.array(
        [
            _case_bound(rest, worth, left & able, share, members)
            for left, share in zip(allowed, shares, strict=True)
        ]
    )


def _case_bound(
    rest: Array, worth: Array, left: BoolArray, share: Array, members: Sequence[NDArray[np.int64]]
) -> float:
    """Least of the mixture over assignments of the variants that are left."""
    used = share > 0.0
    value = np.where(left, share[used] @ np.where(left, worth[used], 0.0), np.inf)
    return float(share[used] @ rest[used]) + sum(
        float(value[mine].min(initial=np.inf)) for mine in members
    )


def covers(allowed: BoolArray, members: Sequence[NDArray[np.int64]]) -> bool:
    """Whether every choice of one variant per workload is inside some case.

    `allowed` is bool (N, V), `members` the variants of each workload. What a case leaves over is
    cut into boxes, one workload at a time, and each must be covered in turn.
    """
    every = np.zeros(allowed.shape[1], dtype=bool)
    for mine in members:
        every[mine] = True
    boxes = [every]
    while boxes:
        box = boxes.pop()
        if any(not box[mine].any() for mine in members):
            continue
        meets = np.array([(allowed[:, mine] & box[mine]).any(axis=1) for mine in members])
        inside = np.flatnonzero(meets.all(axis=0))
        if not len(inside):
            return False
        # The case that leaves least over.
        case = allowed[inside[np.argmin((box & ~allowed[inside]).sum(axis=1))]]
        rest = box
        for mine in members:
            outside = np.zeros_like(box)
            outside[mine] = rest[mine] & ~case[mine]
            if outside.any():
                left = rest.copy()
                left[mine] = outside[mine]
                boxes.append(left)
                rest = rest & ~outside
    return True


def verify_certificate(
    facts: Facts, plan: Plan, proof: Proof, incumbent: Incumbent | None = None
) -> tuple[float, tuple[Violation, ...]]:
    """(the bound re-proved, what is wrong with the stated one), both of the plan's certificate.

    A bound found by branch and bound may exceed what the prices prove; one said to rest on dual
    prices may not, nor what the prices are said to prove beside it.
    """
    findings, stated = Findings(), plan.certificate
    try:
        on_grid = replace(facts, grid=plan.grid)
        weights, proved = proof.weights, verify_proof(on_grid, proof, incumbent)
    except VerificationError as error:
        findings.add("certificate", "dual prices", "prices that prove", "none", str(error))
        return -np.inf, findings.all()
    aim = np.array([stated.minimised == name for name in ("cost", "carbon", "qoe-loss", "")])
    if not np.array_equal(weights, aim.astype(float)):
        findings.add(
            "certificate",
            "weights",
            stated.minimised,
            str(weights),
            f"the prices are for weights {weights}, not for {stated.minimised}",
        )
    slack = TOLERANCE * max(abs(stated.value), 1e-9)
    if stated.proof == "dual prices" and stated.bound > proved + slack:
        findings.add(
            "certificate",
            "bound",
            f"at most {proved:.9g}",
            stated.bound,
            f"the stored prices prove {proved:.9g}, the plan states {stated.bound:.9g}",
        )
    priced = stated.bound_from_prices
    if priced is not None and priced > proved + slack:
        findings.add(
            "certificate",
            "bound_from_prices",
            f"at most {proved:.9g}",
            priced,
            f"the stored prices prove {proved:.9g}, the plan says that they prove {priced:.9g}",
        )
    if proved > stated.value + slack:
        findings.add(
            "certificate",
            "value",
            f"at least {proved:.9g}",
            stated.value,
            f"the stored prices prove {proved:.9g}, above the plan's own {stated.value:.9g}",
        )
    return proved, findings.all()


__all__ = ["Proof", "Statement", "covers", "verify_certificate", "verify_proof"]
