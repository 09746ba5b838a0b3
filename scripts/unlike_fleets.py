"""Write fleets that have little in common: small, lumpy, owned, hosted, capped, impossible ones.

Usage: python scripts/unlike_fleets.py FOLDER --count 200 --seed 0

Every fleet is a valid instance folder of its own, drawn from the seed, its number and the shipped
catalog: the same arguments write the same bytes. Most are small (some 20 to 8,000 eligible routes),
few have up to about 60,000. Each begins as a plain fleet of its size; then one theme of `THEMES`
changes it, and now and then a second one. The `description` in ``instance.toml`` says what it is.

A quarter of the small ones (`CAP_SHARE`) get a cap near an end, for which they are solved once by
HiGHS, whole: a cap a hair above the value of a plan is kept by that plan, one a hair below the
proved bound by none.
`scripts/generate_instance.py` makes fleets of a given size for scaling tests instead.
"""

from __future__ import annotations

import argparse
import csv
import math
import random
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]

from instance_writer import (
    SKILL,
    Cells,
    named,
    raised,
    significant,
    write_instance,
)

from planner.catalog.reader import Catalog, load_catalog
from planner.instance.load import load_instance

REGIONS = (
    "gcp:us-central1", "aws:eu-north-1", "aws:us-east-1", "gcp:europe-west4", "aws:eu-central-1",
    "gcp:asia-southeast1", "aws:ap-northeast-1", "azure:swedencentral", "aws:sa-east-1",
)  # fmt: skip
PLACES = ("aws:us-east-1", "aws:eu-central-1", "aws:ap-northeast-1", "aws:sa-east-1")
"""Catalog regions at whose places users sit."""
ACCELERATORS = (
    "l4", "l40s", "h100-sxm", "a10g", "a100-80gb", "t4", "rtx-pro-6000", "h200-sxm", "mi300x",
)  # fmt: skip
LLMS = {
    "llama-3.1-8b": ("fp8;bf16", (1, 2)),
    "qwen3-14b": ("fp8;bf16", (1, 2)),
    "qwen3-30b-a3b": ("fp8;bf16", (1, 2)),
    "qwen3-32b": ("fp8;bf16", (2, 4)),
    "gpt-oss-120b": ("mxfp4", (2, 8)),
    "llama-3.3-70b": ("fp8;bf16", (4, 8)),
}
"""Precisions and how many accelerators a replica may span."""
HOSTED = {
    "gpt-5-nano": ("openai", 0.66),
    "gpt-5-mini": ("openai", 0.8),
    "claude-haiku-4-5": ("anthropic", 0.84),
}
"""Who sells it, and the skill made up for it."""
PERIODS_H = (720.0, 720.0, 168.0, 2160.0)
TARGETS: tuple[dict[str, float], ...] = (
    {"ttft_target_s": 3.0, "tpot_target_s": 0.1},
    {"ttft_target_s": 8.0, "tpot_target_s": 0.2},
    {"ttft_target_s": 1.5, "tpot_target_s": 0.08, "attainment_min": 0.5},
    {},
)
ACCELERATOR_USD_PER_H = {"l4": 0.35, "l40s": 0.8, "h100-sxm": 2.4, "a10g": 0.5, "a100-80gb": 1.3}
"""Made-up cost of an owned accelerator."""


@dataclass(frozen=True)
class Size:
    """Ranges from which a fleet of some size is drawn, both ends included."""

    name: str
    share: float
    """of all fleets"""
    workloads: tuple[int, int]
    origins: tuple[int, int]
    slices: tuple[int, int]
    regions: tuple[int, int]
    accelerators: tuple[int, int]
    variants: tuple[int, int]


SIZES = (
    Size("tiny", 0.45, (1, 2), (1, 1), (1, 3), (1, 2), (1, 2), (1, 3)),
    Size("small", 0.35, (1, 4), (1, 2), (1, 6), (1, 3), (1, 3), (2, 4)),
    Size("middle", 0.15, (2, 6), (1, 2), (3, 9), (2, 4), (2, 4), (2, 4)),
    Size("large", 0.05, (4, 8), (2, 2), (5, 12), (4, 6), (3, 4), (3, 4)),
)


