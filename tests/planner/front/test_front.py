"""front.json: an exact round trip, and a clear refusal of anything damaged."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import RunError
from planner.front.front import Corner, Front, as_minimised, as_objectives, known
from planner.plan import Objectives
from tests.planner.front.front_examples import POINTS, front, plan, write_run


def test_json_round_trip_is_exact():
    whole = front()
    assert Front.from_json(whole.to_json()) == whole


def test_the_contract_for_programs():
    data = json.loads(front().to_json())
    assert set(data) >= {
        "format_version", "instance", "objectives", "ideal", "nadir", "points", "certificate",
        "solves", "elapsed_s", "timings", "seed",
    }  # fmt: skip
    assert set(data["points"][0]) == {
        "id", "cost_usd", "carbon_kgco2e", "qoe", "cost_bound_usd", "cost_gap_relative", "status",
        "found_by", "plan",
    }  # fmt: skip
    assert set(data["certificate"]) == {
        "method", "complete", "epsilon", "cost_gap_relative_median", "cost_gap_relative_max",
        "hypervolume", "cuts", "boxes", "widest", "step", "cost_gap_relative_median_beyond_step",
    }  # fmt: skip
    assert set(data["certificate"]["hypervolume"]) == {"lower", "upper", "reference"}
    assert [(o["name"], o["unit"], o["sense"]) for o in data["objectives"]] == [
        ("cost_usd", "USD", "min"), ("carbon_kgco2e", "kgCO2e", "min"), ("qoe", "share", "max"),
    ]  # fmt: skip


def test_points_are_minimised_as_cost_carbon_and_qoe_loss():
    np.testing.assert_allclose(front().minimised[0], [100.0, 900.0, 0.2])
    np.testing.assert_allclose(front().ranges, [300.0, 520.0, 0.15])


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.floats(0, 1))
def test_objectives_and_minimised_are_inverse(cost, carbon, qoe):
    back = as_objectives(as_minimised(Objectives(cost, carbon, qoe)))
    assert (back.cost_usd, back.carbon_kgco2e) == (cost, carbon)
    assert back.qoe == pytest.approx(qoe, abs=1e-15)


def test_stored_proofs_become_the_geometry_they_state():
    certificate = front().certificate
    np.testing.assert_array_equal(certificate.cuts[1].as_cut().weights, [0, 1, 0])
    box = certificate.boxes[0].as_box()
    np.testing.assert_array_equal(box.upper, [np.inf, 450.0, np.inf])
    assert (box.coordinate, box.level) == (0, 150.0)


def test_what_is_infinite_is_null():
    corner = Corner.of([np.inf, 5.0, np.inf], np.inf)
    assert corner == Corner(None, 5.0, None, None)
    assert known(np.nan) is None


def test_a_front_that_missed_its_target_is_truncated():
    assert front().certificate.status == "complete"
    assert front(complete=False).certificate.status == "truncated"


def test_write_and_read_a_run_folder(tmp_path):
    write_run(tmp_path)
    assert Front.read(tmp_path) == Front.read(tmp_path / "front.json") == front()
    assert front().read_plan("b", tmp_path) == plan(*POINTS["b"])
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["front.json"]


def test_a_missing_folder_point_or_plan_is_a_run_error(tmp_path):
    with pytest.raises(RunError, match="cannot read"):
        Front.read(tmp_path)
    with pytest.raises(RunError, match="no point 'z'"):
        front().point("z")
    with pytest.raises(RunError, match="cannot read"):
        front().read_plan("a", tmp_path)


def damaged(path, value):
    """The contract with one entry replaced."""
    data = json.loads(front().to_json())
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return data


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format_version",), 99),
        (("points", 0, "id"), "b"),
        (("points", 0, "plan"), "../../elsewhere.json"),
        (("points", 0, "plan"), "/plans/a.json"),
        (("points", 0, "cost_usd"), float("nan")),
        (("points", 0, "cost_usd"), None),
        (("points", 0), {"id": "a"}),
        (("points",), None),
        (("objectives", 2, "sense"), "min"),
        (("certificate", "hypervolume"), 3.0),
        (("certificate", "cuts", 0, "weights"), [-1.0, 0.0, 0.0]),
        (("certificate", "boxes", 0, "coordinate"), 7),
        (("certificate", "boxes", 0, "upper"), None),
        (("ideal",), {"cost_usd": 1.0}),
        (("surprise",), 1),
    ],
)
def test_damage_is_refused(path, value):
    with pytest.raises(RunError, match="front"):
        Front.from_dict(damaged(path, value))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format_version": NaN}'])
def test_what_is_not_a_json_object_is_refused(text):
    with pytest.raises(RunError, match="front is not"):
        Front.from_json(text)


def test_every_truncation_of_the_file_is_refused(tmp_path):
    text = front().to_json()
    for end in range(0, len(text), 97):
        with pytest.raises(RunError):
            Front.from_json(text[:end])
