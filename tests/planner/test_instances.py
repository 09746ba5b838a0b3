"""The shipped instances and their scripts: sizes as promised, reproducible, loadable."""

from __future__ import annotations

import csv
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from planner.catalog.reader import load_catalog
from planner.instance.load import load_instance
from planner.instance.resolve import resolve
from planner.verify.terms import Terms

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("tiny", "small", "reference")


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / script), *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.glob("*"))
        if path.name == "instance.toml" or path.suffix == ".csv"
    }


def rows(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_instance_loads_without_findings(name: str) -> None:
    assert load_instance(ROOT / "instances" / name).settings.name == name


def test_shipped_instances_are_what_their_script_writes(tmp_path: Path) -> None:
    assert run("build_instances.py", str(tmp_path)).returncode == 0
    for name in SHIPPED:
        written, shipped = contents(tmp_path / name), contents(ROOT / "instances" / name)
        assert written == {key: shipped[key] for key in written}


def test_tiny_can_be_tried_out_plan_by_plan() -> None:
    tiny = load_instance(ROOT / "instances" / "tiny")
    sizes = (len(tiny.workloads), len(tiny.origins), len(tiny.regions), len(tiny.accelerators))
    assert sizes == (2, 2, 2, 2)
    assert (len(tiny.llms), len(tiny.slices)) == (2, 2)
    assert len(tiny.settings.serving.operating_tpot_s) == 1
    assert {variant.adaptation for variant in tiny.variants} == {"base", "rag", "fine-tune"}


def test_small_has_every_adaptation() -> None:
    small = load_instance(ROOT / "instances" / "small")
    sizes = (len(small.workloads), len(small.origins), len(small.regions), len(small.accelerators))
    assert sizes == (4, 3, 4, 3)
    assert (len(small.llms), len(small.slices)) == (3, 4)
    adaptations = {variant.adaptation for variant in small.variants}
    assert adaptations == {"base", "rag", "fine-tune", "rag+fine-tune"}


def test_reference_is_as_large_as_promised() -> None:
    reference = load_instance(ROOT / "instances" / "reference")
    assert len(reference.workloads) >= 12
    assert len(reference.origins) >= 4
    assert len([region for region in reference.regions if region.kind == "cloud"]) >= 12
    assert {region.region.split(":")[0] for region in reference.regions} >= {"aws", "gcp", "azure"}
    assert len(reference.accelerators) >= 7
    assert len(reference.llms) >= 5
    assert len(reference.slices) >= 8


def test_reference_uses_what_the_format_offers() -> None:
    reference = load_instance(ROOT / "instances" / "reference")
    assert {workload.kind for workload in reference.workloads} == {"interactive", "batch"}
    assert any(workload.residency == "eu" for workload in reference.workloads)
    assert any(workload.region_loss_share for workload in reference.workloads)
    assert any(variant.check_llm for variant in reference.variants)
    assert any(variant.method == "full" for variant in reference.variants)
    assert len(Counter(variant.refresh_days for variant in reference.variants)) > 2
    assert reference.apis and reference.quotas and reference.owned
    assert reference.settings.policy.spot_share_max > 0.0
    classes = Counter(row.workload for row in reference.length_classes)
    assert max(classes.values()) >= 2


def test_every_workload_of_reference_may_be_base_rag_or_fine_tuned() -> None:
    reference = load_instance(ROOT / "instances" / "reference")
    offered = {(variant.workload, variant.adaptation) for variant in reference.variants}
    for workload in reference.workloads:
        for adaptation in ("base", "rag", "fine-tune"):
            assert (workload.workload, adaptation) in offered


def test_demand_of_reference_follows_each_origins_clock() -> None:
    """Users of Europe and Asia do not peak in the same hours of UTC."""
    reference = load_instance(ROOT / "instances" / "reference")
    peaks = {}
    for origin in ("europe", "apac"):
        own = [
            row for row in reference.demand
            if row.workload == "support-chat" and row.origin == origin
        ]  # fmt: skip
        peaks[origin] = max(own, key=lambda row: row.requests_per_s).slice
    assert peaks["europe"] != peaks["apac"]


GENERATE = ("--workloads", "6", "--origins", "3", "--regions", "5", "--slices", "8",
            "--accelerators", "4", "--llms", "3")  # fmt: skip


def test_the_generator_repeats_itself_by_seed(tmp_path: Path) -> None:
    for folder, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        assert run("generate_instance.py", str(tmp_path / folder), *GENERATE, "--seed",
                   seed).returncode == 0  # fmt: skip
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a")["demand.csv"] != contents(tmp_path / "c")["demand.csv"]


def test_a_generated_instance_has_the_sizes_asked_for(tmp_path: Path) -> None:
    run("generate_instance.py", str(tmp_path / "g"), *GENERATE, "--seed", "3")
    instance = load_instance(tmp_path / "g")
    sizes = (len(instance.workloads), len(instance.origins), len(instance.regions))
    assert sizes == (6, 3, 5)
    assert (len(instance.slices), len(instance.accelerators), len(instance.llms)) == (8, 4, 3)


def test_traffic_multiplies_the_requests_alone(tmp_path: Path) -> None:
    for folder, times in (("a", "1"), ("b", "100")):
        run("generate_instance.py", str(tmp_path / folder), *GENERATE, "--traffic", times)
    one, many = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert {name for name in one if one[name] != many[name]} == {"demand.csv"}
    few, more = rows(tmp_path / "a", "demand"), rows(tmp_path / "b", "demand")
    factors = [
        float(b["requests_per_s"]) / float(a["requests_per_s"])
        for a, b in zip(few, more, strict=True)
    ]
    assert factors == pytest.approx([100.0] * len(factors), rel=0.02)


def test_the_largest_generated_instance_loads(tmp_path: Path) -> None:
    run("generate_instance.py", str(tmp_path / "g"), "--workloads", "50", "--origins", "5",
        "--regions", "30", "--slices", "24", "--accelerators", "8", "--llms", "6")  # fmt: skip
    instance = load_instance(tmp_path / "g")
    assert (len(instance.workloads), len(instance.regions), len(instance.slices)) == (50, 30, 24)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--regions", "99"), "--regions must be from 1 to"),
        (("--slices", "7"), "--slices must divide 24"),
        (("--routes", "5"), "--routes must be from"),
        (("--traffic", "0"), "--traffic must be above 0"),
    ],
)
def test_the_generator_refuses_sizes_it_cannot_give(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = run("generate_instance.py", str(tmp_path / "g"), *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize("name", SHIPPED)
def test_hours_and_shares_add_up(name: str) -> None:
    folder = ROOT / "instances" / name
    instance = load_instance(folder)
    hours = sum(float(row["hours"]) for row in rows(folder, "slices"))
    assert math.isclose(hours, instance.settings.period.hours)
    for workload in instance.workloads:
        shares = [row.share for row in instance.length_classes if row.workload == workload.workload]
        assert math.isclose(sum(shares), 1.0)


def test_every_workload_of_reference_can_reach_its_floor_in_each_way() -> None:
    """Restricting all workloads to one adaptation has a price; it is not impossible."""
    reference = load_instance(ROOT / "instances" / "reference")
    workloads = {workload.workload: workload for workload in reference.workloads}
    terms = Terms(resolve(reference, load_catalog()))
    reached = {
        (variant.workload, variant.adaptation)
        for variant in terms.variants.values()
        if terms.quality(variant) >= workloads[variant.workload].quality_min
    }
    for name in workloads:
        for adaptation in ("base", "rag", "fine-tune"):
            assert (name, adaptation) in reached


def test_price_history_is_of_machines_that_reference_may_rent() -> None:
    reference = load_instance(ROOT / "instances" / "reference")
    machines = {machine.machine for machine in resolve(reference, load_catalog()).machines}
    history = rows(ROOT / "instances" / "reference" / "history", "prices")
    assert {f"{row['region']}/{row['offer']}" for row in history} <= machines
    assert len({row["date"][:7] for row in history}) >= 24
    assert min(row["date"] for row in history) >= "2024"


def test_demand_history_varies_around_the_planned_level() -> None:
    """Day factors of a trace average to 1, and the week factor is the mean of its days."""
    history = rows(ROOT / "instances" / "reference" / "history", "demand_history")
    by_workload: dict[str, list[dict[str, str]]] = {}
    for row in history:
        by_workload.setdefault(row["workload"], []).append(row)
    reference = load_instance(ROOT / "instances" / "reference")
    assert set(by_workload) == {workload.workload for workload in reference.workloads}
    for days in by_workload.values():
        factors = [float(row["day_factor"]) for row in days]
        assert math.isclose(sum(factors) / len(factors), 1.0, abs_tol=0.01)
        for week in ("1", "2"):
            own = [row for row in days if row["week"] == week]
            mean = sum(float(row["day_factor"]) for row in own) / len(own)
            assert all(math.isclose(float(row["week_factor"]), mean, abs_tol=1e-3) for row in own)