@dataclass
class Fleet:
    """A fleet while it is drawn."""

    catalog: Catalog
    draw: random.Random
    size: Size
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    minimize: str = "cost"
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    today: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """tables of the incumbent"""
    said: list[str] = field(default_factory=list)
    """what it is, in words"""

    def setting(self, section: str, key: str, value: Any) -> None:
        self.settings.setdefault(section, {})[key] = value

    def workloads(self, kind: str = "interactive") -> list[dict[str, Any]]:
        return [w for w in self.tables["workloads"] if w.get("kind", "interactive") == kind]

    def regions(self) -> list[str]:
        return [str(row["region"]) for row in self.tables["regions"]]

    def cards(self) -> list[str]:
        return [str(row["accelerator"]) for row in self.tables["accelerators"]]

    def own_llms(self) -> list[str]:
        return [str(row["llm"]) for row in self.tables["llms"]]

    def sold(self, region: str) -> list[dict[str, Any]]:
        """Offers of the catalog of the allowed accelerators; none at a site of one's own."""
        if not self.catalog.has("regions", region):
            return []
        offers = [self.catalog.offers_of(region, card) for card in self.cards()]
        return [dict(offer) for found in offers for offer in found]

    def demand(self, workload: str) -> float:
        rates = [r["requests_per_s"] for r in self.tables["demand"] if r["workload"] == workload]
        return max(rates, default=0.0)


# ------------------------------------------------------------------ a plain fleet


def plain(fleet: Fleet) -> None:
    """Every table that a fleet needs, nothing special in it."""
    draw, size = fleet.draw, fleet.size
    fleet.setting("period", "hours", draw.choice(PERIODS_H))
    fleet.setting("policy", "commitments", ["commit-1y", "commit-3y"])
    fleet.tables["regions"] = [
        dict(row) for row in named("region", some(draw, REGIONS, size.regions))
    ]
    cards = [
        card
        for card in ACCELERATORS
        if any(fleet.catalog.offers_of(r, card) for r in fleet.regions())
    ]
    fleet.tables["accelerators"] = [
        dict(row) for row in named("accelerator", some(draw, cards, size.accelerators))
    ]
    unsold = [r for r in fleet.regions() if not fleet.sold(r)]
    fleet.tables["regions"] = [r for r in fleet.tables["regions"] if r["region"] not in unsold]
    fleet.tables["origins"] = [
        {"origin": f"users-{number}", "region": place}
        for number, place in enumerate(some(draw, PLACES, size.origins))
    ]
    slices(fleet, draw.randint(*size.slices))
    fleet.tables |= {
        name: []
        for name in ("workloads", "length_classes", "demand", "variants", "quality", "llms")
    }
    level = 10.0 ** draw.uniform(-1.0, 1.3)
    for number in range(draw.randint(*size.workloads)):
        workload(fleet, f"feature-{number + 1}", level * draw.lognormvariate(0.0, 0.8))
    serving(fleet)


def some(draw: random.Random, names: Sequence[str], count: tuple[int, int]) -> list[str]:
    """So many names, the first ones likelier."""
    wanted = min(draw.randint(*count), len(names))
    return draw.sample(names[: max(2 * wanted, 4)], wanted)


def slices(fleet: Fleet, count: int) -> None:
    """Unequal windows of the day that together are the day."""
    cuts = sorted(fleet.draw.sample(range(1, 24), count - 1))
    hours = fleet.settings["period"]["hours"]
    fleet.tables["slices"] = [
        {
            "slice": f"h{start:02d}-{end:02d}",
            "hours": hours * (end - start) / 24.0,
            "month": 9,
            "start_hour_utc": start,
            "end_hour_utc": end,
        }
        for start, end in zip([0, *cuts], [*cuts, 24], strict=True)
    ]


def workload(fleet: Fleet, name: str, rate: float) -> None:
    """A workload with lengths, demand and ways to answer it."""
    draw, batch = fleet.draw, fleet.draw.random() < 0.15
    columns: dict[str, Any] = {"workload": name, "quality_min": round(draw.uniform(0.3, 0.55), 2)}
    if batch:
        columns["kind"] = "batch"
    else:
        columns |= draw.choice(TARGETS)
        columns["consumption_tokens_per_s"] = draw.choice((5, 10, 25))
    if draw.random() < 0.5:
        columns["training_tokens"] = significant(draw.lognormvariate(15.0, 1.0), 2)
        columns["staff_h_per_refresh"] = draw.choice((2, 8, 40))
    if draw.random() < 0.5:
        columns["corpus_tokens"] = significant(draw.lognormvariate(17.0, 1.5), 2)
        columns["facts_change_per_day"] = draw.choice((0.0, 0.005, 0.1))
        columns["affected_share"] = round(draw.uniform(0.05, 0.3), 2)
    fleet.tables["workloads"].append(columns)
    lengths(fleet, name)
    answers(fleet, columns)
    asked(fleet, name, rate, batch=batch)


