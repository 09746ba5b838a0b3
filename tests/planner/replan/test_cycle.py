"""The default cycle: the plan in force of the history is checked against the data of today."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import planner
from planner.api import Request, answer, load
from planner.errors import FeedError, PlannerError
from planner.history.records import ApprovalRecord, Incumbent
from planner.logs import EventLog
from planner.plan import Adoption
from planner.replan.cycle import run_cycle
from planner.replan.decision import Decision
from planner.runs import read_run, write_run
from planner.schedule.cycle import DEFAULT, CycleContext, CycleResult, named_cycle
from tests.planner.history_examples import BEGAN
from tests.planner.replan.examples import dearer, with_prices

TINY = Path(__file__).resolve().parents[3] / "instances" / "tiny"


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("held") / "tiny-1"
    return write_run(folder, answer(TINY, Request(time_limit_s=30.0)))


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    """One check is enough to propose a move."""
    folder = Path(shutil.copytree(TINY, tmp_path / "tiny"))
    with (folder / "instance.toml").open("a") as file:
        file.write("\n[replan]\nconfirmations = 1\n")
    return folder


Cycle = Callable[..., CycleResult]


@pytest.fixture
def cycle(instance: Path, tmp_path: Path) -> Cycle:
    def ran(held: Path | None, before: str | None = None) -> CycleResult:
        folder = tmp_path / "runs" / f"cycle-{before is not None}"
        bare = CycleContext(instance, folder, None, 0.001, 30.0, 2, 0.01, EventLog())
        if held is None:
            return run_cycle(bare)
        approval = ApprovalRecord("approved", "Ada", "", BEGAN, "plan.json")
        incumbent = Incumbent("tiny", held.name, approval, read_run(held).plan)
        return run_cycle(
            dataclasses.replace(bare, incumbent=incumbent, in_force=held, before=before)
        )

    return ran


def demand_times(instance: Path, factor: float) -> None:
    lines = (instance / "demand.csv").read_text().splitlines()
    rows = [line.rsplit(",", 1) for line in lines[1:]]
    scaled = [f"{head},{float(rate) * factor:.6f}" for head, rate in rows]
    (instance / "demand.csv").write_text("\n".join([lines[0], *scaled]) + "\n")


def test_the_first_plan_awaits_approval(cycle: Cycle) -> None:
    made = cycle(None)
    assert (made.decision, made.exit_code, made.regret) == ("move", 2, None)
    assert "no plan is in force yet" in made.reason
    assert made.run_folder is not None
    assert read_run(made.run_folder).plan.instance == made.instance


def test_unchanged_data_keep_the_plan(cycle: Cycle, held: Path) -> None:
    made = cycle(held)
    assert (made.decision, made.exit_code) == ("keep", 0)
    assert made.regret is not None
    assert made.regret.low == 0.0
    assert made.regret.high <= 0.01 * read_run(held).plan.objectives.cost_usd
    assert "no machines change" in made.diff
    assert made.run_folder is not None
    assert planner.verify(made.run_folder).ok
    decision = json.loads((made.run_folder / "decision.json").read_text())
    assert decision["current"] == "tiny-1"


def test_less_demand_is_followed_by_rentals_without_a_move(
    cycle: Cycle, held: Path, instance: Path
) -> None:
    """What is rented follows demand in any case: that alone is no reason to change a decision."""
    demand_times(instance, 0.9)
    made = cycle(held)
    assert made.decision in ("keep", "move")
    assert made.regret is not None
    assert 0.0 <= made.regret.low <= made.regret.high
    assert made.run_folder is not None
    kept = read_decision(made.run_folder).kept
    assert kept.objectives is not None
    assert kept.objectives.cost_usd < read_run(held).plan.objectives.cost_usd


def read_decision(run_folder: Path) -> Decision:
    return Decision.from_json((run_folder / "decision.json").read_text())


def test_a_plan_that_cannot_go_on_moves_at_once(cycle: Cycle, held: Path, instance: Path) -> None:
    """The instance gives up the llms that answer today; no second check is waited for."""
    text = (instance / "instance.toml").read_text()
    (instance / "instance.toml").write_text(text.replace("confirmations = 1", "confirmations = 3"))
    adopted = {row.workload: row for row in read_run(held).plan.adoption}
    lines = (instance / "variants.csv").read_text().splitlines(keepends=True)
    kept = [line for line in lines if not _is_adopted(line, adopted)]
    assert len(kept) < len(lines)
    (instance / "variants.csv").write_text("".join(kept))
    made = cycle(held)
    assert (made.decision, made.exit_code) == ("move", 2)
    assert "cannot go on" in made.reason


def _is_adopted(line: str, adopted: dict[str, Adoption]) -> bool:
    workload, llm, adaptation, *_ = [*line.strip().split(","), "", ""]
    row = adopted.get(workload)
    return row is not None and (row.llm, row.adaptation) == (llm, adaptation)


# ------------------------------------------------------------------ patience


def test_a_gain_must_be_found_in_as_many_cycles_as_set(
    cycle: Cycle, held: Path, instance: Path
) -> None:
    """The first cycle that finds it keeps, the second one proposes."""
    text = (instance / "instance.toml").read_text()
    text = text.replace("confirmations = 1", "confirmations = 2\nmargin = 0.0")
    (instance / "instance.toml").write_text(text)
    dearer_machines(instance, held, 5.0)
    first = cycle(held)
    assert (first.decision, first.exit_code) == ("keep", 0)
    assert "found in 1 of 2 checks" in first.reason
    assert first.run_folder is not None
    second = cycle(held, (first.run_folder / "decision.json").read_text())
    assert (second.decision, second.exit_code) == ("move", 2)


def dearer_machines(instance: Path, held: Path, times: float) -> None:
    """The accelerators that run become so many times as dear where they run."""
    running = [(x.region, x.accelerator) for x in read_run(held).plan.fleet if x.instances]
    moved = with_prices(instance, instance.parent / "moved", dearer(running, times))
    for name in ("offers.csv", "instance.toml"):
        shutil.copyfile(moved / name, instance / name)


# ------------------------------------------------------------------ with feeds


def feed_of(instance: Path, usd_per_h: dict[str, float]) -> None:
    """A feed of own prices beside the instance: on demand, by region of the l4."""
    offers = {"gcp:us-central1": "gcp_g2-standard-4", "aws:eu-north-1": "aws_g6.xlarge"}
    rows = [f"2026-01-01,{region},{offers[region]},{usd}" for region, usd in usd_per_h.items()]
    header = "date,region,offer,ondemand_usd_per_h"
    (instance.parent / "agreed.csv").write_text("\n".join([header, *rows]) + "\n")
    (instance / "feeds.toml").write_text(
        '[feeds.agreed]\nreader = "tables"\nkind = "prices"\npath = "../agreed.csv"\n'
        "max_age_h = 1e6\nrequired_regions = []\nmax_missing_share = 1.0\n"
    )


def test_prices_that_moved_are_fetched_and_priced(cycle: Cycle, held: Path, instance: Path) -> None:
    """The machines of the plan in force became three times as dear: what it costs now says so."""
    plan = read_run(held).plan
    line = plan.fleet[0]
    before = next(m for m in load(instance).machines
                  if (m.region, m.offer) == (line.region, line.offer))  # fmt: skip
    feed_of(instance, {line.region: 3 * (before.ondemand_usd_per_h or 0.0)})
    made = cycle(held)
    assert made.run_folder is not None
    dated = load(made.run_folder / "instance")
    assert made.instance is not None
    assert made.instance.sha256 == dated.instance.sha256 != load(instance).instance.sha256
    standing = read_decision(made.run_folder).standing
    assert standing.objectives is not None
    assert standing.objectives.cost_usd > 1.1 * plan.objectives.cost_usd
    assert sorted(made.inputs) == ["feeds/agreed/meta.json", "feeds/agreed/table.csv"]
    assert planner.verify(made.run_folder).ok


def test_a_feed_whose_policy_says_stop_makes_no_plan(
    cycle: Cycle, held: Path, instance: Path
) -> None:
    feed_of(instance, {read_run(held).plan.fleet[0].region: -1.0})
    with pytest.raises(FeedError, match="no plan with these feeds"):
        cycle(held)


# ------------------------------------------------------------------ another cycle


def test_a_cycle_is_named_by_module_and_function() -> None:
    assert named_cycle(DEFAULT) is run_cycle


@pytest.mark.parametrize(
    "name", ["planner", "nowhere:x", "planner.plan:nothing", "planner.plan:FORMAT_VERSION", ":", ""]
)
def test_a_name_of_no_function_is_told(name: str) -> None:
    with pytest.raises(PlannerError, match="--cycle"):
        named_cycle(name)
