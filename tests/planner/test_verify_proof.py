"""A proof in cases: what several price vectors prove together, and every way to falsify it."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.api import load
from planner.errors import RunError, VerificationError
from planner.instance.facts import Facts
from planner.verify import DualPrices, Proof, verify_bound, verify_proof
from planner.verify.bound import Statement, statement
from planner.verify.ground import Ground
from planner.verify.proof import covers
from tests.planner.test_verify_bound import COST, random_prices, rental_prices

INSTANCES = Path(__file__).parents[2] / "instances"


@pytest.fixture(scope="module")
def tiny() -> Facts:
    return load(INSTANCES / "tiny")


def names(facts: Facts) -> list[str]:
    return [v.variant for v in facts.variants]


def by_first_workload(facts: Facts, prices: tuple[DualPrices, ...]) -> Proof:
    """One case for each variant of the first workload, each with its own best price vector."""
    first = facts.instance.workloads[0].workload
    mine = [i for i, v in enumerate(facts.variants) if v.workload == first]
    allowed = np.ones((len(mine), len(facts.variants)), dtype=bool)
    for row, keep in enumerate(mine):
        allowed[row, [i for i in mine if i != keep]] = False
    shares = np.zeros((len(mine), len(prices)))
    said = [statement(Ground(facts, None), p) for p in prices]
    for row, left in enumerate(allowed):
        bounds = [case_bound(facts, s, left) for s in said]
        shares[row, int(np.argmax(bounds))] = 1.0
    return Proof(prices, tuple(names(facts)), allowed, shares)


def case_bound(facts: Facts, said: Statement, left: np.ndarray) -> float:
    workloads = {w.workload for w in facts.instance.workloads}
    least = [
        min(
            (
                said.worth[v.variant]
                for v, ok in zip(facts.variants, left, strict=True)
                if ok and v.workload == name
            ),
            default=np.inf,
        )
        for name in workloads
    ]
    return said.rest + sum(least)


@pytest.fixture(scope="module")
def several(tiny: Facts) -> tuple[DualPrices, ...]:
    return (rental_prices(tiny), *(random_prices(tiny, seed, COST, 2.0) for seed in range(3)))


def test_one_price_vector_proves_what_it_proves_alone(tiny: Facts) -> None:
    prices = rental_prices(tiny)
    assert verify_proof(tiny, Proof.of(prices, names(tiny))) == verify_bound(tiny, prices)


def test_cases_prove_at_least_what_the_best_vector_proves(
    tiny: Facts, several: tuple[DualPrices, ...]
) -> None:
    proved = verify_proof(tiny, by_first_workload(tiny, several))
    assert proved >= max(verify_bound(tiny, prices) for prices in several) - 1e-9


def test_a_mixture_proves_no_more_than_its_best_part(
    tiny: Facts, several: tuple[DualPrices, ...]
) -> None:
    """Of one assignment: the mixture of true statements is true."""
    said = [statement(Ground(tiny, None), prices) for prices in several]
    chosen = [min(said[0].worth, key=said[0].worth.__getitem__)]
    best = max(s.rest + s.worth[chosen[0]] for s in said)
    mixed = np.mean([s.rest + s.worth[chosen[0]] for s in said])
    assert mixed <= best + 1e-9


def test_a_case_left_out_is_caught(tiny: Facts, several: tuple[DualPrices, ...]) -> None:
    whole = by_first_workload(tiny, several)
    partial = replace(whole, allowed=whole.allowed[1:], shares=whole.shares[1:])
    with pytest.raises(VerificationError, match="leave out"):
        verify_proof(tiny, partial)


def test_a_variant_that_no_case_names_is_caught(
    tiny: Facts, several: tuple[DualPrices, ...]
) -> None:
    whole = by_first_workload(tiny, several)
    partial = replace(whole, variants=whole.variants[:-1], allowed=whole.allowed[:, :-1])
    with pytest.raises(VerificationError, match="leave out"):
        verify_proof(tiny, partial)


@pytest.mark.parametrize("share", [1.001, 0.0, -1.0, float("nan"), float("inf")])
def test_shares_that_are_no_mixture_are_refused(
    tiny: Facts, several: tuple[DualPrices, ...], share: float
) -> None:
    whole = by_first_workload(tiny, several)
    with pytest.raises(VerificationError, match="mixture"):
        verify_proof(tiny, replace(whole, shares=np.where(whole.shares > 0, share, 0.0)))


def test_price_vectors_for_different_objectives_prove_nothing(
    tiny: Facts, several: tuple[DualPrices, ...]
) -> None:
    other = rental_prices(tiny, weights=np.array([0.0, 1.0, 0.0, 0.0]))
    whole = by_first_workload(tiny, several)
    with pytest.raises(VerificationError, match="same weights"):
        verify_proof(tiny, replace(whole, prices=(other, *whole.prices[1:])))


def test_a_proof_survives_its_file(
    tiny: Facts, several: tuple[DualPrices, ...], tmp_path: Path
) -> None:
    proof = by_first_workload(tiny, several)
    proof.save(tmp_path / "certificate.npz")
    assert verify_proof(tiny, Proof.load(tmp_path / "certificate.npz")) == verify_proof(tiny, proof)


def test_a_damaged_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "certificate.npz").write_bytes(b"nothing of ours")
    with pytest.raises(RunError, match="dual prices"):
        Proof.load(tmp_path / "certificate.npz")


@given(st.data())
def test_cover_means_every_assignment_is_in_a_case(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    ends = np.cumsum(sizes)
    members = [np.arange(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    rows = data.draw(
        st.lists(
            st.lists(st.booleans(), min_size=int(ends[-1]), max_size=int(ends[-1])),
            min_size=1,
            max_size=6,
        )
    )
    allowed = np.array(rows, dtype=bool)
    truth = all(
        any(row[list(choice)].all() for row in allowed)
        for choice in product(*(mine.tolist() for mine in members))
    )
    assert covers(allowed, members) == truth