def lengths(fleet: Fleet, name: str) -> None:
    """One or two length classes."""
    draw = fleet.draw
    short = {
        "workload": name,
        "length_class": "short",
        "input_tokens": round(draw.lognormvariate(6.5, 0.7)),
        "output_tokens": round(max(draw.lognormvariate(5.2, 0.7), 4.0)),
        "output_cv": draw.choice((0.0, 0.6, 1.0)),
        "cached_share": draw.choice((0.0, 0.0, 0.5)),
    }
    rows = [short]
    if draw.random() < 0.25:
        share = draw.choice((0.02, 0.2))
        long = {
            "length_class": "long",
            "share": share,
            "input_tokens": round(draw.uniform(5e3, 2e4)),
        }
        rows = [short | {"share": 1.0 - share}, short | long]
    fleet.tables["length_classes"] += rows


def answers(fleet: Fleet, columns: dict[str, Any]) -> None:
    """Variants of a workload, with their quality."""
    draw, name = fleet.draw, columns["workload"]
    ways = ["base"]
    ways += ["rag"] if columns.get("corpus_tokens") else []
    ways += ["fine-tune"] if columns.get("training_tokens") else []
    ways += ["rag+fine-tune"] if len(ways) == 3 else []
    pairs = [(llm, way) for llm in list(LLMS)[: draw.choice((1, 2, 4, 6))] for way in ways]
    chosen = draw.sample(pairs, min(draw.randint(*fleet.size.variants), len(pairs)))
    difficulty = draw.uniform(0.7, 1.1)
    for llm, way in sorted(chosen):
        fleet.tables["variants"].append({"workload": name, "llm": llm, "adaptation": way})
        allow(fleet, llm)
    for llm in sorted({llm for llm, _ in chosen}):
        base = round(1.0 - difficulty * (1.0 - SKILL[llm]), 3)
        evaluated(fleet, name, llm, "base", base)
        for way in ways[1:]:
            evaluated(fleet, name, llm, way, raised(base, round(draw.uniform(0.05, 0.45), 2)))


def evaluated(fleet: Fleet, workload: str, llm: str, adaptation: str, quality: float) -> None:
    row = {"workload": workload, "llm": llm, "adaptation": adaptation, "quality": quality}
    fleet.tables["quality"].append(row)


def allow(fleet: Fleet, llm: str) -> None:
    """The llm in llms.csv, once."""
    if llm not in fleet.own_llms():
        precisions, spans = LLMS[llm]
        row = {"llm": llm, "precisions": precisions, "max_accelerators_per_replica": max(spans)}
        fleet.tables["llms"].append(row)


def asked(fleet: Fleet, name: str, rate: float, *, batch: bool) -> None:
    """Demand of a workload from every origin."""
    draw = fleet.draw
    for number, origin in enumerate(fleet.tables["origins"]):
        row: dict[str, Any] = {"workload": name, "origin": origin["origin"]}
        level = rate * draw.uniform(0.3, 1.0)
        if batch:
            allowed = draw.sample(
                fleet.tables["slices"], draw.randint(1, len(fleet.tables["slices"]))
            )
            names = ";".join(s["slice"] for s in fleet.tables["slices"] if s in allowed)
            row |= {"requests_per_s": significant(level, 3), "allowed_slices": names}
            fleet.tables["demand"].append(row)
            continue
        depth = draw.uniform(0.0, 0.9)
        for part in fleet.tables["slices"]:
            middle = 0.5 * (part["start_hour_utc"] + part["end_hour_utc"]) + 7.0 * number
            course = 1.0 - depth * math.cos(math.tau * (middle - 4.0) / 24.0)
            here = {"slice": part["slice"], "requests_per_s": significant(level * course, 3)}
            fleet.tables["demand"].append(row | here)


def serving(fleet: Fleet) -> None:
    """The grid: the product's own, or one that the user restricts."""
    if fleet.draw.random() < 0.6:
        points = fleet.draw.choice(([0.05], [0.03, 0.06, 0.12], [0.02, 0.04, 0.08]))
        fleet.setting("serving", "operating_tpot_s", points)
        fleet.setting(
            "serving", "prompt_lane_tokens", fleet.draw.choice(([32768.0], [4096.0, 32768.0]))
        )


# ------------------------------------------------------------------ themes


def hosted_only(fleet: Fleet) -> None:
    """Every answer is bought by the token."""
    fleet.tables["variants"] = []
    for row in fleet.tables["workloads"]:
        row.pop("training_tokens", None)
        row.pop("staff_h_per_refresh", None)
    hosted(fleet, fleet.draw.sample(sorted(HOSTED), fleet.draw.randint(1, 2)))


def hosted_too(fleet: Fleet) -> None:
    """A hosted llm beside one's own."""
    hosted(fleet, [fleet.draw.choice(sorted(HOSTED))])


