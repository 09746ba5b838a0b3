"""Replicas for a rate, ideal shares, power."""

import numpy as np
import pytest

from models.coefficients.energy import tokens_energy_wh
from models.coefficients.serving import AcceleratorShape, LlmShape
from models.coefficients.sizing import ideal_shares, replica_power_w, replicas_for

L8B = LlmShape(*(np.asarray(float(x)) for x in (32, 4096, 4096, 8.03e9, 0, 1, 131072, 8)))
H100 = AcceleratorShape(
    *(np.asarray(x) for x in (80e9, 3.35e12, 989e12, 1979e12, 989e12, 900e9)), np.asarray("hopper")
)


def test_three_joules_a_token_for_400_tokens():
    assert tokens_energy_wh(3.0, 400) == pytest.approx(1 / 3, rel=1e-3)


def test_replicas_round_up_and_none_for_no_demand():
    shares = np.array([[0.3, 0.1, 0.2, 0.1]])
    assert replicas_for(10.0, shares) == pytest.approx([3.0])
    assert replicas_for(10.1, shares) == pytest.approx([4.0])
    assert replicas_for(0.0, np.full((1, 4), np.inf)) == pytest.approx([0.0])
    assert replicas_for(1e-9, shares) == pytest.approx([1.0]), "nobody is served by none"
    assert np.isinf(replicas_for(1.0, np.full((1, 4), np.inf))).all()


def test_a_lone_sequence_is_bound_by_memory():
    compute, memory = ideal_shares(
        L8B, H100, 1, "bf16", sequences=1, context_tokens=0.0,
        prompt_tokens_per_output=0.0, tpot_s=16.06e9 / 3.35e12,
    )  # fmt: skip
    assert memory == pytest.approx(1.0)
    assert compute < 0.01


def test_power_lies_between_base_share_and_tdp():
    power = replica_power_w(
        L8B, H100, 2, "bf16", tdp_w=700.0, sequences=np.array([1.0, 64.0, 4096.0]),
        context_tokens=512.0, prompt_tokens_per_output=2.0, tpot_s=0.02,
    )  # fmt: skip
    assert (np.diff(power) >= 0).all()
    assert 0.6 * 1400 <= power[0] <= power[-1] <= 1400
