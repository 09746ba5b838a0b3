"""Generate a feasible instance of a given size, for scaling tests.

Usage: python scripts/generate_instance.py DIR --workloads 50 --origins 5 --regions 30
           --slices 24 --accelerators 8 --llms 6 --seed 7
       python scripts/generate_instance.py DIR --routes 1000000 --seed 7

Everything is drawn from the seed and the shipped catalog: the same arguments write the same
bytes. Prices, carbon, latencies and llms are catalog rows; demand levels, lengths, quality and
rules are drawn at random. The requests are those of a small company, tens a second of a workload,
for which machines of eight accelerators are lumps; `--traffic 100` makes them as many as those of
the reference instance. `--routes` picks the sizes so that about that many eligible routes exist
(within a factor of about 1.5; 10,000 to 3,000,000).

Every instance has a plan: no quotas or caps are set, every llm fits accelerators that are sold
in the chosen regions, targets leave room for the longest round trip, and quality floors lie
below what the plain llm of at least one variant reaches.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from instance_writer import (
    BUSINESS,
    CHAT,
    SKILL,
    STEADY,
    Cells,
    Feature,
    Lengths,
    Origin,
    day_blocks,
    named,
    significant,
    tables,
    week_blocks,
    write_instance,
)

from planner.catalog.reader import Catalog, load_catalog

PERIOD_H = 728.0

ORIGINS = {
    "us-east": Origin("aws:us-east-1", -4),
    "europe": Origin("aws:eu-central-1", 2),
    "apac": Origin("aws:ap-northeast-1", 9),
    "south-america": Origin("aws:sa-east-1", -3),
    "us-west": Origin("aws:us-west-2", -7),
    "india": Origin("aws:ap-south-1", 5),
    "australia": Origin("aws:ap-southeast-2", 10),
    "south-east-asia": Origin("gcp:asia-southeast1", 8),
}
REGIONS = (
    "aws:us-east-1", "gcp:europe-west4", "aws:ap-northeast-1", "azure:eastus2", "aws:eu-north-1",
    "gcp:us-central1", "aws:sa-east-1", "aws:eu-central-1", "gcp:asia-southeast1",
    "azure:swedencentral", "aws:us-west-2", "gcp:us-east4", "azure:francecentral",
    "aws:ap-northeast-2", "azure:brazilsouth", "aws:us-east-2", "gcp:europe-west1",
    "aws:ap-south-1", "azure:uksouth", "gcp:asia-northeast1", "aws:eu-west-2", "gcp:us-west1",
    "azure:japaneast", "aws:ap-southeast-2", "gcp:europe-west3", "azure:westus3",
    "aws:ca-central-1", "gcp:asia-south1", "azure:northeurope", "gcp:us-west4",
    "aws:eu-south-2", "azure:southcentralus", "gcp:asia-east1", "aws:eu-west-1",
    "azure:spaincentral", "azure:westus",
)  # fmt: skip
"""A prefix of this order spreads over continents and clouds."""
ACCELERATORS = (
    "l4", "h100-sxm", "a100-80gb", "l40s", "h200-sxm", "a10g", "mi300x", "b200-sxm",
    "rtx-pro-6000", "h100-nvl", "a100-80gb-pcie",
)  # fmt: skip
LLMS: dict[str, tuple[str, int]] = {
    "llama-3.1-8b": ("fp8;bf16", 1),
    "qwen3-32b": ("fp8;bf16", 2),
    "llama-3.3-70b": ("fp8", 8),
    "qwen3-30b-a3b": ("fp8", 2),
    "gpt-oss-120b": ("mxfp4", 4),
    "qwen3-14b": ("fp8;bf16", 1),
}
"""Precisions and most accelerators per replica."""
ADAPTATIONS = ("base", "rag", "fine-tune", "rag+fine-tune")
TASK_CLASSES = ("general", "knowledge", "document-qa", "current-events")


@dataclass(frozen=True)
class Sizes:
    """How large the instance is."""

    workloads: int
    origins: int
    regions: int
    slices: int
    accelerators: int
    llms: int

    def check(self) -> None:
        """Refuse what the lists above cannot give."""
        for name, value, most in (
            ("workloads", self.workloads, 1000),
            ("origins", self.origins, len(ORIGINS)),
            ("regions", self.regions, len(REGIONS)),
            ("slices", self.slices, 48),
            ("accelerators", self.accelerators, len(ACCELERATORS)),
            ("llms", self.llms, len(LLMS)),
        ):
            if not 1 <= value <= most:
                raise SystemExit(f"--{name} must be from 1 to {most}, not {value}")
        if 24 % self.slices and (self.slices % 2 or 24 % (self.slices // 2)):
            raise SystemExit(
                f"--slices must divide 24, or be twice a divisor of 24, not {self.slices}"
            )


LADDER: tuple[tuple[int, Sizes], ...] = (
    (15_000, Sizes(0, 2, 2, 2, 2, 2)),
    (60_000, Sizes(0, 2, 3, 4, 3, 3)),
    (150_000, Sizes(0, 2, 4, 4, 4, 3)),
    (400_000, Sizes(0, 3, 5, 4, 4, 3)),
    (1_000_000, Sizes(0, 3, 6, 6, 5, 4)),
    (2_000_000, Sizes(0, 3, 8, 6, 6, 4)),
    (10**12, Sizes(0, 4, 10, 6, 6, 5)),
)
"""Up to so many routes: all sizes but the number of workloads."""


def sizes_for_routes(catalog: Catalog, routes: int) -> Sizes:
    """Sizes that give about so many eligible routes."""
    rest = next(sizes for most, sizes in LADDER if routes <= most)
    each = routes_per_workload(catalog, rest)
    return Sizes(
        max(1, round(routes / each)), rest.origins, rest.regions, rest.slices, rest.accelerators,
        rest.llms,
    )  # fmt: skip


ROUTES_PER_MACHINE = 5.4
"""Eligible routes per demand item, variant and machine: the mean over generated instances."""
ITEMS_PER_CELL = 1.3
"""Length classes of a mean workload."""
VARIANTS_PER_WORKLOAD = 5.0


def routes_per_workload(catalog: Catalog, sizes: Sizes) -> float:
    """Mean number of routes of a workload: demand items x variants x machines x a constant."""
    machines = sum(
        len(catalog.offers_of(region, accelerator))
        for region in REGIONS[: sizes.regions]
        for accelerator in ACCELERATORS[: sizes.accelerators]
    )
    items = ITEMS_PER_CELL * sizes.origins * sizes.slices
    return items * VARIANTS_PER_WORKLOAD * machines * ROUTES_PER_MACHINE


def make_feature(draw: random.Random, index: int, sizes: Sizes, traffic: float) -> Feature:
    """A random workload: demand, lengths, quality, targets, ways to answer it."""
    batch = draw.random() < 0.15
    large = draw.random() < 0.2
    rate = traffic * draw.lognormvariate(1.5, 0.8)
    level = {origin: draw.uniform(0.3, 1.0) for origin in list(ORIGINS)[: sizes.origins]}
    input_tokens = round(draw.lognormvariate(6.6, 0.5))
    output_tokens = round(min(900.0, max(8.0, draw.lognormvariate(5.3, 0.6))))
    classes = [Lengths("short", 1.0, min(input_tokens, 3500), output_tokens)]
    if draw.random() < 0.3:
        share = round(draw.uniform(0.05, 0.3), 2)
        long_tokens = round(draw.uniform(6000, 20000))
        classes = [
            Lengths("short", round(1.0 - share, 2), min(input_tokens, 3500), output_tokens),
            Lengths("long", share, long_tokens, output_tokens, 1.0, 0.3),
        ]
    llms = list(LLMS)[: sizes.llms]
    first = "llama-3.1-8b" if not large or len(llms) == 1 else llms[1]
    chosen = [first, *draw.sample([llm for llm in llms if llm != first], min(2, len(llms) - 1))]
    adaptations = [list(ADAPTATIONS[: draw.choice((2, 3, 4))])]
    adaptations += [["base", *draw.sample(ADAPTATIONS[1:3], draw.choice((0, 1)))] for _ in chosen]
    difficulty = draw.uniform(0.8, 1.1)
    gains = {
        "rag": round(draw.uniform(0.05, 0.5), 2),
        "fine-tune": round(draw.uniform(0.0, 0.5), 2),
        "rag+fine-tune": round(draw.uniform(0.2, 0.5), 2),
    }
    change = significant(draw.choice((0.0, 0.005, 0.02)), 2)
    affected = round(draw.uniform(0.05, 0.2), 2)
    plain = 1.0 - difficulty * (1.0 - min(SKILL[llm] for llm in chosen))
    floor = round((plain * (1.0 - affected) - 0.01) * draw.uniform(0.9, 1.0), 3)
    columns: dict[str, str | float] = {
        "task_class": draw.choice(TASK_CLASSES),
        "quality_min": floor,
        "facts_change_per_day": change,
        "affected_share": affected,
        "corpus_tokens": significant(draw.lognormvariate(17.5, 1.0), 2),
        "training_tokens": significant(draw.lognormvariate(16.0, 0.8), 2),
        "staff_h_per_refresh": draw.choice((8, 20, 40)),
        "qoe_weight": significant(draw.uniform(0.5, 4.0), 2),
    }
    if batch:
        columns["kind"] = "batch"
    else:
        columns["ttft_target_s"] = draw.choice((6, 8, 12))
        columns["tpot_target_s"] = draw.choice((0.12, 0.2))
        columns["consumption_tokens_per_s"] = draw.choice((4, 6, 10))
        columns["expected_ttft_s"] = draw.choice((0.5, 1, 2))
        if sizes.regions >= 3 and draw.random() < 0.3:
            columns["region_loss_share"] = 0.3
    return Feature(
        f"feature-{index:02d}",
        draw.choice((CHAT, BUSINESS, STEADY)),
        {origin: significant(rate * share, 3) for origin, share in level.items()},
        classes,
        difficulty,
        gains,
        list(zip(chosen, adaptations, strict=False)),
        columns,
    )


def settings_text(sizes: Sizes, seed: int) -> str:
    """``instance.toml`` of a generated instance."""
    return f"""\
