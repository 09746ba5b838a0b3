"""Evolution of plans: pymoo's part of a front, on `tiny`."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from planner.api import load
from planner.cli import run as planner_command
from planner.front.certified import Work
from planner.front.evolve import Evolution, FrontProblem, Genome
from planner.front.front import Front
from planner.front.run import FrontRun
from planner.front.tasks import PlanTask, PointTask, improved, pointed
from planner.verify.front import verify_front
from tests.planner.front.counted_runs import Counted, stopped_run

ROOT = Path(__file__).resolve().parents[3]
TINY = ROOT / "instances" / "tiny"
GENOMES = 40


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> FrontRun:
    """A run of `tiny` with some points and cuts."""
    return stopped_run(tmp_path_factory.mktemp("begun") / "run", "certified", 20)


def genomes(run: FrontRun, seed: int) -> list[np.ndarray]:
    """What an evolution asks for, one genome after the other, each done before the next."""
    enclosure = run.search.enclosure
    assert enclosure is not None
    evolution, asked = Evolution(run.index, 1.0, seed), []
    for _ in range(GENOMES):
        work = evolution.propose(enclosure)
        if isinstance(work.task, PlanTask):
            evolution.take(work, improved(run.index, work.task), work.task.routes)
            continue
        assert isinstance(work.task, PointTask)
        asked.append(evolution.asked[work].x)
        done = pointed(run.index, work.task)
        if done.plan is not None:
            evolution.take(work, done.plan, done.routes)
    return asked


def test_the_same_seed_asks_for_the_same_plans_and_another_seed_for_others(
    begun: FrontRun,
) -> None:
    once, again, other = genomes(begun, 1), genomes(begun, 1), genomes(begun, 2)
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)


def test_a_genome_names_a_corner_and_two_variants_of_each_workload(begun: FrontRun) -> None:
    workload = begun.index.data.variant_workload
    for x in genomes(begun, 3):
        genome = Genome.of(x)
        for variants in (genome.first, genome.second):
            np.testing.assert_array_equal(workload[variants], np.arange(len(variants)))
        np.testing.assert_array_equal(genome.x, x)


def test_a_genome_is_decoded_to_a_plan_of_its_variants_and_judged_by_its_totals(
    begun: FrontRun,
) -> None:
    enclosure = begun.search.enclosure
    assert enclosure is not None
    problem = FrontProblem(begun.index, enclosure)
    known = enclosure.listed()[0]
    genome = Genome(problem.objectives(known.solution), known.solution.adopt, known.solution.adopt)
    plan = pointed(begun.index, problem.task(genome)).plan
    assert plan is not None
    np.testing.assert_array_equal(plan.adopt, known.solution.adopt)
    there = problem.ideal + problem.objectives(plan) * problem.span
    np.testing.assert_allclose(there, plan.totals[:3], rtol=1e-12)


def test_variants_that_the_cuts_exclude_are_never_promising(begun: FrontRun) -> None:
    enclosure = begun.search.enclosure
    assert enclosure is not None
    problem, random = FrontProblem(begun.index, enclosure), np.random.default_rng(0)
    allowed = set(np.flatnonzero(begun.index.variant_complete).tolist())
    for _ in range(50):
        assert set(problem.promising(np.full(3, 0.3), random).tolist()) <= allowed


def test_plans_found_by_other_work_join_the_population(begun: FrontRun) -> None:
    enclosure = begun.search.enclosure
    assert enclosure is not None
    evolution = Evolution(begun.index, 1.0, 0)
    asked = evolution.propose(enclosure)
    before = len(evolution.algorithm.pop)
    plan = enclosure.listed()[0].solution
    evolution.take(Work("corner", asked.task), plan, plan.routes)
    assert len(evolution.algorithm.pop) == before + 1


@pytest.mark.parametrize("method", ["evolve", "hybrid"])
def test_a_front_stopped_in_evolution_is_kept_named_and_truly_certified(
    tmp_path: Path, method: str
) -> None:
    run = stopped_run(tmp_path / "run", method, 60)
    assert run.search.spent["evolved"] > 0.0
    front = Front.read(tmp_path / "run")
    assert front.certificate.method == method
    assert front.certificate.status == "truncated"
    assert verify_front(tmp_path / "run", load(TINY), sample=None).ok


def test_a_front_of_one_worker_is_the_same_for_the_same_seed_and_clock(
    begun: FrontRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The ends are found by another clock: both go on from the same.
    for module in ("front.certified", "front.tasks", "solve.decode"):
        monkeypatch.setattr(f"planner.{module}.time", Counted)
    found = []
    for name in ("a", "b"):
        shutil.copytree(begun.folder, tmp_path / name)
        run = stopped_run(tmp_path / name, "evolve", 40, seed=3, resume=True)
        found.append(run.front().minimised)
    np.testing.assert_array_equal(*found)


def test_a_resumed_evolution_loses_nothing(tmp_path: Path) -> None:
    before = stopped_run(tmp_path / "run", "evolve", 40).front()
    after = stopped_run(tmp_path / "run", "evolve", 20, resume=True).front()
    assert after.certificate.hypervolume.lower >= before.certificate.hypervolume.lower
    assert len(after.certificate.cuts) >= len(before.certificate.cuts)
    assert verify_front(tmp_path / "run", load(TINY)).ok


def test_a_method_that_is_not_known_is_refused_with_those_that_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert planner_command(["front", str(TINY), "--method", "guess"]) == 1
    assert "certified, evolve, hybrid" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--epsilon", "--gap", "--hypervolume"])
def test_a_target_that_may_be_meant_in_per_cent_is_refused(
    capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert planner_command(["front", str(TINY), option, "5"]) == 1
    assert f"{option} 5: is that a fraction? write 5% for per cent" in capsys.readouterr().err