def hosted(fleet: Fleet, names: list[str]) -> None:
    draw, tables = fleet.draw, fleet.tables
    tables["apis"] = []
    for llm in names:
        provider, skill = HOSTED[llm]
        row = {
            "llm": llm,
            "provider": provider,
            "region": draw.choice((None, draw.choice(fleet.regions()))),
            "ttft_s": draw.choice((0.4, 0.7)),
            "tpot_s": draw.choice((0.009, 0.015)),
            "gco2e_per_ktok": draw.choice((0.1, 0.3)),
        }
        tables["apis"].append(row)
        for workload in tables["workloads"]:
            name = workload["workload"]
            evaluated(fleet, name, llm, "base", skill)
            tables["variants"].append({"workload": name, "llm": llm})
            if workload.get("corpus_tokens"):
                tables["variants"].append({"workload": name, "llm": llm, "adaptation": "rag"})


def batch_only(fleet: Fleet) -> None:
    """Nothing but batch, to be served in some of the slices."""
    names = {row["workload"] for row in fleet.workloads()}
    for row in fleet.workloads():
        for column in ("ttft_target_s", "tpot_target_s", "consumption_tokens_per_s"):
            row.pop(column, None)
        row["kind"] = "batch"
    kept = [row for row in fleet.tables["demand"] if row["workload"] not in names]
    rates = {name: fleet.demand(name) for name in sorted(names)}
    fleet.tables["demand"] = kept
    for name, rate in rates.items():
        asked(fleet, name, rate, batch=True)


def own_site(fleet: Fleet, kind: str = "own") -> str:
    """A site that is not in the catalog; its name."""
    name = f"{kind}:site"
    fleet.tables["regions"].append(
        {
            "region": name,
            "kind": kind,
            "lat": fleet.draw.choice((50.1, 37.4)),
            "lon": fleet.draw.choice((8.7, -79.0)),
            "residency": fleet.draw.choice(("eu", "us")),
            "carbon_gco2e_per_kwh": fleet.draw.choice((30.0, 350.0)),
            "pue": 1.3,
        }
    )
    return name


def owned(fleet: Fleet, region: str, count: int) -> None:
    """Machines of one's own in a region, of a size of one's own."""
    card = fleet.draw.choice([c for c in fleet.cards() if c in ACCELERATOR_USD_PER_H] or ["l40s"])
    if card not in fleet.cards():
        fleet.tables["accelerators"].append({"accelerator": card})
    each = fleet.draw.choice((1, 2, 4, 8))
    row = {
        "region": region,
        "offer": f"own-{card}-{each}",
        "instances": count,
        "usd_per_h": significant(ACCELERATOR_USD_PER_H[card] * each, 3),
        "accelerator": card,
        "accelerators": each,
    }
    fleet.tables.setdefault("owned", []).append(row)


def owned_only(fleet: Fleet) -> None:
    """One site of one's own with machines enough or not, no cloud."""
    fleet.tables["regions"] = []
    region = own_site(fleet)
    owned(fleet, region, fleet.draw.choice((1, 2, 4, 16)))
    if fleet.draw.random() < 0.5:
        owned(fleet, region, fleet.draw.choice((1, 4)))
    held = {row["accelerator"] for row in fleet.tables["owned"]}
    fleet.tables["accelerators"] = [dict(row) for row in named("accelerator", sorted(held))]


def burst(fleet: Fleet) -> None:
    """Machines on one's own premises, the rest in the cloud."""
    owned(fleet, own_site(fleet), fleet.draw.choice((1, 2, 6)))


def edge(fleet: Fleet) -> None:
    """A small edge site that sells machines itself."""
    region = own_site(fleet, "edge")
    card = fleet.draw.choice(fleet.cards())
    offer = {
        "region": region,
        "offer": f"edge-{card}",
        "accelerator": card,
        "accelerators": 1,
        "ondemand_usd_per_h": significant(
            usual_price(fleet, card) * fleet.draw.choice((0.9, 2.0)), 3
        ),
        "max_instances": fleet.draw.choice((1, 3)),
    }
    fleet.tables.setdefault("offers", []).append(offer)


def rare(fleet: Fleet) -> None:
    """Hardly anybody asks: all workloads, or one beside others."""
    rate = fleet.draw.choice((1e-7, 1e-5, 1e-3))
    every = fleet.draw.random() < 0.5
    chosen = [row["workload"] for row in fleet.tables["workloads"]][: None if every else 1]
    for row in fleet.tables["demand"]:
        if row["workload"] in chosen and row["requests_per_s"]:
            row["requests_per_s"] = rate
    fleet.said.append(f"{rate:g} requests/s")