# Generated for scaling tests: sizes and figures are drawn at random, seed {seed}.
format_version = 1
name = "generated-{sizes.workloads}x{sizes.origins}x{sizes.regions}x{sizes.slices}-{seed}"
description = "Random instance for scaling tests"

[period]
start = 2026-09-01
hours = {PERIOD_H}

[serving]
operating_tpot_s = [0.05, 0.1]
prompt_lane_tokens = [4096.0, 32768.0]

[policy]
commitments = ["commit-1y", "commit-3y"]
spot_share_max = 0.3
attainment_min = 0.9
"""


def generate(catalog: Catalog, folder: Path, sizes: Sizes, seed: int, traffic: float = 1.0) -> None:
    """Write the instance folder; every workload has `traffic` times the requests drawn."""
    sizes.check()
    draw = random.Random(seed)
    features = [make_feature(draw, index + 1, sizes, traffic) for index in range(sizes.workloads)]
    if 24 % sizes.slices:
        blocks = week_blocks(PERIOD_H, sizes.slices // 2, month=9)
    else:
        blocks = day_blocks(PERIOD_H, sizes.slices, month=9)
    llms: list[Cells] = [
        {"llm": llm, "precisions": precisions, "max_accelerators_per_replica": most}
        for llm, (precisions, most) in list(LLMS.items())[: sizes.llms]
    ]
    write_instance(
        folder,
        settings_text(sizes, seed),
        {
            **tables(catalog, features, blocks, ORIGINS),
            "regions": named("region", REGIONS[: sizes.regions]),
            "accelerators": named("accelerator", ACCELERATORS[: sizes.accelerators]),
            "llms": llms,
        },
    )


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--workloads", type=int, default=10)
    parser.add_argument("--origins", type=int, default=3)
    parser.add_argument("--regions", type=int, default=6)
    parser.add_argument("--slices", type=int, default=4)
    parser.add_argument("--accelerators", type=int, default=5)
    parser.add_argument("--llms", type=int, default=4)
    parser.add_argument("--routes", type=int, help="choose the sizes for about so many routes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--traffic", type=float, default=1.0, help="times the requests of a small company"
    )
    options = parser.parse_args(arguments)
    if not 0.0 < options.traffic <= 1e6:
        raise SystemExit(f"--traffic must be above 0 and at most 1e6, not {options.traffic:g}")
    catalog = load_catalog()
    if options.routes is None:
        sizes = Sizes(options.workloads, options.origins, options.regions, options.slices,
                      options.accelerators, options.llms)  # fmt: skip
    elif 1_000 <= options.routes <= 10_000_000:
        sizes = sizes_for_routes(catalog, options.routes)
    else:
        raise SystemExit(f"--routes must be from 1,000 to 10,000,000, not {options.routes}")
    generate(catalog, options.folder, sizes, options.seed, options.traffic)
    print(f"{options.folder}: {sizes}")


if __name__ == "__main__":
    main(sys.argv[1:])
