"""Small fronts and plans, made by hand."""

from planner.front.front import (
    BoxRecord,
    Corner,
    CutRecord,
    Front,
    FrontCertificate,
    FrontPoint,
    Hypervolume,
)
from planner.instance.grid import Grid
from planner.plan import Adoption, Certificate, FleetLine, InstanceRef, Objectives, Plan

# id: (cost, carbon, QoE, variant of the chat workload, accelerators in the north)
POINTS = {
    "a": (100.0, 900.0, 0.80, "base", 8),
    "b": (120.0, 500.0, 0.82, "base", 16),
    "c": (200.0, 400.0, 0.90, "rag", 16),
    "d": (400.0, 380.0, 0.95, "rag", 32),
}


def plan(cost_usd, carbon_kgco2e, qoe, variant, accelerators):
    """A plan with the fields that choosing looks at."""
    adoption = Adoption(
        workload="chat", llm="llm-8b", adaptation=variant, method=None, refresh_days=None,
        check_llm=None, check_share=0.0, variant=variant, reason="", break_even="",
    )  # fmt: skip
    fleet = (
        FleetLine("north", "n8", "h100", "commit-1y", None, 8, 1),
        FleetLine("north", "n8", "h100", "on-demand", "day", 8, accelerators // 8),
        FleetLine("north", "n8", "h100", "on-demand", "night", 8, 1),
    )
    return Plan(
        instance=InstanceRef("hand", "0" * 64),
        period_hours=720.0,
        objectives=Objectives(cost_usd, carbon_kgco2e, qoe),
        cost_lines={},
        carbon_lines={},
        water_l=0.0,
        certificate=Certificate("cost", cost_usd, cost_usd, 0.0, "optimal", "dual prices"),
        adoption=(adoption,),
        fleet=fleet,
        replicas=(),
        routing=(),
        hosting=(),
        training=(),
        workloads=(),
        timings={},
        assumptions=(),
        provenance={},
        grid=Grid((4096.0,), (0.05,)),
    )


def front(complete=True):
    """Four points, two cuts, one box."""
    points = tuple(
        FrontPoint(
            id=name,
            cost_usd=cost,
            carbon_kgco2e=carbon,
            qoe=qoe,
            cost_bound_usd=cost - 5.0,
            cost_gap_relative=5.0 / cost,
            status="limit",
            found_by="decoder",
            plan=f"plans/{name}.json",
        )
        for name, (cost, carbon, qoe, _, _) in POINTS.items()
    )
    return Front(
        instance=InstanceRef("hand", "0" * 64),
        ideal=Objectives(100.0, 380.0, 0.95),
        nadir=Objectives(400.0, 900.0, 0.80),
        points=points,
        certificate=FrontCertificate(
            method="hybrid",
            complete=complete,
            epsilon=0.03,
            cost_gap_relative_median=0.03,
            cost_gap_relative_max=0.05,
            hypervolume=Hypervolume(1.0, 2.0, Objectives(440.0, 950.0, 0.79)),
            cuts=(
                CutRecord((1.0, 0.0, 0.0), 95.0, "cuts.npz#0"),
                CutRecord((0.0, 1.0, 0.0), 350.0, "cuts.npz#1"),
            ),
            boxes=(BoxRecord((None, 450.0, None), 0, 150.0, "boxes.npz#0"),),
            widest=(Corner(None, 380.0, 0.95, 0.03),),
        ),
        solves=12,
        elapsed_s=3.5,
        timings={"bounds": 1.0},
        seed=1,
        indicators={"spread": 0.5, "additive_epsilon": None},
    )


def write_run(folder, **changes):
    """A run folder with front.json and the plans of the points."""
    (folder / "plans").mkdir()
    for name, values in POINTS.items():
        (folder / "plans" / f"{name}.json").write_text(plan(*values).to_json(), encoding="utf-8")
    front(**changes).write(folder)
    return folder