def busy(fleet: Fleet) -> None:
    """Hundreds of requests a second."""
    most = max(row["requests_per_s"] for row in fleet.tables["demand"])
    times = fleet.draw.choice((100.0, 500.0)) / most
    for row in fleet.tables["demand"]:
        row["requests_per_s"] = significant(row["requests_per_s"] * times, 3)


def long_prompts(fleet: Fleet) -> None:
    """Few of the prompts have 60,000 tokens, and only one llm takes them."""
    name = fleet.tables["workloads"][0]["workload"]
    rows = [row for row in fleet.tables["length_classes"] if row["workload"] != name]
    share = fleet.draw.choice((0.002, 0.1, 1.0))
    long = {"workload": name, "length_class": "longest", "share": share, "input_tokens": 60_000}
    rows.append(long | {"output_tokens": 500})
    if share < 1.0:
        rest = {"length_class": "rest", "share": 1.0 - share, "input_tokens": 2_000}
        rows.append(long | rest | {"output_tokens": 300})
    fleet.tables["length_classes"] = rows
    if not any(
        v["llm"].startswith("llama") for v in fleet.tables["variants"] if v["workload"] == name
    ):
        fleet.tables["variants"].append({"workload": name, "llm": "llama-3.1-8b"})
        evaluated(fleet, name, "llama-3.1-8b", "base", 0.6)
        allow(fleet, "llama-3.1-8b")
    relax(fleet, name, ttft_s=30.0)
    if "serving" in fleet.settings and fleet.draw.random() < 0.5:
        fleet.setting("serving", "prompt_lane_tokens", [8192.0, 65536.0])


def relax(fleet: Fleet, name: str, ttft_s: float) -> None:
    """Let a workload wait for its first token."""
    for row in fleet.workloads():
        if row["workload"] == name and row.get("ttft_target_s"):
            row["ttft_target_s"] = ttft_s


def tight(fleet: Fleet) -> None:
    """Targets near what the fastest machine gives."""
    for row in fleet.workloads():
        row["ttft_target_s"] = fleet.draw.choice((0.3, 0.5))
        row["tpot_target_s"] = fleet.draw.choice((0.015, 0.025, 0.04))
        row["attainment_min"] = fleet.draw.choice((0.5, 0.9, 0.99))


def loose(fleet: Fleet) -> None:
    """Nobody is in a hurry."""
    for row in fleet.workloads():
        row["ttft_target_s"], row["tpot_target_s"] = 60.0, 0.5
        row["attainment_min"] = fleet.draw.choice((0.0, 0.99))


def floors(fleet: Fleet) -> None:
    """Least quality and least experience of each workload."""
    for row in fleet.tables["workloads"]:
        offered = {
            (v["workload"], v["llm"], v.get("adaptation", "base")) for v in fleet.tables["variants"]
        }
        known = [
            q["quality"]
            for q in fleet.tables["quality"]
            if q["workload"] == row["workload"]
            and (q["workload"], q["llm"], q["adaptation"]) in offered
        ]
        row["quality_min"] = round(max(known) * fleet.draw.uniform(0.8, 0.93), 3)
        if row.get("kind") != "batch":
            row["qoe_min"] = round(max(known) * fleet.draw.uniform(0.5, 0.9), 2)


def residency(fleet: Fleet) -> None:
    """Answers must be given in one jurisdiction."""
    known = [tags(fleet, row) for row in fleet.tables["regions"]]
    every = sorted({tag for held in known for tag in held})
    for row in fleet.tables["workloads"]:
        if fleet.draw.random() < 0.7:
            row["residency"] = fleet.draw.choice(every)


def tags(fleet: Fleet, region: dict[str, Any]) -> list[str]:
    if "residency" in region:
        return [str(region["residency"])]
    return str(fleet.catalog.region(region["region"])["residency"]).split(";")


def regional_loss(fleet: Fleet) -> None:
    """A share of the demand must survive the loss of any region."""
    more_regions(fleet, 2)
    share = fleet.draw.choice((0.3, 0.5, 1.0))
    if fleet.draw.random() < 0.5:
        fleet.setting("policy", "region_loss_share", share)
    else:
        for row in fleet.workloads():
            row["region_loss_share"] = share


def more_regions(fleet: Fleet, least: int) -> None:
    """At least so many regions that sell something."""
    for region in REGIONS:
        if len(fleet.regions()) < least and region not in fleet.regions() and fleet.sold(region):
            fleet.tables["regions"].append({"region": region})


def spot(fleet: Fleet) -> None:
    """Some or all machines may be spot."""
    fleet.setting("policy", "spot_share_max", fleet.draw.choice((0.1, 0.5, 1.0)))
    fleet.setting("policy", "spot_availability", fleet.draw.choice((0.6, 0.9, 1.0)))


def quotas(fleet: Fleet) -> None:
    """Quotas, many of them 0."""
    fleet.tables["quotas"] = [
        {"region": region, "accelerator": card, "accelerators": fleet.draw.choice((0, 0, 4, 16))}
        for region in fleet.regions()
        for card in fleet.cards()
        if fleet.draw.random() < 0.7
    ]
    first = {"region": fleet.regions()[0], "accelerator": fleet.cards()[0]}
    fleet.tables["quotas"].append(first | {"market": "on-demand", "accelerators": 1})


def commitments(fleet: Fleet) -> None:
    """Machines committed earlier; some commitments end within the period."""
    for region in fleet.regions():
        offers = fleet.sold(region)
        if not offers:
            continue
        offer = fleet.draw.choice(offers)
        row = {
            "region": region,
            "offer": offer["offer"],
            "market": fleet.draw.choice(("commit-1y", "commit-3y")),
            "instances": fleet.draw.choice((1, 2, 5)),
            "usd_per_h": significant(0.6 * offer["ondemand_usd_per_h"], 4),
            "end_date": fleet.draw.choice(("2026-09-04", "2026-09-20", "2027-05-31")),
        }
        fleet.tables.setdefault("owned", []).append(row)


def no_commitments(fleet: Fleet) -> None:
    """Nothing may be committed, or for three years only."""
    fleet.setting("policy", "commitments", fleet.draw.choice(([], ["commit-3y"])))


def hybrids(fleet: Fleet) -> None:
    """A larger llm also answers a share of the requests."""
    for row in fleet.tables["workloads"]:
        name = row["workload"]
        small = next(v["llm"] for v in fleet.tables["variants"] if v["workload"] == name)
        large = fleet.draw.choice([llm for llm in ("qwen3-32b", "llama-3.3-70b") if llm != small])
        allow(fleet, large)
        known = {(q["workload"], q["llm"]) for q in fleet.tables["quality"]}
        if (name, large) not in known:
            evaluated(fleet, name, large, "base", SKILL[large])
        share = fleet.draw.choice((0.1, 0.4, 1.0))
        check = {"workload": name, "llm": small, "check_llm": large, "check_share": share}
        fleet.tables["variants"].append(check)


def full_tunes(fleet: Fleet) -> None:
    """Full fine-tunes, which need replicas of their own, refreshed often or never."""
    for row in fleet.tables["workloads"]:
        name = row["workload"]
        row.setdefault("training_tokens", 4_000_000.0)
        llms = [v["llm"] for v in fleet.tables["variants"] if v["workload"] == name]
        llm = next((llm for llm in llms if llm in LLMS), None)
        if llm is None:
            continue
        for days in fleet.draw.sample((7.0, 30.0, 365.0), 2):
            tune = {"workload": name, "llm": llm, "adaptation": "fine-tune", "method": "full"}
            fleet.tables["variants"].append(tune | {"refresh_days": days})


def incumbent(fleet: Fleet) -> None:
    """A fleet runs already, and little of it may change."""
    fleet.setting("", "incumbent", "today")
    adopted: dict[str, dict[str, Any]] = {}
    for row in fleet.tables["variants"]:
        adopted.setdefault(
            row["workload"], {k: row[k] for k in ("workload", "llm", "adaptation") if k in row}
        )
    machines = [
        {
            "region": region,
            "offer": offer["offer"],
            "market": "on-demand",
            "instances": fleet.draw.choice((1, 2, 4)),
        }
        for region in fleet.regions()
        for offer in fleet.draw.sample(fleet.sold(region), min(1, len(fleet.sold(region))))
    ]
    fleet.today = {"fleet": machines, "adoption": list(adopted.values())}
    limit = fleet.draw.choice(
        ("max_changed_workloads", "max_added_accelerators", "keep_incumbent", "costs")
    )
    if limit == "costs":
        fleet.setting("policy", "change_usd_per_workload", 500.0)
        fleet.setting("policy", "change_usd_per_accelerator", 100.0)
    elif limit == "keep_incumbent":
        fleet.setting("policy", limit, True)
    else:
        fleet.setting("policy", limit, fleet.draw.choice((0, 1, 8)))
    fleet.said.append(limit)


def counts(fleet: Fleet) -> None:
    """Most llms, most or least regions, regions that cost something."""
    more_regions(fleet, 3)
    fleet.setting("policy", "max_llms", fleet.draw.choice((1, 2)))
    if fleet.draw.random() < 0.5:
        fleet.setting("policy", "max_regions", fleet.draw.choice((1, 2)))
    else:
        fleet.tables["workloads"][0]["min_regions"] = 2
    for row in fleet.tables["regions"]:
        row["fixed_usd_per_month"] = fleet.draw.choice((0.0, 200.0, 5000.0))


def shortfall(fleet: Fleet) -> None:
    """Requests may stay unanswered at a price, and there is too little to answer them all."""
    quotas(fleet)
    fleet.setting("policy", "allow_shortfall", True)
    fleet.setting("policy", "shortfall_usd_per_request", fleet.draw.choice((0.0, 0.001, 1.0)))


def own_offers(fleet: Fleet) -> None:
    """Prices of one's own beside the catalog's, and few machines to be had."""
    for region in fleet.regions():
        card = fleet.draw.choice(fleet.cards())
        each = fleet.draw.choice((1, 2, 8))
        price = usual_price(fleet, card) * fleet.draw.uniform(0.6, 1.1)
        offer = {
            "region": region,
            "offer": f"broker-{card}-{each}",
            "accelerator": card,
            "accelerators": each,
            "ondemand_usd_per_h": significant(each * price, 3),
            "commit_1y_usd_per_h": significant(0.7 * each * price, 3),
            "max_instances": fleet.draw.choice((None, 0, 2)),
        }
        fleet.tables.setdefault("offers", []).append(offer)


def usual_price(fleet: Fleet, card: str) -> float:
    """Median on-demand price of an accelerator, USD per hour."""
    offers = fleet.catalog.offers
    mine = offers[offers["accelerator"] == card]
    return float((mine["ondemand_usd_per_h"] / mine["accelerators"]).median())


def lumps(fleet: Fleet) -> None:
    """Replicas of whole machines: large llms on machines of eight."""
    wanted = [
        c
        for c in ("h100-sxm", "h200-sxm", "mi300x")
        if any(fleet.catalog.offers_of(r, c) for r in fleet.regions())
    ]
    if not wanted:
        fleet.tables["regions"].append({"region": "aws:eu-north-1"})
        wanted = ["h100-sxm"]
    for card in wanted[:1]:
        if card not in fleet.cards():
            fleet.tables["accelerators"].append({"accelerator": card})
    llm = "llama-3.3-70b"
    allow(fleet, llm)
    for row in fleet.tables["workloads"]:
        name = row["workload"]
        fleet.tables["variants"] = [v for v in fleet.tables["variants"] if v["workload"] != name]
        fleet.tables["variants"].append({"workload": name, "llm": llm})
        fleet.tables["quality"] = [
            q for q in fleet.tables["quality"] if (q["workload"], q["llm"]) != (name, llm)
        ]
        evaluated(fleet, name, llm, "base", 0.79)


def settings(fleet: Fleet) -> None:
    """Settings and columns that usually keep their defaults."""
    draw = fleet.draw
    fleet.setting("carbon", "embodied", draw.choice(("low", "high")))
    fleet.setting("carbon", "accelerator_life_years", draw.choice((3.0, 8.0)))
    fleet.setting("serving", "performance_margin", draw.choice((0.0, 0.2)))
    fleet.setting("serving", "load_max", draw.choice((0.5, 0.9)))
    fleet.setting("money", "staff_usd_per_h", draw.choice((0.0, 200.0)))
    for row in fleet.tables["workloads"]:
        row["qoe_weight"] = draw.choice((0.1, 1.0, 20.0))
        row["quality_exponent"], row["streaming_exponent"] = draw.choice((0.0, 2.0)), 0.5
        row["expected_ttft_s"] = draw.choice((0.3, 3.0))
        if row.get("corpus_tokens"):
            row["rag_chunks"], row["reranked_documents"] = (
                draw.choice((1, 20)),
                draw.choice((0, 30)),
            )


def nothing_special(fleet: Fleet) -> None:
    """A plain fleet."""


THEMES: tuple[Callable[[Fleet], None], ...] = (
    nothing_special, hosted_only, hosted_too, batch_only, owned_only, burst, edge, rare, busy,
    long_prompts, tight, loose, floors, residency, regional_loss, spot, quotas, commitments,
    no_commitments, hybrids, full_tunes, incumbent, counts, shortfall, own_offers, lumps, settings,
)  # fmt: skip
FIRST_ONLY = frozenset({hosted_only, batch_only, owned_only, lumps})
"""They take away what other themes build on."""
OBJECTIVES = ("cost", "cost", "cost", "carbon", "qoe-loss")
CAPS = {
    "cost": "cost_usd",
    "carbon": "carbon_kgco2e",
    "water": "water_l",
    "qoe-loss": "qoe_min",
}
"""Total -> its setting."""
CAP_SHARE = 0.25
"""Of the tiny and small fleets, those with a cap near an end."""


# ------------------------------------------------------------------ caps near the ends


def near_an_end(fleet: Fleet, folder: Path) -> None:
    """Cap a total a hair beside its least value, or half-way, and minimise another."""
    from scripts.bench.corpus import solved

    total = fleet.draw.choice(list(CAPS))
    end = solved(folder, total, seconds=20.0)
    if end.value is None or end.bound is None or not end.bound > 0.0:
        return
    above = fleet.draw.choice((1.0005, 1.01, 1.2, 0.999, 0.9))
    limit = end.value * above if above > 1.0 else end.bound * above
    limit = 1.0 - limit if total == "qoe-loss" else limit
    if limit <= 0.0:
        return
    fleet.minimize = fleet.draw.choice([o for o in ("cost", "carbon") if o != total])
    fleet.setting("caps", CAPS[total], float(f"{limit:.8g}"))
    fleet.said.append(f"{total} capped at {above:g} of its least")


# ------------------------------------------------------------------ writing


def grid_reaches(fleet: Fleet) -> None:
    """A grid that the user restricts still has a point and a lane for every workload."""
    grid = fleet.settings.get("serving", {})
    targets = [row["tpot_target_s"] for row in fleet.workloads() if row.get("tpot_target_s")]
    lengths = [float(row["input_tokens"]) for row in fleet.tables["length_classes"]]
    if "operating_tpot_s" in grid and min(targets, default=1.0) < min(grid["operating_tpot_s"]):
        grid["operating_tpot_s"] = [0.8 * min(targets), *grid["operating_tpot_s"]]
    if "prompt_lane_tokens" in grid and max(lengths, default=0.0) > max(grid["prompt_lane_tokens"]):
        grid["prompt_lane_tokens"] = [*grid["prompt_lane_tokens"], max(lengths)]


def draw_fleet(catalog: Catalog, seed: int, number: int) -> Fleet:
    """Fleet `number`, without a cap near an end."""
    draw = random.Random(f"{seed} {number}")
    size = draw.choices(SIZES, [size.share for size in SIZES])[0]
    fleet = Fleet(catalog, draw, size)
    plain(fleet)
    theme = THEMES[number % len(THEMES)]
    themes = [theme]
    if theme not in FIRST_ONLY and draw.random() < 0.5:
        others = [t for t in THEMES[1:] if t not in FIRST_ONLY and t is not theme]
        themes.append(draw.choice(others))
    for change in themes:
        change(fleet)
        fleet.said.append(str(change.__doc__).rstrip("."))
    grid_reaches(fleet)
    fleet.minimize = draw.choice(OBJECTIVES)
    return fleet


def settings_text(fleet: Fleet, name: str) -> str:
    """``instance.toml``."""
    said = "; ".join(fleet.said).replace('"', "'")
    top = {"format_version": 1, "name": name, "description": f"{said} ({fleet.size.name})"}
    top |= {"minimize": fleet.minimize, **fleet.settings.get("", {})}
    lines = [f"{key} = {toml(value)}" for key, value in top.items()]
    for section, values in fleet.settings.items():
        if section:
            lines += ["", f"[{section}]"]
            lines += ["start = 2026-09-01"] if section == "period" else []
            lines += [f"{key} = {toml(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return "[" + ", ".join(toml(v) for v in value) + "]"
    return repr(value)


def write_fleet(fleet: Fleet, folder: Path) -> None:
    """The instance folder, and what runs today inside it."""
    shutil.rmtree(folder, ignore_errors=True)
    tables: dict[str, list[Cells]] = {name: list(rows) for name, rows in fleet.tables.items()}
    write_instance(folder, settings_text(fleet, folder.name), tables)
    for name, rows in fleet.today.items():
        (folder / "today").mkdir(exist_ok=True)
        columns = list(dict.fromkeys(column for row in rows for column in row))
        with (folder / "today" / f"{name}.csv").open("w", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def write_numbered(catalog: Catalog, folder: Path, seed: int, number: int) -> None:
    """Write fleet `number`; InstanceError where its draw is not valid, which is a fault."""
    fleet = draw_fleet(catalog, seed, number)
    write_fleet(fleet, folder)
    load_instance(folder, catalog)
    if fleet.size.name in {"tiny", "small"} and fleet.draw.random() < CAP_SHARE:
        near_an_end(fleet, folder)
        write_fleet(fleet, folder)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="number of the first fleet")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    catalog = load_catalog()
    for number in range(options.first, options.first + options.count):
        folder = options.folder / f"fleet-{number:03d}"
        write_numbered(catalog, folder, options.seed, number)
        print(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
